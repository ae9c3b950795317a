// SPDX-License-Identifier: Apache-2.0
// The keys and their order are those of the Engine API, GET /containers/{id}/json, version 1.41.
#include "record/inspect.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/own.h"
#include "record/message.h"
#include "record/state.h"
#include "sandbox/disk.h"
#include "sandbox/parse.h"
#include "sandbox/proc_sys.h"

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

// "net_admin" is CAP_NET_ADMIN there; ALL is ALL.
static void set_caps(struct codec_json *j, const char *key, const struct strv *v)
{
    own(strv) struct strv names = {0};
    for (size_t i = 0; i < v->n; i++) {
        own(str) struct str name = {0};
        bool all = sv_eq_nocase(sv_of(v->p[i]), SV("ALL"));
        bool whole = sv_eq_nocase(sv_part(sv_of(v->p[i]), 0, 4), SV("CAP_"));
        if (!all && !whole) str_addz(&name, "CAP_");
        for (const char *p = v->p[i]; *p; p++)
            str_addc(&name, *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p);
        strv_add(&names, str_z(&name));
    }
    set_list(j, key, &names);
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

// Limits of single disks, a list for each kind.
static void set_disks(struct codec_json *j, const struct record_config *c)
{
    static const struct {
        const char *key, *value;
    } kinds[SANDBOX_DISK_COUNT] = {[SANDBOX_DISK_WEIGHT] = {"BlkioWeightDevice", "Weight"},
                                   [SANDBOX_DISK_READ_BPS] = {"BlkioDeviceReadBps", "Rate"},
                                   [SANDBOX_DISK_WRITE_BPS] = {"BlkioDeviceWriteBps", "Rate"},
                                   [SANDBOX_DISK_READ_IOPS] = {"BlkioDeviceReadIOps", "Rate"},
                                   [SANDBOX_DISK_WRITE_IOPS] = {"BlkioDeviceWriteIOps", "Rate"}};
    for (size_t i = 0; i < c->disk_limits.n; i++) {
        struct sandbox_disk_limit l;
        struct err bad;
        if (sandbox_disk_parse(c->disk_limits.p[i], &l, &bad) < 0) continue;
        struct codec_json *row = codec_json_new_object(), *list = codec_json_get(j, kinds[l.kind].key);
        set_text(row, "Path", l.device);
        set_int(row, kinds[l.kind].value, (int64_t)l.value);
        if (!list) set(j, kinds[l.kind].key, list = codec_json_new_array());
        codec_json_add(list, row);
        free(l.device);
    }
}

// "-m 1g" and the like as Docker keeps them; what was not asked for is 0.
static void set_resources(struct codec_json *j, const struct record_config *c)
{
    set_int(j, "CpuShares", c->cpu_shares);
    set_int(j, "Memory", c->memory);
    set_int(j, "NanoCpus", c->nano_cpus);
    set_int(j, "BlkioWeight", c->blkio_weight);
    set_int(j, "CpuPeriod", c->cpu_period);
    set_int(j, "CpuQuota", c->cpu_quota);
    set_int(j, "MemoryReservation", c->memory_reservation);
    set_int(j, "CpuRealtimePeriod", c->cpu_rt_period);
    set_int(j, "CpuRealtimeRuntime", c->cpu_rt_runtime);
    set_bool(j, "OomKillDisable", c->oom_kill_disable);
    if (c->has_swappiness) set_int(j, "MemorySwappiness", c->memory_swappiness);
    set_text(j, "CgroupParent", c->cgroup_parent);
    set_disks(j, c);
    set_list(j, "DeviceCgroupRules", &c->device_rules);
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
// Keys of what dewar has not (yet), with the values that mean "none". They are of the API: templates
// and programs written for Docker ask for them.
struct absent {
    const char *key;
    enum { NOTHING, TEXT, NUMBER, NO, LIST, OBJECT } kind;
};
#define ROWS(x) x, sizeof(x) / sizeof *(x)

static void set_absent(struct codec_json *j, const struct absent *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct codec_json *v = NULL;
        switch (rows[i].kind) {
        case NOTHING: v = codec_json_new_null(); break;
        case TEXT: v = codec_json_new_text(SV("")); break;
        case NUMBER: v = codec_json_new_int(0); break;
        case NO: v = codec_json_new_bool(false); break;
        case LIST: v = codec_json_new_array(); break;
        case OBJECT: v = codec_json_new_object(); break;
        }
        if (codec_json_get(j, rows[i].key))
            codec_json_free(v);
        else
            set(j, rows[i].key, v);
    }
}

static const struct absent no_host_config[] = {
    {"VolumeDriver", TEXT}, {"VolumesFrom", NOTHING}, {"Dns", LIST}, {"DnsOptions", LIST},
    {"DnsSearch", LIST}, {"Cgroup", TEXT}, {"Links", NOTHING}, {"PublishAllPorts", NO},
    {"Isolation", TEXT}, {"BlkioWeightDevice", LIST}, {"BlkioDeviceReadBps", NOTHING},
    {"BlkioDeviceWriteBps", NOTHING}, {"BlkioDeviceReadIOps", NOTHING},
    {"BlkioDeviceWriteIOps", NOTHING}, {"DeviceRequests", NOTHING}, {"KernelMemory", NUMBER},
    {"KernelMemoryTCP", NUMBER}, {"MemorySwappiness", NOTHING},
    {"CpuCount", NUMBER}, {"CpuPercent", NUMBER},
    {"IOMaximumIOps", NUMBER}, {"IOMaximumBandwidth", NUMBER},
};
static const struct absent no_config[] = {{"Volumes", NOTHING}, {"OnBuild", NOTHING}};
static const struct absent no_endpoint[] = {
    {"IPAMConfig", NOTHING}, {"Links", NOTHING}, {"Aliases", NOTHING}, {"NetworkID", TEXT},
    {"EndpointID", TEXT}, {"Gateway", TEXT}, {"IPAddress", TEXT}, {"IPPrefixLen", NUMBER},
    {"IPv6Gateway", TEXT}, {"GlobalIPv6Address", TEXT}, {"GlobalIPv6PrefixLen", NUMBER},
    {"MacAddress", TEXT}, {"DriverOpts", NOTHING},
};
static const struct absent no_network[] = {
    {"Bridge", TEXT}, {"SandboxID", TEXT}, {"SandboxKey", TEXT}, {"HairpinMode", NO},
    {"LinkLocalIPv6Address", TEXT}, {"LinkLocalIPv6PrefixLen", NUMBER},
    {"SecondaryIPAddresses", NOTHING}, {"SecondaryIPv6Addresses", NOTHING}, {"Ports", OBJECT},
    {"EndpointID", TEXT}, {"Gateway", TEXT}, {"IPAddress", TEXT}, {"IPPrefixLen", NUMBER},
    {"IPv6Gateway", TEXT}, {"GlobalIPv6Address", TEXT}, {"GlobalIPv6PrefixLen", NUMBER},
    {"MacAddress", TEXT},
};
static const struct absent no_rest[] = {
    {"ResolvConfPath", TEXT}, {"HostnamePath", TEXT}, {"HostsPath", TEXT}, {"LogPath", TEXT},
    {"MountLabel", TEXT}, {"ProcessLabel", TEXT}, {"AppArmorProfile", TEXT}, {"ExecIDs", NOTHING},
};

// Go's templates know these fields also where the JSON leaves them out.
static const struct absent template_state[] = {{"Health", NOTHING}};
static const struct absent template_config[] = {
    {"Healthcheck", NOTHING}, {"ExposedPorts", NOTHING}, {"StopSignal", TEXT},
    {"StopTimeout", NOTHING}, {"MacAddress", TEXT}, {"NetworkDisabled", NO}, {"Shell", NOTHING},
};
static const struct absent template_host[] = {
    {"Tmpfs", NOTHING}, {"Sysctls", NOTHING}, {"Mounts", NOTHING}, {"StorageOpt", NOTHING},
    {"Annotations", NOTHING}, {"Init", NOTHING},
};
static const struct absent template_rest[] = {{"SizeRw", NOTHING}, {"SizeRootFs", NOTHING}};

void record_inspect_for_template(struct codec_json *j)
{
    const struct {
        const char *part;
        const struct absent *rows;
        size_t n;
    } parts[] = {{"State", ROWS(template_state)},
                 {"Config", ROWS(template_config)},
                 {"HostConfig", ROWS(template_host)}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        set_absent(codec_json_get(j, parts[i].part), parts[i].rows, parts[i].n);
    set_absent(j, ROWS(template_rest));
}

void record_inspect_pairs(struct codec_json *j, const char *key, const struct strv *v)
{
    if (!v->n) return;
    struct codec_json *all = codec_json_new_object();
    for (size_t i = 0; i < v->n; i++) {
        struct sv value = sv_of(v->p[i]), name = sv_cut(&value, '=');
        own(free) char *k = sv_dup(name);
        set(all, k, codec_json_new_text(value.p ? value : SV("")));
    }
    set(j, key, all);
}

static struct codec_json *limits(const struct record_config *c)
{
    struct codec_json *list = codec_json_new_array();
    for (size_t i = 0; i < c->ulimits.n; i++) {
        struct sandbox_rlimit l;
        struct err bad;
        struct sv name = sv_of(c->ulimits.p[i]);
        if (sandbox_parse_ulimit(c->ulimits.p[i], &l, &bad) < 0) continue;
        struct codec_json *row = codec_json_new_object();
        set(row, "Name", codec_json_new_text(sv_cut(&name, '=')));
        set_int(row, "Hard", (int64_t)l.hard);
        set_int(row, "Soft", (int64_t)l.soft);
        codec_json_add(list, row);
    }
    return list;
}

static struct codec_json *devices(const struct record_config *c)
{
    struct codec_json *list = codec_json_new_array();
    for (size_t i = 0; i < c->devices.n; i++) {
        struct sandbox_device d = {0};
        struct err bad;
        if (sandbox_parse_device(c->devices.p[i], &d, &bad) < 0) continue;
        struct codec_json *row = codec_json_new_object();
        set_text(row, "PathOnHost", d.host);
        set_text(row, "PathInContainer", d.target);
        set_text(row, "CgroupPermissions", d.access);
        codec_json_add(list, row);
        free(d.host);
        free(d.target);
    }
    return list;
}

// What lies behind them cannot be seen or written: of the privileged and the unconfined nothing.
static void set_paths(struct codec_json *j, const struct record_config *c)
{
    struct codec_json *masked = codec_json_new_array(), *readonly = codec_json_new_array();
    bool open = c->privileged;
    for (size_t i = 0; i < c->security.n; i++)
        open |= strcmp(c->security.p[i], "systempaths=unconfined") == 0;
    const struct {
        const char *top;
        const struct sandbox_proc_path *rows;
        size_t n;
    } lists[] = {{"/proc", sandbox_proc_masked, sandbox_proc_masked_n},
                 {"/sys", sandbox_sys_masked, sandbox_sys_masked_n}};
    for (size_t l = 0; !open && l < 2; l++)
        for (size_t i = 0; i < lists[l].n; i++) {
            own(free) char *path = str_fmt("%s/%s", lists[l].top, lists[l].rows[i].path);
            codec_json_add(masked, codec_json_new_text(sv_of(path)));
        }
    for (size_t i = 0; !open && i < sandbox_proc_readonly_n; i++) {
        own(free) char *path = str_fmt("/proc/%s", sandbox_proc_readonly[i]);
        codec_json_add(readonly, codec_json_new_text(sv_of(path)));
    }
    set(j, "MaskedPaths", masked);
    set(j, "ReadonlyPaths", readonly);
}

static struct codec_json *console_size(void)
{
    struct codec_json *j = codec_json_new_array();
    for (int i = 0; i < 2; i++) codec_json_add(j, codec_json_new_int(0));
    return j;
}

static struct codec_json *host_config(const struct record_config *c)
{
    struct codec_json *j = codec_json_new_object();
    set(j, "Binds", record_inspect_binds(c));
    set_text(j, "ContainerIDFile", c->cidfile);
    set(j, "LogConfig", log_config(c));
    set_text(j, "NetworkMode", c->network);
    if (c->volumes_from.n) set_list(j, "VolumesFrom", &c->volumes_from);
    set(j, "PortBindings", codec_json_new_object());
    set(j, "RestartPolicy", restart_policy(c));
    set_bool(j, "AutoRemove", c->brief.rm);
    set_caps(j, "CapAdd", &c->cap_add);
    set_caps(j, "CapDrop", &c->cap_drop);
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
    set_text(j, "CgroupnsMode", c->cgroupns && c->cgroupns[0] ? c->cgroupns : "private");
    const struct {
        const char *key;
        const struct strv *list;
    } dns[] = {{"Dns", &c->dns}, {"DnsSearch", &c->dns_search}, {"DnsOptions", &c->dns_options}};
    for (size_t i = 0; i < 3; i++)
        if (dns[i].list->n) set_list(j, dns[i].key, dns[i].list);
    record_inspect_pairs(j, "Annotations", &c->annotations);
    set_text(j, "Runtime", "dewar");
    set(j, "ConsoleSize", console_size());
    set_list(j, "Ulimits", &c->ulimits);
    if (c->ulimits.n) set(j, "Ulimits", limits(c));
    set(j, "Devices", devices(c));
    record_inspect_pairs(j, "Sysctls", &c->sysctls);
    record_inspect_asked_mounts(c, j);
    set_paths(j, c);
    if (c->init) set_bool(j, "Init", true);
    set_resources(j, c);
    set_absent(j, ROWS(no_host_config));
    return j;
}

// Docker's sets: {"80/tcp": {}}.
static void set_keys(struct codec_json *j, const char *key, const struct strv *v)
{
    if (!v->n) return;
    struct codec_json *all = codec_json_new_object();
    for (size_t i = 0; i < v->n; i++) set(all, v->p[i], codec_json_new_object());
    set(j, key, all);
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
    set_bool(j, "AttachStdin", (c->attach & MESSAGE_IN) != 0);
    set_bool(j, "AttachStdout", (c->attach & MESSAGE_OUT) != 0);
    set_bool(j, "AttachStderr", (c->attach & MESSAGE_ERR) != 0);
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
    set_keys(j, "ExposedPorts", &c->exposed);
    own(strv) struct strv volumes = {0};
    vec_each (v, &c->volumes)
        if (v->anonymous) strv_add(&volumes, v->target);
    set_keys(j, "Volumes", &volumes);
    set_absent(j, ROWS(no_config));
    if (c->stop_signal) set_text(j, "StopSignal", c->stop_signal);
    if (c->stop_timeout >= 0) set_int(j, "StopTimeout", c->stop_timeout);
    return j;
}

static struct codec_json *networks(const struct record_config *c)
{
    struct codec_json *j = codec_json_new_object(), *all = codec_json_new_object();
    if (c->network) {
        struct codec_json *end = codec_json_new_object();
        set_absent(end, ROWS(no_endpoint));
        set(all, c->network, end);
    }
    set_absent(j, ROWS(no_network));
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
    if (!c.log_driver || strcmp(c.log_driver, "json-file") == 0) {
        own(free) char *log = str_fmt("%s/containers/%s/log/container.log", en->store_path, id);
        set_text(j, "LogPath", fs_exists(AT_FDCWD, log) ? log : "");
    }
    set_absent(j, ROWS(no_rest));
    struct codec_json *graph = codec_json_new_object();
    set_text(graph, "Name", "overlay");
    set(graph, "Data", codec_json_new_null());
    set(j, "GraphDriver", graph);
    set_text(j, "Driver", "overlay");
    set_text(j, "Platform", "linux");
    set(j, "HostConfig", host_config(&c));
    set(j, "Mounts", record_inspect_mounts(en, &c));
    set(j, "Config", config(&c));
    set(j, "NetworkSettings", networks(&c));
    *out = j;
    return 0;
}
