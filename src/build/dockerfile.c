// SPDX-License-Identifier: Apache-2.0
// Logical lines become instructions: keyword, flags, words or JSON form, heredocs. What can be said
// wrong without knowing any variable is said here, so that a bad line fails before anything runs.
#include "build/dockerfile.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>

#include "base/engine.h"
#include "base/own.h"
#include "build/heredoc.h"
#include "build/instr.h"
#include "build/lex.h"
#include "build/suggest.h"
#include "codec/json.h"

#define MAX_INSTRUCTIONS 10000

void build_instr_fini(struct build_instr *in)
{
    free(in->spelt);
    free(in->original);
    free(in->rest);
    free(in->comment);
    vec_each(f, &in->flags) free(f->value);
    vec_fini(&in->flags);
    strv_fini(&in->words);
    vec_each(h, &in->heredocs) build_heredoc_fini(h);
    vec_fini(&in->heredocs);
    if (in->sub) build_instr_fini(in->sub);
    free(in->sub);
    memset(in, 0, sizeof *in);
}

void build_dockerfile_fini(struct build_file *f)
{
    free(f->label);
    free(f->syntax);
    free(f->check);
    strv_fini(&f->lines);
    vec_each(in, &f->instrs) build_instr_fini(in);
    vec_fini(&f->instrs);
    vec_each(w, &f->warnings) free(w->text);
    vec_fini(&f->warnings);
    memset(f, 0, sizeof *f);
}

const char *build_instr_flag(const struct build_instr *in, const char *name)
{
    vec_each(f, &in->flags)
    {
        if (strcmp(f->def->name, name) == 0) return f->value;
    }
    return NULL;
}

// Flags

static int unknown_flag(const struct build_instr_def *def, struct sv name, struct err *e)
{
    own(strv) struct strv names = {0};
    for (const struct build_flag_def *d = def->flags; d->name; d++) strv_add(&names, d->name);
    err_set(e, ERR_INPUT, "%s has no flag '--%.*s'", def->name, (int)name.n, name.p);
    const char *near = build_suggest_find(name, &names);
    if (near) return err_hint(e, "did you mean --%s?", near);
    own(str) struct str all = {0};
    for (size_t i = 0; i < names.n; i++) str_addf(&all, "%s--%s", i ? ", " : "", names.p[i]);
    if (names.n == 0) return err_hint(e, "%s takes no flags", def->name);
    return err_hint(e, "it has %s", str_z(&all));
}

static int flag_value(const struct build_flag_def *d, bool has_value, struct sv value,
                      struct build_flag *out, struct err *e)
{
    if (d->kind != BUILD_FLAG_BOOL) {
        if (!has_value) {
            err_set(e, ERR_INPUT, "the flag '--%s' needs a value", d->name);
            return err_hint(e, "write --%s=VALUE, without a blank", d->name);
        }
        out->value = sv_dup(value);
        return 0;
    }
    bool yes = !has_value || sv_eq_nocase(value, SV("true"));
    if (!yes && !sv_eq_nocase(value, SV("false"))) {
        err_set(e, ERR_INPUT, "the flag '--%s' is true or false, not '%.*s'", d->name,
                (int)value.n, value.p);
        return err_hint(e, "write --%s alone to switch it on", d->name);
    }
    out->value = str_dup(yes ? "true" : "false");
    out->bare = !has_value;
    return 0;
}

static int parse_flag(struct build_instr *in, struct sv word, struct err *e)
{
    struct sv value = sv_from(word, 2);
    struct sv name = sv_cut(&value, '=');
    const struct build_flag_def *d = in->def->flags;
    while (d->name && !sv_eqz(name, d->name)) d++;
    if (!d->name) return unknown_flag(in->def, name, e);
    if (d->kind != BUILD_FLAG_LIST && build_instr_flag(in, d->name)) {
        err_set(e, ERR_INPUT, "the flag '--%s' is given twice", d->name);
        return err_hint(e, "leave one of them out");
    }
    struct build_flag f = {.def = d};
    if (flag_value(d, value.p != NULL, value, &f, e) < 0) return -1;
    vec_push(&in->flags, f);
    return 0;
}

// Words

// 1 when the text is a JSON array of texts. Text that is no JSON is a command line; JSON of another
// kind is a slip worth an error.
static int parse_json(struct sv text, struct strv *out, struct err *e)
{
    struct err ignored = {0};
    own(codec_json) struct codec_json *j = NULL;
    if (!sv_starts(text, "[")) return 0;
    if (codec_json_parse(text, "JSON form", &j, &ignored) < 0) return 0;
    for (size_t i = 0; i < codec_json_len(j); i++) {
        struct codec_json *item = codec_json_at(j, i);
        if (codec_json_type(item) != CODEC_JSON_TEXT) {
            strv_fini(out);
            err_set(e, ERR_INPUT, "the JSON form takes only texts, and item %zu is none", i + 1);
            return err_hint(e, "put every word in double quotes: [\"sleep\", \"5\"]");
        }
        strv_take(out, sv_dup(codec_json_text(item)));
    }
    return 1;
}

static int parse_rest_or_json(struct build_instr *in, struct sv rest, struct err *e)
{
    if (rest.n == 0) return 0;
    int json = parse_json(rest, &in->words, e);
    if (json < 0) return -1;
    in->json = json;
    if (!json) strv_take(&in->words, sv_dup(rest));
    return 0;
}

static int parse_health(struct build_instr *in, struct sv rest, struct err *e)
{
    if (rest.n == 0) return 0;
    size_t n = 0;
    while (n < rest.n && !isspace((unsigned char)rest.p[n])) n++;
    own(free) char *kind = sv_dup(sv_part(rest, 0, n));
    if (parse_rest_or_json(in, build_lex_trim(sv_from(rest, n)), e) < 0) return -1;
    struct strv words = {0};
    strv_add(&words, kind);
    strv_add_all(&words, &in->words);
    strv_fini(&in->words);
    in->words = words;
    return 0;
}

static int no_equals(const struct build_instr *in, struct sv word, struct err *e)
{
    err_set(e, ERR_INPUT, "'%.*s' has no '='", (int)word.n, word.p);
    return err_hint(e, "write %s NAME=VALUE, and quotes around a value with blanks", in->def->name);
}

static int parse_pairs(struct build_instr *in, struct sv rest, char escape, struct err *e)
{
    own(strv) struct strv words = {0};
    build_lex_split_quoted(rest, escape, &words);
    if (words.n == 0) return 0;
    if (!strchr(words.p[0], '=')) {
        struct sv key = build_lex_word(&rest);
        if (rest.n == 0) {
            err_set(e, ERR_INPUT, "%s needs a name and a value", in->def->name);
            return err_hint(e, "write %s %.*s=VALUE", in->def->name, (int)key.n, key.p);
        }
        strv_take(&in->words, sv_dup(key));
        strv_take(&in->words, sv_dup(rest));
        in->legacy_pairs = true;
        return 0;
    }
    for (size_t i = 0; i < words.n; i++) {
        struct sv value = sv_of(words.p[i]);
        struct sv key = sv_cut(&value, '=');
        if (!value.p) return no_equals(in, key, e);
        if (key.n == 0) return err_set(e, ERR_INPUT, "'%s' has no name before '='", words.p[i]);
        strv_take(&in->words, sv_dup(key));
        strv_take(&in->words, sv_dup(value));
    }
    return 0;
}

static int parse_line(struct sv text, char escape, bool nested, struct build_instr *in,
                      struct err *e);

static int parse_sub(struct build_instr *in, struct sv rest, char escape, bool nested,
                     struct err *e)
{
    if (rest.n == 0) return 0;
    struct sv word = rest;
    word = build_lex_word(&word);
    if (nested || sv_eq_nocase(word, SV("ONBUILD")))
        return err_set(e, ERR_INPUT, "ONBUILD ONBUILD is not allowed");
    if (sv_eq_nocase(word, SV("FROM")) || sv_eq_nocase(word, SV("MAINTAINER"))) {
        err_set(e, ERR_INPUT, "%.*s is not allowed behind ONBUILD", (int)word.n, word.p);
        return err_hint(e, "%s", in->def->usage);
    }
    in->sub = mem_alloc(sizeof *in->sub);
    return parse_line(rest, escape, true, in->sub, e);
}

static int parse_words(struct build_instr *in, struct sv rest, char escape, bool nested,
                       struct err *e)
{
    switch (in->def->form) {
    case BUILD_FORM_WORDS_OR_JSON: {
        int json = parse_json(rest, &in->words, e);
        in->json = json > 0;
        if (json) return json < 0 ? -1 : 0;
        build_lex_split(rest, &in->words);
        return 0;
    }
    case BUILD_FORM_WORDS: build_lex_split(rest, &in->words); return 0;
    case BUILD_FORM_REST:
        if (rest.n) strv_take(&in->words, sv_dup(rest));
        return 0;
    case BUILD_FORM_REST_OR_JSON: return parse_rest_or_json(in, rest, e);
    case BUILD_FORM_PAIRS: return parse_pairs(in, rest, escape, e);
    case BUILD_FORM_QUOTED_WORDS: build_lex_split_quoted(rest, escape, &in->words); return 0;
    case BUILD_FORM_HEALTH: return parse_health(in, rest, e);
    case BUILD_FORM_SUB: return parse_sub(in, rest, escape, nested, e);
    }
    return 0;
}

// What can be checked without variables

static int need(const struct build_instr *in, const char *what, struct err *e)
{
    err_set(e, ERR_INPUT, "%s needs %s", in->def->name, what);
    return err_hint(e, "%s", in->def->usage);
}

static int check_from(const struct build_instr *in, struct err *e)
{
    const struct strv *w = &in->words;
    if (w->n == 0) return need(in, "an image", e);
    if (w->n == 2 || w->n > 3) return need(in, "one or three words", e);
    if (w->n == 1) return 0;
    if (!sv_eq_nocase(sv_of(w->p[1]), SV("as"))) {
        err_set(e, ERR_INPUT, "'%s' stands where 'AS' belongs", w->p[1]);
        return err_hint(e, "%s", in->def->usage);
    }
    own(free) char *name = NULL;
    return build_instr_from_name(in, &name, e);
}

static int check_health(const struct build_instr *in, struct err *e)
{
    const struct strv *w = &in->words;
    if (w->n == 0) return need(in, "CMD or NONE", e);
    if (sv_eq_nocase(sv_of(w->p[0]), SV("none")))
        return w->n == 1 ? 0 : err_set(e, ERR_INPUT, "HEALTHCHECK NONE takes nothing more");
    if (!sv_eq_nocase(sv_of(w->p[0]), SV("cmd"))) {
        err_set(e, ERR_INPUT, "HEALTHCHECK knows CMD and NONE, not '%s'", w->p[0]);
        return err_hint(e, "%s", in->def->usage);
    }
    return w->n > 1 ? 0 : need(in, "a command behind CMD", e);
}

static int check_shell(const struct build_instr *in, struct err *e)
{
    if (in->words.n == 0) return need(in, "at least one word", e);
    if (in->json) return 0;
    err_set(e, ERR_INPUT, "SHELL takes only the JSON form");
    return err_hint(e, "write SHELL [\"/bin/bash\", \"-c\"]");
}

static int check_arg(const struct build_instr *in, struct err *e)
{
    for (size_t i = 0; i < in->words.n; i++)
        if (in->words.p[i][0] == '=')
            return err_set(e, ERR_INPUT, "'%s' has no name before '='", in->words.p[i]);
    return in->words.n ? 0 : need(in, "a name", e);
}

static int check(const struct build_instr *in, struct err *e)
{
    size_t n = in->words.n;
    switch (in->def->id) {
    case BUILD_ADD:
    case BUILD_COPY:
        if (n == 0) return need(in, "a source and a destination", e);
        return n > 1 ? 0 : need(in, "a source and a destination, and only one is given", e);
    case BUILD_ARG: return check_arg(in, e);
    case BUILD_FROM: return check_from(in, e);
    case BUILD_HEALTHCHECK: return check_health(in, e);
    case BUILD_SHELL: return check_shell(in, e);
    case BUILD_ONBUILD: return in->sub ? 0 : need(in, "an instruction", e);
    case BUILD_RUN: return n ? 0 : need(in, "a command", e);
    case BUILD_ENV:
    case BUILD_LABEL: return n ? 0 : need(in, "NAME=VALUE", e);
    case BUILD_EXPOSE:
    case BUILD_MAINTAINER:
    case BUILD_STOPSIGNAL:
    case BUILD_USER:
    case BUILD_VOLUME:
    case BUILD_WORKDIR: return n ? 0 : need(in, "a value", e);
    case BUILD_CMD:
    case BUILD_ENTRYPOINT:  // nothing at all is an empty command of the shell
    case BUILD_INSTR_COUNT: return 0;
    }
    return 0;
}

// Lines

static int unknown_instruction(struct sv word, struct err *e)
{
    own(strv) struct strv names = {0};
    for (unsigned i = 0; i < BUILD_INSTR_COUNT; i++)
        strv_add(&names, build_instr_table_get((enum build_instr_id)i)->name);
    if (word.n == 0) return err_set(e, ERR_INPUT, "a continued line holds no instruction");
    err_set(e, ERR_INPUT, "unknown instruction '%.*s'", (int)(word.n > 80 ? 80 : word.n), word.p);
    const char *near = build_suggest_find(word, &names);
    return near ? err_hint(e, "did you mean %s?", near) : -1;
}

static int parse_line(struct sv text, char escape, bool nested, struct build_instr *in,
                      struct err *e)
{
    own(strv) struct strv flags = {0};
    in->original = sv_dup(text);
    struct sv rest = build_lex_trim(text);
    struct sv keyword = build_lex_word(&rest);
    in->spelt = sv_dup(keyword);
    in->def = build_instr_table_find(keyword);
    if (!in->def) return unknown_instruction(keyword, e);
    build_lex_flags(&rest, &flags);
    rest = build_lex_trim(rest);
    in->rest = sv_dup(rest);
    for (size_t i = 0; i < flags.n; i++)
        if (parse_flag(in, sv_of(flags.p[i]), e) < 0) return -1;
    if (parse_words(in, rest, escape, nested, e) < 0) return -1;
    return check(in, e);
}

static void set_lines(struct build_instr *in, unsigned first, unsigned last)
{
    in->first_line = first;
    in->last_line = in->code_last_line = last;
}

static int parse_instr(struct build_lex *lx, struct build_lex_line *l, struct build_instr *in,
                       struct err *e)
{
    set_lines(in, l->first, l->last);
    in->comment = str_dup(str_z(&l->comment));
    if (parse_line(str_sv(&l->text), lx->escape, false, in, e) < 0) return -1;
    if (build_heredoc_read(lx, in, e) < 0) return -1;
    if (in->sub) {
        set_lines(in->sub, in->first_line, in->last_line);
        in->sub->comment = str_dup("");
    }
    return 0;
}

// The frame "Dockerfile:12: COPY a b".
static int wrap_line(struct err *e, const char *label, unsigned line, struct sv text)
{
    own(str) struct str shown = {0};
    struct sv v = build_lex_trim(text);
    str_add_escaped(&shown, sv_part(v, 0, 80));
    if (v.n > 80) str_addz(&shown, "...");
    return err_wrap(e, "%s:%u: %s", label, line, str_z(&shown));
}

// An unknown keyword right behind a RUN is nearly always a lost continuation.
static void hint_continuation(const struct build_file *f, const struct build_lex_line *l,
                              struct err *e)
{
    if (e->hint[0] || f->instrs.n == 0 || !strstr(err_cause(e), "unknown instruction")) return;
    const struct build_instr *last = &f->instrs.p[f->instrs.n - 1];
    err_hint(e, "if line %u belongs to the %s above, end line %u with '%c'", l->first,
             last->def->name, last->last_line, f->escape);
}

static void note_empty(struct build_file *f, const struct build_lex_line *l)
{
    if (!l->empty) return;
    char *text = str_fmt("line %u is empty inside a continued instruction", l->empty);
    vec_push(&f->warnings, (struct build_warning){l->empty, "NoEmptyContinuation", text});
}

static int parse_all(struct build_lex *lx, struct build_file *f, struct err *e)
{
    for (;;) {
        struct build_lex_line l;
        int rc = build_lex_next(lx, &l, e);
        if (rc < 0) {
            assert(l.first >= 1 && l.first <= f->lines.n);
            struct sv line = sv_of(f->lines.p[l.first - 1]);
            wrap_line(e, f->label, l.first, line);
        } else if (rc > 0) {
            f->escape = lx->escape;
            note_empty(f, &l);
            struct build_instr in = {0};
            rc = parse_instr(lx, &l, &in, e);
            if (rc < 0) {
                hint_continuation(f, &l, e);
                wrap_line(e, f->label, l.first, str_sv(&l.text));
                build_instr_fini(&in);
            } else {
                vec_push(&f->instrs, in);
                rc = 1;
            }
        }
        build_lex_line_fini(&l);
        if (rc <= 0) return rc;
        if (f->instrs.n > MAX_INSTRUCTIONS)
            return err_set(e, ERR_LIMIT, "more than %d instructions", MAX_INSTRUCTIONS);
    }
}

static int check_text(struct sv text, const char *label, struct err *e)
{
    if (text.n > LIMIT_DOCKERFILE)
        return err_set(e, ERR_LIMIT, "'%s' is larger than %zu bytes", label, LIMIT_DOCKERFILE);
    if (sv_find(text, '\0') < 0) return 0;
    err_set(e, ERR_INPUT, "'%s' holds a NUL byte, so it is not plain text", label);
    return err_hint(e, "save it as UTF-8");
}

static void keep_lines(struct sv text, struct strv *out)
{
    if (sv_starts(text, "\xef\xbb\xbf")) text = sv_from(text, 3);
    for (struct sv rest = text; rest.p;) {
        struct sv l = sv_cut(&rest, '\n');
        while (l.n > 0 && l.p[l.n - 1] == '\r') l.n--;
        strv_take(out, sv_dup(l));
    }
}

int build_dockerfile_parse(struct sv text, const char *label, struct build_file *out,
                           struct err *e)
{
    struct build_file f = {.escape = '\\'};
    struct build_lex lx;
    if (check_text(text, label, e) < 0) return -1;
    f.label = str_dup(label);
    keep_lines(text, &f.lines);
    build_lex_init(&lx, text);
    int rc = parse_all(&lx, &f, e);
    if (rc == 0 && f.instrs.n == 0) {
        err_set(e, ERR_INPUT, "'%s' holds no instructions", label);
        rc = err_hint(e, "a Dockerfile begins with FROM and an image");
    }
    f.escape = lx.escape;
    f.syntax = take_ptr(lx.syntax);
    f.check = take_ptr(lx.check);
    f.check_line = lx.check_line;
    build_lex_fini(&lx);
    *out = f;
    return rc < 0 ? -1 : 0;
}

int build_dockerfile_parse_one(struct sv text, char escape, const char *label, unsigned line,
                               struct build_instr *out, struct err *e)
{
    struct build_lex lx;
    struct build_lex_line l, more;
    struct build_instr in = {0};
    if (check_text(text, label, e) < 0) return -1;
    build_lex_init(&lx, text);
    lx.escape = escape;
    lx.directives_over = true;
    int rc = build_lex_next(&lx, &l, e);
    if (rc == 0) rc = err_set(e, ERR_INPUT, "an instruction is missing");
    if (rc > 0) rc = parse_instr(&lx, &l, &in, e);
    if (rc == 0) {
        rc = build_lex_next(&lx, &more, e);
        if (rc > 0) rc = err_set(e, ERR_INPUT, "more than one instruction");
        build_lex_line_fini(&more);
    }
    if (rc < 0) {
        wrap_line(e, label, line, text);
        build_instr_fini(&in);
    } else {
        set_lines(&in, line, line);
        *out = in;
    }
    build_lex_line_fini(&l);
    build_lex_fini(&lx);
    return rc;
}

int build_dockerfile_check_order(const struct build_file *f, struct err *e)
{
    vec_each(in, &f->instrs)
    {
        if (in->def->id == BUILD_FROM) return 0;
        if (in->def->id == BUILD_ARG) continue;
        err_set(e, ERR_INPUT, "%s stands before the first FROM", in->def->name);
        err_hint(e, "only ARG may come before FROM");
        return wrap_line(e, f->label, in->first_line, sv_of(in->original));
    }
    err_set(e, ERR_INPUT, "'%s' has no FROM, so there is nothing to build", f->label);
    return err_hint(e, "begin a stage with FROM and an image");
}
