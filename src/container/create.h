// SPDX-License-Identifier: Apache-2.0
// From what a person asked for to a container's config (create.c).
#pragma once

#include "container/container.h"
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
