// SPDX-License-Identifier: Apache-2.0
// RUN --mount: planning, opening, closing. See build/mounts.h.
#include "build/mounts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/num.h"
#include "base/own.h"
#include "build/agent.h"
#include "build/cacheexport.h"
#include "build/cacheimport.h"
#include "build/cachemount.h"

#define SECRET_MAX ((size_t)1 << 20)
#define SSH_DIR "/run/buildkit"

static void absolute(const struct build_work *w, const char *target, char **out)
{
    own(str) struct str path = {0};
    build_stage_path(w, target, &path);
    *out = str_take(&path);
}

static int open_source(struct build_work *w, struct build_mount_state *s, struct err *e)
{
    s->has_source = true;  // also when half open
    s->spec.literal = true;
    strv_add(&s->spec.sources, s->m->source && s->m->source[0] ? s->m->source : "/");
    return build_source_open(w, s->m->from, &s->source, e);
}

static int plan_bind(struct build_work *w, struct build_mount_state *s, struct err *e)
{
    if (open_source(w, s, e) < 0) return -1;
    if (build_source_hash(w, &s->source, &s->spec, &s->picks, &s->picked, s->hash, e) < 0)
        return err_wrap(e, "source of the mount on '%s'", s->target);
    return 0;
}

static int plan_one(struct build_work *w, const struct build_mount *m, struct build_mounts *out,
                    struct err *e)
{
    struct build_mount_state *s = vec_add(&out->v);
    s->m = m;
    s->cache_fd = -1;
    s->relay.err_fd = -1;
    s->source.own.root.fd = -1;
    if (m->target) absolute(w, m->target, &s->target);
    if (s->target && strcmp(s->target, "/") == 0)
        return err_set(e, ERR_INPUT, "a mount cannot have the target '/'");
    for (size_t i = 0; s->target && i + 1 < out->v.n; i++) {
        const char *other = out->v.p[i].target;
        if (!other || strcmp(other, s->target) != 0) continue;
        err_set(e, ERR_INPUT, "two mounts on '%s'", s->target);
        return err_hint(e, "give each a target of its own");
    }
    if (m->type == BUILD_MOUNT_BIND) return plan_bind(w, s, e);
    if (m->type == BUILD_MOUNT_CACHE) build_cacheexport_note(w, 'm', m->id);
    // Waits for the stage now: a step that waits must not hold a token.
    if (m->type == BUILD_MOUNT_CACHE && m->from) return open_source(w, s, e);
    return 0;
}

int build_mounts_plan(struct build_work *w, const struct build_run *run, struct build_mounts *out,
                      struct err *e)
{
    vec_each(m, &run->mounts) if (plan_one(w, m, out, e) < 0) return -1;
    return 0;
}

// Layout and the content of binds; never secrets, agents or what is in a cache.
void build_mounts_key(const struct build_mounts *ms, struct codec_sha256 *h)
{
    codec_sha256_addu(h, ms->v.n);
    vec_each(s, &ms->v)
    {
        codec_sha256_addu(h, s->m->type);
        codec_sha256_addz(h, s->target ? s->target : "");
        codec_sha256_addz(h, s->hash);
        codec_sha256_addz(h, s->m->id ? s->m->id : "");
        codec_sha256_addz(h, s->m->env ? s->m->env : "");
        codec_sha256_addu(h, s->m->read_only);
        codec_sha256_addu(h, s->m->size);
        codec_sha256_addu(h, s->m->mode);
        codec_sha256_addu(h, (uint64_t)s->m->uid << 32 | s->m->gid);
        // What a fresh cache is filled with; of a bind the hash says all.
        bool filled = s->m->type == BUILD_MOUNT_CACHE && s->m->from;
        codec_sha256_addz(h, filled ? s->m->from : "");
        codec_sha256_addz(h, filled && s->m->source ? s->m->source : "");
    }
}

static struct sandbox_mount *add_bind(struct sandbox_spec *spec, int fd, const char *what,
                                      const char *target, bool readonly)
{
    struct sandbox_mount *m = vec_add(&spec->mounts);
    *m = (struct sandbox_mount){.kind = SANDBOX_MOUNT_BIND, .source_fd = fd, .readonly = readonly};
    m->source = str_dup(what);
    m->target = str_dup(target);
    return m;
}

// Attaches a mount in this worker's own mount namespace: only what is attached can be cloned into a
// sandbox. build_mounts_close takes it away again.
static int attach(struct build_mounts *ms, int mnt, int folder, const char *name, struct err *e)
{
    if (syscall(SYS_move_mount, mnt, "", folder, name, 4u /* MOVE_MOUNT_F_EMPTY_PATH */) != 0)
        return err_sys(e, "attach a mount for the step");
    strv_take(&ms->attached, str_fmt("/proc/self/fd/%d/%s", folder, name));
    return 0;
}

int build_mounts_keep_root(struct build_mounts *ms, int root_fd, int folder, struct err *e)
{
    if (mkdirat(folder, "root", 0755) != 0) return err_sys(e, "make a folder for the root");
    return attach(ms, root_fd, folder, "root", e);
}

// Files of a stage or an image: a view of its layers; writes go to an upper directory that goes with
// the step.
static int open_bind_layers(struct build_work *w, struct build_mounts *ms,
                            struct build_mount_state *s, int folder, struct sandbox_spec *spec,
                            struct err *e)
{
    own(free) char *name = str_fmt("view-%u", w->serial++);
    own(free) char *upper_name = str_fmt("%s.upper", name);
    own(free) char *work_name = str_fmt("%s.work", name);
    if (mkdirat(folder, name, 0755) != 0 || mkdirat(folder, upper_name, 0755) != 0 ||
        mkdirat(folder, work_name, 0700) != 0)
        return err_sys(e, "make a folder for a mount");
    own(fd) int upper = fs_open_dir(folder, upper_name, e);
    own(fd) int work = upper < 0 ? -1 : fs_open_dir(folder, work_name, e);
    if (work < 0) return -1;
    if (build_cacheimport_need(w->job, &w->tmp, s->source.state.layers.p, s->source.state.layers.n,
                               e) < 0)
        return -1;
    struct store_overlay o = {.layers = s->source.state.layers.p, .n = s->source.state.layers.n,
                              .upper_fd = upper, .work_fd = work};
    own(fd) int mnt = store_overlay_open(w->job->en, &o, e);
    if (mnt < 0 || attach(ms, mnt, folder, name, e) < 0) return -1;
    struct root root = {mnt, s->m->from ? s->m->from : "the stage"};
    int fd = fs_in_open(&root, s->m->source && s->m->source[0] ? s->m->source : "/", O_PATH, 0, e);
    if (fd < 0) return -1;
    add_bind(spec, fd, s->m->source, s->target, s->m->read_only);
    return 0;
}

// A private copy of what the bind selects, with the step's time and owner 0:0, so that what the step
// sees does not depend on who builds; writes to it are discarded with the step.
static int open_bind(struct build_work *w, struct build_mounts *ms, struct build_mount_state *s,
                     int folder, struct sandbox_spec *spec, struct err *e)
{
    if (!s->source.context && s->source.state.layers.n)
        return open_bind_layers(w, ms, s, folder, spec, e);
    if (!s->picked && build_source_scan(w, &s->source, &s->spec, &s->picks, e) < 0) return -1;
    own(free) char *name = str_fmt("bind-%u", w->serial++);
    if (mkdirat(folder, name, 0755) != 0) return err_sys(e, "make a folder for a mount");
    own(fd) int dir = fs_open_dir(folder, name, e);
    if (dir < 0) return -1;
    struct root into = {dir, "the mount"};
    bool is_dir = s->picks.v.n && S_ISDIR(s->picks.v.p[0].node->mode);
    struct build_copy_apply opt = {.spec = &s->spec, .dest = is_dir ? "/" : "/file",
                                   .time = s->source.context ? w->state->now : INT64_MIN,
                                   .unstable = s->source.context ? &ms->unstable : NULL};
    if (build_copy_apply(s->source.tree, &s->picks, &opt, &into, e) < 0) return -1;
    struct timespec ts[2] = {{.tv_sec = w->state->now}, {.tv_sec = w->state->now}};
    if (futimens(dir, ts) != 0) return err_sys(e, "set the time of a mount");
    int fd = fs_openat(dir, is_dir ? "." : "file", O_PATH | O_NOFOLLOW, 0, e);
    if (fd < 0) return -1;
    add_bind(spec, fd, s->m->source, s->target, s->m->read_only);
    return 0;
}

// A tmpfs of this worker's mount namespace, for what must not touch the disk.
static int private_tmpfs(struct build_work *w, struct build_mounts *ms, int folder, int *out_fd,
                         struct err *e)
{
    own(free) char *name = str_fmt("memory-%u", w->serial++);
    if (mkdirat(folder, name, 0700) != 0) return err_sys(e, "make a folder for a tmpfs");
    own(fd) int fs = (int)syscall(SYS_fsopen, "tmpfs", 1u /* FSOPEN_CLOEXEC */);
    if (fs < 0) return err_sys(e, "make a tmpfs for the step");
    if (syscall(SYS_fsconfig, fs, 6u /* FSCONFIG_CMD_CREATE */, NULL, NULL, 0) != 0)
        return err_sys(e, "make a tmpfs for the step");
    own(fd) int mnt = (int)syscall(SYS_fsmount, fs, 1u /* FSMOUNT_CLOEXEC */, 0);
    if (mnt < 0) return err_sys(e, "make a tmpfs for the step");
    if (attach(ms, mnt, folder, name, e) < 0) return -1;
    *out_fd = take_fd(mnt);
    return 0;
}

struct secret_option {
    struct sv id, file, env;
};

// --secret id=x[,src=file|env=VAR][,type=file|env]; with type=env the variable may stand behind src.
static int parse_secret(const char *text, struct secret_option *out, struct err *e)
{
    struct sv rest = sv_of(text), type = {0};
    *out = (struct secret_option){0};
    while (rest.p) {
        struct sv value = sv_cut(&rest, ','), key = sv_cut(&value, '=');
        if (sv_eqz(key, "id")) {
            out->id = value;
        } else if (sv_eqz(key, "src") || sv_eqz(key, "source")) {
            out->file = value;
        } else if (sv_eqz(key, "env")) {
            out->env = value;
        } else if (sv_eqz(key, "type") && (sv_eqz(value, "file") || sv_eqz(value, "env"))) {
            type = value;
        } else {
            err_set(e, ERR_USAGE, "--secret '%s': '%.*s' is not known", text, (int)key.n, key.p);
            return err_hint(e, "the form is id=NAME[,src=FILE|env=VARIABLE]");
        }
    }
    if (sv_eqz(type, "env") && !out->env.n) {
        out->env = out->file.n ? out->file : out->id;
        out->file = (struct sv){0};
    }
    if (out->id.n) return 0;
    err_set(e, ERR_USAGE, "--secret '%s' has no id", text);
    return err_hint(e, "the form is id=NAME[,src=FILE|env=VARIABLE]");
}

static int check_agent(const char *text, const char *path, struct err *e)
{
    struct stat st;
    own(fd) int fd = fs_open(path, O_PATH, 0, e);
    if (fd < 0) return err_wrap(e, "--ssh %s", text);
    if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode)) return 0;
    err_set(e, ERR_INPUT, "--ssh %s: '%s' is not the socket of an agent", text, path);
    return err_hint(e, "it is the socket of an agent, or the file of a private key");
}

static int check_ssh(const struct strv *given, size_t at, struct err *e)
{
    const char *text = given->p[at], *agent = getenv("SSH_AUTH_SOCK");
    struct sv rest = sv_of(text), name = sv_cut(&rest, '=');
    if (name.n == 0) return err_set(e, ERR_USAGE, "--ssh '%s' has no name", text);
    for (size_t i = 0; i < at; i++) {
        struct sv other = sv_of(given->p[i]);
        if (sv_eq(sv_cut(&other, '='), name))
            return err_set(e, ERR_USAGE, "--ssh: '%.*s' is given twice", (int)name.n, name.p);
    }
    if (rest.n) return check_agent(text, rest.p, e);
    if (agent && agent[0]) return check_agent(text, agent, e);
    err_set(e, ERR_INPUT, "--ssh %s: no agent: SSH_AUTH_SOCK is not set", text);
    return err_hint(e, "start one with: eval $(ssh-agent), or give --ssh %.*s=SOCKET", (int)name.n,
                    name.p);
}

int build_mounts_check(const struct build_options *opt, struct err *e)
{
    for (size_t i = 0; opt->secrets && i < opt->secrets->n; i++) {
        struct secret_option s;
        if (parse_secret(opt->secrets->p[i], &s, e) < 0) return -1;
        own(free) char *file = sv_dup(s.file);
        if (file[0] && !fs_exists(AT_FDCWD, file))
            return err_set(e, ERR_INPUT, "--secret '%s': there is no file '%s'", opt->secrets->p[i], file);
    }
    for (size_t i = 0; opt->ssh && i < opt->ssh->n; i++)
        if (check_ssh(opt->ssh, i, e) < 0) return -1;
    return 0;
}

// Without src or env it is the variable, then the file, named like the id.
int build_mounts_secret(const struct build_options *opt, const char *id, struct str *out,
                        struct err *e)
{
    const struct strv *given = opt->secrets;
    for (size_t i = 0; given && i < given->n; i++) {
        struct secret_option s;
        if (parse_secret(given->p[i], &s, e) < 0) return -1;
        if (!sv_eqz(s.id, id)) continue;
        own(free) char *path = sv_dup(s.file.n ? s.file : s.id);
        own(free) char *variable = sv_dup(s.env.n ? s.env : s.id);
        const char *value = s.file.n ? NULL : getenv(variable);
        if (value) {
            str_addz(out, value);
            return 1;
        }
        if (s.env.n)
            return err_set(e, ERR_INPUT, "secret '%s': the variable '%s' is not set", id, variable);
        return fs_read_at(AT_FDCWD, path, SECRET_MAX, out, e) < 0 ? err_wrap(e, "secret '%s'", id) : 1;
    }
    return 0;
}

static int open_secret(struct build_work *w, struct build_mounts *ms, struct build_mount_state *s,
                       int folder, struct sandbox_spec *spec, struct err *e)
{
    own(str) struct str text = {.max = SECRET_MAX + 1};
    int rc = build_mounts_secret(w->job->opt, s->m->id, &text, e);
    if (rc < 0) return -1;
    if (rc == 0) {
        if (!s->m->required) return 0;
        err_set(e, ERR_INPUT, "the secret '%s' is required and was not given", s->m->id);
        return err_hint(e, "dewar build --secret id=%s,src=FILE", s->m->id);
    }
    if (s->m->env) {
        own(str) struct str pair = {0};
        str_addf(&pair, "%s=%s", s->m->env, str_z(&text));
        strv_take(&ms->env, str_take(&pair));
    }
    if (s->target) {
        own(fd) int mem = -1;
        if (private_tmpfs(w, ms, folder, &mem, e) < 0) return -1;
        own(fd) int fd = fs_openat(mem, "secret", O_WRONLY | O_CREAT | O_EXCL, 0600, e);
        if (fd < 0 || fs_write_all(fd, str_z(&text), text.n, e) < 0) return -1;
        if (fchown(fd, s->m->uid, s->m->gid) != 0 || fchmod(fd, s->m->mode) != 0)
            return err_sys(e, "prepare the secret '%s'", s->m->id);
        int in = fs_openat(mem, "secret", O_PATH, 0, e);
        if (in < 0) return -1;
        add_bind(spec, in, "a secret", s->target, true);
    }
    explicit_bzero(text.p, text.n);
    return 0;
}

const char *build_mounts_agent(const struct build_options *opt, const char *id)
{
    const struct strv *given = opt->ssh;
    for (size_t i = 0; given && i < given->n; i++) {
        struct sv rest = sv_of(given->p[i]), name = sv_cut(&rest, '=');
        if (!sv_eqz(name, id)) continue;
        return rest.p && rest.n ? rest.p : getenv("SSH_AUTH_SOCK");
    }
    return NULL;
}

static int open_ssh(struct build_work *w, struct build_mounts *ms, struct build_mount_state *s,
                    size_t index, int folder, struct sandbox_spec *spec, struct err *e)
{
    const char *path = build_mounts_agent(w->job->opt, s->m->id);
    if (!path) {
        if (!s->m->required) return 0;
        err_set(e, ERR_INPUT, "the ssh agent '%s' is required and was not given", s->m->id);
        return err_hint(e, "dewar build --ssh %s", s->m->id);
    }
    own(fd) int agent = fs_open(path, O_PATH, 0, e);
    if (agent < 0) return err_wrap(e, "ssh agent '%s'", s->m->id);
    own(fd) int mem = -1;
    if (private_tmpfs(w, ms, folder, &mem, e) < 0) return -1;
    const struct build_agent a = {.fd = agent, .mode = s->m->mode, .uid = s->m->uid, .gid = s->m->gid};
    if (build_agent_start(&a, mem, "agent", &s->relay, e) < 0) return -1;
    int fd = fs_openat(mem, "agent", O_PATH | O_NOFOLLOW, 0, e);
    if (fd < 0) return -1;
    own(free) char *target = s->target ? str_dup(s->target) : str_fmt(SSH_DIR "/ssh_agent.%zu", index);
    add_bind(spec, fd, "the ssh agent", target, false);
    strv_take(&ms->env, str_fmt("SSH_AUTH_SOCK=%s", target));
    return 0;
}

// The lock that this step has on the same cache already; private ones are apart.
static int held_lock(const struct build_mounts *ms, const struct build_mount_state *s)
{
    vec_each(o, &ms->v)
        if (o != s && o->cache_fd >= 0 && strcmp(o->m->id, s->m->id) == 0 &&
            s->m->sharing != BUILD_SHARING_PRIVATE && o->m->sharing != BUILD_SHARING_PRIVATE)
            return o->cache_fd;
    return -1;
}

static int open_cache(struct build_work *w, struct build_mounts *ms, struct build_mount_state *s,
                      const struct root *root, struct sandbox_spec *spec, struct err *e)
{
    own(fd) int data = -1;
    bool fresh = false;
    int held = held_lock(ms, s);
    if (build_cachemount_open(w, s->m, held, &s->cache_fd, &data, &fresh, e) < 0) return -1;
    if (fresh && s->m->from) {
        if (build_source_scan(w, &s->source, &s->spec, &s->picks, e) < 0) return -1;
        struct root into = {data, "the cache mount"};
        struct build_copy_apply opt = {.spec = &s->spec, .dest = "/", .time = INT64_MIN};
        if (build_copy_apply(s->source.tree, &s->picks, &opt, &into, e) < 0) return -1;
    }
    if (!fresh && build_cachemount_touch(w, s->cache_fd, root, &ms->touched, e) < 0) return -1;
    int fd = fs_openat(data, ".", O_PATH, 0, e);
    if (fd < 0) return -1;
    add_bind(spec, fd, "a cache mount", s->target, s->m->read_only);
    return 0;
}

static int open_one(struct build_work *w, struct build_mounts *ms, size_t i,
                    const struct root *root, int folder, struct sandbox_spec *spec, struct err *e)
{
    struct build_mount_state *s = &ms->v.p[i];
    switch (s->m->type) {
    case BUILD_MOUNT_BIND:
        return open_bind(w, ms, s, folder, spec, e);
    case BUILD_MOUNT_CACHE:
        return open_cache(w, ms, s, root, spec, e);
    case BUILD_MOUNT_SECRET:
        return open_secret(w, ms, s, folder, spec, e);
    case BUILD_MOUNT_SSH:
        return open_ssh(w, ms, s, i, folder, spec, e);
    case BUILD_MOUNT_TMPFS: {
        struct sandbox_mount *m = add_bind(spec, -1, "a tmpfs", s->target, false);
        m->kind = SANDBOX_MOUNT_TMPFS;
        m->tmpfs_size = s->m->size;
        m->nosuid = m->nodev = true;
        return 0;
    }
    }
    return 0;
}

// Caches come first and in one order everywhere, the stronger lock of two first: steps side by side
// that lock the same caches would otherwise wait for each other.
static bool goes_before(const struct build_mount *a, const struct build_mount *b)
{
    if (a->type != BUILD_MOUNT_CACHE || b->type != BUILD_MOUNT_CACHE)
        return a->type == BUILD_MOUNT_CACHE && b->type != BUILD_MOUNT_CACHE;
    int c = strcmp(a->id, b->id);
    return c ? c < 0 : a->sharing == BUILD_SHARING_LOCKED && b->sharing != BUILD_SHARING_LOCKED;
}

static void opening_order(const struct build_mounts *ms, size_t *order)
{
    for (size_t i = 0; i < ms->v.n; i++) {
        size_t k = i;
        for (; k > 0 && goes_before(ms->v.p[i].m, ms->v.p[order[k - 1]].m); k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
}

int build_mounts_open(struct build_work *w, struct build_mounts *ms, const struct root *root,
                      int folder, struct sandbox_spec *spec, struct err *e)
{
    own(free) size_t *order = mem_alloc((ms->v.n + 1) * sizeof *order);
    opening_order(ms, order);
    for (size_t k = 0, i = 0; k < ms->v.n && (i = order[k], true); k++)
        if (open_one(w, ms, i, root, folder, spec, e) < 0)
            return err_wrap(e, "RUN --mount=type=%s", build_mount_type_name(ms->v.p[i].m->type));
    strv_add_all(&spec->env, &ms->env);
    return 0;
}

int build_mounts_close(struct build_work *w, struct build_mounts *ms, bool ok, struct err *e)
{
    vec_each(a, &ms->v) if (a->relay.err_fd >= 0) build_agent_stop(&a->relay);
    for (size_t i = ms->attached.n; i-- > 0;) umount2(ms->attached.p[i], MNT_DETACH);
    vec_each(s, &ms->v)
        if (s->cache_fd >= 0 && build_cachemount_remember(w, s->cache_fd, ok, e) < 0) return -1;
    return 0;
}

void build_mounts_fini(struct build_work *w, struct build_mounts *ms)
{
    vec_each(s, &ms->v)
    {
        if (s->has_source) build_source_close(w, &s->source);
        build_picks_fini(&s->picks);
        strv_fini(&s->spec.sources);
        if (s->cache_fd >= 0) close(s->cache_fd);
        free(s->target);
    }
    vec_fini(&ms->v);
    for (size_t i = 0; i < ms->env.n; i++) explicit_bzero(ms->env.p[i], strlen(ms->env.p[i]));
    strv_fini(&ms->env);
    strv_fini(&ms->touched);
    strv_fini(&ms->attached);
}
