// SPDX-License-Identifier: Apache-2.0
// What a container does with its volumes, and what stands between volume.c, volume_fill.c and
// volume_list.c.
#pragma once

#include "runtime/record.h"
#include "runtime/volume.h"

struct volume_use {
    char *name;
    char id[RUNTIME_ID]; // of the container
};
struct volume_uses {
    struct volume_use *p;
    size_t n;
    size_t cap;
};
// Every mark of every container; one that goes away meanwhile is left out.
int volume_uses_load(struct engine *en, struct volume_uses *out, struct err *e);
void volume_uses_fini(struct volume_uses *v);
static inline void own_volume_uses(struct volume_uses *v)
{
    volume_uses_fini(v);
}

struct volume_meta {
    int64_t created;
    bool anonymous;
    struct map labels; // heap texts
};
void volume_meta_print(const struct volume_meta *m, struct str *out);
// 1: made, 0: there already.
int volume_make(struct engine *en, const char *name, const struct volume_meta *meta, struct err *e);
// Opens volumes/<name> and takes its lock. ERR_NOT_FOUND.
int volume_lock(struct engine *en, const char *name, struct err *e);
int volume_missing(const char *name, struct err *e); // the error

// --- for containers ----------------------------------------------------------------------------

// Before the container is made: sets its mark, makes the volume where it is missing, and decides
// whether the image's files go into it: only when it is empty and nobody else uses it.
int volume_claim(struct engine *en, struct record *r, const char *name, struct err *e);
// Opens what is to be mounted: _data, or the volume's subpath in it. Where it is new it is filled
// from `path` inside the image's root (owner and mode too); a folder that the image does not have
// belongs to the root of `ids`. Returns a descriptor.
int volume_open(struct engine *en, const struct runtime_volume *v, const struct root *image,
                const char *path, const struct runtime_ids *ids, struct err *e);
// The events "mount" and "unmount" of all volumes of a container.
void volume_events(struct engine *en, const struct runtime_config *c, const char *action);
// Another container than `id` uses this volume by its name.
bool volume_is_shared(struct engine *en, const char *name, const char *id);

// --- volume_fill.c -----------------------------------------------------------------------------

#define VOLUME_NEW "_new"
// Makes `dir`/_new as a first use of the volume wants it. Returns a descriptor of it.
int volume_fill(int dir, const struct root *image, const char *path, bool copy,
                const struct runtime_ids *ids, struct err *e);
