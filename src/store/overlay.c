// SPDX-License-Identifier: Apache-2.0
// Overlay mounts, detached. Lower directories go in by descriptor where the kernel takes them
// (`lowerdir+` with FSCONFIG_SET_FD, 6.13), else by path one at a time (6.5), else in one mount(2),
// which the kernel limits to one page: there the names are descriptor numbers, relative to
// /proc/self/fd, so that a page holds as many layers as an overlay can have.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/own.h"
#include "store/layer.h"

#define OPTION_MAX 4096
#define MAPPED_HINT "a user namespace for each container needs Linux 6.15 or newer"

static int config(int fs, unsigned cmd, const char *key, const void *value, int aux)
{
    return (int)syscall(SYS_fsconfig, fs, cmd, key, value, aux);
}

// The kernel says why in the context's log.
static int refused(int fs, const char *what, struct err *e)
{
    char text[512];
    int code = errno;
    ssize_t n = read(fs, text, sizeof text - 1);
    while (n > 0 && (text[n - 1] == '\n')) n--;
    if (n > 2) return err_set(e, ERR_SYSTEM, "overlay: %s: %.*s", what, (int)n - 2, text + 2);
    return err_sys_code(e, code, "overlay: %s", what);
}

static int flag_options(struct engine *en, int fs, const struct store_overlay *o, struct err *e)
{
    static const char *const common[][2] = {{"source", "dewar"}, {"xino", "off"}};
    static const char *const writable[][2] = {
        {"redirect_dir", "nofollow"}, {"metacopy", "off"}, {"index", "off"}};
    for (size_t i = 0; i < 2; i++)
        if (config(fs, FSCONFIG_SET_STRING, common[i][0], common[i][1], 0) != 0)
            return refused(fs, common[i][0], e);
    for (size_t i = 0; o->upper_fd > 0 && i < 3; i++)
        if (config(fs, FSCONFIG_SET_STRING, writable[i][0], writable[i][1], 0) != 0)
            return refused(fs, writable[i][0], e);
    if (o->upper_fd > 0 && !o->durable && config(fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0) != 0)
        return refused(fs, "volatile", e);
    if (en->ids.mode != IDMAP_ROOT && config(fs, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) != 0)
        return refused(fs, "userxattr", e);
    return 0;
}

// One option that names a directory: by descriptor, or by its path under /proc.
static int set_dir(int fs, const char *key, int fd)
{
    char path[64];
    if (config(fs, FSCONFIG_SET_FD, key, NULL, fd) == 0) return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return config(fs, FSCONFIG_SET_STRING, key, path, 0);
}

// A lower directory with its ids seen through another user namespace: a clone of the mount with the
// mapping on it, detached.
static int map_lower(const struct store_overlay *o, int fd, struct err *e)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH;
    own(fd) int tree = (int)syscall(SYS_open_tree, fd, "", flags);
    if (tree < 0) return err_sys(e, "copy the mount of a layer");
    struct mount_attr a = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)o->userns_fd};
    if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &a, sizeof a) == 0) return take_fd(tree);
    err_sys(e, "map the ids of a layer");
    if (e->sys == EINVAL || e->sys == EOPNOTSUPP) e->kind = ERR_UNSUPPORTED;
    return err_hint(e, "the store's file system must be able to map ids: ext4, xfs and btrfs are");
}

// A clone that is not attached anywhere lives as long as its descriptor: the kernel makes its own
// copy only when the overlay is made.
struct trees {
    int *p;
    size_t n;
    size_t cap;
};
static void own_trees(struct trees *t)
{
    vec_each (fd, t) close(*fd);
    vec_fini(t);
}

// Before Linux 6.5 the options of overlayfs go through a layer of the kernel's that takes any key and
// lets the mount fail in the end: a key that nobody knows tells.
static bool takes_any_key(int fs)
{
    return config(fs, FSCONFIG_SET_FLAG, "no-such-option", NULL, 0) == 0;
}

// 1: this kernel takes no lower directories one by one, which the first of them tells.
static int add_lower(int fs, const struct store_overlay *o, int fd, struct trees *hold, bool first,
                     struct err *e)
{
    int tree = o->userns_fd > 0 ? map_lower(o, fd, e) : -1;
    if (o->userns_fd > 0 && tree < 0) return -1;
    if (tree >= 0) vec_push(hold, tree);
    int dir = tree < 0 ? fd : tree;
    if (config(fs, FSCONFIG_SET_FD, "lowerdir+", NULL, dir) == 0) return 0;
    if (first && tree < 0 && takes_any_key(fs)) return 1;
    if (set_dir(fs, "lowerdir+", dir) == 0) return 0;
    if (tree < 0) return errno == EINVAL && first ? 1 : refused(fs, "lower directory", e);
    refused(fs, "layers with mapped ids", e);
    e->kind = ERR_UNSUPPORTED;
    return err_hint(e, MAPPED_HINT);
}

static int lower_new(struct engine *en, int fs, const struct store_overlay *o, int empty,
                     struct trees *hold, struct err *e)
{
    for (size_t i = o->n; i-- > 0;) {  // the kernel wants the top first
        own(fd) int fd = store_layer_open_fs(en, &o->layers[i], e);
        if (fd < 0) return -1;
        int rc = add_lower(fs, o, fd, hold, i == o->n - 1, e);
        if (rc != 0) return rc;
    }
    int last = o->extra_bottom_fd > 0 ? o->extra_bottom_fd : empty;
    return last > 0 ? add_lower(fs, o, last, hold, o->n == 0, e) : 0;
}

static void add_dir(struct str *names, const char *key, int fd)
{
    str_addf(names, ",%s=/proc/self/fd/%d", key, fd);
}

// The option string of mount(2), for a caller in /proc/self/fd. `lower` are the open layers.
static void old_options(struct engine *en, const struct store_overlay *o, const int *lower, int empty,
                        struct str *out)
{
    int last = o->extra_bottom_fd > 0 ? o->extra_bottom_fd : empty;
    str_addz(out, "xino=off");
    if (o->upper_fd > 0) {
        str_addz(out, ",redirect_dir=nofollow,metacopy=off,index=off");
        if (!o->durable) str_addz(out, ",volatile");
        add_dir(out, "upperdir", o->upper_fd);
        add_dir(out, "workdir", o->work_fd);
    }
    if (en->ids.mode != IDMAP_ROOT) str_addz(out, ",userxattr");
    str_addz(out, ",lowerdir=");
    for (size_t i = o->n; i-- > 0;) str_addf(out, "%d%s", lower[i], i || last > 0 ? ":" : "");
    if (last > 0) str_addf(out, "%d", last);
}

// Everything in one mount(2), which takes a page of options and attaches at once: the mount is
// cloned and taken away again.
static int mount_old(struct engine *en, const struct store_overlay *o, const int *lower, int empty,
                     struct err *e)
{
    own(str) struct str options = {0};
    char target[64];
    old_options(en, o, lower, empty, &options);
    if (options.n >= OPTION_MAX) {
        err_set(e, ERR_LIMIT, "%zu layers are too many for this kernel", o->n);
        return err_hint(e, "kernels from 6.5 on take more; or build with fewer steps");
    }
    own(fd) int here = fs_openat(AT_FDCWD, ".", O_PATH, 0, e);
    if (here < 0 || fs_mkdirs(en->store_fd, "cache/mnt", 0700, e) < 0) return -1;
    snprintf(target, sizeof target, "/proc/self/fd/%d/cache/mnt", en->store_fd);
    if (chdir("/proc/self/fd") != 0) return err_sys(e, "enter '/proc/self/fd'");
    unsigned long flags = o->upper_fd > 0 ? 0 : MS_RDONLY;
    int mnt = -1;
    if (mount("dewar", target, "overlay", flags, str_z(&options)) != 0) {
        err_sys(e, "overlay of %zu layers", o->n);
    } else {
        mnt = (int)syscall(SYS_open_tree, AT_FDCWD, target, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (mnt < 0) err_sys(e, "clone the overlay");
        umount2(target, MNT_DETACH);
    }
    if (fchdir(here) != 0 && mnt >= 0) {
        close(mnt);
        return err_sys(e, "go back to the caller's folder");
    }
    return mnt;
}

static int make_old(struct engine *en, const struct store_overlay *o, int empty, struct err *e)
{
    int *lower = mem_alloc((o->n + 1) * sizeof *lower);
    size_t n = 0;
    while (n < o->n && (lower[n] = store_layer_open_fs(en, &o->layers[n], e)) >= 0) n++;
    int mnt = n == o->n ? mount_old(en, o, lower, empty, e) : -1;
    while (n > 0) close(lower[--n]);
    free(lower);
    return mnt;
}

static int make_new(struct engine *en, const struct store_overlay *o, int empty, struct err *e)
{
    own(fd) int fs = (int)syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);
    if (fs < 0) {
        err_sys(e, "open the overlay file system");
        return err_hint(e, "is overlayfs there? 'dewar doctor' tells");
    }
    own(trees) struct trees hold = {0};
    int rc = lower_new(en, fs, o, empty, &hold, e);
    if (rc != 0) return rc < 0 ? -1 : -2;  // -2: this kernel wants the old way
    if (o->upper_fd > 0 && (set_dir(fs, "upperdir", o->upper_fd) != 0 ||
                            set_dir(fs, "workdir", o->work_fd) != 0))
        return refused(fs, "upper directory", e);
    if (flag_options(en, fs, o, e) < 0) return -1;
    if (config(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0) {
        refused(fs, "mount", e);
        if (o->userns_fd > 0) err_hint(e, MAPPED_HINT);
        return -1;
    }
    unsigned attr = o->upper_fd > 0 ? 0 : MOUNT_ATTR_RDONLY;
    int mnt = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attr);
    return mnt < 0 ? refused(fs, "mount", e) : mnt;
}

// A view of a single layer has no upper and one lower, which overlayfs refuses: an empty folder goes
// below it.
static int empty_lower(struct engine *en, const struct store_overlay *o, struct err *e)
{
    bool enough = o->upper_fd > 0 ? o->n > 0 || o->extra_bottom_fd > 0
                                  : o->n + (o->extra_bottom_fd > 0) >= 2;
    if (enough) return 0;
    if (fs_mkdirs(en->store_fd, "cache/empty", 0755, e) < 0) return -1;
    return fs_open_dir(en->store_fd, "cache/empty", e);
}

// A layer that comes again further up (an empty one, say) is left out below: all that it does there
// is done again above, and overlayfs refuses a folder twice (ELOOP).
static struct store_layer *without_repeats(const struct store_overlay *o, size_t *out_n)
{
    struct store_layer *kept = mem_alloc((o->n + 1) * sizeof *kept);
    *out_n = 0;
    for (size_t i = 0; i < o->n; i++) {
        size_t k = i + 1;
        while (k < o->n && strcmp(o->layers[i].id, o->layers[k].id) != 0) k++;
        if (k == o->n) kept[(*out_n)++] = o->layers[i];
    }
    return kept;
}

static int open_distinct(struct engine *en, const struct store_overlay *o, struct err *e)
{
    int empty = empty_lower(en, o, e);
    if (empty < 0) return -1;
    own(fd) int hold = empty > 0 ? empty : -1;
    (void)hold;  // clang does not count its destructor as a use
    int mnt = -2;
    if (!o->force_old) mnt = make_new(en, o, empty, e);
    if (mnt == -2) mnt = make_old(en, o, empty, e);
    return mnt < 0 ? -1 : mnt;
}

int store_overlay_open(struct engine *en, const struct store_overlay *o, struct err *e)
{
    if (o->n > LIMIT_LAYERS)
        return err_set(e, ERR_LIMIT, "%zu layers; at most %d are possible", o->n, LIMIT_LAYERS);
    struct store_overlay distinct = *o;
    own(free) struct store_layer *layers = without_repeats(o, &distinct.n);
    distinct.layers = layers;
    return open_distinct(en, &distinct, e);
}
