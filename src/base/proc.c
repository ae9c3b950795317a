// SPDX-License-Identifier: Apache-2.0
// Processes. clone3 by hand, so that a pidfd comes with the child and namespaces can be asked for;
// no threads exist, so the child may go on using the C library.
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"
#include "base/str.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

#define FIXED_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// CLONE_CLEAR_SIGHAND leaves what is ignored ignored, and glibc keeps two signals to itself:
// programs of ours and of others begin with every signal as the kernel has it.
static void default_signals(void)
{
    const unsigned long action[4] = {0};  // the kernel's struct sigaction: SIG_DFL, nothing else
    for (int sig = 1; sig <= 64; sig++) syscall(SYS_rt_sigaction, sig, action, NULL, 8);
}

pid_t proc_fork(uint64_t clone_flags, int *out_pidfd)
{
    int fd = -1;
    struct clone_args args = {
        .flags = clone_flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
        .pidfd = (uint64_t)(uintptr_t)&fd,
        .exit_signal = SIGCHLD,
    };
    fflush(NULL);  // the child must not print our buffers a second time
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0) {
        sigset_t none;
        default_signals();
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
    } else if (pid > 0) {
        *out_pidfd = fd;
    }
    return (pid_t)pid;
}

static int place_fd(int fd, int at)
{
    if (fd == PROC_NULL) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null < 0) return -1;
        return dup2(null, at);
    }
    if (fd == 0) return 0;  // inherit
    return dup2(fd, at);
}

// Comes back only when the program could not be executed, with errno.
static void exec_spec(const struct proc_spec *s)
{
    static const char *const fixed[] = {"PATH=" FIXED_PATH, "LANG=C.UTF-8", NULL};
    const int ins[3] = {s->stdin_fd, s->stdout_fd, s->stderr_fd};
    char *const *argv = (char *const *)(uintptr_t)s->argv;
    char *const *envp = (char *const *)(uintptr_t)(s->env ? s->env : fixed);
    for (int i = 0; i < 3; i++)
        if (place_fd(ins[i], i) < 0) return;
    if (s->keep_fd > 2 && fcntl(s->keep_fd, F_SETFD, 0) < 0) return;
    if (!s->search_path || strchr(s->argv[0], '/')) {
        execve(s->argv[0], argv, envp);
        return;
    }
    struct sv rest = SV(FIXED_PATH);
    while (rest.p) {
        struct sv dir = sv_cut(&rest, ':');
        char path[512];
        snprintf(path, sizeof path, "%.*s/%s", (int)dir.n, dir.p, s->argv[0]);
        execve(path, argv, envp);
        if (errno != ENOENT && errno != ENOTDIR) return;
    }
}

// Id 0 here is `id` there.
static int write_map(pid_t pid, const char *file, unsigned id)
{
    char path[64], text[32];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    int n = snprintf(text, sizeof text, "%u 0 1", id);
    struct err ignored;
    own(fd) int fd = fs_open(path, O_WRONLY, 0, &ignored);
    return fd >= 0 && write(fd, text, (size_t)n) == n ? 0 : -1;
}

static _Noreturn void child_exec(const struct proc_spec *s, int go, int report)
{
    char c;
    // Without its maps it would be nobody; the end of the pipe means that there are none.
    if (!s->as || read(go, &c, 1) == 1) exec_spec(s);
    int code = errno;
    ssize_t ignored = write(report, &code, sizeof code);
    (void)ignored;
    _exit(127);
}

int proc_start(const struct proc_spec *spec, struct proc *out, struct err *e)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    own(fd) int rd = report[0];
    own(fd) int wr = report[1];
    own(fd) int go_rd = -1;
    own(fd) int go_wr = -1;
    if (spec->as) {
        int go[2];
        if (pipe2(go, O_CLOEXEC) != 0) return err_sys(e, "pipe");
        go_rd = go[0];
        go_wr = go[1];
    }
    struct proc p = PROC_NONE;
    p.pid = proc_fork(spec->as ? CLONE_NEWUSER : 0, &p.fd);
    if (p.pid < 0) return err_sys(e, "start '%s'", spec->argv[0]);
    if (p.pid == 0) {
        if (go_wr >= 0) close(go_wr);
        child_exec(spec, go_rd, wr);
    }
    close(take_fd(wr));
    if (spec->as) {
        bool mapped = write_map(p.pid, "uid_map", spec->as->uid) == 0 &&
                      write_map(p.pid, "gid_map", spec->as->gid) == 0;
        if (mapped && write(go_wr, "", 1) != 1) mapped = false;
        close(take_fd(go_wr));
    }
    int code = 0;
    ssize_t n;
    do n = read(rd, &code, sizeof code);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)sizeof code) {
        int status;
        proc_wait(&p, &status, e);
        return err_sys_code(e, code, "run '%s'", spec->argv[0]);
    }
    *out = p;
    return 0;
}

int proc_wait(struct proc *p, int *out_status, struct err *e)
{
    siginfo_t si = {0};
    int rc;
    do rc = waitid((idtype_t)P_PIDFD, (id_t)p->fd, &si, WEXITED);
    while (rc != 0 && errno == EINTR);
    if (rc != 0) return err_sys(e, "wait for process %d", (int)p->pid);
    close(p->fd);
    *p = PROC_NONE;
    *out_status = si.si_code == CLD_EXITED ? (si.si_status & 0xff) << 8 : si.si_status & 0x7f;
    return 0;
}

void proc_kill(struct proc *p, int sig)
{
    if (p->fd >= 0) syscall(SYS_pidfd_send_signal, p->fd, sig, NULL, 0);
}

// What is mapped without leave to write was never written: relocated data has that leave at first.
static int drop_unchanged(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size, (void)arg;
    uintptr_t page = (uintptr_t)getpagesize();
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        if (h->p_type != PT_LOAD || (h->p_flags & PF_W)) continue;
        uintptr_t from = (info->dlpi_addr + h->p_vaddr) & ~(page - 1);
        uintptr_t to = (info->dlpi_addr + h->p_vaddr + h->p_memsz + page - 1) & ~(page - 1);
        madvise((void *)from, to - from, MADV_DONTNEED);
    }
    return 0;
}

void proc_shrink(void)
{
    malloc_trim(0);
    dl_iterate_phdr(drop_unchanged, NULL);
}

int proc_exit_code(int wait_status)
{
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

int proc_run(const struct proc_spec *spec, const char *what, struct err *e)
{
    struct proc p;
    int status;
    if (proc_start(spec, &p, e) < 0 || proc_wait(&p, &status, e) < 0)
        return err_wrap(e, "%s", what);
    if (status == 0) return 0;
    err_set(e, ERR_SYSTEM, "%s: '%s' ended with status %d", what, spec->argv[0],
            proc_exit_code(status));
    e->status = proc_exit_code(status);
    return -1;
}

int proc_read(const struct proc_spec *spec, size_t max, struct str *out, int *out_status,
              struct err *e)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    own(fd) int rd = ends[0];
    own(fd) int wr = ends[1];
    struct proc_spec s = *spec;
    s.stdout_fd = wr;
    struct proc p;
    if (proc_start(&s, &p, e) < 0) return -1;
    close(take_fd(wr));
    struct err wait_err;
    int rc = fs_read_fd(rd, max, out, e);
    if (rc < 0) proc_kill(&p, SIGKILL);
    if (proc_wait(&p, out_status, &wait_err) < 0 && rc == 0) {
        *e = wait_err;
        return -1;
    }
    return rc;
}

void proc_die_with_parent(pid_t expected_parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != expected_parent) _exit(1);
}

int proc_worker_start(int (*fn)(void *arg, struct err *e), void *arg, struct proc_worker *out,
                      struct err *e)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    own(fd) int rd = ends[0];
    own(fd) int wr = ends[1];
    pid_t me = getpid();
    struct proc p = PROC_NONE;
    p.pid = proc_fork(0, &p.fd);
    if (p.pid < 0) return err_sys(e, "start a worker");
    if (p.pid == 0) {
        proc_die_with_parent(me);
        struct err mine = {0};
        int rc = fn(arg, &mine);
        fflush(NULL);
        if (rc >= 0) _exit(0);
        const char *q = (const char *)&mine;
        for (size_t left = sizeof mine; left;) {
            ssize_t n = write(wr, q, left);
            if (n <= 0) break;
            q += n;
            left -= (size_t)n;
        }
        _exit(1);
    }
    *out = (struct proc_worker){p, take_fd(rd)};
    return 0;
}

int proc_worker_wait(struct proc_worker *w, struct err *e)
{
    struct err theirs;
    size_t got = 0;
    while (got < sizeof theirs) {
        ssize_t n = read(w->err_fd, (char *)&theirs + got, sizeof theirs - got);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        got += (size_t)n;
    }
    close(w->err_fd);
    w->err_fd = -1;
    int status;
    if (proc_wait(&w->proc, &status, e) < 0) return -1;
    if (status == 0) return 0;
    if (got == sizeof theirs) {
        *e = theirs;
        return -1;
    }
    return err_set(e, ERR_INTERNAL, "a worker process died (status %d)", proc_exit_code(status));
}

int proc_start_time(pid_t pid, uint64_t *out)
{
    char path[64], buf[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    own(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t n = read(fd, buf, sizeof buf - 1);
    if (n <= 0) return -1;
    buf[n] = '\0';
    char *p = strrchr(buf, ')');  // the program's name may hold anything, blanks and ')' too
    for (int field = 2; p && field < 22; field++) p = strchr(p + 1, ' ');
    if (!p) return -1;
    *out = strtoull(p + 1, NULL, 10);
    return 0;
}
