// SPDX-License-Identifier: Apache-2.0
// What folders of a layer get when everything is unpacked: making children changes times, and a
// set-group-id folder would pass on its group. Until then it waits in a list on disk.
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/own.h"
#include "store/layer_unpack.h"

struct dir_record {
    uint32_t path_len, mode, uid, gid;
    int64_t mtime;
    uint32_t mtime_ns, xattrs;
};

static int put_record(FILE *f, const void *p, size_t n, struct err *e)
{
    return fwrite(p, 1, n, f) == n ? 0 : err_sys(e, "write the list of folders");
}

int layer_dirs_note(struct layer_unpack *u, const char *path, const struct codec_tar_entry *t,
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

static int apply_dir(struct layer_unpack *u, const struct dir_record *r, const char *path,
                     const struct codec_xattrs *x, struct err *e)
{
    own(fd) int at = layer_place_open(u, path);
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

int layer_dirs_apply(struct layer_unpack *u, struct err *e)
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

// --- folders that the archive did not list --------------------------------------------------------

int layer_dirs_implied(struct layer_unpack *u, int at, const char *path, struct err *e)
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
        if (layer_dirs_implied(u, fd, sub, e) < 0) return -1;
    }
    return 0;
}
