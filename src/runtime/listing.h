// SPDX-License-Identifier: Apache-2.0
// Which containers a listing shows: Docker's filters over the rows of runtime_container_list.
#pragma once

#include "runtime/state.h"

struct runtime_listing_options {
    bool all;     // not only those alive; a status or exited filter says so by itself
    int64_t last; // the newest so many of all; 0: no limit
    // id=PREFIX name=TEXT label=K[=V] status=S exited=CODE ancestor=IMAGE before=C since=C
    // volume=NAME|PATH network=N health=H; several of one key: any of them (labels: all of them)
    const struct strv *filters;
};
// Newest first. ERR_USAGE for a filter that does not exist or cannot be true.
int runtime_listing(struct engine *en, const struct runtime_listing_options *opt,
                    struct runtime_rows *out, struct err *e);
