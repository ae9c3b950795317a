// SPDX-License-Identifier: Apache-2.0
#include "image/choose.h"

#include "base/own.h"
#include "harness.h"

#define HEX "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// An index of "os/arch[/variant]" words; "-" has no platform, "!" is an attestation.
static void index_of(const char *words, struct oci_manifest *out)
{
    struct err e = {0};
    own(str) struct str text = {0};
    struct sv rest = sv_of(words);
    str_addz(&text, "{\"schemaVersion\":2,\"manifests\":[");
    for (int i = 0; rest.p; i++) {
        struct sv word = sv_cut(&rest, ' ');
        struct sv os = word, arch = word;
        str_addf(&text,
                 "%s{\"mediaType\":\"" OCI_TYPE_MANIFEST "\",\"size\":%d,\"digest\":\"sha256:" HEX
                 "\"",
                 i ? "," : "", i + 1);
        if (sv_eqz(word, "!")) {
            str_addz(&text,
                     ",\"platform\":{\"os\":\"unknown\",\"architecture\":\"unknown\"},"
                     "\"annotations\":{\"vnd.docker.reference.type\":\"attestation-manifest\"}");
        } else if (!sv_eqz(word, "-")) {
            os = sv_cut(&arch, '/');
            struct sv a = sv_cut(&arch, '/');
            str_addf(&text, ",\"platform\":{\"os\":\"%.*s\",\"architecture\":\"%.*s\"", (int)os.n,
                     os.p, (int)a.n, a.p);
            if (arch.p) str_addf(&text, ",\"variant\":\"%.*s\"", (int)arch.n, arch.p);
            str_addz(&text, "}");
        }
        str_addc(&text, '}');
    }
    str_addz(&text, "]}");
    ASSERT_OK(oci_manifest_parse(str_sv(&text), "index", out, &e));
}

// The number (from 1) of what is chosen, 0: nothing.
static int chosen(const char *words, const char *want)
{
    struct err e = {0};
    struct oci_platform p;
    own(oci_manifest) struct oci_manifest m = {0};
    index_of(words, &m);
    ASSERT_OK(oci_platform_parse(sv_of(want), &p, &e));
    const struct oci_descriptor *d = image_choose(&m, &p);
    return d ? (int)d->size : 0;
}

static void the_exact_platform_wins(void **state)
{
    (void)state;
    assert_int_equal(chosen("linux/arm64 linux/amd64", "linux/amd64"), 2);
    assert_int_equal(chosen("linux/amd64 linux/amd64/v2", "linux/amd64/v2"), 2);
    assert_int_equal(chosen("linux/arm64/v8 linux/arm64", "linux/arm64"), 1);
    assert_int_equal(chosen("linux/amd64", "linux/arm64"), 0);
    assert_int_equal(chosen("windows/amd64", "linux/amd64"), 0);
}

static void the_highest_variant_that_runs_is_next(void **state)
{
    (void)state;
    assert_int_equal(chosen("linux/arm/v5 linux/arm/v6 linux/arm/v7", "linux/arm/v6"), 2);
    assert_int_equal(chosen("linux/arm/v5 linux/arm/v6", "linux/arm/v7"), 2);
    assert_int_equal(chosen("linux/arm/v6 linux/arm/v5", "linux/arm/v7"), 1);
    assert_int_equal(chosen("linux/arm/v7", "linux/arm/v6"), 0);
    assert_int_equal(chosen("linux/amd64/v3 linux/amd64", "linux/amd64"), 2);
}

static void attestations_are_never_chosen(void **state)
{
    (void)state;
    assert_int_equal(chosen("! linux/amd64", "linux/amd64"), 2);
    assert_int_equal(chosen("!", "linux/amd64"), 0);
    // An entry without a platform may be anything: only when nothing says to be the right one.
    assert_int_equal(chosen("- linux/amd64", "linux/amd64"), 2);
    assert_int_equal(chosen("! -", "linux/amd64"), 2);
}

static void the_error_says_what_there_is(void **state)
{
    (void)state;
    struct err e = {0};
    struct oci_platform p;
    own(oci_manifest) struct oci_manifest m = {0};
    index_of("linux/amd64 ! linux/arm/v7", &m);
    ASSERT_OK(oci_platform_parse(SV("linux/s390x"), &p, &e));
    assert_int_equal(image_choose_none("the index", &m, &p, &e), -1);
    assert_string_equal(err_cause(&e), "the index has no image for linux/s390x");
    assert_non_null(strstr(e.hint, "linux/amd64, linux/arm/v7"));
}

RUN_TESTS("image/choose", TEST(the_exact_platform_wins),
          TEST(the_highest_variant_that_runs_is_next), TEST(attestations_are_never_chosen),
          TEST(the_error_says_what_there_is))
