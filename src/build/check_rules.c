// SPDX-License-Identifier: Apache-2.0
// The rules, one small function each, in a table by instruction.
#include <ctype.h>
#include <stdlib.h>

#include "base/own.h"
#include "build/check_internal.h"
#include "build/glob.h"
#include "build/path.h"
#include "oci/ref.h"

static bool has_upper(const char *z)
{
    for (; *z; z++)
        if (isupper((unsigned char)*z)) return true;
    return false;
}

static bool has_lower(const char *z)
{
    for (; *z; z++)
        if (islower((unsigned char)*z)) return true;
    return false;
}

// FROM

static void from_names(struct build_check *c, const struct build_instr *in)
{
    if (in->words.n < 3) return;
    const char *as = in->words.p[1], *name = in->words.p[2];
    if (has_upper(name))
        build_check_report(c, "StageNameCasing", in, "stage name '%s' should be lower case", name);
    if (has_upper(in->spelt) != has_upper(as) || has_lower(in->spelt) != has_lower(as))
        build_check_report(c, "FromAsCasing", in, "'%s' and '%s' are not written in the same case",
                           in->spelt, as);
    if (sv_eq_nocase(sv_of(name), SV("scratch")) || sv_eq_nocase(sv_of(name), SV("context")))
        build_check_report(c, "ReservedStageName", in, "'%s' has a meaning of its own", name);
    vec_each(s, &c->stages)
    {
        if (s->name && sv_eq_nocase(sv_of(s->name), sv_of(name)))
            build_check_report(c, "DuplicateStageName", in,
                               "the name '%s' is taken by an earlier stage", name);
    }
}

static void from_platform(struct build_check *c, const struct build_instr *in)
{
    const char *p = build_instr_flag(in, "platform");
    if (!p) return;
    if (strcmp(p, "$TARGETPLATFORM") == 0 || strcmp(p, "${TARGETPLATFORM}") == 0)
        build_check_report(c, "RedundantTargetPlatform", in,
                           "'--platform=%s' is what FROM does without the flag", p);
    else if (!strchr(p, '$'))
        build_check_report(c, "FromPlatformFlagConstDisallowed", in,
                           "'--platform=%s' ties the stage to one platform", p);
}

struct from_use {
    struct build_check *c;
    const struct build_instr *in;
};

static void from_unset(void *arg, const char *name)
{
    struct from_use *u = arg;
    if (map_has(&u->c->globals, name)) return;
    const char *near = build_check_scope_near(&u->c->globals, name);
    build_check_report(u->c, "UndefinedArgInFrom", u->in,
                       "ARG '%s' is not declared above the first FROM%s%s%s", name,
                       near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
}

static const char *from_get(void *arg, const char *name)
{
    struct from_use *u = arg;
    return map_get(&u->c->globals, name);
}

static void from_default(struct build_check *c, const struct build_instr *in)
{
    struct build_expand x = {.get = build_check_scope_get, .arg = &c->defaults,
                             .escape = c->f->escape};
    struct oci_ref ref;
    struct err ignored = {0};
    own(str) struct str image = {0};
    const char *word = in->words.p[0];
    if (!strchr(word, '$') || build_expand_word(&x, sv_of(word), &image, &ignored) < 0) return;
    if (image.n > 0 && oci_ref_parse(str_sv(&image), &ref, &ignored) >= 0) return;
    build_check_report(c, "InvalidDefaultArgInFrom", in,
                       "without build arguments '%s' gives the image name '%s'", word,
                       str_z(&image));
}

static void describes(struct build_check *c, const struct build_instr *in, const char *name)
{
    if (!*in->comment || !name) return;
    size_t n = strlen(name);
    for (struct sv rest = sv_of(in->comment); rest.p;) {
        struct sv l = sv_cut(&rest, '\n');
        if (l.n > n && sv_eqz(sv_part(l, 0, n), name) && l.p[n] == ' ') return;
    }
    build_check_report(c, "InvalidDefinitionDescription", in,
                       "the comment above should read '# %s <description>', or stand apart by an "
                       "empty line", name);
}

static void check_from(struct build_check *c, const struct build_instr *in)
{
    struct from_use u = {c, in};
    struct build_expand x = {.get = from_get, .unset = from_unset, .arg = &u,
                             .escape = c->f->escape};
    own(str) struct str image = {0};
    own(str) struct str platform = {0};
    own(free) char *name = NULL;
    struct err ignored = {0};
    from_names(c, in);
    from_platform(c, in);
    from_default(c, in);
    build_expand_word(&x, sv_of(in->words.p[0]), &image, &ignored);
    const char *p = build_instr_flag(in, "platform");
    if (p) build_expand_word(&x, sv_of(p), &platform, &ignored);
    if (build_instr_from_name(in, &name, &ignored) < 0) return;
    describes(c, in, name);
    build_check_scope_from(c, in, str_z(&image), name);
}

// ARG, ENV, LABEL

// One of the words between underscores says secret, and none says public.
static bool sounds_secret(const char *name)
{
    static const char *const words[] = {"apikey", "auth", "credential", "credentials", "key",
                                        "password", "pword", "passwd", "secret", "token"};
    bool secret = false;
    for (struct sv rest = sv_of(name); rest.p;) {
        struct sv part = sv_cut(&rest, '_');
        if (sv_eq_nocase(part, SV("public"))) return false;
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            secret |= sv_eq_nocase(part, sv_of(words[i]));
    }
    return secret;
}

static void check_secrets(struct build_check *c, const struct build_instr *in)
{
    bool arg = in->def->id == BUILD_ARG;
    for (size_t i = 0; i < in->words.n; i += arg ? 1 : 2) {
        struct sv key = sv_of(in->words.p[i]);
        own(free) char *name = sv_dup(sv_cut(&key, '='));
        if (sounds_secret(name))
            build_check_report(c, "SecretsUsedInArgOrEnv", in,
                               "%s '%s' sounds like a secret, and the image would keep it: use "
                               "RUN --mount=type=secret", in->def->name, name);
        if (arg) describes(c, in, name);
    }
}

static void check_pairs(struct build_check *c, const struct build_instr *in)
{
    if (in->def->id == BUILD_ENV) check_secrets(c, in);
    if (in->legacy_pairs)
        build_check_report(c, "LegacyKeyValueFormat", in, "write '%s %s=VALUE' with '='",
                           in->def->name, in->words.p[0]);
}

// Others

static void check_json(struct build_check *c, const struct build_instr *in)
{
    struct build_check_stage *s = build_check_now(c);
    if (in->json || in->words.n == 0 || (s && s->shell)) return;
    build_check_report(c, "JSONArgsRecommended", in,
                       "%s runs below a shell that keeps signals away: write it as JSON",
                       in->def->name);
}

static void check_once(struct build_check *c, const struct build_instr *in)
{
    const struct build_instr *before = c->last[in->def->id];
    if (before)
        build_check_report(c, "MultipleInstructionsDisallowed", before,
                           "a later %s of the same stage replaces this one", in->def->name);
}

static void check_command(struct build_check *c, const struct build_instr *in)
{
    check_json(c, in);
    check_once(c, in);
}

static void check_maintainer(struct build_check *c, const struct build_instr *in)
{
    build_check_report(c, "MaintainerDeprecated", in,
                       "MAINTAINER is deprecated: use LABEL org.opencontainers.image.authors=...");
}

static void check_workdir(struct build_check *c, const struct build_instr *in)
{
    struct build_check_stage *s = build_check_now(c);
    struct build_expand x = {.get = build_check_scope_get, .escape = c->f->escape};
    own(str) struct str path = {0};
    struct err ignored = {0};
    if (!s) return;
    x.arg = &s->vars;
    if (build_expand_word(&x, sv_of(in->words.p[0]), &path, &ignored) < 0) return;
    if (sv_starts(str_sv(&path), "/")) s->absolute = true;
    else if (!s->absolute && !strchr(in->words.p[0], '$'))
        build_check_report(c, "WorkdirRelativePath", in,
                           "where '%s' is depends on the base image: write an absolute path",
                           in->words.p[0]);
}

static void check_expose(struct build_check *c, const struct build_instr *in)
{
    for (size_t i = 0; i < in->words.n; i++) {
        const char *w = in->words.p[i], *slash = strchr(w, '/');
        if (strchr(w, '$')) continue;
        if (strchr(w, ':'))
            build_check_report(c, "ExposeInvalidFormat", in,
                               "'%s': EXPOSE takes the container's port alone", w);
        if (slash && has_upper(slash))
            build_check_report(c, "ExposeProtoCasing", in,
                               "the protocol of '%s' should be lower case", w);
    }
}

static void check_source(struct build_check *c, const struct build_instr *in, const char *word)
{
    struct build_check_stage *s = build_check_now(c);
    struct build_expand x = {
        .get = build_check_scope_get, .escape = c->f->escape, .keep_unset = true};
    own(str) struct str path = {0};
    struct err ignored = {0};
    unsigned line = 0;
    x.arg = &s->vars;
    if (sv_starts(sv_of(word), "<<") || strstr(word, "://")) return;
    if (build_expand_word(&x, sv_of(word), &path, &ignored) < 0) return;
    if (build_glob_magic(str_sv(&path)) || strchr(str_z(&path), '$')) return;
    own(free) char *clean = build_path_join("/", str_sv(&path));
    if (!clean[1] || !build_ignore_match(c->opt->ignore, clean + 1, &line)) return;
    if (build_ignore_may_keep(c->opt->ignore, clean + 1)) return;
    build_check_report(c, "CopyIgnoredFile", in,
                       "%s of '%s', which line %u of .dockerignore leaves out", in->def->name, word,
                       line);
}

static void check_copy(struct build_check *c, const struct build_instr *in)
{
    if (!c->opt->ignore || build_instr_flag(in, "from") || !build_check_now(c)) return;
    for (size_t i = 0; i + 1 < in->words.n; i++) check_source(c, in, in->words.p[i]);
}

static void (*const rules[BUILD_INSTR_COUNT])(struct build_check *, const struct build_instr *) = {
    [BUILD_ADD] = check_copy,           [BUILD_ARG] = check_secrets,
    [BUILD_CMD] = check_command,        [BUILD_COPY] = check_copy,
    [BUILD_ENTRYPOINT] = check_command, [BUILD_ENV] = check_pairs,
    [BUILD_EXPOSE] = check_expose,      [BUILD_FROM] = check_from,
    [BUILD_HEALTHCHECK] = check_once,   [BUILD_LABEL] = check_pairs,
    [BUILD_MAINTAINER] = check_maintainer, [BUILD_WORKDIR] = check_workdir,
};

void build_check_instr(struct build_check *c, const struct build_instr *in)
{
    if (rules[in->def->id]) rules[in->def->id](c, in);
    if (in->def->id == BUILD_FROM) return;
    if (build_check_now(c)) build_check_scope_vars(c, in);
    build_check_scope_apply(c, in);
}

// The case that most instructions have; mixed spelling is always a finding.
void build_check_file(struct build_check *c)
{
    size_t upper = 0, lower = 0;
    vec_each(in, &c->f->instrs)
    {
        if (!has_lower(in->spelt)) upper++;
        else if (!has_upper(in->spelt)) lower++;
    }
    bool want_lower = lower > upper;
    vec_each(in, &c->f->instrs)
    {
        if (want_lower ? !has_upper(in->spelt) : !has_lower(in->spelt)) continue;
        build_check_report(c, "ConsistentInstructionCasing", in,
                           "'%s' should be written in %s case like the others", in->spelt,
                           want_lower ? "lower" : "upper");
    }
}
