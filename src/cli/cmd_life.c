// SPDX-License-Identifier: Apache-2.0
// The commands of a container's life: start stop restart kill rm wait pause unpause rename attach.
// Those that take several containers go on with the others when one fails, as Docker does.
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "cli/commands.h"
#include "container/life.h"
#include "sandbox/sealed.h"

// Those whose processes one of them joins may trace what comes in, also while it still is us.
static int protect_starts(struct cli *c, struct engine *en, struct err *e)
{
    for (int i = 0; i < c->argc; i++) {
        own(record_config) struct record_config config = {0};
        char id[RECORD_ID];
        struct err ignored;
        if (record_find(en, c->argv[i], id, &ignored) == 0 &&
            record_config_load(en, id, &config, &ignored) == 0 &&
            container_joins_processes(config.pid_mode))
            return sandbox_sealed(c->own_argv, e);
    }
    return 0;
}

int cli_each_container(struct cli *c, const void *o, const struct cli_each *how, struct err *e)
{
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    int failed = 0;
    if (cli_engine(c, &en, e) < 0 || (how->starts && protect_starts(c, &en, e) < 0)) return -1;
    for (int i = 0; i < c->argc; i++) {
        char id[RECORD_ID];
        struct err bad = {0};
        if (record_find(&en, c->argv[i], id, &bad) < 0 ||
            how->one(c, &en, id, o, &bad) < 0) {
            cli_print_error(c, &bad);
            if (!how->may_be_gone || bad.kind != ERR_NOT_FOUND) failed = 1;
            continue;
        }
        if (!how->quiet) str_addf(&c->out, "%s\n", c->argv[i]);
        if (cli_flush(c, e) < 0) return -1;
    }
    return failed;
}

// --- start -------------------------------------------------------------------------------------

struct start_opts {
    bool attach, interactive, sig_proxy;
    const char *keys;
    struct strv checkpoint;
};
static const struct opt start_rows[] = {
    {.name = "attach",
     .letter = 'a',
     .type = OPT_BOOL,
     .offset = OPT_AT(struct start_opts, attach),
     .help = "Show its output, pass signals on and end with its exit code"},
    {"checkpoint", 0, OPT_LIST, OPT_AT(struct start_opts, checkpoint), .hidden = true,
     .help = "Go on from a checkpoint"},
    {"checkpoint-dir", 0, OPT_LIST, OPT_AT(struct start_opts, checkpoint), .hidden = true,
     .help = "Where checkpoints are"},
    {.name = "detach-keys",
     .type = OPT_TEXT,
     .offset = OPT_AT(struct start_opts, keys),
     .arg = "KEYS",
     .help = "Keys that leave the terminal and let the container run"},
    {.name = "interactive",
     .letter = 'i',
     .type = OPT_BOOL,
     .offset = OPT_AT(struct start_opts, interactive),
     .help = "Pass stdin on"},
    {.name = "sig-proxy",
     .type = OPT_BOOL,
     .offset = OPT_AT(struct start_opts, sig_proxy),
     .initial = "true",
     .help = "Pass signals on to the program (default: true)"},
};

static int start_one(struct cli *c, struct engine *en, const char *id, const void *o, struct err *e)
{
    struct record_state s;
    int code;
    (void)c, (void)o;
    if (record_state_load(en, id, &s, e) < 0) return -1;
    if (s.status == RECORD_PAUSED)
        return err_set(e, ERR_CONFLICT, "cannot start a paused container, try unpause instead");
    if (record_status_alive(s.status)) return 0; // Docker: nothing to do
    return container_start(en, id, NULL, &code, e);
}

static int start_attached(struct cli *c, const struct start_opts *o, struct err *e)
{
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(free) char *keys = cli_detach_keys(c, o->keys);
    struct container_attach_options a = {.no_stdin = !o->interactive,
                                         .keys = keys,
                                         .no_sig_proxy = !o->sig_proxy};
    struct record_state s;
    char id[RECORD_ID];
    int code = 0;
    if (c->argc != 1)
        return err_set(e, ERR_USAGE, "you cannot start and attach multiple containers at once");
    if (cli_engine(c, &en, e) < 0 || protect_starts(c, &en, e) < 0 ||
        record_find(&en, c->argv[0], id, e) < 0 || record_state_load(&en, id, &s, e) < 0)
        return -1;
    int rc = record_status_alive(s.status) ? container_attach(&en, id, &a, &code, e)
                                           : container_start(&en, id, &a, &code, e);
    return rc < 0 ? -1 : code;
}

static int start(struct cli *c, const void *options, struct err *e)
{
    const struct start_opts *o = options;
    if (o->checkpoint.n) {
        err_set(e, ERR_UNSUPPORTED, "checkpoints (--checkpoint, --checkpoint-dir) are not supported");
        return err_hint(e, "leave the option out to start the program from its beginning");
    }
    if (o->attach || o->interactive) return start_attached(c, o, e);
    return cli_each_container(c, o, &(struct cli_each){.one = start_one, .starts = true}, e);
}

static const char *const start_aliases[] = {"container start", NULL};
const struct cli_cmd cli_cmd_start = {
    .path = "start",
    .alias = start_aliases,
    .usage = "CONTAINER [CONTAINER...]",
    .help = "Start containers that were made or have ended",
    .more = "With -a the exit code is the program's. What the container wrote stays in its layer "
            "from one start to the next.",
    .examples = "dewar start web\ndewar start -ai shell\n    and go on in its terminal\n",
    CLI_OPTIONS(start_rows, struct start_opts),
    .min_words = 1,
    .max_words = -1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_CONTAINERS,
    .run = start,
};

// --- stop, restart, kill -----------------------------------------------------------------------

struct stop_opts {
    const char *signal;
    int64_t timeout;
    bool has_timeout;
};
static const struct opt stop_rows[] = {
    {.name = "signal",
     .letter = 's',
     .type = OPT_TEXT,
     .offset = OPT_AT(struct stop_opts, signal),
     .arg = "SIGNAL",
     .help = "Signal to send first (default: the container's stop signal)"},
    {.name = "time",
     .letter = 't',
     .type = OPT_INT,
     .offset = OPT_AT(struct stop_opts, timeout),
     .given = OPT_AT(struct stop_opts, has_timeout),
     .arg = "SECONDS",
     .help = "How long to wait before it is killed (default: the container's, mostly 10; -1: for "
             "ever)"},
    {.name = "timeout",
     .type = OPT_INT,
     .offset = OPT_AT(struct stop_opts, timeout),
     .given = OPT_AT(struct stop_opts, has_timeout),
     .hidden = true,
     .arg = "SECONDS",
     .help = "Same as --time"},
};

static int64_t timeout_of(const struct stop_opts *o)
{
    return !o->has_timeout ? -2 : o->timeout < 0 ? -1 : o->timeout;
}

static int stop_one(struct cli *c, struct engine *en, const char *id, const void *options,
                    struct err *e)
{
    const struct stop_opts *o = options;
    (void)c;
    return container_stop(en, id, o->signal, timeout_of(o), e);
}

static int restart_one(struct cli *c, struct engine *en, const char *id, const void *options,
                       struct err *e)
{
    const struct stop_opts *o = options;
    (void)c;
    return container_restart(en, id, o->signal, timeout_of(o), e);
}

static int stop(struct cli *c, const void *options, struct err *e)
{
    return cli_each_container(c, options, &(struct cli_each){.one = stop_one}, e);
}

static int restart(struct cli *c, const void *options, struct err *e)
{
    return cli_each_container(c, options, &(struct cli_each){.one = restart_one, .starts = true}, e);
}

static const char *const stop_aliases[] = {"container stop", NULL};
const struct cli_cmd cli_cmd_stop = {
    .path = "stop",
    .alias = stop_aliases,
    .usage = "CONTAINER [CONTAINER...]",
    .help = "Stop containers: a signal, and after a while the kill",
    .examples = "dewar stop web\ndewar stop -t 60 database\n    a minute to come to an end\n",
    CLI_OPTIONS(stop_rows, struct stop_opts),
    .min_words = 1,
    .max_words = -1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_CONTAINERS,
    .run = stop,
};

static const char *const restart_aliases[] = {"container restart", NULL};
const struct cli_cmd cli_cmd_restart = {
    .path = "restart",
    .alias = restart_aliases,
    .usage = "CONTAINER [CONTAINER...]",
    .help = "Stop containers and start them again",
    .examples = "dewar restart web\n",
    CLI_OPTIONS(stop_rows, struct stop_opts),
    .min_words = 1,
    .max_words = -1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_CONTAINERS,
    .run = restart,
};

struct kill_opts {
    const char *signal;
};
static const struct opt kill_rows[] = {
    {.name = "signal",
     .letter = 's',
     .type = OPT_TEXT,
     .offset = OPT_AT(struct kill_opts, signal),
     .arg = "SIGNAL",
     .help = "Signal to send (default: KILL)"},
};

static int kill_one(struct cli *c, struct engine *en, const char *id, const void *options,
                    struct err *e)
{
    const struct kill_opts *o = options;
    (void)c;
    return container_kill(en, id, o->signal, e);
}

static int kill_all(struct cli *c, const void *options, struct err *e)
{
    return cli_each_container(c, options, &(struct cli_each){.one = kill_one}, e);
}

static const char *const kill_aliases[] = {"container kill", NULL};
const struct cli_cmd cli_cmd_kill = {
    .path = "kill",
    .alias = kill_aliases,
    .usage = "CONTAINER [CONTAINER...]",
    .help = "Send a signal to the programs of containers, KILL if not told otherwise",
    .examples = "dewar kill -s HUP web\n",
    CLI_OPTIONS(kill_rows, struct kill_opts),
    .min_words = 1,
    .max_words = -1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_CONTAINERS,
    .run = kill_all,
};

// --- rm ----------------------------------------------------------------------------------------

struct rm_opts {
    bool force, volumes, link;
};
static const struct opt rm_rows[] = {
    {.name = "force",
     .letter = 'f',
     .type = OPT_BOOL,
     .offset = OPT_AT(struct rm_opts, force),
     .help = "Kill what runs; a container that is not there is no error"},
    {.name = "link",
     .letter = 'l',
     .type = OPT_BOOL,
     .offset = OPT_AT(struct rm_opts, link),
     .hidden = true,
     .help = "Remove a link; there are none"},
    {.name = "volumes",
     .letter = 'v',
     .type = OPT_BOOL,
     .offset = OPT_AT(struct rm_opts, volumes),
     .help = "Remove its anonymous volumes too"},
};

static int rm_one(struct cli *c, struct engine *en, const char *id, const void *options,
                  struct err *e)
{
    const struct rm_opts *o = options;
    struct container_remove_options r = {.force = o->force, .volumes = o->volumes};
    (void)c;
    return container_remove(en, id, &r, e);
}

static int rm(struct cli *c, const void *options, struct err *e)
{
    const struct rm_opts *o = options;
    if (o->link) {
        err_set(e, ERR_UNSUPPORTED, "there are no links between containers here");
        return err_hint(e, "leave out -l to remove the container");
    }
    return cli_each_container(c, options, &(struct cli_each){.one = rm_one, .may_be_gone = o->force}, e);
}

static const char *const rm_aliases[] = {"container rm", "container remove", NULL};
const struct cli_cmd cli_cmd_rm = {
    .path = "rm",
    .alias = rm_aliases,
    .usage = "CONTAINER [CONTAINER...]",
    .help = "Remove containers and what they wrote",
    .more = "Volumes with a name stay; anonymous ones stay as well unless -v is given.",
    .examples =
        "dewar rm web\ndewar rm -f 3f2a\n    by the first digits of its ID, running or not\n",
    CLI_OPTIONS(rm_rows, struct rm_opts),
    .min_words = 1,
    .max_words = -1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_CONTAINERS,
    .run = rm,
};

// --- wait, pause, rename -----------------------------------------------------------------------

static int wait_one(struct cli *c, struct engine *en, const char *id, const void *o, struct err *e)
{
    int code = 0;
    (void)o;
    if (container_wait(en, id, CONTAINER_WAIT_NOT_RUNNING, &code, e) < 0) return -1;
    str_addf(&c->out, "%d\n", code);
    return 0;
}

static int wait_all(struct cli *c, const void *options, struct err *e)
{
    return cli_each_container(c, options, &(struct cli_each){.one = wait_one, .quiet = true}, e);
}

static const char *const wait_aliases[] = {"container wait", NULL};
const struct cli_cmd cli_cmd_wait = {
    .path = "wait",
    .alias = wait_aliases,
    .usage = "CONTAINER [CONTAINER...]",
    .help = "Wait until containers have ended and print their exit codes",
    .examples = "dewar wait training\n",
    .min_words = 1,
    .max_words = -1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_CONTAINERS,
    .run = wait_all,
};

static int pause_one(struct cli *c, struct engine *en, const char *id, const void *o, struct err *e)
{
    (void)c, (void)o;
    return container_pause(en, id, false, e);
}

static int unpause_one(struct cli *c, struct engine *en, const char *id, const void *o,
                       struct err *e)
{
    (void)c, (void)o;
    return container_pause(en, id, true, e);
}

static int pause_all(struct cli *c, const void *options, struct err *e)
{
    return cli_each_container(c, options, &(struct cli_each){.one = pause_one}, e);
}

static int unpause_all(struct cli *c, const void *options, struct err *e)
{
    return cli_each_container(c, options, &(struct cli_each){.one = unpause_one}, e);
}

static const char *const pause_aliases[] = {"container pause", NULL};
const struct cli_cmd cli_cmd_pause = {
    .path = "pause",
    .alias = pause_aliases,
    .usage = "CONTAINER [CONTAINER...]",
    .help = "Make all processes of containers stand still",
    .more = "Needs the freezer of control groups: as root, or as a user in a delegated cgroup v2.",
    .examples = "dewar pause training\ndewar unpause training\n",
    .min_words = 1,
    .max_words = -1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_CONTAINERS,
    .run = pause_all,
};

static const char *const unpause_aliases[] = {"container unpause", NULL};
const struct cli_cmd cli_cmd_unpause = {
    .path = "unpause",
    .alias = unpause_aliases,
    .usage = "CONTAINER [CONTAINER...]",
    .help = "Let paused containers go on",
    .examples = "dewar unpause training\n",
    .min_words = 1,
    .max_words = -1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_CONTAINERS,
    .run = unpause_all,
};

static int rename_it(struct cli *c, const void *options, struct err *e)
{
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    char id[RECORD_ID];
    (void)options;
    if (cli_engine(c, &en, e) < 0 || record_find(&en, c->argv[0], id, e) < 0) return -1;
    return container_rename(&en, id, c->argv[1], e);
}

static const char *const rename_aliases[] = {"container rename", NULL};
const struct cli_cmd cli_cmd_rename = {
    .path = "rename",
    .alias = rename_aliases,
    .usage = "CONTAINER NEW_NAME",
    .help = "Give a container another name",
    .examples = "dewar rename web web-old\n",
    .min_words = 2,
    .max_words = 2,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_CONTAINERS,
    .run = rename_it,
};

// --- attach ------------------------------------------------------------------------------------

struct attach_opts {
    bool no_stdin, sig_proxy;
    const char *keys;
};
static const struct opt attach_rows[] = {
    {.name = "detach-keys",
     .type = OPT_TEXT,
     .offset = OPT_AT(struct attach_opts, keys),
     .arg = "KEYS",
     .help = "Keys that leave the terminal and let the container run (default: ctrl-p,ctrl-q)"},
    {.name = "no-stdin",
     .type = OPT_BOOL,
     .offset = OPT_AT(struct attach_opts, no_stdin),
     .help = "Do not pass stdin on"},
    {.name = "sig-proxy",
     .type = OPT_BOOL,
     .offset = OPT_AT(struct attach_opts, sig_proxy),
     .initial = "true",
     .help = "Pass signals on to the program (default: true)"},
};

static int attach(struct cli *c, const void *options, struct err *e)
{
    const struct attach_opts *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(free) char *keys = cli_detach_keys(c, o->keys);
    struct container_attach_options a = {.no_stdin = o->no_stdin,
                                         .keys = keys,
                                         .no_sig_proxy = !o->sig_proxy};
    char id[RECORD_ID];
    int code = 0;
    if (cli_engine(c, &en, e) < 0 || record_find(&en, c->argv[0], id, e) < 0 ||
        container_attach(&en, id, &a, &code, e) < 0)
        return -1;
    return code;
}

static const char *const attach_aliases[] = {"container attach", NULL};
const struct cli_cmd cli_cmd_attach = {
    .path = "attach",
    .alias = attach_aliases,
    .usage = "CONTAINER",
    .help = "Join a running container: its output, its stdin, its terminal",
    .more =
        "The exit code is the program's. Several can be attached at once. Who takes no output at "
        "all for two seconds is left behind, so that the program need not wait.",
    .examples = "dewar attach shell\n    ctrl-p ctrl-q leaves it\n",
    CLI_OPTIONS(attach_rows, struct attach_opts),
    .min_words = 1,
    .max_words = 1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_CONTAINERS,
    .run = attach,
};

// --- probe -------------------------------------------------------------------------------------

static int probe(struct cli *c, const void *options, struct err *e)
{
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    char id[RECORD_ID];
    int code = 0;
    char self[] = "dewar", group[] = "container", word[] = "probe";
    char *const argv[] = {self, group, word, c->argv[0], NULL};
    (void)options;
    if (sandbox_sealed(argv, e) < 0 || cli_engine(c, &en, e) < 0 ||
        record_find(&en, c->argv[0], id, e) < 0 || container_probe(&en, id, &code, e) < 0)
        return -1;
    return code;
}

const struct cli_cmd cli_cmd_probe = {
    .path = "container probe",
    .usage = "CONTAINER",
    .help = "Run a container's health command once",
    .more = "What its monitor does at intervals. The exit code is the command's: 0 is healthy.",
    .examples = "dewar container probe web && echo healthy\n",
    .min_words = 1,
    .max_words = 1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_CONTAINERS,
    .run = probe,
};

// --- container prune ---------------------------------------------------------------------------

struct prune_opts {
    bool force;
    struct strv filters;
};
static const struct opt prune_rows[] = {
    {.name = "filter",
     .type = OPT_LIST,
     .offset = OPT_AT(struct prune_opts, filters),
     .arg = "KEY=VALUE",
     .help = "Only these: until=TIME, label=K[=V], label!=K[=V]"},
    {.name = "force",
     .letter = 'f',
     .type = OPT_BOOL,
     .offset = OPT_AT(struct prune_opts, force),
     .help = "Do not ask"},
};

static int prune(struct cli *c, const void *options, struct err *e)
{
    const struct prune_opts *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(strv) struct strv ids = {0};
    uint64_t freed = 0;
    int go = o->force ? 1 : cli_confirm(c, "WARNING! This will remove all stopped containers.", e);
    if (go <= 0) return go;
    if (cli_engine(c, &en, e) < 0 || container_prune(&en, &o->filters, &ids, &freed, e) < 0)
        return -1;
    cli_print_deleted(c, "Containers", &ids);
    cli_print_freed(c, freed);
    return 0;
}

const struct cli_cmd cli_cmd_container_prune = {
    .path = "container prune",
    .usage = "",
    .help = "Remove all containers that do not run",
    .examples = "dewar container prune -f\ndewar container prune --filter until=24h\n",
    CLI_OPTIONS(prune_rows, struct prune_opts),
    .family = CLI_DOCKER,
    .run = prune,
};
