// SPDX-License-Identifier: Apache-2.0
// The verb: opens what the command line names, plans, solves, exports.
#include "build/build.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/num.h"
#include "base/own.h"
#include "base/proc.h"
#include "build/annotation.h"
#include "build/cacheexport.h"
#include "build/cacheimport.h"
#include "build/internal.h"
#include "build/keys.h"
#include "build/mounts.h"
#include "build/runopt.h"
#include "build/trace.h"
#include "store/lock.h"

// Of a folder: the person's own git answers, with their settings.
static int git_epoch(const struct build_options *opt, int64_t *out, struct err *e)
{
    const char *argv[] = {"git", "-C", opt->context ? opt->context : ".", "log", "-1",
                          "--format=%ct", NULL};
    struct proc_spec spec = {.argv = argv, .search_path = true, .stdin_fd = PROC_NULL};
    own(str) struct str text = {0};
    int status;
    if (proc_read(&spec, 64, &text, &status, e) < 0 || status != 0 ||
        !num_i64(sv_trim(str_sv(&text)), out)) {
        err_set(e, ERR_INPUT, "--timestamp=git: the context is not a git repository with a commit");
        return err_hint(e, "give seconds since 1970, or leave --timestamp out");
    }
    return 0;
}

static int find_epoch(struct build_job *job, struct err *e)
{
    const char *given = job->opt->timestamp;
    if (!given) given = map_get(&job->build_args, "SOURCE_DATE_EPOCH");
    if (!given) given = getenv("SOURCE_DATE_EPOCH");
    if (!given || !given[0]) return 0;
    job->epoch_given = true;
    job->epoch = job->contexts.p[0].commit_time;
    if (strcmp(given, "git") == 0) return job->epoch ? 0 : git_epoch(job->opt, &job->epoch, e);
    if (num_i64(sv_of(given), &job->epoch) && job->epoch >= 0) return 0;
    err_set(e, ERR_USAGE, "'%s' is not a time", given);
    return err_hint(e, "--timestamp and SOURCE_DATE_EPOCH take seconds since 1970");
}

static int open_contexts(struct build_job *job, struct str *text, char **label, struct err *e)
{
    struct build_context *main_one = vec_add(&job->contexts);
    // The lock may lie in the main context: that one is never looked up in it.
    if (build_context_open_main(job, main_one, text, label, e) < 0 ||
        build_pin_open(job, *label, e) < 0)
        return -1;
    for (size_t i = 0; job->opt->contexts && i < job->opt->contexts->n; i++) {
        struct build_context *c = vec_add(&job->contexts);
        if (build_context_open_named(job, job->opt->contexts->p[i], c, e) < 0) return -1;
    }
    return 0;
}

// The context is walked here, once, when a needed stage copies from it; workers inherit the result.
static bool reads_context(const struct build_job *job)
{
    vec_each(s, &job->stages)
    {
        if (!s->needed) continue;
        vec_each(p, &s->steps)
        {
            const struct build_instr *in = *p;
            bool copies = in->def->id == BUILD_COPY || in->def->id == BUILD_ADD;
            if (copies && !build_instr_flag(in, "from") && in->words.n > 1) return true;
            if (in->def->id != BUILD_RUN) continue;
            vec_each(f, &in->flags)
                if (strcmp(f->def->name, "mount") == 0 && !strstr(f->value, "from=") &&
                    (strstr(f->value, "type=bind") || !strstr(f->value, "type=")))
                    return true;
        }
    }
    return false;
}

static void warn_undeclared_args(struct build_job *job)
{
    for (size_t i = 0; i < job->build_args.n; i++) {
        const char *key = job->build_args.p[i].key;
        bool known = map_has(&job->globals, key) || strcasestr(key, "_proxy") ||
                     strcmp(key, "SOURCE_DATE_EPOCH") == 0 || strncmp(key, "BUILDKIT_", 9) == 0;
        vec_each(in, &job->file.instrs)
        {
            if (in->def->id != BUILD_ARG) continue;
            for (size_t k = 0; k < in->words.n; k++) {
                struct sv rest = sv_of(in->words.p[k]);
                known = known || sv_eqz(sv_cut(&rest, '='), key);
            }
        }
        if (!known)
            event_warn(&job->en->sink, "--build-arg %s: no ARG in %s asks for it", key,
                       job->file.label);
    }
}

static int check_platform(const struct build_options *opt, struct err *e)
{
    if (!opt->platform || !strchr(opt->platform, ',')) return 0;
    err_set(e, ERR_INPUT, "--platform '%s': a build is for one platform", opt->platform);
    return err_hint(e, "steps run natively: build on a machine of each, and join them with 'dewar manifest'");
}

static int check_labels(const struct build_options *opt, struct err *e)
{
    for (size_t i = 0; opt->labels && i < opt->labels->n; i++)
        if (opt->labels->p[i][0] == '=' || !opt->labels->p[i][0])
            return err_set(e, ERR_USAGE, "--label '%s' has no name", opt->labels->p[i]);
    return 0;
}

static int solve_and_export(struct build_job *job, struct err *e)
{
    own(build_state) struct build_state state;
    own(free) char *name = str_fmt("stage-%zu", job->target);
    build_state_init(&state);
    if (build_solve_stages(job, e) < 0 || build_state_load(job, name, &state, e) < 0) return -1;
    return build_export(job, &state, e);
}

// What an earlier try left in the temporary folder.
static int forget_try(struct build_job *job, struct err *e)
{
    static const char *const kinds[] = {"stage-", "records-", "notes-"};
    vec_each(s, &job->stages)
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
            own(free) char *name = str_fmt("%s%zu", kinds[i], s->index);
            if (unlinkat(job->tmp.fd, name, 0) != 0 && errno != ENOENT)
                return err_sys(e, "begin again");
        }
    bool to_stdout = job->result->to_stdout;
    *job->result = (struct build_result){.to_stdout = to_stdout};
    err_clear(e);
    return 0;
}

// --locked: every source of ADD must be in the lock. (Images were looked at by the plan, contexts
// when they were opened.)
static int check_pins(struct build_job *job, struct err *e)
{
    own(build_trace) struct build_trace t = {0};
    own(strv) struct strv missing = {0};
    if (job->pins.use != BUILD_PIN_ONLY) return 0;
    if (build_trace_walk(job, &t, e) < 0) return -1;
    vec_each(i, &t.v)
    {
        own(build_remote) struct build_remote r = {0};
        if (i->kind != BUILD_TRACE_SOURCE || build_remote_parse(i->text, BUILD_REMOTE_IN_FILE, &r, e) != 1)
            continue;
        bool git = r.kind == BUILD_REMOTE_GIT;
        own(free) char *name = git ? build_pin_git_name(&r) : str_dup(r.url);
        bool exact = git ? build_remote_is_commit(r.ref) : i->checksum != NULL;
        const struct map *m = git ? &job->pins.lock.git : &job->pins.lock.urls;
        if (!exact && !map_has(m, name) && strv_find(&missing, name) < 0) strv_add(&missing, name);
    }
    return missing.n ? build_pin_missing(job, &missing, e) : 0;
}

// The same input as the lock's result, and another image.
static int compare_result(struct build_job *job, struct err *e)
{
    struct build_result *got = job->result;
    if (job->pins.use != BUILD_PIN_ONLY || !oci_digest_is_set(&got->image)) return 0;
    own(free) char *name = build_pin_result_name(job);
    const struct build_lock_result *r = map_get(&job->pins.lock.results, name);
    if (build_context_digest(job, &got->context, e) < 0) return -1;
    if (!r || oci_digest_eq(&r->image, &got->image) || !oci_digest_eq(&got->context, &r->context))
        return 0;
    event_warn(&job->en->sink, "the image is not the one that %s records; 'dewar verify --rebuild' looks why",
               job->pins.path);
    return 0;
}

int build_prepare(struct build_job *job, struct err *e)
{
    own(str) struct str text = {.max = LIMIT_DOCKERFILE + 1};
    own(free) char *label = NULL;
    if (build_outputs_read(job->opt, &job->outs, e) < 0) return -1;
    job->result->to_stdout = job->outs.to_stdout;
    if (build_cacheexport_check(job->opt, job->outs.files_only, e) < 0 ||
        build_mounts_check(job->opt, e) < 0 || build_runopt_check(job->opt, e) < 0 ||
        check_platform(job->opt, e) < 0 || check_labels(job->opt, e) < 0 ||
        build_annotation_check(job->opt, e) < 0 ||
        build_cacheimport_check(job->opt, e) < 0 || open_contexts(job, &text, &label, e) < 0) return -1;
    if (build_dockerfile_parse(str_sv(&text), label, &job->file, e) < 0 ||
        build_call_demand(job->en, job->opt, &job->contexts.p[0], &job->file, e) < 0)
        return -1;
    vec_each(warning, &job->file.warnings)
        event_warn(&job->en->sink, "%s:%u: %s", job->file.label, warning->line, warning->text);
    if (build_plan(job, e) < 0 || find_epoch(job, e) < 0) return -1;
    warn_undeclared_args(job);
    if (check_pins(job, e) < 0) return -1;
    return reads_context(job) ? build_context_scan(job->en, &job->contexts.p[0], e) : 0;
}

static int build_it(struct build_job *job, struct err *e)
{
    int rc = build_prepare(job, e);
    if (rc < 0) return -1;
    build_cacheimport_open(job);
    while ((rc = solve_and_export(job, e)) < 0 && build_cacheimport_again(job))
        if (forget_try(job, e) < 0) break;
    build_cacheimport_close(job);
    return rc < 0 ? -1 : compare_result(job, e);
}

int build_with_job(struct build_job *job, int (*fn)(struct build_job *job, void *arg, struct err *e),
                   void *arg, struct err *e)
{
    struct engine *en = job->en;
    job->tmp = STORE_TMP_NONE;
    *job->result = (struct build_result){0};
    if (engine_enter(en, e) < 0) return -1;
    umask(0);
    own(fd) int lock = store_lock_shared(en, e);
    if (lock < 0 || store_tmp_open(en, &job->tmp, e) < 0) return -1;
    const struct build_options *given = job->opt;
    struct build_options opt = *given;
    struct build_keys keys = {0};
    opt.ssh = &keys.ssh;
    job->opt = &opt;
    int rc = build_keys_start(given->ssh, &keys, e);
    if (rc == 0) rc = fn(job, arg, e);
    build_keys_stop(&keys);
    job->opt = given;
    own(str) struct str excerpt = {0};
    if (rc < 0) build_dockerfile_explain(&job->file, e, &excerpt);
    snprintf(job->result->excerpt, sizeof job->result->excerpt, "%s", str_z(&excerpt));
    vec_each(c, &job->contexts) build_context_close(en, c);
    vec_fini(&job->contexts);
    build_pin_close(job);
    build_plan_fini(job);
    build_outputs_fini(&job->outs);
    build_dockerfile_fini(&job->file);
    store_tmp_close(en, &job->tmp);
    // What equal layers replaced, and what killed commands left.
    store_sweep_later(en);
    return rc;
}

static int build_job_image(struct build_job *job, void *arg, struct err *e)
{
    (void)arg;
    return build_it(job, e);
}

int build_image(struct engine *en, const struct build_options *opt, struct build_result *out,
                struct err *e)
{
    struct build_job job = {.en = en, .opt = opt, .result = out};
    return build_with_job(&job, build_job_image, NULL, e);
}
