// SPDX-License-Identifier: Apache-2.0
// A sorted array of pairs. Small, predictable, and its order is the order of its keys.
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "base/vec.h"

// Index of the first item whose key is not below `key`; the common case, appending in order, is
// answered without a search.
static size_t lower_bound(const struct map *m, const char *key)
{
    if (m->n && strcmp(m->p[m->n - 1].key, key) < 0) return m->n;
    size_t lo = 0, hi = m->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (strcmp(m->p[mid].key, key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool is_at(const struct map *m, size_t i, const char *key)
{
    return i < m->n && strcmp(m->p[i].key, key) == 0;
}

void map_set(struct map *m, const char *key, void *value)
{
    size_t i = lower_bound(m, key);
    if (is_at(m, i, key)) {
        if (m->free_value && m->p[i].value != value) m->free_value(m->p[i].value);
        m->p[i].value = value;
        return;
    }
    if (m->n == m->cap) m->p = vec_grow(m->p, sizeof *m->p, m->n, &m->cap);
    memmove(m->p + i + 1, m->p + i, (m->n - i) * sizeof *m->p);
    m->p[i] = (struct map_item){str_dup(key), value};
    m->n++;
}

void *map_get(const struct map *m, const char *key)
{
    size_t i = lower_bound(m, key);
    return is_at(m, i, key) ? m->p[i].value : NULL;
}

bool map_has(const struct map *m, const char *key)
{
    return is_at(m, lower_bound(m, key), key);
}

void map_del(struct map *m, const char *key)
{
    size_t i = lower_bound(m, key);
    if (!is_at(m, i, key)) return;
    free(m->p[i].key);
    if (m->free_value) m->free_value(m->p[i].value);
    memmove(m->p + i, m->p + i + 1, (m->n - i - 1) * sizeof *m->p);
    m->n--;
}

void map_fini(struct map *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->p[i].key);
        if (m->free_value) m->free_value(m->p[i].value);
    }
    free(m->p);
    *m = (struct map){.free_value = m->free_value};
}
