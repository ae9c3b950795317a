// SPDX-License-Identifier: Apache-2.0
// The small program (helper/doorstep.c) that a child of ours executes before the program of the
// container: from then on /proc/PID/exe is that and no longer dewar's own file. It costs a tenth of
// what executing dewar from a sealed copy (sealed.h) costs.
//
// What it cannot do is keep dewar's file from somebody who looks at the child *before* that: the
// child is not dumpable, so that takes CAP_SYS_PTRACE in our own user namespace and a place in the
// child's process namespace. Where somebody may have both, the sealed copy must be used.
#pragma once

#include "base/err.h"

// A sealed copy in memory, to execute. -1: whoever is inside could not write the file that this
// program runs from, so that nothing is needed; or it cannot be made.
int sandbox_doorstep_open(void);

struct sandbox_plan;
// Once the plan's program is planned. A copy of its own in its scratch folder, which ends with the
// container:
int sandbox_doorstep_put(struct sandbox_plan *p, struct err *e);
// or the one that sandbox_doorstep_open made, borrowed. 0 or -1: none.
int sandbox_doorstep_use(struct sandbox_plan *p, int fd, struct err *e);
