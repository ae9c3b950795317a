// SPDX-License-Identifier: Apache-2.0
// The verbs of a container's life. Each takes an id (record_find), is one function plus
// its options, and never prints. All-zero options are the defaults. None needs engine_enter before;
// those that start something enter by themselves.
#pragma once

#include "container/container.h"
#include "record/state.h"

// Makes a container and starts nothing: like container_run with the same options.
int container_create(struct engine *en, const struct container_run_options *o,
                     char out_id[RECORD_ID], struct err *e);

struct container_attach_options {
    bool no_stdin; // do not read ours
    bool no_sig_proxy;
    const char *keys; // detach keys; NULL: ctrl-p,ctrl-q; "": none
};
// ERR_CONFLICT when it runs already (`start` of Docker: no error; compare the state before).
// `attach` NULL: returns when the program runs; else stays attached and *out_code is its exit code.
int container_start(struct engine *en, const char *id,
                    const struct container_attach_options *attach, int *out_code, struct err *e);
// Until it ends or the person detaches (*out_code 0).
int container_attach(struct engine *en, const char *id, const struct container_attach_options *o,
                     int *out_code, struct err *e);
// `signal` NULL: the container's own; timeout in seconds, -1 waits for ever, -2 is the container's
// own. A container that does not run is no error.
int container_stop(struct engine *en, const char *id, const char *signal, int64_t timeout,
                   struct err *e);
int container_restart(struct engine *en, const char *id, const char *signal, int64_t timeout,
                      struct err *e);
int container_kill(struct engine *en, const char *id, const char *signal, struct err *e);
int container_pause(struct engine *en, const char *id, bool resume, struct err *e);
enum container_wait {
    CONTAINER_WAIT_NOT_RUNNING,
    CONTAINER_WAIT_NEXT_EXIT,
    CONTAINER_WAIT_REMOVED
};
int container_wait(struct engine *en, const char *id, enum container_wait until, int *out_code,
                   struct err *e);
struct container_remove_options {
    bool force;   // kill it first
    bool volumes; // its anonymous volumes too
};
int container_remove(struct engine *en, const char *id, const struct container_remove_options *o,
                     struct err *e);
int container_rename(struct engine *en, const char *id, const char *name, struct err *e);
// Runs the container's health command; *out_code is its exit code. For the monitor, through
// sandbox_sealed.
int container_probe(struct engine *en, const char *id, int *out_code, struct err *e);

// --- prune.c -----------------------------------------------------------------------------------
// Removes every container that does not run. Filters: until=TIME, label=K[=V], label!=K[=V].
int container_prune(struct engine *en, const struct strv *filters, struct strv *out_ids,
                    uint64_t *out_freed, struct err *e);
// What is zero or NULL stays as it is. A running container's limits change at once, where it was
// started with a control group for them.
struct container_update_options {
    const char *restart;
    uint64_t memory, cpu_shares;
    int64_t memory_swap, nano_cpus, pids_limit;
    int64_t memory_reservation, cpu_quota, cpu_period, cpu_rt_period, cpu_rt_runtime, blkio_weight;
    bool has_pids_limit;
    const char *cpuset_cpus, *cpuset_mems;
};
int container_update(struct engine *en, const char *id, const struct container_update_options *o,
                     struct err *e);
