// SPDX-License-Identifier: Apache-2.0
// The client: a command that a person started, attached to the container through its monitor. It
// passes signals on and relays bytes between our stdin, stdout and stderr and what the monitor gave
// us: ends of pipes, or with a terminal the pty's master to write to. A starter whose program has
// our stdin, stdout and stderr itself has nothing to relay.
//
// Typing into our terminal from inside (TIOCSTI) is impossible: the program is in a session of its
// own, so our terminal is not its controlling one, and the filter refuses the ioctl.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "base/own.h"
#include "container/client.h"
#include "container/keys.h"
#include "record/message.h"

struct client {
    int sock;    // to the monitor; -1: there is none
    int program; // pidfd of a program without a monitor; -1
    int sig_fd;
    int in;     // the program's stdin or terminal; -1: none
    int out[2]; // what it writes; -1: at its end
    bool tty;
    bool proxy; // pass signals on
    bool read_stdin;
    bool out_broken[2]; // nobody reads our stdout, our stderr any more
    bool ended, detached, behind, oom;
    int code;
    unsigned impatience; // how often ctrl-c was pressed in vain
    struct keys keys;
    char typed[4096 + KEYS_MAX]; // read, and not yet written to `in`
    size_t typed_n;
};

// The terminal's state, given back on every way out: an owner whose destructor restores it.
struct raw_mode {
    bool on;
    struct termios before;
};
static void own_raw_mode(struct raw_mode *r)
{
    if (r->on) tcsetattr(0, TCSADRAIN, &r->before);
}

static void raw_begin(struct raw_mode *r)
{
    struct termios t;
    if (tcgetattr(0, &r->before) != 0) return;
    t = r->before;
    cfmakeraw(&t);
    r->on = tcsetattr(0, TCSADRAIN, &t) == 0;
}

static void copy_size(const struct client *c)
{
    struct winsize w;
    if (!c->tty || c->in < 0) return;
    for (int fd = 0; fd < 3; fd++)
        if (ioctl(fd, TIOCGWINSZ, &w) == 0) {
            ioctl(c->in, TIOCSWINSZ, &w);
            return;
        }
}

static void pass_signal(struct client *c, int sig)
{
    struct record_message m = {.kind = MESSAGE_SIGNAL, .value = sig};
    // As process 1 the program ignores what it does not handle. Whoever presses ctrl-c three times
    // means it.
    if ((sig == SIGINT || sig == SIGTERM) && ++c->impatience >= 3) m.value = SIGKILL;
    if (c->program >= 0)
        syscall(SYS_pidfd_send_signal, c->program, m.value, NULL, 0);
    else
        record_message_send(c->sock, &m, NULL);
}

// 1: the client is to end although the container goes on.
static int take_signal(struct client *c)
{
    struct signalfd_siginfo si;
    if (read(c->sig_fd, &si, sizeof si) != (ssize_t)sizeof si) return 0;
    int sig = (int)si.ssi_signo;
    if (sig == SIGCHLD || sig == SIGPIPE || sig == SIGURG) return 0;
    if (sig == SIGWINCH && c->tty) {
        copy_size(c);
        return 0;
    }
    if (c->tty && (sig == SIGHUP || sig == SIGTTIN || sig == SIGTTOU)) return sig == SIGHUP;
    if (c->proxy) pass_signal(c, sig);
    return !c->proxy && (sig == SIGINT || sig == SIGTERM || sig == SIGHUP);
}

static void write_out(struct client *c, int i, const char *p, size_t n)
{
    while (n && !c->out_broken[i]) {
        ssize_t w = write(i + 1, p, n);
        if (w < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = i + 1, .events = POLLOUT};
            poll(&wait, 1, -1);
            continue;
        }
        if (w < 0 && errno != EINTR) c->out_broken[i] = true;
        if (w > 0) {
            p += w;
            n -= (size_t)w;
        }
    }
}

static void from_program(struct client *c, int i)
{
    char buf[65536];
    ssize_t n = read(c->out[i], buf, sizeof buf);
    if (n > 0) write_out(c, i, buf, (size_t)n);
    // A reader of ours that went away is for the program to notice.
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN) || c->out_broken[i])
        close(take_fd(c->out[i]));
}

static void to_program(struct client *c)
{
    while (c->typed_n && c->in >= 0) {
        ssize_t n = write(c->in, c->typed, c->typed_n);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n < 0) { // it does not read any more
            c->typed_n = 0;
            c->read_stdin = false;
            if (!c->tty) close(take_fd(c->in));
            return;
        }
        memmove(c->typed, c->typed + n, c->typed_n - (size_t)n);
        c->typed_n -= (size_t)n;
    }
    if (!c->read_stdin && !c->tty && c->in >= 0) close(take_fd(c->in)); // the end of our stdin
}

static void from_stdin(struct client *c)
{
    char buf[4096];
    ssize_t n = read(0, buf, sizeof buf);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n <= 0) c->read_stdin = false;
    for (ssize_t i = 0; i < n && !c->detached; i++) {
        size_t added = 0;
        c->detached = c->tty ? keys_feed(&c->keys, buf[i], c->typed + c->typed_n, &added)
                             : (c->typed[c->typed_n] = buf[i], added = 1, false);
        c->typed_n += added;
    }
    to_program(c);
}

static int from_monitor(struct client *c, struct err *e)
{
    struct record_message m;
    int fds[MESSAGE_FDS];
    if (record_message_receive(c->sock, &m, fds) != 1) {
        err_set(e, ERR_INTERNAL, "the container's monitor died");
        return err_hint(e, "the container was killed with it; 'dewar doctor' may tell more");
    }
    if (m.kind == MESSAGE_STARTED && fds[0] >= 0 && (c->in >= 0 || c->tty)) {
        own_fd(&c->in);
        c->in = take_fd(fds[0]);
        copy_size(c);
    }
    for (int i = 0; i < MESSAGE_FDS; i++) own_fd(&fds[i]);
    if (m.kind == MESSAGE_BEHIND) c->behind = true;
    if (m.kind == MESSAGE_ENDED) {
        c->ended = true;
        c->code = m.value;
        c->oom = m.extra != 0;
    }
    return 0;
}

// A program without a monitor has ended: what it wrote last is still to be shown. Others may hold its
// terminal open, so this does not wait for the end.
static void from_ended(struct client *c)
{
    char buf[65536];
    ssize_t n;
    c->ended = true;
    if (c->out[0] < 0) return;
    fcntl(c->out[0], F_SETFL, O_NONBLOCK);
    while ((n = read(c->out[0], buf, sizeof buf)) > 0) write_out(c, 0, buf, (size_t)n);
    close(take_fd(c->out[0]));
}

static int relay(struct client *c, struct err *e)
{
    while (!c->detached && (!c->ended || c->out[0] >= 0 || c->out[1] >= 0)) {
        bool room = c->typed_n == 0 && c->in >= 0;
        struct pollfd p[6] = {
            {.fd = c->ended ? -1 : c->program >= 0 ? c->program : c->sock, .events = POLLIN},
            {.fd = c->sig_fd, .events = POLLIN},
            {.fd = c->out[0], .events = POLLIN},
            {.fd = c->out[1], .events = POLLIN},
            {.fd = c->read_stdin && room ? 0 : -1, .events = POLLIN},
            {.fd = c->typed_n ? c->in : -1, .events = POLLOUT},
        };
        if (poll(p, 6, -1) < 0 && errno != EINTR) return err_sys(e, "poll");
        for (int i = 0; i < 2; i++)
            if (p[2 + i].revents) from_program(c, i);
        if (p[4].revents) from_stdin(c);
        if (p[5].revents) to_program(c);
        if (p[1].revents && take_signal(c)) {
            c->code = 128 + SIGHUP;
            return 0;
        }
        if (p[0].revents && c->program >= 0)
            from_ended(c);
        else if (p[0].revents && from_monitor(c, e) < 0)
            return -1;
        if (!c->behind) continue;
        err_set(e, ERR_SYSTEM,
                "nothing took the container's output for too long; it goes on without");
        return err_hint(e, "'dewar attach' joins it again, 'dewar logs' has what was missed");
    }
    return 0;
}

static void take_fds(struct client *c, const struct record_message *m, int fds[MESSAGE_FDS])
{
    size_t n = 0;
    c->tty = (m->value & MESSAGE_TTY) != 0;
    if (m->value & MESSAGE_IN) c->in = fds[n++];
    if (m->value & MESSAGE_OUT) c->out[0] = fds[n++];
    if (m->value & MESSAGE_ERR) c->out[1] = fds[n++];
}

static int begin(struct client *c, bool starter, const struct client_options *o, struct err *e)
{
    struct record_message m = {.kind = MESSAGE_ATTACH, .value = MESSAGE_OUT | MESSAGE_ERR};
    int fds[MESSAGE_FDS];
    if (o->read_stdin) m.value |= MESSAGE_IN;
    if (!starter) {
        if (record_message_ask(c->sock, &m, fds, e) < 0) return -1;
    } else if (record_message_receive(c->sock, &m, fds) != 1) {
        return err_set(e, ERR_INTERNAL, "the container's monitor died before the program started");
    } else if (m.kind == MESSAGE_FAILED) {
        *e = m.err;
        return -1;
    }
    take_fds(c, &m, fds);
    return 0;
}

// What both kinds have in common: signals come as data, the terminal is raw while we relay.
static int run(struct client *c, bool starter, const struct client_options *o, struct err *e)
{
    sigset_t all, before;
    if (keys_parse(o->keys, &c->keys, e) < 0) return -1;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    own(fd) int sig_fd = c->sig_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    int rc = sig_fd < 0 ? err_sys(e, "listen for signals") : 0;
    if (rc == 0 && c->sock >= 0) rc = begin(c, starter, o, e);
    if (rc == 0) {
        own(raw_mode) struct raw_mode raw = {0};
        copy_size(c);
        if (c->tty && o->read_stdin) raw_begin(&raw);
        rc = relay(c, e);
    }
    own_fd(&c->in);
    own_fd(&c->out[0]);
    own_fd(&c->out[1]);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return rc;
}

int client_run(int sock, bool starter, const struct client_options *o, int *out_code, struct err *e)
{
    struct client c = {.sock = sock,
                       .program = -1,
                       .in = -1,
                       .out = {-1, -1},
                       .proxy = !o->no_sig_proxy,
                       .read_stdin = o->read_stdin};
    int rc = run(&c, starter, o, e);
    *out_code = c.code;
    if (o->detached) *o->detached = rc == 0 && c.detached;
    if (o->oom) *o->oom = rc == 0 && c.oom;
    return rc;
}

int client_program(int program, int pty, const struct client_options *o, bool *out_detached,
                   struct err *e)
{
    struct client c = {.sock = -1, .program = program, .in = -1, .out = {-1, -1}, .proxy = true};
    if (pty >= 0) {
        c.tty = true;
        c.read_stdin = o->read_stdin;
        c.in = fcntl(pty, F_DUPFD_CLOEXEC, 3);
        c.out[0] = fcntl(pty, F_DUPFD_CLOEXEC, 3);
        if (c.in < 0 || c.out[0] < 0) return err_sys(e, "copy the terminal's descriptor");
    }
    int rc = run(&c, false, o, e);
    *out_detached = c.detached || (!c.ended && rc == 0);
    return rc;
}
