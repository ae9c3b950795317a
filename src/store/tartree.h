// SPDX-License-Identifier: Apache-2.0
// The canonical archive of a layer: what its diff id is the hash of. Names in byte order, a folder
// before what is in it, "./" only when the root is not 0755 0:0, hard links to the first name in
// order, whiteouts with time 0, no overlay attributes, whole seconds.
#pragma once

#include "codec/json.h"
#include "codec/tar.h"
#include "store/layer.h"

struct store_tree_sum {
    uint64_t bytes, entries, tar_size;
};
int store_tartree_write(int fs_fd, const struct store_tar_options *opt,
                        const struct codec_json *absent, struct codec_sink dst,
                        struct store_tree_sum *out, struct err *e);
// Extended attributes of a file that belong into archives, sorted by name. fd may be O_PATH-less
// only; symlinks have none.
int store_tartree_xattrs(int fd, const char *path, struct codec_xattrs *out, struct err *e);
void store_tartree_xattrs_fini(struct codec_xattrs *x);
bool store_tartree_is_opaque(int fd, bool user_xattrs);
