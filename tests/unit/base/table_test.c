// SPDX-License-Identifier: Apache-2.0
// Listings as Docker prints them, with names from anywhere in them.
#include "base/table.h"

#include <string.h>

#include "base/own.h"
#include "harness.h"

static void columns_are_padded_as_docker_does(void **state)
{
    (void)state;
    own(table) struct table t;
    own(str) struct str out = {0};
    table_init(&t, 3);
    table_row(&t, (const char *[]){"REPOSITORY", "TAG", "SIZE"});
    table_row(&t, (const char *[]){"debian", "bookworm-slim", "97MB"});
    table_print(&t, &out);
    assert_string_equal(str_z(&out), "REPOSITORY   TAG             SIZE\n"
                                     "debian       bookworm-slim   97MB\n");
    str_clear(&out);
    table_fini(&t);
    table_init(&t, 2);
    table_row(&t, (const char *[]){"TAG", "ID"});
    table_row(&t, (const char *[]){"a", NULL});
    table_print(&t, &out);
    assert_string_equal(str_z(&out), "TAG       ID\na         \n");
}

static void outside_text_cannot_reach_the_terminal(void **state)
{
    (void)state;
    own(table) struct table t;
    own(str) struct str out = {0};
    table_init(&t, 1);
    table_cell(&t, "a\x1b]0;evil\x07 b\nc\td");
    table_print(&t, &out);
    assert_string_equal(str_z(&out), "a\\x1b]0;evil\\x07 b\\x0ac d\n");
}

static void width_counts_columns_not_bytes(void **state)
{
    (void)state;
    assert_int_equal(table_width(SV("abc")), 3);
    assert_int_equal(table_width(SV("caf\xc3\xa9")), 4);
    assert_int_equal(table_width(SV("e\xcc\x81")), 1);
    assert_int_equal(table_width(SV("\xe6\xb0\xb4\xe6\xb0\xb4")), 4);
    assert_int_equal(table_width(SV("\xff\xfe")), 2);
    assert_int_equal(table_fit(SV("\xe6\xb0\xb4\xe6\xb0\xb4"), 3).n, 3);
    assert_int_equal(table_fit(SV("caf\xc3\xa9s"), 4).n, 5);
    assert_int_equal(table_fit(SV("abc"), 0).n, 0);
}

RUN_TESTS("base/table", TEST(columns_are_padded_as_docker_does),
          TEST(outside_text_cannot_reach_the_terminal), TEST(width_counts_columns_not_bytes))
