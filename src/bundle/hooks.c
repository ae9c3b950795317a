// SPDX-License-Identifier: Apache-2.0
// Hooks: programs that the bundle's author named, with the state on stdin and a time limit. Those
// that run in the caller's namespaces are started here, those of the container's side by the child
// (bundle/enter.c), which reports how they ended. What a hook says on stderr goes where ours goes,
// and its end into the error.
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "bundle/internal.h"

#define SAID_MAX 400  // of an error

// --- how one ends: also between clone and exec, so raw calls alone -------------------------------

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void keep_end(struct bundle_hook_end *end, const char *p, size_t n)
{
    size_t room = sizeof end->said;
    if (n > room) {
        p += n - room;
        n = room;
    }
    size_t over = end->said_n + n > room ? end->said_n + n - room : 0;
    memmove(end->said, end->said + over, end->said_n - over);
    end->said_n -= (uint32_t)over;
    memcpy(end->said + end->said_n, p, n);
    end->said_n += (uint32_t)n;
}

// False: there is nothing more, for now or for ever. Nobody who reads our stderr: that is no reason
// to wait.
static bool pass_on(int from, struct bundle_hook_end *end)
{
    char buf[4096];
    struct pollfd to = {.fd = 2, .events = POLLOUT};
    ssize_t n = read(from, buf, sizeof buf);
    if (n <= 0) return n < 0 && errno == EINTR;
    keep_end(end, buf, (size_t)n);
    if (poll(&to, 1, 0) == 1 && to.revents == POLLOUT) n = write(2, buf, (size_t)n);
    return true;
}

void bundle_hook_await(const struct proc *p, int said_fd, int64_t seconds,
                       struct bundle_hook_end *out)
{
    struct pollfd f[2] = {{.fd = p->fd, .events = POLLIN}, {.fd = said_fd, .events = POLLIN}};
    int64_t end = seconds > 2000000 ? INT64_MAX : now_ms() + seconds * 1000;
    memset(out, 0, sizeof *out);
    while (!f[0].revents && !out->late) {
        int64_t left = end - now_ms();
        int ms = !seconds || left > INT32_MAX ? -1 : left < 0 ? 0 : (int)left;
        int rc = poll(f, 2, ms);
        if (rc < 0 && errno != EINTR) break;
        if (rc > 0 && f[1].revents && !pass_on(said_fd, out)) f[1].fd = -1;
        out->late = rc == 0;
        if (rc <= 0) f[0].revents = 0;
    }
    if (out->late) syscall(SYS_pidfd_send_signal, p->fd, SIGKILL, NULL, 0);
    while (waitpid(p->pid, &out->status, 0) < 0 && errno == EINTR) continue;
    // Whoever else holds the pipe may go on for ever.
    for (int i = 0; i < 32 && f[1].fd >= 0 && pass_on(said_fd, out); i++) continue;
}

int bundle_hook_pipe(int out[2])
{
    if (pipe2(out, O_CLOEXEC) != 0) return -1;
    return fcntl(out[0], F_SETFL, O_NONBLOCK);
}

_Noreturn void bundle_hook_exec(const char *path, char *const *argv, char *const *envp, int in,
                                int said)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(in, 0) == 0 && dup2(said, 2) == 2 && close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        execve(path, argv, envp);
    struct iovec text[] = {{(void *)(uintptr_t) "it cannot be executed: ", 23},
                           {(void *)(uintptr_t)err_errno_name(errno), 0}};
    text[1].iov_len = strlen(text[1].iov_base);
    int code = errno == ENOENT ? 127 : 126;
    if (writev(2, text, 2) < 0) _exit(code);
    _exit(code);
}

// --- errors ------------------------------------------------------------------------------------

// The last lines, on one.
static void print_said(const struct bundle_hook_end *end, struct str *out)
{
    struct sv all = sv_trim((struct sv){end->said, end->said_n});
    if (all.n > SAID_MAX) {
        all = sv_from(all, all.n - SAID_MAX);
        long line = sv_find(all, '\n');
        all = sv_trim(sv_from(all, line < 0 ? 0 : (size_t)line + 1));
    }
    for (bool first = true; all.p && all.n; first = false) {
        if (!first) str_addz(out, "; ");
        str_add_escaped(out, sv_trim(sv_cut(&all, '\n')));
    }
}

static int say(const struct oci_hook *h, const struct bundle_hook_end *end, struct err *e)
{
    own(str) struct str said = {0};
    const char *colon = end->said_n ? ": " : "";
    print_said(end, &said);
    if (end->late)
        err_set(e, ERR_STEP, "the hook '%s' did not end within %lld s%s%s", h->path,
                (long long)h->timeout, colon, str_z(&said));
    else if (WIFSIGNALED(end->status))
        err_set(e, ERR_STEP, "the hook '%s' was ended by signal %d%s%s", h->path,
                WTERMSIG(end->status), colon, str_z(&said));
    else
        err_set(e, ERR_STEP, "the hook '%s' failed with status %d%s%s", h->path,
                WEXITSTATUS(end->status), colon, str_z(&said));
    return -1;
}

int bundle_hook_error(const struct sandbox_plan *p, const struct report *r, struct err *e)
{
    const struct oci_runtime *c = p->bundle->config;
    struct bundle_hook_end end;
    size_t i = r->index, before = c->hooks[OCI_HOOK_CREATE_CONTAINER].n;
    enum oci_hook_kind kind = i < before ? OCI_HOOK_CREATE_CONTAINER : OCI_HOOK_START_CONTAINER;
    if (kind == OCI_HOOK_START_CONTAINER) i -= before;
    if (r->step != STEP_HOOK || r->head_n != sizeof end || i >= c->hooks[kind].n) return 0;
    memcpy(&end, r->head, sizeof end);
    if (end.said_n > sizeof end.said) end.said_n = 0;
    say(&c->hooks[kind].p[i], &end, e);
    return err_wrap(e, "running %s hooks", oci_hook_names[kind]);
}

// --- those of our side -------------------------------------------------------------------------

static _Noreturn void exec_hook(const struct oci_hook *h, int in, int said)
{
    char *none[] = {NULL};
    char **argv = mem_alloc((h->args.n + 2) * sizeof *argv);
    char **env = mem_alloc((h->env.n + 1) * sizeof *env);
    for (size_t i = 0; i < h->args.n; i++) argv[i] = h->args.p[i];
    if (!h->args.n) argv[0] = h->path;
    for (size_t i = 0; i < h->env.n; i++) env[i] = h->env.p[i];
    bundle_hook_exec(h->path, argv, h->has_env ? env : none, in, said);
}

// A memfd, not a pipe: a hook that does not read its input must not stop us.
static int state_file(const struct codec_json *state, struct err *e)
{
    own(str) struct str text = {0};
    codec_json_print(state, &text);
    own(fd) int fd = memfd_create("state", MFD_CLOEXEC);
    if (fd < 0) return err_sys(e, "hold the state for a hook");
    if (fs_write_all(fd, text.p, text.n, e) < 0) return -1;
    if (lseek(fd, 0, SEEK_SET) != 0) return err_sys(e, "hold the state for a hook");
    return take_fd(fd);
}

static int run_one(const struct oci_hook *h, const struct codec_json *state, struct err *e)
{
    own(fd) int in = state_file(state, e);
    int ends[2];
    if (in < 0) return -1;
    if (bundle_hook_pipe(ends) != 0) return err_sys(e, "make a pipe for a hook");
    own(fd) int said = ends[0];
    struct proc p = PROC_NONE;
    p.pid = proc_fork(0, &p.fd);
    if (p.pid == 0) exec_hook(h, in, ends[1]);
    close(ends[1]);
    if (p.pid < 0) return err_sys(e, "start the hook '%s'", h->path);
    struct bundle_hook_end end;
    bundle_hook_await(&p, said, h->timeout, &end);
    own_fd(&p.fd);
    return end.late || end.status != 0 ? say(h, &end, e) : 0;
}

int bundle_hooks_run(const struct oci_runtime *r, enum oci_hook_kind kind,
                     const struct codec_json *state, const struct event_sink *sink, struct err *e)
{
    bool goes_on = kind == OCI_HOOK_POSTSTART || kind == OCI_HOOK_POSTSTOP;
    vec_each(h, &r->hooks[kind])
    {
        if (run_one(h, state, e) == 0) continue;
        err_wrap(e, "running %s hooks", oci_hook_names[kind]);
        if (!goes_on) return -1;
        event_warn(sink, "%s", err_cause(e));
    }
    return 0;
}
