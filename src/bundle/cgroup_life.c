// SPDX-License-Identifier: Apache-2.0
// Control groups of OCI containers that are there: who is in them, what they use, standing still,
// signals, their end.
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/num.h"
#include "base/own.h"
#include "bundle/internal.h"

#define PIDS_DEPTH 16

// --- their end ---------------------------------------------------------------------------------

void bundle_cgroup_remove(const struct strv *groups)
{
    for (size_t i = 0; i < groups->n; i++) sandbox_cgroup_remove_folder(groups->p[i]);
}

bool bundle_cgroup_frozen(const struct strv *groups)
{
    own(str) struct str text = {0};
    const char *g = bundle_cgroup_of(groups, "freezer");
    if (!g) return false;
    if (!bundle_cgroup_v2())
        return bundle_cgroup_get(g, "freezer.state", &text) == 0 &&
               !sv_starts(str_sv(&text), "THAWED");
    return bundle_cgroup_get(g, "cgroup.freeze", &text) == 0 && sv_starts(str_sv(&text), "1");
}

static bool settled(const char *g, bool frozen)
{
    own(str) struct str text = {0};
    if (bundle_cgroup_v2())
        return bundle_cgroup_get(g, "cgroup.events", &text) == 0 &&
               strstr(str_z(&text), frozen ? "frozen 1" : "frozen 0") != NULL;
    return bundle_cgroup_get(g, "freezer.state", &text) == 0 &&
           sv_starts(str_sv(&text), frozen ? "FROZEN" : "THAWED");
}

int bundle_cgroup_freeze(const struct strv *groups, bool frozen, struct err *e)
{
    const char *g = bundle_cgroup_of(groups, "freezer");
    if (!g) return bundle_cgroup_absent("pause", "freezer", e);
    bool v2 = bundle_cgroup_v2();
    const char *file = v2 ? "cgroup.freeze" : "freezer.state";
    struct sv value = v2 ? frozen ? SV("1") : SV("0") : frozen ? SV("FROZEN") : SV("THAWED");
    for (int i = 0; i < 1000; i++) {
        if (bundle_cgroup_put(g, file, value, e) < 0) return -1;
        if (settled(g, frozen)) return 0;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return err_set(e, ERR_SYSTEM, "the container's processes did not freeze within a second");
}

// Those of the groups below as well: a container may have made some of its own.
static void add_pids(const char *group, int levels, struct codec_json *out)
{
    struct err ignored;
    own(str) struct str text = {0};
    own(strv) struct strv names = {0};
    if (bundle_cgroup_get(group, "cgroup.procs", &text) < 0) return;
    for (struct sv rest = str_sv(&text); rest.p;) {
        uint64_t pid;
        if (num_u64_max(sv_cut(&rest, '\n'), INT32_MAX, &pid) && pid)
            codec_json_add(out, codec_json_new_int((int64_t)pid));
    }
    if (!levels || fs_list(AT_FDCWD, group, &names, &ignored) < 0) return;
    for (size_t i = 0; i < names.n; i++) {
        own(free) char *sub = str_fmt("%s/%s", group, names.p[i]);
        struct stat st;
        if (fstatat(AT_FDCWD, sub, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
            add_pids(sub, levels - 1, out);
    }
}

int bundle_cgroup_pids(const struct strv *groups, struct codec_json *out, struct err *e)
{
    if (!groups->n) return err_set(e, ERR_UNSUPPORTED, "the container has no control group");
    add_pids(groups->p[0], PIDS_DEPTH, out);
    return 0;
}

// --- exec --cgroup -----------------------------------------------------------------------------

// The path that one of them says for a group with these controllers; p NULL: nothing.
static struct sv below_of(struct sv one, struct sv controllers)
{
    struct sv path = one, list = sv_cut(&path, ':');
    if (!path.p) return list;
    while (list.p && list.n) {
        own(free) char *name = sv_dup(sv_cut(&list, ','));
        if (bundle_cgroup_lists(controllers, name)) return path;
    }
    return (struct sv){NULL, 0};
}

int bundle_cgroup_below(const struct strv *groups, const struct strv *wanted, struct strv *out,
                        struct err *e)
{
    size_t used = 0;
    for (size_t i = 0; i < groups->n; i++) {
        own(str) struct str path = {0}, clean = {0};
        for (size_t k = 0; k < wanted->n; k++) {
            struct sv sub = below_of(sv_of(wanted->p[k]), bundle_cgroup_controllers(groups->p[i]));
            if (!sub.p) continue;
            str_clear(&path);
            str_addf(&path, "/%.*s", (int)sub.n, sub.p);
            used++;
        }
        fs_clean(path.n ? str_sv(&path) : SV("/"), &clean);
        bool top = strcmp(str_z(&clean), "/") == 0;
        strv_take(out, str_fmt("%s%s", groups->p[i], top ? "" : clean.p));
    }
    if (used >= wanted->n) return 0;
    return err_set(e, ERR_INPUT, "--cgroup: the container has no group of that controller");
}

// --- signals, figures --------------------------------------------------------------------------

// Frozen while it goes on, so that nothing forks away from under the list.
int bundle_cgroup_signal(const struct strv *groups, int sig, struct err *e)
{
    struct err ignored;
    own(codec_json) struct codec_json *pids = codec_json_new_array();
    bool froze = !bundle_cgroup_frozen(groups) && bundle_cgroup_freeze(groups, true, &ignored) == 0;
    int rc = bundle_cgroup_pids(groups, pids, e);
    for (size_t i = 0; i < codec_json_len(pids); i++)
        kill((pid_t)codec_json_int(codec_json_at(pids, i)), sig);
    if (froze || sig == SIGKILL) bundle_cgroup_freeze(groups, false, &ignored);
    return rc;
}

static void add_number(struct codec_json *to, const char *key, const struct strv *groups,
                       const char *controller, const char *v1, const char *v2)
{
    own(str) struct str text = {0};
    const char *g = bundle_cgroup_of(groups, controller);
    uint64_t v;
    if (!g || bundle_cgroup_get(g, bundle_cgroup_v2() ? v2 : v1, &text) < 0) return;
    if (num_u64_max(sv_trim(str_sv(&text)), INT64_MAX, &v))
        codec_json_set(to, key, codec_json_new_int((int64_t)v));
}

// v2 tells microseconds, the answer has nanoseconds.
static void add_cpu_stat(struct codec_json *usage, const struct strv *groups)
{
    static const char *const rows[][2] = {
        {"usage_usec", "total"}, {"user_usec", "user"}, {"system_usec", "kernel"}};
    own(str) struct str text = {0};
    const char *g = bundle_cgroup_of(groups, "cpu");
    if (!g || bundle_cgroup_get(g, "cpu.stat", &text) < 0) return;
    for (struct sv rest = str_sv(&text); rest.p;) {
        uint64_t v;
        struct sv value = sv_cut(&rest, '\n'), key = sv_cut(&value, ' ');
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            if (sv_eqz(key, rows[i][0]) && num_u64_max(value, INT64_MAX / 1000, &v))
                codec_json_set(usage, rows[i][1], codec_json_new_int((int64_t)v * 1000));
    }
}

struct codec_json *bundle_cgroup_stats(const struct strv *groups)
{
    struct codec_json *data = codec_json_new_object(), *cpu = codec_json_new_object(),
                      *usage = codec_json_new_object(), *memory = codec_json_new_object(),
                      *m = codec_json_new_object(), *pids = codec_json_new_object();
    add_number(usage, "total", groups, "cpuacct", "cpuacct.usage", "");
    if (bundle_cgroup_v2()) add_cpu_stat(usage, groups);
    codec_json_set(cpu, "usage", usage);
    codec_json_set(data, "cpu", cpu);
    add_number(m, "usage", groups, "memory", "memory.usage_in_bytes", "memory.current");
    add_number(m, "max", groups, "memory", "memory.max_usage_in_bytes", "memory.peak");
    add_number(m, "limit", groups, "memory", "memory.limit_in_bytes", "memory.max");
    codec_json_set(memory, "usage", m);
    codec_json_set(data, "memory", memory);
    add_number(pids, "current", groups, "pids", "pids.current", "pids.current");
    add_number(pids, "limit", groups, "pids", "pids.max", "pids.max");
    codec_json_set(data, "pids", pids);
    return data;
}
