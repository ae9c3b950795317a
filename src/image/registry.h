// SPDX-License-Identifier: Apache-2.0
// Verbs that move images between the store, registries and other places.
#pragma once

#include "base/engine.h"
#include "base/vec.h"
#include "oci/ref.h"
#include "store/ref.h"

enum image_pull_policy {
    IMAGE_PULL_MISSING, // ask the registry only for what the store lacks
    IMAGE_PULL_ALWAYS,  // ask what the name means today; fetch what is not here
    IMAGE_PULL_NEWER,   // as ALWAYS, but a registry that cannot be reached is a warning
    IMAGE_PULL_NEVER,
    IMAGE_PULL_POLICY_COUNT,
};
const char *image_pull_policy_name(enum image_pull_policy p); // "missing", ...
int image_pull_policy_parse(const char *text, enum image_pull_policy *out, struct err *e);

struct image_pull_options {
    const char *name;     // reference as typed
    const char *platform; // NULL: the host's
    bool insecure;        // --tls-verify=false
    unsigned workers;     // unpackers at the same time; 0: one per CPU, at least 2
};
struct image_pulled {
    struct store_ref ref;
    struct oci_digest digest; // what the tag pointed at: an index or a manifest
    bool changed;             // false: "Image is up to date"
};
// Fetches, checks, unpacks while the bytes arrive, publishes, and last writes the name. Verified
// downloads survive a broken run and are continued by the next. Enters the user namespace.
int image_pull(struct engine *en, const struct image_pull_options *opt, struct image_pulled *out,
               struct err *e);

// What `run`, FROM and COPY --from call: the image in the store that a person's text means, pulled
// first when the policy and the store say so. An ID or a short ID is never pulled. *out_digest (may
// be NULL): what a registry calls it, unset when it never came from one.
struct image_progress { // called around a pull, when there is one: to show how far it is; each may be NULL
    void (*before)(void *arg, struct engine *en); // nothing has been asked or said yet
    void (*begin)(void *arg, struct engine *en);
    void (*end)(void *arg, struct engine *en, bool ok);
    void *arg;
};
struct image_ensure {
    const char *text;
    const char *platform; // NULL: the host's
    enum image_pull_policy policy;
    bool insecure;
    const struct image_progress *progress; // may be NULL
};
int image_ensure(struct engine *en, const struct image_ensure *want, struct store_ref *out,
                 struct oci_digest *out_digest, struct err *e);

// The tags of a repository, sorted.
struct image_tags_options {
    const char *name; // a tag in it is ignored
    bool insecure;
};
int image_tags(struct engine *en, const struct image_tags_options *opt, struct strv *out,
               struct err *e);

struct image_push_options {
    const char *name;
    const char *as; // where to, when that is another name; the store then does not learn it
    bool insecure;
    const char *compression; // "gzip" (default for layers that have no archive yet), "zstd"
    int level;               // 0: the compressor's default
};
enum image_push_end {
    IMAGE_PUSH_SENT,    // "Pushed"
    IMAGE_PUSH_THERE,   // "Layer already exists"
    IMAGE_PUSH_MOUNTED, // "Mounted from NAME"
    IMAGE_PUSH_FOREIGN, // "Skipped foreign layer"
    IMAGE_PUSH_END_COUNT,
};
struct image_pushed_layer {
    struct oci_digest layer; // diff id
    enum image_push_end end;
    char from[256]; // MOUNTED
};
struct image_pushed {
    struct oci_ref ref;
    struct oci_digest digest;          // of the manifest
    uint64_t size;                     // of the manifest
    struct image_pushed_layer *layers; // bottom first; heap
    size_t n;
};
void image_pushed_fini(struct image_pushed *p);
static inline void own_image_pushed(struct image_pushed *p)
{
    image_pushed_fini(p);
}
// Blobs that the registry has are not sent; what was pulled is sent byte for byte. A layer without
// an archive is compressed once: the archive is kept, and the image's manifest names it from then
// on.
int image_push(struct engine *en, const struct image_push_options *opt, struct image_pushed *out,
               struct err *e);

// `image copy`: between any two of docker://REF oci:DIR[:REF] oci-archive:FILE[:REF]
// docker-archive:FILE[:REF] dir:PATH store:NAME (a bare name is the store's). Bytes are kept
// wherever the target's format can hold them; otherwise `preserve_digests` makes it an error.
struct image_copy_options {
    const char *from;
    const char *to;
    const char *platform;
    bool all; // every platform of an index
    bool preserve_digests;
    bool from_insecure, to_insecure;
};
int image_copy(struct engine *en, const struct image_copy_options *opt, struct oci_digest *out,
               struct err *e);

// The manifest as it is, byte for byte: of a name in the store (where that came from an index, the
// index), or with docker://NAME of a registry.
int image_raw(struct engine *en, const char *name, bool insecure, struct str *out, struct err *e);

// `manifest`: indexes of one's own, put together from images that registries have. They are kept in
// the store under a name until they are pushed or removed.
struct image_index_options {
    const char *list;                // name of the index
    const struct strv *images;       // create: what goes into it; annotate: the one that is meant
    const char *os, *arch, *variant; // annotate
    bool amend;                      // create: add to one that is there
    bool purge;                      // push: remove it afterwards
    bool verbose;                    // inspect: each image's descriptor and manifest, as Docker tells
    bool insecure;
};
int image_index_create(struct engine *en, const struct image_index_options *opt, struct err *e);
int image_index_annotate(struct engine *en, const struct image_index_options *opt, struct err *e);
// The index of that name in the store, else what a registry has; JSON text.
int image_index_inspect(struct engine *en, const struct image_index_options *opt, struct str *out,
                        struct err *e);
int image_index_push(struct engine *en, const struct image_index_options *opt,
                     struct oci_digest *out, struct err *e);
int image_index_remove(struct engine *en, const struct image_index_options *opt, struct err *e);
