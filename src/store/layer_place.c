// SPDX-License-Identifier: Apache-2.0
// Where an entry of a layer's archive goes: names as text, the folder that holds it, and what stood in
// its place before. layer_unpack.c has the rules.
#include <errno.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/own.h"
#include "store/layer_unpack.h"

// --- names ----------------------------------------------------------------------------------------

int layer_place_clean(const char *name, bool absolute, const char *what, struct str *out,
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

struct sv layer_place_split(struct sv path, struct sv *out_last)
{
    long slash = sv_rfind(path, '/');
    *out_last = sv_from(path, (size_t)(slash + 1));
    return sv_part(path, 0, slash < 0 ? 0 : (size_t)slash);
}

// --- folders --------------------------------------------------------------------------------------

void layer_place_forget(struct layer_unpack *u)
{
    for (size_t i = 0; i < LAYER_PLACES; i++) {
        if (!u->cache[i].path) continue;
        free(take_ptr(u->cache[i].path));
        close(u->cache[i].fd);
    }
}

static struct layer_slot *cache_slot(struct layer_unpack *u, struct sv path)
{
    uint32_t h = 2166136261U;
    for (size_t i = 0; i < path.n; i++) h = (h ^ (unsigned char)path.p[i]) * 16777619U;
    return &u->cache[h % LAYER_PLACES];
}

int layer_place_open(struct layer_unpack *u, const char *path)
{
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    return (int)syscall(SYS_openat2, u->fs.fd, path[0] ? path : ".", &how, sizeof how);
}

// Makes one missing folder, marked as implied.
static int make_implied(struct layer_unpack *u, const char *path, struct err *e)
{
    struct sv last, dir = layer_place_split(sv_of(path), &last);
    own(free) char *dir_z = sv_dup(dir);
    own(fd) int parent = layer_place_open(u, dir_z);
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
static int real_dir(struct layer_unpack *u, struct sv path, bool make, struct str *out, struct err *e)
{
    str_add(out, path);
    own(fd) int fd = layer_place_open(u, str_z(out));
    if (fd >= 0) return 1;
    str_clear(out);
    for (struct sv rest = path; rest.p && path.n > 0;) {
        struct sv part = sv_cut(&rest, '/');
        if (out->n > 0) str_addc(out, '/');
        str_add(out, part);
        own(fd) int at = layer_place_open(u, str_z(out));
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
            struct sv last, dir = layer_place_split(str_sv(out), &last);
            own(free) char *dir_z = sv_dup(dir);
            own(fd) int parent = layer_place_open(u, dir_z);
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

int layer_place_parent(struct layer_unpack *u, struct str *path, bool make, struct err *e)
{
    struct sv last, dir = layer_place_split(str_sv(path), &last);
    struct layer_slot *s = cache_slot(u, dir);
    if (s->path && sv_eqz(dir, s->path)) return s->fd;
    own(str) struct str real = {0};
    int rc = real_dir(u, dir, make, &real, e);
    if (rc < 0) return -1;
    if (rc == 0) return -2;
    int fd = layer_place_open(u, str_z(&real));
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
static int displace(struct layer_unpack *u, int parent, const char *name, const char *path,
                    const struct stat *st, struct err *e)
{
    if (S_ISDIR(st->st_mode) || S_ISLNK(st->st_mode)) layer_place_forget(u);
    // The caller's descriptor may have come from the cache: use a fresh one.
    struct sv last, dir = layer_place_split(sv_of(path), &last);
    own(free) char *dir_z = sv_dup(dir);
    own(fd) int fresh = layer_place_open(u, dir_z);
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

int layer_place_room(struct layer_unpack *u, int *parent, const char *name, struct str *path,
                     struct err *e)
{
    struct stat st;
    if (fstatat(*parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : err_sys(e, "stat '%s' of the layer", str_z(path));
    if (displace(u, *parent, name, str_z(path), &st, e) < 0) return -1;
    *parent = layer_place_parent(u, path, true, e);
    return *parent < 0 ? -1 : 0;
}
