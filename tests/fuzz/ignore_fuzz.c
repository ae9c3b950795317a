// SPDX-License-Identifier: Apache-2.0
// A .dockerignore, a NUL, and paths one a line. Pruning must be sound: below a folder that a walker
// may skip, nothing is kept.
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/own.h"
#include "build/glob.h"
#include "build/ignore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(const struct build_ignore *ig, struct sv path)
{
    own(free) char *p = sv_dup(path);
    if (build_ignore_match(ig, p, NULL)) return;
    for (char *slash = p; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        assert(!*p || !build_ignore_match(ig, p, NULL) || build_ignore_may_keep(ig, p));
        *slash = '/';
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    own(build_ignore) struct build_ignore ig = {0};
    struct sv paths = {(const char *)data, size};
    struct sv file = sv_cut(&paths, '\0');
    if (size > 4096 || build_ignore_parse(file, "f", &ig, &e) < 0) return 0;
    while (paths.p) {
        struct sv path = sv_cut(&paths, '\n');
        if (path.n == 0 || path.p[0] == '/' || path.p[path.n - 1] == '/') continue;
        check_path(&ig, path);
        build_glob_match(file, path);
        if (build_glob_match_deep(file, path)) assert(build_glob_check(file, &e) == 0);
    }
    return 0;
}
