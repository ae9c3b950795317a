// SPDX-License-Identifier: Apache-2.0
// Reads a command line by its option table. Rules are those of Docker's flag library (POSIX letters,
// GNU long names), so that command lines in people's scripts mean the same here.
#include "base/opt.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/num.h"
#include "base/own.h"

static const char *const type_names[OPT_TYPE_COUNT] = {
    [OPT_BOOL] = "",       [OPT_COUNT] = "",     [OPT_TEXT] = "string",
    [OPT_LIST] = "list",   [OPT_INT] = "int",    [OPT_UINT] = "uint",
    [OPT_REAL] = "decimal", [OPT_SIZE] = "bytes", [OPT_DURATION] = "duration",
    [OPT_ENUM] = "string",
};

const char *opt_type_name(enum opt_type type)
{
    return (unsigned)type < OPT_TYPE_COUNT ? type_names[type] : "?";
}

bool opt_takes_value(const struct opt *o)
{
    return o->type != OPT_BOOL && o->type != OPT_COUNT;
}

const char *opt_arg_name(const struct opt *o)
{
    if (!opt_takes_value(o)) return NULL;
    return o->arg ? o->arg : type_names[o->type];
}

// --- values -----------------------------------------------------------------------------------

static bool parse_bool(struct sv v, bool *out)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (sv_eqz(v, yes[i])) return *out = true, true;
        if (sv_eqz(v, no[i])) return *out = false, true;
    }
    return false;
}

static bool parse_real(struct sv v, double *out)
{
    // Plain decimals only: strtod would take hex, infinity and the locale's comma.
    if (v.n == 0 || v.n > 40) return false;
    double sum = 0, scale = 1;
    bool minus = v.p[0] == '-', dot = false, digit = false;
    for (size_t i = minus; i < v.n; i++) {
        if (v.p[i] == '.' && !dot) {
            dot = true;
            continue;
        }
        if (v.p[i] < '0' || v.p[i] > '9') return false;
        digit = true;
        sum = sum * 10 + (v.p[i] - '0');
        if (dot) scale *= 10;
    }
    *out = minus ? -sum / scale : sum / scale;
    return digit;
}

static int parse_choice(const struct opt *o, struct sv v, int *out, struct err *e)
{
    own(str) struct str known = {0};
    for (int i = 0; o->choices[i]; i++) {
        if (sv_eqz(v, o->choices[i])) return *out = i, 0;
        str_addf(&known, "%s%s", i ? ", " : "", o->choices[i]);
    }
    err_set(e, ERR_USAGE, "'%.*s' is none of its values", (int)v.n, v.p);
    own(free) char *word = sv_dup(v);
    const char *near = opt_nearest(word, o->choices);
    if (near) return err_hint(e, "did you mean '%s'? (%s)", near, str_z(&known));
    return err_hint(e, "one of %s", str_z(&known));
}

static int wrong(struct sv v, const char *what, struct err *e)
{
    return err_set(e, ERR_USAGE, "'%.*s' is not %s", (int)v.n, v.p, what);
}

static int store_value(const struct opt *o, const char *value, void *at, struct err *e)
{
    struct sv v = sv_of(value);
    int64_t number;
    switch (o->type) {
    case OPT_BOOL:
        return parse_bool(v, at) ? 0 : wrong(v, "true or false", e);
    case OPT_COUNT:
        if (!num_i64(v, &number) || number < 0 || number > 100) return wrong(v, "a count", e);
        *(int *)at = (int)number;
        return 0;
    case OPT_TEXT:
        *(const char **)at = value;
        return 0;
    case OPT_LIST:
        strv_add(at, value);
        return 0;
    case OPT_INT:
        return num_i64(v, at) ? 0 : wrong(v, "a whole number", e);
    case OPT_UINT:
        return num_u64(v, at) ? 0 : wrong(v, "a whole number of 0 or more", e);
    case OPT_REAL:
        return parse_real(v, at) ? 0 : wrong(v, "a number", e);
    case OPT_SIZE:
        return num_bytes(v, at, e);
    case OPT_DURATION:
        return num_duration(v, at, e);
    case OPT_ENUM:
        return parse_choice(o, v, at, e);
    case OPT_TYPE_COUNT:
        break;
    }
    return wrong(v, "of a known type", e);
}

// --- words ------------------------------------------------------------------------------------

struct parser {
    const struct opt_target *targets;
    size_t n;
    int argc;
    char *const *argv;
    int at;               // the word being read
    unsigned char *seen;  // uses of each row, all tables one after the other
};

struct hit {
    const struct opt *opt;
    void *into;
    size_t index;  // in `seen`
};

static bool find_long(const struct parser *p, struct sv name, struct hit *out)
{
    size_t base = 0;
    for (size_t t = 0; t < p->n; base += p->targets[t++].table.n)
        for (size_t i = 0; i < p->targets[t].table.n; i++) {
            const struct opt *o = &p->targets[t].table.rows[i];
            if (!sv_eqz(name, o->name)) continue;
            *out = (struct hit){o, p->targets[t].into, base + i};
            return true;
        }
    return false;
}

static bool find_letter(const struct parser *p, char c, struct hit *out)
{
    size_t base = 0;
    for (size_t t = 0; t < p->n; base += p->targets[t++].table.n)
        for (size_t i = 0; i < p->targets[t].table.n; i++) {
            const struct opt *o = &p->targets[t].table.rows[i];
            if (!o->letter || o->letter != c) continue;
            *out = (struct hit){o, p->targets[t].into, base + i};
            return true;
        }
    return false;
}

// `shown` is how the person wrote it: "--tag" or "-t".
static int take(struct parser *p, const struct hit *h, const char *shown, const char *value,
                struct err *e)
{
    const struct opt *o = h->opt;
    void *at = (char *)h->into + o->offset;
    if (p->seen[h->index] && o->once) {
        err_set(e, ERR_USAGE, "flag given twice: '%s'", shown);
        return -1;
    }
    p->seen[h->index] = 1;
    if (o->given) *(bool *)((char *)h->into + o->given) = true;
    if (o->type == OPT_COUNT && !value) {
        ++*(int *)at;
        return 0;
    }
    if (o->type == OPT_BOOL && !value) value = "true";
    if (store_value(o, value, at, e) < 0) {
        e->kind = ERR_USAGE;
        return err_wrap(e, "invalid argument '%s' for '%s'", value, shown);
    }
    return 0;
}

// The value of an option that needs one and was written without: the next word.
static int next_word(struct parser *p, const struct opt *o, const char *shown, const char **out,
                     struct err *e)
{
    if (o->implied) {
        *out = o->implied;
        return 0;
    }
    if (p->at + 1 >= p->argc) {
        err_set(e, ERR_USAGE, "flag needs an argument: '%s'", shown);
        return err_hint(e, "write %s %s", shown, opt_arg_name(o));
    }
    *out = p->argv[++p->at];
    return 0;
}

static int unknown(const struct parser *p, const char *shown, struct err *e)
{
    err_set(e, ERR_USAGE, "unknown flag: '%s'", shown);
    if (shown[1] != '-') return -1;
    const char *best = NULL;
    unsigned best_distance = 4;
    for (size_t t = 0; t < p->n; t++)
        for (size_t i = 0; i < p->targets[t].table.n; i++) {
            const struct opt *o = &p->targets[t].table.rows[i];
            unsigned d = opt_distance(shown + 2, o->name);
            if (o->hidden || d >= best_distance || d > strlen(o->name) / 2) continue;
            best = o->name;
            best_distance = d;
        }
    return best ? err_hint(e, "did you mean '--%s'?", best) : -1;
}

static int read_long(struct parser *p, const char *word, struct err *e)
{
    struct sv rest = sv_of(word + 2), name = sv_cut(&rest, '=');
    struct hit h;
    own(free) char *shown = sv_dup((struct sv){word, name.n + 2});
    if (name.n == 0) return err_set(e, ERR_USAGE, "bad flag syntax: '%s'", word);
    if (!find_long(p, name, &h)) return unknown(p, shown, e);
    const char *value = rest.p;
    if (!value && opt_takes_value(h.opt) && next_word(p, h.opt, shown, &value, e) < 0) return -1;
    return take(p, &h, shown, value, e);
}

static int read_letters(struct parser *p, const char *word, struct err *e)
{
    for (const char *c = word + 1; *c; c++) {
        const char shown[] = {'-', *c, '\0'};
        struct hit h;
        if (!find_letter(p, *c, &h)) {
            if (word[2] == '\0') return unknown(p, shown, e);
            unknown(p, shown, e);
            return err_wrap(e, "reading '%s'", word);
        }
        const char *value = NULL;
        if (c[1] == '=')
            value = c + 2;
        else if (opt_takes_value(h.opt) && c[1] && !h.opt->implied)
            value = c + 1;
        else if (opt_takes_value(h.opt) && next_word(p, h.opt, shown, &value, e) < 0)
            return -1;
        if (take(p, &h, shown, value, e) < 0) return -1;
        if (value && !(h.opt->implied && value == h.opt->implied)) return 0;
    }
    return 0;
}

static int read_words(struct parser *p, struct opt_rules rules, struct opt_words *out,
                      struct err *e)
{
    bool ended = false;
    for (; p->at < p->argc; p->at++) {
        char *word = p->argv[p->at];
        if (ended || word[0] != '-' || word[1] == '\0') {
            vec_push(out, word);
            ended = ended || rules.stop_at_word;
        } else if (strcmp(word, "--") == 0) {
            ended = true;
        } else if ((word[1] == '-' ? read_long(p, word, e) : read_letters(p, word, e)) < 0) {
            return -1;
        }
    }
    return 0;
}

int opt_defaults(const struct opt_table *table, void *into, struct err *e)
{
    for (size_t i = 0; i < table->n; i++) {
        const struct opt *o = &table->rows[i];
        if (o->initial && store_value(o, o->initial, (char *)into + o->offset, e) < 0)
            return err_wrap(e, "default of '--%s'", o->name);
    }
    return 0;
}

int opt_parse(const struct opt_target *targets, size_t n, struct opt_rules rules, int argc,
              char *const *argv, struct opt_words *out_words, struct err *e)
{
    struct parser p = {.targets = targets, .n = n, .argc = argc, .argv = argv};
    size_t rows = 0;
    for (size_t i = 0; i < n; i++) {
        if (opt_defaults(&targets[i].table, targets[i].into, e) < 0) return -1;
        rows += targets[i].table.n;
    }
    own(free) unsigned char *seen = mem_alloc(rows);
    p.seen = seen;
    return read_words(&p, rules, out_words, e);
}

void opt_fini(const struct opt_table *table, void *into)
{
    for (size_t i = 0; i < table->n; i++)
        if (table->rows[i].type == OPT_LIST)
            strv_fini((struct strv *)(void *)((char *)into + table->rows[i].offset));
}

// --- near misses --------------------------------------------------------------------------------

#define FAR 9U
#define NAME_MAX_LEN 48

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

unsigned opt_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    unsigned rows[3][NAME_MAX_LEN + 1];
    if (n > NAME_MAX_LEN || m > NAME_MAX_LEN) return FAR;
    for (size_t k = 0; k <= m; k++) rows[0][k] = (unsigned)k;
    for (size_t i = 1; i <= n; i++) {
        unsigned *now = rows[i % 3], *was = rows[(i + 2) % 3], *older = rows[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t k = 1; k <= m; k++) {
            unsigned swap = a[i - 1] != b[k - 1];
            now[k] = least(was[k] + 1, now[k - 1] + 1, was[k - 1] + swap);
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] &&
                older[k - 2] + 1 < now[k])
                now[k] = older[k - 2] + 1;
        }
    }
    unsigned d = rows[n % 3][m];
    return d < FAR ? d : FAR;
}

const char *opt_nearest(const char *word, const char *const *names)
{
    const char *best = NULL;
    unsigned best_distance = 4;
    for (; *names; names++) {
        unsigned d = opt_distance(word, *names);
        if (d >= best_distance || d > strlen(*names) / 2) continue;
        best = *names;
        best_distance = d;
    }
    return best;
}

// --- help ---------------------------------------------------------------------------------------

static void add_wrapped(struct str *out, size_t column, size_t width, struct sv text)
{
    size_t at = column;
    bool first = true;
    while (text.p) {
        struct sv word = sv_cut(&text, ' ');
        if (!first && at + 1 + word.n > width) {
            str_addf(out, "\n%*s", (int)column, "");
            at = column;
        } else if (!first) {
            str_addc(out, ' ');
            at++;
        }
        str_add(out, word);
        at += word.n;
        first = false;
    }
    str_addc(out, '\n');
}

static void add_left(const struct opt *o, struct str *out)
{
    if (o->letter)
        str_addf(out, "  -%c, --%s", o->letter, o->name);
    else
        str_addf(out, "      --%s", o->name);
    if (opt_takes_value(o) && o->implied)
        str_addf(out, "[=%s]", opt_arg_name(o));
    else if (opt_takes_value(o))
        str_addf(out, " %s", opt_arg_name(o));
}

static void add_right(const struct opt *o, struct str *out)
{
    str_addz(out, o->help);
    if (o->type == OPT_ENUM) {
        str_addz(out, " (");
        for (int i = 0; o->choices[i]; i++) str_addf(out, "%s%s", i ? ", " : "", o->choices[i]);
        str_addc(out, ')');
    }
    if (o->initial) str_addf(out, " (default %s)", o->initial);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct opt *const *)a)->name, (*(const struct opt *const *)b)->name);
}

void opt_print_help(const struct opt_table *table, unsigned width, struct str *out)
{
    enum { WIDEST = 34 };  // a longer left side gets a line of its own
    const struct opt **rows = mem_alloc(table->n * sizeof *rows);
    size_t n = 0, column = 0;
    for (size_t i = 0; i < table->n; i++)
        if (!table->rows[i].hidden) rows[n++] = &table->rows[i];
    if (n) qsort(rows, n, sizeof *rows, by_name);
    for (size_t i = 0; i < n; i++) {
        own(str) struct str left = {0};
        add_left(rows[i], &left);
        if (left.n <= WIDEST && left.n > column) column = left.n;
    }
    column += 3;
    for (size_t i = 0; i < n; i++) {
        own(str) struct str left = {0};
        own(str) struct str right = {0};
        add_left(rows[i], &left);
        add_right(rows[i], &right);
        str_add(out, str_sv(&left));
        if (left.n + 2 > column)
            str_addf(out, "\n%*s", (int)column, "");
        else
            str_addf(out, "%*s", (int)(column - left.n), "");
        add_wrapped(out, column, width < column + 24 ? column + 24 : width, str_sv(&right));
    }
    free(rows);
}
