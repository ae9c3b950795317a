// SPDX-License-Identifier: Apache-2.0
#include "codec/json_flat.h"

#include <string.h>

#define DIGITS_MAX 19 // of them any number fits in 64 bits without a sign

struct reader {
    const char *at, *end;
};

static bool take(struct reader *r, char c)
{
    if (r->at == r->end || *r->at != c) return false;
    r->at++;
    return true;
}

static bool take_word(struct reader *r, struct sv word)
{
    if ((size_t)(r->end - r->at) < word.n || memcmp(r->at, word.p, word.n) != 0) return false;
    r->at += word.n;
    return true;
}

// Printable ASCII without an escape.
static bool take_text(struct reader *r, struct sv *out)
{
    if (!take(r, '"')) return false;
    out->p = r->at;
    while (r->at < r->end && *r->at >= ' ' && *r->at < 0x7F && *r->at != '"' && *r->at != '\\')
        r->at++;
    out->n = (size_t)(r->at - out->p);
    return take(r, '"');
}

static bool take_number(struct reader *r, int64_t *out)
{
    bool minus = take(r, '-');
    const char *first = r->at;
    uint64_t n = 0;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9' && r->at - first < DIGITS_MAX)
        n = n * 10 + (uint64_t)(*r->at++ - '0');
    size_t digits = (size_t)(r->at - first);
    *out = minus ? -(int64_t)n : (int64_t)n;
    return digits > 0 && n <= INT64_MAX && (digits == 1 || *first != '0');
}

static bool take_value(struct reader *r, struct codec_flat_item *item)
{
    item->type = CODEC_JSON_TEXT;
    if (take_text(r, &item->text)) return true;
    item->type = CODEC_JSON_BOOL;
    item->number = 1;
    if (take_word(r, SV("true"))) return true;
    item->number = 0;
    if (take_word(r, SV("false"))) return true;
    item->type = CODEC_JSON_INT;
    return take_number(r, &item->number);
}

static const struct codec_flat_item *find(const struct codec_flat *f, struct sv key)
{
    for (size_t i = 0; i < f->n; i++)
        if (sv_eq(f->items[i].key, key)) return &f->items[i];
    return NULL;
}

static bool take_object(struct reader *r, struct codec_flat *out)
{
    if (!take(r, '{')) return false;
    if (take(r, '}')) return r->at == r->end;
    do {
        struct codec_flat_item item = {0};
        if (out->n == CODEC_FLAT_MAX || !take_text(r, &item.key) || !take(r, ':') ||
            !take_value(r, &item) || find(out, item.key))
            return false;
        out->items[out->n++] = item;
    } while (take(r, ','));
    return take(r, '}') && r->at == r->end;
}

int codec_flat_parse(struct sv text, const char *label, struct codec_flat *out, struct err *e)
{
    struct reader r = {text.p, text.p + text.n};
    out->n = 0;
    out->json = NULL;
    return take_object(&r, out) ? 0 : codec_json_parse(text, label, &out->json, e);
}

struct sv codec_flat_text(const struct codec_flat *f, const char *key)
{
    if (f->json) return codec_json_text(codec_json_get(f->json, key));
    const struct codec_flat_item *item = find(f, sv_of(key));
    return item && item->type == CODEC_JSON_TEXT ? item->text : SV("");
}

int64_t codec_flat_int(const struct codec_flat *f, const char *key)
{
    if (f->json) return codec_json_int(codec_json_get(f->json, key));
    const struct codec_flat_item *item = find(f, sv_of(key));
    return item && item->type == CODEC_JSON_INT ? item->number : 0;
}

bool codec_flat_bool(const struct codec_flat *f, const char *key)
{
    if (f->json) return codec_json_bool(codec_json_get(f->json, key));
    const struct codec_flat_item *item = find(f, sv_of(key));
    return item && item->type == CODEC_JSON_BOOL && item->number;
}
