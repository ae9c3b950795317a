// SPDX-License-Identifier: Apache-2.0
// Reads and prints image references. What passes here is safe as a path below refs/: no component
// can be empty, "." or "..", none starts with '_' or '.', and lengths are capped. The rules are those of the
// distribution project, so a reference that Docker takes means the same image here.
#include "oci/ref.h"

#include <ctype.h>

#define REF_NAME_MAX 255
#define REF_TAG_MAX 128
#define DEFAULT_HOST "docker.io"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return (c >= 'a' && c <= 'z') || is_digit(c);
}

static bool is_alnum(char c)
{
    return is_lower(c) || (c >= 'A' && c <= 'Z');
}

// [a-z0-9]+ joined by one '.', one or two '_', or any number of '-'.
static bool valid_component(struct sv c)
{
    size_t i = 0;
    while (true) {
        size_t start = i;
        while (i < c.n && is_lower(c.p[i])) i++;
        if (i == start) return false;
        if (i == c.n) return true;
        if (c.p[i] == '.') {
            i++;
        } else if (c.p[i] == '_') {
            i += i + 1 < c.n && c.p[i + 1] == '_' ? 2 : 1;
        } else if (c.p[i] == '-') {
            while (i < c.n && c.p[i] == '-') i++;
        } else {
            return false;
        }
    }
}

static bool valid_path(struct sv path)
{
    struct sv rest = path;
    while (rest.p) {
        if (!valid_component(sv_cut(&rest, '/'))) return false;
    }
    return true;
}

static bool valid_host_label(struct sv l)
{
    if (l.n == 0 || !is_alnum(l.p[0]) || !is_alnum(l.p[l.n - 1])) return false;
    for (size_t i = 0; i < l.n; i++) {
        if (!is_alnum(l.p[i]) && l.p[i] != '-') return false;
    }
    return true;
}

static bool valid_port(struct sv p)
{
    for (size_t i = 0; i < p.n; i++) {
        if (!is_digit(p.p[i])) return false;
    }
    return p.n > 0;
}

static bool valid_ipv6(struct sv a)
{
    for (size_t i = 0; i < a.n; i++) {
        if (!isxdigit((unsigned char)a.p[i]) && a.p[i] != ':') return false;
    }
    return a.n >= 2;
}

static bool valid_host(struct sv host)
{
    struct sv name = host;
    if (host.n > 0 && host.p[0] == '[') {
        long close = sv_find(host, ']');
        if (close < 0 || !valid_ipv6(sv_part(host, 1, (size_t)close - 1))) return false;
        struct sv after = sv_from(host, (size_t)close + 1);
        return after.n == 0 || (after.p[0] == ':' && valid_port(sv_from(after, 1)));
    }
    long colon = sv_find(host, ':');
    if (colon >= 0) {
        if (!valid_port(sv_from(host, (size_t)colon + 1))) return false;
        name = sv_part(host, 0, (size_t)colon);
    }
    struct sv rest = name;
    while (rest.p) {
        if (!valid_host_label(sv_cut(&rest, '.'))) return false;
    }
    return true;
}

static bool valid_tag(struct sv t)
{
    if (t.n == 0 || t.n > REF_TAG_MAX || !(is_alnum(t.p[0]) || t.p[0] == '_')) return false;
    for (size_t i = 0; i < t.n; i++) {
        if (!is_alnum(t.p[i]) && t.p[i] != '_' && t.p[i] != '.' && t.p[i] != '-') return false;
    }
    return true;
}

static bool has_upper(struct sv s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] >= 'A' && s.p[i] <= 'Z') return true;
    }
    return false;
}

// A first component is a host when it cannot be a name: '.' or ':' in it, "localhost", or upper case.
static bool looks_like_host(struct sv first)
{
    return sv_find(first, '.') >= 0 || sv_find(first, ':') >= 0 || sv_eqz(first, "localhost") ||
           has_upper(first);
}

static int refuse(struct err *e, struct sv text, const char *why)
{
    return err_set(e, ERR_INPUT, "invalid reference '%.*s': %s", (int)(text.n > 300 ? 300 : text.n),
                   text.p, why);
}

static bool all_hex64(struct sv s)
{
    if (s.n != 64) return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!is_digit(s.p[i]) && (s.p[i] < 'a' || s.p[i] > 'f')) return false;
    }
    return true;
}

static int parse_name(struct sv text, struct sv name, struct oci_ref *out, struct err *e)
{
    struct sv host = SV(DEFAULT_HOST);
    struct sv path = name;
    long slash = sv_find(name, '/');
    if (slash >= 0 && looks_like_host(sv_part(name, 0, (size_t)slash))) {
        host = sv_part(name, 0, (size_t)slash);
        path = sv_from(name, (size_t)slash + 1);
        if (sv_eqz(host, "index.docker.io")) host = SV(DEFAULT_HOST);
    }
    if (path.n == 0) return refuse(e, text, "the repository name is missing");
    if (all_hex64(name)) return refuse(e, text, "64 hex digits are an ID, not a name");
    if (has_upper(path)) {
        (void)refuse(e, text, "the repository name must be lower case");
        struct str low = {0};
        for (size_t i = 0; i < name.n && i < 100; i++) {
            str_addc(&low, (char)tolower((unsigned char)name.p[i]));
        }
        err_hint(e, "write it as '%s'", str_z(&low));
        str_fini(&low);
        return -1;
    }
    if (!valid_host(host)) {
        (void)refuse(e, text, "the registry host is not valid");
        if (sv_ends(host, ":") && sv_starts(path, "/")) {
            struct sv rest = sv_from(text, host.n + 2);
            err_hint(e, "an image's name begins with the host: '%.*s'", (int)rest.n, rest.p);
        }
        return -1;
    }
    if (!valid_path(path)) {
        return refuse(e, text,
                      "a repository name is made of a-z and 0-9, joined by '.', '_', '-' and '/'");
    }
    bool official = sv_eqz(host, DEFAULT_HOST) && sv_find(path, '/') < 0;
    size_t extra = official ? sizeof "library/" - 1 : 0;
    if (host.n > REF_NAME_MAX || path.n + extra > REF_NAME_MAX) {
        return refuse(e, text, "the repository name is longer than 255 bytes");
    }
    memcpy(out->host, host.p, host.n);
    if (official) memcpy(out->name, "library/", extra);
    memcpy(out->name + extra, path.p, path.n);
    return 0;
}

int oci_ref_parse(struct sv text, struct oci_ref *out, struct err *e)
{
    struct oci_ref r = {0};
    struct sv name = text;
    if (text.n == 0) return err_set(e, ERR_INPUT, "an image reference is empty");
    if (memchr(text.p, '\0', text.n)) return refuse(e, text, "it holds a NUL byte");
    long at = sv_find(text, '@');
    if (at >= 0) {
        name = sv_part(text, 0, (size_t)at);
        struct err why = {0};
        if (oci_digest_parse(sv_from(text, (size_t)at + 1), &r.digest, &why) < 0) {
            return refuse(e, text, err_cause(&why));
        }
    }
    long colon = sv_rfind(name, ':');
    if (colon > sv_rfind(name, '/')) {
        struct sv tag = sv_from(name, (size_t)colon + 1);
        name = sv_part(name, 0, (size_t)colon);
        if (!valid_tag(tag)) {
            return refuse(e, text,
                          "a tag is made of A-Z, a-z, 0-9, '_', '.' and '-', at most 128 long, and "
                          "does not start with '.' or '-'");
        }
        memcpy(r.tag, tag.p, tag.n);
    }
    if (parse_name(text, name, &r, e) < 0) return -1;
    *out = r;
    return 0;
}

void oci_ref_default_tag(struct oci_ref *r)
{
    if (!r->tag[0] && !oci_digest_is_set(&r->digest)) memcpy(r->tag, "latest", sizeof "latest");
}

void oci_ref_print_repository(const struct oci_ref *r, struct str *out)
{
    struct sv name = sv_of(r->name);
    if (strcmp(r->host, DEFAULT_HOST) != 0) {
        str_addf(out, "%s/%s", r->host, r->name);
        return;
    }
    if (sv_starts(name, "library/")) {
        struct sv rest = sv_from(name, sizeof "library/" - 1);
        if (sv_find(rest, '/') < 0) name = rest;
    }
    // The short form must read back as the same reference.
    long slash = sv_find(name, '/');
    if (slash >= 0 && looks_like_host(sv_part(name, 0, (size_t)slash))) {
        str_addz(out, DEFAULT_HOST "/");
    }
    str_add(out, name);
}

static void print_rest(const struct oci_ref *r, struct str *out)
{
    char text[OCI_DIGEST_TEXT];
    if (r->tag[0]) str_addf(out, ":%s", r->tag);
    if (oci_digest_is_set(&r->digest)) str_addf(out, "@%s", oci_digest_print(&r->digest, text));
}

void oci_ref_print(const struct oci_ref *r, struct str *out)
{
    oci_ref_print_repository(r, out);
    print_rest(r, out);
}

void oci_ref_print_full(const struct oci_ref *r, struct str *out)
{
    str_addf(out, "%s/%s", r->host, r->name);
    print_rest(r, out);
}
