// SPDX-License-Identifier: Apache-2.0
// The child's walk for an OCI bundle: as in enter.c, raw system calls on prepared data. What
// differs: the bundle says what is mounted and in which order; hooks of two kinds run on the way;
// and with a gate the last part waits for `start` (oci.h has the whole picture).
//
// The root is attached where it lies outside, and everything is mounted below it before the pivot:
// hooks expect to find it there. Each target is resolved inside the root right before its mount.
// What masks others comes from descriptors that the parent checked, never from '/dev' of the
// container.
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "bundle/internal.h"
#include "sandbox/enter.h"
#include "sandbox/plan.h"

#define NODEV_ALL (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

// --- proc --------------------------------------------------------------------------------------

// A proc of our own, else the host's that the parent opened: where a user namespace shares the
// host's processes the kernel gives no new one.
static int own_proc(const struct sandbox_plan *p)
{
    struct statfs fs;
    int fd = sandbox_enter_new_fs("proc", NODEV_ALL);
    if (fd < 0) fd = p->bundle->host_proc;
    sandbox_enter_need(p, fd >= 0, STEP_PROC_NEW);
    sandbox_enter_need(p, fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC, STEP_PROC_CHECK);
    return fd;
}

static void put_oom_score(const struct sandbox_plan *p, int proc)
{
    if (!p->spec->has_oom_score_adj || p->join) return;
    char text[24];
    int n = snprintf(text, sizeof text, "%d", (int)p->spec->oom_score_adj);
    prctl(PR_SET_DUMPABLE, 1);  // else the file belongs to the real root
    int fd = openat(proc, "self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    sandbox_enter_need(p, fd >= 0 && write(fd, text, (size_t)n) == n, STEP_OOM_SCORE);
    close(fd);
    prctl(PR_SET_DUMPABLE, 0);
}

static void loopback(const struct sandbox_plan *p)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq r = {.ifr_name = "lo"};
    r.ifr_flags = IFF_UP | IFF_RUNNING;
    sandbox_enter_need(p, fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &r) == 0, STEP_LOOPBACK);
    close(fd);
}

// --- mounts ------------------------------------------------------------------------------------

// Returns a tmpfs below the root, which goes with the old one, to attach things to; -1: none.
static int attach_root(const struct sandbox_plan *p)
{
    const struct bundle_plan *o = p->bundle;
    sandbox_enter_need(p, mount(NULL, "/", NULL, o->outer_propagation, NULL) == 0, STEP_PRIVATE);
    bool at_top = strcmp(o->rootfs, "/") == 0;
    int stage = o->listed && !at_top ? sandbox_enter_new_fs("tmpfs", NODEV_ALL) : -1;
    if (stage >= 0 && sandbox_enter_attach(stage, AT_FDCWD, o->rootfs) != 0) {
        close(stage);
        stage = -1;
    }
    // A user namespace may be shut out of the folders above; then over '/', which serves as well.
    // Nothing else may lie there: what is uppermost at '/' after the pivot is taken as the old root.
    if (sandbox_enter_attach(p->root_fd, AT_FDCWD, o->rootfs) != 0)
        sandbox_enter_need(p, sandbox_enter_attach(p->root_fd, AT_FDCWD, "/") == 0, STEP_ROOT);
    return stage;
}

int bundle_enter_row(const struct bundle_row *row, int over)
{
    int fs = fsopen(row->type, FSOPEN_CLOEXEC), fd = -1;
    char mode[16];
    struct stat st;
    if (fs < 0) return -1;
    bool ok = true;
    fsconfig(fs, FSCONFIG_SET_STRING, "source", row->source, 0);
    if (over >= 0 && fstat(over, &st) == 0) {
        snprintf(mode, sizeof mode, "%o", st.st_mode & 07777);
        ok = fsconfig(fs, FSCONFIG_SET_STRING, "mode", mode, 0) == 0;
    }
    for (size_t i = 0; i < row->options.n && ok; i++) {
        const struct bundle_option *x = &row->options.p[i];
        ok = fsconfig(fs, x->value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, x->key, x->value,
                      0) == 0 ||
             strcmp(x->key, "newinstance") == 0;  // the only kind since 4.7
    }
    if (ok && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        fd = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)row->attr);
    int code = errno;
    close(fs);
    errno = code;
    return fd;
}

static int target_of(const struct sandbox_plan *p, const struct bundle_row *row, uint32_t index)
{
    int at;
    if (row->strict) {
        at = sandbox_enter_open_in(p->root_fd, row->target, O_PATH | O_DIRECTORY,
                                   RESOLVE_NO_SYMLINKS);
        if (at < 0 && errno == ENOENT) at = sandbox_enter_open_or_make(p, row->target, true);
    } else {
        at = sandbox_enter_open_or_make(p, row->target, row->dir);
    }
    if (at < 0) sandbox_enter_fail(p, STEP_OCI_TARGET, index);
    return at;
}

static void propagate(const struct sandbox_plan *p, const struct bundle_row *row, int fd,
                      uint32_t index)
{
    for (unsigned i = 0; i < row->propagations; i++) {
        struct mount_attr a = {.propagation = row->propagation[i].flag};
        unsigned flags = AT_EMPTY_PATH | (row->propagation[i].recursive ? AT_RECURSIVE : 0);
        if (mount_setattr(fd, "", flags, &a, sizeof a) != 0)
            sandbox_enter_fail(p, STEP_OCI_MOUNT, index);
    }
}

// /proc/self/mountinfo lists mounts by their age since Linux 6.8, and what the parent copied is
// older than what we make: a copy of the copy has its place among the others. It must be attached
// somewhere to be copied.
static int young_copy(int stage, const struct bundle_row *row, uint32_t index)
{
    char name[16];
    snprintf(name, sizeof name, "%u", index);
    int rc = row->dir ? mkdirat(stage, name, 0700) : mknodat(stage, name, S_IFREG | 0600, 0);
    if (rc != 0 || sandbox_enter_attach(row->fd, stage, name) != 0) return -1;
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE;
    return open_tree(row->fd, "", flags);
}

static int group_of(const struct bundle_row *row)
{
    struct mount_attr a = {.attr_set = row->attr, .propagation = MS_PRIVATE};
    int fd = open_tree(AT_FDCWD, row->source,
                       OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
    if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &a, sizeof a) == 0) return fd;
    int code = errno;
    close(fd);
    errno = code;
    return -1;
}

static int mount_of(const struct bundle_row *row, uint32_t index, int stage, int over)
{
    if (row->kind == BUNDLE_ROW_NEW) return bundle_enter_row(row, over);
    if (row->kind == BUNDLE_ROW_GROUP) return group_of(row);
    return row->listed && stage >= 0 ? young_copy(stage, row, index) : row->fd;
}

// The kernel's own word for a file over a folder is EINVAL.
static bool same_kind(const struct bundle_row *row, int at)
{
    struct stat st;
    if (fstat(at, &st) != 0 || S_ISDIR(st.st_mode) == row->dir) return true;
    errno = row->dir ? ENOTDIR : EISDIR;
    return false;
}

static int folder_in(const struct sandbox_plan *p, const char *path)
{
    return sandbox_enter_open_in(p->root_fd, path, O_PATH | O_DIRECTORY, 0);
}

// The parent puts us there. The namespace begins at the container's own groups.
static void enter_groups(const struct sandbox_plan *p)
{
    sandbox_enter_wait(p);
    if (p->bundle->new_cgroupns)
        sandbox_enter_need(p, unshare(CLONE_NEWCGROUP) == 0, STEP_CGROUP);
}

static void put_link(const struct sandbox_plan *p, const struct bundle_row *row, uint32_t index)
{
    int at = folder_in(p, row->target);
    if (at < 0 || (symlinkat(row->source, at, row->type) != 0 && errno != EEXIST))
        sandbox_enter_fail(p, STEP_OCI_MOUNT, index);
    close(at);
}

// Whether the way into the groups was gone already.
static bool mount_rows(const struct sandbox_plan *p, int stage)
{
    bool joined = false;
    for (size_t i = 0; i < p->bundle->rows.n; i++) {
        const struct bundle_row *row = &p->bundle->rows.p[i];
        uint32_t index = (uint32_t)i;
        if (row->in_groups && !joined) {
            enter_groups(p);
            joined = true;
        }
        if (row->kind == BUNDLE_ROW_LINK) {
            put_link(p, row, index);
            continue;
        }
        int over = row->keep_mode ? folder_in(p, row->target) : -1;
        int at = target_of(p, row, index);
        if (row->kind == BUNDLE_ROW_ATTR) {
            struct mount_attr a = {.attr_set = row->attr};
            if (mount_setattr(at, "", AT_EMPTY_PATH, &a, sizeof a) != 0)
                sandbox_enter_fail(p, STEP_OCI_MOUNT, index);
            close(at);
            continue;
        }
        if (!(row->strict && strcmp(row->type, "proc") == 0) &&
            sandbox_enter_covers_proc(row->target, at)) {
            errno = EPERM;
            sandbox_enter_fail(p, STEP_TARGET_PROC, index);
        }
        int fd = mount_of(row, index, stage, over);
        if (over >= 0) close(over);
        if (fd < 0 && row->may_fail) continue;
        if (fd < 0 || !same_kind(row, at) || sandbox_enter_attach(fd, at, "") != 0)
            sandbox_enter_fail(p, STEP_OCI_MOUNT, index);
        propagate(p, row, fd, index);
        close(at);
        if (fd != row->fd) close(fd);
    }
    if (stage >= 0) close(stage);
    return joined;
}

// --- /dev --------------------------------------------------------------------------------------

// Opens the folder that holds `path`'s last part, made when missing; *out_name points into path.
static int parent_of(const struct sandbox_plan *p, const char *path, const char **out_name)
{
    char parent[4096];
    const char *slash = strrchr(path, '/');
    size_t n = (size_t)(slash - path);
    *out_name = slash + 1;
    if (n >= sizeof parent) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(parent, path, n);
    parent[n] = '\0';
    return n ? sandbox_enter_open_or_make(p, parent, true)
             : sandbox_enter_open_in(p->root_fd, "/", O_PATH | O_DIRECTORY, 0);
}

static bool same_node(int dir, const char *name, const struct bundle_node *n)
{
    struct stat st;
    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           (st.st_mode & S_IFMT) == (n->mode & S_IFMT) &&
           (st.st_rdev == n->rdev || S_ISFIFO(n->mode));
}

static int put_node(const struct sandbox_plan *p, const struct bundle_node *n)
{
    const char *name;
    int dir = parent_of(p, n->path, &name), rc = -1;
    if (dir < 0) return -1;
    if (n->fd >= 0) {
        rc = mknodat(dir, name, S_IFREG | 0600, 0);
        if (rc == 0 || errno == EEXIST) rc = sandbox_enter_attach(n->fd, dir, name);
    } else {
        rc = mknodat(dir, name, n->mode, n->rdev);
        if (rc != 0 && errno == EEXIST && same_node(dir, name, n)) rc = 0;
        if (rc == 0) rc = fchownat(dir, name, n->uid, n->gid, AT_SYMLINK_NOFOLLOW);
        // The name is a node of ours or equal to it, no link: nothing is followed.
        if (rc == 0) rc = fchmodat(dir, name, n->mode & 07777, 0);
    }
    int code = errno;
    close(dir);
    errno = code;
    return rc;
}

static void fill_dev(const struct sandbox_plan *p)
{
    static const char *const links[][2] = {{"/proc/self/fd", "fd"},
                                           {"/proc/self/fd/0", "stdin"},
                                           {"/proc/self/fd/1", "stdout"},
                                           {"/proc/self/fd/2", "stderr"},
                                           {"pts/ptmx", "ptmx"}};
    if (!p->bundle->dev_setup) return;
    mode_t old = umask(0);
    for (size_t i = 0; i < p->bundle->nodes.n; i++)
        if (put_node(p, &p->bundle->nodes.p[i]) != 0)
            sandbox_enter_fail(p, STEP_OCI_DEVICE, (uint32_t)i);
    int dev = sandbox_enter_open_in(p->root_fd, "/dev", O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
    for (size_t i = 0; dev >= 0 && i < sizeof links / sizeof *links; i++)
        if (symlinkat(links[i][0], dev, links[i][1]) != 0 && errno != EEXIST && errno != EROFS)
            sandbox_enter_fail(p, STEP_MOUNT_DEV, 0);
    if (dev >= 0) close(dev);
    umask(old);
}

// --- hooks of the container's side -------------------------------------------------------------

// The parent runs its hooks and then tells our pid as its namespace has it.
static uint32_t parents_turn(const struct sandbox_plan *p)
{
    uint32_t pid = 0;
    struct report r = {.kind = REPORT_HOOKS};
    ssize_t n;
    sandbox_enter_need(p, send(p->status_fd, &r, sizeof r, MSG_NOSIGNAL) == (ssize_t)sizeof r,
                       STEP_HOOK);
    do n = recv(p->status_fd, &pid, sizeof pid, 0);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof pid) _exit(125);  // a hook failed, and the parent says so
    return pid;
}

static int state_file(const struct bundle_plan *o, bool start, uint32_t pid)
{
    char text[24];
    const char *head = o->state_head[start];
    int n = snprintf(text, sizeof text, "%u", pid), in = memfd_create("state", MFD_CLOEXEC);
    bool ok = in >= 0 && write(in, head, strlen(head)) > 0 && write(in, text, (size_t)n) == n &&
              write(in, o->state_tail, strlen(o->state_tail)) > 0 && lseek(in, 0, SEEK_SET) == 0;
    return ok ? in : -1;
}

static void call(const struct sandbox_plan *p, const struct bundle_call *c, uint32_t pid,
                 uint32_t index)
{
    struct bundle_hook_end end;
    struct proc child = PROC_NONE;
    int in = state_file(p->bundle, c->start, pid), said[2];
    if (in < 0 || bundle_hook_pipe(said) != 0) sandbox_enter_fail(p, STEP_HOOK, index);
    child.pid = proc_fork(0, &child.fd);
    if (child.pid == 0) bundle_hook_exec(c->argv[0], c->argv + 1, c->envp, in, said[1]);
    close(said[1]);
    if (child.pid < 0) sandbox_enter_fail(p, STEP_HOOK, index);
    bundle_hook_await(&child, said[0], c->timeout, &end);
    close(said[0]);
    close(child.fd);
    close(in);
    if (!end.late && end.status == 0) return;
    struct report r = {.head_n = sizeof end};
    memcpy(r.head, &end, sizeof end);
    sandbox_enter_fail_with(p, STEP_HOOK, index, &r, 0);
}

static void calls(const struct sandbox_plan *p, bool start, uint32_t pid)
{
    for (size_t i = 0; i < p->bundle->calls.n; i++)
        if (p->bundle->calls.p[i].start == start) call(p, &p->bundle->calls.p[i], pid, (uint32_t)i);
}

// --- root --------------------------------------------------------------------------------------

static void change_root(const struct sandbox_plan *p)
{
    sandbox_enter_need(p, fchdir(p->root_fd) == 0, STEP_ROOT);
    if (!p->bundle->no_pivot && syscall(SYS_pivot_root, ".", ".") == 0) {
        sandbox_enter_need(p, umount2(".", MNT_DETACH) == 0, STEP_OLD_ROOT);
    } else {
        // --no-pivot, or a machine that runs from its initramfs: the root goes over '/', and ".."
        // cannot come below a mount that covers it.
        sandbox_enter_need(p, p->bundle->no_pivot || errno == EINVAL, STEP_PIVOT);
        sandbox_enter_need(p, mount(".", "/", NULL, MS_MOVE, NULL) == 0 || errno == EINVAL,
                           STEP_PIVOT);
        sandbox_enter_need(p, chroot(".") == 0, STEP_PIVOT);
    }
    sandbox_enter_need(p, chdir("/") == 0, STEP_PIVOT);
}

// A working directory that is missing is made while the root can still be written.
static void early_workdir(const struct sandbox_plan *p)
{
    if (!p->bundle->config->root_readonly) return;
    int at = sandbox_enter_open_or_make(p, p->workdir, true);
    if (at >= 0) close(at);
}

struct covers {
    int null, empty;
    bool null_used, empty_used;
};

// A mount can only be copied while it is attached: the first place gets the one from the parent,
// the others copies of it.
static int cover_for(struct covers *c, bool dir)
{
    bool *used = dir ? &c->empty_used : &c->null_used;
    int from = dir ? c->empty : c->null;
    if (*used) return sandbox_enter_clone_of(from, "");
    *used = true;
    return from;
}

static void mask_paths(const struct sandbox_plan *p)
{
    const struct strv *list = &p->bundle->config->masked;
    struct covers c = {.null = p->bundle->null_fd, .empty = p->bundle->empty_fd};
    for (size_t i = 0; i < list->n; i++) {
        struct stat st;
        int at = sandbox_enter_open_in(p->root_fd, list->p[i], O_PATH, 0);
        if (at < 0 && (errno == ENOENT || errno == ENOTDIR || errno == EACCES)) continue;
        if (at < 0 || fstat(at, &st) != 0) sandbox_enter_fail(p, STEP_OCI_MASK, (uint32_t)i);
        int cover = cover_for(&c, S_ISDIR(st.st_mode));
        if (cover < 0 || sandbox_enter_attach(cover, at, "") != 0)
            sandbox_enter_fail(p, STEP_OCI_MASK, (uint32_t)i);
        close(at);
        if (cover != c.null && cover != c.empty) close(cover);
    }
}

static void readonly_paths(const struct sandbox_plan *p)
{
    const struct strv *list = &p->bundle->config->readonly;
    for (size_t i = 0; i < list->n; i++) {
        int at = sandbox_enter_open_in(p->root_fd, list->p[i], O_PATH, 0);
        if (at < 0 && (errno == ENOENT || errno == ENOTDIR)) continue;
        int tree =
            at < 0 ? -1
                   : open_tree(at, "",
                               OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
        struct mount_attr ro = {.attr_set = MOUNT_ATTR_RDONLY};
        if (tree < 0 ||
            mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &ro, sizeof ro) != 0 ||
            sandbox_enter_attach(tree, at, "") != 0)
            sandbox_enter_fail(p, STEP_OCI_READONLY, (uint32_t)i);
        close(at);
        close(tree);
    }
}

static void finish_root(const struct sandbox_plan *p)
{
    struct mount_attr ro = {.attr_set = MOUNT_ATTR_RDONLY};
    unsigned long how = p->bundle->root_propagation;
    mask_paths(p);
    readonly_paths(p);
    if (how) sandbox_enter_need(p, mount(NULL, "/", NULL, how, NULL) == 0, STEP_PRIVATE);
    if (p->bundle->config->root_readonly)
        sandbox_enter_need(p, mount_setattr(p->root_fd, "", AT_EMPTY_PATH, &ro, sizeof ro) == 0,
                           STEP_READONLY_ROOT);
}

// A bundle without a mount namespace has the host's: the program's root becomes a copy of all the
// mounts that belongs to no namespace, and ends with its last user.
static void back_to_host(struct sandbox_plan *p)
{
    if (p->bundle->host_mnt < 0) return;
    struct mount_attr a = {.propagation = MS_PRIVATE};  // what is unbindable would be left out
    sandbox_enter_need(p, mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &a, sizeof a) == 0,
                       STEP_PRIVATE);
    p->root_fd = open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    sandbox_enter_need(p, p->root_fd >= 0 && setns(p->bundle->host_mnt, CLONE_NEWNS) == 0,
                       STEP_PIVOT);
    sandbox_enter_need(p, fchdir(p->root_fd) == 0 && chroot(".") == 0, STEP_PIVOT);
}

// --- the program's own -------------------------------------------------------------------------

static void name_host(const struct sandbox_plan *p)
{
    const struct oci_runtime *c = p->bundle->config;
    if (c->hostname && c->hostname[0])
        sandbox_enter_need(p, sethostname(c->hostname, strlen(c->hostname)) == 0, STEP_HOSTNAME);
    if (c->domainname && c->domainname[0])
        sandbox_enter_need(p, setdomainname(c->domainname, strlen(c->domainname)) == 0,
                           STEP_HOSTNAME);
}

static void terminal(const struct sandbox_plan *p)
{
    if (!p->spec->tty) {
        for (int i = 0; i < 3; i++) sandbox_enter_need(p, dup2(p->io[i], i) == i, STEP_STDIO);
        return;
    }
    int dev = sandbox_enter_open_in(p->root_fd, "/dev", O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
    if (dev >= 0 && mknodat(dev, "console", S_IFREG | 0600, 0) != 0 && errno != EEXIST) {
        close(dev);
        dev = -1;
    }
    sandbox_enter_pty(p, sandbox_enter_ptmx(p->root_fd), dev);
    if (dev >= 0) close(dev);
}

// Everything but the gate and what goes to the program is closed: who waits holds nothing.
static int at_the_gate(const struct sandbox_plan *p, int proc, int *out_proc)
{
    int first = 3 + (int)p->keep_fds, gate = first, conn;
    struct report ready = {.kind = REPORT_READY};
    // Only who is on record may wait here: a creator that was killed leaves nobody behind.
    sandbox_enter_need(p, send(p->status_fd, &ready, sizeof ready, MSG_NOSIGNAL) > 0, STEP_NONE);
    sandbox_enter_wait(p);
    int high = fcntl(p->bundle->gate_fd, F_DUPFD_CLOEXEC, first + 2);
    int high_proc = proc >= 0 ? fcntl(proc, F_DUPFD_CLOEXEC, first + 2) : -1;
    if (high < 0 || dup3(high, gate, O_CLOEXEC) != gate) _exit(125);
    if (high_proc >= 0 && dup3(high_proc, first + 1, O_CLOEXEC) != first + 1) _exit(125);
    close_range((unsigned)first + (high_proc >= 0 ? 2 : 1), ~0U, 0);
    *out_proc = high_proc >= 0 ? first + 1 : -1;
    do conn = accept4(gate, NULL, NULL, SOCK_CLOEXEC);
    while (conn < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (conn < 0) _exit(125);
    close(gate);
    return conn;
}

_Noreturn void bundle_enter_walk(const struct sandbox_plan *given)
{
    struct sandbox_plan here =
        *given; // our copy of the memory: the status socket becomes another one
    const struct sandbox_plan *p = &here;
    const struct bundle_plan *o = p->bundle;
    sandbox_enter_begin(p);
    int stage = attach_root(p);
    int proc = own_proc(p);
    sandbox_enter_sysctls(p, proc);
    put_oom_score(p, proc);
    if (o->new_net) loopback(p);
    bool joined = mount_rows(p, stage);
    fill_dev(p);
    if (!joined) enter_groups(p);
    uint32_t pid = o->ask_hooks ? parents_turn(p) : 0;
    calls(p, false, pid);
    change_root(p);
    early_workdir(p);
    finish_root(p);
    name_host(p);
    terminal(p);
    back_to_host(&here);
    sandbox_enter_workdir_at(p, sandbox_enter_open_or_make(p, p->workdir, true));
    sandbox_enter_limit(p);
    if (!p->label) {
        close(proc);
        proc = -1;
    }
    if (o->look_early) sandbox_enter_look(p);
    if (o->gate_fd >= 0) here.status_fd = at_the_gate(p, proc, &proc);
    calls(p, true, pid);
    sandbox_enter_attributes(p);
    if (p->label) sandbox_enter_label(p, proc);
    sandbox_enter_close(p);
    sandbox_enter_restrict(p);
    sandbox_enter_execute(p);
}
