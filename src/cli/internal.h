// SPDX-License-Identifier: Apache-2.0
// What the files of this room share: the table of commands, help, and the renderers.
#pragma once

#include "base/proc.h"
#include "base/vec.h"
#include "cli/cli.h"

// --- commands -----------------------------------------------------------------------------------
struct cli_group {
    const char *name;  // "image"
    const char *help;
    const char *use;  // the command that a bare `dewar GROUP` points people to, may be NULL
};
extern const struct cli_cmd *const cli_commands[];  // NULL-terminated, in the order of `help`
extern const struct cli_group cli_groups[];         // ends with a NULL name
extern const struct opt_table cli_global_options;   // before the command
extern const struct opt_table cli_common_options;   // after it

struct cli_globals {
    bool help, version, debug;
    int verbose, log_level;
    const char *store, *run_root;
};

// The command that argv begins with; *out_words is how many words name it. NULL when there is none.
const struct cli_cmd *cli_find(int argc, char *const *argv, int *out_words);
const struct cli_group *cli_find_group(const char *name);
// The nearest first word of any command: for "did you mean".
const char *cli_nearest(const char *word);
// The name people know best: the shortest of path and aliases.
const char *cli_short_name(const struct cli_cmd *cmd);
int cli_main(int argc, char **argv);
void cli_sink_plain(struct cli *c);  // warnings and remarks as plain lines

// --- help ---------------------------------------------------------------------------------------
void cli_help_top(const struct cli *c, unsigned width, struct str *out);
void cli_help_group(const struct cli *c, const struct cli_group *g, struct str *out);
void cli_help_command(const struct cli *c, const struct cli_cmd *cmd, unsigned width,
                      struct str *out);
void cli_help_usage(const struct cli *c, const struct cli_cmd *cmd, struct str *out);
void cli_man_command(const struct cli_cmd *cmd, struct str *out);  // roff; NULL: dewar(1)
void cli_man_name(const struct cli_cmd *cmd, struct str *out);     // "dewar-image-import"

// --- rendering ----------------------------------------------------------------------------------
// A renderer turns events into text for stderr and nothing else, so tests feed it events with
// times of their own. The terminal's one also draws a live part below what scrolled away.
#define CLI_TAIL 20  // lines of output kept per step, shown again when it fails

enum cli_step_state {
    CLI_STEP_RUNNING,
    CLI_STEP_DONE,
    CLI_STEP_CACHED,
    CLI_STEP_FAILED,
    CLI_STEP_CANCELED,
};
struct cli_step {
    uint64_t id;
    unsigned number;  // 1.. in order of start
    char *name;
    enum cli_step_state state;
    int64_t start_ns, end_ns;
    struct str partial;     // of its current output line
    char *tail[CLI_TAIL];   // ring of its last lines, cleaned for the terminal
    unsigned lines;         // ever
    uint64_t done, total;   // bytes
    int64_t progress_ns;    // when plain last said how far it is
    char phase[16];         // what it does now, where that is not plain from the bytes: "unpacking"
    char note[24];          // CACHED: in place of "cached"
    double rate;            // bytes a second, smoothed; 0: not known yet
    uint64_t rate_done;     // ... measured from here
    int64_t rate_ns;
};
struct cli_render {
    enum cli_progress kind;
    char *title;
    int64_t began_ns, last_ns;
    bool color, utf8;
    struct cli_step *p;
    size_t n, cap;
    unsigned finished, cached, failed;
    struct strv warnings;
    bool stale_warnings;  // something was printed after the last warning
    struct str out;       // what must be written to stderr now
    // plain
    uint64_t speaking;  // step number whose lines were printed last, 0: none
    // terminal
    VEC(size_t) drawn;  // width of each line of the live part
    unsigned frame, columns;
    uint64_t lent_to;   // unit whose program has the terminal now, 0: none
    struct proc proc;   // draws while we work, and outlives us to put the cursor back
    int pipe_fd;
};

void cli_render_init(struct cli_render *r, enum cli_progress kind, const char *title,
                     int64_t now_ns);
void cli_render_fini(struct cli_render *r);
// Bookkeeping that all share: find or add the step, count, keep its last lines. `line` (may be
// NULL) is called for each complete line of output.
struct cli_step *cli_render_note(struct cli_render *r, const struct event *ev,
                                 void (*line)(struct cli_render *, struct cli_step *, struct sv,
                                              int64_t now_ns));
// Output as it came to text for one line: colours and cursor moves dropped, tabs to blanks, what
// was overwritten by a carriage return left out, all else escaped.
void cli_render_clean(struct sv line, struct str *out);
void cli_render_tail(const struct cli_step *s, unsigned max, const char *before, struct str *out);
void cli_render_warnings(struct cli_render *r);  // once more, if something hid them
void cli_render_sum(const struct cli_render *r, bool ok, struct str *out);

void cli_plain_event(struct cli_render *r, const struct event *ev);
void cli_plain_end(struct cli_render *r, bool ok);
void cli_json_event(struct cli_render *r, const struct event *ev);
void cli_json_end(struct cli_render *r, bool ok);
void cli_quiet_event(struct cli_render *r, const struct event *ev);
void cli_quiet_end(struct cli_render *r, bool ok);
void cli_tty_event(struct cli_render *r, const struct event *ev);
void cli_tty_draw(struct cli_render *r, int64_t now_ns, unsigned columns, unsigned rows);
void cli_tty_end(struct cli_render *r, bool ok, unsigned columns);
// The terminal's drawing process.
int cli_tty_start(struct cli_render *r, struct err *e);
int cli_tty_send(struct cli_render *r, const struct event *ev);  // -1: it is gone
void cli_tty_stop(struct cli_render *r, bool ok);
