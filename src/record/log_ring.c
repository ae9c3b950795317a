// SPDX-License-Identifier: Apache-2.0
// io_uring(7) by hand: of each kind one is under way at most.
#include "record/log_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/own.h"
#include "base/str.h"

enum kind { WRITING, CLEANING, KINDS };

struct log_ring {
    int fd;
    bool under_way[KINDS];
    int wrote;  // the result of the last write
    char *rings;  // both, in one mapping
    size_t rings_n;
    struct io_uring_sqe *entries;
    size_t entries_n;
    unsigned *submit_tail, *submit_mask, *submit_array, *done_head, *done_tail, *done_mask;
    struct io_uring_cqe *done;
};

static void *map(int fd, size_t n, uint64_t what)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, (off_t)what);
    return p == MAP_FAILED ? NULL : p;
}

static void find_parts(struct log_ring *r, const struct io_uring_params *p)
{
    char *at = r->rings;
    r->submit_tail = (void *)(at + p->sq_off.tail);
    r->submit_mask = (void *)(at + p->sq_off.ring_mask);
    r->submit_array = (void *)(at + p->sq_off.array);
    r->done_head = (void *)(at + p->cq_off.head);
    r->done_tail = (void *)(at + p->cq_off.tail);
    r->done_mask = (void *)(at + p->cq_off.ring_mask);
    r->done = (void *)(at + p->cq_off.cqes);
}

struct log_ring *log_ring_open(void)
{
    struct io_uring_params p = {0};
    int fd = (int)syscall(SYS_io_uring_setup, KINDS, &p);
    if (fd < 0) return NULL;
    struct log_ring *r = mem_alloc(sizeof *r);
    size_t submit = p.sq_off.array + p.sq_entries * sizeof(unsigned);
    size_t done = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    r->fd = fd;
    r->rings_n = submit > done ? submit : done;
    r->entries_n = p.sq_entries * sizeof(struct io_uring_sqe);
    if (p.features & IORING_FEAT_SINGLE_MMAP) r->rings = map(fd, r->rings_n, IORING_OFF_SQ_RING);
    if (r->rings) r->entries = map(fd, r->entries_n, IORING_OFF_SQES);
    if (!r->entries) {
        log_ring_close(r);
        return NULL;
    }
    find_parts(r, &p);
    return r;
}

static bool submit(struct log_ring *r, enum kind kind, struct io_uring_sqe entry)
{
    unsigned tail = *r->submit_tail, at = tail & *r->submit_mask;
    entry.flags = IOSQE_ASYNC;
    entry.user_data = kind;
    r->entries[at] = entry;
    r->submit_array[at] = at;
    __atomic_store_n(r->submit_tail, tail + 1, __ATOMIC_RELEASE);
    long rc;
    do rc = syscall(SYS_io_uring_enter, r->fd, 1, 0, 0, NULL, 0);
    while (rc < 0 && errno == EINTR);
    if (rc != 1) __atomic_store_n(r->submit_tail, tail, __ATOMIC_RELEASE);  // nobody has looked at it
    return r->under_way[kind] = rc == 1;
}

// One that is over; false: none.
static bool take_done(struct log_ring *r)
{
    unsigned head = *r->done_head;
    if (__atomic_load_n(r->done_tail, __ATOMIC_ACQUIRE) == head) return false;
    const struct io_uring_cqe *done = &r->done[head & *r->done_mask];
    r->under_way[done->user_data] = false;
    if (done->user_data == WRITING) r->wrote = done->res;
    __atomic_store_n(r->done_head, head + 1, __ATOMIC_RELEASE);
    return true;
}

int log_ring_write(struct log_ring *r, int fd, const void *p, size_t n)
{
    if (n > INT32_MAX) return -1;
    return submit(r, WRITING, (struct io_uring_sqe){.opcode = IORING_OP_WRITE, .fd = fd,
                                                    .addr = (uintptr_t)p, .len = (uint32_t)n,
                                                    .off = UINT64_MAX})
               ? 0
               : -1;
}

ssize_t log_ring_wait(struct log_ring *r)
{
    // Until it is over the bytes are the kernel's, so there is no way out of here with an error.
    while (r->under_way[WRITING])
        if (!take_done(r) &&
            syscall(SYS_io_uring_enter, r->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    if (r->wrote >= 0) return r->wrote;
    errno = -r->wrote;
    return -1;
}

bool log_ring_clean(struct log_ring *r, int fd, uint64_t start, size_t n)
{
    while (take_done(r)) continue;
    if (r->under_way[CLEANING] || n > INT32_MAX) return false;
    return submit(r, CLEANING, (struct io_uring_sqe){.opcode = IORING_OP_FADVISE, .fd = fd,
                                                     .off = start, .len = (uint32_t)n,
                                                     .fadvise_advice = POSIX_FADV_DONTNEED});
}

void log_ring_close(struct log_ring *r)
{
    if (!r) return;
    if (r->rings) munmap(r->rings, r->rings_n);
    if (r->entries) munmap(r->entries, r->entries_n);
    close(r->fd);
    free(r);
}
