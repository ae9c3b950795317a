// SPDX-License-Identifier: Apache-2.0
// Capabilities: names, the default set and what --cap-add and --cap-drop make of it. The default is
// the smaller of the two in use: no MKNOD, NET_RAW or AUDIT_WRITE, which packages do not need.
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>

#include "sandbox/caps.h"
#include "sandbox/sandbox.h"

static const char *const names[CAPS_LAST + 1] = {
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID",
    "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW",
    "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT",
    "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD",
    "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
    "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
};

static const char *const defaults[] = {
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL",
};

const char *sandbox_caps_name(unsigned cap)
{
    return cap <= CAPS_LAST ? names[cap] : "?";
}

int sandbox_caps_number(struct sv name)
{
    if (name.n > 4 && strncasecmp(name.p, "CAP_", 4) == 0) name = sv_from(name, 4);
    for (unsigned i = 0; i <= CAPS_LAST; i++)
        if (sv_eq_nocase(name, sv_of(names[i]))) return (int)i;
    return -1;
}

static int lookup(const char *text, uint64_t all, uint64_t *out, struct err *e)
{
    struct sv name = sv_of(text);
    if (sv_eq_nocase(name, SV("ALL"))) {
        *out = all;
        return 0;
    }
    int n = sandbox_caps_number(name);
    if (n < 0) {
        err_set(e, ERR_USAGE, "unknown capability '%s'", text);
        return err_hint(e, "names are as in capabilities(7), with or without CAP_: NET_ADMIN, ALL");
    }
    *out = (uint64_t)1 << n;
    return 0;
}

uint64_t sandbox_caps_own(void)
{
    uint64_t have = 0;
    for (unsigned i = 0; i <= CAPS_LAST; i++)
        if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1) have |= (uint64_t)1 << i;
    return have;
}

int sandbox_caps_plan(const struct sandbox_spec *s, uint64_t *out, struct err *e)
{
    uint64_t have = sandbox_caps_own(), set = 0, asked = 0, bits;
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        set |= (uint64_t)1 << sandbox_caps_number(sv_of(defaults[i]));
    if (s->privileged) set = have;
    // As Docker: "--cap-drop ALL --cap-add X" gives X alone, "--cap-add ALL --cap-drop X" all but
    // X, in any order on the command line.
    bool drop_all = false;
    for (size_t i = 0; i < s->cap_drop.n; i++)
        if (sv_eq_nocase(sv_of(s->cap_drop.p[i]), SV("ALL"))) drop_all = true;
    if (drop_all) set = 0;
    for (size_t i = 0; i < s->cap_add.n; i++) {
        if (lookup(s->cap_add.p[i], have, &bits, e) < 0) return -1;
        set |= bits;
        asked |= bits;
    }
    for (size_t i = 0; i < s->cap_drop.n; i++) {
        if (lookup(s->cap_drop.p[i], 0, &bits, e) < 0) return -1;
        if (!drop_all) set &= ~bits;
    }
    uint64_t missing = asked & set & ~have;
    if (missing) {
        int n = __builtin_ctzll(missing);
        err_set(e, ERR_UNSUPPORTED, "the capability %s cannot be added: dewar itself lacks it",
                names[n]);
        return err_hint(e, "start dewar with it, or leave out '--cap-add %s'", names[n]);
    }
    *out = set & have;
    return 0;
}
