// SPDX-License-Identifier: Apache-2.0
// Containers as everybody but the monitor sees them: where they stand on disk, how one is found,
// read, locked, and how to talk to its monitor. Reading needs neither engine_enter nor any lock.
//
// In the store (survives a reboot)
//   containers/<id>/             0700; flock on this folder: somebody makes, runs or removes it
//     config.json                two lines of JSON: the brief (what a listing shows), then the
//     whole
//                                config: what `inspect` tells and what a start is built from
//     state                      one line of JSON: the last state that must outlive the boot.
//     Absent:
//                                created (or --rm: gone with the run folder)
//     log/                       container.log, container.log.1 ... (log.h)
//     upper/ work/               the writable layer
//     stubs                      mount points that starts made in it, each ending in a NUL
//     v-<id>                     an anonymous volume is ours
//     n-<name>                   we use a volume that has a name (volume.h)
//   containers/names/<name>      symbolic link whose text is the id: names are unique by its
//                                creation (a random name of a --rm container stands in its record)
// In the run folder (ends with the boot)
//   containers/<id>/             flock on this folder = alive; held by the monitor, before that by
//                                whoever starts it
//     state                      one line of JSON, replaced by rename: what is true now
//     sock                       the monitor's socket: message.h
//     tracers                    empty; there when others may trace its processes
//   events, events.1             what happened (event log, store/event.h)
//
// Life: a folder in the store without a live run folder is created, exited or dead. The monitor
// makes `state` in the run folder when the program runs and, before it ends, `state` in the store.
// "running" in the store without a live run folder means that it was killed, or the machine: the
// reader says "exited" with an error text, and whoever holds the lock next writes that down.
// No process number is ever believed alone: alive is the flock, a signal goes through the monitor,
// and where there is none through a pidfd after (boot id, start time, pid) were compared.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/engine.h"
#include "base/map.h"
#include "base/vec.h"
#include "codec/json.h"
#include "oci/image.h"

#define RECORD_ID 65    // 64 hex digits and NUL
#define RECORD_NAME 129 // [a-zA-Z0-9][a-zA-Z0-9_.-]{1,127} and NUL
#define RECORD_CONFIG_MAX ((size_t)4 << 20)
#define RECORD_STOP_TIMEOUT 10 // seconds, where nobody said

enum record_status {
    RECORD_CREATED,
    RECORD_RUNNING,
    RECORD_PAUSED,
    RECORD_RESTARTING,
    RECORD_REMOVING,
    RECORD_EXITED,
    RECORD_DEAD, // what is on disk cannot be read or removed
    RECORD_STATUS_COUNT,
};
const char *record_status_name(enum record_status s);

enum record_health {
    RECORD_HEALTH_NONE,
    RECORD_HEALTH_STARTING,
    RECORD_HEALTH_HEALTHY,
    RECORD_HEALTH_UNHEALTHY,
    RECORD_HEALTH_COUNT,
};
const char *record_health_name(enum record_health h);

enum record_restart {
    RECORD_RESTART_NO,
    RECORD_RESTART_ON_FAILURE,
    RECORD_RESTART_ALWAYS,
    RECORD_RESTART_UNLESS_STOPPED,
    RECORD_RESTART_COUNT,
};
const char *record_restart_name(enum record_restart r);

// --- the record --------------------------------------------------------------------------------

// The first line of config.json.
struct record_brief {
    char id[RECORD_ID];
    char name[RECORD_NAME];
    char *image;     // as it was typed
    char *image_id;  // "sha256:..."
    char *command;   // arguments with blanks between
    int64_t created; // ns since 1970
    bool rm, tty;
};

// One mount as it was asked for or made; `inspect` prints these rows, a start opens them again.
struct record_mount {
    char *type;   // "bind", "volume", "tmpfs", "image"
    char *name;   // of a volume; an anonymous one has 64 hex digits
    char *source; // of a bind: absolute path on the host; of an image: as it was typed
    char *image;  // its ID
    char *target;
    char *propagation;
    char *subpath;
    char *tmpfs;  // what stood behind --tmpfs PATH: ; NULL: it was another option
    char *asked;  // "volume", "mount": by that option; NULL: by the image or another container
    bool anonymous; // goes with the container (rm -v, --rm)
    bool readonly, nonrecursive, nocopy, noexec, nosuid, nodev;
    bool toponly;   // readonly does not reach what is mounted below it
    bool writable;  // an image: with a layer of the container's own on top
    struct strv options, labels;  // of a volume that is made for it: "K=V"
    int64_t size, mode, uid, gid; // of a tmpfs; mode 0: 01777
};
struct record_mounts {
    struct record_mount *p;
    size_t n;
    size_t cap;
};

// The second line. Texts are as Docker's inspect has them; nothing here needs the image any more.
struct record_config {
    struct record_brief brief;
    // the program
    struct strv args;            // what is executed
    struct strv entrypoint, cmd; // where it came from
    bool has_entrypoint;
    struct strv env;
    char *user, *workdir, *hostname, *domainname;
    bool tty, interactive, stdin_once, init;
    int64_t attach; // what whoever made it was attached to: MESSAGE_IN, _OUT, _ERR
    struct map labels;    // heap texts
    char *stop_signal;    // NULL: SIGTERM
    int64_t stop_timeout; // seconds; -1: the default
    struct oci_health health;
    enum record_restart restart;
    int64_t restart_max;  // of on-failure; 0: no end
    char *log_driver;     // "json-file", "local", "none"
    struct strv log_opts; // "max-size=10m"
    // what it sees
    struct record_mounts volumes;
    struct strv volumes_from;  // as typed; their mounts are among the volumes
    char *network;                                      // as asked: "none", "host", ...
    struct strv ports;                                  // as behind -p
    struct strv exposed;                                // "80/tcp"
    char *pid_mode, *ipc_mode, *uts_mode, *userns_mode; // "", "host", "private", "container:<id>"
    struct strv hosts_extra, groups_add, devices, sysctls, ulimits;
    struct strv dns, dns_search, dns_options;
    struct strv annotations; // "K=V"
    bool readonly;
    int64_t shm_size;
    // what it may
    struct strv cap_add, cap_drop, security;
    bool privileged;
    bool has_oom_score_adj;
    int64_t oom_score_adj;
    // resources, 0: not set
    int64_t memory, memory_swap, cpu_shares, nano_cpus, pids_limit;
    int64_t memory_reservation, cpu_quota, cpu_period, blkio_weight;
    struct strv device_rules; // "c 1:5 rwm"
    struct strv disk_limits;  // "read-bps=/dev/sda:1mb", as sandbox_disk_parse has them
    char *cpuset_cpus, *cpuset_mems;
    char *cgroup_parent, *cgroupns; // NULL: below our own; private
    int64_t cpu_rt_period, cpu_rt_runtime;
    bool oom_kill_disable, has_swappiness;
    int64_t memory_swappiness;
    // where it is
    char *cidfile;
    char *form;               // of its layers; another user or mapping cannot start it
    int64_t ids_uid, ids_gid; // first ids of a slot of its own; 0: none
    int64_t ids_n;            // how many
    bool keep;                // --userns keep-id: these two are the caller
    int64_t keep_uid, keep_gid;
};
void record_config_fini(struct record_config *c);
static inline void own_record_config(struct record_config *c)
{
    record_config_fini(c);
}
void record_brief_fini(struct record_brief *b);
// Both lines, as they stand on disk.
int record_config_parse(struct sv text, const char *label, struct record_config *out,
                        struct err *e);
void record_config_print(const struct record_config *c, struct str *out);
int record_config_load(struct engine *en, const char *id, struct record_config *out, struct err *e);

// --- the state ---------------------------------------------------------------------------------

struct record_state {
    enum record_status status;
    pid_t pid;          // init, in the caller's pid namespace; 0: none
    uint64_t pid_start; // its start time, field 22 of /proc/PID/stat
    pid_t monitor;
    char boot[37];             // these numbers mean something in this boot only
    int64_t started, finished; // ns since 1970; 0: never
    int code;
    bool oom;
    bool stopped; // by a person: no restart, and unless-stopped stays down at a boot
    int64_t restarts;
    char error[512];
    char cgroup[512]; // "" when it has none; on v2 a path below the mount
    enum record_health health;
    int64_t health_streak; // failures in a row
};
int record_state_parse(struct sv text, const char *label, struct record_state *out, struct err *e);
void record_state_print(const struct record_state *s, struct str *out);
// What is true now, as above. ERR_NOT_FOUND when the container is gone meanwhile.
int record_state_load(struct engine *en, const char *id, struct record_state *out, struct err *e);
// The last probes, newest last: [{"Start","End","ExitCode","Output"}]; NULL when there were none.
struct codec_json *record_health_log(struct engine *en, const char *id);
static inline bool record_status_alive(enum record_status s)
{
    return s == RECORD_RUNNING || s == RECORD_PAUSED || s == RECORD_RESTARTING;
}

// --- finding -----------------------------------------------------------------------------------

// The one place where a text that a person or program typed becomes an id: a full id, a name, or
// the beginning of exactly one id. ERR_NOT_FOUND ("No such container: x"), ERR_CONFLICT for a
// beginning that fits several. Anything that is neither a name nor hex digits is not found.
int record_find(struct engine *en, const char *text, char out_id[RECORD_ID], struct err *e);
bool record_name_ok(const char *name); // for a new container

struct record_row {
    struct record_brief brief;
    struct record_state state;
};
struct record_rows {
    struct record_row *p;
    size_t n;
    size_t cap;
};
// Newest first. Only those alive unless `all`. A record that cannot be read becomes a row with
// RECORD_DEAD and its error text and never hides the others. 12 us a container.
int record_list(struct engine *en, bool all, struct record_rows *out, struct err *e);
void record_rows_fini(struct record_rows *v);
static inline void own_record_rows(struct record_rows *v)
{
    record_rows_fini(v);
}

// --- for verbs ---------------------------------------------------------------------------------

// Connects to the monitor. ERR_CONFLICT ("Container x is not running") when there is none. The
// socket is SOCK_SEQPACKET; see message.h.
int record_connect(struct engine *en, const char *id, struct err *e);
// A pidfd of the container's init, checked against boot id and start time; *out is its state. Enter
// its namespaces with setns on this. ERR_CONFLICT when it does not run or is paused.
int record_init_open(struct engine *en, const char *id, struct record_state *out, struct err *e);
// Changes the config of a container, alive or not: loads it, calls `change`, writes it by rename.
// A live monitor is told to read it again.
int record_config_change(struct engine *en, const char *id,
                         int (*change)(struct record_config *c, void *arg, struct err *e),
                         void *arg, struct err *e);
// Opens containers/<id> in the store and takes its lock, waiting for a moment: nobody starts or
// removes it meanwhile. ERR_CONFLICT when it is alive. Returns the descriptor.
int record_lock(struct engine *en, const char *id, struct err *e);
// containers/<id>, to read or to add files of your own. Returns the descriptor.
int record_dir(struct engine *en, const char *id, struct err *e);
// run/containers/<id> of a live container.
int record_run_dir(struct engine *en, const char *id, struct err *e);
// Notes that somebody who does not come from its record shares the process namespace of a live
// container and may trace what is in it. Kept until it ends.
int record_tracers_note(struct engine *en, const char *id, struct err *e);
bool record_tracers(struct engine *en, const char *id);

// Frees what containers with --rm left behind when their monitor was killed, and notes how the others
// ended. Cheap when there is nothing to do: every command that uses containers begins with it. Before
// or after engine_enter.
int record_sweep(struct engine *en, struct err *e);
