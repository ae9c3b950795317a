// SPDX-License-Identifier: Apache-2.0
// The last part of every walk: what the program is given (terminal, limits, label), what is taken from
// it (ids, capabilities, seccomp last), and its execution (enter.c has the order and why).
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include "sandbox/caps.h"
#include "sandbox/enter.h"
#include "sandbox/plan.h"
#include "sandbox/sandbox.h"
#include "sandbox/seccomp.h"

#define CAP_ADMIN ((uint64_t)1 << 21)

// --- terminal and stdio ------------------------------------------------------------------------

void sandbox_enter_send_fd(const struct sandbox_plan *p, enum report_kind kind, int fd,
                           enum step step)
{
    struct report r = {.kind = kind};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec io = {&r, sizeof r};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    sandbox_enter_need(p, sendmsg(p->status_fd, &m, MSG_NOSIGNAL) == (ssize_t)sizeof r, step);
}

// The container's own devpts, told by its kind and not by its name: what lies at '/dev/pts' is the
// container's to change.
int sandbox_enter_ptmx(int root)
{
    int fd = sandbox_enter_open_in(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK,
                                   RESOLVE_NO_SYMLINKS);
    struct statfs fs;
    struct stat st;
    if (fd < 0) return -1;
    if (fstatfs(fd, &fs) != 0 || fs.f_type != DEVPTS_SUPER_MAGIC || fstat(fd, &st) != 0 ||
        !S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2) || fcntl(fd, F_SETFL, 0) != 0) {
        close(fd);
        errno = ENODEV;
        return -1;
    }
    return fd;
}

// The other end comes from the master's descriptor (TIOCGPTPEER), not from a path below /dev/pts.
void sandbox_enter_pty(const struct sandbox_plan *p, int master, int dev)
{
    int zero = 0;
    sandbox_enter_need(p, master >= 0 && ioctl(master, TIOCSPTLCK, &zero) == 0, STEP_PTY);
    int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    sandbox_enter_need(p, slave >= 0, STEP_PTY);
    if (p->user.uid) sandbox_enter_need(p, fchown(slave, p->user.uid, (gid_t)-1) == 0, STEP_PTY);
    int console = dev >= 0 ? sandbox_enter_clone_of(slave, "") : -1;
    if (dev >= 0)
        sandbox_enter_need(p, console >= 0 && sandbox_enter_attach(console, dev, "console") == 0,
                           STEP_PTY);
    sandbox_enter_send_fd(p, REPORT_PTY, master, STEP_PTY);
    sandbox_enter_need(p, ioctl(slave, TIOCSCTTY, 0) == 0, STEP_PTY);
    for (int i = 0; i < 3; i++) sandbox_enter_need(p, dup2(slave, i) == i, STEP_STDIO);
    close(master);
    if (console >= 0) close(console);
    if (slave > 2) close(slave);
}

void sandbox_enter_stdio(const struct sandbox_plan *p, int dev)
{
    if (p->spec->tty) {
        sandbox_enter_pty(p, openat(p->pts_fd, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), dev);
        return;
    }
    for (int i = 0; i < 3; i++) sandbox_enter_need(p, dup2(p->io[i], i) == i, STEP_STDIO);
}

// --- limits, ids, capabilities, seccomp --------------------------------------------------------

void sandbox_enter_limit(const struct sandbox_plan *p)
{
    for (size_t i = 0; i < p->spec->rlimits.n; i++) {
        const struct sandbox_rlimit *l = &p->spec->rlimits.p[i];
        struct rlimit r = {l->soft, l->hard};
        if (setrlimit((__rlimit_resource_t)l->resource, &r) != 0)
            sandbox_enter_fail(p, STEP_RLIMIT, (uint32_t)i);
    }
    if (p->keep_keyring) return;
    // Keys of the caller's session are not the container's. A kernel without keyrings says ENOSYS.
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0) < 0 && errno != ENOSYS &&
        errno != EPERM && errno != EDQUOT)
        sandbox_enter_fail(p, STEP_KEYRING, 0);
}

void sandbox_enter_close(const struct sandbox_plan *p)
{
    sandbox_enter_need(p, close_range(3 + p->keep_fds, ~0U, CLOSE_RANGE_CLOEXEC) == 0, STEP_CLOSE);
    // The doorstep closes it when it executes the program.
    if (p->doorstep_fd >= 0)
        sandbox_enter_need(p, fcntl(p->status_fd, F_SETFD, 0) == 0, STEP_CLOSE);
}

void sandbox_enter_attributes(const struct sandbox_plan *p)
{
    const struct sandbox_attributes *a = &p->attributes;
    if (a->has_personality) sandbox_enter_need(p, personality(a->personality) >= 0, STEP_PERSONALITY);
    if (a->has_io) sandbox_enter_need(p, syscall(SYS_ioprio_set, 1, 0, a->io) == 0, STEP_IO_PRIORITY);
    if (a->has_scheduler)
        sandbox_enter_need(p, syscall(SYS_sched_setattr, 0, &a->scheduler, 0) == 0, STEP_SCHEDULER);
    if (a->has_cpus)
        sandbox_enter_need(p, sched_setaffinity(0, sizeof a->cpus, &a->cpus) == 0, STEP_AFFINITY);
    if (a->has_umask) umask(a->umask);
}

static int set_caps(const struct sandbox_caps *s, uint64_t also)
{
    uint64_t eff = s->effective | also, per = s->permitted | also;
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2] = {
        {(uint32_t)eff, (uint32_t)per, (uint32_t)s->inheritable},
        {(uint32_t)(eff >> 32), (uint32_t)(per >> 32), (uint32_t)(s->inheritable >> 32)},
    };
    return (int)syscall(SYS_capset, &h, d);
}

static bool caps_are(const struct sandbox_caps *want)
{
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2] = {0};
    if (syscall(SYS_capget, &h, d) != 0) return false;
    uint64_t eff = d[0].effective | (uint64_t)d[1].effective << 32;
    uint64_t per = d[0].permitted | (uint64_t)d[1].permitted << 32;
    uint64_t inh = d[0].inheritable | (uint64_t)d[1].inheritable << 32;
    return eff == want->effective && per == want->permitted && inh == want->inheritable;
}

static void raise_ambient(const struct sandbox_plan *p, uint64_t bits)
{
    for (unsigned c = 0; c <= CAPS_LAST; c++)
        if (bits >> c & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0) != 0)
            sandbox_enter_fail(p, STEP_CAPS, c);
}

static void become_user(const struct sandbox_plan *p, const struct sandbox_caps *last)
{
    for (unsigned c = 0; c <= CAPS_LAST + 8; c++) {
        if (last->bounding >> c & 1) continue;
        if (prctl(PR_CAPBSET_DROP, c, 0, 0, 0) != 0) {
            if (errno == EINVAL) break;  // past the kernel's last one
            sandbox_enter_fail(p, STEP_BOUNDING, c);
        }
    }
    sandbox_enter_need(p, prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0, STEP_CAPS);
    sandbox_enter_need(p, prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0, STEP_CAPS);
    // Where a user namespace has setgroups(2) switched off, there is nothing to take away either.
    if (!p->keep_groups)
        sandbox_enter_need(p, syscall(SYS_setgroups, p->user.n, p->user.groups) == 0, STEP_GROUPS);
    sandbox_enter_need(p, syscall(SYS_setresgid, p->user.gid, p->user.gid, p->user.gid) == 0,
                       STEP_GID);
    sandbox_enter_need(p, syscall(SYS_setresuid, p->user.uid, p->user.uid, p->user.uid) == 0,
                       STEP_UID);
    sandbox_enter_need(p, set_caps(last, CAP_ADMIN) == 0, STEP_CAPS);
    sandbox_enter_need(p, prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) == 0, STEP_CAPS);
    raise_ambient(p, last->ambient);
    prctl(PR_SET_DUMPABLE, 0);  // a change of ids resets it
    sandbox_enter_follow_parent(p);
}

static void check_readback(const struct sandbox_plan *p, const struct sandbox_caps *last)
{
    int code = 0;
    if (p->spec->no_new_privs && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) code = 1;
    if (p->seccomp.len && prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 2) code = 2;
    if (!caps_are(last)) code = 3;
    for (unsigned c = 0; c <= CAPS_LAST && !code; c++) {
        int have = prctl(PR_CAPBSET_READ, c, 0, 0, 0);
        if (have >= 0 && (uint64_t)have != (last->bounding >> c & 1)) code = 4;
    }
    if (getuid() != p->user.uid || geteuid() != p->user.uid || getgid() != p->user.gid) code = 5;
    if (!code) return;
    errno = 0;
    sandbox_enter_fail(p, STEP_READBACK, (uint32_t)code);
}

static void load_filter(const struct sandbox_plan *p)
{
    if (!p->seccomp.len) return;
    long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, p->seccomp_flags, &p->seccomp);
    sandbox_enter_need(p, fd >= 0, STEP_SECCOMP);
    if (!(p->seccomp_flags & SECCOMP_FILTER_FLAG_NEW_LISTENER)) return;
    sandbox_enter_send_fd(p, REPORT_LISTENER, (int)fd, STEP_SECCOMP);
    sandbox_enter_wait(p);  // until somebody has it who can answer
}

void sandbox_enter_restrict(const struct sandbox_plan *p)
{
    struct sandbox_caps last = p->sets;
    if (!p->sets_given) {
        uint64_t root = p->user.uid == 0 ? p->caps : 0;
        last = (struct sandbox_caps){.bounding = p->caps, .effective = root, .permitted = root};
    }
    become_user(p, &last);
    if (p->spec->no_new_privs) {
        sandbox_enter_need(p, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, STEP_NO_NEW_PRIVS);
        sandbox_enter_need(p, set_caps(&last, 0) == 0, STEP_CAPS);
    }
    load_filter(p);
    if (!p->spec->no_new_privs) sandbox_enter_need(p, set_caps(&last, 0) == 0, STEP_CAPS);
    check_readback(p, &last);
}

// Through a descriptor of proc that no mount of the container's can cover. The files of a process
// that is not dumpable belong to the real root.
void sandbox_enter_label(const struct sandbox_plan *p, int proc)
{
    struct statfs fs;
    sandbox_enter_need(p, proc >= 0 && fstatfs(proc, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC,
                       STEP_PROC_CHECK);
    prctl(PR_SET_DUMPABLE, 1);
    int fd = openat(proc, p->label_file, O_WRONLY | O_CLOEXEC);
    size_t n = strlen(p->label);
    sandbox_enter_need(p, fd >= 0 && write(fd, p->label, n) == (ssize_t)n, STEP_LABEL);
    close(fd);
    prctl(PR_SET_DUMPABLE, 0);
}

// --- exec --------------------------------------------------------------------------------------

// errno is not ours to keep here: execute.h is also compiled for a program that has none.
static long execute_call(long nr, long a, long b, long c, long d)
{
    long rc = syscall(nr, a, b, c, d);
    return rc < 0 ? -errno : rc;
}

#include "sandbox/execute.h"

static struct execute execute_of(const struct sandbox_plan *p)
{
    return (struct execute){.candidates = p->candidates.p,
                            .n = p->candidates.n,
                            .argv = p->argv,
                            .envp = p->envp,
                            .init = p->spec->init,
                            .status_fd = p->status_fd};
}

// The doorstep (helper/doorstep.c) goes on from here. A person's own seccomp profile has always had
// to allow execve, so nothing else is used where there is one.
static _Noreturn void cross_doorstep(const struct sandbox_plan *p)
{
    char head[48], path[48];
    snprintf(head, sizeof head, "%d %zu %d", p->status_fd, p->candidates.n, p->spec->init ? 1 : 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", p->doorstep_fd);
    p->doorstep_argv[0] = head;
    if (!p->spec->seccomp_file)
        syscall(SYS_execveat, p->doorstep_fd, "", p->doorstep_argv, p->envp, AT_EMPTY_PATH);
    else
        execve(path, p->doorstep_argv, p->envp);
    struct execute x = execute_of(p);
    execute_none(&x, errno, 0);
}

_Noreturn void sandbox_enter_execute(const struct sandbox_plan *p)
{
    struct execute x = execute_of(p);
    if (p->doorstep_fd >= 0) cross_doorstep(p);
    execute_all(&x);
}

void sandbox_enter_look(const struct sandbox_plan *p)
{
    struct execute x = execute_of(p);
    int seen = ENOENT;
    size_t at = 0;
    for (size_t i = 0; i < x.n; i++) {
        struct stat st;
        if (execute_stat(x.candidates[i], &st) != 0) continue;
        if (S_ISREG(st.st_mode) && faccessat(AT_FDCWD, x.candidates[i], X_OK, 0) == 0) return;
        seen = EACCES;
        at = i;
    }
    execute_none(&x, seen, at);
}
