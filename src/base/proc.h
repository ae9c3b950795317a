// SPDX-License-Identifier: Apache-2.0
// Processes: the one place that starts them. Waiting and killing go by pidfd. Children start with
// default signal handlers and an empty mask. We have no threads, so a forked worker may use the
// whole C library.
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct proc {
    pid_t pid;  // for messages and newuidmap only
    int fd;     // pidfd
};
#define PROC_NONE ((struct proc){0, -1})

// As fork(2) with clone3 flags (namespaces): 0 in the child, pid in the parent, -1 with errno.
pid_t proc_fork(uint64_t clone_flags, int *out_pidfd);

// Who a program sees itself as: see proc_spec.as.
struct proc_ids {
    uid_t uid;
    gid_t gid;
};

struct proc_spec {
    const char *const *argv;  // argv[0] is an absolute path unless `search_path`
    const char *const *env;   // NULL: a fixed minimal one (PATH, LANG=C.UTF-8)
    bool search_path;         // look in the fixed PATH of root-owned folders, never the caller's
    int stdin_fd;             // 0 is inherited from us; PROC_NULL is /dev/null
    int stdout_fd;            // 0 here means "inherit"
    int stderr_fd;
    int keep_fd;              // one more descriptor that stays open at the same number; 0: none
    // Inside a user namespace where we are id 0: starts it in one of its own in which our id is this
    // one, so that it has the caller's ids again and no rights beyond them. NULL: as we are.
    const struct proc_ids *as;
};
#define PROC_NULL (-2)

int proc_start(const struct proc_spec *spec, struct proc *out, struct err *e);
int proc_wait(struct proc *p, int *out_status, struct err *e);  // wait status; closes fd
void proc_kill(struct proc *p, int sig);
// start + wait + error when it did not exit 0. `what` names it for the error.
int proc_run(const struct proc_spec *spec, const char *what, struct err *e);
// Runs and collects stdout (at most max bytes).
int proc_read(const struct proc_spec *spec, size_t max, struct str *out, int *out_status,
              struct err *e);
// Gives back what this process has in memory and does not need while it sleeps: free parts of the
// heap, and the unchanged pages of programs and libraries, which come back from the page cache.
void proc_shrink(void);
int proc_exit_code(int wait_status);  // 128+n for signals

// A worker: forks, runs fn in the child, and its error (whole struct err) comes back through a
// pipe. The child dies with us. proc_worker_wait returns fn's result, with *e filled on -1.
struct proc_worker {
    struct proc proc;
    int err_fd;
};
int proc_worker_start(int (*fn)(void *arg, struct err *e), void *arg, struct proc_worker *out,
                      struct err *e);
int proc_worker_wait(struct proc_worker *w, struct err *e);

void proc_die_with_parent(pid_t expected_parent);  // PR_SET_PDEATHSIG KILL, race checked
int proc_start_time(pid_t pid, uint64_t *out);     // field 22 of /proc/PID/stat
