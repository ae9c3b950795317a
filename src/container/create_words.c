// SPDX-License-Identifier: Apache-2.0
// Options of single words and numbers: limits, streams, ports, and those of which Docker has several
// kinds and we one.
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "container/container.h"
#include "container/create.h"
#include "record/message.h"
#include "record/state.h"
#include "sandbox/device_rule.h"

#define MEMORY_MIN ((int64_t)6 << 20) // as in Docker: with less no program starts
#define RT_PERIOD 1000000             // the kernel's, where nobody said

int create_check_limits(const struct record_config *c, struct err *e)
{
    if (c->memory && c->memory < MEMORY_MIN)
        return err_set(e, ERR_USAGE, "Minimum memory limit allowed is 6MB");
    if (c->memory && c->memory_swap > 0 && c->memory_swap < c->memory)
        return err_set(e, ERR_USAGE,
                       "Memory limit should be smaller than already set memoryswap limit, update "
                       "the memoryswap at the same time");
    if (c->memory && c->memory_reservation > c->memory)
        return err_set(e, ERR_USAGE, "--memory-reservation is larger than --memory");
    if (c->nano_cpus && (c->cpu_quota || c->cpu_period))
        return err_set(e, ERR_USAGE, "--cpus conflicts with --cpu-quota and --cpu-period");
    int64_t cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (c->nano_cpus && (c->nano_cpus < 10000000 || c->nano_cpus > cpus * 1000000000))
        return err_set(e, ERR_USAGE,
                       "Range of CPUs is from 0.01 to %lld.00, as there are only %lld CPUs available",
                       (long long)cpus, (long long)cpus);
    if (c->cpu_shares && (c->cpu_shares < 2 || c->cpu_shares > 262144))
        return err_set(e, ERR_USAGE, "--cpu-shares must lie between 2 and 262144");
    if (c->blkio_weight && (c->blkio_weight < 10 || c->blkio_weight > 1000))
        return err_set(e, ERR_USAGE, "--blkio-weight must lie between 10 and 1000");
    if (c->memory_swappiness < 0 || c->memory_swappiness > 100)
        return err_set(e, ERR_USAGE, "--memory-swappiness must lie between 0 and 100");
    if (c->cpu_rt_runtime > (c->cpu_rt_period ? c->cpu_rt_period : RT_PERIOD))
        return err_set(e, ERR_USAGE, "--cpu-rt-runtime is larger than --cpu-rt-period");
    return 0;
}

// Here, so that a container with a wrong one is not even made.
static int check_device_rules(const struct record_config *c, struct err *e)
{
    struct sandbox_device_rule rule;
    for (size_t i = 0; i < c->device_rules.n; i++)
        if (sandbox_device_rule_parse(c->device_rules.p[i], &rule, e) < 0) return -1;
    return 0;
}

static int expose_option(const struct container_run_options *o, struct record_config *c,
                         struct err *e)
{
    static const char *const protocols[] = {"tcp", "udp", "sctp"};
    for (size_t i = 0; i < o->expose.n; i++) {
        struct sv protocol = sv_of(o->expose.p[i]), port = sv_cut(&protocol, '/');
        const char *known = protocol.p ? NULL : "tcp";
        uint64_t n;
        for (size_t k = 0; k < 3 && protocol.p; k++)
            if (sv_eqz(protocol, protocols[k])) known = protocols[k];
        if (!known || !num_u64_max(port, 65535, &n) || n == 0) {
            err_set(e, ERR_USAGE, "invalid port '%s' behind --expose", o->expose.p[i]);
            return err_hint(e, "it is PORT or PORT/PROTOCOL, as in 53/udp");
        }
        strv_take(&c->exposed, str_fmt("%u/%s", (unsigned)n, known));
    }
    return 0;
}

static int attach_option(const struct container_run_options *o, struct record_config *c,
                         struct err *e)
{
    static const struct {
        const char *name;
        int bit;
    } streams[] = {{"stdin", MESSAGE_IN}, {"stdout", MESSAGE_OUT}, {"stderr", MESSAGE_ERR}};
    if (o->detach && o->attach.n)
        return err_set(e, ERR_USAGE,
                       "conflicting options: cannot specify both --attach and --detach");
    if (o->detach) return 0;
    c->attach = o->interactive ? MESSAGE_IN : 0;
    if (!o->attach.n) c->attach |= MESSAGE_OUT | MESSAGE_ERR;
    for (size_t i = 0; i < o->attach.n; i++) {
        int bit = 0;
        for (size_t k = 0; k < 3; k++)
            if (sv_eq_nocase(sv_of(o->attach.p[i]), sv_of(streams[k].name))) bit = streams[k].bit;
        c->attach |= bit;
        if (bit) continue;
        err_set(e, ERR_USAGE, "'%s' behind --attach is no stream", o->attach.p[i]);
        return err_hint(e, "it is stdin, stdout or stderr");
    }
    return 0;
}

// What Docker has several of, and we one.
static int only_options(const struct container_run_options *o, struct err *e)
{
    const struct {
        const char *option, *given, *only, *hint;
    } rows[] = {
        {"isolation", o->isolation, "default", "other kinds are of Windows"},
        {"runtime", o->runtime, "dewar",
         "leave the option out; another engine can use this one as its runtime: 'dewar oci'"},
        {"volume driver", o->volume_driver, "local", "a network's folder is a volume, too: 'dewar "
                                                     "volume create --opt type=nfs'"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!rows[i].given || !rows[i].given[0] || strcmp(rows[i].given, rows[i].only) == 0)
            continue;
        err_set(e, ERR_UNSUPPORTED, "there is no %s '%s', only '%s'", rows[i].option, rows[i].given,
                rows[i].only);
        return err_hint(e, "%s", rows[i].hint);
    }
    return 0;
}

static int group_options(const struct record_config *c, struct err *e)
{
    const char *mode = c->cgroupns;
    if (mode && mode[0] && strcmp(mode, "private") != 0 && strcmp(mode, "host") != 0)
        return err_set(e, ERR_USAGE, "invalid --cgroupns '%s': it is private or host", mode);
    struct sv rest = sv_of(c->cgroup_parent ? c->cgroup_parent : "");
    while (rest.p) {
        struct sv part = sv_cut(&rest, '/');
        if (sv_eqz(part, "..") || sv_eqz(part, ".") || sv_find(part, '\n') >= 0)
            return err_set(e, ERR_USAGE, "'%s' behind --cgroup-parent is not a group's path",
                           c->cgroup_parent);
    }
    return 0;
}

// The texts become one list, which says of each what it limits.
static void disk_options(const struct container_run_options *o, struct record_config *c)
{
    for (int kind = 0; kind < SANDBOX_DISK_COUNT; kind++)
        for (size_t i = 0; i < o->disks[kind].n; i++)
            strv_take(&c->disk_limits,
                      str_fmt("%s=%s", sandbox_disk_name((enum sandbox_disk_kind)kind),
                              o->disks[kind].p[i]));
}

static int annotation_options(const struct record_config *c, struct err *e)
{
    for (size_t i = 0; i < c->annotations.n; i++)
        if (sv_find(sv_of(c->annotations.p[i]), '=') <= 0)
            return err_set(e, ERR_USAGE, "the annotation '%s' is not of the form KEY=VALUE",
                           c->annotations.p[i]);
    return 0;
}

int create_read_words(const struct container_run_options *o, struct record_config *c,
                      struct err *e)
{
    disk_options(o, c);
    if (attach_option(o, c, e) < 0 || only_options(o, e) < 0 || group_options(c, e) < 0) return -1;
    if (annotation_options(c, e) < 0 || check_device_rules(c, e) < 0) return -1;
    return expose_option(o, c, e);
}
