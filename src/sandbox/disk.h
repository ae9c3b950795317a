// SPDX-License-Identifier: Apache-2.0
// Limits for single disks, as people write them: "/dev/sda:1mb".
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum sandbox_disk_kind {
    SANDBOX_DISK_WEIGHT,
    SANDBOX_DISK_READ_BPS, // bytes a second
    SANDBOX_DISK_WRITE_BPS,
    SANDBOX_DISK_READ_IOPS, // operations a second
    SANDBOX_DISK_WRITE_IOPS,
    SANDBOX_DISK_COUNT,
};
struct sandbox_disk_limit {
    enum sandbox_disk_kind kind;
    char *device; // path on the host
    uint64_t value;
};
struct sandbox_disk_limits {
    struct sandbox_disk_limit *p;
    size_t n;
    size_t cap;
};
void sandbox_disk_fini(struct sandbox_disk_limits *v);

const char *sandbox_disk_name(enum sandbox_disk_kind kind); // "read-bps"
// "read-bps=/dev/sda:1mb": the kind and what stands behind its option. out->device is heap.
int sandbox_disk_parse(const char *text, struct sandbox_disk_limit *out, struct err *e);
// Writes them into a control group's folder. A device that is not there is an error.
int sandbox_disk_apply(int dir, const struct sandbox_disk_limits *v, bool v2, struct err *e);
