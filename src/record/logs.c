// SPDX-License-Identifier: Apache-2.0
// The verb `logs`: reads a container's log, and with follow waits for more of it. That there is
// more is told by the folder (inotify), that there will be none by the monitor, so a container that
// is quiet costs nothing.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/own.h"
#include "record/log.h"
#include "record/logs.h"
#include "record/message.h"
#include "record/state.h"

#define WATCHED (IN_MODIFY | IN_CREATE | IN_MOVED_TO)

// --- times -------------------------------------------------------------------------------------

static bool parse_unix(struct sv text, int64_t *out)
{
    struct sv rest = text, whole = sv_cut(&rest, '.');
    int64_t seconds, ns = 0, unit = 100000000;
    if (!num_i64(whole, &seconds)) return false;
    for (size_t i = 0; rest.p && i < rest.n; i++, unit /= 10) {
        if (rest.p[i] < '0' || rest.p[i] > '9') return false;
        ns += (rest.p[i] - '0') * unit;
    }
    return !__builtin_mul_overflow(seconds, 1000000000, out) &&
           !__builtin_add_overflow(*out, ns, out);
}

// A date with parts left out: filled up from a full one. Without a zone it is local time.
static bool parse_date(struct sv text, int64_t *out)
{
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H",
                                        "%Y-%m-%d"};
    int64_t seconds, ns = 0;
    if (clock_parse(text, &seconds)) {
        long dot = sv_find(text, '.');
        int64_t unit = 100000000;
        for (size_t i = dot < 0 ? text.n : (size_t)dot + 1;
             i < text.n && text.p[i] >= '0' && text.p[i] <= '9' && unit; i++, unit /= 10)
            ns += (text.p[i] - '0') * unit;
        *out = seconds * 1000000000 + ns;
        return true;
    }
    own(free) char *z = sv_dup(text);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct tm tm = {.tm_isdst = -1};
        const char *end = strptime(z, forms[i], &tm);
        if (!end || (*end && strcmp(end, "Z") != 0)) continue;
        clock_zone();
        *out = (int64_t)(*end ? timegm(&tm) : mktime(&tm)) * 1000000000;
        return true;
    }
    return false;
}

int record_time_parse(const char *text, int64_t *out_ns, struct err *e)
{
    struct err ignored;
    int64_t ago;
    if (parse_unix(sv_of(text), out_ns) || parse_date(sv_of(text), out_ns)) return 0;
    if (num_duration(sv_of(text), &ago, &ignored) == 0) {
        *out_ns = clock_real_ns() - ago;
        return 0;
    }
    err_set(e, ERR_USAGE, "invalid time '%s'", text);
    return err_hint(e, "a date like 2023-06-10T12:00:00Z, seconds since 1970, or a time like 10m");
}

// --- reading -----------------------------------------------------------------------------------

struct walk {
    const struct record_logs_options *o;
    int (*each)(void *arg, const struct record_log_line *line, struct err *e);
    void *arg;
    bool going_on[LOG_STREAMS]; // the stream's last record was a part of a line
    bool over;
};

static int show(struct walk *w, const struct record_log_entry *rec, struct err *e)
{
    struct record_log_line line = {.stream = rec->stream == LOG_STDERR ? 2 : 1,
                                   .time_ns = rec->time_ns,
                                   .partial = rec->partial,
                                   .begins = !w->going_on[rec->stream],
                                   .text = rec->text,
                                   .attrs = rec->attrs};
    w->going_on[rec->stream] = rec->partial;
    if (w->o->until_ns && rec->time_ns > w->o->until_ns) {
        w->over = w->o->follow; // a clock that was set back has earlier ones behind it
        return 0;
    }
    if (w->o->since_ns && rec->time_ns < w->o->since_ns) return 0;
    return w->each(w->arg, &line, e);
}

static int read_all(struct walk *w, struct record_log_reader *r, struct err *e)
{
    struct record_log_entry rec;
    int rc;
    while (!w->over && (rc = record_log_reader_next(r, &rec, e)) > 0)
        if (show(w, &rec, e) < 0) return -1;
    return 0;
}

// Waits for a change of `fd` (inotify) or the end of `sock`; -1 waits for ever.
static void await(int inotify, int sock, int ms, bool *out_ended)
{
    char buf[4096];
    struct pollfd p[2] = {{.fd = inotify, .events = POLLIN}, {.fd = sock, .events = POLLIN}};
    if (poll(p, 2, ms) < 0) return;
    if (p[0].revents && read(inotify, buf, sizeof buf) < 0) return;
    struct record_message m;
    if (p[1].revents && (record_message_receive(sock, &m, NULL) != 1 || m.kind == MESSAGE_ENDED))
        *out_ended = true;
}

// A connection to the monitor that tells us of the end; -1: it does not run.
static int watch_end(struct engine *en, const char *id)
{
    struct err ignored;
    own(fd) int sock = record_connect(en, id, &ignored);
    struct record_message m = {.kind = MESSAGE_WAIT};
    if (sock < 0 || record_message_ask(sock, &m, NULL, &ignored) < 0) return -1;
    return take_fd(sock);
}

static int follow(struct engine *en, const char *id, struct walk *w, struct record_log_reader *r,
                  int inotify, struct err *e)
{
    for (;;) {
        struct record_state s;
        own(fd) int sock = watch_end(en, id);
        bool ended = sock < 0;
        while (!ended && !w->over) {
            if (read_all(w, r, e) < 0) return -1;
            if (!w->over) await(inotify, sock, -1, &ended);
        }
        if (read_all(w, r, e) < 0) return -1;
        if (w->over || record_state_load(en, id, &s, e) < 0) return w->over ? 0 : -1;
        // Not started yet: nothing of it is lost, the log begins with it.
        if (s.status != RECORD_CREATED && !record_status_alive(s.status)) return 0;
        await(inotify, -1, 100, &ended);
    }
}

int record_logs(struct engine *en, const char *id, const struct record_logs_options *o,
                int (*each)(void *arg, const struct record_log_line *line, struct err *e),
                void *arg, struct err *e)
{
    own(record_config) struct record_config c = {0};
    struct record_log_options log;
    if (record_sweep(en, e) < 0 || record_config_load(en, id, &c, e) < 0 ||
        record_log_options_read(&c, &log, e) < 0)
        return -1;
    if (log.driver == LOG_NONE) {
        err_set(e, ERR_CONFLICT, "configured logging driver does not support reading");
        return err_hint(e, "the container was made with --log-driver none");
    }
    own(fd) int dir = record_dir(en, id, e);
    struct record_log_reader opened;
    if (dir < 0 || record_log_reader_open(&opened, log.driver, dir, e) < 0) return -1;
    own(record_log_reader) struct record_log_reader r = opened;
    own(fd) int inotify = -1;
    if (o->follow) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", r.dir);
        inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (inotify < 0 || inotify_add_watch(inotify, path, WATCHED) < 0)
            return err_sys(e, "watch the container's log");
    }
    if (o->has_tail && record_log_reader_tail(&r, o->tail, e) < 0) return -1;
    struct walk w = {.o = o, .each = each, .arg = arg};
    int rc = o->follow ? follow(en, id, &w, &r, inotify, e) : read_all(&w, &r, e);
    // --rm took it away while we looked: that is its end.
    if (rc < 0 && o->follow && e->kind == ERR_NOT_FOUND) {
        err_clear(e);
        return read_all(&w, &r, e);
    }
    return rc;
}
