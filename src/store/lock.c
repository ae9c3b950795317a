// SPDX-License-Identifier: Apache-2.0
// The store's lock. flock on one file: it belongs to the open file, so a worker process that
// inherits the descriptor keeps it, and the kernel drops it with the last holder.
#include "store/lock.h"

#include <sys/file.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/own.h"

#define SHARED_WAIT_S 120
#define STEP_NS (20 * 1000 * 1000)

static int take(struct engine *en, int op, unsigned seconds, const char *who, const char *hint,
                struct err *e)
{
    own(fd) int fd = fs_openat(en->store_fd, "lock", O_RDWR | O_CREAT, 0600, e);
    if (fd < 0) return -1;
    int64_t end = clock_mono_ns() + (int64_t)seconds * 1000000000;
    bool told = false;
    while (true) {
        int rc = fs_lock(fd, op | LOCK_NB, e);
        if (rc < 0) return err_wrap(e, "locking the store '%s'", en->store_path);
        if (rc == 0) return take_fd(fd);
        if (clock_mono_ns() >= end) {
            err_set(e, ERR_CONFLICT, "the store '%s' is in use by %s, waited %u s", en->store_path,
                    who, seconds);
            return err_hint(e, "%s", hint);
        }
        if (!told && end - clock_mono_ns() > 1000000000) {
            event_info(&en->sink, "waiting for %s", who);
            told = true;
        }
        nanosleep(&(struct timespec){.tv_nsec = STEP_NS}, NULL);
    }
}

int store_lock_shared(struct engine *en, struct err *e)
{
    return take(en, LOCK_SH, SHARED_WAIT_S, "a clean-up of the store",
                "another 'prune', 'check' or 'rmi' is running: try again when it is done", e);
}

int store_lock_alone(struct engine *en, unsigned seconds, struct err *e)
{
    return take(en, LOCK_EX, seconds, "other commands",
                "a build, load or import is still running: try again when it is done", e);
}
