// SPDX-License-Identifier: Apache-2.0
// The error value. Frames are kept in the order they were set, the cause first; printing turns them
// round so that a person reads from the command down to the cause.
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

static const char *const kind_names[ERR_KIND_COUNT] = {
    [ERR_NONE] = "none",
    [ERR_INTERNAL] = "internal",
    [ERR_USAGE] = "usage",
    [ERR_INPUT] = "input",
    [ERR_SYSTEM] = "system",
    [ERR_NOT_FOUND] = "not-found",
    [ERR_CONFLICT] = "conflict",
    [ERR_LIMIT] = "limit",
    [ERR_UNSUPPORTED] = "unsupported",
    [ERR_CORRUPT] = "corrupt",
    [ERR_STEP] = "step",
    [ERR_NO_PROGRAM] = "no-program",
    [ERR_NOT_EXEC] = "not-executable",
    [ERR_INTERRUPTED] = "interrupted",
};

const char *err_kind_name(enum err_kind kind)
{
    return (unsigned)kind < ERR_KIND_COUNT ? kind_names[kind] : "?";
}

const char *err_errno_name(int code)
{
    const char *name = strerrorname_np(code);
    return name ? name : "E?";
}

void err_clear(struct err *e)
{
    e->kind = ERR_NONE;
    e->sys = e->status = 0;
    e->frames = 0;
    e->used = 0;
    e->hint[0] = e->text[0] = '\0';
}

static void push(struct err *e, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void push(struct err *e, const char *fmt, va_list ap)
{
    size_t room = sizeof e->text - e->used;
    if (room < 8) return;  // a deep stack loses its outermost frames, never the cause
    int n = vsnprintf(e->text + e->used, room, fmt, ap);
    if (n < 0) return;
    size_t len = (size_t)n < room ? (size_t)n : room - 1;
    e->used += len + 1;
    e->frames++;
}

int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
    err_clear(e);
    e->kind = kind;
    va_list ap;
    va_start(ap, fmt);
    push(e, fmt, ap);
    va_end(ap);
    return -1;
}

static int set_sys(struct err *e, int code, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));
static int set_sys(struct err *e, int code, const char *fmt, va_list ap)
{
    char what[700];
    vsnprintf(what, sizeof what, fmt, ap);
    err_set(e, ERR_SYSTEM, "%s: %s (%s)", what, strerror(code), err_errno_name(code));
    e->sys = code;
    if (code == ENOSPC || code == EDQUOT)
        err_hint(e, "free some space, or run 'dewar system prune'");
    return -1;
}

int err_sys(struct err *e, const char *fmt, ...)
{
    int code = errno;
    va_list ap;
    va_start(ap, fmt);
    set_sys(e, code, fmt, ap);
    va_end(ap);
    return -1;
}

int err_sys_code(struct err *e, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_sys(e, code, fmt, ap);
    va_end(ap);
    return -1;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    push(e, fmt, ap);
    va_end(ap);
    return -1;
}

int err_hint(struct err *e, const char *fmt, ...)
{
    if (e->hint[0]) return -1;  // the one nearest to the cause knows best
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->hint, sizeof e->hint, fmt, ap);
    va_end(ap);
    return -1;
}

const char *err_cause(const struct err *e)
{
    return e->frames ? e->text : "";
}

const char *err_frame(const struct err *e, unsigned index)
{
    if (index >= e->frames) return "";
    const char *p = e->text;
    for (unsigned skip = e->frames - 1 - index; skip > 0; skip--) p += strlen(p) + 1;
    return p;
}

void err_print(const struct err *e, struct str *out)
{
    for (unsigned i = 0; i < e->frames; i++) {
        str_addz(out, i == 0 ? "dewar: error: " : i + 1 == e->frames ? "  cause: " : "  ");
        str_add_escaped(out, sv_of(err_frame(e, i)));
        str_addc(out, '\n');
    }
    if (e->frames == 0) str_addz(out, "dewar: error: unknown failure\n");
    if (e->hint[0]) {
        str_addz(out, "  hint: ");
        str_add_escaped(out, sv_of(e->hint));
        str_addc(out, '\n');
    }
}
