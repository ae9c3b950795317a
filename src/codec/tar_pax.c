// SPDX-License-Identifier: Apache-2.0
// What reader and writer of tar share (numbers, check sums, extended attributes), and the records of
// pax headers: "LENGTH KEY=VALUE\n", where LENGTH counts the whole record.
#include "base/engine.h"
#include "base/num.h"
#include "base/own.h"
#include "codec/tar_internal.h"

#define XATTRS_MAX 1024  // of one entry

void codec_xattrs_fini(struct codec_xattrs *x)
{
    for (size_t i = 0; i < x->n; i++) {
        free(x->p[i].name);
        free(x->p[i].value);
    }
    vec_fini(x);
}

static void *copy_bytes(const void *p, size_t n)
{
    char *c = mem_alloc(n + 1);
    if (n > 0) memcpy(c, p, n);
    return c;
}

void codec_xattrs_set(struct codec_xattrs *x, const char *name, const void *value, size_t n)
{
    size_t i = 0;
    while (i < x->n && strcmp(x->p[i].name, name) < 0) i++;
    if (i < x->n && strcmp(x->p[i].name, name) == 0) {
        free(x->p[i].value);
        x->p[i].value = copy_bytes(value, n);
        x->p[i].n = n;
        return;
    }
    vec_push(x, (struct codec_xattr){0});
    memmove(x->p + i + 1, x->p + i, (x->n - 1 - i) * sizeof *x->p);
    x->p[i] = (struct codec_xattr){str_dup(name), copy_bytes(value, n), n};
}

bool codec_xattrs_eq(const struct codec_xattrs *a, const struct codec_xattrs *b)
{
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->p[i].name, b->p[i].name) != 0 || a->p[i].n != b->p[i].n ||
            memcmp(a->p[i].value, b->p[i].value, a->p[i].n) != 0)
            return false;
    return true;
}

void codec_tar_entry_fini(struct codec_tar_entry *t)
{
    free(t->name);
    free(t->link);
    codec_xattrs_fini(&t->xattrs);
    *t = (struct codec_tar_entry){0};
}

static bool base256(const char *field, size_t n, int64_t *out)
{
    const unsigned char *p = (const unsigned char *)field;
    bool negative = p[0] & 0x40;
    // Two's complement over the whole field without its first bit. More than 63 bits is refused.
    uint64_t v = negative ? UINT64_MAX << 7 | (p[0] & 0x7f) : p[0] & 0x3f;
    for (size_t i = 1; i < n; i++) {
        uint64_t top = v >> 55;
        if (top != 0 && top != 0x1ff) return false;
        v = v << 8 | p[i];
    }
    if (negative != (v >> 63 != 0)) return false;
    *out = (int64_t)v;
    return true;
}

bool codec_tar_number(const char *field, size_t n, int64_t *out)
{
    if ((unsigned char)field[0] & 0x80) return base256(field, n, out);
    size_t i = 0;
    while (i < n && (field[i] == ' ' || field[i] == '\0')) i++;
    uint64_t v = 0;
    for (; i < n && field[i] >= '0' && field[i] <= '7'; i++) v = v << 3 | (uint64_t)(field[i] - '0');
    for (; i < n; i++)
        if (field[i] != ' ' && field[i] != '\0') return false;
    *out = (int64_t)v;
    return true;
}

uint32_t codec_tar_sum(const struct codec_tar_header *h, int32_t *out_signed)
{
    const unsigned char *p = (const unsigned char *)h;
    size_t from = offsetof(struct codec_tar_header, chksum), to = from + sizeof h->chksum;
    uint32_t sum = 0;
    int32_t sum_signed = 0;
    for (size_t i = 0; i < TAR_BLOCK; i++) {
        unsigned char c = i >= from && i < to ? ' ' : p[i];
        sum += c;
        sum_signed += (signed char)c;
    }
    if (out_signed) *out_signed = sum_signed;
    return sum;
}

void codec_tar_pax_fini(struct codec_tar_pax *p)
{
    free(p->path);
    free(p->linkpath);
    free(p->sparse_name);
    codec_xattrs_fini(&p->xattrs);
    vec_fini(&p->map);
    *p = (struct codec_tar_pax){0};
}

void codec_tar_pax_copy(const struct codec_tar_pax *global, struct codec_tar_pax *out)
{
    codec_tar_pax_fini(out);
    *out = *global;
    out->path = str_dup(global->path);
    out->linkpath = str_dup(global->linkpath);
    out->sparse_name = str_dup(global->sparse_name);
    out->xattrs = (struct codec_xattrs){0};
    for (size_t i = 0; i < global->xattrs.n; i++)
        codec_xattrs_set(&out->xattrs, global->xattrs.p[i].name, global->xattrs.p[i].value,
                         global->xattrs.p[i].n);
    // Sparse maps belong to one file; a global one makes no sense.
    out->map = (struct codec_tar_map){0};
    out->sparse = out->sparse_1_0 = out->map_half = false;
}

static int bad(struct sv key, struct sv value, struct err *e)
{
    return err_set(e, ERR_INPUT, "pax record '%.*s' has the value '%.*s'", (int)key.n, key.p,
                   (int)(value.n < 60 ? value.n : 60), value.p);
}

static int set_text(struct sv key, struct sv value, char **out, struct err *e)
{
    if (memchr(value.p, '\0', value.n)) return err_set(e, ERR_INPUT, "pax record '%.*s' holds a NUL",
                                                       (int)key.n, key.p);
    free(*out);
    *out = value.n ? sv_dup(value) : NULL;
    return 0;
}

static int set_number(struct sv key, struct sv value, uint64_t *out, bool *has, struct err *e)
{
    *has = value.n > 0;
    if (*has && !num_u64_max(value, INT64_MAX, out)) return bad(key, value, e);
    return 0;
}

static int set_time(struct sv key, struct sv value, struct codec_tar_pax *p, struct err *e)
{
    p->has_mtime = value.n > 0;
    p->mtime_ns = 0;
    if (!p->has_mtime) return 0;
    struct sv fraction = value, whole = sv_cut(&fraction, '.');
    if (!num_i64(whole, &p->mtime)) return bad(key, value, e);
    uint32_t scale = 100000000;
    for (size_t i = 0; fraction.p && i < fraction.n; i++, scale /= 10) {
        if (fraction.p[i] < '0' || fraction.p[i] > '9') return bad(key, value, e);
        p->mtime_ns += (uint32_t)(fraction.p[i] - '0') * scale;
    }
    // "-1.25" is a second and a quarter before 1970: whole seconds are rounded down.
    if (p->mtime_ns > 0 && value.p[0] == '-') {
        if (p->mtime == INT64_MIN) return bad(key, value, e);
        p->mtime -= 1;
        p->mtime_ns = 1000000000 - p->mtime_ns;
    }
    return 0;
}

static int add_piece(struct codec_tar_map *m, uint64_t at, uint64_t n, struct err *e)
{
    if (m->n == TAR_SPARSE_MAX)
        return err_set(e, ERR_LIMIT, "a sparse file has more than %zu pieces", TAR_SPARSE_MAX);
    vec_push(m, (struct codec_tar_piece){at, n});
    return 0;
}

static int set_map(struct sv key, struct sv value, struct codec_tar_pax *p, struct err *e)
{
    p->map.n = 0;
    for (struct sv rest = value; rest.p && rest.n > 0;) {
        uint64_t at = 0, n = 0;
        struct sv a = sv_cut(&rest, ',');
        if (!rest.p) return bad(key, value, e);
        struct sv b = sv_cut(&rest, ',');
        if (!num_u64_max(a, INT64_MAX, &at) || !num_u64_max(b, INT64_MAX, &n))
            return bad(key, value, e);
        if (add_piece(&p->map, at, n, e) < 0) return -1;
    }
    return 0;
}

static int set_sparse(struct sv key, struct sv value, struct codec_tar_pax *p, struct err *e)
{
    struct sv k = sv_from(key, sizeof "GNU.sparse." - 1);
    uint64_t v = 0;
    p->sparse = true;
    if (sv_eqz(k, "name")) return set_text(key, value, &p->sparse_name, e);
    if (sv_eqz(k, "map")) return set_map(key, value, p, e);
    if (!num_u64_max(value, INT64_MAX, &v)) return bad(key, value, e);
    if (sv_eqz(k, "size") || sv_eqz(k, "realsize")) p->sparse_size = v;
    if (sv_eqz(k, "major") && v > 1) return bad(key, value, e);
    if (sv_eqz(k, "major")) p->sparse_1_0 = v == 1;
    if (sv_eqz(k, "offset")) {
        if (p->map_half) return bad(key, value, e);
        p->map_half = true;
        return add_piece(&p->map, v, 0, e);
    }
    if (sv_eqz(k, "numbytes")) {
        if (!p->map_half) return bad(key, value, e);
        p->map_half = false;
        p->map.p[p->map.n - 1].n = v;
    }
    return 0;
}

static int set_xattr(struct sv key, struct sv value, struct codec_tar_pax *p, struct err *e)
{
    struct sv name = sv_from(key, sizeof "SCHILY.xattr." - 1);
    if (name.n == 0 || name.n > 255 || memchr(name.p, '\0', name.n)) return bad(key, value, e);
    if (p->xattrs.n == XATTRS_MAX)
        return err_set(e, ERR_LIMIT, "more than %u extended attributes", (unsigned)XATTRS_MAX);
    own(free) char *z = sv_dup(name);
    // An empty value is a value here: files do carry empty attributes.
    codec_xattrs_set(&p->xattrs, z, value.p, value.n);
    return 0;
}

static int set_record(struct sv key, struct sv value, struct codec_tar_pax *p, struct err *e)
{
    if (sv_eqz(key, "path")) return set_text(key, value, &p->path, e);
    if (sv_eqz(key, "linkpath")) return set_text(key, value, &p->linkpath, e);
    if (sv_eqz(key, "size")) return set_number(key, value, &p->size, &p->has_size, e);
    if (sv_eqz(key, "uid")) return set_number(key, value, &p->uid, &p->has_uid, e);
    if (sv_eqz(key, "gid")) return set_number(key, value, &p->gid, &p->has_gid, e);
    if (sv_eqz(key, "mtime")) return set_time(key, value, p, e);
    if (sv_starts(key, "SCHILY.xattr.")) return set_xattr(key, value, p, e);
    if (sv_starts(key, "GNU.sparse.")) return set_sparse(key, value, p, e);
    return 0;  // comments, access times, names of users, and what others invented
}

int codec_tar_pax_parse(struct sv text, struct codec_tar_pax *out, struct err *e)
{
    while (text.n > 0) {
        long blank = sv_find(text, ' ');
        uint64_t len = 0;
        if (blank < 1 || !num_u64_max(sv_part(text, 0, (size_t)blank), text.n, &len) ||
            len < (uint64_t)blank + 3 || text.p[len - 1] != '\n') {
            // Some writers pad the records with zero bytes.
            for (size_t i = 0; i < text.n; i++)
                if (text.p[i] != '\0') return err_set(e, ERR_INPUT, "a pax record has a bad length");
            return 0;
        }
        struct sv rest = sv_part(text, (size_t)blank + 1, (size_t)len - (size_t)blank - 2);
        struct sv key = sv_cut(&rest, '=');
        if (!rest.p || key.n == 0) return err_set(e, ERR_INPUT, "a pax record has no '='");
        if (set_record(key, rest, out, e) < 0) return -1;
        text = sv_from(text, (size_t)len);
    }
    return 0;
}
