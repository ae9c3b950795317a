// SPDX-License-Identifier: Apache-2.0
// Writes build caches where --cache-to says. What a build used, hit or made, is in the workers' lists;
// records come from the store, archives are made from its layers.
#pragma once

#include "build/internal.h"

int build_cacheexport_check(const struct build_options *opt, bool files_only, struct err *e);
// A worker notes what belongs into a cache: 's' a step's key, 'h' a key of files that were hashed, 'm'
// the id of a cache mount.
void build_cacheexport_note(struct build_work *w, char what, const char *text);
int build_cacheexport_save(struct build_work *w, struct err *e);  // at the worker's end
// The manifest's annotations for type=inline; *out stays NULL without it.
int build_cacheexport_inline(struct build_job *job, struct codec_json **out, struct err *e);
// All other places. `s`: the result, with its layers in the store.
int build_cacheexport_run(struct build_job *job, const struct build_state *s, struct err *e);
