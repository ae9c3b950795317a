// SPDX-License-Identifier: Apache-2.0
// Inside of `push` (this room only): blobs and documents that a registry is to have.
#pragma once

#include "image/pack.h"
#include "image/registry.h"
#include "image/remote.h"

struct image_sender;
// `ref`: the repository. `blobs`: a folder of files named by their hex digits; -1: the store's. The
// sender knows from the store's names which other repositories of that host have a blob, so that it
// need not be sent.
int image_send_open(struct engine *en, struct image_remote *r, const struct oci_ref *ref,
                    uint32_t flags, int blobs, struct image_sender **out, struct err *e);
void image_send_close(struct image_sender *s);
static inline void own_image_sender(struct image_sender **s)
{
    image_send_close(*s);
}

// One blob. Either its descriptor is known and the store has it, or `layer` is compressed first and
// the descriptor filled in.
struct image_send {
    struct oci_descriptor d;
    const struct store_layer *layer; // NULL: the blob of `d`
    struct oci_digest shown;         // the digest that people see: a layer's diff id
    enum image_push_end end;
    char from[256];
};
struct image_send_how {
    enum codec_zip zip;
    int level;
};
// All of them, side by side; those that are compressed first do so while others are sent.
int image_send_blobs(struct image_sender *s, struct image_send *list, size_t n,
                     const struct image_send_how *how, struct err *e);
// A manifest or index: to ref's tag, or where it has none by its digest.
int image_send_doc(struct image_sender *s, const struct oci_ref *ref, const char *type,
                   struct sv raw, struct oci_digest *out, struct err *e);
