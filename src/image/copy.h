// SPDX-License-Identifier: Apache-2.0
// Inside of `copy` (this room only). Everything goes through a *pivot*: a temporary folder of
// blobs, each checked against its digest on the way in. A place knows how to fill a pivot from a
// name of its own, and how to make one of its own from a pivot; so each new place can talk to all
// others.
#pragma once

#include "base/fs.h"
#include "image/registry.h"
#include "image/resolve.h"
#include "store/tmp.h"

struct image_pivot {
    struct engine *en;
    const struct image_copy_options *opt;
    struct oci_platform want;
    struct store_tmp tmp;
    int blobs; // folder in tmp: files named by the hex digits
    // What it holds: a manifest, or with --all an index.
    struct oci_digest top;
    char type[TRANSFER_TYPE];
};
struct image_port {
    const char *scheme; // "oci:"
    const char *help;
    int (*fill)(struct image_pivot *p, const char *place, struct err *e);
    int (*make)(struct image_pivot *p, const char *place, struct err *e);
};
extern const struct image_port image_port_docker, image_port_dir, image_port_oci,
    image_port_oci_archive, image_port_docker_archive, image_port_store;

// --- filling ------------------------------------------------------------------------------------
// Where documents and blobs come from while a pivot is filled.
struct image_source {
    // digest NULL: what the place's name means.
    int (*doc)(void *arg, const struct oci_digest *digest, struct image_doc *out, struct err *e);
    // Puts all of them into the pivot.
    int (*blobs)(void *arg, const struct oci_descriptor *const *list, size_t n, struct err *e);
    void *arg;
};
int image_pivot_fill(struct image_pivot *p, const struct image_source *src, struct err *e);
// The bytes of fd from its offset on; `want` (may be NULL) is what they must be, *out what they
// are.
int image_pivot_take(struct image_pivot *p, int fd, uint64_t size, const struct oci_digest *want,
                     struct oci_digest *out, struct err *e);
int image_pivot_put(struct image_pivot *p, struct sv text, struct oci_digest *out, struct err *e);

// Copies a blob into a person's folder: complete or not at all, and never through a link that somebody
// may have put there.
int image_place_blob(int from, const char *name, int to, const char *as, struct err *e);

// --- making -------------------------------------------------------------------------------------
int image_pivot_doc(struct image_pivot *p, const struct oci_digest *digest, const char *type,
                    struct image_doc *out, struct err *e);
// The index.json of an OCI layout with the pivot's top in it, added to `old` ("" for none): an
// entry of the same name is replaced. name NULL: without.
int image_pivot_index(struct image_pivot *p, struct sv old, const char *name, struct str *out,
                      struct err *e);
#define IMAGE_OCI_LAYOUT "{\"imageLayoutVersion\":\"1.0.0\"}"
// "DIR:NAME" to its two parts; *name is NULL where there is none.
void image_place_split(const char *place, char **out_path, char **out_name);
