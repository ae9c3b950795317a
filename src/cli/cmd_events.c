// SPDX-License-Identifier: Apache-2.0
// `dewar events`: what happened and happens to containers, images and volumes, one a line.
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/own.h"
#include "cli/commands.h"
#include "record/events.h"
#include "record/logs.h"

struct opts {
    const char *format, *since, *until;
    struct strv filters;
};
#define AT(member) .offset = OPT_AT(struct opts, member)
static const struct opt rows[] = {
    {"filter", 'f', OPT_LIST, AT(filters), .arg = "KEY=VALUE",
     .help = "Only these: container, image, volume, type, event, label=K[=V], network, scope"},
    {"format", 0, OPT_TEXT, AT(format), .arg = "TEMPLATE", .help = "A Go template, or 'json'"},
    {"since", 0, OPT_TEXT, AT(since), .arg = "TIME",
     .help = "Begin with what happened since: 2023-06-10T12:00:00Z, or 10m for ten minutes ago"},
    {"until", 0, OPT_TEXT, AT(until), .arg = "TIME", .help = "End at this time"},
};
#undef AT

struct printing {
    struct cli *c;
    const char *format;
};

// 2023-06-10T14:00:00.000000000+02:00, in the zone of the person as Docker has it.
static void add_time(int64_t ns, struct str *out)
{
    time_t seconds = (time_t)(ns / 1000000000);
    struct tm tm;
    clock_zone();
    localtime_r(&seconds, &tm);
    long zone = tm.tm_gmtoff / 60, size = zone < 0 ? -zone : zone;
    str_addf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%09d", tm.tm_year + 1900, tm.tm_mon + 1,
             tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(ns % 1000000000));
    if (zone == 0)
        str_addc(out, 'Z');
    else
        str_addf(out, "%c%02ld:%02ld", zone < 0 ? '-' : '+', size / 60, size % 60);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// " (image=busybox, name=web)", sorted; nothing where there is nothing.
static void add_attributes(const struct codec_json *attributes, struct str *out)
{
    size_t len = codec_json_len(attributes), n = 0;
    const char **keys = mem_alloc((len + 1) * sizeof *keys);
    struct codec_json *value;
    void *it = NULL;
    while (n < len && codec_json_next(attributes, &it, &keys[n], &value)) n++;
    qsort(keys, n, sizeof *keys, by_key);
    for (size_t i = 0; i < n; i++) {
        str_addz(out, i ? ", " : " (");
        str_add_escaped(out, sv_of(keys[i]));
        str_addc(out, '=');
        str_add_escaped(out, codec_json_text(codec_json_get(attributes, keys[i])));
    }
    if (n) str_addc(out, ')');
    free(keys);
}

static void print_line(const struct codec_json *event, struct str *out)
{
    const struct codec_json *actor = codec_json_get(event, "Actor");
    add_time(codec_json_int(codec_json_get(event, "timeNano")), out);
    const struct codec_json *words[] = {codec_json_get(event, "Type"),
                                        codec_json_get(event, "Action"),
                                        codec_json_get(actor, "ID")};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        str_addc(out, ' ');
        str_add_escaped(out, codec_json_text(words[i]));
    }
    add_attributes(codec_json_get(actor, "Attributes"), out);
    str_addc(out, '\n');
}

static int print_event(void *arg, const struct codec_json *event, struct err *e)
{
    struct printing *p = arg;
    if (p->format) {
        own(codec_json) struct codec_json *list = codec_json_new_array();
        const struct cli_column none = {NULL, NULL, false};
        codec_json_add(list, codec_json_copy(event));
        if (cli_print_rows(p->c, list, &none, p->format, e) < 0) return -1;
    } else {
        print_line(event, &p->c->out);
    }
    if (cli_flush(p->c, e) < 0) return -1;
    return p->c->reader_gone ? err_set(e, ERR_INTERRUPTED, "nobody reads any more") : 0;
}

static int read_options(const struct opts *o, struct record_events_options *out, struct err *e)
{
    struct sv format = sv_trim(sv_of(o->format));
    if (sv_eqz(format, "table") || sv_starts(format, "table "))
        return err_set(e, ERR_USAGE, "events have no table: --format takes a template or 'json'");
    out->has_since = o->since != NULL;
    out->has_until = o->until != NULL;
    if (o->since && record_time_parse(o->since, &out->since_ns, e) < 0)
        return err_wrap(e, "reading --since");
    if (o->until && record_time_parse(o->until, &out->until_ns, e) < 0)
        return err_wrap(e, "reading --until");
    return 0;
}

static int events(struct cli *c, const void *options, struct err *e)
{
    const struct opts *o = options;
    struct record_events_options r = {.filters = &o->filters, .gone_fd = 1};
    struct printing p = {c, o->format};
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    if (read_options(o, &r, e) < 0 || cli_engine(c, &en, e) < 0) return -1;
    int rc = record_events(&en, &r, print_event, &p, e);
    return rc < 0 && c->reader_gone ? 0 : rc;
}

const struct cli_cmd cli_cmd_events = {
    .path = "system events",
    .alias = (const char *const[]){"events", NULL},
    .usage = "",
    .help = "Show what happens to containers, images and volumes, as it happens",
    .more = "With --since or --until it begins with what happened before; with --until it ends.\n"
            "The log holds the last few thousand events since the machine was started.\n"
            "Fields for --format: .Type .Action .Actor.ID .Actor.Attributes .Scope .Time .TimeNano\n"
            ".Status .ID .From.",
    .examples = "dewar events --filter type=container --filter event=die\n"
                "dewar events --since 10m --until 0s --format json\n"
                "dewar events --filter label=job=sweep --format '{{.Action}} {{.Actor.Attributes.name}}'",
    CLI_OPTIONS(rows, struct opts),
    .family = CLI_DOCKER,
    .run = events,
};
