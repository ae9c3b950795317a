// SPDX-License-Identifier: Apache-2.0
// Temporary folders and the trash. The life of a temporary folder:
//   1. mkdir tmp/<random>, open it, flock it (the owner holds the descriptor);
//   2. check that the name still leads to the folder we locked: between mkdir and flock a sweeper may
//      have taken it for a dead one. If so, start again with another name;
//   3. the owner works in it, and renames what is finished to its place;
//   4. close removes the rest. If the owner dies instead, the kernel drops the lock and the next sweep
//      wins it, moves the folder to the trash and empties the trash.
// One sweeper at a time empties the trash (flock on trash/); a second one has nothing to wait for.
#include "store/tmp.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"
#include "base/proc.h"
#include "base/vec.h"
#include "store/internal.h"

#define TMP_TRIES 100

static int random_name(char *out, size_t size, struct err *e)
{
    uint64_t r[2];
    if (getrandom(r, sizeof r, 0) != sizeof r) return err_sys(e, "get random bytes");
    snprintf(out, size, "%016llx%08x", (unsigned long long)r[0], (unsigned)r[1]);
    return 0;
}

static int open_made(int at, const char *name, struct err *e)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 || errno != ENOENT) return fd >= 0 ? fd : err_sys(e, "open '%s' of the store", name);
    if (mkdirat(at, name, 0700) != 0 && errno != EEXIST)
        return err_sys(e, "make '%s' in the store", name);
    fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 ? fd : err_sys(e, "open '%s' of the store", name);
}

static bool still_linked(int parent, const char *name, int fd)
{
    struct stat a, b;
    return fstatat(parent, name, &a, AT_SYMLINK_NOFOLLOW) == 0 && fstat(fd, &b) == 0 &&
           a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

// 1: made and locked, 0: lost a race, -1: error.
static int try_make(int parent, char name[40], int *out_fd, struct err *e)
{
    if (random_name(name, 40, e) < 0) return -1;
    if (mkdirat(parent, name, 0700) != 0)
        return errno == EEXIST ? 0 : err_sys(e, "make a temporary folder in the store");
    own(fd) int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? 0 : err_sys(e, "open a temporary folder in the store");
    int rc = fs_lock(fd, LOCK_EX | LOCK_NB, e);
    if (rc != 0) return rc < 0 ? -1 : 0;
    if (!still_linked(parent, name, fd)) return 0;
    *out_fd = take_fd(fd);
    return 1;
}

int store_tmp_open(struct engine *en, struct store_tmp *out, struct err *e)
{
    own(fd) int parent = open_made(en->store_fd, "tmp", e);
    if (parent < 0) return -1;
    struct store_tmp t = STORE_TMP_NONE;
    for (int i = 0; i < TMP_TRIES; i++) {
        int rc = try_make(parent, t.name, &t.fd, e);
        if (rc < 0) return -1;
        if (rc == 0) continue;
        t.parent_fd = take_fd(parent);
        *out = t;
        return 0;
    }
    return err_set(e, ERR_INTERNAL, "no temporary folder after %d tries", TMP_TRIES);
}

void store_tmp_close(struct engine *en, struct store_tmp *t)
{
    (void)en;
    struct err ignored = {0};  // what cannot be removed now is swept later
    if (t->fd < 0) return;
    if (unlinkat(t->parent_fd, t->name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        fs_remove_tree(t->parent_fd, t->name, &ignored);
    close(t->fd);
    close(t->parent_fd);
    *t = STORE_TMP_NONE;
}

int store_trash(struct engine *en, int dirfd, const char *name, struct err *e)
{
    own(fd) int trash = open_made(en->store_fd, "trash", e);
    if (trash < 0) return -1;
    for (int i = 0; i < TMP_TRIES; i++) {
        char to[40];
        if (random_name(to, sizeof to, e) < 0) return -1;
        if (renameat2(dirfd, name, trash, to, RENAME_NOREPLACE) == 0 || errno == ENOENT) return 0;
        if (errno != EEXIST) return err_sys(e, "move '%s' to the trash", name);
    }
    return err_set(e, ERR_INTERNAL, "no free name in the trash after %d tries", TMP_TRIES);
}

static int sweep_tmp(struct engine *en, struct err *e)
{
    own(fd) int parent = open_made(en->store_fd, "tmp", e);
    own(strv) struct strv names = {0};
    if (parent < 0 || fs_list(parent, ".", &names, e) < 0) return -1;
    vec_each(name, &names) {
        own(fd) int fd = openat(parent, *name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 && (errno == ENOENT || errno == EACCES)) continue;
        if (fd >= 0) {  // a file among them belongs to nobody: to the trash without asking
            int rc = fs_lock(fd, LOCK_EX | LOCK_NB, e);
            if (rc < 0) return -1;
            if (rc == 1 || !still_linked(parent, *name, fd)) continue;
        }
        if (store_trash(en, parent, *name, e) < 0) return -1;
    }
    return 0;
}

int store_sweep(struct engine *en, uint64_t *out_freed, struct err *e)
{
    uint64_t freed = 0;
    if (sweep_tmp(en, e) < 0) return -1;
    own(fd) int trash = open_made(en->store_fd, "trash", e);
    if (trash < 0) return -1;
    if (fs_lock(trash, LOCK_EX, e) < 0) return -1;  // another sweep: what it leaves is ours
    own(strv) struct strv names = {0};
    if (fs_list(trash, ".", &names, e) < 0) return -1;
    int rc = 0;
    vec_each(name, &names) {  // one that resists does not keep the others
        uint64_t size = out_freed ? store_du(trash, *name) : 0;
        struct err one = {0};
        if (fs_remove_tree(trash, *name, &one) == 0) freed += size;
        else if (rc == 0) *e = one, rc = -1;
    }
    if (out_freed) *out_freed = freed;
    return rc < 0 ? err_wrap(e, "emptying the trash of the store") : 0;
}

// Half-written files that a killed command left where it was about to rename them, and folders that it
// made for them. Nobody else writes: the caller is alone in the store.
static int drop_parts(int dirfd, const char *name, unsigned depth, struct err *e)
{
    own(strv) struct strv names = {0};
    own(fd) int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(e, "open '%s'", name);
    if (fs_list(fd, ".", &names, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++) {
        if (strncmp(names.p[i], FS_PART, strlen(FS_PART)) == 0) {
            if (unlinkat(fd, names.p[i], 0) != 0 && errno != ENOENT)
                return err_sys(e, "remove '%s/%s'", name, names.p[i]);
        } else if (depth > 0) {
            if (drop_parts(fd, names.p[i], depth - 1, e) < 0) return -1;
            unlinkat(fd, names.p[i], AT_REMOVEDIR);  // stays when it is a file or has one
        }
    }
    return 0;
}

int store_tmp_drop_parts(struct engine *en, struct err *e)
{
    static const struct {
        const char *name;
        unsigned depth;
    } places[] = {{"refs", 64}, {"cache/steps", 0}, {"cache/sources", 0}, {"cache/files", 0}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (drop_parts(en->store_fd, places[i].name, places[i].depth, e) < 0) return -1;
    return 0;
}

static bool is_empty(struct engine *en, const char *name)
{
    struct err ignored;
    own(strv) struct strv names = {0};
    return fs_list(en->store_fd, name, &names, &ignored) < 0 || names.n == 0;
}

void store_sweep_later(struct engine *en)
{
    struct proc child = PROC_NONE;
    if (is_empty(en, "tmp") && is_empty(en, "trash")) return;
    child.pid = proc_fork(0, &child.fd);
    if (child.pid > 0) close(child.fd);
    if (child.pid != 0) return;
    // Nothing of the command may be held: no lock, no pipe that somebody reads to its end.
    struct err ignored;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    setsid();
    for (int fd = 0; fd < 3; fd++) dup2(null, fd);
    en->store_fd = dup2(en->store_fd, 3);
    close_range(4, ~0u, 0);
    store_sweep(en, NULL, &ignored);
    _exit(0);
}
