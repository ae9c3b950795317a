// SPDX-License-Identifier: Apache-2.0
// containers' registries.conf, version 2, with its drop-in folders. Room-internal.
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "base/vec.h"

struct registry_conf_mirror {
    char *location;
    bool insecure, digest_only, tag_only;
};
struct registry_conf_rule { // one [[registry]]
    char *prefix;           // "host", "host/ns", "*.example.com"
    char *location;         // "" : as the prefix, nothing is rewritten
    char *where;            // "FILE:LINE", for messages
    bool insecure, blocked;
    VEC(struct registry_conf_mirror) mirrors;
};
struct registry_conf {
    VEC(struct registry_conf_rule) rules; // no two with the same prefix
};
void registry_conf_fini(struct registry_conf *c);
static inline void own_registry_conf(struct registry_conf *c)
{
    registry_conf_fini(c);
}
int registry_conf_load(struct registry_conf *out, struct err *e);
// The rule with the longest prefix of "host/name"; NULL: none. *out_matched: how many bytes of
// `full` the prefix stands for.
const struct registry_conf_rule *registry_conf_find(const struct registry_conf *c, struct sv full,
                                                    size_t *out_matched);
