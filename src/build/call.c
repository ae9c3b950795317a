// SPDX-License-Identifier: Apache-2.0
// --call=check|outline|targets: reads the Dockerfile and .dockerignore as a build would, and says
// what is in them. Images are looked at only when the store has them.
#include <stdlib.h>
#include <sys/stat.h>

#include "base/own.h"
#include "build/build.h"
#include "build/check.h"
#include "build/internal.h"
#include "build/outline.h"
#include "image/view.h"
#include "store/lock.h"

static bool image_env(void *arg, const char *image, struct strv *out)
{
    struct store_ref ref;
    own(oci_image) struct oci_image config = {0};
    struct err ignored = {0};
    if (image_view_config(arg, image, &ref, &config, &ignored) < 0) return false;
    strv_add_all(out, &config.env);
    return true;
}

static int run_checks(struct engine *en, const struct build_options *opt,
                      const struct build_context *context, const struct build_file *f,
                      struct build_check_list *out, struct err *e)
{
    struct build_check_options with = {.build_args = opt->build_args, .image_env = image_env,
                                       .arg = en};
    if (context->ignore_label) with.ignore = &context->ignore;
    return build_check_run(f, &with, out, e);
}

int build_call_demand(struct engine *en, const struct build_options *opt,
                      const struct build_context *context, const struct build_file *f, struct err *e)
{
    struct build_check_list found = {0};
    bool asked = f->check != NULL;
    for (size_t i = 0; opt->build_args && i < opt->build_args->n; i++)
        asked = asked || sv_starts(sv_of(opt->build_args->p[i]), "BUILDKIT_DOCKERFILE_CHECK=");
    if (!asked) return 0;
    if (run_checks(en, opt, context, f, &found, e) < 0) return -1;
    int rc = 0;
    if (found.is_error) {
        vec_each(w, &found.v)
            event_warn(&en->sink, "%s:%u: %s: %s", f->label, w->first_line, w->rule, w->message);
        rc = err_set(e, ERR_INPUT, "%s: %zu build check%s and error=true is asked for", f->label,
                     found.v.n, found.v.n == 1 ? " fails" : "s fail");
        err_hint(e, "mend them, or leave rules out with '# check=skip=%s'", found.v.p[0].rule);
    }
    build_check_list_fini(&found);
    return rc;
}

static int check(struct engine *en, const struct build_options *opt,
                 const struct build_context *context, const struct build_file *f, bool json,
                 struct str *out, struct err *e)
{
    struct build_check_list found = {0};
    if (build_dockerfile_check_order(f, e) < 0 || run_checks(en, opt, context, f, &found, e) < 0)
        return -1;
    build_check_print(f, &found, json, out);
    int status = found.is_error ? 1 : 0;
    build_check_list_fini(&found);
    return status;
}

static int answer(struct engine *en, const struct build_options *opt, enum build_call call,
                  bool json, struct store_tmp *tmp, struct str *out, struct err *e)
{
    struct build_context context = {0};
    own(build_file) struct build_file f = {0};
    own(str) struct str text = {.max = LIMIT_DOCKERFILE + 1};
    own(free) char *label = NULL;
    struct build_job job = {.en = en, .opt = opt, .tmp = *tmp};
    if (build_context_open_main(&job, &context, &text, &label, e) < 0) return -1;
    int rc = build_dockerfile_parse(str_sv(&text), label, &f, e);
    if (rc == 0 && call == BUILD_CALL_CHECK) rc = check(en, opt, &context, &f, json, out, e);
    if (rc == 0 && call == BUILD_CALL_OUTLINE)
        rc = build_outline_print(&f, opt->target, json, out, e);
    if (rc == 0 && call == BUILD_CALL_TARGETS)
        rc = build_outline_print_targets(&f, json, out, e);
    build_context_close(en, &context);
    return rc;
}

int build_call(struct engine *en, const struct build_options *opt, enum build_call call,
               bool json, struct str *out, struct err *e)
{
    struct store_tmp tmp = STORE_TMP_NONE;
    if (engine_enter(en, e) < 0) return -1;
    umask(0);
    own(fd) int lock = store_lock_shared(en, e);
    if (lock < 0 || store_tmp_open(en, &tmp, e) < 0) return -1;
    int rc = answer(en, opt, call, json, &tmp, out, e);
    store_tmp_close(en, &tmp);
    return rc;
}
