// SPDX-License-Identifier: Apache-2.0
// Edit distance for hints.
#include "build/suggest.h"

#include <ctype.h>

#define LONGEST 63

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned build_suggest_distance(struct sv a, struct sv b)
{
    unsigned rows[3][LONGEST + 1];
    if (a.n > LONGEST || b.n > LONGEST) return 1000;
    for (unsigned j = 0; j <= b.n; j++) rows[0][j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned *now = rows[i % 3], *above = rows[(i - 1) % 3], *two = rows[(i + 1) % 3];
        now[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            int x = tolower((unsigned char)a.p[i - 1]), y = tolower((unsigned char)b.p[j - 1]);
            now[j] = least(least(above[j], now[j - 1]) + 1, above[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == tolower((unsigned char)b.p[j - 2]) &&
                y == tolower((unsigned char)a.p[i - 2]))
                now[j] = least(now[j], two[j - 2] + 1);
        }
    }
    return rows[a.n % 3][b.n];
}

const char *build_suggest_find(struct sv word, const struct strv *names)
{
    const char *best = NULL;
    unsigned best_distance = 3;
    for (size_t i = 0; i < names->n; i++) {
        unsigned d = build_suggest_distance(word, sv_of(names->p[i]));
        if (d >= best_distance || d > word.n / 2) continue;
        best = names->p[i];
        best_distance = d;
    }
    return best;
}
