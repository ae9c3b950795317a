// SPDX-License-Identifier: Apache-2.0
// Reads a Dockerfile as a list of stages and walks the ones that a target needs. Nothing is built
// and no image is looked at.
#include "build/outline.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/num.h"
#include "base/own.h"
#include "base/table.h"
#include "build/expand.h"
#include "build/instr.h"
#include "build/mount.h"
#include "build/suggest.h"
#include "codec/json.h"

struct stage {
    const struct build_instr *from;
    size_t first, last;  // instructions behind FROM, last not included
    char *name;          // NULL if none
    char *image;
    bool needed;
};
struct outline {
    const struct build_file *f;
    struct map globals;
    size_t first_from;
    VEC(struct stage) stages;
};

static void fini(struct outline *o)
{
    map_fini(&o->globals);
    vec_each(s, &o->stages)
    {
        free(s->name);
        free(s->image);
    }
    vec_fini(&o->stages);
}

static const char *get_global(void *arg, const char *name)
{
    return map_get(arg, name);
}

// The comment line that begins with the name, without it; "" if none. Borrowed.
static struct sv description(const struct build_instr *in, const char *name)
{
    size_t n = name ? strlen(name) : 0;
    for (struct sv rest = sv_of(in->comment); n && rest.p;) {
        struct sv l = sv_cut(&rest, '\n');
        if (l.n > n && l.p[n] == ' ' && sv_eqz(sv_part(l, 0, n), name))
            return sv_trim(sv_from(l, n));
    }
    return SV("");
}

static void add_globals(struct outline *o, const struct build_instr *in)
{
    struct build_expand x = {.get = get_global, .arg = &o->globals, .escape = o->f->escape};
    o->globals.free_value = free;
    for (size_t i = 0; i < in->words.n; i++) {
        struct build_pair p = {0};
        struct err ignored = {0};
        if (build_instr_arg(in, i, &x, NULL, &p, &ignored) < 0) continue;
        map_set(&o->globals, p.key, take_ptr(p.value));
        build_pair_fini(&p);
    }
}

static int read_stages(const struct build_file *f, struct outline *o, struct err *e)
{
    o->f = f;
    if (build_dockerfile_check_order(f, e) < 0) return -1;
    for (size_t i = 0; i < f->instrs.n; i++) {
        const struct build_instr *in = &f->instrs.p[i];
        if (in->def->id != BUILD_FROM) {
            if (o->stages.n) o->stages.p[o->stages.n - 1].last = i + 1;
            else add_globals(o, in);
            continue;
        }
        struct build_expand x = {.get = get_global, .arg = &o->globals, .escape = f->escape};
        struct stage s = {.from = in, .first = i + 1, .last = i + 1};
        struct str image = {0};
        struct err ignored = {0};
        if (build_instr_from_name(in, &s.name, e) < 0) return -1;
        if (build_expand_word(&x, sv_of(in->words.p[0]), &image, &ignored) < 0)
            str_addz(&image, in->words.p[0]);
        s.image = str_take(&image);
        vec_push(&o->stages, s);
    }
    return 0;
}

// The stage that a name or number means to the stage `before`; -1 if none.
static long find_stage(const struct outline *o, const char *name, size_t before)
{
    uint64_t n = 0;
    for (size_t i = before; name && i-- > 0;)
        if (o->stages.p[i].name && sv_eq_nocase(sv_of(o->stages.p[i].name), sv_of(name)))
            return (long)i;
    if (name && num_u64_max(sv_of(name), before, &n) && n < before) return (long)n;
    return -1;
}

static void need(struct outline *o, size_t at);

static void need_name(struct outline *o, const char *name, size_t before)
{
    long i = find_stage(o, name, before);
    if (i >= 0) need(o, (size_t)i);
}

static void need_mounts(struct outline *o, const struct build_instr *in, size_t at)
{
    struct build_expand x = {.escape = o->f->escape, .keep_unset = true};
    vec_each(f, &in->flags)
    {
        struct build_mount m = {0};
        struct err ignored = {0};
        if (strcmp(f->def->name, "mount") != 0) continue;
        if (build_mount_parse(f->value, &x, &m, &ignored) < 0) continue;
        need_name(o, m.from, at);
        build_mount_fini(&m);
    }
}

// Stages refer only to earlier ones, so this ends.
static void need(struct outline *o, size_t at)
{
    struct stage *s = &o->stages.p[at];
    if (s->needed) return;
    s->needed = true;
    const char *image = s->image;
    if (!isdigit((unsigned char)image[0])) need_name(o, image, at);
    for (size_t i = s->first; i < s->last; i++) {
        const struct build_instr *in = &o->f->instrs.p[i];
        need_name(o, build_instr_flag(in, "from"), at);
        need_mounts(o, in, at);
    }
}

static long target_index(const struct outline *o, const char *target, struct err *e)
{
    long i = target ? find_stage(o, target, o->stages.n) : (long)o->stages.n - 1;
    if (i >= 0) return i;
    own(strv) struct strv names = {0};
    vec_each(s, &o->stages)
    {
        if (s->name) strv_add(&names, s->name);
    }
    err_set(e, ERR_NOT_FOUND, "there is no stage '%s' in '%s'", target, o->f->label);
    const char *near = build_suggest_find(sv_of(target), &names);
    return near ? err_hint(e, "did you mean '%s'?", near) : -1;
}

// The outline's three lists

struct lists {
    struct codec_json *args, *secrets, *ssh;
    struct map seen;
};

static bool first_time(struct lists *l, const char *kind, const char *name)
{
    own(str) struct str key = {0};
    str_addf(&key, "%s %s", kind, name);
    if (map_has(&l->seen, str_z(&key))) return false;
    map_set(&l->seen, str_z(&key), NULL);
    return true;
}

static void add_args(struct outline *o, struct lists *l, const struct build_instr *in, bool global)
{
    for (size_t i = 0; i < in->words.n; i++) {
        struct sv value = sv_of(in->words.p[i]);
        own(free) char *key = sv_dup(sv_cut(&value, '='));
        own(str) struct str shown = {0};
        struct build_expand x = {.get = get_global, .arg = &o->globals, .escape = o->f->escape,
                                 .keep_unset = true};
        struct err ignored = {0};
        if (!first_time(l, "arg", key)) continue;
        const char *from_global = map_get(&o->globals, key);
        if (global || !value.p) str_addz(&shown, from_global ? from_global : "");
        else if (build_expand_word(&x, value, &shown, &ignored) < 0) str_add(&shown, value);
        struct codec_json *a = codec_json_new_object();
        struct sv text = description(in, key);
        codec_json_set_text(a, "name", key);
        if (text.n) codec_json_set(a, "description", codec_json_new_text(text));
        if (shown.n) codec_json_set_text(a, "value", str_z(&shown));
        codec_json_add(l->args, a);
    }
}

static void add_mounts(struct outline *o, struct lists *l, const struct build_instr *in)
{
    struct build_expand x = {.escape = o->f->escape, .keep_unset = true};
    vec_each(f, &in->flags)
    {
        struct build_mount m = {0};
        struct err ignored = {0};
        if (strcmp(f->def->name, "mount") != 0) continue;
        if (build_mount_parse(f->value, &x, &m, &ignored) < 0) continue;
        bool secret = m.type == BUILD_MOUNT_SECRET;
        if ((secret || m.type == BUILD_MOUNT_SSH) &&
            first_time(l, secret ? "secret" : "ssh", m.id)) {
            struct codec_json *a = codec_json_new_object();
            codec_json_set_text(a, "name", m.id);
            if (m.required) codec_json_set(a, "required", codec_json_new_bool(true));
            codec_json_add(secret ? l->secrets : l->ssh, a);
        }
        build_mount_fini(&m);
    }
}

// A global ARG counts when a needed FROM uses it.
static bool used_in_from(const struct outline *o, const struct build_instr *arg)
{
    for (size_t i = 0; i < arg->words.n; i++) {
        struct sv value = sv_of(arg->words.p[i]);
        own(free) char *key = sv_dup(sv_cut(&value, '='));
        vec_each(s, &o->stages)
        {
            const char *p = build_instr_flag(s->from, "platform");
            if (s->needed && (strstr(s->from->words.p[0], key) || (p && strstr(p, key))))
                return true;
        }
    }
    return false;
}

static void collect(struct outline *o, struct lists *l)
{
    const struct build_file *f = o->f;
    for (size_t i = 0; i < f->instrs.n && f->instrs.p[i].def->id != BUILD_FROM; i++)
        if (used_in_from(o, &f->instrs.p[i])) add_args(o, l, &f->instrs.p[i], true);
    vec_each(s, &o->stages)
    {
        for (size_t i = s->first; s->needed && i < s->last; i++) {
            if (f->instrs.p[i].def->id == BUILD_ARG) add_args(o, l, &f->instrs.p[i], false);
            add_mounts(o, l, &f->instrs.p[i]);
        }
    }
}

static const char *text_of(const struct codec_json *o, const char *key)
{
    struct codec_json *v = codec_json_get(o, key);
    return v ? codec_json_text(v).p : "";
}

static void print_list(const struct codec_json *list, const char *title, bool values,
                       struct str *out)
{
    own(table) struct table t = {0};
    if (codec_json_len(list) == 0) return;
    table_init(&t, values ? 3 : 2);
    table_cell(&t, title);
    table_cell(&t, values ? "VALUE" : "REQUIRED");
    if (values) table_cell(&t, "DESCRIPTION");
    for (size_t i = 0; i < codec_json_len(list); i++) {
        const struct codec_json *o = codec_json_at(list, i);
        table_cell(&t, text_of(o, "name"));
        table_cell(&t, values ? text_of(o, "value") : codec_json_get(o, "required") ? "true" : "");
        if (values) table_cell(&t, text_of(o, "description"));
    }
    str_addc(out, '\n');
    table_print(&t, out);
}

static void print_outline(const struct stage *s, const struct lists *l, struct str *out)
{
    struct sv text = description(s->from, s->name);
    str_addf(out, "TARGET:        %s\n", s->name ? s->name : "(last stage)");
    if (text.n) {
        str_addz(out, "DESCRIPTION:   ");
        str_add_escaped(out, text);
        str_addc(out, '\n');
    }
    print_list(l->args, "BUILD ARG", true, out);
    print_list(l->secrets, "SECRET", false, out);
    print_list(l->ssh, "SSH", false, out);
}

static void print_outline_json(const struct stage *s, struct lists *l, struct str *out)
{
    struct codec_json *top = codec_json_new_object();
    struct sv text = description(s->from, s->name);
    codec_json_set_text(top, "name", s->name);
    if (text.n) codec_json_set(top, "description", codec_json_new_text(text));
    codec_json_set(top, "args", take_ptr(l->args));
    codec_json_set(top, "secrets", take_ptr(l->secrets));
    codec_json_set(top, "ssh", take_ptr(l->ssh));
    codec_json_print_pretty(top, 2, out);
    str_addc(out, '\n');
    codec_json_free(top);
}

int build_outline_print(const struct build_file *f, const char *target, bool json, struct str *out,
                        struct err *e)
{
    struct outline o = {0};
    long at = read_stages(f, &o, e) < 0 ? -1 : target_index(&o, target, e);
    if (at >= 0) {
        struct lists l = {codec_json_new_array(), codec_json_new_array(), codec_json_new_array(),
                          {0}};
        need(&o, (size_t)at);
        collect(&o, &l);
        if (json) print_outline_json(&o.stages.p[at], &l, out);
        else print_outline(&o.stages.p[at], &l, out);
        codec_json_free(l.args);
        codec_json_free(l.secrets);
        codec_json_free(l.ssh);
        map_fini(&l.seen);
    }
    fini(&o);
    return at < 0 ? -1 : 0;
}

static void targets_json(const struct outline *o, struct str *out)
{
    struct codec_json *top = codec_json_new_object(), *a = codec_json_new_array();
    for (size_t i = 0; i < o->stages.n; i++) {
        const struct stage *s = &o->stages.p[i];
        struct codec_json *t = codec_json_new_object();
        struct sv text = description(s->from, s->name);
        codec_json_set_text(t, "name", s->name);
        if (i + 1 == o->stages.n) codec_json_set(t, "default", codec_json_new_bool(true));
        if (text.n) codec_json_set(t, "description", codec_json_new_text(text));
        codec_json_set_text(t, "base", s->image);
        codec_json_set_text(t, "platform", build_instr_flag(s->from, "platform"));
        codec_json_add(a, t);
    }
    codec_json_set(top, "targets", a);
    codec_json_print_pretty(top, 2, out);
    str_addc(out, '\n');
    codec_json_free(top);
}

int build_outline_print_targets(const struct build_file *f, bool json, struct str *out,
                                struct err *e)
{
    struct outline o = {0};
    int rc = read_stages(f, &o, e);
    if (rc == 0 && json) {
        targets_json(&o, out);
    } else if (rc == 0) {
        own(table) struct table t = {0};
        table_init(&t, 2);
        table_cell(&t, "TARGET");
        table_cell(&t, "DESCRIPTION");
        for (size_t i = 0; i < o.stages.n; i++) {
            const struct stage *s = &o.stages.p[i];
            bool last = i + 1 == o.stages.n;
            if (!s->name && !last) continue;
            own(free) char *text = sv_dup(description(s->from, s->name));
            table_cellf(&t, "%s%s", s->name ? s->name : "(default)",
                        last && s->name ? " (default)" : "");
            table_cell(&t, text);
        }
        table_print(&t, out);
    }
    fini(&o);
    return rc;
}
