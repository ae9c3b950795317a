// SPDX-License-Identifier: Apache-2.0
// `history` and `inspect`: what an image says about itself, in the shape that Docker's tools read.
#include "base/clock.h"
#include "base/own.h"
#include "image/internal.h"

void image_history_rows_fini(struct image_history_rows *v)
{
    vec_each(row, v) {
        free(row->created_by);
        free(row->comment);
        strv_fini(&row->tags);
    }
    vec_fini(v);
}

static void add_tags(const struct store_refs *refs, const struct oci_digest *image,
                     struct strv *out)
{
    for (size_t i = 0; i < refs->n; i++) {
        if (!refs->p[i].ref.tag[0] || !oci_digest_eq(&refs->p[i].image, image)) continue;
        own(str) struct str name = {0};
        oci_ref_print(&refs->p[i].ref, &name);
        strv_add(out, str_z(&name));
    }
}

// An image made without history still shows its layers: one row each.
static void fill_missing(const struct oci_image *im, const struct store_layer *layers, size_t from,
                         struct image_history_rows *out)
{
    for (size_t i = from; i < im->layers; i++) {
        struct image_history_row *row = vec_add(out);
        row->created = im->created;
        row->created_by = str_dup("");
        row->comment = str_dup("");
        row->size = layers[i].bytes;
    }
}

static void reverse(struct image_history_rows *v)
{
    for (size_t i = 0; i + 1 < v->n - i; i++) {
        struct image_history_row swap = v->p[i];
        v->p[i] = v->p[v->n - 1 - i];
        v->p[v->n - 1 - i] = swap;
    }
}

int image_history(struct engine *en, const char *name, struct image_history_rows *out,
                  struct err *e)
{
    struct store_ref ref = {0};
    own(oci_image) struct oci_image im = {0};
    own(store_refs) struct store_refs refs = {0};
    own(free) struct store_layer *layers = NULL;
    if (image_view_config(en, name, &ref, &im, e) < 0) return -1;
    if (store_ref_list(en, &refs, e) < 0) return -1;
    image_peek_layers(en, &im, &layers);
    size_t next = 0;
    for (size_t i = 0; i < im.histories; i++) {
        const struct oci_history *h = &im.history[i];
        struct image_history_row *row = vec_add(out);
        row->created = h->created;
        row->created_by = str_dup(h->created_by ? h->created_by : "");
        row->comment = str_dup(h->comment ? h->comment : "");
        if (!h->empty_layer && next < im.layers) row->size = layers[next++].bytes;
    }
    fill_missing(&im, layers, next, out);
    if (out->n == 0) return 0;
    reverse(out);
    out->p[0].id = ref.image;
    add_tags(&refs, &ref.image, &out->p[0].tags);
    return 0;
}

// --- inspect ------------------------------------------------------------------------------------

static void set_time(struct codec_json *j, const char *key, int64_t seconds)
{
    own(str) struct str text = {0};
    if (seconds != INT64_MIN) clock_print(seconds, &text);
    codec_json_set_text(j, key, text.n ? str_z(&text) : "0001-01-01T00:00:00Z");
}

// Templates reach for these keys whether an image has them or not.
static struct codec_json *config_shape(const struct oci_image *im)
{
    static const char *const texts[] = {"Hostname", "Domainname", "User", "Image", "WorkingDir"};
    static const char *const nulls[] = {"Env", "Cmd", "Volumes", "Entrypoint", "OnBuild", "Labels"};
    own(codec_json) struct codec_json *have = oci_image_config_json(im);
    struct codec_json *j = codec_json_new_object();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) codec_json_set_text(j, texts[i], "");
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++) {
        codec_json_set(j, nulls[i], codec_json_new_null());
    }
    void *it = NULL;
    const char *key = NULL;
    struct codec_json *value = NULL;
    while (codec_json_next(have, &it, &key, &value)) codec_json_set(j, key, codec_json_copy(value));
    return j;
}

static struct codec_json *rootfs_shape(const struct oci_image *im)
{
    struct codec_json *j = codec_json_new_object();
    struct codec_json *list = codec_json_new_array();
    for (size_t i = 0; i < im->layers; i++) {
        char text[OCI_DIGEST_TEXT];
        codec_json_add(list, codec_json_new_text(sv_of(oci_digest_print(&im->diff_ids[i], text))));
    }
    codec_json_set_text(j, "Type", "layers");
    codec_json_set(j, "Layers", list);
    return j;
}

static void set_names(struct codec_json *j, const struct store_refs *refs,
                      const struct store_ref *ref)
{
    struct strv tags = {0};
    struct strv digests = {0};
    add_tags(refs, &ref->image, &tags);
    for (size_t i = 0; i < refs->n; i++) {
        const struct store_ref *r = &refs->p[i];
        if (!oci_digest_is_set(&r->remote) || !oci_digest_eq(&r->image, &ref->image)) continue;
        own(str) struct str text = {0};
        oci_ref_print_repository(&r->ref, &text);
        str_addf(&text, "@sha256:%s", r->remote.hex);
        if (strv_find(&digests, str_z(&text)) < 0) strv_add(&digests, str_z(&text));
    }
    codec_json_set(j, "RepoTags", codec_json_new_strv(&tags));
    codec_json_set(j, "RepoDigests", codec_json_new_strv(&digests));
    strv_fini(&tags);
    strv_fini(&digests);
}

int image_inspect(struct engine *en, const char *name, struct codec_json **out, struct err *e)
{
    struct store_ref ref = {0};
    char id[OCI_DIGEST_TEXT];
    bool broken = false;
    own(oci_image) struct oci_image im = {0};
    own(store_refs) struct store_refs refs = {0};
    if (image_view_config(en, name, &ref, &im, e) < 0) return -1;
    if (store_ref_list(en, &refs, e) < 0) return -1;
    const char *comment = im.histories > 0 ? im.history[im.histories - 1].comment : NULL;
    struct codec_json *j = codec_json_new_object();
    codec_json_set_text(j, "Id", oci_digest_print(&ref.image, id));
    set_names(j, &refs, &ref);
    codec_json_set_text(j, "Parent", "");
    codec_json_set_text(j, "Comment", comment ? comment : "");
    set_time(j, "Created", im.created);
    codec_json_set_text(j, "DockerVersion", "");
    codec_json_set_text(j, "Author", im.author ? im.author : "");
    codec_json_set(j, "Config", config_shape(&im));
    codec_json_set_text(j, "Architecture", im.platform.arch);
    if (im.platform.variant[0]) codec_json_set_text(j, "Variant", im.platform.variant);
    codec_json_set_text(j, "Os", im.platform.os);
    codec_json_set(j, "Size", codec_json_new_int((int64_t)image_size(en, &im, &broken)));
    struct codec_json *driver = codec_json_new_object();
    codec_json_set(driver, "Data", codec_json_new_null());
    codec_json_set_text(driver, "Name", "overlayfs");
    codec_json_set(j, "GraphDriver", driver);
    codec_json_set(j, "RootFS", rootfs_shape(&im));
    struct codec_json *meta = codec_json_new_object();
    own(str) struct str tagged = {0};
    clock_print_ns(ref.set_ns, &tagged);
    codec_json_set_text(meta, "LastTagTime", str_z(&tagged));
    codec_json_set(j, "Metadata", meta);
    *out = j;
    return 0;
}
