// SPDX-License-Identifier: Apache-2.0
#include "store/event.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"

#define NEW "events"
#define OLD "events.1"
#define APPEND (O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW)

// --- writing ------------------------------------------------------------------------------------

static bool is_current(struct engine *en, const struct stat *mine)
{
    struct stat there;
    return fstatat(en->run_fd, NEW, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           there.st_ino == mine->st_ino && there.st_dev == mine->st_dev;
}

// Whoever finds it full moves it away; the lock and the second look keep that to one.
static int open_log(struct engine *en, uint64_t *out_size)
{
    for (int i = 0; i < 3; i++) {
        own(fd) int fd = openat(en->run_fd, NEW, APPEND, 0600);
        struct stat mine;
        if (fd < 0 || fstat(fd, &mine) != 0) return -1;
        *out_size = (uint64_t)mine.st_size;
        if (*out_size < STORE_EVENTS_MAX) return take_fd(fd);
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) continue;  // somebody moves it right now
        if (is_current(en, &mine)) renameat(en->run_fd, NEW, en->run_fd, OLD);
    }
    return -1;
}

// A line that was cut off must not take ours along.
static bool is_torn(int fd, uint64_t size)
{
    char last;
    return size && pread(fd, &last, 1, (off_t)(size - 1)) == 1 && last != '\n';
}

static void append(struct engine *en, struct str *line)
{
    uint64_t size;
    own(fd) int fd = open_log(en, &size);
    if (fd < 0) return;
    const char *p = str_z(line);
    bool torn = is_torn(fd, size);
    // The first byte is a line's end that is there for this.
    ssize_t ignored = write(fd, p + !torn, line->n - !torn);
    (void)ignored;
}

void store_event_with(struct engine *en, const char *type, const char *action, const char *id,
                      struct codec_json *attributes)
{
    int64_t now = clock_real_ns();
    own(codec_json) struct codec_json *j = codec_json_new_object();
    struct codec_json *actor = codec_json_new_object();
    own(str) struct str line = {0};
    struct sv image = codec_json_text(codec_json_get(attributes, "image"));
    bool container = strcmp(type, "container") == 0;
    if (container || strcmp(type, "image") == 0) {  // for old readers
        codec_json_set_text(j, "status", action);
        codec_json_set_text(j, "id", id);
        if (container && image.n) codec_json_set(j, "from", codec_json_new_text(image));
    }
    codec_json_set_text(j, "Type", type);
    codec_json_set_text(j, "Action", action);
    codec_json_set_text(actor, "ID", id);
    codec_json_set(actor, "Attributes", attributes);
    codec_json_set(j, "Actor", actor);
    codec_json_set_text(j, "scope", "local");
    codec_json_set(j, "time", codec_json_new_int(now / 1000000000));
    codec_json_set(j, "timeNano", codec_json_new_int(now));
    str_addc(&line, '\n');
    codec_json_print(j, &line);
    str_addc(&line, '\n');
    if (line.n <= STORE_EVENT_LINE) append(en, &line);
}

void store_event(struct engine *en, const char *type, const char *action, const char *id,
                 const char *const *more)
{
    struct codec_json *attributes = codec_json_new_object();
    for (; more && more[0] && more[1]; more += 2) codec_json_set_text(attributes, more[0], more[1]);
    store_event_with(en, type, action, id, attributes);
}

void store_event_pruned(struct engine *en, const char *type, uint64_t freed)
{
    own(free) char *number = str_fmt("%" PRIu64, freed);
    store_event(en, type, "prune", "", (const char *const[]){"reclaimed", number, NULL});
}

// --- reading ------------------------------------------------------------------------------------

static void close_file(struct store_event_file *f)
{
    own_fd(&f->fd);
    str_fini(&f->buf);
    *f = (struct store_event_file){.fd = -1};
}

void store_event_close(struct store_event_reader *r)
{
    close_file(&r->files[0]);
    close_file(&r->files[1]);
}

static bool same_file(int a, int b)
{
    struct stat x, y;
    return a >= 0 && b >= 0 && fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino &&
           x.st_dev == y.st_dev;
}

// Both files as they are now. Between our two looks the one may become the other.
static void open_both(struct engine *en, int fds[2])
{
    fds[0] = fds[1] = -1;
    for (int i = 0; i < 3; i++) {
        own_fd(&fds[0]);
        own_fd(&fds[1]);
        fds[1] = openat(en->run_fd, NEW, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        fds[0] = openat(en->run_fd, OLD, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (!same_file(fds[0], fds[1])) return;
    }
}

// The file that we followed was moved, perhaps more than once. true: there is something new.
static bool reopen(struct engine *en, struct store_event_reader *r)
{
    struct stat mine;
    struct store_event_file *old = &r->files[0], *now = &r->files[1];
    int fds[2];
    if (now->fd >= 0 && fstat(now->fd, &mine) == 0 && is_current(en, &mine)) return false;
    open_both(en, fds);
    if (fds[1] < 0 || same_file(fds[1], now->fd)) {
        bool first = now->fd < 0 && old->fd < 0 && fds[0] >= 0;
        if (first) old->fd = take_fd(fds[0]);
        own_fd(&fds[0]);
        own_fd(&fds[1]);
        return first;
    }
    if (now->fd >= 0 && same_file(fds[0], now->fd)) {
        close_file(old);  // late writers still reach the one that moved
        *old = *now;
        *now = (struct store_event_file){.fd = -1};
        own_fd(&fds[0]);
    } else if (!same_file(fds[0], old->fd)) {
        close_file(old);
        old->fd = fds[0];
    } else {
        own_fd(&fds[0]);
    }
    close_file(now);
    now->fd = fds[1];
    return true;
}

void store_event_skip(struct engine *en, struct store_event_reader *r)
{
    reopen(en, r);
    for (int i = 0; i < 2; i++)
        if (r->files[i].fd >= 0) lseek(r->files[i].fd, 0, SEEK_END);
}

static bool next_line(struct store_event_file *f, struct sv *out)
{
    struct sv rest = sv_from(str_sv(&f->buf), f->at);
    const char *end = rest.n ? memchr(rest.p, '\n', rest.n) : NULL;
    if (!end) return false;
    *out = (struct sv){rest.p, (size_t)(end - rest.p)};
    f->at += out->n + 1;
    return true;
}

static bool refill(struct store_event_file *f)
{
    char buf[65536];
    if (f->fd < 0) return false;
    if (f->at) {
        memmove(f->buf.p, f->buf.p + f->at, f->buf.n - f->at);
        str_cut(&f->buf, f->buf.n - f->at);
        f->at = 0;
    }
    if (f->buf.n > 2 * STORE_EVENT_LINE) str_clear(&f->buf);  // no writer of ours made that
    ssize_t n;
    do n = read(f->fd, buf, sizeof buf);
    while (n < 0 && errno == EINTR);
    if (n > 0) str_add(&f->buf, (struct sv){buf, (size_t)n});
    return n > 0;
}

int store_event_next(struct engine *en, struct store_event_reader *r, struct sv *out)
{
    do {
        for (int i = 0; i < 2; i++) {
            struct store_event_file *f = &r->files[i];
            do
                if (next_line(f, out)) return 1;
            while (refill(f));
        }
    } while (reopen(en, r));
    return 0;
}
