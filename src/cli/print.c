// SPDX-License-Identifier: Apache-2.0
// What commands print with: the result on stdout, listings in Docker's forms, a question to the
// person.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/own.h"
#include "base/table.h"
#include "cli/internal.h"
#include "codec/json.h"
#include "codec/template.h"

int cli_engine(struct cli *c, struct engine *en, struct err *e)
{
    if (engine_open(en, &c->engine, e) < 0) return -1;
    en->sink = c->sink;
    return 0;
}

int cli_flush(struct cli *c, struct err *e)
{
    if (str_check(&c->out, e) < 0) return -1;
    for (size_t at = 0; at < c->out.n && !c->reader_gone;) {
        ssize_t n = write(STDOUT_FILENO, c->out.p + at, c->out.n - at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EPIPE) {
            c->reader_gone = true;  // `dewar images | head -1`: no failure of ours
        } else if (n < 0) {
            err_sys(e, "write the result to stdout");
            str_clear(&c->out);
            return -1;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    str_clear(&c->out);
    return 0;
}

// --- listings -----------------------------------------------------------------------------------

// Values go out as they are to a pipe; a terminal gets no control bytes from images or labels.
static void add_shown(struct cli *c, struct sv text)
{
    if (!c->out_tty) {
        str_add(&c->out, text);
        return;
    }
    while (text.p && text.n) {
        struct sv line = sv_cut(&text, '\n');
        str_add_escaped(&c->out, line);
        if (text.p) str_addc(&c->out, '\n');
    }
}

// "\t" and "\n" typed in single quotes on a command line mean the characters.
static void unescape(const char *format, struct str *out)
{
    for (const char *p = format; *p; p++) {
        bool known = *p == '\\' && (p[1] == 't' || p[1] == 'n');
        str_addc(out, !known ? *p : p[1] == 't' ? '\t' : '\n');
        p += known;
    }
}

// Rows that are there already: without `make`.
static struct cli_rows rows_of(const struct codec_json *array)
{
    return (struct cli_rows){.n = codec_json_len(array), .from = (void *)(uintptr_t)array};
}

// Good until the next call; *made is the caller's own.
static const struct codec_json *row_at(const struct cli_rows *rows, size_t i, struct codec_json **made)
{
    if (!rows->make) return codec_json_at(rows->from, i);
    codec_json_free(*made);
    return *made = rows->make(rows->from, i);
}

// One printed row to cells of a table; short rows are filled up.
static void add_cells(struct table *t, struct sv line)
{
    size_t n = 0;
    while (line.p && n < t->columns) {
        own(free) char *cell = sv_dup(sv_cut(&line, '\t'));
        table_cell(t, cell);
        n++;
    }
    for (; n < t->columns; n++) table_cell(t, "");
}

static struct codec_json *headings(const struct cli_column *columns)
{
    struct codec_json *j = codec_json_new_object();
    for (; columns->heading; columns++) codec_json_set_text(j, columns->key, columns->heading);
    return j;
}

static size_t count_tabs(struct sv s)
{
    size_t n = 1;
    for (size_t i = 0; i < s.n; i++) n += s.p[i] == '\t';
    return n;
}

static int print_table(struct cli *c, const struct cli_rows *rows,
                       const struct cli_column *columns, const char *format, struct err *e)
{
    own(codec_template) struct codec_template *t = NULL;
    own(codec_json) struct codec_json *head = headings(columns), *made = NULL;
    own(str) struct str line = {0};
    own(table) struct table table = {0};
    if (codec_template_parse(sv_of(format), &t, e) < 0) return -1;
    if (codec_template_print(t, head, &line, e) < 0) return -1;
    table_init(&table, count_tabs(str_sv(&line)));
    add_cells(&table, str_sv(&line));
    for (size_t i = 0; i < rows->n; i++) {
        str_clear(&line);
        if (codec_template_print(t, row_at(rows, i, &made), &line, e) < 0) return -1;
        add_cells(&table, str_sv(&line));
    }
    table_print(&table, &c->out);
    return 0;
}

static bool is_shown(const struct cli_column *col, const char *also)
{
    return !col->optional || (also && strcmp(col->key, also) == 0);
}

static void add_value(struct table *t, const struct codec_json *v, struct str *buf)
{
    str_clear(buf);
    if (codec_json_type(v) == CODEC_JSON_TEXT)
        str_add(buf, codec_json_text(v));
    else if (v)
        codec_json_print(v, buf);
    table_cell(t, str_z(buf));
}

static void default_table(struct cli *c, const struct cli_rows *rows,
                          const struct cli_column *columns, const char *also)
{
    own(table) struct table table = {0};
    own(str) struct str buf = {0};
    own(codec_json) struct codec_json *made = NULL;
    size_t n = 0;
    for (const struct cli_column *col = columns; col->heading; col++) n += is_shown(col, also);
    table_init(&table, n);
    for (const struct cli_column *col = columns; col->heading; col++)
        if (is_shown(col, also)) table_cell(&table, col->heading);
    for (size_t i = 0; i < rows->n; i++) {
        const struct codec_json *row = row_at(rows, i, &made);
        for (const struct cli_column *col = columns; col->heading; col++)
            if (is_shown(col, also)) add_value(&table, codec_json_get(row, col->key), &buf);
    }
    table_print(&table, &c->out);
}

static int each_by_template(struct cli *c, const struct cli_rows *rows, const char *format,
                            struct err *e)
{
    own(codec_template) struct codec_template *t = NULL;
    own(codec_json) struct codec_json *made = NULL;
    if (codec_template_parse(sv_of(format), &t, e) < 0) return -1;
    for (size_t i = 0; i < rows->n; i++) {
        own(str) struct str line = {0};
        int rc = codec_template_print(t, row_at(rows, i, &made), &line, e);
        if (rc < 0) return -1;
        add_shown(c, str_sv(&line));
        str_addc(&c->out, '\n');
    }
    return 0;
}

static int print_rows(struct cli *c, const struct cli_rows *rows,
                      const struct cli_column *columns, const char *also, const char *format,
                      struct err *e)
{
    own(str) struct str text = {0};
    struct sv given = sv_trim(sv_of(format));
    if (given.n == 0 || sv_eqz(given, "table")) {
        default_table(c, rows, columns, also);
        return 0;
    }
    if (sv_eqz(given, "json")) return each_by_template(c, rows, "{{json .}}", e);
    if (!sv_starts(given, "table ")) {
        unescape(format, &text);
        return each_by_template(c, rows, str_z(&text), e);
    }
    own(free) char *rest = sv_dup(sv_trim(sv_from(given, 6)));
    unescape(rest, &text);
    return print_table(c, rows, columns, str_z(&text), e);
}

int cli_print_rows(struct cli *c, const struct codec_json *rows, const struct cli_column *columns,
                   const char *format, struct err *e)
{
    struct cli_rows all = rows_of(rows);
    return cli_print_made(c, &all, columns, NULL, format, e);
}

int cli_print_made(struct cli *c, const struct cli_rows *rows, const struct cli_column *columns,
                   const char *also, const char *format, struct err *e)
{
    return print_rows(c, rows, columns, also, format, e) < 0 ? err_wrap(e, "--format '%s'", format) : 0;
}

int cli_print_values(struct cli *c, const struct codec_json *array, const char *format,
                     struct err *e)
{
    own(str) struct str text = {0};
    struct cli_rows rows = rows_of(array);
    struct sv given = sv_of(format);
    if (given.n == 0) {
        codec_json_print_pretty(array, 4, &text);
        str_addc(&text, '\n');
        add_shown(c, str_sv(&text));
        return 0;
    }
    if (sv_eqz(given, "json")) {
        codec_json_print(array, &text);
        str_addc(&text, '\n');
        add_shown(c, str_sv(&text));
        return 0;
    }
    own(codec_template) struct codec_template *check = NULL;
    if (codec_template_parse(given, &check, e) < 0) c->failure = 64; // as Docker's inspect ends then
    else if (each_by_template(c, &rows, format, e) == 0) return 0;
    return err_wrap(e, "--format '%s'", format);
}

void cli_print_deleted(struct cli *c, const char *what, const struct strv *names)
{
    if (!names->n) return;
    str_addf(&c->out, "Deleted %s:\n", what);
    for (size_t k = 0; k < names->n; k++) str_addf(&c->out, "%s\n", names->p[k]);
    str_addc(&c->out, '\n');
}

void cli_print_freed(struct cli *c, uint64_t bytes)
{
    str_addz(&c->out, "Total reclaimed space: ");
    num_print_size(bytes, &c->out);
    str_addc(&c->out, '\n');
}

void cli_add_since(int64_t seconds, struct str *out)
{
    if (seconds == INT64_MIN) {
        str_addz(out, "N/A");
        return;
    }
    num_print_ago(clock_real_ns() / 1000000000 - seconds, out);
    str_addz(out, " ago");
}

void cli_add_time(int64_t seconds, struct str *out)
{
    own(str) struct str text = {0};
    if (seconds == INT64_MIN) {
        str_addz(out, "N/A");
        return;
    }
    clock_print(seconds, &text);  // 2023-06-10T00:00:00Z
    struct sv rest = str_sv(&text), date = sv_cut(&rest, 'T');
    str_add(out, date);
    str_addc(out, ' ');
    str_add(out, sv_part(rest, 0, 8));
    str_addz(out, " +0000 UTC");
}

// --- questions ----------------------------------------------------------------------------------

int cli_confirm(struct cli *c, const char *question, struct err *e)
{
    own(str) struct str text = {0};
    char answer[64];
    (void)c;
    str_addf(&text, "%s\nAre you sure you want to continue? [y/N] ", question);
    if (write(STDERR_FILENO, text.p, text.n) < 0)
        return err_sys(e, "ask on the terminal");
    ssize_t n;
    do n = read(STDIN_FILENO, answer, sizeof answer);
    while (n < 0 && errno == EINTR);
    struct sv said = sv_trim((struct sv){answer, n > 0 ? (size_t)n : 0});
    return sv_eq_nocase(said, SV("y")) || sv_eq_nocase(said, SV("yes"));
}
