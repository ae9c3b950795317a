// SPDX-License-Identifier: Apache-2.0
// `dewar stats`: what containers use, once or again every second. On a terminal each picture is
// written over the one before with a single write, so nothing flickers.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/num.h"
#include "base/own.h"
#include "base/table.h"
#include "cli/commands.h"
#include "container/watch.h"

#define PERIOD_MS 1000

struct opts {
    bool all, no_stream, no_trunc;
    const char *format;
};
#define AT(member) .offset = OPT_AT(struct opts, member)
static const struct opt rows[] = {
    {"all", 'a', OPT_BOOL, AT(all), .help = "Also containers that do not run"},
    {.name = "format", CLI_OPT_FORMAT(struct opts, format)},
    {"no-stream", 0, OPT_BOOL, AT(no_stream), .help = "Once, and end"},
    {"no-trunc", 0, OPT_BOOL, AT(no_trunc), .help = "Do not shorten IDs"},
};
#undef AT
static const struct cli_column columns[] = {
    {"CONTAINER ID", "ID", false},  {"NAME", "Name", false},
    {"CPU %", "CPUPerc", false},    {"MEM USAGE / LIMIT", "MemUsage", false},
    {"MEM %", "MemPerc", false},    {"NET I/O", "NetIO", false},
    {"BLOCK I/O", "BlockIO", false}, {"PIDS", "PIDs", false},
    {"CONTAINER", "Container", true}, {NULL, NULL, false},
};

struct watched {
    char id[RECORD_ID];
    char name[RECORD_NAME];
    const char *word; // as it was typed; NULL: none was
    struct container_usage before, now;
    bool gone;
};
struct screen {
    struct cli *c;
    const struct opts *o;
    struct engine *en;
    struct {
        struct watched *p;
        size_t n, cap;
    } all;
};

// --- which ------------------------------------------------------------------------------------

static struct watched *find(struct screen *s, const char *id)
{
    vec_each (w, &s->all)
        if (strcmp(w->id, id) == 0) return w;
    return NULL;
}

static int add_named(struct screen *s, struct err *e)
{
    for (int i = 0; i < s->c->argc; i++) {
        struct watched w = {.word = s->c->argv[i]};
        own(record_config) struct record_config config = {0};
        if (record_find(s->en, w.word, w.id, e) < 0 ||
            record_config_load(s->en, w.id, &config, e) < 0)
            return -1;
        snprintf(w.name, sizeof w.name, "%s", config.brief.name);
        if (!find(s, w.id)) vec_push(&s->all, w);
    }
    return 0;
}

// Those that run (or all), in the order of the listing; what is known of them stays.
static int add_listed(struct screen *s, struct err *e)
{
    own(record_rows) struct record_rows list = {0};
    if (record_list(s->en, s->o->all, &list, e) < 0) return -1;
    struct screen next = *s;
    memset(&next.all, 0, sizeof next.all);
    vec_each (r, &list) {
        struct watched *known = find(s, r->brief.id), w = {.gone = false};
        if (known) w = *known;
        snprintf(w.id, sizeof w.id, "%s", r->brief.id);
        snprintf(w.name, sizeof w.name, "%s", r->brief.name);
        vec_push(&next.all, w);
    }
    vec_fini(&s->all);
    s->all.p = next.all.p;
    s->all.n = next.all.n;
    s->all.cap = next.all.cap;
    return 0;
}

static int look(struct screen *s, struct err *e)
{
    if (s->c->argc == 0 && add_listed(s, e) < 0) return -1;
    vec_each (w, &s->all) {
        struct err bad = {0};
        w->before = w->now;
        if (container_usage(s->en, w->id, &w->now, &bad) == 0) continue;
        if (bad.kind != ERR_NOT_FOUND) {
            *e = bad;
            return -1;
        }
        w->gone = true; // removed
    }
    return 0;
}

// --- a picture --------------------------------------------------------------------------------

static void set_pair(struct codec_json *j, const char *key, uint64_t a, uint64_t b, bool known,
                     void (*print)(uint64_t bytes, struct str *out), bool pair)
{
    own(str) struct str text = {0};
    if (known) {
        print(a, &text);
        str_addz(&text, " / ");
        print(b, &text);
    } else {
        str_addz(&text, pair ? "-- / --" : "--");
    }
    codec_json_set_text(j, key, str_z(&text));
}

static void set_percent(struct codec_json *j, const char *key, double v, bool known)
{
    own(free) char *text = known ? str_fmt("%.2f%%", v) : str_dup("--");
    codec_json_set_text(j, key, text);
}

static struct codec_json *row_of(const struct watched *w, bool full)
{
    const struct container_usage *u = &w->now;
    struct codec_json *j = codec_json_new_object();
    own(free) char *id = str_fmt("%.*s", full ? RECORD_ID : CLI_SHORT_ID, w->id);
    own(free) char *pids = u->running ? str_fmt("%llu", (unsigned long long)u->pids) : NULL;
    double memory = u->memory_limit ? (double)u->memory * 100 / (double)u->memory_limit : 0;
    set_pair(j, "BlockIO", u->block_in, u->block_out, u->running, num_print_size, false);
    set_percent(j, "CPUPerc", container_usage_cpu(&w->before, u), u->running);
    codec_json_set_text(j, "Container", w->word ? w->word : id);
    codec_json_set_text(j, "ID", id);
    set_percent(j, "MemPerc", memory, u->running);
    set_pair(j, "MemUsage", u->memory, u->memory_limit, u->running, num_print_binary, true);
    codec_json_set_text(j, "Name", w->name);
    set_pair(j, "NetIO", u->net_in, u->net_out, u->running, num_print_size, false);
    codec_json_set_text(j, "PIDs", pids ? pids : "--");
    return j;
}

// Over the picture before: each line's rest is erased, then what is below. What does not fit would
// scroll and leave lines behind, so it is cut.
static void overwrite(struct str *out, bool first)
{
    struct winsize ws = {0};
    own(str) struct str frame = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) != 0 || !ws.ws_col || !ws.ws_row)
        ws = (struct winsize){.ws_row = 24, .ws_col = 80};
    struct sv rest = str_sv(out);
    str_addz(&frame, first ? "\x1b[2J\x1b[H" : "\x1b[H");
    for (unsigned row = 1; rest.p && rest.n && row < ws.ws_row; row++) {
        str_add(&frame, table_fit(sv_cut(&rest, '\n'), ws.ws_col));
        str_addz(&frame, "\x1b[K\n");
    }
    str_addz(&frame, "\x1b[J");
    str_clear(out);
    str_add(out, str_sv(&frame));
}

static int draw(struct screen *s, bool first, struct err *e)
{
    own(codec_json) struct codec_json *list = codec_json_new_array();
    bool json = s->o->format && sv_eqz(sv_trim(sv_of(s->o->format)), "json");
    vec_each (w, &s->all)
        if (!w->gone) codec_json_add(list, row_of(w, s->o->no_trunc));
    if (cli_print_rows(s->c, list, columns, s->o->format, e) < 0) return -1;
    if (s->c->out_tty && !s->o->no_stream && !json) overwrite(&s->c->out, first);
    return cli_flush(s->c, e);
}

// --- the command ------------------------------------------------------------------------------

static bool any(const struct screen *s, bool running)
{
    vec_each (w, &s->all)
        if (!w->gone && (!running || w->now.running)) return true;
    return false;
}

// Ends early when nobody reads our output any more.
static bool pause_between(void)
{
    struct pollfd p = {.fd = STDOUT_FILENO};
    int rc = poll(&p, 1, PERIOD_MS);
    return rc == 0 || (rc < 0 && errno == EINTR);
}

static int run_screen(struct screen *s, struct err *e)
{
    if ((s->c->argc && add_named(s, e) < 0) || look(s, e) < 0) return -1;
    // How much of a processor is used shows between two looks.
    if (any(s, true)) {
        if (!pause_between()) return 0;
        if (look(s, e) < 0) return -1;
    }
    for (bool first = true;; first = false) {
        if (draw(s, first, e) < 0) return -1;
        if (s->o->no_stream || s->c->reader_gone || (s->c->argc && !any(s, false))) return 0;
        if (!pause_between()) return 0;
        if (look(s, e) < 0) return -1;
    }
}

static int stats(struct cli *c, const void *options, struct err *e)
{
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    struct screen s = {.c = c, .o = options, .en = &en};
    if (cli_engine(c, &en, e) < 0) return -1;
    int rc = run_screen(&s, e);
    vec_fini(&s.all);
    return rc;
}

const struct cli_cmd cli_cmd_stats = {
    .path = "stats",
    .alias = (const char *const[]){"container stats", NULL},
    .usage = "[CONTAINER...]",
    .help = "Show what containers use: processor, memory, network, disks, processes",
    .more = "All that run, unless some are named; again every second, until Ctrl-C.\n"
            "The numbers come from the container's control group where it has one (it gets one with\n"
            "its limits), otherwise they are summed up over its processes: then memory is without\n"
            "page cache, and the limit is the machine's memory.\n"
            "Fields for --format: .ID .Name .Container .CPUPerc .MemUsage .MemPerc .NetIO .BlockIO\n"
            ".PIDs.",
    .examples = "dewar stats\n"
                "dewar stats --no-stream --format 'table {{.Name}}\\t{{.CPUPerc}}\\t{{.MemUsage}}'",
    CLI_OPTIONS(rows, struct opts),
    .max_words = -1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_CONTAINERS,
    .run = stats,
};
