// SPDX-License-Identifier: Apache-2.0
// ps: containers as a table, in Docker's words.
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/own.h"
#include "cli/commands.h"
#include "image/view.h"
#include "record/listing.h"
#include "store/gc.h"

#define COMMAND_SHOWN 20 // characters, as Docker shows
#define MOUNT_SHOWN 15

struct ps {
    bool all, latest, no_trunc, quiet, size;
    int64_t last;
    const char *format;
    struct strv filters;
};
#define AT(member) .offset = OPT_AT(struct ps, member)
static const struct opt ps_options[] = {
    {"all", 'a', OPT_BOOL, AT(all), .help = "Also those that do not run"},
    {"filter", 'f', OPT_LIST, AT(filters), .arg = "KEY=VALUE",
     .help = "Only these: id, name, label=K[=V], status, exited=CODE, ancestor=IMAGE, before, since, "
             "volume, network, health, expose, publish"},
    {.name = "format", CLI_OPT_FORMAT(struct ps, format)},
    {"last", 'n', OPT_INT, AT(last), .arg = "N", .help = "The N made last, whatever their state"},
    {"latest", 'l', OPT_BOOL, AT(latest), .help = "The one made last, whatever its state"},
    {"no-trunc", 0, OPT_BOOL, AT(no_trunc), .help = "Do not shorten IDs and commands"},
    {"quiet", 'q', OPT_BOOL, AT(quiet), .help = "Only IDs"},
    {"size", 's', OPT_BOOL, AT(size), .help = "Show what each has written"},
};
#undef AT

static const struct cli_column ps_columns[] = {
    {"CONTAINER ID", "ID", false},   {"IMAGE", "Image", false},
    {"COMMAND", "Command", false},   {"CREATED", "RunningFor", false},
    {"CREATED AT", "CreatedAt", true}, {"STATUS", "Status", false},
    {"STATE", "State", true},        {"PORTS", "Ports", false},
    {"NAMES", "Names", false},       {"SIZE", "Size", true},
    {"LABELS", "Labels", true},      {"MOUNTS", "Mounts", true},
    {"LOCAL VOLUMES", "LocalVolumes", true}, {"NETWORKS", "Networks", true},
    {NULL, NULL, false},
};

static void add_ago(int64_t then_ns, int64_t now_ns, struct str *out)
{
    num_print_ago((now_ns - then_ns) / 1000000000, out);
}

// By the kernel's count of time since the boot, which nobody can set.
static int64_t uptime(const struct record_state *s)
{
    int64_t tick = 1000000000 / sysconf(_SC_CLK_TCK);
    return (clock_boot_ns() - (int64_t)s->pid_start * tick) / 1000000000;
}

// "Up 5 minutes (healthy)", "Exited (0) 3 hours ago".
static void add_status(const struct record_state *s, int64_t now_ns, struct str *out)
{
    switch (s->status) {
    case RECORD_CREATED:
        str_addz(out, "Created");
        return;
    case RECORD_DEAD:
        str_addz(out, "Dead");
        return;
    case RECORD_REMOVING:
        str_addz(out, "Removal In Progress");
        return;
    case RECORD_EXITED:
    case RECORD_RESTARTING:
        str_addf(out, "%s (%d) ", s->status == RECORD_EXITED ? "Exited" : "Restarting", s->code);
        add_ago(s->finished, now_ns, out);
        str_addz(out, " ago");
        return;
    case RECORD_RUNNING:
    case RECORD_PAUSED:
    case RECORD_STATUS_COUNT:
        break;
    }
    str_addz(out, "Up ");
    num_print_ago(uptime(s), out);
    if (s->status == RECORD_PAUSED)
        str_addz(out, " (Paused)");
    else if (s->health == RECORD_HEALTH_STARTING)
        str_addz(out, " (health: starting)");
    else if (s->health != RECORD_HEALTH_NONE)
        str_addf(out, " (%s)", record_health_name(s->health));
}

// As Go quotes: what is no plain text becomes visible, so that a line stays a line.
static void add_quoted(struct sv text, struct str *out)
{
    static const char plain[] = "\a\b\t\n\v\f\r\"\\", letters[] = "abtnvfr\"\\";
    str_addc(out, '"');
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        const char *hit = c ? strchr(plain, c) : NULL;
        if (hit)
            str_addf(out, "\\%c", letters[hit - plain]);
        else if ((unsigned char)c < 0x20 || c == 0x7F)
            str_addf(out, "\\x%02x", (unsigned)(unsigned char)c);
        else
            str_addc(out, c);
    }
    str_addc(out, '"');
}

// A text of more than `max` characters ends with an ellipsis there, as with Docker.
static void add_cut(const char *z, size_t max, struct str *out)
{
    struct sv text = sv_of(z ? z : "");
    size_t end = 0, shown = 0, cut = 0;
    while (end < text.n) {
        if (shown == max - 1) cut = end;
        do end++;
        while (end < text.n && ((unsigned char)text.p[end] & 0xC0) == 0x80);
        shown++;
    }
    str_add(out, (struct sv){text.p, shown <= max ? text.n : cut});
    if (shown > max) str_addz(out, "…");
}

static void add_command(const char *command, bool full, struct str *out)
{
    own(str) struct str cell = {0};
    add_cut(command, full ? SIZE_MAX : COMMAND_SHOWN, &cell);
    add_quoted(str_sv(&cell), out);
}

static void add_comma(struct str *out, const char *text)
{
    if (out->n) str_addc(out, ',');
    str_addz(out, text);
}

// What only the whole config tells; a container that went away meanwhile shows nothing.
static void set_details(struct engine *en, const char *id, bool full, struct codec_json *j)
{
    own(record_config) struct record_config c = {0};
    struct err gone = {0};
    own(str) struct str labels = {0};
    own(str) struct str mounts = {0};
    size_t local = 0;
    if (record_config_load(en, id, &c, &gone) < 0) return;
    vec_each (item, &c.labels) {
        add_comma(&labels, item->key);
        str_addf(&labels, "=%s", (const char *)item->value);
    }
    vec_each (v, &c.volumes) {
        if (strcmp(v->type, "tmpfs") == 0) continue;
        if (mounts.n) str_addc(&mounts, ',');
        add_cut(v->name ? v->name : v->source, full ? SIZE_MAX : MOUNT_SHOWN, &mounts);
        local += v->name != NULL;
    }
    own(free) char *count = str_fmt("%zu", local);
    codec_json_set_text(j, "Labels", str_z(&labels));
    codec_json_set_text(j, "Mounts", str_z(&mounts));
    codec_json_set_text(j, "LocalVolumes", count);
    codec_json_set_text(j, "Networks", c.network ? c.network : "");
}

static struct codec_json *row_object(const struct record_row *row, bool full, int64_t now)
{
    const struct record_brief *b = &row->brief;
    struct codec_json *j = codec_json_new_object();
    own(str) struct str command = {0};
    own(str) struct str status = {0};
    own(str) struct str since = {0};
    own(str) struct str at = {0};
    own(free) char *id = str_fmt("%.*s", full ? RECORD_ID : CLI_SHORT_ID, b->id);
    add_command(b->command, full, &command);
    add_status(&row->state, now, &status);
    cli_add_since(b->created / 1000000000, &since);
    cli_add_time(b->created / 1000000000, &at);
    codec_json_set_text(j, "Command", str_z(&command));
    codec_json_set_text(j, "CreatedAt", str_z(&at));
    codec_json_set_text(j, "ID", id);
    codec_json_set_text(j, "Image", b->image ? b->image : "");
    codec_json_set_text(j, "Names", b->name);
    codec_json_set_text(j, "Ports", "");
    codec_json_set_text(j, "RunningFor", str_z(&since));
    codec_json_set_text(j, "State", record_status_name(row->state.status));
    codec_json_set_text(j, "Status", str_z(&status));
    return j;
}

void cli_container_sizes(const struct store_df *df, const char *id, const char *image,
                         uint64_t *out_own, uint64_t *out_image)
{
    *out_own = *out_image = 0;
    if (image && strncmp(image, "sha256:", 7) == 0) image += 7;
    vec_each (item, &df->containers)
        if (strcmp(item->id, id) == 0) *out_own = item->size;
    vec_each (im, &df->images)
        if (image && strcmp(im->id.hex, image) == 0) *out_image = im->size;
}

// What `docker ps -s` says: what it wrote, and that with its image's files.
static void set_size(const struct store_df *df, const struct record_brief *b, struct codec_json *j)
{
    uint64_t own = 0, image = 0;
    own(str) struct str text = {0};
    cli_container_sizes(df, b->id, b->image_id, &own, &image);
    num_print_size(own, &text);
    str_addz(&text, " (virtual ");
    num_print_size(own + image, &text);
    str_addc(&text, ')');
    codec_json_set_text(j, "Size", str_z(&text));
}

static bool wants_details(const char *format)
{
    static const char *const words[] = {"json", "Label", "Mounts", "LocalVolumes", "Networks"};
    for (size_t i = 0; format && i < sizeof words / sizeof *words; i++)
        if (strstr(format, words[i])) return true;
    return false;
}

struct making {
    struct engine *en;
    const struct record_rows *rows;
    const struct store_df *df; // NULL: no sizes
    bool full, details;
    int64_t now;
};

static struct codec_json *make_row(void *from, size_t i)
{
    const struct making *m = from;
    const struct record_row *row = &m->rows->p[i];
    struct codec_json *j = row_object(row, m->full, m->now);
    if (m->details) set_details(m->en, row->brief.id, m->full, j);
    if (m->df) set_size(m->df, &row->brief, j);
    return j;
}

static int run_ps(struct cli *c, const void *options, struct err *e)
{
    const struct ps *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(record_rows) struct record_rows rows = {0};
    own(store_df) struct store_df df = {0};
    const struct record_listing_options opt = {.all = o->all,
                                               .last = o->latest     ? 1
                                                       : o->last > 0 ? o->last
                                                                     : 0,
                                               .made_from = image_made_from,
                                               .filters = &o->filters};
    if (cli_engine(c, &en, e) < 0 || record_listing(&en, &opt, &rows, e) < 0) return -1;
    bool size = o->size || (o->format && strstr(o->format, ".Size"));
    if (o->quiet && !o->format) {
        int shown = o->no_trunc ? RECORD_ID : CLI_SHORT_ID;
        vec_each(row, &rows) str_addf(&c->out, "%.*s\n", shown, row->brief.id);
        return 0;
    }
    if (size && store_df(&en, &df, e) < 0) return -1;
    struct making m = {.en = &en,
                       .rows = &rows,
                       .df = size ? &df : NULL,
                       .full = o->no_trunc,
                       .details = wants_details(o->format),
                       .now = clock_real_ns()};
    const struct cli_rows made = {rows.n, make_row, &m};
    return cli_print_made(c, &made, ps_columns, o->size ? "Size" : NULL, o->format, e);
}

const struct cli_cmd cli_cmd_ps = {
    .path = "container ls",
    .alias = (const char *const[]){"ps", "container list", "container ps", NULL},
    .usage = "",
    .help = "List containers",
    .more = "Those that run, newest first; -a shows all. Fields for --format: .ID .Image .Command\n"
            ".CreatedAt .RunningFor .State .Status .Ports .Names .Size .Labels .Label \"K\" .Mounts\n"
            ".LocalVolumes .Networks.",
    .examples = "dewar ps -a\n"
                "dewar ps -q --filter status=exited\n"
                "dewar ps --format 'table {{.Names}}\\t{{.Status}}'\n"
                "dewar rm $(dewar ps -aq --filter label=job=sweep)",
    CLI_OPTIONS(ps_options, struct ps),
    .family = CLI_DOCKER,
    .run = run_ps,
};
