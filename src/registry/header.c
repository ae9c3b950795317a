// SPDX-License-Identifier: Apache-2.0
#include "registry/header.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/num.h"
#include "base/own.h"

bool header_find(struct sv lines, const char *name, unsigned nth, struct sv *out)
{
    while (lines.p) {
        struct sv rest = sv_cut(&lines, '\n');
        struct sv key = sv_cut(&rest, ':');
        if (!rest.p || !sv_eq_nocase(key, sv_of(name)) || nth-- > 0) continue;
        *out = sv_trim(rest);
        return true;
    }
    return false;
}

// --- a cursor over one header value ----------------------------------------------------------

static bool is_token(char c)
{
    return c > ' ' && c < 127 && !strchr("()<>@,;:\\\"/[]?={}", c);
}

static void skip_blanks(struct sv *in)
{
    while (in->n && (*in->p == ' ' || *in->p == '\t')) in->p++, in->n--;
}

static struct sv take_token(struct sv *in)
{
    struct sv t = {in->p, 0};
    while (in->n && is_token(*in->p)) in->p++, in->n--, t.n++;
    return t;
}

static bool take_char(struct sv *in, char c)
{
    if (!in->n || *in->p != c) return false;
    in->p++, in->n--;
    return true;
}

// A quoted text, backslash escapes undone; what does not fit makes it malformed.
static bool take_quoted(struct sv *in, char *out, size_t size)
{
    size_t n = 0;
    while (in->n) {
        char c = *in->p;
        in->p++, in->n--;
        if (c == '"') {
            out[n] = '\0';
            return true;
        }
        if (c == '\\' && in->n) {
            c = *in->p;
            in->p++, in->n--;
        }
        if ((unsigned char)c < ' ' && c != '\t') return false;
        if (n + 1 >= size) return false;
        out[n++] = c;
    }
    return false;
}

// A value: quoted, or a token with the few more characters that servers leave unquoted.
static bool take_value(struct sv *in, char *out, size_t size)
{
    if (take_char(in, '"')) return take_quoted(in, out, size);
    size_t n = 0;
    while (in->n && *in->p > ' ' && *in->p < 127 && *in->p != ',' && *in->p != ';' &&
           *in->p != '"') {
        if (n + 1 >= size) return false;
        out[n++] = *in->p;
        in->p++, in->n--;
    }
    out[n] = '\0';
    return true;
}

// --- WWW-Authenticate ------------------------------------------------------------------------

static void store_param(struct header_challenge *c, struct sv key, const char *value)
{
    const struct {
        const char *key;
        char *to;
        size_t size;
    } table[] = {
        {"realm", c->realm, sizeof c->realm},
        {"service", c->service, sizeof c->service},
        {"scope", c->scope, sizeof c->scope},
        {"error", c->error, sizeof c->error},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        size_t n = strlen(value);
        if (!sv_eq_nocase(key, sv_of(table[i].key))) continue;
        if (n < table[i].size && !table[i].to[0]) memcpy(table[i].to, value, n + 1);
        return;
    }
}

// Parameters up to the next scheme name or the end. A token68 ("Negotiate abc==") is skipped.
static bool take_params(struct sv *in, struct header_challenge *c)
{
    for (;;) {
        char value[2048];
        skip_blanks(in);
        while (take_char(in, ',')) skip_blanks(in);
        struct sv before = *in;
        struct sv key = take_token(in);
        if (key.n == 0) return in->n == 0;
        skip_blanks(in);
        if (!take_char(in, '=')) {
            *in = before; // a scheme
            return true;
        }
        skip_blanks(in);
        if (!take_value(in, value, sizeof value)) return false;
        if (c) store_param(c, key, value);
        skip_blanks(in);
        if (in->n && *in->p != ',') return false;
    }
}

static void skip_token68(struct sv *in)
{
    struct sv at = *in;
    while (at.n && (isalnum((unsigned char)*at.p) || strchr("-._~+/", *at.p))) at.p++, at.n--;
    struct sv tail = at;
    while (take_char(&tail, '=')) continue;
    skip_blanks(&tail);
    // "realm=..." is a parameter: behind its single '=' comes more.
    if (at.p != in->p && (tail.n == 0 || *tail.p == ',')) *in = tail;
}

bool header_challenges(struct sv value, struct header_challenge out[HEADER_CHALLENGES], size_t *n)
{
    struct sv in = value;
    for (;;) {
        skip_blanks(&in);
        while (take_char(&in, ',')) skip_blanks(&in);
        if (in.n == 0) return true;
        struct sv scheme = take_token(&in);
        if (scheme.n == 0 || (in.n && *in.p != ' ' && *in.p != '\t' && *in.p != ',')) return false;
        struct header_challenge c = {.bearer = sv_eq_nocase(scheme, SV("bearer"))};
        bool known = c.bearer || sv_eq_nocase(scheme, SV("basic"));
        skip_blanks(&in);
        if (!known) skip_token68(&in);
        if (!take_params(&in, known ? &c : NULL)) return false;
        if (known && *n < HEADER_CHALLENGES) out[(*n)++] = c;
    }
}

// --- ranges ----------------------------------------------------------------------------------

bool header_content_range(struct sv value, uint64_t *first, uint64_t *last, uint64_t *total)
{
    if (value.n < 6 || strncasecmp(value.p, "bytes", 5) != 0) return false;
    struct sv in = sv_from(value, 5);
    if (*in.p != ' ' && *in.p != '=') return false;
    in = sv_trim(sv_from(in, 1));
    struct sv a = sv_cut(&in, '-');
    if (!in.p) return false;
    struct sv b = sv_cut(&in, '/');
    if (!in.p) return false;
    return num_u64(sv_trim(a), first) && num_u64(sv_trim(b), last) && num_u64(sv_trim(in), total) &&
           *first <= *last && *last < *total;
}

bool header_upload_range(struct sv value, uint64_t *out_next)
{
    uint64_t first, last;
    if (sv_starts(value, "bytes=")) value = sv_from(value, 6);
    struct sv a = sv_cut(&value, '-');
    if (!value.p || !num_u64(a, &first) || !num_u64(value, &last) || first != 0) return false;
    if (last == UINT64_MAX) return false;
    *out_next = last == 0 ? 0 : last + 1;
    return true;
}

// --- Link, Retry-After, Content-Type, Content-Disposition ------------------------------------

// The next ";key=value". 1: there is one, 0: there are no more, -1: it is damaged. One without a value
// is passed over.
static int take_parameter(struct sv *in, struct sv *out_key, char *text, size_t size)
{
    for (;;) {
        skip_blanks(in);
        if (!take_char(in, ';')) return 0;
        skip_blanks(in);
        *out_key = take_token(in);
        skip_blanks(in);
        if (!take_char(in, '=')) continue;
        skip_blanks(in);
        return take_value(in, text, size) ? 1 : -1;
    }
}

static bool rel_is_next(const char *rel)
{
    struct sv words = sv_of(rel);
    while (words.p)
        if (sv_eq_nocase(sv_cut(&words, ' '), SV("next"))) return true;
    return false;
}

bool header_link_next(struct sv value, char *out, size_t size)
{
    struct sv in = value;
    for (;;) {
        skip_blanks(&in);
        while (take_char(&in, ',')) skip_blanks(&in);
        if (!take_char(&in, '<')) return false;
        long end = sv_find(in, '>');
        if (end < 0) return false;
        struct sv target = sv_part(in, 0, (size_t)end);
        in = sv_from(in, (size_t)end + 1);
        bool next = false;
        int more;
        char text[1024];
        struct sv key;
        while ((more = take_parameter(&in, &key, text, sizeof text)) > 0)
            if (sv_eq_nocase(key, SV("rel")) && rel_is_next(text)) next = true;
        if (more < 0) return false;
        if (next) {
            if (target.n == 0 || target.n >= size || memchr(target.p, '\0', target.n)) return false;
            memcpy(out, target.p, target.n);
            out[target.n] = '\0';
            return true;
        }
        if (in.n && *in.p != ',') return false;
    }
}

bool header_retry_after(struct sv value, int64_t now, int64_t *out_seconds)
{
    uint64_t n;
    if (num_u64_max(value, 365 * 86400, &n)) {
        *out_seconds = (int64_t)n;
        return true;
    }
    char text[64];
    if (value.n >= sizeof text) return false;
    memcpy(text, value.p, value.n);
    text[value.n] = '\0';
    struct tm tm = {0};
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    if (!end || *end) return false;
    *out_seconds = (int64_t)timegm(&tm) - now;
    if (*out_seconds < 0) *out_seconds = 0;
    return true;
}

void header_media_type(struct sv value, char *out, size_t size)
{
    struct sv type = sv_trim(sv_cut(&value, ';'));
    out[0] = '\0';
    if (type.n >= size) return;
    for (size_t i = 0; i < type.n; i++)
        if (!is_token(type.p[i]) && type.p[i] != '/') return;
    for (size_t i = 0; i < type.n; i++) out[i] = (char)tolower((unsigned char)type.p[i]);
    out[type.n] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// filename*=UTF-8''a%20b; "" when it is malformed.
static void undo_extended(const char *text, char *out, size_t size)
{
    const char *p = strchr(text, '\'');
    p = p ? strchr(p + 1, '\'') : NULL;
    size_t n = 0;
    out[0] = '\0';
    if (!p) return;
    char decoded[1024];
    for (p++; *p; p++) {
        char c = *p;
        if (c == '%') {
            int a = hex_digit(p[1]), b = a < 0 ? -1 : hex_digit(p[2]);
            if (b < 0) return;
            c = (char)(a * 16 + b);
            p += 2;
        }
        if (n + 1 >= sizeof decoded || n + 1 >= size || c == '\0') return;
        decoded[n++] = c;
    }
    memcpy(out, decoded, n);
    out[n] = '\0';
}

static bool usable_name(const char *text, char out[256])
{
    struct sv v = sv_of(text);
    long slash = sv_rfind(v, '/');
    if (slash >= 0) v = sv_from(v, (size_t)slash + 1);
    if (v.n == 0 || v.n > 255 || sv_eqz(v, ".") || sv_eqz(v, "..") || !sv_is_utf8(v)) return false;
    for (size_t i = 0; i < v.n; i++)
        if ((unsigned char)v.p[i] < ' ' || v.p[i] == 127 || v.p[i] == '\\') return false;
    memcpy(out, v.p, v.n);
    out[v.n] = '\0';
    return true;
}

bool header_file_name(struct sv value, char out[256])
{
    char plain[1024] = "", extended[1024] = "", text[1024];
    struct sv in = value;
    take_token(&in); // attachment, inline
    int more;
    struct sv key;
    while ((more = take_parameter(&in, &key, text, sizeof text)) > 0) {
        if (sv_eq_nocase(key, SV("filename"))) memcpy(plain, text, strlen(text) + 1);
        if (sv_eq_nocase(key, SV("filename*"))) undo_extended(text, extended, sizeof extended);
    }
    if (more < 0) return false;
    return (extended[0] && usable_name(extended, out)) || (plain[0] && usable_name(plain, out));
}
