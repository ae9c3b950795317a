// SPDX-License-Identifier: Apache-2.0
#include "build/gitrun.h"

#include "harness.h"

static void progress_of_git_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        uint64_t done, total;
    } rows[] = {
        {"Receiving objects:  45% (450/1000), 1.50 MiB | 2.00 MiB/s", 1572864, 3495253},
        {"Receiving objects: 100% (10/10), 3.00 KiB | 3.00 KiB/s, done.", 3072, 3072},
        {"Receiving objects:  50% (1/2), 12 bytes | 6 bytes/s", 12, 24},
        {"Receiving objects:   1% (1/100), 2.25 GiB | 1.00 MiB/s", 2415919104, 241591910400},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t done = 0, total = 0;
        assert_true(build_gitrun_progress(sv_of(rows[i].line), &done, &total));
        assert_int_equal(done, rows[i].done);
        assert_int_equal(total, rows[i].total);
    }
}

static void what_is_no_progress_is_left_alone(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "",
        "Receiving objects:",
        "Receiving objects: 100% (3/3), done.",
        "Receiving objects:  10% (0/10), 1.00 KiB | 1 bytes/s",
        "Receiving objects:  10% (11/10), 1.00 KiB | 1 bytes/s",
        "Receiving objects:  10% (1/10), 1.0 KiB | 1 bytes/s",
        "Receiving objects:  10% (1/10), 99999999999999999999 bytes | 1",
        "Receiving objects:  10% (1/10), -1 bytes | 1",
        "Receiving objects:  10% (1/x), 1 bytes | 1",
        "Resolving deltas:  10% (1/10), 1 bytes | 1",
        "remote: Receiving objects:  10% (1/10), 1 bytes | 1",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        uint64_t done = 7, total = 7;
        if (build_gitrun_progress(sv_of(lines[i]), &done, &total)) fail_msg("'%s'", lines[i]);
    }
}

RUN_TESTS("build/gitrun", TEST(progress_of_git_is_read), TEST(what_is_no_progress_is_left_alone))
