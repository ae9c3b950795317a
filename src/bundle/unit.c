// SPDX-License-Identifier: Apache-2.0
// linux.resources as properties of the scope: systemd shows them, and writes them anew whenever it
// looks after its groups. The container's own group has them as well (cgroup.c): that is what its
// programs read.
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/own.h"
#include "bundle/internal.h"
#include "sandbox/systemd.h"

#define CPU_PERIOD 100000
#define NUMBERS 8192  // of processors or memory nodes

struct properties {
    VEC(struct sandbox_systemd_property) list;
};

static void fini(struct properties *p)
{
    vec_each(x, &p->list) free((void *)(uintptr_t)x->bits.p);
    vec_fini(&p->list);
}

static void add(struct properties *p, const char *name, uint64_t number)
{
    vec_push(&p->list, (struct sandbox_systemd_property){.name = name, .number = number});
}

// What is less than 1 is no limit; 0 is what callers write who mean none.
static void add_limit(struct properties *p, const char *name, int64_t v)
{
    if (v) add(p, name, v < 0 ? UINT64_MAX : (uint64_t)v);
}

// "0-2,5"
static void add_set(struct properties *p, const char *name, struct sv text)
{
    char bits[NUMBERS / 8] = {0};
    size_t n = 0;
    for (struct sv rest = sv_trim(text); rest.p && rest.n;) {
        struct sv part = sv_cut(&rest, ','), last = part, first = sv_cut(&last, '-');
        uint64_t a = 0, b = 0;
        // What is wrong with it the kernel has said of the group's file.
        if (!num_u64_max(sv_trim(first), NUMBERS - 1, &a)) return;
        b = a;
        if (last.p && !num_u64_max(sv_trim(last), NUMBERS - 1, &b)) return;
        if (b < a) return;
        for (; a <= b; a++) bits[a / 8] = (char)(bits[a / 8] | 1 << a % 8);
        if (b / 8 + 1 > n) n = b / 8 + 1;
    }
    if (!n) return;
    char *copy = mem_alloc(n);
    memcpy(copy, bits, n);
    vec_push(&p->list, (struct sandbox_systemd_property){.name = name, .bits = {copy, n}});
}

// Microseconds in a second; its percents are whole ones, and less than was asked for would hold.
static void add_quota(struct properties *p, int64_t quota, int64_t period)
{
    if (!quota && !period) return;
    if (period) add(p, "CPUQuotaPeriodUSec", (uint64_t)period);
    if (quota <= 0) {
        add(p, "CPUQuotaPerSecUSec", UINT64_MAX);
        return;
    }
    uint64_t second = (uint64_t)quota * 1000000 / (uint64_t)(period > 0 ? period : CPU_PERIOD);
    add(p, "CPUQuotaPerSecUSec", (second + 9999) / 10000 * 10000);
}

// --- the parts ---------------------------------------------------------------------------------

static int64_t number(const struct codec_json *res, const char *part, const char *key)
{
    return codec_json_int(codec_json_get(codec_json_get(res, part), key));
}

static void add_memory(struct properties *p, const struct codec_json *res)
{
    int64_t limit = number(res, "memory", "limit"), both = number(res, "memory", "swap");
    add_limit(p, "MemoryMax", limit);
    add_limit(p, "MemoryLow", number(res, "memory", "reservation"));
    if (both < 0)
        add(p, "MemorySwapMax", UINT64_MAX);
    else if (both > 0 && both >= limit) // of both together, as v1 had it
        add(p, "MemorySwapMax", (uint64_t)(both - (limit > 0 ? limit : 0)));
}

static void add_cpu(struct properties *p, const struct codec_json *res)
{
    const struct codec_json *cpu = codec_json_get(res, "cpu");
    int64_t shares = number(res, "cpu", "shares");
    if (shares) add(p, "CPUWeight", (uint64_t)bundle_cgroup_weight(shares));
    if (number(res, "cpu", "idle") == 1) add(p, "CPUWeight", 0);
    add_quota(p, number(res, "cpu", "quota"), number(res, "cpu", "period"));
    add_set(p, "AllowedCPUs", codec_json_text(codec_json_get(cpu, "cpus")));
    add_set(p, "AllowedMemoryNodes", codec_json_text(codec_json_get(cpu, "mems")));
}

// linux.resources.unified: files of the kernel, some of which are properties too.
static void add_file(struct properties *p, const char *file, struct sv value)
{
    static const char *const limits[][2] = {
        {"memory.max", "MemoryMax"},   {"memory.high", "MemoryHigh"},
        {"memory.low", "MemoryLow"},   {"memory.min", "MemoryMin"},
        {"pids.max", "TasksMax"},      {"memory.swap.max", "MemorySwapMax"},
        {"cpu.weight", "CPUWeight"},   {"memory.zswap.max", "MemoryZSwapMax"}};
    struct sv rest = sv_trim(value), first = sv_cut(&rest, ' ');
    uint64_t n = 0, period = 0;
    bool max = sv_eqz(first, "max"), whole = max || num_u64_max(first, INT64_MAX, &n);
    for (size_t i = 0; i < sizeof limits / sizeof *limits && whole; i++)
        if (strcmp(file, limits[i][0]) == 0) add(p, limits[i][1], max ? UINT64_MAX : n);
    if (strcmp(file, "cpu.max") == 0 && whole &&
        (!rest.p || num_u64_max(sv_trim(rest), INT32_MAX, &period)))
        add_quota(p, max ? -1 : (int64_t)n, (int64_t)period);
    if (strcmp(file, "cpuset.cpus") == 0) add_set(p, "AllowedCPUs", value);
    if (strcmp(file, "cpuset.mems") == 0) add_set(p, "AllowedMemoryNodes", value);
}

static void add_all(struct properties *p, const struct codec_json *res)
{
    void *it = NULL;
    const char *key;
    struct codec_json *v;
    const struct codec_json *unified = codec_json_get(res, "unified");
    int64_t weight = number(res, "blockIO", "weight");
    add_memory(p, res);
    add_cpu(p, res);
    add_limit(p, "TasksMax", number(res, "pids", "limit"));
    if (weight) add(p, "IOWeight", (uint64_t)bundle_cgroup_io_weight(weight));
    while (unified && codec_json_next(unified, &it, &key, &v)) add_file(p, key, codec_json_text(v));
}

void bundle_unit_print(const struct codec_json *resources, struct str *out)
{
    struct properties p = {0};
    add_all(&p, resources);
    vec_each(x, &p.list)
    {
        str_addf(out, "%s=", x->name);
        if (!x->bits.p && x->number == UINT64_MAX)
            str_addz(out, "infinity");
        else if (!x->bits.p)
            str_addf(out, "%llu", (unsigned long long)x->number);
        for (size_t i = 0; i < x->bits.n; i++) str_addf(out, "%02x", (unsigned char)x->bits.p[i]);
        str_addc(out, '\n');
    }
    fini(&p);
}

// What an old systemd does not know, or one that may not: the container's own group has it.
void bundle_unit_tell(const struct bundle_context *c, const struct idmap *ids, const char *unit,
                      const struct codec_json *resources)
{
    struct properties p = {0};
    struct err e;
    add_all(&p, resources);
    if (p.list.n && sandbox_systemd_set(ids, unit, p.list.p, p.list.n, &e) < 0)
        event_warn(&c->sink, "the limits hold, but '%s' does not have them as properties: %s", unit,
                   err_cause(&e));
    fini(&p);
}
