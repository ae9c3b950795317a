// SPDX-License-Identifier: Apache-2.0
// Inside of `load` (this room only): an archive as a set of named entries, wherever it comes from.
//
// FOLDER   an OCI layout or an extracted docker-archive: entries are opened when asked for
// TARFILE  an uncompressed tar that can be read at any place: one pass notes where entries lie
//          (contents are not read), then layers are unpacked by several workers at once
// STREAM   a pipe, or a compressed tar: layers may come before the manifest that names them, so
//          what looks like a layer is unpacked as it passes, and small JSON texts are kept
#pragma once

#include <stdbool.h>

#include "base/engine.h"
#include "base/fs.h"
#include "base/map.h"
#include "base/proc.h"
#include "image/archive.h"
#include "store/layer.h"
#include "store/tmp.h"

#define IMAGE_LOAD_WORKERS_MAX 16

enum image_load_kind {
    IMAGE_LOAD_FOLDER,
    IMAGE_LOAD_TARFILE,
    IMAGE_LOAD_STREAM,
};
enum image_load_state {
    IMAGE_LOAD_FRESH,
    IMAGE_LOAD_RUNNING,
    IMAGE_LOAD_UNPACKED,   // lies in tmp/<name>
    IMAGE_LOAD_PUBLISHED,  // `layer` says as what
    IMAGE_LOAD_FAILED,     // `why` says why; matters only when an image needs it
};
struct image_load_entry {
    char *path;  // cleaned
    char *link;  // of a symlink or hardlink: the cleaned target
    uint64_t offset;
    uint64_t size;
    struct str text;  // STREAM: a small text
    bool has_text;
    enum image_load_state state;
    char name[24];  // folder in tmp
    struct store_layer layer;
    struct err *why;
};
struct image_load_slot {
    struct proc_worker worker;
    struct image_load_entry *entry;
};
struct image_load {
    struct engine *en;
    const char *only;  // see archive.h
    enum image_load_kind kind;
    int fd;
    uint64_t base;  // TARFILE: where the archive begins in the file
    struct root root;
    struct store_tmp tmp;
    struct map entries;  // path -> struct image_load_entry
    size_t text_bytes;
    size_t serial;
    unsigned workers;
    struct image_load_slot slot[IMAGE_LOAD_WORKERS_MAX];
    unsigned busy;
};

// Finds out the kind and reads what must be read (STREAM: everything).
int image_load_scan(struct image_load *l, struct err *e);
// NULL when there is no such entry. Links are followed inside the archive.
struct image_load_entry *image_load_find(struct image_load *l, const char *path);
// A whole text entry, at most max bytes. 1 found, 0 not.
int image_load_text(struct image_load *l, const char *path, size_t max, struct str *out,
                    struct err *e);
// Opens an entry's bytes (FOLDER, TARFILE): a descriptor, and the range that counts.
int image_load_open(struct image_load *l, const struct image_load_entry *x, uint64_t *out_from,
                    uint64_t *out_size, struct err *e);
// Starts to unpack an entry in a worker (waits for a free one first). Not for STREAM.
int image_load_start(struct image_load *l, struct image_load_entry *x,
                     const struct oci_digest *diff, const struct oci_digest *blob, struct err *e);
int image_load_wait_all(struct image_load *l, struct err *e);
void image_load_kill_all(struct image_load *l);
void image_load_entry_free(void *entry);
