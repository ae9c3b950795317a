// SPDX-License-Identifier: Apache-2.0
// The monitor: how it is started, and its own state for its parts (monitor.c, pause.c, health.c).
#pragma once

#include "container/health.h"
#include "container/relay.h"
#include "record/record.h"
#include "sandbox/sandbox.h"

struct monitor_options {
    struct engine *en;
    struct record_config *config;
    struct sandbox_spec *spec; // of the first start
    struct record *record;
    int sock;    // to the starter
    int attach;  // MESSAGE_IN | OUT | ERR: what the starter wants, before the start
    bool direct; // the program has the starter's own stdin, stdout and stderr
};
_Noreturn void monitor_run(const struct monitor_options *o);

struct monitor {
    struct engine *en;
    struct record_config *config;
    struct record *record;
    struct record_state state;
    struct sandbox box;
    struct relay relay;
    struct health health;
    bool direct;     // the program has its starter's own stdin, stdout and stderr
    bool alive;      // the program runs
    bool stopping;   // by a request; KILL follows at kill_at
    bool going_down; // the machine does
    bool asleep;     // nothing has happened for a while
    int listen_fd, signal_fd, ids_lock, mounts_fd;
    int64_t started_mono, kill_at, restart_at, delay;
};
void monitor_note(struct monitor *m); // writes the live state
// pause.c: the freezer's control group, made when it is first wanted.
int monitor_pause(struct monitor *m, struct err *e);
void monitor_resume(struct monitor *m);
// health.c. `ended`: the probe's process has.
void monitor_health_begin(struct monitor *m);
void monitor_health_turn(struct monitor *m, bool ended);
void monitor_health_end(struct monitor *m);

// --- between monitor.c and monitor_obey.c -------------------------------------------------------

#define MONITOR_NEVER INT64_MAX
void monitor_signal_program(struct monitor *m, int sig);
// The machine goes down: the program is stopped in good order, but nobody stopped it for good.
void monitor_go_down(struct monitor *m);
void monitor_hear(struct monitor *m, struct relay_peer *p);
void monitor_drop_peer(struct relay_peer *p);
void monitor_answer(struct relay_peer *p, int rc, const struct err *e, const int *fds);
void monitor_event(struct monitor *m, const char *action, const char *const *more);
