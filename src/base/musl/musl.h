// SPDX-License-Identifier: Apache-2.0
// What this program uses and musl 1.2.3 does not declare. Included in front of every file by the build
// where dewar is linked with musl (-include); no file names it.
#pragma once

#include <fcntl.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>
// After musl's own: the kernel's repeat some of their names with the same values.
#include <linux/mount.h>
#include <linux/stat.h>

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2
#define RENAME_WHITEOUT 4
#endif

typedef int __rlimit_resource_t;

// System calls without a function: see their pages in section 2 of the manual.
static inline int fsopen(const char *name, unsigned flags)
{
    return (int)syscall(SYS_fsopen, name, flags);
}
static inline int fsmount(int fd, unsigned flags, unsigned attributes)
{
    return (int)syscall(SYS_fsmount, fd, flags, attributes);
}
static inline int fsconfig(int fd, unsigned command, const char *key, const void *value, int aux)
{
    return (int)syscall(SYS_fsconfig, fd, command, key, value, aux);
}
static inline int open_tree(int dir, const char *path, unsigned flags)
{
    return (int)syscall(SYS_open_tree, dir, path, flags);
}
static inline int move_mount(int from, const char *from_path, int to, const char *to_path,
                             unsigned flags)
{
    return (int)syscall(SYS_move_mount, from, from_path, to, to_path, flags);
}
static inline int mount_setattr(int dir, const char *path, unsigned flags, struct mount_attr *a,
                                size_t size)
{
    return (int)syscall(SYS_mount_setattr, dir, path, flags, a, size);
}
static inline int close_range(unsigned first, unsigned last, int flags)
{
    return (int)syscall(SYS_close_range, first, last, flags);
}
static inline int renameat2(int from, const char *from_path, int to, const char *to_path,
                            unsigned flags)
{
    return (int)syscall(SYS_renameat2, from, from_path, to, to_path, flags);
}
static inline int statx(int dir, const char *path, int flags, unsigned mask, struct statx *out)
{
    return (int)syscall(SYS_statx, dir, path, flags, mask, out);
}

// As glibc has them: NULL for a number without a name.
const char *strerrorname_np(int code);

// What the static libraries have to be called before main: it asks the processor questions. It is put
// off to the first use of a library that cannot do without.
void musl_constructors(void);
#define LIBRARY_CONSTRUCTORS() musl_constructors()

// musl gives memory back by itself.
static inline int malloc_trim(size_t keep)
{
    (void)keep;
    return 0;
}
