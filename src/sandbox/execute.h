// SPDX-License-Identifier: Apache-2.0
// The last step of every child: executing what was asked for, looking along PATH, and saying what
// was wrong with it. Compiled twice: into the program (enter_program.c) for what already runs from a copy
// of it, and into the doorstep, which has no C library. So it is written on one function that its
// includer defines before, a system call that gives -errno:
//
//   static long execute_call(long nr, long a, long b, long c, long d);
#pragma once

#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/plan.h"

struct execute {
    char **candidates;  // paths to try, in order
    size_t n;
    char **argv, **envp;
    bool init;          // argv[0] is dewar-init, argv[1] the place for what it shall execute
    int status_fd;
};

static inline int execute_stat(const char *path, struct stat *st)
{
    return (int)-execute_call(__NR_newfstatat, AT_FDCWD, (long)path, (long)st, 0);
}

// The first bytes of what could not be executed tell a missing interpreter from a foreign machine.
static inline _Noreturn void execute_fail(const struct execute *x, int code, size_t index)
{
    static struct report r;
    static struct stat st;
    r.kind = REPORT_FAIL;
    r.step = STEP_EXEC;
    r.index = (uint32_t)index;
    if (index < x->n) {
        const char *path = x->candidates[index];
        r.exists = execute_stat(path, &st) == 0;
        if (r.exists && S_ISDIR(st.st_mode)) code = EISDIR;
        long fd = -1, n = 0;
        if (r.exists && S_ISREG(st.st_mode))
            fd = execute_call(__NR_openat, AT_FDCWD, (long)path, O_RDONLY | O_NONBLOCK | O_CLOEXEC,
                              0);
        if (fd >= 0) n = execute_call(__NR_read, fd, (long)r.head, sizeof r.head, 0);
        r.head_n = n > 0 ? (uint32_t)n : 0;
    }
    r.code = code;
    execute_call(__NR_write, x->status_fd, (long)&r, sizeof r, 0);
    for (;;) execute_call(__NR_exit_group, 125, 0, 0, 0);
}

// Comes back only when that failed, with errno.
static inline int execute_one(const struct execute *x, char *path)
{
    if (!x->init)
        return (int)-execute_call(__NR_execve, (long)path, (long)x->argv, (long)x->envp, 0);
    // dewar-init gets the path as its first argument and executes exactly that.
    static struct stat st;
    int code = execute_stat(path, &st);
    if (code) return code;
    if (S_ISDIR(st.st_mode)) return EACCES;
    code = (int)-execute_call(__NR_faccessat, AT_FDCWD, (long)path, X_OK, 0);
    if (code) return code;
    x->argv[1] = path;
    return (int)-execute_call(__NR_execve, (long)x->argv[0], (long)x->argv, (long)x->envp, 0);
}

// What to report when no candidate would do: the one that was seen, or the whole of PATH.
static inline _Noreturn void execute_none(const struct execute *x, int seen, size_t at)
{
    execute_fail(x, seen, seen == ENOENT && x->n > 1 ? x->n : at);
}

static inline _Noreturn void execute_all(const struct execute *x)
{
    int seen = ENOENT;
    size_t at = 0;
    static struct stat st;
    for (size_t i = 0; i < x->n; i++) {
        int code = execute_one(x, x->candidates[i]);
        bool absent = code == ENOENT && execute_stat(x->candidates[i], &st) != 0;
        if (absent || code == ENOTDIR) continue;
        if (code == EACCES && x->n > 1) {  // as a shell: go on looking, remember it
            seen = code;
            at = i;
            continue;
        }
        execute_fail(x, code, i);
    }
    execute_none(x, seen, at);
}
