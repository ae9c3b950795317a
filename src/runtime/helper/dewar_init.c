// SPDX-License-Identifier: Apache-2.0
// dewar-init: process 1 for programs that are not made to be one (`run --init`). Starts the
// program, passes every signal on to it, reaps orphans, and ends as the program ends. It lives in
// containers of any image, so it uses no C library and nothing but system calls: a static file of a
// few pages.
//
//   dewar-init PATH ARGV0 [ARG...]
#include <linux/wait.h>
#include <asm/unistd.h>
#include <stddef.h>
#include <stdint.h>

#define SIG_BLOCK_ 0
#define SIG_SETMASK_ 2
#define SIGCHLD_ 17
#define EINTR_ 4
#define ENOENT_ 2
#define TIOCSPGRP_ 0x5410

#if defined(__x86_64__)
static long call(long nr, long a, long b, long c, long d, long f)
{
    long ret;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = f;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return ret;
}
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tandq $-16, %rsp\n\tcall "
        "begin\n");
#elif defined(__aarch64__)
static long call(long nr, long a, long b, long c, long d, long f)
{
    register long x8 __asm__("x8") = nr;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
                     : "memory");
    return x0;
}
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x0, sp\n\tbl begin\n");
#else
#error "write the system call for this machine"
#endif

__attribute__((noreturn)) void begin(long *stack);

static _Noreturn void leave(int code)
{
    for (;;) call(__NR_exit_group, code, 0, 0, 0, 0);
}

static void complain(const char *what, const char *name)
{
    const char *parts[] = {"dewar: error: cannot run '", name, "': ", what, "\n"};
    for (int i = 0; i < 5; i++) {
        long n = 0;
        while (parts[i][n]) n++;
        call(__NR_write, 2, (long)parts[i], n, 0, 0);
    }
}

static _Noreturn void start_program(char **argv, char **envp)
{
    uint64_t none = 0;
    int me = (int)call(__NR_getpid, 0, 0, 0, 0, 0);
    // A group of its own, in front of the terminal where there is one.
    call(__NR_setpgid, 0, 0, 0, 0, 0);
    call(__NR_ioctl, 0, TIOCSPGRP_, (long)&me, 0, 0);
    call(__NR_rt_sigprocmask, SIG_SETMASK_, (long)&none, 0, 8, 0);
    long code = -call(__NR_execve, (long)argv[1], (long)(argv + 2), (long)envp, 0, 0);
    complain(code == ENOENT_ ? "it or its interpreter is not there" : "it cannot be executed",
             argv[2]);
    leave(code == ENOENT_ ? 127 : 126);
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
