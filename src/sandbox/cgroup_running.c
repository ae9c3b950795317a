// SPDX-License-Identifier: Apache-2.0
// Control groups of containers that run: more processes of theirs, other limits, and standing
// still.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "sandbox/cgroup.h"
#include "sandbox/cgroup_internal.h"
#include "sandbox/sandbox.h"
#include "sandbox/systemd.h"

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
    if (cgroup_put(dir, "cgroup.procs", pid, e) == 0) return 0;
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
    if (cgroup_v1_memory(dir, s, &first) == 0) return 0;
    int64_t both = s->memory_swap ? s->memory_swap : (int64_t)s->memory * 2;
    if (fs_exists(dir, "memory.memsw.limit_in_bytes") &&
        cgroup_putn(dir, "memory.memsw.limit_in_bytes", both, e) < 0)
        return -1;
    return cgroup_v1_memory(dir, s, e);
}

static int v1_change(struct engine *en, enum cgroup_controller c, const char *name, pid_t init,
                     const struct sandbox_spec *s, struct err *e)
{
    bool user = en->ids.mode != IDMAP_ROOT;
    own(str) struct str parent = {0}, path = {0};
    cgroup_v1_path(cgroup_names[c], name, &path, &parent);
    bool fresh = !fs_exists(AT_FDCWD, path.p);
    if (fresh && !init) return no_group(cgroup_flags[c], e);
    if (fresh && mkdirat(AT_FDCWD, path.p, 0755) != 0) return cgroup_missing(c, false, user, e);
    own(fd) int dir = fs_open_dir(AT_FDCWD, path.p, e);
    if (dir < 0) return -1;
    int rc = c == CGROUP_MEMORY ? v1_change_memory(dir, s, e)
             : c == CGROUP_CPU  ? cgroup_v1_cpu(dir, s, e)
             : c == CGROUP_PIDS ? cgroup_pids(dir, s, e)
             : c == CGROUP_DISK ? cgroup_disk(dir, s, false, e)
                                : cgroup_v1_cpuset(dir, parent.p, s, e);
    if (rc == 0 && fresh) rc = gather(en, dir, name, init, e);
    return rc < 0 ? err_wrap(e, "applying %s", cgroup_flags[c]) : 0;
}

static int v2_change(struct engine *en, unsigned need, char *name, size_t size, pid_t init,
                     const struct sandbox_spec *s, struct err *e)
{
    bool user = en->ids.mode != IDMAP_ROOT, fresh = name[0] != '/';
    own(str) struct str path = {0};
    own(fd) int dir = -1;
    if (fresh) {
        if (!init) return no_group("a limit", e);
        dir = cgroup_v2_folder(en, need, name, size, e);
    } else {
        cgroup_v2_path(name, user, &path);
        dir = fs_open_dir(AT_FDCWD, path.p, e);
        str_cut(&path, (size_t)sv_rfind(str_sv(&path), '/'));
        own(fd) int parent = dir < 0 ? -1 : fs_open_dir(AT_FDCWD, path.p, e);
        // One of them may not have been wanted so far.
        if (parent < 0 || cgroup_v2_enable_all(parent, need, user, e) < 0) return -1;
    }
    if (dir < 0 || cgroup_v2_values(dir, s, e) < 0) return -1;
    return fresh ? gather(en, dir, name, init, e) : 0;
}

int sandbox_cgroup_update(struct engine *en, char *name, size_t size, pid_t init,
                          const struct sandbox_spec *s, struct err *e)
{
    unsigned need = cgroup_needs(s, false);
    if (!need) return 0;
    if (!name[0]) snprintf(name, size, "dewar-%s", s->cgroup_name);
    if (cgroup_is_v2()) return v2_change(en, need, name, size, init, s, e);
    for (unsigned c = 0; c < CGROUP_DEVICES; c++)
        if (need >> c & 1 && v1_change(en, (enum cgroup_controller)c, name, init, s, e) < 0)
            return -1;
    return 0;
}

// --- what can be had ---------------------------------------------------------------------------

bool sandbox_cgroup_v2(void)
{
    return cgroup_is_v2();
}

bool sandbox_cgroup_has(struct engine *en, const char *controller)
{
    bool user = en->ids.mode != IDMAP_ROOT;
    if (cgroup_is_v2()) return cgroup_v2_offers(controller, user) && (!user || sandbox_cgroup_way(en));
    own(free) char *top = str_fmt(CGROUP_TOP "/%s", controller);
    return !user && fs_exists(AT_FDCWD, top);
}

// --- freezing ----------------------------------------------------------------------------------

static void freezer_path(const char *name, bool user, struct str *out)
{
    if (cgroup_is_v2()) {
        cgroup_v2_path(name, user, out);
        return;
    }
    cgroup_v1_path(CGROUP_FREEZER, name, out, NULL);
}

static int no_freezer(bool user, struct err *e)
{
    bool v2 = cgroup_is_v2();
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
        if (!v2 && i % 20 == 0) cgroup_put(dir, "freezer.state", "FROZEN", &ignored);
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
    if (cgroup_is_v2() && name[0] != '/') {
        int dir = cgroup_v2_folder(en, 0, name, size, e);
        if (dir >= 0 || !e->sys) return dir;
        errno = e->sys;
        return no_freezer(user, e);
    }
    freezer_path(name, user, &path);
    if ((!cgroup_is_v2() && cgroup_v1_parents(CGROUP_FREEZER, name) < 0) ||
        (mkdir(path.p, 0755) != 0 && errno != EEXIST))
        return no_freezer(user, e);
    return fs_open_dir(AT_FDCWD, path.p, e);
}

int sandbox_cgroup_freeze(struct engine *en, char *name, size_t size, pid_t init, struct err *e)
{
    bool v2 = cgroup_is_v2();
    own(fd) int dir = freezer_folder(en, name, size, e);
    // Once before, so that it is short, and once after: what was forked meanwhile goes on no more.
    if (dir < 0 || gather(en, dir, name, init, e) < 0) return -1;
    if (cgroup_put(dir, v2 ? "cgroup.freeze" : "freezer.state", v2 ? "1" : "FROZEN", e) < 0)
        return -1;
    int rc = gather(en, dir, name, init, e);
    if (rc == 0 && frozen(dir, v2)) return 0;
    sandbox_cgroup_thaw(en, name);
    return rc < 0 ? -1 : err_set(e, ERR_SYSTEM, "the container could not be frozen in 2 seconds");
}

void sandbox_cgroup_thaw(struct engine *en, const char *name)
{
    struct err ignored;
    own(str) struct str path = {0};
    bool v2 = cgroup_is_v2();
    freezer_path(name, en->ids.mode != IDMAP_ROOT, &path);
    own(fd) int dir = open(path.p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0)
        cgroup_put(dir, v2 ? "cgroup.freeze" : "freezer.state", v2 ? "0" : "THAWED", &ignored);
}
