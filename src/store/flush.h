// SPDX-License-Identifier: Apache-2.0
// While layers are unpacked, a process beside it writes their many small files to disk again and
// again, so that the one sync at the end (store_sync) has little left to wait for.
#pragma once

#include "base/engine.h"
#include "base/proc.h"

// `bytes`: about how much will be written; where that is little, nothing is started.
int store_flush_start(struct engine *en, uint64_t bytes, struct proc_worker *out, struct err *e);
void store_flush_stop(struct proc_worker *w);
