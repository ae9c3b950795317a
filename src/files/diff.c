// SPDX-License-Identifier: Apache-2.0
// diff: the container's own layer beside the image below it. Only names and metadata are read, through
// descriptors below the layer's folder; nothing is followed.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/own.h"
#include "container/start.h"
#include "files/files.h"
#include "files/internal.h"
#include "record/record.h"
#include "record/state.h"
#include "sandbox/mounts.h"
#include "sandbox/sandbox.h"
#include "sandbox/userns.h"
#include "store/tartree.h"

#define DEPTH 400 // two descriptors each

struct diff {
    struct files_changes *out;
    struct sandbox_ids ids; // the layer holds these, the image the container's
    struct strv stubs;
    bool user_xattrs;
    unsigned depth;
};

void files_changes_fini(struct files_changes *v)
{
    vec_each(c, v) free(c->path);
    vec_fini(v);
}

static void add(struct diff *d, char kind, const char *path)
{
    struct files_change *c = vec_add(d->out);
    c->kind = kind;
    c->path = str_fmt("/%s", path);
}

static bool is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

static bool look(int dir, const char *name, struct stat *out)
{
    return dir >= 0 && fstatat(dir, name, out, AT_SYMLINK_NOFOLLOW) == 0;
}

static size_t capability(int fd, char value[64])
{
    ssize_t n = fgetxattr(fd, "security.capability", value, 64);
    return n < 0 ? 0 : (size_t)n;
}

static bool same_content(int upper, int lower, const char *name)
{
    const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    own(fd) int a = openat(upper, name, flags);
    own(fd) int b = openat(lower, name, flags);
    if (a < 0 || b < 0) return false;
    char x[64], y[64];
    size_t n = capability(a, x), m = capability(b, y);
    return n == m && memcmp(x, y, n) == 0 && store_layer_same_bytes(a, b);
}

// A folder's time and size say only that something in it changed. A file's time can be set back, so
// what looks the same is compared; few files are copied up without a change.
static bool same(const struct diff *d, int upper, int lower, const char *name, const struct stat *a,
                 const struct stat *b)
{
    if (a->st_mode != b->st_mode || a->st_uid != sandbox_userns_uid(&d->ids, b->st_uid) ||
        a->st_gid != sandbox_userns_gid(&d->ids, b->st_gid) || a->st_rdev != b->st_rdev)
        return false;
    if (S_ISDIR(a->st_mode)) return true;
    if (a->st_size != b->st_size || a->st_mtim.tv_sec != b->st_mtim.tv_sec ||
        a->st_mtim.tv_nsec != b->st_mtim.tv_nsec)
        return false;
    return !S_ISREG(a->st_mode) || same_content(upper, lower, name);
}

static int open_folder(int dir, const char *name)
{
    return dir < 0 ? -1 : openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

// All names of a folder of the image in whose place stands something else.
static int add_deleted(struct diff *d, int lower, const char *path, struct err *e)
{
    own(strv) struct strv names = {0};
    if (lower < 0) return 0;
    if (fs_list(lower, ".", &names, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++) {
        own(free) char *full = str_fmt("%s%s%s", path, path[0] ? "/" : "", names.p[i]);
        add(d, 'D', full);
    }
    return 0;
}

static int walk(struct diff *d, int upper, int lower, const char *path, struct err *e);

// A mount point that a start made, and in which nothing lies.
static bool is_stub(const struct diff *d, int dir, const char *name, const char *path,
                    const struct stat *st)
{
    own(strv) struct strv names = {0};
    struct err ignored;
    if (strv_find(&d->stubs, path) < 0) return false;
    if (S_ISREG(st->st_mode)) return st->st_size == 0;
    if (!S_ISDIR(st->st_mode)) return false;
    own(fd) int fd = open_folder(dir, name);
    if (fd < 0 || fs_list(fd, ".", &names, &ignored) < 0) return false;
    for (size_t i = 0; i < names.n; i++) {
        struct stat in;
        own(free) char *full = str_fmt("%s/%s", path, names.p[i]);
        if (!look(fd, names.p[i], &in) || !is_stub(d, fd, names.p[i], full, &in)) return false;
    }
    return true;
}

static int diff_one(struct diff *d, int upper, int lower, const char *name, const char *path,
                    struct err *e)
{
    struct stat now, was;
    if (!look(upper, name, &now)) return errno == ENOENT ? 0 : err_sys(e, "stat '/%s'", path);
    bool old = look(lower, name, &was);
    if (is_whiteout(&now)) {
        if (old) add(d, 'D', path);
        return 0;
    }
    if (!old && is_stub(d, upper, name, path, &now)) return 0;
    size_t place = d->out->n;
    bool changed = !old || !same(d, upper, lower, name, &now, &was);
    if (changed) add(d, old ? 'C' : 'A', path);
    own(fd) int up = S_ISDIR(now.st_mode) ? open_folder(upper, name) : -1;
    own(fd) int low = old && S_ISDIR(was.st_mode) ? open_folder(lower, name) : -1;
    if (up < 0) return S_ISDIR(now.st_mode) && errno != ENOENT ? err_sys(e, "open '/%s'", path)
                                                               : add_deleted(d, low, path, e);
    if (walk(d, up, low, path, e) < 0) return -1;
    if (changed || d->out->n == place) return 0;
    // What is in it changed: so did it, and it stands in front.
    add(d, 'C', path);
    struct files_change last = d->out->p[d->out->n - 1];
    memmove(d->out->p + place + 1, d->out->p + place, (d->out->n - 1 - place) * sizeof last);
    d->out->p[place] = last;
    return 0;
}

static int walk(struct diff *d, int upper, int lower, const char *path, struct err *e)
{
    own(strv) struct strv names = {0};
    if (++d->depth > DEPTH)
        return err_set(e, ERR_LIMIT, "folders are nested deeper than %d: '/%s'", DEPTH, path);
    if (fs_list(upper, ".", &names, e) < 0) return -1;
    bool opaque = store_tartree_is_opaque(upper, d->user_xattrs);
    if (opaque && lower >= 0) { // what is not there any more is gone, in its place in the order
        own(strv) struct strv below = {0};
        if (fs_list(lower, ".", &below, e) < 0) return -1;
        for (size_t i = 0; i < below.n; i++)
            if (strv_find(&names, below.p[i]) < 0) strv_add(&names, below.p[i]);
        strv_sort(&names);
    }
    for (size_t i = 0; i < names.n; i++) {
        struct stat st;
        own(free) char *full = str_fmt("%s%s%s", path, path[0] ? "/" : "", names.p[i]);
        if (opaque && lower >= 0 && !look(upper, names.p[i], &st) && look(lower, names.p[i], &st)) {
            add(d, 'D', full);
            continue;
        }
        if (diff_one(d, upper, lower, names.p[i], full, e) < 0) return -1;
    }
    d->depth--;
    return 0;
}

// The container's program may put a device node where a file was just now: through this mount none
// opens.
int files_upper(int dir, struct err *e)
{
    own(fd) int raw = fs_open_dir(dir, "upper", e);
    if (raw < 0) return -1;
    own(fd) int mount =
        sandbox_mounts_clone(raw, false, true, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID, NULL, e);
    return mount < 0 ? -1 : fs_open_dir(mount, ".", e);
}

// The image with the mount points below it that every container has.
static int open_lower(struct engine *en, const struct image_view *im, struct err *e)
{
    own(fd) int stub = sandbox_stub_open(en, NULL, e);
    if (stub < 0) return -1;
    const struct store_overlay o = {.layers = im->layers, .n = im->n, .extra_bottom_fd = stub};
    own(fd) int mount = store_overlay_open(en, &o, e);
    return mount < 0 ? -1 : fs_open_dir(mount, ".", e);
}

static int compare(struct engine *en, const struct record_config *c, const struct image_view *im,
                   int dir, struct files_changes *out, struct err *e)
{
    struct diff d = {.out = out,
                     .user_xattrs = en->ids.mode != IDMAP_ROOT};
    if (container_start_ids(en, c, &d.ids, e) < 0) return -1;
    own(fd) int upper = files_upper(dir, e);
    own(fd) int lower = upper < 0 ? -1 : open_lower(en, im, e);
    if (lower < 0) return -1;
    record_stubs(dir, &d.stubs);
    int rc = walk(&d, upper, lower, "", e);
    strv_fini(&d.stubs);
    return rc;
}

int files_diff(struct engine *en, const char *id, struct files_changes *out, struct err *e)
{
    own(record_config) struct record_config c = {0};
    struct image_view view;
    own(fd) int lock = -1;
    if (record_sweep(en, e) < 0 || record_config_load(en, id, &c, e) < 0 || engine_enter(en, e) < 0)
        return -1;
    own(fd) int dir = record_dir(en, id, e);
    if (dir < 0 || container_start_image(en, &c, &lock, &view, e) < 0) return -1;
    own(image_view) struct image_view im = view;
    return compare(en, &c, &im, dir, out, e);
}
