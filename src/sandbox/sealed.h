// SPDX-License-Identifier: Apache-2.0
// Running from a copy of ourselves that nobody in a container can write. A process of ours that is
// inside for a moment can be made to show its own program file there: an entry point whose first
// line is "#!/proc/self/exe" is enough. Were that the file on the host's disk, root in the
// container could open it, wait, and put its own program into it.
//
//   root           a read-only copy of the mount below the program's file, executed by descriptor
//   other owners   a sealed memfd (they cannot make mounts yet)
//   neither        nothing to do: whoever is in the container could not write the file anyway
#pragma once

#include <stdbool.h>

#include "base/err.h"

// Executes this program again from such a copy, with the same arguments, unless it runs from one or
// needs none. Call it first, before anything is opened. Where it was installed is told by
// ENGINE_SELF in the environment (engine_helper).
int sandbox_sealed(char *const *argv, struct err *e);
// Whether it needs one: whoever is in a container could write the file that it runs from.
bool sandbox_exposed(void);

// A file in memory, closed at exec, to be written and then sealed for good.
int sandbox_sealed_memory(const char *name, struct err *e);
int sandbox_seal(int fd, struct err *e);
