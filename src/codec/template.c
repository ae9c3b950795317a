// SPDX-License-Identifier: Apache-2.0
// Reading a template: text and actions to a tree. One cursor, one token of look-ahead (by copying
// the cursor), errors that name the character.
#include "codec/template.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/own.h"
#include "codec/template_internal.h"

#define DEEPEST 50  // nested blocks and parentheses

enum token { T_END, T_PIPE, T_OPEN, T_CLOSE, T_COMMA, T_DECLARE, T_ASSIGN, T_VALUE, T_WORD, T_FIELD,
             T_DOT, T_VAR };

struct parser {
    struct codec_template *t;
    struct sv src;
    size_t at;       // next character
    struct err *e;
    unsigned depth;
    // the token last read
    enum token token;
    size_t start;
    struct sv word;
    struct codec_json *value;
    bool trim;       // the action ended in " -}}"
};

int codec_template_fail(struct err *e, size_t at, const char *fmt, ...)
{
    char text[300];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return err_set(e, ERR_USAGE, "template, character %zu: %s", at + 1, text);
}

static void *keep(struct codec_template *t, void *block)
{
    vec_push(&t->blocks, block);
    return block;
}
#define NEW(p, type) ((type *)keep((p)->t, mem_alloc(sizeof(type))))

static char *keep_text(struct parser *p, struct sv v)
{
    return keep(p->t, sv_dup(v));
}

static struct codec_json *keep_value(struct parser *p, struct codec_json *v)
{
    vec_push(&p->t->values, v);
    return v;
}

// --- tokens -------------------------------------------------------------------------------------

static char peek(const struct parser *p, size_t ahead)
{
    return p->at + ahead < p->src.n ? p->src.p[p->at + ahead] : '\0';
}

static bool is_name_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static struct sv take_name(struct parser *p)
{
    size_t from = p->at;
    while (is_name_char(peek(p, 0))) p->at++;
    return sv_part(p->src, from, p->at - from);
}

static int escape(struct parser *p, struct str *out)
{
    static const char from[] = "abfnrtv\\\"'", to[] = "\a\b\f\n\r\t\v\\\"'";
    char c = peek(p, 0);
    const char *known = c ? strchr(from, c) : NULL;
    p->at++;
    if (known) {
        str_addc(out, to[known - from]);
        return 0;
    }
    if (c == 'x') {
        unsigned v;
        char digits[3] = {peek(p, 0), peek(p, 0) ? peek(p, 1) : '\0', '\0'};
        if (isxdigit((unsigned char)digits[0]) && isxdigit((unsigned char)digits[1]) &&
            sscanf(digits, "%x", &v) == 1) {
            str_addc(out, (char)v);
            p->at += 2;
            return 0;
        }
    }
    return codec_template_fail(p->e, p->at - 2, "unknown escape in a quoted text");
}

static int quoted(struct parser *p, char quote)
{
    own(str) struct str text = {0};
    for (p->at++; peek(p, 0) != quote; ) {
        char c = peek(p, 0);
        if (p->at >= p->src.n || c == '\n')
            return codec_template_fail(p->e, p->start, "a quoted text has no end");
        p->at++;
        if (c != '\\')
            str_addc(&text, c);
        else if (escape(p, &text) < 0)
            return -1;
    }
    p->at++;
    p->token = T_VALUE;
    if (quote == '\'')  // a character is its number
        p->value = keep_value(p, codec_json_new_int(text.n ? (unsigned char)text.p[0] : 0));
    else
        p->value = keep_value(p, codec_json_new_text(str_sv(&text)));
    return 0;
}

static int raw(struct parser *p)
{
    long end = sv_find(sv_from(p->src, p->at + 1), '`');
    if (end < 0) return codec_template_fail(p->e, p->start, "a quoted text has no end");
    p->token = T_VALUE;
    p->value = keep_value(p, codec_json_new_text(sv_part(p->src, p->at + 1, (size_t)end)));
    p->at += (size_t)end + 2;
    return 0;
}

static int number(struct parser *p)
{
    size_t from = p->at;
    int64_t v;
    if (peek(p, 0) == '-' || peek(p, 0) == '+') p->at++;
    while (is_name_char(peek(p, 0)) || peek(p, 0) == '.') p->at++;
    struct sv text = sv_part(p->src, from, p->at - from);
    if (text.p[0] == '+') text = sv_from(text, 1);
    p->token = T_VALUE;
    if (num_i64(text, &v)) {
        p->value = keep_value(p, codec_json_new_int(v));
        return 0;
    }
    struct codec_json *real = NULL;
    struct err ignored;
    if (codec_json_parse(text, "number", &real, &ignored) == 0) {
        p->value = keep_value(p, real);
        if (codec_json_type(real) == CODEC_JSON_REAL) return 0;
    }
    return codec_template_fail(p->e, from, "'%.*s' is no number", (int)text.n, text.p);
}

static bool at_end_mark(struct parser *p)
{
    if (peek(p, 0) == '}' && peek(p, 1) == '}') {
        p->trim = false;
        p->at += 2;
        return true;
    }
    bool blank = p->at > 0 && isspace((unsigned char)p->src.p[p->at - 1]);
    if (blank && peek(p, 0) == '-' && peek(p, 1) == '}' && peek(p, 2) == '}') {
        p->trim = true;
        p->at += 3;
        return true;
    }
    return false;
}

static int dotted(struct parser *p)
{
    p->at++;
    p->word = take_name(p);
    p->token = p->word.n ? T_FIELD : T_DOT;
    return 0;
}

static int word(struct parser *p)
{
    static const char *const constants[] = {"true", "false", "nil"};
    p->word = take_name(p);
    p->token = T_WORD;
    for (int i = 0; i < 3; i++) {
        if (!sv_eqz(p->word, constants[i])) continue;
        p->token = T_VALUE;
        p->value = keep_value(p, i == 2 ? codec_json_new_null() : codec_json_new_bool(i == 0));
    }
    return 0;
}

static int next(struct parser *p)
{
    static const struct {
        const char *text;
        enum token token;
    } signs[] = {{":=", T_DECLARE}, {"=", T_ASSIGN}, {"|", T_PIPE},
                 {"(", T_OPEN},     {")", T_CLOSE},  {",", T_COMMA}};
    while (isspace((unsigned char)peek(p, 0))) p->at++;
    p->start = p->at;
    char c = peek(p, 0);
    if (p->at >= p->src.n) return codec_template_fail(p->e, p->at, "'{{' has no '}}'");
    if (at_end_mark(p)) {
        p->token = T_END;
        return 0;
    }
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        if (!sv_starts(sv_from(p->src, p->at), signs[i].text)) continue;
        p->at += strlen(signs[i].text);
        p->token = signs[i].token;
        return 0;
    }
    if (c == '"' || c == '\'') return quoted(p, c);
    if (c == '`') return raw(p);
    if (isdigit((unsigned char)c)) return number(p);
    if ((c == '-' || c == '+') && isdigit((unsigned char)peek(p, 1))) return number(p);
    if (c == '.') return isdigit((unsigned char)peek(p, 1)) ? number(p) : dotted(p);
    if (c == '$') {
        p->at++;
        take_name(p);
        p->word = sv_part(p->src, p->start, p->at - p->start);
        p->token = T_VAR;
        return 0;
    }
    if (is_name_char(c)) return word(p);
    return codec_template_fail(p->e, p->at, "unexpected '%c'", c);
}

// --- pipelines ----------------------------------------------------------------------------------

static int parse_pipe(struct parser *p, enum token until, struct pipe **out);

static void add_name(struct parser *p, struct arg *a, struct sv text)
{
    struct name **last = &a->names;
    while (*last) last = &(*last)->next;
    *last = NEW(p, struct name);
    (*last)->text = keep_text(p, text);
}

// ".B.C" right behind an operand, with no blank between.
static int chained(struct parser *p, struct arg *a)
{
    while (peek(p, 0) == '.' && is_name_char(peek(p, 1))) {
        if (next(p) < 0) return -1;
        add_name(p, a, p->word);
    }
    return 0;
}

// The operand that the token last read begins.
static int parse_arg(struct parser *p, bool first, struct arg **out)
{
    struct arg *a = *out = NEW(p, struct arg);
    a->at = p->start;
    switch (p->token) {
    case T_DOT:
        a->kind = ARG_DOT;
        return 0;
    case T_FIELD:
        a->kind = ARG_DOT;
        add_name(p, a, p->word);
        break;
    case T_VAR:
        a->kind = ARG_VAR;
        a->word = keep_text(p, p->word);
        break;
    case T_VALUE:
        a->kind = ARG_VALUE;
        a->value = p->value;
        return 0;
    case T_WORD:
        a->kind = ARG_FUNC;
        a->word = keep_text(p, p->word);
        if (codec_template_function(a->word)) return 0;
        codec_template_fail(p->e, a->at, "no function is called '%s'", a->word);
        if (codec_template_nearest_function(a->word))
            return err_hint(p->e, "did you mean '%s'?", codec_template_nearest_function(a->word));
        return first ? err_hint(p->e, "a field begins with a dot: .%s", a->word) : -1;
    case T_OPEN:
        a->kind = ARG_PIPE;
        if (++p->depth > DEEPEST) return codec_template_fail(p->e, a->at, "nested too deep");
        if (parse_pipe(p, T_CLOSE, &a->pipe) < 0) return -1;
        p->depth--;
        break;
    case T_END:
    case T_PIPE:
    case T_CLOSE:
    case T_COMMA:
    case T_DECLARE:
    case T_ASSIGN:
        return codec_template_fail(p->e, p->start, "a value is missing here");
    }
    return chained(p, a);
}

// Reads "$x :=", "$i, $v :=" or "$x =" when it stands here; else nothing.
static int parse_vars(struct parser *p, struct pipe *pipe)
{
    struct parser ahead = *p;
    size_t n = 0;
    char *names[2];
    struct err ignored;
    ahead.e = &ignored;
    while (n < 2) {
        if (next(&ahead) < 0 || ahead.token != T_VAR) return 0;
        names[n++] = keep_text(p, ahead.word);
        if (next(&ahead) < 0) return 0;
        if (ahead.token != T_COMMA) break;
    }
    if (ahead.token != T_DECLARE && ahead.token != T_ASSIGN) return 0;
    ahead.e = p->e;
    *p = ahead;
    memcpy(pipe->vars, names, n * sizeof *names);
    pipe->n_vars = n;
    pipe->assign = p->token == T_ASSIGN;
    return 0;
}

static int parse_pipe(struct parser *p, enum token until, struct pipe **out)
{
    struct pipe *pipe = *out = NEW(p, struct pipe);
    struct cmd **last_cmd = &pipe->cmds;
    pipe->at = p->at;
    if (parse_vars(p, pipe) < 0) return -1;
    do {
        struct cmd *cmd = *last_cmd = NEW(p, struct cmd);
        struct arg **last = &cmd->args;
        last_cmd = &cmd->next;
        for (;;) {
            if (next(p) < 0) return -1;
            if (p->token == T_PIPE || p->token == until) break;
            if (p->token == T_END) return codec_template_fail(p->e, p->start, "')' is missing");
            if (parse_arg(p, last == &cmd->args, last) < 0) return -1;
            last = &(*last)->next;
        }
        if (!cmd->args) return codec_template_fail(p->e, p->start, "a value is missing here");
    } while (p->token == T_PIPE);
    return 0;
}

// --- blocks -------------------------------------------------------------------------------------

enum stop { STOP_TEXT_END, STOP_END, STOP_ELSE };
static int parse_list(struct parser *p, struct node **out, enum stop *out_stop);

static int expect_end(struct parser *p)
{
    if (next(p) < 0) return -1;
    return p->token == T_END ? 0 : codec_template_fail(p->e, p->start, "'}}' is missing here");
}

static int parse_block(struct parser *p, enum node_kind kind, struct node **out)
{
    size_t at = p->start;
    enum stop stop;
    struct node *n = *out = NEW(p, struct node);
    n->kind = kind;
    if (++p->depth > DEEPEST) return codec_template_fail(p->e, at, "nested too deep");
    if (parse_pipe(p, T_END, &n->pipe) < 0 || parse_list(p, &n->body, &stop) < 0) return -1;
    if (stop == STOP_ELSE) {
        // "else if" and "else with" are a block inside the else that shares its end.
        struct parser ahead = *p;
        if (next(&ahead) < 0) return -1;
        bool is_if = ahead.token == T_WORD && sv_eqz(ahead.word, "if");
        bool is_with = ahead.token == T_WORD && sv_eqz(ahead.word, "with");
        if (is_if || is_with) {
            *p = ahead;
            if (parse_block(p, is_if ? NODE_IF : NODE_WITH, &n->other) < 0) return -1;
            stop = STOP_END;
        } else if (expect_end(p) < 0 || parse_list(p, &n->other, &stop) < 0) {
            return -1;
        }
    }
    p->depth--;
    if (stop != STOP_END) return codec_template_fail(p->e, at, "this block has no {{end}}");
    return 0;
}

static int keyword(struct parser *p, struct node **out, enum stop *out_stop)
{
    static const char *const unsupported[] = {"define", "template", "block"};
    *out = NULL;
    if (sv_eqz(p->word, "if")) return parse_block(p, NODE_IF, out);
    if (sv_eqz(p->word, "with")) return parse_block(p, NODE_WITH, out);
    if (sv_eqz(p->word, "range")) return parse_block(p, NODE_RANGE, out);
    if (sv_eqz(p->word, "break") || sv_eqz(p->word, "continue")) {
        *out = NEW(p, struct node);
        (*out)->kind = sv_eqz(p->word, "break") ? NODE_BREAK : NODE_CONTINUE;
        return expect_end(p);
    }
    if (sv_eqz(p->word, "end")) {
        *out_stop = STOP_END;
        return expect_end(p);
    }
    for (size_t i = 0; i < 3; i++)
        if (sv_eqz(p->word, unsupported[i]))
            return codec_template_fail(p->e, p->start, "'%s' is not supported", unsupported[i]);
    *out_stop = STOP_ELSE;  // parse_block reads on behind the word
    return 0;
}

static bool is_keyword(struct sv w)
{
    static const char *const all[] = {"if",    "with",     "range",  "break",    "continue", "end",
                                      "else",  "define",   "template", "block"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (sv_eqz(w, all[i])) return true;
    return false;
}

// Behind "{{" or "{{- ". Comments give no node.
static int parse_action(struct parser *p, struct node **out, enum stop *out_stop)
{
    if (peek(p, 0) == '/' && peek(p, 1) == '*') {
        const char *end = memmem(p->src.p + p->at, p->src.n - p->at, "*/", 2);
        if (!end) return codec_template_fail(p->e, p->at, "a comment has no end");
        p->at = (size_t)(end - p->src.p) + 2;
        *out = NULL;
        return expect_end(p);
    }
    struct parser ahead = *p;
    if (next(&ahead) < 0) return -1;
    if (ahead.token == T_WORD && is_keyword(ahead.word)) {
        *p = ahead;
        return keyword(p, out, out_stop);
    }
    if (ahead.token == T_END) return codec_template_fail(p->e, p->at, "a value is missing here");
    *out = NEW(p, struct node);
    (*out)->kind = NODE_PRINT;
    return parse_pipe(p, T_END, &(*out)->pipe);
}

static struct sv trim_left(struct sv v)
{
    while (v.n && isspace((unsigned char)v.p[0])) v = sv_from(v, 1);
    return v;
}

static struct sv trim_right(struct sv v)
{
    while (v.n && isspace((unsigned char)v.p[v.n - 1])) v.n--;
    return v;
}

static void add_text(struct parser *p, struct node ***last, struct sv text)
{
    if (!text.n) return;
    struct node *n = **last = NEW(p, struct node);
    n->kind = NODE_TEXT;
    n->text = text;
    *last = &n->next;
}

static int parse_list(struct parser *p, struct node **out, enum stop *out_stop)
{
    struct node **last = out;
    for (;;) {
        struct sv rest = sv_from(p->src, p->at);
        const char *open = rest.n ? memmem(rest.p, rest.n, "{{", 2) : NULL;
        struct sv text = open ? sv_part(rest, 0, (size_t)(open - rest.p)) : rest;
        if (p->trim) text = trim_left(text);
        p->trim = false;
        if (!open) {
            add_text(p, &last, text);
            p->at = p->src.n;
            *out_stop = STOP_TEXT_END;
            return 0;
        }
        p->start = p->at = (size_t)(open - p->src.p) + 2;
        if (peek(p, 0) == '-' && isspace((unsigned char)peek(p, 1))) {
            text = trim_right(text);
            p->at += 2;
        }
        while (isspace((unsigned char)peek(p, 0))) p->at++;
        add_text(p, &last, text);
        enum stop stop = STOP_TEXT_END;
        struct node *n = NULL;
        if (parse_action(p, &n, &stop) < 0) return -1;
        if (stop != STOP_TEXT_END) {
            *out_stop = stop;
            return 0;
        }
        if (!n) continue;
        *last = n;
        last = &n->next;
    }
}

int codec_template_parse(struct sv text, struct codec_template **out, struct err *e)
{
    struct codec_template *t = mem_alloc(sizeof *t);
    t->source = sv_dup(text);
    struct parser p = {.t = t, .src = {t->source, text.n}, .e = e};
    enum stop stop;
    int rc = parse_list(&p, &t->root, &stop);
    if (rc == 0 && stop != STOP_TEXT_END)
        rc = codec_template_fail(e, p.start, "'%s' stands outside a block",
                                 stop == STOP_END ? "end" : "else");
    if (rc < 0) {
        codec_template_free(t);
        return -1;
    }
    *out = t;
    return 0;
}

void codec_template_free(struct codec_template *t)
{
    if (!t) return;
    vec_each(v, &t->values) codec_json_free(*v);
    vec_each(b, &t->blocks) free(*b);
    vec_fini(&t->values);
    vec_fini(&t->blocks);
    free(t->source);
    free(t);
}
