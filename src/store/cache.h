// SPDX-License-Identifier: Apache-2.0
// Build records: cache/steps/<hex of key> -> small JSON text with a checksum. A record that is
// damaged or names a layer that is gone is a miss. Written after the layers it names are synced.
#pragma once

#include "base/engine.h"
#include "base/str.h"

int store_cache_put(struct engine *en, const char *kind, const char *key_hex, struct sv value,
                    struct err *e);
// 1 found (value in out), 0 not.
int store_cache_find(struct engine *en, const char *kind, const char *key_hex, struct str *out,
                     struct err *e);
// Whether a record file's bytes are whole; *out_value is then what was put (clean-up and check walk
// the files themselves).
bool store_cache_record_valid(struct sv file, struct sv *out_value);
