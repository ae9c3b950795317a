// SPDX-License-Identifier: Apache-2.0
// Header values that servers send, read strictly: each is outside input.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

// The value of the nth header `name` in lines of "Name: value\n"; false: there is none.
bool header_find(struct sv lines, const char *name, unsigned nth, struct sv *out);

// One challenge of WWW-Authenticate. Texts are cut out of the header, unquoted.
#define HEADER_CHALLENGES 8
struct header_challenge {
    bool bearer; // else Basic; other schemes are skipped
    char realm[1024];
    char service[256];
    char scope[2048];
    char error[64];
};
// Reads one header value, which may hold several challenges; adds to *n, at most HEADER_CHALLENGES.
// false: malformed (what was read before stays).
bool header_challenges(struct sv value, struct header_challenge out[HEADER_CHALLENGES], size_t *n);

// "bytes 5-9/10". false: malformed, or the total or the range is not said.
bool header_content_range(struct sv value, uint64_t *first, uint64_t *last, uint64_t *total);
// "0-1023" or "bytes=0-1023", as registries say how much of an upload they have: *out_next = 1024.
// An empty upload is "0-0" for some registries, which one byte is too; read as 0.
bool header_upload_range(struct sv value, uint64_t *out_next);
// The target with rel="next": false when there is none.
bool header_link_next(struct sv value, char *out, size_t size);
// Seconds, or an HTTP date (then relative to `now`); false: neither.
bool header_retry_after(struct sv value, int64_t now, int64_t *out_seconds);
// A media type without parameters, in lower case; "" when it does not fit.
void header_media_type(struct sv value, char *out, size_t size);
// filename or filename* of Content-Disposition as a plain base name; false: none that is usable.
bool header_file_name(struct sv value, char out[256]);
