// SPDX-License-Identifier: Apache-2.0
// What the parts of unpacking share: layer_unpack.c (the archive and its entries), layer_place.c (where an
// entry goes) and layer_dirs.c (what folders get at the end).
#pragma once

#include <stdio.h>

#include "base/fs.h"
#include "codec/hash.h"
#include "store/blob.h"
#include "store/layer_internal.h"

#define LAYER_PLACES 64 // open folders that are kept

struct layer_slot {
    char *path;
    int fd;
};

struct layer_unpack {
    struct engine *en;
    int top;               // tmp/<name>
    struct root fs;
    struct layer_slot cache[LAYER_PLACES];
    struct codec_tar_reader *tar;
    struct layer_recipe *recipe;
    FILE *dirs, *later;    // attributes of folders; what has to wait for the layers below
    uint64_t aside;        // number of things moved to old/
    uint64_t implied;
    bool filling;          // content goes into a file now: the recipe need not hold it
    struct store_meta meta;
    unsigned char *buf;
    // the archive's bytes
    struct store_layer_put put;
    struct store_blob_writer *blob;
    struct codec_sha256 packed, plain;
    uint64_t packed_n;
};

// --- layer_place.c --------------------------------------------------------------------------------

// Cleans an archive's name to "a/b/c" ("" is the root). `absolute` lets a leading slash pass.
int layer_place_clean(const char *name, bool absolute, const char *what, struct str *out,
                      struct err *e);
struct sv layer_place_split(struct sv path, struct sv *out_last);
// Opens a folder of the layer by its real path.
int layer_place_open(struct layer_unpack *u, const char *path);
// Opens the folder of an entry. *path (the clean name) becomes its real path. The descriptor belongs
// to the cache. -2 without error when `make` is false and it is not there.
int layer_place_parent(struct layer_unpack *u, struct str *path, bool make, struct err *e);
// Called when parent/name may exist. *parent is renewed, since this may have emptied the cache.
int layer_place_room(struct layer_unpack *u, int *parent, const char *name, struct str *path,
                     struct err *e);
void layer_place_forget(struct layer_unpack *u); // all that is kept open

// --- layer_dirs.c ---------------------------------------------------------------------------------

// Notes what the archive says of a folder; when all is unpacked it is set, in the order it was noted.
int layer_dirs_note(struct layer_unpack *u, const char *path, const struct codec_tar_entry *t,
                    struct err *e);
int layer_dirs_apply(struct layer_unpack *u, struct err *e);
// Lists in u->later the folders below `at` that the archive did not list.
int layer_dirs_implied(struct layer_unpack *u, int at, const char *path, struct err *e);
