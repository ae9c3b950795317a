// SPDX-License-Identifier: Apache-2.0
// Theory: one process, one poll loop. Each connection of the step (a peer) has one of its own to the
// agent and two ways: up go whole requests, looked at first; down go the agent's answers as they are.
// A way has a buffer that is either filled or drained, so nobody who does not read holds up another.
// A request that is refused goes on as a message of a type that no agent knows: the agent answers
// that with its "failure", in its place among the other answers.
//
// The process is a fork of the stage's worker, with the caller's ids: an agent asks who connects. It
// keeps its two sockets and closes everything else, above all the locks and pipes whose end somebody
// waits for.
#include "build/agent.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"

#define PEERS 32             // others wait
#define REQUEST_MAX 262144u  // as OpenSSH's agent has it
#define ANSWER_CHUNK 65536u
#define CONNECT_SECONDS 2

// Message types of the agent protocol.
enum { LIST_KEYS = 11, SIGN = 13 };

struct way {
    unsigned char *buf;
    size_t n, sent;  // being filled up to n; with `full` drained from sent to n
    bool full, ended;
};
struct peer {
    int step, agent;  // -1: this row is free
    struct way up, down;
};
struct relay {
    int listener, agent;
    struct peer peers[PEERS];
};

static void drop(struct peer *p)
{
    close(p->step);
    close(p->agent);
    free(p->up.buf);
    free(p->down.buf);
    *p = (struct peer){.step = -1, .agent = -1};
}

static int reach_agent(int agent)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = CONNECT_SECONDS};
    own(fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d", agent);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
        connect(fd, (struct sockaddr *)&a, sizeof a) != 0)
        return -1;
    return take_fd(fd);
}

static void take_peer(struct relay *r)
{
    struct peer *p = r->peers;
    while (p < r->peers + PEERS && p->step >= 0) p++;
    own(fd) int step = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC);
    own(fd) int agent = step < 0 ? -1 : reach_agent(r->agent);
    if (agent < 0 || p == r->peers + PEERS) return;
    *p = (struct peer){.step = take_fd(step), .agent = take_fd(agent)};
    p->up.buf = mem_alloc(4 + REQUEST_MAX);
    p->down.buf = mem_alloc(ANSWER_CHUNK);
}

static size_t length_of(const unsigned char *b)
{
    return (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
}

// A whole request: what it asks for, or nothing that an agent knows.
static void judge(struct way *w)
{
    static const unsigned char nothing[] = {0, 0, 0, 1, 0};
    unsigned char type = w->n > 4 ? w->buf[4] : 0;
    w->full = true;
    if (type == LIST_KEYS || type == SIGN) return;
    memcpy(w->buf, nothing, sizeof nothing);
    w->n = sizeof nothing;
}

// -1: the connection is of no use any more.
static int fill_up(struct peer *p)
{
    struct way *w = &p->up;
    size_t whole = w->n < 4 ? 4 : 4 + length_of(w->buf);
    ssize_t n = recv(p->step, w->buf + w->n, whole - w->n, MSG_DONTWAIT);
    if (n < 0) return errno == EINTR || errno == EAGAIN ? 0 : -1;
    if (n == 0) {
        w->ended = true;  // it may still read
        return w->n ? -1 : shutdown(p->agent, SHUT_WR);
    }
    w->n += (size_t)n;
    if (w->n < 4) return 0;
    whole = 4 + length_of(w->buf);
    if (whole > 4 + REQUEST_MAX) return -1;
    if (w->n == whole) judge(w);
    return 0;
}

static int fill_down(struct peer *p)
{
    ssize_t n = recv(p->agent, p->down.buf, ANSWER_CHUNK, MSG_DONTWAIT);
    if (n < 0) return errno == EINTR || errno == EAGAIN ? 0 : -1;
    if (n == 0) return -1;
    p->down.n = (size_t)n;
    p->down.full = true;
    return 0;
}

static int drain(struct way *w, int to)
{
    ssize_t n = send(to, w->buf + w->sent, w->n - w->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) return errno == EINTR || errno == EAGAIN ? 0 : -1;
    w->sent += (size_t)n;
    if (w->sent < w->n) return 0;
    w->n = w->sent = 0;
    w->full = false;
    return 0;
}

// What is waited for on each side; a descriptor with nothing to wait for is left out, or its hang-up
// would wake us without end.
static void want(const struct peer *p, struct pollfd fds[2])
{
    bool from_step = !p->up.full && !p->up.ended;
    short step = (short)((from_step ? POLLIN : 0) | (p->down.full ? POLLOUT : 0));
    short agent = (short)((p->down.full ? 0 : POLLIN) | (p->up.full ? POLLOUT : 0));
    fds[0] = (struct pollfd){.fd = step ? p->step : -1, .events = step};
    fds[1] = (struct pollfd){.fd = agent ? p->agent : -1, .events = agent};
}

static int serve_peer(struct peer *p, const struct pollfd fds[2])
{
    if (fds[0].revents && !p->up.full && !p->up.ended && fill_up(p) < 0) return -1;
    if (fds[1].revents && p->up.full && drain(&p->up, p->agent) < 0) return -1;
    if (fds[1].revents && !p->down.full && fill_down(p) < 0) return -1;
    if (fds[0].revents && p->down.full && drain(&p->down, p->step) < 0) return -1;
    return 0;
}

static int serve(struct relay *r, struct err *e)
{
    struct pollfd fds[1 + 2 * PEERS];
    for (;;) {
        size_t busy = 0;
        for (size_t i = 0; i < PEERS; i++) {
            struct peer *p = &r->peers[i];
            fds[1 + 2 * i] = fds[2 + 2 * i] = (struct pollfd){.fd = -1};
            if (p->step >= 0) want(p, fds + 1 + 2 * i);
            busy += p->step >= 0;
        }
        fds[0] = (struct pollfd){.fd = busy < PEERS ? r->listener : -1, .events = POLLIN};
        if (poll(fds, 1 + 2 * PEERS, -1) < 0) {
            if (errno == EINTR) continue;
            return err_sys(e, "poll");
        }
        for (size_t i = 0; i < PEERS; i++) {
            struct peer *p = &r->peers[i];
            if (p->step >= 0 && serve_peer(p, fds + 1 + 2 * i) < 0) drop(p);
        }
        if (fds[0].revents) take_peer(r);
    }
}

static void close_others(int a, int b)
{
    unsigned low = (unsigned)(a < b ? a : b), high = (unsigned)(a < b ? b : a);
    if (low > 3) close_range(3, low - 1, 0);
    if (high > low + 1) close_range(low + 1, high - 1, 0);
    close_range(high + 1, ~0U, 0);
}

static int relay_main(void *arg, struct err *e)
{
    struct relay *r = arg;
    close_others(r->listener, r->agent);
    for (size_t i = 0; i < PEERS; i++) r->peers[i] = (struct peer){.step = -1, .agent = -1};
    return serve(r, e);
}

int build_agent_start(const struct build_agent *a, int dir, const char *name,
                      struct proc_worker *out, struct err *e)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    own(fd) int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    snprintf(at.sun_path, sizeof at.sun_path, "/proc/self/fd/%d/%s", dir, name);
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) != 0 ||
        listen(listener, PEERS) != 0)
        return err_sys(e, "make a socket for the ssh agent");
    if (fchownat(dir, name, a->uid, a->gid, AT_SYMLINK_NOFOLLOW) != 0 ||
        fchmodat(dir, name, a->mode, 0) != 0) {
        int code = errno;
        err_sys(e, "give the ssh agent's socket to %u:%u", a->uid, a->gid);
        if (code == EINVAL) err_hint(e, "the id is outside the ranges of /etc/subuid and /etc/subgid");
        return -1;
    }
    struct relay r = {.listener = listener, .agent = a->fd};
    return proc_worker_start(relay_main, &r, out, e);
}

void build_agent_stop(struct proc_worker *w)
{
    struct err killed;
    proc_kill(&w->proc, SIGKILL);
    proc_worker_wait(w, &killed);
}
