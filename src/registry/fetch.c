// SPDX-License-Identifier: Apache-2.0
// Downloads: manifests whole and hashed, blobs straight into the asker's file. A blob that breaks
// off goes on where it stopped: by range when the registry grants exactly the range that was asked
// for, else by reading the beginning once more and throwing it away. So what is in the file only
// grows, and whoever reads it meanwhile sees no byte change. A paced download (oci/transfer.h) keeps
// near its reader: an archive of gigabytes then passes through the page cache in a few MiB, and
// most of it is on disk when the store is synced.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/engine.h"
#include "base/num.h"
#include "base/own.h"
#include "codec/hash.h"
#include "oci/image.h"
#include "registry/header.h"
#include "registry/internal.h"

#define ACCEPT                                                                                     \
    "Accept: " OCI_TYPE_INDEX ", " OCI_TYPE_MANIFEST ", " DOCKER_TYPE_LIST ","                     \
    " " DOCKER_TYPE_MANIFEST

#define SETTLE_STEP ((uint64_t)4 << 20)

// --- manifests -------------------------------------------------------------------------------

static int manifest_url(const struct session *s, struct url *out, struct err *e)
{
    const struct oci_ref *ref = &s->j->q.ref;
    char digest[OCI_DIGEST_TEXT];
    const char *what = ref->tag[0] ? ref->tag : "latest";
    if (oci_digest_is_set(&ref->digest)) what = oci_digest_print(&ref->digest, digest);
    return session_url(s, out, e, "/v2/%s/manifests/%s", s->place.name, what);
}

static int get_manifest(struct session *s, struct http_answer *a, struct err *e)
{
    own(call) struct call c = {.method = "GET", .body_max = LIMIT_MANIFEST};
    struct sv type;
    strv_add(&c.headers, ACCEPT);
    if (manifest_url(s, &c.url, e) < 0 || call_do(s, &c, a, e) < 0) return -1;
    if (a->status != 200) return call_refused(s, a, e);
    if (call_check_encoding(s->place.host, a, e) < 0) return -1;
    struct transfer_reply *r = &s->j->r;
    r->digest = oci_digest_of(str_sv(&a->body));
    // Under a tag nothing else tells what a proxy or a disk has changed on the way.
    if (call_check_digest(s, a, &r->digest, e) < 0) return -1;
    r->size = a->body.n;
    if (http_header(a, "Content-Type", &type)) header_media_type(type, r->type, sizeof r->type);
    const struct oci_digest *want = &s->j->q.ref.digest;
    if (!oci_digest_is_set(want) || oci_digest_eq(want, &r->digest)) return 0;
    err_set(e, ERR_INPUT, "'%s' sent a manifest that hashes to 'sha256:%s'", s->place.host,
            r->digest.hex);
    return err_hint(e, "the registry's copy is damaged, or somebody changed it");
}

static int manifest_get_at(struct session *s, struct err *e)
{
    own(http_answer) struct http_answer a = {0};
    if (get_manifest(s, &a, e) < 0) return -1;
    return job_write(s->j, a.body.p, a.body.n, 0, e);
}

int fetch_manifest_get(struct job *j, struct err *e)
{
    return session_each(j, "pull", manifest_get_at, e);
}

static int manifest_head_at(struct session *s, struct err *e)
{
    own(http_answer) struct http_answer a = {0};
    own(call) struct call c = {.method = "HEAD"};
    struct transfer_reply *r = &s->j->r;
    struct err ignored;
    struct sv v;
    strv_add(&c.headers, ACCEPT);
    if (manifest_url(s, &c.url, e) < 0 || call_do(s, &c, &a, e) < 0) return -1;
    if (a.status == 404) return s->place.mirror ? call_refused(s, &a, e) : 0;
    if (a.status != 200 && a.status != 405) return call_refused(s, &a, e);
    r->found = true;
    if (a.status == 200 && http_header(&a, "Content-Type", &v))
        header_media_type(v, r->type, sizeof r->type);
    bool sized = a.status == 200 && http_header(&a, "Content-Length", &v) && num_u64(v, &r->size);
    if (oci_digest_is_set(&s->j->q.ref.digest)) {
        r->digest = s->j->q.ref.digest;
        if (sized) return 0;
    } else if (sized && http_header(&a, "Docker-Content-Digest", &v) &&
               oci_digest_parse(v, &r->digest, &ignored) == 0) {
        return 0; // good enough to see whether something is new; what is fetched is hashed
    }
    return get_manifest(s, &a, e); // a registry that does not say: look for ourselves
}

int fetch_manifest_head(struct job *j, struct err *e)
{
    return session_each(j, "pull", manifest_head_at, e);
}

// --- blobs -----------------------------------------------------------------------------------

struct blob {
    struct session *s;
    uint64_t size;
    uint64_t done;  // bytes in the file
    uint64_t skip;  // bytes of this answer that are there already
    bool no_ranges; // this registry does not grant what we ask for
    bool bad_range; // it just sent another part than asked for
    bool hashing;
    struct codec_sha256 hash;
    uint64_t settled; // up to here writing back has begun
    uint64_t told;    // how much there was when the reader was told by blob_full
};

static void blob_prepare(void *arg, struct strv *headers)
{
    struct blob *b = arg;
    if (b->done == 0 || b->no_ranges) return;
    char *line = str_fmt("Range: bytes=%llu-", (unsigned long long)b->done);
    strv_take(headers, line);
}

static int blob_begin(void *arg, const struct http_answer *a, struct err *e)
{
    struct blob *b = arg;
    struct sv v;
    uint64_t first = 0, last, total = 0, length;
    if (call_check_encoding(b->s->place.host, a, e) < 0) return -1;
    if (a->status == 206) {
        b->bad_range = true;
        if (!http_header(a, "Content-Range", &v) || !header_content_range(v, &first, &last, &total))
            return err_set(e, ERR_INPUT, "'%s' sent a part of the blob and did not say which",
                           b->s->place.host);
        if (first != b->done || total != b->size || last + 1 != total)
            return err_set(
                e, ERR_INPUT,
                "'%s' sent bytes %llu-%llu of %llu where %llu-%llu of %llu were asked for",
                b->s->place.host, (unsigned long long)first, (unsigned long long)last,
                (unsigned long long)total, (unsigned long long)b->done,
                (unsigned long long)b->size - 1, (unsigned long long)b->size);
        b->bad_range = false;
    } else if (a->status != 200) {
        return err_set(e, ERR_INPUT, "'%s' answered a download with status %ld", b->s->place.host,
                       a->status);
    }
    b->skip = b->done - first;
    if (http_header(a, "Content-Length", &v) && num_u64(v, &length) && length != b->size - first)
        return err_set(e, ERR_INPUT, "'%s' sends %llu bytes where %llu were promised",
                       b->s->place.host, (unsigned long long)length,
                       (unsigned long long)(b->size - first));
    return 0;
}

static uint64_t reader_at(const struct blob *b)
{
    off_t at = lseek(b->s->j->fd, 0, SEEK_CUR);
    return at < 0 ? 0 : (uint64_t)at;
}

static bool blob_full(void *arg)
{
    struct blob *b = arg;
    if (b->done <= reader_at(b) + TRANSFER_AHEAD) return false;
    if (b->told == b->done) return true;
    b->told = b->done;
    b->s->j->told_ns = 0; // the reader is to see all that there is
    job_progress(b->s->j, b->done, b->size);
    return true;
}

// Hints to the kernel: where they do not work nothing is lost.
static void settle(struct blob *b)
{
    int fd = b->s->j->fd;
    if (b->done - b->settled < SETTLE_STEP && b->done < b->size) return;
    sync_file_range(fd, (off_t)b->settled, (off_t)(b->done - b->settled), SYNC_FILE_RANGE_WRITE);
    b->settled = b->done;
    uint64_t read = reader_at(b);
    if (read > 0) posix_fadvise(fd, 0, (off_t)read, POSIX_FADV_DONTNEED); // what is clean of it
}

static int blob_take(void *arg, const void *p, size_t n, struct err *e)
{
    struct blob *b = arg;
    size_t drop = n < b->skip ? n : (size_t)b->skip;
    b->skip -= drop;
    n -= drop;
    if (n == 0) return 0;
    p = (const char *)p + drop;
    if (n > b->size - b->done)
        return err_set(e, ERR_INPUT, "'%s' sends more than the %llu bytes that were promised",
                       b->s->place.host, (unsigned long long)b->size);
    if (job_write(b->s->j, p, n, b->done, e) < 0) return -1;
    if (b->hashing) codec_sha256_add(&b->hash, p, n);
    b->done += n;
    if (b->s->j->q.flags & TRANSFER_PACED) settle(b);
    job_progress(b->s->j, b->done, b->size);
    return 0;
}

// What an earlier run left in the file.
static int hash_beginning(struct blob *b, struct err *e)
{
    char buf[16384];
    for (uint64_t at = 0; at < b->done;) {
        size_t want = b->done - at < sizeof buf ? (size_t)(b->done - at) : sizeof buf;
        ssize_t n = pread(b->s->j->fd, buf, want, (off_t)at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_sys(e, "read the beginning of an earlier download");
        if (n == 0)
            return err_set(e, ERR_INTERNAL, "the file is shorter than the offset of the request");
        codec_sha256_add(&b->hash, buf, (size_t)n);
        at += (uint64_t)n;
    }
    return 0;
}

static int check_hash(struct blob *b, struct err *e)
{
    struct oci_digest got;
    codec_sha256_end(&b->hash, got.hex);
    if (oci_digest_eq(&got, &b->s->j->q.digest)) return 0;
    err_set(e, ERR_INPUT, "'%s' sent bytes that hash to 'sha256:%s'", b->s->place.host, got.hex);
    return err_hint(e, "the registry's copy is damaged, or somebody changed it");
}

// Rounds: a clean but early end, or a range that is not granted, is asked about again.
static int blob_rounds(struct blob *b, struct call *c, struct err *e)
{
    own(http_answer) struct http_answer a = {0};
    for (unsigned idle = 0; b->done < b->size; idle++) {
        uint64_t before = b->done;
        int rc = call_do(b->s, c, &a, e);
        if ((b->bad_range || (rc == 0 && a.status == 416)) && b->done && !b->no_ranges) {
            b->no_ranges = true;
            b->bad_range = false;
            continue;
        }
        if (rc < 0) return -1;
        if (a.status != 200 && a.status != 206) return call_refused(b->s, &a, e);
        if (b->done > before) idle = 0;
        if (b->done < b->size && idle >= 3)
            return err_set(e, ERR_INPUT, "'%s' ends the blob after %llu of %llu bytes",
                           b->s->place.host, (unsigned long long)b->done,
                           (unsigned long long)b->size);
    }
    return 0;
}

static int blob_get_at(struct session *s, struct err *e)
{
    const struct transfer_request *q = &s->j->q;
    struct blob b = {.s = s, .size = q->size, .done = s->j->done, .settled = s->j->done};
    char digest[OCI_DIGEST_TEXT];
    if (b.done > b.size)
        return err_set(e, ERR_INTERNAL, "the offset of the request is behind the blob's end");
    b.hashing = !(q->flags & TRANSFER_HASHED);
    codec_sha256_init(&b.hash);
    if (b.hashing && hash_beginning(&b, e) < 0) return -1;
    own(call) struct call c = {.method = "GET",
                               .prepare = blob_prepare,
                               .begin = blob_begin,
                               .take = blob_take,
                               .full = q->flags & TRANSFER_PACED ? blob_full : NULL,
                               .arg = &b,
                               .progress = &b.done};
    if (session_url(s, &c.url, e, "/v2/%s/blobs/%s", s->place.name,
                    oci_digest_print(&q->digest, digest)) < 0)
        return -1;
    int rc = blob_rounds(&b, &c, e);
    s->j->done = b.done;
    if (rc < 0) return -1;
    if (b.hashing && check_hash(&b, e) < 0) {
        s->j->done = 0; // another place may have the true bytes
        return -1;
    }
    s->j->r.size = s->j->r.total = b.size;
    s->j->r.digest = q->digest;
    return 0;
}

int fetch_blob_get(struct job *j, struct err *e)
{
    if (!oci_digest_is_set(&j->q.digest))
        return err_set(e, ERR_INTERNAL, "a blob was asked for without its digest");
    j->done = j->q.offset;
    return session_each(j, "pull", blob_get_at, e);
}

int fetch_blob_find(struct session *s, struct err *e)
{
    own(http_answer) struct http_answer a = {0};
    own(call) struct call c = {.method = "HEAD"};
    char digest[OCI_DIGEST_TEXT];
    struct sv v;
    if (session_url(s, &c.url, e, "/v2/%s/blobs/%s", s->place.name,
                    oci_digest_print(&s->j->q.digest, digest)) < 0 ||
        call_do(s, &c, &a, e) < 0)
        return -1;
    // A registry that does not answer the question may not have it.
    bool unknown = a.status == 404 || a.status == 405 || a.status == 501;
    if (unknown) return s->place.mirror ? call_refused(s, &a, e) : 0;
    if (a.status != 200) return call_refused(s, &a, e);
    if (http_header(&a, "Content-Length", &v)) num_u64(v, &s->j->r.size);
    return 1;
}

static int blob_head_at(struct session *s, struct err *e)
{
    int found = fetch_blob_find(s, e);
    if (found < 0) return -1;
    s->j->r.found = found;
    if (found) s->j->r.digest = s->j->q.digest;
    return 0;
}

int fetch_blob_head(struct job *j, struct err *e)
{
    return session_each(j, "pull", blob_head_at, e);
}
