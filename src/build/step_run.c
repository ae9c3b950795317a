// SPDX-License-Identifier: Apache-2.0
// RUN as an operation of the solver: the environment and mounts that its key is made of, and the
// sandbox that it runs in.
//
// Cache mounts and time: what COPY brings has the same time in every build, while objects in a cache
// mount carry real times, so `make` would take a changed source for an old one. Each cache mount
// therefore remembers which files (path and digest) the last step saw, and what differs is touched
// before the step. The commit drops differences in time only.
//
// Where every step has the same time (SOURCE_DATE_EPOCH), a file that COPY replaces would look as old
// as what an earlier RUN made of the one before. So what was copied since the last RUN gets a later
// time while this one runs, the same in every build: what a step writes down must not depend on the
// clock.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "build/internal.h"
#include "build/mounts.h"
#include "build/runopt.h"
#include "sandbox/mounts.h"
#include "sandbox/sandbox.h"

struct run_arg {
    struct build_run run;
    struct strv env, argv;
    struct build_mounts mounts;
};

static void shell_argv(const struct build_work *w, const char *text, struct strv *out)
{
    if (w->state->image.shell.n) {
        strv_add_all(out, &w->state->image.shell);
    } else {
        strv_add(out, "/bin/sh");
        strv_add(out, "-c");
    }
    strv_add(out, text);
}

static void run_env(const struct build_work *w, struct strv *out)
{
    char now[32];
    build_stage_env(w, out);
    if (w->job->opt->timestamps != BUILD_TIMES_NOW && !oci_env_get(out, "SOURCE_DATE_EPOCH")) {
        snprintf(now, sizeof now, "%lld", (long long)w->state->now + !w->state->constant);
        oci_env_set(out, "SOURCE_DATE_EPOCH", now);
    }
    if (!oci_env_get(out, "PYTHONHASHSEED")) oci_env_set(out, "PYTHONHASHSEED", "0");
}

static const char *const proxies[] = {"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY",
                                      "ALL_PROXY",  "http_proxy",  "https_proxy", "ftp_proxy",
                                      "no_proxy",   "all_proxy"};

// Proxy build args reach RUN without being declared, and are no part of the key.
static void add_proxies(const struct build_work *w, struct strv *env)
{
    for (size_t i = 0; i < sizeof proxies / sizeof *proxies; i++) {
        const char *value = map_get(&w->job->build_args, proxies[i]);
        if (value && !oci_env_get(env, proxies[i])) oci_env_set(env, proxies[i], value);
    }
}

static enum sandbox_net network(const struct build_work *w, const struct run_arg *a)
{
    const char *asked = w->job->opt->network;
    if (a->run.network == BUILD_NETWORK_NONE) return SANDBOX_NET_NONE;
    if (a->run.network == BUILD_NETWORK_DEFAULT && asked && strcmp(asked, "none") == 0)
        return SANDBOX_NET_NONE;
    return SANDBOX_NET_HOST;
}

static bool allowed(const struct build_work *w, const char *what)
{
    return w->job->opt->allow && strv_find(w->job->opt->allow, what) >= 0;
}

static int check_rights(const struct build_work *w, const struct run_arg *a, struct err *e)
{
    if (a->run.insecure && !allowed(w, "security.insecure")) {
        err_set(e, ERR_INPUT, "RUN --security=insecure is not allowed");
        return err_hint(e, "the caller decides: dewar build --allow security.insecure");
    }
    return 0;
}

static void add_run_key(const struct build_work *w, const struct run_arg *a, struct codec_sha256 *h)
{
    own(str) struct str platform = {0};
    oci_platform_print(&w->job->platform, &platform);
    codec_sha256_init(h);
    codec_sha256_addz(h, "run");
    codec_sha256_addz(h, str_z(&platform));  // records travel between machines
    codec_sha256_addu(h, a->argv.n);
    for (size_t i = 0; i < a->argv.n; i++) codec_sha256_addz(h, a->argv.p[i]);
    codec_sha256_addu(h, a->run.script_n);
    if (a->run.script) codec_sha256_add(h, a->run.script, a->run.script_n);
    codec_sha256_addu(h, a->env.n);
    for (size_t i = 0; i < a->env.n; i++) codec_sha256_addz(h, a->env.p[i]);
    codec_sha256_addz(h, w->state->image.workdir ? w->state->image.workdir : "/");
    codec_sha256_addz(h, w->state->image.user ? w->state->image.user : "");
    codec_sha256_addu(h, network(w, a));
    codec_sha256_addu(h, a->run.insecure);
    build_mounts_key(&a->mounts, h);
}

// --- running ------------------------------------------------------------------------------------
static int script_file(struct build_work *w, int folder, const struct run_arg *a,
                       struct sandbox_spec *spec, struct err *e)
{
    (void)w;
    if (!a->run.script) return 0;
    own(fd) int fd = fs_openat(folder, "script", O_WRONLY | O_CREAT | O_EXCL, 0755, e);
    if (fd < 0 || fs_write_all(fd, a->run.script, a->run.script_n, e) < 0) return -1;
    if (fchmod(fd, 0755) != 0) return err_sys(e, "chmod the script");
    own(fd) int in = fs_openat(folder, "script", O_PATH, 0, e);
    if (in < 0) return -1;
    own(free) char *target = str_fmt("/dev/pipes/%s", a->run.script_name ? a->run.script_name : "EOF");
    struct sandbox_mount *m = vec_add(&spec->mounts);
    *m = (struct sandbox_mount){.kind = SANDBOX_MOUNT_BIND,
                                .source = str_dup("the script"),
                                .source_fd = take_fd(in),
                                .target = str_dup(target),
                                .readonly = true};
    strv_add(&spec->args, target);
    return 0;
}

static void fill_spec(struct build_work *w, const struct run_arg *a, const struct root *root,
                      struct sandbox_spec *spec)
{
    spec->rootfs_fd = root->fd;
    if (!a->run.script) strv_add_all(&spec->args, &a->argv);
    strv_add_all(&spec->env, &a->env);
    add_proxies(w, &spec->env);
    strv_add_all(&spec->env, &a->mounts.env);
    spec->workdir = str_dup(w->state->image.workdir && w->state->image.workdir[0]
                                ? w->state->image.workdir : "/");
    spec->user = str_dup(w->state->image.user);
    spec->net = network(w, a);
    spec->privileged = a->run.insecure;
    spec->build_step = true;
    spec->home_env = true;
    build_runopt_fill(w->job->opt, spec);
}

#define TAIL_MAX 4096

struct output {
    struct build_work *w;
    struct str tail;  // the last bytes, for hints
};

static void show(struct output *o, int stream, struct sv text)
{
    event_emit(&o->w->job->en->sink,
               (struct event){.kind = EVENT_LINE, .id = o->w->id, .text = text, .stream = stream});
    str_add(&o->tail, text);
    if (o->tail.n > 2 * TAIL_MAX) {
        memmove(o->tail.p, o->tail.p + o->tail.n - TAIL_MAX, TAIL_MAX);
        str_cut(&o->tail, TAIL_MAX);
    }
}

// Reads both streams until the last writer is gone.
static int pump(struct output *o, int out_fd, int err_fd, struct err *e)
{
    struct pollfd fds[2] = {{.fd = out_fd, .events = POLLIN}, {.fd = err_fd, .events = POLLIN}};
    static char buf[65536];
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR) return err_sys(e, "poll");
        for (int i = 0; i < 2; i++) {
            if (fds[i].fd < 0 || !fds[i].revents) continue;
            ssize_t n = read(fds[i].fd, buf, sizeof buf);
            if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
            if (n <= 0)
                fds[i].fd = -1;
            else
                show(o, i + 1, (struct sv){buf, (size_t)n});
        }
    }
    return 0;
}

// What people run into, and what to do about it.
static void add_hint(const struct build_work *w, const struct output *o, int status, struct err *e)
{
    static const struct {
        const char *seen, *hint;
    } rows[] = {
        {"Do you want to continue? [Y/n] Abort.", "apt-get asks and nobody answers: add -y"},
        {"externally-managed-environment",
         "this Debian guards its Python (PEP 668): use a virtual environment, or pip install "
         "--break-system-packages"},
        {"Temporary failure resolving", "the step has no network: check --network and the proxy"},
        {"Could not resolve host", "the step has no network: check --network and the proxy"},
        {"404  Not Found", "package lists are older than the mirror: run apt-get update in the same RUN"},
        {"does not have a Release file", "this release moved to an archive: use old-releases.ubuntu.com "
                                         "or archive.debian.org in sources.list"},
        {"Unable to locate package", "run apt-get update in the same RUN, before apt-get install"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (o->tail.p && strstr(o->tail.p, rows[i].seen)) {
            err_hint(e, "%s (line %u)", rows[i].hint, w->instr->first_line);
            return;
        }
    if (status == 127) err_hint(e, "the shell did not find a program: is its package installed?");
    if (status == 137) err_hint(e, "the step was killed, most often for lack of memory");
}

static int run_sandbox(struct build_work *w, struct sandbox_spec *spec, struct strv *stubs,
                       struct err *e)
{
    int out[2], err[2];
    if (pipe2(out, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    own(fd) int out_rd = out[0];
    own(fd) int out_wr = out[1];
    if (pipe2(err, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    own(fd) int err_rd = err[0];
    own(fd) int err_wr = err[1];
    struct sandbox_stdio io = {-1, out_wr, err_wr};
    struct sandbox box = {.pty_fd = -1};
    if (sandbox_start(w->job->en, spec, &io, stubs, &box, e) < 0) {
        if (e->kind == ERR_NO_PROGRAM && !e->hint[0])
            err_hint(e, "is it installed in this stage? the JSON form runs a program, no shell");
        return -1;
    }
    close(take_fd(out_wr));
    close(take_fd(err_wr));
    struct output o = {.w = w, .tail = {.max = 65536 * 2}};
    int rc = pump(&o, out_rd, err_rd, e);
    int status = 0;
    bool oom = false;
    struct err wait_err;
    if (rc < 0) proc_kill(&box.proc, SIGKILL);
    if (sandbox_wait(&box, &status, &oom, rc < 0 ? &wait_err : e) < 0) rc = -1;
    if (rc == 0 && status != 0) {
        rc = err_set(e, ERR_STEP, "the command ended with status %d%s", status,
                     oom ? " (out of memory)" : "");
        e->status = status;
        add_hint(w, &o, status, e);
    }
    str_fini(&o.tail);
    return rc;
}

// --shell-on-fail: the same sandbox, with the caller's terminal and a shell.
static void open_shell(struct build_work *w, const struct root *root, struct sandbox_spec *spec,
                       struct strv *stubs)
{
    struct err ignored;
    struct sandbox_stdio io = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
    struct sandbox box = {.pty_fd = -1};
    int status;
    bool oom;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        event_warn(&w->job->en->sink, "--shell-on-fail needs a terminal");
        return;
    }
    event_emit(&w->job->en->sink,
               (struct event){.kind = EVENT_INFO, .id = w->id, .text = SV("the step failed; a shell in "
                              "its place follows, exit ends the build")});
    strv_fini(&spec->args);
    strv_add(&spec->args, "/bin/sh");
    strv_add(&spec->args, "-i");
    own(fd) int again = sandbox_mounts_clone(root->fd, false, false, 0, NULL, &ignored);
    spec->rootfs_fd = again;
    if (again >= 0 && sandbox_start(w->job->en, spec, &io, stubs, &box, &ignored) == 0)
        sandbox_wait(&box, &status, &oom, &ignored);
    else
        event_warn(&w->job->en->sink, "cannot open a shell: %s", err_cause(&ignored));
}

static int touch_copied(const struct build_work *w, const struct root *root, struct strv *touched,
                        struct err *e)
{
    const struct build_state *s = w->state;
    int64_t base = s->newest > s->now ? s->newest : s->now;
    struct timespec t = {.tv_sec = base + (int64_t)s->image.histories + 1};
    if (!s->constant || (!s->ran && s->newest < s->now)) return 0;
    for (size_t i = s->seen; i < s->copied.n; i++) {
        struct sv rest = sv_of(s->copied.p[i]);
        own(free) char *path = sv_dup(sv_cut(&rest, '\t'));
        own(fd) int fd = fs_in_try(root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        if (fd < 0) continue;
        if (futimens(fd, (struct timespec[2]){t, t}) != 0) return err_sys(e, "touch '%s'", path);
        strv_add(touched, path + strspn(path, "/"));
    }
    return 0;
}

static int apply_run(struct build_work *w, const struct root *root, int folder, void *arg,
                     struct strv *stubs, struct err *e)
{
    struct run_arg *a = arg;
    own(sandbox_spec) struct sandbox_spec spec = {0};
    fill_spec(w, a, root, &spec);
    int rc = touch_copied(w, root, &a->mounts.touched, e);
    if (rc == 0) rc = script_file(w, folder, a, &spec, e);
    if (rc == 0) rc = build_mounts_open(w, &a->mounts, root, folder, &spec, e);
    own(fd) int once = -1;
    // A sandbox takes its root along when it ends: with a shell to come, each has a copy of the mount.
    if (rc == 0 && w->job->opt->shell_on_fail) {
        rc = build_mounts_keep_root(&a->mounts, root->fd, folder, e);
        if (rc == 0) rc = once = sandbox_mounts_clone(root->fd, false, false, 0, NULL, e);
        spec.rootfs_fd = once;
    }
    if (rc >= 0) {
        rc = run_sandbox(w, &spec, stubs, e);
        if (rc < 0 && w->job->opt->shell_on_fail) open_shell(w, root, &spec, stubs);
    }
    struct err close_err;
    if (build_mounts_close(w, &a->mounts, rc == 0, rc < 0 ? &close_err : e) < 0) rc = -1;
    spec.rootfs_fd = -1;  // the solver's
    return rc;
}

static char *history(const struct build_work *w, const struct run_arg *a)
{
    own(str) struct str s = {0};
    str_addz(&s, "RUN ");
    if (w->state->arg_names.n) {
        str_addf(&s, "|%zu ", w->state->arg_names.n);
        for (size_t i = 0; i < w->state->arg_names.n; i++)
            str_addf(&s, "%s ", w->state->arg_names.p[i]);  // names only: values may be secrets
    }
    for (size_t i = 0; i < a->argv.n; i++) str_addf(&s, "%s%s", i ? " " : "", a->argv.p[i]);
    return str_take(&s);
}

int build_step_run(struct build_work *w, const struct build_instr *in, struct err *e)
{
    struct build_expand x = build_stage_expand(w);
    struct run_arg a = {0};
    if (build_instr_run(in, &x, &a.run, e) < 0) return -1;
    if (a.run.exec_form)
        strv_add_all(&a.argv, &a.run.argv);
    else if (a.run.script)
        strv_add(&a.argv, a.run.script_name ? a.run.script_name : "script");
    else
        shell_argv(w, a.run.shell, &a.argv);
    run_env(w, &a.env);
    int rc = check_rights(w, &a, e);
    if (rc == 0) rc = build_mounts_plan(w, &a.run, &a.mounts, e);
    own(free) char *by = history(w, &a);
    struct build_op op = {.created_by = by, .apply = apply_run, .arg = &a, .scrub = true,
                          .touched = &a.mounts.touched, .unstable = &a.mounts.unstable};
    add_run_key(w, &a, &op.key);
    if (rc == 0) rc = build_solve_step(w, &op, e);
    w->state->ran = true;
    w->state->seen = w->state->copied.n;
    build_mounts_fini(w, &a.mounts);
    build_run_fini(&a.run);
    strv_fini(&a.argv);
    strv_fini(&a.env);
    return rc;
}
