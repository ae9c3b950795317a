// SPDX-License-Identifier: Apache-2.0
// The folder that lies below all layers and holds the mount points of every sandbox. With it, a
// start writes nothing into the container's own layer, and an image without /proc works too.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "sandbox/sandbox.h"
#include "sandbox/userns.h"

// Bump the number when the list changes: an old folder is then simply not used any more.
#define STUB_VERSION "1"

static const struct {
    const char *path;
    bool dir;
} stubs[] = {
    {"dev", true},       {"proc", true},          {"sys", true},
    {"etc", true},       {"etc/hosts", false},    {"etc/hostname", false},
    {"etc/resolv.conf", false},
};

static int fill(int fd, const struct sandbox_ids *ids, struct err *e)
{
    for (size_t i = 0; i < sizeof stubs / sizeof *stubs; i++) {
        int rc = stubs[i].dir ? mkdirat(fd, stubs[i].path, 0755)
                              : mknodat(fd, stubs[i].path, S_IFREG | 0644, 0);
        if (rc != 0 || fchmodat(fd, stubs[i].path, stubs[i].dir ? 0755 : 0644, 0) != 0)
            return err_sys(e, "make the mount point '%s'", stubs[i].path);
        if (ids && ids->own &&
            fchownat(fd, stubs[i].path, sandbox_userns_uid(ids, 0), sandbox_userns_gid(ids, 0),
                     0) != 0)
            return err_sys(e, "give away the mount point '%s'", stubs[i].path);
    }
    if (ids && ids->own && fchown(fd, sandbox_userns_uid(ids, 0), sandbox_userns_gid(ids, 0)) != 0)
        return err_sys(e, "give away the mount points");
    // What shows through in a bare image must not depend on when this was made.
    const struct timespec zero[2] = {{0}, {0}};
    for (size_t i = sizeof stubs / sizeof *stubs; i-- > 0;)
        utimensat(fd, stubs[i].path, zero, 0);
    futimens(fd, zero);
    return 0;
}

static int make(int parent, const char *name, const struct sandbox_ids *ids, struct err *e)
{
    own(free) char *tmp = str_fmt("tmp-%s-%d", name, (int)getpid());
    if (fs_remove_tree(parent, tmp, e) < 0) return -1;
    if (mkdirat(parent, tmp, 0755) != 0) return err_sys(e, "make '%s'", tmp);
    own(fd) int fd = fs_open_dir(parent, tmp, e);
    if (fd < 0) return -1;
    if (fchmod(fd, 0755) != 0) return err_sys(e, "chmod '%s'", tmp);
    int rc = fill(fd, ids, e);
    // Another command may have been first; its folder is as good.
    if (rc == 0 && renameat(parent, tmp, parent, name) == 0) return 0;
    bool there = rc == 0 && (errno == EEXIST || errno == ENOTEMPTY);
    if (rc == 0 && !there) rc = err_sys(e, "rename '%s'", tmp);
    struct err ignored;
    fs_remove_tree(parent, tmp, &ignored);
    return there ? 0 : rc;
}

int sandbox_stub_open(struct engine *en, const struct sandbox_ids *ids, struct err *e)
{
    own(free) char *name = str_fmt("%s-" STUB_VERSION, en->form);
    own(free) char *path = str_fmt("stubs/%s", name);
    int fd = openat(en->store_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) return fd;
    if (fs_mkdirs(en->store_fd, "stubs", 0700, e) < 0) return -1;
    own(fd) int parent = fs_open_dir(en->store_fd, "stubs", e);
    if (parent < 0 || make(parent, name, ids, e) < 0) return err_wrap(e, "making the mount points");
    return fs_open_dir(en->store_fd, path, e);
}
