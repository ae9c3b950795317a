// SPDX-License-Identifier: Apache-2.0
// Between create.c, start.c and the verbs: options -> config -> spec.
#pragma once

#include "image/registry.h"
#include "image/view.h"
#include "runtime/record.h"
#include "store/lock.h"

// All that can be wrong on the command line, before anything is touched. `env` gets the variables
// asked for, files first.
int create_read(struct engine *en, const struct runtime_run_options *o, struct runtime_config *c,
                struct strv *env, struct err *e);
// Makes the record, opens what a first start needs and saves. On failure the caller ends the
// record.
int create_make(struct engine *en, const struct runtime_run_options *o, const struct strv *env,
                struct runtime_config *c, struct record *r, struct runtime_spec *spec,
                struct err *e);
// The spec without what must be opened: all texts are checked.
int start_spec(struct engine *en, const struct runtime_config *c, struct runtime_spec *s,
               struct err *e);
// The rest, with the image open; the caller holds the store's lock. `progress` (or NULL) is called
// around a copy of the layers for other ids.
int start_open(struct engine *en, const struct runtime_config *c, struct record *r,
               const struct image_view *im, const struct image_progress *progress,
               struct runtime_spec *s, struct err *e);

// --- others.c: namespaces of other containers ---------------------------------------------------
// As engine_enter, for a container that may join others: an ordinary user then enters their user
// namespace.
int others_enter(struct engine *en, const struct runtime_config *c, struct err *e);
// Opens what is to be joined (s->join, s->shm_fd ...). They must run now.
int others_join(struct engine *en, const struct runtime_config *c, struct runtime_spec *s,
                struct err *e);
// What stands behind --pid, --ipc or --uts; names become ids.
int others_mode(struct engine *en, const char *text, const char *option, char **out, struct err *e);

int runtime_restart_parse(const char *text, enum runtime_restart *out, int64_t *out_max,
                          struct err *e);
