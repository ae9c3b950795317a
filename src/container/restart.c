// SPDX-License-Identifier: Apache-2.0
// When a program that ended is started again: rules without a clock of their own.
#include "container/restart.h"

#include "record/state.h"

bool restart_wanted(const struct record_config *c, const struct record_state *s)
{
    if (s->stopped) return false;
    switch (c->restart) {
    case RECORD_RESTART_ALWAYS:
    case RECORD_RESTART_UNLESS_STOPPED:
        return true;
    case RECORD_RESTART_ON_FAILURE:
        return s->code != 0 && (c->restart_max == 0 || s->restarts < c->restart_max);
    case RECORD_RESTART_NO:
    case RECORD_RESTART_COUNT:
        break;
    }
    return false;
}

bool restart_at_boot(const struct record_config *c, const struct record_state *s, bool was_up)
{
    if (c->restart == RECORD_RESTART_ALWAYS) return true;
    if (c->restart == RECORD_RESTART_UNLESS_STOPPED) return !s->stopped;
    return c->restart == RECORD_RESTART_ON_FAILURE && was_up && restart_wanted(c, s);
}

int64_t restart_delay(int64_t last_ns, int64_t uptime_ns)
{
    if (last_ns == 0 || uptime_ns >= RESTART_STEADY) return RESTART_FIRST;
    return last_ns * 2 < RESTART_LONGEST ? last_ns * 2 : RESTART_LONGEST;
}
