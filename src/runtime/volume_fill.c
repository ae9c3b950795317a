// SPDX-License-Identifier: Apache-2.0
// What a new volume holds at first: a copy of what the image has on its path, made under another
// name, so that whoever renames it has a volume that is empty or complete.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/own.h"
#include "runtime/volume_internal.h"

#define COPY_DEPTH 200
#define XATTR_MAX 65536

static void copy_xattrs(int from, int to)
{
    char names[4096], value[XATTR_MAX];
    ssize_t n = flistxattr(from, names, sizeof names);
    for (ssize_t i = 0; i < n; i += (ssize_t)strlen(names + i) + 1) {
        const char *name = names + i;
        if (strncmp(name, "user.", 5) != 0 && strcmp(name, "security.capability") != 0) continue;
        if (strncmp(name, "user.overlay.", 13) == 0) continue;
        ssize_t v = fgetxattr(from, name, value, sizeof value);
        if (v >= 0) fsetxattr(to, name, value, (size_t)v, 0);
    }
}

static int copy_meta(int to, const struct stat *st, struct err *e)
{
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    if (fchown(to, st->st_uid, st->st_gid) != 0 || fchmod(to, st->st_mode & 07777) != 0 ||
        futimens(to, times) != 0)
        return err_sys(e, "set the owner of a file in the volume");
    return 0;
}

static int copy_file(int from_dir, int to_dir, const char *name, const struct stat *st,
                     struct err *e)
{
    own(fd) int in = fs_openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, e);
    own(fd) int out = in < 0 ? -1 : fs_openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600, e);
    if (out < 0 || fs_copy_bytes(in, out, (uint64_t)st->st_size, e) < 0) return -1;
    // A change of owner takes file capabilities away, so attributes come after it.
    if (copy_meta(out, st, e) < 0) return -1;
    copy_xattrs(in, out);
    return 0;
}

static int copy_link(int from_dir, int to_dir, const char *name, const struct stat *st,
                     struct err *e)
{
    char text[4096];
    ssize_t n = readlinkat(from_dir, name, text, sizeof text - 1);
    if (n < 0) return err_sys(e, "read the link '%s'", name);
    text[n] = '\0';
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    if (symlinkat(text, to_dir, name) != 0 ||
        fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) != 0)
        return err_sys(e, "make the link '%s'", name);
    utimensat(to_dir, name, times, AT_SYMLINK_NOFOLLOW);
    return 0;
}

static int copy_dir(int from, int to, int depth, struct err *e);

static int copy_entry(int from, int to, const char *name, int depth, struct err *e)
{
    struct stat st;
    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return err_sys(e, "stat '%s'", name);
    if (S_ISREG(st.st_mode)) return copy_file(from, to, name, &st, e);
    if (S_ISLNK(st.st_mode)) return copy_link(from, to, name, &st, e);
    if (!S_ISDIR(st.st_mode)) return 0;  // devices, sockets and fifos stay in the image
    if (mkdirat(to, name, 0700) != 0) return err_sys(e, "make '%s'", name);
    own(fd) int a = fs_openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
    own(fd) int b = a < 0 ? -1 : fs_openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
    if (b < 0) return -1;
    return copy_dir(a, b, depth + 1, e);
}

static int copy_dir(int from, int to, int depth, struct err *e)
{
    if (depth > COPY_DEPTH) return err_set(e, ERR_LIMIT, "more than %d folders deep", COPY_DEPTH);
    own(strv) struct strv names = {0};
    if (fs_list(from, ".", &names, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++)
        if (copy_entry(from, to, names.p[i], depth, e) < 0) return -1;
    struct stat st;
    if (fstat(from, &st) != 0) return err_sys(e, "stat");
    copy_xattrs(from, to);
    return copy_meta(to, &st, e);
}

static int fill(const struct root *image, const char *path, int to, bool copy,
                const struct runtime_ids *ids, struct err *e)
{
    own(fd) int from = fs_in_try(image, path, O_RDONLY | O_DIRECTORY, 0);
    struct stat st;
    if (from < 0 || fstat(from, &st) != 0) {
        if (ids->uid && fchown(to, ids->uid, ids->gid) != 0) return err_sys(e, "chown");
        return fchmod(to, 0755) == 0 ? 0 : err_sys(e, "chmod");
    }
    return copy ? copy_dir(from, to, 0, e) : copy_meta(to, &st, e);
}

int volume_fill(int dir, const struct root *image, const char *path, bool copy,
                const struct runtime_ids *ids, struct err *e)
{
    struct err ignored;
    fs_remove_tree(dir, VOLUME_NEW, &ignored); // of one who was killed here
    if (mkdirat(dir, VOLUME_NEW, 0700) != 0) return err_sys(e, "make a volume for '%s'", path);
    own(fd) int data = fs_open_dir(dir, VOLUME_NEW, e);
    if (data >= 0 && fill(image, path, data, copy, ids, e) == 0) return take_fd(data);
    fs_remove_tree(dir, VOLUME_NEW, &ignored); // on a full disk others want the space
    return err_wrap(e, "filling the volume for '%s'", path);
}
