// SPDX-License-Identifier: Apache-2.0
// What the store holds, what of it nobody needs, and whether it is whole. Roots are the refs, the
// containers' records and (unless pruned) the build records. A build record keeps alive every layer
// or blob whose 64 hex digits stand in its text.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/engine.h"
#include "base/vec.h"
#include "oci/digest.h"

// --- df: all in bytes that are taken on the disk ---------------------------------------------------
struct store_df_image {
    struct oci_digest id;
    struct strv names;
    int64_t created;
    uint64_t size;    // layers, archives, manifest, config
    uint64_t shared;  // of it what another image has too
    uint64_t unique;
    size_t containers;
};
struct store_df_item {  // a container, a volume, a build record or a cache mount
    char *id;
    char *detail;   // image of a container, kind of a cache item
    uint64_t size;  // on disk, of the writable part
    bool in_use;
    int64_t last_used;  // seconds
};
struct store_df_items {
    struct store_df_item *p;
    size_t n;
    size_t cap;
};
struct store_df_sum {
    size_t total, active;
    uint64_t size, reclaimable;
};
struct store_df {
    struct {
        struct store_df_image *p;
        size_t n;
        size_t cap;
    } images;
    struct store_df_items containers, volumes, cache;
    struct store_df_sum images_sum, containers_sum, volumes_sum, cache_sum;
    uint64_t rubbish;  // unreferenced blobs and layers, trash, temporary folders of the dead
};
int store_df(struct engine *en, struct store_df *out, struct err *e);  // enters
void store_df_fini(struct store_df *d);
static inline void own_store_df(struct store_df *d)
{
    store_df_fini(d);
}

// --- prune --------------------------------------------------------------------------------------
struct store_prune_options {
    bool cache;        // drop all build records and cache mounts (else only broken records), and,
                       // without `until`, what check put aside
    bool downloads;    // drop what has come of interrupted downloads (else only what is days old)
    int64_t until;     // with `cache`: only what was last used before this time; 0: any
    // With `cache`, in bytes, 0: not asked. What was used last stays, as long as it is not more than
    // max_used and the disk has min_free; `reserved` of it stays in any case.
    uint64_t reserved, max_used, min_free;
    unsigned wait;     // seconds to wait for other commands to end; 0: 10
    const char *told_as;  // "image", "builder": whose `prune` event tells of it; NULL: none
};
struct store_pruned {
    size_t blobs, layers, records;
    uint64_t freed;
};
// Frees everything that no ref, container or build record needs, the trash and what dead commands
// left behind. Refs are never touched. Enters the user namespace.
int store_prune(struct engine *en, const struct store_prune_options *opt, struct store_pruned *out,
                struct err *e);

// --- check --------------------------------------------------------------------------------------
struct store_check_options {
    bool quick;   // no re-hashing of blobs and layers
    bool repair;  // move damaged things to damaged/, so that they can be fetched or made again
};
struct store_damage {
    char *what;   // "blob sha256:...", "layer ... (root)", "ref debian:latest"
    char *why;
    bool moved;   // repair put it aside
};
struct store_damages {
    struct store_damage *p;
    size_t n;
    size_t cap;
};
void store_damages_fini(struct store_damages *v);
static inline void own_store_damages(struct store_damages *v)
{
    store_damages_fini(v);
}
struct store_checked {
    size_t refs, blobs, layers;
    uint64_t bytes;
};
// 0 also when damage was found: *out says.
int store_check(struct engine *en, const struct store_check_options *opt,
                struct store_damages *out, struct store_checked *sum, struct err *e);
