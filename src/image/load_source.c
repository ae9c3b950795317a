// SPDX-License-Identifier: Apache-2.0
// Reads archives of images (see image/load.h): what lies where, and layers into workers.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/own.h"
#include "image/internal.h"
#include "image/load.h"

#define ENTRIES_MAX 100000
#define TEXT_TOTAL_MAX ((size_t)48 << 20)
#define CHUNK ((size_t)256 * 1024)
#define PEEK 1024

// --- entries ------------------------------------------------------------------------------------

void image_load_entry_free(void *entry)
{
    struct image_load_entry *x = entry;
    if (!x) return;
    free(x->path);
    free(x->link);
    free(x->why);
    str_fini(&x->text);
    free(x);
}

static char *clean(const char *path)
{
    own(str) struct str out = {0};
    own(free) char *rooted = str_fmt("/%s", path);  // ".." stops at the archive's top
    fs_clean(sv_of(rooted), &out);
    return str_dup(str_z(&out) + 1);
}

static char *clean_link(const char *path, const char *target)
{
    if (target[0] == '/') return clean(target);
    const char *slash = strrchr(path, '/');
    own(free) char *joined =
        str_fmt("%.*s/%s", slash ? (int)(slash - path) : 0, path, target);
    return clean(joined);
}

static struct image_load_entry *add_entry(struct image_load *l, const char *path)
{
    own(free) char *name = clean(path);
    struct image_load_entry *x = mem_alloc(sizeof *x);
    x->path = str_dup(name);
    snprintf(x->name, sizeof x->name, "l%zu", l->serial++);
    map_set(&l->entries, name, x);
    return x;
}

static struct image_load_entry *find_in_folder(struct image_load *l, const char *path)
{
    struct stat st;
    own(fd) int fd = fs_in_try(&l->root, path, O_PATH, 0);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return NULL;
    struct image_load_entry *x = add_entry(l, path);
    x->size = (uint64_t)st.st_size;
    return x;
}

struct image_load_entry *image_load_find(struct image_load *l, const char *path)
{
    own(free) char *name = clean(path);
    for (int hops = 0; hops < 16; hops++) {
        struct image_load_entry *x = map_get(&l->entries, name);
        if (!x && l->kind == IMAGE_LOAD_FOLDER) return find_in_folder(l, name);
        if (!x || !x->link) return x;
        free(name);
        name = str_dup(x->link);
    }
    return NULL;
}

int image_load_open(struct image_load *l, const struct image_load_entry *x, uint64_t *out_from,
                    uint64_t *out_size, struct err *e)
{
    *out_size = x->size;
    *out_from = x->offset;
    if (l->kind == IMAGE_LOAD_FOLDER) return fs_in_open(&l->root, x->path, O_RDONLY, 0, e);
    int fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 3);
    return fd < 0 ? err_sys(e, "duplicate a descriptor") : fd;
}

static int read_range(int fd, uint64_t from, uint64_t size, struct str *out, struct err *e)
{
    char buf[16384];
    while (size > 0) {
        ssize_t n = pread(fd, buf, size < sizeof buf ? (size_t)size : sizeof buf, (off_t)from);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_sys(e, "read the archive");
        if (n == 0) return err_set(e, ERR_INPUT, "the archive ends early");
        str_add(out, (struct sv){buf, (size_t)n});
        from += (uint64_t)n;
        size -= (uint64_t)n;
    }
    return str_check(out, e);
}

int image_load_text(struct image_load *l, const char *path, size_t max, struct str *out,
                    struct err *e)
{
    struct image_load_entry *x = image_load_find(l, path);
    if (!x) return 0;
    uint64_t size = x->has_text ? x->text.n : x->size;
    if (size > max) {
        return err_set(e, ERR_LIMIT, "'%s' in the archive is larger than %zu bytes", path, max);
    }
    if (x->has_text) {
        str_add(out, str_sv(&x->text));
        return 1;
    }
    if (l->kind == IMAGE_LOAD_STREAM) {
        return err_set(e, ERR_INPUT, "'%s' in the archive is not a JSON text", path);
    }
    uint64_t from = 0;
    own(fd) int fd = image_load_open(l, x, &from, &size, e);
    if (fd < 0) return -1;
    return read_range(fd, from, size, out, e) < 0 ? err_wrap(e, "reading '%s'", path) : 1;
}

// --- workers ------------------------------------------------------------------------------------

struct range {
    int fd;
    uint64_t at;
    uint64_t left;
};

static ssize_t range_read(void *arg, void *buf, size_t n, struct err *e)
{
    struct range *r = arg;
    if (n > r->left) n = (size_t)r->left;
    if (n == 0) return 0;
    ssize_t got;
    do got = pread(r->fd, buf, n, (off_t)r->at);
    while (got < 0 && errno == EINTR);
    if (got < 0) return err_sys(e, "read the archive");
    if (got == 0) return err_set(e, ERR_INPUT, "the archive ends early");
    r->at += (uint64_t)got;
    r->left -= (uint64_t)got;
    return got;
}

static bool compressed(const unsigned char *p, size_t n)
{
    static const struct {
        const char *magic;
        size_t n;
    } kinds[] = {{"\x1f\x8b", 2}, {"\x28\xb5\x2f\xfd", 4}, {"\xfd" "7zXZ", 5}, {"BZh", 3}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (n >= kinds[i].n && memcmp(p, kinds[i].magic, kinds[i].n) == 0) return true;
    }
    return false;
}

struct unpack_arg {
    struct image_load *l;
    struct image_load_entry *x;
    const struct oci_digest *diff;
    const struct oci_digest *blob;
    int read_fd;   // STREAM: the pipe
    int write_fd;
    bool keep;
};

static int unpack_range(void *arg, struct err *e)
{
    struct unpack_arg *a = arg;
    struct range r = {.fd = -1};
    unsigned char head[8] = {0};
    own(fd) int fd = image_load_open(a->l, a->x, &r.at, &r.left, e);
    if (fd < 0) return -1;
    r.fd = fd;
    ssize_t n = pread(fd, head, r.left < sizeof head ? (size_t)r.left : sizeof head, (off_t)r.at);
    const struct store_layer_put put = {
        .src = {.read = range_read, .arg = &r},
        .want_diff = a->diff,
        .want_blob = a->blob,
        .want_size = a->x->size,
        .keep_blob = a->blob && n > 0 && compressed(head, (size_t)n),
    };
    return store_layer_unpack(a->l->en, &a->l->tmp, a->x->name, &put, e);
}

static int unpack_pipe(void *arg, struct err *e)
{
    struct unpack_arg *a = arg;
    close(a->write_fd);
    const struct store_layer_put put = {
        .src = codec_source_fd(&a->read_fd),
        .want_blob = a->blob,
        .want_size = a->x->size,
        .keep_blob = a->keep,
    };
    return store_layer_unpack(a->l->en, &a->l->tmp, a->x->name, &put, e);
}

// A layer that failed is remembered: it is an error only if an image needs it.
static int reap(struct image_load *l, unsigned i)
{
    struct image_load_slot *s = &l->slot[i];
    struct err why = {0};
    int rc = proc_worker_wait(&s->worker, &why);
    s->entry->state = rc < 0 ? IMAGE_LOAD_FAILED : IMAGE_LOAD_UNPACKED;
    if (rc < 0) {
        s->entry->why = mem_alloc(sizeof why);
        *s->entry->why = why;
    }
    event_emit(&l->en->sink, (struct event){.kind = rc < 0 ? EVENT_FAILED : EVENT_DONE,
                                            .id = (uint64_t)(uintptr_t)s->entry,
                                            .text = rc < 0 ? sv_of(err_cause(&why)) : SV("")});
    *s = l->slot[--l->busy];
    return rc;
}

static int wait_one(struct image_load *l, struct err *e)
{
    struct pollfd fds[IMAGE_LOAD_WORKERS_MAX];
    for (unsigned i = 0; i < l->busy; i++) {
        fds[i] = (struct pollfd){.fd = l->slot[i].worker.proc.fd, .events = POLLIN};
    }
    int n;
    do n = poll(fds, l->busy, -1);
    while (n < 0 && errno == EINTR);
    if (n < 0) return err_sys(e, "wait for a worker");
    for (unsigned i = l->busy; i-- > 0;) {
        if (fds[i].revents) return reap(l, i) < 0 ? 0 : 1;
    }
    return 0;
}

static int start(struct image_load *l, int (*fn)(void *arg, struct err *e), struct unpack_arg *a,
                 struct err *e)
{
    while (l->busy >= l->workers) {
        if (wait_one(l, e) < 0) return -1;
    }
    struct image_load_slot *s = &l->slot[l->busy];
    if (proc_worker_start(fn, a, &s->worker, e) < 0) return -1;
    s->entry = a->x;
    a->x->state = IMAGE_LOAD_RUNNING;
    l->busy++;
    own(free) char *name = str_fmt("layer %s", a->x->path);
    event_emit(&l->en->sink, (struct event){.kind = EVENT_START, .name = name,
                                            .id = (uint64_t)(uintptr_t)a->x});
    return 0;
}

int image_load_start(struct image_load *l, struct image_load_entry *x,
                     const struct oci_digest *diff, const struct oci_digest *blob, struct err *e)
{
    struct unpack_arg a = {.l = l, .x = x, .diff = diff, .blob = blob};
    return start(l, unpack_range, &a, e);
}

int image_load_wait_all(struct image_load *l, struct err *e)
{
    while (l->busy > 0) {
        if (wait_one(l, e) < 0) return -1;
    }
    return 0;
}

void image_load_kill_all(struct image_load *l)
{
    struct err e = {0};
    for (unsigned i = 0; i < l->busy; i++) {
        proc_kill(&l->slot[i].worker.proc, SIGKILL);
        (void)proc_worker_wait(&l->slot[i].worker, &e);
    }
    l->busy = 0;
}

// --- a tar that can be read at any place --------------------------------------------------------

// The tar reader walks headers; what lies between [dead_from, dead_to) is content that nobody looks
// at, so it is not read: the reader gets whatever is in its buffer.
struct skipper {
    int fd;
    uint64_t at;
    uint64_t dead_from, dead_to;
    uint64_t seen;
};

static ssize_t skipper_read(void *arg, void *buf, size_t n, struct err *e)
{
    struct skipper *s = arg;
    if (s->at >= s->dead_from && s->at < s->dead_to) {
        if (n > s->dead_to - s->at) n = (size_t)(s->dead_to - s->at);
        s->at += n;
        return (ssize_t)n;
    }
    if (s->at < s->dead_from && n > s->dead_from - s->at) n = (size_t)(s->dead_from - s->at);
    ssize_t got;
    do got = pread(s->fd, buf, n, (off_t)s->at);
    while (got < 0 && errno == EINTR);
    if (got < 0) return err_sys(e, "read the archive");
    s->at += (uint64_t)got;
    return got;
}

static int skipper_seen(void *arg, const void *p, size_t n, bool content, struct err *e)
{
    struct skipper *s = arg;
    (void)p, (void)content, (void)e;
    s->seen += n;
    return 0;
}

static int note_entry(struct image_load *l, const struct codec_tar_entry *t,
                      struct image_load_entry **out, struct err *e)
{
    *out = NULL;
    if (l->entries.n >= ENTRIES_MAX) {
        return err_set(e, ERR_LIMIT, "the archive has more than %d entries", ENTRIES_MAX);
    }
    if (t->type == CODEC_TAR_SYMLINK) {
        add_entry(l, t->name)->link = clean_link(t->name, t->link);
    } else if (t->type == CODEC_TAR_HARDLINK) {
        add_entry(l, t->name)->link = clean(t->link);
    } else if (t->type == CODEC_TAR_FILE) {
        *out = add_entry(l, t->name);
        (*out)->size = t->size;
    }
    return 0;
}

static int scan_file(struct image_load *l, struct err *e)
{
    struct skipper s = {.fd = l->fd, .at = l->base};
    const struct codec_tar_seen seen = {.bytes = skipper_seen, .arg = &s};
    struct codec_source src = {.read = skipper_read, .arg = &s};
    own(codec_tar_reader) struct codec_tar_reader *reader = NULL;
    const struct codec_tar_entry *t = NULL;
    int rc = 0;
    if (codec_tar_reader_open(src, &seen, &reader, e) < 0) return -1;
    while ((rc = codec_tar_next(reader, &t, e)) == 1) {
        struct image_load_entry *x = NULL;
        if (note_entry(l, t, &x, e) < 0) return -1;
        if (!x) continue;
        x->offset = l->base + s.seen;
        s.dead_from = x->offset;
        s.dead_to = x->offset + x->size;
    }
    return rc;
}

// --- a stream -----------------------------------------------------------------------------------

// A tar header, or the zero block of an empty archive.
static bool tar_start(const unsigned char *p, size_t n)
{
    unsigned sum = 0;
    uint32_t want = 0;
    bool zero = true;
    if (n < 512) return false;
    for (size_t i = 0; i < 512; i++) {
        sum += i >= 148 && i < 156 ? ' ' : p[i];
        zero = zero && p[i] == 0;
    }
    if (zero) return true;
    char digits[9] = "";
    memcpy(digits, p + 148, 8);
    struct sv text = sv_trim(sv_of(digits));
    uint32_t got = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '7') return false;
        got = got * 8 + (uint32_t)(text.p[i] - '0');
    }
    want = sum;
    return got == want;
}

static bool looks_like_text(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] == ' ' || p[i] == '\n' || p[i] == '\r' || p[i] == '\t') continue;
        return p[i] == '{' || p[i] == '[';
    }
    return false;
}

static bool layer_path(const char *path)
{
    struct sv p = sv_of(path);
    return sv_ends(p, ".tar") || sv_starts(p, "blobs/") || sv_ends(p, ".tar.gz") ||
           sv_ends(p, ".tgz");
}

static ssize_t read_full(struct codec_tar_reader *reader, unsigned char *buf, size_t n,
                         struct err *e)
{
    size_t have = 0;
    while (have < n) {
        ssize_t got = codec_tar_read(reader, buf + have, n - have, e);
        if (got < 0) return -1;
        if (got == 0) break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

static int keep_text(struct image_load *l, struct image_load_entry *x,
                     struct codec_tar_reader *reader, struct sv head, struct err *e)
{
    unsigned char buf[16384];
    l->text_bytes += (size_t)x->size;
    if (l->text_bytes > TEXT_TOTAL_MAX) {
        return err_set(e, ERR_LIMIT, "the archive holds more than %zu bytes of JSON texts",
                       TEXT_TOTAL_MAX);
    }
    str_add(&x->text, head);
    x->has_text = true;
    while (true) {
        ssize_t n = codec_tar_read(reader, buf, sizeof buf, e);
        if (n <= 0) return (int)n;
        str_add(&x->text, (struct sv){(const char *)buf, (size_t)n});
    }
}

static int feed(struct codec_tar_reader *reader, int fd, struct sv head, char *buf, struct err *e)
{
    struct err gone = {0};
    bool broken = fs_write_all(fd, head.p, head.n, &gone) < 0;
    while (true) {
        ssize_t n = codec_tar_read(reader, buf, CHUNK, e);
        if (n <= 0) return (int)n;
        // A worker that stopped has an error of its own; the rest of the archive is still read.
        if (!broken) broken = fs_write_all(fd, buf, (size_t)n, &gone) < 0;
    }
}

static int stream_layer(struct image_load *l, struct image_load_entry *x,
                        struct codec_tar_reader *reader, struct sv head, char *buf, struct err *e)
{
    int ends[2];
    struct oci_digest blob = {0};
    bool named = sv_starts(sv_of(x->path), "blobs/sha256/") &&
                 oci_digest_parse_hex(sv_of(x->path + sizeof "blobs/sha256/" - 1), &blob);
    if (pipe2(ends, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    own(fd) int rd = ends[0];
    own(fd) int wr = ends[1];
    fcntl(wr, F_SETPIPE_SZ, 1 << 20);
    struct unpack_arg a = {.l = l, .x = x, .blob = named ? &blob : NULL, .read_fd = rd,
                           .write_fd = wr};
    a.keep = named && compressed((const unsigned char *)head.p, head.n);
    if (start(l, unpack_pipe, &a, e) < 0) return -1;
    close(take_fd(rd));
    return feed(reader, wr, head, buf, e);
}

static int stream_entry(struct image_load *l, struct image_load_entry *x,
                        struct codec_tar_reader *reader, char *buf, struct err *e)
{
    unsigned char head[PEEK];
    ssize_t n = read_full(reader, head, sizeof head, e);
    if (n < 0) return -1;
    struct sv start_bytes = {(const char *)head, (size_t)n};
    if (x->size <= LIMIT_CONFIG && looks_like_text(head, (size_t)n)) {
        return keep_text(l, x, reader, start_bytes, e);
    }
    if (!layer_path(x->path)) return 0;
    if (!compressed(head, (size_t)n) && !tar_start(head, (size_t)n)) return 0;
    return stream_layer(l, x, reader, start_bytes, buf, e);
}

static int scan_stream(struct image_load *l, struct err *e)
{
    own(codec_unzip) struct codec_unzip *unzip = NULL;
    own(codec_tar_reader) struct codec_tar_reader *reader = NULL;
    own(free) char *buf = mem_alloc(CHUNK);
    const struct codec_tar_entry *t = NULL;
    int rc = 0;
    if (codec_unzip_open(codec_source_fd(&l->fd), LIMIT_LAYER_BYTES, &unzip, e) < 0) return -1;
    if (codec_tar_reader_open(image_rootfs_unzipped(unzip), NULL, &reader, e) < 0) return -1;
    while ((rc = codec_tar_next(reader, &t, e)) == 1) {
        struct image_load_entry *x = NULL;
        if (note_entry(l, t, &x, e) < 0) return -1;
        if (x && stream_entry(l, x, reader, buf, e) < 0) return -1;
    }
    return rc < 0 ? -1 : image_load_wait_all(l, e);
}

// --- which of them ------------------------------------------------------------------------------

int image_load_scan(struct image_load *l, struct err *e)
{
    struct stat st;
    unsigned char head[512];
    if (fstat(l->fd, &st) != 0) return err_sys(e, "stat the archive");
    if (S_ISDIR(st.st_mode)) {
        l->kind = IMAGE_LOAD_FOLDER;
        l->root = (struct root){.fd = l->fd, .label = "the image folder"};
        return 0;
    }
    off_t at = S_ISREG(st.st_mode) ? lseek(l->fd, 0, SEEK_CUR) : -1;
    if (at >= 0 && pread(l->fd, head, sizeof head, at) == (ssize_t)sizeof head &&
        tar_start(head, sizeof head)) {
        l->kind = IMAGE_LOAD_TARFILE;
        l->base = (uint64_t)at;
        return scan_file(l, e);
    }
    l->kind = IMAGE_LOAD_STREAM;
    struct sigaction old;
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, &old);
    int rc = scan_stream(l, e);
    sigaction(SIGPIPE, &old, NULL);
    return rc;
}
