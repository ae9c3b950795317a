// SPDX-License-Identifier: Apache-2.0
// The functions of templates: Go's own and those that Docker's --format adds.
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/opt.h"
#include "base/own.h"
#include "base/table.h"
#include "codec/template_internal.h"

value codec_template_keep(struct run *r, struct codec_json *v)
{
    vec_push(&r->made, v);
    return v;
}

static int give_text(struct run *r, const struct str *s, value *out)
{
    if (str_check(s, r->e) < 0) return -1;
    *out = codec_template_keep(r, codec_json_new_text(str_sv(s)));
    return 0;
}

static int give_bool(struct run *r, bool v, value *out)
{
    *out = codec_template_keep(r, codec_json_new_bool(v));
    return 0;
}

static int give_int(struct run *r, int64_t v, value *out)
{
    *out = codec_template_keep(r, codec_json_new_int(v));
    return 0;
}

static bool is_number(value v)
{
    enum codec_json_type t = codec_json_type(v);
    return t == CODEC_JSON_INT || t == CODEC_JSON_REAL;
}

static const char *kind_of(value v)
{
    static const char *const names[] = {
        [CODEC_JSON_NULL] = "nothing", [CODEC_JSON_BOOL] = "true or false",
        [CODEC_JSON_INT] = "a number", [CODEC_JSON_REAL] = "a number",
        [CODEC_JSON_TEXT] = "a text",  [CODEC_JSON_ARRAY] = "a list",
        [CODEC_JSON_OBJECT] = "a map",
    };
    return names[codec_json_type(v)];
}

bool codec_template_true(value v)
{
    switch (codec_json_type(v)) {
    case CODEC_JSON_NULL:
        return false;
    case CODEC_JSON_BOOL:
        return codec_json_bool(v);
    case CODEC_JSON_INT:
        return codec_json_int(v) != 0;
    case CODEC_JSON_REAL:
        return codec_json_real(v) < 0 || codec_json_real(v) > 0;
    case CODEC_JSON_TEXT:
        return codec_json_text(v).n > 0;
    case CODEC_JSON_ARRAY:
    case CODEC_JSON_OBJECT:
        return codec_json_len(v) > 0;
    }
    return false;
}

// --- showing ------------------------------------------------------------------------------------

static void show_real(double v, struct str *out)
{
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {  // the shortest that reads back the same
        snprintf(text, sizeof text, "%.*g", digits, v);
        double back = strtod(text, NULL);
        if (back >= v && back <= v) break;
    }
    str_addz(out, text);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void show_map(value v, struct str *out)
{
    size_t len = codec_json_len(v), i = 0;
    const char **keys = mem_alloc(len * sizeof *keys);
    void *it = NULL;
    struct codec_json *item;
    while (i < len && codec_json_next(v, &it, &keys[i], &item)) i++;
    if (len) qsort(keys, len, sizeof *keys, by_key);
    str_addz(out, "map[");
    for (i = 0; i < len; i++) {
        str_addf(out, "%s%s:", i ? " " : "", keys[i]);
        codec_template_show(codec_json_get(v, keys[i]), true, out);
    }
    str_addc(out, ']');
    free(keys);
}

void codec_template_show(value v, bool inside, struct str *out)
{
    switch (codec_json_type(v)) {
    case CODEC_JSON_NULL:
        str_addz(out, inside || v ? "<nil>" : "<no value>");
        return;
    case CODEC_JSON_BOOL:
        str_addz(out, codec_json_bool(v) ? "true" : "false");
        return;
    case CODEC_JSON_INT:
        str_addf(out, "%" PRId64, codec_json_int(v));
        return;
    case CODEC_JSON_REAL:
        show_real(codec_json_real(v), out);
        return;
    case CODEC_JSON_TEXT:
        str_add(out, codec_json_text(v));
        return;
    case CODEC_JSON_ARRAY:
        str_addc(out, '[');
        for (size_t i = 0; i < codec_json_len(v); i++) {
            if (i) str_addc(out, ' ');
            codec_template_show(codec_json_at(v, i), true, out);
        }
        str_addc(out, ']');
        return;
    case CODEC_JSON_OBJECT:
        show_map(v, out);
        return;
    }
}

// --- logic and comparison -----------------------------------------------------------------------

static int fn_not(struct run *r, const value *a, size_t n, value *out)
{
    (void)n;
    return give_bool(r, !codec_template_true(a[0]), out);
}

// `and` and `or` are evaluated by the walker; these rows only make their names known.
static int fn_last(struct run *r, const value *a, size_t n, value *out)
{
    (void)r;
    *out = n ? a[n - 1] : NULL;
    return 0;
}

// -1, 0, 1; 2 when they differ without an order; fails on kinds that cannot be compared.
static int compare(struct run *r, value a, value b, int *out)
{
    enum codec_json_type ta = codec_json_type(a), tb = codec_json_type(b);
    if (is_number(a) && is_number(b)) {
        if (ta == CODEC_JSON_INT && tb == CODEC_JSON_INT) {
            int64_t x = codec_json_int(a), y = codec_json_int(b);
            *out = (x > y) - (x < y);
            return 0;
        }
        double x = codec_json_real(a), y = codec_json_real(b);
        *out = (x > y) - (x < y);
        return 0;
    }
    if (ta == CODEC_JSON_NULL || tb == CODEC_JSON_NULL) {
        *out = ta == tb ? 0 : 2;
        return 0;
    }
    if (ta != tb || ta == CODEC_JSON_ARRAY || ta == CODEC_JSON_OBJECT)
        return err_set(r->e, ERR_USAGE, "%s cannot be compared with %s", kind_of(a), kind_of(b));
    if (ta == CODEC_JSON_TEXT) {
        int c = sv_cmp(codec_json_text(a), codec_json_text(b));
        *out = (c > 0) - (c < 0);
        return 0;
    }
    *out = codec_json_bool(a) == codec_json_bool(b) ? 0 : 2;
    return 0;
}

static int fn_eq(struct run *r, const value *a, size_t n, value *out)
{
    int c = 1;
    for (size_t i = 1; i < n && c != 0; i++)
        if (compare(r, a[0], a[i], &c) < 0) return -1;
    return give_bool(r, c == 0, out);
}

static int fn_ne(struct run *r, const value *a, size_t n, value *out)
{
    int c;
    (void)n;
    if (compare(r, a[0], a[1], &c) < 0) return -1;
    return give_bool(r, c != 0, out);
}

static int ordered(struct run *r, const value *a, bool below, bool equal, value *out)
{
    int c;
    if (compare(r, a[0], a[1], &c) < 0) return -1;
    if (c == 2 || codec_json_type(a[0]) == CODEC_JSON_BOOL)
        return err_set(r->e, ERR_USAGE, "%s has no order", kind_of(a[0]));
    return give_bool(r, (c == 0 && equal) || (c != 0 && (c < 0) == below), out);
}

static int fn_lt(struct run *r, const value *a, size_t n, value *out)
{
    (void)n;
    return ordered(r, a, true, false, out);
}

static int fn_le(struct run *r, const value *a, size_t n, value *out)
{
    (void)n;
    return ordered(r, a, true, true, out);
}

static int fn_gt(struct run *r, const value *a, size_t n, value *out)
{
    (void)n;
    return ordered(r, a, false, false, out);
}

static int fn_ge(struct run *r, const value *a, size_t n, value *out)
{
    (void)n;
    return ordered(r, a, false, true, out);
}

// --- parts --------------------------------------------------------------------------------------

static int fn_len(struct run *r, const value *a, size_t n, value *out)
{
    enum codec_json_type t = codec_json_type(a[0]);
    (void)n;
    if (t == CODEC_JSON_TEXT) return give_int(r, (int64_t)codec_json_text(a[0]).n, out);
    if (t == CODEC_JSON_ARRAY || t == CODEC_JSON_OBJECT)
        return give_int(r, (int64_t)codec_json_len(a[0]), out);
    if (t == CODEC_JSON_NULL) return give_int(r, 0, out);
    return err_set(r->e, ERR_USAGE, "%s has no length", kind_of(a[0]));
}

int codec_template_index(struct run *r, value of, value key, value *out)
{
    enum codec_json_type t = codec_json_type(of);
    if (t == CODEC_JSON_OBJECT && codec_json_type(key) == CODEC_JSON_TEXT) {
        own(free) char *name = sv_dup(codec_json_text(key));
        *out = codec_json_get(of, name);
        if (!*out) *out = codec_template_keep(r, codec_json_new_text(SV("")));
        return 0;
    }
    if (t == CODEC_JSON_NULL) {  // a nil map in Go: every key gives the empty value
        *out = codec_template_keep(r, codec_json_new_text(SV("")));
        return 0;
    }
    if (t == CODEC_JSON_ARRAY && codec_json_type(key) == CODEC_JSON_INT) {
        int64_t i = codec_json_int(key);
        if (i < 0 || (uint64_t)i >= codec_json_len(of))
            return err_set(r->e, ERR_USAGE, "index %" PRId64 " is outside a list of %zu", i,
                           codec_json_len(of));
        *out = codec_json_at(of, (size_t)i);
        return 0;
    }
    return err_set(r->e, ERR_USAGE, "%s cannot be indexed with %s", kind_of(of), kind_of(key));
}

static int fn_index(struct run *r, const value *a, size_t n, value *out)
{
    *out = a[0];
    for (size_t i = 1; i < n; i++)
        if (codec_template_index(r, *out, a[i], out) < 0) return -1;
    return 0;
}

static int fn_slice(struct run *r, const value *a, size_t n, value *out)
{
    bool text = codec_json_type(a[0]) == CODEC_JSON_TEXT;
    if (!text && codec_json_type(a[0]) != CODEC_JSON_ARRAY)
        return err_set(r->e, ERR_USAGE, "%s cannot be sliced", kind_of(a[0]));
    size_t len = text ? codec_json_text(a[0]).n : codec_json_len(a[0]);
    int64_t ends[2] = {0, (int64_t)len};
    for (size_t i = 1; i < n; i++) {
        ends[i - 1] = codec_json_int(a[i]);
        if (codec_json_type(a[i]) != CODEC_JSON_INT || ends[i - 1] < 0 || ends[i - 1] > (int64_t)len)
            return err_set(r->e, ERR_USAGE, "a slice must lie between 0 and %zu", len);
    }
    if (ends[0] > ends[1]) return err_set(r->e, ERR_USAGE, "a slice ends before it begins");
    if (text) {
        struct sv part = sv_part(codec_json_text(a[0]), (size_t)ends[0], (size_t)(ends[1] - ends[0]));
        *out = codec_template_keep(r, codec_json_new_text(part));
        return 0;
    }
    struct codec_json *list = codec_json_new_array();
    for (int64_t i = ends[0]; i < ends[1]; i++)
        codec_json_add(list, codec_json_copy(codec_json_at(a[0], (size_t)i)));
    *out = codec_template_keep(r, list);
    return 0;
}

// --- text ---------------------------------------------------------------------------------------

// Go's Print puts blanks between values where neither is a text; Println always.
static int show_all(struct run *r, const value *a, size_t n, bool line, value *out)
{
    own(str) struct str s = {0};
    for (size_t i = 0; i < n; i++) {
        bool texts = i && (codec_json_type(a[i]) == CODEC_JSON_TEXT ||
                           codec_json_type(a[i - 1]) == CODEC_JSON_TEXT);
        if (i && (line || !texts)) str_addc(&s, ' ');
        codec_template_show(a[i], true, &s);
    }
    if (line) str_addc(&s, '\n');
    return give_text(r, &s, out);
}

static int fn_print(struct run *r, const value *a, size_t n, value *out)
{
    return show_all(r, a, n, false, out);
}

static int fn_println(struct run *r, const value *a, size_t n, value *out)
{
    return show_all(r, a, n, true, out);
}

struct verb {
    bool left, zero, plus, alt;
    int width, precision;  // -1: none
    char letter;
};

static const char *go_type(value v)
{
    static const char *const names[] = {
        [CODEC_JSON_NULL] = "<nil>", [CODEC_JSON_BOOL] = "bool",   [CODEC_JSON_INT] = "int",
        [CODEC_JSON_REAL] = "float64", [CODEC_JSON_TEXT] = "string", [CODEC_JSON_ARRAY] = "list",
        [CODEC_JSON_OBJECT] = "map",
    };
    return names[codec_json_type(v)];
}

static void add_quoted(value v, struct str *out)
{
    struct codec_json *copy = codec_json_new_text(codec_json_text(v));
    codec_json_print(copy, out);
    codec_json_free(copy);
}

static void add_binary(uint64_t v, struct str *out)
{
    int top = 63;
    while (top > 0 && !(v >> top & 1)) top--;
    for (; top >= 0; top--) str_addc(out, v >> top & 1 ? '1' : '0');
}

static bool add_int(const struct verb *f, value v, struct str *out)
{
    int64_t i = codec_json_int(v);
    uint64_t size = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    if (codec_json_type(v) != CODEC_JSON_INT) return false;
    if (i < 0 && f->letter != 'c') str_addc(out, '-');
    if (i >= 0 && f->plus) str_addc(out, '+');
    if (f->letter == 'd') str_addf(out, "%" PRIu64, size);
    if (f->letter == 'x') str_addf(out, "%s%" PRIx64, f->alt ? "0x" : "", size);
    if (f->letter == 'X') str_addf(out, "%s%" PRIX64, f->alt ? "0X" : "", size);
    if (f->letter == 'o') str_addf(out, "%s%" PRIo64, f->alt ? "0" : "", size);
    if (f->letter == 'b') add_binary(size, out);
    if (f->letter == 'c') str_addc(out, i > 0 && i < 128 ? (char)i : '?');
    return true;
}

static bool add_real(const struct verb *f, value v, struct str *out)
{
    double d = codec_json_real(v);
    int digits = f->precision < 0 ? 6 : f->precision > 60 ? 60 : f->precision;
    if (!is_number(v)) return false;
    if (d >= 0 && f->plus) str_addc(out, '+');
    if (f->letter == 'g' && f->precision < 0)
        show_real(d, out);
    else if (f->letter == 'g')
        str_addf(out, "%.*g", digits, d);
    else if (f->letter == 'e')
        str_addf(out, "%.*e", digits, d);
    else
        str_addf(out, "%.*f", digits, d);
    return true;
}

static void add_hex_text(value v, struct str *out)
{
    struct sv s = codec_json_text(v);
    for (size_t i = 0; i < s.n; i++) str_addf(out, "%02x", (unsigned)(unsigned char)s.p[i]);
}

static void add_verb(const struct verb *f, value v, struct str *out)
{
    bool text = codec_json_type(v) == CODEC_JSON_TEXT, ok = true;
    if (f->letter == 'v' || (f->letter == 's' && (text || codec_json_type(v) == CODEC_JSON_ARRAY)))
        codec_template_show(v, true, out);
    else if (f->letter == 'q' && text)
        add_quoted(v, out);
    else if (f->letter == 'x' && text)
        add_hex_text(v, out);
    else if (f->letter == 't' && codec_json_type(v) == CODEC_JSON_BOOL)
        codec_template_show(v, true, out);
    else if (f->letter == 'T')
        str_addz(out, go_type(v));
    else if (strchr("dxXobc", f->letter))
        ok = add_int(f, v, out);
    else if (strchr("feg", f->letter))
        ok = add_real(f, v, out);
    else
        ok = false;
    if (ok) return;
    str_addf(out, "%%!%c(%s=", f->letter, go_type(v));
    codec_template_show(v, true, out);
    str_addc(out, ')');
}

static void add_padded(const struct verb *f, value v, struct str *out)
{
    own(str) struct str s = {0};
    add_verb(f, v, &s);
    struct sv text = str_sv(&s);
    if (f->precision >= 0 && f->letter == 's') text = table_fit(text, (size_t)f->precision);
    size_t have = table_width(text), want = f->width > 0 ? (size_t)f->width : 0;
    size_t pad = want > have ? want - have : 0;
    bool zeros = f->zero && !f->left && is_number(v);
    if (zeros && text.n && (text.p[0] == '-' || text.p[0] == '+')) {
        str_addc(out, text.p[0]);
        text = sv_from(text, 1);
    }
    for (size_t i = 0; !f->left && i < pad; i++) str_addc(out, zeros ? '0' : ' ');
    str_add(out, text);
    for (size_t i = 0; f->left && i < pad; i++) str_addc(out, ' ');
}

struct formatter {
    struct sv rest;
    const value *args;
    size_t n, next;
};

static int read_count(struct formatter *f)
{
    int v = 0;
    bool any = false;
    if (f->rest.n && f->rest.p[0] == '*') {
        f->rest = sv_from(f->rest, 1);
        int64_t i = f->next < f->n ? codec_json_int(f->args[f->next++]) : 0;
        return i < 0 || i > 1000 ? 0 : (int)i;
    }
    while (f->rest.n && isdigit((unsigned char)f->rest.p[0])) {
        v = v < 1000 ? v * 10 + (f->rest.p[0] - '0') : 1000;
        f->rest = sv_from(f->rest, 1);
        any = true;
    }
    return any ? (v > 1000 ? 1000 : v) : -1;
}

static void read_verb(struct formatter *f, struct verb *out)
{
    *out = (struct verb){.width = -1, .precision = -1};
    for (; f->rest.n && strchr("-0+# ", f->rest.p[0]); f->rest = sv_from(f->rest, 1)) {
        out->left |= f->rest.p[0] == '-';
        out->zero |= f->rest.p[0] == '0';
        out->plus |= f->rest.p[0] == '+';
        out->alt |= f->rest.p[0] == '#';
    }
    out->width = read_count(f);
    if (f->rest.n && f->rest.p[0] == '.') {
        f->rest = sv_from(f->rest, 1);
        out->precision = read_count(f);
        if (out->precision < 0) out->precision = 0;
    }
    out->letter = f->rest.n ? f->rest.p[0] : '\0';
    f->rest = sv_from(f->rest, 1);
}

static int fn_printf(struct run *r, const value *a, size_t n, value *out)
{
    own(str) struct str s = {0};
    struct formatter f = {codec_json_text(a[0]), a + 1, n - 1, 0};
    if (codec_json_type(a[0]) != CODEC_JSON_TEXT)
        return err_set(r->e, ERR_USAGE, "printf needs a format first, not %s", kind_of(a[0]));
    while (f.rest.n) {
        struct verb v;
        long at = sv_find(f.rest, '%');
        str_add(&s, sv_part(f.rest, 0, at < 0 ? f.rest.n : (size_t)at));
        if (at < 0) break;
        f.rest = sv_from(f.rest, (size_t)at + 1);
        read_verb(&f, &v);
        if (v.letter == '%')
            str_addc(&s, '%');
        else if (!v.letter)
            str_addz(&s, "%!(NOVERB)");
        else if (f.next >= f.n)
            str_addf(&s, "%%!%c(MISSING)", v.letter);
        else
            add_padded(&v, f.args[f.next++], &s);
    }
    for (bool first = true; f.next < f.n; f.next++, first = false) {
        str_addf(&s, "%s%s=", first ? "%!(EXTRA " : ", ", go_type(f.args[f.next]));
        codec_template_show(f.args[f.next], true, &s);
        if (f.next + 1 == f.n) str_addc(&s, ')');
    }
    return give_text(r, &s, out);
}

static int fn_json(struct run *r, const value *a, size_t n, value *out)
{
    own(str) struct str s = {0};
    (void)n;
    if (a[0])
        codec_json_print(a[0], &s);
    else
        str_addz(&s, "null");
    return give_text(r, &s, out);
}

static int need_text(struct run *r, const char *who, value v)
{
    if (codec_json_type(v) == CODEC_JSON_TEXT) return 0;
    return err_set(r->e, ERR_USAGE, "%s needs a text, not %s", who, kind_of(v));
}

static int fn_join(struct run *r, const value *a, size_t n, value *out)
{
    own(str) struct str s = {0};
    (void)n;
    if (need_text(r, "join", a[1]) < 0) return -1;
    if (codec_json_type(a[0]) != CODEC_JSON_ARRAY && codec_json_type(a[0]) != CODEC_JSON_NULL)
        return err_set(r->e, ERR_USAGE, "join needs a list, not %s", kind_of(a[0]));
    for (size_t i = 0; i < codec_json_len(a[0]); i++) {
        if (i) str_add(&s, codec_json_text(a[1]));
        codec_template_show(codec_json_at(a[0], i), true, &s);
    }
    return give_text(r, &s, out);
}

static int fn_split(struct run *r, const value *a, size_t n, value *out)
{
    (void)n;
    if (need_text(r, "split", a[0]) < 0 || need_text(r, "split", a[1]) < 0) return -1;
    struct sv rest = codec_json_text(a[0]), sep = codec_json_text(a[1]);
    struct codec_json *list = codec_json_new_array();
    for (;;) {
        const char *hit = sep.n && rest.n ? memmem(rest.p, rest.n, sep.p, sep.n) : NULL;
        size_t len = hit ? (size_t)(hit - rest.p) : sep.n ? rest.n : rest.n ? 1 : 0;
        if (!sep.n && !rest.n) break;
        codec_json_add(list, codec_json_new_text(sv_part(rest, 0, len)));
        if (sep.n && !hit) break;
        rest = sv_from(rest, len + sep.n);
    }
    *out = codec_template_keep(r, list);
    return 0;
}

static int change(struct run *r, const char *who, value v, int (*to)(int), bool words, value *out)
{
    own(str) struct str s = {0};
    if (need_text(r, who, v) < 0) return -1;
    struct sv text = codec_json_text(v);
    bool start = true;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        str_addc(&s, (start || !words) && c < 0x80 ? (char)to(c) : (char)c);
        start = !isalnum(c) && c < 0x80 && c != '\'';
    }
    return give_text(r, &s, out);
}

static int fn_lower(struct run *r, const value *a, size_t n, value *out)
{
    (void)n;
    return change(r, "lower", a[0], tolower, false, out);
}

static int fn_upper(struct run *r, const value *a, size_t n, value *out)
{
    (void)n;
    return change(r, "upper", a[0], toupper, false, out);
}

static int fn_title(struct run *r, const value *a, size_t n, value *out)
{
    (void)n;
    return change(r, "title", a[0], toupper, true, out);
}

static int fn_pad(struct run *r, const value *a, size_t n, value *out)
{
    own(str) struct str s = {0};
    (void)n;
    if (need_text(r, "pad", a[0]) < 0) return -1;
    int64_t before = codec_json_int(a[1]), after = codec_json_int(a[2]);
    if (before > 1000 || after > 1000) return err_set(r->e, ERR_LIMIT, "pad takes at most 1000");
    struct sv text = codec_json_text(a[0]);
    for (int64_t i = 0; text.n && i < before; i++) str_addc(&s, ' ');
    str_add(&s, text);
    for (int64_t i = 0; text.n && i < after; i++) str_addc(&s, ' ');
    return give_text(r, &s, out);
}

static int fn_truncate(struct run *r, const value *a, size_t n, value *out)
{
    (void)n;
    if (need_text(r, "truncate", a[0]) < 0) return -1;
    int64_t most = codec_json_int(a[1]);
    struct sv text = codec_json_text(a[0]);
    size_t len = most < 0 ? 0 : (uint64_t)most < text.n ? (size_t)most : text.n;
    while (len && !sv_is_utf8(sv_part(text, 0, len))) len--;
    *out = codec_template_keep(r, codec_json_new_text(sv_part(text, 0, len)));
    return 0;
}

static int fn_html(struct run *r, const value *a, size_t n, value *out)
{
    own(str) struct str plain = {0};
    own(str) struct str s = {0};
    for (size_t i = 0; i < n; i++) codec_template_show(a[i], true, &plain);
    for (size_t i = 0; i < plain.n; i++) {
        static const char bad[] = "<>&'\"";
        static const char *const good[] = {"&lt;", "&gt;", "&amp;", "&#39;", "&#34;"};
        const char *hit = plain.p[i] ? strchr(bad, plain.p[i]) : NULL;
        if (hit)
            str_addz(&s, good[hit - bad]);
        else
            str_addc(&s, plain.p[i]);
    }
    return give_text(r, &s, out);
}

static int fn_urlquery(struct run *r, const value *a, size_t n, value *out)
{
    own(str) struct str plain = {0};
    own(str) struct str s = {0};
    for (size_t i = 0; i < n; i++) codec_template_show(a[i], true, &plain);
    for (size_t i = 0; i < plain.n; i++) {
        unsigned char c = (unsigned char)plain.p[i];
        if ((c < 0x80 && isalnum(c)) || (c && strchr("-_.~", c)))
            str_addc(&s, (char)c);
        else if (c == ' ')
            str_addc(&s, '+');
        else
            str_addf(&s, "%%%02X", (unsigned)c);
    }
    return give_text(r, &s, out);
}

static const struct function functions[] = {
    {"and", 1, -1, fn_last},     {"or", 1, -1, fn_last},        {"not", 1, 1, fn_not},
    {"eq", 2, -1, fn_eq},        {"ne", 2, 2, fn_ne},           {"lt", 2, 2, fn_lt},
    {"le", 2, 2, fn_le},         {"gt", 2, 2, fn_gt},           {"ge", 2, 2, fn_ge},
    {"len", 1, 1, fn_len},       {"index", 1, -1, fn_index},    {"slice", 1, 3, fn_slice},
    {"print", 0, -1, fn_print},  {"printf", 1, -1, fn_printf},  {"println", 0, -1, fn_println},
    {"json", 1, 1, fn_json},     {"join", 2, 2, fn_join},       {"split", 2, 2, fn_split},
    {"lower", 1, 1, fn_lower},   {"upper", 1, 1, fn_upper},     {"title", 1, 1, fn_title},
    {"pad", 3, 3, fn_pad},       {"truncate", 2, 2, fn_truncate}, {"html", 1, -1, fn_html},
    {"urlquery", 1, -1, fn_urlquery},
};

const struct function *codec_template_function(const char *name)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strcmp(functions[i].name, name) == 0) return &functions[i];
    return NULL;
}

const char *codec_template_nearest_function(const char *word)
{
    const char *names[sizeof functions / sizeof *functions + 1] = {0};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) names[i] = functions[i].name;
    return opt_nearest(word, names);
}
