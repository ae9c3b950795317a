// SPDX-License-Identifier: Apache-2.0
// The registry client from inside: a *client* is the running helper, a *job* is one request of the
// asker on a task of its own, a *session* is that request at one place (a mirror, then the registry
// itself), a *call* is one exchange with all that belongs to it: credentials, redirects, retries.
#pragma once

#include "base/map.h"
#include "base/str.h"
#include "base/vec.h"
#include "oci/transfer.h"
#include "registry/credentials.h"
#include "registry/http.h"
#include "registry/places.h"
#include "registry/task.h"

// What we learned about a host[:port] while running.
struct client_host {
    char host[256];
    bool http;     // https did not answer there, and plain HTTP may be used
    bool answered; // so a refused connection is worth another try
    bool dead;     // a mirror that could not be reached: not asked again
};

struct auth;
struct client {
    struct task_loop *tasks;
    struct http *http;
    struct auth *auth;
    struct map hosts;  // struct client_host by name
    struct map places; // struct registry_places by host and name
    unsigned retries;
    void (*reply)(void *arg, const struct transfer_reply *r); // progress and notices
    void *arg;
};
int client_init(struct client *c, struct err *e);
void client_fini(struct client *c);
struct client_host *client_host(struct client *c, const char *host);

struct job {
    struct client *c;
    struct transfer_request q;
    int fd; // -1 none
    struct transfer_reply r;
    int64_t told_ns; // when progress was last sent; 0 never
    uint64_t done;   // BLOB_GET: bytes in the file, whatever place they came from
};
// Runs a whole request; what is in j->r afterwards goes back as DONE.
int job_run(struct job *j, struct err *e);
void job_progress(struct job *j, uint64_t done, uint64_t total); // at most 20 times a second
void job_notice(struct job *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// An origin (scheme, host, port) that we deal with: credentials and client certificates go there
// and nowhere else.
struct call_home {
    struct url url;          // its origin counts
    const char *ca_dir;      // CAs besides the system's, good for where it sends us too; "" none
    bool unverified;         // any certificate of this host will do
    bool plain;              // http may be tried where https is not spoken
    bool named;              // a person named its host, so it may have any address
    enum addr_class address; // of its last answer; before the first one: of who sent us here
};

struct session {
    struct job *j;
    struct client *c;
    struct registry_place place;
    struct call_home home;
    struct client_host *host;
    struct strv scopes; // what tokens are asked for: "repository:library/debian:pull"
    const struct registry_credential *given; // instead of those on disk (login); NULL
    struct secret *refresh; // login: asks for a refresh token and puts it here; NULL
};
void session_fini(struct session *s);
static inline void own_session(struct session *s)
{
    session_fini(s);
}
// Calls fn at each place in turn, mirrors first, until one succeeds. A failure of a mirror is told
// and goes on; NOT_FOUND too.
int session_each(struct job *j, const char *actions, int (*fn)(struct session *s, struct err *e),
                 struct err *e);
// At the registry itself, never at a mirror; for writing, where pushes go. actions NULL: the whole
// registry, no repository.
int session_push(struct job *j, const char *actions, int (*fn)(struct session *s, struct err *e),
                 struct err *e);
int session_home(struct job *j, const char *actions, int (*fn)(struct session *s, struct err *e),
                 struct err *e);
// "/v2/NAME/..." below the place, by the scheme that works there.
int session_url(const struct session *s, struct url *out, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#define CALL_REDIRECTS 10

struct call {
    const char *method;
    struct url url;
    struct strv headers; // none of them secret: redirects get them too
    struct sv body;
    bool has_body;
    int body_fd;
    bool file_body;
    uint64_t body_at, body_size;
    size_t body_max;
    unsigned patience; // for slow answers: as many times the usual stall
    bool once;         // no retries: the caller knows better what to do after a break
    // Before each try: range headers and the like. May be NULL.
    void (*prepare)(void *arg, struct strv *headers);
    int (*begin)(void *arg, const struct http_answer *a, struct err *e);
    int (*take)(void *arg, const void *p, size_t n, struct err *e);
    void (*sent)(void *arg, uint64_t n);
    bool (*full)(void *arg); // see http.h
    void *arg;
    const uint64_t *progress; // grows while bytes arrive: then a break costs no try. May be NULL
    struct url ended;         // where redirects led
};
void call_fini(struct call *c);
static inline void own_call(struct call *c)
{
    call_fini(c);
}
// 0: an answer (any status but those that were retried in vain); the caller looks at a->status.
int call_do(struct session *s, struct call *c, struct http_answer *a, struct err *e);
// The same outside a session: nothing is asked for credentials but `authorization` (may be NULL).
int call_plain(struct job *j, struct call_home *home, struct call *c,
               const struct secret *authorization, struct http_answer *a, struct err *e);
// -1 with what an answer's status means: registry, status, its own words, a hint.
int call_refused(const struct session *s, const struct http_answer *a, struct err *e);
// The same without a hint that belongs to registries. `who` answered.
int call_status(const char *who, const struct http_answer *a, struct err *e);

// --- credentials, auth.c
int auth_new(struct auth **out, struct err *e);
void auth_free(struct auth *a);
// The header for the next request of the session: empty when none is known to be needed.
int auth_header(struct session *s, struct secret *out, struct err *e);
// After a 401 to a request with the header `used`: 1 when another try makes sense, 0 when not.
int auth_challenged(struct session *s, const struct http_answer *a, const struct secret *used,
                    struct err *e);
// token.c: asks a token server. seconds: how long it lives.
struct auth_way {
    bool bearer;
    char realm[1024];
    char service[256];
    char scope[2048]; // of the challenge
};
int token_get(struct session *s, const struct auth_way *way, const struct registry_credential *c,
              struct secret *out, int64_t *out_seconds, struct err *e);
void auth_basic(const struct registry_credential *c, struct secret *out); // "Basic ..."

// Retries: how long to wait before the next try.
#define RETRY_GAIN ((uint64_t)64 << 10) // bytes that make a try worth it; a drip is no progress
struct retry {
    unsigned tries;
    unsigned total;
};
// -1 when Docker-Content-Digest contradicts what the bytes hash to.
int call_check_digest(const struct session *s, const struct http_answer *a,
                      const struct oci_digest *sent, struct err *e);
int call_check_encoding(const char *who, const struct http_answer *a, struct err *e);
bool retry_status(long status); // 429 and those 5xx that pass
// -1: give up. `gained`: bytes that came since the last try.
int64_t retry_delay_ms(struct retry *r, unsigned max, const struct http_answer *a, uint64_t gained);

int fetch_manifest_get(struct job *j, struct err *e);
int fetch_manifest_head(struct job *j, struct err *e);
int fetch_blob_get(struct job *j, struct err *e);
int fetch_blob_head(struct job *j, struct err *e);
// 1 the registry has it (r.size is filled), 0 not.
int fetch_blob_find(struct session *s, struct err *e);
// Sends the blob of the request. 1 mounted from elsewhere, 0 sent.
int upload_blob(struct session *s, struct err *e);
int push_blob_put(struct job *j, struct err *e);
int push_manifest_put(struct job *j, struct err *e);
int push_manifest_delete(struct job *j, struct err *e);
int list_tags(struct job *j, struct err *e);
int list_search(struct job *j, struct err *e);
int login_do(struct job *j, struct err *e);
int login_undo(struct job *j, struct err *e);
int web_get(struct job *j, struct err *e);
// Writes all of it at `at` of the job's file.
int job_write(struct job *j, const void *p, size_t n, uint64_t at, struct err *e);
