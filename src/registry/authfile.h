// SPDX-License-Identifier: Apache-2.0
// One credential file: Docker's config.json or containers' auth.json, which are the same format.
// Room-internal; callers outside use registry/credentials.h.
#pragma once

#include "base/vec.h"
#include "codec/json.h"
#include "registry/credentials.h"

#define REGISTRY_AUTHFILE_MAX ((size_t)4 << 20)

struct registry_authfile {
    char path[4096];
    struct codec_json *root; // an object
};
void registry_authfile_fini(struct registry_authfile *f); // wipes the texts in it
static inline void own_registry_authfile(struct registry_authfile *f)
{
    registry_authfile_fini(f);
}
// The files that are looked at, in order, and the one that a new credential goes to.
int registry_authfile_list(struct strv *out, struct err *e);
const char *registry_authfile_default(const struct strv *list); // of that list; NULL: no home
// 1 loaded, 0 there is none. An empty file and a device (/dev/null) count as an empty object.
int registry_authfile_load(const char *path, struct registry_authfile *out, struct err *e);

// The program that keeps credentials for host ("" none): credHelpers, then credsStore.
struct sv registry_authfile_helper(const struct registry_authfile *f, const char *host);
// 1 when `auths` has something for it. Fills all but `source`.
int registry_authfile_find(const struct registry_authfile *f, const char *host,
                           const char *repository, struct registry_credential *out, struct err *e);
// How well a key of a credential file or helper fits: 0 not at all, more is better.
size_t registry_authfile_score(const char *key, const char *host, const char *repository);
// Has a key of the whole host, even an empty one.
bool registry_authfile_has(const struct registry_authfile *f, const char *host);

// Changes one file under its lock: read again, edited, written 0600 beside and renamed over; a
// symbolic link stays and its target is changed. c NULL: removes; `empty`: leaves a key without
// content, as for what a helper keeps. 1 changed, 0 there was nothing to remove.
int registry_authfile_edit(const char *path, const char *host, const struct registry_credential *c,
                           bool empty, struct err *e);
