// SPDX-License-Identifier: Apache-2.0
// os/arch/variant with Docker's normalisation (aarch64 -> arm64, x86_64 -> amd64, arm64/v8 -> arm64).
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

struct oci_platform {
    char os[32];
    char arch[32];
    char variant[32];
};

int oci_platform_parse(struct sv text, struct oci_platform *out, struct err *e);
void oci_platform_host(struct oci_platform *out);
void oci_platform_print(const struct oci_platform *p, struct str *out);
bool oci_platform_match(const struct oci_platform *want, const struct oci_platform *have);
