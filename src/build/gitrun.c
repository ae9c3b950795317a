// SPDX-License-Identifier: Apache-2.0
// Running git. See build/gitrun.h.
#include "build/gitrun.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/own.h"
#include "base/proc.h"
#include "base/vec.h"

#define OUTPUT_MAX ((size_t)1 << 20)
#define TALK_MAX ((size_t)64 << 10)         // of what git says on stderr, the end is kept
#define STALL_NS (INT64_C(90) * 1000000000) // without a byte from git, which reports progress
#define FILE_MAX ((rlim_t)64 << 30)         // the biggest pack

// Settings that every call has. They come by the environment: a repository's own file counts less.
static const char *const settings[][2] = {
    {"core.hooksPath", "/dev/null"},
    {"core.fsmonitor", "false"},
    {"core.attributesFile", "/dev/null"},
    {"core.excludesFile", "/dev/null"},
    {"core.autocrlf", "false"},
    {"core.eol", "lf"},
    {"core.symlinks", "true"},
    {"core.fileMode", "true"},
    {"core.logAllRefUpdates", "false"},
    {"core.protectHFS", "true"},
    {"core.protectNTFS", "true"},
    {"credential.helper", ""},
    {"fetch.recurseSubmodules", "false"},
    {"submodule.recurse", "false"},
    {"gc.auto", "0"},
    {"maintenance.auto", "false"},
    {"init.templateDir", ""},
    {"init.defaultBranch", "main"},
    {"transfer.bundleURI", "false"},
    {"http.followRedirects", "false"}, // another host may be inside somebody's network
    {"http.lowSpeedLimit", "1"},
    {"http.lowSpeedTime", "60"},
    {"protocol.version", "2"},
};

static void set(struct strv *env, const char *name, const char *value)
{
    strv_take(env, str_fmt("%s=%s", name, value));
}

static void add_setting(struct strv *env, unsigned *n, const char *key, const char *value)
{
    strv_take(env, str_fmt("GIT_CONFIG_KEY_%u=%s", *n, key));
    strv_take(env, str_fmt("GIT_CONFIG_VALUE_%u=%s", *n, value));
    (*n)++;
}

// How to reach the world is the caller's to say: proxies and certificates.
static void add_network(struct strv *env)
{
    static const char *const same[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
                                       "ALL_PROXY",  "no_proxy",    "NO_PROXY"};
    const char *certificates = getenv("SSL_CERT_FILE");
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        const char *value = getenv(same[i]);
        if (value) set(env, same[i], value);
    }
    if (certificates && certificates[0]) set(env, "GIT_SSL_CAINFO", certificates);
}

// The shell that git starts sees our own text alone; what differs comes in by variables. The
// person's ssh settings are not read (they may run programs), but the hosts they know are.
static void add_ssh(struct strv *env, const char *agent)
{
    const char *home = getenv("HOME");
    set(env, "SSH_AUTH_SOCK", agent);
    strv_take(env, str_fmt("DEWAR_KNOWN_HOSTS=%s/.ssh/known_hosts", home ? home : "/nonexistent"));
    set(env, "GIT_SSH_VARIANT", "ssh");
    set(env, "GIT_SSH_COMMAND",
        "exec ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=30 "
        "-o ServerAliveInterval=15 -o ForwardAgent=no -o IdentityFile=none "
        "-o UserKnownHostsFile=\"\\\"$DEWAR_KNOWN_HOSTS\\\"\"");
}

static void environment(const struct build_gitrun *g, struct strv *env)
{
    static const char *const fixed[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL=C",
        "HOME=/nonexistent",
        "GIT_CONFIG_NOSYSTEM=1",
        "GIT_CONFIG_SYSTEM=/dev/null",
        "GIT_CONFIG_GLOBAL=/dev/null",
        "GIT_ATTR_NOSYSTEM=1",
        "GIT_TERMINAL_PROMPT=0",
        "GIT_ASKPASS=",
        "SSH_ASKPASS=",
        "GIT_LITERAL_PATHSPECS=1",
        "GIT_NO_REPLACE_OBJECTS=1",
        "GIT_OPTIONAL_LOCKS=0",
        "GIT_NO_LAZY_FETCH=1",
        "GIT_PROTOCOL_FROM_USER=0",
        "GIT_DISCOVERY_ACROSS_FILESYSTEM=0"};
    unsigned n = 0;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) strv_add(env, fixed[i]);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        add_setting(env, &n, settings[i][0], settings[i][1]);
    if (g->remote && g->header && g->header->n) {
        // Only for this host; and redirects are never followed, so it goes nowhere else.
        own(free) char *key = str_fmt("http.%s://%s/.extraHeader",
                                      build_remote_way_name(g->remote->way), g->remote->host);
        add_setting(env, &n, key, g->header->p);
    }
    strv_take(env, str_fmt("GIT_CONFIG_COUNT=%u", n));
    set(env, "GIT_ALLOW_PROTOCOL",
        g->between_ours ? "file"
        : g->remote     ? build_remote_way_name(g->remote->way)
                        : "none");
    // Never found by looking around: the current folder may hold somebody else's repository.
    set(env, "GIT_DIR", g->git_dir ? g->git_dir : "/dev/null");
    if (g->work_tree) set(env, "GIT_WORK_TREE", g->work_tree);
    if (g->index) set(env, "GIT_INDEX_FILE", g->index);
    if (g->remote) add_network(env);
    if (g->remote && g->agent) add_ssh(env, g->agent);
}

// --- what git says
// -------------------------------------------------------------------------------- The last line
// that tells a reason. Progress ends in CR.
static struct sv reason(struct sv talk)
{
    struct sv best = SV("git gave no reason"), rest = talk;
    while (rest.p) {
        struct sv line = sv_cut(&rest, '\n');
        long cr = sv_rfind(line, '\r');
        if (cr >= 0 && (size_t)cr + 1 < line.n) line = sv_from(line, (size_t)cr + 1);
        line = sv_trim(line);
        if (line.n == 0 || sv_starts(line, "hint:") || sv_starts(line, "warning:")) continue;
        if (sv_starts(line, "and the repository exists") || sv_starts(line, "Please make sure"))
            continue;
        if (sv_starts(line, "fatal: Could not read from remote") && !sv_starts(best, "git gave"))
            continue;
        best = line;
    }
    return sv_starts(best, "fatal: ") ? sv_from(best, 7) : best;
}

static bool says(const struct str *talk, const char *const *words)
{
    for (size_t i = 0; words[i]; i++)
        if (strcasestr(str_z(talk), words[i])) return true;
    return false;
}

static int failed(const struct build_gitrun *g, const char *const *args, int status,
                  const struct str *talk, struct err *e)
{
    static const char *const gone[] = {"not found",
                                       "does not exist",
                                       "does not appear to be a git",
                                       "error: 404",
                                       "error: 410",
                                       "couldn't find remote ref",
                                       "not our ref",
                                       NULL};
    static const char *const login[] = {"terminal prompts disabled",
                                        "authentication failed",
                                        "error: 401",
                                        "error: 403",
                                        "permission denied (",
                                        NULL};
    static const char *const moved[] = {"error: 301",
                                        "error: 302",
                                        "error: 307",
                                        "error: 308",
                                        "unable to update url base from redirection",
                                        NULL};
    own(str) struct str text = {.max = 400};
    str_add_escaped(&text, sv_part(reason(str_sv(talk)), 0, 300));
    err_set(e, says(talk, gone) ? ERR_NOT_FOUND : ERR_SYSTEM, "git %s: %s (status %d)", args[0],
            str_z(&text), proc_exit_code(status));
    if (!g->remote) return -1;
    if (says(talk, login))
        return err_hint(e,
                        g->remote->way == BUILD_REMOTE_SSH
                            ? "the agent of --ssh needs a key that %s takes"
                            : "give a token: --secret id=GIT_AUTH_TOKEN (for %s)",
                        g->remote->host);
    if (says(talk, moved) && g->moved) *g->moved = true;
    if (says(talk, moved))
        return err_hint(e, "%s sends elsewhere: name the repository's own address",
                        g->remote->host);
    if (says(talk, (const char *const[]){"host key verification failed", NULL}))
        return err_hint(e, "%s is not in ~/.ssh/known_hosts", g->remote->host);
    return -1;
}

// "1.20 MiB", as git rounds it.
static bool read_bytes(struct sv text, uint64_t *out)
{
    static const struct {
        const char *unit;
        unsigned shift;
    } units[] = {{" bytes", 0}, {" KiB", 10}, {" MiB", 20}, {" GiB", 30}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (!sv_ends(text, units[i].unit)) continue;
        struct sv part = sv_part(text, 0, text.n - strlen(units[i].unit)), whole = sv_cut(&part, '.');
        uint64_t n, hundredths = 0;
        if (!num_u64_max(whole, UINT64_MAX >> 40, &n)) return false;
        if (part.p && (part.n != 2 || !num_u64(part, &hundredths))) return false;
        *out = (n << units[i].shift) + (hundredths << units[i].shift) / 100;
        return true;
    }
    return false;
}

bool build_gitrun_progress(struct sv line, uint64_t *done, uint64_t *total)
{
    static const char begin[] = "Receiving objects:";
    uint64_t have, all, bytes;
    if (!sv_starts(line, begin)) return false;
    sv_cut(&line, '(');
    struct sv count = sv_cut(&line, ')');
    struct sv first = sv_cut(&count, '/');
    if (!line.p || !sv_starts(line, ", ") || !num_u64_max(first, UINT32_MAX, &have) ||
        !num_u64_max(count, UINT32_MAX, &all) || have == 0 || all < have)
        return false;
    line = sv_from(line, 2);
    if (!read_bytes(sv_trim(sv_cut(&line, '|')), &bytes)) return false;
    *done = bytes;
    *total = (uint64_t)((double)bytes * (double)all / (double)have);
    return true;
}

static void tell_progress(const struct build_gitrun *g, const struct str *talk)
{
    uint64_t done, total;
    if (!g->progress) return;
    struct sv all = str_sv(talk);
    long end = sv_rfind(all, '\r');
    if (end < 0) return;
    all = sv_part(all, 0, (size_t)end);
    long cr = sv_rfind(all, '\r'), nl = sv_rfind(all, '\n');
    struct sv line = sv_from(all, (size_t)((cr > nl ? cr : nl) + 1));
    if (build_gitrun_progress(line, &done, &total)) g->progress(g->arg, done, total);
}

// --- running
// ----------------------------------------------------------------------------------------
struct stream {
    int fd;
    struct str *to; // NULL: thrown away
    size_t max;
    bool keep_end; // drop the beginning instead of failing
};

// 1 read, 0 end, -1 over the limit.
static int take(struct stream *s)
{
    char buf[32768];
    ssize_t n = read(s->fd, buf, sizeof buf);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return 1;
    if (n <= 0) return 0;
    if (!s->to) return 1;
    if (s->to->n + (size_t)n > s->max) {
        if (!s->keep_end) return -1;
        size_t keep = s->to->n < s->max / 2 ? s->to->n : s->max / 2;
        if (keep) memmove(s->to->p, s->to->p + s->to->n - keep, keep);
        str_cut(s->to, keep);
    }
    str_add(s->to, (struct sv){buf, (size_t)n});
    return 1;
}

static int watch(const struct build_gitrun *g, struct proc *p, struct stream s[2], const char *what,
                 struct err *e)
{
    int64_t last = clock_mono_ns();
    while (s[0].fd >= 0 || s[1].fd >= 0) {
        struct pollfd fds[2] = {{.fd = s[0].fd, .events = POLLIN},
                                {.fd = s[1].fd, .events = POLLIN}};
        int64_t left = last + STALL_NS - clock_mono_ns();
        int n = left <= 0 ? 0 : poll(fds, 2, (int)(left / 1000000) + 1);
        if (n < 0 && errno != EINTR) return err_sys(e, "wait for git");
        if (n == 0) {
            proc_kill(p, SIGTERM);
            return err_set(e, ERR_SYSTEM, "git %s: nothing came for %d s", what,
                           (int)(STALL_NS / 1000000000));
        }
        for (int i = 0; n > 0 && i < 2; i++) {
            if (!fds[i].revents) continue;
            int rc = take(&s[i]);
            if (rc < 0) {
                proc_kill(p, SIGTERM);
                return err_set(e, ERR_LIMIT, "git %s printed more than %zu bytes", what, s[i].max);
            }
            if (rc == 0) s[i].fd = -1;
            if (i == 1 && s[1].to) tell_progress(g, s[1].to);
            last = clock_mono_ns();
        }
    }
    return 0;
}

// Files of git get the same modes whoever builds, and no file grows without end. Both are
// inherited; there is no thread that could notice.
static int start(const struct proc_spec *spec, struct proc *p, struct err *e)
{
    struct rlimit was, now;
    mode_t mask = umask(022);
    bool limited = getrlimit(RLIMIT_FSIZE, &was) == 0;
    now = was;
    if (limited && (was.rlim_cur == RLIM_INFINITY || was.rlim_cur > FILE_MAX)) {
        now.rlim_cur = FILE_MAX;
        setrlimit(RLIMIT_FSIZE, &now);
    }
    int rc = proc_start(spec, p, e);
    if (limited) setrlimit(RLIMIT_FSIZE, &was);
    umask(mask);
    if (rc < 0 && e->sys == ENOENT) err_hint(e, "install git: sources of git are fetched with it");
    return rc;
}

int build_gitrun(const struct build_gitrun *g, const char *const *args, struct str *out,
                 struct err *e)
{
    own(strv) struct strv env = {0};
    own(free) const char **envp = NULL;
    own(free) const char **argv = NULL;
    own(str) struct str talk = {.max = TALK_MAX + 1};
    size_t n = 0;
    int outs[2], errs[2];
    if (g->remote && g->remote->way == BUILD_REMOTE_SSH && !g->agent) {
        err_set(e, ERR_INPUT, "'%s' comes by ssh, and no ssh agent was given", g->remote->shown);
        return err_hint(e, "dewar build --ssh default");
    }
    environment(g, &env);
    envp = mem_alloc((env.n + 1) * sizeof *envp);
    for (size_t i = 0; i < env.n; i++) envp[i] = env.p[i];
    while (args[n]) n++;
    argv = mem_alloc((n + 2) * sizeof *argv);
    argv[0] = "git";
    for (size_t i = 0; i < n; i++) argv[i + 1] = args[i];
    if (pipe2(outs, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    own(fd) int out_rd = outs[0];
    own(fd) int out_wr = outs[1];
    if (pipe2(errs, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    own(fd) int err_rd = errs[0];
    own(fd) int err_wr = errs[1];
    struct proc_spec spec = {.argv = argv,
                             .env = envp,
                             .search_path = true,
                             .stdin_fd = PROC_NULL,
                             .stdout_fd = out_wr,
                             .stderr_fd = err_wr,
                             .keep_fd = g->keep_fd};
    struct proc p = PROC_NONE;
    int rc = start(&spec, &p, e), status = 0;
    for (size_t i = 0; i < env.n; i++) explicit_bzero(env.p[i], strlen(env.p[i]));
    if (rc < 0) return -1;
    close(take_fd(out_wr));
    close(take_fd(err_wr));
    struct stream streams[2] = {{out_rd, out, g->max ? g->max : OUTPUT_MAX, false},
                                {err_rd, &talk, TALK_MAX, true}};
    struct err wait_err;
    rc = watch(g, &p, streams, args[0], e);
    if (proc_wait(&p, &status, &wait_err) < 0 && rc == 0) {
        *e = wait_err;
        return -1;
    }
    if (rc < 0) return -1;
    return status == 0 ? 0 : failed(g, args, status, &talk, e);
}
