// SPDX-License-Identifier: Apache-2.0
// The only clock. Calendar arithmetic is done here: gmtime is not reentrant and timegm reads TZ.
#include "base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/own.h"

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

bool clock_epoch(int64_t *out_seconds)
{
    const char *z = getenv("SOURCE_DATE_EPOCH");
    return z && z[0] && num_i64(sv_of(z), out_seconds);
}

int64_t clock_now(void)
{
    int64_t s;
    return clock_epoch(&s) ? s : clock_real_ns() / 1000000000;
}

int64_t clock_real_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t clock_mono_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_boot_ns(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

// Days since 1970-01-01 of a proleptic Gregorian date, and back (years counted from March).
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void date_of(int64_t days, int64_t *y, int64_t *m, int64_t *d)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097, doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp + (mp < 10 ? 3 : -9);
    *y = yoe + era * 400 + (*m <= 2);
}

static void print_seconds(int64_t s, struct str *out)
{
    int64_t days = s / 86400, rest = s % 86400, y, m, d;
    if (rest < 0) days--, rest += 86400;
    date_of(days, &y, &m, &d);
    str_addf(out, "%04d-%02d-%02dT%02d:%02d:%02d", (int)y, (int)m, (int)d, (int)(rest / 3600),
             (int)(rest / 60 % 60), (int)(rest % 60));
}

void clock_print(int64_t seconds, struct str *out)
{
    print_seconds(seconds, out);
    str_addc(out, 'Z');
}

void clock_print_ns(int64_t ns, struct str *out)
{
    int64_t s = ns / 1000000000, frac = ns % 1000000000;
    if (frac < 0) s--, frac += 1000000000;
    print_seconds(s, out);
    if (frac) {
        char digits[16];
        int n = snprintf(digits, sizeof digits, ".%09d", (int)frac);
        while (n > 0 && digits[n - 1] == '0') n--;
        str_add(out, (struct sv){digits, (size_t)n});
    }
    str_addc(out, 'Z');
}

// Reads exactly n digits at *at.
static bool digits(struct sv t, size_t *at, size_t n, int64_t *out)
{
    uint64_t v;
    if (!num_u64(sv_part(t, *at, n), &v) || *at + n > t.n) return false;
    *at += n;
    *out = (int64_t)v;
    return true;
}

bool clock_parse(struct sv t, int64_t *out_seconds)
{
    int64_t f[6];
    static const struct {
        size_t width;
        const char *sep;
    } form[6] = {{4, "-"}, {2, "-"}, {2, "Tt "}, {2, ":"}, {2, ":"}, {2, ""}};
    size_t at = 0;
    for (int i = 0; i < 6; i++) {
        if (!digits(t, &at, form[i].width, &f[i])) return false;
        if (i < 5 && (at >= t.n || !strchr(form[i].sep, t.p[at++]))) return false;
    }
    if (f[1] < 1 || f[1] > 12 || f[2] < 1 || f[2] > 31 || f[3] > 23 || f[4] > 59 || f[5] > 60)
        return false;
    if (at < t.n && t.p[at] == '.') {
        size_t start = ++at;
        while (at < t.n && t.p[at] >= '0' && t.p[at] <= '9') at++;
        if (at == start) return false;
    }
    int64_t shift = 0, hh, mm;
    if (at < t.n && (t.p[at] == '+' || t.p[at] == '-')) {
        int64_t sign = t.p[at++] == '-' ? -1 : 1;
        if (!digits(t, &at, 2, &hh) || at >= t.n || t.p[at++] != ':' || !digits(t, &at, 2, &mm))
            return false;
        shift = sign * (hh * 3600 + mm * 60);
    } else if (at < t.n && (t.p[at] == 'Z' || t.p[at] == 'z')) {
        at++;
    } else {
        return false;
    }
    if (at != t.n) return false;
    *out_seconds = days_of(f[0], f[1], f[2]) * 86400 + f[3] * 3600 + f[4] * 60 + f[5] - shift;
    return true;
}

int clock_boot_id(char out[37], struct err *e)
{
    own(str) struct str s = {.max = 64};
    if (fs_read_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 64, &s, e) < 0) return -1;
    if (s.n < 36) return err_set(e, ERR_UNSUPPORTED, "the kernel's boot id is malformed");
    memcpy(out, s.p, 36);
    out[36] = '\0';
    return 0;
}

void clock_zone(void)
{
    const char *zone = getenv("TZ");
    if (!zone || !zone[0] || zone[0] == ':' || strpbrk(zone, ",") || strstr(zone, "..")) return;
    own(free) char *file = str_fmt("/usr/share/zoneinfo/%s", zone);
    own(free) char *name = str_fmt(":%s", zone);
    if (fs_exists(AT_FDCWD, file)) setenv("TZ", name, 1);
}
