// SPDX-License-Identifier: Apache-2.0
// The grammar of --cache-to and --cache-from. One row a key: which flag and which types take it.
#include "build/cachespec.h"

#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/own.h"
#include "base/str.h"
#include "oci/ref.h"

#define TO 1U
#define FROM 2U
#define LOCAL (1U << BUILD_CACHESPEC_LOCAL)
#define REGISTRY (1U << BUILD_CACHESPEC_REGISTRY)
#define INLINE (1U << BUILD_CACHESPEC_INLINE)
#define LEVEL_MAX 22

static const char *const type_names[BUILD_CACHESPEC_TYPE_COUNT] = {"inline", "registry", "local"};

const char *build_cachespec_type_name(enum build_cachespec_type t)
{
    return t < BUILD_CACHESPEC_TYPE_COUNT ? type_names[t] : "?";
}

struct word {
    const char *text;
    int value;
};
static const struct word modes[] = {{"min", 0}, {"max", 1}, {NULL, 0}};
static const struct word bools[] = {{"true", 1}, {"1", 1}, {"false", 0}, {"0", 0}, {NULL, 0}};
static const struct word only_true[] = {{"true", 1}, {"1", 1}, {NULL, 0}};
static const struct word zips[] = {{"zstd", CODEC_ZIP_ZSTD},
                                   {"gzip", CODEC_ZIP_GZIP},
                                   {"uncompressed", CODEC_ZIP_NONE},
                                   {NULL, 0}};

struct seen {
    int mode, mounts, ignore_error, insecure, zip, level, unused;
    struct sv ref, folder;
    unsigned set;  // bit per row
};

static const struct row {
    const char *key;
    unsigned flags, types;
    size_t text;  // offset of a struct sv, when `words` is NULL and it is no number
    const struct word *words;
    size_t value;  // offset of an int
} rows[] = {
    {"ref", TO | FROM, REGISTRY, offsetof(struct seen, ref), NULL, 0},
    {"dest", TO, LOCAL, offsetof(struct seen, folder), NULL, 0},
    {"src", FROM, LOCAL, offsetof(struct seen, folder), NULL, 0},
    {"mode", TO, LOCAL | REGISTRY | INLINE, 0, modes, offsetof(struct seen, mode)},
    {"mounts", TO | FROM, LOCAL, 0, bools, offsetof(struct seen, mounts)},
    {"ignore-error", TO, LOCAL | REGISTRY, 0, bools, offsetof(struct seen, ignore_error)},
    {"compression", TO, LOCAL | REGISTRY, 0, zips, offsetof(struct seen, zip)},
    {"compression-level", TO, LOCAL | REGISTRY, 0, NULL, offsetof(struct seen, level)},
    {"insecure", TO | FROM, REGISTRY, 0, bools, offsetof(struct seen, insecure)},
    // What others offer and we always do.
    {"oci-mediatypes", TO, LOCAL | REGISTRY, 0, only_true, offsetof(struct seen, unused)},
    {"image-manifest", TO, LOCAL | REGISTRY, 0, only_true, offsetof(struct seen, unused)},
};
#define ROWS (sizeof rows / sizeof *rows)

struct parse {
    const char *flag, *text;
    unsigned to;
    enum build_cachespec_type type;
    struct seen seen;
};

static int bad_type(const struct parse *p, struct sv name, struct err *e)
{
    static const char *const others[] = {"gha", "s3", "azblob"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (!sv_eqz(name, others[i])) continue;
        err_set(e, ERR_USAGE, "%s '%s': the type '%s' is not supported", p->flag, p->text,
                others[i]);
        return err_hint(e, "use type=local with a folder that your service keeps, or type=registry");
    }
    err_set(e, ERR_USAGE, "%s '%s': the type is not known", p->flag, p->text);
    return err_hint(e, p->to == TO ? "types are: inline, registry, local" : "types are: registry, local");
}

static int find_type(struct parse *p, struct err *e)
{
    struct sv rest = sv_of(p->text);
    while (rest.p) {
        struct sv value = sv_cut(&rest, ','), key = sv_cut(&value, '=');
        if (!sv_eqz(key, "type")) continue;
        for (int i = 0; i < BUILD_CACHESPEC_TYPE_COUNT; i++) {
            if (!sv_eqz(value, type_names[i])) continue;
            p->type = (enum build_cachespec_type)i;
            if (i != BUILD_CACHESPEC_INLINE || p->to == TO) return 0;
            err_set(e, ERR_USAGE, "%s '%s': a cache inside an image is read by its name", p->flag,
                    p->text);
            return err_hint(e, "write --cache-from IMAGE");
        }
        return bad_type(p, value, e);
    }
    return bad_type(p, SV(""), e);
}

static int bad_value(const struct parse *p, const struct row *r, struct sv value, struct err *e)
{
    own(str) struct str known = {0};
    for (const struct word *w = r->words; w && w->text; w++)
        str_addf(&known, "%s%s", known.n ? ", " : "", w->text);
    err_set(e, ERR_USAGE, "%s '%s': %s cannot be '%.*s'", p->flag, p->text, r->key, (int)value.n,
            value.p ? value.p : "");
    return r->words ? err_hint(e, "it takes: %s", str_z(&known)) : -1;
}

static int set_row(struct parse *p, size_t i, struct sv value, struct err *e)
{
    const struct row *r = &rows[i];
    char *seen = (char *)&p->seen;
    int *number = (int *)(void *)(seen + r->value);
    if (p->seen.set & 1U << i)
        return err_set(e, ERR_USAGE, "%s '%s': %s is given twice", p->flag, p->text, r->key);
    p->seen.set |= 1U << i;
    if (!r->words && r->value) {
        uint64_t level;
        if (!num_u64_max(value, LEVEL_MAX, &level)) return bad_value(p, r, value, e);
        *number = (int)level;
        return 0;
    }
    if (!r->words) {
        if (value.n == 0) return bad_value(p, r, value, e);
        *(struct sv *)(void *)(seen + r->text) = value;
        return 0;
    }
    for (const struct word *w = r->words; w->text; w++)
        if (sv_eqz(value, w->text)) {
            *number = w->value;
            return 0;
        }
    return bad_value(p, r, value, e);
}

static int set_key(struct parse *p, struct sv key, struct sv value, struct err *e)
{
    own(str) struct str known = {0};
    for (size_t i = 0; i < ROWS; i++) {
        if (!(rows[i].flags & p->to) || !(rows[i].types & 1U << p->type)) continue;
        if (sv_eqz(key, rows[i].key)) return set_row(p, i, value, e);
        str_addf(&known, "%s%s", known.n ? ", " : "", rows[i].key);
    }
    err_set(e, ERR_USAGE, "%s '%s': type=%s has no key '%.*s'", p->flag, p->text,
            type_names[p->type], (int)key.n, key.p ? key.p : "");
    return err_hint(e, "it takes: %s", str_z(&known));
}

static int check_ref(const struct parse *p, const char *ref, struct err *e)
{
    struct oci_ref r;
    if (oci_ref_parse(sv_of(ref), &r, e) < 0) {
        e->kind = ERR_USAGE;
        return err_wrap(e, "%s '%s'", p->flag, p->text);
    }
    if (p->to == TO && oci_digest_is_set(&r.digest))
        return err_set(e, ERR_USAGE, "%s '%s': ref must not have a digest", p->flag, p->text);
    return 0;
}

static int fill(const struct parse *p, struct build_cachespec *out, struct err *e)
{
    const struct seen *s = &p->seen;
    if (p->type == BUILD_CACHESPEC_LOCAL && !s->folder.n) {
        err_set(e, ERR_USAGE, "%s '%s' names no folder", p->flag, p->text);
        return err_hint(e, "add %s=FOLDER", p->to == TO ? "dest" : "src");
    }
    if (p->type == BUILD_CACHESPEC_REGISTRY && !s->ref.n) {
        err_set(e, ERR_USAGE, "%s '%s' names no image", p->flag, p->text);
        return err_hint(e, "add ref=REGISTRY/NAME:TAG");
    }
    if (p->type == BUILD_CACHESPEC_INLINE && s->mode) {
        err_set(e, ERR_USAGE, "%s '%s': an image holds no layers of other stages", p->flag, p->text);
        return err_hint(e, "use mode=max with type=registry or type=local");
    }
    *out = (struct build_cachespec){
        .type = p->type,
        .max = s->mode == 1,
        .mounts = s->mounts == 1,
        .ignore_error = s->ignore_error == 1,
        .insecure = s->insecure == 1,
        .compression = (enum codec_zip)s->zip,
        .level = s->level,
    };
    if (s->ref.n) out->ref = sv_dup(s->ref);
    if (s->folder.n) out->folder = sv_dup(s->folder);
    if (out->ref && check_ref(p, out->ref, e) < 0) {
        build_cachespec_fini(out);
        return -1;
    }
    return 0;
}

int build_cachespec_parse(const char *text, bool to, struct build_cachespec *out, struct err *e)
{
    struct parse p = {.flag = to ? "--cache-to" : "--cache-from", .text = text, .to = to ? TO : FROM,
                      .seen = {.zip = CODEC_ZIP_ZSTD}};
    if (!strchr(text, '=')) {
        p.type = BUILD_CACHESPEC_REGISTRY;
        p.seen.ref = sv_of(text);
        if (fill(&p, out, e) < 0) return -1;
        out->bare = true;
        return 0;
    }
    if (find_type(&p, e) < 0) return -1;
    struct sv rest = sv_of(text);
    while (rest.p) {
        struct sv value = sv_cut(&rest, ','), key = sv_cut(&value, '=');
        if (!sv_eqz(key, "type") && set_key(&p, key, value, e) < 0) return -1;
    }
    return fill(&p, out, e);
}

void build_cachespec_fini(struct build_cachespec *s)
{
    free(s->ref);
    free(s->folder);
    s->ref = s->folder = NULL;
}

char *build_cachespec_label(const struct build_cachespec *s)
{
    if (s->type == BUILD_CACHESPEC_LOCAL) return str_fmt("folder '%s'", s->folder);
    return s->ref ? str_fmt("'%s'", s->ref) : str_dup("the image");
}
