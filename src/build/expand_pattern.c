// SPDX-License-Identifier: Apache-2.0
// Cutting and replacing by pattern. The end of a value is cut by turning pattern and value round
// and cutting the beginning: the shortest match at the end is then the first one found.
#include "build/expand_pattern.h"

#include "base/own.h"
#include "build/nfa.h"

static inline void own_build_nfa(struct build_nfa *n)
{
    build_nfa_fini(n);
}
static inline void own_build_runes(struct build_runes *r)
{
    build_runes_fini(r);
}

static int compile(struct sv pattern, struct build_nfa *out, struct err *e)
{
    own(build_runes) struct build_runes p = {0};
    build_runes_of(pattern, &p);
    for (size_t i = 0; i < p.v.n; i++) {
        uint32_t c = p.v.p[i];
        if (c == '*') {
            build_nfa_add(out, BUILD_NFA_LINE_MANY, 0);
            continue;
        }
        if (c == '?') {
            build_nfa_add(out, BUILD_NFA_LINE_ONE, 0);
            continue;
        }
        if (c == '\\') {
            uint32_t after = i + 1 < p.v.n ? p.v.p[i + 1] : 0;
            if (after != '}' && after != '/' && after != '*' && after != '?' && after != '\\') {
                err_set(e, ERR_INPUT, "bad escape in the pattern '%.*s'", (int)pattern.n,
                        pattern.p);
                return err_hint(e, "in a pattern a backslash may stand before * ? \\ } and /");
            }
            i++;
            c = after;
        }
        build_nfa_add(out, BUILD_NFA_RUNE, c);
    }
    return 0;
}

static void turn_runes(struct build_runes *r)
{
    for (size_t i = 0, j = r->v.n; i + 1 < j; i++) {
        uint32_t c = r->v.p[i];
        r->v.p[i] = r->v.p[--j];
        r->v.p[j] = c;
    }
}

static void turn_tokens(struct build_nfa *n)
{
    for (size_t i = 0, j = n->tokens.n; i + 1 < j; i++) {
        struct build_nfa_token t = n->tokens.p[i];
        n->tokens.p[i] = n->tokens.p[--j];
        n->tokens.p[j] = t;
    }
}

static int too_slow(struct err *e)
{
    err_set(e, ERR_LIMIT, "the pattern takes too long on this value");
    return err_hint(e, "use fewer wildcards, or a shorter value");
}

int build_expand_pattern_trim(struct sv pattern, struct sv value, bool at_end, bool longest,
                              uint64_t *budget, struct str *out, struct err *e)
{
    own(build_nfa) struct build_nfa nfa = {0};
    own(build_runes) struct build_runes v = {0};
    if (compile(pattern, &nfa, e) < 0) return -1;
    build_runes_of(value, &v);
    if (at_end) {
        turn_runes(&v);
        turn_tokens(&nfa);
    }
    size_t cut = 0;
    if (!build_nfa_ends(&nfa, v.v.p, v.v.n, !longest, &cut, budget)) cut = 0;
    if (*budget == 0) return too_slow(e);
    if (at_end) {
        turn_runes(&v);
        build_runes_print(v.v.p, v.v.n - cut, out);
    } else if (v.v.n > cut) {
        build_runes_print(v.v.p + cut, v.v.n - cut, out);
    }
    return 0;
}

int build_expand_pattern_replace(struct sv pattern, struct sv value, struct sv with, bool all,
                                 uint64_t *budget, struct str *out, struct err *e)
{
    own(build_nfa) struct build_nfa nfa = {0};
    own(build_runes) struct build_runes v = {0};
    if (compile(pattern, &nfa, e) < 0) return -1;
    build_runes_of(value, &v);
    size_t at = 0;
    bool after_match = false;  // an empty match right behind a match does not count
    while (at <= v.v.n) {
        size_t len = 0;
        bool hit = build_nfa_ends(&nfa, v.v.n > at ? v.v.p + at : NULL, v.v.n - at, false, &len,
                                  budget);
        if (*budget == 0) return too_slow(e);
        if (hit && !(len == 0 && after_match)) {
            str_add(out, with);
            if (!all) {
                at += len;
                break;
            }
        } else {
            len = 0;
        }
        after_match = len > 0;
        if (len == 0) {
            if (at < v.v.n) build_runes_print(v.v.p + at, 1, out);
            len = 1;
        }
        at += len;
        if (out->overflow) break;
    }
    if (at < v.v.n) build_runes_print(v.v.p + at, v.v.n - at, out);
    return 0;
}
