// SPDX-License-Identifier: Apache-2.0
// ignore FILE: reads paths (relative to the context) from stdin and prints "kept PATH" or
// "ignored PATH" by the .dockerignore FILE; exit status 1 and the error when FILE is malformed.
#include <stdio.h>

#include "base/own.h"
#include "build/ignore.h"
#include "build/path.h"
#include "tool.h"

int main(int argc, char **argv)
{
    struct err e = {0};
    own(str) struct str text = {0};
    own(str) struct str paths = {0};
    own(build_ignore) struct build_ignore ig = {0};
    if (argc != 2) {
        fprintf(stderr, "usage: ignore FILE <PATHS\n");
        return 2;
    }
    if (tool_read_file(argv[1], &text) < 0) return 1;
    if (build_ignore_parse(str_sv(&text), argv[1], &ig, &e) < 0) return tool_fail(&e);
    if (tool_read_file("-", &paths) < 0) return 1;
    struct sv rest = str_sv(&paths);
    while (rest.n > 0) {
        struct sv line = sv_cut(&rest, '\n');
        own(free) char *clean = build_path_join("/", line);
        bool ignored = clean[1] && build_ignore_match(&ig, clean + 1, NULL);
        printf("%s %.*s\n", ignored ? "ignored" : "kept", (int)line.n, line.p);
        if (!rest.p) break;
    }
    return 0;
}
