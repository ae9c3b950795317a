// SPDX-License-Identifier: Apache-2.0
// Which containers use which volumes: the marks in their folders.
#pragma once

#include <stdbool.h>

#include "base/engine.h"
#include "base/vec.h"
#include "record/state.h"

struct record_use {
    char *name;
    char id[RECORD_ID]; // of the container
};
struct record_uses {
    struct record_use *p;
    size_t n;
    size_t cap;
};
// Every mark of every container; one that goes away meanwhile is left out.
int record_uses_load(struct engine *en, struct record_uses *out, struct err *e);
void record_uses_fini(struct record_uses *v);
static inline void own_record_uses(struct record_uses *v)
{
    record_uses_fini(v);
}

// 1: another container than `id` uses this volume by its name.
int record_uses_shared(struct engine *en, const char *name, const char *id, struct err *e);
