// SPDX-License-Identifier: Apache-2.0
#include "base/own.h"
#include "bundle/internal.h"
#include "harness.h"

static void a_cgroups_path_names_a_scope(void **state)
{
    (void)state;
    struct err e;
    struct bundle_scope_name n;
    ASSERT_OK(bundle_scope_parse("machine.slice:libpod:0123", "id", &n, &e));
    assert_string_equal(n.slice, "machine.slice");
    assert_string_equal(n.unit, "libpod-0123.scope");
    ASSERT_OK(bundle_scope_parse("::name", "id", &n, &e));
    assert_string_equal(n.slice, "");
    assert_string_equal(n.unit, "name.scope");
    ASSERT_OK(bundle_scope_parse(NULL, "id", &n, &e));
    assert_string_equal(n.unit, "id.scope");
    ASSERT_OK(bundle_scope_parse("", "id", &n, &e));
    ASSERT_OK(bundle_scope_parse("a.slice:p:", "id", &n, &e));
    assert_string_equal(n.unit, "p-id.scope");
    static const char *const bad[] = {"/a/b", "a", "a:b", "a.slice:b:c:d", "a:b:c", "../a.slice:b:c",
                                      "a.slice:b/..:c", "a.slice:b:c d", "a.slice:b:c\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ASSERT_FAILS(bundle_scope_parse(bad[i], "id", &n, &e), "linux.cgroupsPath");
    own(str) struct str big = {0};
    str_addz(&big, "::");
    while (big.n < 300) str_addc(&big, 'x');
    ASSERT_FAILS(bundle_scope_parse(big.p, "id", &n, &e), "cannot name a scope");
}

RUN_TESTS("bundle/scope", TEST(a_cgroups_path_names_a_scope))
