// SPDX-License-Identifier: Apache-2.0
// Distances and suggestions.
#include "harness.h"

#include "build/suggest.h"

static void distances_count_edits(void **state)
{
    (void)state;
    assert_int_equal(build_suggest_distance(SV("COPY"), SV("copy")), 0);
    assert_int_equal(build_suggest_distance(SV("CPOY"), SV("COPY")), 1);  // neighbours swapped
    assert_int_equal(build_suggest_distance(SV("COY"), SV("COPY")), 1);
    assert_int_equal(build_suggest_distance(SV("COPPY"), SV("COPY")), 1);
    assert_int_equal(build_suggest_distance(SV("CAPY"), SV("COPY")), 1);
    assert_int_equal(build_suggest_distance(SV(""), SV("abc")), 3);
    assert_int_equal(build_suggest_distance(SV("ca"), SV("abc")), 3);
}

static void only_near_names_are_suggested(void **state)
{
    (void)state;
    struct strv names = {0};
    strv_add(&names, "volume");
    strv_add(&names, "version");
    strv_add(&names, "id");
    assert_string_equal(build_suggest_find(SV("versoin"), &names), "version");
    assert_string_equal(build_suggest_find(SV("voluem"), &names), "volume");
    assert_null(build_suggest_find(SV("target"), &names));
    assert_null(build_suggest_find(SV("xy"), &names));
    assert_null(build_suggest_find(SV(""), &names));
    strv_fini(&names);
}

RUN_TESTS("build/suggest", TEST(distances_count_edits), TEST(only_near_names_are_suggested))
