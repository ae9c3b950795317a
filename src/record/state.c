// SPDX-License-Identifier: Apache-2.0
// Reading containers: one by name, all for a listing, and what is true of each. Nothing here
// changes anything on disk or waits for anybody but for the lock.
#include "record/state.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "record/message.h"
#include "record/record.h"
#include "sandbox/parse.h"

#define TRACERS "tracers" // a file of the run folder
#define STATE_MAX 65536
#define HEAD_MAX 8192 // of the first line, mostly under 500 bytes
#define KILLED "the container's monitor was killed; the exit status is unknown"
#define REBOOTED "the machine was restarted while the container ran"
#define WENT_DOWN "stopped because the machine went down"

// --- folders -----------------------------------------------------------------------------------

static int open_folder(int top, const char *id)
{
    char path[16 + RECORD_ID];
    snprintf(path, sizeof path, "containers/%s", id);
    return openat(top, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int record_dir(struct engine *en, const char *id, struct err *e)
{
    int fd = open_folder(en->store_fd, id);
    if (fd >= 0) return fd;
    if (errno != ENOENT) return err_sys(e, "open the folder of container %.12s", id);
    return err_set(e, ERR_NOT_FOUND, "No such container: %.12s", id);
}

static int not_running(const char *id, struct err *e)
{
    return err_set(e, ERR_CONFLICT, "container %.12s is not running", id);
}

int record_run_dir(struct engine *en, const char *id, struct err *e)
{
    int fd = open_folder(en->run_fd, id);
    return fd >= 0 ? fd : not_running(id, e);
}

int record_tracers_note(struct engine *en, const char *id, struct err *e)
{
    own(fd) int dir = record_run_dir(en, id, e);
    if (dir < 0) return -1;
    own(fd) int fd = fs_openat(dir, TRACERS, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600, e);
    return fd < 0 ? err_wrap(e, "noting who may trace container %.12s", id) : 0;
}

bool record_tracers(struct engine *en, const char *id)
{
    own(fd) int dir = open_folder(en->run_fd, id);
    return dir < 0 || fs_exists(dir, TRACERS);
}

// Somebody who only looks holds the lock for a moment: that is no reason to give up.
int record_lock(struct engine *en, const char *id, struct err *e)
{
    own(fd) int dir = record_dir(en, id, e);
    if (dir < 0) return -1;
    for (int i = 0; i < 200; i++) {
        int rc = fs_lock(dir, LOCK_EX | LOCK_NB, e);
        if (rc < 0) return -1;
        if (rc == 0) {
            struct stat mine, there;
            char path[16 + RECORD_ID];
            snprintf(path, sizeof path, "containers/%s", id);
            if (fstat(dir, &mine) != 0 || fstatat(en->store_fd, path, &there, 0) != 0 ||
                mine.st_ino != there.st_ino)
                return err_set(e, ERR_NOT_FOUND, "No such container: %.12s", id);
            return take_fd(dir);
        }
        own(fd) int run = open_folder(en->run_fd, id);
        if (run >= 0 && record_is_locked(run)) break;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return err_set(e, ERR_CONFLICT, "container %.12s is running or being changed", id);
}

bool record_is_locked(int dir)
{
    if (flock(dir, LOCK_SH | LOCK_NB) != 0) return errno == EWOULDBLOCK;
    flock(dir, LOCK_UN);
    return false;
}

// --- one ---------------------------------------------------------------------------------------

#define HEAD_PATH (40 + RECORD_ID)

static const char *head_path(const char *id, const char *name, char out[HEAD_PATH])
{
    snprintf(out, HEAD_PATH, "containers/%s/%s", id, name);
    return out;
}

static ssize_t read_head(int top, const char *path, char *buf, size_t size)
{
    own(fd) int fd = openat(top, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    return fd < 0 ? -1 : read(fd, buf, size);
}

static bool read_state(int top, const char *path, struct record_state *out, struct err *e)
{
    char buf[HEAD_MAX];
    ssize_t n = read_head(top, path, buf, sizeof buf);
    if (n <= 0) return false;
    return record_state_parse((struct sv){buf, (size_t)n}, "a container's state", out, e) == 0;
}

// What the store says of a container that nobody runs.
void record_state_settle(struct engine *en, const char *id, struct record_state *s)
{
    struct err ignored;
    char boot[37] = "", path[HEAD_PATH];
    if (!read_state(en->store_fd, head_path(id, "state", path), s, &ignored)) *s = (struct record_state){0};
    if (!record_status_alive(s->status)) return;
    bool here = clock_boot_id(boot, &ignored) == 0 && strcmp(boot, s->boot) == 0;
    s->status = RECORD_EXITED;
    s->code = here ? 137 : 255;
    s->pid = s->monitor = 0;
    if (s->health) s->health = RECORD_HEALTH_UNHEALTHY;
    if (!s->finished || s->finished < s->started) s->finished = s->started;
    snprintf(s->error, sizeof s->error, "%s", here ? KILLED : REBOOTED);
}

bool record_state_was_up(const struct record_state *s)
{
    static const char *const reasons[] = {KILLED, REBOOTED, WENT_DOWN};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (strcmp(s->error, reasons[i]) == 0) return true;
    return false;
}

void record_state_went_down(struct record_state *s)
{
    snprintf(s->error, sizeof s->error, "%s", WENT_DOWN);
}

int record_state_load(struct engine *en, const char *id, struct record_state *out, struct err *e)
{
    *out = (struct record_state){0};
    // Between our looks a monitor may begin or end: then the other place has the truth.
    for (int i = 0; i < 3; i++) {
        own(fd) int run = open_folder(en->run_fd, id);
        if (run < 0 || !record_is_locked(run)) break;
        if (read_state(run, "state", out, e)) return 0;
    }
    own(fd) int dir = record_dir(en, id, e);
    if (dir < 0) return -1;
    record_state_settle(en, id, out);
    return 0;
}

int record_config_load(struct engine *en, const char *id, struct record_config *out, struct err *e)
{
    own(str) struct str text = {0};
    own(fd) int dir = record_dir(en, id, e);
    if (dir < 0) return -1;
    if (fs_read_at(dir, "config.json", RECORD_CONFIG_MAX, &text, e) < 0 ||
        record_config_parse(str_sv(&text), "config.json", out, e) < 0)
        return err_wrap(e, "reading the record of container %.12s", id);
    return 0;
}

struct codec_json *record_health_log(struct engine *en, const char *id)
{
    struct err ignored;
    struct codec_json *j = NULL;
    own(str) struct str text = {0};
    own(fd) int dir = open_folder(en->store_fd, id);
    if (dir < 0 || fs_read_at(dir, "health", STATE_MAX, &text, &ignored) < 0) return NULL;
    return codec_json_parse(str_sv(&text), "health", &j, &ignored) == 0 ? j : NULL;
}

// --- finding -----------------------------------------------------------------------------------

bool record_is_id(const char *name)
{
    return strlen(name) == RECORD_ID - 1 && strspn(name, "0123456789abcdef") == RECORD_ID - 1;
}

bool record_name_ok(const char *name)
{
    return sandbox_parse_name_ok(name);
}

static int no_such(const char *text, struct err *e)
{
    own(str) struct str shown = {0};
    str_add_escaped(&shown, (struct sv){text, strnlen(text, 100)});
    err_set(e, ERR_NOT_FOUND, "No such container: %s", str_z(&shown));
    return err_hint(e, "'dewar ps -a' lists the containers");
}

static bool by_link(struct engine *en, const char *name, char out[RECORD_ID])
{
    char path[32 + RECORD_NAME], id[RECORD_ID + 1];
    snprintf(path, sizeof path, "containers/names/%s", name);
    ssize_t n = readlinkat(en->store_fd, path, id, sizeof id - 1);
    id[n > 0 ? n : 0] = '\0';
    if (!record_is_id(id)) return false;
    own(fd) int dir = open_folder(en->store_fd, id); // a name that a kill left behind
    if (dir < 0) return false;
    memcpy(out, id, RECORD_ID);
    return true;
}

static bool read_brief(struct engine *en, const char *id, struct record_brief *out, struct err *e)
{
    char buf[HEAD_MAX], path[HEAD_PATH];
    ssize_t n = read_head(en->store_fd, head_path(id, "config.json", path), buf, sizeof buf);
    const char *end = n > 0 ? memchr(buf, '\n', (size_t)n) : NULL;
    if (end)
        return record_brief_parse((struct sv){buf, (size_t)(end - buf)}, "config.json", out, e) ==
               0;
    if (n < (ssize_t)sizeof buf) {
        err_set(e, n < 0 && errno == ENOENT ? ERR_NOT_FOUND : ERR_CORRUPT,
                "the record of container %.12s is damaged", id);
        return false;
    }
    own(record_config) struct record_config c = {0}; // a command of thousands of bytes
    if (record_config_load(en, id, &c, e) < 0) return false;
    *out = c.brief;
    c.brief = (struct record_brief){0};
    return true;
}

// A random name of a --rm container is in its record alone: those live, or are rubbish.
static bool by_record(struct engine *en, const char *name, char out[RECORD_ID])
{
    struct err ignored;
    own(strv) struct strv ids = {0};
    if (fs_list(en->run_fd, "containers", &ids, &ignored) < 0) return false;
    for (size_t i = 0; i < ids.n; i++) {
        struct record_brief b = {0};
        if (!record_is_id(ids.p[i]) || !read_brief(en, ids.p[i], &b, &ignored)) continue;
        bool same = strcmp(b.name, name) == 0;
        record_brief_fini(&b);
        if (!same) continue;
        memcpy(out, ids.p[i], RECORD_ID);
        return true;
    }
    return false;
}

static int by_prefix(struct engine *en, const char *text, char out[RECORD_ID], struct err *e)
{
    own(strv) struct strv ids = {0};
    size_t n = strlen(text), found = 0;
    if (n == 0 || strspn(text, "0123456789abcdef") != n) return no_such(text, e);
    if (fs_list(en->store_fd, "containers", &ids, e) < 0) return -1;
    for (size_t i = 0; i < ids.n; i++) {
        if (strncmp(ids.p[i], text, n) != 0 || !record_is_id(ids.p[i])) continue;
        memcpy(out, ids.p[i], RECORD_ID);
        found++;
    }
    if (found == 1) return 0;
    if (found == 0) return no_such(text, e);
    err_set(e, ERR_CONFLICT, "multiple IDs found with provided prefix: %s", text);
    return err_hint(e, "give more of its digits");
}

int record_find(struct engine *en, const char *text, char out_id[RECORD_ID], struct err *e)
{
    if (text[0] == '/') text++; // Docker prints names so in places
    if (strnlen(text, RECORD_NAME) >= RECORD_NAME) return no_such(text, e);
    if (record_is_id(text)) {
        own(fd) int dir = open_folder(en->store_fd, text);
        if (dir < 0) return no_such(text, e);
        memcpy(out_id, text, RECORD_ID);
        return 0;
    }
    if (record_name_ok(text) && (by_link(en, text, out_id) || by_record(en, text, out_id)))
        return 0;
    return by_prefix(en, text, out_id, e);
}

// --- all ---------------------------------------------------------------------------------------

void record_rows_fini(struct record_rows *v)
{
    vec_each(r, v) record_brief_fini(&r->brief);
    vec_fini(v);
}

static int newest_first(const void *a, const void *b)
{
    const struct record_row *x = a, *y = b;
    if (x->brief.created != y->brief.created) return x->brief.created < y->brief.created ? 1 : -1;
    return strcmp(x->brief.id, y->brief.id);
}

static void add_row(struct engine *en, const char *id, bool maybe_alive, bool all,
                    struct record_rows *out)
{
    struct record_row row = {0};
    struct err e = {0};
    if (maybe_alive && record_state_load(en, id, &row.state, &e) < 0) return;
    if (!maybe_alive) record_state_settle(en, id, &row.state);
    if (!all && !record_status_alive(row.state.status)) return;
    if (!read_brief(en, id, &row.brief, &e)) {
        if (e.kind == ERR_NOT_FOUND) return; // removed meanwhile, or not yet a container
        snprintf(row.brief.id, sizeof row.brief.id, "%s", id);
        row.brief.image = str_dup("");
        row.brief.image_id = str_dup("");
        row.brief.command = str_dup("");
        row.state.status = RECORD_DEAD;
        snprintf(row.state.error, sizeof row.state.error, "%s", err_cause(&e));
    }
    vec_push(out, row);
}

int record_list(struct engine *en, bool all, struct record_rows *out, struct err *e)
{
    own(strv) struct strv live = {0}, ids = {0};
    struct err ignored;
    if (fs_list(en->run_fd, "containers", &live, &ignored) < 0) live.n = 0;
    if (all && fs_list(en->store_fd, "containers", &ids, e) < 0) return -1;
    const struct strv *from = all ? &ids : &live;
    size_t at = 0; // both are sorted
    for (size_t i = 0; i < from->n; i++) {
        if (!record_is_id(from->p[i])) continue;
        while (at < live.n && strcmp(live.p[at], from->p[i]) < 0) at++;
        bool here = at < live.n && strcmp(live.p[at], from->p[i]) == 0;
        add_row(en, from->p[i], here, all, out);
    }
    if (out->n) qsort(out->p, out->n, sizeof *out->p, newest_first);
    return 0;
}

// --- the living --------------------------------------------------------------------------------

int record_connect(struct engine *en, const char *id, struct err *e)
{
    own(fd) int dir = record_run_dir(en, id, e);
    if (dir < 0) return -1;
    own(fd) int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (sock < 0) return err_sys(e, "make a socket");
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/sock", dir);
    int rc;
    do rc = connect(sock, (struct sockaddr *)&a, sizeof a);
    while (rc != 0 && errno == EINTR);
    if (rc == 0) return take_fd(sock);
    if (errno == ENOENT || errno == ECONNREFUSED) return not_running(id, e);
    return err_sys(e, "reach the monitor of container %.12s", id);
}

int record_state_open_init(const struct record_state *s, struct err *e)
{
    char boot[37];
    uint64_t start = 0;
    if (s->pid <= 1 || clock_boot_id(boot, e) < 0 || strcmp(boot, s->boot) != 0)
        return err_set(e, ERR_CONFLICT, "its process is gone");
    own(fd) int fd = (int)syscall(SYS_pidfd_open, s->pid, 0);
    if (fd < 0 || proc_start_time(s->pid, &start) < 0 || start != s->pid_start)
        return err_set(e, ERR_CONFLICT, "its process is gone");
    return take_fd(fd);
}

int record_init_open(struct engine *en, const char *id, struct record_state *out, struct err *e)
{
    if (record_state_load(en, id, out, e) < 0) return -1;
    if (out->status == RECORD_PAUSED) {
        err_set(e, ERR_CONFLICT, "container %.12s is paused", id);
        return err_hint(e, "dewar unpause %.12s", id);
    }
    if (out->status == RECORD_RESTARTING)
        return err_set(e, ERR_CONFLICT,
                       "container %.12s is restarting, wait until the container is running", id);
    if (out->status != RECORD_RUNNING) return not_running(id, e);
    int fd = record_state_open_init(out, e);
    return fd < 0 ? not_running(id, e) : fd;
}

int record_config_change(struct engine *en, const char *id,
                         int (*change)(struct record_config *c, void *arg, struct err *e),
                         void *arg, struct err *e)
{
    own(record_config) struct record_config c = {0};
    own(str) struct str text = {0};
    struct err ignored;
    if (fs_mkdirs(en->store_fd, "containers/names", 0700, e) < 0) return -1;
    // One change at a time, of all containers: they are rare and short.
    own(fd) int names = fs_open_dir(en->store_fd, "containers/names", e);
    if (names < 0 || fs_lock(names, LOCK_EX, e) < 0) return -1;
    own(fd) int dir = record_dir(en, id, e);
    if (dir < 0 || record_config_load(en, id, &c, e) < 0 || change(&c, arg, e) < 0) return -1;
    record_config_print(&c, &text);
    if (fs_atomic_write(dir, "config.json", str_sv(&text), 0600, e) < 0)
        return err_wrap(e, "writing the record of container %.12s", id);
    own(fd) int sock = record_connect(en, id, &ignored);
    if (sock < 0) return 0;
    struct record_message m = {.kind = MESSAGE_RELOAD};
    return record_message_ask(sock, &m, NULL, e);
}
