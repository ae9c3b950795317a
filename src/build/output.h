// SPDX-License-Identifier: Apache-2.0
// What --output says: "type=local,dest=FOLDER", "-", a bare folder, or BuildKit's
// "type=image,name=NAME,push=true" and "type=registry". With -t and --push it makes up where the
// result of a build goes.
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/vec.h"
#include "build/build.h"

enum build_output_type {
    BUILD_OUTPUT_IMAGE,
    BUILD_OUTPUT_LOCAL,
    BUILD_OUTPUT_TAR,
    BUILD_OUTPUT_OCI,
    BUILD_OUTPUT_DOCKER,
    BUILD_OUTPUT_REGISTRY, // read as IMAGE with push=true
    BUILD_OUTPUT_TYPE_COUNT,
};
const char *build_output_type_name(enum build_output_type t); // "image", ...

struct build_output {
    const char *text; // borrowed: the whole flag, for errors
    enum build_output_type type;
    char *dest;        // NULL: none; "-": stdout
    bool is_dir;       // oci with tar=false
    struct strv names; // of name=
    int push;          // -1: not said
    bool insecure;
    const char *compression; // "gzip", "zstd"; NULL: not said
    int level;
};
// `text` outlives *out. Errors are for a person (ERR_USAGE).
int build_output_parse(const char *text, struct build_output *out, struct err *e);
void build_output_fini(struct build_output *o);
static inline void own_build_output(struct build_output *o)
{
    build_output_fini(o);
}

struct build_outputs {
    VEC(struct build_output) v;
    struct strv names; // of the image: -t, then name=
    bool push;         // each of them
    bool files_only;   // no image is asked for
    bool to_stdout;    // something is written there
    // For pushing.
    bool insecure;
    const char *compression;
    int level;
};
// All of a build's flags, checked against each other.
int build_outputs_read(const struct build_options *opt, struct build_outputs *out, struct err *e);
void build_outputs_fini(struct build_outputs *o);
static inline void own_build_outputs(struct build_outputs *o)
{
    build_outputs_fini(o);
}
