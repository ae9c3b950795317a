// SPDX-License-Identifier: Apache-2.0
// Where a build's files come from: the folder on the command line, a tar on stdin, or a folder given
// with --build-context; plus the Dockerfile's own bytes, which may come from stdin or lie outside.
#pragma once

#include "base/engine.h"
#include "build/build.h"
#include "build/ignore.h"
#include "build/tree.h"
#include "store/tmp.h"

struct build_context {
    char *name;      // "" for the main one
    char *image;     // --build-context name=docker-image://REF: an image, not files; else NULL
    struct build_tree tree;
    struct build_ignore ignore;
    char *ignore_label;  // ".dockerignore", NULL when there is none
    bool scanned;
};

// Opens folder, stdin or nothing (a Dockerfile on stdin: an empty context). *out_file gets the
// Dockerfile's text and *out_label its name for messages.
int build_context_open_main(struct engine *en, const struct build_options *opt,
                            struct store_tmp *tmp, struct build_context *out,
                            struct str *out_file, char **out_label, struct err *e);
int build_context_open_named(struct engine *en, const char *text, struct build_context *out,
                             struct err *e);
int build_context_scan(struct engine *en, struct build_context *c, struct err *e);  // once
void build_context_close(struct engine *en, struct build_context *c);
