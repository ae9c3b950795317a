// SPDX-License-Identifier: Apache-2.0
// Everything from outside that the needed stages of a planned build name, found by walking their
// instructions for what they say about variables, without running a step.
#pragma once

#include "build/internal.h"

enum build_trace_kind {
    BUILD_TRACE_IMAGE,  // FROM, COPY --from, RUN --mount=from
    BUILD_TRACE_SOURCE, // ADD of a URL or a repository
};
struct build_trace_item {
    enum build_trace_kind kind;
    char *text;
    char *platform;               // FROM --platform, else NULL
    char *checksum;               // ADD --checksum, else NULL
    const struct build_instr *in; // where it stands
};
struct build_trace {
    VEC(struct build_trace_item) v;
};
int build_trace_walk(struct build_job *job, struct build_trace *out, struct err *e);
void build_trace_fini(struct build_trace *t);
static inline void own_build_trace(struct build_trace *t)
{
    build_trace_fini(t);
}
