// SPDX-License-Identifier: Apache-2.0
// What the compression formats offer to the one reader (unzip.c) and the one writer (zip.c). Each
// library is seen by exactly one file.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "codec/unzip.h"

struct codec_piece {
    const unsigned char *p;  // input not yet used
    size_t n;
};

struct codec_unzip_ops {
    int (*open)(void **out_state, struct err *e);
    int (*begin)(void *state, struct err *e);  // before each member or frame
    // Takes from *in, writes at most *n bytes to `out` and sets *n to what it wrote. 1: the member
    // ended, 0: go on, -1: error. No use of input and no output means that more input is needed.
    int (*step)(void *state, struct codec_piece *in, void *out, size_t *n, struct err *e);
    void (*close)(void *state);
};
extern const struct codec_unzip_ops codec_gzip_ops, codec_zstd_ops, codec_xz_ops, codec_bzip2_ops;
extern const struct codec_unzip_ops codec_zlib_ops;  // gzip without ISA-L: fallback and oracle

// The header of each gzip member that we write (see unzip.h): ten fixed bytes, the length of the extra
// field, our subfield's name and length; then size and number, 32 bits each, little-endian.
#define CODEC_GZIP_HEAD 24
#define CODEC_GZIP_HEAD_BYTES \
    {0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 12, 0, 'D', 'w', 8, 0}
#define CODEC_GZIP_LAST 0x80000000U
struct codec_gzip_mark {
    uint32_t size;    // of the whole member, compressed
    uint32_t number;  // from 0
    bool last;
};
// False for members of others.
bool codec_gzip_mark_find(const struct codec_piece *in, struct codec_gzip_mark *out);

struct codec_zip_ops {
    int (*open)(int level, unsigned workers, void **out_state, struct err *e);
    int (*write)(void *state, const void *p, size_t n, struct codec_sink dst, struct err *e);
    int (*finish)(void *state, struct codec_sink dst, struct err *e);
    void (*close)(void *state);
    const char *(*version)(void);
};
extern const struct codec_zip_ops codec_gzip_zip_ops, codec_zstd_zip_ops;
