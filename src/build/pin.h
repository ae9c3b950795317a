// SPDX-License-Identifier: Apache-2.0
// A lock at work: what a build, or `dewar lock`, does where a name from outside is found out. Four
// uses: none is there; a plain build compares what it found with it and warns; --locked takes from
// it and asks nobody; `dewar lock` takes from it what need not be asked again and writes a new one.
// (And `dewar verify` reads it: images are taken from it where it has them, so that the plan can be
// made; all else is asked.)
#pragma once

#include "build/lock.h"
#include "build/remote.h"
#include "store/ref.h"

struct build_job;

enum build_pin_use {
    BUILD_PIN_NONE,
    BUILD_PIN_WARN,
    BUILD_PIN_ONLY,
    BUILD_PIN_WRITE,
    BUILD_PIN_CHECK,
};
struct build_pins {
    enum build_pin_use use;
    char *path;              // of the lock: for messages, and to write it; NULL: there is no place
    bool inside;             // it lies in a context that is a copy of ours
    struct build_lock lock;  // as it was read
    struct build_lock fresh; // WRITE: what is found out
    const struct strv *update; // WRITE: names that are asked again; "all"
};
// Finds and reads the lock beside the Dockerfile (`label` as the context gave it), or the one of
// --lock-file. job->pins.use must be WRITE or CHECK already for
// `dewar lock` and `dewar verify`.
int build_pin_open(struct build_job *job, const char *label, struct err *e);
void build_pin_close(struct build_job *job);

// Each: 1 pinned (*out filled), 0 ask, -1 not in the lock of a --locked build.
int build_pin_git(struct build_job *job, const struct build_remote *r, char commit[65],
                  struct err *e);
int build_pin_url(struct build_job *job, const struct build_remote *r, struct oci_digest *out,
                  struct err *e);
// A locked build's Dockerfile may name a digest itself, and not another one than the lock has. 0.
int build_pin_url_agrees(struct build_job *job, const struct build_remote *r,
                         const struct oci_digest *want, struct err *e);
int build_pin_image(struct build_job *job, const char *name, const struct build_lock_image **out,
                    struct err *e);
// What was asked and found: compared, or noted.
void build_pin_saw_git(struct build_job *job, const struct build_remote *r, const char *commit);
void build_pin_saw_url(struct build_job *job, const struct build_remote *r,
                       const struct oci_digest *digest, uint64_t size);
void build_pin_saw_image(struct build_job *job, const char *name, const char *platform,
                         const struct store_ref *ref);
// --locked: fails with the names of all that the lock lacks.
int build_pin_missing(struct build_job *job, const struct strv *names, struct err *e);
// How a repository is called in a lock: address and ref. Heap.
char *build_pin_git_name(const struct build_remote *r);
// Whether the text names one thing for ever: a digest, an ID.
bool build_pin_is_exact(const char *image);
// The key of a result: platform, stage, build arguments. Heap.
char *build_pin_result_name(const struct build_job *job);
