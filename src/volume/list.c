// SPDX-License-Identifier: Apache-2.0
// Volumes as `volume create`, `ls`, `inspect` and `prune` see them, in Docker's words.
#include "volume/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/own.h"
#include "record/record.h"
#include "record/state.h"
#include "record/uses.h"
#include "sandbox/parse.h"
#include "store/event.h"
#include "store/tmp.h"
#include "volume/volume.h"

#define META_MAX ((size_t)1 << 20)

// --- meta --------------------------------------------------------------------------------------

void volume_meta_print(const struct volume_meta *m, struct str *out)
{
    own(codec_json) struct codec_json *j = codec_json_new_object();
    struct codec_json *labels = codec_json_new_object();
    vec_each(item, &m->labels) codec_json_set_text(labels, item->key, item->value);
    codec_json_set(j, "created", codec_json_new_int(m->created));
    codec_json_set(j, "anonymous", codec_json_new_bool(m->anonymous));
    codec_json_set(j, "labels", labels);
    if (m->options.n) {
        struct codec_json *options = codec_json_new_object();
        vec_each(item, &m->options) codec_json_set_text(options, item->key, item->value);
        codec_json_set(j, "options", options);
    }
    codec_json_print(j, out);
    str_addc(out, '\n');
}

static void read_labels(const struct codec_json *j, struct map *out)
{
    void *it = NULL;
    const char *key;
    struct codec_json *value;
    out->free_value = free;
    while (codec_json_type(j) == CODEC_JSON_OBJECT && codec_json_next(j, &it, &key, &value))
        map_set(out, key, sv_dup(codec_json_text(value)));
}

void volume_meta_fini(struct volume_meta *m)
{
    map_fini(&m->labels);
    map_fini(&m->options);
}

static void take_meta(const struct codec_json *j, struct volume_meta *out)
{
    out->created = codec_json_int(codec_json_get(j, "created"));
    out->anonymous = codec_json_bool(codec_json_get(j, "anonymous"));
    read_labels(codec_json_get(j, "labels"), &out->labels);
    read_labels(codec_json_get(j, "options"), &out->options);
}

// One that cannot be read must not be taken for an empty folder: what it says is not known.
int volume_meta_load(int dir, struct volume_meta *out, struct err *e)
{
    own(str) struct str text = {0};
    own(codec_json) struct codec_json *j = NULL;
    if (!fs_exists(dir, "meta")) return 0;
    if (fs_read_at(dir, "meta", META_MAX, &text, e) < 0 ||
        codec_json_parse(str_sv(&text), "a volume's meta", &j, e) < 0)
        return -1;
    take_meta(j, out);
    return 0;
}

int volume_meta_add(struct map *to, const struct strv *texts, const char *what, struct err *e)
{
    to->free_value = free;
    for (size_t i = 0; i < texts->n; i++) {
        struct sv value = sv_of(texts->p[i]), key = sv_cut(&value, '=');
        own(free) char *k = sv_dup(key);
        if (key.n == 0) return err_set(e, ERR_USAGE, "the %s '%s' has no name", what, texts->p[i]);
        map_set(to, k, sv_dup(value.p ? value : SV("")));
    }
    return 0;
}

// An anonymous one that a container made has no meta; its folder tells when.
static int load_row(struct engine *en, const char *name, struct volume_row *row, struct err *e)
{
    struct stat st;
    struct err bad = {0};
    own(str) struct str text = {0};
    own(codec_json) struct codec_json *j = NULL;
    own(free) char *folder = str_fmt("volumes/%s", name);
    own(free) char *meta = str_fmt("volumes/%s/meta", name);
    if (!sandbox_parse_name_ok(name) ||
        fstatat(en->store_fd, folder, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode))
        return volume_missing(name, e);
    row->name = str_dup(name);
    row->mountpoint = str_fmt("%s/volumes/%s/_data", en->store_path, name);
    row->created = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    if (!fs_exists(en->store_fd, meta)) {
        row->anonymous = record_is_id(name);
        return 0;
    }
    // A damaged one is shown, and kept: it counts as one with a name.
    if (fs_read_at(en->store_fd, meta, META_MAX, &text, &bad) < 0 ||
        codec_json_parse(str_sv(&text), "a volume's meta", &j, &bad) < 0) {
        event_warn(&en->sink, "volume '%s': %s", name, err_cause(&bad));
        return 0;
    }
    struct volume_meta m = {0};
    take_meta(j, &m);
    row->created = m.created;
    row->anonymous = m.anonymous;
    row->labels = m.labels;
    row->options = m.options;
    return 0;
}

static void row_fini(struct volume_row *row)
{
    free(row->name);
    free(row->mountpoint);
    map_fini(&row->labels);
    map_fini(&row->options);
    strv_fini(&row->users);
}

void volume_rows_fini(struct volume_rows *v)
{
    vec_each(row, v) row_fini(row);
    vec_fini(v);
}

// --- create ------------------------------------------------------------------------------------

int volume_create(struct engine *en, const char *name, const struct strv *labels,
                  const struct strv *options, char out[RECORD_NAME], struct err *e)
{
    own(volume_meta) struct volume_meta meta = {.created = clock_real_ns(), .anonymous = !name};
    char id[RECORD_ID];
    if (name ? volume_name_check(name, e) < 0 : record_new_id(id, e) < 0) return -1;
    if (volume_meta_add(&meta.labels, labels, "label", e) < 0 ||
        volume_meta_add(&meta.options, options, "option", e) < 0 ||
        volume_driver_check(en, &meta.options, e) < 0)
        return -1;
    snprintf(out, RECORD_NAME, "%s", name ? name : id);
    int rc = volume_make(en, out, &meta, e);
    if (rc == 0) err_clear(e);
    return rc < 0 ? -1 : 0;
}

// --- list --------------------------------------------------------------------------------------

static bool label_fits(const struct volume_row *row, const char *want)
{
    struct sv value = sv_of(want), key = sv_cut(&value, '=');
    own(free) char *k = sv_dup(key);
    const char *have = map_get(&row->labels, k);
    return have && (!value.p || sv_eqz(value, have));
}

static bool name_fits(const struct volume_row *row, const char *want)
{
    return strstr(row->name, want) != NULL;
}

static bool driver_fits(const struct volume_row *row, const char *want)
{
    (void)row;
    return strcmp(want, "local") == 0;
}

static bool is_yes(const char *v)
{
    return strcmp(v, "1") == 0 || strcmp(v, "true") == 0;
}

static bool dangling_fits(const struct volume_row *row, const char *want)
{
    return (row->users.n == 0) == is_yes(want);
}

static bool all_fits(const struct volume_row *row, const char *want)
{
    (void)row, (void)want;
    return true; // read by prune
}

// `every`: all values of the key must fit, else any.
static const struct filter {
    const char *key;
    bool (*fits)(const struct volume_row *row, const char *want);
    bool list, prune, every, boolean;
} filters[] = {
    {"dangling", dangling_fits, true, false, false, true},
    {"driver", driver_fits, true, false, false, false},
    {"label", label_fits, true, true, true, false},
    {"name", name_fits, true, false, false, false},
    {"all", all_fits, false, true, true, true},
};
#define FILTERS (sizeof filters / sizeof *filters)

// "label!" is "label" with the opposite meaning; only prune has it.
static const struct filter *filter_of(const char *text, const char **out_value, bool *out_not)
{
    struct sv rest = sv_of(text), key = sv_cut(&rest, '=');
    *out_not = key.n && key.p[key.n - 1] == '!';
    if (*out_not) key.n--;
    *out_value = rest.p;
    for (size_t i = 0; rest.p && i < FILTERS; i++)
        if (sv_eqz(key, filters[i].key)) return &filters[i];
    return NULL;
}

static int check_filters(const struct strv *asked, bool prune, struct err *e)
{
    for (size_t i = 0; asked && i < asked->n; i++) {
        const char *value;
        bool not ;
        const struct filter *f = filter_of(asked->p[i], &value, &not );
        if (!f || !(prune ? f->prune : f->list) || (not &&(!prune || f->fits != label_fits))) {
            err_set(e, ERR_USAGE, "invalid filter '%s'", asked->p[i]);
            return err_hint(e, prune
                                   ? "it is label=K[=V], label!=K[=V] or all=true"
                                   : "it is dangling=true, name=TEXT, label=K[=V] or driver=local");
        }
        if (f->boolean && !is_yes(value) && strcmp(value, "0") != 0 && strcmp(value, "false") != 0)
            return err_set(e, ERR_USAGE, "invalid filter '%s': it is true or false", asked->p[i]);
    }
    return 0;
}

static bool fits(const struct volume_row *row, const struct strv *asked)
{
    bool seen[FILTERS] = {false}, any[FILTERS] = {false};
    for (size_t i = 0; asked && i < asked->n; i++) {
        const char *value;
        bool not ;
        const struct filter *f = filter_of(asked->p[i], &value, &not );
        bool fit = f->fits(row, value) != not ;
        if (f->every && !fit) return false;
        seen[f - filters] = true;
        any[f - filters] |= fit;
    }
    for (size_t i = 0; i < FILTERS; i++)
        if (seen[i] && !any[i]) return false;
    return true;
}

static int load_all(struct engine *en, const struct strv *asked, struct volume_rows *out,
                    struct err *e)
{
    own(strv) struct strv names = {0};
    own(record_uses) struct record_uses uses = {0};
    if (fs_list(en->store_fd, "volumes", &names, e) < 0 || record_uses_load(en, &uses, e) < 0)
        return -1;
    for (size_t i = 0; i < names.n; i++) {
        struct volume_row row = {0};
        struct err gone;
        if (load_row(en, names.p[i], &row, &gone) == 0) {
            vec_each(u, &uses) if (strcmp(u->name, row.name) == 0) strv_add(&row.users, u->id);
            if (fits(&row, asked)) {
                vec_push(out, row);
                continue;
            }
        }
        row_fini(&row);
    }
    return 0;
}

int volume_list(struct engine *en, const struct strv *asked, struct volume_rows *out, struct err *e)
{
    if (check_filters(asked, false, e) < 0 || record_sweep(en, e) < 0) return -1;
    return load_all(en, asked, out, e);
}

// --- inspect -----------------------------------------------------------------------------------

struct codec_json *volume_json(const struct volume_row *row)
{
    own(str) struct str created = {0};
    struct codec_json *j = codec_json_new_object(), *labels = codec_json_new_object();
    vec_each(item, &row->labels) codec_json_set_text(labels, item->key, item->value);
    clock_print(row->created / 1000000000, &created);
    codec_json_set_text(j, "CreatedAt", str_z(&created));
    codec_json_set_text(j, "Driver", "local");
    codec_json_set(j, "Labels", labels);
    codec_json_set_text(j, "Mountpoint", row->mountpoint);
    codec_json_set_text(j, "Name", row->name);
    struct codec_json *options = codec_json_new_object();
    vec_each(item, &row->options) codec_json_set_text(options, item->key, item->value);
    codec_json_set(j, "Options", options);
    codec_json_set_text(j, "Scope", "local");
    return j;
}

int volume_inspect(struct engine *en, const char *name, struct codec_json **out, struct err *e)
{
    struct volume_row row = {0};
    int rc = load_row(en, name, &row, e);
    if (rc == 0) *out = volume_json(&row);
    row_fini(&row);
    return rc;
}

// --- prune -------------------------------------------------------------------------------------

int volume_prune(struct engine *en, bool all, const struct strv *asked, struct strv *out_removed,
                 uint64_t *out_freed, struct err *e)
{
    own(volume_rows) struct volume_rows rows = {0};
    if (check_filters(asked, true, e) < 0 || record_sweep(en, e) < 0 || engine_enter(en, e) < 0 ||
        load_all(en, asked, &rows, e) < 0)
        return -1;
    for (size_t i = 0; asked && i < asked->n; i++)
        if (strncmp(asked->p[i], "all=", 4) == 0) all = is_yes(asked->p[i] + 4);
    vec_each(row, &rows)
    {
        struct err used = {0};
        if (row->users.n || (!all && !row->anonymous)) continue;
        if (volume_remove(en, row->name, true, &used) == 0)
            strv_add(out_removed, row->name);
        else if (used.kind != ERR_CONFLICT) // somebody has begun to use it
            event_warn(&en->sink, "volume '%s' stays: %s", row->name, err_cause(&used));
    }
    if (store_sweep(en, out_freed, e) < 0) return -1;
    store_event_pruned(en, "volume", *out_freed);
    return 0;
}
