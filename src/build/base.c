// SPDX-License-Identifier: Apache-2.0
#include "build/base.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/proc.h"
#include "image/registry.h"

#define PULLS_MAX 4 // images at the same time; each fetches several layers at once

// --- one ----------------------------------------------------------------------------------------

// In job->bases: asked for already in this build, so the registry is not asked again.
static char *base_key(const char *name, const char *platform)
{
    return str_fmt("%s %s", platform ? platform : "", name);
}

// The image that the lock names: the one in the store, else what the registry has by that digest.
static int ensure_pinned(struct build_job *job, const char *name, const char *platform,
                         const struct build_lock_image *im, struct store_ref *out, struct err *e)
{
    struct err absent;
    struct oci_ref ref;
    char id[OCI_DIGEST_TEXT];
    own(str) struct str text = {0};
    const struct build_lock_platform *p = map_get(&im->platforms, platform);
    if (p && store_ref_resolve(job->en, oci_digest_print(&p->image, id), out, &absent) >= 0) {
        out->remote = im->digest;
        return 0;
    }
    if (!oci_digest_is_set(&im->digest)) {
        err_set(e, ERR_NOT_FOUND, "'%s' is locked to the image %.19s, which is not in the store", name,
                p ? oci_digest_print(&p->image, id) : "of another platform");
        return err_hint(e, "no registry is known to have it: load it, or 'dewar lock --update %s'", name);
    }
    if (oci_ref_parse(sv_of(name), &ref, e) < 0) return -1;
    oci_ref_print_repository(&ref, &text);
    str_addf(&text, "@%s", oci_digest_print(&im->digest, id));
    const struct image_ensure want = {.text = str_z(&text), .platform = platform,
                                      .insecure = job->opt->insecure,
                                      .policy = job->opt->pull == IMAGE_PULL_NEVER
                                                    ? IMAGE_PULL_NEVER : IMAGE_PULL_MISSING};
    if (image_ensure(job->en, &want, out, NULL, e) < 0) return -1;
    if (!p || oci_digest_eq(&p->image, &out->image)) return 0;
    return err_set(e, ERR_INPUT, "'%s' is another image than %s has for %s", str_z(&text),
                   job->pins.path, platform);
}

// `dewar lock` wants to know what a name means today; an image that no registry has is what it is.
static enum image_pull_policy policy_for(struct build_job *job, const char *name, bool again)
{
    struct store_ref here;
    struct err absent;
    if (again && job->opt->pull != IMAGE_PULL_NEVER) return IMAGE_PULL_MISSING;
    if (job->pins.use != BUILD_PIN_WRITE || build_pin_is_exact(name)) return job->opt->pull;
    bool local = store_ref_resolve(job->en, name, &here, &absent) >= 0 &&
                 !oci_digest_is_set(&here.remote);
    return local ? IMAGE_PULL_MISSING : IMAGE_PULL_ALWAYS;
}

int build_base_ensure(struct build_job *job, const char *name, const char *platform,
                      struct store_ref *out, struct err *e)
{
    own(free) char *key = base_key(name, platform);
    own(str) struct str shown = {0};
    const struct build_lock_image *pinned;
    if (platform)
        str_addz(&shown, platform);
    else
        oci_platform_print(&job->platform, &shown);
    int rc = build_pin_image(job, name, &pinned, e);
    if (rc < 0) return -1;
    if (rc == 1) {
        if (ensure_pinned(job, name, str_z(&shown), pinned, out, e) < 0) return -1;
    } else {
        // A build takes what the store calls so; a lock that was asked for a platform means that one.
        bool exact = job->foreign || (job->pins.use == BUILD_PIN_WRITE && job->opt->platform);
        const char *which = !platform && exact ? str_z(&shown) : platform;
        const struct image_ensure want = {.text = name, .platform = which,
                                          .insecure = job->opt->insecure,
                                          .policy = policy_for(job, name, map_has(&job->bases, key))};
        if (image_ensure(job->en, &want, out, NULL, e) < 0) return -1;
    }
    map_set(&job->bases, key, NULL);
    build_pin_saw_image(job, name, str_z(&shown), out);
    return 0;
}

// --- all ----------------------------------------------------------------------------------------

struct wanted {
    struct build_job *job;
    struct strv names, platforms; // in pairs; "" is no platform
    bool *seen;                   // per stage
};

static void want(struct wanted *w, const char *name, const char *platform)
{
    const struct build_job *job = w->job;
    long context = build_plan_context(job, name);
    if (context >= 0 && !job->contexts.p[context].image) return;
    if (context >= 0) name = job->contexts.p[context].image;
    if (context < 0 && strcmp(name, "scratch") == 0) return;
    for (size_t i = 0; i < w->names.n; i++)
        if (strcmp(w->names.p[i], name) == 0 && strcmp(w->platforms.p[i], platform) == 0) return;
    strv_add(&w->names, name);
    strv_add(&w->platforms, platform);
}

static void want_stage(struct wanted *w, size_t index);

static void want_from(struct wanted *w, size_t index, const char *from)
{
    if (!from || strchr(from, '$')) return;
    long stage = build_plan_context(w->job, from) < 0 ? build_plan_stage(w->job, from, index) : -1;
    if (stage >= 0)
        want_stage(w, (size_t)stage);
    else if (build_plan_stage(w->job, from, w->job->stages.n) < 0 && !build_plan_is_number(from))
        want(w, from, "");
}

static void want_mounts(struct wanted *w, size_t index, const struct build_instr *in)
{
    vec_each(f, &in->flags)
    {
        struct sv rest = sv_of(strcmp(f->def->name, "mount") == 0 ? f->value : "");
        while (rest.p) {
            struct sv part = sv_cut(&rest, ',');
            if (!sv_starts(part, "from=")) continue;
            own(free) char *from = sv_dup(sv_from(part, 5));
            want_from(w, index, from);
        }
    }
}

// Mistakes are not this function's to report: the plan looks at everything once more.
static void want_stage(struct wanted *w, size_t index)
{
    struct build_job *job = w->job;
    struct build_stage *s = &job->stages.p[index];
    struct build_expand x = {.get = build_plan_global, .arg = job, .escape = job->file.escape};
    struct build_from base = {0};
    struct err bad = {0};
    if (w->seen[index]) return;
    w->seen[index] = true;
    if (build_instr_from(s->from, &x, &base, &bad) == 0) {
        long stage =
            build_plan_context(job, base.image) < 0 ? build_plan_stage(job, base.image, index) : -1;
        bool number = base.image[0] >= '0' && base.image[0] <= '9';
        if (stage >= 0 && !number)
            want_stage(w, (size_t)stage);
        else if (stage < 0)
            want(w, base.image, base.platform ? base.platform : "");
    }
    build_from_fini(&base);
    vec_each(p, &s->steps)
    {
        const struct build_instr *in = *p;
        if (in->def->id == BUILD_COPY || in->def->id == BUILD_ADD)
            want_from(w, index, build_instr_flag(in, "from"));
        else if (in->def->id == BUILD_RUN)
            want_mounts(w, index, in);
    }
}

struct pull_arg {
    struct build_job *job;
    const char *name, *platform;
};

static int pull_one(void *arg, struct err *e)
{
    struct pull_arg *a = arg;
    struct store_ref ref;
    return build_base_ensure(a->job, a->name, a->platform[0] ? a->platform : NULL, &ref, e);
}

// Whether the store alone can answer. Then no worker is started: most builds have all they need.
static bool is_here(struct build_job *job, const struct pull_arg *a)
{
    struct err absent = {0};
    struct store_ref ref;
    const struct image_ensure want = {.text = a->name,
                                      .policy = IMAGE_PULL_NEVER,
                                      .platform = a->platform[0] ? a->platform : NULL};
    if (job->opt->pull == IMAGE_PULL_NEVER) return true;
    return job->opt->pull == IMAGE_PULL_MISSING &&
           image_ensure(job->en, &want, &ref, NULL, &absent) == 0;
}

static int pull_wanted(struct build_job *job, const struct wanted *w, struct err *e)
{
    struct proc_worker running[PULLS_MAX];
    size_t n = 0;
    int rc = 0;
    for (size_t i = 0; i <= w->names.n; i++) {
        // The oldest is waited for when all places are taken, and all of them at the end.
        while (n > 0 && (n == PULLS_MAX || i == w->names.n)) {
            struct err why = {0};
            if (proc_worker_wait(&running[0], &why) < 0 && rc == 0) {
                *e = why;
                rc = -1;
            }
            memmove(running, running + 1, --n * sizeof *running);
        }
        if (i == w->names.n || rc < 0) continue;
        struct pull_arg a = {job, w->names.p[i], w->platforms.p[i]};
        own(free) char *key = base_key(a.name, a.platform[0] ? a.platform : NULL);
        if (is_here(job, &a)) continue;
        if (proc_worker_start(pull_one, &a, &running[n], e) < 0)
            rc = -1;
        else
            n++;
        map_set(&job->bases, key, NULL);
    }
    return rc;
}

// --locked: all that the lock lacks, before the first of them is asked for.
static int check_pins(struct build_job *job, const struct wanted *w, struct err *e)
{
    own(strv) struct strv missing = {0};
    if (job->pins.use != BUILD_PIN_ONLY) return 0;
    for (size_t i = 0; i < w->names.n; i++) {
        own(free) char *name = build_lock_image_name(w->names.p[i]);
        if (!build_pin_is_exact(name) && !map_has(&job->pins.lock.images, name) &&
            strv_find(&missing, name) < 0)
            strv_add(&missing, name);
    }
    return missing.n ? build_pin_missing(job, &missing, e) : 0;
}

int build_base_prefetch(struct build_job *job, struct err *e)
{
    struct wanted w = {.job = job, .seen = mem_alloc(job->stages.n * sizeof *w.seen)};
    want_stage(&w, job->target);
    int rc = check_pins(job, &w, e);
    // One alone needs no worker: the plan fetches it, and names the line of a failure.
    if (rc == 0 && w.names.n > 1) rc = pull_wanted(job, &w, e);
    strv_fini(&w.names);
    strv_fini(&w.platforms);
    free(w.seen);
    return rc;
}
