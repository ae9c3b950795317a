// SPDX-License-Identifier: Apache-2.0
// Variables and quotes in the words of a Dockerfile, as BuildKit's shell lexer reads them:
// $v ${v} ${v:-w} ${v-w} ${v:+w} ${v+w} ${v:?m} ${v?m} ${v#p} ${v##p} ${v%p} ${v%%p} ${v/p/r}
// ${v//p/r} with nested words; single quotes keep everything, double quotes keep all but $ and the
// escape character in front of ", $ and itself.
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "base/vec.h"

struct build_expand {
    // The value of a variable, or NULL when it is not set. The text must live until the call ends.
    const char *(*get)(void *arg, const char *name);
    void (*unset)(void *arg, const char *name);  // may be NULL; told each name used but not set
    void *arg;
    char escape;       // 0 means '\\'
    bool keep_quotes;  // heredoc bodies: quotes are ordinary text, kept; variables are expanded
    bool raw_quotes;   // quotes have their meaning but stay in the result
    bool raw_escapes;  // the same for escape characters
    bool keep_unset;   // variables that are not set stay as written
};

#define BUILD_EXPAND_MAX ((size_t)1 << 20)  // longest result of one word
#define BUILD_EXPAND_DEPTH 64               // deepest nesting of ${a:-${b:-...}}

// One word, never split: "a $x" with x="1  2" gives "a 1  2". Appends to *out.
int build_expand_word(const struct build_expand *x, struct sv word, struct str *out, struct err *e);
// Expands, then splits at blanks that were not quoted: what EXPOSE does. Appends to *out.
int build_expand_words(const struct build_expand *x, struct sv text, struct strv *out,
                       struct err *e);
// The body of a heredoc (COPY and ADD): variables are expanded and a backslash makes the next
// character plain, whatever the escape directive says; quotes are ordinary text.
int build_expand_heredoc(const struct build_expand *x, struct sv body, struct str *out,
                         struct err *e);
