// SPDX-License-Identifier: Apache-2.0
// The state of a stage, and how it travels from a worker process to others: one JSON file in the
// build's temporary folder, written by rename.
#include <stdlib.h>

#include "base/err.h"
#include "base/own.h"
#include "build/cacheimport.h"
#include "build/internal.h"
#include "codec/json.h"

#define STATE_MAX ((size_t)64 << 20)

void build_state_init(struct build_state *s)
{
    *s = (struct build_state){.args = {.free_value = free}};
    oci_image_init(&s->image);
}

void build_state_fini(struct build_state *s)
{
    oci_image_fini(&s->image);
    vec_fini(&s->layers);
    map_fini(&s->args);
    strv_fini(&s->arg_names);
    strv_fini(&s->copied);
}

void build_state_copy(struct build_state *to, const struct build_state *from)
{
    build_state_init(to);
    oci_image_fini(&to->image);
    oci_image_copy(&to->image, &from->image);
    vec_each(l, &from->layers) vec_push(&to->layers, *l);
    to->chain = from->chain;
    to->now = from->now;
    to->constant = from->constant;
    for (size_t i = 0; i < from->args.n; i++)
        map_set(&to->args, from->args.p[i].key, str_dup(from->args.p[i].value));
    strv_add_all(&to->arg_names, &from->arg_names);
    strv_add_all(&to->copied, &from->copied);
    to->seen = from->seen;
    to->ran = from->ran;
    to->newest = from->newest;
}

void build_state_add_layer(struct build_state *s, const struct store_layer *l)
{
    vec_push(&s->layers, *l);
    oci_image_add_layer(&s->image, &l->diff_id);
    s->chain = oci_digest_chain(&s->chain, &l->diff_id);
}

void build_state_history(struct build_state *s, const char *created_by, bool empty)
{
    struct oci_history h = {
        .created = s->now,
        .created_by = str_dup(created_by),
        .comment = str_dup("dewar.dockerfile.v1"),
        .empty_layer = empty,
    };
    oci_image_add_history(&s->image, h);
}

const char *build_state_get(void *state, const char *name)
{
    const struct build_state *s = state;
    const char *z = oci_env_get(&s->image.env, name);
    return z ? z : map_get(&s->args, name);
}

int build_state_save(const struct build_state *s, int dirfd, const char *name, struct err *e)
{
    own(str) struct str image = {.max = STATE_MAX};
    own(str) struct str text = {.max = STATE_MAX};
    oci_image_print(&s->image, &image);
    struct codec_json *j = codec_json_new_object(), *args = codec_json_new_array();
    codec_json_set(j, "image", codec_json_new_text(str_sv(&image)));
    codec_json_set(j, "now", codec_json_new_int(s->now));
    codec_json_set(j, "constant", codec_json_new_bool(s->constant));
    for (size_t i = 0; i < s->arg_names.n; i++) {
        struct codec_json *pair = codec_json_new_array();
        const char *value = map_get(&s->args, s->arg_names.p[i]);
        codec_json_add(pair, codec_json_new_text(sv_of(s->arg_names.p[i])));
        codec_json_add(pair, value ? codec_json_new_text(sv_of(value)) : codec_json_new_null());
        codec_json_add(args, pair);
    }
    codec_json_set(j, "args", args);
    codec_json_set(j, "copied", codec_json_new_strv(&s->copied));
    codec_json_set(j, "seen", codec_json_new_int((int64_t)s->seen));
    codec_json_set(j, "ran", codec_json_new_bool(s->ran));
    codec_json_set(j, "newest", codec_json_new_int(s->newest));
    codec_json_print(j, &text);
    codec_json_free(j);
    if (str_check(&text, e) < 0) return -1;
    return fs_replace(dirfd, name, str_sv(&text), 0600, e);
}

// A layer that only a foreign build cache has is known by its diff id until it is needed.
static int add_layer(struct build_job *job, struct build_state *s, size_t i, struct err *e)
{
    const struct oci_digest *diff = &s->image.diff_ids[i];
    struct store_layer layer;
    int rc = store_layer_find(job->en, diff, &s->chain, &layer, e);
    if (rc < 0) return -1;
    if (rc == 0 && build_cacheimport_knows(job, diff)) {
        layer = (struct store_layer){.diff_id = *diff};
    } else if (rc == 0) {
        struct store_layer *all = NULL;  // made again from a blob or another form
        if (store_layer_resolve(job->en, s->image.diff_ids, i + 1, &all, e) < 0) return -1;
        layer = all[i];
        free(all);
    }
    vec_push(&s->layers, layer);
    s->chain = oci_digest_chain(&s->chain, diff);
    return 0;
}

int build_state_load(struct build_job *job, const char *name, struct build_state *out,
                     struct err *e)
{
    own(str) struct str text = {.max = STATE_MAX};
    own(codec_json) struct codec_json *j = NULL;
    if (fs_read_at(job->tmp.fd, name, STATE_MAX, &text, e) < 0 ||
        codec_json_parse(str_sv(&text), "stage result", &j, e) < 0)
        return -1;
    build_state_init(out);
    if (oci_image_parse(codec_json_text(codec_json_get(j, "image")), "stage result", &out->image,
                        e) < 0)
        return -1;
    out->now = codec_json_int(codec_json_get(j, "now"));
    out->constant = codec_json_bool(codec_json_get(j, "constant"));
    const struct codec_json *args = codec_json_get(j, "args"), *copied = codec_json_get(j, "copied");
    for (size_t i = 0; i < codec_json_len(args); i++) {
        const struct codec_json *pair = codec_json_at(args, i), *value = codec_json_at(pair, 1);
        own(free) char *key = sv_dup(codec_json_text(codec_json_at(pair, 0)));
        strv_add(&out->arg_names, key);
        if (codec_json_type(value) == CODEC_JSON_TEXT)
            map_set(&out->args, key, sv_dup(codec_json_text(value)));
    }
    for (size_t i = 0; i < codec_json_len(copied); i++)
        strv_take(&out->copied, sv_dup(codec_json_text(codec_json_at(copied, i))));
    out->seen = (size_t)codec_json_int(codec_json_get(j, "seen"));
    out->ran = codec_json_bool(codec_json_get(j, "ran"));
    out->newest = codec_json_int(codec_json_get(j, "newest"));
    for (size_t i = 0; i < out->image.layers; i++)
        if (add_layer(job, out, i, e) < 0)
            return err_wrap(e, "layer %zu of %zu", i + 1, out->image.layers);
    return 0;
}
