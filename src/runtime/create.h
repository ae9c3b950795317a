// SPDX-License-Identifier: Apache-2.0
// From what a person asked for to a container's config (create.c).
#pragma once

#include "runtime/container.h"
#include "runtime/record.h"

// All that can be wrong on the command line, before anything is touched. `env` gets the variables
// asked for, files first.
int create_read(struct engine *en, const struct runtime_run_options *o, struct runtime_config *c,
                struct strv *env, struct err *e);
// Makes the record, opens what a first start needs and saves. On failure the caller ends the
// record.
int create_make(struct engine *en, const struct runtime_run_options *o, const struct strv *env,
                struct runtime_config *c, struct record *r, struct runtime_spec *spec,
                struct err *e);
