// SPDX-License-Identifier: Apache-2.0
// Registry hosts as text: what may be one, the many names of Docker Hub, and which are this
// machine.
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

#define REGISTRY_HOST_SIZE 256
#define REGISTRY_HUB "docker.io"                       // in references
#define REGISTRY_HUB_API "registry-1.docker.io"        // where it is served
#define REGISTRY_HUB_KEY "https://index.docker.io/v1/" // in credential files

// host or host:port, IPv6 in brackets: letters, digits, '.', '-', '_'. No user part, no path, no
// blank or control byte can pass.
bool registry_host_valid(struct sv host);
int registry_host_check(const char *host, struct err *e); // the same as an error
bool registry_host_is_hub(struct sv host);                // docker.io and its other names
bool registry_host_same(struct sv a, struct sv b);        // case does not matter, nor Hub's names
// "localhost", 127.0.0.0/8, ::1, with or without a port. Names are not resolved.
bool registry_host_is_loopback(struct sv host);
struct sv registry_host_bare(struct sv host); // without port and brackets
// An address (not a name) inside "10.0.0.0/8", "fd00::/8".
bool registry_host_in_range(struct sv host, struct sv range);
