// SPDX-License-Identifier: Apache-2.0
// dockerfile-check [--json] [--ignore FILE] [--outline | --targets] FILE: what --call prints, from
// the file alone.
#include <stdio.h>

#include "base/own.h"
#include "build/check.h"
#include "build/outline.h"
#include "tool.h"

struct setup {
    const char *file, *ignore;
    bool json, outline, targets;
};

static bool read_args(int argc, char **argv, struct setup *s)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) s->json = true;
        else if (strcmp(argv[i], "--outline") == 0) s->outline = true;
        else if (strcmp(argv[i], "--targets") == 0) s->targets = true;
        else if (strcmp(argv[i], "--ignore") == 0 && i + 1 < argc) s->ignore = argv[++i];
        else s->file = argv[i];
    }
    return s->file != NULL;
}

static int check(const struct setup *s, const struct build_file *f, struct str *out, struct err *e)
{
    own(build_ignore) struct build_ignore ig = {0};
    own(str) struct str text = {0};
    struct build_check_options opt = {0};
    struct build_check_list found = {0};
    if (s->ignore) {
        if (tool_read_file(s->ignore, &text) < 0) return -1;
        if (build_ignore_parse(str_sv(&text), s->ignore, &ig, e) < 0) return -1;
        opt.ignore = &ig;
    }
    if (build_check_run(f, &opt, &found, e) < 0) return -1;
    build_check_print(f, &found, s->json, out);
    int status = found.is_error ? 1 : 0;
    build_check_list_fini(&found);
    return status;
}

int main(int argc, char **argv)
{
    struct setup s = {0};
    struct err e = {0};
    own(str) struct str text = {0};
    own(str) struct str out = {0};
    own(build_file) struct build_file f = {0};
    if (!read_args(argc, argv, &s)) {
        fprintf(stderr,
                "usage: dockerfile-check [--json] [--ignore FILE] [--outline | --targets] FILE\n");
        return 2;
    }
    if (tool_read_file(s.file, &text) < 0) return 1;
    if (build_dockerfile_parse(str_sv(&text), "Dockerfile", &f, &e) < 0) return tool_fail(&e);
    int rc = s.outline   ? build_outline_print(&f, NULL, s.json, &out, &e)
             : s.targets ? build_outline_print_targets(&f, s.json, &out, &e)
                         : check(&s, &f, &out, &e);
    if (rc < 0) return tool_fail(&e);
    fputs(str_z(&out), stdout);
    return rc;
}
