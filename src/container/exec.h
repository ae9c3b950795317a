// SPDX-License-Identifier: Apache-2.0
// Another program in a container that runs: it joins the container's namespaces and control group
// with the container's own environment, user, capabilities and filter, and is our child.
//
// Where somebody inside may trace what comes in, this program is executed anew from a copy that
// nobody there can write (sealed.h); so nothing may have been read or written before.
#pragma once

#include "base/engine.h"
#include "base/vec.h"

struct container_exec_options {
    char *const *own_argv; // as this program was called
    struct strv args;
    struct strv env; // "K=V"; "K" copies the caller's
    struct strv env_files;
    const char *user;    // NULL: the container's
    const char *workdir; // NULL: the container's
    const char *keys;    // detach keys; NULL: ctrl-p,ctrl-q; "": none
    bool tty, interactive, privileged;
    bool detach; // return when it was executed; it goes on, without output
};
// Returns the program's exit code in *out_code (0 when it goes on without us). ERR_NO_PROGRAM and
// ERR_NOT_EXEC tell 127 and 126. A program outlives the command that started it, as with Docker.
int container_exec(struct engine *en, const char *id, const struct container_exec_options *o,
                   int *out_code, struct err *e);
