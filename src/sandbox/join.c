// SPDX-License-Identifier: Apache-2.0
// A program that joins a container: see join.h for who does what.
#include "sandbox/join.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/own.h"
#include "sandbox/caps.h"
#include "sandbox/cgroup.h"
#include "sandbox/doorstep.h"
#include "sandbox/enter.h"
#include "sandbox/launch.h"
#include "sandbox/plan.h"
#include "sandbox/sandbox.h"

static const struct {
    const char *name;  // below /proc/PID/ns
    uint64_t flag;
} kinds[JOIN_COUNT] = {
    [JOIN_USER] = {"user", CLONE_NEWUSER}, [JOIN_IPC] = {"ipc", CLONE_NEWIPC},
    [JOIN_UTS] = {"uts", CLONE_NEWUTS},    [JOIN_NET] = {"net", CLONE_NEWNET},
    [JOIN_PID] = {"pid", CLONE_NEWPID},    [JOIN_CGROUP] = {"cgroup", CLONE_NEWCGROUP},
    [JOIN_TIME] = {"time", CLONE_NEWTIME}, [JOIN_MNT] = {"mnt", CLONE_NEWNS},
};

const char *sandbox_join_name(uint32_t which)
{
    return which < JOIN_COUNT ? kinds[which].name : "";
}

uint64_t sandbox_join_flag(enum sandbox_join_ns which)
{
    return kinds[which].flag;
}

void sandbox_join_fini(struct sandbox_join *j)
{
    if (j->pidfd >= 0) close(take_fd(j->pidfd));
    if (j->root_fd >= 0) close(take_fd(j->root_fd));
    for (int i = 0; i < JOIN_COUNT; i++)
        if (j->fd[i] >= 0) close(take_fd(j->fd[i]));
}

int sandbox_join_open(struct sandbox_join *j, enum sandbox_join_ns which, const char *path,
                      struct err *e)
{
    own(fd) int fd = fs_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, e);
    if (fd < 0) return err_wrap(e, "opening the %s namespace", kinds[which].name);
    struct statfs fs;
    int type = fstatfs(fd, &fs) == 0 && fs.f_type == NSFS_MAGIC ? ioctl(fd, NS_GET_NSTYPE) : -1;
    if (type < 0 || (uint64_t)(unsigned)type != kinds[which].flag)
        return err_set(e, ERR_INPUT, "'%s' is no %s namespace", path, kinds[which].name);
    if (j->fd[which] >= 0) close(j->fd[which]);
    j->fd[which] = take_fd(fd);
    return 0;
}

static bool same_namespace(int ours, int theirs, const char *name)
{
    struct stat a, b;
    return fstatat(ours, name, &a, 0) == 0 && fstatat(theirs, name, &b, 0) == 0 &&
           a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static int open_root(pid_t pid, int *out, struct err *e)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/root", (int)pid);
    int fd = fs_open(path, O_PATH | O_DIRECTORY, 0, e);
    if (fd < 0) return err_wrap(e, "opening the container's root");
    *out = fd;
    return 0;
}

int sandbox_join_open_process(struct sandbox_join *j, int pidfd, pid_t pid, struct err *e)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns", (int)pid);
    own(fd) int ours = fs_open("/proc/self/ns", O_PATH | O_DIRECTORY, 0, e);
    if (ours < 0) return -1;
    own(fd) int theirs = fs_open(path, O_PATH | O_DIRECTORY, 0, e);
    if (theirs < 0) return -1;
    uint64_t flags = 0;
    for (int i = 0; i < JOIN_COUNT; i++) {
        struct stat st;
        if (fstatat(theirs, kinds[i].name, &st, 0) != 0) {
            if (errno == ENOENT) continue;  // a kernel without this kind
            return err_sys(e, "look at the namespaces of process %d", (int)pid);
        }
        if (!same_namespace(ours, theirs, kinds[i].name)) flags |= kinds[i].flag;
    }
    if (!(flags & CLONE_NEWNS) && open_root(pid, &j->root_fd, e) < 0) return -1;
    // Alive after its files were looked at: then they were its own, not a successor's.
    if (syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) != 0)
        return err_set(e, ERR_CONFLICT, "the container's process %d has ended", (int)pid);
    j->pidfd = fcntl(pidfd, F_DUPFD_CLOEXEC, 3);
    j->flags = flags;
    return j->pidfd < 0 ? err_sys(e, "keep a pidfd") : 0;
}

// --- in between --------------------------------------------------------------------------------

static int put_oom_score(const struct sandbox_join *j)
{
    if (!j->has_oom_score_adj) return 0;
    char text[24];
    int n = snprintf(text, sizeof text, "%d", (int)j->oom_score_adj);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t rc = write(fd, text, (size_t)n);
    close(fd);
    return rc == n ? 0 : -1;
}

int sandbox_join_enter(const struct sandbox_join *j, uint32_t *out_which)
{
    *out_which = JOIN_COUNT;
    if (j->pidfd >= 0 && j->flags && setns(j->pidfd, (int)j->flags) != 0) return -1;
    for (uint32_t i = 0; i < JOIN_COUNT; i++) {
        *out_which = i;
        if (j->fd[i] >= 0 && setns(j->fd[i], (int)kinds[i].flag) != 0) return -1;
    }
    if (!(j->flags & CLONE_NEWUSER) && j->fd[JOIN_USER] < 0) return 0;
    // Root of the namespace that was entered; where it has no id 0 the rights alone must do.
    if (syscall(SYS_setresgid, 0, 0, 0) != 0 && errno != EINVAL) return -1;
    if (syscall(SYS_setresuid, 0, 0, 0) != 0 && errno != EINVAL) return -1;
    return 0;
}

// A new time namespace takes its offsets as long as nobody is in it: our child will be the first.
static int make_clocks(const char *offsets)
{
    if (unshare(CLONE_NEWTIME) != 0) return -1;
    prctl(PR_SET_DUMPABLE, 1);
    int fd = offsets[0] ? open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC) : -1;
    ssize_t n = fd >= 0 ? write(fd, offsets, strlen(offsets)) : 0;
    if (fd >= 0) close(fd);
    prctl(PR_SET_DUMPABLE, 0);
    return (!offsets[0] || fd >= 0) && n == (ssize_t)strlen(offsets) ? 0 : -1;
}

// Its exit signal is this process's own: with CLONE_PARENT the kernel takes that.
static pid_t fork_sibling(uint64_t flags)
{
    struct clone_args args = {.flags = flags | CLONE_PARENT};
    return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

// Whose child nobody knows must not become the program. One that changes nothing but itself on its way
// there asks at the end of it, when the answer has long come.
static bool waits_late(const struct sandbox_plan *p)
{
    return p->guest && !p->parent_joins;
}

static _Noreturn void go_between(const struct sandbox_plan *p, int pid_fd)
{
    uint32_t which = 0;
    close(p->peer_fd);
    prctl(PR_SET_DUMPABLE, 0);
    if (put_oom_score(p->join) != 0) sandbox_enter_fail(p, STEP_OOM_SCORE, 0);
    if (sandbox_join_enter(p->join, &which) != 0) sandbox_enter_fail(p, STEP_JOIN, which);
    if (p->join->time_offsets && make_clocks(p->join->time_offsets) != 0)
        sandbox_enter_fail(p, STEP_JOIN, JOIN_TIME);
    // Whoever is not dumpable has /proc files of the real root's: a user could not write its maps.
    if (p->own_userns && p->user_mode) prctl(PR_SET_DUMPABLE, 1);
    pid_t pid = fork_sibling(p->clone_flags);
    if (pid == 0) {
        close(pid_fd);
        if (!waits_late(p)) sandbox_enter_wait(p);
        sandbox_enter_run(p);
    }
    if (pid < 0) sandbox_enter_fail(p, STEP_NONE, 0);
    _exit(write(pid_fd, &pid, sizeof pid) == (ssize_t)sizeof pid ? 0 : 125);
}

// The child is ours and not waited for, so its number cannot become another's before this.
static int adopt(pid_t pid, struct proc *out, struct err *e)
{
    out->pid = pid;
    out->fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return out->fd < 0 ? err_sys(e, "open a pidfd of process %d", (int)pid) : 0;
}

pid_t sandbox_join_fork(const struct sandbox_plan *p, struct proc *out, struct err *e)
{
    int ends[2], status = 0;
    if (pipe2(ends, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    own(fd) int rd = ends[0];
    own(fd) int wr = ends[1];
    struct proc between = PROC_NONE;
    between.pid = proc_fork(0, &between.fd);
    if (between.pid < 0) return err_sys(e, "start a process");
    if (between.pid == 0) go_between(p, wr);
    close(take_fd(wr));
    pid_t pid = 0;
    ssize_t n;
    do n = read(rd, &pid, sizeof pid);
    while (n < 0 && errno == EINTR);
    *out = PROC_NONE;
    int rc = n == (ssize_t)sizeof pid ? adopt(pid, out, e) : 0;
    if (out->fd >= 0)
        send(p->peer_fd, "x", 1, MSG_NOSIGNAL);  // where it has ended, its report says why
    else
        shutdown(p->peer_fd, SHUT_WR);  // its report, or it was killed: its child, if any, ends
    struct err late;
    return proc_wait(&between, &status, rc < 0 ? &late : e) < 0 ? -1 : rc;
}

// --- the program -------------------------------------------------------------------------------

static _Noreturn void walk(const struct sandbox_plan *p)
{
    sandbox_enter_begin(p);
    if (p->parent_joins) sandbox_enter_wait(p);
    int own_root = p->join->root_fd;  // no namespace brings it along
    sandbox_enter_need(p, own_root < 0 || (fchdir(own_root) == 0 && chroot(".") == 0), STEP_ROOT);
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    sandbox_enter_need(p, root >= 0, STEP_ROOT);
    sandbox_enter_workdir_at(p, sandbox_enter_open_in(root, p->workdir, O_PATH | O_DIRECTORY, 0));
    if (p->spec->tty)
        sandbox_enter_pty(p, sandbox_enter_ptmx(root), -1);
    else
        for (int i = 0; i < 3; i++) sandbox_enter_need(p, dup2(p->io[i], i) == i, STEP_STDIO);
    sandbox_enter_limit(p);
    sandbox_enter_attributes(p);
    if (p->label) sandbox_enter_label(p, sandbox_enter_new_fs("proc", 0));
    if (waits_late(p)) sandbox_enter_wait(p);
    sandbox_enter_close(p);
    sandbox_enter_restrict(p);
    sandbox_enter_execute(p);
}

// A user namespace whose maps an ordinary user wrote by hand has setgroups(2) switched off for
// good.
static bool groups_denied(pid_t pid)
{
    char path[64];
    struct err ignored;
    own(str) struct str text = {0};
    snprintf(path, sizeof path, "/proc/%d/setgroups", (int)pid);
    return fs_read_at(AT_FDCWD, path, 64, &text, &ignored) == 0 && sv_starts(str_sv(&text), "deny");
}

void sandbox_join_plan(struct sandbox_plan *p, const struct sandbox_join *join, pid_t pid)
{
    p->join = join;
    p->walk = walk;
    p->guest = true;
    p->keep_groups = groups_denied(pid);
}

int sandbox_join_start(struct engine *en, const struct sandbox_join_options *j,
                       const struct sandbox_stdio *io, struct sandbox *out, struct err *e)
{
    own(sandbox_join) struct sandbox_join join = JOIN_NONE;
    own(fd) int root_fd = -1;
    *out = (struct sandbox){.proc = PROC_NONE, .pty_fd = -1};
    // The root before the check that the process still lives.
    if (open_root(j->pid, &root_fd, e) < 0 ||
        sandbox_join_open_process(&join, j->pidfd, j->pid, e) < 0)
        return -1;
    join.has_oom_score_adj = j->spec->has_oom_score_adj;
    join.oom_score_adj = (int32_t)j->spec->oom_score_adj;
    own(sandbox_plan) struct sandbox_plan plan = {0};
    sandbox_plan_begin(en, j->spec, &plan);
    sandbox_join_plan(&plan, &join, j->pid);
    const struct root root = {root_fd, "the container"};
    if (sandbox_caps_plan(j->spec, &plan.caps, e) < 0 ||
        sandbox_plan_process(&plan, &root, NULL, io, e) < 0 ||
        sandbox_doorstep_use(&plan, j->doorstep_fd, e) < 0)
        return -1;
    if (j->cgroup && j->cgroup[0] && sandbox_cgroup_open(j->cgroup, j->pid, &plan.cgroup, e) < 0)
        return -1;
    // The way from our own group to that one may be systemd's alone: then we ask it.
    plan.parent_joins = plan.user_mode && plan.cgroup.n;
    return sandbox_launch(&plan, NULL, out, e);
}
