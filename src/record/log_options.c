// SPDX-License-Identifier: Apache-2.0
// --log-driver and --log-opt: how much is kept, and what stands beside each line.
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/own.h"
#include "codec/json.h"
#include "codec/template.h"
#include "record/log.h"
#include "record/state.h"

#define DEFAULT_SIZE ((uint64_t)20 << 20)
#define DEFAULT_FILES 5
#define MAX_FILES 1000
#define MIN_SIZE 4096

static const char *const drivers[LOG_DRIVER_COUNT] = {"json-file", "local", "none"};

const char *record_log_driver_name(enum record_log_driver d)
{
    return (unsigned)d < LOG_DRIVER_COUNT ? drivers[d] : "?";
}

// --- how much ----------------------------------------------------------------------------------

static int max_size(struct sv value, struct record_log_options *out, struct err *e)
{
    uint64_t n;
    if (sv_eqz(value, "-1")) {
        out->max_size = 0;
        return 0;
    }
    if (num_bytes(value, &n, e) < 0) return err_wrap(e, "reading --log-opt max-size");
    out->max_size = n < MIN_SIZE ? MIN_SIZE : n;
    return 0;
}

static int max_file(struct sv value, struct record_log_options *out, struct err *e)
{
    uint64_t n;
    if (!num_u64_max(value, MAX_FILES, &n) || n == 0)
        return err_set(e, ERR_USAGE, "--log-opt max-file must be 1 to %d", MAX_FILES);
    out->max_file = (unsigned)n;
    return 0;
}

// The log never blocks the program here.
static int mode(struct sv value, struct record_log_options *out, struct err *e)
{
    (void)out;
    if (sv_eqz(value, "blocking") || sv_eqz(value, "non-blocking")) return 0;
    return err_set(e, ERR_USAGE, "--log-opt mode is blocking or non-blocking");
}

static int max_buffer(struct sv value, struct record_log_options *out, struct err *e)
{
    uint64_t n;
    (void)out;
    return num_bytes(value, &n, e) < 0 ? err_wrap(e, "reading --log-opt max-buffer-size") : 0;
}

static int compress(struct sv value, struct record_log_options *out, struct err *e)
{
    (void)out;
    if (sv_eqz(value, "false")) return 0;
    if (!sv_eqz(value, "true")) return err_set(e, ERR_USAGE, "--log-opt compress is true or false");
    err_set(e, ERR_UNSUPPORTED, "--log-opt compress=true is not supported: old logs stay as they are");
    return err_hint(e, "max-size and max-file say how much they may take");
}

static const struct {
    const char *name;
    int (*read)(struct sv value, struct record_log_options *out, struct err *e);
    bool json_only; // NULL: record_log_attrs reads it
} options[] = {
    {"max-size", max_size, false},     {"max-file", max_file, false},
    {"mode", mode, false},             {"max-buffer-size", max_buffer, false},
    {"compress", compress, false},     {"labels", NULL, true},
    {"labels-regex", NULL, true},      {"env", NULL, true},
    {"env-regex", NULL, true},         {"tag", NULL, true},
};

static int one_option(const char *text, struct record_log_options *out, struct err *e)
{
    struct sv value = sv_of(text), key = sv_cut(&value, '=');
    if (!value.p) return err_set(e, ERR_USAGE, "invalid logging option '%s'", text);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (!sv_eqz(key, options[i].name) || (options[i].json_only && out->driver != LOG_JSON))
            continue;
        return options[i].read ? options[i].read(value, out, e) : 0;
    }
    err_set(e, ERR_USAGE, "unknown log opt '%.*s' for %s log driver", (int)key.n, key.p,
            drivers[out->driver]);
    return err_hint(e, out->driver == LOG_JSON
                           ? "known are max-size, max-file, labels, env and tag"
                           : "known are max-size and max-file; json-file has labels, env and tag, too");
}

int record_log_options_read(const struct record_config *c, struct record_log_options *out,
                            struct err *e)
{
    int driver = -1;
    const char *name = c->log_driver && c->log_driver[0] ? c->log_driver : drivers[LOG_JSON];
    for (int i = 0; i < LOG_DRIVER_COUNT; i++)
        if (strcmp(name, drivers[i]) == 0) driver = i;
    if (driver < 0) {
        err_set(e, ERR_USAGE, "logger: no log driver named '%s' is registered", name);
        return err_hint(e, "it is json-file, local or none");
    }
    *out = (struct record_log_options){(enum record_log_driver)driver, DEFAULT_SIZE, DEFAULT_FILES};
    for (size_t i = 0; i < c->log_opts.n; i++)
        if (one_option(c->log_opts.p[i], out, e) < 0) return -1;
    return 0;
}

// --- what stands beside each line --------------------------------------------------------------

static void own_regex(regex_t **r)
{
    if (*r) regfree(*r);
}

static const char *option_value(const struct record_config *c, const char *key)
{
    size_t n = strlen(key);
    const char *last = NULL;
    for (size_t i = 0; i < c->log_opts.n; i++)
        if (strncmp(c->log_opts.p[i], key, n) == 0 && c->log_opts.p[i][n] == '=')
            last = c->log_opts.p[i] + n + 1;
    return last;
}

static bool in_list(const char *list, const char *name)
{
    struct sv rest = sv_of(list ? list : "");
    while (rest.p)
        if (sv_eqz(sv_trim(sv_cut(&rest, ',')), name)) return true;
    return false;
}

// The pairs whose names are in the list or match the expression.
static int choose(const struct map *pairs, const char *list, const char *expression, struct map *out,
                  struct err *e)
{
    regex_t compiled;
    own(regex) regex_t *r = NULL;
    if (expression && regcomp(&compiled, expression, REG_EXTENDED | REG_NOSUB) != 0)
        return err_set(e, ERR_USAGE, "'%s' behind --log-opt is not an expression", expression);
    if (expression) r = &compiled;
    vec_each (p, pairs)
        if (in_list(list, p->key) || (r && regexec(r, p->key, 0, NULL, 0) == 0))
            map_set(out, p->key, str_dup(p->value));
    return 0;
}

static int add_tag(const struct record_config *c, struct map *out, struct err *e)
{
    const char *tag = option_value(c, "tag");
    if (!tag || !tag[0]) return 0;
    own(codec_json) struct codec_json *j = codec_json_new_object();
    own(codec_template) struct codec_template *t = NULL;
    own(str) struct str text = {0}, name = {0};
    const char *image = c->brief.image_id ? c->brief.image_id : "";
    const char *hex = strncmp(image, "sha256:", 7) == 0 ? image + 7 : image;
    own(free) char *id = str_fmt("%.12s", c->brief.id), *image_id = str_fmt("%.12s", hex);
    str_addf(&name, "/%s", c->brief.name);
    const struct {
        const char *key, *value;
    } fields[] = {{"ID", id},
                  {"FullID", c->brief.id},
                  {"Name", c->brief.name},
                  {"FullName", str_z(&name)},
                  {"ImageID", image_id},
                  {"ImageFullID", image},
                  {"ImageName", c->brief.image},
                  {"Command", c->brief.command},
                  {"DaemonName", "dewar"}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        codec_json_set_text(j, fields[i].key, fields[i].value ? fields[i].value : "");
    if (codec_template_parse(sv_of(tag), &t, e) < 0 || codec_template_print(t, j, &text, e) < 0) {
        e->kind = ERR_USAGE;
        return err_wrap(e, "reading --log-opt tag");
    }
    if (text.n) map_set(out, "tag", str_take(&text));
    return 0;
}

int record_log_attrs(const struct record_config *c, struct str *out, struct err *e)
{
    own(map) struct map env = {.free_value = free}, attrs = {.free_value = free};
    for (size_t i = 0; i < c->env.n; i++) {
        struct sv value = sv_of(c->env.p[i]), key = sv_cut(&value, '=');
        own(free) char *name = sv_dup(key);
        if (value.p) map_set(&env, name, sv_dup(value));
    }
    if (choose(&c->labels, option_value(c, "labels"), option_value(c, "labels-regex"), &attrs, e) < 0 ||
        choose(&env, option_value(c, "env"), option_value(c, "env-regex"), &attrs, e) < 0 ||
        add_tag(c, &attrs, e) < 0)
        return -1;
    if (!attrs.n) return 0;
    own(codec_json) struct codec_json *j = codec_json_new_object();
    vec_each (a, &attrs) codec_json_set_text(j, a->key, a->value);
    codec_json_print(j, out);
    return 0;
}
