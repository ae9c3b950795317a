// SPDX-License-Identifier: Apache-2.0
// The store's one lock, the file `lock`. Whoever adds or uses layers and blobs holds it shared from
// before it looks for them until its ref, record or container is written. Garbage collection holds
// it alone, so nothing is freed between a look and its use. The kernel drops it when its holder
// dies. Waiting is bounded and explained.
#pragma once

#include "base/engine.h"
#include "base/err.h"

// Returns a descriptor that holds the lock (`own(fd) int lock = store_lock_shared(en, &e);`).
int store_lock_shared(struct engine *en, struct err *e);
// Alone; waits up to `seconds`. ERR_CONFLICT with a hint when others are still at work then.
int store_lock_alone(struct engine *en, unsigned seconds, struct err *e);
