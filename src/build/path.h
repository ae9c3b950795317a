// SPDX-License-Identifier: Apache-2.0
// Paths as text, for the words of a Dockerfile and patterns. Nothing here says where a file is:
// opening always goes through base/fs.h with a root.
#pragma once

#include <stdbool.h>

#include "base/str.h"

// Drops empty and "." components and resolves ".." as text; "" becomes ".". A leading ".." stays
// in a relative path and vanishes in an absolute one. Heap.
char *build_path_clean(struct sv path);
// `path` seen from `base` (an absolute path), clean and absolute. Heap.
char *build_path_join(const char *base, struct sv path);
