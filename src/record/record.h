// SPDX-License-Identifier: Apache-2.0
// A container on disk: made, taken up again, found dead, removed. The life cycle:
//   record_make    run folder, then folder in the store, both locked (killed from here on: the run
//                                                       folder leads the next command to it)
//   record_adopt   the same for one that exists already
//   record_save    config.json                          (killed before: the folder is rubbish; from
//                                                       here on --rm says whether it is)
//   record_live    what is true now, while the program runs
//   record_settle  what is true when it no longer does
//   record_end     run folder gone; with --rm folder, name and its own volumes go too
#pragma once

#include "record/state.h"

struct record {
    char id[RECORD_ID];
    char name[RECORD_NAME];
    bool rm;
    int fd;              // containers/<id>, holds the flock; -1: none
    int run_fd;          // run/containers/<id>, holds a flock as well; -1: none
    bool named;          // containers/names/<name> is ours
    bool running;        // run/containers/<id> is ours
    struct strv volumes; // ids of anonymous volumes
};
#define RECORD_MARK_REMOVING "removing" // a mark in its folder: whoever finds it goes on with that
#define RECORD_NONE ((struct record){.fd = -1, .run_fd = -1})

int record_new_id(char out[RECORD_ID], struct err *e);
int record_make(struct engine *en, struct record *r, struct err *e);
// ERR_CONFLICT when it is alive.
int record_adopt(struct engine *en, const char *id, struct record *r, struct err *e);
// name NULL: a random one. ERR_CONFLICT when it is taken.
int record_name(struct engine *en, struct record *r, const char *name, struct err *e);
// Docker's API writes names with a slash in front, and takes them so; an empty one is none.
static inline const char *record_plain_name(const char *name)
{
    if (name && name[0] == '/') name++;
    return name && name[0] ? name : NULL;
}
void record_free_name(struct engine *en, const struct record *r);
int record_save(const struct record *r, struct sv config, struct err *e);
void record_sync(const struct record *r);
// Notes an anonymous volume, before it is made.
int record_volume(struct record *r, const char *id, struct err *e);
int record_volumes(int dir, struct strv *out, struct err *e);
// Mount points that a start had to make in its layer (paths without a leading '/'): they say nothing
// about what the container changed.
int record_add_stubs(int dir, const struct strv *stubs, struct err *e);
void record_stubs(int dir, struct strv *out);
int record_live(const struct record *r, const struct record_state *state, struct err *e);
int record_settle(const struct record *r, const struct record_state *state, struct err *e);
// Ends the run; with --rm (or `all`) folder and volumes go to the trash and the name is free.
void record_end(struct engine *en, struct record *r, bool all);
void record_purge(struct engine *en, const struct record *r); // deletes what record_end moved away
void record_unlock(struct record *r);
void record_close(struct record *r); // descriptors and memory only

// For who heard of a monitor's death: the kernel closes its socket and lets go of its lock one after
// the other. Waits, two seconds at most, until a sweep will see that it is dead.
void record_await_dead(struct engine *en, const char *id);

// --- between config.c, state.c and record.c ------------------------------------------------------

bool record_is_id(const char *name);
int record_brief_parse(struct sv line, const char *label, struct record_brief *out, struct err *e);
void record_state_settle(struct engine *en, const char *id, struct record_state *s);
// It ran when the machine went down, or was killed. The second notes that it is going down.
bool record_state_was_up(const struct record_state *s);
void record_state_went_down(struct record_state *s);
int record_state_open_init(const struct record_state *s, struct err *e); // a checked pidfd
bool record_is_locked(int dir);
