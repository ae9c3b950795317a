// SPDX-License-Identifier: Apache-2.0
// The word expander. It reads a word once, left to right; a nested word (behind ${v:-) is read by
// the same function with a stop character and is always evaluated, used or not, so an error in it
// counts. Two results grow at once: the text, and the words it falls into, since only blanks that
// came from outside quotes split.
#include "build/expand.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "build/expand_pattern.h"
#include "build/nfa.h"

#define END UINT32_MAX  // no stop character: until the text ends

struct reader {
    const struct build_expand *x;
    struct sv text;
    size_t at;
    uint32_t escape;
    unsigned depth;
    uint64_t budget;  // steps that patterns may still take
    struct err *e;
};

// What one level of reading makes. `words` is NULL where nobody asks for words.
struct result {
    struct str text;
    struct strv *words;
    struct str word;
};

static uint32_t peek(const struct reader *r)
{
    uint32_t c = END;
    build_rune_next(sv_from(r->text, r->at), &c);
    return c;
}

static uint32_t next(struct reader *r)
{
    uint32_t c = END;
    r->at += build_rune_next(sv_from(r->text, r->at), &c);
    return c;
}

static void add_rune(struct str *s, uint32_t c)
{
    build_runes_print(&c, 1, s);
}

static void word_end(struct result *out)
{
    // A word that is empty although quoted ('' alone) is dropped, as BuildKit does.
    if (out->word.n == 0) return;
    strv_add(out->words, str_z(&out->word));
    str_clear(&out->word);
}

static void add_quoted(struct result *out, struct sv v)
{
    str_add(&out->text, v);
    if (out->words) str_add(&out->word, v);
}

// A character from outside quotes, into the words alone.
static void split_rune(struct result *out, uint32_t c)
{
    if (!out->words) return;
    if (build_rune_is_space(c)) word_end(out);
    else add_rune(&out->word, c);
}

static void add_split(struct result *out, struct sv v)
{
    str_add(&out->text, v);
    uint32_t c = 0;
    for (size_t took; out->words && (took = build_rune_next(v, &c)) > 0; v = sv_from(v, took))
        split_rune(out, c);
}

static int read_until(struct reader *r, uint32_t stop, bool raw_escapes, struct result *out);
static int read_dollar(struct reader *r, struct str *out);

static int bad_quote(struct reader *r, const char *which, const char *mark)
{
    err_set(r->e, ERR_INPUT, "a %s quote is opened but never closed in '%.*s'", which,
            (int)(r->text.n > 200 ? 200 : r->text.n), r->text.p);
    return err_hint(r->e, "write \\%s for a quote that is part of the text", mark);
}

static int read_single(struct reader *r, struct str *out)
{
    next(r);
    if (r->x->raw_quotes) str_addc(out, '\'');
    for (uint32_t c; (c = next(r)) != '\'';) {
        if (c == END) return bad_quote(r, "single", "'");
        add_rune(out, c);
    }
    if (r->x->raw_quotes) str_addc(out, '\'');
    return 0;
}

static int read_double(struct reader *r, bool raw_escapes, struct str *out)
{
    next(r);
    if (r->x->raw_quotes) str_addc(out, '"');
    for (;;) {
        uint32_t c = peek(r);
        if (c == END) return bad_quote(r, "double", "\"");
        if (c == '$') {
            if (read_dollar(r, out) < 0) return -1;
            continue;
        }
        next(r);
        if (c == '"') break;
        if (c == r->escape) {
            if (raw_escapes) add_rune(out, c);
            uint32_t after = peek(r);
            if (after == END) continue;
            if (after == '"' || after == '$' || after == r->escape) c = next(r);
        }
        add_rune(out, c);
    }
    if (r->x->raw_quotes) str_addc(out, '"');
    return 0;
}

static bool is_digit(uint32_t c)
{
    return c >= '0' && c <= '9';
}

// A name, a run of digits, or one of the shell's special characters. May stay empty.
static void read_name(struct reader *r, struct str *out)
{
    uint32_t c = peek(r);
    if (is_digit(c)) {
        while (is_digit(peek(r))) add_rune(out, next(r));
        return;
    }
    if (c < 0x80 && c && strchr("@*#?-$!", (int)c)) {
        add_rune(out, next(r));
        return;
    }
    while (c != END && (build_rune_is_letter(c) || is_digit(c) || c == '_')) {
        add_rune(out, next(r));
        c = peek(r);
    }
}

static int no_brace(struct reader *r)
{
    err_set(r->e, ERR_INPUT, "'${' without a closing '}' in '%.*s'",
            (int)(r->text.n > 200 ? 200 : r->text.n), r->text.p);
    return err_hint(r->e, "write \\$ for a dollar sign that is part of the text");
}

// The nested word up to `stop`.
static int read_nested(struct reader *r, uint32_t stop, bool raw_escapes, struct str *out)
{
    struct result inner = {0};
    str_init(&inner.text, BUILD_EXPAND_MAX);
    int rc = read_until(r, stop, raw_escapes, &inner);
    if (rc == 0) str_add(out, str_sv(&inner.text));
    str_fini(&inner.text);
    return rc;
}

static int unset_error(struct reader *r, const char *name, const struct str *word, bool empty)
{
    if (word->n) return err_set(r->e, ERR_INPUT, "%s: %s", name, str_z(word));
    return err_set(r->e, ERR_INPUT, "variable '%s' must not be %s", name,
                   empty ? "empty" : "unset");
}

struct lookup {
    const char *value;  // NULL when unset
    bool empty;         // as the operator sees it
};

static struct lookup look_up(struct reader *r, const char *name, bool null_is_unset, bool told)
{
    struct lookup l = {.value = r->x->get ? r->x->get(r->x->arg, name) : NULL};
    if (!l.value && told && r->x->unset) r->x->unset(r->x->arg, name);
    l.empty = !l.value || (null_is_unset && !*l.value);
    return l;
}

static int apply_operator(struct reader *r, const char *name, bool colon, uint32_t op,
                          const struct str *word, struct str *out)
{
    // A variable with a fallback may well be unset: only the plain uses are worth a warning.
    struct lookup l = look_up(r, name, colon, op == '#' || op == '%');
    if (!l.value && r->x->keep_unset) {
        str_addf(out, "${%s%s%c%s}", name, colon ? ":" : "", (int)op, str_z(word));
        return 0;
    }
    struct sv value = sv_of(l.value ? l.value : "");
    switch (op) {
    case '-': str_add(out, l.empty ? str_sv(word) : value); return 0;
    case '+': str_add(out, l.empty ? SV("") : str_sv(word)); return 0;
    case '?':
        if (l.empty) return unset_error(r, name, word, l.value != NULL);
        str_add(out, value);
        return 0;
    default: break;
    }
    struct sv pattern = str_sv(word);
    bool longest = pattern.n > 0 && (unsigned char)pattern.p[0] == op;
    if (longest) pattern = sv_from(pattern, 1);
    return build_expand_pattern_trim(pattern, value, op == '%', longest, &r->budget, out, r->e);
}

// ${name/pattern/word} and ${name//pattern/word}, from behind the first slash.
static int read_replace(struct reader *r, const char *name, struct str *out)
{
    own(str) struct str pattern = {.max = BUILD_EXPAND_MAX};
    own(str) struct str with = {.max = BUILD_EXPAND_MAX};
    bool all = peek(r) == '/';
    if (all) next(r);
    if (read_nested(r, '/', true, &pattern) < 0 || read_nested(r, '}', true, &with) < 0) return -1;
    struct lookup l = look_up(r, name, false, true);
    if (!l.value && r->x->keep_unset) {
        str_addf(out, "${%s/%s%s/%s}", name, all ? "/" : "", str_z(&pattern), str_z(&with));
        return 0;
    }
    return build_expand_pattern_replace(str_sv(&pattern), sv_of(l.value ? l.value : ""),
                                        str_sv(&with), all, &r->budget, out, r->e);
}

static int bad_operator(struct reader *r, const char *name, bool colon, uint32_t op)
{
    own(str) struct str s = {0};
    if (op != END) add_rune(&s, op);
    err_set(r->e, ERR_INPUT, "'%s%s' is no operator in '${%s%s%s...}'", colon ? ":" : "",
            str_z(&s), name, colon ? ":" : "", str_z(&s));
    return err_hint(r->e, "the operators are :- - :+ + :? ? # ## %% %%%% / and //");
}

// Behind "${".
static int read_braces(struct reader *r, struct str *out)
{
    uint32_t c = peek(r);
    if (c == END) return no_brace(r);
    if (c == '{' || c == '}' || c == ':') {
        err_set(r->e, ERR_INPUT, "'${' must be followed by a name in '%.*s'",
                (int)(r->text.n > 200 ? 200 : r->text.n), r->text.p);
        return err_hint(r->e, "write \\$ for a dollar sign that is part of the text");
    }
    own(str) struct str name = {.max = BUILD_EXPAND_MAX};
    read_name(r, &name);
    c = next(r);
    if (c == '}') {
        struct lookup l = look_up(r, str_z(&name), false, true);
        if (l.value) str_addz(out, l.value);
        else if (r->x->keep_unset) str_addf(out, "${%s}", str_z(&name));
        return 0;
    }
    if (c == END) return no_brace(r);
    if (c == '/') return read_replace(r, str_z(&name), out);
    bool colon = c == ':';
    if (colon) c = next(r);
    bool cuts = c == '#' || c == '%';
    if (c >= 0x80 || !c || !strchr("-+?#%", (int)c) || (colon && cuts))
        return bad_operator(r, str_z(&name), colon, c);
    own(str) struct str word = {.max = BUILD_EXPAND_MAX};
    if (read_nested(r, '}', cuts, &word) < 0) return -1;
    return apply_operator(r, str_z(&name), colon, c, &word, out);
}

static int read_dollar(struct reader *r, struct str *out)
{
    next(r);
    if (peek(r) == '{') {
        next(r);
        if (++r->depth > BUILD_EXPAND_DEPTH)
            return err_set(r->e, ERR_LIMIT, "more than %d levels of '${'", BUILD_EXPAND_DEPTH);
        int rc = read_braces(r, out);
        r->depth--;
        return rc;
    }
    own(str) struct str name = {.max = BUILD_EXPAND_MAX};
    read_name(r, &name);
    if (name.n == 0) {
        str_addc(out, '$');
        return 0;
    }
    struct lookup l = look_up(r, str_z(&name), false, true);
    if (l.value) str_addz(out, l.value);
    else if (r->x->keep_unset) str_addf(out, "$%s", str_z(&name));
    return 0;
}

// A quote or a variable: its text goes to the result, split or not.
static int read_special(struct reader *r, uint32_t c, bool raw_escapes, struct result *out)
{
    own(str) struct str got = {.max = BUILD_EXPAND_MAX};
    int rc = c == '$'    ? read_dollar(r, &got)
             : c == '\'' ? read_single(r, &got)
                         : read_double(r, raw_escapes, &got);
    if (rc < 0) return -1;
    if (got.overflow) out->text.overflow = true;
    if (c == '$') add_split(out, str_sv(&got));
    else add_quoted(out, str_sv(&got));
    return 0;
}

// The escape character was read: the next one is taken as it is.
static void read_escaped(struct reader *r, bool raw_escapes, struct result *out)
{
    if (raw_escapes) {
        char mark = (char)r->escape;
        add_quoted(out, (struct sv){&mark, 1});
    }
    uint32_t c = next(r);
    if (c == END) return;
    own(str) struct str one = {0};
    add_rune(&one, c);
    add_quoted(out, str_sv(&one));
}

static int read_until(struct reader *r, uint32_t stop, bool raw_escapes, struct result *out)
{
    for (uint32_t c; (c = peek(r)) != END;) {
        if (out->text.overflow)
            return err_set(r->e, ERR_LIMIT, "the expanded text is longer than %zu bytes",
                           (size_t)BUILD_EXPAND_MAX);
        if (c == stop) {
            next(r);
            return 0;
        }
        if (c == '$' || (!r->x->keep_quotes && (c == '\'' || c == '"'))) {
            if (read_special(r, c, raw_escapes, out) < 0) return -1;
            continue;
        }
        next(r);
        if (c == r->escape) {
            read_escaped(r, raw_escapes, out);
            continue;
        }
        add_rune(&out->text, c);
        split_rune(out, c);
    }
    if (stop == '}') return no_brace(r);
    if (stop != END) {
        err_set(r->e, ERR_INPUT, "the second '/' is missing in '%.*s'",
                (int)(r->text.n > 200 ? 200 : r->text.n), r->text.p);
        return err_hint(r->e, "write ${name/pattern/replacement}");
    }
    return 0;
}

static int expand(const struct build_expand *x, struct sv text, struct result *out, bool raw,
                  struct err *e)
{
    struct reader r = {.x = x, .text = text, .e = e, .budget = BUILD_EXPAND_PATTERN_STEPS};
    r.escape = x->escape ? (unsigned char)x->escape : '\\';
    str_init(&out->text, BUILD_EXPAND_MAX);
    str_init(&out->word, BUILD_EXPAND_MAX);
    int rc = read_until(&r, END, raw, out);
    if (rc == 0 && out->text.overflow)
        rc = err_set(e, ERR_LIMIT, "the expanded text is longer than %zu bytes",
                     (size_t)BUILD_EXPAND_MAX);
    if (rc == 0 && out->words) word_end(out);
    str_fini(&out->word);
    if (rc < 0) str_fini(&out->text);
    return rc;
}

int build_expand_word(const struct build_expand *x, struct sv word, struct str *out, struct err *e)
{
    struct result res = {0};
    if (expand(x, word, &res, x->raw_escapes, e) < 0) return -1;
    str_add(out, str_sv(&res.text));
    str_fini(&res.text);
    return 0;
}

int build_expand_words(const struct build_expand *x, struct sv text, struct strv *out,
                       struct err *e)
{
    struct strv words = {0};
    struct result res = {.words = &words};
    if (expand(x, text, &res, x->raw_escapes, e) < 0) {
        strv_fini(&words);
        return -1;
    }
    str_fini(&res.text);
    for (size_t i = 0; i < words.n; i++) strv_take(out, words.p[i]);
    free(words.p);
    return 0;
}

int build_expand_heredoc(const struct build_expand *x, struct sv body, struct str *out,
                         struct err *e)
{
    // The escape directive does not reach into bodies: there it is always the backslash.
    struct build_expand y = *x;
    y.keep_quotes = true;
    y.escape = '\\';
    return build_expand_word(&y, body, out, e);
}
