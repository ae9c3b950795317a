// SPDX-License-Identifier: Apache-2.0
// What every walk stands on: saying what failed, paths below the plan's root and what is missing there,
// and the few ways to mount (enter.h has the rules).
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/enter.h"
#include "sandbox/plan.h"
#include "sandbox/sandbox.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif

_Noreturn void sandbox_enter_fail_with(const struct sandbox_plan *p, enum step step, uint32_t index,
                                       struct report *r, int code)
{
    r->kind = REPORT_FAIL;
    r->step = step;
    r->code = code;
    r->index = index;
    send(p->status_fd, r, sizeof *r, MSG_NOSIGNAL);
    _exit(125);
}

_Noreturn void sandbox_enter_fail(const struct sandbox_plan *p, enum step step, uint32_t index)
{
    struct report r = {0};
    sandbox_enter_fail_with(p, step, index, &r, errno);
}

void sandbox_enter_need(const struct sandbox_plan *p, bool ok, enum step step)
{
    if (!ok) sandbox_enter_fail(p, step, 0);
}

int sandbox_enter_open_in(int root, const char *path, int flags, uint64_t resolve)
{
    struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve};
    long fd = -1;
    for (int i = 0; i < 64; i++) {
        fd = syscall(SYS_openat2, root, path, &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) break;
    }
    return (int)fd;
}

// --- making what is missing below the root -----------------------------------------------------

// Says where `name` in the folder `fd` really is: the path asked for may go through links, which the
// layer that the stub must leave again does not have.
static void tell_stub(const struct sandbox_plan *p, int fd, const char *name)
{
    struct report r = {.kind = REPORT_STUB};
    long n = fchdir(fd) == 0 ? syscall(SYS_getcwd, r.head, sizeof r.head) : -1;  // ends in NUL
    sandbox_enter_need(p, chdir("/") == 0, STEP_TARGET);
    size_t name_n = strlen(name);
    if (n <= 1 || r.head[0] != '/' || (size_t)n + 1 + name_n > sizeof r.head) return;
    size_t at = n == 2 ? 1 : (size_t)n;
    r.head[at - 1] = '/';
    memcpy(r.head + at, name, name_n + 1);
    r.head_n = (uint32_t)(at + name_n);
    memmove(r.head, r.head + 1, r.head_n);  // relative, with its NUL
    send(p->status_fd, &r, sizeof r, MSG_NOSIGNAL);
}

// Makes the last component of `path` (whose parents exist) as a folder or an empty file.
int sandbox_enter_make_last(const struct sandbox_plan *p, const char *path, bool dir)
{
    char parent[4096];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= sizeof parent || strlen(path) >= sizeof parent) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(parent, path, n);
    parent[n] = '\0';
    const char *name = slash ? slash + 1 : path;
    int fd = sandbox_enter_open_in(p->root_fd, n ? parent : ".", O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) return -1;
    int rc = dir ? mkdirat(fd, name, 0755) : mknodat(fd, name, S_IFREG | 0644, 0);
    int code = errno;
    if (rc == 0) tell_stub(p, fd, name);
    close(fd);
    errno = code;
    return rc == 0 || code == EEXIST ? 0 : -1;
}

#define LINKS_MAX 40
#define PATH_SIZE 4096

// `path` up to `at` is a link that leads to nothing: puts what it says in its place. What is in a
// link is resolved inside the root as everything else, whatever it says.
static int follow_dangling(const struct sandbox_plan *p, char path[PATH_SIZE], size_t at)
{
    char whole[PATH_SIZE], text[PATH_SIZE];
    struct stat st;
    memcpy(whole, path, at);
    whole[at] = '\0';
    int link = sandbox_enter_open_in(p->root_fd, whole, O_PATH | O_NOFOLLOW, 0);
    if (link < 0) return -1;
    bool is_link = fstat(link, &st) == 0 && S_ISLNK(st.st_mode);
    ssize_t n = is_link ? readlinkat(link, "", text, sizeof text - 1) : -1;
    close(link);
    if (n <= 0) {
        errno = ENOENT;
        return -1;
    }
    text[n] = '\0';
    const char *slash = strrchr(whole, '/');
    size_t keep = text[0] == '/' || !slash ? 0 : (size_t)(slash - whole);
    size_t rest = strlen(path + at);
    if (keep + 1 + (size_t)n + rest >= PATH_SIZE) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memmove(whole + keep + 1 + n, path + at, rest + 1);
    whole[keep] = '/';
    memcpy(whole + keep + 1, text, (size_t)n);
    memcpy(path, whole, keep + 1 + (size_t)n + rest + 1);
    return 0;
}

// One walk along `path`. 1: all is there; 0: a link was put in, walk again; -1: no.
static int make_parts(const struct sandbox_plan *p, char path[PATH_SIZE], bool dir)
{
    char part[PATH_SIZE];
    size_t n = strlen(path);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        memcpy(part, path, i);
        part[i] = '\0';
        int at = sandbox_enter_open_in(p->root_fd, part, O_PATH, 0);
        if (at < 0 && errno == ENOENT && sandbox_enter_make_last(p, part, dir || i < n) == 0) {
            at = sandbox_enter_open_in(p->root_fd, part, O_PATH, 0);
            if (at < 0 && errno == ENOENT) return follow_dangling(p, path, i);
        }
        if (at < 0) return -1;
        close(at);
    }
    return 1;
}

// Opens `path` inside the root, making what is missing, also where a link of the image leads to.
int sandbox_enter_open_or_make(const struct sandbox_plan *p, const char *path, bool dir)
{
    int fd = sandbox_enter_open_in(p->root_fd, path, O_PATH, 0);
    if (fd >= 0 || errno != ENOENT) return fd;
    char way[PATH_SIZE];
    size_t n = strlen(path);
    if (n >= sizeof way) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(way, path, n + 1);
    for (int i = 0; i < LINKS_MAX; i++) {
        int rc = make_parts(p, way, dir);
        if (rc < 0) return -1;
        if (rc == 1) return sandbox_enter_open_in(p->root_fd, way, O_PATH, 0);
    }
    errno = ELOOP;
    return -1;
}

int sandbox_enter_attach(int tree, int to, const char *name)
{
    unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | (name[0] ? 0 : MOVE_MOUNT_T_EMPTY_PATH);
    return move_mount(tree, "", to, name, flags);
}

int sandbox_enter_clone_of(int dirfd, const char *name)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (name[0] ? 0 : AT_EMPTY_PATH);
    return open_tree(dirfd, name, flags);
}

int sandbox_enter_new_fs(const char *type, uint64_t attr)
{
    int fs = fsopen(type, FSOPEN_CLOEXEC);
    if (fs < 0) return -1;
    int fd = -1;
    fsconfig(fs, FSCONFIG_SET_STRING, "source", type, 0);  // what `mount` and `df` show
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        fd = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)attr);
    int code = errno;
    close(fs);
    errno = code;
    return fd;
}
