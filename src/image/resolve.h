// SPDX-License-Identifier: Apache-2.0
// From a reference to documents: manifests and indexes as a registry has them, checked before
// anybody believes a word of them.
#pragma once

#include "image/choose.h"
#include "image/remote.h"

struct image_doc {
    struct oci_digest digest;
    char type[TRANSFER_TYPE]; // media type, without parameters
    struct str raw;
    struct oci_manifest m;
};
void image_doc_fini(struct image_doc *d);
static inline void own_image_doc(struct image_doc *d)
{
    image_doc_fini(d);
}
// The way from what a reference names down to one image's manifest: p[0] is what the reference
// names, p[n-1] the manifest (they are the same for an image of one platform).
struct image_docs {
    struct image_doc p[IMAGE_INDEX_DEPTH + 2];
    size_t n;
};
void image_docs_fini(struct image_docs *v);
static inline void own_image_docs(struct image_docs *v)
{
    image_docs_fini(v);
}

// Asks for something that ends up in memory: at most `max` bytes of it, appended to *out.
int image_remote_text(struct image_remote *r, struct transfer_request *q, size_t max,
                      struct str *out, struct transfer_reply *reply, struct err *e);
// Parses and checks bytes that claim to be a manifest or an index: the media type that they came
// with must be the one that they name, and their digest `want` where that is set.
int image_doc_parse(struct sv raw, const char *type, const struct oci_digest *want,
                    const char *label, struct image_doc *out, struct err *e);
// By digest when ref has one, else by tag. flags: TRANSFER_INSECURE ...
int image_doc_get(struct image_remote *r, const struct oci_ref *ref, uint32_t flags,
                  struct image_doc *out, struct err *e);
// What the reference means now, without its content. 1 found, 0 not, also where a registry cannot
// say.
int image_doc_head(struct image_remote *r, const struct oci_ref *ref, uint32_t flags,
                   struct oci_digest *out, struct err *e);
int image_docs_get(struct image_remote *r, const struct oci_ref *ref, uint32_t flags,
                   const struct oci_platform *want, struct image_docs *out, struct err *e);
// A small blob (a config): its size must be the descriptor's, at most LIMIT_CONFIG.
int image_blob_text(struct image_remote *r, const struct oci_ref *ref, uint32_t flags,
                    const struct oci_descriptor *d, struct str *out, struct err *e);
