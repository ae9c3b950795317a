// SPDX-License-Identifier: Apache-2.0
// Tables of text. How wide a character is comes from a short table of ours: wcwidth(3) asks the
// locale, which we never set, and would call every non-ASCII name unprintable.
#include "base/table.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "base/own.h"

#define PADDING 3     // between columns
#define CELL_LEAST 10  // a column with its padding, as Docker prints it

void table_init(struct table *t, size_t columns)
{
    *t = (struct table){.columns = columns};
}

void table_fini(struct table *t)
{
    str_fini(&t->text);
    vec_fini(&t->cells);
}

void table_cell(struct table *t, const char *text)
{
    struct sv rest = sv_of(text);
    struct table_cell cell = {.start = t->text.n};
    while (rest.p) {  // a tab would break the columns
        str_add_escaped(&t->text, sv_cut(&rest, '\t'));
        if (rest.p) str_addc(&t->text, ' ');
    }
    cell.end = t->text.n;
    cell.width = table_width(sv_part(str_sv(&t->text), cell.start, cell.end - cell.start));
    vec_push(&t->cells, cell);
}

void table_cellf(struct table *t, const char *fmt, ...)
{
    own(str) struct str s = {0};
    va_list ap;
    va_start(ap, fmt);
    str_vaddf(&s, fmt, ap);
    va_end(ap);
    table_cell(t, str_z(&s));
}

void table_row(struct table *t, const char *const *texts)
{
    for (size_t i = 0; i < t->columns; i++) table_cell(t, texts[i]);
}

static void add_blanks(struct str *out, size_t n)
{
    while (n--) str_addc(out, ' ');
}

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

void table_print(const struct table *t, struct str *out)
{
    if (t->columns == 0) return;
    size_t *widths = mem_alloc(t->columns * sizeof *widths);
    size_t least = t->least ? t->least : CELL_LEAST;
    for (size_t i = 0; i < t->cells.n; i++)
        widths[i % t->columns] = most(widths[i % t->columns], t->cells.p[i].width);
    for (size_t i = 0; i < t->cells.n; i++) {
        const struct table_cell *c = &t->cells.p[i];
        size_t column = i % t->columns, widest = widths[column];
        bool last = column + 1 == t->columns, right = t->right_mask >> column & 1;
        if (right) add_blanks(out, widest - c->width);
        str_add(out, sv_part(str_sv(&t->text), c->start, c->end - c->start));
        if (last)
            str_addc(out, '\n');
        else
            add_blanks(out, most(widest + PADDING, least) - (right ? widest : c->width));
    }
    free(widths);
}

// --- widths -------------------------------------------------------------------------------------

struct range {
    uint32_t first, last;
};
// Takes no column: combining marks, joiners, variation selectors.
static const struct range zero[] = {
    {0x300, 0x36F},   {0x483, 0x489},   {0x591, 0x5BD},   {0x610, 0x61A},     {0x64B, 0x65F},
    {0x93C, 0x93C},   {0x941, 0x948},   {0xE31, 0xE31},   {0xE34, 0xE3A},     {0xE47, 0xE4E},
    {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF}, {0x200B, 0x200F}, {0x20D0, 0x20FF},   {0xFE00, 0xFE0F},
    {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF}, {0x1F3FB, 0x1F3FF}, {0xE0100, 0xE01EF},
};
// Takes two: East Asian wide and full width, emoji.
static const struct range wide[] = {
    {0x1100, 0x115F}, {0x231A, 0x231B}, {0x23E9, 0x23EC}, {0x2614, 0x2615},   {0x26A1, 0x26A1},
    {0x2705, 0x2705}, {0x274C, 0x274C}, {0x2E80, 0x303E}, {0x3041, 0x33FF},   {0x3400, 0x4DBF},
    {0x4E00, 0x9FFF}, {0xA000, 0xA4CF}, {0xA960, 0xA97F}, {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},
    {0xFE30, 0xFE6F}, {0xFF00, 0xFF60}, {0xFFE0, 0xFFE6}, {0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF},
    {0x1F900, 0x1F9FF}, {0x1FA70, 0x1FAFF}, {0x20000, 0x3FFFD},
};

static bool in_ranges(uint32_t cp, const struct range *r, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (cp >= r[i].first && cp <= r[i].last) return true;
    return false;
}

// One character at the start of v: its length in bytes (1 for a bad byte) and its columns.
static size_t step(struct sv v, size_t *columns)
{
    unsigned char c = (unsigned char)v.p[0];
    size_t n = c < 0x80 ? 1 : c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC2 ? 2 : 1;
    *columns = 1;
    if (n == 1) return 1;
    if (!sv_is_utf8(sv_part(v, 0, n)) || v.n < n) return 1;
    uint32_t cp = c & (0xFFu >> (n + 1));
    for (size_t i = 1; i < n; i++) cp = cp << 6 | ((unsigned char)v.p[i] & 0x3Fu);
    if (cp >= 0x300 && in_ranges(cp, zero, sizeof zero / sizeof *zero)) *columns = 0;
    if (cp >= 0x1100 && in_ranges(cp, wide, sizeof wide / sizeof *wide)) *columns = 2;
    return n;
}

size_t table_width(struct sv text)
{
    size_t sum = 0, w;
    for (size_t i = 0; i < text.n;) {
        i += step(sv_from(text, i), &w);
        sum += w;
    }
    return sum;
}

struct sv table_fit(struct sv text, size_t columns)
{
    size_t sum = 0, w, i = 0;
    while (i < text.n) {
        size_t n = step(sv_from(text, i), &w);
        if (sum + w > columns) break;
        sum += w;
        i += n;
    }
    return sv_part(text, 0, i);
}
