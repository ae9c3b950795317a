// SPDX-License-Identifier: Apache-2.0
// RUN --mount. Plan: what goes into the step's key (layout, and the content of files that are bound
// read-only). Open: sources as descriptors, attached in this worker's own mount namespace. Close:
// what has to be remembered. Sources of a name in a Dockerfile are never joined to a host path: cache
// ids are hashed, sources are resolved inside their root.
#pragma once

#include "base/proc.h"
#include "build/internal.h"
#include "sandbox/sandbox.h"

struct build_mount_state {
    const struct build_mount *m;
    struct build_source source;  // bind, cache with from
    bool has_source;
    char hash[CODEC_SHA256_HEX];  // bind: of the files
    struct build_copy spec;       // bind: selects them
    struct build_picks picks;
    bool picked;
    int cache_fd;                 // cache: the mount's folder, holds its lock
    struct proc_worker relay;     // ssh: who listens on the step's socket
    char *target;                 // absolute
};
struct build_mounts {
    VEC(struct build_mount_state) v;
    bool unstable;        // a file of a bind changed while it was copied
    struct strv touched;  // by cache mounts: files whose time was changed
    struct strv attached;  // paths of mounts in the worker's namespace
    struct strv env;  // secrets as variables, SSH_AUTH_SOCK
};
// The grammar of --secret and --ssh, before any work.
int build_mounts_check(const struct build_options *opt, struct err *e);
// The secret of --secret with this id. 1 found, 0 not given.
int build_mounts_secret(const struct build_options *opt, const char *id, struct str *out,
                        struct err *e);
// The socket of the agent that --ssh gives this id; NULL: not given. Borrowed.
const char *build_mounts_agent(const struct build_options *opt, const char *id);
int build_mounts_plan(struct build_work *w, const struct build_run *run, struct build_mounts *out,
                      struct err *e);
void build_mounts_key(const struct build_mounts *ms, struct codec_sha256 *h);
// Attaches the step's root in this worker's namespace until build_mounts_close, so that more than one
// sandbox can have a copy of it.
int build_mounts_keep_root(struct build_mounts *ms, int root_fd, int folder, struct err *e);
int build_mounts_open(struct build_work *w, struct build_mounts *ms, const struct root *root,
                      int folder, struct sandbox_spec *spec, struct err *e);
// ok: the step succeeded. After a failure nothing may count as seen.
int build_mounts_close(struct build_work *w, struct build_mounts *ms, bool ok, struct err *e);
void build_mounts_fini(struct build_work *w, struct build_mounts *ms);
