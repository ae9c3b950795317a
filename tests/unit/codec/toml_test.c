// SPDX-License-Identifier: Apache-2.0
// TOML 1.0: what a text means, as JSON, and what is refused, with the place.
#include "harness.h"

#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "codec/toml.h"

struct row {
    const char *text, *want;
};

static void check_all(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        own(codec_json) struct codec_json *j = NULL;
        own(str) struct str got = {0};
        struct err e = {0};
        if (codec_toml_parse(sv_of(rows[i].text), "t", &j, &e) < 0)
            fail_msg("refused: <<%s>>: %s", rows[i].text, err_cause(&e));
        codec_json_print(j, &got);
        if (strcmp(str_z(&got), rows[i].want) != 0)
            fail_msg("<<%s>> gave %s, not %s", rows[i].text, str_z(&got), rows[i].want);
    }
}
#define CHECK_ALL(rows) check_all(rows, sizeof(rows) / sizeof *(rows))

static void scalars_mean_what_the_specification_says(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", "{}"},
        {"# only a comment", "{}"},
        {"\xef\xbb\xbf"
         "a = 1",
         "{\"a\":1}"},
        {"a = 1 # one\nb = 2", "{\"a\":1,\"b\":2}"},
        {"a = 1\r\nb = 2\r\n", "{\"a\":1,\"b\":2}"},
        {"a = +99\nb = -17\nc = 1_000\nd = 0\ne = -0\nf = +0",
         "{\"a\":99,\"b\":-17,\"c\":1000,\"d\":0,\"e\":0,\"f\":0}"},
        {"a = 0xDEAD_beef\nb = 0o755\nc = 0b1101", "{\"a\":3735928559,\"b\":493,\"c\":13}"},
        {"a = 9223372036854775807\nb = -9223372036854775808",
         "{\"a\":9223372036854775807,\"b\":-9223372036854775808}"},
        {"a = 1.5\nb = -0.25\nc = 5e+2\nd = 6.5E-1\ne = 1_0.2_5\nf = 1e06",
         "{\"a\":1.5,\"b\":-0.25,\"c\":500.0,\"d\":0.65000000000000002,\"e\":10.25,\"f\":1000000."
         "0}"},
        {"a = inf\nb = -inf\nc = +inf\nd = nan\ne = -nan",
         "{\"a\":\"inf\",\"b\":\"-inf\",\"c\":\"inf\",\"d\":\"nan\",\"e\":\"nan\"}"},
        {"a = true\nb = false", "{\"a\":true,\"b\":false}"},
        {"a = 1979-05-27T07:32:00Z\nb = 1979-05-27 07:32:00.999-07:00\nc = 1979-05-27T07:32:00",
         "{\"a\":\"1979-05-27T07:32:00Z\",\"b\":\"1979-05-27 07:32:00.999-07:00\","
         "\"c\":\"1979-05-27T07:32:00\"}"},
        {"a = 2024-02-29\nb = 07:32:00\nc = 00:32:00.5 # noon",
         "{\"a\":\"2024-02-29\","
         "\"b\":\"07:32:00\",\"c\":\"00:32:00.5\"}"},
        {"a = 1979-05-27 # a day", "{\"a\":\"1979-05-27\"}"},
    };
    CHECK_ALL(rows);
}

static void strings_come_in_four_kinds(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"a = \"\"\nb = ''\nc = \"\"\"\"\"\"\nd = ''''''",
         "{\"a\":\"\",\"b\":\"\",\"c\":\"\",\"d\":\"\"}"},
        {"a = \"x\\t\\\"y\\\\ \\u00e9 \\U0001F600\"",
         "{\"a\":\"x\\t\\\"y\\\\ \xc3\xa9 \xf0\x9f\x98\x80\"}"},
        {"a = \"\\b\\f\\n\\r\"", "{\"a\":\"\\b\\f\\n\\r\"}"},
        {"a = 'C:\\new \"x\"'", "{\"a\":\"C:\\\\new \\\"x\\\"\"}"},
        {"a = \"# no comment\" # one", "{\"a\":\"# no comment\"}"},
        {"a = \"\"\"\none\ntwo\"\"\"", "{\"a\":\"one\\ntwo\"}"},
        {"a = \"\"\"\r\none\r\ntwo\"\"\"", "{\"a\":\"one\\ntwo\"}"},
        {"a = \"\"\"one \\\n\n   two\\t\"\"\"", "{\"a\":\"one two\\t\"}"},
        {"a = \"\"\"one \\   \n  \"\"\"", "{\"a\":\"one \"}"},
        {"a = \"\"\"\"quoted\"\"\"\"", "{\"a\":\"\\\"quoted\\\"\"}"},
        {"a = \"\"\"x\"\"\"\"\"", "{\"a\":\"x\\\"\\\"\"}"},
        {"a = '''\nI [dw]on't need \\d{2}'''", "{\"a\":\"I [dw]on't need \\\\d{2}\"}"},
        {"a = ''''one' and 'two''''", "{\"a\":\"'one' and 'two'\"}"},
    };
    CHECK_ALL(rows);
}

static void tables_arrays_and_dotted_keys_nest(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"[a]\nx = 1\n[b.c]\ny = 2", "{\"a\":{\"x\":1},\"b\":{\"c\":{\"y\":2}}}"},
        {"[a.b.c]\n[a]\nx = 1", "{\"a\":{\"b\":{\"c\":{}},\"x\":1}}"},
        {"[ a . \"b.c\" . 'd' ]", "{\"a\":{\"b.c\":{\"d\":{}}}}"},
        {"a.b.c = 1\na.b.d = 2\na.e = 3", "{\"a\":{\"b\":{\"c\":1,\"d\":2},\"e\":3}}"},
        {"3.14 = 1\n\"\" = 2\n- = 3", "{\"3\":{\"14\":1},\"\":2,\"-\":3}"},
        {"[fruit]\napple.color = 1\napple.taste.sweet = true\n[fruit.apple.texture]\nsmooth = true",
         "{\"fruit\":{\"apple\":{\"color\":1,\"taste\":{\"sweet\":true},\"texture\":{\"smooth\":"
         "true}}}}"},
        {"a = [1, 2, ]\nb = []\nc = [[1], ['x', {y = 1}]]\nd = [ # c\n 1 # d\n , 2\n]",
         "{\"a\":[1,2],\"b\":[],\"c\":[[1],[\"x\",{\"y\":1}]],\"d\":[1,2]}"},
        {"a = {}\nb = { x = 1, y.z = 2, y.w = [\n1] }",
         "{\"a\":{},\"b\":{\"x\":1,\"y\":{\"z\":2,\"w\":[1]}}}"},
        {"[[r]]\nx = 1\n[[r.m]]\ny = 1\n[[r.m]]\ny = 2\n[[r]]\n[r.s]\nz = 1",
         "{\"r\":[{\"x\":1,\"m\":[{\"y\":1},{\"y\":2}]},{\"s\":{\"z\":1}}]}"},
        {"[[a.b]]\nx = 1\n[a]\ny = 2", "{\"a\":{\"b\":[{\"x\":1}],\"y\":2}}"},
        {"a.b = 1\n[x]\n[a.c]\nd = 2", "{\"a\":{\"b\":1,\"c\":{\"d\":2}},\"x\":{}}"},
    };
    CHECK_ALL(rows);
}

static void what_is_not_toml_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"a = 1\na = 2", "t:2:1: 'a' is defined already"},
        {"a = 1\n\"a\" = 2", "t:2:1"},
        {"a.b = 1\na.b.c = 2", "t:2:1: 'b' is defined"},
        {"a = {b = 1}\na.c = 2", "t:2:1: 'a' is defined"},
        {"a = {b = 1}\n[a.c]", "t:2:1: 'a' is defined"},
        {"a = {b = 1, b = 2}", "t:1:13"},
        {"[a]\n[a]", "t:2:1: 'a' is defined"},
        {"[a]\nb.c = 1\n[a.b]", "t:3:1: 'b' is defined"},
        {"[a.b.c]\nz = 9\n[a]\nb.c.t = 1", "t:4:1: 'b' is defined"},
        {"[a.b]\n[a]\nb.x = 1", "t:3:1"},
        {"a = []\n[[a]]", "t:2:1"},
        {"[a]\n[[a]]", "t:2:1"},
        {"[[a]]\n[a]", "t:2:1"},
        {"a = 1\n[a.b]", "t:2:1"},
        {"[[a.b]]\n[a.b]", "t:2:1"},
        {"[a]\nb = 1\n[a.b]", "t:3:1"},
        {"a = 1 b = 2", "t:1:7: expected the end of the line"},
        {"[a] b = 1", "t:1:5"},
        {"a", "t:1:2: expected '='"},
        {"a =", "t:1:4: expected a value"},
        {"a =\n1", "t:1:4: expected a value"},
        {"= 1", "t:1:1: expected a key"},
        {"a. = 1", "t:1:4: expected a key"},
        {".a = 1", "t:1:1: expected a key"},
        {"a b = 1", "t:1:3: expected '='"},
        {"[]", "t:1:2: expected a key"},
        {"[a", "t:1:3: expected ']'"},
        {"[[a]", "t:1:4: expected ']]'"},
        {"[[a] ]", "t:1:4"},
        {"[a]]", "t:1:4"},
        {"\"\"\"a\"\"\" = 1", "t:1:1: a key is a one-line string"},
        {"\"a\\u0000\" = 1", "t:1:1: a key with a NUL"},
        {"a = yes", "t:1:5: not a value (a text needs quotes)"},
        {"a = True", "t:1:5"},
        {"a = 01", "t:1:5: a number with a leading zero"},
        {"a = -01", "t:1:5"},
        {"a = 1__0", "t:1:5"},
        {"a = _1", "t:1:5"},
        {"a = 1_", "t:1:5"},
        {"a = 0x_1", "t:1:5"},
        {"a = +0x1", "t:1:5"},
        {"a = 0xg", "t:1:5"},
        {"a = 0b2", "t:1:5"},
        {"a = 1.", "t:1:5"},
        {"a = .5", "t:1:5"},
        {"a = 1.e5", "t:1:5"},
        {"a = 1e", "t:1:5"},
        {"a = 1._5", "t:1:5"},
        {"a = 9223372036854775808", "t:1:5: a number outside 64 bits"},
        {"a = 1e999", "t:1:5: a number that is too large"},
        {"a = 2023-02-29", "t:1:5: not a date"},
        {"a = 2023-13-01", "t:1:5"},
        {"a = 1979-05-27T25:00:00Z", "t:1:5"},
        {"a = 1979-05-27T07:32Z", "t:1:5"},
        {"a = 07:32", "t:1:5"},
        {"a = \"x", "t:1:7: the string does not end on its line"},
        {"a = \"x\ny\"", "t:1:7"},
        {"a = 'x", "t:1:7"},
        {"a = \"\"\"x", "t:1:9: the string does not end"},
        {"a = \"\\x41\"", "t:1:7: unknown escape"},
        {"a = \"\\ud800\"", "t:1:7: not a Unicode character"},
        {"a = \"\\U00110000\"", "t:1:7"},
        {"a = \"\\u12g4\"", "t:1:10: expected a hexadecimal digit"},
        {"a = [1 2]", "t:1:8: expected ',' or ']'"},
        {"a = [1", "t:1:7"},
        {"a = [,]", "t:1:6"},
        {"a = {b = 1,}", "t:1:12: expected a key"},
        {"a = {b = 1\n}", "t:1:11: expected ',' or '}'"},
        {"a = {b}", "t:1:7: expected '='"},
        {"a = 1 \x01", "t:1:7: a control character"},
        {"# \x7f", "t:1:3: a control character"},
        {"a = 1\rb = 2", "t:1:6: a control character"},
        {"a = \"\xff\"", "t: not UTF-8 text"},
        {"\xc3\xa9 = 1", "t:1:1: expected a key"},
        {"a = \"\xc3\xa9\" x", "t:1:9"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        own(codec_json) struct codec_json *j = NULL;
        struct err e = {0};
        if (codec_toml_parse(sv_of(rows[i].text), "t", &j, &e) == 0)
            fail_msg("taken: <<%s>>", rows[i].text);
        if (!strstr(err_cause(&e), rows[i].want))
            fail_msg("<<%s>>: '%s' does not say '%s'", rows[i].text, err_cause(&e), rows[i].want);
    }
}

static void repeat(struct str *s, const char *z, size_t n)
{
    for (size_t i = 0; i < n; i++) str_addz(s, z);
}

static void depth_size_and_number_are_capped(void **state)
{
    (void)state;
    struct err e = {0};
    codec_json_free(NULL);
    static const struct {
        const char *before, *unit, *after;
        size_t bad, good;
        const char *want;
    } rows[] = {
        {"a = ", "[", "", 100000, 0, "nested too deeply"},
        {"a = ", "{b=", "", 100000, 0, "nested too deeply"},
        {"", "a.", "a = 1", 100, 60, "too many parts"},
        {"[", "a.", "a]", 100, 60, "too many parts"},
        {"a = [", "1,", "]", 200000, 90000, "too many keys"},
        {"", "[[a]]\n", "", 20000, 9000, "too many tables"},
        {"", "# xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n", "", 140000, 100000, "larger than the limit"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int good = 0; good < 2; good++) {
            own(str) struct str s = {0};
            own(codec_json) struct codec_json *j = NULL;
            if (good && !rows[i].good) continue;
            str_addz(&s, rows[i].before);
            repeat(&s, rows[i].unit, good ? rows[i].good : rows[i].bad);
            str_addz(&s, rows[i].after);
            int rc = codec_toml_parse(str_sv(&s), "t", &j, &e);
            if (good)
                ASSERT_OK(rc);
            else
                ASSERT_FAILS(rc, rows[i].want);
        }
    }
    own(str) struct str many = {0};
    own(codec_json) struct codec_json *j = NULL;
    for (unsigned i = 0; i < 20000; i++) str_addf(&many, "[t%05u]\n", 20000 - i);
    ASSERT_FAILS(codec_toml_parse(str_sv(&many), "t", &j, &e), "too many tables");
}

static void headers_can_be_found_again_by_line(void **state)
{
    (void)state;
    struct sv text = SV("# x\n[a]\n[[r]]\nx = 1\n  [[ r ]] # two\n[[r.m]]\n");
    assert_int_equal(codec_toml_line(text, "a", 0), 2);
    assert_int_equal(codec_toml_line(text, "r", 0), 3);
    assert_int_equal(codec_toml_line(text, "r", 1), 5);
    assert_int_equal(codec_toml_line(text, "r", 2), 0);
    assert_int_equal(codec_toml_line(text, "r.m", 0), 6);
}

RUN_TESTS("toml", TEST(scalars_mean_what_the_specification_says), TEST(strings_come_in_four_kinds),
          TEST(tables_arrays_and_dotted_keys_nest),
          TEST(what_is_not_toml_is_refused_with_its_place), TEST(depth_size_and_number_are_capped),
          TEST(headers_can_be_found_again_by_line))
