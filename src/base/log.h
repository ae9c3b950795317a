// SPDX-License-Identifier: Apache-2.0
// Debug talk on stderr (-v, -vv). Results and progress never come this way.
#pragma once

#include <stdbool.h>

extern int log_level;  // 0 quiet, 1 -v, 2 -vv; the only mutable global
void log_say(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
