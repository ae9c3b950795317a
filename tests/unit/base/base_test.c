// SPDX-License-Identifier: Apache-2.0
// The floor: numbers, clock, text, map, errors, and the file walkers on hostile trees.
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/map.h"
#include "base/num.h"
#include "base/own.h"
#include "base/proc.h"
#include "base/signals.h"
#include "base/str.h"

static void numbers_refuse_signs_blanks_and_wrap(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "0x1", "18446744073709551616"};
    uint64_t v;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(num_u64(sv_of(bad[i]), &v));
    assert_true(num_u64(SV("18446744073709551615"), &v));
    assert_true(v == UINT64_MAX);
    assert_false(num_u64_max(SV("4294967296"), UINT32_MAX, &v));
    assert_true(num_u64_max(SV("4294967295"), UINT32_MAX, &v));
}

static void memory_prints_as_docker_prints_it(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *want;
    } rows[] = {{0, "0B"},          {1023, "1023B"},         {1024, "1KiB"},
                {1536, "1.5KiB"},   {64 << 20, "64MiB"},     {123456789, "117.7MiB"},
                {25276239872, "23.54GiB"}, {UINT64_MAX, "16EiB"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        own(str) struct str s = {0};
        num_print_binary(rows[i].bytes, &s);
        assert_string_equal(s.p, rows[i].want);
    }
}

static void sizes_and_durations_read_as_docker_reads_them(void **state)
{
    (void)state;
    struct err e;
    uint64_t b;
    int64_t ns;
    ASSERT_OK(num_bytes(SV("64m"), &b, &e));
    assert_int_equal(b, 64 << 20);
    ASSERT_OK(num_bytes(SV("1.5GiB"), &b, &e));
    assert_int_equal(b, 1610612736);
    ASSERT_FAILS(num_bytes(SV("12q"), &b, &e), "is not a size");
    ASSERT_OK(num_duration(SV("1m30.5s"), &ns, &e));
    assert_int_equal(ns, 90500000000);
    ASSERT_FAILS(num_duration(SV("5"), &ns, &e), "is not a duration");
}

static void times_print_and_parse_back(void **state)
{
    (void)state;
    static const int64_t times[] = {0, 315532800, 1700000000, 951782400, -1, 4102444799};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        own(str) struct str s = {0};
        int64_t back;
        clock_print(times[i], &s);
        assert_true(clock_parse(str_sv(&s), &back));
        assert_int_equal(back, times[i]);
    }
    int64_t t;
    assert_true(clock_parse(SV("2023-11-14T22:13:20.123+01:00"), &t));
    assert_int_equal(t, 1700000000 - 3600);
    assert_false(clock_parse(SV("2023-13-14T22:13:20Z"), &t));
}

static void outside_text_is_escaped_for_terminals(void **state)
{
    (void)state;
    own(str) struct str s = {0};
    str_add_escaped(&s, SV("a\x1b]0;x\x07 \xc2\x9b \xe2\x80\xae \xff \xc3\xa9"));
    assert_string_equal(str_z(&s), "a\\x1b]0;x\\x07 \\xc2\\x9b \\xe2\\x80\\xae \\xff \xc3\xa9");
}

static void maps_iterate_in_key_order(void **state)
{
    (void)state;
    own(map) struct map m = {0};
    char one[] = "1", two[] = "x";
    map_set(&m, "b", one);
    map_set(&m, "a", one);
    map_set(&m, "c", one);
    map_set(&m, "a", two);
    assert_int_equal(m.n, 3);
    assert_string_equal(m.p[0].key, "a");
    assert_string_equal(map_get(&m, "a"), "x");
    map_del(&m, "b");
    assert_null(map_get(&m, "b"));
}

static void errors_print_from_command_to_cause(void **state)
{
    (void)state;
    struct err e;
    err_sys_code(&e, ENOENT, "open '%s'", "x\x1b");
    err_wrap(&e, "at step 2");
    err_hint(&e, "first hint wins");
    err_hint(&e, "second");
    own(str) struct str s = {0};
    err_print(&e, &s);
    assert_string_equal(str_z(&s), "dewar: error: at step 2\n"
                                   "  cause: open 'x\\x1b': No such file or directory (ENOENT)\n"
                                   "  hint: first hint wins\n");
}

static void clean_paths_as_go_does(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"", "."}, {"a//b/../c", "a/c"}, {"/../a/.", "/a"},
                                           {"../../x", "../../x"}, {"a/..", "."}, {"/", "/"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        own(str) struct str s = {0};
        fs_clean(sv_of(cases[i][0]), &s);
        assert_string_equal(str_z(&s), cases[i][1]);
    }
}

static void symlinks_cannot_leave_a_root(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(mkdir("r", 0755), 0);
    assert_int_equal(symlink("/etc", "r/abs"), 0);
    assert_int_equal(symlink("../../../../../../etc", "r/up"), 0);
    assert_int_equal(symlink("/real", "r/legal"), 0);
    own(fd) int fd = open("r", O_PATH | O_CLOEXEC);
    struct root root = {fd, "the test root"};
    own(str) struct str s = {0};
    ASSERT_FAILS(fs_in_read(&root, "abs/passwd", 100000, &s, &e), "ENOENT");
    ASSERT_FAILS(fs_in_read(&root, "up/passwd", 100000, &s, &e), "ENOENT");
    ASSERT_FAILS(fs_in_read(&root, "../../etc/passwd", 100000, &s, &e), "ENOENT");
    own(fd) int made = -1;
    ASSERT_OK(fs_in_mkdirs(&root, "real/sub", 0755, NULL, &made, &e));
    own(fd) int through = fs_in_try(&root, "legal/sub", O_PATH, 0);  // the legal twin
    assert_true(through >= 0);
}

static void deep_and_closed_trees_are_removed(void **state)
{
    (void)state;
    struct err e;
    int at = open(".", O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(mkdirat(at, "d", 0700), 0);
        int next = openat(at, "d", O_RDONLY | O_CLOEXEC);
        close(at);
        at = next;
    }
    close(at);
    ASSERT_OK(fs_remove_tree(AT_FDCWD, "d", &e));
    assert_false(fs_exists(AT_FDCWD, "d"));
    ASSERT_OK(fs_remove_tree(AT_FDCWD, "never-there", &e));
}

static int failing(void *arg, struct err *e)
{
    err_set(e, ERR_INPUT, "from the worker %s", (const char *)arg);
    return err_wrap(e, "outer");
}

static void a_worker_hands_its_whole_error_back(void **state)
{
    (void)state;
    struct err e;
    struct proc_worker w;
    char name[] = "seven";
    ASSERT_OK(proc_worker_start(failing, name, &w, &e));
    ASSERT_FAILS(proc_worker_wait(&w, &e), "from the worker seven");
}

static int remove_it(void *arg, struct err *e)
{
    return fs_remove_tree(AT_FDCWD, arg, e);
}

// As two commands do that meet the same rubbish.
static void a_tree_is_removed_by_two_at_once(void **state)
{
    (void)state;
    struct err e;
    char name[] = "both", path[64];
    for (int round = 0; round < 40; round++) {
        struct proc_worker w;
        assert_int_equal(mkdir(name, 0755), 0);
        for (int i = 0; i < 60; i++) {
            snprintf(path, sizeof path, "both/%d", i);
            assert_int_equal(mkdir(path, 0755), 0);
            snprintf(path, sizeof path, "both/%d/below", i);
            assert_int_equal(mkdir(path, 0755), 0);
        }
        ASSERT_OK(proc_worker_start(remove_it, name, &w, &e));
        ASSERT_OK(fs_remove_tree(AT_FDCWD, name, &e));
        ASSERT_OK(proc_worker_wait(&w, &e));
        assert_int_equal(access(name, F_OK), -1);
    }
}

static void a_missing_program_is_reported_by_name(void **state)
{
    (void)state;
    struct err e;
    const char *argv[] = {"/no/such/program", NULL};
    struct proc_spec spec = {.argv = argv};
    ASSERT_FAILS(proc_run(&spec, "trying", &e), "ENOENT");
}

static void signals_have_the_kernels_numbers(void **state)
{
    static const struct {
        const char *text;
        int number;
    } rows[] = {{"SIGHUP", 1},   {"term", 15},      {"SigWinch", 28}, {"SIGSYS", 31},  {"IOT", 6},
                {"POLL", 29},    {"CLD", 17},       {"9", 9},         {"64", 64},      {"RTMIN", 34},
                {"RTMIN+3", 37}, {"sigrtmin+0", 34}, {"SIGRTMAX-1", 63}, {"RTMAX", 64}, {"RTMIN+30", 64},
                {"", -1},        {"SIG", -1},       {"0", -1},        {"65", -1},      {"-1", -1},
                {"NOPE", -1},    {"RTMIN+31", -1},  {"RTMIN-1", -1},  {"RTMAX+1", -1}, {"RTMIN+", -1}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(signals_number(sv_of(rows[i].text)), rows[i].number);
}

RUN_TESTS("base", TEST(signals_have_the_kernels_numbers), TEST(numbers_refuse_signs_blanks_and_wrap),
          TEST(memory_prints_as_docker_prints_it),
          TEST(sizes_and_durations_read_as_docker_reads_them), TEST(times_print_and_parse_back),
          TEST(outside_text_is_escaped_for_terminals), TEST(maps_iterate_in_key_order),
          TEST(errors_print_from_command_to_cause), TEST(clean_paths_as_go_does),
          TEST(symlinks_cannot_leave_a_root), TEST(deep_and_closed_trees_are_removed),
          TEST(a_tree_is_removed_by_two_at_once),
          TEST(a_worker_hands_its_whole_error_back), TEST(a_missing_program_is_reported_by_name))
