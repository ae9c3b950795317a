// SPDX-License-Identifier: Apache-2.0
// A TOML 1.0 reader: one pass over the text, no backtracking but one character of lookahead.
//
// TOML's own rule is that a thing is defined once, so beside the tree of values there is a tree of
// `struct table` with how each table came to be:
//   IMPLIED   by a longer header ([a.b] implies a): a header may still define it, once
//   DEFINED   by its own header [a]: only deeper headers may go on into it
//   DOTTED    by a dotted key (a.b = 1): other keys of the same section may add, no header may
//   CLOSED    an inline table, or an array written with '=': complete as it stands
//   LIST      an array of tables: `table` children are those of the newest element
// A value that is not a table has no struct table, so it is found in the JSON alone and refused.
#include "codec/toml.h"

#include <stdlib.h>

#include "base/engine.h"
#include "base/map.h"
#include "base/own.h"
#include "codec/toml_internal.h"

enum how {
    IMPLIED,
    DEFINED,
    DOTTED,
    CLOSED,
    LIST,
};

struct table {
    struct codec_json *json; // an object; of a LIST: the newest element
    struct codec_json *list; // of a LIST: the array
    enum how how;
    struct map below; // name -> struct table
};

struct toml {
    struct sv text;
    size_t at;
    const char *label;
    unsigned depth, keys, tables;
    struct table *root;
    struct err *e;
};

static void table_free(void *p)
{
    struct table *t = p;
    map_fini(&t->below);
    free(t);
}

static struct table *table_new(struct codec_json *json, enum how how)
{
    struct table *t = mem_alloc(sizeof *t);
    t->json = json;
    t->how = how;
    t->below.free_value = table_free;
    return t;
}

static int complain_at(struct toml *t, size_t at, enum err_kind kind, const char *what,
                       struct sv name)
{
    unsigned line = 1, column = 1;
    for (size_t i = 0; i < at && i < t->text.n; i++) {
        unsigned char c = (unsigned char)t->text.p[i];
        if (c == '\n') {
            line++;
            column = 1;
        } else if ((c & 0xc0) != 0x80) {
            column++;
        }
    }
    if (name.n > 100) name.n = 100;
    if (name.p)
        return err_set(t->e, kind, "%s:%u:%u: '%.*s' %s", t->label, line, column, (int)name.n,
                       name.p, what);
    return err_set(t->e, kind, "%s:%u:%u: %s", t->label, line, column, what);
}

static int complain(struct toml *t, const char *what)
{
    return complain_at(t, t->at, ERR_INPUT, what, (struct sv){0});
}

// --- characters -------------------------------------------------------------------------------

// Byte at the cursor; 0 at the end (a NUL in the text is refused before).
static char peek(const struct toml *t)
{
    return t->at < t->text.n ? t->text.p[t->at] : '\0';
}

static bool ahead(const struct toml *t, const char *z)
{
    return sv_starts(sv_from(t->text, t->at), z);
}

static void skip_blanks(struct toml *t)
{
    while (peek(t) == ' ' || peek(t) == '\t') t->at++;
}

// 1 took a line end, 0 there is none here.
static int take_newline(struct toml *t)
{
    size_t n = peek(t) == '\n' ? 1 : ahead(t, "\r\n") ? 2 : 0;
    t->at += n;
    return n > 0;
}

static void skip_comment(struct toml *t)
{
    if (peek(t) != '#') return;
    while (t->at < t->text.n && peek(t) != '\n' && !ahead(t, "\r\n")) t->at++;
}

static void skip_blank_lines(struct toml *t)
{
    do {
        skip_blanks(t);
        skip_comment(t);
    } while (take_newline(t));
}

static int end_of_line(struct toml *t)
{
    skip_blanks(t);
    skip_comment(t);
    if (take_newline(t) || t->at == t->text.n) return 0;
    return complain(t, "expected the end of the line");
}

// Control characters have no place anywhere, strings and comments included.
static int check_text(struct toml *t)
{
    if (t->text.n > CODEC_TOML_MAX)
        return err_set(t->e, ERR_LIMIT, "%s: larger than the limit of %zu bytes", t->label,
                       CODEC_TOML_MAX);
    for (size_t i = 0; i < t->text.n; i++) {
        unsigned char c = (unsigned char)t->text.p[i];
        bool fine = c >= 0x20 ? c != 0x7f : c == '\t' || c == '\n';
        if (c == '\r') fine = i + 1 < t->text.n && t->text.p[i + 1] == '\n';
        if (!fine) return complain_at(t, i, ERR_INPUT, "a control character", (struct sv){0});
    }
    if (sv_is_utf8(t->text)) return 0;
    return err_set(t->e, ERR_INPUT, "%s: not UTF-8 text", t->label);
}

// --- strings ----------------------------------------------------------------------------------

static void add_utf8(struct str *out, uint32_t c)
{
    if (c < 0x80) {
        str_addc(out, (char)c);
    } else if (c < 0x800) {
        str_addc(out, (char)(unsigned char)(0xc0 | c >> 6));
        str_addc(out, (char)(unsigned char)(0x80 | (c & 63)));
    } else if (c < 0x10000) {
        str_addc(out, (char)(unsigned char)(0xe0 | c >> 12));
        str_addc(out, (char)(unsigned char)(0x80 | (c >> 6 & 63)));
        str_addc(out, (char)(unsigned char)(0x80 | (c & 63)));
    } else {
        str_addc(out, (char)(unsigned char)(0xf0 | c >> 18));
        str_addc(out, (char)(unsigned char)(0x80 | (c >> 12 & 63)));
        str_addc(out, (char)(unsigned char)(0x80 | (c >> 6 & 63)));
        str_addc(out, (char)(unsigned char)(0x80 | (c & 63)));
    }
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// The cursor is on the character behind the backslash.
static int take_escape(struct toml *t, struct str *out)
{
    static const char names[] = "btnfr\"\\", values[] = "\b\t\n\f\r\"\\";
    char c = peek(t);
    const char *simple = c ? strchr(names, c) : NULL;
    if (simple) {
        str_addc(out, values[simple - names]);
        t->at++;
        return 0;
    }
    if (c != 'u' && c != 'U') return complain(t, "unknown escape in a string");
    uint32_t v = 0;
    size_t start = t->at++;
    for (int i = c == 'u' ? 4 : 8; i; i--) {
        int d = hex_of(peek(t));
        if (d < 0) return complain(t, "expected a hexadecimal digit");
        v = v << 4 | (uint32_t)d;
        t->at++;
    }
    if (v <= 0x10ffff && (v < 0xd800 || v > 0xdfff)) {
        add_utf8(out, v);
        return 0;
    }
    t->at = start;
    return complain(t, "not a Unicode character");
}

// A backslash at the end of a line swallows all white space up to the next character.
static bool take_line_joint(struct toml *t)
{
    size_t start = t->at;
    skip_blanks(t);
    if (!take_newline(t)) {
        t->at = start;
        return false;
    }
    do skip_blanks(t);
    while (take_newline(t));
    return true;
}

// Three quotes end it, and up to two more right before them belong to the text.
static bool take_long_end(struct toml *t, char quote, struct str *out)
{
    size_t n = 0;
    while (n < 5 && t->at + n < t->text.n && t->text.p[t->at + n] == quote) n++;
    if (n < 3) return false;
    for (size_t i = 3; i < n; i++) str_addc(out, quote);
    t->at += n;
    return true;
}

static int take_long_string(struct toml *t, char quote, struct str *out)
{
    t->at += 3;
    take_newline(t);
    while (!take_long_end(t, quote, out)) {
        char c = peek(t);
        if (t->at == t->text.n) return complain(t, "the string does not end");
        t->at++;
        if (c == '\\' && quote == '"') {
            if (!take_line_joint(t) && take_escape(t, out) < 0) return -1;
        } else if (c != '\r') { // a line end is one character on every system
            str_addc(out, c);
        }
    }
    return 0;
}

static int take_short_string(struct toml *t, char quote, struct str *out)
{
    for (t->at++; peek(t) != quote;) {
        char c = peek(t);
        if (t->at == t->text.n || c == '\n' || c == '\r')
            return complain(t, "the string does not end on its line");
        t->at++;
        if (c == '\\' && quote == '"') {
            if (take_escape(t, out) < 0) return -1;
        } else {
            str_addc(out, c);
        }
    }
    t->at++;
    return 0;
}

// --- keys -------------------------------------------------------------------------------------

static bool is_bare(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

static int take_key_part(struct toml *t, struct str *out)
{
    char c = peek(t);
    size_t start = t->at;
    if (c == '"' || c == '\'') {
        if (ahead(t, "\"\"\"") || ahead(t, "'''")) return complain(t, "a key is a one-line string");
        if (take_short_string(t, c, out) < 0) return -1;
        if (out->n == strlen(str_z(out))) return 0;
        t->at = start;
        return complain(t, "a key with a NUL character");
    }
    while (is_bare(peek(t))) t->at++;
    if (t->at == start) return complain(t, "expected a key");
    str_add(out, sv_part(t->text, start, t->at - start));
    return 0;
}

// Dotted: at most LIMIT_JSON_DEPTH parts.
static int take_key(struct toml *t, struct strv *out)
{
    for (;;) {
        own(str) struct str part = {0};
        skip_blanks(t);
        if (take_key_part(t, &part) < 0) return -1;
        strv_take(out, str_take(&part));
        if (out->n > LIMIT_JSON_DEPTH) return complain(t, "a key with too many parts");
        skip_blanks(t);
        if (peek(t) != '.') return 0;
        t->at++;
    }
}

static int count_key(struct toml *t)
{
    if (++t->keys <= CODEC_TOML_KEYS) return 0;
    return complain_at(t, t->at, ERR_LIMIT, "too many keys and values", (struct sv){0});
}

static struct table *new_below(struct toml *t, struct table *parent, const char *key, enum how how)
{
    if (++t->tables > CODEC_TOML_TABLES) {
        complain_at(t, t->at, ERR_LIMIT, "too many tables", (struct sv){0});
        return NULL;
    }
    struct codec_json *object = codec_json_new_object();
    struct table *child = table_new(object, how);
    codec_json_set(parent->json, key, object);
    map_set(&parent->below, key, child);
    return child;
}

static int defined_twice(struct toml *t, size_t at, const char *key)
{
    return complain_at(t, at, ERR_INPUT, "is defined already", sv_of(key));
}

// --- values -----------------------------------------------------------------------------------

static int take_value(struct toml *t, struct codec_json **out);
static int take_pair(struct toml *t, struct table *into);

static int enter(struct toml *t)
{
    if (++t->depth <= LIMIT_JSON_DEPTH) return 0;
    return complain_at(t, t->at, ERR_LIMIT, "nested too deeply", (struct sv){0});
}

static int take_array(struct toml *t, struct codec_json **out)
{
    own(codec_json) struct codec_json *a = codec_json_new_array();
    if (enter(t) < 0) return -1;
    t->at++;
    for (;;) {
        struct codec_json *v = NULL;
        skip_blank_lines(t);
        if (peek(t) == ']') break;
        if (take_value(t, &v) < 0) return -1;
        codec_json_add(a, v);
        skip_blank_lines(t);
        if (peek(t) == ']') break;
        if (peek(t) != ',') return complain(t, "expected ',' or ']' in an array");
        t->at++;
    }
    t->at++;
    t->depth--;
    *out = take_ptr(a);
    return 0;
}

static int take_pairs_inline(struct toml *t, struct table *into)
{
    t->at++;
    skip_blanks(t);
    if (peek(t) == '}') return 0;
    for (;;) {
        if (take_pair(t, into) < 0) return -1;
        skip_blanks(t);
        if (peek(t) == '}') return 0;
        if (peek(t) != ',') return complain(t, "expected ',' or '}' in an inline table");
        t->at++;
    }
}

static int take_inline_table(struct toml *t, struct codec_json **out)
{
    own(codec_json) struct codec_json *object = codec_json_new_object();
    if (enter(t) < 0) return -1;
    struct table *inner = table_new(object, DOTTED);
    int rc = take_pairs_inline(t, inner);
    table_free(inner);
    if (rc < 0) return -1;
    t->at++;
    t->depth--;
    *out = take_ptr(object);
    return 0;
}

static int take_string(struct toml *t, struct codec_json **out)
{
    char quote = peek(t);
    bool is_long = ahead(t, quote == '"' ? "\"\"\"" : "'''");
    own(str) struct str s = {0};
    if ((is_long ? take_long_string : take_short_string)(t, quote, &s) < 0) return -1;
    *out = codec_json_new_text(str_sv(&s));
    return 0;
}

// A word ends at a blank, but a date may be followed by one and a time.
static struct sv take_word(struct toml *t)
{
    size_t start = t->at;
    for (;;) {
        while (is_bare(peek(t)) || (peek(t) && strchr("+.:", peek(t)))) t->at++;
        bool date = t->at - start == 10 && t->text.p[start + 4] == '-' && peek(t) == ' ';
        struct sv next = sv_part(t->text, t->at + 1, 3);
        if (!date || next.n < 3 || hex_of(next.p[0]) < 0 || next.p[2] != ':') break;
        t->at++;
    }
    return sv_part(t->text, start, t->at - start);
}

static int take_value(struct toml *t, struct codec_json **out)
{
    const char *why;
    char c = peek(t);
    if (count_key(t) < 0) return -1;
    if (c == '"' || c == '\'') return take_string(t, out);
    if (c == '[') return take_array(t, out);
    if (c == '{') return take_inline_table(t, out);
    size_t start = t->at;
    *out = toml_scalar_parse(take_word(t), &why);
    if (*out) return 0;
    return complain_at(t, start, ERR_INPUT, why, (struct sv){0});
}

// --- tables -----------------------------------------------------------------------------------

// All but the last part of a dotted key: makes or goes on into tables of this section.
static struct table *dotted_parent(struct toml *t, struct table *into, const struct strv *key,
                                   size_t at)
{
    for (size_t i = 0; i + 1 < key->n; i++) {
        struct table *next = map_get(&into->below, key->p[i]);
        if (!next && !codec_json_get(into->json, key->p[i])) {
            next = new_below(t, into, key->p[i], DOTTED);
            if (!next) return NULL;
        } else if (!next || next->how != DOTTED) {
            defined_twice(t, at, key->p[i]);
            return NULL;
        }
        into = next;
    }
    return into;
}

// key = value
static int take_pair(struct toml *t, struct table *into)
{
    own(strv) struct strv key = {0};
    struct codec_json *value = NULL;
    skip_blanks(t);
    size_t start = t->at;
    if (take_key(t, &key) < 0) return -1;
    if (peek(t) != '=') return complain(t, "expected '=' behind a key");
    t->at++;
    struct table *parent = dotted_parent(t, into, &key, start);
    if (!parent) return -1;
    const char *name = key.p[key.n - 1];
    if (codec_json_get(parent->json, name)) return defined_twice(t, start, name);
    skip_blanks(t);
    if (take_value(t, &value) < 0) return -1;
    codec_json_set(parent->json, name, value);
    return 0;
}

// The table that a header's parts but the last lead to.
static struct table *header_parent(struct toml *t, const struct strv *key, size_t at)
{
    struct table *here = t->root;
    for (size_t i = 0; i + 1 < key->n; i++) {
        struct table *next = map_get(&here->below, key->p[i]);
        if (!next && !codec_json_get(here->json, key->p[i])) {
            next = new_below(t, here, key->p[i], IMPLIED);
            if (!next) return NULL;
        } else if (!next) {
            defined_twice(t, at, key->p[i]);
            return NULL;
        }
        here = next;
    }
    return here;
}

// [a.b]
static struct table *open_table(struct toml *t, struct table *parent, const char *name, size_t at)
{
    struct table *there = map_get(&parent->below, name);
    if (!there && !codec_json_get(parent->json, name)) return new_below(t, parent, name, DEFINED);
    if (there && there->how == IMPLIED) {
        there->how = DEFINED;
        return there;
    }
    defined_twice(t, at, name);
    return NULL;
}

// [[a.b]]
static struct table *open_element(struct toml *t, struct table *parent, const char *name, size_t at)
{
    struct table *there = map_get(&parent->below, name);
    if (there ? there->how != LIST : codec_json_get(parent->json, name) != NULL) {
        defined_twice(t, at, name);
        return NULL;
    }
    if (++t->tables > CODEC_TOML_TABLES) {
        complain_at(t, at, ERR_LIMIT, "too many tables", (struct sv){0});
        return NULL;
    }
    if (!there) {
        there = table_new(NULL, LIST);
        there->list = codec_json_new_array();
        codec_json_set(parent->json, name, there->list);
        map_set(&parent->below, name, there);
    }
    map_fini(&there->below); // what stood below the element before is complete
    there->below = (struct map){.free_value = table_free};
    there->json = codec_json_new_object();
    codec_json_add(there->list, there->json);
    return there;
}

static struct table *take_header(struct toml *t)
{
    own(strv) struct strv key = {0};
    size_t start = t->at;
    bool element = ahead(t, "[[");
    t->at += element ? 2 : 1;
    if (take_key(t, &key) < 0) return NULL;
    if (!ahead(t, element ? "]]" : "]")) {
        complain(t, element ? "expected ']]'" : "expected ']'");
        return NULL;
    }
    t->at += element ? 2 : 1;
    struct table *parent = header_parent(t, &key, start);
    if (!parent) return NULL;
    return (element ? open_element : open_table)(t, parent, key.p[key.n - 1], start);
}

static int take_all(struct toml *t)
{
    struct table *section = t->root;
    for (;;) {
        skip_blank_lines(t);
        if (t->at == t->text.n) return 0;
        if (peek(t) == '[') {
            section = take_header(t);
            if (!section) return -1;
        } else if (take_pair(t, section) < 0) {
            return -1;
        }
        if (end_of_line(t) < 0) return -1;
    }
}

int codec_toml_parse(struct sv text, const char *label, struct codec_json **out, struct err *e)
{
    struct toml t = {.text = text, .label = label, .e = e};
    if (sv_starts(text, "\xef\xbb\xbf")) t.text = sv_from(text, 3); // a byte order mark
    if (check_text(&t) < 0) return -1;
    own(codec_json) struct codec_json *root = codec_json_new_object();
    t.root = table_new(root, DEFINED);
    int rc = take_all(&t);
    table_free(t.root);
    if (rc < 0) return -1;
    *out = take_ptr(root);
    return 0;
}

unsigned codec_toml_line(struct sv text, const char *name, size_t n)
{
    unsigned line = 0;
    for (struct sv rest = text; rest.p;) {
        struct sv l = sv_trim(sv_cut(&rest, '\n'));
        line++;
        bool element = sv_starts(l, "[[");
        if (!element && (!sv_starts(l, "[") || n > 0)) continue;
        struct sv inner = sv_from(l, element ? 2 : 1);
        long end = sv_find(inner, ']');
        if (end < 0 || !sv_eqz(sv_trim(sv_part(inner, 0, (size_t)end)), name)) continue;
        if (!element || n-- == 0) return line;
    }
    return 0;
}
