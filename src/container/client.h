// SPDX-License-Identifier: Apache-2.0
// A command that a person started, attached to a container.
#pragma once

#include <stdbool.h>

#include "base/err.h"

struct client_options {
    bool no_sig_proxy;
    bool read_stdin;
    const char *keys; // detach keys; NULL: the default
    bool tty;
    const char *id;
    bool *detached; // client_run: set when the person left; NULL: nobody asks
    bool *oom;      // ... when the kernel killed for want of memory; NULL: nobody asks
};
// The same for a program of `exec`, which has no monitor: `program` is its pidfd, `pty` its terminal
// (-1: it has our own stdin, stdout and stderr). Both stay the caller's. Returns when it has ended or
// the person left (*out_detached).
int client_program(int program, int pty, const struct client_options *o, bool *out_detached,
                   struct err *e);
// Waits for STARTED (a starter) and relays until the container ends (*out_code is its exit code),
// the person detaches (0) or our terminal vanishes (129).
int client_run(int sock, bool starter, const struct client_options *o, int *out_code,
               struct err *e);
