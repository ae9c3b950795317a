// SPDX-License-Identifier: Apache-2.0
#include "container/keys.h"

#include <string.h>

#include "base/str.h"

static int one_key(struct sv word)
{
    if (word.n == 1) return (unsigned char)word.p[0];
    if (word.n == 6 && sv_starts(word, "ctrl-")) {
        char c = word.p[5];
        if (c >= 'a' && c <= 'z') return c - 'a' + 1;
        const char *at = memchr("@[\\]^_", c, 6);
        if (at && c) return c == '@' ? 0 : c - '@';
    }
    return -1;
}

int keys_parse(const char *text, struct keys *out, struct err *e)
{
    *out = (struct keys){0};
    struct sv rest = sv_of(text ? text : "ctrl-p,ctrl-q");
    while (rest.n) {
        int key = one_key(sv_cut(&rest, ','));
        if (key < 0 || out->n == KEYS_MAX) {
            err_set(e, ERR_USAGE, "invalid detach keys '%s'", text);
            return err_hint(e, "keys are letters or ctrl- and one of a-z @ [ \\ ] ^ _, with commas "
                               "between: ctrl-p,ctrl-q");
        }
        out->want[out->n++] = (unsigned char)key;
        if (!rest.p) break;
    }
    return 0;
}

bool keys_feed(struct keys *k, char c, char *out, size_t *out_n)
{
    *out_n = 0;
    if (k->n && (unsigned char)c == k->want[k->at]) {
        k->at++;
        return k->at == k->n;
    }
    for (size_t i = 0; i < k->at; i++) out[(*out_n)++] = (char)k->want[i];
    k->at = k->n && (unsigned char)c == k->want[0] ? 1 : 0;
    if (k->at == 0) out[(*out_n)++] = c;
    return false;
}
