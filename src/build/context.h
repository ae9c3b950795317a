// SPDX-License-Identifier: Apache-2.0
// Where a build's files come from: the folder on the command line, a tar on stdin, a git repository,
// an archive behind a URL, or what is given with --build-context; plus the Dockerfile's own bytes,
// which may come from stdin or lie outside.
#pragma once

#include "base/engine.h"
#include "build/build.h"
#include "build/ignore.h"
#include "build/tree.h"

struct build_context {
    char *name;      // "" for the main one
    char *image;     // --build-context name=docker-image://REF: an image, not files; else NULL
    struct build_tree tree;
    struct build_ignore ignore;
    char *ignore_label;  // ".dockerignore", NULL when there is none
    bool scanned;
    bool fetched;      // the files are a copy of ours, in the job's temporary folder
    int64_t commit_time; // of a git context, seconds; 0: not one
};

// Opens what job->opt names: folder, stdin, something remote, or nothing (a Dockerfile on stdin: an
// empty context). *out_file gets the Dockerfile's text and *out_label its name for messages.
struct build_job;
int build_context_open_main(struct build_job *job, struct build_context *out, struct str *out_file,
                            char **out_label, struct err *e);
int build_context_open_named(struct build_job *job, const char *text, struct build_context *out,
                             struct err *e);
// Of all files that the main context gives a build; unset when the build takes nothing from it (it
// was not scanned).
struct oci_digest;
int build_context_digest(struct build_job *job, struct oci_digest *out, struct err *e);
int build_context_scan(struct engine *en, struct build_context *c, struct err *e);  // once
void build_context_close(struct engine *en, struct build_context *c);
