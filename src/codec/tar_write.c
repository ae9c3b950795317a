// SPDX-License-Identifier: Apache-2.0
// Writes tar in one fixed form: equal entries give equal bytes, on every machine and at every time.
// These bytes are what diff ids are made of, so any change here changes the identity of every image
// built: the golden test of this file must not move without a new format number.
//   ustar headers; no user or group names; "0000000" device numbers unless it is a device;
//   a name goes into name, else name and prefix (cut at the last slash that fits), else a pax record;
//   pax records sorted by key, in a header named "././@PaxHeader" of mode 0644 and time 0.
#include "base/own.h"
#include "codec/tar_internal.h"

static const char zeros[TAR_BLOCK];

void codec_tar_writer_init(struct codec_tar_writer *w, struct codec_sink dst)
{
    *w = (struct codec_tar_writer){.dst = dst};
}

static int put(struct codec_tar_writer *w, const void *p, size_t n, struct err *e)
{
    w->bytes += n;
    return n ? w->dst.write(w->dst.arg, p, n, e) : 0;
}

static int put_padding(struct codec_tar_writer *w, uint64_t size, struct err *e)
{
    return put(w, zeros, (TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK, e);
}

// Octal with leading zeros and a NUL; false when it does not fit.
static bool octal(char *field, size_t n, uint64_t v)
{
    bool fits = (v >> (3 * (n - 1))) == 0;
    field[n - 1] = '\0';
    for (size_t i = n - 1; i-- > 0; v >>= 3) field[i] = (char)('0' + (v & 7));
    return fits;
}

static void record(struct str *pax, const char *key, struct sv value)
{
    // The length counts itself: try until its digits agree.
    size_t body = strlen(key) + value.n + 3, len = body + 1;
    for (size_t digits = 1, ten = 10; len >= ten; ten *= 10) len = body + ++digits;
    str_addf(pax, "%zu %s=", len, key);
    str_add(pax, value);
    str_addc(pax, '\n');
}

static void record_number(struct str *pax, const char *key, int64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)v);
    record(pax, key, sv_of(text));
}

static bool set_name(struct codec_tar_header *h, const char *name)
{
    size_t n = strlen(name);
    if (n <= sizeof h->name) {
        memcpy(h->name, name, n);
        return true;
    }
    // The last slash that leaves something on both sides and both sides small enough.
    for (size_t i = n - 1; i-- > 1;) {
        if (name[i] != '/' || i > sizeof h->prefix) continue;
        if (n - i - 1 > sizeof h->name) break;
        memcpy(h->prefix, name, i);
        memcpy(h->name, name + i + 1, n - i - 1);
        return true;
    }
    memcpy(h->name, name, sizeof h->name);
    return false;
}

static void finish(struct codec_tar_header *h)
{
    memcpy(h->magic, "ustar\0" "00", 8);
    if (!h->major[0]) octal(h->major, sizeof h->major, 0);
    if (!h->minor[0]) octal(h->minor, sizeof h->minor, 0);
    uint32_t sum = codec_tar_sum(h, NULL);
    octal(h->chksum, 7, sum);
    h->chksum[7] = ' ';
}

static int put_pax(struct codec_tar_writer *w, const struct str *pax, struct err *e)
{
    struct codec_tar_header h = {.type = 'x', .name = "././@PaxHeader"};
    octal(h.mode, sizeof h.mode, 0644);
    octal(h.uid, sizeof h.uid, 0);
    octal(h.gid, sizeof h.gid, 0);
    octal(h.size, sizeof h.size, pax->n);
    octal(h.mtime, sizeof h.mtime, 0);
    finish(&h);
    if (put(w, &h, sizeof h, e) < 0 || put(w, pax->p, pax->n, e) < 0) return -1;
    return put_padding(w, pax->n, e);
}

static const char letters[CODEC_TAR_TYPE_COUNT] = {
    [CODEC_TAR_FILE] = '0', [CODEC_TAR_HARDLINK] = '1', [CODEC_TAR_SYMLINK] = '2',
    [CODEC_TAR_CHAR] = '3', [CODEC_TAR_BLOCK] = '4',    [CODEC_TAR_DIR] = '5',
    [CODEC_TAR_FIFO] = '6',
};

// Fills the header; what does not fit goes to pax, in the order of the keys ("SCHILY" sorts before
// lower case).
static int plan(struct codec_tar_header *h, const struct codec_tar_entry *t, const char *name,
                uint64_t size, struct str *pax, struct err *e)
{
    h->type = letters[t->type];
    vec_each(x, &t->xattrs) {
        own(free) char *key = str_fmt("SCHILY.xattr.%s", x->name);
        record(pax, key, (struct sv){x->value, x->n});
    }
    octal(h->mode, sizeof h->mode, t->mode);
    if (!octal(h->gid, sizeof h->gid, t->gid)) record_number(pax, "gid", (int64_t)t->gid);
    if (t->link && strlen(t->link) > sizeof h->link) record(pax, "linkpath", sv_of(t->link));
    if (t->link) memcpy(h->link, t->link, strnlen(t->link, sizeof h->link));
    if (t->mtime < 0 || !octal(h->mtime, sizeof h->mtime, (uint64_t)t->mtime)) {
        record_number(pax, "mtime", t->mtime);
        octal(h->mtime, sizeof h->mtime, 0);
    }
    if (!set_name(h, name)) record(pax, "path", sv_of(name));
    if (!octal(h->size, sizeof h->size, size)) record_number(pax, "size", (int64_t)size);
    if (!octal(h->uid, sizeof h->uid, t->uid)) record_number(pax, "uid", (int64_t)t->uid);
    bool device = t->type == CODEC_TAR_CHAR || t->type == CODEC_TAR_BLOCK;
    if (device && (!octal(h->major, sizeof h->major, t->major) ||
                   !octal(h->minor, sizeof h->minor, t->minor)))
        return err_set(e, ERR_INPUT, "'%s' has a device number that tar cannot hold", name);
    return 0;
}

int codec_tar_write_entry(struct codec_tar_writer *w, const struct codec_tar_entry *t,
                          struct err *e)
{
    if (w->remaining > 0)
        return err_set(e, ERR_INTERNAL, "%llu bytes are missing in front of '%s'",
                       (unsigned long long)w->remaining, t->name);
    struct codec_tar_header h = {0};
    own(str) struct str pax = {0};
    size_t n = strlen(t->name);
    bool slash = t->type == CODEC_TAR_DIR && (n == 0 || t->name[n - 1] != '/');
    own(free) char *name = str_fmt("%s%s", t->name, slash ? "/" : "");
    uint64_t size = t->type == CODEC_TAR_FILE ? t->size : 0;
    if (plan(&h, t, name, size, &pax, e) < 0 || str_check(&pax, e) < 0) return -1;
    finish(&h);
    if (pax.n > 0 && put_pax(w, &pax, e) < 0) return -1;
    if (put(w, &h, sizeof h, e) < 0) return -1;
    w->remaining = size;
    return 0;
}

int codec_tar_write_data(struct codec_tar_writer *w, const void *p, size_t n, struct err *e)
{
    if (n > w->remaining) return err_set(e, ERR_INTERNAL, "more content than the tar header says");
    if (n == 0) return 0;
    if (put(w, p, n, e) < 0) return -1;
    w->remaining -= n;
    // The bytes before this entry's content end at a block, so the total tells the padding.
    return w->remaining == 0 ? put_padding(w, w->bytes, e) : 0;
}

int codec_tar_write_end(struct codec_tar_writer *w, struct err *e)
{
    if (w->remaining > 0) return err_set(e, ERR_INTERNAL, "the last file of the tar is not complete");
    return put(w, zeros, TAR_BLOCK, e) < 0 || put(w, zeros, TAR_BLOCK, e) < 0 ? -1 : 0;
}
