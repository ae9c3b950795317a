// SPDX-License-Identifier: Apache-2.0
// The image config: read leniently where specs ask for it (unknown fields, missing ones), strictly
// where a wrong value could mean another image (types, digests, counts), and printed in one fixed
// key order, because the printed bytes are the image's identity.
#include "oci/image.h"

#include "base/clock.h"
#include "base/engine.h"
#include "base/own.h"

void oci_image_init(struct oci_image *im)
{
    memset(im, 0, sizeof *im);
    oci_platform_host(&im->platform);
    im->created = INT64_MIN;
    im->stop_timeout = -1;
    im->labels.free_value = free;
}

static void health_fini(struct oci_health *h)
{
    strv_fini(&h->test);
    memset(h, 0, sizeof *h);
}

static void history_fini(struct oci_history *h)
{
    free(h->created_by);
    free(h->author);
    free(h->comment);
}

void oci_image_fini(struct oci_image *im)
{
    free(im->author);
    free(im->user);
    map_fini(&im->exposed_ports);
    strv_fini(&im->env);
    strv_fini(&im->entrypoint);
    strv_fini(&im->cmd);
    map_fini(&im->volumes);
    free(im->workdir);
    im->labels.free_value = free;
    map_fini(&im->labels);
    free(im->stop_signal);
    health_fini(&im->health);
    strv_fini(&im->onbuild);
    strv_fini(&im->shell);
    free(im->diff_ids);
    for (size_t i = 0; i < im->histories; i++) history_fini(&im->history[i]);
    free(im->history);
    memset(im, 0, sizeof *im);
}

// --- parse --------------------------------------------------------------------------------------

static int wrong_type(struct err *e, const char *label, const char *key, const char *want)
{
    return err_set(e, ERR_INPUT, "%s: '%s' must be %s", label, key, want);
}

// The member, or NULL when it is absent or null; -1 through *bad when it has another type.
static struct codec_json *member(const struct codec_json *obj, const char *key,
                                 enum codec_json_type type, const char *label, bool *bad,
                                 struct err *e)
{
    struct codec_json *v = codec_json_get(obj, key);
    if (!v || codec_json_type(v) == CODEC_JSON_NULL) return NULL;
    if (codec_json_type(v) == type) return v;
    wrong_type(e, label, key, type == CODEC_JSON_OBJECT ? "an object" : "an array");
    *bad = true;
    return NULL;
}

// {"80/tcp": {}}: a set spelled as an object.
static int parse_set(const struct codec_json *obj, const char *key, const char *label,
                     struct map *out, struct err *e)
{
    bool bad = false;
    struct codec_json *set = member(obj, key, CODEC_JSON_OBJECT, label, &bad, e);
    if (bad) return -1;
    void *it = NULL;
    const char *name = NULL;
    struct codec_json *value = NULL;
    while (set && codec_json_next(set, &it, &name, &value)) map_set(out, name, NULL);
    return 0;
}

static int parse_labels(const struct codec_json *obj, const char *label, struct map *out,
                        struct err *e)
{
    bool bad = false;
    struct codec_json *labels = member(obj, "Labels", CODEC_JSON_OBJECT, label, &bad, e);
    if (bad) return -1;
    void *it = NULL;
    const char *name = NULL;
    struct codec_json *value = NULL;
    while (labels && codec_json_next(labels, &it, &name, &value)) {
        if (codec_json_type(value) != CODEC_JSON_TEXT) {
            return wrong_type(e, label, "Labels", "an object of texts");
        }
        map_set(out, name, sv_dup(codec_json_text(value)));
    }
    return 0;
}

static int parse_health(const struct codec_json *obj, const char *label, struct oci_health *h,
                        struct err *e)
{
    static const struct codec_field fields[] = {
        {"Test", CODEC_FIELD_STRV, offsetof(struct oci_health, test), false},
        {"Interval", CODEC_FIELD_INT, offsetof(struct oci_health, interval_ns), false},
        {"Timeout", CODEC_FIELD_INT, offsetof(struct oci_health, timeout_ns), false},
        {"StartPeriod", CODEC_FIELD_INT, offsetof(struct oci_health, start_period_ns), false},
        {"StartInterval", CODEC_FIELD_INT, offsetof(struct oci_health, start_interval_ns), false},
        {"Retries", CODEC_FIELD_INT, offsetof(struct oci_health, retries), false},
    };
    bool bad = false;
    struct codec_json *v = member(obj, "Healthcheck", CODEC_JSON_OBJECT, label, &bad, e);
    if (bad) return -1;
    if (!v) return 0;
    h->set = true;
    return codec_json_decode(v, label, fields, sizeof fields / sizeof *fields, h, e);
}

// An empty list is kept apart from an absent one: ENTRYPOINT [] says something.
static bool present(const struct codec_json *obj, const char *key)
{
    const struct codec_json *v = codec_json_get(obj, key);
    return v && codec_json_type(v) != CODEC_JSON_NULL;
}

static void keep_pairs(struct strv *env)
{
    size_t kept = 0;
    for (size_t i = 0; i < env->n; i++) {
        if (strchr(env->p[i], '=')) {
            env->p[kept++] = env->p[i];
        } else {
            free(env->p[i]);
        }
    }
    env->n = kept;
}

static int parse_config(const struct codec_json *doc, const char *label, struct oci_image *im,
                        struct err *e)
{
    static const struct codec_field fields[] = {
        {"User", CODEC_FIELD_TEXT, offsetof(struct oci_image, user), false},
        {"Env", CODEC_FIELD_STRV, offsetof(struct oci_image, env), false},
        {"Entrypoint", CODEC_FIELD_STRV, offsetof(struct oci_image, entrypoint), false},
        {"Cmd", CODEC_FIELD_STRV, offsetof(struct oci_image, cmd), false},
        {"WorkingDir", CODEC_FIELD_TEXT, offsetof(struct oci_image, workdir), false},
        {"StopSignal", CODEC_FIELD_TEXT, offsetof(struct oci_image, stop_signal), false},
        {"StopTimeout", CODEC_FIELD_INT, offsetof(struct oci_image, stop_timeout), false},
        {"OnBuild", CODEC_FIELD_STRV, offsetof(struct oci_image, onbuild), false},
        {"Shell", CODEC_FIELD_STRV, offsetof(struct oci_image, shell), false},
        {"ArgsEscaped", CODEC_FIELD_BOOL, offsetof(struct oci_image, args_escaped), false},
    };
    bool bad = false;
    struct codec_json *c = member(doc, "config", CODEC_JSON_OBJECT, label, &bad, e);
    if (bad) return -1;
    if (!c) return 0;
    if (codec_json_decode(c, label, fields, sizeof fields / sizeof *fields, im, e) < 0) return -1;
    keep_pairs(&im->env);
    im->has_entrypoint = present(c, "Entrypoint");
    im->has_cmd = present(c, "Cmd");
    if (im->stop_timeout < -1) return wrong_type(e, label, "StopTimeout", "0 or more");
    if (parse_set(c, "ExposedPorts", label, &im->exposed_ports, e) < 0) return -1;
    if (parse_set(c, "Volumes", label, &im->volumes, e) < 0) return -1;
    if (parse_labels(c, label, &im->labels, e) < 0) return -1;
    return parse_health(c, label, &im->health, e);
}

static int parse_rootfs(const struct codec_json *doc, const char *label, struct oci_image *im,
                        struct err *e)
{
    bool bad = false;
    struct codec_json *rootfs = member(doc, "rootfs", CODEC_JSON_OBJECT, label, &bad, e);
    if (bad) return -1;
    if (!rootfs) return err_set(e, ERR_INPUT, "%s: 'rootfs' is missing", label);
    struct codec_json *type = codec_json_get(rootfs, "type");
    if (type && !sv_eqz(codec_json_text(type), "layers")) {
        return wrong_type(e, label, "rootfs.type", "'layers'");
    }
    struct codec_json *ids = member(rootfs, "diff_ids", CODEC_JSON_ARRAY, label, &bad, e);
    if (bad) return -1;
    size_t n = ids ? codec_json_len(ids) : 0;
    if (n > LIMIT_LAYERS) {
        return err_set(e, ERR_LIMIT, "%s: %zu layers, the limit is %d", label, n, LIMIT_LAYERS);
    }
    for (size_t i = 0; i < n; i++) {
        struct oci_digest d = {0};
        if (oci_digest_parse(codec_json_text(codec_json_at(ids, i)), &d, e) < 0) {
            return err_wrap(e, "%s: rootfs.diff_ids[%zu]", label, i);
        }
        oci_image_add_layer(im, &d);
    }
    return 0;
}

static int parse_time(const char *text, const char *label, int64_t *out, struct err *e)
{
    *out = INT64_MIN;
    if (!text || !text[0]) return 0;
    if (!clock_parse(sv_of(text), out)) {
        return err_set(e, ERR_INPUT, "%s: '%.64s' is not a time", label, text);
    }
    return 0;
}

struct history_doc {
    char *created;
    struct oci_history h;
};

static int parse_history_item(const struct codec_json *v, const char *label, struct oci_image *im,
                              struct err *e)
{
    static const struct codec_field fields[] = {
        {"created", CODEC_FIELD_TEXT, offsetof(struct history_doc, created), false},
        {"created_by", CODEC_FIELD_TEXT, offsetof(struct history_doc, h.created_by), false},
        {"author", CODEC_FIELD_TEXT, offsetof(struct history_doc, h.author), false},
        {"comment", CODEC_FIELD_TEXT, offsetof(struct history_doc, h.comment), false},
        {"empty_layer", CODEC_FIELD_BOOL, offsetof(struct history_doc, h.empty_layer), false},
    };
    struct history_doc d = {0};
    if (codec_json_type(v) != CODEC_JSON_OBJECT) {
        return wrong_type(e, label, "history", "an array of objects");
    }
    int rc = codec_json_decode(v, label, fields, sizeof fields / sizeof *fields, &d, e);
    if (rc == 0) rc = parse_time(d.created, label, &d.h.created, e);
    free(d.created);
    if (rc < 0) {
        history_fini(&d.h);
        return -1;
    }
    oci_image_add_history(im, d.h);
    return 0;
}

static int parse_history(const struct codec_json *doc, const char *label, struct oci_image *im,
                         struct err *e)
{
    bool bad = false;
    struct codec_json *list = member(doc, "history", CODEC_JSON_ARRAY, label, &bad, e);
    if (bad) return -1;
    for (size_t i = 0; list && i < codec_json_len(list); i++) {
        if (parse_history_item(codec_json_at(list, i), label, im, e) < 0) return -1;
    }
    return 0;
}

struct image_doc {
    char *created;
    char *os;
    char *arch;
    char *variant;
};

// What an image may leave out stays as it is: a missing architecture is not ours to invent, but it
// must be a plain word, since it is printed and compared.
static int parse_platform(const struct image_doc *d, const char *label, struct oci_image *im,
                          struct err *e)
{
    struct {
        const char *key, *text;
        char *out;
    } parts[] = {
        {"os", d->os, im->platform.os},
        {"architecture", d->arch, im->platform.arch},
        {"variant", d->variant, im->platform.variant},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *z = parts[i].text ? parts[i].text : "";
        if (strlen(z) > 31) return wrong_type(e, label, parts[i].key, "at most 31 bytes long");
        memcpy(parts[i].out, z, strlen(z) + 1);
    }
    return 0;
}

static int parse_top(const struct codec_json *doc, const char *label, struct oci_image *im,
                     struct err *e)
{
    static const struct codec_field fields[] = {
        {"created", CODEC_FIELD_TEXT, offsetof(struct image_doc, created), false},
        {"os", CODEC_FIELD_TEXT, offsetof(struct image_doc, os), false},
        {"architecture", CODEC_FIELD_TEXT, offsetof(struct image_doc, arch), false},
        {"variant", CODEC_FIELD_TEXT, offsetof(struct image_doc, variant), false},
    };
    static const struct codec_field author[] = {
        {"author", CODEC_FIELD_TEXT, offsetof(struct oci_image, author), false},
    };
    struct image_doc d = {0};
    int rc = codec_json_decode(doc, label, fields, sizeof fields / sizeof *fields, &d, e);
    if (rc == 0) rc = codec_json_decode(doc, label, author, 1, im, e);
    if (rc == 0) rc = parse_platform(&d, label, im, e);
    if (rc == 0) rc = parse_time(d.created, label, &im->created, e);
    free(d.created);
    free(d.os);
    free(d.arch);
    free(d.variant);
    return rc < 0 ? -1 : 0;
}

int oci_image_parse(struct sv json, const char *label, struct oci_image *out, struct err *e)
{
    if (json.n > LIMIT_CONFIG) {
        return err_set(e, ERR_LIMIT, "%s: larger than %zu bytes", label, LIMIT_CONFIG);
    }
    own(codec_json) struct codec_json *doc = NULL;
    if (codec_json_parse(json, label, &doc, e) < 0) return -1;
    if (codec_json_type(doc) != CODEC_JSON_OBJECT) {
        return err_set(e, ERR_INPUT, "%s: not a JSON object", label);
    }
    struct oci_image im;
    oci_image_init(&im);
    if (parse_top(doc, label, &im, e) < 0 || parse_config(doc, label, &im, e) < 0 ||
        parse_rootfs(doc, label, &im, e) < 0 || parse_history(doc, label, &im, e) < 0) {
        oci_image_fini(&im);
        return -1;
    }
    *out = im;
    return 0;
}

// --- print --------------------------------------------------------------------------------------

static void set_filled(struct codec_json *obj, const char *key, const char *z)
{
    if (z && z[0]) codec_json_set_text(obj, key, z);
}

static void set_list(struct codec_json *obj, const char *key, const struct strv *v, bool always)
{
    if (v->n > 0 || always) codec_json_set(obj, key, codec_json_new_strv(v));
}

static void set_set(struct codec_json *obj, const char *key, const struct map *m)
{
    if (m->n == 0) return;
    struct codec_json *set = codec_json_new_object();
    for (size_t i = 0; i < m->n; i++) codec_json_set(set, m->p[i].key, codec_json_new_object());
    codec_json_set(obj, key, set);
}

static void set_labels(struct codec_json *obj, const struct map *m)
{
    if (m->n == 0) return;
    struct codec_json *set = codec_json_new_object();
    for (size_t i = 0; i < m->n; i++) codec_json_set_text(set, m->p[i].key, m->p[i].value);
    codec_json_set(obj, "Labels", set);
}

static void set_number(struct codec_json *obj, const char *key, int64_t v)
{
    if (v != 0) codec_json_set(obj, key, codec_json_new_int(v));
}

static void set_health(struct codec_json *obj, const struct oci_health *h)
{
    if (!h->set) return;
    struct codec_json *j = codec_json_new_object();
    set_list(j, "Test", &h->test, false);
    set_number(j, "Interval", h->interval_ns);
    set_number(j, "Timeout", h->timeout_ns);
    set_number(j, "StartPeriod", h->start_period_ns);
    set_number(j, "StartInterval", h->start_interval_ns);
    set_number(j, "Retries", h->retries);
    codec_json_set(obj, "Healthcheck", j);
}

static void set_time(struct codec_json *obj, int64_t seconds)
{
    if (seconds == INT64_MIN) return;
    own(str) struct str text = {0};
    clock_print(seconds, &text);
    codec_json_set_text(obj, "created", str_z(&text));
}

struct codec_json *oci_image_config_json(const struct oci_image *im)
{
    struct codec_json *c = codec_json_new_object();
    set_filled(c, "User", im->user);
    set_set(c, "ExposedPorts", &im->exposed_ports);
    set_list(c, "Env", &im->env, false);
    set_list(c, "Entrypoint", &im->entrypoint, im->has_entrypoint);
    set_list(c, "Cmd", &im->cmd, im->has_cmd);
    set_set(c, "Volumes", &im->volumes);
    set_filled(c, "WorkingDir", im->workdir);
    set_labels(c, &im->labels);
    set_filled(c, "StopSignal", im->stop_signal);
    if (im->stop_timeout >= 0) {
        codec_json_set(c, "StopTimeout", codec_json_new_int(im->stop_timeout));
    }
    set_health(c, &im->health);
    set_list(c, "OnBuild", &im->onbuild, false);
    set_list(c, "Shell", &im->shell, false);
    if (im->args_escaped) codec_json_set(c, "ArgsEscaped", codec_json_new_bool(true));
    return c;
}

static struct codec_json *rootfs_json(const struct oci_image *im)
{
    struct codec_json *rootfs = codec_json_new_object();
    struct codec_json *ids = codec_json_new_array();
    for (size_t i = 0; i < im->layers; i++) {
        char text[OCI_DIGEST_TEXT];
        codec_json_add(ids, codec_json_new_text(sv_of(oci_digest_print(&im->diff_ids[i], text))));
    }
    codec_json_set_text(rootfs, "type", "layers");
    codec_json_set(rootfs, "diff_ids", ids);
    return rootfs;
}

static struct codec_json *history_json(const struct oci_image *im)
{
    struct codec_json *list = codec_json_new_array();
    for (size_t i = 0; i < im->histories; i++) {
        const struct oci_history *h = &im->history[i];
        struct codec_json *j = codec_json_new_object();
        set_time(j, h->created);
        set_filled(j, "created_by", h->created_by);
        set_filled(j, "author", h->author);
        set_filled(j, "comment", h->comment);
        if (h->empty_layer) codec_json_set(j, "empty_layer", codec_json_new_bool(true));
        codec_json_add(list, j);
    }
    return list;
}

void oci_image_print(const struct oci_image *im, struct str *out)
{
    own(codec_json) struct codec_json *doc = codec_json_new_object();
    set_time(doc, im->created);
    set_filled(doc, "author", im->author);
    codec_json_set_text(doc, "architecture", im->platform.arch);
    codec_json_set_text(doc, "os", im->platform.os);
    set_filled(doc, "variant", im->platform.variant);
    codec_json_set(doc, "config", oci_image_config_json(im));
    codec_json_set(doc, "rootfs", rootfs_json(im));
    if (im->histories > 0) codec_json_set(doc, "history", history_json(im));
    codec_json_print(doc, out);
}

// --- build up -----------------------------------------------------------------------------------

static void copy_map(struct map *to, const struct map *from, bool texts)
{
    for (size_t i = 0; i < from->n; i++) {
        map_set(to, from->p[i].key, texts ? str_dup(from->p[i].value) : NULL);
    }
}

void oci_image_copy(struct oci_image *to, const struct oci_image *from)
{
    oci_image_init(to);
    to->platform = from->platform;
    to->created = from->created;
    to->author = str_dup(from->author);
    to->user = str_dup(from->user);
    copy_map(&to->exposed_ports, &from->exposed_ports, false);
    strv_add_all(&to->env, &from->env);
    strv_add_all(&to->entrypoint, &from->entrypoint);
    to->has_entrypoint = from->has_entrypoint;
    strv_add_all(&to->cmd, &from->cmd);
    to->has_cmd = from->has_cmd;
    copy_map(&to->volumes, &from->volumes, false);
    to->workdir = str_dup(from->workdir);
    copy_map(&to->labels, &from->labels, true);
    to->stop_signal = str_dup(from->stop_signal);
    to->stop_timeout = from->stop_timeout;
    to->health = from->health;
    to->health.test = (struct strv){0};
    strv_add_all(&to->health.test, &from->health.test);
    strv_add_all(&to->onbuild, &from->onbuild);
    strv_add_all(&to->shell, &from->shell);
    to->args_escaped = from->args_escaped;
    for (size_t i = 0; i < from->layers; i++) oci_image_add_layer(to, &from->diff_ids[i]);
    for (size_t i = 0; i < from->histories; i++) {
        struct oci_history h = from->history[i];
        h.created_by = str_dup(h.created_by);
        h.author = str_dup(h.author);
        h.comment = str_dup(h.comment);
        oci_image_add_history(to, h);
    }
}

void oci_image_add_layer(struct oci_image *im, const struct oci_digest *diff_id)
{
    im->diff_ids = mem_grow(im->diff_ids, (im->layers + 1) * sizeof *im->diff_ids);
    im->diff_ids[im->layers++] = *diff_id;
}

void oci_image_add_history(struct oci_image *im, struct oci_history h)
{
    im->history = mem_grow(im->history, (im->histories + 1) * sizeof *im->history);
    im->history[im->histories++] = h;
}

const char *oci_image_env_get(const struct oci_image *im, const char *key)
{
    return oci_env_get(&im->env, key);
}
