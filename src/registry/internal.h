// SPDX-License-Identifier: Apache-2.0
// The registry client from inside: a *client* is the running helper, a *job* is one request of the
// asker on a task of its own, a *session* is that request at one place (a mirror, then the registry
// itself), a *call* is one exchange with all that belongs to it: credentials, redirects, retries.
#pragma once

#include "base/map.h"
#include "base/str.h"
#include "base/vec.h"
#include "oci/transfer.h"
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
    struct map hosts; // struct client_host by name
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

struct session {
    struct job *j;
    struct client *c;
    struct registry_place place;
    struct client_host *host;
    const char *actions; // "pull", "pull,push", ...: what tokens are asked for
    const char *from;    // a second repository to pull from (mount), or NULL
};
// Calls fn at each place in turn, mirrors first, until one succeeds. A failure of a mirror is told
// and goes on; NOT_FOUND too.
int session_each(struct job *j, const char *actions, int (*fn)(struct session *s, struct err *e),
                 struct err *e);
// At the registry itself, never at a mirror.
int session_home(struct job *j, const char *actions, int (*fn)(struct session *s, struct err *e),
                 struct err *e);
// "/v2/NAME/..." below the place, by the scheme that works there.
int session_url(const struct session *s, struct url *out, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#define CALL_REDIRECTS 10

struct call {
    const char *method;
    struct url url;
    struct strv headers;
    struct sv body;
    bool has_body;
    int body_fd;
    bool file_body;
    uint64_t body_at, body_size;
    size_t body_max;
    unsigned stall_s;
    bool once; // no retries: the caller knows better what to do after a break
    // Before each try: range headers and the like. May be NULL.
    void (*prepare)(void *arg, struct strv *headers);
    int (*begin)(void *arg, const struct http_answer *a, struct err *e);
    int (*take)(void *arg, const void *p, size_t n, struct err *e);
    void (*sent)(void *arg, uint64_t n);
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
// -1 with what an answer's status means: registry, status, its own words, a hint.
int call_refused(const struct session *s, const struct http_answer *a, struct err *e);

// Retries: how long to wait before the next try.
struct retry {
    unsigned tries;
    unsigned total;
};
bool retry_status(long status); // 429 and those 5xx that pass
// -1: give up. `progressed`: bytes came since the last try.
int64_t retry_delay_ms(struct retry *r, unsigned max, const struct http_answer *a, bool progressed);

int fetch_manifest_get(struct job *j, struct err *e);
int fetch_manifest_head(struct job *j, struct err *e);
int fetch_blob_get(struct job *j, struct err *e);
int fetch_blob_head(struct job *j, struct err *e);
