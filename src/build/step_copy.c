// SPDX-License-Identifier: Apache-2.0
// COPY, ADD and WORKDIR as operations of the solver.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/num.h"
#include "base/own.h"
#include "build/internal.h"
#include "build/outside.h"
#include "sandbox/sandbox.h"

// A run of sources of one kind, in the order of the instruction: files of the context (or of --from),
// or one thing from outside.
struct copy_part {
    struct build_copy spec;  // the instruction's, with the sources of this part (borrowed)
    bool is_outside;
    struct build_outside outside;
    struct build_tree tree;  // of what is outside, once it is here
    struct build_picks picks;
    bool picked;
};

struct copy_arg {
    struct build_copy spec;
    struct build_source source;
    VEC(struct copy_part) parts;
    char *dest;
    bool dest_is_folder;
    bool has_owner;
    struct fs_owner owner;
    struct strv written;  // "path\tdigest"
    bool unstable;
};

// --chown: numbers stand for themselves, a lone user also names the group; names are looked up in
// the image that is being built.
static int find_owner(struct build_work *w, const char *text, struct fs_owner *out, struct err *e)
{
    own(fd) int view = -1;
    struct sv group = sv_of(text), user = sv_cut(&group, ':');
    uint64_t u, g;
    // Numbers need no look at the image, and no mount for it.
    if (num_u64_max(user, UINT32_MAX - 1, &u) &&
        (!group.p || num_u64_max(group, UINT32_MAX - 1, &g))) {
        *out = (struct fs_owner){(uint32_t)u, (uint32_t)(group.p ? g : u)};
        return 0;
    }
    if (build_solve_view(w, w->state, &view, e) < 0) return -1;
    struct root root = {view, "the image"};
    uint32_t uid, gid;
    if (sandbox_owner_find(&root, text, &uid, &gid, e) < 0) return -1;
    *out = (struct fs_owner){uid, gid};
    return 0;
}

// "path\tdigest" of every regular file that came by COPY: what a later step with a cache
// mount compares with (see step_run.c).
static int remember_written(struct build_work *w, const struct root *root, const struct strv *paths,
                            struct strv *out, struct err *e)
{
    (void)w;
    for (size_t i = 0; i < paths->n; i++) {
        char hex[CODEC_SHA256_HEX];
        own(fd) int fd = fs_in_open(root, paths->p[i], O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, e);
        if (fd < 0 || codec_sha256_fd(fd, NULL, hex, e) < 0) return -1;
        strv_take(out, str_fmt("%s\t%s", paths->p[i], hex));
    }
    return 0;
}

static bool stage_has_cache_mounts(const struct build_job *job)
{
    vec_each(in, &job->file.instrs)
        vec_each(f, &in->flags)
            if (strcmp(f->def->name, "mount") == 0 && strstr(f->value, "type=cache")) return true;
    return false;
}

// What a part copies from, and which nodes of it.
static int open_part(struct build_work *w, struct copy_arg *c, struct copy_part *p, int folder,
                     struct err *e)
{
    if (!p->is_outside)
        return p->picked ? 0 : build_source_scan(w, &c->source, &p->spec, &p->picks, e);
    own(free) char *name = str_fmt("outside-%u", w->serial++);
    if (build_outside_open(w->job, &p->outside, folder, name, &p->tree, e) < 0) return -1;
    // A repository is its top folder, whose contents are copied; of a URL it is the file.
    bool git = p->outside.remote.kind == BUILD_REMOTE_GIT;
    vec_push(&p->picks.v, ((struct build_pick){.node = &p->tree.nodes.p[git ? 0 : p->tree.nodes.n - 1]}));
    return 0;
}

static int apply_part(struct build_work *w, struct copy_arg *c, struct copy_part *p,
                      const struct root *root, int folder, struct strv *paths, struct err *e)
{
    if (open_part(w, c, p, folder, e) < 0) return -1;
    bool context = p->is_outside || c->source.context != NULL;
    bool now = w->job->opt->timestamps == BUILD_TIMES_NOW;
    struct build_copy_apply opt = {
        .spec = &p->spec,
        .dest = c->dest,
        .dest_is_folder = c->dest_is_folder,
        .owner = c->has_owner ? &c->owner : NULL,
        .time = context && !now ? w->state->now : INT64_MIN,
        .written = paths,
        .unstable = context ? &c->unstable : NULL,
    };
    struct build_tree *tree = p->is_outside ? &p->tree : c->source.tree;
    return build_copy_apply(tree, &p->picks, &opt, root, e);
}

static int apply_copy(struct build_work *w, const struct root *root, int folder, void *arg,
                      struct strv *stubs, struct err *e)
{
    (void)stubs;
    struct copy_arg *c = arg;
    own(strv) struct strv paths = {0};
    bool track = w->state->constant || stage_has_cache_mounts(w->job);
    vec_each(p, &c->parts)
        if (apply_part(w, c, p, root, folder, track ? &paths : NULL, e) < 0) return -1;
    return remember_written(w, root, &paths, &c->written, e);
}

static void add_copy_key(struct build_work *w, const struct copy_arg *c, struct codec_sha256 *h)
{
    codec_sha256_addz(h, c->dest);
    codec_sha256_addu(h, c->dest_is_folder);
    codec_sha256_addu(h, c->source.context != NULL);
    codec_sha256_addu(h, c->has_owner);
    codec_sha256_addu(h, (uint64_t)c->owner.uid << 32 | c->owner.gid);
    codec_sha256_addz(h, c->spec.chmod ? c->spec.chmod : "");
    codec_sha256_addu(h, (uint64_t)c->spec.link << 2 | (uint64_t)c->spec.has_unpack << 1 |
                             c->spec.unpack);
    codec_sha256_addu(h, w->state->constant || stage_has_cache_mounts(w->job));
}

// --- sources ------------------------------------------------------------------------------------
static struct copy_part *add_part(struct copy_arg *c, size_t first)
{
    struct copy_part *p = vec_add(&c->parts);
    p->spec = c->spec;
    p->spec.sources = (struct strv){.p = c->spec.sources.p + first};
    memset(&p->spec.inlines, 0, sizeof p->spec.inlines);
    p->tree.root.fd = -1;
    return p;
}

// Cuts the sources into parts; heredocs come last.
static int cut_parts(struct copy_arg *c, struct err *e)
{
    struct copy_part *local = NULL;
    for (size_t i = 0; i < c->spec.sources.n; i++) {
        struct build_remote r = {0};
        int rc = c->spec.is_add && !c->spec.from
                     ? build_remote_parse(c->spec.sources.p[i], BUILD_REMOTE_IN_FILE, &r, e) : 0;
        if (rc < 0) return -1;
        if (rc == 0) {
            if (!local) local = add_part(c, i);
            local->spec.sources.n++;
            continue;
        }
        struct copy_part *p = add_part(c, i);
        local = NULL;
        p->is_outside = true;
        p->outside.remote = r;
        p->outside.keep_git_dir = r.kind == BUILD_REMOTE_GIT && (c->spec.keep_git_dir || r.keep_git_dir);
        // Archives that were downloaded are unpacked only when that is asked for.
        p->spec.has_unpack = true;
        p->spec.unpack = c->spec.has_unpack && c->spec.unpack;
    }
    if (!local && (c->spec.inlines.n || c->parts.n == 0)) local = add_part(c, c->spec.sources.n);
    if (local) memcpy(&local->spec.inlines, &c->spec.inlines, sizeof c->spec.inlines);
    return 0;
}

static int check_flags(const struct copy_arg *c, struct err *e)
{
    bool outside = false, git = false;
    vec_each(p, &c->parts)
    {
        outside = outside || p->is_outside;
        git = git || (p->is_outside && p->outside.remote.kind == BUILD_REMOTE_GIT);
    }
    if (c->spec.checksum && !outside)
        return err_set(e, ERR_INPUT, "--checksum is for URLs and git repositories");
    if (c->spec.keep_git_dir && !git)
        return err_set(e, ERR_INPUT, "--keep-git-dir is for git repositories");
    return 0;
}

// The content key of all parts, and what is needed to know it.
static int hash_parts(struct build_work *w, struct copy_arg *c, struct codec_sha256 *h, struct err *e)
{
    bool opened = false;
    vec_each(p, &c->parts)
    {
        char hash[CODEC_SHA256_HEX];
        if (p->is_outside) {
            if (build_outside_resolve(w->job, &p->outside.remote, c->spec.checksum, &p->outside, e) < 0)
                return -1;
            build_outside_key(&p->outside, h);
            continue;
        }
        if (!opened && build_source_open(w, c->spec.from, &c->source, e) < 0) return -1;
        opened = true;
        if (build_source_hash(w, &c->source, &p->spec, &p->picks, &p->picked, hash, e) < 0) return -1;
        codec_sha256_addz(h, hash);
    }
    return 0;
}

// A file that goes into a folder needs a name of its own.
static int check_names(struct build_work *w, const struct copy_arg *c, struct err *e)
{
    vec_each(p, &c->parts)
    {
        if (!p->is_outside || p->outside.remote.kind != BUILD_REMOTE_URL || p->outside.name) continue;
        own(fd) int view = -1;
        bool folder = c->dest_is_folder;
        if (!folder && w->state->layers.n) {
            if (build_solve_view(w, w->state, &view, e) < 0) return -1;
            struct root root = {view, "the image"};
            own(fd) int there = fs_in_try(&root, c->dest, O_PATH | O_DIRECTORY, 0);
            folder = there >= 0;
        }
        if (!folder) continue;
        err_set(e, ERR_INPUT, "neither '%s' nor its server says what the file is called",
                p->outside.remote.shown);
        return err_hint(e, "end the destination with the name of a file");
    }
    return 0;
}

static int find_dest(struct build_work *w, struct copy_arg *c, struct err *e)
{
    own(str) struct str dest = {0};
    struct sv d = sv_of(c->spec.dest);
    c->dest_is_folder = sv_ends(d, "/") || sv_eqz(d, ".") || sv_eqz(d, "..") || sv_ends(d, "/.") ||
                        sv_ends(d, "/..");
    if (c->spec.sources.n + c->spec.inlines.n > 1 && !c->dest_is_folder) {
        err_set(e, ERR_INPUT, "with more than one source the destination '%s' must end in '/'",
                c->spec.dest);
        return err_hint(e, "write '%s/'", c->spec.dest);
    }
    build_stage_path(w, c->spec.dest, &dest);
    c->dest = str_take(&dest);
    return 0;
}

static int run_copy(struct build_work *w, const struct build_instr *in, struct copy_arg *c,
                    struct err *e)
{
    struct build_op op = {.created_by = in->original, .apply = apply_copy, .arg = c,
                          .independent = c->spec.link, .written = &c->written,
                          .unstable = &c->unstable};
    codec_sha256_init(&op.key);
    // The number goes up when the same words write something else.
    codec_sha256_addz(&op.key, c->spec.is_add ? "add 3" : "copy 2");
    if (cut_parts(c, e) < 0 || check_flags(c, e) < 0 || hash_parts(w, c, &op.key, e) < 0 ||
        find_dest(w, c, e) < 0 || check_names(w, c, e) < 0)
        return -1;
    if (c->spec.chown) {
        c->has_owner = true;
        if (find_owner(w, c->spec.chown, &c->owner, e) < 0) return -1;
    }
    add_copy_key(w, c, &op.key);
    return build_solve_step(w, &op, e);
}

static void copy_fini(struct build_work *w, struct copy_arg *c)
{
    build_source_close(w, &c->source);
    vec_each(p, &c->parts)
    {
        build_picks_fini(&p->picks);
        build_tree_fini(&p->tree);
        if (p->tree.root.fd >= 0) close(p->tree.root.fd);
        build_outside_fini(&p->outside);
    }
    vec_fini(&c->parts);
    build_copy_fini(&c->spec);
    strv_fini(&c->written);
    free(c->dest);
}

int build_step_copy(struct build_work *w, const struct build_instr *in, struct err *e)
{
    struct build_expand x = build_stage_expand(w);
    struct copy_arg c = {.source = {.own = {.root = {-1, NULL}}}};
    if (build_instr_copy(in, &x, &c.spec, e) < 0) return -1;
    int rc = run_copy(w, in, &c, e);
    copy_fini(w, &c);
    return rc;
}

struct workdir_arg {
    const char *path;
    struct fs_owner owner;
};

static int apply_workdir(struct build_work *w, const struct root *root, int folder, void *arg,
                         struct strv *stubs, struct err *e)
{
    (void)folder, (void)stubs;
    const struct workdir_arg *a = arg;
    own(fd) int there = fs_in_try(root, a->path, O_PATH | O_DIRECTORY, 0);
    if (there >= 0) return 0;
    own(fd) int made = -1;
    own(str) struct str real = {0};
    // A link on the way may lead to what is not there yet.
    if (build_copy_follow(root, a->path, &real, e) < 0 ||
        fs_in_mkdirs(root, str_z(&real), 0755, &a->owner, &made, e) < 0)
        return -1;
    struct timespec ts[2] = {{.tv_sec = w->state->now}, {.tv_sec = w->state->now}};
    if (futimens(made, ts) != 0) return err_sys(e, "set the time of '%s'", a->path);
    return 0;
}

int build_step_workdir(struct build_work *w, const char *path, const char *created_by,
                       struct err *e)
{
    struct workdir_arg a = {path, {0, 0}};
    const char *user = w->state->image.user;
    own(free) char *by = str_dup(created_by);
    struct build_op op = {.created_by = by, .apply = apply_workdir, .arg = &a};
    if (user && user[0] && find_owner(w, user, &a.owner, e) < 0) return -1;
    codec_sha256_init(&op.key);
    codec_sha256_addz(&op.key, "workdir");
    codec_sha256_addz(&op.key, path);
    codec_sha256_addu(&op.key, (uint64_t)a.owner.uid << 32 | a.owner.gid);
    return build_solve_step(w, &op, e);
}
