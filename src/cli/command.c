// SPDX-License-Identifier: Apache-2.0
// From argv to an exit status: which face, which command, its options, its run, what it printed and
// how it failed. Nothing is set up here that `run` does not need.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "cli/commands.h"
#include "cli/internal.h"

// --- which command ------------------------------------------------------------------------------

// How many words of argv spell `path`; 0 when they do not.
static int match_path(const char *path, int argc, char *const *argv)
{
    struct sv rest = sv_of(path);
    int n = 0;
    while (rest.p) {
        struct sv word = sv_cut(&rest, ' ');
        if (n >= argc || !sv_eqz(word, argv[n])) return 0;
        n++;
    }
    return n;
}

const struct cli_cmd *cli_find(int argc, char *const *argv, int *out_words)
{
    const struct cli_cmd *best = NULL;
    *out_words = 0;
    for (size_t i = 0; cli_commands[i]; i++) {
        const struct cli_cmd *cmd = cli_commands[i];
        int n = match_path(cmd->path, argc, argv);
        for (size_t k = 0; cmd->alias && cmd->alias[k]; k++) {
            int m = match_path(cmd->alias[k], argc, argv);
            if (m > n) n = m;
        }
        if (n <= *out_words) continue;
        best = cmd;
        *out_words = n;
    }
    return best;
}

const struct cli_group *cli_find_group(const char *name)
{
    for (size_t i = 0; cli_groups[i].name; i++)
        if (strcmp(cli_groups[i].name, name) == 0) return &cli_groups[i];
    return NULL;
}

const char *cli_short_name(const struct cli_cmd *cmd)
{
    const char *best = cmd->path;
    for (size_t k = 0; cmd->alias && cmd->alias[k]; k++)
        if (!strchr(cmd->alias[k], ' ') && strchr(best, ' ')) best = cmd->alias[k];
    return best;
}

struct nearest {
    const char *word, *best;
    unsigned distance;
};

static void consider(struct nearest *n, const char *name)
{
    if (strchr(name, ' ')) return;
    unsigned d = opt_distance(n->word, name);
    if (d >= n->distance || d > (strlen(name) + 1) / 2) return;
    n->best = name;
    n->distance = d;
}

const char *cli_nearest(const char *word)
{
    struct nearest n = {word, NULL, 3};
    for (size_t i = 0; cli_commands[i]; i++) {
        const struct cli_cmd *cmd = cli_commands[i];
        if (cmd->hidden) continue;
        consider(&n, cmd->path);
        for (size_t k = 0; cmd->alias && cmd->alias[k]; k++) consider(&n, cmd->alias[k]);
    }
    for (size_t i = 0; cli_groups[i].name; i++) consider(&n, cli_groups[i].name);
    return n.best;
}

// --- options that every command has ---------------------------------------------------------------

static const char *const log_levels[] = {"warn", "info", "debug", "error", "fatal", NULL};

#define AT(member) .offset = OPT_AT(struct cli_globals, member)
#define PLACES                                                                                  \
    {"store", 0, OPT_TEXT, AT(store), .arg = "DIR",                                             \
     .help = "Folder of images and layers (also DEWAR_STORE)"},                                 \
    {                                                                                           \
        "run-root", 0, OPT_TEXT, AT(run_root), .arg = "DIR",                                    \
            .help = "Folder for what ends with the boot (also DEWAR_RUN)"                       \
    }

static const struct opt global_rows[] = {
    PLACES,
    {"debug", 'D', OPT_BOOL, AT(debug), .help = "Say what is being done, on stderr"},
    {"verbose", 'v', OPT_COUNT, AT(verbose), .help = "The same; twice for more"},
    {"log-level", 'l', OPT_ENUM, AT(log_level), .arg = "LEVEL", .choices = log_levels,
     .help = "What to say on stderr"},
    {"version", 0, OPT_BOOL, AT(version), .help = "Print the version"},
    {"help", 'h', OPT_BOOL, AT(help), .help = "Print help"},
};
static const struct opt common_rows[] = {
    PLACES,
    {"debug", 0, OPT_BOOL, AT(debug), .hidden = true, .help = "Say what is being done, on stderr"},
    {"help", 'h', OPT_BOOL, AT(help), .help = "Print help"},
};
const struct opt_table cli_global_options = {global_rows, sizeof global_rows / sizeof *global_rows};
const struct opt_table cli_common_options = {common_rows, sizeof common_rows / sizeof *common_rows};

static void apply_globals(struct cli *c, const struct cli_globals *g)
{
    if (g->store) c->engine.store = g->store;
    if (g->run_root) c->engine.run = g->run_root;
    if (g->debug || g->log_level == 2) c->debug = true;
    if (c->debug && log_level < 1) log_level = 1;
    if (g->verbose > log_level) log_level = g->verbose > 2 ? 2 : g->verbose;
}

// --- ends ---------------------------------------------------------------------------------------

// Of a wrong flag; of too many or too few words; of what a command finds wrong in what it was given.
static const struct {
    unsigned char flag, words, value;
} usage_status[CLI_FAMILY_COUNT] = {
    [CLI_RUN] = {125, 1, 125}, [CLI_DOCKER] = {125, 1, 1}, [CLI_OWN] = {2, 2, 2}};

static int status_of(enum cli_family family, const struct err *e)
{
    if (e->kind == ERR_USAGE) return usage_status[family].value;
    if (e->kind == ERR_INTERRUPTED) return 130;
    if (family != CLI_RUN) return 1;
    if (e->kind == ERR_NO_PROGRAM) return 127;
    if (e->kind == ERR_NOT_EXEC) return 126;
    return 125;
}

static void write_talk(const struct str *s)
{
    for (size_t at = 0; at < s->n;) {
        ssize_t n = write(STDERR_FILENO, s->p + at, s->n - at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;  // nobody is there to be told
        at += (size_t)n;
    }
}

// The labels of an error in colour; its text stays as err_print escaped it.
static void dress(const struct str *plain, struct str *out)
{
    static const struct {
        const char *label, *code;
    } looks[] = {{"dewar: error: ", "\x1b[1;31m"}, {"  cause: ", "\x1b[1m"}, {"  hint: ", "\x1b[36m"}};
    struct sv rest = str_sv(plain);
    while (rest.n) {
        struct sv line = sv_cut(&rest, '\n');
        for (size_t i = 0; i < sizeof looks / sizeof *looks; i++) {
            if (!sv_starts(line, looks[i].label)) continue;
            size_t n = strlen(looks[i].label);
            str_addf(out, "%s%.*s\x1b[0m", looks[i].code, (int)n, line.p);
            line = sv_from(line, n);
            break;
        }
        str_add(out, line);
        str_addc(out, '\n');
    }
}

static void print_error(const struct cli *c, const struct err *e, bool usage)
{
    own(str) struct str plain = {0};
    own(str) struct str out = {0};
    err_print(e, &plain);
    if (c->color)
        dress(&plain, &out);
    else
        str_add(&out, str_sv(&plain));
    if (usage && c->cmd) {
        str_addc(&out, '\n');
        cli_help_usage(c, c->cmd, &out);
        str_addf(&out, "Run '%s %s --help' for more information\n", c->program,
                 cli_short_name(c->cmd));
    } else if (usage) {
        str_addf(&out, "\nRun '%s --help' for the list of commands\n", c->program);
    }
    write_talk(&out);
}

void cli_print_error(const struct cli *c, const struct err *e)
{
    print_error(c, e, false);
}

// --- one command --------------------------------------------------------------------------------

static unsigned screen_width(void)
{
    struct winsize ws = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) != 0 || ws.ws_col < 40) return 100;
    return ws.ws_col;
}

static int count_words(const struct cli *c, const struct cli_cmd *cmd, struct err *e)
{
    int n = c->argc;
    const char *name = cli_short_name(cmd);
    if (n < cmd->min_words) {
        err_set(e, ERR_USAGE, "'%s %s' needs %s%d argument%s", c->program, name,
                cmd->max_words == cmd->min_words ? "" : "at least ", cmd->min_words,
                cmd->min_words == 1 ? "" : "s");
        return err_hint(e, "usage: %s %s [OPTIONS] %s", c->program, name, cmd->usage);
    }
    if (cmd->max_words >= 0 && n > cmd->max_words) {
        if (cmd->max_words == 0)
            err_set(e, ERR_USAGE, "'%s %s' takes no arguments, but '%s' was given", c->program,
                    name, c->argv[0]);
        else
            err_set(e, ERR_USAGE, "'%s %s' takes at most %d argument%s: '%s' is too many",
                    c->program, name, cmd->max_words, cmd->max_words == 1 ? "" : "s",
                    c->argv[cmd->max_words]);
        return err_hint(e, "options go before it, as in: %s %s [OPTIONS] %s", c->program, name,
                        cmd->usage);
    }
    return 0;
}

static int finish(struct cli *c, const struct cli_cmd *cmd, int status, struct err *e)
{
    cli_render_end(c, status == 0);
    if (status >= 0 && cli_flush(c, e) < 0) status = -1;
    if (status < 0) {
        if (c->out.n) {  // what was found before it failed
            struct err ignored;
            cli_flush(c, &ignored);
        }
        print_error(c, e, false);
        status = c->failure ? c->failure : status_of(cmd->family, e);
    }
    return c->reader_gone && status == 0 ? 128 + SIGPIPE : status;
}

void cli_as_layers(const struct cli *c)
{
#ifdef DEWAR_LAYERS
    char path[4096];
    struct err ignored;
    if (engine_helper(DEWAR_LAYERS, path, sizeof path, &ignored) == 0) execv(path, c->own_argv);
#else
    (void)c;
#endif
}

static int run_command(struct cli *c, const struct cli_cmd *cmd, int argc, char **argv)
{
    struct err e = {0};
    own(opt_words) struct opt_words words = {0};
    struct cli_globals g = {0};
    own(free) void *options = mem_alloc(cmd->options_size);
    struct opt_table table = {cmd->options, cmd->options_n};
    const struct opt_target targets[] = {{table, options}, {cli_common_options, &g}};
    const struct opt_rules rules = {.stop_at_word = cmd->stop_at_word};
    c->cmd = cmd;
    if (cmd->layers) cli_as_layers(c);
    int rc = opt_parse(targets, 2, rules, argc, argv, &words, &e);
    apply_globals(c, &g);
    c->argc = (int)words.n;
    c->argv = words.p;
    if (rc == 0 && g.help) {
        cli_help_command(c, cmd, screen_width(), &c->out);
        rc = finish(c, cmd, 0, &e);
    } else if (rc < 0 || count_words(c, cmd, &e) < 0) {
        print_error(c, &e, true);
        rc = rc < 0 ? usage_status[cmd->family].flag : usage_status[cmd->family].words;
    } else {
        rc = finish(c, cmd, cmd->run(c, options, &e), &e);
    }
    opt_fini(&table, options);
    str_fini(&c->out);
    return rc;
}

static int unknown_command(struct cli *c, const char *group, const char *word)
{
    struct err e = {0};
    own(free) char *full = group ? str_fmt("%s %s", group, word) : str_dup(word);
    err_set(&e, ERR_USAGE, "unknown command: '%s %s'", c->program, full);
    const char *near = group ? NULL : cli_nearest(word);
    if (near) err_hint(&e, "did you mean '%s %s'?", c->program, near);
    print_error(c, &e, true);
    return strcmp(c->program, "docker") == 0 ? 1 : 2;
}

static int print_and_end(struct cli *c)
{
    static const struct cli_cmd none = {.path = "", .family = CLI_OWN};
    struct err e = {0};
    int rc = finish(c, &none, 0, &e);
    str_fini(&c->out);
    return rc;
}

static int run_group(struct cli *c, const struct cli_group *g, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (argv[i][0] != '-') return unknown_command(c, g->name, argv[i]);
    cli_help_group(c, g, &c->out);
    return print_and_end(c);
}

// --- the program --------------------------------------------------------------------------------

// A closed descriptor 0-2 would be taken by the next file we open, and then be written to as if it
// were the terminal. The stand-in cannot be written, so that a result that goes nowhere is noticed.
static void guard_stdio(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
        int got = open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY);  // the lowest free: fd itself
        if (got != fd) _exit(125);
    }
}

// Writing to a pipe that nobody reads must give EPIPE, not end us. A handler does that as well as
// ignoring the signal, and unlike an ignored signal it does not go on to the programs we start.
static void on_pipe(int sig)
{
    (void)sig;
}

static const char *face_of(const char *argv0)
{
    static const char *const faces[] = {"docker", "dewar-oci", NULL};
    const char *slash = argv0 ? strrchr(argv0, '/') : NULL;
    const char *base = slash ? slash + 1 : argv0;
    for (size_t i = 0; base && faces[i]; i++)
        if (strcmp(base, faces[i]) == 0) return faces[i];
    return "dewar";
}

static void look_around(struct cli *c)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    c->out_tty = isatty(STDOUT_FILENO);
    c->err_tty = isatty(STDERR_FILENO);
    c->color = c->err_tty && !(no_color && no_color[0]) && term && term[0] &&
               strcmp(term, "dumb") != 0;
}

int cli_main(int argc, char **argv)
{
    guard_stdio();
    const struct sigaction pipe_action = {.sa_handler = on_pipe, .sa_flags = SA_RESTART};
    sigaction(SIGPIPE, &pipe_action, NULL);
    struct cli c = {.program = face_of(argc > 0 ? argv[0] : NULL)};
    c.own_argv = argv;
    look_around(&c);
    cli_sink_plain(&c);
    // The whole program is one command then, and its first options are that command's.
    if (strcmp(c.program, "dewar-oci") == 0)
        return run_command(&c, &cli_cmd_oci, argc - 1, argv + 1);
    struct err e = {0};
    struct cli_globals g = {0};
    own(opt_words) struct opt_words words = {0};
    const struct opt_target target = {cli_global_options, &g};
    if (opt_parse(&target, 1, (struct opt_rules){.stop_at_word = true}, argc > 0 ? argc - 1 : 0,
                  argv + 1, &words, &e) < 0) {
        print_error(&c, &e, true);
        return strcmp(c.program, "docker") == 0 ? 125 : 2;
    }
    apply_globals(&c, &g);
    if (g.version || (!words.n && g.verbose && !g.help)) {
        str_addf(&c.out, "dewar version %s\n", DEWAR_VERSION);
        return print_and_end(&c);
    }
    if (!words.n) {
        cli_help_top(&c, screen_width(), &c.out);
        return print_and_end(&c);
    }
    int used;
    const struct cli_cmd *cmd = cli_find((int)words.n, words.p, &used);
    const struct cli_group *group = cli_find_group(words.p[0]);
    if (cmd && g.help) {
        cli_help_command(&c, cmd, screen_width(), &c.out);
        return print_and_end(&c);
    }
    if (cmd) return run_command(&c, cmd, (int)words.n - used, words.p + used);
    if (group) return run_group(&c, group, (int)words.n, words.p);
    return unknown_command(&c, NULL, words.p[0]);
}
