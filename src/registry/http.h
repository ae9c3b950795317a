// SPDX-License-Identifier: Apache-2.0
// HTTP by libcurl's multi interface: many exchanges in one poll loop, connections kept alive and
// shared, HTTP/2 where TLS offers it. The layer does single exchanges and knows nothing of
// registries: redirects, credentials and retries belong to the caller. Every wait inside gives
// way to other tasks.
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "registry/addr.h"
#include "registry/task.h"
#include "registry/url.h"

#define HTTP_TEXT_MAX ((size_t)1 << 20)     // of an error or a token
#define HTTP_HEADERS_MAX ((size_t)64 << 10) // of one answer

// Takes the host and ":port" or "".
#define HTTP_HINT_CLIENT                                                                           \
    "a client certificate is a pair NAME.cert and NAME.key in /etc/docker/certs.d/%s%s"

struct http;
int http_new(struct task_loop *tasks, struct http **out, struct err *e);
void http_free(struct http *h);
// Waits for work (of `extra_fd` too) at most timeout_ms and does it. `extra_events` as for poll.
int http_poll(struct http *h, int extra_fd, short extra_events, int timeout_ms, struct err *e);

enum http_failure {
    HTTP_FAIL_NONE,
    HTTP_FAIL_NAME,    // the host's name does not resolve
    HTTP_FAIL_CONNECT, // nobody there, or no way
    HTTP_FAIL_SILENT,  // connected, perhaps, but nothing came before the time was over
    HTTP_FAIL_NOT_TLS, // a connection, but no TLS handshake
    HTTP_FAIL_CERT,    // a certificate that we do not believe
    HTTP_FAIL_CLIENT,  // the server wants a certificate of ours, or another one
    HTTP_FAIL_BROKEN,  // reset, cut off, stalled: worth another try
    HTTP_FAIL_OURS,    // a callback or a rule of ours said no
    HTTP_FAIL_COUNT,
};

struct http_answer {
    enum http_failure failure; // of http_ask's -1
    long status;
    struct str headers;      // "Name: value\n" of the last answer
    struct str body;         // unless `take` took it; errors always
    bool proxied;            // the connection went to a proxy
    bool waited;             // for q->full to say no: a server may have lost its patience then
    enum addr_class address; // of the peer, PUBLIC when proxied
    uint64_t got, sent;      // bytes of body
};
void http_answer_fini(struct http_answer *a);
static inline void own_http_answer(struct http_answer *a)
{
    http_answer_fini(a);
}

struct http_ask {
    const char *method;
    const struct url *url;
    const struct strv *headers;         // "Name: value"
    const struct secret *authorization; // the header's value; NULL or empty: none
    const char *ca_dir;                 // a certs.d folder, "" none
    bool show_client;                   // the folder's client certificate too
    bool unverified;                    // any certificate will do
    bool named;                         // a person named this host: any address will do
    enum addr_class origin;             // else: who sent us here
    unsigned patience;                  // as many times the usual stall; 0: once
    // The body: a text, or a part of a file.
    struct sv body;
    bool has_body;
    int body_fd; // when body_size or file_body is set
    bool file_body;
    uint64_t body_at, body_size;
    // Where a good answer's body goes. begin is called at its start (headers are there), take for
    // each piece; both may fail with *e, which ends the exchange. take NULL: into answer.body.
    int (*begin)(void *arg, const struct http_answer *a, struct err *e);
    int (*take)(void *arg, const void *p, size_t n, struct err *e);
    void (*sent)(void *arg, uint64_t n);
    // Whether `take` wants no more for now: asked before each piece, and again every few milliseconds
    // until it says no. NULL: never. (Not asked with HTTP/2, where libcurl would go on and buffer.)
    bool (*full)(void *arg);
    void *arg;
    size_t body_max; // of answer.body; 0: HTTP_TEXT_MAX
};
// 0: an answer came to its end, whatever its status. -1: a->failure and *e say why not.
int http_ask(struct http *h, const struct http_ask *q, struct http_answer *a, struct err *e);
// An encoding that nobody asked for: its bytes are not the content. *out: its name.
bool http_encoded(const struct http_answer *a, struct sv *out);
bool http_header(const struct http_answer *a, const char *name, struct sv *out);
