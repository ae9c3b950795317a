// SPDX-License-Identifier: Apache-2.0
// Verbs over the images of the store: put, list, remove, tag, history, inspect, prune. Each is one
// function plus an options struct whose all-zero value is the default; faces print the results.
// None needs engine_enter (image_remove and image_prune enter by themselves before they free
// layers), so call them from a process that may enter.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/engine.h"
#include "base/vec.h"
#include "codec/json.h"
#include "oci/image.h"
#include "oci/ref.h"
#include "store/layer.h"
#include "store/ref.h"

// --- put ----------------------------------------------------------------------------------------
// Stores config and manifest of a new image and points names at it (none: it is kept untagged).
// `layers` (bottom first, im->layers many) are published already. Syncs the store once, before the
// first name is written. The caller holds store_lock_shared since before it looked for the layers.
struct image_put {
    const struct oci_image *image;
    const struct store_layer *layers;
    const struct oci_ref *refs;
    size_t refs_n;
    // Manifest of the image it was made from, or NULL: its layers' archives keep their digests.
    const struct oci_digest *base;
    const struct codec_json *annotations;  // of the manifest, an object of texts; NULL: none
};
int image_put(struct engine *en, const struct image_put *put, struct store_ref *out,
              struct err *e);

// --- list ---------------------------------------------------------------------------------------
struct image_row {
    struct oci_ref ref;          // name[0] == '\0': an untagged image, shown as <none>
    struct oci_digest id;        // config digest
    struct oci_digest manifest;
    struct oci_digest remote;    // what a registry calls it, shown by --digests; unset: none has it
    int64_t created;             // seconds, INT64_MIN when the image does not say
    uint64_t size;               // sum of the file sizes of its layers
    uint64_t shared;             // of it in layers that another image has too; with `shares` alone
    bool broken;                 // config or a layer is missing: size is what is there
    size_t containers;           // how many containers use it
};
struct image_rows {
    struct image_row *p;
    size_t n;
    size_t cap;
};
void image_rows_fini(struct image_rows *v);
static inline void own_image_rows(struct image_rows *v)
{
    image_rows_fini(v);
}
struct image_list_options {
    const char *match;           // "name[:tag]", with * and ? : only these; NULL: all
    // reference=PATTERN, label=K[=V], before=IMAGE, since=IMAGE, until=TIME, dangling=BOOL
    const struct strv *filters;
    bool shares;                 // find out image_row.shared
};
// Newest first, then by name. Damaged images are warned about and listed as broken.
int image_list(struct engine *en, const struct image_list_options *opt, struct image_rows *out,
               struct err *e);

// --- remove -------------------------------------------------------------------------------------
enum image_change {
    IMAGE_UNTAGGED,  // "Untagged: debian:bookworm"
    IMAGE_DELETED,   // "Deleted: sha256:..."
    IMAGE_CHANGE_COUNT,
};
struct image_removed {
    enum image_change change;
    char *text;
};
struct image_removals {
    struct image_removed *p;
    size_t n;
    size_t cap;
};
void image_removals_fini(struct image_removals *v);
static inline void own_image_removals(struct image_removals *v)
{
    image_removals_fini(v);
}
const char *image_change_name(enum image_change c);  // "Untagged", "Deleted"
struct image_remove_options {
    bool force;     // all names of an ID; an image that a stopped container uses
    bool no_prune;  // keep what is no longer referenced (system prune frees it)
};
// One name or ID; rows are added to *out. ERR_CONFLICT: several names and no force, or a container
// uses it.
int image_remove(struct engine *en, const char *name, const struct image_remove_options *opt,
                 struct image_removals *out, struct err *e);
struct image_prune_options {
    bool all;                    // every image that no container uses, not only untagged ones
    const struct strv *filters;  // until=TIME, label=K[=V], label!=K[=V], dangling=BOOL
    bool downloads;  // what has come of interrupted downloads too
    bool cache;  // the build cache too: of the age that `until` says; not at all with a label filter
};
int image_prune(struct engine *en, const struct image_prune_options *opt,
                struct image_removals *out, uint64_t *out_freed, struct err *e);

// --- the rest -----------------------------------------------------------------------------------
int image_tag(struct engine *en, const char *source, const char *target, struct err *e);

struct image_history_row {
    struct oci_digest id;  // set for the newest row only, as Docker does; else "<missing>"
    int64_t created;       // INT64_MIN when absent
    char *created_by;
    char *comment;
    uint64_t size;
    struct strv tags;
};
struct image_history_rows {
    struct image_history_row *p;
    size_t n;
    size_t cap;
};
void image_history_rows_fini(struct image_history_rows *v);
static inline void own_image_history_rows(struct image_history_rows *v)
{
    image_history_rows_fini(v);
}
// Newest first.
int image_history(struct engine *en, const char *name, struct image_history_rows *out,
                  struct err *e);
// One object in Docker's shape; the caller frees it with codec_json_free.
int image_inspect(struct engine *en, const char *name, struct codec_json **out, struct err *e);
