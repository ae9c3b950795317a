// SPDX-License-Identifier: Apache-2.0
// One blob to a registry. POST opens an upload and says where it lives (Location); PATCH sends
// bytes there, each answer saying where to go on and how much has come; PUT with the digest closes
// it.
//
//   small blobs         POST, PUT with the bytes
//   others              POST, one PATCH with all bytes from the file, PUT
//   413 to that         PATCHes of a bounded size, smaller at each 413
//   PATCH unknown       POST, PUT with the bytes
//   a break             wait, ask the upload how far it came (GET), go on there; where it is gone,
//                       begin again. After the PUT: perhaps all is done, so look for the blob
//                       first.
//
// The file is read as it is sent; nothing of its size is held in memory.
#include "base/num.h"
#include "base/own.h"
#include "registry/header.h"
#include "registry/internal.h"

#define AT_ONCE ((uint64_t)64 << 10) // up to here POST and PUT will do
#define CHUNK_MAX ((uint64_t)64 << 20)
#define CHUNK_MIN ((uint64_t)1 << 20)
// A registry may hash and copy all of it before it answers the PUT.
#define COMMIT_RATE ((uint64_t)64 << 20) // bytes in the time of a stall
#define COMMIT_PATIENCE 20U
#define ROUNDS_MAX 10000

struct upload {
    struct session *s;
    struct url at; // where it lives now
    bool open;     // `at` is valid
    bool whole;    // PUT with all bytes, no PATCH
    bool mounted;  // the registry took it from another repository
    uint64_t size;
    uint64_t done;      // bytes that the registry says it has
    uint64_t chunk;     // 0: all in one
    uint64_t chunk_min; // what the registry asks for
    uint64_t base;      // of the running request, for progress
    int64_t wait_ms;    // the registry asked for
    bool smaller;       // the last failure was a 413 that smaller parts may pass: no need to wait
    bool passing;       // the last failure may pass: try again
};

static void on_sent(void *arg, uint64_t n)
{
    struct upload *u = arg;
    job_progress(u->s->j, u->base + n, u->size);
}

// A registry behind a proxy that does TLS for it may not know, and name itself with http. The same
// host stays https; any other step down is refused.
static void keep_https(const struct url *home, struct url *at)
{
    struct err ignored;
    own(str) struct str text = {0};
    if (!home->https || at->https || strcmp(home->host, at->host) != 0) return;
    if (at->port != 80 && at->port != home->port) return;
    struct sv rest = sv_from(sv_of(at->text), strlen("http://"));
    size_t n = 0;
    while (n < rest.n && !strchr("/?", rest.p[n])) n++;
    bool v6 = strchr(home->host, ':');
    str_addf(&text, "https://%s%s%s:%u%.*s", v6 ? "[" : "", home->host, v6 ? "]" : "", home->port,
             (int)(rest.n - n), rest.p + n);
    struct url secure;
    if (url_parse(str_z(&text), &secure, &ignored) == 0) *at = secure;
}

// Where the answer says that the upload goes on. An answer without it leaves things as they are.
static int take_location(struct upload *u, const struct url *asked, const struct http_answer *a,
                         struct err *e)
{
    struct sv v;
    char text[TRANSFER_URL];
    struct session *s = u->s;
    if (!http_header(a, "Location", &v)) {
        if (u->open) return 0;
        return err_set(e, ERR_INPUT, "'%s' opened an upload and gave no Location", s->place.host);
    }
    if (v.n >= sizeof text)
        return err_set(e, ERR_LIMIT, "the upload location of '%s' is longer than %zu bytes",
                       s->place.host, sizeof text - 1);
    memcpy(text, v.p, v.n);
    text[v.n] = '\0';
    struct url at;
    if (url_resolve(asked, text, &at, e) < 0)
        return err_wrap(e, "the upload location of '%s'", s->place.host);
    keep_https(&s->home.url, &at);
    if (s->home.url.https && !at.https)
        return err_set(e, ERR_INPUT, "'%s' wants the upload in the clear, at 'http://%s'",
                       s->place.host, at.host);
    u->at = at;
    u->open = true;
    return 0;
}

// May this failure pass? Notes how long the registry asks us to wait.
static bool has_passed(struct upload *u, const struct http_answer *a, int rc)
{
    u->wait_ms = 0;
    if (rc == 0) {
        if (!retry_status(a->status)) return false;
        struct retry first = {0};
        u->wait_ms = retry_delay_ms(&first, 1, a, false);
        return u->wait_ms >= 0;
    }
    return a->failure == HTTP_FAIL_BROKEN ||
           (u->s->host->answered &&
            (a->failure == HTTP_FAIL_CONNECT || a->failure == HTTP_FAIL_NOT_TLS));
}

// --- the steps -------------------------------------------------------------------------------

static int ask_open(struct upload *u, const char *query, struct http_answer *a, struct url *asked,
                    struct err *e)
{
    own(call) struct call c = {.method = "POST", .has_body = true};
    struct session *s = u->s;
    strv_add(&c.headers, "Content-Type:");
    if (session_url(s, &c.url, e, "/v2/%s/blobs/uploads/%s", s->place.name, query) < 0 ||
        call_do(s, &c, a, e) < 0)
        return -1;
    *asked = c.ended;
    return 0;
}

static int open_upload(struct upload *u, struct err *e)
{
    own(http_answer) struct http_answer a = {0};
    struct transfer_request *q = &u->s->j->q;
    struct url asked;
    struct sv v;
    u->open = u->passing = false;
    u->done = 0;
    if (q->from[0]) {
        own(str) struct str query = {0};
        str_addf(&query, "?mount=sha256:%s&from=%s", q->digest.hex, q->from);
        if (ask_open(u, str_z(&query), &a, &asked, e) < 0) return -1;
        q->from[0] = '\0'; // once is enough
        u->mounted = a.status == 201;
        if (u->mounted) return 0;
        if (a.status != 202 && ask_open(u, "", &a, &asked, e) < 0) return -1;
    } else if (ask_open(u, "", &a, &asked, e) < 0) {
        return -1;
    }
    if (a.status != 202) return call_refused(u->s, &a, e);
    if (http_header(&a, "OCI-Chunk-Min-Length", &v)) num_u64(v, &u->chunk_min);
    return take_location(u, &asked, &a, e);
}

static void fill_body(struct upload *u, struct call *c, uint64_t n)
{
    c->url = u->at;
    c->once = true;
    c->file_body = true;
    c->body_fd = u->s->j->fd;
    c->body_at = u->base = u->done;
    c->body_size = n;
    c->sent = on_sent;
    c->arg = u;
    strv_add(&c->headers, "Content-Type: application/octet-stream");
}

static int too_large(struct upload *u, const struct http_answer *a, uint64_t sent, struct err *e)
{
    uint64_t next = u->chunk ? u->chunk / 4 : CHUNK_MAX;
    while (next >= sent && next > CHUNK_MIN) next /= 4;
    if (next < u->chunk_min) next = u->chunk_min;
    if (next < CHUNK_MIN || next >= sent) return call_refused(u->s, a, e);
    job_notice(u->s->j, "'%s' takes no uploads of this size; sending %llu MiB at a time",
               u->s->place.host, (unsigned long long)(next >> 20));
    u->chunk = next;
    u->passing = u->smaller = true;
    return err_set(e, ERR_LIMIT, "'%s' takes no uploads of this size", u->s->place.host);
}

static int send_part(struct upload *u, struct err *e)
{
    own(http_answer) struct http_answer a = {0};
    own(call) struct call c = {.method = "PATCH"};
    uint64_t n = u->size - u->done, next;
    struct sv v;
    if (u->chunk && n > u->chunk) n = u->chunk;
    fill_body(u, &c, n);
    if (u->chunk || u->done)
        strv_take(&c.headers, str_fmt("Content-Range: %llu-%llu", (unsigned long long)u->done,
                                      (unsigned long long)(u->done + n - 1)));
    int rc = call_do(u->s, &c, &a, e);
    u->passing = has_passed(u, &a, rc);
    if (rc < 0) return -1;
    if (a.status == 413) return too_large(u, &a, n, e);
    if (a.status == 416) u->passing = true; // we disagree on how far it came: ask
    if ((a.status == 404 || a.status == 405 || a.status == 501) && !u->done && !u->chunk) {
        u->whole = u->passing = true;
        u->open = false;
        return call_refused(u->s, &a, e);
    }
    if (a.status != 202 && a.status != 201 && a.status != 204) return call_refused(u->s, &a, e);
    u->passing = false;
    bool says = http_header(&a, "Range", &v) && header_upload_range(v, &next);
    // 0-0 may mean one byte or none
    if (says && next != u->done + n && !(next == 0 && u->done + n <= 1)) {
        u->passing = true;
        if (next > u->done && next < u->done + n) u->done = next;
        return err_set(e, ERR_INPUT, "'%s' has %llu bytes of the upload after %llu were sent",
                       u->s->place.host, (unsigned long long)next,
                       (unsigned long long)(u->base + n));
    }
    u->done += n;
    return take_location(u, &c.ended, &a, e);
}

static int close_upload(struct upload *u, struct err *e)
{
    own(http_answer) struct http_answer a = {0};
    own(call) struct call c = {.method = "PUT", .patience = 1};
    char digest[OCI_DIGEST_TEXT];
    if (u->size / COMMIT_RATE < COMMIT_PATIENCE)
        c.patience += (unsigned)(u->size / COMMIT_RATE);
    else
        c.patience = COMMIT_PATIENCE;
    if (u->done < u->size) {
        fill_body(u, &c, u->size - u->done);
    } else {
        c.url = u->at;
        c.has_body = true;
        c.once = true;
        strv_add(&c.headers, "Content-Type: application/octet-stream");
    }
    if (url_add_query(&c.url, "digest", oci_digest_print(&u->s->j->q.digest, digest), e) < 0)
        return -1;
    int rc = call_do(u->s, &c, &a, e);
    u->passing = has_passed(u, &a, rc);
    if (rc < 0) return -1;
    if (a.status != 201) { // 202 and others are no promise
        // An earlier PUT may have got there although its answer did not come back (libcurl repeats
        // a request by itself when a kept connection turns out to be dead).
        struct err other;
        bool perhaps = a.status == 202 || a.status == 400 || a.status == 404 || a.status == 409 ||
                       a.status == 416;
        call_refused(u->s, &a, e);
        if (a.status == 416) u->passing = true;
        return perhaps && fetch_blob_find(u->s, &other) > 0 ? 0 : -1;
    }
    u->done = u->size;
    return call_check_digest(u->s, &a, &u->s->j->q.digest, e);
}

// How far it came. Leaves u->open false when the registry has forgotten the upload.
static int ask_status(struct upload *u, struct err *e)
{
    own(http_answer) struct http_answer a = {0};
    own(call) struct call c = {.method = "GET", .url = u->at};
    uint64_t next = 0;
    struct sv v;
    if (call_do(u->s, &c, &a, e) < 0) return -1;
    u->open = false;
    if (a.status != 204 && a.status != 200 && a.status != 202) return 0;
    if (http_header(&a, "Range", &v) && !header_upload_range(v, &next)) return 0;
    if (next > u->size) return 0;
    u->open = true;
    u->done = next;
    return take_location(u, &c.ended, &a, e);
}

// --- the whole -------------------------------------------------------------------------------

static int try_once(struct upload *u, struct err *e)
{
    if (!u->open && open_upload(u, e) < 0) return -1;
    if (u->mounted) return 0;
    while (u->done < u->size && !u->whole)
        if (send_part(u, e) < 0) return -1;
    return close_upload(u, e);
}

// After a failure that may pass: waits, and finds out where things stand. 1: all is done.
static int recover(struct upload *u, struct retry *retry, uint64_t before, struct err *e)
{
    struct err other = {0};
    struct http_answer none = {.failure = HTTP_FAIL_BROKEN};
    uint64_t gained = u->done > before ? u->done - before : 0;
    int64_t ms = retry_delay_ms(retry, u->s->c->retries, &none, gained);
    if (ms < 0) return retry->total ? err_wrap(e, "gave up after %u tries", retry->total + 1) : -1;
    if (u->wait_ms > ms) ms = u->wait_ms;
    if (!u->smaller) {
        job_notice(u->s->j, "retrying in %.1f s: %s", (double)ms / 1000, err_cause(e));
        task_sleep(u->s->c->tasks, ms * 1000000);
    }
    u->smaller = false;
    bool closed = u->done == u->size;
    if (u->whole) u->open = false;
    if (closed || u->whole) {
        int found = fetch_blob_find(u->s, &other);
        if (found > 0) return 1;
    }
    if (u->open && ask_status(u, &other) < 0) u->open = false;
    return 0;
}

int upload_blob(struct session *s, struct err *e)
{
    struct transfer_request *q = &s->j->q;
    struct upload u = {.s = s, .size = q->size, .whole = q->size <= AT_ONCE};
    struct retry retry = {0};
    if (q->from[0]) strv_take(&s->scopes, str_fmt("repository:%s:pull", q->from));
    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        uint64_t before = u.done;
        if (try_once(&u, e) == 0) return u.mounted;
        if (!u.passing) return -1;
        int rc = recover(&u, &retry, before, e);
        if (rc < 0) return -1;
        if (rc > 0) return 0;
    }
    return -1;
}
