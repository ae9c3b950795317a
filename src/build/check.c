// SPDX-License-Identifier: Apache-2.0
// Running the checks and printing what they found.
#include "build/check.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/own.h"
#include "build/check_internal.h"
#include "build/lex.h"
#include "build/suggest.h"
#include "codec/json.h"

const struct build_check_rule build_check_rules[] = {
    {"StageNameCasing", "stage names are in lower case", false},
    {"FromAsCasing", "FROM and AS are written in the same case", false},
    {"NoEmptyContinuation", "no empty line inside a continued instruction", false},
    {"ConsistentInstructionCasing", "all instructions are written in the same case", false},
    {"DuplicateStageName", "every stage has its own name", false},
    {"ReservedStageName", "no stage is called scratch or context", false},
    {"JSONArgsRecommended", "CMD and ENTRYPOINT use the JSON form, so that signals arrive", false},
    {"MaintainerDeprecated", "a label instead of MAINTAINER", false},
    {"UndefinedArgInFrom", "FROM uses only ARGs that stand above the first FROM", false},
    {"UndefinedVar", "variables are set before they are used", false},
    {"WorkdirRelativePath", "the first WORKDIR of a stage is absolute", false},
    {"MultipleInstructionsDisallowed", "one CMD, ENTRYPOINT and HEALTHCHECK a stage", false},
    {"LegacyKeyValueFormat", "NAME=VALUE instead of NAME VALUE", false},
    {"RedundantTargetPlatform", "$TARGETPLATFORM is the default platform", false},
    {"SecretsUsedInArgOrEnv", "no secrets in ARG and ENV, which the image keeps", false},
    {"InvalidDefaultArgInFrom", "FROM works with the defaults of its ARGs", false},
    {"FromPlatformFlagConstDisallowed", "no fixed platform in FROM", false},
    {"CopyIgnoredFile", "COPY asks for nothing that .dockerignore leaves out", false},
    {"InvalidDefinitionDescription", "a comment above FROM or ARG begins with the name", true},
    {"ExposeProtoCasing", "protocols in EXPOSE are in lower case", false},
    {"ExposeInvalidFormat", "EXPOSE names no address and no host port", false},
    {NULL, NULL, false},
};

static const struct build_check_rule *find_rule(const char *name)
{
    const struct build_check_rule *r = build_check_rules;
    while (r->name && !sv_eq_nocase(sv_of(name), sv_of(r->name))) r++;
    return r->name ? r : NULL;
}

static bool listed(const struct strv *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (sv_eq_nocase(sv_of(list->p[i]), sv_of(name))) return true;
    return false;
}

static bool is_on(const struct build_check *c, const char *name)
{
    const struct build_check_rule *r = find_rule(name);
    if (!r) return false;
    if (r->experimental && !c->experimental_all && !listed(&c->experimental, name)) return false;
    return !c->skip_all && !listed(&c->skip, name);
}

static void add(struct build_check *c, const char *rule, unsigned first, unsigned last,
                char *message)
{
    vec_push(&c->out->v, (struct build_check_finding){rule, first, last, message});
}

void build_check_report(struct build_check *c, const char *rule, const struct build_instr *in,
                        const char *fmt, ...)
{
    if (!is_on(c, rule)) return;
    own(str) struct str s = {0};
    va_list ap;
    va_start(ap, fmt);
    str_vaddf(&s, fmt, ap);
    va_end(ap);
    add(c, find_rule(rule)->name, in->first_line, in->code_last_line, str_take(&s));
}

// The directive

static int bad_directive(struct sv part, const char *hint, struct err *e)
{
    err_set(e, ERR_INPUT, "the check directive has '%.*s'", (int)part.n, part.p);
    return err_hint(e, "%s", hint);
}

static void split_list(struct sv list, struct strv *out, bool *all)
{
    while (list.p) {
        struct sv one = sv_trim(sv_cut(&list, ','));
        if (sv_eq_nocase(one, SV("all"))) *all = true;
        else if (one.n) strv_take(out, sv_dup(one));
    }
}

static int read_directive(struct build_check *c, struct err *e)
{
    struct sv rest = sv_of(c->f->check ? c->f->check : "");
    const char *name = "BUILDKIT_DOCKERFILE_CHECK=";  // a build argument of this name wins
    for (size_t i = 0; c->opt->build_args && i < c->opt->build_args->n; i++)
        if (sv_starts(sv_of(c->opt->build_args->p[i]), name))
            rest = sv_from(sv_of(c->opt->build_args->p[i]), strlen(name));
    while (rest.p) {
        struct sv part = sv_trim(sv_cut(&rest, ';'));
        struct sv value = part;
        struct sv key = sv_trim(sv_cut(&value, '='));
        if (part.n == 0) continue;
        value = sv_trim(value);
        if (sv_eq_nocase(key, SV("skip"))) {
            split_list(value, &c->skip, &c->skip_all);
        } else if (sv_eq_nocase(key, SV("experimental"))) {
            split_list(value, &c->experimental, &c->experimental_all);
        } else if (sv_eq_nocase(key, SV("error"))) {
            bool yes = sv_eq_nocase(value, SV("true")) || sv_eqz(value, "1");
            if (!yes && !sv_eq_nocase(value, SV("false")) && !sv_eqz(value, "0"))
                return bad_directive(part, "error is true or false", e);
            c->out->is_error = yes;
        } else {
            return bad_directive(part, "it takes skip=RULE,RULE;error=true;experimental=RULE", e);
        }
    }
    return 0;
}

// Running

static int by_line(const void *a, const void *b)
{
    const struct build_check_finding *x = a, *y = b;
    if (x->first_line != y->first_line) return x->first_line < y->first_line ? -1 : 1;
    int r = strcmp(x->rule, y->rule);
    return r ? r : strcmp(x->message, y->message);
}

static void forget_twice(struct build_check_list *l)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->v.n; i++) {
        if (kept && by_line(&l->v.p[kept - 1], &l->v.p[i]) == 0) {
            free(l->v.p[i].message);
            continue;
        }
        l->v.p[kept++] = l->v.p[i];
    }
    l->v.n = kept;
}

static void fini(struct build_check *c)
{
    strv_fini(&c->skip);
    strv_fini(&c->experimental);
    map_fini(&c->globals);
    map_fini(&c->defaults);
    vec_each(s, &c->stages) build_check_stage_fini(s);
    vec_fini(&c->stages);
}

int build_check_run(const struct build_file *f, const struct build_check_options *opt,
                    struct build_check_list *out, struct err *e)
{
    struct build_check_list found = {0};
    struct build_check c = {.f = f, .opt = opt, .out = &found};
    if (read_directive(&c, e) < 0) {
        fini(&c);
        return err_wrap(e, "%s:%u: # check=%s", f->label, f->check_line, f->check ? f->check : "");
    }
    build_check_scope_init(&c);
    vec_each(w, &f->warnings)
    {
        if (is_on(&c, w->rule)) add(&c, w->rule, w->line, w->line, str_dup(w->text));
    }
    build_check_file(&c);
    vec_each(in, &f->instrs) build_check_instr(&c, in);
    if (found.v.n) qsort(found.v.p, found.v.n, sizeof *found.v.p, by_line);
    forget_twice(&found);
    found.is_error &= found.v.n > 0;
    fini(&c);
    *out = found;
    return 0;
}

void build_check_list_fini(struct build_check_list *l)
{
    vec_each(f, &l->v) free(f->message);
    vec_fini(&l->v);
}

static void print_json(const struct build_file *f, const struct build_check_list *l,
                       struct str *out)
{
    struct codec_json *top = codec_json_new_object(), *a = codec_json_new_array();
    vec_each(w, &l->v)
    {
        struct codec_json *o = codec_json_new_object();
        codec_json_set_text(o, "ruleName", w->rule);
        codec_json_set_text(o, "description", find_rule(w->rule)->text);
        codec_json_set_text(o, "detail", w->message);
        codec_json_set_text(o, "file", f->label);
        codec_json_set(o, "firstLine", codec_json_new_int(w->first_line));
        codec_json_set(o, "lastLine", codec_json_new_int(w->last_line));
        codec_json_add(a, o);
    }
    codec_json_set(top, "warnings", a);
    codec_json_print_pretty(top, 2, out);
    str_addc(out, '\n');
    codec_json_free(top);
}

void build_check_print(const struct build_file *f, const struct build_check_list *l, bool json,
                       struct str *out)
{
    if (json) {
        print_json(f, l, out);
        return;
    }
    if (l->v.n == 0) {
        str_addz(out, "Check complete, no warnings found.\n");
        return;
    }
    str_addf(out, "Check complete, %zu warning%s been found!\n", l->v.n,
             l->v.n == 1 ? " has" : "s have");
    vec_each(w, &l->v)
    {
        str_addf(out, "\nWARNING: %s\n", w->rule);
        str_add_escaped(out, sv_of(w->message));
        str_addc(out, '\n');
        build_dockerfile_excerpt(f, w->first_line, w->last_line, NULL, out);
    }
}
