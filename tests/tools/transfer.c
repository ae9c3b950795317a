// SPDX-License-Identifier: Apache-2.0
// Drives the registry client alone: starts dewar-registry, sends it the requests of the command
// line all at once, and prints one line for each answer.
//
//   transfer [--helper PATH] [--progress] [--tail FILE] [--reader MS] WORDS [, WORDS]...
//
//   WORDS: OP REF [key=value...], e.g.
//     manifest-get localhost:5000/a:latest fd=out.json
//     blob-get localhost:5000/a digest=sha256:... size=5 fd=out [offset=N] [hashed]
//     blob-put localhost:5000/a digest=sha256:... size=5 fd=in [mount=other/repository]
//     manifest-put localhost:5000/a:tag type=... fd=in
//     tags localhost:5000/a fd=out    login localhost:5000/- user=me fd=password
//     url-get - url=http://... fd=out
//   --tail: looks at FILE at each progress, and says "ahead" when it is shorter than was said
//   --reader: of a paced blob-get: waits MS ms, then reads as fast as the file grows, and says by
//   how many bytes at most the file was ahead ("reader ahead=N")
//   --crawl BYTES: that reader reads so many in MS ms until all of the file has come
//   keys: digest size offset type mount user url fd; flags: insecure anonymous hashed paced
//
// An answer: "ID done found digest=... size=... type=... name=... url=... time=...", or "ID failed
// KIND" with the error's frames behind it, each after " | ". Exit status 1 when one failed.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/engine.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/own.h"
#include "base/proc.h"
#include "oci/transfer.h"
#include "tool.h"

static const char *const op_words[TRANSFER_OP_COUNT] = {
    [TRANSFER_MANIFEST_GET] = "manifest-get",
    [TRANSFER_MANIFEST_HEAD] = "manifest-head",
    [TRANSFER_MANIFEST_PUT] = "manifest-put",
    [TRANSFER_MANIFEST_DELETE] = "manifest-delete",
    [TRANSFER_BLOB_GET] = "blob-get",
    [TRANSFER_BLOB_HEAD] = "blob-head",
    [TRANSFER_BLOB_PUT] = "blob-put",
    [TRANSFER_TAGS] = "tags",
    [TRANSFER_SEARCH] = "search",
    [TRANSFER_LOGIN] = "login",
    [TRANSFER_LOGOUT] = "logout",
    [TRANSFER_URL_GET] = "url-get",
};

static int set_text(char *to, size_t size, struct sv v, const char *key, struct err *e)
{
    if (v.n >= size) return err_set(e, ERR_USAGE, "'%s' is too long", key);
    memcpy(to, v.p, v.n);
    to[v.n] = '\0';
    return 0;
}

static int set_flag(struct transfer_request *q, struct sv word, struct err *e)
{
    static const struct {
        const char *word;
        uint32_t flag;
    } flags[] = {{"insecure", TRANSFER_INSECURE},
                 {"anonymous", TRANSFER_ANONYMOUS},
                 {"hashed", TRANSFER_HASHED},
                 {"paced", TRANSFER_PACED}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (sv_eqz(word, flags[i].word)) {
            q->flags |= flags[i].flag;
            return 0;
        }
    return err_set(e, ERR_USAGE, "unknown word '%.*s'", (int)word.n, word.p);
}

static int set_key(struct transfer_request *q, struct sv key, struct sv v, int *fd, struct err *e)
{
    if (sv_eqz(key, "digest")) return oci_digest_parse(v, &q->digest, e);
    if (sv_eqz(key, "type")) return set_text(q->type, sizeof q->type, v, "type", e);
    if (sv_eqz(key, "mount")) return set_text(q->from, sizeof q->from, v, "mount", e);
    if (sv_eqz(key, "user")) return set_text(q->user, sizeof q->user, v, "user", e);
    if (sv_eqz(key, "url")) return set_text(q->url, sizeof q->url, v, "url", e);
    if (sv_eqz(key, "size") && num_u64(v, &q->size)) return 0;
    if (sv_eqz(key, "offset") && num_u64(v, &q->offset)) return 0;
    if (sv_eqz(key, "fd")) {
        own(free) char *path = sv_dup(v);
        *fd = fs_open(path, O_RDWR | O_CREAT, 0600, e);
        return *fd < 0 ? -1 : 0;
    }
    return err_set(e, ERR_USAGE, "bad '%.*s'", (int)key.n, key.p);
}

static int parse_words(char **w, int n, struct transfer_request *q, int *fd, struct err *e)
{
    int op = 0;
    if (n < 2) return err_set(e, ERR_USAGE, "a request is OP REF [key=value...]");
    while (op < TRANSFER_OP_COUNT && strcmp(op_words[op], w[0]) != 0) op++;
    if (op == TRANSFER_OP_COUNT) return err_set(e, ERR_USAGE, "unknown request '%s'", w[0]);
    q->op = (enum transfer_op)op;
    if (strcmp(w[1], "-") != 0 && oci_ref_parse(sv_of(w[1]), &q->ref, e) < 0) return -1;
    if (strcmp(w[1], "-") != 0) oci_ref_default_tag(&q->ref);
    for (int i = 2; i < n; i++) {
        struct sv value = sv_of(w[i]);
        struct sv key = sv_cut(&value, '=');
        if ((value.p ? set_key(q, key, value, fd, e) : set_flag(q, key, e)) < 0) return -1;
    }
    return 0;
}

// What the worker of a pull does, as far as the client can see it.
struct reader {
    long ms; // -1: none
    uint64_t crawl;
    int fd;
    uint64_t size;
};

static int read_along(void *arg, struct err *e)
{
    const struct reader *r = arg;
    uint64_t ahead = 0, at = 0;
    (void)e;
    usleep((useconds_t)r->ms * 1000);
    while (at < r->size) {
        struct stat st;
        if (fstat(r->fd, &st) != 0) return err_sys(e, "stat the file");
        uint64_t have = (uint64_t)st.st_size;
        if (have - at > ahead) ahead = have - at;
        at = r->crawl && have < r->size && at + r->crawl < have ? at + r->crawl : have;
        if (lseek(r->fd, (off_t)at, SEEK_SET) < 0) return err_sys(e, "seek in the file");
        usleep(r->crawl ? (useconds_t)r->ms * 1000 : 1000);
    }
    printf("reader ahead=%llu\n", (unsigned long long)ahead);
    fflush(stdout);
    return 0;
}

static int send_all(int sock, char **w, int n, uint32_t *sent, struct reader *reader, struct err *e)
{
    for (int i = 0; i < n;) {
        int end = i;
        while (end < n && strcmp(w[end], ",") != 0) end++;
        struct transfer_request q = {.version = TRANSFER_VERSION, .id = ++*sent};
        own(fd) int fd = -1;
        if (parse_words(w + i, end - i, &q, &fd, e) < 0) return -1;
        if (transfer_send_request(sock, &q, fd, e) < 0) return -1;
        if (reader->ms >= 0)
            *reader = (struct reader){reader->ms, reader->crawl, take_fd(fd), q.size};
        i = end + 1;
    }
    return 0;
}

static void print_text(const char *key, const char *text)
{
    own(str) struct str s = {0};
    if (!text[0]) return;
    str_add_escaped(&s, sv_of(text));
    printf(" %s=%s", key, str_z(&s));
}

static void print_reply(const struct transfer_reply *r)
{
    static const char *const words[] = {"progress", "notice", "done", "failed"};
    printf("%u %s", r->id, words[r->answer]);
    if (r->answer == TRANSFER_PROGRESS)
        printf(" %llu/%llu", (unsigned long long)r->size, (unsigned long long)r->total);
    if (r->answer == TRANSFER_NOTICE) printf(" %s", r->url);
    if (r->answer == TRANSFER_DONE) {
        if (r->found) printf(" found");
        if (oci_digest_is_set(&r->digest)) printf(" digest=sha256:%s", r->digest.hex);
        printf(" size=%llu", (unsigned long long)r->size);
        print_text("type", r->type);
        print_text("name", r->name);
        print_text("url", r->url);
        if (r->time != INT64_MIN) printf(" time=%lld", (long long)r->time);
    }
    if (r->answer == TRANSFER_FAILED) {
        printf(" %s", err_kind_name(r->err.kind));
        for (unsigned i = 0; i < r->err.frames; i++) print_text("|", err_frame(&r->err, i));
        print_text("hint", r->err.hint);
    }
    putchar('\n');
    fflush(stdout);
}

static void check_tail(const char *path, uint64_t said)
{
    struct stat st;
    if (stat(path, &st) != 0 || (uint64_t)st.st_size < said) printf("ahead %s\n", path);
}

static int receive_all(int sock, uint32_t count, bool progress, const char *tail, struct err *e)
{
    bool failed = false;
    while (count > 0) {
        struct transfer_reply r;
        int got = transfer_receive_reply(sock, &r, e);
        if (got < 0) return -1;
        if (got == 0) return err_set(e, ERR_INTERNAL, "the registry client has ended");
        if (r.answer != TRANSFER_PROGRESS || progress) print_reply(&r);
        if (tail && r.answer == TRANSFER_PROGRESS) check_tail(tail, r.size);
        if (r.answer == TRANSFER_FAILED) failed = true;
        if (r.answer == TRANSFER_FAILED || r.answer == TRANSFER_DONE) count--;
    }
    return failed;
}

static int drive(const char *helper, char **w, int n, bool progress, const char *tail,
                 struct reader reader, struct err *e)
{
    extern char **environ;
    const char *const argv[] = {helper, NULL};
    int pair[2], status;
    uint32_t sent = 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return err_sys(e, "make a pair of sockets");
    own(fd) int ours = pair[0];
    own(fd) int theirs = pair[1];
    struct proc_spec spec = {.argv = argv, .stdin_fd = theirs};
    spec.env = (const char *const *)(uintptr_t)environ;
    struct proc p;
    if (proc_start(&spec, &p, e) < 0) return -1;
    close(take_fd(theirs));
    struct proc_worker reading;
    int rc = send_all(ours, w, n, &sent, &reader, e);
    bool along = rc == 0 && reader.fd >= 0;
    if (along && proc_worker_start(read_along, &reader, &reading, e) < 0) return -1;
    if (rc == 0) rc = receive_all(ours, sent, progress, tail, e);
    close(take_fd(ours));
    if (rc != 0 && along) proc_kill(&reading.proc, SIGKILL);
    struct err wait_err;
    if (along && proc_worker_wait(&reading, &wait_err) < 0 && rc == 0) return *e = wait_err, -1;
    proc_wait(&p, &status, &wait_err);
    return rc;
}

int main(int argc, char **argv)
{
    struct err e = {0};
    char helper[4096] = "";
    bool progress = false;
    const char *tail = NULL;
    struct reader reader = {.ms = -1, .fd = -1};
    int i = 1;
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--progress") == 0) progress = true;
        if (strcmp(argv[i], "--tail") == 0 && i + 1 < argc) tail = argv[++i];
        uint64_t n;
        if (strcmp(argv[i], "--reader") == 0 && i + 1 < argc &&
            num_u64_max(sv_of(argv[++i]), 60000, &n))
            reader.ms = (long)n;
        if (strcmp(argv[i], "--crawl") == 0 && i + 1 < argc && num_u64(sv_of(argv[++i]), &n))
            reader.crawl = n;
        if (strcmp(argv[i], "--helper") == 0 && i + 1 < argc)
            snprintf(helper, sizeof helper, "%s", argv[++i]);
    }
    if (!helper[0] && engine_helper("dewar-registry", helper, sizeof helper, &e) < 0)
        return tool_fail(&e);
    int rc = drive(helper, argv + i, argc - i, progress, tail, reader, &e);
    return rc < 0 ? tool_fail(&e) : rc;
}
