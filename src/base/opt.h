// SPDX-License-Identifier: Apache-2.0
// Command line options by table: one row an option, read the way people know it from Docker's
// commands. `--name=value`, `--name value`, bundled letters (`-ti`), `-vSRC:DST`, `-v SRC:DST`,
// `-v=SRC:DST`, `--flag=false` for switches, `--` ends the options. Help, manual pages and shell
// completion are made from the same rows.
//
// The result is a struct of the caller's that starts zeroed; each row says where its value goes.
// Texts point into argv and live as long as it does; lists are owned (opt_fini).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "base/vec.h"

enum opt_type {
    OPT_BOOL,      // bool: --rm, --rm=false
    OPT_COUNT,     // int: each use adds one (-vv)
    OPT_TEXT,      // const char *: the last one wins
    OPT_LIST,      // struct strv: each use adds one
    OPT_INT,       // int64_t
    OPT_UINT,      // uint64_t
    OPT_REAL,      // double: --cpus 1.5
    OPT_SIZE,      // uint64_t bytes: 64m, 1.5g
    OPT_DURATION,  // int64_t nanoseconds: 1m30s
    OPT_ENUM,      // int: index into `choices`
    OPT_TYPE_COUNT,
};

struct opt {
    const char *name;  // long name without dashes, never NULL
    char letter;       // 0: none
    enum opt_type type;
    size_t offset;     // of the value in the options struct
    size_t given;      // of a bool that says "was on the command line"; 0: not wanted
    const char *arg;   // what help calls the value: "KEY=VALUE"; NULL: named after the type
    const char *help;  // one sentence without a full stop
    const char *initial;         // value when the option is absent, as text; NULL: zero
    const char *implied;         // value of a bare `--name`; then `--name value` is not read
    const char *const *choices;  // ENUM: NULL-terminated. Other types: offered by completion only
    bool hidden;  // accepted, not shown: other spellings of another row
    bool once;    // a second use is an error
};

#define OPT_AT(type, member) offsetof(type, member)

struct opt_table {
    const struct opt *rows;
    size_t n;
};

struct opt_rules {
    bool stop_at_word;  // the first word that is no option ends the options (`run IMAGE ARGS`)
};

// Reads argv[0..argc) (without the program's name) through `tables` (several are searched in order,
// with one struct each). Words that are no options go to out_words, borrowed; with stop_at_word all
// that follows the first one. ERR_USAGE with a did-you-mean hint for an unknown option.
struct opt_words {
    char **p;
    size_t n;
    size_t cap;
};
struct opt_target {
    struct opt_table table;
    void *into;
};
int opt_parse(const struct opt_target *targets, size_t n, struct opt_rules rules, int argc,
              char *const *argv, struct opt_words *out_words, struct err *e);
// Only the `initial` values: for tests and for callers that fill the struct themselves.
int opt_defaults(const struct opt_table *table, void *into, struct err *e);
void opt_fini(const struct opt_table *table, void *into);  // frees lists

static inline void opt_words_fini(struct opt_words *w)
{
    vec_fini(w);
}
static inline void own_opt_words(struct opt_words *w)
{
    opt_words_fini(w);
}

// Help lines: "  -t, --tag NAME[:TAG]   Name of the image", wrapped at `width` columns.
void opt_print_help(const struct opt_table *table, unsigned width, struct str *out);
// "NAME[:TAG]" or the type's own word; NULL when the option takes no value.
const char *opt_arg_name(const struct opt *o);
bool opt_takes_value(const struct opt *o);
const char *opt_type_name(enum opt_type type);
// The entry of `names` (NULL-terminated) nearest to `word`, NULL when none is near enough.
const char *opt_nearest(const char *word, const char *const *names);
// Distance in edits (insert, delete, replace, swap of neighbours), at most 9.
unsigned opt_distance(const char *a, const char *b);
