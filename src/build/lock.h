// SPDX-License-Identifier: Apache-2.0
// dewar.lock: what everything that a build takes from outside was when it was locked. One JSON file
// beside the Dockerfile, keys in byte order, two blanks of indent, so that it can be read in a
// diff:
//
//   images   name -> digest in its registry; per platform the manifest and the image ID
//   urls     URL -> sha256 and size
//   git      URL#ref -> commit
//   results  "platform[ time:EPOCH][ stage][ args:HASH]" -> the image ID that a locked build gave,
//   of which context
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/engine.h"
#include "base/map.h"
#include "oci/digest.h"

#define BUILD_LOCK_VERSION 1
#define BUILD_LOCK_MAX ((size_t)8 << 20)
#define BUILD_LOCK_ENTRIES 10000

struct build_lock_image {
    struct oci_digest digest; // what the tag named; unset: no registry is known to have it
    struct map platforms;     // "linux/amd64" -> struct build_lock_platform
};
struct build_lock_platform {
    struct oci_digest manifest, image;
};
struct build_lock_url {
    struct oci_digest digest;
    uint64_t size;
};
struct build_lock_git {
    char commit[65];
};
struct build_lock_result {
    struct oci_digest image, context; // context unset: the build takes nothing from one
};
struct build_lock {
    struct map images, urls, git, results; // of heap structs of the above kinds
    char *compressor;                      // that made archives of layers, and its version
};

void build_lock_init(struct build_lock *l);
void build_lock_fini(struct build_lock *l);
static inline void own_build_lock(struct build_lock *l)
{
    build_lock_fini(l);
}
// The same lock prints the same bytes.
int build_lock_parse(struct sv text, const char *label, struct build_lock *out, struct err *e);
void build_lock_print(const struct build_lock *l, struct str *out);

// Adding replaces. The image entry with its name, made when it is not there.
struct build_lock_image *build_lock_set_image(struct build_lock *l, const char *name);
void build_lock_set_platform(struct build_lock_image *im, const char *platform,
                             const struct oci_digest *manifest, const struct oci_digest *image);
void build_lock_set_url(struct build_lock *l, const char *url, const struct oci_digest *digest,
                        uint64_t size);
void build_lock_set_git(struct build_lock *l, const char *name, const char *commit);
void build_lock_set_result(struct build_lock *l, const char *name, const struct oci_digest *image,
                           const struct oci_digest *context);

// How an image is called in a lock: "debian" and "docker.io/library/debian:latest" are one. Heap;
// the text itself where it is an ID.
char *build_lock_image_name(const char *text);
// "<dir>/dewar.lock" for a Dockerfile with the usual name, "<dir>/<name>.lock" for another. Heap.
char *build_lock_path(const char *dockerfile);
