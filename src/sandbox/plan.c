// SPDX-License-Identifier: Apache-2.0
// Everything that can be checked, opened, allocated or spelled out before the child exists. What is
// left for the child is a walk over finished data with raw system calls (enter.c).
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysinfo.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/event.h"
#include "base/own.h"
#include "oci/image.h"
#include "sandbox/caps.h"
#include "sandbox/cgroup.h"
#include "sandbox/doorstep.h"
#include "sandbox/join.h"
#include "sandbox/mounts.h"
#include "sandbox/parse.h"
#include "sandbox/plan.h"
#include "sandbox/proc_sys.h"
#include "sandbox/resolv.h"
#include "sandbox/sandbox.h"
#include "sandbox/seccomp.h"
#include "sandbox/user.h"
#include "sandbox/userns.h"

#ifndef CGROUP2_SUPER_MAGIC
#define CGROUP2_SUPER_MAGIC 0x63677270
#endif

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define DEV_SIZE ((uint64_t)64 << 20)
#define SHM_MAX ((uint64_t)64 << 30)
#define HOST_FILE_MAX ((size_t)1 << 20)
#define INIT_NAME ".dewar-init"
#define INIT_PATH "/dev/" INIT_NAME

void sandbox_plan_fini(struct sandbox_plan *p)
{
    int *fds[] = {&p->root_fd, &p->scratch_fd, &p->null_fd, &p->init_fd, &p->sys_fd, &p->proc_fd,
                  &p->shm_fd, &p->pts_fd, &p->doorstep_fd, &p->status_fd, &p->io[0], &p->io[1], &p->io[2]};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        own_fd(fds[i]);
        *fds[i] = -1;
    }
    vec_each (m, &p->mounts) {
        own_fd(&m->fd);
        free(m->target);
    }
    vec_each (d, &p->devices) {
        own_fd(&d->fd);
        free(d->target);
    }
    vec_each (s, &p->sysctls) {
        free(s->path);
        free(s->value);
    }
    vec_each (g, &p->groups) {
        own_fd(&g->fd);
        free(g->name);
    }
    vec_fini(&p->groups);
    vec_fini(&p->mounts);
    vec_fini(&p->devices);
    vec_fini(&p->device_rules);
    vec_fini(&p->sysctls);
    sandbox_cgroup_close(&p->cgroup);
    sandbox_user_fini(&p->user);
    free(p->seccomp.filter);
    p->seccomp.filter = NULL;
    free(p->label);
    free(p->label_file);
    p->label = p->label_file = NULL;
    free(p->workdir);
    p->workdir = NULL;
    free(p->argv);
    free(p->envp);
    free(p->doorstep_argv);
    p->argv = p->envp = p->doorstep_argv = NULL;
    strv_fini(&p->candidates);
    strv_fini(&p->env);
}

// --- the engine's files ------------------------------------------------------------------------

// What we make for a container with ids of its own belongs to its root.
static int give(const struct sandbox_plan *p, int dirfd, const char *name, struct err *e)
{
    if (!p->own_userns) return 0;
    int flags = AT_SYMLINK_NOFOLLOW | (name[0] ? 0 : AT_EMPTY_PATH);
    if (fchownat(dirfd, name, sandbox_userns_uid(&p->ids, 0), sandbox_userns_gid(&p->ids, 0),
                 flags) == 0)
        return 0;
    return err_sys(e, "give '%s' to the container's root", name);
}

static int put_file(const struct sandbox_plan *p, int dirfd, const char *name, struct sv text,
                    struct err *e)
{
    own(fd) int fd = fs_openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL, 0644, e);
    if (fd < 0 || give(p, fd, "", e) < 0) return -1;
    return fs_write_all(fd, text.p, text.n, e);
}

// With the host's network the host's own files are the right ones; what cannot be read is empty.
static void host_file(const char *path, struct str *out)
{
    struct err ignored;
    if (fs_read_at(AT_FDCWD, path, HOST_FILE_MAX, out, &ignored) < 0) str_clear(out);
}

static void host_line(const struct sandbox_plan *p, const struct sandbox_parse_host *h,
                      const char *text, struct str *out)
{
    if (!h->gateway)
        str_addf(out, "%s\t%s\n", h->address, h->name);
    else if (p->spec->net == SANDBOX_NET_HOST)
        str_addf(out, "127.0.0.1\t%s\n", h->name);
    else
        event_warn(&p->en->sink, "'%s': the container has no network and cannot reach the host; "
                                 "the name is left out", text);
}

// A build step gets the same text everywhere: what it makes must not depend on the machine.
static int hosts_text(const struct sandbox_plan *p, struct str *out, struct err *e)
{
    bool host = p->spec->net == SANDBOX_NET_HOST && !p->spec->build_step;
    if (host) host_file("/etc/hosts", out);
    if (out->n == 0)
        str_addz(out, "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    if (out->p[out->n - 1] != '\n') str_addc(out, '\n');
    if (!host) str_addf(out, "127.0.1.1\t%s\n", p->hostname);
    for (size_t i = 0; i < p->spec->hosts_extra.n; i++) {
        own(sandbox_parse_host) struct sandbox_parse_host h = {0};
        if (sandbox_parse_host(p->spec->hosts_extra.p[i], &h, e) < 0) return -1;
        host_line(p, &h, p->spec->hosts_extra.p[i], out);
    }
    return 0;
}

static bool target_taken(const struct sandbox_plan *p, const char *target)
{
    for (size_t i = 0; i < p->spec->mounts.n; i++)
        if (strcmp(p->spec->mounts.p[i].target, target) == 0) return true;
    return false;
}

static int put_engine_file(struct sandbox_plan *p, int which, const char *name, const char *target,
                           struct sv text, bool readonly, struct err *e)
{
    if (target_taken(p, target)) return 0;  // the user's own mount wins
    p->files[which] = (struct sandbox_plan_file){name, target, readonly, true};
    if (put_file(p, p->scratch_fd, name, text, e) < 0) return err_wrap(e, "writing '%s'", target);
    return 0;
}

static int engine_files(struct sandbox_plan *p, const struct root *root, struct err *e)
{
    own(str) struct str hosts = {0}, name = {0}, resolv = {0}, passwd = {0};
    bool fixed = p->spec->readonly; // --read-only is about these files, too
    if (hosts_text(p, &hosts, e) < 0) return -1;
    str_addf(&name, "%s\n", p->hostname);
    if (p->spec->net == SANDBOX_NET_HOST) host_file("/etc/resolv.conf", &resolv);
    sandbox_resolv_text(p->spec, &resolv);
    if (put_engine_file(p, PLAN_HOSTS, "hosts", "/etc/hosts", str_sv(&hosts), fixed, e) < 0 ||
        put_engine_file(p, PLAN_HOSTNAME, "hostname", "/etc/hostname", str_sv(&name), fixed, e) <
            0 ||
        put_engine_file(p, PLAN_RESOLV, "resolv.conf", "/etc/resolv.conf", str_sv(&resolv), fixed,
                        e) < 0)
        return -1;
    if (p->user.name || p->user.uid == 0) return 0;
    const char *home = oci_env_get(&p->env, "HOME");
    if (sandbox_user_passwd_with(root, &p->user, home ? home : "/", &passwd, e) < 0) return -1;
    return put_engine_file(p, PLAN_PASSWD, "passwd", "/etc/passwd", str_sv(&passwd), true, e);
}

// --- /dev --------------------------------------------------------------------------------------

static int dev_parents(const struct sandbox_plan *p, int dev, const char *target, struct err *e)
{
    own(free) char *path = str_dup(target);
    for (char *q = path; *q; q++) {
        if (*q != '/') continue;
        *q = '\0';
        if (mkdirat(dev, path, 0755) != 0 && errno != EEXIST)
            return err_sys(e, "make '/dev/%s'", path);
        if (give(p, dev, path, e) < 0) return -1;
        *q = '/';
    }
    return 0;
}

static int dev_node(struct sandbox_plan *p, int dev, const struct sandbox_plan_device *d,
                    struct err *e)
{
    if (dev_parents(p, dev, d->target, e) < 0) return -1;
    mode_t mode = p->user_mode ? S_IFREG | 0600 : d->mode;
    if (mknodat(dev, d->target, mode, p->user_mode ? 0 : d->rdev) != 0)
        return err_sys(e, "make '/dev/%s'", d->target);
    uid_t uid = sandbox_userns_uid(&p->ids, d->uid);
    gid_t gid = sandbox_userns_gid(&p->ids, d->gid);
    if (!p->user_mode && (uid || gid) &&
        fchownat(dev, d->target, uid, gid, AT_SYMLINK_NOFOLLOW) != 0)
        return err_sys(e, "set the owner of '/dev/%s'", d->target);
    return 0;
}

static int fill_dev(struct sandbox_plan *p, int dev, struct err *e)
{
    static const char *const links[][2] = {{"/proc/self/fd", "fd"},
                                           {"/proc/self/fd/0", "stdin"},
                                           {"/proc/self/fd/1", "stdout"},
                                           {"/proc/self/fd/2", "stderr"},
                                           {"pts/ptmx", "ptmx"}};
    static const char *const dirs[] = {"pts", "shm", "mqueue"};
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        if (symlinkat(links[i][0], dev, links[i][1]) != 0)
            return err_sys(e, "make '/dev/%s'", links[i][1]);
        else if (give(p, dev, links[i][1], e) < 0)
            return -1;
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++)
        if (mkdirat(dev, dirs[i], 0755) != 0)
            return err_sys(e, "make '/dev/%s'", dirs[i]);
        else if (give(p, dev, dirs[i], e) < 0)
            return -1;
    vec_each (d, &p->devices)
        if (dev_node(p, dev, d, e) < 0) return -1;
    if (p->spec->tty && put_file(p, dev, "console", SV(""), e) < 0) return -1;
    if (p->spec->init && put_file(p, dev, INIT_NAME, SV(""), e) < 0) return -1;
    return 0;
}

// One tmpfs serves /dev, the engine's files and the empty folder that masks others: a super block
// each would be most of what a start costs.
int sandbox_plan_scratch(struct engine *en, struct sandbox_plan *p, const struct root *root,
                         struct err *e)
{
    (void)en;
    struct sandbox_tmpfs_options o = {.size = DEV_SIZE, .mode = 0755, .attr = MOUNT_ATTR_NOSUID};
    p->scratch_fd = sandbox_mounts_tmpfs(&o, e);
    if (p->scratch_fd < 0) return -1;
    mode_t old = umask(0);
    int rc = 0;
    if (mkdirat(p->scratch_fd, "dev", 0755) != 0 || mkdirat(p->scratch_fd, "empty", 0555) != 0)
        rc = err_sys(e, "make '/dev'");
    own(fd) int dev = rc == 0 ? fs_open_dir(p->scratch_fd, "dev", e) : -1;
    rc = dev < 0 ? -1 : give(p, dev, "", e);
    if (rc == 0) rc = give(p, p->scratch_fd, "empty", e);
    if (rc == 0) rc = fill_dev(p, dev, e);
    if (rc == 0) rc = engine_files(p, root, e);
    if (rc == 0) rc = sandbox_doorstep_put(p, e);
    umask(old);
    return rc;
}

static int plan_pts(struct sandbox_plan *p, struct err *e)
{
    own(fd) int fs = fsopen("devpts", FSOPEN_CLOEXEC);
    if (fs < 0) return err_sys(e, "make a devpts");
    static const char *const options[][2] = {
        {"source", "devpts"}, {"ptmxmode", "0666"}, {"mode", "0620"}};
    bool ok = true;
    for (size_t i = 0; i < 3; i++)
        ok = ok && fsconfig(fs, FSCONFIG_SET_STRING, options[i][0], options[i][1], 0) == 0;
    if (!ok) return err_sys(e, "set the options of devpts");
    char gid[16];
    snprintf(gid, sizeof gid, "%u", sandbox_userns_gid(&p->ids, 5));
    fsconfig(fs, FSCONFIG_SET_STRING, "gid", gid, 0);  // fails where it is not mapped: fine
    fsconfig(fs, FSCONFIG_SET_FLAG, "newinstance", NULL, 0);  // the only kind since 4.7
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0) return err_sys(e, "make a devpts");
    p->pts_fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    return p->pts_fd < 0 ? err_sys(e, "make a devpts") : 0;
}

// Docker's 64 MiB makes PyTorch's data loaders die. A tmpfs uses only what is written to it, so the
// default is what the kernel itself would choose: half of the memory, with a cap.
static int plan_shm(struct sandbox_plan *p, struct err *e)
{
    const uint64_t safe = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    if (p->spec->no_shm) return 0;
    if (p->spec->shm_fd > 0) {
        p->shm_fd = fcntl(p->spec->shm_fd, F_DUPFD_CLOEXEC, 3);
        return p->shm_fd < 0 ? err_sys(e, "use '/dev/shm' of another container") : 0;
    }
    if (p->spec->host_ipc && !p->spec->shm_size) {
        own(fd) int host = open("/dev/shm", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (host >= 0) p->shm_fd = sandbox_mounts_clone(host, true, false, safe, NULL, e);
        if (host >= 0) return p->shm_fd < 0 ? err_wrap(e, "binding the host's /dev/shm") : 0;
    }
    struct sandbox_tmpfs_options o = {
        .size = p->spec->shm_size,
        .mode = 01777,
        .uid = sandbox_userns_uid(&p->ids, 0),
        .gid = sandbox_userns_gid(&p->ids, 0),
        .attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
    };
    struct sysinfo si;
    if (!o.size && sysinfo(&si) == 0) {
        o.size = (uint64_t)si.totalram * si.mem_unit / 2;
        if (o.size > SHM_MAX) o.size = SHM_MAX;
    }
    p->shm_fd = sandbox_mounts_tmpfs(&o, e);
    return p->shm_fd < 0 ? -1 : 0;
}

// A new sysfs needs a network namespace of our own, a new proc a pid namespace, in a user
// namespace.
static int plan_host_views(struct sandbox_plan *p, struct err *e)
{
    const uint64_t safe = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    bool user = p->user_mode || p->own_userns;
    if (user && p->spec->net == SANDBOX_NET_HOST) {
        own(fd) int fd = fs_open("/sys", O_PATH | O_DIRECTORY, 0, e);
        if (fd < 0) return -1;
        p->sys_fd = sandbox_mounts_clone(fd, true, true, safe, NULL, e);
        if (p->sys_fd < 0) return err_wrap(e, "binding the host's /sys");
    }
    if (user && p->spec->host_pid) {
        own(fd) int fd = fs_open("/proc", O_PATH | O_DIRECTORY, 0, e);
        if (fd < 0) return -1;
        p->proc_fd = sandbox_mounts_clone(fd, true, false, safe, NULL, e);
        if (p->proc_fd < 0) return err_wrap(e, "binding the host's /proc");
    }
    struct statfs fs;
    p->cgroup2 = statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
    return 0;
}

// --- identity, program, environment ------------------------------------------------------------

static int plan_user(const struct idmap *ids, struct sandbox_plan *p, const struct root *root,
                     struct err *e)
{
    const struct sandbox_spec *s = p->spec;
    if (sandbox_user_find(root, s->user, &s->groups_add, &p->user, e) < 0) return -1;
    if (!ids) return 0;
    const struct idmap_side *uids = p->own_userns ? &p->ids.uid : &ids->uid;
    const struct idmap_side *gids = p->own_userns ? &p->ids.gid : &ids->gid;
    const struct {
        const char *what;
        const struct idmap_side *side;
        uint32_t id;
    } checks[] = {{"user", uids, p->user.uid}, {"group", gids, p->user.gid}};
    for (size_t i = 0; i < 2; i++)
        if (!idmap_has(checks[i].side, checks[i].id)) {
            err_set(e, ERR_UNSUPPORTED, "the %s id %u is not among the ids of this %s",
                    checks[i].what, checks[i].id, p->own_userns ? "container" : "user");
            if (p->own_userns)
                return err_hint(e, "what is behind --userns decides which ids it has");
            return err_hint(
                e, "the ranges are in /etc/subuid and /etc/subgid; 'dewar doctor' shows them");
        }
    size_t kept = 0;  // a supplementary group that is not mapped cannot be had
    for (size_t i = 0; i < p->user.n; i++)
        if (idmap_has(gids, p->user.groups[i])) p->user.groups[kept++] = p->user.groups[i];
    p->user.n = kept;
    return 0;
}

static void plan_env(struct sandbox_plan *p)
{
    strv_add_all(&p->env, &p->spec->env);
    if (!oci_env_get(&p->env, "PATH")) strv_add(&p->env, "PATH=" DEFAULT_PATH);
    if (p->spec->home_env && !oci_env_get(&p->env, "HOME")) {
        const char *home = p->user.home;
        oci_env_set(&p->env, "HOME", home && home[0] ? home : "/");
    }
    p->envp = mem_alloc((p->env.n + 1) * sizeof *p->envp);
    for (size_t i = 0; i < p->env.n; i++) p->envp[i] = p->env.p[i];
}

static int plan_program(struct sandbox_plan *p, struct err *e)
{
    const struct strv *args = &p->spec->args;
    if (args->n == 0 || args->p[0][0] == '\0') {
        err_set(e, ERR_USAGE, "no command specified");
        return err_hint(e, "the image has no CMD or ENTRYPOINT: put the command behind its name");
    }
    size_t lead = p->spec->init ? 2 : 0;
    p->argv = mem_alloc((args->n + lead + 1) * sizeof *p->argv);
    static char init_path[] = INIT_PATH, later[] = "";
    if (lead) p->argv[0] = init_path;
    if (lead) p->argv[1] = later;
    for (size_t i = 0; i < args->n; i++) p->argv[lead + i] = args->p[i];
    if (strchr(args->p[0], '/')) {
        strv_add(&p->candidates, args->p[0]);
        return 0;
    }
    struct sv rest = sv_of(oci_env_get(&p->env, "PATH"));
    while (rest.p) {
        struct sv dir = sv_cut(&rest, ':');
        if (dir.n == 0) dir = SV(".");
        strv_take(&p->candidates, str_fmt("%.*s/%s", (int)dir.n, dir.p, args->p[0]));
    }
    return 0;
}

static int plan_hostname(struct sandbox_plan *p, struct err *e)
{
    const char *name = p->spec->build_step ? "build" : p->spec->hostname;
    if (p->spec->host_uts || (!name && p->spec->net == SANDBOX_NET_HOST)) {
        gethostname(p->hostname, sizeof p->hostname - 1);
        return 0;
    }
    if (!name) name = "container";
    size_t n = strlen(name);
    bool ok = n > 0 && n < sizeof p->hostname;
    for (size_t i = 0; i < n; i++)
        ok = ok && (name[i] == '-' || name[i] == '.' || name[i] == '_' ||
                    (name[i] >= '0' && name[i] <= '9') || (name[i] >= 'a' && name[i] <= 'z') ||
                    (name[i] >= 'A' && name[i] <= 'Z'));
    if (!ok)
        return err_set(e, ERR_USAGE,
                       "'%s' is not a host name (letters, digits, '-', '.'; at most 64)", name);
    snprintf(p->hostname, sizeof p->hostname, "%s", name);
    return 0;
}

static int plan_sysctls(struct sandbox_plan *p, struct err *e)
{
    static const char *const defaults[][2] = {
        {"sys/net/ipv4/ip_unprivileged_port_start", "0"},
        {"sys/net/ipv4/ping_group_range", "0 2147483647"},
    };
    bool user = p->user_mode || p->own_userns;
    // A program that is not root may listen on port 80 and ping, in a network of its own. In a user
    // namespace most of the group range is not mapped and the kernel refuses it.
    for (size_t i = 0; p->spec->net != SANDBOX_NET_HOST && i < (user ? 1u : 2u); i++)
        vec_push(&p->sysctls, (struct sandbox_plan_sysctl){str_dup(defaults[i][0]),
                                                           str_dup(defaults[i][1]), true});
    for (size_t i = 0; i < p->spec->sysctls.n; i++) {
        struct sandbox_plan_sysctl row = {0};
        if (sandbox_proc_sysctl(p->spec, p->spec->sysctls.p[i], &row.path, &row.value, e) < 0)
            return -1;
        vec_push(&p->sysctls, row);
    }
    return 0;
}

static int plan_seccomp(struct sandbox_plan *p, struct err *e)
{
    if (p->spec->seccomp_off || (p->spec->privileged && !p->spec->seccomp_file)) return 0;
    size_t n = 0;
    if (p->spec->seccomp_file) {
        if (sandbox_seccomp_file(p->spec->seccomp_file, p->caps, &p->seccomp.filter, &n, e) < 0)
            return -1;
    } else {
        p->seccomp.filter = sandbox_seccomp_default(p->caps, &n);
    }
    p->seccomp.len = (unsigned short)n;
    return 0;
}

static int plan_init(struct sandbox_plan *p, struct err *e)
{
    if (!p->spec->init) return 0;
    char path[4096];
    if (engine_helper("dewar-init", path, sizeof path, e) < 0) return -1;
    own(fd) int fd = fs_open(path, O_PATH, 0, e);
    if (fd < 0) return -1;
    p->init_fd =
        sandbox_mounts_clone(fd, false, true, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, NULL, e);
    return p->init_fd < 0 ? err_wrap(e, "binding dewar-init") : 0;
}

// A program opens a pipe again through /dev/stdout, and may only when it owns it. Other kinds either
// have a life of their own or cannot be opened again.
static void give_pipe(const struct sandbox_plan *p, int fd)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0 || fs.f_type != PIPEFS_MAGIC) return;
    // Best effort: without it the descriptor itself still works.
    if (fchown(fd, sandbox_userns_uid(&p->ids, p->user.uid),
               sandbox_userns_gid(&p->ids, p->user.gid)) != 0)
        return;
}

static int plan_stdio(struct sandbox_plan *p, const struct sandbox_stdio *io, struct err *e)
{
    const int fds[3] = {io->in, io->out, io->err};
    for (int i = 0; i < 3; i++) {
        p->io[i] = -1;
        if (p->spec->tty) continue;
        if (fds[i] < 0)
            p->io[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
        else
            p->io[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        if (p->io[i] >= 0 && p->io[i] < 3) {  // our own 0-2 may be closed
            int high = fcntl(p->io[i], F_DUPFD_CLOEXEC, 3);
            close(p->io[i]);
            p->io[i] = high;
        }
        if (p->io[i] < 0) return err_sys(e, "hand on stdin, stdout and stderr");
        if (p->own_userns) give_pipe(p, p->io[i]);
    }
    return 0;
}

static int plan_root(struct sandbox_plan *p, struct err *e)
{
    p->root_fd = fcntl(p->spec->rootfs_fd, F_DUPFD_CLOEXEC, 3);
    if (p->root_fd < 0) return err_sys(e, "use the root file system");
    // Device nodes that came out of an image layer must not open the host's disks.
    bool nodes = !p->own_userns && (p->spec->privileged || (p->caps & (uint64_t)1 << 27));
    struct mount_attr a = {.attr_set = nodes ? 0 : MOUNT_ATTR_NODEV, .propagation = MS_PRIVATE};
    if (mount_setattr(p->root_fd, "", AT_EMPTY_PATH, &a, sizeof a) != 0)
        return err_sys(e, "set the options of the root file system");
    return 0;
}

static void plan_namespaces(struct sandbox_plan *p)
{
    const struct sandbox_spec *s = p->spec;
    p->clone_flags = CLONE_NEWNS;
    p->join = s->join;
    if (!s->host_pid && !sandbox_join_has(s->join, JOIN_PID)) p->clone_flags |= CLONE_NEWPID;
    if (!s->host_ipc && !sandbox_join_has(s->join, JOIN_IPC)) p->clone_flags |= CLONE_NEWIPC;
    if (!s->host_uts && !sandbox_join_has(s->join, JOIN_UTS)) p->clone_flags |= CLONE_NEWUTS;
    if (s->net == SANDBOX_NET_NONE) p->clone_flags |= CLONE_NEWNET;
    if (p->own_userns) p->clone_flags |= CLONE_NEWUSER;
}

static int plan_workdir(struct sandbox_plan *p, struct err *e)
{
    own(str) struct str cwd = {0};
    const char *w = p->spec->workdir && p->spec->workdir[0] ? p->spec->workdir : "/";
    if (w[0] != '/') {
        err_set(e, ERR_USAGE, "the working directory '%s' is not an absolute path", w);
        return err_hint(e, "write '/%s'", w);
    }
    fs_clean(sv_of(w), &cwd);
    p->workdir = str_take(&cwd);
    return 0;
}

int sandbox_plan_process(struct sandbox_plan *p, const struct root *root, const struct idmap *ids,
                         const struct sandbox_stdio *io, struct err *e)
{
    if (!p->user_given && plan_user(ids, p, root, e) < 0) return -1;
    plan_env(p);
    if (plan_program(p, e) < 0 || plan_seccomp(p, e) < 0 || plan_stdio(p, io, e) < 0) return -1;
    return plan_workdir(p, e);
}

static int plan_all(struct engine *en, struct sandbox_plan *p, const struct sandbox_stdio *io,
                    struct err *e)
{
    const struct sandbox_spec *s = p->spec;
    struct root root = {s->rootfs_fd, "the container"};
    plan_namespaces(p);
    if (sandbox_caps_plan(s, &p->caps, e) < 0 || plan_hostname(p, e) < 0 || plan_root(p, e) < 0 ||
        sandbox_plan_process(p, &root, &en->ids, io, e) < 0 || plan_sysctls(p, e) < 0 ||
        sandbox_plan_devices(en, p, e) < 0 || plan_init(p, e) < 0 ||
        sandbox_plan_scratch(en, p, &root, e) < 0 || plan_pts(p, e) < 0 || plan_shm(p, e) < 0 ||
        plan_host_views(p, e) < 0 || sandbox_plan_mounts(en, p, e) < 0)
        return -1;
    bool rules = !s->privileged &&
                 ((p->caps & (uint64_t)1 << 27) || s->devices.n || s->device_rules.n);
    if (sandbox_cgroup_make(en, s, rules ? &p->device_rules : NULL, &p->cgroup, e) < 0) return -1;
    return sandbox_plan_groups(p, e);
}

void sandbox_plan_begin(struct engine *en, const struct sandbox_spec *spec,
                        struct sandbox_plan *out)
{
    memset(out, 0, sizeof *out);
    out->root_fd = out->scratch_fd = out->null_fd = out->init_fd = out->sys_fd = out->proc_fd =
        out->shm_fd = out->pts_fd = out->doorstep_fd = out->status_fd = out->io[0] = out->io[1] =
            out->io[2] = -1;
    out->en = en;
    out->spec = spec;
    out->parent = getpid();
    out->user_mode = en->ids.mode != IDMAP_ROOT;
    out->own_userns = spec->ids.own;
    out->ids = spec->ids;
}

int sandbox_plan_make(struct engine *en, const struct sandbox_spec *spec,
                      const struct sandbox_stdio *io, struct sandbox_plan *out, struct err *e)
{
    sandbox_plan_begin(en, spec, out);
    if (plan_all(en, out, io, e) == 0) return 0;
    char name[SANDBOX_CGROUP];
    snprintf(name, sizeof name, "%s", out->cgroup.name);
    sandbox_plan_fini(out);
    if (name[0]) sandbox_cgroup_remove(name, NULL);
    return -1;
}
