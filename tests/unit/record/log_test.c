// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"
#include "record/log.h"
#include "record/logs.h"
#include "record/state.h"

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
            struct record_log_entry in = {(int)i & 1, !ends, 1686355200123456789, sv_of(texts[i])},
                                    back;
            record_log_print(driver, &in, &out);
            for (size_t cut = 0; cut < out.n; cut++) // torn at any byte: not whole yet
                assert_int_equal(
                    record_log_parse(driver, sv_part(str_sv(&out), 0, cut), &store, &back, &ok), 0);
            assert_int_equal(record_log_parse(driver, str_sv(&out), &store, &back, &ok), out.n);
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
    struct record_log_entry r = {LOG_STDERR, false, 1686355200000000001, SV("a\xff<\n")};
    record_log_print(LOG_JSON, &r, &out);
    assert_string_equal(out.p, "{\"log\":\"a\\ufffd<\\n\",\"stream\":\"stderr\","
                               "\"time\":\"2023-06-10T00:00:00.000000001Z\"}\n");
}

static void what_stands_beside_a_line_is_read_back(void **state)
{
    (void)state;
    own(str) struct str out = {0}, store = {0};
    struct record_log_entry back, r = {.stream = LOG_STDOUT, .text = SV("x\n"),
                                       .attrs = SV("{\"a\":\"}\\\"\",\"b\":\"2\"}")};
    bool ok;
    record_log_print(LOG_JSON, &r, &out);
    assert_non_null(strstr(out.p, "\"stream\":\"stdout\",\"attrs\":{\"a\":\"}\\\"\",\"b\":\"2\"},\"time\":"));
    assert_int_equal(record_log_parse(LOG_JSON, str_sv(&out), &store, &back, &ok), out.n);
    assert_true(ok);
    assert_true(sv_eq(back.attrs, r.attrs));
    assert_true(sv_eq(back.text, r.text));
    for (size_t cut = 1; cut < 60; cut++) { // a damaged one is no other record
        own(str) struct str torn = {0};
        str_add(&torn, sv_part(str_sv(&out), 0, out.n - 1 - cut));
        str_addc(&torn, '\n');
        record_log_parse(LOG_JSON, str_sv(&torn), &store, &back, &ok);
        assert_false(ok);
    }
}

// Text is looked through eight bytes at a time: what is special must be seen at each place of them.
static void every_byte_is_seen_wherever_it_stands(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++)
        for (size_t at = 0; at < 17; at++) {
            char text[] = "the quick brown f\n";
            own(str) struct str out = {0}, store = {0};
            bool ok;
            text[at] = (char)c;
            struct record_log_entry in = {LOG_STDOUT, false, 1, {text, sizeof text - 1}}, back;
            record_log_print(LOG_JSON, &in, &out);
            for (size_t i = 0; i + 1 < out.n; i++)
                assert_in_range((unsigned char)out.p[i], 0x20, 0x7e);
            assert_int_equal(record_log_parse(LOG_JSON, str_sv(&out), &store, &back, &ok), out.n);
            if (c < 0x80) assert_true(sv_eq(back.text, in.text));
            if (c >= 0x80) assert_int_equal(back.text.n, in.text.n + 2); // U+FFFD
        }
}

static int open_here(void);

// 400 lines of every length around the sizes that are treated at once, with every byte in them.
static void add_lines(struct str *out, struct str *want)
{
    static const char odd[] = "\"\\\t\x7f\xc3\xa4\xff";
    for (unsigned i = 0; i < 400; i++) {
        size_t from = out->n, n = i < 330 ? i % 66 : LOG_LINE - 4 + i % 3;
        for (size_t k = 0; k < n; k++)
            str_addc(out, (i * 31 + k * 7) % 41 < i % 4 ? odd[(i + k) % 7] : (char)('a' + (i + k) % 26));
        str_addc(out, '\n');
        struct record_log_entry rec = {LOG_STDERR, false, 7, sv_from(str_sv(out), from)};
        record_log_print(LOG_JSON, &rec, want);
    }
}

// Many lines at a time are written as each of them is alone, however they come in.
static void lines_are_written_together_as_each_alone(void **state)
{
    (void)state;
    static const size_t steps[] = {1 << 20, 65536, 4099, 17};
    own(str) struct str text = {0}, want = {0};
    add_lines(&text, &want);
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
        own(fd) int here = open_here();
        own(str) struct str got = {0};
        struct err e = {0};
        struct record_log_writer w;
        struct record_log_options o = {LOG_JSON, 0, 1};
        ASSERT_OK(record_log_writer_open(&w, &o, here, &e));
        for (struct sv rest = str_sv(&text); rest.n;) {
            size_t n = rest.n < steps[s] ? rest.n : steps[s];
            ASSERT_OK(record_log_writer_add(&w, LOG_STDERR, sv_part(rest, 0, n), 7, &e));
            rest = sv_from(rest, n);
        }
        record_log_writer_close(&w);
        ASSERT_OK(fs_read_at(here, "log/" LOG_NAME, 64 << 20, &got, &e));
        assert_true(sv_eq(str_sv(&got), str_sv(&want)));
        ASSERT_OK(fs_remove_tree(here, "log", &e));
    }
}

static int open_here(void)
{
    return open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static size_t read_back(struct record_log_reader *r, struct str *out)
{
    struct record_log_entry rec;
    struct err e = {0};
    size_t n = 0;
    while (record_log_reader_next(r, &rec, &e) > 0) {
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
        struct record_log_writer w;
        struct record_log_options o = {driver, 0, 1};
        own(free) char *big = mem_alloc(40001);
        memset(big, 'x', 40000);
        ASSERT_OK(record_log_writer_open(&w, &o, here, &e));
        ASSERT_OK(record_log_writer_add(&w, 0, SV("one\ntw"), 1, &e));
        ASSERT_OK(record_log_writer_add(&w, 1, SV("err\n"), 2, &e));
        ASSERT_OK(record_log_writer_add(&w, 0, SV("o\n"), 3, &e));
        ASSERT_OK(record_log_writer_add(&w, 0, sv_of(big), 4, &e));
        ASSERT_OK(record_log_writer_flush(&w, 5, &e));
        record_log_writer_close(&w);
        struct record_log_reader r;
        own(str) struct str text = {0}, want = {0};
        ASSERT_OK(record_log_reader_open(&r, driver, here, &e));
        assert_int_equal(read_back(&r, &text), 6); // one, err, two, 16 KiB, 16 KiB, the rest
        str_addf(&want, "one\nerr\ntwo\n%s", big);
        assert_string_equal(text.p, want.p);
        record_log_reader_close(&r);
        ASSERT_OK(fs_remove_tree(here, "log", &e));
    }
}

static void rotation_bounds_the_size_and_a_follower_misses_nothing(void **state)
{
    (void)state;
    own(fd) int here = open_here();
    struct err e = {0};
    struct record_log_writer w;
    struct record_log_options o = {LOG_JSON, 4096, 3};
    struct record_log_reader r;
    own(str) struct str text = {0}, want = {0};
    ASSERT_OK(record_log_writer_open(&w, &o, here, &e));
    ASSERT_OK(record_log_reader_open(&r, LOG_JSON, here, &e));
    for (int i = 0; i < 2000; i++) {
        own(free) char *line = str_fmt("line %d\n", i);
        str_addz(&want, line);
        ASSERT_OK(record_log_writer_add(&w, 0, sv_of(line), i, &e));
        if (i % 37 == 0) read_back(&r, &text);
    }
    read_back(&r, &text);
    assert_string_equal(text.p, want.p);
    record_log_reader_close(&r);
    own(strv) struct strv names = {0};
    struct stat st;
    ASSERT_OK(fs_list(here, "log", &names, &e));
    assert_int_equal(names.n, 3);
    for (size_t i = 0; i < names.n; i++) {
        own(free) char *path = str_fmt("log/%s", names.p[i]);
        assert_int_equal(fstatat(here, path, &st, 0), 0);
        assert_true(st.st_size <= 4096);
    }
    record_log_writer_close(&w);
}

static void the_last_lines_are_found_across_files(void **state)
{
    (void)state;
    for (int driver = 0; driver < LOG_NONE; driver++) {
        own(fd) int here = open_here();
        struct err e = {0};
        struct record_log_writer w;
        struct record_log_options o = {driver, 4096, 5};
        ASSERT_OK(record_log_writer_open(&w, &o, here, &e));
        for (int i = 0; i < 300; i++) {
            own(free) char *line = str_fmt("%d\n", i);
            ASSERT_OK(record_log_writer_add(&w, 0, sv_of(line), i, &e));
        }
        record_log_writer_close(&w);
        static const uint64_t wanted[] = {0, 1, 2, 70, 130};
        for (size_t i = 0; i < 5; i++) {
            struct record_log_reader r;
            own(str) struct str text = {0}, want = {0};
            ASSERT_OK(record_log_reader_open(&r, driver, here, &e));
            ASSERT_OK(record_log_reader_tail(&r, wanted[i], &e));
            assert_int_equal(read_back(&r, &text), wanted[i]);
            for (uint64_t k = 300 - wanted[i]; k < 300; k++) str_addf(&want, "%d\n", (int)k);
            assert_string_equal(str_z(&text), str_z(&want));
            record_log_reader_close(&r);
        }
        ASSERT_OK(fs_remove_tree(here, "log", &e));
    }
}

static void damaged_records_are_skipped(void **state)
{
    (void)state;
    own(fd) int here = open_here();
    struct err e = {0};
    struct record_log_writer w;
    struct record_log_options o = {LOG_JSON, 0, 1};
    ASSERT_OK(record_log_writer_open(&w, &o, here, &e));
    ASSERT_OK(record_log_writer_add(&w, 0, SV("one\n"), 1, &e));
    assert_true(write(w.fd, "{\"log\":\"tor\nrubbish\n", 20) == 20);
    ASSERT_OK(record_log_writer_add(&w, 0, SV("two\n"), 1, &e));
    record_log_writer_close(&w);
    struct record_log_reader r;
    own(str) struct str text = {0};
    ASSERT_OK(record_log_reader_open(&r, LOG_JSON, here, &e));
    assert_int_equal(read_back(&r, &text), 2);
    assert_string_equal(text.p, "one\ntwo\n");
    record_log_reader_close(&r);
}

static void log_options_are_checked(void **state)
{
    (void)state;
    struct err e = {0};
    struct record_log_options o;
    struct record_config c = {0};
    ASSERT_OK(record_log_options_read(&c, &o, &e));
    assert_int_equal(o.max_size, 20 << 20);
    assert_int_equal(o.max_file, 5);
    strv_add(&c.log_opts, "max-file=0");
    ASSERT_FAILS(record_log_options_read(&c, &o, &e), "max-file");
    strv_fini(&c.log_opts);
    strv_add(&c.log_opts, "colour=red");
    ASSERT_FAILS(record_log_options_read(&c, &o, &e), "unknown log opt 'colour' for json-file");
    strv_fini(&c.log_opts);
    c.log_driver = str_dup("syslog");
    ASSERT_FAILS(record_log_options_read(&c, &o, &e), "no log driver named 'syslog'");
    free(c.log_driver);
}

static void times_are_dates_numbers_or_ago(void **state)
{
    (void)state;
    struct err e = {0};
    int64_t ns;
    ASSERT_OK(record_time_parse("2023-06-10T00:00:00.5Z", &ns, &e));
    assert_int_equal(ns, 1686355200500000000);
    ASSERT_OK(record_time_parse("1686355200.25", &ns, &e));
    assert_int_equal(ns, 1686355200250000000);
    ASSERT_OK(record_time_parse("10m", &ns, &e));
    ASSERT_OK(record_time_parse("2023-06-10", &ns, &e));
    ASSERT_FAILS(record_time_parse("yesterday", &ns, &e), "invalid time");
}

RUN_TESTS("record/log", TEST(a_record_reads_back_as_it_was_written),
          TEST(every_byte_is_seen_wherever_it_stands), TEST(lines_are_written_together_as_each_alone),
          TEST(json_records_have_dockers_form),
          TEST(what_stands_beside_a_line_is_read_back),
          TEST(long_lines_are_split_and_the_last_one_needs_no_end),
          TEST(rotation_bounds_the_size_and_a_follower_misses_nothing),
          TEST(the_last_lines_are_found_across_files), TEST(damaged_records_are_skipped),
          TEST(log_options_are_checked), TEST(times_are_dates_numbers_or_ago))
