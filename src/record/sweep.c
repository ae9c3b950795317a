// SPDX-License-Identifier: Apache-2.0
// What was killed: containers whose monitor is gone without having settled anything. Whoever uses
// containers looks for them first.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "record/events.h"
#include "record/record.h"
#include "record/state.h"
#include "sandbox/cgroup.h"
#include "sandbox/parse.h"

#define RECORD_MAX ((size_t)4 << 20)

// Reads what a dead container's record says about its end. -1: what belongs to it cannot be told.
static int load_dead(int fd, struct record *r, struct record_brief *brief)
{
    struct err ignored;
    own(str) struct str text = {0};
    if (record_volumes(fd, &r->volumes, &ignored) < 0) return -1;
    bool removing = fs_exists(fd, RECORD_MARK_REMOVING);
    if (fs_read_at(fd, "config.json", RECORD_CONFIG_MAX, &text, &ignored) < 0) {
        r->rm =
            removing || ignored.sys == ENOENT; // a folder without a record never was a container
        return 0;
    }
    r->rm = removing || text.n == 0; // killed between making and writing it: only --rm does that
    struct sv rest = str_sv(&text), line = sv_cut(&rest, '\n');
    // A damaged record is no reason to delete anything.
    if (text.n == 0 || record_brief_parse(line, "a container's record", brief, &ignored) < 0)
        return 0;
    r->rm = removing || brief->rm;
    snprintf(r->name, sizeof r->name, "%s", brief->name);
    r->named = brief->name[0] && sandbox_parse_name_ok(brief->name);
    return 0;
}

// The program dies with its monitor, except one that is setuid: executing such a file makes the
// kernel forget the death signal. Its number is trusted only with its start time.
static void kill_orphan(const struct record_state *s)
{
    struct err ignored;
    own(fd) int process = record_state_open_init(s, &ignored);
    if (process < 0) return;
    syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0);
    struct pollfd p = {.fd = process, .events = POLLIN};
    poll(&p, 1, 1000); // its files are free when it is gone
}

// Its last state, unless the monitor came as far as writing that itself.
static void note_end(struct engine *en, const struct record *r, struct record_state *live)
{
    struct record_state s;
    struct err ignored;
    if (r->fd < 0 || r->rm) return;
    if (live->started) {
        record_state_settle(en, r->id, &s);
        if (s.status == RECORD_EXITED && s.started == live->started && s.error[0] == '\0') return;
        s = *live;
        s.status = RECORD_RUNNING;
        record_settle(r, &s, &ignored);
    }
    record_state_settle(en, r->id, &s);
    if (s.status == RECORD_EXITED && s.error[0]) record_settle(r, &s, &ignored);
}

// The lock is gone: whoever made this container is dead.
static void sweep_dead(struct engine *en, const char *id, int run_fd, struct record_state *live)
{
    own(free) char *path = str_fmt("containers/%s", id);
    struct record r = RECORD_NONE;
    struct record_brief brief = {0};
    bool readable = true;
    snprintf(r.id, sizeof r.id, "%s", id);
    r.running = true;
    r.fd = openat(en->store_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (r.fd >= 0) {
        if (flock(r.fd, LOCK_EX | LOCK_NB) != 0) {
            record_close(&r);
            return;
        }
        readable = load_dead(r.fd, &r, &brief) == 0;
    }
    own(free) char *group = str_fmt("dewar-%.32s", id);
    const char *known = live->cgroup[0] ? live->cgroup : group;
    if (live->status == RECORD_PAUSED) sandbox_cgroup_thaw(en, known); // nobody dies frozen
    kill_orphan(live);
    if (live->started && live->cgroup[0])
        sandbox_cgroup_sweep(known);
    else
        sandbox_cgroup_remove(group, NULL);
    if (!readable) { // the next command tries again
        record_close(&r);
        return;
    }
    note_end(en, &r, live);
    if (live->started && brief.id[0])
        record_event_brief(en, &brief, "die", (const char *const[]){"exitCode", "137", NULL});
    r.run_fd = run_fd;
    if (r.rm && brief.id[0]) record_event_brief(en, &brief, "destroy", NULL);
    record_end(en, &r, false);
    r.run_fd = -1;
    if (r.rm) record_purge(en, &r);
    record_brief_fini(&brief);
    record_close(&r);
}

static int open_dead(struct engine *en, const char *id)
{
    char path[16 + RECORD_ID];
    struct stat mine, there;
    if (!record_is_id(id)) return -1;
    snprintf(path, sizeof path, "containers/%s", id);
    own(fd) int fd = openat(en->run_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) return -1;
    if (fstat(fd, &mine) != 0 || fstatat(en->run_fd, path, &there, AT_SYMLINK_NOFOLLOW) != 0 ||
        mine.st_ino != there.st_ino)
        return -1;
    return take_fd(fd);
}

void record_await_dead(struct engine *en, const char *id)
{
    char path[16 + RECORD_ID];
    snprintf(path, sizeof path, "containers/%s", id);
    for (int i = 0; i < 100; i++) {
        own(fd) int fd = openat(en->run_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0) return;
        nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    }
}

static void sweep_run(struct engine *en, const char *id)
{
    struct err ignored;
    struct record_state live = {0};
    own(str) struct str text = {0};
    own(fd) int fd = open_dead(en, id);
    if (fd < 0) return;
    if (fs_read_at(fd, "state", RECORD_MAX, &text, &ignored) == 0)
        if (record_state_parse(str_sv(&text), "state", &live, &ignored) < 0)
            live = (struct record_state){0};
    sweep_dead(en, id, fd, &live);
}

static void sweep_store(struct engine *en, const char *id)
{
    struct record_state none = {0};
    if (record_is_id(id)) sweep_dead(en, id, -1, &none);
}

static void sweep_list(struct engine *en, int dirfd, void (*one)(struct engine *, const char *))
{
    struct err ignored;
    own(strv) struct strv ids = {0};
    if (fs_list(dirfd, "containers", &ids, &ignored) < 0) return;
    for (size_t i = 0; i < ids.n; i++) one(en, ids.p[i]);
}

static bool any_dead(struct engine *en)
{
    struct err ignored;
    own(strv) struct strv ids = {0};
    if (fs_list(en->run_fd, "containers", &ids, &ignored) < 0) return false;
    for (size_t i = 0; i < ids.n; i++) {
        own(fd) int fd = open_dead(en, ids.p[i]);
        if (fd >= 0) return true;
    }
    return false;
}

struct sweeper {
    struct engine *en;
    bool new_boot;
};

static int sweep_work(void *arg, struct err *e)
{
    struct sweeper *s = arg;
    if (engine_enter(s->en, e) < 0) return -1;
    sweep_list(s->en, s->en->run_fd, sweep_run);
    if (s->new_boot) sweep_list(s->en, s->en->store_fd, sweep_store);
    return 0;
}

// What ran has a folder in the run folder, so that is all that is looked at, except once a boot,
// when the run folder may be new and everything in the store is dead. The work is a child's: it
// enters the user namespace, which its caller may not want.
int record_sweep(struct engine *en, struct err *e)
{
    char boot[37], seen[37] = "";
    if (clock_boot_id(boot, e) < 0) return -1;
    ssize_t n = readlinkat(en->run_fd, "boot", seen, sizeof seen - 1);
    seen[n > 0 ? n : 0] = '\0';
    struct sweeper s = {en, strcmp(boot, seen) != 0};
    if (!s.new_boot && !any_dead(en)) return 0;
    struct proc_worker w;
    if (proc_worker_start(sweep_work, &s, &w, e) < 0 || proc_worker_wait(&w, e) < 0) return -1;
    if (!s.new_boot) return 0;
    if (fs_mkdirs(en->run_fd, "containers", 0700, e) < 0) return -1;
    unlinkat(en->run_fd, "boot", 0);
    if (symlinkat(boot, en->run_fd, "boot") != 0 && errno != EEXIST)
        return err_sys(e, "note the boot in the run folder");
    return 0;
}
