// SPDX-License-Identifier: Apache-2.0
// Debug talk on stderr.
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

int log_level;

void log_say(int level, const char *fmt, ...)
{
    if (level > log_level) return;
    va_list ap;
    va_start(ap, fmt);
    fputs("dewar: debug: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}
