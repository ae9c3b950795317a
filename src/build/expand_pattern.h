// SPDX-License-Identifier: Apache-2.0
// Only for this room: ${v#p} ${v##p} ${v%p} ${v%%p} ${v/p/r} ${v//p/r}. Patterns know * and ?,
// neither matches a newline; a backslash may stand before * ? \ } and /.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define BUILD_EXPAND_PATTERN_STEPS ((uint64_t)200 << 20)  // about a second

int build_expand_pattern_trim(struct sv pattern, struct sv value, bool at_end, bool longest,
                              uint64_t *budget, struct str *out, struct err *e);
int build_expand_pattern_replace(struct sv pattern, struct sv value, struct sv with, bool all,
                                 uint64_t *budget, struct str *out, struct err *e);
