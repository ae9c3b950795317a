// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "record/state.h"

static void a_config_reads_back_as_it_was_written(void **state)
{
    (void)state;
    struct err e = {0};
    own(record_config) struct record_config c = {.stop_timeout = 0}, back = {0};
    own(str) struct str text = {0}, again = {0};
    memset(c.brief.id, 'a', 64);
    snprintf(c.brief.name, sizeof c.brief.name, "name");
    c.brief.image = str_dup("busybox");
    c.brief.image_id = str_dup("sha256:0");
    c.brief.command = str_dup("sh -c \"x\"");
    c.brief.created = 5;
    strv_add(&c.args, "sh");
    strv_add(&c.env, "A=b");
    c.restart = RECORD_RESTART_ON_FAILURE;
    c.restart_max = 3;
    c.labels.free_value = free;
    map_set(&c.labels, "k=x", str_dup("v"));
    struct record_mount *v = vec_add(&c.volumes);
    v->type = str_dup("bind");
    v->source = str_dup("/a");
    v->target = str_dup("/b");
    v->readonly = true;
    c.health.set = true;
    strv_add(&c.health.test, "CMD");
    record_config_print(&c, &text);
    ASSERT_OK(record_config_parse(str_sv(&text), "x", &back, &e));
    record_config_print(&back, &again);
    assert_string_equal(text.p, again.p);
    assert_int_equal(back.stop_timeout, 0);
    assert_int_equal(back.restart_max, 3);
    assert_string_equal(map_get(&back.labels, "k=x"), "v");
    assert_true(back.volumes.p[0].readonly);
    struct record_config bad;
    ASSERT_FAILS(record_config_parse(SV("{\"id\":\"short\"}\n{}\n"), "x", &bad, &e), "not a");
    ASSERT_FAILS(record_config_parse(SV("{}"), "x", &bad, &e), "second line");
}

static void a_state_reads_back_as_it_was_written(void **state)
{
    (void)state;
    struct err e = {0};
    struct record_state s = {.status = RECORD_PAUSED,
                             .pid = 12,
                             .pid_start = 99,
                             .code = 3,
                             .stopped = true,
                             .restarts = 2,
                             .health = RECORD_HEALTH_UNHEALTHY,
                             .error = "x \"y\"",
                             .boot = "b"},
                        back;
    own(str) struct str text = {0};
    record_state_print(&s, &text);
    ASSERT_OK(record_state_parse(str_sv(&text), "x", &back, &e));
    assert_memory_equal(&s, &back, sizeof s);
    ASSERT_OK(record_state_parse(SV("{\"pid\":-1,\"status\":\"odd\"}"), "x", &back, &e));
    assert_int_equal(back.pid, 0);
    ASSERT_FAILS(record_state_parse(SV("{\"pid\":"), "x", &back, &e), "x");
}

RUN_TESTS("record/config", TEST(a_config_reads_back_as_it_was_written),
          TEST(a_state_reads_back_as_it_was_written))
