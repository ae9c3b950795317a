// SPDX-License-Identifier: Apache-2.0
// What the typed instructions share, and FROM.
#include "build/instr.h"

#include <stdlib.h>

#include "base/engine.h"
#include "base/own.h"
#include "build/instr_internal.h"

int build_instr_wrap(struct err *e, const struct build_file *f, const struct build_instr *in)
{
    own(str) struct str shown = {0};
    struct sv v = sv_trim(sv_of(in->original));
    str_add_escaped(&shown, sv_part(v, 0, 80));
    if (v.n > 80) str_addz(&shown, "...");
    return err_wrap(e, "at %s:%u: %s", f->label, in->first_line, str_z(&shown));
}

int build_instr_expand(const struct build_expand *x, const char *word, char **out, struct err *e)
{
    struct str s = {0};
    if (build_expand_word(x, sv_of(word), &s, e) < 0) {
        str_fini(&s);
        return -1;
    }
    *out = str_take(&s);
    return 0;
}

int build_instr_expand_flag(const struct build_instr *in, const char *name,
                            const struct build_expand *x, char **out, struct err *e)
{
    const char *value = build_instr_flag(in, name);
    if (!value) return 0;
    if (build_instr_expand(x, value, out, e) < 0) return err_wrap(e, "in --%s", name);
    return 0;
}

bool build_instr_stage_name_ok(struct sv name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool lower = c >= 'a' && c <= 'z';
        bool later = (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
        if (!lower && !(i > 0 && later)) return false;
    }
    return name.n > 0 && name.n <= LIMIT_NAME;
}

int build_instr_from_name(const struct build_instr *in, char **out_name, struct err *e)
{
    *out_name = NULL;
    if (in->words.n < 3) return 0;
    own(free) char *name = str_dup(in->words.p[2]);
    for (char *p = name; *p; p++)
        if (*p >= 'A' && *p <= 'Z') *p = (char)(*p - 'A' + 'a');
    if (!build_instr_stage_name_ok(sv_of(name))) {
        err_set(e, ERR_INPUT, "'%s' is no stage name", in->words.p[2]);
        return err_hint(e, "a stage name is a letter, then letters, digits, '-', '_' and '.'");
    }
    *out_name = take_ptr(name);
    return 0;
}

void build_from_fini(struct build_from *v)
{
    free(v->image);
    free(v->platform);
    free(v->name);
    memset(v, 0, sizeof *v);
}

static int empty_value(const char *what, const char *word, struct err *e)
{
    err_set(e, ERR_INPUT, "the %s '%s' is empty once its variables are filled in", what, word);
    return err_hint(e, "only an ARG above the first FROM, with a value, can be used in FROM");
}

int build_instr_from(const struct build_instr *in, const struct build_expand *x,
                     struct build_from *out, struct err *e)
{
    struct build_from v = {0};
    int rc = build_instr_from_name(in, &v.name, e);
    if (rc == 0) rc = build_instr_expand(x, in->words.p[0], &v.image, e);
    if (rc == 0) rc = build_instr_expand_flag(in, "platform", x, &v.platform, e);
    if (rc == 0 && !*v.image) rc = empty_value("image name", in->words.p[0], e);
    if (rc == 0 && v.platform && !*v.platform)
        rc = empty_value("platform", build_instr_flag(in, "platform"), e);
    if (rc < 0) {
        build_from_fini(&v);
        return -1;
    }
    *out = v;
    return 0;
}
