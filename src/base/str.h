// SPDX-License-Identifier: Apache-2.0
// Text. `struct str` grows up to a maximum given at init; passing it sets `overflow` and drops the
// bytes, and the owner checks once at the end with str_check. `struct sv` is a borrowed view.
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct err;

struct sv {
    const char *p;
    size_t n;
};

#define SV(lit) ((struct sv){(lit), sizeof(lit) - 1})

static inline struct sv sv_of(const char *z)
{
    return (struct sv){z, z ? strlen(z) : 0};
}
static inline bool sv_eq(struct sv a, struct sv b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
bool sv_eqz(struct sv a, const char *z);
bool sv_eq_nocase(struct sv a, struct sv b);
bool sv_starts(struct sv a, const char *prefix);
bool sv_ends(struct sv a, const char *suffix);
int sv_cmp(struct sv a, struct sv b);          // byte order, shorter first
struct sv sv_trim(struct sv a);                // blanks, tabs, CR, LF at both ends
struct sv sv_from(struct sv a, size_t start);  // clamped
struct sv sv_part(struct sv a, size_t start, size_t n);
// Cuts *rest at the first `sep`: returns what stood before and moves *rest behind it. When there is
// no `sep` returns all and sets rest->p to NULL.
struct sv sv_cut(struct sv *rest, char sep);
long sv_find(struct sv a, char c);   // index or -1
long sv_rfind(struct sv a, char c);  // index or -1
char *sv_dup(struct sv a);           // heap, NUL-terminated; aborts when out of memory
void sv_copy(struct sv a, char *out, size_t size);  // cut to size - 1 bytes, NUL-terminated
bool sv_is_utf8(struct sv a);

struct str {
    char *p;  // always NUL-terminated once something was added
    size_t n;
    size_t cap;
    size_t max;  // 0 means STR_MAX_DEFAULT
    bool overflow;
};

#define STR_MAX_DEFAULT ((size_t)64 << 20)

void str_init(struct str *s, size_t max);  // an all-zero struct is valid too
void str_fini(struct str *s);
static inline void own_str(struct str *s)
{
    str_fini(s);
}
void str_add(struct str *s, struct sv v);
// Room for n bytes behind the text, to be written and then claimed by str_claim. NULL: beyond the
// limit, which counts as an overflow.
char *str_room(struct str *s, size_t n);
void str_claim(struct str *s, const char *end); // the text ends there now
void str_addz(struct str *s, const char *z);
void str_addc(struct str *s, char c);
void str_addf(struct str *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void str_vaddf(struct str *s, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
// Adds outside text with control bytes, C1, bidi marks and bad UTF-8 shown as \xNN: safe to print.
void str_add_escaped(struct str *s, struct sv v);
void str_clear(struct str *s);  // keeps the memory
void str_cut(struct str *s, size_t n);
char *str_take(struct str *s);          // heap text ("" when empty), s is empty afterwards
const char *str_z(const struct str *s);  // "" when empty
static inline struct sv str_sv(const struct str *s)
{
    return (struct sv){s->p ? s->p : "", s->n};
}
int str_check(const struct str *s, struct err *e);  // -1 with ERR_LIMIT when bytes were dropped

char *str_dup(const char *z);                                              // NULL stays NULL
char *str_fmt(const char *fmt, ...) __attribute__((format(printf, 1, 2)));  // heap
void *mem_alloc(size_t n);                                                 // zeroed, aborts
void *mem_grow(void *p, size_t n);

// A text that must not leak: never formatted, wiped when it goes.
struct secret {
    char *p;
    size_t n;
};
void secret_fini(struct secret *s);
static inline void own_secret(struct secret *s)
{
    secret_fini(s);
}
