// SPDX-License-Identifier: Apache-2.0
// Records of build caches: any bytes are records or an error, and what was read prints as the same again.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/own.h"
#include "build/cachedoc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct oci_descriptor items[2] = {{.size = 1}, {.size = 2}};
    struct oci_manifest m = {.items = items, .n = 2};
    struct build_cachedoc d, again;
    struct err e = {0};
    own(str) struct str one = {0}, two = {0};
    const struct oci_manifest *of = size % 2 ? &m : NULL;
    build_cachedoc_init(&d);
    build_cachedoc_init(&again);
    if (build_cachedoc_parse((struct sv){(const char *)data, size}, of, "records", &d, &e) < 0) {
        if (!e.frames) abort();
    } else {
        build_cachedoc_print(&d, of != NULL, &one);
        if (build_cachedoc_parse(str_sv(&one), of, "records", &again, &e) < 0) abort();
        build_cachedoc_print(&again, of != NULL, &two);
        if (!sv_eq(str_sv(&one), str_sv(&two))) abort();
    }
    build_cachedoc_fini(&d);
    build_cachedoc_fini(&again);
    return 0;
}
