// SPDX-License-Identifier: Apache-2.0
#include "oci/platform.h"

#include "base/own.h"
#include "harness.h"

static void spellings_become_go_names(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"linux/amd64", "linux/amd64"},     {"linux/x86_64", "linux/amd64"},
        {"Linux/AMD64", "linux/amd64"},     {"amd64", "linux/amd64"},
        {"aarch64", "linux/arm64"},         {"linux/arm64/v8", "linux/arm64"},
        {"linux/arm64/8", "linux/arm64"},   {"linux/arm64/v9", "linux/arm64/v9"},
        {"linux/arm", "linux/arm/v7"},      {"linux/arm/v6", "linux/arm/v6"},
        {"armhf", "linux/arm/v7"},          {"linux/armel", "linux/arm/v6"},
        {"linux/amd64/v1", "linux/amd64"},  {"linux/amd64/v3", "linux/amd64/v3"},
        {"linux/i386", "linux/386"},        {"s390x", "linux/s390x"},
        {"windows/amd64", "windows/amd64"}, {"macos/arm64", "darwin/arm64"},
        {"riscv64", "linux/riscv64"},       {"linux/armv7l", "linux/arm/v7"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct oci_platform p;
        struct err e = {0};
        own(str) struct str text = {0};
        ASSERT_OK(oci_platform_parse(sv_of(rows[i].in), &p, &e));
        oci_platform_print(&p, &text);
        assert_string_equal(str_z(&text), rows[i].out);
    }
}

static void bad_platforms_are_refused(void **state)
{
    (void)state;
    static const char *const bads[] = {"", "/", "linux/", "/amd64", "linux/amd64/v1/x", "nonsense",
                                       "linux/am d64", "linux/../x",
                                       "linux/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
        struct oci_platform p;
        struct err e = {0};
        ASSERT_FAILS(oci_platform_parse(sv_of(bads[i]), &p, &e), "invalid platform");
    }
}

static void older_levels_match_newer_machines(void **state)
{
    (void)state;
    static const struct {
        const char *want, *have;
        bool ok;
    } rows[] = {
        {"linux/amd64", "linux/amd64", true},     {"linux/amd64", "linux/arm64", false},
        {"linux/arm/v7", "linux/arm/v6", true},   {"linux/arm/v6", "linux/arm/v7", false},
        {"linux/amd64/v3", "linux/amd64", true},  {"linux/amd64", "linux/amd64/v2", false},
        {"linux/arm64", "linux/arm64/v8", true},  {"linux/amd64", "windows/amd64", false},
        {"linux/arm64/v9", "linux/arm64", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct oci_platform w, h;
        struct err e = {0};
        ASSERT_OK(oci_platform_parse(sv_of(rows[i].want), &w, &e));
        ASSERT_OK(oci_platform_parse(sv_of(rows[i].have), &h, &e));
        assert_int_equal(oci_platform_match(&w, &h), rows[i].ok);
    }
}

static void the_host_matches_itself(void **state)
{
    (void)state;
    struct oci_platform h;
    oci_platform_host(&h);
    assert_string_equal(h.os, "linux");
    assert_true(oci_platform_match(&h, &h));
}

RUN_TESTS("oci/platform", TEST(spellings_become_go_names), TEST(bad_platforms_are_refused),
          TEST(older_levels_match_newer_machines), TEST(the_host_matches_itself))
