// SPDX-License-Identifier: Apache-2.0
#include "record/record.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "codec/json.h"
#include "record/events.h"
#include "record/state.h"
#include "record/uses.h"
#include "sandbox/cgroup.h"
#include "sandbox/parse.h"

#define STUBS "stubs"
#define RECORD_MAX ((size_t)4 << 20)

int record_new_id(char out[RECORD_ID], struct err *e)
{
    unsigned char raw[32];
    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw) return err_sys(e, "get random bytes");
    for (size_t i = 0; i < sizeof raw; i++) snprintf(out + 2 * i, 3, "%02x", raw[i]);
    return 0;
}

// A folder run/containers/<id>, locked: 0; 1: somebody else has it. A sweep may meet a new one
// before the lock and take it for one of the dead, so what was locked must still be there.
static int claim_run(struct engine *en, struct record *r, struct err *e)
{
    char path[16 + RECORD_ID];
    struct stat mine, there;
    snprintf(path, sizeof path, "containers/%s", r->id);
    int rc = mkdirat(en->run_fd, path, 0700);
    if (rc != 0 && errno == ENOENT) {
        if (fs_mkdirs(en->run_fd, "containers", 0700, e) < 0) return -1;
        rc = mkdirat(en->run_fd, path, 0700);
    }
    if (rc != 0 && errno == EEXIST) return 1;
    if (rc != 0) return err_sys(e, "make '%s' in the run folder", path);
    own(fd) int fd = openat(en->run_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0 || fstat(fd, &mine) != 0 ||
        fstatat(en->run_fd, path, &there, AT_SYMLINK_NOFOLLOW) != 0 || mine.st_ino != there.st_ino)
        return 1;
    r->run_fd = take_fd(fd);
    r->running = true;
    return 0;
}

int record_make(struct engine *en, struct record *r, struct err *e)
{
    int rc = 1;
    for (int i = 0; i < 8 && rc == 1; i++) {
        if (record_new_id(r->id, e) < 0) return -1;
        rc = claim_run(en, r, e);
    }
    if (rc < 0) return -1;
    if (rc == 1) return err_set(e, ERR_CONFLICT, "no new container could be claimed");
    own(free) char *path = str_fmt("containers/%s", r->id);
    if (mkdirat(en->store_fd, path, 0700) != 0) return err_sys(e, "make '%s'", path);
    r->fd = fs_open_dir(en->store_fd, path, e);
    if (r->fd < 0) return -1;
    return flock(r->fd, LOCK_EX | LOCK_NB) == 0 ? 0 : err_sys(e, "lock '%s'", path);
}

int record_adopt(struct engine *en, const char *id, struct record *r, struct err *e)
{
    snprintf(r->id, sizeof r->id, "%s", id);
    int rc = 1;
    for (int i = 0; i < 100 && rc == 1; i++) {
        rc = claim_run(en, r, e);
        if (rc != 1) break;
        own(fd) int run = record_run_dir(en, id, e);
        if (run >= 0 && record_is_locked(run))
            return err_set(e, ERR_CONFLICT, "container %.12s is running already", id);
        if (record_sweep(en, e) < 0) return -1;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    if (rc == 1) return err_set(e, ERR_CONFLICT, "container %.12s is being started", id);
    if (rc < 0) return -1;
    r->fd = record_lock(en, id, e);
    if (r->fd < 0) return -1;
    record_volumes(r->fd, &r->volumes);
    return 0;
}

// --- names -------------------------------------------------------------------------------------

static const char *const adjectives[] = {
    "agile", "amber",  "brave", "brisk",  "calm",   "clear",  "clever", "cosy",  "crisp",  "eager",
    "early", "fair",   "fleet", "fond",   "gentle", "glad",   "golden", "happy", "hardy",  "keen",
    "kind",  "lively", "lucid", "mellow", "merry",  "neat",   "nimble", "noble", "placid", "proud",
    "quick", "quiet",  "ready", "rosy",   "sharp",  "silent", "silver", "smart", "snug",   "sober",
    "solid", "steady", "sunny", "swift",  "tidy",   "vivid",  "warm",   "wise",  "witty",  "young",
};
static const char *const nouns[] = {
    "abacus",  "acorn",   "anchor",  "badger", "beacon", "birch",  "brook",  "cedar",   "comet",
    "compass", "coral",   "cricket", "dune",   "ember",  "falcon", "fern",   "finch",   "fjord",
    "flask",   "glacier", "harbor",  "hazel",  "heron",  "island", "ivy",    "jasper",  "kestrel",
    "lagoon",  "lantern", "larch",   "lichen", "maple",  "marten", "meadow", "nebula",  "otter",
    "pebble",  "pine",    "plover",  "prism",  "quartz", "raven",  "river",  "sparrow", "spruce",
    "summit",  "thistle", "vale",    "willow", "wren",
};

// The link's text is the id. A link whose container is gone was left by a kill: it may be replaced.
static int claim_name(struct engine *en, struct record *r, const char *name, struct err *e)
{
    own(free) char *path = str_fmt("containers/names/%s", name);
    for (int i = 0; i < 3; i++) {
        if (symlinkat(r->id, en->store_fd, path) == 0) {
            snprintf(r->name, sizeof r->name, "%s", name);
            r->named = true;
            return 0;
        }
        if (errno == ENOENT && i == 0) {
            if (fs_mkdirs(en->store_fd, "containers/names", 0700, e) < 0) return -1;
            continue;
        }
        if (errno != EEXIST) return err_sys(e, "make the name '%s'", name);
        char id[RECORD_ID + 1];
        ssize_t n = readlinkat(en->store_fd, path, id, sizeof id - 1);
        id[n > 0 ? n : 0] = '\0';
        own(free) char *dir = str_fmt("containers/%s", id);
        if (record_is_id(id) && fs_exists(en->store_fd, dir)) {
            err_set(e, ERR_CONFLICT, "the name '%s' is in use by the container %.12s", name, id);
            return err_hint(e, "remove or rename that container, or choose another name");
        }
        unlinkat(en->store_fd, path, 0);
    }
    return err_set(e, ERR_CONFLICT, "the name '%s' is being taken by somebody else", name);
}

int record_name(struct engine *en, struct record *r, const char *name, struct err *e)
{
    if (name) {
        if (sandbox_parse_name_ok(name)) return claim_name(en, r, name, e);
        err_set(e, ERR_INPUT, "invalid container name '%.*s'", (int)strnlen(name, 200), name);
        return err_hint(e, "a name begins with a letter or digit and goes on with letters, digits, "
                           "'_', '.' and '-'; 2 to 128 characters");
    }
    for (int i = 0; i < 10; i++) {
        unsigned char raw[4];
        if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
            return err_sys(e, "get random bytes");
        size_t a = raw[0] % (sizeof adjectives / sizeof *adjectives);
        size_t b = raw[1] % (sizeof nouns / sizeof *nouns);
        own(free) char *text = i < 3 ? str_fmt("%s_%s", adjectives[a], nouns[b])
                                     : str_fmt("%s_%s%u", adjectives[a], nouns[b], raw[2]);
        if (r->rm) { // short-lived and found by its record: no link to make and remove
            snprintf(r->name, sizeof r->name, "%s", text);
            return 0;
        }
        if (claim_name(en, r, text, e) == 0) return 0;
        if (e->kind != ERR_CONFLICT) return -1;
    }
    return -1;
}

// --- records -----------------------------------------------------------------------------------

// The record of a --rm container matters only while it runs: no sync and no rename. One that was
// torn by a kill does not parse, and such a folder is swept like one without a record.
static int write_loose(int dirfd, const char *name, struct sv text, struct err *e)
{
    own(fd) int fd = fs_openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL, 0600, e);
    return fd < 0 ? -1 : fs_write_all(fd, text.p, text.n, e);
}

static int write_record(const struct record *r, const char *name, struct sv text, struct err *e)
{
    int rc = r->rm ? write_loose(r->fd, name, text, e) : fs_replace(r->fd, name, text, 0600, e);
    return rc < 0 ? err_wrap(e, "writing '%s' of container %.12s", name, r->id) : 0;
}

// Not synced here: nobody who waits for a program to start waits for the disk; record_sync comes
// when it runs.
int record_save(const struct record *r, struct sv config, struct err *e)
{
    return write_record(r, "config.json", config, e);
}

void record_sync(const struct record *r)
{
    static const char *const names[] = {"config.json", "state"};
    struct err ignored;
    if (r->rm || r->fd < 0) return;
    for (size_t i = 0; i < 2; i++) {
        own(fd) int fd = openat(r->fd, names[i], O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0) fdatasync(fd);
    }
    fs_sync_dir(r->fd, &ignored);
}

int record_volume(struct record *r, const char *id, struct err *e)
{
    own(free) char *name = str_fmt("v-%s", id);
    if (mknodat(r->fd, name, S_IFREG | 0600, 0) != 0)
        return err_sys(e, "note the volume %.12s", id);
    strv_add(&r->volumes, id);
    return 0;
}

// On a full disk a state that is there already can still be written: over itself, in one block. A
// container that ends then must not lose its exit status.
static int write_state(int dir, struct sv text, struct err *e)
{
    if (fs_replace(dir, "state", text, 0600, e) == 0) return 0;
    if (e->sys != ENOSPC && e->sys != EDQUOT) return -1;
    own(fd) int fd = openat(dir, "state", O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || pwrite(fd, text.p, text.n, 0) != (ssize_t)text.n) return -1;
    if (ftruncate(fd, (off_t)text.n) != 0) return err_sys(e, "shorten 'state'");
    err_clear(e);
    return 0;
}

int record_live(const struct record *r, const struct record_state *state, struct err *e)
{
    own(str) struct str text = {0};
    record_state_print(state, &text);
    return write_state(r->run_fd, str_sv(&text), e);
}

int record_settle(const struct record *r, const struct record_state *state, struct err *e)
{
    if (r->rm) return 0; // gone in a moment; who waits has the code from the socket
    own(str) struct str text = {0};
    record_state_print(state, &text);
    return write_state(r->fd, str_sv(&text), e);
}

// To the trash by one rename, whatever it holds: nobody waits for the deleting of a large layer.
static void trash(struct engine *en, const char *folder, const char *id)
{
    struct err ignored;
    own(free) char *from = str_fmt("%s/%s", folder, id);
    own(free) char *to = str_fmt("trash/%s", id);
    if (renameat(en->store_fd, from, en->store_fd, to) == 0 || errno == ENOENT) return;
    own(fd) int all = fs_open_dir(en->store_fd, folder, &ignored);
    if (all >= 0) fs_remove_tree(all, id, &ignored);
}

void record_purge(struct engine *en, const struct record *r)
{
    struct err ignored;
    own(fd) int all = fs_open_dir(en->store_fd, "trash", &ignored);
    if (all < 0) return;
    fs_remove_tree(all, r->id, &ignored);
    for (size_t i = 0; i < r->volumes.n; i++) fs_remove_tree(all, r->volumes.p[i], &ignored);
}

void record_free_name(struct engine *en, const struct record *r)
{
    char id[RECORD_ID + 1];
    own(free) char *path = str_fmt("containers/names/%s", r->name);
    ssize_t n = readlinkat(en->store_fd, path, id, sizeof id - 1);
    id[n > 0 ? n : 0] = '\0';
    if (strcmp(id, r->id) == 0) unlinkat(en->store_fd, path, 0);
}

static void remove_run(struct engine *en, const struct record *r)
{
    static const char *const names[] = {"sock", "state"};
    char path[16 + RECORD_ID];
    struct err ignored;
    snprintf(path, sizeof path, "containers/%s", r->id);
    for (size_t i = 0; i < 2 && r->run_fd >= 0; i++) unlinkat(r->run_fd, names[i], 0);
    if (unlinkat(en->run_fd, path, AT_REMOVEDIR) == 0 || errno == ENOENT) return;
    own(fd) int all = fs_open_dir(en->run_fd, "containers", &ignored);
    if (all >= 0) fs_remove_tree(all, r->id, &ignored); // a part of a write, an exec's files
}

// The run folder goes last: until then a sweep finds what is left.
void record_end(struct engine *en, struct record *r, bool all)
{
    if (r->rm || all) {
        if (r->named) record_free_name(en, r);
        r->named = false;
        for (size_t i = 0; i < r->volumes.n; i++)
            if (!record_uses_shared(en, r->volumes.p[i], r->id))
                trash(en, "volumes", r->volumes.p[i]);
        if (r->fd >= 0) trash(en, "containers", r->id);
    }
    if (r->running) remove_run(en, r);
    r->running = false;
}

void record_close(struct record *r)
{
    if (r->fd >= 0) close(r->fd);
    if (r->run_fd >= 0) close(r->run_fd);
    r->fd = r->run_fd = -1;
    strv_fini(&r->volumes);
}

void record_unlock(struct record *r)
{
    if (r->fd >= 0) flock(r->fd, LOCK_UN);
    if (r->run_fd >= 0) flock(r->run_fd, LOCK_UN);
}

// --- sweep -------------------------------------------------------------------------------------

void record_volumes(int dir, struct strv *out)
{
    struct err ignored;
    own(strv) struct strv names = {0};
    if (fs_list(dir, ".", &names, &ignored) < 0) return;
    for (size_t i = 0; i < names.n; i++)
        if (strncmp(names.p[i], "v-", 2) == 0 && record_is_id(names.p[i] + 2))
            strv_add(out, names.p[i] + 2);
}

void record_stubs(int dir, struct strv *out)
{
    struct err ignored;
    own(str) struct str text = {0};
    if (fs_read_at(dir, STUBS, RECORD_CONFIG_MAX, &text, &ignored) < 0) return;
    for (struct sv rest = str_sv(&text); rest.p && rest.n;)
        strv_take(out, sv_dup(sv_cut(&rest, '\0')));
}

int record_add_stubs(int dir, const struct strv *stubs, struct err *e)
{
    own(strv) struct strv all = {0};
    own(str) struct str text = {0};
    record_stubs(dir, &all);
    for (size_t i = 0; i < stubs->n; i++)
        if (strv_find(&all, stubs->p[i]) < 0) strv_add(&all, stubs->p[i]);
    for (size_t i = 0; i < all.n; i++) str_add(&text, (struct sv){all.p[i], strlen(all.p[i]) + 1});
    return fs_replace(dir, STUBS, str_sv(&text), 0600, e);
}

// Reads what a dead container's record says about its end.
static void load_dead(int fd, struct record *r, struct record_brief *brief)
{
    struct err ignored;
    own(str) struct str text = {0};
    record_volumes(fd, &r->volumes);
    bool removing = fs_exists(fd, RECORD_MARK_REMOVING);
    if (fs_read_at(fd, "config.json", RECORD_CONFIG_MAX, &text, &ignored) < 0) {
        r->rm =
            removing || ignored.sys == ENOENT; // a folder without a record never was a container
        return;
    }
    r->rm = removing || text.n == 0; // killed between making and writing it: only --rm does that
    struct sv rest = str_sv(&text), line = sv_cut(&rest, '\n');
    // A damaged record is no reason to delete anything.
    if (text.n == 0 || record_brief_parse(line, "a container's record", brief, &ignored) < 0)
        return;
    r->rm = removing || brief->rm;
    snprintf(r->name, sizeof r->name, "%s", brief->name);
    r->named = brief->name[0] && sandbox_parse_name_ok(brief->name);
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
    snprintf(r.id, sizeof r.id, "%s", id);
    r.running = true;
    r.fd = openat(en->store_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (r.fd >= 0) {
        if (flock(r.fd, LOCK_EX | LOCK_NB) != 0) {
            record_close(&r);
            return;
        }
        load_dead(r.fd, &r, &brief);
    }
    own(free) char *group = str_fmt("dewar-%.32s", id);
    const char *known = live->cgroup[0] ? live->cgroup : group;
    if (live->status == RECORD_PAUSED) sandbox_cgroup_thaw(en, known); // nobody dies frozen
    kill_orphan(live);
    if (live->started && live->cgroup[0])
        sandbox_cgroup_sweep(known);
    else
        sandbox_cgroup_remove(group, NULL);
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
