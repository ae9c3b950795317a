// SPDX-License-Identifier: Apache-2.0
// Which parts of /proc and /sys a container must not see or write, and which sysctls it may set.
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "sandbox/join.h"
#include "sandbox/proc_sys.h"
#include "sandbox/sandbox.h"

// What leaks host secrets or timing (kcore, keys, interrupts, thermal throttling, powercap).
const struct sandbox_proc_path sandbox_proc_masked[] = {
    {"acpi", true},        {"asound", true},         {"interrupts", false},  {"kcore", false},
    {"keys", false},       {"latency_stats", false}, {"sched_debug", false}, {"scsi", true},
    {"timer_list", false}, {"timer_stats", false},
};
const size_t sandbox_proc_masked_n = sizeof sandbox_proc_masked / sizeof *sandbox_proc_masked;

const struct sandbox_proc_path sandbox_sys_masked[] = {
    {"firmware", true},
    {"devices/virtual/powercap", true},
    {"fs/selinux", true},
};
const size_t sandbox_sys_masked_n = sizeof sandbox_sys_masked / sizeof *sandbox_sys_masked;

const char *const sandbox_proc_readonly[] = {"bus", "fs", "irq", "sys", "sysrq-trigger"};
const size_t sandbox_proc_readonly_n = sizeof sandbox_proc_readonly / sizeof *sandbox_proc_readonly;

enum scope { SCOPE_IPC, SCOPE_NET, SCOPE_UTS };
static const struct {
    const char *name;  // ending in '.': a prefix
    enum scope scope;
} allowed[] = {
    {"kernel.msgmax", SCOPE_IPC},          {"kernel.msgmnb", SCOPE_IPC},
    {"kernel.msgmni", SCOPE_IPC},          {"kernel.sem", SCOPE_IPC},
    {"kernel.shmall", SCOPE_IPC},          {"kernel.shmmax", SCOPE_IPC},
    {"kernel.shmmni", SCOPE_IPC},          {"kernel.shm_rmid_forced", SCOPE_IPC},
    {"fs.mqueue.", SCOPE_IPC},             {"net.", SCOPE_NET},
    {"kernel.domainname", SCOPE_UTS},      {"kernel.hostname", SCOPE_UTS},
};

static int refuse(const char *name, const char *why, struct err *e)
{
    err_set(e, ERR_USAGE, "the sysctl '%s' cannot be set for a container: %s", name, why);
    return err_hint(e, "only net.*, fs.mqueue.* and the kernel.msg*, kernel.sem and kernel.shm* "
                       "settings belong to a container");
}

static bool name_ok(const char *name)
{
    for (const char *p = name; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
              *p == '_' || *p == '-' || *p == '.' || *p == '/'))
            return false;
    return name[0] && !strstr(name, "..") && !strstr(name, "//") && name[0] != '/';
}

static int check_scope(const struct sandbox_spec *s, const char *name, struct err *e)
{
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        size_t n = strlen(allowed[i].name);
        bool prefix = allowed[i].name[n - 1] == '.';
        if (strncmp(name, allowed[i].name, n) != 0 || (!prefix && name[n])) continue;
        if (allowed[i].scope == SCOPE_NET && s->net == SANDBOX_NET_HOST)
            return refuse(name, "it shares the host's network", e);
        if (allowed[i].scope == SCOPE_IPC && s->host_ipc)
            return refuse(name, "it shares the host's IPC", e);
        if (allowed[i].scope == SCOPE_IPC && sandbox_join_has(s->join, JOIN_IPC))
            return refuse(name, "it shares another container's IPC", e);
        if (allowed[i].scope == SCOPE_UTS && sandbox_join_has(s->join, JOIN_UTS))
            return refuse(name, "it shares another container's name", e);
        if (allowed[i].scope == SCOPE_UTS && s->host_uts)
            return refuse(name, "it shares the host's name", e);
        return 0;
    }
    return refuse(name, "it belongs to the whole machine", e);
}

int sandbox_proc_sysctl(const struct sandbox_spec *s, const char *text, char **out_path,
                        char **out_value, struct err *e)
{
    const char *eq = strchr(text, '=');
    if (!eq) return err_set(e, ERR_USAGE, "the sysctl '%s' is not of the form name=value", text);
    own(free) char *name = sv_dup((struct sv){text, (size_t)(eq - text)});
    if (!name_ok(name)) return refuse(name, "it is not a name", e);
    if (strchr(eq + 1, '\n')) return refuse(name, "its value has more than one line", e);
    // "net/ipv4/x" and "net.ipv4.x" name the same thing; with slashes, dots belong to a name
    // ("net/ipv4/conf/eth0.1/x"). The scope is decided on the first words, in dotted form.
    bool slashes =
        strchr(name, '/') && (!strchr(name, '.') || strchr(name, '/') < strchr(name, '.'));
    own(free) char *dotted = str_dup(name);
    for (char *p = dotted; *p && slashes; p++) *p = *p == '/' ? '.' : *p == '.' ? '/' : *p;
    if (check_scope(s, dotted, e) < 0) return -1;
    char *path = str_fmt("sys/%s", dotted);
    for (char *p = path; *p; p++) *p = *p == '.' ? '/' : *p == '/' && p > path + 3 ? '.' : *p;
    *out_path = path;
    *out_value = str_dup(eq + 1);
    return 0;
}
