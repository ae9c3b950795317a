// SPDX-License-Identifier: Apache-2.0
// dewar-registry: the registry client as a program of its own, because it alone links libcurl and
// TLS, which no container start should pay for. Its standard input (or descriptor 3) is a
// SOCK_SEQPACKET socket; oci/transfer.h says what comes and goes there.
//
// It runs with the caller's ids and no more rights, reads only the caller's credential and
// configuration files and the descriptors it is given, and ends when the socket is closed or its
// parent dies. One poll loop; each request is a task (registry/task.h). Requests beyond RUNNING
// wait, and those beyond WAITING stay in the socket, so memory is bounded whatever is asked.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"
#include "registry/internal.h"

#define RUNNING 24
#define WAITING 1024
#define POLL_MS 1000

// A request on its way; also its answer until the socket takes it.
struct item {
    struct job job;
    struct item *next;
};
struct queue {
    struct item *first, **last;
    size_t n;
};
struct server {
    struct client client;
    int sock;
    struct queue waiting, answers;
    size_t running;
    bool closed; // by the asker
};

static void queue_add(struct queue *q, struct item *it)
{
    it->next = NULL;
    if (!q->first) q->last = &q->first;
    *q->last = it;
    q->last = &it->next;
    q->n++;
}

static struct item *queue_take(struct queue *q)
{
    struct item *it = q->first;
    if (!it) return NULL;
    q->first = it->next;
    q->n--;
    return it;
}

// 1 sent, 0 the socket is full.
static int send_now(struct server *s, const struct transfer_reply *r)
{
    struct err e = {0};
    if (s->closed) return 1;
    if (transfer_send_reply(s->sock, r, &e) == 0) return 1;
    if (e.sys == EAGAIN || e.sys == ENOBUFS) return 0;
    s->closed = true;
    return 1;
}

static void flush_answers(struct server *s)
{
    while (s->answers.first && send_now(s, &s->answers.first->job.r)) free(queue_take(&s->answers));
}

// Progress and notices: what the socket does not take now is not worth keeping.
static void on_reply(void *arg, const struct transfer_reply *r)
{
    struct server *s = arg;
    if (!s->answers.first) send_now(s, r);
}

struct run_arg {
    struct server *s;
    struct item *it;
};

static void run_item(void *arg)
{
    struct run_arg a = *(struct run_arg *)arg; // the original is gone at the first wait
    struct job *j = &a.it->job;
    struct err e = {0};
    int rc = job_run(j, &e);
    j->r.answer = rc < 0 ? TRANSFER_FAILED : TRANSFER_DONE;
    if (rc < 0) j->r.err = e;
    if (j->fd >= 0) close(take_fd(j->fd));
    a.s->running--;
    queue_add(&a.s->answers, a.it);
    flush_answers(a.s);
}

static void start_waiting(struct server *s)
{
    while (s->running < RUNNING && s->waiting.first) {
        struct item *it = queue_take(&s->waiting);
        struct run_arg a = {s, it};
        struct err e = {0};
        s->running++;
        if (task_start(s->client.tasks, run_item, &a, &e) == 0) continue;
        s->running--;
        it->job.r = (struct transfer_reply){
            .id = it->job.q.id, .answer = TRANSFER_FAILED, .err = e, .time = INT64_MIN};
        queue_add(&s->answers, it);
    }
}

static bool has_room(const struct server *s)
{
    return s->waiting.n + s->answers.n < WAITING;
}

static int read_requests(struct server *s, struct err *e)
{
    while (has_room(s)) {
        struct pollfd p = {.fd = s->sock, .events = POLLIN};
        if (poll(&p, 1, 0) <= 0) return 0;
        struct item *it = mem_alloc(sizeof *it);
        it->job.c = &s->client;
        it->job.fd = -1;
        int got = transfer_receive_request(s->sock, &it->job.q, &it->job.fd, e);
        if (got > 0) {
            queue_add(&s->waiting, it);
            continue;
        }
        free(it);
        if (got < 0) return -1;
        s->closed = true;
        return 0;
    }
    return 0;
}

static int serve(struct server *s, struct err *e)
{
    while (!s->closed) {
        int ms = task_wake_due(s->client.tasks, POLL_MS);
        short events = (short)((has_room(s) ? POLLIN : 0) | (s->answers.first ? POLLOUT : 0));
        if (http_poll(s->client.http, s->sock, events, ms, e) < 0) return -1;
        if (read_requests(s, e) < 0) return -1;
        start_waiting(s);
        flush_answers(s);
    }
    return 0;
}

static bool is_packet_socket(int fd)
{
    int type = 0;
    socklen_t n = sizeof type;
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_SEQPACKET;
}

// Every waiting request holds a descriptor.
static void raise_file_limit(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) != 0) return;
    l.rlim_cur = l.rlim_max;
    setrlimit(RLIMIT_NOFILE, &l);
}

static int fail(const struct err *e)
{
    own(str) struct str text = {0};
    err_print(e, &text);
    fputs(str_z(&text), stderr);
    return 1;
}

int main(void)
{
    struct err e = {0};
    struct server s = {.sock = is_packet_socket(0) ? 0 : 3};
    if (!is_packet_socket(s.sock)) {
        err_set(&e, ERR_USAGE, "dewar-registry is started by dewar, with a socket");
        return fail(&e);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL); // a parent that died before this has closed the socket
    prctl(PR_SET_DUMPABLE, 0);        // passwords pass through here
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    int flags = fcntl(s.sock, F_GETFL);
    if (fcntl(s.sock, F_SETFD, FD_CLOEXEC) < 0 || fcntl(s.sock, F_SETFL, flags | O_NONBLOCK) < 0) {
        err_sys(&e, "prepare the socket");
        return fail(&e);
    }
    if (client_init(&s.client, &e) < 0) return fail(&e);
    s.client.reply = on_reply;
    s.client.arg = &s;
    int rc = serve(&s, &e);
    int status = rc < 0 ? fail(&e) : 0;
    // What still runs is dropped: its files belong to the asker, who has gone.
    if (s.running || s.waiting.first || s.answers.first) _exit(status);
    client_fini(&s.client);
    return status;
}
