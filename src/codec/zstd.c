// SPDX-License-Identifier: Apache-2.0
// zstd, both ways. The window is capped when reading, since the header alone makes the reader
// allocate it. Writing uses one thread: the bytes then depend on the version and the level only.
#include <zstd.h>

#include "base/str.h"
#include "codec/internal.h"

#define ZSTD_WINDOW_LOG 27  // 128 MiB
#define ZSTD_LEVEL 3

static int unzstd_open(void **out_state, struct err *e)
{
    ZSTD_DCtx *d = ZSTD_createDCtx();
    if (!d || ZSTD_isError(ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG))) {
        ZSTD_freeDCtx(d);
        return err_set(e, ERR_INTERNAL, "zstd does not start");
    }
    *out_state = d;
    return 0;
}

static int unzstd_begin(void *state, struct err *e)
{
    return ZSTD_isError(ZSTD_DCtx_reset(state, ZSTD_reset_session_only))
               ? err_set(e, ERR_INTERNAL, "zstd does not restart")
               : 0;
}

static int unzstd_step(void *state, struct codec_piece *in, void *out, size_t *n, struct err *e)
{
    ZSTD_inBuffer from = {in->p, in->n, 0};
    ZSTD_outBuffer to = {out, *n, 0};
    size_t rc = ZSTD_decompressStream(state, &to, &from);
    if (ZSTD_isError(rc)) {
        err_set(e, ERR_INPUT, "damaged zstd data: %s", ZSTD_getErrorName(rc));
        return err_hint(e, "windows over 128 MiB (zstd --long=28 and more) are refused");
    }
    in->p += from.pos;
    in->n -= from.pos;
    *n = to.pos;
    return rc == 0;
}

static void unzstd_close(void *state)
{
    ZSTD_freeDCtx(state);
}

const struct codec_unzip_ops codec_zstd_ops = {unzstd_open, unzstd_begin, unzstd_step, unzstd_close};

struct zstd_out {
    ZSTD_CCtx *c;
    size_t cap;
    unsigned char *buf;
};

static int zstd_open(int level, unsigned workers, void **out_state, struct err *e)
{
    (void)workers;  // the library's own are threads
    ZSTD_CCtx *c = ZSTD_createCCtx();
    size_t rc = ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level ? level : ZSTD_LEVEL);
    if (ZSTD_isError(rc)) {
        ZSTD_freeCCtx(c);
        return err_set(e, ERR_USAGE, "zstd level %d: %s", level, ZSTD_getErrorName(rc));
    }
    struct zstd_out *z = mem_alloc(sizeof *z);
    z->c = c;
    z->cap = ZSTD_CStreamOutSize();
    z->buf = mem_alloc(z->cap);
    *out_state = z;
    return 0;
}

static int zstd_pump(struct zstd_out *z, ZSTD_inBuffer *from, ZSTD_EndDirective how,
                     struct codec_sink dst, struct err *e)
{
    for (;;) {
        ZSTD_outBuffer to = {z->buf, z->cap, 0};
        size_t left = ZSTD_compressStream2(z->c, &to, from, how);
        if (ZSTD_isError(left)) return err_set(e, ERR_INTERNAL, "zstd: %s", ZSTD_getErrorName(left));
        if (to.pos > 0 && dst.write(dst.arg, z->buf, to.pos, e) < 0) return -1;
        if (how == ZSTD_e_end ? left == 0 : from->pos == from->size) return 0;
    }
}

static int zstd_write(void *state, const void *p, size_t n, struct codec_sink dst, struct err *e)
{
    ZSTD_inBuffer from = {p, n, 0};
    return zstd_pump(state, &from, ZSTD_e_continue, dst, e);
}

static int zstd_finish(void *state, struct codec_sink dst, struct err *e)
{
    ZSTD_inBuffer from = {NULL, 0, 0};
    return zstd_pump(state, &from, ZSTD_e_end, dst, e);
}

static void zstd_close(void *state)
{
    struct zstd_out *z = state;
    ZSTD_freeCCtx(z->c);
    free(z->buf);
    free(z);
}

static const char *zstd_version(void)
{
    return "libzstd " ZSTD_VERSION_STRING;
}

const struct codec_zip_ops codec_zstd_zip_ops = {zstd_open, zstd_write, zstd_finish, zstd_close,
                                                 zstd_version};
