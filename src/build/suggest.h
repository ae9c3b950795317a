// SPDX-License-Identifier: Apache-2.0
// "did you mean": the nearest of some names, for misspelt instructions, flags, keys and variables.
#pragma once

#include "base/str.h"
#include "base/vec.h"

// Edit distance of two short words without regard to case; a swap of neighbours counts one. Words
// over 63 bytes are infinitely far.
unsigned build_suggest_distance(struct sv a, struct sv b);
// The nearest name, at most two edits away and no more than half of the word; NULL if none.
// Borrowed.
const char *build_suggest_find(struct sv word, const struct strv *names);
