// SPDX-License-Identifier: Apache-2.0
// The program's own file out of reach for containers: see sealed.h.
#include "sandbox/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/engine.h"
#include "base/fs.h"
#include "base/own.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x10U  // since Linux 6.3; before that EINVAL
#endif
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static bool is_sealed(int exe)
{
    struct statvfs v;
    int seals = fcntl(exe, F_GET_SEALS);
    if (seals >= 0 && (seals & SEALS) == SEALS) return true;
    return fstatvfs(exe, &v) == 0 && (v.f_flag & ST_RDONLY);
}

// The ids of a container of ours are at most our own and those of /etc/subuid; root's are all.
static bool could_write(int exe)
{
    struct stat st;
    if (geteuid() == 0 || fstat(exe, &st) != 0) return true;
    return st.st_uid == geteuid() || (st.st_mode & 022);
}

static int read_only_mount(void)
{
    int fd = open_tree(AT_FDCWD, "/proc/self/exe", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    struct mount_attr a = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
    if (fd >= 0 && mount_setattr(fd, "", AT_EMPTY_PATH, &a, sizeof a) == 0) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

int sandbox_sealed_memory(const char *name, struct err *e)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (fd < 0 && errno == EINVAL) fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd < 0 ? err_sys(e, "make a copy of the program in memory") : fd;
}

int sandbox_seal(int fd, struct err *e)
{
    return fcntl(fd, F_ADD_SEALS, SEALS) == 0 ? 0 : err_sys(e, "seal the copy of the program");
}

static int copy_in_memory(int exe, struct err *e)
{
    struct stat st;
    own(fd) int copy = sandbox_sealed_memory("dewar", e);
    if (copy < 0) return -1;
    if (fstat(exe, &st) != 0) return err_sys(e, "stat the program");
    if (fs_copy_bytes(exe, copy, (uint64_t)st.st_size, e) < 0 || sandbox_seal(copy, e) < 0) return -1;
    return take_fd(copy);
}

bool sandbox_exposed(void)
{
    struct err ignored;
    own(fd) int exe = fs_open("/proc/self/exe", O_RDONLY, 0, &ignored);
    return exe < 0 || (!is_sealed(exe) && could_write(exe));
}

static char **environment(void)
{
    char self[4096];
    size_t n = 0, kept = 0;
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    while (environ[n]) n++;
    char **env = mem_alloc((n + 2) * sizeof *env);
    for (size_t i = 0; i < n; i++)
        if (!sv_starts(sv_of(environ[i]), ENGINE_SELF "=")) env[kept++] = environ[i];
    self[len > 0 ? len : 0] = '\0';
    if (len > 0) env[kept++] = str_fmt(ENGINE_SELF "=%s", self);
    return env;
}

int sandbox_sealed(char *const *argv, struct err *e)
{
    own(fd) int exe = fs_open("/proc/self/exe", O_RDONLY, 0, e);
    if (exe < 0) return -1;
    if (is_sealed(exe) || !could_write(exe)) return 0;
    own(fd) int copy = geteuid() == 0 ? read_only_mount() : -1;
    if (copy < 0) copy = copy_in_memory(exe, e);
    if (copy < 0) return -1;
    char **env = environment();
    syscall(SYS_execveat, copy, "", argv, env, AT_EMPTY_PATH);
    free(env);
    return err_sys(e, "execute a copy of the program");
}
