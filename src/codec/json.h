// SPDX-License-Identifier: Apache-2.0
// JSON, strictly: duplicate keys, trailing text, depth over the limit, numbers outside int64 and
// invalid UTF-8 are errors that name line and column. Wraps libjansson (codec/json.c is the only
// file that sees it). Printing is compact, keys in the order they were set, so bytes are stable.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "base/vec.h"

struct codec_json;  // a value; owned by its container or by the caller of *_new_* / _parse

enum codec_json_type {
    CODEC_JSON_NULL,
    CODEC_JSON_BOOL,
    CODEC_JSON_INT,
    CODEC_JSON_REAL,
    CODEC_JSON_TEXT,
    CODEC_JSON_ARRAY,
    CODEC_JSON_OBJECT,
};

// `label` names the text in errors ("manifest of 'x:latest'").
int codec_json_parse(struct sv text, const char *label, struct codec_json **out, struct err *e);
void codec_json_free(struct codec_json *j);  // only for values that nothing contains
static inline void own_codec_json(struct codec_json **j)
{
    codec_json_free(*j);
}

enum codec_json_type codec_json_type(const struct codec_json *j);
struct codec_json *codec_json_get(const struct codec_json *obj, const char *key);  // NULL: absent
size_t codec_json_len(const struct codec_json *array_or_object);
struct codec_json *codec_json_at(const struct codec_json *array, size_t i);
// Walks an object in the order of its keys in the text: start with *it NULL; false at the end.
bool codec_json_next(const struct codec_json *obj, void **it, const char **key,
                     struct codec_json **value);
struct sv codec_json_text(const struct codec_json *j);  // {"",0} unless TEXT
int64_t codec_json_int(const struct codec_json *j);     // 0 unless INT
bool codec_json_bool(const struct codec_json *j);
double codec_json_real(const struct codec_json *j);

struct codec_json *codec_json_new_object(void);
struct codec_json *codec_json_new_array(void);
struct codec_json *codec_json_new_text(struct sv v);  // bytes that are not UTF-8 become U+FFFD
struct codec_json *codec_json_new_int(int64_t v);
struct codec_json *codec_json_new_real(double v);  // finite
struct codec_json *codec_json_new_bool(bool v);
struct codec_json *codec_json_new_null(void);
struct codec_json *codec_json_new_strv(const struct strv *v);
struct codec_json *codec_json_copy(const struct codec_json *j);                           // deep
void codec_json_set(struct codec_json *obj, const char *key, struct codec_json *v);       // takes v
void codec_json_set_text(struct codec_json *obj, const char *key, const char *z);         // NULL: skip
void codec_json_del(struct codec_json *obj, const char *key);                             // absent is fine
void codec_json_add(struct codec_json *array, struct codec_json *v);                      // takes v
// Overwrites every text in it with zeros: for values that held secrets, right before they are freed.
void codec_json_wipe(struct codec_json *j);
void codec_json_print(const struct codec_json *j, struct str *out);                       // compact
void codec_json_print_pretty(const struct codec_json *j, unsigned indent, struct str *out);

// Decoding by table: one row a key. Unknown keys are ignored (specs ask for that) unless strict.
enum codec_field_kind {
    CODEC_FIELD_TEXT,   // char *
    CODEC_FIELD_INT,    // int64_t
    CODEC_FIELD_BOOL,   // bool
    CODEC_FIELD_STRV,   // struct strv, array of texts
    CODEC_FIELD_VALUE,  // struct codec_json *, borrowed
};
struct codec_field {
    const char *key;
    enum codec_field_kind kind;
    size_t offset;
    bool required;
};
// null counts as absent. Targets must start zeroed; TEXT and STRV become owned by the caller.
int codec_json_decode(const struct codec_json *obj, const char *label,
                      const struct codec_field *fields, size_t n, void *out, struct err *e);
