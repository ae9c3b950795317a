// SPDX-License-Identifier: Apache-2.0
// Which image of an index is meant.
#pragma once

#include "oci/image.h"

#define IMAGE_INDEX_DEPTH 4 // indexes inside indexes

// NULL when there is none for `want`. An exact variant is best, else the highest that still runs.
// Attestations are never chosen.
const struct oci_descriptor *image_choose(const struct oci_manifest *index,
                                          const struct oci_platform *want);
// ERR_INPUT: "LABEL has no image for linux/arm64", with what there is as a hint.
int image_choose_none(const char *label, const struct oci_manifest *index,
                      const struct oci_platform *want, struct err *e);
bool image_is_attestation(const struct oci_descriptor *d);
// The text of an annotation that fits buf; else NULL.
const char *image_annotation(const struct oci_descriptor *d, const char *key, char buf[512]);
