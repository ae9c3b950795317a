// SPDX-License-Identifier: Apache-2.0
// The one file that sees libjansson.
#include "codec/json.h"

#include <jansson.h>
#include <string.h>

#include "base/engine.h"
#include "codec/json_memory.h"

static json_t *j_of(const struct codec_json *j)
{
    return (json_t *)(uintptr_t)j;
}

static struct codec_json *of_j(json_t *j)
{
    return (struct codec_json *)(void *)j;
}

// jansson refuses depth over 2048; we want less, and counted before it recurses.
static bool too_deep(struct sv text)
{
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (quoted) {
            if (c == '\\') i++;
            if (c == '"') quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '[' || c == '{') {
            if (++depth > LIMIT_JSON_DEPTH) return true;
        } else if ((c == ']' || c == '}') && depth) {
            depth--;
        }
    }
    return false;
}

int codec_json_parse(struct sv text, const char *label, struct codec_json **out, struct err *e)
{
    json_error_t je;
    if (too_deep(text))
        return err_set(e, ERR_LIMIT, "%s: nested deeper than %d levels", label, LIMIT_JSON_DEPTH);
    codec_json_memory();
    json_t *j = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
    if (!j) return err_set(e, ERR_INPUT, "%s:%d:%d: %s", label, je.line, je.column, je.text);
    *out = of_j(j);
    return 0;
}

void codec_json_free(struct codec_json *j)
{
    json_decref(j_of(j));
}

enum codec_json_type codec_json_type(const struct codec_json *j)
{
    static const enum codec_json_type types[] = {
        [JSON_OBJECT] = CODEC_JSON_OBJECT, [JSON_ARRAY] = CODEC_JSON_ARRAY,
        [JSON_STRING] = CODEC_JSON_TEXT,   [JSON_INTEGER] = CODEC_JSON_INT,
        [JSON_REAL] = CODEC_JSON_REAL,     [JSON_TRUE] = CODEC_JSON_BOOL,
        [JSON_FALSE] = CODEC_JSON_BOOL,    [JSON_NULL] = CODEC_JSON_NULL,
    };
    return j ? types[json_typeof(j_of(j))] : CODEC_JSON_NULL;
}

struct codec_json *codec_json_get(const struct codec_json *obj, const char *key)
{
    return of_j(json_object_get(j_of(obj), key));
}

size_t codec_json_len(const struct codec_json *v)
{
    return json_is_object(j_of(v)) ? json_object_size(j_of(v)) : json_array_size(j_of(v));
}

struct codec_json *codec_json_at(const struct codec_json *array, size_t i)
{
    return of_j(json_array_get(j_of(array), i));
}

bool codec_json_next(const struct codec_json *obj, void **it, const char **key,
                     struct codec_json **value)
{
    *it = *it ? json_object_iter_next(j_of(obj), *it) : json_object_iter(j_of(obj));
    if (!*it) return false;
    *key = json_object_iter_key(*it);
    *value = of_j(json_object_iter_value(*it));
    return true;
}

struct sv codec_json_text(const struct codec_json *j)
{
    if (!json_is_string(j_of(j))) return SV("");
    return (struct sv){json_string_value(j_of(j)), json_string_length(j_of(j))};
}

int64_t codec_json_int(const struct codec_json *j)
{
    return json_integer_value(j_of(j));
}

bool codec_json_bool(const struct codec_json *j)
{
    return json_is_true(j_of(j));
}

double codec_json_real(const struct codec_json *j)
{
    return json_number_value(j_of(j));
}

static struct codec_json *checked(json_t *j)
{
    if (!j) abort();
    return of_j(j);
}

struct codec_json *codec_json_new_object(void)
{
    codec_json_memory();
    return checked(json_object());
}

struct codec_json *codec_json_new_array(void)
{
    codec_json_memory();
    return checked(json_array());
}

struct codec_json *codec_json_new_text(struct sv v)
{
    codec_json_memory();
    if (sv_is_utf8(v)) return checked(json_stringn(v.p ? v.p : "", v.n));
    struct str s = {0};
    for (size_t i = 0; i < v.n;) {  // keep what is valid, replace each bad byte
        size_t len = 4;
        while (len && (i + len > v.n || !sv_is_utf8(sv_part(v, i, len)))) len--;
        str_add(&s, len ? sv_part(v, i, len) : SV("\xef\xbf\xbd"));
        i += len ? len : 1;
    }
    json_t *j = json_stringn(str_z(&s), s.n);
    str_fini(&s);
    return checked(j);
}

struct codec_json *codec_json_new_int(int64_t v)
{
    codec_json_memory();
    return checked(json_integer(v));
}

struct codec_json *codec_json_new_real(double v)
{
    codec_json_memory();
    return checked(json_real(v));
}

struct codec_json *codec_json_new_bool(bool v)
{
    return checked(json_boolean(v));
}

struct codec_json *codec_json_new_null(void)
{
    return checked(json_null());
}

struct codec_json *codec_json_new_strv(const struct strv *v)
{
    struct codec_json *a = codec_json_new_array();
    for (size_t i = 0; i < v->n; i++) codec_json_add(a, codec_json_new_text(sv_of(v->p[i])));
    return a;
}

struct codec_json *codec_json_copy(const struct codec_json *j)
{
    return checked(json_deep_copy(j_of(j)));
}

void codec_json_set(struct codec_json *obj, const char *key, struct codec_json *v)
{
    struct sv k = sv_of(key);
    if (sv_is_utf8(k)) {
        if (json_object_set_new(j_of(obj), key, j_of(v)) != 0) abort();
        return;
    }
    struct codec_json *fixed = codec_json_new_text(k);  // the same replacement as for values
    if (json_object_set_new(j_of(obj), json_string_value(j_of(fixed)), j_of(v)) != 0) abort();
    codec_json_free(fixed);
}

void codec_json_set_text(struct codec_json *obj, const char *key, const char *z)
{
    if (z) codec_json_set(obj, key, codec_json_new_text(sv_of(z)));
}

void codec_json_del(struct codec_json *obj, const char *key)
{
    json_object_del(j_of(obj), key);
}

void codec_json_wipe(struct codec_json *j)
{
    size_t i;
    void *it;
    if (json_is_string(j_of(j))) {
        // jansson lends its own buffer, which is ours to clear: nobody reads this value again.
        explicit_bzero((char *)(uintptr_t)json_string_value(j_of(j)), json_string_length(j_of(j)));
    } else if (json_is_array(j_of(j))) {
        for (i = 0; i < codec_json_len(j); i++) codec_json_wipe(codec_json_at(j, i));
    } else if (json_is_object(j_of(j))) {
        for (it = json_object_iter(j_of(j)); it; it = json_object_iter_next(j_of(j), it))
            codec_json_wipe(of_j(json_object_iter_value(it)));
    }
}

void codec_json_add(struct codec_json *array, struct codec_json *v)
{
    if (json_array_append_new(j_of(array), j_of(v)) != 0) abort();
}

static int add_piece(const char *p, size_t n, void *arg)
{
    str_add(arg, (struct sv){p, n});
    return 0;
}

void codec_json_print(const struct codec_json *j, struct str *out)
{
    json_dump_callback(j_of(j), add_piece, out, JSON_COMPACT | JSON_ENCODE_ANY);
}

void codec_json_print_pretty(const struct codec_json *j, unsigned indent, struct str *out)
{
    json_dump_callback(j_of(j), add_piece, out, JSON_INDENT(indent) | JSON_ENCODE_ANY);
}

static int wrong_type(const char *label, const char *key, const char *wanted, struct err *e)
{
    return err_set(e, ERR_INPUT, "%s: '%s' must be %s", label, key, wanted);
}

static int decode_strv(const struct codec_json *v, const char *label, const char *key,
                       struct strv *out, struct err *e)
{
    if (codec_json_type(v) != CODEC_JSON_ARRAY)
        return wrong_type(label, key, "an array of texts", e);
    for (size_t i = 0; i < codec_json_len(v); i++) {
        const struct codec_json *item = codec_json_at(v, i);
        if (codec_json_type(item) != CODEC_JSON_TEXT)
            return wrong_type(label, key, "an array of texts", e);
        strv_take(out, sv_dup(codec_json_text(item)));
    }
    return 0;
}

static int decode_one(const struct codec_json *v, const char *label, const struct codec_field *f,
                      void *at, struct err *e)
{
    enum codec_json_type type = codec_json_type(v);
    switch (f->kind) {
    case CODEC_FIELD_TEXT:
        if (type != CODEC_JSON_TEXT) return wrong_type(label, f->key, "a text", e);
        *(char **)at = sv_dup(codec_json_text(v));
        return 0;
    case CODEC_FIELD_INT:
        if (type != CODEC_JSON_INT) return wrong_type(label, f->key, "a whole number", e);
        *(int64_t *)at = codec_json_int(v);
        return 0;
    case CODEC_FIELD_BOOL:
        if (type != CODEC_JSON_BOOL) return wrong_type(label, f->key, "true or false", e);
        *(bool *)at = codec_json_bool(v);
        return 0;
    case CODEC_FIELD_STRV:
        return decode_strv(v, label, f->key, at, e);
    case CODEC_FIELD_VALUE:
        *(const struct codec_json **)at = v;
        return 0;
    }
    return 0;
}

int codec_json_decode(const struct codec_json *obj, const char *label,
                      const struct codec_field *fields, size_t n, void *out, struct err *e)
{
    if (codec_json_type(obj) != CODEC_JSON_OBJECT)
        return err_set(e, ERR_INPUT, "%s: must be a JSON object", label);
    for (size_t i = 0; i < n; i++) {
        const struct codec_json *v = codec_json_get(obj, fields[i].key);
        if (codec_json_type(v) == CODEC_JSON_NULL) {
            if (fields[i].required)
                return err_set(e, ERR_INPUT, "%s: '%s' is missing", label, fields[i].key);
            continue;
        }
        if (decode_one(v, label, &fields[i], (char *)out + fields[i].offset, e) < 0) return -1;
    }
    return 0;
}
