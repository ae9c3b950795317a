// SPDX-License-Identifier: Apache-2.0
// From a container's config to what a start needs: the sandbox's spec, the root, the volumes. The
// same for the first start and for every later one, by whoever does it.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "container/others.h"
#include "container/start.h"
#include "image/view.h"
#include "record/record.h"
#include "record/state.h"
#include "sandbox/mounts.h"
#include "sandbox/parse.h"
#include "sandbox/resolv.h"
#include "sandbox/sandbox.h"
#include "sandbox/seccomp.h"
#include "sandbox/userns.h"
#include "store/lock.h"
#include "store/shift.h"
#include "volume/claim.h"

// --- the spec ----------------------------------------------------------------------------------

static int security_option(const char *text, struct sandbox_spec *s, struct err *e)
{
    struct sv rest = sv_of(text);
    struct sv key = sv_cut(&rest, strchr(text, '=') ? '=' : ':');
    struct sv value = rest.p ? rest : SV("");
    if (sv_eqz(key, "no-new-privileges") || sv_eqz(key, "no-new-privs")) {
        s->no_new_privs = !sv_eqz(value, "false");
        if (value.n && s->no_new_privs && !sv_eqz(value, "true"))
            return err_set(e, ERR_USAGE, "'%s': it is true or false", text);
    } else if (sv_eqz(key, "seccomp")) {
        s->seccomp_off = sv_eqz(value, "unconfined");
        free(s->seccomp_file);
        s->seccomp_file = s->seccomp_off || value.n == 0 ? NULL : sv_dup(value);
        if (sv_eqz(value, "builtin")) free(take_ptr(s->seccomp_file));
    } else if (sv_eqz(key, "systempaths") && sv_eqz(value, "unconfined")) {
        s->unmask = true;
    } else if (sv_eqz(key, "unmask") && sv_eq_nocase(value, SV("ALL"))) {
        s->unmask = true;
    } else if ((sv_eqz(key, "apparmor") && sv_eqz(value, "unconfined")) ||
               (sv_eqz(key, "label") && sv_eqz(value, "disable"))) {
        return 0; // what they would switch off is not there
    } else {
        err_set(e, ERR_USAGE, "unknown security option '%s'", text);
        return err_hint(e, "known are no-new-privileges, seccomp=unconfined, seccomp=FILE and "
                           "systempaths=unconfined");
    }
    return 0;
}

static bool is_host(const char *mode)
{
    return mode && strcmp(mode, "host") == 0;
}

// The engine's variables first, so that the image's and the person's replace them.
static void fill_env(const struct record_config *c, struct sandbox_spec *s)
{
    oci_env_set(&s->env, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    if (s->hostname) oci_env_set(&s->env, "HOSTNAME", s->hostname);
    if (s->tty) oci_env_set(&s->env, "TERM", "xterm");
    for (size_t i = 0; i < c->env.n; i++) {
        struct sv value = sv_of(c->env.p[i]), key = sv_cut(&value, '=');
        own(free) char *k = sv_dup(key);
        if (value.p)
            oci_env_set(&s->env, k, value.p);
        else
            oci_env_del(&s->env, k);
    }
    s->home_env = true;
}

static void fill_plain(const struct record_config *c, struct sandbox_spec *s)
{
    const struct {
        char **to;
        const char *from;
    } texts[] = {{&s->user, c->user},
                 {&s->workdir, c->workdir},
                 {&s->hostname, c->hostname},
                 {&s->domainname, c->domainname},
                 {&s->cpuset_cpus, c->cpuset_cpus},
                 {&s->cpuset_mems, c->cpuset_mems},
                 {&s->cgroup_parent, c->cgroup_parent}};
    s->workdir_stays = true;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) *texts[i].to = str_dup(texts[i].from);
    const struct {
        struct strv *to;
        const struct strv *from;
    } lists[] = {{&s->args, &c->args},
                 {&s->groups_add, &c->groups_add},
                 {&s->hosts_extra, &c->hosts_extra},
                 {&s->cap_add, &c->cap_add},
                 {&s->cap_drop, &c->cap_drop},
                 {&s->sysctls, &c->sysctls},
                 {&s->device_rules, &c->device_rules},
                 {&s->dns, &c->dns},
                 {&s->dns_search, &c->dns_search},
                 {&s->dns_options, &c->dns_options}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        strv_add_all(lists[i].to, lists[i].from);
    s->tty = c->tty;
    s->init = c->init;
    s->readonly = c->readonly;
    s->privileged = c->privileged;
    s->shm_size = (uint64_t)c->shm_size;
    s->has_oom_score_adj = c->has_oom_score_adj;
    s->oom_score_adj = c->oom_score_adj;
    s->memory = (uint64_t)c->memory;
    s->memory_swap = c->memory_swap;
    s->cpu_shares = (uint64_t)c->cpu_shares;
    s->nano_cpus = c->nano_cpus;
    s->cpu_quota = c->cpu_quota;
    s->cpu_period = c->cpu_period;
    s->memory_reservation = c->memory_reservation;
    s->blkio_weight = c->blkio_weight;
    s->cpu_rt_period = c->cpu_rt_period;
    s->cpu_rt_runtime = c->cpu_rt_runtime;
    s->oom_kill_disable = c->oom_kill_disable;
    s->has_swappiness = c->has_swappiness;
    s->memory_swappiness = c->memory_swappiness;
    s->host_cgroupns = is_host(c->cgroupns);
    s->pids_limit = c->pids_limit;
    s->net = c->network && strcmp(c->network, "host") == 0 ? SANDBOX_NET_HOST : SANDBOX_NET_NONE;
    s->host_pid = is_host(c->pid_mode);
    s->host_ipc = is_host(c->ipc_mode);
    s->host_uts = is_host(c->uts_mode);
    s->no_shm = c->ipc_mode && strcmp(c->ipc_mode, "none") == 0;
    if (c->brief.id[0]) s->cgroup_name = str_fmt("%.32s", c->brief.id);
}

int container_start_spec(struct engine *en, const struct record_config *c, struct sandbox_spec *s,
                         struct err *e)
{
    fill_plain(c, s);
    fill_env(c, s);
    if (sandbox_userns_option(c->userns_mode, s, e) < 0 || sandbox_userns_check(en, s, e) < 0)
        return -1;
    for (size_t i = 0; i < c->security.n; i++)
        if (security_option(c->security.p[i], s, e) < 0) return -1;
    for (size_t i = 0; i < c->devices.n; i++) {
        struct sandbox_device d = {0};
        if (sandbox_parse_device(c->devices.p[i], &d, e) < 0) return -1;
        vec_push(&s->devices, d);
    }
    for (size_t i = 0; i < c->ulimits.n; i++) {
        struct sandbox_rlimit l;
        if (sandbox_parse_ulimit(c->ulimits.p[i], &l, e) < 0) return -1;
        vec_push(&s->rlimits, l);
    }
    for (size_t i = 0; i < c->disk_limits.n; i++) {
        struct sandbox_disk_limit l;
        if (sandbox_disk_parse(c->disk_limits.p[i], &l, e) < 0) return -1;
        vec_push(&s->disk_limits, l);
    }
    return sandbox_resolv_check(s, e);
}

// --- root and volumes --------------------------------------------------------------------------

// The merged root folder takes mode and owner from the upper one, so that gets the image's.
static int make_upper(struct engine *en, int dir, const struct image_view *im,
                      const struct sandbox_ids *ids, int *out_upper, int *out_work, struct err *e)
{
    static const char *const names[] = {"upper", "work"};
    int fds[2] = {-1, -1};
    bool made = false;
    // What a volatile mount leaves in the work folder makes every later mount fail.
    if (fs_remove_tree(dir, names[1], e) < 0) return -1;
    for (int i = 0; i < 2; i++) {
        if (mkdirat(dir, names[i], 0755) == 0)
            made |= i == 0;
        else if (errno != EEXIST)
            return err_sys(e, "make the container's layer");
        fds[i] = fs_open_dir(dir, names[i], e);
        if (fds[i] < 0) return -1;
        *(i ? out_work : out_upper) = fds[i];
    }
    if (!made) return 0; // not the first start
    struct stat st = {.st_mode = 0755};
    if (im->n) {
        own(fd) int top = store_layer_open_fs(en, &im->layers[im->n - 1], e);
        if (top < 0) return -1;
        if (fstat(top, &st) != 0) return err_sys(e, "stat the image's root");
    }
    uid_t uid = sandbox_userns_uid(ids, st.st_uid);
    gid_t gid = sandbox_userns_gid(ids, st.st_gid);
    if (fchown(fds[0], uid, gid) != 0 || fchmod(fds[0], st.st_mode & 07777) != 0)
        return err_sys(e, "set the owner of the container's root");
    return 0;
}

// Where the kernel cannot map the layers' ids (an ordinary user), copies of them hold the right ones.
static int map_layers(struct engine *en, const struct image_view *im, const struct sandbox_ids *ids,
                      const struct image_progress *progress, struct engine *out, struct err *e)
{
    *out = *en;
    if (!ids->own || !ids->name[0]) return 0;
    struct store_shift s = {.name = ids->name, .uid = &ids->uid, .gid = &ids->gid};
    if (progress) {
        s.begin = progress->begin;
        s.end = progress->end;
        s.arg = progress->arg;
    }
    if (store_shift(en, &s, im->layers, im->n, out, e) == 0) return 0;
    return err_wrap(e, "making the image's layers for the ids of this container");
}

static int open_root(struct engine *en, const struct record *r, const struct image_view *im,
                     const struct sandbox_ids *ids, const struct image_progress *progress,
                     struct err *e)
{
    own(fd) int upper = -1;
    own(fd) int work = -1;
    struct engine mapped;
    if (map_layers(en, im, ids, progress, &mapped, e) < 0) return -1;
    own(fd) int stub = sandbox_stub_open(&mapped, ids->name[0] ? ids : NULL, e);
    if (stub < 0 || make_upper(en, r->fd, im, ids, &upper, &work, e) < 0) return -1;
    struct store_overlay o = {.layers = im->layers,
                              .n = im->n,
                              .extra_bottom_fd = stub,
                              .upper_fd = upper,
                              .work_fd = work,
                              .durable = !r->rm,
                              .userns_fd = ids->userns_fd};
    return store_overlay_open(&mapped, &o, e);
}

static bool has_mount(const struct sandbox_spec *s, const char *target)
{
    for (size_t i = 0; i < s->mounts.n; i++)
        if (strcmp(s->mounts.p[i].target, target) == 0) return true;
    return false;
}

static int clean_target(const struct record_mount *v, struct str *out, struct err *e)
{
    fs_clean(sv_of(v->target), out);
    if (str_z(out)[0] == '/' && out->n > 1) return 0;
    return err_set(e, ERR_INPUT, "the volume '%s' is not an absolute path below '/'", v->target);
}

struct opening {
    struct engine *en;
    struct record *r;
    const struct image_progress *progress;
    struct sandbox_spec *s;
};

static int open_volume(const struct opening *o, const struct record_mount *v,
                       struct sandbox_mount *m, struct err *e)
{
    own(str) struct str clean = {0};
    if (clean_target(v, &clean, e) < 0) return -1;
    struct root root = {o->s->rootfs_fd, "the image"};
    m->source_fd = volume_open(o->en, v, o->r->id, &root, clean.p, &o->s->ids, &m->readonly, e);
    if (m->source_fd < 0) return -1;
    m->source = str_fmt("volume %s", v->name);
    m->target = str_take(&clean);
    return 0;
}

// The layer of the container's own on top of an image that is mounted writable.
static int image_upper(const struct opening *o, const struct image_view *im,
                       const struct record_mount *v, int *upper, int *work, struct err *e)
{
    own(str) struct str name = {0};
    str_addz(&name, "image");
    for (const char *p = v->target; *p && name.n < 200; p++) str_addc(&name, *p == '/' ? '+' : *p);
    if (mkdirat(o->r->fd, str_z(&name), 0700) != 0 && errno != EEXIST)
        return err_sys(e, "make the layer for '%s'", v->target);
    own(fd) int dir = fs_open_dir(o->r->fd, str_z(&name), e);
    return dir < 0 ? -1 : make_upper(o->en, dir, im, &o->s->ids, upper, work, e);
}

static int open_view(const struct opening *o, const struct record_mount *v, struct err *e)
{
    struct oci_digest id;
    struct image_view view;
    struct engine mapped;
    own(fd) int upper = -1;
    own(fd) int work = -1;
    if (oci_digest_parse(sv_of(v->image), &id, e) < 0 ||
        image_view_open_id(o->en, &id, &view, e) < 0)
        return -1;
    own(image_view) struct image_view im = view;
    if (map_layers(o->en, &im, &o->s->ids, o->progress, &mapped, e) < 0 ||
        (v->writable && image_upper(o, &im, v, &upper, &work, e) < 0))
        return -1;
    struct store_overlay overlay = {.layers = im.layers,
                                    .n = im.n,
                                    .upper_fd = upper > 0 ? upper : 0,
                                    .work_fd = work > 0 ? work : 0,
                                    .durable = !o->r->rm,
                                    .userns_fd = o->s->ids.userns_fd};
    return store_overlay_open(&mapped, &overlay, e);
}

// A part of an image that is not mounted anywhere: older kernels copy only mounts that are.
static int view_part(int view, const struct record_mount *v, struct err *e)
{
    struct root root = {view, "the image"};
    own(fd) int part = fs_in_open(&root, v->subpath, O_PATH, 0, e);
    if (part < 0) return -1;
    int tree = sandbox_mounts_clone(part, false, v->readonly, 0, NULL, e);
    if (tree < 0 && e->sys == EINVAL)
        err_hint(e, "a part of an image needs Linux 6.15; mount the whole image");
    return tree;
}

static int open_image(const struct opening *o, const struct record_mount *v,
                      struct sandbox_mount *m, struct err *e)
{
    own(str) struct str clean = {0};
    if (clean_target(v, &clean, e) < 0) return -1;
    own(fd) int view = open_view(o, v, e);
    own(fd) int part = view >= 0 && v->subpath ? view_part(view, v, e) : -1;
    if (view < 0 || (v->subpath && part < 0))
        return err_wrap(e, "mounting the image '%s' on '%s'", v->source, v->target);
    int tree = v->subpath ? part : view;
    struct mount_attr safe = {.attr_set = MOUNT_ATTR_NODEV, .propagation = MS_PRIVATE};
    if (mount_setattr(tree, "", AT_EMPTY_PATH, &safe, sizeof safe) != 0)
        return err_sys(e, "set the options of the mount '%s'", v->target);
    m->kind = SANDBOX_MOUNT_TREE;
    m->source_fd = v->subpath ? take_fd(part) : take_fd(view);
    m->source = str_fmt("image %s", v->source);
    m->target = str_take(&clean);
    return 0;
}

static int add_volume(const struct opening *o, const struct record_mount *v, struct err *e)
{
    struct sandbox_spec *s = o->s;
    struct sandbox_mount m = {.source_fd = -1,
                              .readonly = v->readonly,
                              .nonrecursive = v->nonrecursive,
                              .toponly = v->toponly,
                              .noexec = v->noexec,
                              .nosuid = v->nosuid,
                              .nodev = v->nodev,
                              .propagation = str_dup(v->propagation)};
    bool image = strcmp(v->type, "image") == 0;
    if (image || strcmp(v->type, "volume") == 0) {
        if (image ? open_image(o, v, &m, e) < 0 : open_volume(o, v, &m, e) < 0) {
            sandbox_mount_fini(&m);
            return -1;
        }
    } else {
        m.kind = strcmp(v->type, "tmpfs") == 0 ? SANDBOX_MOUNT_TMPFS : SANDBOX_MOUNT_BIND;
        m.source = str_dup(v->source);
        m.target = str_dup(v->target);
        m.tmpfs_size = (uint64_t)v->size;
        m.tmpfs_mode = (uint32_t)v->mode;
        m.tmpfs_uid = (uid_t)v->uid;
        m.tmpfs_gid = (gid_t)v->gid;
    }
    if (v->anonymous && has_mount(s, m.target))
        sandbox_mount_fini(&m);
    else
        vec_push(&s->mounts, m);
    return 0;
}

// Binds and tmpfs first: they win over a volume on the same target.
static int add_volumes(const struct opening *o, const struct record_config *c, struct err *e)
{
    for (int pass = 0; pass < 2; pass++)
        vec_each(v, &c->volumes) if ((strcmp(v->type, "volume") == 0) == (pass == 1) &&
                                     add_volume(o, v, e) < 0) return -1;
    return 0;
}

// The copy of a profile that was kept beside the record.
static void use_profile(const struct record_config *c, const struct record *r, struct engine *en,
                        struct sandbox_spec *s)
{
    if (!s->seccomp_file || c->brief.rm || !fs_exists(r->fd, "seccomp.json")) return;
    free(s->seccomp_file);
    s->seccomp_file = str_fmt("%s/containers/%s/seccomp.json", en->store_path, r->id);
}

// What a start remembers of the ids that the container has had from its first one on.
static void recall_ids(const struct record_config *c, struct sandbox_ids *ids)
{
    ids->slot_uid = (uint32_t)c->ids_uid;
    ids->slot_gid = (uint32_t)c->ids_gid;
    ids->slot_n = (uint32_t)c->ids_n;
    ids->keep = c->keep;
    ids->keep_uid = (uint32_t)c->keep_uid;
    ids->keep_gid = (uint32_t)c->keep_gid;
}

int container_start_ids(struct engine *en, const struct record_config *c, struct sandbox_ids *out,
                        struct err *e)
{
    struct sandbox_spec s = {.rootfs_fd = -1};
    if (sandbox_userns_option(c->userns_mode, &s, e) < 0) return -1;
    recall_ids(c, out);
    sandbox_userns_map(en, &s, out);
    return 0;
}

int container_start_open(struct engine *en, const struct record_config *c, struct record *r,
                         const struct image_view *im, const struct image_progress *progress,
                         struct sandbox_spec *s, struct err *e)
{
    if (container_start_spec(en, c, s, e) < 0) return -1;
    use_profile(c, r, en, s);
    if (others_join(en, c, s, e) < 0) return -1;
    recall_ids(c, &s->ids);
    if (sandbox_userns_take(en, r->id, im, s, e) < 0) return -1;
    s->rootfs_fd = open_root(en, r, im, &s->ids, progress, e);
    if (s->rootfs_fd < 0) return -1;
    const struct opening o = {en, r, progress, s};
    return add_volumes(&o, c, e);
}

// The image that it was made of, for one whose files have our ids. *out_lock: nothing of it is freed
// while this is open.
int container_start_image(struct engine *en, const struct record_config *c, int *out_lock,
                          struct image_view *out, struct err *e)
{
    struct oci_digest image;
    if (strcmp(c->form, en->form) != 0) {
        err_set(e, ERR_UNSUPPORTED, "container %.12s was made with other ids (%s) than ours (%s)",
                c->brief.id, c->form, en->form);
        return err_hint(e, "start it as the user who made it, with the same ranges in /etc/subuid");
    }
    own(fd) int lock = store_lock_shared(en, e);
    if (lock < 0 || oci_digest_parse(sv_of(c->brief.image_id), &image, e) < 0 ||
        image_view_open_id(en, &image, out, e) < 0)
        return -1;
    *out_lock = take_fd(lock);
    return 0;
}

// The root and, with `mounts`, the binds and volumes alone: for who looks at a container that does
// not run. A tmpfs would be empty.
static int view_open(struct engine *en, const struct record_config *c, struct record *r,
                     const struct image_view *im, bool mounts, struct sandbox_spec *s,
                     struct err *e)
{
    recall_ids(c, &s->ids);
    if (sandbox_userns_option(c->userns_mode, s, e) < 0 ||
        sandbox_userns_take(en, r->id, im, s, e) < 0)
        return -1;
    s->rootfs_fd = open_root(en, r, im, &s->ids, NULL, e);
    if (s->rootfs_fd < 0) return -1;
    const struct opening o = {en, r, NULL, s};
    for (int pass = 0; mounts && pass < 2; pass++)
        vec_each(v, &c->volumes) if (strcmp(v->type, "tmpfs") != 0 &&
                                     (strcmp(v->type, "volume") == 0) == (pass == 1) &&
                                     add_volume(&o, v, e) < 0) return -1;
    return 0;
}

int container_start_view(struct engine *en, const struct record_config *c, struct record *r,
                         bool mounts, struct sandbox_spec *out, struct err *e)
{
    struct image_view view;
    own(fd) int lock = -1;
    if (container_start_image(en, c, &lock, &view, e) < 0) return -1;
    own(image_view) struct image_view im = view;
    return view_open(en, c, r, &im, mounts, out, e);
}

int container_start_prepare(struct engine *en, const struct record_config *c, struct record *r,
                            struct sandbox_spec *out, struct err *e)
{
    struct image_view view;
    own(fd) int lock = -1;
    if (container_start_image(en, c, &lock, &view, e) < 0) return -1;
    own(image_view) struct image_view im = view;
    return container_start_open(en, c, r, &im, NULL, out, e);
}
