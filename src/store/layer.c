// SPDX-License-Identifier: Apache-2.0
// Finding unpacked layers. A closed layer is named by its diff id and serves every image; an open one
// by its chain id, because what it implies was taken from the layers below it.
#include "store/layer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "oci/image.h"
#include "store/blob.h"
#include "store/fresh.h"
#include "store/meta.h"
#include "store/ref.h"

static int open_layer(struct engine *en, const char *id, struct err *e)
{
    char path[160];
    snprintf(path, sizeof path, "layers/%s/%s", en->form, id);
    return fs_open_dir(en->store_fd, path, e);
}

static int try_id(struct engine *en, const char *id, struct store_layer *out, struct err *e)
{
    own(fd) int dir = open_layer(en, id, e);
    if (dir < 0) return e->sys == ENOENT ? 0 : -1;
    int rc = store_fresh_believe(en, id, e);
    if (rc <= 0) return rc;
    own(store_meta) struct store_meta meta = {0};
    if (store_meta_load(dir, &meta, e) < 0) return err_wrap(e, "layer '%s'", id);
    store_meta_to_layer(&meta, id, out);
    return 1;
}

int store_layer_find(struct engine *en, const struct oci_digest *diff,
                     const struct oci_digest *parent_chain, struct store_layer *out, struct err *e)
{
    int rc = try_id(en, diff->hex, out, e);
    if (rc == 1 && out->open) rc = 0;  // a chain id that happens to be this diff id: the bottom
    if (rc == 0) {
        struct oci_digest none = {0};
        struct oci_digest chain = oci_digest_chain(parent_chain ? parent_chain : &none, diff);
        rc = try_id(en, chain.hex, out, e);
    }
    if (rc == 1 && !oci_digest_eq(&out->diff_id, diff))
        return err_set(e, ERR_CORRUPT, "layer '%s' holds the files of another layer", out->id);
    return rc;
}

int store_layer_open_fs(struct engine *en, const struct store_layer *l, struct err *e)
{
    char path[160];
    snprintf(path, sizeof path, "layers/%s/%s/fs", en->form, l->id);
    return fs_open_dir(en->store_fd, path, e);
}

// --- making a missing form again ------------------------------------------------------------------
struct other {  // the same layer unpacked for other ids
    struct engine en;
    struct store_layer layer;
};

static bool find_elsewhere(struct engine *en, const struct oci_digest *diff,
                           const struct oci_digest *chain, struct other *out)
{
    struct err ignored;
    own(strv) struct strv forms = {0};
    if (fs_list(en->store_fd, "layers", &forms, &ignored) < 0) return false;
    for (size_t i = 0; i < forms.n; i++) {
        // One that was made for a container's ids has not the archive's owners (store/shift.h).
        if (strcmp(forms.p[i], en->form) == 0 || strchr(forms.p[i], '+')) continue;
        if (strlen(forms.p[i]) >= sizeof out->en.form) continue;
        out->en = *en;
        snprintf(out->en.form, sizeof out->en.form, "%s", forms.p[i]);
        if (store_layer_find(&out->en, diff, chain, &out->layer, &ignored) == 1) return true;
    }
    return false;
}

struct pipe_sink {
    int fd;
};

static int write_pipe(void *arg, const void *p, size_t n, struct err *e)
{
    return fs_write_all(((struct pipe_sink *)arg)->fd, p, n, e);
}

// From another form: its archive is streamed into a file of the temporary folder, then unpacked.
static int source_from_form(struct other *o, struct store_tmp *tmp, struct err *e)
{
    own(fd) int fd = fs_openat(tmp->fd, "again.tar", O_RDWR | O_CREAT | O_TRUNC, 0600, e);
    if (fd < 0) return -1;
    struct pipe_sink sink = {fd};
    if (store_layer_write_tar(&o->en, &o->layer, (struct codec_sink){write_pipe, &sink}, e) < 0)
        return -1;
    if (lseek(fd, 0, SEEK_SET) != 0) return err_sys(e, "rewind");
    return take_fd(fd);
}

// The blob of a compressed archive: some image's manifest names it at the place of this diff id.
static bool blob_in_image(struct engine *en, const struct store_ref *ref,
                          const struct oci_digest *diff, struct oci_digest *out)
{
    struct err ignored;
    own(str) struct str manifest_text = {0};
    own(str) struct str config_text = {0};
    own(oci_manifest) struct oci_manifest manifest = {0};
    struct oci_image image;
    if (store_blob_read(en, &ref->manifest, LIMIT_MANIFEST, &manifest_text, &ignored) < 0 ||
        store_blob_read(en, &ref->image, LIMIT_CONFIG, &config_text, &ignored) < 0 ||
        oci_manifest_parse(str_sv(&manifest_text), "manifest", &manifest, &ignored) < 0 ||
        manifest.is_index ||
        oci_image_parse(str_sv(&config_text), "image config", &image, &ignored) < 0)
        return false;
    bool found = false;
    for (size_t i = 0; !found && i < image.layers && i < manifest.n; i++) {
        found = oci_digest_eq(&image.diff_ids[i], diff) &&
                store_blob_exists(en, &manifest.items[i].digest, NULL);
        if (found) *out = manifest.items[i].digest;
    }
    oci_image_fini(&image);
    return found;
}

static bool find_blob(struct engine *en, const struct oci_digest *diff, struct oci_digest *out)
{
    struct err ignored;
    own(store_refs) struct store_refs refs = {0};
    *out = *diff;
    if (store_blob_exists(en, diff, NULL)) return true;  // a plain archive
    if (store_ref_list(en, &refs, &ignored) < 0) return false;
    for (size_t i = 0; i < refs.n; i++)
        if (blob_in_image(en, &refs.p[i], diff, out)) return true;
    return false;
}

static int make_again(struct engine *en, const struct oci_digest *diff,
                      const struct oci_digest *chain, const struct store_layer *below, size_t n,
                      struct store_layer *out, struct err *e)
{
    struct other other;
    struct oci_digest blob;
    own(fd) int fd = -1;
    struct store_tmp tmp = STORE_TMP_NONE;
    if (store_tmp_open(en, &tmp, e) < 0) return -1;
    if (find_blob(en, diff, &blob))
        fd = store_blob_open(en, &blob, e);
    else if (find_elsewhere(en, diff, chain, &other))
        fd = source_from_form(&other, &tmp, e);
    else
        err_set(e, ERR_CORRUPT, "the layer sha256:%s is not in the store", diff->hex);
    int rc = fd < 0 ? -1 : 0;
    struct store_layer_put put = {.src = codec_source_fd(&fd), .want_diff = diff};
    if (rc == 0) rc = store_layer_unpack(en, &tmp, "again", &put, e);
    if (rc == 0) rc = store_layer_publish(en, &tmp, "again", below, n, out, e);
    store_tmp_close(en, &tmp);
    return rc;
}

int store_layer_resolve(struct engine *en, const struct oci_digest *diff_ids, size_t n,
                        struct store_layer **out, struct err *e)
{
    if (n > LIMIT_LAYERS)
        return err_set(e, ERR_LIMIT, "%zu layers; at most %d are possible", n, LIMIT_LAYERS);
    struct store_layer *layers = mem_alloc((n + 1) * sizeof *layers);
    struct oci_digest chain = {0};
    for (size_t i = 0; i < n; i++) {
        int rc = store_layer_find(en, &diff_ids[i], &chain, &layers[i], e);
        if (rc == 0) rc = make_again(en, &diff_ids[i], &chain, layers, i, &layers[i], e);
        if (rc < 0) {
            free(layers);
            return err_wrap(e, "layer %zu of %zu", i + 1, n);
        }
        chain = oci_digest_chain(&chain, &diff_ids[i]);
    }
    *out = layers;
    return 0;
}

int store_layer_remove(struct engine *en, const char *id, struct err *e)
{
    char form[ENGINE_FORM + 8];
    snprintf(form, sizeof form, "layers/%s", en->form);
    own(fd) int dir = fs_open_dir(en->store_fd, form, e);
    if (dir < 0) return e->sys == ENOENT ? 0 : -1;
    return store_trash(en, dir, id, e);
}

int store_sync(struct engine *en, struct err *e)
{
    own(strv) struct strv marks = {0};
    if (store_fresh_list(en, &marks, e) < 0) return -1;
    if (syncfs(en->store_fd) != 0) return err_sys(e, "sync the store");
    return store_fresh_clear(en, &marks, e);
}
