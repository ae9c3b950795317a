// SPDX-License-Identifier: Apache-2.0
// Command lines as people write them for Docker, replayed against one small option table.
#include "base/opt.h"

#include <string.h>

#include "base/own.h"
#include "harness.h"

static const char *const colours[] = {"auto", "always", "never", NULL};

struct sample {
    bool rm, tty, interactive, proxy, net_given;
    int verbose, colour;
    const char *name, *net, *pull;
    struct strv volumes;
    int64_t count;
    uint64_t size, shares;
    int64_t wait;
    double cpus;
};
#define AT(member) .offset = OPT_AT(struct sample, member)
static const struct opt rows[] = {
    {"rm", 0, OPT_BOOL, AT(rm), .help = "Remove it afterwards"},
    {"tty", 't', OPT_BOOL, AT(tty), .help = "Give it a terminal"},
    {"interactive", 'i', OPT_BOOL, AT(interactive), .help = "Keep stdin open"},
    {"sig-proxy", 0, OPT_BOOL, AT(proxy), .initial = "true", .help = "Pass signals on"},
    {"verbose", 'V', OPT_COUNT, AT(verbose), .help = "Say more"},
    {"color", 0, OPT_ENUM, AT(colour), .choices = colours, .help = "When to colour"},
    {"name", 'n', OPT_TEXT, AT(name), .once = true, .arg = "NAME", .help = "Name it"},
    {"network", 0, OPT_TEXT, AT(net), .given = OPT_AT(struct sample, net_given), .help = "Network"},
    {"net", 0, OPT_TEXT, AT(net), .hidden = true, .help = "Network"},
    {"pull", 'p', OPT_TEXT, AT(pull), .implied = "always", .help = "Pull first"},
    {"volume", 'v', OPT_LIST, AT(volumes), .arg = "SRC:DST", .help = "Bind a folder"},
    {"count", 0, OPT_INT, AT(count), .help = "How often"},
    {"shares", 0, OPT_UINT, AT(shares), .help = "Shares"},
    {"memory", 'm', OPT_SIZE, AT(size), .help = "Memory"},
    {"wait", 0, OPT_DURATION, AT(wait), .help = "How long"},
    {"cpus", 0, OPT_REAL, AT(cpus), .help = "How many CPUs"},
};
static const struct opt_table table = {rows, sizeof rows / sizeof *rows};

struct parsed {
    struct sample s;
    struct opt_words words;
    char *argv[16];
};

static int parse(struct parsed *p, bool stop, const char *line, struct err *e)
{
    static char text[512];
    struct opt_target target = {table, &p->s};
    int argc = 0;
    *p = (struct parsed){0};
    snprintf(text, sizeof text, "%s", line);
    struct sv rest = sv_of(text);
    while (rest.p) {
        struct sv word = sv_cut(&rest, ' ');
        text[word.p + word.n - text] = '\0';
        p->argv[argc++] = text + (word.p - text);
    }
    return opt_parse(&target, 1, (struct opt_rules){.stop_at_word = stop}, argc, p->argv, &p->words,
                     e);
}

static void done(struct parsed *p)
{
    opt_words_fini(&p->words);
    opt_fini(&table, &p->s);
}

static void switches_are_bundled_and_ordered_freely(void **state)
{
    (void)state;
    struct err e = {0};
    struct parsed p;
    static const char *const lines[] = {"-ti img", "-it img", "-i -t img", "img -ti",
                                        "--tty --interactive img", "-t=true -i=1 img",
                                        "--tty=T -i img", "-it=true img"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        ASSERT_OK(parse(&p, false, lines[i], &e));
        assert_true(p.s.tty && p.s.interactive && p.s.proxy);
        assert_int_equal(p.words.n, 1);
        assert_string_equal(p.words.p[0], "img");
        done(&p);
    }
}

static void switches_are_turned_off_by_equals_false(void **state)
{
    (void)state;
    struct err e = {0};
    struct parsed p;
    ASSERT_OK(parse(&p, false, "--rm --rm=false --sig-proxy=0 -t=f", &e));
    assert_false(p.s.rm || p.s.proxy || p.s.tty);
    done(&p);
    ASSERT_FAILS(parse(&p, false, "--rm=perhaps", &e), "'perhaps' is not true or false");
    done(&p);
    ASSERT_OK(parse(&p, false, "--rm false", &e));  // a switch never takes the next word
    assert_true(p.s.rm);
    assert_int_equal(p.words.n, 1);
    done(&p);
}

static void values_come_after_a_blank_an_equals_sign_or_at_once(void **state)
{
    (void)state;
    struct err e = {0};
    struct parsed p;
    ASSERT_OK(parse(&p, false, "-v a:b -vc:d -v=e:f --volume g:h --volume=i:j=k -tiv l:m", &e));
    static const char *const want[] = {"a:b", "c:d", "e:f", "g:h", "i:j=k", "l:m"};
    assert_int_equal(p.s.volumes.n, 6);
    for (size_t i = 0; i < 6; i++) assert_string_equal(p.s.volumes.p[i], want[i]);
    assert_true(p.s.tty && p.s.interactive);
    done(&p);
    ASSERT_OK(parse(&p, false, "--name --rm", &e));  // the next word, whatever it looks like
    assert_string_equal(p.s.name, "--rm");
    assert_false(p.s.rm);
    done(&p);
    ASSERT_OK(parse(&p, false, "--name=", &e));
    assert_string_equal(p.s.name, "");
    done(&p);
}

static void options_end_at_two_dashes_or_at_the_first_word(void **state)
{
    (void)state;
    struct err e = {0};
    struct parsed p;
    ASSERT_OK(parse(&p, false, "--rm -- -t --nonsense", &e));
    assert_int_equal(p.words.n, 2);
    assert_string_equal(p.words.p[0], "-t");
    done(&p);
    ASSERT_OK(parse(&p, true, "--rm img ls -l --color -- x", &e));
    assert_int_equal(p.words.n, 6);
    assert_string_equal(p.words.p[2], "-l");
    assert_string_equal(p.words.p[4], "--");
    done(&p);
    ASSERT_OK(parse(&p, true, "--rm -- img -t", &e));
    assert_int_equal(p.words.n, 2);
    assert_false(p.s.tty);
    done(&p);
    ASSERT_OK(parse(&p, false, "- a", &e));  // a lone dash is a word: stdin
    assert_string_equal(p.words.p[0], "-");
    done(&p);
}

static void values_are_checked_by_type(void **state)
{
    (void)state;
    struct err e = {0};
    struct parsed p;
    ASSERT_OK(parse(&p, false,
                    "--count -3 --shares 7 -m 64m --wait 1m30s --cpus 1.5 --color never -VV", &e));
    assert_int_equal(p.s.count, -3);
    assert_int_equal(p.s.shares, 7);
    assert_int_equal(p.s.size, 64 << 20);
    assert_true(p.s.wait == 90000000000);
    assert_true(p.s.cpus > 1.49 && p.s.cpus < 1.51);
    assert_int_equal(p.s.colour, 2);
    assert_int_equal(p.s.verbose, 2);
    done(&p);
    static const char *const bad[][2] = {
        {"--count 3x", "'3x' is not a whole number"},
        {"--shares -1", "'-1' is not a whole number of 0 or more"},
        {"--memory much", "'much' is not a size"},
        {"--wait long", "'long' is not a duration"},
        {"--cpus 0x2", "'0x2' is not a number"},
        {"--cpus .", "'.' is not a number"},
        {"--color nevr", "'nevr' is none of its values"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(parse(&p, false, bad[i][0], &e), -1);
        assert_int_equal(e.kind, ERR_USAGE);
        harness_fails(-1, &e, bad[i][1], __FILE__, __LINE__);
        done(&p);
    }
    ASSERT_FAILS(parse(&p, false, "--color nevr", &e),
                 "hint: did you mean 'never'? (auto, always, never)");
    done(&p);
}

static void wrong_options_are_named_with_the_nearest(void **state)
{
    (void)state;
    struct err e = {0};
    struct parsed p;
    ASSERT_FAILS(parse(&p, false, "--volum x", &e),
                 "unknown flag: '--volum'\n  hint: did you mean '--volume'?");
    done(&p);
    assert_int_equal(parse(&p, false, "--zzzzzz", &e), -1);
    assert_string_equal(e.hint, "");
    harness_fails(-1, &e, "unknown flag: '--zzzzzz'", __FILE__, __LINE__);
    done(&p);
    ASSERT_FAILS(parse(&p, false, "-tq", &e), "unknown flag: '-q'");
    done(&p);
    ASSERT_FAILS(parse(&p, false, "--name", &e), "flag needs an argument: '--name'");
    done(&p);
    ASSERT_FAILS(parse(&p, false, "-v", &e), "flag needs an argument: '-v'");
    done(&p);
    ASSERT_FAILS(parse(&p, false, "--name a --name b", &e), "flag given twice: '--name'");
    done(&p);
    ASSERT_FAILS(parse(&p, false, "--=x", &e), "bad flag syntax: '--=x'");
    done(&p);
}

static void other_spellings_and_implied_values_work(void **state)
{
    (void)state;
    struct err e = {0};
    struct parsed p;
    ASSERT_OK(parse(&p, false, "--net none --pull img", &e));
    assert_string_equal(p.s.net, "none");
    assert_false(p.s.net_given);
    assert_string_equal(p.s.pull, "always");
    assert_int_equal(p.words.n, 1);
    done(&p);
    ASSERT_OK(parse(&p, false, "--network host --pull=never -pt", &e));
    assert_true(p.s.net_given && p.s.tty);
    assert_string_equal(p.s.pull, "always");
    done(&p);
}

static void distance_counts_edits_and_swaps(void **state)
{
    (void)state;
    assert_int_equal(opt_distance("", ""), 0);
    assert_int_equal(opt_distance("build", "biuld"), 1);
    assert_int_equal(opt_distance("kitten", "sitting"), 3);
    assert_int_equal(opt_distance("a", ""), 1);
    assert_int_equal(opt_distance("abcdefghijkl", "mnopqrstuvwx"), 9);
}

static void help_shows_every_row_once_in_order(void **state)
{
    (void)state;
    own(str) struct str out = {0};
    opt_print_help(&table, 80, &out);
    assert_non_null(strstr(out.p, "  -t, --tty              Give it a terminal\n"));
    assert_non_null(strstr(out.p, "  -v, --volume SRC:DST   Bind a folder\n"));
    assert_non_null(strstr(out.p, "      --color string     When to colour (auto, always, never)\n"));
    assert_non_null(strstr(out.p, "Pass signals on (default true)"));
    assert_null(strstr(out.p, "--net "));
    assert_true(strstr(out.p, "--color") < strstr(out.p, "--tty"));
}

RUN_TESTS("base/opt", TEST(switches_are_bundled_and_ordered_freely),
          TEST(switches_are_turned_off_by_equals_false),
          TEST(values_come_after_a_blank_an_equals_sign_or_at_once),
          TEST(options_end_at_two_dashes_or_at_the_first_word), TEST(values_are_checked_by_type),
          TEST(wrong_options_are_named_with_the_nearest),
          TEST(other_spellings_and_implied_values_work), TEST(distance_counts_edits_and_swaps),
          TEST(help_shows_every_row_once_in_order))
