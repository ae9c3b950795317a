// SPDX-License-Identifier: Apache-2.0
#include "oci/ref.h"

#include "base/own.h"
#include "harness.h"

#define HEX64 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define DIG "sha256:" HEX64
#define A32 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A128 A32 A32 A32 A32

struct good {
    const char *text;
    const char *full;      // as oci_ref_print_full, with the default tag
    const char *familiar;  // as oci_ref_print
};
static const struct good goods[] = {
    {"debian", "docker.io/library/debian:latest", "debian:latest"},
    {"debian:bookworm", "docker.io/library/debian:bookworm", "debian:bookworm"},
    {"debian:12.5-slim", "docker.io/library/debian:12.5-slim", "debian:12.5-slim"},
    {"library/debian", "docker.io/library/debian:latest", "debian:latest"},
    {"docker.io/debian", "docker.io/library/debian:latest", "debian:latest"},
    {"docker.io/library/debian", "docker.io/library/debian:latest", "debian:latest"},
    {"index.docker.io/library/debian", "docker.io/library/debian:latest", "debian:latest"},
    {"index.docker.io/debian:1", "docker.io/library/debian:1", "debian:1"},
    {"docker.io", "docker.io/library/docker.io:latest", "docker.io:latest"},
    {"user/app", "docker.io/user/app:latest", "user/app:latest"},
    {"user/app/part", "docker.io/user/app/part:latest", "user/app/part:latest"},
    {"library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"},
    {"localhost/app", "localhost/app:latest", "localhost/app:latest"},
    {"localhost", "docker.io/library/localhost:latest", "localhost:latest"},
    {"localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"},
    {"localhost:5000/app", "localhost:5000/app:latest", "localhost:5000/app:latest"},
    {"localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"},
    {"127.0.0.1:5000/a/b:c", "127.0.0.1:5000/a/b:c", "127.0.0.1:5000/a/b:c"},
    {"[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"},
    {"[2001:db8::1]/app", "[2001:db8::1]/app:latest", "[2001:db8::1]/app:latest"},
    {"ghcr.io/o/r", "ghcr.io/o/r:latest", "ghcr.io/o/r:latest"},
    {"quay.io/app", "quay.io/app:latest", "quay.io/app:latest"},
    {"my-registry.example.com/team/app:1.0", "my-registry.example.com/team/app:1.0",
     "my-registry.example.com/team/app:1.0"},
    {"my_registry/my_project:0.1", "docker.io/my_registry/my_project:0.1",
     "my_registry/my_project:0.1"},
    {"a", "docker.io/library/a:latest", "a:latest"},
    {"0", "docker.io/library/0:latest", "0:latest"},
    {"a.b", "docker.io/library/a.b:latest", "a.b:latest"},
    {"a_b", "docker.io/library/a_b:latest", "a_b:latest"},
    {"a__b", "docker.io/library/a__b:latest", "a__b:latest"},
    {"a-b", "docker.io/library/a-b:latest", "a-b:latest"},
    {"a---b", "docker.io/library/a---b:latest", "a---b:latest"},
    {"a.b_c-d/e", "a.b_c-d/e", NULL},  // refused: '_' in what must be a host
    {"Foo/bar", "Foo/bar:latest", "Foo/bar:latest"},
    {"Foo.com/bar", "Foo.com/bar:latest", "Foo.com/bar:latest"},
    {"docker.io/foo.com/bar", "docker.io/foo.com/bar:latest", "docker.io/foo.com/bar:latest"},
    {"docker.io/localhost/bar", "docker.io/localhost/bar:latest", "docker.io/localhost/bar:latest"},
    {"debian:_x", "docker.io/library/debian:_x", "debian:_x"},
    {"debian:A", "docker.io/library/debian:A", "debian:A"},
    {"debian:1.2.3-x_Y", "docker.io/library/debian:1.2.3-x_Y", "debian:1.2.3-x_Y"},
    {"debian:" A128, "docker.io/library/debian:" A128, "debian:" A128},
    {"debian@" DIG, "docker.io/library/debian@" DIG, "debian@" DIG},
    {"debian:12@" DIG, "docker.io/library/debian:12@" DIG, "debian:12@" DIG},
    {"x.y:5000/a@" DIG, "x.y:5000/a@" DIG, "x.y:5000/a@" DIG},
    {"tensorflow/magenta", "docker.io/tensorflow/magenta:latest", "tensorflow/magenta:latest"},
    {"continuumio/miniconda3:4.5.11", "docker.io/continuumio/miniconda3:4.5.11",
     "continuumio/miniconda3:4.5.11"},
    {"ubuntu:17.10", "docker.io/library/ubuntu:17.10", "ubuntu:17.10"},
    {"3b0c44298fc1", "docker.io/library/3b0c44298fc1:latest", "3b0c44298fc1:latest"},
    {"a/" HEX64, "docker.io/a/" HEX64 ":latest", "a/" HEX64 ":latest"},
    {"xn--n3h.com/a", "xn--n3h.com/a:latest", "xn--n3h.com/a:latest"},
    {"1.2.3.4/a", "1.2.3.4/a:latest", "1.2.3.4/a:latest"},
    {"a.b.c.d.e/f/g/h/i/j:k", "a.b.c.d.e/f/g/h/i/j:k", "a.b.c.d.e/f/g/h/i/j:k"},
    {"sub-dom1.foo.com/bar/baz/quux:some-long-tag", "sub-dom1.foo.com/bar/baz/quux:some-long-tag",
     "sub-dom1.foo.com/bar/baz/quux:some-long-tag"},
    {"dewar.test/" A128, "dewar.test/" A128 ":latest", "dewar.test/" A128 ":latest"},
};

static const char *const bads[] = {
    "", " ", "debian ", " debian", "de bian", "Debian", "debian:", ":tag", "/", "/debian", "debian/",
    "a//b", "a/./b", "a/../b", "../a", "./a", ".", "..", "a/..", "a/.", ".a", "a.", "a..b", "_a",
    "a_", "a___b", "-a", "a-", "a._b", "a.-b", "a_.b", "docker.io/", "library/Debian",
    "docker.io/Debian", "user/App", "ghcr.io/Org/app", "debian:-x", "debian:.x", "debian:a/b:c d",
    "debian:a b", "debian:a:b", "debian:" A128 "a", "debian:\xc3\xa9", "d\xc3\xa9" "bian", "debian\n",
    "debian\t", "debian\x1b[0m", "debian@", "debian@sha256:", "debian@sha256:abc",
    "debian@sha256:" A32, "debian@sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
    "debian@md5:" A32, "debian@sha512:" A128, "debian@sha256:../../x", "debian@sha256+b64u:abc",
    "debian@" DIG "@" DIG, "debian@" DIG "x", "@" DIG, HEX64, DIG "/a", "-h.com/a", "h-.com/a",
    "h..com/a", ".com/a", "h.com./a", "h.com:/a", "h.com:x/a", "h.com:80:90/a", "[::1/a", "[::1]x/a",
    "[zz::1]:5/a", "[]:5/a", "h_x.com/a", "localhost:5000/", "localhost:/a", "a/b:c/d", "a:b/c:d:e",
    "%2e%2e/a", "a%00b", "a\\b", "a*b", "a?b", "a$b", "a+b", "a~b", "http://a.b/c", "https://debian",
    "a.b/" A128 A128, A128 A128, "a.b_c-d/e",
};

static void every_good_reference_reads_and_prints(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof goods / sizeof *goods; i++) {
        struct oci_ref r = {0};
        struct err e = {0};
        if (!goods[i].familiar) continue;
        ASSERT_OK(oci_ref_parse(sv_of(goods[i].text), &r, &e));
        oci_ref_default_tag(&r);
        own(str) struct str full = {0};
        own(str) struct str familiar = {0};
        oci_ref_print_full(&r, &full);
        oci_ref_print(&r, &familiar);
        assert_string_equal(str_z(&full), goods[i].full);
        assert_string_equal(str_z(&familiar), goods[i].familiar);
    }
}

static void what_is_printed_reads_back_the_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof goods / sizeof *goods; i++) {
        struct oci_ref a = {0}, b = {0};
        struct err e = {0};
        if (!goods[i].familiar) continue;
        ASSERT_OK(oci_ref_parse(sv_of(goods[i].text), &a, &e));
        own(str) struct str familiar = {0};
        oci_ref_print(&a, &familiar);
        ASSERT_OK(oci_ref_parse(str_sv(&familiar), &b, &e));
        assert_memory_equal(&a, &b, sizeof a);
    }
}

static void every_bad_reference_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
        struct oci_ref r = {0};
        struct err e = {0};
        if (oci_ref_parse(sv_of(bads[i]), &r, &e) == 0) {
            fail_msg("'%s' was taken as %s / %s : %s", bads[i], r.host, r.name, r.tag);
        }
        assert_int_equal(e.kind, ERR_INPUT);
        assert_int_equal(r.name[0], 0);
    }
}

static void a_nul_byte_is_refused(void **state)
{
    (void)state;
    struct oci_ref r = {0};
    struct err e = {0};
    ASSERT_FAILS(oci_ref_parse((struct sv){"debian\0x", 8}, &r, &e), "NUL");
}

static void upper_case_gets_the_lower_case_hint(void **state)
{
    (void)state;
    struct oci_ref r = {0};
    struct err e = {0};
    ASSERT_FAILS(oci_ref_parse(SV("MyApp:V1"), &r, &e), "write it as 'myapp'");
}

static void a_digest_keeps_the_tag_away(void **state)
{
    (void)state;
    struct oci_ref r = {0};
    struct err e = {0};
    ASSERT_OK(oci_ref_parse(SV("debian@" DIG), &r, &e));
    oci_ref_default_tag(&r);
    assert_string_equal(r.tag, "");
    assert_string_equal(r.digest.hex, HEX64);
}

RUN_TESTS("oci/ref", TEST(every_good_reference_reads_and_prints),
          TEST(what_is_printed_reads_back_the_same), TEST(every_bad_reference_is_refused),
          TEST(a_nul_byte_is_refused), TEST(upper_case_gets_the_lower_case_hint),
          TEST(a_digest_keeps_the_tag_away))
