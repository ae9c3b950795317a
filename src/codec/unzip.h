// SPDX-License-Identifier: Apache-2.0
// One streaming reader over plain, gzip (any number of members), zstd (any number of frames,
// window <= 128 MiB), xz and bzip2, told apart by content. Bombs are cut off: LIMIT_RATIO after the
// first 64 MiB, and a byte cap. Memory stays bounded whatever the input says.
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"

enum codec_zip {
    CODEC_ZIP_NONE,
    CODEC_ZIP_GZIP,
    CODEC_ZIP_ZSTD,
    CODEC_ZIP_XZ,
    CODEC_ZIP_BZIP2,
    CODEC_ZIP_COUNT,
};
const char *codec_zip_name(enum codec_zip z);

struct codec_unzip;
// Where compressed bytes come from: returns bytes read, 0 at the end, -1 with *e.
struct codec_source {
    ssize_t (*read)(void *arg, void *buf, size_t n, struct err *e);
    void *arg;
};
struct codec_source codec_source_fd(int *fd);  // fd must outlive it

// max_bytes UINT64_MAX: bytes of our own, without caps.
int codec_unzip_open(struct codec_source src, uint64_t max_bytes, struct codec_unzip **out,
                     struct err *e);
void codec_unzip_close(struct codec_unzip *u);
static inline void own_codec_unzip(struct codec_unzip **u)
{
    codec_unzip_close(*u);
}
enum codec_zip codec_unzip_kind(const struct codec_unzip *u);
ssize_t codec_unzip_read(struct codec_unzip *u, void *buf, size_t n, struct err *e);  // 0: end

// Compression, which returns through `write`. The bytes depend on the kind, the level and the content
// alone: not on the CPU, not on the sizes of the pieces written, not on the number of workers.
//
// gzip is written as members of 1 MiB of content each. Every reader of gzip takes them. Each member's
// header has an extra field (RFC 1952) with one subfield, "Dw": the size of the whole compressed member
// and its number from 0 up, whose top bit marks the last one (32 bits each, little-endian). So a stream
// can be split without being inflated, and the reader above refuses one of ours that lacks members, has
// them in another order or was cut between two.
struct codec_sink {
    int (*write)(void *arg, const void *p, size_t n, struct err *e);
    void *arg;
};
struct codec_zipper;
int codec_zipper_open(enum codec_zip kind, int level, struct codec_sink dst,
                      struct codec_zipper **out, struct err *e);
// The same, compressed by so many worker processes (0: one per CPU; 1: none, in this process). They
// start with the second member, take at most 64 MiB together, and end in finish or close. `write` is
// called by this process, in order. A worker that dies is an error. Formats other than gzip know no
// independent pieces: there the number has no effect.
int codec_zipper_open_workers(enum codec_zip kind, int level, unsigned workers,
                              struct codec_sink dst, struct codec_zipper **out, struct err *e);
int codec_zipper_write(struct codec_zipper *z, const void *p, size_t n, struct err *e);
int codec_zipper_finish(struct codec_zipper *z, struct err *e);
void codec_zipper_close(struct codec_zipper *z);
static inline void own_codec_zipper(struct codec_zipper **z)
{
    codec_zipper_close(*z);
}
// What the bytes depend on beside the content:
// "libdeflate 1.14 level 4, numbered members of 1 MiB, noise stored".
const char *codec_zipper_version(enum codec_zip kind);
