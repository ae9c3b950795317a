// SPDX-License-Identifier: Apache-2.0
// The monitor: one small process beside every container, so that no daemon is needed. Role: its own
// session and a subreaper, with the engine's namespaces and privileges; it holds the container's
// locks (inherited), its terminal or pipes, the log and the socket, so that neither a closed
// terminal nor a dead client ends the program. It starts the program, relays, obeys, starts it
// again where the restart policy says so, writes how it ended and removes what --rm asks for. When
// the monitor is killed the kernel kills the program with it, and the next command settles the
// record (record.c).
//
//   starter          monitor              program        others
//     | fork           |                     |             |
//     |--------------->| sandbox_start       |             |
//     |  STARTED(fds)  |-------------------->|             |
//     |<---------------|<------- output -----|             |
//     |   SIGNAL n     |  kill               |   connect   |
//     |--------------->|-------------------->|  STOP, ...  |
//     |                |<--------------------+-------------|
//     |                |<------ exit --------|             |
//     |   ENDED code   | state, --rm         x   ENDED     |
//     |<---------------|---------------------------------->|
//
// States: running <-> paused, running -> restarting -> running, and from each to exited. One
// thread, one poll; nothing waits but for the kernel. What happens between two polls is decided
// here alone.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "container/health.h"
#include "container/monitor.h"
#include "container/relay.h"
#include "container/restart.h"
#include "container/start.h"
#include "record/events.h"
#include "record/log.h"
#include "record/message.h"
#include "record/record.h"
#include "record/state.h"
#include "sandbox/sandbox.h"
#include "volume/claim.h"

// --- the socket --------------------------------------------------------------------------------

static int listen_there(struct monitor *m, struct err *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/sock", m->record->run_fd);
    own(fd) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return err_sys(e, "make a socket");
    if (bind(fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(fd, 64) != 0)
        return err_sys(e, "listen for commands");
    m->listen_fd = take_fd(fd);
    return 0;
}

static void accept_peers(struct monitor *m)
{
    for (;;) {
        int fd = accept4(m->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) return;
        if (!relay_add(&m->relay, fd)) close(fd);
    }
}

void monitor_drop_peer(struct relay_peer *p)
{
    relay_detach(p);
    own_fd(&p->sock);
    p->sock = -1;
}

void monitor_answer(struct relay_peer *p, int rc, const struct err *e, const int *fds)
{
    struct record_message m = {.kind = rc < 0 ? MESSAGE_FAILED : MESSAGE_OK};
    if (rc < 0) m.err = *e;
    if (record_message_send(p->sock, &m, fds) < 0) monitor_drop_peer(p);
}

void monitor_event(struct monitor *m, const char *action, const char *const *more)
{
    record_event(m->en, m->config, action, more);
}

void monitor_note(struct monitor *m)
{
    struct err ignored;
    record_live(m->record, &m->state, &ignored);
}

// --- starting ----------------------------------------------------------------------------------

static int start_program(struct monitor *m, struct sandbox_spec *spec, struct err *e)
{
    struct sandbox_stdio io = {-1, -1, -1};
    struct relay *r = &m->relay;
    r->tty = m->config->tty;
    r->in_once = m->config->stdin_once;
    if (m->direct) {
        io = (struct sandbox_stdio){m->config->interactive ? 0 : -1, 1, 2};
    } else if (!r->tty && relay_pipes(r, m->config->interactive, &io, e) < 0) {
        return -1;
    }
    own(strv) struct strv stubs = {0};
    struct err ignored;
    int rc = sandbox_start(m->en, spec, &io, &stubs, &m->box, e);
    // Without the note `diff` shows a folder too many: no reason to stop.
    if (stubs.n) record_add_stubs(m->record->fd, &stubs, &ignored);
    int *ends[] = {&io.in, &io.out, &io.err};
    for (int i = 0; i < 3 && !m->direct; i++) own_fd(ends[i]);
    if (rc < 0) {
        relay_close_program(r);
        return -1;
    }
    if (r->tty) {
        r->in = take_fd(m->box.pty_fd);
        fcntl(r->in, F_SETFL, O_NONBLOCK);
        r->stream[0].fd = fcntl(r->in, F_DUPFD_CLOEXEC, 3);
    }
    // The root is held by the container alone from here on, so that it is gone when that ends.
    m->ids_lock = take_fd(spec->ids.lock_fd);
    sandbox_spec_fini(spec);
    m->alive = true;
    return 0;
}

static void program_gone(struct monitor *m)
{
    relay_close_program(&m->relay);
    own_fd(&m->ids_lock);
    m->ids_lock = -1;
    m->alive = false;
    m->state.pid = 0;
    m->state.pid_start = 0;
}

// A program that no file tells of could be neither found nor stopped: where it cannot be noted, it
// does not run.
static int note_start(struct monitor *m, struct err *e)
{
    struct err ignored;
    struct record_state *s = &m->state;
    int64_t before = s->started;
    s->status = RECORD_RUNNING;
    s->pid = m->box.proc.pid;
    proc_start_time(s->pid, &s->pid_start);
    s->monitor = getpid();
    if (!s->boot[0]) clock_boot_id(s->boot, &ignored);
    s->started = clock_real_ns();
    s->finished = 0;
    s->code = 0;
    s->oom = false;
    s->error[0] = '\0';
    snprintf(s->cgroup, sizeof s->cgroup, "%s", m->box.cgroup);
    m->started_mono = clock_mono_ns();
    monitor_health_begin(m);
    // That it was started must outlive a reboot: for the policies, and to say how it ended.
    if (record_live(m->record, s, e) < 0 || record_settle(m->record, s, e) < 0) {
        s->started = before;
        return err_wrap(e, "noting the start of container %.12s", m->record->id);
    }
    volume_events(m->en, m->config, "mount");
    monitor_event(m, "start", NULL);
    return 0;
}

// What was begun and must not go on. Its end is nobody's exit status.
static void undo_start(struct monitor *m)
{
    struct err ignored;
    int code;
    monitor_health_end(m);
    proc_kill(&m->box.proc, SIGKILL);
    sandbox_wait(&m->box, &code, NULL, &ignored);
    program_gone(m);
}

// What our caller left open (a shell's pipes) is not ours to hold for as long as the program runs.
static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void close_others(const struct monitor *m)
{
    int keep[] = {m->en->store_fd,
                  m->en->run_fd,
                  m->record->fd,
                  m->record->run_fd,
                  m->relay.peers.p[0].sock,
                  m->relay.peers.p[0].out[0],
                  m->relay.peers.p[0].out[1],
                  m->ids_lock,
                  m->box.proc.fd,
                  m->relay.in,
                  m->relay.stream[0].fd,
                  m->relay.stream[1].fd,
                  m->relay.log.dir,
                  m->relay.log.fd,
                  m->listen_fd,
                  m->signal_fd,
                  2};
    size_t n = sizeof keep / sizeof *keep;
    qsort(keep, n, sizeof *keep, by_number);
    for (size_t i = 0; i < n; i++) {
        unsigned from = keep[i] < 2 ? 3 : (unsigned)keep[i] + 1;
        unsigned to = i + 1 < n ? (unsigned)keep[i + 1] : ~0U;
        if (keep[i] >= 2 && from < to) close_range(from, i + 1 < n ? to - 1 : ~0U, 0);
    }
}

// The program has its own copies: ours would keep a reader of our output waiting for ever. The
// folder that our caller stood in is not ours to hold either.
static void drop_caller(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0)
        for (int i = 0; i < 3; i++) dup2(null, i);
    if (null > 2) close(null);
    if (chdir("/") != 0) return;
}

// While somebody holds the mount namespace, the program's death does not take it down. Unmounting
// waits for RCU, and nobody who waits for the exit code should: we let go once that is delivered.
static int hold_mounts(pid_t init)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", (int)init);
    struct err ignored;
    return fs_open(path, O_RDONLY, 0, &ignored); // -1 is as good, only slower
}

static void release_mounts(struct monitor *m)
{
    own_fd(&m->mounts_fd);
    m->mounts_fd = -1;
}

// --- the loop ----------------------------------------------------------------------------------

static void reap_others(pid_t init, pid_t probe)
{
    siginfo_t si;
    // With the host's pid namespace the program's orphans become ours. Init itself is waited for
    // last.
    for (;;) {
        si.si_pid = 0;
        if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) != 0 || si.si_pid == 0 ||
            si.si_pid == init || si.si_pid == probe)
            return;
        waitid(P_PID, (id_t)si.si_pid, &si, WEXITED | WNOHANG);
    }
}

static void take_signal(struct monitor *m)
{
    struct signalfd_siginfo si;
    while (read(m->signal_fd, &si, sizeof si) == (ssize_t)sizeof si) {
        if (si.ssi_signo == SIGCHLD) {
            reap_others(m->alive ? m->box.proc.pid : 0, m->health.probe.pid);
            continue;
        }
        monitor_go_down(m);
    }
}

static int64_t next_time(const struct monitor *m)
{
    int64_t at = m->kill_at < m->restart_at ? m->kill_at : m->restart_at;
    if (m->health.next_at < at) at = m->health.next_at;
    if (m->health.kill_at < at) at = m->health.kill_at;
    vec_each(p, &m->relay.peers)
    {
        int64_t until = p->stuck_since ? p->stuck_since + RELAY_PATIENCE : MONITOR_NEVER;
        if (!p->starter && until < at) at = until;
    }
    return at;
}

static int poll_timeout(const struct monitor *m)
{
    int64_t at = next_time(m);
    if (at == MONITOR_NEVER) return -1;
    int64_t left = at - clock_mono_ns();
    if (left <= 0) return 0;
    return left / 1000000 >= INT32_MAX ? INT32_MAX : (int)(left / 1000000) + 1;
}

enum {
    AT_INIT,
    AT_LISTEN,
    AT_SIGNAL,
    AT_PROBE,
    AT_PROBE_OUT,
    AT_STREAM,
    AT_PEERS = AT_STREAM + LOG_STREAMS
};
#define PER_PEER (1 + LOG_STREAMS)

static nfds_t fill_poll(const struct monitor *m, struct pollfd *f)
{
    f[AT_INIT] = (struct pollfd){m->alive ? m->box.proc.fd : -1, POLLIN, 0};
    f[AT_LISTEN] = (struct pollfd){m->listen_fd, POLLIN, 0};
    f[AT_SIGNAL] = (struct pollfd){m->signal_fd, POLLIN, 0};
    f[AT_PROBE] = (struct pollfd){m->health.probe.fd, POLLIN, 0};
    f[AT_PROBE_OUT] = (struct pollfd){m->health.out_fd, POLLIN, 0};
    for (int i = 0; i < LOG_STREAMS; i++)
        f[AT_STREAM + i] =
            (struct pollfd){relay_hungry(&m->relay, i) ? m->relay.stream[i].fd : -1, POLLIN, 0};
    nfds_t n = AT_PEERS;
    vec_each(p, &m->relay.peers)
    {
        f[n++] = (struct pollfd){p->sock, POLLIN, 0};
        for (int i = 0; i < LOG_STREAMS; i++)
            f[n++] = (struct pollfd){relay_behind(&m->relay, p, i) ? p->out[i] : -1, POLLOUT, 0};
    }
    return n;
}

static void log_trouble(struct monitor *m, const struct err *e)
{
    if (e->kind == ERR_NONE) return;
    snprintf(m->state.error, sizeof m->state.error, "the log is incomplete: %s", err_cause(e));
    monitor_note(m);
}

#define SLEEPY_MS 1000

// As poll(2). When nothing has happened for a while, the memory that the last events took is given
// back, once.
static int wait_events(struct monitor *m, struct pollfd *f, nfds_t n)
{
    int timeout = poll_timeout(m);
    bool tries = !m->asleep && (timeout < 0 || timeout > SLEEPY_MS);
    int rc = poll(f, n, tries ? SLEEPY_MS : timeout);
    if (rc > 0) m->asleep = false;
    if (rc != 0 || !tries) return rc;
    relay_shrink(&m->relay);
    proc_shrink();
    m->asleep = true;
    return 0;
}

// One look at everything. true: the program has ended.
static bool turn(struct monitor *m)
{
    static struct pollfd f[AT_PEERS + (RELAY_PEERS + 1) * PER_PEER];
    struct err log_err = {0};
    nfds_t n = fill_poll(m, f);
    if (wait_events(m, f, n) < 0 && errno != EINTR) return false;
    for (int i = 0; i < LOG_STREAMS; i++)
        if (f[AT_STREAM + i].revents) relay_read(&m->relay, i, false, &log_err);
    relay_flush(&m->relay, clock_mono_ns());
    log_trouble(m, &log_err);
    size_t peers = (n - AT_PEERS) / PER_PEER;
    for (size_t i = 0; i < peers; i++)
        if (f[AT_PEERS + i * PER_PEER].revents && m->relay.peers.p[i].sock >= 0)
            monitor_hear(m, &m->relay.peers.p[i]);
    if (f[AT_SIGNAL].revents) take_signal(m);
    if (f[AT_LISTEN].revents) accept_peers(m);
    relay_sweep(&m->relay);
    monitor_health_turn(m, f[AT_PROBE].revents != 0);
    if (m->stopping && m->alive && clock_mono_ns() >= m->kill_at) {
        monitor_signal_program(m, SIGKILL);
        m->kill_at = MONITOR_NEVER;
    }
    return m->alive && f[AT_INIT].revents;
}

// --- ends --------------------------------------------------------------------------------------

static void tell(struct monitor *m, enum record_message_kind kind, bool only_waits)
{
    struct record_message msg = {.kind = kind, .value = m->state.code, .extra = m->state.oom};
    vec_each(p, &m->relay.peers)
    {
        bool wants = kind == MESSAGE_ENDED ? p->starter || p->attached || p->waits : p->waits_any;
        if (!wants || p->sock < 0 || (only_waits && (p->starter || p->attached))) continue;
        record_message_send(p->sock, &msg, NULL);
        if (kind == MESSAGE_EXITED || only_waits) monitor_drop_peer(p);
    }
}

static void collect(struct monitor *m)
{
    struct err e = {0}, log_err = {0};
    char code[16];
    monitor_health_end(m);
    for (int i = 0; i < LOG_STREAMS; i++) relay_read(&m->relay, i, true, &log_err);
    record_log_writer_flush(&m->relay.log, clock_real_ns(), &log_err);
    if (sandbox_wait(&m->box, &m->state.code, &m->state.oom, &e) < 0) m->state.code = 125;
    program_gone(m);
    m->state.finished = clock_real_ns();
    log_trouble(m, &log_err);
    if (m->state.oom) monitor_event(m, "oom", NULL);
    snprintf(code, sizeof code, "%d", m->state.code);
    monitor_event(m, "die", (const char *const[]){"exitCode", code, NULL});
    volume_events(m->en, m->config, "unmount");
    volume_release(m->en, m->config);
    if (m->stopping) monitor_event(m, "stop", NULL);
}

// Until the pause is over or somebody stops us. true: start again.
static bool await_restart(struct monitor *m)
{
    if (m->going_down || !restart_wanted(m->config, &m->state)) return false;
    int64_t now = clock_mono_ns();
    m->delay = restart_delay(m->delay, now - m->started_mono);
    m->restart_at = now + m->delay;
    m->state.status = RECORD_RESTARTING;
    monitor_note(m);
    tell(m, MESSAGE_EXITED, false);
    while (m->restart_at != MONITOR_NEVER && clock_mono_ns() < m->restart_at) turn(m);
    bool again = m->restart_at != MONITOR_NEVER && !m->state.stopped && !m->going_down;
    m->restart_at = MONITOR_NEVER;
    return again;
}

// Those attached get the new terminal or stdin.
static void hand_on(struct monitor *m)
{
    vec_each(p, &m->relay.peers)
    {
        if (!p->attached || p->sock < 0 || m->relay.in < 0) continue;
        struct record_message msg = {.kind = MESSAGE_STARTED};
        int fds[MESSAGE_FDS] = {m->relay.in, -1, -1};
        record_message_send(p->sock, &msg, fds);
    }
}

static bool start_again(struct monitor *m)
{
    struct err e = {0};
    struct sandbox_spec spec = {.rootfs_fd = -1};
    m->state.restarts++;
    release_mounts(m);
    int rc = container_start_prepare(m->en, m->config, m->record, &spec, &e);
    if (rc == 0) rc = start_program(m, &spec, &e);
    sandbox_spec_fini(&spec);
    if (rc == 0 && (rc = note_start(m, &e)) < 0) undo_start(m);
    if (rc < 0) {
        m->state.code = e.kind == ERR_NO_PROGRAM ? 127 : e.kind == ERR_NOT_EXEC ? 126 : 125;
        snprintf(m->state.error, sizeof m->state.error, "%s", err_cause(&e));
        return false;
    }
    hand_on(m);
    return true;
}

static void finish(struct monitor *m)
{
    struct err ignored;
    if (!m->record->rm) release_mounts(m); // the next start mounts the same folders
    m->state.status = RECORD_EXITED;
    if (m->going_down && !m->state.stopped) record_state_went_down(&m->state);
    m->state.monitor = 0;
    m->state.cgroup[0] = '\0';
    record_settle(m->record, &m->state, &ignored);
    if (m->record->rm) monitor_event(m, "destroy", NULL);
    record_end(m->en, m->record, false);
    record_unlock(m->record);
    // Who waits or stops has it now; who is attached gets the rest of the output first.
    vec_each(p, &m->relay.peers) if (p->stops && p->sock >= 0) monitor_answer(p, 0, NULL, NULL);
    tell(m, MESSAGE_ENDED, true);
    close(take_fd(m->listen_fd));
    while (!relay_idle(&m->relay)) turn(m);
    relay_close_outputs(&m->relay);
    tell(m, MESSAGE_ENDED, false);
    release_mounts(m);
    record_sync(m->record);
    if (m->record->rm) record_purge(m->en, m->record);
}

static _Noreturn void fail_start(struct monitor *m, struct err *why)
{
    struct record_message msg = {.kind = MESSAGE_FAILED, .err = *why};
    struct err ignored;
    if (m->alive) undo_start(m);
    bool first = m->state.started == 0;
    m->state.code = why->kind == ERR_NO_PROGRAM ? 127 : why->kind == ERR_NOT_EXEC ? 126 : 128;
    m->state.status = first ? RECORD_CREATED : RECORD_EXITED;
    snprintf(m->state.error, sizeof m->state.error, "%s", err_cause(why));
    record_settle(m->record, &m->state, &ignored);
    record_end(m->en, m->record, false);
    record_unlock(m->record);
    record_message_send(m->relay.peers.p[0].sock, &msg, NULL);
    if (m->record->rm) record_purge(m->en, m->record);
    _exit(1);
}

static void prepare(struct monitor *m, const struct monitor_options *o)
{
    sigset_t all, wanted;
    struct err ignored;
    *m = (struct monitor){.en = o->en,
                          .config = o->config,
                          .record = o->record,
                          .direct = o->direct,
                          .listen_fd = -1,
                          .signal_fd = -1,
                          .ids_lock = -1,
                          .mounts_fd = -1,
                          .kill_at = MONITOR_NEVER,
                          .restart_at = MONITOR_NEVER};
    m->health = (struct health){
        .probe = PROC_NONE, .out_fd = -1, .next_at = MONITOR_NEVER, .kill_at = MONITOR_NEVER};
    m->relay.in = m->relay.stream[0].fd = m->relay.stream[1].fd = -1;
    m->relay.log = (struct record_log_writer){.dir = -1, .fd = -1};
    setsid();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NAME, "dewar-monitor");
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    if (o->config->pid_mode) sigaddset(&wanted, SIGCHLD);
    m->signal_fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
    if (!o->config->brief.rm) record_state_settle(m->en, m->record->id, &m->state);
    m->state.stopped = false;
    m->state.restarts = 0;
    struct relay_peer *starter = relay_add(&m->relay, o->sock);
    starter->starter = o->attach != 0;
    struct record_log_options log;
    if (o->direct || record_log_options_read(o->config, &log, &ignored) < 0) return;
    if (record_log_writer_open(&m->relay.log, &log, o->record->fd, &ignored) < 0)
        snprintf(m->state.error, sizeof m->state.error, "no log: %s", err_cause(&ignored));
    record_log_attrs(o->config, &m->relay.log.attrs, &ignored);
}

_Noreturn void monitor_run(const struct monitor_options *o)
{
    static struct monitor m;
    struct err e = {0};
    prepare(&m, o);
    struct record_message started = {.kind = MESSAGE_STARTED};
    int fds[MESSAGE_FDS] = {-1, -1, -1};
    if (listen_there(&m, &e) < 0 || start_program(&m, o->spec, &e) < 0 || note_start(&m, &e) < 0)
        fail_start(&m, &e);
    struct relay_peer *starter = &m.relay.peers.p[0];
    if (o->attach && !o->direct)
        started.value = relay_attach(&m.relay, starter, o->attach, fds, &e);
    if (started.value < 0) fail_start(&m, &e);
    record_message_send(starter->sock, &started, fds);
    for (int i = 0; i < MESSAGE_FDS; i++) own_fd(&fds[i]);
    drop_caller();
    close_others(&m);
    if (!o->attach) monitor_drop_peer(starter);
    record_sync(m.record);
    do {
        m.mounts_fd = hold_mounts(m.box.proc.pid);
        while (!turn(&m)) continue;
        collect(&m);
    } while (await_restart(&m) && start_again(&m));
    finish(&m);
    _exit(0);
}
