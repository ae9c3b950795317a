// SPDX-License-Identifier: Apache-2.0
// A map from text to pointer that iterates in byte order of its keys (never hash order, so what is
// written from it is the same every time). Keys are copied; values are borrowed, or freed by
// map_fini when `free_value` is set. Adding in key order is cheap; random order costs a memmove.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct map_item {
    char *key;
    void *value;
};
struct map {
    struct map_item *p;
    size_t n;
    size_t cap;
    void (*free_value)(void *);
};

void map_set(struct map *m, const char *key, void *value);  // replaces (and frees) an older value
void *map_get(const struct map *m, const char *key);        // NULL when absent
bool map_has(const struct map *m, const char *key);
void map_del(struct map *m, const char *key);
void map_fini(struct map *m);
static inline void own_map(struct map *m)
{
    map_fini(m);
}
