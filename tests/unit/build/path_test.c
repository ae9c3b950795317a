// SPDX-License-Identifier: Apache-2.0
// Paths cleaned as text.
#include "harness.h"

#include "base/own.h"
#include "build/path.h"

static void paths_are_cleaned_as_go_cleans_them(void **state)
{
    static const char *const rows[][2] = {
        {"", "."},         {".", "."},         {"/", "/"},          {"//", "/"},
        {"a/", "a"},       {"a//b", "a/b"},    {"./a", "a"},        {"a/./b", "a/b"},
        {"a/../b", "b"},   {"a/..", "."},      {"..", ".."},        {"../a", "../a"},
        {"../../a", "../../a"}, {"a/../../b", "../b"}, {"/..", "/"}, {"/../../a", "/a"},
        {"/a/../b/", "/b"}, {"...", "..."},    {"a/b/../../..", ".."}, {"/a/b/.", "/a/b"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        own(free) char *got = build_path_clean(sv_of(rows[i][0]));
        assert_string_equal(got, rows[i][1]);
    }
}

static void a_joined_path_never_leaves_the_root(void **state)
{
    static const char *const rows[][3] = {
        {"/", "a", "/a"},       {"/w", "a", "/w/a"},   {"/w", "/a", "/a"},  {"/w", "", "/w"},
        {"/w", "..", "/"},      {"/w", "../../..", "/"}, {"/w/x", "../y", "/w/y"},
        {"/", "../etc", "/etc"}, {"/w", ".", "/w"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        own(free) char *got = build_path_join(rows[i][0], sv_of(rows[i][1]));
        assert_string_equal(got, rows[i][2]);
    }
}

RUN_TESTS("build/path", TEST(paths_are_cleaned_as_go_cleans_them),
          TEST(a_joined_path_never_leaves_the_root))
