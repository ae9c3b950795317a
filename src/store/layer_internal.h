// SPDX-License-Identifier: Apache-2.0
// What the files about layers share: the record of a layer, paths inside one, attributes, recipes.
#pragma once

#include "base/map.h"
#include "codec/tar.h"
#include "store/layer.h"
#include "store/meta.h"

// --- attributes (layer_attr.c) --------------------------------------------------------------------
// "trusted.overlay." as root, "user.overlay." in a user namespace.
const char *layer_overlay_prefix(const struct engine *en);
int layer_set_opaque(const struct engine *en, int parent, const char *name, struct err *e);
int layer_set_origin(const struct engine *en, int parent, struct err *e);  // it holds whiteouts
bool layer_is_whiteout(const struct stat *st);  // character device 0:0
struct layer_attrs {
    struct codec_xattrs keep;  // what may stand in an archive
    bool opaque;
};
void layer_attrs_fini(struct layer_attrs *a);
static inline void own_layer_attrs(struct layer_attrs *a)
{
    layer_attrs_fini(a);
}
// Attributes of parent/name (the name "." is the folder itself). `strip` removes what overlayfs left
// on the disk beside the opaque mark.
int layer_attrs_read(int parent, const char *name, bool strip, struct layer_attrs *out,
                     struct err *e);
// Is this one of the attributes that layers carry? Everything else is dropped.
bool layer_attr_allowed(const char *name);
// Sets the allowed ones of `x` on parent/name. `label` is for messages.
int layer_attrs_write(int parent, const char *name, mode_t type, const struct codec_xattrs *x,
                      const char *label, struct err *e);

// --- recipe.c: the exact bytes of an archive ------------------------------------------------------
struct layer_recipe;
int layer_recipe_create(int dir, struct layer_recipe **out, struct err *e);
int layer_recipe_raw(struct layer_recipe *r, const void *p, size_t n, struct err *e);
int layer_recipe_content(struct layer_recipe *r, const char *path, uint64_t n, struct err *e);
// fs/<path> was moved to old/<n>: earlier content that stood there or below is found there now.
int layer_recipe_moved(struct layer_recipe *r, const char *path, uint64_t n, struct err *e);
int layer_recipe_finish(struct layer_recipe *r, struct err *e);
void layer_recipe_close(struct layer_recipe *r);
int layer_recipe_replay(int dir, struct codec_sink dst, struct err *e);

// --- layer_finish.c: open layers ------------------------------------------------------------------
// The file `open` in a layer's folder: "d PATH" for an implied directory, "l NAME\0TARGET" for a
// hard link to something below; each record ends in two NULs. In the order they have to be done.
int layer_finish(struct engine *en, int dir, const struct store_layer *below, size_t n,
                 struct err *e);
#define LAYER_IMPLIED_MODE 01000  // on disk until the archive lists the folder or the layer is finished
