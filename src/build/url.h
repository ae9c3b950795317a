// SPDX-License-Identifier: Apache-2.0
// Files behind URLs, for ADD and for contexts. The registry client downloads (image/remote.h); what
// came is kept at cache/urls/<hash of the URL>/<sha256>, so that a build which knows the digest
// asks nobody. Without a digest a URL is asked in each build, once.
#pragma once

#include "build/internal.h"
#include "build/remote.h"

struct build_url {
    struct oci_digest digest; // of the bytes
    uint64_t size;
    char *name; // what the file is called: by the URL, else by the server; NULL: neither says
};
// want unset: whatever is there now. Bytes with another digest are ERR_INPUT that names both.
// ERR_NOT_FOUND when there is no such file any more.
int build_url_get(struct build_job *job, const struct build_remote *r,
                  const struct oci_digest *want, struct build_url *out, struct err *e);
// The same without a look at what is kept and without a note for this command.
int build_url_ask(struct build_job *job, const struct build_remote *r, struct build_url *out,
                  struct err *e);
void build_url_fini(struct build_url *u);
// The kept bytes, at their beginning; hashed once more. Downloads them when they are not here.
int build_url_open(struct build_job *job, const struct build_remote *r,
                   const struct oci_digest *digest, int *out_fd, struct err *e);
