// SPDX-License-Identifier: Apache-2.0
// Any bytes as a Dockerfile: read, typed, printed. What is promised: no crash, an error is filled,
// and lines stay in the file.
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/own.h"
#include "build/check.h"
#include "build/instr.h"
#include "build/outline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *get(void *arg, const char *name)
{
    (void)arg;
    return name[0] == 'a' ? "value with \"blanks'" : NULL;
}

static int type(const struct build_instr *in, const struct build_expand *x, struct err *e)
{
    own(strv) struct strv list = {0};
    own(free) char *text = NULL;
    struct build_from from = {0};
    struct build_run run = {0};
    struct build_copy copy = {0};
    struct build_pairs pairs = {0};
    struct build_command command = {0};
    struct oci_health health = {0};
    int rc = 0;
    switch (in->def->id) {
    case BUILD_FROM:
        rc = build_instr_from(in, x, &from, e);
        build_from_fini(&from);
        break;
    case BUILD_RUN:
        rc = build_instr_run(in, x, &run, e);
        build_run_fini(&run);
        break;
    case BUILD_COPY:
    case BUILD_ADD:
        rc = build_instr_copy(in, x, &copy, e);
        build_copy_fini(&copy);
        break;
    case BUILD_ENV:
    case BUILD_LABEL:
    case BUILD_ARG:
        rc = build_instr_pairs(in, x, &pairs, e);
        build_pairs_fini(&pairs);
        break;
    case BUILD_EXPOSE: rc = build_instr_expose(in, x, &list, e); break;
    case BUILD_VOLUME: rc = build_instr_volume(in, x, &list, e); break;
    case BUILD_USER:
    case BUILD_WORKDIR:
    case BUILD_STOPSIGNAL:
    case BUILD_MAINTAINER: rc = build_instr_text(in, x, &text, e); break;
    case BUILD_HEALTHCHECK:
        rc = build_instr_health(in, &health, e);
        strv_fini(&health.test);
        break;
    case BUILD_CMD:
    case BUILD_ENTRYPOINT:
    case BUILD_SHELL:
        rc = build_instr_command(in, &command, e);
        build_command_fini(&command);
        break;
    case BUILD_ONBUILD: rc = build_instr_onbuild(in, &text, e); break;
    case BUILD_INSTR_COUNT: break;
    }
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    own(build_file) struct build_file f = {0};
    own(str) struct str out = {0};
    struct build_expand x = {.get = get};
    struct sv text = {(const char *)data, size};
    if (build_dockerfile_parse(text, "Dockerfile", &f, &e) < 0) {
        assert(e.kind != ERR_NONE && e.frames > 0);
        return 0;
    }
    x.escape = f.escape;
    unsigned last = 0;
    vec_each(in, &f.instrs)
    {
        struct err one = {0};
        assert(in->first_line > last && in->last_line >= in->first_line);
        assert(in->last_line <= f.lines.n);
        last = in->last_line;
        int rc = type(in, &x, &one);
        assert((rc < 0) == (one.kind != ERR_NONE));
        build_dockerfile_excerpt(&f, in->first_line, in->last_line, one.kind ? err_cause(&one) : NULL,
                                 &out);
        str_clear(&out);
    }
    build_dockerfile_dump(&f, &out);
    struct build_check_options opt = {0};
    struct build_check_list found = {0};
    struct err ce = {0};
    if (build_check_run(&f, &opt, &found, &ce) == 0) build_check_print(&f, &found, false, &out);
    build_check_list_fini(&found);
    struct err oe = {0};
    build_outline_print(&f, NULL, false, &out, &oe);
    build_outline_print_targets(&f, true, &out, &oe);
    return 0;
}
