// SPDX-License-Identifier: Apache-2.0
// A table that is at most half full; a row lies at the first free place from where its numbers say.
#include "base/links.h"

#include <stdlib.h>

#include "base/str.h"

#define SIZE_MIN ((size_t)64)  // a power of two, as all sizes

// Numbers of inodes are often neighbours or multiples: every bit must reach the low ones.
static size_t place_of(const struct links *l, dev_t dev, ino_t ino)
{
    uint64_t x = (uint64_t)ino ^ (uint64_t)dev << 32 ^ (uint64_t)dev >> 32;
    x = (x ^ x >> 31) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 29) * UINT64_C(0xd6e8feb86659fd93);
    return (size_t)(x ^ x >> 32) & (l->size - 1);
}

// The row of this file, or the free one where it belongs.
static struct links_row *row_of(struct links *l, dev_t dev, ino_t ino)
{
    for (size_t i = place_of(l, dev, ino);; i = (i + 1) & (l->size - 1)) {
        struct links_row *row = &l->p[i];
        l->looks++;
        if (!row->name || (row->ino == ino && row->dev == dev)) return row;
    }
}

static void grow(struct links *l)
{
    struct links old = *l;
    l->size = old.size ? old.size * 2 : SIZE_MIN;
    l->p = mem_alloc(l->size * sizeof *l->p);
    for (size_t i = 0; i < old.size; i++)
        if (old.p[i].name) *row_of(l, old.p[i].dev, old.p[i].ino) = old.p[i];
    free(old.p);
}

char *links_first(struct links *l, dev_t dev, ino_t ino, const char *name)
{
    if (l->n * 2 >= l->size) grow(l);
    struct links_row *row = row_of(l, dev, ino);
    if (row->name) return row->name;
    *row = (struct links_row){dev, ino, str_dup(name)};
    l->n++;
    return NULL;
}

void links_fini(struct links *l)
{
    for (size_t i = 0; i < l->size; i++) free(l->p[i].name);
    free(l->p);
    *l = (struct links){0};
}
