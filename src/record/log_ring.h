// SPDX-License-Identifier: Apache-2.0
// A write that goes on while the caller prepares the next one: one at a time, through io_uring(7). For
// who writes much; room-internal.
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct log_ring;
// NULL where the kernel has or allows none: the caller writes itself.
struct log_ring *log_ring_open(void);
// Starts a write to the end of a file opened with O_APPEND. `p` stays as it is until log_ring_wait. -1: it
// has not begun. Only after the one before was waited for.
int log_ring_write(struct log_ring *r, int fd, const void *p, size_t n);
// What write(2) would have returned; -1 with errno.
ssize_t log_ring_wait(struct log_ring *r);
void log_ring_close(struct log_ring *r);  // NULL is fine; nothing is under way
