// SPDX-License-Identifier: Apache-2.0
// Control groups where systemd gives them out: it is asked over D-Bus for a scope of one's own,
// whose inside is left to who asked (Delegate=yes). An ordinary user asks the manager of their
// session (the user bus), root that of the system.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/idmap.h"
#include "base/str.h"

struct sandbox_systemd_scope {
    const char *unit;  // "dewar-0123.scope"
    const char *slice; // NULL: where the manager puts it
    const char *text;  // what `systemctl status` shows
    pid_t pid;         // the first process in it
};
// Is there a bus to ask? Looks only whether its socket is there.
bool sandbox_systemd_here(const struct idmap *ids);
// Makes the scope; returns when the process is in it. ERR_UNSUPPORTED when nobody can be asked.
int sandbox_systemd_scope(const struct idmap *ids, const struct sandbox_systemd_scope *s,
                          struct err *e);
// Puts one more process into a group below the scope: `below` is "/" or "/name". For who may not
// write to cgroup.procs because the way there leads through groups that are not theirs.
int sandbox_systemd_attach(const struct idmap *ids, const char *unit, const char *below, pid_t pid,
                           struct err *e);
// What a unit is told: a number, where UINT64_MAX is none ("infinity"), or numbers as bits.
struct sandbox_systemd_property {
    const char *name;  // "MemoryMax"
    uint64_t number;
    struct sv bits;  // p not NULL: these, the lowest first
};
// They hold until the unit ends, also over a daemon-reload.
int sandbox_systemd_set(const struct idmap *ids, const char *unit,
                        const struct sandbox_systemd_property *list, size_t n, struct err *e);
// The last part of a group's path that is a scope, and what is below it; false: there is none.
bool sandbox_systemd_split(const char *group, char unit[256], const char **out_below);
