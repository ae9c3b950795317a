// SPDX-License-Identifier: Apache-2.0
// The file `meta` of an unpacked layer: JSON, written before the layer is renamed into place.
#pragma once

#include "codec/json.h"
#include "store/layer.h"

struct store_meta {
    struct oci_digest diff_id;
    uint64_t bytes;     // sum of file sizes
    uint64_t tar_size;  // of the uncompressed archive
    uint64_t entries;
    bool open;
    bool canonical;     // store_tar_tree of fs (with `absent`) gives the diff id: no recipe is needed
    // Entries of the archive that this mode could not make on disk (device nodes for an ordinary
    // user): objects {name, type, mode, uid, gid, mtime, major, minor}. NULL: none. Owned.
    struct codec_json *absent;
};
void store_meta_fini(struct store_meta *m);
static inline void own_store_meta(struct store_meta *m)
{
    store_meta_fini(m);
}
// dirfd: the folder that holds fs/ and meta.
int store_meta_save(int dirfd, const struct store_meta *m, struct err *e);
int store_meta_load(int dirfd, struct store_meta *out, struct err *e);
void store_meta_to_layer(const struct store_meta *m, const char *id, struct store_layer *out);
