// SPDX-License-Identifier: Apache-2.0
// exec: another program in a container that runs.
#include "base/own.h"
#include "cli/commands.h"
#include "container/exec.h"
#include "record/state.h"

struct exec {
    bool detach, interactive, privileged, tty;
    const char *keys, *user, *workdir;
    struct strv env, env_files;
};
#define AT(member) .offset = OPT_AT(struct exec, member)
static const struct opt exec_options[] = {
    {"detach", 'd', OPT_BOOL, AT(detach), .help = "Start it and return"},
    {"detach-keys", 0, OPT_TEXT, AT(keys), .arg = "KEYS",
     .help = "Keys that leave the terminal and let the program run (default: ctrl-p,ctrl-q)"},
    {"env", 'e', OPT_LIST, AT(env), .arg = "K[=V]", .help = "Set a variable; K alone copies ours"},
    {"env-file", 0, OPT_LIST, AT(env_files), .arg = "FILE", .help = "Read variables from a file"},
    {"interactive", 'i', OPT_BOOL, AT(interactive), .help = "Pass stdin on"},
    {"privileged", 0, OPT_BOOL, AT(privileged), .help = "With all capabilities and no filter"},
    {"tty", 't', OPT_BOOL, AT(tty), .help = "Give it a terminal"},
    {"user", 'u', OPT_TEXT, AT(user), .arg = "USER[:GROUP]", .help = "Who it runs as"},
    {"workdir", 'w', OPT_TEXT, AT(workdir), .arg = "DIR", .help = "Where it starts"},
};
#undef AT

static int run_exec(struct cli *c, const void *options, struct err *e)
{
    const struct exec *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(strv) struct strv args = {0};
    char id[RECORD_ID];
    int code = 0;
    for (int i = 1; i < c->argc; i++) strv_add(&args, c->argv[i]);
    own(free) char *keys = o->tty && !o->detach ? cli_detach_keys(c, o->keys) : NULL;
    const struct container_exec_options opt = {.own_argv = c->own_argv,
                                               .args = args,
                                               .env = o->env,
                                               .env_files = o->env_files,
                                               .user = o->user,
                                               .workdir = o->workdir,
                                               .keys = keys ? keys : o->keys,
                                               .tty = o->tty,
                                               .interactive = o->interactive,
                                               .privileged = o->privileged,
                                               .detach = o->detach};
    if (cli_engine(c, &en, e) < 0 || record_find(&en, c->argv[0], id, e) < 0) return -1;
    if (container_exec(&en, id, &opt, &code, e) == 0) return code;
    if (e->kind != ERR_NO_PROGRAM && e->kind != ERR_NOT_EXEC) return -1;
    cli_print_error(c, e);
    return e->kind == ERR_NO_PROGRAM ? 127 : 126;
}

const struct cli_cmd cli_cmd_exec = {
    .path = "exec",
    .alias = (const char *const[]){"container exec", NULL},
    .usage = "CONTAINER COMMAND [ARG...]",
    .help = "Run another program in a running container",
    .more = "It has the container's environment, user and restrictions. The exit code is the\n"
            "program's; 127 when it is not there, 126 when it cannot be executed. Signals are passed\n"
            "on. When this command is killed the program goes on.",
    .examples = "dewar exec -it web sh\n"
                "dewar exec -u root web apt-get update\n"
                "dewar exec -d web python3 -m http.server",
    CLI_OPTIONS(exec_options, struct exec),
    .min_words = 2,
    .max_words = -1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_CONTAINERS,
    .stop_at_word = true,
    .run = run_exec,
};
