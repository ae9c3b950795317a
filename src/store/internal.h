// SPDX-License-Identifier: Apache-2.0
// What the files of this room share among themselves.
#pragma once

#include "store/ref.h"

// Every ref file, hidden untagged entries and damaged files (r == NULL) included.
typedef int store_ref_visit(void *arg, const char *folder, const char *name,
                            const struct store_ref *r, struct err *e);
int store_ref_walk(struct engine *en, store_ref_visit *visit, void *arg, struct err *e);
