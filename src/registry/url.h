// SPDX-License-Identifier: Apache-2.0
// Addresses of the web, read by libcurl's own parser: what we checked is what will be connected to.
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "oci/transfer.h"

struct url {
    char text[TRANSFER_URL]; // whole, without a fragment
    bool https;
    char host[256]; // lower case, IPv6 without brackets
    unsigned port;
};
// http and https only, and neither user nor password in it: ERR_INPUT.
int url_parse(const char *text, struct url *out, struct err *e);
// `next` (absolute or relative) as seen from `from`. out may be `from`.
int url_resolve(const struct url *from, const char *next, struct url *out, struct err *e);
bool url_same_origin(const struct url *a, const struct url *b); // scheme, host and port
// Adds "key=value" to the query, value escaped.
int url_add_query(struct url *u, const char *key, const char *value, struct err *e);
// For messages: scheme, host and path; never the query, which may hold a signature or a token.
void url_print_short(const struct url *u, struct str *out);
