// SPDX-License-Identifier: Apache-2.0
// What every verb needs: where the store is, which ids we have, where events go, and the caps on
// outside input. One per command.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/event.h"
#include "base/idmap.h"

// Caps on outside input, checked before anything is allocated.
#define LIMIT_MANIFEST ((size_t)4 << 20)
#define LIMIT_CONFIG ((size_t)4 << 20)
#define LIMIT_JSON_DEPTH 64
#define LIMIT_DOCKERFILE ((size_t)4 << 20)
#define LIMIT_IGNOREFILE ((size_t)1 << 20)
#define LIMIT_ENVFILE ((size_t)4 << 20)
#define LIMIT_PASSWD ((size_t)10 << 20)
#define LIMIT_PAX ((size_t)1 << 20)
#define LIMIT_NAME 4096
#define LIMIT_LAYERS 500
#define LIMIT_TAR_ENTRIES ((uint64_t)20 * 1000 * 1000)
#define LIMIT_LAYER_BYTES ((uint64_t)1 << 40)
#define LIMIT_RATIO 1000  // expanded : compressed, looked at after the first 64 MiB

// A form of ours is at most 31 bytes; one that was made from it (store/shift.h) adds "+..." to it.
#define ENGINE_FORM 64

struct engine {
    int store_fd;             // the store's top folder, 0700
    int run_fd;               // the run folder
    char store_path[4096];    // for messages and `info`; work goes through store_fd
    char run_path[4096];
    char form[ENGINE_FORM];   // on-disk form of unpacked layers, see idmap_form
    struct idmap ids;
    struct event_sink sink;
};

struct engine_options {
    const char *store;  // NULL: $DEWAR_STORE, else the default of the mode
    const char *run;    // NULL: $DEWAR_RUN, else the default
};

// Opens (and makes, 0700) the store and the run folder. Does not enter the user namespace.
int engine_open(struct engine *en, const struct engine_options *opt, struct err *e);
void engine_close(struct engine *en);
static inline void own_engine(struct engine *en)
{
    engine_close(en);
}
// For verbs that touch files inside layers: enters the user namespace in user modes. After it the
// process is id 0 with CAP_SYS_ADMIN over its namespace in every mode. ERR_UNSUPPORTED, with a
// hint, where user namespaces or id ranges are missing.
int engine_enter(struct engine *en, struct err *e);
// The same for who joins a container of the same user: into a user namespace that is there. It must
// have the mapping of en->ids.
int engine_enter_in(struct engine *en, int userns_fd, struct err *e);
// Opens both folders again. Needed after unshare(CLONE_NEWNS): overlayfs and open_tree refuse
// descriptors whose mount belongs to another mount namespace. (engine_enter does it itself.)
int engine_reopen(struct engine *en, struct err *e);
// Path of a file of ours under libexec/dewar/ ("dewar-init"): beside the program, found through
// /proc/self/exe, so that it works installed, moved and from the build folder.
// A copy of the program that runs from elsewhere is told by this variable where the file lies.
#define ENGINE_SELF "DEWAR_SELF"
int engine_helper(const char *name, char *out, size_t size, struct err *e);
