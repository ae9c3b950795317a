// SPDX-License-Identifier: Apache-2.0
// The lock file's form. See build/lock.h.
#include "build/lock.h"

#include <stdlib.h>

#include "base/own.h"
#include "build/remote.h"
#include "codec/json.h"
#include "codec/unzip.h"
#include "oci/ref.h"

static void free_image(void *p)
{
    map_fini(&((struct build_lock_image *)p)->platforms);
    free(p);
}

void build_lock_init(struct build_lock *l)
{
    *l = (struct build_lock){.images = {.free_value = free_image},
                             .urls = {.free_value = free},
                             .git = {.free_value = free},
                             .results = {.free_value = free}};
}

void build_lock_fini(struct build_lock *l)
{
    map_fini(&l->images);
    map_fini(&l->urls);
    map_fini(&l->git);
    map_fini(&l->results);
    free(take_ptr(l->compressor));
}

char *build_lock_image_name(const char *text)
{
    struct oci_ref ref;
    struct err none;
    own(str) struct str out = {0};
    struct sv t = sv_of(text);
    bool id = sv_starts(t, "sha256:") || (t.n == 64 && strspn(text, "0123456789abcdef") == 64);
    if (id || oci_ref_parse(t, &ref, &none) < 0) return str_dup(text);
    oci_ref_default_tag(&ref);
    oci_ref_print(&ref, &out);
    return str_take(&out);
}

char *build_lock_path(const char *dockerfile)
{
    static const char *const usual[] = {"Dockerfile", "dockerfile", "Containerfile"};
    const char *slash = strrchr(dockerfile, '/');
    size_t dir = slash ? (size_t)(slash + 1 - dockerfile) : 0;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (strcmp(dockerfile + dir, usual[i]) == 0)
            return str_fmt("%.*sdewar.lock", (int)dir, dockerfile);
    return str_fmt("%s.lock", dockerfile);
}

// --- adding -------------------------------------------------------------------------------------
struct build_lock_image *build_lock_set_image(struct build_lock *l, const char *name)
{
    struct build_lock_image *im = map_get(&l->images, name);
    if (im) return im;
    im = mem_alloc(sizeof *im);
    im->platforms.free_value = free;
    map_set(&l->images, name, im);
    return im;
}

void build_lock_set_platform(struct build_lock_image *im, const char *platform,
                             const struct oci_digest *manifest, const struct oci_digest *image)
{
    struct build_lock_platform *p = mem_alloc(sizeof *p);
    *p = (struct build_lock_platform){*manifest, *image};
    map_set(&im->platforms, platform, p);
}

void build_lock_set_url(struct build_lock *l, const char *url, const struct oci_digest *digest,
                        uint64_t size)
{
    struct build_lock_url *u = mem_alloc(sizeof *u);
    *u = (struct build_lock_url){*digest, size};
    map_set(&l->urls, url, u);
}

void build_lock_set_git(struct build_lock *l, const char *name, const char *commit)
{
    struct build_lock_git *g = mem_alloc(sizeof *g);
    snprintf(g->commit, sizeof g->commit, "%s", commit);
    map_set(&l->git, name, g);
}

void build_lock_set_result(struct build_lock *l, const char *name, const struct oci_digest *image,
                           const struct oci_digest *context)
{
    struct build_lock_result *r = mem_alloc(sizeof *r);
    *r = (struct build_lock_result){*image, *context};
    map_set(&l->results, name, r);
}

// --- printing -----------------------------------------------------------------------------------
static void set_digest(struct codec_json *j, const char *key, const struct oci_digest *d)
{
    char text[OCI_DIGEST_TEXT];
    if (oci_digest_is_set(d)) codec_json_set_text(j, key, oci_digest_print(d, text));
}

static struct codec_json *image_json(const void *value)
{
    const struct build_lock_image *im = value;
    struct codec_json *j = codec_json_new_object(), *platforms = codec_json_new_object();
    set_digest(j, "digest", &im->digest);
    for (size_t i = 0; i < im->platforms.n; i++) {
        const struct build_lock_platform *p = im->platforms.p[i].value;
        struct codec_json *one = codec_json_new_object();
        set_digest(one, "image", &p->image);
        set_digest(one, "manifest", &p->manifest);
        codec_json_set(platforms, im->platforms.p[i].key, one);
    }
    codec_json_set(j, "platforms", platforms);
    return j;
}

static struct codec_json *url_json(const void *value)
{
    const struct build_lock_url *u = value;
    struct codec_json *j = codec_json_new_object();
    set_digest(j, "digest", &u->digest);
    codec_json_set(j, "size", codec_json_new_int((int64_t)u->size));
    return j;
}

static struct codec_json *git_json(const void *value)
{
    struct codec_json *j = codec_json_new_object();
    codec_json_set_text(j, "commit", ((const struct build_lock_git *)value)->commit);
    return j;
}

static struct codec_json *result_json(const void *value)
{
    const struct build_lock_result *r = value;
    struct codec_json *j = codec_json_new_object();
    set_digest(j, "context", &r->context);
    set_digest(j, "image", &r->image);
    return j;
}

static struct codec_json *map_json(const struct map *m,
                                   struct codec_json *(*one)(const void *value))
{
    struct codec_json *j = codec_json_new_object();
    for (size_t i = 0; i < m->n; i++) codec_json_set(j, m->p[i].key, one(m->p[i].value));
    return j;
}

void build_lock_print(const struct build_lock *l, struct str *out)
{
    struct codec_json *j = codec_json_new_object();
    codec_json_set_text(j, "compressor", l->compressor);
    codec_json_set(j, "git", map_json(&l->git, git_json));
    codec_json_set(j, "images", map_json(&l->images, image_json));
    codec_json_set(j, "results", map_json(&l->results, result_json));
    codec_json_set(j, "urls", map_json(&l->urls, url_json));
    codec_json_set(j, "version", codec_json_new_int(BUILD_LOCK_VERSION));
    codec_json_print_pretty(j, 2, out);
    str_addc(out, '\n');
    codec_json_free(j);
}

// --- parsing ------------------------------------------------------------------------------------
struct reader {
    struct build_lock *lock;
    const char *label;
};

static int bad(const struct reader *r, const char *key, const char *why, struct err *e)
{
    err_set(e, ERR_INPUT, "%s: '%.200s' %s", r->label, key, why);
    return err_hint(e, "write the file again with 'dewar lock'");
}

// Absent is fine unless `required`.
static int read_digest(const struct reader *r, const struct codec_json *j, const char *name,
                       bool required, const char *key, struct oci_digest *out, struct err *e)
{
    struct err why;
    const struct codec_json *v = codec_json_get(j, name);
    *out = (struct oci_digest){0};
    if (!v && !required) return 0;
    if (oci_digest_parse(codec_json_text(v), out, &why) == 0) return 0;
    return bad(r, key, "has no digest in the form sha256:HEX", e);
}

static int read_image(const struct reader *r, const char *key, const struct codec_json *j,
                      struct err *e)
{
    struct build_lock_image *im = build_lock_set_image(r->lock, key);
    const struct codec_json *platforms = codec_json_get(j, "platforms");
    void *it = NULL;
    const char *name;
    struct codec_json *one;
    if (read_digest(r, j, "digest", false, key, &im->digest, e) < 0) return -1;
    if (codec_json_type(platforms) != CODEC_JSON_OBJECT) return bad(r, key, "has no platforms", e);
    while (codec_json_next(platforms, &it, &name, &one)) {
        struct build_lock_platform p;
        if (read_digest(r, one, "image", true, key, &p.image, e) < 0 ||
            read_digest(r, one, "manifest", true, key, &p.manifest, e) < 0)
            return -1;
        build_lock_set_platform(im, name, &p.manifest, &p.image);
    }
    return 0;
}

static int read_url(const struct reader *r, const char *key, const struct codec_json *j,
                    struct err *e)
{
    struct oci_digest digest;
    int64_t size = codec_json_int(codec_json_get(j, "size"));
    if (read_digest(r, j, "digest", true, key, &digest, e) < 0) return -1;
    if (size < 0) return bad(r, key, "has no size", e);
    build_lock_set_url(r->lock, key, &digest, (uint64_t)size);
    return 0;
}

static int read_git(const struct reader *r, const char *key, const struct codec_json *j,
                    struct err *e)
{
    own(free) char *commit = sv_dup(codec_json_text(codec_json_get(j, "commit")));
    if (!build_remote_is_commit(commit)) return bad(r, key, "has no whole commit id", e);
    build_lock_set_git(r->lock, key, commit);
    return 0;
}

static int read_result(const struct reader *r, const char *key, const struct codec_json *j,
                       struct err *e)
{
    struct oci_digest image, context;
    if (read_digest(r, j, "image", true, key, &image, e) < 0 ||
        read_digest(r, j, "context", false, key, &context, e) < 0)
        return -1;
    build_lock_set_result(r->lock, key, &image, &context);
    return 0;
}

static const struct {
    const char *key;
    int (*read)(const struct reader *r, const char *key, const struct codec_json *j, struct err *e);
} sections[] = {
    {"git", read_git}, {"images", read_image}, {"results", read_result}, {"urls", read_url}};

static int read_sections(const struct reader *r, const struct codec_json *j, struct err *e)
{
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        const struct codec_json *section = codec_json_get(j, sections[i].key);
        void *it = NULL;
        const char *key;
        struct codec_json *value;
        if (!section) continue;
        if (codec_json_type(section) != CODEC_JSON_OBJECT)
            return bad(r, sections[i].key, "is no object", e);
        if (codec_json_len(section) > BUILD_LOCK_ENTRIES)
            return bad(r, sections[i].key, "has too many entries", e);
        while (codec_json_next(section, &it, &key, &value)) {
            if (codec_json_type(value) != CODEC_JSON_OBJECT) return bad(r, key, "is no object", e);
            if (sections[i].read(r, key, value, e) < 0) return -1;
        }
    }
    return 0;
}

int build_lock_parse(struct sv text, const char *label, struct build_lock *out, struct err *e)
{
    own(codec_json) struct codec_json *j = NULL;
    own(build_lock) struct build_lock l;
    struct reader r = {&l, label};
    build_lock_init(&l);
    if (codec_json_parse(text, label, &j, e) < 0) return -1;
    int64_t version = codec_json_int(codec_json_get(j, "version"));
    if (codec_json_type(j) != CODEC_JSON_OBJECT || version < 1)
        return bad(&r, "version", "is missing: this is no lock", e);
    if (version > BUILD_LOCK_VERSION) {
        err_set(e, ERR_UNSUPPORTED, "%s: version %lld was written by a later dewar", label,
                (long long)version);
        return err_hint(e, "this one reads version %d", BUILD_LOCK_VERSION);
    }
    if (read_sections(&r, j, e) < 0) return -1;
    const struct codec_json *compressor = codec_json_get(j, "compressor");
    if (compressor) l.compressor = sv_dup(codec_json_text(compressor));
    *out = l;
    build_lock_init(&l);
    return 0;
}
