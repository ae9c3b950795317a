// SPDX-License-Identifier: Apache-2.0
// What people write behind -v, --mount and --tmpfs. The API speaks the same texts.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/own.h"
#include "sandbox/parse.h"
#include "sandbox/sandbox.h"

static bool is_propagation(struct sv v)
{
    static const char *const names[] = {"private", "rprivate", "slave", "rslave", "shared",
                                        "rshared"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (sv_eqz(v, names[i])) return true;
    return false;
}

static bool one_of(struct sv v, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (sv_eqz(v, names[i])) return true;
    return false;
}

// --- -v ----------------------------------------------------------------------------------------

void sandbox_parse_volume_fini(struct sandbox_parse_volume *v)
{
    free(v->source);
    free(v->target);
    free(v->propagation);
    memset(v, 0, sizeof *v);
}

static int volume_option(struct sv o, const char *text, struct sandbox_parse_volume *v,
                         struct err *e)
{
    static const char *const ignored[] = {"z",      "Z",         "rw",  "consistent",
                                          "cached", "delegated", "copy"};
    if (sv_eqz(o, "ro")) {
        v->readonly = true;
    } else if (sv_eqz(o, "nocopy")) {
        v->nocopy = true;
    } else if (is_propagation(o)) {
        free(v->propagation);
        v->propagation = sv_dup(o);
    } else if (!one_of(o, ignored, sizeof ignored / sizeof *ignored)) {
        err_set(e, ERR_USAGE, "invalid mode '%.*s' in the volume '%s'", (int)o.n, o.p, text);
        return err_hint(e, "the form is SOURCE:TARGET[:ro], and a path cannot hold a colon; "
                           "--mount can");
    }
    return 0;
}

int sandbox_parse_volume(const char *text, struct sandbox_parse_volume *out, struct err *e)
{
    own(sandbox_parse_volume) struct sandbox_parse_volume v = {0};
    struct sv rest = sv_of(text), first = sv_cut(&rest, ':'), second = {0};
    if (rest.p) {
        second = sv_cut(&rest, ':');
        v.source = sv_dup(first);
        v.target = sv_dup(second);
        if (first.n == 0) return err_set(e, ERR_USAGE, "the volume '%s' has an empty source", text);
    } else {
        v.target = sv_dup(first);
    }
    if (v.target[0] != '/') {
        err_set(e, ERR_USAGE, "invalid volume '%s': the path in the container must be absolute",
                text);
        return err_hint(e, "the form is SOURCE:TARGET[:ro], for example ./data:/data");
    }
    while (rest.p) {
        struct sv options = sv_cut(&rest, ',');
        if (volume_option(options, text, &v, e) < 0) return -1;
    }
    *out = v;
    memset(&v, 0, sizeof v);
    return 0;
}

// --- --mount -----------------------------------------------------------------------------------

static int bool_value(struct sv v, bool *out)
{
    static const char *const yes[] = {"", "1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};
    if (one_of(v, yes, sizeof yes / sizeof *yes)) {
        *out = true;
        return 0;
    }
    *out = false;
    return one_of(v, no, sizeof no / sizeof *no) ? 0 : -1;
}

static int bad_value(struct sv key, struct sv value, const char *text, struct err *e)
{
    return err_set(e, ERR_USAGE, "invalid value for '%.*s' in the mount '%s': '%.*s'", (int)key.n,
                   key.p, text, (int)value.n, value.p);
}

struct mount_words {
    unsigned options;  // that belong to some types only: rows of mount_word_rows, as bits
    enum sandbox_parse_mount_type type;
    bool recursive_readonly;
};

static const char *const mount_types[PARSE_MOUNT_COUNT] = {[PARSE_MOUNT_BIND] = "bind",
                                          [PARSE_MOUNT_TMPFS] = "tmpfs",
                                          [PARSE_MOUNT_VOLUME] = "volume",
                                          [PARSE_MOUNT_IMAGE] = "image"};

const char *sandbox_parse_mount_name(enum sandbox_parse_mount_type type)
{
    return (unsigned)type < PARSE_MOUNT_COUNT ? mount_types[type] : "?";
}

// It is resolved inside the volume, which would also keep ".." in; but what such a path means to
// the person is not what it would get.
static bool subpath_ok(struct sv path)
{
    if (path.n == 0 || path.p[0] == '/') return false;
    while (path.p)
        if (sv_eqz(sv_cut(&path, '/'), "..")) return false;
    return true;
}

static bool word_type(struct sv v, struct mount_words *w, void *to)
{
    (void)to;
    for (unsigned i = 0; i < PARSE_MOUNT_COUNT; i++)
        if (sv_eqz(v, mount_types[i])) {
            w->type = (enum sandbox_parse_mount_type)i;
            return true;
        }
    return false;
}

static bool word_text(struct sv v, struct mount_words *w, void *to)
{
    char **text = to;
    (void)w;
    free(*text);
    *text = sv_dup(v);
    return true;
}

static bool word_bool(struct sv v, struct mount_words *w, void *to)
{
    (void)w;
    return bool_value(v, to) == 0;
}

static bool word_propagation(struct sv v, struct mount_words *w, void *to)
{
    return is_propagation(v) && word_text(v, w, to);
}

// Docker's words: whether mounts below come along, and whether "readonly" reaches them.
static bool word_recursive(struct sv v, struct mount_words *w, void *to)
{
    struct sandbox_mount *m = to;
    m->nonrecursive = sv_eqz(v, "disabled");
    m->toponly = sv_eqz(v, "writable");
    w->recursive_readonly = sv_eqz(v, "readonly");
    return m->nonrecursive || m->toponly || w->recursive_readonly || sv_eqz(v, "enabled");
}

static bool word_size(struct sv v, struct mount_words *w, void *to)
{
    struct err ignored;
    (void)w;
    return num_bytes(v, to, &ignored) == 0;
}

static bool word_mode(struct sv v, struct mount_words *w, void *to)
{
    (void)w;
    return num_octal(v, 07777, to);
}

static bool word_subpath(struct sv v, struct mount_words *w, void *to)
{
    return subpath_ok(v) && word_text(v, w, to);
}

static bool word_driver(struct sv v, struct mount_words *w, void *to)
{
    (void)w, (void)to;
    return v.n == 0 || sv_eqz(v, "local");
}

static bool word_pair(struct sv v, struct mount_words *w, void *to)
{
    (void)w;
    strv_take(to, sv_dup(v));
    return v.n > 0 && v.p[0] != '=';
}

static bool word_nothing(struct sv v, struct mount_words *w, void *to)
{
    (void)v, (void)w, (void)to;
    return true;
}

#define T(type) (1u << PARSE_MOUNT_##type)
#define M(member) offsetof(struct sandbox_mount, member)
static const struct mount_word {
    const char *key;
    bool (*set)(struct sv value, struct mount_words *w, void *to);
    size_t offset;
    unsigned types;  // that may have it; 0: all
} mount_word_rows[] = {
    {"type", word_type, 0, 0},
    {"source", word_text, M(source), 0},
    {"src", word_text, M(source), 0},
    {"target", word_text, M(target), 0},
    {"dst", word_text, M(target), 0},
    {"destination", word_text, M(target), 0},
    {"readonly", word_bool, M(readonly), 0},
    {"ro", word_bool, M(readonly), 0},
    {"consistency", word_nothing, 0, 0},
    {"bind-propagation", word_propagation, M(propagation), T(BIND)},
    {"bind-nonrecursive", word_bool, M(nonrecursive), T(BIND)},
    {"bind-recursive", word_recursive, 0, T(BIND)},
    {"bind-create-src", word_bool, M(create), T(BIND)},
    {"tmpfs-size", word_size, M(tmpfs_size), T(TMPFS)},
    {"tmpfs-mode", word_mode, M(tmpfs_mode), T(TMPFS)},
    {"volume-nocopy", word_bool, M(nocopy), T(VOLUME)},
    {"volume-subpath", word_subpath, M(subpath), T(VOLUME)},
    {"volume-driver", word_driver, 0, T(VOLUME)},
    {"volume-opt", word_pair, M(options), T(VOLUME)},
    {"volume-label", word_pair, M(labels), T(VOLUME)},
    {"image-subpath", word_subpath, M(subpath), T(IMAGE)},
    {"subpath", word_subpath, M(subpath), T(IMAGE) | T(VOLUME)},
    {"rw", word_bool, M(writable), T(IMAGE)},
    {"readwrite", word_bool, M(writable), T(IMAGE)},
};
#undef T
#undef M
#define MOUNT_WORDS (sizeof mount_word_rows / sizeof *mount_word_rows)

static int bad_mount_word(struct sv key, struct sv value, const char *text, struct err *e)
{
    if (sv_eqz(key, "type")) {
        err_set(e, ERR_USAGE, "unknown type '%.*s' in the mount '%s'", (int)value.n, value.p, text);
        return err_hint(e, "types are bind, image, tmpfs and volume");
    }
    bad_value(key, value, text, e);
    if (sv_eqz(key, "volume-driver")) return err_hint(e, "the only driver is 'local'");
    if (sv_eqz(key, "bind-recursive"))
        return err_hint(e, "it is enabled, disabled, writable or readonly");
    return -1;
}

static int mount_word(struct sv key, struct sv value, const char *text, struct mount_words *w,
                      struct sandbox_mount *m, struct err *e)
{
    for (size_t i = 0; i < MOUNT_WORDS; i++) {
        const struct mount_word *row = &mount_word_rows[i];
        if (!sv_eqz(key, row->key)) continue;
        if (row->types) w->options |= 1u << i;
        return row->set(value, w, (char *)m + row->offset) ? 0
                                                           : bad_mount_word(key, value, text, e);
    }
    err_set(e, ERR_USAGE, "unknown key '%.*s' in the mount '%s'", (int)key.n, key.p, text);
    return err_hint(e, "keys are type, source, target, readonly, consistency, bind-propagation, "
                       "bind-recursive, bind-create-src, tmpfs-size, tmpfs-mode, volume-nocopy, "
                       "volume-subpath, volume-opt, volume-label, volume-driver, image-subpath");
}

// One field of the comma-separated text; a field in double quotes may hold commas.
static struct sv csv_field(struct sv *rest)
{
    if (rest->n && rest->p[0] == '"') {
        struct sv body = sv_from(*rest, 1);
        long end = sv_find(body, '"');
        if (end >= 0) {
            struct sv field = sv_part(body, 0, (size_t)end);
            struct sv after = sv_from(body, (size_t)end + 1);
            *rest = after.n && after.p[0] == ',' ? sv_from(after, 1) : (struct sv){NULL, 0};
            return field;
        }
    }
    return sv_cut(rest, ',');
}

static int check_options(const char *text, const struct mount_words *w, struct err *e)
{
    for (size_t i = 0; i < MOUNT_WORDS; i++)
        if ((w->options & 1u << i) && !(mount_word_rows[i].types & 1u << w->type))
            return err_set(e, ERR_USAGE, "cannot mix '%s' with mount type '%s' in the mount '%s'",
                           mount_word_rows[i].key, mount_types[w->type], text);
    return 0;
}

static int check_recursion(const char *text, const struct mount_words *w,
                           const struct sandbox_mount *m, struct err *e)
{
    if (!w->recursive_readonly) return 0;
    const char *missing = !m->readonly ? "readonly"
                          : !m->propagation || strcmp(m->propagation, "rprivate") != 0
                              ? "bind-propagation=rprivate"
                              : NULL;
    if (!missing) return 0;
    return err_set(e, ERR_USAGE, "'bind-recursive=readonly' needs '%s' as well in the mount '%s'",
                   missing, text);
}

static int check_mount(const char *text, const struct mount_words *w, const struct sandbox_mount *m,
                       struct err *e)
{
    bool need = w->type == PARSE_MOUNT_BIND || w->type == PARSE_MOUNT_IMAGE;
    if (!m->target) return err_set(e, ERR_USAGE, "the mount '%s' has no target", text);
    if (m->target[0] != '/')
        return err_set(e, ERR_USAGE, "the target of the mount '%s' must be an absolute path", text);
    if (need && (!m->source || !m->source[0]))
        return err_set(e, ERR_USAGE, "the %s mount '%s' has no source", mount_types[w->type], text);
    if (w->type == PARSE_MOUNT_TMPFS && m->source)
        return err_set(e, ERR_USAGE, "the tmpfs mount '%s' cannot have a source", text);
    if (check_options(text, w, e) < 0 || check_recursion(text, w, m, e) < 0) return -1;
    if (m->subpath && !m->source)
        return err_set(e, ERR_USAGE, "the mount '%s' has a subpath and names no volume", text);
    if (m->writable && m->readonly)
        return err_set(e, ERR_USAGE, "the mount '%s' is both 'rw' and 'readonly'", text);
    return 0;
}

int sandbox_parse_mount(const char *text, enum sandbox_parse_mount_type *out_type,
                        struct sandbox_mount *out, struct err *e)
{
    struct sandbox_mount m = {.source_fd = -1};
    struct mount_words w = {.type = PARSE_MOUNT_VOLUME};
    struct sv rest = sv_of(text);
    int rc = 0;
    while (rest.p && rc == 0) {
        struct sv value = csv_field(&rest), key = sv_cut(&value, '=');
        key = sv_trim(key);
        if (key.n == 0)
            rc = err_set(e, ERR_USAGE, "an empty field in the mount '%s'", text);
        else
            rc = mount_word(key, value.p ? value : SV(""), text, &w, &m, e);
    }
    if (rc == 0) rc = check_mount(text, &w, &m, e);
    if (rc < 0) {
        sandbox_mount_fini(&m);
        return -1;
    }
    if (w.type == PARSE_MOUNT_IMAGE) m.readonly = !m.writable;
    m.kind = w.type == PARSE_MOUNT_TMPFS ? SANDBOX_MOUNT_TMPFS : SANDBOX_MOUNT_BIND;
    if (w.type == PARSE_MOUNT_TMPFS) m.nosuid = m.nodev = m.noexec = true;
    *out_type = w.type;
    *out = m;
    return 0;
}

// --- --tmpfs -----------------------------------------------------------------------------------

static int tmpfs_word(struct sv o, const char *text, struct sandbox_mount *m, struct err *e)
{
    struct sv value = o, key = sv_cut(&value, '=');
    uint64_t v;
    uint32_t mode;
    static const struct {
        const char *name;
        size_t offset;
        bool value;
    } flags[] = {
        {"ro", offsetof(struct sandbox_mount, readonly), true},
        {"rw", offsetof(struct sandbox_mount, readonly), false},
        {"nosuid", offsetof(struct sandbox_mount, nosuid), true},
        {"suid", offsetof(struct sandbox_mount, nosuid), false},
        {"nodev", offsetof(struct sandbox_mount, nodev), true},
        {"dev", offsetof(struct sandbox_mount, nodev), false},
        {"noexec", offsetof(struct sandbox_mount, noexec), true},
        {"exec", offsetof(struct sandbox_mount, noexec), false},
    };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (!value.p && sv_eqz(key, flags[i].name)) {
            *(bool *)((char *)m + flags[i].offset) = flags[i].value;
            return 0;
        }
    bool ok = value.p != NULL;
    if (ok && sv_eqz(key, "size")) {
        ok = num_bytes(value, &m->tmpfs_size, e) == 0;
    } else if (ok && sv_eqz(key, "mode")) {
        ok = num_octal(value, 07777, &mode);
        m->tmpfs_mode = ok ? mode : 0;
    } else if (ok && (sv_eqz(key, "uid") || sv_eqz(key, "gid"))) {
        ok = num_u64_max(value, UINT32_MAX - 1, &v);
        *(key.p[0] == 'u' ? &m->tmpfs_uid : &m->tmpfs_gid) = ok ? (uid_t)v : 0;
    } else {
        ok = false;
    }
    if (ok) return 0;
    err_set(e, ERR_USAGE, "invalid option '%.*s' in the tmpfs '%s'", (int)o.n, o.p, text);
    return err_hint(
        e, "options are size=, mode=, uid=, gid=, ro, exec, suid, dev and their opposites");
}

int sandbox_parse_tmpfs(const char *text, struct sandbox_mount *out, struct err *e)
{
    struct sandbox_mount m = {.kind = SANDBOX_MOUNT_TMPFS,
                              .source_fd = -1,
                              .nosuid = true,
                              .nodev = true,
                              .noexec = true};
    struct sv rest = sv_of(text), path = sv_cut(&rest, ':');
    if (path.n == 0 || path.p[0] != '/')
        return err_set(e, ERR_USAGE, "the tmpfs '%s' must begin with an absolute path", text);
    while (rest.p)
        if (tmpfs_word(sv_cut(&rest, ','), text, &m, e) < 0) return -1;
    m.target = sv_dup(path);
    *out = m;
    return 0;
}
