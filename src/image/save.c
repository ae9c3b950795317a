// SPDX-License-Identifier: Apache-2.0
// `save`: images into one archive that is a docker-archive and an OCI layout at once (both point at
// the same blobs). All names, sizes and digests are known before the first byte is written: a plain
// layer's archive is named by its diff id, a layer kept as received by its blob, and what has to be
// recompressed is compressed into temporary files first, two at a time. Nothing depends on time or
// on who saves, so equal images give equal bytes.
#include "image/archive.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/output.h"
#include "base/own.h"
#include "base/proc.h"
#include "image/internal.h"
#include "store/blob.h"
#include "store/lock.h"
#include "store/tmp.h"

#define OUT_BUFFER ((size_t)1 << 20)
#define WORKERS 2      // layers at the same time
#define ZIP_WORKERS 8  // at most, for each of them

static const char *const format_names[IMAGE_SAVE_FORMAT_COUNT] = {
    [IMAGE_SAVE_DOCKER] = "docker-archive",
    [IMAGE_SAVE_OCI_ARCHIVE] = "oci-archive",
    [IMAGE_SAVE_OCI_DIR] = "oci-dir",
};

const char *image_save_format_name(enum image_save_format f)
{
    return format_names[f];
}

int image_save_format_parse(const char *text, enum image_save_format *out, struct err *e)
{
    for (int i = 0; i < IMAGE_SAVE_FORMAT_COUNT; i++) {
        if (strcmp(text, format_names[i]) == 0) {
            *out = (enum image_save_format)i;
            return 0;
        }
    }
    err_set(e, ERR_USAGE, "unknown format '%s'", text);
    return err_hint(e, "known are docker-archive, oci-archive and oci-dir");
}

// One blob of the archive. Where its bytes come from, in this order: `text`, a file in tmp (`made`),
// the layer's own tar (`layer`), the store's blob.
struct piece {
    struct oci_digest digest;
    uint64_t size;
    struct str text;
    char made[16];
    const struct store_layer *layer;
    struct oci_digest source;  // recompressing: the blob to read, unset for the layer's tar
};
struct saved {
    struct store_ref ref;
    struct strv tags;      // familiar names
    struct strv fulls;     // with host
    struct oci_image im;
    struct oci_manifest manifest;
    struct store_layer *layers;
    struct piece *pieces;  // one a layer
    struct piece config;
    struct piece doc;      // the manifest
};
struct save {
    struct engine *en;
    const struct image_save_options *opt;
    struct store_tmp tmp;
    struct {
        struct saved **p;
        size_t n, cap;
    } images;
    struct map written;  // digests that the archive has already
    size_t serial;
    // output
    int fd;               // the archive, or the folder
    char *buf;
    size_t used;
    struct codec_tar_writer tar;
};

static void saved_free(struct saved *s)
{
    strv_fini(&s->tags);
    strv_fini(&s->fulls);
    oci_image_fini(&s->im);
    oci_manifest_fini(&s->manifest);
    free(s->layers);
    free(s->pieces);
    str_fini(&s->config.text);
    str_fini(&s->doc.text);
    free(s);
}

// --- which images -------------------------------------------------------------------------------

static void add_name(struct saved *s, const struct oci_ref *ref)
{
    own(str) struct str tag = {0};
    own(str) struct str full = {0};
    oci_ref_print(ref, &tag);
    oci_ref_print_full(ref, &full);
    if (strv_find(&s->tags, str_z(&tag)) >= 0) return;
    strv_add(&s->tags, str_z(&tag));
    strv_add(&s->fulls, str_z(&full));
}

static struct saved *get_saved(struct save *v, const struct store_ref *r)
{
    for (size_t i = 0; i < v->images.n; i++) {
        if (v->opt->manifest || oci_digest_eq(&v->images.p[i]->ref.manifest, &r->manifest))
            return v->images.p[i];
    }
    struct saved *s = mem_alloc(sizeof *s);
    s->ref = *r;
    if (v->opt->manifest) s->ref.manifest = *v->opt->manifest;
    vec_push(&v->images, s);
    return s;
}

// A name without a tag means every tag of it, as with Docker.
static bool add_all_tags(struct save *v, const struct store_refs *all, const struct oci_ref *want)
{
    bool any = false;
    for (size_t i = 0; i < all->n; i++) {
        const struct store_ref *r = &all->p[i];
        if (strcmp(r->ref.host, want->host) != 0 || strcmp(r->ref.name, want->name) != 0) continue;
        if (!r->ref.tag[0]) continue;
        add_name(get_saved(v, r), &r->ref);
        any = true;
    }
    return any;
}

static int add_image(struct save *v, const struct store_refs *all, const char *text, struct err *e)
{
    struct oci_ref want = {0};
    struct err bad = {0};
    struct store_ref r = {0};
    bool named = oci_ref_parse(sv_of(text), &want, &bad) == 0;
    if (named && !want.tag[0] && !oci_digest_is_set(&want.digest) && add_all_tags(v, all, &want)) {
        return 0;
    }
    if (store_ref_resolve(v->en, text, &r, e) < 0) return -1;
    struct saved *s = get_saved(v, &r);
    bool by_name = named && strcmp(want.host, r.ref.host) == 0 &&
                   strcmp(want.name, r.ref.name) == 0 && strcmp(want.tag, r.ref.tag) == 0;
    if (by_name) add_name(s, &r.ref);
    return 0;
}

// --- layers -------------------------------------------------------------------------------------

struct zip_type {
    enum codec_zip zip;
    const char *type;
};
static const struct zip_type zip_types[] = {
    {CODEC_ZIP_NONE, OCI_TYPE_LAYER},
    {CODEC_ZIP_GZIP, OCI_TYPE_LAYER_GZIP},
    {CODEC_ZIP_ZSTD, OCI_TYPE_LAYER_ZSTD},
};

static const char *type_of(enum codec_zip zip)
{
    for (size_t i = 0; i < sizeof zip_types / sizeof *zip_types; i++) {
        if (zip_types[i].zip == zip) return zip_types[i].type;
    }
    return OCI_TYPE_LAYER;
}

static bool has_type(const struct oci_descriptor *d, enum codec_zip zip)
{
    if (zip == CODEC_ZIP_GZIP && strcmp(d->media_type, DOCKER_TYPE_LAYER_GZIP) == 0) return true;
    return strcmp(d->media_type, type_of(zip)) == 0;
}

// Decides where a layer's bytes come from. `changed`: the manifest cannot stay as it is.
static void plan_piece(struct save *v, struct saved *s, size_t i, bool *changed)
{
    const struct oci_descriptor *d = &s->manifest.items[i];
    struct piece *p = &s->pieces[i];
    const struct store_layer *layer = &s->layers[i];
    uint64_t size = 0;
    bool kept = store_blob_exists(v->en, &d->digest, &size) && size == d->size;
    bool plain = oci_digest_eq(&d->digest, &layer->diff_id);
    if (v->opt->compress != CODEC_ZIP_NONE && !(kept && has_type(d, v->opt->compress))) {
        snprintf(p->made, sizeof p->made, "z%zu", v->serial++);
        p->layer = layer;
        *changed = true;
        return;
    }
    p->digest = d->digest;
    p->size = d->size;
    if (kept) return;
    if (!plain) {
        event_warn(&v->en->sink, "layer sha256:%.12s is not kept as it was received: it is saved "
                   "uncompressed", d->digest.hex);
        *changed = true;
    }
    p->digest = layer->diff_id;
    p->size = layer->tar_size;
    p->layer = layer;
}

struct recompress_arg {
    struct save *v;
    struct piece *p;
};
struct recompress_sink {
    int fd;
    uint64_t size;
    struct codec_sha256 hash;
};

static int recompress_write(void *arg, const void *p, size_t n, struct err *e)
{
    struct recompress_sink *s = arg;
    codec_sha256_add(&s->hash, p, n);
    s->size += n;
    return fs_write_all(s->fd, p, n, e);
}

static int zipper_write(void *arg, const void *p, size_t n, struct err *e)
{
    return codec_zipper_write(arg, p, n, e);
}

// Two layers at a time share the processors; the bytes do not depend on it.
static unsigned zip_workers(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (cpus <= WORKERS) return cpus > 1 ? (unsigned)cpus : 1;
    return cpus / WORKERS < ZIP_WORKERS ? (unsigned)(cpus / WORKERS) : ZIP_WORKERS;
}

// In a worker: the layer's tar, compressed, to tmp/zN; digest and size to tmp/zN.sum.
static int recompress(void *arg, struct err *e)
{
    struct recompress_arg *a = arg;
    struct save *v = a->v;
    struct recompress_sink s = {0};
    own(codec_zipper) struct codec_zipper *z = NULL;
    char hex[CODEC_SHA256_HEX];
    own(fd) int fd = fs_openat(v->tmp.fd, a->p->made, O_WRONLY | O_CREAT | O_EXCL, 0600, e);
    if (fd < 0) return -1;
    s.fd = fd;
    codec_sha256_init(&s.hash);
    struct codec_sink dst = {.write = recompress_write, .arg = &s};
    if (codec_zipper_open_workers(v->opt->compress, v->opt->level, zip_workers(), dst, &z, e) < 0)
        return -1;
    struct codec_sink src = {.write = zipper_write, .arg = z};
    if (store_layer_write_tar(v->en, a->p->layer, src, e) < 0) return -1;
    if (codec_zipper_finish(z, e) < 0) return -1;
    codec_sha256_end(&s.hash, hex);
    own(free) char *name = str_fmt("%s.sum", a->p->made);
    own(free) char *text = str_fmt("%s%ju", hex, (uintmax_t)s.size);
    own(fd) int sum = fs_openat(v->tmp.fd, name, O_WRONLY | O_CREAT | O_EXCL, 0600, e);
    return sum < 0 ? -1 : fs_write_all(sum, text, strlen(text), e);
}

static int read_sum(struct save *v, struct piece *p, struct err *e)
{
    own(free) char *name = str_fmt("%s.sum", p->made);
    own(str) struct str text = {0};
    if (fs_read_at(v->tmp.fd, name, 256, &text, e) < 0) return -1;
    struct sv all = str_sv(&text);
    if (!oci_digest_parse_hex(sv_part(all, 0, 64), &p->digest)) {
        return err_set(e, ERR_INTERNAL, "a compressed layer's sum is damaged");
    }
    uint64_t size = 0;
    for (size_t i = 64; i < all.n; i++) size = size * 10 + (uint64_t)(all.p[i] - '0');
    p->size = size;
    p->layer = NULL;
    return 0;
}

static int wait_recompress(struct save *v, struct proc_worker *w, struct piece **p, size_t n,
                           struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < n; i++) {
        struct err why = {0};
        if (proc_worker_wait(&w[i], &why) < 0) {
            if (rc == 0) *e = why;
            rc = -1;
        } else if (rc == 0) {
            rc = read_sum(v, p[i], e);
        }
    }
    return rc;
}

static int recompress_all(struct save *v, struct saved *s, struct err *e)
{
    struct proc_worker w[WORKERS];
    struct piece *p[WORKERS];
    size_t n = 0;
    for (size_t i = 0; i < s->im.layers; i++) {
        if (!s->pieces[i].made[0]) continue;
        struct recompress_arg a = {v, &s->pieces[i]};
        if (proc_worker_start(recompress, &a, &w[n], e) < 0) {
            struct err late = {0};
            wait_recompress(v, w, p, n, &late);
            return -1;
        }
        p[n++] = &s->pieces[i];
        if (n < WORKERS) continue;
        if (wait_recompress(v, w, p, n, e) < 0) return -1;
        n = 0;
    }
    return wait_recompress(v, w, p, n, e);
}

static void rewrite_manifest(struct save *v, struct saved *s)
{
    for (size_t i = 0; i < s->manifest.n; i++) {
        struct oci_descriptor *d = &s->manifest.items[i];
        const struct piece *p = &s->pieces[i];
        if (oci_digest_eq(&d->digest, &p->digest)) continue;
        d->digest = p->digest;
        d->size = p->size;
        const char *type = type_of(p->made[0] ? v->opt->compress : CODEC_ZIP_NONE);
        memcpy(d->media_type, type, strlen(type) + 1);
    }
    memcpy(s->manifest.media_type, OCI_TYPE_MANIFEST, sizeof OCI_TYPE_MANIFEST);
    memcpy(s->manifest.config.media_type, OCI_TYPE_CONFIG, sizeof OCI_TYPE_CONFIG);
    for (size_t i = 0; i < s->manifest.n; i++) {
        struct oci_descriptor *d = &s->manifest.items[i];
        if (strcmp(d->media_type, DOCKER_TYPE_LAYER_GZIP) != 0) continue;
        memcpy(d->media_type, OCI_TYPE_LAYER_GZIP, sizeof OCI_TYPE_LAYER_GZIP);
    }
    str_clear(&s->doc.text);
    oci_manifest_print(&s->manifest, &s->doc.text);
}

static void set_text(struct piece *p)
{
    p->digest = oci_digest_of(str_sv(&p->text));
    p->size = p->text.n;
}

static int plan_image(struct save *v, struct saved *s, struct err *e)
{
    bool changed = false;
    own(free) char *label = str_fmt("config of image sha256:%.12s", s->ref.image.hex);
    if (store_blob_read(v->en, &s->ref.image, LIMIT_CONFIG, &s->config.text, e) < 0) return -1;
    if (oci_image_parse(str_sv(&s->config.text), label, &s->im, e) < 0) return -1;
    if (image_read_manifest(v->en, &s->ref.manifest, &s->manifest, &s->doc.text, e) < 0) return -1;
    if (s->manifest.is_index || s->manifest.n != s->im.layers) {
        return err_set(e, ERR_CORRUPT, "manifest sha256:%.12s does not fit its config",
                       s->ref.manifest.hex);
    }
    if (store_layer_resolve(v->en, s->im.diff_ids, s->im.layers, &s->layers, e) < 0) return -1;
    s->pieces = mem_alloc((s->im.layers + 1) * sizeof *s->pieces);
    for (size_t i = 0; i < s->im.layers; i++) plan_piece(v, s, i, &changed);
    if (recompress_all(v, s, e) < 0) return -1;
    if (changed) rewrite_manifest(v, s);
    set_text(&s->config);
    set_text(&s->doc);
    return 0;
}

// --- the texts ----------------------------------------------------------------------------------

static char *blob_path(const struct oci_digest *d)
{
    return str_fmt("blobs/sha256/%s", d->hex);
}

static void print_docker_manifest(const struct save *v, struct str *out)
{
    own(codec_json) struct codec_json *list = codec_json_new_array();
    for (size_t i = 0; i < v->images.n; i++) {
        const struct saved *s = v->images.p[i];
        struct codec_json *j = codec_json_new_object();
        struct codec_json *layers = codec_json_new_array();
        own(free) char *config = blob_path(&s->config.digest);
        for (size_t k = 0; k < s->im.layers; k++) {
            own(free) char *path = blob_path(&s->pieces[k].digest);
            codec_json_add(layers, codec_json_new_text(sv_of(path)));
        }
        codec_json_set_text(j, "Config", config);
        codec_json_set(j, "RepoTags",
                       s->tags.n ? codec_json_new_strv(&s->tags) : codec_json_new_null());
        codec_json_set(j, "Layers", layers);
        codec_json_add(list, j);
    }
    codec_json_print(list, out);
}

// {"debian": {"bookworm": "<id>"}}: only very old readers look at it.
static void print_repositories(const struct save *v, struct str *out)
{
    own(codec_json) struct codec_json *doc = codec_json_new_object();
    for (size_t i = 0; i < v->images.n; i++) {
        const struct saved *s = v->images.p[i];
        for (size_t k = 0; k < s->tags.n && s->im.layers > 0; k++) {
            struct sv tag = sv_of(s->tags.p[k]);
            long colon = sv_rfind(tag, ':');
            own(free) char *name = sv_dup(sv_part(tag, 0, (size_t)colon));
            struct codec_json *tags = codec_json_get(doc, name);
            if (!tags) {
                codec_json_set(doc, name, codec_json_new_object());
                tags = codec_json_get(doc, name);
            }
            codec_json_set_text(tags, s->tags.p[k] + colon + 1, s->im.diff_ids[s->im.layers - 1].hex);
        }
    }
    codec_json_print(doc, out);
}

static void add_index_row(struct codec_json *list, const struct saved *s, const char *full)
{
    char text[OCI_DIGEST_TEXT];
    struct codec_json *j = codec_json_new_object();
    const char *type = s->manifest.media_type[0] ? s->manifest.media_type : OCI_TYPE_MANIFEST;
    codec_json_set_text(j, "mediaType", type);
    codec_json_set_text(j, "digest", oci_digest_print(&s->doc.digest, text));
    codec_json_set(j, "size", codec_json_new_int((int64_t)s->doc.size));
    if (full) {
        struct codec_json *notes = codec_json_new_object();
        codec_json_set_text(notes, "io.containerd.image.name", full);
        codec_json_set_text(notes, "org.opencontainers.image.ref.name", strrchr(full, ':') + 1);
        codec_json_set(j, "annotations", notes);
    }
    codec_json_add(list, j);
}

static void print_index(const struct save *v, struct str *out)
{
    own(codec_json) struct codec_json *doc = codec_json_new_object();
    struct codec_json *list = codec_json_new_array();
    for (size_t i = 0; i < v->images.n; i++) {
        const struct saved *s = v->images.p[i];
        for (size_t k = 0; k < s->fulls.n; k++) add_index_row(list, s, s->fulls.p[k]);
        if (s->fulls.n == 0) add_index_row(list, s, NULL);
    }
    codec_json_set(doc, "schemaVersion", codec_json_new_int(2));
    codec_json_set_text(doc, "mediaType", OCI_TYPE_INDEX);
    codec_json_set(doc, "manifests", list);
    codec_json_print(doc, out);
}

// --- output -------------------------------------------------------------------------------------

static int flush(struct save *v, struct err *e)
{
    int rc = fs_write_all(v->fd, v->buf, v->used, e);
    v->used = 0;
    return rc < 0 ? err_wrap(e, "writing the archive") : 0;
}

static int out_write(void *arg, const void *p, size_t n, struct err *e)
{
    struct save *v = arg;
    const char *q = p;
    while (n > 0) {
        size_t part = OUT_BUFFER - v->used < n ? OUT_BUFFER - v->used : n;
        memcpy(v->buf + v->used, q, part);
        v->used += part;
        q += part;
        n -= part;
        if (v->used == OUT_BUFFER && flush(v, e) < 0) return -1;
    }
    return 0;
}

// Where a piece's bytes go, with a check that they are what the archive says they are.
struct piece_sink {
    struct save *v;
    int fd;  // a file of an oci-dir; -1: the tar
    uint64_t size;
    struct codec_sha256 hash;
};

static int piece_write(void *arg, const void *p, size_t n, struct err *e)
{
    struct piece_sink *s = arg;
    codec_sha256_add(&s->hash, p, n);
    s->size += n;
    if (s->fd >= 0) return fs_write_all(s->fd, p, n, e);
    if (n > s->v->tar.remaining) return err_set(e, ERR_CORRUPT, "it is larger than recorded");
    return codec_tar_write_data(&s->v->tar, p, n, e);
}

static int copy_fd(int fd, struct piece_sink *s, struct err *e)
{
    own(free) char *buf = mem_alloc(OUT_BUFFER);
    while (true) {
        ssize_t n = read(fd, buf, OUT_BUFFER);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_sys(e, "read");
        if (n == 0) return 0;
        if (piece_write(s, buf, (size_t)n, e) < 0) return -1;
    }
}

static int write_bytes(struct save *v, const struct piece *p, struct piece_sink *s, struct err *e)
{
    if (p->text.n > 0) return piece_write(s, p->text.p, p->text.n, e);
    if (p->layer) {
        const struct codec_sink dst = {.write = piece_write, .arg = s};
        return store_layer_write_tar(v->en, p->layer, dst, e);
    }
    own(fd) int fd = p->made[0] ? fs_openat(v->tmp.fd, p->made, O_RDONLY, 0, e)
                                : store_blob_open(v->en, &p->digest, e);
    return fd < 0 ? -1 : copy_fd(fd, s, e);
}

static int tar_entry(struct save *v, const char *name, enum codec_tar_type type, uint64_t size,
                     struct err *e)
{
    own(free) char *copy = str_dup(name);
    const struct codec_tar_entry t = {.type = type, .name = copy, .size = size,
                                      .mode = type == CODEC_TAR_DIR ? 0755 : 0644};
    return codec_tar_write_entry(&v->tar, &t, e);
}

static int write_piece(struct save *v, const struct piece *p, struct err *e)
{
    struct oci_digest got = {0};
    struct piece_sink s = {.v = v, .fd = -1};
    own(fd) int file = -1;
    if (map_has(&v->written, p->digest.hex)) return 0;
    map_set(&v->written, p->digest.hex, NULL);
    own(free) char *path = blob_path(&p->digest);
    codec_sha256_init(&s.hash);
    if (v->opt->format == IMAGE_SAVE_OCI_DIR) {
        file = fs_openat(v->fd, path, O_WRONLY | O_CREAT | O_EXCL, 0644, e);
        if (file < 0) return -1;
        s.fd = file;
    } else if (tar_entry(v, path, CODEC_TAR_FILE, p->size, e) < 0) {
        return -1;
    }
    if (write_bytes(v, p, &s, e) < 0) return err_wrap(e, "writing '%s'", path);
    codec_sha256_end(&s.hash, got.hex);
    if (s.size == p->size && oci_digest_eq(&got, &p->digest)) return 0;
    err_set(e, ERR_CORRUPT, "'%s' in the store is damaged: its digest is sha256:%s", path, got.hex);
    return err_hint(e, "'dewar system check' lists what is damaged");
}

static int write_text(struct save *v, const char *name, const struct str *text, struct err *e)
{
    if (v->opt->format == IMAGE_SAVE_OCI_DIR) {
        own(fd) int fd = fs_openat(v->fd, name, O_WRONLY | O_CREAT | O_EXCL, 0644, e);
        return fd < 0 ? -1 : fs_write_all(fd, text->p, text->n, e);
    }
    if (tar_entry(v, name, CODEC_TAR_FILE, text->n, e) < 0) return -1;
    return codec_tar_write_data(&v->tar, str_z(text), text->n, e);
}

static int write_head(struct save *v, struct err *e)
{
    own(str) struct str layout = {0};
    own(str) struct str index = {0};
    own(str) struct str docker = {0};
    own(str) struct str repositories = {0};
    str_addz(&layout, "{\"imageLayoutVersion\":\"1.0.0\"}");
    print_index(v, &index);
    if (write_text(v, "oci-layout", &layout, e) < 0) return -1;
    if (write_text(v, "index.json", &index, e) < 0) return -1;
    if (v->opt->format == IMAGE_SAVE_DOCKER) {
        print_docker_manifest(v, &docker);
        print_repositories(v, &repositories);
        if (write_text(v, "manifest.json", &docker, e) < 0) return -1;
        if (write_text(v, "repositories", &repositories, e) < 0) return -1;
    }
    if (v->opt->format == IMAGE_SAVE_OCI_DIR) return fs_mkdirs(v->fd, "blobs/sha256", 0755, e);
    if (tar_entry(v, "blobs/", CODEC_TAR_DIR, 0, e) < 0) return -1;
    return tar_entry(v, "blobs/sha256/", CODEC_TAR_DIR, 0, e);
}

static int write_all(struct save *v, struct err *e)
{
    codec_tar_writer_init(&v->tar, (struct codec_sink){.write = out_write, .arg = v});
    if (write_head(v, e) < 0) return -1;
    for (size_t i = 0; i < v->images.n; i++) {
        const struct saved *s = v->images.p[i];
        if (write_piece(v, &s->doc, e) < 0 || write_piece(v, &s->config, e) < 0) return -1;
        for (size_t k = 0; k < s->im.layers; k++) {
            if (write_piece(v, &s->pieces[k], e) < 0) return -1;
        }
    }
    if (v->opt->format == IMAGE_SAVE_OCI_DIR) return 0;
    if (codec_tar_write_end(&v->tar, e) < 0) return -1;
    return flush(v, e);
}

// --- where to -----------------------------------------------------------------------------------

static int open_folder(const char *path, struct err *e)
{
    own(strv) struct strv names = {0};
    if (fs_mkdirs(AT_FDCWD, path, 0755, e) < 0) return -1;
    if (fs_list(AT_FDCWD, path, &names, e) < 0) return -1;
    if (names.n > 0) return err_set(e, ERR_USAGE, "the output folder '%s' is not empty", path);
    return fs_open_dir(AT_FDCWD, path, e);
}

static int plan_and_write(struct save *v, struct err *e)
{
    own(store_refs) struct store_refs all = {0};
    if (store_ref_list(v->en, &all, e) < 0) return -1;
    for (size_t i = 0; i < v->opt->names->n; i++) {
        if (add_image(v, &all, v->opt->names->p[i], e) < 0) return -1;
    }
    if (store_tmp_open(v->en, &v->tmp, e) < 0) return -1;
    for (size_t i = 0; i < v->images.n; i++) {
        if (plan_image(v, v->images.p[i], e) < 0) return -1;
    }
    return write_all(v, e);
}

static int save_to(struct save *v, struct output *t, struct err *e)
{
    const char *path = v->opt->path;
    if (v->opt->format == IMAGE_SAVE_OCI_DIR) {
        if (!path) return err_set(e, ERR_USAGE, "the format oci-dir needs an output folder");
        t->fd = open_folder(path, e);
        if (t->fd < 0) return -1;
        t->direct = true;
        v->fd = t->fd;
    } else if (path) {
        if (output_open(path, 0600, t, e) < 0) return -1;
        v->fd = t->fd;
    } else if (isatty(v->opt->fd)) {
        err_set(e, ERR_USAGE, "an archive is not written to a terminal");
        return err_hint(e, "use -o FILE or redirect standard output");
    } else {
        v->fd = v->opt->fd;
    }
    if (engine_enter(v->en, e) < 0) return -1;
    own(fd) int lock = store_lock_shared(v->en, e);
    if (lock < 0 || plan_and_write(v, e) < 0) return -1;
    return path ? output_commit(t, e) : 0;
}

int image_save(struct engine *en, const struct image_save_options *opt, struct err *e)
{
    struct save v = {.en = en, .opt = opt, .tmp = STORE_TMP_NONE, .fd = -1};
    struct output t = OUTPUT_NONE;
    if (!opt->names || opt->names->n == 0) return err_set(e, ERR_USAGE, "no image to save");
    v.buf = mem_alloc(OUT_BUFFER);
    int rc = save_to(&v, &t, e);
    for (size_t i = 0; rc == 0 && i < v.images.n; i++)
        image_event(en, "save", &v.images.p[i]->ref.image, NULL);
    output_fini(&t);
    if (v.tmp.fd >= 0) store_tmp_close(en, &v.tmp);
    for (size_t i = 0; i < v.images.n; i++) saved_free(v.images.p[i]);
    vec_fini(&v.images);
    map_fini(&v.written);
    free(v.buf);
    return rc < 0 ? err_wrap(e, "saving '%s'", opt->names->p[0]) : 0;
}
