// SPDX-License-Identifier: Apache-2.0
// The OCI runtime: the engine behind runc's command line, for podman, containerd, Docker and Slurm.
//
// One engine. A bundle becomes a `struct sandbox_plan` as an image does; what only bundles have
// (mounts in a given order, masks, hooks, devices ...) is a `struct bundle_plan` beside it, and the
// child takes another walk over the same parts (bundle/enter.c). There is no monitor: the caller is
// told the pid and reaps the container, as with runc.
//
//   create                                      the container's init
//   config.json -> plan; group made
//   clone3 (in between: join paths) ----------> ids, group, mounts below the root's own place
//   prestart, createRuntime hooks  <---------- "mounts are done"
//   "go on" ----------------------------------> createContainer hooks, pivot, masks, terminal,
//   limits terminal to --console-socket; state.json <- "ready"; from here on only the gate is open
//   ends                                        waits in accept(2) on the gate
//   start: connects to ROOT/ID/gate ----------> takes the connection, startContainer hooks,
//   hears the end of file, or why not <-------- ids, capabilities, seccomp, exec
//   poststart hooks
//
// The gate is a listening Unix socket in the container's own folder (0700, the owner's), not a
// fifo: whoever starts is one connection, a failure of the last steps has a way back to `start`,
// and a container that was killed at the gate gives ECONNREFUSED instead of a hang. `run` has no
// gate.
//
// On disk, below --root (default /run/dewar-oci, for a user $XDG_RUNTIME_DIR/dewar-oci):
//   ID/lock         flock: one change at a time
//   ID/config.json  as it was at create: later changes of the bundle have no effect
//   ID/state.json   who it is: pid, start time, boot id, bundle, groups; written by rename
//   ID/groups       the control groups, a line each, noted before they are made
//   ID/gate         there as long as the program was not started
// Status is derived, never stored: no state.json is creating; pid gone (number, start time and boot
// id compared) is stopped; gate there is created; frozen group is paused; else running.
//
// Privilege: as root, or as root of a user namespace that the caller made (rootless podman), or as
// an ordinary user whose bundle asks for a user namespace: then the engine enters one with the
// bundle's mappings first and does everything there.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/event.h"
#include "base/str.h"

struct bundle_context {
    char *const *own_argv;  // as this program was called; `run` may execute it anew (sealed.h)
    const char *root;  // --root; NULL: the default
    bool systemd_cgroup;
    // A manager (one that gives --log, --pid-file or --console-socket) wants to hear of a missing
    // program at create: podman does not read why `start` failed. The specification has that error
    // at start.
    bool look_early;
    struct event_sink sink;
};
struct bundle_run_options {
    const char *bundle, *pid_file, *console_socket, *id;
    int64_t preserve_fds;
    int64_t listen_fds;  // so many of those are sockets of a service: the program is told
    bool no_pivot, no_new_keyring, detach, keep;
};
int bundle_create(struct bundle_context *c, const struct bundle_run_options *o, struct err *e);
// create and start; without `detach` waits and deletes. *out_status: the program's exit code.
int bundle_run(struct bundle_context *c, const struct bundle_run_options *o, int *out_status,
               struct err *e);
int bundle_start(struct bundle_context *c, const char *id, struct err *e);
int bundle_state(struct bundle_context *c, const char *id, struct str *out, struct err *e);
int bundle_kill(struct bundle_context *c, const char *id, const char *signal, bool all,
                struct err *e);
int bundle_delete(struct bundle_context *c, const char *id, bool force, struct err *e);
int bundle_freeze(struct bundle_context *c, const char *id, bool frozen, struct err *e);
// resources: JSON text of linux.resources.
int bundle_update(struct bundle_context *c, const char *id, struct sv resources, struct err *e);
struct bundle_exec_options {
    const char *id, *process_file, *pid_file, *console_socket, *cwd, *user, *apparmor, *label;
    const struct strv *env, *caps, *groups;
    const struct strv *cgroups;  // "[CONTROLLER:]PATH" below the container's
    char *const *argv;
    int argc;
    int64_t preserve_fds;
    bool tty, detach, no_new_privs;
    bool ignore_paused;  // it waits in the frozen group
};
int bundle_exec(struct bundle_context *c, const struct bundle_exec_options *o, int *out_status,
                struct err *e);
struct codec_json;
// An array of {ociVersion,id,pid,status,bundle,rootfs,created,annotations,owner}.
int bundle_list(struct bundle_context *c, struct codec_json **out, struct err *e);
int bundle_pids(struct bundle_context *c, const char *id, struct codec_json **out, struct err *e);
// One {"type":"stats",...} object.
int bundle_stats(struct bundle_context *c, const char *id, struct codec_json **out, struct err *e);
struct codec_json *bundle_features(void);
struct codec_json *bundle_default(bool rootless); // what `spec` writes
