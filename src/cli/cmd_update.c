// SPDX-License-Identifier: Apache-2.0
// `dewar update`: other limits and another restart policy for containers that are there.
#include <string.h>

#include "base/num.h"
#include "base/own.h"
#include "cli/commands.h"
#include "container/life.h"

struct update_opts {
    struct container_update_options update;
    double cpus;
    uint64_t memory_reservation;
    const char *memory_swap;
};
#define U(member) OPT_AT(struct update_opts, update.member)
static const struct opt update_rows[] = {
    {.name = "blkio-weight",
     .type = OPT_INT,
     .offset = U(blkio_weight),
     .arg = "N",
     .help = "Weight of its disk access against others (10 to 1000)"},
    {.name = "cpu-period",
     .type = OPT_INT,
     .offset = U(cpu_period),
     .arg = "MICROSECONDS",
     .help = "Length of the time slices that --cpu-quota is a part of (default: 100000)"},
    {.name = "cpu-quota",
     .type = OPT_INT,
     .offset = U(cpu_quota),
     .arg = "MICROSECONDS",
     .help = "CPU time it gets in each period; -1 for no limit"},
    {"cpu-rt-period", 0, OPT_INT, U(cpu_rt_period), .arg = "MICROSECONDS",
     .help = "Length of the time slices that --cpu-rt-runtime is a part of (cgroup v1)"},
    {"cpu-rt-runtime", 0, OPT_INT, U(cpu_rt_runtime), .arg = "MICROSECONDS",
     .help = "Time for real-time programs in each period (cgroup v1)"},
    {.name = "cpu-shares",
     .letter = 'c',
     .type = OPT_UINT,
     .offset = U(cpu_shares),
     .arg = "N",
     .help = "Weight of its CPU time against others (1024 is one share)"},
    {.name = "cpus",
     .type = OPT_REAL,
     .offset = OPT_AT(struct update_opts, cpus),
     .arg = "N",
     .help = "How many CPUs it may use: 1.5"},
    {.name = "cpuset-cpus",
     .type = OPT_TEXT,
     .offset = U(cpuset_cpus),
     .arg = "LIST",
     .help = "Which CPUs it may use: 0-3,6"},
    {.name = "cpuset-mems",
     .type = OPT_TEXT,
     .offset = U(cpuset_mems),
     .arg = "LIST",
     .help = "Which memory nodes it may use"},
    {.name = "memory",
     .letter = 'm',
     .type = OPT_SIZE,
     .offset = U(memory),
     .arg = "BYTES",
     .help = "Memory limit: 512m, 2g"},
    {.name = "memory-reservation",
     .type = OPT_SIZE,
     .offset = OPT_AT(struct update_opts, memory_reservation),
     .arg = "BYTES",
     .help = "Memory that it keeps when the machine runs short"},
    {.name = "memory-swap",
     .type = OPT_TEXT,
     .offset = OPT_AT(struct update_opts, memory_swap),
     .arg = "BYTES",
     .help = "Limit of memory and swap together; -1 for no limit"},
    {.name = "pids-limit",
     .type = OPT_INT,
     .offset = U(pids_limit),
     .given = U(has_pids_limit),
     .arg = "N",
     .help = "How many processes it may have (0 or -1: no limit, from the next start on)"},
    {.name = "restart",
     .type = OPT_TEXT,
     .offset = U(restart),
     .arg = "POLICY",
     .help = "When it is started again: no, on-failure[:MAX], always, unless-stopped"},
};
#undef U

static int update_one(struct cli *c, struct engine *en, const char *id, const void *options,
                      struct err *e)
{
    const struct update_opts *o = options;
    struct container_update_options u = o->update;
    uint64_t swap;
    (void)c;
    u.nano_cpus = (int64_t)(o->cpus * 1e9);
    u.memory_reservation = (int64_t)o->memory_reservation;
    if (o->memory_swap && strcmp(o->memory_swap, "-1") == 0) {
        u.memory_swap = -1;
    } else if (o->memory_swap) {
        if (num_bytes(sv_of(o->memory_swap), &swap, e) < 0)
            return err_wrap(e, "reading --memory-swap");
        u.memory_swap = (int64_t)swap;
    }
    return container_update(en, id, &u, e);
}

static int update_all(struct cli *c, const void *options, struct err *e)
{
    const struct update_opts none = {0};
    if (memcmp(options, &none, sizeof none) == 0) {
        err_set(e, ERR_USAGE, "nothing to change");
        return err_hint(e, "say what: -m, --cpus, --restart ...; see '%s update --help'", c->program);
    }
    return cli_each_container(c, options, &(struct cli_each){.one = update_one}, e);
}

static const char *const update_aliases[] = {"container update", NULL};
const struct cli_cmd cli_cmd_update = {
    .path = "update",
    .alias = update_aliases,
    .usage = "CONTAINER [CONTAINER...]",
    .help = "Change the limits and the restart policy of containers",
    .more = "Limits of a running container change at once; of one that shares its process namespace "
            "only those that it was started with, else from its next start on.",
    .examples = "dewar update --restart unless-stopped web\ndewar update -m 2g training\n",
    CLI_OPTIONS(update_rows, struct update_opts),
    .min_words = 1,
    .max_words = -1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_CONTAINERS,
    .run = update_all,
};
