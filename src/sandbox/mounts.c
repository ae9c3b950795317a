// SPDX-License-Identifier: Apache-2.0
// The parent's half of mounting: every source becomes a detached mount before the child exists, so
// the child only attaches them. Nothing is ever mounted or changed through a path string.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/num.h"
#include "base/own.h"
#include "sandbox/mounts.h"
#include "sandbox/plan.h"
#include "sandbox/sandbox.h"
#include "sandbox/userns.h"
#include "store/copytree.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif

static int configure(int fd, const char *key, const char *value, struct err *e)
{
    if (fsconfig(fd, FSCONFIG_SET_STRING, key, value, 0) == 0) return 0;
    return err_sys(e, "set %s=%s for a tmpfs", key, value);
}

int sandbox_mounts_tmpfs(const struct sandbox_tmpfs_options *o, struct err *e)
{
    own(fd) int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
    if (fs < 0) return err_sys(e, "make a tmpfs");
    char text[32];
    snprintf(text, sizeof text, "%o", o->mode);
    if (configure(fs, "mode", text, e) < 0 || configure(fs, "source", "tmpfs", e) < 0) return -1;
    if (o->size) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)o->size);
        if (configure(fs, "size", text, e) < 0) return -1;
    }
    if (o->uid || o->gid) {
        snprintf(text, sizeof text, "%u", o->uid);
        if (configure(fs, "uid", text, e) < 0) return -1;
        snprintf(text, sizeof text, "%u", o->gid);
        if (configure(fs, "gid", text, e) < 0) return -1;
    }
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0) return err_sys(e, "make a tmpfs");
    int fd = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)o->attr);
    return fd < 0 ? err_sys(e, "make a tmpfs") : fd;
}

static const struct {
    const char *name;
    uint64_t flag;
    bool recursive;
} propagations[] = {
    {"private", MS_PRIVATE, false}, {"rprivate", MS_PRIVATE, true},  {"slave", MS_SLAVE, false},
    {"rslave", MS_SLAVE, true},     {"shared", MS_SHARED, false},    {"rshared", MS_SHARED, true},
};

int sandbox_mounts_clone(int fd, bool recursive, bool readonly, uint64_t attr,
                         const char *propagation, struct err *e)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH;
    own(fd) int tree = open_tree(fd, "", flags | (recursive ? AT_RECURSIVE : 0));
    if (tree < 0) {
        err_sys(e, "copy the mount");
        if (e->sys == EINVAL && !recursive)
            err_hint(e, "there are mounts below it that an ordinary user may not uncover: bind it "
                        "recursively, or bind a folder further down");
        return -1;
    }
    struct mount_attr a = {.attr_set = attr | (readonly ? MOUNT_ATTR_RDONLY : 0),
                           .propagation = MS_PRIVATE};
    for (size_t i = 0; propagation && i < sizeof propagations / sizeof *propagations; i++)
        if (strcmp(propagation, propagations[i].name) == 0) a.propagation = propagations[i].flag;
    if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &a, sizeof a) != 0)
        return err_sys(e, "set the options of the mount");
    return take_fd(tree);
}

static int bind_source(const struct sandbox_plan *p, const struct sandbox_mount *m, bool *out_dir,
                       struct err *e)
{
    (void)p;
    own(fd) int mine = -1;
    int fd = m->source_fd;
    if (fd < 0) {
        fd = mine = open(m->source, O_PATH | O_CLOEXEC);
        if (mine < 0) {
            err_sys(e, "bind '%s' to '%s'", m->source, m->target);
            e->kind = ERR_INPUT;
            if (e->sys == ENOENT)
                err_hint(
                    e,
                    "a bind mount needs a source that exists; create it, or use an absolute path");
            return -1;
        }
    }
    struct stat st;
    if (fstat(fd, &st) != 0) return err_sys(e, "stat '%s'", m->source ? m->source : m->target);
    *out_dir = S_ISDIR(st.st_mode);
    uint64_t attr = MOUNT_ATTR_NODEV;  // device nodes come in by --device, never by accident
    if (m->nosuid) attr |= MOUNT_ATTR_NOSUID;
    if (m->noexec) attr |= MOUNT_ATTR_NOEXEC;
    bool below = m->readonly && !m->toponly;
    int tree = sandbox_mounts_clone(fd, !m->nonrecursive, below, attr, m->propagation, e);
    struct mount_attr top = {.attr_set = MOUNT_ATTR_RDONLY};
    if (tree >= 0 && m->readonly && !below &&
        mount_setattr(tree, "", AT_EMPTY_PATH, &top, sizeof top) != 0) {
        err_sys(e, "make the mount read-only");
        close(take_fd(tree));
    }
    if (tree < 0) return err_wrap(e, "binding '%s' to '%s'", m->source ? m->source : "a folder",
                                  m->target);
    return tree;
}

static int tree_source(const struct sandbox_plan *p, const struct sandbox_mount *m, bool *out_dir,
                       struct err *e)
{
    (void)p;
    struct stat st;
    int fd = fcntl(m->source_fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0 || fstat(fd, &st) != 0) return err_sys(e, "use the mount for '%s'", m->target);
    *out_dir = S_ISDIR(st.st_mode);
    if (m->readonly) {
        struct mount_attr a = {.attr_set = MOUNT_ATTR_RDONLY};
        if (mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &a, sizeof a) != 0) {
            close(fd);
            return err_sys(e, "make the mount for '%s' read-only", m->target);
        }
    }
    return fd;
}

// Without mode=: that of the folder which it covers, so that a tmpfs on /root is as closed as /root.
static uint32_t tmpfs_mode(const struct sandbox_plan *p, const struct sandbox_mount *m)
{
    struct root root = {p->spec->rootfs_fd, "the container"};
    struct err none;
    struct stat st;
    if (m->tmpfs_mode) return m->tmpfs_mode;
    own(fd) int fd = fs_in_open(&root, m->target, O_PATH, 0, &none);
    bool dir = fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
    return dir ? st.st_mode & 07777 : 01777;
}

static int tmpfs_source(const struct sandbox_plan *p, const struct sandbox_mount *m, bool *out_dir,
                        struct err *e)
{
    struct sandbox_tmpfs_options o = {m->tmpfs_size, tmpfs_mode(p, m),
                                      sandbox_userns_uid(&p->ids, m->tmpfs_uid),
                                      sandbox_userns_gid(&p->ids, m->tmpfs_gid), 0};
    if (m->nosuid) o.attr |= MOUNT_ATTR_NOSUID;
    if (m->nodev) o.attr |= MOUNT_ATTR_NODEV;
    if (m->noexec) o.attr |= MOUNT_ATTR_NOEXEC;
    if (m->readonly) o.attr |= MOUNT_ATTR_RDONLY;
    *out_dir = true;
    int fd = sandbox_mounts_tmpfs(&o, e);
    return fd < 0 ? err_wrap(e, "mounting a tmpfs on '%s'", m->target) : fd;
}

static int (*const sources[SANDBOX_MOUNT_KIND_COUNT])(const struct sandbox_plan *,
                                                      const struct sandbox_mount *, bool *,
                                                      struct err *) = {
    [SANDBOX_MOUNT_BIND] = bind_source,
    [SANDBOX_MOUNT_TMPFS] = tmpfs_source,
    [SANDBOX_MOUNT_TREE] = tree_source,
};

static int add_mount(struct sandbox_plan *p, const struct sandbox_mount *m, struct err *e)
{
    if (m->target[0] != '/') {
        err_set(e, ERR_INPUT, "the mount target '%s' is not an absolute path", m->target);
        return err_hint(e, "write it from the container's root, for example '/%s'", m->target);
    }
    own(str) struct str clean = {0};
    fs_clean(sv_of(m->target), &clean);
    if (strcmp(str_z(&clean), "/") == 0)
        return err_set(e, ERR_INPUT, "nothing can be mounted over the container's root '/'");
    bool dir = false;
    int fd = sources[m->kind](p, m, &dir, e);
    if (fd < 0) return -1;
    vec_push(&p->mounts,
             (struct sandbox_plan_mount){.fd = fd, .target = str_take(&clean), .dir = dir});
    return 0;
}

static size_t depth(const char *path)
{
    size_t n = 0;
    for (; *path; path++) n += *path == '/';
    return n;
}

// Outer targets first, so that "/data/in" lands inside "/data" whatever the order on the command
// line. Equal depth keeps its order; an insertion sort, since lists are short.
static void sort_mounts(struct sandbox_plan *p)
{
    for (size_t i = 1; i < p->mounts.n; i++) {
        struct sandbox_plan_mount m = p->mounts.p[i];
        size_t k = i;
        for (; k > 0 && depth(p->mounts.p[k - 1].target) > depth(m.target); k--)
            p->mounts.p[k] = p->mounts.p[k - 1];
        p->mounts.p[k] = m;
    }
}

// 1: another mount takes its place, 0: none does, -1: two of the user's on one target.
static int shadowed(const struct sandbox_mounts *v, size_t i, struct err *e)
{
    for (size_t k = 0; k < v->n; k++) {
        if (k == i || strcmp(v->p[k].target, v->p[i].target) != 0) continue;
        if (v->p[i].made_by_default && !v->p[k].made_by_default) return 1;
        if (!v->p[i].made_by_default && !v->p[k].made_by_default)
            return err_set(e, ERR_USAGE, "two mounts on '%s'", v->p[i].target);
    }
    return 0;
}

int sandbox_plan_mounts(struct engine *en, struct sandbox_plan *p, struct err *e)
{
    (void)en;
    const struct sandbox_mounts *v = &p->spec->mounts;
    for (size_t i = 0; i < v->n; i++) {
        int hidden = shadowed(v, i, e);
        if (hidden < 0 || (!hidden && add_mount(p, &v->p[i], e) < 0)) return -1;
    }
    sort_mounts(p);
    return 0;
}

int sandbox_mounts_fill(int from, int to, struct err *e)
{
    const struct store_copytree all = {0};
    return store_copytree(from, to, &all, e);
}
