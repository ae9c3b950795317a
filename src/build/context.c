// SPDX-License-Identifier: Apache-2.0
// Opening contexts. See build/context.h.
#include "build/context.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "build/extract.h"
#include "build/git.h"
#include "build/internal.h"
#include "build/url.h"
#include "image/archive.h"

static int read_ignore(struct build_context *c, const char *path, const char *label, struct err *e)
{
    own(str) struct str text = {0};
    own(fd) int fd = fs_in_try(&c->tree.root, path, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(e, "open '%s'", path);
    if (fs_in_read(&c->tree.root, path, LIMIT_IGNOREFILE, &text, e) < 0) return -1;
    if (build_ignore_parse(str_sv(&text), label, &c->ignore, e) < 0) return -1;
    c->ignore_label = str_dup(label);
    return 1;
}

// DOCKERFILE.dockerignore beside the Dockerfile beats .dockerignore at the top.
static int open_ignore(struct build_context *c, const char *dockerfile, struct err *e)
{
    if (dockerfile) {
        own(free) char *beside = str_fmt("%s.dockerignore", dockerfile);
        own(str) struct str text = {0};
        own(fd) int fd = open(beside, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd >= 0) {
            if (fs_read_fd(fd, LIMIT_IGNOREFILE, &text, e) < 0 ||
                build_ignore_parse(str_sv(&text), beside, &c->ignore, e) < 0)
                return -1;
            c->ignore_label = str_dup(beside);
            return 0;
        }
    }
    int rc = read_ignore(c, ".dockerignore", ".dockerignore", e);
    if (rc == 0) rc = read_ignore(c, ".containerignore", ".containerignore", e);
    return rc < 0 ? -1 : 0;
}

static int open_folder(const char *path, struct build_context *c, const char *label, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        int code = errno;
        err_sys(e, "open the build context '%s'", path);
        if (code == ENOTDIR)
            err_hint(e, "the last argument is a folder; name the Dockerfile with -f");
        return -1;
    }
    c->tree.root = (struct root){fd, label};
    c->tree.is_context = true;
    return 0;
}

// Bytes already read, then the rest of stdin.
struct replay {
    struct sv head;
    int fd;
};

static ssize_t replay_read(void *arg, void *buf, size_t n, struct err *e)
{
    struct replay *r = arg;
    if (r->head.n) {
        if (n > r->head.n) n = r->head.n;
        memcpy(buf, r->head.p, n);
        r->head = sv_from(r->head, n);
        return (ssize_t)n;
    }
    for (;;) {
        ssize_t got = read(r->fd, buf, n);
        if (got >= 0) return got;
        if (errno != EINTR) return err_sys(e, "read stdin");
    }
}

static int read_head(char *buf, size_t size, size_t *out_n, struct err *e)
{
    size_t have = 0;
    while (have < size) {
        ssize_t n = read(STDIN_FILENO, buf + have, size - have);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_sys(e, "read stdin");
        if (n == 0) break;
        have += (size_t)n;
    }
    *out_n = have;
    return 0;
}

static int empty_folder(struct store_tmp *tmp, struct build_context *c, struct err *e)
{
    own(free) char *name = str_fmt("context-%s", c->name);
    for (char *p = name; *p; p++)
        if (*p == '/') *p = '_';
    if (mkdirat(tmp->fd, name, 0755) != 0) return err_sys(e, "make the context folder");
    int fd = fs_open_dir(tmp->fd, name, e);
    if (fd < 0) return -1;
    c->tree.root = (struct root){fd, "the build context"};
    c->tree.is_context = true;
    return 0;
}

// `build -`: a tar is the context, anything else is the Dockerfile of an empty one.
static int open_stdin(struct store_tmp *tmp, struct build_context *c, struct str *out_file,
                      struct err *e)
{
    char head[512];
    size_t n = 0;
    if (isatty(STDIN_FILENO)) {
        err_set(e, ERR_USAGE, "the context '-' is read from stdin, which is a terminal");
        return err_hint(e, "pipe a tar or a Dockerfile in: dewar build - < Dockerfile");
    }
    if (empty_folder(tmp, c, e) < 0 || read_head(head, sizeof head, &n, e) < 0) return -1;
    if (n == 0) return err_set(e, ERR_INPUT, "stdin is empty: no Dockerfile and no archive");
    if (!build_extract_is_tar(head, n)) {
        str_add(out_file, (struct sv){head, n});
        return fs_read_fd(STDIN_FILENO, LIMIT_DOCKERFILE, out_file, e) < 0 ? -1 : 1;
    }
    struct replay r = {{head, n}, STDIN_FILENO};
    struct fs_owner nobody_else = {0, 0};
    struct build_extract opt = {.dest = "", .owner = &nobody_else};
    if (build_extract(&c->tree.root, &opt, (struct codec_source){replay_read, &r}, e) < 0)
        return err_wrap(e, "unpacking the context from stdin");
    return 0;
}

static int read_path(const char *path, struct str *out, struct err *e)
{
    own(fd) int fd = fs_open(path, O_RDONLY, 0, e);
    if (fd < 0) return -1;
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        err_set(e, ERR_INPUT, "'%s' is a folder, not a Dockerfile", path);
        return err_hint(e, "-f names the file; the folder is the last argument");
    }
    if (fs_read_fd(fd, LIMIT_DOCKERFILE, out, e) < 0) return err_wrap(e, "reading '%s'", path);
    return 0;
}

// -f given, with a folder: relative to the caller's directory, as Docker does.
static int read_given(const struct build_options *opt, struct str *out, struct err *e)
{
    if (strcmp(opt->file, "-") == 0)
        return fs_read_fd(STDIN_FILENO, LIMIT_DOCKERFILE, out, e) < 0
                   ? err_wrap(e, "reading the Dockerfile from stdin")
                   : 0;
    if (read_path(opt->file, out, e) == 0) return 0;
    const char *where = opt->context ? opt->context : ".";
    own(free) char *inside = str_fmt("%s/%s", where, opt->file);
    if (e->sys == ENOENT && opt->file[0] != '/' && fs_exists(AT_FDCWD, inside))
        err_hint(e, "-f is looked for from here, not from the context: did you mean '%s'?", inside);
    return -1;
}

static int read_default(struct build_context *c, struct str *out, char **out_label, struct err *e)
{
    static const char *const names[] = {"Dockerfile", "dockerfile", "Containerfile"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        own(fd) int fd = fs_in_try(&c->tree.root, names[i], O_RDONLY | O_NONBLOCK, 0);
        if (fd < 0 && errno == ENOENT) continue;
        *out_label = str_dup(names[i]);
        return fs_in_read(&c->tree.root, names[i], LIMIT_DOCKERFILE, out, e);
    }
    err_set(e, ERR_INPUT, "no Dockerfile in the build context");
    return err_hint(e, "name it with -f, or give the folder that holds it as the last argument");
}

// The Dockerfile lies in the context, and so does the ignore file beside it.
static int read_inside(const struct build_options *opt, struct build_context *c, struct str *out,
                       char **out_label, struct err *e)
{
    if (!opt->file || strcmp(opt->file, "-") == 0) {
        bool given = opt->file != NULL;
        if (given) *out_label = str_dup("Dockerfile");
        if ((given ? read_given(opt, out, e) : read_default(c, out, out_label, e)) < 0) return -1;
    } else {
        *out_label = str_dup(opt->file);
        if (fs_in_read(&c->tree.root, opt->file, LIMIT_DOCKERFILE, out, e) < 0) return -1;
    }
    own(free) char *beside = str_fmt("%s.dockerignore", *out_label);
    int rc = read_ignore(c, beside, beside, e);
    return rc == 0 ? open_ignore(c, NULL, e) : rc < 0 ? -1 : 0;
}

// A repository's tree as a folder of the job.
static int open_git(struct build_job *job, const struct build_remote *r, struct build_context *c,
                    struct err *e)
{
    char commit[BUILD_GIT_ID];
    const struct strv *args = job->opt->build_args;
    bool keep_git = r->keep_git_dir || (args && strv_find(args, "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1") >= 0);
    own(free) char *name = str_fmt("context-%s", c->name);
    for (char *p = name; *p; p++)
        if (*p == '/') *p = '_';
    int fd = -1;
    if (build_git_resolve(job, r, NULL, commit, e) < 0 ||
        build_git_checkout(job, r, commit, keep_git, job->tmp.fd, name, &fd, e) < 0 ||
        build_git_time(job, r, commit, &c->commit_time, e) < 0)
        return -1;
    c->tree.root = (struct root){fd, "the build context"};
    c->tree.is_context = c->fetched = true;
    return 0;
}

// An archive is unpacked; anything else must be a Dockerfile.
static int open_url(struct build_job *job, const struct build_remote *r, struct build_context *c,
                    struct str *out_file, struct err *e)
{
    struct build_url u;
    char head[512];
    own(fd) int fd = -1;
    struct oci_digest pinned;
    int rc = build_pin_url(job, r, &pinned, e);
    if (rc < 0 || build_url_get(job, r, rc == 1 ? &pinned : NULL, &u, e) < 0) return -1;
    build_pin_saw_url(job, r, &u.digest, u.size);
    struct oci_digest digest = u.digest;
    build_url_fini(&u);
    if (build_url_open(job, r, &digest, &fd, e) < 0) return -1;
    ssize_t n = pread(fd, head, sizeof head, 0);
    if (n < 0) return err_sys(e, "read what was downloaded");
    if (n == 0) return err_set(e, ERR_INPUT, "'%s' is empty", r->shown);
    c->fetched = true;
    if (empty_folder(&job->tmp, c, e) < 0) return -1;
    if (!build_extract_is_tar(head, (size_t)n))
        return fs_read_fd(fd, LIMIT_DOCKERFILE, out_file, e) < 0 ? -1 : 2;
    struct fs_owner nobody_else = {0, 0};
    struct build_extract opt = {.dest = "", .owner = &nobody_else};
    if (build_extract(&c->tree.root, &opt, codec_source_fd(&fd), e) < 0)
        return err_wrap(e, "unpacking '%s'", r->shown);
    return 1;
}

// 1: opened, and *out_file was not touched. 2: it is a Dockerfile alone, now in *out_file.
static int open_remote(struct build_job *job, const struct build_remote *r, struct build_context *c,
                       struct str *out_file, struct err *e)
{
    if (r->kind == BUILD_REMOTE_GIT) return open_git(job, r, c, e) < 0 ? -1 : 1;
    return open_url(job, r, c, out_file, e);
}

static int open_stdin_main(struct build_job *job, struct build_context *out, struct str *out_file,
                           char **out_label, struct err *e)
{
    if (job->opt->file && strcmp(job->opt->file, "-") == 0)
        return err_set(e, ERR_USAGE, "context and Dockerfile cannot both come from stdin");
    int rc = open_stdin(&job->tmp, out, out_file, e);
    if (rc < 0) return -1;
    if (rc == 0) return read_inside(job->opt, out, out_file, out_label, e);
    *out_label = str_dup("Dockerfile");
    return 0;
}

static int open_remote_main(struct build_job *job, const struct build_remote *r,
                            struct build_context *out, struct str *out_file, char **out_label,
                            struct err *e)
{
    int rc = open_remote(job, r, out, out_file, e);
    if (rc < 0) return err_wrap(e, "opening the build context");
    if (rc == 1) return read_inside(job->opt, out, out_file, out_label, e);
    *out_label = str_dup("Dockerfile");
    return 0;
}

// The Dockerfile's path inside the context, as text; NULL when it does not say.
static const char *inside_context(const struct build_options *opt, const struct build_context *c,
                                  const char *label)
{
    const char *where = opt->context ? opt->context : ".";
    size_t n = strlen(where);
    if (opt->file && strcmp(opt->file, "-") == 0) return NULL;
    if (!opt->file || c->fetched || strcmp(where, "-") == 0) return label;
    const char *file = strncmp(opt->file, "./", 2) == 0 ? opt->file + 2 : opt->file;
    if (strcmp(where, ".") == 0) return file[0] == '/' ? NULL : file;
    while (n > 0 && where[n - 1] == '/') n--;
    return strncmp(opt->file, where, n) == 0 && opt->file[n] == '/' ? opt->file + n + 1 : NULL;
}

// The lock says which image came out; in that image it could not. So it stays out of the context, as if
// the ignore file began with its name: a line with '!' takes it back in.
static int hide_lock(const struct build_options *opt, struct build_context *c, const char *label,
                     struct err *e)
{
    const char *dockerfile = inside_context(opt, c, label);
    if (!dockerfile || c->tree.root.fd < 0) return 0;
    own(free) char *path = build_lock_path(dockerfile);
    size_t before = c->ignore.patterns.n;
    if (strpbrk(path, "*?[\\!#")) return 0;
    if (build_ignore_add(&c->ignore, sv_of(path), 0, e) < 0) return -1;
    if (c->ignore.patterns.n == before || before == 0) return 0;
    struct build_pattern mine = c->ignore.patterns.p[before];
    memmove(c->ignore.patterns.p + 1, c->ignore.patterns.p, before * sizeof mine);
    c->ignore.patterns.p[0] = mine;
    return 0;
}

static int open_main(struct build_job *job, struct build_context *out, struct str *out_file,
                     char **out_label, struct err *e)
{
    const struct build_options *opt = job->opt;
    const char *where = opt->context ? opt->context : ".";
    own(build_remote) struct build_remote r = {0};
    *out = (struct build_context){.name = str_dup("")};
    out->tree.root.fd = -1;
    if (strcmp(where, "-") == 0) return open_stdin_main(job, out, out_file, out_label, e);
    int rc = build_remote_parse(where, BUILD_REMOTE_TYPED, &r, e);
    if (rc < 0) return -1;
    // A folder that is there wins over a name that only looks like a remote one.
    bool looks_local = r.way == BUILD_REMOTE_SSH || strncmp(where, "github.com/", 11) == 0;
    if (rc == 1 && !(looks_local && fs_exists(AT_FDCWD, where)))
        return open_remote_main(job, &r, out, out_file, out_label, e);
    if (open_folder(where, out, "the build context", e) < 0) return -1;
    if (!opt->file) {
        if (read_default(out, out_file, out_label, e) < 0) return -1;
        own(free) char *path = str_fmt("%s/%s", where, *out_label);
        return open_ignore(out, path, e);
    }
    *out_label = str_dup(strcmp(opt->file, "-") == 0 ? "Dockerfile" : opt->file);
    if (read_given(opt, out_file, e) < 0) return -1;
    return open_ignore(out, strcmp(opt->file, "-") == 0 ? NULL : opt->file, e);
}

int build_context_open_main(struct build_job *job, struct build_context *out, struct str *out_file,
                            char **out_label, struct err *e)
{
    if (open_main(job, out, out_file, out_label, e) < 0) return -1;
    return hide_lock(job->opt, out, *out_label, e);
}

// oci-layout://FOLDER[:TAG][@DIGEST]: the image comes into the store, without a name.
static int open_layout(struct build_job *job, struct sv where, struct build_context *c, struct err *e)
{
    own(image_loads) struct image_loads loaded = {0};
    const char *at = strstr(where.p, "@sha256:");
    struct sv path = at ? sv_part(where, 0, (size_t)(at - where.p)) : where;
    long colon = sv_rfind(path, ':'), slash = sv_rfind(path, '/');
    struct sv tag = colon > slash ? sv_from(path, (size_t)colon + 1) : SV("");
    if (colon > slash) path = sv_part(path, 0, (size_t)colon);
    own(free) char *folder = sv_dup(path);
    own(free) char *only = at ? str_dup(at + 1) : sv_dup(tag);
    char id[OCI_DIGEST_TEXT];
    const struct image_load_options opt = {.path = folder, .only = only,
                                           .platform = job->opt->platform};
    if (image_load(job->en, &opt, &loaded, e) < 0) return -1;
    if (loaded.n != 1) return err_set(e, ERR_INTERNAL, "a layout gave %zu images", loaded.n);
    c->image = str_dup(oci_digest_print(&loaded.p[0].id, id));
    return 0;
}

int build_context_open_named(struct build_job *job, const char *text, struct build_context *out,
                             struct err *e)
{
    struct sv rest = sv_of(text), name = sv_cut(&rest, '=');
    own(build_remote) struct build_remote r = {0};
    own(str) struct str file = {.max = LIMIT_DOCKERFILE + 1};
    *out = (struct build_context){0};
    out->tree.root.fd = -1;
    if (!rest.p || name.n == 0 || rest.n == 0) {
        err_set(e, ERR_USAGE, "--build-context '%s' is not name=path", text);
        return err_hint(e, "for example --build-context data=../data");
    }
    out->name = sv_dup(name);
    if (sv_starts(rest, "docker-image://")) {
        out->image = sv_dup(sv_from(rest, strlen("docker-image://")));
        return 0;
    }
    if (sv_starts(rest, "oci-layout://")) {
        if (open_layout(job, sv_from(rest, strlen("oci-layout://")), out, e) == 0) return 0;
        return err_wrap(e, "--build-context %s", out->name);
    }
    int rc = build_remote_parse(rest.p, BUILD_REMOTE_TYPED, &r, e);
    if (rc < 0) return -1;
    if (rc == 1) {
        rc = open_remote(job, &r, out, &file, e);
        if (rc == 2)
            rc = err_set(e, ERR_INPUT, "'%s' is neither an archive nor a repository", r.shown);
        if (rc < 0) return err_wrap(e, "--build-context %s", out->name);
        out->tree.root.label = out->name;
    } else if (open_folder(rest.p, out, out->name, e) < 0) {
        return -1;
    }
    return open_ignore(out, NULL, e);
}

int build_context_scan(struct engine *en, struct build_context *c, struct err *e)
{
    if (c->scanned || c->image) return 0;
    // What is remembered of files goes by their inodes: those of a copy of ours never come again.
    if (!c->fetched && build_memory_open(en, &c->tree.root, &c->tree.memory, e) < 0) return -1;
    if (build_tree_scan(&c->tree, &c->ignore, e) < 0) return err_wrap(e, "looking at the context");
    c->scanned = true;
    return 0;
}

int build_context_digest(struct build_job *job, struct oci_digest *out, struct err *e)
{
    struct build_context *c = &job->contexts.p[0];
    struct codec_sha256 h;
    *out = (struct oci_digest){0};
    if (!c->scanned) return 0;
    codec_sha256_init(&h);
    vec_each(n, &c->tree.nodes)
    {
        if (n->path[0] == '\0') continue; // the top folder's own mode goes nowhere
        if (build_tree_hash(&c->tree, n, n->path, &h, e) < 0) return -1;
    }
    codec_sha256_end(&h, out->hex);
    return 0;
}

void build_context_close(struct engine *en, struct build_context *c)
{
    build_memory_close(en, c->tree.memory);
    c->tree.memory = NULL;
    build_tree_fini(&c->tree);
    build_ignore_fini(&c->ignore);
    if (c->tree.root.fd >= 0) close(c->tree.root.fd);
    c->tree.root.fd = -1;
    free(c->name);
    free(c->image);
    free(c->ignore_label);
}
