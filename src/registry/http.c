// SPDX-License-Identifier: Apache-2.0
// One easy handle per exchange, all in one multi handle. The rules that keep an exchange honest sit
// here: http and https only, libcurl follows nothing by itself, sends no credentials of its own,
// reads no netrc, keeps no cookies, and every address is looked at before it is connected to.
#include "registry/http.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/own.h"
#include "base/vec.h"
#include "registry/header.h"
#include "registry/proxy.h"
#include "registry/tls.h"

#define CONNECT_S 15L
#define STALL_S 30U
#define STALL_RATE 100 // bytes a second; a trickle below it is a stall
#define RECEIVE_BUFFER (512L << 10)
#define SEND_BUFFER (512L << 10)
#define EXPECT_FROM ((uint64_t)4 << 20) // ask before sending a body of this size
#define IDLE_CONNECTIONS 32L
#define TASK_FDS 64
#define PAUSE_MS 4 // how soon whoever was full is asked again

struct http {
    CURLM *multi;
    struct task_loop *tasks;
    struct exchange *paused; // a list
    unsigned stall_s;
    bool hashed_cas;
};

// One exchange under way.
struct exchange {
    struct http *h;
    CURL *easy;
    struct exchange *next_paused;
    bool paused;
    bool may_pause;
    const struct http_ask *q;
    struct http_answer *a;
    struct err *e;
    struct task *task;
    CURLcode code;
    bool done;
    bool failed; // *e was set by us
    bool began;
    uint64_t body_done;          // bytes of the request's body handed to libcurl
    int64_t mark_ns, mark_bytes; // since when, from where on the speed is looked at
    int64_t stall_ns;            // the longest time without STALL_RATE
    bool stalled;
    bool refused_address;
    enum addr_class refused;
    bool shows_client;   // a certificate of ours
    bool client_refused; // the server said that it does not do
};

int http_new(struct task_loop *tasks, struct http **out, struct err *e)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT)) return err_set(e, ERR_INTERNAL, "start libcurl");
    CURLM *multi = curl_multi_init();
    if (!multi) return err_set(e, ERR_INTERNAL, "start libcurl's multi interface");
    curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS);
    struct http *h = mem_alloc(sizeof *h);
    *h = (struct http){
        .multi = multi, .tasks = tasks, .stall_s = STALL_S, .hashed_cas = tls_is_hashed()};
    const char *z = getenv("DEWAR_REGISTRY_STALL"); // seconds; for slow lines and for tests
    uint64_t n;
    if (z && num_u64_max(sv_of(z), 86400, &n) && n > 0) h->stall_s = (unsigned)n;
    *out = h;
    return 0;
}

void http_free(struct http *h)
{
    if (!h) return;
    curl_multi_cleanup(h->multi);
    curl_global_cleanup();
    free(h);
}

void http_answer_fini(struct http_answer *a)
{
    str_fini(&a->headers);
    str_fini(&a->body);
}

bool http_header(const struct http_answer *a, const char *name, struct sv *out)
{
    return header_find(str_sv(&a->headers), name, 0, out);
}

bool http_encoded(const struct http_answer *a, struct sv *out)
{
    return http_header(a, "Content-Encoding", out) && out->n && !sv_eq_nocase(*out, SV("identity"));
}

// --- callbacks -------------------------------------------------------------------------------

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct exchange *x = arg;
    n *= size;
    struct sv line = sv_trim((struct sv){p, n});
    if (sv_starts(line, "HTTP/")) { // a new answer: what came before was "100 Continue"
        str_clear(&x->a->headers);
        return n;
    }
    if (line.n == 0) return n;
    if (memchr(line.p, '\0', line.n)) {
        x->failed = true;
        err_set(x->e, ERR_INPUT, "a header of the answer holds a NUL byte");
        return 0;
    }
    str_add(&x->a->headers, line);
    str_addc(&x->a->headers, '\n');
    if (x->a->headers.overflow) {
        x->failed = true;
        err_set(x->e, ERR_LIMIT, "the answer's headers are larger than %zu KiB",
                HTTP_HEADERS_MAX >> 10);
        return 0;
    }
    return n;
}

static int take_body(struct exchange *x, const char *p, size_t n)
{
    const struct http_ask *q = x->q;
    struct http_answer *a = x->a;
    bool good = a->status >= 200 && a->status < 300;
    a->got += n;
    if (good && q->take) return q->take(q->arg, p, n, x->e);
    str_add(&a->body, (struct sv){p, n});
    if (a->body.overflow)
        return err_set(x->e, ERR_LIMIT, "the answer is larger than %zu KiB",
                       (a->body.max ? a->body.max : HTTP_TEXT_MAX) >> 10);
    return 0;
}

// The status is known when the body, or the end, comes.
static int begin_body(struct exchange *x)
{
    if (x->began) return 0;
    x->began = true;
    long version = 0;
    curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &x->a->status);
    curl_easy_getinfo(x->easy, CURLINFO_HTTP_VERSION, &version);
    x->may_pause = x->q->full && version <= CURL_HTTP_VERSION_1_1;
    bool good = x->a->status >= 200 && x->a->status < 300;
    x->a->body.max = good && x->q->body_max ? x->q->body_max : HTTP_TEXT_MAX;
    return good && x->q->begin ? x->q->begin(x->q->arg, x->a, x->e) : 0;
}

static void pause_it(struct exchange *x)
{
    x->paused = x->a->waited = true;
    x->next_paused = x->h->paused;
    x->h->paused = x;
}

static void unlist(struct exchange *x)
{
    if (!x->paused) return;
    struct exchange **at = &x->h->paused;
    while (*at != x) at = &(*at)->next_paused;
    *at = x->next_paused;
    x->paused = false;
    x->mark_ns = 0; // a pause is no stall: the clock begins again
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct exchange *x = arg;
    n *= size;
    int rc = begin_body(x);
    if (rc == 0 && x->may_pause && x->q->full(x->q->arg)) {
        pause_it(x);
        return CURL_WRITEFUNC_PAUSE; // the same piece comes again
    }
    if (rc == 0) rc = take_body(x, p, n);
    if (rc == 0) return n;
    x->failed = true;
    return n + 1; // anything but n ends the exchange
}

static size_t on_send(char *p, size_t size, size_t n, void *arg)
{
    struct exchange *x = arg;
    const struct http_ask *q = x->q;
    uint64_t left = q->body_size - x->body_done;
    n *= size;
    if (n > left) n = (size_t)left;
    if (n == 0) return 0;
    ssize_t r;
    do r = pread(q->body_fd, p, n, (off_t)(q->body_at + x->body_done));
    while (r < 0 && errno == EINTR);
    if (r <= 0) {
        x->failed = true;
        if (r < 0)
            err_sys(x->e, "read what is to be sent");
        else
            err_set(x->e, ERR_CORRUPT, "what is to be sent ended after %llu of %llu bytes",
                    (unsigned long long)(q->body_at + x->body_done),
                    (unsigned long long)(q->body_at + q->body_size));
        return CURL_READFUNC_ABORT;
    }
    x->body_done += (uint64_t)r;
    x->a->sent = x->body_done;
    if (q->sent) q->sent(q->arg, x->body_done);
    return (size_t)r;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct exchange *x = arg;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > x->q->body_size)
        return CURL_SEEKFUNC_CANTSEEK;
    x->body_done = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

// Called at least once a second. libcurl's own limit on low speed averages over five seconds more.
static int on_time(void *arg, curl_off_t d_total, curl_off_t down, curl_off_t u_total,
                   curl_off_t up)
{
    struct exchange *x = arg;
    int64_t now = clock_mono_ns(), bytes = down + up;
    (void)d_total;
    (void)u_total;
    if (!x->mark_ns || x->paused || bytes - x->mark_bytes >= x->stall_ns / 1000000000 * STALL_RATE) {
        x->mark_ns = now;
        x->mark_bytes = bytes;
    }
    x->stalled = now - x->mark_ns > x->stall_ns;
    return x->stalled;
}

static int on_talk(CURL *easy, curl_infotype type, char *p, size_t n, void *arg)
{
    struct exchange *x = arg;
    (void)easy;
    if (type == CURLINFO_TEXT && tls_client_refused((struct sv){p, n})) x->client_refused = true;
    return 0;
}

// Where a name finally led: the check that no trick with names, numbers or DNS gets around.
static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *sa)
{
    struct exchange *x = arg;
    (void)purpose;
    if (!x->q->named && !x->a->proxied) {
        enum addr_class c = addr_of_socket(&sa->addr), literal;
        if (!addr_may_follow(x->q->origin, c, addr_of_literal(x->q->url->host, &literal))) {
            x->refused_address = true;
            x->refused = c;
            return CURL_SOCKET_BAD;
        }
    }
    return socket(sa->family, sa->socktype | SOCK_CLOEXEC, sa->protocol);
}

// --- setting up ------------------------------------------------------------------------------

static void free_headers(struct curl_slist *list)
{
    for (struct curl_slist *i = list; i; i = i->next) explicit_bzero(i->data, strlen(i->data));
    curl_slist_free_all(list);
}

static struct curl_slist *make_headers(const struct http_ask *q)
{
    struct curl_slist *list = NULL;
    if (q->headers) vec_each(line, q->headers) list = curl_slist_append(list, *line);
    if (q->authorization && q->authorization->n) {
        size_t n = q->authorization->n;
        char *line = mem_alloc(n + 20);
        snprintf(line, n + 20, "Authorization: %.*s", (int)n, q->authorization->p);
        list = curl_slist_append(list, line);
        explicit_bzero(line, n + 20);
        free(line);
    }
    bool large = q->file_body && q->body_size >= EXPECT_FROM;
    return curl_slist_append(list, large ? "Expect: 100-continue" : "Expect:");
}

static void set_body(CURL *easy, struct exchange *x)
{
    const struct http_ask *q = x->q;
    if (q->file_body) {
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)q->body_size);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_send);
        curl_easy_setopt(easy, CURLOPT_READDATA, x);
        curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
        curl_easy_setopt(easy, CURLOPT_SEEKDATA, x);
        curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, SEND_BUFFER);
        curl_easy_setopt(easy, CURLOPT_EXPECT_100_TIMEOUT_MS, 500L);
    } else if (q->has_body) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body.n);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, q->body.n ? q->body.p : "");
    } else if (strcmp(q->method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    }
    if (strcmp(q->method, "HEAD") != 0) curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, q->method);
}

static void set_limits(CURL *easy, const struct http_ask *q)
{
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, q->take ? RECEIVE_BUFFER : 16L << 10);
}

static int set_up(struct exchange *x, struct curl_slist *headers, struct err *e)
{
    const struct http_ask *q = x->q;
    struct http *h = x->h;
    CURL *easy = x->easy;
    curl_easy_setopt(easy, CURLOPT_URL, q->url->text);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "dewar/" DEWAR_VERSION);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE); // nothing for proxies
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, x);
    curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, x);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, x);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, on_time);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, x);
    x->stall_ns = (int64_t)h->stall_s * (q->patience ? q->patience : 1) * 1000000000;
    set_limits(easy, q);
    set_body(easy, x);
    own(str) struct str proxy = {0};
    x->a->proxied = proxy_find(q->url, &proxy);
    curl_easy_setopt(easy, CURLOPT_PROXY, str_z(&proxy)); // "": none, whatever curl would find
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    if (q->url->https) {
        // TLS 1.3 tells us of a refused certificate when all seemed well, and libcurl calls that a
        // broken connection. What it says about alerts is the one way to know.
        curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
        curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, on_talk);
        curl_easy_setopt(easy, CURLOPT_DEBUGDATA, x);
    }
    const struct tls_wish wish = {q->ca_dir, q->show_client, q->unverified, h->hashed_cas};
    int rc = tls_set_up(easy, &wish, e);
    x->shows_client = rc > 0;
    return rc < 0 ? -1 : 0;
}

// --- how it ended ----------------------------------------------------------------------------

static const struct {
    CURLcode code;
    enum http_failure failure;
} failures[] = {
    {CURLE_COULDNT_RESOLVE_HOST, HTTP_FAIL_NAME},
    {CURLE_COULDNT_RESOLVE_PROXY, HTTP_FAIL_NAME},
    {CURLE_COULDNT_CONNECT, HTTP_FAIL_CONNECT},
    {CURLE_SSL_CONNECT_ERROR, HTTP_FAIL_NOT_TLS},
    {CURLE_PEER_FAILED_VERIFICATION, HTTP_FAIL_CERT},
    {CURLE_SSL_ISSUER_ERROR, HTTP_FAIL_CERT},
    {CURLE_SSL_CERTPROBLEM, HTTP_FAIL_OURS},
    {CURLE_SSL_CACERT_BADFILE, HTTP_FAIL_OURS},
    {CURLE_SSL_CIPHER, HTTP_FAIL_OURS},
    {CURLE_UNSUPPORTED_PROTOCOL, HTTP_FAIL_OURS},
    {CURLE_URL_MALFORMAT, HTTP_FAIL_OURS},
    {CURLE_WEIRD_SERVER_REPLY, HTTP_FAIL_OURS},
};

static enum http_failure failure_of(CURL *easy, CURLcode code)
{
    curl_off_t ready = 0; // when the connection, with TLS, was there; 0: never
    curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &ready);
    if ((code == CURLE_OPERATION_TIMEDOUT || code == CURLE_ABORTED_BY_CALLBACK) && ready == 0)
        return HTTP_FAIL_SILENT;
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
        if (failures[i].code == code) return failures[i].failure;
    return HTTP_FAIL_BROKEN;
}

// libcurl has a limit for one line, and until 8.6 called it a lack of memory.
static bool is_header_too_long(CURLcode code)
{
#if LIBCURL_VERSION_NUM >= 0x080600
    if (code == CURLE_TOO_LARGE) return true;
#endif
    return code == CURLE_OUT_OF_MEMORY;
}

static void give_hint(enum http_failure f, const struct http_ask *q, bool proxied, struct err *e)
{
    char port[16] = "";
    if (q->url->port != 443) snprintf(port, sizeof port, ":%u", q->url->port);
    if (f == HTTP_FAIL_CLIENT)
        err_hint(e, HTTP_HINT_CLIENT, q->url->host, port);
    else if (f == HTTP_FAIL_NAME)
        err_hint(e, "is the name '%s' spelled right, and does this machine have a name server?",
                 q->url->host);
    else if (f == HTTP_FAIL_CERT)
        err_hint(e,
                 "put its CA as a .crt file into /etc/docker/certs.d/%s%s, or use "
                 "--tls-verify=false",
                 q->url->host, port);
    else if (f == HTTP_FAIL_CONNECT && proxied)
        err_hint(e, "the connection goes through the proxy of the environment (https_proxy)");
}

static int fail(CURL *easy, struct exchange *x, const char *detail, struct err *e)
{
    struct http_answer *a = x->a;
    if (x->failed) {
        a->failure = HTTP_FAIL_OURS;
        return -1;
    }
    if (x->refused_address && x->code == CURLE_COULDNT_CONNECT) {
        a->failure = HTTP_FAIL_OURS;
        return err_set(e, ERR_INPUT, "refused to be sent to '%s:%u': it is a %s address",
                       x->q->url->host, x->q->url->port, addr_class_name(x->refused));
    }
    if (is_header_too_long(x->code)) {
        a->failure = HTTP_FAIL_OURS;
        return err_set(e, ERR_LIMIT, "a header of '%s' is too long", x->q->url->host);
    }
    a->failure = x->client_refused ? HTTP_FAIL_CLIENT : failure_of(easy, x->code);
    char silence[64];
    snprintf(silence, sizeof silence, "stalled for %lld seconds",
             (long long)(x->stall_ns / 1000000000));
    own(str) struct str url = {0};
    long os = 0;
    curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os);
    url_print_short(x->q->url, &url);
    if (x->client_refused)
        detail = x->shows_client ? "the server does not take our client certificate"
                                 : "the server demands a client certificate";
    const char *why = x->stalled ? silence : detail[0] ? detail : curl_easy_strerror(x->code);
    err_set(e, ERR_SYSTEM, "%s %s: %.300s", x->q->method, str_z(&url), why);
    e->sys = (int)os;
    if (x->code == CURLE_SSL_CERTPROBLEM)
        err_hint(e, "is the key that of the certificate beside it, and may you read both?");
    give_hint(a->failure, x->q, a->proxied, e);
    return -1;
}

static void note_address(CURL *easy, struct http_answer *a)
{
    const char *ip = NULL;
    a->address = ADDR_PUBLIC;
    if (a->proxied || curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &ip) || !ip) return;
    addr_of_literal(ip, &a->address);
}

static void own_easy(CURL **c)
{
    if (*c) curl_easy_cleanup(*c);
}
static void own_headers(struct curl_slist **l)
{
    free_headers(*l);
}

static int exchange_once(struct http *h, const struct http_ask *q, struct http_answer *a,
                         struct err *e)
{
    char detail[CURL_ERROR_SIZE] = "";
    str_clear(&a->headers);
    str_clear(&a->body);
    a->headers.overflow = a->body.overflow = false;
    a->headers.max = HTTP_HEADERS_MAX;
    a->status = 0;
    a->got = a->sent = 0;
    a->waited = false;
    a->failure = HTTP_FAIL_OURS;
    own(headers) struct curl_slist *headers = make_headers(q);
    own(easy) CURL *easy = curl_easy_init();
    if (!easy) return err_set(e, ERR_INTERNAL, "make a handle of libcurl");
    struct exchange x = {
        .h = h, .easy = easy, .q = q, .a = a, .e = e, .task = task_self(h->tasks)};
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, detail);
    if (set_up(&x, headers, e) < 0) return -1;
    CURLMcode rc = curl_multi_add_handle(h->multi, easy);
    if (rc) return err_set(e, ERR_INTERNAL, "libcurl: %s", curl_multi_strerror(rc));
    while (!x.done) task_wait(h->tasks);
    unlist(&x);
    curl_multi_remove_handle(h->multi, easy);
    note_address(easy, a);
    if (x.code == CURLE_OK && begin_body(&x) < 0) x.failed = true;
    if (x.code != CURLE_OK || x.failed) return fail(easy, &x, detail, e);
    a->failure = HTTP_FAIL_NONE;
    return 0;
}

// What can be told without a connection; the only check where a proxy makes it for us.
static int check_target(const struct http_ask *q, struct http_answer *a, struct err *e)
{
    enum addr_class c = ADDR_LOOPBACK;
    bool literal = addr_of_literal(q->url->host, &c);
    struct sv host = sv_of(q->url->host);
    bool here = sv_eqz(host, "localhost") || sv_ends(host, ".localhost");
    if (q->named || (!literal && !here) || addr_may_follow(q->origin, c, literal)) return 0;
    a->failure = HTTP_FAIL_OURS;
    a->status = 0;
    return err_set(e, ERR_INPUT, "refused to be sent to '%s:%u': it is a %s address", q->url->host,
                   q->url->port, addr_class_name(c));
}

int http_ask(struct http *h, const struct http_ask *q, struct http_answer *a, struct err *e)
{
    if (check_target(q, a, e) < 0) return -1;
    bool hashed = h->hashed_cas;
    int rc = exchange_once(h, q, a, e);
    if (rc == 0 || a->failure != HTTP_FAIL_CERT || !hashed) return rc;
    // The folder of CAs lacks it; the file with all of them may have been added to by hand.
    h->hashed_cas = false;
    return exchange_once(h, q, a, e);
}

// --- the loop --------------------------------------------------------------------------------

static struct exchange *next_done(struct http *h)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(h->multi, &left))) {
        struct exchange *x = NULL;
        if (m->msg != CURLMSG_DONE) continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &x);
        x->code = m->data.result;
        x->done = true;
        return x;
    }
    return NULL;
}

static struct curl_waitfd wait_of(const struct pollfd *p)
{
    struct curl_waitfd w = {.fd = p->fd};
    if (p->events & POLLIN) w.events |= CURL_WAIT_POLLIN;
    if (p->events & POLLOUT) w.events |= CURL_WAIT_POLLOUT;
    return w;
}

// Those that are still full stay as they are.
static void go_on(struct http *h)
{
    struct exchange *next;
    for (struct exchange *x = h->paused; x; x = next) {
        next = x->next_paused;
        if (x->q->full(x->q->arg)) continue;
        unlist(x);
        curl_easy_pause(x->easy, CURLPAUSE_CONT); // may call on_body, which may pause it again
    }
}

int http_poll(struct http *h, int extra_fd, short extra_events, int timeout_ms, struct err *e)
{
    int running;
    struct pollfd fds[TASK_FDS + 1];
    struct curl_waitfd extra[TASK_FDS + 1];
    bool more;
    size_t n = task_poll_list(h->tasks, fds, TASK_FDS, &more);
    if (extra_fd >= 0) fds[n++] = (struct pollfd){.fd = extra_fd, .events = extra_events};
    for (size_t i = 0; i < n; i++) extra[i] = wait_of(&fds[i]);
    if (more && timeout_ms > TASK_LOOK_MS) timeout_ms = TASK_LOOK_MS;
    if (h->paused && (timeout_ms < 0 || timeout_ms > PAUSE_MS)) timeout_ms = PAUSE_MS;
    CURLMcode rc = curl_multi_poll(h->multi, extra, (unsigned)n, timeout_ms, NULL);
    go_on(h);
    if (!rc) rc = curl_multi_perform(h->multi, &running);
    if (rc) return err_set(e, ERR_INTERNAL, "libcurl: %s", curl_multi_strerror(rc));
    // A task that is woken may take its handle out and add another one: ask again each time.
    for (struct exchange *x; (x = next_done(h));) task_wake(h->tasks, x->task);
    task_wake_ready(h->tasks);
    return 0;
}
