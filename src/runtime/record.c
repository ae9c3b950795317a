// SPDX-License-Identifier: Apache-2.0
#include "runtime/record.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "codec/json.h"

#define RECORD_MAX ((size_t)4 << 20)

static bool is_id(const char *name)
{
    return strlen(name) == RUNTIME_ID - 1 && strspn(name, "0123456789abcdef") == RUNTIME_ID - 1;
}

static int new_id(char out[RUNTIME_ID], struct err *e)
{
    unsigned char raw[32];
    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw) return err_sys(e, "get random bytes");
    for (size_t i = 0; i < sizeof raw; i++) snprintf(out + 2 * i, 3, "%02x", raw[i]);
    return 0;
}

// A new file run/containers/<id>, locked. A sweep may meet it before the lock and take it for one
// of the dead: 1, try another.
static int claim_run(struct engine *en, struct record *r, struct err *e)
{
    own(free) char *path = str_fmt("containers/%s", r->id);
    int fd = openat(en->run_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == ENOENT) {
        if (fs_mkdirs(en->run_fd, "containers", 0700, e) < 0) return -1;
        fd = openat(en->run_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    }
    if (fd < 0) return err_sys(e, "make '%s' in the run folder", path);
    struct stat st;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 || fstat(fd, &st) != 0 || st.st_nlink == 0) {
        close(fd);
        return 1;
    }
    r->state_fd = fd;
    r->running = true;
    return 0;
}

int record_make(struct engine *en, struct record *r, struct err *e)
{
    int rc = 1;
    for (int i = 0; i < 8 && rc == 1; i++) {
        if (new_id(r->id, e) < 0) return -1;
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

// --- names -------------------------------------------------------------------------------------

static const char *const adjectives[] = {
    "agile", "amber", "brave", "brisk", "calm", "clear", "clever", "cosy", "crisp", "eager",
    "early", "fair", "fleet", "fond", "gentle", "glad", "golden", "happy", "hardy", "keen",
    "kind", "lively", "lucid", "mellow", "merry", "neat", "nimble", "noble", "placid", "proud",
    "quick", "quiet", "ready", "rosy", "sharp", "silent", "silver", "smart", "snug", "sober",
    "solid", "steady", "sunny", "swift", "tidy", "vivid", "warm", "wise", "witty", "young",
};
static const char *const nouns[] = {
    "abacus", "acorn", "anchor", "badger", "beacon", "birch", "brook", "cedar", "comet", "compass",
    "coral", "cricket", "dune", "ember", "falcon", "fern", "finch", "fjord", "flask", "glacier",
    "harbor", "hazel", "heron", "island", "ivy", "jasper", "kestrel", "lagoon", "lantern", "larch",
    "lichen", "maple", "marten", "meadow", "nebula", "otter", "pebble", "pine", "plover", "prism",
    "quartz", "raven", "river", "sparrow", "spruce", "summit", "thistle", "vale", "willow", "wren",
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
        char id[RUNTIME_ID + 1];
        ssize_t n = readlinkat(en->store_fd, path, id, sizeof id - 1);
        id[n > 0 ? n : 0] = '\0';
        own(free) char *dir = str_fmt("containers/%s", id);
        if (is_id(id) && fs_exists(en->store_fd, dir)) {
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
        if (parse_name_ok(name)) return claim_name(en, r, name, e);
        err_set(e, ERR_USAGE, "invalid container name '%.*s'", (int)strnlen(name, 200), name);
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
        if (r->rm) {  // short-lived and found by its record: no link to make and remove
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
    int rc =
        r->rm ? write_loose(r->fd, name, text, e) : fs_atomic_write(r->fd, name, text, 0600, e);
    return rc < 0 ? err_wrap(e, "writing '%s' of container %.12s", name, r->id) : 0;
}

int record_save(const struct record *r, struct sv config, struct err *e)
{
    return write_record(r, "config.json", config, e);
}

int record_volume(struct record *r, const char *id, struct err *e)
{
    own(free) char *name = str_fmt("v-%s", id);
    if (mknodat(r->fd, name, S_IFREG | 0600, 0) != 0)
        return err_sys(e, "note the volume %.12s", id);
    strv_add(&r->volumes, id);
    return 0;
}

int record_state(const struct record *r, pid_t pid, struct err *e)
{
    uint64_t start = 0;
    proc_start_time(pid, &start);
    own(str) struct str text = {0};
    str_addf(&text, "{\"pid\":%d,\"start\":%llu,\"monitor\":%d,\"started\":%lld,\"rm\":%s}\n",
             (int)pid, (unsigned long long)start, (int)getpid(), (long long)clock_real_ns(),
             r->rm ? "true" : "false");
    return fs_write_all(r->state_fd, text.p, text.n, e);
}

int record_exit(const struct record *r, int code, bool oom, struct err *e)
{
    if (r->rm) return 0;  // gone in a moment; the client has the code from the socket
    own(str) struct str text = {0};
    str_addf(&text, "{\"code\":%d,\"oom\":%s,\"finished\":%lld}\n", code, oom ? "true" : "false",
             (long long)clock_real_ns());
    return write_record(r, "exit", str_sv(&text), e);
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

static void free_name(struct engine *en, const struct record *r)
{
    char id[RUNTIME_ID + 1];
    own(free) char *path = str_fmt("containers/names/%s", r->name);
    ssize_t n = readlinkat(en->store_fd, path, id, sizeof id - 1);
    id[n > 0 ? n : 0] = '\0';
    if (strcmp(id, r->id) == 0) unlinkat(en->store_fd, path, 0);
}

static void remove_run(struct engine *en, const char *id)
{
    own(free) char *path = str_fmt("containers/%s", id);
    unlinkat(en->run_fd, path, 0);
}

// The run file goes last: until then a sweep finds what is left.
void record_end(struct engine *en, struct record *r, bool all)
{
    if (r->rm || all) {
        if (r->named) free_name(en, r);
        r->named = false;
        for (size_t i = 0; i < r->volumes.n; i++) trash(en, "volumes", r->volumes.p[i]);
        if (r->fd >= 0) trash(en, "containers", r->id);
    }
    if (r->running) remove_run(en, r->id);
    r->running = false;
}

void record_close(struct record *r)
{
    if (r->fd >= 0) close(r->fd);
    if (r->state_fd >= 0) close(r->state_fd);
    r->fd = r->state_fd = -1;
    strv_fini(&r->volumes);
}

// --- sweep -------------------------------------------------------------------------------------

// Reads what a dead container's record says about its end.
static void load_dead(int fd, struct record *r)
{
    struct err ignored;
    own(str) struct str text = {0};
    own(codec_json) struct codec_json *j = NULL;
    own(strv) struct strv names = {0};
    if (fs_list(fd, ".", &names, &ignored) < 0) return;
    for (size_t i = 0; i < names.n; i++)
        if (strncmp(names.p[i], "v-", 2) == 0 && is_id(names.p[i] + 2))
            strv_add(&r->volumes, names.p[i] + 2);
    if (fs_read_at(fd, "config.json", RECORD_MAX, &text, &ignored) < 0) {
        r->rm = ignored.sys == ENOENT;  // a folder without a record never was a container
        return;
    }
    r->rm = text.n == 0;  // killed between making and writing it: only --rm does that
    // A damaged record is no reason to delete anything.
    if (r->rm || codec_json_parse(str_sv(&text), "a container's record", &j, &ignored) < 0) return;
    r->rm = codec_json_bool(codec_json_get(j, "rm"));
    struct sv name = codec_json_text(codec_json_get(j, "name"));
    snprintf(r->name, sizeof r->name, "%.*s", name.n < 130 ? (int)name.n : 0, name.p);
    r->named = name.n && parse_name_ok(r->name);
}

// The lock is gone: whoever made this container is dead.
static void sweep_dead(struct engine *en, const char *id)
{
    own(free) char *path = str_fmt("containers/%s", id);
    struct record r = RECORD_NONE;
    snprintf(r.id, sizeof r.id, "%s", id);
    r.running = true;
    r.fd = openat(en->store_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (r.fd >= 0) {
        if (flock(r.fd, LOCK_EX | LOCK_NB) != 0) {
            record_close(&r);
            return;
        }
        load_dead(r.fd, &r);
    }
    own(free) char *group = str_fmt("dewar-%.32s", id);
    cgroup_remove(group, NULL);
    record_end(en, &r, false);
    if (r.rm) record_purge(en, &r);
    record_close(&r);
}

// The program dies with its monitor, except one that is setuid: executing such a file makes the
// kernel forget the death signal. Its number is trusted only with its start time.
static void kill_orphan(int fd)
{
    struct err ignored;
    own(str) struct str text = {0};
    own(codec_json) struct codec_json *j = NULL;
    uint64_t start = 0;
    if (fs_read_fd(fd, RECORD_MAX, &text, &ignored) < 0 || text.n == 0) return;
    if (codec_json_parse(str_sv(&text), "a container's state", &j, &ignored) < 0) return;
    int64_t pid = codec_json_int(codec_json_get(j, "pid"));
    int64_t began = codec_json_int(codec_json_get(j, "start"));
    if (pid <= 1 || pid > INT32_MAX || began <= 0) return;
    own(fd) int process = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (process < 0 || proc_start_time((pid_t)pid, &start) < 0 || start != (uint64_t)began) return;
    syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0);
}

static void sweep_run(struct engine *en, const char *id)
{
    if (!is_id(id)) return;
    own(free) char *path = str_fmt("containers/%s", id);
    own(fd) int fd = openat(en->run_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0) return;
    if (fstat(fd, &st) != 0 || st.st_nlink == 0) return;
    kill_orphan(fd);
    sweep_dead(en, id);
}

static void sweep_store(struct engine *en, const char *id)
{
    if (is_id(id)) sweep_dead(en, id);
}

static void sweep_list(struct engine *en, int dirfd, void (*one)(struct engine *, const char *))
{
    struct err ignored;
    own(strv) struct strv ids = {0};
    if (fs_list(dirfd, "containers", &ids, &ignored) < 0) return;
    for (size_t i = 0; i < ids.n; i++) one(en, ids.p[i]);
}

// What ran has a folder in the run folder, so that is all that is looked at, except once a boot,
// when the run folder may be new and everything in the store is dead.
int runtime_sweep(struct engine *en, struct err *e)
{
    char boot[37], seen[37] = "";
    if (clock_boot_id(boot, e) < 0) return -1;
    ssize_t n = readlinkat(en->run_fd, "boot", seen, sizeof seen - 1);
    seen[n > 0 ? n : 0] = '\0';
    sweep_list(en, en->run_fd, sweep_run);
    if (strcmp(boot, seen) == 0) return 0;
    sweep_list(en, en->store_fd, sweep_store);
    if (fs_mkdirs(en->run_fd, "containers", 0700, e) < 0) return -1;
    unlinkat(en->run_fd, "boot", 0);
    if (symlinkat(boot, en->run_fd, "boot") != 0 && errno != EEXIST)
        return err_sys(e, "note the boot in the run folder");
    return 0;
}
