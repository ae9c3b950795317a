// SPDX-License-Identifier: Apache-2.0
// Brings a new image into the store in the order that a crash forgives: blobs, one sync for all of
// them and the layers, then the names.
#include "base/own.h"
#include "image/image.h"
#include "image/internal.h"
#include "store/blob.h"
#include "store/event.h"
#include "store/fresh.h"
#include "store/lock.h"

static void plain_layer(const struct store_layer *l, struct oci_descriptor *out)
{
    memcpy(out->media_type, OCI_TYPE_LAYER, sizeof OCI_TYPE_LAYER);
    out->digest = l->diff_id;
    out->size = l->tar_size;
}

// Layers that came from the base keep the archive digests that its manifest gives them, so that
// what a registry has already is known to be the same.
static void base_layers(struct engine *en, const struct image_put *put, struct oci_manifest *m)
{
    struct err e = {0};
    own(oci_manifest) struct oci_manifest base = {0};
    own(oci_image) struct oci_image config = {0};
    if (!put->base || !oci_digest_is_set(put->base)) return;
    if (image_read_manifest(en, put->base, &base, NULL, &e) < 0 || base.is_index) return;
    if (image_read_config(en, &base.config.digest, &config, &e) < 0) return;
    for (size_t i = 0; i < base.n && i < config.layers && i < m->n; i++) {
        if (!oci_digest_eq(&config.diff_ids[i], &put->layers[i].diff_id)) return;
        struct oci_descriptor d = base.items[i];
        d.annotations = NULL;
        d.has_platform = false;
        if (strcmp(d.media_type, DOCKER_TYPE_LAYER_GZIP) == 0) {
            memcpy(d.media_type, OCI_TYPE_LAYER_GZIP, sizeof OCI_TYPE_LAYER_GZIP);
        }
        m->items[i] = d;
    }
}

static void fill_manifest(struct engine *en, const struct image_put *put,
                          const struct oci_digest *config, size_t config_size,
                          struct oci_manifest *m)
{
    size_t n = put->image->layers;
    memcpy(m->media_type, OCI_TYPE_MANIFEST, sizeof OCI_TYPE_MANIFEST);
    memcpy(m->config.media_type, OCI_TYPE_CONFIG, sizeof OCI_TYPE_CONFIG);
    m->config.digest = *config;
    m->config.size = config_size;
    m->items = n ? mem_alloc(n * sizeof *m->items) : NULL;
    m->n = n;
    for (size_t i = 0; i < n; i++) plain_layer(&put->layers[i], &m->items[i]);
    base_layers(en, put, m);
    if (put->annotations) m->annotations = codec_json_copy(put->annotations);
}

int image_put_manifest(struct engine *en, const struct image_put *put,
                       const struct oci_digest *config, size_t config_size, struct str *out,
                       struct err *e)
{
    own(oci_manifest) struct oci_manifest m = {0};
    fill_manifest(en, put, config, config_size, &m);
    oci_manifest_print(&m, out);
    return str_check(out, e) < 0 ? err_wrap(e, "the image's manifest") : 0;
}

// Every name points at this very image: whoever wrote them synced it before. Unless a layer was lost
// and made again since.
static bool is_named(struct engine *en, const struct image_put *put, const struct store_ref *r)
{
    struct err ignored;
    own(strv) struct strv fresh = {0};
    if (store_fresh_list(en, &fresh, &ignored) < 0 || fresh.n > 0) return false;
    for (size_t i = 0; i < put->refs_n; i++) {
        struct store_ref have;
        if (store_ref_find(en, &put->refs[i], &have, &ignored) != 1 ||
            !oci_digest_eq(&have.image, &r->image) || !oci_digest_eq(&have.manifest, &r->manifest))
            return false;
    }
    return put->refs_n > 0;
}

void image_event(struct engine *en, const char *action, const struct oci_digest *image,
                 const struct oci_ref *ref)
{
    own(free) char *id = str_fmt("sha256:%s", image->hex);
    own(str) struct str name = {0};
    if (ref && ref->name[0]) oci_ref_print(ref, &name);
    store_event(en, "image", action, id,
                (const char *const[]){"name", name.n ? name.p : id, NULL});
}

void image_event_named(struct engine *en, const char *action, const struct oci_ref *ref)
{
    own(str) struct str full = {0};
    own(str) struct str name = {0};
    oci_ref_print(ref, &full);
    oci_ref_print_repository(ref, &name);
    store_event(en, "image", action, str_z(&full),
                (const char *const[]){"name", str_z(&name), NULL});
}

int image_put(struct engine *en, const struct image_put *put, struct store_ref *out,
              struct err *e)
{
    struct store_ref r = {0};
    own(str) struct str config = {.max = LIMIT_CONFIG};
    own(str) struct str manifest = {.max = LIMIT_MANIFEST};
    oci_image_print(put->image, &config);
    if (str_check(&config, e) < 0) return err_wrap(e, "the image's config");
    if (store_blob_put_batch(en, str_sv(&config), &r.image, e) < 0) return -1;
    if (image_put_manifest(en, put, &r.image, config.n, &manifest, e) < 0) return -1;
    if (store_blob_put_batch(en, str_sv(&manifest), &r.manifest, e) < 0) return -1;
    bool named = is_named(en, put, &r);
    if (!named && store_sync(en, e) < 0) return -1;
    for (size_t i = 0; !named && i < put->refs_n; i++) {
        if (store_ref_set(en, &put->refs[i], &r.manifest, &r.image, e) < 0) return -1;
        image_event(en, "tag", &r.image, &put->refs[i]);
    }
    if (put->refs_n == 0 && store_ref_set_untagged(en, &r.manifest, &r.image, e) < 0) return -1;
    if (put->refs_n > 0) r.ref = put->refs[0];
    if (out) *out = r;
    return 0;
}

int image_tag(struct engine *en, const char *source, const char *target, struct err *e)
{
    struct store_ref r = {0};
    struct oci_ref ref = {0};
    if (oci_ref_parse(sv_of(target), &ref, e) < 0) return -1;
    if (oci_digest_is_set(&ref.digest)) {
        return err_set(e, ERR_USAGE, "the new name '%s' must not have a digest", target);
    }
    oci_ref_default_tag(&ref);
    // Between the look and the new name the image must not be freed under us.
    own(fd) int lock = store_lock_shared(en, e);
    if (lock < 0 || store_ref_resolve(en, source, &r, e) < 0) return -1;
    if (store_ref_set(en, &ref, &r.manifest, &r.image, e) < 0) return -1;
    image_event(en, "tag", &r.image, &ref);
    return 0;
}
