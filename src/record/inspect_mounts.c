// SPDX-License-Identifier: Apache-2.0
// Mounts as the Engine API shows them: those that are there, and how they were asked for.
#include "record/inspect.h"

#include <string.h>

#include "base/own.h"
#include "codec/json.h"
#include "record/state.h"

static bool asked_by(const struct record_mount *v, const char *option)
{
    return v->asked && strcmp(v->asked, option) == 0;
}

static bool is_type(const struct record_mount *v, const char *type)
{
    return strcmp(v->type, type) == 0;
}

static void set_text(struct codec_json *j, const char *key, const char *text)
{
    codec_json_set_text(j, key, text ? text : "");
}

static void set_true(struct codec_json *j, const char *key, bool v)
{
    if (v) codec_json_set(j, key, codec_json_new_bool(true));
}

// What is empty is left out, as the API does in these.
static void set_some(struct codec_json *j, const char *key, struct codec_json *v)
{
    if (codec_json_len(v))
        codec_json_set(j, key, v);
    else
        codec_json_free(v);
}

struct codec_json *record_inspect_binds(const struct record_config *c)
{
    struct codec_json *j = codec_json_new_array();
    vec_each (v, &c->volumes) {
        if (!asked_by(v, "volume") || v->anonymous) continue;
        const char *const modes[] = {v->readonly ? "ro" : NULL, v->nocopy ? "nocopy" : NULL, v->propagation};
        own(str) struct str text = {0};
        str_addf(&text, "%s:%s", v->source ? v->source : v->name, v->target);
        char before = ':';
        for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
            if (!modes[i]) continue;
            str_addf(&text, "%c%s", before, modes[i]);
            before = ',';
        }
        codec_json_add(j, codec_json_new_text(str_sv(&text)));
    }
    if (codec_json_len(j)) return j;
    codec_json_free(j);
    return codec_json_new_null();
}

static struct codec_json *bind_options(const struct record_mount *v)
{
    struct codec_json *j = codec_json_new_object();
    codec_json_set_text(j, "Propagation", v->propagation);
    set_true(j, "NonRecursive", v->nonrecursive);
    return j;
}

static struct codec_json *volume_options(const struct record_mount *v)
{
    struct codec_json *j = codec_json_new_object();
    set_true(j, "NoCopy", v->nocopy);
    record_inspect_pairs(j, "Labels", &v->labels);
    codec_json_set_text(j, "Subpath", v->subpath);
    if (v->options.n) {
        struct codec_json *driver = codec_json_new_object();
        set_text(driver, "Name", "local");
        record_inspect_pairs(driver, "Options", &v->options);
        codec_json_set(j, "DriverConfig", driver);
    }
    return j;
}

static struct codec_json *tmpfs_options(const struct record_mount *v)
{
    struct codec_json *j = codec_json_new_object();
    if (v->size) codec_json_set(j, "SizeBytes", codec_json_new_int(v->size));
    if (v->mode) codec_json_set(j, "Mode", codec_json_new_int(v->mode));
    return j;
}

static struct codec_json *asked_mount(const struct record_mount *v)
{
    static const struct {
        const char *type, *key;
        struct codec_json *(*make)(const struct record_mount *v);
    } parts[] = {{"bind", "BindOptions", bind_options},
                 {"volume", "VolumeOptions", volume_options},
                 {"tmpfs", "TmpfsOptions", tmpfs_options}};
    struct codec_json *j = codec_json_new_object();
    set_text(j, "Type", v->type);
    codec_json_set_text(j, "Source", v->source ? v->source : v->anonymous ? NULL : v->name);
    set_text(j, "Target", v->target);
    set_true(j, "ReadOnly", v->readonly);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (is_type(v, parts[i].type)) set_some(j, parts[i].key, parts[i].make(v));
    return j;
}

void record_inspect_asked_mounts(const struct record_config *c, struct codec_json *j)
{
    struct codec_json *tmpfs = codec_json_new_object(), *list = codec_json_new_array();
    vec_each (v, &c->volumes) {
        if (v->tmpfs) set_text(tmpfs, v->target, v->tmpfs);
        if (asked_by(v, "mount")) codec_json_add(list, asked_mount(v));
    }
    set_some(j, "Tmpfs", tmpfs);
    set_some(j, "Mounts", list);
}

struct codec_json *record_inspect_mounts(struct engine *en, const struct record_config *c)
{
    struct codec_json *list = codec_json_new_array();
    vec_each (v, &c->volumes) {
        if (v->tmpfs) continue; // Docker has these in HostConfig.Tmpfs alone
        struct codec_json *j = codec_json_new_object();
        set_text(j, "Type", v->type);
        if (v->name) {
            own(free) char *data = str_fmt("%s/volumes/%s/_data", en->store_path, v->name);
            set_text(j, "Name", v->name);
            set_text(j, "Source", data);
        } else {
            if (v->image) set_text(j, "Name", v->image);
            set_text(j, "Source", v->source);
        }
        set_text(j, "Destination", v->target);
        if (v->name) set_text(j, "Driver", "local");
        set_text(j, "Mode", v->readonly ? "ro" : "");
        codec_json_set(j, "RW", codec_json_new_bool(!v->readonly));
        bool bind = is_type(v, "bind");
        set_text(j, "Propagation", v->propagation ? v->propagation : bind ? "rprivate" : "");
        codec_json_add(list, j);
    }
    return list;
}
