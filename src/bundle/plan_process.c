// SPDX-License-Identifier: Apache-2.0
// What the program of a bundle is and may do: the part of the plan that `exec` makes too.
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/num.h"
#include "base/own.h"
#include "bundle/internal.h"
#include "oci/image.h"
#include "sandbox/caps.h"
#include "sandbox/plan.h"
#include "sandbox/sandbox.h"

#define IOPRIO_CLASS_SHIFT 13

static const struct {
    const char *name;
    int resource;
} rlimit_names[] = {
    {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_CORE", RLIMIT_CORE},
    {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_NPROC", RLIMIT_NPROC},
    {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    {"RLIMIT_RTTIME", RLIMIT_RTTIME},
    {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_STACK", RLIMIT_STACK},
};

static int rlimits(const struct oci_process *pr, struct sandbox_spec *s, struct err *e)
{
    for (size_t i = 0; i < pr->rlimits.n; i++) {
        const struct oci_rlimit *l = &pr->rlimits.p[i];
        size_t k = 0;
        while (k < sizeof rlimit_names / sizeof *rlimit_names &&
               strcmp(l->type, rlimit_names[k].name) != 0)
            k++;
        if (k == sizeof rlimit_names / sizeof *rlimit_names)
            return err_set(e, ERR_INPUT, "process.rlimits: unknown type '%s'", l->type);
        if (l->soft > l->hard)
            return err_set(e, ERR_INPUT, "process.rlimits: %s: soft is above hard", l->type);
        vec_push(&s->rlimits, (struct sandbox_rlimit){rlimit_names[k].resource, l->soft, l->hard});
    }
    return 0;
}

// 1.0 of the specification wants an error for an unknown name; later ones a warning for that and
// for what cannot be had.
static int one_set(const struct strv *names, uint64_t have, bool strict,
                   const struct event_sink *sink, uint64_t *out, struct err *e)
{
    for (size_t i = 0; i < names->n; i++) {
        int n = strncmp(names->p[i], "CAP_", 4) == 0 ? sandbox_caps_number(sv_of(names->p[i])) : -1;
        if (n >= 0 && have >> n & 1) {
            *out |= (uint64_t)1 << n;
            continue;
        }
        if (n < 0 && strict)
            return err_set(e, ERR_INPUT, "process.capabilities: unknown capability '%s'",
                           names->p[i]);
        event_warn(sink, "the capability '%s' %s and is left out", names->p[i],
                   n < 0 ? "is unknown" : "cannot be granted");
    }
    return 0;
}

static int capabilities(const struct oci_process *pr, const unsigned version[3],
                        const struct event_sink *sink, struct sandbox_plan *p, struct err *e)
{
    bool strict = version[0] == 1 && version[1] == 0;
    uint64_t sets[OCI_CAP_SETS] = {0}, have = sandbox_caps_own();
    for (int i = 0; i < OCI_CAP_SETS; i++)
        if (one_set(&pr->caps[i], have, strict, sink, &sets[i], e) < 0) return -1;
    p->sets_given = true;
    p->sets = (struct sandbox_caps){
        .bounding = sets[OCI_CAP_BOUNDING],
        .permitted = sets[OCI_CAP_PERMITTED],
        .effective = sets[OCI_CAP_EFFECTIVE] & sets[OCI_CAP_PERMITTED],
        .inheritable = sets[OCI_CAP_INHERITABLE],
    };
    // The kernel takes an ambient one only where it is permitted and inheritable.
    p->sets.ambient = sets[OCI_CAP_AMBIENT] & p->sets.permitted & p->sets.inheritable;
    return 0;
}

static bool enabled(const char *path, char yes)
{
    struct err ignored;
    own(str) struct str text = {0};
    return fs_read_at(AT_FDCWD, path, 64, &text, &ignored) == 0 && text.n && text.p[0] == yes;
}

int bundle_plan_label(const struct oci_process *pr, char **out_file, char **out_text, struct err *e)
{
    if (pr->apparmor && pr->apparmor[0] && strcmp(pr->apparmor, "unconfined") != 0) {
        if (!enabled("/sys/module/apparmor/parameters/enabled", 'Y'))
            return err_set(e, ERR_UNSUPPORTED,
                           "process.apparmorProfile: this machine has no AppArmor");
        bool own_dir = fs_exists(AT_FDCWD, "/proc/self/attr/apparmor/exec");
        *out_file = str_dup(own_dir ? "thread-self/attr/apparmor/exec" : "thread-self/attr/exec");
        *out_text = str_fmt("exec %s", pr->apparmor);
    } else if (pr->selinux && pr->selinux[0]) {
        if (!fs_exists(AT_FDCWD, "/sys/fs/selinux/enforce"))
            return err_set(e, ERR_UNSUPPORTED, "process.selinuxLabel: this machine has no SELinux");
        *out_file = str_dup("thread-self/attr/exec");
        *out_text = str_dup(pr->selinux);
    }
    return 0;
}

static int cpu_list(const char *text, cpu_set_t *out, struct err *e)
{
    CPU_ZERO(out);
    for (struct sv rest = sv_of(text); rest.p;) {
        struct sv part = sv_trim(sv_cut(&rest, ',')), last = part, first = sv_cut(&last, '-');
        uint64_t a = 0, b = 0;
        bool ok = num_u64_max(sv_trim(first), CPU_SETSIZE - 1, &a);
        b = a;
        if (ok && last.p) ok = num_u64_max(sv_trim(last), CPU_SETSIZE - 1, &b) && b >= a;
        if (!ok)
            return err_set(e, ERR_INPUT, "process.execCPUAffinity: '%s' is no list of CPUs", text);
        for (; a <= b; a++) CPU_SET(a, out);
    }
    return 0;
}

int bundle_plan_affinity(const struct oci_process *pr, struct sandbox_plan *p, struct err *e)
{
    cpu_set_t first;
    if (pr->cpus_final) {
        p->attributes.has_cpus = true;
        if (cpu_list(pr->cpus_final, &p->attributes.cpus, e) < 0) return -1;
    }
    if (!pr->cpus_initial) return 0;
    if (cpu_list(pr->cpus_initial, &first, e) < 0) return -1;
    if (sched_setaffinity(0, sizeof first, &first) == 0) return 0;
    return err_sys(e, "run on the CPUs '%s' (process.execCPUAffinity)", pr->cpus_initial);
}

int bundle_plan_personality(const struct oci_runtime *r, struct sandbox_plan *p, struct err *e)
{
    if (!r->personality) return 0;
    bool is_32 = strcmp(r->personality, "LINUX32") == 0;
    if (!is_32 && strcmp(r->personality, "LINUX") != 0)
        return err_set(e, ERR_INPUT, "linux.personality: unknown domain '%s'", r->personality);
    p->attributes.has_personality = true;
    p->attributes.personality = is_32 ? PER_LINUX32 : PER_LINUX;
    return 0;
}

static void attributes(const struct oci_process *pr, struct sandbox_attributes *a)
{
    const struct oci_scheduler *s = &pr->scheduler;
    a->has_umask = pr->has_umask;
    a->umask = pr->umask;
    a->has_io = pr->has_io;
    a->io = (int)(pr->io_class << IOPRIO_CLASS_SHIFT | pr->io_priority);
    a->has_scheduler = s->given;
    a->scheduler = (struct sandbox_scheduler){.size = sizeof a->scheduler,
                                           .policy = (uint32_t)s->policy,
                                           .flags = s->flags,
                                           .nice = (int32_t)s->nice,
                                           .priority = (uint32_t)s->priority,
                                           .runtime = (uint64_t)s->runtime,
                                           .deadline = (uint64_t)s->deadline,
                                           .period = (uint64_t)s->period};
}

int bundle_plan_spec(const struct oci_process *pr, const unsigned version[3],
                  const struct event_sink *sink, struct sandbox_spec *s, struct sandbox_plan *p,
                  struct err *e)
{
    if (!pr->args.n) return err_set(e, ERR_INPUT, "process.args: must not be empty");
    strv_add_all(&s->args, &pr->args);
    strv_add_all(&s->env, &pr->env);
    s->workdir = str_dup(pr->cwd);
    s->tty = pr->terminal;
    s->detach = s->home_env = s->seccomp_off = true;
    s->no_new_privs = pr->no_new_privs;
    s->has_oom_score_adj = pr->has_oom_score_adj;
    s->oom_score_adj = pr->oom_score_adj;
    p->user_given = true;
    p->user.uid = pr->uid;
    p->user.gid = pr->gid;
    p->user.n = pr->groups.n;
    p->user.groups = mem_alloc((pr->groups.n + 1) * sizeof *p->user.groups);
    for (size_t i = 0; i < pr->groups.n; i++) p->user.groups[i] = pr->groups.p[i];
    attributes(pr, &p->attributes);
    if (rlimits(pr, s, e) < 0) return -1;
    return capabilities(pr, version, sink, p, e);
}
