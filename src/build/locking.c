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
    char *result_name;
};

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
    keep_platforms(&p->lock, &p->fresh);
    compare("git", &p->lock.git, &p->fresh.git, git_text, run->out);
    compare("image", &p->lock.images, &p->fresh.images, image_text, run->out);
    compare("url", &p->lock.urls, &p->fresh.urls, url_text, run->out);
    keep_results(run->out, &p->lock, &p->fresh);
    run->result_name = build_pin_result_name(job);
    run->out->path = str_dup(p->path);
    return write_lock(p->path, &p->fresh, e);
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

int build_locking_run(struct engine *en, const struct build_locking_options *opt,
                      struct build_result *result, struct build_locking *out, struct err *e)
{
    struct run run = {opt, out, NULL};
    struct build_job job = {.en = en,
                            .opt = opt->build,
                            .result = result,
                            .pins = {.use = BUILD_PIN_WRITE, .update = opt->update}};
    *out = (struct build_locking){0};
    int rc = build_with_job(&job, lock_job, &run, e);
    if (rc == 0 && opt->record) rc = record(en, &run, result, e);
    free(run.result_name);
    if (rc < 0) build_locking_fini(out);
    return rc;
}
