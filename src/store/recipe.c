// SPDX-License-Identifier: Apache-2.0
// The recipe of a layer: what is needed beside the unpacked files to write the archive again, byte for
// byte. It is a zstd stream of records, each a letter and little-endian numbers:
//   R n BYTES         n bytes as they are (headers, padding, content of sparse files)
//   F n len PATH      n bytes, the content of fs/PATH
//   M k len PATH      from here on, what stood at fs/PATH (or below it) is at old/k
// M comes after the F records that it concerns, so a replay reads all M first. They are rare: an
// archive that lists a file twice.
#include <errno.h>
#include <stdio.h>

#include "base/fs.h"
#include "base/own.h"
#include "store/layer_internal.h"

#define RECIPE_NAME "recipe"
#define RECIPE_RAW ((size_t)64 << 10)

struct layer_recipe {
    int fd;
    struct codec_zipper *zip;
    unsigned char *raw;
    size_t have;
};

static int to_fd(void *arg, const void *p, size_t n, struct err *e)
{
    return fs_write_all(*(int *)arg, p, n, e);
}

int layer_recipe_create(int dir, struct layer_recipe **out, struct err *e)
{
    struct layer_recipe *r = mem_alloc(sizeof *r);
    r->fd = fs_openat(dir, RECIPE_NAME, O_WRONLY | O_CREAT | O_EXCL, 0600, e);
    struct codec_sink dst = {to_fd, &r->fd};
    if (r->fd < 0 || codec_zipper_open(CODEC_ZIP_ZSTD, 1, dst, &r->zip, e) < 0) {
        layer_recipe_close(r);
        return -1;
    }
    r->raw = mem_alloc(RECIPE_RAW);
    *out = r;
    return 0;
}

void layer_recipe_close(struct layer_recipe *r)
{
    if (!r) return;
    codec_zipper_close(r->zip);
    free(r->raw);
    if (r->fd >= 0) close(r->fd);
    free(r);
}

static size_t number(unsigned char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++, v >>= 8) p[i] = (unsigned char)v;
    return 8;
}

static int flush(struct layer_recipe *r, struct err *e)
{
    unsigned char head[9] = {'R'};
    size_t n = r->have;
    if (n == 0) return 0;
    r->have = 0;
    number(head + 1, n);
    if (codec_zipper_write(r->zip, head, sizeof head, e) < 0) return -1;
    return codec_zipper_write(r->zip, r->raw, n, e);
}

int layer_recipe_raw(struct layer_recipe *r, const void *p, size_t n, struct err *e)
{
    const unsigned char *at = p;
    while (n > 0) {
        size_t k = n < RECIPE_RAW - r->have ? n : RECIPE_RAW - r->have;
        memcpy(r->raw + r->have, at, k);
        r->have += k;
        at += k;
        n -= k;
        if (r->have == RECIPE_RAW && flush(r, e) < 0) return -1;
    }
    return 0;
}

static int path_record(struct layer_recipe *r, char letter, uint64_t n, const char *path,
                       struct err *e)
{
    unsigned char head[17] = {(unsigned char)letter};
    size_t len = strlen(path);
    if (flush(r, e) < 0) return -1;
    number(head + 1, n);
    number(head + 9, len);
    if (codec_zipper_write(r->zip, head, sizeof head, e) < 0) return -1;
    return codec_zipper_write(r->zip, path, len, e);
}

int layer_recipe_content(struct layer_recipe *r, const char *path, uint64_t n, struct err *e)
{
    return n ? path_record(r, 'F', n, path, e) : 0;
}

int layer_recipe_moved(struct layer_recipe *r, const char *path, uint64_t n, struct err *e)
{
    return path_record(r, 'M', n, path, e);
}

int layer_recipe_finish(struct layer_recipe *r, struct err *e)
{
    return flush(r, e) < 0 || codec_zipper_finish(r->zip, e) < 0 ? -1 : 0;
}

// --- replay ---------------------------------------------------------------------------------------

struct move {
    uint64_t after;  // number of records before it
    uint64_t to;
    char *path;
};
struct replay {
    int dir;
    struct root fs;
    struct codec_unzip *in;
    struct codec_sink dst;
    unsigned char *buf;
    uint64_t records;
    VEC(struct move) moves;
};

static int need(struct replay *r, void *out, size_t n, struct err *e)
{
    for (size_t done = 0; done < n;) {
        ssize_t got = codec_unzip_read(r->in, (char *)out + done, n - done, e);
        if (got < 0) return -1;
        if (got == 0) return done == 0 ? 0 : err_set(e, ERR_CORRUPT, "the layer's recipe is cut off");
        done += (size_t)got;
    }
    return 1;
}

static int need_all(struct replay *r, void *out, size_t n, struct err *e)
{
    int rc = need(r, out, n, e);
    return rc == 0 && n > 0 ? err_set(e, ERR_CORRUPT, "the layer's recipe is cut off") : rc;
}

static int need_number(struct replay *r, uint64_t *out, struct err *e)
{
    unsigned char p[8];
    if (need_all(r, p, 8, e) < 0) return -1;
    *out = 0;
    for (int i = 8; i-- > 0;) *out = *out << 8 | p[i];
    return 0;
}

// The place of fs/PATH as record number `records` saw it.
static int open_content(struct replay *r, const char *path, struct err *e)
{
    vec_each(m, &r->moves) {
        size_t n = strlen(m->path);
        if (m->after < r->records || strncmp(m->path, path, n) != 0) continue;
        if (path[n] != '\0' && path[n] != '/') continue;
        own(free) char *moved = str_fmt("old/%llu%s", (unsigned long long)m->to, path + n);
        struct root top = {r->dir, "the layer's folder"};
        return fs_in_open(&top, moved, O_RDONLY | O_NOFOLLOW, 0, e);
    }
    return fs_in_open(&r->fs, path, O_RDONLY | O_NOFOLLOW, 0, e);
}

static int send_content(struct replay *r, const char *path, uint64_t n, struct err *e)
{
    own(fd) int fd = open_content(r, path, e);
    if (fd < 0) return -1;
    while (n > 0) {
        size_t want = n < RECIPE_RAW ? (size_t)n : RECIPE_RAW;
        ssize_t got = read(fd, r->buf, want);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return err_sys(e, "read '%s' of the layer", path);
        if (got == 0) return err_set(e, ERR_CORRUPT, "'%s' of the layer has become shorter", path);
        if (r->dst.write(r->dst.arg, r->buf, (size_t)got, e) < 0) return -1;
        n -= (uint64_t)got;
    }
    return 0;
}

static int send_raw(struct replay *r, uint64_t n, bool send, struct err *e)
{
    while (n > 0) {
        size_t k = n < RECIPE_RAW ? (size_t)n : RECIPE_RAW;
        if (need_all(r, r->buf, k, e) < 0) return -1;
        if (send && r->dst.write(r->dst.arg, r->buf, k, e) < 0) return -1;
        n -= k;
    }
    return 0;
}

// One pass over the recipe: gathers moves (send false) or writes the archive.
static int pass(struct replay *r, bool send, struct err *e)
{
    own(fd) int fd = fs_openat(r->dir, RECIPE_NAME, O_RDONLY, 0, e);
    own(codec_unzip) struct codec_unzip *in = NULL;
    if (fd < 0 || codec_unzip_open(codec_source_fd(&fd), UINT64_MAX, &in, e) < 0) return -1;
    r->in = in;
    for (r->records = 0;; r->records++) {
        char letter;
        uint64_t n = 0, len = 0;
        char path[LIMIT_NAME + 1];
        int rc = need(r, &letter, 1, e);
        if (rc <= 0) return rc;
        if (need_number(r, &n, e) < 0) return -1;
        if (letter == 'R') {
            if (send_raw(r, n, send, e) < 0) return -1;
            continue;
        }
        if (need_number(r, &len, e) < 0) return -1;
        if ((letter != 'F' && letter != 'M') || len > LIMIT_NAME)
            return err_set(e, ERR_CORRUPT, "the layer's recipe is damaged");
        if (need_all(r, path, (size_t)len, e) < 0) return -1;
        path[len] = '\0';
        if (letter == 'M' && !send)
            vec_push(&r->moves, ((struct move){r->records, n, str_dup(path)}));
        if (letter == 'F' && send && send_content(r, path, n, e) < 0) return -1;
    }
}

int layer_recipe_replay(int dir, struct codec_sink dst, struct err *e)
{
    own(fd) int fs = fs_open_dir(dir, "fs", e);
    if (fs < 0) return -1;
    struct replay r = {.dir = dir, .fs = {fs, "the layer"}, .dst = dst, .buf = mem_alloc(RECIPE_RAW)};
    int rc = pass(&r, false, e) < 0 || pass(&r, true, e) < 0 ? -1 : 0;
    vec_each(m, &r.moves) free(m->path);
    vec_fini(&r.moves);
    free(r.buf);
    return rc;
}
