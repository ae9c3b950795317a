// SPDX-License-Identifier: Apache-2.0
// The asking side of the registry client: starts the helper program `dewar-registry` once per
// command (lazily: a command that finds everything in the store never pays for it) and has it do
// requests side by side. See oci/transfer.h for the requests.
#pragma once

#include "base/engine.h"
#include "oci/transfer.h"

struct image_remote;
// Nothing is started before the first request. Call before or after engine_enter: the helper is
// started as the caller's user either way, so that it reads the caller's files and nothing else.
int image_remote_open(struct engine *en, struct image_remote **out, struct err *e);
void image_remote_close(struct image_remote *r); // ends the helper
static inline void own_image_remote(struct image_remote **r)
{
    image_remote_close(*r);
}
// Sends a request; id and version are filled in. fd is borrowed; -1: none.
int image_remote_send(struct image_remote *r, struct transfer_request *q, int fd, struct err *e);
int image_remote_fd(const struct image_remote *r); // for poll; -1 before the first request
// The next answer, of any request; waits. Notices become info events on the engine's sink.
// -1 with *e only when the helper is gone: a request's own failure is an answer.
int image_remote_next(struct image_remote *r, struct transfer_reply *out, struct err *e);
// One request from start to end: sends, waits, and turns FAILED into -1 with *e. `on_progress` may
// be NULL.
int image_remote_ask(struct image_remote *r, struct transfer_request *q, int fd,
                     void (*on_progress)(void *arg, const struct transfer_reply *p), void *arg,
                     struct transfer_reply *out, struct err *e);
