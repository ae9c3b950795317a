// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"
#include "runtime/health.h"
#include "runtime/keys.h"
#include "runtime/life.h"
#include "runtime/log.h"
#include "runtime/logs.h"
#include "runtime/restart.h"
#include "runtime/state.h"

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
        enum runtime_restart policy;
        int max, restarts, code;
        bool stopped, again, boot;
    } rows[] = {
        {RUNTIME_RESTART_NO, 0, 0, 1, false, false, false},
        {RUNTIME_RESTART_ALWAYS, 0, 0, 0, false, true, true},
        {RUNTIME_RESTART_ALWAYS, 0, 0, 1, true, false, true},
        {RUNTIME_RESTART_UNLESS_STOPPED, 0, 5, 0, false, true, true},
        {RUNTIME_RESTART_UNLESS_STOPPED, 0, 0, 0, true, false, false},
        {RUNTIME_RESTART_ON_FAILURE, 0, 9, 1, false, true, true},
        {RUNTIME_RESTART_ON_FAILURE, 0, 0, 0, false, false, false},
        {RUNTIME_RESTART_ON_FAILURE, 3, 2, 1, false, true, true},
        {RUNTIME_RESTART_ON_FAILURE, 3, 3, 1, false, false, false},
        {RUNTIME_RESTART_ON_FAILURE, 0, 0, 1, true, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct runtime_config c = {.restart = rows[i].policy, .restart_max = rows[i].max};
        struct runtime_state s = {
            .code = rows[i].code, .restarts = rows[i].restarts, .stopped = rows[i].stopped};
        assert_int_equal(restart_wanted(&c, &s), rows[i].again);
        assert_int_equal(restart_at_boot(&c, &s, true), rows[i].boot);
    }
}

static void probes_are_judged_with_retries_and_a_start_period(void **state)
{
    (void)state;
    struct runtime_config c = {0};
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
    struct runtime_state s = {.health = RUNTIME_HEALTH_STARTING};
    assert_int_equal(health_pause(&h, 0, s.health) / MS, 5000);
    for (int i = 0; i < 9; i++) health_judge(&h, 9999 * MS, false, &s);
    assert_int_equal(s.health, RUNTIME_HEALTH_STARTING);
    health_judge(&h, 10000 * MS, false, &s);
    health_judge(&h, 10000 * MS, false, &s);
    assert_int_equal(s.health, RUNTIME_HEALTH_STARTING);
    health_judge(&h, 10000 * MS, false, &s);
    assert_int_equal(s.health, RUNTIME_HEALTH_UNHEALTHY);
    assert_int_equal(health_pause(&h, 0, s.health) / MS, 30000);
    health_judge(&h, 0, true, &s);
    assert_int_equal(s.health, RUNTIME_HEALTH_HEALTHY);
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

// --- log records -------------------------------------------------------------------------------

static void a_record_reads_back_as_it_was_written(void **state)
{
    (void)state;
    static const char *const texts[] = {"plain\n",        "",
                                        "no end",         "tab\tquote\"back\\slash\n",
                                        "\x01\x1f\x7f\n", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\n"};
    for (int driver = 0; driver < LOG_NONE; driver++)
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
            own(str) struct str out = {0}, store = {0};
            bool ends = strchr(texts[i], '\n') != NULL, ok = false;
            struct log_record in = {(int)i & 1, !ends, 1686355200123456789, sv_of(texts[i])}, back;
            log_record_print(driver, &in, &out);
            for (size_t cut = 0; cut < out.n; cut++) // torn at any byte: not whole yet
                assert_int_equal(
                    log_record_parse(driver, sv_part(str_sv(&out), 0, cut), &store, &back, &ok), 0);
            assert_int_equal(log_record_parse(driver, str_sv(&out), &store, &back, &ok), out.n);
            assert_true(ok);
            assert_true(sv_eq(back.text, in.text));
            assert_int_equal(back.stream, in.stream);
            assert_int_equal(back.time_ns, in.time_ns);
            assert_int_equal(back.partial, in.partial);
        }
}

static void json_records_have_dockers_form(void **state)
{
    (void)state;
    own(str) struct str out = {0};
    struct log_record r = {LOG_STDERR, false, 1686355200000000001, SV("a\xff<\n")};
    log_record_print(LOG_JSON, &r, &out);
    assert_string_equal(out.p, "{\"log\":\"a\\ufffd<\\n\",\"stream\":\"stderr\","
                               "\"time\":\"2023-06-10T00:00:00.000000001Z\"}\n");
}

static int open_here(void)
{
    return open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static size_t read_back(struct log_reader *r, struct str *out)
{
    struct log_record rec;
    struct err e = {0};
    size_t n = 0;
    while (log_reader_next(r, &rec, &e) > 0) {
        str_add(out, rec.text);
        n++;
    }
    return n;
}

static void long_lines_are_split_and_the_last_one_needs_no_end(void **state)
{
    (void)state;
    for (int driver = 0; driver < LOG_NONE; driver++) {
        own(fd) int here = open_here();
        struct err e = {0};
        struct log_writer w;
        struct log_options o = {driver, 0, 1};
        own(free) char *big = mem_alloc(40001);
        memset(big, 'x', 40000);
        ASSERT_OK(log_writer_open(&w, &o, here, &e));
        ASSERT_OK(log_writer_add(&w, 0, SV("one\ntw"), 1, &e));
        ASSERT_OK(log_writer_add(&w, 1, SV("err\n"), 2, &e));
        ASSERT_OK(log_writer_add(&w, 0, SV("o\n"), 3, &e));
        ASSERT_OK(log_writer_add(&w, 0, sv_of(big), 4, &e));
        ASSERT_OK(log_writer_flush(&w, 5, &e));
        log_writer_close(&w);
        struct log_reader r;
        own(str) struct str text = {0}, want = {0};
        ASSERT_OK(log_reader_open(&r, driver, here, &e));
        assert_int_equal(read_back(&r, &text), 6); // one, err, two, 16 KiB, 16 KiB, the rest
        str_addf(&want, "one\nerr\ntwo\n%s", big);
        assert_string_equal(text.p, want.p);
        log_reader_close(&r);
        ASSERT_OK(fs_remove_tree(here, "log", &e));
    }
}

static void rotation_bounds_the_size_and_a_follower_misses_nothing(void **state)
{
    (void)state;
    own(fd) int here = open_here();
    struct err e = {0};
    struct log_writer w;
    struct log_options o = {LOG_JSON, 4096, 3};
    struct log_reader r;
    own(str) struct str text = {0}, want = {0};
    ASSERT_OK(log_writer_open(&w, &o, here, &e));
    ASSERT_OK(log_reader_open(&r, LOG_JSON, here, &e));
    for (int i = 0; i < 2000; i++) {
        own(free) char *line = str_fmt("line %d\n", i);
        str_addz(&want, line);
        ASSERT_OK(log_writer_add(&w, 0, sv_of(line), i, &e));
        if (i % 37 == 0) read_back(&r, &text);
    }
    read_back(&r, &text);
    assert_string_equal(text.p, want.p);
    log_reader_close(&r);
    own(strv) struct strv names = {0};
    struct stat st;
    ASSERT_OK(fs_list(here, "log", &names, &e));
    assert_int_equal(names.n, 3);
    for (size_t i = 0; i < names.n; i++) {
        own(free) char *path = str_fmt("log/%s", names.p[i]);
        assert_int_equal(fstatat(here, path, &st, 0), 0);
        assert_true(st.st_size <= 4096);
    }
    log_writer_close(&w);
}

static void the_last_lines_are_found_across_files(void **state)
{
    (void)state;
    for (int driver = 0; driver < LOG_NONE; driver++) {
        own(fd) int here = open_here();
        struct err e = {0};
        struct log_writer w;
        struct log_options o = {driver, 4096, 5};
        ASSERT_OK(log_writer_open(&w, &o, here, &e));
        for (int i = 0; i < 300; i++) {
            own(free) char *line = str_fmt("%d\n", i);
            ASSERT_OK(log_writer_add(&w, 0, sv_of(line), i, &e));
        }
        log_writer_close(&w);
        static const uint64_t wanted[] = {0, 1, 2, 70, 130};
        for (size_t i = 0; i < 5; i++) {
            struct log_reader r;
            own(str) struct str text = {0}, want = {0};
            ASSERT_OK(log_reader_open(&r, driver, here, &e));
            ASSERT_OK(log_reader_tail(&r, wanted[i], &e));
            assert_int_equal(read_back(&r, &text), wanted[i]);
            for (uint64_t k = 300 - wanted[i]; k < 300; k++) str_addf(&want, "%d\n", (int)k);
            assert_string_equal(str_z(&text), str_z(&want));
            log_reader_close(&r);
        }
        ASSERT_OK(fs_remove_tree(here, "log", &e));
    }
}

static void damaged_records_are_skipped(void **state)
{
    (void)state;
    own(fd) int here = open_here();
    struct err e = {0};
    struct log_writer w;
    struct log_options o = {LOG_JSON, 0, 1};
    ASSERT_OK(log_writer_open(&w, &o, here, &e));
    ASSERT_OK(log_writer_add(&w, 0, SV("one\n"), 1, &e));
    assert_true(write(w.fd, "{\"log\":\"tor\nrubbish\n", 20) == 20);
    ASSERT_OK(log_writer_add(&w, 0, SV("two\n"), 1, &e));
    log_writer_close(&w);
    struct log_reader r;
    own(str) struct str text = {0};
    ASSERT_OK(log_reader_open(&r, LOG_JSON, here, &e));
    assert_int_equal(read_back(&r, &text), 2);
    assert_string_equal(text.p, "one\ntwo\n");
    log_reader_close(&r);
}

// --- texts -------------------------------------------------------------------------------------

static void signals_have_names_and_numbers(void **state)
{
    (void)state;
    assert_int_equal(runtime_signal_number("9"), 9);
    assert_int_equal(runtime_signal_number("sigterm"), 15);
    assert_int_equal(runtime_signal_number("HUP"), 1);
    assert_int_equal(runtime_signal_number("RTMIN+3"), 37);
    assert_int_equal(runtime_signal_number("0"), -1);
    assert_int_equal(runtime_signal_number("65"), -1);
    assert_int_equal(runtime_signal_number("NOPE"), -1);
    assert_int_equal(runtime_signal_number(""), -1);
}

static void log_options_are_checked(void **state)
{
    (void)state;
    struct err e = {0};
    struct log_options o;
    struct runtime_config c = {0};
    ASSERT_OK(log_options_read(&c, &o, &e));
    assert_int_equal(o.max_size, 20 << 20);
    assert_int_equal(o.max_file, 5);
    strv_add(&c.log_opts, "max-file=0");
    ASSERT_FAILS(log_options_read(&c, &o, &e), "max-file");
    strv_fini(&c.log_opts);
    strv_add(&c.log_opts, "colour=red");
    ASSERT_FAILS(log_options_read(&c, &o, &e), "unknown log opt 'colour' for json-file");
    strv_fini(&c.log_opts);
    c.log_driver = str_dup("syslog");
    ASSERT_FAILS(log_options_read(&c, &o, &e), "no log driver named 'syslog'");
    free(c.log_driver);
}

static void a_config_reads_back_as_it_was_written(void **state)
{
    (void)state;
    struct err e = {0};
    own(runtime_config) struct runtime_config c = {.stop_timeout = 0}, back = {0};
    own(str) struct str text = {0}, again = {0};
    memset(c.brief.id, 'a', 64);
    snprintf(c.brief.name, sizeof c.brief.name, "name");
    c.brief.image = str_dup("busybox");
    c.brief.image_id = str_dup("sha256:0");
    c.brief.command = str_dup("sh -c \"x\"");
    c.brief.created = 5;
    strv_add(&c.args, "sh");
    strv_add(&c.env, "A=b");
    c.restart = RUNTIME_RESTART_ON_FAILURE;
    c.restart_max = 3;
    c.labels.free_value = free;
    map_set(&c.labels, "k=x", str_dup("v"));
    struct runtime_volume *v = vec_add(&c.volumes);
    v->type = str_dup("bind");
    v->source = str_dup("/a");
    v->target = str_dup("/b");
    v->readonly = true;
    c.health.set = true;
    strv_add(&c.health.test, "CMD");
    runtime_config_print(&c, &text);
    ASSERT_OK(runtime_config_parse(str_sv(&text), "x", &back, &e));
    runtime_config_print(&back, &again);
    assert_string_equal(text.p, again.p);
    assert_int_equal(back.stop_timeout, 0);
    assert_int_equal(back.restart_max, 3);
    assert_string_equal(map_get(&back.labels, "k=x"), "v");
    assert_true(back.volumes.p[0].readonly);
    struct runtime_config bad;
    ASSERT_FAILS(runtime_config_parse(SV("{\"id\":\"short\"}\n{}\n"), "x", &bad, &e), "not a");
    ASSERT_FAILS(runtime_config_parse(SV("{}"), "x", &bad, &e), "second line");
}

static void a_state_reads_back_as_it_was_written(void **state)
{
    (void)state;
    struct err e = {0};
    struct runtime_state s = {.status = RUNTIME_PAUSED,
                              .pid = 12,
                              .pid_start = 99,
                              .code = 3,
                              .stopped = true,
                              .restarts = 2,
                              .health = RUNTIME_HEALTH_UNHEALTHY,
                              .error = "x \"y\"",
                              .boot = "b"},
                         back;
    own(str) struct str text = {0};
    runtime_state_print(&s, &text);
    ASSERT_OK(runtime_state_parse(str_sv(&text), "x", &back, &e));
    assert_memory_equal(&s, &back, sizeof s);
    ASSERT_OK(runtime_state_parse(SV("{\"pid\":-1,\"status\":\"odd\"}"), "x", &back, &e));
    assert_int_equal(back.pid, 0);
    ASSERT_FAILS(runtime_state_parse(SV("{\"pid\":"), "x", &back, &e), "x");
}

static void times_are_dates_numbers_or_ago(void **state)
{
    (void)state;
    struct err e = {0};
    int64_t ns;
    ASSERT_OK(runtime_time_parse("2023-06-10T00:00:00.5Z", &ns, &e));
    assert_int_equal(ns, 1686355200500000000);
    ASSERT_OK(runtime_time_parse("1686355200.25", &ns, &e));
    assert_int_equal(ns, 1686355200250000000);
    ASSERT_OK(runtime_time_parse("10m", &ns, &e));
    ASSERT_OK(runtime_time_parse("2023-06-10", &ns, &e));
    ASSERT_FAILS(runtime_time_parse("yesterday", &ns, &e), "invalid time");
}

RUN_TESTS("runtime/life", TEST(the_pause_doubles_up_to_a_minute_and_a_steady_run_resets_it),
          TEST(policies_decide_as_dockers_do),
          TEST(probes_are_judged_with_retries_and_a_start_period),
          TEST(a_beginning_of_the_detach_keys_is_held_back_and_then_passed_on),
          TEST(a_record_reads_back_as_it_was_written), TEST(json_records_have_dockers_form),
          TEST(long_lines_are_split_and_the_last_one_needs_no_end),
          TEST(rotation_bounds_the_size_and_a_follower_misses_nothing),
          TEST(the_last_lines_are_found_across_files), TEST(damaged_records_are_skipped),
          TEST(signals_have_names_and_numbers), TEST(log_options_are_checked),
          TEST(a_config_reads_back_as_it_was_written), TEST(a_state_reads_back_as_it_was_written),
          TEST(times_are_dates_numbers_or_ago))
