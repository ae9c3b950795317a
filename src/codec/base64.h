// SPDX-License-Identifier: Apache-2.0
// Base64 (RFC 4648, the standard alphabet with padding), for credentials and for what else travels
// in JSON.
#pragma once

#include <stdbool.h>

#include "base/str.h"

void codec_base64_encode(struct sv bytes, struct str *out);
// Strict but for line breaks, which are skipped, and padding, which may be left out. False when
// `text` is not base64; what was added to `out` until then is to be dropped. Asks for memory once.
bool codec_base64_decode(struct sv text, struct str *out);
