// SPDX-License-Identifier: Apache-2.0
// Build caches that --cache-from names. A record there is believed because a person named the place;
// bytes are not: texts and archives are checked against their digests, and an unpacked layer against
// its diff id. Whatever is wrong with a cache is a warning and a miss.
//
// A hit names a layer that may not be in the store yet. It is then known by its diff id alone (its `id`
// is "") until something needs its files: a step that runs on top, a look into the stage, the result.
// When it cannot be had after all, the solver has gone on without it: the place is marked and the
// stages are solved once more, without that record.
#pragma once

#include "build/cachedoc.h"
#include "build/internal.h"

int build_cacheimport_check(const struct build_options *opt, struct err *e);  // the flags alone
// Reads the records of all places, before the workers start. Nothing but warnings can happen.
void build_cacheimport_open(struct build_job *job);
void build_cacheimport_close(struct build_job *job);
// A step's record. 1: found; *out_layer is set when it names one (its id "" when it is not in the store).
int build_cacheimport_step(struct build_job *job, const struct oci_digest *chain, const char *key,
                           struct str *out, struct store_layer *out_layer);
// What files of layers hashed to: 1 found.
int build_cacheimport_source(struct build_job *job, const char *key, struct str *out);
// Whether some place has this layer, or says that there is one.
bool build_cacheimport_knows(struct build_job *job, const struct oci_digest *diff_id);
// Before a step runs after which files of other stages may be needed: -1 when hits were taken whose
// layers nobody has. Then the stages are solved again without those.
int build_cacheimport_run(struct build_job *job, struct err *e);
// Brings the first n layers into the store that are not there yet.
int build_cacheimport_need(struct build_job *job, struct store_tmp *tmp, struct store_layer *layers,
                           size_t n, struct err *e);
// The archive of a layer as some place has it, for another export: descriptor, or -1 without error.
int build_cacheimport_archive(struct build_job *job, const struct oci_digest *diff_id,
                              const struct build_cachedoc_layer **out);
// Fills a fresh cache mount (`folder` holds data/). 1: done, 0: no place has it.
int build_cacheimport_mount(struct build_job *job, const char *id, int folder);
// After a failure: 1 when a layer could not be had and solving again makes sense.
bool build_cacheimport_again(struct build_job *job);
