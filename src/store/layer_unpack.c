// SPDX-License-Identifier: Apache-2.0
// Unpacks a layer archive into an overlayfs lower directory, while it comes in, without the layers
// below. Everything in the archive is hostile until shown otherwise:
//   - names are cleaned as text; absolute names and names that leave the root are refused, not bent;
//   - the folder that holds an entry is opened with openat2 inside the root (links resolve inside it,
//     as they will for the container), and the entry itself is made in that folder under its last
//     component, which is never followed. Open folders are kept in a small cache; whatever could turn
//     a cached path into another one (replacing a folder or a link) empties it;
//   - nothing is opened for writing that this run did not just create (O_EXCL).
// Whiteouts speak about the layers below only, so their place among the entries does not matter: what
// this layer holds under the name stays and covers the lower one; a folder of this layer becomes opaque.
// A folder that the archive does not list is made with LAYER_IMPLIED_MODE as its mark. Its attributes,
// and hard links to files of lower layers, wait until the layer is published: the layer is "open".
// Modes, owners and times of folders are set at the end, from a list on disk, because making children
// changes times and a set-group-id folder would pass on its group.
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <linux/openat2.h>

#include "base/clock.h"
#include "base/own.h"
#include "store/blob.h"
#include "store/layer_internal.h"

#define CACHE_SLOTS 64
#define COPY_BUFFER ((size_t)256 << 10)
#define EARLY_BYTES ((uint64_t)1 << 20)  // from here on a file is written back at once

struct slot {
    char *path;
    int fd;
};

struct unpack {
    struct engine *en;
    int top;               // tmp/<name>
    struct root fs;
    struct slot cache[CACHE_SLOTS];
    struct codec_tar_reader *tar;
    struct layer_recipe *recipe;
    FILE *dirs, *later;    // attributes of folders; what has to wait for the layers below
    uint64_t aside;        // number of things moved to old/
    uint64_t implied;
    bool filling;          // content goes into a file now: the recipe need not hold it
    struct store_meta meta;
    unsigned char *buf;
    // the archive's bytes
    struct store_layer_put put;
    struct store_blob_writer *blob;
    struct codec_sha256 packed, plain;
    uint64_t packed_n;
};

// --- names ----------------------------------------------------------------------------------------

// Cleans an archive's name to "a/b/c" ("" is the root). `absolute` lets a leading slash pass.
static int clean_name(const char *name, bool absolute, const char *what, struct str *out,
                      struct err *e)
{
    struct sv rest = sv_of(name);
    VEC(struct sv) parts = {0};
    int rc = 0;
    if (name[0] == '/' && !absolute)
        rc = err_set(e, ERR_INPUT, "%s '%s' is absolute", what, name);
    while (rc == 0 && rest.p) {
        struct sv part = sv_cut(&rest, '/');
        if (part.n == 0 || sv_eqz(part, ".")) continue;
        if (!sv_eqz(part, "..")) vec_push(&parts, part);
        else if (parts.n > 0) parts.n--;
        else rc = err_set(e, ERR_INPUT, "%s '%s' leads out of the layer", what, name);
        if (part.n > 255) rc = err_set(e, ERR_INPUT, "%s '%.80s...' has a part over 255 bytes", what, name);
    }
    for (size_t i = 0; rc == 0 && i < parts.n; i++) {
        if (i > 0) str_addc(out, '/');
        str_add(out, parts.p[i]);
    }
    vec_fini(&parts);
    return rc;
}

static struct sv dir_part(struct sv path, struct sv *out_last)
{
    long slash = sv_rfind(path, '/');
    *out_last = sv_from(path, (size_t)(slash + 1));
    return sv_part(path, 0, slash < 0 ? 0 : (size_t)slash);
}

// --- folders --------------------------------------------------------------------------------------

static void cache_drop(struct unpack *u)
{
    for (size_t i = 0; i < CACHE_SLOTS; i++) {
        if (!u->cache[i].path) continue;
        free(take_ptr(u->cache[i].path));
        close(u->cache[i].fd);
    }
}

static struct slot *cache_slot(struct unpack *u, struct sv path)
{
    uint32_t h = 2166136261U;
    for (size_t i = 0; i < path.n; i++) h = (h ^ (unsigned char)path.p[i]) * 16777619U;
    return &u->cache[h % CACHE_SLOTS];
}

static int open_plain(struct unpack *u, const char *path)
{
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    return (int)syscall(SYS_openat2, u->fs.fd, path[0] ? path : ".", &how, sizeof how);
}

// Makes one missing folder, marked as implied.
static int make_implied(struct unpack *u, const char *path, struct err *e)
{
    struct sv last, dir = dir_part(sv_of(path), &last);
    own(free) char *dir_z = sv_dup(dir);
    own(fd) int parent = open_plain(u, dir_z);
    if (parent < 0) return err_sys(e, "open '%s' of the layer", dir_z);
    if (mkdirat(parent, last.p, LAYER_IMPLIED_MODE) != 0)
        return err_sys(e, "make folder '%s' of the layer", path);
    if (fchmodat(parent, last.p, LAYER_IMPLIED_MODE, 0) != 0)
        return err_sys(e, "mark folder '%s' of the layer", path);
    u->implied++;
    return 0;
}

// Turns `path` into one without symlinks, by what this layer holds, and makes what is missing when
// `make` is set. 1: is there now, 0: is not.
static int real_dir(struct unpack *u, struct sv path, bool make, struct str *out, struct err *e)
{
    str_add(out, path);
    own(fd) int fd = open_plain(u, str_z(out));
    if (fd >= 0) return 1;
    str_clear(out);
    for (struct sv rest = path; rest.p && path.n > 0;) {
        struct sv part = sv_cut(&rest, '/');
        if (out->n > 0) str_addc(out, '/');
        str_add(out, part);
        own(fd) int at = open_plain(u, str_z(out));
        if (at >= 0) continue;
        if (errno == ENOENT && !make) return 0;
        if (errno == ENOENT) {
            if (make_implied(u, str_z(out), e) < 0) return -1;
            continue;
        }
        if (errno != ELOOP && errno != ENOTDIR)
            return err_sys(e, "open folder '%s' of the layer", str_z(out));
        // A symlink, a whiteout or a file. What the container would find is what counts.
        own(fd) int there = fs_in_try(&u->fs, str_z(out), O_PATH | O_DIRECTORY, 0);
        if (there < 0 && !make) return 0;
        if (there < 0) {
            struct sv last, dir = dir_part(str_sv(out), &last);
            own(free) char *dir_z = sv_dup(dir);
            own(fd) int parent = open_plain(u, dir_z);
            struct stat st;
            if (parent >= 0 && fstatat(parent, last.p, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                layer_is_whiteout(&st)) {  // deleted below, made again here: hides what was there
                own(free) char *name = sv_dup(last);
                if (unlinkat(parent, name, 0) != 0) return err_sys(e, "replace whiteout '%s'", name);
                if (make_implied(u, str_z(out), e) < 0 ||
                    layer_set_opaque(u->en, parent, name, e) < 0)
                    return -1;
                continue;
            }
            return err_set(e, ERR_INPUT, "'%s' is not a folder in this layer", str_z(out));
        }
        own(str) struct str real = {0}, top = {0};
        if (fs_fd_path(there, &real) < 0 || fs_fd_path(u->fs.fd, &top) < 0 || real.n < top.n)
            return err_set(e, ERR_INTERNAL, "cannot name folder '%s' of the layer", str_z(out));
        str_clear(out);
        str_add(out, sv_from(str_sv(&real), real.n == top.n ? top.n : top.n + 1));
    }
    return 1;
}

// Opens the folder of an entry. *path (the clean name) becomes its real path. The descriptor belongs
// to the cache. -2 without error when `make` is false and it is not there.
static int parent_of(struct unpack *u, struct str *path, bool make, struct err *e)
{
    struct sv last, dir = dir_part(str_sv(path), &last);
    struct slot *s = cache_slot(u, dir);
    if (s->path && sv_eqz(dir, s->path)) return s->fd;
    own(str) struct str real = {0};
    int rc = real_dir(u, dir, make, &real, e);
    if (rc < 0) return -1;
    if (rc == 0) return -2;
    int fd = open_plain(u, str_z(&real));
    if (fd < 0) return err_sys(e, "open folder '%s' of the layer", str_z(&real));
    bool same = sv_eq(str_sv(&real), dir);
    own(free) char *name = sv_dup(last);
    if (!same) {
        str_clear(path);
        str_addf(path, "%s%s%s", str_z(&real), real.n ? "/" : "", name);
        s = cache_slot(u, str_sv(&real));
    }
    if (s->path) {
        free(s->path);
        close(s->fd);
    }
    s->path = str_take(&real);
    s->fd = fd;
    return fd;
}

// --- making room ----------------------------------------------------------------------------------

// Takes away what this layer holds at parent/name. Content that the recipe refers to moves aside.
static int displace(struct unpack *u, int parent, const char *name, const char *path,
                    const struct stat *st, struct err *e)
{
    if (S_ISDIR(st->st_mode) || S_ISLNK(st->st_mode)) cache_drop(u);
    // The caller's descriptor may have come from the cache: use a fresh one.
    struct sv last, dir = dir_part(sv_of(path), &last);
    own(free) char *dir_z = sv_dup(dir);
    own(fd) int fresh = open_plain(u, dir_z);
    (void)parent;
    if (fresh < 0) return err_sys(e, "open folder '%s' of the layer", dir_z);
    if (!S_ISDIR(st->st_mode) && !S_ISREG(st->st_mode))
        return unlinkat(fresh, name, 0) == 0 ? 0 : err_sys(e, "replace '%s'", path);
    char to[32];
    if (mkdirat(u->top, "old", 0700) != 0 && errno != EEXIST) return err_sys(e, "make folder 'old'");
    own(fd) int old = fs_open_dir(u->top, "old", e);
    if (old < 0) return -1;
    snprintf(to, sizeof to, "%llu", (unsigned long long)u->aside);
    if (renameat(fresh, name, old, to) != 0) return err_sys(e, "move '%s' aside", path);
    return layer_recipe_moved(u->recipe, path, u->aside++, e);
}

// Called when parent/name may exist. *parent is renewed, since this may have emptied the cache.
static int make_room(struct unpack *u, int *parent, const char *name, struct str *path,
                     struct err *e)
{
    struct stat st;
    if (fstatat(*parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : err_sys(e, "stat '%s' of the layer", str_z(path));
    if (displace(u, *parent, name, str_z(path), &st, e) < 0) return -1;
    *parent = parent_of(u, path, true, e);
    return *parent < 0 ? -1 : 0;
}

// --- attributes -----------------------------------------------------------------------------------

static int check_id(const struct unpack *u, const char *what, const struct idmap_side *side,
                    uint64_t id, const char *path, struct err *e)
{
    if (u->en->ids.mode == IDMAP_ROOT ? id < UINT32_MAX
                                      : id < UINT32_MAX && idmap_has(side, (uint32_t)id))
        return 0;
    uint64_t top = 0;
    for (unsigned i = 0; i < side->n; i++)
        if ((uint64_t)side->range[i].inside + side->range[i].count > top)
            top = (uint64_t)side->range[i].inside + side->range[i].count;
    if (u->en->ids.mode == IDMAP_ROOT) top = UINT32_MAX;
    err_set(e, ERR_UNSUPPORTED, "'%s' belongs to %s id %llu; ids here go from 0 to %llu", path, what,
            (unsigned long long)id, (unsigned long long)(top ? top - 1 : 0));
    return err_hint(e, "a larger range in /etc/subuid and /etc/subgid holds it");
}

static int check_owner(const struct unpack *u, const struct codec_tar_entry *t, struct err *e)
{
    return check_id(u, "user", &u->en->ids.uid, t->uid, t->name, e) < 0 ||
                   check_id(u, "group", &u->en->ids.gid, t->gid, t->name, e) < 0
               ? -1
               : 0;
}

static struct timespec time_of(const struct codec_tar_entry *t)
{
    return (struct timespec){.tv_sec = t->mtime, .tv_nsec = t->mtime_ns};
}

// For everything but files and folders.
static int set_attrs_at(int parent, const char *name, const struct codec_tar_entry *t, mode_t type,
                        struct err *e)
{
    if ((t->uid || t->gid) &&
        fchownat(parent, name, (uid_t)t->uid, (gid_t)t->gid, AT_SYMLINK_NOFOLLOW) != 0)
        return err_sys(e, "give '%s' to %llu:%llu", t->name, (unsigned long long)t->uid,
                       (unsigned long long)t->gid);
    // Not a link: it was made by us in a folder that nobody else reaches.
    if (!S_ISLNK(type) && fchmodat(parent, name, t->mode, 0) != 0)
        return err_sys(e, "chmod '%s'", t->name);
    struct timespec times[2] = {time_of(t), time_of(t)};
    if (utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) != 0)
        return err_sys(e, "set the time of '%s'", t->name);
    return 0;
}

// --- folders at the end ---------------------------------------------------------------------------

struct dir_record {
    uint32_t path_len, mode, uid, gid;
    int64_t mtime;
    uint32_t mtime_ns, xattrs;
};

static int put_record(FILE *f, const void *p, size_t n, struct err *e)
{
    return fwrite(p, 1, n, f) == n ? 0 : err_sys(e, "write the list of folders");
}

static int note_dir(struct unpack *u, const char *path, const struct codec_tar_entry *t,
                    struct err *e)
{
    struct dir_record r = {(uint32_t)strlen(path), t->mode, (uint32_t)t->uid, (uint32_t)t->gid,
                           t->mtime, t->mtime_ns, (uint32_t)t->xattrs.n};
    if (put_record(u->dirs, &r, sizeof r, e) < 0 || put_record(u->dirs, path, r.path_len, e) < 0)
        return -1;
    for (size_t i = 0; i < t->xattrs.n; i++) {
        uint32_t n[2] = {(uint32_t)strlen(t->xattrs.p[i].name), (uint32_t)t->xattrs.p[i].n};
        if (put_record(u->dirs, n, sizeof n, e) < 0 ||
            put_record(u->dirs, t->xattrs.p[i].name, n[0], e) < 0 ||
            put_record(u->dirs, t->xattrs.p[i].value, n[1], e) < 0)
            return -1;
    }
    return 0;
}

static int get_record(FILE *f, void *p, size_t n, struct err *e)
{
    if (n == 0 || fread(p, 1, n, f) == n) return 1;
    if (ferror(f)) return err_sys(e, "read the list of folders");
    return 0;
}

static char *get_bytes(FILE *f, size_t n, struct err *e)
{
    own(free) char *p = mem_alloc(n + 1);
    return get_record(f, p, n, e) == 1 ? take_ptr(p) : NULL;
}

static int apply_dir(struct unpack *u, const struct dir_record *r, const char *path,
                     const struct codec_xattrs *x, struct err *e)
{
    own(fd) int at = open_plain(u, path);
    own(fd) int fd = at < 0 ? -1 : openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {  // the archive put something else there later
        if (errno == ENOTDIR || errno == ELOOP || errno == ENOENT) return 0;
        return err_sys(e, "open folder '%s' of the layer", path);
    }
    struct timespec t = {.tv_sec = r->mtime, .tv_nsec = r->mtime_ns};
    struct timespec times[2] = {t, t};
    if (fchown(fd, r->uid, r->gid) != 0) return err_sys(e, "give '%s' to %u:%u", path, r->uid, r->gid);
    if (layer_attrs_write(fd, ".", S_IFDIR, x, path, e) < 0) return -1;
    if (fchmod(fd, r->mode) != 0) return err_sys(e, "chmod '%s'", path);
    return futimens(fd, times) == 0 ? 0 : err_sys(e, "set the time of '%s'", path);
}

static int apply_dirs(struct unpack *u, struct err *e)
{
    struct dir_record r;
    if (fflush(u->dirs) != 0 || fseek(u->dirs, 0, SEEK_SET) != 0)
        return err_sys(e, "write the list of folders");
    for (;;) {
        int rc = get_record(u->dirs, &r, sizeof r, e);
        if (rc <= 0) return rc;
        own(free) char *path = get_bytes(u->dirs, r.path_len, e);
        struct codec_xattrs x = {0};
        for (uint32_t i = 0; path && i < r.xattrs; i++) {
            uint32_t n[2] = {0, 0};
            if (get_record(u->dirs, n, sizeof n, e) != 1) break;
            own(free) char *name = get_bytes(u->dirs, n[0], e);
            own(free) char *value = get_bytes(u->dirs, n[1], e);
            if (name && value) codec_xattrs_set(&x, name, value, n[1]);
        }
        rc = path ? apply_dir(u, &r, path, &x, e) : err_set(e, ERR_INTERNAL, "list of folders is cut");
        codec_xattrs_fini(&x);
        if (rc < 0) return -1;
    }
}

// --- entries --------------------------------------------------------------------------------------

static int put_dir(struct unpack *u, int parent, const char *name, struct str *path,
                   const struct codec_tar_entry *t, struct err *e)
{
    bool opaque = false;
    if (mkdirat(parent, name, 0700) != 0) {
        struct stat st;
        if (errno != EEXIST) return err_sys(e, "make folder '%s'", t->name);
        if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            return err_sys(e, "stat '%s' of the layer", t->name);
        if (S_ISDIR(st.st_mode)) {
            // Listed now, so no longer implied. Listed twice: the later one wins at the end.
            if ((st.st_mode & 07777) == LAYER_IMPLIED_MODE && fchmodat(parent, name, 0700, 0) != 0)
                return err_sys(e, "chmod '%s'", t->name);
            return note_dir(u, str_z(path), t, e);
        }
        if (make_room(u, &parent, name, path, e) < 0) return -1;
        // A whiteout, or a file that covered what lies below: the new folder begins empty.
        opaque = true;
        if (mkdirat(parent, name, 0700) != 0) return err_sys(e, "make folder '%s'", t->name);
    }
    if (opaque && layer_set_opaque(u->en, parent, name, e) < 0) return -1;
    return note_dir(u, str_z(path), t, e);
}

static int fill_file(struct unpack *u, int fd, const struct codec_tar_entry *t, struct err *e)
{
    uint64_t at = 0;
    bool holes = false;
    for (;;) {
        uint64_t hole = codec_tar_hole(u->tar);
        if (hole > 0) {
            at += hole;
            holes = true;
            if (lseek(fd, (off_t)at, SEEK_SET) < 0) return err_sys(e, "seek in '%s'", t->name);
        }
        ssize_t n = codec_tar_read(u->tar, u->buf, COPY_BUFFER, e);
        if (n < 0) return -1;
        if (n == 0) break;
        if (fs_write_all(fd, u->buf, (size_t)n, e) < 0) return err_wrap(e, "writing '%s'", t->name);
        at += (uint64_t)n;
    }
    if (holes && ftruncate(fd, (off_t)at) != 0) return err_sys(e, "set the size of '%s'", t->name);
    return 0;
}

static int put_file(struct unpack *u, int parent, const char *name, struct str *path,
                    const struct codec_tar_entry *t, struct err *e)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    own(fd) int fd = openat(parent, name, flags, t->mode & 0777);
    if (fd < 0 && errno == EEXIST) {
        if (make_room(u, &parent, name, path, e) < 0) return -1;
        fd = openat(parent, name, flags, t->mode & 0777);
    }
    if (fd < 0) return err_sys(e, "make file '%s'", t->name);
    if (codec_tar_plain(u->tar) &&
        layer_recipe_content(u->recipe, str_z(path), t->size, e) < 0)
        return -1;
    u->filling = true;
    int rc = fill_file(u, fd, t, e);
    u->filling = false;
    if (rc < 0) return -1;
    // The folder has no set-group-id bit yet, so a new file is 0:0.
    if ((t->uid || t->gid) && fchown(fd, (uid_t)t->uid, (gid_t)t->gid) != 0)
        return err_sys(e, "give '%s' to %llu:%llu", t->name, (unsigned long long)t->uid,
                       (unsigned long long)t->gid);
    if (t->xattrs.n && layer_attrs_write(parent, name, S_IFREG, &t->xattrs, t->name, e) < 0) return -1;
    if ((t->mode & 07000) && fchmod(fd, t->mode) != 0) return err_sys(e, "chmod '%s'", t->name);
    struct timespec times[2] = {time_of(t), time_of(t)};
    if (futimens(fd, times) != 0) return err_sys(e, "set the time of '%s'", t->name);
    // A hint: the sync at the end finds the large ones on disk, or on their way.
    if (t->size >= EARLY_BYTES) sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    u->meta.bytes += t->size;
    return 0;
}

static int put_symlink(struct unpack *u, int parent, const char *name, struct str *path,
                       const struct codec_tar_entry *t, struct err *e)
{
    if (!t->link || !t->link[0]) return err_set(e, ERR_INPUT, "symlink '%s' has no target", t->name);
    if (symlinkat(t->link, parent, name) != 0) {
        if (errno == EEXIST && make_room(u, &parent, name, path, e) < 0) return -1;
        if (symlinkat(t->link, parent, name) != 0) return err_sys(e, "make symlink '%s'", t->name);
    }
    return set_attrs_at(parent, name, t, S_IFLNK, e);
}

// A link to something that this layer does not hold: done when the layers below are known.
static int link_later(struct unpack *u, const char *path, const char *target, struct err *e)
{
    if (fprintf(u->later, "l %s%c%s%c%c", path, 0, target, 0, 0) < 0)
        return err_sys(e, "write the list of links");
    return 0;
}

static int put_hardlink(struct unpack *u, int parent, const char *name, struct str *path,
                        const struct codec_tar_entry *t, struct err *e)
{
    own(str) struct str target = {0};
    if (!t->link || clean_name(t->link, true, "the target of hard link", &target, e) < 0)
        return t->link ? err_wrap(e, "hard link '%s'", t->name)
                       : err_set(e, ERR_INPUT, "hard link '%s' has no target", t->name);
    if (target.n == 0) return err_set(e, ERR_INPUT, "hard link '%s' leads to the root", t->name);
    int from = parent_of(u, &target, false, e);
    if (from == -1) return -1;
    if (sv_eq(str_sv(&target), str_sv(path))) {
        struct stat st;  // to itself: either it is there, or the file is below
        bool here = from >= 0 && fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
        return here ? 0 : link_later(u, str_z(path), str_z(&target), e);
    }
    struct sv last;
    dir_part(str_sv(&target), &last);
    struct stat st;
    if (from < 0 || fstatat(from, last.p, &st, AT_SYMLINK_NOFOLLOW) != 0 || layer_is_whiteout(&st))
        return link_later(u, str_z(path), str_z(&target), e);
    if (S_ISDIR(st.st_mode))
        return err_set(e, ERR_INPUT, "hard link '%s' leads to folder '%s'", t->name, t->link);
    // Opening the target's folder may have taken the cache slot of ours.
    parent = parent_of(u, path, true, e);
    if (parent < 0) return -1;
    struct stat here;
    if (fstatat(parent, name, &here, AT_SYMLINK_NOFOLLOW) == 0) {
        if (here.st_ino == st.st_ino && here.st_dev == st.st_dev) return 0;
        if (make_room(u, &parent, name, path, e) < 0) return -1;
    }
    own(fd) int hold = openat(parent, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    from = parent_of(u, &target, false, e);
    if (from < 0 || hold < 0) return err_set(e, ERR_INPUT, "hard link '%s' replaces its target", t->name);
    dir_part(str_sv(&target), &last);
    if (linkat(from, last.p, hold, name, 0) == 0) return 0;
    return err_sys(e, "link '%s' to '%s'", t->name, t->link);
}

static int put_node(struct unpack *u, int parent, const char *name, struct str *path,
                    const struct codec_tar_entry *t, struct err *e)
{
    static const mode_t types[CODEC_TAR_TYPE_COUNT] = {
        [CODEC_TAR_CHAR] = S_IFCHR, [CODEC_TAR_BLOCK] = S_IFBLK, [CODEC_TAR_FIFO] = S_IFIFO};
    mode_t type = types[t->type];
    dev_t dev = type == S_IFIFO ? 0 : makedev(t->major, t->minor);
    if (type != S_IFIFO && u->en->ids.mode != IDMAP_ROOT) {
        // Not on disk; the archive's own bytes, in the recipe, remember it.
        return make_room(u, &parent, name, path, e) < 0 ? -1 : 0;
    }
    int rc = mknodat(parent, name, type | 0600, dev);
    if (rc != 0 && errno == EEXIST) {
        if (make_room(u, &parent, name, path, e) < 0) return -1;
        rc = mknodat(parent, name, type | 0600, dev);
    }
    if (rc != 0 && errno == EPERM && type != S_IFIFO) return 0;  // root without CAP_MKNOD
    if (rc != 0) return err_sys(e, "make device node '%s'", t->name);
    return set_attrs_at(parent, name, t, type, e);
}

// --- whiteouts ------------------------------------------------------------------------------------

static int put_whiteout(struct unpack *u, int parent, const char *name,
                        const struct codec_tar_entry *t, struct err *e)
{
    if (mknodat(parent, name, S_IFCHR, makedev(0, 0)) == 0) {
        struct timespec times[2] = {time_of(t), time_of(t)};
        if (utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) == 0)
            return layer_set_origin(u->en, parent, e);
        return err_sys(e, "set the time of whiteout '%s'", t->name);
    }
    struct stat st;
    if (errno != EEXIST) return err_sys(e, "make whiteout '%s'", t->name);
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return err_sys(e, "stat '%s' of the layer", t->name);
    // This layer has it: it covers the lower one by itself, a folder with the help of a mark.
    return S_ISDIR(st.st_mode) ? layer_set_opaque(u->en, parent, name, e) : 0;
}

// 1: the name was a whiteout or aufs' own and is dealt with, 0: an ordinary entry.
static int put_if_whiteout(struct unpack *u, struct str *path, const struct codec_tar_entry *t,
                           struct err *e)
{
    struct sv name, dir = dir_part(str_sv(path), &name);
    bool mark = sv_starts(name, ".wh.");
    for (struct sv rest = dir; rest.p && rest.n > 0;) {
        struct sv part = sv_cut(&rest, '/');
        if (sv_starts(part, ".wh..wh.")) return 1;  // aufs' bookkeeping, as Docker skips it
        if (sv_starts(part, ".wh."))
            return err_set(e, ERR_INPUT, "'%s' lies inside a whiteout", t->name);
    }
    if (!mark) return 0;
    bool opaque = sv_eqz(name, ".wh..wh..opq");
    if (!opaque && sv_starts(name, ".wh..wh.")) return 1;
    struct sv gone = sv_from(name, 4);
    if (!opaque && (gone.n == 0 || sv_eqz(gone, ".") || sv_eqz(gone, "..")))
        return err_set(e, ERR_INPUT, "'%s' is a whiteout of nothing", t->name);
    int parent = parent_of(u, path, true, e);
    if (parent < 0) return -1;
    if (opaque) return layer_set_opaque(u->en, parent, ".", e) < 0 ? -1 : 1;
    own(free) char *z = sv_dup(gone);
    return put_whiteout(u, parent, z, t, e) < 0 ? -1 : 1;
}

static int put_root(struct unpack *u, const struct codec_tar_entry *t, struct err *e)
{
    if (t->type != CODEC_TAR_DIR)
        return err_set(e, ERR_INPUT, "the root of the layer ('%s') is not a folder", t->name);
    return check_owner(u, t, e) < 0 ? -1 : note_dir(u, "", t, e);
}

static int put_entry(struct unpack *u, const struct codec_tar_entry *t, struct err *e)
{
    own(str) struct str path = {0};
    u->meta.entries++;
    if (clean_name(t->name, false, "the name", &path, e) < 0) return -1;
    if (path.n == 0) return put_root(u, t, e);
    int rc = put_if_whiteout(u, &path, t, e);
    if (rc != 0) return rc < 0 ? -1 : 0;
    int parent = parent_of(u, &path, true, e);
    if (parent < 0) return -1;
    struct sv last;
    dir_part(str_sv(&path), &last);
    own(free) char *name = sv_dup(last);
    if (t->type == CODEC_TAR_CHAR && t->major == 0 && t->minor == 0)
        return put_whiteout(u, parent, name, t, e);  // what overlayfs would take it for
    if (t->type != CODEC_TAR_HARDLINK && check_owner(u, t, e) < 0) return -1;
    static int (*const put[CODEC_TAR_TYPE_COUNT])(struct unpack *, int, const char *, struct str *,
                                                  const struct codec_tar_entry *, struct err *) = {
        [CODEC_TAR_FILE] = put_file,       [CODEC_TAR_DIR] = put_dir,
        [CODEC_TAR_SYMLINK] = put_symlink, [CODEC_TAR_HARDLINK] = put_hardlink,
        [CODEC_TAR_CHAR] = put_node,       [CODEC_TAR_BLOCK] = put_node,
        [CODEC_TAR_FIFO] = put_node,
    };
    return put[t->type](u, parent, name, &path, t, e);
}

// --- implied folders ------------------------------------------------------------------------------

static int list_implied(struct unpack *u, int at, const char *path, struct err *e)
{
    own(strv) struct strv names = {0};
    if (fs_list(at, ".", &names, e) < 0) return -1;
    vec_each(name, &names) {
        struct stat st;
        if (fstatat(at, *name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            return err_sys(e, "stat '%s' of the layer", *name);
        if (!S_ISDIR(st.st_mode)) continue;
        own(free) char *sub = str_fmt("%s%s%s", path, path[0] ? "/" : "", *name);
        if ((st.st_mode & 07777) == LAYER_IMPLIED_MODE &&
            fprintf(u->later, "d %s%c%c", sub, 0, 0) < 0)
            return err_sys(e, "write the list of folders");
        own(fd) int fd = openat(at, *name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) return err_sys(e, "open folder '%s' of the layer", sub);
        if (list_implied(u, fd, sub, e) < 0) return -1;
    }
    return 0;
}

// --- the archive's bytes --------------------------------------------------------------------------

static ssize_t read_packed(void *arg, void *buf, size_t n, struct err *e)
{
    struct unpack *u = arg;
    ssize_t got = u->put.src.read(u->put.src.arg, buf, n, e);
    if (got <= 0) return got;
    u->packed_n += (uint64_t)got;
    if (u->put.want_size && u->packed_n > u->put.want_size)
        return err_set(e, ERR_INPUT, "the layer has more than the %llu bytes it should have",
                       (unsigned long long)u->put.want_size);
    if (u->put.want_blob && !u->blob) codec_sha256_add(&u->packed, buf, (size_t)got);
    if (u->blob && store_blob_write(u->blob, buf, (size_t)got, e) < 0) return -1;
    return got;
}

static ssize_t read_plain(void *arg, void *buf, size_t n, struct err *e)
{
    return codec_unzip_read(arg, buf, n, e);
}

static int seen(void *arg, const void *p, size_t n, bool content, struct err *e)
{
    struct unpack *u = arg;
    codec_sha256_add(&u->plain, p, n);
    u->meta.tar_size += n;
    return content && u->filling ? 0 : layer_recipe_raw(u->recipe, p, n, e);
}

static int expect(const char *what, const struct oci_digest *want, const char *have, struct err *e)
{
    if (!want || strcmp(want->hex, have) == 0) return 0;
    return err_set(e, ERR_INPUT, "the %s of the layer is sha256:%s, not sha256:%s as it should be",
                   what, have, want->hex);
}

static int check_digests(struct unpack *u, struct err *e)
{
    char hex[CODEC_SHA256_HEX];
    codec_sha256_end(&u->plain, u->meta.diff_id.hex);
    if (u->put.want_size && u->packed_n != u->put.want_size)
        return err_set(e, ERR_INPUT, "the layer has %llu bytes, not %llu as it should have",
                       (unsigned long long)u->packed_n, (unsigned long long)u->put.want_size);
    if (expect("diff id", u->put.want_diff, u->meta.diff_id.hex, e) < 0) return -1;
    if (u->blob) {
        uint64_t size;
        struct oci_digest blob;
        struct store_blob_writer *w = take_ptr(u->blob);
        return store_blob_commit(w, u->put.want_blob, UINT64_MAX, &blob, &size, e);
    }
    if (!u->put.want_blob) return 0;
    codec_sha256_end(&u->packed, hex);
    return expect("digest", u->put.want_blob, hex, e);
}

static int read_archive(struct unpack *u, struct err *e)
{
    own(codec_unzip) struct codec_unzip *zip = NULL;
    own(codec_tar_reader) struct codec_tar_reader *tar = NULL;
    struct codec_tar_seen see = {seen, u};
    if (codec_unzip_open((struct codec_source){read_packed, u}, LIMIT_LAYER_BYTES, &zip, e) < 0 ||
        codec_tar_reader_open((struct codec_source){read_plain, zip}, &see, &tar, e) < 0)
        return -1;
    u->tar = tar;
    for (;;) {
        const struct codec_tar_entry *t;
        int rc = codec_tar_next(tar, &t, e);
        if (rc <= 0) return rc;
        if (put_entry(u, t, e) < 0) return -1;
    }
}

// --- the whole ------------------------------------------------------------------------------------

static FILE *open_list(int dir, const char *name, struct err *e)
{
    int fd = fs_openat(dir, name, O_RDWR | O_CREAT | O_EXCL, 0600, e);
    if (fd < 0) return NULL;
    FILE *f = fdopen(fd, "w+");
    if (!f) {
        err_sys(e, "open a list");
        close(fd);
    }
    return f;
}

static int prepare(struct unpack *u, struct store_tmp *tmp, const char *name, struct err *e)
{
    if (mkdirat(tmp->fd, name, 0700) != 0) return err_sys(e, "make folder '%s'", name);
    u->top = fs_open_dir(tmp->fd, name, e);
    if (u->top < 0) return -1;
    if (mkdirat(u->top, "fs", 0755) != 0) return err_sys(e, "make the layer's folder");
    u->fs = (struct root){fs_open_dir(u->top, "fs", e), "the layer"};
    if (u->fs.fd < 0) return -1;
    struct timespec zero[2] = {{0}};
    if (fchmod(u->fs.fd, 0755) != 0 || futimens(u->fs.fd, zero) != 0)
        return err_sys(e, "prepare the layer's folder");
    u->dirs = open_list(u->top, "dirs", e);
    u->later = u->dirs ? open_list(u->top, "open", e) : NULL;
    if (!u->later) return -1;
    if (u->put.keep_blob && store_blob_create(u->en, &u->blob, e) < 0) return -1;
    // Also beside a kept blob: the blob goes with the last image that names it, the layer may stay.
    return layer_recipe_create(u->top, &u->recipe, e);
}

static int unpack_all(struct unpack *u, struct err *e)
{
    if (read_archive(u, e) < 0 || check_digests(u, e) < 0) return -1;
    cache_drop(u);
    if (layer_recipe_finish(u->recipe, e) < 0) return -1;
    if (apply_dirs(u, e) < 0) return -1;
    if (u->implied > 0 && list_implied(u, u->fs.fd, "", e) < 0) return -1;
    long size = ftell(u->later);
    if (fflush(u->later) != 0 || size < 0) return err_sys(e, "write the list of open things");
    u->meta.open = size > 0;
    if (unlinkat(u->top, "dirs", 0) != 0) return err_sys(e, "remove a list");
    if (!u->meta.open && unlinkat(u->top, "open", 0) != 0) return err_sys(e, "remove a list");
    return store_meta_save(u->top, &u->meta, e);
}

int store_layer_unpack(struct engine *en, struct store_tmp *tmp, const char *name,
                       const struct store_layer_put *put, struct err *e)
{
    struct unpack u = {.en = en, .top = -1, .fs = {-1, "the layer"}, .put = *put};
    u.buf = mem_alloc(COPY_BUFFER);
    codec_sha256_init(&u.packed);
    codec_sha256_init(&u.plain);
    mode_t mask = umask(0);
    int rc = prepare(&u, tmp, name, e) < 0 || unpack_all(&u, e) < 0 ? -1 : 0;
    umask(mask);
    cache_drop(&u);
    layer_recipe_close(u.recipe);
    store_blob_abandon(u.blob);
    if (u.dirs) fclose(u.dirs);
    if (u.later) fclose(u.later);
    if (u.fs.fd >= 0) close(u.fs.fd);
    if (u.top >= 0) close(u.top);
    free(u.buf);
    return rc;
}
