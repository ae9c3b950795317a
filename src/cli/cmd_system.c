// SPDX-License-Identifier: Apache-2.0
// Commands about the store as a whole: system df, system prune, builder prune, system check.
#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/own.h"
#include "base/table.h"
#include "cli/commands.h"
#include "codec/json.h"
#include "container/container.h"
#include "container/life.h"
#include "store/gc.h"
#include "volume/volume.h"

static void set_count(struct codec_json *j, const char *key, size_t n)
{
    own(str) struct str s = {0};
    str_addf(&s, "%zu", n);
    codec_json_set(j, key, codec_json_new_text(str_sv(&s)));
}

// --- system df ----------------------------------------------------------------------------------

struct df {
    bool verbose, human;
    const char *format;
};
static const struct opt df_options[] = {
    {"verbose", 'v', OPT_BOOL, OPT_AT(struct df, verbose), .help = "Every image, container and cache"},
    {.name = "format", CLI_OPT_FORMAT(struct df, format)},
    {"human", 'H', OPT_BOOL, OPT_AT(struct df, human), .initial = "true",
     .help = "Sizes for people; false prints bytes"},
};
static const struct cli_column df_columns[] = {
    {"TYPE", "Type", false}, {"TOTAL", "TotalCount", false},        {"ACTIVE", "Active", false},
    {"SIZE", "Size", false}, {"RECLAIMABLE", "Reclaimable", false}, {NULL, NULL, false},
};

static void add_size(const struct df *o, uint64_t bytes, struct str *out)
{
    if (o->human)
        num_print_size(bytes, out);
    else
        str_addf(out, "%llu", (unsigned long long)bytes);
}

static void add_sum(const struct df *o, struct codec_json *list, const char *type,
                    const struct store_df_sum *sum)
{
    own(str) struct str size = {0};
    struct codec_json *j = codec_json_new_object();
    own(str) struct str free_able = {0};
    set_count(j, "Active", sum->active);
    add_size(o, sum->reclaimable, &free_able);
    add_size(o, sum->size, &size);
    if (sum->size && o->human)
        str_addf(&free_able, " (%u%%)",
                 (unsigned)((double)sum->reclaimable * 100 / (double)sum->size));
    codec_json_set(j, "Reclaimable", codec_json_new_text(str_sv(&free_able)));
    codec_json_set(j, "Size", codec_json_new_text(str_sv(&size)));
    set_count(j, "TotalCount", sum->total);
    codec_json_set_text(j, "Type", type);
    codec_json_add(list, j);
}

static void verbose_images(struct cli *c, const struct df *o, const struct store_df *d)
{
    own(table) struct table t;
    table_init(&t, 7);
    str_addz(&c->out, "Images space usage:\n\n");
    table_row(&t, (const char *[]){"IMAGE", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE",
                                   "UNIQUE SIZE", "CONTAINERS"});
    vec_each(im, &d->images) {
        uint64_t sizes[] = {im->size, im->shared, im->unique};
        table_cell(&t, im->names.n ? im->names.p[0] : "<none>");
        table_cellf(&t, "%.*s", CLI_SHORT_ID, im->id.hex);
        own(str) struct str since = {0};
        cli_add_since(im->created, &since);
        table_cell(&t, str_z(&since));
        for (size_t i = 0; i < 3; i++) {
            own(str) struct str s = {0};
            add_size(o, sizes[i], &s);
            table_cell(&t, str_z(&s));
        }
        table_cellf(&t, "%zu", im->containers);
    }
    table_print(&t, &c->out);
}

static void verbose_items(struct cli *c, const struct df *o, const char *title, const char *detail,
                          const struct store_df_items *items)
{
    own(table) struct table t;
    table_init(&t, 5);
    str_addf(&c->out, "\n%s space usage:\n\n", title);
    table_row(&t, (const char *[]){"ID", detail, "LAST USED", "SIZE", "IN USE"});
    vec_each(it, items) {
        own(str) struct str size = {0};
        own(str) struct str since = {0};
        add_size(o, it->size, &size);
        cli_add_since(it->last_used ? it->last_used : INT64_MIN, &since);
        struct sv id = sv_of(it->id);
        bool hex = id.n == 64;  // a digest: its first digits say enough
        table_cellf(&t, "%.*s", hex ? CLI_SHORT_ID : (int)id.n, it->id ? it->id : "");
        table_cell(&t, it->detail);
        table_cell(&t, str_z(&since));
        table_cell(&t, str_z(&size));
        table_cell(&t, it->in_use ? "true" : "false");
    }
    table_print(&t, &c->out);
}

static int run_df(struct cli *c, const void *options, struct err *e)
{
    const struct df *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(store_df) struct store_df d = {0};
    if (cli_engine(c, &en, e) < 0 || store_df(&en, &d, e) < 0) return -1;
    if (o->verbose && !o->format) {
        verbose_images(c, o, &d);
        verbose_items(c, o, "Containers", "IMAGE", &d.containers);
        verbose_items(c, o, "Local Volumes", "NAME", &d.volumes);
        verbose_items(c, o, "Build cache", "CACHE TYPE", &d.cache);
        str_addz(&c->out, "\nNot needed by anything: ");
        add_size(o, d.rubbish, &c->out);
        str_addc(&c->out, '\n');
        return 0;
    }
    own(codec_json) struct codec_json *list = codec_json_new_array();
    add_sum(o, list, "Images", &d.images_sum);
    add_sum(o, list, "Containers", &d.containers_sum);
    add_sum(o, list, "Local Volumes", &d.volumes_sum);
    add_sum(o, list, "Build Cache", &d.cache_sum);
    return cli_print_rows(c, list, df_columns, o->format, e);
}

const struct cli_cmd cli_cmd_df = {
    .path = "system df",
    .usage = "",
    .help = "Show how much space images, containers and caches take",
    .examples = "dewar system df\n"
                "dewar system df -v",
    CLI_OPTIONS(df_options, struct df),
    .family = CLI_DOCKER,
    .run = run_df,
};

// --- prune --------------------------------------------------------------------------------------

struct prune {
    bool all, force, volumes, verbose;
    uint64_t reserved, max_used, min_free;
    struct strv filters;
};
#define AT(member) .offset = OPT_AT(struct prune, member)
static const struct opt prune_options[] = {
    {"all", 'a', OPT_BOOL, AT(all),
     .help = "Also every image that no container uses, and the whole build cache"},
    {"filter", 0, OPT_LIST, AT(filters), .arg = "KEY=VALUE",
     .help = "Only these containers and images: until=TIME, label=K[=V], label!=K[=V]"},
    {"force", 'f', OPT_BOOL, AT(force), .help = "Do not ask"},
    {"volumes", 0, OPT_BOOL, AT(volumes),
     .help = "Also anonymous volumes that no container uses"},
};
static const struct opt builder_prune_options[] = {
    {"all", 'a', OPT_BOOL, AT(all), .help = "All of it (it always is; for old scripts)"},
    {"filter", 0, OPT_LIST, AT(filters), .arg = "until=DURATION",
     .help = "Only what was not used for so long (24h)"},
    {"force", 'f', OPT_BOOL, AT(force), .help = "Do not ask"},
    {"keep-storage", 0, OPT_SIZE, AT(reserved), .hidden = true, .help = "Same as --reserved-space"},
    {"max-used-space", 0, OPT_SIZE, AT(max_used), .arg = "BYTES",
     .help = "Leave so much of it at most: what was used last"},
    {"min-free-space", 0, OPT_SIZE, AT(min_free), .arg = "BYTES",
     .help = "Remove only as much as it takes for the disk to have so much free"},
    {"reserved-space", 0, OPT_SIZE, AT(reserved), .arg = "BYTES",
     .help = "Leave so much of it in any case: what was used last (10GB)"},
    {"verbose", 0, OPT_BOOL, AT(verbose), .hidden = true, .help = "Accepted: for old scripts"},
};
#undef AT

static char *prune_question(const struct prune *o)
{
    return str_fmt("WARNING! This will remove:\n  - all stopped containers\n%s%s%s"
                   "  - what interrupted commands left behind\n",
                   o->volumes ? "  - all anonymous volumes not used by at least one container\n" : "",
                   o->all ? "  - all images that no container uses\n"
                          : "  - all images without a name\n",
                   o->all ? "  - the build cache\n"
                          : "  - build records that are of no use any more\n");
}

static int run_system_prune(struct cli *c, const void *options, struct err *e)
{
    const struct prune *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(image_removals) struct image_removals removed = {0};
    uint64_t freed = 0;
    const struct image_prune_options images = {.all = o->all, .filters = &o->filters,
                                               .cache = o->all, .downloads = true};
    own(free) char *question = prune_question(o);
    own(strv) struct strv containers = {0}, volumes = {0};
    uint64_t containers_freed = 0, volumes_freed = 0;
    int go = o->force ? 1 : cli_confirm(c, question, e);
    if (go <= 0) return go;
    if (cli_engine(c, &en, e) < 0 || engine_enter(&en, e) < 0) return -1;
    // Containers go first: they hold on to their images and volumes.
    if (container_prune(&en, &o->filters, &containers, &containers_freed, e) < 0 ||
        volume_sweep(&en, e) < 0)
        return -1;
    cli_print_deleted(c, "Containers", &containers);
    if (o->volumes && volume_prune(&en, false, NULL, &volumes, &volumes_freed, e) < 0) return -1;
    cli_print_deleted(c, "Volumes", &volumes);
    if (image_prune(&en, &images, &removed, &freed, e) < 0) return -1;
    cli_print_pruned(c, &removed, freed + containers_freed + volumes_freed);
    return 0;
}

const struct cli_cmd cli_cmd_system_prune = {
    .path = "system prune",
    .usage = "",
    .help = "Free the space of everything that is not used",
    .more = "Containers that do not run go, and images without a name; with -a all images that no\n"
            "container uses. Containers that run and their images are never touched.\n"
            "Volumes with a name stay in any case: 'dewar volume rm' and 'volume prune -a' remove them.",
    .examples = "dewar system prune -f\n"
                "dewar system prune -af --filter until=240h",
    CLI_OPTIONS(prune_options, struct prune),
    .family = CLI_DOCKER,
    .run = run_system_prune,
};

static int builder_filters(const struct strv *filters, int64_t *out_until, struct err *e)
{
    for (size_t i = 0; i < filters->n; i++) {
        struct sv rest = sv_of(filters->p[i]), key = sv_cut(&rest, '=');
        int64_t ns;
        if (!sv_eqz(key, "until") && !sv_eqz(key, "unused-for")) {
            err_set(e, ERR_USAGE, "unknown filter '%s'", filters->p[i]);
            return err_hint(e, "known: until=24h");
        }
        if (num_duration(rest.p ? rest : SV(""), &ns, e) < 0)
            return err_wrap(e, "filter '%s'", filters->p[i]);
        *out_until = clock_real_ns() / 1000000000 - ns / 1000000000;
    }
    return 0;
}

static int run_builder_prune(struct cli *c, const void *options, struct err *e)
{
    const struct prune *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    struct store_prune_options store = {.cache = true, .told_as = "builder",
                                        .reserved = o->reserved, .max_used = o->max_used,
                                        .min_free = o->min_free};
    struct store_pruned pruned = {0};
    if (builder_filters(&o->filters, &store.until, e) < 0) return -1;
    int go = o->force ? 1 : cli_confirm(c, "WARNING! This will remove the build cache.", e);
    if (go <= 0) return go;
    if (cli_engine(c, &en, e) < 0 || store_prune(&en, &store, &pruned, e) < 0) return -1;
    cli_print_freed(c, pruned.freed);
    return 0;
}

const struct cli_cmd cli_cmd_builder_prune = {
    .path = "builder prune",
    .alias = (const char *const[]){"buildx prune", NULL},
    .usage = "",
    .help = "Free the build cache and the cache mounts",
    .more = "What the disk or --reserved-space lets stay is what was used last. Layers that an image has\n"
            "as well are no part of the cache.",
    .examples = "dewar builder prune -f --filter until=24h\n"
                "dewar builder prune -f --reserved-space 20GB",
    CLI_OPTIONS(builder_prune_options, struct prune),
    .family = CLI_DOCKER,
    .run = run_builder_prune,
};

// --- system check -------------------------------------------------------------------------------

struct check {
    bool quick, repair, quiet;
    const char *format;
};
#define AT(member) .offset = OPT_AT(struct check, member)
static const struct opt check_options[] = {
    {.name = "format", CLI_OPT_FORMAT(struct check, format)},
    {"quick", 0, OPT_BOOL, AT(quick), .help = "Do not read the contents of blobs and layers"},
    {"quiet", 'q', OPT_BOOL, AT(quiet), .help = "Only the exit status: 1 when something is damaged"},
    {"repair", 0, OPT_BOOL, AT(repair),
     .help = "Put damaged things aside, so that they are fetched or made again"},
};
#undef AT
static const struct cli_column check_columns[] = {
    {"DAMAGED", "What", false}, {"WHY", "Why", false}, {"STATE", "State", false}, {NULL, NULL, false},
};

static int run_check(struct cli *c, const void *options, struct err *e)
{
    const struct check *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(store_damages) struct store_damages damages = {0};
    struct store_checked sum = {0};
    const struct store_check_options opt = {.quick = o->quick, .repair = o->repair};
    if (cli_engine(c, &en, e) < 0 || store_check(&en, &opt, &damages, &sum, e) < 0) return -1;
    size_t left = 0;
    own(codec_json) struct codec_json *list = codec_json_new_array();
    vec_each(d, &damages) {
        struct codec_json *j = codec_json_new_object();
        codec_json_set_text(j, "State", d->moved ? "put aside" : "in place");
        codec_json_set_text(j, "What", d->what);
        codec_json_set_text(j, "Why", d->why);
        codec_json_add(list, j);
        left += !d->moved;
    }
    int status = left ? 1 : 0;
    if (o->quiet) return status;
    if ((damages.n || o->format) && cli_print_rows(c, list, check_columns, o->format, e) < 0)
        return -1;
    if (o->format) return status;
    str_addf(&c->out, "%zu names, %zu blobs and %zu layers (", sum.refs, sum.blobs, sum.layers);
    num_print_size(sum.bytes, &c->out);
    str_addf(&c->out, ") checked: %zu damaged\n", damages.n);
    if (left && !o->repair) str_addz(&c->out, "run 'dewar system check --repair' to put them aside\n");
    return status;
}

const struct cli_cmd cli_cmd_check = {
    .path = "system check",
    .usage = "",
    .help = "Check that everything in the store is what it should be",
    .more = "Reads every blob and layer and compares it with its digest. The exit status is 1 when\n"
            "something is damaged and still in its place.",
    .examples = "dewar system check\n"
                "dewar system check --repair",
    CLI_OPTIONS(check_options, struct check),
    .family = CLI_OWN,
    .layers = true, .run = run_check,
};
