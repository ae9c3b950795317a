// SPDX-License-Identifier: Apache-2.0
// Writes build caches. See build/cacheexport.h. Archives are compressed by our own compressors, so equal
// builds give equal caches, and an archive that the place has already is not made again.
#include "build/cacheexport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "build/cacheimport.h"
#include "build/cachemount.h"
#include "build/cacheplace.h"
#include "store/cache.h"

#define NOTES_MAX ((size_t)64 << 20)

int build_cacheexport_check(const struct build_options *opt, bool files_only, struct err *e)
{
    for (size_t i = 0; opt->cache_to && i < opt->cache_to->n; i++) {
        own(build_cachespec) struct build_cachespec s = {0};
        if (build_cachespec_parse(opt->cache_to->p[i], true, &s, e) < 0) return -1;
        if (s.type == BUILD_CACHESPEC_INLINE && files_only) {
            err_set(e, ERR_USAGE, "--cache-to '%s': the result is no image", opt->cache_to->p[i]);
            return err_hint(e, "use type=local,dest=FOLDER, or leave --output out");
        }
    }
    return 0;
}

// --- what a build used ----------------------------------------------------------------------------

void build_cacheexport_note(struct build_work *w, char what, const char *text)
{
    const struct strv *to = w->job->opt->cache_to;
    if (!to || !to->n || strchr(text, '\n')) return;
    if (w->notes.max == 0) w->notes.max = NOTES_MAX;
    str_addf(&w->notes, "%c %s\n", what, text);
}

int build_cacheexport_save(struct build_work *w, struct err *e)
{
    own(free) char *name = str_fmt("notes-%zu", w->stage->index);
    if (w->notes.n == 0) return 0;
    return fs_replace(w->job->tmp.fd, name, str_sv(&w->notes), 0600, e);
}

struct gather {
    struct build_job *job;
    struct build_cachedoc doc;
    VEC(struct oci_digest) layers;  // in the order of the Dockerfile
    struct strv mounts;
    struct map seen;
};

static void gather_fini(struct gather *g)
{
    build_cachedoc_fini(&g->doc);
    vec_fini(&g->layers);
    strv_fini(&g->mounts);
    map_fini(&g->seen);
}

// `lends`: of a stage that the result only took files from, for mode=min. Its steps are told, so that
// another store need not run them when nothing has changed, but not its layers.
static void add_step(struct gather *g, const char *key, bool lends)
{
    own(str) struct str record = {0};
    struct oci_digest diff;
    struct err ignored;
    if (store_cache_find(g->job->en, "steps", key, &record, &ignored) != 1) return;
    if (!build_cachedoc_step(str_sv(&record), &diff)) return;
    map_set(&g->doc.steps, key, str_take(&record));
    if (lends || !oci_digest_is_set(&diff) || map_has(&g->seen, diff.hex)) return;
    map_set(&g->seen, diff.hex, g);
    vec_push(&g->layers, diff);
}

static void add_source(struct gather *g, const char *key)
{
    own(str) struct str hash = {0};
    struct err ignored;
    int rc = store_cache_find(g->job->en, "sources", key, &hash, &ignored);
    if (rc != 1) rc = build_cacheimport_source(g->job, key, &hash);
    if (rc == 1 && hash.n == 64) map_set(&g->doc.sources, key, str_take(&hash));
}

static void add_notes(struct gather *g, struct sv notes, bool lends)
{
    while (notes.p) {
        struct sv line = sv_cut(&notes, '\n');
        if (line.n < 3) continue;
        own(free) char *text = sv_dup(sv_from(line, 2));
        if (line.p[0] == 's') add_step(g, text, lends);
        if (line.p[0] == 'h') add_source(g, text);
        if (line.p[0] == 'm' && !lends && strv_find(&g->mounts, text) < 0) strv_add(&g->mounts, text);
    }
}

// Whether the result stands on this stage.
static bool under_result(const struct build_job *job, size_t stage)
{
    size_t i = job->target;
    while (i != stage && job->stages.p[i].base_kind == BUILD_BASE_STAGE) i = job->stages.p[i].base_stage;
    return i == stage;
}

static int gather(struct gather *g, struct build_job *job, bool max, struct err *e)
{
    *g = (struct gather){.job = job};
    build_cachedoc_init(&g->doc);
    vec_each(s, &job->stages)
    {
        own(free) char *name = str_fmt("notes-%zu", s->index);
        own(str) struct str notes = {.max = NOTES_MAX};
        if (!fs_exists(job->tmp.fd, name)) continue;
        if (fs_read_at(job->tmp.fd, name, NOTES_MAX, &notes, e) < 0) return -1;
        add_notes(g, str_sv(&notes), !max && !under_result(job, s->index));
    }
    return 0;
}

// --- inside the image -----------------------------------------------------------------------------

int build_cacheexport_inline(struct build_job *job, struct codec_json **out, struct err *e)
{
    bool wanted = false;
    for (size_t i = 0; job->opt->cache_to && i < job->opt->cache_to->n; i++) {
        own(build_cachespec) struct build_cachespec s = {0};
        if (build_cachespec_parse(job->opt->cache_to->p[i], true, &s, e) < 0) return -1;
        wanted = wanted || s.type == BUILD_CACHESPEC_INLINE;
    }
    if (!wanted) return 0;
    struct gather g;
    own(str) struct str text = {.max = BUILD_CACHEDOC_MAX};
    int rc = gather(&g, job, false, e);
    if (rc == 0) build_cachedoc_print(&g.doc, false, &text);
    gather_fini(&g);
    if (rc < 0) return -1;
    if (text.overflow || text.n > BUILD_CACHEDOC_NOTE_MAX) {
        event_warn(&job->en->sink, "--cache-to type=inline: the records are too large for a manifest; "
                   "use type=registry or type=local");
        return 0;
    }
    *out = codec_json_new_object();
    codec_json_set_text(*out, BUILD_CACHEDOC_NOTE, str_z(&text));
    return 0;
}

// --- archives -------------------------------------------------------------------------------------

struct place {
    struct build_job *job;
    const struct build_cachespec *spec;
    const char *label;
    struct build_cacheplace *at;
    struct build_cachedoc old;  // what it holds now
    struct gather g;
};

struct hashing {
    int fd;
    uint64_t size;
    struct codec_sha256 hash;
};

static int hash_write(void *arg, const void *p, size_t n, struct err *e)
{
    struct hashing *h = arg;
    codec_sha256_add(&h->hash, p, n);
    h->size += n;
    return fs_write_all(h->fd, p, n, e);
}

static int zip_write(void *arg, const void *p, size_t n, struct err *e)
{
    return codec_zipper_write(arg, p, n, e);
}

static const char *suffix(enum codec_zip z)
{
    return z == CODEC_ZIP_GZIP ? "+gzip" : z == CODEC_ZIP_ZSTD ? "+zstd" : "";
}

// What writes an archive into a sink: a layer, or the tree of a cache mount.
struct archive {
    const char *type;  // media type without the compression
    const struct store_layer *layer;
    int tree;
};

static int write_archive(const struct place *p, const struct archive *a, struct codec_sink dst,
                         struct err *e)
{
    if (a->layer) return store_layer_write_tar(p->job->en, a->layer, dst, e);
    struct store_tar_options opt = {.newest = INT64_MAX};
    return store_tar_tree(a->tree, &opt, dst, e);
}

static int put_archive(struct place *p, const struct archive *a, struct oci_descriptor *out,
                       struct err *e)
{
    own(codec_zipper) struct codec_zipper *z = NULL;
    own(fd) int fd = p->at->ops->create(p->at, e);
    if (fd < 0) return -1;
    struct hashing h = {.fd = fd};
    codec_sha256_init(&h.hash);
    struct codec_sink dst = {hash_write, &h};
    if (codec_zipper_open_workers(p->spec->compression, p->spec->level, 0, dst, &z, e) < 0) return -1;
    if (write_archive(p, a, (struct codec_sink){zip_write, z}, e) < 0 ||
        codec_zipper_finish(z, e) < 0)
        return -1;
    *out = (struct oci_descriptor){.size = h.size};
    codec_sha256_end(&h.hash, out->digest.hex);
    own(free) char *type = str_fmt("%s%s", a->type, suffix(p->spec->compression));
    memcpy(out->media_type, type, strlen(type) + 1);
    return p->at->ops->keep(p->at, fd, out, e);
}

// An archive that another cache has: its bytes are passed on.
static int copy_archive(struct place *p, int from, const struct build_cachedoc_layer *l, struct err *e)
{
    own(fd) int fd = p->at->ops->create(p->at, e);
    if (fd < 0 || fs_copy_bytes(from, fd, l->blob.size, e) < 0) return -1;
    return p->at->ops->keep(p->at, fd, &l->blob, e);
}

static bool same_zip(const struct place *p, const struct oci_descriptor *d)
{
    own(free) char *type = str_fmt("%s%s", OCI_TYPE_LAYER, suffix(p->spec->compression));
    return strcmp(d->media_type, type) == 0;
}

static void keep_layer(struct place *p, const struct oci_digest *diff, uint64_t tar_size,
                       const struct oci_descriptor *blob)
{
    struct build_cachedoc_layer l = {.diff_id = *diff, .tar_size = tar_size, .blob = *blob};
    l.blob.annotations = NULL;
    vec_push(&p->g.doc.content, l);
}

static bool find_layer(struct place *p, const struct build_state *s, const struct oci_digest *diff,
                       struct store_layer *out)
{
    struct err ignored;
    vec_each(l, &s->layers)
        if (l->id[0] && oci_digest_eq(&l->diff_id, diff)) {
            *out = *l;
            return true;
        }
    return store_layer_find(p->job->en, diff, NULL, out, &ignored) == 1;
}

static int put_layer(struct place *p, const struct build_state *s, const struct oci_digest *diff,
                     struct err *e)
{
    struct store_layer layer;
    const struct build_cachedoc_layer *l = build_cachedoc_layer(&p->old, diff);
    if (l && same_zip(p, &l->blob)) {
        int rc = p->at->ops->has(p->at, &l->blob, true, e);
        if (rc < 0) return -1;
        if (rc == 1) {
            keep_layer(p, diff, l->tar_size, &l->blob);
            return 0;
        }
    }
    if (find_layer(p, s, diff, &layer)) {
        struct oci_descriptor blob;
        struct archive a = {.type = OCI_TYPE_LAYER, .layer = &layer};
        if (put_archive(p, &a, &blob, e) < 0) return -1;
        keep_layer(p, diff, layer.tar_size, &blob);
        return 0;
    }
    own(fd) int from = build_cacheimport_archive(p->job, diff, &l);
    if (from < 0) {
        event_warn(&p->job->en->sink, "the layer sha256:%.12s is not in the store and cannot be exported",
                   diff->hex);
        return 0;
    }
    if (copy_archive(p, from, l, e) < 0) return -1;
    keep_layer(p, diff, l->tar_size, &l->blob);
    return 0;
}

static int put_mount(struct place *p, const char *id, struct err *e)
{
    own(fd) int folder = -1;
    int rc = build_cachemount_peek(p->job->en, id, &folder, e);
    if (rc < 0) return -1;
    if (rc == 0) {
        event_warn(&p->job->en->sink, "the cache mount '%s' is in use or empty and is not exported", id);
        return 0;
    }
    struct archive a = {.type = BUILD_CACHEDOC_MOUNT_TYPE, .tree = folder};
    struct build_cachedoc_layer l = {0};
    if (put_archive(p, &a, &l.blob, e) < 0) return err_wrap(e, "cache mount '%s'", id);
    l.mount = str_dup(id);
    vec_push(&p->g.doc.content, l);
    return 0;
}

// --- places ---------------------------------------------------------------------------------------

static void read_old(struct place *p)
{
    struct err ignored;
    own(str) struct str text = {.max = LIMIT_MANIFEST};
    own(str) struct str records = {.max = BUILD_CACHEDOC_MAX};
    own(oci_manifest) struct oci_manifest m = {0};
    build_cachedoc_init(&p->old);
    if (p->at->ops->find(p->at, &text, &ignored) != 1 ||
        oci_manifest_parse(str_sv(&text), "manifest", &m, &ignored) < 0 || m.is_index ||
        strcmp(m.config.media_type, BUILD_CACHEDOC_TYPE) != 0 ||
        p->at->ops->read(p->at, &m.config, BUILD_CACHEDOC_MAX, &records, &ignored) < 0)
        return;
    if (build_cachedoc_parse(str_sv(&records), &m, "records", &p->old, &ignored) == 0) return;
    build_cachedoc_fini(&p->old);
    build_cachedoc_init(&p->old);
}

static int put_records(struct place *p, struct err *e)
{
    own(str) struct str records = {.max = BUILD_CACHEDOC_MAX};
    own(str) struct str manifest = {.max = LIMIT_MANIFEST};
    build_cachedoc_print(&p->g.doc, true, &records);
    if (str_check(&records, e) < 0) return err_wrap(e, "the cache's records");
    struct oci_descriptor d = {.digest = oci_digest_of(str_sv(&records)), .size = records.n,
                               .media_type = BUILD_CACHEDOC_TYPE};
    own(fd) int fd = p->at->ops->create(p->at, e);
    if (fd < 0 || fs_write_all(fd, records.p, records.n, e) < 0 ||
        p->at->ops->keep(p->at, fd, &d, e) < 0)
        return -1;
    build_cachedoc_manifest(&p->g.doc, &d.digest, d.size, &manifest);
    if (str_check(&manifest, e) < 0) return err_wrap(e, "the cache's manifest");
    return p->at->ops->publish(p->at, str_sv(&manifest), &p->g.doc, e);
}

static int open_place(struct place *p, struct err *e)
{
    if (p->spec->type == BUILD_CACHESPEC_LOCAL)
        return build_cachefolder_open(p->spec->folder, true, &p->at, e);
    return build_cacheremote_open(p->job->en, p->spec, &p->job->platform, &p->at, e);
}

static int write_place(struct place *p, const struct build_state *s, struct err *e)
{
    if (open_place(p, e) < 0) return -1;
    read_old(p);
    if (gather(&p->g, p->job, p->spec->max, e) < 0) return -1;
    size_t more = p->spec->mounts ? p->g.mounts.n : 0;
    if (p->g.layers.n + more > LIMIT_LAYERS)
        return err_set(e, ERR_LIMIT, "%zu layers are more than %d, which a manifest may hold",
                       p->g.layers.n + more, LIMIT_LAYERS);
    vec_each(diff, &p->g.layers) if (put_layer(p, s, diff, e) < 0) return -1;
    for (size_t i = 0; i < more; i++)
        if (put_mount(p, p->g.mounts.p[i], e) < 0) return -1;
    return put_records(p, e);
}

static int run_one(struct build_job *job, const struct build_cachespec *spec,
                   const struct build_state *s, struct err *e)
{
    own(free) char *label = build_cachespec_label(spec);
    struct place p = {.job = job, .spec = spec, .label = label};
    build_cachedoc_init(&p.old);
    build_cachedoc_init(&p.g.doc);
    int rc = write_place(&p, s, e);
    if (rc < 0) err_wrap(e, "writing the build cache to %s", label);
    else event_info(&job->en->sink, "build cache written to %s: %zu steps, %zu layers", label,
                    p.g.doc.steps.n, p.g.doc.content.n);
    gather_fini(&p.g);
    build_cachedoc_fini(&p.old);
    if (p.at) p.at->ops->close(p.at);
    if (rc == 0 || !spec->ignore_error) return rc;
    event_warn(&job->en->sink, "the build cache was not written to %s: %s", label, err_cause(e));
    err_clear(e);
    return 0;
}

int build_cacheexport_run(struct build_job *job, const struct build_state *s, struct err *e)
{
    for (size_t i = 0; job->opt->cache_to && i < job->opt->cache_to->n; i++) {
        own(build_cachespec) struct build_cachespec spec = {0};
        if (build_cachespec_parse(job->opt->cache_to->p[i], true, &spec, e) < 0) return -1;
        if (spec.type != BUILD_CACHESPEC_INLINE && run_one(job, &spec, s, e) < 0) return -1;
    }
    return 0;
}
