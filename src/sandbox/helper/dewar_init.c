// SPDX-License-Identifier: Apache-2.0
// dewar-init: process 1 for programs that are not made to be one (`run --init`). Starts the
// program, passes every signal on to it, reaps orphans, and ends as the program ends. It lives in
// containers of any image, so it uses no C library and nothing but system calls: a static file of a
// few pages.
//
//   dewar-init PATH ARGV0 [ARG...]
#include <linux/wait.h>

#include "sandbox/helper/bare.h"

#define SIG_BLOCK_ 0
#define SIG_SETMASK_ 2
#define SIGCHLD_ 17
#define EINTR_ 4
#define TIOCSPGRP_ 0x5410

static _Noreturn void start_program(char **argv, char **envp)
{
    uint64_t none = 0;
    int me = (int)call(__NR_getpid, 0, 0, 0, 0, 0);
    // A group of its own, in front of the terminal where there is one.
    call(__NR_setpgid, 0, 0, 0, 0, 0);
    call(__NR_ioctl, 0, TIOCSPGRP_, (long)&me, 0, 0);
    call(__NR_rt_sigprocmask, SIG_SETMASK_, (long)&none, 0, 8, 0);
    long code = -call(__NR_execve, (long)argv[1], (long)(argv + 2), (long)envp, 0, 0);
    leave_unexecuted(code, argv[2]);
}

// Reaps all that has ended; leaves with the program's code when it is among them.
static void reap(long program)
{
    for (;;) {
        int status = 0;
        long pid = call(__NR_wait4, -1, (long)&status, WNOHANG, 0, 0);
        if (pid <= 0) return;
        if (pid == program) leave(status & 0x7f ? 128 + (status & 0x7f) : (status >> 8) & 0xff);
    }
}

__attribute__((noreturn)) void begin(long *stack)
{
    long argc = stack[0];
    char **argv = (char **)(stack + 1);
    char **envp = argv + argc + 1;
    uint64_t all = ~(uint64_t)0;
    if (argc < 3) leave(125);
    call(__NR_rt_sigprocmask, SIG_BLOCK_, (long)&all, 0, 8, 0);
    long program = call(__NR_clone, SIGCHLD_, 0, 0, 0, 0);
    if (program < 0) leave(125);
    if (program == 0) start_program(argv, envp);
    for (;;) {
        long sig = call(__NR_rt_sigtimedwait, (long)&all, 0, 0, 8, 0);
        if (sig == SIGCHLD_)
            reap(program);
        else if (sig > 0)
            call(__NR_kill, program, sig, 0, 0, 0);
        else if (sig != -EINTR_)
            leave(125);
    }
}
