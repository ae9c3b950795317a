// SPDX-License-Identifier: Apache-2.0
// `image copy`: any place to any other, by way of a pivot.
#include "image/copy.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/own.h"
#include "image/image.h"
#include "image/internal.h"
#include "store/lock.h"

#define COPY_BUFFER ((size_t)256 << 10)

static const struct image_port *const ports[] = {
    &image_port_docker,         &image_port_oci, &image_port_oci_archive,
    &image_port_docker_archive, &image_port_dir, &image_port_store,
};

// --- the pivot ----------------------------------------------------------------------------------

int image_pivot_put(struct image_pivot *p, struct sv text, struct oci_digest *out, struct err *e)
{
    *out = oci_digest_of(text);
    own(fd) int fd = fs_openat(p->blobs, out->hex, O_WRONLY | O_CREAT | O_TRUNC, 0644, e);
    return fd < 0 ? -1 : fs_write_all(fd, text.p, text.n, e);
}

static int copy_hashed(int from, int to, uint64_t size, struct oci_digest *out, struct err *e)
{
    struct codec_sha256 h;
    own(free) char *buf = mem_alloc(COPY_BUFFER);
    codec_sha256_init(&h);
    while (size > 0) {
        ssize_t n = read(from, buf, size < COPY_BUFFER ? (size_t)size : COPY_BUFFER);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_sys(e, "read a blob");
        if (n == 0) return err_set(e, ERR_INPUT, "a blob ends early");
        codec_sha256_add(&h, buf, (size_t)n);
        if (fs_write_all(to, buf, (size_t)n, e) < 0) return -1;
        size -= (uint64_t)n;
    }
    codec_sha256_end(&h, out->hex);
    return 0;
}

int image_pivot_take(struct image_pivot *p, int fd, uint64_t size, const struct oci_digest *want,
                     struct oci_digest *out, struct err *e)
{
    struct oci_digest got = {0};
    own(fd) int to = fs_openat(p->blobs, ".part", O_WRONLY | O_CREAT | O_TRUNC, 0644, e);
    if (to < 0 || copy_hashed(fd, to, size, &got, e) < 0) return -1;
    if (want && !oci_digest_eq(&got, want))
        return err_set(e, ERR_INPUT, "blob sha256:%s is damaged: its digest is sha256:%s",
                       want->hex, got.hex);
    if (renameat(p->blobs, ".part", p->blobs, got.hex) != 0) return err_sys(e, "name a blob");
    if (out) *out = got;
    return 0;
}

int image_place_blob(int from, const char *name, int to, const char *as, struct err *e)
{
    static unsigned serial;
    struct stat st;
    own(free) char *part = str_fmt(FS_PART "%d-%u", (int)getpid(), serial++);
    own(fd) int in = fs_openat(from, name, O_RDONLY, 0, e);
    own(fd) int out = in < 0 ? -1 : fs_openat(to, part, O_WRONLY | O_CREAT | O_EXCL, 0644, e);
    if (out < 0) return -1;
    int rc = fstat(in, &st) == 0 ? fs_copy_bytes(in, out, (uint64_t)st.st_size, e)
                                 : err_sys(e, "stat a blob");
    if (rc == 0 && renameat(to, part, to, as) != 0) rc = err_sys(e, "name '%s'", as);
    if (rc < 0) unlinkat(to, part, 0);
    return rc < 0 ? -1 : 0;
}

// --- filling ------------------------------------------------------------------------------------

static int take_blobs(const struct image_source *src, const struct oci_manifest *m, struct err *e)
{
    own(free) const struct oci_descriptor **list = mem_alloc((m->n + 1) * sizeof *list);
    size_t n = 0;
    list[n++] = &m->config;
    for (size_t i = 0; i < m->n; i++) {
        bool again = false;
        for (size_t k = 0; k < n; k++)
            again = again || oci_digest_eq(&list[k]->digest, &m->items[i].digest);
        if (!again) list[n++] = &m->items[i];
    }
    return src->blobs(src->arg, list, n, e);
}

static int fill_doc(struct image_pivot *p, const struct image_source *src,
                    const struct oci_digest *digest, int depth, struct err *e)
{
    own(image_doc) struct image_doc d = {0};
    struct oci_digest put;
    if (depth > IMAGE_INDEX_DEPTH)
        return err_set(e, ERR_LIMIT, "indexes are nested more than %d deep", IMAGE_INDEX_DEPTH);
    if (src->doc(src->arg, digest, &d, e) < 0) return -1;
    if (d.m.is_index && !p->opt->all) {
        own(free) char *label = str_fmt("the index sha256:%.12s", d.digest.hex);
        const struct oci_descriptor *child = image_choose(&d.m, &p->want);
        if (!child) return image_choose_none(label, &d.m, &p->want, e);
        return fill_doc(p, src, &child->digest, depth + 1, e);
    }
    if (image_pivot_put(p, str_sv(&d.raw), &put, e) < 0) return -1;
    if (!oci_digest_is_set(&p->top)) {
        p->top = d.digest;
        snprintf(p->type, sizeof p->type, "%s", d.type);
    }
    if (!d.m.is_index) return take_blobs(src, &d.m, e);
    for (size_t i = 0; i < d.m.n; i++)
        if (fill_doc(p, src, &d.m.items[i].digest, depth + 1, e) < 0) return -1;
    return 0;
}

int image_pivot_fill(struct image_pivot *p, const struct image_source *src, struct err *e)
{
    return fill_doc(p, src, NULL, 0, e);
}

int image_pivot_doc(struct image_pivot *p, const struct oci_digest *digest, const char *type,
                    struct image_doc *out, struct err *e)
{
    own(str) struct str raw = {.max = LIMIT_MANIFEST + 1};
    own(free) char *label = str_fmt("manifest sha256:%.12s", digest->hex);
    own(oci_manifest) struct oci_manifest m = {0};
    if (fs_read_at(p->blobs, digest->hex, LIMIT_MANIFEST, &raw, e) < 0 ||
        oci_manifest_parse(str_sv(&raw), label, &m, e) < 0)
        return -1;
    const char *own_type = m.media_type[0] ? m.media_type
                           : type[0]       ? type
                           : m.is_index    ? OCI_TYPE_INDEX
                                           : OCI_TYPE_MANIFEST;
    return image_doc_parse(str_sv(&raw), own_type, digest, label, out, e);
}

// --- names --------------------------------------------------------------------------------------

void image_place_split(const char *place, char **out_path, char **out_name)
{
    const char *colon = strchr(place, ':');
    *out_path = colon ? sv_dup((struct sv){place, (size_t)(colon - place)}) : str_dup(place);
    *out_name = colon && colon[1] ? str_dup(colon + 1) : NULL;
}

static bool same_name(const struct codec_json *entry, const char *name)
{
    const struct codec_json *notes = codec_json_get(entry, "annotations");
    const struct codec_json *v =
        notes ? codec_json_get(notes, "org.opencontainers.image.ref.name") : NULL;
    if (!name) return !v;
    return v && sv_eqz(codec_json_text(v), name);
}

int image_pivot_index(struct image_pivot *p, struct sv old, const char *name, struct str *out,
                      struct err *e)
{
    struct stat st;
    char text[OCI_DIGEST_TEXT];
    own(codec_json) struct codec_json *had = NULL;
    own(codec_json) struct codec_json *doc = codec_json_new_object();
    struct codec_json *list = codec_json_new_array(), *j = codec_json_new_object();
    if (old.n && codec_json_parse(old, "index.json", &had, e) < 0) return -1;
    if (fstatat(p->blobs, p->top.hex, &st, 0) != 0) return err_sys(e, "stat the manifest");
    const struct codec_json *entries = had ? codec_json_get(had, "manifests") : NULL;
    for (size_t i = 0; entries && i < codec_json_len(entries); i++)
        if (!same_name(codec_json_at(entries, i), name))
            codec_json_add(list, codec_json_copy(codec_json_at(entries, i)));
    codec_json_set_text(j, "mediaType", p->type);
    codec_json_set_text(j, "digest", oci_digest_print(&p->top, text));
    codec_json_set(j, "size", codec_json_new_int((int64_t)st.st_size));
    if (name) {
        struct codec_json *notes = codec_json_new_object();
        codec_json_set_text(notes, "org.opencontainers.image.ref.name", name);
        codec_json_set(j, "annotations", notes);
    }
    codec_json_add(list, j);
    codec_json_set(doc, "schemaVersion", codec_json_new_int(2));
    codec_json_set_text(doc, "mediaType", OCI_TYPE_INDEX);
    codec_json_set(doc, "manifests", list);
    codec_json_print(doc, out);
    return str_check(out, e);
}

// --- the verb -----------------------------------------------------------------------------------

// A bare name is the store's.
static const struct image_port *find_port(const char *text, const char **out_place)
{
    for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) {
        size_t n = strlen(ports[i]->scheme);
        if (strncmp(text, ports[i]->scheme, n) != 0) continue;
        *out_place = text + n;
        return ports[i];
    }
    *out_place = text;
    return &image_port_store;
}

static int check_place(const char *text, const char *place, struct err *e)
{
    if (!place[0]) return err_set(e, ERR_USAGE, "'%s' names no place", text);
    const char *slashes = strstr(text, "://");
    if (place != text || !slashes) return 0;
    err_set(e, ERR_USAGE, "'%.*s' is no kind of place", (int)(slashes + 3 - text), text);
    return err_hint(e, "known are docker:// oci: oci-archive: docker-archive: dir: and store:");
}

// Between the store and a registry there are shorter ways.
static int pull_to_store(struct engine *en, const struct image_copy_options *opt, const char *from,
                         const char *to, struct oci_digest *out, struct err *e)
{
    struct image_pulled pulled = {0};
    struct oci_ref ref;
    const struct image_pull_options pull = {
        .name = from, .platform = opt->platform, .insecure = opt->from_insecure};
    if (oci_ref_parse(sv_of(to), &ref, e) < 0 || image_pull(en, &pull, &pulled, e) < 0) return -1;
    *out = pulled.digest;
    own(str) struct str name = {0};
    oci_ref_print_full(&pulled.ref.ref, &name);
    return image_tag(en, str_z(&name), to, e);
}

static int push_from_store(struct engine *en, const struct image_copy_options *opt,
                           const char *from, const char *to, struct oci_digest *out, struct err *e)
{
    own(image_pushed) struct image_pushed pushed = {0};
    const struct image_push_options push = {.name = from, .as = to, .insecure = opt->to_insecure};
    if (image_push(en, &push, &pushed, e) < 0) return -1;
    *out = pushed.digest;
    return 0;
}

static int copy(struct image_pivot *p, const struct image_port *from, const char *a,
                const struct image_port *to, const char *b, struct err *e)
{
    if (mkdirat(p->tmp.fd, "blobs", 0755) != 0) return err_sys(e, "make a folder");
    p->blobs = fs_open_dir(p->tmp.fd, "blobs", e);
    if (p->blobs < 0) return -1;
    if (from->fill(p, a, e) < 0) return err_wrap(e, "reading '%s'", p->opt->from);
    return to->make(p, b, e) < 0 ? err_wrap(e, "writing '%s'", p->opt->to) : 0;
}

int image_copy(struct engine *en, const struct image_copy_options *opt, struct oci_digest *out,
               struct err *e)
{
    const char *a, *b;
    const struct image_port *from = find_port(opt->from, &a), *to = find_port(opt->to, &b);
    struct image_pivot p = {.en = en, .opt = opt, .tmp = STORE_TMP_NONE, .blobs = -1};
    if (check_place(opt->from, a, e) < 0 || check_place(opt->to, b, e) < 0) return -1;
    oci_platform_host(&p.want);
    if (opt->platform && oci_platform_parse(sv_of(opt->platform), &p.want, e) < 0) return -1;
    if (opt->all && to == &image_port_store)
        return err_set(e, ERR_UNSUPPORTED,
                       "the store keeps images of one platform: leave --all out");
    if (from == &image_port_docker && to == &image_port_store)
        return pull_to_store(en, opt, a, b, out, e);
    if (from == &image_port_store && to == &image_port_docker && !opt->preserve_digests)
        return push_from_store(en, opt, a, b, out, e);
    if (from == &image_port_store && to == &image_port_store) {
        struct store_ref r;
        if (image_tag(en, a, b, e) < 0 || store_ref_resolve(en, b, &r, e) < 0) return -1;
        *out = r.manifest;
        return 0;
    }
    if (engine_enter(en, e) < 0) return -1;
    own(fd) int lock = store_lock_shared(en, e);
    if (lock < 0 || store_tmp_open(en, &p.tmp, e) < 0) return -1;
    int rc = copy(&p, from, a, to, b, e);
    *out = p.top;
    if (p.blobs >= 0) close(p.blobs);
    store_tmp_close(en, &p.tmp);
    return rc;
}
