// SPDX-License-Identifier: Apache-2.0
// Checked numbers, sizes and durations, both ways.
#include "base/num.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/err.h"

bool num_u64_max(struct sv text, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    if (text.n == 0) return false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') return false;
        uint64_t digit = (uint64_t)(text.p[i] - '0');
        if (v > (max - digit) / 10 && (v > max / 10 || v * 10 > max - digit)) return false;
        v = v * 10 + digit;
    }
    if (v > max) return false;
    *out = v;
    return true;
}

bool num_u64(struct sv text, uint64_t *out)
{
    return num_u64_max(text, UINT64_MAX, out);
}

bool num_i64(struct sv text, int64_t *out)
{
    bool minus = text.n && text.p[0] == '-';
    uint64_t v;
    if (!num_u64_max(sv_from(text, minus), (uint64_t)INT64_MAX, &v)) return false;
    *out = minus ? -(int64_t)v : (int64_t)v;
    return true;
}

bool num_octal(struct sv text, uint32_t max, uint32_t *out)
{
    uint64_t v = 0;
    if (text.n == 0 || text.n > 11) return false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '7') return false;
        v = v * 8 + (uint64_t)(text.p[i] - '0');
    }
    if (v > max) return false;
    *out = (uint32_t)v;
    return true;
}

// Reads "12" or "1.5" at the start of *text and moves behind it.
static bool decimal(struct sv *text, double *out)
{
    double v = 0, scale = 1;
    bool any = false, dot = false;
    size_t i = 0;
    for (; i < text->n; i++) {
        char c = text->p[i];
        if (c == '.' && !dot) {
            dot = true;
        } else if (c >= '0' && c <= '9') {
            v = v * 10 + (c - '0');
            if (dot) scale *= 10;
            any = true;
        } else {
            break;
        }
        if (i > 40) return false;
    }
    *text = sv_from(*text, i);
    *out = v / scale;
    return any;
}

int num_bytes(struct sv text, uint64_t *out, struct err *e)
{
    static const char units[] = "bkmgtp";
    struct sv rest = sv_trim(text);
    double v;
    bool ok = decimal(&rest, &v);
    rest = sv_trim(rest);
    double factor = 1;
    if (ok && rest.n) {
        const char *u = strchr(units, rest.p[0] | 0x20);
        ok = u != NULL;
        for (long i = 0; ok && i < u - units; i++) factor *= 1024;
        rest = sv_from(rest, 1);
        if (ok && factor > 1 && rest.n && (rest.p[0] | 0x20) == 'i') rest = sv_from(rest, 1);
        if (ok && factor > 1 && rest.n && (rest.p[0] | 0x20) == 'b') rest = sv_from(rest, 1);
        ok = ok && rest.n == 0;
    }
    if (!ok || v * factor >= 9.2e18) {
        err_set(e, ERR_INPUT, "'%.*s' is not a size", (int)text.n, text.p);
        return err_hint(e, "sizes look like 512, 64m, 1.5g");
    }
    *out = (uint64_t)(v * factor);
    return 0;
}

int num_duration(struct sv text, int64_t *out_ns, struct err *e)
{
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"ns", 1}, {"us", 1e3}, {"\xc2\xb5s", 1e3}, {"ms", 1e6},
                 {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
    struct sv rest = text;
    bool minus = rest.n && rest.p[0] == '-';
    double total = 0;
    if (minus) rest = sv_from(rest, 1);
    if (sv_eqz(rest, "0")) {
        *out_ns = 0;
        return 0;
    }
    bool ok = rest.n > 0;
    while (ok && rest.n) {
        double v;
        size_t best = 0, k = 0;
        ok = decimal(&rest, &v);
        for (size_t i = 0; ok && i < sizeof units / sizeof *units; i++)
            if (sv_starts(rest, units[i].name) && strlen(units[i].name) > best)
                best = strlen(units[k = i].name);
        ok = ok && best > 0;
        if (ok) total += v * units[k].ns;
        rest = sv_from(rest, best);
    }
    if (!ok || total > 9e18) {
        err_set(e, ERR_INPUT, "'%.*s' is not a duration", (int)text.n, text.p);
        return err_hint(e, "durations look like 30s, 1m30s, 500ms");
    }
    *out_ns = (int64_t)(minus ? -total : total);
    return 0;
}

void num_print_size(uint64_t bytes, struct str *out)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    double v = (double)bytes;
    unsigned u = 0;
    while (v >= 1000 && u < 5) v /= 1000, u++;
    str_addf(out, "%.3g%s", v >= 999.5 ? 999.0 : v, units[u]);
}

void num_print_binary(uint64_t bytes, struct str *out)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double v = (double)bytes;
    unsigned u = 0;
    while (v >= 1024 && u < 6) v /= 1024, u++;
    str_addf(out, "%.4g%s", v, units[u]);
}

void num_print_ago(int64_t s, struct str *out)
{
    static const struct {
        int64_t below, per;
        const char *one, *many;
    } rows[] = {
        {1, 1, "Less than a second", "Less than a second"},
        {2, 1, "1 second", "seconds"},
        {60, 1, "", "seconds"},
        {120, 60, "About a minute", ""},
        {46 * 60, 60, "", "minutes"},
        {90 * 60, 3600, "About an hour", ""},
        {48 * 3600, 3600, "", "hours"},
        {14 * 86400, 86400, "", "days"},
        {60 * 86400, 7 * 86400, "", "weeks"},
        {730 * 86400, 30 * 86400, "", "months"},
        {INT64_MAX, 365 * 86400, "", "years"},
    };
    if (s < 0) s = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (s >= rows[i].below) continue;
        if (rows[i].one[0])
            str_addz(out, rows[i].one);
        else
            str_addf(out, "%" PRId64 " %s", s / rows[i].per, rows[i].many);
        return;
    }
}

void num_print_elapsed(int64_t ns, struct str *out)
{
    int64_t tenths = ns / 100000000;
    if (tenths < 600)
        str_addf(out, "%" PRId64 ".%" PRId64 "s", tenths / 10, tenths % 10);
    else
        str_addf(out, "%" PRId64 "m%02" PRId64 "s", tenths / 600, tenths / 10 % 60);
}
