// SPDX-License-Identifier: Apache-2.0
// Events of containers into the log (store/event.h), and the verb that shows the log.
#pragma once

#include "record/state.h"
#include "store/event.h"

// `more`: further attributes, pairs key and value, NULL at the end; or NULL. Actions of a
// container: create attach detach start die kill stop restart pause unpause oom rename resize
// exec_create: exec_start: exec_detach exec_die health_status: destroy update commit copy export
// top prune. The container's labels become attributes too.
void record_event(struct engine *en, const struct record_config *c, const char *action,
                  const char *const *more);
// Where the whole config is not at hand: no labels.
void record_event_brief(struct engine *en, const struct record_brief *b, const char *action,
                        const char *const *more);

struct record_events_options {
    bool has_since, has_until;
    int64_t since_ns, until_ns; // since 1970
    // container=ID|NAME image=NAME|ID volume=NAME network=NAME type=T event=ACTION label=K[=V]
    // scope=local, and those of Docker that never fit here (daemon, plugin, node, service, secret,
    // config); several of one key: any of them (labels: all of them)
    const struct strv *filters;
    int gone_fd; // nobody reads any more when this end of a pipe is closed; -1: do not look
};
// Calls `each` for every event that fits, oldest first, and goes on as they happen, until until_ns
// or until somebody closed gone_fd. Without since_ns what happened before is left out, unless
// there is an end. -1 from `each` ends it. A line of the log that cannot be read is left out.
int record_events(struct engine *en, const struct record_events_options *o,
                  int (*each)(void *arg, const struct codec_json *event, struct err *e), void *arg,
                  struct err *e);
