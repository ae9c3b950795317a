// SPDX-License-Identifier: Apache-2.0
// Text, views, lists of text and secrets. Out of memory aborts: no caller could go on usefully.
#include "base/str.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/err.h"
#include "base/vec.h"

void *mem_alloc(size_t n)
{
    void *p = calloc(1, n ? n : 1);
    if (!p) abort();
    return p;
}

void *mem_grow(void *p, size_t n)
{
    p = realloc(p, n ? n : 1);
    if (!p) abort();
    return p;
}

bool sv_eqz(struct sv a, const char *z)
{
    return sv_eq(a, sv_of(z));
}

bool sv_eq_nocase(struct sv a, struct sv b)
{
    return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

bool sv_starts(struct sv a, const char *prefix)
{
    size_t n = strlen(prefix);
    return a.n >= n && memcmp(a.p, prefix, n) == 0;
}

bool sv_ends(struct sv a, const char *suffix)
{
    size_t n = strlen(suffix);
    return a.n >= n && memcmp(a.p + a.n - n, suffix, n) == 0;
}

int sv_cmp(struct sv a, struct sv b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    if (c) return c;
    return a.n < b.n ? -1 : a.n > b.n;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct sv sv_trim(struct sv a)
{
    while (a.n && is_blank(a.p[0])) a.p++, a.n--;
    while (a.n && is_blank(a.p[a.n - 1])) a.n--;
    return a;
}

struct sv sv_from(struct sv a, size_t start)
{
    if (start > a.n) start = a.n;
    return (struct sv){a.p + start, a.n - start};
}

struct sv sv_part(struct sv a, size_t start, size_t n)
{
    a = sv_from(a, start);
    if (a.n > n) a.n = n;
    return a;
}

long sv_find(struct sv a, char c)
{
    const char *q = a.n ? memchr(a.p, c, a.n) : NULL;
    return q ? (long)(q - a.p) : -1;
}

long sv_rfind(struct sv a, char c)
{
    const char *q = a.n ? memrchr(a.p, c, a.n) : NULL;
    return q ? (long)(q - a.p) : -1;
}

struct sv sv_cut(struct sv *rest, char sep)
{
    long at = sv_find(*rest, sep);
    struct sv head = *rest;
    if (at < 0) {
        *rest = (struct sv){NULL, 0};
        return head;
    }
    head.n = (size_t)at;
    *rest = sv_from(*rest, (size_t)at + 1);
    return head;
}

char *sv_dup(struct sv a)
{
    char *p = mem_alloc(a.n + 1);
    if (a.n) memcpy(p, a.p, a.n);
    return p;
}

// Length of the UTF-8 character at p (n bytes left), 0 when it is not valid; *cp gets its number.
static size_t utf8_at(const unsigned char *p, size_t n, uint32_t *cp)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = p[0] < 0x80 ? 1 : p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : p[0] >= 0xC2 ? 2 : 0;
    if (len == 0 || len > n || p[0] > 0xF4) return 0;
    uint32_t v = len == 1 ? p[0] : p[0] & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
        v = v << 6 | (p[i] & 0x3Fu);
    }
    if (v < least[len] || v > 0x10FFFF || (v >= 0xD800 && v <= 0xDFFF)) return 0;
    *cp = v;
    return len;
}

void sv_copy(struct sv a, char *out, size_t size)
{
    size_t n = a.n < size ? a.n : size - 1;
    if (n) memcpy(out, a.p, n);
    out[n] = '\0';
}

bool sv_is_utf8(struct sv a)
{
    uint32_t cp;
    for (size_t i = 0; i < a.n;) {
        size_t len = utf8_at((const unsigned char *)a.p + i, a.n - i, &cp);
        if (!len) return false;
        i += len;
    }
    return true;
}

void str_init(struct str *s, size_t max)
{
    *s = (struct str){.max = max};
}

void str_fini(struct str *s)
{
    free(s->p);
    *s = (struct str){0};
}

char *str_room(struct str *s, size_t n)
{
    size_t max = s->max ? s->max : STR_MAX_DEFAULT;
    if (s->overflow || n > max - s->n) {
        s->overflow = true;
        return NULL;
    }
    if (s->n + n + 1 > s->cap) {
        size_t cap = s->cap ? s->cap : 64;
        while (cap < s->n + n + 1) cap *= 2;
        s->p = mem_grow(s->p, cap);
        s->cap = cap;
    }
    return s->p + s->n;
}

void str_claim(struct str *s, const char *end)
{
    s->n = (size_t)(end - s->p);
    s->p[s->n] = '\0';
}

void str_add(struct str *s, struct sv v)
{
    char *p = str_room(s, v.n);
    if (!p) return;
    if (v.n) memcpy(p, v.p, v.n);
    str_claim(s, p + v.n);
}

void str_addz(struct str *s, const char *z)
{
    str_add(s, sv_of(z));
}

void str_addc(struct str *s, char c)
{
    str_add(s, (struct sv){&c, 1});
}

void str_vaddf(struct str *s, const char *fmt, va_list ap)
{
    char text[256];
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    if (n < 0) abort();
    if ((size_t)n < sizeof text) {
        str_add(s, (struct sv){text, (size_t)n});
    } else {
        char *p = str_room(s, (size_t)n);
        if (p && vsnprintf(p, (size_t)n + 1, fmt, again) == n) str_claim(s, p + n);
    }
    va_end(again);
}

void str_addf(struct str *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    str_vaddf(s, fmt, ap);
    va_end(ap);
}

static bool is_hostile(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || cp == 0x061C || cp == 0x200E || cp == 0x200F ||
           (cp >= 0x202A && cp <= 0x202E) || (cp >= 0x2066 && cp <= 0x2069) || cp == 0xFEFF;
}

static size_t plain_run(struct sv v, size_t at)
{
    size_t end = at;
    while (end < v.n && v.p[end] >= ' ' && v.p[end] < 0x7F) end++;
    return end - at;
}

void str_add_escaped(struct str *s, struct sv v)
{
    for (size_t i = 0; i < v.n;) {
        size_t plain = plain_run(v, i);
        if (plain) {
            str_add(s, sv_part(v, i, plain));
            i += plain;
            continue;
        }
        uint32_t cp = 0;
        size_t len = utf8_at((const unsigned char *)v.p + i, v.n - i, &cp);
        if (len && (!is_hostile(cp) || cp == '\t')) {
            str_add(s, sv_part(v, i, len));
        } else {
            if (!len) len = 1;
            for (size_t k = 0; k < len; k++)
                str_addf(s, "\\x%02x", (unsigned)(unsigned char)v.p[i + k]);
        }
        i += len;
    }
}

void str_clear(struct str *s)
{
    s->n = 0;
    s->overflow = false;
    if (s->p) s->p[0] = '\0';
}

void str_cut(struct str *s, size_t n)
{
    if (n >= s->n) return;
    s->n = n;
    s->p[n] = '\0';
}

char *str_take(struct str *s)
{
    char *p = s->p ? s->p : mem_alloc(1);
    *s = (struct str){.max = s->max};
    return p;
}

const char *str_z(const struct str *s)
{
    return s->p ? s->p : "";
}

int str_check(const struct str *s, struct err *e)
{
    if (!s->overflow) return 0;
    return err_set(e, ERR_LIMIT, "text is longer than %zu bytes",
                   s->max ? s->max : STR_MAX_DEFAULT);
}

char *str_dup(const char *z)
{
    return z ? sv_dup(sv_of(z)) : NULL;
}

char *str_fmt(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = NULL;
    if (vasprintf(&text, fmt, ap) < 0) abort();
    va_end(ap);
    return text;
}

void secret_fini(struct secret *s)
{
    if (s->p) explicit_bzero(s->p, s->n);
    free(s->p);
    *s = (struct secret){0};
}

void *vec_grow(void *p, size_t elem, size_t n, size_t *cap)
{
    size_t want = n < 8 ? 8 : n * 2;
    if (want > SIZE_MAX / elem) abort();
    *cap = want;
    return mem_grow(p, want * elem);
}

void strv_add(struct strv *v, const char *z)
{
    strv_take(v, str_dup(z));
}

void strv_take(struct strv *v, char *z)
{
    vec_push(v, z);
}

void strv_add_all(struct strv *v, const struct strv *from)
{
    for (size_t i = 0; i < from->n; i++) strv_add(v, from->p[i]);
}

void strv_fini(struct strv *v)
{
    for (size_t i = 0; i < v->n; i++) free(v->p[i]);
    free(v->p);
    *v = (struct strv){0};
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void strv_sort(struct strv *v)
{
    if (v->n) qsort(v->p, v->n, sizeof *v->p, by_bytes);
}

long strv_find(const struct strv *v, const char *z)
{
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->p[i], z) == 0) return (long)i;
    return -1;
}
