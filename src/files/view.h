// SPDX-License-Identifier: Apache-2.0
// A container's files as the container sees them, for a worker process of ours.
//
//   it runs      the worker enters the container's user and mount namespaces through a pidfd: what
//   it
//                then calls "/" is the container's, mounts and all
//   it does not  the worker makes the same in a mount namespace of its own from the record (root,
//                binds, volumes), pivots into it, and takes the container's ids; nobody starts or
//                removes the container meanwhile
//
// From then on there is no path of the host's that a slip or a swapped link could lead to. What is
// inside may be changed by somebody hostile at any moment: work through descriptors, follow links
// inside view.root only, execute and load nothing, and do not use /proc (it is the container's, and
// lies): view.self_fds is our own /proc/self/fd, opened before.
//
// Whoever looks into a container that runs must run from a copy of the program that nobody inside
// can write: sandbox_sealed (sealed.h).
#pragma once

#include <stdbool.h>

#include "base/engine.h"
#include "base/fs.h"
#include "base/proc.h"
#include "record/state.h"

struct view {
    struct root root; // the container's "/"
    int self_fds;
};
struct view_options {
    bool bare; // the root's own file system alone, without anything that is mounted in it
    int (*work)(const struct view *v, void *arg, struct err *e);
    void *arg;
};
// Starts the worker; its error comes back from proc_worker_wait. Descriptors that are open here are
// open there.
int view_start(struct engine *en, const char *id, const struct view_options *o,
               struct proc_worker *out, struct err *e);
