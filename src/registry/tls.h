// SPDX-License-Identifier: Apache-2.0
// Whom we believe: the system's CAs (or SSL_CERT_FILE, SSL_CERT_DIR) and a certs.d folder.
#pragma once

#include <stdbool.h>

#include "base/err.h"

// For a libcurl handle. ca_dir: "" none; its *.crt are CAs besides the system's, NAME.cert with
// NAME.key is what we show to the server when `show_client` is set.
int tls_set_up(void *easy, const char *ca_dir, bool show_client, bool unverified, struct err *e);
