// SPDX-License-Identifier: Apache-2.0
// The face on the command line. A command is one `const struct cli_cmd` in a file cli/cmd_x.c and
// one row in cli/table.c; help, completion and manual pages are made from it. A command fills its
// verb's options from its own options struct, calls the verb, and prints; it decides nothing.
//
// stdout is the result: commands write to c->out and main writes it out (or cli_flush, early).
// stderr is talk: events, rendered by what cli_render_begin chose, and at the end the error.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/engine.h"
#include "base/err.h"
#include "base/event.h"
#include "base/opt.h"
#include "base/str.h"

// Which exit codes a command uses. Docker's verbs: 125 for a wrong flag, 1 for too many or too few
// words, and for what the engine refuses 125 of run-like commands and 1 of others; verbs of our own:
// 2 for usage.
enum cli_family {
    CLI_RUN,     // docker run, exec: flags and engine errors 125, not executable 126, no program 127
    CLI_DOCKER,  // docker's other verbs: flags 125, all else 1
    CLI_OWN,     // ours: usage 2, all else 1
    CLI_FAMILY_COUNT,
};

// What a command's words are, for shell completion.
enum cli_words {
    CLI_WORDS_NONE,
    CLI_WORDS_FILES,
    CLI_WORDS_IMAGES,    // every word names an image
    CLI_WORDS_IMAGE,     // the first one does
    CLI_WORDS_CONTAINERS,
    CLI_WORDS_VOLUMES,
    CLI_WORDS_COMMANDS,  // of dewar itself
};

struct cli {
    const struct cli_cmd *cmd;
    const char *program;           // how we were called, for usage lines: "dewar" or "docker"
    struct engine_options engine;  // --store, --run-root
    struct event_sink sink;        // where events go; plain lines until cli_render_begin
    struct str out;                // the result
    int argc;                      // words after the options
    char **argv;
    char **own_argv;               // as the program was called
    bool color;                    // stderr is a terminal that takes colours
    bool out_tty, err_tty;
    int failure;                   // exit status of an error where the command's own is another
    bool debug;                    // -D
    bool reader_gone;              // stdout's other end was closed: what is left to say is dropped
    struct cli_render *render;     // NULL unless begun
};

struct cli_cmd {
    const char *path;           // "image import"; a group is "image" with no run function
    const char *const *alias;   // other full names, NULL-terminated ("build", "buildx build"); or NULL
    const char *usage;          // words after the options: "IMAGE [COMMAND] [ARG...]"
    const char *help;           // one line, capital first, no full stop
    const char *more;           // paragraphs for --help and the manual, may be NULL
    const char *examples;       // "command\n    what it does\n" lines, shown as they are; never NULL
    const struct opt *options;  // NULL: none
    size_t options_n;
    size_t options_size;        // of the struct that the rows fill
    int min_words, max_words;   // -1: any number
    enum cli_family family;
    enum cli_words words;
    bool stop_at_word;          // options end at the first word
    bool hidden;
    bool layers;                // reads or writes whole layers (cli_as_layers)
    // Returns the exit status 0..255, or -1 with *e.
    int (*run)(struct cli *c, const void *options, struct err *e);
};

#define CLI_OPTIONS(rows, type) \
    .options = (rows), .options_n = sizeof(rows) / sizeof((rows)[0]), .options_size = sizeof(type)

// Opens the engine with --store and --run-root, its events going to c->sink at that moment (so
// begin rendering first).
int cli_engine(struct cli *c, struct engine *en, struct err *e);
// Writes c->out to stdout and empties it. An error when stdout is closed or full; a reader that
// went away (EPIPE) ends the program quietly.
int cli_flush(struct cli *c, struct err *e);

// --- progress --------------------------------------------------------------------------------
enum cli_progress {
    CLI_PROGRESS_AUTO,  // tty when stderr is a terminal, else plain
    CLI_PROGRESS_PLAIN,
    CLI_PROGRESS_TTY,
    CLI_PROGRESS_RAWJSON,
    CLI_PROGRESS_QUIET,  // warnings and failures only
    CLI_PROGRESS_COUNT,
};
extern const char *const cli_progress_choices[];  // for OPT_ENUM rows
// One row for a command's table (the member is an int):
// {.name = "progress", CLI_OPT_PROGRESS(struct x, progress)}.
#define CLI_OPT_PROGRESS(struct_type, member)                                    \
    .type = OPT_ENUM, .offset = OPT_AT(struct_type, member), .arg = "KIND",      \
    .choices = cli_progress_choices, .help = "How to show progress on stderr"

// The same for talk with registries: {.name = "tls-verify", CLI_OPT_TLS(struct x, tls_verify)}.
#define CLI_OPT_TLS(struct_type, member)                                          \
    .type = OPT_BOOL, .offset = OPT_AT(struct_type, member), .initial = "true",  \
    .help = "Ask registries for https and a certificate that is known"

// From here on events of c->sink are rendered this way. `title` names the work ("Building digits").
int cli_render_begin(struct cli *c, enum cli_progress kind, const char *title, struct err *e);
// Ends it: last state of every step, summary line, warnings once more; restores the cursor. `ok`
// tells success. main calls it when the command did not. No-op when nothing was begun.
void cli_render_end(struct cli *c, bool ok);
bool cli_render_is_json(const struct cli *c);  // between the two: one object a line

// --- pieces for commands -----------------------------------------------------------------------
// A listing printed by --format: NULL or "" is the default table; "json"; "table ..."; a template.
// `rows` is an array of objects. `columns` (NULL-terminated pairs heading, key) make the default
// table and the headings of "table {{.Key}}".
struct codec_json;
struct cli_column {
    const char *heading;  // "IMAGE ID"
    const char *key;      // "ID"
    bool optional;        // only in "table" templates, not in the default table
};
int cli_print_rows(struct cli *c, const struct codec_json *rows, const struct cli_column *columns,
                   const char *format, struct err *e);
// The same for rows that are made one at a time, each in the memory of the one before, and freed
// here. The column of the key `also` (or NULL) is shown although it is optional.
struct cli_rows {
    size_t n;
    struct codec_json *(*make)(void *from, size_t i);
    void *from;
};
int cli_print_made(struct cli *c, const struct cli_rows *rows, const struct cli_column *columns,
                   const char *also, const char *format, struct err *e);
// The row of --format for a command's table: {.name = "format", CLI_OPT_FORMAT(struct x, format)}.
#define CLI_OPT_FORMAT(struct_type, member)                                     \
    .type = OPT_TEXT, .offset = OPT_AT(struct_type, member), .arg = "TEMPLATE", \
    .help = "A Go template, 'json', or 'table TEMPLATE'"
// What a prune says: "Deleted Volumes:" and the names, nothing where there are none; how much it was.
void cli_print_deleted(struct cli *c, const char *what, const struct strv *names);
void cli_print_freed(struct cli *c, uint64_t bytes);
// inspect: without a format the array, indented; "json" compact; else the template per element.
int cli_print_values(struct cli *c, const struct codec_json *array, const char *format,
                     struct err *e);
// An error of one of several things, shown now while the command goes on with the others.
void cli_print_error(const struct cli *c, const struct err *e);
// Texts that listings share, as Docker writes them. `seconds` INT64_MIN is "N/A".
void cli_add_since(int64_t seconds, struct str *out);  // "3 weeks ago"
void cli_add_time(int64_t seconds, struct str *out);   // "2023-06-10 00:00:00 +0000 UTC"
#define CLI_SHORT_ID 12
// Asks "WARNING! ... Are you sure you want to continue? [y/N] " on the terminal; 1 yes, 0 no.
int cli_confirm(struct cli *c, const char *question, struct err *e);
// Asks on the terminal (the question on stderr, the answer from stdin) for one line. `hidden`: it is
// not shown while it is typed, and the terminal is put right whatever ends us, short of SIGKILL.
int cli_ask(const char *prompt, bool hidden, struct secret *out, struct err *e);
