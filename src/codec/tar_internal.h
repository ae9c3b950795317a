// SPDX-License-Identifier: Apache-2.0
// The tar header as it lies on the wire, and the records that pax adds to it.
#pragma once

#include "codec/tar.h"

#define TAR_BLOCK 512
#define TAR_SPARSE_MAX ((size_t)256 << 10)  // map entries of one sparse file

struct codec_tar_header {
    char name[100];
    char mode[8];
    char uid[8];
    char gid[8];
    char size[12];
    char mtime[12];
    char chksum[8];
    char type;
    char link[100];
    char magic[8];
    char uname[32];
    char gname[32];
    char major[8];
    char minor[8];
    char prefix[155];
    char pad[12];
};
_Static_assert(sizeof(struct codec_tar_header) == TAR_BLOCK, "a tar header is one block");

struct codec_tar_piece {  // data of a sparse file
    uint64_t at, n;
};
struct codec_tar_map {
    struct codec_tar_piece *p;
    size_t n;
    size_t cap;
};

// What pax records said; absent texts are NULL, absent numbers have their flag unset.
struct codec_tar_pax {
    char *path, *linkpath;
    bool has_size, has_uid, has_gid, has_mtime;
    uint64_t size, uid, gid;
    int64_t mtime;
    uint32_t mtime_ns;
    struct codec_xattrs xattrs;
    // GNU.sparse.*
    bool sparse, sparse_1_0;
    char *sparse_name;
    uint64_t sparse_size;
    struct codec_tar_map map;
    bool map_half;  // an offset without its length (0.0)
};
void codec_tar_pax_fini(struct codec_tar_pax *p);
// Reads records over what is already there. An empty value takes a record back.
int codec_tar_pax_parse(struct sv text, struct codec_tar_pax *out, struct err *e);
// Local records win over global ones: *out becomes a copy of `global`.
void codec_tar_pax_copy(const struct codec_tar_pax *global, struct codec_tar_pax *out);

bool codec_tar_number(const char *field, size_t n, int64_t *out);  // octal or base-256
uint32_t codec_tar_sum(const struct codec_tar_header *h, int32_t *out_signed);
