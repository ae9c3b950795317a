// SPDX-License-Identifier: Apache-2.0
// Opens images. This lies on the path of `run`, so it reads one ref, one config and one meta file a
// layer, and nothing else.
#include "image/view.h"

#include "base/own.h"
#include "image/internal.h"
#include "store/blob.h"

int image_read_config(struct engine *en, const struct oci_digest *image, struct oci_image *out,
                      struct err *e)
{
    own(str) struct str text = {0};
    own(free) char *label = str_fmt("config of image sha256:%.12s", image->hex);
    if (store_blob_read(en, image, LIMIT_CONFIG, &text, e) < 0) return err_wrap(e, "%s", label);
    return oci_image_parse(str_sv(&text), label, out, e);
}

int image_read_manifest(struct engine *en, const struct oci_digest *manifest,
                        struct oci_manifest *out, struct str *raw, struct err *e)
{
    own(str) struct str text = {0};
    own(free) char *label = str_fmt("manifest sha256:%.12s", manifest->hex);
    if (store_blob_read(en, manifest, LIMIT_MANIFEST, &text, e) < 0) return err_wrap(e, "%s", label);
    if (oci_manifest_parse(str_sv(&text), label, out, e) < 0) return -1;
    if (raw) str_add(raw, str_sv(&text));
    return 0;
}

size_t image_peek_layers(struct engine *en, const struct oci_image *im, struct store_layer **out)
{
    struct oci_digest chain = {0};
    size_t missing = 0;
    struct store_layer *list = im->layers ? mem_alloc(im->layers * sizeof *list) : NULL;
    for (size_t i = 0; i < im->layers; i++) {
        struct err e = {0};
        if (store_layer_find(en, &im->diff_ids[i], &chain, &list[i], &e) != 1) {
            memset(&list[i], 0, sizeof list[i]);
            list[i].diff_id = im->diff_ids[i];
            missing++;
        }
        chain = oci_digest_chain(&chain, &im->diff_ids[i]);
    }
    *out = list;
    return missing;
}

uint64_t image_size(struct engine *en, const struct oci_image *im, bool *out_broken)
{
    own(free) struct store_layer *layers = NULL;
    uint64_t sum = 0;
    *out_broken = image_peek_layers(en, im, &layers) > 0;
    for (size_t i = 0; i < im->layers; i++) sum += layers[i].bytes;
    return sum;
}

size_t image_users(const struct store_users *all, const struct oci_digest *image)
{
    size_t n = 0;
    for (size_t i = 0; i < all->n; i++) n += store_user_has(&all->p[i], image);
    return n;
}

static int open_ref(struct engine *en, const struct store_ref *ref, struct image_view *out,
                    struct err *e)
{
    struct image_view v = {.ref = *ref};
    if (image_read_config(en, &ref->image, &v.config, e) < 0) return -1;
    if (store_layer_resolve(en, v.config.diff_ids, v.config.layers, &v.layers, e) < 0) {
        oci_image_fini(&v.config);
        return -1;
    }
    v.n = v.config.layers;
    *out = v;
    return 0;
}

int image_view_open(struct engine *en, const char *name, struct image_view *out, struct err *e)
{
    struct store_ref ref = {0};
    if (store_ref_resolve(en, name, &ref, e) < 0) return -1;
    if (open_ref(en, &ref, out, e) < 0) return err_wrap(e, "opening image '%s'", name);
    return 0;
}

int image_view_open_id(struct engine *en, const struct oci_digest *image, struct image_view *out,
                       struct err *e)
{
    struct store_ref ref = {.image = *image};
    return open_ref(en, &ref, out, e);
}

int image_view_config(struct engine *en, const char *name, struct store_ref *out_ref,
                      struct oci_image *out, struct err *e)
{
    struct store_ref ref = {0};
    if (store_ref_resolve(en, name, &ref, e) < 0) return -1;
    if (image_read_config(en, &ref.image, out, e) < 0) return -1;
    if (out_ref) *out_ref = ref;
    return 0;
}

bool image_made_from(struct engine *en, const char *image, const char *ancestor)
{
    struct err gone = {0};
    own(oci_image) struct oci_image im = {0}, base = {0};
    if (image_view_config(en, image, NULL, &im, &gone) < 0 ||
        image_view_config(en, ancestor, NULL, &base, &gone) < 0)
        return false;
    if (base.layers == 0 || im.layers < base.layers) return false;
    for (size_t i = 0; i < base.layers; i++)
        if (!oci_digest_eq(&im.diff_ids[i], &base.diff_ids[i])) return false;
    return true;
}

void image_view_close(struct image_view *v)
{
    oci_image_fini(&v->config);
    free(v->layers);
    memset(v, 0, sizeof *v);
}

int image_view_root(struct engine *en, const struct image_view *v, struct root *out, struct err *e)
{
    const struct store_overlay o = {.layers = v->layers, .n = v->n};
    int fd = store_overlay_open(en, &o, e);
    if (fd < 0) return -1;
    *out = (struct root){.fd = fd, .label = "the image"};
    return 0;
}
