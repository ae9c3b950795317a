// SPDX-License-Identifier: Apache-2.0
// Walking and hashing sources. Paths are compared with '/' below every other byte, so that a folder
// and what is in it stand together and a path is found by bisection.
#include "build/tree.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "build/memory.h"

#define TREE_DEPTH 512
#define XATTR_MAX 65536

static int path_cmp(const char *a, const char *b)
{
    for (; *a && *a == *b; a++, b++)
        ;
    int ca = *a == '/' ? 1 : (unsigned char)*a ? (unsigned char)*a + 1 : 0;
    int cb = *b == '/' ? 1 : (unsigned char)*b ? (unsigned char)*b + 1 : 0;
    return ca - cb;
}

static struct build_node node_of(char *path, const struct stat *st)
{
    return (struct build_node){
        .path = path,
        .mode = st->st_mode,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .nlink = (uint32_t)st->st_nlink,
        .size = (uint64_t)st->st_size,
        .rdev = st->st_rdev,
        .dev = st->st_dev,
        .ino = st->st_ino,
        .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
        .ctime_ns = (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec,
    };
}

struct walk {
    struct build_tree *tree;
    const struct build_ignore *ignore;
    unsigned depth;
};

static int walk_folder(struct walk *w, int dirfd, struct str *path, struct err *e);

static int walk_one(struct walk *w, int dirfd, const char *name, struct str *path, struct err *e)
{
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return 0;  // went away while we looked
        return err_sys(e, "stat '%s' inside %s", str_z(path), w->tree->root.label);
    }
    bool folder = S_ISDIR(st.st_mode);
    bool ignored = w->ignore && build_ignore_match(w->ignore, str_z(path), NULL);
    if (S_ISSOCK(st.st_mode) || (ignored && !folder)) return 0;
    if (ignored && !build_ignore_may_keep(w->ignore, str_z(path))) return 0;
    size_t before = w->tree->nodes.n;
    vec_push(&w->tree->nodes, node_of(str_dup(str_z(path)), &st));
    if (!folder) return 0;
    own(fd) int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        err_sys(e, "open '%s' inside %s", str_z(path), w->tree->root.label);
        return err_hint(e, "list it in .dockerignore if the build does not need it");
    }
    if (walk_folder(w, fd, path, e) < 0) return -1;
    if (ignored && w->tree->nodes.n == before + 1)  // nothing below came back
        free(w->tree->nodes.p[--w->tree->nodes.n].path);
    return 0;
}

static int walk_folder(struct walk *w, int dirfd, struct str *path, struct err *e)
{
    if (++w->depth > TREE_DEPTH)
        return err_set(e, ERR_LIMIT, "folders below '%.60s...' are nested deeper than %d",
                       str_z(path), TREE_DEPTH);
    own(strv) struct strv names = {0};
    if (fs_list(dirfd, ".", &names, e) < 0) return -1;
    size_t base = path->n;
    for (size_t i = 0; i < names.n; i++) {
        if (base) str_addc(path, '/');
        str_addz(path, names.p[i]);
        if (walk_one(w, dirfd, names.p[i], path, e) < 0) return -1;
        str_cut(path, base);
        if (base == 0) str_clear(path);
    }
    w->depth--;
    return 0;
}

int build_tree_scan(struct build_tree *t, const struct build_ignore *ignore, struct err *e)
{
    struct walk w = {t, ignore, 0};
    own(str) struct str path = {0};
    struct stat st;
    if (fstat(t->root.fd, &st) != 0) return err_sys(e, "stat %s", t->root.label);
    vec_push(&t->nodes, node_of(str_dup(""), &st));
    // Where a context lies is nobody's business: a private folder (0700) gives the same image.
    if (t->is_context) t->nodes.p[t->nodes.n - 1].mode = S_IFDIR | 0755;
    return walk_folder(&w, t->root.fd, &path, e);
}

int build_tree_scan_part(struct build_tree *t, const char *start, struct err *e)
{
    struct walk w = {t, NULL, 0};
    own(str) struct str path = {0};
    own(fd) int fd = fs_in_try_link(&t->root, start[0] ? start : "/");
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_sys(e, "open '%s' inside %s", start, t->root.label);
    if (S_ISSOCK(st.st_mode)) return 0;
    str_addz(&path, start);
    vec_push(&t->nodes, node_of(str_dup(start), &st));
    if (!S_ISDIR(st.st_mode)) return 0;
    own(fd) int dir = fs_in_open(&t->root, start[0] ? start : "/", O_RDONLY | O_DIRECTORY, 0, e);
    if (dir < 0) return -1;
    return walk_folder(&w, dir, &path, e);
}

static int by_path(const void *a, const void *b)
{
    return path_cmp(((const struct build_node *)a)->path, ((const struct build_node *)b)->path);
}

void build_tree_sort(struct build_tree *t)
{
    if (t->nodes.n == 0) return;
    qsort(t->nodes.p, t->nodes.n, sizeof *t->nodes.p, by_path);
    size_t kept = 1;
    for (size_t i = 1; i < t->nodes.n; i++) {
        if (by_path(&t->nodes.p[i], &t->nodes.p[kept - 1]) == 0)
            free(t->nodes.p[i].path);
        else
            t->nodes.p[kept++] = t->nodes.p[i];
    }
    t->nodes.n = kept;
}

void build_tree_fini(struct build_tree *t)
{
    vec_each(n, &t->nodes) free(n->path);
    vec_fini(&t->nodes);
}

const struct build_node *build_tree_find(const struct build_tree *t, const char *path)
{
    size_t lo = 0, hi = t->nodes.n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = path_cmp(t->nodes.p[mid].path, path);
        if (c == 0) return &t->nodes.p[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

bool build_tree_is_below(const struct build_node *n, const char *folder)
{
    size_t len = strlen(folder);
    if (len == 0) return n->path[0] != '\0';
    return strncmp(n->path, folder, len) == 0 && n->path[len] == '/';
}

static bool counts(const char *name)
{
    return strncmp(name, "user.", 5) == 0 ? strncmp(name, "user.overlay.", 13) != 0
                                          : strcmp(name, "security.capability") == 0;
}

// Extended attributes that travel into images, in name order.
static int hash_xattrs(int fd, const char *path, struct codec_sha256 *h, struct err *e)
{
    char names[XATTR_MAX], value[XATTR_MAX];
    ssize_t n = flistxattr(fd, names, sizeof names);
    if (n <= 0) {
        if (n < 0 && errno != ENOTSUP && errno != EPERM)
            return err_sys(e, "list xattrs of '%s'", path);
        return 0;
    }
    own(strv) struct strv list = {0};
    for (char *p = names; p < names + n; p += strlen(p) + 1)
        if (counts(p)) strv_add(&list, p);
    strv_sort(&list);
    for (size_t i = 0; i < list.n; i++) {
        ssize_t v = fgetxattr(fd, list.p[i], value, sizeof value);
        if (v < 0) return err_sys(e, "read xattr '%s' of '%s'", list.p[i], path);
        codec_sha256_addz(h, list.p[i]);
        codec_sha256_addu(h, (uint64_t)v);
        codec_sha256_add(h, value, (size_t)v);
    }
    return 0;
}

int build_tree_file_hash(struct build_tree *t, const struct build_node *n,
                         char hex[CODEC_SHA256_HEX], struct err *e)
{
    if (t->memory && build_memory_find(t->memory, n, hex)) return 0;
    own(fd) int fd = fs_in_open(&t->root, n->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, e);
    if (fd < 0) return -1;
    struct codec_sha256 h;
    char bytes[CODEC_SHA256_HEX];
    uint64_t size;
    codec_sha256_init(&h);
    if (codec_sha256_fd(fd, &size, bytes, e) < 0)
        return err_wrap(e, "reading '%s' inside %s", n->path, t->root.label);
    codec_sha256_addz(&h, bytes);
    if (hash_xattrs(fd, n->path, &h, e) < 0) return -1;
    codec_sha256_end(&h, hex);
    if (t->memory) build_memory_add(t->memory, n, hex);
    return 0;
}

int build_tree_open_folder(const struct build_tree *t, const struct build_node *n)
{
    if (t->is_context && !n->path[0]) return -1;
    return fs_in_try(&t->root, n->path[0] ? n->path : "/", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
}

int build_tree_hash(struct build_tree *t, const struct build_node *n, const char *name,
                    struct codec_sha256 *h, struct err *e)
{
    codec_sha256_addz(h, name);
    codec_sha256_addu(h, n->mode);
    if (!t->is_context) {
        codec_sha256_addu(h, n->uid);
        codec_sha256_addu(h, n->gid);
    }
    if (S_ISREG(n->mode)) {
        char hex[CODEC_SHA256_HEX];
        if (build_tree_file_hash(t, n, hex, e) < 0) return -1;
        codec_sha256_addz(h, hex);
    } else if (S_ISLNK(n->mode)) {
        char link[4096];
        own(fd) int fd = fs_in_try_link(&t->root, n->path);
        ssize_t len = fd < 0 ? -1 : readlinkat(fd, "", link, sizeof link);
        if (len < 0) return err_sys(e, "read link '%s' inside %s", n->path, t->root.label);
        codec_sha256_addu(h, (uint64_t)len);
        codec_sha256_add(h, link, (size_t)len);
    } else if (S_ISCHR(n->mode) || S_ISBLK(n->mode)) {
        codec_sha256_addu(h, n->rdev);
    } else if (S_ISDIR(n->mode)) {
        own(fd) int fd = build_tree_open_folder(t, n);
        if (fd >= 0 && hash_xattrs(fd, n->path, h, e) < 0) return -1;
    }
    return 0;
}
