// SPDX-License-Identifier: Apache-2.0
// memcpy and memmove in place of musl's, which begin every copy with a string instruction: for the few
// bytes that most copies are about that takes ten times as long as moving them, a third of `ps`. They share
// a file because musl's memmove is a second entry of its memcpy.
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)

// Nothing in here may be turned into a call of what it is.
#if defined(__clang__)
#define OWN __attribute__((no_builtin("memcpy", "memmove")))
#else
#define OWN __attribute__((optimize("no-tree-loop-distribute-patterns")))
#endif
#define STRING 2048 // from here on the string instruction is the fastest

typedef char block __attribute__((vector_size(16), aligned(1), may_alias));
typedef uint64_t eight __attribute__((aligned(1), may_alias));
typedef uint32_t four __attribute__((aligned(1), may_alias));
typedef uint16_t two __attribute__((aligned(1), may_alias));

// At most 16 bytes: all are read before one is written.
OWN static inline void few(char *to, const char *from, size_t n)
{
    if (n >= 8) {
        uint64_t a = *(const eight *)from, b = *(const eight *)(from + n - 8);
        *(eight *)to = a;
        *(eight *)(to + n - 8) = b;
    } else if (n >= 4) {
        uint32_t a = *(const four *)from, b = *(const four *)(from + n - 4);
        *(four *)to = a;
        *(four *)(to + n - 4) = b;
    } else if (n >= 2) {
        uint16_t a = *(const two *)from, b = *(const two *)(from + n - 2);
        *(two *)to = a;
        *(two *)(to + n - 2) = b;
    } else if (n) {
        *to = *from;
    }
}

// Also right for ranges that overlap, where `to` is below `from`.
OWN static inline void forward(char *to, const char *from, size_t n)
{
    if (n >= STRING) {
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
        return;
    }
    block last = *(const block *)(from + n - 16);
    char *end = to + n - 16;
    for (; to < end; to += 16, from += 16) *(block *)to = *(const block *)from;
    *(block *)end = last;
}

OWN static inline void backward(char *to, const char *from, size_t n)
{
    block first = *(const block *)from;
    for (; n > 16; n -= 16) *(block *)(to + n - 16) = *(const block *)(from + n - 16);
    *(block *)to = first;
}

OWN void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    if (n <= 16)
        few(to, from, n);
    else
        forward(to, from, n);
    return to;
}

OWN void *memmove(void *to, const void *from, size_t n)
{
    if (n <= 16)
        few(to, from, n);
    else if ((uintptr_t)to - (uintptr_t)from >= n)
        forward(to, from, n);
    else
        backward(to, from, n);
    return to;
}

#endif
