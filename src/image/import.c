// SPDX-License-Identifier: Apache-2.0
// `image import`: a root file system archive becomes an image of one layer. Nothing of where the
// archive lay or when it was imported reaches the image.
#include "image/import.h"

#include "base/own.h"
#include "store/tmp.h"
#include "image/internal.h"

static int apply_options(const struct image_import_options *opt, struct oci_image *im,
                         struct err *e)
{
    if (opt->platform && oci_platform_parse(sv_of(opt->platform), &im->platform, e) < 0) return -1;
    for (size_t i = 0; opt->changes && i < opt->changes->n; i++) {
        if (image_change_apply(im, opt->changes->p[i], e) < 0) return -1;
    }
    return 0;
}

int image_import(struct engine *en, const struct image_import_options *opt, struct store_ref *out,
                 struct err *e)
{
    struct oci_ref ref = {0};
    own(oci_image) struct oci_image im = {0};
    own(fd) int file = -1;
    bool piped = !opt->path || strcmp(opt->path, "-") == 0;
    oci_image_init(&im);
    if (opt->name && oci_ref_parse(sv_of(opt->name), &ref, e) < 0) return -1;
    if (opt->name && oci_digest_is_set(&ref.digest)) {
        return err_set(e, ERR_USAGE, "the new name '%s' must not have a digest", opt->name);
    }
    oci_ref_default_tag(&ref);
    if (apply_options(opt, &im, e) < 0) return -1;
    if (piped && isatty(opt->fd)) {
        err_set(e, ERR_USAGE, "import reads an archive from standard input, which is a terminal");
        return err_hint(e, "name a file, or use a pipe: tar c -C root . | dewar image import - NAME");
    }
    // The user's file is opened with the user's own rights, before any namespace is entered.
    if (!piped && (file = fs_open(opt->path, O_RDONLY, 0, e)) < 0) return -1;
    if (engine_enter(en, e) < 0) return -1;
    store_sweep_later(en);  // what killed commands left
    int fd = piped ? opt->fd : file;
    struct image_rootfs rootfs = {.src = codec_source_fd(&fd)};
    struct image_single single = {
        .rootfs = &rootfs,
        .image = &im,
        .created = INT64_MIN,
        .ref = opt->name ? &ref : NULL,
        .comment = opt->message ? opt->message : "Imported from -",
    };
    if (image_rootfs_put(en, &single, out, e) < 0) {
        return err_wrap(e, "importing '%s'", piped ? "standard input" : opt->path);
    }
    image_event(en, "import", &out->image, NULL);
    return 0;
}
