// SPDX-License-Identifier: Apache-2.0
// `push`: blobs first, the manifest when the registry has all of them, an index after its
// manifests. What came as an archive goes as it came. A layer that was made here has none: it is
// compressed once, and then the image's manifest in the store names the archive, so that the next
// push, `save` and a push of an image that shares the layer send the same bytes.
#include <stdlib.h>

#include "base/own.h"
#include "image/internal.h"
#include "image/push.h"
#include "image/resolve.h"
#include "store/blob.h"
#include "store/lock.h"

struct push {
    struct engine *en;
    struct image_sender *sender;
    struct image_send_how how;
    struct oci_ref ref;
    // The image that is being pushed
    struct store_ref image;
    struct oci_manifest m;
    struct str raw;
    struct oci_image im;
    struct store_layer *layers; // NULL until they are needed
    struct image_send *list;    // the layers, then the config
};

void image_pushed_fini(struct image_pushed *p)
{
    free(p->layers);
    p->layers = NULL;
    p->n = 0;
}

static void image_drop(struct push *p)
{
    oci_manifest_fini(&p->m);
    oci_image_fini(&p->im);
    str_fini(&p->raw);
    p->raw = (struct str){0};
    p->im = (struct oci_image){0};
    free(take_ptr(p->layers));
    free(take_ptr(p->list));
}

// --- one image ----------------------------------------------------------------------------------

static bool is_foreign(const struct oci_descriptor *d)
{
    return strstr(d->media_type, ".foreign.") || strstr(d->media_type, "nondistributable");
}

// How the bytes of layer i come about.
static int plan_layer(struct push *p, size_t i, bool *changed, struct err *e)
{
    const struct oci_descriptor *d = &p->m.items[i];
    const struct oci_digest *diff = &p->im.diff_ids[i];
    struct image_send *s = &p->list[i];
    uint64_t size = 0;
    *s = (struct image_send){.d = *d, .shown = *diff};
    s->d.annotations = NULL;
    bool plain = oci_digest_eq(&d->digest, diff);
    if (store_blob_exists(p->en, &d->digest, &size) && size == d->size) return 0;
    if (is_foreign(d)) {
        s->end = IMAGE_PUSH_FOREIGN;
        return 0;
    }
    *changed = true;
    int found = image_pack_find(p->en, diff, image_pack_type(p->how.zip), &s->d, e);
    if (found != 0) return found < 0 ? -1 : 0;
    if (!plain)
        event_warn(&p->en->sink,
                   "layer %.12s is not kept as it was received: it is compressed anew, and "
                   "the image's digest changes",
                   diff->hex);
    if (!p->layers && store_layer_resolve(p->en, p->im.diff_ids, p->im.layers, &p->layers, e) < 0)
        return -1;
    s->layer = &p->layers[i];
    return 0;
}

static int plan(struct push *p, bool *changed, struct err *e)
{
    if (image_read_manifest(p->en, &p->image.manifest, &p->m, &p->raw, e) < 0 ||
        image_read_config(p->en, &p->m.config.digest, &p->im, e) < 0)
        return -1;
    if (p->m.n != p->im.layers)
        return err_set(e, ERR_CORRUPT, "the manifest has %zu layers, the config %zu", p->m.n,
                       p->im.layers);
    p->list = mem_alloc((p->m.n + 1) * sizeof *p->list);
    for (size_t i = 0; i < p->m.n; i++)
        if (plan_layer(p, i, changed, e) < 0) return -1;
    p->list[p->m.n] = (struct image_send){.d = p->m.config, .shown = p->m.config.digest};
    return 0;
}

static void rewrite(struct push *p)
{
    for (size_t i = 0; i < p->m.n; i++) {
        struct codec_json *annotations = p->m.items[i].annotations;
        p->m.items[i] = p->list[i].d;
        p->m.items[i].annotations = annotations;
    }
    str_clear(&p->raw);
    oci_manifest_print(&p->m, &p->raw);
}

// Every name of the same image with the same manifest gets the one that names archives.
static int keep_manifest(struct push *p, struct err *e)
{
    own(store_refs) struct store_refs refs = {0};
    struct oci_digest now;
    if (store_blob_put_batch(p->en, str_sv(&p->raw), &now, e) < 0 || store_sync(p->en, e) < 0 ||
        store_ref_list(p->en, &refs, e) < 0)
        return -1;
    for (size_t i = 0; i < refs.n; i++) {
        struct store_ref r = refs.p[i];
        if (!r.ref.name[0] || !oci_digest_eq(&r.manifest, &p->image.manifest)) continue;
        r.manifest = now;
        if (store_ref_set_remote(p->en, &r, e) < 0) return -1;
    }
    p->image.manifest = now;
    return 0;
}

static const char *type_of(const struct oci_manifest *m)
{
    if (m->media_type[0]) return m->media_type;
    return m->is_index ? OCI_TYPE_INDEX : OCI_TYPE_MANIFEST;
}

// p->image.manifest says which; *ref where to.
static int push_image(struct push *p, const struct oci_ref *ref, struct image_pushed *out,
                      struct err *e)
{
    bool changed = false;
    if (plan(p, &changed, e) < 0 ||
        image_send_blobs(p->sender, p->list, p->m.n + 1, &p->how, e) < 0)
        return -1;
    if (changed) rewrite(p);
    if (str_check(&p->raw, e) < 0 || (changed && keep_manifest(p, e) < 0) ||
        image_send_doc(p->sender, ref, type_of(&p->m), str_sv(&p->raw), &out->digest, e) < 0)
        return -1;
    out->size = p->raw.n;
    out->layers = mem_grow(out->layers, (out->n + p->m.n + 1) * sizeof *out->layers);
    for (size_t i = 0; i < p->m.n; i++) {
        struct image_pushed_layer *l = &out->layers[out->n++];
        *l = (struct image_pushed_layer){.layer = p->list[i].shown, .end = p->list[i].end};
        memcpy(l->from, p->list[i].from, sizeof l->from);
    }
    return 0;
}

// --- the verb -----------------------------------------------------------------------------------

// Under another name: whatever means an image here will do.
static int find_any(struct push *p, const char *name, const char *as, struct err *e)
{
    if (oci_ref_parse(sv_of(as), &p->ref, e) < 0) return -1;
    oci_ref_default_tag(&p->ref);
    return store_ref_resolve(p->en, name, &p->image, e) < 0 ? -1 : 0;
}

static int find(struct push *p, const char *name, struct err *e)
{
    own(str) struct str text = {0};
    if (oci_ref_parse(sv_of(name), &p->ref, e) < 0) return -1;
    if (oci_digest_is_set(&p->ref.digest)) {
        err_set(e, ERR_USAGE, "a push goes to a tag, not to a digest");
        return err_hint(e, "give the image a name first: dewar tag IMAGE NAME:TAG");
    }
    oci_ref_default_tag(&p->ref);
    int rc = store_ref_find(p->en, &p->ref, &p->image, e);
    if (rc != 0) return rc < 0 ? -1 : 0;
    oci_ref_print(&p->ref, &text);
    err_set(e, ERR_NOT_FOUND, "no image '%s' in the store", str_z(&text));
    return err_hint(e, "'dewar tag IMAGE %s' gives an image that name", str_z(&text));
}

static int read_how(const struct image_push_options *opt, struct image_send_how *out, struct err *e)
{
    const char *z = opt->compression ? opt->compression : "gzip";
    *out = (struct image_send_how){.zip = CODEC_ZIP_GZIP, .level = opt->level};
    if (strcmp(z, "zstd") == 0)
        out->zip = CODEC_ZIP_ZSTD;
    else if (strcmp(z, "gzip") != 0) {
        err_set(e, ERR_USAGE, "unknown compression '%s'", z);
        return err_hint(e, "it is gzip or zstd");
    }
    return 0;
}

static int push(struct push *p, bool learn, struct image_pushed *out, struct err *e)
{
    if (push_image(p, &p->ref, out, e) < 0) return -1;
    if (!learn) return 0;
    struct store_ref r = p->image;
    r.ref = p->ref;
    r.remote = out->digest;
    out->ref = p->ref;
    return store_ref_set_remote(p->en, &r, e);
}

int image_push(struct engine *en, const struct image_push_options *opt, struct image_pushed *out,
               struct err *e)
{
    struct push p = {.en = en};
    own(image_remote) struct image_remote *remote = NULL;
    own(image_sender) struct image_sender *sender = NULL;
    *out = (struct image_pushed){0};
    if (read_how(opt, &p.how, e) < 0) return -1;
    // Layers may have to be read, and made again.
    if (engine_enter(en, e) < 0) return -1;
    own(fd) int lock = store_lock_shared(en, e);
    if (lock < 0 || (opt->as ? find_any(&p, opt->name, opt->as, e) : find(&p, opt->name, e)) < 0 ||
        image_remote_open(en, &remote, e) < 0 ||
        image_send_open(en, remote, &p.ref, opt->insecure ? TRANSFER_INSECURE : 0, -1, &sender, e) <
            0)
        return -1;
    p.sender = sender;
    int rc = push(&p, !opt->as, out, e);
    image_drop(&p);
    if (rc == 0) image_event_named(en, "push", &p.ref);
    if (rc == 0) return 0;
    image_pushed_fini(out);
    own(str) struct str name = {0};
    oci_ref_print(&p.ref, &name);
    return err_wrap(e, "pushing '%s'", str_z(&name));
}
