// SPDX-License-Identifier: Apache-2.0
// What files hashed to last time: cache/files/<key of the root>, an array of fixed records sorted by
// (device, inode). Losing it costs time, never correctness; a file that changed so recently that its
// times could repeat is not remembered.
#pragma once

#include <stdbool.h>

#include "build/tree.h"

bool build_memory_find(struct build_memory *m, const struct build_node *n,
                       char hex[CODEC_SHA256_HEX]);
void build_memory_add(struct build_memory *m, const struct build_node *n,
                      const char hex[CODEC_SHA256_HEX]);
