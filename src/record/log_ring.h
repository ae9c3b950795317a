// SPDX-License-Identifier: Apache-2.0
// A write that goes on while the caller prepares the next one: one at a time, through io_uring(7), and
// memory that is given back meanwhile. For who writes much; room-internal.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct log_ring;
// NULL where the kernel has or allows none: the caller writes itself.
struct log_ring *log_ring_open(void);
// Starts a write to the end of a file opened with O_APPEND. `p` stays as it is until log_ring_wait. -1: it
// has not begun. Only after the one before was waited for.
int log_ring_write(struct log_ring *r, int fd, const void *p, size_t n);
// What write(2) would have returned; -1 with errno.
ssize_t log_ring_wait(struct log_ring *r);
// Has these bytes of the file written to disk, and the memory let go that holds those which are there
// already. A hint: nobody waits for it, and the file may be closed meanwhile. False: one is under way
// yet, or there can be none.
bool log_ring_clean(struct log_ring *r, int fd, uint64_t start, size_t n);
void log_ring_close(struct log_ring *r);  // NULL is fine; no write is under way
