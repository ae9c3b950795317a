// SPDX-License-Identifier: Apache-2.0
// Writing the canonical archive. See store/tartree.h.
#include "store/tartree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/err.h"
#include "base/links.h"
#include "base/own.h"
#include "codec/tar.h"

#define XATTR_MAX 65536
#define TREE_DEPTH 2000

struct tree {
    const struct store_tar_options *opt;
    struct codec_tar_writer w;
    struct store_tree_sum sum;
    struct links links;
    unsigned depth;
    char *buf;
};
#define BUF_SIZE ((size_t)256 << 10)

void store_tartree_xattrs_fini(struct codec_xattrs *x)
{
    vec_each(a, x)
    {
        free(a->name);
        free(a->value);
    }
    vec_fini(x);
}

static bool belongs(const char *name)
{
    if (strncmp(name, "user.", 5) == 0) return strncmp(name, "user.overlay.", 13) != 0;
    return strcmp(name, "security.capability") == 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct codec_xattr *)a)->name, ((const struct codec_xattr *)b)->name);
}

int store_tartree_xattrs(int fd, const char *path, struct codec_xattrs *out, struct err *e)
{
    char names[XATTR_MAX], value[XATTR_MAX];
    ssize_t n = flistxattr(fd, names, sizeof names);
    if (n < 0 && errno != ENOTSUP) return err_sys(e, "list xattrs of '%s'", path);
    for (char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
        if (!belongs(p)) continue;
        ssize_t v = fgetxattr(fd, p, value, sizeof value);
        if (v < 0) return err_sys(e, "read xattr '%s' of '%s'", p, path);
        struct codec_xattr *x = vec_add(out);
        x->name = str_dup(p);
        x->value = sv_dup((struct sv){value, (size_t)v});
        x->n = (size_t)v;
    }
    if (out->n) qsort(out->p, out->n, sizeof *out->p, by_name);
    return 0;
}

bool store_tartree_is_opaque(int fd, bool user_xattrs)
{
    char c[2];
    const char *name = user_xattrs ? "user.overlay.opaque" : "trusted.overlay.opaque";
    return fgetxattr(fd, name, c, sizeof c) == 1 && c[0] == 'y';
}

static int put(struct tree *t, const struct codec_tar_entry *entry, struct err *e)
{
    t->sum.entries++;
    return codec_tar_write_entry(&t->w, entry, e);
}

static int put_mark(struct tree *t, const char *folder, const char *name, struct err *e)
{
    own(free) char *full = str_fmt("%s%s", folder, name);
    struct codec_tar_entry entry = {.type = CODEC_TAR_FILE, .name = full, .mode = 0};
    return put(t, &entry, e);
}

static int64_t time_of(const struct tree *t, const struct stat *st)
{
    return st->st_mtim.tv_sec > t->opt->newest ? t->opt->newest : st->st_mtim.tv_sec;
}

static uint64_t unshift(const struct idmap_side *map, uint32_t id)
{
    for (unsigned i = 0; map && i < map->n; i++) {
        const struct idmap_range *r = &map->range[i];
        if (id >= r->outside && id - r->outside < r->count) return r->inside + (id - r->outside);
    }
    return id;
}

static int put_content(struct tree *t, int fd, const struct codec_tar_entry *entry, struct err *e)
{
    uint64_t left = entry->size;
    while (left) {
        ssize_t n = read(fd, t->buf, left < BUF_SIZE ? (size_t)left : BUF_SIZE);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_sys(e, "read '%s'", entry->name);
        if (n == 0 && !t->opt->live)
            return err_set(e, ERR_CORRUPT, "'%s' is shorter than it was", entry->name);
        if (n == 0) { // zeros in the place of what was cut off
            n = left < BUF_SIZE ? (ssize_t)left : (ssize_t)BUF_SIZE;
            memset(t->buf, 0, (size_t)n);
        }
        if (codec_tar_write_data(&t->w, t->buf, (size_t)n, e) < 0) return -1;
        left -= (uint64_t)n;
    }
    t->sum.bytes += entry->size;
    return 0;
}

// The first name of an inode holds the content, later ones link to it. 1: was a link.
static int put_link(struct tree *t, const struct stat *st, struct codec_tar_entry *entry,
                    struct err *e)
{
    if (st->st_nlink < 2) return 0;
    char *first = links_first(&t->links, st->st_dev, st->st_ino, entry->name);
    if (!first) return 0;
    struct codec_tar_entry link = *entry;
    link.type = CODEC_TAR_HARDLINK;
    link.link = first;
    link.size = 0;
    link.xattrs = (struct codec_xattrs){0};
    return put(t, &link, e) < 0 ? -1 : 1;
}

// Another thing, or nothing, has the name by now.
static bool is_gone(const struct tree *t, const struct err *e)
{
    return t->opt->live && (e->sys == ENOENT || e->sys == ELOOP || e->sys == ENOTDIR);
}

static int put_file(struct tree *t, int dirfd, const char *name, const struct stat *st,
                    struct codec_tar_entry *entry, struct err *e)
{
    own(fd) int fd = fs_openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, e);
    if (fd < 0) return is_gone(t, e) ? 0 : -1;
    int linked = put_link(t, st, entry, e);
    if (linked != 0) return linked < 0 ? -1 : 0;
    entry->size = (uint64_t)st->st_size;
    int rc = store_tartree_xattrs(fd, entry->name, &entry->xattrs, e);
    if (rc == 0) rc = put(t, entry, e);
    if (rc == 0) rc = put_content(t, fd, entry, e);
    store_tartree_xattrs_fini(&entry->xattrs);
    return rc;
}

static int put_symlink(struct tree *t, int dirfd, const char *name, const struct stat *st,
                       struct codec_tar_entry *entry, struct err *e)
{
    char link[4096];
    int linked = put_link(t, st, entry, e);
    if (linked != 0) return linked < 0 ? -1 : 0;
    ssize_t n = readlinkat(dirfd, name, link, sizeof link - 1);
    if (n < 0 && t->opt->live && (errno == ENOENT || errno == EINVAL)) return 0;
    if (n < 0) return err_sys(e, "read link '%s'", entry->name);
    link[n] = '\0';
    entry->link = link;
    return put(t, entry, e);
}

static int put_special(struct tree *t, const struct stat *st, struct codec_tar_entry *entry,
                       struct err *e)
{
    int linked = put_link(t, st, entry, e);
    if (linked != 0) return linked < 0 ? -1 : 0;
    entry->major = major(st->st_rdev);
    entry->minor = minor(st->st_rdev);
    return put(t, entry, e);
}

static int walk(struct tree *t, int dirfd, const char *folder, struct err *e);

static int put_folder(struct tree *t, int dirfd, const char *name, struct codec_tar_entry *entry,
                      struct err *e)
{
    own(fd) int fd = fs_openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
    if (fd < 0) return is_gone(t, e) ? 0 : -1;
    own(free) char *slashed = str_fmt("%s/", entry->name);
    entry->name = slashed;
    int rc = store_tartree_xattrs(fd, slashed, &entry->xattrs, e);
    if (rc == 0) rc = put(t, entry, e);
    store_tartree_xattrs_fini(&entry->xattrs);
    if (rc < 0) return -1;
    if (t->opt->whiteouts && store_tartree_is_opaque(fd, t->opt->user_xattrs) &&
        put_mark(t, slashed, ".wh..wh..opq", e) < 0)
        return -1;
    return walk(t, fd, slashed, e);
}

// Whoever unpacks the layer would remove a file instead of making this one.
static int not_keepable(const char *name, struct err *e)
{
    err_set(e, ERR_INPUT, "'/%s' cannot be kept: in a layer a name that begins with '.wh.' removes a file",
            name);
    return err_hint(e, "give it another name");
}

static int put_one(struct tree *t, int dirfd, const char *folder, const char *name, struct err *e)
{
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        // A mounted overlay lists a whiteout that has nothing to hide, and then does not find it.
        if (errno == ENOENT && (!t->opt->whiteouts || t->opt->live)) return 0;
        return err_sys(e, "stat '%s%s'", folder, name);
    }
    own(free) char *full = str_fmt("%s%s", folder, name);
    if (t->opt->whiteouts && sv_starts(sv_of(name), ".wh.")) return not_keepable(full, e);
    struct codec_tar_entry entry = {.name = full, .mode = st.st_mode & 07777,
                                    .uid = unshift(t->opt->uid, st.st_uid),
                                    .gid = unshift(t->opt->gid, st.st_gid),
                                    .mtime = time_of(t, &st)};
    switch (st.st_mode & S_IFMT) {
    case S_IFDIR:
        entry.type = CODEC_TAR_DIR;
        return put_folder(t, dirfd, name, &entry, e);
    case S_IFREG:
        entry.type = CODEC_TAR_FILE;
        return put_file(t, dirfd, name, &st, &entry, e);
    case S_IFLNK:
        entry.type = CODEC_TAR_SYMLINK;
        return put_symlink(t, dirfd, name, &st, &entry, e);
    case S_IFIFO:
        entry.type = CODEC_TAR_FIFO;
        return put_special(t, &st, &entry, e);
    case S_IFCHR:
        if (t->opt->whiteouts && st.st_rdev == 0) {
            own(free) char *mark = str_fmt(".wh.%s", name);
            return put_mark(t, folder, mark, e);
        }
        entry.type = CODEC_TAR_CHAR;
        return put_special(t, &st, &entry, e);
    case S_IFBLK:
        entry.type = CODEC_TAR_BLOCK;
        return put_special(t, &st, &entry, e);
    default:
        return 0;  // sockets mean nothing at rest
    }
}

static int walk(struct tree *t, int dirfd, const char *folder, struct err *e)
{
    own(strv) struct strv names = {0};
    if (++t->depth > TREE_DEPTH)
        return err_set(e, ERR_LIMIT, "'%s' is nested deeper than %d folders", folder, TREE_DEPTH);
    if (fs_list(dirfd, ".", &names, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++)
        if (put_one(t, dirfd, folder, names.p[i], e) < 0) return -1;
    t->depth--;
    return 0;
}

static int put_root(struct tree *t, int fs_fd, struct err *e)
{
    struct stat st;
    char name[] = "./";
    if (fstat(fs_fd, &st) != 0) return err_sys(e, "stat the root of the layer");
    uint64_t uid = unshift(t->opt->uid, st.st_uid), gid = unshift(t->opt->gid, st.st_gid);
    bool plain = (st.st_mode & 07777) == 0755 && uid == 0 && gid == 0;
    if (plain) return 0;
    struct codec_tar_entry entry = {.type = CODEC_TAR_DIR, .name = name, .mode = st.st_mode & 07777,
                                    .uid = uid, .gid = gid, .mtime = time_of(t, &st)};
    uint64_t before = t->sum.entries;
    int rc = put(t, &entry, e);
    t->sum.entries = before;  // the root alone makes no layer
    return rc;
}

// Entries that this mode could not make on disk come last, in the order of the list.
static int put_absent(struct tree *t, const struct codec_json *absent, struct err *e)
{
    for (size_t i = 0; absent && i < codec_json_len(absent); i++) {
        const struct codec_json *a = codec_json_at(absent, i);
        own(free) char *name = sv_dup(codec_json_text(codec_json_get(a, "name")));
        bool block = sv_eqz(codec_json_text(codec_json_get(a, "type")), "block");
        struct codec_tar_entry entry = {
            .type = block ? CODEC_TAR_BLOCK : CODEC_TAR_CHAR,
            .name = name,
            .mode = (uint32_t)codec_json_int(codec_json_get(a, "mode")),
            .uid = (uint64_t)codec_json_int(codec_json_get(a, "uid")),
            .gid = (uint64_t)codec_json_int(codec_json_get(a, "gid")),
            .mtime = codec_json_int(codec_json_get(a, "mtime")),
            .major = (uint32_t)codec_json_int(codec_json_get(a, "major")),
            .minor = (uint32_t)codec_json_int(codec_json_get(a, "minor")),
        };
        if (put(t, &entry, e) < 0) return -1;
    }
    return 0;
}

int store_tartree_write(int fs_fd, const struct store_tar_options *opt,
                        const struct codec_json *absent, struct codec_sink dst,
                        struct store_tree_sum *out, struct err *e)
{
    struct tree t = {.opt = opt, .buf = mem_alloc(BUF_SIZE)};
    codec_tar_writer_init(&t.w, dst);
    int rc = put_root(&t, fs_fd, e);
    if (rc == 0) rc = walk(&t, fs_fd, "", e);
    if (rc == 0) rc = put_absent(&t, absent, e);
    if (rc == 0) rc = codec_tar_write_end(&t.w, e);
    t.sum.tar_size = t.w.bytes;
    if (out) *out = t.sum;
    links_fini(&t.links);
    free(t.buf);
    return rc;
}

int store_tar_tree(int fs_fd, const struct store_tar_options *opt, struct codec_sink dst,
                   struct err *e)
{
    return store_tartree_write(fs_fd, opt, NULL, dst, NULL, e);
}
