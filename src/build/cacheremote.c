// SPDX-License-Identifier: Apache-2.0
// A build cache in a registry: a manifest under a tag. Each process talks to a registry client of its
// own, started at its first request, because a place is opened before the workers are forked.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/engine.h"
#include "base/fs.h"
#include "base/own.h"
#include "build/cacheplace.h"
#include "image/remote.h"
#include "image/resolve.h"

#define UPLOADS_MAX 6

// On its way: the client has its file, and sends several side by side.
struct upload {
    uint32_t id;
    struct oci_digest digest;
};
struct remote {
    struct build_cacheplace base;
    struct engine *en;
    struct oci_ref ref;
    struct oci_platform platform;
    uint32_t flags;
    struct image_remote *client;
    pid_t owner;  // whose client it is
    VEC(struct upload) uploads;
};

static struct remote *of(struct build_cacheplace *p)
{
    return (struct remote *)(void *)p;
}

static struct image_remote *client(struct remote *r, struct err *e)
{
    // A parent's client is not ours to close either: closing ends it.
    if (r->owner != getpid()) r->client = NULL;
    if (!r->client && image_remote_open(r->en, &r->client, e) < 0) return NULL;
    r->owner = getpid();
    return r->client;
}

static void remote_close(struct build_cacheplace *p)
{
    struct remote *r = of(p);
    if (r->owner == getpid()) image_remote_close(r->client);
    vec_fini(&r->uploads);
    free(r);
}

static struct transfer_request request(const struct remote *r, enum transfer_op op,
                                       const struct oci_descriptor *d)
{
    struct transfer_request q = {.op = op, .ref = r->ref, .flags = r->flags};
    if (d) {
        q.digest = d->digest;
        q.size = d->size;
    }
    return q;
}

// --- reading --------------------------------------------------------------------------------------

static bool is_buildkit(const struct oci_manifest *m)
{
    for (size_t i = 0; i < m->n; i++)
        if (strstr(m->items[i].media_type, "buildkit.cacheconfig")) return true;
    return false;
}

// An index is followed to the image of our platform, whose manifest may hold records; other programs'
// caches are handed on as they are, to be named.
static int remote_find(struct build_cacheplace *p, struct str *out, struct err *e)
{
    struct remote *r = of(p);
    struct image_remote *c = client(r, e);
    struct oci_digest digest;
    own(image_doc) struct image_doc first = {0};
    own(image_docs) struct image_docs all = {0};
    if (!c) return -1;
    int rc = image_doc_head(c, &r->ref, r->flags, &digest, e);
    if (rc <= 0) return rc;
    if (image_doc_get(c, &r->ref, r->flags, &first, e) < 0) return -1;
    if (!first.m.is_index || is_buildkit(&first.m)) {
        str_add(out, str_sv(&first.raw));
        return str_check(out, e) < 0 ? -1 : 1;
    }
    if (image_docs_get(c, &r->ref, r->flags, &r->platform, &all, e) < 0) return -1;
    str_add(out, str_sv(&all.p[all.n - 1].raw));
    return str_check(out, e) < 0 ? -1 : 1;
}

static int remote_read(struct build_cacheplace *p, const struct oci_descriptor *d, size_t max,
                       struct str *out, struct err *e)
{
    struct remote *r = of(p);
    struct image_remote *c = client(r, e);
    struct transfer_request q = request(r, TRANSFER_BLOB_GET, d);
    struct transfer_reply reply;
    if (!c) return -1;
    if (d->size > max)
        return err_set(e, ERR_LIMIT, "'%.12s' is larger than %zu bytes", d->digest.hex, max);
    if (image_remote_text(c, &q, max, out, &reply, e) < 0) return -1;
    struct oci_digest is = oci_digest_of(str_sv(out));
    if (oci_digest_eq(&is, &d->digest)) return 0;
    return err_set(e, ERR_INPUT, "blob sha256:%.12s came with the digest sha256:%.12s", d->digest.hex,
                   is.hex);
}

// A file without a name in the store's temporary folder: gone with its descriptor.
static int nameless(const struct remote *r, struct err *e)
{
    int fd = fs_openat(r->en->store_fd, "tmp", O_TMPFILE | O_RDWR, 0600, e);
    if (fd >= 0 || (e->sys != EOPNOTSUPP && e->sys != EISDIR)) return fd;
    own(free) char *name = str_fmt("tmp/" FS_PART "cache-%d", (int)getpid());
    fd = fs_openat(r->en->store_fd, name, O_RDWR | O_CREAT | O_EXCL, 0600, e);
    if (fd >= 0) unlinkat(r->en->store_fd, name, 0);
    return fd;
}

static int remote_open(struct build_cacheplace *p, const struct oci_descriptor *d, struct err *e)
{
    struct remote *r = of(p);
    struct image_remote *c = client(r, e);
    struct transfer_request q = request(r, TRANSFER_BLOB_GET, d);
    struct transfer_reply reply;
    own(fd) int fd = c ? nameless(r, e) : -1;
    if (fd < 0 || image_remote_ask(c, &q, fd, NULL, NULL, &reply, e) < 0) return -1;
    if (lseek(fd, 0, SEEK_SET) != 0) return err_sys(e, "rewind a download");
    return take_fd(fd);
}

// What a manifest names a registry has, as a rule: only `sure` asks.
static int remote_has(struct build_cacheplace *p, const struct oci_descriptor *d, bool sure,
                      struct err *e)
{
    struct remote *r = of(p);
    struct transfer_request q = request(r, TRANSFER_BLOB_HEAD, d);
    struct transfer_reply reply;
    if (!sure) return 1;
    struct image_remote *c = client(r, e);
    if (!c || image_remote_ask(c, &q, -1, NULL, NULL, &reply, e) < 0) return -1;
    return reply.found;
}

// --- writing --------------------------------------------------------------------------------------

static int remote_create(struct build_cacheplace *p, struct err *e)
{
    return nameless(of(p), e);
}

// Waits until at most `most` uploads are under way.
static int settle(struct remote *r, size_t most, struct err *e)
{
    struct transfer_reply reply;
    while (r->uploads.n > most) {
        if (image_remote_next(r->client, &reply, e) < 0) return -1;
        size_t i = 0;
        while (i < r->uploads.n && r->uploads.p[i].id != reply.id) i++;
        if (i == r->uploads.n || reply.answer == TRANSFER_PROGRESS) continue;
        struct upload ended = r->uploads.p[i];
        r->uploads.p[i] = r->uploads.p[--r->uploads.n];
        if (reply.answer != TRANSFER_FAILED) continue;
        *e = reply.err;
        return err_wrap(e, "blob sha256:%.12s", ended.digest.hex);
    }
    return 0;
}

// The client looks first whether the registry has it. How it ended is known when the cache is published.
static int remote_keep(struct build_cacheplace *p, int fd, const struct oci_descriptor *d,
                       struct err *e)
{
    struct remote *r = of(p);
    struct transfer_request q = request(r, TRANSFER_BLOB_PUT, d);
    struct image_remote *c = client(r, e);
    if (!c || settle(r, UPLOADS_MAX - 1, e) < 0) return -1;
    if (lseek(fd, 0, SEEK_SET) != 0) return err_sys(e, "rewind an upload");
    if (image_remote_send(c, &q, fd, e) < 0) return -1;
    vec_push(&r->uploads, ((struct upload){q.id, d->digest}));
    return 0;
}

static int remote_publish(struct build_cacheplace *p, struct sv manifest,
                          const struct build_cachedoc *d, struct err *e)
{
    struct remote *r = of(p);
    struct image_remote *c = client(r, e);
    struct oci_descriptor doc = {.digest = oci_digest_of(manifest), .size = manifest.n};
    struct transfer_request q = request(r, TRANSFER_MANIFEST_PUT, &doc);
    struct transfer_reply reply;
    (void)d;
    if (settle(r, 0, e) < 0) return -1;
    memcpy(q.type, OCI_TYPE_MANIFEST, sizeof OCI_TYPE_MANIFEST);
    own(fd) int fd = c ? nameless(r, e) : -1;
    if (fd < 0 || fs_write_all(fd, manifest.p, manifest.n, e) < 0) return -1;
    if (lseek(fd, 0, SEEK_SET) != 0) return err_sys(e, "rewind an upload");
    if (image_remote_ask(c, &q, fd, NULL, NULL, &reply, e) < 0) return -1;
    if (!oci_digest_is_set(&reply.digest) || oci_digest_eq(&reply.digest, &doc.digest)) return 0;
    return err_set(e, ERR_INPUT, "the registry says that the manifest is sha256:%s", reply.digest.hex);
}

int build_cacheremote_open(struct engine *en, const struct build_cachespec *spec,
                           const struct oci_platform *platform, struct build_cacheplace **out,
                           struct err *e)
{
    static const struct build_cacheplace_ops ops = {
        .find = remote_find, .read = remote_read, .open = remote_open,
        .has = remote_has, .create = remote_create, .keep = remote_keep,
        .publish = remote_publish, .close = remote_close,
    };
    struct oci_ref ref;
    if (oci_ref_parse(sv_of(spec->ref), &ref, e) < 0) return -1;
    oci_ref_default_tag(&ref);
    struct remote *r = mem_alloc(sizeof *r);
    *r = (struct remote){.base = {&ops}, .en = en, .ref = ref, .platform = *platform,
                         .flags = spec->insecure ? TRANSFER_INSECURE : 0, .owner = getpid()};
    *out = &r->base;
    return 0;
}
