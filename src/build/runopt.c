// SPDX-License-Identifier: Apache-2.0
// Options of the command line for RUN steps. See build/runopt.h.
#include "build/runopt.h"

#include <string.h>

#include "base/num.h"
#include "base/own.h"
#include "sandbox/parse.h"

#define MEMORY_MIN ((uint64_t)6 << 20)  // as in Docker: with less no program starts

static int check_lists(const struct build_options *opt, struct err *e)
{
    for (size_t i = 0; opt->ulimits && i < opt->ulimits->n; i++) {
        struct sandbox_rlimit l;
        if (sandbox_parse_ulimit(opt->ulimits->p[i], &l, e) < 0) return err_wrap(e, "--ulimit");
    }
    for (size_t i = 0; opt->add_hosts && i < opt->add_hosts->n; i++) {
        own(sandbox_parse_host) struct sandbox_parse_host h = {0};
        if (sandbox_parse_host(opt->add_hosts->p[i], &h, e) < 0) return err_wrap(e, "--add-host");
    }
    return 0;
}

static int check_network(const struct build_options *opt, struct err *e)
{
    static const char *const modes[] = {"default", "host", "none"};
    if (!opt->network) return 0;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(opt->network, modes[i]) == 0) return 0;
    err_set(e, ERR_USAGE, "--network '%s' is unknown", opt->network);
    return err_hint(e, "RUN has the host's network (default, host) or none");
}

static int read_swap(const struct build_options *opt, int64_t *out, struct err *e)
{
    uint64_t n;
    *out = 0;
    if (!opt->memory_swap || strcmp(opt->memory_swap, "0") == 0) return 0;
    if (strcmp(opt->memory_swap, "-1") == 0) {
        *out = -1;
        return 0;
    }
    if (num_bytes(sv_of(opt->memory_swap), &n, e) < 0 || n > INT64_MAX)
        return err_wrap(e, "--memory-swap");
    *out = (int64_t)n;
    return 0;
}

static int check_memory(const struct build_options *opt, struct err *e)
{
    int64_t swap;
    if (read_swap(opt, &swap, e) < 0) return -1;
    if (opt->memory && opt->memory < MEMORY_MIN)
        return err_set(e, ERR_USAGE, "--memory: at least 6MB are needed");
    if (swap && !opt->memory) return err_set(e, ERR_USAGE, "--memory-swap needs --memory");
    if (swap > 0 && (uint64_t)swap < opt->memory)
        return err_set(e, ERR_USAGE, "--memory-swap is smaller than --memory");
    return 0;
}

enum right { RIGHT_NONE, RIGHT_SECCOMP_OFF, RIGHT_NO_NEW_PRIVS };

// Docker writes a colon as well. What is not there cannot be switched off: that is no error.
static const struct {
    const char *text;
    enum right right;
} security[] = {
    {"label=disable", RIGHT_NONE},
    {"apparmor=unconfined", RIGHT_NONE},
    {"seccomp=unconfined", RIGHT_SECCOMP_OFF},
    {"no-new-privileges", RIGHT_NO_NEW_PRIVS},
    {"no-new-privileges=true", RIGHT_NO_NEW_PRIVS},
    {"no-new-privileges=false", RIGHT_NONE},
};
#define SECURITY (sizeof security / sizeof *security)

static size_t find_security(const char *text)
{
    own(free) char *name = str_dup(text);
    char *colon = strchr(name, ':');
    if (colon) *colon = '=';
    size_t i = 0;
    while (i < SECURITY && strcmp(name, security[i].text) != 0) i++;
    return i;
}

static int check_security(const struct build_options *opt, struct err *e)
{
    for (size_t i = 0; opt->security && i < opt->security->n; i++) {
        if (find_security(opt->security->p[i]) < SECURITY) continue;
        err_set(e, ERR_USAGE, "--security-opt '%s' cannot be given to a build", opt->security->p[i]);
        return err_hint(e, "possible are seccomp=unconfined and no-new-privileges; a step with all rights "
                           "says RUN --security=insecure, and the caller --allow security.insecure");
    }
    return 0;
}

int build_runopt_check(const struct build_options *opt, struct err *e)
{
    if (check_lists(opt, e) < 0 || check_network(opt, e) < 0 || check_memory(opt, e) < 0) return -1;
    return check_security(opt, e);
}

void build_runopt_fill(const struct build_options *opt, struct sandbox_spec *spec)
{
    struct err checked_before;
    spec->shm_size = opt->shm_size;
    spec->memory = opt->memory;
    read_swap(opt, &spec->memory_swap, &checked_before);
    spec->cpu_shares = opt->cpu_shares;
    spec->cpu_period = opt->cpu_period;
    spec->cpu_quota = opt->cpu_quota;
    spec->cpuset_cpus = opt->cpuset_cpus ? str_dup(opt->cpuset_cpus) : NULL;
    spec->cpuset_mems = opt->cpuset_mems ? str_dup(opt->cpuset_mems) : NULL;
    for (size_t i = 0; opt->ulimits && i < opt->ulimits->n; i++)
        sandbox_parse_ulimit(opt->ulimits->p[i], vec_add(&spec->rlimits), &checked_before);
    if (opt->add_hosts) strv_add_all(&spec->hosts_extra, opt->add_hosts);
    for (size_t i = 0; opt->security && i < opt->security->n; i++) {
        enum right right = security[find_security(opt->security->p[i])].right;
        spec->seccomp_off = spec->seccomp_off || right == RIGHT_SECCOMP_OFF;
        spec->no_new_privs = spec->no_new_privs || right == RIGHT_NO_NEW_PRIVS;
    }
}
