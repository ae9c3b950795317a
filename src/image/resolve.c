// SPDX-License-Identifier: Apache-2.0
#include "image/resolve.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"

void image_doc_fini(struct image_doc *d)
{
    str_fini(&d->raw);
    oci_manifest_fini(&d->m);
}

void image_docs_fini(struct image_docs *v)
{
    for (size_t i = 0; i < v->n; i++) image_doc_fini(&v->p[i]);
    v->n = 0;
}

int image_remote_text(struct image_remote *r, struct transfer_request *q, size_t max,
                      struct str *out, struct transfer_reply *reply, struct err *e)
{
    own(fd) int fd = memfd_create("dewar-answer", MFD_CLOEXEC);
    if (fd < 0) return err_sys(e, "make a file in memory");
    if (image_remote_ask(r, q, fd, NULL, NULL, reply, e) < 0) return -1;
    if (lseek(fd, 0, SEEK_SET) != 0) return err_sys(e, "rewind a file in memory");
    return fs_read_fd(fd, max, out, e);
}

// --- documents ----------------------------------------------------------------------------------

static void cut_type(const char *type, char out[TRANSFER_TYPE])
{
    struct sv rest = sv_of(type);
    struct sv bare = sv_trim(sv_cut(&rest, ';'));
    snprintf(out, TRANSFER_TYPE, "%.*s", (int)bare.n, bare.p);
}

static int check_type(struct image_doc *d, const char *label, struct err *e)
{
    static const struct {
        const char *type;
        bool index;
    } kinds[] = {{OCI_TYPE_MANIFEST, false},
                 {DOCKER_TYPE_MANIFEST, false},
                 {OCI_TYPE_INDEX, true},
                 {DOCKER_TYPE_LIST, true}};
    if (d->m.media_type[0] && strcmp(d->m.media_type, d->type) != 0)
        return err_set(e, ERR_INPUT, "%s: it says to be '%s', but came as '%s'", label,
                       d->m.media_type, d->type);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(d->type, kinds[i].type) == 0 && kinds[i].index == d->m.is_index) return 0;
    return err_set(e, ERR_INPUT, "%s: it came as '%s', which is no type of %s", label, d->type,
                   d->m.is_index ? "an index" : "a manifest");
}

int image_doc_parse(struct sv raw, const char *type, const struct oci_digest *want,
                    const char *label, struct image_doc *out, struct err *e)
{
    own(image_doc) struct image_doc d = {.raw = {.max = LIMIT_MANIFEST}};
    cut_type(type, d.type);
    d.digest = oci_digest_of(raw);
    if (want && oci_digest_is_set(want) && !oci_digest_eq(want, &d.digest))
        return err_set(e, ERR_INPUT, "%s: its digest is sha256:%s instead of sha256:%s", label,
                       d.digest.hex, want->hex);
    if (sv_starts(sv_of(d.type), "application/vnd.docker.distribution.manifest.v1")) {
        err_set(e, ERR_UNSUPPORTED, "%s: manifests of schema 1 are not supported", label);
        return err_hint(e, "the image was pushed by a Docker older than 1.10: push it again with a "
                           "newer one");
    }
    if (oci_manifest_parse(raw, label, &d.m, e) < 0 || check_type(&d, label, e) < 0) return -1;
    str_add(&d.raw, raw);
    if (str_check(&d.raw, e) < 0) return -1;
    *out = d;
    d = (struct image_doc){0};
    return 0;
}

static struct transfer_request request(enum transfer_op op, const struct oci_ref *ref,
                                       uint32_t flags)
{
    return (struct transfer_request){.op = op, .ref = *ref, .flags = flags};
}

int image_doc_get(struct image_remote *r, const struct oci_ref *ref, uint32_t flags,
                  struct image_doc *out, struct err *e)
{
    struct transfer_request q = request(TRANSFER_MANIFEST_GET, ref, flags);
    struct transfer_reply reply;
    own(str) struct str raw = {.max = LIMIT_MANIFEST + 1};
    own(str) struct str name = {0};
    oci_ref_print(ref, &name);
    own(free) char *label = str_fmt("manifest of '%s'", str_z(&name));
    if (image_remote_text(r, &q, LIMIT_MANIFEST, &raw, &reply, e) < 0) return -1;
    const struct oci_digest *want = oci_digest_is_set(&ref->digest) ? &ref->digest : &reply.digest;
    return image_doc_parse(str_sv(&raw), reply.type, want, label, out, e);
}

int image_doc_head(struct image_remote *r, const struct oci_ref *ref, uint32_t flags,
                   struct oci_digest *out, struct err *e)
{
    struct transfer_request q = request(TRANSFER_MANIFEST_HEAD, ref, flags);
    struct transfer_reply reply;
    if (image_remote_ask(r, &q, -1, NULL, NULL, &reply, e) < 0) return -1;
    *out = reply.digest;
    return reply.found && oci_digest_is_set(&reply.digest);
}

int image_docs_get(struct image_remote *r, const struct oci_ref *ref, uint32_t flags,
                   const struct oci_platform *want, struct image_docs *out, struct err *e)
{
    struct oci_ref at = *ref;
    out->n = 0;
    while (out->n < sizeof out->p / sizeof *out->p) {
        struct image_doc *d = &out->p[out->n];
        if (image_doc_get(r, &at, flags, d, e) < 0) return -1;
        out->n++;
        if (!d->m.is_index) return 0;
        own(str) struct str name = {0};
        oci_ref_print(&at, &name);
        own(free) char *label = str_fmt("the index '%s'", str_z(&name));
        const struct oci_descriptor *child = image_choose(&d->m, want);
        if (!child) return image_choose_none(label, &d->m, want, e);
        at.digest = child->digest;
        at.tag[0] = '\0';
    }
    return err_set(e, ERR_LIMIT, "indexes are nested more than %d deep", IMAGE_INDEX_DEPTH);
}

int image_blob_text(struct image_remote *r, const struct oci_ref *ref, uint32_t flags,
                    const struct oci_descriptor *d, struct str *out, struct err *e)
{
    struct transfer_request q = request(TRANSFER_BLOB_GET, ref, flags);
    struct transfer_reply reply;
    own(str) struct str raw = {.max = LIMIT_CONFIG + 1};
    q.digest = d->digest;
    q.size = d->size;
    if (d->size > LIMIT_CONFIG)
        return err_set(e, ERR_LIMIT, "blob sha256:%.12s has %llu bytes, the limit is %zu",
                       d->digest.hex, (unsigned long long)d->size, LIMIT_CONFIG);
    if (image_remote_text(r, &q, LIMIT_CONFIG, &raw, &reply, e) < 0) return -1;
    struct oci_digest got = oci_digest_of(str_sv(&raw));
    if (!oci_digest_eq(&got, &d->digest))
        return err_set(e, ERR_INPUT, "blob sha256:%s came with the digest sha256:%s", d->digest.hex,
                       got.hex);
    str_add(out, str_sv(&raw));
    return str_check(out, e);
}
