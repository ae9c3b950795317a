// SPDX-License-Identifier: Apache-2.0
// The places of a request, one after the other.
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "registry/internal.h"

void session_fini(struct session *s)
{
    strv_fini(&s->scopes);
}

static int at_place(struct job *j, const struct registry_place *p, const char *actions,
                    int (*fn)(struct session *s, struct err *e), struct err *e)
{
    own(session) struct session s = {.j = j, .c = j->c, .place = *p};
    s.host = client_host(j->c, p->host);
    s.home = (struct call_home){.ca_dir = s.place.ca_dir,
                                .unverified = p->unverified,
                                .plain = p->plain,
                                .named = true,
                                .address = ADDR_PUBLIC};
    own(str) struct str text = {0};
    str_addf(&text, "%s://%s/", s.host->http ? "http" : "https", p->host);
    if (url_parse(str_z(&text), &s.home.url, e) < 0) return -1;
    if (actions) strv_take(&s.scopes, str_fmt("repository:%s:%s", p->name, actions));
    if (fn(&s, e) == 0) return 0;
    if (strcmp(p->host, j->q.ref.host) != 0) err_wrap(e, "at '%s'", p->host);
    return -1;
}

// Read once: the configuration of a command does not change under it.
static int find_places(struct job *j, const struct registry_places **out, struct err *e)
{
    struct oci_ref ref = j->q.ref;
    bool insecure = j->q.flags & TRANSFER_INSECURE;
    if (!ref.name[0]) memcpy(ref.name, "any", 4); // log in, search: the registry as a whole
    own(free) char *key = str_fmt("%s/%s %d", ref.host, ref.name, insecure);
    struct registry_places *p = map_get(&j->c->places, key);
    if (!p) {
        p = mem_alloc(sizeof *p);
        if (registry_places_find(&ref, insecure, p, e) < 0) {
            free(p);
            return -1;
        }
        map_set(&j->c->places, key, p);
    }
    *out = p;
    return 0;
}

static bool is_usable(const struct job *j, const struct registry_place *p)
{
    bool by_digest = oci_digest_is_set(&j->q.ref.digest) || j->q.op == TRANSFER_BLOB_GET ||
                     j->q.op == TRANSFER_BLOB_HEAD;
    return !((p->digest_only && !by_digest) || (p->tag_only && by_digest) ||
             (p->mirror && client_host(j->c, p->host)->dead));
}

int session_each(struct job *j, const char *actions, int (*fn)(struct session *s, struct err *e),
                 struct err *e)
{
    const struct registry_places *places;
    if (find_places(j, &places, e) < 0) return -1;
    for (size_t i = 0; i < places->n; i++) {
        const struct registry_place *p = &places->p[i];
        if (!is_usable(j, p)) continue;
        if (at_place(j, p, actions, fn, e) == 0) return 0;
        if (!p->mirror) return -1;
        if (e->kind != ERR_NOT_FOUND)
            job_notice(j, "the mirror '%s' failed: %s", p->host, err_cause(e));
        client_host(j->c, p->host)->dead = !client_host(j->c, p->host)->answered;
    }
    return err_set(e, ERR_INPUT, "no place is configured for '%s'", j->q.ref.host);
}

int session_home(struct job *j, const char *actions, int (*fn)(struct session *s, struct err *e),
                 struct err *e)
{
    const struct registry_places *places;
    if (find_places(j, &places, e) < 0) return -1;
    for (size_t i = 0; i < places->n; i++)
        if (!places->p[i].mirror) return at_place(j, &places->p[i], actions, fn, e);
    return err_set(e, ERR_INPUT, "no place is configured for '%s'", j->q.ref.host);
}

int session_push(struct job *j, const char *actions, int (*fn)(struct session *s, struct err *e),
                 struct err *e)
{
    const struct registry_places *places;
    if (find_places(j, &places, e) < 0) return -1;
    return at_place(j, &places->push, actions, fn, e);
}

int session_url(const struct session *s, struct url *out, struct err *e, const char *fmt, ...)
{
    own(str) struct str text = {0};
    va_list ap;
    str_addf(&text, "%s://%s", s->home.url.https ? "https" : "http", s->place.host);
    va_start(ap, fmt);
    str_vaddf(&text, fmt, ap);
    va_end(ap);
    return url_parse(str_z(&text), out, e);
}
