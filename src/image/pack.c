// SPDX-License-Identifier: Apache-2.0
#include "image/pack.h"

#include <unistd.h>

#include "base/num.h"
#include "base/own.h"
#include "image/internal.h"
#include "store/blob.h"

static const struct {
    enum codec_zip zip;
    const char *type;
} types[] = {
    {CODEC_ZIP_NONE, OCI_TYPE_LAYER},
    {CODEC_ZIP_GZIP, OCI_TYPE_LAYER_GZIP},
    {CODEC_ZIP_ZSTD, OCI_TYPE_LAYER_ZSTD},
};

const char *image_pack_type(enum codec_zip zip)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].zip == zip) return types[i].type;
    return OCI_TYPE_LAYER;
}

bool image_pack_has_type(const struct oci_descriptor *d, enum codec_zip zip)
{
    if (zip == CODEC_ZIP_GZIP && strcmp(d->media_type, DOCKER_TYPE_LAYER_GZIP) == 0) return true;
    return strcmp(d->media_type, image_pack_type(zip)) == 0;
}

// --- made before --------------------------------------------------------------------------------

static bool in_image(struct engine *en, const struct store_ref *r, const struct oci_digest *diff,
                     const char *type, struct oci_descriptor *out)
{
    struct err bad = {0};
    uint64_t size = 0;
    own(oci_manifest) struct oci_manifest m = {0};
    own(oci_image) struct oci_image im = {0};
    if (image_read_manifest(en, &r->manifest, &m, NULL, &bad) < 0 || m.is_index ||
        image_read_config(en, &r->image, &im, &bad) < 0)
        return false;
    for (size_t i = 0; i < m.n && i < im.layers; i++) {
        const struct oci_descriptor *d = &m.items[i];
        if (!oci_digest_eq(&im.diff_ids[i], diff) || strcmp(d->media_type, type) != 0 ||
            !store_blob_exists(en, &d->digest, &size) || size != d->size)
            continue;
        *out = (struct oci_descriptor){.digest = d->digest, .size = d->size};
        snprintf(out->media_type, sizeof out->media_type, "%s", type);
        return true;
    }
    return false;
}

int image_pack_find(struct engine *en, const struct oci_digest *diff, const char *media_type,
                    struct oci_descriptor *out, struct err *e)
{
    own(store_refs) struct store_refs refs = {0};
    if (store_ref_list(en, &refs, e) < 0) return -1;
    for (size_t i = 0; i < refs.n; i++)
        if (in_image(en, &refs.p[i], diff, media_type, out)) return 1;
    return 0;
}

// --- making -------------------------------------------------------------------------------------

static int blob_write(void *arg, const void *p, size_t n, struct err *e)
{
    return store_blob_write(arg, p, n, e);
}

static int zipper_write(void *arg, const void *p, size_t n, struct err *e)
{
    return codec_zipper_write(arg, p, n, e);
}

static int pack(void *arg, struct err *e)
{
    struct image_pack *p = arg;
    own(codec_zipper) struct codec_zipper *z = NULL;
    own(store_blob_writer) struct store_blob_writer *w = NULL;
    struct oci_digest digest;
    uint64_t size = 0;
    if (store_blob_create(p->en, &w, e) < 0) return -1;
    const struct codec_sink dst = {.write = blob_write, .arg = w};
    if (codec_zipper_open_workers(p->zip, p->level, p->workers, dst, &z, e) < 0) return -1;
    const struct codec_sink src = {.write = zipper_write, .arg = z};
    if (store_layer_write_tar(p->en, p->layer, src, e) < 0 || codec_zipper_finish(z, e) < 0 ||
        store_blob_commit(take_ptr(w), NULL, UINT64_MAX, &digest, &size, e) < 0)
        return -1;
    own(free) char *text = str_fmt("%s%ju", digest.hex, (uintmax_t)size);
    own(fd) int fd = fs_openat(p->tmp->fd, p->name, O_WRONLY | O_CREAT | O_TRUNC, 0600, e);
    return fd < 0 ? -1 : fs_write_all(fd, text, strlen(text), e);
}

int image_pack_start(struct image_pack *p, struct proc_worker *out, struct err *e)
{
    snprintf(p->name, sizeof p->name, "pack-%.16s", p->layer->diff_id.hex);
    return proc_worker_start(pack, p, out, e);
}

int image_pack_end(struct image_pack *p, struct proc_worker *w, struct oci_descriptor *out,
                   struct err *e)
{
    own(str) struct str text = {0};
    struct oci_descriptor d = {0};
    if (proc_worker_wait(w, e) < 0)
        return err_wrap(e, "compressing layer sha256:%.12s", p->layer->diff_id.hex);
    if (fs_read_at(p->tmp->fd, p->name, 256, &text, e) < 0) return -1;
    if (!oci_digest_parse_hex(sv_part(str_sv(&text), 0, 64), &d.digest) ||
        !num_u64(sv_from(str_sv(&text), 64), &d.size))
        return err_set(e, ERR_INTERNAL, "the result of a worker is damaged");
    snprintf(d.media_type, sizeof d.media_type, "%s", image_pack_type(p->zip));
    *out = d;
    return 0;
}
