// SPDX-License-Identifier: Apache-2.0
// Writes gzip as numbered members of a fixed size (unzip.h has the format), because libdeflate's
// bytes do not depend on the CPU and independent members can be compressed side by side.
//
// The workers are processes around a ring of slots in shared memory. The writer fills the slot
// `tail`, and one byte in the pipe `jobs` (the slot's number) hands it to whichever worker reads
// first; the same byte in `done` hands it back. Slots are written out from `head`, oldest first, so
// the order is kept whoever was faster. Each slot belongs to one side at a time and the pipes order
// the accesses.
//
// A member that would not get smaller (pictures, archives, random numbers) is stored as it is, forty
// times as fast: a few samples of it, compressed for that alone, tell.
//
// A full member is held back until more comes or the end does: only then is it known whether it is
// the last. Small content never starts a worker.
#include <errno.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <poll.h>
#include <sys/mman.h>

#include "base/own.h"
#include "base/proc.h"
#include "base/str.h"
#include "codec/internal.h"

#define MEMBER ((size_t)1 << 20)
#define TAIL 8 // check sum and length
#define SAMPLES 8
#define SAMPLE ((size_t)4 << 10)
#define WORTH_PERCENT 98 // of the samples at most, or it is not worth it
// Smaller than zlib at 6, which other engines use, and 1.5 times as fast as libdeflate at 6.
#define LEVEL 4
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
// 2 MiB a slot, and a worker's own memory: below 1 MiB, near 10 MiB for the levels above 9.
#define WORKERS_MAX 16
#define WORKERS_MAX_SLOW 4
#define LEVEL_FAST_MAX 9
#define SLOTS_MORE 2 // beyond one a worker: one being filled, one being written
#define SLOTS_MAX (WORKERS_MAX + SLOTS_MORE)
#define QUIT 0xff

struct slot { // in shared memory
    uint32_t have, number, made;
    bool last;
    unsigned char *in, *out;
};

struct packer {
    struct libdeflate_compressor *full, *quick, *none;
};

struct deflater {
    struct packer packer;
    int level;
    size_t out_cap;
    struct slot *slots;
    size_t map_size;
    unsigned slots_n, head, tail;
    bool busy[SLOTS_MAX], ready[SLOTS_MAX];
    uint32_t number; // of the member being filled
    unsigned workers, started;
    struct proc_worker team[WORKERS_MAX];
    int jobs[2], done[2];
};

// --- one member
// -----------------------------------------------------------------------------------

static void put32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++, v >>= 8) p[i] = (unsigned char)v;
}

static void packer_close(struct packer *p)
{
    libdeflate_free_compressor(p->full);
    libdeflate_free_compressor(p->quick);
    libdeflate_free_compressor(p->none);
    *p = (struct packer){0};
}

static int packer_open(struct packer *p, int level, struct err *e)
{
    *p = (struct packer){libdeflate_alloc_compressor(level), libdeflate_alloc_compressor(1),
                         libdeflate_alloc_compressor(0)};
    if (!p->full) return err_set(e, ERR_USAGE, "gzip has no level %d (1 to 12)", level);
    return p->quick && p->none ? 0 : err_set(e, ERR_INTERNAL, "libdeflate does not start");
}

static bool is_worth_it(const struct packer *p, const struct slot *s, size_t cap)
{
    if (s->have < SAMPLES * SAMPLE) return true;
    size_t made = 0, step = s->have / SAMPLES;
    for (size_t i = 0; i < SAMPLES; i++)
        made += libdeflate_deflate_compress(p->quick, s->in + i * step, SAMPLE, s->out, cap);
    return made * 100 <= SAMPLES * SAMPLE * WORTH_PERCENT;
}

static int compress(const struct packer *p, struct slot *s, size_t cap, struct err *e)
{
    static const unsigned char head[] = CODEC_GZIP_HEAD_BYTES;
    size_t n = libdeflate_deflate_compress(is_worth_it(p, s, cap) ? p->full : p->none, s->in,
                                           s->have, s->out + CODEC_GZIP_HEAD,
                                           cap - CODEC_GZIP_HEAD - TAIL);
    if (n == 0) return err_set(e, ERR_INTERNAL, "libdeflate needs more room than it said");
    unsigned char *tail = s->out + CODEC_GZIP_HEAD + n;
    s->made = (uint32_t)(CODEC_GZIP_HEAD + n + TAIL);
    memcpy(s->out, head, sizeof head);
    put32(s->out + sizeof head, s->made);
    put32(s->out + sizeof head + 4, s->number | (s->last ? CODEC_GZIP_LAST : 0));
    put32(tail, libdeflate_crc32(0, s->in, s->have));
    put32(tail + 4, s->have);
    return 0;
}

// --- the team
// -------------------------------------------------------------------------------------

static int read_byte(int fd, unsigned char *out)
{
    ssize_t n;
    do n = read(fd, out, 1);
    while (n < 0 && errno == EINTR);
    return n == 1 ? 0 : -1;
}

static int write_byte(int fd, unsigned char c, struct err *e)
{
    ssize_t n;
    do n = write(fd, &c, 1);
    while (n < 0 && errno == EINTR);
    return n == 1 ? 0 : err_sys(e, "hand on a piece to compress");
}

// In a worker: no privileges needed, nothing but the shared slots and two pipes.
static int work(void *arg, struct err *e)
{
    struct deflater *d = arg;
    unsigned char i;
    close(d->jobs[1]);
    close(d->done[0]);
    struct packer packer;
    int rc = packer_open(&packer, d->level, e);
    while (rc == 0 && read_byte(d->jobs[0], &i) == 0 && i != QUIT) {
        rc = compress(&packer, &d->slots[i], d->out_cap, e);
        if (rc == 0) rc = write_byte(d->done[1], i, e);
    }
    packer_close(&packer);
    return rc;
}

static int start_team(struct deflater *d, struct err *e)
{
    if (d->jobs[0] < 0 && pipe2(d->jobs, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    if (d->done[0] < 0 && pipe2(d->done, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    for (; d->started < d->workers; d->started++)
        if (proc_worker_start(work, d, &d->team[d->started], e) < 0) return -1;
    return 0;
}

// Waits until a slot comes back. A worker never ends before it is told to.
static int wait_slot(struct deflater *d, struct err *e)
{
    struct pollfd fds[WORKERS_MAX + 1];
    fds[d->started] = (struct pollfd){.fd = d->done[0], .events = POLLIN};
    for (unsigned i = 0; i < d->started; i++)
        fds[i] = (struct pollfd){.fd = d->team[i].proc.fd, .events = POLLIN};
    while (poll(fds, d->started + 1, -1) < 0)
        if (errno != EINTR) return err_sys(e, "poll");
    for (unsigned i = 0; i < d->started; i++) {
        if (!fds[i].revents) continue;
        struct proc_worker dead = d->team[i];
        d->team[i] = d->team[--d->started];
        if (proc_worker_wait(&dead, e) == 0) err_set(e, ERR_INTERNAL, "it ended too early");
        return err_wrap(e, "compressing");
    }
    unsigned char at;
    if (read_byte(d->done[0], &at) < 0 || at >= d->slots_n || !d->busy[at])
        return err_set(e, ERR_INTERNAL, "a worker that compresses answers nonsense");
    d->ready[at] = true;
    return 0;
}

// Writes the oldest slot out.
static int collect(struct deflater *d, struct codec_sink dst, struct err *e)
{
    struct slot *s = &d->slots[d->head];
    while (!d->ready[d->head])
        if (wait_slot(d, e) < 0) return -1;
    d->busy[d->head] = d->ready[d->head] = false;
    d->head = (d->head + 1) % d->slots_n;
    s->have = 0;
    return dst.write(dst.arg, s->out, s->made, e);
}

static void stop_team(struct deflater *d)
{
    struct err ignored;
    for (unsigned i = 0; i < d->started; i++) proc_kill(&d->team[i].proc, SIGKILL);
    while (d->started > 0) proc_worker_wait(&d->team[--d->started], &ignored);
}

// --- the writer
// -----------------------------------------------------------------------------------

static unsigned count_workers(unsigned asked, int level)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned max = level > LEVEL_FAST_MAX ? WORKERS_MAX_SLOW : WORKERS_MAX;
    unsigned n = asked ? asked : cpus > 1 ? (unsigned)cpus : 1;
    return n < max ? n : max;
}

static int make_slots(struct deflater *d, struct err *e)
{
    d->slots_n = d->workers > 1 ? d->workers + SLOTS_MORE : 1;
    size_t heads = (d->slots_n * sizeof *d->slots + 63) / 64 * 64, each = MEMBER + d->out_cap;
    d->map_size = heads + d->slots_n * each;
    void *p = mmap(NULL, d->map_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return err_sys(e, "reserve %zu bytes to compress", d->map_size);
    d->slots = p;
    for (unsigned i = 0; i < d->slots_n; i++) {
        d->slots[i].in = (unsigned char *)p + heads + i * each;
        d->slots[i].out = d->slots[i].in + MEMBER;
    }
    return 0;
}

static void deflater_close(void *state)
{
    struct deflater *d = state;
    stop_team(d);
    for (int i = 0; i < 2; i++) {
        if (d->jobs[i] >= 0) close(d->jobs[i]);
        if (d->done[i] >= 0) close(d->done[i]);
    }
    if (d->slots) munmap(d->slots, d->map_size);
    packer_close(&d->packer);
    free(d);
}

static int deflater_open(int level, unsigned workers, void **out_state, struct err *e)
{
    struct deflater *d = mem_alloc(sizeof *d);
    d->jobs[0] = d->jobs[1] = d->done[0] = d->done[1] = -1;
    d->level = level ? level : LEVEL;
    d->workers = count_workers(workers, d->level);
    int rc = packer_open(&d->packer, d->level, e);
    if (rc == 0) {
        size_t most = libdeflate_deflate_compress_bound(NULL, MEMBER);
        d->out_cap = (CODEC_GZIP_HEAD + most + TAIL + 63) / 64 * 64;
        rc = make_slots(d, e);
    }
    if (rc < 0)
        deflater_close(d);
    else
        *out_state = d;
    return rc;
}

// The member in the slot `tail` is complete.
static int hand_over(struct deflater *d, bool last, struct codec_sink dst, struct err *e)
{
    struct slot *s = &d->slots[d->tail];
    s->number = d->number++;
    s->last = last;
    if (s->number == CODEC_GZIP_LAST) return err_set(e, ERR_LIMIT, "too much to compress");
    if (d->workers == 1 || (last && d->started == 0)) {
        if (compress(&d->packer, s, d->out_cap, e) < 0) return -1;
        s->have = 0;
        return dst.write(dst.arg, s->out, s->made, e);
    }
    if (d->started < d->workers && start_team(d, e) < 0) return -1;
    d->busy[d->tail] = true;
    if (write_byte(d->jobs[1], (unsigned char)d->tail, e) < 0) return -1;
    d->tail = (d->tail + 1) % d->slots_n;
    return d->busy[d->tail] ? collect(d, dst, e) : 0;
}

static int deflater_write(void *state, const void *p, size_t n, struct codec_sink dst,
                          struct err *e)
{
    struct deflater *d = state;
    const unsigned char *at = p;
    while (n > 0) {
        if (d->slots[d->tail].have == MEMBER && hand_over(d, false, dst, e) < 0) return -1;
        struct slot *s = &d->slots[d->tail];
        size_t take = n < MEMBER - s->have ? n : MEMBER - s->have;
        memcpy(s->in + s->have, at, take);
        s->have += (uint32_t)take;
        at += take;
        n -= take;
    }
    return 0;
}

static int deflater_finish(void *state, struct codec_sink dst, struct err *e)
{
    struct deflater *d = state;
    if (hand_over(d, true, dst, e) < 0) return -1;
    while (d->busy[d->head])
        if (collect(d, dst, e) < 0) return -1;
    for (unsigned i = 0; i < d->started; i++)
        if (write_byte(d->jobs[1], QUIT, e) < 0) return -1;
    while (d->started > 0)
        if (proc_worker_wait(&d->team[--d->started], e) < 0) return err_wrap(e, "compressing");
    return 0;
}

static const char *deflater_version(void)
{
    return "libdeflate " LIBDEFLATE_VERSION_STRING " level " TEXT(
        LEVEL) ", numbered members of 1 MiB, noise stored";
}

const struct codec_zip_ops codec_gzip_zip_ops = {deflater_open, deflater_write, deflater_finish,
                                                 deflater_close, deflater_version};
