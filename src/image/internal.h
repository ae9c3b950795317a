// SPDX-License-Identifier: Apache-2.0
// What the files of this room share among themselves.
#pragma once

#include "image/image.h"
#include "image/view.h"
#include "codec/tar.h"
#include "codec/unzip.h"
#include "store/user.h"

// The config of a listed image. ERR_CORRUPT when its blob is missing or damaged.
int image_read_config(struct engine *en, const struct oci_digest *image, struct oci_image *out,
                      struct err *e);
// The manifest of a listed image, and its raw bytes when `raw` is given.
int image_read_manifest(struct engine *en, const struct oci_digest *manifest,
                        struct oci_manifest *out, struct str *raw, struct err *e);
// Layers of an image as they are on disk, in no way made again: *out is heap, bottom first, and a
// layer that is missing has an empty id. Returns how many are missing.
size_t image_peek_layers(struct engine *en, const struct oci_image *im, struct store_layer **out);
uint64_t image_size(struct engine *en, const struct oci_image *im, bool *out_broken);
size_t image_users(const struct store_users *all, const struct oci_digest *image);

// Into the log of events. `ref` without a name: the image's ID stands for it, as Docker has it.
void image_event(struct engine *en, const char *action, const struct oci_digest *image,
                 const struct oci_ref *ref);
// Of a transfer: the actor is the name, not the image.
void image_event_named(struct engine *en, const char *action, const struct oci_ref *ref);

// --- filters ("key=value") ----------------------------------------------------------------------
// Splits and checks the key against `known` (NULL-terminated). "label!" is a key of its own.
int image_filter_split(const char *text, const char *const *known, char **out_key,
                       const char **out_value, struct err *e);
int image_filter_bool(const char *key, const char *value, bool *out, struct err *e);
// A duration before now ("24h") or a moment (RFC 3339, a date, seconds since 1970).
int image_filter_time(const char *key, const char *value, int64_t *out, struct err *e);
bool image_filter_label(const struct oci_image *im, const char *wanted);  // "K" or "K=V"
bool image_filter_reference(const struct oci_ref *r, const char *pattern);

// --- unpacking one layer from a stream ----------------------------------------------------------
// Reads a tar here (in the process that parsed the options) and lets a worker unpack it, so that
// parsing, hashing and file creation use two CPUs.
enum image_rootfs_edit {
    IMAGE_ROOTFS_KEEP,
    IMAGE_ROOTFS_DROP,
    IMAGE_ROOTFS_REPLACE,  // the content is what the editor put into *content
};
struct image_rootfs {
    struct codec_source src;  // the archive, compressed or not
    // Looks at each entry and may change its fields; the archive is then written anew in our own
    // fixed form. NULL: the bytes are taken as they are.
    enum image_rootfs_edit (*edit)(void *arg, struct codec_tar_entry *t, struct str *content);
    void *arg;
    // results
    int64_t newest;  // newest time of an entry, INT64_MIN without entries
    uint64_t entries;
};
int image_rootfs_unpack(struct engine *en, struct store_tmp *tmp, const char *name,
                        struct image_rootfs *r, struct err *e);
// An unzipped stream as a source; the unzipper must outlive it.
struct codec_source image_rootfs_unzipped(struct codec_unzip *u);
// What `import` and `bootstrap` have in common: unpack, publish, config, put.
struct image_single {
    struct image_rootfs *rootfs;
    struct oci_image *image;  // layers and created are filled in
    int64_t created;          // INT64_MIN: the newest time in the archive
    const struct oci_ref *ref;  // NULL: untagged
    const char *created_by;
    const char *comment;
    // Called when the archive was read to its end and before anything gets a name; may be NULL.
    int (*ready)(void *arg, struct err *e);
    void *ready_arg;
};
int image_rootfs_put(struct engine *en, struct image_single *s, struct store_ref *out,
                     struct err *e);

// The manifest that names the given layers as plain tars (or as `put->base` names them).
int image_put_manifest(struct engine *en, const struct image_put *put,
                       const struct oci_digest *config, size_t config_size, struct str *out,
                       struct err *e);
