// SPDX-License-Identifier: Apache-2.0
// Where a repository is served: registries.conf (containers' format, version 2), Docker's
// daemon.json mirrors for docker.io, CA and client certificate folders (certs.d), and the rule for
// plain HTTP.
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "oci/ref.h"

#define REGISTRY_PLACES_MAX 16

struct registry_place {
    char host[256]; // host[:port] to talk to ("registry-1.docker.io" for docker.io)
    char name[512]; // repository there, after a prefix was rewritten
    bool plain;     // http may be used when https does not answer (loopback or configured insecure)
    bool unverified;  // https with any certificate
    bool mirror;      // a failure here means the next place; push never uses one
    bool digest_only; // pull-from-mirror = "digest-only"; tag_only likewise
    bool tag_only;
    char ca_dir[512]; // a certs.d folder for this host, or ""
};
struct registry_places {
    struct registry_place p[REGISTRY_PLACES_MAX];
    size_t n; // for reading: mirrors first, the registry itself (perhaps moved) last
    struct registry_place push; // for writing: as the name says, never a mirror, never moved
};
// Reads the configuration each time: keep the answer for a repository. Filtering by digest_only and
// tag_only is the caller's (a manifest asked by tag, by digest).
// ERR_INPUT (with file and line) for a broken configuration, and for a blocked registry.
int registry_places_find(const struct oci_ref *ref, bool insecure, struct registry_places *out,
                         struct err *e);
