// SPDX-License-Identifier: Apache-2.0
// What a person asked for, checked and turned into a config: nothing is touched yet. Texts that
// depend on the caller (relative paths, variables, files) are read here and are plain in the
// config.
#include <fcntl.h>
#include <string.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/num.h"
#include "base/own.h"
#include "base/signals.h"
#include "container/container.h"
#include "container/create.h"
#include "container/life.h"
#include "container/others.h"
#include "container/restart.h"
#include "container/start.h"
#include "image/registry.h"
#include "image/view.h"
#include "record/log.h"
#include "record/record.h"
#include "record/state.h"
#include "sandbox/parse.h"
#include "sandbox/sandbox.h"
#include "store/lock.h"
#include "volume/volume.h"

static int network_option(struct engine *en, const struct container_run_options *o,
                          struct record_config *c, struct err *e)
{
    c->network = str_dup(o->network ? o->network : "none");
    if (!o->network && !o->quiet)
        event_info(&en->sink, "no network in this container; --network host shares the host's, "
                              "--network none hides this line");
    if (strcmp(c->network, "none") == 0 || strcmp(c->network, "host") == 0) return 0;
    err_set(e, ERR_UNSUPPORTED, "the network '%s' is not supported yet", o->network);
    return err_hint(e, "use --network host or --network none");
}

int create_pull_option(const struct container_run_options *o, enum image_pull_policy *out,
                       struct err *e)
{
    *out = IMAGE_PULL_MISSING;
    return o->pull ? image_pull_policy_parse(o->pull, out, e) : 0;
}

static int check_terminal(const struct container_run_options *o, struct err *e)
{
    if (!o->spec.tty || !o->interactive || o->detach || o->later || isatty(0)) return 0;
    err_set(e, ERR_USAGE, "the input device is not a TTY");
    return err_hint(e, "leave out -t where stdin is a pipe or a file");
}

// What is no path is the name of a volume, as with Docker.
static bool is_volume_name(const char *source)
{
    return !strchr(source, '/') && strcmp(source, ".") != 0 && strcmp(source, "..") != 0;
}

// People who mean a folder and leave out "./" get an empty volume: say so, the first time.
static int volume_name(struct engine *en, const struct container_run_options *o,
                       const struct sandbox_parse_volume *v, struct err *e)
{
    own(free) char *folder = str_fmt("volumes/%s", v->source);
    if (volume_name_check(v->source, e) < 0) return -1;
    if (!o->quiet && fs_exists(AT_FDCWD, v->source) && !fs_exists(en->store_fd, folder))
        event_info(&en->sink, "'%s' is a new volume; for the folder of that name write -v ./%s:%s",
                   v->source, v->source, v->target);
    return 0;
}

// A later start has another working directory.
static char *absolute(const char *path)
{
    own(str) struct str clean = {0};
    char cwd[4096];
    if (path[0] == '/' || !getcwd(cwd, sizeof cwd)) return str_dup(path);
    own(free) char *whole = str_fmt("%s/%s", cwd, path);
    fs_clean(sv_of(whole), &clean);
    return str_take(&clean);
}

static int add_volumes(struct engine *en, const struct container_run_options *o,
                       struct record_config *c, struct err *e)
{
    for (size_t i = 0; i < o->volumes.n; i++) {
        own(sandbox_parse_volume) struct sandbox_parse_volume v = {0};
        if (sandbox_parse_volume(o->volumes.p[i], &v, e) < 0) return -1;
        bool named = v.source && is_volume_name(v.source);
        bool bind = v.source && !named;
        if (named && volume_name(en, o, &v, e) < 0) return -1;
        struct record_mount *row = vec_add(&c->volumes);
        row->type = str_dup(bind ? "bind" : "volume");
        row->asked = str_dup("volume");
        row->anonymous = !v.source;
        row->source = bind ? absolute(v.source) : NULL;
        row->name = named ? take_ptr(v.source) : NULL;
        row->target = take_ptr(v.target);
        row->propagation = take_ptr(v.propagation);
        row->readonly = v.readonly;
        row->nocopy = v.nocopy;
    }
    return 0;
}

static void take_mount(struct record_config *c, struct sandbox_mount *m, const char *type)
{
    struct record_mount *row = vec_add(&c->volumes);
    row->type = str_dup(type);
    bool volume = strcmp(type, "volume") == 0;
    bool image = strcmp(type, "image") == 0;
    row->source = !m->source || volume ? NULL : image ? str_dup(m->source) : absolute(m->source);
    row->name = volume ? take_ptr(m->source) : NULL;
    row->anonymous = volume && !row->name;
    row->target = take_ptr(m->target);
    row->propagation = take_ptr(m->propagation);
    row->subpath = take_ptr(m->subpath);
    row->nocopy = m->nocopy;
    row->readonly = m->readonly;
    row->nonrecursive = m->nonrecursive;
    row->toponly = m->toponly;
    row->writable = m->writable;
    strv_add_all(&row->options, &m->options);
    strv_add_all(&row->labels, &m->labels);
    row->noexec = m->noexec;
    row->nosuid = m->nosuid;
    row->nodev = m->nodev;
    row->size = (int64_t)m->tmpfs_size;
    row->mode = m->tmpfs_mode;
    row->uid = m->tmpfs_uid;
    row->gid = m->tmpfs_gid;
    sandbox_mount_fini(m);
}

static int add_mounts(const struct container_run_options *o, struct record_config *c, struct err *e)
{
    for (size_t i = 0; i < o->mounts.n; i++) {
        struct sandbox_mount m;
        enum sandbox_parse_mount_type type;
        if (sandbox_parse_mount(o->mounts.p[i], &type, &m, e) < 0) return -1;
        if (type == PARSE_MOUNT_VOLUME && m.source && volume_name_check(m.source, e) < 0) {
            sandbox_mount_fini(&m);
            return -1;
        }
        if (m.create && fs_mkdirs(AT_FDCWD, m.source, 0755, e) < 0) {
            sandbox_mount_fini(&m);
            return err_wrap(e, "making the missing source of the mount '%s'", o->mounts.p[i]);
        }
        take_mount(c, &m, sandbox_parse_mount_name(type));
        c->volumes.p[c->volumes.n - 1].asked = str_dup("mount");
    }
    for (size_t i = 0; i < o->tmpfs.n; i++) {
        struct sandbox_mount m;
        if (sandbox_parse_tmpfs(o->tmpfs.p[i], &m, e) < 0) return -1;
        take_mount(c, &m, "tmpfs");
        const char *options = strchr(o->tmpfs.p[i], ':');
        c->volumes.p[c->volumes.n - 1].tmpfs = str_dup(options ? options + 1 : "");
    }
    return 0;
}

static bool has_target(const struct record_config *c, const char *target)
{
    vec_each(v, &c->volumes) if (strcmp(v->target, target) == 0) return true;
    return false;
}

// A copy of another container's mount. An anonymous volume of its is used by its name.
static void copy_volume(const struct record_mount *from, bool readonly, struct record_config *c)
{
    struct record_mount *to = vec_add(&c->volumes);
    const struct {
        char **to;
        const char *from;
    } texts[] = {{&to->type, from->type},
                 {&to->name, from->name},
                 {&to->source, from->source},
                 {&to->target, from->target},
                 {&to->propagation, from->propagation},
                 {&to->subpath, from->subpath}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) *texts[i].to = str_dup(texts[i].from);
    to->readonly = from->readonly || readonly;
    to->nonrecursive = from->nonrecursive;
    to->toponly = from->toponly;
    to->nocopy = from->nocopy;
}

static int volumes_from(struct engine *en, const char *text, struct record_config *c, struct err *e)
{
    char id[RECORD_ID];
    own(record_config) struct record_config other = {0};
    struct sv mode = sv_of(text), name = sv_cut(&mode, ':');
    own(free) char *z = sv_dup(name);
    bool readonly = mode.p && sv_eqz(mode, "ro");
    if (name.n == 0 ||
        (mode.p && !readonly && !sv_eqz(mode, "rw") && !sv_eqz(mode, "z") && !sv_eqz(mode, "Z"))) {
        err_set(e, ERR_USAGE, "invalid mode in --volumes-from '%s'", text);
        return err_hint(e, "the form is CONTAINER[:ro|rw]");
    }
    if (record_find(en, z, id, e) < 0 || record_config_load(en, id, &other, e) < 0)
        return err_wrap(e, "reading --volumes-from");
    vec_each(v, &other.volumes)
    {
        bool kind = strcmp(v->type, "volume") == 0 || strcmp(v->type, "bind") == 0;
        if (kind && !has_target(c, v->target)) copy_volume(v, readonly, c);
    }
    return 0;
}

// What is named by -v or --mount wins, and of several containers the last one.
static int add_volumes_from(struct engine *en, const struct container_run_options *o,
                            struct record_config *c, struct err *e)
{
    for (size_t i = o->volumes_from.n; i-- > 0;)
        if (volumes_from(en, o->volumes_from.p[i], c, e) < 0) return -1;
    strv_add_all(&c->volumes_from, &o->volumes_from);
    return 0;
}

static int no_doubles(const struct record_config *c, struct err *e)
{
    for (size_t i = 0; i < c->volumes.n; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(c->volumes.p[i].target, c->volumes.p[k].target) == 0)
                return err_set(e, ERR_USAGE, "two mounts on '%s'", c->volumes.p[i].target);
    return 0;
}

// Docker makes a missing source of -v, and people rely on it. Not before all options are known to
// be right.
static int make_sources(const struct record_config *c, size_t of_v, struct err *e)
{
    for (size_t i = 0; i < of_v; i++) {
        const struct record_mount *v = &c->volumes.p[i];
        if (!v->source || fs_exists(AT_FDCWD, v->source)) continue;
        if (fs_mkdirs(AT_FDCWD, v->source, 0755, e) < 0)
            return err_wrap(e, "making the missing source of the volume '%s:%s'", v->source,
                            v->target);
    }
    return 0;
}

static int restart_option(const struct container_run_options *o, struct record_config *c,
                          struct err *e)
{
    if (restart_parse(o->restart, &c->restart, &c->restart_max, e) < 0) return -1;
    if (!c->restart || !o->rm) return 0;
    err_set(e, ERR_USAGE, "conflicting options: cannot specify both --restart and --rm");
    return err_hint(e, "a container that is removed when it ends is not started again");
}

int restart_parse(const char *text, enum record_restart *out, int64_t *out_max, struct err *e)
{
    struct sv rest = sv_of(text ? text : "no"), name = sv_cut(&rest, ':');
    *out_max = 0;
    if (name.n == 0) name = SV("no");
    for (int i = 0; i < RECORD_RESTART_COUNT; i++) {
        if (!sv_eqz(name, record_restart_name((enum record_restart)i))) continue;
        *out = (enum record_restart)i;
        uint64_t max = 0;
        if (!rest.p) return 0;
        if (i == RECORD_RESTART_ON_FAILURE && num_u64_max(rest, INT32_MAX, &max)) {
            *out_max = (int64_t)max;
            return 0;
        }
        if (i != RECORD_RESTART_ON_FAILURE)
            return err_set(e, ERR_USAGE,
                           "invalid restart policy: maximum retry count can only be used with "
                           "'on-failure'");
        return err_set(e, ERR_USAGE, "invalid restart policy: '%s'", text);
    }
    err_set(e, ERR_USAGE, "invalid restart policy: unknown policy '%.*s'", (int)name.n, name.p);
    return err_hint(e, "it is no, on-failure[:MAX], always or unless-stopped");
}

static int health_options(const struct container_run_options *o, struct record_config *c,
                          struct err *e)
{
    const struct container_health_options *h = &o->health;
    bool any = h->cmd || h->has_interval || h->has_timeout || h->has_start ||
               h->has_start_interval || h->has_retries;
    if (o->no_healthcheck && any)
        return err_set(e, ERR_USAGE, "--no-healthcheck conflicts with --health-* options");
    struct oci_health *to = &c->health;
    const struct {
        bool given;
        int64_t value, *to;
        const char *name;
    } rows[] = {
        {h->has_interval, h->interval, &to->interval_ns, "interval"},
        {h->has_timeout, h->timeout, &to->timeout_ns, "timeout"},
        {h->has_start, h->start_period, &to->start_period_ns, "start-period"},
        {h->has_start_interval, h->start_interval, &to->start_interval_ns, "start-interval"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!rows[i].given) continue;
        if (rows[i].value < 0 || (rows[i].value && rows[i].value < 1000000))
            return err_set(e, ERR_USAGE, "--health-%s must be 0 or at least 1ms", rows[i].name);
        *rows[i].to = rows[i].value;
    }
    if (h->retries < 0) return err_set(e, ERR_USAGE, "--health-retries cannot be negative");
    if (h->has_retries) to->retries = h->retries;
    if (o->no_healthcheck || h->cmd) {
        strv_fini(&to->test);
        strv_add(&to->test, o->no_healthcheck ? "NONE" : "CMD-SHELL");
        if (h->cmd) strv_add(&to->test, h->cmd);
    }
    to->set |= any || o->no_healthcheck;
    return 0;
}

// The image's probe, field by field, where the person said nothing.
void create_merge_health(struct oci_health *to, const struct oci_health *from)
{
    if (!from->set) return;
    if (to->test.n == 0) strv_add_all(&to->test, &from->test);
    if (!to->interval_ns) to->interval_ns = from->interval_ns;
    if (!to->timeout_ns) to->timeout_ns = from->timeout_ns;
    if (!to->start_period_ns) to->start_period_ns = from->start_period_ns;
    if (!to->start_interval_ns) to->start_interval_ns = from->start_interval_ns;
    if (!to->retries) to->retries = from->retries;
    to->set = true;
}

static void copy_plain(const struct container_run_options *o, struct record_config *c)
{
    const struct sandbox_spec *s = &o->spec;
    const struct {
        char **to;
        const char *from;
    } texts[] = {{&c->user, s->user},
                 {&c->workdir, s->workdir},
                 {&c->hostname, s->hostname},
                 {&c->domainname, s->domainname},
                 {&c->cpuset_cpus, s->cpuset_cpus},
                 {&c->cpuset_mems, s->cpuset_mems},
                 {&c->stop_signal, o->stop_signal},
                 {&c->userns_mode, o->userns},
                 {&c->cgroup_parent, o->cgroup_parent},
                 {&c->cgroupns, o->cgroupns},
                 {&c->log_driver, o->log_driver},
                 {&c->brief.image, o->image}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) *texts[i].to = str_dup(texts[i].from);
    const struct {
        struct strv *to;
        const struct strv *from;
    } lists[] = {{&c->groups_add, &s->groups_add}, {&c->hosts_extra, &s->hosts_extra},
                 {&c->cap_add, &s->cap_add},       {&c->cap_drop, &s->cap_drop},
                 {&c->sysctls, &s->sysctls},       {&c->device_rules, &s->device_rules},
                 {&c->devices, &o->devices},       {&c->ulimits, &o->ulimits},
                 {&c->log_opts, &o->log_opts},     {&c->ports, &o->ports},
                 {&c->dns, &s->dns},               {&c->dns_search, &s->dns_search},
                 {&c->dns_options, &s->dns_options}, {&c->annotations, &o->annotations}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        strv_add_all(lists[i].to, lists[i].from);
    if (o->cidfile) c->cidfile = absolute(o->cidfile);
    c->brief.rm = o->rm;
    c->brief.tty = c->tty = s->tty;
    c->interactive = o->interactive;
    c->stdin_once = o->interactive && !o->detach;
    c->init = s->init;
    c->readonly = s->readonly;
    c->privileged = s->privileged;
    c->shm_size = (int64_t)s->shm_size;
    c->has_oom_score_adj = s->has_oom_score_adj;
    c->oom_score_adj = s->oom_score_adj;
    c->memory = (int64_t)s->memory;
    c->memory_swap = s->memory_swap;
    c->cpu_shares = (int64_t)s->cpu_shares;
    c->nano_cpus = s->nano_cpus;
    c->cpu_quota = s->cpu_quota;
    c->cpu_period = s->cpu_period;
    c->memory_reservation = s->memory_reservation;
    c->blkio_weight = s->blkio_weight;
    c->cpu_rt_period = s->cpu_rt_period;
    c->cpu_rt_runtime = s->cpu_rt_runtime;
    c->oom_kill_disable = s->oom_kill_disable;
    c->has_swappiness = s->has_swappiness && s->memory_swappiness != -1;
    c->memory_swappiness = c->has_swappiness ? s->memory_swappiness : 0;
    c->pids_limit = s->pids_limit;
    c->stop_timeout = o->has_stop_timeout ? o->stop_timeout : -1;
}

// The profile's file may be gone or changed at a later start: its text goes into the record's
// folder when that is made. Here only where it is.
static void security_options(const struct container_run_options *o, struct record_config *c)
{
    for (size_t i = 0; i < o->security.n; i++) {
        const char *text = o->security.p[i], *file = text + 8;
        bool path = strncmp(text, "seccomp=", 8) == 0 && strcmp(file, "unconfined") != 0 &&
                    strcmp(file, "builtin") != 0 && file[0];
        own(free) char *whole = path ? absolute(file) : NULL;
        strv_take(&c->security, path ? str_fmt("seccomp=%s", whole) : str_dup(text));
    }
}

static int check_hostname(const struct record_config *c, struct err *e)
{
    const char *uts = c->uts_mode;
    if (!uts || strcmp(uts, "private") == 0 || (!c->hostname && !c->domainname)) return 0;
    return err_set(e, ERR_USAGE, "conflicting options: hostname and the UTS mode");
}

// All that can be wrong on the command line, before anything is touched.
int create_read(struct engine *en, const struct container_run_options *o, struct record_config *c,
                struct strv *env, struct err *e)
{
    enum image_pull_policy pull;
    copy_plain(o, c);
    security_options(o, c);
    if (create_read_words(o, c, e) < 0 || create_check_limits(c, e) < 0) return -1;
    if (check_terminal(o, e) < 0 || create_pull_option(o, &pull, e) < 0 ||
        restart_option(o, c, e) < 0 || health_options(o, c, e) < 0 ||
        others_mode(en, o->pid_mode, "pid", &c->pid_mode, e) < 0 ||
        others_mode(en, o->ipc_mode, "ipc", &c->ipc_mode, e) < 0 ||
        others_mode(en, o->uts_mode, "uts", &c->uts_mode, e) < 0)
        return -1;
    const char *name = record_plain_name(o->name);
    if (name && !sandbox_parse_name_ok(name)) {
        struct record none = RECORD_NONE;
        return record_name(en, &none, name, e);
    }
    if (o->stop_signal && signals_number(sv_of(o->stop_signal)) < 0)
        return err_set(e, ERR_USAGE, "invalid signal: '%s'", o->stop_signal);
    struct record_log_options log;
    own(str) struct str attrs = {0};
    if (record_log_options_read(c, &log, e) < 0 || record_log_attrs(c, &attrs, e) < 0) return -1;
    strv_add_all(env, &o->proxies);
    for (size_t i = 0; i < o->env_files.n; i++)
        if (sandbox_parse_env_file(o->env_files.p[i], env, e) < 0) return -1;
    for (size_t i = 0; i < o->env.n; i++) {
        if (o->env.p[i][0] == '=' || o->env.p[i][0] == '\0')
            return err_set(e, ERR_USAGE, "invalid environment variable '%s'", o->env.p[i]);
        strv_add(env, o->env.p[i]);
    }
    if (o->cidfile && fs_exists(AT_FDCWD, o->cidfile)) {
        err_set(e, ERR_CONFLICT, "the container ID file '%s' exists already", o->cidfile);
        return err_hint(e, "another container may still run; remove the file if not");
    }
    if (add_volumes(en, o, c, e) < 0 || add_mounts(o, c, e) < 0 ||
        add_volumes_from(en, o, c, e) < 0)
        return -1;
    if (network_option(en, o, c, e) < 0 || check_hostname(c, e) < 0 || no_doubles(c, e) < 0 ||
        make_sources(c, o->volumes.n, e) < 0)
        return -1;
    own(sandbox_spec) struct sandbox_spec check = {.rootfs_fd = -1};
    return container_start_spec(en, c, &check, e);
}
