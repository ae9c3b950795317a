// SPDX-License-Identifier: Apache-2.0
// Content digests, OCI image-spec "descriptor.md": sha256 only (64 lower-case hex digits); anything
// else is refused before it can reach a path.
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "codec/hash.h"

struct oci_digest {
    char hex[CODEC_SHA256_HEX];  // "" when unset
};

int oci_digest_parse(struct sv text, struct oci_digest *out, struct err *e);  // "sha256:<hex>"
bool oci_digest_parse_hex(struct sv text, struct oci_digest *out);
bool oci_digest_eq(const struct oci_digest *a, const struct oci_digest *b);
static inline bool oci_digest_is_set(const struct oci_digest *d)
{
    return d->hex[0] != '\0';
}
struct oci_digest oci_digest_of(struct sv data);
// "sha256:<hex>" in a caller's buffer, for printing.
#define OCI_DIGEST_TEXT 72
const char *oci_digest_print(const struct oci_digest *d, char out[OCI_DIGEST_TEXT]);
// Chain id, image-spec config.md: of layer i over everything below it.
struct oci_digest oci_digest_chain(const struct oci_digest *parent, const struct oci_digest *diff);
