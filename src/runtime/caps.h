// SPDX-License-Identifier: Apache-2.0
// Capabilities: their names, and what a container may have of them.
#pragma once

#include <stdint.h>

#include "runtime/sandbox.h"

// The bounding set as bits; `last` is the kernel's highest capability.
int caps_plan(const struct runtime_spec *s, uint64_t *out, struct err *e);
int caps_number(struct sv name);  // with or without CAP_, any case; -1 unknown
const char *caps_name(unsigned cap);
uint64_t caps_own(void);  // our own bounding set: nobody can hand on more than that
#define CAPS_LAST 40
struct caps_sets {
    uint64_t bounding, effective, permitted, inheritable, ambient;
};
