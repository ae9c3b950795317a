// SPDX-License-Identifier: Apache-2.0
// `run` as a verb: what it takes. The process tree is command -> monitor -> init; see monitor.c for
// the life cycle, state.h for what stands on disk, life.h for the other verbs.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/engine.h"
#include "base/vec.h"
#include "record/state.h"
#include "sandbox/disk.h"
#include "sandbox/sandbox.h"

// Whether this value of --pid names another container: whoever starts it does so from a sealed copy
// (sandbox/sealed.h).
bool container_joins_processes(const char *pid_mode);

// --health-*: what is given replaces the image's HEALTHCHECK field by field.
struct container_health_options {
    const char *cmd;
    int64_t interval, timeout, start_period, start_interval;  // ns
    int64_t retries;
    bool has_interval, has_timeout, has_start, has_start_interval, has_retries;
};

// What `run` takes. Lists hold the texts as a person typed them (both faces share their parsers);
// `spec` holds what needs no interpretation: workdir, user, groups_add, hostname, domainname,
// readonly, hosts_extra, dns, net, cap_add, cap_drop, privileged, sysctls, shm_size, oom score, tty,
// init and the resources. All zero is the default.
struct container_run_options {
    const char *image;
    struct strv args;  // what stood behind the image
    bool has_entrypoint;
    const char *entrypoint;   // "" clears the image's
    struct strv env;          // "K=V"; "K" copies the caller's, or removes the image's
    struct strv env_files;
    struct strv proxies;      // "K=V", set before env_files and env
    struct strv volumes;      // -v
    struct strv mounts;       // --mount
    struct strv volumes_from; // "CONTAINER[:ro|rw]"
    struct strv tmpfs;        // --tmpfs
    struct strv devices;      // --device
    struct strv ulimits;      // --ulimit
    struct strv labels;
    struct strv label_files;
    struct strv security;     // --security-opt
    struct strv attach;       // "stdin", "stdout", "stderr"; none: what there is
    struct strv annotations;  // "K=V"
    struct strv disks[SANDBOX_DISK_COUNT];  // limits: "/dev/sda:1mb"
    const char *cgroup_parent;
    const char *cgroupns;     // "host", "private"; NULL: private
    const char *isolation, *runtime, *volume_driver;  // of each there is one
    const char *name;
    const char *cidfile;
    const char *platform;
    const char *pull;         // "always", "missing", "newer", "never"; NULL: missing
    bool insecure;            // --tls-verify=false, for a pull
    const struct image_progress *progress;  // of a pull; may be NULL
    const struct image_progress *mapping;   // of a copy of its layers for other ids; may be NULL
    const char *network;      // NULL: not asked, which is none until bridges exist
    const char *userns;       // "host", "auto[:size=N]", "nomap", "keep-id[:uid=,gid=]"; NULL: host
    const char *pid_mode, *ipc_mode, *uts_mode;  // "host", "private", "container:X"; NULL: private
    const char *restart;      // "no", "on-failure[:n]", "always", "unless-stopped"; NULL: no
    const char *log_driver;   // "json-file", "local", "none"; NULL: json-file
    struct strv log_opts;     // --log-opt
    struct strv ports;        // -p
    struct strv expose;       // "80", "53/udp"
    struct container_health_options health;
    bool no_healthcheck;
    bool has_stop_timeout;
    int64_t stop_timeout;     // seconds
    const char *detach_keys;  // NULL: ctrl-p,ctrl-q
    bool detach;              // -d
    bool later;               // container_create: what it is attached to shows when it starts
    const char *stop_signal;
    bool rm;
    bool interactive;         // -i
    bool no_sig_proxy;
    bool quiet;
    struct sandbox_spec spec;
};
void container_run_options_fini(struct container_run_options *o);
static inline void own_container_run_options(struct container_run_options *o)
{
    container_run_options_fini(o);
}

// Makes the container and runs it: in the foreground on our stdin, stdout and stderr, returning its
// exit code, or with `detach` until the program runs. -1: nothing ran; ERR_NO_PROGRAM and
// ERR_NOT_EXEC tell 127 and 126 from 125.
int container_run(struct engine *en, const struct container_run_options *o, char out_id[RECORD_ID],
                  int *out_exit_code, struct err *e);
