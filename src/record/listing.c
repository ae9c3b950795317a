// SPDX-License-Identifier: Apache-2.0
// Filters are checked and looked up first; then each row is asked. The config of a container is
// read only when a filter needs it, so that a plain listing reads one short line for each.
#include "record/listing.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/own.h"
#include "record/state.h"

// A pattern, read once.
struct looked {
    regex_t name;
    bool has_name;
};

struct asked {
    struct engine *en;
    const struct record_row *row;
    struct record_config *config; // loaded when the filter needs it
    const char *value;
    int64_t number; // of before, since, exited
    struct looked *looked; // of name
    const struct record_listing_options *opt;
};

static bool is_id(const struct asked *a)
{
    return strncmp(a->row->brief.id, a->value, strlen(a->value)) == 0;
}

// A pattern that may or may not know of the slash that Docker's API puts before names.
static bool is_name(const struct asked *a)
{
    char with[RECORD_NAME + 1];
    snprintf(with, sizeof with, "/%s", a->row->brief.name);
    return regexec(&a->looked->name, with, 0, NULL, 0) == 0 ||
           regexec(&a->looked->name, with + 1, 0, NULL, 0) == 0;
}

static bool is_status(const struct asked *a)
{
    return strcmp(record_status_name(a->row->state.status), a->value) == 0;
}

static bool is_exited(const struct asked *a)
{
    return a->row->state.status == RECORD_EXITED && a->row->state.code == a->number;
}

static bool is_older(const struct asked *a)
{
    return a->row->brief.created < a->number;
}

static bool is_newer(const struct asked *a)
{
    return a->row->brief.created > a->number;
}

static bool is_health(const struct asked *a)
{
    return strcmp(record_health_name(a->row->state.health), a->value) == 0;
}

// The image as it was typed, its ID, or one that was made from it.
static bool is_ancestor(const struct asked *a)
{
    const struct record_brief *b = &a->row->brief;
    const char *hex = b->image_id ? b->image_id : "";
    if (strncmp(hex, "sha256:", 7) == 0) hex += 7;
    const char *want = strncmp(a->value, "sha256:", 7) == 0 ? a->value + 7 : a->value;
    size_t n = strlen(want);
    if (b->image && strcmp(b->image, a->value) == 0) return true;
    if (n >= 4 && strncmp(hex, want, n) == 0) return true;
    return a->opt->made_from && b->image_id && a->opt->made_from(a->en, b->image_id, a->value);
}

static bool has_label(const struct asked *a)
{
    const char *eq = strchr(a->value, '=');
    own(free) char *key =
        eq ? sv_dup((struct sv){a->value, (size_t)(eq - a->value)}) : str_dup(a->value);
    const char *have = map_get(&a->config->labels, key);
    return have && (!eq || strcmp(have, eq + 1) == 0);
}

static bool has_volume(const struct asked *a)
{
    vec_each (v, &a->config->volumes)
        if ((v->name && strcmp(v->name, a->value) == 0) ||
            (v->target && strcmp(v->target, a->value) == 0))
            return true;
    return false;
}

static bool has_network(const struct asked *a)
{
    return a->config->network && strcmp(a->config->network, a->value) == 0;
}

// "80" and "80/tcp" are the same.
static bool is_port(const char *have, const char *want)
{
    size_t n = strcspn(want, "/");
    const char *protocol = want[n] ? want + n : "/tcp";
    return strncmp(have, want, n) == 0 && strcmp(have + n, protocol) == 0;
}

static bool is_exposed(const struct asked *a)
{
    for (size_t i = 0; i < a->config->exposed.n; i++)
        if (is_port(a->config->exposed.p[i], a->value)) return true;
    return false;
}

static bool is_published(const struct asked *a)
{
    for (size_t i = 0; i < a->config->ports.n; i++)
        if (is_port(a->config->ports.p[i], a->value)) return true;
    return false;
}

static int read_name(struct asked *a, struct err *e)
{
    char why[200];
    int code = regcomp(&a->looked->name, a->value, REG_EXTENDED | REG_NOSUB);
    a->looked->has_name = code == 0;
    if (code == 0) return 0;
    regerror(code, &a->looked->name, why, sizeof why);
    err_set(e, ERR_USAGE, "invalid filter 'name=%s': %s", a->value, why);
    return err_hint(e, "it is a regular expression, as in name=^web");
}

static int read_port(struct asked *a, struct err *e)
{
    struct sv protocol = sv_of(a->value), port = sv_cut(&protocol, '/');
    uint64_t n;
    bool known = !protocol.p || sv_eqz(protocol, "tcp") || sv_eqz(protocol, "udp") ||
                 sv_eqz(protocol, "sctp");
    if (known && num_u64_max(port, 65535, &n)) return 0;
    err_set(e, ERR_USAGE, "invalid port '%s' in a filter", a->value);
    return err_hint(e, "it is PORT or PORT/PROTOCOL, as in expose=53/udp");
}

// A word of Docker's clusters: there are no tasks here.
static bool is_task(const struct asked *a)
{
    return strcmp(a->value, "false") == 0 || strcmp(a->value, "0") == 0;
}

static int read_status(struct asked *a, struct err *e)
{
    for (int i = 0; i < RECORD_STATUS_COUNT; i++)
        if (strcmp(record_status_name((enum record_status)i), a->value) == 0) return 0;
    err_set(e, ERR_USAGE, "invalid filter 'status=%s'", a->value);
    return err_hint(e, "it can be created, running, paused, restarting, removing, exited or dead");
}

static int read_health(struct asked *a, struct err *e)
{
    for (int i = 0; i < RECORD_HEALTH_COUNT; i++)
        if (strcmp(record_health_name((enum record_health)i), a->value) == 0) return 0;
    err_set(e, ERR_USAGE, "invalid filter 'health=%s'", a->value);
    return err_hint(e, "it can be none, starting, healthy or unhealthy");
}

static int read_code(struct asked *a, struct err *e)
{
    if (num_i64(sv_of(a->value), &a->number)) return 0;
    return err_set(e, ERR_USAGE, "invalid filter 'exited=%s': not a number", a->value);
}

static int read_created(struct asked *a, struct err *e)
{
    char id[RECORD_ID];
    own(record_config) struct record_config c = {0};
    if (record_find(a->en, a->value, id, e) < 0 || record_config_load(a->en, id, &c, e) < 0)
        return -1;
    a->number = c.brief.created;
    return 0;
}

static const struct filter {
    const char *key;
    bool (*fits)(const struct asked *a);
    int (*read)(struct asked *a, struct err *e); // NULL: any text
    bool config, every, all; // needs the config; all values must fit; looks at dead ones too
} filters[] = {
    {"id", is_id, NULL, false, false, false},
    {"name", is_name, read_name, false, false, false},
    {"label", has_label, NULL, true, true, false},
    {"status", is_status, read_status, false, false, true},
    {"exited", is_exited, read_code, false, false, true},
    {"ancestor", is_ancestor, NULL, false, false, false},
    {"before", is_older, read_created, false, true, false},
    {"since", is_newer, read_created, false, true, false},
    {"volume", has_volume, NULL, true, false, false},
    {"network", has_network, NULL, true, false, false},
    {"health", is_health, read_health, false, false, false},
    {"expose", is_exposed, read_port, true, false, false},
    {"is-task", is_task, NULL, false, false, false},
    {"publish", is_published, read_port, true, false, false},
};
#define FILTERS (sizeof filters / sizeof *filters)

struct wanted {
    const struct filter *f;
    const char *value;
    int64_t number;
    struct looked looked;
};
struct wants {
    struct wanted *p;
    size_t n;
    size_t cap;
};
static void own_wants(struct wants *w)
{
    vec_each (v, w)
        if (v->looked.has_name) regfree(&v->looked.name);
    vec_fini(w);
}

static int unknown(const char *text, struct err *e)
{
    own(str) struct str all = {0};
    for (size_t i = 0; i < FILTERS; i++) str_addf(&all, "%s%s", i ? ", " : "", filters[i].key);
    err_set(e, ERR_USAGE, "invalid filter '%s'", text);
    return err_hint(e, "it is KEY=VALUE; the keys are %s", str_z(&all));
}

static int read_filters(struct engine *en, const struct strv *texts, struct wants *out, bool *all,
                        struct err *e)
{
    for (size_t i = 0; texts && i < texts->n; i++) {
        const char *eq = strchr(texts->p[i], '=');
        size_t n = eq ? (size_t)(eq - texts->p[i]) : 0, k = 0;
        while (k < FILTERS && !(strlen(filters[k].key) == n &&
                                strncmp(filters[k].key, texts->p[i], n) == 0))
            k++;
        if (!eq || k == FILTERS) return unknown(texts->p[i], e);
        struct wanted *w = vec_add(out);
        struct asked a = {.en = en, .value = eq + 1, .looked = &w->looked};
        w->f = &filters[k];
        w->value = eq + 1;
        if (w->f->read && w->f->read(&a, e) < 0) return -1;
        w->number = a.number;
        *all |= w->f->all;
    }
    return 0;
}

// Rows that fit each key: by one of its values, or by every one.
static bool row_fits(struct asked *a, struct wants *w)
{
    for (size_t k = 0; k < FILTERS; k++) {
        size_t asked = 0, fit = 0;
        for (size_t i = 0; i < w->n; i++) {
            if (w->p[i].f != &filters[k]) continue;
            a->value = w->p[i].value;
            a->number = w->p[i].number;
            a->looked = &w->p[i].looked;
            asked++;
            fit += filters[k].fits(a);
        }
        if (asked && (filters[k].every ? fit < asked : fit == 0)) return false;
    }
    return true;
}

static bool keep(struct engine *en, const struct record_listing_options *opt,
                 const struct record_row *row, struct wants *w)
{
    own(record_config) struct record_config c = {0};
    struct err gone = {0};
    bool config = false;
    for (size_t i = 0; i < w->n; i++) config |= w->p[i].f->config;
    if (config && record_config_load(en, row->brief.id, &c, &gone) < 0) return false;
    struct asked a = {.en = en, .row = row, .config = &c, .opt = opt};
    return row_fits(&a, w);
}

int record_listing(struct engine *en, const struct record_listing_options *opt,
                   struct record_rows *out, struct err *e)
{
    own(wants) struct wants w = {0};
    bool all = opt->all || opt->last > 0;
    if (read_filters(en, opt->filters, &w, &all, e) < 0 || record_list(en, all, out, e) < 0)
        return -1;
    size_t kept = 0;
    for (size_t i = 0; i < out->n; i++) {
        struct record_row *row = &out->p[i];
        bool enough = opt->last > 0 && kept == (size_t)opt->last;
        if (!enough && (w.n == 0 || keep(en, opt, row, &w)))
            out->p[kept++] = *row;
        else
            record_brief_fini(&row->brief);
    }
    out->n = kept;
    return 0;
}
