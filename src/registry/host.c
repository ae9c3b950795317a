// SPDX-License-Identifier: Apache-2.0
// One place decides what a registry host is, so that keys of credential files, configuration files
// and references are compared by the same rules and nothing odd reaches a header or a URL.
#include "registry/host.h"

#include <arpa/inet.h>
#include <ctype.h>

#include "base/num.h"

static bool valid_name(struct sv s)
{
    if (s.n == 0 || s.p[0] == '.' || s.p[0] == '-' || s.p[s.n - 1] == '-') return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && c != '-' && c != '_' && (c != '.' || (i && s.p[i - 1] == '.'))) return false;
    }
    return true;
}

static bool address_of(struct sv bare, int family, unsigned char out[16])
{
    char text[64];
    if (bare.n == 0 || bare.n >= sizeof text) return false;
    memcpy(text, bare.p, bare.n);
    text[bare.n] = '\0';
    return inet_pton(family, text, out) == 1;
}

// Cuts host into name (brackets kept out) and port ("" when there is none). False: not that shape.
static bool split(struct sv host, struct sv *bare, struct sv *port, bool *bracketed)
{
    *port = SV("");
    *bracketed = host.n && host.p[0] == '[';
    if (*bracketed) {
        long end = sv_find(host, ']');
        if (end < 0) return false;
        *bare = sv_part(host, 1, (size_t)end - 1);
        struct sv rest = sv_from(host, (size_t)end + 1);
        if (rest.n && rest.p[0] != ':') return false;
        *port = sv_from(rest, 1);
        return rest.n == 0 || port->n > 0;
    }
    long colon = sv_find(host, ':');
    *bare = colon < 0 ? host : sv_part(host, 0, (size_t)colon);
    if (colon >= 0) *port = sv_from(host, (size_t)colon + 1);
    return colon < 0 || port->n > 0;
}

bool registry_host_valid(struct sv host)
{
    struct sv bare, port;
    bool bracketed;
    unsigned char addr[16];
    uint64_t number;
    if (host.n == 0 || host.n >= REGISTRY_HOST_SIZE) return false;
    if (!split(host, &bare, &port, &bracketed)) return false;
    if (port.n && !num_u64_max(port, 65535, &number)) return false;
    return bracketed ? address_of(bare, AF_INET6, addr) : valid_name(bare);
}

int registry_host_check(const char *host, struct err *e)
{
    if (registry_host_valid(sv_of(host))) return 0;
    err_set(e, ERR_INPUT, "'%s' is not the name of a registry", host);
    return err_hint(e, "write host or host:port, without a path, user or password");
}

struct sv registry_host_bare(struct sv host)
{
    struct sv bare, port;
    bool bracketed;
    return split(host, &bare, &port, &bracketed) ? bare : host;
}

bool registry_host_is_hub(struct sv host)
{
    static const char *const names[] = {REGISTRY_HUB, "index.docker.io", REGISTRY_HUB_API};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (sv_eq_nocase(host, sv_of(names[i]))) return true;
    return false;
}

bool registry_host_same(struct sv a, struct sv b)
{
    return sv_eq_nocase(a, b) || (registry_host_is_hub(a) && registry_host_is_hub(b));
}

bool registry_host_is_loopback(struct sv host)
{
    static const unsigned char one[16] = {[15] = 1};
    unsigned char addr[16];
    struct sv bare = registry_host_bare(host);
    if (sv_eq_nocase(bare, SV("localhost"))) return true;
    if (address_of(bare, AF_INET, addr)) return addr[0] == 127;
    return address_of(bare, AF_INET6, addr) && memcmp(addr, one, sizeof one) == 0;
}

bool registry_host_in_range(struct sv host, struct sv range)
{
    unsigned char addr[16], net[16];
    uint64_t bits;
    struct sv left = range;
    struct sv base = sv_cut(&left, '/');
    struct sv bare = registry_host_bare(host);
    int family = sv_find(base, ':') < 0 ? AF_INET : AF_INET6;
    if (!left.p || !num_u64_max(left, family == AF_INET ? 32 : 128, &bits)) return false;
    if (!address_of(bare, family, addr) || !address_of(base, family, net)) return false;
    size_t whole = (size_t)(bits / 8);
    unsigned char mask = (unsigned char)(0xff00U >> (bits % 8) & 0xff);
    return memcmp(addr, net, whole) == 0 &&
           (bits % 8 == 0 || ((addr[whole] ^ net[whole]) & mask) == 0);
}
