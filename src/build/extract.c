// SPDX-License-Identifier: Apache-2.0
// Unpacking archives for contexts and ADD. See build/extract.h.
#include "build/extract.h"

#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "base/vec.h"
#include "codec/tar.h"

struct late {  // what is set on folders once everything is inside them
    char *path;
    uint32_t mode;
    int64_t mtime;
};

struct extract {
    const struct root *root;
    const struct build_extract *opt;
    struct codec_tar_reader *tar;
    VEC(struct late) late;
};

bool build_extract_is_tar(const void *head, size_t n)
{
    static const struct {
        const char *magic;
        size_t at, n;
    } rows[] = {{"ustar", 257, 5}, {"\x1f\x8b", 0, 2}, {"\x28\xb5\x2f\xfd", 0, 4},
                {"\xfd" "7zXZ", 0, 5}, {"BZh", 0, 3}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (n >= rows[i].at + rows[i].n &&
            memcmp((const char *)head + rows[i].at, rows[i].magic, rows[i].n) == 0)
            return true;
    return false;
}

bool build_extract_sniff(int fd)
{
    char head[512];
    struct err ignored = {0};
    ssize_t n = pread(fd, head, sizeof head, 0);
    if (n <= 0 || !build_extract_is_tar(head, (size_t)n)) return false;
    if (n > 262 && memcmp(head + 257, "ustar", 5) == 0) return true;
    // Compressed: only an archive counts, not a lone compressed file.
    own(codec_unzip) struct codec_unzip *u = NULL;
    ssize_t got = codec_unzip_open(codec_source_fd(&fd), 1 << 20, &u, &ignored);
    size_t have = 0;
    while (got >= 0 && have < sizeof head) {
        got = codec_unzip_read(u, head + have, sizeof head - have, &ignored);
        if (got <= 0) break;
        have += (size_t)got;
    }
    lseek(fd, 0, SEEK_SET);
    return have > 262 && memcmp(head + 257, "ustar", 5) == 0;
}

// The entry's path below the root, checked.
static int local_name(struct extract *x, const char *name, struct str *out, struct err *e)
{
    struct sv rest = sv_of(name);
    if (sv_starts(rest, "/")) {
        err_set(e, ERR_INPUT, "entry '%s' has an absolute name", name);
        return err_hint(e, "pack the archive without tar's option -P");
    }
    str_addz(out, x->opt->dest);
    while (rest.p) {
        struct sv part = sv_cut(&rest, '/');
        if (sv_eqz(part, ".."))
            return err_set(e, ERR_INPUT, "entry '%s' leaves its folder with '..'", name);
        if (part.n == 0 || sv_eqz(part, ".")) continue;
        str_addc(out, '/');
        str_add(out, part);
    }
    return 0;
}

static int write_content(struct extract *x, int fd, struct err *e)
{
    static char buf[128 * 1024];
    for (;;) {
        ssize_t n = codec_tar_read(x->tar, buf, sizeof buf, e);
        if (n <= 0) return (int)n;
        if (fs_write_all(fd, buf, (size_t)n, e) < 0) return -1;
    }
}

static int make_link(struct extract *x, const struct codec_tar_entry *t, int dir, const char *name,
                     struct err *e)
{
    own(str) struct str target = {0};
    own(fd) int from = -1;
    char from_name[256];
    struct sv link = sv_of(t->link);
    while (link.n && link.p[0] == '/') link = sv_from(link, 1);
    own(free) char *local = sv_dup(link);
    if (local_name(x, local, &target, e) < 0 ||
        fs_in_parent(x->root, str_z(&target), &from, from_name, e) < 0)
        return -1;
    if (linkat(from, from_name, dir, name, 0) != 0)
        return err_sys(e, "link '%s' to '%s'", t->name, t->link);
    return 0;
}

static int set_xattrs(const struct codec_tar_entry *t, int fd, struct err *e)
{
    vec_each(a, &t->xattrs)
    {
        bool wanted = strncmp(a->name, "user.", 5) == 0 ? strncmp(a->name, "user.overlay.", 13) != 0
                                                        : strcmp(a->name, "security.capability") == 0;
        if (wanted && (fd < 0 || fsetxattr(fd, a->name, a->value, a->n, 0) != 0))
            return err_sys(e, "set xattr '%s' of '%s'", a->name, t->name);
    }
    return 0;
}

static int set_attributes(struct extract *x, const struct codec_tar_entry *t, int dir,
                          const char *name, struct err *e)
{
    const struct fs_owner *o = x->opt->owner;
    uid_t uid = o ? o->uid : (uid_t)t->uid;
    gid_t gid = o ? o->gid : (gid_t)t->gid;
    if (fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) != 0) {
        err_sys(e, "give '%s' to %u:%u", t->name, uid, gid);
        return errno == EINVAL ? err_hint(e, "the id is outside this user's ranges") : -1;
    }
    if (t->type == CODEC_TAR_SYMLINK) goto times;
    if (fchmodat(dir, name, t->mode & 07777, 0) != 0) return err_sys(e, "chmod '%s'", t->name);
    if (t->xattrs.n && t->type == CODEC_TAR_FILE) {
        own(fd) int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (set_xattrs(t, fd, e) < 0) return -1;
    }
times:;
    struct timespec ts[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = t->mtime}};
    utimensat(dir, name, ts, AT_SYMLINK_NOFOLLOW);
    return 0;
}

static int make_node(struct extract *x, const struct codec_tar_entry *t, int dir, const char *name,
                     struct err *e)
{
    if (t->type == CODEC_TAR_FILE) {
        own(fd) int fd = fs_openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, e);
        return fd < 0 ? -1 : write_content(x, fd, e);
    }
    if (t->type == CODEC_TAR_SYMLINK)
        return symlinkat(t->link, dir, name) == 0 ? 0 : err_sys(e, "make link '%s'", t->name);
    if (t->type == CODEC_TAR_FIFO)
        return mkfifoat(dir, name, 0600) == 0 ? 0 : err_sys(e, "make fifo '%s'", t->name);
    if (!x->opt->devices)
        return err_set(e, ERR_INPUT, "'%s' is a device node: not allowed here", t->name);
    mode_t kind = t->type == CODEC_TAR_CHAR ? S_IFCHR : S_IFBLK;
    if (mknodat(dir, name, kind | 0600, makedev(t->major, t->minor)) != 0)
        return err_sys(e, "make device '%s'", t->name);
    return 0;
}

static int one_entry(struct extract *x, const struct codec_tar_entry *t, struct err *e)
{
    own(str) struct str path = {0};
    if (local_name(x, t->name, &path, e) < 0) return -1;
    if (t->type == CODEC_TAR_DIR) {
        own(fd) int made = -1;
        if (fs_in_mkdirs(x->root, str_z(&path), 0755, x->opt->owner, &made, e) < 0) return -1;
        vec_push(&x->late, ((struct late){str_dup(str_z(&path)), t->mode & 07777, t->mtime}));
        const struct fs_owner *o = x->opt->owner;
        if (path.n > strlen(x->opt->dest) &&
            fchown(made, o ? o->uid : (uid_t)t->uid, o ? o->gid : (gid_t)t->gid) != 0)
            return err_sys(e, "give '%s' to its owner", t->name);
        return path.n > strlen(x->opt->dest) ? set_xattrs(t, made, e) : 0;
    }
    own(fd) int dir = -1;
    own(free) char *folder = sv_dup(sv_part(str_sv(&path), 0, (size_t)sv_rfind(str_sv(&path), '/')));
    char name[256];
    struct root at = {-1, x->root->label};
    if (fs_in_mkdirs(x->root, folder, 0755, x->opt->owner, &dir, e) < 0) return -1;
    at.fd = dir;
    own(fd) int parent = -1;
    const char *last = strrchr(str_z(&path), '/') + 1;
    if (fs_in_parent(&at, last, &parent, name, e) < 0) return -1;
    if (unlinkat(dir, name, 0) != 0 && errno != ENOENT)
        return err_sys(e, "replace '%s'", t->name);
    if (t->type == CODEC_TAR_HARDLINK) return make_link(x, t, dir, name, e);
    if (make_node(x, t, dir, name, e) < 0) return -1;
    return set_attributes(x, t, dir, name, e);
}

// Of a folder that comes several times the last header counts.
static int finish_folders(struct extract *x, struct err *e)
{
    vec_each(l, &x->late)
    {
        if (strlen(l->path) <= strlen(x->opt->dest)) continue;  // the destination keeps its own
        own(fd) int fd = fs_in_try(x->root, l->path, O_RDONLY | O_DIRECTORY, 0);
        struct timespec ts[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = l->mtime}};
        if (fd >= 0 && (fchmod(fd, l->mode) != 0 || futimens(fd, ts) != 0))
            return err_sys(e, "set mode and time of '%s'", l->path);
    }
    return 0;
}

static ssize_t read_plain(void *arg, void *buf, size_t n, struct err *e)
{
    return codec_unzip_read(arg, buf, n, e);
}

int build_extract(const struct root *root, const struct build_extract *opt,
                  struct codec_source src, struct err *e)
{
    own(codec_unzip) struct codec_unzip *u = NULL;
    own(codec_tar_reader) struct codec_tar_reader *tar = NULL;
    if (codec_unzip_open(src, LIMIT_LAYER_BYTES, &u, e) < 0) return -1;
    struct codec_source plain = {read_plain, u};
    if (codec_tar_reader_open(plain, NULL, &tar, e) < 0) return -1;
    struct extract x = {root, opt, tar, {0}};
    const struct codec_tar_entry *t;
    int rc;
    uint64_t count = 0;
    while ((rc = codec_tar_next(tar, &t, e)) == 1) {
        if (++count > LIMIT_TAR_ENTRIES)
            rc = err_set(e, ERR_LIMIT, "more than %ju entries", (uintmax_t)LIMIT_TAR_ENTRIES);
        if (rc < 0 || one_entry(&x, t, e) < 0) {
            rc = -1;
            break;
        }
    }
    if (rc == 0) rc = finish_folders(&x, e);
    vec_each(l, &x.late) free(l->path);
    vec_fini(&x.late);
    return rc < 0 ? -1 : 0;
}
