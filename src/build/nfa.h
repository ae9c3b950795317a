// SPDX-License-Identifier: Apache-2.0
// Only for this room: one matcher for the three wildcard languages of a Dockerfile (file globs,
// .dockerignore, ${v#pattern}). A pattern is a list of tokens and is run by tracking the set of
// tokens that can come next, so no pattern makes it slower than its length times the text's.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "base/vec.h"

enum build_nfa_kind {
    BUILD_NFA_RUNE,       // this character
    BUILD_NFA_NAME_ONE,   // one character but '/'
    BUILD_NFA_NAME_MANY,  // any number of them
    BUILD_NFA_LINE_ONE,   // one character but newline
    BUILD_NFA_LINE_MANY,  // any number of them
    BUILD_NFA_ALL,        // anything
    BUILD_NFA_DEEP,       // nothing, or anything that ends in '/'
    BUILD_NFA_DEEP_LOOP,  // always behind DEEP, added with it
    BUILD_NFA_CLASS,      // one character in, or not in, the ranges
};
struct build_nfa_range {
    uint32_t lo, hi;
};
struct build_nfa_token {
    enum build_nfa_kind kind;
    uint32_t rune;
    bool negate;           // CLASS
    size_t first, ranges;  // CLASS: part of the nfa's ranges
};
struct build_nfa {
    VEC(struct build_nfa_token) tokens;
    VEC(struct build_nfa_range) ranges;
    uint64_t many, deep;  // which of the first 64 tokens may match nothing: see the fast way
};
struct build_runes {
    VEC(uint32_t) v;
};

void build_nfa_add(struct build_nfa *nfa, enum build_nfa_kind kind, uint32_t rune);
void build_nfa_fini(struct build_nfa *nfa);
// Decodes UTF-8; a byte that is none becomes 0x110000 + byte, so that it matches only itself.
void build_runes_of(struct sv text, struct build_runes *out);
void build_runes_fini(struct build_runes *r);
void build_runes_print(const uint32_t *r, size_t n, struct str *out);
size_t build_rune_next(struct sv text, uint32_t *out);  // bytes taken, 0 at the end
bool build_rune_is_space(uint32_t r);
bool build_rune_is_letter(uint32_t r);

bool build_nfa_match(const struct build_nfa *nfa, const uint32_t *r, size_t n);  // all of it
// The same for a path or one of the folders above it, in one go.
bool build_nfa_match_path(const struct build_nfa *nfa, const uint32_t *r, size_t n);
// Could some longer text that begins with r[0..n) match?
bool build_nfa_alive(const struct build_nfa *nfa, const uint32_t *r, size_t n);
// Ends of matches that begin at r[0]. *budget counts down; at 0 the search stops and returns false
// with *budget 0.
bool build_nfa_ends(const struct build_nfa *nfa, const uint32_t *r, size_t n, bool shortest,
                    size_t *out_end, uint64_t *budget);
// Adds a bracket class that begins behind '[' of a glob; returns the runes taken with the closing
// bracket, 0 when it is malformed.
size_t build_nfa_add_class(struct build_nfa *nfa, const uint32_t *r, size_t n);
