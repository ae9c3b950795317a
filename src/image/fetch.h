// SPDX-License-Identifier: Apache-2.0
// The layers of one image, from a registry into the store: downloads side by side into part files
// (store/download.h), and a worker per layer that unpacks and hashes its part file while it grows.
//
//   open -> run -> (the caller puts config and manifest, store_sync) -> adopt -> close
#pragma once

#include "image/image.h"
#include "image/remote.h"

struct image_fetch_options {
    struct image_remote *remote;
    const struct oci_ref *ref; // the repository that has the blobs
    uint32_t flags;            // TRANSFER_INSECURE ...
    const struct oci_manifest *manifest;
    const struct oci_image *image; // as many layers as the manifest
    unsigned workers;              // 0: one per CPU, at least as many as downloads at a time
};
struct image_fetch;
// Enters the user namespace. The caller holds store_lock_shared. The options are borrowed.
int image_fetch_open(struct engine *en, const struct image_fetch_options *opt,
                     struct image_fetch **out, struct err *e);
// Every layer is published afterwards: *out is heap, bottom first. Not synced yet.
int image_fetch_run(struct image_fetch *f, struct store_layer **out, struct err *e);
// The archives become blobs of the store. After store_sync.
int image_fetch_adopt(struct image_fetch *f, struct err *e);
void image_fetch_close(struct image_fetch *f);
static inline void own_image_fetch(struct image_fetch **f)
{
    image_fetch_close(*f);
}
// The number that events about a blob carry: the same in every process.
uint64_t image_fetch_event_id(const struct oci_digest *d);
