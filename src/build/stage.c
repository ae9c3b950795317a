// SPDX-License-Identifier: Apache-2.0
// One stage: opens its base, then walks its instructions. Metadata changes the config at once; what
// touches files goes to the solver. One table row per instruction.
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/own.h"
#include "build/internal.h"
#include "image/view.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct build_expand build_stage_expand(struct build_work *w)
{
    return (struct build_expand){
        .get = build_state_get, .arg = w->state, .escape = w->job->file.escape};
}

void build_stage_path(const struct build_work *w, const char *path, struct str *out)
{
    own(str) struct str joined = {0};
    const char *cwd = w->state->image.workdir;
    if (path[0] != '/') str_addf(&joined, "%s/", cwd && cwd[0] ? cwd : "");
    str_addz(&joined, path);
    own(str) struct str rooted = {0};
    str_addf(&rooted, "/%s", str_z(&joined));
    fs_clean(str_sv(&rooted), out);
}

bool build_stage_borrows(const struct build_work *w)
{
    bool from_here = false;
    if (w->stage->index != w->job->target) return true;
    vec_each(p, &w->stage->steps)
    {
        const struct build_instr *in = *p;
        from_here = from_here || in == w->instr;
        if (!from_here) continue;
        if (build_instr_flag(in, "from")) return true;
        vec_each(f, &in->flags)
            if (strcmp(f->def->name, "mount") == 0 && strstr(f->value, "from=")) return true;
    }
    return !from_here;
}

void build_stage_env(const struct build_work *w, struct strv *out)
{
    const struct build_state *s = w->state;
    strv_add_all(out, &s->image.env);
    for (size_t i = 0; i < s->arg_names.n; i++) {
        const char *value = map_get(&s->args, s->arg_names.p[i]);
        if (value && !oci_env_get(&s->image.env, s->arg_names.p[i]))
            oci_env_set(out, s->arg_names.p[i], value);
    }
}

// --- metadata ---------------------------------------------------------------------------------
static int meta_env(struct build_work *w, const struct build_instr *in, struct err *e)
{
    struct build_expand x = build_stage_expand(w);
    struct build_pairs pairs = {0};
    if (build_instr_pairs(in, &x, &pairs, e) < 0) return -1;
    vec_each(p, &pairs.v) oci_env_set(&w->state->image.env, p->key, p->value);
    build_pairs_fini(&pairs);
    return 0;
}

static int meta_label(struct build_work *w, const struct build_instr *in, struct err *e)
{
    struct build_expand x = build_stage_expand(w);
    struct build_pairs pairs = {0};
    if (build_instr_pairs(in, &x, &pairs, e) < 0) return -1;
    vec_each(p, &pairs.v) map_set(&w->state->image.labels, p->key, str_dup(p->value));
    build_pairs_fini(&pairs);
    return 0;
}

// --build-arg, then the default, then the global value.
static int meta_arg(struct build_work *w, const struct build_instr *in, struct err *e)
{
    struct build_expand x = build_stage_expand(w);
    struct build_pairs pairs = {0};
    for (size_t i = 0; i < in->words.n; i++) {
        struct build_pair p = {0};
        if (build_instr_arg(in, i, &x, &w->job->build_args, &p, e) < 0) {
            build_pairs_fini(&pairs);
            return -1;
        }
        vec_push(&pairs.v, p);
    }
    vec_each(p, &pairs.v)
    {
        const char *value = p->value ? p->value : map_get(&w->job->globals, p->key);
        if (strv_find(&w->state->arg_names, p->key) < 0) strv_add(&w->state->arg_names, p->key);
        if (value) map_set(&w->state->args, p->key, str_dup(value));
    }
    build_pairs_fini(&pairs);
    return 0;
}

static void set_text(char **at, char *value)
{
    free(*at);
    *at = value;
}

static int meta_user(struct build_work *w, const struct build_instr *in, struct err *e)
{
    struct build_expand x = build_stage_expand(w);
    char *text = NULL;
    if (build_instr_text(in, &x, &text, e) < 0) return -1;
    set_text(&w->state->image.user, text);
    return 0;
}

static int meta_stopsignal(struct build_work *w, const struct build_instr *in, struct err *e)
{
    struct build_expand x = build_stage_expand(w);
    char *text = NULL;
    if (build_instr_text(in, &x, &text, e) < 0) return -1;
    set_text(&w->state->image.stop_signal, text);
    return 0;
}

static int meta_maintainer(struct build_work *w, const struct build_instr *in, struct err *e)
{
    struct build_expand x = build_stage_expand(w);
    char *text = NULL;
    if (build_instr_text(in, &x, &text, e) < 0) return -1;
    set_text(&w->state->image.author, text);
    return 0;
}

static int meta_expose(struct build_work *w, const struct build_instr *in, struct err *e)
{
    struct build_expand x = build_stage_expand(w);
    own(strv) struct strv ports = {0};
    if (build_instr_expose(in, &x, &ports, e) < 0) return -1;
    for (size_t i = 0; i < ports.n; i++) map_set(&w->state->image.exposed_ports, ports.p[i], NULL);
    return 0;
}

static int meta_volume(struct build_work *w, const struct build_instr *in, struct err *e)
{
    struct build_expand x = build_stage_expand(w);
    own(strv) struct strv paths = {0};
    if (build_instr_volume(in, &x, &paths, e) < 0) return -1;
    for (size_t i = 0; i < paths.n; i++) map_set(&w->state->image.volumes, paths.p[i], NULL);
    return 0;
}

static int meta_health(struct build_work *w, const struct build_instr *in, struct err *e)
{
    struct oci_health h = {0};
    if (build_instr_health(in, &h, e) < 0) return -1;
    strv_fini(&w->state->image.health.test);
    w->state->image.health = h;
    w->state->image.health.set = true;
    return 0;
}

static int meta_onbuild(struct build_work *w, const struct build_instr *in, struct err *e)
{
    char *text = NULL;
    if (build_instr_onbuild(in, &text, e) < 0) return -1;
    strv_take(&w->state->image.onbuild, text);
    return 0;
}

// The words as stored: shell form is wrapped with the SHELL of this moment.
static int command_words(struct build_work *w, const struct build_instr *in, struct strv *out,
                         struct err *e)
{
    struct build_command c = {0};
    if (build_instr_command(in, &c, e) < 0) return -1;
    if (!c.json) {
        if (w->state->image.shell.n) {
            strv_add_all(out, &w->state->image.shell);
        } else {
            strv_add(out, "/bin/sh");
            strv_add(out, "-c");
        }
    }
    strv_add_all(out, &c.words);
    build_command_fini(&c);
    return 0;
}

static int meta_cmd(struct build_work *w, const struct build_instr *in, struct err *e)
{
    struct strv words = {0};
    if (command_words(w, in, &words, e) < 0) return -1;
    strv_fini(&w->state->image.cmd);
    w->state->image.cmd = words;
    w->state->image.has_cmd = true;
    return 0;
}

static bool stage_has_cmd(const struct build_work *w, const struct build_instr *before)
{
    vec_each(p, &w->stage->steps)
    {
        if (*p == before) return false;
        if ((*p)->def->id == BUILD_CMD) return true;
    }
    return false;
}

// ENTRYPOINT drops an inherited CMD, never one set in the same stage.
static int meta_entrypoint(struct build_work *w, const struct build_instr *in, struct err *e)
{
    struct strv words = {0};
    if (command_words(w, in, &words, e) < 0) return -1;
    strv_fini(&w->state->image.entrypoint);
    w->state->image.entrypoint = words;
    w->state->image.has_entrypoint = true;
    if (!stage_has_cmd(w, in)) {
        strv_fini(&w->state->image.cmd);
        w->state->image.has_cmd = false;
    }
    return 0;
}

static int meta_shell(struct build_work *w, const struct build_instr *in, struct err *e)
{
    struct build_command c = {0};
    if (build_instr_command(in, &c, e) < 0) return -1;
    strv_fini(&w->state->image.shell);
    strv_add_all(&w->state->image.shell, &c.words);
    build_command_fini(&c);
    return 0;
}

static int step_workdir(struct build_work *w, const struct build_instr *in, struct err *e)
{
    struct build_expand x = build_stage_expand(w);
    own(free) char *text = NULL;
    own(str) struct str path = {0};
    if (build_instr_text(in, &x, &text, e) < 0) return -1;
    build_stage_path(w, text, &path);
    set_text(&w->state->image.workdir, str_dup(str_z(&path)));
    own(free) char *by = str_fmt("WORKDIR %s", str_z(&path));
    if (strcmp(str_z(&path), "/") == 0) {
        build_state_history(w->state, by, true);
        return 0;
    }
    return build_step_workdir(w, str_z(&path), by, e);
}

static const struct {
    int (*run)(struct build_work *w, const struct build_instr *in, struct err *e);
    bool files;    // a step of the solver, with a number
    bool names_only;  // history shows no values
} rows[BUILD_INSTR_COUNT] = {
    [BUILD_ADD] = {build_step_copy, true, false},
    [BUILD_ARG] = {meta_arg, false, true},
    [BUILD_CMD] = {meta_cmd, false, false},
    [BUILD_COPY] = {build_step_copy, true, false},
    [BUILD_ENTRYPOINT] = {meta_entrypoint, false, false},
    [BUILD_ENV] = {meta_env, false, false},
    [BUILD_EXPOSE] = {meta_expose, false, false},
    [BUILD_HEALTHCHECK] = {meta_health, false, false},
    [BUILD_LABEL] = {meta_label, false, false},
    [BUILD_MAINTAINER] = {meta_maintainer, false, false},
    [BUILD_ONBUILD] = {meta_onbuild, false, false},
    [BUILD_RUN] = {build_step_run, true, false},
    [BUILD_SHELL] = {meta_shell, false, false},
    [BUILD_STOPSIGNAL] = {meta_stopsignal, false, false},
    [BUILD_USER] = {meta_user, false, false},
    [BUILD_VOLUME] = {meta_volume, false, false},
    [BUILD_WORKDIR] = {step_workdir, true, false},
};

// --- the base ---------------------------------------------------------------------------------
static int base_from_image(struct build_work *w, struct err *e)
{
    struct image_view view;
    if (image_view_open_id(w->job->en, &w->stage->base_id, &view, e) < 0) return -1;
    struct build_state *s = w->state;
    oci_image_fini(&s->image);
    oci_image_copy(&s->image, &view.config);
    for (size_t i = 0; i < view.n; i++) {
        vec_push(&s->layers, view.layers[i]);
        s->chain = oci_digest_chain(&s->chain, &view.layers[i].diff_id);
    }
    s->now = s->newest = view.config.created;
    image_view_close(&view);
    return 0;
}

static int add_folder(struct build_work *w, const struct root *root, int folder, void *arg,
                      struct strv *stubs, struct err *e)
{
    (void)folder, (void)stubs;
    struct build_context *c = arg;
    struct build_copy spec = {0};
    struct build_picks picks = {0};
    vec_push(&picks.v, ((struct build_pick){.node = c->tree.nodes.p}));
    struct build_copy_apply opt = {.spec = &spec, .dest = "/", .dest_is_folder = true,
                                   .time = w->state->now};
    int rc = build_copy_apply(&c->tree, &picks, &opt, root, e);
    build_picks_fini(&picks);
    return rc;
}

static int base_from_context(struct build_work *w, struct err *e)
{
    struct build_context *c = &w->job->contexts.p[w->stage->base_context];
    struct build_copy spec = {0};
    struct build_picks picks = {0};
    own(free) char *by = str_fmt("FROM context %s", c->name);
    struct build_op op = {.created_by = by, .apply = add_folder, .arg = c};
    if (build_context_scan(w->job->en, c, e) < 0) return -1;
    vec_push(&picks.v, ((struct build_pick){.node = c->tree.nodes.p}));
    codec_sha256_init(&op.key);
    codec_sha256_addz(&op.key, "from context");
    int rc = build_copy_hash(&c->tree, &spec, &picks, &op.key, e);
    build_picks_fini(&picks);
    return rc < 0 ? -1 : build_solve_step(w, &op, e);
}

static void set_clock(struct build_work *w)
{
    struct build_state *s = w->state;
    s->constant = w->job->epoch_given;
    if (w->job->epoch_given)
        s->now = w->job->epoch;
    else if (s->now < BUILD_EPOCH_FLOOR)
        s->now = BUILD_EPOCH_FLOOR;
}

static int open_base(struct build_work *w, struct err *e)
{
    struct build_state *s = w->state;
    s->now = INT64_MIN;
    if (w->stage->base_kind == BUILD_BASE_STAGE) {
        build_state_fini(s);
        build_state_init(s);
        if (build_solve_wait(w, w->stage->base_stage, s, e) < 0) return -1;
    } else if (w->stage->base_kind == BUILD_BASE_IMAGE) {
        if (base_from_image(w, e) < 0) return -1;
    }
    set_clock(w);
    if (w->stage->base_kind == BUILD_BASE_CONTEXT && base_from_context(w, e) < 0) return -1;
    strv_fini(&s->image.onbuild);
    s->image.platform = w->job->platform;
    if (!oci_env_get(&s->image.env, "PATH")) oci_env_set(&s->image.env, "PATH", DEFAULT_PATH);
    return 0;
}

// --- the walk -----------------------------------------------------------------------------------
static char *label_of(const struct build_work *w, const char *text)
{
    own(str) struct str s = {0};
    bool single = w->job->stages.n == 1;
    str_addf(&s, single ? "[%s%u/%u] " : "[%s %u/%u] ", single ? "" : w->stage->shown, w->number,
             w->stage->counted);
    for (const char *p = text; *p && s.n < 300; p++) str_addc(&s, *p == '\n' || *p == '\t' ? ' ' : *p);
    return str_take(&s);
}

static char *history_text(const struct build_instr *in, bool names_only)
{
    if (!names_only) return str_dup(in->original);
    own(str) struct str s = {0};
    str_addz(&s, in->def->name);
    for (size_t i = 0; i < in->words.n; i++) {
        struct sv rest = sv_of(in->words.p[i]);
        str_addc(&s, ' ');
        str_add(&s, sv_cut(&rest, '='));
    }
    return str_take(&s);
}

int build_stage_meta(struct build_work *w, const struct build_instr *in, struct err *e)
{
    if (!rows[in->def->id].run || rows[in->def->id].files) return 0;
    return rows[in->def->id].run(w, in, e);
}

static int walk_one(struct build_work *w, const struct build_instr *in, struct err *e)
{
    w->instr = in;
    if (!rows[in->def->id].run)
        return err_set(e, ERR_INTERNAL, "no meaning for %s", in->def->name);
    if (!rows[in->def->id].files) {
        if (rows[in->def->id].run(w, in, e) < 0) return -1;
        own(free) char *by = history_text(in, rows[in->def->id].names_only);
        build_state_history(w->state, by, true);
        return 0;
    }
    w->number++;
    w->id = (uint64_t)(w->stage->index + 1) << 20 | w->number;
    free(w->label);
    w->label = label_of(w, in->original);
    return rows[in->def->id].run(w, in, e);
}

int build_stage_run(struct build_work *w, struct err *e)
{
    w->number = 1;
    w->id = (uint64_t)(w->stage->index + 1) << 20 | 1;
    own(free) char *from = str_fmt("FROM %s", w->stage->base.image);
    w->label = label_of(w, from);
    w->instr = w->stage->from;
    int rc = open_base(w, e);
    if (rc == 0 && w->stage->base_kind != BUILD_BASE_CONTEXT)
        event_emit(&w->job->en->sink,
                   (struct event){.kind = EVENT_CACHED, .id = w->id, .name = w->label});
    for (size_t i = 0; rc == 0 && i < w->stage->steps.n; i++) rc = walk_one(w, w->stage->steps.p[i], e);
    if (rc < 0 && e->kind != ERR_INTERRUPTED) build_instr_wrap(e, &w->job->file, w->instr);
    w->state->image.created = w->state->now;
    free(w->label);
    w->label = NULL;
    return rc;
}
