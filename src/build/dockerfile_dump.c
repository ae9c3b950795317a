// SPDX-License-Identifier: Apache-2.0
// A parsed Dockerfile as text again: JSON for programs.
#include "base/own.h"
#include "build/dockerfile.h"
#include "build/heredoc.h"
#include "codec/json.h"

static struct codec_json *dump_flags(const struct build_instr *in)
{
    struct codec_json *a = codec_json_new_array();
    vec_each(f, &in->flags)
    {
        own(str) struct str s = {0};
        str_addf(&s, "--%s", f->def->name);
        if (!f->bare) str_addf(&s, "=%s", f->value);
        codec_json_add(a, codec_json_new_text(str_sv(&s)));
    }
    return a;
}

static struct codec_json *dump_words(const struct build_instr *in)
{
    if (in->def->form != BUILD_FORM_PAIRS || in->legacy_pairs)
        return codec_json_new_strv(&in->words);
    struct codec_json *a = codec_json_new_array();
    for (size_t i = 0; i + 1 < in->words.n; i += 2) {
        own(str) struct str s = {0};
        str_addf(&s, "%s=%s", in->words.p[i], in->words.p[i + 1]);
        codec_json_add(a, codec_json_new_text(str_sv(&s)));
    }
    return a;
}

static struct codec_json *dump_heredoc(const struct build_heredoc *h)
{
    struct codec_json *o = codec_json_new_object();
    codec_json_set_text(o, "name", h->name);
    codec_json_set(o, "body", codec_json_new_text((struct sv){h->body, h->body_n}));
    codec_json_set(o, "expand", codec_json_new_bool(h->expand));
    codec_json_set(o, "strip_tabs", codec_json_new_bool(h->strip_tabs));
    codec_json_set(o, "fd", codec_json_new_int(h->fd));
    return o;
}

static struct codec_json *dump_instr(const struct build_instr *in)
{
    struct codec_json *o = codec_json_new_object();
    codec_json_set_text(o, "instruction", in->def->name);
    codec_json_set(o, "flags", dump_flags(in));
    if (in->sub) {
        struct strv whole = {(char *[]){in->rest}, 1, 0};
        codec_json_set(o, "words", codec_json_new_strv(&whole));
        codec_json_set(o, "sub", dump_instr(in->sub));
    } else if (in->json && in->def->form == BUILD_FORM_HEALTH) {
        struct strv kind = {in->words.p, 1, 0}, rest = {in->words.p + 1, in->words.n - 1, 0};
        codec_json_set(o, "words", codec_json_new_strv(&kind));
        codec_json_set(o, "json", codec_json_new_strv(&rest));
    } else {
        codec_json_set(o, in->json ? "json" : "words", dump_words(in));
    }
    if (in->heredocs.n) {
        struct codec_json *a = codec_json_new_array();
        vec_each(h, &in->heredocs) codec_json_add(a, dump_heredoc(h));
        codec_json_set(o, "heredocs", a);
    }
    codec_json_set(o, "first_line", codec_json_new_int(in->first_line));
    codec_json_set(o, "last_line", codec_json_new_int(in->last_line));
    return o;
}

void build_dockerfile_dump(const struct build_file *f, struct str *out)
{
    struct codec_json *a = codec_json_new_array();
    vec_each(in, &f->instrs) codec_json_add(a, dump_instr(in));
    codec_json_print_pretty(a, 2, out);
    codec_json_free(a);
}
