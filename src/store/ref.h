// SPDX-License-Identifier: Apache-2.0
// Names of images: one small file each, written last, removed first. A ref file holds the digests of
// a manifest and of its config (the image ID). Layout under refs/: <host>/<name>/_tags/<tag> and, for
// images without a name, _untagged/<hex of the config>. ('_' cannot start a name component.)
#pragma once

#include <stdbool.h>

#include "base/engine.h"
#include "base/vec.h"
#include "oci/digest.h"
#include "oci/ref.h"

struct store_ref {
    struct oci_ref ref;  // name[0] == '\0' for an untagged image
    struct oci_digest manifest;
    struct oci_digest image;  // config digest
    struct oci_digest remote;  // what a registry calls it (a manifest or an index); unset: no registry
                               // is known to have it under this name
    int64_t set_ns;           // wall time when it was written
};
struct store_refs {
    struct store_ref *p;
    size_t n;
    size_t cap;
};
void store_refs_fini(struct store_refs *v);
static inline void own_store_refs(struct store_refs *v)
{
    store_refs_fini(v);
}

// Points `ref` at an image. An image that loses its last name by this becomes untagged, not lost.
int store_ref_set(struct engine *en, const struct oci_ref *ref, const struct oci_digest *manifest,
                  const struct oci_digest *image, struct err *e);
// The same for a name that a registry knows: r->remote is kept too. set_ns is filled in.
int store_ref_set_remote(struct engine *en, const struct store_ref *r, struct err *e);
int store_ref_set_untagged(struct engine *en, const struct oci_digest *manifest,
                           const struct oci_digest *image, struct err *e);
int store_ref_find(struct engine *en, const struct oci_ref *ref, struct store_ref *out,
                   struct err *e);  // 1 found, 0 not
int store_ref_remove(struct engine *en, const struct store_ref *r, struct err *e);
// All, sorted by name. Damaged files are reported as warnings and skipped.
int store_ref_list(struct engine *en, struct store_refs *out, struct err *e);
// What a person typed: a name, name@digest, a full or short (>= 2 hex) ID with or without
// "sha256:". ERR_NOT_FOUND with a did-you-mean hint; ERR_INPUT when a short ID is ambiguous.
int store_ref_resolve(struct engine *en, const char *text, struct store_ref *out, struct err *e);
