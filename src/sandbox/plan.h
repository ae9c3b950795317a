// SPDX-License-Identifier: Apache-2.0
// The plan that the parent makes and the child walks: every check done, every descriptor open, every
// text spelled out. What they say to each other meanwhile stands here too.
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/fs.h"
#include "base/idmap.h"
#include "base/vec.h"
#include "sandbox/caps.h"
#include "sandbox/cgroup.h"
#include "sandbox/join.h"
#include "sandbox/sandbox.h"
#include "sandbox/seccomp.h"
#include "sandbox/user.h"

// The steps of the child, with the text that the parent prints when one fails.
#define STEPS(X)                                                                    \
    X(NONE, "start the container")                                                  \
    X(JOIN, "enter the namespaces")                                                 \
    X(USERNS, "become root of the user namespace")                                  \
    X(PARENT, "follow the parent process")                                          \
    X(SESSION, "begin a session")                                                   \
    X(CGROUP, "enter the control group")                                            \
    X(CGROUP_NS, "make a namespace of control groups")                              \
    X(PRIVATE, "make the mounts private")                                           \
    X(SCRATCH, "attach the engine's own files")                                     \
    X(PROC_NEW, "make a proc file system")                                          \
    X(PROC_CHECK, "check the proc file system")                                     \
    X(SYSCTL, "set sysctl")                                                         \
    X(LOOPBACK, "bring up the loopback device")                                     \
    X(ROOT, "attach the root file system")                                          \
    X(PIVOT, "change to the new root")                                              \
    X(OLD_ROOT, "drop the old root")                                                \
    X(MOUNT_PROC, "mount proc on '/proc'")                                          \
    X(MOUNT_DEV, "mount a tmpfs on '/dev'")                                         \
    X(MOUNT_PTS, "mount devpts on '/dev/pts'")                                      \
    X(MOUNT_SHM, "mount a tmpfs on '/dev/shm'")                                     \
    X(MOUNT_MQUEUE, "mount mqueue on '/dev/mqueue'")                                \
    X(MOUNT_SYS, "mount sysfs on '/sys'")                                           \
    X(MOUNT_CGROUP, "mount the control groups on '/sys/fs/cgroup'")                 \
    X(DEVICE, "put the device into '/dev'")                                         \
    X(MASK, "mask a path below '/proc' or '/sys'")                                  \
    X(READONLY_PATH, "make a path below '/proc' read-only")                         \
    X(TARGET, "make the mount point")                                               \
    X(TARGET_PROC, "mount over a part of '/proc'")                                  \
    X(ATTACH, "mount")                                                              \
    X(READONLY_ROOT, "make the root file system read-only")                         \
    X(WORKDIR, "enter the working directory")                                       \
    X(WORKDIR_OUTSIDE, "check that the working directory is inside the container")  \
    X(HOSTNAME, "set the host name")                                                \
    X(PTY, "make a terminal")                                                       \
    X(STDIO, "set up stdin, stdout and stderr")                                     \
    X(RLIMIT, "set resource limit")                                                 \
    X(OOM_SCORE, "set the OOM score")                                               \
    X(KEYRING, "begin a session keyring")                                           \
    X(BOUNDING, "drop capabilities from the bounding set")                          \
    X(GROUPS, "set the supplementary groups")                                       \
    X(GID, "set the group id")                                                      \
    X(UID, "set the user id")                                                       \
    X(CAPS, "set the capabilities")                                                 \
    X(NO_NEW_PRIVS, "set no_new_privs")                                             \
    X(SECCOMP, "load the seccomp filter")                                           \
    X(READBACK, "check the restrictions after setting them")                        \
    X(OCI_TARGET, "find or make the mount point")                                   \
    X(OCI_MOUNT, "mount")                                                           \
    X(OCI_DEVICE, "put the device")                                                 \
    X(OCI_MASK, "mask the path")                                                    \
    X(OCI_READONLY, "make read-only the path")                                      \
    X(HOOK, "run a hook in the container")                                          \
    X(LABEL, "set the security label")                                              \
    X(PERSONALITY, "set the personality")                                           \
    X(IO_PRIORITY, "set the I/O priority")                                          \
    X(SCHEDULER, "set the scheduler")                                               \
    X(AFFINITY, "set the CPU affinity")                                             \
    X(CLOSE, "close descriptors")                                                   \
    X(EXEC, "execute the program")

enum step {
#define STEP_ENUM(name, text) STEP_##name,
    STEPS(STEP_ENUM)
#undef STEP_ENUM
    STEP_COUNT,
};

// HOOKS: the parent's turn; it answers with the child's pid. READY: the rest waits for the gate.
enum report_kind {
    REPORT_PTY = 1,
    REPORT_STUB, // made where a mount goes; without a name: only a sign of life
    REPORT_OWN,  // what comes now is made for the program and stays in its layer
    REPORT_FAIL,
    REPORT_LISTENER,
    REPORT_HOOKS,
    REPORT_READY,
};

// What the child says to the parent over a seqpacket socket; the end of file means: executed.
struct report {
    uint32_t kind;
    uint32_t step;
    int32_t code;    // errno
    uint32_t index;  // which mount, device, sysctl, limit, candidate
    uint32_t exists;  // EXEC: the file is there, what is missing lies behind it
    uint32_t head_n;  // EXEC: its first bytes; STUB: the path
    char head[4096];
};

struct sandbox_plan_mount {
    int fd;          // detached tree
    char *target;
    bool dir;
    bool ours;       // the target must be free of symlinks
};

// Files of the engine's that appear in the container without ever being in a layer.
struct sandbox_plan_file {
    const char *name;    // below the scratch tmpfs
    const char *target;  // in the root
    bool readonly;
    bool used;
};
enum { PLAN_HOSTS, PLAN_HOSTNAME, PLAN_RESOLV, PLAN_PASSWD, PLAN_FILES };

struct sandbox_plan_device {
    char *target;  // below /dev: "null", "snd/seq"; otherwise absolute
    mode_t mode;   // with S_IFCHR or S_IFBLK
    dev_t rdev;
    uid_t uid;
    gid_t gid;
    int fd;        // detached bind of the host's node; -1: mknod
};

// v1: a control group of the container's own, below /sys/fs/cgroup.
struct sandbox_plan_group {
    int fd;  // detached tree
    char *name;
};

struct sandbox_plan_sysctl {
    char *path;
    char *value;
    bool optional;  // one of our defaults: an old kernel may lack it
};

// What a process of a bundle may ask for beside the rest.
struct sandbox_scheduler {  // as sched_setattr(2) takes it
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};
struct sandbox_attributes {
    bool has_personality, has_io, has_scheduler, has_cpus, has_umask;
    unsigned long personality;
    int io;
    struct sandbox_scheduler scheduler;
    cpu_set_t cpus;
    uint32_t umask;
};

struct sandbox_plan {
    struct engine *en;
    const struct sandbox_spec *spec;
    void (*walk)(const struct sandbox_plan *p); // the child's, never returns; NULL: as for an image
    struct bundle_plan *bundle;                 // what only bundles have; NULL: none. Borrowed
    // Reports that only some plans have. `fd` came with it and is taken. 1: that was the last one.
    int (*on_report)(struct sandbox_plan *p, const struct report *r, struct proc *child, int fd,
                     struct err *e);
    void *on_report_arg;
    // Which mount, path ... a report of its own steps is about; NULL: a step of ours.
    const char *(*what)(const struct sandbox_plan *p, const struct report *r);
    // A failure that only this plan can explain: -1 and *e; 0: it is none of those. NULL: there are none.
    int (*explain)(const struct sandbox_plan *p, const struct report *r, struct err *e);
    // Entering a v1 group waits for all processors, which takes longer than all the mounts: the
    // parent does it meanwhile, and the child asks for the result (enter_wait).
    bool parent_joins;
    int (*before_join)(struct sandbox_plan *p, struct err *e);  // makes them; NULL: they are there
    const struct idmap_side *map_uid, *map_gid;  // of the new user namespace; NULL: from `ids`
    bool guest;  // one more program in a container that runs
    const struct sandbox_join *join;             // namespaces to enter first; NULL: none. Borrowed
    pid_t parent;
    bool user_mode;   // the engine is in a user namespace: bind device nodes, do not make them
    bool own_userns;  // the child gets one; what the parent makes is given to its ids
    struct sandbox_ids ids; // the spec's; its descriptors are borrowed
    uint64_t clone_flags;
    int status_fd;    // child's end
    int peer_fd;      // the parent's, for the child to close; owned by the parent
    int io[3];        // all above 2; -1 with a terminal
    int root_fd;
    int scratch_fd;   // detached tmpfs: dev/, empty/, hosts, hostname, ...
    int null_fd;      // a verified null device, for masking
    int init_fd;      // dewar-init as a detached bind; -1
    int sys_fd;       // detached read-only bind of the host's /sys; -1: a new sysfs
    int proc_fd;      // detached bind of the host's /proc (host_pid in user mode); -1: a new proc
    int shm_fd, pts_fd;
    int doorstep_fd;  // executed before the program (doorstep.h); -1: we run from a sealed copy
    bool cgroup2;     // mount a cgroup2 on /sys/fs/cgroup
    bool shows_groups;  // or the folder cgroup/ of the scratch tmpfs, and these in it
    VEC(struct sandbox_plan_group) groups;
    struct sandbox_plan_file files[PLAN_FILES];
    VEC(struct sandbox_plan_mount) mounts;
    VEC(struct sandbox_plan_device) devices;
    struct sandbox_device_rules device_rules;  // for them and what --device-cgroup-rule adds
    VEC(struct sandbox_plan_sysctl) sysctls;
    struct sandbox_cgroup cgroup;
    struct sandbox_user user;
    bool user_given;  // not looked up from the spec's text
    uint64_t caps;  // bounding, and what root gets
    bool sets_given;  // not that, but these
    struct sandbox_caps sets;
    bool keep_groups;  // setgroups(2) is switched off in the user namespace
    char *label, *label_file;  // text for a file below /proc; NULL: none
    bool keep_keyring;
    unsigned keep_fds;  // this many behind 2 are the program's as well
    struct sock_fprog seccomp;  // len 0: none
    unsigned seccomp_flags;
    struct sandbox_attributes attributes;
    char *workdir;
    char **argv;      // borrowed texts, NULL-terminated; with --init two slots in front
    char **envp;
    char **doorstep_argv;  // room for its head, candidates, argv
    struct strv candidates;  // paths to try, in order
    struct strv env;
    char hostname[65];
};

int sandbox_plan_make(struct engine *en, const struct sandbox_spec *spec,
                      const struct sandbox_stdio *io, struct sandbox_plan *out, struct err *e);
void sandbox_plan_fini(struct sandbox_plan *p);
static inline void own_sandbox_plan(struct sandbox_plan *p)
{
    sandbox_plan_fini(p);
}
// The part about the program alone, for plans of other kinds. root: the container's, to look users
// up in; ids: which ones there are, NULL: the kernel will say.
void sandbox_plan_begin(struct engine *en, const struct sandbox_spec *spec,
                        struct sandbox_plan *out);
int sandbox_plan_process(struct sandbox_plan *p, const struct root *root, const struct idmap *ids,
                         const struct sandbox_stdio *io, struct err *e);
int sandbox_plan_mounts(struct engine *en, struct sandbox_plan *p, struct err *e);  // mounts.c
int sandbox_plan_devices(struct engine *en, struct sandbox_plan *p, struct err *e); // dev.c
int sandbox_plan_scratch(struct engine *en, struct sandbox_plan *p, const struct root *root,
                         struct err *e);
int sandbox_plan_groups(struct sandbox_plan *p, struct err *e);  // cgroup_view.c
