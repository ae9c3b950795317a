// SPDX-License-Identifier: Apache-2.0
// Lines and words of a Dockerfile. The rules are BuildKit's, some of them odd:
// - `#` opens a comment only as the first thing of a physical line, also in the middle of a
//   continued instruction, where the whole line vanishes;
// - the escape character continues a line when only blanks follow and no second escape character
//   stands before it;
// - leading blanks go on the first line of an instruction and stay on continued ones;
// - parser directives end at the first line that is none.
#include "build/lex.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/own.h"
#include "build/nfa.h"

void build_lex_init(struct build_lex *lx, struct sv text)
{
    memset(lx, 0, sizeof *lx);
    if (sv_starts(text, "\xef\xbb\xbf")) text = sv_from(text, 3);
    lx->rest = text;
    lx->escape = '\\';
}

void build_lex_fini(struct build_lex *lx)
{
    free(lx->syntax);
    free(lx->check);
    lx->syntax = lx->check = NULL;
}

void build_lex_line_fini(struct build_lex_line *l)
{
    str_fini(&l->text);
    str_fini(&l->comment);
}

struct sv build_lex_trim_left(struct sv v)
{
    uint32_t c = 0;
    for (size_t took; (took = build_rune_next(v, &c)) > 0 && build_rune_is_space(c);)
        v = sv_from(v, took);
    return v;
}

struct sv build_lex_trim(struct sv v)
{
    v = build_lex_trim_left(v);
    size_t end = 0;
    for (size_t i = 0, took; i < v.n; i += took) {
        uint32_t c = 0;
        took = build_rune_next(sv_from(v, i), &c);
        if (!build_rune_is_space(c)) end = i + took;
    }
    return sv_part(v, 0, end);
}

bool build_lex_raw(struct build_lex *lx, struct sv *out)
{
    if (lx->rest.n == 0) return false;
    long nl = sv_find(lx->rest, '\n');
    *out = nl < 0 ? lx->rest : sv_part(lx->rest, 0, (size_t)nl + 1);
    lx->rest = sv_from(lx->rest, out->n);
    lx->line++;
    return true;
}

static struct sv without_end(struct sv l)
{
    while (l.n > 0 && (l.p[l.n - 1] == '\n' || l.p[l.n - 1] == '\r')) l.n--;
    return l;
}

static bool is_comment(struct sv l)
{
    return sv_starts(build_lex_trim_left(l), "#");
}

static int set_escape(struct build_lex *lx, struct sv value, struct err *e)
{
    if (!sv_eqz(value, "\\") && !sv_eqz(value, "`")) {
        err_set(e, ERR_INPUT, "the escape directive's value '%.*s' is neither \\ nor `",
                (int)value.n, value.p);
        return err_hint(e, "write '# escape=`' or leave the line out");
    }
    lx->escape = value.p[0];
    lx->escape_seen = true;
    return 0;
}

static int set_directive(struct build_lex *lx, struct sv key, struct sv value, struct err *e)
{
    bool syntax = sv_eq_nocase(key, SV("syntax")), check = sv_eq_nocase(key, SV("check"));
    if (!syntax && !check && !sv_eq_nocase(key, SV("escape"))) {
        lx->directives_over = true;
        return 0;
    }
    if ((syntax && lx->syntax) || (check && lx->check) || (!syntax && !check && lx->escape_seen)) {
        err_set(e, ERR_INPUT, "the parser directive '%.*s' is given twice", (int)key.n, key.p);
        return err_hint(e, "keep one of the two lines");
    }
    if (syntax) lx->syntax = sv_dup(value);
    if (check) {
        lx->check = sv_dup(value);
        lx->check_line = lx->line;
    }
    return syntax || check ? 0 : set_escape(lx, value, e);
}

// 1 when the line is a directive of ours.
static int directive(struct build_lex *lx, struct sv line, struct err *e)
{
    if (lx->directives_over) return 0;
    lx->directives_over = true;
    if (!sv_starts(line, "#")) return 0;
    struct sv rest = build_lex_trim(sv_from(line, 1));
    size_t n = 0;
    while (n < rest.n && (isalpha((unsigned char)rest.p[n]) ||
                          (n > 0 && isdigit((unsigned char)rest.p[n]))))
        n++;
    struct sv key = sv_part(rest, 0, n);
    rest = build_lex_trim_left(sv_from(rest, n));
    if (key.n == 0 || !sv_starts(rest, "=")) return 0;
    rest = build_lex_trim_left(sv_from(rest, 1));
    if (rest.n == 0) return 0;
    lx->directives_over = false;
    if (set_directive(lx, key, rest, e) < 0) return -1;
    return !lx->directives_over;
}

// Cuts a continuation's escape character and what follows; false when there is none.
static bool cut_continuation(const struct build_lex *lx, struct sv *l)
{
    size_t n = l->n;
    while (n > 0 && (l->p[n - 1] == ' ' || l->p[n - 1] == '\t')) n--;
    if (n == 0 || l->p[n - 1] != lx->escape) return false;
    if (n > 1 && l->p[n - 2] == lx->escape) return false;
    l->n = n - 1;
    return true;
}

static void note_comment(struct build_lex_line *out, struct sv line)
{
    struct sv text = build_lex_trim(sv_from(line, 1));
    if (text.n == 0) {
        str_clear(&out->comment);
        return;
    }
    if (out->comment.n) str_addc(&out->comment, '\n');
    str_add(&out->comment, text);
}

static void read_continued(struct build_lex *lx, struct build_lex_line *out)
{
    struct sv raw;
    bool more = true;
    while (more && build_lex_raw(lx, &raw)) {
        struct sv l = without_end(raw);
        if (is_comment(l)) continue;
        if (build_lex_trim_left(l).n == 0) {
            out->empty = lx->line;
            continue;
        }
        more = cut_continuation(lx, &l);
        str_add(&out->text, l);
    }
}

int build_lex_next(struct build_lex *lx, struct build_lex_line *out, struct err *e)
{
    struct sv raw;
    memset(out, 0, sizeof *out);
    while (build_lex_raw(lx, &raw)) {
        struct sv whole = without_end(raw), l = build_lex_trim_left(whole);
        out->first = lx->line;
        int is_directive = directive(lx, l, e);
        if (is_directive < 0) return -1;
        if (is_directive) continue;
        if (sv_starts(l, "#")) {
            note_comment(out, l);
            continue;
        }
        bool more = cut_continuation(lx, &l);
        if (!more && l.n == 0) {
            str_clear(&out->comment);
            continue;
        }
        out->keyword_indented = l.p != whole.p;
        str_add(&out->text, l);
        if (more) read_continued(lx, out);
        out->last = lx->line;
        return 1;
    }
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}

struct sv build_lex_word(struct sv *v)
{
    size_t n = 0;
    while (n < v->n && !is_blank(v->p[n])) n++;
    struct sv word = sv_part(*v, 0, n);
    while (n < v->n && is_blank(v->p[n])) n++;
    *v = sv_from(*v, n);
    return word;
}

void build_lex_split(struct sv v, struct strv *out)
{
    while (v.n > 0) {
        struct sv w = build_lex_word(&v);
        if (w.n > 0) strv_take(out, sv_dup(w));
    }
}

struct quoted {
    struct str word;
    bool in_word;
    uint32_t quote;  // 0 outside quotes
};

static void quoted_end(struct quoted *q, struct strv *out)
{
    if (q->word.n > 0) strv_add(out, str_z(&q->word));
    str_clear(&q->word);
    q->in_word = false;
}

void build_lex_split_quoted(struct sv v, char escape, struct strv *out)
{
    struct quoted q = {0};
    uint32_t c = 0;
    for (size_t took; (took = build_rune_next(v, &c)) > 0;) {
        struct sv here = sv_part(v, 0, took);
        v = sv_from(v, took);
        if (!q.quote && build_rune_is_space(c)) {
            if (q.in_word) quoted_end(&q, out);
            continue;
        }
        q.in_word = true;
        if (q.quote && c == q.quote) {
            q.quote = 0;
        } else if (!q.quote && (c == '\'' || c == '"')) {
            q.quote = c;
        } else if (c == (unsigned char)escape && q.quote != '\'') {
            if (v.n == 0) break;  // an escape character at the very end is dropped
            str_add(&q.word, here);
            took = build_rune_next(v, &c);
            here = sv_part(v, 0, took);
            v = sv_from(v, took);
        }
        str_add(&q.word, here);
    }
    if (q.in_word) quoted_end(&q, out);
    str_fini(&q.word);
}

// One flag word from the front of *v. Here the escape character is always the backslash.
static void flag_word(struct sv *v, struct str *out)
{
    char quote = 0;
    size_t i = 0;
    for (; i < v->n && (quote || !isspace((unsigned char)v->p[i])); i++) {
        char c = v->p[i];
        if (c == '\\') {
            if (++i < v->n) str_addc(out, v->p[i]);
        } else if (quote ? c == quote : c == '\'' || c == '"') {
            quote = quote ? '\0' : c;
        } else {
            str_addc(out, c);
        }
    }
    *v = sv_from(*v, i < v->n ? i : v->n);
}

void build_lex_flags(struct sv *v, struct strv *out)
{
    for (;;) {
        *v = build_lex_trim_left(*v);
        if (!sv_starts(*v, "--")) return;
        own(str) struct str word = {0};
        flag_word(v, &word);
        if (sv_eqz(str_sv(&word), "--")) return;
        strv_add(out, str_z(&word));
    }
}
