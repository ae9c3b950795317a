// SPDX-License-Identifier: Apache-2.0
// sd_notify(3) from inside a container, as runc has it: where our caller gave us NOTIFY_SOCKET, the program
// gets a socket of its own at /run/notify/notify.sock, and that it is ready is passed on to ours with its
// process number as we see it. Nothing else of what it says is: a program must not speak for its unit.
#pragma once

#include "bundle/internal.h"

// The folder of the socket, its mount and the variable, into the box and the config; nothing where nobody
// is to be told.
int bundle_notify_add(const struct bundle_box *box, struct oci_runtime *config, struct err *e);
// Opens the socket, before the program runs: its descriptor; *out_fd is -1 where nobody is to be told or
// the container was made without.
int bundle_notify_listen(const struct bundle_box *box, int *out_fd, struct err *e);
// Takes what has come; true: the program is ready, and whoever waits for that was told.
bool bundle_notify_take(int fd, int64_t pid);
// Waits until the program is ready or has ended, without the box's lock. -1: there is nothing to wait for.
void bundle_notify_await(int fd, struct bundle_box *box);
