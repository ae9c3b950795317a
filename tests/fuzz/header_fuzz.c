// SPDX-License-Identifier: Apache-2.0
// Headers of registries: whatever the bytes, each parser ends, stays inside its buffers, and what
// it accepts keeps its promises.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "registry/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_challenges(struct sv v)
{
    static struct header_challenge list[HEADER_CHALLENGES];
    size_t n = 0;
    header_challenges(v, list, &n);
    header_challenges(v, list, &n); // a second header of the same kind
    if (n > HEADER_CHALLENGES) abort();
    for (size_t i = 0; i < n; i++) {
        if (strlen(list[i].realm) >= sizeof list[i].realm) abort();
        if (strpbrk(list[i].realm, "\r\n")) abort();
    }
}

static void check_numbers(struct sv v)
{
    uint64_t first, last, total, next;
    int64_t seconds;
    if (header_content_range(v, &first, &last, &total) && !(first <= last && last < total)) abort();
    header_upload_range(v, &next);
    if (header_retry_after(v, 1700000000, &seconds) && seconds < 0) abort();
}

static void check_texts(struct sv v)
{
    char link[64], type[32], name[256];
    if (header_link_next(v, link, sizeof link) && (!link[0] || strlen(link) >= sizeof link))
        abort();
    header_media_type(v, type, sizeof type);
    if (strlen(type) >= sizeof type || strpbrk(type, " \r\n;")) abort();
    if (header_file_name(v, name) && (!name[0] || strpbrk(name, "/\\\n") || !strcmp(name, "..")))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv v = {(const char *)data, size}, found;
    if (size > 65536) return 0;
    check_challenges(v);
    check_numbers(v);
    check_texts(v);
    for (unsigned i = 0; i < 3; i++)
        if (header_find(v, "link", i, &found) && (found.p < v.p || found.p + found.n > v.p + v.n))
            abort();
    return 0;
}
