// SPDX-License-Identifier: Apache-2.0
// A lock at work. See build/pin.h.
#include "build/pin.h"

#include <errno.h>
#include <stdlib.h>

#include "base/own.h"
#include "build/internal.h"
#include "codec/unzip.h"

// --- finding and reading
// ---------------------------------------------------------------------------- Where the lock is:
// given, inside a fetched context, or beside the Dockerfile. Nowhere when the Dockerfile came from
// stdin.
static void find_path(struct build_job *job, const char *label)
{
    struct build_pins *p = &job->pins;
    const struct build_options *opt = job->opt;
    const char *where = opt->context ? opt->context : ".";
    const struct build_context *c = &job->contexts.p[0];
    if (opt->lock_file) {
        p->path = str_dup(opt->lock_file);
    } else if (opt->file && strcmp(opt->file, "-") == 0) {
        return;
    } else if (c->fetched || strcmp(where, "-") == 0) {
        p->inside = true;
        p->path = build_lock_path(label);
    } else if (opt->file) {
        p->path = build_lock_path(opt->file);
    } else {
        own(free) char *dockerfile =
            strcmp(where, ".") == 0 ? str_dup(label) : str_fmt("%s/%s", where, label);
        p->path = build_lock_path(dockerfile);
    }
}

// 1: there is one.
static int read_lock(struct build_job *job, struct err *e)
{
    struct build_pins *p = &job->pins;
    own(str) struct str text = {.max = BUILD_LOCK_MAX + 1};
    if (!p->path) return 0;
    if (p->inside) {
        const struct root *root = &job->contexts.p[0].tree.root;
        own(fd) int fd = fs_in_try(root, p->path, O_RDONLY | O_NONBLOCK, 0);
        if (fd < 0) return 0;
        if (fs_in_read(root, p->path, BUILD_LOCK_MAX, &text, e) < 0) return -1;
    } else {
        if (!fs_exists(AT_FDCWD, p->path)) return 0;
        if (fs_read_at(AT_FDCWD, p->path, BUILD_LOCK_MAX, &text, e) < 0) return -1;
    }
    return build_lock_parse(str_sv(&text), p->path, &p->lock, e) < 0 ? -1 : 1;
}

static int no_lock(const struct build_pins *p, struct err *e)
{
    err_set(e, ERR_NOT_FOUND, "there is no lock '%s'", p->path ? p->path : "dewar.lock");
    return err_hint(e, p->path ? "write it with: dewar lock" : "name it with --lock-file FILE");
}

int build_pin_open(struct build_job *job, const char *label, struct err *e)
{
    struct build_pins *p = &job->pins;
    struct err broken;
    build_lock_init(&p->lock);
    build_lock_init(&p->fresh);
    find_path(job, label);
    int rc = read_lock(job, &broken);
    if (job->opt->locked && p->use == BUILD_PIN_NONE) p->use = BUILD_PIN_ONLY;
    if (rc == 0 && (p->use == BUILD_PIN_ONLY || p->use == BUILD_PIN_CHECK)) return no_lock(p, e);
    if (rc < 0 && p->use == BUILD_PIN_NONE) {
        // A plain build does without it.
        event_warn(&job->en->sink, "the lock is not looked at: %s", err_cause(&broken));
        return 0;
    }
    if (rc < 0) {
        *e = broken;
        return -1;
    }
    if (rc == 1 && p->use == BUILD_PIN_NONE) p->use = BUILD_PIN_WARN;
    if (p->use == BUILD_PIN_WRITE)
        p->fresh.compressor = str_dup(codec_zipper_version(CODEC_ZIP_GZIP));
    return 0;
}

void build_pin_close(struct build_job *job)
{
    struct build_pins *p = &job->pins;
    free(take_ptr(p->path));
    build_lock_fini(&p->lock);
    build_lock_fini(&p->fresh);
}

// --- asking the lock ----------------------------------------------------------------------------
char *build_pin_git_name(const struct build_remote *r)
{
    return r->ref ? str_fmt("%s#%s", r->url, r->ref) : str_dup(r->url);
}

bool build_pin_is_exact(const char *image)
{
    struct sv t = sv_of(image);
    return strstr(image, "@sha256:") || sv_starts(t, "sha256:") ||
           (t.n == 64 && strspn(image, "0123456789abcdef") == 64);
}

// `dewar lock --update NAME`: by the name in the lock, or how the Dockerfile has it.
static bool wants_update(const struct build_pins *p, const char *name, const char *typed)
{
    if (!p->update) return false;
    return strv_find(p->update, name) >= 0 || strv_find(p->update, typed) >= 0 ||
           strv_find(p->update, "all") >= 0;
}

static bool uses_pins(const struct build_pins *p)
{
    return p->use == BUILD_PIN_ONLY || p->use == BUILD_PIN_WRITE;
}

int build_pin_missing(struct build_job *job, const struct strv *names, struct err *e)
{
    own(str) struct str list = {.max = 700};
    for (size_t i = 0; i < names->n; i++) {
        if (i == 5) str_addf(&list, " and %zu more", names->n - i);
        if (i >= 5) break;
        str_addf(&list, "%s'%.*s'", i ? ", " : "", 120, names->p[i]);
    }
    err_set(e, ERR_INPUT, "%s lacks %s", job->pins.path, str_z(&list));
    return err_hint(e, "add what is new with: dewar lock");
}

static int lacks(struct build_job *job, const char *name, struct err *e)
{
    own(strv) struct strv names = {0};
    strv_add(&names, name);
    return build_pin_missing(job, &names, e);
}

int build_pin_git(struct build_job *job, const struct build_remote *r, char commit[65],
                  struct err *e)
{
    struct build_pins *p = &job->pins;
    own(free) char *name = build_pin_git_name(r);
    if (!uses_pins(p) || wants_update(p, name, r->shown)) return 0;
    const struct build_lock_git *g = map_get(&p->lock.git, name);
    if (g) {
        memcpy(commit, g->commit, sizeof g->commit);
        return 1;
    }
    return p->use == BUILD_PIN_ONLY ? lacks(job, name, e) : 0;
}

int build_pin_url(struct build_job *job, const struct build_remote *r, struct oci_digest *out,
                  struct err *e)
{
    struct build_pins *p = &job->pins;
    if (!uses_pins(p) || wants_update(p, r->url, r->shown)) return 0;
    const struct build_lock_url *u = map_get(&p->lock.urls, r->url);
    if (u) {
        *out = u->digest;
        return 1;
    }
    return p->use == BUILD_PIN_ONLY ? lacks(job, r->url, e) : 0;
}

int build_pin_url_agrees(struct build_job *job, const struct build_remote *r,
                         const struct oci_digest *want, struct err *e)
{
    const struct build_pins *p = &job->pins;
    const struct build_lock_url *u = map_get(&p->lock.urls, r->url);
    if (p->use != BUILD_PIN_ONLY || !u || oci_digest_eq(&u->digest, want)) return 0;
    err_set(e, ERR_INPUT, "%s has sha256:%s for '%s', and --checksum asks for sha256:%s", p->path,
            u->digest.hex, r->shown, want->hex);
    return err_hint(e, "when the Dockerfile is right: dewar lock");
}

int build_pin_image(struct build_job *job, const char *text, const struct build_lock_image **out,
                    struct err *e)
{
    struct build_pins *p = &job->pins;
    own(free) char *name = build_lock_image_name(text);
    bool uses = uses_pins(p) || p->use == BUILD_PIN_CHECK;
    if (!uses || build_pin_is_exact(text) || wants_update(p, name, text)) return 0;
    *out = map_get(&p->lock.images, name);
    if (*out) return 1;
    return p->use == BUILD_PIN_ONLY ? lacks(job, name, e) : 0;
}

// --- what was found -----------------------------------------------------------------------------
static void warn_moved(struct build_job *job, const char *name)
{
    event_warn(&job->en->sink, "'%s' is not what %s has; --locked takes what it has", name,
               job->pins.path);
}

void build_pin_saw_git(struct build_job *job, const struct build_remote *r, const char *commit)
{
    struct build_pins *p = &job->pins;
    own(free) char *name = build_pin_git_name(r);
    const struct build_lock_git *g = map_get(&p->lock.git, name);
    if (p->use == BUILD_PIN_WRITE) build_lock_set_git(&p->fresh, name, commit);
    if (p->use == BUILD_PIN_WARN && g && strcmp(g->commit, commit) != 0) warn_moved(job, name);
}

void build_pin_saw_url(struct build_job *job, const struct build_remote *r,
                       const struct oci_digest *digest, uint64_t size)
{
    struct build_pins *p = &job->pins;
    const struct build_lock_url *u = map_get(&p->lock.urls, r->url);
    if (p->use == BUILD_PIN_WRITE) build_lock_set_url(&p->fresh, r->url, digest, size);
    if (p->use == BUILD_PIN_WARN && u && !oci_digest_eq(&u->digest, digest))
        warn_moved(job, r->url);
}

void build_pin_saw_image(struct build_job *job, const char *text, const char *platform,
                         const struct store_ref *ref)
{
    struct build_pins *p = &job->pins;
    own(free) char *name = build_lock_image_name(text);
    const struct build_lock_image *was = map_get(&p->lock.images, name);
    if (p->use == BUILD_PIN_WRITE) {
        struct build_lock_image *im = build_lock_set_image(&p->fresh, name);
        im->digest = ref->remote;
        build_lock_set_platform(im, platform, &ref->manifest, &ref->image);
    }
    if (p->use != BUILD_PIN_WARN || !was) return;
    const struct build_lock_platform *had = map_get(&was->platforms, platform);
    if (had && !oci_digest_eq(&had->image, &ref->image)) warn_moved(job, name);
}

char *build_pin_result_name(const struct build_job *job)
{
    own(str) struct str name = {0};
    const struct strv *args = job->opt->build_args;
    oci_platform_print(&job->platform, &name);
    if (job->epoch_given) str_addf(&name, " time:%lld", (long long)job->epoch);
    if (job->opt->target && job->opt->target[0]) str_addf(&name, " %s", job->opt->target);
    if (args && args->n) {
        // Values may be secrets: their hash alone stands in a file that is shared.
        own(strv) struct strv sorted = {0};
        struct codec_sha256 h;
        char hex[CODEC_SHA256_HEX];
        strv_add_all(&sorted, args);
        strv_sort(&sorted);
        codec_sha256_init(&h);
        for (size_t i = 0; i < sorted.n; i++) codec_sha256_addz(&h, sorted.p[i]);
        codec_sha256_end(&h, hex);
        str_addf(&name, " args:%.12s", hex);
    }
    return str_take(&name);
}
