// SPDX-License-Identifier: Apache-2.0
// The live picture. Steps that ended are printed once and scroll away as in a log; below them stands
// the live part: the running steps with the last lines of their output, and a status line. Each
// drawing moves up over the live part and writes it anew, in one write.
//
// Drawing is done by a process of its own that reads events from a pipe. So the clock on the screen
// goes on while the command waits for something, and the cursor comes back however the command
// ends, kill -9 included: the pipe's end is the signal. Messages are at most PIPE_BUF bytes, which
// the kernel never mixes, so worker processes may send too.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/own.h"
#include "base/table.h"
#include "cli/internal.h"

#define DRAW_EVERY_MS 80
#define WIDTH_MOST 110  // on very wide terminals the times would be far from the names
#define TAIL_SHOWN 6
#define NO_WRAP "\x1b[?7l"
#define WRAP "\x1b[?7h"

// --- the picture --------------------------------------------------------------------------------

enum look { LOOK_PLAIN, LOOK_DIM, LOOK_GOOD, LOOK_BAD, LOOK_WARN, LOOK_BUSY, LOOK_BOLD };
static const char *const codes[] = {[LOOK_PLAIN] = "",      [LOOK_DIM] = "\x1b[2m",
                                    [LOOK_GOOD] = "\x1b[32m", [LOOK_BAD] = "\x1b[31m",
                                    [LOOK_WARN] = "\x1b[33m", [LOOK_BUSY] = "\x1b[36m",
                                    [LOOK_BOLD] = "\x1b[1m"};
enum mark { MARK_DONE, MARK_FAILED, MARK_CANCELED, MARK_BAR, MARK_MORE, MARK_COUNT };
static const char *const marks[2][MARK_COUNT] = {
    {"+", "x", "-", "|", "..."},
    {"\u2714", "\u2718", "\u25a0", "\u2502", "\u2026"},
};
static const char *const spinner[2][4] = {
    {"-", "\\", "|", "/"},
    {"\u25d0", "\u25d3", "\u25d1", "\u25d2"},
};

static void add_look(struct cli_render *r, enum look look, const char *text)
{
    bool dress = r->color && look != LOOK_PLAIN;
    if (dress) str_addz(&r->out, codes[look]);
    str_addz(&r->out, text);
    if (dress) str_addz(&r->out, "\x1b[0m");
}

// " M name ........ right": the name is cut so that the line fits `width` columns. Returns its
// width. Text here is clean already.
static size_t add_row(struct cli_render *r, enum look look, const char *mark, const char *name,
                      enum look name_look, const char *right, size_t width)
{
    size_t right_width = right[0] ? table_width(sv_of(right)) + 1 : 0;
    size_t taken = 3 + right_width;
    size_t room = width > taken ? width - taken : 0;
    const char *more = marks[r->utf8][MARK_MORE];
    size_t more_width = table_width(sv_of(more));
    struct sv shown = table_fit(sv_of(name), room);
    own(str) struct str text = {0};
    if (shown.n < strlen(name) && room > more_width) {
        str_add(&text, table_fit(sv_of(name), room - more_width));
        str_addz(&text, more);
    } else {
        str_add(&text, shown);
    }
    size_t used = 3 + table_width(str_sv(&text));
    str_addc(&r->out, ' ');
    add_look(r, look, mark);
    str_addc(&r->out, ' ');
    add_look(r, name_look, str_z(&text));
    if (right_width && used + right_width <= width) {
        str_addf(&r->out, "%*s", (int)(width - used - right_width + 1), "");
        add_look(r, LOOK_DIM, right);
        used = width;
    }
    return used;
}

static void end_row(struct cli_render *r)
{
    str_addz(&r->out, "\x1b[K\r\n");
}

static void live_row(struct cli_render *r, size_t width)
{
    vec_push(&r->drawn, r->columns && width > r->columns ? r->columns : width);
    end_row(r);
}

static size_t picture_width(unsigned columns)
{
    if (columns > WIDTH_MOST) return WIDTH_MOST;
    return columns > 1 ? columns - 1 : 1;  // the last column would wrap
}

// Moves to the first line of the live part, which may be folded when the terminal became narrower.
static void go_up(struct cli_render *r, unsigned columns)
{
    size_t rows = 0;
    vec_each(w, &r->drawn) rows += *w > columns && columns ? (*w + columns - 1) / columns : 1;
    if (rows) str_addf(&r->out, "\r\x1b[%zuA", rows);
    r->drawn.n = 0;
}

#define BAR 20

static void add_bar(const struct cli_render *r, double part, struct str *out)
{
    static const char *const cells[2][3] = {{"=", ">", " "}, {"\u2588", "\u2588", "\u2591"}};
    const char *const *cell = cells[r->utf8];
    unsigned full = (unsigned)(part * BAR);
    if (!r->utf8) str_addc(out, '[');
    for (unsigned i = 0; i < BAR; i++) str_addz(out, cell[i + 1 < full ? 0 : i < full ? 1 : 2]);
    if (!r->utf8) str_addc(out, ']');
    str_addz(out, "  ");
}

static void add_rate(const struct cli_step *s, struct str *out)
{
    if (s->rate < 1 || s->done >= s->total) return;
    num_print_size((uint64_t)s->rate, out);
    str_addz(out, "/s  ");
    double left = (double)(s->total - s->done) / s->rate;
    if (left > 360000) return;
    num_print_elapsed((int64_t)(left + 0.5) * 1000000000, out);
    str_addz(out, " left  ");
}

static void add_bytes(const struct cli_render *r, const struct cli_step *s, size_t width,
                      struct str *out)
{
    if (!s->done && !s->total) return;
    if (s->phase[0]) {
        str_addf(out, "%s  ", s->phase);
        return;
    }
    double part = s->total ? (double)s->done / (double)s->total : 0;
    if (s->total && width >= 90) add_bar(r, part, out);
    if (s->total) str_addf(out, "%u%%  ", (unsigned)(part * 100));
    num_print_size(s->done, out);
    if (s->total) {
        str_addz(out, " / ");
        num_print_size(s->total, out);
    }
    str_addz(out, "  ");
    if (s->total && width >= 70) add_rate(s, out);
}

static void print_ended(struct cli_render *r, const struct cli_step *s, size_t width)
{
    const char *const *m = marks[r->utf8];
    own(str) struct str right = {0};
    if (s->state == CLI_STEP_CACHED)
        str_addz(&right, s->note[0] ? s->note : "cached");
    else
        num_print_elapsed(s->end_ns - s->start_ns, &right);
    bool bad = s->state == CLI_STEP_FAILED, canceled = s->state == CLI_STEP_CANCELED;
    add_row(r, bad ? LOOK_BAD : canceled ? LOOK_DIM : LOOK_GOOD,
            m[bad ? MARK_FAILED : canceled ? MARK_CANCELED : MARK_DONE], s->name,
            bad ? LOOK_BOLD : LOOK_PLAIN, canceled ? "canceled" : str_z(&right), width);
    end_row(r);
    if (!bad) return;
    own(str) struct str tail = {0};
    cli_render_tail(s, CLI_TAIL, "", &tail);
    struct sv rest = str_sv(&tail);
    while (rest.n) {  // in full: this is what the person must read
        struct sv one = sv_cut(&rest, '\n');
        str_addz(&r->out, "   ");
        add_look(r, LOOK_BAD, m[MARK_BAR]);
        str_addc(&r->out, ' ');
        str_add(&r->out, one);
        end_row(r);
    }
}

static void print_remark(struct cli_render *r, const struct event *ev)
{
    if (ev->kind == EVENT_WARNING) {
        add_look(r, LOOK_WARN, "warning:");
        str_addc(&r->out, ' ');
    }
    cli_render_clean(ev->text, &r->out);
    end_row(r);
}

// Printed text goes above the live part, whose lines it overwrites; the next drawing writes that
// anew and clears what is left below. Clearing from here first would be simpler, but tmux takes
// that at the top of the screen for a `clear` and keeps a copy of the picture in its history.
static void above(struct cli_render *r)
{
    go_up(r, r->columns);
}

// A program has the terminal: the live part goes, and nothing is drawn until it gives it back.
static void lend(struct cli_render *r, const struct event *ev)
{
    above(r);
    str_addz(&r->out, "\x1b[J");
    print_remark(r, ev);
    str_addz(&r->out, "\x1b[?25h");
    r->lent_to = ev->id;
}

static void take_back(struct cli_render *r)
{
    r->lent_to = 0;
    r->drawn.n = 0;  // the program has written below it
    str_addz(&r->out, "\r\x1b[?25l");
}

void cli_tty_event(struct cli_render *r, const struct event *ev)
{
    struct cli_step *s = cli_render_note(r, ev, NULL);
    if (ev->kind == EVENT_INFO && ev->id) {
        lend(r, ev);
        return;
    }
    if (r->lent_to && ev->id != r->lent_to) return;
    if (r->lent_to) take_back(r);
    bool remark = ev->kind == EVENT_WARNING || ev->kind == EVENT_INFO;
    bool ended = ev->kind == EVENT_DONE || ev->kind == EVENT_CACHED || ev->kind == EVENT_FAILED;
    if (!remark && !ended) return;
    above(r);
    if (remark) {
        print_remark(r, ev);
    } else {
        print_ended(r, s, picture_width(r->columns));
        r->stale_warnings = true;
    }
}

static void draw_tail(struct cli_render *r, const struct cli_step *s, size_t lines, size_t width)
{
    own(str) struct str tail = {0};
    bool part = s->partial.n > 0;
    if (lines == 0) return;
    cli_render_tail(s, (unsigned)(lines - part), "", &tail);
    if (part) {
        cli_render_clean(str_sv(&s->partial), &tail);
        str_addc(&tail, '\n');
    }
    struct sv rest = str_sv(&tail);
    while (rest.n) {
        struct sv one = table_fit(sv_cut(&rest, '\n'), width > 5 ? width - 5 : 0);
        own(str) struct str text = {0};
        str_add(&text, one);
        str_addz(&r->out, "   ");
        add_look(r, LOOK_DIM, marks[r->utf8][MARK_BAR]);
        str_addc(&r->out, ' ');
        add_look(r, LOOK_DIM, str_z(&text));
        live_row(r, 5 + table_width(one));
    }
}

static void draw_running(struct cli_render *r, const struct cli_step *s, size_t lines,
                         int64_t now_ns, size_t width)
{
    own(str) struct str right = {0};
    add_bytes(r, s, width, &right);
    num_print_elapsed(now_ns > s->start_ns ? now_ns - s->start_ns : 0, &right);
    live_row(r, add_row(r, LOOK_BUSY, spinner[r->utf8][r->frame % 4], s->name, LOOK_PLAIN,
                        str_z(&right), width));
    draw_tail(r, s, lines, width);
}

static void draw_status(struct cli_render *r, size_t running, int64_t now_ns, size_t width)
{
    own(str) struct str text = {0};
    str_addf(&text, "%s  ", r->title);
    num_print_elapsed(now_ns - r->began_ns, &text);
    if (r->finished) str_addf(&text, "  %u done", r->finished);
    if (r->cached) str_addf(&text, " (%u cached)", r->cached);
    if (running > 1) str_addf(&text, "  %zu running", running);
    if (r->warnings.n)
        str_addf(&text, "  %zu warning%s", r->warnings.n, r->warnings.n == 1 ? "" : "s");
    str_cut(&text, table_fit(str_sv(&text), width).n);
    add_look(r, LOOK_BOLD, str_z(&text));
    live_row(r, table_width(str_sv(&text)));
}

void cli_tty_draw(struct cli_render *r, int64_t now_ns, unsigned columns, unsigned rows)
{
    size_t running = 0, width = picture_width(columns);
    r->columns = columns;
    for (size_t i = 0; i < r->n; i++) running += r->p[i].state == CLI_STEP_RUNNING;
    go_up(r, columns);
    r->frame++;
    str_addz(&r->out, NO_WRAP);  // the terminal itself cuts what a very narrow one cannot hold
    // One line for the status, one free below; the rest is shared by the running steps.
    size_t room = rows > 3 ? rows - 2 : 1, shown = running;
    if (running > room) shown = room - 1;
    size_t lines = shown ? (room - shown) / shown : 0;
    if (lines > TAIL_SHOWN) lines = TAIL_SHOWN;
    for (size_t i = 0, left = shown; i < r->n && left; i++) {
        if (r->p[i].state != CLI_STEP_RUNNING) continue;
        draw_running(r, &r->p[i], lines, now_ns, width);
        left--;
    }
    if (shown < running) {
        str_addf(&r->out, " %s and %zu more", marks[r->utf8][MARK_MORE], running - shown);
        live_row(r, 20);
    }
    draw_status(r, running, now_ns, width);
    str_addz(&r->out, "\x1b[J" WRAP);
}

void cli_tty_end(struct cli_render *r, bool ok, unsigned columns)
{
    r->columns = columns;
    go_up(r, columns);
    for (size_t i = 0; i < r->n; i++) {
        struct cli_step *s = &r->p[i];
        if (s->state != CLI_STEP_RUNNING) continue;
        s->state = ok ? CLI_STEP_DONE : CLI_STEP_CANCELED;
        s->end_ns = r->last_ns;
        print_ended(r, s, picture_width(columns));
    }
    if (r->n) {
        own(str) struct str sum = {0};
        cli_render_sum(r, ok, &sum);
        add_look(r, ok ? LOOK_BOLD : LOOK_BAD, str_z(&sum));
        end_row(r);
    }
    str_addz(&r->out, "\r\x1b[J");
    cli_render_warnings(r);
}

// --- messages -----------------------------------------------------------------------------------

#define END_KIND EVENT_KIND_COUNT  // the command's last message; `done` is 1 when all went well
#define NAME_LONGEST 512

struct message {
    uint32_t kind, stream, name_len, text_len;
    uint64_t id, done, total;
    int64_t time_ns;
};
#define TEXT_LONGEST (PIPE_BUF - sizeof(struct message) - NAME_LONGEST - 2)

static int send_one(int fd, const struct event *ev, struct sv text)
{
    char buf[PIPE_BUF];
    struct sv name = sv_part(sv_of(ev->name), 0, NAME_LONGEST);
    struct message m = {(uint32_t)ev->kind,    (uint32_t)ev->stream, (uint32_t)name.n,
                        (uint32_t)text.n,      ev->id,               ev->done,
                        ev->total,             ev->time_ns};
    memcpy(buf, &m, sizeof m);
    if (name.n) memcpy(buf + sizeof m, name.p, name.n);
    if (text.n) memcpy(buf + sizeof m + name.n, text.p, text.n);
    ssize_t n;
    do n = write(fd, buf, sizeof m + name.n + text.n);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -1 : 0;
}

int cli_tty_send(struct cli_render *r, const struct event *ev)
{
    struct sv rest = ev->text;
    if (r->pipe_fd < 0) return -1;
    do {
        struct sv part = sv_part(rest, 0, TEXT_LONGEST);
        rest = sv_from(rest, part.n);
        if (send_one(r->pipe_fd, ev, part) < 0) return -1;
    } while (rest.n && ev->kind == EVENT_LINE);
    return 0;
}

// --- the drawing process: the caller's terminal on stderr, nothing else -----------------------------

static volatile sig_atomic_t stop_asked;

static void on_signal(int sig)
{
    if (sig == SIGTSTP) stop_asked = 1;
}

static void write_screen(struct cli_render *r)
{
    for (size_t at = 0; at < r->out.n;) {
        ssize_t n = write(STDERR_FILENO, r->out.p + at, r->out.n - at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        at += (size_t)n;
    }
    str_clear(&r->out);
}

static void screen_size(unsigned *columns, unsigned *rows)
{
    struct winsize ws = {0};
    *columns = 80;
    *rows = 24;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) != 0) return;
    if (ws.ws_col) *columns = ws.ws_col;
    if (ws.ws_row) *rows = ws.ws_row;
}

// Takes whole messages off the front of `in`. Returns 1 when the command said it ended.
static int take_messages(struct cli_render *r, struct str *in, bool *out_ok)
{
    size_t at = 0;
    int ended = 0;
    while (in->n - at >= sizeof(struct message)) {
        struct message m;
        memcpy(&m, in->p + at, sizeof m);
        size_t size = sizeof m + m.name_len + m.text_len;
        if (m.name_len > NAME_LONGEST || m.text_len > TEXT_LONGEST) return 1;
        if (in->n - at < size) break;
        const char *p = in->p + at + sizeof m;
        own(free) char *name = sv_dup((struct sv){p, m.name_len});
        at += size;
        if (m.kind >= END_KIND) {
            *out_ok = m.done == 1;
            r->last_ns = m.time_ns;
            ended = 1;
            break;
        }
        struct event ev = {(enum event_kind)m.kind, m.id, m.name_len ? name : NULL,
                           {p + m.name_len, m.text_len}, (int)m.stream, m.done, m.total,
                           m.time_ns};
        cli_tty_event(r, &ev);
    }
    if (at) {
        memmove(in->p, in->p + at, in->n - at);
        str_cut(in, in->n - at);
    }
    return ended;
}

// Ctrl-Z stops the whole job: the cursor is shown while the shell has the terminal.
static void stop_and_go(struct cli_render *r)
{
    stop_asked = 0;
    str_addz(&r->out, "\x1b[?25h");
    write_screen(r);
    raise(SIGSTOP);
    r->drawn.n = 0;  // the shell has written below it
    str_addz(&r->out, "\x1b[?25l");
}

static void draw_now(struct cli_render *r)
{
    unsigned columns, rows;
    if (r->lent_to) {
        write_screen(r);
        return;
    }
    screen_size(&columns, &rows);
    cli_tty_draw(r, clock_mono_ns(), columns, rows);
    write_screen(r);
}

static void draw_loop(struct cli_render *r, int fd, bool *out_ok)
{
    own(str) struct str in = {0};
    char buf[32768];
    int64_t drawn_ns = 0;
    for (;;) {
        int64_t wait = DRAW_EVERY_MS - (clock_mono_ns() - drawn_ns) / 1000000;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int n = poll(&p, 1, wait > 0 ? (int)wait : 0);
        if (stop_asked) stop_and_go(r);
        if (n > 0) {
            unsigned rows;
            screen_size(&r->columns, &rows);
            ssize_t got = read(fd, buf, sizeof buf);
            if (got == 0 || (got < 0 && errno != EINTR)) return;  // the command is gone
            if (got > 0) str_add(&in, (struct sv){buf, (size_t)got});
            if (take_messages(r, &in, out_ok)) return;
        }
        if (clock_mono_ns() - drawn_ns < (int64_t)DRAW_EVERY_MS * 1000000) continue;
        draw_now(r);
        drawn_ns = clock_mono_ns();
    }
}

// Keeps the terminal and the pipe only: a descriptor held here would look to others as if the
// command still had it open.
static int keep_only(int fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
    }
    if (fd != 3) dup2(fd, 3);
    close_range(4, ~0U, 0);
    return 3;
}

static _Noreturn void drawer(struct cli_render *r, int fd)
{
    fd = keep_only(fd);
    static const int ignored[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGPIPE, SIGTTOU};
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);  // the command decides; its end is ours
    struct sigaction sa = {.sa_handler = on_signal};
    sigaction(SIGTSTP, &sa, NULL);
    sigaction(SIGCONT, &sa, NULL);  // wakes poll
    bool ok = false;
    unsigned columns, rows;
    screen_size(&columns, &rows);
    r->columns = columns;
    str_addz(&r->out, "\x1b[?25l");
    draw_loop(r, fd, &ok);
    if (!ok) r->last_ns = clock_mono_ns();
    screen_size(&columns, &rows);
    cli_tty_end(r, ok, columns);
    str_addz(&r->out, "\x1b[?25h");
    write_screen(r);
    _exit(0);
}

// --- in the command -------------------------------------------------------------------------------

// The one renderer that a signal must end: a handler has no other way to find it. Were the command
// simply killed, the shell would write its prompt into the picture before the last drawing.
static struct cli_render *volatile drawing;

static void on_end(int sig)
{
    struct cli_render *r = drawing;
    drawing = NULL;
    if (r) cli_tty_stop(r, false);  // write, waitid and close only
    signal(sig, SIG_DFL);
    raise(sig);  // takes effect when we return: the shell sees what ended us
}

static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

static void watch_signals(struct cli_render *r)
{
    struct sigaction sa = {.sa_handler = on_end, .sa_flags = SA_RESTART}, old;
    drawing = r;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (sigaction(ends[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            sigaction(ends[i], &sa, NULL);  // what nohup ignores stays ignored
}

static void unwatch_signals(void)
{
    struct sigaction old;
    drawing = NULL;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (sigaction(ends[i], NULL, &old) == 0 && old.sa_handler == on_end)
            signal(ends[i], SIG_DFL);
}

int cli_tty_start(struct cli_render *r, struct err *e)
{
    int both[2];
    if (pipe2(both, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    own(fd) int rd = both[0];
    own(fd) int wr = both[1];
    r->proc.pid = proc_fork(0, &r->proc.fd);
    if (r->proc.pid < 0) return err_sys(e, "start drawing progress");
    if (r->proc.pid == 0) {
        close(take_fd(wr));
        drawer(r, rd);
    }
    r->pipe_fd = take_fd(wr);
    watch_signals(r);
    return 0;
}

void cli_tty_stop(struct cli_render *r, bool ok)
{
    struct err ignored;
    int status;
    if (r->pipe_fd < 0) return;
    unwatch_signals();
    struct event last = {.kind = END_KIND, .done = ok, .time_ns = clock_mono_ns()};
    send_one(r->pipe_fd, &last, (struct sv){0});
    close(take_fd(r->pipe_fd));
    proc_wait(&r->proc, &status, &ignored);
}
