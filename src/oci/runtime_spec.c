// SPDX-License-Identifier: Apache-2.0
// config.json of the OCI runtime specification, decoded by tables. The texts are the caller's
// (podman, containerd, a person): trusted to steer the engine, and still checked one by one, with
// the place of a mistake named ("mounts[3]: 'destination' is missing").
#include "oci/runtime_spec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/own.h"

#define LIST_MAX 4096

const char *const oci_hook_names[OCI_HOOKS] = {
    "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
};

#define ROW(type, key_, kind_, member)                                                             \
    {                                                                                              \
        .key = key_, .kind = CODEC_FIELD_##kind_, .offset = offsetof(type, member)                 \
    }
#define NEED(type, key_, kind_, member)                                                            \
    {                                                                                              \
        .key = key_, .kind = CODEC_FIELD_##kind_, .offset = offsetof(type, member),                \
        .required = true                                                                           \
    }
#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

// --- ends --------------------------------------------------------------------------------------

void oci_process_fini(struct oci_process *p)
{
    vec_fini(&p->groups);
    strv_fini(&p->args);
    strv_fini(&p->env);
    free(p->cwd);
    for (int i = 0; i < OCI_CAP_SETS; i++) strv_fini(&p->caps[i]);
    vec_each(l, &p->rlimits) free(l->type);
    vec_fini(&p->rlimits);
    free(p->apparmor);
    free(p->selinux);
    free(p->cpus_initial);
    free(p->cpus_final);
    memset(p, 0, sizeof *p);
}

static void hook_fini(struct oci_hook *h)
{
    free(h->path);
    strv_fini(&h->args);
    strv_fini(&h->env);
}

static void mount_fini(struct oci_mount *m)
{
    free(m->destination);
    free(m->type);
    free(m->source);
    strv_fini(&m->options);
}

void oci_runtime_fini(struct oci_runtime *r)
{
    oci_process_fini(&r->process);
    vec_each(m, &r->mounts) mount_fini(m);
    vec_fini(&r->mounts);
    for (int i = 0; i < OCI_HOOKS; i++) {
        vec_each(h, &r->hooks[i]) hook_fini(h);
        vec_fini(&r->hooks[i]);
    }
    vec_each(n, &r->namespaces)
    {
        free(n->type);
        free(n->path);
    }
    vec_fini(&r->namespaces);
    vec_each(d, &r->devices) free(d->path);
    vec_fini(&r->devices);
    char *texts[] = {r->version,      r->hostname,    r->domainname,  r->root_path,
                     r->cgroups_path, r->propagation, r->mount_label, r->personality};
    for (size_t i = 0; i < COUNT(texts); i++) free(texts[i]);
    strv_fini(&r->sysctls);
    strv_fini(&r->masked);
    strv_fini(&r->readonly);
    codec_json_free(r->json);
    memset(r, 0, sizeof *r);
}

// --- pieces ------------------------------------------------------------------------------------

static int need_list(const struct codec_json *v, const char *label, struct err *e)
{
    if (!v || codec_json_type(v) == CODEC_JSON_NULL) return 0;
    if (codec_json_type(v) != CODEC_JSON_ARRAY)
        return err_set(e, ERR_INPUT, "%s: must be a JSON array", label);
    if (codec_json_len(v) > LIST_MAX)
        return err_set(e, ERR_LIMIT, "%s: more than %d entries", label, LIST_MAX);
    return 1;
}

static int need_range(int64_t v, int64_t low, int64_t high, const char *label, struct err *e)
{
    if (v >= low && v <= high) return 0;
    return err_set(e, ERR_INPUT, "%s: %lld is out of range", label, (long long)v);
}

static int need_int(const struct codec_json *v, const char *label, struct err *e)
{
    if (codec_json_type(v) == CODEC_JSON_INT) return 0;
    return err_set(e, ERR_INPUT, "%s: must be a whole number", label);
}

static int get_u32(const struct codec_json *obj, const char *key, const char *label, uint32_t *out,
                   bool *out_has, struct err *e)
{
    const struct codec_json *v = codec_json_get(obj, key);
    if (codec_json_type(v) == CODEC_JSON_NULL) return 0;
    if (codec_json_type(v) != CODEC_JSON_INT)
        return err_set(e, ERR_INPUT, "%s: '%s' must be an integer", label, key);
    if (need_range(codec_json_int(v), 0, UINT32_MAX, key, e) < 0) return err_wrap(e, "%s", label);
    *out = (uint32_t)codec_json_int(v);
    if (out_has) *out_has = true;
    return 0;
}

static int read_map(const struct codec_json *list, const char *label, struct idmap_side *out,
                    struct err *e)
{
    int rc = need_list(list, label, e);
    if (rc <= 0) return rc;
    for (size_t i = 0; i < codec_json_len(list); i++) {
        const struct codec_json *row = codec_json_at(list, i);
        struct idmap_range r = {0};
        if (out->n == IDMAP_RANGES)
            return err_set(e, ERR_LIMIT, "%s: more than %d ranges", label, IDMAP_RANGES);
        if (get_u32(row, "containerID", label, &r.inside, NULL, e) < 0 ||
            get_u32(row, "hostID", label, &r.outside, NULL, e) < 0 ||
            get_u32(row, "size", label, &r.count, NULL, e) < 0)
            return -1;
        if (r.count == 0) return err_set(e, ERR_INPUT, "%s: a range of no ids", label);
        out->range[out->n++] = r;
    }
    return 0;
}

// --- process -----------------------------------------------------------------------------------

struct process_rows {
    struct codec_json *size, *user, *caps, *rlimits, *oom, *io, *scheduler, *affinity;
};

static int read_user(const struct codec_json *j, struct oci_process *p, struct err *e)
{
    const struct codec_json *groups = codec_json_get(j, "additionalGids");
    if (get_u32(j, "uid", "process.user", &p->uid, NULL, e) < 0 ||
        get_u32(j, "gid", "process.user", &p->gid, NULL, e) < 0 ||
        get_u32(j, "umask", "process.user", &p->umask, &p->has_umask, e) < 0)
        return -1;
    if (p->uid == UINT32_MAX || p->gid == UINT32_MAX)  // "leave it as it is", to the kernel
        return err_set(e, ERR_INPUT, "process.user: %u is no id", UINT32_MAX);
    int rc = need_list(groups, "process.user.additionalGids", e);
    for (size_t i = 0; rc > 0 && i < codec_json_len(groups); i++) {
        const struct codec_json *v = codec_json_at(groups, i);
        if (need_int(v, "process.user.additionalGids", e) < 0 ||
            need_range(codec_json_int(v), 0, UINT32_MAX - 1, "process.user.additionalGids", e) < 0)
            return -1;
        vec_push(&p->groups, (uint32_t)codec_json_int(v));
    }
    return rc < 0 ? -1 : 0;
}

static int read_caps(const struct codec_json *j, struct oci_process *p, struct err *e)
{
    static const struct codec_field rows[] = {
        ROW(struct oci_process, "bounding", STRV, caps[OCI_CAP_BOUNDING]),
        ROW(struct oci_process, "effective", STRV, caps[OCI_CAP_EFFECTIVE]),
        ROW(struct oci_process, "permitted", STRV, caps[OCI_CAP_PERMITTED]),
        ROW(struct oci_process, "inheritable", STRV, caps[OCI_CAP_INHERITABLE]),
        ROW(struct oci_process, "ambient", STRV, caps[OCI_CAP_AMBIENT]),
    };
    p->has_caps = true;
    return codec_json_decode(j, "process.capabilities", rows, COUNT(rows), p, e);
}

static int read_rlimits(const struct codec_json *list, struct oci_process *p, struct err *e)
{
    struct row {
        char *type;
        int64_t soft, hard;
    };
    static const struct codec_field rows[] = {NEED(struct row, "type", TEXT, type),
                                              NEED(struct row, "soft", INT, soft),
                                              NEED(struct row, "hard", INT, hard)};
    int rc = need_list(list, "process.rlimits", e);
    for (size_t i = 0; rc > 0 && i < codec_json_len(list); i++) {
        struct row r = {0};
        int bad =
            codec_json_decode(codec_json_at(list, i), "process.rlimits", rows, COUNT(rows), &r, e);
        vec_push(&p->rlimits, (struct oci_rlimit){r.type, (uint64_t)r.soft, (uint64_t)r.hard});
        if (bad < 0) return -1;
        for (size_t k = 0; k + 1 < p->rlimits.n; k++)
            if (strcmp(p->rlimits.p[k].type, r.type) == 0)
                return err_set(e, ERR_INPUT, "process.rlimits: '%s' stands there twice", r.type);
    }
    return rc < 0 ? -1 : 0;
}

// The place of `name` in the list, -1: nowhere.
static int find_word(const char *const *list, const char *name)
{
    for (int i = 0; list[i]; i++)
        if (strcmp(list[i], name) == 0) return i;
    return -1;
}

static int read_io(const struct codec_json *j, struct oci_process *p, struct err *e)
{
    static const char *const classes[] = {"", "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE",
                                          "IOPRIO_CLASS_IDLE", NULL};
    struct row {
        char *class;
        int64_t priority;
    };
    static const struct codec_field rows[] = {NEED(struct row, "class", TEXT, class),
                                              ROW(struct row, "priority", INT, priority)};
    struct row v = {0};
    int rc = codec_json_decode(j, "process.ioPriority", rows, COUNT(rows), &v, e);
    own(free) char *name = v.class;
    if (rc < 0) return -1;
    p->io_class = find_word(classes, name);
    p->io_priority = v.priority;
    p->has_io = true;
    if (p->io_class <= 0)
        return err_set(e, ERR_INPUT, "process.ioPriority: unknown class '%s'", name);
    return need_range(p->io_priority, 0, 7, "process.ioPriority.priority", e);
}

static int read_scheduler(const struct codec_json *j, struct oci_scheduler *s, struct err *e)
{
    // By their numbers in the kernel; 4 is not taken.
    static const char *const policies[] = {"SCHED_OTHER", "SCHED_FIFO", "SCHED_RR",
                                           "SCHED_BATCH", "SCHED_ISO",  "SCHED_IDLE",
                                           "SCHED_DEADLINE", NULL};
    static const char *const flags[] = {
        "SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM",        "SCHED_FLAG_DL_OVERRUN",
        "SCHED_FLAG_KEEP_POLICY",   "SCHED_FLAG_KEEP_PARAMS",    "SCHED_FLAG_UTIL_CLAMP_MIN",
        "SCHED_FLAG_UTIL_CLAMP_MAX", NULL};
    struct row {
        char *policy;
        struct strv flags;
    } v = {0};
    static const struct codec_field texts[] = {NEED(struct row, "policy", TEXT, policy),
                                               ROW(struct row, "flags", STRV, flags)};
    static const struct codec_field numbers[] = {
        ROW(struct oci_scheduler, "nice", INT, nice),
        ROW(struct oci_scheduler, "priority", INT, priority),
        ROW(struct oci_scheduler, "runtime", INT, runtime),
        ROW(struct oci_scheduler, "deadline", INT, deadline),
        ROW(struct oci_scheduler, "period", INT, period)};
    int rc = codec_json_decode(j, "process.scheduler", texts, COUNT(texts), &v, e);
    own(free) char *policy = v.policy;
    own(strv) struct strv words = v.flags;
    if (rc < 0 || codec_json_decode(j, "process.scheduler", numbers, COUNT(numbers), s, e) < 0)
        return -1;
    s->given = true;
    s->policy = find_word(policies, policy);
    if (s->policy < 0)
        return err_set(e, ERR_INPUT, "process.scheduler: unknown policy '%s'", policy);
    for (size_t i = 0; i < words.n; i++) {
        int bit = find_word(flags, words.p[i]);
        if (bit < 0)
            return err_set(e, ERR_INPUT, "process.scheduler: unknown flag '%s'", words.p[i]);
        s->flags |= (uint64_t)1 << bit;
    }
    if (need_range(s->nice, -20, 19, "nice", e) < 0 ||
        need_range(s->priority, 0, 99, "priority", e) < 0)
        return err_wrap(e, "process.scheduler");
    return 0;
}

static int read_affinity(const struct codec_json *j, struct oci_process *p, struct err *e)
{
    static const struct codec_field rows[] = {
        ROW(struct oci_process, "initial", TEXT, cpus_initial),
        ROW(struct oci_process, "final", TEXT, cpus_final)};
    return codec_json_decode(j, "process.execCPUAffinity", rows, COUNT(rows), p, e);
}

static int check_process(const struct oci_process *p, struct err *e)
{
    if (!p->cwd || p->cwd[0] != '/')
        return err_set(e, ERR_INPUT, "process.cwd: '%s' is not an absolute path",
                       p->cwd ? p->cwd : "");
    if (p->args.n && !p->args.p[0][0])
        return err_set(e, ERR_INPUT, "process.args: the program's name is empty");
    return 0;
}

static int read_process(const struct codec_json *j, struct oci_process *p, struct err *e)
{
    static const struct codec_field texts[] = {
        ROW(struct oci_process, "terminal", BOOL, terminal),
        ROW(struct oci_process, "args", STRV, args),
        ROW(struct oci_process, "env", STRV, env),
        NEED(struct oci_process, "cwd", TEXT, cwd),
        ROW(struct oci_process, "noNewPrivileges", BOOL, no_new_privs),
        ROW(struct oci_process, "apparmorProfile", TEXT, apparmor),
        ROW(struct oci_process, "selinuxLabel", TEXT, selinux),
    };
    static const struct codec_field parts[] = {
        ROW(struct process_rows, "consoleSize", VALUE, size),
        NEED(struct process_rows, "user", VALUE, user),
        ROW(struct process_rows, "capabilities", VALUE, caps),
        ROW(struct process_rows, "rlimits", VALUE, rlimits),
        ROW(struct process_rows, "oomScoreAdj", VALUE, oom),
        ROW(struct process_rows, "ioPriority", VALUE, io),
        ROW(struct process_rows, "scheduler", VALUE, scheduler),
        ROW(struct process_rows, "execCPUAffinity", VALUE, affinity),
    };
    struct process_rows v = {0};
    if (codec_json_decode(j, "process", texts, COUNT(texts), p, e) < 0 ||
        codec_json_decode(j, "process", parts, COUNT(parts), &v, e) < 0 ||
        read_user(v.user, p, e) < 0 || (v.caps && read_caps(v.caps, p, e) < 0) ||
        read_rlimits(v.rlimits, p, e) < 0 || (v.io && read_io(v.io, p, e) < 0) ||
        (v.scheduler && read_scheduler(v.scheduler, &p->scheduler, e) < 0) ||
        (v.affinity && read_affinity(v.affinity, p, e) < 0))
        return -1;
    if (v.oom) {
        p->oom_score_adj = codec_json_int(v.oom);
        p->has_oom_score_adj = true;
        if (need_int(v.oom, "process.oomScoreAdj", e) < 0 ||
            need_range(p->oom_score_adj, -1000, 1000, "process.oomScoreAdj", e) < 0)
            return -1;
    }
    if (v.size) {
        uint32_t rows = 0, columns = 0;
        if (get_u32(v.size, "height", "process.consoleSize", &rows, NULL, e) < 0 ||
            get_u32(v.size, "width", "process.consoleSize", &columns, NULL, e) < 0)
            return -1;
        p->rows = (uint16_t)(rows > 65535 ? 65535 : rows);
        p->columns = (uint16_t)(columns > 65535 ? 65535 : columns);
    }
    return check_process(p, e);
}

// --- lists of objects --------------------------------------------------------------------------

static int read_mounts(const struct codec_json *list, struct oci_runtime *r, struct err *e)
{
    struct maps {
        struct codec_json *uid, *gid;
    };
    static const struct codec_field rows[] = {
        NEED(struct oci_mount, "destination", TEXT, destination),
        ROW(struct oci_mount, "type", TEXT, type), ROW(struct oci_mount, "source", TEXT, source),
        ROW(struct oci_mount, "options", STRV, options)};
    static const struct codec_field maps[] = {ROW(struct maps, "uidMappings", VALUE, uid),
                                              ROW(struct maps, "gidMappings", VALUE, gid)};
    int rc = need_list(list, "mounts", e);
    for (size_t i = 0; rc > 0 && i < codec_json_len(list); i++) {
        char label[32];
        struct maps m = {0};
        snprintf(label, sizeof label, "mounts[%zu]", i);
        struct oci_mount *row = vec_add(&r->mounts);
        const struct codec_json *j = codec_json_at(list, i);
        if (codec_json_decode(j, label, rows, COUNT(rows), row, e) < 0 ||
            codec_json_decode(j, label, maps, COUNT(maps), &m, e) < 0 ||
            read_map(m.uid, "mounts: uidMappings", &row->uid, e) < 0 ||
            read_map(m.gid, "mounts: gidMappings", &row->gid, e) < 0)
            return -1;
    }
    return rc < 0 ? -1 : 0;
}

static int read_hooks(const struct codec_json *j, struct oci_runtime *r, struct err *e)
{
    static const struct codec_field rows[] = {
        NEED(struct oci_hook, "path", TEXT, path), ROW(struct oci_hook, "args", STRV, args),
        ROW(struct oci_hook, "env", STRV, env), ROW(struct oci_hook, "timeout", INT, timeout)};
    for (int k = 0; j && k < OCI_HOOKS; k++) {
        const struct codec_json *list = codec_json_get(j, oci_hook_names[k]);
        int rc = need_list(list, oci_hook_names[k], e);
        for (size_t i = 0; rc > 0 && i < codec_json_len(list); i++) {
            struct oci_hook *h = vec_add(&r->hooks[k]);
            const struct codec_json *row = codec_json_at(list, i);
            if (codec_json_decode(row, oci_hook_names[k], rows, COUNT(rows), h, e) < 0) return -1;
            h->has_env = codec_json_get(row, "env") != NULL;
            if (h->path[0] != '/')
                return err_set(e, ERR_INPUT, "hooks.%s: '%s' is not an absolute path",
                               oci_hook_names[k], h->path);
            if (h->timeout < 0 || (codec_json_get(row, "timeout") && h->timeout == 0))
                return err_set(e, ERR_INPUT, "hooks.%s: the timeout must be greater than zero",
                               oci_hook_names[k]);
        }
        if (rc < 0) return -1;
    }
    return 0;
}

static int read_namespaces(const struct codec_json *list, struct oci_runtime *r, struct err *e)
{
    static const struct codec_field rows[] = {NEED(struct oci_namespace, "type", TEXT, type),
                                              ROW(struct oci_namespace, "path", TEXT, path)};
    int rc = need_list(list, "linux.namespaces", e);
    for (size_t i = 0; rc > 0 && i < codec_json_len(list); i++) {
        struct oci_namespace *n = vec_add(&r->namespaces);
        if (codec_json_decode(codec_json_at(list, i), "linux.namespaces", rows, COUNT(rows), n, e) <
            0)
            return -1;
        if (n->path && !n->path[0]) free(take_ptr(n->path));
        if (n->path && n->path[0] != '/')
            return err_set(e, ERR_INPUT, "linux.namespaces: '%s' is not an absolute path", n->path);
        for (size_t k = 0; k < i; k++)
            if (strcmp(r->namespaces.p[k].type, n->type) == 0)
                return err_set(e, ERR_INPUT, "linux.namespaces: '%s' stands there twice", n->type);
    }
    return rc < 0 ? -1 : 0;
}

static int read_devices(const struct codec_json *list, struct oci_runtime *r, struct err *e)
{
    struct row {
        char *path, *type;
        int64_t major, minor;
    };
    static const struct codec_field rows[] = {
        NEED(struct row, "path", TEXT, path), NEED(struct row, "type", TEXT, type),
        ROW(struct row, "major", INT, major), ROW(struct row, "minor", INT, minor)};
    int rc = need_list(list, "linux.devices", e);
    for (size_t i = 0; rc > 0 && i < codec_json_len(list); i++) {
        struct row v = {0};
        struct oci_device d = {.mode = 0666};
        const struct codec_json *j = codec_json_at(list, i);
        int bad = codec_json_decode(j, "linux.devices", rows, COUNT(rows), &v, e);
        own(free) char *type = v.type;
        d.path = v.path;
        if (bad == 0 && (get_u32(j, "fileMode", "linux.devices", &d.mode, NULL, e) < 0 ||
                         get_u32(j, "uid", "linux.devices", &d.uid, NULL, e) < 0 ||
                         get_u32(j, "gid", "linux.devices", &d.gid, NULL, e) < 0))
            bad = -1;
        d.type = type && strlen(type) == 1 ? type[0] : '?';
        d.major = v.major;
        d.minor = v.minor;
        vec_push(&r->devices, d);
        if (bad < 0) return -1;
        if (!strchr("cbup", d.type))
            return err_set(e, ERR_INPUT, "linux.devices: '%s' has the unknown type '%s'", d.path,
                           type);
        if (d.type == 'u') r->devices.p[i].type = 'c';
        if (d.path[0] != '/')
            return err_set(e, ERR_INPUT, "linux.devices: '%s' is not an absolute path", d.path);
    }
    return rc < 0 ? -1 : 0;
}

static int read_sysctls(const struct codec_json *j, struct oci_runtime *r, struct err *e)
{
    void *it = NULL;
    const char *key;
    struct codec_json *v;
    while (j && codec_json_next(j, &it, &key, &v)) {
        if (codec_json_type(v) != CODEC_JSON_TEXT)
            return err_set(e, ERR_INPUT, "linux.sysctl: '%s' must be a text", key);
        struct sv text = codec_json_text(v);
        strv_take(&r->sysctls, str_fmt("%s=%.*s", key, (int)text.n, text.p));
    }
    return 0;
}

static int read_clocks(const struct codec_json *j, struct oci_runtime *r, struct err *e)
{
    static const char *const names[OCI_CLOCKS + 1] = {"monotonic", "boottime", NULL};
    static const struct codec_field rows[] = {ROW(struct oci_clock, "secs", INT, secs),
                                              ROW(struct oci_clock, "nanosecs", INT, nanosecs)};
    void *it = NULL;
    const char *key;
    struct codec_json *v;
    while (j && codec_json_next(j, &it, &key, &v)) {
        int i = find_word(names, key);
        if (i < 0) return err_set(e, ERR_INPUT, "linux.timeOffsets: unknown clock '%s'", key);
        struct oci_clock *c = &r->clocks[i];
        if (codec_json_decode(v, "linux.timeOffsets", rows, COUNT(rows), c, e) < 0 ||
            need_range(c->nanosecs, 0, 999999999, "linux.timeOffsets: nanosecs", e) < 0)
            return -1;
        c->given = true;
    }
    return 0;
}

static int check_annotations(const struct codec_json *j, struct err *e)
{
    void *it = NULL;
    const char *key;
    struct codec_json *v;
    if (j && codec_json_type(j) != CODEC_JSON_OBJECT)
        return err_set(e, ERR_INPUT, "annotations: must be a JSON object");
    while (j && codec_json_next(j, &it, &key, &v))
        if (codec_json_type(v) != CODEC_JSON_TEXT)
            return err_set(e, ERR_INPUT, "annotations: '%s' must be a text", key);
    return 0;
}

// --- the whole ---------------------------------------------------------------------------------

struct linux_rows {
    struct codec_json *namespaces, *uid, *gid, *devices, *sysctl, *personality, *intel,
        *clocks;
};

static int read_linux(const struct codec_json *j, struct oci_runtime *r, struct err *e)
{
    static const struct codec_field rows[] = {
        ROW(struct oci_runtime, "cgroupsPath", TEXT, cgroups_path),
        ROW(struct oci_runtime, "rootfsPropagation", TEXT, propagation),
        ROW(struct oci_runtime, "mountLabel", TEXT, mount_label),
        ROW(struct oci_runtime, "maskedPaths", STRV, masked),
        ROW(struct oci_runtime, "readonlyPaths", STRV, readonly),
        ROW(struct oci_runtime, "resources", VALUE, resources),
        ROW(struct oci_runtime, "seccomp", VALUE, seccomp)};
    static const struct codec_field parts[] = {
        ROW(struct linux_rows, "namespaces", VALUE, namespaces),
        ROW(struct linux_rows, "uidMappings", VALUE, uid),
        ROW(struct linux_rows, "gidMappings", VALUE, gid),
        ROW(struct linux_rows, "devices", VALUE, devices),
        ROW(struct linux_rows, "sysctl", VALUE, sysctl),
        ROW(struct linux_rows, "personality", VALUE, personality),
        ROW(struct linux_rows, "timeOffsets", VALUE, clocks),
        ROW(struct linux_rows, "intelRdt", VALUE, intel)};
    struct linux_rows v = {0};
    if (codec_json_decode(j, "linux", rows, COUNT(rows), r, e) < 0 ||
        codec_json_decode(j, "linux", parts, COUNT(parts), &v, e) < 0 ||
        read_namespaces(v.namespaces, r, e) < 0 ||
        read_map(v.uid, "linux.uidMappings", &r->uid, e) < 0 ||
        read_map(v.gid, "linux.gidMappings", &r->gid, e) < 0 || read_devices(v.devices, r, e) < 0 ||
        read_sysctls(v.sysctl, r, e) < 0 || read_clocks(v.clocks, r, e) < 0)
        return -1;
    if (v.intel) return err_set(e, ERR_UNSUPPORTED, "linux.intelRdt is not supported");
    if (v.personality)
        r->personality = sv_dup(codec_json_text(codec_json_get(v.personality, "domain")));
    return 0;
}

void oci_runtime_fold_numbers(struct sv text, struct str *out)
{
    bool quoted = false;
    for (size_t i = 0; i < text.n;) {
        char c = text.p[i];
        bool digit = c >= '0' && c <= '9';
        size_t n = 1;
        if (quoted && c == '\\' && i + 1 < text.n)
            n = 2;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && digit)
            while (i + n < text.n && strchr("0123456789.eE+-", text.p[i + n]) && text.p[i + n]) n++;
        uint64_t v;
        struct sv piece = {text.p + i, n};
        // 2^64-1 as programs write it that know no integers but doubles.
        bool rounded = n == 20 && memcmp(piece.p, "18446744073709552000", n) == 0;
        if (digit && !quoted && rounded)
            str_addf(out, "%-*d", (int)n, -1);
        else if (digit && !quoted && n >= 19 && num_u64_max(piece, UINT64_MAX, &v) && v > INT64_MAX)
            str_addf(out, "%-*lld", (int)n, (long long)v);
        else
            str_add(out, piece);
        i += n;
    }
}

int oci_runtime_version(const char *text, unsigned out[3])
{
    struct sv rest = sv_of(text);
    for (int i = 0; i < 3; i++) {
        uint64_t v;
        struct sv part = rest.p ? sv_cut(&rest, '.') : SV("");
        if (i == 2) part = sv_cut(&part, '-');
        if (i == 2) part = sv_cut(&part, '+');
        if (!num_u64_max(part, 1000, &v)) return -1;
        out[i] = (unsigned)v;
    }
    return 0;
}

static int check_version(const char *text, struct err *e)
{
    unsigned v[3];
    if (oci_runtime_version(text, v) < 0)
        return err_set(e, ERR_INPUT, "ociVersion: '%s' is not of the form X.Y.Z", text);
    if (v[0] == 1) return 0;
    return err_set(e, ERR_UNSUPPORTED, "ociVersion: '%s' is not supported, only 1.x", text);
}

struct top_rows {
    struct codec_json *process, *root, *mounts, *hooks, *linux_;
};

static int read_all(struct oci_runtime *r, struct err *e)
{
    static const struct codec_field rows[] = {
        NEED(struct oci_runtime, "ociVersion", TEXT, version),
        ROW(struct oci_runtime, "hostname", TEXT, hostname),
        ROW(struct oci_runtime, "domainname", TEXT, domainname),
        ROW(struct oci_runtime, "annotations", VALUE, annotations)};
    static const struct codec_field root_rows[] = {
        NEED(struct oci_runtime, "path", TEXT, root_path),
        ROW(struct oci_runtime, "readonly", BOOL, root_readonly)};
    static const struct codec_field parts[] = {
        ROW(struct top_rows, "process", VALUE, process), NEED(struct top_rows, "root", VALUE, root),
        ROW(struct top_rows, "mounts", VALUE, mounts), ROW(struct top_rows, "hooks", VALUE, hooks),
        ROW(struct top_rows, "linux", VALUE, linux_)};
    struct top_rows v = {0};
    if (codec_json_decode(r->json, "config.json", rows, COUNT(rows), r, e) < 0 ||
        check_version(r->version, e) < 0 || check_annotations(r->annotations, e) < 0 ||
        codec_json_decode(r->json, "config.json", parts, COUNT(parts), &v, e) < 0 ||
        codec_json_decode(v.root, "root", root_rows, COUNT(root_rows), r, e) < 0)
        return -1;
    r->has_process = v.process != NULL;
    if ((v.process && read_process(v.process, &r->process, e) < 0) ||
        read_mounts(v.mounts, r, e) < 0 || read_hooks(v.hooks, r, e) < 0 ||
        (v.linux_ && read_linux(v.linux_, r, e) < 0))
        return -1;
    return 0;
}

int oci_runtime_parse(struct sv text, const char *label, struct oci_runtime *out, struct err *e)
{
    own(str) struct str folded = {0};
    own(oci_runtime) struct oci_runtime r = {0};
    oci_runtime_fold_numbers(text, &folded);
    if (codec_json_parse(str_sv(&folded), label, &r.json, e) < 0) return -1;
    if (read_all(&r, e) < 0) return err_wrap(e, "reading '%s'", label);
    *out = r;
    memset(&r, 0, sizeof r);
    return 0;
}

int oci_process_parse(struct sv text, const char *label, struct oci_process *out, struct err *e)
{
    own(str) struct str folded = {0};
    own(codec_json) struct codec_json *j = NULL;
    own(oci_process) struct oci_process p = {0};
    oci_runtime_fold_numbers(text, &folded);
    if (codec_json_parse(str_sv(&folded), label, &j, e) < 0) return -1;
    if (read_process(j, &p, e) < 0) return err_wrap(e, "reading '%s'", label);
    *out = p;
    memset(&p, 0, sizeof p);
    return 0;
}
