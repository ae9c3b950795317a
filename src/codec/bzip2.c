// SPDX-License-Identifier: Apache-2.0
// bzip2, reading only. Its memory is bounded by the format (less than 4 MiB).
#include <bzlib.h>

#include "base/str.h"
#include "codec/internal.h"

struct unbzip2 {
    bz_stream z;
    bool open;
};

static int unbzip2_open(void **out_state, struct err *e)
{
    (void)e;
    *out_state = mem_alloc(sizeof(struct unbzip2));
    return 0;
}

static void unbzip2_end(struct unbzip2 *b)
{
    if (b->open) BZ2_bzDecompressEnd(&b->z);
    b->open = false;
}

static int unbzip2_begin(void *state, struct err *e)
{
    struct unbzip2 *b = state;
    unbzip2_end(b);
    memset(&b->z, 0, sizeof b->z);
    if (BZ2_bzDecompressInit(&b->z, 0, 0) != BZ_OK)
        return err_set(e, ERR_INTERNAL, "libbz2 does not start");
    b->open = true;
    return 0;
}

static int unbzip2_step(void *state, struct codec_piece *in, void *out, size_t *n, struct err *e)
{
    struct unbzip2 *b = state;
    unsigned have = in->n > 1U << 30 ? 1U << 30 : (unsigned)in->n;
    unsigned room = *n > 1U << 30 ? 1U << 30 : (unsigned)*n;
    // The library's pointer is not const, but it only reads.
    memcpy(&b->z.next_in, &in->p, sizeof in->p);
    b->z.avail_in = have;
    b->z.next_out = out;
    b->z.avail_out = room;
    int rc = BZ2_bzDecompress(&b->z);
    in->p += have - b->z.avail_in;
    in->n -= have - b->z.avail_in;
    *n = room - b->z.avail_out;
    if (rc == BZ_STREAM_END) return 1;
    if (rc == BZ_OK) return 0;
    return err_set(e, ERR_INPUT, "damaged bzip2 data (code %d)", rc);
}

static void unbzip2_close(void *state)
{
    unbzip2_end(state);
    free(state);
}

const struct codec_unzip_ops codec_bzip2_ops = {unbzip2_open, unbzip2_begin, unbzip2_step,
                                                unbzip2_close};
