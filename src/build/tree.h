// SPDX-License-Identifier: Apache-2.0
// A source of files for COPY, ADD and bind mounts: a build context, or the files of another image.
// The context is walked once (names and stat only); bytes are hashed on demand and the hashes are
// remembered between builds by (device, inode, size, mtime, ctime), so that a rebuild with nothing
// changed only walks and stats.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/engine.h"
#include "base/fs.h"
#include "base/vec.h"
#include "build/ignore.h"
#include "codec/hash.h"

struct build_node {
    char *path;  // relative to the root, no leading slash; "" is the root itself
    uint32_t mode;
    uint32_t uid, gid;
    uint32_t nlink;
    uint64_t size, rdev, dev, ino;
    int64_t mtime_ns, ctime_ns;
};

struct build_memory;  // remembered hashes

struct build_tree {
    struct root root;
    VEC(struct build_node) nodes;  // a folder before what is in it, names in byte order
    struct build_memory *memory;   // NULL: hash every time
    bool is_context;               // owners do not count: all is 0:0
};

// Walks the whole root, leaving out what `ignore` (may be NULL) says. Sockets are skipped.
int build_tree_scan(struct build_tree *t, const struct build_ignore *ignore, struct err *e);
// Walks `path` and what is below it (a tree that was not scanned as a whole).
int build_tree_scan_part(struct build_tree *t, const char *path, struct err *e);
void build_tree_sort(struct build_tree *t);  // after several parts were scanned; what came twice stays once
void build_tree_fini(struct build_tree *t);
// The node with exactly this path, or NULL. Nodes below a folder follow it directly.
const struct build_node *build_tree_find(const struct build_tree *t, const char *path);
bool build_tree_is_below(const struct build_node *n, const char *folder);  // "" holds everything
// Opens a folder for its xattrs; -1 where they do not count (the top of a context) or it cannot be.
int build_tree_open_folder(const struct build_tree *t, const struct build_node *n);
// Adds what makes a node differ to a hash, with `name` as its path: type, mode, owner (not for a
// context), link target, device numbers, xattrs and bytes; never times.
int build_tree_hash(struct build_tree *t, const struct build_node *n, const char *name,
                    struct codec_sha256 *h, struct err *e);
// Hash of a regular file's bytes and xattrs.
int build_tree_file_hash(struct build_tree *t, const struct build_node *n,
                         char hex[CODEC_SHA256_HEX], struct err *e);

int build_memory_open(struct engine *en, const struct root *root, struct build_memory **out,
                      struct err *e);
// Writes what was learnt (best effort: a lost memory only costs time) and frees.
void build_memory_close(struct engine *en, struct build_memory *m);
