// SPDX-License-Identifier: Apache-2.0
// dewar.lock: what is written is read back, the same lock is the same bytes, and broken files are
// named.
#include <stdlib.h>

#include "base/own.h"
#include "build/lock.h"
#include "build/locking.h"
#include "build/verify.h"
#include "harness.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"
static const struct oci_digest one = {HEX "1"}, two = {HEX "2"}, three = {HEX "3"}, none = {""};

static void fill(struct build_lock *l, bool backwards)
{
    static const char *const names[] = {"debian:12", "alpine:latest", "x/y:z"};
    build_lock_init(l);
    for (size_t i = 0; i < 3; i++) {
        struct build_lock_image *im = build_lock_set_image(l, names[backwards ? 2 - i : i]);
        im->digest = one;
        build_lock_set_platform(im, "linux/amd64", &two, &three);
    }
    build_lock_set_url(l, "https://h/b?x=\"1\"", &one, 12);
    build_lock_set_url(l, "https://h/a", &two, 0);
    build_lock_set_git(l, "https://h/x.git#main", "0123456789abcdef0123456789abcdef01234567");
    build_lock_set_result(l, "linux/amd64", &one, &two);
    build_lock_set_result(l, "linux/amd64 test", &one, &none);
    l->compressor = str_dup("zip 1");
}

static void a_lock_is_read_as_it_was_written(void **state)
{
    struct err e = {0};
    own(build_lock) struct build_lock a;
    own(build_lock) struct build_lock b;
    own(build_lock) struct build_lock c;
    own(str) struct str x = {0};
    own(str) struct str y = {0};
    own(str) struct str z = {0};
    (void)state;
    fill(&a, false);
    fill(&b, true);
    build_lock_print(&a, &x);
    build_lock_print(&b, &y);
    assert_string_equal(str_z(&x), str_z(&y));
    build_lock_init(&c);
    ASSERT_OK(build_lock_parse(str_sv(&x), "dewar.lock", &c, &e));
    build_lock_print(&c, &z);
    assert_string_equal(str_z(&x), str_z(&z));
    const struct build_lock_image *im = map_get(&c.images, "debian:12");
    assert_non_null(im);
    const struct build_lock_platform *p = map_get(&im->platforms, "linux/amd64");
    assert_true(oci_digest_eq(&p->manifest, &two) && oci_digest_eq(&p->image, &three));
    assert_int_equal(((const struct build_lock_url *)map_get(&c.urls, "https://h/b?x=\"1\""))->size,
                     12);
}

static void the_form_is_one_that_diffs_well(void **state)
{
    own(build_lock) struct build_lock l;
    own(str) struct str out = {0};
    (void)state;
    build_lock_init(&l);
    build_lock_set_git(&l, "git://h/x", "0123456789abcdef0123456789abcdef01234567");
    build_lock_print(&l, &out);
    assert_string_equal(
        str_z(&out),
        "{\n  \"git\": {\n    \"git://h/x\": {\n      \"commit\": "
        "\"0123456789abcdef0123456789abcdef01234567\"\n    }\n  },\n"
        "  \"images\": {},\n  \"results\": {},\n  \"urls\": {},\n  \"version\": 1\n}\n");
}

static void broken_locks_are_named(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"", "dewar.lock"},
        {"[]", "is no lock"},
        {"{}", "is no lock"},
        {"{\"version\": 2}", "later dewar"},
        {"{\"version\": 1, \"git\": []}", "is no object"},
        {"{\"version\": 1, \"git\": {\"x\": {\"commit\": \"abc\"}}}", "no whole commit"},
        {"{\"version\": 1, \"git\": {\"x\": \"abc\"}}", "is no object"},
        {"{\"version\": 1, \"urls\": {\"x\": {\"size\": 1}}}", "has no digest"},
        {"{\"version\": 1, \"urls\": {\"x\": {\"digest\": \"sha256:../x\"}}}", "has no digest"},
        {"{\"version\": 1, \"images\": {\"x\": {}}}", "has no platforms"},
        {"{\"version\": 1, \"images\": {\"x\": {\"platforms\": {\"p\": {}}}}}", "has no digest"},
        {"{\"version\": 1, \"version\": 1}", "dewar.lock"},
        {"{\"version\": 1, \"results\": {\"x\": {\"image\": \"md5:1\"}}}", "has no digest"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err e = {0};
        own(build_lock) struct build_lock l;
        build_lock_init(&l);
        ASSERT_FAILS(build_lock_parse(sv_of(rows[i].text), "dewar.lock", &l, &e), rows[i].want);
    }
}

static void an_image_has_one_name(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {{"debian", "debian:latest"},
                {"docker.io/library/debian", "debian:latest"},
                {"localhost:5000/a/b:c", "localhost:5000/a/b:c"},
                {"debian@sha256:" HEX "1", "debian@sha256:" HEX "1"},
                {"sha256:" HEX "1", "sha256:" HEX "1"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        own(free) char *got = build_lock_image_name(rows[i].text);
        assert_string_equal(got, rows[i].want);
    }
}

static void a_lock_stands_beside_its_dockerfile(void **state)
{
    static const struct {
        const char *dockerfile, *want;
    } rows[] = {{"Dockerfile", "dewar.lock"},
                {"a/b/Containerfile", "a/b/dewar.lock"},
                {"/x/dockerfile", "/x/dewar.lock"},
                {"a/Dockerfile.gpu", "a/Dockerfile.gpu.lock"},
                {"other", "other.lock"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        own(free) char *got = build_lock_path(rows[i].dockerfile);
        assert_string_equal(got, rows[i].want);
    }
}

static void every_change_and_status_has_a_name(void **state)
{
    (void)state;
    for (enum build_locking_change c = 0; c < BUILD_LOCKING_CHANGE_COUNT; c++)
        assert_true(strlen(build_locking_change_name(c)) > 3);
    for (enum build_verify_status s = 0; s < BUILD_VERIFY_STATUS_COUNT; s++)
        assert_true(strlen(build_verify_status_name(s)) > 3);
}

RUN_TESTS("build/lock", TEST(a_lock_is_read_as_it_was_written),
          TEST(the_form_is_one_that_diffs_well), TEST(broken_locks_are_named),
          TEST(an_image_has_one_name), TEST(a_lock_stands_beside_its_dockerfile),
          TEST(every_change_and_status_has_a_name))
