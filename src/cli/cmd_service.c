// SPDX-License-Identifier: Apache-2.0
// `dewar system service`: the boot hook, and what it calls.
#include <string.h>

#include "base/own.h"
#include "cli/commands.h"
#include "codec/json.h"
#include "container/life.h"
#include "container/service.h"
#include "sandbox/sealed.h"

struct opts {
    const char *root, *format;
};
static const struct opt rows[] = {
    {"format", 0, OPT_TEXT, OPT_AT(struct opts, format), .arg = "TEMPLATE",
     .help = "For status: a Go template, 'json', or 'table TEMPLATE'"},
    {"root", 0, OPT_TEXT, OPT_AT(struct opts, root), .arg = "DIR",
     .help = "Write below this folder, for a machine that does not run now"},
};
static const struct cli_column columns[] = {
    {"ENABLED", "Enabled", false}, {"UNIT", "Unit", false},       {"AT BOOT", "Containers", false},
    {"LINGERS", "Lingers", true},  {"SYSTEMD", "Systemd", true}, {NULL, NULL, false},
};

static void add_names(struct engine *en, const struct strv *ids, struct str *out)
{
    for (size_t i = 0; i < ids->n; i++) {
        struct err gone;
        own(record_config) struct record_config c = {0};
        if (record_config_load(en, ids->p[i], &c, &gone) == 0)
            str_addf(out, "%s%s", out->n ? "," : "", c.brief.name);
    }
}

// --- the hook ----------------------------------------------------------------------------------

static void advise(struct cli *c, const struct container_service *s)
{
    if (s->user && !s->lingers)
        event_info(&c->sink,
                   "hint: your services run only while you are logged in; 'loginctl enable-linger' "
                   "changes that");
}

static int enable(struct cli *c, struct engine *en, const struct opts *o, struct err *e)
{
    struct container_service s;
    if (container_service_enable(en, o->root, &s, e) < 0) {
        if (e->kind != ERR_UNSUPPORTED || !s.cron[0] || s.systemd) return -1;
        event_info(&c->sink, "%s: this line belongs into the crontab (crontab -e)", err_cause(e));
        err_clear(e);
        str_addf(&c->out, "%s\n", s.cron);
        return 0;
    }
    str_addf(&c->out, "%s\n", s.unit);
    advise(c, &s);
    return 0;
}

static int disable(struct cli *c, struct engine *en, const struct opts *o, struct err *e)
{
    struct container_service s;
    if (container_service_disable(en, o->root, &s, e) < 0) return -1;
    if (s.written) str_addf(&c->out, "%s\n", s.unit);
    return 0;
}

// The exit status is 1 where nothing would be started.
static int status(struct cli *c, struct engine *en, const struct opts *o, struct err *e)
{
    struct container_service s;
    own(strv) struct strv ids = {0};
    own(str) struct str names = {0};
    if (container_service_look(en, o->root, &s, e) < 0 || container_boot_list(en, &ids, e) < 0)
        return -1;
    own(codec_json) struct codec_json *list = codec_json_new_array();
    struct codec_json *j = codec_json_new_object();
    add_names(en, &ids, &names);
    codec_json_set_text(j, "Containers", str_z(&names));
    codec_json_set(j, "Enabled", codec_json_new_bool(s.enabled));
    codec_json_set(j, "Lingers", codec_json_new_bool(s.lingers));
    codec_json_set(j, "Systemd", codec_json_new_bool(s.systemd));
    codec_json_set_text(j, "Unit", s.written ? s.unit : "");
    codec_json_add(list, j);
    if (cli_print_rows(c, list, columns, o->format, e) < 0) return -1;
    if (s.outdated)
        event_warn(&c->sink, "the unit is about another program or store: 'enable' writes it anew");
    if (s.enabled) advise(c, &s);
    return s.enabled ? 0 : 1;
}

// --- what it calls -----------------------------------------------------------------------------

static int start_all(struct cli *c, struct engine *en, const struct opts *o, struct err *e)
{
    own(strv) struct strv ids = {0};
    int failed = 0;
    (void)o;
    // One of them may join the processes of another, who may trace what comes in.
    if (sandbox_sealed(c->own_argv, e) < 0 || container_boot_list(en, &ids, e) < 0) return -1;
    for (size_t i = 0; i < ids.n; i++) {
        struct err bad = {0};
        int code;
        const struct strv one = {&ids.p[i], 1, 1};
        own(str) struct str name = {0};
        add_names(en, &one, &name);
        if (container_start(en, ids.p[i], NULL, &code, &bad) < 0) {
            err_wrap(&bad, "starting '%s'", str_z(&name));
            cli_print_error(c, &bad);
            failed = 1;
            continue;
        }
        str_addf(&c->out, "%s\n", str_z(&name));
        if (cli_flush(c, e) < 0) return -1;
    }
    return failed;
}

static int stop_all(struct cli *c, struct engine *en, const struct opts *o, struct err *e)
{
    (void)c, (void)o;
    return container_boot_stop(en, e);
}

static const struct verb {
    const char *name;
    int (*run)(struct cli *c, struct engine *en, const struct opts *o, struct err *e);
} verbs[] = {
    {"enable", enable}, {"disable", disable}, {"status", status},
    {"start", start_all}, {"stop", stop_all},
};

static int service(struct cli *c, const void *options, struct err *e)
{
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verbs[i].name, c->argv[0]) != 0) continue;
        return cli_engine(c, &en, e) < 0 ? -1 : verbs[i].run(c, &en, options, e);
    }
    err_set(e, ERR_USAGE, "unknown word '%s'", c->argv[0]);
    return err_hint(e, "it is enable, disable, status, start or stop");
}

const struct cli_cmd cli_cmd_service = {
    .path = "system service",
    .usage = "enable|disable|status|start|stop",
    .help = "Start containers again after a boot",
    .more = "enable writes a unit of systemd (the system's as root, otherwise your own) that calls\n"
            "'start' at boot and 'stop' when the machine goes down; without systemd it prints the\n"
            "line for cron. disable takes it away again; status tells what there is, with exit\n"
            "status 1 when it is not enabled.\n\n"
            "start starts what should run by its restart policy and does not: always, and\n"
            "unless-stopped and on-failure as it was when the machine went down. stop ends all\n"
            "containers in good order, and leaves them to be started again.",
    .examples = "dewar system service enable\n"
                "dewar system service status\n"
                "dewar system service enable --root /mnt/image",
    CLI_OPTIONS(rows, struct opts),
    .min_words = 1,
    .max_words = 1,
    .family = CLI_OWN,
    .run = service,
};
