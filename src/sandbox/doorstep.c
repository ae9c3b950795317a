// SPDX-License-Identifier: Apache-2.0
#include "sandbox/doorstep.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"
#include "doorstep_program.h"
#include "sandbox/plan.h"
#include "sandbox/sealed.h"

// Readable by nobody who lacks the capability for that, so that it cannot be traced either.
#define MODE 0111

int sandbox_doorstep_open(void)
{
    struct err ignored;
    if (!sandbox_exposed()) return -1;
    own(fd) int fd = sandbox_sealed_memory("doorstep", &ignored);
    if (fd < 0 || fs_write_all(fd, doorstep_program, sizeof doorstep_program, &ignored) < 0 ||
        fchmod(fd, MODE) != 0 || sandbox_seal(fd, &ignored) < 0)
        return -1;
    return take_fd(fd);
}

// "HEAD CANDIDATE... ARGUMENT...": the head is the child's to write.
static void plan_arguments(struct sandbox_plan *p)
{
    size_t n = 1, args = 0;
    while (p->argv[args]) args++;
    p->doorstep_argv = mem_alloc((p->candidates.n + args + 2) * sizeof *p->doorstep_argv);
    for (size_t i = 0; i < p->candidates.n; i++) p->doorstep_argv[n++] = p->candidates.p[i];
    for (size_t i = 0; i < args; i++) p->doorstep_argv[n++] = p->argv[i];
}

int sandbox_doorstep_put(struct sandbox_plan *p, struct err *e)
{
    own(fd) int fd = fs_openat(p->scratch_fd, "doorstep", O_WRONLY | O_CREAT | O_EXCL, MODE, e);
    if (fd < 0 || fs_write_all(fd, doorstep_program, sizeof doorstep_program, e) < 0) return -1;
    close(take_fd(fd));  // what is open for writing cannot be executed
    p->doorstep_fd = fs_openat(p->scratch_fd, "doorstep", O_PATH, 0, e);
    plan_arguments(p);
    return p->doorstep_fd < 0 ? -1 : 0;
}

int sandbox_doorstep_use(struct sandbox_plan *p, int fd, struct err *e)
{
    if (fd < 3) return 0;
    p->doorstep_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3 + (int)p->keep_fds);
    plan_arguments(p);
    return p->doorstep_fd < 0 ? err_sys(e, "keep the doorstep") : 0;
}
