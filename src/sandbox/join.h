// SPDX-License-Identifier: Apache-2.0
// Starting a program inside namespaces that exist: what `exec` does, and what an OCI bundle asks
// for when it names a namespace by its path.
//
//   ours                  in between                     the program
//   opens, checks, plans
//   fork ---------------> setns: user first (it gives
//                         the rights over the others),
//                         the rest, one step
//                         clone3(CLONE_PARENT) --------> is in the process namespace from birth;
//   waits for it <------- says the pid, ends
//   goes on ------------------------------------------->  control groups, session, terminal,
//   limits, hears the result <---------------------------------- ids, capabilities, seccomp, read
//   back,
//                                                        exec
//
// Nobody of ours lives inside with more than the program will have, except for that last part, and
// during it the process is not dumpable, holds no descriptors but its own, and executes or loads
// nothing of the container's. A namespace is entered through a pidfd or a descriptor, never through
// a number. The program is our child: its pidfd and its exit status are ours.
//
// Whoever calls this while something hostile runs in the container gives a doorstep (doorstep.h) or,
// where somebody inside may trace processes of ours, runs from a copy of the program that nobody
// inside can write: sandbox_sealed (sealed.h).
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/engine.h"
#include "sandbox/sandbox.h"

enum sandbox_join_ns {
    JOIN_USER,
    JOIN_IPC,
    JOIN_UTS,
    JOIN_NET,
    JOIN_PID,
    JOIN_CGROUP,
    JOIN_TIME,
    JOIN_MNT, // last but for its order in the kernel: it changes what paths mean
    JOIN_COUNT,
};

struct sandbox_join {
    int pidfd;              // enter `flags` of this process's namespaces in one step; -1: none
    uint64_t flags;         // CLONE_NEW*
    int fd[JOIN_COUNT];     // and these; -1: none
    int root_fd;            // of a process that has our mount namespace; -1: it has another
    int32_t oom_score_adj;  // of what joins
    bool has_oom_score_adj;
    const char *time_offsets;  // a new time namespace with these ("" none); NULL: not a new one
};
#define JOIN_NONE                                                                                  \
    ((struct sandbox_join){.pidfd = -1, .fd = {-1, -1, -1, -1, -1, -1, -1, -1}, .root_fd = -1})
void sandbox_join_fini(struct sandbox_join *j);
static inline void own_sandbox_join(struct sandbox_join *j)
{
    sandbox_join_fini(j);
}
static inline bool sandbox_join_has(const struct sandbox_join *j, enum sandbox_join_ns which)
{
    return j && j->fd[which] >= 0;
}
const char *sandbox_join_name(uint32_t which); // "user", "mnt", as in /proc/PID/ns; "" when unknown
uint64_t sandbox_join_flag(enum sandbox_join_ns which); // CLONE_NEWUSER ...
// Opens a namespace by its path and checks that it is one of that kind.
int sandbox_join_open(struct sandbox_join *j, enum sandbox_join_ns which, const char *path,
                      struct err *e);
// All namespaces of `pid` that are not ours, through the pidfd (which is copied). The process
// behind the pidfd is `pid`: checked after its files were opened.
int sandbox_join_open_process(struct sandbox_join *j, int pidfd, pid_t pid, struct err *e);

struct sandbox_join_options {
    pid_t pid;  // the container's init
    int pidfd;  // of it: the caller has made sure who that is
    // Of the spec: args env workdir user groups_add cap_add cap_drop privileged no_new_privs
    // seccomp_off seccomp_file rlimits tty detach home_env oom_score_adj. The rest is the
    // container's already. The working directory must be there.
    const struct sandbox_spec *spec;
    const char *cgroup; // as in sandbox.cgroup; NULL or "": none
    int doorstep_fd;    // doorstep.h, borrowed; 0 or -1: we run from a sealed copy, or need none
};
// Starts a program in a container and returns when it was executed. As sandbox_start; wait
// with sandbox_wait (the container's control group stays). engine_enter is not needed.
int sandbox_join_start(struct engine *en, const struct sandbox_join_options *j,
                       const struct sandbox_stdio *io, struct sandbox *out, struct err *e);

// --- parts, for who plans something else ---------------------------------------------------------

struct sandbox_plan;
// Raw: for the process between ours and the one that joins. -1 with errno; *out_which says where.
int sandbox_join_enter(const struct sandbox_join *j, uint32_t *out_which);
// As proc_fork with the plan's flags, in the plan's namespaces. The parent gets *out.
// With *out left at PROC_NONE it failed inside: the status socket says how.
pid_t sandbox_join_fork(const struct sandbox_plan *p, struct proc *out, struct err *e);
// A plan for a program that joins the namespaces of `pid`.
void sandbox_join_plan(struct sandbox_plan *p, const struct sandbox_join *join, pid_t pid);
