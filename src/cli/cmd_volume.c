// SPDX-License-Identifier: Apache-2.0
// volume create, ls, rm and prune.
#include <string.h>

#include "base/num.h"
#include "base/own.h"
#include "cli/commands.h"
#include "codec/json.h"
#include "store/tmp.h"
#include "volume/volume.h"

// --- create ------------------------------------------------------------------------------------

struct create {
    struct strv labels, opts, cluster;
    const char *driver, *name;
};
// Options of Docker's clusters, which there are none of here.
#define CLUSTER(name) {name, 0, OPT_LIST, AT(cluster), .hidden = true, .help = "Of a cluster"}
#define AT(member) .offset = OPT_AT(struct create, member)
static const struct opt create_options[] = {
    {"driver", 'd', OPT_TEXT, AT(driver), .arg = "NAME", .help = "Only 'local' is known"},
    {"label", 0, OPT_LIST, AT(labels), .arg = "KEY[=VALUE]", .help = "Note something about it"},
    {"name", 0, OPT_TEXT, AT(name), .hidden = true, .help = "Its name"},
    {"opt", 'o', OPT_LIST, AT(opts), .arg = "KEY=VALUE",
     .help = "What it is: type=, device= and o= as mount(8) has them"},
    CLUSTER("availability"), CLUSTER("group"), CLUSTER("limit-bytes"), CLUSTER("required-bytes"),
    CLUSTER("scope"), CLUSTER("secret"), CLUSTER("sharing"), CLUSTER("topology-preferred"),
    CLUSTER("topology-required"), CLUSTER("type"),
};
#undef AT

static int no_cluster(struct err *e)
{
    err_set(e, ERR_UNSUPPORTED, "volumes of a cluster are not supported");
    return err_hint(e, "a folder that several machines share: --opt type=nfs --opt device=:/path --opt "
                       "o=addr=HOST");
}

static int run_create(struct cli *c, const void *options, struct err *e)
{
    const struct create *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    char name[RECORD_NAME];
    if (o->cluster.n) return no_cluster(e);
    if (o->driver && strcmp(o->driver, "local") != 0) {
        err_set(e, ERR_UNSUPPORTED, "create: error looking up volume plugin %s: plugin not found",
                o->driver);
        return err_hint(e, "the only driver is 'local'");
    }
    const char *asked = c->argc ? c->argv[0] : o->name;
    if (cli_engine(c, &en, e) < 0 || volume_create(&en, asked, &o->labels, &o->opts, name, e) < 0)
        return -1;
    str_addf(&c->out, "%s\n", name);
    return 0;
}

const struct cli_cmd cli_cmd_volume_create = {
    .path = "volume create",
    .usage = "[VOLUME]",
    .help = "Make a volume",
    .more = "Without a name it gets a random one. A volume that is there already stays as it is. The\n"
            "first container that mounts it finds there what its image has in that place.",
    .examples = "dewar volume create data\n"
                "dewar volume create --label project=digits results\n"
                "dewar volume create -o type=tmpfs -o device=tmpfs -o o=size=100m scratch",
    CLI_OPTIONS(create_options, struct create),
    .max_words = 1,
    .family = CLI_DOCKER,
    .run = run_create,
};

// --- ls ----------------------------------------------------------------------------------------

struct ls {
    struct strv filters;
    const char *format;
    bool quiet, cluster;
};
#define AT(member) .offset = OPT_AT(struct ls, member)
static const struct opt ls_options[] = {
    {"cluster", 0, OPT_BOOL, AT(cluster), .hidden = true, .help = "Those of a cluster"},
    {"filter", 'f', OPT_LIST, AT(filters), .arg = "KEY=VALUE",
     .help = "Only these: dangling=BOOL, name=TEXT, label=K[=V], driver=local"},
    {.name = "format", CLI_OPT_FORMAT(struct ls, format)},
    {"quiet", 'q', OPT_BOOL, AT(quiet), .help = "Only names"},
};
#undef AT
static const struct cli_column ls_columns[] = {
    {"DRIVER", "Driver", false},         {"VOLUME NAME", "Name", false}, {"SCOPE", "Scope", true},
    {"MOUNTPOINT", "Mountpoint", true},  {"LABELS", "Labels", true},     {"LINKS", "Links", true},
    {"SIZE", "Size", true},              {"STATUS", "Status", true},     {"GROUP", "Group", true},
    {"AVAILABILITY", "Availability", true}, {NULL, NULL, false},
};

static struct codec_json *ls_object(const struct volume_row *row)
{
    struct codec_json *j = codec_json_new_object();
    own(str) struct str labels = {0};
    vec_each (item, &row->labels)
        str_addf(&labels, "%s%s=%s", labels.n ? "," : "", item->key, (const char *)item->value);
    codec_json_set_text(j, "Availability", "N/A");
    codec_json_set_text(j, "Driver", "local");
    codec_json_set_text(j, "Group", "N/A");
    codec_json_set_text(j, "Labels", str_z(&labels));
    codec_json_set_text(j, "Links", "N/A");
    codec_json_set_text(j, "Mountpoint", row->mountpoint);
    codec_json_set_text(j, "Name", row->name);
    codec_json_set_text(j, "Scope", "local");
    codec_json_set_text(j, "Size", "N/A");
    codec_json_set_text(j, "Status", "N/A");
    return j;
}

static int run_ls(struct cli *c, const void *options, struct err *e)
{
    const struct ls *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(volume_rows) struct volume_rows rows = {0};
    own(codec_json) struct codec_json *list = codec_json_new_array();
    if (o->cluster) return no_cluster(e);
    if (cli_engine(c, &en, e) < 0 || volume_list(&en, &o->filters, &rows, e) < 0) return -1;
    vec_each (row, &rows) {
        if (o->quiet && !o->format)
            str_addf(&c->out, "%s\n", row->name);
        else
            codec_json_add(list, ls_object(row));
    }
    if (o->quiet && !o->format) return 0;
    return cli_print_rows(c, list, ls_columns, o->format, e);
}

const struct cli_cmd cli_cmd_volume_ls = {
    .path = "volume ls",
    .alias = (const char *const[]){"volume list", NULL},
    .usage = "",
    .help = "List volumes",
    .more = "Fields for --format: .Name .Driver .Mountpoint .Labels .Scope.",
    .examples = "dewar volume ls\n"
                "dewar volume ls -q --filter dangling=true\n"
                "dewar volume ls --format '{{.Name}} {{.Mountpoint}}'",
    CLI_OPTIONS(ls_options, struct ls),
    .family = CLI_DOCKER,
    .run = run_ls,
};

// --- rm ----------------------------------------------------------------------------------------

struct rm {
    bool force;
};
static const struct opt rm_options[] = {
    {"force", 'f', OPT_BOOL, OPT_AT(struct rm, force), .help = "One that is not there is no error"},
};

static int run_rm(struct cli *c, const void *options, struct err *e)
{
    const struct rm *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    int status = 0;
    // Files in volumes may belong to ids that only our user namespace may touch.
    if (cli_engine(c, &en, e) < 0 || engine_enter(&en, e) < 0) return -1;
    for (int i = 0; i < c->argc; i++) {
        struct err bad = {0};
        if (volume_remove(&en, c->argv[i], o->force, &bad) < 0) {
            cli_print_error(c, &bad);
            status = 1;
            continue;
        }
        str_addf(&c->out, "%s\n", c->argv[i]);
    }
    return store_sweep(&en, NULL, e) < 0 ? -1 : status;
}

const struct cli_cmd cli_cmd_volume_rm = {
    .path = "volume rm",
    .alias = (const char *const[]){"volume remove", NULL},
    .usage = "VOLUME [VOLUME...]",
    .help = "Remove volumes and what is in them",
    .more = "A volume that a container uses, running or not, is not removed.",
    .examples = "dewar volume rm data",
    CLI_OPTIONS(rm_options, struct rm),
    .min_words = 1,
    .max_words = -1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_VOLUMES,
    .run = run_rm,
};

// --- prune -------------------------------------------------------------------------------------

struct prune {
    bool all, force;
    struct strv filters;
};
#define AT(member) .offset = OPT_AT(struct prune, member)
static const struct opt prune_options[] = {
    {"all", 'a', OPT_BOOL, AT(all), .help = "Also those that have a name"},
    {"filter", 0, OPT_LIST, AT(filters), .arg = "KEY=VALUE",
     .help = "Only these: label=K[=V], label!=K[=V]"},
    {"force", 'f', OPT_BOOL, AT(force), .help = "Do not ask"},
};
#undef AT

static int run_prune(struct cli *c, const void *options, struct err *e)
{
    const struct prune *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(strv) struct strv removed = {0};
    uint64_t freed = 0;
    const char *question =
        o->all ? "WARNING! This will remove all local volumes not used by at least one container."
               : "WARNING! This will remove anonymous local volumes not used by at least one "
                 "container.";
    int go = o->force ? 1 : cli_confirm(c, question, e);
    if (go <= 0) return go;
    if (cli_engine(c, &en, e) < 0 ||
        volume_prune(&en, o->all, &o->filters, &removed, &freed, e) < 0)
        return -1;
    cli_print_deleted(c, "Volumes", &removed);
    cli_print_freed(c, freed);
    return 0;
}

const struct cli_cmd cli_cmd_volume_prune = {
    .path = "volume prune",
    .usage = "",
    .help = "Remove volumes that no container uses",
    .more = "Those with a name are only removed with -a.",
    .examples = "dewar volume prune -f\n"
                "dewar volume prune -af --filter label=scratch",
    CLI_OPTIONS(prune_options, struct prune),
    .family = CLI_DOCKER,
    .run = run_prune,
};
