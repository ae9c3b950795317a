// SPDX-License-Identifier: Apache-2.0
// From the upper directory of a build step to a layer: take out what we put in (mount points), what
// differs in every build (logs, caches of package managers), what was copied up and did not change;
// clamp times; hash the canonical archive; rename into place. Nothing is written but metadata.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "store/fresh.h"
#include "store/meta.h"
#include "store/tartree.h"

// Files that package managers write anew, with times and orders in them, in every build.
static const char *const scrub_list[] = {
    "var/log/alternatives.log",  "var/log/dpkg.log",          "var/log/bootstrap.log",
    "var/log/apt/history.log",   "var/log/apt/term.log",      "var/log/apt/eipp.log.xz",
    "var/cache/apt/pkgcache.bin", "var/cache/apt/srcpkgcache.bin", "var/cache/ldconfig/aux-cache",
};

struct norm {
    const struct store_commit *opt;
    bool user_xattrs;
    unsigned depth;
};

static bool is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

static int drop_scrubbed(const struct root *fs, struct err *e)
{
    for (size_t i = 0; i < sizeof scrub_list / sizeof *scrub_list; i++) {
        struct stat st;
        own(fd) int parent = -1;
        char name[256];
        struct err gone;
        if (fs_in_parent(fs, scrub_list[i], &parent, name, &gone) < 0) continue;
        if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode)) continue;
        if (unlinkat(parent, name, 0) != 0) return err_sys(e, "leave out '%s'", scrub_list[i]);
    }
    return 0;
}

// The deepest first, so that folders made for one stub go too.
static void drop_stubs(const struct root *fs, const struct strv *stubs)
{
    for (size_t i = stubs ? stubs->n : 0; i-- > 0;) {
        struct stat st;
        own(fd) int parent = -1;
        char name[256];
        struct err gone;
        if (fs_in_parent(fs, stubs->p[i], &parent, name, &gone) < 0 ||
            fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (S_ISDIR(st.st_mode))
            unlinkat(parent, name, AT_REMOVEDIR);  // stays when something is in it
        else if (S_ISREG(st.st_mode) && st.st_size == 0)
            unlinkat(parent, name, 0);
    }
}

bool store_layer_same_bytes(int a, int b)
{
    static char x[65536], y[65536];
    for (;;) {
        ssize_t n = read(a, x, sizeof x), m = 0;
        if (n < 0) return false;
        while (m < n) {
            ssize_t k = read(b, y + m, (size_t)(n - m));
            if (k <= 0) return false;
            m += k;
        }
        if (n == 0) return read(b, y, 1) == 0;
        if (memcmp(x, y, (size_t)n) != 0) return false;
    }
}

static bool same_xattrs(int a, int b)
{
    struct err ignored;
    struct codec_xattrs x = {0}, y = {0};
    bool same = store_tartree_xattrs(a, "", &x, &ignored) == 0 &&
                store_tartree_xattrs(b, "", &y, &ignored) == 0 && x.n == y.n;
    for (size_t i = 0; same && i < x.n; i++)
        same = strcmp(x.p[i].name, y.p[i].name) == 0 && x.p[i].n == y.p[i].n &&
               memcmp(x.p[i].value, y.p[i].value, x.p[i].n) == 0;
    store_tartree_xattrs_fini(&x);
    store_tartree_xattrs_fini(&y);
    return same;
}

static bool same_header(const struct stat *a, const struct stat *b)
{
    return a->st_mode == b->st_mode && a->st_uid == b->st_uid && a->st_gid == b->st_gid;
}

// A file that was copied up and holds what lies below. A different time counts as a change unless it
// was we who touched it.
static bool unchanged_file(const struct norm *n, int dirfd, const char *name, const char *path,
                           const struct stat *st, int below)
{
    struct stat old;
    if (below < 0 || !S_ISREG(st->st_mode) || st->st_nlink > 1) return false;
    if (fstatat(below, name, &old, AT_SYMLINK_NOFOLLOW) != 0 || !same_header(st, &old) ||
        st->st_size != old.st_size)
        return false;
    bool touched = n->opt->touched && strv_find(n->opt->touched, path) >= 0;
    if (!touched && st->st_mtim.tv_sec != old.st_mtim.tv_sec) return false;
    own(fd) int a = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    own(fd) int b = openat(below, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return a >= 0 && b >= 0 && same_xattrs(a, b) && store_layer_same_bytes(a, b);
}

static int clamp(const struct norm *n, int dirfd, const char *name, const struct timespec *mtime,
                 const char *path, struct err *e)
{
    struct timespec t = *mtime;
    if (n->opt->newest == INT64_MAX && t.tv_nsec == 0) return 0;
    if (t.tv_sec > n->opt->newest) t.tv_sec = n->opt->newest;
    t.tv_nsec = 0;
    struct timespec ts[2] = {t, t};
    if (utimensat(dirfd, name, ts, AT_SYMLINK_NOFOLLOW) != 0)
        return err_sys(e, "set the time of '%s'", path);
    return 0;
}

static int norm_folder(struct norm *n, int fd, int below, const char *path, struct err *e);

// 1: the folder has nothing to say and is gone.
static int norm_subfolder(struct norm *n, int dirfd, const char *name, const char *path,
                          const struct stat *st, int below, struct err *e)
{
    own(fd) int fd = fs_openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
    if (fd < 0) return -1;
    bool opaque = store_tartree_is_opaque(fd, n->user_xattrs);
    own(fd) int old = below < 0 || opaque
                          ? -1
                          : openat(below, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (norm_folder(n, fd, old, path, e) < 0) return -1;
    struct stat was;
    if (old >= 0 && fstat(old, &was) == 0 && same_header(st, &was) && same_xattrs(fd, old) &&
        unlinkat(dirfd, name, AT_REMOVEDIR) == 0)
        return 1;
    return clamp(n, dirfd, name, &st->st_mtim, path, e);
}

static int norm_one(struct norm *n, int dirfd, const char *name, int below, const char *path,
                    struct err *e)
{
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return err_sys(e, "stat '%s'", path);
    if (is_whiteout(&st)) return 0;
    if (S_ISDIR(st.st_mode)) return norm_subfolder(n, dirfd, name, path, &st, below, e) < 0 ? -1 : 0;
    if (S_ISSOCK(st.st_mode) || unchanged_file(n, dirfd, name, path, &st, below)) {
        if (unlinkat(dirfd, name, 0) != 0) return err_sys(e, "leave out '%s'", path);
        return 0;
    }
    return clamp(n, dirfd, name, &st.st_mtim, path, e);
}

static int norm_folder(struct norm *n, int fd, int below, const char *path, struct err *e)
{
    own(strv) struct strv names = {0};
    if (++n->depth > 2000) return err_set(e, ERR_LIMIT, "'%s' is nested too deeply", path);
    if (fs_list(fd, ".", &names, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++) {
        own(free) char *full = str_fmt("%s%s%s", path, path[0] ? "/" : "", names.p[i]);
        if (norm_one(n, fd, names.p[i], below, full, e) < 0) return -1;
    }
    n->depth--;
    return 0;
}

static int normalise(struct engine *en, int fs_fd, const struct store_commit *opt, struct err *e)
{
    struct norm n = {.opt = opt, .user_xattrs = en->ids.mode != IDMAP_ROOT};
    struct root fs = {fs_fd, "the layer"};
    own(fd) int view = -1;
    own(fd) int below = -1;
    drop_stubs(&fs, opt->stubs);
    if (opt->scrub && drop_scrubbed(&fs, e) < 0) return -1;
    if (opt->below_n) {
        struct store_overlay o = {.layers = opt->below, .n = opt->below_n};
        view = store_overlay_open(en, &o, e);
        below = view < 0 ? -1 : fs_open_dir(view, ".", e);
        if (below < 0) return -1;
    }
    struct stat st;
    if (fstat(fs_fd, &st) != 0) return err_sys(e, "stat the layer");
    if (norm_folder(&n, fs_fd, below, "", e) < 0) return -1;
    return clamp(&n, fs_fd, ".", &st.st_mtim, "/", e);
}

static int hash_write(void *arg, const void *p, size_t n, struct err *e)
{
    (void)e;
    codec_sha256_add(arg, p, n);
    return 0;
}

static int hash_tree(struct engine *en, int fs_fd, struct store_meta *meta, struct err *e)
{
    struct codec_sha256 h;
    struct store_tree_sum sum;
    struct store_tar_options opt = {.whiteouts = true, .newest = INT64_MAX,
                                    .user_xattrs = en->ids.mode != IDMAP_ROOT};
    codec_sha256_init(&h);
    if (store_tartree_write(fs_fd, &opt, NULL, (struct codec_sink){hash_write, &h}, &sum, e) < 0)
        return -1;
    codec_sha256_end(&h, meta->diff_id.hex);
    meta->bytes = sum.bytes;
    meta->entries = sum.entries;
    meta->tar_size = sum.tar_size;
    meta->canonical = true;
    return 0;
}

// fs/ moves into a folder of its own (beside it may lie a work directory and mounts of the step),
// and that folder into place.
static int publish(struct engine *en, int dirfd, const char *name, const struct store_meta *meta,
                   struct err *e)
{
    own(free) char *fresh = str_fmt("%s.layer", name);
    own(free) char *from = str_fmt("%s/fs", name);
    own(free) char *to = str_fmt("%s/fs", fresh);
    own(free) char *forms = str_fmt("layers/%s", en->form);
    own(fd) int folder = -1;
    if (mkdirat(dirfd, fresh, 0700) != 0) return err_sys(e, "make the layer's folder");
    folder = fs_open_dir(dirfd, fresh, e);
    if (folder < 0 || store_meta_save(folder, meta, e) < 0) return -1;
    if (renameat(dirfd, from, dirfd, to) != 0) return err_sys(e, "move the layer's files");
    if (fs_mkdirs(en->store_fd, forms, 0700, e) < 0) return -1;
    own(fd) int place = fs_open_dir(en->store_fd, forms, e);
    if (place < 0) return -1;
    own(fd) int mark = store_fresh_mark(en, meta->diff_id.hex, e);
    if (mark < 0) return -1;
    if (renameat(dirfd, fresh, place, meta->diff_id.hex) == 0) return 0;
    if (errno != EEXIST && errno != ENOTEMPTY) return err_sys(e, "put the layer into place");
    return store_trash(en, dirfd, fresh, e);  // an equal one is there already
}

int store_layer_commit(struct engine *en, int dirfd, const char *name,
                       const struct store_commit *opt, struct store_layer *out, struct err *e)
{
    own(store_meta) struct store_meta meta = {0};
    own(free) char *fs_name = str_fmt("%s/fs", name);
    own(fd) int fs = fs_open_dir(dirfd, fs_name, e);
    if (fs < 0) return -1;
    if (normalise(en, fs, opt, e) < 0 || hash_tree(en, fs, &meta, e) < 0)
        return err_wrap(e, "committing the step");
    if (meta.entries && publish(en, dirfd, name, &meta, e) < 0) return -1;
    store_meta_to_layer(&meta, meta.diff_id.hex, out);
    return 0;
}
