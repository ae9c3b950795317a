// SPDX-License-Identifier: Apache-2.0
// What the files of the OCI runtime share.
#pragma once

#include "bundle/bundle.h"
#include "codec/json.h"
#include "oci/runtime_spec.h"
#include "sandbox/plan.h"

// --- bundle/box.c: a container's folder ----------------------------------------------------------
enum bundle_status {
    BUNDLE_CREATING,
    BUNDLE_CREATED,
    BUNDLE_RUNNING,
    BUNDLE_PAUSED,
    BUNDLE_STOPPED,
    BUNDLE_STATUS_COUNT,
};
extern const char *const bundle_status_names[BUNDLE_STATUS_COUNT];
struct bundle_box {
    int root_fd, dir_fd, lock_fd;
    char id[256];
    char *version, *bundle, *rootfs, *created, *boot;
    char *scope; // systemd's unit; NULL: none
    int64_t pid, start_time, owner;
    bool has_hooks;           // poststart or poststop: worth reading the config again
    struct strv groups;       // folders of control groups
    struct codec_json *json;  // what state.json holds; annotations inside
};
#define BUNDLE_BOX_NONE ((struct bundle_box){.root_fd = -1, .dir_fd = -1, .lock_fd = -1})
void bundle_box_fini(struct bundle_box *b);
static inline void own_bundle_box(struct bundle_box *b)
{
    bundle_box_fini(b);
}
int bundle_box_check_id(const char *id, struct err *e);
int bundle_box_root(const struct bundle_context *c, bool make,
                    struct err *e); // descriptor of --root
// A new one, locked. ERR_CONFLICT when the id is taken.
int bundle_box_make(const struct bundle_context *c, const char *id, struct bundle_box *out,
                    struct err *e);
// lock: wait for the lock, for verbs that change something.
int bundle_box_open(const struct bundle_context *c, const char *id, bool lock,
                    struct bundle_box *out, struct err *e);
int bundle_box_note_groups(const struct bundle_box *b, struct err *e); // before they are made
int bundle_box_save(struct bundle_box *b, const struct codec_json *annotations, struct err *e);
enum bundle_status bundle_box_status(const struct bundle_box *b);
// The state object of the specification. pid 0 is left out.
struct codec_json *bundle_box_state(const struct bundle_box *b, enum bundle_status status);
// pidfd of its init; ERR_CONFLICT when it has ended.
int bundle_box_pidfd(const struct bundle_box *b, struct err *e);
int bundle_box_config(const struct bundle_box *b, struct oci_runtime *out, struct err *e);
int bundle_box_remove(struct bundle_box *b, struct err *e);
// Unix socket at NAME in the box's folder.
int bundle_box_listen(const struct bundle_box *b, const char *name, struct err *e);
int bundle_box_connect(const struct bundle_box *b, const char *name, struct err *e);

// --- bundle/hooks.c
// -------------------------------------------------------------------------------- Runs the hooks
// of one kind in our own namespaces, the state on stdin. One that fails ends it; with poststart and
// poststop it is a warning, and the next one follows.
int bundle_hooks_run(const struct oci_runtime *r, enum oci_hook_kind kind,
                     const struct codec_json *state, const struct event_sink *sink, struct err *e);
struct bundle_hook_end {
    int status;     // as waitpid(2) has it
    bool late;      // killed: its time was up
    uint32_t said_n;
    char said[1024];  // the end of what it said on stderr
};
// For both sides. The pipe's first end does not block; it is the second one that the hook gets.
int bundle_hook_pipe(int out[2]);
_Noreturn void bundle_hook_exec(const char *path, char *const *argv, char *const *envp, int in,
                                int said);
void bundle_hook_await(const struct proc *p, int said_fd, int64_t seconds,
                       struct bundle_hook_end *out);
// The child's report of a hook that failed (report.head: how it ended). 0: it is none.
int bundle_hook_error(const struct sandbox_plan *p, const struct report *r, struct err *e);

// --- bundle/send.c
// --------------------------------------------------------------------------------
int bundle_send_terminal(const char *socket_path, const struct oci_process *pr, int master,
                         struct err *e);
// To linux.seccomp.listenerPath; returns when it was read. status_fd: where we hear of the process.
// 1: the receiver lets it wait; that it was executed will not be heard.
int bundle_send_listener(const struct bundle_context *c, const struct bundle_box *box,
                         const struct oci_runtime *r, int64_t pid, int fd, int status_fd,
                         struct err *e);

// --- bundle/cgroup.c
// ------------------------------------------------------------------------------- Makes the
// container's groups and applies linux.resources: first which folders they are, to `groups`; then
// the folders themselves, and descriptors of their cgroup.procs to *out. A folder that a user
// namespace may not make is left out of `groups` again. With --systemd-cgroup `scope` is where we
// came from: bundle_scope_leave when the container is in.
struct bundle_scope {
    char *before, *ours; // groups; NULL: none
    char unit[256];      // "": none
};
int bundle_cgroup_name(const struct bundle_context *c, const struct oci_runtime *r, const char *id,
                       const struct idmap *ids, struct bundle_scope *scope, struct strv *groups,
                       struct err *e);
int bundle_cgroup_make(const struct bundle_context *c, const struct oci_runtime *r, bool in_userns,
                       struct strv *groups, struct sandbox_cgroup *out, struct err *e);
int bundle_cgroup_apply(const struct strv *groups, const struct codec_json *resources,
                        struct err *e);
int bundle_cgroup_open(const struct strv *groups, struct sandbox_cgroup *out, struct err *e);
void bundle_cgroup_remove(const struct strv *groups);
int bundle_cgroup_freeze(const struct strv *groups, bool frozen, struct err *e);
bool bundle_cgroup_frozen(const struct strv *groups);
int bundle_cgroup_pids(const struct strv *groups, struct codec_json *out, struct err *e);
int bundle_cgroup_signal(const struct strv *groups, int sig, struct err *e);
struct codec_json *bundle_cgroup_stats(const struct strv *groups);
bool bundle_cgroup_v2(void);
// For the parts of it. The container's group that has a controller, NULL: none; what a group's tree
// has ("cpu,cpuacct"; "" on v2); files of a group.
const char *bundle_cgroup_of(const struct strv *groups, const char *controller);
struct sv bundle_cgroup_controllers(const char *group);
bool bundle_cgroup_lists(struct sv list, const char *name);
int bundle_cgroup_put(const char *group, const char *file, struct sv value, struct err *e);
int bundle_cgroup_get(const char *group, const char *file, struct str *out);
int bundle_cgroup_absent(const char *what, const char *controller, struct err *e);
// Groups below the container's, as `exec --cgroup` names them: "PATH" or "CONTROLLER[,...]:PATH".
int bundle_cgroup_below(const struct strv *groups, const struct strv *wanted, struct strv *out,
                        struct err *e);
// Of cpu.shares and blkio.weight: 1 to 10000.
int64_t bundle_cgroup_weight(int64_t shares);
int64_t bundle_cgroup_io_weight(int64_t weight);

// --- bundle/scope.c
// --------------------------------------------------------------------------------
struct bundle_scope_name {
    char slice[256], unit[256]; // slice "": the manager's default
};
// "slice:prefix:name", each may be empty; the name is then the container's id.
int bundle_scope_parse(const char *path, const char *id, struct bundle_scope_name *out,
                       struct err *e);
int bundle_scope_enter(const struct idmap *ids, const char *cgroups_path, const char *id,
                       struct bundle_scope *s, char **out_group, struct err *e);
void bundle_scope_leave(struct bundle_scope *s);
// bundle/unit.c: limits as properties of the scope; what systemd does not take is a warning.
void bundle_unit_tell(const struct bundle_context *c, const struct idmap *ids, const char *unit,
                      const struct codec_json *resources);
void bundle_unit_print(const struct codec_json *resources, struct str *out); // "MemoryMax=1\n..."
// bundle/devices.c: the rules of linux.resources.devices, in their order.
int bundle_devices_read(const struct codec_json *list, struct sandbox_device_rules *out,
                        struct err *e);

// --- bundle/mounts.c, bundle/plan.c, bundle/enter.c
// ------------------------------------------------------
struct bundle_option {
    char *key, *value;  // value NULL: a flag
};
enum bundle_row_kind {
    BUNDLE_ROW_BIND, // fd: a detached mount
    BUNDLE_ROW_NEW,  // a new file system, made by the child in its own namespaces
    BUNDLE_ROW_GROUP, // a bind of the folder `source` of the host's control groups
    BUNDLE_ROW_ATTR, // change what is mounted at the target
    BUNDLE_ROW_LINK, // a link named `type` to `source` in the folder `target`
};
struct bundle_row {
    enum bundle_row_kind kind;
    char *target;
    int fd;
    bool dir;
    bool listed;  // a bind that the bundle has in its list: see young_copy
    bool keep_mode;  // a tmpfs takes over the mode of the folder that it covers
    bool strict;  // no links on the way: proc and sysfs
    bool in_groups;  // once the process is in its control groups
    char *type, *source;
    VEC(struct bundle_option) options;
    uint64_t attr;
    bool may_fail;  // a file system that a user namespace may not have
    struct {
        unsigned long flag;
        bool recursive;
    } propagation[4];
    unsigned propagations;
};
struct bundle_node {
    char *path;
    mode_t mode;
    dev_t rdev;
    uint32_t uid, gid;
    int fd;  // detached bind of the host's node; -1: mknod
};
struct bundle_call { // a hook that the child executes
    char **argv, **envp;
    int64_t timeout;
    bool start;  // startContainer, else createContainer
};
struct bundle_plan {
    const struct oci_runtime *config;
    VEC(struct bundle_row) rows;
    VEC(struct bundle_node) nodes;
    VEC(struct bundle_call) calls;
    int null_fd;    // detached: the host's null device, its numbers checked
    int empty_fd;   // detached read-only tmpfs
    int host_proc;  // for where no proc of our own can be made
    int gate_fd;    // listening; -1: no gate
    int host_mnt;   // the mount namespace to go back to; -1: the new one is the container's
    char *rootfs;   // where it lies outside
    bool new_cgroupns, new_net, new_mnt, new_uts;
    bool listed;     // there are such rows
    bool dev_setup;  // '/dev' is ours to fill
    bool ask_hooks;  // the parent has hooks to run, or we need to know our pid
    bool no_pivot;
    bool look_early;                                    // for the program, before the gate
    unsigned long outer_propagation, root_propagation;  // MS_*
    char *state_head[2], *state_tail;                   // JSON around the pid: creating, created
    char *clocks;
};
void bundle_plan_fini(struct bundle_plan *o);
static inline void own_bundle_plan(struct bundle_plan *o)
{
    bundle_plan_fini(o);
}
struct bundle_build { // what planning works on
    const struct bundle_context *context;
    const struct oci_runtime *config;
    const struct bundle_run_options *options;
    const char *bundle;  // absolute
    bool in_userns;      // not in the first one: no mknod, no every file system
    const struct strv *groups;
    bool late_groups;  // the groups are made while the child does its mounts
    int cache_fd;  // for compiled filters
};
void bundle_mount_words(struct codec_json *out); // every option word, for `features`
int bundle_mounts_plan(const struct bundle_build *b, struct sandbox_plan *p, struct bundle_plan *o,
                       struct err *e);
int bundle_plan_make(struct engine *en, const struct bundle_build *b, struct sandbox_spec *spec,
                     struct sandbox_join *join, struct sandbox_plan *p, struct bundle_plan *o,
                     struct err *e);
// The part that exec shares: user, arguments, limits, capabilities, labels.
int bundle_plan_spec(const struct oci_process *pr, const unsigned version[3],
                     const struct event_sink *sink, struct sandbox_spec *s, struct sandbox_plan *p,
                     struct err *e);
const char *bundle_plan_what(const struct sandbox_plan *p, const struct report *r); // for plan.what
int bundle_plan_label(const struct oci_process *pr, char **out_file, char **out_text,
                      struct err *e);
int bundle_plan_personality(const struct oci_runtime *r, struct sandbox_plan *p, struct err *e);
// For `exec`: this process goes to the first CPUs, and the plan has the last ones.
int bundle_plan_affinity(const struct oci_process *pr, struct sandbox_plan *p, struct err *e);
// A new file system, detached. over: the folder whose mode it gets, -1: its own.
int bundle_enter_row(const struct bundle_row *row, int over);
_Noreturn void bundle_enter_walk(const struct sandbox_plan *p);

// --- bundle/attend.c
// --------------------------------------------------------------------------------
// notify: of bundle_notify_listen; -1: none.
int bundle_attend(struct sandbox *s, int pty, int notify, int *out_status, struct err *e);

// --- bundle/verbs.c, bundle/life.c
// --------------------------------------------------------------------
bool bundle_in_userns(void); // the ids that we see are not the machine's own
// Groups, poststop hooks, folder: of a container that has ended. config: as it was at create.
int bundle_box_delete(struct bundle_box *b, const struct oci_runtime *config,
                      const struct event_sink *sink, struct err *e);
