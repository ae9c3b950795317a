// SPDX-License-Identifier: Apache-2.0
#include "registry/proxy.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "registry/addr.h"

static bool same_bits(const unsigned char *a, const unsigned char *b, unsigned bits)
{
    if (memcmp(a, b, bits / 8) != 0) return false;
    unsigned rest = bits % 8;
    return rest == 0 || (a[bits / 8] ^ b[bits / 8]) >> (8 - rest) == 0;
}

static bool in_network(struct sv entry, const char *host)
{
    char net[64];
    unsigned char a[16], b[16];
    struct sv bits_text = entry;
    struct sv net_text = sv_cut(&bits_text, '/');
    uint64_t bits;
    if (!bits_text.p || net_text.n >= sizeof net) return false;
    memcpy(net, net_text.p, net_text.n);
    net[net_text.n] = '\0';
    int family = strchr(net, ':') ? AF_INET6 : AF_INET;
    return num_u64_max(bits_text, family == AF_INET ? 32 : 128, &bits) &&
           inet_pton(family, net, a) == 1 && inet_pton(family, host, b) == 1 &&
           same_bits(a, b, (unsigned)bits);
}

bool proxy_excludes(struct sv entry, const char *host, unsigned port)
{
    entry = sv_trim(entry);
    if (entry.n == 0) return false;
    if (sv_eqz(entry, "*")) return true;
    if (in_network(entry, host)) return true;
    struct sv name = entry;
    if (name.p[0] == '[') { // [::1]:port
        long end = sv_find(name, ']');
        if (end < 0) return false;
        entry = sv_from(name, (size_t)end + 1);
        name = sv_part(name, 1, (size_t)end - 1);
    } else {
        long colon = sv_rfind(name, ':');
        bool one = colon >= 0 && sv_find(name, ':') == colon; // more: a bare IPv6 address
        entry = one ? sv_from(name, (size_t)colon) : (struct sv){name.p, 0};
        if (one) name = sv_part(name, 0, (size_t)colon);
    }
    uint64_t want;
    if (entry.n && (!num_u64_max(sv_from(entry, 1), 65535, &want) || want != port)) return false;
    bool suffix = name.n && (name.p[0] == '.' || name.p[0] == '*');
    while (name.n && (name.p[0] == '.' || name.p[0] == '*')) name = sv_from(name, 1);
    struct sv h = sv_of(host);
    if (name.n == 0) return false;
    if (!suffix && sv_eq_nocase(h, name)) return true;
    enum addr_class literal;
    return !addr_of_literal(host, &literal) && h.n > name.n && h.p[h.n - name.n - 1] == '.' &&
           sv_eq_nocase(sv_from(h, h.n - name.n), name);
}

static const char *first_set(const char *const names[])
{
    for (size_t i = 0; names[i]; i++) {
        const char *z = getenv(names[i]);
        if (z && z[0]) return z;
    }
    return NULL;
}

static bool is_loopback(const char *host)
{
    enum addr_class c;
    if (addr_of_literal(host, &c)) return c == ADDR_LOOPBACK;
    struct sv h = sv_of(host);
    return sv_eqz(h, "localhost") || sv_ends(h, ".localhost");
}

bool proxy_find(const struct url *u, struct str *out)
{
    static const char *const for_http[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
    static const char *const for_https[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
                                            NULL};
    static const char *const never[] = {"no_proxy", "NO_PROXY", NULL};
    const char *proxy = first_set(u->https ? for_https : for_http);
    if (!proxy || is_loopback(u->host)) return false;
    struct sv list = sv_of(first_set(never));
    while (list.p)
        if (proxy_excludes(sv_cut(&list, ','), u->host, u->port)) return false;
    str_addz(out, proxy);
    return true;
}
