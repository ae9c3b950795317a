// SPDX-License-Identifier: Apache-2.0
// create, run and start: the verbs that make a container (oci.h has the order of things).
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "bundle/bundle.h"
#include "bundle/internal.h"
#include "bundle/notify.h"
#include "oci/image.h"
#include "sandbox/cgroup.h"
#include "sandbox/doorstep.h"
#include "sandbox/join.h"
#include "sandbox/launch.h"
#include "sandbox/plan.h"
#include "sandbox/sandbox.h"
#include "sandbox/sealed.h"

struct making {
    struct bundle_context *c;
    const struct bundle_run_options *o;
    struct bundle_box *box;
    struct oci_runtime *config;
    struct sandbox_plan *plan;
    struct bundle_plan *extra;
    bool ready;
    int pty;
    int doorstep_fd;
    int notify_fd;
};
#define MAKING_NONE .pty = -1, .doorstep_fd = -1, .notify_fd = -1

// --- the bundle --------------------------------------------------------------------------------

static int bundle_path(const char *given, struct str *out, struct err *e)
{
    own(fd) int fd = fs_open(given && given[0] ? given : ".", O_PATH | O_DIRECTORY, 0, e);
    if (fd < 0) return err_wrap(e, "opening the bundle");
    return fs_fd_path(fd, out) < 0 ? err_set(e, ERR_SYSTEM, "the bundle has no path") : 0;
}

static int read_config(const char *bundle, struct str *text, struct oci_runtime *out, struct err *e)
{
    own(free) char *path = str_fmt("%s/config.json", bundle);
    if (fs_read_at(AT_FDCWD, path, OCI_RUNTIME_CONFIG_MAX, text, e) < 0) return -1;
    return oci_runtime_parse(str_sv(text), path, out, e);
}

bool bundle_in_userns(void)
{
    struct err ignored;
    own(str) struct str text = {0};
    unsigned a = 0, b = 0, n = 0;
    if (fs_read_at(AT_FDCWD, "/proc/self/uid_map", 4096, &text, &ignored) < 0) return false;
    return sscanf(str_z(&text), "%u %u %u", &a, &b, &n) != 3 || a || b || n != UINT32_MAX;
}

static int put_self(const char *file, const char *text, struct err *e)
{
    own(fd) int fd = fs_open(file, O_WRONLY, 0, e);
    if (fd < 0) return -1;
    return fs_write_all(fd, text, strlen(text), e) < 0 ? err_wrap(e, "writing '%s'", file) : 0;
}

// One's own id alone needs no newuidmap, so it works for users without ranges and without a name.
static int enter_single(const struct oci_runtime *r, struct err *e)
{
    char uid[64], gid[64];
    snprintf(uid, sizeof uid, "%u %u 1", r->uid.range[0].inside, (unsigned)geteuid());
    snprintf(gid, sizeof gid, "%u %u 1", r->gid.range[0].inside, (unsigned)getegid());
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return err_sys(e, "make a user namespace");
    prctl(PR_SET_DUMPABLE, 1);
    if (put_self("/proc/self/setgroups", "deny", e) < 0 ||
        put_self("/proc/self/uid_map", uid, e) < 0 || put_self("/proc/self/gid_map", gid, e) < 0)
        return -1;
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
        return err_sys(e, "make mounts private");
    return 0;
}

static bool is_single(const struct idmap_side *s, uint32_t own_id)
{
    return s->n == 1 && s->range[0].count == 1 && s->range[0].outside == own_id;
}

// An ordinary user: the bundle's user namespace becomes ours, and all else happens in it.
static int become_root(struct oci_runtime *r, struct engine *en, struct err *e)
{
    if (geteuid() == 0) {
        en->ids.mode = IDMAP_ROOT;
        return 0;
    }
    bool asked = false;
    for (size_t i = 0; i < r->namespaces.n; i++)
        asked |= strcmp(r->namespaces.p[i].type, "user") == 0 && !r->namespaces.p[i].path;
    if (!asked || !r->uid.n || !r->gid.n) {
        err_set(e, ERR_UNSUPPORTED, "an ordinary user's container needs a user namespace");
        return err_hint(e,
                        "add one with mappings to the bundle ('dewar oci spec --rootless' does), "
                        "or run this as root");
    }
    struct idmap map = {.mode = IDMAP_RANGE, .uid = r->uid, .gid = r->gid};
    bool single = is_single(&r->uid, geteuid()) && is_single(&r->gid, getegid());
    if ((single ? enter_single(r, e) : idmap_enter(&map, e)) < 0) return -1;
    r->uid.n = r->gid.n = 0;
    en->ids = map;
    return 0;
}

// --- what the child tells -----------------------------------------------------------------------

static int know_child(struct making *m, const struct proc *child, struct err *e)
{
    uint64_t start;
    if (m->box->pid) return 0;
    if (proc_start_time(child->pid, &start) < 0)
        return err_set(e, ERR_SYSTEM, "the container's process ended at once");
    m->box->pid = child->pid;
    m->box->start_time = (int64_t)start;
    return 0;
}

static int hooks_of(struct making *m, enum oci_hook_kind kind, enum bundle_status status,
                    struct err *e)
{
    own(codec_json) struct codec_json *state = bundle_box_state(m->box, status);
    if (m->config->annotations)
        codec_json_set(state, "annotations", codec_json_copy(m->config->annotations));
    return bundle_hooks_run(m->config, kind, state, &m->c->sink, e);
}

static int parents_hooks(struct making *m, const struct proc *child, int sock, struct err *e)
{
    if (know_child(m, child, e) < 0) return -1;
    // Written for 1.0, where they come after `create`: that is the status they know.
    if (hooks_of(m, OCI_HOOK_PRESTART, BUNDLE_CREATED, e) < 0 ||
        hooks_of(m, OCI_HOOK_CREATE_RUNTIME, BUNDLE_CREATING, e) < 0)
        return -1;
    uint32_t pid = (uint32_t)child->pid;
    if (send(sock, &pid, sizeof pid, MSG_NOSIGNAL) == (ssize_t)sizeof pid) return 0;
    return err_sys(e, "go on after the hooks");
}

static int on_report(struct sandbox_plan *p, const struct report *r, struct proc *child, int got,
                     struct err *e)
{
    struct making *m = p->on_report_arg;
    own(fd) int fd = got;
    if (know_child(m, child, e) < 0) return -1;
    switch (r->kind) {
    case REPORT_PTY:
        if (fd < 0) return 0;
        if (bundle_send_terminal(m->o->console_socket, &m->config->process, fd, e) < 0) return -1;
        m->pty = take_fd(fd);
        return 0;
    case REPORT_LISTENER:
        return bundle_send_listener(m->c, m->box, m->config, child->pid, fd, p->peer_fd, e);
    case REPORT_HOOKS:
        return parents_hooks(m, child, p->peer_fd, e);
    case REPORT_READY:
        if (bundle_box_save(m->box, m->config->annotations, e) < 0) return -1;
        m->ready = true;
        return send(p->peer_fd, "x", 1, MSG_NOSIGNAL) == 1 ? 1 : err_sys(e, "open the gate");
    default:
        return 0;
    }
}

// --- making ------------------------------------------------------------------------------------

static void halves(const struct bundle_box *box, const struct oci_runtime *r,
                   enum bundle_status status, char **head, char **tail)
{
    own(str) struct str text = {0};
    own(codec_json) struct codec_json *j = bundle_box_state(box, status);
    codec_json_set(j, "pid", codec_json_new_int(0));
    if (r->annotations) codec_json_set(j, "annotations", codec_json_copy(r->annotations));
    codec_json_print(j, &text);
    const char *at = strstr(text.p, "\"pid\":0");
    *head = sv_dup((struct sv){text.p, (size_t)(at - text.p) + 6});
    free(*tail);
    *tail = str_dup(at + 7);
}

static int check_terminal(const struct bundle_run_options *o, const struct oci_process *p, bool run,
                          struct err *e)
{
    if (p->terminal && !o->console_socket && (!run || o->detach)) {
        err_set(e, ERR_USAGE,
                "cannot allocate tty if the container is detached without setting "
                "console socket");
        return err_hint(e, "give --console-socket, or set process.terminal to false");
    }
    if (!p->terminal && o->console_socket)
        return err_set(e, ERR_USAGE, "cannot use console socket if the container has no terminal");
    return 0;
}

static int write_pid(const char *path, int64_t pid, struct err *e)
{
    if (!path) return 0;
    own(str) struct str dir = {0}, text = {0};
    struct sv name = sv_of(path);
    long slash = sv_rfind(name, '/');
    str_add(&dir, slash > 0 ? sv_part(name, 0, (size_t)slash) : slash == 0 ? SV("/") : SV("."));
    own(fd) int fd = fs_open_dir(AT_FDCWD, dir.p, e);
    if (fd < 0) return err_wrap(e, "writing the pid file");
    str_addf(&text, "%lld", (long long)pid);
    return fs_replace(fd, path + slash + 1, str_sv(&text), 0644, e);
}

static int fill_box(struct bundle_box *box, const struct oci_runtime *r, const char *bundle,
                    struct sv config, struct err *e)
{
    own(str) struct str now = {0};
    clock_print_ns(clock_real_ns(), &now);
    box->version = str_dup(r->version);
    box->bundle = str_dup(bundle);
    box->created = str_take(&now);
    box->has_hooks = r->hooks[OCI_HOOK_POSTSTART].n || r->hooks[OCI_HOOK_POSTSTOP].n;
    return fs_replace(box->dir_fd, "config.json", config, 0600, e);
}

static int cache_folder(const struct bundle_box *box)
{
    struct err ignored;
    if (mkdirat(box->root_fd, ".filters", 0700) != 0 && errno != EEXIST) return -1;
    return fs_openat(box->root_fd, ".filters", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &ignored);
}

// Between `run` and the program nobody else can look at our process, and nothing of the bundle's is
// executed from it: then the doorstep does what else takes a sealed copy.
static bool is_alone(const struct oci_runtime *r)
{
    bool own_pids = false;
    for (size_t i = 0; i < r->namespaces.n; i++)
        own_pids |= strcmp(r->namespaces.p[i].type, "pid") == 0 && !r->namespaces.p[i].path;
    bool label = (r->process.apparmor && r->process.apparmor[0]) ||
                 (r->process.selinux && r->process.selinux[0]);
    return own_pids && !label && !r->seccomp && !r->hooks[OCI_HOOK_CREATE_CONTAINER].n &&
           !r->hooks[OCI_HOOK_START_CONTAINER].n;
}

// As in container/exec.c. Nothing has been made yet.
static int protect(struct making *m, bool gate, struct err *e)
{
    m->doorstep_fd = gate || !is_alone(m->config) ? -1 : sandbox_doorstep_open();
    return m->doorstep_fd >= 0 ? 0 : sandbox_sealed(m->c->own_argv, e);
}

// Making the groups takes as long as the mounts of the child, which can do them meanwhile. Where it
// might not see the groups of the host it cannot.
static bool may_be_late(const struct making *m, bool in_userns)
{
    if (in_userns || m->c->systemd_cgroup) return false;
    vec_each(n, &m->config->namespaces) if (n->path || strcmp(n->type, "user") == 0) return false;
    return true;
}

static int make_groups(struct making *m, bool in_userns, struct sandbox_cgroup *out, struct err *e)
{
    if (bundle_box_note_groups(m->box, e) < 0) return -1;
    return bundle_cgroup_make(m->c, m->config, in_userns, &m->box->groups, out, e);
}

static int late_groups(struct sandbox_plan *p, struct err *e)
{
    return make_groups(p->on_report_arg, false, &p->cgroup, e);
}

static int launch_in(struct making *m, struct engine *en, const char *bundle, bool gate,
                     const struct idmap *ids, struct bundle_scope *scope, struct sandbox *out,
                     struct err *e)
{
    own(sandbox_spec) struct sandbox_spec spec = {.rootfs_fd = -1};
    own(sandbox_join) struct sandbox_join join = JOIN_NONE;
    own(bundle_plan) struct bundle_plan extra = {
        .null_fd = -1, .empty_fd = -1, .host_proc = -1, .gate_fd = -1, .host_mnt = -1};
    own(fd) int cache = m->config->seccomp ? cache_folder(m->box) : -1;
    own(sandbox_plan) struct sandbox_plan plan = {0};
    sandbox_plan_begin(en, &spec, &plan);
    plan.bundle = &extra;
    extra.config = m->config;
    const bool inside = bundle_in_userns();
    const struct bundle_build b = {.context = m->c,
                                   .config = m->config,
                                   .options = m->o,
                                   .bundle = bundle,
                                   .in_userns = inside,
                                   .groups = &m->box->groups,
                                   .late_groups = may_be_late(m, inside),
                                   .cache_fd = cache};
    struct sandbox_cgroup groups = {.n = 0};
    if (bundle_cgroup_name(m->c, m->config, m->box->id, ids, scope, &m->box->groups, e) < 0 ||
        (!b.late_groups && make_groups(m, b.in_userns, &groups, e) < 0))
        return -1;
    if (scope->unit[0]) m->box->scope = str_dup(scope->unit);
    int rc = bundle_plan_make(en, &b, &spec, &join, &plan, &extra, e);
    if (rc == 0) rc = sandbox_doorstep_use(&plan, m->doorstep_fd, e);
    plan.cgroup = groups;
    if (b.late_groups) plan.before_join = late_groups;
    m->box->rootfs = str_dup(extra.rootfs);
    if (rc == 0 && extra.calls.n) {
        halves(m->box, m->config, BUNDLE_CREATING, &extra.state_head[0], &extra.state_tail);
        halves(m->box, m->config, BUNDLE_CREATED, &extra.state_head[1], &extra.state_tail);
    }
    if (rc == 0 && gate) {
        extra.gate_fd = bundle_box_listen(m->box, "gate", e);
        if (extra.gate_fd < 0) rc = -1;
    }
    plan.on_report = on_report;
    plan.on_report_arg = m;
    m->plan = &plan;
    m->extra = &extra;
    if (rc == 0) rc = sandbox_launch(&plan, NULL, out, e);
    if (rc == 0 && gate && !m->ready)
        rc = err_set(e, ERR_INTERNAL, "the container's process ended before it was ready");
    if (rc == 0) rc = know_child(m, &out->proc, e);
    return rc;
}

static int launch(struct making *m, struct engine *en, const char *bundle, bool gate,
                  struct sandbox *out, struct err *e)
{
    struct bundle_scope scope = {0};
    struct idmap ids = en->ids;
    if (bundle_in_userns()) ids.mode = IDMAP_RANGE; // whoever is root here has a user's bus
    int rc = launch_in(m, en, bundle, gate, &ids, &scope, out, e);
    bundle_scope_leave(&scope);
    // Only now: as long as we were in it, they were ours too.
    if (rc == 0 && scope.unit[0])
        bundle_unit_tell(m->c, &ids, scope.unit, m->config->resources);
    return rc;
}

static void undo(struct bundle_box *box, struct sandbox *s)
{
    struct err ignored;
    int status;
    if (s->proc.fd >= 0) {
        proc_kill(&s->proc, SIGKILL);
        proc_wait(&s->proc, &status, &ignored);
    }
    bundle_cgroup_remove(&box->groups);
    bundle_box_remove(box, &ignored);
}

static int make(struct making *m, bool gate, struct sandbox *s, struct err *e)
{
    own(str) struct str bundle = {0}, text = {0};
    struct engine en = {.store_fd = -1, .run_fd = -1};
    *s = (struct sandbox){.proc = PROC_NONE, .pty_fd = -1};
    if (bundle_box_check_id(m->o->id, e) < 0 || bundle_path(m->o->bundle, &bundle, e) < 0 ||
        read_config(bundle.p, &text, m->config, e) < 0)
        return -1;
    // The specification lets one create a container that nobody can start.
    if (!m->config->has_process && !gate)
        return err_set(e, ERR_INPUT, "config.json has no 'process': there is nothing to start");
    if (!m->config->has_process) {
        strv_add(&m->config->process.args, "-");
        m->config->process.cwd = str_dup("/");
    }
    if (m->o->listen_fds) {  // sd_listen_fds(3): of the program, which will be process 1
        own(free) char *n = str_fmt("%lld", (long long)m->o->listen_fds);
        oci_env_set(&m->config->process.env, "LISTEN_FDS", n);
        oci_env_set(&m->config->process.env, "LISTEN_PID", "1");
    }
    if (check_terminal(m->o, &m->config->process, !gate, e) < 0 || protect(m, gate, e) < 0 ||
        bundle_box_make(m->c, m->o->id, m->box, e) < 0)
        return -1;
    int rc = fill_box(m->box, m->config, bundle.p, str_sv(&text), e);
    if (rc == 0) rc = bundle_notify_add(m->box, m->config, e);
    if (rc == 0 && !gate) rc = bundle_notify_listen(m->box, &m->notify_fd, e);
    if (rc == 0) rc = become_root(m->config, &en, e);
    if (rc == 0) rc = launch(m, &en, bundle.p, gate, s, e);
    if (rc == 0 && !gate) rc = bundle_box_save(m->box, m->config->annotations, e);
    if (rc == 0) rc = write_pid(m->o->pid_file, m->box->pid, e);
    if (rc < 0) undo(m->box, s);
    return rc;
}

int bundle_create(struct bundle_context *c, const struct bundle_run_options *o, struct err *e)
{
    own(bundle_box) struct bundle_box box = BUNDLE_BOX_NONE;
    own(oci_runtime) struct oci_runtime config = {0};
    struct making m = {.c = c, .o = o, .box = &box, .config = &config, MAKING_NONE};
    struct sandbox s;
    int rc = make(&m, true, &s, e);
    own_fd(&m.doorstep_fd);
    own_fd(&s.proc.fd);
    own_fd(&m.pty);
    return rc;
}

// --- start -------------------------------------------------------------------------------------

// After it connected: what the child says until it executed its program.
static int hear(const struct bundle_context *c, const struct bundle_box *box, int conn,
                const struct oci_runtime *config, struct err *e)
{
    struct report r;
    int got = -1;
    const char *no_args[] = {""};
    struct sandbox_spec spec = {.args = {(char **)(uintptr_t)no_args, 1}};
    if (config->process.args.n) spec.args = config->process.args;
    struct bundle_plan extra = {.config = config};
    const struct sandbox_plan plan = {.spec = &spec,
                                      .bundle = &extra,
                                      .what = bundle_plan_what,
                                      .explain = bundle_hook_error,
                                      .workdir = config->process.cwd};
    while (sandbox_receive(conn, &r, &got)) {
        own(fd) int fd = take_fd(got);
        if (r.kind == REPORT_FAIL) return sandbox_error(&plan, &r, e);
        if (r.kind != REPORT_LISTENER) continue;
        int rc = bundle_send_listener(c, box, config, box->pid, fd, conn, e);
        if (rc != 0) return rc < 0 ? -1 : 0;
    }
    return 0;
}

static int poststart(const struct bundle_box *box, const struct oci_runtime *config,
                     const struct event_sink *sink, struct err *e)
{
    if (!config->hooks[OCI_HOOK_POSTSTART].n) return 0;
    own(codec_json) struct codec_json *state = bundle_box_state(box, BUNDLE_RUNNING);
    return bundle_hooks_run(config, OCI_HOOK_POSTSTART, state, sink, e);
}

int bundle_start(struct bundle_context *c, const char *id, struct err *e)
{
    own(bundle_box) struct bundle_box box = BUNDLE_BOX_NONE;
    own(oci_runtime) struct oci_runtime config = {0};
    if (bundle_box_open(c, id, true, &box, e) < 0) return -1;
    enum bundle_status status = bundle_box_status(&box);
    if (status != BUNDLE_CREATED)
        return err_set(e, ERR_CONFLICT, "cannot start a container that is %s",
                       bundle_status_names[status]);
    if (fs_exists(box.dir_fd, "config.json") && bundle_box_config(&box, &config, e) < 0) return -1;
    if (!config.has_process)
        return err_set(e, ERR_INPUT, "config.json had no 'process': there is nothing to start");
    own(fd) int notify = -1;
    if (bundle_notify_listen(&box, &notify, e) < 0) return -1;
    own(fd) int conn = bundle_box_connect(&box, "gate", e);
    if (conn < 0) return -1;
    if (unlinkat(box.dir_fd, "gate", 0) != 0) return err_sys(e, "close the container's gate");
    if (hear(c, &box, conn, &config, e) < 0 || poststart(&box, &config, &c->sink, e) < 0) return -1;
    bundle_notify_await(notify, &box);
    return 0;
}

// --- run ---------------------------------------------------------------------------------------

int bundle_run(struct bundle_context *c, const struct bundle_run_options *o, int *out_status,
               struct err *e)
{
    own(bundle_box) struct bundle_box box = BUNDLE_BOX_NONE;
    own(oci_runtime) struct oci_runtime config = {0};
    struct making m = {.c = c, .o = o, .box = &box, .config = &config, MAKING_NONE};
    struct sandbox s;
    *out_status = 0;
    int rc = make(&m, false, &s, e);
    own_fd(&m.doorstep_fd);
    own(fd) int pty = m.pty;
    own(fd) int notify = m.notify_fd;
    if (rc < 0) return -1;
    poststart(&box, &config, &c->sink, e);
    if (o->detach) {
        bundle_notify_await(notify, &box);
        own_fd(&s.proc.fd);
        return 0;
    }
    own_fd(&box.lock_fd);  // others may look at it, kill it, run in it
    box.lock_fd = -1;
    rc = bundle_attend(&s, o->console_socket ? -1 : pty, notify, out_status, e);
    if (rc < 0 || o->keep) return rc;
    return bundle_box_delete(&box, &config, &c->sink, e);
}
