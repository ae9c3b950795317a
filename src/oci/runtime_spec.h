// SPDX-License-Identifier: Apache-2.0
// The OCI runtime specification's config.json (1.0 to 1.2): types, parsing, and the checks that
// need nothing but the text. What names things of the kernel (capabilities, mount options,
// resources) stays text here and is understood by the engine.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/idmap.h"
#include "base/str.h"
#include "base/vec.h"
#include "codec/json.h"

#define OCI_RUNTIME_VERSION "1.2.0"  // of the specification that we implement
#define OCI_RUNTIME_CONFIG_MAX ((size_t)16 << 20)

enum oci_cap_set {
    OCI_CAP_BOUNDING,
    OCI_CAP_EFFECTIVE,
    OCI_CAP_PERMITTED,
    OCI_CAP_INHERITABLE,
    OCI_CAP_AMBIENT,
    OCI_CAP_SETS,
};
struct oci_rlimit {
    char *type;  // "RLIMIT_NOFILE"
    uint64_t soft, hard;
};
struct oci_scheduler {
    bool given;
    int policy;  // as sched_setattr(2) has them
    uint64_t flags;
    int64_t nice, priority, runtime, deadline, period;
};
struct oci_process {
    bool terminal;
    uint16_t rows, columns;  // 0: not said
    uint32_t uid, gid, umask;
    bool has_umask;
    VEC(uint32_t) groups;
    struct strv args, env;
    char *cwd;
    struct strv caps[OCI_CAP_SETS];
    bool has_caps;
    VEC(struct oci_rlimit) rlimits;
    bool no_new_privs;
    int64_t oom_score_adj;
    bool has_oom_score_adj;
    char *apparmor, *selinux;
    int64_t io_class, io_priority;
    bool has_io;
    struct oci_scheduler scheduler;
    char *cpus_initial, *cpus_final;  // for `exec`; NULL: as they are
};
struct oci_mount {
    char *destination, *type, *source;
    struct strv options;
    struct idmap_side uid, gid;
};
enum oci_hook_kind {
    OCI_HOOK_PRESTART,
    OCI_HOOK_CREATE_RUNTIME,
    OCI_HOOK_CREATE_CONTAINER,
    OCI_HOOK_START_CONTAINER,
    OCI_HOOK_POSTSTART,
    OCI_HOOK_POSTSTOP,
    OCI_HOOKS,
};
extern const char *const oci_hook_names[OCI_HOOKS];
struct oci_hook {
    char *path;
    struct strv args, env;
    bool has_env;
    int64_t timeout;  // seconds; 0: none
};
struct oci_namespace {
    char *type, *path;  // path NULL: a new one
};
struct oci_device {
    char *path;
    char type;  // c b p
    int64_t major, minor;
    uint32_t mode, uid, gid;
};
enum { OCI_CLOCK_MONOTONIC, OCI_CLOCK_BOOTTIME, OCI_CLOCKS };
struct oci_clock {
    bool given;
    int64_t secs, nanosecs;
};
struct oci_runtime {
    char *version, *hostname, *domainname;
    char *root_path;
    bool root_readonly;
    bool has_process;
    struct oci_process process;
    VEC(struct oci_mount) mounts;
    VEC(struct oci_hook) hooks[OCI_HOOKS];
    VEC(struct oci_namespace) namespaces;
    struct idmap_side uid, gid;
    VEC(struct oci_device) devices;
    char *cgroups_path, *propagation, *mount_label, *personality;
    struct strv sysctls;  // "name=value"
    struct strv masked, readonly;
    // Parts of `json`; NULL: absent.
    const struct codec_json *annotations, *resources, *seccomp;
    struct oci_clock clocks[OCI_CLOCKS];
    struct codec_json *json;
};
void oci_runtime_fini(struct oci_runtime *r);
static inline void own_oci_runtime(struct oci_runtime *r)
{
    oci_runtime_fini(r);
}
void oci_process_fini(struct oci_process *p);
static inline void own_oci_process(struct oci_process *p)
{
    oci_process_fini(p);
}
int oci_runtime_parse(struct sv text, const char *label, struct oci_runtime *out, struct err *e);
// A process object of its own, as `exec --process` takes it. *out_json keeps it alive.
int oci_process_parse(struct sv text, const char *label, struct oci_process *out, struct err *e);
// Numbers from 2^63 to 2^64-1 are in the specification but not in our JSON: they become the
// negative number with the same bits, so that a field read as int64_t and cast has the right value.
void oci_runtime_fold_numbers(struct sv text, struct str *out);
// The version's parts; -1 when it is not of the form X.Y.Z.
int oci_runtime_version(const char *text, unsigned out[3]);
