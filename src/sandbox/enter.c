// SPDX-License-Identifier: Apache-2.0
// The child, from clone3 to exec. Role: process 1 of new namespaces, with all capabilities that the
// engine has in its user namespace, and with the image's files as its root from the middle on. It
// walks the plan with raw system calls: no allocation, no stdio, no locks, nothing of the image is
// executed or loaded. A failure is one `struct report` on a socket that closes at exec.
//
// Order, and why
//   mounts private -> engine's tmpfs attached and cut into pieces (a mount can only be cloned while
//   it is attached) -> new proc, sysctls through its own descriptor, never through a path -> root
//   attached over '/', pivot, old root dropped -> kernel file systems, masks -> the user's mounts,
//   each target resolved inside the root right before -> working directory -> terminal -> limits ->
//   ids and capabilities -> seccomp last -> read everything back -> exec.
// With no_new_privs the filter goes in after the last capability is gone. Without it the kernel
// wants CAP_SYS_ADMIN for that, so one capset follows the filter.
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "sandbox/enter.h"
#include "sandbox/plan.h"
#include "sandbox/proc_sys.h"
#include "sandbox/sandbox.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#define NODEV_ALL (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

// --- the parts, in order -----------------------------------------------------------------------

struct views {
    int dev, empty, file[PLAN_FILES];  // pieces of the scratch tmpfs
    int proc, sys, cgroup;
    bool empty_used;
};

// The kernel forgets the death signal at every change of ids, so this is said again after that.
void sandbox_enter_follow_parent(const struct sandbox_plan *p)
{
    if (p->spec->detach) return;
    sandbox_enter_need(p, prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, STEP_PARENT);
    // The parent may have died before that: its end of the socket is closed then.
    struct report r = {.kind = REPORT_STUB};
    if (send(p->status_fd, &r, sizeof r, MSG_NOSIGNAL) < 0) _exit(125);
}

void sandbox_enter_wait(const struct sandbox_plan *p)
{
    char go;
    ssize_t n;
    do n = recv(p->status_fd, &go, 1, 0);
    while (n < 0 && errno == EINTR);
    if (n != 1) _exit(125);  // the parent failed and knows why, or is dead
}

// The parent writes the mapping and says so. Before anything that a change of ids would undo.
static void wait_for_maps(const struct sandbox_plan *p)
{
    sandbox_enter_wait(p);
    sandbox_enter_need(p, p->keep_groups || syscall(SYS_setgroups, 0, NULL) == 0, STEP_USERNS);
    sandbox_enter_need(p, syscall(SYS_setresgid, 0, 0, 0) == 0, STEP_USERNS);
    sandbox_enter_need(p, syscall(SYS_setresuid, 0, 0, 0) == 0, STEP_USERNS);
}

void sandbox_enter_begin(const struct sandbox_plan *p)
{
    close(p->peer_fd);  // the parent's end: only then its death can be seen
    if (p->own_userns) wait_for_maps(p);
    sandbox_enter_follow_parent(p);
    prctl(PR_SET_DUMPABLE, 0);
    sandbox_enter_need(p, setsid() >= 0, STEP_SESSION);
    umask(022);
    for (unsigned i = 0; i < p->cgroup.n && !p->parent_joins; i++)
        if (write(p->cgroup.join[i], "0", 1) != 1 && i + p->cgroup.loose < p->cgroup.n)
            sandbox_enter_fail(p, STEP_CGROUP, i);
}

static void leave_outside(const struct sandbox_plan *p)
{
    // Only now that we are in it: the namespace begins at the container's own control group.
    sandbox_enter_need(p, p->spec->host_cgroupns || unshare(CLONE_NEWCGROUP) == 0, STEP_CGROUP_NS);
    sandbox_enter_need(p, mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0, STEP_PRIVATE);
}

static uint64_t sys_attributes(const struct sandbox_plan *p)
{
    return NODEV_ALL | (p->spec->privileged ? 0 : MOUNT_ATTR_RDONLY);
}

static void cut_scratch(const struct sandbox_plan *p, struct views *v)
{
    // Anywhere in the old root, so that it goes when that goes: every umount waits for RCU.
    sandbox_enter_need(p, sandbox_enter_attach(p->scratch_fd, AT_FDCWD, "/dev") == 0, STEP_SCRATCH);
    v->dev = sandbox_enter_clone_of(p->scratch_fd, "dev");
    v->empty = sandbox_enter_clone_of(p->scratch_fd, "empty");
    sandbox_enter_need(p, v->dev >= 0 && v->empty >= 0, STEP_SCRATCH);
    struct mount_attr ro = {.attr_set = NODEV_ALL | MOUNT_ATTR_RDONLY};
    sandbox_enter_need(p, mount_setattr(v->empty, "", AT_EMPTY_PATH, &ro, sizeof ro) == 0,
                       STEP_SCRATCH);
    if (p->shows_groups) {
        struct mount_attr a = {.attr_set = sys_attributes(p)};
        v->cgroup = sandbox_enter_clone_of(p->scratch_fd, "cgroup");
        sandbox_enter_need(
            p, v->cgroup >= 0 && mount_setattr(v->cgroup, "", AT_EMPTY_PATH, &a, sizeof a) == 0,
            STEP_MOUNT_CGROUP);
    }
    for (int i = 0; i < PLAN_FILES; i++) {
        v->file[i] = -1;
        if (!p->files[i].used) continue;
        v->file[i] = sandbox_enter_clone_of(p->scratch_fd, p->files[i].name);
        struct mount_attr a = {.attr_set = NODEV_ALL};
        if (p->files[i].readonly) a.attr_set |= MOUNT_ATTR_RDONLY;
        sandbox_enter_need(
            p, v->file[i] >= 0 && mount_setattr(v->file[i], "", AT_EMPTY_PATH, &a, sizeof a) == 0,
            STEP_SCRATCH);
    }
}

void sandbox_enter_sysctls(const struct sandbox_plan *p, int proc)
{
    for (size_t i = 0; i < p->sysctls.n; i++) {
        const struct sandbox_plan_sysctl *s = &p->sysctls.p[i];
        size_t n = strlen(s->value);
        int fd = openat(proc, s->path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        bool ok = fd >= 0 && write(fd, s->value, n) == (ssize_t)n;
        if (!ok && !s->optional) sandbox_enter_fail(p, STEP_SYSCTL, (uint32_t)i);
        if (fd >= 0) close(fd);
    }
}

static void new_proc(const struct sandbox_plan *p, struct views *v)
{
    v->proc = p->proc_fd >= 0 ? p->proc_fd : sandbox_enter_new_fs("proc", NODEV_ALL);
    sandbox_enter_need(p, v->proc >= 0, STEP_PROC_NEW);
    struct statfs fs;
    sandbox_enter_need(p, fstatfs(v->proc, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC,
                       STEP_PROC_CHECK);
    sandbox_enter_sysctls(p, v->proc);
    if (p->spec->has_oom_score_adj) {
        char text[24];
        int n = snprintf(text, sizeof text, "%d", (int)p->spec->oom_score_adj);
        // The files of a process that is not dumpable belong to the real root.
        prctl(PR_SET_DUMPABLE, 1);
        int fd = openat(v->proc, "self/oom_score_adj", O_WRONLY | O_CLOEXEC);
        sandbox_enter_need(p, fd >= 0 && write(fd, text, (size_t)n) == n, STEP_OOM_SCORE);
        close(fd);
        prctl(PR_SET_DUMPABLE, 0);
    }
}

// In a user namespace the kernel lets us make these only while the host's own are in sight.
static void new_sys(const struct sandbox_plan *p, struct views *v)
{
    uint64_t attr = sys_attributes(p);
    v->sys = p->sys_fd >= 0 ? p->sys_fd : sandbox_enter_new_fs("sysfs", attr);
    sandbox_enter_need(p, v->sys >= 0, STEP_MOUNT_SYS);
    if (p->cgroup2)
        sandbox_enter_need(p, (v->cgroup = sandbox_enter_new_fs("cgroup2", attr)) >= 0,
                           STEP_MOUNT_CGROUP);
}

static void loopback(const struct sandbox_plan *p)
{
    if (p->spec->net != SANDBOX_NET_NONE) return;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq r = {.ifr_name = "lo"};
    r.ifr_flags = IFF_UP | IFF_RUNNING;
    sandbox_enter_need(p, fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &r) == 0, STEP_LOOPBACK);
    close(fd);
}

static void change_root(const struct sandbox_plan *p)
{
    sandbox_enter_need(p, sandbox_enter_attach(p->root_fd, AT_FDCWD, "/") == 0, STEP_ROOT);
    sandbox_enter_need(p, fchdir(p->root_fd) == 0, STEP_ROOT);
    if (syscall(SYS_pivot_root, ".", ".") == 0) {
        sandbox_enter_need(p, umount2(".", MNT_DETACH) == 0, STEP_OLD_ROOT);
        struct statx mine = {0}, up = {0};
        sandbox_enter_need(p,
                           statx(p->root_fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &mine) == 0 &&
                               statx(AT_FDCWD, "/..", 0, STATX_MNT_ID, &up) == 0,
                           STEP_OLD_ROOT);
        errno = EBUSY;
        sandbox_enter_need(p, mine.stx_mnt_id == up.stx_mnt_id, STEP_OLD_ROOT);
    } else {
        // The machine runs from its initramfs, which cannot be pivoted away. Ours is mounted on top
        // of it, and ".." from inside cannot come below a mount that covers "/".
        sandbox_enter_need(p, errno == EINVAL && chroot(".") == 0, STEP_PIVOT);
    }
    sandbox_enter_need(p, chdir("/") == 0, STEP_PIVOT);
}

// '/proc', '/sys' and '/dev' must be real folders of the image: a link would lead the set-up
// astray.
static void enter_mount_at(const struct sandbox_plan *p, int tree, const char *where,
                           enum step step)
{
    int at = sandbox_enter_open_in(p->root_fd, where, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
    if (at < 0 && errno == ENOENT && sandbox_enter_make_last(p, where, true) == 0)
        at = sandbox_enter_open_in(p->root_fd, where, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
    sandbox_enter_need(p, at >= 0 && tree >= 0 && sandbox_enter_attach(tree, at, "") == 0, step);
    close(at);
}

static void put_device(const struct sandbox_plan *p, int dev, int node, const char *name,
                       uint32_t index)
{
    if (sandbox_enter_attach(node, dev, name) != 0) sandbox_enter_fail(p, STEP_DEVICE, index);
}

static void mount_dev(const struct sandbox_plan *p, struct views *v)
{
    enter_mount_at(p, v->dev, "/dev", STEP_MOUNT_DEV);
    sandbox_enter_need(p, sandbox_enter_attach(p->pts_fd, v->dev, "pts") == 0, STEP_MOUNT_PTS);
    if (p->shm_fd >= 0)
        sandbox_enter_need(p, sandbox_enter_attach(p->shm_fd, v->dev, "shm") == 0, STEP_MOUNT_SHM);
    bool joins = sandbox_join_has(p->join, JOIN_IPC);
    if (p->spec->mqueue_fd > 0 || (!p->spec->host_ipc && !joins)) {
        int mq = joins ? p->spec->mqueue_fd : sandbox_enter_new_fs("mqueue", NODEV_ALL);
        sandbox_enter_need(p, mq >= 0 && sandbox_enter_attach(mq, v->dev, "mqueue") == 0,
                           STEP_MOUNT_MQUEUE);
        close(mq);
    }
    for (size_t i = 0; i < p->devices.n; i++)
        if (p->devices.p[i].fd >= 0)
            put_device(p, v->dev, p->devices.p[i].fd, p->devices.p[i].target, (uint32_t)i);
    if (p->init_fd >= 0) put_device(p, v->dev, p->init_fd, p->argv[0] + 5, 0);
}

static void mount_sys(const struct sandbox_plan *p, struct views *v)
{
    enter_mount_at(p, v->sys, "/sys", STEP_MOUNT_SYS);
    if (v->cgroup < 0) return;
    sandbox_enter_need(p, sandbox_enter_attach(v->cgroup, v->sys, "fs/cgroup") == 0,
                       STEP_MOUNT_CGROUP);
    for (size_t i = 0; i < p->groups.n; i++)
        sandbox_enter_need(
            p, sandbox_enter_attach(p->groups.p[i].fd, v->cgroup, p->groups.p[i].name) == 0,
            STEP_MOUNT_CGROUP);
    close(v->cgroup);
}

// Covers fs/path with the null device (a file) or the shared empty folder. Mounts are cloned where
// they are attached: the null device from /dev, after its numbers were checked; the empty folder
// from the first place that it covers.
static void mask_one(const struct sandbox_plan *p, struct views *v, int fs, const char *path,
                     bool dir, uint32_t index)
{
    struct stat st;
    int cover = v->empty;
    if (!dir) {
        cover = sandbox_enter_clone_of(v->dev, "null");
        if (cover < 0 || fstat(cover, &st) != 0 || !S_ISCHR(st.st_mode) ||
            st.st_rdev != makedev(1, 3))
            sandbox_enter_fail(p, STEP_MASK, index);
    } else if (v->empty_used) {
        cover = sandbox_enter_clone_of(v->empty, "");
    }
    if (cover < 0 || sandbox_enter_attach(cover, fs, path) != 0)
        sandbox_enter_fail(p, STEP_MASK, index);
    if (dir && !v->empty_used)
        v->empty_used = true;
    else
        close(cover);
}

static void mask_paths(const struct sandbox_plan *p, struct views *v, int fs,
                       const struct sandbox_proc_path *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct stat st;
        if (fstatat(fs, rows[i].path, &st, AT_SYMLINK_NOFOLLOW) == 0)
            mask_one(p, v, fs, rows[i].path, S_ISDIR(st.st_mode), (uint32_t)i);
        else if (errno != ENOENT && errno != EACCES)
            sandbox_enter_fail(p, STEP_MASK, (uint32_t)i);
    }
}

// One more per processor on machines whose processors can throttle; cpu0 tells.
static void mask_throttle(const struct sandbox_plan *p, struct views *v)
{
    for (unsigned cpu = 0; cpu < 8192; cpu++) {
        char path[64];
        snprintf(path, sizeof path, "devices/system/cpu/cpu%u/thermal_throttle", cpu);
        struct stat st;
        if (fstatat(v->sys, path, &st, AT_SYMLINK_NOFOLLOW) != 0) return;
        mask_one(p, v, v->sys, path, true, cpu);
    }
}

static void readonly_paths(const struct sandbox_plan *p, int proc)
{
    for (size_t i = 0; i < sandbox_proc_readonly_n; i++) {
        int tree =
            open_tree(proc, sandbox_proc_readonly[i],
                      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW);
        if (tree < 0 && errno == ENOENT) continue;
        struct mount_attr a = {.attr_set = MOUNT_ATTR_RDONLY};
        if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &a, sizeof a) != 0 ||
            sandbox_enter_attach(tree, proc, sandbox_proc_readonly[i]) != 0)
            sandbox_enter_fail(p, STEP_READONLY_PATH, (uint32_t)i);
        close(tree);
    }
}

static void kernel_mounts(const struct sandbox_plan *p, struct views *v)
{
    mount_dev(p, v);
    enter_mount_at(p, v->proc, "/proc", STEP_MOUNT_PROC);
    mount_sys(p, v);
    if (p->spec->privileged || p->spec->unmask) return;
    mask_paths(p, v, v->proc, sandbox_proc_masked, sandbox_proc_masked_n);
    mask_paths(p, v, v->sys, sandbox_sys_masked, sandbox_sys_masked_n);
    mask_throttle(p, v);
    readonly_paths(p, v->proc);
}

// --- the engine's files and the user's mounts --------------------------------------------------

static void engine_files(const struct sandbox_plan *p, const struct views *v)
{
    struct statx root = {0};
    sandbox_enter_need(p, statx(p->root_fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &root) == 0,
                       STEP_SCRATCH);
    for (int i = 0; i < PLAN_FILES; i++) {
        if (v->file[i] < 0) continue;
        int at = sandbox_enter_open_or_make(p, p->files[i].target, false);
        struct statx st = {0};
        // An image may have a folder or a broken link there: it keeps what it has. A link of its
        // own must not lead our file over a part of /proc or /dev either.
        if (at < 0 || statx(at, "", AT_EMPTY_PATH, STATX_TYPE | STATX_MNT_ID, &st) != 0 ||
            !S_ISREG(st.stx_mode) || st.stx_mnt_id != root.stx_mnt_id) {
            if (at >= 0) close(at);
            continue;
        }
        if (sandbox_enter_attach(v->file[i], at, "") != 0)
            sandbox_enter_fail(p, STEP_SCRATCH, (uint32_t)i);
        close(at);
    }
}

// Nothing is mounted over proc or below it, where set-up and programs trust what they read; the
// files that resource views replace are the exception.
bool sandbox_enter_covers_proc(const char *target, int at)
{
    static const char *const fine[] = {"cpuinfo", "diskstats", "loadavg", "meminfo", "stat",
                                       "swaps",   "uptime",    "slabinfo"};
    struct statfs fs;
    if (fstatfs(at, &fs) != 0 || fs.f_type != PROC_SUPER_MAGIC) return false;
    if (strncmp(target, "/proc/", 6) != 0) return true;
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        if (strcmp(target + 6, fine[i]) == 0) return false;
    return true;
}

static int open_workdir(const struct sandbox_plan *p)
{
    int at = sandbox_enter_open_in(p->root_fd, p->workdir, O_PATH, 0);
    if (at >= 0 || errno != ENOENT) return at;
    struct report r = {.kind = REPORT_OWN};
    if (p->spec->workdir_stays) send(p->status_fd, &r, sizeof r, MSG_NOSIGNAL);
    return sandbox_enter_open_or_make(p, p->workdir, true);
}

static void user_mounts(const struct sandbox_plan *p)
{
    for (size_t i = 0; i < p->mounts.n; i++) {
        const struct sandbox_plan_mount *m = &p->mounts.p[i];
        int at = sandbox_enter_open_or_make(p, m->target, m->dir);
        if (at < 0) sandbox_enter_fail(p, STEP_TARGET, (uint32_t)i);
        if (sandbox_enter_covers_proc(m->target, at)) {
            errno = EPERM;
            sandbox_enter_fail(p, STEP_TARGET_PROC, (uint32_t)i);
        }
        if (sandbox_enter_attach(m->fd, at, "") != 0)
            sandbox_enter_fail(p, STEP_ATTACH, (uint32_t)i);
        close(at);
    }
    if (!p->spec->readonly) return;
    // A working directory that is missing is made while it can be.
    int cwd = open_workdir(p);
    if (cwd >= 0) close(cwd);
    struct mount_attr ro = {.attr_set = MOUNT_ATTR_RDONLY};
    sandbox_enter_need(p, mount_setattr(p->root_fd, "", AT_EMPTY_PATH, &ro, sizeof ro) == 0,
                       STEP_READONLY_ROOT);
}

static void enter_workdir(const struct sandbox_plan *p)
{
    int at = open_workdir(p);
    sandbox_enter_workdir_at(p, at);
}

void sandbox_enter_workdir_at(const struct sandbox_plan *p, int at)
{
    sandbox_enter_need(p, at >= 0 && fchdir(at) == 0, STEP_WORKDIR);
    close(at);
    // The system call's own text: "(unreachable)..." would mean a folder outside.
    char cwd[4096];
    long n = syscall(SYS_getcwd, cwd, sizeof cwd);
    if (n <= 0 || cwd[0] != '/') {
        if (n > 0) errno = EXDEV;
        sandbox_enter_fail(p, STEP_WORKDIR_OUTSIDE, 0);
    }
}

static void name_host(const struct sandbox_plan *p)
{
    if (p->spec->host_uts || sandbox_join_has(p->join, JOIN_UTS)) return;
    sandbox_enter_need(p, sethostname(p->hostname, strlen(p->hostname)) == 0, STEP_HOSTNAME);
    const char *d = p->spec->domainname;
    if (d) sandbox_enter_need(p, setdomainname(d, strlen(d)) == 0, STEP_HOSTNAME);
}

// --- the walk ----------------------------------------------------------------------------------

_Noreturn void sandbox_enter_run(const struct sandbox_plan *p)
{
    if (p->walk) p->walk(p);
    struct views v = {.dev = -1, .empty = -1, .proc = -1, .sys = -1, .cgroup = -1};
    sandbox_enter_begin(p);
    leave_outside(p);
    cut_scratch(p, &v);
    new_proc(p, &v);
    new_sys(p, &v);
    loopback(p);
    change_root(p);
    kernel_mounts(p, &v);
    engine_files(p, &v);
    user_mounts(p);
    enter_workdir(p);
    name_host(p);
    sandbox_enter_stdio(p, v.dev);
    sandbox_enter_limit(p);
    sandbox_enter_close(p);
    sandbox_enter_restrict(p);
    sandbox_enter_execute(p);
}
