// SPDX-License-Identifier: Apache-2.0
// dockerfile-dump FILE: the parsed Dockerfile as a JSON array on stdout, or the error on stderr and
// exit status 1. One object an instruction: instruction, flags, words or json, heredocs (body as
// written), first_line, last_line. ENV and LABEL words are k=v, a legacy pair is two words;
// HEALTHCHECK has both words (its kind) and json; ONBUILD has its text and, as sub, its
// instruction.
// --build also wants the first FROM in its place. FILE may be "-".
#include <stdio.h>

#include "base/own.h"
#include "build/dockerfile.h"
#include "tool.h"

int main(int argc, char **argv)
{
    struct err e = {0};
    own(str) struct str text = {0};
    own(str) struct str out = {0};
    own(build_file) struct build_file f = {0};
    bool whole = argc == 3 && strcmp(argv[1], "--build") == 0;
    if (argc != 2 && !whole) {
        fprintf(stderr, "usage: dockerfile-dump [--build] FILE\n");
        return 2;
    }
    const char *path = argv[argc - 1], *slash = strrchr(path, '/');
    const char *label = strcmp(path, "-") == 0 ? "Dockerfile" : slash ? slash + 1 : path;
    if (tool_read_file(path, &text) < 0) return 1;
    if (build_dockerfile_parse(str_sv(&text), label, &f, &e) < 0) return tool_fail(&e);
    if (whole && build_dockerfile_check_order(&f, &e) < 0) return tool_fail(&e);
    build_dockerfile_dump(&f, &out);
    printf("%s\n", str_z(&out));
    vec_each(w, &f.warnings) fprintf(stderr, "warning: line %u: %s\n", w->line, w->text);
    return 0;
}
