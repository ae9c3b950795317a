// SPDX-License-Identifier: Apache-2.0
// Whom we believe: the system's CAs (or SSL_CERT_FILE, SSL_CERT_DIR) and a certs.d folder.
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

// For a libcurl handle. ca_dir: "" none; its *.crt are CAs besides the system's, NAME.cert with
// NAME.key is what we show to the server when `show_client` is set. `hashed` as tls_is_hashed said.
struct tls_wish {
    const char *ca_dir;
    bool show_client;
    bool unverified;
    bool hashed;
};
// 1: it shows a client certificate, 0: it has none.
int tls_set_up(void *easy, const struct tls_wish *w, struct err *e);
// Does the system keep its CAs also as one file each, found by hash? Then only those that are
// needed are read; parsing all of them takes 20 ms for each new connection.
bool tls_is_hashed(void);
// Is this line of libcurl's talk an alert by which the server refuses our certificate, or says that
// it wants one?
bool tls_client_refused(struct sv said);
