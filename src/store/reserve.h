// SPDX-License-Identifier: Apache-2.0
// How much of the build cache a prune leaves: what was used last stays, as far as it fits.
#pragma once

#include "store/gc.h"
#include "store/internal.h"

bool store_reserve_asked(const struct store_prune_options *opt);
// Names ("kind/name") of the cache's items that stay.
int store_reserve_choose(struct engine *en, const struct store_prune_options *opt,
                         struct map *out_stays, struct err *e);
char *store_reserve_name(const struct store_cache_item *item);
