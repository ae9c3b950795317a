// SPDX-License-Identifier: Apache-2.0
// All that is known of one container, in the shape and words of `docker inspect`.
#pragma once

#include "record/state.h"

// The caller frees *out with codec_json_free. Keys that Docker has for what dewar has not (yet) are
// there with the value that means "none", so that templates written for Docker work.
int record_inspect(struct engine *en, const char *id, struct codec_json **out, struct err *e);
// Adds, without a value, the fields that such JSON leaves out where nothing was asked for and that
// templates may name all the same.
void record_inspect_for_template(struct codec_json *j);

// --- of inspect_mounts.c, room-internal ---
// "K=V" texts as an object; nothing where there are none.
void record_inspect_pairs(struct codec_json *j, const char *key, const struct strv *v);
struct codec_json *record_inspect_binds(const struct record_config *c);
struct codec_json *record_inspect_mounts(struct engine *en, const struct record_config *c);
// HostConfig's Tmpfs and Mounts, where there are any.
void record_inspect_asked_mounts(const struct record_config *c, struct codec_json *host);
