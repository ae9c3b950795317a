// SPDX-License-Identifier: Apache-2.0
// COPY and ADD of files: first select (which sources, from which tree), then hash what was selected
// for the cache key, then, only when the cache had nothing, write it into the step's root.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/vec.h"
#include "build/ignore.h"
#include "build/instr.h"
#include "build/tree.h"

struct build_pick {
    const struct build_node *node;  // in its tree
    char *under;                    // --parents: folder below the destination, NULL otherwise
    size_t above;                   // how much of the node's path stands above `under`
    char *name;                     // of a symlink that was followed, NULL: the node's own
};
struct build_picks {
    VEC(struct build_pick) v;
};
void build_picks_fini(struct build_picks *p);

// Resolves the sources of `spec` in the tree (scanned whole). A literal that is missing is an error
// that says why (ignored by which line, a similar name elsewhere).
int build_copy_select(struct build_tree *t, const struct build_copy *spec,
                      const struct build_ignore *ignore, const char *ignore_label,
                      struct build_picks *out, struct err *e);
// For a tree that is too big to walk: scans only what the sources need. Fills t->nodes.
int build_copy_scan(struct build_tree *t, const struct build_copy *spec, struct err *e);
// What a file is called in a folder that it is copied to.
const char *build_pick_name(const struct build_pick *p);
// Whether n, which is below the picked folder `top`, is copied: it is not excluded, or something
// below it is not.
bool build_copy_keeps(const struct build_tree *t, const struct build_copy *spec,
                      const struct build_node *top, const struct build_node *n);
// --parents: calls fn for each folder that the copy makes above p, with its path below the
// destination and its metadata in the source, the outermost first.
int build_pick_parents(struct build_tree *t, const struct build_pick *p,
                       int (*fn)(void *arg, const char *under, const struct stat *st, struct err *e),
                       void *arg, struct err *e);
// `path` with every symlink on the way and at the end replaced by what it points to inside the root,
// no matter whether that is there. Relative, without a leading slash.
int build_copy_follow(const struct root *r, const char *path, struct str *out, struct err *e);
// Everything that decides what the copy writes, apart from destination, owner and mode flags.
int build_copy_hash(struct build_tree *t, const struct build_copy *spec,
                    const struct build_picks *picks, struct codec_sha256 *h, struct err *e);

struct build_copy_apply {
    const struct build_copy *spec;
    const char *dest;              // absolute, inside the root; trailing '/' means a folder
    bool dest_is_folder;
    const struct fs_owner *owner;  // NULL: keep the source's (0:0 for a context)
    int64_t time;                  // seconds given to all that is written; INT64_MIN: the source's
    struct strv *written;          // paths of regular files written, relative, may be NULL
    bool *unstable;                // set when a file changed since the tree was read; may be NULL
};
int build_copy_apply(struct build_tree *t, const struct build_picks *picks,
                     const struct build_copy_apply *opt, const struct root *into, struct err *e);
