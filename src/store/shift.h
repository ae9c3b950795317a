// SPDX-License-Identifier: Apache-2.0
// Layers for a container whose ids are mapped otherwise than the engine's, where the kernel cannot map
// them while they are mounted (an ordinary user has no idmapped mounts). Such a layer is a copy of the
// one in the engine's form in which every owner is what the mapping makes of it, in a form of its own:
// layers/<form>+<name>/<id>. It can be made again at any time, so it is counted as cache; the layers
// that it was made of are only read. File systems that can share blocks (btrfs, xfs) share them.
//
// The copy is made in a temporary folder, marked as not synced (store/fresh.h), and renamed into place.
// Who makes it holds a flock on layers/<form>+<name>; others that need it wait.
#pragma once

#include "base/idmap.h"
#include "store/layer.h"

struct store_shift {
    const char *name;  // of the mapping: the same name is the same mapping
    const struct idmap_side *uid, *gid;  // the container's ids -> the engine's
    // Called around the copying, when there is something to copy. May be NULL.
    void (*begin)(void *arg, struct engine *en);
    void (*end)(void *arg, struct engine *en, bool ok);
    void *arg;
};
// Makes what is missing of the n layers (bottom first, in the engine's form). *out becomes an engine
// that opens them in the other form; it borrows the descriptors of `en` and is not closed.
int store_shift(struct engine *en, const struct store_shift *s, const struct store_layer *layers,
                size_t n, struct engine *out, struct err *e);
// Whether `form` was made from the engine's own in this way.
bool store_shift_is_form(const struct engine *en, const char *form);
