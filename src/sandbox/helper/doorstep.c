// SPDX-License-Identifier: Apache-2.0
// The doorstep: what a new container's first process executes before the program. While that
// process still is dewar, a program whose interpreter is /proc/self/exe would get hold of the file
// that dewar was started from, on the host's disk, and could write it once nobody executes it. From
// here it gets hold of this: a copy that every container has for itself, in its scratch tmpfs, and
// that nobody executes again.
//
// A few pages and no C library, because every start pays for it: a tenth of what executing dewar
// itself from a read-only copy costs. It changes nothing of what was set up, it only executes.
//
//   argv[0]   "STATUS-FD CANDIDATES INIT", then the candidates, then the program's own arguments
#include "sandbox/helper/bare.h"

static long execute_call(long nr, long a, long b, long c, long d)
{
    return call(nr, a, b, c, d, 0);
}

#include "sandbox/execute.h"

// -1: no number there. Whoever calls us by hand is told nothing and does no harm.
static long number(const char **at)
{
    long n = 0;
    const char *p = *at;
    if (*p < '0' || *p > '9') return -1;
    while (*p >= '0' && *p <= '9' && n < 1 << 20) n = n * 10 + (*p++ - '0');
    while (*p == ' ') p++;
    *at = p;
    return n;
}

__attribute__((noreturn)) void begin(long *stack)
{
    long argc = stack[0];
    char **argv = (char **)(stack + 1);
    const char *head = argc > 0 ? argv[0] : "";
    long status = number(&head), n = number(&head), init = number(&head);
    if (status < 3 || n < 1 || init < 0 || n + (init ? 3 : 1) >= argc) leave(125);
    struct execute x = {.candidates = argv + 1,
                        .n = (size_t)n,
                        .argv = argv + 1 + n,
                        .envp = argv + argc + 1,
                        .init = init,
                        .status_fd = (int)status};
    if (execute_call(__NR_fcntl, status, F_SETFD, FD_CLOEXEC, 0) == 0) execute_all(&x);
    // A person's own seccomp profile may forbid that. The program must not inherit the socket, so a
    // failure is told on stderr instead.
    if (execute_call(__NR_close, status, 0, 0, 0) != 0) leave(125);
    int code = ENOENT;
    for (long i = 0; i < n && (code == ENOENT || code == ENOTDIR || code == EACCES); i++)
        code = execute_one(&x, x.candidates[i]);
    leave_unexecuted(code, x.candidates[0]);
}
