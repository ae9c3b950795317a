// SPDX-License-Identifier: Apache-2.0
// What stands between volume.c, driver.c, fill.c and list.c.
#pragma once

#include "sandbox/sandbox.h"
#include "volume/volume.h"

struct volume_meta {
    int64_t created;
    bool anonymous;
    struct map labels;   // heap texts
    struct map options;  // of the driver: type, device, o; none: a folder of the store
};
void volume_meta_fini(struct volume_meta *m);
static inline void own_volume_meta(struct volume_meta *m)
{
    volume_meta_fini(m);
}
// dir: volumes/<name>. One without a meta has nothing in it.
int volume_meta_load(int dir, struct volume_meta *out, struct err *e);
// "K=V" texts. ERR_USAGE for one without a name.
int volume_meta_add(struct map *to, const struct strv *texts, const char *what, struct err *e);
void volume_meta_print(const struct volume_meta *m, struct str *out);
// 1: made, 0: there already.
int volume_make(struct engine *en, const char *name, const struct volume_meta *meta, struct err *e);
// Opens volumes/<name> and takes its lock. ERR_NOT_FOUND.
int volume_lock(struct engine *en, const char *name, struct err *e);
int volume_missing(const char *name, struct err *e); // the error

// --- driver.c ----------------------------------------------------------------------------

#define VOLUME_DATA "_data"
int volume_driver_check(struct engine *en, const struct map *options, struct err *e);
// The caller holds the volume's lock.
int volume_driver_open(struct engine *en, int dir, const char *name, const char *id,
                       const struct map *options, bool *out_readonly, struct err *e);
// Unmounts what is mounted; the caller holds the lock and knows that nobody uses it.
int volume_driver_drop(struct engine *en, int dir, const char *name, struct err *e);
// Unmounts when nobody but `id` uses it. "": nobody at all.
void volume_driver_release(struct engine *en, const char *name, const char *id);

// --- fill.c -----------------------------------------------------------------------------

#define VOLUME_NEW "_new"
// Makes `dir`/_new as a first use of the volume wants it. Returns a descriptor of it.
// The same into a folder that is there and empty.
int volume_fill_into(int to, const struct root *image, const char *path, bool copy,
                     const struct sandbox_ids *ids, struct err *e);
int volume_fill(int dir, const struct root *image, const char *path, bool copy,
                const struct sandbox_ids *ids, struct err *e);
