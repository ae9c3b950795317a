// SPDX-License-Identifier: Apache-2.0
// Resource limits through control groups: v2 where the whole tree is v2, else v1 as root. A group
// is made only when a limit asks for one, because making and removing it costs more than a start.
// It lies below our own group, so that a limit on dewar holds for its containers too. A user's own
// group is used where it was delegated; else systemd, where it is there, is asked for a scope that
// is. Where a limit cannot be had, the error names the controller and what to do; a limit is never
// dropped in silence.
//
// The name of a container's group: on v1 "dewar-<id>", in each controller's tree below our own
// group there; on v2 its path below the mount, "/.../dewar-<id>", which everybody can find.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "sandbox/cgroup.h"
#include "sandbox/sandbox.h"
#include "sandbox/systemd.h"

#define TOP "/sys/fs/cgroup"
#define CGROUP2_MAGIC 0x63677270
#define CFS_PERIOD 100000
#define FREEZER "freezer"
#define SEARCH_DEPTH 5

enum controller { MEMORY, CPU, PIDS, CPUSET, DISK, DEVICES, CONTROLLERS };
static const char *const names[CONTROLLERS] = {"memory", "cpu", "pids", "cpuset", "blkio", "devices"};
static const char *const flags[CONTROLLERS] = {"--memory", "--cpus and --cpu-shares",
                                               "--pids-limit", "--cpuset-cpus", "--blkio-weight",
                                               "--device"};

static const char *name_of(enum controller c, bool v2)
{
    return v2 && c == DISK ? "io" : names[c];
}

static unsigned needs(const struct sandbox_spec *s, bool devices)
{
    unsigned n = 0;
    if (s->memory || s->memory_swap || s->memory_reservation) n |= 1u << MEMORY;
    if (s->cpu_shares || s->nano_cpus || s->cpu_quota || s->cpu_period) n |= 1u << CPU;
    if (s->blkio_weight) n |= 1u << DISK;
    if (s->pids_limit > 0) n |= 1u << PIDS;
    if (s->cpuset_cpus || s->cpuset_mems) n |= 1u << CPUSET;
    if (devices) n |= 1u << DEVICES;
    return n;
}

static bool is_v2(void)
{
    struct statfs fs;
    return statfs(TOP, &fs) == 0 && fs.f_type == CGROUP2_MAGIC;
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

static int put(int dir, const char *file, const char *value, struct err *e)
{
    own(fd) int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
    size_t n = strlen(value);
    if (fd >= 0 && write(fd, value, n) == (ssize_t)n) return 0;
    err_sys(e, "set %s to '%s'", file, value);
    if (e->sys == EINVAL || e->sys == ERANGE) e->kind = ERR_USAGE;
    return -1;
}

static int putn(int dir, const char *file, int64_t value, struct err *e)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return put(dir, file, text, e);
}

static int missing(enum controller c, bool v2, bool user, struct err *e)
{
    int code = errno;
    err_set(e, ERR_UNSUPPORTED,
            "%s cannot be applied: the cgroup controller '%s' is not available%s", flags[c],
            name_of(c, v2), code == EACCES || code == EPERM ? " to this user" : "");
    e->sys = code;
    if (v2 && user && code == ENOENT)
        return err_hint(e, "root hands it down: 'systemctl edit user@.service' and there, below "
                           "[Service], Delegate=cpu cpuset io memory pids");
    if (v2 && user)
        return err_hint(e, "log in through systemd with a user bus (package dbus-user-session), or "
                           "start dewar in a delegated group: systemd-run --user --scope -p "
                           "Delegate=yes dewar run ...");
    if (user) return err_hint(e, "this machine has cgroup v1, where only root can set limits");
    return err_hint(
        e, "mount or enable it (kernel option cgroup_enable=%s), or leave out the limit", names[c]);
}

static void own_path(const char *controller, struct str *out)
{
    path_of("self", controller, out);
}

// --- v1 ----------------------------------------------------------------------------------------

// Weights are there only where the kernel's disk scheduler (BFQ) has them.
static int disk_weight(int dir, int64_t weight, const char *const *files, struct err *e)
{
    for (; *files; files++)
        if (fs_exists(dir, *files)) return putn(dir, *files, weight, e);
    err_set(e, ERR_UNSUPPORTED, "this kernel has no weights for disks");
    return err_hint(e, "they come with the I/O scheduler BFQ; leave out --blkio-weight");
}

static int64_t cpu_period(const struct sandbox_spec *s)
{
    return s->cpu_period ? s->cpu_period : CFS_PERIOD;
}

// Microseconds a period; 0: no limit.
static int64_t cpu_quota(const struct sandbox_spec *s)
{
    if (s->nano_cpus) return s->nano_cpus / (1000000000 / CFS_PERIOD);
    return s->cpu_quota > 0 ? s->cpu_quota : 0;
}

static int v1_memory(int dir, const struct sandbox_spec *s, struct err *e)
{
    if (s->memory_reservation &&
        putn(dir, "memory.soft_limit_in_bytes", s->memory_reservation, e) < 0)
        return -1;
    if (!s->memory && !s->memory_swap) return 0;
    if (s->memory && putn(dir, "memory.limit_in_bytes", (int64_t)s->memory, e) < 0) return -1;
    if (s->memory_swap || fs_exists(dir, "memory.memsw.limit_in_bytes")) {
        int64_t both = s->memory_swap ? s->memory_swap : (int64_t)s->memory * 2;
        if (putn(dir, "memory.memsw.limit_in_bytes", both, e) < 0)
            return err_hint(e, "a kernel without swap accounting cannot limit swap");
    }
    return 0;
}

static int v1_cpu(int dir, const struct sandbox_spec *s, struct err *e)
{
    if (s->cpu_shares && putn(dir, "cpu.shares", (int64_t)s->cpu_shares, e) < 0) return -1;
    if (!s->nano_cpus && !s->cpu_quota && !s->cpu_period) return 0;
    if (putn(dir, "cpu.cfs_period_us", cpu_period(s), e) < 0) return -1;
    int64_t quota = cpu_quota(s);
    return putn(dir, "cpu.cfs_quota_us", quota ? quota : -1, e);
}

static int copy_up(const char *parent, int dir, const char *file, struct err *e)
{
    own(str) struct str text = {0}, path = {0};
    str_addf(&path, "%s/%s", parent, file);
    if (fs_read_at(AT_FDCWD, path.p, 65536, &text, e) < 0) return -1;
    return put(dir, file, str_z(&text), e);
}

static int v1_cpuset(int dir, const char *parent, const struct sandbox_spec *s, struct err *e)
{
    int rc = s->cpuset_cpus ? put(dir, "cpuset.cpus", s->cpuset_cpus, e)
                            : copy_up(parent, dir, "cpuset.cpus", e);
    if (rc == 0)
        rc = s->cpuset_mems ? put(dir, "cpuset.mems", s->cpuset_mems, e)
                            : copy_up(parent, dir, "cpuset.mems", e);
    return rc;
}

static int v1_devices(int dir, const struct sandbox_spec *s, struct err *e)
{
    // Nodes may be made (for images that unpack them), but only these may be opened.
    static const char *const rules[] = {"c *:* m",   "b *:* m",   "c 1:3 rwm",  "c 1:5 rwm",
                                        "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm",  "c 5:0 rwm",
                                        "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm"};
    if (put(dir, "devices.deny", "a", e) < 0) return -1;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (put(dir, "devices.allow", rules[i], e) < 0) return -1;
    for (size_t i = 0; i < s->devices.n; i++) {
        struct stat st;
        char text[64];
        if (stat(s->devices.p[i].host, &st) != 0 || !(S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)))
            continue;
        snprintf(text, sizeof text, "%c %u:%u %s", S_ISCHR(st.st_mode) ? 'c' : 'b',
                 major(st.st_rdev), minor(st.st_rdev),
                 s->devices.p[i].access[0] ? s->devices.p[i].access : "rwm");
        if (put(dir, "devices.allow", text, e) < 0) return -1;
    }
    for (size_t i = 0; i < s->device_rules.n; i++)
        if (put(dir, "devices.allow", s->device_rules.p[i], e) < 0) return -1;
    return 0;
}

static const char *const v1_weights[] = {"blkio.weight", "blkio.bfq.weight", NULL};
static const char *const v2_weights[] = {"io.bfq.weight", "io.weight", NULL};

static int v1_one(enum controller c, const struct sandbox_spec *s, bool user,
                  struct sandbox_cgroup *out, struct err *e)
{
    own(str) struct str parent = {0}, path = {0};
    str_addf(&parent, TOP "/%s", names[c]);
    own_path(names[c], &parent);
    str_addf(&path, "%s/%s", parent.p, out->name);
    if (mkdir(path.p, 0755) != 0 && errno != EEXIST) {
        // A folder of devices needs no group to be usable: it only narrows what root may open.
        if (c == DEVICES && user) return 0;
        return missing(c, false, user, e);
    }
    own(fd) int dir = fs_open_dir(AT_FDCWD, path.p, e);
    if (dir < 0) return -1;
    int rc = c == MEMORY   ? v1_memory(dir, s, e)
             : c == CPU    ? v1_cpu(dir, s, e)
             : c == PIDS   ? putn(dir, "pids.max", s->pids_limit, e)
             : c == CPUSET ? v1_cpuset(dir, parent.p, s, e)
             : c == DISK   ? disk_weight(dir, s->blkio_weight, v1_weights, e)
                           : v1_devices(dir, s, e);
    if (rc < 0) return err_wrap(e, "applying %s", flags[c]);
    int join = fs_openat(dir, "cgroup.procs", O_WRONLY, 0, e);
    if (join < 0) return -1;
    out->join[out->n++] = join;
    return 0;
}

// --- v2 ----------------------------------------------------------------------------------------

static bool v2_has(int dir, const char *file, const char *controller)
{
    struct err ignored;
    own(str) struct str text = {0};
    if (fs_read_at(dir, file, 4096, &text, &ignored) < 0) return false;
    struct sv rest = sv_trim(str_sv(&text));
    while (rest.p)
        if (sv_eqz(sv_cut(&rest, ' '), controller)) return true;
    return false;
}

// A group with processes of its own cannot hand controllers down: ours move to a leaf first.
static int v2_enable(int parent, enum controller c, bool user, struct err *e)
{
    if (v2_has(parent, "cgroup.subtree_control", name_of(c, true))) return 0;
    if (!v2_has(parent, "cgroup.controllers", name_of(c, true))) {
        errno = ENOENT;
        return missing(c, true, user, e);
    }
    own(free) char *word = str_fmt("+%s", name_of(c, true));
    if (put(parent, "cgroup.subtree_control", word, e) == 0) return 0;
    if (e->sys != EBUSY) {
        errno = e->sys;
        return missing(c, true, user, e);
    }
    if (mkdirat(parent, "dewar-self", 0755) != 0 && errno != EEXIST)
        return missing(c, true, user, e);
    own(str) struct str procs = {0};
    if (fs_read_at(parent, "cgroup.procs", 65536, &procs, e) < 0) return -1;
    struct sv rest = str_sv(&procs);
    while (rest.p) {
        own(free) char *pid = sv_dup(sv_trim(sv_cut(&rest, '\n')));
        struct err ignored;
        if (pid[0]) put(parent, "dewar-self/cgroup.procs", pid, &ignored);
    }
    if (put(parent, "cgroup.subtree_control", word, e) == 0) return 0;
    errno = e->sys;
    return missing(c, true, user, e);
}

static int v2_values(int dir, const struct sandbox_spec *s, struct err *e)
{
    char text[64];
    if (s->memory && putn(dir, "memory.max", (int64_t)s->memory, e) < 0) return -1;
    if (s->memory && s->memory_swap != -1 && fs_exists(dir, "memory.swap.max")) {
        int64_t swap = s->memory_swap ? s->memory_swap - (int64_t)s->memory : (int64_t)s->memory;
        if (putn(dir, "memory.swap.max", swap, e) < 0) return -1;
    }
    if (s->nano_cpus || s->cpu_quota || s->cpu_period) {
        int64_t quota = cpu_quota(s);
        own(free) char *part = quota ? str_fmt("%lld", (long long)quota) : str_dup("max");
        snprintf(text, sizeof text, "%s %lld", part, (long long)cpu_period(s));
        if (put(dir, "cpu.max", text, e) < 0) return -1;
    }
    if (s->memory_reservation && putn(dir, "memory.low", s->memory_reservation, e) < 0) return -1;
    if (s->blkio_weight && disk_weight(dir, s->blkio_weight, v2_weights, e) < 0) return -1;
    if (s->cpu_shares) { // 2..262144 to 1..10000
        uint64_t v = s->cpu_shares < 2 ? 2 : s->cpu_shares > 262144 ? 262144 : s->cpu_shares;
        if (putn(dir, "cpu.weight", (int64_t)(1 + (v - 2) * 9999 / 262142), e) < 0) return -1;
    }
    if (s->pids_limit > 0 && putn(dir, "pids.max", s->pids_limit, e) < 0) return -1;
    if (s->cpuset_cpus && put(dir, "cpuset.cpus", s->cpuset_cpus, e) < 0) return -1;
    return s->cpuset_mems ? put(dir, "cpuset.mems", s->cpuset_mems, e) : 0;
}

static void v2_parent(bool user, struct str *out)
{
    str_clear(out);
    str_addz(out, TOP);
    if (user) {
        own_path("", out);
        if (sv_ends(str_sv(out), "/dewar-self")) str_cut(out, out->n - strlen("/dewar-self"));
    }
}

// systemd marks what it has given away. Anybody else's group is ours when we may write to it.
static bool v2_delegated(const char *path)
{
    char mark[4];
    return getxattr(path, "user.delegate", mark, sizeof mark) == 1 && mark[0] == '1';
}

static bool v2_writable(const char *path)
{
    own(free) char *file = str_fmt("%s/cgroup.subtree_control", path);
    return faccessat(AT_FDCWD, file, W_OK, AT_EACCESS) == 0;
}

// Where groups can be made, with this process in it or below: the group of `path`, or a scope of
// systemd's, into which we move.
static int v2_home(struct engine *en, const char *name, struct str *path, struct err *e)
{
    bool user = en->ids.mode != IDMAP_ROOT;
    v2_parent(user, path);
    if (!user || v2_delegated(path->p) || !sandbox_systemd_here(&en->ids)) return 0;
    own(free) char *unit = str_fmt("%s.scope", name);
    const struct sandbox_systemd_scope scope = {
        .unit = unit, .text = "A container of dewar's", .pid = getpid()};
    if (sandbox_systemd_scope(&en->ids, &scope, e) < 0 && !v2_writable(path->p)) return -1;
    err_clear(e);
    v2_parent(user, path);
    return 0;
}

const char *sandbox_cgroup_way(struct engine *en)
{
    own(str) struct str path = {0};
    v2_parent(true, &path);
    if (v2_delegated(path.p)) return "in our own group, which is delegated";
    if (sandbox_systemd_here(&en->ids)) return "in scopes of systemd's user manager";
    return v2_writable(path.p) ? "in our own group" : NULL;
}

// The folder of a container's group, as its name tells.
static void v2_path(const char *name, bool user, struct str *out)
{
    if (name[0] == '/') {
        str_clear(out);
        str_addz(out, TOP);
    } else {
        v2_parent(user, out);
        str_addc(out, '/');
    }
    str_addz(out, name);
}

static int v2_enable_all(int parent, unsigned need, bool user, struct err *e)
{
    for (unsigned c = 0; c < DEVICES; c++)
        if (need >> c & 1 && v2_enable(parent, (enum controller)c, user, e) < 0) return -1;
    return 0;
}

// Makes a folder of this name below our home and makes the name the whole one.
static int v2_folder(struct engine *en, unsigned need, char *name, size_t size, struct err *e)
{
    bool user = en->ids.mode != IDMAP_ROOT;
    own(str) struct str path = {0};
    if (v2_home(en, name, &path, e) < 0) return -1;
    own(fd) int parent = fs_open_dir(AT_FDCWD, path.p, e);
    if (parent < 0 || v2_enable_all(parent, need, user, e) < 0) return -1;
    if (path.n + strlen(name) + 2 > size)
        return err_set(e, ERR_LIMIT, "the path of the control group is too long");
    if (mkdirat(parent, name, 0755) != 0 && errno != EEXIST)
        return err_sys(e, "make the control group '%s'", name);
    own(fd) int dir = fs_open_dir(parent, name, e);
    if (dir < 0) return -1;
    own(free) char *whole = str_fmt("%s/%s", path.p + strlen(TOP), name);
    snprintf(name, size, "%s", whole);
    return take_fd(dir);
}

static int v2_make(struct engine *en, const struct sandbox_spec *s, unsigned need,
                   struct sandbox_cgroup *out, struct err *e)
{
    own(fd) int dir = v2_folder(en, need, out->name, sizeof out->name, e);
    if (dir < 0 || v2_values(dir, s, e) < 0) return -1;
    int join = fs_openat(dir, "cgroup.procs", O_WRONLY, 0, e);
    if (join < 0) return -1;
    out->join[out->n++] = join;
    return 0;
}

// --- both --------------------------------------------------------------------------------------

int sandbox_cgroup_make(struct engine *en, const struct sandbox_spec *s, bool need_devices,
                        struct sandbox_cgroup *out, struct err *e)
{
    bool user = en->ids.mode != IDMAP_ROOT, v2 = is_v2();
    // Device rules are BPF on v2 and pointless in a user namespace: there nodes cannot be made.
    unsigned need = needs(s, need_devices && !user && !v2);
    if (!need) return 0;
    unsigned char raw[6] = {0};
    if (getrandom(raw, sizeof raw, 0) < 0) return err_sys(e, "get random bytes");
    if (s->cgroup_name)
        snprintf(out->name, sizeof out->name, "dewar-%s", s->cgroup_name);
    else
        snprintf(out->name, sizeof out->name, "dewar-%02x%02x%02x%02x%02x%02x", raw[0], raw[1],
                 raw[2], raw[3], raw[4], raw[5]);
    int rc = 0;
    if (v2) rc = v2_make(en, s, need, out, e);
    for (unsigned c = 0; !v2 && c < CONTROLLERS && rc == 0; c++)
        if (need >> c & 1) rc = v1_one((enum controller)c, s, user, out, e);
    if (rc == 0) return 0;
    sandbox_cgroup_close(out);
    sandbox_cgroup_remove(out->name, NULL);
    out->name[0] = '\0';
    return -1;
}

// The group of this name that a process is in or below: "/a/dewar-x" of "/a/dewar-x/y".
static bool holds(struct str *path, const char *name)
{
    own(free) char *part = str_fmt("/%s", name);
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
    if (is_v2()) {
        own(str) struct str path = {0};
        v2_path(name, true, &path);
        return open_procs(path.p, out, e);
    }
    for (unsigned c = 0; c < CONTROLLERS; c++) {
        own(str) struct str path = {0};
        str_addf(&path, TOP "/%s", names[c]);
        path_of(process, names[c], &path);
        if (holds(&path, name) && open_procs(path.p, out, e) < 0) return -1;
    }
    return 0;
}

void sandbox_cgroup_close(struct sandbox_cgroup *c)
{
    for (unsigned i = 0; i < c->n; i++) close(c->join[i]);
    c->n = 0;
}

// The last processes may still be on their way out.
static void remove_dir(const char *path)
{
    for (int i = 0; i < 50; i++) {
        if (rmdir(path) == 0 || errno != EBUSY) return;
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
    str_addf(path, TOP "/%s", controller);
    own_path(controller, path);
    str_addf(path, "/%s", name);
    if (fs_exists(AT_FDCWD, path->p)) return true;
    str_clear(path);
    str_addf(path, TOP "/%s", controller);
    struct err ignored;
    own(fd) int top = fs_open_dir(AT_FDCWD, path->p, &ignored);
    return search && top >= 0 && find_group(top, name, SEARCH_DEPTH, path);
}

static void v2_remove(const char *name, bool *out_oom)
{
    for (int user = 0; user < 2; user++) {
        own(str) struct str path = {0};
        v2_path(name, user, &path);
        if (out_oom && !*out_oom) *out_oom = oom_killed(path.p, "memory.events");
        remove_dir(path.p);
    }
}

static void remove_all(const char *name, bool search, bool *out_oom)
{
    if (out_oom) *out_oom = false;
    if (!name[0]) return;
    if (is_v2()) {
        v2_remove(name, out_oom);
        return;
    }
    for (unsigned c = 0; c <= CONTROLLERS; c++) {
        own(str) struct str path = {0};
        if (!v1_find(c < CONTROLLERS ? names[c] : FREEZER, name, search, &path)) continue;
        if (out_oom && c == MEMORY) *out_oom = oom_killed(path.p, "memory.oom_control");
        remove_dir(path.p);
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

// --- processes that run already ----------------------------------------------------------------

static bool same_namespace(const char *pid, ino_t namespace)
{
    char path[64];
    struct stat st;
    snprintf(path, sizeof path, "%.20s/ns/pid", pid);
    own(fd) int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fstatat(proc, path, &st, 0) == 0 && st.st_ino == namespace;
}

// Where the way from its old group to ours leads through groups of others, only systemd can.
static int move(struct engine *en, int dir, const char *name, const char *pid, struct err *e)
{
    char unit[256];
    const char *below;
    if (put(dir, "cgroup.procs", pid, e) == 0) return 0;
    if ((e->sys != EACCES && e->sys != EPERM) || !sandbox_systemd_split(name, unit, &below))
        return -1;
    err_clear(e);
    return sandbox_systemd_attach(&en->ids, unit, below, (pid_t)strtol(pid, NULL, 10), e);
}

int sandbox_cgroup_move(struct engine *en, const struct sandbox_cgroup *group, pid_t pid,
                        struct err *e)
{
    char text[24];
    snprintf(text, sizeof text, "%d", (int)pid);
    for (unsigned i = 0; i < group->n; i++) {
        ssize_t n = write(group->join[i], text, strlen(text));
        if (n == (ssize_t)strlen(text)) continue;
        char unit[256];
        const char *below;
        err_sys(e, "put the container into its control group");
        if ((e->sys != EACCES && e->sys != EPERM) ||
            !sandbox_systemd_split(group->name, unit, &below))
            return -1;
        err_clear(e);
        if (sandbox_systemd_attach(&en->ids, unit, below, pid, e) < 0) return -1;
    }
    return 0;
}

// Moves every process of init's pid namespace into the group. How many had to be moved, or -1.
static int gather_once(struct engine *en, int dir, const char *name, pid_t init, struct err *e)
{
    char path[64];
    struct stat st;
    int moved = 0;
    own(strv) struct strv pids = {0};
    own(str) struct str there = {0};
    snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)init);
    if (fstatat(AT_FDCWD, path, &st, 0) != 0) return err_sys(e, "find the container's processes");
    if (fs_read_at(dir, "cgroup.procs", (size_t)8 << 20, &there, e) < 0 ||
        fs_list(AT_FDCWD, "/proc", &pids, e) < 0)
        return -1;
    for (size_t i = 0; i < pids.n; i++) {
        if (pids.p[i][0] < '1' || pids.p[i][0] > '9' || !same_namespace(pids.p[i], st.st_ino))
            continue;
        own(free) char *line = str_fmt("\n%s\n", pids.p[i]);
        bool in =
            there.n && (strstr(there.p, line) || strncmp(there.p, line + 1, strlen(line + 1)) == 0);
        if (in) continue;
        if (move(en, dir, name, pids.p[i], e) == 0)
            moved++;
        else if (e->sys != ESRCH) // ended meanwhile
            return err_wrap(e, "moving the container's processes into its control group");
    }
    return moved;
}

// What is forked meanwhile is found by the next round.
static int gather(struct engine *en, int dir, const char *name, pid_t init, struct err *e)
{
    int rc = 1;
    for (int i = 0; i < 20 && rc > 0; i++) rc = gather_once(en, dir, name, init, e);
    if (rc <= 0) return rc;
    return err_set(e, ERR_SYSTEM, "the container starts processes faster than they can be found");
}

// --- changing ----------------------------------------------------------------------------------

static int no_group(const char *flag, struct err *e)
{
    err_set(e, ERR_UNSUPPORTED,
            "%s cannot be changed now: the container was started without it, and shares its "
            "process namespace",
            flag);
    return err_hint(e, "it is noted and holds from the next start on");
}

// Memory alone must not pass memory and swap together: which of them comes first depends on whether
// they grow.
static int v1_change_memory(int dir, const struct sandbox_spec *s, struct err *e)
{
    struct err first;
    if (v1_memory(dir, s, &first) == 0) return 0;
    int64_t both = s->memory_swap ? s->memory_swap : (int64_t)s->memory * 2;
    if (fs_exists(dir, "memory.memsw.limit_in_bytes") &&
        putn(dir, "memory.memsw.limit_in_bytes", both, e) < 0)
        return -1;
    return v1_memory(dir, s, e);
}

static int v1_change(struct engine *en, enum controller c, const char *name, pid_t init,
                     const struct sandbox_spec *s, struct err *e)
{
    bool user = en->ids.mode != IDMAP_ROOT;
    own(str) struct str parent = {0}, path = {0};
    str_addf(&parent, TOP "/%s", names[c]);
    own_path(names[c], &parent);
    str_addf(&path, "%s/%s", parent.p, name);
    bool fresh = !fs_exists(AT_FDCWD, path.p);
    if (fresh && !init) return no_group(flags[c], e);
    if (fresh && mkdirat(AT_FDCWD, path.p, 0755) != 0) return missing(c, false, user, e);
    own(fd) int dir = fs_open_dir(AT_FDCWD, path.p, e);
    if (dir < 0) return -1;
    int rc = c == MEMORY ? v1_change_memory(dir, s, e)
             : c == CPU  ? v1_cpu(dir, s, e)
             : c == PIDS ? putn(dir, "pids.max", s->pids_limit, e)
             : c == DISK ? disk_weight(dir, s->blkio_weight, v1_weights, e)
                         : v1_cpuset(dir, parent.p, s, e);
    if (rc == 0 && fresh) rc = gather(en, dir, name, init, e);
    return rc < 0 ? err_wrap(e, "applying %s", flags[c]) : 0;
}

static int v2_change(struct engine *en, unsigned need, char *name, size_t size, pid_t init,
                     const struct sandbox_spec *s, struct err *e)
{
    bool user = en->ids.mode != IDMAP_ROOT, fresh = name[0] != '/';
    own(str) struct str path = {0};
    own(fd) int dir = -1;
    if (fresh) {
        if (!init) return no_group("a limit", e);
        dir = v2_folder(en, need, name, size, e);
    } else {
        v2_path(name, user, &path);
        dir = fs_open_dir(AT_FDCWD, path.p, e);
        str_cut(&path, (size_t)sv_rfind(str_sv(&path), '/'));
        own(fd) int parent = dir < 0 ? -1 : fs_open_dir(AT_FDCWD, path.p, e);
        // One of them may not have been wanted so far.
        if (parent < 0 || v2_enable_all(parent, need, user, e) < 0) return -1;
    }
    if (dir < 0 || v2_values(dir, s, e) < 0) return -1;
    return fresh ? gather(en, dir, name, init, e) : 0;
}

int sandbox_cgroup_update(struct engine *en, char *name, size_t size, pid_t init,
                          const struct sandbox_spec *s, struct err *e)
{
    unsigned need = needs(s, false);
    if (!need) return 0;
    if (!name[0]) snprintf(name, size, "dewar-%s", s->cgroup_name);
    if (is_v2()) return v2_change(en, need, name, size, init, s, e);
    for (unsigned c = 0; c < DEVICES; c++)
        if (need >> c & 1 && v1_change(en, (enum controller)c, name, init, s, e) < 0) return -1;
    return 0;
}

// --- freezing ----------------------------------------------------------------------------------

static void freezer_path(const char *name, bool user, struct str *out)
{
    if (is_v2()) {
        v2_path(name, user, out);
        return;
    }
    str_addz(out, TOP "/" FREEZER);
    own_path(FREEZER, out);
    str_addf(out, "/%s", name);
}

static int no_freezer(bool user, struct err *e)
{
    bool v2 = is_v2();
    err_sys(e, "make a control group to freeze the container in");
    e->kind = ERR_UNSUPPORTED;
    if (user && !v2)
        return err_hint(e, "pausing needs the cgroup controller 'freezer', which on cgroup v1 only "
                           "root can use; 'dewar stop' and 'start' work without");
    if (user)
        return err_hint(e,
                        "start the container in a delegated group: systemd-run --user --scope -p "
                        "Delegate=yes dewar run ...");
    return err_hint(e, "mount the cgroup controller 'freezer'");
}

// The state is there when the last one has stopped; v1 must be asked again now and then.
static bool frozen(int dir, bool v2)
{
    struct err ignored;
    for (int i = 0; i < 400; i++) {
        own(str) struct str text = {0};
        if (!v2 && i % 20 == 0) put(dir, "freezer.state", "FROZEN", &ignored);
        if (fs_read_at(dir, v2 ? "cgroup.events" : "freezer.state", 4096, &text, &ignored) == 0 &&
            strstr(str_z(&text), v2 ? "frozen 1" : "FROZEN"))
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return false;
}

static int freezer_folder(struct engine *en, char *name, size_t size, struct err *e)
{
    bool user = en->ids.mode != IDMAP_ROOT;
    own(str) struct str path = {0};
    if (is_v2() && name[0] != '/') {
        int dir = v2_folder(en, 0, name, size, e);
        if (dir >= 0 || !e->sys) return dir;
        errno = e->sys;
        return no_freezer(user, e);
    }
    freezer_path(name, user, &path);
    if (mkdir(path.p, 0755) != 0 && errno != EEXIST) return no_freezer(user, e);
    return fs_open_dir(AT_FDCWD, path.p, e);
}

int sandbox_cgroup_freeze(struct engine *en, char *name, size_t size, pid_t init, struct err *e)
{
    bool v2 = is_v2();
    own(fd) int dir = freezer_folder(en, name, size, e);
    // Once before, so that it is short, and once after: what was forked meanwhile goes on no more.
    if (dir < 0 || gather(en, dir, name, init, e) < 0) return -1;
    if (put(dir, v2 ? "cgroup.freeze" : "freezer.state", v2 ? "1" : "FROZEN", e) < 0) return -1;
    int rc = gather(en, dir, name, init, e);
    if (rc == 0 && frozen(dir, v2)) return 0;
    sandbox_cgroup_thaw(en, name);
    return rc < 0 ? -1 : err_set(e, ERR_SYSTEM, "the container could not be frozen in 2 seconds");
}

void sandbox_cgroup_thaw(struct engine *en, const char *name)
{
    struct err ignored;
    own(str) struct str path = {0};
    bool v2 = is_v2();
    freezer_path(name, en->ids.mode != IDMAP_ROOT, &path);
    own(fd) int dir = open(path.p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0) put(dir, v2 ? "cgroup.freeze" : "freezer.state", v2 ? "0" : "THAWED", &ignored);
}
