// SPDX-License-Identifier: Apache-2.0
// Image references as Docker reads them (distribution/reference grammar): docker.io and library/
// defaults, "localhost" or a first component with '.' or ':' is a host, tag and digest, upper case
// refused in names.
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "oci/digest.h"

struct oci_ref {
    char host[256];    // "docker.io"
    char name[256];    // "library/debian"
    char tag[129];     // "" when the text had none
    struct oci_digest digest;  // unset when the text had none
};

int oci_ref_parse(struct sv text, struct oci_ref *out, struct err *e);  // tag stays "" if absent
void oci_ref_default_tag(struct oci_ref *r);  // "latest" unless a tag or digest is there
void oci_ref_print(const struct oci_ref *r, struct str *out);           // familiar: "debian:bookworm"
void oci_ref_print_repository(const struct oci_ref *r, struct str *out); // familiar, no tag
void oci_ref_print_full(const struct oci_ref *r, struct str *out);      // "docker.io/library/..."
