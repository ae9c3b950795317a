// SPDX-License-Identifier: Apache-2.0
// Reading whole files and printing errors, for programs that are not part of the product.
#include "tool.h"

#include <stdio.h>

#include "base/own.h"

int tool_read_file(const char *path, struct str *out)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rbe");
    char buf[65536];
    if (!f) {
        fprintf(stderr, "error: cannot open '%s'\n", path);
        return -1;
    }
    for (size_t n; (n = fread(buf, 1, sizeof buf, f)) > 0;)
        str_add(out, (struct sv){buf, n});
    if (f != stdin) fclose(f);
    return out->overflow ? -1 : 0;
}

int tool_fail(const struct err *e)
{
    own(str) struct str s = {0};
    err_print(e, &s);
    fputs(str_z(&s), stderr);
    return 1;
}

void tool_one_line(const struct err *e, struct str *out)
{
    for (unsigned i = 0; i < e->frames; i++) {
        if (i) str_addz(out, ": ");
        str_add_escaped(out, sv_of(err_frame(e, i)));
    }
}
