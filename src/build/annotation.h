// SPDX-License-Identifier: Apache-2.0
// --annotation [manifest:]KEY=VALUE: notes in the image's manifest (OCI image specification, "annotations").
// They are no part of the image's ID.
#pragma once

#include "build/build.h"
#include "codec/json.h"

// Their grammar, before any work.
int build_annotation_check(const struct build_options *opt, struct err *e);
// Adds them to *notes, an object or NULL for none yet. The last one with a key counts.
void build_annotation_add(const struct build_options *opt, struct codec_json **notes);
