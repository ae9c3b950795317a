// SPDX-License-Identifier: Apache-2.0
// The monitor: one small process beside every container, so that no daemon is needed. Role: its own
// session and a subreaper, with the engine's namespaces and privileges; it holds the container's
// lock (inherited) and, with -t, the pty's master, so that neither a closed terminal nor a dead
// client ends the program. It starts the program, passes signals on, waits, writes how it ended and
// removes what --rm asks for. When the monitor is killed the kernel kills the program with it.
//
//   client           monitor            program
//     | fork           |                   |
//     |--------------->| sandbox_start     |
//     |   STARTED(pty) |------------------>|
//     |<---------------|                   |
//     |   SIGNAL n     |  kill             |
//     |--------------->|------------------>|
//     |                |<------ exit ------|
//     |   ENDED code   | exit file, --rm   |
//     |<---------------|                   x
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"
#include "runtime/record.h"

int message_send(int fd, const struct message *m, int pass_fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct message copy = *m;
    struct iovec io = {&copy, sizeof copy};
    struct msghdr h = {.msg_iov = &io, .msg_iovlen = 1};
    if (pass_fd >= 0) {
        h.msg_control = control.bytes;
        h.msg_controllen = sizeof control.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &pass_fd, sizeof pass_fd);
    }
    ssize_t n;
    do n = sendmsg(fd, &h, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof copy ? 0 : -1;
}

int message_receive(int fd, struct message *m, int *out_fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec io = {m, sizeof *m};
    struct msghdr h = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    ssize_t n;
    do n = recvmsg(fd, &h, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof *m || (unsigned)m->kind >= MESSAGE_COUNT) return 0;
    struct cmsghdr *c = CMSG_FIRSTHDR(&h);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(out_fd, CMSG_DATA(c), sizeof *out_fd);
    return 1;
}

// The program has its own copies: ours would keep a reader of our output waiting for ever.
static void drop_stdio(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) return;
    for (int i = 0; i < 3; i++) dup2(null, i);
    if (null > 2) close(null);
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

// What our caller left open (a shell's pipes) is not ours to hold for as long as the program runs.
static void close_others(const struct monitor *m, const struct runtime_sandbox *box)
{
    int keep[] = {m->en->store_fd,      m->en->run_fd, m->record->fd, m->record->state_fd,
                  m->sock, m->spec->ids.lock_fd, box->proc.fd, box->pty_fd, 2};
    size_t n = sizeof keep / sizeof *keep;
    qsort(keep, n, sizeof *keep, by_number);
    for (size_t i = 0; i < n; i++) {
        unsigned from = keep[i] < 2 ? 3 : (unsigned)keep[i] + 1;
        unsigned to = i + 1 < n ? (unsigned)keep[i + 1] : ~0U;
        if (keep[i] >= 2 && from < to) close_range(from, i + 1 < n ? to - 1 : ~0U, 0);
    }
}

static void drain(int fd)
{
    char buf[4096];
    ssize_t n = read(fd, buf, sizeof buf);
    (void)n;
}

static void reap_others(pid_t init)
{
    siginfo_t si;
    // With the host's pid namespace the program's orphans become ours. Init itself is waited for
    // last.
    for (;;) {
        si.si_pid = 0;
        if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) != 0 || si.si_pid == 0 ||
            si.si_pid == init)
            return;
        waitid(P_PID, (id_t)si.si_pid, &si, WEXITED | WNOHANG);
    }
}

// Until init has ended. A client that goes away is no reason to stop; its terminal's output is then
// thrown away, so that the program never blocks on it.
static void watch(struct monitor *m, struct runtime_sandbox *box)
{
    bool client = true;
    for (;;) {
        struct pollfd p[3] = {
            {.fd = box->proc.fd, .events = POLLIN},
            {.fd = client ? m->sock : -1, .events = POLLIN},
            {.fd = client ? -1 : box->pty_fd, .events = POLLIN},
        };
        if (poll(p, 3, m->spec->host_pid ? 1000 : -1) < 0 && errno != EINTR) return;
        if (m->spec->host_pid) reap_others(box->proc.pid);
        if (p[0].revents) return;
        if (p[1].revents) {
            struct message msg;
            int fd = -1;
            client = message_receive(m->sock, &msg, &fd) == 1;
            own_fd(&fd);
            if (client && msg.kind == MESSAGE_SIGNAL) proc_kill(&box->proc, msg.value);
        }
        if (p[2].revents & POLLIN) drain(box->pty_fd);
        if (p[2].revents == POLLHUP) close(take_fd(box->pty_fd));
    }
}

static int start(struct monitor *m, struct runtime_sandbox *box, struct err *e)
{
    struct runtime_stdio io = {m->interactive ? 0 : -1, 1, 2};
    if (runtime_sandbox_start(m->en, m->spec, &io, NULL, box, e) < 0) return -1;
    // The root is held by the container alone from here on, so that it is gone when that ends.
    if (m->spec->rootfs_fd >= 0) close(take_fd(m->spec->rootfs_fd));
    if (m->spec->ids.userns_fd > 2) close(take_fd(m->spec->ids.userns_fd));
    vec_each (mount, &m->spec->mounts)
        if (mount->source_fd > 2) close(take_fd(mount->source_fd));
    return record_state(m->record, box->proc.pid, e);
}

// While somebody holds the mount namespace, the program's death does not take it down. Unmounting
// waits for RCU, and nobody who waits for the exit code should: we let go once that is delivered.
static int hold_mounts(pid_t init)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", (int)init);
    struct err ignored;
    return fs_open(path, O_RDONLY, 0, &ignored);  // -1 is as good, only slower
}

_Noreturn void monitor_run(struct monitor *m)
{
    setsid();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NAME, "dewar-monitor");
    struct message msg = {.kind = MESSAGE_STARTED};
    struct runtime_sandbox box;
    if (start(m, &box, &msg.err) < 0) {
        msg.kind = MESSAGE_FAILED;
        record_end(m->en, m->record, true);
        message_send(m->sock, &msg, -1);
        record_purge(m->en, m->record);
        _exit(1);
    }
    drop_stdio();
    close_others(m, &box);
    message_send(m->sock, &msg, box.pty_fd);
    int mounts = hold_mounts(box.proc.pid);
    watch(m, &box);
    struct message end = {.kind = MESSAGE_ENDED};
    bool oom = false;
    struct err ignored;
    if (runtime_sandbox_wait(&box, &end.value, &oom, &end.err) < 0) end.value = 125;
    record_exit(m->record, end.value, oom, &ignored);
    record_end(m->en, m->record, false);
    message_send(m->sock, &end, -1);
    own_fd(&mounts);
    if (m->record->rm) record_purge(m->en, m->record);
    _exit(0);
}
