// SPDX-License-Identifier: Apache-2.0
// From the parsed file to stages: what each is built from, which steps it has (the base's ONBUILD
// triggers first), and which are needed for the target. Stages that are not needed are never
// looked at again.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/own.h"
#include "build/base.h"
#include "build/internal.h"
#include "image/view.h"

static int add_automatic_args(struct build_job *job, struct err *e)
{
    struct oci_platform host;
    oci_platform_host(&host);
    job->platform = host;
    if (job->opt->platform) {
        if (oci_platform_parse(sv_of(job->opt->platform), &job->platform, e) < 0) return -1;
        job->foreign = !oci_platform_match(&job->platform, &host);
        bool looks = job->pins.use == BUILD_PIN_WRITE || job->pins.use == BUILD_PIN_CHECK;
        if (job->foreign && !looks) {
            err_set(e, ERR_UNSUPPORTED, "cannot build for '%s' on this machine", job->opt->platform);
            return err_hint(e, "steps run natively here; leave --platform out");
        }
    }
    const struct {
        const char *prefix;
        const struct oci_platform *p;
    } sides[] = {{"BUILD", &host}, {"TARGET", &job->platform}};
    for (size_t i = 0; i < 2; i++) {
        own(str) struct str text = {0};
        oci_platform_print(sides[i].p, &text);
        const struct {
            const char *name, *value;
        } rows[] = {{"PLATFORM", str_z(&text)}, {"OS", sides[i].p->os}, {"OSVERSION", ""},
                    {"ARCH", sides[i].p->arch}, {"VARIANT", sides[i].p->variant}};
        for (size_t k = 0; k < 5; k++) {
            own(free) char *name = str_fmt("%s%s", sides[i].prefix, rows[k].name);
            map_set(&job->globals, name, str_dup(rows[k].value));
        }
    }
    map_set(&job->globals, "TARGETSTAGE", str_dup(job->opt->target ? job->opt->target : "default"));
    return 0;
}

const char *build_plan_global(void *arg, const char *name)
{
    return map_get(&((struct build_job *)arg)->globals, name);
}

static int read_build_args(struct build_job *job, struct err *e)
{
    for (size_t i = 0; job->opt->build_args && i < job->opt->build_args->n; i++) {
        struct sv rest = sv_of(job->opt->build_args->p[i]);
        own(free) char *key = sv_dup(sv_cut(&rest, '='));
        if (!key[0])
            return err_set(e, ERR_USAGE, "--build-arg '%s' has no name", job->opt->build_args->p[i]);
        const char *inherited = rest.p ? NULL : getenv(key);
        if (rest.p)
            map_set(&job->build_args, key, sv_dup(rest));
        else if (inherited)
            map_set(&job->build_args, key, str_dup(inherited));
    }
    for (size_t i = 0; job->opt->proxies && i < job->opt->proxies->n; i++) {
        struct sv value = sv_of(job->opt->proxies->p[i]);
        own(free) char *key = sv_dup(sv_cut(&value, '='));
        if (!map_has(&job->build_args, key)) map_set(&job->build_args, key, sv_dup(value));
    }
    return 0;
}

// ARGs before the first FROM.
static int read_globals(struct build_job *job, const struct build_instr *in, struct err *e)
{
    struct build_expand x = {.get = build_plan_global, .arg = job, .escape = job->file.escape};
    for (size_t i = 0; i < in->words.n; i++) {
        struct build_pair p = {0};
        if (build_instr_arg(in, i, &x, &job->build_args, &p, e) < 0)
            return build_instr_wrap(e, &job->file, in);
        if (p.value) map_set(&job->globals, p.key, take_ptr(p.value));
        build_pair_fini(&p);
    }
    return 0;
}

bool build_plan_is_number(const char *name)
{
    return *name && !name[strspn(name, "0123456789")];
}

long build_plan_stage(const struct build_job *job, const char *name, size_t before)
{
    for (size_t i = before; i-- > 0;)  // of equal names the last one counts
        if (job->stages.p[i].name && strcasecmp(job->stages.p[i].name, name) == 0) return (long)i;
    char *end;
    errno = 0;
    unsigned long n = strtoul(name, &end, 10);
    if (build_plan_is_number(name) && !*end && errno == 0 && n < before) return (long)n;
    return -1;
}

long build_plan_context(const struct build_job *job, const char *name)
{
    for (size_t i = 1; i < job->contexts.n; i++)
        if (strcasecmp(job->contexts.p[i].name, name) == 0) return (long)i;
    return -1;
}

static int cut_stages(struct build_job *job, struct err *e)
{
    struct build_stage *s = NULL;
    if (build_dockerfile_check_order(&job->file, e) < 0) return -1;
    vec_each(in, &job->file.instrs)
    {
        if (in->def->id == BUILD_FROM) {
            if (job->stages.n >= BUILD_STAGES_MAX)
                return err_set(e, ERR_LIMIT, "more than %d stages", BUILD_STAGES_MAX);
            size_t index = job->stages.n;
            s = vec_add(&job->stages);
            s->index = index;
            s->from = in;
            s->done_rd = s->done_wr = -1;
            if (build_instr_from_name(in, &s->name, e) < 0)
                return build_instr_wrap(e, &job->file, in);
            s->shown = s->name ? str_dup(s->name) : str_fmt("stage-%zu", index);
        } else if (s) {
            vec_push(&s->steps, in);
        } else if (read_globals(job, in, e) < 0) {
            return -1;
        }
    }
    return 0;
}

static int find_target(struct build_job *job, struct err *e)
{
    job->target = job->stages.n - 1;
    if (!job->opt->target || !job->opt->target[0]) return 0;
    long i = build_plan_stage(job, job->opt->target, job->stages.n);
    if (i >= 0) {
        job->target = (size_t)i;
        return 0;
    }
    own(str) struct str names = {0};
    vec_each(s, &job->stages) str_addf(&names, "%s%s", names.n ? ", " : "", s->shown);
    err_set(e, ERR_INPUT, "there is no stage '%s' in %s", job->opt->target, job->file.label);
    return err_hint(e, "the stages are: %.200s", str_z(&names));
}

// ONBUILD texts of the base become the first steps.
static int add_triggers(struct build_job *job, struct build_stage *s, const struct strv *texts,
                        struct err *e)
{
    VEC(const struct build_instr *) own_steps = {0};
    vec_each(p, &s->steps) vec_push(&own_steps, *p);
    s->steps.n = 0;
    for (size_t i = 0; i < texts->n; i++) {
        struct build_instr *in = mem_alloc(sizeof *in);
        if (build_dockerfile_parse_one(sv_of(texts->p[i]), job->file.escape, job->file.label,
                                       s->from->first_line, in, e) < 0) {
            free(in);
            vec_fini(&own_steps);
            return err_wrap(e, "in the ONBUILD trigger %zu of '%s'", i + 1, s->base.image);
        }
        vec_push(&s->triggers, in);
        vec_push(&s->steps, in);
    }
    vec_each(p, &own_steps) vec_push(&s->steps, *p);
    vec_fini(&own_steps);
    return 0;
}

static int onbuild_of_stage(const struct build_stage *base, struct strv *out, struct err *e)
{
    vec_each(p, &base->steps)
    {
        char *text = NULL;
        if ((*p)->def->id != BUILD_ONBUILD) continue;
        if (build_instr_onbuild(*p, &text, e) < 0) return -1;
        strv_take(out, text);
    }
    return 0;
}

static int resolve_base(struct build_job *job, struct build_stage *s, struct err *e)
{
    struct build_expand x = {.get = build_plan_global, .arg = job, .escape = job->file.escape};
    if (build_instr_from(s->from, &x, &s->base, e) < 0)
        return build_instr_wrap(e, &job->file, s->from);
    own(strv) struct strv triggers = {0};
    long context = build_plan_context(job, s->base.image);
    long stage = build_plan_stage(job, s->base.image, s->index);
    if (s->base.image[0] >= '0' && s->base.image[0] <= '9' &&
        (stage < 0 || !job->stages.p[stage].name ||
         strcasecmp(job->stages.p[stage].name, s->base.image) != 0))
        stage = -1;  // numbers name stages in COPY --from only
    if (context >= 0 && !job->contexts.p[context].image) {
        s->base_kind = BUILD_BASE_CONTEXT;
        s->base_context = (size_t)context;
        return 0;
    }
    if (context < 0 && stage >= 0) {
        s->base_kind = BUILD_BASE_STAGE;
        s->base_stage = (size_t)stage;
        if (onbuild_of_stage(&job->stages.p[stage], &triggers, e) < 0) return -1;
        return add_triggers(job, s, &triggers, e);
    }
    if (context < 0 && strcmp(s->base.image, "scratch") == 0) return 0;
    s->base_kind = BUILD_BASE_IMAGE;
    s->base_image = str_dup(context >= 0 ? job->contexts.p[context].image : s->base.image);
    struct store_ref ref, same;
    struct oci_image config;
    char id[OCI_DIGEST_TEXT];
    // What the name means is found out once; from here on it is the image itself.
    if (build_base_ensure(job, s->base_image, s->base.platform, &ref, e) < 0 ||
        image_view_config(job->en, oci_digest_print(&ref.image, id), &same, &config, e) < 0) {
        if (e->kind == ERR_NOT_FOUND && job->opt->pull == IMAGE_PULL_NEVER)
            err_hint(e, "make it with 'dewar image bootstrap', 'dewar load' or 'dewar image import'");
        return build_instr_wrap(e, &job->file, s->from);
    }
    s->base_id = ref.image;
    int rc = add_triggers(job, s, &config.onbuild, e);
    oci_image_fini(&config);
    return rc < 0 ? build_instr_wrap(e, &job->file, s->from) : 0;
}

static int need(struct build_job *job, size_t index, struct err *e);

static int need_from(struct build_job *job, struct build_stage *s, const char *from, struct err *e)
{
    if (!from) return 0;
    if (build_instr_check_from(from, e) < 0) return -1;
    if (build_plan_context(job, from) >= 0) return 0;
    long i = build_plan_stage(job, from, s->index);
    if (i >= 0) return need(job, (size_t)i, e);
    if (build_plan_stage(job, from, job->stages.n) >= 0) {
        err_set(e, ERR_INPUT, "stage '%s' comes later in the file (or is this one)", from);
        return err_hint(e, "a stage takes files from stages above it: move that one up");
    }
    if (build_plan_is_number(from)) {
        err_set(e, ERR_INPUT, "there is no stage %s above: numbers count the stages from 0", from);
        return err_hint(e, "give the stage a name with FROM ... AS name, and use that");
    }
    return 0;  // an image; the step opens it
}

// `from=` of every RUN --mount: names are never expanded, so the raw text is enough.
static int need_mounts(struct build_job *job, struct build_stage *s, const struct build_instr *in,
                       struct err *e)
{
    vec_each(f, &in->flags)
    {
        if (strcmp(f->def->name, "mount") != 0) continue;
        struct sv rest = sv_of(f->value);
        while (rest.p) {
            struct sv part = sv_cut(&rest, ',');
            if (!sv_starts(part, "from=")) continue;
            own(free) char *from = sv_dup(sv_from(part, 5));
            if (need_from(job, s, from, e) < 0) return -1;
        }
    }
    return 0;
}

static int need(struct build_job *job, size_t index, struct err *e)
{
    struct build_stage *s = &job->stages.p[index];
    if (s->needed) return 0;
    s->needed = true;
    if (resolve_base(job, s, e) < 0) return -1;
    if (s->base_kind == BUILD_BASE_STAGE && need(job, s->base_stage, e) < 0) return -1;
    s->counted = 1;
    vec_each(p, &s->steps)
    {
        const struct build_instr *in = *p;
        int rc = 0;
        if (in->def->id == BUILD_COPY || in->def->id == BUILD_ADD)
            rc = need_from(job, s, build_instr_flag(in, "from"), e);
        else if (in->def->id == BUILD_RUN)
            rc = need_mounts(job, s, in, e);
        if (rc < 0) return build_instr_wrap(e, &job->file, in);
        s->counted += in->def->id == BUILD_COPY || in->def->id == BUILD_ADD ||
                      in->def->id == BUILD_RUN || in->def->id == BUILD_WORKDIR;
    }
    return 0;
}

int build_plan(struct build_job *job, struct err *e)
{
    job->build_args.free_value = job->globals.free_value = free;
    if (add_automatic_args(job, e) < 0 || read_build_args(job, e) < 0 || cut_stages(job, e) < 0 ||
        find_target(job, e) < 0)
        return -1;
    if (build_base_prefetch(job, e) < 0) return -1;
    return need(job, job->target, e);
}

void build_plan_fini(struct build_job *job)
{
    vec_each(s, &job->stages)
    {
        vec_each(t, &s->triggers)
        {
            build_instr_fini(*t);
            free(*t);
        }
        vec_fini(&s->triggers);
        vec_fini(&s->steps);
        build_from_fini(&s->base);
        free(s->name);
        free(s->shown);
        free(s->base_image);
    }
    vec_fini(&job->stages);
    map_fini(&job->bases);
    map_fini(&job->build_args);
    map_fini(&job->globals);
}
