// SPDX-License-Identifier: Apache-2.0
// From a bundle's config.json to the plan that the child walks: namespaces, root, devices. Everything is
// checked, opened and spelled out here; plan_process.c has what the program is and may do.
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/own.h"
#include "bundle/internal.h"
#include "sandbox/join.h"
#include "sandbox/mounts.h"
#include "sandbox/plan.h"
#include "sandbox/proc_sys.h"
#include "sandbox/sandbox.h"
#include "sandbox/seccomp.h"
#include "sandbox/user.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif

void bundle_plan_fini(struct bundle_plan *o)
{
    vec_each(r, &o->rows)
    {
        own_fd(&r->fd);
        free(r->target);
        free(r->type);
        free(r->source);
        vec_each(x, &r->options)
        {
            free(x->key);
            free(x->value);
        }
        vec_fini(&r->options);
    }
    vec_fini(&o->rows);
    vec_each(n, &o->nodes)
    {
        own_fd(&n->fd);
        free(n->path);
    }
    vec_fini(&o->nodes);
    vec_each(c, &o->calls)
    {
        free(c->argv);
        free(c->envp);
    }
    vec_fini(&o->calls);
    int *fds[] = {&o->null_fd, &o->empty_fd, &o->host_proc, &o->gate_fd, &o->host_mnt};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) own_fd(fds[i]);
    free(o->rootfs);
    free(o->state_head[0]);
    free(o->state_head[1]);
    free(o->state_tail);
    free(o->clocks);
    memset(o, 0, sizeof *o);
    o->null_fd = o->empty_fd = o->host_proc = o->gate_fd = o->host_mnt = -1;
}

const char *bundle_plan_what(const struct sandbox_plan *p, const struct report *r)
{
    const struct bundle_plan *o = p->bundle;
    size_t i = r->index;
    switch ((int)r->step) {
    case STEP_OCI_TARGET:
    case STEP_OCI_MOUNT:
    case STEP_TARGET_PROC:
        return i < o->rows.n ? o->rows.p[i].target : "";
    case STEP_OCI_DEVICE:
        return i < o->nodes.n ? o->nodes.p[i].path : "";
    case STEP_OCI_MASK:
        return i < o->config->masked.n ? o->config->masked.p[i] : "";
    case STEP_OCI_READONLY:
        return i < o->config->readonly.n ? o->config->readonly.p[i] : "";
    case STEP_HOOK:
        return i < o->calls.n ? o->calls.p[i].argv[0] : "";
    default:
        return NULL;
    }
}

// --- namespaces --------------------------------------------------------------------------------

static const struct {
    const char *name;
    enum sandbox_join_ns kind;
} kinds[] = {{"pid", JOIN_PID},       {"network", JOIN_NET}, {"mount", JOIN_MNT},
             {"ipc", JOIN_IPC},       {"uts", JOIN_UTS},     {"user", JOIN_USER},
             {"cgroup", JOIN_CGROUP}, {"time", JOIN_TIME}};

static bool is_ours(const char *path, const char *name)
{
    struct stat a, b;
    own(free) char *own_path = str_fmt("/proc/self/ns/%s", name);
    return fstatat(AT_FDCWD, path, &a, 0) == 0 && fstatat(AT_FDCWD, own_path, &b, 0) == 0 &&
           a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static int one_namespace(const struct oci_namespace *n, struct sandbox_join *join,
                         struct sandbox_plan *p, bool has[JOIN_COUNT], struct err *e)
{
    size_t k = 0;
    while (k < sizeof kinds / sizeof *kinds && strcmp(n->type, kinds[k].name) != 0) k++;
    if (k == sizeof kinds / sizeof *kinds)
        return err_set(e, ERR_INPUT, "linux.namespaces: unknown type '%s'", n->type);
    enum sandbox_join_ns kind = kinds[k].kind;
    if (n->path) {
        // Its own namespace by name is the host's one: to be treated as such.
        if (is_ours(n->path, sandbox_join_name(kind)) && kind != JOIN_MNT) return 0;
        has[kind] = true;
        p->join = join;
        return sandbox_join_open(join, kind, n->path, e);
    }
    has[kind] = true;
    if (kind == JOIN_USER) {
        if (p->user_mode && !p->map_uid) return 0;  // we are in it already
        p->own_userns = true;
    } else if (kind == JOIN_CGROUP) {
        p->bundle->new_cgroupns = true;
        return 0;
    } else if (kind == JOIN_TIME) {
        p->join = join;
        join->time_offsets = "";
        return 0;
    }
    p->clone_flags |= sandbox_join_flag(kind);
    p->bundle->new_net |= kind == JOIN_NET;
    return 0;
}

// Mounting a container's files in the host's own namespace would leave them there: a new one is
// made for that, and left in the end (bundle/enter.c). With a user namespace the kernel would not
// let us back.
static int no_mount_namespace(const struct bundle_build *b, bool has_user, struct sandbox_plan *p,
                              struct err *e)
{
    p->clone_flags |= sandbox_join_flag(JOIN_MNT);
    if (has_user || b->in_userns) return 0;
    event_warn(&b->context->sink,
               "linux.namespaces: without a mount namespace the program is kept from the host's "
               "files by its root alone");
    p->bundle->host_mnt = fs_open("/proc/self/ns/mnt", O_RDONLY, 0, e);
    return p->bundle->host_mnt < 0 ? -1 : 0;
}

static int namespaces(const struct bundle_build *b, struct sandbox_spec *s,
                      struct sandbox_join *join, struct sandbox_plan *p, struct err *e)
{
    bool has[JOIN_COUNT] = {false};
    for (size_t i = 0; i < b->config->namespaces.n; i++)
        if (one_namespace(&b->config->namespaces.p[i], join, p, has, e) < 0) return -1;
    if (!has[JOIN_MNT] && no_mount_namespace(b, has[JOIN_USER], p, e) < 0) return -1;
    s->host_pid = !has[JOIN_PID];
    s->host_ipc = !has[JOIN_IPC];
    s->host_uts = !has[JOIN_UTS];
    s->net = has[JOIN_NET] ? SANDBOX_NET_NONE : SANDBOX_NET_HOST;
    const struct oci_runtime *r = b->config;
    if (s->host_uts && ((r->hostname && r->hostname[0]) || (r->domainname && r->domainname[0])))
        return err_set(e, ERR_INPUT, "hostname: it needs a uts namespace of the container's own");
    if (p->own_userns && (!r->uid.n || !r->gid.n))
        return err_set(e, ERR_INPUT,
                       "a new user namespace needs linux.uidMappings and linux.gidMappings");
    if (!p->own_userns && !has[JOIN_USER] && (r->uid.n || r->gid.n))
        return err_set(e, ERR_INPUT, "linux.uidMappings: there is no user namespace to map");
    return 0;
}

// HOME as the container's own passwd has it, where the bundle does not say.
static void home_of(const struct root *root, struct sandbox_plan *p)
{
    struct err ignored;
    struct sandbox_user u = {0};
    own(free) char *text = str_fmt("%u", p->user.uid);
    if (sandbox_user_find(root, text, NULL, &u, &ignored) == 0) p->user.home = take_ptr(u.home);
    sandbox_user_fini(&u);
}

// --- root and devices --------------------------------------------------------------------------

static const struct {
    const char *word;
    unsigned long flag;
} propagations[] = {{"private", MS_PRIVATE},       {"rprivate", MS_PRIVATE | MS_REC},
                    {"slave", MS_SLAVE},           {"rslave", MS_SLAVE | MS_REC},
                    {"shared", MS_SHARED},         {"rshared", MS_SHARED | MS_REC},
                    {"unbindable", MS_UNBINDABLE}, {"runbindable", MS_UNBINDABLE | MS_REC}};

static int root_propagation(const char *word, struct bundle_plan *o, struct err *e)
{
    o->outer_propagation = MS_SLAVE | MS_REC;
    for (size_t i = 0; word && i < sizeof propagations / sizeof *propagations; i++)
        if (strcmp(word, propagations[i].word) == 0) {
            o->root_propagation = propagations[i].flag;
            return 0;
        }
    if (!word || !word[0]) return 0;
    return err_set(e, ERR_INPUT, "linux.rootfsPropagation: unknown value '%s'", word);
}

static int root_fs(const struct bundle_build *b, struct sandbox_plan *p, struct err *e)
{
    const struct oci_runtime *r = b->config;
    struct bundle_plan *o = p->bundle;
    own(free) char *path =
        r->root_path[0] == '/' ? str_dup(r->root_path) : str_fmt("%s/%s", b->bundle, r->root_path);
    own(str) struct str clean = {0};
    fs_clean(sv_of(path), &clean);
    o->rootfs = str_take(&clean);
    if (root_propagation(r->propagation, o, e) < 0) return -1;
    own(fd) int fd = fs_open(o->rootfs, O_PATH | O_DIRECTORY, 0, e);
    if (fd < 0) return err_wrap(e, "opening root.path");
    p->root_fd =
        open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
    if (p->root_fd < 0) return err_sys(e, "copy the mount of '%s'", o->rootfs);
    bool shared = o->root_propagation & MS_SHARED;
    struct mount_attr a = {.propagation = MS_SLAVE};
    if (!shared && mount_setattr(p->root_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &a, sizeof a) != 0)
        return err_sys(e, "set the propagation of the root");
    return 0;
}

static int host_node(const char *path, mode_t kind, dev_t rdev, struct err *e)
{
    struct stat st;
    own(fd) int fd = fs_open(path, O_PATH, 0, e);
    if (fd < 0) return -1;
    if (fstat(fd, &st) != 0 || (st.st_mode & S_IFMT) != kind || st.st_rdev != rdev)
        return err_set(e, ERR_UNSUPPORTED, "the host's '%s' is not the device it should be", path);
    return sandbox_mounts_clone(fd, false, false, 0, NULL, e);
}

static int add_node(const struct bundle_build *b, struct sandbox_plan *p,
                    const struct oci_device *d, const char *host, struct err *e)
{
    struct bundle_node n = {.fd = -1, .uid = d->uid, .gid = d->gid};
    mode_t kind = d->type == 'b' ? S_IFBLK : d->type == 'p' ? S_IFIFO : S_IFCHR;
    n.mode = kind | (d->mode & 07777);
    n.rdev = d->type == 'p' ? 0 : makedev((unsigned)d->major, (unsigned)d->minor);
    if ((b->in_userns || p->own_userns || p->join) && d->type != 'p') {
        n.fd = host_node(host, kind, n.rdev, e);
        if (n.fd < 0) return err_wrap(e, "binding the device '%s'", d->path);
    }
    own(str) struct str clean = {0};
    fs_clean(sv_of(d->path), &clean);
    n.path = str_take(&clean);
    vec_push(&p->bundle->nodes, n);
    return 0;
}

// The first one of a name counts: callers that add devices from several places do not compare.
static bool listed_before(const struct oci_runtime *r, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(r->devices.p[k].path, r->devices.p[i].path) == 0) return true;
    return false;
}

static int devices(const struct bundle_build *b, struct sandbox_plan *p, struct err *e)
{
    static char names[6][16] = {"/dev/null", "/dev/zero",    "/dev/full",
                                "/dev/tty",  "/dev/urandom", "/dev/random"};
    static const unsigned numbers[6][2] = {{1, 3}, {1, 5}, {1, 7}, {5, 0}, {1, 9}, {1, 8}};
    const struct oci_runtime *r = b->config;
    p->bundle->dev_setup = true;
    // A '/dev' that the bundle binds from outside is complete already.
    for (size_t i = 0; i < p->bundle->rows.n; i++)
        if (strcmp(p->bundle->rows.p[i].target, "/dev") == 0 &&
            p->bundle->rows.p[i].kind == BUNDLE_ROW_BIND)
            p->bundle->dev_setup = false;
    for (size_t i = 0; i < 6 && p->bundle->dev_setup; i++) {
        const struct oci_device d = {names[i], 'c', numbers[i][0], numbers[i][1], 0666, 0, 0};
        bool listed = false;
        for (size_t k = 0; k < r->devices.n; k++)
            listed |= strcmp(r->devices.p[k].path, names[i]) == 0;
        if (!listed && add_node(b, p, &d, names[i], e) < 0) return -1;
    }
    for (size_t i = 0; i < r->devices.n && p->bundle->dev_setup; i++)
        if (!listed_before(r, i) && add_node(b, p, &r->devices.p[i], r->devices.p[i].path, e) < 0)
            return -1;
    return 0;
}

static int covers(const struct bundle_build *b, struct bundle_plan *o, struct err *e)
{
    if (!b->config->masked.n) return 0;
    const struct sandbox_tmpfs_options t = {.mode = 0555,
                                            .attr = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
                                                    MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
    o->null_fd = host_node("/dev/null", S_IFCHR, makedev(1, 3), e);
    if (o->null_fd < 0) return -1;
    o->empty_fd = sandbox_mounts_tmpfs(&t, e);
    return o->empty_fd < 0 ? -1 : 0;
}

// --- hooks, clocks, odds and ends ----------------------------------------------------------------

static void calls(const struct oci_runtime *r, struct bundle_plan *o)
{
    static const enum oci_hook_kind two[] = {OCI_HOOK_CREATE_CONTAINER, OCI_HOOK_START_CONTAINER};
    for (int k = 0; k < 2; k++) vec_each(h, &r->hooks[two[k]])
        {
            struct bundle_call *c = vec_add(&o->calls);
            c->start = k;
            c->timeout = h->timeout;
            c->argv = mem_alloc((h->args.n + 3) * sizeof *c->argv);
            c->envp = mem_alloc((h->env.n + 1) * sizeof *c->envp);
            c->argv[0] = c->argv[1] = h->path;
            for (size_t i = 0; i < h->args.n; i++) c->argv[i + 1] = h->args.p[i];
            for (size_t i = 0; i < h->env.n; i++) c->envp[i] = h->env.p[i];
        }
    o->ask_hooks =
        o->calls.n || r->hooks[OCI_HOOK_PRESTART].n || r->hooks[OCI_HOOK_CREATE_RUNTIME].n;
}

static int clocks(const struct oci_runtime *r, struct sandbox_join *join, char **out, struct err *e)
{
    static const char *const names[OCI_CLOCKS] = {"monotonic", "boottime"};
    own(str) struct str text = {0};
    for (int i = 0; i < OCI_CLOCKS; i++)
        if (r->clocks[i].given)
            str_addf(&text, "%s %lld %lld\n", names[i], (long long)r->clocks[i].secs,
                     (long long)r->clocks[i].nanosecs);
    if (!text.n) return 0;
    if (!join->time_offsets)
        return err_set(e, ERR_INPUT, "linux.timeOffsets: they need a new time namespace");
    *out = str_take(&text);
    join->time_offsets = *out;
    return 0;
}

static int odds_and_ends(const struct bundle_build *b, struct sandbox_plan *p, struct err *e)
{
    const struct oci_runtime *r = b->config;
    struct bundle_plan *o = p->bundle;
    if (bundle_plan_personality(r, p, e) < 0) return -1;
    for (size_t i = 0; i < r->sysctls.n; i++) {
        struct sandbox_plan_sysctl row = {0};
        if (sandbox_proc_sysctl(p->spec, r->sysctls.p[i], &row.path, &row.value, e) < 0) return -1;
        vec_push(&p->sysctls, row);
    }
    if (p->spec->host_pid) {
        o->host_proc = fs_open("/proc", O_PATH | O_DIRECTORY, 0, e);
        if (o->host_proc < 0) return -1;
    }
    o->no_pivot = b->options->no_pivot;
    o->look_early = b->context->look_early && r->has_process;
    p->keep_keyring = b->options->no_new_keyring;
    p->keep_fds = (unsigned)b->options->preserve_fds;
    return bundle_plan_label(&r->process, &p->label_file, &p->label, e);
}

// The program does not wait for the one who answers: if nobody can, it is not started.
static int check_listener(const struct codec_json *seccomp, struct err *e)
{
    struct stat st;
    own(free) char *path = sv_dup(codec_json_text(codec_json_get(seccomp, "listenerPath")));
    if (!path[0] || !sandbox_seccomp_notifies(seccomp)) return 0;
    own(fd) int fd = fs_open(path, O_PATH, 0, e);
    if (fd < 0) return err_wrap(e, "looking for linux.seccomp.listenerPath");
    if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode)) return 0;
    return err_set(e, ERR_INPUT, "linux.seccomp.listenerPath: '%s' is no socket", path);
}

static bool groups_denied(void)
{
    struct err ignored;
    own(str) struct str text = {0};
    return fs_read_at(AT_FDCWD, "/proc/self/setgroups", 64, &text, &ignored) == 0 &&
           sv_starts(str_sv(&text), "deny");
}

// Descriptors that are handed on keep their numbers: ours must lie above them.
static int lift(int *fd, unsigned keep, struct err *e)
{
    if (*fd < 0 || *fd >= (int)(3 + keep)) return 0;
    int high = fcntl(*fd, F_DUPFD_CLOEXEC, 3 + (int)keep);
    if (high < 0) return err_sys(e, "move a descriptor");
    close(*fd);
    *fd = high;
    return 0;
}

int bundle_plan_make(struct engine *en, const struct bundle_build *b, struct sandbox_spec *spec,
                     struct sandbox_join *join, struct sandbox_plan *p, struct bundle_plan *o,
                     struct err *e)
{
    const struct oci_runtime *r = b->config;
    const struct sandbox_stdio io = {0, 1, 2};
    unsigned version[3] = {1, 0, 0};
    oci_runtime_version(r->version, version);
    sandbox_plan_begin(en, spec, p);
    p->bundle = o;
    p->what = bundle_plan_what;
    p->explain = bundle_hook_error;
    p->walk = bundle_enter_walk;
    p->parent_joins = true;
    p->user_mode = b->in_userns;
    p->map_uid = &r->uid;
    p->map_gid = &r->gid;
    if (!r->uid.n) p->map_uid = p->map_gid = NULL;
    if (namespaces(b, spec, join, p, e) < 0 || root_fs(b, p, e) < 0) return -1;
    const struct root root = {p->root_fd, "the container"};
    if (bundle_plan_spec(&r->process, version, &b->context->sink, spec, p, e) < 0) return -1;
    home_of(&root, p);
    p->keep_groups = b->in_userns && !p->user.n && groups_denied();
    bool own_userns = p->own_userns;
    p->own_userns =
        false; // its ids are not in one range: what sandbox_plan_process does with that is not ours
    if (sandbox_plan_process(p, &root, NULL, &io, e) < 0) return -1;
    p->own_userns = own_userns;
    if (bundle_mounts_plan(b, p, o, e) < 0 || devices(b, p, e) < 0 || covers(b, o, e) < 0)
        return -1;
    calls(r, o);
    if (odds_and_ends(b, p, e) < 0 || clocks(r, join, &o->clocks, e) < 0) return -1;
    if (check_listener(r->seccomp, e) < 0) return -1;
    if (r->seccomp &&
        sandbox_seccomp_oci(r->seccomp, b->cache_fd, &p->seccomp, &p->seccomp_flags, e) < 0)
        return err_wrap(e, "reading linux.seccomp");
    for (int i = 0; i < 3; i++)
        if (lift(&p->io[i], p->keep_fds, e) < 0) return -1;
    return 0;
}
