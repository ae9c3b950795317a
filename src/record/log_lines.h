// SPDX-License-Identifier: Apache-2.0
// The quick part of the log's writing side. Room-internal.
#pragma once

#include "base/str.h"

// Copies what a JSON text takes as it is, from the beginning: how much that was. `to` has room for v.n.
size_t log_plain_copy(char *to, struct sv v);

// Copies v and returns the end: faster than a call of memcpy for the few dozens of bytes that it is about.
char *log_copy(char *to, struct sv v);

// Appends a record for each whole line in front of `bytes`, as long as `out` does not get longer than `max`:
// `begin`, the text, `end` (which begins with the line's "\n"). Stops at a line that has other bytes than
// printable ASCII, or no end within LOG_LINE bytes. How many bytes it has taken.
size_t log_lines(struct sv bytes, struct sv begin, struct sv end, size_t max, struct str *out);
