// SPDX-License-Identifier: Apache-2.0
// Ids and user namespaces. newuidmap and newgidmap are the only privileged programs that we run:
// by absolute path, with an empty environment, both at once (each costs an exec).
#include "base/idmap.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/num.h"
#include "base/own.h"
#include "base/proc.h"
#include "base/str.h"

#define SUBID_FILE_MAX ((size_t)4 << 20)
#define NEWUIDMAP "/usr/bin/newuidmap"
#define NEWGIDMAP "/usr/bin/newgidmap"

const char *idmap_mode_name(enum idmap_mode mode)
{
    static const char *const names[IDMAP_MODE_COUNT] = {
        [IDMAP_ROOT] = "root", [IDMAP_RANGE] = "range", [IDMAP_SINGLE] = "single"};
    return (unsigned)mode < IDMAP_MODE_COUNT ? names[mode] : "?";
}

bool idmap_login_name(uid_t uid, char *out, size_t size)
{
    struct err e;
    own(str) struct str text = {0};
    if (fs_read_at(AT_FDCWD, "/etc/passwd", SUBID_FILE_MAX, &text, &e) == 0) {
        struct sv rest = str_sv(&text);
        while (rest.p) {
            struct sv line = sv_cut(&rest, '\n'), name = sv_cut(&line, ':');
            if (!line.p) continue;
            sv_cut(&line, ':');
            uint64_t id;
            if (line.p && num_u64(sv_cut(&line, ':'), &id) && id == uid && name.n < size) {
                memcpy(out, name.p, name.n);
                out[name.n] = '\0';
                return true;
            }
        }
    }
    const char *z = getenv("USER");
    if (!z || strlen(z) >= size) return false;
    memcpy(out, z, strlen(z) + 1);
    return true;
}

// Adds the ranges of `name` (or the number `id`) in a subuid file behind the caller's own id.
static void read_side(const char *file, const char *name, uint32_t id, struct idmap_side *out)
{
    struct err e;
    own(str) struct str text = {0};
    uint32_t next = 1;
    out->range[0] = (struct idmap_range){0, id, 1};
    out->n = 1;
    if (fs_read_at(AT_FDCWD, file, SUBID_FILE_MAX, &text, &e) < 0) return;
    char number[16];
    snprintf(number, sizeof number, "%u", id);
    struct sv rest = str_sv(&text);
    while (rest.p && out->n < IDMAP_RANGES) {
        struct sv line = sv_cut(&rest, '\n'), who = sv_cut(&line, ':');
        uint64_t start, count;
        if (!line.p || (!sv_eqz(who, name) && !sv_eqz(who, number))) continue;
        struct sv first = sv_cut(&line, ':');
        if (!line.p || !num_u64_max(first, UINT32_MAX, &start) ||
            !num_u64_max(sv_trim(line), UINT32_MAX - next, &count) || count == 0)
            continue;
        out->range[out->n++] = (struct idmap_range){next, (uint32_t)start, (uint32_t)count};
        next += (uint32_t)count;
    }
}

int idmap_plan(struct idmap *out, struct err *e)
{
    (void)e;
    *out = (struct idmap){0};
    if (geteuid() == 0) {
        struct idmap_range all = {0, 0, UINT32_MAX};
        out->mode = IDMAP_ROOT;
        out->inside = true;
        out->uid = out->gid = (struct idmap_side){{all}, 1};
        return 0;
    }
    char name[256] = "";
    idmap_login_name(getuid(), name, sizeof name);
    read_side("/etc/subuid", name, getuid(), &out->uid);
    read_side("/etc/subgid", name, getuid(), &out->gid);
    out->gid.range[0].outside = getgid();
    out->mode = out->uid.n > 1 && out->gid.n > 1 ? IDMAP_RANGE : IDMAP_SINGLE;
    return 0;
}

bool idmap_find(const struct idmap_side *s, uint32_t inside, uint32_t *out)
{
    for (unsigned i = 0; i < s->n; i++) {
        const struct idmap_range *r = &s->range[i];
        if (inside < r->inside || inside - r->inside >= r->count) continue;
        *out = r->outside + (inside - r->inside);
        return true;
    }
    return false;
}

bool idmap_has(const struct idmap_side *s, uint32_t inside)
{
    uint32_t outside;
    return idmap_find(s, inside, &outside);
}

void idmap_add(struct idmap_side *s, uint32_t inside, uint32_t outside, uint32_t count)
{
    if (count) s->range[s->n++] = (struct idmap_range){inside, outside, count};
}

void idmap_add_below(struct idmap_side *s, const struct idmap_side *above, uint32_t inside,
                     uint32_t outside, uint32_t count)
{
    for (unsigned i = 0; i < above->n; i++) {
        const struct idmap_range *r = &above->range[i];
        uint64_t from = r->inside > outside ? r->inside : outside;
        uint64_t end = (uint64_t)r->inside + r->count, mine = (uint64_t)outside + count;
        if (end > mine) end = mine;
        if (from < end)
            idmap_add(s, inside + (uint32_t)(from - outside), (uint32_t)from,
                      (uint32_t)(end - from));
    }
}

void idmap_form(const struct idmap *m, char out[32])
{
    if (m->mode != IDMAP_RANGE) {
        snprintf(out, 32, "%s", idmap_mode_name(m->mode));
        return;
    }
    uint64_t h = 0xcbf29ce484222325u;  // FNV-1a
    const struct idmap_side *sides[] = {&m->uid, &m->gid};
    for (int s = 0; s < 2; s++)
        for (unsigned i = 0; i < sides[s]->n; i++) {
            const struct idmap_range *r = &sides[s]->range[i];
            uint32_t words[] = {(uint32_t)s, r->inside, r->outside, r->count};
            for (int w = 0; w < 4; w++)
                for (int b = 0; b < 32; b += 8)
                    h = (h ^ ((words[w] >> b) & 0xff)) * 0x100000001b3u;
        }
    snprintf(out, 32, "map-%016llx", (unsigned long long)h);
}

// argv of newuidmap: program, pid, then three numbers a range.
static int map_command(const char *program, pid_t pid, const struct idmap_side *s,
                       struct proc *out, struct err *e)
{
    static const char *const no_env[] = {NULL};
    char text[2 + 3 * IDMAP_RANGES][16];
    const char *argv[3 + 3 * IDMAP_RANGES];
    unsigned n = 0;
    argv[n++] = program;
    snprintf(text[0], sizeof text[0], "%d", (int)pid);
    argv[n++] = text[0];
    for (unsigned i = 0; i < s->n; i++) {
        uint32_t v[] = {s->range[i].inside, s->range[i].outside, s->range[i].count};
        for (int k = 0; k < 3; k++, n++) {
            snprintf(text[n - 1], sizeof text[0], "%u", v[k]);
            argv[n] = text[n - 1];
        }
    }
    argv[n] = NULL;
    struct proc_spec spec = {.argv = argv, .env = no_env, .stdin_fd = PROC_NULL};
    return proc_start(&spec, out, e);
}

// Writes both maps of process `pid`, at the same time.
static int write_maps(pid_t pid, const struct idmap *m, struct err *e)
{
    struct proc u = PROC_NONE, g = PROC_NONE;
    int su = 0, sg = 0;
    if (map_command(NEWUIDMAP, pid, &m->uid, &u, e) < 0 ||
        map_command(NEWGIDMAP, pid, &m->gid, &g, e) < 0) {
        struct err ignored;
        if (u.fd >= 0) proc_wait(&u, &su, &ignored);
        return err_hint(e, "install the package 'uidmap' (newuidmap, newgidmap)");
    }
    if (proc_wait(&u, &su, e) < 0 || proc_wait(&g, &sg, e) < 0) return -1;
    if (su == 0 && sg == 0) return 0;
    err_set(e, ERR_UNSUPPORTED, "%s refused the id ranges of this user",
            su ? "newuidmap" : "newgidmap");
    return err_hint(e, "check /etc/subuid and /etc/subgid; 'dewar doctor' explains");
}

static int no_userns(int code, struct err *e)
{
    err_sys_code(e, code, "make a user namespace");
    return err_hint(e, "user namespaces seem to be switched off; 'dewar doctor' names the switch");
}

struct mapper {
    pid_t target;
    const struct idmap *map;
    int go_fd;
};

static int mapper_run(void *arg, struct err *e)
{
    struct mapper *m = arg;
    char c;
    if (read(m->go_fd, &c, 1) != 1) return err_set(e, ERR_UNSUPPORTED, "no namespace to map");
    return write_maps(m->target, m->map, e);
}

// The order: a worker that stays outside, then unshare, then the worker maps us from outside.
static int enter_mapped(struct idmap *m, struct err *e)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    own(fd) int rd = ends[0];
    own(fd) int wr = ends[1];
    struct mapper arg = {getpid(), m, rd};
    struct proc_worker w;
    if (proc_worker_start(mapper_run, &arg, &w, e) < 0) return -1;
    int failed = unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 ? errno : 0;
    if (!failed && write(wr, "x", 1) != 1) failed = errno;
    close(take_fd(wr));
    close(take_fd(rd));
    if (failed) {
        struct err ignored;
        proc_kill(&w.proc, SIGKILL);
        proc_worker_wait(&w, &ignored);
        return no_userns(failed, e);
    }
    return proc_worker_wait(&w, e);
}

static int become_root(struct idmap *m, struct err *e)
{
    if (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0)
        return err_sys(e, "become id 0 of the user namespace");
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
        return err_sys(e, "make mounts private");
    m->inside = true;
    return 0;
}

int idmap_enter_in(struct idmap *m, int userns_fd, struct err *e)
{
    if (m->inside) return 0;
    prctl(PR_SET_DUMPABLE, 1);
    if (setns(userns_fd, CLONE_NEWUSER) != 0) return err_sys(e, "enter a user namespace");
    if (unshare(CLONE_NEWNS) != 0) return err_sys(e, "make a mount namespace");
    return become_root(m, e);
}

int idmap_enter(struct idmap *m, struct err *e)
{
    if (m->inside) return 0;
    if (m->mode == IDMAP_SINGLE) {
        err_set(e, ERR_UNSUPPORTED, "this user has no id ranges in /etc/subuid and /etc/subgid");
        return err_hint(e, "ask the administrator for: usermod --add-subuids 100000-165535 "
                           "--add-subgids 100000-165535 <user>");
    }
    // A process whose executable it cannot read is not dumpable, and its /proc files belong to
    // root: newuidmap would refuse. We are readable, so only make sure.
    prctl(PR_SET_DUMPABLE, 1);
    return enter_mapped(m, e) < 0 ? -1 : become_root(m, e);
}

static int write_map_file(pid_t pid, const char *file, const struct idmap_side *s, struct err *e)
{
    char path[64];
    own(str) struct str text = {0};
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    for (unsigned i = 0; i < s->n; i++)
        str_addf(&text, "%u %u %u\n", s->range[i].inside, s->range[i].outside, s->range[i].count);
    own(fd) int fd = fs_open(path, O_WRONLY, 0, e);
    if (fd < 0) return -1;
    if (fs_write_all(fd, text.p, text.n, e) < 0) return err_wrap(e, "writing '%s'", path);
    return 0;
}

int idmap_write(pid_t child, const struct idmap_side *uid, const struct idmap_side *gid,
                struct err *e)
{
    if (write_map_file(child, "uid_map", uid, e) < 0) return -1;
    return write_map_file(child, "gid_map", gid, e);
}

int idmap_userns_open(const struct idmap_side *uid, const struct idmap_side *gid, int *out_fd,
                      struct err *e)
{
    struct proc p = PROC_NONE;
    pid_t me = getpid();
    p.pid = proc_fork(CLONE_NEWUSER, &p.fd);
    if (p.pid < 0) return no_userns(errno, e);
    if (p.pid == 0) {
        proc_die_with_parent(me);
        for (;;) pause();
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/user", (int)p.pid);
    int rc = idmap_write(p.pid, uid, gid, e);
    int fd = rc == 0 ? fs_open(path, O_RDONLY, 0, e) : -1;
    struct err ignored;
    int status;
    proc_kill(&p, SIGKILL);
    proc_wait(&p, &status, &ignored);
    if (fd < 0) return -1;
    *out_fd = fd;
    return 0;
}
