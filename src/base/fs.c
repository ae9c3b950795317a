// SPDX-License-Identifier: Apache-2.0
// Files: the one place with raw path calls. Paths from outside go through openat2 inside a root.
#include "base/fs.h"

#include <errno.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "base/vec.h"

// A rename during resolution makes the kernel give up with EAGAIN: try again, but not for ever.
#define RESOLVE_TRIES 64

static int openat2_as(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .mode = flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? mode : 0,
        .resolve = resolve | RESOLVE_NO_MAGICLINKS,
    };
    if (!(flags & O_PATH)) how.flags |= O_NOCTTY;
    long fd = -1;
    for (int i = 0; i < RESOLVE_TRIES; i++) {
        fd = syscall(SYS_openat2, dirfd, path[0] ? path : ".", &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) break;
    }
    return (int)fd;
}

static int openat2_in(int dirfd, const char *path, int flags, mode_t mode)
{
    return openat2_as(dirfd, path, flags, mode, RESOLVE_IN_ROOT);
}

int fs_in_beneath(const struct root *r, const char *path, int flags)
{
    return openat2_as(r->fd, path, flags, 0, RESOLVE_BENEATH);
}

int fs_in_plain(const struct root *r, const char *path, int flags)
{
    return openat2_as(r->fd, path, flags, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

int fs_in_try(const struct root *r, const char *path, int flags, mode_t mode)
{
    return openat2_in(r->fd, path, flags, mode);
}

int fs_in_try_link(const struct root *r, const char *path)
{
    // A trailing slash would make the kernel follow a final symlink in spite of O_NOFOLLOW.
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') n--;
    own(free) char *bare = sv_dup((struct sv){path, n});
    return openat2_in(r->fd, bare, O_PATH | O_NOFOLLOW, 0);
}

int fs_in_open(const struct root *r, const char *path, int flags, mode_t mode, struct err *e)
{
    int fd = fs_in_try(r, path, flags, mode);
    if (fd < 0) return err_sys(e, "open '%s' inside %s", path, r->label);
    return fd;
}

int fs_in_parent(const struct root *r, const char *path, int *out_fd, char out_name[256],
                 struct err *e)
{
    struct sv p = sv_of(path);
    while (p.n > 0 && p.p[p.n - 1] == '/') p.n--;
    long slash = sv_rfind(p, '/');
    struct sv name = sv_from(p, (size_t)(slash + 1));
    if (name.n == 0 || name.n > 255 || sv_eqz(name, ".") || sv_eqz(name, ".."))
        return err_set(e, ERR_INPUT, "'%s' inside %s does not end in a name", path, r->label);
    own(free) char *dir = sv_dup(sv_part(p, 0, slash < 0 ? 0 : (size_t)slash + 1));
    int fd = openat2_in(r->fd, dir, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) return err_sys(e, "open '%s' inside %s", dir[0] ? dir : ".", r->label);
    memcpy(out_name, name.p, name.n);
    out_name[name.n] = '\0';
    *out_fd = fd;
    return 0;
}

// Makes one missing directory for fs_in_mkdirs. `sofar` is the path up to and with it.
static int make_one(const struct root *r, const char *sofar, mode_t mode,
                    const struct fs_owner *owner, struct err *e)
{
    own(fd) int parent = -1;
    char name[256];
    if (fs_in_parent(r, sofar, &parent, name, e) < 0) return -1;
    if (mkdirat(parent, name, 0700) != 0) {
        if (errno == EEXIST) return 0;
        return err_sys(e, "make folder '%s' inside %s", sofar, r->label);
    }
    own(fd) int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0) return err_sys(e, "open new folder '%s' inside %s", sofar, r->label);
    if (owner && fchown(dir, owner->uid, owner->gid) != 0)
        return err_sys(e, "give '%s' inside %s to %u:%u", sofar, r->label, owner->uid, owner->gid);
    if (fchmod(dir, mode) != 0) return err_sys(e, "chmod '%s' inside %s", sofar, r->label);
    return 0;
}

int fs_in_mkdirs(const struct root *r, const char *path, mode_t mode, const struct fs_owner *owner,
                 int *out_fd, struct err *e)
{
    struct sv p = sv_of(path);
    for (size_t end = 0; end < p.n;) {
        while (end < p.n && p.p[end] == '/') end++;
        size_t start = end;
        while (end < p.n && p.p[end] != '/') end++;
        struct sv name = sv_part(p, start, end - start);
        if (name.n == 0 || sv_eqz(name, ".") || sv_eqz(name, "..")) continue;
        own(free) char *sofar = sv_dup(sv_part(p, 0, end));
        int fd = openat2_in(r->fd, sofar, O_PATH | O_DIRECTORY, 0);
        if (fd >= 0) {
            close(fd);
            continue;
        }
        if (errno != ENOENT) return err_sys(e, "open '%s' inside %s", sofar, r->label);
        if (make_one(r, sofar, mode, owner, e) < 0) return -1;
    }
    int fd = openat2_in(r->fd, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) return err_sys(e, "open '%s' inside %s", path, r->label);
    *out_fd = fd;
    return 0;
}

int fs_in_read(const struct root *r, const char *path, size_t max, struct str *out, struct err *e)
{
    own(fd) int fd = fs_in_open(r, path, O_RDONLY | O_NONBLOCK, 0, e);
    if (fd < 0) return -1;
    struct stat st;
    if (fstat(fd, &st) != 0) return err_sys(e, "stat '%s' inside %s", path, r->label);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_INPUT, "'%s' inside %s is a %s, not a regular file", path, r->label,
                       fs_type_name(st.st_mode));
    if (fs_read_fd(fd, max, out, e) < 0)
        return err_wrap(e, "reading '%s' inside %s", path, r->label);
    return 0;
}

int fs_open(const char *path, int flags, mode_t mode, struct err *e)
{
    return fs_openat(AT_FDCWD, path, flags, mode, e);
}

int fs_openat(int dirfd, const char *path, int flags, mode_t mode, struct err *e)
{
    int fd;
    do fd = openat(dirfd, path, flags | O_CLOEXEC | O_NOCTTY, mode);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) return err_sys(e, "open '%s'", path);
    return fd;
}

// 1: there may be more, 0: that was all. *total is what has been read.
static int read_some(int fd, char *buf, size_t size, size_t max, size_t *total, struct str *out,
                     struct err *e)
{
    ssize_t n;
    do n = read(fd, buf, size);
    while (n < 0 && errno == EINTR);
    if (n < 0) return err_sys(e, "read");
    if (n == 0) return 0;
    *total += (size_t)n;
    if (*total > max) return err_set(e, ERR_LIMIT, "larger than the limit of %zu bytes", max);
    str_add(out, (struct sv){buf, (size_t)n});
    return str_check(out, e) < 0 ? -1 : 1;
}

// A large frame costs a page fault for each of its pages, and again in each child.
__attribute__((noinline)) static int read_rest(int fd, size_t max, size_t total, struct str *out,
                                               struct err *e)
{
    char buf[65536];
    int rc;
    do rc = read_some(fd, buf, sizeof buf, max, &total, out, e);
    while (rc > 0);
    return rc;
}

int fs_read_fd(int fd, size_t max, struct str *out, struct err *e)
{
    char buf[4096];  // what a start reads is shorter
    size_t total = 0;
    int rc = 1;
    while (rc > 0 && total < sizeof buf) rc = read_some(fd, buf, sizeof buf, max, &total, out, e);
    return rc > 0 ? read_rest(fd, max, total, out, e) : rc;
}

int fs_read_at(int dirfd, const char *path, size_t max, struct str *out, struct err *e)
{
    own(fd) int fd = fs_openat(dirfd, path, O_RDONLY, 0, e);
    if (fd < 0) return -1;
    if (fs_read_fd(fd, max, out, e) < 0) return err_wrap(e, "reading '%s'", path);
    return 0;
}

int fs_write_all(int fd, const void *p, size_t n, struct err *e)
{
    const char *q = p;
    while (n) {
        ssize_t w = write(fd, q, n);
        if (w < 0 && errno == EINTR) continue;
        if (w < 0) return err_sys(e, "write");
        q += w;
        n -= (size_t)w;
    }
    return 0;
}

static int replace(int dirfd, const char *name, struct sv data, mode_t mode, bool sync,
                   struct err *e)
{
    static unsigned serial;
    struct sv path = sv_of(name);
    struct sv folder = sv_part(path, 0, (size_t)(sv_rfind(path, '/') + 1));
    own(free) char *tmp =
        str_fmt("%.*s" FS_PART "%d-%u", (int)folder.n, folder.p, (int)getpid(), serial++);
    own(fd) int fd = fs_openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL, mode, e);
    if (fd < 0) return err_wrap(e, "writing '%s'", name);
    int rc = fs_write_all(fd, data.p, data.n, e);
    if (rc == 0 && fchmod(fd, mode) != 0) rc = err_sys(e, "chmod");
    if (rc == 0 && sync && fdatasync(fd) != 0) rc = err_sys(e, "fdatasync");
    if (rc == 0 && renameat(dirfd, tmp, dirfd, name) != 0) rc = err_sys(e, "rename");
    if (rc == 0) return 0;
    unlinkat(dirfd, tmp, 0);
    return err_wrap(e, "writing '%s'", name);
}

int fs_replace(int dirfd, const char *name, struct sv data, mode_t mode, struct err *e)
{
    return replace(dirfd, name, data, mode, false, e);
}

int fs_atomic_write(int dirfd, const char *name, struct sv data, mode_t mode, struct err *e)
{
    if (replace(dirfd, name, data, mode, true, e) < 0) return -1;
    struct sv path = sv_of(name);
    long slash = sv_rfind(path, '/');
    if (slash < 0) return fs_sync_dir(dirfd, e);
    own(free) char *folder = sv_dup(sv_part(path, 0, (size_t)slash));
    own(fd) int fd = fs_open_dir(dirfd, folder, e);
    return fd < 0 ? -1 : fs_sync_dir(fd, e);
}

int fs_rename(const char *from, const char *to, struct err *e)
{
    return rename(from, to) == 0 ? 0 : err_sys(e, "rename '%s' to '%s'", from, to);
}

int fs_mkdirs(int dirfd, const char *path, mode_t mode, struct err *e)
{
    own(free) char *p = str_dup(path);
    for (char *q = p + 1; p[0]; q++) {
        if (*q != '/' && *q != '\0') continue;
        char c = *q;
        *q = '\0';
        if (mkdirat(dirfd, p, mode) != 0 && errno != EEXIST) return err_sys(e, "make folder '%s'", p);
        *q = c;
        if (!c) break;
    }
    return 0;
}

int fs_open_dir(int dirfd, const char *path, struct err *e)
{
    return fs_openat(dirfd, path, O_RDONLY | O_DIRECTORY, 0, e);
}

int fs_list(int dirfd, const char *path, struct strv *out, struct err *e)
{
    int fd = fs_open_dir(dirfd, path, e);
    if (fd < 0) return -1;
    own(dir) DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return err_sys(e, "list '%s'", path);
    }
    struct dirent *de;
    while (errno = 0, (de = readdir(d)) != NULL)
        if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
            strv_add(out, de->d_name);
    if (errno) return err_sys(e, "list '%s'", path);
    strv_sort(out);
    return 0;
}

static int copy_by_hand(int in, int out, uint64_t n, struct err *e)
{
    enum { CHUNK = 256 * 1024 };
    own(free) char *buf = mem_alloc(CHUNK);
    while (n) {
        ssize_t r = read(in, buf, n < CHUNK ? (size_t)n : CHUNK);
        if (r < 0 && errno == EINTR) continue;
        if (r < 0) return err_sys(e, "read");
        if (r == 0) return err_set(e, ERR_INPUT, "file ended %ju bytes early", (uintmax_t)n);
        if (fs_write_all(out, buf, (size_t)r, e) < 0) return -1;
        n -= (uint64_t)r;
    }
    return 0;
}

int fs_copy_bytes(int in, int out, uint64_t n, struct err *e)
{
    while (n) {
        ssize_t c = copy_file_range(in, NULL, out, NULL, n < (1u << 30) ? (size_t)n : 1u << 30, 0);
        if (c < 0 && errno == EINTR) continue;
        if (c < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO || errno == EFBIG))
            return err_sys(e, "copy");
        if (c <= 0) return copy_by_hand(in, out, n, e);  // pipes, odd file systems
        n -= (uint64_t)c;
    }
    return 0;
}

bool fs_exists(int dirfd, const char *path)
{
    return faccessat(dirfd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int fs_sync_dir(int dirfd, struct err *e)
{
    if (fsync(dirfd) == 0) return 0;
    if (errno != EBADF) return err_sys(e, "fsync of a folder");
    own(fd) int fd = fs_open_dir(dirfd, ".", e);  // it was an O_PATH descriptor
    if (fd < 0) return -1;
    return fsync(fd) == 0 ? 0 : err_sys(e, "fsync of a folder");
}

int fs_lock(int fd, int op, struct err *e)
{
    for (;;) {
        if (flock(fd, op) == 0) return 0;
        if (errno == EWOULDBLOCK) return 1;
        if (errno != EINTR) return err_sys(e, "flock");
    }
}

int fs_fd_path(int fd, struct str *out)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path);
    if (n < 0) return -1;
    str_add(out, (struct sv){path, (size_t)n});
    return 0;
}

void fs_clean(struct sv path, struct str *out)
{
    bool rooted = path.n && path.p[0] == '/';
    VEC(struct sv) parts = {0};
    struct sv rest = path;
    while (rest.p) {
        struct sv name = sv_cut(&rest, '/');
        if (name.n == 0 || sv_eqz(name, ".")) continue;
        bool up = sv_eqz(name, "..");
        if (up && parts.n && !sv_eqz(parts.p[parts.n - 1], ".."))
            parts.n--;
        else if (!up || !rooted)
            vec_push(&parts, name);
    }
    if (rooted) str_addc(out, '/');
    for (size_t i = 0; i < parts.n; i++) {
        if (i) str_addc(out, '/');
        str_add(out, parts.p[i]);
    }
    if (!rooted && parts.n == 0) str_addc(out, '.');
    vec_fini(&parts);
}

const char *fs_type_name(mode_t mode)
{
    static const struct {
        mode_t type;
        const char *name;
    } rows[] = {{S_IFREG, "regular file"}, {S_IFDIR, "directory"}, {S_IFLNK, "symbolic link"},
                {S_IFCHR, "character device"}, {S_IFBLK, "block device"}, {S_IFIFO, "fifo"},
                {S_IFSOCK, "socket"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if ((mode & S_IFMT) == rows[i].type) return rows[i].name;
    return "file of unknown type";
}
