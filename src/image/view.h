// SPDX-License-Identifier: Apache-2.0
// An image opened for use: its config and its layers on disk, bottom first. This is what run and
// FROM start with.
#pragma once

#include "base/engine.h"
#include "base/fs.h"
#include "oci/image.h"
#include "store/layer.h"
#include "store/ref.h"

struct image_view {
    struct store_ref ref;  // ref.image is the image ID
    struct oci_image config;
    struct store_layer *layers;  // bottom first
    size_t n;
};
// What a person typed (name, digest or ID) to config and layers. Needs engine_enter. The caller
// holds store_lock_shared until it wrote what keeps the image alive (a container record, a ref).
// ERR_NOT_FOUND with a hint; ERR_CORRUPT when blobs or layers are missing.
int image_view_open(struct engine *en, const char *name, struct image_view *out, struct err *e);
// By image ID alone (a container's record): ref has no name.
int image_view_open_id(struct engine *en, const struct oci_digest *image, struct image_view *out,
                       struct err *e);
// The config alone: no layers are looked for, and no engine_enter is needed.
int image_view_config(struct engine *en, const char *name, struct store_ref *out_ref,
                      struct oci_image *out, struct err *e);
// Whether all layers of `ancestor` are at the bottom of `image`; false where one of them is not here.
bool image_made_from(struct engine *en, const char *image, const char *ancestor);
void image_view_close(struct image_view *v);
static inline void own_image_view(struct image_view *v)
{
    image_view_close(v);
}
// A read-only root of the whole image (a detached overlay mount); the caller closes out->fd.
int image_view_root(struct engine *en, const struct image_view *v, struct root *out,
                    struct err *e);
