// SPDX-License-Identifier: Apache-2.0
// Which parts of /proc and /sys a container must not see or write, and which sysctls it may set.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "sandbox/sandbox.h"

struct sandbox_proc_path {
    const char *path;  // below the file system's root
    bool dir;
};
extern const struct sandbox_proc_path sandbox_proc_masked[], sandbox_sys_masked[];
extern const char *const sandbox_proc_readonly[];
extern const size_t sandbox_proc_masked_n, sandbox_sys_masked_n, sandbox_proc_readonly_n;
// "net.ipv4.x=1" -> "sys/net/ipv4/x" and "1"; only names that belong to a namespace of the
// container's own. ERR_USAGE otherwise.
int sandbox_proc_sysctl(const struct sandbox_spec *s, const char *text, char **out_path,
                        char **out_value, struct err *e);
