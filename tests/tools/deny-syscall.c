// SPDX-License-Identifier: Apache-2.0
// Makes one chosen system call of a command, or of any process that it starts, go wrong: fail with
// an errno, or be the last thing that the process or the whole tree does. Error paths and crash
// safety are tested with it from outside, on the very program that is installed.
//
//     deny-syscall --list FILE [--all] -- command...
//     deny-syscall --at NAME:N [--errno ENOSPC [--sticky] | --kill tree|self] -- command...
//     either with --leave: goes when the command ends, and what it started lives on untraced
//
// --list writes one line `NAME:N` for each call that changes something (--all: for each call), in
// the order seen: N counts the calls of that name over the whole tree. --at stops at the entry of
// that very call. With --errno the call is not made and returns the error (--sticky: so does every
// later one of that name); with --kill SIGKILL comes before it is made. The status is the command's
// own, 128+signal when it was killed, 99 when the point was never reached although the command
// ended well, 98 when we ourselves fail.
//
// It follows with ptrace. A program that gains privileges on exec (newuidmap) keeps them only if we
// are root.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#if !defined(__x86_64__)
int main(void)
{
    fprintf(stderr, "deny-syscall: knows only x86-64\n");
    return 98;
}
#else

// The calls that change what others see, or without which nothing goes on. `quiet` calls are listed
// only with --all.
static const struct call {
    const char *name;
    long nr;
    bool quiet;
} calls[] = {
#define C(n) {#n, SYS_##n, false}
#define Q(n) {#n, SYS_##n, true}
    C(open), C(openat), C(openat2), C(creat), C(write), C(writev), C(pwrite64), C(copy_file_range),
    C(sendfile), C(splice), C(rename), C(renameat), C(renameat2), C(link), C(linkat), C(symlink),
    C(symlinkat), C(unlink), C(unlinkat), C(rmdir), C(mkdir), C(mkdirat), C(mknod), C(mknodat),
    C(truncate), C(ftruncate), C(fallocate), C(fsync), C(fdatasync), C(syncfs), C(sync), C(chmod),
    C(fchmod), C(fchmodat), C(chown), C(fchown), C(lchown), C(fchownat), C(utimensat), C(setxattr),
    C(lsetxattr), C(fsetxattr), C(fremovexattr), C(mount), C(umount2), C(fsopen), C(fsconfig),
    C(fsmount), C(fspick), C(open_tree), C(move_mount), C(mount_setattr), C(pivot_root), C(chroot),
    C(clone), C(clone3), C(fork), C(vfork), C(execve), C(execveat), C(unshare), C(setns), C(flock),
    C(fcntl), C(ioctl), C(memfd_create), C(pipe2), C(socket), C(bind), C(connect), C(sendmsg),
    C(sethostname), C(seccomp), C(capset), C(setgroups), C(setresuid), C(setresgid), C(prlimit64),
    C(setsid), C(inotify_add_watch), C(io_uring_setup), C(io_uring_enter),
    Q(read), Q(pread64), Q(close), Q(fstat), Q(newfstatat), Q(statx), Q(lseek), Q(mmap), Q(munmap),
    Q(mprotect), Q(brk), Q(getdents64), Q(readlinkat), Q(poll), Q(ppoll), Q(waitid), Q(wait4),
    Q(getxattr), Q(fgetxattr), Q(fchdir), Q(chdir), Q(dup2), Q(dup3), Q(prctl), Q(fstatfs), Q(statfs),
    Q(recvmsg), Q(epoll_create1), Q(epoll_ctl), Q(signalfd4), Q(timerfd_create), Q(eventfd2),
    Q(getrandom), Q(pidfd_send_signal), Q(kill), Q(close_range), Q(umask), Q(fadvise64),
};
enum { CALLS = sizeof calls / sizeof *calls, TASKS = 4096 };

static const struct {
    const char *name;
    int number;
} errnos[] = {
    {"ENOSPC", ENOSPC}, {"EIO", EIO},       {"EMFILE", EMFILE}, {"ENOMEM", ENOMEM},
    {"EINTR", EINTR},   {"EDQUOT", EDQUOT}, {"EAGAIN", EAGAIN}, {"EROFS", EROFS},
    {"EPERM", EPERM},   {"EACCES", EACCES}, {"ENOSYS", ENOSYS}, {"EINVAL", EINVAL},
    {"EXDEV", EXDEV},   {"EBUSY", EBUSY},   {"ENOENT", ENOENT}, {"EOPNOTSUPP", EOPNOTSUPP},
};

static struct task {
    pid_t tid;
    bool inside;  // between the entry and the exit of a call
    bool deny;    // the call now inside is to return the error
} tasks[TASKS];
static size_t task_count;
static uint64_t seen[CALLS];

static struct {
    FILE *list;
    bool all, sticky, kill_tree, kill_self, leave;
    int error;
    size_t at_call;
    uint64_t at_n;
} want;
static bool reached;
static bool leaving;  // the command has ended: whoever stops next is let go

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("deny-syscall: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(98);
}

static struct task *task_of(pid_t tid)
{
    for (size_t i = 0; i < task_count; i++)
        if (tasks[i].tid == tid) return &tasks[i];
    if (task_count == TASKS) die("over %d tasks at once", TASKS);
    tasks[task_count] = (struct task){.tid = tid};
    return &tasks[task_count++];
}

static void task_gone(pid_t tid)
{
    for (size_t i = 0; i < task_count; i++) {
        if (tasks[i].tid != tid) continue;
        tasks[i] = tasks[--task_count];
        return;
    }
}

static void kill_tree(void)
{
    for (size_t i = 0; i < task_count; i++) kill(tasks[i].tid, SIGKILL);
}

// A file opened to be read changes nothing.
static bool is_quiet(size_t call, const uint64_t args[6])
{
    uint64_t writing = O_CREAT | O_WRONLY | O_RDWR;
    if (calls[call].nr == SYS_openat) return (args[2] & writing) == 0;
    if (calls[call].nr == SYS_open) return (args[1] & writing) == 0;
    return calls[call].quiet;
}

// Is this the call that we came for?
static bool is_point(size_t call, const uint64_t args[6])
{
    seen[call]++;
    if (want.list) {
        if (want.all || !is_quiet(call, args))
            fprintf(want.list, "%s:%llu\n", calls[call].name, (unsigned long long)seen[call]);
        return false;
    }
    if (call != want.at_call) return false;
    return seen[call] == want.at_n || (want.sticky && seen[call] > want.at_n);
}

static void at_entry(struct task *t)
{
    struct __ptrace_syscall_info info;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, t->tid, sizeof info, &info) <= 0) return;
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY) return;
    t->inside = true;
    uint64_t args[6];
    for (size_t i = 0; i < 6; i++) args[i] = info.entry.args[i];
    size_t call = 0;
    while (call < CALLS && (uint64_t)calls[call].nr != info.entry.nr) call++;
    if (call == CALLS || !is_point(call, args)) return;
    reached = true;
    if (want.kill_tree) {
        kill_tree();
    } else if (want.kill_self) {
        kill(t->tid, SIGKILL);
    } else {
        // No call has the number -1: the kernel makes none, and the exit stop sets what it returns.
        ptrace(PTRACE_POKEUSER, t->tid, offsetof(struct user_regs_struct, orig_rax), -1L);
        t->deny = true;
    }
}

static void at_exit(struct task *t)
{
    t->inside = false;
    if (!t->deny) return;
    t->deny = false;
    ptrace(PTRACE_POKEUSER, t->tid, offsetof(struct user_regs_struct, rax), -(long)want.error);
}

// One stop of one task; says which signal goes on with it.
static void at_stop(pid_t tid, int status)
{
    struct task *t = task_of(tid);
    int sig = WSTOPSIG(status), event = status >> 16;
    if (sig == (SIGTRAP | 0x80)) {
        if (t->inside) at_exit(t);
        else at_entry(t);
        sig = 0;
    } else if (event == PTRACE_EVENT_STOP) {
        if (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU) {
            ptrace(PTRACE_LISTEN, tid, 0, 0);
            return;
        }
        sig = 0;
    } else if (event != 0) {
        sig = 0;  // fork, clone, exec: the new task reports by itself
    }
    if (leaving && !t->deny) {
        ptrace(PTRACE_DETACH, tid, 0, (long)sig);
        task_gone(tid);
        return;
    }
    ptrace(PTRACE_SYSCALL, tid, 0, (long)sig);
}

static void leave(void)
{
    leaving = true;
    for (size_t i = 0; i < task_count; i++) ptrace(PTRACE_INTERRUPT, tasks[i].tid, 0, 0);
}

static pid_t start(char **argv)
{
    pid_t pid = fork();
    if (pid < 0) die("fork: %s", strerror(errno));
    if (pid == 0) {
        raise(SIGSTOP);
        execvp(argv[0], argv);
        fprintf(stderr, "deny-syscall: cannot start '%s': %s\n", argv[0], strerror(errno));
        _exit(98);
    }
    int status;
    if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status)) die("the child is gone");
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                   PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SEIZE, pid, 0, options) != 0) die("ptrace: %s", strerror(errno));
    // Stopped when seized: leave that stop into a trap of ours, from where calls are seen.
    ptrace(PTRACE_INTERRUPT, pid, 0, 0);
    kill(pid, SIGCONT);
    task_of(pid);
    return pid;
}

static int follow(pid_t first)
{
    int result = 98;
    for (;;) {
        int status;
        pid_t tid = waitpid(-1, &status, __WALL);
        if (tid < 0) {
            if (errno == EINTR) continue;
            break;  // nobody is left
        }
        if (WIFSTOPPED(status)) {
            at_stop(tid, status);
            continue;
        }
        task_gone(tid);
        if (tid != first) continue;
        result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        if (want.leave) leave();
    }
    return result;
}

static void parse_at(const char *text)
{
    const char *colon = strchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    for (size_t i = 0; i < CALLS; i++) {
        if (strlen(calls[i].name) != len || strncmp(calls[i].name, text, len) != 0) continue;
        char *end;
        want.at_call = i;
        want.at_n = strtoull(colon + 1, &end, 10);
        if (*end || want.at_n == 0) break;
        return;
    }
    die("--at wants NAME:N with a call that --list --all names, not '%s'", text);
}

static int parse_errno(const char *text)
{
    for (size_t i = 0; i < sizeof errnos / sizeof *errnos; i++)
        if (!strcmp(errnos[i].name, text)) return errnos[i].number;
    die("unknown errno '%s'", text);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"list", required_argument, NULL, 'l'},  {"all", no_argument, NULL, 'a'},
        {"at", required_argument, NULL, 'p'},    {"errno", required_argument, NULL, 'e'},
        {"sticky", no_argument, NULL, 's'},      {"kill", required_argument, NULL, 'k'},
        {"leave", no_argument, NULL, 'L'},       {NULL, 0, NULL, 0},
    };
    for (int c; (c = getopt_long(argc, argv, "+", options, NULL)) != -1;) {
        if (c == 'l' && !(want.list = fopen(optarg, "we"))) die("%s: %s", optarg, strerror(errno));
        if (c == 'a') want.all = true;
        if (c == 'p') parse_at(optarg);
        if (c == 'e') want.error = parse_errno(optarg);
        if (c == 's') want.sticky = true;
        if (c == 'L') want.leave = true;
        if (c == 'k') want.kill_tree = !strcmp(optarg, "tree"), want.kill_self = !want.kill_tree;
        if (c == '?') return 98;
    }
    bool harm = want.error || want.kill_tree || want.kill_self;
    if (optind == argc || (want.list != NULL) == (want.at_n != 0) || harm == (want.list != NULL))
        die("usage: deny-syscall --list FILE | --at NAME:N --errno E|--kill tree|self -- command");
    int status = follow(start(argv + optind));
    if (want.list && fclose(want.list) != 0) die("writing the list: %s", strerror(errno));
    if (want.at_n && !reached && status == 0) return 99;
    return status;
}
#endif
