// SPDX-License-Identifier: Apache-2.0
// SHA-256 (OpenSSL's, linked statically: its shared library costs 4 ms at every start). Uses the
// CPU's SHA instructions where they are.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

#define CODEC_SHA256_HEX 65  // 64 digits and NUL

struct codec_sha256 {
    union {
        uint64_t align;
        unsigned char bytes[128];
    } state;
};

void codec_sha256_init(struct codec_sha256 *h);
void codec_sha256_add(struct codec_sha256 *h, const void *p, size_t n);
void codec_sha256_addz(struct codec_sha256 *h, const char *z);  // text and its NUL: unambiguous
void codec_sha256_addu(struct codec_sha256 *h, uint64_t v);     // eight bytes, little endian
void codec_sha256_end(struct codec_sha256 *h, char hex[CODEC_SHA256_HEX]);
void codec_sha256_of(struct sv data, char hex[CODEC_SHA256_HEX]);
int codec_sha256_fd(int fd, uint64_t *out_size, char hex[CODEC_SHA256_HEX], struct err *e);
