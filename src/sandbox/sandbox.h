// SPDX-License-Identifier: Apache-2.0
// One sandboxed process tree: what a container and a build step share. Plan (in the caller, all
// checks, open fds, finished strings), then apply (in the child, raw system calls only).
// Needs engine_enter before.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/engine.h"
#include "base/fs.h"
#include "base/proc.h"
#include "base/vec.h"
#include "sandbox/disk.h"

enum sandbox_mount_kind {
    SANDBOX_MOUNT_BIND, // source: a host path (or source_fd), file or directory
    SANDBOX_MOUNT_TMPFS,
    SANDBOX_MOUNT_TREE, // source_fd: a detached mount, attached as it is
    SANDBOX_MOUNT_KIND_COUNT,
};
struct sandbox_mount {
    enum sandbox_mount_kind kind;
    char *source;    // for BIND and for messages
    int source_fd;   // -1: open `source`
    char *target;    // inside the container
    bool readonly;   // recursive
    bool nonrecursive;
    char *propagation;  // NULL: rprivate
    uint64_t tmpfs_size;  // 0: kernel's default
    uint32_t tmpfs_mode;  // 0: 01777
    bool nosuid, nodev, noexec;
    char *subpath;  // of a volume
    bool nocopy;    // of a volume: nothing of the image goes into it
    struct strv options, labels;  // of a volume: "K=V"
    bool toponly;   // readonly is not recursive
    bool writable;  // of an image
    bool create;    // of a bind: make a source that is missing
    uid_t tmpfs_uid;
    gid_t tmpfs_gid;
    bool made_by_default;  // one of ours (/etc/hosts, ...): a user's mount on the target wins
};
void sandbox_mount_fini(struct sandbox_mount *m);
struct sandbox_mounts {
    struct sandbox_mount *p;
    size_t n;
    size_t cap;
};

enum sandbox_net {
    SANDBOX_NET_NONE, // own namespace, loopback up
    SANDBOX_NET_HOST,
    SANDBOX_NET_COUNT,
};

enum sandbox_userns {
    SANDBOX_USERNS_HOST,  // the engine's own: root's real ids, or the user's one mapping
    SANDBOX_USERNS_AUTO,  // a namespace of the container's own over unused ids
    SANDBOX_USERNS_NOMAP, // the caller's own id is not in it: for root that is auto as well
    SANDBOX_USERNS_KEEP,  // the caller is the program's user
    SANDBOX_USERNS_COUNT,
};

// The ids of a container with a user namespace of its own. All zero: it has the engine's. The
// descriptors are owned by the spec; 0 is none.
#define SANDBOX_IDS 65536U
struct sandbox_ids {
    bool own;
    struct idmap_side uid, gid;  // inside -> the engine's ids
    char name[40];  // of the mapping, where layers must be copied for it (store/shift.h); else ""
    // What a container's record remembers of it.
    uint32_t slot_uid, slot_gid, slot_n;  // a piece of the ids that nobody else has; 0: none
    bool keep;                            // these two are the caller
    uint32_t keep_uid, keep_gid;
    int userns_fd;  // a namespace with this mapping, for mapped mounts
    int lock_fd;    // the slot is taken while it is open
};

struct sandbox_device {
    char *host;    // host path of a device node or a directory of them
    char *target;  // inside
    char access[4];
};
struct sandbox_rlimit {
    int resource;
    uint64_t soft, hard;
};

struct sandbox_spec {
    int rootfs_fd;  // detached overlay mount
    bool readonly;
    struct strv args;
    struct strv env;
    char *workdir;  // created inside the root when missing
    bool workdir_stays;  // what was created for it is no mount point: it belongs to the container
    char *user;     // as in USER: "name|uid[:group|gid]"; NULL is root
    struct strv groups_add;
    char *hostname;
    char *domainname;
    struct sandbox_mounts mounts;
    struct strv hosts_extra;  // "name:ip"
    struct strv dns, dns_search, dns_options;  // of /etc/resolv.conf; see resolv.c
    enum sandbox_net net;
    struct strv cap_add, cap_drop;  // names with or without CAP_, or ALL
    bool privileged;
    bool no_new_privs;
    bool seccomp_off;
    char *seccomp_file;      // a user's profile (Docker JSON)
    bool unmask;             // systempaths=unconfined
    struct {
        struct sandbox_device *p;
        size_t n, cap;
    } devices;
    struct {
        struct sandbox_rlimit *p;
        size_t n, cap;
    } rlimits;
    struct strv sysctls;  // "name=value"
    uint64_t shm_size;    // 0: the default
    int64_t oom_score_adj;
    bool has_oom_score_adj;
    bool tty;
    bool init;  // dewar-init as PID 1
    // resources, 0 = not set
    uint64_t memory, cpu_shares;
    int64_t memory_swap;  // -1 unlimited
    int64_t nano_cpus;
    int64_t cpu_quota, cpu_period;  // microseconds; a quota of -1 is none
    int64_t memory_reservation;
    int64_t blkio_weight;  // 10 to 1000
    struct strv device_rules;  // "c 1:5 rwm"
    struct sandbox_disk_limits disk_limits;
    int64_t cpu_rt_period, cpu_rt_runtime;  // microseconds; v1 alone
    bool oom_kill_disable, has_swappiness;  // v1 alone
    int64_t memory_swappiness;
    char *cgroup_parent;  // the folder of the cgroup's own; NULL: ours
    int64_t pids_limit;
    char *cpuset_cpus;
    char *cpuset_mems;
    bool build_step;  // RUN: fixed host name, no pid/oom extras, network files not kept
    bool home_env;    // set HOME from passwd unless in env
    bool host_pid, host_ipc, host_uts, host_cgroupns;
    struct sandbox_join *join; // namespaces of others, heap (join.h); NULL: none
    int shm_fd, mqueue_fd;  // of the IPC namespace that is joined, detached mounts; 0: none
    bool no_shm;            // nothing is mounted on /dev/shm
    bool detach;  // the program outlives the process that started it
    enum sandbox_userns userns;
    uint32_t userns_size;            // of auto; 0: SANDBOX_IDS
    int64_t userns_uid, userns_gid;  // of keep, as asked; -1: not
    struct sandbox_ids ids;
    char *cgroup_name; // folder name of a cgroup, made only when a limit asks for one; NULL: random
};
void sandbox_spec_fini(struct sandbox_spec *s);
static inline void own_sandbox_spec(struct sandbox_spec *s)
{
    sandbox_spec_fini(s);
}

// A folder with the mount points that every sandbox needs (dev proc sys etc/hosts ...), to go below
// all layers (store_overlay.extra_bottom_fd), so that starting a program does not dirty the upper
// layer. Made once per store and form; it belongs to the root of `ids` (NULL: the engine's). Returns a
// directory descriptor.
int sandbox_stub_open(struct engine *en, const struct sandbox_ids *ids, struct err *e);

// An owner as COPY --chown and WORKDIR mean it, looked up in the passwd and group files of `root`:
// numbers stand for themselves, and without a group a number names its own group, a name its
// entry's.
int sandbox_owner_find(const struct root *root, const char *text, uint32_t *out_uid,
                       uint32_t *out_gid, struct err *e);

struct sandbox_stdio {
    int in, out, err;  // inherited into the program as 0, 1, 2; -1: /dev/null
};

// Starts the program and returns once it was executed (or failed: ERR_NO_PROGRAM, ERR_NOT_EXEC).
// With spec->tty the pty master comes back in *out_pty (else -1). Paths of mount points that had to
// be made in the root (relative, no leading '/') are added to *stubs when not NULL.
// out->proc is the container's init. It dies when this process dies, unless `detach`.
#define SANDBOX_CGROUP 512 // a path below /sys/fs/cgroup
struct sandbox {
    struct proc proc;
    int pty_fd;
    char cgroup[SANDBOX_CGROUP]; // "" when none was made; see cgroup.c
};
int sandbox_start(struct engine *en, const struct sandbox_spec *spec,
                  const struct sandbox_stdio *io, struct strv *stubs, struct sandbox *out,
                  struct err *e);
// Waits for init, removes the cgroup; *out_status is the program's exit code (128+n for signals).
int sandbox_wait(struct sandbox *s, int *out_status, bool *out_oom, struct err *e);
