// SPDX-License-Identifier: Apache-2.0
// What the programs of ours that run inside containers stand on: no C library, only system calls.
// Each is one source file with a function begin() that gets the stack as the kernel left it.
#pragma once

#include <asm/unistd.h>
#include <stddef.h>
#include <stdint.h>

#define BARE_ENOENT 2

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

static inline _Noreturn void leave(int code)
{
    for (;;) call(__NR_exit_group, code, 0, 0, 0, 0);
}

static inline void complain(const char *what, const char *name)
{
    const char *parts[] = {"dewar: error: cannot run '", name, "': ", what, "\n"};
    for (int i = 0; i < 5; i++) {
        long n = 0;
        while (parts[i][n]) n++;
        call(__NR_write, 2, (long)parts[i], n, 0, 0);
    }
}

// Says why execve failed and ends with the status that a shell gives then.
static inline _Noreturn void leave_unexecuted(long code, const char *name)
{
    complain(code == BARE_ENOENT ? "it or its interpreter is not there" : "it cannot be executed",
             name);
    leave(code == BARE_ENOENT ? 127 : 126);
}
