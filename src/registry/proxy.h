// SPDX-License-Identifier: Apache-2.0
// Which proxy the environment asks for. Ours rather than libcurl's, because the rules about
// addresses must know whether we connect to the host itself.
#pragma once

#include "base/str.h"
#include "registry/url.h"

// http_proxy (lower case only, as a web server's CGI would let a client set HTTP_PROXY),
// https_proxy, HTTPS_PROXY, all_proxy, ALL_PROXY; no_proxy and NO_PROXY: "*", names with their
// subdomains, addresses, networks in CIDR form, each with an optional port. Loopback never goes
// through a proxy. true: *out is its URL.
bool proxy_find(const struct url *u, struct str *out);
// One entry of no_proxy.
bool proxy_excludes(struct sv entry, const char *host, unsigned port);
