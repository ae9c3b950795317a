// SPDX-License-Identifier: Apache-2.0
// What the child's walks share: one for a container from an image (enter.c), one for a program that
// joins a container (join.c), one for an OCI bundle (oci_enter.c). All of it runs between clone and
// exec: raw system calls on prepared data, no allocation, no stdio, no locks. A step that fails
// says so on the status socket and ends the child.
#pragma once

#include "runtime/plan.h"

_Noreturn void enter_fail_with(const struct plan *p, enum step step, uint32_t index,
                               struct report *r, int code);
_Noreturn void enter_fail(const struct plan *p, enum step step, uint32_t index);  // uses errno
void enter_need(const struct plan *p, bool ok, enum step step);

// openat2 below `root` (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS and `resolve`): -1 and errno.
int enter_open_in(int root, const char *path, int flags, uint64_t resolve);
// The same below the plan's root, O_PATH; makes what is missing, the last part as `dir` says.
int enter_open_or_make(const struct plan *p, const char *path, bool dir);
int enter_make_last(const struct plan *p, const char *path, bool dir);
bool enter_covers_proc(const char *target, int at);  // a mount there would hide a part of proc

int enter_attach(int tree, int to, const char *name);  // name "": on `to` itself
int enter_clone_of(int dirfd, const char *name);
int enter_new_fs(const char *type, uint64_t attr);

// The parts, in the order in which every walk takes them.
void enter_begin(const struct plan *p);  // ids of a new user namespace, session, control groups
void enter_wait(const struct plan *p);   // for one byte from the parent
void enter_follow_parent(const struct plan *p);
void enter_workdir_at(const struct plan *p, int at);  // closes `at`
// Makes `master`'s other end the terminal and sends master to the parent. dev: where to put console
// as well, -1: nowhere.
void enter_pty(const struct plan *p, int master, int dev);
int enter_ptmx(int root);  // the container's own, checked to be one; -1 and errno
void enter_sysctls(const struct plan *p, int proc);
void enter_send_fd(const struct plan *p, enum report_kind kind, int fd, enum step step);
void enter_limit(const struct plan *p);
void enter_label(const struct plan *p, int proc);
void enter_restrict(const struct plan *p);
void enter_look(const struct plan *p);  // reports now what enter_execute would not find
_Noreturn void enter_execute(const struct plan *p);

// The whole walk for a container from an image.
_Noreturn void enter_run(const struct plan *p);
