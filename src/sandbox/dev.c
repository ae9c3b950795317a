// SPDX-License-Identifier: Apache-2.0
// Device nodes. As root they are made anew on our tmpfs; in a user namespace that is impossible, so
// the host's nodes are bound one by one, by descriptor, after their numbers were checked.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/own.h"
#include "sandbox/mounts.h"
#include "sandbox/plan.h"
#include "sandbox/sandbox.h"

static const struct {
    const char *name;
    unsigned major, minor;
} standard[] = {
    {"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9},
    {"tty", 5, 0},
};

// Opens a host node and checks that it is one. *out_fd is an O_PATH descriptor.
static int open_node(const char *path, struct stat *st, struct err *e)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        err_sys(e, "open the device '%s'", path);
        e->kind = ERR_INPUT;
        return -1;
    }
    if (fstat(fd, st) != 0 || !(S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))) {
        close(fd);
        return err_set(e, ERR_INPUT, "'%s' is not a device node", path);
    }
    return fd;
}

static int bind_node(struct sandbox_plan *p, int node, struct sandbox_plan_device *d, struct err *e)
{
    d->fd = -1;
    if (!p->user_mode) return 0;
    d->fd = sandbox_mounts_clone(node, false, false, 0, NULL, e);
    return d->fd < 0 ? err_wrap(e, "binding a device node") : 0;
}

static int add_standard(struct sandbox_plan *p, struct err *e)
{
    for (size_t i = 0; i < sizeof standard / sizeof *standard; i++) {
        dev_t want = makedev(standard[i].major, standard[i].minor);
        struct sandbox_plan_device d = {
            .mode = S_IFCHR | 0666, .rdev = want, .fd = -1, .target = str_dup(standard[i].name)};
        vec_push(&p->devices, d);
        struct sandbox_plan_device *row = &p->devices.p[p->devices.n - 1];
        if (!p->user_mode && i > 0) continue;  // the first one is checked for masking
        own(free) char *path = str_fmt("/dev/%s", standard[i].name);
        struct stat st;
        own(fd) int node = open_node(path, &st, e);
        if (node < 0) return -1;
        if (!S_ISCHR(st.st_mode) || st.st_rdev != want)
            return err_set(e, ERR_UNSUPPORTED, "the host's '%s' is not the device it should be",
                           path);
        if (bind_node(p, node, row, e) < 0) return -1;
        if (i == 0) p->null_fd = take_fd(node);
    }
    return 0;
}

static void allow(struct sandbox_plan *p, const struct stat *st, const char *access)
{
    struct sandbox_device_rule r = {.allow = true,
                            .type = S_ISBLK(st->st_mode) ? 'b' : 'c',
                            .major = (int64_t)major(st->st_rdev),
                            .minor = (int64_t)minor(st->st_rdev)};
    if (sandbox_device_rule_access(sv_of(access), &r.access)) vec_push(&p->device_rules, r);
}

static int add_node(struct sandbox_plan *p, const char *host, const char *target, const char *access,
                    struct err *e)
{
    struct stat st;
    own(fd) int node = open_node(host, &st, e);
    if (node < 0) return -1;
    own(str) struct str clean = {0};
    fs_clean(sv_of(target), &clean);
    if (!sv_starts(str_sv(&clean), "/dev/"))
        return err_set(e, ERR_INPUT, "the device target '%s' is not below /dev", target);
    struct sandbox_plan_device d = {.mode = st.st_mode,
                                    .rdev = st.st_rdev,
                                    .uid = st.st_uid,
                                    .gid = st.st_gid,
                                    .target = str_dup(clean.p + 5)};
    if (bind_node(p, node, &d, e) < 0) {
        free(d.target);
        return -1;
    }
    // One that every container has, or one that was named twice: the last one counts.
    vec_each (have, &p->devices)
        if (strcmp(have->target, d.target) == 0) {
            free(have->target);
            if (have->fd >= 0) close(have->fd);
            *have = d;
            return 0;
        }
    vec_push(&p->devices, d);
    allow(p, &st, access);
    return 0;
}

#define DEVICE_DIR_DEPTH 4

// All nodes of a folder of devices ("/dev/snd"). Terminals, queues and shared memory are not ours
// to copy. Nodes that cannot be opened are skipped.
static void add_dir(struct sandbox_plan *p, const char *host, const char *target, const char *access,
                    int levels)
{
    struct err e;
    own(strv) struct strv names = {0};
    if (levels == 0 || fs_list(AT_FDCWD, host, &names, &e) < 0) return;
    for (size_t i = 0; i < names.n; i++) {
        static const char *const skip[] = {"pts", "shm", "mqueue", "console", "fd", "ptmx", "tty",
                                           "null", "zero", "full", "random", "urandom"};
        bool drop = false;
        for (size_t k = 0; k < sizeof skip / sizeof *skip; k++)
            drop = drop || strcmp(names.p[i], skip[k]) == 0;
        if (drop) continue;
        own(free) char *h = str_fmt("%s/%s", host, names.p[i]);
        own(free) char *t = str_fmt("%s/%s", target, names.p[i]);
        struct stat st;
        if (fstatat(AT_FDCWD, h, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (S_ISDIR(st.st_mode))
            add_dir(p, h, t, access, levels - 1);
        else if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
            add_node(p, h, t, access, &e);
    }
}

int sandbox_plan_devices(struct engine *en, struct sandbox_plan *p, struct err *e)
{
    (void)en;
    const struct sandbox_device_rule none = {.type = 'a', .major = -1, .minor = -1};
    if (add_standard(p, e) < 0) return -1;
    vec_push(&p->device_rules, none);
    sandbox_device_rule_access(SV("rwm"), &p->device_rules.p[0].access);
    if (p->spec->privileged) add_dir(p, "/dev", "/dev", "rwm", DEVICE_DIR_DEPTH);
    for (size_t i = 0; i < p->spec->devices.n; i++) {
        const struct sandbox_device *d = &p->spec->devices.p[i];
        struct stat st;
        const char *target = d->target ? d->target : d->host;
        const char *access = d->access[0] ? d->access : "rwm";
        if (fstatat(AT_FDCWD, d->host, &st, 0) == 0 && S_ISDIR(st.st_mode)) {
            add_dir(p, d->host, target, access, DEVICE_DIR_DEPTH);
            continue;
        }
        if (add_node(p, d->host, target, access, e) < 0) return -1;
    }
    for (size_t i = 0; i < p->spec->device_rules.n; i++) {
        struct sandbox_device_rule r;
        if (sandbox_device_rule_parse(p->spec->device_rules.p[i], &r, e) < 0) return -1;
        vec_push(&p->device_rules, r);
    }
    return 0;
}
