// SPDX-License-Identifier: Apache-2.0
// Places that are, or hold, a layout: oci:, oci-archive:, docker-archive:, and the store, which is
// reached through the layouts that `save` writes and `load` reads. Archives are read by the same
// code as `load` reads them.
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/output.h"
#include "base/own.h"
#include "image/archive.h"
#include "image/copy.h"
#include "image/internal.h"
#include "image/load.h"

struct layout {
    struct image_pivot *p;
    struct image_load in;
    const char *name; // wanted; NULL: the only one
    struct oci_digest top;
    // docker-archive without an index: the manifest that is made from it
    struct str made;
};

// --- from ---------------------------------------------------------------------------------------

static int unpack_plain(int from, int to, struct err *e)
{
    own(codec_unzip) struct codec_unzip *z = NULL;
    own(free) char *buf = mem_alloc(1 << 18);
    if (codec_unzip_open(codec_source_fd(&from), LIMIT_LAYER_BYTES, &z, e) < 0) return -1;
    for (;;) {
        ssize_t n = codec_unzip_read(z, buf, 1 << 18, e);
        if (n <= 0) return (int)n;
        if (fs_write_all(to, buf, (size_t)n, e) < 0) return -1;
    }
}

// A file that the reader of archives can jump about in. A compressed one is unpacked first.
static int open_archive(struct image_pivot *p, const char *path, struct err *e)
{
    unsigned char head[512] = {0};
    own(fd) int fd = fs_open(path, O_RDONLY, 0, e);
    if (fd < 0) return -1;
    ssize_t n = pread(fd, head, sizeof head, 0);
    if (n == (ssize_t)sizeof head && memcmp(head + 257, "ustar", 5) == 0) return take_fd(fd);
    own(fd) int plain = fs_openat(p->tmp.fd, "plain.tar", O_RDWR | O_CREAT | O_TRUNC, 0600, e);
    if (plain < 0 || unpack_plain(fd, plain, e) < 0) return -1;
    if (lseek(plain, 0, SEEK_SET) != 0) return err_sys(e, "rewind");
    return take_fd(plain);
}

static int read_text(struct layout *l, const char *path, size_t max, struct str *out, struct err *e)
{
    int rc = image_load_text(&l->in, path, max, out, e);
    if (rc == 0) return err_set(e, ERR_INPUT, "'%s' is missing", path);
    return rc < 0 ? -1 : 0;
}

static bool entry_fits(const struct oci_descriptor *d, const char *name)
{
    char buf[512];
    const char *v = image_annotation(d, "org.opencontainers.image.ref.name", buf);
    if (v && strcmp(v, name) == 0) return true;
    v = image_annotation(d, "io.containerd.image.name", buf);
    return v && strcmp(v, name) == 0;
}

static int choose_entry(struct layout *l, const struct oci_manifest *index, struct err *e)
{
    const struct oci_descriptor *hit = NULL;
    for (size_t i = 0; i < index->n; i++) {
        const struct oci_descriptor *d = &index->items[i];
        if (l->name && !entry_fits(d, l->name)) continue;
        if (hit && !oci_digest_eq(&hit->digest, &d->digest)) {
            err_set(e, ERR_INPUT, "there are several images in it");
            return err_hint(e, "say which: PLACE:NAME");
        }
        hit = d;
    }
    if (!hit && l->name) return err_set(e, ERR_NOT_FOUND, "there is no '%s' in it", l->name);
    if (!hit) return err_set(e, ERR_INPUT, "there is no image in it");
    l->top = hit->digest;
    return 0;
}

static int get_doc(void *arg, const struct oci_digest *digest, struct image_doc *out, struct err *e)
{
    struct layout *l = arg;
    own(str) struct str raw = {.max = LIMIT_MANIFEST + 1};
    own(oci_manifest) struct oci_manifest m = {0};
    const struct oci_digest *want = digest ? digest : &l->top;
    own(free) char *path = str_fmt("blobs/sha256/%s", want->hex);
    if (!digest && l->made.n)
        str_add(&raw, str_sv(&l->made));
    else if (read_text(l, path, LIMIT_MANIFEST, &raw, e) < 0)
        return -1;
    if (oci_manifest_parse(str_sv(&raw), path, &m, e) < 0) return -1;
    const char *type = m.media_type[0] ? m.media_type
                       : m.is_index    ? OCI_TYPE_INDEX
                                       : OCI_TYPE_MANIFEST;
    return image_doc_parse(str_sv(&raw), type, want, path, out, e);
}

static int take_entry(struct layout *l, const char *path, const struct oci_digest *want,
                      struct oci_digest *out, uint64_t *out_size, struct err *e)
{
    uint64_t from = 0, size = 0;
    struct image_load_entry *x = image_load_find(&l->in, path);
    if (!x) return err_set(e, ERR_INPUT, "'%s' is missing", path);
    own(fd) int fd = image_load_open(&l->in, x, &from, &size, e);
    if (fd < 0) return -1;
    if (lseek(fd, (off_t)from, SEEK_SET) < 0) return err_sys(e, "seek");
    if (out_size) *out_size = size;
    return image_pivot_take(l->p, fd, size, want, out, e);
}

static int get_blobs(void *arg, const struct oci_descriptor *const *list, size_t n, struct err *e)
{
    struct layout *l = arg;
    for (size_t i = 0; i < n; i++) {
        own(free) char *path = str_fmt("blobs/sha256/%s", list[i]->digest.hex);
        uint64_t size = 0;
        if (fs_exists(l->p->blobs, list[i]->digest.hex)) continue; // made from an archive
        if (take_entry(l, path, &list[i]->digest, NULL, &size, e) < 0) return -1;
        if (size != list[i]->size)
            return err_set(e, ERR_INPUT, "blob sha256:%.12s has another size", list[i]->digest.hex);
    }
    return 0;
}

static const char *layer_type(struct image_pivot *p, const struct oci_digest *d)
{
    unsigned char head[4] = {0};
    struct err ignored;
    own(fd) int fd = fs_openat(p->blobs, d->hex, O_RDONLY, 0, &ignored);
    if (fd < 0 || pread(fd, head, sizeof head, 0) != (ssize_t)sizeof head) return OCI_TYPE_LAYER;
    if (head[0] == 0x1f && head[1] == 0x8b) return OCI_TYPE_LAYER_GZIP;
    if (memcmp(head, "\x28\xb5\x2f\xfd", 4) == 0) return OCI_TYPE_LAYER_ZSTD;
    return OCI_TYPE_LAYER;
}

static const struct codec_json *choose_item(struct layout *l, const struct codec_json *doc,
                                            struct err *e)
{
    size_t n = codec_json_type(doc) == CODEC_JSON_ARRAY ? codec_json_len(doc) : 0;
    for (size_t i = 0; i < n; i++) {
        const struct codec_json *tags = codec_json_get(codec_json_at(doc, i), "RepoTags");
        bool fits = !l->name && n == 1;
        for (size_t k = 0; l->name && tags && k < codec_json_len(tags); k++)
            fits = fits || sv_eqz(codec_json_text(codec_json_at(tags, k)), l->name);
        if (fits) return codec_json_at(doc, i);
    }
    err_set(e, ERR_NOT_FOUND, "%s",
            l->name ? "there is no image of that name in it"
                    : "there is not exactly one image in it");
    err_hint(e, "say which: PLACE:NAME:TAG");
    return NULL;
}

// An archive that has no manifest of its own: one is made of config and layers as they are.
static int make_manifest(struct layout *l, struct sv text, struct err *e)
{
    own(codec_json) struct codec_json *doc = NULL;
    own(oci_manifest) struct oci_manifest m = {.media_type = OCI_TYPE_MANIFEST};
    if (codec_json_parse(text, "manifest.json", &doc, e) < 0) return -1;
    const struct codec_json *item = choose_item(l, doc, e);
    if (!item) return -1;
    const struct codec_json *config = codec_json_get(item, "Config");
    const struct codec_json *layers = codec_json_get(item, "Layers");
    if (!config || !layers || codec_json_len(layers) > LIMIT_LAYERS)
        return err_set(e, ERR_INPUT, "manifest.json has no config or no layers");
    m.items = mem_alloc((codec_json_len(layers) + 1) * sizeof *m.items);
    own(free) char *path = sv_dup(codec_json_text(config));
    snprintf(m.config.media_type, sizeof m.config.media_type, "%s", OCI_TYPE_CONFIG);
    if (take_entry(l, path, NULL, &m.config.digest, &m.config.size, e) < 0) return -1;
    for (; m.n < codec_json_len(layers); m.n++) {
        struct oci_descriptor *d = &m.items[m.n];
        own(free) char *layer = sv_dup(codec_json_text(codec_json_at(layers, m.n)));
        if (take_entry(l, layer, NULL, &d->digest, &d->size, e) < 0) return -1;
        snprintf(d->media_type, sizeof d->media_type, "%s", layer_type(l->p, &d->digest));
    }
    oci_manifest_print(&m, &l->made);
    l->top = oci_digest_of(str_sv(&l->made));
    return 0;
}

static int find_top(struct layout *l, struct err *e)
{
    own(str) struct str text = {0};
    own(oci_manifest) struct oci_manifest index = {0};
    int rc = image_load_text(&l->in, "index.json", LIMIT_MANIFEST, &text, e);
    if (rc < 0) return -1;
    if (rc == 1) {
        if (oci_manifest_parse(str_sv(&text), "index.json", &index, e) < 0) return -1;
        return index.is_index ? choose_entry(l, &index, e)
                              : err_set(e, ERR_INPUT, "index.json is no index");
    }
    if (read_text(l, "manifest.json", LIMIT_MANIFEST, &text, e) < 0) return -1;
    return make_manifest(l, str_sv(&text), e);
}

static int fill_from(struct image_pivot *p, int fd, const char *name, struct err *e)
{
    struct layout l = {
        .p = p, .name = name, .in = {.en = p->en, .tmp = STORE_TMP_NONE, .fd = fd, .workers = 1}};
    l.in.entries.free_value = image_load_entry_free;
    const struct image_source src = {.doc = get_doc, .blobs = get_blobs, .arg = &l};
    int rc = image_load_scan(&l.in, e);
    if (rc == 0) rc = find_top(&l, e);
    if (rc == 0) rc = image_pivot_fill(p, &src, e);
    map_fini(&l.in.entries);
    str_fini(&l.made);
    return rc < 0 ? -1 : 0;
}

static int oci_fill(struct image_pivot *p, const char *place, struct err *e)
{
    own(free) char *path = NULL;
    own(free) char *name = NULL;
    image_place_split(place, &path, &name);
    own(fd) int fd = fs_open(path, O_RDONLY | O_DIRECTORY, 0, e);
    return fd < 0 ? -1 : fill_from(p, fd, name, e);
}

static int archive_fill(struct image_pivot *p, const char *place, struct err *e)
{
    own(free) char *path = NULL;
    own(free) char *name = NULL;
    image_place_split(place, &path, &name);
    own(fd) int fd = open_archive(p, path, e);
    return fd < 0 ? -1 : fill_from(p, fd, name, e);
}

static char *tmp_path(const struct image_pivot *p, const char *name)
{
    return str_fmt("%s/tmp/%s/%s", p->en->store_path, p->tmp.name, name);
}

static int store_fill(struct image_pivot *p, const char *place, struct err *e)
{
    own(strv) struct strv names = {0};
    own(free) char *path = tmp_path(p, "saved");
    strv_add(&names, place);
    const struct image_save_options opt = {
        .names = &names, .format = IMAGE_SAVE_OCI_DIR, .path = path};
    if (image_save(p->en, &opt, e) < 0) return -1;
    own(fd) int fd = fs_open(path, O_RDONLY | O_DIRECTORY, 0, e);
    return fd < 0 ? -1 : fill_from(p, fd, NULL, e);
}

// --- to -----------------------------------------------------------------------------------------

static int copy_blob(int from, int to, const char *hex, struct err *e)
{
    struct stat a, b;
    if (fstatat(from, hex, &a, 0) != 0) return err_sys(e, "stat a blob");
    if (fstatat(to, hex, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_size == b.st_size) return 0;
    return image_place_blob(from, hex, to, hex, e);
}

// The folder is a person's: what is a link in it may have been put there by somebody else.
static int open_own(int dir, const char *name, struct err *e)
{
    if (mkdirat(dir, name, 0755) != 0 && errno != EEXIST) return err_sys(e, "make '%s'", name);
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? err_sys(e, "open the folder '%s' of the layout", name) : fd;
}

static int make_layout(struct image_pivot *p, const char *path, const char *name, struct err *e)
{
    own(strv) struct strv names = {0};
    own(str) struct str old = {0};
    own(str) struct str index = {0};
    if (fs_mkdirs(AT_FDCWD, path, 0755, e) < 0 || fs_list(p->blobs, ".", &names, e) < 0) return -1;
    own(fd) int top = fs_open(path, O_RDONLY | O_DIRECTORY, 0, e);
    own(fd) int above = top < 0 ? -1 : open_own(top, "blobs", e);
    own(fd) int blobs = above < 0 ? -1 : open_own(above, "sha256", e);
    if (blobs < 0) return -1;
    for (size_t i = 0; i < names.n; i++)
        if (copy_blob(p->blobs, blobs, names.p[i], e) < 0) return -1;
    if (fs_exists(top, "index.json") && fs_read_at(top, "index.json", LIMIT_MANIFEST, &old, e) < 0)
        return -1;
    // The index last: who reads meanwhile sees the old one or the new one, both whole.
    if (image_pivot_index(p, str_sv(&old), name, &index, e) < 0 ||
        fs_replace(top, "oci-layout", SV(IMAGE_OCI_LAYOUT), 0644, e) < 0)
        return -1;
    return fs_atomic_write(top, "index.json", str_sv(&index), 0644, e);
}

static int oci_make(struct image_pivot *p, const char *place, struct err *e)
{
    own(free) char *path = NULL;
    own(free) char *name = NULL;
    image_place_split(place, &path, &name);
    return make_layout(p, path, name, e);
}

static int file_write(void *arg, const void *p, size_t n, struct err *e)
{
    return fs_write_all(*(int *)arg, p, n, e);
}

static int put_text(struct codec_tar_writer *w, const char *name, struct sv text, struct err *e)
{
    own(free) char *path = str_dup(name);
    const struct codec_tar_entry t = {
        .type = CODEC_TAR_FILE, .name = path, .mode = 0644, .size = text.n};
    return codec_tar_write_entry(w, &t, e) < 0 ? -1 : codec_tar_write_data(w, text.p, text.n, e);
}

static int put_folder(struct codec_tar_writer *w, const char *name, struct err *e)
{
    own(free) char *path = str_dup(name);
    const struct codec_tar_entry t = {.type = CODEC_TAR_DIR, .name = path, .mode = 0755};
    return codec_tar_write_entry(w, &t, e);
}

static int put_blob(struct codec_tar_writer *w, int blobs, const char *hex, struct err *e)
{
    struct stat st;
    own(free) char *path = str_fmt("blobs/sha256/%s", hex);
    own(free) char *buf = mem_alloc(1 << 18);
    own(fd) int fd = fs_openat(blobs, hex, O_RDONLY, 0, e);
    if (fd < 0) return -1;
    if (fstat(fd, &st) != 0) return err_sys(e, "stat a blob");
    const struct codec_tar_entry t = {
        .type = CODEC_TAR_FILE, .name = path, .mode = 0644, .size = (uint64_t)st.st_size};
    if (codec_tar_write_entry(w, &t, e) < 0) return -1;
    for (;;) {
        ssize_t n = read(fd, buf, 1 << 18);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_sys(e, "read a blob");
        if (n == 0) return 0;
        if (codec_tar_write_data(w, buf, (size_t)n, e) < 0) return -1;
    }
}

// Docker's own list of what is in an archive; the layout in it names the same blobs.
static int docker_list(struct image_pivot *p, const char *name, struct str *out, struct err *e)
{
    own(image_doc) struct image_doc d = {0};
    own(strv) struct strv tags = {0};
    own(codec_json) struct codec_json *list = codec_json_new_array();
    if (image_pivot_doc(p, &p->top, p->type, &d, e) < 0) return -1;
    if (d.m.is_index) {
        err_set(e, ERR_UNSUPPORTED, "a docker-archive holds images of one platform");
        return err_hint(e, "leave --all out, or use oci-archive:");
    }
    if (name) {
        struct oci_ref ref;
        own(str) struct str full = {0};
        if (oci_ref_parse(sv_of(name), &ref, e) < 0) return -1;
        oci_ref_default_tag(&ref);
        oci_ref_print(&ref, &full);
        strv_add(&tags, str_z(&full));
    }
    struct codec_json *j = codec_json_new_object(), *layers = codec_json_new_array();
    own(free) char *config = str_fmt("blobs/sha256/%s", d.m.config.digest.hex);
    for (size_t i = 0; i < d.m.n; i++) {
        own(free) char *path = str_fmt("blobs/sha256/%s", d.m.items[i].digest.hex);
        codec_json_add(layers, codec_json_new_text(sv_of(path)));
    }
    codec_json_set_text(j, "Config", config);
    codec_json_set(j, "RepoTags", tags.n ? codec_json_new_strv(&tags) : codec_json_new_null());
    codec_json_set(j, "Layers", layers);
    codec_json_add(list, j);
    codec_json_print(list, out);
    return 0;
}

static int write_archive(struct image_pivot *p, int fd, struct sv index, struct sv docker,
                         struct err *e)
{
    struct codec_tar_writer w;
    own(strv) struct strv names = {0};
    codec_tar_writer_init(&w, (struct codec_sink){file_write, &fd});
    if (fs_list(p->blobs, ".", &names, e) < 0 ||
        put_text(&w, "oci-layout", SV(IMAGE_OCI_LAYOUT), e) < 0 ||
        put_text(&w, "index.json", index, e) < 0 ||
        (docker.n && put_text(&w, "manifest.json", docker, e) < 0) ||
        put_folder(&w, "blobs/", e) < 0 || put_folder(&w, "blobs/sha256/", e) < 0)
        return -1;
    for (size_t i = 0; i < names.n; i++)
        if (put_blob(&w, p->blobs, names.p[i], e) < 0) return -1;
    return codec_tar_write_end(&w, e);
}

static int archive_make(struct image_pivot *p, const char *place, bool docker, struct err *e)
{
    own(free) char *path = NULL;
    own(free) char *name = NULL;
    own(str) struct str index = {0};
    own(str) struct str list = {0};
    image_place_split(place, &path, &name);
    own(output) struct output file = OUTPUT_NONE;
    if (image_pivot_index(p, SV(""), name, &index, e) < 0 ||
        (docker && docker_list(p, name, &list, e) < 0))
        return -1;
    if (output_open(path, 0644, &file, e) < 0 ||
        write_archive(p, file.fd, str_sv(&index), str_sv(&list), e) < 0)
        return -1;
    return output_commit(&file, e);
}

static int oci_archive_make(struct image_pivot *p, const char *place, struct err *e)
{
    return archive_make(p, place, false, e);
}

static int docker_archive_make(struct image_pivot *p, const char *place, struct err *e)
{
    return archive_make(p, place, true, e);
}

static int store_make(struct image_pivot *p, const char *place, struct err *e)
{
    struct oci_ref ref;
    own(str) struct str full = {0};
    own(image_loads) struct image_loads loads = {0};
    own(free) char *layout = tmp_path(p, "layout");
    if (oci_ref_parse(sv_of(place), &ref, e) < 0) return -1;
    oci_ref_default_tag(&ref);
    oci_ref_print_full(&ref, &full);
    if (make_layout(p, layout, str_z(&full), e) < 0) return -1;
    const struct image_load_options opt = {.path = layout, .platform = p->opt->platform};
    return image_load(p->en, &opt, &loads, e);
}

const struct image_port image_port_oci = {
    .scheme = "oci:",
    .help = "an OCI layout folder: oci:DIR[:NAME]",
    .fill = oci_fill,
    .make = oci_make,
};
const struct image_port image_port_oci_archive = {
    .scheme = "oci-archive:",
    .help = "an OCI layout in a tar: oci-archive:FILE[:NAME]",
    .fill = archive_fill,
    .make = oci_archive_make,
};
const struct image_port image_port_docker_archive = {
    .scheme = "docker-archive:",
    .help = "what 'docker save' writes: docker-archive:FILE[:NAME:TAG]",
    .fill = archive_fill,
    .make = docker_archive_make,
};
const struct image_port image_port_store = {
    .scheme = "store:",
    .help = "dewar's own store: store:NAME, or the name alone",
    .fill = store_fill,
    .make = store_make,
};
