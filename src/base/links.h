// SPDX-License-Identifier: Apache-2.0
// Files with several names, as a walk over a tree meets them: which name of a file came first. Found
// by device and inode number in a time that does not depend on how many there are.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct links_row {
    dev_t dev;
    ino_t ino;
    char *name;  // NULL: the row is free
};
struct links {  // all zero: empty
    struct links_row *p;
    size_t n, size;
    uint64_t looks;  // rows looked at so far
};

// The name with which this file was met first; NULL: it is this one, of which a copy is kept.
char *links_first(struct links *l, dev_t dev, ino_t ino, const char *name);
void links_fini(struct links *l);
static inline void own_links(struct links *l)
{
    links_fini(l);
}
