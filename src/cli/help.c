// SPDX-License-Identifier: Apache-2.0
// Help and manual pages, both from the table of commands.
#include <string.h>

#include "base/own.h"
#include "cli/internal.h"

#define NAME_COLUMN 16

static void add_entry(struct str *out, const char *name, const char *help)
{
    str_addf(out, "  %-*s %s\n", NAME_COLUMN, name, help);
}

static bool in_group(const char *path, const char *group)
{
    size_t n = strlen(group);
    return strncmp(path, group, n) == 0 && path[n] == ' ';
}

void cli_help_top(const struct cli *c, unsigned width, struct str *out)
{
    str_addf(out, "Usage:  %s [OPTIONS] COMMAND\n\n"
                  "Builds and runs containers: an environment written down once, the same "
                  "everywhere.\n\nCommands:\n",
             c->program);
    for (size_t i = 0; cli_commands[i]; i++) {
        const struct cli_cmd *cmd = cli_commands[i];
        if (!cmd->hidden) add_entry(out, cli_short_name(cmd), cmd->help);
    }
    str_addz(out, "\nGroups of commands:\n");
    for (size_t i = 0; cli_groups[i].name; i++)
        if (cli_groups[i].help) add_entry(out, cli_groups[i].name, cli_groups[i].help);
    str_addz(out, "\nOptions:\n");
    opt_print_help(&cli_global_options, width, out);
    str_addf(out, "\nRun '%s COMMAND --help' for more on a command.\n", c->program);
}

void cli_help_group(const struct cli *c, const struct cli_group *g, struct str *out)
{
    str_addf(out, "Usage:  %s %s COMMAND\n\n%s\n\nCommands:\n", c->program, g->name,
             g->help ? g->help : g->use);
    for (size_t i = 0; cli_commands[i]; i++) {
        const struct cli_cmd *cmd = cli_commands[i];
        if (cmd->hidden) continue;
        const char *name = in_group(cmd->path, g->name) ? cmd->path : NULL;
        for (size_t k = 0; !name && cmd->alias && cmd->alias[k]; k++)
            if (in_group(cmd->alias[k], g->name)) name = cmd->alias[k];
        if (name) add_entry(out, name + strlen(g->name) + 1, cmd->help);
    }
    str_addf(out, "\nRun '%s %s COMMAND --help' for more on a command.\n", c->program, g->name);
}

void cli_help_usage(const struct cli *c, const struct cli_cmd *cmd, struct str *out)
{
    str_addf(out, "Usage:  %s %s [OPTIONS]%s%s\n", c->program, cli_short_name(cmd),
             cmd->usage[0] ? " " : "", cmd->usage);
}

// The example lines, one command or its explanation each, indented.
static void add_indented(struct str *out, const char *text)
{
    struct sv rest = sv_of(text);
    while (rest.n) {
        struct sv line = sv_cut(&rest, '\n');
        str_addz(out, "  ");
        str_add(out, line);
        str_addc(out, '\n');
    }
}

// Paragraphs, filled to the width. Lines that begin with a blank stay as they are.
static void add_prose(struct str *out, unsigned width, const char *text)
{
    struct sv rest = sv_of(text);
    size_t at = 0;  // columns used in the line being filled
    while (rest.n) {
        struct sv line = sv_cut(&rest, '\n');
        bool fixed = line.n && line.p[0] == ' ';
        if (at && (fixed || !line.n)) {
            str_addc(out, '\n');
            at = 0;
        }
        if (fixed || !line.n) {
            str_add(out, line);
            str_addc(out, '\n');
            continue;
        }
        while (line.p) {
            struct sv word = sv_cut(&line, ' ');
            bool breaks = at && at + 1 + word.n > width;
            if (at) str_addc(out, breaks ? '\n' : ' ');
            str_add(out, word);
            at = (at && !breaks ? at + 1 : 0) + word.n;
        }
    }
    if (at) str_addc(out, '\n');
}

void cli_help_command(const struct cli *c, const struct cli_cmd *cmd, unsigned width,
                      struct str *out)
{
    cli_help_usage(c, cmd, out);
    str_addf(out, "\n%s\n", cmd->help);
    if (cmd->alias) {
        str_addf(out, "\nAliases:\n  %s %s", c->program, cmd->path);
        for (size_t k = 0; cmd->alias[k]; k++) str_addf(out, ", %s %s", c->program, cmd->alias[k]);
        str_addc(out, '\n');
    }
    if (cmd->more) {
        str_addc(out, '\n');
        add_prose(out, width, cmd->more);
    }
    const struct opt_table table = {cmd->options, cmd->options_n};
    if (table.n) {
        str_addz(out, "\nOptions:\n");
        opt_print_help(&table, width, out);
    }
    str_addz(out, "\nExamples:\n");
    add_indented(out, cmd->examples);
}

// --- manual pages -------------------------------------------------------------------------------

// roff: a backslash and a leading dot or quote would be requests, a bare '-' a hyphen.
static void add_roff(struct str *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if ((p == text || p[-1] == '\n') && (*p == '.' || *p == '\'')) str_addz(out, "\\&");
        if (*p == '\\')
            str_addz(out, "\\e");
        else if (*p == '-')
            str_addz(out, "\\-");
        else
            str_addc(out, *p);
    }
}

static void add_option(struct str *out, const struct opt *o)
{
    str_addz(out, ".TP\n\\fB");
    if (o->letter) str_addf(out, "\\-%c\\fR, \\fB", o->letter);
    str_addz(out, "\\-\\-");
    add_roff(out, o->name);
    str_addz(out, "\\fR");
    if (opt_takes_value(o)) {
        str_addz(out, o->implied ? "[=\\fI" : " \\fI");
        add_roff(out, opt_arg_name(o));
        str_addz(out, o->implied ? "\\fR]" : "\\fR");
    }
    str_addc(out, '\n');
    add_roff(out, o->help);
    for (int i = 0; o->type == OPT_ENUM && o->choices[i]; i++) {
        str_addz(out, i ? ", " : ": ");
        add_roff(out, o->choices[i]);
    }
    if (o->initial) {
        str_addz(out, " (default ");
        add_roff(out, o->initial);
        str_addc(out, ')');
    }
    str_addz(out, ".\n");
}

static void add_options(struct str *out, const struct opt_table *t)
{
    for (size_t i = 0; i < t->n; i++)
        if (!t->rows[i].hidden) add_option(out, &t->rows[i]);
}

void cli_man_name(const struct cli_cmd *cmd, struct str *out)
{
    str_addz(out, "dewar");
    if (!cmd) return;
    str_addc(out, '-');
    for (const char *p = cli_short_name(cmd); *p; p++) str_addc(out, *p == ' ' ? '-' : *p);
}

static void add_title(struct str *out, const char *name, const char *help)
{
    str_addz(out, ".\\\" made from the program's table of commands\n.TH ");
    for (const char *p = name; *p; p++) str_addc(out, *p >= 'a' && *p <= 'z' ? *p - 32 : *p);
    str_addz(out, " 1 \"\" \"dewar " DEWAR_VERSION "\" \"dewar manual\"\n.SH NAME\n");
    add_roff(out, name);
    str_addz(out, " \\- ");
    add_roff(out, help);
    str_addc(out, '\n');
}

static void man_top(struct str *out)
{
    add_title(out, "dewar", "containers without a daemon");
    str_addz(out, ".SH SYNOPSIS\n\\fBdewar\\fR [\\fIOPTIONS\\fR] \\fICOMMAND\\fR\n.SH COMMANDS\n");
    for (size_t i = 0; cli_commands[i]; i++) {
        const struct cli_cmd *cmd = cli_commands[i];
        if (cmd->hidden) continue;
        own(str) struct str page = {0};
        cli_man_name(cmd, &page);
        str_addz(out, ".TP\n\\fB");
        add_roff(out, cli_short_name(cmd));
        str_addz(out, "\\fR\n");
        add_roff(out, cmd->help);
        str_addz(out, "; see \\fB");
        add_roff(out, str_z(&page));
        str_addz(out, "\\fR(1).\n");
    }
    str_addz(out, ".SH OPTIONS\n");
    add_options(out, &cli_global_options);
    str_addz(out, ".SH ENVIRONMENT\n.TP\n\\fBDEWAR_STORE\\fR\nFolder of images and layers.\n"
                  ".TP\n\\fBDEWAR_RUN\\fR\nFolder for what ends with the boot.\n"
                  ".TP\n\\fBBUILDKIT_PROGRESS\\fR\nKind of progress when \\-\\-progress is not given.\n"
                  ".TP\n\\fBNO_COLOR\\fR\nNo colours when set.\n"
                  ".TP\n\\fBSOURCE_DATE_EPOCH\\fR\nTime of builds, seconds since 1970.\n");
}

void cli_man_command(const struct cli_cmd *cmd, struct str *out)
{
    if (!cmd) {
        man_top(out);
        return;
    }
    own(str) struct str page = {0};
    cli_man_name(cmd, &page);
    add_title(out, str_z(&page), cmd->help);
    str_addz(out, ".SH SYNOPSIS\n");
    str_addz(out, "\\fBdewar ");
    add_roff(out, cli_short_name(cmd));
    str_addz(out, "\\fR [\\fIOPTIONS\\fR] ");
    add_roff(out, cmd->usage);
    str_addc(out, '\n');
    if (cmd->alias) {
        str_addz(out, ".PP\nAlso:");
        str_addz(out, " \\fBdewar ");
        add_roff(out, cmd->path);
        str_addz(out, "\\fR");
        for (size_t k = 0; cmd->alias[k]; k++) {
            str_addz(out, ", \\fBdewar ");
            add_roff(out, cmd->alias[k]);
            str_addz(out, "\\fR");
        }
        str_addc(out, '\n');
    }
    str_addz(out, ".SH DESCRIPTION\n");
    add_roff(out, cmd->help);
    str_addz(out, ".\n");
    struct sv rest = sv_of(cmd->more ? cmd->more : "");
    while (rest.n) {
        struct sv line = sv_cut(&rest, '\n');
        own(free) char *z = sv_dup(line);
        if (line.n) add_roff(out, z);
        str_addz(out, line.n ? "\n" : ".PP\n");
    }
    const struct opt_table table = {cmd->options, cmd->options_n};
    str_addz(out, ".SH OPTIONS\n");
    add_options(out, &table);
    add_options(out, &cli_common_options);
    str_addz(out, ".SH EXAMPLES\n.nf\n");
    add_roff(out, cmd->examples);
    str_addz(out, "\n.fi\n.SH EXIT STATUS\n");
    str_addz(out, cmd->family == CLI_RUN
                      ? "The program's own status; 125 when dewar itself failed, 126 when the "
                        "program cannot be executed, 127 when it is not there.\n"
                  : cmd->family == CLI_DOCKER ? "0, 1 on failure, 125 for a wrong command line.\n"
                                              : "0, 1 on failure, 2 for a wrong command line.\n");
    str_addz(out, ".SH SEE ALSO\n\\fBdewar\\fR(1)\n");
}
