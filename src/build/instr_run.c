// SPDX-License-Identifier: Apache-2.0
// RUN: flags, and what is to be run. Mounts are read in build/mount.c.
#include <stdlib.h>

#include "base/own.h"
#include "build/heredoc.h"
#include "build/instr.h"
#include "build/instr_internal.h"
#include "build/mount.h"

static const char *const networks[] = {"default", "none", "host"};

const char *build_network_name(enum build_network n)
{
    return networks[n];
}

void build_run_fini(struct build_run *v)
{
    vec_each(m, &v->mounts) build_mount_fini(m);
    vec_fini(&v->mounts);
    strv_fini(&v->argv);
    free(v->shell);
    free(v->script);
    free(v->script_name);
    free(v->shown);
    memset(v, 0, sizeof *v);
}

static int set_network(const struct build_instr *in, struct build_run *out, struct err *e)
{
    const char *text = build_instr_flag(in, "network");
    if (!text) return 0;
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        if (strcmp(text, networks[i]) != 0) continue;
        out->network = (enum build_network)i;
        return 0;
    }
    err_set(e, ERR_INPUT, "--network='%s' is unknown", text);
    return err_hint(e, "it is default, none or host");
}

static int set_security(const struct build_instr *in, struct build_run *out, struct err *e)
{
    const char *text = build_instr_flag(in, "security");
    if (!text || strcmp(text, "sandbox") == 0) return 0;
    out->insecure = strcmp(text, "insecure") == 0;
    if (out->insecure) return 0;
    err_set(e, ERR_INPUT, "--security='%s' is unknown", text);
    return err_hint(e, "it is sandbox or insecure");
}

static int add_mounts(const struct build_instr *in, const struct build_expand *x,
                      struct build_run *out, struct err *e)
{
    vec_each(f, &in->flags)
    {
        if (strcmp(f->def->name, "mount") != 0) continue;
        struct build_mount m = {0};
        if (build_mount_parse(f->value, x, &m, e) < 0)
            return err_wrap(e, "in --mount=%.100s", f->value);
        vec_push(&out->mounts, m);
    }
    return 0;
}

// A heredoc that is the whole command is the script itself; with more on the line it goes back
// together and the shell reads it.
static int set_heredoc(const struct build_instr *in, struct build_run *out, struct err *e)
{
    const struct build_heredoc *first = &in->heredocs.p[0];
    struct build_heredoc word = {0};
    int alone = build_heredoc_word(sv_of(in->rest), &word, e);
    build_heredoc_fini(&word);
    if (alone < 0) return -1;
    struct str s = {0};
    if (!alone) {
        str_addz(&s, in->rest);
        vec_each(h, &in->heredocs)
        {
            str_addc(&s, '\n');
            str_add(&s, (struct sv){h->body, h->body_n});
            str_addz(&s, h->name);
        }
        out->shell = str_take(&s);
        return 0;
    }
    build_heredoc_body(first, &s);
    if (!sv_starts(str_sv(&s), "#!")) {  // <<- has taken the tabs away
        out->shell = str_take(&s);
        return 0;
    }
    bool plain = !strchr(first->name, '/') && first->name[0] != '.';
    out->script_name = str_dup(plain ? first->name : "script");
    out->script_n = s.n;
    out->script = str_take(&s);
    return 0;
}

// What people see of a heredoc: its first line that says something.
static void show_heredoc(const struct build_instr *in, struct str *out)
{
    if (in->heredocs.n == 0) return;
    struct sv body = sv_trim((struct sv){in->heredocs.p[0].body, in->heredocs.p[0].body_n});
    struct sv line = sv_cut(&body, '\n');
    str_addz(out, " (");
    str_add(out, sv_part(sv_trim(line), 0, 60));
    str_addz(out, body.p || line.n > 60 ? "...)" : ")");
}

static int fill(const struct build_instr *in, const struct build_expand *x, struct build_run *out,
                struct err *e)
{
    if (build_instr_flag(in, "device")) {
        err_set(e, ERR_UNSUPPORTED, "RUN --device is not possible yet");
        return err_hint(e,
                        "leave the flag out: devices are given to `run` with --device or --gpus");
    }
    if (set_network(in, out, e) < 0 || set_security(in, out, e) < 0 ||
        add_mounts(in, x, out, e) < 0)
        return -1;
    struct str shown = {0};
    str_addz(&shown, in->rest);
    show_heredoc(in, &shown);
    out->shown = str_take(&shown);
    out->exec_form = in->json;
    if (in->json) {
        strv_add_all(&out->argv, &in->words);
        return 0;
    }
    if (in->heredocs.n) return set_heredoc(in, out, e);
    out->shell = str_dup(in->rest);
    return 0;
}

int build_instr_run(const struct build_instr *in, const struct build_expand *x,
                    struct build_run *out, struct err *e)
{
    struct build_run v = {0};
    if (fill(in, x, &v, e) < 0) {
        build_run_fini(&v);
        return -1;
    }
    *out = v;
    return 0;
}
