// SPDX-License-Identifier: Apache-2.0
// The keys and their order are those of the Engine API, GET /containers/{id}/json, version 1.41.
#include "record/inspect.h"

#include <string.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/own.h"
#include "record/state.h"

static void set(struct codec_json *j, const char *key, struct codec_json *v)
{
    codec_json_set(j, key, v);
}

static void set_text(struct codec_json *j, const char *key, const char *text)
{
    codec_json_set_text(j, key, text ? text : "");
}

static void set_bool(struct codec_json *j, const char *key, bool v)
{
    set(j, key, codec_json_new_bool(v));
}

static void set_int(struct codec_json *j, const char *key, int64_t v)
{
    set(j, key, codec_json_new_int(v));
}

static void set_time(struct codec_json *j, const char *key, int64_t ns)
{
    own(str) struct str text = {0};
    if (ns)
        clock_print_ns(ns, &text);
    else
        str_addz(&text, "0001-01-01T00:00:00Z");
    set_text(j, key, str_z(&text));
}

// Docker has null where nothing was given.
static void set_list(struct codec_json *j, const char *key, const struct strv *v)
{
    set(j, key, v->n ? codec_json_new_strv(v) : codec_json_new_null());
}

static struct codec_json *labels(const struct map *m)
{
    struct codec_json *j = codec_json_new_object();
    vec_each (item, m) codec_json_set_text(j, item->key, item->value);
    return j;
}

static struct codec_json *health_state(struct engine *en, const struct record_config *c,
                                       const struct record_state *s)
{
    struct codec_json *j = codec_json_new_object();
    struct codec_json *log = record_health_log(en, c->brief.id);
    set_text(j, "Status", record_health_name(s->health));
    set_int(j, "FailingStreak", s->health_streak);
    set(j, "Log", log ? log : codec_json_new_array());
    return j;
}

static struct codec_json *state(struct engine *en, const struct record_config *c,
                                const struct record_state *s)
{
    struct codec_json *j = codec_json_new_object();
    set_text(j, "Status", record_status_name(s->status));
    set_bool(j, "Running", record_status_alive(s->status));
    set_bool(j, "Paused", s->status == RECORD_PAUSED);
    set_bool(j, "Restarting", s->status == RECORD_RESTARTING);
    set_bool(j, "OOMKilled", s->oom);
    set_bool(j, "Dead", s->status == RECORD_DEAD);
    set_int(j, "Pid", record_status_alive(s->status) ? s->pid : 0);
    set_int(j, "ExitCode", s->code);
    set_text(j, "Error", s->error);
    set_time(j, "StartedAt", s->started);
    set_time(j, "FinishedAt", s->finished);
    if (s->health != RECORD_HEALTH_NONE) set(j, "Health", health_state(en, c, s));
    return j;
}

// "-m 1g" and the like as Docker keeps them; what was not asked for is 0.
static void set_resources(struct codec_json *j, const struct record_config *c)
{
    set_int(j, "CpuShares", c->cpu_shares);
    set_int(j, "Memory", c->memory);
    set_int(j, "NanoCpus", c->nano_cpus);
    set_text(j, "CpusetCpus", c->cpuset_cpus);
    set_text(j, "CpusetMems", c->cpuset_mems);
    set_int(j, "MemorySwap", c->memory_swap ? c->memory_swap : c->memory * 2);
    set(j, "PidsLimit", c->pids_limit ? codec_json_new_int(c->pids_limit) : codec_json_new_null());
}

static struct codec_json *log_config(const struct record_config *c)
{
    struct codec_json *j = codec_json_new_object(), *opts = codec_json_new_object();
    for (size_t i = 0; i < c->log_opts.n; i++) {
        const char *eq = strchr(c->log_opts.p[i], '=');
        if (!eq) continue;
        own(free) char *key = sv_dup((struct sv){c->log_opts.p[i], (size_t)(eq - c->log_opts.p[i])});
        set_text(opts, key, eq + 1);
    }
    set_text(j, "Type", c->log_driver ? c->log_driver : "json-file");
    set(j, "Config", opts);
    return j;
}

static struct codec_json *restart_policy(const struct record_config *c)
{
    struct codec_json *j = codec_json_new_object();
    set_text(j, "Name", record_restart_name(c->restart));
    set_int(j, "MaximumRetryCount", c->restart_max);
    return j;
}

// "type:source:target:options" of binds and named volumes, as -v takes them.
static struct codec_json *binds(const struct record_config *c)
{
    struct codec_json *j = codec_json_new_array();
    vec_each (v, &c->volumes) {
        const char *from = v->source ? v->source : v->name;
        if (v->anonymous || !from || strcmp(v->type, "tmpfs") == 0) continue;
        own(free) char *text = str_fmt("%s:%s%s", from, v->target, v->readonly ? ":ro" : "");
        codec_json_add(j, codec_json_new_text(sv_of(text)));
    }
    if (codec_json_len(j)) return j;
    codec_json_free(j);
    return codec_json_new_null();
}

static struct codec_json *host_config(const struct record_config *c)
{
    struct codec_json *j = codec_json_new_object();
    set(j, "Binds", binds(c));
    set_text(j, "ContainerIDFile", c->cidfile);
    set(j, "LogConfig", log_config(c));
    set_text(j, "NetworkMode", c->network);
    if (c->volumes_from.n) set_list(j, "VolumesFrom", &c->volumes_from);
    set(j, "PortBindings", codec_json_new_object());
    set(j, "RestartPolicy", restart_policy(c));
    set_bool(j, "AutoRemove", c->brief.rm);
    set_list(j, "CapAdd", &c->cap_add);
    set_list(j, "CapDrop", &c->cap_drop);
    set_list(j, "ExtraHosts", &c->hosts_extra);
    set_list(j, "GroupAdd", &c->groups_add);
    set_text(j, "IpcMode", c->ipc_mode && c->ipc_mode[0] ? c->ipc_mode : "private");
    set_int(j, "OomScoreAdj", c->oom_score_adj);
    set_text(j, "PidMode", c->pid_mode);
    set_bool(j, "Privileged", c->privileged);
    set_bool(j, "ReadonlyRootfs", c->readonly);
    set_list(j, "SecurityOpt", &c->security);
    set_text(j, "UTSMode", c->uts_mode);
    set_text(j, "UsernsMode", c->userns_mode);
    set_int(j, "ShmSize", c->shm_size);
    set_bool(j, "Init", c->init);
    set_resources(j, c);
    return j;
}

static struct codec_json *health_config(const struct oci_health *h)
{
    struct codec_json *j = codec_json_new_object();
    set(j, "Test", codec_json_new_strv(&h->test));
    if (h->interval_ns) set_int(j, "Interval", h->interval_ns);
    if (h->timeout_ns) set_int(j, "Timeout", h->timeout_ns);
    if (h->start_period_ns) set_int(j, "StartPeriod", h->start_period_ns);
    if (h->retries) set_int(j, "Retries", h->retries);
    return j;
}

static struct codec_json *config(const struct record_config *c)
{
    struct codec_json *j = codec_json_new_object();
    set_text(j, "Hostname", c->hostname ? c->hostname : "");
    set_text(j, "Domainname", c->domainname);
    set_text(j, "User", c->user);
    set_bool(j, "Tty", c->tty);
    set_bool(j, "OpenStdin", c->interactive);
    set_bool(j, "StdinOnce", c->stdin_once);
    set(j, "Env", codec_json_new_strv(&c->env));
    set_list(j, "Cmd", &c->cmd);
    if (c->health.set) set(j, "Healthcheck", health_config(&c->health));
    set_text(j, "Image", c->brief.image);
    set_text(j, "WorkingDir", c->workdir);
    set_list(j, "Entrypoint", &c->entrypoint);
    set(j, "Labels", labels(&c->labels));
    if (c->stop_signal) set_text(j, "StopSignal", c->stop_signal);
    if (c->stop_timeout >= 0) set_int(j, "StopTimeout", c->stop_timeout);
    return j;
}

static struct codec_json *mounts(struct engine *en, const struct record_config *c)
{
    struct codec_json *list = codec_json_new_array();
    vec_each (v, &c->volumes) {
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
        set_bool(j, "RW", !v->readonly);
        set_text(j, "Propagation", v->propagation);
        codec_json_add(list, j);
    }
    return list;
}

static struct codec_json *networks(const struct record_config *c)
{
    struct codec_json *j = codec_json_new_object(), *all = codec_json_new_object();
    if (c->network) set(all, c->network, codec_json_new_object());
    set(j, "Ports", codec_json_new_object());
    set_text(j, "IPAddress", "");
    set(j, "Networks", all);
    return j;
}

int record_inspect(struct engine *en, const char *id, struct codec_json **out, struct err *e)
{
    own(record_config) struct record_config c = {0};
    struct record_state s;
    if (record_config_load(en, id, &c, e) < 0 || record_state_load(en, id, &s, e) < 0) return -1;
    own(free) char *name = str_fmt("/%s", c.brief.name);
    struct codec_json *j = codec_json_new_object(), *args = codec_json_new_array();
    for (size_t i = 1; i < c.args.n; i++)
        codec_json_add(args, codec_json_new_text(sv_of(c.args.p[i])));
    set_text(j, "Id", c.brief.id);
    set_time(j, "Created", c.brief.created);
    set_text(j, "Path", c.args.n ? c.args.p[0] : "");
    set(j, "Args", args);
    set(j, "State", state(en, &c, &s));
    set_text(j, "Image", c.brief.image_id);
    set_text(j, "Name", name);
    set_int(j, "RestartCount", s.restarts);
    set_text(j, "Driver", "overlay");
    set_text(j, "Platform", "linux");
    set(j, "HostConfig", host_config(&c));
    set(j, "Mounts", mounts(en, &c));
    set(j, "Config", config(&c));
    set(j, "NetworkSettings", networks(&c));
    *out = j;
    return 0;
}
