// SPDX-License-Identifier: Apache-2.0
// Sources of ADD from outside. See build/outside.h.
#include "build/outside.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/own.h"
#include "build/git.h"
#include "build/url.h"
#include "image/fetch.h"

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

static int resolve_url(struct build_job *job, const struct build_remote *r, const char *checksum,
                       struct build_outside *out, struct err *e)
{
    struct oci_digest want = {0};
    struct build_url u;
    if (checksum && oci_digest_parse(sv_of(checksum), &want, e) < 0) {
        err_set(e, ERR_INPUT, "--checksum='%s' is no digest of a file", checksum);
        return err_hint(e, "of a URL it is sha256: and 64 hex digits");
    }
    struct oci_digest pinned = {0};
    int rc = oci_digest_is_set(&want) ? build_pin_url_agrees(job, r, &want, e)
                                      : build_pin_url(job, r, &pinned, e);
    if (rc < 0 || build_url_get(job, r, rc == 1 ? &pinned : &want, &u, e) < 0) return -1;
    build_pin_saw_url(job, r, &u.digest, u.size);
    memcpy(out->id, u.digest.hex, sizeof out->id);
    out->name = take_ptr(u.name);
    return 0;
}

int build_outside_resolve(struct build_job *job, const struct build_remote *r, const char *checksum,
                          struct build_outside *out, struct err *e)
{
    if (r->kind == BUILD_REMOTE_GIT) return resolve_git(job, r, checksum, out, e);
    return resolve_url(job, r, checksum, out, e);
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

// A folder with the one file, called as it will be called in the image.
static int open_url(struct build_job *job, const struct build_outside *o, int tmp_fd,
                    const char *name, struct build_tree *out, struct err *e)
{
    struct oci_digest digest;
    own(fd) int in = -1;
    struct stat st;
    // Without a name the destination has one: see step_copy.c.
    const char *file = o->name ? o->name : "file";
    if (!oci_digest_parse_hex(sv_of(o->id), &digest))
        return err_set(e, ERR_INTERNAL, "a download without a digest");
    if (build_url_open(job, &o->remote, &digest, &in, e) < 0) return -1;
    if (fstat(in, &st) != 0 || mkdirat(tmp_fd, name, 0755) != 0)
        return err_sys(e, "make a folder for a download");
    out->root.fd = fs_open_dir(tmp_fd, name, e);
    own(fd) int to =
        out->root.fd < 0 ? -1 : fs_openat(out->root.fd, file, O_WRONLY | O_CREAT | O_EXCL, 0600, e);
    if (to < 0) return -1;
    return fs_copy_bytes(in, to, (uint64_t)st.st_size, e);
}

int build_outside_open(struct build_job *job, const struct build_outside *o, int tmp_fd,
                       const char *name, struct build_tree *out, struct err *e)
{
    *out = (struct build_tree){.is_context = true};
    out->root = (struct root){-1, o->remote.shown};
    int rc = o->remote.kind == BUILD_REMOTE_URL
                 ? open_url(job, o, tmp_fd, name, out, e)
                 : build_git_checkout(job, &o->remote, o->id, o->keep_git_dir, tmp_fd, name,
                                      &out->root.fd, e);
    return rc < 0 ? -1 : build_tree_scan(out, NULL, e);
}

void build_outside_event(const struct build_job *job, const char *what, enum event_kind kind,
                         const char *text, uint64_t done, uint64_t total)
{
    struct oci_digest d = oci_digest_of(sv_of(what));
    bool start = kind == EVENT_START;
    event_emit(&job->en->sink, (struct event){.kind = kind,
                                              .id = image_fetch_event_id(&d),
                                              .name = start ? text : NULL,
                                              .text = sv_of(start ? "" : text),
                                              .done = done,
                                              .total = total});
}
