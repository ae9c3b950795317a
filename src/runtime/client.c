// SPDX-License-Identifier: Apache-2.0
// The client: the command that a person started, attached to the container through its monitor. It
// passes signals on, and with a terminal it relays bytes between ours and the pty. Without one
// there is nothing to relay: the program has our stdin, stdout and stderr themselves.
//
// Typing into our terminal from inside (TIOCSTI) is impossible: the program is in a session of its
// own, so our terminal is not its controlling one, and the filter refuses the ioctl.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "base/own.h"
#include "runtime/record.h"

struct client {
    int sock;
    int sig_fd;
    int pty;          // -1: none
    bool proxy;       // pass signals on
    bool read_stdin;
    bool out_broken;  // nobody reads our stdout any more
    bool ended;
    int code;
    unsigned impatience;  // how often ctrl-c was pressed in vain
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
    if (c->pty < 0) return;
    for (int fd = 0; fd < 3; fd++)
        if (ioctl(fd, TIOCGWINSZ, &w) == 0) {
            ioctl(c->pty, TIOCSWINSZ, &w);
            return;
        }
}

static void pass_signal(struct client *c, int sig)
{
    struct message m = {.kind = MESSAGE_SIGNAL, .value = sig};
    // As process 1 the program ignores what it does not handle. Whoever presses ctrl-c three times
    // means it.
    if ((sig == SIGINT || sig == SIGTERM) && ++c->impatience >= 3) m.value = SIGKILL;
    message_send(c->sock, &m, -1);
}

// 1: the client is to end although the container goes on.
static int take_signal(struct client *c)
{
    struct signalfd_siginfo si;
    if (read(c->sig_fd, &si, sizeof si) != (ssize_t)sizeof si) return 0;
    int sig = (int)si.ssi_signo;
    if (sig == SIGCHLD || sig == SIGPIPE || sig == SIGURG) return 0;
    if (sig == SIGWINCH && c->pty >= 0) {
        copy_size(c);
        return 0;
    }
    if (c->pty >= 0 && (sig == SIGHUP || sig == SIGTTIN || sig == SIGTTOU)) return sig == SIGHUP;
    if (c->proxy) pass_signal(c, sig);
    return !c->proxy && (sig == SIGINT || sig == SIGTERM || sig == SIGHUP);
}

static void write_out(struct client *c, const char *p, size_t n)
{
    while (n && !c->out_broken) {
        ssize_t w = write(1, p, n);
        if (w < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = 1, .events = POLLOUT};
            poll(&wait, 1, -1);
            continue;
        }
        if (w < 0 && errno != EINTR) c->out_broken = true;
        if (w > 0) {
            p += w;
            n -= (size_t)w;
        }
    }
}

static void from_pty(struct client *c)
{
    char buf[16384];
    ssize_t n = read(c->pty, buf, sizeof buf);
    if (n > 0)
        write_out(c, buf, (size_t)n);
    else if (n == 0 || (errno != EINTR && errno != EAGAIN))
        close(take_fd(c->pty));  // EIO: the last one inside has closed it
}

static void from_stdin(struct client *c)
{
    char buf[4096];
    ssize_t n = read(0, buf, sizeof buf);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (n <= 0) c->read_stdin = false;
    for (ssize_t done = 0; done < n && c->pty >= 0;) {
        ssize_t w = write(c->pty, buf + done, (size_t)(n - done));
        if (w < 0 && errno != EINTR) return;
        if (w > 0) done += w;
    }
}

static int from_monitor(struct client *c, struct err *e)
{
    struct message m;
    int fd = -1;
    if (message_receive(c->sock, &m, &fd) == 0) {
        err_set(e, ERR_INTERNAL, "the container's monitor died");
        return err_hint(e, "the container was killed with it; 'dewar doctor' may tell more");
    }
    own_fd(&fd);
    if (m.kind == MESSAGE_ENDED) {
        c->ended = true;
        c->code = m.value;
    }
    return 0;
}

static int relay(struct client *c, struct err *e)
{
    while (!c->ended || c->pty >= 0) {
        struct pollfd p[4] = {
            {.fd = c->ended ? -1 : c->sock, .events = POLLIN},
            {.fd = c->sig_fd, .events = POLLIN},
            {.fd = c->pty, .events = POLLIN},
            {.fd = c->read_stdin && c->pty >= 0 ? 0 : -1, .events = POLLIN},
        };
        if (poll(p, 4, -1) < 0 && errno != EINTR) return err_sys(e, "poll");
        if (p[2].revents) from_pty(c);
        if (p[3].revents) from_stdin(c);
        if (p[1].revents && take_signal(c)) {
            c->code = 128 + SIGHUP;
            return 0;
        }
        if (p[0].revents && from_monitor(c, e) < 0) return -1;
    }
    return 0;
}

static int await_start(struct client *c, struct err *e)
{
    struct message m;
    if (message_receive(c->sock, &m, &c->pty) == 0)
        return err_set(e, ERR_INTERNAL, "the container's monitor died before the program started");
    if (m.kind == MESSAGE_STARTED) return 0;
    *e = m.err;
    return -1;
}

int client_run(int sock, const struct runtime_run_options *o, int *out_code, struct err *e)
{
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    own(fd) int sig_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    struct client c = {.sock = sock, .sig_fd = sig_fd, .pty = -1, .proxy = !o->no_sig_proxy,
                       .read_stdin = o->interactive};
    int rc = sig_fd < 0 ? err_sys(e, "listen for signals") : await_start(&c, e);
    if (rc == 0) {
        own(raw_mode) struct raw_mode raw = {0};
        if (c.pty >= 0) {
            copy_size(&c);
            if (o->interactive) raw_begin(&raw);
        }
        rc = relay(&c, e);
    }
    if (c.pty >= 0) close(c.pty);
    sigprocmask(SIG_SETMASK, &before, NULL);
    *out_code = c.code;
    return rc;
}
