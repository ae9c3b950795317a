// SPDX-License-Identifier: Apache-2.0
// The verb `verify`. See build/verify.h. Names are asked afresh, side effects stay in the caches:
// what a URL gives now is downloaded to be hashed.
#include "build/verify.h"

#include <stdlib.h>

#include "base/own.h"
#include "build/git.h"
#include "build/internal.h"
#include "build/trace.h"
#include "build/url.h"
#include "image/resolve.h"

static const char *const statuses[BUILD_VERIFY_STATUS_COUNT] = {
    "same", "moved", "gone", "unreachable", "unlocked", "unused", "differs"};

const char *build_verify_status_name(enum build_verify_status s)
{
    return statuses[s];
}

void build_verify_fini(struct build_verify *v)
{
    vec_each(r, &v->rows)
    {
        free(r->name);
        free(r->locked);
        free(r->now);
        free(r->detail);
    }
    vec_fini(&v->rows);
    str_fini(&v->report);
}

static void own_remote(struct image_remote **r)
{
    image_remote_close(*r);
}

static char *digest_text(const struct oci_digest *d)
{
    char text[OCI_DIGEST_TEXT];
    return oci_digest_is_set(d) ? str_dup(oci_digest_print(d, text)) : NULL;
}

static struct build_verify_row *add_row(struct build_verify *v, const char *kind, const char *name,
                                        char *locked)
{
    struct build_verify_row *r = vec_add(&v->rows);
    *r = (struct build_verify_row){.kind = kind, .name = str_dup(name), .locked = locked};
    return r;
}

// What asking came to when it failed: not there, or nobody answered.
static void set_failed(struct build_verify_row *r, const struct err *why)
{
    r->status = why->kind == ERR_NOT_FOUND ? BUILD_VERIFY_GONE : BUILD_VERIFY_UNREACHABLE;
    r->detail = str_dup(err_cause(why));
}

static void set_found(struct build_verify_row *r, char *now)
{
    r->now = now;
    r->status =
        r->locked && now && strcmp(r->locked, now) == 0 ? BUILD_VERIFY_SAME : BUILD_VERIFY_MOVED;
}

// --- one of each kind ---------------------------------------------------------------------------
static void check_git(struct build_job *job, const char *name, const struct build_lock_git *g,
                      struct build_verify *v)
{
    own(build_remote) struct build_remote r = {0};
    struct err why;
    char commit[BUILD_GIT_ID];
    struct build_verify_row *row = add_row(v, "git", name, str_dup(g->commit));
    if (build_remote_parse(name, BUILD_REMOTE_TYPED, &r, &why) != 1 || r.kind != BUILD_REMOTE_GIT) {
        row->status = BUILD_VERIFY_UNREACHABLE;
        row->detail = str_dup("this is no address of a repository");
        return;
    }
    if (build_git_resolve(job, &r, NULL, commit, &why) < 0) {
        set_failed(row, &why);
        return;
    }
    set_found(row, str_dup(commit));
    if (build_git_fetch(job, &r, g->commit, &why) == 0) return;
    if (why.kind == ERR_NOT_FOUND) row->status = BUILD_VERIFY_GONE;
    row->detail = str_fmt("the locked commit cannot be fetched: %s", err_cause(&why));
}

static void check_url(struct build_job *job, const char *name, const struct build_lock_url *u,
                      struct build_verify *v)
{
    own(build_remote) struct build_remote r = {0};
    struct err why;
    struct build_url now = {0};
    struct build_verify_row *row = add_row(v, "url", name, digest_text(&u->digest));
    if (build_remote_parse(name, BUILD_REMOTE_TYPED, &r, &why) != 1 || r.kind != BUILD_REMOTE_URL) {
        row->status = BUILD_VERIFY_UNREACHABLE;
        row->detail = str_dup("this is no URL of a file");
    } else if (build_url_ask(job, &r, &now, &why) < 0) {
        set_failed(row, &why);
    } else {
        set_found(row, digest_text(&now.digest));
        build_url_fini(&now);
    }
}

// An image that no registry has: what the store's name means.
static void check_local(struct build_job *job, const char *name, const struct build_lock_image *im,
                        struct build_verify *v)
{
    own(str) struct str platform = {0};
    struct store_ref ref;
    struct err why;
    oci_platform_print(&job->platform, &platform);
    const struct build_lock_platform *p = map_get(&im->platforms, str_z(&platform));
    struct build_verify_row *row = add_row(v, "image", name, p ? digest_text(&p->image) : NULL);
    if (store_ref_resolve(job->en, name, &ref, &why) < 0) {
        set_failed(row, &why);
        return;
    }
    set_found(row, digest_text(&ref.image));
}

static void check_image(struct build_job *job, struct image_remote *remote, const char *name,
                        const struct build_lock_image *im, struct build_verify *v)
{
    struct err why;
    struct oci_ref ref;
    struct oci_digest now = {0};
    uint32_t flags = job->opt->insecure ? TRANSFER_INSECURE : 0;
    if (!oci_digest_is_set(&im->digest)) {
        check_local(job, name, im, v);
        return;
    }
    struct build_verify_row *row = add_row(v, "image", name, digest_text(&im->digest));
    int rc = oci_ref_parse(sv_of(name), &ref, &why);
    if (rc == 0) rc = image_doc_head(remote, &ref, flags, &now, &why);
    if (rc < 0) {
        set_failed(row, &why);
        return;
    }
    if (rc == 1) set_found(row, digest_text(&now));
    if (rc == 1 && row->status == BUILD_VERIFY_SAME) return;
    // The name has moved or is gone. What it meant may still be had by its digest.
    row->status = rc == 1 ? BUILD_VERIFY_MOVED : BUILD_VERIFY_GONE;
    ref.digest = im->digest;
    int kept = image_doc_head(remote, &ref, flags, &now, &why);
    if (kept == 0) row->status = BUILD_VERIFY_GONE;
    row->detail = str_dup(kept == 1   ? "the registry still has the locked image"
                          : kept == 0 ? "the registry has the locked image no more"
                                      : err_cause(&why));
}

// --- does it fit --------------------------------------------------------------------------------
// Marks what the Dockerfile names; what the lock lacks becomes a row.
static void need(const struct map *locked, struct map *used, const char *kind, const char *name,
                 bool exact, struct build_verify *v)
{
    map_set(used, name, NULL);
    if (map_has(locked, name) || exact) return;
    add_row(v, kind, name, NULL)->status = BUILD_VERIFY_UNLOCKED;
}

struct used {
    struct map git, images, urls;
};

static void need_source(struct build_job *job, struct used *u, const char *text, bool exact,
                        enum build_remote_origin origin, struct build_verify *v)
{
    own(build_remote) struct build_remote r = {0};
    struct err none;
    if (build_remote_parse(text, origin, &r, &none) != 1) return;
    bool git = r.kind == BUILD_REMOTE_GIT;
    own(free) char *name = git ? build_pin_git_name(&r) : str_dup(r.url);
    need(git ? &job->pins.lock.git : &job->pins.lock.urls, git ? &u->git : &u->urls,
         git ? "git" : "url", name, exact || build_remote_is_commit(r.ref), v);
}

static int check_fit(struct build_job *job, struct used *u, struct build_verify *v, struct err *e)
{
    own(build_trace) struct build_trace t = {0};
    const struct strv *contexts = job->opt->contexts;
    if (build_trace_walk(job, &t, e) < 0) return -1;
    vec_each(i, &t.v)
    {
        if (i->kind == BUILD_TRACE_SOURCE) {
            need_source(job, u, i->text, i->checksum != NULL, BUILD_REMOTE_IN_FILE, v);
            continue;
        }
        own(free) char *name = build_lock_image_name(i->text);
        need(&job->pins.lock.images, &u->images, "image", name, build_pin_is_exact(i->text), v);
    }
    for (size_t i = 0; contexts && i < contexts->n; i++) {
        const char *value = strchr(contexts->p[i], '=');
        if (value) need_source(job, u, value + 1, false, BUILD_REMOTE_TYPED, v);
    }
    return 0;
}

static void mark_unused(const struct map *locked, const struct map *used, const char *kind,
                        struct build_verify *v)
{
    for (size_t i = 0; i < locked->n; i++) {
        if (map_has(used, locked->p[i].key)) continue;
        vec_each(r, &v->rows) if (strcmp(r->kind, kind) == 0 &&
                                  strcmp(r->name, locked->p[i].key) == 0 &&
                                  r->status == BUILD_VERIFY_SAME) r->status = BUILD_VERIFY_UNUSED;
    }
}

static int verify_job(struct build_job *job, void *arg, struct err *e)
{
    struct build_verify *v = arg;
    struct used u = {0};
    const struct build_lock *l = &job->pins.lock;
    own(remote) struct image_remote *remote = NULL;
    if (build_prepare(job, e) < 0) return -1;
    if (job->pins.use != BUILD_PIN_CHECK) return err_set(e, ERR_INTERNAL, "a check without a lock");
    if (image_remote_open(job->en, &remote, e) < 0) return -1;
    for (size_t i = 0; i < l->git.n; i++) check_git(job, l->git.p[i].key, l->git.p[i].value, v);
    for (size_t i = 0; i < l->images.n; i++)
        check_image(job, remote, l->images.p[i].key, l->images.p[i].value, v);
    for (size_t i = 0; i < l->urls.n; i++) check_url(job, l->urls.p[i].key, l->urls.p[i].value, v);
    int rc = check_fit(job, &u, v, e);
    if (rc == 0) {
        mark_unused(&l->git, &u.git, "git", v);
        mark_unused(&l->images, &u.images, "image", v);
        mark_unused(&l->urls, &u.urls, "url", v);
    }
    map_fini(&u.git);
    map_fini(&u.images);
    map_fini(&u.urls);
    return rc;
}

// --- building again -----------------------------------------------------------------------------
struct recorded {
    char *name;
    struct build_lock_result result;
    bool found;
};

static int read_result(struct build_job *job, void *arg, struct err *e)
{
    struct recorded *out = arg;
    if (build_prepare(job, e) < 0) return -1;
    out->name = build_pin_result_name(job);
    const struct build_lock_result *r = map_get(&job->pins.lock.results, out->name);
    if (r) out->result = *r;
    out->found = r != NULL;
    return 0;
}

// Without a record two rebuilds are compared with each other, with one the rebuild with the record.
static int rebuild(struct engine *en, const struct build_verify_options *opt,
                   struct build_result *result, struct build_verify *v, struct err *e)
{
    struct build_options build = *opt->build;
    struct recorded was = {0};
    build.locked = true;
    build.no_cache = true;
    build.tags = NULL;
    struct build_job job = {.en = en, .opt = &build, .result = result};
    if (build_with_job(&job, read_result, &was, e) < 0) return -1;
    own(free) char *name = was.name;
    if (!was.found) {
        int rc = build_check_repro(en, &build, result, &v->report, e);
        if (rc < 0) return -1;
        struct build_verify_row *row = add_row(v, "result", name, NULL);
        row->now = digest_text(&result->image);
        row->status = rc == 0 ? BUILD_VERIFY_SAME : BUILD_VERIFY_DIFFERS;
        row->detail = str_dup(rc == 0 ? "built twice; 'dewar lock --build' records it"
                                      : "two builds gave two images");
        return 0;
    }
    if (build_image(en, &build, result, e) < 0) return -1;
    struct build_verify_row *row = add_row(v, "result", name, digest_text(&was.result.image));
    set_found(row, digest_text(&result->image));
    if (row->status == BUILD_VERIFY_SAME) return 0;
    row->status = BUILD_VERIFY_DIFFERS;
    bool context = !oci_digest_eq(&was.result.context, &result->context);
    row->detail =
        str_dup(context ? "the files of the context are others than those it was recorded with"
                        : "the same context and sources gave another image");
    return 0;
}

int build_verify_run(struct engine *en, const struct build_verify_options *opt,
                     struct build_result *result, struct build_verify *out, struct err *e)
{
    *out = (struct build_verify){0};
    struct build_job job = {
        .en = en, .opt = opt->build, .result = result, .pins = {.use = BUILD_PIN_CHECK}};
    int rc = build_with_job(&job, verify_job, out, e);
    if (rc == 0 && opt->rebuild) rc = rebuild(en, opt, result, out, e);
    if (rc < 0) {
        build_verify_fini(out);
        return -1;
    }
    vec_each(r, &out->rows) if (r->status != BUILD_VERIFY_SAME && r->status != BUILD_VERIFY_UNUSED)
        rc = 1;
    return rc;
}
