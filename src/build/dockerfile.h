// SPDX-License-Identifier: Apache-2.0
// The Dockerfile as text: lines are joined, comments and parser directives taken out, each
// instruction is cut into flags and words (or its JSON form), heredoc bodies are collected. Nothing
// is expanded and no meaning is given here; build/instr.h does that, when the solver knows the
// environment. All texts of a `struct build_file` are owned by it.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"
#include "base/vec.h"

enum build_instr_id {
    BUILD_ADD,
    BUILD_ARG,
    BUILD_CMD,
    BUILD_COPY,
    BUILD_ENTRYPOINT,
    BUILD_ENV,
    BUILD_EXPOSE,
    BUILD_FROM,
    BUILD_HEALTHCHECK,
    BUILD_LABEL,
    BUILD_MAINTAINER,
    BUILD_ONBUILD,
    BUILD_RUN,
    BUILD_SHELL,
    BUILD_STOPSIGNAL,
    BUILD_USER,
    BUILD_VOLUME,
    BUILD_WORKDIR,
    BUILD_INSTR_COUNT,
};

// How the text after the flags is cut into words.
enum build_form {
    BUILD_FORM_WORDS,         // at blanks; quotes have no meaning
    BUILD_FORM_WORDS_OR_JSON,
    BUILD_FORM_REST,          // one word: all of it
    BUILD_FORM_REST_OR_JSON,
    BUILD_FORM_PAIRS,         // ENV and LABEL: k=v words with quotes kept, or the legacy `k rest`
    BUILD_FORM_QUOTED_WORDS,  // ARG: words with quotes kept
    BUILD_FORM_HEALTH,        // a first word, then REST_OR_JSON
    BUILD_FORM_SUB,           // ONBUILD: an instruction of its own
};

enum build_flag_kind {
    BUILD_FLAG_TEXT,  // --k=v, once
    BUILD_FLAG_LIST,  // --k=v, as often as wanted
    BUILD_FLAG_BOOL,  // --k or --k=true|false
};

struct build_flag_def {
    const char *name;  // without dashes; NULL ends the list
    enum build_flag_kind kind;
    bool expand;  // variables in the value are expanded (RUN --mount: all keys but `from`)
    const char *help;
};

// One row of the table of instructions (build/instr_table.c).
struct build_instr_def {
    enum build_instr_id id;
    const char *name;  // upper case
    enum build_form form;
    bool expand;    // variables in the words are expanded by the builder
    bool heredocs;  // << is looked for
    const struct build_flag_def *flags;  // never NULL
    const char *usage;
    const char *help;
};

const struct build_instr_def *build_instr_table_find(struct sv name);  // any case; NULL: unknown
const struct build_instr_def *build_instr_table_get(enum build_instr_id id);

struct build_flag {
    const struct build_flag_def *def;
    char *value;  // quotes removed; "true" or "false" for BOOL
    bool bare;    // BOOL without a value
};

struct build_heredoc {
    char *name;   // terminator, quotes removed
    char *body;   // as written, each line with its newline; `strip_tabs` is not yet applied
    size_t body_n;
    unsigned fd;  // 0 unless a number stood before <<
    bool expand;  // no part of the terminator was quoted
    bool strip_tabs;
};

struct build_instr {
    const struct build_instr_def *def;
    char *spelt;         // the keyword as written, for checks
    char *original;      // the whole joined line, keyword and flags included
    char *rest;          // the text behind keyword and flags
    VEC(struct build_flag) flags;  // in the order written
    struct strv words;   // PAIRS: key, value, key, value...; empty for BUILD_FORM_SUB
    bool json;           // words came from the JSON form
    bool legacy_pairs;   // PAIRS in the form `KEY rest of the line`
    VEC(struct build_heredoc) heredocs;
    struct build_instr *sub;  // ONBUILD's instruction, else NULL
    char *comment;       // comment lines directly above, joined by newlines; "" if none
    unsigned first_line, last_line;  // from 1; heredoc bodies included
    unsigned code_last_line;         // last line without the heredoc bodies
};

struct build_warning {
    unsigned line;
    const char *rule;  // name of a build check ("NoEmptyContinuation")
    char *text;
};

struct build_file {
    char *label;         // "Dockerfile", as shown in errors
    char escape;         // '\\' or '`'
    char *syntax;        // `# syntax=` value, NULL if none; accepted, never fetched or run
    char *check;         // `# check=` value, NULL if none
    unsigned check_line;
    struct strv lines;   // the file's lines without line ends, for excerpts
    VEC(struct build_instr) instrs;
    VEC(struct build_warning) warnings;
};

// `text` is at most LIMIT_DOCKERFILE bytes. On failure ERR_INPUT with a frame `label:line: ...`
// and, for common slips, a hint. *out must be zeroed; on failure it holds what could be
// read, to explain the failure with.
int build_dockerfile_parse(struct sv text, const char *label, struct build_file *out,
                           struct err *e);
// One instruction from text without a file: ONBUILD triggers of an image. Heredoc bodies follow in
// the text. `line` is what errors and the result's lines say.
int build_dockerfile_parse_one(struct sv text, char escape, const char *label, unsigned line,
                               struct build_instr *out, struct err *e);
// The first FROM stands before everything but ARG: for builds; a dump does without.
int build_dockerfile_check_order(const struct build_file *f, struct err *e);
void build_instr_fini(struct build_instr *in);
void build_dockerfile_fini(struct build_file *f);
static inline void own_build_file(struct build_file *f)
{
    build_dockerfile_fini(f);
}
static inline void own_build_instr(struct build_instr *in)
{
    build_instr_fini(in);
}
const char *build_instr_flag(const struct build_instr *in, const char *name);  // NULL: not given
// The Dockerfile's lines around first..last with numbers and a mark. `message`, if any, adds a caret
// under what it quotes first, or under the instruction's name.
void build_dockerfile_excerpt(const struct build_file *f, unsigned first, unsigned last,
                              const char *message, struct str *out);
// That of an error with a frame `label:line: ...`, the innermost; nothing where it has none.
void build_dockerfile_explain(const struct build_file *f, const struct err *e, struct str *out);
// The parsed file as a JSON array: what tests/tools/dockerfile-dump prints.
void build_dockerfile_dump(const struct build_file *f, struct str *out);
