// SPDX-License-Identifier: Apache-2.0
// The keys that leave a container's terminal without ending it: "ctrl-p,ctrl-q", "a,b", "ctrl-]". A
// beginning of them is held back until it is clear that it is none.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define KEYS_MAX 16

struct keys {
    unsigned char want[KEYS_MAX];
    size_t n;  // 0: nothing detaches
    size_t at; // how many were typed already
};
int keys_parse(const char *text, struct keys *out, struct err *e); // NULL: the default; "": none
// One byte typed; what goes on to the program is added to `out` (at most KEYS_MAX + 1). true:
// detach.
bool keys_feed(struct keys *k, char c, char *out, size_t *out_n);
