// SPDX-License-Identifier: Apache-2.0
// Removing whole trees. The walk keeps one open directory and goes back up through "..", so depth
// costs no memory; that is sound because the tree is ours alone (it lies in trash or tmp), and every
// step up is checked against the inode we came from.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/own.h"
#include "base/vec.h"

struct level {
    ino_t ino;  // of the directory above
    dev_t dev;
    char *name;  // of the directory we are in, to remove it from above
};

static int enter(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && fchmodat(at, name, 0700, 0) == 0)
        fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd;
}

// Unlinks what is not a directory in `fd` and copies the name of the first subdirectory left, or
// returns 0 when the directory is empty now.
static int empty_flat(int fd, char **out_sub, struct err *e)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0) return err_sys(e, "list a folder to remove");
    own(dir) DIR *d = fdopendir(copy);
    if (!d) {
        close(copy);
        return err_sys(e, "list a folder to remove");
    }
    struct dirent *de;
    while (errno = 0, (de = readdir(d)) != NULL) {
        if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0) continue;
        if (de->d_type != DT_DIR) {
            if (unlinkat(fd, de->d_name, 0) == 0 || errno == ENOENT) continue;
            if (errno == EACCES && fchmod(fd, 0700) == 0 && unlinkat(fd, de->d_name, 0) == 0) continue;
            if (errno != EISDIR) return err_sys(e, "remove '%s'", de->d_name);
        }
        if (unlinkat(fd, de->d_name, AT_REMOVEDIR) == 0) continue;
        *out_sub = str_dup(de->d_name);
        return 1;
    }
    // ENOENT: somebody else removes the same tree and was here first.
    return errno && errno != ENOENT ? err_sys(e, "list a folder to remove") : 0;
}

static int remove_below(int top, struct err *e)
{
    VEC(struct level) way = {0};
    own(fd) int at = top;
    int rc = 0;
    for (;;) {
        char *sub = NULL;
        rc = empty_flat(at, &sub, e);
        if (rc < 0) break;
        if (rc == 1) {
            struct stat st;
            int next = fstat(at, &st) == 0 ? enter(at, sub) : -1;
            struct stat below;
            if (next >= 0 && (fstat(next, &below) != 0 || below.st_dev != st.st_dev)) {
                close(next);
                next = -1;
                errno = EXDEV;
            }
            if (next < 0 && errno == ENOENT) {  // gone since it was listed
                free(sub);
                continue;
            }
            if (next < 0) {
                rc = err_sys(e, "open '%s' to remove it", sub);
                free(sub);
                break;
            }
            vec_push(&way, ((struct level){st.st_ino, st.st_dev, sub}));
            fchmod(next, 0700);
            close(at);
            at = next;
            continue;
        }
        if (way.n == 0) break;
        struct level up = way.p[--way.n];
        int above = openat(at, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct stat st;
        bool same = above >= 0 && fstat(above, &st) == 0 && st.st_ino == up.ino && st.st_dev == up.dev;
        if (!same || (unlinkat(above, up.name, AT_REMOVEDIR) != 0 && errno != ENOENT)) {
            rc = same ? err_sys(e, "remove folder '%s'", up.name)
                      : err_set(e, ERR_INTERNAL, "folder '%s' moved while it was removed", up.name);
            free(up.name);
            if (above >= 0) close(above);
            break;
        }
        free(up.name);
        close(at);
        at = above;
    }
    while (way.n) free(way.p[--way.n].name);
    vec_fini(&way);
    return rc;
}

int fs_remove_tree(int dirfd, const char *name, struct err *e)
{
    if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT) return 0;
    if (errno != EISDIR && errno != EPERM) return err_sys(e, "remove '%s'", name);
    int fd = enter(dirfd, name);
    if (fd < 0) return errno == ENOENT ? 0 : err_sys(e, "open '%s' to remove it", name);
    fchmod(fd, 0700);
    if (remove_below(fd, e) < 0) return err_wrap(e, "removing '%s'", name);
    if (unlinkat(dirfd, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        return err_sys(e, "remove folder '%s'", name);
    return 0;
}
