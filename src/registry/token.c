// SPDX-License-Identifier: Apache-2.0
// Docker's token protocol: a GET with the password as Basic, or a POST as OAuth 2 asks for with a
// refresh token. The token server is named by the registry, so it is looked at before anything is
// sent there.
#include "base/num.h"
#include "base/own.h"
#include "codec/json.h"
#include "registry/internal.h"

#define TOKEN_MAX ((size_t)64 << 10)
#define LIFE_MIN 60 // what a server does not say, or says shorter, is a minute
#define LIFE_MAX 86400

static int check_realm(const struct session *s, const struct url *realm,
                       const struct registry_credential *login, struct err *e)
{
    enum addr_class class;
    bool same_host = strcmp(realm->host, s->home.url.host) == 0;
    const char *who = s->place.host;
    if (s->home.url.https && !realm->https)
        return err_set(e, ERR_INPUT, "'%s' wants credentials sent in the clear, to 'http://%s'",
                       who, realm->host);
    if (same_host) return 0;
    if (addr_of_literal(realm->host, &class) && class != ADDR_PUBLIC)
        return err_set(e, ERR_INPUT, "'%s' names a token server at the %s address '%s'", who,
                       addr_class_name(class), realm->host);
    if (login && !realm->https && !s->home.plain)
        return err_set(e, ERR_INPUT, "'%s' wants credentials sent in the clear, to 'http://%s'",
                       who, realm->host);
    return 0;
}

// A token goes into a header: one printable word.
static int take_token(struct sv v, const char *who, struct secret *out, struct err *e)
{
    if (v.n == 0) return err_set(e, ERR_INPUT, "the answer of '%s' holds no token", who);
    if (v.n > TOKEN_MAX)
        return err_set(e, ERR_LIMIT, "the token of '%s' is larger than %zu KiB", who,
                       TOKEN_MAX >> 10);
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] <= ' ' || v.p[i] > 126)
            return err_set(e, ERR_INPUT, "the token of '%s' holds a byte that no token has", who);
    secret_fini(out);
    *out = (struct secret){sv_dup(v), v.n};
    return 0;
}

static int read_answer(struct session *s, const char *who, struct sv body, struct secret *out,
                       int64_t *out_seconds, struct err *e)
{
    own(codec_json) struct codec_json *j = NULL;
    // What came goes through the strict parser; its messages may quote it, so they stay here.
    if (codec_json_parse(body, "the answer of the token server", &j, e) < 0) {
        return err_set(e, ERR_INPUT, "the answer of '%s' is not the JSON of a token", who);
    }
    if (codec_json_type(j) != CODEC_JSON_OBJECT)
        return err_set(e, ERR_INPUT, "the answer of '%s' is not the JSON of a token", who);
    struct sv token = codec_json_text(codec_json_get(j, "token"));
    if (token.n == 0) token = codec_json_text(codec_json_get(j, "access_token"));
    int64_t life = codec_json_int(codec_json_get(j, "expires_in"));
    *out_seconds = life < LIFE_MIN ? LIFE_MIN : life > LIFE_MAX ? LIFE_MAX : life;
    struct sv again = codec_json_text(codec_json_get(j, "refresh_token"));
    if (s->refresh && again.n && take_token(again, who, s->refresh, e) < 0) return -1;
    return take_token(token, who, out, e);
}

static int add_get(const struct session *s, const struct auth_way *way,
                   const struct registry_credential *login, struct url *url, struct err *e)
{
    if (way->service[0] && url_add_query(url, "service", way->service, e) < 0) return -1;
    vec_each(scope, &s->scopes) if (url_add_query(url, "scope", *scope, e) < 0) return -1;
    if (way->scope[0] && url_add_query(url, "scope", way->scope, e) < 0) return -1;
    if (login && login->user[0] && url_add_query(url, "account", login->user, e) < 0) return -1;
    if (s->refresh && (url_add_query(url, "offline_token", "true", e) < 0 ||
                       url_add_query(url, "client_id", "dewar", e) < 0))
        return -1;
    return 0;
}

static void add_form(struct str *form, const char *key, struct sv value)
{
    static const char hex[] = "0123456789ABCDEF";
    str_addf(form, "%s%s=", form->n ? "&" : "", key);
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     strchr("-._~", c);
        if (plain && c) {
            str_addc(form, (char)c);
        } else {
            str_addc(form, '%');
            str_addc(form, hex[c >> 4]);
            str_addc(form, hex[c & 15]);
        }
    }
}

static void own_form(struct str *s)
{
    if (s->p) explicit_bzero(s->p, s->cap);
    str_fini(s);
}

static void fill_form(const struct session *s, const struct auth_way *way,
                      const struct registry_credential *login, struct str *form)
{
    own(str) struct str scopes = {0};
    vec_each(scope, &s->scopes) str_addf(&scopes, "%s%s", scopes.n ? " " : "", *scope);
    if (way->scope[0]) str_addf(&scopes, "%s%s", scopes.n ? " " : "", way->scope);
    size_t room = 3 * (login->identity.n + scopes.n + strlen(way->service)) + 256;
    form->p = mem_alloc(room); // at once: growing would leave copies of the token behind
    form->cap = room;
    add_form(form, "grant_type", SV("refresh_token"));
    add_form(form, "service", sv_of(way->service));
    add_form(form, "client_id", SV("dewar"));
    add_form(form, "scope", str_sv(&scopes));
    add_form(form, "refresh_token", (struct sv){login->identity.p, login->identity.n});
}

static int refused(const struct session *s, const struct url *realm, const struct http_answer *a,
                   const struct registry_credential *login, struct err *e)
{
    call_status(realm->host, a, e);
    if (a->status != 401 && a->status != 403 && !(a->status == 400 && login)) return -1;
    if (login && login->source[0])
        err_wrap(e, "the login '%s' from %s was refused", login->user, login->source);
    else if (login)
        err_wrap(e, "the login '%s' was refused", login->user);
    return s->given ? err_hint(e, "check the user's name and the password")
                    : err_hint(e, "log in with 'dewar login %s'", s->j->q.ref.host);
}

int token_get(struct session *s, const struct auth_way *way,
              const struct registry_credential *login, struct secret *out, int64_t *out_seconds,
              struct err *e)
{
    own(http_answer) struct http_answer a = {0};
    own(secret) struct secret basic = {0};
    own(form) struct str form = {0};
    own(call) struct call c = {.method = "GET"};
    if (url_parse(way->realm, &c.url, e) < 0 || check_realm(s, &c.url, login, e) < 0)
        return err_wrap(e, "the token server that '%s' names", s->place.host);
    bool same_host = strcmp(c.url.host, s->home.url.host) == 0;
    struct call_home home = {.url = c.url,
                             .ca_dir = s->home.ca_dir,
                             .unverified = same_host && s->home.unverified,
                             .named = same_host && s->home.named,
                             .address = s->home.address};
    if (login && login->identity.n) {
        fill_form(s, way, login, &form);
        c.method = "POST";
        c.body = str_sv(&form);
        c.has_body = true;
        strv_add(&c.headers, "Content-Type: application/x-www-form-urlencoded");
    } else {
        if (add_get(s, way, login, &c.url, e) < 0) return -1;
        if (login) auth_basic(login, &basic);
    }
    if (call_plain(s->j, &home, &c, &basic, &a, e) < 0)
        return err_wrap(e, "ask '%s' for a token", c.url.host);
    int rc = a.status == 200 ? call_check_encoding(c.url.host, &a, e) : 0;
    if (rc < 0) return -1;
    rc = a.status == 200 ? read_answer(s, c.url.host, str_sv(&a.body), out, out_seconds, e)
                         : refused(s, &c.url, &a, login, e);
    if (a.body.p) explicit_bzero(a.body.p, a.body.cap);
    return rc;
}
