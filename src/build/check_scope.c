// SPDX-License-Identifier: Apache-2.0
// Which variables are set where, for the checks: an evaluation of ARG and ENV that never fails, and
// leaves a value open where it cannot be known without building.
#include <stdlib.h>

#include "base/own.h"
#include "build/check_internal.h"
#include "build/heredoc.h"
#include "build/suggest.h"

static const char *const platform_args[] = {
    "BUILDPLATFORM", "BUILDOS", "BUILDOSVERSION", "BUILDARCH", "BUILDVARIANT",
    "TARGETPLATFORM", "TARGETOS", "TARGETOSVERSION", "TARGETARCH", "TARGETVARIANT", "TARGETSTAGE",
};
static const char *const proxy_args[] = {
    "HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY",
};

static void set(struct map *m, const char *key, const char *value)
{
    m->free_value = free;
    map_set(m, key, str_dup(value));
}

static void copy_vars(struct map *to, const struct map *from)
{
    for (size_t i = 0; i < from->n; i++) set(to, from->p[i].key, from->p[i].value);
}

void build_check_stage_fini(struct build_check_stage *s)
{
    free(s->name);
    map_fini(&s->vars);
}

void build_check_scope_init(struct build_check *c)
{
    for (size_t i = 0; i < sizeof platform_args / sizeof *platform_args; i++) {
        set(&c->globals, platform_args[i], "platform");
        set(&c->defaults, platform_args[i], "platform");
    }
}

const char *build_check_scope_get(void *map, const char *name)
{
    return map_get(map, name);
}

const char *build_check_scope_near(const struct map *vars, const char *name)
{
    own(strv) struct strv names = {0};
    for (size_t i = 0; i < vars->n; i++) strv_add(&names, vars->p[i].key);
    const char *near = build_suggest_find(sv_of(name), &names);
    long i = near ? strv_find(&names, near) : -1;
    return i < 0 ? NULL : vars->p[i].key;
}

// The value that --build-arg gives, NULL if none.
static const char *build_arg(const struct build_check *c, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; c->opt->build_args && i < c->opt->build_args->n; i++) {
        const char *kv = c->opt->build_args->p[i];
        if (strncmp(kv, name, n) == 0 && kv[n] == '=') return kv + n + 1;
    }
    return NULL;
}

static void apply_global(struct build_check *c, const struct build_instr *in)
{
    for (size_t i = 0; i < in->words.n; i++) {
        struct build_pair p = {0};
        struct err ignored = {0};
        struct build_expand x = {.get = build_check_scope_get, .arg = &c->globals,
                                 .escape = c->f->escape};
        if (build_instr_arg(in, i, &x, NULL, &p, &ignored) < 0) continue;
        const char *given = build_arg(c, p.key);
        set(&c->globals, p.key, given ? given : p.value);
        set(&c->defaults, p.key, p.value);
        build_pair_fini(&p);
    }
}

static void apply_pairs(struct build_check *c, const struct build_instr *in)
{
    struct build_check_stage *s = build_check_now(c);
    struct build_pairs pairs = {0};
    struct err ignored = {0};
    struct build_expand x = {.get = build_check_scope_get, .arg = &s->vars,
                             .escape = c->f->escape};
    if (build_instr_pairs(in, &x, &pairs, &ignored) < 0) return;
    vec_each(p, &pairs.v)
    {
        const char *value = p->value;
        if (in->def->id == BUILD_ARG) {
            const char *given = build_arg(c, p->key);
            if (given) value = given;
            else if (!value) value = map_get(&c->globals, p->key);
        }
        set(&s->vars, p->key, value);
    }
    build_pairs_fini(&pairs);
}

void build_check_scope_apply(struct build_check *c, const struct build_instr *in)
{
    struct build_check_stage *s = build_check_now(c);
    if (!s) {
        if (in->def->id == BUILD_ARG) apply_global(c, in);
        return;
    }
    if (in->def->id == BUILD_ARG || in->def->id == BUILD_ENV) apply_pairs(c, in);
    if (in->def->id == BUILD_SHELL) s->shell = true;
    c->last[in->def->id] = in;
}

static const struct build_check_stage *find_stage(const struct build_check *c, const char *name)
{
    for (size_t i = c->stages.n; i-- > 0;)
        if (c->stages.p[i].name && sv_eq_nocase(sv_of(c->stages.p[i].name), sv_of(name)))
            return &c->stages.p[i];
    return NULL;
}

static void inherit_image(struct build_check *c, const char *image, struct build_check_stage *s)
{
    own(strv) struct strv env = {0};
    set(&s->vars, "PATH", NULL);
    s->env_known = strcmp(image, "scratch") == 0;
    if (s->env_known || !c->opt->image_env) return;
    s->env_known = c->opt->image_env(c->opt->arg, image, &env);
    for (size_t i = 0; i < env.n; i++) {
        struct sv value = sv_of(env.p[i]);
        own(free) char *key = sv_dup(sv_cut(&value, '='));
        set(&s->vars, key, value.p);
    }
}

void build_check_scope_from(struct build_check *c, const struct build_instr *in, const char *image,
                            const char *name)
{
    struct build_check_stage s = {.name = str_dup(name)};
    const struct build_check_stage *base = find_stage(c, image);
    (void)in;
    if (base) {
        copy_vars(&s.vars, &base->vars);
        s.env_known = base->env_known;
        s.absolute = base->absolute;
        s.shell = base->shell;
    } else {
        inherit_image(c, image, &s);
    }
    vec_push(&c->stages, s);
    memset(c->last, 0, sizeof c->last);
}

// UndefinedVar

struct use {
    struct build_check *c;
    const struct build_instr *in;
    const struct map *vars;
};

static bool predefined(const char *name)
{
    for (size_t i = 0; i < sizeof proxy_args / sizeof *proxy_args; i++)
        if (sv_eq_nocase(sv_of(name), sv_of(proxy_args[i]))) return true;
    return false;
}

static void told_unset(void *arg, const char *name)
{
    struct use *u = arg;
    struct build_check_stage *s = build_check_now(u->c);
    if (map_has(u->vars, name) || predefined(name)) return;
    const char *near = build_check_scope_near(u->vars, name);
    if (near)
        build_check_report(u->c, "UndefinedVar", u->in,
                           "variable '$%s' is used but never set (did you mean $%s?)", name, near);
    else if (s->env_known)
        build_check_report(u->c, "UndefinedVar", u->in, "variable '$%s' is used but never set",
                           name);
}

static const char *get_of_use(void *arg, const char *name)
{
    struct use *u = arg;
    return map_get(u->vars, name);
}

static void look_at(const struct build_expand *x, const char *word)
{
    own(str) struct str out = {0};
    struct err ignored = {0};
    build_expand_word(x, sv_of(word), &out, &ignored);
}

// The reader keeps KEY VALUE for pairs, so every word is text to expand.
void build_check_scope_vars(struct build_check *c, const struct build_instr *in)
{
    struct use u = {c, in, &build_check_now(c)->vars};
    struct build_expand x = {.get = get_of_use, .unset = told_unset, .arg = &u,
                             .escape = c->f->escape};
    for (size_t i = 0; in->def->expand && i < in->words.n; i++) {
        struct build_heredoc h = {0};
        struct err ignored = {0};
        if (build_heredoc_word(sv_of(in->words.p[i]), &h, &ignored) == 1) build_heredoc_fini(&h);
        else look_at(&x, in->words.p[i]);
    }
    vec_each(f, &in->flags)
    {
        if (f->def->expand) look_at(&x, f->value);
    }
    vec_each(h, &in->heredocs)
    {
        own(str) struct str out = {0};
        struct err ignored = {0};
        bool copies = in->def->id == BUILD_COPY || in->def->id == BUILD_ADD;
        if (h->expand && copies)
            build_expand_heredoc(&x, (struct sv){h->body, h->body_n}, &out, &ignored);
    }
}
