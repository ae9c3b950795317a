// SPDX-License-Identifier: Apache-2.0
// A copy of a folder's whole content: what a new volume gets of its image, and a layer for other ids.
// Both folders are ours alone while it runs: nobody else writes to either.
#pragma once

#include <stdint.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/idmap.h"

struct store_copytree {
    // The owner of a copy is what these make of the owner of the original; NULL: the same.
    const struct idmap_side *uid, *gid;
    bool layer;  // devices, fifos, hard links and the marks of overlayfs as well
    // Called after each entry, with the bytes of its content. May be NULL.
    void (*step)(void *arg, uint64_t bytes);
    void *arg;
};
// Copies what is in `from` into the empty folder `to`, and the owner, mode, attributes and times of
// `from` itself. File systems that can share blocks do.
int store_copytree(int from, int to, const struct store_copytree *opt, struct err *e);
// Owner, mode and times of one folder or file.
int store_copytree_owner(int to, const struct stat *st, const struct store_copytree *opt,
                         struct err *e);
