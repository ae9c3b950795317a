// SPDX-License-Identifier: Apache-2.0
// Resource limits through control groups.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "runtime/sandbox.h"

#define CGROUP_FDS 16
struct cgroup {
    int join[CGROUP_FDS];  // the child writes "0" to each
    unsigned n;
    char name[RUNTIME_CGROUP]; // as in runtime_sandbox.cgroup; "" when none was needed
};
// Makes what the limits of `s` need. need_devices: restrict device nodes as well (v1, root).
int cgroup_make(struct engine *en, const struct runtime_spec *s, bool need_devices,
                struct cgroup *out, struct err *e);
// Opens the groups of a container that runs, for one more process of it.
int cgroup_open(const char *name, pid_t init, struct cgroup *out, struct err *e);
// Puts a process of ours into them.
int cgroup_move(struct engine *en, const struct cgroup *group, pid_t pid, struct err *e);
void cgroup_close(struct cgroup *c);                 // the descriptors
void cgroup_remove(const char *name, bool *out_oom); // the folders; asks first whether OOM struck
void cgroup_sweep(const char *name); // the same for one who was started by somebody else
// Stops every process of init's pid namespace, in a group that is made for it where there is none:
// `name` (of `size` bytes) is then "dewar-<id>" before and the group's name afterwards.
int cgroup_freeze(struct engine *en, char *name, size_t size, pid_t init, struct err *e);
// Changes the limits of a container that runs. A group that is missing is made, and all processes
// of init's pid namespace go into it; init 0: that is not the container's own, ERR_UNSUPPORTED.
int cgroup_update(struct engine *en, char *name, size_t size, pid_t init,
                  const struct runtime_spec *s, struct err *e);
// How an ordinary user comes to groups on v2; NULL: not at all.
const char *cgroup_way(struct engine *en);
void cgroup_thaw(struct engine *en, const char *name);
