// SPDX-License-Identifier: Apache-2.0
// What Docker's daemon.json says about registries: mirrors of Docker Hub and registries that may be
// insecure. Room-internal.
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "base/vec.h"

#define REGISTRY_CONF_MAX ((size_t)1 << 20) // a configuration file

struct registry_dockerd {
    struct strv mirrors;  // "https://host[:port]/" or "http://...", checked
    struct strv insecure; // "host[:port]" or "10.0.0.0/8"
};
void registry_dockerd_fini(struct registry_dockerd *d);
static inline void own_registry_dockerd(struct registry_dockerd *d)
{
    registry_dockerd_fini(d);
}
// The person's (~/.config/docker/daemon.json), then the machine's (/etc/docker/daemon.json).
int registry_dockerd_load(struct registry_dockerd *out, struct err *e);
bool registry_dockerd_insecure(const struct registry_dockerd *d, struct sv host);
