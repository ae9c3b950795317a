// SPDX-License-Identifier: Apache-2.0
// A tar into a folder where somebody hostile may be at work: see tree.h. The first entry says what is
// copied, and with it where it goes and what it is called there.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/engine.h"
#include "base/own.h"
#include "codec/tar.h"
#include "files/tree.h"

#define LINKS 40 // as the kernel has it
#define BUFFER ((size_t)256 << 10)

struct late { // a folder's mode and time, once everything is in it
    char *path;
    uint32_t mode;
    int64_t mtime;
};

struct take {
    const struct tree_take *o;
    struct codec_tar_reader *tar;
    int at;          // everything goes below this folder
    char *at_path;   // of it, inside the root
    char *top, *as;  // this first part of a name becomes that; as "": is left out
    char *cached;    // the folder of the last entry, below `at`
    int cached_fd;
    unsigned serial; // of temporary names
    VEC(struct late) late;
    char *buf;
};

// --- where it goes -----------------------------------------------------------------------------

static int missing(const struct tree_take *o, const char *path, struct err *e)
{
    struct sv dir = sv_of(path);
    if (o->container)
        return err_set(e, ERR_NOT_FOUND, "Could not find the file %s in container %s", path,
                       o->container);
    while (dir.n > 1 && dir.p[dir.n - 1] == '/') dir.n--;
    dir.n = (size_t)(sv_rfind(dir, '/') + 1);
    return err_set(e, ERR_INPUT, "invalid output path: directory \"%.*s\" does not exist",
                   (int)dir.n, dir.p);
}

static int refuse_write(const struct take *t, struct err *e)
{
    struct statvfs v;
    struct statx mine = {0}, root = {0};
    if (!t->o->container || fstatvfs(t->at, &v) != 0 || !(v.f_flag & ST_RDONLY)) return 0;
    bool same = statx(t->at, "", AT_EMPTY_PATH, STATX_MNT_ID, &mine) == 0 &&
                statx(t->o->root.fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &root) == 0 &&
                mine.stx_mnt_id == root.stx_mnt_id;
    return err_set(e, ERR_CONFLICT, "%s is marked read-only",
                   same ? "container rootfs" : "mounted volume");
}

static int into(struct take *t, int fd, const char *path, const char *as, struct err *e)
{
    t->at = fd;
    t->at_path = str_dup(path);
    t->as = str_dup(as);
    return refuse_write(t, e);
}

// The text of a link at the end of the path takes its place. 1: there is none.
static int follow(const struct tree_take *o, struct str *path, struct err *e)
{
    char text[4096];
    struct stat st;
    own(fd) int link = fs_in_try_link(&o->root, str_z(path));
    if (link < 0 || fstat(link, &st) != 0 || !S_ISLNK(st.st_mode)) return 1;
    ssize_t n = readlinkat(link, "", text, sizeof text - 1);
    if (n < 0) return err_sys(e, "read link '%s'", str_z(path));
    text[n] = '\0';
    struct sv dir = str_sv(path);
    while (dir.n > 1 && dir.p[dir.n - 1] == '/') dir.n--;
    dir.n = (size_t)(sv_rfind(dir, '/') + 1);
    own(free) char *whole =
        text[0] == '/' ? str_dup(text) : str_fmt("%.*s%s", (int)dir.n, dir.p, text);
    str_clear(path);
    str_addz(path, whole);
    return 0;
}

static bool says_folder(const char *path)
{
    size_t n = strlen(path);
    return n && (path[n - 1] == '/' || (n > 1 && strcmp(path + n - 2, "/.") == 0));
}

// The destination is no folder: a file, or nothing yet.
static int place_beside(struct take *t, const char *path, const struct stat *there, bool folder,
                        struct err *e)
{
    const struct tree_take *o = t->o;
    own(fd) int dir = -1;
    char name[256];
    struct err why = {0};
    if (there && folder) return err_set(e, ERR_INPUT, "cannot copy directory: '%s' is a file", path);
    if (there && !S_ISREG(there->st_mode))
        return err_set(e, ERR_INPUT,
                       "destination \"%s\" must be a directory or a regular file: it is a %s", path,
                       fs_type_name(there->st_mode));
    if (!there && !folder && says_folder(path))
        return err_set(e, ERR_INPUT, "no such directory: '%s'", path);
    if (fs_in_parent(&o->root, path, &dir, name, &why) < 0) {
        if (why.kind == ERR_INPUT || why.sys == ENOENT || why.sys == ENOTDIR)
            return missing(o, path, e);
        *e = why;
        return -1;
    }
    struct sv folder_path = sv_of(path);
    while (folder_path.n > 1 && folder_path.p[folder_path.n - 1] == '/') folder_path.n--;
    own(free) char *above = sv_dup(sv_part(folder_path, 0, (size_t)(sv_rfind(folder_path, '/') + 1)));
    return into(t, take_fd(dir), above, name, e);
}

static int place(struct take *t, const struct codec_tar_entry *first, struct err *e)
{
    const struct tree_take *o = t->o;
    own(str) struct str path = {0};
    struct stat st;
    bool folder = first->type == CODEC_TAR_DIR;
    str_addz(&path, o->path);
    for (int links = 0; links < LINKS; links++) {
        own(fd) int fd = fs_in_try(&o->root, str_z(&path), O_PATH, 0);
        if (fd < 0 && errno == ENOTDIR && says_folder(str_z(&path)))
            return err_set(e, ERR_INPUT, "not a directory: '%s'", str_z(&path));
        if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
            return err_sys(e, "open '%s' inside %s", str_z(&path), o->root.label);
        if (fd >= 0 && fstat(fd, &st) != 0) return err_sys(e, "stat '%s'", str_z(&path));
        if (fd >= 0 && S_ISDIR(st.st_mode))
            return into(t, take_fd(fd), str_z(&path), strcmp(t->top, ".") == 0 ? "" : t->top, e);
        int rc = follow(o, &path, e);
        if (rc < 0) return -1;
        if (rc == 1) return place_beside(t, str_z(&path), fd >= 0 ? &st : NULL, folder, e);
    }
    return err_set(e, ERR_INPUT, "too many links at '%s'", o->path);
}

// A person's archive goes into a folder that is there.
static int place_archive(struct take *t, struct err *e)
{
    const struct tree_take *o = t->o;
    int fd = fs_in_try(&o->root, o->path, O_PATH, 0);
    struct stat st;
    if (fd < 0) return missing(o, o->path, e);
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) return into(t, fd, o->path, "", e);
    close(fd);
    return err_set(e, ERR_INPUT, "destination \"%s:%s\" must be a directory",
                   o->container ? o->container : "", o->path);
}

static int begin(struct take *t, const struct codec_tar_entry *first, struct err *e)
{
    struct sv rest = sv_of(first->name), top = sv_cut(&rest, '/');
    if (t->o->archive) return 0; // placed already
    t->top = sv_dup(top);
    return place(t, first, e);
}

// --- names -------------------------------------------------------------------------------------

// The entry's name below `at`, checked: no part is "..", none begins at the root.
static int local_name(const struct take *t, const char *name, struct str *out, struct err *e)
{
    struct sv rest = sv_of(name);
    bool first = true;
    if (t->o->archive && name[0] == '/')
        return err_set(e, ERR_INPUT, "entry '%s' has an absolute name", name);
    while (rest.p) {
        struct sv part = sv_cut(&rest, '/');
        if (sv_eqz(part, "..")) return err_set(e, ERR_INPUT, "entry '%s' leads out with '..'", name);
        if (first && t->top && !sv_eqz(part, t->top))
            return err_set(e, ERR_INPUT, "entry '%s' is not below '%s'", name, t->top);
        if (first && t->top) part = sv_of(t->as);
        first = false;
        if (part.n == 0 || sv_eqz(part, ".")) continue;
        if (part.n > 255) return err_set(e, ERR_INPUT, "a name of %zu bytes is too long", part.n);
        if (out->n) str_addc(out, '/');
        str_add(out, part);
    }
    return 0;
}

// Opens a folder below `at`. -1 and errno.
static int open_below(const struct take *t, const char *path)
{
    const struct root at = {t->at, t->o->root.label};
    if (!t->o->archive) return fs_in_plain(&at, path, O_PATH | O_DIRECTORY);
    own(free) char *whole = str_fmt("%s/%s", t->at_path, path);
    return fs_in_try(&t->o->root, whole, O_PATH | O_DIRECTORY, 0);
}

// The folder that an entry goes into; the descriptor stays ours. *out_name points into `path`.
static int folder_of(struct take *t, const char *path, const char **out_name, struct err *e)
{
    const char *slash = strrchr(path, '/');
    own(free) char *dir = sv_dup((struct sv){path, slash ? (size_t)(slash - path) : 0});
    *out_name = slash ? slash + 1 : path;
    if (t->cached && strcmp(t->cached, dir) == 0) return t->cached_fd;
    int fd = open_below(t, dir);
    if (fd < 0 && errno == ENOENT && t->o->archive) {
        const struct fs_owner root = {0, 0};
        own(free) char *whole = str_fmt("%s/%s", t->at_path, dir);
        if (fs_in_mkdirs(&t->o->root, whole, 0755, &root, &fd, e) < 0) return -1;
    }
    if (fd < 0) return err_sys(e, "open the folder '%s'", dir);
    if (t->cached_fd >= 0) close(t->cached_fd);
    free(t->cached);
    t->cached = take_ptr(dir);
    t->cached_fd = fd;
    return fd;
}

// A name that nothing else has, for the moment before something complete takes the place of another.
static char *temporary(struct take *t)
{
    return str_fmt(".dewar-cp-%d-%u", (int)getpid(), t->serial++);
}

// --- attributes --------------------------------------------------------------------------------

static int bad_owner(const struct codec_tar_entry *t, struct err *e)
{
    err_sys(e, "give '%s' to %ju:%ju", t->name, (uintmax_t)t->uid, (uintmax_t)t->gid);
    if (e->sys == EINVAL)
        return err_hint(e, "the id is outside of this user's ranges in /etc/subuid and /etc/subgid");
    return err_hint(e, "only root may give files away: leave out -a");
}

// What was made just now: by descriptor, so that it is that one.
static int give(const struct take *t, int fd, const struct codec_tar_entry *entry, struct err *e)
{
    const struct tree_take *o = t->o;
    struct stat st;
    if (!o->keep_owner && o->outside) return 0;
    uid_t uid = o->keep_owner ? (uid_t)entry->uid : 0;
    gid_t gid = o->keep_owner ? (gid_t)entry->gid : 0;
    if (o->outside && o->own_ids && uid == 0) uid = geteuid();
    if (o->outside && o->own_ids && gid == 0) gid = getegid();
    if (fstat(fd, &st) == 0 && st.st_uid == uid && st.st_gid == gid) return 0;
    return fchownat(fd, "", uid, gid, AT_EMPTY_PATH) == 0 ? 0 : bad_owner(entry, e);
}

static mode_t mode_of(const struct take *t, const struct codec_tar_entry *entry)
{
    // Somebody else's setuid program does not become the caller's.
    bool plain = t->o->outside && !t->o->keep_owner && entry->type != CODEC_TAR_DIR;
    return entry->mode & (plain ? 01777 : 07777);
}

static int set_xattrs(const struct take *t, int fd, const struct codec_tar_entry *entry,
                      struct err *e)
{
    if (t->o->outside && !t->o->keep_owner) return 0;
    vec_each(a, &entry->xattrs)
    {
        bool user = strncmp(a->name, "user.", 5) == 0;
        bool wanted = user ? strncmp(a->name, "user.overlay.", 13) != 0
                           : strcmp(a->name, "security.capability") == 0 && !t->o->own_ids;
        if (!wanted || fsetxattr(fd, a->name, a->value, a->n, 0) == 0 || errno == ENOTSUP) continue;
        return err_sys(e, "set attribute '%s' of '%s'", a->name, entry->name);
    }
    return 0;
}

static void set_time(int dir, const char *name, int64_t mtime)
{
    const struct timespec ts[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = mtime}};
    utimensat(dir, name, ts, AT_SYMLINK_NOFOLLOW);
}

// --- entries -----------------------------------------------------------------------------------

static int over_folder(const struct codec_tar_entry *entry, struct err *e)
{
    return err_set(e, ERR_INPUT, "cannot overwrite directory with non-directory \"%s\"", entry->name);
}

// Puts dir/temp in the place of whatever is called dir/name, unless that is a folder.
static int take_place(int dir, const char *temp, const char *name,
                      const struct codec_tar_entry *entry, struct err *e)
{
    if (renameat(dir, temp, dir, name) == 0) return 0;
    int code = errno;
    unlinkat(dir, temp, 0);
    if (code == EISDIR || code == ENOTEMPTY || code == EEXIST) return over_folder(entry, e);
    return err_sys_code(e, code, "replace '%s'", entry->name);
}

static int write_content(struct take *t, int fd, struct err *e)
{
    for (;;) {
        ssize_t n = codec_tar_read(t->tar, t->buf, BUFFER, e);
        if (n <= 0) return (int)n;
        if (fs_write_all(fd, t->buf, (size_t)n, e) < 0) return -1;
    }
}

static int fill_file(struct take *t, int fd, const struct codec_tar_entry *entry, struct err *e)
{
    if (write_content(t, fd, e) < 0) return err_wrap(e, "writing '%s'", entry->name);
    if (give(t, fd, entry, e) < 0) return -1;
    if (fchmod(fd, mode_of(t, entry)) != 0) return err_sys(e, "chmod '%s'", entry->name);
    if (set_xattrs(t, fd, entry, e) < 0) return -1;
    const struct timespec ts[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = entry->mtime}};
    futimens(fd, ts);
    return 0;
}

static int link_file(struct take *t, int fd, int dir, const char *name,
                     const struct codec_tar_entry *entry, struct err *e)
{
    char number[16];
    snprintf(number, sizeof number, "%d", fd);
    if (linkat(t->o->self_fds, number, dir, name, AT_SYMLINK_FOLLOW) == 0) return 0;
    if (errno != EEXIST) return err_sys(e, "make '%s'", entry->name);
    own(free) char *temp = temporary(t);
    if (linkat(t->o->self_fds, number, dir, temp, AT_SYMLINK_FOLLOW) != 0)
        return err_sys(e, "make '%s'", entry->name);
    return take_place(dir, temp, name, entry, e);
}

// Without a name until it is complete, where the file system can do that.
static int take_file(struct take *t, int dir, const char *name, const struct codec_tar_entry *entry,
                     struct err *e)
{
    own(fd) int fd = openat(dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fill_file(t, fd, entry, e) < 0 ? -1 : link_file(t, fd, dir, name, entry, e);
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
        return err_sys(e, "make '%s'", entry->name);
    own(free) char *temp = temporary(t);
    fd = fs_openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, e);
    if (fd < 0) return -1;
    if (fill_file(t, fd, entry, e) == 0) return take_place(dir, temp, name, entry, e);
    unlinkat(dir, temp, 0);
    return -1;
}

static int take_folder(struct take *t, int dir, const char *name, const char *path,
                       const struct codec_tar_entry *entry, struct err *e)
{
    struct stat st;
    if (mkdirat(dir, name, 0700) != 0) {
        if (errno != EEXIST) return err_sys(e, "make the folder '%s'", entry->name);
        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
            return 0; // it keeps what it is
        return err_set(e, ERR_INPUT, "cannot overwrite non-directory \"%s\" with directory",
                       entry->name);
    }
    own(fd) int fd = fs_openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
    if (fd < 0 || give(t, fd, entry, e) < 0 || set_xattrs(t, fd, entry, e) < 0) return -1;
    // Inside we may write whatever the mode says; there a path must not lead chmod to another one.
    if (!t->o->outside && fchmod(fd, mode_of(t, entry)) != 0)
        return err_sys(e, "chmod '%s'", entry->name);
    vec_push(&t->late, ((struct late){str_dup(path), mode_of(t, entry), entry->mtime}));
    return 0;
}

static int make_special(int dir, const char *name, const struct codec_tar_entry *entry)
{
    if (entry->type == CODEC_TAR_SYMLINK) return symlinkat(entry->link, dir, name);
    mode_t kind = entry->type == CODEC_TAR_FIFO   ? S_IFIFO
                  : entry->type == CODEC_TAR_CHAR ? S_IFCHR
                                                  : S_IFBLK;
    dev_t number = kind == S_IFIFO ? 0 : makedev(entry->major, entry->minor);
    return mknodat(dir, name, kind | (entry->mode & 07777), number);
}

static int take_special(struct take *t, int dir, const char *name,
                        const struct codec_tar_entry *entry, struct err *e)
{
    bool device = entry->type == CODEC_TAR_CHAR || entry->type == CODEC_TAR_BLOCK;
    if (device && t->o->outside) {
        event_warn(t->o->sink, "'%s' is a device node: left out", entry->name);
        return 0;
    }
    own(free) char *temp = temporary(t);
    if (make_special(dir, temp, entry) != 0) return err_sys(e, "make '%s'", entry->name);
    own(fd) int fd = openat(dir, temp, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || give(t, fd, entry, e) < 0) {
        if (fd < 0) err_sys(e, "open '%s'", entry->name);
        unlinkat(dir, temp, 0);
        return -1;
    }
    set_time(dir, temp, entry->mtime);
    return take_place(dir, temp, name, entry, e);
}

// A further name of what came before.
static int take_link(struct take *t, const char *path, const struct codec_tar_entry *entry,
                     struct err *e)
{
    own(str) struct str from = {0};
    const char *from_name, *name;
    if (local_name(t, entry->link, &from, e) < 0) return -1;
    int dir = folder_of(t, str_z(&from), &from_name, e);
    own(fd) int source = dir < 0 ? -1 : fcntl(dir, F_DUPFD_CLOEXEC, 3);
    if (source < 0) return dir < 0 ? -1 : err_sys(e, "use the folder of '%s'", entry->link);
    dir = folder_of(t, path, &name, e);
    if (dir < 0) return -1;
    own(free) char *temp = temporary(t);
    if (linkat(source, from_name, dir, temp, 0) != 0)
        return err_sys(e, "link '%s' to '%s'", entry->name, entry->link);
    int rc = take_place(dir, temp, name, entry, e);
    unlinkat(dir, temp, 0); // a rename over another name of the same file does nothing
    return rc;
}

static int take_entry(struct take *t, const struct codec_tar_entry *entry, struct err *e)
{
    own(str) struct str path = {0};
    const char *name;
    if (local_name(t, entry->name, &path, e) < 0) return -1;
    if (path.n == 0) {
        if (entry->type == CODEC_TAR_DIR) return 0; // the destination itself keeps what it is
        return err_set(e, ERR_INPUT, "entry '%s' has no name", entry->name);
    }
    if (entry->type == CODEC_TAR_HARDLINK) return take_link(t, str_z(&path), entry, e);
    int dir = folder_of(t, str_z(&path), &name, e);
    if (dir < 0) return -1;
    if (entry->type == CODEC_TAR_DIR) return take_folder(t, dir, name, str_z(&path), entry, e);
    if (entry->type == CODEC_TAR_FILE) return take_file(t, dir, name, entry, e);
    return take_special(t, dir, name, entry, e);
}

static int finish(struct take *t, struct err *e)
{
    for (size_t i = t->late.n; i-- > 0;) {
        const struct late *l = &t->late.p[i];
        own(fd) int fd = open_below(t, l->path);
        if (fd < 0) continue; // somebody took it away
        const struct root at = {fd, "the folder"};
        own(fd) int dir = t->o->outside ? fs_in_open(&at, ".", O_RDONLY | O_DIRECTORY, 0, e) : -1;
        if (t->o->outside && dir < 0) return -1;
        set_time(fd, ".", l->mtime);
        if (dir >= 0 && fchmod(dir, l->mode) != 0) return err_sys(e, "chmod '%s'", l->path);
    }
    return 0;
}

static int take_all(struct take *t, struct err *e)
{
    const struct codec_tar_entry *entry;
    uint64_t count = 0;
    int rc;
    if (t->o->archive && place_archive(t, e) < 0) return -1;
    while ((rc = codec_tar_next(t->tar, &entry, e)) == 1) {
        if (++count > LIMIT_TAR_ENTRIES)
            return err_set(e, ERR_LIMIT, "more than %ju entries", (uintmax_t)LIMIT_TAR_ENTRIES);
        if ((count == 1 && begin(t, entry, e) < 0) || take_entry(t, entry, e) < 0) return -1;
    }
    if (rc < 0) return -1;
    if (count == 0 && !t->o->archive) return err_set(e, ERR_INTERNAL, "nothing came");
    return finish(t, e);
}

int tree_take(const struct tree_take *o, struct err *e)
{
    struct take t = {.o = o, .at = -1, .cached_fd = -1, .buf = mem_alloc(BUFFER)};
    mode_t mask = umask(0);
    int rc = codec_tar_reader_open(o->src, NULL, &t.tar, e);
    if (rc == 0) rc = take_all(&t, e);
    umask(mask);
    codec_tar_reader_close(t.tar);
    vec_each(l, &t.late) free(l->path);
    vec_fini(&t.late);
    if (t.at >= 0) close(t.at);
    if (t.cached_fd >= 0) close(t.cached_fd);
    free(t.at_path);
    free(t.top);
    free(t.as);
    free(t.cached);
    free(t.buf);
    return rc;
}
