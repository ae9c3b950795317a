// SPDX-License-Identifier: Apache-2.0
// What the files of this room share among themselves.
#pragma once

#include "base/map.h"
#include "store/ref.h"

// Every ref file, hidden untagged entries and damaged files (r == NULL) included.
typedef int store_ref_visit(void *arg, const char *folder, const char *name,
                            const struct store_ref *r, struct err *e);
int store_ref_walk(struct engine *en, store_ref_visit *visit, void *arg, struct err *e);

// --- what is needed -----------------------------------------------------------------------------
// Hex digits of everything that refs, containers and build records need. `damaged` counts ref files
// that cannot be read: what they named is not known.
struct store_keep {
    struct map hexes;
    size_t damaged;
};
// Adds what one name's image needs.
int store_keep_ref(struct engine *en, const struct store_ref *r, struct store_keep *k, struct err *e);
int store_keep_collect(struct engine *en, struct store_keep *out, struct err *e);
int store_keep_named(struct engine *en, struct store_keep *out, struct err *e);  // of refs and containers
int store_keep_containers(struct engine *en, struct store_keep *out, struct err *e);  // only theirs
void store_keep_fini(struct store_keep *k);
static inline void own_store_keep(struct store_keep *k)
{
    store_keep_fini(k);
}

// Every file and folder of the cache: build records (is_record), other small files, cache mounts
// (folders). `dir` is the folder it lies in.
struct store_cache_item {
    const char *kind;  // "steps", "mounts", ...
    const char *name;
    int dir;
    bool folder;
    bool is_record;    // in the form of store/cache.h and whole
    bool is_damaged;   // ... and torn
    struct sv value;   // of a record
    int64_t last_used;
    uint64_t size;     // of files
};
typedef int store_cache_visit(void *arg, const struct store_cache_item *item, struct err *e);
int store_cache_walk(struct engine *en, store_cache_visit *visit, void *arg, struct err *e);

// Disk use of a tree in bytes.
uint64_t store_du(int dirfd, const char *name);
