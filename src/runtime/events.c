// SPDX-License-Identifier: Apache-2.0
#include "runtime/events.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/own.h"
#include "codec/json.h"
#include "runtime/state.h"

#define OPEN (O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW)

// Whoever finds it full moves it away; the lock and the second look keep that to one.
static int open_log(struct engine *en)
{
    for (int i = 0; i < 3; i++) {
        own(fd) int fd = openat(en->run_fd, "events", OPEN, 0600);
        struct stat mine, there;
        if (fd < 0 || fstat(fd, &mine) != 0) return -1;
        if ((uint64_t)mine.st_size < RUNTIME_EVENTS_MAX) return take_fd(fd);
        if (flock(fd, LOCK_EX) != 0) return -1;
        if (fstatat(en->run_fd, "events", &there, 0) == 0 && there.st_ino == mine.st_ino)
            renameat(en->run_fd, "events", en->run_fd, "events.1");
    }
    return -1;
}

// An image's own events have the form of the rest: status, id and from stand there for old readers.
static void write_event(struct engine *en, const char *type, const char *action, const char *id,
                        struct codec_json *attributes)
{
    int64_t now = clock_real_ns();
    own(codec_json) struct codec_json *j = codec_json_new_object();
    struct codec_json *actor = codec_json_new_object();
    own(str) struct str line = {0};
    codec_json_set_text(j, "status", action);
    codec_json_set_text(j, "id", id);
    struct sv image = codec_json_text(codec_json_get(attributes, "image"));
    if (image.n) codec_json_set(j, "from", codec_json_new_text(image));
    codec_json_set_text(j, "Type", type);
    codec_json_set_text(j, "Action", action);
    codec_json_set_text(actor, "ID", id);
    codec_json_set(actor, "Attributes", attributes);
    codec_json_set(j, "Actor", actor);
    codec_json_set_text(j, "scope", "local");
    codec_json_set(j, "time", codec_json_new_int(now / 1000000000));
    codec_json_set(j, "timeNano", codec_json_new_int(now));
    codec_json_print(j, &line);
    str_addc(&line, '\n');
    own(fd) int fd = open_log(en);
    ssize_t ignored = fd < 0 ? 0 : write(fd, line.p, line.n);
    (void)ignored;
}

static void add_more(struct codec_json *attributes, const char *const *more)
{
    for (; more && more[0] && more[1]; more += 2) codec_json_set_text(attributes, more[0], more[1]);
}

void runtime_event_container(struct engine *en, const struct runtime_brief *b, const char *action,
                             const char *const *more)
{
    struct codec_json *attributes = codec_json_new_object();
    add_more(attributes, more);
    codec_json_set_text(attributes, "image", b->image);
    codec_json_set_text(attributes, "name", b->name);
    write_event(en, "container", action, b->id, attributes);
}

void runtime_event(struct engine *en, const char *type, const char *action, const char *id,
                   const char *const *more)
{
    struct codec_json *attributes = codec_json_new_object();
    add_more(attributes, more);
    write_event(en, type, action, id, attributes);
}

// --- reading -----------------------------------------------------------------------------------

void runtime_events_open(struct runtime_events *r)
{
    *r = (struct runtime_events){.fd = -1};
}

void runtime_events_close(struct runtime_events *r)
{
    own_fd(&r->fd);
    r->fd = -1;
    str_fini(&r->buf);
}

static bool next_line(struct runtime_events *r, struct sv *out)
{
    struct sv rest = sv_from(str_sv(&r->buf), r->at);
    const char *end = rest.n ? memchr(rest.p, '\n', rest.n) : NULL;
    if (!end) return false;
    *out = (struct sv){rest.p, (size_t)(end - rest.p)};
    r->at += out->n + 1;
    return true;
}

static void refill(struct runtime_events *r)
{
    char buf[65536];
    if (r->at) {
        memmove(r->buf.p, r->buf.p + r->at, r->buf.n - r->at);
        str_cut(&r->buf, r->buf.n - r->at);
        r->at = 0;
    }
    ssize_t n;
    do n = read(r->fd, buf, sizeof buf);
    while (n < 0 && errno == EINTR);
    if (n > 0) str_add(&r->buf, (struct sv){buf, (size_t)n});
}

// The old file first, then the current one; when that was moved away, the one in its place.
static bool next_file(struct engine *en, struct runtime_events *r)
{
    static const char *const names[] = {"events.1", "events"};
    struct stat mine, there;
    if (r->stage > 1 && r->fd >= 0 && fstat(r->fd, &mine) == 0 &&
        fstatat(en->run_fd, "events", &there, 0) == 0 && there.st_ino == mine.st_ino)
        return false;
    int fd = openat(en->run_fd, names[r->stage > 0], O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (r->stage < 2) r->stage++;
    if (fd < 0) return r->stage < 2;
    own_fd(&r->fd);
    r->fd = fd;
    str_clear(&r->buf);
    r->at = 0;
    return true;
}

int runtime_events_next(struct engine *en, struct runtime_events *r, struct sv *out, struct err *e)
{
    (void)e;
    for (int i = 0; i < 4; i++) {
        if (next_line(r, out)) return 1;
        if (r->fd >= 0) {
            size_t before = r->buf.n - r->at;
            refill(r);
            if (next_line(r, out)) return 1;
            if (r->buf.n > before) continue;
        }
        if (!next_file(en, r)) return 0;
    }
    return 0;
}
