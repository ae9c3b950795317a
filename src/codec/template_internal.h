// SPDX-License-Identifier: Apache-2.0
// The tree that template.c makes of a text and template_run.c walks.
#pragma once

#include "base/vec.h"
#include "codec/template.h"

enum node_kind { NODE_TEXT, NODE_PRINT, NODE_IF, NODE_WITH, NODE_RANGE, NODE_BREAK, NODE_CONTINUE };
enum arg_kind { ARG_DOT, ARG_VAR, ARG_FUNC, ARG_VALUE, ARG_PIPE };

struct name {  // one step of ".A.B"
    struct name *next;
    char *text;
};
struct arg {
    struct arg *next;
    enum arg_kind kind;
    size_t at;                  // character of the template, for errors
    char *word;                 // VAR ("$x"), FUNC
    struct codec_json *value;   // VALUE
    struct pipe *pipe;          // PIPE
    struct name *names;         // fields taken from it
};
struct cmd {
    struct cmd *next;
    struct arg *args;
};
struct pipe {
    struct cmd *cmds;
    char *vars[2];  // "$i, $v := "
    size_t n_vars;
    bool assign;    // '=' instead of ':='
    size_t at;
};
struct node {
    struct node *next;
    enum node_kind kind;
    struct sv text;
    struct pipe *pipe;
    struct node *body, *other;
};

struct codec_template {
    char *source;
    struct node *root;
    VEC(void *) blocks;               // everything above, freed together
    VEC(struct codec_json *) values;  // constants
};

int codec_template_fail(struct err *e, size_t at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// --- functions ----------------------------------------------------------------------------------
struct run {
    const struct codec_template *t;
    struct str *out;
    struct err *e;
    VEC(struct codec_json *) made;  // results of functions, freed at the end
    struct {
        struct variable {
            const char *name;
            const struct codec_json *value;
        } * p;
        size_t n, cap;
    } vars;
    bool lenient;  // in a condition: what is missing counts as false
    int leave;     // 1 break, 2 continue
    const struct codec_json *top;
};
typedef const struct codec_json *value;  // NULL: missing

struct function {
    const char *name;
    int least, most;  // arguments; most -1: any number
    int (*call)(struct run *r, const value *args, size_t n, value *out);
};
const struct function *codec_template_function(const char *name);
const char *codec_template_nearest_function(const char *word);  // NULL when none is near
value codec_template_keep(struct run *r, struct codec_json *v);  // owned by the run from now on
bool codec_template_true(value v);
void codec_template_show(value v, bool inside, struct str *out);  // as Go's %v
int codec_template_index(struct run *r, value of, value key, value *out);
