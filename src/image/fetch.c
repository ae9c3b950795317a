// SPDX-License-Identifier: Apache-2.0
// One poll loop over the registry client, the unpack workers and, for layers that another command
// fetches at this moment, workers that wait for its lock. The life of a job:
//
//   FRESH --lock--> OWNED --request--> (bytes come) --worker ends well--> UNPACKED --> PUBLISHED
//     |  `--busy--> WAITING --lock free--> FRESH again (what it waited for may be in the store now)
//     `--the blob is in the store--> OWNED, with all bytes there
//
// A worker follows the part file: an eventfd holds how many bytes were added since it last looked,
// so it sleeps in read(2) while there is nothing new. The file's offset, which the registry client
// sees, tells how far it has come: downloads run ahead of unpacking by a few MiB only. A worker
// always hashes from the first byte on, so what an earlier run left is checked like the rest; if
// that turns out to be damaged, the job begins anew once. Whoever waits for another's lock holds
// nothing that the other one needs, so nobody waits in a circle: an unpacked layer that needs the
// ones below (an open one) gives up its lock before it waits for them.
#include "image/fetch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/own.h"
#include "base/proc.h"
#include "image/internal.h"
#include "store/blob.h"
#include "store/download.h"
#include "store/flush.h"
#include "store/meta.h"
#include "store/tmp.h"

#define DOWNLOADS_MAX 6
#define WORKERS_MAX 16
#define WAIT_STEP_MS 15000
#define WAIT_S 600

enum job_state {
    JOB_FRESH,
    JOB_WAITING,
    JOB_OWNED,
    JOB_UNPACKED, // lies in tmp/<name>; open, or it would be published
    JOB_PUBLISHED,
};
struct job {
    const struct oci_descriptor *d;
    const struct oci_digest *diff;
    struct oci_digest below; // chain id of what lies below
    enum job_state state;
    struct store_download part;
    int blob_fd;   // the bytes come from the store's blob instead; -1: no
    uint64_t have; // bytes that are there
    uint64_t told; // ... as the worker knows
    int event_fd;
    uint32_t request; // 0: none under way
    struct proc_worker worker;
    bool working;       // an unpacker, or in JOB_WAITING who waits for the lock
    bool used;          // what an earlier run left is part of it
    bool again;         // it was begun anew once
    int64_t waiting_ns; // since when the other one's file has not grown
    uint64_t waiting_size;
    char name[24]; // folder in tmp
    struct store_layer layer;
};
struct image_fetch {
    struct engine *en;
    struct image_fetch_options opt;
    struct store_tmp tmp;
    struct job *jobs;
    size_t *order; // of the jobs: the largest first
    size_t n;
    size_t *job_of; // per layer; SIZE_MAX: it was here
    unsigned workers, busy, downloads;
    uint64_t wait_s; // the longest that another command may stand still
    size_t serial;
};

uint64_t image_fetch_event_id(const struct oci_digest *d)
{
    char part[17];
    memcpy(part, d->hex, 16);
    part[16] = '\0';
    return strtoull(part, NULL, 16) | 1;
}

static void emit(struct image_fetch *f, const struct job *j, enum event_kind kind, const char *text)
{
    own(free) char *name = str_fmt("layer %.12s", j->d->digest.hex);
    event_emit(&f->en->sink, (struct event){.kind = kind,
                                            .id = image_fetch_event_id(&j->d->digest),
                                            .name = kind == EVENT_START ? name : NULL,
                                            .text = sv_of(text),
                                            .done = j->have,
                                            .total = j->d->size});
}

static int about(struct image_fetch *f, const struct job *j, struct err *e)
{
    size_t i = 0;
    while (i + 1 < f->opt.manifest->n && f->job_of[i] != (size_t)(j - f->jobs)) i++;
    return err_wrap(e, "layer %zu of %zu (sha256:%.12s)", i + 1, f->opt.manifest->n,
                    j->d->digest.hex);
}

// --- planning -----------------------------------------------------------------------------------

static bool is_foreign(const struct oci_descriptor *d)
{
    return strstr(d->media_type, ".foreign.") || strstr(d->media_type, "nondistributable");
}

static int check_descriptor(const struct oci_descriptor *d, struct err *e)
{
    if (d->size > 0 && d->size <= LIMIT_LAYER_BYTES) return 0;
    return err_set(e, ERR_INPUT, "blob sha256:%.12s has the impossible size %llu", d->digest.hex,
                   (unsigned long long)d->size);
}

static size_t find_job(const struct image_fetch *f, const struct oci_digest *blob)
{
    for (size_t i = 0; i < f->n; i++)
        if (oci_digest_eq(&f->jobs[i].d->digest, blob)) return i;
    return SIZE_MAX;
}

static int plan(struct image_fetch *f, struct err *e)
{
    const struct oci_manifest *m = f->opt.manifest;
    struct oci_digest chain = {0};
    for (size_t i = 0; i < m->n; i++) {
        const struct oci_digest *diff = &f->opt.image->diff_ids[i];
        struct store_layer have;
        struct job j = {.d = &m->items[i],
                        .diff = diff,
                        .below = chain,
                        .part = STORE_DOWNLOAD_NONE,
                        .blob_fd = -1,
                        .event_fd = -1};
        int found = store_layer_find(f->en, diff, &chain, &have, e);
        if (found < 0 || check_descriptor(j.d, e) < 0) return -1;
        chain = oci_digest_chain(&chain, diff);
        f->job_of[i] = found ? SIZE_MAX : find_job(f, &j.d->digest);
        if (!found && f->job_of[i] != SIZE_MAX) continue;
        j.have = found ? j.d->size : 0;
        emit(f, &j, EVENT_START, "");
        if (found) {
            emit(f, &j, EVENT_CACHED, "already here");
            continue;
        }
        f->job_of[i] = f->n;
        f->jobs[f->n++] = j;
    }
    return 0;
}

static int larger(const void *a, const void *b, void *arg)
{
    const struct image_fetch *f = arg;
    uint64_t x = f->jobs[*(const size_t *)a].d->size, y = f->jobs[*(const size_t *)b].d->size;
    return x == y ? 0 : x < y ? 1 : -1;
}

static unsigned worker_count(unsigned asked)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned n = asked ? asked : cpus > DOWNLOADS_MAX ? (unsigned)cpus : DOWNLOADS_MAX;
    return n < WORKERS_MAX ? n : WORKERS_MAX;
}

static uint64_t wait_limit(void)
{
    const char *z = getenv("DEWAR_REGISTRY_WAIT");
    uint64_t n;
    return z && num_u64_max(sv_of(z), 86400, &n) && n > 0 ? n : WAIT_S;
}

int image_fetch_open(struct engine *en, const struct image_fetch_options *opt,
                     struct image_fetch **out, struct err *e)
{
    own(image_fetch) struct image_fetch *f = mem_alloc(sizeof *f);
    size_t n = opt->manifest->n;
    *f = (struct image_fetch){
        .en = en,
        .opt = *opt,
        .tmp = STORE_TMP_NONE,
        .workers = worker_count(opt->workers),
        .wait_s = wait_limit(),
    };
    f->jobs = mem_alloc((n + 1) * sizeof *f->jobs);
    f->order = mem_alloc((n + 1) * sizeof *f->order);
    f->job_of = mem_alloc((n + 1) * sizeof *f->job_of);
    if (engine_enter(en, e) < 0 || store_tmp_open(en, &f->tmp, e) < 0 || plan(f, e) < 0) return -1;
    for (size_t i = 0; i < f->n; i++) f->order[i] = i;
    if (f->n > 1) qsort_r(f->order, f->n, sizeof *f->order, larger, f);
    *out = take_ptr(f);
    return 0;
}

static void stop_worker(struct job *j)
{
    struct err ignored = {0};
    if (!j->working) return;
    proc_kill(&j->worker.proc, SIGKILL);
    (void)proc_worker_wait(&j->worker, &ignored);
    j->working = false;
}

void image_fetch_close(struct image_fetch *f)
{
    if (!f) return;
    for (size_t i = 0; i < f->n; i++) {
        struct job *j = &f->jobs[i];
        stop_worker(j);
        store_download_close(&j->part);
        if (j->blob_fd >= 0) close(j->blob_fd);
        if (j->event_fd >= 0) close(j->event_fd);
    }
    store_tmp_close(f->en, &f->tmp);
    free(f->jobs);
    free(f->order);
    free(f->job_of);
    free(f);
}

// --- workers ------------------------------------------------------------------------------------

// A part file that grows.
struct tail {
    int fd, event_fd;
    uint64_t at, have, size;
};

static ssize_t tail_read(void *arg, void *buf, size_t n, struct err *e)
{
    struct tail *t = arg;
    while (t->at >= t->have) {
        uint64_t more = 0;
        if (t->at >= t->size) return 0;
        ssize_t got = read(t->event_fd, &more, sizeof more);
        if (got < 0 && errno != EINTR) return err_sys(e, "wait for the download");
        if (got == (ssize_t)sizeof more) t->have += more;
    }
    if (n > t->have - t->at) n = (size_t)(t->have - t->at);
    ssize_t got;
    do got = pread(t->fd, buf, n, (off_t)t->at);
    while (got < 0 && errno == EINTR);
    if (got < 0) return err_sys(e, "read the download");
    if (got == 0) return err_set(e, ERR_INTERNAL, "the download is shorter than it was said to be");
    t->at += (uint64_t)got;
    if (lseek(t->fd, (off_t)t->at, SEEK_SET) < 0) return err_sys(e, "seek in the download");
    return got;
}

struct unpack {
    struct image_fetch *f;
    struct job *j;
};

static int unpack(void *arg, struct err *e)
{
    struct unpack *u = arg;
    struct job *j = u->j;
    struct tail t = {.fd = j->blob_fd >= 0 ? j->blob_fd : j->part.fd,
                     .event_fd = j->event_fd,
                     .have = j->told,
                     .size = j->d->size};
    const struct store_layer_put put = {
        .src = {.read = tail_read, .arg = &t},
        .want_diff = j->diff,
        .want_blob = &j->d->digest,
        .want_size = j->d->size,
    };
    return store_layer_unpack(u->f->en, &u->f->tmp, j->name, &put, e);
}

static int wait_lock(void *arg, struct err *e)
{
    return store_download_wait(&((struct job *)arg)->part, e);
}

static int start_unpack(struct image_fetch *f, struct job *j, struct err *e)
{
    struct unpack u = {f, j};
    snprintf(j->name, sizeof j->name, "l%zu", f->serial++);
    if (j->event_fd < 0 && (j->event_fd = eventfd(0, EFD_CLOEXEC)) < 0)
        return err_sys(e, "make an eventfd");
    j->told = j->have;
    if (proc_worker_start(unpack, &u, &j->worker, e) < 0) return -1;
    j->working = true;
    f->busy++;
    return 0;
}

// Tells the worker, and whoever looks, how many bytes there are.
static int tell(struct image_fetch *f, struct job *j, uint64_t have, struct err *e)
{
    if (have > j->d->size) have = j->d->size;
    if (have > j->have) j->have = have;
    if (j->state != JOB_OWNED) return 0; // unpacked before the client said that all has come
    emit(f, j, EVENT_PROGRESS, j->have < j->d->size ? "" : j->working ? "unpacking" : "waiting");
    if (!j->working || j->have == j->told) return 0;
    uint64_t more = j->have - j->told;
    if (write(j->event_fd, &more, sizeof more) != (ssize_t)sizeof more)
        return err_sys(e, "wake a worker");
    j->told = j->have;
    return 0;
}

// --- beginning ----------------------------------------------------------------------------------

static int ask_for(struct image_fetch *f, struct job *j, struct err *e)
{
    struct transfer_request q = {.op = TRANSFER_BLOB_GET,
                                 .ref = *f->opt.ref,
                                 .digest = j->d->digest,
                                 .size = j->d->size,
                                 .offset = j->have,
                                 .flags = f->opt.flags | TRANSFER_HASHED | TRANSFER_PACED};
    if (image_remote_send(f->opt.remote, &q, j->part.fd, e) < 0) return -1;
    j->request = q.id;
    f->downloads++;
    return 0;
}

static int wait_for_other(struct image_fetch *f, struct job *j, struct err *e)
{
    event_info(&f->en->sink, "layer %.12s: another command fetches it; waiting", j->d->digest.hex);
    if (proc_worker_start(wait_lock, j, &j->worker, e) < 0) return -1;
    j->working = true;
    j->state = JOB_WAITING;
    j->waiting_ns = clock_mono_ns();
    return 0;
}

static int begin(struct image_fetch *f, struct job *j, struct err *e)
{
    uint64_t size = 0;
    int rc = store_layer_find(f->en, j->diff, &j->below, &j->layer, e);
    if (rc != 0) { // by another command, meanwhile
        j->state = JOB_PUBLISHED;
        emit(f, j, EVENT_CACHED, "already here");
        return rc < 0 ? -1 : 0;
    }
    if (store_blob_exists(f->en, &j->d->digest, &size) && size == j->d->size) {
        j->blob_fd = store_blob_open(f->en, &j->d->digest, e);
        j->have = size;
        j->state = JOB_OWNED;
        return j->blob_fd < 0 ? -1 : 0;
    }
    rc = store_download_open(f->en, &j->d->digest, j->d->size, &j->part, e);
    if (rc == 0) return wait_for_other(f, j, e);
    if (rc < 0) return -1;
    j->have = j->part.have;
    j->used = j->have > 0;
    j->state = JOB_OWNED;
    if (j->used)
        event_info(&f->en->sink, "layer %.12s: going on after %llu bytes of an earlier run",
                   j->d->digest.hex, (unsigned long long)j->have);
    return j->have < j->d->size ? ask_for(f, j, e) : 0;
}

static int begin_some(struct image_fetch *f, struct err *e)
{
    unsigned waiting = 0;
    for (size_t i = 0; i < f->n; i++) waiting += f->jobs[i].state == JOB_WAITING;
    for (size_t i = 0; i < f->n; i++) {
        struct job *j = &f->jobs[f->order[i]];
        if (f->downloads + waiting >= DOWNLOADS_MAX) break;
        if (j->state != JOB_FRESH) continue;
        if (begin(f, j, e) < 0) return about(f, j, e);
        waiting += j->state == JOB_WAITING;
    }
    for (size_t i = 0; i < f->n && f->busy < f->workers; i++) {
        struct job *j = &f->jobs[f->order[i]];
        if (j->state != JOB_OWNED || j->working) continue;
        if (start_unpack(f, j, e) < 0 || tell(f, j, j->have, e) < 0) return about(f, j, e);
    }
    return 0;
}

// --- ends ---------------------------------------------------------------------------------------

// What came earlier, or what the store had, was not what it should be: once more from the start.
static int begin_anew(struct image_fetch *f, struct job *j, const struct err *why, struct err *e)
{
    event_warn(&f->en->sink, "layer %.12s: what was here of it is damaged (%s): fetching it anew",
               j->d->digest.hex, err_cause(why));
    j->again = true;
    j->used = false;
    j->have = j->told = 0;
    if (j->request) f->downloads--; // its end is not waited for: it writes to a file without name
    j->request = 0;
    close(take_fd(j->event_fd));
    if (j->blob_fd >= 0) {
        close(take_fd(j->blob_fd));
        if (store_blob_remove(f->en, &j->d->digest, e) < 0) return -1;
        j->state = JOB_FRESH;
        return 0;
    }
    if (store_download_restart(f->en, &j->part, e) < 0) return -1;
    return ask_for(f, j, e);
}

static int unpacked(struct image_fetch *f, struct job *j, struct err *e)
{
    own(store_meta) struct store_meta meta = {0};
    own(fd) int dir = fs_open_dir(f->tmp.fd, j->name, e);
    if (dir < 0 || store_meta_load(dir, &meta, e) < 0) return -1;
    j->have = j->d->size;
    j->state = JOB_UNPACKED;
    if (!meta.open) {
        if (store_layer_publish(f->en, &f->tmp, j->name, NULL, 0, &j->layer, e) < 0) return -1;
        j->state = JOB_PUBLISHED;
    }
    emit(f, j, EVENT_DONE, "");
    return j->part.fd >= 0 ? store_download_release(&j->part, e) : 0;
}

static int worker_ended(struct image_fetch *f, struct job *j, struct err *e)
{
    struct err why = {0};
    int rc = proc_worker_wait(&j->worker, &why);
    j->working = false;
    if (j->state == JOB_WAITING) {
        store_download_close(&j->part);
        j->state = JOB_FRESH;
        if (rc < 0) *e = why;
        return rc;
    }
    f->busy--;
    if (rc == 0) return unpacked(f, j, e);
    bool damaged = why.kind == ERR_INPUT || why.kind == ERR_LIMIT;
    if (damaged && !j->again && (j->used || j->blob_fd >= 0)) return begin_anew(f, j, &why, e);
    // Nobody should continue what is wrong.
    if (damaged && j->part.fd >= 0) store_download_discard(f->en, &j->part);
    emit(f, j, EVENT_FAILED, err_cause(&why));
    *e = why;
    return -1;
}

static int answered(struct image_fetch *f, struct err *e)
{
    struct transfer_reply r;
    struct job *j = NULL;
    if (image_remote_next(f->opt.remote, &r, e) < 0) return -1;
    for (size_t i = 0; i < f->n && !j; i++)
        if (f->jobs[i].request == r.id) j = &f->jobs[i];
    if (!j) return 0;
    if (r.answer == TRANSFER_PROGRESS) return tell(f, j, r.size, e);
    j->request = 0;
    f->downloads--;
    if (r.answer == TRANSFER_DONE) return tell(f, j, j->d->size, e);
    *e = r.err;
    emit(f, j, EVENT_FAILED, err_cause(e));
    if (is_foreign(j->d))
        err_hint(
            e, "its owner does not let registries have this layer, and addresses in a manifest are "
               "never followed: 'dewar load' an archive that holds it");
    return about(f, j, e);
}

// --- the loop -----------------------------------------------------------------------------------

// Waiting is bounded: the other command must get on.
static int check_waiting(struct image_fetch *f, struct err *e)
{
    int64_t now = clock_mono_ns();
    for (size_t i = 0; i < f->n; i++) {
        struct job *j = &f->jobs[i];
        struct stat st;
        if (j->state != JOB_WAITING || fstat(j->part.fd, &st) != 0) continue;
        bool grew = (uint64_t)st.st_size != j->waiting_size;
        j->waiting_size = (uint64_t)st.st_size;
        if (grew) j->waiting_ns = now;
        if (now - j->waiting_ns < (int64_t)f->wait_s * 1000000000) continue;
        err_set(e, ERR_CONFLICT, "another command fetches it and has not got on for %llu seconds",
                (unsigned long long)f->wait_s);
        err_hint(e, "end that command, then try again");
        return about(f, j, e);
    }
    return 0;
}

static int wait_some(struct image_fetch *f, struct err *e)
{
    struct pollfd fds[DOWNLOADS_MAX + WORKERS_MAX + 1];
    struct job *whose[DOWNLOADS_MAX + WORKERS_MAX + 1];
    nfds_t n = 0;
    bool waiting = false;
    if (f->downloads) {
        whose[n] = NULL;
        fds[n++] = (struct pollfd){.fd = image_remote_fd(f->opt.remote), .events = POLLIN};
    }
    for (size_t i = 0; i < f->n; i++) {
        struct job *j = &f->jobs[i];
        if (!j->working) continue;
        waiting = waiting || j->state == JOB_WAITING;
        whose[n] = j;
        fds[n++] = (struct pollfd){.fd = j->worker.proc.fd, .events = POLLIN};
    }
    if (n == 0) return err_set(e, ERR_INTERNAL, "nothing to wait for");
    int step = f->wait_s * 1000 < WAIT_STEP_MS ? (int)f->wait_s * 1000 : WAIT_STEP_MS;
    int rc = poll(fds, n, waiting ? step : -1);
    if (rc < 0 && errno != EINTR) return err_sys(e, "wait for downloads");
    if (rc < 0) return 0;
    for (nfds_t i = 0; i < n; i++) {
        if (!fds[i].revents) continue;
        if (!whose[i] && answered(f, e) < 0) return -1;
        if (whose[i] && worker_ended(f, whose[i], e) < 0) return about(f, whose[i], e);
    }
    return waiting ? check_waiting(f, e) : 0;
}

static bool settled(const struct image_fetch *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->jobs[i].state < JOB_UNPACKED) return false;
    return f->downloads == 0;
}

// --- publishing ---------------------------------------------------------------------------------

// The same archive twice in one image, open, over other layers: it must be made once more.
static int unpack_again(struct image_fetch *f, struct job *j, struct err *e)
{
    if (start_unpack(f, j, e) < 0) return -1;
    f->busy--;
    j->working = false;
    return proc_worker_wait(&j->worker, e);
}

static int publish(struct image_fetch *f, size_t i, struct store_layer *layers, struct err *e)
{
    struct job *j = f->job_of[i] == SIZE_MAX ? NULL : &f->jobs[f->job_of[i]];
    const struct oci_digest *diff = &f->opt.image->diff_ids[i];
    struct oci_digest chain = {0};
    for (size_t k = 0; k < i; k++) chain = oci_digest_chain(&chain, &f->opt.image->diff_ids[k]);
    int rc = store_layer_find(f->en, diff, &chain, &layers[i], e);
    if (rc != 0) return rc < 0 ? -1 : 0;
    if (!j) return err_set(e, ERR_CONFLICT, "layer %zu was taken away meanwhile", i + 1);
    if (j->state == JOB_PUBLISHED && unpack_again(f, j, e) < 0) return about(f, j, e);
    if (store_layer_publish(f->en, &f->tmp, j->name, layers, i, &layers[i], e) < 0)
        return about(f, j, e);
    j->state = JOB_PUBLISHED;
    if (oci_digest_eq(&layers[i].diff_id, diff)) return 0;
    err_set(e, ERR_INPUT, "its diff id is sha256:%s, the config says sha256:%s",
            layers[i].diff_id.hex, diff->hex);
    return about(f, j, e);
}

// A full disk is not to stay full of what nobody can finish.
static void give_back(struct image_fetch *f)
{
    for (size_t i = 0; i < f->n; i++) {
        stop_worker(&f->jobs[i]);
        if (f->jobs[i].state == JOB_WAITING) store_download_close(&f->jobs[i].part);
        store_download_discard(f->en, &f->jobs[i].part);
    }
}

static uint64_t size_of_jobs(const struct image_fetch *f)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < f->n; i++) sum += f->jobs[i].d->size;
    return sum;
}

int image_fetch_run(struct image_fetch *f, struct store_layer **out, struct err *e)
{
    size_t n = f->opt.manifest->n;
    own(free) struct store_layer *layers = mem_alloc((n + 1) * sizeof *layers);
    struct proc_worker flusher;
    int rc = store_flush_start(f->en, size_of_jobs(f), &flusher, e);
    while (rc == 0 && !settled(f)) {
        rc = begin_some(f, e);
        if (rc == 0 && !settled(f)) rc = wait_some(f, e);
    }
    store_flush_stop(&flusher);
    for (size_t i = 0; rc == 0 && i < n; i++) rc = publish(f, i, layers, e);
    if (rc < 0 && (e->sys == ENOSPC || e->sys == EDQUOT)) give_back(f);
    if (rc < 0) return -1;
    *out = take_ptr(layers);
    return 0;
}

int image_fetch_adopt(struct image_fetch *f, struct err *e)
{
    for (size_t i = 0; i < f->n; i++) {
        struct job *j = &f->jobs[i];
        if (j->part.fd >= 0 && store_download_adopt(f->en, &j->part, e) < 0) return about(f, j, e);
    }
    own(fd) int blobs = fs_open_dir(f->en->store_fd, "blobs/sha256", e);
    return blobs < 0 ? -1 : fs_sync_dir(blobs, e);
}
