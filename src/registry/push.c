// SPDX-License-Identifier: Apache-2.0
// Manifests to a registry, and the beginning of a blob's way there: is it there already, can it be
// mounted from another repository; only then upload.c sends bytes.
#include "base/engine.h"
#include "base/fs.h"
#include "base/own.h"
#include "oci/image.h"
#include "registry/internal.h"

static int blob_put_at(struct session *s, struct err *e)
{
    int found = fetch_blob_find(s, e);
    if (found < 0) return -1;
    s->j->r.digest = s->j->q.digest;
    if (found == 0) found = upload_blob(s, e);
    s->j->r.found = found > 0;
    s->j->r.size = s->j->q.size;
    return found < 0 ? -1 : 0;
}

int push_blob_put(struct job *j, struct err *e)
{
    if (!oci_digest_is_set(&j->q.digest))
        return err_set(e, ERR_INTERNAL, "a blob is to be pushed without its digest");
    return session_push(j, "pull,push", blob_put_at, e);
}

// --- manifests -------------------------------------------------------------------------------

static int put_at(struct session *s, struct err *e)
{
    own(http_answer) struct http_answer a = {0};
    own(str) struct str body = {.max = LIMIT_MANIFEST};
    struct job *j = s->j;
    char digest[OCI_DIGEST_TEXT];
    if (lseek(j->fd, 0, SEEK_SET) < 0) return err_sys(e, "read the manifest");
    if (fs_read_fd(j->fd, LIMIT_MANIFEST, &body, e) < 0) return err_wrap(e, "read the manifest");
    j->r.digest = oci_digest_of(str_sv(&body));
    j->r.size = body.n;
    if (oci_digest_is_set(&j->q.ref.digest) && !oci_digest_eq(&j->q.ref.digest, &j->r.digest))
        return err_set(e, ERR_CORRUPT, "the manifest hashes to 'sha256:%s'", j->r.digest.hex);
    const char *what = oci_digest_print(&j->r.digest, digest);
    if (j->q.ref.tag[0]) what = j->q.ref.tag;
    own(call) struct call c = {.method = "PUT", .body = str_sv(&body), .has_body = true};
    strv_take(&c.headers,
              str_fmt("Content-Type: %s", j->q.type[0] ? j->q.type : OCI_TYPE_MANIFEST));
    if (session_url(s, &c.url, e, "/v2/%s/manifests/%s", s->place.name, what) < 0 ||
        call_do(s, &c, &a, e) < 0)
        return -1;
    if (a.status != 201) return call_refused(s, &a, e);
    return call_check_digest(s, &a, &j->r.digest, e);
}

int push_manifest_put(struct job *j, struct err *e)
{
    for (const char *p = j->q.type; *p; p++)
        if (*p <= ' ' || *p > 126) return err_set(e, ERR_INPUT, "the media type is malformed");
    return session_push(j, "pull,push", put_at, e);
}

static int delete_at(struct session *s, struct err *e)
{
    own(http_answer) struct http_answer a = {0};
    own(call) struct call c = {.method = "DELETE"};
    char digest[OCI_DIGEST_TEXT];
    if (session_url(s, &c.url, e, "/v2/%s/manifests/%s", s->place.name,
                    oci_digest_print(&s->j->q.ref.digest, digest)) < 0 ||
        call_do(s, &c, &a, e) < 0)
        return -1;
    if (a.status >= 200 && a.status < 300) return 0;
    call_refused(s, &a, e);
    if (a.status == 405) err_hint(e, "this registry is not configured to delete");
    return -1;
}

int push_manifest_delete(struct job *j, struct err *e)
{
    if (!oci_digest_is_set(&j->q.ref.digest))
        return err_set(e, ERR_USAGE, "a manifest is deleted by its digest, not by a tag");
    return session_push(j, "delete,pull", delete_at, e);
}
