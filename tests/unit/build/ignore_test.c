// SPDX-License-Identifier: Apache-2.0
// .dockerignore and the globs of COPY as tables.
#include "harness.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "build/glob.h"
#include "build/ignore.h"
#include "build/nfa.h"

#define LONG "0123456789012345678901234567890123456789012345678901234567890123456789"

struct ignore_case {
    const char *file, *path;
    bool ignored;
};

static const struct ignore_case cases[] = {
    // names and folders
    {"foo", "foo", true},
    {"foo", "a/foo", false},
    {"foo", "foo/bar", true},
    {"foo", "foo/bar/baz", true},
    {"foo", "foobar", false},
    {"foo", "Foo", false},
    {"foo/", "foo", true},
    {"foo/", "foo/x", true},
    {"/foo", "foo", true},
    {"/foo", "a/foo", false},
    {"./foo", "foo", true},
    {"a/../foo", "foo", true},
    {"a//b", "a/b", true},
    {"a/b", "a/b", true},
    {"a/b", "a", false},
    {"a/b", "a/b/c", true},
    {"a/b", "x/a/b", false},
    {"../foo", "foo", false},
    {".", "foo", false},
    {"/", "foo", false},
    {"", "foo", false},
    // comments, blanks, line ends
    {"#foo", "#foo", false},
    {" #foo", "#foo", true},
    {"  foo  ", "foo", true},
    {"foo\r\nbar\r\n", "bar", true},
    {"\xef\xbb\xbf" "foo", "foo", true},
    {"\n\nfoo\n\n", "foo", true},
    {"foo # no comment", "foo", false},
    // * and ?
    {"*", "foo", true},
    {"*", "a/b", true},
    {"*.md", "README.md", true},
    {"*.md", "docs/README.md", false},
    {"*.md", ".md", true},
    {"*/*.md", "docs/README.md", true},
    {"*/*.md", "README.md", false},
    {"*/*.md", "a/docs/README.md", false},
    {"a*", "a", true},
    {"a*", "ab/c", true},
    {"a?c", "abc", true},
    {"a?c", "a/c", false},
    {"a?c", "ac", false},
    {"a.c", "abc", false},
    {"a+b", "a+b", true},
    {"(x)", "(x)", true},
    {"a$", "a$", true},
    {"a|b", "a|b", true},
    {"?\xc3\xa9", "x\xc3\xa9", true},
    {"?", "\xc3\xa9", true},
    // **
    {"**", "foo", true},
    {"**", "a/b/c", true},
    {"**/foo", "foo", true},
    {"**/foo", "a/foo", true},
    {"**/foo", "a/b/foo", true},
    {"**/foo", "a/foo/b", true},
    {"**/foo", "afoo", false},
    {"**/*.go", "x.go", true},
    {"**/*.go", "a/b/x.go", true},
    {"**/*.go", "a/b/x.gob", false},
    {"foo/**", "foo/a", true},
    {"foo/**", "foo", false},
    {"foo/**", "foo/a/b", true},
    {"a/**/b", "a/b", true},
    {"a/**/b", "a/x/b", true},
    {"a/**/b", "a/x/y/b", true},
    {"a/**/b", "a/x/yb", false},
    {"a**b", "ab", true},
    {"a**b", "ax/b", true},
    {"**foo", "xfoo", true},
    {"**foo", "a/xfoo", true},
    {"foo**", "foobar", true},
    {"foo**", "foo/bar", true},
    {"**/**/x", "a/b/x", true},
    {"a/**/**/c", "a/c", true},
    {"**/node_modules", "a/b/node_modules/c/d", true},
    {"**/.git", ".git/config", true},
    {"**/*", "a/b", true},
    {"***", "a/b", true},
    // brackets and escapes
    {"[ab]c", "ac", true},
    {"[a-c]x", "bx", true},
    {"[^a]x", "ax", false},
    {"[^a]x", "bx", true},
    {"[!a]x", "!x", true},
    {"[!a]x", "bx", false},
    {"a\\*", "a*", true},
    {"a\\*", "ab", false},
    {"a[*]", "a*", true},
    {"a[*]", "ab", false},
    // order and exceptions
    {"*\n!foo", "foo", false},
    {"*\n!foo", "bar", true},
    {"!foo\n*", "foo", true},
    {"foo\n!foo/bar", "foo/bar", false},
    {"foo\n!foo/bar", "foo/baz", true},
    {"foo\n!foo/bar", "foo/bar/x", false},
    {"foo\n!foo/bar\nfoo/bar/x", "foo/bar/x", true},
    {"foo\n!foo/bar\nfoo/bar/x", "foo/bar/y", false},
    {"*.md\n!README*.md\nREADME-secret.md", "README.md", false},
    {"*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true},
    {"*.md\nREADME-secret.md\n!README*.md", "README-secret.md", false},
    {"**\n!**/*.py", "a/b/x.py", false},
    {"**\n!**/*.py", "a/b/x.txt", true},
    {"*\n!src/**", "src/a/b", false},
    {"*\n!src/**", "src", true},
    {"*\n!src", "src/a", false},
    {"*\n! src ", "src", false},
    {"*\n!/src", "src", false},
    {"dir\n!dir", "dir/x", false},
    {"dir/*\n!dir/keep", "dir/keep", false},
    {"dir/*\n!dir/keep", "dir/other", true},
    {"dir/*\n!dir/keep", "dir", false},
    {"!foo", "foo", false},
    // more tokens than fit one word
    {LONG "*/x", LONG "1/x", true},
    {LONG "*/x", LONG "1/x/y", true},
    {LONG "*/x", LONG "1/y", false},
    {"**/" LONG "?", "a/b/" LONG "1/c", true},
    {"**/" LONG "?", "a/b/" LONG "/c", false},
};

static int load(const char *file, struct build_ignore *ig, struct err *e)
{
    memset(ig, 0, sizeof *ig);
    return build_ignore_parse(sv_of(file), ".dockerignore", ig, e);
}

static void the_last_pattern_that_matches_decides(void **state)
{
    (void)state;
    unsigned bad = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = {0};
        own(build_ignore) struct build_ignore ig;
        ASSERT_OK(load(cases[i].file, &ig, &e));
        if (build_ignore_match(&ig, cases[i].path, NULL) == cases[i].ignored) continue;
        bad++;
        print_error("'%s' against '%s': wanted %s\n", cases[i].path, cases[i].file,
                    cases[i].ignored ? "ignored" : "kept");
    }
    assert_int_equal(bad, 0);
}

static void malformed_patterns_name_their_line(void **state)
{
    (void)state;
    static const char *const bad[] = {"!", "! ", "[", "[a", "[]a]", "[-]", "a\\", "[a-]", "[^]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        own(build_ignore) struct build_ignore ig = {0};
        own(str) struct str file = {0};
        str_addf(&file, "ok\n%s\n", bad[i]);
        ASSERT_FAILS(load(str_z(&file), &ig, &e), ".dockerignore:2");
    }
}

static void the_deciding_line_is_told(void **state)
{
    (void)state;
    struct err e = {0};
    unsigned line = 9;
    own(build_ignore) struct build_ignore ig;
    ASSERT_OK(load("# c\n*.txt\n\n!keep.txt\n", &ig, &e));
    assert_true(build_ignore_match(&ig, "a.txt", &line));
    assert_int_equal(line, 2);
    assert_false(build_ignore_match(&ig, "keep.txt", &line));
    assert_int_equal(line, 4);
    assert_false(build_ignore_match(&ig, "other", &line));
    assert_int_equal(line, 0);
}

static const struct {
    const char *file, *dir;
    bool may;
} prunes[] = {
    {"foo", "foo", false},
    {"foo\n!bar", "foo", false},
    {"foo\n!foo/bar", "foo", true},
    {"foo\n!foo/bar/baz", "foo/bar", true},
    {"foo\n!foo/bar/baz", "foo/other", false},
    {"!foo/bar\nfoo", "foo", false},
    {"*\n!**/*.py", "anything", true},
    {"*\n!*.py", "anything", false},
    {"*\n!*/x", "anything", true},
    {"*\n!a**", "ab", true},
    {"*\n!ab/c**", "ab", true},
    {"*\n!src/**/x", "src/a/b", true},
    {"*\n!src/**/x", "lib", false},
    {"foo", "bar", false},
};

static void folders_are_pruned_only_when_nothing_can_be_kept(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof prunes / sizeof *prunes; i++) {
        struct err e = {0};
        own(build_ignore) struct build_ignore ig;
        ASSERT_OK(load(prunes[i].file, &ig, &e));
        if (build_ignore_may_keep(&ig, prunes[i].dir) != prunes[i].may)
            print_error("'%s' in '%s'\n", prunes[i].dir, prunes[i].file);
        assert_int_equal(build_ignore_may_keep(&ig, prunes[i].dir), prunes[i].may);
    }
}

// Every pattern file over a small alphabet: a pruned folder must never hold a kept path.
static void pruning_is_sound_for_random_files(void **state)
{
    (void)state;
    static const char *const parts[] = {"a", "b", "*", "**", "?", "a*", "*b", "ab"};
    static const char *const names[] = {"a", "b", "ab", "c"};
    srand(7);
    for (int round = 0; round < 3000; round++) {
        struct err e = {0};
        own(str) struct str file = {0};
        for (int l = 0; l < 4; l++) {
            if (rand() % 2) str_addc(&file, '!');
            for (int d = rand() % 3; d >= 0; d--)
                str_addf(&file, "%s%s", parts[rand() % 8], d ? "/" : "\n");
        }
        own(build_ignore) struct build_ignore ig;
        ASSERT_OK(load(str_z(&file), &ig, &e));
        for (int i = 0; i < 4 * 4 * 4; i++) {
            char dir[16], below[32];
            snprintf(dir, sizeof dir, "%s/%s", names[i % 4], names[i / 4 % 4]);
            snprintf(below, sizeof below, "%s/%s", dir, names[i / 16]);
            if (!build_ignore_match(&ig, dir, NULL) || build_ignore_may_keep(&ig, dir)) continue;
            if (!build_ignore_match(&ig, below, NULL)) print_error("%s in\n%s", below, file.p);
            assert_true(build_ignore_match(&ig, below, NULL));
        }
    }
}

static const struct {
    const char *pattern, *name;
    bool match;
} globs[] = {
    {"*", "a", true},          {"*", "a/b", false},      {"*.txt", "a.txt", true},
    {"*.txt", ".txt", true},   {"a/*", "a/b", true},     {"a/*", "a/b/c", false},
    {"?", "a", true},          {"?", "/", false},        {"?", "", false},
    {"[a-c]", "b", true},      {"[^a-c]", "b", false},   {"[^a-c]", "d", true},
    {"[a-]", "a", false},      {"[[]", "[", true},       {"[\\]]", "]", true},
    {"[]", "a", false},        {"a\\?", "a?", true},     {"a\\?", "ab", false},
    {"a\\", "a\\", false},     {"", "", true},           {"**", "ab", true},
    {"**", "a/b", false},      {"a*b*c", "aXbYc", true}, {"a*b*c", "ab", false},
    {"[\xc3\xa9]", "\xc3\xa9", true}, {"arr[[]0].txt", "arr[0].txt", true},
};

static void globs_match_as_in_go(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof globs / sizeof *globs; i++)
        if (build_glob_match(sv_of(globs[i].pattern), sv_of(globs[i].name)) != globs[i].match)
            fail_msg("'%s' against '%s'", globs[i].name, globs[i].pattern);
    struct err e = {0};
    ASSERT_OK(build_glob_check(SV("a[b]*"), &e));
    ASSERT_FAILS(build_glob_check(SV("a[b"), &e), "malformed");
    assert_true(build_glob_magic(SV("a*")) && build_glob_magic(SV("[a]")));
    assert_false(build_glob_magic(SV("a\\*")) || build_glob_magic(SV("plain")));
}

static void deep_globs_cross_folders(void **state)
{
    (void)state;
    assert_true(build_glob_match_deep(SV("**/x"), SV("x")));
    assert_true(build_glob_match_deep(SV("**/x"), SV("a/b/x")));
    assert_false(build_glob_match_deep(SV("**/x"), SV("a/bx")));
    assert_true(build_glob_match_deep(SV("a/**/x"), SV("a/x")));
    assert_true(build_glob_match_deep(SV("a/**"), SV("a/b/c")));
    assert_false(build_glob_match_deep(SV("a**"), SV("ab/c")));
    assert_true(build_glob_may_match_below(SV("a/*/c"), SV("a/b")));
    assert_false(build_glob_may_match_below(SV("a/*/c"), SV("b")));
    assert_false(build_glob_may_match_below(SV("a/*"), SV("a/b")));
    assert_true(build_glob_may_match_below(SV("**/c"), SV("x/y")));
    assert_true(build_glob_may_match_below(SV("a*"), SV("")));
}

RUN_TESTS("build/ignore", TEST(the_last_pattern_that_matches_decides),
          TEST(malformed_patterns_name_their_line), TEST(the_deciding_line_is_told),
          TEST(folders_are_pruned_only_when_nothing_can_be_kept),
          TEST(pruning_is_sound_for_random_files), TEST(globs_match_as_in_go),
          TEST(deep_globs_cross_folders))
