// SPDX-License-Identifier: Apache-2.0
// Layers that may not be on the disk yet. A layer is put into place by a rename and synced later, one
// sync for many; a power cut between the two can leave a layer that looks whole and holds files of
// zeros, and the next command would believe it, because it is found by its digest.
//
// So each layer put into place leaves a mark first: fresh/<form>.<id>, a symbolic link whose text is
// the id of this boot and the host (no data block that could be torn; file systems keep the order of
// such changes).
// store_sync lists the marks, syncs, and removes those that it listed. A mark of another boot means:
// never synced, not to be believed. Whoever meets one moves the layer to the trash.
#pragma once

#include "base/engine.h"
#include "base/err.h"
#include "base/vec.h"

// Before the rename. The descriptor holds the marks' lock: keep it until the layer is in place.
int store_fresh_mark(struct engine *en, const char *id, struct err *e);
// Whether layers/<form>/<id> may be used. 0: it was of another boot, and is in the trash now.
int store_fresh_believe(struct engine *en, const char *id, struct err *e);
// Around a sync: the marks that are there before, and their removal after.
int store_fresh_list(struct engine *en, struct strv *out, struct err *e);
int store_fresh_clear(struct engine *en, const struct strv *marks, struct err *e);
// Throws away every layer of another boot that was never synced, in all forms.
int store_fresh_sweep(struct engine *en, struct err *e);
