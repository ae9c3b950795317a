// SPDX-License-Identifier: Apache-2.0
// The helper protocol: one word as argument (get, store, erase, list), a server name or JSON on
// stdin, JSON or a message on stdout, exit status. A secret goes through pipes only, never through
// an argument or the environment; what the helper says is bounded in bytes and time; and its words
// appear in errors only when it failed, when they are a message and not an answer.
#include "registry/helper.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/own.h"
#include "base/proc.h"
#include "codec/json.h"

#define PREFIX "docker-credential-"
#define NAME_MAX_BYTES 64
#define OUTPUT_MAX ((size_t)1 << 20) // `list` of a large keychain
#define MESSAGE_MAX 200
// A person may have to unlock a keychain or to touch a key meanwhile.
#define WAIT_NS (120LL * 1000 * 1000 * 1000)

static void wipe_str(struct str *s)
{
    if (s->p) explicit_bzero(s->p, s->cap);
    str_fini(s);
}
static inline void own_wipe_str(struct str *s)
{
    wipe_str(s);
}

static bool valid_name(struct sv name)
{
    if (name.n == 0 || name.n > NAME_MAX_BYTES || !isalnum((unsigned char)name.p[0])) return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!isalnum((unsigned char)c) && c != '.' && c != '_' && c != '-') return false;
    }
    return true;
}

static bool usable(const char *path, mode_t type)
{
    struct stat st;
    struct err ignored = {0};
    own(fd) int fd = fs_open(path, O_PATH, 0, &ignored);
    return fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == type &&
           !(st.st_mode & S_IWOTH) && (st.st_mode & 0111);
}

// Absolute path of the helper; NULL with *e.
static char *find_program(struct sv name, struct err *e)
{
    const char *path = getenv("PATH");
    struct sv rest = sv_of(path ? path : "");
    if (!valid_name(name)) {
        err_set(e, ERR_INPUT, "'%.*s' is not the name of a credential helper",
                (int)(name.n < 100 ? name.n : 100), name.p);
        err_hint(e, "'x' in credsStore or credHelpers means a program " PREFIX "x in PATH");
        return NULL;
    }
    while (rest.n) {
        struct sv dir = sv_cut(&rest, ':');
        if (dir.n == 0 || dir.p[0] != '/') continue;
        own(free) char *folder = sv_dup(dir);
        own(free) char *full = str_fmt("%s/" PREFIX "%.*s", folder, (int)name.n, name.p);
        if (usable(full, S_IFREG) && usable(folder, S_IFDIR)) return take_ptr(full);
    }
    err_set(e, ERR_NOT_FOUND, "the credential helper '" PREFIX "%.*s' is not in PATH", (int)name.n,
            name.p);
    err_hint(e, "install it, or take its name out of credsStore and credHelpers");
    return NULL;
}

// A helper that closes its stdin early must not end us. Nothing gives way in between, since the
// mask is everybody's.
static ssize_t feed_some(int fd, struct sv in)
{
    sigset_t pipe_set, old;
    const struct timespec now = {0};
    sigemptyset(&pipe_set);
    sigaddset(&pipe_set, SIGPIPE);
    sigprocmask(SIG_BLOCK, &pipe_set, &old);
    ssize_t n = in.n ? write(fd, in.p, in.n) : 0;
    int why = errno;
    while (n < 0 && why == EPIPE && sigtimedwait(&pipe_set, NULL, &now) > 0) {
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
    errno = why;
    return n;
}

// 1: the helper said something or nothing yet, 0: it has closed its stdout.
static int collect(int from, struct str *out, struct err *e)
{
    char buf[4096];
    ssize_t n = read(from, buf, sizeof buf);
    if (n < 0) return errno == EINTR ? 1 : err_sys(e, "read");
    if (n == 0) return 0;
    str_add(out, (struct sv){buf, (size_t)n});
    explicit_bzero(buf, sizeof buf);
    return str_check(out, e) < 0 ? -1 : 1;
}

static int wait_for(struct task_loop *tasks, struct pollfd *p, size_t n, int64_t end, struct err *e)
{
    int64_t left = (end - clock_mono_ns()) / 1000000;
    if (left <= 0) return err_set(e, ERR_LIMIT, "no answer in %d s", (int)(WAIT_NS / 1000000000));
    if (task_poll(tasks, p, n, left + 1) < 0 && errno != EINTR) return err_sys(e, "poll");
    return 0;
}

// Feeds `in` and collects at most OUTPUT_MAX bytes, until the helper closes its stdout and ends.
static int talk(struct task_loop *tasks, int to, int from, int pidfd, struct sv in, struct str *out,
                struct err *e)
{
    int64_t end = clock_mono_ns() + WAIT_NS;
    own(fd) int feed = to;
    struct pollfd gone = {.fd = pidfd, .events = POLLIN};
    if (fcntl(feed, F_SETFL, O_NONBLOCK) != 0) return err_sys(e, "fcntl");
    for (int rc = 1; rc > 0;) {
        struct pollfd p[2] = {{.fd = from, .events = POLLIN}, {.fd = feed, .events = POLLOUT}};
        if (wait_for(tasks, p, 2, end, e) < 0) return -1;
        if (feed >= 0 && p[1].revents) {
            ssize_t n = feed_some(feed, in);
            if (n > 0) in = sv_from(in, (size_t)n);
            // A helper that does not read its input (EPIPE) may still answer.
            if (in.n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) close(take_fd(feed));
        }
        if (p[0].revents && (rc = collect(from, out, e)) < 0) return -1;
    }
    while (!gone.revents)
        if (wait_for(tasks, &gone, 1, end, e) < 0) return -1;
    return 0;
}

static int start(const char *program, const char *verb, int in, int out, struct proc *p,
                 struct err *e)
{
    const char *const argv[] = {program, verb, NULL};
    struct proc_spec spec = {.argv = argv, .stdin_fd = in, .stdout_fd = out};
    spec.env = (const char *const *)(uintptr_t)environ;
    // Its stderr is the person's (a PIN to type, a key to touch), but a list is asked on the side.
    if (strcmp(verb, "list") == 0) spec.stderr_fd = PROC_NULL;
    return proc_start(&spec, p, e);
}

// Runs one verb. 1 it ended well, 0 it ended with an error status; its words are in `out`.
static int call(struct task_loop *tasks, struct sv name, const char *verb, struct sv in,
                struct str *out, struct err *e)
{
    own(free) char *program = find_program(name, e);
    if (!program) return -1;
    int a[2], b[2];
    if (pipe2(a, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    own(fd) int in_rd = a[0];
    own(fd) int in_wr = a[1];
    if (pipe2(b, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    own(fd) int out_rd = b[0];
    own(fd) int out_wr = b[1];
    struct proc p = PROC_NONE;
    struct err mine = {0};
    int status = 0;
    if (start(program, verb, in_rd, out_wr, &p, e) < 0) return -1;
    close(take_fd(in_rd));
    close(take_fd(out_wr));
    // Room for a usual answer at once: growing leaves copies of what was there.
    out->max = OUTPUT_MAX;
    out->cap = REGISTRY_CREDENTIAL_MAX;
    out->p = mem_alloc(out->cap);
    int rc = talk(tasks, take_fd(in_wr), out_rd, p.fd, in, out, &mine);
    if (rc < 0) proc_kill(&p, SIGKILL);
    if (proc_wait(&p, &status, e) < 0) return -1;
    if (rc == 0) return status == 0;
    *e = mine;
    return err_wrap(e, "running '%s %s'", program, verb);
}

// The helper's own message, on one short line. JSON is an answer, not a message: never shown.
static int failed(struct sv name, const char *verb, const struct str *out, struct err *e)
{
    struct sv said = sv_trim(str_sv(out));
    struct sv line = sv_trim(sv_cut(&said, '\n'));
    if (line.n > MESSAGE_MAX) line.n = MESSAGE_MAX;
    if (line.n == 0 || sv_find(line, '{') >= 0) line = SV("it gave no message");
    err_set(e, ERR_SYSTEM, "'" PREFIX "%.*s %s' failed: %.*s", (int)name.n, name.p, verb,
            (int)line.n, line.p);
    return -1;
}

// Helpers have no exit status of their own for "none": the words are the protocol.
static bool says_none(const struct str *out)
{
    return strstr(str_z(out), "credentials not found") != NULL;
}

static int read_answer(struct sv name, const struct str *out, struct registry_credential *c,
                       struct err *e)
{
    struct codec_json *j = NULL;
    struct err mine = {0};
    int rc = 0;
    if (codec_json_parse(str_sv(out), "answer", &j, &mine) < 0)
        return err_set(e, ERR_INPUT, "'" PREFIX "%.*s get' did not answer with JSON", (int)name.n,
                       name.p);
    struct sv user = codec_json_text(codec_json_get(j, "Username"));
    struct sv secret = codec_json_text(codec_json_get(j, "Secret"));
    bool token = sv_eqz(user, "<token>");
    if (secret.n > REGISTRY_CREDENTIAL_MAX || user.n >= sizeof c->user) {
        rc = err_set(e, ERR_LIMIT, "the answer of '" PREFIX "%.*s get' is too long", (int)name.n,
                     name.p);
    } else if (secret.n || user.n) {
        secret_fini(token ? &c->identity : &c->password);
        if (secret.n)
            *(token ? &c->identity : &c->password) = (struct secret){sv_dup(secret), secret.n};
        snprintf(c->user, sizeof c->user, "%.*s", token ? 0 : (int)user.n, user.p);
        rc = 1;
    }
    codec_json_wipe(j);
    codec_json_free(j);
    return rc;
}

int registry_helper_get(struct task_loop *tasks, struct sv name, const char *server,
                        struct registry_credential *out, struct err *e)
{
    own(wipe_str) struct str said = {0};
    int rc = call(tasks, name, "get", sv_of(server), &said, e);
    if (rc < 0) return -1;
    if (rc == 0) return says_none(&said) ? 0 : failed(name, "get", &said, e);
    return read_answer(name, &said, out, e);
}

int registry_helper_store(struct task_loop *tasks, struct sv name, const char *server,
                          const struct registry_credential *c, struct err *e)
{
    own(wipe_str) struct str said = {0}, in = {0};
    struct codec_json *j = codec_json_new_object();
    const struct secret *s = c->identity.n ? &c->identity : &c->password;
    codec_json_set_text(j, "ServerURL", server);
    codec_json_set_text(j, "Username", c->identity.n ? "<token>" : c->user);
    codec_json_set(j, "Secret", codec_json_new_text((struct sv){s->p, s->n}));
    in.cap = 6 * (s->n + sizeof c->user) + strlen(server) + 256; // all escaped: it never grows
    in.p = mem_alloc(in.cap);
    codec_json_print(j, &in);
    codec_json_wipe(j);
    codec_json_free(j);
    int rc = call(tasks, name, "store", str_sv(&in), &said, e);
    if (rc < 0) return -1;
    return rc == 1 ? 0 : failed(name, "store", &said, e);
}

int registry_helper_erase(struct task_loop *tasks, struct sv name, const char *server,
                          struct err *e)
{
    own(wipe_str) struct str said = {0};
    int rc = call(tasks, name, "erase", sv_of(server), &said, e);
    if (rc < 0) return -1;
    return rc == 1 || says_none(&said) ? 0 : failed(name, "erase", &said, e);
}

int registry_helper_list(struct task_loop *tasks, struct sv name, struct codec_json **out,
                         struct err *e)
{
    own(wipe_str) struct str said = {0};
    int rc = call(tasks, name, "list", SV(""), &said, e);
    if (rc < 0) return -1;
    if (rc == 0) return failed(name, "list", &said, e);
    return codec_json_parse(str_sv(&said), "the list of a credential helper", out, e);
}
