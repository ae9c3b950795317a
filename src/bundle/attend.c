// SPDX-License-Identifier: Apache-2.0
// Between a process of a container and whoever called us: the terminal, signals, that it is ready.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/own.h"
#include "bundle/internal.h"
#include "bundle/notify.h"
#include "sandbox/sandbox.h"

static void forward(const struct proc *p, int signals)
{
    struct signalfd_siginfo info;
    while (read(signals, &info, sizeof info) == (ssize_t)sizeof info)
        if (info.ssi_signo != SIGCHLD) proc_kill((struct proc *)(uintptr_t)p, (int)info.ssi_signo);
}

static int signals_open(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (int sig = 1; sig < 32; sig++)
        if (sig != SIGKILL && sig != SIGSTOP && sig != SIGPIPE && sig != SIGSEGV && sig != SIGBUS &&
            sig != SIGILL && sig != SIGFPE && sig != SIGABRT && sig != SIGTTIN && sig != SIGTTOU &&
            sig != SIGTSTP)
            sigaddset(&set, sig);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static bool pump(int from, int to)
{
    char buf[16384];
    ssize_t n = read(from, buf, sizeof buf);
    for (ssize_t at = 0; at < n;) {
        ssize_t w = write(to, buf + at, (size_t)(n - at));
        if (w < 0 && errno != EINTR && errno != EAGAIN) return false;
        if (w > 0) at += w;
    }
    return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

static void window_size(int pty)
{
    struct winsize ws;
    if (ioctl(0, TIOCGWINSZ, &ws) == 0) ioctl(pty, TIOCSWINSZ, &ws);
}

// Until the process has ended: its terminal to ours and back, our signals to it.
int bundle_attend(struct sandbox *s, int pty, int notify, int *out_status, struct err *e)
{
    own(fd) int signals = signals_open();
    struct termios old;
    bool raw = pty >= 0 && isatty(0) && tcgetattr(0, &old) == 0, input = pty >= 0;
    if (raw) {
        struct termios t = old;
        cfmakeraw(&t);
        tcsetattr(0, TCSADRAIN, &t);
        window_size(pty);
    }
    for (bool over = false; !over;) {
        struct pollfd f[5] = {{.fd = s->proc.fd, .events = POLLIN},
                              {.fd = signals, .events = POLLIN},
                              {.fd = pty, .events = POLLIN},
                              {.fd = input ? 0 : -1, .events = POLLIN},
                              {.fd = notify, .events = POLLIN}};
        if (poll(f, 5, -1) < 0 && errno != EINTR) break;
        if (f[4].revents && bundle_notify_take(notify, s->proc.pid)) notify = -1;
        if (f[1].revents) {
            forward(&s->proc, signals);
            if (pty >= 0 && raw) window_size(pty);
        }
        if (f[3].revents && !pump(0, pty)) input = false;
        bool more = f[2].revents && pump(pty, 1);
        over = f[0].revents && !more;
    }
    if (raw) tcsetattr(0, TCSADRAIN, &old);
    int status = 0, rc = proc_wait(&s->proc, &status, e);
    *out_status = proc_exit_code(status);
    return rc;
}
