// SPDX-License-Identifier: Apache-2.0
// One container: `run` as a verb, and its record on disk. The process tree is
// command -> monitor -> init; see monitor.c for the life cycle.
//
// On disk (the store, survives a reboot)
//   containers/<id>/             flock on this folder = a monitor (or its command) is alive
//   containers/<id>/config.json  what was asked, written once
//   containers/<id>/{upper,work} the container's writable layer
//   containers/<id>/exit         {"code":N,"oom":bool,"finished":ns}, written by the monitor
//   containers/names/<name>      symbolic link whose text is the id: names are unique by its
//   creation
//                                (a random name of a --rm container stands in its record alone)
//   volumes/<id>/{_data}         anonymous volumes; go with --rm
// In the run folder (ends with the boot)
//   containers/<id>              flock = alive;
//   {"pid":N,"start":ticks,"monitor":N,"started":ns,"rm":bool} boot                         link
//   whose text is the id of the boot that last swept
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/engine.h"
#include "base/vec.h"
#include "runtime/sandbox.h"
#include "runtime/state.h"



// What `run` takes. Lists hold the texts as a person typed them (both faces share their parsers);
// `spec` holds what needs no interpretation: workdir, user, groups_add, hostname, domainname,
// readonly, hosts_extra, net, cap_add, cap_drop, privileged, sysctls, shm_size, oom score, tty,
// init and the resources. All zero is the default.
struct runtime_run_options {
    const char *image;
    struct strv args;  // what stood behind the image
    bool has_entrypoint;
    const char *entrypoint;   // "" clears the image's
    struct strv env;          // "K=V"; "K" copies the caller's, or removes the image's
    struct strv env_files;
    struct strv volumes;      // -v
    struct strv mounts;       // --mount
    struct strv tmpfs;        // --tmpfs
    struct strv devices;      // --device
    struct strv ulimits;      // --ulimit
    struct strv labels;
    struct strv label_files;
    struct strv security;     // --security-opt
    const char *name;
    const char *cidfile;
    const char *platform;
    const char *pull;         // "always", "missing", "newer", "never"; NULL: missing
    const struct image_progress *progress;  // of a pull; may be NULL
    const char *network;      // NULL: not asked, which is none until bridges exist
    const char *userns;       // "host", "auto", "nomap"; NULL: host
    const char *stop_signal;
    bool rm;
    bool interactive;         // -i
    bool no_sig_proxy;
    bool quiet;
    struct runtime_spec spec;
};
void runtime_run_options_fini(struct runtime_run_options *o);
static inline void own_runtime_run_options(struct runtime_run_options *o)
{
    runtime_run_options_fini(o);
}

// Makes the container, runs it in the foreground on our stdin, stdout and stderr and returns its
// exit code. -1: nothing ran; ERR_NO_PROGRAM and ERR_NOT_EXEC tell 127 and 126 from 125.
int runtime_run(struct engine *en, const struct runtime_run_options *o, int *out_exit_code,
                struct err *e);

// Frees what containers with --rm left behind when their monitor was killed. Cheap when there is
// nothing to do: every command that uses containers begins with it. Needs engine_enter.
int runtime_sweep(struct engine *en, struct err *e);
