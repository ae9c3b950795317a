// SPDX-License-Identifier: Apache-2.0
// cp and export: a process in the container's view (view.h) on one side of a pipe, we with the caller's
// ids on the other one, a tar between (tree.h). What is compressed is unpacked out here.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/output.h"
#include "base/own.h"
#include "files/files.h"
#include "files/tree.h"
#include "files/view.h"
#include "record/events.h"
#include "record/state.h"

struct copy {
    struct engine *en;
    const struct files_copy_options *o;
    char *inner;      // absolute in the container
    char *outer;      // absolute outside; NULL: o->fd
    struct root host; // "/"
    int self_fds;
    int rd, wr;       // the pipe; the worker closes the end that is not its own
    uint64_t bytes;
};

static int pipe_write(void *arg, const void *p, size_t n, struct err *e)
{
    return fs_write_all(*(int *)arg, p, n, e);
}

// --- in the container --------------------------------------------------------------------------

static int not_found(const struct files_copy_options *o, struct err *e)
{
    if (e->sys != ENOENT) return -1;
    err_clear(e);
    return err_set(e, ERR_NOT_FOUND, "Could not find the file %s in container %s", o->path, o->name);
}

static int inner_send(const struct view *v, void *arg, struct err *e)
{
    struct copy *c = arg;
    own(str) struct str name = {0};
    if (c->rd >= 0) close(take_fd(c->rd));
    own(fd) int top = tree_source(&v->root, c->inner, c->o->follow, &name, e);
    if (top < 0) return not_found(c->o, e);
    const struct tree_send s = {.dst = {pipe_write, &c->wr},
                                .self_fds = v->self_fds,
                                .name = str_z(&name),
                                .sink = &c->en->sink};
    return tree_send(top, &s, e);
}

static int inner_take(const struct view *v, void *arg, struct err *e)
{
    struct copy *c = arg;
    if (c->wr >= 0) close(take_fd(c->wr));
    const struct tree_take t = {.src = codec_source_fd(&c->rd),
                                .self_fds = v->self_fds,
                                .root = v->root,
                                .path = c->inner,
                                .archive = !c->outer,
                                .keep_owner = c->o->archive || !c->outer,
                                .container = c->o->name,
                                .sink = &c->en->sink};
    return tree_take(&t, e);
}

// --- outside -----------------------------------------------------------------------------------

static int counted_write(void *arg, const void *p, size_t n, struct err *e)
{
    struct copy *c = arg;
    c->bytes += n;
    return fs_write_all(c->wr, p, n, e);
}

static ssize_t counted_read(void *arg, void *buf, size_t n, struct err *e)
{
    struct copy *c = arg;
    struct codec_source from = codec_source_fd(&c->rd);
    ssize_t got = from.read(from.arg, buf, n, e);
    if (got > 0) c->bytes += (uint64_t)got;
    return got;
}

static int pass_archive(struct copy *c, struct err *e)
{
    own(codec_unzip) struct codec_unzip *u = NULL;
    own(free) char *buf = mem_alloc(1 << 18);
    int fd = c->o->fd;
    if (codec_unzip_open(codec_source_fd(&fd), LIMIT_LAYER_BYTES, &u, e) < 0) return -1;
    for (;;) {
        ssize_t n = codec_unzip_read(u, buf, 1 << 18, e);
        if (n <= 0) return (int)n;
        if (counted_write(c, buf, (size_t)n, e) < 0) return -1;
    }
}

static int outer_send(struct copy *c, int top, const char *name, struct err *e)
{
    if (!c->outer) return pass_archive(c, e);
    const struct tree_send s = {.dst = {counted_write, c},
                                .self_fds = c->self_fds,
                                .name = name,
                                .sink = &c->en->sink};
    return tree_send(top, &s, e);
}

static int outer_take(struct copy *c, struct err *e)
{
    const struct tree_take t = {.src = {counted_read, c},
                                .self_fds = c->self_fds,
                                .root = c->host,
                                .path = c->outer,
                                .keep_owner = c->o->archive,
                                .outside = true,
                                .own_ids = geteuid() != 0,
                                .sink = &c->en->sink};
    return tree_take(&t, e);
}

// The side that failed first knows why; the other one saw a pipe that broke or ended.
static int choose(int mine, const struct err *my_err, int theirs, const struct err *their_err,
                  struct err *e)
{
    bool broken = theirs < 0 && their_err->sys == EPIPE;
    if (theirs < 0 && !(broken && mine < 0)) {
        *e = *their_err;
        return -1;
    }
    if (mine < 0) *e = *my_err;
    return mine;
}

static int run(struct copy *c, const char *id, struct err *e)
{
    struct proc_worker w;
    struct err mine = {0}, theirs = {0};
    own(str) struct str name = {0};
    own(fd) int top = -1;
    if (!c->o->out && c->outer && (top = tree_source(&c->host, c->outer, c->o->follow, &name, e)) < 0)
        return -1;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    c->rd = ends[0];
    c->wr = ends[1];
    fcntl(c->wr, F_SETPIPE_SZ, 1 << 20); // fewer switches between the two; refused is fine
    const struct view_options o = {.work = c->o->out ? inner_send : inner_take, .arg = c};
    if (view_start(c->en, id, &o, &w, e) < 0) return -1;
    close(take_fd(*(c->o->out ? &c->wr : &c->rd)));
    struct sigaction old;
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, &old);
    int rc = c->o->out ? outer_take(c, &mine) : outer_send(c, top, str_z(&name), &mine);
    sigaction(SIGPIPE, &old, NULL);
    // A half-fed worker must not take the end of the pipe for the end of the archive.
    if (rc < 0 && !c->o->out && mine.sys != EPIPE) proc_kill(&w.proc, SIGKILL);
    close(take_fd(*(c->o->out ? &c->rd : &c->wr)));
    int done = proc_worker_wait(&w, &theirs);
    if (rc < 0 && !c->o->out && mine.sys != EPIPE) done = 0;
    return choose(rc, &mine, done, &theirs, e);
}

// To a tar on a descriptor: the worker writes it there itself.
static int run_out(struct copy *c, const char *id, struct err *e)
{
    struct proc_worker w;
    const struct view_options o = {.work = inner_send, .arg = c};
    c->wr = c->o->fd;
    int rc = view_start(c->en, id, &o, &w, e);
    c->wr = -1;
    return rc < 0 ? -1 : proc_worker_wait(&w, e);
}

static char *absolute(const char *path)
{
    char cwd[4096];
    if (path[0] == '/' || !getcwd(cwd, sizeof cwd)) return str_dup(path);
    return str_fmt("%s/%s", cwd, path);
}

static void copy_fini(struct copy *c)
{
    int *fds[] = {&c->host.fd, &c->self_fds, &c->rd, &c->wr};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) own_fd(fds[i]);
    free(c->inner);
    free(c->outer);
}

static void tell(struct engine *en, const char *id, const char *action, const char *path)
{
    struct err ignored;
    own(record_config) struct record_config c = {0};
    const char *const more[] = {"path", path, NULL};
    if (record_config_load(en, id, &c, &ignored) == 0)
        record_event(en, &c, action, path ? more : NULL);
}

static int copy(struct copy *c, const char *id, struct err *e)
{
    if (record_sweep(c->en, e) < 0) return -1;
    c->host = (struct root){fs_open("/", O_PATH | O_DIRECTORY, 0, e), "this machine"};
    if (c->host.fd < 0) return -1;
    c->self_fds = fs_open("/proc/self/fd", O_PATH | O_DIRECTORY, 0, e);
    if (c->self_fds < 0) return -1;
    return c->o->out && !c->outer ? run_out(c, id, e) : run(c, id, e);
}

int files_copy(struct engine *en, const char *id, const struct files_copy_options *o,
               uint64_t *out_bytes, struct err *e)
{
    struct copy c = {.en = en, .o = o, .host = {-1, ""}, .self_fds = -1, .rd = -1, .wr = -1};
    c.inner = str_fmt("%s%s", o->path[0] == '/' ? "" : "/", o->path);
    c.outer = o->local ? absolute(o->local) : NULL;
    int rc = copy(&c, id, e);
    *out_bytes = c.bytes;
    copy_fini(&c);
    if (rc < 0) return -1;
    tell(en, id, o->out ? "archive-path" : "extract-to-dir", o->path);
    return 0;
}

// --- export ------------------------------------------------------------------------------------

struct export {
    struct engine *en;
    int fd;
};

static int export_all(const struct view *v, void *arg, struct err *e)
{
    struct export *x = arg;
    const struct tree_send s = {.dst = {pipe_write, &x->fd},
                                .self_fds = v->self_fds,
                                .name = "",
                                .sink = &x->en->sink};
    return tree_send(v->root.fd, &s, e);
}

int files_export(struct engine *en, const char *id, const char *path, int fd, struct err *e)
{
    own(output) struct output file = OUTPUT_NONE;
    struct proc_worker w;
    struct export x = {.en = en, .fd = fd};
    if (!path && isatty(fd)) {
        err_set(e, ERR_USAGE, "an archive is not written to a terminal");
        return err_hint(e, "use -o FILE or redirect standard output");
    }
    if (path && output_open(path, 0600, &file, e) < 0) return -1;
    if (path) x.fd = file.fd;
    const struct view_options o = {.bare = true, .work = export_all, .arg = &x};
    if (record_sweep(en, e) < 0 || view_start(en, id, &o, &w, e) < 0 ||
        proc_worker_wait(&w, e) < 0 || (path && output_commit(&file, e) < 0))
        return -1;
    tell(en, id, "export", NULL);
    return 0;
}
