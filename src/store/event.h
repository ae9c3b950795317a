// SPDX-License-Identifier: Apache-2.0
// The log of what happened to containers, images and volumes, in Docker's words: one line of JSON
// an event, in the form that `docker events --format json` prints. It lies in the run folder
// (`events`, before that `events.1`), holds the last few thousand and is no record of truth:
// nothing fails or waits because an event could not be written.
//
// Writers append a whole line with one write(2) and take no lock, so a stopped one stops nobody.
// Who finds the file full moves it to events.1; one that opened it before that and writes later
// still writes to a file that readers look at. A line whose end is missing (a full disk) is closed
// by the next writer and skipped by readers.
#pragma once

#include "base/engine.h"
#include "base/str.h"
#include "codec/json.h"

#define STORE_EVENTS_MAX ((size_t)2 << 20)  // bytes of one file; there are two
#define STORE_EVENT_LINE ((size_t)64 << 10) // a longer line is not written

// type "container", "image", "volume", "network", "builder"; `more`: attributes, pairs of key and value, NULL
// at the end; or NULL.
void store_event(struct engine *en, const char *type, const char *action, const char *id,
                 const char *const *more);
// The same with an object of texts, which is taken.
void store_event_with(struct engine *en, const char *type, const char *action, const char *id,
                      struct codec_json *attributes);
// "prune" of a type of things: of none in particular, with the bytes that it freed.
void store_event_pruned(struct engine *en, const char *type, uint64_t freed);

// Reads lines, oldest first, and goes on across changes to a new file.
struct store_event_file {
    int fd;
    struct str buf;
    size_t at;
};
struct store_event_reader {
    struct store_event_file files[2];  // events.1 and events as they were when they were opened
};
#define STORE_EVENT_READER_NONE ((struct store_event_reader){{{.fd = -1}, {.fd = -1}}})
// What is there already is left out.
void store_event_skip(struct engine *en, struct store_event_reader *r);
// 1 a line in *out (without its end, borrowed until the next call), 0 none yet.
int store_event_next(struct engine *en, struct store_event_reader *r, struct sv *out);
void store_event_close(struct store_event_reader *r);
static inline void own_store_event_reader(struct store_event_reader *r)
{
    store_event_close(r);
}
