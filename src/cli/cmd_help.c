// SPDX-License-Identifier: Apache-2.0
// help, shell completion, and the hidden command that the completion scripts ask: all answers come
// from the table of commands, so the scripts themselves never change.
#include <string.h>

#include "base/own.h"
#include "cli/commands.h"
#include "cli/internal.h"
#include "store/ref.h"
#include "volume/volume.h"

// --- help ---------------------------------------------------------------------------------------

struct help {
    bool man, man_list;
};
static const struct opt help_options[] = {
    {"man", 0, OPT_BOOL, OPT_AT(struct help, man), .hidden = true, .help = "As a manual page"},
    {"man-list", 0, OPT_BOOL, OPT_AT(struct help, man_list), .hidden = true,
     .help = "Names of all manual pages"},
};

static void list_pages(struct cli *c)
{
    str_addz(&c->out, "dewar\n");
    for (size_t i = 0; cli_commands[i]; i++) {
        if (cli_commands[i]->hidden) continue;
        cli_man_name(cli_commands[i], &c->out);
        str_addf(&c->out, " %s\n", cli_commands[i]->path);
    }
}

static int run_help(struct cli *c, const void *options, struct err *e)
{
    const struct help *o = options;
    int used;
    const struct cli_cmd *cmd = cli_find(c->argc, c->argv, &used);
    const struct cli_group *group = c->argc == 1 ? cli_find_group(c->argv[0]) : NULL;
    if (o->man_list) {
        list_pages(c);
    } else if (c->argc == 0 && o->man) {
        cli_man_command(NULL, &c->out);
    } else if (c->argc == 0) {
        cli_help_top(c, 100, &c->out);
    } else if (cmd && used == c->argc && o->man) {
        cli_man_command(cmd, &c->out);
    } else if (cmd && used == c->argc) {
        cli_help_command(c, cmd, 100, &c->out);
    } else if (group) {
        cli_help_group(c, group, &c->out);
    } else {
        own(str) struct str words = {0};
        for (int i = 0; i < c->argc; i++) str_addf(&words, "%s%s", i ? " " : "", c->argv[i]);
        err_set(e, ERR_USAGE, "no help on '%s': there is no such command", str_z(&words));
        const char *near = cli_nearest(c->argv[0]);
        return near ? err_hint(e, "did you mean '%s help %s'?", c->program, near) : -1;
    }
    return 0;
}

const struct cli_cmd cli_cmd_help = {
    .path = "help",
    .usage = "[COMMAND...]",
    .help = "Show help on a command",
    .examples = "dewar help\n"
                "dewar help image import",
    CLI_OPTIONS(help_options, struct help),
    .max_words = -1,
    .family = CLI_OWN,
    .words = CLI_WORDS_COMMANDS,
    .run = run_help,
};

// --- completion ---------------------------------------------------------------------------------

static const char bash_script[] =
    "# bash completion for dewar; load with: source <(dewar completion bash)\n"
    "_dewar() {\n"
    "    local IFS=$'\\n' line files=''\n"
    "    COMPREPLY=()\n"
    "    local words=(\"${COMP_WORDS[@]:1:COMP_CWORD}\")\n"
    "    # bash splits words at ':' and '=', which image names and options hold\n"
    "    if declare -F _get_comp_words_by_ref >/dev/null; then\n"
    "        local cur cword prev\n"
    "        _get_comp_words_by_ref -n := words cword cur prev\n"
    "        words=(\"${words[@]:1:cword}\")\n"
    "    fi\n"
    "    while IFS= read -r line; do\n"
    "        case $line in\n"
    "        :files) files=1 ;;\n"
    "        *) COMPREPLY+=(\"${line%%$'\\t'*}\") ;;\n"
    "        esac\n"
    "    done < <(\"${COMP_WORDS[0]}\" __complete -- \"${words[@]}\" 2>/dev/null)\n"
    "    local last=${words[${#words[@]} - 1]}\n"
    "    if [ -n \"$files\" ]; then\n"
    "        compopt -o filenames 2>/dev/null\n"
    "        COMPREPLY+=($(compgen -f -- \"$last\"))\n"
    "    fi\n"
    "    declare -F __ltrim_colon_completions >/dev/null && __ltrim_colon_completions \"$last\"\n"
    "    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null\n"
    "    return 0\n"
    "}\n"
    "complete -F _dewar dewar\n";
static const char zsh_script[] =
    "#compdef dewar\n"
    "# zsh completion for dewar; load with: source <(dewar completion zsh)\n"
    "_dewar() {\n"
    "    local line files='' value about\n"
    "    local -a found\n"
    "    while IFS= read -r line; do\n"
    "        if [[ $line == :files ]]; then files=1; continue; fi\n"
    "        value=${line%%$'\\t'*}\n"
    "        about=${line#*$'\\t'}\n"
    "        [[ $about == $line ]] && found+=(${value//:/\\\\:}) || "
    "found+=(\"${value//:/\\\\:}:$about\")\n"
    "    done < <($words[1] __complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)\n"
    "    (( $#found )) && _describe 'dewar' found\n"
    "    [[ -n $files ]] && _files\n"
    "    return 0\n"
    "}\n"
    "compdef _dewar dewar\n";
static const char fish_script[] =
    "# fish completion for dewar; load with: dewar completion fish | source\n"
    "function __dewar_complete\n"
    "    set -l words (commandline -opc) (commandline -ct)\n"
    "    for line in ($words[1] __complete -- $words[2..-1] 2>/dev/null)\n"
    "        if test \"$line\" = ':files'\n"
    "            __fish_complete_path (commandline -ct)\n"
    "        else\n"
    "            echo $line\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c dewar -f -a '(__dewar_complete)'\n";

static int run_completion(struct cli *c, const void *options, struct err *e)
{
    static const struct {
        const char *shell, *script;
    } shells[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};
    (void)options;
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (strcmp(c->argv[0], shells[i].shell) == 0) {
            str_addz(&c->out, shells[i].script);
            return 0;
        }
    err_set(e, ERR_USAGE, "no completion for the shell '%s'", c->argv[0]);
    return err_hint(e, "known: bash, zsh, fish");
}

const struct cli_cmd cli_cmd_completion = {
    .path = "completion",
    .usage = "bash|zsh|fish",
    .help = "Print a script that lets a shell complete commands, options and image names",
    .examples = "source <(dewar completion bash)\n"
                "dewar completion fish > ~/.config/fish/completions/dewar.fish",
    .min_words = 1,
    .max_words = 1,
    .family = CLI_OWN,
    .run = run_completion,
};

// --- __complete ---------------------------------------------------------------------------------

struct completer {
    struct cli *c;
    const char *prefix;

};

static void offer(const struct completer *k, const char *before, const char *text,
                  const char *about)
{
    own(str) struct str s = {0};
    str_addz(&s, before);
    str_addz(&s, text);
    if (!sv_starts(str_sv(&s), k->prefix)) return;
    str_add_escaped(&k->c->out, str_sv(&s));
    if (about) str_addf(&k->c->out, "\t%s", about);
    str_addc(&k->c->out, '\n');
}

static bool offered(const struct strv *seen, const char *word)
{
    return strv_find(seen, word) >= 0;
}

// The next word of every command whose path begins with the `n` words.
static void offer_commands(const struct completer *k, int n, char *const *words)
{
    own(strv) struct strv seen = {0};
    for (size_t i = 0; cli_commands[i]; i++) {
        const struct cli_cmd *cmd = cli_commands[i];
        if (cmd->hidden) continue;
        for (size_t a = 0; a == 0 || (cmd->alias && cmd->alias[a - 1]); a++) {
            struct sv rest = sv_of(a == 0 ? cmd->path : cmd->alias[a - 1]);
            int at = 0;
            while (at < n && rest.p && sv_eqz(sv_cut(&rest, ' '), words[at])) at++;
            if (at < n || !rest.p) continue;
            own(free) char *word = sv_dup(sv_cut(&rest, ' '));
            const struct cli_group *g = rest.p ? cli_find_group(word) : NULL;
            if (offered(&seen, word)) continue;
            strv_add(&seen, word);
            offer(k, "", word, g ? g->help : cmd->help);
        }
    }
}

static void offer_images(const struct completer *k)
{
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(store_refs) struct store_refs refs = {0};
    struct err ignored = {0};
    if (cli_engine(k->c, &en, &ignored) < 0 || store_ref_list(&en, &refs, &ignored) < 0) return;
    for (size_t i = 0; i < refs.n; i++) {
        own(str) struct str name = {0};
        if (!refs.p[i].ref.name[0]) continue;
        oci_ref_print(&refs.p[i].ref, &name);
        offer(k, "", str_z(&name), NULL);
    }
}

static void offer_containers(const struct completer *k)
{
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(record_rows) struct record_rows rows = {0};
    struct err ignored = {0};
    if (cli_engine(k->c, &en, &ignored) < 0 || record_list(&en, true, &rows, &ignored) < 0) return;
    vec_each (row, &rows)
        if (row->brief.name[0]) offer(k, "", row->brief.name, row->brief.image);
}

static void offer_volumes(const struct completer *k)
{
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(volume_rows) struct volume_rows rows = {0};
    struct err ignored = {0};
    if (cli_engine(k->c, &en, &ignored) < 0 || volume_list(&en, NULL, &rows, &ignored) < 0) return;
    vec_each (row, &rows) offer(k, "", row->name, NULL);
}

static const struct opt *find_option(const struct cli_cmd *cmd, struct sv word)
{
    for (size_t i = 0; i < cmd->options_n; i++) {
        const struct opt *o = &cmd->options[i];
        if (sv_starts(word, "--") ? sv_eqz(sv_from(word, 2), o->name)
                                  : word.n == 2 && word.p[0] == '-' && word.p[1] == o->letter)
            return o;
    }
    return NULL;
}

static void offer_values(const struct completer *k, const struct opt *o, const char *before)
{
    for (size_t i = 0; o->choices && o->choices[i]; i++) offer(k, before, o->choices[i], NULL);
    if (!o->choices) str_addz(&k->c->out, ":files\n");
}

static void offer_options(const struct completer *k, const struct cli_cmd *cmd)
{
    struct sv word = sv_of(k->prefix), name = sv_cut(&word, '=');
    const struct opt *o = word.p ? find_option(cmd, name) : NULL;
    if (word.p) {
        own(free) char *before = str_fmt("%.*s=", (int)name.n, name.p);
        if (o && o->choices) offer_values(k, o, before);
        return;
    }
    for (size_t i = 0; i < cmd->options_n; i++)
        if (!cmd->options[i].hidden) offer(k, "--", cmd->options[i].name, cmd->options[i].help);
    offer(k, "--", "help", "Print help");
}

// How many words of argv[0..n) are no options; *out_pending is the option that waits for a value.
static int count_plain(const struct cli_cmd *cmd, int n, char *const *argv,
                       const struct opt **out_pending)
{
    int plain = 0;
    *out_pending = NULL;
    for (int i = 0; i < n; i++) {
        if (*out_pending) {
            *out_pending = NULL;
            continue;
        }
        if (argv[i][0] != '-') {
            plain++;
            continue;
        }
        const struct opt *o = find_option(cmd, sv_of(argv[i]));
        if (o && opt_takes_value(o) && !o->implied) *out_pending = o;
    }
    return plain;
}

static void offer_words(const struct completer *k, const struct cli_cmd *cmd, int plain)
{
    bool first = plain == 0;
    if (cmd->words == CLI_WORDS_IMAGES || (cmd->words == CLI_WORDS_IMAGE && first)) offer_images(k);
    if (cmd->words == CLI_WORDS_CONTAINERS) offer_containers(k);
    if (cmd->words == CLI_WORDS_VOLUMES) offer_volumes(k);
    if (cmd->words == CLI_WORDS_FILES) str_addz(&k->c->out, ":files\n");
    if (cmd == &cli_cmd_completion && first) {
        offer(k, "", "bash", NULL);
        offer(k, "", "zsh", NULL);
        offer(k, "", "fish", NULL);
    }
}

static int run_complete(struct cli *c, const void *options, struct err *e)
{
    (void)options;
    (void)e;
    if (c->argc == 0) return 0;
    int n = c->argc - 1, used;  // the last word is the one being typed
    struct completer k = {c, c->argv[n]};
    const struct cli_cmd *cmd = cli_find(n, c->argv, &used);
    if (!cmd || used == 0) {
        static const struct cli_cmd none = {.path = ""};
        struct cli_cmd top = none;
        top.options = cli_global_options.rows;
        top.options_n = cli_global_options.n;
        if (k.prefix[0] == '-')
            offer_options(&k, &top);
        else
            offer_commands(&k, n, c->argv);
        return 0;
    }
    const struct opt *pending;
    int plain = count_plain(cmd, n - used, c->argv + used, &pending);
    if (pending)
        offer_values(&k, pending, "");
    else if (cmd->words == CLI_WORDS_COMMANDS)
        offer_commands(&k, plain, c->argv + used);
    else if (k.prefix[0] == '-' && !(cmd->stop_at_word && plain))
        offer_options(&k, cmd);
    else
        offer_words(&k, cmd, plain);
    return 0;
}

const struct cli_cmd cli_cmd_complete = {
    .path = "__complete",
    .usage = "-- WORD...",
    .help = "Print what a shell may offer for the last word",
    .examples = "dewar __complete -- image im",
    .max_words = -1,
    .family = CLI_OWN,
    .hidden = true,
    .run = run_complete,
};
