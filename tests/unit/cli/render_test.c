// SPDX-License-Identifier: Apache-2.0
// Renderers fed with events at times of our own: the text they make is compared whole.
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "cli/internal.h"
#include "harness.h"

#define MS ((int64_t)1000000)

static void give(struct cli_render *r, void (*event)(struct cli_render *, const struct event *),
                 enum event_kind kind, uint64_t id, const char *text, int64_t ms)
{
    struct event ev = {.kind = kind, .id = id, .time_ns = ms * MS, .stream = 1};
    if (kind == EVENT_START)
        ev.name = text;
    else
        ev.text = sv_of(text ? text : "");
    event(r, &ev);
}

// A small build: a cached step, two that run side by side, a warning, an escape in the output.
static void build(struct cli_render *r, void (*event)(struct cli_render *, const struct event *),
                  bool ok)
{
    give(r, event, EVENT_START, 7, "[1/3] FROM debian", 0);
    give(r, event, EVENT_CACHED, 7, NULL, 0);
    give(r, event, EVENT_START, 8, "[2/3] RUN make", 100);
    give(r, event, EVENT_START, 9, "[other 1/1] RUN <<EOF\nline two", 100);
    give(r, event, EVENT_LINE, 8, "one\ntw", 612);
    give(r, event, EVENT_LINE, 9, "\x1b[31mred\x1b[0m \x1b]0;title\x07\xff\ttab\n", 700);
    give(r, event, EVENT_LINE, 8, "o\n10%\r20%\r", 800);
    give(r, event, EVENT_WARNING, 0, "old base\x1b[2J", 900);
    give(r, event, EVENT_LINE, 8, "100%\n", 1000);
    give(r, event, EVENT_DONE, 9, NULL, 1100);
    if (ok)
        give(r, event, EVENT_DONE, 8, NULL, 61000);
    else
        give(r, event, EVENT_FAILED, 8, "exit code 2", 1500);
}

static void plain_lines_say_which_step_they_belong_to(void **state)
{
    (void)state;
    struct cli_render r;
    cli_render_init(&r, CLI_PROGRESS_PLAIN, "Building x", 0);
    build(&r, cli_plain_event, true);
    cli_plain_end(&r, true);
    assert_string_equal(str_z(&r.out),
                        "#1 [1/3] FROM debian\n"
                        "#1 CACHED\n"
                        "\n"
                        "#2 [2/3] RUN make\n"
                        "\n"
                        "#3 [other 1/1] RUN <<EOF ...\n"
                        "\n"
                        "#2 [2/3] RUN make\n"
                        "#2 0.512 one\n"
                        "\n"
                        "#3 [other 1/1] RUN <<EOF ...\n"
                        "#3 0.600 red \\xff        tab\n"
                        "\n"
                        "#2 [2/3] RUN make\n"
                        "#2 0.700 two\n"
                        "\n"
                        "warning: old base\n"
                        "#2 [2/3] RUN make\n"
                        "#2 0.900 100%\n"
                        "\n"
                        "#3 [other 1/1] RUN <<EOF ...\n"
                        "#3 DONE 1.0s\n"
                        "\n"
                        "#2 [2/3] RUN make\n"
                        "#2 DONE 1m00s\n"
                        "\n"
                        "1 warning:\n"
                        "  old base\n"
                        "Building x: done in 1m01s (3 steps, 1 cached)\n");
    cli_render_fini(&r);
}

static void plain_failures_end_with_the_last_lines(void **state)
{
    (void)state;
    struct cli_render r;
    cli_render_init(&r, CLI_PROGRESS_PLAIN, "Building x", 0);
    build(&r, cli_plain_event, false);
    cli_plain_end(&r, false);
    const char *end = strstr(str_z(&r.out), "#2 ERROR");
    assert_non_null(end);
    assert_string_equal(end, "#2 ERROR: exit code 2\n"
                             "\n"
                             "1 warning:\n"
                             "  old base\n"
                             "------\n"
                             " > [2/3] RUN make:\n"
                             "one\n"
                             "two\n"
                             "100%\n"
                             "------\n");
    cli_render_fini(&r);
}

static void quiet_shows_warnings_and_what_failed(void **state)
{
    (void)state;
    struct cli_render r;
    cli_render_init(&r, CLI_PROGRESS_QUIET, "Building x", 0);
    build(&r, cli_quiet_event, true);
    cli_quiet_end(&r, true);
    assert_string_equal(str_z(&r.out), "warning: old base\n");
    cli_render_fini(&r);
    cli_render_init(&r, CLI_PROGRESS_QUIET, "Building x", 0);
    build(&r, cli_quiet_event, false);
    cli_quiet_end(&r, false);
    assert_string_equal(str_z(&r.out), "warning: old base\n------\n > [2/3] RUN make:\n"
                                       "one\ntwo\n100%\n------\n");
    cli_render_fini(&r);
}

static void json_is_one_object_a_line(void **state)
{
    (void)state;
    struct cli_render r;
    cli_render_init(&r, CLI_PROGRESS_RAWJSON, "x", 0);
    give(&r, cli_json_event, EVENT_START, 5, "[1/1] RUN \"x\"", 1);
    give(&r, cli_json_event, EVENT_LINE, 5, "a\xff\n", 2);
    give(&r, cli_json_event, EVENT_DONE, 5, NULL, 3);
    r.last_ns = 4 * MS;
    cli_json_end(&r, true);
    assert_string_equal(
        str_z(&r.out),
        "{\"kind\":\"start\",\"elapsed_ns\":1000000,\"step\":1,\"name\":\"[1/1] RUN \\\"x\\\"\"}\n"
        "{\"kind\":\"line\",\"elapsed_ns\":2000000,\"step\":1,\"stream\":1,\"text\":\"a\xef\xbf\xbd\\n\"}\n"
        "{\"kind\":\"done\",\"elapsed_ns\":3000000,\"step\":1}\n"
        "{\"kind\":\"end\",\"elapsed_ns\":4000000,\"ok\":true,\"steps\":1,\"cached\":0}\n");
    cli_render_fini(&r);
}

// --- the terminal: a small one of our own, to see what a person sees -------------------------------

#define COLUMNS_MOST 120
#define ROWS_MOST 40
struct screen {
    unsigned columns, rows, x, y;
    char cell[ROWS_MOST][COLUMNS_MOST + 1];
    bool no_wrap;
    unsigned scrolled;
};

static void screen_init(struct screen *s, unsigned columns, unsigned rows)
{
    *s = (struct screen){.columns = columns, .rows = rows};
    for (unsigned y = 0; y < ROWS_MOST; y++) memset(s->cell[y], ' ', COLUMNS_MOST);
}

static void newline(struct screen *s)
{
    if (s->y + 1 < s->rows) {
        s->y++;
        return;
    }
    memmove(s->cell[0], s->cell[1], sizeof s->cell[0] * (s->rows - 1));
    memset(s->cell[s->rows - 1], ' ', COLUMNS_MOST);
    s->scrolled++;
}

static void control(struct screen *s, const char *params, char final)
{
    unsigned n = 1;
    if (params[0] && params[0] != '?') sscanf(params, "%u", &n);
    if (final == 'A') s->y = s->y > n ? s->y - n : 0;
    if (final == 'K') memset(s->cell[s->y] + s->x, ' ', COLUMNS_MOST - s->x);
    if (final == 'J') {
        memset(s->cell[s->y] + s->x, ' ', COLUMNS_MOST - s->x);
        for (unsigned y = s->y + 1; y < ROWS_MOST; y++) memset(s->cell[y], ' ', COLUMNS_MOST);
    }
    if (strcmp(params, "?7") == 0) s->no_wrap = final == 'l';
}

// ASCII only: the tests draw without UTF-8.
static void screen_feed(struct screen *s, struct str *text)
{
    for (size_t i = 0; i < text->n; i++) {
        char c = text->p[i];
        if (c == '\x1b' && text->p[i + 1] == '[') {
            char params[16] = "";
            size_t n = 0;
            for (i += 2; text->p[i] < 0x40 && n < 15; i++) params[n++] = text->p[i];
            control(s, params, text->p[i]);
        } else if (c == '\r') {
            s->x = 0;
        } else if (c == '\n') {
            s->x = 0;
            newline(s);
        } else {
            assert_in_range(c, 0x20, 0x7e);
            if (s->x == s->columns && s->no_wrap) s->x--;
            if (s->x == s->columns) {
                s->x = 0;
                newline(s);
            }
            s->cell[s->y][s->x++] = c;
        }
    }
    str_clear(text);
}

static const char *screen_row(struct screen *s, unsigned y)
{
    int n = COLUMNS_MOST;
    while (n > 0 && s->cell[y][n - 1] == ' ') n--;
    s->cell[y][n] = '\0';
    static char copy[COLUMNS_MOST + 1];
    memcpy(copy, s->cell[y], sizeof copy);
    if (n < COLUMNS_MOST) s->cell[y][n] = ' ';
    return copy;
}

static void screen_shows(struct screen *s, const char *const *want)
{
    unsigned y = 0;
    for (; want[y]; y++) assert_string_equal(screen_row(s, y), want[y]);
    for (; y < s->rows; y++) assert_string_equal(screen_row(s, y), "");
}

static void terminal_shows_what_ended_above_what_runs(void **state)
{
    (void)state;
    struct cli_render r;
    struct screen s;
    screen_init(&s, 50, 20);
    cli_render_init(&r, CLI_PROGRESS_TTY, "Building x", 0);
    r.columns = 50;
    build(&r, cli_tty_event, true);
    give(&r, cli_tty_event, EVENT_START, 10, "[3/3] RUN a long command that does not fit here", 61000);
    give(&r, cli_tty_event, EVENT_LINE, 10, "first\nsecond\npart", 61100);
    cli_tty_draw(&r, 62500 * MS, 50, 20);
    screen_feed(&s, &r.out);
    screen_shows(&s, (const char *const[]){
                         " + [1/3] FROM debian                       cached",
                         "warning: old base",
                         " + [other 1/1] RUN <<EOF ...                 1.0s",
                         " + [2/3] RUN make                           1m00s",
                         " \\ [3/3] RUN a long command that does not... 1.5s",
                         "   | first",
                         "   | second",
                         "   | part",
                         "Building x  1m02s  3 done (1 cached)  1 warning",
                         NULL});
    give(&r, cli_tty_event, EVENT_DONE, 10, NULL, 63000);
    cli_tty_draw(&r, 63000 * MS, 50, 20);
    cli_tty_end(&r, true, 50);
    screen_feed(&s, &r.out);
    screen_shows(&s, (const char *const[]){
                         " + [1/3] FROM debian                       cached",
                         "warning: old base",
                         " + [other 1/1] RUN <<EOF ...                 1.0s",
                         " + [2/3] RUN make                           1m00s",
                         " + [3/3] RUN a long command that does not... 2.0s",
                         "Building x: done in 1m03s (4 steps, 1 cached)",
                         "1 warning:",
                         "  old base",
                         NULL});
    cli_render_fini(&r);
}

static void terminal_shows_the_end_of_a_failed_steps_output(void **state)
{
    (void)state;
    struct cli_render r;
    struct screen s;
    screen_init(&s, 60, 20);
    cli_render_init(&r, CLI_PROGRESS_TTY, "Building x", 0);
    r.columns = 60;
    give(&r, cli_tty_event, EVENT_START, 1, "[1/2] RUN false", 0);
    give(&r, cli_tty_event, EVENT_START, 2, "[b 1/1] RUN sleep", 0);
    give(&r, cli_tty_event, EVENT_LINE, 1, "it broke\n", 100);
    cli_tty_draw(&r, 200 * MS, 60, 20);
    give(&r, cli_tty_event, EVENT_FAILED, 1, "exit code 1", 300);
    cli_tty_draw(&r, 400 * MS, 60, 20);
    cli_tty_end(&r, false, 60);
    screen_feed(&s, &r.out);
    screen_shows(&s, (const char *const[]){
                         " x [1/2] RUN false                                     0.3s",
                         "   | it broke",
                         " - [b 1/1] RUN sleep                               canceled",
                         "Building x: failed after 0.3s (2 steps)",
                         NULL});
    cli_render_fini(&r);
}

static void terminal_never_draws_more_than_fits(void **state)
{
    (void)state;
    for (unsigned columns = 1; columns <= COLUMNS_MOST; columns += 7)
        for (unsigned rows = 3; rows < 30; rows += 5) {
            struct cli_render r;
            struct screen s;
            screen_init(&s, columns, rows);
            cli_render_init(&r, CLI_PROGRESS_TTY, "Building x", 0);
            for (uint64_t id = 1; id <= 12; id++) {
                give(&r, cli_tty_event, EVENT_START, id, "[1/2] RUN something with a long name", 0);
                for (int i = 0; i < 10; i++)
                    give(&r, cli_tty_event, EVENT_LINE, id, "output line that is quite long\n", 5);
            }
            for (int i = 0; i < 5; i++) {
                cli_tty_draw(&r, 100 * MS, columns, rows);
                assert_true(r.drawn.n < rows);
                screen_feed(&s, &r.out);
            }
            assert_int_equal(s.scrolled, 0);
            cli_render_fini(&r);
        }
}

static void terminal_that_became_narrower_is_redrawn_whole(void **state)
{
    (void)state;
    struct cli_render r;
    cli_render_init(&r, CLI_PROGRESS_TTY, "Building x", 0);
    give(&r, cli_tty_event, EVENT_START, 1, "[1/2] RUN something with a long name", 0);
    cli_tty_draw(&r, 100 * MS, 100, 20);
    str_clear(&r.out);
    cli_tty_draw(&r, 100 * MS, 40, 20);  // the step's line of 99 columns is folded into three
    assert_true(sv_starts(str_sv(&r.out), "\r\x1b[4A\x1b[?7l"));
    cli_render_fini(&r);
}

static void long_output_keeps_its_last_lines_only(void **state)
{
    (void)state;
    struct cli_render r;
    own(str) struct str tail = {0};
    cli_render_init(&r, CLI_PROGRESS_QUIET, "x", 0);
    give(&r, cli_quiet_event, EVENT_START, 1, "x", 0);
    for (int i = 0; i < 1000; i++) {
        char line[32];
        snprintf(line, sizeof line, "%d\n", i);
        give(&r, cli_quiet_event, EVENT_LINE, 1, line, 1);
    }
    cli_render_tail(&r.p[0], 2, "> ", &tail);
    assert_string_equal(str_z(&tail), "> 998\n> 999\n");
    str_clear(&tail);
    for (int i = 0; i < 100; i++) {  // a line without an end is cut, never kept whole
        char piece[4096];
        memset(piece, 'x', sizeof piece - 1);
        piece[sizeof piece - 1] = '\0';
        give(&r, cli_quiet_event, EVENT_LINE, 1, piece, 1);
        assert_true(r.p[0].partial.n <= 32768);
    }
    cli_render_fini(&r);
}

RUN_TESTS("cli/render", TEST(plain_lines_say_which_step_they_belong_to),
          TEST(plain_failures_end_with_the_last_lines), TEST(quiet_shows_warnings_and_what_failed),
          TEST(json_is_one_object_a_line), TEST(terminal_shows_what_ended_above_what_runs),
          TEST(terminal_shows_the_end_of_a_failed_steps_output),
          TEST(terminal_never_draws_more_than_fits),
          TEST(terminal_that_became_narrower_is_redrawn_whole),
          TEST(long_output_keeps_its_last_lines_only))
