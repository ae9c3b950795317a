// SPDX-License-Identifier: Apache-2.0
// Numbers from text, checked: the whole text must be the number, with no sign games or wrap.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct err;

bool num_u64(struct sv text, uint64_t *out);                     // decimal
bool num_u64_max(struct sv text, uint64_t max, uint64_t *out);
bool num_i64(struct sv text, int64_t *out);                      // decimal with optional '-'
bool num_octal(struct sv text, uint32_t max, uint32_t *out);
// "512", "64m", "1.5g", "10MiB", "2kb": units of 1024 as Docker's memory flags use them.
int num_bytes(struct sv text, uint64_t *out, struct err *e);
// Go durations: "1m30s", "1.5h", "300ms"; result in nanoseconds.
int num_duration(struct sv text, int64_t *out_ns, struct err *e);
void num_print_size(uint64_t bytes, struct str *out);  // "12.3MB": units of 1000 as `docker images`
void num_print_binary(uint64_t bytes, struct str *out);  // "1.5GiB": as `docker stats` shows memory
void num_print_ago(int64_t seconds, struct str *out);  // "3 weeks": as `docker images`
void num_print_elapsed(int64_t ns, struct str *out);   // "0.4s", "1m02s"
