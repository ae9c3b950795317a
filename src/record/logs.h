// SPDX-License-Identifier: Apache-2.0
// The verb `logs`: what a container has written.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/engine.h"
#include "base/str.h"

struct record_logs_options {
    bool follow;
    bool has_tail;
    uint64_t tail;    // lines
    int64_t since_ns; // 0: from the beginning; INT64_MIN..: ns since 1970
    int64_t until_ns; // 0: no end
};
struct record_log_line {
    int stream; // 1 stdout, 2 stderr
    int64_t time_ns;
    bool partial; // its end follows in the next one
    bool begins;  // a new line, no continuation
    struct sv text;
    struct sv attrs; // what stands beside it: a JSON object, or nothing
};
// Calls `each` for every record, oldest first; -1 from it ends the walk. With follow it goes on
// until the container has ended for good; one that was not started yet is waited for.
int record_logs(struct engine *en, const char *id, const struct record_logs_options *o,
                int (*each)(void *arg, const struct record_log_line *line, struct err *e),
                void *arg, struct err *e);
// "2023-06-10T00:00:00Z", without zone or parts of it, "1686355200.5", or "10m" before now.
int record_time_parse(const char *text, int64_t *out_ns, struct err *e);
