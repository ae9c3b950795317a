// SPDX-License-Identifier: Apache-2.0
// Seccomp filters: the default one, a person's own profile, and that of an OCI bundle.
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

// The default filter for a bounding set; heap, n instructions.
struct sock_filter *sandbox_seccomp_default(uint64_t caps, size_t *out_n);
int sandbox_seccomp_file(const char *path, uint64_t caps, struct sock_filter **out, size_t *out_n,
                         struct err *e);

// linux.seccomp of an OCI bundle. cache_fd: a folder of ours that keeps compiled filters; -1: none.
struct codec_json;
bool sandbox_seccomp_notifies(const struct codec_json *profile);  // somebody is asked: SCMP_ACT_NOTIFY
int sandbox_seccomp_oci(const struct codec_json *profile, int cache_fd, struct sock_fprog *out,
                        unsigned *out_flags, struct err *e);
