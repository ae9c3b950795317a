// SPDX-License-Identifier: Apache-2.0
// What this machine can do for containers. Each check looks and never changes anything; checks that
// need a namespace try it in a child.
#include "sandbox/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/num.h"
#include "base/own.h"
#include "base/proc.h"
#include "sandbox/cgroup.h"

const char *sandbox_check_status_name(enum sandbox_check_status s)
{
    static const char *const names[SANDBOX_CHECK_COUNT] = {"ok", "warn", "fail"};
    return (unsigned)s < SANDBOX_CHECK_COUNT ? names[s] : "?";
}

static void say(struct sandbox_check *c, enum sandbox_check_status status, const char *fix,
                const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static void say(struct sandbox_check *c, enum sandbox_check_status status, const char *fix,
                const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(c->text, sizeof c->text, fmt, ap);
    va_end(ap);
    c->status = status;
    snprintf(c->fix, sizeof c->fix, "%s", status == SANDBOX_CHECK_OK ? "" : fix);
}

// A number in a /proc/sys file; -1 when there is none.
static int64_t setting(const char *path)
{
    struct err ignored;
    own(str) struct str text = {0};
    int64_t v;
    if (fs_read_at(AT_FDCWD, path, 4096, &text, &ignored) < 0 ||
        !num_i64(sv_trim(str_sv(&text)), &v))
        return -1;
    return v;
}

static void check_kernel(struct engine *en, struct sandbox_check *c)
{
    (void)en;
    struct utsname u = {0};
    unsigned major = 0, minor = 0;
    uname(&u);
    sscanf(u.release, "%u.%u", &major, &minor);
    unsigned v = major * 1000 + minor;
    say(c,
        v >= 5014   ? SANDBOX_CHECK_OK
        : v >= 5011 ? SANDBOX_CHECK_WARN
                    : SANDBOX_CHECK_FAIL,
        "Linux 5.14 or newer is needed for everything, 5.11 for most", "Linux %.60s", u.release);
}

static void check_mode(struct engine *en, struct sandbox_check *c)
{
    static const char *const texts[IDMAP_MODE_COUNT] = {
        [IDMAP_ROOT] = "root: real ids",
        [IDMAP_RANGE] = "ordinary user with id ranges: user namespaces",
        [IDMAP_SINGLE] = "ordinary user without id ranges"};
    bool single = en->ids.mode == IDMAP_SINGLE;
    say(c, single ? SANDBOX_CHECK_FAIL : SANDBOX_CHECK_OK,
        "ask for: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 <you>", "%s",
        texts[en->ids.mode]);
}

static void check_userns(struct engine *en, struct sandbox_check *c)
{
    bool user = en->ids.mode != IDMAP_ROOT;
    enum sandbox_check_status bad = user ? SANDBOX_CHECK_FAIL : SANDBOX_CHECK_WARN;
    if (setting("/proc/sys/kernel/unprivileged_userns_clone") == 0) {
        say(c, bad, "sysctl kernel.unprivileged_userns_clone=1",
            "user namespaces are switched off for ordinary users");
        return;
    }
    if (setting("/proc/sys/user/max_user_namespaces") == 0) {
        say(c, bad, "sysctl user.max_user_namespaces=15000", "no user namespaces are allowed");
        return;
    }
    if (setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1 && user) {
        say(c, bad, "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile",
            "AppArmor restricts user namespaces");
        return;
    }
    struct proc p = PROC_NONE;
    p.pid = proc_fork(CLONE_NEWUSER, &p.fd);
    if (p.pid == 0) _exit(0);
    if (p.pid < 0) {
        say(c, bad, "the kernel needs CONFIG_USER_NS", "a user namespace cannot be made: %s",
            strerror(errno));
        return;
    }
    int status;
    struct err ignored;
    proc_wait(&p, &status, &ignored);
    say(c, SANDBOX_CHECK_OK, "", "user namespaces can be made");
}

static void check_mapper(struct engine *en, struct sandbox_check *c)
{
    bool user = en->ids.mode != IDMAP_ROOT;
    bool there = fs_exists(AT_FDCWD, "/usr/bin/newuidmap") &&
                 fs_exists(AT_FDCWD, "/usr/bin/newgidmap");
    say(c,
        there  ? SANDBOX_CHECK_OK
        : user ? SANDBOX_CHECK_FAIL
               : SANDBOX_CHECK_WARN,
        "install the package uidmap", "newuidmap and newgidmap %s",
        there ? "are installed" : "are missing (ordinary users need them)");
}

static uint64_t count_ids(const struct idmap_side *s)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < s->n; i++) n += s->range[i].count;
    return n;
}

static void check_ranges(struct engine *en, struct sandbox_check *c)
{
    if (en->ids.mode == IDMAP_ROOT) {
        say(c, SANDBOX_CHECK_OK, "", "not needed as root");
        return;
    }
    uint64_t u = count_ids(&en->ids.uid), g = count_ids(&en->ids.gid), n = u < g ? u : g;
    say(c,
        n >= 65536 ? SANDBOX_CHECK_OK
        : n > 1    ? SANDBOX_CHECK_WARN
                   : SANDBOX_CHECK_FAIL,
        "65536 ids in /etc/subuid and /etc/subgid are what images expect",
        "%llu user ids and %llu group ids", (unsigned long long)u, (unsigned long long)g);
}

// In a child with its own namespaces: does the kernel mount overlay there, and with which options?
static int try_overlay(void)
{
    int fs = fsopen("overlay", FSOPEN_CLOEXEC);
    return fs < 0 ? 1 : 0;
}

static void check_overlay(struct engine *en, struct sandbox_check *c)
{
    uint64_t flags = CLONE_NEWNS | (en->ids.mode == IDMAP_ROOT ? 0 : CLONE_NEWUSER);
    struct proc p = PROC_NONE;
    p.pid = proc_fork(flags, &p.fd);
    if (p.pid == 0) _exit(try_overlay());
    int status = 256;
    struct err ignored;
    if (p.pid > 0) proc_wait(&p, &status, &ignored);
    say(c, status == 0 ? SANDBOX_CHECK_OK : SANDBOX_CHECK_FAIL,
        "load the module overlay; in user namespaces Linux 5.11 or newer is needed",
        "overlay file systems %s", status == 0 ? "can be mounted" : "cannot be mounted");
}

static void check_cgroup(struct engine *en, struct sandbox_check *c)
{
    struct statfs fs;
    bool user = en->ids.mode != IDMAP_ROOT;
    if (statfs("/sys/fs/cgroup", &fs) != 0) {
        say(c, SANDBOX_CHECK_WARN, "mount /sys/fs/cgroup",
            "no control groups: limits cannot be set");
    } else if (fs.f_type == 0x63677270) {
        struct err ignored;
        own(str) struct str text = {0};
        fs_read_at(AT_FDCWD, "/sys/fs/cgroup/cgroup.controllers", 4096, &text, &ignored);
        struct sv list = sv_trim(str_sv(&text));
        const char *way = user ? sandbox_cgroup_way(en) : "";
        say(c, list.n && way ? SANDBOX_CHECK_OK : SANDBOX_CHECK_WARN,
            "a user bus (package dbus-user-session), or systemd-run --user --scope -p Delegate=yes",
            "cgroup v2, controllers: %.*s%s%s", list.n > 120 ? 120 : (int)list.n,
            list.n ? list.p : "none", user ? "; limits " : "",
            !user ? ""
            : way ? way
                  : "for root only");
    } else {
        static const char *const dirs[] = {"memory", "cpu", "pids", "cpuset", "devices"};
        own(str) struct str have = {0};
        for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
            own(free) char *path = str_fmt("/sys/fs/cgroup/%s", dirs[i]);
            if (fs_exists(AT_FDCWD, path)) str_addf(&have, " %s", dirs[i]);
        }
        say(c, user || !have.n ? SANDBOX_CHECK_WARN : SANDBOX_CHECK_OK,
            "boot with systemd.unified_cgroup_hierarchy=1 for limits without root",
            "cgroup v1:%s%s", have.n ? have.p : " no controllers",
            user ? " (limits for root only)" : "");
    }
}

static void check_seccomp(struct engine *en, struct sandbox_check *c)
{
    (void)en;
    uint32_t action = SECCOMP_RET_KILL_PROCESS;
    bool ok = syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
    say(c, ok ? SANDBOX_CHECK_OK : SANDBOX_CHECK_FAIL, "the kernel needs CONFIG_SECCOMP_FILTER",
        "seccomp filters %s", ok ? "are available" : "are missing");
}

static void check_tun(struct engine *en, struct sandbox_check *c)
{
    (void)en;
    bool there = access("/dev/net/tun", F_OK) == 0, ok = access("/dev/net/tun", R_OK | W_OK) == 0;
    say(c, ok ? SANDBOX_CHECK_OK : SANDBOX_CHECK_WARN,
        there ? "chmod 0666 /dev/net/tun, for networks of ordinary users"
              : "modprobe tun, for networks of ordinary users",
        "/dev/net/tun %s",
        ok      ? "can be used"
        : there ? "cannot be opened"
                : "is missing");
}

static void check_root(struct engine *en, struct sandbox_check *c)
{
    (void)en;
    struct statfs fs;
    bool initramfs = statfs("/", &fs) == 0 && (fs.f_type == 0x858458f6 || fs.f_type == 0x01021994);
    say(c, initramfs ? SANDBOX_CHECK_WARN : SANDBOX_CHECK_OK,
        "works by chroot over the old root instead of pivot_root",
        initramfs ? "the machine may run from its initramfs" : "the root can be pivoted");
}

static void check_tiocsti(struct engine *en, struct sandbox_check *c)
{
    (void)en;
    int64_t v = setting("/proc/sys/dev/tty/legacy_tiocsti");
    say(c, v == 1 ? SANDBOX_CHECK_WARN : SANDBOX_CHECK_OK,
        "sysctl dev.tty.legacy_tiocsti=0 (containers are kept from it in any case)",
        v == 1 ? "programs may type into their terminal (TIOCSTI)" : "TIOCSTI is off");
}

static void check_helpers(struct engine *en, struct sandbox_check *c)
{
    (void)en;
    char path[4096];
    struct err e;
    bool init = engine_helper("dewar-init", path, sizeof path, &e) == 0;
    bool seccomp = engine_helper("dewar-seccomp", path, sizeof path, &e) == 0;
    say(c, init && seccomp ? SANDBOX_CHECK_OK : SANDBOX_CHECK_WARN, "run 'make install' again",
        "%s%s%s",
        init && seccomp ? "all helper programs are there" : "missing:", init ? "" : " dewar-init",
        seccomp ? "" : " dewar-seccomp");
}

static void check_store(struct engine *en, struct sandbox_check *c)
{
    struct statfs fs = {0};
    if (en->store_fd < 0 || fstatfs(en->store_fd, &fs) != 0) {
        say(c, SANDBOX_CHECK_FAIL, "set DEWAR_STORE to a folder of your own",
            "the store cannot be read");
        return;
    }
    uint64_t left = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
    bool nfs = fs.f_type == 0x6969;
    own(str) struct str size = {0};
    num_print_size(left, &size);
    say(c, nfs || left < (uint64_t)1 << 30 ? SANDBOX_CHECK_WARN : SANDBOX_CHECK_OK,
        nfs ? "a store on NFS is slow: set DEWAR_STORE to a local folder"
            : "free some space, or run 'dewar system prune'",
        "%.120s: %s free%s", en->store_path, str_z(&size), nfs ? ", on NFS" : "");
}

void sandbox_doctor_no_store(struct sandbox_check *c, const struct err *why)
{
    say(c, SANDBOX_CHECK_FAIL, "set DEWAR_STORE to a folder of your own on a local disk", "%.240s",
        err_cause(why));
}

static const struct {
    const char *name;
    void (*run)(struct engine *en, struct sandbox_check *c);
} checks[] = {
    {"kernel", check_kernel},     {"mode", check_mode},       {"user namespaces", check_userns},
    {"newuidmap", check_mapper},  {"id ranges", check_ranges}, {"overlay", check_overlay},
    {"cgroups", check_cgroup},    {"seccomp", check_seccomp}, {"root", check_root},
    {"tun", check_tun},           {"terminal", check_tiocsti}, {"helpers", check_helpers},
    {"store", check_store},
};
_Static_assert(sizeof checks / sizeof *checks <= SANDBOX_CHECKS_MAX,
               "a caller's array is too small");

size_t sandbox_doctor(struct engine *en, struct sandbox_check out[SANDBOX_CHECKS_MAX])
{
    size_t n = sizeof checks / sizeof *checks;
    for (size_t i = 0; i < n; i++) {
        out[i] = (struct sandbox_check){.name = checks[i].name};
        checks[i].run(en, &out[i]);
    }
    return n;
}
