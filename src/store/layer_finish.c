// SPDX-License-Identifier: Apache-2.0
// Finishes an open layer against a view of the layers below it:
//   - a folder that the archive used but did not list takes mode, owner, attributes and time of the one
//     below; where there is none it is 0755 0:0 of time 0;
//   - a hard link to a file below: the file is copied up, at its own name and at the link's, as one
//     inode, which is what the kernel would do in a mounted overlay.
// Folders are looked up by their path in the view without following links: an archive that writes
// below a link of a lower layer makes a folder there, as Docker's overlay driver has it.
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <linux/openat2.h>

#include "base/own.h"
#include "store/layer_internal.h"

#define LIST_MAX ((size_t)64 << 20)

struct finish {
    struct engine *en;
    struct root fs;    // the layer
    struct root view;  // what lies below; fd -1 when nothing does
};

static int open_plain(const struct root *r, const char *path)
{
    struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    if (r->fd < 0) {
        errno = ENOENT;
        return -1;
    }
    return (int)syscall(SYS_openat2, r->fd, path[0] ? path : ".", &how, sizeof how);
}

// Attributes of the folder or file `from_dir/from` onto `to_dir/to`.
static int copy_attrs(int from_dir, const char *from, int to_dir, const char *to, const char *label,
                      struct err *e)
{
    struct stat st;
    if (fstatat(from_dir, from, &st, AT_SYMLINK_NOFOLLOW) != 0) return err_sys(e, "stat '%s'", label);
    if (fchownat(to_dir, to, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) != 0)
        return err_sys(e, "give '%s' to %u:%u", label, st.st_uid, st.st_gid);
    own(layer_attrs) struct layer_attrs a = {0};
    if (layer_attrs_read(from_dir, from, false, &a, e) < 0 ||
        layer_attrs_write(to_dir, to, st.st_mode, &a.keep, label, e) < 0)
        return -1;
    if (!S_ISLNK(st.st_mode) && fchmodat(to_dir, to, st.st_mode & 07777, 0) != 0)
        return err_sys(e, "chmod '%s'", label);
    struct timespec times[2] = {st.st_mtim, st.st_mtim};
    if (utimensat(to_dir, to, times, AT_SYMLINK_NOFOLLOW) != 0)
        return err_sys(e, "set the time of '%s'", label);
    return 0;
}

static bool is_absent(int code)
{
    return code == ENOENT || code == ENOTDIR || code == ELOOP;
}

// 1: `path` is hidden from the layers below, by an opaque folder of this layer on the way.
static int hidden(const struct finish *f, const char *path, struct err *e)
{
    own(free) char *part = str_dup(path);
    for (char *slash = part + strlen(part); slash; slash = strrchr(part, '/')) {
        *slash = '\0';
        own(fd) int fd = open_plain(&f->fs, part);
        own(layer_attrs) struct layer_attrs a = {0};
        if (fd < 0 && !is_absent(errno)) return err_sys(e, "open folder '%s' of the layer", part);
        if (fd >= 0 && layer_attrs_read(fd, ".", false, &a, e) < 0) return -1;
        if (a.opaque) return 1;
    }
    return 0;
}

static int finish_dir(struct finish *f, const char *path, struct err *e)
{
    own(fd) int here = open_plain(&f->fs, path);
    if (here < 0) return err_sys(e, "open folder '%s' of the layer", path);
    own(fd) int below = open_plain(&f->view, path);
    if (below < 0 && !is_absent(errno)) return err_sys(e, "open folder '%s' below the layer", path);
    int gone = below < 0 ? 1 : hidden(f, path, e);
    if (gone < 0) return -1;
    if (!gone) return copy_attrs(below, ".", here, ".", path, e);
    struct timespec zero[2] = {{0}};
    if (fchown(here, 0, 0) != 0 || fchmod(here, 0755) != 0 || futimens(here, zero) != 0)
        return err_sys(e, "set the attributes of folder '%s'", path);
    return 0;
}

// Makes the folders of `path` that this layer lacks, like those below.
static int need_parents(struct finish *f, const char *path, struct err *e)
{
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        own(free) char *dir = sv_dup((struct sv){path, (size_t)(slash - path)});
        own(fd) int there = open_plain(&f->fs, dir);
        if (there >= 0) continue;
        own(fd) int parent = -1;
        char name[256];
        if (errno != ENOENT || fs_in_parent(&f->fs, dir, &parent, name, e) < 0)
            return err_sys(e, "open folder '%s' of the layer", dir);
        if (mkdirat(parent, name, 0755) != 0) return err_sys(e, "make folder '%s'", dir);
        if (finish_dir(f, dir, e) < 0) return -1;
    }
    return 0;
}

static int copy_content(int from_dir, const char *from, int to_dir, const char *to,
                        const struct stat *st, struct err *e)
{
    char link[4096];
    if (S_ISLNK(st->st_mode)) {
        ssize_t n = readlinkat(from_dir, from, link, sizeof link - 1);
        if (n < 0) return err_sys(e, "read a link");
        link[n] = '\0';
        return symlinkat(link, to_dir, to) == 0 ? 0 : err_sys(e, "make symlink '%s'", to);
    }
    if (!S_ISREG(st->st_mode))
        return mknodat(to_dir, to, st->st_mode, st->st_rdev) == 0 ? 0 : err_sys(e, "make node '%s'", to);
    own(fd) int in = fs_openat(from_dir, from, O_RDONLY | O_NOFOLLOW, 0, e);
    own(fd) int out = in < 0 ? -1 : fs_openat(to_dir, to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, e);
    return out < 0 ? -1 : fs_copy_bytes(in, out, (uint64_t)st->st_size, e);
}

// 1: parent/name is there and no whiteout; a whiteout is removed when `clear` is set.
static int taken(int parent, const char *name, bool clear, struct err *e)
{
    struct stat st;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : err_sys(e, "stat '%s' of the layer", name);
    if (!layer_is_whiteout(&st)) return 1;
    if (!clear) return 0;
    return unlinkat(parent, name, 0) == 0 ? 0 : err_sys(e, "replace whiteout '%s'", name);
}

static int no_target(const char *name, const char *target, struct err *e)
{
    return err_set(e, ERR_INPUT, "hard link '%s' leads to '%s', which neither this layer nor one below has",
                   name, target);
}

// Where the link's target is: copied up into this layer unless it is there.
static int finish_link(struct finish *f, const char *path, const char *target, struct err *e)
{
    own(fd) int to = -1;
    own(fd) int mine = -1;
    own(fd) int below = -1;
    char name[256], mine_name[256], below_name[256];
    struct stat st;
    struct err gone = {0};
    if (fs_in_parent(&f->fs, path, &to, name, e) < 0) return -1;
    int rc = taken(to, name, true, e);
    if (rc != 0) return rc < 0 ? -1 : 0;  // something else took its name later
    if (fs_in_parent(&f->fs, target, &mine, mine_name, &gone) < 0 && !is_absent(gone.sys)) {
        *e = gone;
        return -1;
    }
    rc = mine < 0 ? 0 : taken(mine, mine_name, false, e);
    if (rc < 0) return -1;
    if (rc == 1)
        return linkat(mine, mine_name, to, name, 0) == 0
                   ? 0
                   : err_sys(e, "link '%s' to '%s'", path, target);
    rc = f->view.fd < 0 ? 1 : hidden(f, target, e);
    if (rc < 0) return -1;
    if (rc == 1) return no_target(path, target, e);
    if (fs_in_parent(&f->view, target, &below, below_name, e) < 0)
        return is_absent(e->sys) ? (err_clear(e), no_target(path, target, e)) : -1;
    if (fstatat(below, below_name, &st, AT_SYMLINK_NOFOLLOW) != 0 && !is_absent(errno))
        return err_sys(e, "stat '%s' below the layer", target);
    if (fstatat(below, below_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || S_ISDIR(st.st_mode))
        return no_target(path, target, e);
    if (copy_content(below, below_name, to, name, &st, e) < 0 ||
        copy_attrs(below, below_name, to, name, path, e) < 0)
        return -1;
    // The same inode under its own name, so that it stays one file. A whiteout there says that the
    // name is gone; then the link alone remains.
    if (mine >= 0 && fstatat(mine, mine_name, &st, AT_SYMLINK_NOFOLLOW) == 0) return 0;
    close(take_fd(mine));
    if (strcmp(path, target) == 0) return 0;
    if (need_parents(f, target, e) < 0 || fs_in_parent(&f->fs, target, &mine, mine_name, e) < 0)
        return -1;
    struct stat dir;
    if (fstat(mine, &dir) != 0) return err_sys(e, "stat folder of '%s'", target);
    if (linkat(to, name, mine, mine_name, 0) != 0 && errno != EEXIST)
        return err_sys(e, "link '%s' to '%s'", target, path);
    struct timespec times[2] = {dir.st_mtim, dir.st_mtim};
    return futimens(mine, times) == 0 ? 0 : err_sys(e, "set the time of a folder");
}

static int finish_all(struct finish *f, struct sv list, struct err *e)
{
    // Links first: they may add to folders, whose times are set afterwards.
    for (int links = 1; links >= 0; links--) {
        for (struct sv rest = list; rest.n > 2;) {
            const char *path = rest.p + 2, *target = NULL;
            bool is_link = rest.p[0] == 'l';
            size_t n = 2 + strlen(path) + 1;
            if (is_link && n < rest.n) target = rest.p + n, n += strlen(target) + 1;
            rest = sv_from(rest, n + 1);
            if (is_link != (links == 1)) continue;
            if (is_link ? !target || finish_link(f, path, target, e) < 0 : finish_dir(f, path, e) < 0)
                return target || !is_link ? -1 : err_set(e, ERR_CORRUPT, "a list of links is damaged");
        }
    }
    return 0;
}

int layer_finish(struct engine *en, int dir, const struct store_layer *below, size_t n,
                 struct err *e)
{
    own(str) struct str list = {.max = LIST_MAX};
    own(fd) int fs = fs_open_dir(dir, "fs", e);
    own(fd) int view = -1;
    struct store_overlay o = {.layers = below, .n = n};
    if (fs < 0 || fs_read_at(dir, "open", LIST_MAX, &list, e) < 0) return -1;
    if (n > 0 && (view = store_overlay_open(en, &o, e)) < 0) return -1;
    struct finish f = {.en = en, .fs = {fs, "the layer"}, .view = {view, "the layers below"}};
    mode_t mask = umask(0);
    int rc = finish_all(&f, str_sv(&list), e);
    umask(mask);
    return rc;
}
