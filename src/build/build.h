// SPDX-License-Identifier: Apache-2.0
// The verb `build`: a Dockerfile and a context become an image in the store (or a folder, a tar, an
// archive). One function, one options struct whose all-zero value is the default; faces print.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/engine.h"
#include "base/vec.h"
#include "image/registry.h"
#include "oci/digest.h"

enum build_timestamps {
    BUILD_TIMES_LOGICAL,  // epoch + i seconds for the i-th file-system step of a stage
    BUILD_TIMES_NOW,      // the wall clock: not reproducible, asked for
    BUILD_TIMES_COUNT,
};

struct build_options {
    const char *context;     // folder, or "-" for stdin (a Dockerfile or a tar); NULL: "."
    const char *file;        // -f: NULL is <context>/Dockerfile, "-" is stdin
    const char *target;
    const char *platform;
    const char *network;     // default|host|none for RUN; NULL: host
    const char *timestamp;   // seconds since 1970 or "git"; NULL: SOURCE_DATE_EPOCH or the base's
    enum build_timestamps timestamps;
    const struct strv *tags, *build_args, *labels, *annotations, *secrets, *ssh, *contexts, *add_hosts;
    const struct strv *ulimits, *no_cache_filter, *outputs, *allow;
    const struct strv *proxies;  // "K=V": build args of the machine, not of the build; weaker than those
    const struct strv *cache_from, *cache_to;  // see cachespec.h
    const char *iidfile, *metadata_file;
    bool push;               // every tag, when the image is in the store
    enum image_pull_policy pull;
    bool insecure;           // --tls-verify=false, for images that come and go
    bool locked;             // take what the lock has and ask nobody
    const char *lock_file;   // NULL: beside the Dockerfile
    bool no_cache;
    bool no_scrub;
    bool shell_on_fail;
    // Of RUN steps, in no key.
    uint64_t shm_size, memory, cpu_shares;
    int64_t cpu_period, cpu_quota;  // microseconds
    const char *memory_swap;        // of memory and swap together; "-1": no limit
    const char *cpuset_cpus, *cpuset_mems;
    const struct strv *security;  // --security-opt
    unsigned jobs;           // parallel steps; 0: one per CPU, at least 2
};

struct build_result {
    struct oci_digest image;     // the image ID; unset when only files were exported
    struct oci_digest manifest;
    struct oci_digest context;   // --locked: of the context's files; unset when none were wanted
    unsigned steps, cached;
    bool to_stdout;              // an archive went there: nothing else may
    char excerpt[2048];          // on failure: the place in the Dockerfile, ready to print
};

int build_image(struct engine *en, const struct build_options *opt, struct build_result *out,
                struct err *e);
// --check-repro: builds twice from nothing under different conditions; *out_report lists, file by
// file, what differed ("" when equal). 0 equal, 1 different.
int build_check_repro(struct engine *en, const struct build_options *opt, struct build_result *out,
                      struct str *out_report, struct err *e);

enum build_call {
    BUILD_CALL_BUILD,
    BUILD_CALL_CHECK,
    BUILD_CALL_OUTLINE,
    BUILD_CALL_TARGETS,
    BUILD_CALL_COUNT,
};
// --call: reads the Dockerfile only. Returns the exit status (check: 1 when `error=true` and
// something was found).
int build_call(struct engine *en, const struct build_options *opt, enum build_call call,
               bool json, struct str *out, struct err *e);
