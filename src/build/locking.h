// SPDX-License-Identifier: Apache-2.0
// The verb `lock`: finds out what a build takes from outside and writes dewar.lock.
#pragma once

#include "build/build.h"

enum build_locking_change {
    BUILD_LOCKING_KEPT,
    BUILD_LOCKING_ADDED,
    BUILD_LOCKING_CHANGED,
    BUILD_LOCKING_DROPPED, // nothing names it any more
    BUILD_LOCKING_CHANGE_COUNT,
};
const char *build_locking_change_name(enum build_locking_change c);

struct build_locking_row {
    enum build_locking_change change;
    const char *kind; // "image", "url", "git"
    char *name;
    char *was, *is; // digest or commit; NULL: none
};
struct build_locking {
    char *path;
    VEC(struct build_locking_row) rows;
    struct oci_digest image; // of `build`; else unset
};
struct build_locking_options {
    const struct build_options *build;
    const struct strv *update; // names to ask again; "all"
    bool record;               // build it, and note the image ID
};
// What is in the lock already is kept and not asked for, except what `update` names.
int build_locking_run(struct engine *en, const struct build_locking_options *opt,
                      struct build_result *result, struct build_locking *out, struct err *e);
void build_locking_fini(struct build_locking *l);
