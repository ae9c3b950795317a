// SPDX-License-Identifier: Apache-2.0
// Layers as compressed archives: made once, kept as blobs.
#pragma once

#include "base/proc.h"
#include "image/image.h"
#include "store/tmp.h"

// The archive of a layer that some image of the store names already, in the wanted compression:
// 1 found, 0 not.
int image_pack_find(struct engine *en, const struct oci_digest *diff, const char *media_type,
                    struct oci_descriptor *out, struct err *e);

struct image_pack {
    struct engine *en;
    struct store_tmp *tmp; // the worker leaves its result there
    const struct store_layer *layer;
    enum codec_zip zip;
    int level;        // 0: the compressor's default
    unsigned workers; // processes that compress; 0: one per CPU
    char name[24];    // filled in by image_pack_start
};
// Compresses the layer's canonical archive (or the one that its recipe replays) into a blob, in a
// worker process; then image_pack_end says what became of it.
int image_pack_start(struct image_pack *p, struct proc_worker *out, struct err *e);
int image_pack_end(struct image_pack *p, struct proc_worker *w, struct oci_descriptor *out,
                   struct err *e);
const char *image_pack_type(enum codec_zip zip); // the media type of such layers
bool image_pack_has_type(const struct oci_descriptor *d, enum codec_zip zip);
