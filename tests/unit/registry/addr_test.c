// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "registry/addr.h"

static void every_spelling_of_an_address_has_one_class(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        enum addr_class class;
    } rows[] = {
        {"8.8.8.8", ADDR_PUBLIC},
        {"127.0.0.1", ADDR_LOOPBACK},
        {"127.255.255.254", ADDR_LOOPBACK},
        {"0.0.0.0", ADDR_LOOPBACK},
        {"2130706433", ADDR_LOOPBACK},
        {"0x7f000001", ADDR_LOOPBACK},
        {"0177.0.0.1", ADDR_LOOPBACK},
        {"127.1", ADDR_LOOPBACK},
        {"::1", ADDR_LOOPBACK},
        {"::", ADDR_LOOPBACK},
        {"::ffff:127.0.0.1", ADDR_LOOPBACK},
        {"::127.0.0.1", ADDR_LOOPBACK},
        {"64:ff9b::7f00:1", ADDR_LOOPBACK},
        {"2002:7f00:1::", ADDR_LOOPBACK},
        {"10.1.2.3", ADDR_PRIVATE},
        {"172.16.0.1", ADDR_PRIVATE},
        {"172.31.255.255", ADDR_PRIVATE},
        {"172.32.0.1", ADDR_PUBLIC},
        {"192.168.1.1", ADDR_PRIVATE},
        {"100.64.0.1", ADDR_PRIVATE},
        {"fd00::1", ADDR_PRIVATE},
        {"::ffff:10.0.0.1", ADDR_PRIVATE},
        {"169.254.169.254", ADDR_LINK_LOCAL},
        {"::ffff:169.254.169.254", ADDR_LINK_LOCAL},
        {"fe80::1", ADDR_LINK_LOCAL},
        {"fe80::1%eth0", ADDR_LINK_LOCAL},
        {"224.0.0.1", ADDR_LINK_LOCAL},
        {"255.255.255.255", ADDR_LINK_LOCAL},
        {"ff02::1", ADDR_LINK_LOCAL},
        {"2600::1", ADDR_PUBLIC},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        enum addr_class c = ADDR_CLASS_COUNT;
        assert_true(addr_of_literal(rows[i].host, &c));
        if (c != rows[i].class)
            fail_msg("%s is %s, not %s", rows[i].host, addr_class_name(c),
                     addr_class_name(rows[i].class));
    }
    enum addr_class c;
    assert_false(addr_of_literal("localhost", &c));
    assert_false(addr_of_literal("127.0.0.1.example.com", &c));
    assert_false(addr_of_literal("", &c));
}

static void sockets_are_classed_like_texts(void **state)
{
    (void)state;
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    struct sockaddr other = {.sa_family = AF_UNIX};
    in.sin_addr.s_addr = htonl(0x7f000001);
    inet_pton(AF_INET6, "::ffff:10.0.0.1", &in6.sin6_addr);
    assert_int_equal(addr_of_socket((struct sockaddr *)&in), ADDR_LOOPBACK);
    assert_int_equal(addr_of_socket((struct sockaddr *)&in6), ADDR_PRIVATE);
    assert_int_equal(addr_of_socket(&other), ADDR_LINK_LOCAL);
}

static void nobody_is_sent_nearer_than_who_sends(void **state)
{
    (void)state;
    for (int t = 0; t < ADDR_CLASS_COUNT; t++)
        for (int literal = 0; literal < 2; literal++) {
            enum addr_class to = (enum addr_class)t;
            assert_int_equal(addr_may_follow(ADDR_PUBLIC, to, literal), to == ADDR_PUBLIC);
            assert_int_equal(addr_may_follow(ADDR_PRIVATE, to, literal),
                             to == ADDR_PUBLIC || (to == ADDR_PRIVATE && !literal));
            assert_int_equal(addr_may_follow(ADDR_LOOPBACK, to, literal), to != ADDR_LINK_LOCAL);
            assert_int_equal(addr_may_follow(ADDR_LINK_LOCAL, to, literal), to == ADDR_PUBLIC);
        }
}

static void classes_have_names(void **state)
{
    (void)state;
    for (int i = 0; i < ADDR_CLASS_COUNT; i++)
        assert_string_not_equal(addr_class_name((enum addr_class)i), "?");
}

RUN_TESTS("registry/addr", TEST(every_spelling_of_an_address_has_one_class),
          TEST(sockets_are_classed_like_texts), TEST(nobody_is_sent_nearer_than_who_sends),
          TEST(classes_have_names))
