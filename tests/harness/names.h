// SPDX-License-Identifier: Apache-2.0
// Walks the text table of an enum: every value has a name, and no two have the same one. A value
// that was added without its text makes the table end early, which this sees.
#pragma once

#include "harness.h"

#define ASSERT_NAMES(fn, count)                                                    \
    for (int i_ = 0; i_ < (int)(count); i_++) {                                    \
        const char *name_ = fn(i_);                                                \
        if (!name_ || !*name_) fail_msg("%s(%d) has no text", #fn, i_);            \
        for (int j_ = 0; j_ < i_; j_++)                                            \
            if (!strcmp(name_, fn(j_))) fail_msg("%s: '%s' twice", #fn, name_);    \
    }
