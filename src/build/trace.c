// SPDX-License-Identifier: Apache-2.0
// What a build names from outside. See build/trace.h. A stage's variables come from its base, so
// stages are walked in the order of the file, each beginning with what its base left.
#include "build/trace.h"

#include <stdlib.h>

#include "base/own.h"
#include "build/remote.h"
#include "image/view.h"

void build_trace_fini(struct build_trace *t)
{
    vec_each(i, &t->v)
    {
        free(i->text);
        free(i->platform);
        free(i->checksum);
    }
    vec_fini(&t->v);
}

static void add(struct build_trace *t, enum build_trace_kind kind, const char *text,
                const struct build_instr *in, const char *platform, const char *checksum)
{
    vec_push(&t->v, ((struct build_trace_item){kind, str_dup(text), str_dup(platform),
                                               str_dup(checksum), in}));
}

// --from: an image unless it is a stage or a context of files.
static void trace_from(struct build_work *w, const char *from, const struct build_instr *in,
                       struct build_trace *out)
{
    struct build_job *job = w->job;
    if (!from) return;
    long context = build_plan_context(job, from);
    if (context >= 0 && !job->contexts.p[context].image) return;
    if (context < 0 && build_plan_stage(job, from, w->stage->index) >= 0) return;
    add(out, BUILD_TRACE_IMAGE, context >= 0 ? job->contexts.p[context].image : from, in, NULL,
        NULL);
}

static int trace_add(struct build_work *w, const struct build_instr *in, struct build_trace *out,
                     struct err *e)
{
    struct build_expand x = build_stage_expand(w);
    struct build_copy spec = {0};
    if (build_instr_copy(in, &x, &spec, e) < 0) return -1;
    for (size_t i = 0; i < spec.sources.n && !spec.from; i++) {
        struct build_remote r;
        if (build_remote_parse(spec.sources.p[i], BUILD_REMOTE_IN_FILE, &r, e) != 1) continue;
        add(out, BUILD_TRACE_SOURCE, spec.sources.p[i], in, NULL, spec.checksum);
        build_remote_fini(&r);
    }
    build_copy_fini(&spec);
    return 0;
}

static void trace_mounts(struct build_work *w, const struct build_instr *in,
                         struct build_trace *out)
{
    vec_each(f, &in->flags)
    {
        struct sv rest = sv_of(strcmp(f->def->name, "mount") == 0 ? f->value : "");
        while (rest.p) {
            struct sv part = sv_cut(&rest, ',');
            if (!sv_starts(part, "from=")) continue;
            own(free) char *from = sv_dup(sv_from(part, 5));
            trace_from(w, from, in, out);
        }
    }
}

static int trace_stage(struct build_work *w, struct build_trace *out, struct err *e)
{
    if (w->stage->base_kind == BUILD_BASE_IMAGE)
        add(out, BUILD_TRACE_IMAGE, w->stage->base_image, w->stage->from, w->stage->base.platform,
            NULL);
    vec_each(p, &w->stage->steps)
    {
        const struct build_instr *in = *p;
        int rc = 0;
        if (in->def->id == BUILD_COPY || in->def->id == BUILD_ADD)
            trace_from(w, build_instr_flag(in, "from"), in, out);
        if (in->def->id == BUILD_ADD) rc = trace_add(w, in, out, e);
        if (in->def->id == BUILD_RUN) trace_mounts(w, in, out);
        if (rc == 0) rc = build_stage_meta(w, in, e);
        if (rc < 0) return build_instr_wrap(e, &w->job->file, in);
    }
    return 0;
}

// The state that a stage's first instruction sees, as far as variables go.
static int begin(struct build_work *w, const struct build_state *states, struct err *e)
{
    struct build_state *s = w->state;
    build_state_init(s);
    if (w->stage->base_kind == BUILD_BASE_STAGE) {
        build_state_fini(s);
        build_state_copy(s, &states[w->stage->base_stage]);
    } else if (w->stage->base_kind == BUILD_BASE_IMAGE) {
        struct store_ref ref;
        char id[OCI_DIGEST_TEXT];
        oci_image_fini(&s->image);
        return image_view_config(w->job->en, oci_digest_print(&w->stage->base_id, id), &ref,
                                 &s->image, e);
    }
    return 0;
}

int build_trace_walk(struct build_job *job, struct build_trace *out, struct err *e)
{
    own(free) struct build_state *states = mem_alloc((job->stages.n + 1) * sizeof *states);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < job->stages.n; i++) {
        struct build_work w = {.job = job, .stage = &job->stages.p[i], .state = &states[i]};
        if (!w.stage->needed) continue;
        rc = begin(&w, states, e);
        if (rc == 0) rc = trace_stage(&w, out, e);
    }
    for (size_t i = 0; i < job->stages.n; i++) build_state_fini(&states[i]);
    return rc;
}
