// SPDX-License-Identifier: Apache-2.0
#include "registry/task.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "base/clock.h"
#include "base/str.h"

#if defined(__SANITIZE_ADDRESS__)
#define TASK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TASK_ASAN 1
#endif
#endif
#ifdef TASK_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#define STACK ((size_t)1 << 20) // only touched pages count; unmapped below
#define GUARD ((size_t)64 << 10)

struct task {
    struct task_loop *loop;
    ucontext_t context;
    char *stack;
    void (*fn)(void *arg);
    void *arg;
    int64_t wake_ns;    // 0: not sleeping
    struct pollfd *fds; // of task_poll; NULL: not in it
    size_t fds_n;
    bool ended;
    struct task *next; // of all tasks of the loop
};

struct task_loop {
    ucontext_t context;
    struct task *current;
    struct task *all;
    struct task *entering;
#ifdef TASK_ASAN
    const void *main_stack;
    size_t main_size;
#endif
};

int task_loop_new(struct task_loop **out, struct err *e)
{
    (void)e;
    *out = mem_alloc(sizeof **out);
    return 0;
}

static void task_free(struct task *t)
{
    munmap(t->stack, STACK + GUARD);
    free(t);
}

void task_loop_free(struct task_loop *l)
{
    if (!l) return;
    while (l->all) {
        struct task *t = l->all;
        l->all = t->next;
        task_free(t);
    }
    free(l);
}

// The sanitizer must be told that the stack changes, or it takes the other one for damage.
static void leave_task(struct task_loop *l, struct task *t, bool for_good)
{
#ifdef TASK_ASAN
    void *fake = NULL;
    __sanitizer_start_switch_fiber(for_good ? NULL : &fake, l->main_stack, l->main_size);
#endif
    (void)for_good;
    swapcontext(&t->context, &l->context);
#ifdef TASK_ASAN
    __sanitizer_finish_switch_fiber(fake, &l->main_stack, &l->main_size);
#endif
}

// makecontext passes ints only; the loop is handed over in two halves.
static void enter(unsigned low, unsigned high)
{
    struct task_loop *l = (struct task_loop *)(uintptr_t)((uint64_t)high << 32 | low);
    struct task *t = l->entering;
#ifdef TASK_ASAN
    __sanitizer_finish_switch_fiber(NULL, &l->main_stack, &l->main_size);
#endif
    t->fn(t->arg);
    t->ended = true;
    leave_task(l, t, true);
}

static void run(struct task_loop *l, struct task *t)
{
    assert(!l->current);
    l->current = t;
#ifdef TASK_ASAN
    void *fake = NULL;
    __sanitizer_start_switch_fiber(&fake, t->stack + GUARD, STACK);
#endif
    swapcontext(&l->context, &t->context);
#ifdef TASK_ASAN
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
    l->current = NULL;
    if (!t->ended) return;
    struct task **at = &l->all;
    while (*at != t) at = &(*at)->next;
    *at = t->next;
    task_free(t);
}

int task_start(struct task_loop *l, void (*fn)(void *arg), void *arg, struct err *e)
{
    char *stack = mmap(NULL, STACK + GUARD, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) return err_sys(e, "make a stack for a task");
    struct task *t = mem_alloc(sizeof *t);
    *t = (struct task){.loop = l, .stack = stack, .fn = fn, .arg = arg};
    mprotect(stack, GUARD, PROT_NONE);
    getcontext(&t->context);
    t->context.uc_stack.ss_sp = stack + GUARD;
    t->context.uc_stack.ss_size = STACK;
    t->context.uc_link = NULL; // enter never returns
    uint64_t p = (uint64_t)(uintptr_t)l;
    makecontext(&t->context, (void (*)(void))(uintptr_t)enter, 2, (unsigned)p, (unsigned)(p >> 32));
    t->next = l->all;
    l->all = t;
    l->entering = t;
    run(l, t);
    return 0;
}

struct task *task_self(struct task_loop *l)
{
    return l->current;
}

void task_wait(struct task_loop *l)
{
    assert(l->current);
    leave_task(l, l->current, false);
}

void task_sleep(struct task_loop *l, int64_t ns)
{
    struct task *t = l->current;
    assert(t);
    t->wake_ns = clock_mono_ns() + (ns > 0 ? ns : 0) + 1;
    leave_task(l, t, false);
}

int task_poll(struct task_loop *l, struct pollfd *fds, size_t n, int64_t ms)
{
    struct task *t = l ? l->current : NULL;
    if (!t) return poll(fds, (nfds_t)n, ms > INT_MAX ? INT_MAX : (int)ms);
    t->fds = fds;
    t->fds_n = n;
    task_sleep(l, ms * 1000000);
    t->fds = NULL;
    return poll(fds, (nfds_t)n, 0);
}

size_t task_poll_list(const struct task_loop *l, struct pollfd *out, size_t max, bool *out_more)
{
    size_t n = 0;
    *out_more = false;
    for (const struct task *t = l->all; t; t = t->next)
        for (size_t i = 0; t->fds && i < t->fds_n; i++) {
            if (t->fds[i].fd < 0) continue;
            if (n == max)
                *out_more = true;
            else
                out[n++] = t->fds[i];
        }
    return n;
}

void task_wake_ready(struct task_loop *l)
{
    struct task *t = l->all;
    while (t) {
        // A task that runs may end, or start others: begin again after each.
        if (!t->fds || poll(t->fds, (nfds_t)t->fds_n, 0) <= 0) {
            t = t->next;
            continue;
        }
        t->fds = NULL;
        t->wake_ns = 0;
        run(l, t);
        t = l->all;
    }
}

void task_wake_soon(struct task *t)
{
    t->wake_ns = 1;
}

void task_wake(struct task_loop *l, struct task *t)
{
    run(l, t);
}

int task_wake_due(struct task_loop *l, int max_ms)
{
    for (;;) {
        int64_t now = clock_mono_ns(), first = INT64_MAX;
        struct task *due = NULL;
        for (struct task *t = l->all; t; t = t->next)
            if (t->wake_ns && t->wake_ns < first) first = t->wake_ns, due = t;
        if (!due) return max_ms;
        if (first > now) {
            int64_t ms = (first - now) / 1000000 + 1;
            return ms < max_ms ? (int)ms : max_ms;
        }
        due->wake_ns = 0;
        run(l, due);
    }
}
