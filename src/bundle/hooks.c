// SPDX-License-Identifier: Apache-2.0
// Hooks that run in the caller's namespaces: programs that the bundle's author named, with the
// state on stdin and a time limit. Those of the container's side run in the child (bundle/enter.c).
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "bundle/internal.h"

static _Noreturn void exec_hook(const struct oci_hook *h, int in)
{
    char *none[] = {NULL};
    char **argv = mem_alloc((h->args.n + 2) * sizeof *argv);
    char **env = mem_alloc((h->env.n + 1) * sizeof *env);
    for (size_t i = 0; i < h->args.n; i++) argv[i] = h->args.p[i];
    if (!h->args.n) argv[0] = h->path;
    for (size_t i = 0; i < h->env.n; i++) env[i] = h->env.p[i];
    if (dup2(in, 0) != 0 || close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) _exit(126);
    execve(h->path, argv, h->has_env ? env : none);
    _exit(errno == ENOENT ? 127 : 126);
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
    if (in < 0) return -1;
    struct proc p = PROC_NONE;
    p.pid = proc_fork(0, &p.fd);
    if (p.pid == 0) exec_hook(h, in);
    if (p.pid < 0) return err_sys(e, "start the hook '%s'", h->path);
    int64_t ms = h->timeout > 2000000 ? 2000000000 : h->timeout * 1000;
    struct pollfd poll_fd = {.fd = p.fd, .events = POLLIN};
    int rc, status;
    do rc = poll(&poll_fd, 1, h->timeout ? (int)ms : -1);
    while (rc < 0 && errno == EINTR);
    if (rc == 0) proc_kill(&p, SIGKILL);
    if (proc_wait(&p, &status, e) < 0) return -1;
    if (rc == 0)
        return err_set(e, ERR_STEP, "the hook '%s' did not end within %lld s", h->path,
                       (long long)h->timeout);
    if (status == 0) return 0;
    return err_set(e, ERR_STEP, "the hook '%s' failed with status %d", h->path,
                   proc_exit_code(status));
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
