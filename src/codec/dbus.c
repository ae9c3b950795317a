// SPDX-License-Identifier: Apache-2.0
// A message is a fixed head, an array of header fields (a number and a variant each), padding to
// eight, and the body. Everything is aligned to its size, counted from the message's beginning; a
// body begins at a multiple of eight, so one that is built alone is aligned already.
#include "codec/dbus.h"

#define FIXED 16 // up to and with the length of the header fields

enum field { PATH = 1, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION, SENDER, SIGNATURE };

// --- writing -----------------------------------------------------------------------------------

static void pad(struct str *out, size_t align)
{
    while (out->n % align) str_addc(out, '\0');
}

static void put_u32(char *at, uint32_t v)
{
    for (int i = 0; i < 4; i++) at[i] = (char)(v >> 8 * i & 0xff);
}

void codec_dbus_add_u32(struct str *body, uint32_t v)
{
    char bytes[4];
    pad(body, 4);
    put_u32(bytes, v);
    str_add(body, (struct sv){bytes, sizeof bytes});
}

void codec_dbus_add_u64(struct str *body, uint64_t v)
{
    pad(body, 8);
    codec_dbus_add_u32(body, (uint32_t)v);
    codec_dbus_add_u32(body, (uint32_t)(v >> 32));
}

void codec_dbus_add_bool(struct str *body, bool v)
{
    codec_dbus_add_u32(body, v);
}

void codec_dbus_add_text(struct str *body, const char *text)
{
    struct sv v = sv_of(text);
    codec_dbus_add_u32(body, (uint32_t)v.n);
    str_add(body, v);
    str_addc(body, '\0');
}

void codec_dbus_add_signature(struct str *body, const char *text)
{
    struct sv v = sv_of(text);
    str_addc(body, (char)v.n);
    str_add(body, v);
    str_addc(body, '\0');
}

void codec_dbus_add_struct(struct str *body)
{
    pad(body, 8);
}

struct codec_dbus_array codec_dbus_array_begin(struct str *body, size_t align)
{
    struct codec_dbus_array a;
    codec_dbus_add_u32(body, 0);
    a.length_at = body->n - 4;
    pad(body, align); // not counted
    a.from = body->n;
    return a;
}

void codec_dbus_array_end(struct str *body, struct codec_dbus_array a)
{
    put_u32(body->p + a.length_at, (uint32_t)(body->n - a.from));
}

static void add_field(struct str *out, enum field which, const char *type, const char *text)
{
    if (!text) return;
    codec_dbus_add_struct(out);
    str_addc(out, (char)which);
    codec_dbus_add_signature(out, type);
    if (type[0] == 'g')
        codec_dbus_add_signature(out, text);
    else
        codec_dbus_add_text(out, text);
}

void codec_dbus_print_call(const struct codec_dbus_call *c, struct sv body, struct str *out)
{
    str_clear(out);
    str_add(out, (struct sv){(const char[]){'l', CODEC_DBUS_CALL, 0, 1}, 4});
    codec_dbus_add_u32(out, (uint32_t)body.n);
    codec_dbus_add_u32(out, c->serial);
    struct codec_dbus_array fields = codec_dbus_array_begin(out, 8);
    add_field(out, PATH, "o", c->path);
    add_field(out, DESTINATION, "s", c->destination);
    add_field(out, INTERFACE, "s", c->interface);
    add_field(out, MEMBER, "s", c->member);
    add_field(out, SIGNATURE, "g", c->signature);
    codec_dbus_array_end(out, fields);
    pad(out, 8);
    str_add(out, body);
}

// --- reading -----------------------------------------------------------------------------------

// A cursor that never passes the end: `bad` stays once it wanted to.
struct cursor {
    struct sv all;
    size_t at;
    bool big, bad;
};

static struct sv take(struct cursor *c, size_t n)
{
    if (c->bad || n > c->all.n - c->at) {
        c->bad = true;
        return (struct sv){"", 0};
    }
    struct sv v = {c->all.p + c->at, n};
    c->at += n;
    return v;
}

static void align(struct cursor *c, size_t to)
{
    take(c, (to - c->at % to) % to);
}

static uint32_t get_u32(struct cursor *c)
{
    align(c, 4);
    struct sv v = take(c, 4);
    uint32_t n = 0;
    for (size_t i = 0; i < v.n; i++) {
        unsigned char byte = (unsigned char)v.p[c->big ? i : 3 - i];
        n = n << 8 | byte;
    }
    return n;
}

static struct sv get_text(struct cursor *c)
{
    struct sv v = take(c, get_u32(c));
    take(c, 1);
    return v;
}

static struct sv get_signature(struct cursor *c)
{
    struct sv length = take(c, 1);
    struct sv v = take(c, length.n ? (unsigned char)length.p[0] : 0);
    take(c, 1);
    return v;
}

static void get_field(struct cursor *c, struct codec_dbus_message *out)
{
    align(c, 8);
    struct sv which = take(c, 1), type = get_signature(c), text = {"", 0};
    uint32_t number = 0;
    if (sv_eqz(type, "s") || sv_eqz(type, "o"))
        text = get_text(c);
    else if (sv_eqz(type, "g"))
        text = get_signature(c);
    else if (sv_eqz(type, "u"))
        number = get_u32(c);
    else
        c->bad = true; // no field of the specification has another type
    if (c->bad || !which.n) return;
    if (which.p[0] == ERROR_NAME) out->error = text;
    if (which.p[0] == SIGNATURE) out->signature = text;
    if (which.p[0] == REPLY_SERIAL) out->reply_to = number;
}

ssize_t codec_dbus_parse(struct sv bytes, struct codec_dbus_message *out)
{
    *out = (struct codec_dbus_message){0};
    if (bytes.n < FIXED) return 0;
    struct cursor c = {.all = bytes, .at = 4, .big = bytes.p[0] == 'B'};
    unsigned kind = (unsigned char)bytes.p[1];
    if ((bytes.p[0] != 'l' && bytes.p[0] != 'B') || bytes.p[3] != 1 || kind == 0) return -1;
    uint32_t body_n = get_u32(&c);
    get_u32(&c);
    uint32_t fields_n = get_u32(&c);
    if (body_n > CODEC_DBUS_MAX || fields_n > CODEC_DBUS_MAX) return -1;
    size_t body_at = (FIXED + fields_n + 7) / 8 * 8;
    if (bytes.n < body_at + body_n) return 0;
    // Kinds that are not known are to be passed over.
    out->kind = kind < CODEC_DBUS_KIND_COUNT ? (enum codec_dbus_kind)kind : CODEC_DBUS_KIND_COUNT;
    c.all.n = FIXED + fields_n;
    while (!c.bad && c.at < c.all.n) get_field(&c, out);
    if (c.bad) return -1;
    struct cursor body = {.all = sv_part(bytes, body_at, body_n), .big = c.big};
    if (sv_starts(out->signature, "s")) out->text = get_text(&body);
    return body.bad ? -1 : (ssize_t)(body_at + body_n);
}
