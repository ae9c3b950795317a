// SPDX-License-Identifier: Apache-2.0
// COPY's wildcards. Each call compiles its pattern: callers match a handful of patterns against a
// walk that costs far more.
#include "build/glob.h"

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

bool build_glob_magic(struct sv pattern)
{
    for (size_t i = 0; i < pattern.n; i++) {
        char c = pattern.p[i];
        if (c == '\\') i++;
        else if (c == '*' || c == '?' || c == '[') return true;
    }
    return false;
}

// `**` counts as deep only when it is a whole component.
static bool is_deep(const struct build_runes *p, size_t i)
{
    return i + 1 < p->v.n && p->v.p[i] == '*' && p->v.p[i + 1] == '*' &&
           (i == 0 || p->v.p[i - 1] == '/') && (i + 2 == p->v.n || p->v.p[i + 2] == '/');
}

static bool compile(struct sv pattern, bool deep, struct build_nfa *out)
{
    own(build_runes) struct build_runes p = {0};
    build_runes_of(pattern, &p);
    for (size_t i = 0; i < p.v.n; i++) {
        uint32_t c = p.v.p[i];
        if (deep && is_deep(&p, i)) {
            bool last = i + 2 >= p.v.n;
            build_nfa_add(out, last ? BUILD_NFA_ALL : BUILD_NFA_DEEP, 0);
            i += last ? 1 : 2;
        } else if (c == '*') {
            build_nfa_add(out, BUILD_NFA_NAME_MANY, 0);
        } else if (c == '?') {
            build_nfa_add(out, BUILD_NFA_NAME_ONE, 0);
        } else if (c == '[') {
            size_t took = build_nfa_add_class(out, p.v.p + i + 1, p.v.n - i - 1);
            if (took == 0) return false;
            i += took;
        } else {
            if (c == '\\' && ++i >= p.v.n) return false;
            build_nfa_add(out, BUILD_NFA_RUNE, p.v.p[i]);
        }
    }
    return true;
}

int build_glob_check(struct sv pattern, struct err *e)
{
    own(build_nfa) struct build_nfa nfa = {0};
    if (compile(pattern, false, &nfa)) return 0;
    err_set(e, ERR_INPUT, "malformed pattern '%.*s'", (int)pattern.n, pattern.p);
    return err_hint(e,
                    "a '[' needs its ']'; write [[] for a plain bracket and \\\\ for a backslash");
}

static bool match(struct sv pattern, bool deep, struct sv name)
{
    own(build_nfa) struct build_nfa nfa = {0};
    own(build_runes) struct build_runes r = {0};
    if (!compile(pattern, deep, &nfa)) return false;
    build_runes_of(name, &r);
    return build_nfa_match(&nfa, r.v.p, r.v.n);
}

bool build_glob_match(struct sv pattern, struct sv name)
{
    return match(pattern, false, name);
}

bool build_glob_match_deep(struct sv pattern, struct sv name)
{
    return match(pattern, true, name);
}

bool build_glob_may_match_below(struct sv pattern, struct sv dir)
{
    own(build_nfa) struct build_nfa nfa = {0};
    own(build_runes) struct build_runes r = {0};
    if (!compile(pattern, true, &nfa)) return false;
    build_runes_of(dir, &r);
    if (r.v.n > 0) vec_push(&r.v, '/');
    return build_nfa_alive(&nfa, r.v.p, r.v.n);
}
