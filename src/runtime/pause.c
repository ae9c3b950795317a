// SPDX-License-Identifier: Apache-2.0
// Pausing: all processes of the container stand still at once, without a signal that they could see
// or lose. Only the freezer of control groups does that.
#include <stdio.h>

#include "base/own.h"
#include "runtime/events.h"
#include "runtime/monitor.h"

static char *group_of(const struct monitor *m)
{
    return str_fmt("dewar-%.32s", m->record->id);
}

int monitor_pause(struct monitor *m, struct err *e)
{
    if (m->state.status == RUNTIME_PAUSED)
        return err_set(e, ERR_CONFLICT, "Container %.12s is already paused", m->record->id);
    if (!m->alive) return err_set(e, ERR_CONFLICT, "Container %.12s is not running", m->record->id);
    const char *mode = m->config->pid_mode;
    if (mode && strcmp(mode, "private") != 0) {
        err_set(e, ERR_UNSUPPORTED, "container %.12s shares a process namespace", m->record->id);
        return err_hint(e, "which of its processes are meant cannot be told");
    }
    own(free) char *group = group_of(m);
    if (cgroup_freeze(m->en, group, m->box.proc.pid, e) < 0) return -1;
    snprintf(m->box.cgroup, sizeof m->box.cgroup, "%s", group); // removed at the end
    snprintf(m->state.cgroup, sizeof m->state.cgroup, "%s", group);
    m->state.status = RUNTIME_PAUSED;
    monitor_note(m);
    runtime_event_container(m->en, m->config, "pause", NULL);
    return 0;
}

void monitor_resume(struct monitor *m)
{
    own(free) char *group = group_of(m);
    cgroup_thaw(m->en, group);
    m->state.status = RUNTIME_RUNNING;
    monitor_note(m);
    runtime_event_container(m->en, m->config, "unpause", NULL);
}
