// SPDX-License-Identifier: Apache-2.0
// Walking a template's tree over a JSON value.
#include <stdlib.h>
#include <string.h>

#include "base/opt.h"
#include "base/own.h"
#include "codec/template_internal.h"

#define ARGS_MOST 32

static int eval_pipe(struct run *r, const struct pipe *pipe, value dot, value *out);
static int walk(struct run *r, const struct node *n, value dot);

// --- fields -------------------------------------------------------------------------------------

static bool is_record(value object)
{
    void *it = NULL;
    const char *key;
    struct codec_json *v;
    while (codec_json_next(object, &it, &key, &v))
        if (key[0] >= 'A' && key[0] <= 'Z') return true;
    return false;
}

// Docker's templates see the names of Go's fields where its JSON has others: .ID and "Id", .Status
// and "status". Maps (labels) have no second names.
static value other_case(value object, const char *name)
{
    void *it = NULL;
    const char *key;
    struct codec_json *v;
    if (!is_record(object)) return NULL;
    while (codec_json_next(object, &it, &key, &v))
        if (sv_eq_nocase(sv_of(key), sv_of(name))) return v;
    return NULL;
}

static int no_such_field(struct run *r, value object, const char *name, size_t at)
{
    struct strv keys = {0};
    void *it = NULL;
    const char *key;
    struct codec_json *v;
    while (codec_json_next(object, &it, &key, &v)) strv_add(&keys, key);
    vec_push(&keys, NULL);
    codec_template_fail(r->e, at, "there is no field '.%s'", name);
    const char *near = opt_nearest(name, (const char *const *)(uintptr_t)keys.p);
    own(str) struct str all = {0};
    for (size_t i = 0; i + 1 < keys.n && all.n < 180; i++)
        str_addf(&all, "%s.%s", i ? " " : "", keys.p[i]);
    if (near)
        err_hint(r->e, "did you mean '.%s'?", near);
    else
        err_hint(r->e, "there are %s", str_z(&all));
    strv_fini(&keys);
    return -1;
}

static int take_field(struct run *r, value from, const char *name, size_t at, value *out)
{
    enum codec_json_type type = codec_json_type(from);
    *out = NULL;
    if (type == CODEC_JSON_NULL) {
        if (r->lenient || from) return 0;  // null: an empty map in Docker's answers (no labels)
        return codec_template_fail(r->e, at, "'.%s' is asked of something that is not there", name);
    }
    if (type != CODEC_JSON_OBJECT)
        return r->lenient ? 0
                          : codec_template_fail(r->e, at, "'.%s' is asked of a plain value", name);
    *out = codec_json_get(from, name);
    if (!*out) *out = other_case(from, name);
    if (*out || r->lenient || !is_record(from)) return 0;
    return no_such_field(r, from, name, at);
}

// docker's listings have `.Label "key"` beside ".Labels", a text of "k=v,k=v".
static int take_label(struct run *r, value from, value key, value *out)
{
    struct sv rest = codec_json_text(codec_json_get(from, "Labels")), want = codec_json_text(key);
    while (rest.n) {
        struct sv pair = sv_cut(&rest, ','), name = sv_cut(&pair, '=');
        if (!sv_eq(name, want)) continue;
        *out = codec_template_keep(r, codec_json_new_text(pair.p ? pair : SV("")));
        return 0;
    }
    *out = codec_template_keep(r, codec_json_new_text(SV("")));
    return 0;
}

// --- operands -----------------------------------------------------------------------------------

static const struct variable *find_var(const struct run *r, const char *name)
{
    for (size_t i = r->vars.n; i > 0; i--)
        if (strcmp(r->vars.p[i - 1].name, name) == 0) return &r->vars.p[i - 1];
    return NULL;
}

static int call(struct run *r, const struct arg *a, const value *args, size_t n, value *out)
{
    const struct function *f = codec_template_function(a->word);
    bool few = (int)n < f->least, many = f->most >= 0 && (int)n > f->most;
    int bound = few ? f->least : f->most;
    if (few || many)
        return codec_template_fail(r->e, a->at, "'%s' takes %s%d argument%s, not %zu", f->name,
                                   f->least == f->most ? "" : few ? "at least " : "at most ",
                                   bound, bound == 1 ? "" : "s", n);
    if (f->call(r, args, n, out) < 0) {
        if (r->e->frames == 1) err_wrap(r->e, "template, character %zu", a->at + 1);
        return -1;
    }
    return 0;
}

static int eval_arg(struct run *r, const struct arg *a, value dot, value *out)
{
    const struct variable *var;
    switch (a->kind) {
    case ARG_DOT:
        *out = dot;
        break;
    case ARG_VALUE:
        *out = a->value;
        break;
    case ARG_VAR:
        var = find_var(r, a->word);
        if (!var) return codec_template_fail(r->e, a->at, "no variable is called '%s'", a->word);
        *out = var->value;
        break;
    case ARG_FUNC:
        if (call(r, a, NULL, 0, out) < 0) return -1;
        break;
    case ARG_PIPE:
        if (eval_pipe(r, a->pipe, dot, out) < 0) return -1;
        break;
    }
    for (const struct name *n = a->names; n; n = n->next)
        if (take_field(r, *out, n->text, a->at, out) < 0) return -1;
    return 0;
}

// `and` and `or` stop at the first argument that decides.
static int shortcut(struct run *r, const struct cmd *cmd, value dot, const value *final, value *out)
{
    bool is_and = strcmp(cmd->args->word, "and") == 0;
    bool was = r->lenient;
    size_t n = 0;
    r->lenient = true;
    for (const struct arg *a = cmd->args->next; a; a = a->next, n++) {
        if (eval_arg(r, a, dot, out) < 0) return -1;
        if (codec_template_true(*out) != is_and) {
            r->lenient = was;
            return 0;
        }
    }
    r->lenient = was;
    if (final) *out = *final;
    if (!n && !final)
        return codec_template_fail(r->e, cmd->args->at, "'%s' needs an argument", cmd->args->word);
    return 0;
}

static int eval_function(struct run *r, const struct cmd *cmd, value dot, const value *final,
                         value *out)
{
    const char *name = cmd->args->word;
    value args[ARGS_MOST];
    size_t n = 0;
    if (strcmp(name, "and") == 0 || strcmp(name, "or") == 0)
        return shortcut(r, cmd, dot, final, out);
    bool was = r->lenient;
    if (strcmp(name, "not") == 0) r->lenient = true;
    for (const struct arg *a = cmd->args->next; a; a = a->next) {
        if (n + 1 >= ARGS_MOST) return codec_template_fail(r->e, a->at, "too many arguments");
        if (eval_arg(r, a, dot, &args[n++]) < 0) return -1;
    }
    r->lenient = was;
    if (final) args[n++] = *final;
    return call(r, cmd->args, args, n, out);
}

// ".Field arg": what are methods in Go. Labels by name, and any map by key.
static int eval_method(struct run *r, const struct cmd *cmd, value dot, const value *final,
                       value *out)
{
    struct arg first = *cmd->args;
    value key = final ? *final : NULL;
    if (cmd->args->next && (cmd->args->next->next || final))
        return codec_template_fail(r->e, first.at, "a field takes one argument at most");
    if (cmd->args->next && eval_arg(r, cmd->args->next, dot, &key) < 0) return -1;
    if (first.kind == ARG_DOT && first.names && !first.names->next &&
        strcmp(first.names->text, "Label") == 0)
        return take_label(r, dot, key, out);
    if (eval_arg(r, &first, dot, out) < 0) return -1;
    if (codec_json_type(*out) != CODEC_JSON_OBJECT)
        return codec_template_fail(r->e, first.at, "this is no function: it takes no argument");
    return codec_template_index(r, *out, key, out);
}

static int eval_cmd(struct run *r, const struct cmd *cmd, value dot, const value *final, value *out)
{
    const struct arg *first = cmd->args;
    if (first->kind == ARG_FUNC) return eval_function(r, cmd, dot, final, out);
    if (!first->next && !final) return eval_arg(r, first, dot, out);
    return eval_method(r, cmd, dot, final, out);
}

static void set_var(struct run *r, const char *name, bool assign, value v)
{
    for (size_t i = r->vars.n; assign && i > 0; i--)
        if (strcmp(r->vars.p[i - 1].name, name) == 0) {
            r->vars.p[i - 1].value = v;
            return;
        }
    vec_push(&r->vars, (struct variable){name, v});
}

static int eval_pipe(struct run *r, const struct pipe *pipe, value dot, value *out)
{
    value v = NULL;
    for (const struct cmd *c = pipe->cmds; c; c = c->next) {
        value in = v;
        if (eval_cmd(r, c, dot, c == pipe->cmds ? NULL : &in, &v) < 0) return -1;
    }
    *out = v;
    return 0;
}

// --- nodes --------------------------------------------------------------------------------------

static int condition(struct run *r, const struct pipe *pipe, value dot, value *out)
{
    bool was = r->lenient;
    r->lenient = true;
    int rc = eval_pipe(r, pipe, dot, out);
    r->lenient = was;
    return rc;
}

static int branch(struct run *r, const struct node *n, value dot)
{
    value v;
    size_t vars = r->vars.n;
    if (condition(r, n->pipe, dot, &v) < 0) return -1;
    if (n->pipe->n_vars) set_var(r, n->pipe->vars[0], n->pipe->assign, v);
    bool yes = codec_template_true(v);
    int rc = walk(r, yes ? n->body : n->other, yes && n->kind == NODE_WITH ? v : dot);
    if (r->vars.n > vars) r->vars.n = vars;
    return rc;
}

// One turn of a range; returns 1 to end it.
static int turn(struct run *r, const struct node *n, value key, value item)
{
    const struct pipe *p = n->pipe;
    size_t vars = r->vars.n;
    if (p->n_vars == 2) set_var(r, p->vars[0], p->assign, key);
    if (p->n_vars) set_var(r, p->vars[p->n_vars - 1], p->assign, item);
    int rc = walk(r, n->body, item);
    if (r->vars.n > vars) r->vars.n = vars;
    if (rc < 0) return -1;
    bool ended = r->leave == 1;
    r->leave = 0;
    return ended;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int range_object(struct run *r, const struct node *n, value over)
{
    size_t len = codec_json_len(over), i = 0;
    const char **keys = mem_alloc(len * sizeof *keys);
    void *it = NULL;
    struct codec_json *v;
    int rc = 0;
    while (i < len && codec_json_next(over, &it, &keys[i], &v)) i++;
    if (len) qsort(keys, len, sizeof *keys, by_key);  // Go goes through maps in order of keys
    for (i = 0; i < len && rc == 0; i++)
        rc = turn(r, n, codec_template_keep(r, codec_json_new_text(sv_of(keys[i]))),
                  codec_json_get(over, keys[i]));
    free(keys);
    return rc < 0 ? -1 : 0;
}

static int range(struct run *r, const struct node *n, value dot)
{
    value over;
    int rc = 0;
    if (condition(r, n->pipe, dot, &over) < 0) return -1;
    if (!codec_template_true(over)) return walk(r, n->other, dot);
    if (codec_json_type(over) == CODEC_JSON_OBJECT) return range_object(r, n, over);
    if (codec_json_type(over) != CODEC_JSON_ARRAY)
        return codec_template_fail(r->e, n->pipe->at, "range needs a list or a map");
    for (size_t i = 0; i < codec_json_len(over) && rc == 0; i++)
        rc = turn(r, n, codec_template_keep(r, codec_json_new_int((int64_t)i)),
                  codec_json_at(over, i));
    return rc < 0 ? -1 : 0;
}

static int print(struct run *r, const struct node *n, value dot)
{
    value v;
    if (eval_pipe(r, n->pipe, dot, &v) < 0) return -1;
    if (n->pipe->n_vars)
        set_var(r, n->pipe->vars[0], n->pipe->assign, v);
    else
        codec_template_show(v, false, r->out);
    return 0;
}

static int walk(struct run *r, const struct node *n, value dot)
{
    for (; n && !r->leave; n = n->next) {
        int rc = 0;
        if (n->kind == NODE_TEXT)
            str_add(r->out, n->text);
        else if (n->kind == NODE_PRINT)
            rc = print(r, n, dot);
        else if (n->kind == NODE_RANGE)
            rc = range(r, n, dot);
        else if (n->kind == NODE_IF || n->kind == NODE_WITH)
            rc = branch(r, n, dot);
        else
            r->leave = n->kind == NODE_BREAK ? 1 : 2;
        if (rc < 0) return -1;
    }
    return 0;
}

int codec_template_print(const struct codec_template *t, const struct codec_json *data,
                         struct str *out, struct err *e)
{
    struct run r = {.t = t, .out = out, .e = e, .top = data};
    set_var(&r, "$", false, data);
    int rc = walk(&r, t->root, data);
    vec_each(v, &r.made) codec_json_free(*v);
    vec_fini(&r.made);
    vec_fini(&r.vars);
    return rc;
}
