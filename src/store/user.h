// SPDX-License-Identifier: Apache-2.0
// Who uses what: containers. A container's record (containers/<id>/config.json) keeps alive every
// image, layer and blob whose 64 hex digits stand in its text, so this room needs to know nothing
// more of its form. A container runs as long as somebody holds the flock on its folder.
#pragma once

#include <stdbool.h>

#include "base/engine.h"
#include "base/map.h"
#include "oci/digest.h"

struct store_user {
    char *id;
    bool running;
    struct map hexes;
};
struct store_users {
    struct store_user *p;
    size_t n;
    size_t cap;
};
int store_user_list(struct engine *en, struct store_users *out, struct err *e);  // sorted by id
bool store_user_has(const struct store_user *u, const struct oci_digest *d);
void store_users_fini(struct store_users *v);
static inline void own_store_users(struct store_users *v)
{
    store_users_fini(v);
}
// Adds every run of exactly 64 hex digits in `text` to *out.
void store_user_scan(struct sv text, struct map *out);
