// SPDX-License-Identifier: Apache-2.0
// What this machine can and cannot do for containers, one line each with the cure.
#pragma once

#include "base/engine.h"
#include "base/str.h"

enum sandbox_check_status {
    SANDBOX_CHECK_OK,
    SANDBOX_CHECK_WARN, // works, with less
    SANDBOX_CHECK_FAIL, // containers cannot start
    SANDBOX_CHECK_COUNT,
};

struct sandbox_check {
    const char *name;  // "kernel"
    enum sandbox_check_status status;
    char text[256];  // what was found
    char fix[256];   // what to do, "" when ok
};
#define SANDBOX_CHECKS_MAX 24

// Fills at most SANDBOX_CHECKS_MAX rows and returns how many. Call before engine_enter.
size_t sandbox_doctor(struct engine *en, struct sandbox_check out[SANDBOX_CHECKS_MAX]);
// The last row, where the engine could not be opened.
void sandbox_doctor_no_store(struct sandbox_check *c, const struct err *why);
const char *sandbox_check_status_name(enum sandbox_check_status s); // "ok", "warn", "fail"
