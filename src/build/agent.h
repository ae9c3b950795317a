// SPDX-License-Identifier: Apache-2.0
// RUN --mount=type=ssh: the step does not get the caller's agent itself but a socket of ours, which has
// the owner and the mode that the Dockerfile asks for, and behind it a process that hands on between
// the two. The step may list the agent's keys and have something signed. All else (keys to add or to
// remove, locks, extensions) is refused, as BuildKit does: the step is somebody else's program, and
// the agent is still there when the build has ended.
#pragma once

#include "base/proc.h"

struct build_agent {
    int fd;  // of the agent's socket, O_PATH
    uint32_t mode, uid, gid;
};
// Makes the socket `name` in the folder `dir` and starts who listens there. That process dies with
// this one; build_agent_stop ends it earlier.
int build_agent_start(const struct build_agent *a, int dir, const char *name,
                      struct proc_worker *out, struct err *e);
void build_agent_stop(struct proc_worker *w);
