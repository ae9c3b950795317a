// SPDX-License-Identifier: Apache-2.0
// The verb `run`: what the image says and what the person asked for become one sandbox spec and one
// record; then a monitor is forked and we stay attached as its client. The image's config is data
// for the program only: nothing of it names a host path or changes what the engine does.
#include "runtime/container.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/own.h"
#include "codec/json.h"
#include "image/registry.h"
#include "image/view.h"
#include "runtime/record.h"
#include "store/layer.h"
#include "store/lock.h"

void runtime_run_options_fini(struct runtime_run_options *o)
{
    struct strv *lists[] = {&o->args, &o->env, &o->env_files, &o->volumes, &o->mounts, &o->tmpfs,
                            &o->devices, &o->ulimits, &o->labels, &o->label_files, &o->security};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) strv_fini(lists[i]);
    if (o->spec.rootfs_fd == 0) o->spec.rootfs_fd = -1;
    runtime_spec_fini(&o->spec);
}

static void copy_list(struct strv *to, const struct strv *from)
{
    *to = (struct strv){0};
    strv_add_all(to, from);
}

// What needs no interpretation goes over as it is; lists that run fills itself begin empty.
static void copy_spec(struct runtime_spec *to, const struct runtime_spec *from)
{
    *to = *from;
    to->rootfs_fd = -1;
    copy_list(&to->args, &(struct strv){0});
    copy_list(&to->env, &(struct strv){0});
    copy_list(&to->groups_add, &from->groups_add);
    copy_list(&to->hosts_extra, &from->hosts_extra);
    copy_list(&to->cap_add, &from->cap_add);
    copy_list(&to->cap_drop, &from->cap_drop);
    copy_list(&to->sysctls, &from->sysctls);
    memset(&to->mounts, 0, sizeof to->mounts);
    memset(&to->devices, 0, sizeof to->devices);
    memset(&to->rlimits, 0, sizeof to->rlimits);
    char **texts[] = {&to->workdir, &to->user, &to->hostname, &to->domainname, &to->seccomp_file,
                      &to->cpuset_cpus, &to->cpuset_mems, &to->cgroup_name};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) *texts[i] = str_dup(*texts[i]);
}

// --- what the person asked for -----------------------------------------------------------------

static int security_option(const char *text, struct runtime_spec *s, struct err *e)
{
    struct sv rest = sv_of(text);
    struct sv key = sv_cut(&rest, strchr(text, '=') ? '=' : ':');
    struct sv value = rest.p ? rest : SV("");
    if (sv_eqz(key, "no-new-privileges") || sv_eqz(key, "no-new-privs")) {
        s->no_new_privs = !sv_eqz(value, "false");
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
        return 0;  // what they would switch off is not there
    } else {
        err_set(e, ERR_USAGE, "unknown security option '%s'", text);
        return err_hint(e, "known are no-new-privileges, seccomp=unconfined, seccomp=FILE and "
                           "systempaths=unconfined");
    }
    return 0;
}

static int network_option(struct engine *en, const struct runtime_run_options *o,
                          struct runtime_spec *s, struct err *e)
{
    s->net = RUNTIME_NET_NONE;
    if (!o->network) {
        if (!o->quiet)
            event_info(&en->sink, "no network in this container; --network host shares the host's, "
                                  "--network none hides this line");
        return 0;
    }
    if (strcmp(o->network, "none") == 0) return 0;
    if (strcmp(o->network, "host") == 0) {
        s->net = RUNTIME_NET_HOST;
        return 0;
    }
    err_set(e, ERR_UNSUPPORTED, "the network '%s' is not supported yet", o->network);
    return err_hint(e, "use --network host or --network none");
}

static int userns_option(const struct runtime_run_options *o, struct runtime_spec *s, struct err *e)
{
    static const char *const names[RUNTIME_USERNS_COUNT] = {"host", "auto", "nomap"};
    for (int i = 0; o->userns && i < RUNTIME_USERNS_COUNT; i++)
        if (strcmp(o->userns, names[i]) == 0) {
            s->userns = (enum runtime_userns)i;
            return 0;
        }
    if (!o->userns) return 0;
    err_set(e, ERR_USAGE, "unknown user namespace '%s'", o->userns);
    return err_hint(e, "it is host, auto or nomap");
}

static int pull_option(const struct runtime_run_options *o, enum image_pull_policy *out,
                       struct err *e)
{
    *out = IMAGE_PULL_MISSING;
    return o->pull ? image_pull_policy_parse(o->pull, out, e) : 0;
}

static int check_terminal(const struct runtime_run_options *o, struct err *e)
{
    if (!o->spec.tty || !o->interactive || isatty(0)) return 0;
    err_set(e, ERR_USAGE, "the input device is not a TTY");
    return err_hint(e, "leave out -t where stdin is a pipe or a file");
}

// Docker makes a missing source of -v, and people rely on it.
static int volume_source(const struct parse_volume *v, struct err *e)
{
    if (!strchr(v->source, '/') && strcmp(v->source, ".") != 0 && strcmp(v->source, "..") != 0) {
        err_set(e, ERR_UNSUPPORTED,
                "'%s' in a volume names a named volume, which is not supported yet", v->source);
        if (fs_exists(AT_FDCWD, v->source))
            return err_hint(e, "for the folder '%s' of the current directory write ./%s:%s",
                            v->source, v->source, v->target);
        return err_hint(e, "for a folder write its path: ./%s:%s", v->source, v->target);
    }
    if (fs_exists(AT_FDCWD, v->source)) return 0;
    if (fs_mkdirs(AT_FDCWD, v->source, 0755, e) < 0)
        return err_wrap(e, "making the missing source of the volume '%s:%s'", v->source, v->target);
    return 0;
}

struct anonymous {
    char *target;
    bool readonly, nocopy;
};
struct anonymous_list {
    struct anonymous *p;
    size_t n;
    size_t cap;
};
static void own_anonymous_list(struct anonymous_list *v)
{
    vec_each (a, v) free(a->target);
    vec_fini(v);
}

static int add_volumes(const struct runtime_run_options *o, struct runtime_spec *s,
                       struct anonymous_list *anon, struct err *e)
{
    for (size_t i = 0; i < o->volumes.n; i++) {
        own(parse_volume) struct parse_volume v = {0};
        if (parse_volume(o->volumes.p[i], &v, e) < 0) return -1;
        if (!v.source) {
            vec_push(anon, (struct anonymous){take_ptr(v.target), v.readonly, v.nocopy});
            continue;
        }
        if (volume_source(&v, e) < 0) return -1;
        struct runtime_mount *m = vec_add(&s->mounts);
        m->kind = RUNTIME_MOUNT_BIND;
        m->source_fd = -1;
        m->source = take_ptr(v.source);
        m->target = take_ptr(v.target);
        m->propagation = take_ptr(v.propagation);
        m->readonly = v.readonly;
    }
    return 0;
}

static int add_mounts(const struct runtime_run_options *o, struct runtime_spec *s,
                      struct anonymous_list *anon, struct err *e)
{
    for (size_t i = 0; i < o->mounts.n; i++) {
        struct runtime_mount m;
        enum parse_mount_type type;
        if (parse_mount(o->mounts.p[i], &type, &m, e) < 0) return -1;
        if (type == PARSE_MOUNT_VOLUME && m.source) {
            err_set(e, ERR_UNSUPPORTED, "the named volume '%s' is not supported yet", m.source);
            runtime_mount_fini(&m);
            return err_hint(e, "use type=bind with a folder, or leave out the source");
        }
        if (type == PARSE_MOUNT_VOLUME) {
            vec_push(anon, (struct anonymous){take_ptr(m.target), m.readonly, false});
            runtime_mount_fini(&m);
            continue;
        }
        vec_push(&s->mounts, m);
    }
    for (size_t i = 0; i < o->tmpfs.n; i++) {
        struct runtime_mount m;
        if (parse_tmpfs(o->tmpfs.p[i], &m, e) < 0) return -1;
        vec_push(&s->mounts, m);
    }
    return 0;
}

static int add_limits(const struct runtime_run_options *o, struct runtime_spec *s, struct err *e)
{
    for (size_t i = 0; i < o->devices.n; i++) {
        struct runtime_device d = {0};
        if (parse_device(o->devices.p[i], &d, e) < 0) return -1;
        vec_push(&s->devices, d);
    }
    for (size_t i = 0; i < o->ulimits.n; i++) {
        struct runtime_rlimit l;
        if (parse_ulimit(o->ulimits.p[i], &l, e) < 0) return -1;
        vec_push(&s->rlimits, l);
    }
    return 0;
}

// All that can be wrong on the command line, before anything is touched.
static int read_options(struct engine *en, const struct runtime_run_options *o,
                        struct runtime_spec *s, struct anonymous_list *anon, struct strv *env,
                        struct err *e)
{
    enum image_pull_policy pull;
    if (check_terminal(o, e) < 0 || pull_option(o, &pull, e) < 0 || userns_option(o, s, e) < 0 ||
        userns_check(en, s, e) < 0)
        return -1;
    if (o->name && !parse_name_ok(o->name)) {
        struct record none = RECORD_NONE;
        return record_name(en, &none, o->name, e);
    }
    for (size_t i = 0; i < o->security.n; i++)
        if (security_option(o->security.p[i], s, e) < 0) return -1;
    for (size_t i = 0; i < o->env_files.n; i++)
        if (parse_env_file(o->env_files.p[i], env, e) < 0) return -1;
    strv_add_all(env, &o->env);
    if (o->cidfile && fs_exists(AT_FDCWD, o->cidfile)) {
        err_set(e, ERR_CONFLICT, "the container ID file '%s' exists already", o->cidfile);
        return err_hint(e, "another container may still run; remove the file if not");
    }
    if (add_volumes(o, s, anon, e) < 0 || add_mounts(o, s, anon, e) < 0 || add_limits(o, s, e) < 0)
        return -1;
    return network_option(en, o, s, e);
}

// --- merging with the image --------------------------------------------------------------------

static int merge_args(const struct runtime_run_options *o, const struct oci_image *im,
                      struct runtime_spec *s, struct err *e)
{
    if (o->has_entrypoint) {
        if (o->entrypoint && o->entrypoint[0]) strv_add(&s->args, o->entrypoint);
    } else {
        strv_add_all(&s->args, &im->entrypoint);
    }
    if (o->args.n)
        strv_add_all(&s->args, &o->args);
    else if (!o->has_entrypoint)
        strv_add_all(&s->args, &im->cmd);
    if (s->args.n) return 0;
    err_set(e, ERR_USAGE, "no command specified");
    return err_hint(e, "the image has no CMD or ENTRYPOINT: put the command behind its name");
}

// The engine's variables first, then the image's, then the person's; each replaces what is there.
static void merge_env(const struct strv *asked, const struct oci_image *im, struct runtime_spec *s)
{
    oci_env_set(&s->env, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    oci_env_set(&s->env, "HOSTNAME", s->hostname);
    if (s->tty) oci_env_set(&s->env, "TERM", "xterm");
    const struct strv *lists[] = {&im->env, asked};
    for (size_t l = 0; l < 2; l++)
        for (size_t i = 0; i < lists[l]->n; i++) {
            struct sv value = sv_of(lists[l]->p[i]), key = sv_cut(&value, '=');
            own(free) char *k = sv_dup(key);
            if (key.n == 0) continue;
            if (value.p)
                oci_env_set(&s->env, k, value.p);
            else if (l == 1 && getenv(k))
                oci_env_set(&s->env, k, getenv(k));
            else if (l == 1)
                oci_env_del(&s->env, k);
        }
}

static int check_platform(const struct runtime_run_options *o, const struct oci_image *im,
                          struct err *e)
{
    if (!o->platform) return 0;
    struct oci_platform want;
    if (oci_platform_parse(sv_of(o->platform), &want, e) < 0)
        return err_wrap(e, "reading --platform");
    if (oci_platform_match(&want, &im->platform)) return 0;
    own(str) struct str have = {0};
    oci_platform_print(&im->platform, &have);
    return err_set(e, ERR_NOT_FOUND, "image '%s' is for %s, not for %s", o->image, str_z(&have),
                   o->platform);
}

static void merge_hostname(struct runtime_spec *s, const struct record *r)
{
    if (s->hostname) return;
    char name[65] = "";
    if (s->host_uts || s->net == RUNTIME_NET_HOST) gethostname(name, sizeof name - 1);
    s->hostname = name[0] ? str_dup(name) : str_fmt("%.12s", r->id);
}

static int merge(const struct runtime_run_options *o, const struct oci_image *im,
                 const struct strv *env, const struct record *r, struct runtime_spec *s,
                 struct err *e)
{
    if (check_platform(o, im, e) < 0 || merge_args(o, im, s, e) < 0) return -1;
    if (!s->user && im->user) s->user = str_dup(im->user);
    if (!s->workdir && im->workdir) s->workdir = str_dup(im->workdir);
    merge_hostname(s, r);
    merge_env(env, im, s);
    s->home_env = true;
    s->cgroup_name = str_fmt("%.32s", r->id);
    return 0;
}

// --- root, volumes, record ---------------------------------------------------------------------

// The merged root folder takes mode and owner from the upper one, so that gets the image's.
static int make_upper(struct engine *en, const struct record *r, const struct image_view *im,
                      const struct runtime_ids *ids, int *out_upper, int *out_work, struct err *e)
{
    static const char *const names[] = {"upper", "work"};
    int fds[2] = {-1, -1};
    for (int i = 0; i < 2; i++) {
        if (mkdirat(r->fd, names[i], 0755) != 0) return err_sys(e, "make the container's layer");
        fds[i] = fs_open_dir(r->fd, names[i], e);
        if (fds[i] < 0) return -1;
        *(i ? out_work : out_upper) = fds[i];
    }
    struct stat st = {.st_mode = 0755};
    if (im->n) {
        own(fd) int top = store_layer_open_fs(en, &im->layers[im->n - 1], e);
        if (top < 0) return -1;
        if (fstat(top, &st) != 0) return err_sys(e, "stat the image's root");
    }
    uid_t uid = userns_uid(ids, st.st_uid);
    gid_t gid = userns_gid(ids, st.st_gid);
    if (fchown(fds[0], uid, gid) != 0 || fchmod(fds[0], st.st_mode & 07777) != 0)
        return err_sys(e, "set the owner of the container's root");
    return 0;
}

static int open_root(struct engine *en, const struct record *r, const struct image_view *im,
                     const struct runtime_ids *ids, struct err *e)
{
    own(fd) int upper = -1;
    own(fd) int work = -1;
    own(fd) int stub = runtime_stub_open(en, e);
    if (stub < 0 || make_upper(en, r, im, ids, &upper, &work, e) < 0) return -1;
    struct store_overlay o = {.layers = im->layers, .n = im->n, .extra_bottom_fd = stub,
                              .upper_fd = upper, .work_fd = work, .durable = !r->rm,
                              .userns_fd = ids->userns_fd};
    return store_overlay_open(en, &o, e);
}

static bool has_mount(const struct runtime_spec *s, const char *target)
{
    for (size_t i = 0; i < s->mounts.n; i++)
        if (strcmp(s->mounts.p[i].target, target) == 0) return true;
    return false;
}

static int add_anonymous(struct engine *en, struct record *r, struct runtime_spec *s,
                         const char *target, bool readonly, bool copy, struct err *e)
{
    own(str) struct str clean = {0};
    fs_clean(sv_of(target), &clean);
    if (str_z(&clean)[0] != '/' || clean.n < 2)
        return err_set(e, ERR_INPUT, "the volume '%s' is not an absolute path below '/'", target);
    if (has_mount(s, clean.p)) return 0;
    struct root root = {s->rootfs_fd, "the image"};
    int fd = volume_make(en, r, &root, clean.p, copy, &s->ids, e);
    if (fd < 0) return -1;
    struct runtime_mount *m = vec_add(&s->mounts);
    m->kind = RUNTIME_MOUNT_BIND;
    m->source = str_fmt("a volume");
    m->source_fd = fd;
    m->readonly = readonly;
    m->target = str_take(&clean);
    return 0;
}

static int make_volumes(struct engine *en, struct record *r, const struct anonymous_list *anon,
                        const struct oci_image *im, struct runtime_spec *s, struct err *e)
{
    vec_each (a, anon)
        if (add_anonymous(en, r, s, a->target, a->readonly, !a->nocopy, e) < 0) return -1;
    for (size_t i = 0; i < im->volumes.n; i++)
        if (add_anonymous(en, r, s, im->volumes.p[i].key, false, true, e) < 0) return -1;
    return 0;
}

static int put_labels(const struct runtime_run_options *o, const struct oci_image *im,
                      struct codec_json *labels, struct err *e)
{
    for (size_t i = 0; i < im->labels.n; i++)
        codec_json_set_text(labels, im->labels.p[i].key, im->labels.p[i].value);
    own(strv) struct strv all = {0};
    for (size_t i = 0; i < o->label_files.n; i++)
        if (parse_env_file(o->label_files.p[i], &all, e) < 0) return -1;
    strv_add_all(&all, &o->labels);
    for (size_t i = 0; i < all.n; i++) {
        struct sv value = sv_of(all.p[i]), key = sv_cut(&value, '=');
        own(free) char *k = sv_dup(key);
        if (key.n == 0) return err_set(e, ERR_USAGE, "the label '%s' has no name", all.p[i]);
        codec_json_set(labels, k, codec_json_new_text(value.p ? value : SV("")));
    }
    return 0;
}

static int print_record(struct engine *en, const struct runtime_run_options *o,
                        const struct image_view *im, const struct record *r,
                        const struct runtime_spec *s, struct str *out, struct err *e)
{
    own(codec_json) struct codec_json *j = codec_json_new_object();
    struct codec_json *labels = codec_json_new_object();
    char digest[OCI_DIGEST_TEXT];
    codec_json_set(j, "version", codec_json_new_int(1));
    codec_json_set_text(j, "id", r->id);
    codec_json_set_text(j, "name", r->name);
    codec_json_set_text(j, "image", oci_digest_print(&im->ref.image, digest));
    codec_json_set_text(j, "image_name", o->image);
    codec_json_set_text(j, "form", en->form);
    codec_json_set(j, "created", codec_json_new_int(clock_real_ns()));
    codec_json_set(j, "rm", codec_json_new_bool(r->rm));
    codec_json_set(j, "tty", codec_json_new_bool(s->tty));
    codec_json_set(j, "args", codec_json_new_strv(&s->args));
    codec_json_set(j, "env", codec_json_new_strv(&s->env));
    codec_json_set_text(j, "user", s->user);
    codec_json_set_text(j, "workdir", s->workdir);
    codec_json_set_text(j, "hostname", s->hostname);
    codec_json_set_text(j, "network", s->net == RUNTIME_NET_HOST ? "host" : "none");
    if (s->ids.uid) {
        struct codec_json *ids = codec_json_new_object();
        codec_json_set(ids, "uid", codec_json_new_int(s->ids.uid));
        codec_json_set(ids, "gid", codec_json_new_int(s->ids.gid));
        codec_json_set(ids, "size", codec_json_new_int(RUNTIME_IDS));
        codec_json_set(j, "userns", ids);
    }
    codec_json_set_text(j, "stop_signal", o->stop_signal ? o->stop_signal : im->config.stop_signal);
    codec_json_set(j, "labels", labels);
    codec_json_set(j, "volumes", codec_json_new_strv(&r->volumes));
    struct codec_json *mounts = codec_json_new_array();
    codec_json_set(j, "mounts", mounts);
    vec_each (m, &s->mounts) {
        struct codec_json *row = codec_json_new_object();
        codec_json_set_text(row, "source", m->source);
        codec_json_set_text(row, "target", m->target);
        codec_json_set(row, "readonly", codec_json_new_bool(m->readonly));
        codec_json_add(mounts, row);
    }
    if (put_labels(o, &im->config, labels, e) < 0) return -1;
    codec_json_print(j, out);
    return 0;
}

static int write_cidfile(const struct runtime_run_options *o, const struct record *r, struct err *e)
{
    if (!o->cidfile) return 0;
    own(fd) int fd = fs_open(o->cidfile, O_WRONLY | O_CREAT | O_EXCL, 0644, e);
    if (fd < 0 || fs_write_all(fd, r->id, strlen(r->id), e) < 0)
        return err_wrap(e, "writing the container ID file");
    return 0;
}

// --- together ----------------------------------------------------------------------------------

struct prepared {
    struct runtime_spec spec;
    struct record record;
};

static int prepare(struct engine *en, const struct runtime_run_options *o,
                   struct anonymous_list *anon, const struct strv *env, struct prepared *p,
                   struct err *e)
{
    own(fd) int lock = store_lock_shared(en, e);
    if (lock < 0) return -1;
    struct image_view view;
    struct store_ref ref;
    struct image_ensure want = {.text = o->image, .platform = o->platform,
                                .progress = o->progress};
    if (pull_option(o, &want.policy, e) < 0 || image_ensure(en, &want, &ref, NULL, e) < 0 ||
        image_view_open(en, o->image, &view, e) < 0)
        return -1;
    own(image_view) struct image_view im = view;
    if (record_make(en, &p->record, e) < 0 ||
        merge(o, &im.config, env, &p->record, &p->spec, e) < 0 ||
        record_name(en, &p->record, o->name, e) < 0)
        return -1;
    if (userns_take(en, p->record.id, &p->spec, e) < 0) return -1;
    p->spec.rootfs_fd = open_root(en, &p->record, &im, &p->spec.ids, e);
    if (p->spec.rootfs_fd < 0 || make_volumes(en, &p->record, anon, &im.config, &p->spec, e) < 0)
        return -1;
    own(str) struct str text = {0};
    if (print_record(en, o, &im, &p->record, &p->spec, &text, e) < 0 ||
        record_save(&p->record, str_sv(&text), e) < 0)
        return -1;
    return write_cidfile(o, &p->record, e);
}

static int attach(struct engine *en, const struct runtime_run_options *o, struct prepared *p,
                  int *out_code, struct err *e)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return err_sys(e, "make a socket pair");
    own(fd) int mine = ends[0];
    own(fd) int theirs = ends[1];
    int pidfd = -1;
    pid_t pid = proc_fork(0, &pidfd);
    if (pid < 0) return err_sys(e, "start the container's monitor");
    if (pid == 0) {
        close(mine);
        struct monitor m = {en, &p->spec, &p->record, theirs, o->interactive};
        monitor_run(&m);
    }
    // The monitor has them now; while we hold copies the container's root cannot go away.
    close(take_fd(theirs));
    record_close(&p->record);
    runtime_spec_fini(&p->spec);
    close(pidfd);
    return client_run(mine, o, out_code, e);
}

// A word of the command that is a file here but not in the container: most often a script that nobody
// copied into the image. Said only when the program failed.
static const char *script_left_out(const struct runtime_spec *s)
{
    struct root root = {s->rootfs_fd, "the image"};
    for (size_t i = 0; i < s->mounts.n; i++)
        if (!s->mounts.p[i].made_by_default) return NULL;  // it may come with a mount
    for (size_t i = 1; i < s->args.n; i++) {
        const char *word = s->args.p[i];
        if (word[0] == '-' || word[0] == '/' || !strchr(word, '.')) continue;
        struct stat st;
        own(free) char *inside = str_fmt("%s/%s", s->workdir ? s->workdir : "", word);
        own(fd) int there = fs_in_try(&root, inside, O_PATH, 0);
        if (there < 0 && errno == ENOENT && fs_exists(AT_FDCWD, word) &&
            fstatat(AT_FDCWD, word, &st, 0) == 0 && S_ISREG(st.st_mode))
            return word;
    }
    return NULL;
}

static void hint_at_script(struct engine *en, const char *script, int exit_code)
{
    if (script && exit_code != 0)
        event_info(&en->sink, "hint: '%s' is in the current folder but not in the image: COPY it, or "
                   "mount it with -v \"$PWD:/work\" -w /work", script);
}

int runtime_run(struct engine *en, const struct runtime_run_options *o, int *out_exit_code,
                struct err *e)
{
    struct prepared p = {.record = RECORD_NONE};
    copy_spec(&p.spec, &o->spec);
    own(anonymous_list) struct anonymous_list anon = {0};
    own(strv) struct strv env = {0};
    p.record.rm = o->rm;
    int rc = read_options(en, o, &p.spec, &anon, &env, e);
    if (rc == 0) rc = engine_enter(en, e);
    if (rc == 0) rc = runtime_sweep(en, e);
    if (rc == 0) {
        rc = prepare(en, o, &anon, &env, &p, e);
        if (rc < 0) {
            if (p.spec.rootfs_fd >= 0) close(take_fd(p.spec.rootfs_fd));
            record_end(en, &p.record, true);
            record_purge(en, &p.record);
        }
    }
    // A copy: the spec goes to the monitor.
    own(free) char *script = rc == 0 ? str_dup(script_left_out(&p.spec)) : NULL;
    if (rc == 0 && (rc = attach(en, o, &p, out_exit_code, e)) < 0) {
        struct err ignored;
        runtime_sweep(en, &ignored);  // a monitor that was killed may have left its program
    }
    if (rc == 0) hint_at_script(en, script, *out_exit_code);
    record_close(&p.record);
    runtime_spec_fini(&p.spec);
    return rc;
}
