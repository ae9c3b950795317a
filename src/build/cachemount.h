// SPDX-License-Identifier: Apache-2.0
// Cache mounts on disk: cache/mounts/<form>/<hash of id>[-N]/{data/, seen}. `data` is what steps see.
// `seen` lists the COPY files (path, digest) that the last step with this mount saw; see step_run.c.
#pragma once

#include "build/internal.h"

// *out_lock is the mount's own folder and holds its lock as long as it is open: shared, alone
// (locked), or alone on the first free one of several folders (private). `held`: the lock of another
// mount of this step with the same id, which serves for both (it would wait for itself); or -1.
int build_cachemount_open(struct build_work *w, const struct build_mount *m, int held,
                          int *out_lock, int *out_data, bool *out_fresh, struct err *e);
// The mount of this id for reading as it is on disk, locked alone. 1 there, 0: none, or in use.
int build_cachemount_peek(struct engine *en, const char *id, int *out, struct err *e);
// Gives the present time to the COPY files that the last step with this mount did not see as they
// are now. Their paths (relative, no leading '/') go to *out_touched. Until the step has succeeded
// they count as not seen.
int build_cachemount_touch(struct build_work *w, int lock, const struct root *root,
                           struct strv *out_touched, struct err *e);
// ok: the step succeeded. After a failure nothing counts as seen: some of it may have been built.
int build_cachemount_remember(struct build_work *w, int lock, bool ok, struct err *e);
