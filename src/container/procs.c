// SPDX-License-Identifier: Apache-2.0
#include "container/procs.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/num.h"
#include "base/own.h"
#include "record/record.h"
#include "record/state.h"

struct home {
    ino_t mounts, pids; // pids 0: shared with others
};

// "1 (a name) S 0 1 1 ...": the name may hold anything, blanks and brackets too.
bool container_proc_parse(struct sv stat, struct container_proc *out)
{
    enum { PARENT = 4, USER = 14, CHILD_SYSTEM = 17, THREADS = 20 };
    long end = sv_rfind(stat, ')');
    struct sv rest = sv_from(stat, end < 0 ? stat.n : (size_t)end + 2);
    *out = (struct container_proc){0};
    for (int field = 3; rest.p && field <= THREADS; field++) {
        struct sv word = sv_cut(&rest, ' ');
        uint64_t n;
        bool wanted = field == PARENT || field == THREADS ||
                      (field >= USER && field <= CHILD_SYSTEM);
        if (!wanted) continue;
        if (!num_u64(word, &n)) return false;
        if (field == PARENT)
            out->parent = (pid_t)n;
        else if (field == THREADS)
            out->threads = n;
        else
            out->ticks += n;
    }
    return out->threads > 0;
}

static bool read_proc(int proc, const char *name, struct container_proc *out)
{
    char path[64], buf[1024];
    snprintf(path, sizeof path, "%.20s/stat", name);
    own(fd) int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof buf);
    uint64_t pid;
    if (n <= 0 || !num_u64_max(sv_of(name), INT32_MAX, &pid) ||
        !container_proc_parse(sv_trim((struct sv){buf, (size_t)n}), out))
        return false;
    out->pid = (pid_t)pid;
    return true;
}

static ino_t namespace_of(int proc, const char *name, const char *kind)
{
    char path[64];
    struct stat st;
    snprintf(path, sizeof path, "%.20s/ns/%s", name, kind);
    return fstatat(proc, path, &st, 0) == 0 ? st.st_ino : 0;
}

static int by_pid(const void *a, const void *b)
{
    const struct container_proc *x = a, *y = b;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

static struct container_proc *lookup(const struct container_procs *v, pid_t pid)
{
    const struct container_proc want = {.pid = pid};
    return v->n ? bsearch(&want, v->p, v->n, sizeof *v->p, by_pid) : NULL;
}

bool container_procs_has(const struct container_procs *v, pid_t pid)
{
    return lookup(v, pid) != NULL;
}

// Who made namespaces of its own inside is still a child of somebody who did not.
static void add_descendants(struct container_procs *v)
{
    for (bool more = true; more;) {
        more = false;
        vec_each (p, v) {
            const struct container_proc *parent = p->member ? NULL : lookup(v, p->parent);
            if (!parent || !parent->member) continue;
            p->member = more = true;
        }
    }
}

static int look(int proc, const struct home *home, pid_t init, struct container_procs *out,
                struct err *e)
{
    own(strv) struct strv names = {0};
    if (fs_list(proc, ".", &names, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++) {
        struct container_proc p;
        const char *name = names.p[i];
        if (name[0] < '1' || name[0] > '9' || !read_proc(proc, name, &p)) continue;
        p.member = p.pid == init || namespace_of(proc, name, "mnt") == home->mounts ||
                   (home->pids && namespace_of(proc, name, "pid") == home->pids);
        vec_push(out, p);
    }
    if (out->n) qsort(out->p, out->n, sizeof *out->p, by_pid);
    add_descendants(out);
    size_t kept = 0;
    for (size_t i = 0; i < out->n; i++)
        if (out->p[i].member) out->p[kept++] = out->p[i];
    out->n = kept;
    return 0;
}

int container_procs_find(const struct record_config *c, const struct record_state *s,
                         struct container_procs *out, struct err *e)
{
    char name[16];
    struct home home = {0};
    bool own_pids = !c->pid_mode || !c->pid_mode[0] || strcmp(c->pid_mode, "private") == 0;
    own(fd) int init = record_state_open_init(s, e);
    own(fd) int proc = init < 0 ? -1 : fs_open_dir(AT_FDCWD, "/proc", e);
    if (proc < 0) return -1;
    snprintf(name, sizeof name, "%d", (int)s->pid);
    home.mounts = namespace_of(proc, name, "mnt");
    if (own_pids) home.pids = namespace_of(proc, name, "pid");
    if (!home.mounts) return err_sys(e, "look at the container's namespaces");
    if (look(proc, &home, s->pid, out, e) < 0) return -1;
    // The number was its own all the time.
    struct pollfd p = {.fd = init, .events = POLLIN};
    if (poll(&p, 1, 0) == 0) return 0;
    out->n = 0;
    return err_set(e, ERR_CONFLICT, "its process is gone");
}
