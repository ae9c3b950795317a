// SPDX-License-Identifier: Apache-2.0
// The parent's half of mounting: detached mounts, ready to be attached by the child.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

// New detached tmpfs. size 0: the kernel's default.
struct sandbox_tmpfs_options {
    uint64_t size;
    uint32_t mode;
    uid_t uid;
    gid_t gid;
    uint64_t attr;  // MOUNT_ATTR_*
};
int sandbox_mounts_tmpfs(const struct sandbox_tmpfs_options *o, struct err *e);
// Detached recursive copy of what `fd` shows; attributes as in mount_setattr.
int sandbox_mounts_clone(int fd, bool recursive, bool readonly, uint64_t attr,
                         const char *propagation, struct err *e);
// Copies what is in the folder `from`, and its own owner and mode, into the empty folder `to`.
int sandbox_mounts_fill(int from, int to, struct err *e);
