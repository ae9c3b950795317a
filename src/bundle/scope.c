// SPDX-License-Identifier: Apache-2.0
// --systemd-cgroup: the group of an OCI container lies in a scope of systemd's. linux.cgroupsPath is
// then "slice:prefix:name", as runc has it. The runtime moves into the scope, which is given away
// to it, makes two groups there, "container" and one for itself, and moves back to where it was
// when the container's process stands in its own. systemd forgets the scope when that has ended.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "bundle/internal.h"
#include "sandbox/systemd.h"

#define TOP "/sys/fs/cgroup"
#define OURS "dewar-oci"

// What systemd takes in a unit's name; a slash would lead elsewhere.
static bool is_unit_text(struct sv v)
{
    static const char more[] = "-_.:@\\";
    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!plain && !memchr(more, c, sizeof more - 1)) return false;
    }
    return true;
}

int bundle_scope_parse(const char *path, const char *id, struct bundle_scope_name *out,
                       struct err *e)
{
    struct sv rest = sv_of(path && path[0] ? path : "::");
    struct sv slice = sv_cut(&rest, ':');
    struct sv prefix = rest.p ? sv_cut(&rest, ':') : SV(""), name = rest;
    if (!name.p || sv_find(name, ':') >= 0) {
        err_set(e, ERR_INPUT, "linux.cgroupsPath: '%s' is not slice:prefix:name", path);
        return err_hint(e, "that is its form with --systemd-cgroup");
    }
    if (name.n == 0) name = sv_of(id);
    if (slice.n && !sv_ends(slice, ".slice"))
        return err_set(e, ERR_INPUT, "linux.cgroupsPath: '%.*s' is no slice", (int)slice.n, slice.p);
    if (!is_unit_text(slice) || !is_unit_text(prefix) || !is_unit_text(name) ||
        slice.n + prefix.n + name.n > 200)
        return err_set(e, ERR_INPUT, "linux.cgroupsPath: '%s' cannot name a scope", path);
    snprintf(out->slice, sizeof out->slice, "%.*s", (int)slice.n, slice.p);
    snprintf(out->unit, sizeof out->unit, "%.*s%s%.*s.scope", (int)prefix.n, prefix.p,
             prefix.n ? "-" : "", (int)name.n, name.p);
    return 0;
}

static int own_group(char **out, struct err *e)
{
    own(str) struct str text = {0};
    if (fs_read_at(AT_FDCWD, "/proc/self/cgroup", 65536, &text, e) < 0) return -1;
    struct sv line = sv_trim(str_sv(&text));
    if (!sv_starts(line, "0::/") || sv_find(line, '\n') >= 0)
        return err_set(e, ERR_UNSUPPORTED, "--systemd-cgroup needs control groups version 2 alone");
    own(free) char *path = sv_dup(sv_from(line, 3));
    *out = str_fmt(TOP "%s", strcmp(path, "/") == 0 ? "" : path);
    return 0;
}

static int go(const char *group, struct err *e)
{
    own(free) char *procs = str_fmt("%s/cgroup.procs", group);
    own(fd) int fd = fs_open(procs, O_WRONLY, 0, e);
    if (fd < 0) return -1;
    return write(fd, "0", 1) == 1 ? 0 : err_sys(e, "enter the control group '%s'", group);
}

static int make(const char *scope, const char *name, char **out, struct err *e)
{
    own(free) char *path = str_fmt("%s/%s", scope, name);
    if (mkdirat(AT_FDCWD, path, 0755) != 0 && errno != EEXIST)
        return err_sys(e, "make the control group '%s'", path);
    *out = take_ptr(path);
    return 0;
}

int bundle_scope_enter(const struct idmap *ids, const char *cgroups_path, const char *id,
                       struct bundle_scope *s, char **out_group, struct err *e)
{
    struct bundle_scope_name name;
    own(free) char *scope = NULL;
    own(free) char *text = str_fmt("container %s", id);
    if (bundle_scope_parse(cgroups_path, id, &name, e) < 0 || own_group(&s->before, e) < 0)
        return -1;
    const struct sandbox_systemd_scope wanted = {.unit = name.unit,
                                                 .slice = name.slice[0] ? name.slice : NULL,
                                                 .text = text,
                                                 .pid = getpid()};
    if (sandbox_systemd_scope(ids, &wanted, e) < 0) return -1;
    snprintf(s->unit, sizeof s->unit, "%s", name.unit);
    if (own_group(&scope, e) < 0 || make(scope, OURS, &s->ours, e) < 0 || go(s->ours, e) < 0 ||
        make(scope, "container", out_group, e) < 0)
        return -1;
    return 0;
}

// Where we may not go back (an ordinary user's old group), we stay, until we end.
void bundle_scope_leave(struct bundle_scope *s)
{
    struct err ignored;
    if (s->ours && go(s->before, &ignored) == 0) unlinkat(AT_FDCWD, s->ours, AT_REMOVEDIR);
    free(take_ptr(s->ours));
    free(take_ptr(s->before));
}
