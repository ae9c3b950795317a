// SPDX-License-Identifier: Apache-2.0
// Images as files: `load` reads docker-archive tars and OCI layouts (tar or folder), `save` writes
// one archive that is both.
#pragma once

#include <stdbool.h>

#include "base/engine.h"
#include "base/vec.h"
#include "codec/unzip.h"
#include "oci/digest.h"
#include "oci/ref.h"

// --- load ---------------------------------------------------------------------------------------
struct image_loaded {
    struct oci_digest id;
    struct oci_ref ref;  // name[0] == '\0' when the archive gave no name
};
struct image_loads {
    struct image_loaded *p;
    size_t n;
    size_t cap;
};
void image_loads_fini(struct image_loads *v);
static inline void own_image_loads(struct image_loads *v)
{
    image_loads_fini(v);
}
struct image_load_options {
    const char *path;  // archive or OCI layout folder; NULL: read `fd`
    int fd;            // a pipe or a file (0: stdin)
    unsigned workers;  // unpackers at the same time; 0: one per CPU, at least 2
    const char *platform;  // of a multi-platform layout; NULL: the host's
    // Of an OCI layout one image alone: by digest ("sha256:..."), tag or name; "": the only one. It gets
    // no name in the store. NULL: all.
    const char *only;
};
// Every image of the archive, in its order; one row per name ("Loaded image: NAME"), or one row
// without a name ("Loaded image ID: sha256:..."). All or none of the names are set. Enters the
// user namespace.
int image_load(struct engine *en, const struct image_load_options *opt, struct image_loads *out,
               struct err *e);

// --- save ---------------------------------------------------------------------------------------
enum image_save_format {
    IMAGE_SAVE_DOCKER,       // docker-archive and OCI layout in one tar
    IMAGE_SAVE_OCI_ARCHIVE,  // OCI layout in a tar
    IMAGE_SAVE_OCI_DIR,      // OCI layout in a folder
    IMAGE_SAVE_FORMAT_COUNT,
};
const char *image_save_format_name(enum image_save_format f);  // "docker-archive", ...
int image_save_format_parse(const char *text, enum image_save_format *out, struct err *e);
struct image_save_options {
    const struct strv *names;
    enum image_save_format format;
    const char *path;  // output file or folder; NULL: write to `fd`
    int fd;            // ERR_USAGE when it is a terminal
    // CODEC_ZIP_NONE: layers as the manifest has them (as received, or plain); else recompressed
    enum codec_zip compress;
    int level;  // 0: the compressor's default
    const struct oci_digest *manifest;  // the one image's, where its name or ID may have another; or NULL
};
// The same images give the same bytes. A file at `path` appears complete or not at all. Enters the
// user namespace.
int image_save(struct engine *en, const struct image_save_options *opt, struct err *e);
