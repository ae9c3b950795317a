// SPDX-License-Identifier: Apache-2.0
// Reading a log while it is written and rotated. Files move from name to name, so a reader knows
// its place by the file it has open: it reads that to the end, looks under which name it is now,
// and goes on with the next younger one. Only who falls behind by all files misses something.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"
#include "base/vec.h"
#include "record/log.h"

#define CHUNK 65536
#define RECORD_MAX (LOG_LINE * 6 + 4096) // every byte escaped
#define FILES_MAX 1001

static void file_name(unsigned i, char out[32])
{
    snprintf(out, 32, i ? LOG_NAME ".%u" : LOG_NAME, i);
}

static int open_number(const struct record_log_reader *r, unsigned i)
{
    char name[32];
    file_name(i, name);
    return openat(r->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

static unsigned count_files(const struct record_log_reader *r)
{
    char name[32];
    unsigned n = 0;
    for (; n < FILES_MAX; n++) {
        file_name(n, name);
        // While the newest is moved there is none for a moment.
        if (!fs_exists(r->dir, name) && n > 0) break;
    }
    return n;
}

// The number that our file has now; -1: it was deleted.
static int number_of(const struct record_log_reader *r, ino_t inode)
{
    char name[32];
    struct stat st;
    for (unsigned i = 0, n = count_files(r); i < n; i++) {
        file_name(i, name);
        if (fstatat(r->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == inode)
            return (int)i;
    }
    return -1;
}

static void use_file(struct record_log_reader *r, int fd)
{
    own_fd(&r->fd);
    r->fd = fd;
    r->at = 0;
    str_clear(&r->buf);
}

int record_log_reader_open(struct record_log_reader *r, enum record_log_driver driver,
                           int container_dir, struct err *e)
{
    *r = (struct record_log_reader){.driver = driver, .fd = -1, .dir = -1};
    if (mkdirat(container_dir, "log", 0700) != 0 && errno != EEXIST)
        return err_sys(e, "make the log folder");
    r->dir = fs_open_dir(container_dir, "log", e);
    if (r->dir < 0) return -1;
    for (unsigned n = count_files(r); n-- > 0 && r->fd < 0;) r->fd = open_number(r, n);
    return 0;
}

void record_log_reader_close(struct record_log_reader *r)
{
    own_fd(&r->fd);
    own_fd(&r->dir);
    str_fini(&r->buf);
    str_fini(&r->text);
    r->fd = r->dir = -1;
}

// true: the next file is open.
static bool next_file(struct record_log_reader *r)
{
    struct stat st;
    if (r->fd < 0) {
        int fd = open_number(r, 0);
        if (fd >= 0) use_file(r, fd);
        return fd >= 0;
    }
    if (fstat(r->fd, &st) != 0) return false;
    int i = number_of(r, st.st_ino);
    if (i == 0) return false;
    int fd = -1;
    if (i > 0) fd = open_number(r, (unsigned)i - 1);
    for (unsigned n = count_files(r); i < 0 && fd < 0 && n-- > 0;) fd = open_number(r, n);
    struct stat got;
    if (fd < 0) return false;
    if (fstat(fd, &got) != 0 || got.st_ino == st.st_ino) { // moved while we looked
        close(fd);
        return false;
    }
    use_file(r, fd);
    return true;
}

// false: nothing came.
static bool refill(struct record_log_reader *r)
{
    char chunk[CHUNK];
    if (r->fd < 0) return false;
    if (r->at) {
        memmove(r->buf.p, r->buf.p + r->at, r->buf.n - r->at);
        str_cut(&r->buf, r->buf.n - r->at);
        r->at = 0;
    }
    ssize_t n;
    do n = read(r->fd, chunk, sizeof chunk);
    while (n < 0 && errno == EINTR);
    if (n <= 0) return false;
    str_add(&r->buf, (struct sv){chunk, (size_t)n});
    return true;
}

int record_log_reader_next(struct record_log_reader *r, struct record_log_entry *out, struct err *e)
{
    (void)e;
    for (;;) {
        bool ok = false;
        struct sv rest = sv_from(str_sv(&r->buf), r->at);
        size_t n = record_log_parse(r->driver, rest, &r->text, out, &ok);
        r->at += n;
        if (n && ok) return 1;
        if (n) continue;
        if (rest.n > RECORD_MAX) r->at = r->buf.n; // no record is that long
        if (refill(r)) continue;
        // A torn tail in a file that was moved away will get no end any more. Look once more at the
        // file when the next one is there: what was written in between counts.
        struct stat st;
        if (r->fd >= 0 && (fstat(r->fd, &st) != 0 || number_of(r, st.st_ino) == 0)) return 0;
        if (refill(r)) continue;
        if (!next_file(r)) return 0;
    }
}

// --- the last lines ----------------------------------------------------------------------------

struct places {
    off_t *p;
    size_t n;
    size_t cap;
};
static void own_places(struct places *v)
{
    vec_fini(v);
}

// Where each record of one file begins.
static int scan(struct record_log_reader *r, struct places *out)
{
    struct record_log_entry rec;
    off_t base = 0;
    for (;;) {
        bool ok = false;
        struct sv rest = sv_from(str_sv(&r->buf), r->at);
        size_t n;
        if (r->driver == LOG_JSON) { // a line is a record: no need to look inside
            const char *end = rest.n ? memchr(rest.p, '\n', rest.n) : NULL;
            n = end ? (size_t)(end - rest.p) + 1 : 0;
            ok = true;
        } else {
            n = record_log_parse(r->driver, rest, &r->text, &rec, &ok);
        }
        if (n && ok) vec_push(out, base + (off_t)r->at);
        r->at += n;
        if (n) continue;
        if (rest.n > RECORD_MAX) r->at = r->buf.n;
        base += (off_t)r->at;
        if (!refill(r)) return 0;
    }
}

uint64_t record_log_reader_whole(enum record_log_driver driver, int fd, uint64_t size)
{
    struct record_log_reader r = {.driver = driver, .fd = fd, .dir = -1};
    struct record_log_entry rec;
    uint64_t whole = 0;
    char last = '\0';
    if (driver == LOG_JSON && pread(fd, &last, 1, (off_t)size - 1) == 1 && last == '\n') return size;
    do {
        bool ok = false;
        size_t n;
        while ((n = record_log_parse(driver, sv_from(str_sv(&r.buf), r.at), &r.text, &rec, &ok))) {
            r.at += n;
            whole += n;
        }
        if (r.buf.n - r.at > RECORD_MAX) whole = size; // no log of ours
    } while (whole < size && refill(&r));
    str_fini(&r.buf);
    str_fini(&r.text);
    return whole;
}

int record_log_reader_tail(struct record_log_reader *r, uint64_t lines, struct err *e)
{
    unsigned files = count_files(r);
    for (unsigned i = 0; i < files; i++) {
        own(places) struct places places = {0};
        int fd = open_number(r, i);
        if (fd < 0) continue;
        use_file(r, fd);
        if (scan(r, &places) < 0) return -1;
        bool enough = places.n >= lines;
        off_t from = !enough ? 0 : lines ? places.p[places.n - lines] : lseek(fd, 0, SEEK_END);
        if (lines == 0 && r->buf.n > r->at) from -= (off_t)(r->buf.n - r->at); // a torn one
        if (lseek(fd, from, SEEK_SET) < 0) return err_sys(e, "read the log");
        r->at = 0;
        str_clear(&r->buf);
        if (enough) return 0;
        lines -= places.n;
    }
    return 0;
}
