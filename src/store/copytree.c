// SPDX-License-Identifier: Apache-2.0
#include "store/copytree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/links.h"
#include "base/own.h"
#include "base/vec.h"

#define DEPTH 200
#define XATTR_MAX 65536

struct walk {
    const struct store_copytree *opt;
    int top;           // of the copy
    struct links links;  // names in the copy
    unsigned depth;
};

static bool wanted_xattr(const struct walk *w, const char *name)
{
    if (strcmp(name, "security.capability") == 0) return true;
    if (strncmp(name, "trusted.overlay.", 16) == 0) return w->opt->layer;
    if (strncmp(name, "user.", 5) != 0) return false;
    return w->opt->layer || strncmp(name, "user.overlay.", 13) != 0;
}

static int copy_xattrs(const struct walk *w, int from, int to, struct err *e)
{
    char names[4096], value[XATTR_MAX];
    ssize_t n = flistxattr(from, names, sizeof names);
    for (ssize_t i = 0; i < n; i += (ssize_t)strlen(names + i) + 1) {
        const char *name = names + i;
        if (!wanted_xattr(w, name)) continue;
        ssize_t v = fgetxattr(from, name, value, sizeof value);
        if (v >= 0 && fsetxattr(to, name, value, (size_t)v, 0) != 0 && w->opt->layer)
            return err_sys(e, "set the attribute '%s'", name);
    }
    return 0;
}

static int new_id(const struct idmap_side *side, const char *what, uint32_t id, uint32_t *out,
                  struct err *e)
{
    *out = id;
    if (!side || idmap_find(side, id, out)) return 0;
    return err_set(e, ERR_UNSUPPORTED, "it belongs to the %s id %u, which the container has not",
                   what, id);
}

static int new_owner(const struct store_copytree *opt, const struct stat *st, uint32_t *uid,
                     uint32_t *gid, struct err *e)
{
    if (new_id(opt->uid, "user", st->st_uid, uid, e) < 0) return -1;
    return new_id(opt->gid, "group", st->st_gid, gid, e);
}

// A change of owner takes setuid bits and file capabilities away, so the rest comes after it.
int store_copytree_owner(int to, const struct stat *st, const struct store_copytree *opt,
                         struct err *e)
{
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    uint32_t uid, gid;
    if (new_owner(opt, st, &uid, &gid, e) < 0) return -1;
    if (fchown(to, uid, gid) != 0 || fchmod(to, st->st_mode & 07777) != 0 ||
        futimens(to, times) != 0)
        return err_sys(e, "set the owner of a copy");
    return 0;
}

static int copy_file(struct walk *w, int from_dir, int to_dir, const char *name,
                     const struct stat *st, struct err *e)
{
    own(fd) int in = fs_openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, e);
    own(fd) int out = in < 0 ? -1 : fs_openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600, e);
    if (out < 0) return -1;
    bool shared = st->st_size > 0 && ioctl(out, FICLONE, in) == 0;
    if (!shared && fs_copy_bytes(in, out, (uint64_t)st->st_size, e) < 0) return -1;
    if (store_copytree_owner(out, st, w->opt, e) < 0 || copy_xattrs(w, in, out, e) < 0) return -1;
    // Attributes change no times; they are set again for file systems where they do.
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    return futimens(out, times) == 0 ? 0 : err_sys(e, "set the time of '%s'", name);
}

static int finish_node(struct walk *w, int dir, const char *name, const struct stat *st,
                       struct err *e)
{
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    uint32_t uid, gid;
    if (new_owner(w->opt, st, &uid, &gid, e) < 0) return -1;
    if (fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) != 0)
        return err_sys(e, "set the owner of '%s'", name);
    if (!S_ISLNK(st->st_mode) && fchmodat(dir, name, st->st_mode & 07777, 0) != 0)
        return err_sys(e, "set the mode of '%s'", name);
    utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW);
    return 0;
}

static int copy_link(struct walk *w, int from_dir, int to_dir, const char *name,
                     const struct stat *st, struct err *e)
{
    char text[4096];
    ssize_t n = readlinkat(from_dir, name, text, sizeof text - 1);
    if (n < 0) return err_sys(e, "read the link '%s'", name);
    text[n] = '\0';
    if (symlinkat(text, to_dir, name) != 0) return err_sys(e, "make the link '%s'", name);
    return finish_node(w, to_dir, name, st, e);
}

// Of a layer only. A whiteout (0:0) has no owner that means anything.
static int copy_node(struct walk *w, int to_dir, const char *name, const struct stat *st,
                     struct err *e)
{
    if (mknodat(to_dir, name, st->st_mode & (S_IFMT | 07777), st->st_rdev) != 0)
        return err_sys(e, "make '%s'", name);
    if (S_ISCHR(st->st_mode) && st->st_rdev == 0) return 0;
    return finish_node(w, to_dir, name, st, e);
}

static int copy_folder(struct walk *w, int from, int to, const char *path, struct err *e);

static int copy_subfolder(struct walk *w, int from, int to, const char *name, const char *path,
                          struct err *e)
{
    if (mkdirat(to, name, 0700) != 0) return err_sys(e, "make '%s'", name);
    own(fd) int a = fs_openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
    own(fd) int b = a < 0 ? -1 : fs_openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
    return b < 0 ? -1 : copy_folder(w, a, b, path, e);
}

// 1: it was a further name of a file that is there.
static int copy_name(struct walk *w, int to, const char *name, const char *path,
                     const struct stat *st, struct err *e)
{
    if (!w->opt->layer || S_ISDIR(st->st_mode) || st->st_nlink < 2) return 0;
    char *first = links_first(&w->links, st->st_dev, st->st_ino, path);
    if (!first) return 0;
    if (linkat(w->top, first, to, name, 0) != 0) return err_sys(e, "link '%s'", path);
    return 1;
}

static int copy_kind(struct walk *w, int from, int to, const char *name, const char *path,
                     const struct stat *st, struct err *e)
{
    if (S_ISDIR(st->st_mode)) return copy_subfolder(w, from, to, name, path, e);
    int rc = copy_name(w, to, name, path, st, e);
    if (rc != 0) return rc < 0 ? -1 : 0;
    if (S_ISREG(st->st_mode)) return copy_file(w, from, to, name, st, e);
    if (S_ISLNK(st->st_mode)) return copy_link(w, from, to, name, st, e);
    return w->opt->layer ? copy_node(w, to, name, st, e) : 0;
}

static int copy_entry(struct walk *w, int from, int to, const char *name, const char *above,
                      struct err *e)
{
    struct stat st;
    own(free) char *path = str_fmt("%s%s%s", above, above[0] ? "/" : "", name);
    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return err_sys(e, "stat '%s'", path);
    if (copy_kind(w, from, to, name, path, &st, e) < 0)
        return S_ISDIR(st.st_mode) ? -1 : err_wrap(e, "copying '%s'", path);
    if (w->opt->step) w->opt->step(w->opt->arg, S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0);
    return 0;
}

static int copy_folder(struct walk *w, int from, int to, const char *path, struct err *e)
{
    own(strv) struct strv names = {0};
    struct stat st;
    if (w->depth >= DEPTH) return err_set(e, ERR_LIMIT, "'%s': more than %d folders deep", path, DEPTH);
    if (fs_list(from, ".", &names, e) < 0) return -1;
    w->depth++;
    for (size_t i = 0; i < names.n; i++)
        if (copy_entry(w, from, to, names.p[i], path, e) < 0) return -1;
    w->depth--;
    if (fstat(from, &st) != 0) return err_sys(e, "stat '%s'", path);
    if (copy_xattrs(w, from, to, e) < 0 || store_copytree_owner(to, &st, w->opt, e) < 0)
        return err_wrap(e, "copying the folder '%s'", path[0] ? path : "/");
    return 0;
}

int store_copytree(int from, int to, const struct store_copytree *opt, struct err *e)
{
    struct walk w = {.opt = opt, .top = to};
    int rc = copy_folder(&w, from, to, "", e);
    links_fini(&w.links);
    return rc;
}
