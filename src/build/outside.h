// SPDX-License-Identifier: Apache-2.0
// A source of ADD that is not in the context: found out what it is now (a commit, a digest), which
// is the step's key, and only when the cache had nothing written out as a tree to copy from.
#pragma once

#include "base/event.h"
#include "build/internal.h"
#include "build/remote.h"

struct build_outside {
    struct build_remote remote;
    char id[CODEC_SHA256_HEX]; // git: the commit; URL: sha256 of the bytes
    char *name;                // URL: of the file
    bool keep_git_dir;
};
// `checksum` may be NULL. With the sha256 of a URL whose bytes are here nothing is asked.
int build_outside_resolve(struct build_job *job, const struct build_remote *r, const char *checksum,
                          struct build_outside *out, struct err *e);
void build_outside_fini(struct build_outside *o);
void build_outside_key(const struct build_outside *o, struct codec_sha256 *h);
// Writes it to a new folder tmp_fd/name; out->root.fd and out->nodes are then the caller's to free.
int build_outside_open(struct build_job *job, const struct build_outside *o, int tmp_fd,
                       const char *name, struct build_tree *out, struct err *e);
// Progress of something that is fetched: `what` tells one from another, and START has its name as
// `text`. done and total are bytes.
void build_outside_event(const struct build_job *job, const char *what, enum event_kind kind,
                         const char *text, uint64_t done, uint64_t total);
