// SPDX-License-Identifier: Apache-2.0
// Into the files of a container: see view.h. Role of everything below view_start: a forked worker, at
// first with the caller's ids and namespaces.
#include "files/view.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "container/start.h"
#include "record/record.h"
#include "record/state.h"
#include "sandbox/enter.h"
#include "sandbox/join.h"
#include "sandbox/plan.h"
#include "sandbox/sandbox.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#define TRIES 5       // a container that starts or ends just now
#define LOCK_TRIES 60 // seconds: others who look at it, one after the other

struct job {
    struct engine *en;
    const char *id;
    const struct view_options *o;
    pid_t parent;
    struct record_config config;
    struct sandbox_spec spec; // of a container that does not run: what is open stays open
    int lock;
};

// The kernel forgets the death signal when ids change.
static void stay_ours(const struct job *j)
{
    prctl(PR_SET_DUMPABLE, 0);
    proc_die_with_parent(j->parent);
}

// --- a container that runs ---------------------------------------------------------------------

// A mount of the root alone, on which nothing that is mounted below shows.
static int bare_root(struct err *e)
{
    int fd = open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (fd < 0) return err_sys(e, "copy the mount of the container's root");
    struct mount_attr a = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID};
    if (mount_setattr(fd, "", AT_EMPTY_PATH, &a, sizeof a) == 0) return fd;
    err_sys(e, "set the options of the container's root");
    close(fd);
    return -1;
}

// 1: it has just ended.
static int enter_live(struct job *j, const struct record_state *s, struct view *v, struct err *e)
{
    own(sandbox_join) struct sandbox_join join = JOIN_NONE;
    uint32_t which;
    own(fd) int init = record_state_open_init(s, e);
    if (init < 0 || sandbox_join_open_process(&join, init, s->pid, e) < 0)
        return e->kind == ERR_CONFLICT || e->sys == ENOENT ? 1 : -1;
    join.flags &= CLONE_NEWUSER | CLONE_NEWNS;
    if (sandbox_join_enter(&join, &which) != 0)
        return errno == ESRCH ? 1 : err_sys(e, "enter the container's files");
    stay_ours(j);
    v->root.fd = j->o->bare ? bare_root(e) : fs_open("/", O_PATH | O_DIRECTORY, 0, e);
    return v->root.fd < 0 ? -1 : 0;
}

// --- one that does not -------------------------------------------------------------------------

// 1: it runs by now.
static int lock_stopped(struct job *j, struct err *e)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        struct record_state s;
        j->lock = record_lock(j->en, j->id, e);
        if (j->lock >= 0) return 0;
        if (e->kind != ERR_CONFLICT || record_state_load(j->en, j->id, &s, e) < 0) return -1;
        if (record_status_alive(s.status)) return 1;
        // A monitor that has told the end of its program is about to go.
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return err_set(e, ERR_CONFLICT, "container %.12s is being started or changed", j->id);
}

static int own_mounts(struct engine *en, struct err *e)
{
    if (engine_enter(en, e) < 0) return -1;
    if (unshare(CLONE_NEWNS) != 0) return err_sys(e, "make a mount namespace");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return err_sys(e, "make mounts private");
    return engine_reopen(en, e);
}

// As the child of a start does it (enter.c).
static int pivot(int root, struct err *e)
{
    if (sandbox_enter_attach(root, AT_FDCWD, "/") != 0 || fchdir(root) != 0)
        return err_sys(e, "attach the container's root");
    if (syscall(SYS_pivot_root, ".", ".") == 0) {
        if (umount2(".", MNT_DETACH) != 0) return err_sys(e, "drop the old root");
    } else if (errno != EINVAL || syscall(SYS_chroot, ".") != 0) { // from an initramfs
        return err_sys(e, "change to the container's root");
    }
    return chdir("/") == 0 ? 0 : err_sys(e, "enter the container's root");
}

// What sandbox_enter_open_or_make says that it made.
static void read_stubs(int sock, struct strv *out)
{
    struct report r;
    while (recv(sock, &r, sizeof r, MSG_DONTWAIT) == (ssize_t)sizeof r)
        if (r.kind == REPORT_STUB && r.head_n) strv_add(out, r.head);
}

static int attach_mounts(struct job *j, struct sandbox_plan *p, struct err *e)
{
    own(strv) struct strv stubs = {0};
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return err_sys(e, "make a socket pair");
    own(fd) int mine = ends[0];
    p->status_fd = ends[1]; // the plan's from here on
    vec_each(m, &p->mounts)
    {
        own(fd) int at = sandbox_enter_open_or_make(p, m->target, m->dir);
        if (at < 0) return err_sys(e, "make the mount point '%s'", m->target);
        read_stubs(mine, &stubs);
        // A start will refuse that one.
        if (!sandbox_enter_covers_proc(m->target, at) && sandbox_enter_attach(m->fd, at, "") != 0)
            return err_sys(e, "mount '%s'", m->target);
    }
    return stubs.n ? record_add_stubs(j->lock, &stubs, e) : 0;
}

static int take_ids(int userns, struct err *e)
{
    if (userns < 0) return 0;
    if (setns(userns, CLONE_NEWUSER) != 0 || setresgid(0, 0, 0) != 0 ||
        setresuid(0, 0, 0) != 0)
        return err_sys(e, "take the container's ids");
    return 0;
}

static int compose(struct job *j, struct view *v, struct err *e)
{
    struct record r = RECORD_NONE;
    int rc = lock_stopped(j, e);
    if (rc != 0) return rc;
    if (own_mounts(j->en, e) < 0) return -1;
    snprintf(r.id, sizeof r.id, "%s", j->id);
    // Again, for overlayfs takes no folder of another mount namespace.
    own(fd) int dir = r.fd = record_dir(j->en, j->id, e);
    if (dir < 0 || container_start_view(j->en, &j->config, &r, !j->o->bare, &j->spec, e) < 0)
        return -1;
    const struct sandbox_ids *ids = &j->spec.ids;
    own(fd) int userns = -1;
    if (ids->own && idmap_userns_open(&ids->uid, &ids->gid, &userns, e) < 0) return -1;
    own(sandbox_plan) struct sandbox_plan p = {0};
    sandbox_plan_begin(j->en, &j->spec, &p);
    p.root_fd = fcntl(j->spec.rootfs_fd, F_DUPFD_CLOEXEC, 3);
    if (p.root_fd < 0) return err_sys(e, "use the root file system");
    if (sandbox_plan_mounts(j->en, &p, e) < 0 || pivot(p.root_fd, e) < 0 ||
        attach_mounts(j, &p, e) < 0)
        return -1;
    struct mount_attr ro = {.attr_set = MOUNT_ATTR_RDONLY};
    if (j->config.readonly && mount_setattr(p.root_fd, "", AT_EMPTY_PATH, &ro, sizeof ro) != 0)
        return err_sys(e, "make the root file system read-only");
    if (take_ids(userns, e) < 0) return -1;
    stay_ours(j);
    v->root.fd = take_fd(p.root_fd);
    return 0;
}

// -----------------------------------------------------------------------------------------------

// 1: its state changed under us.
static int enter(struct job *j, struct view *v, struct err *e)
{
    struct record_state s;
    if (record_state_load(j->en, j->id, &s, e) < 0) return -1;
    if (s.status == RECORD_RESTARTING) {
        err_set(e, ERR_CONFLICT, "container %.12s is restarting", j->id);
        return err_hint(e, "wait until it runs, or stop it");
    }
    return record_status_alive(s.status) ? enter_live(j, &s, v, e) : compose(j, v, e);
}

static int work(void *arg, struct err *e)
{
    struct job *j = arg;
    struct view v = {.root = {-1, "the container"}, .self_fds = -1};
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    j->parent = getppid();
    sigaction(SIGPIPE, &ignore, NULL); // whoever reads tells why it stopped
    umask(0);
    v.self_fds = fs_open("/proc/self/fd", O_PATH | O_DIRECTORY, 0, e);
    if (v.self_fds < 0 || record_config_load(j->en, j->id, &j->config, e) < 0) return -1;
    int rc = 1;
    for (int i = 0; i < TRIES && rc == 1; i++) {
        // Its program has ended and its monitor has not told yet.
        if (i > 0) nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        rc = enter(j, &v, e);
    }
    if (rc == 1) return err_set(e, ERR_CONFLICT, "container %.12s starts and ends all the time", j->id);
    if (rc < 0) return -1;
    // The end of this process lets go of everything.
    return j->o->work(&v, j->o->arg, e);
}

int view_start(struct engine *en, const char *id, const struct view_options *o,
               struct proc_worker *out, struct err *e)
{
    struct job j = {.en = en, .id = id, .o = o, .spec = {.rootfs_fd = -1}, .lock = -1};
    return proc_worker_start(work, &j, out, e);
}
