// SPDX-License-Identifier: Apache-2.0
// Unpacked layers: layers/<form>/<id>/{fs/, meta, recipe}. `fs` is ready to be an overlayfs lower
// directory: whiteouts are 0:0 character devices, opaque marks are overlay xattrs (trusted.* as root,
// user.* in a user namespace). `meta` is JSON: diff id, bytes, entries, open or closed, tar size,
// and what this mode could not make on disk (device nodes, foreign owners, ids outside the map are
// an error). `recipe` (only where the archive is not our own canonical form) replays the exact tar
// bytes from fs; the blob may go before the layer does.
//
// A layer whose archive lists every directory it needs and whose hardlinks stay inside is closed: its
// id is its diff id. Any other is open, is finished against the layers below, and its id is its chain id.
//
// Everything here needs engine_enter before.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/engine.h"
#include "base/fs.h"
#include "base/vec.h"
#include "codec/unzip.h"
#include "oci/digest.h"
#include "store/tmp.h"

struct store_layer {
    char id[CODEC_SHA256_HEX];  // folder name under layers/<form>/
    struct oci_digest diff_id;
    uint64_t bytes;     // sum of file sizes
    uint64_t tar_size;  // of the uncompressed archive
    uint64_t entries;
    bool open;
};

// --- unpacking archives -------------------------------------------------------------------------
struct store_layer_put {
    struct codec_source src;               // the layer archive, compressed or not
    const struct oci_digest *want_diff;    // NULL: any
    const struct oci_digest *want_blob;    // digest of the bytes as they come; NULL: any
    uint64_t want_size;                    // of the bytes as they come; 0: any
    bool keep_blob;                        // also store the bytes, as they come, as a blob
};
struct store_unpacked;  // lives in a temporary folder until published
// Phase one, may run in a worker process: unpack `name` inside tmp, hash, check. No parent needed.
// The result is written to tmp/<name>/ in full, so that another process can publish it.
int store_layer_unpack(struct engine *en, struct store_tmp *tmp, const char *name,
                       const struct store_layer_put *put, struct err *e);
// Phase two, in layer order: finishes an open layer against `below` (bottom first) and renames into
// place. Already there is fine (the copy is dropped). The caller syncs (store_sync) before it
// writes a ref.
int store_layer_publish(struct engine *en, struct store_tmp *tmp, const char *name,
                        const struct store_layer *below, size_t n, struct store_layer *out,
                        struct err *e);

// --- committing a build step --------------------------------------------------------------------
struct store_commit {
    int64_t newest;   // what is newer gets exactly this time (seconds); INT64_MAX: leave times
    bool scrub;       // leave out the log and cache files that differ between equal builds
    const struct store_layer *below;  // bottom first: to drop what was copied up and did not change
    size_t below_n;
    // Paths (relative, no leading '/') made by us as mount points: removed when still empty.
    const struct strv *stubs;
    // Paths whose time alone was changed by us: dropped when nothing else differs from below.
    const struct strv *touched;
};
// Takes dirfd/name, a folder with fs/ in overlayfs form (an upper directory, unmounted), normalises
// it, computes the diff id of its canonical tar without writing it, and renames it into place.
// An empty result gives out->entries == 0, and no layer is stored.
int store_layer_commit(struct engine *en, int dirfd, const char *name,
                       const struct store_commit *opt, struct store_layer *out, struct err *e);

// Both files, from where they stand to their ends.
bool store_layer_same_bytes(int a, int b);

// --- using --------------------------------------------------------------------------------------
// 1 found, 0 not. parent_chain: chain id of what lies below (unset for the bottom).
int store_layer_find(struct engine *en, const struct oci_digest *diff,
                     const struct oci_digest *parent_chain, struct store_layer *out, struct err *e);
// All layers of an image, bottom first, made again from blob or another form where this form is
// missing. *out is heap, n entries.
int store_layer_resolve(struct engine *en, const struct oci_digest *diff_ids, size_t n,
                        struct store_layer **out, struct err *e);
int store_layer_open_fs(struct engine *en, const struct store_layer *l, struct err *e);  // dir fd
// The archive whose digest is the diff id, as a stream (from recipe, or canonical).
int store_layer_write_tar(struct engine *en, const struct store_layer *l, struct codec_sink dst,
                          struct err *e);
int store_layer_remove(struct engine *en, const char *id, struct err *e);  // to the trash
int store_sync(struct engine *en, struct err *e);  // syncfs on the store's own file system

// Overlay mounts, detached: the fd works as a directory (for fs_in_*) and with move_mount.
struct store_overlay {
    const struct store_layer *layers;  // bottom first
    size_t n;
    int extra_bottom_fd;  // a folder below all others (mount point stubs); 0: none
    int upper_fd;         // 0: read-only view
    int work_fd;
    bool durable;         // false: volatile (build steps)
    int userns_fd;        // the lower folders' ids are seen through this namespace's mapping; 0: as
                          // they are. The upper one then holds the ids as mapped. Linux 6.15.
    bool force_old;       // name the lower directories in one mount(2), for old kernels and tests
};
int store_overlay_open(struct engine *en, const struct store_overlay *o, struct err *e);  // fd

// The canonical tar of a directory tree in overlayfs form (used for diff ids, `-o tar`, save):
// sorted names, fixed headers, whiteouts as .wh. files.
struct store_tar_options {
    bool whiteouts;   // overlay form -> .wh. names; false: a plain tree
    bool user_xattrs; // opaque marks are user.overlay.opaque (made in a user namespace)
    int64_t newest;   // clamp; INT64_MAX: none
    // On disk stand the outer ids of these maps, and what they mean inside goes into the archive (the
    // layer of a container with ids of its own); NULL: as they are.
    const struct idmap_side *uid, *gid;
    // Others change the tree meanwhile: what vanishes is left out, what is cut off is filled with zeros.
    bool live;
};
int store_tar_tree(int fs_fd, const struct store_tar_options *opt, struct codec_sink dst,
                   struct err *e);
