// SPDX-License-Identifier: Apache-2.0
// Starting and ending a sandboxed process tree: plan, clone, and what the child's report means for
// a person.
#include "sandbox/sandbox.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/num.h"
#include "base/own.h"
#include "sandbox/cgroup.h"
#include "sandbox/enter.h"
#include "sandbox/join.h"
#include "sandbox/launch.h"
#include "sandbox/plan.h"
#include "sandbox/seccomp.h"

void sandbox_mount_fini(struct sandbox_mount *m)
{
    free(m->source);
    free(m->target);
    free(m->propagation);
    free(m->subpath);
    strv_fini(&m->options);
    strv_fini(&m->labels);
    if (m->source_fd > 2) close(m->source_fd);
    memset(m, 0, sizeof *m);
    m->source_fd = -1;
}

void sandbox_spec_fini(struct sandbox_spec *s)
{
    struct strv *lists[] = {&s->args, &s->env, &s->groups_add, &s->hosts_extra,
                            &s->cap_add, &s->cap_drop, &s->sysctls, &s->device_rules,
                            &s->dns, &s->dns_search, &s->dns_options};
    char **texts[] = {&s->workdir, &s->user, &s->hostname, &s->domainname, &s->seccomp_file,
                      &s->cpuset_cpus, &s->cpuset_mems, &s->cgroup_name, &s->cgroup_parent};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) strv_fini(lists[i]);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) free(*texts[i]);
    vec_each(m, &s->mounts) sandbox_mount_fini(m);
    vec_each (d, &s->devices) {
        free(d->host);
        free(d->target);
    }
    sandbox_disk_fini(&s->disk_limits);
    vec_fini(&s->mounts);
    vec_fini(&s->devices);
    vec_fini(&s->rlimits);
    if (s->rootfs_fd > 2) close(s->rootfs_fd);
    if (s->ids.userns_fd > 2) close(s->ids.userns_fd);
    if (s->ids.lock_fd > 2) close(s->ids.lock_fd);
    if (s->shm_fd > 2) close(s->shm_fd);
    if (s->mqueue_fd > 2) close(s->mqueue_fd);
    if (s->join) sandbox_join_fini(s->join);
    free(s->join);
    memset(s, 0, sizeof *s);
    s->rootfs_fd = -1;
}

// --- reports -----------------------------------------------------------------------------------

static const char *const step_text[STEP_COUNT] = {
#define STEP_TEXT(name, text) [STEP_##name] = text,
    STEPS(STEP_TEXT)
#undef STEP_TEXT
};

static const char *elf_machine(unsigned m)
{
    static const struct {
        unsigned id;
        const char *name;
    } rows[] = {{EM_386, "386"}, {EM_X86_64, "amd64"}, {EM_ARM, "arm"}, {EM_AARCH64, "arm64"},
                {EM_PPC64, "ppc64le"}, {EM_S390, "s390x"}, {EM_RISCV, "riscv64"},
                {EM_MIPS, "mips"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].id == m) return rows[i].name;
    return "another machine";
}

// What the file's first bytes say about why it did not run.
static void exec_hint(const struct report *r, const char *prog, struct err *e)
{
    struct sv head = {r->head, r->head_n < sizeof r->head ? r->head_n : 0};
    if (sv_starts(head, "#!")) {
        struct sv rest = sv_from(head, 2), line = sv_trim(sv_cut(&rest, '\n'));
        if (line.n && line.p[line.n - 1] == '\r') line.n--;
        struct sv interp = sv_cut(&line, ' ');
        bool crlf = rest.p && memchr(head.p, '\r', head.n) != NULL;
        if (crlf)
            err_hint(e,
                     "'%s' has Windows line ends (CRLF), so its interpreter has a \\r in its name; "
                     "run dos2unix on it",
                     prog);
        else
            err_hint(e, "'%s' names the interpreter '%.*s' in its first line, which is not in the "
                        "image", prog, (int)interp.n, interp.p);
        return;
    }
    if (head.n >= 20 && memcmp(head.p, "\177ELF", 4) == 0) {
        unsigned machine = (unsigned char)head.p[18] | (unsigned)(unsigned char)head.p[19] << 8;
#if defined(__x86_64__)
        bool same = machine == EM_X86_64 || machine == EM_386;
#elif defined(__aarch64__)
        bool same = machine == EM_AARCH64;
#else
        bool same = true;
#endif
        if (!same)
            err_hint(e, "'%s' was built for %s, which this machine cannot run", prog,
                     elf_machine(machine));
        else
            err_hint(e,
                     "the dynamic loader that '%s' needs is not in the image (a glibc program in "
                     "a musl image, or the other way round)",
                     prog);
        return;
    }
    err_hint(e, "'%s' is neither an executable for this machine nor a script with a #! line", prog);
}

// Flags of ours that people put behind the image's name, where they go to the program.
static const char *const run_flags[] = {"-it",          "-ti",
                                        "-d",           "-p",
                                        "-v",           "-e",
                                        "-w",           "-u",
                                        "-i",           "-t",
                                        "--rm",         "--name",
                                        "--env",        "--env-file",
                                        "--volume",     "--mount",
                                        "--gpus",       "--network",
                                        "--entrypoint", "--workdir",
                                        "--user",       "--interactive",
                                        "--tty"};

static int exec_error(const struct sandbox_plan *p, const struct report *r, struct err *e)
{
    const char *prog = p->spec->args.p[0];
    if (r->code == ENOENT && !r->exists) {
        err_set(e, ERR_NO_PROGRAM, "cannot run '%s': %s", prog,
                strchr(prog, '/') ? "no such file in the container"
                                  : "not found in the container's PATH");
        e->sys = r->code;
        for (size_t i = 0; i < sizeof run_flags / sizeof *run_flags; i++)
            if (strcmp(prog, run_flags[i]) == 0)
                return err_hint(e, "'%s' is an option of dewar run: put it before the image", prog);
        if (strchr(prog, ' '))
            return err_hint(e,
                            "the whole text was taken as one program name: leave out the quotes, "
                            "or use sh -c '...'");
        return -1;
    }
    if (r->code == ENOENT) {
        err_set(e, ERR_NO_PROGRAM, "cannot run '%s': it exists, but its interpreter does not",
                prog);
        e->sys = r->code;
        exec_hint(r, prog, e);
        return -1;
    }
    if (r->code == EISDIR) {
        err_set(e, ERR_NOT_EXEC, "cannot run '%s': it is a directory", prog);
    } else if (r->code == EACCES) {
        err_set(e, ERR_NOT_EXEC, "cannot run '%s': permission denied (EACCES)", prog);
        err_hint(e, "make it executable: RUN chmod +x %s", prog);
    } else if (r->code == ENOEXEC) {
        err_set(e, ERR_NOT_EXEC, "cannot run '%s': exec format error (ENOEXEC)", prog);
        exec_hint(r, prog, e);
    } else {
        err_sys_code(e, r->code, "cannot run '%s'", prog);
        e->kind = ERR_NOT_EXEC;
        if (r->code == E2BIG)
            err_hint(e, "the arguments and the environment are too large together");
    }
    e->sys = r->code;
    return -1;
}

static const char *index_text(const struct sandbox_plan *p, const struct report *r, char buf[64])
{
    size_t i = r->index;
    const char *what = p->what ? p->what(p, r) : NULL;
    if (what) return what;
    switch ((int)r->step) {
    case STEP_SYSCTL:
        return i < p->sysctls.n ? p->sysctls.p[i].path : "";
    case STEP_TARGET:
    case STEP_TARGET_PROC:
    case STEP_ATTACH:
        return i < p->mounts.n ? p->mounts.p[i].target : "";
    case STEP_DEVICE:
        return i < p->devices.n ? p->devices.p[i].target : "";
    case STEP_WORKDIR:
    case STEP_WORKDIR_OUTSIDE:
        return p->workdir;
    case STEP_JOIN:
        return sandbox_join_name(r->index);
    case STEP_RLIMIT:
    case STEP_READBACK:
    case STEP_BOUNDING:
        snprintf(buf, 64, "%zu", i);
        return buf;
    default:
        return NULL;
    }
}

static const struct {
    int step, code;
    const char *hint;
} step_hints[] = {
    {STEP_RLIMIT, EPERM,
     "a limit can be lowered, but raised only up to the hard limit of the caller"},
    {STEP_ATTACH, ENOTDIR, "one side is a folder and the other a file"},
    {STEP_TARGET, ENOTDIR, "a part of the target's path is a file in the image"},
    {STEP_TARGET, EROFS, "the target lies in a read-only mount and does not exist there"},
    {STEP_TARGET_PROC, EPERM, "mounts over /proc or below it are refused: programs trust it"},
    {STEP_WORKDIR, ENOTDIR, "it is a file in the image"},
    {STEP_WORKDIR, EACCES, "the user of the container may not enter it"},
    {STEP_WORKDIR, ELOOP, "links of /proc are not followed there"},
    {STEP_MOUNT_PROC, ELOOP, "'/proc' in the image must be a folder, not a link"},
    {STEP_MOUNT_SYS, ELOOP, "'/sys' in the image must be a folder, not a link"},
    {STEP_MOUNT_DEV, ELOOP, "'/dev' in the image must be a folder, not a link"},
    {STEP_MOUNT_PROC, ENOTDIR, "'/proc' in the image must be a folder"},
    {STEP_MOUNT_SYS, ENOTDIR, "'/sys' in the image must be a folder"},
    {STEP_MOUNT_DEV, ENOTDIR, "'/dev' in the image must be a folder"},
    {STEP_SYSCTL, ENOENT, "this kernel has no such setting"},
    {STEP_SYSCTL, EINVAL, "the kernel does not accept this value"},
    {STEP_SECCOMP, EINVAL, "the kernel lacks seccomp filters, or the profile is not valid"},
};

int sandbox_error(const struct sandbox_plan *p, const struct report *r, struct err *e)
{
    if (r->step >= STEP_COUNT)
        return err_set(e, ERR_INTERNAL, "an unknown report from the container");
    if (r->step == STEP_EXEC) return exec_error(p, r, e);
    if (p->explain && p->explain(p, r, e) < 0)
        return err_wrap(e, "the %s did not start", p->guest ? "program" : "container");
    char buf[64];
    const char *what = index_text(p, r, buf);
    if (r->code == 0)
        err_set(e, ERR_INTERNAL, "%s: not as asked (%s)", step_text[r->step], what ? what : "");
    else if (what)
        err_sys_code(e, r->code, "%s '%s'", step_text[r->step], what);
    else
        err_sys_code(e, r->code, "%s", step_text[r->step]);
    for (size_t i = 0; i < sizeof step_hints / sizeof *step_hints; i++)
        if (step_hints[i].step == (int)r->step && step_hints[i].code == r->code)
            err_hint(e, "%s", step_hints[i].hint);
    return err_wrap(e, "the %s did not start", p->guest ? "program" : "container");
}

// One message; a descriptor that came with it goes to *out_fd. 0: end of file.
int sandbox_receive(int fd, struct report *r, int *out_fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec io = {r, sizeof *r};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    ssize_t n;
    // A child that ended with a byte of ours unread resets the socket: said once, before its report.
    do n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    if (n != (ssize_t)sizeof *r) return 0;
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
        memcpy(out_fd, CMSG_DATA(c), sizeof *out_fd);
    r->head[sizeof r->head - 1] = '\0';
    return 1;
}

static int listen_to(struct sandbox_plan *p, int fd, struct strv *stubs, struct sandbox *out,
                     struct err *e)
{
    struct report r;
    int got = -1, *out_pty = &out->pty_fd;
    while (sandbox_receive(fd, &r, &got)) {
        if (p->on_report && r.kind != REPORT_FAIL) {
            int rc = p->on_report(p, &r, &out->proc, take_fd(got), e);
            if (rc != 0) return rc < 0 ? -1 : 0;
            continue;
        }
        if (r.kind == REPORT_FAIL) return sandbox_error(p, &r, e);
        if (r.kind == REPORT_OWN) stubs = NULL; // the last that it makes
        if (r.kind == REPORT_STUB && r.head_n && stubs) strv_add(stubs, r.head);
        if (r.kind == REPORT_PTY && got >= 0 && *out_pty < 0) *out_pty = take_fd(got);
    }
    if (out->proc.fd >= 0) return 0;
    return err_set(e, ERR_INTERNAL, "the process that enters the container was killed");
}

// The child waits for one byte before it does anything in its new user namespace.
static int map_child(const struct sandbox_plan *p, pid_t pid, int fd, struct err *e)
{
    const struct idmap_side *uid = p->map_uid ? p->map_uid : &p->ids.uid;
    if (idmap_write(pid, uid, p->map_gid ? p->map_gid : &p->ids.gid, e) < 0)
        return -1;
    if (send(fd, "x", 1, MSG_NOSIGNAL) == 1) return 0;
    return err_sys(e, "begin the container's user namespace");
}

static int join_groups(struct sandbox_plan *p, pid_t pid, int fd, struct err *e)
{
    if (p->before_join && p->before_join(p, e) < 0) return -1;
    if (sandbox_cgroup_move(p->en, &p->cgroup, pid, e) < 0) return -1;
    send(fd, "x", 1, MSG_NOSIGNAL);  // where it has ended, its report says why
    return 0;
}

static void give_up(struct sandbox *s)
{
    struct err ignored;
    int status;
    if (s->pty_fd >= 0) close(take_fd(s->pty_fd));
    if (s->proc.fd < 0) return; // it never was
    proc_kill(&s->proc, SIGKILL);
    proc_wait(&s->proc, &status, &ignored);
}

static int no_child(struct err *e)
{
    err_sys(e, "make the container's namespaces");
    if (e->sys == ENOSPC) err_hint(e, "a limit in /proc/sys/user (max_*_namespaces) is reached");
    return -1;
}

int sandbox_launch(struct sandbox_plan *plan, struct strv *stubs, struct sandbox *out,
                   struct err *e)
{
    *out = (struct sandbox){.proc = PROC_NONE, .pty_fd = -1};
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return err_sys(e, "make a socket pair");
    own(fd) int mine = ends[0];
    plan->status_fd = ends[1];
    plan->peer_fd = mine;
    if (plan->join) {
        if (sandbox_join_fork(plan, &out->proc, e) < 0) return -1;
    } else {
        out->proc.pid = proc_fork(plan->clone_flags, &out->proc.fd);
        if (out->proc.pid == 0) sandbox_enter_run(plan);
        if (out->proc.pid < 0) return no_child(e);
    }
    close(take_fd(plan->status_fd));
    int rc = plan->own_userns && out->proc.fd >= 0 ? map_child(plan, out->proc.pid, mine, e) : 0;
    if (rc == 0 && plan->parent_joins && out->proc.fd >= 0)
        rc = join_groups(plan, out->proc.pid, mine, e);
    if (rc == 0) rc = listen_to(plan, mine, stubs, out, e);
    if (rc < 0) give_up(out);
    return rc;
}

static int too_little_memory(const struct sandbox_spec *s, struct err *e)
{
    own(str) struct str limit = {0};
    num_print_binary(s->memory, &limit);
    err_wrap(e, "the memory limit of %s is too small to start in", str_z(&limit));
    return err_hint(e, "give the container more: -m 32m");
}

int sandbox_start(struct engine *en, const struct sandbox_spec *spec,
                  const struct sandbox_stdio *io, struct strv *stubs, struct sandbox *out,
                  struct err *e)
{
    struct sandbox_plan p;
    *out = (struct sandbox){.proc = PROC_NONE, .pty_fd = -1};
    if (sandbox_plan_make(en, spec, io, &p, e) < 0) return -1;
    own(sandbox_plan) struct sandbox_plan plan = p;
    bool oom = false;
    int rc = sandbox_launch(&plan, stubs, out, e);
    if (rc == 0)
        snprintf(out->cgroup, sizeof out->cgroup, "%s", plan.cgroup.name);
    else
        sandbox_cgroup_remove(plan.cgroup.name, &oom);
    return oom ? too_little_memory(spec, e) : rc;
}

int sandbox_wait(struct sandbox *s, int *out_status, bool *out_oom, struct err *e)
{
    int status = 0;
    bool oom = false;
    int rc = proc_wait(&s->proc, &status, e);
    sandbox_cgroup_remove(s->cgroup, &oom);
    if (s->pty_fd >= 0) close(take_fd(s->pty_fd));
    if (rc < 0) return -1;
    *out_status = proc_exit_code(status);
    if (out_oom) *out_oom = oom;
    return 0;
}
