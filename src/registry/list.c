// SPDX-License-Identifier: Apache-2.0
// Lists that a registry gives out in pages: the tags of a repository, the repositories of a
// registry. Pages are followed at the same origin only, a bounded number of them.
#include <stdio.h>

#include "base/own.h"
#include "codec/json.h"
#include "registry/header.h"
#include "registry/host.h"
#include "registry/internal.h"

#define PAGE_MAX ((size_t)4 << 20)
#define PAGES_MAX 2000
#define NAMES_MAX 1000000
#define FOUND_DEFAULT 25
#define FOUND_MAX 100
#define HUB_SEARCH "index.docker.io"

// What becomes of each name of a page. 1: enough.
typedef int take_name_fn(void *arg, struct sv name, struct err *e);

static int take_page(const struct session *s, struct sv body, const char *key, take_name_fn *take,
                     void *arg, struct err *e)
{
    own(codec_json) struct codec_json *j = NULL;
    if (codec_json_parse(body, "the list", &j, e) < 0)
        return err_wrap(e, "a list of '%s'", s->place.host);
    const struct codec_json *list = NULL;
    if (codec_json_type(j) == CODEC_JSON_OBJECT) list = codec_json_get(j, key);
    if (!list) return err_set(e, ERR_INPUT, "the list of '%s' has no '%s'", s->place.host, key);
    if (codec_json_type(list) == CODEC_JSON_NULL) return 0;
    if (codec_json_type(list) != CODEC_JSON_ARRAY)
        return err_set(e, ERR_INPUT, "'%s' in the list of '%s' is not an array", key,
                       s->place.host);
    for (size_t i = 0; i < codec_json_len(list); i++) {
        int rc = take(arg, codec_json_text(codec_json_at(list, i)), e);
        if (rc != 0) return rc;
    }
    return 0;
}

static int next_page(const struct session *s, struct call *c, const struct http_answer *a,
                     bool *out_more, struct err *e)
{
    struct sv v;
    char link[TRANSFER_URL];
    *out_more = http_header(a, "Link", &v) && header_link_next(v, link, sizeof link);
    if (!*out_more) return 0;
    struct url next;
    if (url_resolve(&c->ended, link, &next, e) < 0)
        return err_wrap(e, "the next page of the list of '%s'", s->place.host);
    // A registry behind a proxy may get scheme and port of itself wrong: only path and query count
    // when the host is the same, and nothing else is followed.
    if (!url_same_origin(&next, &s->home.url))
        return err_set(e, ERR_INPUT, "'%s' continues its list at another place, '%s'",
                       s->place.host, next.host);
    if (strcmp(next.text, c->url.text) == 0)
        return err_set(e, ERR_INPUT, "the list of '%s' goes in a circle", s->place.host);
    c->url = next;
    return 0;
}

static int walk(struct session *s, struct call *c, const char *key, take_name_fn *take, void *arg,
                struct err *e)
{
    own(http_answer) struct http_answer a = {0};
    bool more = true;
    c->body_max = PAGE_MAX;
    for (unsigned page = 0; more; page++) {
        if (page == PAGES_MAX)
            return err_set(e, ERR_LIMIT, "the list of '%s' has more than %d pages", s->place.host,
                           PAGES_MAX);
        if (call_do(s, c, &a, e) < 0) return -1;
        if (a.status != 200) return call_refused(s, &a, e);
        int rc = take_page(s, str_sv(&a.body), key, take, arg, e);
        if (rc != 0) return rc < 0 ? -1 : 0;
        if (next_page(s, c, &a, &more, e) < 0) return -1;
    }
    return 0;
}

// --- tags ------------------------------------------------------------------------------------

struct tags {
    struct job *j;
    uint64_t at;
    size_t n;
};

static bool is_tag(struct sv v)
{
    if (v.n == 0 || v.n > 128 || v.p[0] == '.' || v.p[0] == '-') return false;
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '.' || c == '-'))
            return false;
    }
    return true;
}

static int take_tag(void *arg, struct sv name, struct err *e)
{
    struct tags *t = arg;
    char line[130];
    if (!is_tag(name)) return 0; // nobody could ask for it
    if (++t->n > NAMES_MAX)
        return err_set(e, ERR_LIMIT, "the repository has more than %d tags", NAMES_MAX);
    memcpy(line, name.p, name.n);
    line[name.n] = '\n';
    if (job_write(t->j, line, name.n + 1, t->at, e) < 0) return -1;
    t->at += name.n + 1;
    return 0;
}

static int tags_at(struct session *s, struct err *e)
{
    struct tags t = {.j = s->j};
    own(call) struct call c = {.method = "GET"};
    if (session_url(s, &c.url, e, "/v2/%s/tags/list?n=1000", s->place.name) < 0 ||
        walk(s, &c, "tags", take_tag, &t, e) < 0)
        return -1;
    s->j->r.size = t.at;
    s->j->r.found = t.n > 0;
    return 0;
}

int list_tags(struct job *j, struct err *e)
{
    return session_home(j, "pull", tags_at, e);
}

// --- search ----------------------------------------------------------------------------------

struct found {
    const char *term;
    size_t want, seen;
    struct codec_json *results; // of the answer, like Docker Hub's
};

static bool contains_nocase(struct sv text, struct sv part)
{
    for (size_t i = 0; i + part.n <= text.n; i++)
        if (sv_eq_nocase(sv_part(text, i, part.n), part)) return true;
    return false;
}

static int take_repository(void *arg, struct sv name, struct err *e)
{
    struct found *f = arg;
    if (++f->seen > NAMES_MAX)
        return err_set(e, ERR_LIMIT, "the registry has more than %d repositories", NAMES_MAX);
    if (!contains_nocase(name, sv_of(f->term))) return 0;
    struct codec_json *one = codec_json_new_object();
    codec_json_set(one, "name", codec_json_new_text(name));
    codec_json_set_text(one, "description", "");
    codec_json_set(one, "star_count", codec_json_new_int(0));
    codec_json_set(one, "is_official", codec_json_new_bool(false));
    codec_json_set(one, "is_automated", codec_json_new_bool(false));
    codec_json_add(f->results, one);
    return codec_json_len(f->results) >= f->want;
}

static int search_catalog(struct session *s, size_t want, struct str *out, struct err *e)
{
    own(codec_json) struct codec_json *doc = codec_json_new_object();
    struct found f = {s->j->q.url, want, 0, codec_json_new_array()};
    codec_json_set_text(doc, "query", f.term);
    codec_json_set(doc, "results", f.results);
    own(call) struct call c = {.method = "GET"};
    strv_take(&s->scopes, str_dup("registry:catalog:*"));
    if (session_url(s, &c.url, e, "/v2/_catalog?n=1000") < 0 ||
        walk(s, &c, "repositories", take_repository, &f, e) < 0)
        return -1;
    codec_json_set(doc, "num_results", codec_json_new_int((int64_t)codec_json_len(f.results)));
    codec_json_print(doc, out);
    return 0;
}

// 1: the registry can search; its answer is in *out.
static int search_v1(struct session *s, size_t want, struct str *out, struct err *e)
{
    own(http_answer) struct http_answer a = {0};
    own(codec_json) struct codec_json *j = NULL;
    own(call) struct call c = {.method = "GET", .body_max = PAGE_MAX};
    struct err ignored;
    char n[24];
    bool hub = registry_host_is_hub(sv_of(s->place.host));
    snprintf(n, sizeof n, "%zu", want);
    if ((hub ? url_parse("https://" HUB_SEARCH "/v1/search", &c.url, e)
             : session_url(s, &c.url, e, "/v1/search")) < 0 ||
        url_add_query(&c.url, "q", s->j->q.url, e) < 0 || url_add_query(&c.url, "n", n, e) < 0)
        return -1;
    if (hub) { // no password there: what it finds is public
        struct call_home home = {.url = c.url, .ca_dir = s->home.ca_dir, .named = true};
        if (call_plain(s->j, &home, &c, NULL, &a, e) < 0) return -1;
        if (a.status != 200) return call_status(c.url.host, &a, e);
    } else if (call_do(s, &c, &a, e) < 0) {
        return -1;
    }
    if (a.status != 200) return 0;
    if (codec_json_parse(str_sv(&a.body), "the search result", &j, hub ? e : &ignored) < 0)
        return hub ? -1 : 0; // a page for people
    if (codec_json_type(j) != CODEC_JSON_OBJECT || !codec_json_get(j, "results")) return 0;
    str_add(out, str_sv(&a.body));
    return 1;
}

static int search_at(struct session *s, struct err *e)
{
    own(str) struct str out = {0};
    uint64_t want = s->j->q.size;
    if (want == 0) want = FOUND_DEFAULT;
    if (want > FOUND_MAX) want = FOUND_MAX;
    int rc = search_v1(s, (size_t)want, &out, e);
    if (rc == 0) rc = search_catalog(s, (size_t)want, &out, e);
    if (rc < 0) return -1;
    s->j->r.size = out.n;
    return job_write(s->j, out.p, out.n, 0, e);
}

int list_search(struct job *j, struct err *e)
{
    return session_home(j, NULL, search_at, e);
}
