// SPDX-License-Identifier: Apache-2.0
// What a container does with its volumes.
#pragma once

#include "record/record.h"
#include "sandbox/sandbox.h"

// Before the container is made: sets its mark, makes the volume where it is missing, and decides
// whether the image's files go into it: only when it is empty and nobody else uses it.
int volume_claim(struct engine *en, struct record *r, const struct record_mount *v, struct err *e);
// Opens what is to be mounted: _data, or the volume's subpath in it. Where it is new it is filled
// from `path` inside the image's root (owner and mode too); a folder that the image does not have
// belongs to the root of `ids`. `id` is the container's. Returns a descriptor; *out_readonly becomes
// true where the volume itself is.
int volume_open(struct engine *en, const struct record_mount *v, const char *id,
                const struct root *image, const char *path, const struct sandbox_ids *ids,
                bool *out_readonly, struct err *e);
// When a container has ended: what was mounted for it goes, unless others use it.
void volume_release(struct engine *en, const struct record_config *c);
// The events "mount" and "unmount" of all volumes of a container.
void volume_events(struct engine *en, const struct record_config *c, const char *action);
