// SPDX-License-Identifier: Apache-2.0
// Credentials for requests: which way an origin wants them (its 401 says so), the logins on disk,
// and the tokens that were given out. A token belongs to one origin, token server and set of
// scopes; it is asked for once however many requests wait for it, and again when it is refused or
// near its end (a push may outlive several). A login goes to its registry as Basic, or to the token
// server that this registry named when rules about realms allow that one; a refresh token to the
// first such server alone.
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/own.h"
#include "codec/base64.h"
#include "registry/header.h"
#include "registry/host.h"
#include "registry/internal.h"

#define SPARE_NS (5 * (int64_t)1000000000) // a token this near its end is not used any more

struct auth_token {
    struct secret header; // "Bearer ..."; empty: to be asked for
    int64_t ends_ns;
    bool busy; // somebody asks right now
    VEC(struct task *) waiting;
};

// A login of this machine; looked for once, since a credential helper takes its time.
struct auth_login {
    struct registry_credential c; // no user, no token: there is none
    struct err why;               // of a look that failed
    bool failed;
    bool busy; // somebody looks right now
    VEC(struct task *) waiting;
};

struct auth {
    struct map ways;   // struct auth_way by origin
    struct map logins; // struct auth_login by host and repository
    struct map tokens; // struct auth_token
};

static void free_login(void *p)
{
    struct auth_login *l = p;
    registry_credential_fini(&l->c);
    vec_fini(&l->waiting);
    free(l);
}

static void free_token(void *p)
{
    struct auth_token *t = p;
    secret_fini(&t->header);
    vec_fini(&t->waiting);
    free(t);
}

int auth_new(struct auth **out, struct err *e)
{
    (void)e;
    *out = mem_alloc(sizeof **out);
    (*out)->ways.free_value = free;
    (*out)->logins.free_value = free_login;
    (*out)->tokens.free_value = free_token;
    return 0;
}

void auth_free(struct auth *a)
{
    if (!a) return;
    map_fini(&a->ways);
    map_fini(&a->logins);
    map_fini(&a->tokens);
    free(a);
}

static char *origin_key(const struct session *s)
{
    const struct url *u = &s->home.url;
    return str_fmt("%s://%s:%u", u->https ? "https" : "http", u->host, u->port);
}

// --- logins ----------------------------------------------------------------------------------

static bool is_login(const struct registry_credential *c)
{
    return c->user[0] || c->password.n || c->identity.n || c->bearer.n;
}

static void look_for_login(struct session *s, struct auth_login *l, const char *host)
{
    l->busy = true;
    int rc = registry_credential_find(s->c->tasks, host, s->place.name, &l->c, &l->why);
    l->failed = rc < 0;
    l->busy = false;
    vec_each(w, &l->waiting) task_wake_soon(*w);
    l->waiting.n = 0;
}

// NULL: there is none.
static int find_login(struct session *s, const struct registry_credential **out, struct err *e)
{
    *out = s->given;
    if (s->given || s->j->q.flags & TRANSFER_ANONYMOUS) return 0;
    bool hub = registry_host_is_hub(sv_of(s->place.host));
    const char *host = hub ? REGISTRY_HUB : s->place.host;
    own(free) char *key = str_fmt("%s %s", host, s->place.name);
    struct auth_login *l = map_get(&s->c->auth->logins, key);
    if (!l) {
        l = mem_alloc(sizeof *l);
        map_set(&s->c->auth->logins, key, l);
        look_for_login(s, l, host);
    }
    while (l->busy) {
        vec_push(&l->waiting, task_self(s->c->tasks));
        task_wait(s->c->tasks);
    }
    if (l->failed) {
        *e = l->why;
        return -1;
    }
    *out = is_login(&l->c) ? &l->c : NULL;
    return 0;
}

static void wipe_str(struct str *s)
{
    if (s->p) explicit_bzero(s->p, s->cap);
    str_fini(s);
}

static void own_wiped(struct str *s)
{
    wipe_str(s);
}

// Grown once: a larger copy would leave the smaller one behind.
static void reserve(struct str *s, size_t n)
{
    s->p = mem_alloc(n + 1);
    s->cap = n + 1;
}

void auth_basic(const struct registry_credential *c, struct secret *out)
{
    own(wiped) struct str plain = {0};
    own(wiped) struct str coded = {0};
    size_t n = strlen(c->user) + 1 + c->password.n;
    reserve(&plain, n + 1);
    str_addz(&plain, c->user);
    str_addc(&plain, ':');
    str_add(&plain, (struct sv){c->password.p, c->password.n});
    reserve(&coded, (n + 2) / 3 * 4 + 8);
    str_addz(&coded, "Basic ");
    codec_base64_encode(str_sv(&plain), &coded);
    *out = (struct secret){sv_dup(str_sv(&coded)), coded.n};
}

static void bearer_header(struct sv token, struct secret *out)
{
    char *p = mem_alloc(token.n + 8);
    memcpy(p, "Bearer ", 7);
    memcpy(p + 7, token.p, token.n);
    *out = (struct secret){p, token.n + 7};
}

static struct secret copy_secret(const struct secret *s)
{
    return (struct secret){sv_dup((struct sv){s->p, s->n}), s->n};
}

// --- tokens ----------------------------------------------------------------------------------

static struct auth_token *token_of(struct session *s, const struct auth_way *way)
{
    own(str) struct str key = {0};
    own(free) char *origin = origin_key(s);
    // Logins differ by repository where keys have a path; scopes name the repository.
    str_addf(&key, "%s %s %s", origin, way->realm, way->service);
    vec_each(scope, &s->scopes) str_addf(&key, " %s", *scope);
    if (way->scope[0]) str_addf(&key, " +%s", way->scope);
    if (s->j->q.flags & TRANSFER_ANONYMOUS) str_addz(&key, " anonymous");
    if (s->given) str_addf(&key, " given %u", s->j->q.id);
    struct auth_token *t = map_get(&s->c->auth->tokens, str_z(&key));
    if (t) return t;
    t = mem_alloc(sizeof *t);
    map_set(&s->c->auth->tokens, str_z(&key), t);
    return t;
}

static int refresh(struct session *s, const struct auth_way *way, struct auth_token *t,
                   struct err *e)
{
    const struct registry_credential *login;
    own(secret) struct secret token = {0};
    int64_t seconds;
    secret_fini(&t->header);
    if (find_login(s, &login, e) < 0 || token_get(s, way, login, &token, &seconds, e) < 0)
        return -1;
    bearer_header((struct sv){token.p, token.n}, &t->header);
    t->ends_ns = clock_mono_ns() + seconds * 1000000000;
    return 0;
}

static int bearer(struct session *s, const struct auth_way *way, struct secret *out, struct err *e)
{
    struct auth_token *t = token_of(s, way);
    while (t->busy) {
        vec_push(&t->waiting, task_self(s->c->tasks));
        task_wait(s->c->tasks);
    }
    if (!t->header.n || clock_mono_ns() > t->ends_ns - SPARE_NS) {
        t->busy = true;
        int rc = refresh(s, way, t, e);
        t->busy = false;
        vec_each(w, &t->waiting) task_wake_soon(*w);
        t->waiting.n = 0;
        if (rc < 0) return -1;
    }
    *out = copy_secret(&t->header);
    return 0;
}

int auth_header(struct session *s, struct secret *out, struct err *e)
{
    own(free) char *origin = origin_key(s);
    const struct auth_way *way = map_get(&s->c->auth->ways, origin);
    const struct registry_credential *login;
    if (!way) return 0;
    if (find_login(s, &login, e) < 0) return -1;
    if (login && login->bearer.n)
        bearer_header((struct sv){login->bearer.p, login->bearer.n}, out);
    else if (way->bearer)
        return bearer(s, way, out, e);
    else if (login)
        auth_basic(login, out);
    return 0;
}

// --- challenges ------------------------------------------------------------------------------

// Bearer before Basic: it is what goes with a password only to its own server.
static bool pick_way(const struct http_answer *a, struct auth_way *out)
{
    struct header_challenge list[HEADER_CHALLENGES];
    size_t n = 0;
    struct sv value;
    const struct header_challenge *best = NULL;
    for (unsigned i = 0; header_find(str_sv(&a->headers), "WWW-Authenticate", i, &value); i++)
        header_challenges(value, list, &n); // a malformed one is as good as none
    for (size_t i = 0; i < n; i++)
        if ((list[i].bearer && list[i].realm[0] && (!best || !best->bearer)) ||
            (!list[i].bearer && !best))
            best = &list[i];
    if (!best) return false;
    *out = (struct auth_way){.bearer = best->bearer};
    if (!best->bearer) return true;
    memcpy(out->realm, best->realm, sizeof out->realm);
    memcpy(out->service, best->service, sizeof out->service);
    memcpy(out->scope, best->scope, sizeof out->scope);
    return true;
}

// Scopes of the challenge are asked for when they are not ours in other words.
static void drop_known_scope(const struct session *s, struct auth_way *way)
{
    vec_each(scope, &s->scopes) if (strcmp(*scope, way->scope) == 0) way->scope[0] = '\0';
    // "pull" inside "pull,push" of the same repository
    struct sv want = sv_of(way->scope);
    long colon = sv_rfind(want, ':');
    vec_each(scope, &s->scopes)
    {
        if (colon < 0 || strncmp(*scope, way->scope, (size_t)colon + 1) != 0) continue;
        if (sv_starts(sv_from(sv_of(*scope), (size_t)colon + 1), way->scope + colon + 1))
            way->scope[0] = '\0';
    }
}

int auth_challenged(struct session *s, const struct http_answer *a, const struct secret *used,
                    struct err *e)
{
    struct auth_way way;
    const struct registry_credential *login;
    if (!pick_way(a, &way)) return 0;
    if (find_login(s, &login, e) < 0) return -1;
    drop_known_scope(s, &way);
    own(free) char *origin = origin_key(s);
    struct auth_way *known = map_get(&s->c->auth->ways, origin);
    bool same = known && known->bearer == way.bearer && strcmp(known->realm, way.realm) == 0 &&
                strcmp(known->service, way.service) == 0 && strcmp(known->scope, way.scope) == 0;
    if (known && known->bearer && !way.bearer) return 0; // no password after a token was refused
    if (known && known->bearer && login && strcmp(known->realm, way.realm) != 0)
        return err_set(e, ERR_INPUT, "'%s' names another token server ('%.200s') than before",
                       s->place.host, way.realm);
    if (!same) {
        known = mem_alloc(sizeof *known);
        *known = way;
        map_set(&s->c->auth->ways, origin, known);
        return way.bearer || login;
    }
    if (!way.bearer) return login && used->n == 0; // else the password was refused
    struct auth_token *t = token_of(s, &way);
    bool ours = t->header.n == used->n && t->header.n && memcmp(t->header.p, used->p, used->n) == 0;
    if (!ours) return 1; // another request has got a newer one
    secret_fini(&t->header);
    return 1;
}
