// SPDX-License-Identifier: Apache-2.0
// What --from names: a build context, another stage, a named context or an image, each as a tree to
// copy from. The hash of files that come from layers is remembered by the layers' chain id, so a
// rebuild with nothing changed opens no overlay.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "build/base.h"
#include "build/cacheexport.h"
#include "build/cacheimport.h"
#include "build/internal.h"
#include "image/view.h"
#include "store/cache.h"

static int from_image(struct build_work *w, const char *name, struct build_source *out,
                      struct err *e)
{
    struct image_view view;
    struct store_ref ref;
    if (build_base_ensure(w->job, name, NULL, &ref, e) < 0 ||
        image_view_open_id(w->job->en, &ref.image, &view, e) < 0) {
        if (e->kind == ERR_NOT_FOUND)
            err_hint(e, "'%s' is no stage, context or image; stages are named with FROM ... AS", name);
        return -1;
    }
    for (size_t i = 0; i < view.n; i++) {
        vec_push(&out->state.layers, view.layers[i]);
        out->state.chain = oci_digest_chain(&out->state.chain, &view.layers[i].diff_id);
    }
    image_view_close(&view);
    return 0;
}

int build_source_open(struct build_work *w, const char *from, struct build_source *out,
                      struct err *e)
{
    struct build_job *job = w->job;
    *out = (struct build_source){0};
    out->own.root.fd = -1;
    build_state_init(&out->state);
    long context = from ? build_plan_context(job, from) : 0;
    if (context >= 0 && !job->contexts.p[context].image) {
        out->context = &job->contexts.p[context];
        out->tree = &out->context->tree;
        return build_context_scan(job->en, out->context, e);
    }
    out->tree = &out->own;
    int rc;
    long stage = context < 0 ? build_plan_stage(job, from, w->stage->index) : -1;
    if (stage >= 0) {
        build_state_fini(&out->state);
        rc = build_solve_wait(w, (size_t)stage, &out->state, e);
    } else {
        rc = from_image(w, context >= 0 ? job->contexts.p[context].image : from, out, e);
    }
    out->chain = out->state.chain;
    out->label = stage >= 0 ? str_fmt("stage '%s'", from) : str_fmt("the image '%s'", from);
    out->own.root.label = out->label;
    return rc;
}

void build_source_close(struct build_work *w, struct build_source *s)
{
    (void)w;
    if (s->own.root.fd >= 0) close(s->own.root.fd);
    build_tree_fini(&s->own);
    build_state_fini(&s->state);
    free(s->label);
}

int build_source_scan(struct build_work *w, struct build_source *s, const struct build_copy *spec,
                      struct build_picks *picks, struct err *e)
{
    if (s->context)
        return build_copy_select(s->tree, spec, &s->context->ignore, s->context->ignore_label, picks,
                                 e);
    if (s->own.root.fd < 0 && build_solve_view(w, &s->state, &s->own.root.fd, e) < 0) return -1;
    if (build_copy_scan(&s->own, spec, e) < 0) return -1;
    return build_copy_select(&s->own, spec, NULL, NULL, picks, e);
}

static void record_key(const struct build_source *s, const struct build_copy *spec,
                       char hex[CODEC_SHA256_HEX])
{
    struct codec_sha256 h;
    codec_sha256_init(&h);
    codec_sha256_addz(&h, "2");  // goes up when the same words select something else
    codec_sha256_addz(&h, s->chain.hex);
    codec_sha256_addu(&h, (uint64_t)spec->literal << 1 | spec->parents);
    for (size_t i = 0; i < spec->sources.n; i++) codec_sha256_addz(&h, spec->sources.p[i]);
    codec_sha256_addz(&h, "excluding");
    vec_each(p, &spec->excludes.patterns)
    {
        codec_sha256_addu(&h, p->keep);
        codec_sha256_addz(&h, p->text);
    }
    codec_sha256_end(&h, hex);
}

int build_source_hash(struct build_work *w, struct build_source *s, const struct build_copy *spec,
                      struct build_picks *picks, bool *out_picked, char hex[CODEC_SHA256_HEX],
                      struct err *e)
{
    char key[CODEC_SHA256_HEX];
    struct codec_sha256 h;
    own(str) struct str known = {0};
    *out_picked = false;
    if (!s->context) {
        record_key(s, spec, key);
        build_cacheexport_note(w, 'h', key);
        // A foreign hash counts for this build only: it is about layers that others stand on too.
        if ((store_cache_find(w->job->en, "sources", key, &known, e) == 1 ||
             build_cacheimport_source(w->job, key, &known) == 1) &&
            known.n == 64) {
            memcpy(hex, known.p, 65);
            return 0;
        }
    }
    codec_sha256_init(&h);
    if (build_source_scan(w, s, spec, picks, e) < 0 ||
        build_copy_hash(s->tree, spec, picks, &h, e) < 0)
        return -1;
    codec_sha256_end(&h, hex);
    *out_picked = true;
    if (!s->context)
        return store_cache_put(w->job->en, "sources", key, (struct sv){hex, 64}, e);
    return 0;
}
