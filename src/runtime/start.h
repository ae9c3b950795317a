// SPDX-License-Identifier: Apache-2.0
// From a container's config to what a start needs.
#pragma once

#include "image/registry.h"
#include "image/view.h"
#include "runtime/record.h"
#include "runtime/sandbox.h"

// The spec without what must be opened: all texts are checked.
int start_spec(struct engine *en, const struct runtime_config *c, struct runtime_spec *s,
               struct err *e);
// The rest, with the image open; the caller holds the store's lock. `progress` (or NULL) is called
// around a copy of the layers for other ids.
int start_open(struct engine *en, const struct runtime_config *c, struct record *r,
               const struct image_view *im, const struct image_progress *progress,
               struct runtime_spec *s, struct err *e);

// What a start needs beside the config, opened: the root, the volumes, the ids. Needs engine_enter;
// takes the store's lock for as long as it takes.
// Which ids of ours a container's are, whether it runs or not.
int start_ids(struct engine *en, const struct runtime_config *c, struct runtime_ids *out,
              struct err *e);
// The image of a container, opened, and a lock that keeps it. Needs engine_enter.
int start_image(struct engine *en, const struct runtime_config *c, int *out_lock,
                struct image_view *out, struct err *e);
// Of what a start needs the root and, with `mounts`, the binds and volumes, for a container that does
// not run. The caller holds the container's lock.
int start_view(struct engine *en, const struct runtime_config *c, struct record *r, bool mounts,
               struct runtime_spec *out, struct err *e);
int start_prepare(struct engine *en, const struct runtime_config *c, struct record *r,
                  struct runtime_spec *out, struct err *e);
