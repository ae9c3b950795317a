// SPDX-License-Identifier: Apache-2.0
// The one writer over the compressed forms that we write.
#include "base/own.h"
#include "base/str.h"
#include "codec/internal.h"

struct codec_zipper {
    const struct codec_zip_ops *ops;  // NULL: as it comes
    void *state;
    struct codec_sink dst;
};

static const struct codec_zip_ops *const writers[CODEC_ZIP_COUNT] = {
    [CODEC_ZIP_GZIP] = &codec_gzip_zip_ops,
    [CODEC_ZIP_ZSTD] = &codec_zstd_zip_ops,
};

int codec_zipper_open(enum codec_zip kind, int level, struct codec_sink dst,
                      struct codec_zipper **out, struct err *e)
{
    return codec_zipper_open_workers(kind, level, 1, dst, out, e);
}

int codec_zipper_open_workers(enum codec_zip kind, int level, unsigned workers,
                              struct codec_sink dst, struct codec_zipper **out, struct err *e)
{
    if (kind >= CODEC_ZIP_COUNT || (kind != CODEC_ZIP_NONE && !writers[kind]))
        return err_set(e, ERR_UNSUPPORTED, "%s is read but not written", codec_zip_name(kind));
    own(codec_zipper) struct codec_zipper *z = mem_alloc(sizeof *z);
    z->ops = writers[kind];
    z->dst = dst;
    if (z->ops && z->ops->open(level, workers, &z->state, e) < 0) return -1;
    *out = take_ptr(z);
    return 0;
}

int codec_zipper_write(struct codec_zipper *z, const void *p, size_t n, struct err *e)
{
    if (!z->ops) return z->dst.write(z->dst.arg, p, n, e);
    return z->ops->write(z->state, p, n, z->dst, e);
}

int codec_zipper_finish(struct codec_zipper *z, struct err *e)
{
    return z->ops ? z->ops->finish(z->state, z->dst, e) : 0;
}

void codec_zipper_close(struct codec_zipper *z)
{
    if (!z) return;
    if (z->state) z->ops->close(z->state);
    free(z);
}

const char *codec_zipper_version(enum codec_zip kind)
{
    return kind < CODEC_ZIP_COUNT && writers[kind] ? writers[kind]->version() : "";
}
