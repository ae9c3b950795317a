// SPDX-License-Identifier: Apache-2.0
#include "registry/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

static const char *const class_names[ADDR_CLASS_COUNT] = {
    [ADDR_PUBLIC] = "public",
    [ADDR_PRIVATE] = "private",
    [ADDR_LOOPBACK] = "loopback",
    [ADDR_LINK_LOCAL] = "link-local",
};

const char *addr_class_name(enum addr_class c)
{
    return (unsigned)c < ADDR_CLASS_COUNT ? class_names[c] : "?";
}

static const struct {
    uint32_t net;
    unsigned bits;
    enum addr_class class;
} v4_table[] = {
    {0x00000000, 8, ADDR_LOOPBACK}, // 0.0.0.0 is this machine
    {0x7f000000, 8, ADDR_LOOPBACK},    {0x0a000000, 8, ADDR_PRIVATE},
    {0xac100000, 12, ADDR_PRIVATE},    {0xc0a80000, 16, ADDR_PRIVATE},
    {0x64400000, 10, ADDR_PRIVATE},    {0xc6120000, 15, ADDR_PRIVATE}, // shared space, benchmarks
    {0xa9fe0000, 16, ADDR_LINK_LOCAL}, {0xc0000000, 24, ADDR_LINK_LOCAL},
    {0xe0000000, 3, ADDR_LINK_LOCAL}, // multicast, reserved, broadcast
};

static enum addr_class of_v4(uint32_t a)
{
    for (size_t i = 0; i < sizeof v4_table / sizeof *v4_table; i++)
        if ((a ^ v4_table[i].net) >> (32 - v4_table[i].bits) == 0) return v4_table[i].class;
    return ADDR_PUBLIC;
}

static uint32_t v4_at(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static enum addr_class of_v6(const unsigned char b[16])
{
    static const unsigned char zero[15] = {0};
    static const unsigned char nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    if (memcmp(b, zero, 15) == 0 && b[15] < 2) return ADDR_LOOPBACK;
    if (memcmp(b, zero, 12) == 0) return of_v4(v4_at(b + 12));
    if (memcmp(b, zero, 10) == 0 && b[10] == 0xff && b[11] == 0xff) return of_v4(v4_at(b + 12));
    if (memcmp(b, nat64, 12) == 0) return of_v4(v4_at(b + 12));
    if (b[0] == 0x20 && b[1] == 0x02) return of_v4(v4_at(b + 2));
    if ((b[0] & 0xfe) == 0xfc) return ADDR_PRIVATE;
    if (b[0] == 0xfe && (b[1] & 0xc0) == 0xc0) return ADDR_PRIVATE; // the old site-local
    if (b[0] == 0xfe || b[0] == 0xff) return ADDR_LINK_LOCAL;
    return ADDR_PUBLIC;
}

enum addr_class addr_of_socket(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        return of_v4(ntohl(in.sin_addr.s_addr));
    }
    if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof in6);
        return of_v6(in6.sin6_addr.s6_addr);
    }
    return ADDR_LINK_LOCAL;
}

bool addr_of_literal(const char *host, enum addr_class *out)
{
    struct in_addr v4;
    struct in6_addr v6;
    char bare[64];
    size_t n = strcspn(host, "%"); // a zone: fe80::1%eth0
    if (n == 0 || n >= sizeof bare) return false;
    memcpy(bare, host, n);
    bare[n] = '\0';
    if (inet_pton(AF_INET6, bare, &v6) == 1) {
        *out = of_v6(v6.s6_addr);
        return true;
    }
    // The old forms too (2130706433, 0x7f.1, 0177.0.0.1): whoever connects may read them so.
    if (inet_aton(bare, &v4)) {
        *out = of_v4(ntohl(v4.s_addr));
        return true;
    }
    return false;
}

bool addr_may_follow(enum addr_class origin, enum addr_class target, bool literal)
{
    if (target == ADDR_PUBLIC) return true;
    if (target == ADDR_LINK_LOCAL) return false;
    if (origin == ADDR_LOOPBACK) return true;
    return origin == ADDR_PRIVATE && target == ADDR_PRIVATE && !literal;
}
