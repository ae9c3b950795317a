// SPDX-License-Identifier: Apache-2.0
// The wildcard matcher: sets of live tokens instead of backtracking, because patterns come from
// outside and backtracking takes exponential time on some.
#include "build/nfa.h"

#include <string.h>

void build_nfa_add(struct build_nfa *nfa, enum build_nfa_kind kind, uint32_t rune)
{
    uint64_t bit = nfa->tokens.n < 64 ? UINT64_C(1) << nfa->tokens.n : 0;
    if (kind == BUILD_NFA_NAME_MANY || kind == BUILD_NFA_LINE_MANY || kind == BUILD_NFA_ALL)
        nfa->many |= bit;
    if (kind == BUILD_NFA_DEEP) nfa->deep |= bit;
    vec_push(&nfa->tokens, (struct build_nfa_token){.kind = kind, .rune = rune});
    if (kind == BUILD_NFA_DEEP)
        vec_push(&nfa->tokens, (struct build_nfa_token){.kind = BUILD_NFA_DEEP_LOOP});
}

void build_nfa_fini(struct build_nfa *nfa)
{
    vec_fini(&nfa->tokens);
    vec_fini(&nfa->ranges);
}

size_t build_rune_next(struct sv text, uint32_t *out)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (text.n == 0) return 0;
    const unsigned char *p = (const unsigned char *)text.p;
    *out = p[0];
    if (p[0] < 0x80) return 1;
    size_t len = p[0] >= 0xf0 && p[0] < 0xf8 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 1;
    uint32_t r = p[0] & (0x7fu >> len);
    bool good = len > 1 && p[0] < 0xf8 && text.n >= len;
    for (size_t i = 1; good && i < len; i++) {
        good = (p[i] & 0xc0) == 0x80;
        r = (r << 6) | (p[i] & 0x3f);
    }
    if (!good || r < least[len] || r > 0x10ffff || (r >= 0xd800 && r < 0xe000)) {
        *out = 0x110000u + p[0];
        return 1;
    }
    *out = r;
    return len;
}

void build_runes_of(struct sv text, struct build_runes *out)
{
    uint32_t r = 0;
    for (size_t took; (took = build_rune_next(text, &r)) > 0; text = sv_from(text, took))
        vec_push(&out->v, r);
}

void build_runes_fini(struct build_runes *r)
{
    vec_fini(&r->v);
}

void build_runes_print(const uint32_t *r, size_t n, struct str *out)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t c = r[i];
        if (c >= 0x110000) {
            str_addc(out, (char)(c - 0x110000));
        } else if (c < 0x80) {
            str_addc(out, (char)c);
        } else if (c < 0x800) {
            str_addc(out, (char)(0xc0 | (c >> 6)));
            str_addc(out, (char)(0x80 | (c & 0x3f)));
        } else if (c < 0x10000) {
            str_addc(out, (char)(0xe0 | (c >> 12)));
            str_addc(out, (char)(0x80 | ((c >> 6) & 0x3f)));
            str_addc(out, (char)(0x80 | (c & 0x3f)));
        } else {
            str_addc(out, (char)(0xf0 | (c >> 18)));
            str_addc(out, (char)(0x80 | ((c >> 12) & 0x3f)));
            str_addc(out, (char)(0x80 | ((c >> 6) & 0x3f)));
            str_addc(out, (char)(0x80 | (c & 0x3f)));
        }
    }
}

// Unicode's White_Space property.
bool build_rune_is_space(uint32_t r)
{
    if (r < 0x80) return r == ' ' || (r >= '\t' && r <= '\r');
    return r == 0x85 || r == 0xa0 || r == 0x1680 || (r >= 0x2000 && r <= 0x200a) || r == 0x2028 ||
           r == 0x2029 || r == 0x202f || r == 0x205f || r == 0x3000;
}

// Names of variables may hold letters of any script. The blocks without letters are listed; a
// full table would cost more than this corner is worth.
bool build_rune_is_letter(uint32_t r)
{
    static const struct build_nfa_range not_letters[] = {
        {0x80, 0xa9},     {0xab, 0xb4},     {0xb6, 0xb9},       {0xbb, 0xbf},
        {0xd7, 0xd7},     {0xf7, 0xf7},     {0x2c2, 0x2c5},     {0x300, 0x36f},
        {0x2000, 0x2070}, {0x2072, 0x207e}, {0x2080, 0x208f},   {0x20a0, 0x2101},
        {0x2190, 0x2bff}, {0x3000, 0x3004}, {0x3007, 0x3030},   {0xe000, 0xf8ff},
        {0xfe00, 0xfe6f}, {0xff00, 0xff20}, {0x1f000, 0x1faff}, {0x110000, UINT32_MAX},
    };
    if (r < 0x80) return (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z');
    for (size_t i = 0; i < sizeof not_letters / sizeof *not_letters; i++)
        if (r >= not_letters[i].lo && r <= not_letters[i].hi) return false;
    return !build_rune_is_space(r);
}

struct sets {
    unsigned char *now, *next;
    size_t n;  // tokens + 1; the last one is "all matched"
    unsigned char small[2 * 256];
};

static void sets_init(struct sets *s, size_t tokens)
{
    s->n = tokens + 1;
    if (s->n <= 256) {
        s->now = s->small;
        s->next = s->small + s->n;
        memset(s->small, 0, 2 * s->n);
    } else {
        s->now = mem_alloc(s->n);
        s->next = mem_alloc(s->n);
    }
    s->now[0] = 1;
}

static void sets_fini(struct sets *s)
{
    if (s->n <= 256) return;
    free(s->now);
    free(s->next);
}

// Tokens that may match nothing hand over to the one behind them.
static void sets_close(struct sets *s, const struct build_nfa *nfa)
{
    for (size_t i = 0; i + 1 < s->n; i++) {
        if (!s->now[i]) continue;
        enum build_nfa_kind k = nfa->tokens.p[i].kind;
        if (k == BUILD_NFA_NAME_MANY || k == BUILD_NFA_LINE_MANY || k == BUILD_NFA_ALL)
            s->now[i + 1] = 1;
        if (k == BUILD_NFA_DEEP) s->now[i + 1] = s->now[i + 2] = 1;
    }
}

static bool class_has(const struct build_nfa *nfa, const struct build_nfa_token *t, uint32_t r)
{
    for (size_t i = 0; i < t->ranges; i++) {
        const struct build_nfa_range *g = &nfa->ranges.p[t->first + i];
        if (r >= g->lo && r <= g->hi) return !t->negate;
    }
    return t->negate;
}

enum { FORWARD = 2, STAY = 1 };  // so that a shift by the token's index gives the next set

// Where a live token goes with the character `r`.
static unsigned step_one(const struct build_nfa *nfa, size_t i, uint32_t r)
{
    const struct build_nfa_token *t = &nfa->tokens.p[i];
    switch (t->kind) {
    case BUILD_NFA_RUNE: return r == t->rune ? FORWARD : 0;
    case BUILD_NFA_NAME_ONE: return r != '/' ? FORWARD : 0;
    case BUILD_NFA_NAME_MANY: return r != '/' ? STAY : 0;
    case BUILD_NFA_LINE_ONE: return r != '\n' ? FORWARD : 0;
    case BUILD_NFA_LINE_MANY: return r != '\n' ? STAY : 0;
    case BUILD_NFA_ALL: return STAY;
    case BUILD_NFA_DEEP: return 0;
    case BUILD_NFA_DEEP_LOOP: return r == '/' ? STAY | FORWARD : STAY;
    case BUILD_NFA_CLASS: return class_has(nfa, t, r) ? FORWARD : 0;
    }
    return 0;
}

// One character. False when nothing can match any more.
static bool sets_step(struct sets *s, const struct build_nfa *nfa, uint32_t r)
{
    bool live = false;
    memset(s->next, 0, s->n);
    for (size_t i = 0; i + 1 < s->n; i++) {
        unsigned to = s->now[i] ? step_one(nfa, i, r) : 0;
        if (to & STAY) s->next[i] = 1;
        if (to & FORWARD) s->next[i + 1] = 1;
    }
    unsigned char *t = s->now;
    s->now = s->next;
    s->next = t;
    for (size_t i = 0; i < s->n && !live; i++) live = s->now[i];
    if (live) sets_close(s, nfa);
    return live;
}

bool build_nfa_match(const struct build_nfa *nfa, const uint32_t *r, size_t n)
{
    struct sets s;
    sets_init(&s, nfa->tokens.n);
    sets_close(&s, nfa);
    bool live = true;
    for (size_t i = 0; live && i < n; i++) live = sets_step(&s, nfa, r[i]);
    bool yes = live && s.now[s.n - 1];
    sets_fini(&s);
    return yes;
}

static uint64_t close_fast(const struct build_nfa *nfa, uint64_t now)
{
    for (uint64_t before = 0; before != now;) {
        before = now;
        uint64_t deep = now & nfa->deep;
        now |= ((now & nfa->many) << 1) | (deep << 1) | (deep << 2);
    }
    return now;
}

// The fast way: a set is one word. A context of ten thousand files asks this for each of them.
static bool match_path_fast(const struct build_nfa *nfa, const uint32_t *r, size_t n)
{
    uint64_t all = UINT64_C(1) << nfa->tokens.n, now = close_fast(nfa, 1);
    for (size_t i = 0; now; i++) {
        if ((i == n || r[i] == '/') && i > 0 && (now & all)) return true;
        if (i == n) break;
        uint64_t next = 0;
        for (now &= all - 1; now; now &= now - 1) {
            unsigned at = (unsigned)__builtin_ctzll(now);
            next |= (uint64_t)step_one(nfa, at, r[i]) << at;
        }
        now = close_fast(nfa, next);
    }
    return false;
}

bool build_nfa_match_path(const struct build_nfa *nfa, const uint32_t *r, size_t n)
{
    // Most paths differ from the pattern in the first characters already.
    for (size_t i = 0; i < nfa->tokens.n && nfa->tokens.p[i].kind == BUILD_NFA_RUNE; i++)
        if (i >= n || r[i] != nfa->tokens.p[i].rune) return false;
    if (nfa->tokens.n < 63) return match_path_fast(nfa, r, n);
    struct sets s;
    sets_init(&s, nfa->tokens.n);
    sets_close(&s, nfa);
    bool live = true, yes = false;
    for (size_t i = 0; live && !yes; i++) {
        yes = (i == n || r[i] == '/') && i > 0 && s.now[s.n - 1];
        if (i == n) break;
        live = sets_step(&s, nfa, r[i]);
    }
    sets_fini(&s);
    return yes;
}

bool build_nfa_alive(const struct build_nfa *nfa, const uint32_t *r, size_t n)
{
    struct sets s;
    sets_init(&s, nfa->tokens.n);
    sets_close(&s, nfa);
    bool live = true;
    for (size_t i = 0; live && i < n; i++) live = sets_step(&s, nfa, r[i]);
    bool more = false;  // the last state alone means "matched, and nothing may follow"
    for (size_t i = 0; live && i + 1 < s.n && !more; i++) more = s.now[i];
    sets_fini(&s);
    return more;
}

bool build_nfa_ends(const struct build_nfa *nfa, const uint32_t *r, size_t n, bool shortest,
                    size_t *out_end, uint64_t *budget)
{
    struct sets s;
    sets_init(&s, nfa->tokens.n);
    sets_close(&s, nfa);
    bool found = false, live = true;
    for (size_t i = 0; live; i++) {
        if (s.now[s.n - 1]) {
            found = true;
            *out_end = i;
            if (shortest) break;
        }
        if (i == n) break;
        if (*budget <= s.n) {
            *budget = 0;
            found = false;
            break;
        }
        *budget -= s.n;
        live = sets_step(&s, nfa, r[i]);
    }
    sets_fini(&s);
    return found;
}

// One end of a range: a character, or one behind a backslash.
static bool class_rune(const uint32_t *r, size_t n, size_t *at, uint32_t *out)
{
    if (*at >= n || r[*at] == '-' || r[*at] == ']') return false;
    if (r[*at] == '\\' && ++*at >= n) return false;
    *out = r[(*at)++];
    return *at < n;  // the closing bracket must still come
}

size_t build_nfa_add_class(struct build_nfa *nfa, const uint32_t *r, size_t n)
{
    struct build_nfa_token t = {.kind = BUILD_NFA_CLASS, .first = nfa->ranges.n};
    size_t at = 0;
    if (n > 0 && r[0] == '^') {
        t.negate = true;
        at = 1;
    }
    for (; at < n && !(r[at] == ']' && t.ranges > 0); t.ranges++) {
        struct build_nfa_range g = {0};
        if (!class_rune(r, n, &at, &g.lo)) return 0;
        g.hi = g.lo;
        if (r[at] == '-') {
            at++;
            if (!class_rune(r, n, &at, &g.hi)) return 0;
        }
        vec_push(&nfa->ranges, g);
    }
    if (at >= n) return 0;
    vec_push(&nfa->tokens, t);
    return at + 1;
}
