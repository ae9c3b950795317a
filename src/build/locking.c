// SPDX-License-Identifier: Apache-2.0
// The verb `lock`. See build/locking.h. Images of FROM are found out by the plan, contexts when
// they are opened; what is left is asked here. Everything is noted in job->pins.fresh on the way.
#include "build/locking.h"

#include <stdlib.h>

#include "base/own.h"
#include "build/base.h"
#include "build/internal.h"
#include "build/outside.h"
#include "build/trace.h"

static const char *const changes[BUILD_LOCKING_CHANGE_COUNT] = {"kept", "added", "changed",
                                                                "dropped"};

const char *build_locking_change_name(enum build_locking_change c)
{
    return changes[c];
}

void build_locking_fini(struct build_locking *l)
{
    vec_each(r, &l->rows)
    {
        free(r->name);
        free(r->was);
        free(r->is);
    }
    vec_fini(&l->rows);
    free(take_ptr(l->path));
}

// --- what changed -------------------------------------------------------------------------------
static char *image_text(const void *v)
{
    const struct build_lock_image *im = v;
    char text[OCI_DIGEST_TEXT];
    const struct oci_digest *d = &im->digest;
    if (!oci_digest_is_set(d) && im->platforms.n)
        d = &((const struct build_lock_platform *)im->platforms.p[0].value)->image;
    return oci_digest_is_set(d) ? str_dup(oci_digest_print(d, text)) : NULL;
}

static char *url_text(const void *v)
{
    char text[OCI_DIGEST_TEXT];
    return str_dup(oci_digest_print(&((const struct build_lock_url *)v)->digest, text));
}

static char *git_text(const void *v)
{
    return str_dup(((const struct build_lock_git *)v)->commit);
}

static void compare(const char *kind, const struct map *was, const struct map *is,
                    char *(*text)(const void *v), struct build_locking *out)
{
    for (size_t i = 0; i < is->n; i++) {
        const void *old = map_get(was, is->p[i].key);
        struct build_locking_row *r = vec_add(&out->rows);
        *r = (struct build_locking_row){.kind = kind,
                                        .name = str_dup(is->p[i].key),
                                        .was = old ? text(old) : NULL,
                                        .is = text(is->p[i].value)};
        bool same = r->was && r->is && strcmp(r->was, r->is) == 0;
        r->change = same ? BUILD_LOCKING_KEPT : old ? BUILD_LOCKING_CHANGED : BUILD_LOCKING_ADDED;
    }
    for (size_t i = 0; i < was->n; i++) {
        if (map_has(is, was->p[i].key)) continue;
        struct build_locking_row *r = vec_add(&out->rows);
        *r = (struct build_locking_row){BUILD_LOCKING_DROPPED, kind, str_dup(was->p[i].key),
                                        text(was->p[i].value), NULL};
    }
}

// An image that stays the same keeps what is known of its other platforms.
static void keep_platforms(const struct build_lock *was, struct build_lock *is)
{
    for (size_t i = 0; i < is->images.n; i++) {
        struct build_lock_image *now = is->images.p[i].value;
        const struct build_lock_image *old = map_get(&was->images, is->images.p[i].key);
        if (!old || !oci_digest_is_set(&now->digest) || !oci_digest_eq(&old->digest, &now->digest))
            continue;
        for (size_t k = 0; k < old->platforms.n; k++) {
            const struct build_lock_platform *p = old->platforms.p[k].value;
            if (!map_has(&now->platforms, old->platforms.p[k].key))
                build_lock_set_platform(now, old->platforms.p[k].key, &p->manifest, &p->image);
        }
    }
}

// Results stand for their sources: with others they say nothing.
static void keep_results(const struct build_locking *l, const struct build_lock *was,
                         struct build_lock *is)
{
    vec_each(r, &l->rows) if (r->change != BUILD_LOCKING_KEPT) return;
    for (size_t i = 0; i < was->results.n; i++) {
        const struct build_lock_result *r = was->results.p[i].value;
        build_lock_set_result(is, was->results.p[i].key, &r->image, &r->context);
    }
}

// --- asking and writing -------------------------------------------------------------------------
static int resolve(struct build_job *job, const struct build_trace_item *i, struct err *e)
{
    struct store_ref ref;
    struct build_outside o = {0};
    if (i->kind == BUILD_TRACE_IMAGE) return build_base_ensure(job, i->text, i->platform, &ref, e);
    if (build_remote_parse(i->text, BUILD_REMOTE_IN_FILE, &o.remote, e) < 0) return -1;
    int rc = build_outside_resolve(job, &o.remote, i->checksum, &o, e);
    build_outside_fini(&o);
    return rc;
}

static int write_lock(const char *path, const struct build_lock *l, struct err *e)
{
    own(str) struct str text = {.max = BUILD_LOCK_MAX};
    build_lock_print(l, &text);
    if (str_check(&text, e) < 0) return -1;
    return fs_replace(AT_FDCWD, path, str_sv(&text), 0644, e);
}

struct run {
    const struct build_locking_options *opt;
    struct build_locking *out;
    struct build_lock all; // of all platforms
    bool last;             // compares and writes
    char *result_name;
};

static int take_image(struct build_lock *all, const char *name, const struct build_lock_image *im,
                      struct err *e)
{
    const struct build_lock_image *had = map_get(&all->images, name);
    if (had && !oci_digest_eq(&had->digest, &im->digest)) {
        err_set(e, ERR_CONFLICT, "'%s' changed while it was locked", name);
        return err_hint(e, "run 'dewar lock' again");
    }
    struct build_lock_image *to = build_lock_set_image(all, name);
    to->digest = im->digest;
    for (size_t i = 0; i < im->platforms.n; i++) {
        const struct build_lock_platform *p = im->platforms.p[i].value;
        build_lock_set_platform(to, im->platforms.p[i].key, &p->manifest, &p->image);
    }
    return 0;
}

// What one platform needs is added to what the others do.
static int take_all(struct build_lock *all, const struct build_lock *one, struct err *e)
{
    if (!all->compressor) all->compressor = str_dup(one->compressor);
    for (size_t i = 0; i < one->images.n; i++)
        if (take_image(all, one->images.p[i].key, one->images.p[i].value, e) < 0) return -1;
    for (size_t i = 0; i < one->urls.n; i++) {
        const struct build_lock_url *u = one->urls.p[i].value;
        build_lock_set_url(all, one->urls.p[i].key, &u->digest, u->size);
    }
    for (size_t i = 0; i < one->git.n; i++)
        build_lock_set_git(all, one->git.p[i].key,
                           ((const struct build_lock_git *)one->git.p[i].value)->commit);
    return 0;
}

static int lock_job(struct build_job *job, void *arg, struct err *e)
{
    struct run *run = arg;
    struct build_pins *p = &job->pins;
    own(build_trace) struct build_trace t = {0};
    if (build_prepare(job, e) < 0) return -1;
    if (!p->path || p->inside) {
        err_set(e, ERR_USAGE,
                "the lock has no place: the Dockerfile is not on this machine's disk");
        return err_hint(e, "name one with --lock-file FILE");
    }
    if (build_trace_walk(job, &t, e) < 0) return -1;
    vec_each(i, &t.v) if (resolve(job, i, e) < 0) return build_instr_wrap(e, &job->file, i->in);
    if (take_all(&run->all, &p->fresh, e) < 0) return -1;
    if (!run->last) return 0;
    keep_platforms(&p->lock, &run->all);
    compare("git", &p->lock.git, &run->all.git, git_text, run->out);
    compare("image", &p->lock.images, &run->all.images, image_text, run->out);
    compare("url", &p->lock.urls, &run->all.urls, url_text, run->out);
    keep_results(run->out, &p->lock, &run->all);
    run->result_name = build_pin_result_name(job);
    run->out->path = str_dup(p->path);
    return write_lock(p->path, &run->all, e);
}

// Builds with the lock that was just written, and adds what came out.
static int record(struct engine *en, struct run *run, struct build_result *result, struct err *e)
{
    struct build_options opt = *run->opt->build;
    own(str) struct str text = {.max = BUILD_LOCK_MAX + 1};
    own(build_lock) struct build_lock l;
    build_lock_init(&l);
    opt.locked = true;
    if (build_image(en, &opt, result, e) < 0) return -1;
    if (fs_read_at(AT_FDCWD, run->out->path, BUILD_LOCK_MAX, &text, e) < 0 ||
        build_lock_parse(str_sv(&text), run->out->path, &l, e) < 0)
        return -1;
    build_lock_set_result(&l, run->result_name, &result->image, &result->context);
    run->out->image = result->image;
    return write_lock(run->out->path, &l, e);
}

// "a,b" in the order in which they are looked at: this machine's last, so that in the store its
// image has the name. No platform is this machine's.
static int read_platforms(const char *text, struct strv *out, struct err *e)
{
    struct oci_platform p, host;
    struct sv rest = sv_of(text);
    own(free) char *ours = NULL;
    oci_platform_host(&host);
    while (rest.p) {
        struct sv one = sv_trim(sv_cut(&rest, ','));
        own(str) struct str name = {0};
        if (oci_platform_parse(one, &p, e) < 0) return err_wrap(e, "--platform '%s'", text);
        oci_platform_print(&p, &name);
        if (oci_platform_match(&p, &host) && !ours)
            ours = str_dup(str_z(&name));
        else if (strv_find(out, str_z(&name)) < 0)
            strv_add(out, str_z(&name));
    }
    if (ours) strv_take(out, take_ptr(ours));
    return 0;
}

static int lock_platform(struct engine *en, struct run *run, const char *platform,
                         struct build_result *result, struct err *e)
{
    struct build_options opt = *run->opt->build;
    opt.platform = platform;
    struct build_job job = {.en = en,
                            .opt = &opt,
                            .result = result,
                            .pins = {.use = BUILD_PIN_WRITE, .update = run->opt->update}};
    return build_with_job(&job, lock_job, run, e);
}

static int lock_all(struct engine *en, struct run *run, struct build_result *result, struct err *e)
{
    own(strv) struct strv platforms = {0};
    const char *asked = run->opt->build->platform;
    if (asked && asked[0] && read_platforms(asked, &platforms, e) < 0) return -1;
    if (platforms.n > 1 && run->opt->record)
        return err_set(e, ERR_USAGE, "--build makes one image: it goes with one platform");
    size_t n = platforms.n ? platforms.n : 1;
    for (size_t i = 0; i < n; i++) {
        run->last = i + 1 == n;
        if (lock_platform(en, run, platforms.n ? platforms.p[i] : NULL, result, e) < 0)
            return platforms.n > 1 ? err_wrap(e, "for the platform %s", platforms.p[i]) : -1;
    }
    return 0;
}

int build_locking_run(struct engine *en, const struct build_locking_options *opt,
                      struct build_result *result, struct build_locking *out, struct err *e)
{
    struct run run = {.opt = opt, .out = out};
    *out = (struct build_locking){0};
    build_lock_init(&run.all);
    int rc = lock_all(en, &run, result, e);
    if (rc == 0 && opt->record) rc = record(en, &run, result, e);
    free(run.result_name);
    build_lock_fini(&run.all);
    if (rc < 0) build_locking_fini(out);
    return rc;
}
