// SPDX-License-Identifier: Apache-2.0
// `dewar logs`: what a container wrote, as it came; stdout to stdout, stderr to stderr.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/num.h"
#include "base/own.h"
#include "cli/commands.h"
#include "codec/json.h"
#include "record/logs.h"
#include "record/state.h"

struct opts {
    bool follow, timestamps, details;
    const char *tail, *since, *until;
};
static const struct opt rows[] = {
    {.name = "details",
     .type = OPT_BOOL,
     .offset = OPT_AT(struct opts, details),
     .help = "Show what --log-opt labels=, env= and tag= put beside each line"},
    {.name = "follow",
     .letter = 'f',
     .type = OPT_BOOL,
     .offset = OPT_AT(struct opts, follow),
     .help = "Go on until the container ends"},
    {.name = "since",
     .type = OPT_TEXT,
     .offset = OPT_AT(struct opts, since),
     .arg = "TIME",
     .help = "From this time on: 2023-06-10T12:00:00Z, or 10m for ten minutes ago"},
    {.name = "tail",
     .letter = 'n',
     .type = OPT_TEXT,
     .offset = OPT_AT(struct opts, tail),
     .arg = "N",
     .help = "The last N lines only (default: all)"},
    {.name = "timestamps",
     .letter = 't',
     .type = OPT_BOOL,
     .offset = OPT_AT(struct opts, timestamps),
     .help = "Put the time before each line"},
    {.name = "until",
     .type = OPT_TEXT,
     .offset = OPT_AT(struct opts, until),
     .arg = "TIME",
     .help = "Up to this time"},
};

struct printing {
    struct cli *c;
    const struct opts *o;
    struct str out[2];
};

static int put(struct printing *p, int i, struct err *e)
{
    struct str *s = &p->out[i];
    if (s->n == 0) return 0;
    struct err bad = {0};
    int rc = fs_write_all(i + 1, s->p, s->n, &bad);
    str_clear(s);
    if (rc == 0) return 0;
    *e = bad;
    if (bad.sys != EPIPE) return err_wrap(e, "writing the log");
    p->c->reader_gone = true;
    return -1;
}

static void add_time(struct str *out, int64_t ns)
{
    time_t seconds = (time_t)(ns / 1000000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    str_addf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%09dZ ", tm.tm_year + 1900, tm.tm_mon + 1,
             tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(ns % 1000000000));
}

// As in an address: what is not plain is %XX.
static void add_word(struct sv v, struct str *out)
{
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     (c && strchr("-_.~", c));
        if (plain)
            str_addc(out, c);
        else if (c == ' ')
            str_addc(out, '+');
        else
            str_addf(out, "%%%02X", (unsigned)(unsigned char)c);
    }
}

// "k=v,k2=v2 "
static void add_details(struct sv attrs, struct str *out)
{
    own(codec_json) struct codec_json *j = NULL;
    struct err damaged;
    void *it = NULL;
    const char *key;
    struct codec_json *value;
    bool first = true;
    if (attrs.n && codec_json_parse(attrs, "the log", &j, &damaged) == 0)
        while (codec_json_next(j, &it, &key, &value)) {
            if (!first) str_addc(out, ',');
            first = false;
            add_word(sv_of(key), out);
            str_addc(out, '=');
            add_word(codec_json_text(value), out);
        }
    str_addc(out, ' ');
}

static int print_line(void *arg, const struct record_log_line *line, struct err *e)
{
    struct printing *p = arg;
    int i = line->stream - 1;
    // In the order they came: what is held back of the other stream goes first.
    if (p->out[!i].n && put(p, !i, e) < 0) return -1;
    if (p->o->timestamps && line->begins) add_time(&p->out[i], line->time_ns);
    if (p->o->details && line->begins) add_details(line->attrs, &p->out[i]);
    str_add(&p->out[i], line->text);
    return p->o->follow || p->out[i].n > 60000 ? put(p, i, e) : 0;
}

static int read_options(const struct opts *o, struct record_logs_options *out, struct err *e)
{
    out->follow = o->follow;
    if (o->since && record_time_parse(o->since, &out->since_ns, e) < 0)
        return err_wrap(e, "reading --since");
    if (o->until && record_time_parse(o->until, &out->until_ns, e) < 0)
        return err_wrap(e, "reading --until");
    if (!o->tail || strcmp(o->tail, "all") == 0 || o->tail[0] == '-') return 0;
    out->has_tail = true;
    if (num_u64(sv_of(o->tail), &out->tail)) return 0;
    return err_set(e, ERR_USAGE, "--tail takes a number of lines or 'all', not '%s'", o->tail);
}

static int logs(struct cli *c, const void *options, struct err *e)
{
    struct printing p = {c, options, {{0}, {0}}};
    struct record_logs_options o = {0};
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    char id[RECORD_ID];
    if (read_options(options, &o, e) < 0 || cli_engine(c, &en, e) < 0 ||
        record_find(&en, c->argv[0], id, e) < 0)
        return -1;
    int rc = record_logs(&en, id, &o, print_line, &p, e);
    for (int i = 0; i < 2; i++) {
        if (rc == 0) rc = put(&p, i, e);
        str_fini(&p.out[i]);
    }
    return rc < 0 && c->reader_gone ? 0 : rc;
}

static const char *const aliases[] = {"container logs", NULL};
const struct cli_cmd cli_cmd_logs = {
    .path = "logs",
    .alias = aliases,
    .usage = "CONTAINER",
    .help = "Show what a container wrote",
    .more =
        "The log outlives the container's end and goes with its removal. By default the last 5 "
        "files of 20 MB are kept; --log-opt of run changes that.\n\n"
        "A container run in the foreground with --rm and without -t writes straight to where it "
        "was started, and has no log.",
    .examples = "dewar logs -f web\ndewar logs --since 10m -n 100 web\n",
    CLI_OPTIONS(rows, struct opts),
    .min_words = 1,
    .max_words = 1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_CONTAINERS,
    .run = logs,
};
