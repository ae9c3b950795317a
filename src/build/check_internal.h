// SPDX-License-Identifier: Apache-2.0
// Only for the build checks: what a rule sees at one instruction.
#pragma once

#include "base/map.h"
#include "build/check.h"
#include "build/instr.h"

// What one stage knows; a stage built on it begins with a copy.
struct build_check_stage {
    char *name;        // NULL if none
    struct map vars;   // name -> value (heap); NULL value: declared, value not known
    bool env_known;    // the base image's environment is part of vars
    bool absolute;     // an absolute WORKDIR was seen
    bool shell;        // SHELL was used
};
struct build_check {
    const struct build_file *f;
    const struct build_check_options *opt;
    struct build_check_list *out;
    struct strv skip, experimental;
    bool skip_all, experimental_all;
    struct map globals;           // like vars, for FROM
    struct map defaults;          // globals without build arguments
    VEC(struct build_check_stage) stages;
    const struct build_instr *last[BUILD_INSTR_COUNT];  // in this stage
};

void build_check_report(struct build_check *c, const char *rule, const struct build_instr *in,
                        const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static inline struct build_check_stage *build_check_now(struct build_check *c)
{
    return c->stages.n ? &c->stages.p[c->stages.n - 1] : NULL;
}
// Before the instruction takes effect on the stage's variables.
void build_check_instr(struct build_check *c, const struct build_instr *in);
void build_check_file(struct build_check *c);

// Variables (check_scope.c)
void build_check_scope_init(struct build_check *c);
void build_check_scope_apply(struct build_check *c, const struct build_instr *in);
void build_check_scope_from(struct build_check *c, const struct build_instr *in, const char *image,
                            const char *name);
void build_check_scope_vars(struct build_check *c, const struct build_instr *in);
void build_check_stage_fini(struct build_check_stage *s);
const char *build_check_scope_get(void *map, const char *name);  // for build_expand: unset is NULL
const char *build_check_scope_near(const struct map *vars, const char *name);  // did you mean
