// SPDX-License-Identifier: Apache-2.0
// dir:PATH: a flat folder as skopeo writes it: `manifest.json`, `version`, and blobs named by the
// hex digits of their digests. With --all: an index as manifest.json, and <hex>.manifest.json per
// image.
#include <errno.h>
#include <unistd.h>

#include "base/own.h"
#include "image/copy.h"

#define VERSION "Directory Transport Version: 1.1\n"

struct dir {
    struct image_pivot *p;
    struct root root;
};

static int get_doc(void *arg, const struct oci_digest *digest, struct image_doc *out, struct err *e)
{
    struct dir *d = arg;
    own(str) struct str raw = {.max = LIMIT_MANIFEST + 1};
    own(oci_manifest) struct oci_manifest m = {0};
    own(free) char *name =
        digest ? str_fmt("%s.manifest.json", digest->hex) : str_dup("manifest.json");
    if (fs_in_read(&d->root, name, LIMIT_MANIFEST, &raw, e) < 0 ||
        oci_manifest_parse(str_sv(&raw), name, &m, e) < 0)
        return -1;
    const char *type = m.media_type[0] ? m.media_type
                       : m.is_index    ? OCI_TYPE_INDEX
                                       : OCI_TYPE_MANIFEST;
    return image_doc_parse(str_sv(&raw), type, digest, name, out, e);
}

static int get_blobs(void *arg, const struct oci_descriptor *const *list, size_t n, struct err *e)
{
    struct dir *d = arg;
    for (size_t i = 0; i < n; i++) {
        own(fd) int fd = fs_in_open(&d->root, list[i]->digest.hex, O_RDONLY | O_NONBLOCK, 0, e);
        if (fd < 0 || image_pivot_take(d->p, fd, list[i]->size, &list[i]->digest, NULL, e) < 0)
            return -1;
    }
    return 0;
}

static int dir_fill(struct image_pivot *p, const char *place, struct err *e)
{
    own(fd) int fd = fs_open(place, O_RDONLY | O_DIRECTORY, 0, e);
    if (fd < 0) return -1;
    struct dir d = {p, {fd, "the image folder"}};
    const struct image_source src = {.doc = get_doc, .blobs = get_blobs, .arg = &d};
    return image_pivot_fill(p, &src, e);
}

static bool is_doc(struct image_pivot *p, const char *hex)
{
    struct err bad = {0};
    struct stat st;
    struct oci_digest digest;
    own(image_doc) struct image_doc d = {0};
    if (fstatat(p->blobs, hex, &st, 0) != 0 || (size_t)st.st_size > LIMIT_MANIFEST) return false;
    return oci_digest_parse_hex(sv_of(hex), &digest) &&
           image_pivot_doc(p, &digest, "", &d, &bad) == 0;
}

static int dir_make(struct image_pivot *p, const char *place, struct err *e)
{
    own(strv) struct strv names = {0};
    if (fs_mkdirs(AT_FDCWD, place, 0755, e) < 0 || fs_list(p->blobs, ".", &names, e) < 0) return -1;
    own(fd) int to = fs_open(place, O_RDONLY | O_DIRECTORY, 0, e);
    if (to < 0) return -1;
    for (size_t i = 0; i < names.n; i++) {
        bool top = strcmp(names.p[i], p->top.hex) == 0;
        if (top) continue;
        own(free) char *as =
            is_doc(p, names.p[i]) ? str_fmt("%s.manifest.json", names.p[i]) : str_dup(names.p[i]);
        if (image_place_blob(p->blobs, names.p[i], to, as, e) < 0) return -1;
    }
    if (image_place_blob(p->blobs, p->top.hex, to, "manifest.json", e) < 0) return -1;
    return fs_replace(to, "version", SV(VERSION), 0644, e);
}

const struct image_port image_port_dir = {
    .scheme = "dir:",
    .help = "a flat folder, as skopeo has it: dir:PATH",
    .fill = dir_fill,
    .make = dir_make,
};
