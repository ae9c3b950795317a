// SPDX-License-Identifier: Apache-2.0
// Resource limits through control groups: v2 where the whole tree is v2, else v1 as root. A group
// is made only when a limit asks for one, because making and removing it costs more than a start.
// It lies below our own group, so that a limit on dewar holds for its containers too. A user's own
// group is used where it was delegated; else systemd, where it is there, is asked for a scope that
// is. Where a limit cannot be had, the error names the controller and what to do; a limit is never
// dropped in silence.
//
// The name of a container's group: on v1 "dewar-<id>", in each controller's tree below our own
// group there, or "/PARENT/dewar-<id>" below the tree's top where --cgroup-parent asks for it; on
// v2 its path below the mount, "/.../dewar-<id>", which everybody can find.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/event.h"
#include "base/own.h"
#include "sandbox/cgroup.h"
#include "sandbox/cgroup_internal.h"
#include "sandbox/sandbox.h"

#define CGROUP2_MAGIC 0x63677270
#define SEARCH_DEPTH 5
#define LEVELS_MAX 32

const char *const cgroup_names[CGROUP_CONTROLLERS] = {
    "memory", "cpu", "pids", "cpuset", "blkio", "devices", "cpuacct"};
const char *const cgroup_flags[CGROUP_CONTROLLERS] = {"--memory",       "--cpus and --cpu-shares",
                                                      "--pids-limit",   "--cpuset-cpus",
                                                      "--blkio-weight and --device-read-bps",
                                                      "--device", "--cgroup-parent"};

const char *cgroup_name_of(enum cgroup_controller c, bool v2)
{
    return v2 && c == CGROUP_DISK ? "io" : cgroup_names[c];
}

unsigned cgroup_needs(const struct sandbox_spec *s, bool devices)
{
    unsigned n = 0;
    bool v1 = !cgroup_is_v2();
    if (s->memory || s->memory_swap || s->memory_reservation) n |= 1u << CGROUP_MEMORY;
    if (v1 && (s->oom_kill_disable || s->has_swappiness)) n |= 1u << CGROUP_MEMORY;
    if (s->cpu_shares || s->nano_cpus || s->cpu_quota || s->cpu_period) n |= 1u << CGROUP_CPU;
    if (s->cpu_rt_period || s->cpu_rt_runtime) n |= 1u << CGROUP_CPU;
    if (s->blkio_weight || s->disk_limits.n) n |= 1u << CGROUP_DISK;
    if (s->pids_limit > 0) n |= 1u << CGROUP_PIDS;
    if (s->cpuset_cpus || s->cpuset_mems) n |= 1u << CGROUP_CPUSET;
    if (devices) n |= 1u << CGROUP_DEVICES;
    return n;
}

bool cgroup_is_v2(void)
{
    struct statfs fs;
    return statfs(CGROUP_TOP, &fs) == 0 && fs.f_type == CGROUP2_MAGIC;
}

// The group of a process in a controller's tree ("" for v2), as a path below its mount.
static void path_of(const char *process, const char *controller, struct str *out)
{
    struct err ignored;
    char file[64];
    own(str) struct str text = {0};
    snprintf(file, sizeof file, "/proc/%.20s/cgroup", process);
    if (fs_read_at(AT_FDCWD, file, 65536, &text, &ignored) < 0) return;
    struct sv rest = str_sv(&text);
    while (rest.p) {
        struct sv line = sv_cut(&rest, '\n');
        sv_cut(&line, ':');
        if (!line.p) continue;
        struct sv list = sv_cut(&line, ':');
        bool match = controller[0] == '\0' && list.n == 0;
        while (list.p && list.n) match |= sv_eqz(sv_cut(&list, ','), controller);
        if (!match || !line.p || sv_starts(line, "/..")) continue;
        if (!sv_eqz(line, "/")) str_add(out, line);
        return;
    }
}

int cgroup_put(int dir, const char *file, const char *value, struct err *e)
{
    own(fd) int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
    size_t n = strlen(value);
    if (fd >= 0 && write(fd, value, n) == (ssize_t)n) return 0;
    err_sys(e, "set %s to '%s'", file, value);
    if (e->sys == EINVAL || e->sys == ERANGE) e->kind = ERR_USAGE;
    return -1;
}

int cgroup_putn(int dir, const char *file, int64_t value, struct err *e)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return cgroup_put(dir, file, text, e);
}

int cgroup_missing(enum cgroup_controller c, bool v2, bool user, struct err *e)
{
    int code = errno;
    err_set(e, ERR_UNSUPPORTED,
            "%s cannot be applied: the cgroup controller '%s' is not available%s", cgroup_flags[c],
            cgroup_name_of(c, v2), code == EACCES || code == EPERM ? " to this user" : "");
    e->sys = code;
    if (v2 && user && code == ENOENT)
        return err_hint(e, "root hands it down: 'systemctl edit user@.service' and there, below "
                           "[Service], Delegate=cpu cpuset io memory pids");
    if (v2 && user)
        return err_hint(e, "log in through systemd with a user bus (package dbus-user-session), or "
                           "start dewar in a delegated group: systemd-run --user --scope -p "
                           "Delegate=yes dewar run ...");
    if (user) return err_hint(e, "this machine has cgroup v1, where only root can set limits");
    return err_hint(e,
                    "mount or enable it (kernel option cgroup_enable=%s), or leave out the limit",
                    cgroup_names[c]);
}

void cgroup_own_path(const char *controller, struct str *out)
{
    path_of("self", controller, out);
}

// --- v1 ----------------------------------------------------------------------------------------

void cgroup_v1_path(const char *controller, const char *name, struct str *out, struct str *parent)
{
    own(str) struct str path = {0};
    str_addf(&path, CGROUP_TOP "/%s", controller);
    if (name[0] != '/') {
        cgroup_own_path(controller, &path);
        str_addc(&path, '/');
    }
    str_addz(&path, name);
    if (out) str_add(out, str_sv(&path));
    if (parent) str_add(parent, sv_part(str_sv(&path), 0, (size_t)sv_rfind(str_sv(&path), '/')));
}

static int weight(int dir, int64_t weight, bool v2, struct err *e)
{
    static const char *const all[2][2] = {{"blkio.weight", "blkio.bfq.weight"},
                                          {"io.bfq.weight", "io.weight"}};
    for (size_t i = 0; i < 2; i++)
        if (fs_exists(dir, all[v2][i])) // io.weight: 10..1000 to 1..10000
            return cgroup_putn(dir, all[v2][i], v2 && i ? 1 + (weight - 10) * 9999 / 990 : weight,
                               e);
    err_set(e, ERR_UNSUPPORTED, "this kernel has no weights for disks");
    return err_hint(e, "they come with the I/O scheduler BFQ; leave out --blkio-weight");
}

int cgroup_disk(int dir, const struct sandbox_spec *s, bool v2, struct err *e)
{
    if (s->blkio_weight && weight(dir, s->blkio_weight, v2, e) < 0) return -1;
    return sandbox_disk_apply(dir, &s->disk_limits, v2, e);
}

int64_t cgroup_cpu_period(const struct sandbox_spec *s)
{
    return s->cpu_period ? s->cpu_period : CGROUP_CFS_PERIOD;
}

// Microseconds a period; 0: no limit.
int64_t cgroup_cpu_quota(const struct sandbox_spec *s)
{
    if (s->nano_cpus) return s->nano_cpus / (1000000000 / CGROUP_CFS_PERIOD);
    return s->cpu_quota > 0 ? s->cpu_quota : 0;
}

int cgroup_v1_memory(int dir, const struct sandbox_spec *s, struct err *e)
{
    if (s->memory_reservation &&
        cgroup_putn(dir, "memory.soft_limit_in_bytes", s->memory_reservation, e) < 0)
        return -1;
    if (s->has_swappiness && cgroup_putn(dir, "memory.swappiness", s->memory_swappiness, e) < 0)
        return -1;
    if (s->oom_kill_disable && cgroup_putn(dir, "memory.oom_control", 1, e) < 0) return -1;
    if (!s->memory && !s->memory_swap) return 0;
    if (s->memory && cgroup_putn(dir, "memory.limit_in_bytes", (int64_t)s->memory, e) < 0)
        return -1;
    if (s->memory_swap || fs_exists(dir, "memory.memsw.limit_in_bytes")) {
        int64_t both = s->memory_swap ? s->memory_swap : (int64_t)s->memory * 2;
        if (cgroup_putn(dir, "memory.memsw.limit_in_bytes", both, e) < 0)
            return err_hint(e, "a kernel without swap accounting cannot limit swap");
    }
    return 0;
}

// A group has no more than the one above it, and has nothing until it is given.
static int real_time(int dir, const struct sandbox_spec *s, struct err *e)
{
    if (s->cpu_rt_period && cgroup_putn(dir, "cpu.rt_period_us", s->cpu_rt_period, e) < 0) return -1;
    if (!s->cpu_rt_runtime || cgroup_putn(dir, "cpu.rt_runtime_us", s->cpu_rt_runtime, e) == 0)
        return 0;
    return err_hint(e, "the groups above need as much: see cpu.rt_runtime_us there, from the top on");
}

static int no_real_time(struct err *e)
{
    err_set(e, ERR_UNSUPPORTED, "--cpu-rt-period and --cpu-rt-runtime are not to be had here");
    return err_hint(e, "they need cgroup v1 and a kernel with real-time limits of groups");
}

int cgroup_v1_cpu(int dir, const struct sandbox_spec *s, struct err *e)
{
    bool rt = s->cpu_rt_period || s->cpu_rt_runtime;
    if (rt && !fs_exists(dir, "cpu.rt_runtime_us")) return no_real_time(e);
    if (rt && real_time(dir, s, e) < 0) return -1;
    if (s->cpu_shares && cgroup_putn(dir, "cpu.shares", (int64_t)s->cpu_shares, e) < 0) return -1;
    if (!s->nano_cpus && !s->cpu_quota && !s->cpu_period) return 0;
    if (cgroup_putn(dir, "cpu.cfs_period_us", cgroup_cpu_period(s), e) < 0) return -1;
    int64_t quota = cgroup_cpu_quota(s);
    return cgroup_putn(dir, "cpu.cfs_quota_us", quota ? quota : -1, e);
}

static int copy_up(const char *parent, int dir, const char *file, struct err *e)
{
    own(str) struct str text = {0}, path = {0};
    str_addf(&path, "%s/%s", parent, file);
    if (fs_read_at(AT_FDCWD, path.p, 65536, &text, e) < 0) return -1;
    return cgroup_put(dir, file, str_z(&text), e);
}

int cgroup_pids(int dir, const struct sandbox_spec *s, struct err *e)
{
    return s->pids_limit > 0 ? cgroup_putn(dir, "pids.max", s->pids_limit, e) : 0;
}

int cgroup_v1_cpuset(int dir, const char *parent, const struct sandbox_spec *s, struct err *e)
{
    int rc = s->cpuset_cpus ? cgroup_put(dir, "cpuset.cpus", s->cpuset_cpus, e)
                            : copy_up(parent, dir, "cpuset.cpus", e);
    if (rc == 0)
        rc = s->cpuset_mems ? cgroup_put(dir, "cpuset.mems", s->cpuset_mems, e)
                            : copy_up(parent, dir, "cpuset.mems", e);
    return rc;
}

// A new group of cpuset has nothing until it is given.
int cgroup_v1_parents(const char *controller, const char *name)
{
    struct err ignored;
    bool cpuset = strcmp(controller, cgroup_names[CGROUP_CPUSET]) == 0;
    for (const char *at = name; (at = strchr(at + 1, '/'));) {
        own(free) char *part = sv_dup((struct sv){name, (size_t)(at - name)});
        own(str) struct str path = {0}, above = {0};
        cgroup_v1_path(controller, part, &path, &above);
        if (mkdir(path.p, 0755) != 0) {
            if (errno == EEXIST) continue;
            return -1;
        }
        own(fd) int dir = fs_open_dir(AT_FDCWD, path.p, &ignored);
        for (int i = 0; cpuset && dir >= 0 && i < 2; i++)
            copy_up(above.p, dir, i ? "cpuset.mems" : "cpuset.cpus", &ignored);
    }
    return 0;
}

static int put_rule(int dir, const struct sandbox_device_rule *r, struct err *e)
{
    own(str) struct str text = {0};
    sandbox_device_rule_print(r, &text);
    return cgroup_put(dir, r->allow ? "devices.allow" : "devices.deny", text.p, e);
}

static int v1_devices(int dir, const struct sandbox_device_rules *rules, struct err *e)
{
    vec_each (r, rules)
        if (put_rule(dir, r, e) < 0) return -1;
    for (size_t i = 0; i < sandbox_device_rule_always_n; i++)
        if (put_rule(dir, &sandbox_device_rule_always[i], e) < 0) return -1;
    return 0;
}

static int v1_one(enum cgroup_controller c, const struct sandbox_spec *s,
                  const struct sandbox_device_rules *rules, bool user, struct sandbox_cgroup *out,
                  struct err *e)
{
    own(str) struct str parent = {0}, path = {0};
    cgroup_v1_path(cgroup_names[c], out->name, &path, &parent);
    if (cgroup_v1_parents(cgroup_names[c], out->name) < 0 ||
        (mkdir(path.p, 0755) != 0 && errno != EEXIST)) {
        bool wanted = cgroup_needs(s, rules) >> c & 1; // or only in the parent's company
        return wanted || errno != ENOENT ? cgroup_missing(c, false, user, e) : 0;
    }
    own(fd) int dir = fs_open_dir(AT_FDCWD, path.p, e);
    if (dir < 0) return -1;
    int rc = c == CGROUP_MEMORY   ? cgroup_v1_memory(dir, s, e)
             : c == CGROUP_CPU    ? cgroup_v1_cpu(dir, s, e)
             : c == CGROUP_PIDS   ? cgroup_pids(dir, s, e)
             : c == CGROUP_CPUSET ? cgroup_v1_cpuset(dir, parent.p, s, e)
             : c == CGROUP_DISK   ? cgroup_disk(dir, s, false, e)
             : rules && c == CGROUP_DEVICES ? v1_devices(dir, rules, e)
                                            : 0;
    if (rc < 0) return err_wrap(e, "applying %s", cgroup_flags[c]);
    int join = fs_openat(dir, "cgroup.procs", O_WRONLY, 0, e);
    if (join < 0) return -1;
    out->join[out->n++] = join;
    out->shown |= 1u << c;
    return 0;
}

static int v1_make(const struct sandbox_spec *s, unsigned need,
                   const struct sandbox_device_rules *rules, bool user, struct sandbox_cgroup *out,
                   struct err *e)
{
    for (unsigned c = 0; c < CGROUP_CONTROLLERS; c++)
        if (need >> c & 1 && v1_one((enum cgroup_controller)c, s, rules, user, out, e) < 0)
            return -1;
    unsigned more = cgroup_v1_beside(need), firm = out->n;
    for (unsigned c = 0; c < CGROUP_CONTROLLERS; c++)
        if (more >> c & 1 && v1_one((enum cgroup_controller)c, s, rules, user, out, e) < 0)
            err_clear(e);
    out->loose = out->n - firm;
    return 0;
}

// --- both --------------------------------------------------------------------------------------

static int no_rules(struct err *e)
{
    err_set(e, ERR_UNSUPPORTED, "--device-cgroup-rule needs root");
    return err_hint(e, "an ordinary user's container may open what its user may: --device brings in "
                       "a node of the host");
}

// "a-b.slice" is systemd's name for /a.slice/a-b.slice.
static void add_parent(const char *text, struct str *out)
{
    struct sv v = sv_of(text);
    while (v.n && v.p[0] == '/') v = sv_from(v, 1);
    while (v.n && v.p[v.n - 1] == '/') v.n--;
    if (!v.n) return;
    if (sv_ends(v, ".slice") && sv_find(v, '/') < 0)
        for (size_t i = 1; i + 6 < v.n; i++)
            if (v.p[i] == '-') str_addf(out, "/%.*s.slice", (int)i, v.p);
    str_addf(out, "/%.*s", (int)v.n, v.p);
}

static int name_group(const struct sandbox_spec *s, struct sandbox_cgroup *out, struct err *e)
{
    unsigned char raw[6] = {0};
    own(str) struct str name = {0};
    if (getrandom(raw, sizeof raw, 0) < 0) return err_sys(e, "get random bytes");
    if (s->cgroup_parent) add_parent(s->cgroup_parent, &name);
    if (name.n) str_addc(&name, '/');
    str_addz(&name, "dewar-");
    if (s->cgroup_name)
        str_addz(&name, s->cgroup_name);
    else
        for (size_t i = 0; i < sizeof raw; i++) str_addf(&name, "%02x", raw[i]);
    if (name.n >= sizeof out->name)
        return err_set(e, ERR_LIMIT, "the path behind --cgroup-parent is too long");
    snprintf(out->name, sizeof out->name, "%s", str_z(&name));
    return 0;
}

static int no_parent(struct err *e)
{
    err_set(e, ERR_UNSUPPORTED, "--cgroup-parent needs root");
    return err_hint(e, "this machine has cgroup v1, where only root can make groups");
}

static void ignored_on_v2(const struct engine *en, const struct sandbox_spec *s)
{
    if (s->oom_kill_disable)
        event_warn(&en->sink, "--oom-kill-disable is ignored: cgroup v2 has no such switch");
    if (s->has_swappiness)
        event_warn(&en->sink, "--memory-swappiness is ignored: cgroup v2 has no such setting");
}

int sandbox_cgroup_make(struct engine *en, const struct sandbox_spec *s,
                        const struct sandbox_device_rules *rules, struct sandbox_cgroup *out,
                        struct err *e)
{
    bool user = en->ids.mode != IDMAP_ROOT, v2 = cgroup_is_v2();
    if (user && s->device_rules.n) return no_rules(e);
    bool parent = s->cgroup_parent && s->cgroup_parent[0];
    if (parent && user && !v2) return no_parent(e);
    if (v2) ignored_on_v2(en, s);
    unsigned need = cgroup_needs(s, rules && !user);
    if (parent && !v2) need |= (1u << CGROUP_CONTROLLERS) - 1; // its limits hold, whatever they are
    if (!need && !parent) return 0;
    if (v2 && (s->cpu_rt_period || s->cpu_rt_runtime)) return no_real_time(e);
    if (name_group(s, out, e) < 0) return -1;
    int rc = v2 ? cgroup_v2_make(en, s, need, rules, out, e)
                : v1_make(s, need, rules, user, out, e);
    if (rc == 0) return 0;
    sandbox_cgroup_close(out);
    sandbox_cgroup_remove(out->name, NULL);
    out->name[0] = '\0';
    return -1;
}

// The group of this name that a process is in or below: "/a/dewar-x" of "/a/dewar-x/y".
static bool holds(struct str *path, const char *name)
{
    own(free) char *part = str_fmt("%s%s", name[0] == '/' ? "" : "/", name);
    char *at = path->n ? strstr(path->p, part) : NULL;
    if (!at || (at[strlen(part)] != '\0' && at[strlen(part)] != '/')) return false;
    str_cut(path, (size_t)(at - path->p) + strlen(part));
    return true;
}

static int open_procs(const char *group, struct sandbox_cgroup *out, struct err *e)
{
    own(free) char *path = str_fmt("%s/cgroup.procs", group);
    int join = fs_open(path, O_WRONLY, 0, e);
    if (join < 0) return err_wrap(e, "entering the container's control group");
    out->join[out->n++] = join;
    return 0;
}

// What joins has the same limits, or does not join: where the container's groups are is told by its
// init, for we may be in quite another group than who started it.
int sandbox_cgroup_open(const char *name, pid_t init, struct sandbox_cgroup *out, struct err *e)
{
    char process[16];
    snprintf(out->name, sizeof out->name, "%s", name);
    snprintf(process, sizeof process, "%d", (int)init);
    if (cgroup_is_v2()) {
        own(str) struct str path = {0};
        cgroup_v2_path(name, true, &path);
        return open_procs(path.p, out, e);
    }
    for (unsigned c = 0; c < CGROUP_CONTROLLERS; c++) {
        own(str) struct str path = {0};
        str_addf(&path, CGROUP_TOP "/%s", cgroup_names[c]);
        path_of(process, cgroup_names[c], &path);
        if (holds(&path, name) && open_procs(path.p, out, e) < 0) return -1;
    }
    return 0;
}

void sandbox_cgroup_close(struct sandbox_cgroup *c)
{
    for (unsigned i = 0; i < c->n; i++) close(c->join[i]);
    c->n = 0;
}

// Those that the container made below its own.
static void remove_below(const char *path, int levels)
{
    struct err ignored;
    own(strv) struct strv names = {0};
    if (!levels || fs_list(AT_FDCWD, path, &names, &ignored) < 0) return;
    for (size_t i = 0; i < names.n; i++) {
        own(free) char *sub = str_fmt("%s/%s", path, names.p[i]);
        struct stat st;
        if (fstatat(AT_FDCWD, sub, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode)) continue;
        remove_below(sub, levels - 1);
        unlinkat(AT_FDCWD, sub, AT_REMOVEDIR);
    }
}

// The last processes may still be on their way out, and memory may be short for a moment.
void sandbox_cgroup_remove_folder(const char *path)
{
    for (int i = 0; i < 100; i++) {
        if (unlinkat(AT_FDCWD, path, AT_REMOVEDIR) == 0 || (errno != EBUSY && errno != ENOMEM)) return;
        if (i % 10 == 0) remove_below(path, LEVELS_MAX);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static bool oom_killed(const char *dir, const char *file)
{
    struct err ignored;
    own(str) struct str path = {0}, text = {0};
    str_addf(&path, "%s/%s", dir, file);
    if (fs_read_at(AT_FDCWD, path.p, 4096, &text, &ignored) < 0) return false;
    const char *at = text.n ? strstr(text.p, "oom_kill ") : NULL;
    return at && at[9] != '0';
}

// Groups of the dead whose starter was in another group than we are: looked for, not too deep.
static bool find_group(int dirfd, const char *name, int depth, struct str *path)
{
    struct err ignored;
    own(strv) struct strv names_here = {0};
    if (fs_exists(dirfd, name)) {
        str_addf(path, "/%s", name);
        return true;
    }
    if (depth == 0 || fs_list(dirfd, ".", &names_here, &ignored) < 0) return false;
    for (size_t i = 0; i < names_here.n; i++) {
        own(fd) int sub = openat(dirfd, names_here.p[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        size_t before = path->n;
        str_addf(path, "/%s", names_here.p[i]);
        if (sub >= 0 && find_group(sub, name, depth - 1, path)) return true;
        str_cut(path, before);
    }
    return false;
}

static bool v1_find(const char *controller, const char *name, bool search, struct str *path)
{
    cgroup_v1_path(controller, name, path, NULL);
    if (fs_exists(AT_FDCWD, path->p)) return true;
    if (name[0] == '/') return false;
    str_clear(path);
    str_addf(path, CGROUP_TOP "/%s", controller);
    struct err ignored;
    own(fd) int top = fs_open_dir(AT_FDCWD, path->p, &ignored);
    return search && top >= 0 && find_group(top, name, SEARCH_DEPTH, path);
}

static void v2_remove(const char *name, bool *out_oom)
{
    for (int user = 0; user < 2; user++) {
        own(str) struct str path = {0};
        cgroup_v2_path(name, user, &path);
        if (out_oom && !*out_oom) *out_oom = oom_killed(path.p, "memory.events");
        sandbox_cgroup_remove_folder(path.p);
    }
}

static void remove_all(const char *name, bool search, bool *out_oom)
{
    if (out_oom) *out_oom = false;
    if (!name[0]) return;
    if (cgroup_is_v2()) {
        v2_remove(name, out_oom);
        return;
    }
    for (unsigned c = 0; c <= CGROUP_CONTROLLERS; c++) {
        own(str) struct str path = {0};
        if (!v1_find(c < CGROUP_CONTROLLERS ? cgroup_names[c] : CGROUP_FREEZER, name, search,
                     &path))
            continue;
        if (out_oom && c == CGROUP_MEMORY) *out_oom = oom_killed(path.p, "memory.oom_control");
        sandbox_cgroup_remove_folder(path.p);
    }
}

void sandbox_cgroup_remove(const char *name, bool *out_oom)
{
    remove_all(name, false, out_oom);
}

void sandbox_cgroup_sweep(const char *name)
{
    remove_all(name, true, NULL);
}
