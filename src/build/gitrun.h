// SPDX-License-Identifier: Apache-2.0
// Runs the program git so that nothing but its arguments steers it: no configuration of the person
// or the system, no hooks, no prompts, no helpers, only the ways that are named, no redirects, and
// an end when nothing moves any more. What a repository says about itself is never executed.
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "build/remote.h"

struct build_gitrun {
    const char *git_dir;   // absolute; NULL: none
    const char *work_tree; // absolute; NULL: none
    const char *index;     // a file for the index; NULL: git's own place
    int keep_fd;           // stays open in git and its children (a lock); 0: none
    // Where git may go: NULL is nowhere (only files of git_dir).
    const struct build_remote *remote;
    bool between_ours;           // instead: from one of our own folders to another
    const char *agent;           // socket of an ssh agent; NULL: git over ssh is not possible
    const struct secret *header; // an HTTP header for the remote's own host; may be NULL
    bool *moved;                 // set when the server sent us elsewhere; may be NULL
    size_t max;                  // bytes of output; 0: 1 MiB
    // Called while objects come; may be NULL. total is an estimate by the number of objects.
    void (*progress)(void *arg, uint64_t done, uint64_t total);
    void *arg;
};
// Reads "Receiving objects:  45% (450/1000), 1.20 MiB | 2.00 MiB/s". false: something else, or git
// has not said how many bytes came.
bool build_gitrun_progress(struct sv line, uint64_t *done, uint64_t *total);
// `args` begins behind "git" and ends with NULL. Output goes to *out (may be NULL). What git said
// when it failed is the cause; ERR_NOT_FOUND when the other side has no such repository.
int build_gitrun(const struct build_gitrun *g, const char *const *args, struct str *out,
                 struct err *e);
