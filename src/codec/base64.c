// SPDX-License-Identifier: Apache-2.0
// Base64. Used on secrets too, so the output is one buffer that its owner can wipe: room for all of
// it is made first, and nothing is left behind in memory by growing.
#include "codec/base64.h"

#include "base/err.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void make_room(struct str *out, size_t n)
{
    if (out->cap >= out->n + n + 1) return;
    out->p = mem_grow(out->p, out->n + n + 1);
    out->cap = out->n + n + 1;
    out->p[out->n] = '\0';
}

void codec_base64_encode(struct sv bytes, struct str *out)
{
    make_room(out, (bytes.n + 2) / 3 * 4);
    for (size_t i = 0; i < bytes.n; i += 3) {
        unsigned left = bytes.n - i < 3 ? (unsigned)(bytes.n - i) : 3;
        uint32_t v = 0;
        for (unsigned k = 0; k < 3; k++)
            v = v << 8 | (k < left ? (unsigned char)bytes.p[i + k] : 0U);
        for (unsigned k = 0; k < 4; k++)
            str_addc(out, k <= left ? alphabet[v >> (18 - 6 * k) & 63] : '=');
    }
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool codec_base64_decode(struct sv text, struct str *out)
{
    uint32_t v = 0;
    unsigned have = 0, pads = 0;
    size_t digits = 0;
    make_room(out, text.n / 4 * 3 + 3);
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '\n' || c == '\r') continue;
        if (c == '=') {
            pads++;
            continue;
        }
        int d = value_of(c);
        if (d < 0 || pads) return false;
        v = v << 6 | (uint32_t)d;
        digits++;
        have += 6;
        if (have < 8) continue;
        have -= 8;
        str_addc(out, (char)(unsigned char)(v >> have & 0xff));
    }
    // The last digit may carry unused bits; they must be zero, and one digit alone says nothing.
    if (digits % 4 == 1 || (v & ((1U << have) - 1))) return false;
    return pads == 0 || (pads <= 2 && (digits + pads) % 4 == 0);
}
