// SPDX-License-Identifier: Apache-2.0
// Chooses how a command's events are shown, and keeps the books that every renderer needs.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "base/own.h"
#include "base/table.h"
#include "cli/internal.h"

const char *const cli_progress_choices[] = {"auto", "plain", "tty", "rawjson", "quiet", NULL};

#define PARTIAL_MAX ((size_t)16 << 10)  // a longer line is cut into pieces

void cli_render_init(struct cli_render *r, enum cli_progress kind, const char *title,
                     int64_t now_ns)
{
    *r = (struct cli_render){.kind = kind, .title = str_dup(title ? title : ""),
                             .began_ns = now_ns, .last_ns = now_ns, .proc = PROC_NONE,
                             .pipe_fd = -1};
}

void cli_render_fini(struct cli_render *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->p[i].name);
        str_fini(&r->p[i].partial);
        for (size_t k = 0; k < CLI_TAIL; k++) free(r->p[i].tail[k]);
    }
    free(r->p);
    free(r->title);
    strv_fini(&r->warnings);
    str_fini(&r->out);
    vec_fini(&r->drawn);
    *r = (struct cli_render){.proc = PROC_NONE, .pipe_fd = -1};
}

// --- text ---------------------------------------------------------------------------------------

// Length of a terminal control sequence at the start of v (CSI, OSC, or ESC and one byte), else 0.
static size_t control_length(struct sv v)
{
    if (v.n < 2 || v.p[0] != '\x1b') return 0;
    size_t i = 2;
    if (v.p[1] == '[') {
        while (i < v.n && ((unsigned char)v.p[i] < 0x40 || (unsigned char)v.p[i] > 0x7e)) i++;
        return i < v.n ? i + 1 : v.n;
    }
    if (v.p[1] == ']') {
        while (i < v.n && v.p[i] != '\a' && v.p[i] != '\x1b') i++;
        if (i < v.n && v.p[i] == '\x1b') i++;
        return i < v.n ? i + 1 : v.n;
    }
    return 2;
}

void cli_render_clean(struct sv line, struct str *out)
{
    while (line.n && (line.p[line.n - 1] == '\r' || line.p[line.n - 1] == '\n')) line.n--;
    long cr = sv_rfind(line, '\r');
    if (cr >= 0) line = sv_from(line, (size_t)cr + 1);
    size_t from = out->n;
    for (size_t i = 0; i < line.n;) {
        size_t skip = control_length(sv_from(line, i));
        if (skip) {
            i += skip;
        } else if (line.p[i] == '\t') {
            do str_addc(out, ' ');
            while (table_width(sv_from(str_sv(out), from)) % 8);
            i++;
        } else {
            size_t start = i;
            while (i < line.n && line.p[i] != '\x1b' && line.p[i] != '\t') i++;
            if (i == start) i++;  // an escape at the very end
            str_add_escaped(out, sv_part(line, start, i - start));
        }
    }
}

void cli_render_tail(const struct cli_step *s, unsigned max, const char *before, struct str *out)
{
    unsigned have = s->lines < CLI_TAIL ? s->lines : CLI_TAIL;
    if (max > have) max = have;
    for (unsigned i = s->lines - max; i < s->lines; i++)
        str_addf(out, "%s%s\n", before, s->tail[i % CLI_TAIL]);
}

void cli_render_warnings(struct cli_render *r)
{
    if (!r->warnings.n || !r->stale_warnings) return;
    str_addf(&r->out, "%zu warning%s:\n", r->warnings.n, r->warnings.n == 1 ? "" : "s");
    for (size_t i = 0; i < r->warnings.n; i++) str_addf(&r->out, "  %s\n", r->warnings.p[i]);
}

void cli_render_sum(const struct cli_render *r, bool ok, struct str *out)
{
    str_addf(out, "%s: %s ", r->title, ok ? "done in" : "failed after");
    num_print_elapsed(r->last_ns - r->began_ns, out);
    if (!r->n) return;
    str_addf(out, " (%zu step%s", r->n, r->n == 1 ? "" : "s");
    if (r->cached) str_addf(out, ", %u cached", r->cached);
    str_addc(out, ')');
}

// --- steps --------------------------------------------------------------------------------------

static struct cli_step *find_step(struct cli_render *r, uint64_t id)
{
    for (size_t i = r->n; i > 0; i--)
        if (r->p[i - 1].id == id) return &r->p[i - 1];
    return NULL;
}

static struct cli_step *add_step(struct cli_render *r, const struct event *ev)
{
    struct cli_step *s = vec_add(r);
    s->id = ev->id;
    s->number = (unsigned)r->n;
    s->start_ns = s->progress_ns = ev->time_ns;
    struct str name = {0};
    struct sv text = sv_of(ev->name ? ev->name : "");
    cli_render_clean(sv_cut(&text, '\n'), &name);
    if (text.p) str_addz(&name, " ...");
    s->name = str_take(&name);
    return s;
}

typedef void line_fn(struct cli_render *, struct cli_step *, struct sv, int64_t);

static void end_line(struct cli_render *r, struct cli_step *s, line_fn *line, int64_t now)
{
    struct str text = {0};
    cli_render_clean(str_sv(&s->partial), &text);
    str_clear(&s->partial);
    free(s->tail[s->lines % CLI_TAIL]);
    char *z = s->tail[s->lines++ % CLI_TAIL] = str_take(&text);
    if (line) line(r, s, sv_of(z), now);
}

static void feed(struct cli_render *r, struct cli_step *s, const struct event *ev, line_fn *line)
{
    struct sv rest = ev->text;
    while (rest.p && rest.n) {
        struct sv piece = sv_cut(&rest, '\n');
        str_add(&s->partial, piece);
        // What a carriage return will overwrite need not be kept.
        long cr = s->partial.n ? sv_rfind(sv_part(str_sv(&s->partial), 0, s->partial.n - 1), '\r')
                               : -1;
        if (cr > 0) {
            memmove(s->partial.p, s->partial.p + cr, s->partial.n - (size_t)cr);
            str_cut(&s->partial, s->partial.n - (size_t)cr);
        }
        if (rest.p || s->partial.n > PARTIAL_MAX) end_line(r, s, line, ev->time_ns);
    }
}

static void finish(struct cli_render *r, struct cli_step *s, enum cli_step_state state,
                   const struct event *ev, line_fn *line)
{
    if (s->state != CLI_STEP_RUNNING) return;
    if (s->partial.n) end_line(r, s, line, ev->time_ns);
    s->state = state;
    s->end_ns = ev->time_ns;
    r->finished++;
    r->cached += state == CLI_STEP_CACHED;
    r->failed += state == CLI_STEP_FAILED;
}

#define RATE_EVERY_NS INT64_C(500000000)

static void progress(struct cli_step *s, const struct event *ev)
{
    int64_t ns = ev->time_ns - s->rate_ns;
    s->done = ev->done;
    s->total = ev->total;
    sv_copy(ev->text, s->phase, sizeof s->phase);
    if (s->rate_ns && ns < RATE_EVERY_NS) return;
    if (s->rate_ns && ev->done >= s->rate_done) {
        double now = (double)(ev->done - s->rate_done) * 1e9 / (double)ns;
        s->rate = s->rate > 0 ? s->rate * 0.6 + now * 0.4 : now;
    }
    s->rate_ns = ev->time_ns;
    s->rate_done = ev->done;
}

struct cli_step *cli_render_note(struct cli_render *r, const struct event *ev, line_fn *line)
{
    if (ev->time_ns > r->last_ns) r->last_ns = ev->time_ns;
    if (ev->kind == EVENT_WARNING) {
        struct str text = {0};
        cli_render_clean(ev->text, &text);
        strv_take(&r->warnings, str_take(&text));
        r->stale_warnings = false;
        return ev->id ? find_step(r, ev->id) : NULL;
    }
    if (ev->kind == EVENT_INFO) return NULL;
    struct cli_step *s = find_step(r, ev->id);
    if (!s || (ev->kind == EVENT_START && s->state != CLI_STEP_RUNNING)) s = add_step(r, ev);
    if (ev->kind == EVENT_LINE) feed(r, s, ev, line);
    if (ev->kind == EVENT_PROGRESS) progress(s, ev);
    if (ev->kind == EVENT_CACHED) sv_copy(ev->text, s->note, sizeof s->note);
    if (ev->kind == EVENT_DONE) finish(r, s, CLI_STEP_DONE, ev, line);
    if (ev->kind == EVENT_CACHED) finish(r, s, CLI_STEP_CACHED, ev, line);
    if (ev->kind == EVENT_FAILED) finish(r, s, CLI_STEP_FAILED, ev, line);
    return s;
}

// --- which and where ----------------------------------------------------------------------------

static void write_out(struct cli_render *r)
{
    const char *p = r->out.p;
    for (size_t left = r->out.n; left;) {  // talk that cannot be written is lost, not fatal
        ssize_t n = write(STDERR_FILENO, p, left);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        p += n;
        left -= (size_t)n;
    }
    str_clear(&r->out);
}

static void emit(void *arg, const struct event *ev)
{
    struct cli_render *r = arg;
    if (r->kind == CLI_PROGRESS_TTY) {
        if (cli_tty_send(r, ev) == 0) return;
        cli_tty_stop(r, false);
        r->kind = CLI_PROGRESS_PLAIN;  // its process was killed: go on without it
    }
    if (r->kind == CLI_PROGRESS_RAWJSON)
        cli_json_event(r, ev);
    else if (r->kind == CLI_PROGRESS_QUIET)
        cli_quiet_event(r, ev);
    else
        cli_plain_event(r, ev);
    write_out(r);
}

static bool locale_is_utf8(void)
{
    static const char *const keys[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *z = getenv(keys[i]);
        if (z && z[0]) return strcasestr(z, "utf-8") || strcasestr(z, "utf8");
    }
    return false;
}

// BUILDKIT_PROGRESS=plain is how people say it in CI files.
static enum cli_progress asked_by_environment(bool able)
{
    const char *z = getenv("BUILDKIT_PROGRESS");
    for (int i = 0; z && cli_progress_choices[i]; i++)
        if (strcmp(z, cli_progress_choices[i]) == 0 && (i != CLI_PROGRESS_TTY || able))
            return (enum cli_progress)i;
    return CLI_PROGRESS_AUTO;
}

int cli_render_begin(struct cli *c, enum cli_progress kind, const char *title, struct err *e)
{
    const char *term = getenv("TERM");
    bool able = c->err_tty && term && term[0] && strcmp(term, "dumb") != 0;
    if (kind == CLI_PROGRESS_TTY && !able) {
        err_set(e, ERR_USAGE, "--progress tty: stderr is not a terminal that can be drawn on");
        return err_hint(e, "--progress plain works everywhere");
    }
    if (kind == CLI_PROGRESS_AUTO) kind = asked_by_environment(able);
    // Debug talk and a live picture would write over each other.
    if (kind == CLI_PROGRESS_AUTO)
        kind = able && log_level == 0 ? CLI_PROGRESS_TTY : CLI_PROGRESS_PLAIN;
    cli_render_end(c, true);
    struct cli_render *r = mem_alloc(sizeof *r);
    cli_render_init(r, kind, title, clock_mono_ns());
    r->color = c->color;
    r->utf8 = locale_is_utf8();
    if (kind == CLI_PROGRESS_TTY && cli_tty_start(r, e) < 0) {
        cli_render_fini(r);
        free(r);
        return -1;
    }
    c->render = r;
    c->sink = (struct event_sink){emit, r};
    return 0;
}

void cli_render_end(struct cli *c, bool ok)
{
    struct cli_render *r = c->render;
    if (!r) return;
    r->last_ns = clock_mono_ns();
    if (r->kind == CLI_PROGRESS_TTY)
        cli_tty_stop(r, ok);
    else if (r->kind == CLI_PROGRESS_RAWJSON)
        cli_json_end(r, ok);
    else if (r->kind == CLI_PROGRESS_QUIET)
        cli_quiet_end(r, ok);
    else
        cli_plain_end(r, ok);
    write_out(r);
    cli_render_fini(r);
    free(r);
    c->render = NULL;
    cli_sink_plain(c);
}

bool cli_render_is_json(const struct cli *c)
{
    return c->render && c->render->kind == CLI_PROGRESS_RAWJSON;
}

// --- without a renderer: warnings and remarks only -------------------------------------------------

static void say(void *arg, const struct event *ev)
{
    (void)arg;
    if (ev->kind != EVENT_WARNING && ev->kind != EVENT_INFO) return;
    own(str) struct str s = {0};
    str_addz(&s, ev->kind == EVENT_WARNING ? "dewar: warning: " : "dewar: ");
    cli_render_clean(ev->text, &s);
    str_addc(&s, '\n');
    ssize_t ignored = write(STDERR_FILENO, s.p, s.n);
    (void)ignored;
}

void cli_sink_plain(struct cli *c)
{
    c->sink = (struct event_sink){say, NULL};
}
