// SPDX-License-Identifier: Apache-2.0
#include "container/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "record/log.h"
#include "record/message.h"
#include "sandbox/sandbox.h"

// A burst that waits neither for a terminal nor, 64 KiB at a time, for the log: four times as fast.
// The kernel may say no.
#define PIPE_WANTED (256 << 10)

int relay_pipes(struct relay *r, bool interactive, struct sandbox_stdio *io, struct err *e)
{
    int ends[2];
    if (interactive) {
        if (pipe2(ends, O_CLOEXEC) != 0) return err_sys(e, "make a pipe");
        io->in = ends[0];
        r->in = ends[1];
    }
    for (int i = 0; i < LOG_STREAMS; i++) {
        if (pipe2(ends, O_CLOEXEC) != 0) return err_sys(e, "make a pipe");
        r->stream[i].fd = ends[0];
        *(i ? &io->err : &io->out) = ends[1];
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        fcntl(ends[0], F_SETPIPE_SZ, PIPE_WANTED);
    }
    return 0;
}

struct relay_peer *relay_add(struct relay *r, int sock)
{
    if (r->peers.n >= RELAY_PEERS) return NULL;
    struct relay_peer *p = vec_add(&r->peers);
    *p = (struct relay_peer){.sock = sock, .out = {-1, -1}};
    return p;
}

int relay_attach(struct relay *r, struct relay_peer *p, int want, int fds[MESSAGE_FDS],
                 struct err *e)
{
    size_t n = 0;
    int given = r->tty ? MESSAGE_TTY : 0;
    for (int i = 0; i < MESSAGE_FDS; i++) fds[i] = -1;
    if (r->in >= 0 && (r->tty || (want & MESSAGE_IN))) {
        fds[n] = fcntl(r->in, F_DUPFD_CLOEXEC, 3);
        if (fds[n] < 0) return err_sys(e, "copy a descriptor");
        n++;
        given |= MESSAGE_IN;
        // Closed by its first user, it is at its end for the program.
        if (!r->tty && r->in_once) close(take_fd(r->in));
    }
    for (int i = 0; i < LOG_STREAMS; i++) {
        int ends[2];
        if (!(want & (i ? MESSAGE_ERR : MESSAGE_OUT)) || (r->tty && i)) continue;
        if (pipe2(ends, O_CLOEXEC) != 0) return err_sys(e, "make a pipe");
        fcntl(ends[1], F_SETFL, O_NONBLOCK);
        fcntl(ends[1], F_SETPIPE_SZ, PIPE_WANTED);
        own_fd(&p->out[i]);
        p->out[i] = ends[1];
        p->done[i] = r->stream[i].buf.n; // what came before is not its
        fds[n++] = ends[0];
        given |= i ? MESSAGE_ERR : MESSAGE_OUT;
    }
    p->attached = true;
    return given;
}

void relay_detach(struct relay_peer *p)
{
    for (int i = 0; i < LOG_STREAMS; i++) {
        own_fd(&p->out[i]);
        p->out[i] = -1;
    }
    p->attached = false;
}

void relay_close_outputs(struct relay *r)
{
    vec_each(p, &r->peers) for (int i = 0; i < LOG_STREAMS; i++)
    {
        own_fd(&p->out[i]);
        p->out[i] = -1;
    }
}

void relay_sweep(struct relay *r)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->peers.n; i++) {
        if (r->peers.p[i].sock >= 0)
            r->peers.p[kept++] = r->peers.p[i];
        else
            relay_detach(&r->peers.p[i]);
    }
    r->peers.n = kept;
}

bool relay_behind(const struct relay *r, const struct relay_peer *p, int stream)
{
    return p->out[stream] >= 0 && p->done[stream] < r->stream[stream].buf.n;
}

bool relay_hungry(const struct relay *r, int stream)
{
    if (r->stream[stream].fd < 0) return false;
    vec_each(p, &r->peers) if (relay_behind(r, p, stream)) return false;
    return true;
}

bool relay_idle(const struct relay *r)
{
    vec_each(p, &r->peers) for (int i = 0; i < LOG_STREAMS;
                                i++) if (relay_behind(r, p, i)) return false;
    return true;
}

// As much as it takes. A reader that is gone is no error.
static void hand_out(struct relay *r, struct relay_peer *p, int i, int64_t now_ns)
{
    struct sv rest = sv_from(str_sv(&r->stream[i].buf), p->done[i]);
    bool moved = false;
    while (rest.n && p->out[i] >= 0) {
        ssize_t n = write(p->out[i], rest.p, rest.n);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) break;
        if (n < 0) {
            close(take_fd(p->out[i]));
            return;
        }
        p->done[i] += (size_t)n;
        rest = sv_from(rest, (size_t)n);
        moved = true;
    }
    if (rest.n == 0 || moved) p->stuck_since = 0;
    if (rest.n == 0) return;
    if (p->stuck_since == 0) p->stuck_since = now_ns;
    if (p->starter || now_ns - p->stuck_since < RELAY_PATIENCE) return;
    struct record_message m = {.kind = MESSAGE_BEHIND};
    record_message_send(p->sock, &m, NULL);
    relay_detach(p);
}

void relay_flush(struct relay *r, int64_t now_ns)
{
    for (int i = 0; i < LOG_STREAMS; i++) {
        bool all = true;
        vec_each(p, &r->peers)
        {
            if (relay_behind(r, p, i)) hand_out(r, p, i, now_ns);
            all = all && !relay_behind(r, p, i);
        }
        if (!all) continue;
        str_clear(&r->stream[i].buf);
        vec_each(p, &r->peers) p->done[i] = 0;
    }
}

// Only while it helps: all pipes of a user together may hold so much (pipe(7), pipe-user-pages-soft).
static void widen(struct relay *r, int stream, bool wide)
{
    if (r->stream[stream].wide == wide || r->tty) return;
    r->stream[stream].wide = wide;
    fcntl(r->stream[stream].fd, F_SETPIPE_SZ, wide ? RELAY_CHUNK : RELAY_PIPE);
}

void relay_read(struct relay *r, int stream, bool all, struct err *log_err)
{
    if (!r->chunk && r->stream[stream].fd >= 0) r->chunk = mem_alloc(RELAY_CHUNK);
    for (bool more = true; more && r->stream[stream].fd >= 0; more = all) {
        ssize_t n = read(r->stream[stream].fd, r->chunk, RELAY_CHUNK);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
            if (errno == EAGAIN) return;
            continue;
        }
        if (n <= 0) { // EIO: the last one inside has closed its terminal
            close(take_fd(r->stream[stream].fd));
            return;
        }
        if (n == RELAY_PIPE) widen(r, stream, true);
        struct sv bytes = {r->chunk, (size_t)n};
        record_log_writer_add(&r->log, stream, bytes, clock_real_ns(), log_err);
        bool wanted = false;
        vec_each(p, &r->peers) wanted |= p->out[stream] >= 0;
        if (!wanted) continue;
        str_add(&r->stream[stream].buf, bytes);
        relay_flush(r, clock_mono_ns());
    }
}

void relay_close_program(struct relay *r)
{
    own_fd(&r->in);
    r->in = -1;
    for (int i = 0; i < LOG_STREAMS; i++) {
        own_fd(&r->stream[i].fd);
        r->stream[i].fd = -1;
    }
}

void relay_shrink(struct relay *r)
{
    free(r->chunk);
    r->chunk = NULL;
    for (int i = 0; i < LOG_STREAMS; i++) {
        widen(r, i, false);
        if (r->stream[i].buf.n == 0) str_fini(&r->stream[i].buf);
    }
    record_log_writer_shrink(&r->log);
}
