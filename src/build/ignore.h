// SPDX-License-Identifier: Apache-2.0
// .dockerignore and COPY --exclude: the last pattern that matches wins, a pattern that matches a
// folder takes everything below it, and a later `!pattern` brings single paths back, so a folder
// may be pruned only when no such pattern can reach below it. Paths are relative to the root the
// patterns are about, '/' between components, no leading or trailing slash.
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "base/vec.h"

struct build_nfa;

// Plain patterns are compared as text, the others run on an automaton.
enum build_pattern_kind {
    BUILD_PATTERN_EXACT,
    BUILD_PATTERN_PREFIX,  // text, then **
    BUILD_PATTERN_SUFFIX,  // **, then text
    BUILD_PATTERN_WILD,
};
struct build_pattern {
    char *text;     // cleaned, without '!'
    bool keep;      // it began with '!'
    unsigned line;  // in the file, for hints; 0 for --exclude
    enum build_pattern_kind kind;
    struct build_nfa *nfa;  // WILD
};

struct build_ignore {
    VEC(struct build_pattern) patterns;
    bool has_keep;
};

#define BUILD_IGNORE_PATTERNS 10000  // a file with more is refused

// `label` names the file in errors. At most LIMIT_IGNOREFILE bytes.
int build_ignore_parse(struct sv text, const char *label, struct build_ignore *out, struct err *e);
// One more pattern in .dockerignore syntax (no comments): --exclude.
int build_ignore_add(struct build_ignore *ig, struct sv pattern, unsigned line, struct err *e);
void build_ignore_fini(struct build_ignore *ig);
static inline void own_build_ignore(struct build_ignore *ig)
{
    build_ignore_fini(ig);
}
// True when `path` is ignored. *out_line (may be NULL) is the line of the pattern that decided, 0
// when none did.
bool build_ignore_match(const struct build_ignore *ig, const char *path, unsigned *out_line);
// Asked about a folder that is itself ignored: false means that nothing below it can be kept, so a
// walker need not enter. True may be a false alarm.
bool build_ignore_may_keep(const struct build_ignore *ig, const char *dir);
