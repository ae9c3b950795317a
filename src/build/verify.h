// SPDX-License-Identifier: Apache-2.0
// The verb `verify`: is everything that a lock names still what and where it was, does the lock fit
// the Dockerfile, and does a rebuild give the recorded image.
#pragma once

#include "build/build.h"

enum build_verify_status {
    BUILD_VERIFY_SAME,
    BUILD_VERIFY_MOVED,       // the name stands for something else now
    BUILD_VERIFY_GONE,        // not there any more
    BUILD_VERIFY_UNREACHABLE, // could not be asked
    BUILD_VERIFY_UNLOCKED,    // the Dockerfile names it, the lock does not
    BUILD_VERIFY_UNUSED,      // the lock has it, the Dockerfile does not name it: no fault
    BUILD_VERIFY_DIFFERS,     // the rebuild gave another image
    BUILD_VERIFY_STATUS_COUNT,
};
const char *build_verify_status_name(enum build_verify_status s);

struct build_verify_row {
    enum build_verify_status status;
    const char *kind; // "git", "image", "url", "result"
    char *name;
    char *locked, *now; // digest or commit; NULL: none, not known
    char *detail;       // a sentence; NULL
};
struct build_verify {
    VEC(struct build_verify_row) rows;
    struct str report; // of a rebuild that differs: file by file
};
struct build_verify_options {
    const struct build_options *build;
    bool rebuild;
};
// 0: all is the same (or unused), 1: something is not.
int build_verify_run(struct engine *en, const struct build_verify_options *opt,
                     struct build_result *result, struct build_verify *out, struct err *e);
void build_verify_fini(struct build_verify *v);
