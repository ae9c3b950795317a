// SPDX-License-Identifier: Apache-2.0
// A bundle's mounts, in the order in which they stand. A bind becomes a detached mount here, with
// all its attributes, so that the child only attaches it; a new file system becomes a list of
// options for the child, which makes it in its own namespaces. Option words are mount(8)'s and the
// specification's; what is no flag goes to the file system.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/own.h"
#include "bundle/internal.h"
#include "sandbox/mounts.h"
#include "sandbox/plan.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#define ATIME MOUNT_ATTR__ATIME

static const struct {
    const char *word;  // with an 'r' in front: recursive
    uint64_t set, clear;
} flags[] = {
    {"ro", MOUNT_ATTR_RDONLY, 0},
    {"rw", 0, MOUNT_ATTR_RDONLY},
    {"nosuid", MOUNT_ATTR_NOSUID, 0},
    {"suid", 0, MOUNT_ATTR_NOSUID},
    {"nodev", MOUNT_ATTR_NODEV, 0},
    {"dev", 0, MOUNT_ATTR_NODEV},
    {"noexec", MOUNT_ATTR_NOEXEC, 0},
    {"exec", 0, MOUNT_ATTR_NOEXEC},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"diratime", 0, MOUNT_ATTR_NODIRATIME},
    {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    {"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
    {"relatime", MOUNT_ATTR_RELATIME, ATIME},
    {"norelatime", 0, ATIME},
    {"noatime", MOUNT_ATTR_NOATIME, ATIME},
    {"atime", 0, ATIME},
    {"strictatime", MOUNT_ATTR_STRICTATIME, ATIME},
    {"nostrictatime", 0, ATIME},
};
static const struct {
    const char *word;
    unsigned long flag;
} propagations[] = {{"private", MS_PRIVATE},
                    {"slave", MS_SLAVE},
                    {"shared", MS_SHARED},
                    {"unbindable", MS_UNBINDABLE}};
// Words that ask for what is there already, or that only the old mount call knew.
static const char *const ignored[] = {"defaults", "loud",       "quiet",      "async",    "nomand",
                                      "remount",  "nolazytime", "noiversion", "silent",
                                      "iversion"};

struct wishes {
    bool bind, recursive, map, map_recursive, copy_up;
    uint64_t set[2], clear[2];  // this mount, and all below it
};

static bool read_flag(const char *word, struct wishes *w)
{
    for (int deep = 0; deep < 2; deep++) {
        if (deep && word[0] != 'r') return false;
        for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
            if (strcmp(word + deep, flags[i].word) != 0) continue;
            w->clear[deep] |= flags[i].clear;
            w->set[deep] = (w->set[deep] & ~flags[i].clear) | flags[i].set;
            if (flags[i].set && !(flags[i].set & ATIME)) w->clear[deep] &= ~flags[i].set;
            return true;
        }
    }
    return false;
}

static bool read_propagation(const char *word, struct bundle_row *row)
{
    for (int deep = 0; deep < 2; deep++)
        for (size_t i = 0; i < sizeof propagations / sizeof *propagations; i++) {
            if ((deep && word[0] != 'r') || strcmp(word + deep, propagations[i].word) != 0)
                continue;
            if (row->propagations == 4) return true;
            row->propagation[row->propagations].flag = propagations[i].flag;
            row->propagation[row->propagations++].recursive = deep;
            return true;
        }
    return false;
}

static void read_option(const char *word, struct wishes *w, struct bundle_row *row)
{
    if (strcmp(word, "bind") == 0 || strcmp(word, "rbind") == 0) {
        w->bind = true;
        w->recursive |= word[0] == 'r';
        return;
    }
    if (strcmp(word, "idmap") == 0 || strcmp(word, "ridmap") == 0) {
        w->map = true;
        w->map_recursive |= word[0] == 'r';
        return;
    }
    if (strcmp(word, "tmpcopyup") == 0) {
        w->copy_up = true;
        return;
    }
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        if (strcmp(word, ignored[i]) == 0) return;
    if (!word[0] || read_flag(word, w) || read_propagation(word, row)) return;
    struct sv value = sv_of(word), key = sv_cut(&value, '=');
    struct bundle_option x = {sv_dup(key), value.p ? sv_dup(value) : NULL};
    vec_push(&row->options, x);
}

static int set_attributes(int fd, const struct wishes *w, struct err *e)
{
    for (int deep = 1; deep >= 0; deep--) {
        struct mount_attr a = {.attr_set = w->set[deep], .attr_clr = w->clear[deep]};
        if (!a.attr_set && !a.attr_clr) continue;
        if (mount_setattr(fd, "", AT_EMPTY_PATH | (deep ? AT_RECURSIVE : 0), &a, sizeof a) != 0)
            return err_sys(e, "set the options of the mount");
    }
    return 0;
}

static int map_ids(int fd, const struct oci_mount *m, const struct oci_runtime *r,
                   const struct wishes *w, struct err *e)
{
    if (!w->map && !m->uid.n && !m->gid.n) return 0;
    const struct idmap_side *uid = m->uid.n ? &m->uid : &r->uid,
                            *gid = m->gid.n ? &m->gid : &r->gid;
    if (!uid->n || !gid->n)
        return err_set(e, ERR_INPUT, "a mount with 'idmap' needs uidMappings and gidMappings");
    int ns = -1;
    if (idmap_userns_open(uid, gid, &ns, e) < 0) return -1;
    struct mount_attr a = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)ns};
    unsigned how = AT_EMPTY_PATH | (w->map_recursive ? AT_RECURSIVE : 0);
    int rc = mount_setattr(fd, "", how, &a, sizeof a);
    if (rc != 0) err_sys(e, "map the ids of the mount");
    close(ns);
    return rc;
}

static int bind_row(const struct bundle_build *b, const struct oci_mount *m, const struct wishes *w,
                    struct bundle_row *row, struct err *e)
{
    const char *source = m->source ? m->source : "";
    own(free) char *path = source[0] == '/' ? str_dup(source) : str_fmt("%s/%s", b->bundle, source);
    own(fd) int fd = fs_open(path, O_PATH, 0, e);
    struct stat st;
    if (fd < 0) return -1;
    if (fstat(fd, &st) != 0) return err_sys(e, "stat '%s'", path);
    row->dir = S_ISDIR(st.st_mode);
    row->listed = true;
    row->fd = open_tree(fd, "",
                        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH |
                            (w->recursive ? AT_RECURSIVE : 0));
    if (row->fd < 0) return err_sys(e, "copy the mount of '%s'", path);
    // Whatever the host has there, our mounts do not go back to it unless that is asked for.
    struct mount_attr slave = {.propagation = MS_SLAVE};
    bool shared = false;
    for (unsigned i = 0; i < row->propagations; i++)
        shared |= row->propagation[i].flag == MS_SHARED;
    if (!shared &&
        mount_setattr(row->fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &slave, sizeof slave) != 0)
        return err_sys(e, "set the propagation of the mount");
    if (map_ids(row->fd, m, b->config, w, e) < 0) return -1;
    return set_attributes(row->fd, w, e);
}

// --- control groups ----------------------------------------------------------------------------

static struct bundle_row *add_row(struct bundle_plan *o, enum bundle_row_kind kind, char *target)
{
    struct bundle_row *row = vec_add(&o->rows);
    row->kind = kind;
    row->target = target;
    row->fd = -1;
    row->dir = true;
    return row;
}

static void add_text(struct bundle_row *row, const char *key, const char *value)
{
    struct bundle_option x = {str_dup(key), str_dup(value)};
    vec_push(&row->options, x);
}

// A hierarchy of several controllers ("cpu,cpuacct") is found under the name of each.
static void cgroup_links(const struct bundle_build *b, struct bundle_plan *o, const char *target)
{
    for (size_t i = 0; i < b->groups->n; i++) {
        struct sv rest = sv_from(sv_of(b->groups->p[i]), strlen("/sys/fs/cgroup/"));
        struct sv names = sv_cut(&rest, '/'), all = names;
        if (sv_find(names, ',') < 0) continue;
        while (names.p) {
            struct bundle_row *row = add_row(o, BUNDLE_ROW_LINK, str_dup(target));
            row->type = sv_dup(sv_cut(&names, ','));
            row->source = sv_dup(all);
        }
    }
}

// A bind of the i-th group. Where the child can see the host's groups it makes it, and they need not
// be there yet.
static int group_row(const struct bundle_build *b, struct bundle_row *row, size_t i,
                     const struct wishes *w, struct err *e)
{
    row->kind = b->late_groups ? BUNDLE_ROW_GROUP : BUNDLE_ROW_BIND;
    row->dir = row->in_groups = true;
    row->attr = w->set[0] & ~ATIME;
    row->source = str_dup(b->groups->p[i]);
    if (b->late_groups) return 0;
    own(fd) int fd = fs_open(row->source, O_PATH | O_DIRECTORY, 0, e);
    if (fd < 0) return -1;
    row->fd = sandbox_mounts_clone(fd, false, row->attr & MOUNT_ATTR_RDONLY, row->attr, NULL, e);
    return row->fd < 0 ? -1 : 0;
}

// v1: a tmpfs with one bind of the container's own group a controller. It sees nothing above
// itself.
static int cgroup_rows(const struct bundle_build *b, struct bundle_plan *o, const char *target,
                       const struct wishes *w, struct err *e)
{
    struct bundle_row *top = add_row(o, BUNDLE_ROW_NEW, str_dup(target));
    top->type = str_dup("tmpfs");
    top->source = str_dup("cgroup");
    add_text(top, "mode", "755");
    top->attr = w->set[0] & ~(uint64_t)MOUNT_ATTR_RDONLY;
    for (size_t i = 0; i < b->groups->n; i++) {
        struct sv rest = sv_from(sv_of(b->groups->p[i]), strlen("/sys/fs/cgroup/"));
        struct sv name = sv_cut(&rest, '/');
        struct bundle_row *row =
            add_row(o, BUNDLE_ROW_BIND, str_fmt("%s/%.*s", target, (int)name.n, name.p));
        if (group_row(b, row, i, w, e) < 0) return -1;
    }
    cgroup_links(b, o, target);
    struct bundle_row *end = add_row(o, BUNDLE_ROW_ATTR, str_dup(target));
    end->attr = w->set[0] & MOUNT_ATTR_RDONLY;
    return 0;
}

static bool has_option(const struct bundle_row *row, const char *key)
{
    vec_each(x, &row->options) if (strcmp(x->key, key) == 0) return true;
    return false;
}

// What lies on the path in the container's root, before anything is mounted there.
static int fill_tmpfs(const struct sandbox_plan *p, const struct bundle_row *row, struct err *e)
{
    const struct root root = {p->root_fd, "the container"};
    struct stat own_st;
    own(fd) int from = fs_in_try(&root, row->target, O_RDONLY | O_DIRECTORY, 0);
    if (from < 0) return 0;
    own(fd) int to = fs_openat(row->fd, ".", O_RDONLY | O_DIRECTORY, 0, e);
    if (to < 0) return -1;
    if (fstat(to, &own_st) != 0) return err_sys(e, "stat the tmpfs");
    if (sandbox_mounts_fill(from, to, e) < 0) return err_wrap(e, "copying into the tmpfs");
    bool owner = has_option(row, "uid") || has_option(row, "gid");
    if (owner && fchown(to, own_st.st_uid, own_st.st_gid) != 0) return err_sys(e, "chown");
    if (has_option(row, "mode") && fchmod(to, own_st.st_mode & 07777) != 0)
        return err_sys(e, "chmod");
    return 0;
}

static int copied_up(const struct sandbox_plan *p, struct bundle_plan *o, struct bundle_row *row,
                     struct err *e)
{
    struct mount_attr ro = {.attr_set = row->attr & MOUNT_ATTR_RDONLY};
    row->attr &= ~(uint64_t)MOUNT_ATTR_RDONLY;
    row->fd = bundle_enter_row(row, -1);
    if (row->fd < 0) return err_sys(e, "make a tmpfs");
    if (fill_tmpfs(p, row, e) < 0) return -1;
    if (ro.attr_set && mount_setattr(row->fd, "", AT_EMPTY_PATH, &ro, sizeof ro) != 0)
        return err_sys(e, "make the tmpfs read-only");
    row->kind = BUNDLE_ROW_BIND;
    row->listed = o->listed = true;
    return 0;
}

static int add_mount(const struct bundle_build *b, const struct sandbox_plan *p,
                     struct bundle_plan *o, const struct oci_mount *m, struct err *e)
{
    own(str) struct str raw = {0}, target = {0};
    str_addf(&raw, "/%s", m->destination);
    fs_clean(str_sv(&raw), &target);
    if (strcmp(target.p, "/") == 0)
        return err_set(e, ERR_INPUT, "nothing can be mounted over the container's root '/'");
    struct wishes w = {0};
    struct bundle_row *row = add_row(o, BUNDLE_ROW_NEW, str_dup(target.p));
    for (size_t i = 0; i < m->options.n; i++) read_option(m->options.p[i], &w, row);
    const char *type = m->type && m->type[0] ? m->type : "none";
    if (w.bind || strcmp(type, "bind") == 0) {
        if (!w.bind) w.recursive = true;
        row->kind = BUNDLE_ROW_BIND;
        o->listed = true;
        return bind_row(b, m, &w, row, e);
    }
    if (strcmp(type, "cgroup") == 0 && !bundle_cgroup_v2()) {
        row->kind = BUNDLE_ROW_ATTR; // nothing to do at this one: the rows behind it do it
        return cgroup_rows(b, o, target.p, &w, e);
    }
    row->in_groups = strcmp(type, "cgroup") == 0;
    // A new mount begins where the namespace does; without one of its own that would be the host's top.
    if (row->in_groups && b->groups->n && !o->new_cgroupns && !sandbox_join_has(p->join, JOIN_CGROUP))
        return group_row(b, row, 0, &w, e);
    row->type = str_dup(row->in_groups ? "cgroup2" : type);
    row->source = str_dup(m->source && m->source[0] ? m->source : type);
    row->attr = w.set[0] | w.set[1];
    row->strict = strcmp(type, "proc") == 0 || strcmp(type, "sysfs") == 0;
    if (w.map || m->uid.n || m->gid.n)
        return err_set(e, ERR_UNSUPPORTED, "idmapped mounts of type '%s' are not supported", type);
    if (strcmp(type, "tmpfs") != 0) return 0;
    if (w.copy_up) return copied_up(p, o, row, e);
    row->keep_mode = !has_option(row, "mode");
    return 0;
}

int bundle_mounts_plan(const struct bundle_build *b, struct sandbox_plan *p, struct bundle_plan *o,
                       struct err *e)
{
    for (size_t i = 0; i < b->config->mounts.n; i++) {
        const struct oci_mount *m = &b->config->mounts.p[i];
        if (add_mount(b, p, o, m, e) < 0)
            return err_wrap(e, "mounting '%s' to '%s' (mounts[%zu])", m->source ? m->source : "",
                            m->destination, i);
    }
    return 0;
}

void bundle_mount_words(struct codec_json *out)
{
    codec_json_add(out, codec_json_new_text(SV("bind")));
    codec_json_add(out, codec_json_new_text(SV("rbind")));
    codec_json_add(out, codec_json_new_text(SV("idmap")));
    codec_json_add(out, codec_json_new_text(SV("ridmap")));
    codec_json_add(out, codec_json_new_text(SV("tmpcopyup")));
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        codec_json_add(out, codec_json_new_text(sv_of(ignored[i])));
    for (int deep = 0; deep < 2; deep++) {
        for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
            own(free) char *word = str_fmt("%s%s", deep ? "r" : "", flags[i].word);
            codec_json_add(out, codec_json_new_text(sv_of(word)));
        }
        for (size_t i = 0; i < sizeof propagations / sizeof *propagations; i++) {
            own(free) char *word = str_fmt("%s%s", deep ? "r" : "", propagations[i].word);
            codec_json_add(out, codec_json_new_text(sv_of(word)));
        }
    }
}
