// SPDX-License-Identifier: Apache-2.0
// Build checks: known slips that are no errors. `# check=skip=RuleA,RuleB;error=true` in the
// Dockerfile switches rules off and turns findings into a failure. Names of rules are those that
// people know from Docker.
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "base/vec.h"
#include "build/dockerfile.h"
#include "build/ignore.h"

struct build_check_finding {
    const char *rule;
    unsigned first_line, last_line;
    char *message;
};
struct build_check_list {
    VEC(struct build_check_finding) v;  // in the order of lines
    bool is_error;                      // error=true and something was found
};
struct build_check_options {
    const struct build_ignore *ignore;  // the context's .dockerignore; NULL: CopyIgnoredFile is off
    const struct strv *build_args;      // "K=V" or "K"
    // The environment of an image that is not a stage ("K=V" each). False when it is not known:
    // then only variables that look misspelt are reported. May be NULL.
    bool (*image_env)(void *arg, const char *image, struct strv *out);
    void *arg;
};

// Fails only when the check directive is malformed.
int build_check_run(const struct build_file *f, const struct build_check_options *opt,
                    struct build_check_list *out, struct err *e);
void build_check_list_fini(struct build_check_list *l);
// What `--call=check` prints: a count, then each finding with the lines it is about.
void build_check_print(const struct build_file *f, const struct build_check_list *l, bool json,
                       struct str *out);
// Names and one-line descriptions of all rules, ending with NULL, for documentation.
struct build_check_rule {
    const char *name;
    const char *text;
    bool experimental;  // off unless # check=experimental=NAME or all
};
extern const struct build_check_rule build_check_rules[];
