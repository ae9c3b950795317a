// SPDX-License-Identifier: Apache-2.0
// Log in: a name and a password are tried at the registry and only then kept. Where tokens are
// given out, a refresh token is asked for and kept instead of the password.
#include <stdio.h>

#include "base/fs.h"
#include "base/own.h"
#include "registry/internal.h"

static int read_password(struct job *j, struct secret *out, struct err *e)
{
    char buf[4096];
    size_t n = 0;
    int rc = 0;
    while (n < sizeof buf) {
        ssize_t r = read(j->fd, buf + n, sizeof buf - n);
        if (r < 0) rc = err_sys(e, "read the password");
        if (r <= 0) break;
        n += (size_t)r;
    }
    if (rc == 0 && n == sizeof buf)
        rc = err_set(e, ERR_LIMIT, "a password is at most %zu bytes long", sizeof buf - 1);
    if (rc == 0 && (n == 0 || memchr(buf, '\0', n)))
        rc = err_set(e, ERR_INPUT, n ? "the password holds a NUL byte" : "the password is empty");
    if (rc == 0) *out = (struct secret){sv_dup((struct sv){buf, n}), n};
    explicit_bzero(buf, sizeof buf);
    return rc;
}

static int login_at(struct session *s, struct err *e)
{
    own(registry_credential) struct registry_credential c = {0};
    own(secret) struct secret refresh = {0};
    own(http_answer) struct http_answer a = {0};
    own(call) struct call call = {.method = "GET"};
    struct job *j = s->j;
    snprintf(c.user, sizeof c.user, "%s", j->q.user);
    if (!c.user[0]) return err_set(e, ERR_USAGE, "a login needs the user's name");
    if (strchr(c.user, ':')) return err_set(e, ERR_USAGE, "a user's name has no ':'");
    if (read_password(j, &c.password, e) < 0) return -1;
    s->given = &c;
    s->refresh = &refresh;
    if (session_url(s, &call.url, e, "/v2/") < 0 || call_do(s, &call, &a, e) < 0) return -1;
    if (a.status == 401) {
        call_status(s->place.host, &a, e);
        return err_hint(e, "check the user's name and the password");
    }
    if (a.status != 200) return call_refused(s, &a, e);
    if (refresh.n) {
        secret_fini(&c.password);
        c.identity = refresh;
        refresh = (struct secret){0};
    }
    char where[512];
    if (registry_credential_save(j->c->tasks, j->q.ref.host, &c, where, &j->r.found, e) < 0) return -1;
    snprintf(j->r.url, sizeof j->r.url, "%s", where);
    return 0;
}

int login_do(struct job *j, struct err *e)
{
    return session_push(j, NULL, login_at, e);
}

int login_undo(struct job *j, struct err *e)
{
    int rc = registry_credential_erase(j->c->tasks, j->q.ref.host, e);
    j->r.found = rc > 0;
    return rc < 0 ? -1 : 0;
}
