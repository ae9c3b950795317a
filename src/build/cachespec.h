// SPDX-License-Identifier: Apache-2.0
// What --cache-to and --cache-from say: "type=local,dest=FOLDER,mode=max", or a bare IMAGE, which is
// type=registry,ref=IMAGE.
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "codec/unzip.h"

enum build_cachespec_type {
    BUILD_CACHESPEC_INLINE,    // --cache-to alone: in the image's manifest
    BUILD_CACHESPEC_REGISTRY,  // `ref`
    BUILD_CACHESPEC_LOCAL,     // `folder`
    BUILD_CACHESPEC_TYPE_COUNT,
};
const char *build_cachespec_type_name(enum build_cachespec_type t);  // "inline", ...

struct build_cachespec {
    enum build_cachespec_type type;
    char *ref;
    char *folder;       // src= or dest=
    bool bare;          // --cache-from IMAGE: an image of the store counts too
    bool max;           // mode=max: layers of all stages, not only those of the result
    bool mounts;        // cache mounts as well
    bool ignore_error;  // a failed export is a warning
    bool insecure;      // plain HTTP, unknown certificates
    enum codec_zip compression;
    int level;          // 0: the compressor's default
};
// `to`: the text of a --cache-to. Errors are for a person (ERR_USAGE, ERR_UNSUPPORTED).
int build_cachespec_parse(const char *text, bool to, struct build_cachespec *out, struct err *e);
void build_cachespec_fini(struct build_cachespec *s);
static inline void own_build_cachespec(struct build_cachespec *s)
{
    build_cachespec_fini(s);
}
// "folder 'x'", "'registry/name:tag'", "the image": for messages. Heap.
char *build_cachespec_label(const struct build_cachespec *s);
