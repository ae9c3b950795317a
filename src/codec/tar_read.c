// SPDX-License-Identifier: Apache-2.0
// Reads tar. An archive is a row of blocks of 512 bytes; an entry is
//   (extension headers: pax 'x' and 'g', GNU 'L' and 'K')*  header  [sparse map]  content  padding
// and two zero blocks end it. Everything behind them is read (it counts for the digest) and ignored.
// An archive that ends at the border of an entry without zero blocks is accepted: some writers leave
// them out, and where it matters a digest or a size says that all is there.
// Extension headers are kept under LIMIT_PAX, names under LIMIT_NAME, before memory is taken.
#include <limits.h>

#include "base/engine.h"
#include "base/num.h"
#include "base/own.h"
#include "codec/tar_internal.h"

#define TAR_BUFFER ((size_t)256 << 10)
#define TAR_EXTENSIONS 64  // extension headers in a row

struct codec_tar_reader {
    struct codec_source src;
    struct codec_tar_seen seen;
    unsigned char *buf;
    size_t at, end;   // unread bytes of buf
    bool ended;       // the source is at its end
    uint64_t offset;  // of the next byte in the archive
    uint64_t start;   // of the current entry's first header

    struct codec_tar_entry entry;
    struct codec_tar_pax global, pax;
    char *long_name, *long_link;
    bool plain;       // content bytes are file bytes one to one
    uint64_t stored;  // bytes of content left in the archive
    uint64_t pad;     // padding behind them
    struct codec_tar_map map;  // of a sparse file
    size_t piece;              // current one
    uint64_t logical;          // position in the sparse file
    uint64_t entries;
};

int codec_tar_reader_open(struct codec_source src, const struct codec_tar_seen *seen,
                          struct codec_tar_reader **out, struct err *e)
{
    (void)e;
    struct codec_tar_reader *r = mem_alloc(sizeof *r);
    r->src = src;
    if (seen) r->seen = *seen;
    r->buf = mem_alloc(TAR_BUFFER);
    *out = r;
    return 0;
}

void codec_tar_reader_close(struct codec_tar_reader *r)
{
    if (!r) return;
    codec_tar_entry_fini(&r->entry);
    codec_tar_pax_fini(&r->global);
    codec_tar_pax_fini(&r->pax);
    vec_fini(&r->map);
    free(r->long_name);
    free(r->long_link);
    free(r->buf);
    free(r);
}

// --- bytes ----------------------------------------------------------------------------------------

static int see(struct codec_tar_reader *r, const void *p, size_t n, bool content, struct err *e)
{
    r->offset += n;
    return r->seen.bytes ? r->seen.bytes(r->seen.arg, p, n, content, e) : 0;
}

// Makes unread bytes available; 0 at the end of the source.
static int fill(struct codec_tar_reader *r, struct err *e)
{
    if (r->at < r->end) return 1;
    if (r->ended) return 0;
    ssize_t got = r->src.read(r->src.arg, r->buf, TAR_BUFFER, e);
    if (got < 0) return -1;
    r->at = 0;
    r->end = (size_t)got;
    r->ended = got == 0;
    return got > 0;
}

// Reads up to n bytes; fewer only at the end of the source.
static ssize_t take(struct codec_tar_reader *r, void *out, size_t n, struct err *e)
{
    size_t done = 0;
    while (done < n) {
        int rc = fill(r, e);
        if (rc < 0) return -1;
        if (rc == 0) break;
        size_t k = n - done < r->end - r->at ? n - done : r->end - r->at;
        memcpy((char *)out + done, r->buf + r->at, k);
        if (see(r, r->buf + r->at, k, false, e) < 0) return -1;
        r->at += k;
        done += k;
    }
    return (ssize_t)done;
}

static const char *named(const struct codec_tar_reader *r)
{
    return r->entry.name ? r->entry.name : "?";
}

static int truncated(struct codec_tar_reader *r, struct err *e)
{
    if (!r->entry.name)
        return err_set(e, ERR_INPUT, "the archive ends at byte %llu, inside the header at byte %llu",
                       (unsigned long long)r->offset, (unsigned long long)r->start);
    return err_set(e, ERR_INPUT, "the archive ends at byte %llu, inside '%s' that begins at byte %llu",
                   (unsigned long long)r->offset, named(r), (unsigned long long)r->start);
}

static int skip(struct codec_tar_reader *r, uint64_t n, bool content, struct err *e)
{
    while (n > 0) {
        int rc = fill(r, e);
        if (rc < 0) return -1;
        if (rc == 0) return truncated(r, e);
        size_t k = n < r->end - r->at ? (size_t)n : r->end - r->at;
        if (see(r, r->buf + r->at, k, content, e) < 0) return -1;
        r->at += k;
        n -= k;
    }
    return 0;
}

static int drain(struct codec_tar_reader *r, struct err *e)
{
    for (;;) {
        int rc = fill(r, e);
        if (rc <= 0) return rc;
        if (see(r, r->buf + r->at, r->end - r->at, false, e) < 0) return -1;
        r->at = r->end;
    }
}

// --- headers --------------------------------------------------------------------------------------

static bool is_zero(const struct codec_tar_header *h)
{
    const char *p = (const char *)h;
    return p[0] == '\0' && memcmp(p, p + 1, TAR_BLOCK - 1) == 0;
}

// 1: a header, 0: the end of the archive.
static int read_header(struct codec_tar_reader *r, struct codec_tar_header *h, struct err *e)
{
    ssize_t got = take(r, h, TAR_BLOCK, e);
    if (got < 0) return -1;
    if (got == 0) return 0;
    if (got < TAR_BLOCK) return truncated(r, e);
    if (is_zero(h)) return drain(r, e) < 0 ? -1 : 0;
    int64_t want = 0;
    int32_t sum_signed;
    uint32_t sum = codec_tar_sum(h, &sum_signed);
    if (!codec_tar_number(h->chksum, sizeof h->chksum, &want) ||
        (want != sum && want != sum_signed)) {
        err_set(e, ERR_INPUT, "the header at byte %llu is damaged (bad check sum)",
                (unsigned long long)(r->offset - TAR_BLOCK));
        return r->entries ? -1 : err_hint(e, "is this a tar archive?");
    }
    return 1;
}

static int field(struct codec_tar_reader *r, const char *what, const char *p, size_t n,
                 uint64_t *out, struct err *e)
{
    int64_t v = 0;
    if (codec_tar_number(p, n, &v) && v >= 0) {
        *out = (uint64_t)v;
        return 0;
    }
    return err_set(e, ERR_INPUT, "the header at byte %llu has a bad %s",
                   (unsigned long long)(r->offset - TAR_BLOCK), what);
}

static char *text_field(const char *p, size_t n)
{
    return sv_dup((struct sv){p, strnlen(p, n)});
}

// Reads the content of an extension header; *out is heap and NUL-terminated.
static int read_extension(struct codec_tar_reader *r, const struct codec_tar_header *h,
                          struct str *out, struct err *e)
{
    uint64_t n = 0;
    if (field(r, "size", h->size, sizeof h->size, &n, e) < 0) return -1;
    if (n > LIMIT_PAX)
        return err_set(e, ERR_LIMIT, "the extension header at byte %llu has %llu bytes, more than %zu",
                       (unsigned long long)(r->offset - TAR_BLOCK), (unsigned long long)n, LIMIT_PAX);
    char block[TAR_BLOCK];
    for (uint64_t left = n; left > 0;) {
        ssize_t got = take(r, block, TAR_BLOCK, e);
        if (got < 0) return -1;
        if (got < TAR_BLOCK) return truncated(r, e);
        size_t k = left < TAR_BLOCK ? (size_t)left : TAR_BLOCK;
        str_add(out, (struct sv){block, k});
        left -= k;
    }
    return 0;
}

// 1: h was an extension and is dealt with, 0: it is an entry.
static int read_if_extension(struct codec_tar_reader *r, const struct codec_tar_header *h,
                             struct err *e)
{
    if (!h->type || !strchr("xXgLKV", h->type)) return 0;
    own(str) struct str text = {0};
    if (read_extension(r, h, &text, e) < 0) return -1;
    if (h->type == 'L' || h->type == 'K') {
        char **to = h->type == 'L' ? &r->long_name : &r->long_link;
        free(*to);
        *to = text_field(str_z(&text), text.n);
    } else if (h->type == 'g') {
        if (codec_tar_pax_parse(str_sv(&text), &r->global, e) < 0) return -1;
        codec_tar_pax_copy(&r->global, &r->pax);
    } else if (h->type != 'V' && codec_tar_pax_parse(str_sv(&text), &r->pax, e) < 0) {
        return -1;
    }
    return 1;
}

static bool is_gnu(const struct codec_tar_header *h)
{
    return memcmp(h->magic, "ustar  ", 7) == 0;
}

static char *header_name(const struct codec_tar_header *h)
{
    own(free) char *name = text_field(h->name, sizeof h->name);
    // GNU and star use the prefix for other things ("tar\0" at the end is star's mark).
    bool ustar = memcmp(h->magic, "ustar", 6) == 0;
    bool star = ustar && memcmp(h->pad + 8, "tar", 4) == 0;
    if (!ustar || h->prefix[0] == '\0') return take_ptr(name);
    return str_fmt("%.*s/%s", (int)strnlen(h->prefix, star ? 131 : sizeof h->prefix), h->prefix, name);
}

static int entry_names(struct codec_tar_reader *r, const struct codec_tar_header *h, struct err *e)
{
    struct codec_tar_entry *t = &r->entry;
    if (r->pax.sparse_name) t->name = take_ptr(r->pax.sparse_name);
    else if (r->pax.path) t->name = take_ptr(r->pax.path);
    else if (r->long_name) t->name = take_ptr(r->long_name);
    else t->name = header_name(h);
    if (r->pax.linkpath) t->link = take_ptr(r->pax.linkpath);
    else if (r->long_link) t->link = take_ptr(r->long_link);
    else t->link = text_field(h->link, sizeof h->link);
    if (strlen(t->name) >= LIMIT_NAME || strlen(t->link) >= LIMIT_NAME)
        return err_set(e, ERR_LIMIT, "the entry at byte %llu has a name of more than %d bytes: '%.60s...'",
                       (unsigned long long)r->start, LIMIT_NAME, t->name);
    return 0;
}

static int entry_numbers(struct codec_tar_reader *r, const struct codec_tar_header *h,
                         uint64_t *out_stored, struct err *e)
{
    struct codec_tar_entry *t = &r->entry;
    uint64_t mode = 0, major = 0, minor = 0;
    if (field(r, "mode", h->mode, sizeof h->mode, &mode, e) < 0) return -1;
    t->mode = (uint32_t)mode & 07777;
    // Headers may hold rubbish where a pax record holds the truth.
    if (r->pax.has_uid) t->uid = r->pax.uid;
    else if (field(r, "user id", h->uid, sizeof h->uid, &t->uid, e) < 0) return -1;
    if (r->pax.has_gid) t->gid = r->pax.gid;
    else if (field(r, "group id", h->gid, sizeof h->gid, &t->gid, e) < 0) return -1;
    if (r->pax.has_size) *out_stored = r->pax.size;
    else if (field(r, "size", h->size, sizeof h->size, out_stored, e) < 0) return -1;
    if (r->pax.has_mtime) {
        t->mtime = r->pax.mtime;
        t->mtime_ns = r->pax.mtime_ns;
    } else if (!codec_tar_number(h->mtime, sizeof h->mtime, &t->mtime)) {
        return err_set(e, ERR_INPUT, "the header at byte %llu has a bad time",
                       (unsigned long long)(r->offset - TAR_BLOCK));
    }
    if (h->type != '3' && h->type != '4') return 0;
    if (field(r, "device number", h->major, sizeof h->major, &major, e) < 0 ||
        field(r, "device number", h->minor, sizeof h->minor, &minor, e) < 0)
        return -1;
    if (major > UINT32_MAX || minor > UINT32_MAX)
        return err_set(e, ERR_INPUT, "'%s' has a device number out of range", t->name);
    t->major = (uint32_t)major;
    t->minor = (uint32_t)minor;
    return 0;
}

static int entry_type(struct codec_tar_reader *r, char type, struct err *e)
{
    static const char letters[] = "012345670S";
    static const enum codec_tar_type types[] = {
        CODEC_TAR_FILE,  CODEC_TAR_HARDLINK, CODEC_TAR_SYMLINK, CODEC_TAR_CHAR, CODEC_TAR_BLOCK,
        CODEC_TAR_DIR,   CODEC_TAR_FIFO,     CODEC_TAR_FILE,    CODEC_TAR_FILE, CODEC_TAR_FILE,
    };
    const char *at = strchr(letters, type ? type : '0');
    if (!at)
        return err_set(e, ERR_INPUT, "'%s' at byte %llu has the unknown type 0x%02x", named(r),
                       (unsigned long long)r->start, (unsigned)(unsigned char)type);
    r->entry.type = types[at - letters];
    size_t n = strlen(r->entry.name);
    // Before POSIX a folder was a file whose name ends in a slash.
    if ((type == '0' || type == '\0') && n > 0 && r->entry.name[n - 1] == '/')
        r->entry.type = CODEC_TAR_DIR;
    return 0;
}

// --- sparse files ---------------------------------------------------------------------------------

static int add_piece(struct codec_tar_reader *r, uint64_t at, uint64_t n, struct err *e)
{
    if (r->map.n == TAR_SPARSE_MAX)
        return err_set(e, ERR_LIMIT, "'%s' has more than %zu pieces", named(r), TAR_SPARSE_MAX);
    vec_push(&r->map, (struct codec_tar_piece){at, n});
    return 0;
}

// Old GNU: pairs of 12-byte numbers, four in the header, more in blocks that follow.
static int gnu_pairs(struct codec_tar_reader *r, const char *p, size_t pairs, struct err *e)
{
    for (size_t i = 0; i < pairs && p[i * 24] != '\0'; i++) {
        uint64_t at = 0, n = 0;
        if (field(r, "sparse map", p + i * 24, 12, &at, e) < 0 ||
            field(r, "sparse map", p + i * 24 + 12, 12, &n, e) < 0 || add_piece(r, at, n, e) < 0)
            return -1;
    }
    return 0;
}

static int gnu_map(struct codec_tar_reader *r, const struct codec_tar_header *h, struct err *e)
{
    const char *raw = (const char *)h;
    char block[TAR_BLOCK];
    if (field(r, "real size", raw + 483, 12, &r->entry.size, e) < 0) return -1;
    if (gnu_pairs(r, raw + 386, 4, e) < 0) return -1;
    for (bool more = raw[482] != '\0'; more; more = block[504] != '\0') {
        ssize_t got = take(r, block, TAR_BLOCK, e);
        if (got < 0) return -1;
        if (got < TAR_BLOCK) return truncated(r, e);
        if (r->map.n == 0 && block[0] == '\0')
            return err_set(e, ERR_INPUT, "'%s' has an empty sparse map", named(r));
        if (gnu_pairs(r, block, 21, e) < 0) return -1;
    }
    return 0;
}

// pax 1.0: decimal numbers, one a line, in front of the content and padded to a block.
struct map_text {
    char block[TAR_BLOCK];
    size_t at;
    uint64_t *stored;  // what the map takes is not content
};

static int map_number(struct codec_tar_reader *r, struct map_text *m, uint64_t *out, struct err *e)
{
    char digits[24];
    for (size_t n = 0; n < sizeof digits; n++) {
        if (m->at == TAR_BLOCK) {
            if (*m->stored < TAR_BLOCK)
                return err_set(e, ERR_INPUT, "the sparse map of '%s' is longer than the file", named(r));
            ssize_t got = take(r, m->block, TAR_BLOCK, e);
            if (got < 0) return -1;
            if (got < TAR_BLOCK) return truncated(r, e);
            *m->stored -= TAR_BLOCK;
            m->at = 0;
        }
        digits[n] = m->block[m->at++];
        if (digits[n] == '\n' && num_u64_max((struct sv){digits, n}, INT64_MAX, out)) return 0;
    }
    return err_set(e, ERR_INPUT, "the sparse map of '%s' is damaged", named(r));
}

static int pax_1_0_map(struct codec_tar_reader *r, uint64_t *stored, struct err *e)
{
    struct map_text m = {.at = TAR_BLOCK, .stored = stored};
    uint64_t pieces = 0;
    if (map_number(r, &m, &pieces, e) < 0) return -1;
    for (uint64_t i = 0; i < pieces; i++) {
        uint64_t at = 0, n = 0;
        if (map_number(r, &m, &at, e) < 0 || map_number(r, &m, &n, e) < 0 ||
            add_piece(r, at, n, e) < 0)
            return -1;
    }
    return 0;
}

static int check_map(struct codec_tar_reader *r, uint64_t stored, struct err *e)
{
    uint64_t at = 0, sum = 0;
    vec_each(p, &r->map) {
        if (p->at < at || p->n > r->entry.size || p->at > r->entry.size - p->n)
            return err_set(e, ERR_INPUT, "the sparse map of '%s' does not fit its size", named(r));
        at = p->at + p->n;
        sum += p->n;
    }
    if (sum != stored)
        return err_set(e, ERR_INPUT, "the sparse map of '%s' does not fit its content", named(r));
    return 0;
}

static int entry_map(struct codec_tar_reader *r, const struct codec_tar_header *h, uint64_t *stored,
                     struct err *e)
{
    bool old = h->type == 'S' && is_gnu(h);
    r->plain = r->entry.type == CODEC_TAR_FILE && !old && !r->pax.sparse;
    if (r->entry.type != CODEC_TAR_FILE || r->plain) return 0;
    if (old) {
        if (gnu_map(r, h, e) < 0) return -1;
    } else {
        r->entry.size = r->pax.sparse_size;
        if (r->pax.map_half)
            return err_set(e, ERR_INPUT, "the sparse map of '%s' is half", named(r));
        if (r->pax.sparse_1_0 && pax_1_0_map(r, stored, e) < 0) return -1;
        if (!r->pax.sparse_1_0) {
            vec_fini(&r->map);
            r->map = r->pax.map;
            r->pax.map = (struct codec_tar_map){0};
        }
    }
    return check_map(r, *stored, e);
}

// --- entries --------------------------------------------------------------------------------------

static void forget_entry(struct codec_tar_reader *r)
{
    codec_tar_entry_fini(&r->entry);
    codec_tar_pax_copy(&r->global, &r->pax);
    free(take_ptr(r->long_name));
    free(take_ptr(r->long_link));
    r->map.n = 0;
    r->piece = 0;
    r->logical = 0;
    r->plain = false;
}

static int make_entry(struct codec_tar_reader *r, const struct codec_tar_header *h, struct err *e)
{
    uint64_t stored = 0;
    if (entry_names(r, h, e) < 0 || entry_type(r, h->type, e) < 0 ||
        entry_numbers(r, h, &stored, e) < 0)
        return -1;
    struct codec_tar_entry *t = &r->entry;
    t->xattrs = r->pax.xattrs;
    r->pax.xattrs = (struct codec_xattrs){0};
    if (t->type == CODEC_TAR_FILE) t->size = stored;
    else if (t->type != CODEC_TAR_DIR) stored = 0;  // links and nodes have none, whatever they say
    if (t->type == CODEC_TAR_DIR && h->type != '5') stored = 0;
    // A folder's size is a wish of some file systems, not content.
    if (h->type == '5') stored = 0;
    uint64_t pad_of = stored;
    if (entry_map(r, h, &stored, e) < 0) return -1;
    if (t->size > LIMIT_LAYER_BYTES || pad_of > LIMIT_LAYER_BYTES)
        return err_set(e, ERR_LIMIT, "'%s' claims %llu bytes, more than %llu", t->name,
                       (unsigned long long)t->size, (unsigned long long)LIMIT_LAYER_BYTES);
    if (t->type != CODEC_TAR_SYMLINK && t->type != CODEC_TAR_HARDLINK) free(take_ptr(t->link));
    r->stored = stored;
    r->pad = (TAR_BLOCK - pad_of % TAR_BLOCK) % TAR_BLOCK;
    if (++r->entries > LIMIT_TAR_ENTRIES)
        return err_set(e, ERR_LIMIT, "the archive has more than %llu entries",
                       (unsigned long long)LIMIT_TAR_ENTRIES);
    return 0;
}

int codec_tar_next(struct codec_tar_reader *r, const struct codec_tar_entry **out, struct err *e)
{
    if (skip(r, r->stored, r->plain, e) < 0) return -1;
    r->stored = 0;
    if (skip(r, r->pad, false, e) < 0) return -1;
    r->pad = 0;
    forget_entry(r);
    r->start = r->offset;
    for (int i = 0; i < TAR_EXTENSIONS; i++) {
        struct codec_tar_header h;
        int rc = read_header(r, &h, e);
        if (rc == 0 && i > 0) return truncated(r, e);
        if (rc <= 0) return rc;
        rc = read_if_extension(r, &h, e);
        if (rc < 0) {
            if (r->long_name || r->pax.path)
                return err_wrap(e, "in the headers of '%s'", r->pax.path ? r->pax.path : r->long_name);
            return err_wrap(e, "in the header at byte %llu", (unsigned long long)r->start);
        }
        if (rc == 1) continue;
        if (make_entry(r, &h, e) < 0) return -1;
        *out = &r->entry;
        return 1;
    }
    return err_set(e, ERR_LIMIT, "more than %d extension headers in a row at byte %llu", TAR_EXTENSIONS,
                   (unsigned long long)r->start);
}

// --- content --------------------------------------------------------------------------------------

static ssize_t read_stored(struct codec_tar_reader *r, void *buf, size_t n, struct err *e)
{
    if (n > r->stored) n = (size_t)r->stored;
    if (n == 0) return 0;
    if (r->at == r->end && n >= TAR_BUFFER / 4) {  // large reads go past our buffer
        ssize_t got = r->ended ? 0 : r->src.read(r->src.arg, buf, n, e);
        if (got < 0) return -1;
        if (got == 0) return truncated(r, e);
        r->stored -= (uint64_t)got;
        return see(r, buf, (size_t)got, r->plain, e) < 0 ? -1 : got;
    }
    int rc = fill(r, e);
    if (rc < 0) return -1;
    if (rc == 0) return truncated(r, e);
    size_t k = n < r->end - r->at ? n : r->end - r->at;
    memcpy(buf, r->buf + r->at, k);
    r->at += k;
    r->stored -= k;
    return see(r, buf, k, r->plain, e) < 0 ? -1 : (ssize_t)k;
}

// Bytes of hole at the current place; steps to the next piece of data.
static uint64_t hole_here(struct codec_tar_reader *r)
{
    if (r->plain || r->entry.type != CODEC_TAR_FILE) return 0;
    while (r->piece < r->map.n && r->logical >= r->map.p[r->piece].at + r->map.p[r->piece].n)
        r->piece++;
    uint64_t next = r->piece < r->map.n ? r->map.p[r->piece].at : r->entry.size;
    return next > r->logical ? next - r->logical : 0;
}

uint64_t codec_tar_hole(struct codec_tar_reader *r)
{
    uint64_t n = hole_here(r);
    r->logical += n;
    return n;
}

bool codec_tar_plain(const struct codec_tar_reader *r)
{
    return r->plain;
}

ssize_t codec_tar_read(struct codec_tar_reader *r, void *buf, size_t n, struct err *e)
{
    if (r->plain || n == 0) return read_stored(r, buf, n, e);
    uint64_t hole = hole_here(r);
    if (hole > 0) {
        size_t k = hole < n ? (size_t)hole : n;
        memset(buf, 0, k);
        r->logical += k;
        return (ssize_t)k;
    }
    if (r->piece == r->map.n) return 0;
    uint64_t left = r->map.p[r->piece].at + r->map.p[r->piece].n - r->logical;
    ssize_t got = read_stored(r, buf, left < n ? (size_t)left : n, e);
    if (got > 0) r->logical += (uint64_t)got;
    return got;
}
