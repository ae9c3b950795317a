// SPDX-License-Identifier: Apache-2.0
// What is read without building it must be what the whole parser reads: that one is the oracle.
#include "codec/json_flat.h"

#include <string.h>

#include "base/own.h"
#include "harness.h"

static const char record[] =
    "{\"version\":2,\"id\":\"00ff\",\"name\":\"calm_otter\",\"command\":\"sh -c 'a; b'\",\"empty\":\"\","
    "\"created\":1795302486907602355,\"least\":-9223372036854775807,\"zero\":0,\"rm\":true,\"tty\":false}";

// Every member alike in both, by each of the three ways to ask.
static void compare(const struct codec_flat *f, const struct codec_json *j)
{
    void *it = NULL;
    const char *key;
    struct codec_json *v;
    assert_int_equal(codec_json_type(j), CODEC_JSON_OBJECT);
    assert_int_equal(f->n, codec_json_len(j));
    while (codec_json_next(j, &it, &key, &v)) {
        assert_true(sv_eq(codec_flat_text(f, key), codec_json_text(v)));
        assert_int_equal(codec_flat_int(f, key), codec_json_int(v));
        assert_int_equal(codec_flat_bool(f, key), codec_json_bool(v));
    }
}

// Whether it was read without building it.
static bool plain(struct sv text)
{
    struct err e = {0};
    own(codec_json) struct codec_json *j = NULL;
    own(codec_flat) struct codec_flat f;
    int flat = codec_flat_parse(text, "x", &f, &e);
    assert_int_equal(flat, codec_json_parse(text, "x", &j, &e));
    if (flat < 0 || f.json) return false;
    compare(&f, j);
    return true;
}

static void a_record_is_read_without_building_it(void **state)
{
    (void)state;
    struct err e = {0};
    own(codec_flat) struct codec_flat f;
    assert_true(plain(sv_of(record)));
    assert_true(plain(SV("{}")));
    ASSERT_OK(codec_flat_parse(sv_of(record), "x", &f, &e));
    assert_int_equal(codec_flat_int(&f, "created"), INT64_C(1795302486907602355));
    assert_int_equal(codec_flat_int(&f, "name"), 0);
    assert_int_equal(codec_flat_text(&f, "created").n, 0);
    assert_int_equal(codec_flat_text(&f, "absent").n, 0);
    assert_true(codec_flat_bool(&f, "rm"));
    assert_false(codec_flat_bool(&f, "zero"));
}

static void what_is_not_that_plain_goes_to_the_parser(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "{", "[]", "1", "{\"a\":1", "{\"a\":1,}", "{,}", "{\"a\"}", "{\"a\":}", "{\"a\":1}x", "{\"a\":1} ",
        "{ \"a\":1}", "{\"a\":01}", "{\"a\":-}", "{\"a\":-0}", "{\"a\":1.5}", "{\"a\":1e3}", "{\"a\":null}",
        "{\"a\":9223372036854775808}", "{\"a\":99999999999999999999}", "{\"a\":\"\\n\"}", "{\"a\":\"\x01\"}",
        "{\"a\":\"\xc3\xa9\"}", "{\"a\":\"\xff\"}", "{\"a\":[1]}", "{\"a\":{\"b\":1}}", "{\"a\":1,\"a\":2}",
        "{\"a\":tru}", "{\"a\":trueish}", "{\"a\":\"b}", "{a:1}", "{\"a\\u0062\":1}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        bool taken = plain(sv_of(texts[i]));
        assert_int_equal(taken, strcmp(texts[i], "{\"a\":-0}") == 0);
    }
}

static void too_many_members_too(void **state)
{
    (void)state;
    for (int n = CODEC_FLAT_MAX; n <= CODEC_FLAT_MAX + 1; n++) {
        own(str) struct str text = {0};
        for (int i = 0; i < n; i++) str_addf(&text, "%c\"k%d\":%d", i ? ',' : '{', i, i);
        str_addc(&text, '}');
        assert_int_equal(plain(str_sv(&text)), n <= CODEC_FLAT_MAX);
    }
}

// One byte changed, cut or put in at each place.
static void a_damaged_record_is_judged_alike(void **state)
{
    (void)state;
    static const char bytes[] = "\"\\{}:,019-.etn \x7f\x80\n";
    char buf[sizeof record + 1];
    size_t n = sizeof record - 1, taken = 0;
    for (size_t at = 0; at < n; at++) {
        taken += plain((struct sv){record, at});
        for (size_t b = 0; b < sizeof bytes; b++) { // the NUL as well
            memcpy(buf, record, n);
            buf[at] = bytes[b];
            taken += plain((struct sv){buf, n});
            memcpy(buf + at + 1, record + at, n - at);
            taken += plain((struct sv){buf, n + 1});
        }
    }
    assert_true(taken > 100); // a digit or a letter more is plain too
}

RUN_TESTS("codec/json_flat", TEST(a_record_is_read_without_building_it),
          TEST(what_is_not_that_plain_goes_to_the_parser), TEST(too_many_members_too),
          TEST(a_damaged_record_is_judged_alike))
