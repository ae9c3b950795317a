// SPDX-License-Identifier: Apache-2.0
// Content by digest: blobs/sha256/<hex>, exactly the bytes received, read-only files. A blob is
// visible only complete, synced and with the digest of its name.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/engine.h"
#include "base/str.h"
#include "oci/digest.h"

int store_blob_put(struct engine *en, struct sv data, struct oci_digest *out, struct err *e);
// As store_blob_put without its syncs, for several small blobs in one command: the caller runs
// store_sync before it writes what names them. Torn by a power cut, it heals when it is put again.
int store_blob_put_batch(struct engine *en, struct sv data, struct oci_digest *out,
                         struct err *e);
// Streaming: write as it comes, then commit with what is expected. Commit frees the writer, also
// when it fails.
struct store_blob_writer;
int store_blob_create(struct engine *en, struct store_blob_writer **out, struct err *e);
int store_blob_write(struct store_blob_writer *w, const void *p, size_t n, struct err *e);
// `want` NULL or the expected digest; want_size UINT64_MAX or the expected size.
int store_blob_commit(struct store_blob_writer *w, const struct oci_digest *want,
                      uint64_t want_size, struct oci_digest *out, uint64_t *out_size,
                      struct err *e);
void store_blob_abandon(struct store_blob_writer *w);  // frees; no-op on NULL
static inline void own_store_blob_writer(struct store_blob_writer **w)
{
    store_blob_abandon(*w);
}
bool store_blob_exists(struct engine *en, const struct oci_digest *d, uint64_t *out_size);
int store_blob_open(struct engine *en, const struct oci_digest *d, struct err *e);  // fd
// Reads a small blob and checks its digest.
int store_blob_read(struct engine *en, const struct oci_digest *d, size_t max, struct str *out,
                    struct err *e);
int store_blob_remove(struct engine *en, const struct oci_digest *d, struct err *e);
