// SPDX-License-Identifier: Apache-2.0
#include "registry/url.h"

#include <ctype.h>
#include <curl/curl.h>
#include <string.h>

#include "base/num.h"
#include "base/own.h"

static void own_curlu(CURLU **u)
{
    curl_url_cleanup(*u);
}
static void own_curl_text(char **p)
{
    curl_free(*p);
}

static int refuse(const char *text, const char *why, struct err *e)
{
    struct sv v = sv_of(text);
    long query = sv_find(v, '?'); // may hold a secret
    if (query >= 0) v.n = (size_t)query;
    long at = sv_rfind(v, '@');
    if (at >= 0) v = sv_from(v, (size_t)at + 1);
    return err_set(e, ERR_INPUT, "the address '%.*s' is refused: %s", (int)(v.n > 200 ? 200 : v.n),
                   v.p, why);
}

static int take_parts(CURLU *u, const char *given, struct url *out, struct err *e)
{
    own(curl_text) char *scheme = NULL;
    own(curl_text) char *host = NULL;
    own(curl_text) char *port = NULL;
    own(curl_text) char *text = NULL;
    own(curl_text) char *zone = NULL;
    curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
    if (curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) ||
        (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
        return refuse(given, "only http and https are spoken", e);
    if (curl_url_get(u, CURLUPART_HOST, &host, 0) || curl_url_get(u, CURLUPART_URL, &text, 0) ||
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT))
        return refuse(given, "it has no host", e);
    if (curl_url_get(u, CURLUPART_ZONEID, &zone, 0) == CURLUE_OK)
        return refuse(given, "an address with a zone is not supported", e);
    struct sv h = sv_of(host);
    if (h.n > 1 && h.p[0] == '[') h = sv_part(h, 1, h.n - 2);
    uint64_t number;
    if (h.n == 0 || h.n >= sizeof out->host) return refuse(given, "its host name is too long", e);
    if (strlen(text) >= sizeof out->text) return refuse(given, "it is too long", e);
    if (!num_u64_max(sv_of(port), 65535, &number) || number == 0)
        return refuse(given, "it has no port", e);
    memcpy(out->text, text, strlen(text) + 1);
    for (size_t i = 0; i < h.n; i++) out->host[i] = (char)tolower((unsigned char)h.p[i]);
    out->host[h.n] = '\0';
    out->port = (unsigned)number;
    out->https = scheme[4] == 's';
    return 0;
}

static int set_and_take(CURLU *u, const char *text, struct url *out, struct err *e)
{
    if (strlen(text) >= TRANSFER_URL) return refuse(text, "it is too long", e);
    CURLUcode rc = curl_url_set(u, CURLUPART_URL, text, CURLU_DISALLOW_USER | CURLU_PATH_AS_IS);
    if (rc == CURLUE_USER_NOT_ALLOWED)
        return refuse(text, "a user or password in an address is not used", e);
    if (rc == CURLUE_UNSUPPORTED_SCHEME) return refuse(text, "only http and https are spoken", e);
    if (rc) return refuse(text, "it is malformed", e);
    return take_parts(u, text, out, e);
}

int url_parse(const char *text, struct url *out, struct err *e)
{
    own(curlu) CURLU *u = curl_url();
    return set_and_take(u, text, out, e);
}

int url_resolve(const struct url *from, const char *next, struct url *out, struct err *e)
{
    own(curlu) CURLU *u = curl_url();
    if (curl_url_set(u, CURLUPART_URL, from->text, CURLU_PATH_AS_IS))
        return refuse(from->text, "it is malformed", e);
    return set_and_take(u, next, out, e);
}

bool url_same_origin(const struct url *a, const struct url *b)
{
    return a->https == b->https && a->port == b->port && strcmp(a->host, b->host) == 0;
}

int url_add_query(struct url *u, const char *key, const char *value, struct err *e)
{
    own(curlu) CURLU *parts = curl_url();
    own(str) struct str pair = {0};
    str_addf(&pair, "%s=%s", key, value);
    if (curl_url_set(parts, CURLUPART_URL, u->text, CURLU_PATH_AS_IS) ||
        curl_url_set(parts, CURLUPART_QUERY, str_z(&pair), CURLU_APPENDQUERY | CURLU_URLENCODE))
        return refuse(u->text, "it is malformed", e);
    return take_parts(parts, u->text, u, e);
}

void url_print_short(const struct url *u, struct str *out)
{
    struct sv v = sv_of(u->text);
    long query = sv_find(v, '?');
    if (query >= 0) v.n = (size_t)query;
    str_add(out, v.n > 300 ? sv_part(v, 0, 300) : v);
}
