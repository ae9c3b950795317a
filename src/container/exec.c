// SPDX-License-Identifier: Apache-2.0
#include "container/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "container/client.h"
#include "container/container.h"
#include "container/start.h"
#include "oci/image.h"
#include "record/events.h"
#include "record/record.h"
#include "record/state.h"
#include "sandbox/caps.h"
#include "sandbox/doorstep.h"
#include "sandbox/join.h"
#include "sandbox/parse.h"
#include "sandbox/sandbox.h"
#include "sandbox/sealed.h"

#define PROGRAM_SHOWN 2000 // characters of it in an event

static int add_env(struct sandbox_spec *s, const struct container_exec_options *o, struct err *e)
{
    own(strv) struct strv env = {0};
    for (size_t i = 0; i < o->env_files.n; i++)
        if (sandbox_parse_env_file(o->env_files.p[i], &env, e) < 0) return -1;
    for (size_t i = 0; i < o->env.n; i++) strv_add(&env, o->env.p[i]);
    for (size_t i = 0; i < env.n; i++) {
        struct sv value = sv_of(env.p[i]), key = sv_cut(&value, '=');
        own(free) char *k = sv_dup(key);
        if (key.n == 0)
            return err_set(e, ERR_USAGE, "invalid environment variable '%s'", env.p[i]);
        const char *v = value.p ? value.p : getenv(k);
        if (v)
            oci_env_set(&s->env, k, v);
        else
            oci_env_del(&s->env, k);
    }
    if (o->tty && !oci_env_get(&s->env, "TERM")) oci_env_set(&s->env, "TERM", "xterm");
    return 0;
}

static void replace(char **text, const char *with)
{
    if (!with) return;
    free(*text);
    *text = str_dup(with);
}

static int make_spec(struct engine *en, struct record_config *c,
                     const struct container_exec_options *o, struct sandbox_spec *s, struct err *e)
{
    free(take_ptr(c->userns_mode)); // it is there already
    if (container_start_spec(en, c, s, e) < 0) return -1;
    strv_fini(&s->args);
    for (size_t i = 0; i < o->args.n; i++) strv_add(&s->args, o->args.p[i]);
    replace(&s->user, o->user);
    replace(&s->workdir, o->workdir);
    s->tty = o->tty;
    s->init = false;
    s->detach = true;
    if (o->privileged) {
        s->privileged = true;
        strv_fini(&s->cap_drop);
    }
    return add_env(s, o, e);
}

// Which of several programs an event is about is told by an id, as in Docker. It names nothing else.
struct telling {
    struct engine *en;
    const struct record_config *config;
    char id[RECORD_ID];
};

static void tell(const struct telling *t, const char *what, int code)
{
    own(free) char *number = str_fmt("%d", code);
    const char *more[] = {"execID", t->id, code < 0 ? NULL : "exitCode", number, NULL};
    record_event(t->en, t->config, what, more);
}

// "exec_start: sh -c true"
static void tell_program(const struct telling *t, const char *what,
                         const struct container_exec_options *o)
{
    own(str) struct str text = {0};
    str_addf(&text, "%s:", what);
    for (size_t i = 0; i < o->args.n && text.n < PROGRAM_SHOWN; i++)
        str_addf(&text, " %.*s", PROGRAM_SHOWN, o->args.p[i]);
    tell(t, str_z(&text), -1);
}

// With a terminal that the person has left: somebody must read what the program goes on to write.
static void leave_reader(int pty)
{
    int pidfd = -1, ready[2];
    char buf[4096];
    if (pipe2(ready, O_CLOEXEC) != 0) return;
    pid_t pid = proc_fork(0, &pidfd);
    if (pid != 0) {
        // Until it has left our session, whose end would end it.
        close(ready[1]);
        while (pid > 0 && read(ready[0], buf, 1) < 0 && errno == EINTR) continue;
        close(ready[0]);
        if (pidfd >= 0) close(pidfd);
        return;
    }
    setsid();
    close(ready[0]);
    close(ready[1]);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3; i++)
        if (null >= 0) dup2(null, i);
    fcntl(pty, F_SETFL, 0);  // wait for what comes
    while (read(pty, buf, sizeof buf) > 0) continue;
    _exit(0);
}

// 1: the person left and it goes on.
static int follow(struct sandbox *box, const struct container_exec_options *o, int *out_code,
                  struct err *e)
{
    const struct client_options opt = {.read_stdin = o->interactive, .keys = o->keys};
    bool detached = false;
    if (client_program(box->proc.fd, box->pty_fd, &opt, &detached, e) < 0) return -1;
    if (!detached) return sandbox_wait(box, out_code, NULL, e);
    leave_reader(box->pty_fd);
    return 1;
}

// Whether somebody inside could look at our process before it executed the doorstep (doorstep.h).
// Ids of the container's own give no right over it.
static bool may_be_traced(struct engine *en, const char *id, const struct record_config *c,
                          const struct sandbox_spec *s)
{
    struct err ignored;
    uint64_t caps;
    bool alone = !container_joins_processes(c->pid_mode) && !s->host_pid;
    return !alone || s->privileged || sandbox_caps_plan(s, &caps, &ignored) < 0 ||
           caps >> CAP_SYS_PTRACE & 1 || record_tracers(en, id);
}

// Our program file out of reach for who is inside: by the doorstep (*out), or by a sealed copy that
// begins anew.
static int protect(struct engine *en, const char *id, const struct record_config *c,
                   const struct container_exec_options *o, const struct sandbox_spec *s, int *out,
                   struct err *e)
{
    *out = may_be_traced(en, id, c, s) ? -1 : sandbox_doorstep_open();
    if (*out < 0 && sandbox_sealed(o->own_argv, e) < 0) return -1;
    return o->privileged ? record_tracers_note(en, id, e) : 0;
}

int container_exec(struct engine *en, const char *id, const struct container_exec_options *o,
                   int *out_code, struct err *e)
{
    own(record_config) struct record_config c = {0};
    own(sandbox_spec) struct sandbox_spec spec = {.rootfs_fd = -1};
    struct record_state s;
    if (o->tty && o->interactive && !o->detach && !isatty(0))
        return err_set(e, ERR_USAGE, "the input device is not a TTY");
    own(fd) int init = record_init_open(en, id, &s, e);
    own(fd) int doorstep = -1;
    if (init < 0 || record_config_load(en, id, &c, e) < 0 || make_spec(en, &c, o, &spec, e) < 0 ||
        protect(en, id, &c, o, &spec, &doorstep, e) < 0)
        return -1;
    struct sandbox_join_options join = {.pid = s.pid,
                                        .pidfd = init,
                                        .spec = &spec,
                                        .cgroup = s.cgroup,
                                        .doorstep_fd = doorstep};
    struct sandbox_stdio io = {o->interactive ? 0 : -1, 1, 2};
    if (o->detach || o->tty) io = (struct sandbox_stdio){-1, -1, -1};
    struct sandbox box;
    struct telling t = {.en = en, .config = &c};
    if (record_new_id(t.id, e) < 0) return -1;
    tell_program(&t, "exec_create", o);
    if (sandbox_join_start(en, &join, &io, &box, e) < 0) {
        // As in Docker: a user or working directory that is not there is 126, too.
        if (e->kind == ERR_INPUT || e->kind == ERR_SYSTEM) e->kind = ERR_NOT_EXEC;
        return -1;
    }
    tell_program(&t, "exec_start", o);
    *out_code = 0;
    if (o->detach) {
        if (box.pty_fd >= 0) leave_reader(box.pty_fd);
        return 0;
    }
    int rc = follow(&box, o, out_code, e);
    if (rc == 0) tell(&t, "exec_die", *out_code);
    if (rc == 1) tell(&t, "exec_detach", -1);
    return rc < 0 ? -1 : 0;
}
