// SPDX-License-Identifier: Apache-2.0
// D-Bus messages as bytes: what it takes to call a method and to understand the answer. Numbers are
// little-endian in what is written; what is read may be either. Values of a body are added in the
// order of its signature, each of these functions pads by itself.
#pragma once

#include <sys/types.h>

#include "base/str.h"

#define CODEC_DBUS_MAX ((size_t)1 << 20) // of a message; the bus allows more, nobody needs it

struct codec_dbus_call {
    const char *destination; // "org.freedesktop.systemd1"
    const char *path, *interface, *member;
    const char *signature; // of the body; NULL: it is empty
    uint32_t serial;       // not 0
};
void codec_dbus_print_call(const struct codec_dbus_call *c, struct sv body, struct str *out);

void codec_dbus_add_u32(struct str *body, uint32_t v);
void codec_dbus_add_u64(struct str *body, uint64_t v);
void codec_dbus_add_bool(struct str *body, bool v);
void codec_dbus_add_text(struct str *body, const char *text); // s and o
void codec_dbus_add_signature(struct str *body, const char *text); // in front of a variant's value
void codec_dbus_add_struct(struct str *body);                 // its members follow
// An array of elements that begin at multiples of `align`; _end takes what _begin returned.
struct codec_dbus_array {
    size_t length_at, from;
};
struct codec_dbus_array codec_dbus_array_begin(struct str *body, size_t align);
void codec_dbus_array_end(struct str *body, struct codec_dbus_array a);

enum codec_dbus_kind {
    CODEC_DBUS_CALL = 1,
    CODEC_DBUS_RETURN,
    CODEC_DBUS_ERROR,
    CODEC_DBUS_SIGNAL,
    CODEC_DBUS_KIND_COUNT,
};
struct codec_dbus_message {
    enum codec_dbus_kind kind;
    uint32_t reply_to;   // serial of the call it answers; 0: none
    struct sv error;     // its name
    struct sv signature; // of the body
    struct sv text;      // the body's first value when that is a text: what an error says
};
// One message from the beginning of `bytes`: how many it has, 0 when it is not whole yet, -1 when it
// is none. The views are into `bytes`.
ssize_t codec_dbus_parse(struct sv bytes, struct codec_dbus_message *out);
