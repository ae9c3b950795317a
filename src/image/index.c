// SPDX-License-Identifier: Apache-2.0
// Indexes that a person puts together. One small file each, lists/<digest of the full name>: JSON
// with the name and, per image, where it lies in a registry and its descriptor. Only names and
// numbers are kept here: contents are in registries, and go from one to another when the index is
// pushed.
#include <errno.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"
#include "codec/base64.h"
#include "image/internal.h"
#include "image/push.h"
#include "image/resolve.h"
#include "store/blob.h"

#define FOLDER "lists"
#define LIST_MAX ((size_t)1 << 20)

struct entry {
    char *where; // the image by digest, in full
    struct oci_descriptor d;
};
struct list {
    struct oci_ref ref;
    char *full;
    char file[CODEC_SHA256_HEX];
    struct {
        struct entry *p;
        size_t n, cap;
    } entries;
};

static void list_fini(struct list *l)
{
    vec_each(it, &l->entries) free(it->where);
    vec_fini(&l->entries);
    free(l->full);
}
static inline void own_list(struct list *l)
{
    list_fini(l);
}

// --- the file -----------------------------------------------------------------------------------

static int list_name(struct list *l, const char *name, struct err *e)
{
    struct str full = {0};
    if (oci_ref_parse(sv_of(name), &l->ref, e) < 0) return -1;
    oci_ref_default_tag(&l->ref);
    if (!l->ref.tag[0]) return err_set(e, ERR_USAGE, "an index has a tag, not a digest");
    oci_ref_print_full(&l->ref, &full);
    l->full = str_take(&full);
    codec_sha256_of(sv_of(l->full), l->file);
    return 0;
}

static void print_list(const struct list *l, struct str *out)
{
    own(codec_json) struct codec_json *doc = codec_json_new_object();
    struct codec_json *images = codec_json_new_array();
    for (size_t i = 0; i < l->entries.n; i++) {
        const struct entry *it = &l->entries.p[i];
        struct codec_json *j = codec_json_new_object();
        codec_json_set_text(j, "where", it->where);
        codec_json_set_text(j, "type", it->d.media_type);
        codec_json_set(j, "size", codec_json_new_int((int64_t)it->d.size));
        codec_json_set_text(j, "os", it->d.platform.os);
        codec_json_set_text(j, "arch", it->d.platform.arch);
        codec_json_set_text(j, "variant", it->d.platform.variant);
        codec_json_add(images, j);
    }
    codec_json_set_text(doc, "name", l->full);
    codec_json_set(doc, "images", images);
    codec_json_print(doc, out);
}

static int save_list(struct engine *en, const struct list *l, struct err *e)
{
    own(str) struct str text = {0};
    print_list(l, &text);
    if (fs_mkdirs(en->store_fd, FOLDER, 0700, e) < 0) return -1;
    own(fd) int dir = fs_open_dir(en->store_fd, FOLDER, e);
    return dir < 0 ? -1 : fs_atomic_write(dir, l->file, str_sv(&text), 0600, e);
}

static int set_platform(struct oci_platform *p, const char *os, const char *arch,
                        const char *variant, struct err *e)
{
    own(free) char *text =
        str_fmt("%s/%s%s%s", os && os[0] ? os : p->os, arch && arch[0] ? arch : p->arch,
                variant && variant[0] ? "/" : "", variant ? variant : "");
    if (oci_platform_parse(sv_of(text), p, e) < 0) return -1;
    // v8 of arm64 means nothing more, but who asks for it to be written wants it there.
    if (variant && variant[0] && !p->variant[0])
        snprintf(p->variant, sizeof p->variant, "%s%s", variant[0] == 'v' ? "" : "v", variant);
    return 0;
}

struct entry_doc {
    char *where, *type, *os, *arch, *variant;
    int64_t size;
};

static int read_entry(const struct codec_json *j, struct list *l, struct err *e)
{
    static const struct codec_field fields[] = {
        {"where", CODEC_FIELD_TEXT, offsetof(struct entry_doc, where), true},
        {"type", CODEC_FIELD_TEXT, offsetof(struct entry_doc, type), true},
        {"size", CODEC_FIELD_INT, offsetof(struct entry_doc, size), true},
        {"os", CODEC_FIELD_TEXT, offsetof(struct entry_doc, os), true},
        {"arch", CODEC_FIELD_TEXT, offsetof(struct entry_doc, arch), true},
        {"variant", CODEC_FIELD_TEXT, offsetof(struct entry_doc, variant), false},
    };
    struct entry_doc d = {0};
    struct oci_ref ref = {0};
    struct entry it = {.d = {.has_platform = true}};
    int rc = codec_json_decode(j, "the index", fields, sizeof fields / sizeof *fields, &d, e);
    if (rc == 0) rc = oci_ref_parse(sv_of(d.where), &ref, e);
    if (rc == 0) rc = set_platform(&it.d.platform, d.os, d.arch, d.variant, e);
    if (rc == 0) {
        it.where = take_ptr(d.where);
        it.d.digest = ref.digest;
        it.d.size = (uint64_t)d.size;
        snprintf(it.d.media_type, sizeof it.d.media_type, "%s", d.type);
        vec_push(&l->entries, it);
    }
    char *texts[] = {d.where, d.type, d.os, d.arch, d.variant};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) free(texts[i]);
    return rc < 0 ? -1 : 0;
}

// 1 found, 0 not.
static int load_list(struct engine *en, struct list *l, struct err *e)
{
    own(str) struct str text = {0};
    own(codec_json) struct codec_json *doc = NULL;
    own(free) char *path = str_fmt(FOLDER "/%s", l->file);
    if (!fs_exists(en->store_fd, path)) return 0;
    if (fs_read_at(en->store_fd, path, LIST_MAX, &text, e) < 0 ||
        codec_json_parse(str_sv(&text), "the index", &doc, e) < 0)
        return -1;
    const struct codec_json *images = codec_json_get(doc, "images");
    for (size_t i = 0; images && i < codec_json_len(images); i++)
        if (read_entry(codec_json_at(images, i), l, e) < 0) return -1;
    return 1;
}

static int need_list(struct engine *en, struct list *l, const char *name, struct err *e)
{
    if (list_name(l, name, e) < 0) return -1;
    int rc = load_list(en, l, e);
    if (rc != 0) return rc < 0 ? -1 : 0;
    err_set(e, ERR_NOT_FOUND, "no index '%s' was made here", name);
    return err_hint(e, "make it first: dewar manifest create %s IMAGE...", name);
}

static void print_index(const struct list *l, struct oci_manifest *m, struct str *out)
{
    bool docker = l->entries.n > 0;
    *m = (struct oci_manifest){.is_index = true};
    m->items = mem_alloc((l->entries.n + 1) * sizeof *m->items);
    for (; m->n < l->entries.n; m->n++) {
        m->items[m->n] = l->entries.p[m->n].d;
        docker = docker && strcmp(m->items[m->n].media_type, DOCKER_TYPE_MANIFEST) == 0;
    }
    snprintf(m->media_type, sizeof m->media_type, "%s", docker ? DOCKER_TYPE_LIST : OCI_TYPE_INDEX);
    oci_manifest_print(m, out);
}

// --- create -------------------------------------------------------------------------------------

// An image of the store that a registry has as well: nothing need be asked.
static bool from_store(struct engine *en, const struct oci_ref *ref, struct entry *it)
{
    struct err bad = {0};
    struct store_ref r;
    uint64_t size = 0;
    own(oci_manifest) struct oci_manifest m = {0};
    own(oci_image) struct oci_image im = {0};
    if (store_ref_find(en, ref, &r, &bad) != 1 || !oci_digest_eq(&r.remote, &r.manifest) ||
        image_read_manifest(en, &r.manifest, &m, NULL, &bad) < 0 ||
        image_read_config(en, &r.image, &im, &bad) < 0 ||
        !store_blob_exists(en, &r.manifest, &size))
        return false;
    it->d = (struct oci_descriptor){
        .digest = r.manifest, .size = size, .has_platform = true, .platform = im.platform};
    snprintf(it->d.media_type, sizeof it->d.media_type, "%s",
             m.media_type[0] ? m.media_type : OCI_TYPE_MANIFEST);
    return true;
}

static int from_registry(struct image_remote *remote, const struct oci_ref *ref, uint32_t flags,
                         struct entry *it, struct err *e)
{
    own(image_doc) struct image_doc d = {0};
    own(str) struct str config = {0};
    own(oci_image) struct oci_image im = {0};
    if (image_doc_get(remote, ref, flags, &d, e) < 0) return -1;
    if (d.m.is_index) {
        err_set(e, ERR_INPUT, "it is an index itself");
        return err_hint(e, "name its images by their digests; 'dewar manifest inspect' shows them");
    }
    if (image_blob_text(remote, ref, flags, &d.m.config, &config, e) < 0 ||
        oci_image_parse(str_sv(&config), "its config", &im, e) < 0)
        return -1;
    it->d = (struct oci_descriptor){
        .digest = d.digest, .size = d.raw.n, .has_platform = true, .platform = im.platform};
    snprintf(it->d.media_type, sizeof it->d.media_type, "%.127s", d.type);
    return 0;
}

static int add_image(struct engine *en, struct image_remote *remote, struct list *l,
                     const char *name, uint32_t flags, struct err *e)
{
    struct oci_ref ref;
    struct entry it = {0};
    struct str where = {0};
    if (oci_ref_parse(sv_of(name), &ref, e) < 0) return -1;
    oci_ref_default_tag(&ref);
    if (!from_store(en, &ref, &it) && from_registry(remote, &ref, flags, &it, e) < 0)
        return err_wrap(e, "adding '%s'", name);
    ref.tag[0] = '\0';
    ref.digest = it.d.digest;
    for (size_t i = 0; i < l->entries.n; i++)
        if (oci_digest_eq(&l->entries.p[i].d.digest, &it.d.digest)) return 0;
    oci_ref_print_full(&ref, &where);
    it.where = str_take(&where);
    vec_push(&l->entries, it);
    return 0;
}

int image_index_create(struct engine *en, const struct image_index_options *opt, struct err *e)
{
    own(list) struct list l = {0};
    own(image_remote) struct image_remote *remote = NULL;
    uint32_t flags = opt->insecure ? TRANSFER_INSECURE : 0;
    if (list_name(&l, opt->list, e) < 0) return -1;
    int rc = load_list(en, &l, e);
    if (rc < 0) return -1;
    if (rc == 1 && !opt->amend) {
        err_set(e, ERR_CONFLICT, "the index '%s' is there already", opt->list);
        return err_hint(e, "--amend adds to it; 'dewar manifest rm' removes it");
    }
    if (image_remote_open(en, &remote, e) < 0) return -1;
    for (size_t i = 0; i < opt->images->n; i++)
        if (add_image(en, remote, &l, opt->images->p[i], flags, e) < 0) return -1;
    return save_list(en, &l, e);
}

// --- annotate, inspect, remove ------------------------------------------------------------------

// By digest, or by what the name means in the store or was when it was added.
static struct entry *find_entry(struct engine *en, struct list *l, const char *name, struct err *e)
{
    struct oci_ref ref;
    struct store_ref r;
    struct err bad = {0};
    if (oci_ref_parse(sv_of(name), &ref, e) < 0) return NULL;
    oci_ref_default_tag(&ref);
    struct oci_digest digest = ref.digest;
    if (!oci_digest_is_set(&digest) && store_ref_find(en, &ref, &r, &bad) == 1) digest = r.manifest;
    struct entry *hit = NULL;
    for (size_t i = 0; i < l->entries.n; i++)
        if (oci_digest_eq(&l->entries.p[i].d.digest, &digest)) hit = &l->entries.p[i];
    if (hit) return hit;
    err_set(e, ERR_NOT_FOUND, "'%s' is not in the index", name);
    err_hint(e, "name it by its digest; 'dewar manifest inspect' shows them");
    return NULL;
}

static struct entry *find_remote(struct engine *en, struct list *l,
                                 const struct image_index_options *opt, struct err *e)
{
    struct oci_ref ref;
    struct err absent = {0};
    struct oci_digest now;
    own(image_remote) struct image_remote *remote = NULL;
    struct entry *it = find_entry(en, l, opt->images->p[0], e);
    if (it || oci_ref_parse(sv_of(opt->images->p[0]), &ref, &absent) < 0) return it;
    oci_ref_default_tag(&ref);
    if (oci_digest_is_set(&ref.digest) || image_remote_open(en, &remote, &absent) < 0 ||
        image_doc_head(remote, &ref, opt->insecure ? TRANSFER_INSECURE : 0, &now, &absent) != 1)
        return NULL;
    for (size_t i = 0; i < l->entries.n; i++)
        if (oci_digest_eq(&l->entries.p[i].d.digest, &now)) return &l->entries.p[i];
    return NULL;
}

int image_index_annotate(struct engine *en, const struct image_index_options *opt, struct err *e)
{
    own(list) struct list l = {0};
    if (need_list(en, &l, opt->list, e) < 0) return -1;
    struct entry *it = find_remote(en, &l, opt, e);
    if (!it) return -1;
    err_clear(e);
    const char *variant = opt->variant ? opt->variant : opt->arch ? "" : it->d.platform.variant;
    if (set_platform(&it->d.platform, opt->os, opt->arch, variant, e) < 0) return -1;
    return save_list(en, &l, e);
}

// What Docker tells of one image: where it is, its descriptor, and the manifest twice.
static int tell_image(struct image_remote *remote, const struct oci_ref *ref,
                      const struct oci_descriptor *known, uint32_t flags, struct codec_json **out,
                      struct err *e)
{
    own(image_doc) struct image_doc d = {0};
    own(str) struct str full = {0};
    own(str) struct str raw = {0};
    own(codec_json) struct codec_json *doc = NULL;
    struct entry it = {0};
    struct err ignored = {0};
    if (image_doc_get(remote, ref, flags, &d, e) < 0 ||
        codec_json_parse(str_sv(&d.raw), "the manifest", &doc, e) < 0)
        return -1;
    if (!known && from_registry(remote, ref, flags, &it, &ignored) == 0) known = &it.d;
    char digest[OCI_DIGEST_TEXT];
    struct codec_json *j = codec_json_new_object(), *desc = codec_json_new_object();
    codec_json_set_text(desc, "mediaType", d.type);
    codec_json_set_text(desc, "digest", oci_digest_print(&d.digest, digest));
    codec_json_set(desc, "size", codec_json_new_int((int64_t)d.raw.n));
    if (known && known->has_platform) {
        struct codec_json *platform = codec_json_new_object();
        codec_json_set_text(platform, "architecture", known->platform.arch);
        codec_json_set_text(platform, "os", known->platform.os);
        if (known->platform.variant[0])
            codec_json_set_text(platform, "variant", known->platform.variant);
        codec_json_set(desc, "platform", platform);
    }
    oci_ref_print_full(ref, &full);
    codec_base64_encode(str_sv(&d.raw), &raw);
    codec_json_set_text(j, "Ref", str_z(&full));
    codec_json_set(j, "Descriptor", desc);
    codec_json_set_text(j, "Raw", str_z(&raw));
    codec_json_set(j, strcmp(d.type, DOCKER_TYPE_MANIFEST) == 0 ? "SchemaV2Manifest" : "OCIManifest",
                   take_ptr(doc));
    *out = j;
    return 0;
}

static int tell_all(struct image_remote *remote, const struct oci_ref *base,
                    const struct oci_manifest *m, uint32_t flags, struct codec_json **out,
                    struct err *e)
{
    own(codec_json) struct codec_json *all = codec_json_new_array();
    for (size_t i = 0; i < m->n; i++) {
        struct oci_ref ref = *base;
        struct codec_json *one = NULL;
        ref.digest = m->items[i].digest;
        if (tell_image(remote, &ref, &m->items[i], flags, &one, e) < 0) return -1;
        codec_json_add(all, one);
    }
    *out = take_ptr(all);
    return 0;
}

// Of an index that was made here, each image where it was added from.
static int tell_list(struct image_remote *remote, const struct list *l, uint32_t flags,
                     struct codec_json **out, struct err *e)
{
    own(codec_json) struct codec_json *all = codec_json_new_array();
    for (size_t i = 0; i < l->entries.n; i++) {
        struct oci_ref ref;
        struct codec_json *one = NULL;
        if (oci_ref_parse(sv_of(l->entries.p[i].where), &ref, e) < 0 ||
            tell_image(remote, &ref, &l->entries.p[i].d, flags, &one, e) < 0)
            return -1;
        codec_json_add(all, one);
    }
    *out = take_ptr(all);
    return 0;
}

static int inspect_verbose(struct engine *en, const struct list *l, bool here, bool insecure,
                           struct codec_json **out, struct err *e)
{
    own(image_remote) struct image_remote *remote = NULL;
    own(image_doc) struct image_doc d = {0};
    uint32_t flags = insecure ? TRANSFER_INSECURE : 0;
    if (image_remote_open(en, &remote, e) < 0) return -1;
    if (here) return tell_list(remote, l, flags, out, e);
    if (image_doc_get(remote, &l->ref, flags, &d, e) < 0) return -1;
    if (d.m.is_index) return tell_all(remote, &l->ref, &d.m, flags, out, e);
    return tell_image(remote, &l->ref, NULL, flags, out, e);
}

int image_index_inspect(struct engine *en, const struct image_index_options *opt, struct str *out,
                        struct err *e)
{
    own(list) struct list l = {0};
    own(str) struct str raw = {0};
    own(codec_json) struct codec_json *doc = NULL;
    if (list_name(&l, opt->list, e) < 0) return -1;
    int rc = load_list(en, &l, e);
    if (rc < 0) return -1;
    if (opt->verbose) {
        if (inspect_verbose(en, &l, rc == 1, opt->insecure, &doc, e) < 0) return -1;
    } else if (rc == 1) {
        own(oci_manifest) struct oci_manifest m = {0};
        print_index(&l, &m, &raw);
    } else {
        own(free) char *name = str_fmt("docker://%s", opt->list);
        if (image_raw(en, name, opt->insecure, &raw, e) < 0) return -1;
    }
    if (!doc && codec_json_parse(str_sv(&raw), "the manifest", &doc, e) < 0) return -1;
    codec_json_print_pretty(doc, 3, out);
    str_addc(out, '\n');
    return 0;
}

int image_index_remove(struct engine *en, const struct image_index_options *opt, struct err *e)
{
    own(list) struct list l = {0};
    if (need_list(en, &l, opt->list, e) < 0) return -1;
    own(fd) int dir = fs_open_dir(en->store_fd, FOLDER, e);
    if (dir < 0) return -1;
    return unlinkat(dir, l.file, 0) == 0 ? 0 : err_sys(e, "remove the index '%s'", opt->list);
}

// --- push ---------------------------------------------------------------------------------------

// The registry must have an index's images in the same repository.
static int bring_image(struct engine *en, struct image_remote *remote, const struct list *l,
                       const struct entry *it, bool insecure, struct err *e)
{
    struct oci_ref there = l->ref;
    struct oci_digest digest;
    own(str) struct str to = {0};
    there.tag[0] = '\0';
    there.digest = it->d.digest;
    int found = image_doc_head(remote, &there, insecure ? TRANSFER_INSECURE : 0, &digest, e);
    if (found != 0) return found < 0 ? -1 : 0;
    oci_ref_print_full(&there, &to);
    own(free) char *a = str_fmt("docker://%s", it->where);
    own(free) char *b = str_fmt("docker://%s", str_z(&to));
    const struct image_copy_options copy = {.from = a,
                                            .to = b,
                                            .preserve_digests = true,
                                            .from_insecure = insecure,
                                            .to_insecure = insecure};
    return image_copy(en, &copy, &digest, e);
}

int image_index_push(struct engine *en, const struct image_index_options *opt,
                     struct oci_digest *out, struct err *e)
{
    own(list) struct list l = {0};
    own(str) struct str raw = {.max = LIMIT_MANIFEST};
    own(oci_manifest) struct oci_manifest m = {0};
    own(image_remote) struct image_remote *remote = NULL;
    own(image_sender) struct image_sender *s = NULL;
    uint32_t flags = opt->insecure ? TRANSFER_INSECURE : 0;
    if (need_list(en, &l, opt->list, e) < 0 || image_remote_open(en, &remote, e) < 0 ||
        image_send_open(en, remote, &l.ref, flags, -1, &s, e) < 0)
        return -1;
    for (size_t i = 0; i < l.entries.n; i++)
        if (bring_image(en, remote, &l, &l.entries.p[i], opt->insecure, e) < 0)
            return err_wrap(e, "pushing '%s'", opt->list);
    print_index(&l, &m, &raw);
    if (str_check(&raw, e) < 0 || image_send_doc(s, &l.ref, m.media_type, str_sv(&raw), out, e) < 0)
        return err_wrap(e, "pushing '%s'", opt->list);
    return opt->purge ? image_index_remove(en, opt, e) : 0;
}

// --- raw ----------------------------------------------------------------------------------------

int image_raw(struct engine *en, const char *name, bool insecure, struct str *out, struct err *e)
{
    static const char scheme[] = "docker://";
    struct store_ref r;
    struct oci_ref ref;
    own(image_doc) struct image_doc d = {0};
    own(image_remote) struct image_remote *remote = NULL;
    if (strncmp(name, scheme, sizeof scheme - 1) != 0) {
        if (store_ref_resolve(en, name, &r, e) < 0) return -1;
        bool index = oci_digest_is_set(&r.remote) && store_blob_exists(en, &r.remote, NULL);
        return store_blob_read(en, index ? &r.remote : &r.manifest, LIMIT_MANIFEST, out, e);
    }
    if (oci_ref_parse(sv_of(name + sizeof scheme - 1), &ref, e) < 0) return -1;
    oci_ref_default_tag(&ref);
    if (image_remote_open(en, &remote, e) < 0 ||
        image_doc_get(remote, &ref, insecure ? TRANSFER_INSECURE : 0, &d, e) < 0)
        return -1;
    str_add(out, str_sv(&d.raw));
    return 0;
}
