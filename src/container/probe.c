// SPDX-License-Identifier: Apache-2.0
// Runs a container's health command inside it: started by the monitor as a program of its own.
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "container/life.h"
#include "container/start.h"
#include "record/state.h"
#include "sandbox/join.h"
#include "sandbox/sandbox.h"

// "CMD-SHELL" goes through the container's shell, "CMD" is the program itself.
static void set_args(const struct strv *test, struct strv *args)
{
    strv_fini(args);
    if (strcmp(test->p[0], "CMD-SHELL") == 0) {
        strv_add(args, "/bin/sh");
        strv_add(args, "-c");
    }
    for (size_t i = 1; i < test->n; i++) strv_add(args, test->p[i]);
}

int container_probe(struct engine *en, const char *id, int *out_code, struct err *e)
{
    own(record_config) struct record_config c = {0};
    own(sandbox_spec) struct sandbox_spec spec = {.rootfs_fd = -1};
    struct record_state s;
    own(fd) int init = record_init_open(en, id, &s, e);
    if (init < 0 || record_config_load(en, id, &c, e) < 0) return -1;
    if (c.health.test.n < 2)
        return err_set(e, ERR_USAGE, "container %.12s has no health check", id);
    free(take_ptr(c.userns_mode)); // it is there already
    if (container_start_spec(en, &c, &spec, e) < 0) return -1;
    set_args(&c.health.test, &spec.args);
    spec.tty = spec.init = false;
    struct sandbox_join_options join = {
        .pid = s.pid, .pidfd = init, .spec = &spec, .cgroup = s.cgroup};
    struct sandbox_stdio io = {-1, 1, 2};
    struct sandbox box;
    if (sandbox_join_start(en, &join, &io, &box, e) < 0) return -1;
    return sandbox_wait(&box, out_code, NULL, e);
}
