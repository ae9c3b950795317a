// SPDX-License-Identifier: Apache-2.0
// Reads registries.conf. What says where an image comes from and how far to trust it must not be
// half understood: a wrong type, an impossible location or the old version 1 is an error with its
// line. Three settings are read past on purpose: unqualified-search-registries, short-name-mode and
// [aliases] would make a short name mean another image here than in Docker (docs/registries.md).
#include "registry/conf.h"

#include <assert.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/own.h"
#include "codec/toml.h"
#include "registry/dockerd.h"
#include "registry/host.h"

#define SYSTEM_CONF "/etc/containers/registries.conf"
#define RULES_MAX 4096

static void rule_fini(struct registry_conf_rule *r)
{
    for (size_t i = 0; i < r->mirrors.n; i++) free(r->mirrors.p[i].location);
    vec_fini(&r->mirrors);
    free(r->prefix);
    free(r->location);
    free(r->where);
    *r = (struct registry_conf_rule){0};
}
static inline void own_rule(struct registry_conf_rule *r)
{
    rule_fini(r);
}

void registry_conf_fini(struct registry_conf *c)
{
    for (size_t i = 0; i < c->rules.n; i++) rule_fini(&c->rules.p[i]);
    vec_fini(&c->rules);
}

// --- one file ---------------------------------------------------------------------------------

// As they stand in the file.
struct raw_mirror {
    char *location, *pull;
    bool insecure;
};
struct raw_rule {
    char *prefix, *location;
    bool insecure, blocked, by_digest;
    const struct codec_json *mirrors;
};

static void own_raw_mirror(struct raw_mirror *m)
{
    free(m->location);
    free(m->pull);
}
static void own_raw_rule(struct raw_rule *r)
{
    free(r->prefix);
    free(r->location);
}

// host[:port][/path], perhaps behind "*." (a prefix alone). Trailing slashes are dropped.
static int check_location(char *z, bool star, const char *where, const char *key, struct err *e)
{
    struct sv all = sv_of(z);
    while (all.n && z[all.n - 1] == '/') z[--all.n] = '\0';
    struct sv path = star && sv_starts(all, "*.") ? sv_from(all, 2) : all;
    struct sv host = sv_cut(&path, '/');
    bool whole = !(path.p && sv_starts(all, "*."));
    // A tag's colon behind a path: such prefixes are in the format but match single images only.
    if (registry_host_valid(host) && whole && (!path.p || (path.n && sv_find(path, ':') < 0)))
        return 0;
    err_set(e, ERR_INPUT, "%s: '%s' is not a usable %s", where, z, key);
    return err_hint(e, "write host[:port][/namespace], without https:// and without a tag");
}

static int read_mirror(const struct codec_json *j, const struct raw_rule *rule, const char *where,
                       struct registry_conf_rule *out, struct err *e)
{
    static const struct codec_field fields[] = {
        {"location", CODEC_FIELD_TEXT, offsetof(struct raw_mirror, location), true},
        {"insecure", CODEC_FIELD_BOOL, offsetof(struct raw_mirror, insecure), false},
        {"pull-from-mirror", CODEC_FIELD_TEXT, offsetof(struct raw_mirror, pull), false},
    };
    own(raw_mirror) struct raw_mirror raw = {0};
    if (codec_json_decode(j, where, fields, sizeof fields / sizeof *fields, &raw, e) < 0 ||
        check_location(raw.location, false, where, "location of a mirror", e) < 0)
        return -1;
    struct sv pull = sv_of(raw.pull ? raw.pull : "all");
    bool digest = sv_eqz(pull, "digest-only"), tag = sv_eqz(pull, "tag-only");
    if (!digest && !tag && !sv_eqz(pull, "all"))
        return err_set(e, ERR_INPUT,
                       "%s: pull-from-mirror is '%s', not all, digest-only or tag-only", where,
                       raw.pull);
    if (rule->by_digest && raw.pull)
        return err_set(e, ERR_INPUT,
                       "%s: mirror-by-digest-only and pull-from-mirror exclude each other", where);
    struct registry_conf_mirror *m = vec_add(&out->mirrors);
    m->location = take_ptr(raw.location);
    m->insecure = raw.insecure;
    m->digest_only = digest || rule->by_digest;
    m->tag_only = tag;
    return 0;
}

static int read_rule(const struct codec_json *j, const char *where, struct registry_conf_rule *out,
                     struct err *e)
{
    static const struct codec_field fields[] = {
        {"prefix", CODEC_FIELD_TEXT, offsetof(struct raw_rule, prefix), false},
        {"location", CODEC_FIELD_TEXT, offsetof(struct raw_rule, location), false},
        {"insecure", CODEC_FIELD_BOOL, offsetof(struct raw_rule, insecure), false},
        {"blocked", CODEC_FIELD_BOOL, offsetof(struct raw_rule, blocked), false},
        {"mirror-by-digest-only", CODEC_FIELD_BOOL, offsetof(struct raw_rule, by_digest), false},
        {"mirror", CODEC_FIELD_VALUE, offsetof(struct raw_rule, mirrors), false},
    };
    own(raw_rule) struct raw_rule raw = {0};
    if (codec_json_decode(j, where, fields, sizeof fields / sizeof *fields, &raw, e) < 0) return -1;
    bool prefixed = raw.prefix && raw.prefix[0], located = raw.location && raw.location[0];
    if (!prefixed && !located)
        return err_set(e, ERR_INPUT, "%s: a [[registry]] needs a prefix or a location", where);
    if ((prefixed && check_location(raw.prefix, true, where, "prefix", e) < 0) ||
        (located && check_location(raw.location, false, where, "location", e) < 0))
        return -1;
    out->prefix = str_dup(prefixed ? raw.prefix : raw.location);
    out->location = str_dup(located ? raw.location : "");
    out->where = str_dup(where);
    out->insecure = raw.insecure;
    out->blocked = raw.blocked;
    if (raw.mirrors && codec_json_type(raw.mirrors) != CODEC_JSON_ARRAY)
        return err_set(e, ERR_INPUT, "%s: 'mirror' must be an array of tables", where);
    for (size_t i = 0; raw.mirrors && i < codec_json_len(raw.mirrors); i++)
        if (read_mirror(codec_json_at(raw.mirrors, i), &raw, where, out, e) < 0) return -1;
    return 0;
}

// A later file's entry takes the place of an earlier one with the same prefix.
static int add_rule(struct registry_conf *conf, size_t first, struct registry_conf_rule *r,
                    struct err *e)
{
    assert(r->prefix); // read_rule gives every rule one
    for (size_t i = 0; i < conf->rules.n; i++) {
        if (strcmp(conf->rules.p[i].prefix, r->prefix) != 0) continue;
        if (i >= first)
            return err_set(e, ERR_INPUT, "%s: '%s' has an entry already, at %s", r->where,
                           r->prefix, conf->rules.p[i].where);
        rule_fini(&conf->rules.p[i]);
        conf->rules.p[i] = *r;
        *r = (struct registry_conf_rule){0};
        return 0;
    }
    if (conf->rules.n >= RULES_MAX)
        return err_set(e, ERR_LIMIT, "%s: more than %d [[registry]] entries", r->where, RULES_MAX);
    vec_push(&conf->rules, *r);
    *r = (struct registry_conf_rule){0};
    return 0;
}

static int read_rules(struct sv text, const struct codec_json *root, const char *path,
                      struct registry_conf *conf, struct err *e)
{
    const struct codec_json *list = codec_json_get(root, "registry");
    size_t first = conf->rules.n;
    if (!list) return 0;
    if (codec_json_type(list) != CODEC_JSON_ARRAY)
        return err_set(e, ERR_INPUT, "%s:%u: 'registry' must be an array of tables, [[registry]]",
                       path, codec_toml_line(text, "registry", 0));
    for (size_t i = 0; i < codec_json_len(list); i++) {
        own(rule) struct registry_conf_rule r = {0};
        own(free) char *where = str_fmt("%s:%u", path, codec_toml_line(text, "registry", i));
        if (read_rule(codec_json_at(list, i), where, &r, e) < 0) return -1;
        if (add_rule(conf, first, &r, e) < 0) return -1;
    }
    return 0;
}

static int read_text(const char *path, struct str *out, struct err *e)
{
    struct stat st;
    own(fd) int fd = fs_open(path, O_RDONLY | O_NONBLOCK, 0, e);
    if (fd < 0) return -1;
    if (fstat(fd, &st) != 0) return err_sys(e, "stat '%s'", path);
    if (S_ISCHR(st.st_mode)) return 0; // /dev/null
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_INPUT, "'%s' is a %s, not a regular file", path,
                       fs_type_name(st.st_mode));
    if (fs_read_fd(fd, REGISTRY_CONF_MAX, out, e) < 0) return err_wrap(e, "reading '%s'", path);
    return 0;
}

static int load_one(const char *path, struct registry_conf *conf, struct err *e)
{
    own(str) struct str text = {0};
    own(codec_json) struct codec_json *root = NULL;
    if (read_text(path, &text, e) < 0 || codec_toml_parse(str_sv(&text), path, &root, e) < 0)
        return -1;
    if (codec_json_get(root, "registries")) {
        err_set(e, ERR_UNSUPPORTED, "%s:%u: version 1 of registries.conf", path,
                codec_toml_line(str_sv(&text), "registries.search", 0));
        return err_hint(e, "write [[registry]] tables (version 2)");
    }
    return read_rules(str_sv(&text), root, path, conf, e);
}

// --- which files ------------------------------------------------------------------------------

// *.conf in byte order; a folder that is not there is fine.
static int load_folder(const char *folder, struct registry_conf *conf, struct err *e)
{
    own(strv) struct strv names = {0};
    if (!fs_exists(AT_FDCWD, folder)) return 0;
    if (fs_list(AT_FDCWD, folder, &names, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++) {
        if (!sv_ends(sv_of(names.p[i]), ".conf")) continue;
        own(free) char *path = str_fmt("%s/%s", folder, names.p[i]);
        if (load_one(path, conf, e) < 0) return -1;
    }
    return 0;
}

// The person's main file shuts the machine's files out, as it does for Podman.
static int load_all(struct registry_conf *conf, struct err *e)
{
    const char *named = getenv("CONTAINERS_REGISTRIES_CONF"), *home = getenv("HOME");
    const char *config = getenv("XDG_CONFIG_HOME");
    own(free) char *mine = NULL, *mine_d = NULL;
    if (config && config[0])
        mine = str_fmt("%s/containers/registries.conf", config);
    else if (home && home[0])
        mine = str_fmt("%s/.config/containers/registries.conf", home);
    if (mine) mine_d = str_fmt("%s.d", mine);
    bool is_named = named && named[0], alone = !is_named && mine && fs_exists(AT_FDCWD, mine);
    const char *main_file = is_named ? named : alone ? mine : SYSTEM_CONF;
    if ((is_named || fs_exists(AT_FDCWD, main_file)) && load_one(main_file, conf, e) < 0) return -1;
    if (!alone && load_folder(SYSTEM_CONF ".d", conf, e) < 0) return -1;
    return mine_d ? load_folder(mine_d, conf, e) : 0;
}

int registry_conf_load(struct registry_conf *out, struct err *e)
{
    own(registry_conf) struct registry_conf c = {0};
    if (load_all(&c, e) < 0) return err_wrap(e, "reading where registries are");
    *out = c;
    c = (struct registry_conf){0}; // moved
    return 0;
}

// --- choosing ---------------------------------------------------------------------------------

// Bytes of `full` that the prefix stands for; 0 when it does not fit. It must end where a part
// ends.
static size_t match(const char *prefix, struct sv full)
{
    struct sv p = sv_of(prefix);
    size_t n = p.n;
    if (sv_starts(p, "*.")) {
        struct sv rest = full;
        struct sv host = sv_cut(&rest, '/');
        struct sv bare = host;
        if (sv_find(p, ':') < 0 && sv_find(bare, ':') >= 0) bare = sv_cut(&bare, ':');
        if (!sv_ends(bare, prefix + 1)) return 0;
        return bare.n;
    }
    if (full.n < n || !sv_eq(sv_part(full, 0, n), p)) return 0;
    return full.n == n || full.p[n] == '/' ? n : 0;
}

const struct registry_conf_rule *registry_conf_find(const struct registry_conf *c, struct sv full,
                                                    size_t *out_matched)
{
    const struct registry_conf_rule *best = NULL;
    for (size_t i = 0; i < c->rules.n; i++) {
        const struct registry_conf_rule *r = &c->rules.p[i];
        size_t n = match(r->prefix, full);
        if (!n || (best && strlen(r->prefix) <= strlen(best->prefix))) continue;
        best = r;
        *out_matched = n;
    }
    return best;
}
