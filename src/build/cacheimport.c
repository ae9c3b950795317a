// SPDX-License-Identifier: Apache-2.0
// Uses build caches of others. See build/cacheimport.h. A place that turned out to be wrong about a
// layer is marked by a file in the build's temporary folder, so that every worker knows.
#include "build/cacheimport.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "base/proc.h"
#include "build/cacheplace.h"
#include "build/extract.h"
#include "image/image.h"
#include "store/blob.h"

#define AHEAD 4  // layers that are unpacked side by side
#define AGAIN "again"
// A cache may name layers that it does not hold: those of stages that only lend files. Such a hit is
// good as long as nobody needs the files; and so that no work is done twice, that is decided before the
// first step runs after which somebody may. CLAIMED: such a hit was taken. RUNNING: such a step
// runs, so none is taken any more. Each side writes its mark before it looks for the other's.
#define CLAIMED "claimed"
#define RUNNING "running"
#define AGAIN_MAX 5  // then it goes on without foreign caches

struct import {
    struct build_cachespec spec;
    char *label;
    struct build_cacheplace *place;  // NULL: an image of the store, whose layers are there
    struct build_cachedoc doc;
    struct map claimed;  // by hex: layers that steps name and that nobody brought along (mode=min)
};
struct build_imports {
    VEC(struct import) v;
    unsigned again;
};

int build_cacheimport_check(const struct build_options *opt, struct err *e)
{
    for (size_t i = 0; opt->cache_from && i < opt->cache_from->n; i++) {
        own(build_cachespec) struct build_cachespec s = {0};
        if (build_cachespec_parse(opt->cache_from->p[i], false, &s, e) < 0) return -1;
    }
    return 0;
}

// --- reading the records --------------------------------------------------------------------------

static int foreign(const struct oci_manifest *m, struct err *e)
{
    bool buildkit = strstr(m->config.media_type, "buildkit.cacheconfig") != NULL;
    for (size_t i = 0; m->is_index && i < m->n; i++)
        buildkit = buildkit || strstr(m->items[i].media_type, "buildkit.cacheconfig");
    if (buildkit)
        return err_set(e, ERR_UNSUPPORTED, "it was written by BuildKit, whose keys dewar cannot know");
    return err_set(e, ERR_INPUT, "it holds no build cache of dewar");
}

// An image with records in its manifest: its layers are the cache's.
static int read_image(struct import *in, const struct oci_manifest *m, struct sv records,
                      struct err *e)
{
    own(str) struct str config = {.max = LIMIT_CONFIG};
    own(oci_image) struct oci_image im = {0};
    if (in->place->ops->read(in->place, &m->config, LIMIT_CONFIG, &config, e) < 0 ||
        oci_image_parse(str_sv(&config), "the image's config", &im, e) < 0 ||
        build_cachedoc_parse(records, NULL, "the image's records", &in->doc, e) < 0)
        return -1;
    if (im.layers != m->n)
        return err_set(e, ERR_INPUT, "the image's manifest has %zu layers, its config %zu", m->n,
                       im.layers);
    for (size_t i = 0; i < m->n; i++) {
        struct build_cachedoc_layer l = {.diff_id = im.diff_ids[i], .blob = m->items[i]};
        l.blob.annotations = NULL;
        vec_push(&in->doc.content, l);
    }
    return 1;
}

static int read_place(struct import *in, struct err *e)
{
    own(str) struct str text = {.max = LIMIT_MANIFEST};
    own(str) struct str records = {.max = BUILD_CACHEDOC_MAX};
    own(oci_manifest) struct oci_manifest m = {0};
    int rc = in->place->ops->find(in->place, &text, e);
    if (rc <= 0) return rc;
    if (oci_manifest_parse(str_sv(&text), "the cache's manifest", &m, e) < 0) return -1;
    const struct codec_json *note =
        m.annotations && !m.is_index ? codec_json_get(m.annotations, BUILD_CACHEDOC_NOTE) : NULL;
    if (note) return read_image(in, &m, codec_json_text(note), e);
    if (m.is_index || strcmp(m.config.media_type, BUILD_CACHEDOC_TYPE) != 0) return foreign(&m, e);
    if (in->place->ops->read(in->place, &m.config, BUILD_CACHEDOC_MAX, &records, e) < 0) return -1;
    return build_cachedoc_parse(str_sv(&records), &m, "the cache's records", &in->doc, e) < 0 ? -1 : 1;
}

// An image of the store with records in its manifest. 1 found, 0 not: then a registry may know, unless
// the image has never been in one.
static int read_store(struct build_job *job, struct import *in, struct err *e)
{
    struct err ignored;
    struct store_ref r;
    own(str) struct str text = {.max = LIMIT_MANIFEST};
    own(oci_manifest) struct oci_manifest m = {0};
    if (store_ref_resolve(job->en, in->spec.ref, &r, &ignored) < 0) return 0;
    if (store_blob_read(job->en, &r.manifest, LIMIT_MANIFEST, &text, e) < 0 ||
        oci_manifest_parse(str_sv(&text), "the image's manifest", &m, e) < 0)
        return -1;
    const struct codec_json *note = m.annotations ? codec_json_get(m.annotations, BUILD_CACHEDOC_NOTE) : NULL;
    if (!note && !oci_digest_is_set(&r.remote))
        return err_set(e, ERR_INPUT, "the image in the store holds no build cache");
    if (!note) return 0;
    return build_cachedoc_parse(codec_json_text(note), NULL, "the image's records", &in->doc, e) < 0 ? -1 : 1;
}

static int open_import(struct build_job *job, struct import *in, struct err *e)
{
    if (in->spec.type == BUILD_CACHESPEC_LOCAL) {
        if (build_cachefolder_open(in->spec.folder, false, &in->place, e) < 0) return -1;
        return in->place ? read_place(in, e) : 0;
    }
    if (in->spec.bare) {
        int rc = read_store(job, in, e);
        if (rc != 0) return rc;
    }
    if (build_cacheremote_open(job->en, &in->spec, &job->platform, &in->place, e) < 0) return -1;
    return read_place(in, e);
}

static void note_claims(struct import *in)
{
    for (size_t i = 0; i < in->doc.steps.n; i++) {
        struct oci_digest diff;
        const char *record = in->doc.steps.p[i].value;
        if (!build_cachedoc_step(sv_of(record), &diff) || !oci_digest_is_set(&diff)) continue;
        if (!build_cachedoc_layer(&in->doc, &diff)) map_set(&in->claimed, diff.hex, NULL);
    }
}

static void import_fini(struct import *in)
{
    map_fini(&in->claimed);
    build_cachedoc_fini(&in->doc);
    if (in->place) in->place->ops->close(in->place);
    build_cachespec_fini(&in->spec);
    free(in->label);
}

void build_cacheimport_open(struct build_job *job)
{
    const struct strv *from = job->opt->cache_from;
    struct err why = {0};
    if (!from || !from->n) return;
    job->imports = mem_alloc(sizeof *job->imports);
    for (size_t i = 0; i < from->n; i++) {
        struct import in = {0};
        build_cachedoc_init(&in.doc);
        if (build_cachespec_parse(from->p[i], false, &in.spec, &why) < 0) continue;  // checked before
        in.label = build_cachespec_label(&in.spec);
        int rc = open_import(job, &in, &why);
        if (rc < 0)
            event_warn(&job->en->sink, "the build cache in %s is not used: %s", in.label, err_cause(&why));
        else if (rc == 0)
            event_info(&job->en->sink, "no build cache in %s yet", in.label);
        if (rc > 0) note_claims(&in);
        if (rc > 0) vec_push(&job->imports->v, in);
        else import_fini(&in);
        err_clear(&why);
    }
}

void build_cacheimport_close(struct build_job *job)
{
    if (!job->imports) return;
    vec_each(in, &job->imports->v) import_fini(in);
    vec_fini(&job->imports->v);
    free(take_ptr(job->imports));
}

// --- marks ----------------------------------------------------------------------------------------

static char *mark_name(const struct build_job *job, const struct import *in,
                       const struct oci_digest *d)
{
    return str_fmt("bad-%zu-%s", (size_t)(in - job->imports->v.p), d->hex);
}

static bool is_bad(const struct build_job *job, const struct import *in, const struct oci_digest *d)
{
    own(free) char *name = mark_name(job, in, d);
    return fs_exists(job->tmp.fd, name);
}

static void mark(const struct build_job *job, const char *name)
{
    struct err ignored;
    fs_replace(job->tmp.fd, name, SV(""), 0600, &ignored);
}

bool build_cacheimport_again(struct build_job *job)
{
    if (!job->imports || !fs_exists(job->tmp.fd, AGAIN)) return false;
    unlinkat(job->tmp.fd, AGAIN, 0);
    unlinkat(job->tmp.fd, CLAIMED, 0);
    if (++job->imports->again < AGAIN_MAX) return true;
    event_warn(&job->en->sink, "going on without the build caches of --cache-from");
    build_cacheimport_close(job);
    return true;
}

// --- records --------------------------------------------------------------------------------------

static bool has_layer(struct build_job *job, struct import *in, const struct oci_digest *diff)
{
    struct err why = {0};
    const struct build_cachedoc_layer *l = build_cachedoc_layer(&in->doc, diff);
    if (!l || !in->place || is_bad(job, in, diff)) return false;
    if (in->place->ops->has(in->place, &l->blob, false, &why) == 1) return true;
    own(free) char *name = mark_name(job, in, diff);
    event_warn(&job->en->sink, "the build cache in %s lacks the layer sha256:%.12s", in->label, diff->hex);
    mark(job, name);
    return false;
}

static bool can_be_had(struct build_job *job, const struct oci_digest *diff)
{
    vec_each(in, &job->imports->v) if (has_layer(job, in, diff)) return true;
    return false;
}

static bool is_claimed(const struct build_job *job, const struct oci_digest *diff)
{
    for (size_t i = 0; job->imports && i < job->imports->v.n; i++)
        if (map_has(&job->imports->v.p[i].claimed, diff->hex)) return true;
    return false;
}

bool build_cacheimport_knows(struct build_job *job, const struct oci_digest *diff)
{
    return job->imports && (can_be_had(job, diff) || is_claimed(job, diff));
}

static bool take_claim(struct build_job *job, const struct import *in, const struct oci_digest *diff)
{
    if (!map_has(&in->claimed, diff->hex) || fs_exists(job->tmp.fd, RUNNING)) return false;
    mark(job, CLAIMED);
    return !fs_exists(job->tmp.fd, RUNNING);
}

int build_cacheimport_run(struct build_job *job, struct err *e)
{
    if (!job->imports) return 0;
    mark(job, RUNNING);
    if (!fs_exists(job->tmp.fd, CLAIMED)) return 0;
    mark(job, AGAIN);
    return err_set(e, ERR_INTERRUPTED, "the build begins again without layers that a cache only names");
}

int build_cacheimport_step(struct build_job *job, const struct oci_digest *chain, const char *key,
                           struct str *out, struct store_layer *out_layer)
{
    struct err ignored;
    if (!job->imports) return 0;
    vec_each(in, &job->imports->v)
    {
        struct oci_digest diff;
        const char *record = map_get(&in->doc.steps, key);
        *out_layer = (struct store_layer){0};
        if (!record || !build_cachedoc_step(sv_of(record), &diff)) continue;
        if (oci_digest_is_set(&diff)) {
            int rc = store_layer_find(job->en, &diff, chain, out_layer, &ignored);
            if (rc != 1) *out_layer = (struct store_layer){.diff_id = diff};
            if (rc != 1 && !can_be_had(job, &diff) && !take_claim(job, in, &diff)) continue;
        }
        str_clear(out);
        str_addz(out, record);
        return 1;
    }
    return 0;
}

int build_cacheimport_source(struct build_job *job, const char *key, struct str *out)
{
    if (!job->imports) return 0;
    vec_each(in, &job->imports->v)
    {
        const char *hash = map_get(&in->doc.sources, key);
        if (!hash) continue;
        str_clear(out);
        str_addz(out, hash);
        return 1;
    }
    return 0;
}

// --- layers ---------------------------------------------------------------------------------------

// No cache's fault: another source would not help.
static bool is_ours(const struct err *e)
{
    static const int codes[] = {ENOSPC, EDQUOT, EROFS, EMFILE, ENFILE, ENOMEM};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (e->sys == codes[i]) return true;
    return e->kind == ERR_INTERRUPTED;
}

static char *tmp_name(const struct oci_digest *diff)
{
    return str_fmt("import-%s", diff->hex);
}

static int unpack(struct build_job *job, struct import *in, const struct build_cachedoc_layer *l,
                  struct store_tmp *tmp, struct err *e)
{
    own(free) char *name = tmp_name(&l->diff_id);
    if (fs_remove_tree(tmp->fd, name, e) < 0) return -1;
    own(fd) int fd = in->place->ops->open(in->place, &l->blob, e);
    if (fd < 0) return -1;
    struct store_layer_put put = {
        .src = codec_source_fd(&fd),
        .want_diff = &l->diff_id,
        .want_blob = &l->blob.digest,
        .want_size = l->blob.size,
    };
    return store_layer_unpack(job->en, tmp, name, &put, e);
}

static int fetch(struct build_job *job, struct store_tmp *tmp, const struct oci_digest *diff,
                 const struct store_layer *below, size_t n, struct store_layer *out, struct err *e)
{
    for (size_t i = 0; job->imports && i < job->imports->v.n; i++) {
        struct import *in = &job->imports->v.p[i];
        const struct build_cachedoc_layer *l = build_cachedoc_layer(&in->doc, diff);
        if (!l || !has_layer(job, in, diff)) continue;
        own(free) char *folder = tmp_name(diff);
        if (unpack(job, in, l, tmp, e) == 0 &&
            store_layer_publish(job->en, tmp, folder, below, n, out, e) == 0)
            return 0;
        if (is_ours(e)) return err_wrap(e, "taking a layer from the build cache in %s", in->label);
        event_warn(&job->en->sink, "the build cache in %s is damaged: layer sha256:%.12s: %s",
                   in->label, diff->hex, err_cause(e));
        own(free) char *name = mark_name(job, in, diff);
        mark(job, name);
        err_clear(e);
    }
    if (is_claimed(job, diff)) mark(job, RUNNING);
    mark(job, AGAIN);
    return err_set(e, ERR_CORRUPT, "the layer sha256:%.12s cannot be had from any build cache", diff->hex);
}

struct ahead {
    struct build_job *job;
    struct import *in;
    const struct build_cachedoc_layer *l;
    struct store_tmp *tmp;
    struct proc_worker worker;
};

static int unpack_ahead(void *arg, struct err *e)
{
    struct ahead *a = arg;
    return unpack(a->job, a->in, a->l, a->tmp, e);
}

static bool find_ahead(struct build_job *job, struct store_tmp *tmp, const struct oci_digest *diff,
                       struct ahead *out)
{
    for (size_t i = 0; job->imports && i < job->imports->v.n; i++) {
        struct import *in = &job->imports->v.p[i];
        const struct build_cachedoc_layer *l = build_cachedoc_layer(&in->doc, diff);
        if (!l || !has_layer(job, in, diff)) continue;
        *out = (struct ahead){.job = job, .in = in, .l = l, .tmp = tmp};
        return true;
    }
    return false;
}

// Unpacks missing layers side by side into the temporary folder, for speed only: what fails here is
// tried again, and then spoken about. *out_ready holds the diff ids that lie there.
static void fetch_ahead(struct build_job *job, struct store_tmp *tmp,
                        const struct store_layer *layers, size_t n, struct map *out_ready)
{
    struct ahead run[AHEAD];
    struct store_layer here;
    struct err ignored;
    own(map) struct map seen = {0};
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    size_t most = cpus < 2 ? 2 : cpus < AHEAD ? (size_t)cpus : AHEAD, begun = 0, ended = 0;
    struct oci_digest chain = {0};
    for (size_t i = 0; i < n || ended < begun; i++) {
        const struct oci_digest *diff = i < n ? &layers[i].diff_id : NULL;
        bool want = diff && !layers[i].id[0] && !map_has(&seen, diff->hex) &&
                    store_layer_find(job->en, diff, &chain, &here, &ignored) == 0;
        if (diff) chain = oci_digest_chain(&chain, diff);
        if (begun - ended == most || (i >= n && ended < begun)) {
            struct ahead *a = &run[ended++ % most];
            if (proc_worker_wait(&a->worker, &ignored) == 0)
                map_set(out_ready, a->l->diff_id.hex, job);
        }
        struct ahead *next = &run[begun % most];
        if (!want || !find_ahead(job, tmp, diff, next)) continue;
        map_set(&seen, diff->hex, job);
        if (proc_worker_start(unpack_ahead, next, &next->worker, &ignored) == 0) begun++;
    }
}

static int take_layer(struct build_job *job, struct store_tmp *tmp, const struct map *ready,
                      const struct store_layer *below, size_t n, const struct oci_digest *diff,
                      struct store_layer *out, struct err *e)
{
    own(free) char *name = tmp_name(diff);
    if (map_has(ready, diff->hex) && fs_exists(tmp->fd, name) &&
        store_layer_publish(job->en, tmp, name, below, n, out, e) == 0)
        return 0;
    return fetch(job, tmp, diff, below, n, out, e);
}

static size_t count_missing(const struct store_layer *layers, size_t n)
{
    size_t missing = 0;
    for (size_t i = 0; i < n; i++) missing += !layers[i].id[0];
    return missing;
}

int build_cacheimport_need(struct build_job *job, struct store_tmp *tmp, struct store_layer *layers,
                           size_t n, struct err *e)
{
    struct oci_digest chain = {0};
    own(map) struct map ready = {0};
    if (count_missing(layers, n) > 1) fetch_ahead(job, tmp, layers, n, &ready);
    for (size_t i = 0; i < n; i++) {
        struct oci_digest diff = layers[i].diff_id;
        if (!layers[i].id[0]) {
            struct store_layer l;
            int rc = store_layer_find(job->en, &diff, &chain, &l, e);
            if (rc == 0) rc = take_layer(job, tmp, &ready, layers, i, &diff, &l, e) < 0 ? -1 : 1;
            if (rc < 0) return -1;
            layers[i] = l;
        }
        chain = oci_digest_chain(&chain, &diff);
    }
    return 0;
}

int build_cacheimport_archive(struct build_job *job, const struct oci_digest *diff,
                              const struct build_cachedoc_layer **out)
{
    struct err why = {0};
    for (size_t i = 0; job->imports && i < job->imports->v.n; i++) {
        struct import *in = &job->imports->v.p[i];
        const struct build_cachedoc_layer *l = build_cachedoc_layer(&in->doc, diff);
        if (!l || !has_layer(job, in, diff)) continue;
        if (in->place->ops->has(in->place, &l->blob, true, &why) != 1) continue;
        *out = l;
        return in->place->ops->open(in->place, &l->blob, &why);
    }
    return -1;
}

// --- cache mounts ---------------------------------------------------------------------------------

static int fill_mount(struct import *in, const struct build_cachedoc_layer *l, int folder,
                      struct err *e)
{
    int rc = in->place->ops->has(in->place, &l->blob, true, e);
    if (rc == 0) err_set(e, ERR_INPUT, "its archive is missing or damaged");
    if (rc <= 0) return -1;
    own(fd) int fd = in->place->ops->open(in->place, &l->blob, e);
    if (fd < 0 || mkdirat(folder, "import", 0700) != 0) return fd < 0 ? -1 : err_sys(e, "make a folder");
    own(fd) int into = fs_open_dir(folder, "import", e);
    if (into < 0) return -1;
    struct root root = {into, "the cache mount"};
    struct build_extract opt = {.dest = ""};
    if (build_extract(&root, &opt, codec_source_fd(&fd), e) < 0) return -1;
    struct stat st;
    if (fstatat(into, "data", &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode))
        return err_set(e, ERR_INPUT, "its archive has no folder 'data'");
    if (fstatat(into, "seen", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
        renameat(into, "seen", folder, "seen") != 0)
        return err_sys(e, "put its list of files into place");
    return renameat(into, "data", folder, "data") == 0 ? 0 : err_sys(e, "put it into place");
}

int build_cacheimport_mount(struct build_job *job, const char *id, int folder)
{
    struct err why = {0};
    for (size_t i = 0; job->imports && i < job->imports->v.n; i++) {
        struct import *in = &job->imports->v.p[i];
        const struct build_cachedoc_layer *l = build_cachedoc_mount(&in->doc, id);
        if (!l || !in->spec.mounts || !in->place) continue;
        int rc = fill_mount(in, l, folder, &why);
        struct err ignored;
        fs_remove_tree(folder, "import", &ignored);
        if (rc == 0) return 1;
        event_warn(&job->en->sink, "the cache mount '%s' is not taken from %s: %s", id, in->label,
                   err_cause(&why));
    }
    return 0;
}
