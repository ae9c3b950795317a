// SPDX-License-Identifier: Apache-2.0
// Part files: cache/downloads/<hex>, what has come so far of the blob <hex>. A flock on the file
// means "somebody fetches this": of several commands that need one blob, one fetches and the others
// wait. What a broken run left is continued by the next; nothing in it is believed before the whole
// was hashed. When nobody has touched one for some days it is swept.
//
// Life: open -> (busy: wait in a worker, then again) -> filled -> hashed by whoever unpacks it ->
// release -> (store_sync) -> adopt: renamed to blobs/. Any of them may be killed.
#pragma once

#include <stdint.h>

#include "base/engine.h"
#include "base/err.h"
#include "oci/digest.h"

#define STORE_DOWNLOAD_DAYS 7

struct store_download {
    int fd; // -1: closed
    struct oci_digest digest;
    uint64_t have; // bytes in the file when it was opened
};
#define STORE_DOWNLOAD_NONE ((struct store_download){.fd = -1})

// 1: ours, locked, out->have at most `size`. 0: another command has it; wait for it with
// store_download_wait, then close and open again (the blob or its layer may be there by then).
int store_download_open(struct engine *en, const struct oci_digest *digest, uint64_t size,
                        struct store_download *out, struct err *e);
// Until its owner lets go. Blocks: for a worker process, which may be killed.
int store_download_wait(struct store_download *d, struct err *e);
// Lets others at it; the descriptor stays good. For whoever needs no more than the bytes.
int store_download_release(struct store_download *d, struct err *e);
// Throws away what is there and begins a new file, locked by us.
int store_download_restart(struct engine *en, struct store_download *d, struct err *e);
// Makes it the blob. The caller has seen its digest, and synced. No-op when another one has done
// it.
int store_download_adopt(struct engine *en, struct store_download *d, struct err *e);
void store_download_discard(struct engine *en, struct store_download *d); // removes and closes
void store_download_close(struct store_download *d);                      // keeps what has come
// Removes those that nobody has touched for STORE_DOWNLOAD_DAYS.
void store_download_sweep(struct engine *en);
