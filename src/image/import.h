// SPDX-License-Identifier: Apache-2.0
// Images out of root file systems: a tar, or a Debian base made by mmdebstrap from a package mirror.
#pragma once

#include <stdbool.h>

#include "base/engine.h"
#include "base/vec.h"
#include "oci/image.h"
#include "store/ref.h"

struct image_import_options {
    const char *path;             // NULL or "-": read `fd`
    int fd;                       // 0: stdin
    const char *name;             // NULL: the image stays untagged
    const struct strv *changes;   // "ENV K=V", "CMD [...]": as `docker import --change`
    const char *message;          // history comment
    const char *platform;         // NULL: the host's
};
// `created` is the newest time in the archive, so the same archive gives the same image ID. Enters
// the user namespace.
int image_import(struct engine *en, const struct image_import_options *opt, struct store_ref *out,
                 struct err *e);
// One --change line applied to a config: CMD ENTRYPOINT ENV EXPOSE LABEL ONBUILD STOPSIGNAL USER
// VOLUME WORKDIR (the instructions that `docker import` takes).
int image_change_apply(struct oci_image *im, const char *line, struct err *e);

struct image_bootstrap_options {
    const char *name;            // "debian:bookworm": repository and suite
    const char *as;              // another name for the result; NULL: `name`
    const struct strv *include;  // packages
    const char *mirror;          // NULL: the host's apt source for Debian, else deb.debian.org
    const char *snapshot;        // "20240101T000000Z": use snapshot.debian.org at that time
    const char *variant;         // "minbase" (default), "apt", "essential", ...
};
// Dated by the Release file: the same Release gives the same image ID, as root and as a user.
int image_bootstrap(struct engine *en, const struct image_bootstrap_options *opt,
                    struct store_ref *out, struct err *e);
