// SPDX-License-Identifier: Apache-2.0
// Ownership on one line: `own(fd) int fd = -1;` closes at scope end, so an early return is safe.
// Hand over with take_fd(fd) / take_ptr(p), which empty the variable.
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define own(what) __attribute__((cleanup(own_##what)))

static inline void own_free(void *p)
{
    free(*(void **)p);
}
static inline void own_fd(int *fd)
{
    if (*fd >= 0) close(*fd);
}
static inline void own_dir(DIR **d)
{
    if (*d) closedir(*d);
}
static inline void own_file(FILE **f)
{
    if (*f) fclose(*f);
}

static inline int own_take_fd(int *fd)
{
    int v = *fd;
    *fd = -1;
    return v;
}
#define take_fd(fd) own_take_fd(&(fd))
#define take_ptr(p)            \
    (__extension__({           \
        __typeof__(p) own_p_ = (p); \
        (p) = NULL;            \
        own_p_;                \
    }))
