// SPDX-License-Identifier: Apache-2.0
// TOML's words: true, 1_000, 0xff, 6.02e23, inf, 1979-05-27T07:32:00Z. Each is checked against the
// grammar by hand before the C library sees a cleaned copy, since strtod and strtoll take much
// more.
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "codec/toml_internal.h"

#define WORD_MAX 256

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_digit_of(char c, int base)
{
    int v = is_digit(c)            ? c - '0'
            : c >= 'a' && c <= 'f' ? c - 'a' + 10
            : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                   : 99;
    return v < base;
}

// Digits with single underscores between them, appended without those to out. Number of digits; 0
// when there are none or an underscore stands wrong.
static size_t take_digits(struct sv *w, int base, char *out, size_t *n)
{
    size_t digits = 0;
    while (w->n) {
        char c = w->p[0];
        if (c == '_') {
            if (!digits || w->n < 2 || !is_digit_of(w->p[1], base)) return 0;
            *w = sv_from(*w, 1);
            continue;
        }
        if (!is_digit_of(c, base)) break;
        out[(*n)++] = c;
        digits++;
        *w = sv_from(*w, 1);
    }
    return digits;
}

static struct codec_json *integer(const char *digits, int base, const char **why)
{
    errno = 0;
    long long v = strtoll(digits, NULL, base);
    if (errno == 0) return codec_json_new_int(v);
    *why = "a number outside 64 bits";
    return NULL;
}

static struct codec_json *real(const char *text, const char **why)
{
    double v = strtod(text, NULL);
    if (isfinite(v)) return codec_json_new_real(v);
    *why = "a number that is too large";
    return NULL;
}

static struct codec_json *prefixed(struct sv w, const char **why)
{
    char buf[WORD_MAX];
    size_t n = 0;
    int base = w.p[1] == 'x' ? 16 : w.p[1] == 'o' ? 8 : 2;
    w = sv_from(w, 2);
    size_t digits = take_digits(&w, base, buf, &n);
    buf[n] = '\0';
    return digits && w.n == 0 ? integer(buf, base, why) : NULL;
}

static struct codec_json *number(struct sv w, const char **why)
{
    char buf[WORD_MAX];
    size_t n = 0;
    bool is_real = false;
    if (w.n > 2 && w.p[0] == '0' && (w.p[1] == 'x' || w.p[1] == 'o' || w.p[1] == 'b'))
        return prefixed(w, why);
    if (w.n && (w.p[0] == '+' || w.p[0] == '-')) {
        buf[n++] = w.p[0];
        w = sv_from(w, 1);
    }
    size_t first = n;
    if (!take_digits(&w, 10, buf, &n)) return NULL;
    if (buf[first] == '0' && n - first > 1) {
        *why = "a number with a leading zero";
        return NULL;
    }
    if (w.n && w.p[0] == '.') {
        is_real = true;
        buf[n++] = '.';
        w = sv_from(w, 1);
        if (!take_digits(&w, 10, buf, &n)) return NULL;
    }
    if (w.n && (w.p[0] == 'e' || w.p[0] == 'E')) {
        is_real = true;
        buf[n++] = 'e';
        w = sv_from(w, 1);
        if (w.n && (w.p[0] == '+' || w.p[0] == '-')) {
            buf[n++] = w.p[0];
            w = sv_from(w, 1);
        }
        if (!take_digits(&w, 10, buf, &n)) return NULL;
    }
    buf[n] = '\0';
    if (w.n) return NULL;
    return is_real ? real(buf, why) : integer(buf, 10, why);
}

// Two or four digits from *w; -1 when they are not there.
static int take_number(struct sv *w, size_t n)
{
    int v = 0;
    if (w->n < n) return -1;
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(w->p[i])) return -1;
        v = v * 10 + (w->p[i] - '0');
    }
    *w = sv_from(*w, n);
    return v;
}

static bool take_char(struct sv *w, const char *any)
{
    if (w->n == 0 || !strchr(any, w->p[0])) return false;
    *w = sv_from(*w, 1);
    return true;
}

static bool take_date(struct sv *w)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = take_number(w, 4);
    if (year < 0 || !take_char(w, "-")) return false;
    int month = take_number(w, 2);
    if (month < 1 || month > 12 || !take_char(w, "-")) return false;
    int day = take_number(w, 2);
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return day >= 1 && day <= days[month - 1] + (month == 2 && leap);
}

static bool take_time(struct sv *w)
{
    int hour = take_number(w, 2);
    if (hour < 0 || hour > 23 || !take_char(w, ":")) return false;
    int minute = take_number(w, 2);
    if (minute < 0 || minute > 59 || !take_char(w, ":")) return false;
    int second = take_number(w, 2);
    if (second < 0 || second > 60) return false; // a leap second
    if (!take_char(w, ".")) return true;
    size_t digits = 0;
    while (w->n && is_digit(w->p[0])) {
        *w = sv_from(*w, 1);
        digits++;
    }
    return digits > 0;
}

static bool take_offset(struct sv *w)
{
    if (take_char(w, "Zz")) return true;
    if (!take_char(w, "+-")) return false;
    int hour = take_number(w, 2);
    if (hour < 0 || hour > 23 || !take_char(w, ":")) return false;
    int minute = take_number(w, 2);
    return minute >= 0 && minute <= 59;
}

static bool is_moment(struct sv w)
{
    if (w.n > 2 && w.p[2] == ':') return take_time(&w) && w.n == 0;
    if (!take_date(&w)) return false;
    if (w.n == 0) return true;
    if (!take_char(&w, "Tt ") || !take_time(&w)) return false;
    return w.n == 0 || (take_offset(&w) && w.n == 0);
}

struct codec_json *toml_scalar_parse(struct sv word, const char **out_why)
{
    static const char *const special[] = {"inf", "+inf", "-inf", "nan", "+nan", "-nan"};
    static const char *const names[] = {"inf", "inf", "-inf", "nan", "nan", "nan"};
    *out_why = "expected a value";
    if (word.n == 0) return NULL;
    *out_why = "not a value (a text needs quotes)";
    if (word.n >= WORD_MAX) return NULL;
    if (sv_eqz(word, "true")) return codec_json_new_bool(true);
    if (sv_eqz(word, "false")) return codec_json_new_bool(false);
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (sv_eqz(word, special[i])) return codec_json_new_text(sv_of(names[i]));
    bool dated = word.n > 4 && (word.p[4] == '-' || word.p[2] == ':') && is_digit(word.p[1]) &&
                 is_digit(word.p[0]) && (word.p[2] == ':' || is_digit(word.p[3]));
    if (dated) {
        if (is_moment(word)) return codec_json_new_text(word);
        *out_why = "not a date or time";
        return NULL;
    }
    return number(word, out_why);
}
