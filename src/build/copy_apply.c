// SPDX-License-Identifier: Apache-2.0
// Writing a COPY into a root. The destination on the command line may go through symlinks of the
// image (inside its root), also to what is not there yet; below it nothing is followed. Folders
// that were there keep their metadata at the top, nested ones take the source's, as BuildKit has
// it.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/err.h"
#include "base/links.h"
#include "base/own.h"
#include "build/copy.h"
#include "build/extract.h"

struct level {  // a folder we are inside of
    int fd;
    size_t len;  // of its path relative to the pick
    const struct build_node *node;
    bool fresh;  // we made it: its metadata is ours
};

struct copier {
    struct build_tree *tree;
    const struct build_copy_apply *opt;
    const struct root *into;
    const char *dest; // where opt->dest leads when its links are followed
    struct links links;  // paths written
    VEC(struct level) way;
};

static int bad_owner(int code, const struct fs_owner *o, const char *path, struct err *e)
{
    err_sys_code(e, code, "give '%s' to %u:%u", path, o->uid, o->gid);
    if (code == EINVAL) err_hint(e, "the id is outside the ranges of /etc/subuid and /etc/subgid");
    return -1;
}

static struct fs_owner owner_of(const struct copier *c, const struct build_node *n)
{
    if (c->opt->owner) return *c->opt->owner;
    if (c->tree->is_context) return (struct fs_owner){0, 0};
    return (struct fs_owner){n->uid, n->gid};
}

static int mode_of(const struct copier *c, const struct build_node *n, uint32_t *out, struct err *e)
{
    *out = n->mode & 07777;
    if (!c->opt->spec->chmod) return 0;
    return build_chmod_apply(c->opt->spec->chmod, n->mode, out, e);
}

static int set_times(const struct copier *c, const struct build_node *n, int dir, const char *name,
                     struct err *e)
{
    int64_t ns = c->opt->time == INT64_MIN ? n->mtime_ns : c->opt->time * 1000000000;
    struct timespec ts[2] = {{.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000},
                             {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000}};
    if (utimensat(dir, name, ts, AT_SYMLINK_NOFOLLOW) != 0)
        return err_sys(e, "set the time of '%s'", name);
    return 0;
}

static int copy_xattrs(int in, int out, const char *path, struct err *e)
{
    char names[4096], value[65536];
    ssize_t n = flistxattr(in, names, sizeof names);
    for (char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
        bool wanted = strncmp(p, "user.", 5) == 0 ? strncmp(p, "user.overlay.", 13) != 0
                                                  : strcmp(p, "security.capability") == 0;
        if (!wanted) continue;
        ssize_t v = fgetxattr(in, p, value, sizeof value);
        if (v < 0 || fsetxattr(out, p, value, (size_t)v, 0) != 0)
            return err_sys(e, "copy xattr '%s' of '%s'", p, path);
    }
    return 0;
}

// The step's key was made from what the walk saw: another file now must not be remembered under it.
static void check_stable(const struct copier *c, const struct build_node *n, int in)
{
    struct stat st;
    if (!c->opt->unstable || fstat(in, &st) != 0) return;
    int64_t mtime = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    int64_t ctime = (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec;
    // The mtime can be set back, the ctime cannot.
    if (st.st_ino != n->ino || (uint64_t)st.st_size != n->size || mtime != n->mtime_ns ||
        ctime != n->ctime_ns)
        *c->opt->unstable = true;
}

static int write_file(struct copier *c, const struct build_node *n, int dir, const char *name,
                      struct err *e)
{
    own(fd) int in = fs_in_open(&c->tree->root, n->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, e);
    own(fd) int out =
        in < 0 ? -1 : fs_openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, e);
    if (out < 0) return -1;
    struct fs_owner o = owner_of(c, n);
    uint32_t mode;
    if (mode_of(c, n, &mode, e) < 0 || fs_copy_bytes(in, out, n->size, e) < 0)
        return err_wrap(e, "copying '%s'", n->path);
    check_stable(c, n, in);
    if (fchown(out, o.uid, o.gid) != 0) return bad_owner(errno, &o, n->path, e);
    if (fchmod(out, mode) != 0) return err_sys(e, "chmod '%s'", n->path);
    return copy_xattrs(in, out, n->path, e);
}

static int write_special(struct copier *c, const struct build_node *n, int dir, const char *name,
                         struct err *e)
{
    struct fs_owner o = owner_of(c, n);
    if (S_ISLNK(n->mode)) {
        char link[4096];
        own(fd) int fd = fs_in_try_link(&c->tree->root, n->path);
        ssize_t len = fd < 0 ? -1 : readlinkat(fd, "", link, sizeof link - 1);
        if (len < 0) return err_sys(e, "read link '%s'", n->path);
        link[len] = '\0';
        if (symlinkat(link, dir, name) != 0) return err_sys(e, "make link '%s'", n->path);
    } else {
        uint32_t mode;
        if (mode_of(c, n, &mode, e) < 0) return -1;
        if (mknodat(dir, name, (n->mode & S_IFMT) | 0600, n->rdev) != 0)
            return err_sys(e, "make %s '%s'", fs_type_name(n->mode), n->path);
        if (fchmodat(dir, name, mode, 0) != 0) return err_sys(e, "chmod '%s'", n->path);
    }
    if (fchownat(dir, name, o.uid, o.gid, AT_SYMLINK_NOFOLLOW) != 0)
        return bad_owner(errno, &o, n->path, e);
    return 0;
}

// What stands at the target gives way, unless it is a folder.
static int make_room(int dir, const char *name, const char *path, struct err *e)
{
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT) return 0;
    if (errno == EISDIR || errno == EPERM)
        return err_set(e, ERR_INPUT, "cannot overwrite the folder '%s' with a file", path);
    return err_sys(e, "replace '%s'", path);
}

// A second name of a file that was copied already becomes a hard link. 1: done.
static int link_again(struct copier *c, const struct build_node *n, int dir, const char *name,
                      const char *full, struct err *e)
{
    if (n->nlink < 2 || !S_ISREG(n->mode)) return 0;
    char *first = links_first(&c->links, n->dev, n->ino, full);
    if (!first) return 0;
    own(fd) int at = -1;
    char last[256];
    if (fs_in_parent(c->into, first, &at, last, e) < 0) return -1;
    return linkat(at, last, dir, name, 0) == 0 ? 1 : err_sys(e, "link '%s' to '%s'", full, first);
}

static int write_node(struct copier *c, const struct build_node *n, int dir, const char *name,
                      const char *full, struct err *e)
{
    if (make_room(dir, name, full, e) < 0) return -1;
    int linked = link_again(c, n, dir, name, full, e);
    if (linked != 0) return linked < 0 ? -1 : 0;
    int rc = S_ISREG(n->mode) ? write_file(c, n, dir, name, e) : write_special(c, n, dir, name, e);
    if (rc < 0) return -1;
    if (c->opt->written && S_ISREG(n->mode)) strv_add(c->opt->written, full);
    return set_times(c, n, dir, name, e);
}

// Mode, owner and time of a folder, once it is full.
static int leave_folder(struct copier *c, struct err *e)
{
    struct level l = c->way.p[--c->way.n];
    own(fd) int fd = l.fd;
    if (!l.fresh) return 0;
    struct fs_owner o = owner_of(c, l.node);
    uint32_t mode;
    if (mode_of(c, l.node, &mode, e) < 0) return -1;
    if (fchown(fd, o.uid, o.gid) != 0) return bad_owner(errno, &o, l.node->path, e);
    if (fchmod(fd, mode) != 0) return err_sys(e, "chmod '%s'", l.node->path);
    own(fd) int in = build_tree_open_folder(c->tree, l.node);
    if (in >= 0 && copy_xattrs(in, fd, l.node->path, e) < 0) return -1;
    return set_times(c, l.node, fd, ".", e);
}

static int enter_folder(struct copier *c, const struct build_node *n, int dir, const char *name,
                        size_t len, const char *full, struct err *e)
{
    if (mkdirat(dir, name, 0700) != 0) {
        struct stat st;
        if (errno != EEXIST) return err_sys(e, "make folder '%s'", full);
        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode))
            return err_set(e, ERR_INPUT, "cannot copy the folder '%s' over '%s', which is a %s",
                           n->path, full, fs_type_name(st.st_mode));
    }
    int fd = fs_openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
    if (fd < 0) return -1;
    vec_push(&c->way, ((struct level){fd, len, n, true}));
    return 0;
}

// The contents of folder `top` go into the folder `fd` (path `dest`); fresh: we made it.
static int copy_contents(struct copier *c, const struct build_node *top, int fd, bool fresh,
                         const char *dest, struct err *e)
{
    const struct build_node *end = c->tree->nodes.p + c->tree->nodes.n;
    size_t skip = strlen(top->path);
    if (skip) skip++;
    vec_push(&c->way, ((struct level){fd, 0, top, fresh}));
    int rc = 0;
    for (const struct build_node *n = top + 1;
         rc == 0 && n < end && build_tree_is_below(n, top->path); n++) {
        const char *rel = n->path + skip, *slash = strrchr(rel, '/');
        if (!build_copy_keeps(c->tree, c->opt->spec, top, n)) continue;
        size_t parent = slash ? (size_t)(slash - rel) : 0;
        while (rc == 0 && c->way.n > 1 &&
               !build_tree_is_below(n, c->way.p[c->way.n - 1].node->path))
            rc = leave_folder(c, e);
        if (rc < 0) break;
        struct level *at = &c->way.p[c->way.n - 1];
        if (at->len != parent) continue;  // its folder was excluded
        own(free) char *full = str_fmt("%s/%s", dest, rel);
        const char *name = slash ? slash + 1 : rel;
        rc = S_ISDIR(n->mode) ? enter_folder(c, n, at->fd, name, strlen(rel), full, e)
                              : write_node(c, n, at->fd, name, full, e);
    }
    while (c->way.n) {
        if (rc == 0) {
            rc = leave_folder(c, e);
        } else {
            close(c->way.p[--c->way.n].fd);
        }
    }
    vec_fini(&c->way);
    return rc;
}

static int copy_folder(struct copier *c, const struct build_node *n, const char *dest,
                       struct err *e)
{
    struct fs_owner made_by = c->opt->owner ? *c->opt->owner : (struct fs_owner){0, 0};
    own(fd) int there = fs_in_try(c->into, dest, O_PATH, 0);
    bool fresh = there < 0;
    int fd = -1;
    struct stat st;
    if (!fresh && (fstat(there, &st) != 0 || !S_ISDIR(st.st_mode))) {
        err_set(e, ERR_INPUT, "cannot copy a folder to '%s', which is a %s", dest,
                fs_type_name(st.st_mode));
        return err_hint(e, "name a folder as the destination, or remove the file first");
    }
    if (fs_in_mkdirs(c->into, dest, 0755, &made_by, &fd, e) < 0) return -1;
    return copy_contents(c, n, fd, fresh, dest, e);
}

static bool is_folder(const struct root *r, const char *path)
{
    own(fd) int fd = fs_in_try(r, path, O_PATH | O_DIRECTORY, 0);
    return fd >= 0;
}

// Opens the folder that a file goes into, with the name it gets there.
static int place_file(struct copier *c, const char *dest, bool in_folder, const char *base,
                      int *out_dir, char out_name[256], struct str *out_full, struct err *e)
{
    struct fs_owner made_by = c->opt->owner ? *c->opt->owner : (struct fs_owner){0, 0};
    own(str) struct str clean = {0};
    fs_clean(sv_of(dest), &clean);
    str_add(out_full, str_sv(&clean));
    if (in_folder || is_folder(c->into, dest)) str_addf(out_full, "/%s", base);
    const char *full = str_z(out_full), *slash = strrchr(full, '/');
    own(free) char *folder = sv_dup((struct sv){full, (size_t)(slash - full)});
    own(fd) int made = -1;
    if (fs_in_mkdirs(c->into, folder, 0755, &made_by, &made, e) < 0) return -1;
    if (strlen(slash + 1) > 255 || slash[1] == '\0')
        return err_set(e, ERR_INPUT, "'%s' is not a destination for a file", dest);
    memcpy(out_name, slash + 1, strlen(slash + 1) + 1);
    *out_dir = take_fd(made);
    return 0;
}

static int copy_file(struct copier *c, const struct build_pick *p, const char *dest, bool in_folder,
                     struct err *e)
{
    own(str) struct str full = {0};
    own(fd) int dir = -1;
    char name[256];
    if (place_file(c, dest, in_folder, build_pick_name(p), &dir, name, &full, e) < 0) return -1;
    return write_node(c, p->node, dir, name, str_z(&full), e);
}

// A folder that --parents keeps has the source's mode and owner, unless it was there.
static int make_parent(void *arg, const char *under, const struct stat *st, struct err *e)
{
    struct copier *c = arg;
    own(free) char *path = str_fmt("%s/%s", c->dest, under);
    own(fd) int there = fs_in_try(c->into, path, O_PATH, 0), made = -1;
    if (there >= 0) return 0;
    const struct build_node n = {
        .path = path, .mode = st->st_mode, .uid = st->st_uid, .gid = st->st_gid};
    struct fs_owner above = c->opt->owner ? *c->opt->owner : (struct fs_owner){0, 0};
    struct fs_owner o = owner_of(c, &n);
    uint32_t mode;
    if (mode_of(c, &n, &mode, e) < 0 || fs_in_mkdirs(c->into, path, 0755, &above, &made, e) < 0)
        return -1;
    if (fchown(made, o.uid, o.gid) != 0) return bad_owner(errno, &o, path, e);
    if (fchmod(made, mode) != 0) return err_sys(e, "chmod '%s'", path);
    return 0;
}

// ADD unpacks a local archive. 1: it was one.
static int add_archive(struct copier *c, const struct build_node *n, const char *dest,
                       struct err *e)
{
    const struct build_copy *spec = c->opt->spec;
    if (!spec->is_add || !S_ISREG(n->mode) || (spec->has_unpack && !spec->unpack)) return 0;
    own(fd) int fd = fs_in_open(&c->tree->root, n->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, e);
    if (fd < 0) return -1;
    if (!build_extract_sniff(fd)) return 0;
    own(str) struct str clean = {0};
    fs_clean(sv_of(dest), &clean);
    struct build_extract opt = {.dest = strcmp(str_z(&clean), "/") == 0 ? "" : str_z(&clean),
                                .owner = c->opt->owner};
    own(fd) int made = -1;
    struct fs_owner made_by = c->opt->owner ? *c->opt->owner : (struct fs_owner){0, 0};
    if (fs_in_mkdirs(c->into, str_z(&clean), 0755, &made_by, &made, e) < 0) return -1;
    if (build_extract(c->into, &opt, codec_source_fd(&fd), e) < 0)
        return err_wrap(e, "unpacking '%s'", n->path);
    check_stable(c, n, fd);
    return 1;
}

static int copy_inline(struct copier *c, const struct build_inline *in, struct err *e)
{
    own(str) struct str full = {0};
    own(fd) int dir = -1;
    char name[256];
    if (place_file(c, c->dest, c->opt->dest_is_folder, in->name, &dir, name, &full, e) < 0 ||
        make_room(dir, name, str_z(&full), e) < 0)
        return -1;
    struct build_node n = {.path = in->name, .mode = S_IFREG | 0644};
    struct fs_owner o = c->opt->owner ? *c->opt->owner : (struct fs_owner){0, 0};
    uint32_t mode;
    own(fd) int out = fs_openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, e);
    if (out < 0 || mode_of(c, &n, &mode, e) < 0 || fs_write_all(out, in->data, in->n, e) < 0)
        return -1;
    if (fchown(out, o.uid, o.gid) != 0) return bad_owner(errno, &o, str_z(&full), e);
    if (fchmod(out, mode) != 0) return err_sys(e, "chmod '%s'", str_z(&full));
    if (c->opt->written) strv_add(c->opt->written, str_z(&full));
    return set_times(c, &n, dir, name, e);
}

static int copy_pick(struct copier *c, const struct build_pick *p, bool in_folder, struct err *e)
{
    own(str) struct str dest = {0};
    if (build_pick_parents(c->tree, p, make_parent, c, e) < 0) return -1;
    str_addz(&dest, c->dest);
    if (p->under) str_addf(&dest, "/%s", p->under);
    if (S_ISDIR(p->node->mode)) return copy_folder(c, p->node, str_z(&dest), e);
    int rc = add_archive(c, p->node, str_z(&dest), e);
    if (rc != 0) return rc < 0 ? -1 : 0;
    return copy_file(c, p, str_z(&dest), in_folder || p->under, e);
}

int build_copy_apply(struct build_tree *t, const struct build_picks *picks,
                     const struct build_copy_apply *opt, const struct root *into, struct err *e)
{
    own(str) struct str real = {0};
    if (build_copy_follow(into, opt->dest, &real, e) < 0) return -1;
    own(free) char *dest = str_fmt("/%s", str_z(&real));
    struct copier c = {.tree = t, .opt = opt, .into = into, .dest = dest};
    bool in_folder = opt->dest_is_folder || picks->v.n + opt->spec->inlines.n > 1;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < picks->v.n; i++)
        rc = copy_pick(&c, &picks->v.p[i], in_folder, e);
    for (size_t i = 0; rc == 0 && i < opt->spec->inlines.n; i++)
        rc = copy_inline(&c, &opt->spec->inlines.p[i], e);
    links_fini(&c.links);
    return rc;
}
