// SPDX-License-Identifier: Apache-2.0
// Commands that look at images and their names: images, rmi, tag, history, inspect, image prune.
#include <inttypes.h>
#include <string.h>

#include "base/num.h"
#include "base/own.h"
#include "cli/commands.h"
#include "codec/json.h"
#include "image/image.h"
#include "record/inspect.h"
#include "store/gc.h"
#include "volume/volume.h"

// --- images -------------------------------------------------------------------------------------

struct ls {
    bool all, digests, no_trunc, quiet;
    const char *format;
    struct strv filters;
};
#define AT(member) .offset = OPT_AT(struct ls, member)
static const struct opt ls_options[] = {
    {"all", 'a', OPT_BOOL, AT(all), .help = "Show all images (none are hidden; for old scripts)"},
    {"digests", 0, OPT_BOOL, AT(digests), .help = "Show what registries call them"},
    {"filter", 'f', OPT_LIST, AT(filters), .arg = "KEY=VALUE",
     .help = "Only these: reference=PATTERN, label=K[=V], before=IMAGE, since=IMAGE, until=TIME, "
             "dangling=BOOL"},
    {.name = "format", CLI_OPT_FORMAT(struct ls, format)},
    {"no-trunc", 0, OPT_BOOL, AT(no_trunc), .help = "Do not shorten IDs"},
    {"quiet", 'q', OPT_BOOL, AT(quiet), .help = "Only IDs"},
};
#undef AT

static const struct cli_column ls_columns[] = {
    {"REPOSITORY", "Repository", false}, {"TAG", "Tag", false},
    {"DIGEST", "Digest", true},          {"IMAGE ID", "ID", false},
    {"CREATED", "CreatedSince", false},  {"CREATED AT", "CreatedAt", true},
    {"SIZE", "Size", false},             {"CONTAINERS", "Containers", true},
    {NULL, NULL, false},
};

static void add_digest(const struct oci_digest *d, bool full, struct str *out)
{
    if (full)
        str_addf(out, "sha256:%s", d->hex);
    else
        str_addf(out, "%.*s", CLI_SHORT_ID, d->hex);
}

static void set_str(struct codec_json *j, const char *key, const struct str *s)
{
    codec_json_set(j, key, codec_json_new_text(str_sv(s)));
}

static struct codec_json *image_object(const struct image_row *row, bool full)
{
    struct codec_json *j = codec_json_new_object();
    own(str) struct str id = {0};
    own(str) struct str repository = {0};
    own(str) struct str digest = {0};
    own(str) struct str since = {0};
    own(str) struct str at = {0};
    own(str) struct str size = {0};
    own(str) struct str shared = {0};
    own(str) struct str unique = {0};
    own(str) struct str containers = {0};
    bool named = row->ref.name[0] != '\0';
    if (named)
        oci_ref_print_repository(&row->ref, &repository);
    else
        str_addz(&repository, "<none>");
    add_digest(&row->id, full, &id);
    if (oci_digest_is_set(&row->remote))
        add_digest(&row->remote, true, &digest);
    else
        str_addz(&digest, "<none>");
    cli_add_since(row->created, &since);
    cli_add_time(row->created, &at);
    num_print_size(row->size, &size);
    str_addf(&containers, "%zu", row->containers);
    set_str(j, "Containers", &containers);
    set_str(j, "CreatedAt", &at);
    set_str(j, "CreatedSince", &since);
    set_str(j, "Digest", &digest);
    set_str(j, "ID", &id);
    set_str(j, "Repository", &repository);
    num_print_size(row->shared, &shared);
    num_print_size(row->size - row->shared, &unique);
    set_str(j, "SharedSize", &shared);
    set_str(j, "Size", &size);
    codec_json_set_text(j, "Tag", named && row->ref.tag[0] ? row->ref.tag : "<none>");
    set_str(j, "UniqueSize", &unique);
    set_str(j, "VirtualSize", &size);
    return j;
}

// Costs a second look at every image.
static bool wants_shares(const char *format)
{
    return format && (strstr(format, "SharedSize") || strstr(format, "UniqueSize") ||
                      strstr(format, "json"));
}

struct making {
    const struct image_rows *rows;
    bool full;
};

static struct codec_json *make_row(void *from, size_t i)
{
    const struct making *m = from;
    return image_object(&m->rows->p[i], m->full);
}

static int run_ls(struct cli *c, const void *options, struct err *e)
{
    const struct ls *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(image_rows) struct image_rows rows = {0};
    const struct image_list_options opt = {.match = c->argc ? c->argv[0] : NULL,
                                           .filters = &o->filters,
                                           .shares = wants_shares(o->format)};
    if (cli_engine(c, &en, e) < 0 || image_list(&en, &opt, &rows, e) < 0) return -1;
    if (o->quiet && !o->format) {
        for (size_t i = 0; i < rows.n; i++) {
            add_digest(&rows.p[i].id, o->no_trunc, &c->out);
            str_addc(&c->out, '\n');
        }
        return 0;
    }
    struct making m = {&rows, o->no_trunc};
    const struct cli_rows made = {rows.n, make_row, &m};
    return cli_print_made(c, &made, ls_columns, o->digests ? "Digest" : NULL, o->format, e);
}

const struct cli_cmd cli_cmd_images = {
    .path = "image ls",
    .alias = (const char *const[]){"images", "image list", NULL},
    .usage = "[REPOSITORY[:TAG]]",
    .help = "List images",
    .more = "Newest first. A repository may hold * and ?. Fields for --format: .ID .Repository .Tag\n"
            ".Digest .CreatedSince .CreatedAt .Size .SharedSize .UniqueSize .Containers.",
    .examples = "dewar images\n"
                "dewar images 'debian:*'\n"
                "dewar images --filter dangling=true -q\n"
                "dewar images --format 'table {{.Repository}}\\t{{.Size}}'",
    CLI_OPTIONS(ls_options, struct ls),
    .max_words = 1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_IMAGE,
    .run = run_ls,
};

// --- rmi ----------------------------------------------------------------------------------------

struct rmi {
    bool force, no_prune;
};
static const struct opt rmi_options[] = {
    {"force", 'f', OPT_BOOL, OPT_AT(struct rmi, force),
     .help = "Remove an image with several names, or one that a stopped container uses"},
    {"no-prune", 0, OPT_BOOL, OPT_AT(struct rmi, no_prune),
     .help = "Keep layers that nothing needs any more"},
};

static void print_removals(struct cli *c, const struct image_removals *v, bool lower)
{
    for (size_t i = 0; i < v->n; i++) {
        const char *name = image_change_name(v->p[i].change);
        str_addf(&c->out, "%c%s: ", lower ? name[0] | 0x20 : name[0], name + 1);
        str_add_escaped(&c->out, sv_of(v->p[i].text));
        str_addc(&c->out, '\n');
    }
}

static int run_rmi(struct cli *c, const void *options, struct err *e)
{
    const struct rmi *o = options;
    const struct image_remove_options opt = {.force = o->force, .no_prune = o->no_prune};
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    int status = 0;
    if (cli_engine(c, &en, e) < 0) return -1;
    for (int i = 0; i < c->argc; i++) {
        own(image_removals) struct image_removals done = {0};
        int rc = image_remove(&en, c->argv[i], &opt, &done, e);
        print_removals(c, &done, false);
        if (rc == 0) continue;
        cli_print_error(c, e);  // the others are still removed
        if (!o->force || e->kind != ERR_NOT_FOUND) status = 1;
    }
    return status;
}

const struct cli_cmd cli_cmd_rmi = {
    .path = "image rm",
    .alias = (const char *const[]){"rmi", "image remove", NULL},
    .usage = "IMAGE [IMAGE...]",
    .help = "Remove images",
    .more = "A name is removed; the image goes with its last name, and its layers with the last image\n"
            "that has them.",
    .examples = "dewar rmi digits:latest\n"
                "dewar rmi -f $(dewar images -q --filter dangling=true)",
    CLI_OPTIONS(rmi_options, struct rmi),
    .min_words = 1,
    .max_words = -1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_IMAGES,
    .run = run_rmi,
};

// --- tag ----------------------------------------------------------------------------------------

static int run_tag(struct cli *c, const void *options, struct err *e)
{
    (void)options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    if (cli_engine(c, &en, e) < 0) return -1;
    return image_tag(&en, c->argv[0], c->argv[1], e);
}

const struct cli_cmd cli_cmd_tag = {
    .path = "image tag",
    .alias = (const char *const[]){"tag", NULL},
    .usage = "SOURCE[:TAG] TARGET[:TAG]",
    .help = "Give an image another name",
    .examples = "dewar tag digits:latest registry.example.org/me/digits:0.1",
    .min_words = 2,
    .max_words = 2,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_IMAGES,
    .run = run_tag,
};

// --- history ------------------------------------------------------------------------------------

struct history {
    bool human, no_trunc, quiet;
    const char *format;
};
#define AT(member) .offset = OPT_AT(struct history, member)
static const struct opt history_options[] = {
    {.name = "format", CLI_OPT_FORMAT(struct history, format)},
    {"human", 'H', OPT_BOOL, AT(human), .initial = "true",
     .help = "Sizes and dates for people; false prints bytes and times"},
    {"no-trunc", 0, OPT_BOOL, AT(no_trunc), .help = "Do not shorten anything"},
    {"quiet", 'q', OPT_BOOL, AT(quiet), .help = "Only IDs"},
};
#undef AT
static const struct cli_column history_columns[] = {
    {"IMAGE", "ID", false},           {"CREATED", "CreatedSince", false},
    {"CREATED AT", "CreatedAt", true}, {"CREATED BY", "CreatedBy", false},
    {"SIZE", "Size", false},          {"COMMENT", "Comment", false},
    {NULL, NULL, false},
};

static void add_history_id(const struct image_history_row *row, bool full, struct str *out)
{
    if (oci_digest_is_set(&row->id))
        add_digest(&row->id, full, out);
    else
        str_addz(out, "<missing>");
}

// One line, at most 45 characters, as Docker shows it.
static void add_created_by(const char *text, bool full, struct str *out)
{
    enum { LONGEST = 45 };
    struct sv v = sv_of(text);
    for (size_t i = 0; i < v.n; i++) {
        if (!full && i >= LONGEST - 1 && v.n > LONGEST) {
            while (out->n && !sv_is_utf8(str_sv(out))) str_cut(out, out->n - 1);
            str_addz(out, "\u2026");
            return;
        }
        str_addc(out, v.p[i] == '\n' || v.p[i] == '\t' ? ' ' : v.p[i]);
    }
}

static struct codec_json *history_object(const struct image_history_row *row,
                                         const struct history *o)
{
    struct codec_json *j = codec_json_new_object();
    own(str) struct str id = {0};
    own(str) struct str since = {0};
    own(str) struct str at = {0};
    own(str) struct str by = {0};
    own(str) struct str size = {0};
    add_history_id(row, o->no_trunc, &id);
    cli_add_time(row->created, &at);
    if (o->human)
        cli_add_since(row->created, &since);
    else
        str_add(&since, str_sv(&at));
    add_created_by(row->created_by, o->no_trunc, &by);
    if (o->human)
        num_print_size(row->size, &size);
    else
        str_addf(&size, "%" PRIu64, row->size);
    codec_json_set_text(j, "Comment", row->comment ? row->comment : "");
    set_str(j, "CreatedAt", &at);
    set_str(j, "CreatedBy", &by);
    set_str(j, "CreatedSince", &since);
    set_str(j, "ID", &id);
    set_str(j, "Size", &size);
    codec_json_set(j, "Tags", codec_json_new_strv(&row->tags));
    return j;
}

static int run_history(struct cli *c, const void *options, struct err *e)
{
    const struct history *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(image_history_rows) struct image_history_rows rows = {0};
    if (cli_engine(c, &en, e) < 0 || image_history(&en, c->argv[0], &rows, e) < 0) return -1;
    if (o->quiet && !o->format) {
        for (size_t i = 0; i < rows.n; i++) {
            add_history_id(&rows.p[i], o->no_trunc, &c->out);
            str_addc(&c->out, '\n');
        }
        return 0;
    }
    own(codec_json) struct codec_json *list = codec_json_new_array();
    for (size_t i = 0; i < rows.n; i++) codec_json_add(list, history_object(&rows.p[i], o));
    return cli_print_rows(c, list, history_columns, o->format, e);
}

const struct cli_cmd cli_cmd_history = {
    .path = "image history",
    .alias = (const char *const[]){"history", NULL},
    .usage = "IMAGE",
    .help = "Show the steps that made an image",
    .examples = "dewar history digits\n"
                "dewar history --no-trunc --format '{{.Size}}\\t{{.CreatedBy}}' digits",
    CLI_OPTIONS(history_options, struct history),
    .min_words = 1,
    .max_words = 1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_IMAGE,
    .run = run_history,
};

// --- inspect ------------------------------------------------------------------------------------

struct inspect {
    const char *format;
    int type;
    bool size, raw, tls_verify;
};
enum inspect_type { INSPECT_ANY, INSPECT_IMAGE, INSPECT_CONTAINER, INSPECT_VOLUME };
static const char *const inspect_types[] = {"any", "image", "container", "volume", NULL};
static const struct opt inspect_options[] = {
    {"format", 'f', OPT_TEXT, OPT_AT(struct inspect, format), .arg = "TEMPLATE",
     .help = "A Go template, or 'json' for one line"},
    {"raw", 0, OPT_BOOL, OPT_AT(struct inspect, raw),
     .help = "Print the manifest as it is, of the store or with docker://NAME of a registry"},
    {"size", 's', OPT_BOOL, OPT_AT(struct inspect, size),
     .help = "With what a container has written, and that with its image (SizeRw, SizeRootFs)"},
    {.name = "tls-verify", CLI_OPT_TLS(struct inspect, tls_verify)},
    {"type", 0, OPT_ENUM, OPT_AT(struct inspect, type), .choices = inspect_types,
     .help = "What the names are"},
};

static int add_sizes(struct engine *en, const char *id, struct codec_json *j, struct err *e)
{
    own(store_df) struct store_df df = {0};
    own(free) char *image = sv_dup(codec_json_text(codec_json_get(j, "Image")));
    uint64_t own, whole;
    if (store_df(en, &df, e) < 0) return -1;
    cli_container_sizes(&df, id, image, &own, &whole);
    codec_json_set(j, "SizeRw", codec_json_new_int((int64_t)own));
    codec_json_set(j, "SizeRootFs", codec_json_new_int((int64_t)(own + whole)));
    return 0;
}

static int inspect_container(struct engine *en, const char *id, const struct inspect *o,
                             struct codec_json **out, struct err *e)
{
    struct codec_json *j = NULL;
    if (record_inspect(en, id, &j, e) < 0) return -1;
    if (o->size && add_sizes(en, id, j, e) < 0) {
        codec_json_free(j);
        return -1;
    }
    if (o->format) record_inspect_for_template(j);
    *out = j;
    return 0;
}

// Where nothing was given Docker has null, which a template takes for an empty map.
static int inspect_volume(struct engine *en, const char *name, const struct inspect *o,
                          struct codec_json **out, struct err *e)
{
    static const char *const maps[] = {"Labels", "Options"};
    if (volume_inspect(en, name, out, e) < 0) return -1;
    bool template = o->format && strcmp(o->format, "json") != 0;
    for (size_t i = 0; i < 2 && !template; i++)
        if (!codec_json_len(codec_json_get(*out, maps[i])))
            codec_json_set(*out, maps[i], codec_json_new_null());
    return 0;
}

// A container first, then an image, then a volume, as Docker looks. When there is none, the
// image's error has the best hint.
static int inspect_one(struct engine *en, const char *name, int type, const struct inspect *o,
                       struct codec_json **out, struct err *e)
{
    char id[RECORD_ID];
    struct err no_volume;
    if (type == INSPECT_VOLUME) return inspect_volume(en, name, o, out, e);
    if (type != INSPECT_IMAGE) {
        if (record_find(en, name, id, e) == 0) return inspect_container(en, id, o, out, e);
        if (type == INSPECT_CONTAINER || e->kind != ERR_NOT_FOUND) return -1;
        err_clear(e);
    }
    if (image_inspect(en, name, out, e) == 0) return 0;
    if (type != INSPECT_ANY || e->kind != ERR_NOT_FOUND) return -1;
    if (inspect_volume(en, name, o, out, &no_volume) == 0) return 0;
    err_wrap(e, "No such object: %s", name);
    return -1;
}

// "image inspect", "container inspect" and "volume inspect" say it by themselves.
static int type_asked(const struct cli *c, const struct inspect *o)
{
    if (c->cmd == &cli_cmd_image_inspect) return INSPECT_IMAGE;
    if (c->cmd == &cli_cmd_volume_inspect) return INSPECT_VOLUME;
    return c->cmd == &cli_cmd_container_inspect ? INSPECT_CONTAINER : o->type;
}

static int run_inspect(struct cli *c, const void *options, struct err *e)
{
    const struct inspect *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(codec_json) struct codec_json *list = codec_json_new_array();
    int status = 0;
    if (cli_engine(c, &en, e) < 0) return -1;
    for (int i = 0; o->raw && i < c->argc; i++)
        if (image_raw(&en, c->argv[i], !o->tls_verify, &c->out, e) < 0) return -1;
    for (int i = 0; !o->raw && i < c->argc; i++) {
        struct codec_json *one = NULL;
        if (inspect_one(&en, c->argv[i], type_asked(c, o), o, &one, e) == 0) {
            codec_json_add(list, one);
            continue;
        }
        cli_print_error(c, e);  // what was found is still printed
        status = 1;
    }
    if (!o->raw && cli_print_values(c, list, o->format, e) < 0) return -1;
    return status;
}

const struct cli_cmd cli_cmd_inspect = {
    .path = "inspect",
    .usage = "NAME|ID [NAME|ID...]",
    .help = "Show everything about containers, images and volumes, as JSON",
    .more = "Names may be names, full or short IDs. A label is read by index, since its name may hold\n"
            "dots: {{index .Config.Labels \"org.opencontainers.image.title\"}}.",
    .examples = "dewar inspect digits\n"
                "dewar inspect -f '{{.Id}} {{json .Config.Env}}' digits\n"
                "dewar inspect -f '{{range .RepoTags}}{{println .}}{{end}}' digits",
    CLI_OPTIONS(inspect_options, struct inspect),
    .min_words = 1,
    .max_words = -1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_IMAGES,
    .run = run_inspect,
};

const struct cli_cmd cli_cmd_image_inspect = {
    .path = "image inspect",
    .usage = "NAME|ID [NAME|ID...]",
    .help = "Show everything about images, as JSON",
    .examples = "dewar image inspect -f '{{.RootFS.Layers}}' digits",
    CLI_OPTIONS(inspect_options, struct inspect),
    .min_words = 1,
    .max_words = -1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_IMAGES,
    .run = run_inspect,
};

const struct cli_cmd cli_cmd_container_inspect = {
    .path = "container inspect",
    .usage = "NAME|ID [NAME|ID...]",
    .help = "Show everything about containers, as JSON",
    .examples = "dewar container inspect -f '{{.State.Status}} {{.State.ExitCode}}' job",
    CLI_OPTIONS(inspect_options, struct inspect),
    .min_words = 1,
    .max_words = -1,
    .family = CLI_DOCKER,
    .run = run_inspect,
};

const struct cli_cmd cli_cmd_volume_inspect = {
    .path = "volume inspect",
    .usage = "VOLUME [VOLUME...]",
    .help = "Show everything about volumes, as JSON",
    .examples = "dewar volume inspect data\n"
                "dewar volume inspect -f '{{.Mountpoint}}' data",
    .options = inspect_options,
    .options_n = 1, // --format
    .options_size = sizeof(struct inspect),
    .min_words = 1,
    .max_words = -1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_VOLUMES,
    .run = run_inspect,
};

// --- image prune --------------------------------------------------------------------------------

struct prune {
    bool all, force;
    struct strv filters;
};
#define AT(member) .offset = OPT_AT(struct prune, member)
static const struct opt prune_options[] = {
    {"all", 'a', OPT_BOOL, AT(all),
     .help = "All images that no container uses, not only those without a name"},
    {"filter", 0, OPT_LIST, AT(filters), .arg = "KEY=VALUE",
     .help = "Only these: until=TIME, label=K[=V], label!=K[=V]"},
    {"force", 'f', OPT_BOOL, AT(force), .help = "Do not ask"},
};
#undef AT

void cli_print_pruned(struct cli *c, const struct image_removals *removed, uint64_t freed)
{
    if (removed->n) {
        str_addz(&c->out, "Deleted Images:\n");
        print_removals(c, removed, true);
        str_addc(&c->out, '\n');
    }
    cli_print_freed(c, freed);
}

static int run_prune(struct cli *c, const void *options, struct err *e)
{
    const struct prune *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(image_removals) struct image_removals removed = {0};
    uint64_t freed = 0;
    const struct image_prune_options opt = {.all = o->all, .filters = &o->filters};
    const char *question = o->all
                               ? "WARNING! This will remove all images that no container uses."
                               : "WARNING! This will remove all images without a name.";
    int go = o->force ? 1 : cli_confirm(c, question, e);
    if (go <= 0) return go;
    if (cli_engine(c, &en, e) < 0 || image_prune(&en, &opt, &removed, &freed, e) < 0) return -1;
    cli_print_pruned(c, &removed, freed);
    return 0;
}

const struct cli_cmd cli_cmd_image_prune = {
    .path = "image prune",
    .usage = "",
    .help = "Remove images that nobody uses",
    .examples = "dewar image prune -f\n"
                "dewar image prune -a --filter until=240h",
    CLI_OPTIONS(prune_options, struct prune),
    .family = CLI_DOCKER,
    .run = run_prune,
};
