// SPDX-License-Identifier: Apache-2.0
// Wildcards of COPY and ADD, as Go's filepath.Match has them: * and ? stop at '/', [a-z] and [^a]
// are classes, a backslash takes the next character as it is. The whole name must match.
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

// Has *, ? or [ without a backslash in front. A source without is taken as a plain name, with its
// backslashes.
bool build_glob_magic(struct sv pattern);
int build_glob_check(struct sv pattern, struct err *e);  // malformed: ERR_INPUT
bool build_glob_match(struct sv pattern, struct sv name);
// As above, and a component `**` matches any number of components, also none (COPY --parents).
bool build_glob_match_deep(struct sv pattern, struct sv name);
// True when a path below folder `dir` could still match: whether a walker should enter it.
bool build_glob_may_match_below(struct sv pattern, struct sv dir);
