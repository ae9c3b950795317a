// SPDX-License-Identifier: Apache-2.0
// A lock file. What is taken prints to bytes that are taken again and print the same.
#include <assert.h>
#include <stdint.h>

#include "base/own.h"
#include "build/lock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    own(build_lock) struct build_lock a;
    own(build_lock) struct build_lock b;
    own(str) struct str x = {0};
    own(str) struct str y = {0};
    build_lock_init(&a);
    build_lock_init(&b);
    if (build_lock_parse((struct sv){(const char *)data, size}, "lock", &a, &e) < 0) return 0;
    build_lock_print(&a, &x);
    assert(build_lock_parse(str_sv(&x), "lock", &b, &e) == 0);
    build_lock_print(&b, &y);
    assert(sv_eq(str_sv(&x), str_sv(&y)));
    return 0;
}
