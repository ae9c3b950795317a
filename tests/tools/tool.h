// SPDX-License-Identifier: Apache-2.0
// What the small test programs share.
#pragma once

#include "base/err.h"
#include "base/str.h"

int tool_read_file(const char *path, struct str *out);  // "-" is stdin; prints and returns -1
int tool_fail(const struct err *e);                     // the error block to stderr; returns 1
void tool_one_line(const struct err *e, struct str *out);  // "Dockerfile:3: ...: cause"
