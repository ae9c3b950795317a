// SPDX-License-Identifier: Apache-2.0
// `load`: from an archive's texts to images. First every image of the archive is planned (config, manifest,
// which entry is which layer), then layers are unpacked (or were, when the archive is a stream), then
// published bottom first, then blobs are written and synced, and the names come last.
#include "image/archive.h"

#include <unistd.h>

#include "base/own.h"
#include "image/choose.h"
#include "image/internal.h"
#include "image/load.h"
#include "store/blob.h"
#include "store/lock.h"

#define IMAGES_MAX 1000

void image_loads_fini(struct image_loads *v)
{
    vec_fini(v);
}

struct part {
    struct image_load_entry *entry;  // NULL: not in the archive
    struct oci_digest blob;          // unset: the archive does not say
};
struct plan {
    struct oci_digest id;
    struct str config;
    struct oci_image im;
    struct oci_digest manifest_id;
    struct str manifest;  // empty: made from the layers
    struct part *parts;
    struct store_layer *layers;
    struct {
        struct oci_ref *p;
        size_t n, cap;
    } refs;
};
struct plans {
    struct plan **p;
    size_t n;
    size_t cap;
};

static void plans_fini(struct plans *v)
{
    for (size_t i = 0; i < v->n; i++) {
        struct plan *p = v->p[i];
        str_fini(&p->config);
        str_fini(&p->manifest);
        oci_image_fini(&p->im);
        free(p->parts);
        free(p->layers);
        vec_fini(&p->refs);
        free(p);
    }
    vec_fini(v);
}

// --- planning -----------------------------------------------------------------------------------

static int add_name(struct plan *p, const char *name, struct err *e)
{
    struct oci_ref ref = {0};
    if (oci_ref_parse(sv_of(name), &ref, e) < 0) return err_wrap(e, "a name in the archive");
    oci_ref_default_tag(&ref);
    ref.digest.hex[0] = '\0';
    if (ref.tag[0]) vec_push(&p->refs, ref);
    return 0;
}

static struct plan *find_plan(struct plans *all, const struct oci_digest *id,
                              const struct oci_digest *manifest)
{
    for (size_t i = 0; i < all->n; i++) {
        bool same = !manifest || !oci_digest_is_set(&all->p[i]->manifest_id) ||
                    oci_digest_eq(&all->p[i]->manifest_id, manifest);
        if (same && oci_digest_eq(&all->p[i]->id, id)) return all->p[i];
    }
    return NULL;
}

static int new_plan(struct image_load *l, struct plans *all, const char *config_path,
                    struct plan **out, struct err *e)
{
    own(str) struct str text = {0};
    int rc = image_load_text(l, config_path, LIMIT_CONFIG, &text, e);
    if (rc < 0) return -1;
    if (rc == 0) return err_set(e, ERR_INPUT, "the archive lacks the config '%s'", config_path);
    if (all->n >= IMAGES_MAX) {
        return err_set(e, ERR_LIMIT, "the archive has more than %d images", IMAGES_MAX);
    }
    struct plan *p = mem_alloc(sizeof *p);
    vec_push(all, p);
    str_add(&p->config, str_sv(&text));
    p->id = oci_digest_of(str_sv(&text));
    own(free) char *label = str_fmt("config '%s'", config_path);
    if (oci_image_parse(str_sv(&text), label, &p->im, e) < 0) return -1;
    p->parts = mem_alloc((p->im.layers + 1) * sizeof *p->parts);
    p->layers = mem_alloc((p->im.layers + 1) * sizeof *p->layers);
    *out = p;
    return 0;
}

// A config or manifest that is addressed by digest must have it.
static int check_digest(const struct oci_digest *want, struct sv text, const char *path,
                        struct err *e)
{
    struct oci_digest got = oci_digest_of(text);
    if (oci_digest_eq(&got, want)) return 0;
    return err_set(e, ERR_INPUT, "'%s' in the archive is damaged: its digest is sha256:%s", path,
                   got.hex);
}

static bool path_digest(const char *path, struct oci_digest *out)
{
    struct sv p = sv_of(path);
    return sv_starts(p, "blobs/sha256/") && oci_digest_parse_hex(sv_from(p, 13), out);
}

static void blob_path(const struct oci_digest *d, char out[96])
{
    snprintf(out, 96, "blobs/sha256/%s", d->hex);
}

// --- OCI layouts --------------------------------------------------------------------------------

static int read_blob(struct image_load *l, const struct oci_digest *d, size_t max,
                     struct str *out, struct err *e)
{
    char path[96];
    blob_path(d, path);
    int rc = image_load_text(l, path, max, out, e);
    if (rc < 0) return -1;
    if (rc == 0) return err_set(e, ERR_INPUT, "the archive lacks '%s'", path);
    return check_digest(d, str_sv(out), path, e);
}

static int plan_manifest(struct image_load *l, struct plans *all, const struct oci_digest *digest,
                         struct sv raw, const struct oci_manifest *m, struct plan **out,
                         struct err *e)
{
    char path[96];
    struct plan *p = find_plan(all, &m->config.digest, digest);
    blob_path(&m->config.digest, path);
    if (!p) {
        if (new_plan(l, all, path, &p, e) < 0) return -1;
        if (check_digest(&m->config.digest, str_sv(&p->config), path, e) < 0) return -1;
    }
    *out = p;
    if (p->manifest.n > 0) return 0;
    if (m->n != p->im.layers) {
        return err_set(e, ERR_INPUT, "manifest sha256:%.12s has %zu layers, its config has %zu",
                       digest->hex, m->n, p->im.layers);
    }
    for (size_t i = 0; i < m->n; i++) {
        blob_path(&m->items[i].digest, path);
        p->parts[i] = (struct part){image_load_find(l, path), m->items[i].digest};
    }
    str_add(&p->manifest, raw);
    p->manifest_id = *digest;
    return 0;
}

static int plan_descriptor(struct image_load *l, struct plans *all, const struct oci_descriptor *d,
                           const struct oci_platform *want, int depth, struct plan **out,
                           struct err *e)
{
    own(str) struct str raw = {0};
    own(oci_manifest) struct oci_manifest m = {0};
    own(free) char *label = str_fmt("manifest sha256:%.12s", d->digest.hex);
    if (depth > IMAGE_INDEX_DEPTH) return err_set(e, ERR_LIMIT, "indexes are nested too deep");
    if (read_blob(l, &d->digest, LIMIT_MANIFEST, &raw, e) < 0) return -1;
    if (oci_manifest_parse(str_sv(&raw), label, &m, e) < 0) return -1;
    if (!m.is_index) return plan_manifest(l, all, &d->digest, str_sv(&raw), &m, out, e);
    const struct oci_descriptor *child = image_choose(&m, want);
    if (!child) return image_choose_none(label, &m, want, e);
    return plan_descriptor(l, all, child, want, depth + 1, out, e);
}

static int name_from_annotations(struct plan *p, const struct oci_descriptor *d, struct err *e)
{
    char buf[512];
    const char *name = image_annotation(d, "io.containerd.image.name", buf);
    if (name) return add_name(p, name, e);
    name = image_annotation(d, "org.opencontainers.image.ref.name", buf);
    // A bare word there is a tag without a name.
    return name && strpbrk(name, "/:") ? add_name(p, name, e) : 0;
}

// Whether the descriptor is the one that was asked for by digest, name or tag.
static bool is_wanted(const struct image_load *l, const struct oci_descriptor *d)
{
    static const char *const keys[] = {"io.containerd.image.name",
                                       "org.opencontainers.image.ref.name"};
    char buf[512], digest[OCI_DIGEST_TEXT];
    if (!l->only || !l->only[0]) return true;
    if (strcmp(l->only, oci_digest_print(&d->digest, digest)) == 0) return true;
    own(free) char *tag = str_fmt(":%s", l->only);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *name = image_annotation(d, keys[i], buf);
        if (name && (strcmp(name, l->only) == 0 || sv_ends(sv_of(name), tag))) return true;
    }
    return false;
}

static int check_only(const struct image_load *l, const struct plans *all, struct err *e)
{
    if (!l->only || all->n == 1) return 0;
    if (all->n == 0)
        return err_set(e, ERR_NOT_FOUND, "the layout has no image '%s'", l->only);
    err_set(e, ERR_INPUT, "the layout has %zu images", all->n);
    return err_hint(e, "name one of them by tag or digest");
}

static int plan_index(struct image_load *l, struct plans *all, struct sv text,
                      const struct oci_platform *want, struct err *e)
{
    own(oci_manifest) struct oci_manifest index = {0};
    if (oci_manifest_parse(text, "index.json", &index, e) < 0) return -1;
    if (!index.is_index) return err_set(e, ERR_INPUT, "index.json is not an index");
    for (size_t i = 0; i < index.n; i++) {
        struct plan *p = NULL;
        if (image_is_attestation(&index.items[i]) || !is_wanted(l, &index.items[i])) continue;
        if (plan_descriptor(l, all, &index.items[i], want, 0, &p, e) < 0) return -1;
        if (!l->only && name_from_annotations(p, &index.items[i], e) < 0) return -1;
    }
    return check_only(l, all, e);
}

// --- docker-archive -----------------------------------------------------------------------------

struct archive_item {
    char *config;
    struct strv tags;
    struct strv layers;
};

static void archive_item_fini(struct archive_item *a)
{
    free(a->config);
    strv_fini(&a->tags);
    strv_fini(&a->layers);
}

static int fill_parts(struct image_load *l, struct plan *p, const struct archive_item *a,
                      struct err *e)
{
    if (a->layers.n != p->im.layers) {
        return err_set(e, ERR_INPUT, "manifest.json names %zu layers for '%s', its config has %zu",
                       a->layers.n, a->config, p->im.layers);
    }
    for (size_t i = 0; i < a->layers.n; i++) {
        struct part part = {.entry = image_load_find(l, a->layers.p[i])};
        path_digest(a->layers.p[i], &part.blob);
        p->parts[i] = part;
    }
    return 0;
}

static int plan_archive_item(struct image_load *l, struct plans *all, const struct plans *layout,
                             const struct codec_json *j, struct err *e)
{
    static const struct codec_field fields[] = {
        {"Config", CODEC_FIELD_TEXT, offsetof(struct archive_item, config), true},
        {"RepoTags", CODEC_FIELD_STRV, offsetof(struct archive_item, tags), false},
        {"Layers", CODEC_FIELD_STRV, offsetof(struct archive_item, layers), true},
    };
    struct archive_item a = {0};
    struct plan *p = NULL;
    struct oci_digest want = {0};
    int rc = codec_json_decode(j, "manifest.json", fields, sizeof fields / sizeof *fields, &a, e);
    if (rc == 0) rc = new_plan(l, all, a.config, &p, e);
    if (rc == 0 && path_digest(a.config, &want)) {
        rc = check_digest(&want, str_sv(&p->config), a.config, e);
    }
    if (rc == 0) rc = fill_parts(l, p, &a, e);
    // The layout in the same archive has the manifest as it was received.
    for (size_t i = 0; rc == 0 && i < layout->n; i++) {
        const struct plan *twin = layout->p[i];
        if (!oci_digest_eq(&twin->id, &p->id)) continue;
        str_add(&p->manifest, str_sv(&twin->manifest));
        p->manifest_id = twin->manifest_id;
        memcpy(p->parts, twin->parts, p->im.layers * sizeof *p->parts);
        break;
    }
    for (size_t i = 0; rc == 0 && i < a.tags.n; i++) rc = add_name(p, a.tags.p[i], e);
    archive_item_fini(&a);
    return rc < 0 ? -1 : 0;
}

static int plan_archive(struct image_load *l, struct plans *all, const struct plans *layout,
                        struct sv text, struct err *e)
{
    own(codec_json) struct codec_json *doc = NULL;
    if (codec_json_parse(text, "manifest.json", &doc, e) < 0) return -1;
    if (codec_json_type(doc) != CODEC_JSON_ARRAY) {
        return err_set(e, ERR_INPUT, "manifest.json is not an array of images");
    }
    for (size_t i = 0; i < codec_json_len(doc); i++) {
        if (plan_archive_item(l, all, layout, codec_json_at(doc, i), e) < 0) {
            return err_wrap(e, "in manifest.json, image %zu", i);
        }
    }
    return 0;
}

static int no_images(struct image_load *l, struct err *e)
{
    if (image_load_find(l, "repositories")) {
        err_set(e, ERR_UNSUPPORTED, "the archive was written by a Docker older than 1.10");
        return err_hint(e, "load and save it with a newer Docker first");
    }
    err_set(e, ERR_INPUT, "no image in it: neither manifest.json nor index.json is there");
    return err_hint(e, "a root file system is brought in by 'dewar image import FILE NAME'");
}

static int plan_all(struct image_load *l, struct plans *all, const struct oci_platform *want,
                    struct err *e)
{
    own(str) struct str archive = {0};
    own(str) struct str index = {0};
    struct plans layout = {0};
    int has_archive =
        l->only ? 0 : image_load_text(l, "manifest.json", LIMIT_MANIFEST, &archive, e);
    if (has_archive < 0) return -1;
    int has_index = image_load_text(l, "index.json", LIMIT_MANIFEST, &index, e);
    if (has_index < 0) return -1;
    if (!has_archive && !has_index) return no_images(l, e);
    if (!has_archive) return plan_index(l, all, str_sv(&index), want, e);
    struct err ignored = {0};
    if (has_index && plan_index(l, &layout, str_sv(&index), want, &ignored) < 0) {
        plans_fini(&layout);  // manifest.json alone must do
    }
    int rc = plan_archive(l, all, &layout, str_sv(&archive), e);
    plans_fini(&layout);
    return rc;
}

// --- layers -------------------------------------------------------------------------------------

static bool blob_wanted(struct image_load *l, const struct plan *p, size_t i)
{
    const struct part *part = &p->parts[i];
    return p->manifest.n > 0 && oci_digest_is_set(&part->blob) &&
           !oci_digest_eq(&part->blob, &p->im.diff_ids[i]) &&
           !store_blob_exists(l->en, &part->blob, NULL);
}

// The layer is known, but its archive as the manifest names it is not: only the bytes are copied.
static int copy_blob(struct image_load *l, const struct part *part, struct err *e)
{
    uint64_t from = 0;
    uint64_t size = 0;
    struct store_blob_writer *w = NULL;
    own(free) char *buf = mem_alloc(1 << 18);
    own(fd) int fd = image_load_open(l, part->entry, &from, &size, e);
    if (fd < 0 || store_blob_create(l->en, &w, e) < 0) return -1;
    uint64_t want = size;
    while (size > 0) {
        ssize_t n = pread(fd, buf, size < (1 << 18) ? (size_t)size : 1 << 18, (off_t)from);
        if (n <= 0 || store_blob_write(w, buf, (size_t)n, e) < 0) {
            store_blob_abandon(w);
            if (n < 0) return err_sys(e, "read the archive");
            return n == 0 ? err_set(e, ERR_INPUT, "the archive ends early") : -1;
        }
        from += (uint64_t)n;
        size -= (uint64_t)n;
    }
    return store_blob_commit(w, &part->blob, want, NULL, NULL, e);
}

static int missing(const struct plan *p, size_t i, struct err *e)
{
    return err_set(e, ERR_INPUT, "the archive lacks layer %zu of %zu (sha256:%s)", i + 1,
                   p->im.layers,
                   oci_digest_is_set(&p->parts[i].blob) ? p->parts[i].blob.hex
                                                        : p->im.diff_ids[i].hex);
}

// Starts what has to be unpacked, in order; workers run side by side.
static int start_layers(struct image_load *l, struct plan *p, struct err *e)
{
    struct oci_digest chain = {0};
    for (size_t i = 0; i < p->im.layers; i++) {
        struct part *part = &p->parts[i];
        struct store_layer have = {0};
        int found = store_layer_find(l->en, &p->im.diff_ids[i], &chain, &have, e);
        if (found < 0) return -1;
        chain = oci_digest_chain(&chain, &p->im.diff_ids[i]);
        if (found && !blob_wanted(l, p, i)) continue;
        if (!part->entry) return missing(p, i, e);
        if (l->kind == IMAGE_LOAD_STREAM || part->entry->state != IMAGE_LOAD_FRESH) continue;
        if (found) {
            if (copy_blob(l, part, e) < 0) return -1;
            continue;
        }
        const struct oci_digest *blob = oci_digest_is_set(&part->blob) ? &part->blob : NULL;
        if (image_load_start(l, part->entry, &p->im.diff_ids[i], blob, e) < 0) return -1;
    }
    return 0;
}

static int publish_entry(struct image_load *l, struct plan *p, size_t i, struct err *e)
{
    struct image_load_entry *x = p->parts[i].entry;
    if (!x) return missing(p, i, e);
    if (x->state == IMAGE_LOAD_PUBLISHED && l->kind != IMAGE_LOAD_STREAM) {
        // An open layer over other layers than the first time: it must be made once more.
        snprintf(x->name, sizeof x->name, "l%zu", l->serial++);
        if (image_load_start(l, x, &p->im.diff_ids[i], NULL, e) < 0) return -1;
        if (image_load_wait_all(l, e) < 0) return -1;
    }
    if (x->state == IMAGE_LOAD_FAILED) {
        *e = *x->why;
        return -1;
    }
    if (x->state != IMAGE_LOAD_UNPACKED) {
        return err_set(e, ERR_INPUT, "'%s' in the archive is not a layer", x->path);
    }
    if (store_layer_publish(l->en, &l->tmp, x->name, p->layers, i, &p->layers[i], e) < 0) return -1;
    x->state = IMAGE_LOAD_PUBLISHED;
    x->layer = p->layers[i];
    if (oci_digest_eq(&x->layer.diff_id, &p->im.diff_ids[i])) return 0;
    return err_set(e, ERR_INPUT, "'%s' in the archive has the diff id sha256:%s, its config says "
                   "sha256:%s", x->path, x->layer.diff_id.hex, p->im.diff_ids[i].hex);
}

static int publish_layers(struct image_load *l, struct plan *p, struct err *e)
{
    struct oci_digest chain = {0};
    for (size_t i = 0; i < p->im.layers; i++) {
        int found = store_layer_find(l->en, &p->im.diff_ids[i], &chain, &p->layers[i], e);
        if (found < 0) return -1;
        chain = oci_digest_chain(&chain, &p->im.diff_ids[i]);
        if (!found && publish_entry(l, p, i, e) < 0) {
            return err_wrap(e, "layer %zu of %zu", i + 1, p->im.layers);
        }
    }
    return 0;
}

static int put_blobs(struct image_load *l, struct plan *p, struct err *e)
{
    struct oci_digest d = {0};
    if (store_blob_put_batch(l->en, str_sv(&p->config), &d, e) < 0) return -1;
    if (p->manifest.n == 0) {
        const struct image_put put = {.image = &p->im, .layers = p->layers};
        if (image_put_manifest(l->en, &put, &p->id, p->config.n, &p->manifest, e) < 0) return -1;
    }
    return store_blob_put_batch(l->en, str_sv(&p->manifest), &p->manifest_id, e);
}

// --- names --------------------------------------------------------------------------------------

static int set_names(struct image_load *l, const struct plan *p, struct image_loads *out,
                     struct err *e)
{
    for (size_t i = 0; i < p->refs.n; i++) {
        if (store_ref_set(l->en, &p->refs.p[i], &p->manifest_id, &p->id, e) < 0) return -1;
        vec_push(out, (struct image_loaded){.id = p->id, .ref = p->refs.p[i]});
        image_event(l->en, "load", &p->id, &p->refs.p[i]);
    }
    if (p->refs.n > 0) return 0;
    if (store_ref_set_untagged(l->en, &p->manifest_id, &p->id, e) < 0) return -1;
    vec_push(out, (struct image_loaded){.id = p->id});
    image_event(l->en, "load", &p->id, NULL);
    return 0;
}

static int load_all(struct image_load *l, const struct oci_platform *want,
                    struct image_loads *out, struct err *e)
{
    struct plans all = {0};
    int rc = image_load_scan(l, e);
    if (rc == 0) rc = plan_all(l, &all, want, e);
    if (rc == 0 && all.n == 0) rc = no_images(l, e);
    for (size_t i = 0; rc == 0 && i < all.n; i++) rc = start_layers(l, all.p[i], e);
    if (rc == 0) rc = image_load_wait_all(l, e);
    for (size_t i = 0; rc == 0 && i < all.n; i++) rc = publish_layers(l, all.p[i], e);
    for (size_t i = 0; rc == 0 && i < all.n; i++) rc = put_blobs(l, all.p[i], e);
    if (rc == 0) rc = store_sync(l->en, e);
    for (size_t i = 0; rc == 0 && i < all.n; i++) rc = set_names(l, all.p[i], out, e);
    plans_fini(&all);
    return rc;
}

static unsigned worker_count(unsigned asked)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned n = asked ? asked : cpus > 2 ? (unsigned)cpus : 2;
    return n < IMAGE_LOAD_WORKERS_MAX ? n : IMAGE_LOAD_WORKERS_MAX;
}

int image_load(struct engine *en, const struct image_load_options *opt, struct image_loads *out,
               struct err *e)
{
    struct image_load l = {.en = en, .only = opt->only, .tmp = STORE_TMP_NONE, .fd = opt->fd};
    struct oci_platform want;
    oci_platform_host(&want);
    if (opt->platform && oci_platform_parse(sv_of(opt->platform), &want, e) < 0) return -1;
    own(fd) int file = -1;
    if (opt->path && (file = fs_open(opt->path, O_RDONLY, 0, e)) < 0) return -1;
    if (opt->path) l.fd = file;
    if (!opt->path && isatty(l.fd)) {
        err_set(e, ERR_USAGE, "load reads an archive from standard input, which is a terminal");
        return err_hint(e, "name a file: dewar load -i FILE");
    }
    if (engine_enter(en, e) < 0) return -1;
    own(fd) int lock = store_lock_shared(en, e);
    if (lock < 0 || store_tmp_open(en, &l.tmp, e) < 0) return -1;
    l.workers = worker_count(opt->workers);
    l.entries.free_value = image_load_entry_free;
    int rc = load_all(&l, &want, out, e);
    image_load_kill_all(&l);
    map_fini(&l.entries);
    store_tmp_close(en, &l.tmp);
    store_sweep_later(en);
    return rc < 0 ? err_wrap(e, "loading '%s'", opt->path ? opt->path : "standard input") : 0;
}
