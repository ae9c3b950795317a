// SPDX-License-Identifier: Apache-2.0
// How rooms talk while they work. They emit events to a sink; faces render them (terminal, plain
// lines, JSON lines). A room never prints.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum event_kind {
    EVENT_START,     // a unit of work begins: id, name
    EVENT_CACHED,    // ... needed no work
    EVENT_LINE,      // a piece of its output (text, stream 1 or 2), as bytes, maybe part of a line
    EVENT_PROGRESS,  // done/total bytes, total 0 when unknown
    EVENT_WARNING,   // text; id may be 0
    EVENT_DONE,      // finished well
    EVENT_FAILED,    // finished badly: text
    EVENT_INFO,      // one line for a person; with an id: that unit's program has the terminal for
                     // itself until the unit's next event
    EVENT_KIND_COUNT,
};

struct event {
    enum event_kind kind;
    uint64_t id;       // unit of work, 0 for the whole command
    const char *name;  // START: "[2/5] RUN make"
    struct sv text;
    int stream;        // LINE: 1 stdout, 2 stderr
    uint64_t done;
    uint64_t total;
    int64_t time_ns;   // monotonic; filled by event_emit when 0
};

struct event_sink {
    void (*emit)(void *arg, const struct event *ev);
    void *arg;
};

void event_emit(const struct event_sink *sink, struct event ev);  // a NULL sink drops it
void event_warn(const struct event_sink *sink, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void event_info(const struct event_sink *sink, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
const char *event_kind_name(enum event_kind kind);
