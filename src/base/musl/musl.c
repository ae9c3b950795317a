// SPDX-License-Identifier: Apache-2.0
// What the program's libraries and dewar itself find in glibc and not in musl 1.2.3. The libraries are
// Debian's static archives, compiled against glibc with _FORTIFY_SOURCE: of what they call, musl lacks
// the checked forms below and nothing else, or the program would not link. The size that a checked form
// is told is kept to.
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/errno_names.h"

#define FORMAT(at, args) __attribute__((format(printf, at, args)))
int __vsnprintf_chk(char *out, size_t n, int flag, size_t room, const char *format, va_list args)
    FORMAT(5, 0);
int __snprintf_chk(char *out, size_t n, int flag, size_t room, const char *format, ...)
    FORMAT(5, 6);
int __vfprintf_chk(FILE *out, int flag, const char *format, va_list args) FORMAT(3, 0);
int __fprintf_chk(FILE *out, int flag, const char *format, ...) FORMAT(3, 4);
void *__memcpy_chk(void *to, const void *from, size_t n, size_t room);
void *__memset_chk(void *to, int c, size_t n, size_t room);
char *__strncpy_chk(char *to, const char *from, size_t n, size_t room);
char *__strcat_chk(char *to, const char *from, size_t room);

#undef strncpy
#undef strcat

static void check(size_t wanted, size_t room)
{
    if (wanted > room) __builtin_trap();
}

int __vsnprintf_chk(char *out, size_t n, int flag, size_t room, const char *format, va_list args)
{
    (void)flag;
    check(n, room);
    return vsnprintf(out, n, format, args);
}

int __snprintf_chk(char *out, size_t n, int flag, size_t room, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = __vsnprintf_chk(out, n, flag, room, format, args);
    va_end(args);
    return rc;
}

int __vfprintf_chk(FILE *out, int flag, const char *format, va_list args)
{
    (void)flag;
    return vfprintf(out, format, args);
}

int __fprintf_chk(FILE *out, int flag, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int rc = __vfprintf_chk(out, flag, format, args);
    va_end(args);
    return rc;
}

void *__memcpy_chk(void *to, const void *from, size_t n, size_t room)
{
    check(n, room);
    return memcpy(to, from, n);
}

void *__memset_chk(void *to, int c, size_t n, size_t room)
{
    check(n, room);
    return memset(to, c, n);
}

char *__strncpy_chk(char *to, const char *from, size_t n, size_t room)
{
    check(n, room);
    return strncpy(to, from, n);
}

char *__strcat_chk(char *to, const char *from, size_t room)
{
    check(strlen(to) + strlen(from) + 1, room);
    return strcat(to, from);
}

// --- before main --------------------------------------------------------------------------------

extern void (*const __init_array_start[])(void), (*const __init_array_end[])(void);

// In place of musl's, which calls them at once. dewar itself has none.
__attribute__((visibility("hidden"))) void __libc_start_init(void);
void __libc_start_init(void)
{
}

void musl_constructors(void)
{
    static bool done;
    size_t n = (size_t)(__init_array_end - __init_array_start);
    for (size_t i = 0; i < n && !done; i++) __init_array_start[i]();
    done = true;
}

// --- signals ------------------------------------------------------------------------------------

// In place of musl's, which leave out 34 as well: for programs of glibc that is SIGRTMIN, and it goes
// through us to them.
int sigaddset(sigset_t *set, int sig)
{
    const unsigned bits = 8 * sizeof set->__bits[0];
    unsigned at = (unsigned)sig - 1;
    if (at >= 64) {
        errno = EINVAL;
        return -1;
    }
    set->__bits[at / bits] |= 1UL << at % bits;
    return 0;
}

int sigfillset(sigset_t *set)
{
    sigemptyset(set);
    for (int sig = 1; sig <= 64; sig++)
        if (sig != 32 && sig != 33) sigaddset(set, sig);
    return 0;
}

// --- words --------------------------------------------------------------------------------------

const char *strerrorname_np(int code)
{
    size_t n = sizeof error_names / sizeof *error_names;
    return code > 0 && (size_t)code < n ? error_names[code].name : NULL;
}

// In place of musl's: people search for the words that all other programs print.
char *strerror(int code)
{
    static char unknown[32];
    const char *text = strerrorname_np(code) ? error_names[code].text : unknown;
    if (text == unknown) snprintf(unknown, sizeof unknown, "Unknown error %d", code);
    char *out;
    memcpy(&out, &text, sizeof out); // the standard has no const here
    return out;
}
