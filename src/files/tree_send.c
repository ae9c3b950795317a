// SPDX-License-Identifier: Apache-2.0
// A tree that others may change meanwhile, as a canonical tar: see tree.h.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/engine.h"
#include "base/links.h"
#include "base/own.h"
#include "codec/tar.h"
#include "files/tree.h"
#include "store/tartree.h"

#define DEPTH 900 // a descriptor each
#define BUFFER ((size_t)256 << 10)

struct send {
    const struct tree_send *o;
    struct codec_tar_writer w;
    struct links links;
    unsigned depth;
    uint64_t entries;
    char *buf;
};

static bool ends_in(const char *path, const char *end)
{
    size_t n = strlen(path), k = strlen(end);
    return n >= k && strcmp(path + n - k, end) == 0;
}

int tree_source(const struct root *root, const char *path, bool follow, struct str *out_name,
                struct err *e)
{
    struct sv bare = sv_of(path);
    bool dots = ends_in(path, "/.") || ends_in(path, "/..");
    bool folder = dots || ends_in(path, "/");
    while (bare.n && bare.p[bare.n - 1] == '/') bare.n--;
    struct sv name = sv_from(bare, (size_t)(sv_rfind(bare, '/') + 1));
    str_add(out_name, dots || name.n == 0 ? SV(".") : name);
    if (folder) return fs_in_open(root, path, O_PATH | O_DIRECTORY, 0, e);
    if (follow) return fs_in_open(root, path, O_PATH, 0, e);
    int fd = fs_in_try_link(root, path);
    return fd < 0 ? err_sys(e, "open '%s' inside %s", path, root->label) : fd;
}

// The very file that `fd` (O_PATH) is, opened for good.
static int reopen(const struct send *s, int fd, int flags, const char *path, struct err *e)
{
    char number[16];
    snprintf(number, sizeof number, "%d", fd);
    int opened = openat(s->o->self_fds, number, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    return opened < 0 ? err_sys(e, "open '%s'", path) : opened;
}

static int put(struct send *s, const struct codec_tar_entry *entry, struct err *e)
{
    if (++s->entries > LIMIT_TAR_ENTRIES)
        return err_set(e, ERR_LIMIT, "more than %ju files", (uintmax_t)LIMIT_TAR_ENTRIES);
    return codec_tar_write_entry(&s->w, entry, e);
}

static int put_content(struct send *s, int fd, const struct codec_tar_entry *entry, struct err *e)
{
    uint64_t left = entry->size;
    while (left) {
        size_t want = left < BUFFER ? (size_t)left : BUFFER;
        ssize_t n = read(fd, s->buf, want);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_sys(e, "read '%s'", entry->name);
        if (n == 0) {
            event_warn(s->o->sink, "'%s' became shorter while it was read: zeros fill it up",
                       entry->name);
            break;
        }
        if (codec_tar_write_data(&s->w, s->buf, (size_t)n, e) < 0) return -1;
        left -= (uint64_t)n;
    }
    if (left) memset(s->buf, 0, BUFFER);
    for (; left; left -= left < BUFFER ? left : BUFFER)
        if (codec_tar_write_data(&s->w, s->buf, left < BUFFER ? (size_t)left : BUFFER, e) < 0)
            return -1;
    return 0;
}

// 1: written as a link to the name that came first.
static int put_again(struct send *s, const struct stat *st, struct codec_tar_entry *entry,
                     struct err *e)
{
    if (st->st_nlink < 2) return 0;
    char *first = links_first(&s->links, st->st_dev, st->st_ino, entry->name);
    if (!first) return 0;
    struct codec_tar_entry link = *entry;
    link.type = CODEC_TAR_HARDLINK;
    link.link = first;
    return put(s, &link, e) < 0 ? -1 : 1;
}

static int put_file(struct send *s, int at, const struct stat *st, struct codec_tar_entry *entry,
                    struct err *e)
{
    int again = put_again(s, st, entry, e);
    if (again != 0) return again < 0 ? -1 : 0;
    own(fd) int fd = reopen(s, at, O_RDONLY, entry->name, e);
    if (fd < 0) return -1;
    entry->size = (uint64_t)st->st_size;
    int rc = store_tartree_xattrs(fd, entry->name, &entry->xattrs, e);
    if (rc == 0) rc = put(s, entry, e);
    store_tartree_xattrs_fini(&entry->xattrs);
    return rc < 0 ? -1 : put_content(s, fd, entry, e);
}

static int put_link(struct send *s, int at, struct codec_tar_entry *entry, struct err *e)
{
    char text[4096];
    ssize_t n = readlinkat(at, "", text, sizeof text - 1);
    if (n < 0) return err_sys(e, "read link '%s'", entry->name);
    text[n] = '\0';
    entry->link = text;
    return put(s, entry, e);
}

static int walk(struct send *s, int dir, const char *folder, struct err *e);

// Closes *at: one descriptor for each folder that we are in.
static int put_folder(struct send *s, int *at, struct codec_tar_entry *entry, struct err *e)
{
    own(free) char *slashed = str_fmt("%s/", entry->name);
    own(fd) int fd = reopen(s, *at, O_RDONLY | O_DIRECTORY, slashed, e);
    close(take_fd(*at));
    if (fd < 0) return -1;
    entry->name = slashed;
    int rc = store_tartree_xattrs(fd, slashed, &entry->xattrs, e);
    if (rc == 0) rc = put(s, entry, e);
    store_tartree_xattrs_fini(&entry->xattrs);
    return rc < 0 ? -1 : walk(s, fd, slashed, e);
}

static int put_one(struct send *s, int *at, char *name, struct err *e)
{
    struct stat st;
    if (fstat(*at, &st) != 0) return err_sys(e, "stat '%s'", name);
    struct codec_tar_entry entry = {.name = name,
                                    .mode = st.st_mode & 07777,
                                    .uid = st.st_uid,
                                    .gid = st.st_gid,
                                    .mtime = st.st_mtim.tv_sec,
                                    .major = major(st.st_rdev),
                                    .minor = minor(st.st_rdev)};
    static const struct {
        mode_t kind;
        enum codec_tar_type type;
    } special[] = {{S_IFIFO, CODEC_TAR_FIFO}, {S_IFCHR, CODEC_TAR_CHAR}, {S_IFBLK, CODEC_TAR_BLOCK}};
    mode_t kind = st.st_mode & S_IFMT;
    if (kind == S_IFDIR) {
        entry.type = CODEC_TAR_DIR;
        return put_folder(s, at, &entry, e);
    }
    if (kind == S_IFREG) {
        entry.type = CODEC_TAR_FILE;
        return put_file(s, *at, &st, &entry, e);
    }
    if (kind == S_IFLNK) {
        entry.type = CODEC_TAR_SYMLINK;
        return put_link(s, *at, &entry, e);
    }
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
        if (special[i].kind != kind) continue;
        entry.type = special[i].type;
        return put(s, &entry, e);
    }
    return 0; // a socket means nothing at rest
}

static int walk(struct send *s, int dir, const char *folder, struct err *e)
{
    own(strv) struct strv names = {0};
    if (++s->depth > DEPTH)
        return err_set(e, ERR_LIMIT, "folders are nested deeper than %d: '%s'", DEPTH, folder);
    if (fs_list(dir, ".", &names, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++) {
        own(free) char *full = str_fmt("%s%s", folder, names.p[i]);
        own(fd) int at = openat(dir, names.p[i], O_PATH | O_NOFOLLOW | O_CLOEXEC);
        // Removed meanwhile; or a whiteout that has nothing to hide, which overlayfs lists.
        if (at < 0 && errno == ENOENT) continue;
        if (at < 0) return err_sys(e, "open '%s'", full);
        if (put_one(s, &at, full, e) < 0) return -1;
    }
    s->depth--;
    return 0;
}

int tree_send(int top, const struct tree_send *o, struct err *e)
{
    struct send s = {.o = o, .buf = mem_alloc(BUFFER)};
    own(free) char *name = str_dup(o->name);
    codec_tar_writer_init(&s.w, o->dst);
    int rc;
    if (name[0]) {
        own(fd) int at = fcntl(top, F_DUPFD_CLOEXEC, 3);
        rc = at < 0 ? err_sys(e, "use '%s'", name) : put_one(&s, &at, name, e);
    } else {
        own(fd) int fd = reopen(&s, top, O_RDONLY | O_DIRECTORY, "/", e);
        rc = fd < 0 ? -1 : walk(&s, fd, "", e);
    }
    if (rc == 0) rc = codec_tar_write_end(&s.w, e);
    links_fini(&s.links);
    free(s.buf);
    return rc;
}
