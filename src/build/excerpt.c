// SPDX-License-Identifier: Apache-2.0
// The lines of a Dockerfile around a place, with numbers, marks and a caret, for people.
#include <string.h>

#include "base/num.h"
#include "base/own.h"
#include "base/table.h"
#include "build/dockerfile.h"

#define AROUND 2
#define MOST 12        // lines of one instruction that are shown
#define SHOWN_MAX 200  // bytes of a line that are shown

// Tabs are four columns; what a terminal would obey is escaped.
static void add_line(struct sv line, struct str *out)
{
    while (line.p) {
        struct sv piece = sv_cut(&line, '\t');
        str_add_escaped(out, piece);
        if (line.p) str_addz(out, "    ");
    }
}

static struct sv line_of(const struct build_file *f, unsigned number)
{
    return sv_part(sv_of(f->lines.p[number - 1]), 0, SHOWN_MAX);
}

static void add_caret(struct sv line, struct sv what, struct str *out)
{
    own(str) struct str before = {0}, under = {0};
    add_line(sv_part(line, 0, (size_t)(what.p - line.p)), &before);
    add_line(what, &under);
    str_addf(out, "     |     %*s", (int)table_width(str_sv(&before)), "");
    for (size_t i = table_width(str_sv(&under)); i > 0; i--) str_addc(out, '^');
    str_addc(out, '\n');
}

// Where `about` stands in the lines; else the keyword of the first. Its line in *number.
static struct sv find(const struct build_file *f, unsigned first, unsigned last, struct sv about,
                      unsigned *number)
{
    for (*number = first; about.n && *number <= last; ++*number) {
        struct sv line = line_of(f, *number);
        const char *at = memmem(line.p, line.n, about.p, about.n);
        if (at) return (struct sv){at, about.n};
    }
    *number = first;
    struct sv line = line_of(f, first), word = sv_trim(line);
    for (size_t n = 0; n < word.n; n++)
        if (word.p[n] == ' ' || word.p[n] == '\t') return sv_part(word, 0, n);
    return word;
}

// What a message quotes first, up to an ellipsis: 'no such' of "'no such' is not here".
static struct sv quoted(const char *message)
{
    struct sv rest = sv_of(message);
    sv_cut(&rest, '\'');
    if (!rest.p) return SV("");
    struct sv text = sv_cut(&rest, '\'');
    const char *dots = rest.p ? memmem(text.p, text.n, "...", 3) : NULL;
    return !rest.p ? SV("") : dots ? (struct sv){text.p, (size_t)(dots - text.p)} : text;
}

void build_dockerfile_excerpt(const struct build_file *f, unsigned first, unsigned last,
                              const char *message, struct str *out)
{
    if (last < first) last = first;
    unsigned from = first > AROUND ? first - AROUND : 1, caret = 0;
    unsigned to = last + AROUND;
    if (to > f->lines.n) to = (unsigned)f->lines.n;
    if (to == f->lines.n && to > last && f->lines.p[to - 1][0] == '\0') to--;
    struct sv what = message ? find(f, first, last, quoted(message), &caret) : SV("");
    str_addf(out, "%s:%u\n", f->label, first);
    for (unsigned i = from; i <= to; i++) {
        bool marked = i >= first && i <= last;
        if (marked && i - first >= MOST && i < last && i != caret) {
            if (i - first == MOST) str_addf(out, "  >>> | ...\n");
            continue;
        }
        str_addf(out, "%4u |%s ", i, marked ? " >>>" : "    ");
        add_line(line_of(f, i), out);
        str_addc(out, '\n');
        if (i == caret && what.n) add_caret(line_of(f, i), what, out);
    }
}

static bool continues(const struct build_file *f, unsigned number)
{
    struct sv line = sv_trim(sv_of(f->lines.p[number - 1]));
    return line.n && line.p[line.n - 1] == f->escape && number < f->lines.n;
}

static unsigned last_line(const struct build_file *f, unsigned line)
{
    vec_each(in, &f->instrs)
        if (in->first_line <= line && line <= in->last_line) return in->code_last_line;
    while (continues(f, line)) line++; // it could not be read
    return line;
}

void build_dockerfile_explain(const struct build_file *f, const struct err *e, struct str *out)
{
    size_t n = f->label ? strlen(f->label) : 0;
    for (unsigned i = e->frames; n && i-- > 0;) {
        const char *at = strstr(err_frame(e, i), f->label);
        uint64_t line;
        if (!at || at[n] != ':') continue;
        struct sv rest = sv_of(at + n + 1);
        size_t digits = strspn(rest.p, "0123456789");
        if (!num_u64_max(sv_part(rest, 0, digits), f->lines.n, &line) || line == 0) continue;
        build_dockerfile_excerpt(f, (unsigned)line, last_line(f, (unsigned)line), err_cause(e),
                                 out);
        return;
    }
}
