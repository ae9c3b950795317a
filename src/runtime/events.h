// SPDX-License-Identifier: Apache-2.0
// The log of what happened to containers, images and volumes, in Docker's words: one line of JSON
// an event, in the form that `docker events --format json` prints, appended with one write. It lies
// in the run folder (`events`, before that `events.1`), holds the last few thousand and is no
// record of truth: nothing fails because an event could not be written.
#pragma once

#include "base/engine.h"
#include "base/str.h"

struct runtime_brief;

#define RUNTIME_EVENTS_MAX ((size_t)2 << 20) // bytes of one file; there are two

// `more`: further attributes, pairs key and value, NULL at the end; or NULL. Actions of a
// container: create attach detach start die kill stop restart pause unpause oom rename resize
// exec_create: exec_start: exec_die health_status: destroy update commit copy export top.
void runtime_event_container(struct engine *en, const struct runtime_brief *b, const char *action,
                             const char *const *more);
// type "image", "volume", "network"; actions create, destroy, mount, unmount, pull, push, tag,
// untag, delete, import, load, save, prune.
void runtime_event(struct engine *en, const char *type, const char *action, const char *id,
                   const char *const *more);

// Reads lines, oldest first, and across the change to a new file; the reader starts zeroed with fd
// -1. runtime_events_next: 1 a line in *out (without its end), 0 none yet, -1 an error.
struct runtime_events {
    int fd;
    struct str buf;
    size_t at;
    int stage;
};
void runtime_events_open(struct runtime_events *r);
int runtime_events_next(struct engine *en, struct runtime_events *r, struct sv *out, struct err *e);
void runtime_events_close(struct runtime_events *r);
static inline void own_runtime_events(struct runtime_events *r)
{
    runtime_events_close(r);
}
