// SPDX-License-Identifier: Apache-2.0
// Which processes of the machine are a container's. A process is one when it shares the mount
// namespace of the container's init (every container has one of its own, and whoever enters with
// `exec` joins it), or its pid namespace where that is its own, or descends from such a one. No
// control group is needed for this, and what a process calls itself plays no part.
#pragma once

#include "record/state.h"

struct container_proc {
    pid_t pid, parent;
    uint64_t ticks;   // of processor time, with that of children that were waited for
    uint64_t threads;
    bool member;
};
struct container_procs {
    struct container_proc *p; // by rising pid
    size_t n;
    size_t cap;
};
static inline void own_container_procs(struct container_procs *v)
{
    vec_fini(v);
}
bool container_procs_has(const struct container_procs *v, pid_t pid);
// As we see their numbers. ERR_CONFLICT when the container's init is not there any more.
int container_procs_find(const struct record_config *c, const struct record_state *s,
                         struct container_procs *out, struct err *e);
// For tests: one line of /proc/PID/stat.
bool container_proc_parse(struct sv stat, struct container_proc *out);
