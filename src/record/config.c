// SPDX-License-Identifier: Apache-2.0
// A container's record as text: config.json is two lines, so that a listing of a thousand
// containers parses a thousand short ones. Rows of tables serve both directions; what is zero is
// left out.
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "codec/json_flat.h"
#include "record/record.h"
#include "record/state.h"

static const char *const statuses[RECORD_STATUS_COUNT] = {
    "created", "running", "paused", "restarting", "removing", "exited", "dead"};
static const char *const healths[RECORD_HEALTH_COUNT] = {"none", "starting", "healthy",
                                                         "unhealthy"};
static const char *const restarts[RECORD_RESTART_COUNT] = {"no", "on-failure", "always",
                                                           "unless-stopped"};

const char *record_status_name(enum record_status s)
{
    return (unsigned)s < RECORD_STATUS_COUNT ? statuses[s] : "?";
}

const char *record_health_name(enum record_health h)
{
    return (unsigned)h < RECORD_HEALTH_COUNT ? healths[h] : "?";
}

const char *record_restart_name(enum record_restart r)
{
    return (unsigned)r < RECORD_RESTART_COUNT ? restarts[r] : "?";
}

static int index_of(struct sv text, const char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (sv_eqz(text, names[i])) return i;
    return 0;
}

#define C(member, KIND)                                                                            \
    {                                                                                              \
#member, CODEC_FIELD_##KIND, offsetof(struct record_config, member), false                 \
    }
static const struct codec_field config_fields[] = {
    C(args, STRV),         C(entrypoint, STRV),  C(cmd, STRV),         C(has_entrypoint, BOOL),
    C(env, STRV),          C(user, TEXT),        C(workdir, TEXT),     C(hostname, TEXT),
    C(domainname, TEXT),   C(tty, BOOL),         C(interactive, BOOL), C(stdin_once, BOOL),
    C(attach, INT),        C(dns, STRV),         C(dns_search, STRV),  C(dns_options, STRV),
    C(annotations, STRV),  C(disk_limits, STRV), C(cgroup_parent, TEXT), C(cgroupns, TEXT),
    C(cpu_rt_period, INT), C(cpu_rt_runtime, INT), C(oom_kill_disable, BOOL),
    C(has_swappiness, BOOL), C(memory_swappiness, INT),
    C(memory_reservation, INT), C(cpu_quota, INT), C(cpu_period, INT), C(blkio_weight, INT),
    C(device_rules, STRV),
    C(init, BOOL),         C(stop_signal, TEXT), C(restart_max, INT),  C(log_driver, TEXT),
    C(log_opts, STRV),     C(network, TEXT),     C(ports, STRV),       C(exposed, STRV),
    C(pid_mode, TEXT),     C(ipc_mode, TEXT),    C(uts_mode, TEXT),    C(userns_mode, TEXT),
    C(hosts_extra, STRV),  C(groups_add, STRV),  C(devices, STRV),     C(sysctls, STRV),
    C(ulimits, STRV),      C(readonly, BOOL),    C(shm_size, INT),     C(cap_add, STRV),
    C(cap_drop, STRV),     C(security, STRV),    C(privileged, BOOL),  C(has_oom_score_adj, BOOL),
    C(oom_score_adj, INT), C(memory, INT),       C(memory_swap, INT),  C(cpu_shares, INT),
    C(nano_cpus, INT),     C(pids_limit, INT),   C(cpuset_cpus, TEXT), C(cpuset_mems, TEXT),
    C(cidfile, TEXT),      C(form, TEXT),         C(volumes_from, STRV),
};
#define V(member, KIND)                                                                            \
    {                                                                                              \
#member, CODEC_FIELD_##KIND, offsetof(struct record_mount, member), false                  \
    }
static const struct codec_field volume_fields[] = {
    V(type, TEXT),         V(name, TEXT),    V(source, TEXT),    V(target, TEXT),
    V(propagation, TEXT),  V(subpath, TEXT), V(anonymous, BOOL), V(readonly, BOOL),
    V(nonrecursive, BOOL), V(nocopy, BOOL),  V(noexec, BOOL),    V(nosuid, BOOL),
    V(nodev, BOOL),
    V(size, INT),          V(mode, INT),     V(uid, INT),        V(gid, INT),
    V(toponly, BOOL),      V(writable, BOOL), V(options, STRV),  V(labels, STRV),
    V(image, TEXT),        V(tmpfs, TEXT),   V(asked, TEXT),
};
#define H(member, KIND)                                                                            \
    {                                                                                              \
#member, CODEC_FIELD_##KIND, offsetof(struct oci_health, member), false                    \
    }
static const struct codec_field health_fields[] = {
    H(set, BOOL),       H(test, STRV),           H(interval_ns, INT),
    H(timeout_ns, INT), H(start_period_ns, INT), H(start_interval_ns, INT),
    H(retries, INT),
};
#define N(rows) (sizeof(rows) / sizeof *(rows))

static void volume_fini(struct record_mount *v)
{
    char **texts[] = {&v->type, &v->name, &v->source, &v->target, &v->propagation, &v->subpath,
                      &v->image, &v->tmpfs, &v->asked};
    for (size_t i = 0; i < N(texts); i++) free(*texts[i]);
    strv_fini(&v->options);
    strv_fini(&v->labels);
}

void record_brief_fini(struct record_brief *b)
{
    free(b->image);
    free(b->image_id);
    free(b->command);
    memset(b, 0, sizeof *b);
}

void record_config_fini(struct record_config *c)
{
    char *base = (char *)c;
    record_brief_fini(&c->brief);
    for (size_t i = 0; i < N(config_fields); i++) {
        void *at = base + config_fields[i].offset;
        if (config_fields[i].kind == CODEC_FIELD_TEXT) free(*(char **)at);
        if (config_fields[i].kind == CODEC_FIELD_STRV) strv_fini(at);
    }
    map_fini(&c->labels);
    strv_fini(&c->health.test);
    vec_each(v, &c->volumes) volume_fini(v);
    vec_fini(&c->volumes);
    memset(c, 0, sizeof *c);
}

// --- printing ----------------------------------------------------------------------------------

static struct codec_json *print_fields(const struct codec_field *rows, size_t n, const void *from)
{
    struct codec_json *j = codec_json_new_object();
    for (size_t i = 0; i < n; i++) {
        const void *at = (const char *)from + rows[i].offset;
        struct codec_json *v = NULL;
        if (rows[i].kind == CODEC_FIELD_TEXT && *(char *const *)at)
            v = codec_json_new_text(sv_of(*(char *const *)at));
        else if (rows[i].kind == CODEC_FIELD_INT && *(const int64_t *)at)
            v = codec_json_new_int(*(const int64_t *)at);
        else if (rows[i].kind == CODEC_FIELD_BOOL && *(const bool *)at)
            v = codec_json_new_bool(true);
        else if (rows[i].kind == CODEC_FIELD_STRV && ((const struct strv *)at)->n)
            v = codec_json_new_strv(at);
        if (v) codec_json_set(j, rows[i].key, v);
    }
    return j;
}

static struct codec_json *print_brief(const struct record_brief *b)
{
    struct codec_json *j = codec_json_new_object();
    codec_json_set(j, "version", codec_json_new_int(2));
    codec_json_set_text(j, "id", b->id);
    codec_json_set_text(j, "name", b->name);
    codec_json_set_text(j, "image", b->image_id);
    codec_json_set_text(j, "image_name", b->image);
    codec_json_set_text(j, "command", b->command);
    codec_json_set(j, "created", codec_json_new_int(b->created));
    if (b->rm) codec_json_set(j, "rm", codec_json_new_bool(true));
    if (b->tty) codec_json_set(j, "tty", codec_json_new_bool(true));
    return j;
}

static void add_parts(const struct record_config *c, struct codec_json *j)
{
    if (c->stop_timeout >= 0)
        codec_json_set(j, "stop_timeout", codec_json_new_int(c->stop_timeout));
    if (c->restart) codec_json_set_text(j, "restart", restarts[c->restart]);
    if (c->health.set)
        codec_json_set(j, "health", print_fields(health_fields, N(health_fields), &c->health));
    if (c->labels.n) {
        struct codec_json *labels = codec_json_new_object();
        for (size_t i = 0; i < c->labels.n; i++)
            codec_json_set(labels, c->labels.p[i].key,
                           codec_json_new_text(sv_of(c->labels.p[i].value)));
        codec_json_set(j, "labels", labels);
    }
    if (c->volumes.n) {
        struct codec_json *rows = codec_json_new_array();
        vec_each(v, &c->volumes)
            codec_json_add(rows, print_fields(volume_fields, N(volume_fields), v));
        codec_json_set(j, "volumes", rows);
    }
    if (c->ids_uid || c->keep) {
        struct codec_json *ids = codec_json_new_object();
        codec_json_set(ids, "uid", codec_json_new_int(c->ids_uid));
        codec_json_set(ids, "gid", codec_json_new_int(c->ids_gid));
        codec_json_set(ids, "size", codec_json_new_int(c->ids_n));
        if (c->keep) {
            codec_json_set(ids, "keep_uid", codec_json_new_int(c->keep_uid));
            codec_json_set(ids, "keep_gid", codec_json_new_int(c->keep_gid));
        }
        codec_json_set(j, "userns", ids);
    }
}

void record_config_print(const struct record_config *c, struct str *out)
{
    own(codec_json) struct codec_json *brief = print_brief(&c->brief);
    own(codec_json) struct codec_json *j = print_fields(config_fields, N(config_fields), c);
    add_parts(c, j);
    codec_json_print(brief, out);
    str_addc(out, '\n');
    codec_json_print(j, out);
    str_addc(out, '\n');
}

// --- parsing -----------------------------------------------------------------------------------

int record_brief_parse(struct sv line, const char *label, struct record_brief *out, struct err *e)
{
    own(codec_flat) struct codec_flat f;
    if (codec_flat_parse(line, label, &f, e) < 0) return -1;
    struct sv id = codec_flat_text(&f, "id"), name = codec_flat_text(&f, "name");
    if (id.n != RECORD_ID - 1 || name.n >= sizeof out->name)
        return err_set(e, ERR_CORRUPT, "%s: not a container's record", label);
    sv_copy(id, out->id, sizeof out->id);
    sv_copy(name, out->name, sizeof out->name);
    out->image_id = sv_dup(codec_flat_text(&f, "image"));
    out->image = sv_dup(codec_flat_text(&f, "image_name"));
    out->command = sv_dup(codec_flat_text(&f, "command"));
    out->created = codec_flat_int(&f, "created");
    out->rm = codec_flat_bool(&f, "rm");
    out->tty = codec_flat_bool(&f, "tty");
    return 0;
}

static int parse_parts(const struct codec_json *j, const char *label, struct record_config *c,
                       struct err *e)
{
    const struct codec_json *health = codec_json_get(j, "health"), *value;
    const struct codec_json *timeout = codec_json_get(j, "stop_timeout");
    c->stop_timeout = timeout ? codec_json_int(timeout) : -1;
    c->restart = (enum record_restart)index_of(codec_json_text(codec_json_get(j, "restart")),
                                               restarts, RECORD_RESTART_COUNT);
    if (health &&
        codec_json_decode(health, label, health_fields, N(health_fields), &c->health, e) < 0)
        return -1;
    void *it = NULL;
    const char *key;
    struct codec_json *v;
    c->labels.free_value = free;
    const struct codec_json *labels = codec_json_get(j, "labels");
    while (labels && codec_json_next(labels, &it, &key, &v))
        map_set(&c->labels, key, sv_dup(codec_json_text(v)));
    value = codec_json_get(j, "userns");
    c->ids_uid = codec_json_int(codec_json_get(value, "uid"));
    c->ids_gid = codec_json_int(codec_json_get(value, "gid"));
    c->ids_n = codec_json_int(codec_json_get(value, "size"));
    c->keep = codec_json_get(value, "keep_uid") != NULL;
    c->keep_uid = codec_json_int(codec_json_get(value, "keep_uid"));
    c->keep_gid = codec_json_int(codec_json_get(value, "keep_gid"));
    value = codec_json_get(j, "volumes");
    for (size_t i = 0; i < codec_json_len(value); i++)
        if (codec_json_decode(codec_json_at(value, i), label, volume_fields, N(volume_fields),
                              vec_add(&c->volumes), e) < 0)
            return -1;
    return 0;
}

int record_config_parse(struct sv text, const char *label, struct record_config *out, struct err *e)
{
    struct record_config c = {0};
    own(codec_json) struct codec_json *j = NULL;
    struct sv rest = text, line = sv_cut(&rest, '\n');
    if (!rest.p || rest.n == 0)
        return err_set(e, ERR_CORRUPT, "%s: the second line is missing", label);
    if (record_brief_parse(line, label, &c.brief, e) < 0 ||
        codec_json_parse(sv_trim(rest), label, &j, e) < 0 ||
        codec_json_decode(j, label, config_fields, N(config_fields), &c, e) < 0 ||
        parse_parts(j, label, &c, e) < 0) {
        record_config_fini(&c);
        e->kind = ERR_CORRUPT;
        return -1;
    }
    *out = c;
    return 0;
}

// --- state -------------------------------------------------------------------------------------

void record_state_print(const struct record_state *s, struct str *out)
{
    own(codec_json) struct codec_json *j = codec_json_new_object();
    codec_json_set_text(j, "status", record_status_name(s->status));
    const struct {
        const char *key;
        int64_t value;
    } numbers[] = {{"pid", s->pid},           {"start", (int64_t)s->pid_start},
                   {"monitor", s->monitor},   {"started", s->started},
                   {"finished", s->finished}, {"code", s->code},
                   {"oom", s->oom},           {"stopped", s->stopped},
                   {"restarts", s->restarts}, {"streak", s->health_streak}};
    for (size_t i = 0; i < N(numbers); i++)
        if (numbers[i].value)
            codec_json_set(j, numbers[i].key, codec_json_new_int(numbers[i].value));
    if (s->boot[0]) codec_json_set_text(j, "boot", s->boot);
    if (s->error[0]) codec_json_set_text(j, "error", s->error);
    if (s->cgroup[0]) codec_json_set_text(j, "cgroup", s->cgroup);
    if (s->health) codec_json_set_text(j, "health", healths[s->health]);
    codec_json_print(j, out);
    str_addc(out, '\n');
}

int record_state_parse(struct sv text, const char *label, struct record_state *out, struct err *e)
{
    own(codec_flat) struct codec_flat f;
    if (codec_flat_parse(sv_trim(text), label, &f, e) < 0) {
        e->kind = ERR_CORRUPT;
        return -1;
    }
    int64_t pid = codec_flat_int(&f, "pid"), monitor = codec_flat_int(&f, "monitor");
    *out = (struct record_state){
        .status = (enum record_status)index_of(codec_flat_text(&f, "status"), statuses,
                                               RECORD_STATUS_COUNT),
        .health = (enum record_health)index_of(codec_flat_text(&f, "health"), healths,
                                               RECORD_HEALTH_COUNT),
        .pid = pid > 1 && pid <= INT32_MAX ? (pid_t)pid : 0,
        .monitor = monitor > 1 && monitor <= INT32_MAX ? (pid_t)monitor : 0,
        .pid_start = (uint64_t)codec_flat_int(&f, "start"),
        .started = codec_flat_int(&f, "started"),
        .finished = codec_flat_int(&f, "finished"),
        .code = (int)codec_flat_int(&f, "code"),
        .oom = codec_flat_int(&f, "oom") != 0,
        .stopped = codec_flat_int(&f, "stopped") != 0,
        .restarts = codec_flat_int(&f, "restarts"),
        .health_streak = codec_flat_int(&f, "streak"),
    };
    sv_copy(codec_flat_text(&f, "boot"), out->boot, sizeof out->boot);
    sv_copy(codec_flat_text(&f, "error"), out->error, sizeof out->error);
    sv_copy(codec_flat_text(&f, "cgroup"), out->cgroup, sizeof out->cgroup);
    return 0;
}
