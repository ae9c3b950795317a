// SPDX-License-Identifier: Apache-2.0
// Work in progress and rubbish. A temporary folder tmp/<name> is owned by a flock on the folder
// itself: the kernel drops it when the owner dies, and then whoever meets it sweeps it. Deleting is
// a rename to trash/ (O(1), restartable); the sweep empties the trash.
#pragma once

#include "base/engine.h"
#include "base/err.h"

struct store_tmp {
    int fd;         // the folder, holds the lock; -1 when closed
    int parent_fd;  // tmp/
    char name[40];
};
#define STORE_TMP_NONE ((struct store_tmp){.fd = -1, .parent_fd = -1})

int store_tmp_open(struct engine *en, struct store_tmp *out, struct err *e);
void store_tmp_close(struct engine *en, struct store_tmp *t);  // removes what is left in it
// Moves dirfd/name to the trash. What is absent is fine.
int store_trash(struct engine *en, int dirfd, const char *name, struct err *e);
// Empties the trash and removes temporary folders whose owner is dead. Files inside layers need
// the user namespace: call engine_enter before. Bytes freed go to *out_freed (may be NULL).
int store_sweep(struct engine *en, uint64_t *out_freed, struct err *e);
// Removes what killed commands left half-written among refs and records. Only for who holds the
// store's lock alone: a living writer's would go too.
int store_tmp_drop_parts(struct engine *en, struct err *e);
// store_sweep for a command that does not want to wait: when there is something to do, a child of its
// own session does it and ends. Best effort. Large deletes take seconds on some file systems.
void store_sweep_later(struct engine *en);
