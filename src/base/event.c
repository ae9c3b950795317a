// SPDX-License-Identifier: Apache-2.0
// Events from rooms to whoever shows them.
#include "base/event.h"

#include <stdarg.h>

#include "base/clock.h"
#include "base/own.h"

static const char *const names[EVENT_KIND_COUNT] = {
    [EVENT_START] = "start",     [EVENT_CACHED] = "cached", [EVENT_LINE] = "line",
    [EVENT_PROGRESS] = "progress", [EVENT_WARNING] = "warning", [EVENT_DONE] = "done",
    [EVENT_FAILED] = "failed",   [EVENT_INFO] = "info",
};

const char *event_kind_name(enum event_kind kind)
{
    return (unsigned)kind < EVENT_KIND_COUNT ? names[kind] : "?";
}

void event_emit(const struct event_sink *sink, struct event ev)
{
    if (!sink || !sink->emit) return;
    if (!ev.time_ns) ev.time_ns = clock_mono_ns();
    sink->emit(sink->arg, &ev);
}

static void say(const struct event_sink *sink, enum event_kind kind, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));
static void say(const struct event_sink *sink, enum event_kind kind, const char *fmt, va_list ap)
{
    own(str) struct str s = {0};
    str_vaddf(&s, fmt, ap);
    event_emit(sink, (struct event){.kind = kind, .text = str_sv(&s)});
}

void event_warn(const struct event_sink *sink, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(sink, EVENT_WARNING, fmt, ap);
    va_end(ap);
}

void event_info(const struct event_sink *sink, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(sink, EVENT_INFO, fmt, ap);
    va_end(ap);
}
