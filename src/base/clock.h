// SPDX-License-Identifier: Apache-2.0
// The only clock. Wall time is for people; intervals use the monotonic clock.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct err;

int64_t clock_now(void);      // seconds since 1970; honours SOURCE_DATE_EPOCH when it is set
int64_t clock_real_ns(void);  // the true wall clock, for records of what happened
int64_t clock_mono_ns(void);
int64_t clock_boot_ns(void);      // since the boot, sleep counted: what start times are told in
// RFC 3339 UTC. clock_print: "2023-06-10T00:00:00Z"; clock_print_ns adds nanoseconds as Go does.
void clock_print(int64_t seconds, struct str *out);
void clock_print_ns(int64_t ns, struct str *out);
bool clock_parse(struct sv text, int64_t *out_seconds);  // RFC 3339 with offset and fraction
bool clock_epoch(int64_t *out_seconds);                  // SOURCE_DATE_EPOCH of the environment
int clock_boot_id(char out[37], struct err *e);
// Before a local time is asked for: makes $TZ mean the same with every C library. "EST5EDT" is a rule and
// the name of a file of rules; where there is the file it counts.
void clock_zone(void);
