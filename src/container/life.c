// SPDX-License-Identifier: Apache-2.0
// The verbs that speak to a container that is there. What runs is asked through its monitor; where
// that does not answer (it was killed, or stopped) the process itself is found by its checked
// number, and the sweep settles the record, so that rm -f works whatever happened.
#include "container/life.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/own.h"
#include "base/signals.h"
#include "container/client.h"
#include "record/events.h"
#include "record/message.h"
#include "record/record.h"
#include "record/state.h"
#include "sandbox/cgroup.h"
#include "sandbox/parse.h"

#define PATIENCE 10 // seconds that a monitor has to answer what takes no time

static int read_signal(const char *text, int *out, struct err *e)
{
    *out = 0;
    if (!text || !text[0]) return 0;
    *out = signals_number(sv_of(text));
    return *out > 0 ? 0 : err_set(e, ERR_USAGE, "invalid signal: '%s'", text);
}

// A socket to the monitor; 0 and *out_fd -1 when the container does not run.
static int try_connect(struct engine *en, const char *id, int *out_fd, struct err *e)
{
    *out_fd = record_connect(en, id, e);
    if (*out_fd >= 0 || e->kind != ERR_CONFLICT) return *out_fd < 0 ? -1 : 0;
    err_clear(e);
    struct record_state s;
    if (record_sweep(en, e) < 0) return -1;
    return record_state_load(en, id, &s, e); // it must be there at all
}

static void limit_wait(int sock, int64_t seconds)
{
    struct timeval t = {.tv_sec = seconds};
    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
}

static int ask(struct engine *en, const char *id, struct record_message m, struct err *e)
{
    own(fd) int sock = record_connect(en, id, e);
    if (sock < 0) return -1;
    limit_wait(sock, PATIENCE);
    return record_message_ask(sock, &m, NULL, e);
}

int container_kill(struct engine *en, const char *id, const char *signal, struct err *e)
{
    struct record_message m = {.kind = MESSAGE_SIGNAL};
    if (read_signal(signal ? signal : "KILL", &m.value, e) < 0 || record_sweep(en, e) < 0)
        return -1;
    return ask(en, id, m, e);
}

int container_pause(struct engine *en, const char *id, bool resume, struct err *e)
{
    struct record_message m = {.kind = resume ? MESSAGE_UNPAUSE : MESSAGE_PAUSE};
    return record_sweep(en, e) < 0 ? -1 : ask(en, id, m, e);
}

// --- stop --------------------------------------------------------------------------------------

// A manual stop of what waits for its next start or does not run: noted, for boots to come.
static int note_stopped(struct engine *en, const char *id, struct err *e)
{
    struct record_state s;
    struct err ignored;
    own(fd) int dir = record_lock(en, id, &ignored);
    if (dir < 0) return 0; // it is being started, or removed
    record_state_settle(en, id, &s);
    if (s.stopped || s.status != RECORD_EXITED) return 0;
    s.stopped = true;
    own(str) struct str text = {0};
    record_state_print(&s, &text);
    return fs_atomic_write(dir, "state", str_sv(&text), 0600, e);
}

// The monitor does not answer: the program is killed, and the monitor with it.
static int stop_hard(struct engine *en, const char *id, struct err *e)
{
    struct record_state s;
    if (record_state_load(en, id, &s, e) < 0) return -1;
    if (!record_status_alive(s.status)) return 0;
    struct err ignored;
    if (s.status == RECORD_PAUSED) sandbox_cgroup_thaw(en, s.cgroup);
    own(fd) int init = record_state_open_init(&s, &ignored);
    if (init >= 0) syscall(SYS_pidfd_send_signal, init, SIGKILL, NULL, 0);
    uint64_t start;
    own(fd) int monitor = s.monitor ? (int)syscall(SYS_pidfd_open, s.monitor, 0) : -1;
    // Its parent is the program's: that it still is one proves the number.
    struct pollfd p = {.fd = monitor, .events = POLLIN};
    if (monitor >= 0 && proc_start_time(s.monitor, &start) == 0 && start <= s.pid_start) {
        if (poll(&p, 1, 2000) == 0) syscall(SYS_pidfd_send_signal, monitor, SIGKILL, NULL, 0);
        poll(&p, 1, 2000);
    }
    return record_sweep(en, e);
}

int container_stop(struct engine *en, const char *id, const char *signal, int64_t timeout,
                   struct err *e)
{
    struct record_message m = {.kind = MESSAGE_STOP, .extra = timeout};
    own(fd) int sock = -1;
    if (read_signal(signal, &m.value, e) < 0 || record_sweep(en, e) < 0 ||
        try_connect(en, id, &sock, e) < 0)
        return -1;
    if (sock < 0) return note_stopped(en, id, e);
    struct record_config c;
    if (timeout < -1 && record_config_load(en, id, &c, e) == 0) {
        timeout = c.stop_timeout >= 0 ? c.stop_timeout : RECORD_STOP_TIMEOUT;
        record_config_fini(&c);
    }
    if (timeout >= 0) limit_wait(sock, timeout + PATIENCE);
    struct record_message reply;
    record_message_send(sock, &m, NULL);
    int rc = record_message_receive(sock, &reply, NULL);
    if (rc == 1 && reply.kind == MESSAGE_FAILED) {
        *e = reply.err;
        return -1;
    }
    return rc == 1 ? 0 : stop_hard(en, id, e);
}

int container_restart(struct engine *en, const char *id, const char *signal, int64_t timeout,
                      struct err *e)
{
    struct record_config c;
    int code;
    if (container_stop(en, id, signal, timeout, e) < 0 ||
        container_start(en, id, NULL, &code, e) < 0 || record_config_load(en, id, &c, e) < 0)
        return -1;
    record_event(en, &c, "restart", NULL);
    record_config_fini(&c);
    return 0;
}

// --- wait --------------------------------------------------------------------------------------

static int wait_once(int sock, bool any, int *out_code, struct err *e)
{
    struct record_message m = {.kind = MESSAGE_WAIT, .value = any};
    if (record_message_send(sock, &m, NULL) < 0) return 1;
    for (;;) {
        if (record_message_receive(sock, &m, NULL) != 1) return 1;
        if (m.kind == MESSAGE_ENDED || m.kind == MESSAGE_EXITED) {
            *out_code = m.value;
            return 0;
        }
        if (m.kind != MESSAGE_FAILED) continue;
        *e = m.err;
        return -1;
    }
}

static int await_removal(struct engine *en, const char *id)
{
    struct err ignored;
    for (;;) {
        own(fd) int dir = record_dir(en, id, &ignored);
        if (dir < 0) return 0;
        // Seldom asked for: a look now and then is enough.
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
}

int container_wait(struct engine *en, const char *id, enum container_wait until, int *out_code,
                   struct err *e)
{
    for (int round = 0;; round++) {
        own(fd) int sock = -1;
        if (record_sweep(en, e) < 0 || try_connect(en, id, &sock, e) < 0) {
            return round && e->kind == ERR_NOT_FOUND ? 0 : -1;
        }
        if (sock >= 0) {
            int rc = wait_once(sock, until == CONTAINER_WAIT_NEXT_EXIT, out_code, e);
            if (rc < 0) return -1;
            if (rc == 0) return until == CONTAINER_WAIT_REMOVED ? await_removal(en, id) : 0;
            continue; // it ended, or its monitor was killed
        }
        struct record_state s;
        if (record_state_load(en, id, &s, e) < 0) return -1;
        if (record_status_alive(s.status)) continue;
        *out_code = s.code;
        if (until == CONTAINER_WAIT_REMOVED) return await_removal(en, id);
        if (until == CONTAINER_WAIT_NOT_RUNNING || round) return 0;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        round = -1; // a next exit needs a start first
    }
}

// --- remove, rename ----------------------------------------------------------------------------

static int removable(struct engine *en, const char *id, const struct container_remove_options *o,
                     struct err *e)
{
    struct record_state s;
    if (record_state_load(en, id, &s, e) < 0) return -1;
    if (!record_status_alive(s.status)) return 0;
    if (!o->force) {
        err_set(e, ERR_CONFLICT, "You cannot remove a %s container %s",
                record_status_name(s.status), id);
        return err_hint(e, "stop the container before attempting removal, or force it with -f");
    }
    if (container_stop(en, id, "KILL", PATIENCE, e) < 0) return stop_hard(en, id, e);
    return 0;
}

static void load_for_removal(struct engine *en, struct record *r, struct record_config *c)
{
    struct err ignored;
    if (record_config_load(en, r->id, c, &ignored) < 0) return;
    snprintf(r->name, sizeof r->name, "%s", c->brief.name);
    r->named = sandbox_parse_name_ok(c->brief.name);
}

// From here on whoever meets the container finishes the work: it is claimed like a running one, and
// marked. Volumes that are to stay are taken from its list first.
static int mark_removal(struct record *r, bool volumes, struct err *e)
{
    for (size_t i = 0; i < r->volumes.n && !volumes; i++) {
        own(free) char *note = str_fmt("v-%s", r->volumes.p[i]);
        unlinkat(r->fd, note, 0);
    }
    if (!volumes) strv_fini(&r->volumes);
    if (mknodat(r->fd, RECORD_MARK_REMOVING, S_IFREG | 0600, 0) == 0 || errno == EEXIST) return 0;
    return err_sys(e, "mark container %.12s for removal", r->id);
}

int container_remove(struct engine *en, const char *id, const struct container_remove_options *o,
                     struct err *e)
{
    struct record r = RECORD_NONE;
    own(record_config) struct record_config c = {0};
    if (record_sweep(en, e) < 0 || engine_enter(en, e) < 0) return -1;
    int rc = removable(en, id, o, e);
    if (rc == 0) rc = record_adopt(en, id, &r, e);
    if (rc == 0) {
        load_for_removal(en, &r, &c);
        rc = mark_removal(&r, o->volumes || c.brief.rm, e);
    }
    record_end(en, &r, rc == 0);
    if (rc < 0 && o->force && e->kind == ERR_NOT_FOUND) rc = 0; // --rm or a sweep was faster
    if (rc == 0 && c.brief.id[0]) record_event(en, &c, "destroy", NULL);
    if (rc == 0) record_purge(en, &r);
    record_close(&r);
    return rc;
}

struct renaming {
    struct engine *en;
    const char *name;
    struct record old;
    char old_name[RECORD_NAME];
};

static int rename_one(struct record_config *c, void *arg, struct err *e)
{
    struct renaming *n = arg;
    struct record r = RECORD_NONE;
    snprintf(r.id, sizeof r.id, "%s", c->brief.id);
    if (strcmp(c->brief.name, n->name) == 0)
        return err_set(e, ERR_USAGE, "renaming a container with the same name as its current name");
    if (record_name(n->en, &r, n->name, e) < 0) return -1;
    snprintf(n->old.id, sizeof n->old.id, "%s", c->brief.id);
    snprintf(n->old.name, sizeof n->old.name, "%s", c->brief.name);
    snprintf(c->brief.name, sizeof c->brief.name, "%s", n->name);
    return 0;
}

int container_rename(struct engine *en, const char *id, const char *name, struct err *e)
{
    struct renaming n = {en, record_plain_name(name), RECORD_NONE, ""};
    struct record_config c;
    if (!n.name) return err_set(e, ERR_INPUT, "the new name is empty");
    if (record_config_change(en, id, rename_one, &n, e) < 0) return -1;
    record_free_name(en, &n.old);
    if (record_config_load(en, id, &c, e) < 0) return -1;
    record_event(en, &c, "rename", (const char *const[]){"oldName", n.old.name, NULL});
    record_config_fini(&c);
    return 0;
}

// --- attach ------------------------------------------------------------------------------------

int container_attach(struct engine *en, const char *id, const struct container_attach_options *o,
                     int *out_code, struct err *e)
{
    struct record_state s;
    own(record_config) struct record_config c = {0};
    if (record_sweep(en, e) < 0 || record_state_load(en, id, &s, e) < 0 ||
        record_config_load(en, id, &c, e) < 0)
        return -1;
    if (s.status == RECORD_PAUSED)
        return err_set(e, ERR_CONFLICT,
                       "You cannot attach to a paused container, unpause it first");
    if (s.status == RECORD_RESTARTING)
        return err_set(e, ERR_CONFLICT,
                       "You cannot attach to a restarting container, wait until it is running");
    if (s.status != RECORD_RUNNING)
        return err_set(e, ERR_CONFLICT, "You cannot attach to a stopped container, start it first");
    if (c.tty && c.interactive && !o->no_stdin && !isatty(0))
        return err_set(e, ERR_CONFLICT, "the input device is not a TTY");
    own(fd) int sock = record_connect(en, id, e);
    if (sock < 0) return -1;
    bool detached = false;
    struct client_options client = {.no_sig_proxy = o->no_sig_proxy || c.tty,
                                    .read_stdin = c.interactive && !o->no_stdin,
                                    .keys = o->keys,
                                    .tty = c.tty,
                                    .id = id,
                                    .detached = &detached};
    int rc = client_run(sock, false, &client, out_code, e);
    if (detached) record_event(en, &c, "detach", NULL);
    return rc;
}
