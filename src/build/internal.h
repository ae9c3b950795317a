// SPDX-License-Identifier: Apache-2.0
// What the parts of the builder share: the job (one command), its stages, and the state that a stage
// carries from step to step. The way of a build:
//
//   context.c  opens the context and reads the Dockerfile
//   plan.c     stages, what each is built from, which are needed
//   solve.c    runs needed stages side by side, each in a worker process; knows no instruction: it
//              is handed keyed operations, looks them up, or applies and commits them
//   stage.c    walks one stage's instructions: metadata changes the config, the rest become
//   step_*.c   operations
//   export.c   the result: an image in the store, a folder, a tar, an archive
#pragma once

#include "base/engine.h"
#include "base/map.h"
#include "base/vec.h"
#include "build/build.h"
#include "build/context.h"
#include "build/copy.h"
#include "build/dockerfile.h"
#include "build/instr.h"
#include "build/output.h"
#include "build/pin.h"
#include "codec/hash.h"
#include "oci/image.h"
#include "store/layer.h"
#include "store/tmp.h"

#define BUILD_EPOCH_FLOOR INT64_C(315532800)  // 1980-01-01T00:00:00Z
#define BUILD_STAGES_MAX 1000

enum build_base {
    BUILD_BASE_SCRATCH,
    BUILD_BASE_STAGE,
    BUILD_BASE_IMAGE,
    BUILD_BASE_CONTEXT,  // a --build-context folder as a base
};

struct build_stage {
    size_t index;
    char *name;   // NULL when it has none
    char *shown;  // "build" or "stage-1"
    const struct build_instr *from;
    struct build_from base;  // expanded
    enum build_base base_kind;
    size_t base_stage;   // BUILD_BASE_STAGE
    size_t base_context;  // BUILD_BASE_CONTEXT
    char *base_image;    // BUILD_BASE_IMAGE: as it is named
    struct oci_digest base_id;  // ... and which one that is
    VEC(const struct build_instr *) steps;  // ONBUILD triggers of the base first
    VEC(struct build_instr *) triggers;     // owned
    unsigned counted;  // steps that touch files, FROM included
    bool needed;
    int done_rd, done_wr;  // end of file on done_rd: the stage ended, well or badly
};

struct build_job {
    struct engine *en;
    const struct build_options *opt;
    struct build_result *result;
    struct build_file file;
    struct map build_args;  // --build-arg
    struct map bases;       // images that were asked for already; see base.h
    struct map globals;     // ARGs before the first FROM and automatic ones
    VEC(struct build_context) contexts;  // [0] is the main one
    VEC(struct build_stage) stages;
    size_t target;
    struct oci_platform platform;
    bool foreign;  // not this machine's: only looked at, for a lock
    struct store_tmp tmp;
    bool epoch_given;
    int64_t epoch;
    int tokens[2];  // a pipe with one byte per step that may run at the same time
    struct build_pins pins;  // the lock, see pin.h
    struct build_outputs outs;  // of -t, --push and --output
    struct build_imports *imports;  // of --cache-from, see cacheimport.h; NULL: none
};

// What a stage hands on: to its next step, to stages built on it, to the export.
struct build_state {
    struct oci_image image;
    VEC(struct store_layer) layers;  // bottom first; without an id: not in the store yet
    struct oci_digest chain;         // of all layers; unset for none
    int64_t now;                     // the logical clock
    bool constant;
    struct map args;                 // declared ARGs with their values
    struct strv arg_names;           // in the order declared
    struct strv copied;              // "path\tdigest" of files that COPY brought: see step_run.c
    size_t seen;                     // how many of them a RUN has seen already
    bool ran;                        // a RUN came before: what it made may depend on them
    int64_t newest;                  // no file of the base image should be newer than this
};
void build_state_fini(struct build_state *s);
static inline void own_build_state(struct build_state *s)
{
    build_state_fini(s);
}

// One stage while it runs, in its worker.
struct build_work {
    struct build_job *job;
    struct build_stage *stage;
    struct build_state *state;
    struct store_tmp tmp;     // of this worker
    const struct build_instr *instr;
    unsigned number;          // of the current counted step
    uint64_t id;              // of the unit of work in events
    char *label;              // "[build 2/5] RUN make"
    unsigned serial;          // names folders in tmp
    struct str records;       // cache records to write once the store is synced
    struct str notes;         // what belongs into an exported cache, see cacheexport.h
    unsigned cached, done;
};

// --- build.c --------------------------------------------------------------------------------------
// Opens a store's temporary folder and locks for `fn`, and closes what it opened in the job. job has
// en, opt and result.
int build_with_job(struct build_job *job, int (*fn)(struct build_job *job, void *arg, struct err *e),
                   void *arg, struct err *e);
// Contexts, lock, Dockerfile, plan: all that comes before the first step.
int build_prepare(struct build_job *job, struct err *e);

// --- plan.c ---------------------------------------------------------------------------------------
int build_plan(struct build_job *job, struct err *e);
void build_plan_fini(struct build_job *job);
// Stage by name (any case) or number, only those before `before`; -1: none.
long build_plan_stage(const struct build_job *job, const char *name, size_t before);
// Where error=true is asked for (# check=), a build check that fails is an error of the build.
int build_call_demand(struct engine *en, const struct build_options *opt,
                      const struct build_context *context, const struct build_file *f,
                      struct err *e);
bool build_plan_is_number(const char *name);
long build_plan_context(const struct build_job *job, const char *name);  // -1: none
const char *build_plan_global(void *job, const char *name);  // for build_expand: globals

// --- state.c --------------------------------------------------------------------------------------
void build_state_init(struct build_state *s);
void build_state_copy(struct build_state *to, const struct build_state *from);
void build_state_add_layer(struct build_state *s, const struct store_layer *l);
int build_state_save(const struct build_state *s, int dirfd, const char *name, struct err *e);
int build_state_load(struct build_job *job, const char *name, struct build_state *out,
                     struct err *e);
const char *build_state_get(void *state, const char *name);  // ENV, then ARG
void build_state_history(struct build_state *s, const char *created_by, bool empty);

// --- solve.c --------------------------------------------------------------------------------------
struct build_op {
    struct codec_sha256 key;  // inputs of the operation; the solver adds parent, time and options
    char *created_by;         // for history; owned by the caller
    bool independent;         // the result does not depend on what lies below (COPY --link)
    bool commit_times;        // false: times are left as they are (--timestamps=now)
    // Changes the root. `folder` is the step's own folder in tmp (for mounts and files).
    int (*apply)(struct build_work *w, const struct root *root, int folder, void *arg,
                 struct strv *stubs, struct err *e);
    void *arg;
    const bool *unstable;     // a source changed while it was read: not to be remembered; or NULL
    bool scrub;               // leave out what package managers write anew each time (RUN)
    struct strv *touched;     // files whose time apply changed; may be NULL
    struct strv *written;  // files written by COPY, to be remembered; may be NULL
};
int build_solve_step(struct build_work *w, struct build_op *op, struct err *e);
int build_solve_stages(struct build_job *job, struct err *e);
// Waits for another stage and loads its result.
int build_solve_wait(struct build_work *w, size_t stage, struct build_state *out, struct err *e);
void build_solve_token(struct build_work *w, bool take);
// A read-only root of layers, which are brought into the store when they are not there yet.
int build_solve_view(struct build_work *w, struct build_state *s, int *out_fd, struct err *e);

// --- stage.c --------------------------------------------------------------------------------------
int build_stage_run(struct build_work *w, struct err *e);
// Does what an instruction says about the config alone; nothing for one that touches files.
int build_stage_meta(struct build_work *w, const struct build_instr *in, struct err *e);
struct build_expand build_stage_expand(struct build_work *w);
// Absolute path of `path` under the current WORKDIR, cleaned; a trailing slash is kept.
void build_stage_path(const struct build_work *w, const char *path, struct str *out);
// Whether files of other stages or images may be asked for from here on: by this step or a later one,
// or because another stage stands on this one.
bool build_stage_borrows(const struct build_work *w);
void build_stage_env(const struct build_work *w, struct strv *out);  // ENV and ARG as RUN sees them

// --- step_*.c -------------------------------------------------------------------------------------
int build_step_run(struct build_work *w, const struct build_instr *in, struct err *e);
int build_step_copy(struct build_work *w, const struct build_instr *in, struct err *e);
int build_step_workdir(struct build_work *w, const char *path, const char *created_by,
                       struct err *e);
// A tree named by --from: stage, context, image. Views stay open until build_source_close.
struct build_source {
    struct build_tree *tree;
    struct build_context *context;  // NULL: layers
    struct build_tree own;          // for layers
    struct build_state state;
    struct oci_digest chain;        // of the layers
    char *label;                    // for messages: "stage 'a'"
};
int build_source_open(struct build_work *w, const char *from, struct build_source *out,
                      struct err *e);
void build_source_close(struct build_work *w, struct build_source *s);
// Hash of what `spec` selects, by way of a record when the layers are known.
int build_source_hash(struct build_work *w, struct build_source *s, const struct build_copy *spec,
                      struct build_picks *picks, bool *out_picked, char hex[CODEC_SHA256_HEX],
                      struct err *e);
int build_source_scan(struct build_work *w, struct build_source *s, const struct build_copy *spec,
                      struct build_picks *picks, struct err *e);

// --- export.c -------------------------------------------------------------------------------------
int build_export(struct build_job *job, const struct build_state *s, struct err *e);
