// SPDX-License-Identifier: Apache-2.0
// Heredocs of RUN, COPY and ADD. A word is one when all of it reads [n]<<[-]NAME; the line is
// split as a shell would, with quotes, and a line whose quotes do not balance has none.
#include "build/heredoc.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/num.h"
#include "base/own.h"
#include "build/expand.h"

#define MAX_HEREDOCS 100

void build_heredoc_fini(struct build_heredoc *h)
{
    free(h->name);
    free(h->body);
    memset(h, 0, sizeof *h);
}

static size_t quotes_in(const char *z)
{
    size_t n = 0;
    for (; *z; z++) n += *z == '\'' || *z == '"';
    return n;
}

int build_heredoc_word(struct sv word, struct build_heredoc *out, struct err *e)
{
    struct build_expand x = {.keep_unset = true};
    own(strv) struct strv plain = {0}, quoted = {0};
    size_t digits = 0;
    uint64_t fd = 0;
    while (digits < word.n && isdigit((unsigned char)word.p[digits])) digits++;
    struct sv rest = sv_from(word, digits);
    if (!sv_starts(rest, "<<")) return 0;
    rest = sv_from(rest, 2);
    bool strip = sv_starts(rest, "-");
    if (strip) rest = sv_from(rest, 1);
    rest = build_lex_trim_left(rest);
    if (rest.n == 0 || sv_find(rest, '<') >= 0) return 0;
    if (build_expand_words(&x, rest, &plain, e) < 0) return -1;
    x.raw_quotes = true;
    if (build_expand_words(&x, rest, &quoted, e) < 0) return -1;
    if (plain.n != 1 || quoted.n != 1) return 0;
    if (digits) num_u64_max(sv_part(word, 0, digits), UINT32_MAX, &fd);
    // A quote that was taken off means that the body is literal.
    out->expand = quotes_in(plain.p[0]) == quotes_in(quoted.p[0]);
    out->name = str_dup(plain.p[0]);
    out->strip_tabs = strip;
    out->fd = (unsigned)fd;
    return 1;
}

static struct sv without_tabs(struct sv l)
{
    while (l.n > 0 && l.p[0] == '\t') l = sv_from(l, 1);
    return l;
}

static int read_body(struct build_lex *lx, struct build_heredoc *h, unsigned line, struct err *e)
{
    own(str) struct str body = {0};
    struct sv raw;
    while (build_lex_raw(lx, &raw)) {
        struct sv l = raw;
        while (l.n > 0 && (l.p[l.n - 1] == '\n' || l.p[l.n - 1] == '\r')) l.n--;
        if (h->strip_tabs) l = without_tabs(l);
        if (sv_eqz(l, h->name)) {
            h->body_n = body.n;
            h->body = str_take(&body);
            return 0;
        }
        str_add(&body, raw);
    }
    err_set(e, ERR_INPUT, "the heredoc '%s' of line %u is never closed", h->name, line);
    return err_hint(e, "a line with nothing but '%s' must end it (no blanks before or behind%s)",
                    h->name, h->strip_tabs ? ", but tabs before" : "; '<<-' allows tabs before");
}

int build_heredoc_read(struct build_lex *lx, struct build_instr *in, struct err *e)
{
    const struct build_instr *target = in->sub ? in->sub : in;
    if (!target->def->heredocs || target->json || !strstr(in->original, "<<")) return 0;
    struct build_expand x = {.raw_quotes = true, .raw_escapes = true, .keep_unset = true};
    own(strv) struct strv words = {0};
    struct err ignored = {0};
    if (build_expand_words(&x, sv_of(in->original), &words, &ignored) < 0) return 0;
    for (size_t i = 0; i < words.n; i++) {
        struct build_heredoc h = {0};
        int is = build_heredoc_word(sv_of(words.p[i]), &h, e);
        if (is < 0) return -1;
        if (is == 0) continue;
        vec_push(&in->heredocs, h);
        if (in->heredocs.n > MAX_HEREDOCS)
            return err_set(e, ERR_LIMIT, "more than %d heredocs in one instruction", MAX_HEREDOCS);
    }
    vec_each(h, &in->heredocs)
    {
        if (read_body(lx, h, in->first_line, e) < 0) return -1;
    }
    in->last_line = lx->line;
    return 0;
}

void build_heredoc_body(const struct build_heredoc *h, struct str *out)
{
    struct sv rest = {h->body, h->body_n};
    while (rest.n > 0) {
        long nl = sv_find(rest, '\n');
        struct sv l = nl < 0 ? rest : sv_part(rest, 0, (size_t)nl + 1);
        rest = sv_from(rest, l.n);
        str_add(out, h->strip_tabs ? without_tabs(l) : l);
    }
}
