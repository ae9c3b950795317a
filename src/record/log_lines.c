// SPDX-License-Identifier: Apache-2.0
// Whole lines of text to records of json-file, many bytes at a time: what most programs print, and what a
// program waits for that prints a lot.
#include "record/log_lines.h"

#include <stdint.h>

#include "record/log.h"

#if defined(__SSE2__)
#define BLOCK 16
typedef char block __attribute__((vector_size(BLOCK)));

// Bit n: byte n is not one that a JSON text takes as it is, 0x20 to 0x7e but for " and \.
static inline unsigned marks(const char *p)
{
    block x;
    memcpy(&x, p, sizeof x);
    return (unsigned)__builtin_ia32_pmovmskb128((x < 0x20) | (x == 0x7f) | (x == '"') | (x == '\\'));
}

static inline size_t first(unsigned marks)
{
    return (size_t)__builtin_ctz(marks);
}
#else
#define BLOCK 8
typedef uint64_t block;
#define ALL(byte) ((uint64_t)(byte)*0x0101010101010101U)

// The top bit of a byte that is below `least`, at most 0x80, and perhaps of bytes above such a one.
static inline uint64_t below(uint64_t eight, unsigned char least)
{
    return (eight - ALL(least)) & ~eight & ALL(0x80);
}

// As above, with the top bit of byte n; what is above the lowest mark is not to be relied on.
static inline uint64_t marks(const char *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return below(x, 0x20) | ((x | (x + ALL(1))) & ALL(0x80)) | below(x ^ ALL('"'), 1) |
           below(x ^ ALL('\\'), 1);
}

static inline size_t first(uint64_t marks)
{
    return (size_t)__builtin_ctzll(marks) / 8;
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "byte n has the bits from 8 * n on");
#endif

static inline bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

size_t log_plain_copy(char *to, struct sv v)
{
    size_t i = 0;
    for (; i + BLOCK <= v.n; i += BLOCK) {
        memcpy(to + i, v.p + i, BLOCK);
        if (marks(v.p + i)) return i + first(marks(v.p + i));
    }
    for (; i < v.n && is_plain((unsigned char)v.p[i]); i++) to[i] = v.p[i];
    return i;
}

char *log_copy(char *to, struct sv v)
{
    if (v.n < BLOCK) {
        for (size_t i = 0; i < v.n; i++) to[i] = v.p[i];
        return to + v.n;
    }
    for (size_t i = 0; i < v.n - BLOCK; i += BLOCK) memcpy(to + i, v.p + i, BLOCK);
    memcpy(to + v.n - BLOCK, v.p + v.n - BLOCK, BLOCK);
    return to + v.n;
}

// One line up to its "\n": the end of what was written; NULL when that is not in `v` or there is a byte
// before it that takes more thought. *out_n: its length.
static inline char *line(char *to, struct sv v, size_t *out_n)
{
    size_t at = 0;
    while (at < v.n) {
        size_t n = log_plain_copy(to, sv_from(v, at));
        at += n;
        to += n;
        if (at == v.n) return NULL;
        char c = v.p[at];
        if (c != '"' && c != '\\') {
            *out_n = at;
            return c == '\n' ? to : NULL;
        }
        *to++ = '\\';
        *to++ = c;
        at++;
    }
    return NULL;
}

size_t log_lines(struct sv bytes, struct sv begin, struct sv end, size_t max, struct str *out)
{
    size_t done = 0, n;
    if (begin.n != sizeof(uint64_t)) return 0;
    while (done < bytes.n) {
        struct sv rest = sv_from(bytes, done);
        if (rest.n > LOG_LINE) rest.n = LOG_LINE;
        char *to = str_room(out, begin.n + 2 * LOG_LINE + BLOCK + end.n);
        if (!to) return done;
        memcpy(to, begin.p, sizeof(uint64_t));
        char *text_end = line(to + sizeof(uint64_t), rest, &n);
        if (!text_end) return done;
        char *record_end = log_copy(text_end, end);
        if ((size_t)(record_end - out->p) > max) return done;
        str_claim(out, record_end);
        done += n + 1;
    }
    return done;
}
