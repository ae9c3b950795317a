// SPDX-License-Identifier: Apache-2.0
// `stats`: what a container uses. The control groups of its init are taken as the kernel names them
// (not as we would name them: whoever started it may have been in another group than we are), and
// only those that dewar made for this container; a group that it shares says nothing of it.
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/own.h"
#include "container/procs.h"
#include "container/watch.h"
#include "record/record.h"
#include "record/state.h"

#define TOP "/sys/fs/cgroup"
#define CGROUP2_MAGIC 0x63677270
#define TEXT_MAX ((size_t)4 << 20)

// --- small texts of the kernel's ---------------------------------------------------------------

static bool read_text(int dir, const char *path, struct str *out)
{
    struct err ignored;
    str_clear(out);
    return fs_read_at(dir, path, TEXT_MAX, out, &ignored) == 0;
}

static bool read_number(int dir, const char *path, uint64_t *out)
{
    own(str) struct str text = {0};
    if (!read_text(dir, path, &text)) return false;
    return num_u64(sv_trim(str_sv(&text)), out);
}

// The line that begins with `name`: "name 12", "name: 12 kB".
bool container_usage_field(struct sv text, const char *name, uint64_t *out)
{
    while (text.p && text.n) {
        struct sv rest = sv_cut(&text, '\n');
        struct sv key = sv_cut(&rest, ' ');
        if (!rest.p || !(sv_eqz(key, name) || (key.n && key.p[key.n - 1] == ':' &&
                                               sv_eqz(sv_part(key, 0, key.n - 1), name))))
            continue;
        rest = sv_trim(rest);
        return num_u64(sv_cut(&rest, ' '), out);
    }
    return false;
}

static uint64_t field_of(int dir, const char *path, const char *name)
{
    uint64_t n = 0;
    own(str) struct str text = {0};
    if (read_text(dir, path, &text)) container_usage_field(str_sv(&text), name, &n);
    return n;
}

// --- control groups ----------------------------------------------------------------------------

struct groups {
    pid_t init;
    const char *name; // the container's own, "" where it has none
    bool v2;
};

// The folder of init's group with this controller, when it is the container's own; else -1.
static int open_group(const struct groups *g, const char *controller)
{
    char path[64];
    own(str) struct str text = {0};
    snprintf(path, sizeof path, "/proc/%d/cgroup", (int)g->init);
    if (!g->name[0] || !read_text(AT_FDCWD, path, &text)) return -1;
    const char *slash = strrchr(g->name, '/'), *want = slash ? slash + 1 : g->name;
    struct sv rest = str_sv(&text);
    while (rest.p && rest.n) {
        struct sv line = sv_cut(&rest, '\n');
        sv_cut(&line, ':');
        struct sv list = line.p ? sv_cut(&line, ':') : line;
        bool match = g->v2 ? list.n == 0 : false;
        while (!g->v2 && list.p && list.n) match |= sv_eqz(sv_cut(&list, ','), controller);
        if (!match || !line.p || sv_starts(line, "/..")) continue;
        if (!sv_eqz(sv_from(line, (size_t)(sv_rfind(line, '/') + 1)), want)) return -1;
        own(free) char *dir = str_fmt(TOP "%s%s%.*s", g->v2 ? "" : "/", g->v2 ? "" : controller,
                                      (int)line.n, line.p);
        struct err gone;
        return fs_open_dir(AT_FDCWD, dir, &gone);
    }
    return -1;
}

static bool group_cpu(const struct groups *g, struct container_usage *u)
{
    own(fd) int dir = open_group(g, "cpuacct");
    if (dir < 0) return false;
    if (!g->v2) return read_number(dir, "cpuacct.usage", &u->cpu_ns);
    own(str) struct str text = {0};
    uint64_t us;
    if (!read_text(dir, "cpu.stat", &text) ||
        !container_usage_field(str_sv(&text), "usage_usec", &us))
        return false;
    u->cpu_ns = us * 1000;
    return true;
}

// Page cache that can go at once is not counted, as in Docker.
static bool group_memory(const struct groups *g, struct container_usage *u)
{
    uint64_t limit;
    own(fd) int dir = open_group(g, "memory");
    if (dir < 0 ||
        !read_number(dir, g->v2 ? "memory.current" : "memory.usage_in_bytes", &u->memory))
        return false;
    uint64_t cache = field_of(dir, "memory.stat", g->v2 ? "inactive_file" : "total_inactive_file");
    if (cache < u->memory) u->memory -= cache;
    bool limited = read_number(dir, g->v2 ? "memory.max" : "memory.limit_in_bytes", &limit);
    if (limited && limit < u->memory_limit) u->memory_limit = limit;
    return true;
}

static bool group_pids(const struct groups *g, struct container_usage *u)
{
    own(fd) int dir = open_group(g, "pids");
    return dir >= 0 && read_number(dir, "pids.current", &u->pids);
}

// "8:0 Read 4096" (v1), "8:0 rbytes=4096 wbytes=0 ..." (v2).
static void add_block(struct sv line, struct container_usage *u)
{
    sv_cut(&line, ' ');
    while (line.p && line.n) {
        struct sv word = sv_cut(&line, ' ');
        uint64_t n = 0;
        bool in = sv_starts(word, "rbytes="), out = sv_starts(word, "wbytes=");
        if (in || out) {
            num_u64(sv_from(word, 7), &n);
        } else if (line.p && (sv_eqz(word, "Read") || sv_eqz(word, "Write"))) {
            in = sv_eqz(word, "Read");
            out = !in;
            num_u64(sv_trim(line), &n);
        }
        if (in) u->block_in += n;
        if (out) u->block_out += n;
    }
}

static bool group_block(const struct groups *g, struct container_usage *u)
{
    own(str) struct str text = {0};
    own(fd) int dir = open_group(g, "blkio");
    const char *file = g->v2 ? "io.stat" : "blkio.throttle.io_service_bytes";
    if (dir < 0 || !read_text(dir, file, &text)) return false;
    struct sv rest = str_sv(&text);
    while (rest.p && rest.n) add_block(sv_cut(&rest, '\n'), u);
    return true;
}

// --- processes ---------------------------------------------------------------------------------

// What is shared with others counts in parts; where the kernel does not tell that: all of it.
static uint64_t memory_of(int proc, pid_t pid)
{
    char path[64];
    own(str) struct str text = {0};
    uint64_t n = 0;
    snprintf(path, sizeof path, "%d/smaps_rollup", (int)pid);
    if (read_text(proc, path, &text) && container_usage_field(str_sv(&text), "Pss", &n))
        return n * 1024;
    snprintf(path, sizeof path, "%d/statm", (int)pid);
    if (!read_text(proc, path, &text)) return 0;
    struct sv rest = str_sv(&text);
    sv_cut(&rest, ' ');
    return num_u64(sv_cut(&rest, ' '), &n) ? n * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static void add_io(int proc, pid_t pid, struct container_usage *u)
{
    char path[64];
    snprintf(path, sizeof path, "%d/io", (int)pid);
    u->block_in += field_of(proc, path, "read_bytes");
    u->block_out += field_of(proc, path, "write_bytes");
}

// For what no group of its own tells.
struct wanted {
    bool cpu, memory, pids, block;
};

static int add_procs(const struct container_procs *procs, const struct wanted *w,
                     struct container_usage *u, struct err *e)
{
    own(fd) int proc = fs_open_dir(AT_FDCWD, "/proc", e);
    uint64_t tick = 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK);
    if (proc < 0) return -1;
    vec_each (p, procs) {
        if (w->cpu) u->cpu_ns += p->ticks * tick;
        if (w->memory) u->memory += memory_of(proc, p->pid);
        if (w->pids) u->pids += p->threads;
        if (w->block) add_io(proc, p->pid, u);
    }
    return 0;
}

// --- network -----------------------------------------------------------------------------------

void container_usage_net(struct sv text, uint64_t *out_in, uint64_t *out_out)
{
    *out_in = *out_out = 0;
    while (text.p && text.n) {
        struct sv rest = sv_trim(sv_cut(&text, '\n'));
        struct sv device = sv_cut(&rest, ':');
        if (!rest.p || sv_eqz(device, "lo")) continue;
        for (int column = 0; rest.n && column <= 8; column++) {
            uint64_t n;
            rest = sv_trim(rest);
            struct sv word = sv_cut(&rest, ' ');
            if (!rest.p) rest = (struct sv){"", 0};
            if (!num_u64(word, &n)) break;
            if (column == 0) *out_in += n;
            if (column == 8) *out_out += n;
        }
    }
}

static void count_network(pid_t init, struct container_usage *u)
{
    char path[64];
    struct stat ours, theirs;
    own(str) struct str text = {0};
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)init);
    if (fstatat(AT_FDCWD, "/proc/self/ns/net", &ours, 0) != 0 ||
        fstatat(AT_FDCWD, path, &theirs, 0) != 0 || ours.st_ino == theirs.st_ino)
        return;
    snprintf(path, sizeof path, "/proc/%d/net/dev", (int)init);
    if (read_text(AT_FDCWD, path, &text))
        container_usage_net(str_sv(&text), &u->net_in, &u->net_out);
}

// --- the verb ----------------------------------------------------------------------------------

static uint64_t machine_memory(void)
{
    struct sysinfo si = {0};
    sysinfo(&si);
    return (uint64_t)si.totalram * si.mem_unit;
}

static int measure(const struct record_config *c, const struct record_state *s,
                   struct container_usage *u, struct err *e)
{
    struct statfs fs;
    bool v2 = statfs(TOP, &fs) == 0 && fs.f_type == CGROUP2_MAGIC;
    const struct groups g = {s->pid, s->cgroup, v2};
    own(container_procs) struct container_procs procs = {0};
    if (container_procs_find(c, s, &procs, e) < 0) return -1;
    u->at_ns = clock_mono_ns();
    u->memory_limit = machine_memory();
    const struct wanted w = {!group_cpu(&g, u), !group_memory(&g, u), !group_pids(&g, u),
                             !group_block(&g, u)};
    if (add_procs(&procs, &w, u, e) < 0) return -1;
    count_network(s->pid, u);
    // A number that became somebody else's meanwhile told of somebody else.
    own(fd) int init = record_state_open_init(s, e);
    return init < 0 ? -1 : 0;
}

int container_usage(struct engine *en, const char *id, struct container_usage *out, struct err *e)
{
    struct record_state s;
    own(record_config) struct record_config c = {0};
    struct err ended = {0};
    *out = (struct container_usage){0};
    if (record_state_load(en, id, &s, e) < 0 || record_config_load(en, id, &c, e) < 0) return -1;
    if (s.status != RECORD_RUNNING && s.status != RECORD_PAUSED) return 0;
    struct container_usage u = {.running = true};
    if (measure(&c, &s, &u, &ended) == 0)
        *out = u;
    else if (ended.kind != ERR_CONFLICT)
        *e = ended;
    return ended.kind == ERR_NONE || ended.kind == ERR_CONFLICT ? 0 : -1;
}

double container_usage_cpu(const struct container_usage *before, const struct container_usage *now)
{
    if (!before->running || !now->running || now->at_ns <= before->at_ns ||
        now->cpu_ns <= before->cpu_ns)
        return 0;
    return (double)(now->cpu_ns - before->cpu_ns) * 100 / (double)(now->at_ns - before->at_ns);
}
