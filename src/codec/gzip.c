// SPDX-License-Identifier: Apache-2.0
// gzip. Inflating goes through ISA-L, three times as fast as zlib; it exists only as a shared library,
// so it is opened at first use and no start of the program pays for it. Where it is missing zlib does
// the work. Deflating is libdeflate's: independent members of a fixed size, because its bytes do not
// depend on the CPU.
#define ZLIB_CONST  // the library only reads its input
#include <dlfcn.h>
#include <libdeflate.h>
#include <zlib.h>

#include "base/own.h"
#include "base/str.h"
#include "codec/internal.h"

#ifdef DEWAR_HAVE_ISAL
#include <isa-l/igzip_lib.h>
#endif

// --- zlib -----------------------------------------------------------------------------------------

static int zlib_open(void **out_state, struct err *e)
{
    z_stream *z = mem_alloc(sizeof *z);
    if (inflateInit2(z, 16 + MAX_WBITS) != Z_OK) {
        free(z);
        return err_set(e, ERR_INTERNAL, "zlib does not start");
    }
    *out_state = z;
    return 0;
}

static int zlib_begin(void *state, struct err *e)
{
    return inflateReset(state) == Z_OK ? 0 : err_set(e, ERR_INTERNAL, "zlib does not restart");
}

static int zlib_step(void *state, struct codec_piece *in, void *out, size_t *n, struct err *e)
{
    z_stream *z = state;
    uInt room = *n > 1U << 30 ? 1U << 30 : (uInt)*n;
    uInt have = in->n > 1U << 30 ? 1U << 30 : (uInt)in->n;
    z->next_in = in->p;
    z->avail_in = have;
    z->next_out = out;
    z->avail_out = room;
    int rc = inflate(z, Z_NO_FLUSH);
    in->p += have - z->avail_in;
    in->n -= have - z->avail_in;
    *n = room - z->avail_out;
    if (rc == Z_STREAM_END) return 1;
    if (rc == Z_OK || rc == Z_BUF_ERROR) return 0;
    return err_set(e, ERR_INPUT, "damaged gzip data%s%s", z->msg ? ": " : "", z->msg ? z->msg : "");
}

static void zlib_close(void *state)
{
    inflateEnd(state);
    free(state);
}

const struct codec_unzip_ops codec_zlib_ops = {zlib_open, zlib_begin, zlib_step, zlib_close};

// --- ISA-L ----------------------------------------------------------------------------------------
#ifdef DEWAR_HAVE_ISAL

static void (*isal_init)(struct inflate_state *);
static int (*isal_step)(struct inflate_state *);

// Looks once. The library is never closed: it holds no resources of note.
static bool isal_there(void)
{
    static int there = -1;
    if (there >= 0) return there;
    void *lib = dlopen("libisal.so.2", RTLD_NOW | RTLD_LOCAL);
    void *init = lib ? dlsym(lib, "isal_inflate_init") : NULL;
    void *step = lib ? dlsym(lib, "isal_inflate") : NULL;
    memcpy(&isal_init, &init, sizeof init);  // ISO C has no cast from object to function pointer
    memcpy(&isal_step, &step, sizeof step);
    there = init && step;
    return there;
}

struct gunzip {
    bool isal;
    union {
        struct inflate_state *state;
        void *zlib;
    } u;
};

static int gunzip_open(void **out_state, struct err *e)
{
    struct gunzip *g = mem_alloc(sizeof *g);
    g->isal = isal_there();
    if (g->isal) {
        g->u.state = mem_alloc(sizeof *g->u.state);
    } else if (zlib_open(&g->u.zlib, e) < 0) {
        free(g);
        return -1;
    }
    *out_state = g;
    return 0;
}

static int gunzip_begin(void *state, struct err *e)
{
    struct gunzip *g = state;
    if (!g->isal) return zlib_begin(g->u.zlib, e);
    isal_init(g->u.state);
    g->u.state->crc_flag = ISAL_GZIP;  // reads the header, checks CRC and length at the end
    return 0;
}

static int gunzip_step(void *state, struct codec_piece *in, void *out, size_t *n, struct err *e)
{
    struct gunzip *g = state;
    if (!g->isal) return zlib_step(g->u.zlib, in, out, n, e);
    struct inflate_state *s = g->u.state;
    uint32_t room = *n > 1U << 30 ? 1U << 30 : (uint32_t)*n;
    uint32_t have = in->n > 1U << 30 ? 1U << 30 : (uint32_t)in->n;
    // The library's pointer is not const, but it only reads.
    memcpy(&s->next_in, &in->p, sizeof in->p);
    s->avail_in = have;
    s->next_out = out;
    s->avail_out = room;
    int rc = isal_step(s);
    in->p += have - s->avail_in;
    in->n -= have - s->avail_in;
    *n = room - s->avail_out;
    if (rc == ISAL_INCORRECT_CHECKSUM)
        return err_set(e, ERR_INPUT, "damaged gzip data: incorrect check sum");
    // Positive codes (end of input inside a header) ask for more.
    if (rc < 0) return err_set(e, ERR_INPUT, "damaged gzip data (code %d)", rc);
    return s->block_state == ISAL_BLOCK_FINISH;
}

static void gunzip_close(void *state)
{
    struct gunzip *g = state;
    if (g->isal) free(g->u.state);
    else zlib_close(g->u.zlib);
    free(g);
}

const struct codec_unzip_ops codec_gzip_ops = {gunzip_open, gunzip_begin, gunzip_step, gunzip_close};
#else
const struct codec_unzip_ops codec_gzip_ops = {zlib_open, zlib_begin, zlib_step, zlib_close};
#endif

// --- libdeflate -----------------------------------------------------------------------------------

#define GZIP_MEMBER ((size_t)1 << 20)
#define GZIP_LEVEL 6

struct deflater {
    struct libdeflate_compressor *c;
    unsigned char *in, *out;
    size_t have, out_cap;
    bool any;
};

static int deflater_open(int level, void **out_state, struct err *e)
{
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(level ? level : GZIP_LEVEL);
    if (!c) return err_set(e, ERR_USAGE, "gzip has no level %d (1 to 12)", level);
    struct deflater *d = mem_alloc(sizeof *d);
    d->c = c;
    d->in = mem_alloc(GZIP_MEMBER);
    d->out_cap = libdeflate_gzip_compress_bound(c, GZIP_MEMBER);
    d->out = mem_alloc(d->out_cap);
    *out_state = d;
    return 0;
}

static int deflater_flush(struct deflater *d, struct codec_sink dst, struct err *e)
{
    size_t n = libdeflate_gzip_compress(d->c, d->in, d->have, d->out, d->out_cap);
    if (n == 0) return err_set(e, ERR_INTERNAL, "libdeflate needs more room than it said");
    d->have = 0;
    d->any = true;
    return dst.write(dst.arg, d->out, n, e);
}

static int deflater_write(void *state, const void *p, size_t n, struct codec_sink dst,
                          struct err *e)
{
    struct deflater *d = state;
    const unsigned char *at = p;
    while (n > 0) {
        size_t take = n < GZIP_MEMBER - d->have ? n : GZIP_MEMBER - d->have;
        memcpy(d->in + d->have, at, take);
        d->have += take;
        at += take;
        n -= take;
        if (d->have == GZIP_MEMBER && deflater_flush(d, dst, e) < 0) return -1;
    }
    return 0;
}

static int deflater_finish(void *state, struct codec_sink dst, struct err *e)
{
    struct deflater *d = state;
    return d->have > 0 || !d->any ? deflater_flush(d, dst, e) : 0;
}

static void deflater_close(void *state)
{
    struct deflater *d = state;
    libdeflate_free_compressor(d->c);
    free(d->in);
    free(d->out);
    free(d);
}

static const char *deflater_version(void)
{
    return "libdeflate " LIBDEFLATE_VERSION_STRING ", members of 1 MiB";
}

const struct codec_zip_ops codec_gzip_zip_ops = {deflater_open, deflater_write, deflater_finish,
                                                 deflater_close, deflater_version};
