// SPDX-License-Identifier: Apache-2.0
// Sources of ADD from outside. See build/outside.h.
#include "build/outside.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/own.h"
#include "build/git.h"

static bool is_git_checksum(const char *text)
{
    size_t n = strlen(text);
    return n >= 7 && n <= 64 && strspn(text, "0123456789abcdef") == n;
}

static int resolve_git(struct build_job *job, const struct build_remote *r, const char *checksum,
                       struct build_outside *out, struct err *e)
{
    if (checksum && !is_git_checksum(checksum)) {
        err_set(e, ERR_INPUT, "--checksum='%s' is no commit", checksum);
        return err_hint(e, "of a git source it is the commit id, or its first digits (7 at least)");
    }
    return build_git_resolve(job, r, checksum, out->id, e);
}

int build_outside_resolve(struct build_job *job, const struct build_remote *r, const char *checksum,
                          struct build_outside *out, struct err *e)
{
    if (r->kind == BUILD_REMOTE_GIT) return resolve_git(job, r, checksum, out, e);
    return err_set(e, ERR_UNSUPPORTED, "ADD of '%s': files behind URLs are not there yet",
                   r->shown);
}

void build_outside_fini(struct build_outside *o)
{
    build_remote_fini(&o->remote);
    free(o->name);
}

void build_outside_key(const struct build_outside *o, struct codec_sha256 *h)
{
    codec_sha256_addz(h, o->remote.kind == BUILD_REMOTE_GIT ? "git" : "url");
    codec_sha256_addz(h, o->id);
    codec_sha256_addz(h, o->remote.subdir ? o->remote.subdir : "");
    codec_sha256_addz(h, o->name ? o->name : "");
    codec_sha256_addu(h, o->keep_git_dir);
    // The .git of a tree says where it came from.
    codec_sha256_addz(h, o->keep_git_dir ? o->remote.url : "");
}

int build_outside_open(struct build_job *job, const struct build_outside *o, int tmp_fd,
                       const char *name, struct build_tree *out, struct err *e)
{
    *out = (struct build_tree){.is_context = true};
    out->root = (struct root){-1, o->remote.shown};
    if (build_git_checkout(job, &o->remote, o->id, o->keep_git_dir, tmp_fd, name, &out->root.fd,
                           e) < 0)
        return -1;
    return build_tree_scan(out, NULL, e);
}
