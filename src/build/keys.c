// SPDX-License-Identifier: Apache-2.0
#include "build/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"

#define SAID_MAX 4096
#define READY "agent: "

// Run by the agent, which goes with it. Without a session of its own ssh-add would ask for a
// passphrase on the terminal. `cat` ends when nobody holds the other end of its stdin any more.
static const char script[] = "SSH_ASKPASS_REQUIRE=never setsid -w ssh-add -q -- \"$@\" </dev/null &&"
                             " echo \"" READY "$SSH_AUTH_SOCK\" && cat >/dev/null;"
                             " kill \"$SSH_AGENT_PID\"";

static bool is_kind(const char *path, mode_t kind)
{
    struct stat st;
    struct err ignored;
    own(fd) int fd = fs_open(path, O_PATH, 0, &ignored);
    return fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == kind;
}

// The files of a value; none: it is something else.
static int find_files(const char *text, struct sv rest, struct strv *out, struct err *e)
{
    if (rest.n == 0 || is_kind(rest.p, S_IFSOCK)) return 0;
    bool many = sv_find(rest, ',') >= 0;
    if (!many && !is_kind(rest.p, S_IFREG)) return 0;
    while (rest.p) {
        char *path = sv_dup(sv_cut(&rest, ','));
        strv_take(out, path);
        if (is_kind(path, S_IFREG)) continue;
        err_set(e, ERR_INPUT, "--ssh %s: '%s' is not a file", text, path);
        return err_hint(e, "it is one socket of an agent, or files of private keys with commas between");
    }
    return 0;
}

static int start(const struct strv *files, int in, int out, struct proc *proc, struct err *e)
{
    VEC(const char *) argv = {0};
    static const char *const before[] = {"ssh-agent", "sh", "-c", script, "sh"};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) vec_push(&argv, before[i]);
    for (size_t i = 0; i < files->n; i++) vec_push(&argv, files->p[i]);
    vec_push(&argv, NULL);
    const struct proc_spec spec = {.argv = argv.p, .search_path = true, .stdin_fd = in,
                                   .stdout_fd = out, .stderr_fd = out};
    int rc = proc_start(&spec, proc, e);
    vec_fini(&argv);
    return rc < 0 ? err_hint(e, "it comes with the package openssh-client") : 0;
}

// What is said until the socket's path stands there, or until the end.
static int await_socket(int fd, struct str *said, struct sv *out_socket, struct err *e)
{
    char buf[512];
    while (said->n < SAID_MAX) {
        ssize_t n = read(fd, buf, sizeof buf);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_sys(e, "read what ssh-add says");
        str_add(said, (struct sv){buf, (size_t)n});
        const char *ready = said->n ? strstr(str_z(said), READY) : NULL;
        struct sv rest = sv_of(ready ? ready + strlen(READY) : NULL), line = sv_cut(&rest, '\n');
        *out_socket = line;
        if (rest.p) return 1;
        if (n == 0) return 0;
    }
    return 0;
}

static const struct {
    const char *word, *hint;
} hints[] = {
    {"passphrase", "give it to an agent first: eval $(ssh-agent); ssh-add FILE; then --ssh default"},
    {"too open", "chmod 600 FILE"},
    {"", "it must be a private key that ssh-add knows, not its .pub"},
};

// The lines without their frame, which is for a screen.
static int refuse(const char *text, struct sv said, struct err *e)
{
    own(str) struct str shown = {0};
    while (said.p) {
        struct sv line = sv_trim(sv_cut(&said, '\n'));
        if (line.n == 0 || line.p[0] == '@') continue;
        if (shown.n) str_addz(&shown, " ");
        str_add_escaped(&shown, line);
    }
    err_set(e, ERR_INPUT, "--ssh %s: ssh-add takes no key from it: %s", text, str_z(&shown));
    size_t i = 0;
    while (!strstr(str_z(&shown), hints[i].word)) i++;
    return err_hint(e, "%s", hints[i].hint);
}

static int serve(const char *text, struct sv name, const struct strv *files, struct build_keys *out,
                 struct err *e)
{
    int in[2], talk[2];
    own(str) struct str said = {0};
    struct sv socket = {0};
    if (pipe2(in, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    own(fd) int in_end = in[0];
    struct build_key_agent *a = vec_add(&out->agents);
    *a = (struct build_key_agent){PROC_NONE, in[1]};
    if (pipe2(talk, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    own(fd) int talk_end = talk[0];
    int rc = start(files, in_end, talk[1], &a->proc, e);
    close(talk[1]);
    if (rc < 0) return err_wrap(e, "--ssh %s", text);
    if ((rc = await_socket(talk_end, &said, &socket, e)) < 0) return -1;
    if (rc == 0) return refuse(text, str_sv(&said), e);
    strv_take(&out->ssh, str_fmt("%.*s=%.*s", (int)name.n, name.p, (int)socket.n, socket.p));
    return 0;
}

int build_keys_start(const struct strv *given, struct build_keys *out, struct err *e)
{
    for (size_t i = 0; given && i < given->n; i++) {
        own(strv) struct strv files = {0};
        struct sv rest = sv_of(given->p[i]), name = sv_cut(&rest, '=');
        if (find_files(given->p[i], rest, &files, e) < 0) return -1;
        if (files.n == 0)
            strv_add(&out->ssh, given->p[i]);
        else if (serve(given->p[i], name, &files, out, e) < 0)
            return -1;
    }
    return 0;
}

void build_keys_stop(struct build_keys *k)
{
    vec_each (a, &k->agents) {
        struct err ignored;
        int status;
        own_fd(&a->hold);
        if (a->proc.fd >= 0) proc_wait(&a->proc, &status, &ignored);
    }
    vec_fini(&k->agents);
    strv_fini(&k->ssh);
}
