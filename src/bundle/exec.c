// SPDX-License-Identifier: Apache-2.0
// `exec`: one more program in a container that runs. The way in is join.c's.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/num.h"
#include "base/own.h"
#include "bundle/bundle.h"
#include "bundle/internal.h"
#include "oci/image.h"
#include "sandbox/join.h"
#include "sandbox/launch.h"
#include "sandbox/plan.h"
#include "sandbox/sandbox.h"
#include "sandbox/seccomp.h"
#include "sandbox/user.h"

static int u32_list(const struct strv *texts, struct oci_process *p, struct err *e)
{
    for (size_t i = 0; texts && i < texts->n; i++) {
        uint64_t v;
        if (!num_u64_max(sv_of(texts->p[i]), UINT32_MAX - 1, &v))
            return err_set(e, ERR_USAGE, "'%s' is not a group id", texts->p[i]);
        vec_push(&p->groups, (uint32_t)v);
    }
    return 0;
}

static int user_option(const char *text, struct oci_process *p, struct err *e)
{
    uint64_t uid, gid = p->gid;
    struct sv rest = sv_of(text), first = sv_cut(&rest, ':');
    if (!num_u64_max(first, UINT32_MAX - 1, &uid) ||
        (rest.p && !num_u64_max(rest, UINT32_MAX - 1, &gid)))
        return err_set(e, ERR_USAGE, "'%s' is not of the form UID[:GID]", text);
    p->uid = (uint32_t)uid;
    p->gid = (uint32_t)gid;
    p->groups.n = 0;
    return 0;
}

static void replace(char **to, const char *text)
{
    if (!text) return;
    free(*to);
    *to = str_dup(text);
}

// What the command line says, over what the container's own process has.
static int from_options(const struct bundle_exec_options *o, struct oci_process *p, struct err *e)
{
    if (o->argc == 0) return err_set(e, ERR_USAGE, "process args cannot be empty");
    strv_fini(&p->args);
    for (int i = 0; i < o->argc; i++) strv_add(&p->args, o->argv[i]);
    for (size_t i = 0; o->env && i < o->env->n; i++) {
        struct sv value = sv_of(o->env->p[i]);
        own(free) char *key = sv_dup(sv_cut(&value, '='));
        oci_env_set(&p->env, key, value.p ? value.p : "");
    }
    for (size_t i = 0; o->caps && i < o->caps->n; i++)
        for (int k = 0; k < OCI_CAP_SETS; k++)
            if (k != OCI_CAP_INHERITABLE && k != OCI_CAP_AMBIENT)
                strv_add(&p->caps[k], o->caps->p[i]);
    p->terminal = o->tty;
    p->rows = p->columns = 0;
    if (o->no_new_privs) p->no_new_privs = true;
    replace(&p->cwd, o->cwd);
    replace(&p->apparmor, o->apparmor);
    replace(&p->selinux, o->label);
    if (o->user && user_option(o->user, p, e) < 0) return -1;
    return u32_list(o->groups, p, e);
}

static int read_process(const struct bundle_exec_options *o, struct oci_runtime *config,
                        struct err *e)
{
    if (!o->process_file) return from_options(o, &config->process, e);
    own(str) struct str text = {0};
    oci_process_fini(&config->process);
    if (fs_read_at(AT_FDCWD, o->process_file, OCI_RUNTIME_CONFIG_MAX, &text, e) < 0) return -1;
    if (oci_process_parse(str_sv(&text), o->process_file, &config->process, e) < 0) return -1;
    config->process.terminal |= o->tty;
    return 0;
}

struct telling {
    const struct bundle_context *c;
    const struct bundle_exec_options *o;
    const struct bundle_box *box;
    const struct oci_runtime *config;
    int pty;
};

static int on_report(struct sandbox_plan *p, const struct report *r, struct proc *child, int got,
                     struct err *e)
{
    struct telling *t = p->on_report_arg;
    own(fd) int fd = got;
    // Each filter has a listener of its own: the one from the start knows nothing of this process.
    if (r->kind == REPORT_LISTENER)
        return bundle_send_listener(t->c, t->box, t->config, child->pid, fd, p->peer_fd, e);
    if (r->kind != REPORT_PTY || fd < 0) return 0;
    if (bundle_send_terminal(t->o->console_socket, &t->config->process, fd, e) < 0) return -1;
    t->pty = take_fd(fd);
    return 0;
}

static int home_in(int root_fd, struct sandbox_plan *p)
{
    struct err ignored;
    struct sandbox_user u = {0};
    const struct root root = {root_fd, "the container"};
    own(free) char *text = str_fmt("%u", p->user.uid);
    if (sandbox_user_find(&root, text, NULL, &u, &ignored) == 0) p->user.home = take_ptr(u.home);
    sandbox_user_fini(&u);
    return 0;
}

// Everything about the joining process but the namespaces.
static int fill_plan(struct bundle_context *c, const struct bundle_exec_options *o,
                     const struct bundle_box *box, const struct oci_runtime *config, int root_fd,
                     struct sandbox_spec *spec, struct sandbox_plan *p, struct err *e)
{
    const struct sandbox_stdio io = {0, 1, 2};
    const struct root root = {root_fd, "the container"};
    unsigned version[3] = {1, 0, 0};
    oci_runtime_version(box->version, version);
    if (bundle_plan_spec(&config->process, version, &c->sink, spec, p, e) < 0) return -1;
    home_in(root_fd, p);
    if (sandbox_plan_process(p, &root, NULL, &io, e) < 0) return -1;
    own(fd) int cache = fs_openat(box->root_fd, ".filters", O_RDONLY | O_DIRECTORY, 0, e);
    if (config->seccomp &&
        sandbox_seccomp_oci(config->seccomp, cache, &p->seccomp, &p->seccomp_flags, e) < 0)
        return err_wrap(e, "reading linux.seccomp");
    if (bundle_plan_personality(config, p, e) < 0 ||
        bundle_plan_affinity(&config->process, p, e) < 0)
        return -1;
    p->keep_fds = (unsigned)o->preserve_fds;
    if (!o->cgroups || !o->cgroups->n) return bundle_cgroup_open(&box->groups, &p->cgroup, e);
    own(strv) struct strv below = {0};
    if (bundle_cgroup_below(&box->groups, o->cgroups, &below, e) < 0) return -1;
    return bundle_cgroup_open(&below, &p->cgroup, e);
}

static int write_pid(const char *path, pid_t pid, struct err *e)
{
    if (!path) return 0;
    own(free) char *text = str_fmt("%d", (int)pid);
    own(fd) int fd = fs_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644, e);
    return fd < 0 ? -1 : fs_write_all(fd, text, strlen(text), e);
}

static int start(struct bundle_context *c, const struct bundle_exec_options *o,
                 const struct bundle_box *box, struct oci_runtime *config, struct telling *t,
                 struct sandbox *out, struct err *e)
{
    own(sandbox_spec) struct sandbox_spec spec = {.rootfs_fd = -1};
    own(sandbox_join) struct sandbox_join join = JOIN_NONE;
    own(sandbox_plan) struct sandbox_plan plan = {0};
    struct engine en = {.store_fd = -1, .run_fd = -1};
    sandbox_plan_begin(&en, &spec, &plan);
    own(fd) int pidfd = bundle_box_pidfd(box, e);
    if (pidfd < 0) return -1;
    own(free) char *path = str_fmt("/proc/%lld/root", (long long)box->pid);
    own(fd) int root_fd = fs_open(path, O_PATH | O_DIRECTORY, 0, e);
    if (root_fd < 0 || sandbox_join_open_process(&join, pidfd, (pid_t)box->pid, e) < 0) return -1;
    join.has_oom_score_adj = config->process.has_oom_score_adj;
    join.oom_score_adj = (int32_t)config->process.oom_score_adj;
    sandbox_join_plan(&plan, &join, (pid_t)box->pid);
    plan.on_report = on_report;
    plan.on_report_arg = t;
    if (fill_plan(c, o, box, config, root_fd, &spec, &plan, e) < 0 ||
        bundle_plan_label(&config->process, &plan.label_file, &plan.label, e) < 0 ||
        sandbox_launch(&plan, NULL, out, e) < 0)
        return -1;
    return write_pid(o->pid_file, out->proc.pid, e);
}

int bundle_exec(struct bundle_context *c, const struct bundle_exec_options *o, int *out_status,
                struct err *e)
{
    own(bundle_box) struct bundle_box box = BUNDLE_BOX_NONE;
    own(oci_runtime) struct oci_runtime config = {0};
    struct sandbox s = {.proc = PROC_NONE, .pty_fd = -1};
    struct telling t = {.c = c, .o = o, .box = &box, .config = &config, .pty = -1};
    *out_status = 0;
    if (bundle_box_open(c, o->id, false, &box, e) < 0) return -1;
    enum bundle_status status = bundle_box_status(&box);
    if (status == BUNDLE_STOPPED || status == BUNDLE_CREATING)
        return err_set(e, ERR_CONFLICT, "cannot exec in a container that is %s",
                       bundle_status_names[status]);
    if (status == BUNDLE_PAUSED && !o->ignore_paused)
        return err_set(e, ERR_CONFLICT, "cannot exec in a paused container");
    if (bundle_box_config(&box, &config, e) < 0 || read_process(o, &config, e) < 0) return -1;
    if (config.process.terminal && o->detach && !o->console_socket)
        return err_set(e, ERR_USAGE,
                       "cannot allocate tty if the process is detached without "
                       "setting console socket");
    if (start(c, o, &box, &config, &t, &s, e) < 0) {
        own_fd(&s.proc.fd);
        return -1;
    }
    own(fd) int pty = t.pty;
    if (o->detach) {
        own_fd(&s.proc.fd);
        return 0;
    }
    return bundle_attend(&s, o->console_socket ? -1 : pty, -1, out_status, e);
}
