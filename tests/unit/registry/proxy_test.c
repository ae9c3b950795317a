// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "registry/proxy.h"

static void no_proxy_takes_names_addresses_and_networks(void **state)
{
    (void)state;
    static const struct {
        const char *entry, *host;
        unsigned port;
        bool excluded;
    } rows[] = {
        {"*", "a.example", 443, true},
        {"example.com", "example.com", 443, true},
        {"example.com", "EXAMPLE.com", 443, true},
        {"example.com", "a.example.com", 443, true},
        {".example.com", "a.example.com", 443, true},
        {"*.example.com", "a.example.com", 443, true},
        {".example.com", "example.com", 443, false},
        {"example.com", "badexample.com", 443, false},
        {"example.com:8080", "example.com", 8080, true},
        {"example.com:8080", "example.com", 443, false},
        {"10.0.0.0/8", "10.1.2.3", 443, true},
        {"10.0.0.0/8", "11.1.2.3", 443, false},
        {"10.0.0.0/8", "name.example", 443, false},
        {"192.168.1.0/25", "192.168.1.127", 443, true},
        {"192.168.1.0/25", "192.168.1.128", 443, false},
        {"192.168.1.7", "192.168.1.7", 443, true},
        {"1.7", "192.168.1.7", 443, false},
        {"fd00::/8", "fd12::1", 443, true},
        {"[::2]:5000", "::2", 5000, true},
        {"::2", "::2", 5000, true},
        {"[::2]:5000", "::2", 443, false},
        {"", "a", 443, false},
        {".", "a", 443, false},
        {"10.0.0.0/99", "10.0.0.1", 443, false},
        {"a:b:c", "a", 443, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (proxy_excludes(sv_of(rows[i].entry), rows[i].host, rows[i].port) != rows[i].excluded)
            fail_msg("'%s' and %s:%u", rows[i].entry, rows[i].host, rows[i].port);
}

static const char *found(const char *text, struct str *out)
{
    struct err e = {0};
    struct url u;
    str_clear(out);
    ASSERT_OK(url_parse(text, &u, &e));
    return proxy_find(&u, out) ? str_z(out) : "none";
}

static void the_environment_names_proxies_by_scheme(void **state)
{
    (void)state;
    own(str) struct str out = {0};
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                        "ALL_PROXY",  "no_proxy",    "NO_PROXY",    "HTTP_PROXY"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unsetenv(names[i]);
    assert_string_equal(found("https://a/", &out), "none");
    setenv("HTTP_PROXY", "http://evil:1", 1); // a client's "Proxy:" header makes this one in CGI
    assert_string_equal(found("http://a/", &out), "none");
    setenv("ALL_PROXY", "http://p:1", 1);
    assert_string_equal(found("http://a/", &out), "http://p:1");
    setenv("https_proxy", "http://p:2", 1);
    assert_string_equal(found("https://a/", &out), "http://p:2");
    setenv("NO_PROXY", "b, .c", 1);
    assert_string_equal(found("https://b/", &out), "none");
    assert_string_equal(found("https://x.c/", &out), "none");
    assert_string_equal(found("https://a/", &out), "http://p:2");
    assert_string_equal(found("https://localhost:5000/", &out), "none");
    assert_string_equal(found("https://127.0.0.2/", &out), "none");
    assert_string_equal(found("https://[::1]/", &out), "none");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unsetenv(names[i]);
}

RUN_TESTS("registry/proxy", TEST(no_proxy_takes_names_addresses_and_networks),
          TEST(the_environment_names_proxies_by_scheme))
