// SPDX-License-Identifier: Apache-2.0
// A build cache as it travels. It is an image manifest of OCI whose config is of a type of our own:
//
//   manifest  config:  application/vnd.dewar.cache.records.v1+json
//             layers:  archives of layers, as an image has them, and of cache mounts
//   records   {"version":1,
//              "steps":[{"key":K,"diff_id":D,"copied":[...]}, ...],   what `dewar build` remembers of a step
//              "sources":[{"key":K,"hash":H}, ...],                   what files of known layers hashed to
//              "content":[{"diff_id":D,"tar_size":N} | {"mount":ID}, ...]}
//
// content[i] says what layers[i] of the manifest is. A step without a diff_id ("") changed no file. Keys
// are SHA-256 over every input of a step; they mean nothing to other programs. All is sorted or in the
// order of the Dockerfile, so equal builds write equal caches.
//
// Inside an image (`type=inline`) the records, without "content", are the text of the manifest's
// annotation BUILD_CACHEDOC_NOTE: the layers are the image's own.
#pragma once

#include "base/map.h"
#include "base/vec.h"
#include "oci/image.h"

#define BUILD_CACHEDOC_TYPE "application/vnd.dewar.cache.records.v1+json"
#define BUILD_CACHEDOC_MOUNT_TYPE "application/vnd.dewar.cache.mount.v1.tar"
#define BUILD_CACHEDOC_NOTE "dev.dewar.build.cache.v1"
#define BUILD_CACHEDOC_MAX ((size_t)64 << 20)
#define BUILD_CACHEDOC_NOTE_MAX ((size_t)1 << 20)

struct build_cachedoc_layer {
    struct oci_digest diff_id;  // unset: a cache mount
    uint64_t tar_size;
    char *mount;                // id of a cache mount, else NULL
    struct oci_descriptor blob;
};
struct build_cachedoc {
    struct map steps;    // key -> record, as store/cache.h keeps it (heap)
    struct map sources;  // key -> hash (heap)
    VEC(struct build_cachedoc_layer) content;
};
void build_cachedoc_init(struct build_cachedoc *d);
void build_cachedoc_fini(struct build_cachedoc *d);
// Outside bytes. `m`: the manifest whose config they are; NULL: an annotation. `out` is initialised.
int build_cachedoc_parse(struct sv records, const struct oci_manifest *m, const char *label,
                         struct build_cachedoc *out, struct err *e);
void build_cachedoc_print(const struct build_cachedoc *d, bool content, struct str *out);
// The manifest over records of this digest and size.
void build_cachedoc_manifest(const struct build_cachedoc *d, const struct oci_digest *records,
                             size_t size, struct str *out);
const struct build_cachedoc_layer *build_cachedoc_layer(const struct build_cachedoc *d,
                                                        const struct oci_digest *diff_id);
const struct build_cachedoc_layer *build_cachedoc_mount(const struct build_cachedoc *d,
                                                        const char *id);
// The diff id in a step's record; unset when the step changed nothing. false: not a record.
bool build_cachedoc_step(struct sv record, struct oci_digest *out);
