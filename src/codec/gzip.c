// SPDX-License-Identifier: Apache-2.0
// gzip. Inflating goes through ISA-L, three times as fast as zlib; it exists only as a shared library,
// so it is opened at first use and no start of the program pays for it. Where it is missing zlib does
// the work. gzip_write.c has the other direction.
#define ZLIB_CONST  // the library only reads its input
#include <dlfcn.h>
#include <zlib.h>

#include "base/own.h"
#include "base/str.h"
#include "codec/internal.h"

#ifdef DEWAR_HAVE_ISAL
#include <isa-l/igzip_lib.h>
#endif

// --- the mark of our own members -----------------------------------------------------------------

static uint32_t number(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

bool codec_gzip_mark_find(const struct codec_piece *in, struct codec_gzip_mark *out)
{
    static const unsigned char head[] = CODEC_GZIP_HEAD_BYTES;
    if (in->n < CODEC_GZIP_HEAD || memcmp(in->p, head, sizeof head) != 0) return false;
    uint32_t n = number(in->p + sizeof head + 4);
    *out = (struct codec_gzip_mark){number(in->p + sizeof head), n & ~CODEC_GZIP_LAST,
                                    (n & CODEC_GZIP_LAST) != 0};
    return true;
}

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
