// SPDX-License-Identifier: Apache-2.0
// Unpacks a tar into a folder inside a root: a context on stdin, and ADD of an archive. These are
// not layers: whiteout names mean nothing here. Names that are absolute or climb with ".." are
// refused; symlinks inside the archive are made, never followed out of the root.
#pragma once

#include "base/engine.h"
#include "base/fs.h"
#include "codec/unzip.h"

struct build_extract {
    const char *dest;             // folder inside the root, made when missing
    const struct fs_owner *owner; // everything gets it; NULL: as in the archive
    bool devices;                 // make device nodes (else they are an error)
};
int build_extract(const struct root *root, const struct build_extract *opt,
                  struct codec_source src, struct err *e);
// True when the file begins like a tar, compressed or not. Leaves the position at the start.
bool build_extract_sniff(int fd);
// As above for bytes already read from a stream.
bool build_extract_is_tar(const void *head, size_t n);
