// SPDX-License-Identifier: Apache-2.0
// What this machine can and cannot do for containers, one line each with the cure.
#pragma once

#include "base/engine.h"
#include "base/str.h"

enum runtime_check_status {
    RUNTIME_CHECK_OK,
    RUNTIME_CHECK_WARN,  // works, with less
    RUNTIME_CHECK_FAIL,  // containers cannot start
    RUNTIME_CHECK_COUNT,
};

struct runtime_check {
    const char *name;  // "kernel"
    enum runtime_check_status status;
    char text[256];  // what was found
    char fix[256];   // what to do, "" when ok
};
#define RUNTIME_CHECKS_MAX 24

// Fills at most RUNTIME_CHECKS_MAX rows and returns how many. Call before engine_enter.
size_t runtime_doctor(struct engine *en, struct runtime_check out[RUNTIME_CHECKS_MAX]);
const char *runtime_check_status_name(enum runtime_check_status s);  // "ok", "warn", "fail"
