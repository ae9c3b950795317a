// SPDX-License-Identifier: Apache-2.0
// Resource limits through control groups.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "sandbox/device_rule.h"
#include "sandbox/sandbox.h"

#define CGROUP_FDS 16
struct sandbox_cgroup {
    int join[CGROUP_FDS];  // the child writes "0" to each
    unsigned n, loose; // the last `loose` of them are entered where the kernel lets us
    unsigned shown;    // v1: the controllers that the container sees (cgroup_view.c), a bit each
    char name[SANDBOX_CGROUP]; // as in sandbox.cgroup; "" when none was needed
};
// Makes what the limits of `s` need. With rules, device nodes are restricted as well; for an ordinary
// user they are by the user namespace.
int sandbox_cgroup_make(struct engine *en, const struct sandbox_spec *s,
                        const struct sandbox_device_rules *rules, struct sandbox_cgroup *out,
                        struct err *e);
// Opens the groups of a container that runs, for one more process of it.
int sandbox_cgroup_open(const char *name, pid_t init, struct sandbox_cgroup *out, struct err *e);
// Puts a process of ours into them.
int sandbox_cgroup_move(struct engine *en, const struct sandbox_cgroup *group, pid_t pid,
                        struct err *e);
void sandbox_cgroup_close(struct sandbox_cgroup *c); // the descriptors
void sandbox_cgroup_remove(const char *name,
                           bool *out_oom);   // the folders; asks first whether OOM struck
// One folder, with the groups that were made below it. Waits for a moment for who is on the way out.
void sandbox_cgroup_remove_folder(const char *path);
void sandbox_cgroup_sweep(const char *name); // the same for one who was started by somebody else
// Stops every process of init's pid namespace, in a group that is made for it where there is none:
// `name` (of `size` bytes) is then "dewar-<id>" before and the group's name afterwards.
int sandbox_cgroup_freeze(struct engine *en, char *name, size_t size, pid_t init, struct err *e);
// Changes the limits of a container that runs. A group that is missing is made, and all processes
// of init's pid namespace go into it; init 0: that is not the container's own, ERR_UNSUPPORTED.
int sandbox_cgroup_update(struct engine *en, char *name, size_t size, pid_t init,
                          const struct sandbox_spec *s, struct err *e);
// How an ordinary user comes to groups on v2; NULL: not at all.
const char *sandbox_cgroup_way(struct engine *en);
bool sandbox_cgroup_v2(void); // the whole tree is v2
// Whether limits of this controller ("memory") can be had.
bool sandbox_cgroup_has(struct engine *en, const char *controller);
void sandbox_cgroup_thaw(struct engine *en, const char *name);
