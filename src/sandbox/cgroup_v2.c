// SPDX-License-Identifier: Apache-2.0
// Control groups on v2: one tree, in which a controller must be given from folder to folder, and
// where an ordinary user has what was delegated.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/own.h"
#include "sandbox/cgroup.h"
#include "sandbox/cgroup_internal.h"
#include "sandbox/sandbox.h"
#include "sandbox/systemd.h"

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

// Moves the processes of a group to a leaf: only the top of the whole tree, which has no type, may
// have processes of its own and hand controllers down. The kernel refuses it for memory and io; for
// pids and cpu it does not, but takes the groups below as places for threads, which no process may
// enter.
static int v2_leave(int group, struct err *e)
{
    if (!fs_exists(group, "cgroup.type")) return 0;
    for (int i = 0; i < 20; i++) {
        own(str) struct str procs = {0};
        if (fs_read_at(group, "cgroup.procs", 65536, &procs, e) < 0) return -1;
        struct sv rest = sv_trim(str_sv(&procs));
        if (!rest.n) return 0;
        if (mkdirat(group, "dewar-self", 0755) != 0 && errno != EEXIST)
            return err_sys(e, "make the control group 'dewar-self'");
        while (rest.p) {
            struct err ignored;
            own(free) char *pid = sv_dup(sv_cut(&rest, '\n'));
            cgroup_put(group, "dewar-self/cgroup.procs", pid, &ignored);
        }
    }
    errno = EBUSY;
    return err_sys(e, "move the processes of the control group");
}

static int v2_enable(int parent, enum cgroup_controller c, bool user, struct err *e)
{
    const char *name = cgroup_name_of(c, true);
    own(free) char *word = str_fmt("+%s", name);
    if (!v2_has(parent, "cgroup.controllers", name)) {
        errno = ENOENT;
        return cgroup_missing(c, true, user, e);
    }
    if (v2_leave(parent, e) == 0 && (v2_has(parent, "cgroup.subtree_control", name) ||
                                     cgroup_put(parent, "cgroup.subtree_control", word, e) == 0))
        return 0;
    errno = e->sys;
    return cgroup_missing(c, true, user, e);
}

// Asked for is the limit of both together; the kernel's is that of swap alone.
static int v2_swap(int dir, const struct sandbox_spec *s, struct err *e)
{
    if (!fs_exists(dir, "memory.swap.max")) return 0;
    if (s->memory_swap == -1) return cgroup_put(dir, "memory.swap.max", "max", e);
    if (!s->memory) return 0;
    int64_t both = s->memory_swap ? s->memory_swap : 2 * (int64_t)s->memory;
    return cgroup_putn(dir, "memory.swap.max", both - (int64_t)s->memory, e);
}

int cgroup_v2_values(int dir, const struct sandbox_spec *s, struct err *e)
{
    char text[64];
    if (s->memory && cgroup_putn(dir, "memory.max", (int64_t)s->memory, e) < 0) return -1;
    if (v2_swap(dir, s, e) < 0) return -1;
    if (s->nano_cpus || s->cpu_quota || s->cpu_period) {
        int64_t quota = cgroup_cpu_quota(s);
        own(free) char *part = quota ? str_fmt("%lld", (long long)quota) : str_dup("max");
        snprintf(text, sizeof text, "%s %lld", part, (long long)cgroup_cpu_period(s));
        if (cgroup_put(dir, "cpu.max", text, e) < 0) return -1;
    }
    if (s->memory_reservation && cgroup_putn(dir, "memory.low", s->memory_reservation, e) < 0)
        return -1;
    if (cgroup_disk(dir, s, true, e) < 0) return -1;
    if (s->cpu_shares) { // 2..262144 to 1..10000
        uint64_t v = s->cpu_shares < 2 ? 2 : s->cpu_shares > 262144 ? 262144 : s->cpu_shares;
        if (cgroup_putn(dir, "cpu.weight", (int64_t)(1 + (v - 2) * 9999 / 262142), e) < 0)
            return -1;
    }
    if (cgroup_pids(dir, s, e) < 0) return -1;
    if (s->cpuset_cpus && cgroup_put(dir, "cpuset.cpus", s->cpuset_cpus, e) < 0) return -1;
    return s->cpuset_mems ? cgroup_put(dir, "cpuset.mems", s->cpuset_mems, e) : 0;
}

static void v2_parent(bool user, struct str *out)
{
    str_clear(out);
    str_addz(out, CGROUP_TOP);
    if (user) {
        cgroup_own_path("", out);
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

bool cgroup_v2_offers(const char *controller, bool user)
{
    struct err ignored;
    own(str) struct str path = {0};
    v2_parent(user, &path);
    own(fd) int dir = fs_open_dir(AT_FDCWD, path.p, &ignored);
    return dir >= 0 && v2_has(dir, "cgroup.controllers", controller);
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
void cgroup_v2_path(const char *name, bool user, struct str *out)
{
    if (name[0] == '/') {
        str_clear(out);
        str_addz(out, CGROUP_TOP);
    } else {
        v2_parent(user, out);
        str_addc(out, '/');
    }
    str_addz(out, name);
}

int cgroup_v2_enable_all(int parent, unsigned need, bool user, struct err *e)
{
    for (unsigned c = 0; c < CGROUP_DEVICES; c++)
        if (need >> c & 1 && v2_enable(parent, (enum cgroup_controller)c, user, e) < 0) return -1;
    return 0;
}

// The folders of "/a/b/dewar-x" down to b, made where they are missing; the controllers are handed
// down on the way.
static int v2_given_home(const char *name, unsigned need, bool user, struct str *path,
                         struct err *e)
{
    str_addz(path, CGROUP_TOP);
    for (const char *at = name, *end; (end = strchr(at + 1, '/')); at = end) {
        own(fd) int above = fs_open_dir(AT_FDCWD, path->p, e);
        if (above < 0 || cgroup_v2_enable_all(above, need, user, e) < 0) return -1;
        str_add(path, (struct sv){at, (size_t)(end - at)});
        if (mkdirat(AT_FDCWD, path->p, 0755) != 0 && errno != EEXIST) {
            err_sys(e, "make the control group '%s'", path->p + strlen(CGROUP_TOP));
            return user ? err_hint(e, "a user has the groups that were delegated") : -1;
        }
    }
    return 0;
}

// Makes a folder of this name below our home and makes the name the whole one; one that begins with
// '/' is below a home of its own.
int cgroup_v2_folder(struct engine *en, unsigned need, char *name, size_t size, struct err *e)
{
    bool user = en->ids.mode != IDMAP_ROOT;
    own(str) struct str path = {0};
    bool given = name[0] == '/';
    if (given ? v2_given_home(name, need, user, &path, e) < 0 : v2_home(en, name, &path, e) < 0)
        return -1;
    if (given) memmove(name, strrchr(name, '/') + 1, strlen(strrchr(name, '/')));
    own(fd) int parent = fs_open_dir(AT_FDCWD, path.p, e);
    if (parent < 0 || cgroup_v2_enable_all(parent, need, user, e) < 0) return -1;
    if (path.n + strlen(name) + 2 > size)
        return err_set(e, ERR_LIMIT, "the path of the control group is too long");
    if (mkdirat(parent, name, 0755) != 0 && errno != EEXIST)
        return err_sys(e, "make the control group '%s'", name);
    own(fd) int dir = fs_open_dir(parent, name, e);
    if (dir < 0) return -1;
    own(free) char *whole = str_fmt("%s/%s", path.p + strlen(CGROUP_TOP), name);
    snprintf(name, size, "%s", whole);
    return take_fd(dir);
}

// A root who may not load programs is that of a user namespace, where no node can be made that the
// kernel would open.
static int v2_devices(int dir, const struct sandbox_spec *s,
                      const struct sandbox_device_rules *rules, struct err *e)
{
    if (sandbox_device_rule_attach(dir, rules, e) == 0) return 0;
    if (e->sys == EPERM && !s->device_rules.n) {
        err_clear(e);
        return 0;
    }
    return err_wrap(e, "applying %s", cgroup_flags[CGROUP_DEVICES]);
}

int cgroup_v2_make(struct engine *en, const struct sandbox_spec *s, unsigned need,
                   const struct sandbox_device_rules *rules, struct sandbox_cgroup *out,
                   struct err *e)
{
    own(fd) int dir = cgroup_v2_folder(en, need, out->name, sizeof out->name, e);
    if (dir < 0 || cgroup_v2_values(dir, s, e) < 0) return -1;
    if (need >> CGROUP_DEVICES & 1 && v2_devices(dir, s, rules, e) < 0) return -1;
    int join = fs_openat(dir, "cgroup.procs", O_WRONLY, 0, e);
    if (join < 0) return -1;
    out->join[out->n++] = join;
    return 0;
}
