// SPDX-License-Identifier: Apache-2.0
// Between volume.c and volume_list.c.
#pragma once

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
