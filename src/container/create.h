// SPDX-License-Identifier: Apache-2.0
// From what a person asked for to a container's config (create.c).
#pragma once

#include "container/container.h"
#include "image/registry.h"
#include "record/record.h"

// All that can be wrong on the command line, before anything is touched. `env` gets the variables
// asked for, files first.
int create_read(struct engine *en, const struct container_run_options *o, struct record_config *c,
                struct strv *env, struct err *e);
// Makes the record, opens what a first start needs and saves. On failure the caller ends the
// record.
int create_make(struct engine *en, const struct container_run_options *o, const struct strv *env,
                struct record_config *c, struct record *r, struct sandbox_spec *spec,
                struct err *e);
// Limits that contradict each other, or that nothing can live with. Of a new container and of an update.
int create_check_limits(const struct record_config *c, struct err *e);

// --- between create.c and create_read.c ----------------------------------------------------------

int create_pull_option(const struct container_run_options *o, enum image_pull_policy *out,
                       struct err *e);
// Options of words and numbers alone (create_words.c).
int create_read_words(const struct container_run_options *o, struct record_config *c,
                      struct err *e);
// The image's probe, field by field, where the person said nothing.
void create_merge_health(struct oci_health *to, const struct oci_health *from);
