// SPDX-License-Identifier: Apache-2.0
// Looking from outside: what the kernel and ps say, read; and the texts of the boot hook.
#include "container/watch.h"

#include <math.h>
#include <string.h>

#include "base/own.h"
#include "container/procs.h"
#include "container/service.h"
#include "harness.h"

static void a_line_of_proc_is_read_whatever_the_program_calls_itself(void **state)
{
    static const char *const good[] = {
        "7 (sh) S 3 7 7 0 -1 4194304 1 2 3 4 10 20 300 4000 20 0 5 0 99 1 2",
        "7 (a) S 1 2) R 3 7 7 0 -1 4194304 1 2 3 4 10 20 300 4000 20 0 5 0 99 1 2",
    };
    static const char *const bad[] = {"", "7", "7 (sh)", "7 (sh) S", "7 (sh) S 3 7 7 0 -1 4 1 2 3 4",
                                      "7 (sh) S x 7 7 0 -1 4194304 1 2 3 4 10 20 300 4000 20 0 5"};
    struct container_proc p;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(container_proc_parse(sv_of(good[i]), &p));
        assert_int_equal(p.parent, 3);
        assert_int_equal(p.ticks, 4330);
        assert_int_equal(p.threads, 5);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(container_proc_parse(sv_of(bad[i]), &p));
}

static bool is_seven(const void *arg, pid_t pid)
{
    (void)arg;
    return pid == 7;
}

static int top(const char *text, struct container_top *out, struct err *e)
{
    *out = (struct container_top){0};
    return container_top_parse(sv_of(text), is_seven, NULL, out, e);
}

static void lines_of_ps_are_chosen_by_their_numbers(void **state)
{
    struct container_top t;
    struct err e;
    (void)state;
    ASSERT_OK(top("UID  PID CMD\nroot 1 init\nroot 7 sleep 10  20\nroot 17 x\n\n", &t, &e));
    assert_int_equal(t.titles.n, 3);
    assert_int_equal(t.cells.n, 3);
    assert_string_equal(t.cells.p[2], "sleep 10  20");
    own_container_top(&t);
    // Threads follow the line of their process.
    ASSERT_OK(top("PID LWP CMD\n1 - init\n- 1 -\n7 - sh\n- 7 -\n- 8 -\n9 - x\n- 9 -", &t, &e));
    assert_int_equal(t.cells.n, 9);
    assert_string_equal(t.cells.p[7], "8");
    own_container_top(&t);
    // A line that is too short has empty cells.
    ASSERT_OK(top("PID TTY CMD\n7\n", &t, &e));
    assert_int_equal(t.cells.n, 3);
    assert_string_equal(t.cells.p[2], "");
    own_container_top(&t);
    assert_int_equal(top("CMD\nsh\n", &t, &e), -1);
    assert_string_equal(err_cause(&e), "couldn't find PID field in ps output");
    own_container_top(&t);
    assert_int_equal(top("PID CMD\nseven sh\n", &t, &e), -1);
    own_container_top(&t);
    assert_int_equal(top("", &t, &e), -1);
    own_container_top(&t);
}

static void devices_are_counted_without_the_loopback_one(void **state)
{
    static const char text[] =
        "Inter-|   Receive                    |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes packets errs\n"
        "    lo:    1000     10    0    0    0     0          0         0     1000      10  0\n"
        "  eth0: 5000 10    0    0    0     0          0         0     70      10    0\n"
        "eth1:30 10 0 0 0 0 0 0 4 1 0\n"
        "short: 1 2\n";
    uint64_t in, out;
    (void)state;
    container_usage_net(sv_of(text), &in, &out);
    assert_int_equal(in, 5031);
    assert_int_equal(out, 74);
    container_usage_net(SV(""), &in, &out);
    assert_int_equal(in + out, 0);
}

static void fields_of_the_kernels_tables_are_found_by_their_whole_name(void **state)
{
    uint64_t n = 0;
    (void)state;
    assert_true(container_usage_field(SV("total_a 1\na 2\n"), "a", &n));
    assert_int_equal(n, 2);
    assert_true(
        container_usage_field(SV("55 - 66 [rollup]\nRss:     10 kB\nPss:   7 kB\n"), "Pss", &n));
    assert_int_equal(n, 7);
    assert_false(container_usage_field(SV("ab 1\n"), "a", &n));
    assert_false(container_usage_field(SV("a\n"), "a", &n));
    assert_false(container_usage_field(SV("a -1\n"), "a", &n));
    assert_false(container_usage_field(SV(""), "a", &n));
}

static void a_processor_is_a_hundred_percent(void **state)
{
    struct container_usage a = {.running = true, .at_ns = 1000, .cpu_ns = 500}, b = a;
    (void)state;
    assert_true(fabs(container_usage_cpu(&a, &b)) < 0.01);
    b.at_ns = 3000;
    b.cpu_ns = 3500;
    assert_true(fabs(container_usage_cpu(&a, &b) - 150) < 0.01);
    b.cpu_ns = 400;  // it was started again
    assert_true(fabs(container_usage_cpu(&a, &b)) < 0.01);
    b.cpu_ns = 3500;
    a.running = false;
    assert_true(fabs(container_usage_cpu(&a, &b)) < 0.01);
}

static void words_of_a_unit_and_a_crontab_stand_for_themselves(void **state)
{
    static const struct {
        const char *store, *unit, *mounts, *cron;
    } rows[] = {
        {"/var/lib/dewar", "--store \"/var/lib/dewar\" ", "=\"/var/lib/dewar\"\n",
         "--store /var/lib/dewar "},
        {"/a b", "--store \"/a b\" ", "=\"/a b\"\n", "--store '/a b' "},
        {"/50%", "--store \"/50%%\" ", "=\"/50%%\"\n", "--store '/50\\%' "},
        {"/$HOME", "--store \"/$$HOME\" ", "=\"/$HOME\"\n", "--store '/$HOME' "},
        {"/a\"\\", "--store \"/a\\\"\\\\\" ", "=\"/a\\\"\\\\\"\n", "--store '/a\"\\' "},
        {"/it's", "--store \"/it's\" ", "=\"/it's\"\n", "--store '/it'\\''s' "},
        {"/a\nb", "--store \"/a\\x0ab\" ", "=\"/a\\x0ab\"\n", NULL}, // cron has no word for it
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct container_service_text t = {false, "/usr/bin/dewar", rows[i].store,
                                                 "/run/dewar"};
        own(str) struct str unit = {0};
        own(str) struct str cron = {0};
        container_service_unit(&t, &unit);
        container_service_cron(&t, &cron);
        assert_non_null(strstr(unit.p, rows[i].unit));
        assert_non_null(strstr(unit.p, rows[i].mounts));
        if (rows[i].cron)
            assert_non_null(strstr(cron.p, rows[i].cron));
        else
            assert_int_equal(cron.n, 0);
    }
    const struct container_service_text t = {true, "/usr/bin/dewar", "/s", "/r"};
    own(str) struct str unit = {0};
    container_service_unit(&t, &unit);
    assert_non_null(strstr(unit.p, "WantedBy=default.target\n"));
    assert_null(strstr(unit.p, "network-online"));
}

RUN_TESTS("container/watch", TEST(a_line_of_proc_is_read_whatever_the_program_calls_itself),
          TEST(lines_of_ps_are_chosen_by_their_numbers),
          TEST(devices_are_counted_without_the_loopback_one),
          TEST(fields_of_the_kernels_tables_are_found_by_their_whole_name),
          TEST(a_processor_is_a_hundred_percent),
          TEST(words_of_a_unit_and_a_crontab_stand_for_themselves))
