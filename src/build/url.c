// SPDX-License-Identifier: Apache-2.0
// Files behind URLs. See build/url.h. A file in cache/urls is complete: it was hashed, then renamed
// to its digest. Beside it, <digest>.name is what the server called it, where it did.
#include "build/url.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/num.h"
#include "base/own.h"
#include "image/remote.h"

static void own_remote(struct image_remote **r)
{
    image_remote_close(*r);
}

void build_url_fini(struct build_url *u)
{
    free(u->name);
    memset(u, 0, sizeof *u);
}

// cache/urls/<hash of the URL>, made when it is not there.
static int open_place(struct build_job *job, const struct build_remote *r, int *out_fd,
                      struct err *e)
{
    char hex[CODEC_SHA256_HEX];
    codec_sha256_of(sv_of(r->url), hex);
    own(free) char *path = str_fmt("cache/urls/%s", hex);
    if (fs_mkdirs(job->en->store_fd, path, 0700, e) < 0) return -1;
    *out_fd = fs_open_dir(job->en->store_fd, path, e);
    if (*out_fd < 0) return -1;
    futimens(*out_fd, NULL); // last used now
    return 0;
}

// A name that a server gives is a name, never a path.
static bool name_ok(struct sv name)
{
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] < 0x20 || name.p[i] == '/' || name.p[i] == 0x7f) return false;
    return name.n > 0 && name.n < 256 && !sv_eqz(name, ".") && !sv_eqz(name, "..");
}

static void find_name(const struct build_remote *r, int place, struct build_url *u)
{
    struct err none;
    own(str) struct str text = {.max = 256};
    own(free) char *beside = str_fmt("%s.name", u->digest.hex);
    if (r->name)
        u->name = str_dup(r->name);
    else if (fs_read_at(place, beside, 255, &text, &none) == 0 && name_ok(str_sv(&text)))
        u->name = str_take(&text);
}

// 1: the bytes are here.
static int find(const struct build_remote *r, int place, const struct oci_digest *want,
                struct build_url *out)
{
    struct stat st;
    if (fstatat(place, want->hex, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode)) return 0;
    out->digest = *want;
    out->size = (uint64_t)st.st_size;
    find_name(r, place, out);
    return 1;
}

// --- asking -------------------------------------------------------------------------------------
static int ask(struct build_job *job, const struct build_remote *r, int fd,
               struct transfer_reply *reply, struct err *e)
{
    own(remote) struct image_remote *remote = NULL;
    struct transfer_request q = {.op = TRANSFER_URL_GET};
    if (strlen(r->url) >= sizeof q.url) return err_set(e, ERR_LIMIT, "the URL is too long");
    memcpy(q.url, r->url, strlen(r->url) + 1);
    event_info(&job->en->sink, "downloading '%s'", r->shown);
    if (image_remote_open(job->en, &remote, e) < 0) return -1;
    return image_remote_ask(remote, &q, fd, NULL, NULL, reply, e);
}

static int keep(int tmp, const char *part, int place, const struct build_url *u,
                const struct transfer_reply *reply, struct err *e)
{
    own(free) char *beside = str_fmt("%s.name", u->digest.hex);
    struct sv name = sv_of(reply->name);
    if (name_ok(name) && fs_replace(place, beside, name, 0600, e) < 0) return -1;
    if (renameat(tmp, part, place, u->digest.hex) == 0) return 0;
    return err_sys(e, "keep what was downloaded");
}

static int download(struct build_job *job, const struct build_remote *r,
                    const struct oci_digest *want, struct build_url *out, struct err *e)
{
    struct transfer_reply reply = {0};
    struct oci_digest got;
    own(fd) int place = -1;
    own(free) char *part = str_fmt("url-%d", (int)getpid());
    // By its name: the job's descriptor may belong to another mount namespace.
    own(free) char *folder = str_fmt("tmp/%s", job->tmp.name);
    own(fd) int tmp = fs_open_dir(job->en->store_fd, folder, e);
    if (tmp < 0 || open_place(job, r, &place, e) < 0) return -1;
    unlinkat(tmp, part, 0);
    own(fd) int fd = fs_openat(tmp, part, O_RDWR | O_CREAT | O_EXCL, 0600, e);
    if (fd < 0) return -1;
    // The digest is compared here, so that the error can name both.
    if (ask(job, r, fd, &reply, e) < 0) return -1;
    if (lseek(fd, 0, SEEK_SET) != 0) return err_sys(e, "read what was downloaded");
    if (codec_sha256_fd(fd, &out->size, got.hex, e) < 0) return -1;
    out->digest = got;
    if (want && !oci_digest_eq(want, &got)) {
        err_set(e, ERR_INPUT, "'%s' is sha256:%s, and sha256:%s was asked for", r->shown, got.hex,
                want->hex);
        return err_hint(e, "the file was changed, or the checksum is another file's");
    }
    if (keep(tmp, part, place, out, &reply, e) < 0) return -1;
    find_name(r, place, out);
    return 0;
}

int build_url_ask(struct build_job *job, const struct build_remote *r, struct build_url *out,
                  struct err *e)
{
    if (r->login.n) {
        err_set(e, ERR_INPUT, "'%s': a login in the URL of a file is not used", r->shown);
        return err_hint(e, "download it before the build, or in a RUN with a secret");
    }
    if (download(job, r, NULL, out, e) == 0) return 0;
    build_url_fini(out);
    return -1;
}

// Stages side by side that name the same URL get the same bytes: what was found is noted in the
// job's folder, under a lock.
static int get_once(struct build_job *job, const struct build_remote *r, struct build_url *out,
                    struct err *e)
{
    char hex[CODEC_SHA256_HEX];
    codec_sha256_of(sv_of(r->url), hex);
    own(free) char *note = str_fmt("url-%s", hex);
    own(free) char *lock_name = str_fmt("%s.lock", note);
    own(str) struct str known = {0};
    struct oci_digest digest;
    own(fd) int place = -1;
    own(fd) int lock = fs_openat(job->tmp.fd, lock_name, O_RDWR | O_CREAT, 0600, e);
    if (lock < 0 || fs_lock(lock, LOCK_EX, e) < 0 || open_place(job, r, &place, e) < 0) return -1;
    if (fs_exists(job->tmp.fd, note)) {
        if (fs_read_at(job->tmp.fd, note, 64, &known, e) < 0) return -1;
        if (oci_digest_parse_hex(str_sv(&known), &digest) && find(r, place, &digest, out) == 1)
            return 0;
    }
    if (build_url_ask(job, r, out, e) < 0) return -1;
    return fs_replace(job->tmp.fd, note, sv_of(out->digest.hex), 0600, e);
}

int build_url_get(struct build_job *job, const struct build_remote *r,
                  const struct oci_digest *want, struct build_url *out, struct err *e)
{
    own(fd) int place = -1;
    *out = (struct build_url){0};
    if (!want || !oci_digest_is_set(want)) return get_once(job, r, out, e);
    if (open_place(job, r, &place, e) < 0) return -1;
    if (find(r, place, want, out) == 1) return 0;
    if (download(job, r, want, out, e) == 0) return 0;
    build_url_fini(out);
    return -1;
}

static int open_kept(int place, const struct oci_digest *digest, int *out_fd, struct err *e)
{
    char hex[CODEC_SHA256_HEX];
    own(fd) int fd = fs_openat(place, digest->hex, O_RDONLY | O_NOFOLLOW, 0, e);
    if (fd < 0 || codec_sha256_fd(fd, NULL, hex, e) < 0) return -1;
    if (strcmp(hex, digest->hex) != 0)
        return err_set(e, ERR_CORRUPT, "what was kept of a download is damaged");
    if (lseek(fd, 0, SEEK_SET) != 0) return err_sys(e, "read what was downloaded");
    *out_fd = take_fd(fd);
    return 0;
}

int build_url_open(struct build_job *job, const struct build_remote *r,
                   const struct oci_digest *digest, int *out_fd, struct err *e)
{
    struct err lost;
    struct build_url again = {0};
    own(fd) int place = -1;
    if (open_place(job, r, &place, e) < 0) return -1;
    if (open_kept(place, digest, out_fd, &lost) == 0) return 0;
    unlinkat(place, digest->hex, 0);
    if (build_url_get(job, r, digest, &again, e) < 0) return -1;
    build_url_fini(&again);
    return open_kept(place, digest, out_fd, e);
}
