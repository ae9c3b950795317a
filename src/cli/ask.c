// SPDX-License-Identifier: Apache-2.0
// Asks a person for a line, a password without showing it. While the echo is off, signals that
// would end us are held back and looked for beside the keyboard, so that the terminal is put right
// before they act; only SIGKILL gets past this.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/own.h"
#include "cli/cli.h"

#define LINE_MAX_BYTES 4096 // more than the terminal's own limit

// One line of stdin into `line`, without its end. The signal that came instead, 0 none, -1 error.
static int read_line(int signals, char line[LINE_MAX_BYTES], size_t *out_n, struct err *e)
{
    struct pollfd p[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                          {.fd = signals, .events = POLLIN}};
    size_t n = 0;
    for (;;) {
        struct signalfd_siginfo si;
        if (poll(p, 2, -1) < 0 && errno != EINTR) return err_sys(e, "poll");
        if (p[1].revents && read(signals, &si, sizeof si) == (ssize_t)sizeof si)
            return (int)si.ssi_signo;
        if (!p[0].revents) continue;
        ssize_t got = read(STDIN_FILENO, line + n, 1);
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (got < 0) return err_sys(e, "read from the terminal");
        if (got == 0 && n == 0) return err_set(e, ERR_INPUT, "the input ended before an answer");
        if (got == 0 || line[n] == '\n') break;
        if (++n == LINE_MAX_BYTES)
            return err_set(e, ERR_LIMIT, "the line is longer than %d bytes", LINE_MAX_BYTES - 1);
    }
    *out_n = n;
    return 0;
}

static int set_echo(const struct termios *was, bool echo, struct err *e)
{
    struct termios now = *was;
    if (!echo) {
        now.c_lflag &= ~(tcflag_t)ECHO;
        now.c_lflag |= ICANON | ISIG;
    }
    // What was typed ahead stays, as with login(1)'s callers that feed both answers at once.
    if (tcsetattr(STDIN_FILENO, TCSADRAIN, &now) == 0) return 0;
    return err_sys(e, "change the terminal's echo");
}

static int ask_hidden(int signals, char line[LINE_MAX_BYTES], size_t *out_n, struct err *e)
{
    struct termios was;
    struct err ignored = {0};
    if (tcgetattr(STDIN_FILENO, &was) != 0) return err_sys(e, "look at the terminal");
    if (set_echo(&was, false, e) < 0) return -1;
    int rc = read_line(signals, line, out_n, e);
    set_echo(&was, true, &ignored);
    if (write(STDERR_FILENO, "\n", 1) < 0 && rc == 0) rc = err_sys(e, "write to the terminal");
    return rc;
}

int cli_ask(const char *prompt, bool hidden, struct secret *out, struct err *e)
{
    char line[LINE_MAX_BYTES];
    size_t n = 0;
    sigset_t held, old;
    sigemptyset(&held);
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) sigaddset(&held, ends[i]);
    own(fd) int signals = signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0) return err_sys(e, "signalfd");
    if (write(STDERR_FILENO, prompt, strlen(prompt)) < 0) return err_sys(e, "ask on the terminal");
    sigprocmask(SIG_BLOCK, &held, &old);
    int rc = hidden ? ask_hidden(signals, line, &n, e) : read_line(signals, line, &n, e);
    if (rc > 0) raise(rc); // acts when it is let through, below
    sigprocmask(SIG_SETMASK, &old, NULL);
    if (rc > 0) rc = err_set(e, ERR_INTERRUPTED, "the question was not answered");
    if (rc == 0) {
        secret_fini(out);
        *out = (struct secret){sv_dup((struct sv){line, n}), n};
    }
    explicit_bzero(line, sizeof line);
    return rc;
}
