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
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
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
#include "sandbox/join.h"
#include "sandbox/plan.h"
#include "sandbox/proc_sys.h"
#include "sandbox/sandbox.h"
#include "sandbox/seccomp.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#define CAP_ADMIN ((uint64_t)1 << 21)
#define NODEV_ALL (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

_Noreturn void sandbox_enter_fail_with(const struct sandbox_plan *p, enum step step, uint32_t index,
                                       struct report *r, int code)
{
    r->kind = REPORT_FAIL;
    r->step = step;
    r->code = code;
    r->index = index;
    send(p->status_fd, r, sizeof *r, MSG_NOSIGNAL);
    _exit(125);
}

_Noreturn void sandbox_enter_fail(const struct sandbox_plan *p, enum step step, uint32_t index)
{
    struct report r = {0};
    sandbox_enter_fail_with(p, step, index, &r, errno);
}

void sandbox_enter_need(const struct sandbox_plan *p, bool ok, enum step step)
{
    if (!ok) sandbox_enter_fail(p, step, 0);
}

int sandbox_enter_open_in(int root, const char *path, int flags, uint64_t resolve)
{
    struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve};
    long fd = -1;
    for (int i = 0; i < 64; i++) {
        fd = syscall(SYS_openat2, root, path, &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) break;
    }
    return (int)fd;
}

// --- making what is missing below the root -----------------------------------------------------

// Says where `name` in the folder `fd` really is: the path asked for may go through links, which the
// layer that the stub must leave again does not have.
static void tell_stub(const struct sandbox_plan *p, int fd, const char *name)
{
    struct report r = {.kind = REPORT_STUB};
    long n = fchdir(fd) == 0 ? syscall(SYS_getcwd, r.head, sizeof r.head) : -1;  // ends in NUL
    sandbox_enter_need(p, chdir("/") == 0, STEP_TARGET);
    size_t name_n = strlen(name);
    if (n <= 1 || r.head[0] != '/' || (size_t)n + 1 + name_n > sizeof r.head) return;
    size_t at = n == 2 ? 1 : (size_t)n;
    r.head[at - 1] = '/';
    memcpy(r.head + at, name, name_n + 1);
    r.head_n = (uint32_t)(at + name_n);
    memmove(r.head, r.head + 1, r.head_n);  // relative, with its NUL
    send(p->status_fd, &r, sizeof r, MSG_NOSIGNAL);
}

// Makes the last component of `path` (whose parents exist) as a folder or an empty file.
int sandbox_enter_make_last(const struct sandbox_plan *p, const char *path, bool dir)
{
    char parent[4096];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= sizeof parent || strlen(path) >= sizeof parent) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(parent, path, n);
    parent[n] = '\0';
    const char *name = slash ? slash + 1 : path;
    int fd = sandbox_enter_open_in(p->root_fd, n ? parent : ".", O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) return -1;
    int rc = dir ? mkdirat(fd, name, 0755) : mknodat(fd, name, S_IFREG | 0644, 0);
    int code = errno;
    if (rc == 0) tell_stub(p, fd, name);
    close(fd);
    errno = code;
    return rc == 0 || code == EEXIST ? 0 : -1;
}

#define LINKS_MAX 40
#define PATH_SIZE 4096

// `path` up to `at` is a link that leads to nothing: puts what it says in its place. What is in a
// link is resolved inside the root as everything else, whatever it says.
static int follow_dangling(const struct sandbox_plan *p, char path[PATH_SIZE], size_t at)
{
    char whole[PATH_SIZE], text[PATH_SIZE];
    struct stat st;
    memcpy(whole, path, at);
    whole[at] = '\0';
    int link = sandbox_enter_open_in(p->root_fd, whole, O_PATH | O_NOFOLLOW, 0);
    if (link < 0) return -1;
    bool is_link = fstat(link, &st) == 0 && S_ISLNK(st.st_mode);
    ssize_t n = is_link ? readlinkat(link, "", text, sizeof text - 1) : -1;
    close(link);
    if (n <= 0) {
        errno = ENOENT;
        return -1;
    }
    text[n] = '\0';
    const char *slash = strrchr(whole, '/');
    size_t keep = text[0] == '/' || !slash ? 0 : (size_t)(slash - whole);
    size_t rest = strlen(path + at);
    if (keep + 1 + (size_t)n + rest >= PATH_SIZE) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memmove(whole + keep + 1 + n, path + at, rest + 1);
    whole[keep] = '/';
    memcpy(whole + keep + 1, text, (size_t)n);
    memcpy(path, whole, keep + 1 + (size_t)n + rest + 1);
    return 0;
}

// One walk along `path`. 1: all is there; 0: a link was put in, walk again; -1: no.
static int make_parts(const struct sandbox_plan *p, char path[PATH_SIZE], bool dir)
{
    char part[PATH_SIZE];
    size_t n = strlen(path);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        memcpy(part, path, i);
        part[i] = '\0';
        int at = sandbox_enter_open_in(p->root_fd, part, O_PATH, 0);
        if (at < 0 && errno == ENOENT && sandbox_enter_make_last(p, part, dir || i < n) == 0) {
            at = sandbox_enter_open_in(p->root_fd, part, O_PATH, 0);
            if (at < 0 && errno == ENOENT) return follow_dangling(p, path, i);
        }
        if (at < 0) return -1;
        close(at);
    }
    return 1;
}

// Opens `path` inside the root, making what is missing, also where a link of the image leads to.
int sandbox_enter_open_or_make(const struct sandbox_plan *p, const char *path, bool dir)
{
    int fd = sandbox_enter_open_in(p->root_fd, path, O_PATH, 0);
    if (fd >= 0 || errno != ENOENT) return fd;
    char way[PATH_SIZE];
    size_t n = strlen(path);
    if (n >= sizeof way) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(way, path, n + 1);
    for (int i = 0; i < LINKS_MAX; i++) {
        int rc = make_parts(p, way, dir);
        if (rc < 0) return -1;
        if (rc == 1) return sandbox_enter_open_in(p->root_fd, way, O_PATH, 0);
    }
    errno = ELOOP;
    return -1;
}

int sandbox_enter_attach(int tree, int to, const char *name)
{
    unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | (name[0] ? 0 : MOVE_MOUNT_T_EMPTY_PATH);
    return move_mount(tree, "", to, name, flags);
}

int sandbox_enter_clone_of(int dirfd, const char *name)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (name[0] ? 0 : AT_EMPTY_PATH);
    return open_tree(dirfd, name, flags);
}

int sandbox_enter_new_fs(const char *type, uint64_t attr)
{
    int fs = fsopen(type, FSOPEN_CLOEXEC);
    if (fs < 0) return -1;
    int fd = -1;
    fsconfig(fs, FSCONFIG_SET_STRING, "source", type, 0);  // what `mount` and `df` show
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        fd = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)attr);
    int code = errno;
    close(fs);
    errno = code;
    return fd;
}

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
        if (write(p->cgroup.join[i], "0", 1) != 1) sandbox_enter_fail(p, STEP_CGROUP, i);
}

static void leave_outside(const struct sandbox_plan *p)
{
    // Only now that we are in it: the namespace begins at the container's own control group.
    sandbox_enter_need(p, unshare(CLONE_NEWCGROUP) == 0, STEP_CGROUP_NS);
    sandbox_enter_need(p, mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0, STEP_PRIVATE);
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
    uint64_t attr = NODEV_ALL | (p->spec->privileged ? 0 : MOUNT_ATTR_RDONLY);
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
    if (!p->cgroup2) return;
    sandbox_enter_need(p, sandbox_enter_attach(v->cgroup, v->sys, "fs/cgroup") == 0,
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
    struct mount_attr ro = {.attr_set = MOUNT_ATTR_RDONLY};
    sandbox_enter_need(p, mount_setattr(p->root_fd, "", AT_EMPTY_PATH, &ro, sizeof ro) == 0,
                       STEP_READONLY_ROOT);
}

static void enter_workdir(const struct sandbox_plan *p)
{
    int at = sandbox_enter_open_or_make(p, p->workdir, true);
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

static void place_stdio(const struct sandbox_plan *p, int dev)
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
    if (p->seccomp_flags & SECCOMP_FILTER_FLAG_NEW_LISTENER)
        sandbox_enter_send_fd(p, REPORT_LISTENER, (int)fd, STEP_SECCOMP);
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
    place_stdio(p, v.dev);
    sandbox_enter_limit(p);
    sandbox_enter_need(p, close_range(3 + p->keep_fds, ~0U, CLOSE_RANGE_CLOEXEC) == 0, STEP_CLOSE);
    // For the doorstep, which closes it when it executes the program.
    sandbox_enter_need(p, fcntl(p->status_fd, F_SETFD, 0) == 0, STEP_CLOSE);
    sandbox_enter_restrict(p);
    sandbox_enter_execute(p);
}
