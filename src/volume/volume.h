// SPDX-License-Identifier: Apache-2.0
// Volumes: folders that outlive a container. On disk, in the store:
//   volumes/<name>/   0700; flock on it: somebody fills, claims or removes this volume
//     _data/          what the container sees
//     meta            one line of JSON: when it was made, its labels; an old anonymous one has none
//     fresh           no container has opened it yet: the first one copies the image's files in
//     _new/           such a copy that is not finished; of one who was killed unless locked
//   containers/<id>/  marks: "v-<volume>" an anonymous volume that is this container's own,
//                     "n-<volume>" a volume with a name that it uses. Whoever wants to use a volume
//                     sets its mark first and then takes the volume's lock; who wants to remove one
//                     takes the lock first and then looks for marks.
// A volume gets its name by a rename when folder and meta are complete.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/engine.h"
#include "base/map.h"
#include "base/vec.h"
#include "codec/json.h"
#include "record/state.h"

// Every name that comes from outside passes here before it becomes a part of a path.
int volume_name_check(const char *name, struct err *e);

struct volume_row {
    char *name;
    char *mountpoint;
    int64_t created; // ns since 1970
    struct map labels;
    struct map options; // of the driver: type, device, o
    bool anonymous;    // nobody gave it a name
    struct strv users; // ids of the containers that use it, running or not
};
struct volume_rows {
    struct volume_row *p;
    size_t n;
    size_t cap;
};
void volume_rows_fini(struct volume_rows *v);
static inline void own_volume_rows(struct volume_rows *v)
{
    volume_rows_fini(v);
}

// name NULL: a random one. A volume that is there already is fine. The name goes to *out.
// `options`: type=, device=, o= as Docker's local driver has them, or none.
int volume_create(struct engine *en, const char *name, const struct strv *labels,
                  const struct strv *options, char out[RECORD_NAME], struct err *e);
// Sorted by name. Filters: dangling=BOOL name=TEXT label=K[=V] driver=local; may be NULL.
int volume_list(struct engine *en, const struct strv *filters, struct volume_rows *out,
                struct err *e);
// ERR_NOT_FOUND "get x: no such volume".
int volume_inspect(struct engine *en, const char *name, struct codec_json **out, struct err *e);
struct codec_json *volume_json(const struct volume_row *row);
// ERR_CONFLICT, naming the containers, while any uses it. `force`: a missing one is fine.
int volume_remove(struct engine *en, const char *name, bool force, struct err *e);
// Removes copies that killed commands left unfinished. Needs engine_enter.
int volume_sweep(struct engine *en, struct err *e);
// Those that no container uses: anonymous ones, with `all` every one. Filters: label=K[=V]
// label!=K[=V] all=BOOL.
int volume_prune(struct engine *en, bool all, const struct strv *filters, struct strv *out_removed,
                 uint64_t *out_freed, struct err *e);
