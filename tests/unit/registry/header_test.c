// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include <string.h>

#include "registry/header.h"

static void check_challenges(const char *value, bool fine, size_t want,
                             const struct header_challenge *c)
{
    struct header_challenge got[HEADER_CHALLENGES];
    size_t n = 0;
    assert_int_equal(header_challenges(sv_of(value), got, &n), fine);
    assert_int_equal(n, want);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(got[i].bearer, c[i].bearer);
        assert_string_equal(got[i].realm, c[i].realm);
        assert_string_equal(got[i].service, c[i].service);
        assert_string_equal(got[i].scope, c[i].scope);
        assert_string_equal(got[i].error, c[i].error);
    }
}

static void commas_inside_quotes_belong_to_the_value(void **state)
{
    (void)state;
    const struct header_challenge c = {true, "https://auth.docker.io/token", "registry.docker.io",
                                       "repository:library/debian:pull,push", "invalid_token"};
    check_challenges("Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\","
                     "scope=\"repository:library/debian:pull,push\",error=\"invalid_token\"",
                     true, 1, &c);
    check_challenges(
        "bearer  realm = \"https://auth.docker.io/token\" , service=registry.docker.io "
        ",, scope=\"repository:library/debian:pull,push\", error=\"invalid\\_token\"",
        true, 1, &c);
}

static void several_challenges_stand_in_one_header(void **state)
{
    (void)state;
    const struct header_challenge c[] = {{true, "https://a/t", "s", "", ""},
                                         {false, "local, only", "", "", ""}};
    check_challenges("Bearer realm=\"https://a/t\", service=\"s\", Basic realm=\"local, only\"",
                     true, 2, c);
    check_challenges(
        "Negotiate, Bearer realm=\"https://a/t\", service=\"s\", Digest qop=\"auth, x\", "
        "NTLM TlRMTVNTUAAC==, Basic realm=\"local, only\"",
        true, 2, c);
    check_challenges("", true, 0, NULL);
    check_challenges("Negotiate abc==", true, 0, NULL);
}

static void the_first_of_two_equal_parameters_counts(void **state)
{
    (void)state;
    const struct header_challenge c = {true, "https://a", "", "", ""};
    check_challenges("Bearer realm=\"https://a\", realm=\"https://b\"", true, 1, &c);
}

static void malformed_challenges_are_refused(void **state)
{
    (void)state;
    check_challenges("Bearer realm=\"open", false, 0, NULL);
    check_challenges("Bearer realm=\"a\"b", false, 0, NULL);
    check_challenges("=x", false, 0, NULL);
    check_challenges("Bearer=\"x\"", false, 0, NULL);
    check_challenges("Bearer realm=\"a\x01\"", false, 0, NULL);
    char text[5000];
    memset(text, 'a', sizeof text);
    memcpy(text, "Bearer realm=\"", 14);
    memcpy(text + sizeof text - 2, "\"", 2);
    check_challenges(text, false, 0, NULL);
}

static void no_more_challenges_than_there_is_room_for(void **state)
{
    (void)state;
    struct header_challenge got[HEADER_CHALLENGES];
    char text[1000] = "";
    size_t n = 0, at = 0;
    for (int i = 0; i < 20; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "Basic realm=a,");
    assert_true(header_challenges(sv_of(text), got, &n));
    assert_int_equal(n, HEADER_CHALLENGES);
}

static void headers_are_found_whatever_their_case(void **state)
{
    (void)state;
    const struct sv lines = SV("Link: a\ncontent-type:x/y ; charset=utf-8\nlink:b:c \nnothing\n");
    struct sv v;
    assert_true(header_find(lines, "LINK", 0, &v) && sv_eqz(v, "a"));
    assert_true(header_find(lines, "Link", 1, &v) && sv_eqz(v, "b:c"));
    assert_false(header_find(lines, "Link", 2, &v));
    assert_false(header_find(lines, "nothing", 0, &v));
    assert_false(header_find(lines, "Lin", 0, &v));
    char type[32];
    assert_true(header_find(lines, "Content-Type", 0, &v));
    header_media_type(v, type, sizeof type);
    assert_string_equal(type, "x/y");
    header_media_type(SV("Application/JSON"), type, sizeof type);
    assert_string_equal(type, "application/json");
    header_media_type(SV("application/json with blanks"), type, sizeof type);
    assert_string_equal(type, "");
    header_media_type(SV("application/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), type, sizeof type);
    assert_string_equal(type, "");
}

static void content_ranges_must_add_up(void **state)
{
    (void)state;
    uint64_t a, b, c;
    assert_true(header_content_range(SV("bytes 5-9/10"), &a, &b, &c));
    assert_int_equal(a, 5);
    assert_int_equal(b, 9);
    assert_int_equal(c, 10);
    static const char *const bad[] = {"",
                                      "bytes",
                                      "bytes ",
                                      "bytes 5-9",
                                      "bytes 5-9/*",
                                      "bytes */10",
                                      "bytes 9-5/10",
                                      "bytes 5-10/10",
                                      "items 5-9/10",
                                      "bytes -9/10",
                                      "bytes 5-9/99999999999999999999",
                                      "bytes 5-9/10 x",
                                      "bytes5-9/10"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(header_content_range(sv_of(bad[i]), &a, &b, &c));
}

static void upload_ranges_say_where_to_go_on(void **state)
{
    (void)state;
    uint64_t next = 9;
    assert_true(header_upload_range(SV("0-1023"), &next) && next == 1024);
    assert_true(header_upload_range(SV("bytes=0-99"), &next) && next == 100);
    assert_true(header_upload_range(SV("0-0"), &next) && next == 0);
    assert_false(header_upload_range(SV("5-9"), &next));
    assert_false(header_upload_range(SV("0-18446744073709551615"), &next));
    assert_false(header_upload_range(SV("0--1"), &next));
    assert_false(header_upload_range(SV("0"), &next));
}

static void links_lead_to_the_next_page(void **state)
{
    (void)state;
    char out[64];
    assert_true(
        header_link_next(SV("</v2/a/tags/list?n=2&last=b>; rel=\"next\""), out, sizeof out));
    assert_string_equal(out, "/v2/a/tags/list?n=2&last=b");
    assert_true(header_link_next(SV("</p>; rel=prev , </q>; title=\"a,b>\"; rel=\"x next\""), out,
                                 sizeof out));
    assert_string_equal(out, "/q");
    static const char *const bad[] = {"",
                                      "</p>; rel=prev",
                                      "</p",
                                      "/p; rel=next",
                                      "<>; rel=next",
                                      "</p> rel=next",
                                      "</p>; rel=\"next"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(header_link_next(sv_of(bad[i]), out, sizeof out));
    assert_false(header_link_next(SV("</1234567890>; rel=next"), out, 8));
}

static void retry_after_is_seconds_or_a_date(void **state)
{
    (void)state;
    int64_t s;
    assert_true(header_retry_after(SV("120"), 0, &s) && s == 120);
    assert_true(header_retry_after(SV("Thu, 01 Jan 1970 00:01:40 GMT"), 40, &s) && s == 60);
    assert_true(header_retry_after(SV("Thu, 01 Jan 1970 00:01:40 GMT"), 4000, &s) && s == 0);
    assert_false(header_retry_after(SV("-1"), 0, &s));
    assert_false(header_retry_after(SV("soon"), 0, &s));
    assert_false(header_retry_after(SV("99999999999"), 0, &s));
}

static void file_names_are_one_plain_component(void **state)
{
    (void)state;
    static const struct {
        const char *value, *name; // NULL: none
    } rows[] = {
        {"attachment; filename=a.tar", "a.tar"},
        {"attachment; filename=\"a b; c.tar\"", "a b; c.tar"},
        {"attachment; filename=\"../../etc/passwd\"", "passwd"},
        {"attachment; filename=\"plain\"; filename*=UTF-8''na%C3%AFve.txt", "na\xc3\xafve.txt"},
        {"attachment; filename=plain; filename*=UTF-8''%2E%2E", "plain"},
        {"attachment; filename=..", NULL},
        {"attachment; filename=\"a/\"", NULL},
        {"attachment; filename=\"a\\\\b\"", NULL},
        {"attachment; filename*=UTF-8''a%00b", NULL},
        {"attachment; filename*=UTF-8''%ff", NULL},
        {"attachment; filename*=UTF-8''%1b[0m", NULL},
        {"attachment", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char name[256];
        bool got = header_file_name(sv_of(rows[i].value), name);
        assert_int_equal(got, rows[i].name != NULL);
        if (got) assert_string_equal(name, rows[i].name);
    }
}

RUN_TESTS("registry/header", TEST(commas_inside_quotes_belong_to_the_value),
          TEST(several_challenges_stand_in_one_header),
          TEST(the_first_of_two_equal_parameters_counts), TEST(malformed_challenges_are_refused),
          TEST(no_more_challenges_than_there_is_room_for),
          TEST(headers_are_found_whatever_their_case), TEST(content_ranges_must_add_up),
          TEST(upload_ranges_say_where_to_go_on), TEST(links_lead_to_the_next_page),
          TEST(retry_after_is_seconds_or_a_date), TEST(file_names_are_one_plain_component))
