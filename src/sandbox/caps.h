// SPDX-License-Identifier: Apache-2.0
// Capabilities: their names, and what a container may have of them.
#pragma once

#include <stdint.h>

#include "sandbox/sandbox.h"

// The bounding set as bits; `last` is the kernel's highest capability.
int sandbox_caps_plan(const struct sandbox_spec *s, uint64_t *out, struct err *e);
int sandbox_caps_number(struct sv name); // with or without CAP_, any case; -1 unknown
const char *sandbox_caps_name(unsigned cap);
uint64_t sandbox_caps_own(void); // our own bounding set: nobody can hand on more than that
#define CAPS_LAST 40
struct sandbox_caps {
    uint64_t bounding, effective, permitted, inheritable, ambient;
};
