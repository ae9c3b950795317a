// SPDX-License-Identifier: Apache-2.0
// Namespaces of other containers.
#pragma once

#include "record/state.h"
#include "sandbox/sandbox.h"

// As engine_enter, for a container that may join others: an ordinary user then enters their user
// namespace.
int others_enter(struct engine *en, const struct record_config *c, struct err *e);
// Opens what is to be joined (s->join, s->shm_fd ...). They must run now.
int others_join(struct engine *en, const struct record_config *c, struct sandbox_spec *s,
                struct err *e);
// What stands behind --pid, --ipc or --uts; names become ids.
int others_mode(struct engine *en, const char *text, const char *option, char **out, struct err *e);
