// SPDX-License-Identifier: Apache-2.0
// What the files of this room share and nobody else needs: the plan that the parent makes and the
// child walks, and the small parts it is made of.
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

#include "runtime/container.h"
#include "runtime/join.h"
#include "runtime/sandbox.h"

// --- user.c: who the program runs as, looked up inside the root --------------------------------
struct user_ids {
    uint32_t uid, gid;
    uint32_t *groups;  // supplementary, heap
    size_t n;
    char *home;   // of the passwd entry; NULL when there is none
    char *name;   // NULL when there is no entry
};
void user_ids_fini(struct user_ids *u);
static inline void own_user_ids(struct user_ids *u)
{
    user_ids_fini(u);
}
// text: "name|uid[:group|gid]", NULL or "" is 0:0. `extra` (or NULL) are names or
// numbers of more groups.
int user_find(const struct root *root, const char *text, const struct strv *extra,
              struct user_ids *out, struct err *e);
// Numbers: all digits, 0..2^32-2. 1 a number, 0 not a number (a name), -1 out of range.
int user_number(struct sv text, uint32_t *out, struct err *e);
// The image's /etc/passwd with a line for an unknown user added. Nothing in *out when the user has
// an entry.
int user_passwd_with(const struct root *root, const struct user_ids *u, const char *home,
                     struct str *out, struct err *e);

// --- userns.c: ids of a container's own ---------------------------------------------------------
// "host", "auto[:size=N]", "nomap", "keep-id[:uid=N,gid=N]"; NULL is host.
int userns_option(const char *text, struct runtime_spec *s, struct err *e);
// What cannot be asked for, before anything is made.
int userns_check(struct engine *en, const struct runtime_spec *s, struct err *e);
struct image_view;
// Fills s->ids when the spec asks for a namespace of its own, with what is remembered in it or anew.
// `id`: where to begin to look for a slot, at least eight hex digits. keep-id may give s->user, which
// is looked up in the image.
int userns_take(struct engine *en, const char *id, const struct image_view *im,
                struct runtime_spec *s, struct err *e);
// The mapping alone, of what is remembered in ids: nothing is taken.
void userns_map(const struct engine *en, const struct runtime_spec *s, struct runtime_ids *ids);
// The engine's id for one of the container's. What is not in the mapping stays as it is.
static inline uint32_t userns_uid(const struct runtime_ids *ids, uint32_t inside)
{
    uint32_t id;
    return ids->own && idmap_find(&ids->uid, inside, &id) ? id : inside;
}
static inline uint32_t userns_gid(const struct runtime_ids *ids, uint32_t inside)
{
    uint32_t id;
    return ids->own && idmap_find(&ids->gid, inside, &id) ? id : inside;
}

// --- caps.c ------------------------------------------------------------------------------------
// The bounding set as bits; `last` is the kernel's highest capability.
int caps_plan(const struct runtime_spec *s, uint64_t *out, struct err *e);
int caps_number(struct sv name);  // with or without CAP_, any case; -1 unknown
const char *caps_name(unsigned cap);
uint64_t caps_own(void);  // our own bounding set: nobody can hand on more than that
#define CAPS_LAST 40
struct caps_sets {
    uint64_t bounding, effective, permitted, inheritable, ambient;
};

// --- seccomp.c ---------------------------------------------------------------------------------
// The default filter for a bounding set; heap, n instructions.
struct sock_filter *seccomp_default(uint64_t caps, size_t *out_n);
int seccomp_file(const char *path, uint64_t caps, struct sock_filter **out, size_t *out_n,
                 struct err *e);

// linux.seccomp of an OCI bundle. cache_fd: a folder of ours that keeps compiled filters; -1: none.
struct codec_json;
int seccomp_oci(const struct codec_json *profile, int cache_fd, struct sock_fprog *out,
                unsigned *out_flags, struct err *e);

// --- proc_sys.c --------------------------------------------------------------------------------
struct proc_path {
    const char *path;  // below the file system's root
    bool dir;
};
extern const struct proc_path proc_masked[], sys_masked[];
extern const char *const proc_readonly[];
extern const size_t proc_masked_n, sys_masked_n, proc_readonly_n;
// "net.ipv4.x=1" -> "sys/net/ipv4/x" and "1"; only names that belong to a namespace of the
// container's own. ERR_USAGE otherwise.
int proc_sysctl(const struct runtime_spec *s, const char *text, char **out_path, char **out_value,
                struct err *e);

// --- cgroup.c ----------------------------------------------------------------------------------
#define CGROUP_FDS 16
struct cgroup {
    int join[CGROUP_FDS];  // the child writes "0" to each
    unsigned n;
    char name[RUNTIME_CGROUP]; // as in runtime_sandbox.cgroup; "" when none was needed
};
// Makes what the limits of `s` need. need_devices: restrict device nodes as well (v1, root).
int cgroup_make(struct engine *en, const struct runtime_spec *s, bool need_devices,
                struct cgroup *out, struct err *e);
// Opens the groups of a container that runs, for one more process of it.
int cgroup_open(const char *name, pid_t init, struct cgroup *out, struct err *e);
// Puts a process of ours into them.
int cgroup_move(struct engine *en, const struct cgroup *group, pid_t pid, struct err *e);
void cgroup_close(struct cgroup *c);                 // the descriptors
void cgroup_remove(const char *name, bool *out_oom); // the folders; asks first whether OOM struck
void cgroup_sweep(const char *name); // the same for one who was started by somebody else
// Stops every process of init's pid namespace, in a group that is made for it where there is none:
// `name` (of `size` bytes) is then "dewar-<id>" before and the group's name afterwards.
int cgroup_freeze(struct engine *en, char *name, size_t size, pid_t init, struct err *e);
// Changes the limits of a container that runs. A group that is missing is made, and all processes
// of init's pid namespace go into it; init 0: that is not the container's own, ERR_UNSUPPORTED.
int cgroup_update(struct engine *en, char *name, size_t size, pid_t init,
                  const struct runtime_spec *s, struct err *e);
// How an ordinary user comes to groups on v2; NULL: not at all.
const char *cgroup_way(struct engine *en);
void cgroup_thaw(struct engine *en, const char *name);

// --- the plan ----------------------------------------------------------------------------------
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
    REPORT_STUB,
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

struct plan_mount {
    int fd;          // detached tree
    char *target;
    bool dir;
    bool ours;       // the target must be free of symlinks
};

// Files of the engine's that appear in the container without ever being in a layer.
struct plan_file {
    const char *name;    // below the scratch tmpfs
    const char *target;  // in the root
    bool readonly;
    bool used;
};
enum { PLAN_HOSTS, PLAN_HOSTNAME, PLAN_RESOLV, PLAN_PASSWD, PLAN_FILES };

struct plan_device {
    char *target;  // below /dev: "null", "snd/seq"; otherwise absolute
    mode_t mode;   // with S_IFCHR or S_IFBLK
    dev_t rdev;
    uid_t uid;
    gid_t gid;
    int fd;        // detached bind of the host's node; -1: mknod
};

struct plan_sysctl {
    char *path;
    char *value;
    bool optional;  // one of our defaults: an old kernel may lack it
};

struct plan {
    struct engine *en;
    const struct runtime_spec *spec;
    void (*walk)(const struct plan *p);  // the child's, never returns; NULL: as for an image
    struct plan_oci *oci;  // what only bundles have; NULL: none. Borrowed
    // Reports that only some plans have. `fd` came with it and is taken. 1: that was the last one.
    int (*on_report)(struct plan *p, const struct report *r, struct proc *child, int fd,
                     struct err *e);
    void *on_report_arg;
    // Entering a v1 group waits for all processors, which takes longer than all the mounts: the
    // parent does it meanwhile, and the child asks for the result (enter_wait).
    bool parent_joins;
    const struct idmap_side *map_uid, *map_gid;  // of the new user namespace; NULL: from `ids`
    const struct join *join;  // namespaces to enter first; NULL: none. Borrowed
    pid_t parent;
    bool user_mode;   // the engine is in a user namespace: bind device nodes, do not make them
    bool own_userns;  // the child gets one; what the parent makes is given to its ids
    struct runtime_ids ids;  // the spec's; its descriptors are borrowed
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
    int doorstep_fd;  // helper/doorstep.c in the scratch tmpfs; -1: executed from a sealed copy
    bool cgroup2;     // mount a cgroup2 on /sys/fs/cgroup
    struct plan_file files[PLAN_FILES];
    VEC(struct plan_mount) mounts;
    VEC(struct plan_device) devices;
    VEC(struct plan_sysctl) sysctls;
    struct cgroup cgroup;
    struct user_ids user;
    bool user_given;  // not looked up from the spec's text
    uint64_t caps;  // bounding, and what root gets
    bool sets_given;  // not that, but these
    struct caps_sets sets;
    bool keep_groups;  // setgroups(2) is switched off in the user namespace
    char *label, *label_file;  // text for a file below /proc; NULL: none
    bool keep_keyring;
    unsigned keep_fds;  // this many behind 2 are the program's as well
    struct sock_fprog seccomp;  // len 0: none
    unsigned seccomp_flags;
    char *workdir;
    char **argv;      // borrowed texts, NULL-terminated; with --init two slots in front
    char **envp;
    char **doorstep_argv;  // room for its head, candidates, argv
    struct strv candidates;  // paths to try, in order
    struct strv env;
    char hostname[65];
};

int plan_make(struct engine *en, const struct runtime_spec *spec, const struct runtime_stdio *io,
              struct plan *out, struct err *e);
void plan_fini(struct plan *p);
static inline void own_plan(struct plan *p)
{
    plan_fini(p);
}
// The part about the program alone, for plans of other kinds. root: the container's, to look users
// up in; ids: which ones there are, NULL: the kernel will say.
void plan_begin(struct engine *en, const struct runtime_spec *spec, struct plan *out);
int plan_process(struct plan *p, const struct root *root, const struct idmap *ids,
                 const struct runtime_stdio *io, struct err *e);
int plan_mounts(struct engine *en, struct plan *p, struct err *e);  // mounts.c
int plan_devices(struct engine *en, struct plan *p, struct err *e);  // dev.c
int plan_scratch(struct engine *en, struct plan *p, const struct root *root, struct err *e);

// New detached tmpfs. size 0: the kernel's default.
struct tmpfs_options {
    uint64_t size;
    uint32_t mode;
    uid_t uid;
    gid_t gid;
    uint64_t attr;  // MOUNT_ATTR_*
};
int mounts_tmpfs(const struct tmpfs_options *o, struct err *e);
// Detached recursive copy of what `fd` shows; attributes as in mount_setattr.
int mounts_clone(int fd, bool recursive, bool readonly, uint64_t attr, const char *propagation,
                 struct err *e);

// --- enter.c: the child; never returns ---------------------------------------------------------
_Noreturn void enter_run(const struct plan *p);

// --- join.c ------------------------------------------------------------------------------------
// Raw: for the process between ours and the one that joins. -1 with errno; *out_which says where.
int join_enter(const struct join *j, uint32_t *out_which);
// As proc_fork with the plan's flags, in the plan's namespaces. The parent gets *out.
// With *out left at PROC_NONE it failed inside: the status socket says how.
pid_t join_fork(const struct plan *p, struct proc *out, struct err *e);
const char *oci_plan_what(const struct plan *p, const struct report *r);  // which mount, path ...
// A plan for a program that joins the namespaces of `pid`.
void join_plan(struct plan *p, const struct join *join, pid_t pid);

// --- sandbox.c ---------------------------------------------------------------------------------
// Starts the child of a finished plan and listens until it executed its program.
int sandbox_launch(struct plan *plan, struct strv *stubs, struct runtime_sandbox *out,
                   struct err *e);

// One message; a descriptor that came with it goes to *out_fd. 0: end of file.
int sandbox_receive(int fd, struct report *r, int *out_fd);
// What a REPORT_FAIL means for a person.
int sandbox_error(const struct plan *p, const struct report *r, struct err *e);

// --- parse.c: what people write behind -v, --mount, --tmpfs, --device, --ulimit, --env-file ----
struct parse_volume {
    char *source;  // NULL: anonymous
    char *target;
    bool readonly;
    bool nocopy;
    char *propagation;
};
void parse_volume_fini(struct parse_volume *v);
static inline void own_parse_volume(struct parse_volume *v)
{
    parse_volume_fini(v);
}
int parse_volume(const char *text, struct parse_volume *out, struct err *e);
enum parse_mount_type {
    PARSE_MOUNT_BIND,
    PARSE_MOUNT_TMPFS,
    PARSE_MOUNT_VOLUME,
    PARSE_MOUNT_IMAGE,
    PARSE_MOUNT_COUNT,
};
const char *parse_mount_name(enum parse_mount_type type);  // "bind", ...
// --mount: the rows of `out` are filled in; a volume without a source is anonymous.
int parse_mount(const char *text, enum parse_mount_type *out_type, struct runtime_mount *out,
                struct err *e);
int parse_tmpfs(const char *text, struct runtime_mount *out, struct err *e);
int parse_device(const char *text, struct runtime_device *out, struct err *e);
int parse_ulimit(const char *text, struct runtime_rlimit *out, struct err *e);
// Docker's --env-file: adds "K=V" texts; a key alone copies the caller's variable or is dropped.
int parse_env_file(const char *path, struct strv *out, struct err *e);
int parse_env_text(struct sv text, const char *label, struct strv *out, struct err *e);
bool parse_name_ok(const char *name);  // [a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}
void runtime_mount_fini(struct runtime_mount *m);
