// SPDX-License-Identifier: Apache-2.0
// Which containers a listing shows: Docker's filters over the rows of record_list.
#pragma once

#include "record/state.h"

struct record_listing_options {
    bool all;     // not only those alive; a status or exited filter says so by itself
    int64_t last; // the newest so many of all; 0: no limit
    // id=PREFIX name=PATTERN label=K[=V] status=S exited=CODE ancestor=IMAGE before=C since=C
    // volume=NAME|PATH network=N health=H expose=PORT[/PROTOCOL] publish=PORT[/PROTOCOL]; several of
    // one key: any of them (labels: all of them)
    const struct strv *filters;
    // Whether `image` was made from what `ancestor` names (image_made_from). NULL: they are the same
    // or nothing.
    bool (*made_from)(struct engine *en, const char *image, const char *ancestor);
};
// Newest first. ERR_USAGE for a filter that does not exist or cannot be true.
int record_listing(struct engine *en, const struct record_listing_options *opt,
                   struct record_rows *out, struct err *e);
