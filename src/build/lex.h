// SPDX-License-Identifier: Apache-2.0
// Only for this room: a Dockerfile's bytes become logical lines (continuations joined, comments and
// directives taken out), and one line becomes words.
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "base/vec.h"

struct build_lex {
    struct sv rest;       // what is not read yet; p is NULL at the end
    unsigned line;        // physical lines read so far
    char escape;
    bool directives_over;
    char *syntax, *check;
    unsigned check_line;
    bool escape_seen;
};

struct build_lex_line {
    struct str text;         // joined
    struct str comment;      // comment lines right above, one a line
    unsigned first, last;
    unsigned empty;          // a blank line inside a continuation, 0 if none
    bool keyword_indented;
};

void build_lex_init(struct build_lex *lx, struct sv text);
void build_lex_fini(struct build_lex *lx);
// 1: *out is the next instruction's line; 0: the end; -1: a bad directive (out->first is its line).
int build_lex_next(struct build_lex *lx, struct build_lex_line *out, struct err *e);
bool build_lex_raw(struct build_lex *lx, struct sv *out);  // one physical line with its line end
void build_lex_line_fini(struct build_lex_line *l);

struct sv build_lex_trim(struct sv v);       // Unicode blanks at both ends
struct sv build_lex_trim_left(struct sv v);
// Cuts the first word (up to ASCII blanks) from *v and the blanks behind it.
struct sv build_lex_word(struct sv *v);
void build_lex_split(struct sv v, struct strv *out);                      // at ASCII blanks
void build_lex_split_quoted(struct sv v, char escape, struct strv *out);  // quotes are kept
// Takes the leading --flag words from *v, quotes removed, until the first other word or a bare --.
void build_lex_flags(struct sv *v, struct strv *out);
