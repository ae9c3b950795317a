// SPDX-License-Identifier: Apache-2.0
// The one reader over all compressed forms. It owns the input buffer, tells formats apart by their
// first bytes, strings members and frames together and enforces the caps, so that the files of the
// formats hold nothing but the calls of their library.
#include "codec/unzip.h"

#include <errno.h>

#include "base/engine.h"
#include "base/own.h"
#include "codec/internal.h"

#define UNZIP_BUFFER ((size_t)256 << 10)
#define UNZIP_FREE_BYTES ((uint64_t)64 << 20)  // before this much output no ratio is looked at
#define MAGIC_MAX CODEC_GZIP_HEAD

struct codec_unzip {
    struct codec_source src;
    enum codec_zip kind;
    const struct codec_unzip_ops *ops;
    void *state;
    bool in_member, any_member, ended;
    unsigned char *buf;
    struct codec_piece in;
    uint64_t in_total, out_total, max;
    struct codec_gzip_mark mark;  // of the last member that had one
    bool marked;                  // this one has
    uint64_t member_from;         // where it began
};

static const struct {
    const char *name;
    const struct codec_unzip_ops *ops;
} kinds[CODEC_ZIP_COUNT] = {
    [CODEC_ZIP_NONE] = {"none", NULL},
    [CODEC_ZIP_GZIP] = {"gzip", &codec_gzip_ops},
    [CODEC_ZIP_ZSTD] = {"zstd", &codec_zstd_ops},
    [CODEC_ZIP_XZ] = {"xz", &codec_xz_ops},
    [CODEC_ZIP_BZIP2] = {"bzip2", &codec_bzip2_ops},
};

const char *codec_zip_name(enum codec_zip z)
{
    return z < CODEC_ZIP_COUNT ? kinds[z].name : "?";
}

static ssize_t read_fd(void *arg, void *buf, size_t n, struct err *e)
{
    ssize_t got;
    do got = read(*(int *)arg, buf, n);
    while (got < 0 && errno == EINTR);
    return got < 0 ? err_sys(e, "read the archive") : got;
}

struct codec_source codec_source_fd(int *fd)
{
    return (struct codec_source){read_fd, fd};
}

static bool has(const struct codec_piece *in, const char *bytes, size_t n)
{
    return in->n >= n && memcmp(in->p, bytes, n) == 0;
}

static enum codec_zip kind_of(const struct codec_piece *in)
{
    if (has(in, "\x1f\x8b\x08", 3)) return CODEC_ZIP_GZIP;
    if (has(in, "\x28\xb5\x2f\xfd", 4)) return CODEC_ZIP_ZSTD;
    if (in->n >= 4 && (in->p[0] & 0xf0) == 0x50 && memcmp(in->p + 1, "\x2a\x4d\x18", 3) == 0)
        return CODEC_ZIP_ZSTD;  // a skippable frame
    if (has(in, "\xfd" "7zXZ", 6)) return CODEC_ZIP_XZ;
    // "BZh" could begin a file name in a tar; the block mark behind it settles it.
    if (has(in, "BZh", 3) && in->n >= 10 &&
        (memcmp(in->p + 4, "\x31\x41\x59\x26\x53\x59", 6) == 0 ||
         memcmp(in->p + 4, "\x17\x72\x45\x38\x50\x90", 6) == 0))
        return CODEC_ZIP_BZIP2;
    return CODEC_ZIP_NONE;
}

// Fills the buffer until at least `want` bytes are there or the source ends.
static int fill(struct codec_unzip *u, size_t want, struct err *e)
{
    if (u->in.n >= want) return 0;
    if (u->in.n > 0 && u->in.p != u->buf) memmove(u->buf, u->in.p, u->in.n);
    u->in.p = u->buf;
    while (u->in.n < want && !u->ended) {
        ssize_t got = u->src.read(u->src.arg, u->buf + u->in.n, UNZIP_BUFFER - u->in.n, e);
        if (got < 0) return -1;
        if (got == 0) u->ended = true;
        u->in.n += (size_t)got;
        u->in_total += (uint64_t)got;
    }
    return 0;
}

int codec_unzip_open(struct codec_source src, uint64_t max_bytes, struct codec_unzip **out,
                     struct err *e)
{
    own(codec_unzip) struct codec_unzip *u = mem_alloc(sizeof *u);
    u->src = src;
    u->max = max_bytes;
    u->buf = mem_alloc(UNZIP_BUFFER);
    u->in.p = u->buf;
    if (fill(u, MAGIC_MAX, e) < 0) return -1;
    u->kind = kind_of(&u->in);
    u->ops = kinds[u->kind].ops;
    if (u->ops && u->ops->open(&u->state, e) < 0) return -1;
    *out = take_ptr(u);
    return 0;
}

void codec_unzip_close(struct codec_unzip *u)
{
    if (!u) return;
    if (u->state) u->ops->close(u->state);
    free(u->buf);
    free(u);
}

enum codec_zip codec_unzip_kind(const struct codec_unzip *u)
{
    return u->kind;
}

static int count(struct codec_unzip *u, size_t n, struct err *e)
{
    u->out_total += n;
    if (u->out_total > u->max)
        return err_set(e, ERR_LIMIT, "the archive holds more than %llu bytes",
                       (unsigned long long)u->max);
    if (u->max != UINT64_MAX && u->kind != CODEC_ZIP_NONE && u->out_total > UNZIP_FREE_BYTES &&
        u->out_total / LIMIT_RATIO > u->in_total)
        return err_set(e, ERR_LIMIT, "%s data expands more than %d times", codec_zip_name(u->kind),
                       LIMIT_RATIO);
    return 0;
}

// Members of our own say which one they are: a stream that lacks one is refused although every reader
// of plain gzip would be content. `more`: another member begins.
static int check_order(struct codec_unzip *u, bool more, struct err *e)
{
    bool inside = u->marked && !u->mark.last;
    uint32_t want = inside ? u->mark.number + 1 : 0;
    struct codec_gzip_mark mark;
    if (u->kind != CODEC_ZIP_GZIP) return 0;
    if (!more && !inside) return 0;
    if (!more) return err_set(e, ERR_INPUT, "the gzip data ends before member %u", want);
    u->marked = codec_gzip_mark_find(&u->in, &mark);
    if (u->marked ? mark.number != want : inside)
        return err_set(e, ERR_INPUT, "the gzip data lacks member %u", want);
    if (u->marked) u->mark = mark;
    u->member_from = u->in_total - u->in.n;
    return 0;
}

static int check_size(const struct codec_unzip *u, struct err *e)
{
    if (!u->marked || u->in_total - u->in.n - u->member_from == u->mark.size) return 0;
    return err_set(e, ERR_INPUT, "member %u of the gzip data has not the size that it says",
                   u->mark.number);
}

// After a member: 1 when another one of the same kind begins, 0 at the end. Zero bytes up to the end
// are padding (tapes and some registries leave it); anything else is not ours to guess at.
static int next_member(struct codec_unzip *u, struct err *e)
{
    if (fill(u, MAGIC_MAX, e) < 0) return -1;
    bool more = !u->any_member || (u->in.n > 0 && kind_of(&u->in) == u->kind);
    if (check_order(u, more, e) < 0) return -1;
    if (more) {
        u->any_member = u->in_member = true;
        return u->ops->begin(u->state, e) < 0 ? -1 : 1;
    }
    for (;;) {
        for (; u->in.n > 0; u->in.p++, u->in.n--)
            if (*u->in.p != 0)
                return err_set(e, ERR_INPUT, "there is something else behind the %s data",
                               codec_zip_name(u->kind));
        if (u->ended) return 0;
        if (fill(u, 1, e) < 0) return -1;
    }
}

static ssize_t read_plain(struct codec_unzip *u, void *buf, size_t n, struct err *e)
{
    if (u->in.n == 0 && !u->ended) {  // straight into the caller's buffer
        ssize_t got = u->src.read(u->src.arg, buf, n, e);
        if (got < 0) return -1;
        if (got == 0) u->ended = true;
        u->in_total += (uint64_t)got;
        return count(u, (size_t)got, e) < 0 ? -1 : got;
    }
    size_t take = n < u->in.n ? n : u->in.n;
    memcpy(buf, u->in.p, take);
    u->in.p += take;
    u->in.n -= take;
    return count(u, take, e) < 0 ? -1 : (ssize_t)take;
}

ssize_t codec_unzip_read(struct codec_unzip *u, void *buf, size_t n, struct err *e)
{
    if (n == 0) return 0;
    if (!u->ops) return read_plain(u, buf, n, e);
    for (;;) {
        if (!u->in_member) {
            int rc = next_member(u, e);
            if (rc <= 0) return rc;
        }
        size_t had = u->in.n, made = n;
        int rc = u->ops->step(u->state, &u->in, buf, &made, e);
        if (rc < 0) return -1;
        if (rc == 1) u->in_member = false;
        if (rc == 1 && check_size(u, e) < 0) return -1;
        if (made > 0) return count(u, made, e) < 0 ? -1 : (ssize_t)made;
        if (rc == 1 || u->in.n > 0) {
            if (rc == 0 && u->in.n == had)
                return err_set(e, ERR_INPUT, "%s data makes no progress", codec_zip_name(u->kind));
            continue;
        }
        if (fill(u, 1, e) < 0) return -1;
        if (u->in.n == 0)
            return err_set(e, ERR_INPUT, "the %s data ends in the middle", codec_zip_name(u->kind));
    }
}
