// SPDX-License-Identifier: Apache-2.0
// docker://NAME: a registry as a place to copy from and to.
#include <unistd.h>

#include "base/own.h"
#include "image/copy.h"
#include "image/fetch.h"
#include "image/push.h"

#define DOWNLOADS_MAX 6

struct docker {
    struct image_pivot *p;
    struct image_remote *remote;
    struct oci_ref ref;
    uint32_t flags;
};

static int get_doc(void *arg, const struct oci_digest *digest, struct image_doc *out, struct err *e)
{
    struct docker *d = arg;
    struct oci_ref ref = d->ref;
    if (digest) {
        ref.tag[0] = '\0';
        ref.digest = *digest;
    }
    return image_doc_get(d->remote, &ref, d->flags, out, e);
}

struct blob {
    uint32_t request;
    const struct oci_descriptor *d;
};

static void emit(struct docker *d, const struct oci_descriptor *blob, enum event_kind kind,
                 uint64_t done)
{
    own(free) char *name = str_fmt("blob %.12s", blob->digest.hex);
    event_emit(&d->p->en->sink, (struct event){.kind = kind,
                                               .id = image_fetch_event_id(&blob->digest),
                                               .name = kind == EVENT_START ? name : NULL,
                                               .done = done,
                                               .total = blob->size});
}

static int ask(struct docker *d, struct blob *b, struct err *e)
{
    struct transfer_request q = {.op = TRANSFER_BLOB_GET,
                                 .ref = d->ref,
                                 .flags = d->flags,
                                 .digest = b->d->digest,
                                 .size = b->d->size};
    own(fd) int fd = fs_openat(d->p->blobs, b->d->digest.hex, O_RDWR | O_CREAT | O_TRUNC, 0644, e);
    if (b->d->size > LIMIT_LAYER_BYTES)
        return err_set(e, ERR_LIMIT, "blob sha256:%.12s is too large", b->d->digest.hex);
    if (fd < 0 || image_remote_send(d->remote, &q, fd, e) < 0) return -1;
    b->request = q.id;
    emit(d, b->d, EVENT_START, 0);
    return 0;
}

static int get_blobs(void *arg, const struct oci_descriptor *const *list, size_t n, struct err *e)
{
    struct docker *d = arg;
    struct blob running[DOWNLOADS_MAX];
    size_t busy = 0, next = 0;
    while (next < n || busy > 0) {
        for (; next < n && busy < DOWNLOADS_MAX; next++) {
            running[busy].d = list[next];
            if (ask(d, &running[busy], e) < 0) return -1;
            busy++;
        }
        struct transfer_reply r;
        size_t i = 0;
        if (image_remote_next(d->remote, &r, e) < 0) return -1;
        while (i < busy && running[i].request != r.id) i++;
        if (i == busy) continue;
        if (r.answer == TRANSFER_FAILED) {
            *e = r.err;
            return err_wrap(e, "blob sha256:%.12s", running[i].d->digest.hex);
        }
        emit(d, running[i].d, r.answer == TRANSFER_DONE ? EVENT_DONE : EVENT_PROGRESS, r.size);
        if (r.answer == TRANSFER_DONE) running[i] = running[--busy];
    }
    return 0;
}

static int open_docker(struct docker *d, struct image_pivot *p, const char *place, bool insecure,
                       struct image_remote **remote, struct err *e)
{
    *d = (struct docker){.p = p, .flags = insecure ? TRANSFER_INSECURE : 0};
    if (oci_ref_parse(sv_of(place), &d->ref, e) < 0) return -1;
    oci_ref_default_tag(&d->ref);
    if (image_remote_open(p->en, remote, e) < 0) return -1;
    d->remote = *remote;
    return 0;
}

static int docker_fill(struct image_pivot *p, const char *place, struct err *e)
{
    struct docker d;
    own(image_remote) struct image_remote *remote = NULL;
    if (open_docker(&d, p, place, p->opt->from_insecure, &remote, e) < 0) return -1;
    const struct image_source src = {.doc = get_doc, .blobs = get_blobs, .arg = &d};
    return image_pivot_fill(p, &src, e);
}

// --- to -----------------------------------------------------------------------------------------

static int send_blobs(struct image_sender *s, const struct oci_manifest *m, struct err *e)
{
    own(free) struct image_send *list = mem_alloc((m->n + 1) * sizeof *list);
    const struct image_send_how how = {0};
    for (size_t i = 0; i <= m->n; i++) {
        const struct oci_descriptor *d = i < m->n ? &m->items[i] : &m->config;
        list[i] = (struct image_send){.d = *d, .shown = d->digest};
    }
    return image_send_blobs(s, list, m->n + 1, &how, e);
}

static int send_tree(struct image_pivot *p, struct image_sender *s, const struct oci_ref *ref,
                     const struct oci_digest *digest, const char *type, struct err *e)
{
    struct oci_digest sent;
    struct oci_ref child = *ref;
    own(image_doc) struct image_doc d = {0};
    child.tag[0] = '\0';
    if (image_pivot_doc(p, digest, type, &d, e) < 0) return -1;
    for (size_t i = 0; d.m.is_index && i < d.m.n; i++)
        if (send_tree(p, s, &child, &d.m.items[i].digest, d.m.items[i].media_type, e) < 0)
            return -1;
    if (!d.m.is_index && send_blobs(s, &d.m, e) < 0) return -1;
    return image_send_doc(s, ref, d.type, str_sv(&d.raw), &sent, e);
}

static int docker_make(struct image_pivot *p, const char *place, struct err *e)
{
    struct docker d;
    own(image_remote) struct image_remote *remote = NULL;
    own(image_sender) struct image_sender *s = NULL;
    if (open_docker(&d, p, place, p->opt->to_insecure, &remote, e) < 0) return -1;
    if (oci_digest_is_set(&d.ref.digest) && !oci_digest_eq(&d.ref.digest, &p->top))
        return err_set(e, ERR_USAGE, "the image is sha256:%s", p->top.hex);
    if (oci_digest_is_set(&d.ref.digest)) d.ref.tag[0] = '\0';
    if (image_send_open(p->en, d.remote, &d.ref, d.flags, p->blobs, &s, e) < 0) return -1;
    return send_tree(p, s, &d.ref, &p->top, p->type, e);
}

const struct image_port image_port_docker = {
    .scheme = "docker://",
    .help = "a registry: docker://NAME[:TAG|@DIGEST]",
    .fill = docker_fill,
    .make = docker_make,
};
