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
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/own.h"
#include "store/layer_unpack.h"

#define COPY_BUFFER ((size_t)256 << 10)
#define EARLY_BYTES ((uint64_t)1 << 20)  // from here on a file is written back at once

// --- attributes -----------------------------------------------------------------------------------

static int check_id(const struct layer_unpack *u, const char *what, const struct idmap_side *side,
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

static int check_owner(const struct layer_unpack *u, const struct codec_tar_entry *t, struct err *e)
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

// --- entries --------------------------------------------------------------------------------------

static int put_dir(struct layer_unpack *u, int parent, const char *name, struct str *path,
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
            return layer_dirs_note(u, str_z(path), t, e);
        }
        if (layer_place_room(u, &parent, name, path, e) < 0) return -1;
        // A whiteout, or a file that covered what lies below: the new folder begins empty.
        opaque = true;
        if (mkdirat(parent, name, 0700) != 0) return err_sys(e, "make folder '%s'", t->name);
    }
    if (opaque && layer_set_opaque(u->en, parent, name, e) < 0) return -1;
    return layer_dirs_note(u, str_z(path), t, e);
}

static int fill_file(struct layer_unpack *u, int fd, const struct codec_tar_entry *t, struct err *e)
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

static int put_file(struct layer_unpack *u, int parent, const char *name, struct str *path,
                    const struct codec_tar_entry *t, struct err *e)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    own(fd) int fd = openat(parent, name, flags, t->mode & 0777);
    if (fd < 0 && errno == EEXIST) {
        if (layer_place_room(u, &parent, name, path, e) < 0) return -1;
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

static int put_symlink(struct layer_unpack *u, int parent, const char *name, struct str *path,
                       const struct codec_tar_entry *t, struct err *e)
{
    if (!t->link || !t->link[0]) return err_set(e, ERR_INPUT, "symlink '%s' has no target", t->name);
    if (symlinkat(t->link, parent, name) != 0) {
        if (errno == EEXIST && layer_place_room(u, &parent, name, path, e) < 0) return -1;
        if (symlinkat(t->link, parent, name) != 0) return err_sys(e, "make symlink '%s'", t->name);
    }
    return set_attrs_at(parent, name, t, S_IFLNK, e);
}

// A link to something that this layer does not hold: done when the layers below are known.
static int link_later(struct layer_unpack *u, const char *path, const char *target, struct err *e)
{
    if (fprintf(u->later, "l %s%c%s%c%c", path, 0, target, 0, 0) < 0)
        return err_sys(e, "write the list of links");
    return 0;
}

static int put_hardlink(struct layer_unpack *u, int parent, const char *name, struct str *path,
                        const struct codec_tar_entry *t, struct err *e)
{
    own(str) struct str target = {0};
    if (!t->link || layer_place_clean(t->link, true, "the target of hard link", &target, e) < 0)
        return t->link ? err_wrap(e, "hard link '%s'", t->name)
                       : err_set(e, ERR_INPUT, "hard link '%s' has no target", t->name);
    if (target.n == 0) return err_set(e, ERR_INPUT, "hard link '%s' leads to the root", t->name);
    int from = layer_place_parent(u, &target, false, e);
    if (from == -1) return -1;
    if (sv_eq(str_sv(&target), str_sv(path))) {
        struct stat st;  // to itself: either it is there, or the file is below
        bool here = from >= 0 && fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
        return here ? 0 : link_later(u, str_z(path), str_z(&target), e);
    }
    struct sv last;
    layer_place_split(str_sv(&target), &last);
    struct stat st;
    if (from < 0 || fstatat(from, last.p, &st, AT_SYMLINK_NOFOLLOW) != 0 || layer_is_whiteout(&st))
        return link_later(u, str_z(path), str_z(&target), e);
    if (S_ISDIR(st.st_mode))
        return err_set(e, ERR_INPUT, "hard link '%s' leads to folder '%s'", t->name, t->link);
    // Opening the target's folder may have taken the cache slot of ours.
    parent = layer_place_parent(u, path, true, e);
    if (parent < 0) return -1;
    struct stat here;
    if (fstatat(parent, name, &here, AT_SYMLINK_NOFOLLOW) == 0) {
        if (here.st_ino == st.st_ino && here.st_dev == st.st_dev) return 0;
        if (layer_place_room(u, &parent, name, path, e) < 0) return -1;
    }
    own(fd) int hold = openat(parent, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    from = layer_place_parent(u, &target, false, e);
    if (from < 0 || hold < 0) return err_set(e, ERR_INPUT, "hard link '%s' replaces its target", t->name);
    layer_place_split(str_sv(&target), &last);
    if (linkat(from, last.p, hold, name, 0) == 0) return 0;
    return err_sys(e, "link '%s' to '%s'", t->name, t->link);
}

static int put_node(struct layer_unpack *u, int parent, const char *name, struct str *path,
                    const struct codec_tar_entry *t, struct err *e)
{
    static const mode_t types[CODEC_TAR_TYPE_COUNT] = {
        [CODEC_TAR_CHAR] = S_IFCHR, [CODEC_TAR_BLOCK] = S_IFBLK, [CODEC_TAR_FIFO] = S_IFIFO};
    mode_t type = types[t->type];
    dev_t dev = type == S_IFIFO ? 0 : makedev(t->major, t->minor);
    if (type != S_IFIFO && u->en->ids.mode != IDMAP_ROOT) {
        // Not on disk; the archive's own bytes, in the recipe, remember it.
        return layer_place_room(u, &parent, name, path, e) < 0 ? -1 : 0;
    }
    int rc = mknodat(parent, name, type | 0600, dev);
    if (rc != 0 && errno == EEXIST) {
        if (layer_place_room(u, &parent, name, path, e) < 0) return -1;
        rc = mknodat(parent, name, type | 0600, dev);
    }
    if (rc != 0 && errno == EPERM && type != S_IFIFO) return 0;  // root without CAP_MKNOD
    if (rc != 0) return err_sys(e, "make device node '%s'", t->name);
    return set_attrs_at(parent, name, t, type, e);
}

// --- whiteouts ------------------------------------------------------------------------------------

static int put_whiteout(struct layer_unpack *u, int parent, const char *name,
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
static int put_if_whiteout(struct layer_unpack *u, struct str *path, const struct codec_tar_entry *t,
                           struct err *e)
{
    struct sv name, dir = layer_place_split(str_sv(path), &name);
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
    int parent = layer_place_parent(u, path, true, e);
    if (parent < 0) return -1;
    if (opaque) return layer_set_opaque(u->en, parent, ".", e) < 0 ? -1 : 1;
    own(free) char *z = sv_dup(gone);
    return put_whiteout(u, parent, z, t, e) < 0 ? -1 : 1;
}

static int put_root(struct layer_unpack *u, const struct codec_tar_entry *t, struct err *e)
{
    if (t->type != CODEC_TAR_DIR)
        return err_set(e, ERR_INPUT, "the root of the layer ('%s') is not a folder", t->name);
    return check_owner(u, t, e) < 0 ? -1 : layer_dirs_note(u, "", t, e);
}

static int put_entry(struct layer_unpack *u, const struct codec_tar_entry *t, struct err *e)
{
    own(str) struct str path = {0};
    u->meta.entries++;
    if (layer_place_clean(t->name, false, "the name", &path, e) < 0) return -1;
    if (path.n == 0) return put_root(u, t, e);
    int rc = put_if_whiteout(u, &path, t, e);
    if (rc != 0) return rc < 0 ? -1 : 0;
    int parent = layer_place_parent(u, &path, true, e);
    if (parent < 0) return -1;
    struct sv last;
    layer_place_split(str_sv(&path), &last);
    own(free) char *name = sv_dup(last);
    if (t->type == CODEC_TAR_CHAR && t->major == 0 && t->minor == 0)
        return put_whiteout(u, parent, name, t, e);  // what overlayfs would take it for
    if (t->type != CODEC_TAR_HARDLINK && check_owner(u, t, e) < 0) return -1;
    static int (*const put[CODEC_TAR_TYPE_COUNT])(struct layer_unpack *, int, const char *, struct str *,
                                                  const struct codec_tar_entry *, struct err *) = {
        [CODEC_TAR_FILE] = put_file,       [CODEC_TAR_DIR] = put_dir,
        [CODEC_TAR_SYMLINK] = put_symlink, [CODEC_TAR_HARDLINK] = put_hardlink,
        [CODEC_TAR_CHAR] = put_node,       [CODEC_TAR_BLOCK] = put_node,
        [CODEC_TAR_FIFO] = put_node,
    };
    return put[t->type](u, parent, name, &path, t, e);
}

// --- the archive's bytes --------------------------------------------------------------------------

static ssize_t read_packed(void *arg, void *buf, size_t n, struct err *e)
{
    struct layer_unpack *u = arg;
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
    struct layer_unpack *u = arg;
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

static int check_digests(struct layer_unpack *u, struct err *e)
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

static int read_archive(struct layer_unpack *u, struct err *e)
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

static int prepare(struct layer_unpack *u, struct store_tmp *tmp, const char *name, struct err *e)
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

static int unpack_all(struct layer_unpack *u, struct err *e)
{
    if (read_archive(u, e) < 0 || check_digests(u, e) < 0) return -1;
    layer_place_forget(u);
    if (layer_recipe_finish(u->recipe, e) < 0) return -1;
    if (layer_dirs_apply(u, e) < 0) return -1;
    if (u->implied > 0 && layer_dirs_implied(u, u->fs.fd, "", e) < 0) return -1;
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
    struct layer_unpack u = {.en = en, .top = -1, .fs = {-1, "the layer"}, .put = *put};
    u.buf = mem_alloc(COPY_BUFFER);
    codec_sha256_init(&u.packed);
    codec_sha256_init(&u.plain);
    mode_t mask = umask(0);
    int rc = prepare(&u, tmp, name, e) < 0 || unpack_all(&u, e) < 0 ? -1 : 0;
    umask(mask);
    layer_place_forget(&u);
    layer_recipe_close(u.recipe);
    store_blob_abandon(u.blob);
    if (u.dirs) fclose(u.dirs);
    if (u.later) fclose(u.later);
    if (u.fs.fd >= 0) close(u.fs.fd);
    if (u.top >= 0) close(u.top);
    free(u.buf);
    return rc;
}
