// SPDX-License-Identifier: Apache-2.0
// Joining namespaces: a process that stands in for a container's init, and programs sent into it.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/own.h"
#include "harness.h"
#include "sandbox/join.h"
#include "sandbox/sandbox.h"

static struct engine engine = {.store_fd = -1, .run_fd = -1, .ids = {.mode = IDMAP_ROOT}};

static void put(pid_t pid, const char *file, const char *text)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

// Waits for ids, takes a name, gets a /proc of its own, then sleeps until it is killed.
static _Noreturn void stand_in(int go, int ready)
{
    char c;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || read(go, &c, 1) != 1) _exit(1);
    int rc = sethostname("inside", 6);
    rc |= mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
    rc |= mount("proc", "/proc", "proc", 0, NULL);
    if (rc != 0) _exit(2);
    if (write(ready, "x", 1) != 1) _exit(3);
    for (;;) pause();
}

static struct proc start_target(void)
{
    int go[2], ready[2];
    char c;
    struct proc p = PROC_NONE;
    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    uint64_t user = getuid() == 0 ? 0 : CLONE_NEWUSER;
    p.pid = proc_fork(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | user, &p.fd);
    if (p.pid == 0) stand_in(go[0], ready[1]);
    assert_true(p.pid > 0);
    if (user) {
        char text[32];
        put(p.pid, "setgroups", "deny");
        snprintf(text, sizeof text, "0 %u 1", getuid());
        put(p.pid, "uid_map", text);
        snprintf(text, sizeof text, "0 %u 1", getgid());
        put(p.pid, "gid_map", text);
    }
    assert_int_equal(write(go[1], "x", 1), 1);
    close(ready[1]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(go[0]);
    close(go[1]);
    close(ready[0]);
    return p;
}

static void end_target(struct proc *p)
{
    struct err e;
    int status;
    proc_kill(p, SIGKILL);
    ASSERT_OK(proc_wait(p, &status, &e));
}

// Runs `script` in the target; what it prints goes to `out`.
static int run_in(const struct proc *target, const char *script, struct sandbox_spec *s,
                  struct str *out, struct err *e)
{
    int ends[2], status = -1;
    strv_add(&s->args, "/bin/sh");
    strv_add(&s->args, "-c");
    strv_add(&s->args, script);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const struct sandbox_join_options j = {.pid = target->pid, .pidfd = target->fd, .spec = s};
    const struct sandbox_stdio io = {-1, ends[1], 2};
    struct sandbox box;
    int rc = sandbox_join_start(&engine, &j, &io, &box, e);
    close(ends[1]);
    if (rc == 0) assert_int_equal(fs_read_fd(ends[0], 65536, out, e), 0);
    close(ends[0]);
    if (rc == 0)
        assert_int_equal(sandbox_wait(&box, &status, NULL, e), 0);
    else
        print_message("# %s\n", err_cause(e));
    return rc < 0 ? -1 : status;
}

#define RUN(script, spec)                                                                          \
    str_clear(&out);                                                                               \
    assert_int_equal(run_in(&target, script, spec, &out, &e), 0)

static void a_program_is_in_the_namespaces_of_the_container(void **state)
{
    (void)state;
    struct err e;
    own(str) struct str out = {0};
    struct proc target = start_target();
    own(sandbox_spec) struct sandbox_spec s = {.rootfs_fd = -1, .workdir = str_dup("/tmp")};
    RUN("hostname; pwd; readlink /proc/self/fd/3; id -u; readlink /proc/self/ns/pid", &s);
    char path[64], want[128] = "inside\n/tmp\n0\n";
    snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)target.pid);
    size_t n = strlen(want);
    ssize_t got = readlink(path, want + n, sizeof want - n - 2);
    assert_true(got > 0);
    want[n + (size_t)got] = '\n';
    assert_string_equal(out.p, want);
    end_target(&target);
}

static void it_has_only_the_capabilities_that_were_planned(void **state)
{
    (void)state;
    struct err e;
    own(str) struct str out = {0};
    struct proc target = start_target();
    own(sandbox_spec) struct sandbox_spec s = {.rootfs_fd = -1, .no_new_privs = true};
    strv_add(&s.cap_drop, "ALL");
    strv_add(&s.cap_add, "KILL");
    RUN("grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status", &s);
    assert_non_null(strstr(out.p, "CapInh:\t0000000000000000"));
    assert_non_null(strstr(out.p, "CapPrm:\t0000000000000020"));
    assert_non_null(strstr(out.p, "CapBnd:\t0000000000000020"));
    assert_non_null(strstr(out.p, "NoNewPrivs:\t1"));
    assert_non_null(strstr(out.p, "Seccomp:\t2"));
    end_target(&target);
}

static void a_missing_program_or_folder_is_told(void **state)
{
    (void)state;
    struct err e;
    struct proc target = start_target();
    own(sandbox_spec) struct sandbox_spec s = {.rootfs_fd = -1}, t = {.rootfs_fd = -1};
    strv_add(&s.args, "no-such-program");
    strv_add(&t.args, "true");
    t.workdir = str_dup("/no/such");
    struct sandbox_join_options j = {.pid = target.pid, .pidfd = target.fd, .spec = &s};
    const struct sandbox_stdio io = {-1, -1, -1};
    struct sandbox box;
    ASSERT_FAILS(sandbox_join_start(&engine, &j, &io, &box, &e),
                 "not found in the container's PATH");
    j.spec = &t;
    ASSERT_FAILS(sandbox_join_start(&engine, &j, &io, &box, &e), "enter the working directory");
    end_target(&target);
}

static void a_container_that_has_ended_cannot_be_joined(void **state)
{
    (void)state;
    struct err e;
    struct proc target = start_target();
    own(sandbox_spec) struct sandbox_spec s = {.rootfs_fd = -1};
    strv_add(&s.args, "true");
    int pidfd = fcntl(target.fd, F_DUPFD_CLOEXEC, 3);
    pid_t pid = target.pid;
    end_target(&target);
    const struct sandbox_join_options j = {.pid = pid, .pidfd = pidfd, .spec = &s};
    const struct sandbox_stdio io = {-1, -1, -1};
    struct sandbox box;
    assert_int_equal(sandbox_join_start(&engine, &j, &io, &box, &e), -1);
    // A successor with the same number is not taken for it either.
    const struct sandbox_join_options wrong = {.pid = getpid(), .pidfd = pidfd, .spec = &s};
    ASSERT_FAILS(sandbox_join_start(&engine, &wrong, &io, &box, &e), "has ended");
    close(pidfd);
}

static void a_path_must_be_a_namespace_of_its_kind(void **state)
{
    (void)state;
    struct err e;
    own(sandbox_join) struct sandbox_join j = JOIN_NONE;
    ASSERT_OK(sandbox_join_open(&j, JOIN_NET, "/proc/self/ns/net", &e));
    assert_true(j.fd[JOIN_NET] > 2);
    ASSERT_FAILS(sandbox_join_open(&j, JOIN_IPC, "/proc/self/ns/net", &e), "is no ipc namespace");
    ASSERT_FAILS(sandbox_join_open(&j, JOIN_IPC, "/etc/passwd", &e), "is no ipc namespace");
    ASSERT_FAILS(sandbox_join_open(&j, JOIN_IPC, "/no/such", &e), "opening the ipc namespace");
}

RUN_TESTS("sandbox/join", TEST(a_program_is_in_the_namespaces_of_the_container),
          TEST(it_has_only_the_capabilities_that_were_planned),
          TEST(a_missing_program_or_folder_is_told),
          TEST(a_container_that_has_ended_cannot_be_joined),
          TEST(a_path_must_be_a_namespace_of_its_kind))
