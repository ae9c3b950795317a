// SPDX-License-Identifier: Apache-2.0
// The two ends of an unpacked layer's life that deal in whole archives: putting it into place, and
// writing its archive again.
#include <errno.h>
#include <stdio.h>

#include "base/own.h"
#include "store/fresh.h"
#include "store/layer_internal.h"
#include "store/tartree.h"

int store_layer_publish(struct engine *en, struct store_tmp *tmp, const char *name,
                        const struct store_layer *below, size_t n, struct store_layer *out,
                        struct err *e)
{
    own(fd) int dir = fs_open_dir(tmp->fd, name, e);
    own(store_meta) struct store_meta meta = {0};
    if (dir < 0 || store_meta_load(dir, &meta, e) < 0) return -1;
    struct oci_digest id = meta.diff_id;
    if (meta.open) {
        struct oci_digest chain = {0};
        for (size_t i = 0; i < n; i++) chain = oci_digest_chain(&chain, &below[i].diff_id);
        id = oci_digest_chain(&chain, &meta.diff_id);
        if (layer_finish(en, dir, below, n, e) < 0)
            return err_wrap(e, "finishing layer sha256:%.12s against the layers below", meta.diff_id.hex);
    }
    own(free) char *form = str_fmt("layers/%s", en->form);
    if (fs_mkdirs(en->store_fd, form, 0700, e) < 0) return -1;
    own(fd) int place = fs_open_dir(en->store_fd, form, e);
    if (place < 0) return -1;
    store_meta_to_layer(&meta, id.hex, out);
    own(fd) int mark = store_fresh_mark(en, id.hex, e);
    if (mark < 0) return -1;
    if (renameat2(tmp->fd, name, place, id.hex, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EEXIST && errno != ENOTEMPTY) return err_sys(e, "put layer '%s' into place", id.hex);
    return store_trash(en, tmp->fd, name, e);  // an equal one is there already
}

// --- the archive ----------------------------------------------------------------------------------

struct hashing {
    struct codec_sink dst;
    struct codec_sha256 hash;
};

static int hash_and_pass(void *arg, const void *p, size_t n, struct err *e)
{
    struct hashing *h = arg;
    codec_sha256_add(&h->hash, p, n);
    return h->dst.write(h->dst.arg, p, n, e);
}

static int from_tree(struct engine *en, int dir, const struct store_meta *meta,
                     struct codec_sink dst, struct err *e)
{
    struct store_tar_options opt = {.whiteouts = true, .newest = INT64_MAX,
                                    .user_xattrs = en->ids.mode != IDMAP_ROOT};
    own(fd) int fs = fs_open_dir(dir, "fs", e);
    return fs < 0 ? -1 : store_tartree_write(fs, &opt, meta->absent, dst, NULL, e);
}

int store_layer_write_tar(struct engine *en, const struct store_layer *l, struct codec_sink dst,
                          struct err *e)
{
    own(free) char *path = str_fmt("layers/%s/%s", en->form, l->id);
    own(fd) int dir = fs_open_dir(en->store_fd, path, e);
    own(store_meta) struct store_meta meta = {0};
    if (dir < 0 || store_meta_load(dir, &meta, e) < 0) return -1;
    struct hashing h = {.dst = dst};
    struct codec_sink sink = {hash_and_pass, &h};
    codec_sha256_init(&h.hash);
    int rc = meta.canonical ? from_tree(en, dir, &meta, sink, e) : layer_recipe_replay(dir, sink, e);
    if (rc < 0) return err_wrap(e, "writing the archive of layer sha256:%.12s", meta.diff_id.hex);
    char hex[CODEC_SHA256_HEX];
    codec_sha256_end(&h.hash, hex);
    if (strcmp(hex, meta.diff_id.hex) == 0) return 0;
    err_set(e, ERR_CORRUPT, "the files of layer sha256:%.12s have changed in the store",
            meta.diff_id.hex);
    return err_hint(e, "'dewar system check --repair' puts damaged layers aside");
}
