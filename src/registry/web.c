// SPDX-License-Identifier: Apache-2.0
// A file from the web, for ADD: no credentials of any kind, the same rules about redirects and
// addresses as for registries. What broke off goes on only when the server says, by a strong ETag,
// that it is still the same file; else it begins again.
#include <limits.h>
#include <stdio.h>
#include <time.h>

#include "base/engine.h"
#include "base/num.h"
#include "base/own.h"
#include "codec/hash.h"
#include "registry/header.h"
#include "registry/internal.h"

struct web {
    struct job *j;
    uint64_t max, done, total;
    char etag[256]; // strong, or ""
    const char *validator; // of an earlier download; "" none
    struct codec_sha256 hash;
};

static void web_prepare(void *arg, struct strv *headers)
{
    struct web *w = arg;
    if (w->done == 0 && w->validator[0]) strv_add(headers, w->validator);
    if (w->done == 0 || !w->etag[0]) return;
    strv_take(headers, str_fmt("Range: bytes=%llu-", (unsigned long long)w->done));
    strv_take(headers, str_fmt("If-Range: %s", w->etag));
}

static int start_over(struct web *w, struct err *e)
{
    codec_sha256_init(&w->hash);
    w->done = w->total = 0;
    w->etag[0] = '\0';
    return ftruncate(w->j->fd, 0) < 0 ? err_sys(e, "begin the download again") : 0;
}

static int too_large(const struct web *w, struct err *e)
{
    return err_set(e, ERR_LIMIT, "the file is larger than %llu bytes", (unsigned long long)w->max);
}

static int web_begin(void *arg, const struct http_answer *a, struct err *e)
{
    struct web *w = arg;
    struct sv v;
    uint64_t first, last, total, length;
    if (a->status == 206) {
        if (!http_header(a, "Content-Range", &v) ||
            !header_content_range(v, &first, &last, &total) || first != w->done ||
            last + 1 != total)
            return err_set(e, ERR_INPUT, "the server sent another part than was asked for");
        return 0;
    }
    if (a->status != 200)
        return err_set(e, ERR_INPUT, "the server answered a download with status %ld", a->status);
    if (w->done && start_over(w, e) < 0) return -1;
    if (http_header(a, "Content-Length", &v) && num_u64(v, &length)) {
        w->total = length;
        if (length > w->max) return too_large(w, e);
    }
    if (http_header(a, "ETag", &v) && v.n > 2 && v.n < sizeof w->etag && v.p[0] == '"') {
        memcpy(w->etag, v.p, v.n);
        w->etag[v.n] = '\0';
    }
    return 0;
}

static int web_take(void *arg, const void *p, size_t n, struct err *e)
{
    struct web *w = arg;
    if (n > w->max - w->done) return too_large(w, e);
    if (job_write(w->j, p, n, w->done, e) < 0) return -1;
    codec_sha256_add(&w->hash, p, n);
    w->done += n;
    job_progress(w->j, w->done, w->total);
    return 0;
}

static bool read_time(struct sv v, int64_t *out)
{
    char text[64];
    struct tm tm = {0};
    if (v.n >= sizeof text) return false;
    memcpy(text, v.p, v.n);
    text[v.n] = '\0';
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    if (!end || *end) return false;
    *out = timegm(&tm);
    return true;
}

static void note_time(const struct http_answer *a, struct transfer_reply *r)
{
    struct sv v;
    if (http_header(a, "Last-Modified", &v)) (void)read_time(v, &r->time);
}

// The secret leaves the request, which lives as long as its answer.
static struct secret take_authorization(struct transfer_request *q)
{
    q->authorization[sizeof q->authorization - 1] = '\0';
    size_t n = strlen(q->authorization);
    struct secret s = {n ? str_dup(q->authorization) : NULL, n};
    explicit_bzero(q->authorization, sizeof q->authorization);
    return s;
}

// Only what note_validator made: the caller keeps it on disk.
static bool validator_ok(const char *z)
{
    static const char *const begins[] = {"If-None-Match: \"", "If-Modified-Since: "};
    for (const char *p = z; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) return false;
    return strncmp(z, begins[0], strlen(begins[0])) == 0 ||
           strncmp(z, begins[1], strlen(begins[1])) == 0;
}

// How to ask next time whether these bytes are still the ones: by a strong ETag, or by a time that
// was a minute old when they were sent, since a file may change twice in a second.
static void note_validator(const struct web *w, const struct http_answer *a, struct transfer_reply *r)
{
    struct sv modified, date;
    int64_t then, now;
    if (w->etag[0]) {
        snprintf(r->validator, sizeof r->validator, "If-None-Match: %s", w->etag);
        return;
    }
    if (!http_header(a, "Last-Modified", &modified) || !http_header(a, "Date", &date) ||
        !read_time(modified, &then) || !read_time(date, &now) || now - then < 60)
        return;
    snprintf(r->validator, sizeof r->validator, "If-Modified-Since: %.*s", (int)modified.n,
             modified.p);
}

static int check_digest(struct web *w, struct transfer_reply *r, struct err *e)
{
    const struct oci_digest *want = &w->j->q.digest;
    codec_sha256_end(&w->hash, r->digest.hex);
    if (!oci_digest_is_set(want) || oci_digest_eq(want, &r->digest)) return 0;
    err_set(e, ERR_INPUT, "the file hashes to 'sha256:%s', not to 'sha256:%s'", r->digest.hex,
            want->hex);
    return err_hint(e, "it was changed, or the checksum is wrong");
}

int web_get(struct job *j, struct err *e)
{
    struct web w = {.j = j, .max = j->q.size ? j->q.size : LIMIT_LAYER_BYTES};
    own(secret) struct secret authorization = take_authorization(&j->q);
    own(http_answer) struct http_answer a = {0};
    own(call) struct call c = {.method = "GET",
                               .prepare = web_prepare,
                               .begin = web_begin,
                               .take = web_take,
                               .arg = &w,
                               .progress = &w.done};
    struct sv v;
    codec_sha256_init(&w.hash);
    j->q.validator[sizeof j->q.validator - 1] = '\0';
    w.validator = validator_ok(j->q.validator) ? j->q.validator : "";
    if (url_parse(j->q.url, &c.url, e) < 0) return -1;
    struct call_home home = {.url = c.url,
                             .ca_dir = "",
                             .unverified = j->q.flags & TRANSFER_INSECURE,
                             .plain = !c.url.https,
                             .named = true};
    if (call_plain(j, &home, &c, &authorization, &a, e) < 0) return -1;
    if (a.status == 304 && w.validator[0] && w.done == 0) {
        j->r.found = true;
        return 0;
    }
    if (a.status != 200 && a.status != 206) return call_status(c.ended.host, &a, e);
    struct transfer_reply *r = &j->r;
    if (check_digest(&w, r, e) < 0) return -1;
    r->size = r->total = w.done;
    note_time(&a, r);
    note_validator(&w, &a, r);
    if (http_header(&a, "Content-Type", &v)) header_media_type(v, r->type, sizeof r->type);
    if (http_header(&a, "Content-Disposition", &v)) header_file_name(v, r->name);
    snprintf(r->url, sizeof r->url, "%s", c.ended.text);
    return 0;
}
