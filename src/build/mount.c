// SPDX-License-Identifier: Apache-2.0
// RUN --mount=key=value,...: a comma-separated record (quotes as in CSV), one table of keys. Every
// option is read as one of a known set, none is passed through to a mount call, and sources are
// cleaned so that no ".." is left: these options come from a Dockerfile that somebody else wrote.
#include "build/mount.h"

#include <stdlib.h>

#include "base/num.h"
#include "base/own.h"
#include "build/instr_internal.h"
#include "build/path.h"
#include "build/suggest.h"

static const char *const types[] = {"bind", "cache", "secret", "ssh", "tmpfs"};
static const char *const sharings[] = {"shared", "private", "locked"};

const char *build_mount_type_name(enum build_mount_type t)
{
    return types[t];
}

const char *build_sharing_name(enum build_sharing s)
{
    return sharings[s];
}

void build_mount_fini(struct build_mount *m)
{
    free(m->from);
    free(m->source);
    free(m->target);
    free(m->id);
    free(m->env);
    memset(m, 0, sizeof *m);
}

enum key {
    KEY_TYPE,
    KEY_FROM,
    KEY_SOURCE,
    KEY_TARGET,
    KEY_READONLY,
    KEY_READWRITE,
    KEY_ID,
    KEY_SHARING,
    KEY_REQUIRED,
    KEY_MODE,
    KEY_UID,
    KEY_GID,
    KEY_SIZE,
    KEY_ENV,
    KEY_COUNT,
};
#define ON(t) (1u << BUILD_MOUNT_##t)
#define ON_ALL 31u

static const struct {
    const char *name;
    enum key key;
    unsigned types;  // where it may stand
    bool bare;       // may stand without a value
} keys[] = {
    {"type", KEY_TYPE, ON_ALL, false},
    {"from", KEY_FROM, ON(BIND) | ON(CACHE), false},
    {"source", KEY_SOURCE, ON(BIND) | ON(CACHE) | ON(SECRET), false},
    {"src", KEY_SOURCE, ON(BIND) | ON(CACHE) | ON(SECRET), false},
    {"target", KEY_TARGET, ON_ALL, false},
    {"dst", KEY_TARGET, ON_ALL, false},
    {"destination", KEY_TARGET, ON_ALL, false},
    {"readonly", KEY_READONLY, ON_ALL, true},
    {"ro", KEY_READONLY, ON_ALL, true},
    {"readwrite", KEY_READWRITE, ON_ALL, true},
    {"rw", KEY_READWRITE, ON_ALL, true},
    {"id", KEY_ID, ON(CACHE) | ON(SECRET) | ON(SSH), false},
    {"sharing", KEY_SHARING, ON(CACHE), false},
    {"required", KEY_REQUIRED, ON(SECRET) | ON(SSH), true},
    {"mode", KEY_MODE, ON(CACHE) | ON(SECRET) | ON(SSH), false},
    {"uid", KEY_UID, ON(CACHE) | ON(SECRET) | ON(SSH), false},
    {"gid", KEY_GID, ON(CACHE) | ON(SECRET) | ON(SSH), false},
    {"size", KEY_SIZE, ON(TMPFS), false},
    {"env", KEY_ENV, ON(SECRET), false},
};
#define KEYS (sizeof keys / sizeof *keys)

// One field of the record; *rest moves behind its comma. Quotes count at the field's beginning.
static int cut_field(struct sv *rest, struct str *out, struct err *e)
{
    if (!sv_starts(*rest, "\"")) {
        struct sv f = sv_cut(rest, ',');
        if (sv_find(f, '"') >= 0)
            return err_set(e, ERR_INPUT, "a quote in the middle of '%.*s'", (int)f.n, f.p);
        str_add(out, f);
        return 0;
    }
    size_t i = 1;
    for (; i < rest->n; i++) {
        if (rest->p[i] == '"' && i + 1 < rest->n && rest->p[i + 1] == '"') i++;
        else if (rest->p[i] == '"') break;
        str_addc(out, rest->p[i]);
    }
    bool closed = i < rest->n;
    *rest = sv_from(*rest, i + 1);
    if (!closed || (rest->n > 0 && rest->p[0] != ','))
        return err_set(e, ERR_INPUT, "a quote is not closed");
    if (rest->n == 0) rest->p = NULL;
    else *rest = sv_from(*rest, 1);
    return 0;
}

static int find_name(const char *const *names, size_t n, const char *what, const char *text,
                     unsigned *out, struct err *e)
{
    own(strv) struct strv all = {0};
    for (size_t i = 0; i < n; i++) {
        if (sv_eq_nocase(sv_of(text), sv_of(names[i]))) {
            *out = (unsigned)i;
            return 0;
        }
        strv_add(&all, names[i]);
    }
    err_set(e, ERR_INPUT, "'%s' is no %s", text, what);
    const char *near = build_suggest_find(sv_of(text), &all);
    if (near) return err_hint(e, "did you mean %s?", near);
    own(str) struct str list = {0};
    for (size_t i = 0; i < n; i++) str_addf(&list, "%s%s", i ? ", " : "", names[i]);
    return err_hint(e, "it is one of %s", str_z(&list));
}

static int find_key(struct sv name, size_t *out, struct err *e)
{
    own(strv) struct strv all = {0};
    for (size_t i = 0; i < KEYS; i++) {
        if (sv_eq_nocase(name, sv_of(keys[i].name))) {
            *out = i;
            return 0;
        }
        strv_add(&all, keys[i].name);
    }
    err_set(e, ERR_INPUT, "a mount has no option '%.*s'", (int)name.n, name.p);
    const char *near = build_suggest_find(name, &all);
    return near ? err_hint(e, "did you mean %s?", near) : -1;
}

static int set_bool(const char *name, const char *text, bool *out, struct err *e)
{
    static const char *const words[] = {"1", "t", "T", "true", "TRUE", "True",
                                        "0", "f", "F", "false", "FALSE", "False"};
    for (size_t i = 0; i < 12; i++) {
        if (strcmp(text, words[i]) != 0) continue;
        *out = i < 6;
        return 0;
    }
    return err_set(e, ERR_INPUT, "%s is true or false, not '%s'", name, text);
}

static int set_id(const char *name, const char *text, bool *has, uint32_t *out, struct err *e)
{
    uint64_t n = 0;
    if (!num_u64_max(sv_of(text), UINT32_MAX - 1, &n))
        return err_set(e, ERR_INPUT, "%s='%s' is no number", name, text);
    *has = true;
    *out = (uint32_t)n;
    return 0;
}

struct state {
    struct build_mount m;
    bool seen[KEY_COUNT];
};

static void set_text(char **to, char *value)
{
    free(*to);
    *to = value;
}

// `value` is owned by the callee.
static int set_option(struct state *s, size_t at, char *value, struct err *e)
{
    own(free) char *v = value;
    struct build_mount *m = &s->m;
    const char *name = keys[at].name;
    unsigned n = 0;
    bool flag = false;
    switch (keys[at].key) {
    case KEY_TYPE:
        if (find_name(types, 5, "mount type", v, &n, e) < 0) return -1;
        m->type = (enum build_mount_type)n;
        return 0;
    case KEY_SHARING:
        if (find_name(sharings, 3, "sharing mode", v, &n, e) < 0) return -1;
        m->sharing = (enum build_sharing)n;
        return 0;
    case KEY_FROM: set_text(&m->from, take_ptr(v)); return 0;
    case KEY_SOURCE: set_text(&m->source, take_ptr(v)); return 0;
    case KEY_TARGET: set_text(&m->target, take_ptr(v)); return 0;
    case KEY_ID: set_text(&m->id, take_ptr(v)); return 0;
    case KEY_ENV: set_text(&m->env, take_ptr(v)); return 0;
    case KEY_READONLY: return set_bool(name, v, &m->read_only, e);
    case KEY_READWRITE:
        if (set_bool(name, v, &flag, e) < 0) return -1;
        m->read_only = !flag;
        return 0;
    case KEY_REQUIRED: return set_bool(name, v, &m->required, e);
    case KEY_UID: return set_id(name, v, &m->has_uid, &m->uid, e);
    case KEY_GID: return set_id(name, v, &m->has_gid, &m->gid, e);
    case KEY_MODE:
        m->has_mode = num_octal(sv_of(v), 07777, &m->mode);
        return m->has_mode ? 0 : err_set(e, ERR_INPUT, "mode='%s' is no octal mode", v);
    case KEY_SIZE: return num_bytes(sv_of(v), &m->size, e);
    case KEY_COUNT: break;
    }
    return 0;
}

static int read_field(struct state *s, struct sv field, const struct build_expand *x,
                      struct err *e)
{
    size_t at = 0;
    struct sv value = field;
    struct sv name = sv_cut(&value, '=');
    if (find_key(name, &at, e) < 0) return -1;
    if (!value.p && !keys[at].bare) {
        err_set(e, ERR_INPUT, "'%.*s' has no value", (int)field.n, field.p);
        return err_hint(e, "write %s=VALUE", keys[at].name);
    }
    s->seen[keys[at].key] = true;
    own(free) char *raw = sv_dup(value.p ? value : SV("true"));
    if (keys[at].key == KEY_FROM && build_instr_check_from(raw, e) < 0) return -1;
    char *v = NULL;
    if (build_instr_expand(x, raw, &v, e) < 0) return -1;
    return set_option(s, at, v, e);
}

// Options that make no sense for the type: refused, so that nobody believes in them.
static int check_options(const struct state *s, struct err *e)
{
    for (size_t i = 0; i < KEYS; i++)
        if (s->seen[keys[i].key] && !(keys[i].types & (1u << s->m.type)))
            return err_set(e, ERR_INPUT, "a mount of type %s has no option '%s'",
                           types[s->m.type], keys[i].name);
    return 0;
}

static int clean_target(struct build_mount *m, struct err *e)
{
    if (!m->target || !*m->target) {
        set_text(&m->target, NULL);
        return 0;
    }
    set_text(&m->target, build_path_clean(sv_of(m->target)));
    if (strcmp(m->target, "/") == 0) {
        err_set(e, ERR_INPUT, "a mount cannot be put at '/'");
        return err_hint(e, "give a folder: target=/src");
    }
    return 0;
}

static int finish_secret(struct build_mount *m, struct err *e)
{
    if (m->source && m->id)
        return err_set(e, ERR_INPUT, "a secret has an id or a source, not both");
    if (!m->id && m->source) m->id = take_ptr(m->source);
    if (!m->id && !m->target) {
        err_set(e, ERR_INPUT, "a secret mount needs id= or target=");
        return err_hint(e, "write --mount=type=secret,id=NAME and build with --secret id=NAME,...");
    }
    const char *last = strrchr(m->id ? m->id : m->target, '/');
    last = last ? last + 1 : m->id ? m->id : m->target;
    if (!m->target && !m->env) m->target = str_fmt("/run/secrets/%s", last);
    if (!m->id) m->id = str_dup(last);
    if (m->env && (!*m->env || strchr(m->env, '=')))
        return err_set(e, ERR_INPUT, "env='%s' is no name of a variable", m->env);
    return *last ? 0 : err_set(e, ERR_INPUT, "the secret's id is empty");
}

static int finish(struct state *s, struct err *e)
{
    static const uint32_t modes[] = {0, 0755, 0400, 0600, 0};
    struct build_mount *m = &s->m;
    if (check_options(s, e) < 0 || clean_target(m, e) < 0) return -1;
    if (m->from && !*m->from) return err_set(e, ERR_INPUT, "from is empty");
    bool writable = m->type == BUILD_MOUNT_CACHE || m->type == BUILD_MOUNT_TMPFS;
    if (!s->seen[KEY_READONLY] && !s->seen[KEY_READWRITE]) m->read_only = !writable;
    if (!m->has_mode) m->mode = modes[m->type];
    if (m->id && !*m->id) set_text(&m->id, NULL);
    if (m->type == BUILD_MOUNT_SECRET) return finish_secret(m, e);
    if (m->type == BUILD_MOUNT_SSH) {
        if (!m->id) m->id = str_dup("default");
        return 0;
    }
    if (!m->target) {
        err_set(e, ERR_INPUT, "a mount of type %s needs target=", types[m->type]);
        return err_hint(e, "write --mount=type=%s,target=/path", types[m->type]);
    }
    if (m->type == BUILD_MOUNT_CACHE && !m->id) m->id = str_dup(m->target);
    set_text(&m->source, build_path_join("/", sv_of(m->source ? m->source : "")));
    return 0;
}

int build_mount_parse(const char *text, const struct build_expand *x, struct build_mount *out,
                      struct err *e)
{
    struct state s = {0};
    int rc = *text ? 0 : err_set(e, ERR_INPUT, "the mount is empty");
    for (struct sv rest = sv_of(text); rc == 0 && rest.p;) {
        own(str) struct str field = {0};
        rc = cut_field(&rest, &field, e);
        if (rc == 0) rc = read_field(&s, str_sv(&field), x, e);
    }
    if (rc == 0) rc = finish(&s, e);
    if (rc < 0) {
        build_mount_fini(&s.m);
        return -1;
    }
    *out = s.m;
    return 0;
}
