// SPDX-License-Identifier: Apache-2.0
#include "store/flush.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"

#define WORTH_IT ((uint64_t)64 << 20)
#define PAUSE_NS (500L * 1000 * 1000)

// On a descriptor of its own: an error in writing is told once to each open file, and the sync that
// counts must hear of it.
static int flush(void *arg, struct err *e)
{
    const struct engine *en = arg;
    own(fd) int fd = fs_open_dir(en->store_fd, ".", e);
    if (fd < 0) return -1;
    do nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    while (syncfs(fd) == 0);
    return 0;
}

int store_flush_start(struct engine *en, uint64_t bytes, struct proc_worker *out, struct err *e)
{
    *out = (struct proc_worker){.proc = PROC_NONE, .err_fd = -1};
    return bytes < WORTH_IT ? 0 : proc_worker_start(flush, en, out, e);
}

void store_flush_stop(struct proc_worker *w)
{
    struct err ignored;
    if (w->proc.fd < 0) return;
    proc_kill(&w->proc, SIGKILL);
    proc_worker_wait(w, &ignored);
}
