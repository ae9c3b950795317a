// SPDX-License-Identifier: Apache-2.0
// Control groups of OCI containers. A group is a folder; a container has one per v1 controller or
// one on v2. linux.resources is applied by a table of files. A limit whose controller is not there
// is an error that names it, never silence; only a user namespace, where the host's groups are out
// of reach, goes without groups, and then a limit is refused as well.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/num.h"
#include "base/own.h"
#include "bundle/bundle.h"
#include "bundle/internal.h"
#include "sandbox/cgroup.h"

#define TOP "/sys/fs/cgroup"
#define V2_MAGIC 0x63677270
#define V1_MAGIC 0x27e0eb
#define PIDS_MAX ((size_t)16 << 20)
#define LEVELS_MAX 16

bool bundle_cgroup_v2(void)
{
    static enum { UNKNOWN, NO, YES } known;  // a machine does not change it
    struct statfs fs;
    if (known == UNKNOWN) known = statfs(TOP, &fs) == 0 && fs.f_type == V2_MAGIC ? YES : NO;
    return known == YES;
}

// "cpu,cpuacct" of "/sys/fs/cgroup/cpu,cpuacct/x"; "" on v2.
struct sv bundle_cgroup_controllers(const char *group)
{
    if (bundle_cgroup_v2() || strncmp(group, TOP "/", sizeof TOP) != 0) return SV("");
    struct sv rest = sv_of(group + sizeof TOP);
    return sv_cut(&rest, '/');
}

bool bundle_cgroup_lists(struct sv list, const char *name)
{
    while (list.p && list.n)
        if (sv_eqz(sv_cut(&list, ','), name)) return true;
    return false;
}

const char *bundle_cgroup_of(const struct strv *groups, const char *controller)
{
    for (size_t i = 0; i < groups->n; i++)
        if (bundle_cgroup_v2() ||
            bundle_cgroup_lists(bundle_cgroup_controllers(groups->p[i]), controller))
            return groups->p[i];
    return NULL;
}

int bundle_cgroup_put(const char *group, const char *file, struct sv value, struct err *e)
{
    own(free) char *path = str_fmt("%s/%s", group, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);  // lint: raw-path: our own group
    if (fd >= 0 && write(fd, value.p, value.n) == (ssize_t)value.n) {
        close(fd);
        return 0;
    }
    err_sys(e, "set %s to '%.*s'", file, (int)value.n, value.p);
    if (fd >= 0) close(fd);
    return -1;
}

int bundle_cgroup_get(const char *group, const char *file, struct str *out)
{
    struct err ignored;
    own(free) char *path = str_fmt("%s/%s", group, file);
    str_clear(out);
    return fs_read_at(AT_FDCWD, path, PIDS_MAX, out, &ignored);
}

// --- resources ---------------------------------------------------------------------------------

enum form { PLAIN, OR_MAX, WEIGHT, SWAP, IO_WEIGHT, TEXT, FLAG };
static const struct limit {
    const char *part, *key, *controller, *v1, *v2;
    enum form form;
} limits[] = {
    {"memory", "limit", "memory", "memory.limit_in_bytes", "memory.max", OR_MAX},
    {"memory", "swap", "memory", "memory.memsw.limit_in_bytes", "memory.swap.max", SWAP},
    {"memory", "reservation", "memory", "memory.soft_limit_in_bytes", "memory.low", OR_MAX},
    {"memory", "kernelTCP", "memory", "memory.kmem.tcp.limit_in_bytes", NULL, OR_MAX},
    {"memory", "swappiness", "memory", "memory.swappiness", NULL, PLAIN},
    {"memory", "disableOOMKiller", "memory", "memory.oom_control", NULL, FLAG},
    {"cpu", "shares", "cpu", "cpu.shares", "cpu.weight", WEIGHT},
    {"cpu", "period", "cpu", "cpu.cfs_period_us", NULL, PLAIN},
    {"cpu", "quota", "cpu", "cpu.cfs_quota_us", NULL, PLAIN},
    {"cpu", "burst", "cpu", "cpu.cfs_burst_us", "cpu.max.burst", PLAIN},
    {"cpu", "realtimePeriod", "cpu", "cpu.rt_period_us", NULL, PLAIN},
    {"cpu", "realtimeRuntime", "cpu", "cpu.rt_runtime_us", NULL, PLAIN},
    {"cpu", "idle", "cpu", "cpu.idle", "cpu.idle", PLAIN},
    {"cpu", "cpus", "cpuset", "cpuset.cpus", "cpuset.cpus", TEXT},
    {"cpu", "mems", "cpuset", "cpuset.mems", "cpuset.mems", TEXT},
    {"pids", "limit", "pids", "pids.max", "pids.max", OR_MAX},
    {"blockIO", "weight", "blkio", "blkio.weight", "io.weight", IO_WEIGHT},
    {"blockIO", "leafWeight", "blkio", "blkio.leaf_weight", NULL, PLAIN},
    {"network", "classID", "net_cls", "net_cls.classid", NULL, PLAIN},
};

int64_t bundle_cgroup_weight(int64_t shares) // 2..262144 to 1..10000
{
    int64_t s = shares < 2 ? 2 : shares > 262144 ? 262144 : shares;
    return 1 + (s - 2) * 9999 / 262142;
}

int64_t bundle_cgroup_io_weight(int64_t weight) // 10..1000 to 1..10000
{
    int64_t w = weight < 10 ? 10 : weight > 1000 ? 1000 : weight;
    return 1 + (w - 10) * 9999 / 990;
}

static void value_text(const struct limit *l, const struct codec_json *part,
                       const struct codec_json *v, bool v2, struct str *out)
{
    int64_t n = codec_json_int(v);
    if (l->form == SWAP && v2 && n > 0) n -= codec_json_int(codec_json_get(part, "limit"));
    if (v2 && l->form == WEIGHT) n = bundle_cgroup_weight(n);
    if (v2 && l->form == IO_WEIGHT) n = bundle_cgroup_io_weight(n);
    bool none = l->form == OR_MAX || l->form == SWAP ? n < 0 : false;
    if (strcmp(l->part, "pids") == 0) none = n <= 0;
    if (l->form == TEXT)
        str_add(out, codec_json_text(v));
    else if (l->form == FLAG)
        str_addz(out, codec_json_bool(v) ? "1" : "0");
    else if (none)
        str_addz(out, v2 || strcmp(l->part, "pids") == 0 ? "max" : "-1");
    else
        str_addf(out, "%lld", (long long)n);
}

int bundle_cgroup_absent(const char *what, const char *controller, struct err *e)
{
    err_set(e, ERR_UNSUPPORTED,
            "linux.resources: %s cannot be applied: the cgroup controller '%s' is not available",
            what, controller);
    return err_hint(e, "mount or delegate it, or leave out the limit");
}

// A number in quotes would be read as 0, which is "no limit" in most places.
static int check_type(const struct limit *l, const struct codec_json *v, struct err *e)
{
    static const char *const names[] = {[TEXT] = "a text", [FLAG] = "true or false"};
    enum codec_json_type want = l->form == TEXT   ? CODEC_JSON_TEXT
                                : l->form == FLAG ? CODEC_JSON_BOOL
                                                  : CODEC_JSON_INT;
    if (codec_json_type(v) == want) return 0;
    return err_set(e, ERR_INPUT, "it must be %s",
                   l->form == TEXT || l->form == FLAG ? names[l->form] : "a whole number");
}

// The object or list `key`, NULL: absent.
static int get_part(const struct codec_json *of, const char *key, enum codec_json_type type,
                    const struct codec_json **out, struct err *e)
{
    const struct codec_json *v = codec_json_get(of, key);
    *out = codec_json_type(v) == CODEC_JSON_NULL ? NULL : v;
    if (!*out || codec_json_type(v) == type) return 0;
    return err_set(e, ERR_INPUT, "linux.resources: '%s' must be a JSON %s", key,
                   type == CODEC_JSON_ARRAY ? "array" : "object");
}

static int check_parts(const struct codec_json *res, struct err *e)
{
    static const char *const objects[] = {"memory", "cpu", "pids", "blockIO", "network", "rdma",
                                          "unified"};
    const struct codec_json *ignored;
    if (codec_json_type(res) != CODEC_JSON_OBJECT)
        return err_set(e, ERR_INPUT, "linux.resources: must be a JSON object");
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        if (get_part(res, objects[i], CODEC_JSON_OBJECT, &ignored, e) < 0) return -1;
    return 0;
}

static int apply_one(const struct strv *groups, const struct limit *l,
                     const struct codec_json *part, bool v2, struct err *e)
{
    const struct codec_json *v = codec_json_get(part, l->key);
    if (codec_json_type(v) == CODEC_JSON_NULL) return 0;
    own(str) struct str text = {0};
    if (check_type(l, v, e) < 0) return -1;
    value_text(l, part, v, v2, &text);
    const char *file = v2 ? l->v2 : l->v1, *group = bundle_cgroup_of(groups, l->controller);
    // Zero is "not set" in what Docker and podman write; files without a v2 form have other rows.
    bool empty = text.n == 0 || (sv_eqz(str_sv(&text), "0") && l->form != FLAG &&
                                 l->form != PLAIN && l->form != TEXT);
    if (empty || !file || (l->form == FLAG && !codec_json_bool(v))) return 0;
    if (l->form == PLAIN && codec_json_int(v) == 0 && strcmp(l->key, "swappiness") != 0) return 0;
    if (!group) return bundle_cgroup_absent(l->key, l->controller, e);
    return bundle_cgroup_put(group, file, str_sv(&text), e);
}

// Both memory limits bound each other: which one may go first depends on where they come from.
static int apply_limits(const struct strv *groups, const struct codec_json *res, struct err *e)
{
    bool v2 = bundle_cgroup_v2();
    const struct codec_json *mem = codec_json_get(res, "memory");
    bool swap_first = false;
    struct err first;
    if (mem && !v2 && apply_one(groups, &limits[0], mem, v2, &first) < 0) {
        swap_first = true;
        if (apply_one(groups, &limits[1], mem, v2, e) < 0) {
            *e = first;
            return -1;
        }
    }
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        const struct codec_json *part = codec_json_get(res, limits[i].part);
        if (!part || (i == 1 && swap_first)) continue;
        if (apply_one(groups, &limits[i], part, v2, e) < 0)
            return err_wrap(e, "applying linux.resources.%s.%s", limits[i].part, limits[i].key);
    }
    return 0;
}

static int apply_cpu_max(const struct strv *groups, const struct codec_json *res, struct err *e)
{
    const struct codec_json *cpu = codec_json_get(res, "cpu");
    int64_t quota = codec_json_int(codec_json_get(cpu, "quota"));
    int64_t period = codec_json_int(codec_json_get(cpu, "period"));
    if (!bundle_cgroup_v2() || (!quota && !period)) return 0;
    if (!groups->n) return bundle_cgroup_absent("quota", "cpu", e);
    own(str) struct str text = {0};
    if (quota > 0)
        str_addf(&text, "%lld", (long long)quota);
    else
        str_addz(&text, "max");
    if (period) str_addf(&text, " %lld", (long long)period);
    return bundle_cgroup_put(groups->p[0], "cpu.max", str_sv(&text), e);
}

static int apply_block(const struct strv *groups, const struct codec_json *res, struct err *e)
{
    static const struct {
        const char *key, *value, *v1, *v2;
    } rows[] = {
        {"weightDevice", "weight", "blkio.weight_device", ""},
        {"throttleReadBpsDevice", "rate", "blkio.throttle.read_bps_device", "rbps="},
        {"throttleWriteBpsDevice", "rate", "blkio.throttle.write_bps_device", "wbps="},
        {"throttleReadIOPSDevice", "rate", "blkio.throttle.read_iops_device", "riops="},
        {"throttleWriteIOPSDevice", "rate", "blkio.throttle.write_iops_device", "wiops="},
    };
    struct row {
        int64_t major, minor, value;
    };
    const struct codec_json *io = codec_json_get(res, "blockIO"), *list;
    const char *group = bundle_cgroup_of(groups, "blkio");
    for (size_t i = 0; io && i < sizeof rows / sizeof *rows; i++) {
        const struct codec_field fields[] = {
            {"major", CODEC_FIELD_INT, offsetof(struct row, major), true},
            {"minor", CODEC_FIELD_INT, offsetof(struct row, minor), true},
            {rows[i].value, CODEC_FIELD_INT, offsetof(struct row, value), false}};
        if (get_part(io, rows[i].key, CODEC_JSON_ARRAY, &list, e) < 0) return -1;
        for (size_t k = 0; k < codec_json_len(list); k++) {
            struct row r = {0};
            if (codec_json_decode(codec_json_at(list, k), rows[i].key, fields, 3, &r, e) < 0)
                return -1;
            own(str) struct str text = {0};
            bool v2 = bundle_cgroup_v2();
            str_addf(&text, "%lld:%lld %s%lld", (long long)r.major, (long long)r.minor,
                     v2 ? rows[i].v2 : "", (long long)r.value);
            if (!group) return bundle_cgroup_absent(rows[i].key, "blkio", e);
            const char *file = !v2 ? rows[i].v1 : i ? "io.max" : "io.weight";
            if (bundle_cgroup_put(group, file, str_sv(&text), e) < 0)
                return err_wrap(e, "applying linux.resources.blockIO.%s", rows[i].key);
        }
    }
    return 0;
}

static int apply_huge(const struct strv *groups, const struct codec_json *res, struct err *e)
{
    struct row {
        char *size;
        int64_t limit;
    };
    static const struct codec_field rows[] = {
        {"pageSize", CODEC_FIELD_TEXT, offsetof(struct row, size), true},
        {"limit", CODEC_FIELD_INT, offsetof(struct row, limit), true}};
    const struct codec_json *list;
    const char *group = bundle_cgroup_of(groups, "hugetlb");
    if (get_part(res, "hugepageLimits", CODEC_JSON_ARRAY, &list, e) < 0) return -1;
    for (size_t i = 0; i < codec_json_len(list); i++) {
        struct row r = {0};
        int rc = codec_json_decode(codec_json_at(list, i), "hugepageLimits", rows, 2, &r, e);
        own(free) char *size = r.size;
        if (rc < 0) return -1;
        if (!group) return bundle_cgroup_absent("hugepageLimits", "hugetlb", e);
        if (strchr(size, '/')) return err_set(e, ERR_INPUT, "hugepageLimits: bad page size");
        own(free) char *file =
            str_fmt("hugetlb.%s.%s", size, bundle_cgroup_v2() ? "max" : "limit_in_bytes");
        own(free) char *value = str_fmt("%llu", (unsigned long long)r.limit);
        if (bundle_cgroup_put(group, file, sv_of(value), e) < 0) return -1;
    }
    return 0;
}

static int apply_priorities(const struct strv *groups, const struct codec_json *res, struct err *e)
{
    struct row {
        char *name;
        int64_t priority;
    };
    static const struct codec_field rows[] = {
        {"name", CODEC_FIELD_TEXT, offsetof(struct row, name), true},
        {"priority", CODEC_FIELD_INT, offsetof(struct row, priority), true}};
    const struct codec_json *list, *network = codec_json_get(res, "network");
    const char *group = bundle_cgroup_v2() ? NULL : bundle_cgroup_of(groups, "net_prio");
    if (get_part(network, "priorities", CODEC_JSON_ARRAY, &list, e) < 0) return -1;
    for (size_t i = 0; i < codec_json_len(list); i++) {
        struct row r = {0};
        int rc = codec_json_decode(codec_json_at(list, i), "network.priorities", rows, 2, &r, e);
        own(free) char *name = r.name;
        if (rc < 0) return -1;
        if (!group) return bundle_cgroup_absent("network.priorities", "net_prio", e);
        own(free) char *value = str_fmt("%s %lld", name, (long long)r.priority);
        if (bundle_cgroup_put(group, "net_prio.ifpriomap", sv_of(value), e) < 0) return -1;
    }
    return 0;
}

static int apply_rdma(const struct strv *groups, const struct codec_json *res, struct err *e)
{
    static const struct {
        const char *key, *word;
    } parts[] = {{"hcaHandles", "hca_handle"}, {"hcaObjects", "hca_object"}};
    const struct codec_json *list = codec_json_get(res, "rdma");
    const char *group = bundle_cgroup_of(groups, "rdma"), *key;
    void *it = NULL;
    struct codec_json *v;
    while (list && codec_json_next(list, &it, &key, &v)) {
        own(str) struct str text = {0};
        str_addz(&text, key);
        for (int i = 0; i < 2; i++) {
            const struct codec_json *n = codec_json_get(v, parts[i].key);
            if (codec_json_type(n) == CODEC_JSON_NULL) continue;
            if (codec_json_type(n) != CODEC_JSON_INT)
                return err_set(e, ERR_INPUT, "linux.resources.rdma: '%s' must be a whole number",
                               parts[i].key);
            str_addf(&text, " %s=%lld", parts[i].word, (long long)codec_json_int(n));
        }
        if (!group) return bundle_cgroup_absent("rdma", "rdma", e);
        if (bundle_cgroup_put(group, "rdma.max", str_sv(&text), e) < 0) return -1;
    }
    return 0;
}

static int apply_unified(const struct strv *groups, const struct codec_json *res, struct err *e)
{
    const struct codec_json *u = codec_json_get(res, "unified");
    void *it = NULL;
    const char *key;
    struct codec_json *v;
    while (u && codec_json_next(u, &it, &key, &v)) {
        if (!bundle_cgroup_v2() || !groups->n)
            return err_set(e, ERR_UNSUPPORTED,
                           "linux.resources.unified: '%s' needs cgroup v2, this machine has v1",
                           key);
        if (strchr(key, '/') || !strchr(key, '.'))
            return err_set(e, ERR_INPUT, "linux.resources.unified: '%s' names no setting", key);
        if (codec_json_type(v) != CODEC_JSON_TEXT)
            return err_set(e, ERR_INPUT, "linux.resources.unified: '%s' must be a text", key);
        if (bundle_cgroup_put(groups->p[0], key, codec_json_text(v), e) < 0) return -1;
    }
    return 0;
}

// --- devices ----------------------------------------------------------------------------------

struct rule_files {
    int fd[2];  // devices.deny, devices.allow
};
static void own_rule_files(struct rule_files *f)
{
    for (int i = 0; i < 2; i++) own_fd(&f->fd[i]);
}

static int open_rules(const char *group, struct rule_files *f, struct err *e)
{
    static const char *const names[2] = {"devices.deny", "devices.allow"};
    for (int i = 0; i < 2; i++) {
        own(free) char *path = str_fmt("%s/%s", group, names[i]);
        f->fd[i] = fs_open(path, O_WRONLY, 0, e);
        if (f->fd[i] < 0) return -1;
    }
    return 0;
}

static int put_rule(const struct rule_files *f, const struct sandbox_device_rule *r, struct err *e)
{
    own(str) struct str text = {0};
    sandbox_device_rule_print(r, &text);
    if (write(f->fd[r->allow], text.p, text.n) == (ssize_t)text.n) return 0;
    return err_sys(e, "set devices.%s to '%s'", r->allow ? "allow" : "deny", str_z(&text));
}

static int apply_devices(const struct strv *groups, const struct codec_json *res, struct err *e)
{
    const struct codec_json *list;
    const char *group = bundle_cgroup_of(groups, "devices");
    own(sandbox_device_rules) struct sandbox_device_rules rules = {0};
    if (get_part(res, "devices", CODEC_JSON_ARRAY, &list, e) < 0 ||
        bundle_devices_read(list, &rules, e) < 0)
        return -1;
    if (!rules.n) return 0;
    if (!group) return bundle_cgroup_absent("devices", "devices", e);
    if (bundle_cgroup_v2()) {
        own(fd) int fd = fs_open_dir(AT_FDCWD, group, e);
        return fd < 0 ? -1 : sandbox_device_rule_attach(fd, &rules, e);
    }
    own(sandbox_device_rules) struct sandbox_device_rules lines = {0};
    own(rule_files) struct rule_files files = {{-1, -1}};
    if (sandbox_device_rule_v1(&rules, &lines, e) < 0)
        return err_wrap(e, "applying linux.resources.devices");
    if (open_rules(group, &files, e) < 0) return -1;
    for (size_t i = 0; i < lines.n; i++)
        if (put_rule(&files, &lines.p[i], e) < 0)
            return err_wrap(e, "applying linux.resources.devices");
    for (size_t i = 0; i < sandbox_device_rule_always_n; i++)
        if (put_rule(&files, &sandbox_device_rule_always[i], e) < 0) return -1;
    return 0;
}

// v1 refuses a limit below what is in use; v2 kills until it fits, unless one looks before.
static int check_memory(const struct strv *groups, const struct codec_json *res, struct err *e)
{
    uint64_t used;
    own(str) struct str text = {0};
    const struct codec_json *mem = codec_json_get(res, "memory");
    int64_t limit = codec_json_int(codec_json_get(mem, "limit"));
    if (!codec_json_bool(codec_json_get(mem, "checkBeforeUpdate")) || !bundle_cgroup_v2() ||
        !groups->n || limit <= 0 || bundle_cgroup_get(groups->p[0], "memory.current", &text) < 0 ||
        !num_u64_max(sv_trim(str_sv(&text)), INT64_MAX, &used) || (int64_t)used <= limit)
        return 0;
    return err_set(e, ERR_CONFLICT,
                   "linux.resources.memory.limit: %lld is less than the %lld in use",
                   (long long)limit, (long long)used);
}

int bundle_cgroup_apply(const struct strv *groups, const struct codec_json *res, struct err *e)
{
    if (!res) return 0;
    if (check_parts(res, e) < 0 || check_memory(groups, res, e) < 0 ||
        apply_limits(groups, res, e) < 0 ||
        apply_cpu_max(groups, res, e) < 0 || apply_block(groups, res, e) < 0 ||
        apply_huge(groups, res, e) < 0 || apply_priorities(groups, res, e) < 0 ||
        apply_rdma(groups, res, e) < 0)
        return -1;
    return apply_unified(groups, res, e);
}

// --- making ------------------------------------------------------------------------------------

struct naming {
    const struct oci_runtime *config;
    const char *id;
    struct sv own_groups;  // our own /proc/self/cgroup
    struct strv *groups;   // what is added to
};

// Where we are ourselves in a controller's tree ("" on v2): a relative path begins there.
static void own_path(struct sv own_groups, struct sv controllers, struct str *out)
{
    for (struct sv rest = own_groups; rest.p;) {
        struct sv line = sv_cut(&rest, '\n');
        sv_cut(&line, ':');
        if (!line.p) continue;
        struct sv list = sv_cut(&line, ':');
        if (sv_starts(list, "name=")) list = sv_from(list, 5);
        if (!line.p || !sv_eq(list, controllers) || sv_starts(line, "/..")) continue;
        if (!sv_eqz(line, "/")) str_add(out, line);
        return;
    }
}

// v1 cpusets begin empty, and nothing can join an empty one.
static int fill_cpuset(const char *group, struct err *e)
{
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
    own(free) char *parent = str_dup(group);
    *strrchr(parent, '/') = '\0';
    for (int i = 0; i < 2; i++) {
        own(str) struct str have = {0}, above = {0};
        if (bundle_cgroup_get(group, files[i], &have) < 0 || sv_trim(str_sv(&have)).n) continue;
        if (bundle_cgroup_get(parent, files[i], &above) < 0) continue;
        if (bundle_cgroup_put(group, files[i], sv_trim(str_sv(&above)), e) < 0) return -1;
    }
    return 0;
}

static void enable_v2(const char *group)
{
    static const char *const names[] = {"+cpu", "+memory", "+pids", "+cpuset",
                                        "+io",  "+hugetlb", "+rdma"};
    struct err ignored;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        bundle_cgroup_put(group, "cgroup.subtree_control", sv_of(names[i]), &ignored);
}

static int make_group(const char *top, const char *path, struct err *e)
{
    own(str) struct str at = {0};
    str_addz(&at, top);
    bool v2 = bundle_cgroup_v2();
    bool cpuset = bundle_cgroup_lists(bundle_cgroup_controllers(path), "cpuset");
    for (struct sv rest = sv_of(path + strlen(top) + 1); rest.p;) {
        struct sv name = sv_cut(&rest, '/');
        if (!name.n) continue;
        if (v2) enable_v2(at.p);
        str_addf(&at, "/%.*s", (int)name.n, name.p);
        if (mkdirat(AT_FDCWD, at.p, 0755) != 0 && errno != EEXIST)
            return err_sys(e, "make the control group '%s'", at.p);
        if (cpuset && fill_cpuset(at.p, e) < 0) return -1;
    }
    return 0;
}

// linux.cgroupsPath as a path below a tree: absolute ones from its top, others from where we are.
static int group_path(const struct naming *m, const char *top, struct sv controllers,
                      struct str *out, struct err *e)
{
    own(str) struct str rel = {0}, clean = {0};
    const struct oci_runtime *r = m->config;
    const char *want = r->cgroups_path && r->cgroups_path[0] ? r->cgroups_path : m->id;
    if (want[0] != '/') own_path(m->own_groups, controllers, &rel);
    str_addf(&rel, "/%s", want);
    fs_clean(str_sv(&rel), &clean);
    if (strcmp(str_z(&clean), "/") == 0)
        return err_set(e, ERR_INPUT, "linux.cgroupsPath: '%s' is the top of the tree", want);
    str_addf(out, "%s%s", top, clean.p);
    return 0;
}

static bool wanted(const struct oci_runtime *r, struct sv controllers)
{
    if (r->cgroups_path && r->cgroups_path[0]) return true;
    // Who looks at them from inside looks for all of them.
    vec_each(m, &r->mounts) if (m->type && strcmp(m->type, "cgroup") == 0) return true;
    if (bundle_cgroup_lists(controllers, "freezer")) return true;
    if (codec_json_len(codec_json_get(r->resources, "devices")) &&
        bundle_cgroup_lists(controllers, "devices"))
        return true;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (codec_json_get(r->resources, limits[i].part) &&
            bundle_cgroup_lists(controllers, limits[i].controller))
            return true;
    static const char *const others[][2] = {
        {"hugepageLimits", "hugetlb"}, {"network", "net_prio"}, {"rdma", "rdma"}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (codec_json_get(r->resources, others[i][0]) &&
            bundle_cgroup_lists(controllers, others[i][1]))
            return true;
    return false;
}

static int add_group(const struct naming *m, const char *top, struct sv controllers, struct err *e)
{
    own(str) struct str path = {0};
    if (group_path(m, top, controllers, &path, e) < 0) return -1;
    strv_add(m->groups, path.p);
    return 0;
}

static int add_v1(const struct naming *m, struct err *e)
{
    own(strv) struct strv names = {0};
    struct err ignored;
    if (fs_list(AT_FDCWD, TOP, &names, &ignored) < 0) return 0;
    for (size_t i = 0; i < names.n; i++) {
        own(free) char *top = str_fmt(TOP "/%s", names.p[i]);
        struct statfs fs;
        struct stat st;
        if (fstatat(AT_FDCWD, top, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode) ||
            statfs(top, &fs) != 0 || fs.f_type != V1_MAGIC || !wanted(m->config, sv_of(names.p[i])))
            continue;
        if (add_group(m, top, sv_of(names.p[i]), e) < 0) return -1;
    }
    return 0;
}

int bundle_cgroup_open(const struct strv *groups, struct sandbox_cgroup *out, struct err *e)
{
    for (size_t i = 0; i < groups->n && out->n < CGROUP_FDS; i++) {
        own(free) char *path = str_fmt("%s/cgroup.procs", groups->p[i]);
        int fd = fs_open(path, O_WRONLY, 0, e);
        if (fd < 0) return -1;
        out->join[out->n++] = fd;
    }
    return 0;
}

static int add_scope(const struct naming *m, const struct idmap *ids, struct bundle_scope *scope,
                     struct err *e)
{
    own(free) char *group = NULL;
    if (!bundle_cgroup_v2()) {
        err_set(e, ERR_UNSUPPORTED, "--systemd-cgroup needs control groups version 2");
        return err_hint(
            e, "leave it out: groups are then made below the folder that the bundle names");
    }
    if (bundle_scope_enter(ids, m->config->cgroups_path, m->id, scope, &group, e) < 0) return -1;
    own(free) char *top = sv_dup(sv_part(sv_of(group), 0, (size_t)sv_rfind(sv_of(group), '/')));
    enable_v2(top);
    strv_add(m->groups, group);
    return 0;
}

int bundle_cgroup_name(const struct bundle_context *c, const struct oci_runtime *r, const char *id,
                       const struct idmap *ids, struct bundle_scope *scope, struct strv *groups,
                       struct err *e)
{
    own(str) struct str own_groups = {0};
    struct err ignored;
    if (fs_read_at(AT_FDCWD, "/proc/self/cgroup", 65536, &own_groups, &ignored) < 0)
        str_clear(&own_groups);
    const struct naming m = {r, id, str_sv(&own_groups), groups};
    return c->systemd_cgroup    ? add_scope(&m, ids, scope, e)
           : bundle_cgroup_v2() ? add_group(&m, TOP, SV(""), e)
                                : add_v1(&m, e);
}

// The folder of the whole tree that a group is in: of one controller on v1.
static struct sv tree_of(const char *group)
{
    struct sv controllers = bundle_cgroup_controllers(group);
    return sv_part(sv_of(group), 0, sizeof TOP - 1 + (controllers.n ? 1 + controllers.n : 0));
}

// 1: it may not be made.
static int make_one(const char *group, bool in_userns, struct err *e)
{
    own(str) struct str procs = {0};
    own(free) char *top = sv_dup(tree_of(group));
    if (make_group(top, group, e) < 0) {
        bool denied = e->sys == EACCES || e->sys == EPERM || e->sys == EROFS;
        return in_userns && denied ? 1 : -1;
    }
    if (bundle_cgroup_get(group, "cgroup.procs", &procs) == 0 && procs.n)
        return err_set(e, ERR_CONFLICT, "the control group '%s' is in use", group);
    return 0;
}

static int make_all(bool in_userns, struct strv *groups, struct err *e)
{
    size_t kept = 0;
    int rc = 0;
    for (size_t i = 0; i < groups->n && rc >= 0; i++) {
        rc = make_one(groups->p[i], in_userns, e);
        char *group = take_ptr(groups->p[i]);
        bool others = rc == 1 || (rc < 0 && e->kind == ERR_CONFLICT);
        if (others)
            free(group);
        else
            groups->p[kept++] = group;
    }
    groups->n = kept;
    return rc < 0 ? -1 : 0;
}

int bundle_cgroup_make(const struct bundle_context *c, const struct oci_runtime *r, bool in_userns,
                       struct strv *groups, struct sandbox_cgroup *out, struct err *e)
{
    int rc = c->systemd_cgroup ? 0 : make_all(in_userns, groups, e); // a scope is there already
    if (rc == 0) rc = bundle_cgroup_apply(groups, r->resources, e);
    if (rc == 0 && !in_userns) rc = apply_devices(groups, r->resources, e);
    if (rc == 0) rc = bundle_cgroup_open(groups, out, e);
    if (rc < 0) bundle_cgroup_remove(groups);
    return rc;
}
