// SPDX-License-Identifier: Apache-2.0
// Pausing: all processes of the container stand still at once, without a signal that they could see
// or lose. Only the freezer of control groups does that.
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "container/monitor.h"
#include "container/relay.h"
#include "record/events.h"
#include "record/log.h"
#include "record/record.h"
#include "record/state.h"
#include "sandbox/cgroup.h"
#include "sandbox/sandbox.h"

int monitor_pause(struct monitor *m, struct err *e)
{
    if (m->state.status == RECORD_PAUSED)
        return err_set(e, ERR_CONFLICT, "Container %.12s is already paused", m->record->id);
    if (m->state.status == RECORD_RESTARTING)
        return err_set(e, ERR_CONFLICT,
                       "container %.12s is restarting, wait until the container is running",
                       m->record->id);
    if (!m->alive) return err_set(e, ERR_CONFLICT, "Container %.12s is not running", m->record->id);
    const char *mode = m->config->pid_mode;
    if (mode && strcmp(mode, "private") != 0) {
        err_set(e, ERR_UNSUPPORTED, "container %.12s shares a process namespace", m->record->id);
        return err_hint(e, "which of its processes are meant cannot be told");
    }
    char *group = m->box.cgroup; // removed at the end
    char before[SANDBOX_CGROUP];
    memcpy(before, group, sizeof before);
    if (!group[0]) snprintf(group, SANDBOX_CGROUP, "dewar-%.32s", m->record->id);
    if (sandbox_cgroup_freeze(m->en, group, SANDBOX_CGROUP, m->box.proc.pid, e) < 0) {
        if (!before[0]) sandbox_cgroup_remove(group, NULL);
        memcpy(group, before, sizeof before);
        return -1;
    }
    snprintf(m->state.cgroup, sizeof m->state.cgroup, "%s", group);
    m->state.status = RECORD_PAUSED;
    // One that nobody knows to be paused could not be woken up.
    if (record_live(m->record, &m->state, e) < 0) {
        sandbox_cgroup_thaw(m->en, group);
        m->state.status = RECORD_RUNNING;
        return -1;
    }
    // What it said until now is in the log before somebody hears that it stands still.
    struct err ignored;
    for (int i = 0; i < LOG_STREAMS; i++)
        if (relay_hungry(&m->relay, i)) relay_read(&m->relay, i, false, &ignored);
    record_event(m->en, m->config, "pause", NULL);
    return 0;
}

void monitor_resume(struct monitor *m)
{
    sandbox_cgroup_thaw(m->en, m->box.cgroup);
    m->state.status = RECORD_RUNNING;
    monitor_note(m);
    record_event(m->en, m->config, "unpause", NULL);
}
