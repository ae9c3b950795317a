// SPDX-License-Identifier: Apache-2.0
// Trees of git repositories, for ADD and for contexts. A bare copy of each repository is kept at
// cache/git/<hash of its address>, so that a second build fetches only what is new; a branch or a
// tag is asked for in each build (once), a whole commit id never.
#pragma once

#include "build/internal.h"
#include "build/remote.h"

#define BUILD_GIT_ID 65 // a commit id and its NUL

// What the remote's ref means now. A commit that does not begin with remote->commit or `checksum`
// (may be NULL) is ERR_INPUT that names both.
int build_git_resolve(struct build_job *job, const struct build_remote *r, const char *checksum,
                      char commit[BUILD_GIT_ID], struct err *e);
// Has the commit in the store's copy afterwards. ERR_NOT_FOUND when the repository has it no more.
int build_git_fetch(struct build_job *job, const struct build_remote *r, const char *commit,
                    struct err *e);
// Writes the commit's files to a new folder tmp_fd/name (modes 644 and 755, submodules included)
// and opens the folder that r->subdir names. With keep_git_dir the folder gets a .git of its own.
int build_git_checkout(struct build_job *job, const struct build_remote *r, const char *commit,
                       bool keep_git_dir, int tmp_fd, const char *name, int *out_fd, struct err *e);
// When the commit was made (committer's time, seconds). The copy has it already.
int build_git_time(struct build_job *job, const struct build_remote *r, const char *commit,
                   int64_t *out, struct err *e);
