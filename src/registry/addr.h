// SPDX-License-Identifier: Apache-2.0
// Which part of the world an address belongs to. A registry may send us elsewhere (redirects, token
// servers, upload locations); it may not send us to places that only this machine or this network
// can reach.
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

enum addr_class {
    ADDR_PUBLIC,
    ADDR_PRIVATE,    // 10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7
    ADDR_LOOPBACK,   // 127/8, 0/8, ::1, ::
    ADDR_LINK_LOCAL, // 169.254/16, fe80::/10, multicast, broadcast: cloud metadata lives here
    ADDR_CLASS_COUNT,
};
const char *addr_class_name(enum addr_class c); // "loopback", ...

// IPv6 forms that carry an IPv4 address (mapped, NAT64, 6to4) count as that address. Families that
// are not IP are LINK_LOCAL: nobody may be sent there.
enum addr_class addr_of_socket(const struct sockaddr *sa);
// true when `host` (without brackets) is an address in numbers.
bool addr_of_literal(const char *host, enum addr_class *out);
// May an answer that came from `origin` send us to `target`? A name may resolve to a private
// address when the origin has one too (a registry and its storage inside one company); an address
// written in numbers may not.
bool addr_may_follow(enum addr_class origin, enum addr_class target, bool literal);
