// SPDX-License-Identifier: Apache-2.0
// Where a build cache lies outside the store: a folder (an OCI layout) or a registry. One cache a place.
// Nothing that a place gives is believed: texts are checked against their digest here, archives by who
// unpacks them.
#pragma once

#include "build/cachedoc.h"
#include "build/cachespec.h"
#include "oci/platform.h"

struct build_cacheplace;
struct build_cacheplace_ops {
    // The manifest of the cache. 1 found, 0 nothing there.
    int (*find)(struct build_cacheplace *p, struct str *out, struct err *e);
    int (*read)(struct build_cacheplace *p, const struct oci_descriptor *d, size_t max,
                struct str *out, struct err *e);
    // The bytes of an archive, as a descriptor; they may be wrong.
    int (*open)(struct build_cacheplace *p, const struct oci_descriptor *d, struct err *e);
    // Whether it is there, complete and (`sure`) undamaged. 1, 0, -1.
    int (*has)(struct build_cacheplace *p, const struct oci_descriptor *d, bool sure,
               struct err *e);
    // A file to write an archive into, then its keeping under the digest. One at a time; but a place may
    // go on with it afterwards, while the next one is made, and tell a failure later.
    int (*create)(struct build_cacheplace *p, struct err *e);
    int (*keep)(struct build_cacheplace *p, int fd, const struct oci_descriptor *d, struct err *e);
    // Last: from here on the place holds this cache and nothing else.
    int (*publish)(struct build_cacheplace *p, struct sv manifest, const struct build_cachedoc *d,
                   struct err *e);
    void (*close)(struct build_cacheplace *p);
};
struct build_cacheplace {
    const struct build_cacheplace_ops *ops;
};
// `writing`: makes the folder, holds its lock; another program's folder is refused. *out is NULL when
// a folder to read from does not exist.
int build_cachefolder_open(const char *path, bool writing, struct build_cacheplace **out,
                           struct err *e);
// In a registry. Nothing is asked yet. `platform`: of several images in an index.
struct engine;
int build_cacheremote_open(struct engine *en, const struct build_cachespec *spec,
                           const struct oci_platform *platform, struct build_cacheplace **out,
                           struct err *e);
static inline void own_build_cacheplace(struct build_cacheplace **p)
{
    if (*p) (*p)->ops->close(*p);
}
