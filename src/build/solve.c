// SPDX-License-Identifier: Apache-2.0
// The solver. Every needed stage runs in a worker process from the start; a stage that needs another
// one's files waits for the end of a pipe that the other holds. Steps that do real work take a token
// first, so that no more of them run than the machine should bear. A step is an operation with a
// key: looked up, or applied on a fresh overlay and committed by renaming.
//
// Cache records are collected and written by the parent after one sync of the store, so a record
// never names a layer that a power cut could take away.
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/own.h"
#include "base/proc.h"
#include "build/cacheexport.h"
#include "build/cacheimport.h"
#include "build/internal.h"
#include "codec/json.h"
#include "sandbox/sandbox.h"
#include "store/cache.h"

#define RECORDS_MAX ((size_t)256 << 20)
#define EVENT_PIECE 3500  // an event and its text are one atomic write to a pipe (4096)

// --- one step ---------------------------------------------------------------------------------
void build_solve_token(struct build_work *w, bool take)
{
    char c = 't';
    ssize_t n;
    do n = take ? read(w->job->tokens[0], &c, 1) : write(w->job->tokens[1], &c, 1);
    while (n < 0 && errno == EINTR);
}

static void finish_key(const struct build_work *w, struct build_op *op, char hex[CODEC_SHA256_HEX])
{
    const struct build_state *s = w->state;
    codec_sha256_addz(&op->key, "dewar step 1");
    codec_sha256_addz(&op->key, op->independent ? "" : s->chain.hex);
    codec_sha256_addu(&op->key, op->commit_times ? (uint64_t)s->now : 0);
    codec_sha256_addu(&op->key, w->job->opt->no_scrub);
    codec_sha256_end(&op->key, hex);
}

static void take_result(struct build_work *w, struct build_op *op, const struct store_layer *l,
                        const struct strv *written)
{
    build_state_history(w->state, op->created_by, l == NULL);
    if (l) build_state_add_layer(w->state, l);
    if (written) strv_add_all(&w->state->copied, written);
}

static void read_copied(const struct codec_json *record, struct strv *out)
{
    const struct codec_json *copied = codec_json_get(record, "copied");
    for (size_t i = 0; i < codec_json_len(copied); i++)
        strv_take(out, sv_dup(codec_json_text(codec_json_at(copied, i))));
}

// 1: the record is there and its layer too.
static int look_up(struct build_work *w, struct build_op *op, const char *key, struct err *e)
{
    own(str) struct str text = {0};
    own(codec_json) struct codec_json *j = NULL;
    struct err broken;
    if (store_cache_find(w->job->en, "steps", key, &text, e) != 1) return 0;
    if (codec_json_parse(str_sv(&text), "build record", &j, &broken) < 0) return 0;
    own(strv) struct strv written = {0};
    struct oci_digest diff;
    read_copied(j, &written);
    struct sv hex = codec_json_text(codec_json_get(j, "diff_id"));
    if (hex.n == 0) {
        take_result(w, op, NULL, &written);
        return 1;
    }
    struct store_layer layer;
    if (!oci_digest_parse_hex(hex, &diff) ||
        store_layer_find(w->job->en, &diff, &w->state->chain, &layer, &broken) != 1)
        return 0;
    take_result(w, op, &layer, &written);
    return 1;
}

static void remember_text(struct build_work *w, const char *key, struct sv record)
{
    if (w->records.max == 0) w->records.max = RECORDS_MAX;
    str_addf(&w->records, "%s ", key);
    str_add(&w->records, record);
    str_addc(&w->records, '\n');
}

// The same in the caches that --cache-from names. What was used is remembered here as well.
static int look_up_import(struct build_work *w, struct build_op *op, const char *key)
{
    own(str) struct str text = {0};
    own(strv) struct strv written = {0};
    own(codec_json) struct codec_json *j = NULL;
    struct store_layer layer;
    struct err broken;
    if (build_cacheimport_step(w->job, &w->state->chain, key, &text, &layer) != 1 ||
        codec_json_parse(str_sv(&text), "build record", &j, &broken) < 0)
        return 0;
    read_copied(j, &written);
    take_result(w, op, oci_digest_is_set(&layer.diff_id) ? &layer : NULL, &written);
    remember_text(w, key, str_sv(&text));
    return 1;
}

static void remember(struct build_work *w, const char *key, const struct store_layer *l,
                     const struct strv *written)
{
    struct codec_json *j = codec_json_new_object();
    codec_json_set_text(j, "diff_id", l ? l->diff_id.hex : "");
    if (written && written->n) codec_json_set(j, "copied", codec_json_new_strv(written));
    own(str) struct str text = {0};
    codec_json_print(j, &text);
    codec_json_free(j);
    remember_text(w, key, str_sv(&text));
}

// The upper directory's own attributes are the root's: they must be what the layers below show.
static int like_root_below(struct build_work *w, int fs_fd, bool independent, struct err *e)
{
    struct stat st = {.st_mode = 0755};
    if (w->state->layers.n && !independent) {
        own(fd) int below =
            store_layer_open_fs(w->job->en, &w->state->layers.p[w->state->layers.n - 1], e);
        if (below < 0) return -1;
        if (fstat(below, &st) != 0) return err_sys(e, "stat the layer below");
        struct timespec ts[2] = {st.st_mtim, st.st_mtim};
        futimens(fs_fd, ts);
    }
    if (fchown(fs_fd, st.st_uid, st.st_gid) != 0 || fchmod(fs_fd, st.st_mode & 07777) != 0)
        return err_sys(e, "prepare the step's root");
    return 0;
}

static int open_root(struct build_work *w, const struct build_op *op, int folder, int *out_fd,
                     struct err *e)
{
    if (mkdirat(folder, "fs", 0755) != 0 || mkdirat(folder, "work", 0700) != 0)
        return err_sys(e, "make the step's folders");
    own(fd) int fs = fs_open_dir(folder, "fs", e);
    own(fd) int work = fs < 0 ? -1 : fs_open_dir(folder, "work", e);
    if (work < 0 || like_root_below(w, fs, op->independent, e) < 0) return -1;
    if (op->independent) {
        *out_fd = take_fd(fs);
        return 0;
    }
    own(fd) int stub = sandbox_stub_open(w->job->en, NULL, e);
    if (stub < 0) return -1;
    struct store_overlay o = {.layers = w->state->layers.p, .n = w->state->layers.n,
                              .extra_bottom_fd = stub, .upper_fd = fs, .work_fd = work};
    *out_fd = store_overlay_open(w->job->en, &o, e);
    return *out_fd < 0 ? -1 : 0;
}

static int apply(struct build_work *w, struct build_op *op, struct store_layer *out, struct err *e)
{
    own(free) char *name = str_fmt("step-%u", w->serial++);
    own(strv) struct strv stubs = {0};
    own(fd) int folder = -1;
    size_t below = op->independent ? 0 : w->state->layers.n;
    if (build_cacheimport_need(w->job, &w->tmp, w->state->layers.p, below, e) < 0) return -1;
    if (mkdirat(w->tmp.fd, name, 0700) != 0) return err_sys(e, "make the step's folder");
    folder = fs_open_dir(w->tmp.fd, name, e);
    if (folder < 0) return -1;
    {
        own(fd) int root_fd = -1;  // closing it unmounts the overlay
        if (open_root(w, op, folder, &root_fd, e) < 0) return -1;
        struct root root = {root_fd, "the image"};
        if (op->apply(w, &root, folder, op->arg, &stubs, e) < 0) return -1;
    }
    struct store_commit commit = {
        .newest = op->commit_times ? w->state->now : INT64_MAX,
        .scrub = op->scrub && !w->job->opt->no_scrub,
        .touched = op->touched,
        .below = w->state->layers.p,
        .below_n = below,
        .stubs = &stubs,
    };
    return store_layer_commit(w->job->en, w->tmp.fd, name, &commit, out, e);
}

static void emit(struct build_work *w, enum event_kind kind, struct sv text)
{
    event_emit(&w->job->en->sink,
               (struct event){.kind = kind, .id = w->id, .name = w->label, .text = text});
}

static bool wants_cache(const struct build_work *w)
{
    const struct strv *filter = w->job->opt->no_cache_filter;
    if (w->job->opt->no_cache) return false;
    for (size_t i = 0; filter && i < filter->n; i++) {
        struct sv rest = sv_of(filter->p[i]);
        while (rest.p) {
            struct sv name = sv_trim(sv_cut(&rest, ','));
            if (name.n == strlen(w->stage->shown) &&
                strncasecmp(name.p, w->stage->shown, name.n) == 0)
                return false;
        }
    }
    return true;
}

int build_solve_step(struct build_work *w, struct build_op *op, struct err *e)
{
    char key[CODEC_SHA256_HEX];
    if (w->job->opt->timestamps == BUILD_TIMES_NOW)
        w->state->now = clock_real_ns() / 1000000000;
    else if (!w->state->constant)
        w->state->now++;
    op->commit_times = w->job->opt->timestamps != BUILD_TIMES_NOW;
    finish_key(w, op, key);
    if (wants_cache(w) && (look_up(w, op, key, e) == 1 || look_up_import(w, op, key) == 1)) {
        build_cacheexport_note(w, 's', key);
        w->cached++;
        emit(w, EVENT_CACHED, SV(""));
        return 0;
    }
    struct store_layer layer = {0};
    if (build_stage_borrows(w) && build_cacheimport_run(w->job, e) < 0) return -1;
    build_solve_token(w, true);
    emit(w, EVENT_START, SV(""));
    int rc = apply(w, op, &layer, e);
    build_solve_token(w, false);
    if (rc < 0) {
        emit(w, EVENT_FAILED, sv_of(err_cause(e)));
        return -1;
    }
    w->done++;
    const struct store_layer *l = layer.entries ? &layer : NULL;
    if (op->unstable && *op->unstable)
        event_warn(&w->job->en->sink, "%s: a file changed while it was copied; the step is not cached",
                   w->label);
    else {
        remember(w, key, l, op->written);
        build_cacheexport_note(w, 's', key);
    }
    take_result(w, op, l, op->written);
    emit(w, EVENT_DONE, SV(""));
    return 0;
}

int build_solve_view(struct build_work *w, struct build_state *s, int *out_fd, struct err *e)
{
    if (build_cacheimport_need(w->job, &w->tmp, s->layers.p, s->layers.n, e) < 0) return -1;
    struct store_overlay o = {.layers = s->layers.p, .n = s->layers.n};
    if (s->layers.n == 0) {  // scratch: an empty folder
        own(free) char *name = str_fmt("empty-%u", w->serial++);
        if (mkdirat(w->tmp.fd, name, 0755) != 0) return err_sys(e, "make an empty root");
        *out_fd = fs_open_dir(w->tmp.fd, name, e);
    } else {
        *out_fd = store_overlay_open(w->job->en, &o, e);
    }
    return *out_fd < 0 ? -1 : 0;
}

// --- stages side by side ------------------------------------------------------------------------
static char *result_name(size_t stage)
{
    return str_fmt("stage-%zu", stage);
}

int build_solve_wait(struct build_work *w, size_t stage, struct build_state *out, struct err *e)
{
    struct build_stage *s = &w->job->stages.p[stage];
    own(free) char *name = result_name(stage);
    char c;
    ssize_t n;
    do n = read(s->done_rd, &c, 1);
    while (n < 0 && errno == EINTR);
    if (!fs_exists(w->job->tmp.fd, name)) return err_set(e, ERR_INTERRUPTED, "stage '%s' failed", s->shown);
    return build_state_load(w->job, name, out, e);
}

// Events of a worker go through one pipe to the parent: a fixed head, then name and text.
struct wire {
    struct event ev;
    uint32_t name_n, text_n;
};

static void send_event(void *arg, const struct event *ev)
{
    int fd = *(int *)arg;
    struct sv rest = ev->text;
    size_t name_n = ev->name ? strlen(ev->name) : 0;
    if (name_n > 400) name_n = 400;
    do {
        char buf[4096];
        struct wire w = {*ev, (uint32_t)name_n, 0};
        size_t room = EVENT_PIECE - sizeof w - name_n;
        struct sv piece = sv_part(rest, 0, room);
        w.text_n = (uint32_t)piece.n;
        memcpy(buf, &w, sizeof w);
        if (name_n) memcpy(buf + sizeof w, ev->name, name_n);
        if (piece.n) memcpy(buf + sizeof w + name_n, piece.p, piece.n);
        ssize_t n = write(fd, buf, sizeof w + name_n + piece.n);
        if (n < 0 && errno != EINTR) return;
        rest = sv_from(rest, piece.n);
    } while (rest.n);
}

static int read_full(int fd, void *p, size_t n)
{
    size_t have = 0;
    while (have < n) {
        ssize_t got = read(fd, (char *)p + have, n - have);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return -1;
        have += (size_t)got;
    }
    return 0;
}

static int pass_event(struct build_job *job, int fd)
{
    struct wire w;
    char name[512], text[4096];
    if (read_full(fd, &w, sizeof w) < 0 || w.name_n >= sizeof name || w.text_n > sizeof text ||
        read_full(fd, name, w.name_n) < 0 || read_full(fd, text, w.text_n) < 0)
        return -1;
    name[w.name_n] = '\0';
    w.ev.name = w.name_n ? name : NULL;
    w.ev.text = (struct sv){text, w.text_n};
    if (w.ev.kind == EVENT_CACHED) job->result->cached++;
    if (w.ev.kind == EVENT_CACHED || w.ev.kind == EVENT_DONE) job->result->steps++;
    event_emit(&job->en->sink, w.ev);
    return 0;
}

struct stage_start {
    struct build_job *job;
    size_t index;
    int events;
};

static void keep_only_own_end(struct build_job *job, size_t index)
{
    vec_each(s, &job->stages)
    {
        if (s->index != index && s->done_wr >= 0) {
            close(s->done_wr);
            s->done_wr = -1;
        }
    }
}

static int save_records(struct build_work *w, struct err *e)
{
    own(free) char *name = str_fmt("records-%zu", w->stage->index);
    if (w->records.n == 0) return 0;
    return fs_replace(w->job->tmp.fd, name, str_sv(&w->records), 0600, e);
}

static int stage_worker(void *arg, struct err *e)
{
    struct stage_start *start = arg;
    struct build_job *job = start->job;
    own(build_state) struct build_state state;
    build_state_init(&state);
    keep_only_own_end(job, start->index);
    job->en->sink = (struct event_sink){send_event, &start->events};
    struct build_work w = {.job = job, .stage = &job->stages.p[start->index], .state = &state,
                           .tmp = STORE_TMP_NONE};
    // Mounts of steps (secrets, views) live in a namespace that ends with this worker.
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
        return err_sys(e, "make a mount namespace");
    if (engine_reopen(job->en, e) < 0) return -1;
    if (store_tmp_open(job->en, &w.tmp, e) < 0) return -1;
    int rc = build_stage_run(&w, e);
    struct err save_err;
    if (save_records(&w, rc < 0 ? &save_err : e) < 0) rc = -1;
    if (rc == 0) rc = build_cacheexport_save(&w, e);
    own(free) char *name = result_name(start->index);
    if (rc == 0) rc = build_state_save(&state, job->tmp.fd, name, e);
    vec_each(c, &job->contexts)
    {
        build_memory_close(job->en, c->tree.memory);
        c->tree.memory = NULL;
    }
    store_tmp_close(job->en, &w.tmp);
    str_fini(&w.records);
    str_fini(&w.notes);
    return rc;
}

struct running {
    struct proc_worker worker;
    size_t stage;
    bool ended;
};

static int start_stages(struct build_job *job, int events, struct running *run, size_t *out_n,
                        struct err *e)
{
    vec_each(s, &job->stages)
    {
        int ends[2];
        if (!s->needed) continue;
        if (pipe2(ends, O_CLOEXEC) != 0) return err_sys(e, "pipe");
        s->done_rd = ends[0];
        s->done_wr = ends[1];
    }
    vec_each(s, &job->stages)
    {
        if (!s->needed) continue;
        struct stage_start start = {job, s->index, events};
        if (proc_worker_start(stage_worker, &start, &run[*out_n].worker, e) < 0) return -1;
        run[*out_n].stage = s->index;
        run[*out_n].ended = false;
        (*out_n)++;
    }
    vec_each(s, &job->stages)
    {
        if (s->done_wr >= 0) close(s->done_wr);
        s->done_wr = -1;
    }
    return 0;
}

// A stage that failed only because one it waited for failed is not the one to report.
static bool is_cause(const struct err *e)
{
    return e->kind != ERR_INTERRUPTED;
}

static void stop_all(struct running *run, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!run[i].ended) proc_kill(&run[i].worker.proc, SIGKILL);
}

static int watch(struct build_job *job, struct running *run, size_t n, int events, struct err *e)
{
    struct pollfd *fds = mem_alloc((n + 1) * sizeof *fds);
    size_t left = n;
    int rc = 0;
    while (left) {
        fds[n] = (struct pollfd){.fd = events, .events = POLLIN};
        for (size_t i = 0; i < n; i++)
            fds[i] = (struct pollfd){.fd = run[i].ended ? -1 : run[i].worker.proc.fd, .events = POLLIN};
        if (poll(fds, n + 1, -1) < 0 && errno != EINTR) {
            rc = err_sys(e, "poll");
            break;
        }
        if (fds[n].revents & POLLIN) {  // what a worker said comes before its end
            pass_event(job, events);
            continue;
        }
        for (size_t i = 0; i < n; i++) {
            if (!(fds[i].revents & POLLIN)) continue;
            struct err theirs;
            int worker_rc = proc_worker_wait(&run[i].worker, &theirs);
            run[i].ended = true;
            left--;
            if (worker_rc == 0 || (rc < 0 && !is_cause(&theirs))) continue;
            if (rc == 0 || !is_cause(e)) *e = theirs;
            if (is_cause(&theirs)) stop_all(run, n);
            rc = -1;
        }
    }
    free(fds);
    return rc;
}

static void write_records(struct build_job *job)
{
    struct err ignored;
    own(str) struct str all = {.max = RECORDS_MAX};
    vec_each(s, &job->stages)
    {
        own(free) char *name = str_fmt("records-%zu", s->index);
        if (fs_exists(job->tmp.fd, name))
            fs_read_at(job->tmp.fd, name, RECORDS_MAX, &all, &ignored);
    }
    if (all.n == 0 || store_sync(job->en, &ignored) < 0) return;
    struct sv rest = str_sv(&all);
    while (rest.p) {
        struct sv line = sv_cut(&rest, '\n'), kind = sv_cut(&line, ' ');
        if (!line.p) continue;
        own(free) char *key = sv_dup(kind);
        if (store_cache_put(job->en, "steps", key, line, &ignored) < 0)
            event_warn(&job->en->sink, "cannot write a build record: %s", err_cause(&ignored));
    }
}

static int make_tokens(struct build_job *job, struct err *e)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned n = job->opt->jobs ? job->opt->jobs : cpus > 2 ? (unsigned)cpus : 2;
    if (pipe2(job->tokens, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    for (unsigned i = 0; i < n && i < 1024; i++)
        if (write(job->tokens[1], "t", 1) != 1) return err_sys(e, "fill the pipe of tokens");
    return 0;
}

int build_solve_stages(struct build_job *job, struct err *e)
{
    int ends[2];
    if (make_tokens(job, e) < 0) return -1;
    if (pipe2(ends, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    own(fd) int rd = ends[0];
    own(fd) int wr = ends[1];
    struct running *run = mem_alloc((job->stages.n + 1) * sizeof *run);
    size_t n = 0;
    int rc = start_stages(job, wr, run, &n, e);
    close(take_fd(wr));
    if (rc < 0) {
        struct err ignored;
        stop_all(run, n);
        watch(job, run, n, rd, &ignored);
    } else {
        rc = watch(job, run, n, rd, e);
    }
    write_records(job);
    vec_each(s, &job->stages) if (s->done_rd >= 0) close(s->done_rd);
    close(job->tokens[0]);
    close(job->tokens[1]);
    free(run);
    return rc;
}
