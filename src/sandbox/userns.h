// SPDX-License-Identifier: Apache-2.0
// Ids of a container's own: --userns auto, nomap, keep-id.
#pragma once

#include "base/idmap.h"
#include "sandbox/sandbox.h"

// "host", "auto[:size=N]", "nomap", "keep-id[:uid=N,gid=N]"; NULL is host.
int sandbox_userns_option(const char *text, struct sandbox_spec *s, struct err *e);
// What cannot be asked for, before anything is made.
int sandbox_userns_check(struct engine *en, const struct sandbox_spec *s, struct err *e);
struct image_view;
// Fills s->ids when the spec asks for a namespace of its own, with what is remembered in it or anew.
// `id`: where to begin to look for a slot, at least eight hex digits. keep-id may give s->user, which
// is looked up in the image.
int sandbox_userns_take(struct engine *en, const char *id, const struct image_view *im,
                        struct sandbox_spec *s, struct err *e);
// The mapping alone, of what is remembered in ids: nothing is taken.
void sandbox_userns_map(const struct engine *en, const struct sandbox_spec *s,
                        struct sandbox_ids *ids);
// The engine's id for one of the container's. What is not in the mapping stays as it is.
static inline uint32_t sandbox_userns_uid(const struct sandbox_ids *ids, uint32_t inside)
{
    uint32_t id;
    return ids->own && idmap_find(&ids->uid, inside, &id) ? id : inside;
}
static inline uint32_t sandbox_userns_gid(const struct sandbox_ids *ids, uint32_t inside)
{
    uint32_t id;
    return ids->own && idmap_find(&ids->gid, inside, &id) ? id : inside;
}
