// SPDX-License-Identifier: Apache-2.0
// The writing side of a container's log, and the two record formats both ways. Rotation is by
// rename, so that a reader that has the old file open reads it to its end and then finds the next.
#include "record/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/own.h"
#include "record/log_lines.h"
#include "record/log_ring.h"
#include "record/state.h"

// --- one record to text ------------------------------------------------------------------------

// Length of the valid UTF-8 sequence at p, 0 if there is none.
static size_t utf8_len(const unsigned char *p, size_t n)
{
    size_t len = p[0] < 0x80 ? 1 : (p[0] & 0xe0) == 0xc0 ? 2 : (p[0] & 0xf0) == 0xe0 ? 3 : 4;
    return len <= n && sv_is_utf8((struct sv){(const char *)p, len}) ? len : 0;
}

static void add_json_text(struct str *out, struct sv v)
{
    const unsigned char *p = (const unsigned char *)v.p;
    for (size_t i = 0; i < v.n;) {
        char *to = str_room(out, v.n - i);
        if (!to) return;
        size_t plain = log_plain_copy(to, sv_from(v, i));
        str_claim(out, to + plain);
        i += plain;
        if (i == v.n) return;
        size_t len = p[i] >= 0x80 ? utf8_len(p + i, v.n - i) : 1;
        if (p[i] >= 0x80 && len)
            str_add(out, (struct sv){v.p + i, len});
        else if (p[i] >= 0x80)
            str_addz(out, "\\ufffd");
        else if (p[i] == '\n')
            str_addz(out, "\\n");
        else if (p[i] == '"' || p[i] == '\\')
            str_add(out, (struct sv){(const char[]){'\\', (char)p[i]}, 2});
        else
            str_addf(out, "\\u%04x", p[i]);
        i += len ? len : 1;
    }
}

static void add_time(struct str *out, int64_t ns)
{
    time_t seconds = (time_t)(ns / 1000000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    str_addf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%09dZ", tm.tm_year + 1900, tm.tm_mon + 1,
             tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(ns % 1000000000));
}

#define JSON_BEGIN "{\"log\":\""
#define JSON_NEWLINE "\\n"

// What the records of one stream and moment share, so that a batch makes it once. json-file: their
// end, as it is behind a whole line; local: their beginning.
static void print_shared(enum record_log_driver driver, int stream, struct sv attrs, int64_t ns,
                         struct str *out)
{
    if (driver == LOG_LOCAL) {
        str_addf(out, "%lld %c", (long long)ns, stream == LOG_STDERR ? 'e' : 'o');
        return;
    }
    str_addf(out, JSON_NEWLINE "\",\"stream\":\"%s\"", stream == LOG_STDERR ? "stderr" : "stdout");
    if (attrs.n) str_addf(out, ",\"attrs\":%.*s", (int)attrs.n, attrs.p);
    str_addz(out, ",\"time\":\"");
    add_time(out, ns);
    str_add(out, SV("\"}\n"));
}

static void print_json(struct sv text, struct sv shared, struct str *out)
{
    bool line = text.n && text.p[text.n - 1] == '\n';
    if (line) text.n--;
    str_add(out, SV(JSON_BEGIN));
    add_json_text(out, text);
    str_add(out, line ? shared : sv_from(shared, sizeof JSON_NEWLINE - 1));
}

static void print_local(const struct record_log_entry *rec, struct sv shared, struct str *out)
{
    char head[16], *p = head + sizeof head;
    size_t n = rec->text.n;
    *--p = '\n';
    do *--p = (char)('0' + n % 10);
    while (n /= 10);
    *--p = ' ';
    *--p = rec->partial ? 'P' : 'F';
    char *to = str_room(out, shared.n + sizeof head + rec->text.n);
    if (!to) return;
    to = log_copy(to, shared);
    to = log_copy(to, (struct sv){p, (size_t)(head + sizeof head - p)});
    str_claim(out, log_copy(to, rec->text));
}

static void print_record(enum record_log_driver driver, const struct record_log_entry *rec,
                         struct sv shared, struct str *out)
{
    if (driver == LOG_LOCAL)
        print_local(rec, shared, out);
    else
        print_json(rec->text, shared, out);
}

void record_log_print(enum record_log_driver driver, const struct record_log_entry *rec,
                      struct str *out)
{
    own(str) struct str shared = {0};
    print_shared(driver, rec->stream, rec->attrs, rec->time_ns, &shared);
    print_record(driver, rec, str_sv(&shared), out);
}

// --- text to one record ------------------------------------------------------------------------

static bool hex4(const char *p, unsigned *out)
{
    unsigned v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0) return false;
        v = v << 4 | (unsigned)d;
    }
    *out = v;
    return true;
}

static void add_code_point(struct str *out, unsigned c)
{
    char b[4];
    if (c < 0x80) {
        str_addc(out, (char)c);
        return;
    }
    int n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (int i = n - 1; i > 0; i--, c >>= 6) b[i] = (char)(0x80 | (c & 0x3f));
    b[0] = (char)(lead[n] | c);
    str_add(out, (struct sv){b, (size_t)n});
}

// A JSON text behind its first quote, up to and with its last; bytes used, 0 when it is damaged.
static size_t unescape(struct sv v, struct str *out)
{
    static const char from[] = "ntr\"\\/bf", to[] = "\n\t\r\"\\/\b\f";
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '"') return i + 1;
        size_t start = i;
        while (i < v.n && v.p[i] != '"' && v.p[i] != '\\') i++;
        str_add(out, sv_part(v, start, i - start));
        if (i >= v.n) return 0;
        if (v.p[i] == '"') return i + 1;
        if (++i >= v.n) return 0;
        const char *known = strchr(from, v.p[i]);
        unsigned c, low;
        if (v.p[i] == 'u') {
            if (v.n - i < 5 || !hex4(v.p + i + 1, &c)) return 0;
            i += 4;
            if (c >= 0xd800 && c < 0xdc00 && v.n - i > 6 && v.p[i + 1] == '\\' &&
                v.p[i + 2] == 'u' && hex4(v.p + i + 3, &low) && low >= 0xdc00 && low < 0xe000) {
                c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                i += 6;
            }
            add_code_point(out, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
        } else if (known && v.p[i]) {
            str_addc(out, to[known - from]);
        } else {
            return 0;
        }
    }
    return 0;
}

static bool parse_time(struct sv text, int64_t *out)
{
    int64_t seconds, ns = 0;
    if (!clock_parse(text, &seconds)) return false;
    long dot = sv_find(text, '.');
    if (dot >= 0) {
        int64_t unit = 100000000;
        for (size_t i = (size_t)dot + 1; i < text.n && text.p[i] >= '0' && text.p[i] <= '9' && unit;
             i++, unit /= 10)
            ns += (text.p[i] - '0') * unit;
    }
    *out = seconds * 1000000000 + ns;
    return true;
}

static bool skip(struct sv *v, const char *what)
{
    if (!sv_starts(*v, what)) return false;
    *v = sv_from(*v, strlen(what));
    return true;
}

// An object of texts, as it stands there.
static bool cut_object(struct sv *v, struct sv *out)
{
    bool in_text = false;
    if (v->n == 0 || v->p[0] != '{') return false;
    for (size_t i = 1; i < v->n; i++) {
        if (in_text && v->p[i] == '\\')
            i++;
        else if (v->p[i] == '"')
            in_text = !in_text;
        else if (!in_text && v->p[i] == '}') {
            *out = sv_part(*v, 0, i + 1);
            *v = sv_from(*v, i + 1);
            return true;
        }
    }
    return false;
}

static bool parse_json(struct sv line, struct str *store, struct record_log_entry *out)
{
    if (!skip(&line, "{\"log\":\"")) return false;
    str_clear(store);
    out->attrs = SV("");
    size_t n = unescape(line, store);
    if (n == 0) return false;
    line = sv_from(line, n);
    out->text = str_sv(store);
    out->partial = out->text.n == 0 || out->text.p[out->text.n - 1] != '\n';
    if (skip(&line, ",\"stream\":\"stderr\""))
        out->stream = LOG_STDERR;
    else if (skip(&line, ",\"stream\":\"stdout\""))
        out->stream = LOG_STDOUT;
    else
        return false;
    if (skip(&line, ",\"attrs\":") && !cut_object(&line, &out->attrs)) return false;
    if (!skip(&line, ",\"time\":\"")) return false;
    long end = sv_find(line, '"');
    return end >= 0 && parse_time(sv_part(line, 0, (size_t)end), &out->time_ns) &&
           sv_eqz(sv_from(line, (size_t)end), "\"}");
}

static size_t parse_local(struct sv text, struct sv line, struct record_log_entry *out, bool *ok)
{
    struct sv rest = line, ns = sv_cut(&rest, ' '), kind = rest.p ? sv_cut(&rest, ' ') : rest;
    uint64_t len;
    *ok = num_i64(ns, &out->time_ns) && kind.n == 2 && (kind.p[0] == 'o' || kind.p[0] == 'e') &&
          (kind.p[1] == 'F' || kind.p[1] == 'P') && rest.p && num_u64_max(rest, LOG_LINE, &len);
    if (!*ok) return line.n + 1;
    if (text.n - line.n - 1 < len) return 0;
    out->stream = kind.p[0] == 'e' ? LOG_STDERR : LOG_STDOUT;
    out->attrs = SV("");
    out->partial = kind.p[1] == 'P';
    out->text = sv_part(text, line.n + 1, (size_t)len);
    return line.n + 1 + (size_t)len;
}

size_t record_log_parse(enum record_log_driver driver, struct sv text, struct str *store,
                        struct record_log_entry *out, bool *ok)
{
    const char *end = text.n ? memchr(text.p, '\n', text.n) : NULL;
    if (!end) return 0;
    struct sv line = {text.p, (size_t)(end - text.p)};
    if (driver == LOG_LOCAL) return parse_local(text, line, out, ok);
    *ok = parse_json(line, store, out);
    return line.n + 1;
}

// --- writing -----------------------------------------------------------------------------------

#define LOG_MUCH 65536 // bytes that are worth to be written by somebody else
#define LOG_CACHED ((uint64_t)32 << 20) // of a file, that stay in memory in any case
#define LOG_CLEAN ((uint64_t)16 << 20)
#define LOG_CLEAN_MAX ((uint64_t)1 << 30)

static int open_file(struct record_log_writer *w, struct err *e)
{
    w->fd = openat(w->dir, LOG_NAME, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat st;
    if (w->fd < 0 || fstat(w->fd, &st) != 0) return err_sys(e, "open the container's log");
    w->size = w->cleaned = (uint64_t)st.st_size;
    return 0;
}

// What a power cut or a kill tore off is cut off, before the next record is swallowed by it.
static int mend(struct record_log_writer *w, struct err *e)
{
    if (w->size == 0) return 0;
    own(fd) int fd = openat(w->dir, LOG_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return err_sys(e, "open the container's log");
    uint64_t whole = record_log_reader_whole(w->options.driver, fd, w->size);
    if (whole == w->size) return 0;
    if (ftruncate(w->fd, (off_t)whole) != 0) return err_sys(e, "mend the container's log");
    w->size = whole;
    return 0;
}

int record_log_writer_open(struct record_log_writer *w, const struct record_log_options *o, int dir,
                           struct err *e)
{
    *w = (struct record_log_writer){.options = *o, .dir = -1, .fd = -1};
    if (o->driver == LOG_NONE) return 0;
    if (mkdirat(dir, "log", 0700) != 0 && errno != EEXIST) return err_sys(e, "make the log folder");
    w->dir = fs_open_dir(dir, "log", e);
    return w->dir < 0 || open_file(w, e) < 0 ? -1 : mend(w, e);
}

static int settle(struct record_log_writer *w, struct err *e);

static int rotate(struct record_log_writer *w, struct err *e)
{
    char from[32], to[32];
    struct err second;
    int rc = settle(w, e);
    for (unsigned i = w->options.max_file; i-- > 0;) {
        snprintf(from, sizeof from, i ? LOG_NAME ".%u" : LOG_NAME, i);
        snprintf(to, sizeof to, LOG_NAME ".%u", i + 1);
        if (i + 1 == w->options.max_file)
            unlinkat(w->dir, from, 0);
        else
            renameat(w->dir, from, w->dir, to);
    }
    close(take_fd(w->fd));
    return open_file(w, rc < 0 ? &second : e) < 0 ? -1 : rc;
}

// All or nothing of a batch: a record that was written in part would spoil the next. `n`: what write said
// of `size` bytes, which w->size does not count.
static int account(struct record_log_writer *w, ssize_t n, size_t size, struct err *e)
{
    if (n == (ssize_t)size) {
        w->size += (uint64_t)n;
        w->failed = false;
        return 0;
    }
    if (n > 0) {
        errno = ENOSPC;
        if (ftruncate(w->fd, (off_t)w->size) != 0) w->size += (uint64_t)n;
    }
    bool said = w->failed;
    w->failed = true;
    return said ? 0 : err_sys(e, "write the container's log");
}

// Waits for the batch that is under way.
static int settle(struct record_log_writer *w, struct err *e)
{
    size_t size = w->flying.n;
    if (size == 0) return 0;
    ssize_t n = log_ring_wait(w->ring);
    w->size -= size;
    str_clear(&w->flying);
    return account(w, n, size, e);
}

// A log that grows fast and far leaves the memory of the machine to others: its older bytes go to disk
// and out of the page cache. Each step looks at two before it again, which are on disk by then.
static void clean(struct record_log_writer *w)
{
    uint64_t written = w->size - w->flying.n, again = 2 * LOG_CLEAN;
    if (written < LOG_CACHED || written < w->cleaned + LOG_CLEAN) return;
    uint64_t start = w->cleaned > again ? w->cleaned - again : 0, n = written - start;
    if (n > LOG_CLEAN_MAX) n = LOG_CLEAN_MAX;
    if (log_ring_clean(w->ring, w->fd, start, n)) w->cleaned = start + n;
}

// False: it has to be written here.
static bool take_off(struct record_log_writer *w)
{
    if (w->out.n < LOG_MUCH || w->ringless) return false;
    if (!w->ring) w->ring = log_ring_open();
    w->ringless = !w->ring || log_ring_write(w->ring, w->fd, w->out.p, w->out.n) < 0;
    if (w->ringless) return false;
    struct str empty = w->flying;
    w->flying = w->out;
    w->out = empty;
    w->size += w->flying.n;
    clean(w);
    return true;
}

static int write_out(struct record_log_writer *w, struct err *e)
{
    if (w->out.n == 0) return 0;
    int rc = settle(w, e);
    if (w->fd < 0 && open_file(w, e) < 0) {
        str_clear(&w->out);
        return -1;
    }
    if (take_off(w)) return rc;
    ssize_t n;
    do n = write(w->fd, w->out.p, w->out.n);
    while (n < 0 && errno == EINTR);
    if (account(w, n, w->out.n, e) < 0) rc = -1;
    str_clear(&w->out);
    return rc;
}

static struct sv shared_of(struct record_log_writer *w, int stream, int64_t now_ns)
{
    struct str *shared = &w->shared[stream];
    if (w->shared_ns[stream] != now_ns || shared->n == 0) {
        str_clear(shared);
        print_shared(w->options.driver, stream, str_sv(&w->attrs), now_ns, shared);
        w->shared_ns[stream] = now_ns;
    }
    return str_sv(shared);
}

static int add_record(struct record_log_writer *w, int stream, struct sv text, bool partial,
                      int64_t now_ns, struct err *e)
{
    struct record_log_entry rec = {.stream = stream, .partial = partial, .time_ns = now_ns, .text = text};
    size_t before = w->out.n;
    print_record(w->options.driver, &rec, shared_of(w, stream, now_ns), &w->out);
    uint64_t max = w->options.max_size;
    if (max == 0 || w->size + w->out.n <= max || w->size + before == 0) return 0;
    own(str) struct str last = {0};
    str_add(&last, sv_from(str_sv(&w->out), before));
    str_cut(&w->out, before);
    int rc = write_out(w, e);
    struct err second;
    if (rotate(w, rc < 0 ? &second : e) < 0) rc = -1;
    str_add(&w->out, str_sv(&last));
    return rc;
}

// The lines in front that need no care: what is left.
static struct sv add_lines(struct record_log_writer *w, int stream, struct sv bytes, int64_t now_ns)
{
    uint64_t max = w->options.max_size, room = max > w->size ? max - w->size : 0;
    if (w->options.driver != LOG_JSON || w->part[stream].n) return bytes;
    size_t n = log_lines(bytes, SV(JSON_BEGIN), shared_of(w, stream, now_ns), max ? room : SIZE_MAX,
                         &w->out);
    return sv_from(bytes, n);
}

int record_log_writer_add(struct record_log_writer *w, int stream, struct sv bytes, int64_t now_ns,
                          struct err *e)
{
    int rc = 0;
    struct err later;
    struct str *part = &w->part[stream];
    if (w->dir < 0) return 0;
    while ((bytes = add_lines(w, stream, bytes, now_ns)).n) {
        size_t room = LOG_LINE - part->n, n = bytes.n < room ? bytes.n : room;
        const char *end = memchr(bytes.p, '\n', n);
        if (end) n = (size_t)(end - bytes.p) + 1;
        struct sv piece = sv_part(bytes, 0, n);
        bytes = sv_from(bytes, n);
        if (!end && part->n + n < LOG_LINE) {
            str_add(part, piece);
            break;
        }
        if (part->n) {
            str_add(part, piece);
            piece = str_sv(part);
        }
        if (add_record(w, stream, piece, !end, now_ns, rc < 0 ? &later : e) < 0) rc = -1;
        str_clear(part);
    }
    if (write_out(w, rc < 0 ? &later : e) < 0) rc = -1;
    return rc;
}

int record_log_writer_flush(struct record_log_writer *w, int64_t now_ns, struct err *e)
{
    for (int i = 0; i < LOG_STREAMS && w->dir >= 0; i++) {
        if (w->part[i].n && add_record(w, i, str_sv(&w->part[i]), false, now_ns, e) < 0) return -1;
        str_clear(&w->part[i]);
    }
    int rc = w->dir < 0 ? 0 : write_out(w, e);
    return settle(w, e) < 0 ? -1 : rc;
}

static void end_ring(struct record_log_writer *w)
{
    struct err ignored;
    settle(w, &ignored);
    log_ring_close(w->ring);
    w->ring = NULL;
    str_fini(&w->flying);
}

void record_log_writer_shrink(struct record_log_writer *w)
{
    end_ring(w);
    str_fini(&w->out);
    for (int i = 0; i < LOG_STREAMS; i++)
        if (w->part[i].n == 0) str_fini(&w->part[i]);
}

void record_log_writer_close(struct record_log_writer *w)
{
    end_ring(w);
    own_fd(&w->fd);
    own_fd(&w->dir);
    w->fd = w->dir = -1;
    for (int i = 0; i < LOG_STREAMS; i++) {
        str_fini(&w->part[i]);
        str_fini(&w->shared[i]);
    }
    str_fini(&w->out);
    str_fini(&w->attrs);
}
