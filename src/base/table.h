// SPDX-License-Identifier: Apache-2.0
// Columns of text for listings: widths are taken from the cells, three blanks between columns, as
// Docker prints them. Cells come from images and registries, so they are escaped here, once.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "base/vec.h"

struct table_cell {
    size_t start, end;  // in the text
    size_t width;
};
struct table_cells {
    struct table_cell *p;
    size_t n;
    size_t cap;
};
struct table {
    struct str text;           // of all cells, one behind the other
    struct table_cells cells;  // row by row
    size_t columns;
    size_t least;               // columns that a cell takes with its padding; 0: 10
    unsigned long right_mask;  // bit i: column i is right-aligned
};

void table_init(struct table *t, size_t columns);
void table_fini(struct table *t);
static inline void own_table(struct table *t)
{
    table_fini(t);
}
void table_cell(struct table *t, const char *text);  // NULL prints as ""; escaped
void table_cellf(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void table_row(struct table *t, const char *const *texts);  // `columns` cells
void table_print(const struct table *t, struct str *out);
// Columns that a text takes on a terminal (UTF-8, wide and combining characters counted).
size_t table_width(struct sv text);
// The longest prefix of `text` that fits `columns`, never half a character.
struct sv table_fit(struct sv text, size_t columns);
