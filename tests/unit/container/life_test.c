// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include <stdio.h>
#include <string.h>

#include "base/fs.h"
#include "base/own.h"
#include "container/health.h"
#include "container/keys.h"
#include "container/life.h"
#include "container/restart.h"
#include "record/state.h"

#define MS ((int64_t)1000000)

// --- restart policies --------------------------------------------------------------------------

static void the_pause_doubles_up_to_a_minute_and_a_steady_run_resets_it(void **state)
{
    (void)state;
    static const int64_t want[] = {100,  200,   400,   800,   1600,  3200,
                                   6400, 12800, 25600, 51200, 60000, 60000};
    int64_t last = 0;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        last = restart_delay(last, 9999 * MS);
        assert_int_equal(last / MS, want[i]);
    }
    assert_int_equal(restart_delay(last, 10000 * MS) / MS, 100);
}

static void policies_decide_as_dockers_do(void **state)
{
    (void)state;
    static const struct {
        enum record_restart policy;
        int max, restarts, code;
        bool stopped, again, boot;
    } rows[] = {
        {RECORD_RESTART_NO, 0, 0, 1, false, false, false},
        {RECORD_RESTART_ALWAYS, 0, 0, 0, false, true, true},
        {RECORD_RESTART_ALWAYS, 0, 0, 1, true, false, true},
        {RECORD_RESTART_UNLESS_STOPPED, 0, 5, 0, false, true, true},
        {RECORD_RESTART_UNLESS_STOPPED, 0, 0, 0, true, false, false},
        {RECORD_RESTART_ON_FAILURE, 0, 9, 1, false, true, true},
        {RECORD_RESTART_ON_FAILURE, 0, 0, 0, false, false, false},
        {RECORD_RESTART_ON_FAILURE, 3, 2, 1, false, true, true},
        {RECORD_RESTART_ON_FAILURE, 3, 3, 1, false, false, false},
        {RECORD_RESTART_ON_FAILURE, 0, 0, 1, true, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct record_config c = {.restart = rows[i].policy, .restart_max = rows[i].max};
        struct record_state s = {
            .code = rows[i].code, .restarts = rows[i].restarts, .stopped = rows[i].stopped};
        assert_int_equal(restart_wanted(&c, &s), rows[i].again);
        assert_int_equal(restart_at_boot(&c, &s, true), rows[i].boot);
    }
}

static void probes_are_judged_with_retries_and_a_start_period(void **state)
{
    (void)state;
    struct record_config c = {0};
    struct oci_health h;
    assert_false(health_settings(&c, &h));
    c.health.set = true;
    strv_add(&c.health.test, "NONE");
    assert_false(health_settings(&c, &h));
    strv_fini(&c.health.test);
    strv_add(&c.health.test, "CMD");
    strv_add(&c.health.test, "x");
    assert_true(health_settings(&c, &h));
    assert_int_equal(h.retries, 3);
    assert_int_equal(h.interval_ns / MS, 30000);
    h.start_period_ns = 10000 * MS;
    struct record_state s = {.health = RECORD_HEALTH_STARTING};
    assert_int_equal(health_pause(&h, 0, s.health) / MS, 5000);
    for (int i = 0; i < 9; i++) health_judge(&h, 9999 * MS, false, &s);
    assert_int_equal(s.health, RECORD_HEALTH_STARTING);
    health_judge(&h, 10000 * MS, false, &s);
    health_judge(&h, 10000 * MS, false, &s);
    assert_int_equal(s.health, RECORD_HEALTH_STARTING);
    health_judge(&h, 10000 * MS, false, &s);
    assert_int_equal(s.health, RECORD_HEALTH_UNHEALTHY);
    assert_int_equal(health_pause(&h, 0, s.health) / MS, 30000);
    health_judge(&h, 0, true, &s);
    assert_int_equal(s.health, RECORD_HEALTH_HEALTHY);
    assert_int_equal(s.health_streak, 0);
    health_judge(&h, 0, false, &s); // the first success has ended the start period
    assert_int_equal(s.health_streak, 1);
    strv_fini(&c.health.test);
}

// --- detach keys -------------------------------------------------------------------------------

static bool type(struct keys *k, const char *text, char *out)
{
    size_t n, total = 0;
    for (; *text; text++) {
        if (keys_feed(k, *text, out + total, &n)) return true;
        total += n;
        out[total] = '\0';
    }
    return false;
}

static void a_beginning_of_the_detach_keys_is_held_back_and_then_passed_on(void **state)
{
    (void)state;
    struct keys k;
    struct err e = {0};
    char out[64] = "";
    ASSERT_OK(keys_parse(NULL, &k, &e));
    assert_false(type(&k, "a\x10", out));
    assert_string_equal(out, "a");
    assert_false(type(&k, "b", out));
    assert_string_equal(out, "\x10"
                             "b");
    assert_true(type(&k, "\x10\x11", out));
    ASSERT_OK(keys_parse("ctrl-],x", &k, &e));
    assert_true(type(&k, "\x1dx", out));
    ASSERT_OK(keys_parse("", &k, &e));
    assert_false(type(&k, "\x10\x11", out));
    ASSERT_FAILS(keys_parse("ctrl-1", &k, &e), "invalid detach keys");
    ASSERT_FAILS(keys_parse("a,,b", &k, &e), "invalid detach keys");
}

RUN_TESTS("container/life", TEST(the_pause_doubles_up_to_a_minute_and_a_steady_run_resets_it),
          TEST(policies_decide_as_dockers_do),
          TEST(probes_are_judged_with_retries_and_a_start_period),
          TEST(a_beginning_of_the_detach_keys_is_held_back_and_then_passed_on))
