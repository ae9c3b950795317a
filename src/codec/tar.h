// SPDX-License-Identifier: Apache-2.0
// tar as bytes: ustar, pax (global and local), GNU long names, base-256 numbers, old v7, SCHILY.xattr,
// GNU sparse (0.0, 0.1, 1.0 and old). Names are bytes, never characters. The writer has one fixed
// form, so equal entries give equal bytes.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"
#include "base/vec.h"
#include "codec/unzip.h"

enum codec_tar_type {
    CODEC_TAR_FILE,
    CODEC_TAR_DIR,
    CODEC_TAR_SYMLINK,
    CODEC_TAR_HARDLINK,
    CODEC_TAR_CHAR,
    CODEC_TAR_BLOCK,
    CODEC_TAR_FIFO,
    CODEC_TAR_TYPE_COUNT,
};

struct codec_xattr {
    char *name;
    char *value;  // bytes
    size_t n;
};
struct codec_xattrs {
    struct codec_xattr *p;
    size_t n;
    size_t cap;
};

struct codec_tar_entry {
    enum codec_tar_type type;
    char *name;  // as in the archive: no clean-up
    char *link;  // target of symlink or hardlink, else NULL
    uint32_t mode;  // permission bits with setuid, setgid, sticky
    uint64_t uid;
    uint64_t gid;
    int64_t mtime;  // whole seconds (fraction dropped)
    uint32_t mtime_ns;
    uint64_t size;  // of the content that follows (files only), after sparse expansion
    uint32_t major;
    uint32_t minor;
    struct codec_xattrs xattrs;  // sorted by name
};
void codec_tar_entry_fini(struct codec_tar_entry *t);
// Adds or replaces, keeps the order by name. The value is copied.
void codec_xattrs_set(struct codec_xattrs *x, const char *name, const void *value, size_t n);
bool codec_xattrs_eq(const struct codec_xattrs *a, const struct codec_xattrs *b);
void codec_xattrs_fini(struct codec_xattrs *x);

struct codec_tar_reader;
// `seen` (may be NULL) gets every byte of the archive in order, with whether it is content of the
// current file: used for hashing and for the layer's recipe. Content of sparse files and of what is
// no file counts as not content: it does not stand in the unpacked file as it stands here.
struct codec_tar_seen {
    int (*bytes)(void *arg, const void *p, size_t n, bool content, struct err *e);
    void *arg;
};
int codec_tar_reader_open(struct codec_source src, const struct codec_tar_seen *seen,
                          struct codec_tar_reader **out, struct err *e);
void codec_tar_reader_close(struct codec_tar_reader *r);
static inline void own_codec_tar_reader(struct codec_tar_reader **r)
{
    codec_tar_reader_close(*r);
}
// 1: *out is the next entry (valid until the next call), 0: end of archive (everything up to the
// end of the source has been read), -1: error naming the entry and its offset.
int codec_tar_next(struct codec_tar_reader *r, const struct codec_tar_entry **out, struct err *e);
ssize_t codec_tar_read(struct codec_tar_reader *r, void *buf, size_t n, struct err *e);  // 0: end
// Steps over a hole of a sparse file and returns its length, 0 where none begins. A reader that does
// not ask gets the zero bytes.
uint64_t codec_tar_hole(struct codec_tar_reader *r);
// Does the content stand in the archive as it is read (and will `seen` call it content)?
bool codec_tar_plain(const struct codec_tar_reader *r);

struct codec_tar_writer {
    struct codec_sink dst;
    uint64_t bytes;      // written so far
    uint64_t remaining;  // content still owed for the current entry
};
void codec_tar_writer_init(struct codec_tar_writer *w, struct codec_sink dst);
// Fixed header form: ustar; pax records only for what ustar cannot hold (sorted), numeric ids only.
int codec_tar_write_entry(struct codec_tar_writer *w, const struct codec_tar_entry *t,
                          struct err *e);
int codec_tar_write_data(struct codec_tar_writer *w, const void *p, size_t n, struct err *e);
int codec_tar_write_end(struct codec_tar_writer *w, struct err *e);  // two zero blocks
