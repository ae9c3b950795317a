// SPDX-License-Identifier: Apache-2.0
// One JSON object of texts, whole numbers and booleans, read without building it: records and states
// of containers, of which a listing reads two thousand. What is not that plain (an escape, a letter
// beyond ASCII, a blank, a value with parts, a key twice, more than CODEC_FLAT_MAX keys) is read by
// codec_json_parse, whose word on validity is the last.
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "codec/json.h"

#define CODEC_FLAT_MAX 24

struct codec_flat {
    struct codec_flat_item {
        struct sv key, text;
        int64_t number;
        enum codec_json_type type;
    } items[CODEC_FLAT_MAX];
    size_t n;
    struct codec_json *json; // in place of the items
};

// Borrows `text`. Errors as of codec_json_parse.
int codec_flat_parse(struct sv text, const char *label, struct codec_flat *out, struct err *e);
static inline void own_codec_flat(struct codec_flat *f)
{
    codec_json_free(f->json);
}

struct sv codec_flat_text(const struct codec_flat *f, const char *key); // {"",0} unless a text
int64_t codec_flat_int(const struct codec_flat *f, const char *key);    // 0 unless a whole number
bool codec_flat_bool(const struct codec_flat *f, const char *key);
