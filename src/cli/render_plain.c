// SPDX-License-Identifier: Apache-2.0
// Progress as lines, for logs and pipes: every line says which step it belongs to, so the lines of
// parallel steps can be told apart ("#5 0.412 text"). Also the quiet form: warnings and the output
// of what failed.
#include <inttypes.h>

#include "base/num.h"
#include "base/own.h"
#include "cli/internal.h"

#define PROGRESS_EVERY_NS ((int64_t)5000000000)

// A blank line and the step's name again where another step spoke last.
static void speak(struct cli_render *r, struct cli_step *s)
{
    if (r->speaking == s->number) return;
    if (r->speaking) str_addc(&r->out, '\n');
    str_addf(&r->out, "#%u %s\n", s->number, s->name);
    r->speaking = s->number;
}

static void line(struct cli_render *r, struct cli_step *s, struct sv text, int64_t now_ns)
{
    int64_t ms = (now_ns - s->start_ns) / 1000000;
    speak(r, s);
    r->stale_warnings = true;
    str_addf(&r->out, "#%u %" PRId64 ".%03d ", s->number, ms / 1000, (int)(ms % 1000));
    str_add(&r->out, text);
    str_addc(&r->out, '\n');
}

static void progress(struct cli_render *r, struct cli_step *s, const struct event *ev)
{
    if (s->phase[0]) {  // said once
        if (s->progress_ns == INT64_MAX) return;
        s->progress_ns = INT64_MAX;
        speak(r, s);
        str_addf(&r->out, "#%u %s\n", s->number, s->phase);
        return;
    }
    if (ev->time_ns - s->progress_ns < PROGRESS_EVERY_NS) return;
    s->progress_ns = ev->time_ns;
    speak(r, s);
    str_addf(&r->out, "#%u ", s->number);
    num_print_size(s->done, &r->out);
    if (s->total) {
        str_addz(&r->out, " of ");
        num_print_size(s->total, &r->out);
    }
    str_addc(&r->out, '\n');
}

static void finished(struct cli_render *r, struct cli_step *s, const struct event *ev)
{
    speak(r, s);
    if (ev->kind == EVENT_CACHED) {
        str_addf(&r->out, "#%u %s\n", s->number, s->note[0] ? s->note : "CACHED");
    } else if (ev->kind == EVENT_DONE) {
        str_addf(&r->out, "#%u DONE ", s->number);
        num_print_elapsed(ev->time_ns - s->start_ns, &r->out);
        str_addc(&r->out, '\n');
    } else {
        str_addf(&r->out, "#%u ERROR: ", s->number);
        cli_render_clean(ev->text, &r->out);
        str_addc(&r->out, '\n');
    }
    str_addc(&r->out, '\n');
    r->speaking = 0;
    r->stale_warnings = true;
}

static void remark(struct cli_render *r, const struct event *ev)
{
    if (r->speaking) str_addc(&r->out, '\n');
    r->speaking = 0;
    if (ev->kind == EVENT_WARNING) str_addz(&r->out, "warning: ");
    cli_render_clean(ev->text, &r->out);
    str_addc(&r->out, '\n');
}

void cli_plain_event(struct cli_render *r, const struct event *ev)
{
    struct cli_step *s = cli_render_note(r, ev, line);
    if (ev->kind == EVENT_WARNING || ev->kind == EVENT_INFO)
        remark(r, ev);
    else if (ev->kind == EVENT_START)
        speak(r, s);
    else if (ev->kind == EVENT_PROGRESS)
        progress(r, s, ev);
    else if (ev->kind != EVENT_LINE)
        finished(r, s, ev);
}

static void failures(struct cli_render *r)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct cli_step *s = &r->p[i];
        if (s->state != CLI_STEP_FAILED || !s->lines) continue;
        str_addf(&r->out, "------\n > %s:\n", s->name);
        cli_render_tail(s, CLI_TAIL, "", &r->out);
        str_addz(&r->out, "------\n");
    }
}

void cli_plain_end(struct cli_render *r, bool ok)
{
    if (r->speaking) str_addc(&r->out, '\n');
    cli_render_warnings(r);
    failures(r);
    if (r->n && ok) {
        cli_render_sum(r, ok, &r->out);
        str_addc(&r->out, '\n');
    }
}

void cli_quiet_event(struct cli_render *r, const struct event *ev)
{
    cli_render_note(r, ev, NULL);
    if (ev->kind == EVENT_WARNING) remark(r, ev);
}

void cli_quiet_end(struct cli_render *r, bool ok)
{
    if (!ok) failures(r);
}
