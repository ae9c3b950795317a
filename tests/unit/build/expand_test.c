// SPDX-License-Identifier: Apache-2.0
// The word expander as a table: what stands in a Dockerfile and what BuildKit makes of it.
#include "harness.h"

#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "build/expand.h"

// The environment of all cases. UNSET, NOPE and X1 are not set.
static const char *const env[][2] = {
    {"PWD", "/home"},   {"SHELL", "bash"}, {"KOREAN", "\xed\x95\x9c\xea\xb5\xad"},
    {"EMPTY", ""},      {"A", "one"},      {"SP", " a  b "},
    {"Q", "it's"},      {"DQ", "\"x\""},   {"PATHS", "/usr/lib/x.tar.gz"},
    {"VER", "1.2.3"},   {"STAR", "a*b?c"}, {"BS", "a\\b"},
    {"DOLLAR", "$A"},   {"NL", "x\ny"},    {"SLASH", "a/b/c"},
    {"BRACE", "a}b"},   {"REP", "aaa"},    {"_u", "under"},
    {"A1", "digit"},    {"\xc3\xa9", "accent"},
};

static const char *lookup(void *arg, const char *name)
{
    (void)arg;
    for (size_t i = 0; i < sizeof env / sizeof *env; i++)
        if (strcmp(env[i][0], name) == 0) return env[i][1];
    return NULL;
}

#define FAILS ((const char *)1)

struct word_case {
    const char *in, *out;
};

static const struct word_case words[] = {
    // plain text and blanks
    {"", ""},
    {"hello", "hello"},
    {"  a  b ", "  a  b "},
    {"a\tb", "a\tb"},
    {"\xec\x95\x88", "\xec\x95\x88"},
    {"bad\xff" "byte", "bad\xff" "byte"},
    // single quotes
    {"he'll'o", "hello"},
    {"he'llo", FAILS},
    {"'hello", FAILS},
    {"'hello\\'", "hello\\"},
    {"'hello\\there'", "hello\\there"},
    {"'hello\\\\there'", "hello\\\\there"},
    {"'$PWD'", "$PWD"},
    {"'${PWD}'", "${PWD}"},
    {"'${'", "${"},
    {"'\"'", "\""},
    {"''", ""},
    {"'a''b'", "ab"},
    {"'a\nb'", "a\nb"},
    // double quotes
    {"\"hello\"", "hello"},
    {"\"hel'lo\"", "hel'lo"},
    {"\"hello", FAILS},
    {"\"hello\\\"", FAILS},
    {"\"''\"", "''"},
    {"\"abc\\tdef\"", "abc\\tdef"},
    {"\"abc\\\\tdef\"", "abc\\tdef"},
    {"\"he\\$PWD\"", "he$PWD"},
    {"\"he\\\\$PWD\"", "he\\/home"},
    {"\"a\\\"b\"", "a\"b"},
    {"\"a\\'b\"", "a\\'b"},
    {"\"$PWD\"", "/home"},
    {"\"$SP\"", " a  b "},
    {"\"${UNSET}\"", ""},
    {"\"$\"", "$"},
    {"\"\"", ""},
    {"\"a\" 'b'", "a b"},
    {"\"'$PWD'\"", "'/home'"},
    {"'\"$PWD\"'", "\"$PWD\""},
    // the escape character outside quotes
    {"he\\'llo", "he'llo"},
    {"he\\\\'llo", FAILS},
    {"abc\\tdef", "abctdef"},
    {"hello\\", "hello"},
    {"hello\\\\", "hello\\"},
    {"\\\"", "\""},
    {"a\\ b", "a b"},
    {"\\\\\\\\", "\\\\"},
    {"he\\$PWD", "he$PWD"},
    {"he\\\\$PWD", "he\\/home"},
    {"\\${}", "${}"},
    {"\\${}aaa", "${}aaa"},
    {"he\\${}xx", "he${}xx"},
    {"\\$", "$"},
    {"\\\xec\x95\x88", "\xec\x95\x88"},
    // $name
    {"$PWD", "/home"},
    {"he$PWD", "he/home"},
    {"he$PWD.", "he/home."},
    {"he$pwd.", "he."},
    {"$UNSET", ""},
    {"$", "$"},
    {"$.", "$."},
    {"he$.x", "he$.x"},
    {"a$", "a$"},
    {"$ a", "$ a"},
    {"$/x", "$/x"},
    {"$PWD$A", "/homeone"},
    {"$PWD_x", ""},
    {"$_u", "under"},
    {"$A1", "digit"},
    {"$A-1", "one-1"},
    {"$A.b", "one.b"},
    {"$KOREAN!", "\xed\x95\x9c\xea\xb5\xad!"},
    {"$\xc3\xa9", "accent"},
    {"$A\xe3\x80\x82x", "one\xe3\x80\x82x"},
    {"$'x'", "$x"},
    {"$\"x\"", "$x"},
    {"$DOLLAR", "$A"},
    {"$BS", "a\\b"},
    {"$Q", "it's"},
    {"$DQ", "\"x\""},
    // numbers and special names are ordinary, unset
    {"he$1x", "hex"},
    {"$12a", "a"},
    {"$0", ""},
    {"$@x", "x"},
    {"$*", ""},
    {"$#", ""},
    {"$?", ""},
    {"$-", ""},
    {"$$", ""},
    {"$$PWD", "PWD"},
    {"$!", ""},
    {"${@}", ""},
    {"${#}", ""},
    {"${12}", ""},
    // ${name}
    {"${PWD}", "/home"},
    {"he${PWD}xx", "he/homexx"},
    {"he${hi}xx", "hexx"},
    {"${UNSET}", ""},
    {"${}", FAILS},
    {"${}aaa", FAILS},
    {"he${}xx", FAILS},
    {"${{PWD}}", FAILS},
    {"${:}", FAILS},
    {"${:-x}", FAILS},
    {"${", FAILS},
    {"${PWD", FAILS},
    {"${PWD:", FAILS},
    {"${PWD:-", FAILS},
    {"${PWD:-x", FAILS},
    {"he${.}", FAILS},
    {"${ PWD}", FAILS},
    {"${PWD }", FAILS},
    {"${#PWD}", FAILS},
    {"${!PWD}", FAILS},
    {"${PWD=x}", FAILS},
    {"${PWD:=x}", FAILS},
    {"${PWD:1}", FAILS},
    {"${PWD:x}", FAILS},
    {"${PWD^^}", FAILS},
    {"${PWD,}", FAILS},
    {"${PWD@Q}", FAILS},
    {"${PWD[0]}", FAILS},
    {"'${'x${", FAILS},
    // ${v:-w} and ${v-w}
    {"he${XXX:-000}xx", "he000xx"},
    {"he${PWD:-000}xx", "he/homexx"},
    {"${EMPTY:-x}", "x"},
    {"${EMPTY-x}", ""},
    {"${UNSET-x}", "x"},
    {"${UNSET-}", ""},
    {"${UNSET:-}", ""},
    {"${UNSET:-a b}", "a b"},
    {"${UNSET:-$PWD}", "/home"},
    {"he${XXX:-$PWD}xx", "he/homexx"},
    {"he${XXX:-${PWD:-yyy}}xx", "he/homexx"},
    {"he${XXX:-${YYY:-yyy}}xx", "heyyyxx"},
    {"${UNSET:-'a}b'}", "a}b"},
    {"${UNSET:-\"a}b\"}", "a}b"},
    {"${UNSET:-a\\}b}", "a}b"},
    {"${UNSET:-\\$A}", "$A"},
    {"${UNSET:-'$A'}", "$A"},
    {"\"${UNSET:-'x'}\"", "x"},
    {"\"${UNSET:-\"x y\"}\"", "x y"},
    {"${UNSET:-:-}", ":-"},
    {"${UNSET--}", "-"},
    {"${UNSET:-{}", "{"},
    {"${UNSET:-{}}", "{}"},
    // ${v:+w} and ${v+w}
    {"he${XXX:+000}xx", "hexx"},
    {"he${PWD:+000}xx", "he000xx"},
    {"${EMPTY:+x}", ""},
    {"${EMPTY+x}", "x"},
    {"${UNSET+x}", ""},
    {"${PWD:+${UNSET:-d}}", "d"},
    {"${PWD:+$PWD:}/bin", "/home:/bin"},
    // ${v:?m} and ${v?m}
    {"${PWD:?no}", "/home"},
    {"${PWD?no}", "/home"},
    {"${EMPTY?no}", ""},
    {"${EMPTY:?no}", FAILS},
    {"${UNSET?no}", FAILS},
    {"${UNSET:?}", FAILS},
    {"${UNSET?}", FAILS},
    {"${PWD:-${UNSET?no}}", FAILS},  // read although not used
    // ${v#p} ${v##p}
    {"${PATHS#/}", "usr/lib/x.tar.gz"},
    {"${PATHS#*/}", "usr/lib/x.tar.gz"},
    {"${PATHS##*/}", "x.tar.gz"},
    {"${PATHS##*.}", "gz"},
    {"${PATHS#nope}", "/usr/lib/x.tar.gz"},
    {"${PATHS#????}", "/lib/x.tar.gz"},
    {"${PATHS##*}", ""},
    {"${PATHS#*}", "/usr/lib/x.tar.gz"},
    {"${PATHS#}", "/usr/lib/x.tar.gz"},
    {"${PATHS##}", "/usr/lib/x.tar.gz"},
    {"${UNSET#x}", ""},
    {"${KOREAN#?}", "\xea\xb5\xad"},
    {"${STAR#a\\*}", "b?c"},
    {"${STAR#a\\*b\\?}", "c"},
    {"${BS#a\\\\}", "b"},
    {"${BRACE#a\\}}", "b"},
    {"${SLASH#a\\/}", "b/c"},
    {"${A#\\o}", FAILS},
    {"${A#o\\", FAILS},
    {"${A#[o]}", "one"},
    {"${VER#1.}", "2.3"},
    {"${VER#1?}", "2.3"},
    {"${PATHS#$PWD}", "/usr/lib/x.tar.gz"},
    {"${PATHS#${UNSET:-/usr}}", "/lib/x.tar.gz"},
    {"${NL#*y}", "x\ny"},  // wildcards stay on their line
    {"${NL#x?}", "x\ny"},
    {"${PWD:#/}", FAILS},
    // ${v%p} ${v%%p}
    {"${PATHS%.*}", "/usr/lib/x.tar"},
    {"${PATHS%%.*}", "/usr/lib/x"},
    {"${PATHS%/*}", "/usr/lib"},
    {"${PATHS%%/*}", ""},
    {"${PATHS%gz}", "/usr/lib/x.tar."},
    {"${PATHS%nope}", "/usr/lib/x.tar.gz"},
    {"${VER%.*}", "1.2"},
    {"${VER%%.*}", "1"},
    {"${VER%.?}", "1.2"},
    {"${KOREAN%?}", "\xed\x95\x9c"},
    {"${STAR%\\?c}", "a*b"},
    {"${STAR%\\*b\\?c}", "a"},
    {"${BS%\\\\b}", "a"},
    {"${BRACE%\\}b}", "a"},
    {"${PWD:%x}", FAILS},
    {"${UNSET%x}", ""},
    // ${v/p/r} ${v//p/r}
    {"${REP/a/b}", "baa"},
    {"${REP//a/b}", "bbb"},
    {"${REP//a/}", ""},
    {"${REP//aa/b}", "ba"},
    {"${REP/x/b}", "aaa"},
    {"${VER//./-}", "1-2-3"},
    {"${VER/.*/}", "1"},
    {"${VER/?/x}", "x.2.3"},
    {"${VER//?/x}", "xxxxx"},
    {"${VER//*/x}", "x"},
    {"${SLASH//\\//-}", "a-b-c"},
    {"${SLASH/b/$A}", "a/one/c"},
    {"${SLASH/b/${UNSET:-z}}", "a/z/c"},
    {"${PATHS/lib*/L}", "/usr/L"},
    {"${STAR/\\*/-}", "a-b?c"},
    {"${REP///-}", "-a-a-a-"},
    {"${UNSET/a/b}", ""},
    {"${EMPTY/*/b}", "b"},
    {"${REP/a}", FAILS},
    {"${REP//a}", FAILS},
    {"${REP/a/b", FAILS},
    {"${REP/\\a/b}", FAILS},
    {"${REP/'a'/b}", "baa"},
    {"${REP/\"a\"/b}", "baa"},
    // pieces together
    {"a${UNSET:-b}c$PWD'd'\"e\"\\f", "abc/homedef"},
    {"--chown=${A}:${A}", "--chown=one:one"},
    {"${A}${A}${A}", "oneoneone"},
    {"%s${A}%n", "%sone%n"},
};

static int expand(const char *in, char escape, struct str *out, struct err *e)
{
    struct build_expand x = {.get = lookup, .escape = escape};
    return build_expand_word(&x, sv_of(in), out, e);
}

static void words_expand_as_in_buildkit(void **state)
{
    (void)state;
    unsigned bad = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct err e = {0};
        own(str) struct str out = {0};
        int rc = expand(words[i].in, '\\', &out, &e);
        bool good = words[i].out == FAILS ? rc < 0 && e.frames > 0
                                          : rc == 0 && strcmp(str_z(&out), words[i].out) == 0;
        if (good) continue;
        bad++;
        print_error("%s: wanted '%s', got '%s' %s\n", words[i].in,
                    words[i].out == FAILS ? "an error" : words[i].out, str_z(&out),
                    err_cause(&e));
    }
    assert_int_equal(bad, 0);
}

static const struct word_case backtick[] = {
    {"a`$PWD", "a$PWD"},     {"C:\\x", "C:\\x"},      {"C:\\$A", "C:\\one"},
    {"`\"", "\""},           {"\"a`\"b\"", "a\"b"},   {"\"a\\\"", "a\\"},
    {"'a`'", "a`"},          {"a``b", "a`b"},         {"a`", "a"},
    {"\"a``b\"", "a`b"},     {"\"`x\"", "`x"},        {"${UNSET:-a`}b}", "a}b"},
};

static void the_escape_character_can_be_a_backtick(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof backtick / sizeof *backtick; i++) {
        struct err e = {0};
        own(str) struct str out = {0};
        ASSERT_OK(expand(backtick[i].in, '`', &out, &e));
        assert_string_equal(str_z(&out), backtick[i].out);
    }
}

// Words are joined with '|' for the comparison.
static const struct word_case splits[] = {
    {"", ""},
    {"a", "a"},
    {"a b", "a|b"},
    {"  a\t b  ", "a|b"},
    {"'a b'", "a b"},
    {"\"a b\" c", "a b|c"},
    {"a\\ b", "a b"},
    {"$SP", "a|b"},
    {"x$SP", "x|a|b"},
    {"x${SP}y", "x|a|b|y"},
    {"\"$SP\"", " a  b "},
    {"'$SP'", "$SP"},
    {"''", ""},          // a quoted empty word vanishes
    {"a '' b", "a|b"},
    {"a''", "a"},
    {"$UNSET", ""},
    {"a $UNSET b", "a|b"},
    {"a${UNSET}b", "ab"},
    {"${UNSET:-a b}", "a|b"},
    {"${UNSET:-\"a b\"}", "a|b"},
    {"\"${UNSET:-a b}\"", "a b"},
    {"80 443", "80|443"},
    {"$A,$A", "one,one"},
    {"a\xc2\xa0" "b", "a|b"},
    {"$Q", "it's"},
    {"a\"b c\"d e", "ab cd|e"},
    {"$NL", "x|y"},
    {"a\\", "a"},
};

static void words_split_only_where_no_quote_was(void **state)
{
    (void)state;
    struct build_expand x = {.get = lookup};
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
        struct err e = {0};
        own(strv) struct strv got = {0};
        own(str) struct str s = {0};
        ASSERT_OK(build_expand_words(&x, sv_of(splits[i].in), &got, &e));
        for (size_t j = 0; j < got.n; j++) str_addf(&s, "%s%s", j ? "|" : "", got.p[j]);
        if (strcmp(str_z(&s), splits[i].out) != 0) print_error("splitting %s\n", splits[i].in);
        assert_string_equal(str_z(&s), splits[i].out);
    }
}

static const struct word_case bodies[] = {
    {"\"quotes\" stay, it's $A\n", "\"quotes\" stay, it's one\n"},
    {"\\\n", "\n"},      {"\\\\\n", "\\\n"},         {"\\$A\n", "$A\n"},
    {"'$A'\n", "'one'\n"}, {"`$A`\n", "`one`\n"},    {"${UNSET:-\"x\"}\n", "\"x\"\n"},
    {"$ 5\n", "$ 5\n"},
};

static void heredoc_bodies_keep_their_quotes(void **state)
{
    (void)state;
    struct build_expand x = {.get = lookup, .escape = '`'};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct err e = {0};
        own(str) struct str out = {0};
        ASSERT_OK(build_expand_heredoc(&x, sv_of(bodies[i].in), &out, &e));
        assert_string_equal(str_z(&out), bodies[i].out);
    }
}

static void note_unset(void *arg, const char *name)
{
    str_addf(arg, "%s ", name);
}

static void unset_names_are_told_unless_a_fallback_is_given(void **state)
{
    (void)state;
    struct err e = {0};
    own(str) struct str told = {0};
    own(str) struct str out = {0};
    struct build_expand x = {.get = lookup, .unset = note_unset, .arg = &told};
    ASSERT_OK(build_expand_word(&x, SV("$X ${Y} ${Z:-a} ${W+b} ${V#c} ${U/a/b} $A ${T:-$S}"), &out,
                                &e));
    assert_string_equal(str_z(&told), "X Y V U S ");
}

static void raw_modes_keep_what_they_are_told_to_keep(void **state)
{
    (void)state;
    struct err e = {0};
    own(str) struct str out = {0};
    struct build_expand x = {.raw_quotes = true, .raw_escapes = true, .keep_unset = true};
    const char *text = "\"a\\$b\" 'c' $d ${e} ${f:-g} \\h ${i#j}";
    ASSERT_OK(build_expand_word(&x, sv_of(text), &out, &e));
    assert_string_equal(str_z(&out), text);
}

static void deep_nesting_and_huge_results_are_refused(void **state)
{
    (void)state;
    struct err e = {0};
    own(str) struct str deep = {0};
    own(str) struct str out = {0};
    for (int i = 0; i < 1000; i++) str_addz(&deep, "${X1:-");
    struct build_expand x = {.get = lookup};
    ASSERT_FAILS(build_expand_word(&x, str_sv(&deep), &out, &e), "levels");
    own(str) struct str many = {0};
    for (int i = 0; i < 300000; i++) str_addz(&many, "$PWD");
    ASSERT_FAILS(build_expand_word(&x, str_sv(&many), &out, &e), "longer than");
}

static const char *long_value(void *arg, const char *name)
{
    (void)name;
    return arg;
}

static void patterns_with_many_stars_end_in_time(void **state)
{
    (void)state;
    struct err e = {0};
    own(free) char *value = mem_alloc(100001);
    memset(value, 'a', 100000);
    struct build_expand x = {.get = long_value, .arg = value};
    own(str) struct str out = {0};
    ASSERT_OK(build_expand_word(&x, SV("${v%%*a*a*a*a*a*a*a*a*b}"), &out, &e));
    assert_int_equal(out.n, 100000);
    str_clear(&out);
    ASSERT_FAILS(build_expand_word(&x, SV("${v//*a*a*a*b/x}"), &out, &e), "too long");
}

RUN_TESTS("build/expand", TEST(words_expand_as_in_buildkit),
          TEST(the_escape_character_can_be_a_backtick), TEST(words_split_only_where_no_quote_was),
          TEST(heredoc_bodies_keep_their_quotes),
          TEST(unset_names_are_told_unless_a_fallback_is_given),
          TEST(raw_modes_keep_what_they_are_told_to_keep),
          TEST(deep_nesting_and_huge_results_are_refused),
          TEST(patterns_with_many_stars_end_in_time))
