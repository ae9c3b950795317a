// SPDX-License-Identifier: Apache-2.0
// Restart policies as Docker has them. Times are the caller's, on the monotonic clock.
#pragma once

#include "record/state.h"

#define RESTART_FIRST ((int64_t)100 * 1000 * 1000)
#define RESTART_LONGEST ((int64_t)60 * 1000 * 1000 * 1000)
#define RESTART_STEADY ((int64_t)10 * 1000 * 1000 * 1000)

// After the program has ended with s->code: is it started again?
bool restart_wanted(const struct record_config *c, const struct record_state *s);
// After a boot; `was_up`: it ran when the machine went down.
bool restart_at_boot(const struct record_config *c, const struct record_state *s, bool was_up);
// The next pause; last_ns is the one before (0: none), uptime_ns how long the program ran since.
int64_t restart_delay(int64_t last_ns, int64_t uptime_ns);

// What stands behind --restart (create.c).
int restart_parse(const char *text, enum record_restart *out, int64_t *out_max, struct err *e);
