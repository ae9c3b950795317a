// SPDX-License-Identifier: Apache-2.0
// `pull`: from what a registry calls it to an image in the store. The order is that of `load`:
// config and manifest are checked before a layer is asked for, layers are published as they come,
// one sync covers all of it, and the name is written last. When the registry says that the name
// still means what it meant and everything is here, one request was all.
#include <unistd.h>

#include "base/own.h"
#include "image/fetch.h"
#include "image/internal.h"
#include "image/registry.h"
#include "image/resolve.h"
#include "store/blob.h"
#include "store/download.h"
#include "store/lock.h"
#include "store/tmp.h"

#define TAGS_MAX ((size_t)16 << 20) // bytes of the list

struct pull {
    struct engine *en;
    const struct image_pull_options *opt;
    struct image_remote *remote;
    struct oci_ref ref;
    struct oci_platform want;
    uint32_t flags;
    struct store_ref old;
    bool had; // the store knew the name
};

// --- what is here -------------------------------------------------------------------------------

// Config, and each layer unpacked or at least as an archive.
static bool is_here(struct engine *en, const struct store_ref *r, const struct oci_platform *want)
{
    struct err e = {0};
    struct oci_digest chain = {0};
    own(oci_image) struct oci_image im = {0};
    own(oci_manifest) struct oci_manifest m = {0};
    if (image_read_config(en, &r->image, &im, &e) < 0 ||
        image_read_manifest(en, &r->manifest, &m, NULL, &e) < 0)
        return false;
    if (want && !oci_platform_match(want, &im.platform)) return false;
    for (size_t i = 0; i < im.layers; i++) {
        struct store_layer l;
        int found = store_layer_find(en, &im.diff_ids[i], &chain, &l, &e);
        chain = oci_digest_chain(&chain, &im.diff_ids[i]);
        if (found != 1 && (i >= m.n || !store_blob_exists(en, &m.items[i].digest, NULL)))
            return false;
    }
    return true;
}

// 1: the name means what it meant, and all of it is here.
static int up_to_date(struct pull *p, struct err *e)
{
    struct oci_digest now = p->ref.digest;
    if (!p->had || !oci_digest_is_set(&p->old.remote)) return 0;
    if (!oci_digest_is_set(&now)) {
        int found = image_doc_head(p->remote, &p->ref, p->flags, &now, e);
        if (found <= 0) return found;
    }
    return oci_digest_eq(&now, &p->old.remote) &&
           is_here(p->en, &p->old, p->opt->platform ? &p->want : NULL);
}

// --- the documents ------------------------------------------------------------------------------

static int check_config_type(const struct oci_descriptor *d, struct err *e)
{
    static const char *const known[] = {OCI_TYPE_CONFIG, DOCKER_TYPE_CONFIG,
                                        "application/octet-stream", ""};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(d->media_type, known[i]) == 0) return 0;
    err_set(e, ERR_UNSUPPORTED, "it is no image: its config is of the type '%s'", d->media_type);
    return err_hint(e, "registries also keep charts, models and signatures; this is one of those");
}

static int get_config(struct pull *p, const struct oci_manifest *m, struct str *text,
                      struct oci_image *im, struct err *e)
{
    struct err absent = {0};
    if (check_config_type(&m->config, e) < 0) return -1;
    bool here = store_blob_exists(p->en, &m->config.digest, NULL) &&
                store_blob_read(p->en, &m->config.digest, LIMIT_CONFIG, text, &absent) == 0;
    if (!here && image_blob_text(p->remote, &p->ref, p->flags, &m->config, text, e) < 0)
        return err_wrap(e, "the image's config");
    own(free) char *label = str_fmt("config sha256:%.12s", m->config.digest.hex);
    if (oci_image_parse(str_sv(text), label, im, e) < 0) return -1;
    if (im->layers == m->n) return 0;
    return err_set(e, ERR_INPUT, "the manifest has %zu layers, the config %zu", m->n, im->layers);
}

// What an index says about platforms its images may say otherwise; a single image may be for
// another.
static int check_platform(struct pull *p, const struct oci_image *im, struct err *e)
{
    own(str) struct str want = {0};
    own(str) struct str have = {0};
    if (oci_platform_match(&p->want, &im->platform)) return 0;
    oci_platform_print(&p->want, &want);
    oci_platform_print(&im->platform, &have);
    if (p->opt->platform) {
        err_set(e, ERR_INPUT, "the image is for %s, not for %s", str_z(&have), str_z(&want));
        return err_hint(e, "it has no other; leave --platform out to get it as it is");
    }
    event_warn(&p->en->sink, "the image is for %s, this machine is %s", str_z(&have), str_z(&want));
    return 0;
}

static int put_all(struct pull *p, struct image_docs *docs, const struct str *config,
                   struct store_ref *out, struct err *e)
{
    out->ref = p->ref;
    if (oci_digest_is_set(&p->ref.digest)) out->ref.tag[0] = '\0';
    out->remote = docs->p[0].digest;
    if (store_blob_put_batch(p->en, str_sv(config), &out->image, e) < 0) return -1;
    for (size_t i = 0; i < docs->n; i++)
        if (store_blob_put_batch(p->en, str_sv(&docs->p[i].raw), &out->manifest, e) < 0) return -1;
    return store_sync(p->en, e);
}

static int fetch(struct pull *p, struct image_docs *docs, struct store_ref *out, struct err *e)
{
    const struct oci_manifest *m = &docs->p[docs->n - 1].m;
    own(str) struct str config = {.max = LIMIT_CONFIG + 1};
    own(oci_image) struct oci_image im = {0};
    own(free) struct store_layer *layers = NULL;
    own(image_fetch) struct image_fetch *f = NULL;
    if (get_config(p, m, &config, &im, e) < 0 || check_platform(p, &im, e) < 0) return -1;
    const struct image_fetch_options opt = {.remote = p->remote,
                                            .ref = &p->ref,
                                            .flags = p->flags,
                                            .manifest = m,
                                            .image = &im,
                                            .workers = p->opt->workers};
    if (image_fetch_open(p->en, &opt, &f, e) < 0 || image_fetch_run(f, &layers, e) < 0 ||
        put_all(p, docs, &config, out, e) < 0 || image_fetch_adopt(f, e) < 0)
        return -1;
    return store_ref_set_remote(p->en, out, e);
}

// --- the verb -----------------------------------------------------------------------------------

static int pull(struct pull *p, struct image_pulled *out, struct err *e)
{
    own(image_docs) struct image_docs docs = {0};
    struct err damaged = {0};
    struct oci_ref known = p->ref;
    if (oci_digest_is_set(&known.digest)) known.tag[0] = '\0';
    p->had = store_ref_find(p->en, &known, &p->old, &damaged) == 1;
    int same = up_to_date(p, e);
    if (same < 0) return -1;
    out->ref = p->old;
    out->digest = p->old.remote;
    out->changed = !same;
    if (same) return 0;
    if (image_docs_get(p->remote, &p->ref, p->flags, &p->want, &docs, e) < 0) return -1;
    struct store_ref r = {0};
    if (fetch(p, &docs, &r, e) < 0) return -1;
    out->ref = r;
    out->digest = r.remote;
    out->changed = !p->had || !oci_digest_eq(&p->old.image, &r.image);
    return 0;
}

static int parse_name(const char *text, struct oci_ref *out, struct err *e)
{
    if (oci_ref_parse(sv_of(text), out, e) < 0) return -1;
    oci_ref_default_tag(out);
    return 0;
}

int image_pull(struct engine *en, const struct image_pull_options *opt, struct image_pulled *out,
               struct err *e)
{
    struct pull p = {.en = en, .opt = opt, .flags = opt->insecure ? TRANSFER_INSECURE : 0};
    own(str) struct str name = {0};
    if (parse_name(opt->name, &p.ref, e) < 0) return -1;
    oci_platform_host(&p.want);
    if (opt->platform && oci_platform_parse(sv_of(opt->platform), &p.want, e) < 0) return -1;
    oci_ref_print(&p.ref, &name);
    own(image_remote) struct image_remote *remote = NULL;
    own(fd) int lock = store_lock_shared(en, e);
    if (lock < 0 || image_remote_open(en, &remote, e) < 0) return -1;
    p.remote = remote;
    int rc = pull(&p, out, e);
    if (rc == 0) image_event_named(en, "pull", &p.ref);
    if (rc == 0 && !out->changed) return 0;
    store_download_sweep(en);
    store_sweep_later(en);
    return rc < 0 ? err_wrap(e, "pulling '%s'", str_z(&name)) : 0;
}

int image_tags(struct engine *en, const struct image_tags_options *opt, struct strv *out,
               struct err *e)
{
    struct transfer_request q = {.op = TRANSFER_TAGS,
                                 .flags = opt->insecure ? TRANSFER_INSECURE : 0};
    struct transfer_reply reply;
    own(str) struct str text = {0};
    own(image_remote) struct image_remote *remote = NULL;
    if (parse_name(opt->name, &q.ref, e) < 0 || image_remote_open(en, &remote, e) < 0 ||
        image_remote_text(remote, &q, TAGS_MAX, &text, &reply, e) < 0)
        return -1;
    struct sv rest = str_sv(&text);
    while (rest.p && rest.n) {
        struct sv tag = sv_cut(&rest, '\n');
        if (tag.n && tag.n < sizeof q.ref.tag) strv_take(out, sv_dup(tag));
    }
    strv_sort(out);
    return 0;
}

// --- ensure -------------------------------------------------------------------------------------

// Whether the text can mean something in a registry: an ID cannot.
static bool is_id(const char *text)
{
    struct sv t = sv_of(text);
    if (sv_starts(t, "sha256:")) return true;
    return t.n == 64 && strspn(text, "0123456789abcdef") == 64;
}

static bool fits(struct engine *en, const struct store_ref *r, const char *platform)
{
    struct err e = {0};
    struct oci_platform want;
    own(oci_image) struct oci_image im = {0};
    if (!platform || oci_platform_parse(sv_of(platform), &want, &e) < 0) return true;
    return image_read_config(en, &r->image, &im, &e) < 0 || oci_platform_match(&want, &im.platform);
}

static int pull_it(struct engine *en, const struct image_ensure *want, struct store_ref *out,
                   struct err *e)
{
    struct image_pulled pulled = {0};
    const struct image_pull_options opt = {
        .name = want->text, .platform = want->platform, .insecure = want->insecure};
    if (want->progress && want->progress->begin) want->progress->begin(want->progress->arg, en);
    int rc = image_pull(en, &opt, &pulled, e);
    if (want->progress && want->progress->end) want->progress->end(want->progress->arg, en, rc == 0);
    if (rc == 0) *out = pulled.ref;
    return rc;
}

static int decide(struct engine *en, const struct image_ensure *want, struct store_ref *out,
                  struct err *e)
{
    struct err absent = {0};
    int rc = store_ref_resolve(en, want->text, out, &absent) < 0 ? 0 : 1;
    if (rc == 0 && absent.kind != ERR_NOT_FOUND) *e = absent;
    if (rc == 0 && absent.kind != ERR_NOT_FOUND) return -1;
    bool asked = want->policy == IMAGE_PULL_ALWAYS || want->policy == IMAGE_PULL_NEWER;
    bool good = rc == 1 && fits(en, out, want->platform);
    if (is_id(want->text) || want->policy == IMAGE_PULL_NEVER || (good && !asked)) {
        if (rc == 0) *e = absent;
        return rc == 1 ? 0 : -1;
    }
    if (want->progress && want->progress->before) want->progress->before(want->progress->arg, en);
    if (rc == 0) event_info(&en->sink, "image '%s' is not in the store: pulling it", want->text);
    struct store_ref here = *out;
    if (pull_it(en, want, out, e) == 0) return 0;
    if (want->policy == IMAGE_PULL_NEWER && good) {
        event_warn(&en->sink, "'%s' is used as it is in the store: %s", want->text, err_cause(e));
        err_clear(e);
        *out = here;
        return 0;
    }
    if (rc == 1 && !good)
        return err_wrap(e, "what the store has as '%s' is not for %s", want->text, want->platform);
    // A name that is nearly right is the likelier mistake.
    if (rc == 0 && strstr(absent.hint, "did you mean")) err_hint(e, "%s", absent.hint);
    return -1;
}

int image_ensure(struct engine *en, const struct image_ensure *want, struct store_ref *out,
                 struct oci_digest *out_digest, struct err *e)
{
    struct store_ref r = {0};
    if (decide(en, want, &r, e) < 0) return -1;
    if (out_digest) *out_digest = r.remote;
    if (out) *out = r;
    return 0;
}
