// SPDX-License-Identifier: Apache-2.0
// /etc/resolv.conf with --dns, --dns-search and --dns-option: each replaces all lines of its kind.
#include "sandbox/resolv.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/own.h"

static bool is_plain(const char *word)
{
    for (const char *p = word; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 127 || *p == '#' || *p == ';') return false;
    return word[0] != '\0';
}

static bool is_domain(const char *word)
{
    struct sv v = sv_of(word);
    if (sv_eqz(v, ".")) return true; // none at all
    if (v.n == 0 || v.n > 253 || v.p[0] == '.' || v.p[0] == '-') return false;
    for (size_t i = 0; i < v.n; i++)
        if (!strchr("-_.", v.p[i]) && !(v.p[i] >= '0' && v.p[i] <= '9') &&
            !(v.p[i] >= 'a' && v.p[i] <= 'z') && !(v.p[i] >= 'A' && v.p[i] <= 'Z'))
            return false;
    return true;
}

int sandbox_resolv_check(const struct sandbox_spec *s, struct err *e)
{
    unsigned char raw[16];
    for (size_t i = 0; i < s->dns.n; i++) {
        const char *a = s->dns.p[i];
        if (inet_pton(AF_INET, a, raw) == 1 || inet_pton(AF_INET6, a, raw) == 1) continue;
        err_set(e, ERR_USAGE, "'%s' behind --dns is not an address", a);
        return err_hint(e, "a name server is given by its number: 192.0.2.1, 2001:db8::1");
    }
    for (size_t i = 0; i < s->dns_search.n; i++)
        if (!is_domain(s->dns_search.p[i]))
            return err_set(e, ERR_USAGE, "'%s' behind --dns-search is not a domain",
                           s->dns_search.p[i]);
    for (size_t i = 0; i < s->dns_options.n; i++)
        if (!is_plain(s->dns_options.p[i]))
            return err_set(e, ERR_USAGE, "'%s' behind --dns-option is not one word",
                           s->dns_options.p[i]);
    return 0;
}

// The lines that begin with none of the words that are replaced.
static void keep_lines(struct sv text, const char *const *words, const bool *replaced, size_t n,
                       struct str *out)
{
    while (text.p && text.n) {
        struct sv line = sv_cut(&text, '\n'), rest = sv_trim(line), word = sv_cut(&rest, ' ');
        bool keep = true;
        for (size_t i = 0; i < n; i++) keep = keep && !(replaced[i] && sv_eqz(word, words[i]));
        if (!keep) continue;
        str_add(out, line);
        str_addc(out, '\n');
    }
}

static void one_line(const char *word, const struct strv *values, struct str *out)
{
    str_addz(out, word);
    for (size_t i = 0; i < values->n; i++) str_addf(out, " %s", values->p[i]);
    str_addc(out, '\n');
}

void sandbox_resolv_text(const struct sandbox_spec *s, struct str *text)
{
    static const char *const words[] = {"nameserver", "search", "domain", "options"};
    const bool replaced[] = {s->dns.n, s->dns_search.n, s->dns_search.n, s->dns_options.n};
    if (!s->dns.n && !s->dns_search.n && !s->dns_options.n) return;
    struct str made = {0};
    for (size_t i = 0; i < s->dns.n; i++) str_addf(&made, "nameserver %s\n", s->dns.p[i]);
    bool none = s->dns_search.n == 1 && strcmp(s->dns_search.p[0], ".") == 0;
    if (s->dns_search.n && !none) one_line("search", &s->dns_search, &made);
    if (s->dns_options.n) one_line("options", &s->dns_options, &made);
    keep_lines(str_sv(text), words, replaced, sizeof words / sizeof *words, &made);
    str_fini(text);
    *text = made;
}
