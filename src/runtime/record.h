// SPDX-License-Identifier: Apache-2.0
// A container on disk: made, found dead, removed. The life cycle:
//   record_make   run file, then folder, both locked   (killed from here on: the run file leads the
//                                                       next command to it)
//   record_save   config.json                          (killed before: the folder is rubbish; from
//                                                       here on --rm says whether it is)
//   record_end    run file gone; with --rm folder, name and volumes go too
#pragma once

#include "runtime/internal.h"

struct record {
    char id[RUNTIME_ID];
    char name[132];
    bool rm;
    int fd;            // containers/<id>, holds the flock; -1: none
    int state_fd;      // run/containers/<id>, holds a flock as well; -1: none
    bool named;        // containers/names/<name> is ours
    bool running;      // run/containers/<id> is ours
    struct strv volumes;  // ids of anonymous volumes
};
#define RECORD_NONE ((struct record){.fd = -1, .state_fd = -1})

int record_make(struct engine *en, struct record *r, struct err *e);
// name NULL: a random one. ERR_CONFLICT when it is taken.
int record_name(struct engine *en, struct record *r, const char *name, struct err *e);
int record_save(const struct record *r, struct sv config, struct err *e);
// Notes an anonymous volume, before it is made.
int record_volume(struct record *r, const char *id, struct err *e);
int record_state(const struct record *r, pid_t pid, struct err *e);
int record_exit(const struct record *r, int code, bool oom, struct err *e);
// Ends the run; with --rm (or `all`) folder and volumes go to the trash and the name is free.
void record_end(struct engine *en, struct record *r, bool all);
void record_purge(struct engine *en, const struct record *r);  // deletes what record_end moved away
void record_close(struct record *r);  // descriptors and memory only

// --- volume.c: anonymous volumes ---------------------------------------------------------------
// Makes volumes/<id>/_data, filled from `path` inside the image's root (owner and mode too), and
// adds the id to r->volumes. A folder that the image does not have belongs to the root of `ids`.
// Returns a descriptor of _data.
int volume_make(struct engine *en, struct record *r, const struct root *image, const char *path,
                bool copy, const struct runtime_ids *ids, struct err *e);

// --- monitor.c and client.c: the two ends of one seqpacket socket ------------------------------
enum message_kind {
    MESSAGE_STARTED,  // monitor: the program runs; the pty master comes along with a terminal
    MESSAGE_FAILED,   // monitor: it does not; `err`
    MESSAGE_ENDED,    // monitor: exit code in `value`
    MESSAGE_SIGNAL,   // client: pass signal `value` on to the program
    MESSAGE_COUNT,
};
struct message {
    enum message_kind kind;
    int value;
    struct err err;
};
int message_send(int fd, const struct message *m, int pass_fd);
// 1 a message, 0 end of file. A descriptor that came along goes to *out_fd.
int message_receive(int fd, struct message *m, int *out_fd);

struct monitor {
    struct engine *en;
    struct runtime_spec *spec;
    struct record *record;
    int sock;
    bool interactive;
};
_Noreturn void monitor_run(struct monitor *m);
// Relays until the container ends (*out_code is its exit code) or our terminal vanishes (129).
int client_run(int sock, const struct runtime_run_options *o, int *out_code, struct err *e);
