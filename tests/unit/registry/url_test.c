// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include <string.h>

#include "base/own.h"
#include "registry/url.h"

static void parts_are_read_and_written_one_way(void **state)
{
    (void)state;
    struct err e = {0};
    struct url u;
    ASSERT_OK(url_parse("HTTPS://Example.COM/v2/a?x=1#frag", &u, &e));
    assert_true(u.https);
    assert_string_equal(u.host, "example.com");
    assert_int_equal(u.port, 443);
    assert_null(strchr(u.text, '#'));
    ASSERT_OK(url_parse("http://[::1]:5000/", &u, &e));
    assert_string_equal(u.host, "::1");
    assert_int_equal(u.port, 5000);
    assert_false(u.https);
    // An address in any spelling is what a connection would go to.
    ASSERT_OK(url_parse("http://2130706433/", &u, &e));
    assert_string_equal(u.host, "127.0.0.1");
    ASSERT_OK(url_parse("http://0x7f.1/", &u, &e));
    assert_string_equal(u.host, "127.0.0.1");
}

static void what_is_not_the_web_is_refused(void **state)
{
    (void)state;
    struct err e = {0};
    struct url u;
    ASSERT_FAILS(url_parse("file:///etc/passwd", &u, &e), "only http and https");
    ASSERT_FAILS(url_parse("unix:///run/x", &u, &e), "only http and https");
    ASSERT_FAILS(url_parse("ftp://a/b", &u, &e), "only http and https");
    ASSERT_FAILS(url_parse("/v2/a", &u, &e), "malformed");
    ASSERT_FAILS(url_parse("http://a b/", &u, &e), "malformed");
    ASSERT_FAILS(url_parse("http://a:70000/", &u, &e), "malformed");
    ASSERT_FAILS(url_parse("http://[fe80::1%25eth0]/", &u, &e), "zone");
    char text[5000] = "http://a/";
    memset(text + 9, 'x', sizeof text - 10);
    ASSERT_FAILS(url_parse(text, &u, &e), "too long");
}

static void a_password_in_an_address_is_refused_and_not_repeated(void **state)
{
    (void)state;
    struct err e = {0};
    struct url u;
    ASSERT_FAILS(url_parse("https://me:geheim@a/b?k=geheim", &u, &e), "user or password");
    assert_null(strstr(e.text, "geheim"));
    assert_null(strstr(e.text, "me:"));
}

static void relative_addresses_resolve_as_in_a_browser(void **state)
{
    (void)state;
    struct err e = {0};
    struct url from, to;
    ASSERT_OK(url_parse("https://h:444/v2/a/blobs/uploads/?mount=x", &from, &e));
    static const struct {
        const char *next, *want;
    } rows[] = {
        {"/v2/x?_state=a%2Fb", "https://h:444/v2/x?_state=a%2Fb"},
        {"b", "https://h:444/v2/a/blobs/uploads/b"},
        {"?n=2", "https://h:444/v2/a/blobs/uploads/?n=2"},
        {"//other/p", "https://other/p"},
        {"http://other:80/p", "http://other:80/p"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ASSERT_OK(url_resolve(&from, rows[i].next, &to, &e));
        assert_string_equal(to.text, rows[i].want);
    }
    ASSERT_FAILS(url_resolve(&from, "javascript:x", &to, &e), "refused");
    ASSERT_FAILS(url_resolve(&from, "https://u:p@h/", &to, &e), "user or password");
    ASSERT_OK(url_resolve(&from, "b", &from, &e));
    assert_string_equal(from.text, "https://h:444/v2/a/blobs/uploads/b");
}

static void an_origin_is_scheme_host_and_port(void **state)
{
    (void)state;
    struct err e = {0};
    struct url a, b;
    ASSERT_OK(url_parse("https://h/x", &a, &e));
    ASSERT_OK(url_parse("https://H:443/y?z", &b, &e));
    assert_true(url_same_origin(&a, &b));
    static const char *const others[] = {"http://h/x", "https://h:444/x", "https://h2/x",
                                         "http://h:443/"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        ASSERT_OK(url_parse(others[i], &b, &e));
        assert_false(url_same_origin(&a, &b));
    }
}

static void queries_grow_by_escaped_pairs(void **state)
{
    (void)state;
    struct err e = {0};
    struct url u;
    ASSERT_OK(url_parse("https://h/p?_state=A%3D%3D", &u, &e));
    ASSERT_OK(url_add_query(&u, "digest", "sha256:ab", &e));
    assert_string_equal(u.text, "https://h/p?_state=A%3D%3D&digest=sha256%3aab");
    ASSERT_OK(url_parse("https://h/token", &u, &e));
    ASSERT_OK(url_add_query(&u, "scope", "a b&c=d", &e));
    assert_null(strchr(u.text, ' '));
    assert_null(strstr(u.text, "&c"));
}

static void messages_show_no_query(void **state)
{
    (void)state;
    struct err e = {0};
    struct url u;
    own(str) struct str out = {0};
    ASSERT_OK(url_parse("https://h/p?X-Amz-Signature=geheim", &u, &e));
    url_print_short(&u, &out);
    assert_string_equal(str_z(&out), "https://h/p");
}

RUN_TESTS("registry/url", TEST(parts_are_read_and_written_one_way),
          TEST(what_is_not_the_web_is_refused),
          TEST(a_password_in_an_address_is_refused_and_not_repeated),
          TEST(relative_addresses_resolve_as_in_a_browser), TEST(an_origin_is_scheme_host_and_port),
          TEST(queries_grow_by_escaped_pairs), TEST(messages_show_no_query))
