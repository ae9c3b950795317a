// SPDX-License-Identifier: Apache-2.0
// From a container's config to what a start needs.
#pragma once

#include "image/registry.h"
#include "image/view.h"
#include "record/record.h"
#include "sandbox/sandbox.h"

// The spec without what must be opened: all texts are checked.
int container_start_spec(struct engine *en, const struct record_config *c, struct sandbox_spec *s,
                         struct err *e);
// The rest, with the image open; the caller holds the store's lock. `progress` (or NULL) is called
// around a copy of the layers for other ids.
int container_start_open(struct engine *en, const struct record_config *c, struct record *r,
                         const struct image_view *im, const struct image_progress *progress,
                         struct sandbox_spec *s, struct err *e);

// What a start needs beside the config, opened: the root, the volumes, the ids. Needs engine_enter;
// takes the store's lock for as long as it takes.
// Which ids of ours a container's are, whether it runs or not.
int container_start_ids(struct engine *en, const struct record_config *c, struct sandbox_ids *out,
                        struct err *e);
// The image of a container, opened, and a lock that keeps it. Needs engine_enter.
int container_start_image(struct engine *en, const struct record_config *c, int *out_lock,
                          struct image_view *out, struct err *e);
// Of what a start needs the root and, with `mounts`, the binds and volumes, for a container that does
// not run. The caller holds the container's lock.
int container_start_view(struct engine *en, const struct record_config *c, struct record *r,
                         bool mounts, struct sandbox_spec *out, struct err *e);
int container_start_prepare(struct engine *en, const struct record_config *c, struct record *r,
                            struct sandbox_spec *out, struct err *e);
