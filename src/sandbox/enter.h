// SPDX-License-Identifier: Apache-2.0
// What the child's walks share: one for a container from an image (enter.c), one for a program that
// joins a container (join.c), one for an OCI bundle (bundle/enter.c). enter_path.c and enter_program.c are
// what all of them take. All of it runs between clone
// and exec: raw system calls on prepared data, no allocation, no stdio, no locks. A step that fails
// says so on the status socket and ends the child.
#pragma once

#include "sandbox/plan.h"

_Noreturn void sandbox_enter_fail_with(const struct sandbox_plan *p, enum step step, uint32_t index,
                                       struct report *r, int code);
_Noreturn void sandbox_enter_fail(const struct sandbox_plan *p, enum step step,
                                  uint32_t index); // uses errno
void sandbox_enter_need(const struct sandbox_plan *p, bool ok, enum step step);

// openat2 below `root` (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS and `resolve`): -1 and errno.
int sandbox_enter_open_in(int root, const char *path, int flags, uint64_t resolve);
// The same below the plan's root, O_PATH; makes what is missing, the last part as `dir` says.
int sandbox_enter_open_or_make(const struct sandbox_plan *p, const char *path, bool dir);
int sandbox_enter_make_last(const struct sandbox_plan *p, const char *path, bool dir);
bool sandbox_enter_covers_proc(const char *target,
                               int at); // a mount there would hide a part of proc

int sandbox_enter_attach(int tree, int to, const char *name); // name "": on `to` itself
int sandbox_enter_clone_of(int dirfd, const char *name);
int sandbox_enter_new_fs(const char *type, uint64_t attr);

// The parts, in the order in which every walk takes them.
void sandbox_enter_begin(
    const struct sandbox_plan *p); // ids of a new user namespace, session, control groups
void sandbox_enter_wait(const struct sandbox_plan *p); // for one byte from the parent
void sandbox_enter_follow_parent(const struct sandbox_plan *p);
void sandbox_enter_workdir_at(const struct sandbox_plan *p, int at); // closes `at`
// Makes `master`'s other end the terminal and sends master to the parent. dev: where to put console
// as well, -1: nowhere.
void sandbox_enter_pty(const struct sandbox_plan *p, int master, int dev);
// The terminal, or the descriptors of the plan.
void sandbox_enter_stdio(const struct sandbox_plan *p, int dev);
int sandbox_enter_ptmx(int root); // the container's own, checked to be one; -1 and errno
void sandbox_enter_sysctls(const struct sandbox_plan *p, int proc);
void sandbox_enter_send_fd(const struct sandbox_plan *p, enum report_kind kind, int fd,
                           enum step step);
void sandbox_enter_limit(const struct sandbox_plan *p);
void sandbox_enter_attributes(const struct sandbox_plan *p);
void sandbox_enter_label(const struct sandbox_plan *p, int proc);
void sandbox_enter_close(const struct sandbox_plan *p); // at exec: what is not the program's
void sandbox_enter_restrict(const struct sandbox_plan *p);
void sandbox_enter_look(
    const struct sandbox_plan *p); // reports now what sandbox_enter_execute would not find
_Noreturn void sandbox_enter_execute(const struct sandbox_plan *p);

// The whole walk for a container from an image.
_Noreturn void sandbox_enter_run(const struct sandbox_plan *p);
