// SPDX-License-Identifier: Apache-2.0
#include "base/signals.h"

#include <string.h>

#include "base/num.h"

static const char *const names[] = {
    NULL,   "HUP",  "INT",    "QUIT", "ILL",  "TRAP", "ABRT",   "BUS",  "FPE",  "KILL", "USR1",
    "SEGV", "USR2", "PIPE",   "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN",
    "TTOU", "URG",  "XCPU",   "XFSZ", "VTALRM", "PROF", "WINCH", "IO",  "PWR",  "SYS",
};
static const struct {
    const char *name;
    int number;
} others[] = {{"IOT", 6}, {"CLD", 17}, {"POLL", 29}, {"UNUSED", 31}, {"RTMIN", 34}, {"RTMAX", 64}};

static int real_time(struct sv text)
{
    uint64_t n = 0;
    bool min = text.n > 6 && sv_eq_nocase(sv_part(text, 0, 6), SV("RTMIN+"));
    bool max = text.n > 6 && sv_eq_nocase(sv_part(text, 0, 6), SV("RTMAX-"));
    if ((!min && !max) || !num_u64_max(sv_from(text, 6), 30, &n)) return -1;
    return min ? 34 + (int)n : 64 - (int)n;
}

int signals_number(struct sv text)
{
    uint64_t n = 0;
    if (num_u64(text, &n)) return n >= 1 && n <= 64 ? (int)n : -1;
    if (text.n > 3 && sv_eq_nocase(sv_part(text, 0, 3), SV("SIG"))) text = sv_from(text, 3);
    for (size_t i = 1; i < sizeof names / sizeof *names; i++)
        if (sv_eq_nocase(text, sv_of(names[i]))) return (int)i;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (sv_eq_nocase(text, sv_of(others[i].name))) return others[i].number;
    return real_time(text);
}
