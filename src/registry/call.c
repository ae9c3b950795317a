// SPDX-License-Identifier: Apache-2.0
// One call to a registry, with all that the protocol puts around it: plain HTTP where it is allowed
// and https is not spoken, credentials after a 401, redirects by hand (each target is a new origin:
// checked, and without our credentials), and further tries after what passes by itself.
#include <string.h>

#include "base/own.h"
#include "codec/json.h"
#include "registry/header.h"
#include "registry/internal.h"

#define FULL_MS 10

void call_fini(struct call *c)
{
    strv_fini(&c->headers);
}

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static int next_hop(const struct call *c, const struct http_answer *a, struct url *at,
                    struct err *e)
{
    struct sv value;
    char text[TRANSFER_URL];
    bool keeps_method = a->status == 307 || a->status == 308;
    if (!keeps_method && strcmp(c->method, "GET") != 0 && strcmp(c->method, "HEAD") != 0)
        return err_set(e, ERR_INPUT, "'%s' redirects a %s with status %ld", at->host, c->method,
                       a->status);
    if (!http_header(a, "Location", &value))
        return err_set(e, ERR_INPUT, "'%s' answered %ld without a Location", at->host, a->status);
    if (value.n >= sizeof text)
        return err_set(e, ERR_LIMIT, "the redirect of '%s' is longer than %zu bytes", at->host,
                       sizeof text - 1);
    memcpy(text, value.p, value.n);
    text[value.n] = '\0';
    bool was_https = at->https;
    if (url_resolve(at, text, at, e) < 0) return err_wrap(e, "a redirect of '%s'", c->url.host);
    if (was_https && !at->https)
        return err_set(e, ERR_INPUT, "'%s' redirects from https to plain http ('%s')", c->url.host,
                       at->host);
    return 0;
}

// What is allowed towards `at` depends on whose it is.
static void set_rights(struct http_ask *ask, const struct call_home *home,
                       const struct secret *authorization, const struct url *at, bool strayed)
{
    bool same_host = strcmp(at->host, home->url.host) == 0;
    bool same = url_same_origin(at, &home->url);
    ask->url = at;
    ask->authorization = same ? authorization : NULL;
    // The host that a person named, unless a stranger sends us back to another port of it.
    ask->named = home->named && (same || (same_host && !strayed));
    ask->ca_dir = home->ca_dir;
    ask->show_client = same;
    ask->unverified = same_host && home->unverified;
}

// One try: the request and its redirects.
static int follow(struct http *http, struct call_home *home, struct call *c,
                  const struct secret *authorization, struct http_answer *a, struct err *e)
{
    own(strv) struct strv headers = {0};
    strv_add_all(&headers, &c->headers);
    if (c->prepare) c->prepare(c->arg, &headers);
    struct http_ask ask = {.method = c->method,
                           .headers = &headers,
                           .patience = c->patience,
                           .body = c->body,
                           .has_body = c->has_body,
                           .body_fd = c->body_fd,
                           .file_body = c->file_body,
                           .body_at = c->body_at,
                           .body_size = c->body_size,
                           .begin = c->begin,
                           .take = c->take,
                           .sent = c->sent,
                           .full = c->full,
                           .arg = c->arg,
                           .body_max = c->body_max};
    bool starts_home = strcmp(c->url.host, home->url.host) == 0 && home->named;
    ask.origin = starts_home ? ADDR_LINK_LOCAL : home->address;
    c->ended = c->url;
    bool strayed = false;
    for (unsigned hop = 0; hop <= CALL_REDIRECTS; hop++) {
        set_rights(&ask, home, authorization, &c->ended, strayed);
        if (http_ask(http, &ask, a, e) < 0)
            return hop == 0 ? -1 : err_wrap(e, "redirected by '%s'", c->url.host);
        if (hop == 0 && starts_home) home->address = a->address;
        if (!is_redirect(a->status)) return 0;
        // The most distant of all origins rules: nobody gets nearer by a chain of redirects.
        if (a->address < ask.origin) ask.origin = a->address;
        if (strcmp(c->ended.host, home->url.host) != 0) strayed = true;
        if (next_hop(c, a, &c->ended, e) < 0) {
            a->failure = HTTP_FAIL_OURS;
            return -1;
        }
    }
    a->failure = HTTP_FAIL_OURS;
    return err_set(e, ERR_LIMIT, "'%s' redirects more than %d times", c->url.host, CALL_REDIRECTS);
}

static int as_plain(struct url *u, struct err *e)
{
    own(str) struct str text = {0};
    str_addf(&text, "http%s", u->text + strlen("https"));
    return url_parse(str_z(&text), u, e);
}

static int go_plain(struct call_home *home, struct call *c, struct err *e)
{
    if (url_same_origin(&c->url, &home->url) && as_plain(&c->url, e) < 0) return -1;
    return as_plain(&home->url, e);
}

// https did not come to be: the same by plain HTTP.
static int try_plain(struct http *http, struct call_home *home, struct client_host *host,
                     struct call *c, const struct secret *authorization, struct http_answer *a,
                     struct err *e)
{
    struct err plain_err = {0};
    struct url kept = c->url, kept_home = home->url;
    enum http_failure failure = a->failure;
    if (go_plain(home, c, &plain_err) < 0) return -1;
    int rc = follow(http, home, c, authorization, a, &plain_err);
    if (rc == 0 || a->status != 0 || host->http) { // whatever came then, it was HTTP
        host->http = true;
        host->answered = host->answered || a->status != 0;
        if (rc < 0) *e = plain_err;
        return rc;
    }
    c->url = kept;
    home->url = kept_home;
    if (a->failure == HTTP_FAIL_CONNECT) {
        a->failure = failure; // the first failure says more
        return rc;
    }
    err_wrap(&plain_err, "https was tried first: %.200s", err_cause(e));
    *e = plain_err;
    return rc;
}

// https first, always. Plain HTTP only at a place where that is allowed, and only when no TLS came
// to be at all: a certificate that we do not believe is an error there too. Another task may find
// out meanwhile which it is.
static int with_scheme(struct http *http, struct call_home *home, struct client_host *host,
                       struct call *c, const struct secret *authorization, struct http_answer *a,
                       struct err *e)
{
    if (home->plain && home->url.https && host->http && go_plain(home, c, e) < 0) return -1;
    int rc = follow(http, home, c, authorization, a, e);
    if (rc == 0) {
        host->answered = true;
        return 0;
    }
    bool here = url_same_origin(&c->url, &home->url) && url_same_origin(&c->ended, &c->url);
    bool no_tls = a->failure == HTTP_FAIL_NOT_TLS || a->failure == HTTP_FAIL_CONNECT;
    bool open = home->plain && home->url.https && (host->http || !host->answered);
    return open && here && no_tls ? try_plain(http, home, host, c, authorization, a, e) : rc;
}

static bool worth_a_retry(const struct client_host *host, const struct http_answer *a, int rc)
{
    if (rc == 0) return retry_status(a->status);
    if (a->failure == HTTP_FAIL_BROKEN) return true;
    bool lost = a->failure == HTTP_FAIL_CONNECT || a->failure == HTTP_FAIL_NAME ||
                a->failure == HTTP_FAIL_SILENT || a->failure == HTTP_FAIL_NOT_TLS;
    return lost && host->answered;
}

// A connection that nobody reads from would only be closed by the other side.
static void wait_for_reader(struct job *j, const struct call *c)
{
    while (c->full && c->full(c->arg)) task_sleep(j->c->tasks, FULL_MS * 1000000);
}

static int with_retries(struct job *j, struct call_home *home, struct client_host *host,
                        struct call *c, const struct secret *authorization, struct http_answer *a,
                        struct err *e)
{
    struct retry retry = {0};
    for (;;) {
        wait_for_reader(j, c);
        uint64_t before = c->progress ? *c->progress : 0;
        int rc = with_scheme(j->c->http, home, host, c, authorization, a, e);
        if (c->once || !worth_a_retry(host, a, rc)) return rc;
        uint64_t gained = c->progress && *c->progress > before ? *c->progress - before : 0;
        int64_t ms = retry_delay_ms(&retry, j->c->retries, a, gained);
        if (ms < 0 && rc < 0 && retry.total)
            return err_wrap(e, "gave up after %u tries", retry.total + 1);
        if (ms < 0) return rc;
        if (rc < 0)
            job_notice(j, "retrying in %.1f s: %s", (double)ms / 1000, err_cause(e));
        else
            job_notice(j, "retrying in %.1f s: '%s' answered %ld", (double)ms / 1000, c->ended.host,
                       a->status);
        task_sleep(j->c->tasks, ms * 1000000);
    }
}

int call_plain(struct job *j, struct call_home *home, struct call *c,
               const struct secret *authorization, struct http_answer *a, struct err *e)
{
    own(str) struct str name = {0};
    str_addf(&name, "%s:%u", home->url.host, home->url.port);
    return with_retries(j, home, client_host(j->c, str_z(&name)), c, authorization, a, e);
}

// Twice: the first 401 says what is wanted, the second that a token we had is no longer good. A large
// download may outlive many.
#define CHALLENGES 2

int call_do(struct session *s, struct call *c, struct http_answer *a, struct err *e)
{
    for (unsigned round = 0;; round++) {
        own(secret) struct secret authorization = {0};
        uint64_t before = c->progress ? *c->progress : 0;
        if (auth_header(s, &authorization, e) < 0) return -1;
        if (with_retries(s->j, &s->home, s->host, c, &authorization, a, e) < 0) return -1;
        bool ours = a->status == 401 && url_same_origin(&c->ended, &s->home.url);
        if (c->progress && *c->progress - before >= RETRY_GAIN) round = 0;
        if (!ours || round == CHALLENGES) return 0;
        int again = auth_challenged(s, a, &authorization, e);
        if (again <= 0) return again;
    }
}

// --- what a refusal means --------------------------------------------------------------------

static const struct {
    long status;
    const char *text;
    enum err_kind kind;
} statuses[] = {
    {400, "Bad Request", ERR_INPUT},
    {401, "Unauthorized", ERR_INPUT},
    {403, "Forbidden", ERR_INPUT},
    {404, "Not Found", ERR_NOT_FOUND},
    {405, "Method Not Allowed", ERR_UNSUPPORTED},
    {413, "Payload Too Large", ERR_LIMIT},
    {415, "Unsupported Media Type", ERR_INPUT},
    {416, "Range Not Satisfiable", ERR_INPUT},
    {429, "Too Many Requests", ERR_LIMIT},
    {500, "Internal Server Error", ERR_SYSTEM},
    {502, "Bad Gateway", ERR_SYSTEM},
    {503, "Service Unavailable", ERR_SYSTEM},
    {504, "Gateway Timeout", ERR_SYSTEM},
};

// {"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}
static void registry_words(const struct http_answer *a, struct str *out)
{
    struct err ignored = {0};
    own(codec_json) struct codec_json *j = NULL;
    struct sv type, text = {0};
    if (codec_json_parse(str_sv(&a->body), "the error", &j, &ignored) == 0) {
        if (codec_json_type(j) != CODEC_JSON_OBJECT) return;
        const struct codec_json *list = codec_json_get(j, "errors"), *first = NULL;
        if (list && codec_json_type(list) == CODEC_JSON_ARRAY) first = codec_json_at(list, 0);
        if (first && codec_json_type(first) == CODEC_JSON_OBJECT) {
            text = codec_json_text(codec_json_get(first, "message"));
            if (text.n == 0) text = codec_json_text(codec_json_get(first, "code"));
        }
        static const char *const others[] = {"details", "message", "error_description", "error"};
        for (size_t i = 0; !text.n && i < sizeof others / sizeof *others; i++) {
            const struct codec_json *v = codec_json_get(j, others[i]);
            if (v) text = codec_json_text(v);
        }
    } else if (http_header(a, "Content-Type", &type) && sv_starts(type, "text/plain")) {
        text = sv_trim(str_sv(&a->body));
    }
    str_add(out, sv_part(text, 0, 300));
}

static void hint(const struct session *s, long status, struct err *e)
{
    const struct oci_ref *ref = &s->j->q.ref;
    if (status == 401 || status == 403)
        err_hint(e, "log in with 'dewar login %s', or check that the name is right%s", ref->host,
                 status == 403 ? " and that you may do this" : "");
    else if (status == 404 && s->j->q.op == TRANSFER_BLOB_GET)
        return; // the name is right: there was a manifest. Who asked may know why
    else if (status == 404)
        err_hint(e, "is the name right? '%s/%s%s%s' is what was asked for", ref->host, ref->name,
                 ref->tag[0] ? ":" : "", ref->tag);
    else if (status == 429)
        err_hint(e, "'dewar login %s' may raise the limit; else wait a while", ref->host);
    else if (status == 413)
        err_hint(e, "a proxy in front of the registry limits the size of uploads");
}

int call_status(const char *who, const struct http_answer *a, struct err *e)
{
    enum err_kind kind = a->status >= 500 ? ERR_SYSTEM : ERR_INPUT;
    const char *text = "";
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (statuses[i].status == a->status) text = statuses[i].text, kind = statuses[i].kind;
    own(str) struct str words = {0};
    registry_words(a, &words);
    return err_set(e, kind, "'%s' answered %ld%s%s%s%s", who, a->status, text[0] ? " " : "", text,
                   words.n ? ": " : "", str_z(&words));
}

int call_check_encoding(const char *who, const struct http_answer *a, struct err *e)
{
    struct sv coding;
    if (!http_encoded(a, &coding)) return 0;
    return err_set(e, ERR_INPUT, "'%s' sent its answer in the encoding '%.*s', unasked", who,
                   (int)(coding.n < 50 ? coding.n : 50), coding.p);
}

// What a registry says is worth nothing as a proof; as a contradiction it is.
int call_check_digest(const struct session *s, const struct http_answer *a,
                      const struct oci_digest *real, struct err *e)
{
    struct sv v;
    struct oci_digest said;
    struct err ignored;
    if (!http_header(a, "Docker-Content-Digest", &v) || oci_digest_parse(v, &said, &ignored) < 0 ||
        oci_digest_eq(real, &said))
        return 0;
    err_set(e, ERR_INPUT, "'%s' says that the digest is 'sha256:%s', and it is 'sha256:%s'",
            s->place.host, said.hex, real->hex);
    return err_hint(e, "the registry's copy is damaged, or something on the way changed it");
}

// nginx lets everybody in, and says in a page of its own what it misses.
static bool wants_client(const struct http_answer *a)
{
    return a->status == 400 && a->body.n && strstr(str_z(&a->body), "SSL certificate");
}

int call_refused(const struct session *s, const struct http_answer *a, struct err *e)
{
    if (wants_client(a)) {
        err_set(e, ERR_INPUT, "'%s' demands a client certificate, or another one", s->place.host);
        return err_hint(e, HTTP_HINT_CLIENT, s->place.host, "");
    }
    call_status(s->place.host, a, e);
    hint(s, a->status, e);
    return -1;
}
