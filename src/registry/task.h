// SPDX-License-Identifier: Apache-2.0
// Straight code that waits. An upload is a dozen HTTP exchanges with retries and new tokens in
// between; written as callbacks nobody could read it. So each request runs on a small stack of its
// own and gives the processor back to the one poll loop where it waits: no threads, and only one
// task runs at any time.
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct task;
struct task_loop;

int task_loop_new(struct task_loop **out, struct err *e);
void task_loop_free(struct task_loop *l); // tasks that have not ended are dropped as they are
// Runs fn(arg) until it waits for the first time, or ends.
int task_start(struct task_loop *l, void (*fn)(void *arg), void *arg, struct err *e);
// --- inside a task
struct task *task_self(struct task_loop *l); // NULL outside
void task_wait(struct task_loop *l);         // until task_wake
void task_sleep(struct task_loop *l, int64_t ns);
// Until one of the descriptors has something (its revents say what), or ms have passed. l NULL: not
// in a task, it simply waits. As poll(2).
int task_poll(struct task_loop *l, struct pollfd *fds, size_t n, int64_t ms);
void task_wake_soon(struct task *t); // another one that waits; it runs when this one waits
// --- outside
void task_wake(struct task_loop *l, struct task *t);
// Wakes the sleepers whose time has come; milliseconds until the next one, at most `max_ms`.
int task_wake_due(struct task_loop *l, int max_ms);
// What tasks wait for in task_poll: at most `max` descriptors, those beyond are looked at each
// TASK_LOOK_MS. task_wake_ready wakes the tasks whose descriptors have something.
#define TASK_LOOK_MS 50
size_t task_poll_list(const struct task_loop *l, struct pollfd *out, size_t max, bool *out_more);
void task_wake_ready(struct task_loop *l);
