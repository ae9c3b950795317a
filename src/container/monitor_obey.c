// SPDX-License-Identifier: Apache-2.0
// What a monitor is asked for over its socket (message.h), and what it answers.
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "base/own.h"
#include "base/signals.h"
#include "container/life.h"
#include "container/monitor.h"
#include "container/relay.h"
#include "container/start.h"
#include "record/message.h"
#include "record/state.h"
#include "sandbox/cgroup.h"
#include "sandbox/parse.h"
#include "sandbox/sandbox.h"

#define SECOND ((int64_t)1000000000)

void monitor_signal_program(struct monitor *m, int sig)
{
    if (m->alive) proc_kill(&m->box.proc, sig);
}

static int own_stop_signal(const struct monitor *m)
{
    int sig = m->config->stop_signal ? signals_number(sv_of(m->config->stop_signal)) : SIGTERM;
    return sig > 0 ? sig : SIGTERM;
}

static int do_signal(struct monitor *m, const struct record_message *msg, struct err *e)
{
    char number[16];
    if (msg->value < 1 || msg->value > 64)
        return err_set(e, ERR_USAGE, "invalid signal: %d", msg->value);
    if (!m->alive) return err_set(e, ERR_CONFLICT, "container %.12s is not running", m->record->id);
    if (msg->value == SIGKILL || msg->value == own_stop_signal(m)) m->state.stopped = true;
    if (msg->value == SIGKILL && m->state.status == RECORD_PAUSED) monitor_resume(m);
    monitor_signal_program(m, msg->value);
    snprintf(number, sizeof number, "%d", msg->value);
    monitor_event(m, "kill", (const char *const[]){"signal", number, NULL});
    return 0;
}

static void begin_stop(struct monitor *m, int sig, int64_t timeout)
{
    char number[16];
    m->state.stopped = true;
    if (!m->alive) { // between two starts: there will be none
        m->restart_at = MONITOR_NEVER;
        return;
    }
    if (sig <= 0) sig = own_stop_signal(m);
    if (timeout < -1) timeout = m->config->stop_timeout;
    if (timeout < 0 && m->config->stop_timeout < 0) timeout = RECORD_STOP_TIMEOUT;
    if (m->state.status == RECORD_PAUSED) monitor_resume(m);
    snprintf(number, sizeof number, "%d", sig);
    monitor_event(m, "kill", (const char *const[]){"signal", number, NULL});
    monitor_signal_program(m, sig);
    int64_t at = timeout < 0 ? MONITOR_NEVER : clock_mono_ns() + timeout * SECOND;
    if (!m->stopping || at < m->kill_at) m->kill_at = at;
    m->stopping = true;
}

// The machine goes down: the program is stopped in good order, but nobody stopped it for good.
void monitor_go_down(struct monitor *m)
{
    bool stopped = m->state.stopped;
    begin_stop(m, 0, -2);
    m->state.stopped = stopped;
    m->going_down = true;
}

static int do_attach(struct monitor *m, struct relay_peer *p, const struct record_message *msg,
                     struct err *e)
{
    int fds[MESSAGE_FDS];
    if (m->direct) {
        err_set(e, ERR_UNSUPPORTED,
                "container %.12s writes straight to where it was started; nobody can attach",
                m->record->id);
        return err_hint(e, "that is so for 'run --rm' in the foreground without -t; with a "
                           "--log-driver it can be attached to");
    }
    int given = relay_attach(&m->relay, p, msg->value, fds, e);
    if (given < 0) return -1;
    struct record_message reply = {.kind = MESSAGE_OK, .value = given};
    int rc = record_message_send(p->sock, &reply, fds);
    for (int i = 0; i < MESSAGE_FDS; i++) own_fd(&fds[i]);
    if (rc < 0) monitor_drop_peer(p);
    monitor_event(m, "attach", NULL);
    return 1;
}

static bool limits_differ(const struct record_config *a, const struct record_config *b)
{
    const char *const texts[][2] = {{a->cpuset_cpus, b->cpuset_cpus},
                                    {a->cpuset_mems, b->cpuset_mems}};
    for (size_t i = 0; i < 2; i++)
        if (strcmp(texts[i][0] ? texts[i][0] : "", texts[i][1] ? texts[i][1] : "") != 0)
            return true;
    return a->memory != b->memory || a->memory_swap != b->memory_swap ||
           a->cpu_shares != b->cpu_shares || a->nano_cpus != b->nano_cpus ||
           a->pids_limit != b->pids_limit || a->memory_reservation != b->memory_reservation ||
           a->cpu_rt_period != b->cpu_rt_period || a->cpu_rt_runtime != b->cpu_rt_runtime ||
           a->cpu_quota != b->cpu_quota || a->cpu_period != b->cpu_period ||
           a->blkio_weight != b->blkio_weight;
}

static int change_limits(struct monitor *m, struct err *e)
{
    own(sandbox_spec) struct sandbox_spec s = {.rootfs_fd = -1};
    if (container_start_spec(m->en, m->config, &s, e) < 0) return -1;
    const char *mode = m->config->pid_mode;
    bool own_pids = !mode || !mode[0] || strcmp(mode, "private") == 0;
    int rc = sandbox_cgroup_update(m->en, m->box.cgroup, sizeof m->box.cgroup,
                                   own_pids ? m->box.proc.pid : 0, &s, e);
    // Whatever was made goes with the container.
    snprintf(m->state.cgroup, sizeof m->state.cgroup, "%s", m->box.cgroup);
    monitor_note(m);
    return rc;
}

static int do_reload(struct monitor *m, struct err *e)
{
    struct record_config c;
    if (record_config_load(m->en, m->record->id, &c, e) < 0) return -1;
    bool limits = m->alive && limits_differ(m->config, &c);
    record_config_fini(m->config);
    *m->config = c;
    snprintf(m->record->name, sizeof m->record->name, "%s", c.brief.name);
    m->record->named = sandbox_parse_name_ok(c.brief.name);
    return limits ? change_limits(m, e) : 0;
}

static int do_resize(struct monitor *m, const struct record_message *msg, struct err *e)
{
    struct winsize w = {.ws_row = (unsigned short)msg->value, .ws_col = (unsigned short)msg->extra};
    if (!m->relay.tty || m->relay.in < 0)
        return err_set(e, ERR_CONFLICT, "container %.12s has no terminal", m->record->id);
    if (ioctl(m->relay.in, TIOCSWINSZ, &w) != 0) return err_sys(e, "set the terminal's size");
    own(free) char *height = str_fmt("%hu", w.ws_row);
    own(free) char *width = str_fmt("%hu", w.ws_col);
    monitor_event(m, "resize", (const char *const[]){"height", height, "width", width, NULL});
    return 0;
}

// 1: answered already, or later.
static int obey(struct monitor *m, struct relay_peer *p, const struct record_message *msg,
                struct err *e)
{
    switch (msg->kind) {
    case MESSAGE_SIGNAL:
        return do_signal(m, msg, e);
    case MESSAGE_STOP:
        begin_stop(m, msg->value, msg->extra);
        p->stops = true;
        return 1;
    case MESSAGE_DOWN:
        monitor_go_down(m);
        p->stops = true;
        return 1;
    case MESSAGE_PAUSE:
        return monitor_pause(m, e);
    case MESSAGE_UNPAUSE:
        if (m->state.status != RECORD_PAUSED)
            return err_set(e, ERR_CONFLICT, "Container %.12s is not paused", m->record->id);
        monitor_resume(m);
        return 0;
    case MESSAGE_ATTACH:
        return do_attach(m, p, msg, e);
    case MESSAGE_RESIZE:
        return do_resize(m, msg, e);
    case MESSAGE_WAIT:
        p->waits = true;
        p->waits_any = msg->value == 1;
        return 0;
    case MESSAGE_RELOAD:
        return do_reload(m, e);
    case MESSAGE_STARTED:
    case MESSAGE_OK:
    case MESSAGE_FAILED:
    case MESSAGE_ENDED:
    case MESSAGE_EXITED:
    case MESSAGE_BEHIND:
    case MESSAGE_COUNT:
        break;
    }
    return err_set(e, ERR_INTERNAL, "a monitor does not take '%s'",
                   record_message_kind_name(msg->kind));
}

void monitor_hear(struct monitor *m, struct relay_peer *p)
{
    struct record_message msg;
    struct err e = {0};
    int rc = record_message_receive(p->sock, &msg, NULL);
    if (rc < 0) return;
    if (rc == 0) {
        monitor_drop_peer(p);
        return;
    }
    rc = obey(m, p, &msg, &e);
    if (rc <= 0 && p->sock >= 0) monitor_answer(p, rc, &e, NULL);
}
