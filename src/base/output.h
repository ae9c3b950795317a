// SPDX-License-Identifier: Apache-2.0
// A file that a person named behind -o: it appears complete or not at all. A pipe or device that is
// there already is written to as it is.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct err;

struct output {
    char *folder;
    const char *name; // points into the path that was given
    int dir, fd;      // write to fd
    bool direct;
};
#define OUTPUT_NONE ((struct output){.dir = -1, .fd = -1})
// `path` must outlive it. Open it before engine_enter: the file is the caller's.
// The mode is that of a new file, less the umask.
int output_open(const char *path, mode_t mode, struct output *out, struct err *e);
int output_commit(struct output *o, struct err *e);
void output_fini(struct output *o);
static inline void own_output(struct output *o)
{
    output_fini(o);
}
