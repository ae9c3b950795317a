// SPDX-License-Identifier: Apache-2.0
// .dockerignore. The corners follow the matcher that Docker and BuildKit share: "**foo" matches any
// path that ends in "foo", "foo**" any path that begins with it, and a lone "**" everything, while
// the same stars in a pattern with other wildcards match whole folders.
#include "build/ignore.h"

#include <stdlib.h>

#include "base/engine.h"
#include "base/own.h"
#include "build/glob.h"
#include "build/nfa.h"
#include "build/path.h"

static inline void own_build_runes(struct build_runes *r)
{
    build_runes_fini(r);
}

// Reads "**" (and a slash behind it) at `i`. Returns the index of the last rune taken.
static size_t compile_stars(const struct build_runes *r, size_t i, struct build_pattern *p)
{
    bool first = i == 0;
    i++;
    if (i + 1 < r->v.n && r->v.p[i + 1] == '/') i++;
    if (i + 1 < r->v.n) {
        build_nfa_add(p->nfa, BUILD_NFA_DEEP, 0);
        p->kind = BUILD_PATTERN_WILD;
    } else if (p->kind == BUILD_PATTERN_EXACT) {
        p->kind = BUILD_PATTERN_PREFIX;
    } else {
        build_nfa_add(p->nfa, BUILD_NFA_ALL, 0);
        p->kind = BUILD_PATTERN_WILD;
    }
    if (first) p->kind = BUILD_PATTERN_SUFFIX;
    return i;
}

// The syntax was checked before.
static void compile(struct build_pattern *p)
{
    own(build_runes) struct build_runes r = {0};
    build_runes_of(sv_of(p->text), &r);
    p->nfa = mem_alloc(sizeof *p->nfa);
    p->kind = BUILD_PATTERN_EXACT;
    for (size_t i = 0; i < r.v.n; i++) {
        uint32_t c = r.v.p[i];
        if (c == '*' && i + 1 < r.v.n && r.v.p[i + 1] == '*') {
            i = compile_stars(&r, i, p);
            continue;
        }
        bool wild = true;
        if (c == '*') {
            build_nfa_add(p->nfa, BUILD_NFA_NAME_MANY, 0);
        } else if (c == '?') {
            build_nfa_add(p->nfa, BUILD_NFA_NAME_ONE, 0);
        } else if (c == '[') {
            i += build_nfa_add_class(p->nfa, r.v.p + i + 1, r.v.n - i - 1);
        } else if (c == '\\' && i + 1 < r.v.n) {
            build_nfa_add(p->nfa, BUILD_NFA_RUNE, r.v.p[++i]);
        } else {
            build_nfa_add(p->nfa, BUILD_NFA_RUNE, c);
            wild = c == ']';
        }
        if (wild) p->kind = BUILD_PATTERN_WILD;
    }
    if (p->kind == BUILD_PATTERN_WILD) return;
    build_nfa_fini(p->nfa);
    free(p->nfa);
    p->nfa = NULL;
}

int build_ignore_add(struct build_ignore *ig, struct sv pattern, unsigned line, struct err *e)
{
    pattern = sv_trim(pattern);
    if (pattern.n == 0) return 0;
    bool keep = pattern.p[0] == '!';
    if (keep) pattern = sv_trim(sv_from(pattern, 1));
    if (pattern.n == 0) {
        err_set(e, ERR_INPUT, "'!' without a pattern");
        return err_hint(e, "write !path for what is to be kept");
    }
    own(free) char *text = build_path_clean(pattern);
    struct sv clean = sv_of(text);
    if (clean.n > 1 && clean.p[0] == '/') clean = sv_from(clean, 1);
    if (build_glob_check(clean, e) < 0) return -1;
    if (ig->patterns.n >= BUILD_IGNORE_PATTERNS)
        return err_set(e, ERR_LIMIT, "more than %d patterns", BUILD_IGNORE_PATTERNS);
    struct build_pattern p = {.text = sv_dup(clean), .keep = keep, .line = line};
    compile(&p);
    vec_push(&ig->patterns, p);
    ig->has_keep |= keep;
    return 0;
}

int build_ignore_parse(struct sv text, const char *label, struct build_ignore *out, struct err *e)
{
    if (text.n > LIMIT_IGNOREFILE)
        return err_set(e, ERR_LIMIT, "'%s' is larger than %zu bytes", label, LIMIT_IGNOREFILE);
    struct build_ignore ig = {0};
    if (sv_starts(text, "\xef\xbb\xbf")) text = sv_from(text, 3);
    unsigned line = 0;
    for (struct sv rest = text; rest.p;) {
        struct sv l = sv_cut(&rest, '\n');
        line++;
        if (l.n > 0 && l.p[0] == '#') continue;
        if (build_ignore_add(&ig, l, line, e) < 0) {
            err_wrap(e, "in %s:%u", label, line);
            build_ignore_fini(&ig);
            return -1;
        }
    }
    *out = ig;
    return 0;
}

void build_ignore_fini(struct build_ignore *ig)
{
    vec_each(p, &ig->patterns)
    {
        free(p->text);
        if (p->nfa) build_nfa_fini(p->nfa);
        free(p->nfa);
    }
    vec_fini(&ig->patterns);
}

static bool match_text(const struct build_pattern *p, struct sv path)
{
    struct sv text = sv_of(p->text);
    switch (p->kind) {
    case BUILD_PATTERN_EXACT: return sv_eq(path, text);
    case BUILD_PATTERN_PREFIX: {
        struct sv head = sv_part(text, 0, text.n - 2);
        return path.n >= head.n && sv_eq(sv_part(path, 0, head.n), head);
    }
    case BUILD_PATTERN_SUFFIX: {
        struct sv tail = sv_from(text, 2);
        if (path.n >= tail.n && sv_eq(sv_from(path, path.n - tail.n), tail)) return true;
        return tail.n > 0 && tail.p[0] == '/' && sv_eq(path, sv_from(tail, 1));
    }
    case BUILD_PATTERN_WILD: break;
    }
    return false;
}

// The path itself or one of the folders above it.
static bool match_any(const struct build_pattern *p, struct sv path, const struct build_runes *r)
{
    if (p->kind == BUILD_PATTERN_WILD) return build_nfa_match_path(p->nfa, r->v.p, r->v.n);
    if (match_text(p, path)) return true;
    for (size_t i = 1; i < path.n; i++)
        if (path.p[i] == '/' && match_text(p, sv_part(path, 0, i))) return true;
    return false;
}

// The index of the pattern that decided, or -1.
static long decide(const struct build_ignore *ig, const char *path, bool *ignored)
{
    own(build_runes) struct build_runes r = {0};
    build_runes_of(sv_of(path), &r);
    long by = -1;
    *ignored = false;
    for (size_t i = 0; i < ig->patterns.n; i++) {
        const struct build_pattern *p = &ig->patterns.p[i];
        if (p->keep != *ignored) continue;  // it could change nothing
        if (!match_any(p, sv_of(path), &r)) continue;
        *ignored = !p->keep;
        by = (long)i;
    }
    return by;
}

bool build_ignore_match(const struct build_ignore *ig, const char *path, unsigned *out_line)
{
    bool ignored = false;
    long by = decide(ig, path, &ignored);
    if (out_line) *out_line = by < 0 ? 0 : ig->patterns.p[by].line;
    return ignored;
}

static bool may_match_below(const struct build_pattern *p, struct sv dir,
                            const struct build_runes *r)
{
    struct sv text = sv_of(p->text);  // `dir` ends in '/'
    if (p->kind == BUILD_PATTERN_SUFFIX) return true;
    if (p->kind == BUILD_PATTERN_WILD) return build_nfa_alive(p->nfa, r->v.p, r->v.n);
    size_t n = p->kind == BUILD_PATTERN_PREFIX ? text.n - 2 : text.n;
    if (n >= dir.n) return sv_eq(sv_part(text, 0, dir.n), dir);
    return p->kind == BUILD_PATTERN_PREFIX && sv_eq(sv_part(dir, 0, n), sv_part(text, 0, n));
}

// A pattern that keeps something below an ignored folder must stand behind the pattern that
// ignored it: the same pattern ignores everything below, again, for every path.
bool build_ignore_may_keep(const struct build_ignore *ig, const char *dir)
{
    bool ignored = false;
    if (!ig->has_keep) return false;
    long by = decide(ig, dir, &ignored);
    if (!ignored) return true;
    own(str) struct str below = {0};
    own(build_runes) struct build_runes r = {0};
    str_addf(&below, "%s/", dir);
    build_runes_of(str_sv(&below), &r);
    for (size_t i = (size_t)(by + 1); i < ig->patterns.n; i++) {
        const struct build_pattern *p = &ig->patterns.p[i];
        if (p->keep && may_match_below(p, str_sv(&below), &r)) return true;
    }
    return false;
}
