// SPDX-License-Identifier: Apache-2.0
// A file of the person's that is complete or absent: see output.h.
#include "base/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/own.h"

void output_fini(struct output *t)
{
    free(t->folder);
    if (t->dir >= 0) close(t->dir);
    if (t->fd >= 0) close(t->fd);
}

int output_open(const char *path, mode_t mode, struct output *t, struct err *e)
{
    struct stat st;
    const char *slash = strrchr(path, '/');
    t->name = slash ? slash + 1 : path;
    t->folder = slash ? sv_dup((struct sv){path, (size_t)(slash - path) + 1}) : str_dup(".");
    if (!t->name[0]) return err_set(e, ERR_USAGE, "the output '%s' is a folder", path);
    t->dir = fs_open(t->folder, O_RDONLY | O_DIRECTORY, 0, e);
    if (t->dir < 0) return -1;
    bool there = fstatat(t->dir, t->name, &st, 0) == 0;
    if (there && S_ISDIR(st.st_mode)) {
        return err_set(e, ERR_USAGE, "the output '%s' is a folder", path);
    }
    t->direct = there && !S_ISREG(st.st_mode);
    if (t->direct) {
        t->fd = fs_open(path, O_WRONLY, 0, e);
    } else {
        t->fd = openat(t->dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, mode);
        if (t->fd < 0) {
            t->direct = true;
            t->fd = fs_open(path, O_WRONLY | O_CREAT | O_TRUNC, mode, e);
        }
    }
    return t->fd < 0 ? -1 : 0;
}

int output_commit(struct output *t, struct err *e)
{
    char self[64];
    if (t->direct) return 0;
    // Disks of other machines and quotas tell of a lack of space only now; the old file still stands.
    if (fdatasync(t->fd) != 0) return err_sys(e, "sync '%s'", t->name);
    snprintf(self, sizeof self, "/proc/self/fd/%d", t->fd);
    if (linkat(AT_FDCWD, self, t->dir, t->name, AT_SYMLINK_FOLLOW) == 0) return 0;
    if (errno != EEXIST) return err_sys(e, "create '%s'", t->name);
    own(free) char *tmp = str_fmt(".%s.%d.tmp", t->name, (int)getpid());
    if (linkat(AT_FDCWD, self, t->dir, tmp, AT_SYMLINK_FOLLOW) != 0) {
        return err_sys(e, "create '%s'", tmp);
    }
    if (renameat(t->dir, tmp, t->dir, t->name) == 0) return 0;
    err_sys(e, "replace '%s'", t->name);
    unlinkat(t->dir, tmp, 0);
    return -1;
}
