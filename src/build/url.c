// SPDX-License-Identifier: Apache-2.0
// Files behind URLs. See build/url.h. A file in cache/urls is complete: it was hashed, then renamed
// to its digest. Beside it, <digest>.name is what the server called it, where it did; `latest` says
// which came last.
#include "build/url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/num.h"
#include "base/own.h"
#include "build/mounts.h"
#include "build/outside.h"
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
// A secret of the build, for this host alone: HTTP_AUTH_HEADER_<host> is a whole value of the header
// Authorization, HTTP_AUTH_TOKEN_<host> a token for "Bearer". <host> may have the port.
static int read_authorization(struct build_job *job, const struct build_remote *r,
                              struct transfer_request *q, struct err *e)
{
    struct sv bare = sv_of(r->host);
    long colon = sv_rfind(bare, ':');
    if (colon >= 0 && !sv_ends(bare, "]")) bare = sv_part(bare, 0, (size_t)colon);
    for (int i = 0; i < 4; i++) {
        struct sv host = i % 2 ? bare : sv_of(r->host);
        own(free) char *id = str_fmt("HTTP_AUTH_%s_%.*s", i < 2 ? "HEADER" : "TOKEN", (int)host.n,
                                     host.p);
        own(str) struct str text = {.max = TRANSFER_AUTHORIZATION};
        int rc = build_mounts_secret(job->opt, id, &text, e);
        if (rc < 0) return -1;
        if (rc == 0) continue;
        struct sv value = sv_trim(str_sv(&text));
        int n = snprintf(q->authorization, sizeof q->authorization, "%s%.*s", i < 2 ? "" : "Bearer ",
                         (int)value.n, value.p);
        if (text.p) explicit_bzero(text.p, text.cap);
        if (n < 0 || (size_t)n >= sizeof q->authorization || strpbrk(q->authorization, "\r\n"))
            return err_set(e, ERR_INPUT, "secret '%s' is too long, or has more than a line", id);
        bool here = sv_eqz(bare, "localhost") || sv_starts(bare, "127.") || sv_eqz(bare, "[::1]");
        if (r->way == BUILD_REMOTE_HTTPS || here) return 0;
        return err_set(e, ERR_INPUT, "'%s': secret '%s' is not sent over plain http", r->shown, id);
    }
    return 0;
}

struct progress {
    const struct build_job *job;
    const char *what;
};

static void on_progress(void *arg, const struct transfer_reply *p)
{
    const struct progress *s = arg;
    build_outside_event(s->job, s->what, EVENT_PROGRESS, "", p->size, p->total);
}

static void hint(const struct build_remote *r, struct err *e)
{
    if (strstr(err_cause(e), " answered 401") || strstr(err_cause(e), " answered 403"))
        err_hint(e, "give a token for this host: --secret id=HTTP_AUTH_TOKEN_%s,env=VARIABLE",
                 r->host);
}

// `validator`: of an earlier download, "" none; then reply->found says that nothing has changed.
static int ask(struct build_job *job, const struct build_remote *r, const char *validator, int fd,
               struct transfer_reply *reply, struct err *e)
{
    own(remote) struct image_remote *remote = NULL;
    struct transfer_request q = {.op = TRANSFER_URL_GET};
    if (strlen(r->url) >= sizeof q.url) return err_set(e, ERR_LIMIT, "the URL is too long");
    memcpy(q.url, r->url, strlen(r->url) + 1);
    snprintf(q.validator, sizeof q.validator, "%s", validator);
    if (read_authorization(job, r, &q, e) < 0) return -1;
    own(free) char *name = str_fmt("download %s", r->shown);
    struct progress s = {job, r->url};
    build_outside_event(job, r->url, EVENT_START, name, 0, 0);
    int rc = image_remote_open(job->en, &remote, e);
    if (rc == 0) rc = image_remote_ask(remote, &q, fd, on_progress, &s, reply, e);
    explicit_bzero(q.authorization, sizeof q.authorization);
    if (rc < 0) {
        hint(r, e);
        build_outside_event(job, r->url, EVENT_FAILED, err_cause(e), 0, 0);
        return -1;
    }
    build_outside_event(job, r->url, EVENT_PROGRESS, "", reply->size, reply->size);
    build_outside_event(job, r->url, reply->found ? EVENT_CACHED : EVENT_DONE,
                        reply->found ? "not changed" : "", 0, 0);
    return 0;
}

// --- what came last -----------------------------------------------------------------------------
// "<sha256>\n<validator>\n" in the file `latest`: what a server said last, and how to ask whether it
// is still so.
#define LATEST "latest"

static int read_latest(int place, struct oci_digest *out, char validator[TRANSFER_VALIDATOR])
{
    struct err none;
    own(str) struct str text = {.max = 65 + TRANSFER_VALIDATOR};
    if (fs_read_at(place, LATEST, 65 + TRANSFER_VALIDATOR, &text, &none) < 0) return 0;
    struct sv rest = str_sv(&text), hex = sv_cut(&rest, '\n'), line = sv_cut(&rest, '\n');
    if (!oci_digest_parse_hex(hex, out) || line.n == 0 || line.n >= TRANSFER_VALIDATOR) return 0;
    memcpy(validator, line.p, line.n);
    validator[line.n] = '\0';
    return 1;
}

static void keep_latest(int place, const struct oci_digest *digest, const char *validator)
{
    struct err none;
    own(free) char *text = str_fmt("%s\n%s\n", digest->hex, validator);
    if (validator[0])
        (void)fs_replace(place, LATEST, sv_of(text), 0600, &none);
    else
        unlinkat(place, LATEST, 0);
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

static bool is_whole(int place, const struct oci_digest *digest)
{
    struct err none;
    int fd = -1;
    if (open_kept(place, digest, &fd, &none) < 0) return false;
    close(fd);
    return true;
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

// `unless_same`: asks only for what is newer than what is kept, where the server can tell.
static int download(struct build_job *job, const struct build_remote *r,
                    const struct oci_digest *want, bool unless_same, struct build_url *out,
                    struct err *e)
{
    struct transfer_reply reply = {0};
    struct oci_digest got, had;
    char validator[TRANSFER_VALIDATOR] = "";
    own(fd) int place = -1;
    own(free) char *part = str_fmt("url-%d", (int)getpid());
    // By its name: the job's descriptor may belong to another mount namespace.
    own(free) char *folder = str_fmt("tmp/%s", job->tmp.name);
    own(fd) int tmp = fs_open_dir(job->en->store_fd, folder, e);
    if (tmp < 0 || open_place(job, r, &place, e) < 0) return -1;
    unlinkat(tmp, part, 0);
    own(fd) int fd = fs_openat(tmp, part, O_RDWR | O_CREAT | O_EXCL, 0600, e);
    if (fd < 0) return -1;
    bool kept = unless_same && read_latest(place, &had, validator) == 1 && is_whole(place, &had);
    // The digest is compared here, so that the error can name both.
    if (ask(job, r, kept ? validator : "", fd, &reply, e) < 0) return -1;
    if (kept && reply.found) {
        unlinkat(tmp, part, 0);
        return find(r, place, &had, out) == 1 ? 0 : err_set(e, ERR_CONFLICT, "the download is gone");
    }
    if (lseek(fd, 0, SEEK_SET) != 0) return err_sys(e, "read what was downloaded");
    if (codec_sha256_fd(fd, &out->size, got.hex, e) < 0) return -1;
    out->digest = got;
    if (want && !oci_digest_eq(want, &got)) {
        err_set(e, ERR_INPUT, "'%s' is sha256:%s, and sha256:%s was asked for", r->shown, got.hex,
                want->hex);
        return err_hint(e, "the file was changed, or the checksum is another file's");
    }
    if (keep(tmp, part, place, out, &reply, e) < 0) return -1;
    if (!want) keep_latest(place, &got, reply.validator);
    find_name(r, place, out);
    return 0;
}

static int ask_now(struct build_job *job, const struct build_remote *r, bool unless_same,
                   struct build_url *out, struct err *e)
{
    if (r->login.n) {
        err_set(e, ERR_INPUT, "'%s': a login in the URL of a file is not used", r->shown);
        return err_hint(e, "give it as a secret: HTTP_AUTH_HEADER_%s, for the header Authorization",
                        r->host);
    }
    if (download(job, r, NULL, unless_same, out, e) == 0) return 0;
    build_url_fini(out);
    return -1;
}

int build_url_ask(struct build_job *job, const struct build_remote *r, struct build_url *out,
                  struct err *e)
{
    return ask_now(job, r, false, out, e);
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
    if (ask_now(job, r, true, out, e) < 0) return -1;
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
    if (download(job, r, want, false, out, e) == 0) return 0;
    build_url_fini(out);
    return -1;
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
