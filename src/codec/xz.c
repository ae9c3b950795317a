// SPDX-License-Identifier: Apache-2.0
// xz, reading only. The memory limit keeps a header from asking for gigabytes; xz -9 needs 65 MiB.
#include <lzma.h>

#include "base/str.h"
#include "codec/internal.h"

#ifndef LIBRARY_CONSTRUCTORS  // where they have run before main (base/musl/musl.h)
#define LIBRARY_CONSTRUCTORS() ((void)0)
#endif
#define XZ_MEMORY ((uint64_t)128 << 20)

static int unxz_open(void **out_state, struct err *e)
{
    (void)e;
    LIBRARY_CONSTRUCTORS();
    lzma_stream *s = mem_alloc(sizeof *s);
    *s = (lzma_stream)LZMA_STREAM_INIT;
    *out_state = s;
    return 0;
}

static int unxz_begin(void *state, struct err *e)
{
    return lzma_stream_decoder(state, XZ_MEMORY, 0) == LZMA_OK
               ? 0
               : err_set(e, ERR_INTERNAL, "liblzma does not start");
}

static int unxz_step(void *state, struct codec_piece *in, void *out, size_t *n, struct err *e)
{
    lzma_stream *s = state;
    s->next_in = in->p;
    s->avail_in = in->n;
    s->next_out = out;
    s->avail_out = *n;
    lzma_ret rc = lzma_code(s, LZMA_RUN);
    in->p += in->n - s->avail_in;
    in->n = s->avail_in;
    *n -= s->avail_out;
    if (rc == LZMA_STREAM_END) return 1;
    if (rc == LZMA_OK || rc == LZMA_BUF_ERROR) return 0;
    if (rc == LZMA_MEMLIMIT_ERROR)
        return err_set(e, ERR_LIMIT, "xz data wants more than %u MiB of memory",
                       (unsigned)(XZ_MEMORY >> 20));
    return err_set(e, ERR_INPUT, "damaged xz data (code %u)", (unsigned)rc);
}

static void unxz_close(void *state)
{
    lzma_end(state);
    free(state);
}

const struct codec_unzip_ops codec_xz_ops = {unxz_open, unxz_begin, unxz_step, unxz_close};
