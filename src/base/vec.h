// SPDX-License-Identifier: Apache-2.0
// Growing arrays, typed per element: `VEC(int) v = {0}; vec_push(&v, 3);`. Elements move when it
// grows. Out of memory aborts.
#pragma once

#include <stddef.h>
#include <stdlib.h>

#define VEC(type) \
    struct {      \
        type *p;  \
        size_t n; \
        size_t cap; \
    }

void *vec_grow(void *p, size_t elem, size_t n, size_t *cap);

#define vec_push(v, ...)                                                            \
    do {                                                                            \
        if ((v)->n == (v)->cap)                                                     \
            (v)->p = vec_grow((v)->p, sizeof *(v)->p, (v)->n, &(v)->cap);           \
        (v)->p[(v)->n++] = (__VA_ARGS__);                                           \
    } while (0)
#define vec_add(v) /* pointer to a new zeroed element */                             \
    (__extension__({                                                                \
        if ((v)->n == (v)->cap)                                                     \
            (v)->p = vec_grow((v)->p, sizeof *(v)->p, (v)->n, &(v)->cap);           \
        memset(&(v)->p[(v)->n], 0, sizeof *(v)->p);                                 \
        &(v)->p[(v)->n++];                                                          \
    }))
#define vec_fini(v) (free((v)->p), (v)->p = NULL, (v)->n = (v)->cap = 0)
#define vec_each(it, v) \
    for (__typeof__((v)->p + 0) it = (v)->p; (v)->n > 0 && it < (v)->p + (v)->n; it++)

// The most used one: a list of owned strings.
struct strv {
    char **p;
    size_t n;
    size_t cap;
};
void strv_add(struct strv *v, const char *z);  // copies
void strv_take(struct strv *v, char *z);       // owns z
void strv_add_all(struct strv *v, const struct strv *from);
void strv_fini(struct strv *v);
void strv_sort(struct strv *v);
long strv_find(const struct strv *v, const char *z);  // index or -1
static inline void own_strv(struct strv *v)
{
    strv_fini(v);
}
