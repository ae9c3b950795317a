// SPDX-License-Identifier: Apache-2.0
#include "record/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "record/state.h"
#include "record/uses.h"
#include "sandbox/parse.h"

#define STUBS "stubs"

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
    for (int i = 0; i < 400 && rc == 1; i++) {
        struct record_state s;
        rc = claim_run(en, r, e);
        if (rc != 1) break;
        own(fd) int run = record_run_dir(en, id, e);
        bool held = run >= 0 && record_is_locked(run);
        // A monitor that has told the end of its program is about to go.
        if (held && (record_state_load(en, id, &s, e) < 0 || record_status_alive(s.status)))
            return err_set(e, ERR_CONFLICT, "container %.12s is running already", id);
        if (!held && record_sweep(en, e) < 0) return -1;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    if (rc == 1) return err_set(e, ERR_CONFLICT, "container %.12s is being started", id);
    if (rc < 0) return -1;
    r->fd = record_lock(en, id, e);
    if (r->fd < 0) return -1;
    return record_volumes(r->fd, &r->volumes, e);
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
    static const char *const names[] = {"sock", "state", "tracers"};
    char path[16 + RECORD_ID];
    struct err ignored;
    snprintf(path, sizeof path, "containers/%s", r->id);
    for (size_t i = 0; i < sizeof names / sizeof *names && r->run_fd >= 0; i++)
        unlinkat(r->run_fd, names[i], 0);
    if (unlinkat(en->run_fd, path, AT_REMOVEDIR) == 0 || errno == ENOENT) return;
    own(fd) int all = fs_open_dir(en->run_fd, "containers", &ignored);
    if (all >= 0) fs_remove_tree(all, r->id, &ignored); // a part of a write, an exec's files
}

// The run folder goes last: until then a sweep finds what is left.
// false: whether somebody else has one cannot be told.
static bool end_volumes(struct engine *en, struct record *r)
{
    for (size_t i = 0; i < r->volumes.n; i++) {
        struct err ignored;
        int shared = record_uses_shared(en, r->volumes.p[i], r->id, &ignored);
        if (shared < 0) return false;
        if (shared == 0) trash(en, "volumes", r->volumes.p[i]);
    }
    return true;
}

void record_end(struct engine *en, struct record *r, bool all)
{
    bool done = true;
    if (r->rm || all) {
        if (r->named) record_free_name(en, r);
        r->named = false;
        done = end_volumes(en, r);
        if (r->fd >= 0 && done) trash(en, "containers", r->id);
    }
    // Else it looks like one that was killed here, and the next command goes on.
    if (r->running && done) remove_run(en, r);
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

// --- what stands beside the config ---------------------------------------------------------------

int record_volumes(int dir, struct strv *out, struct err *e)
{
    own(strv) struct strv names = {0};
    if (fs_list(dir, ".", &names, e) < 0) return err_wrap(e, "looking for the container's volumes");
    for (size_t i = 0; i < names.n; i++)
        if (strncmp(names.p[i], "v-", 2) == 0 && record_is_id(names.p[i] + 2))
            strv_add(out, names.p[i] + 2);
    return 0;
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
