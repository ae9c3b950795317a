// SPDX-License-Identifier: Apache-2.0
#include "sandbox/netns.h"

#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "sandbox/helper/call.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

// What the two share besides the descriptors. The maker writes, we read when it has ended.
static struct {
    _Alignas(64) char stack[8192];
    struct ifreq lo;
    int fd;
} shared;

// On its own stack, with our thread's registers: it must not touch errno or anything else of libc.
__attribute__((no_sanitize("address", "undefined"))) static int make(void *unused)
{
    (void)unused;
    if (call(__NR_unshare, CLONE_NEWNET, 0, 0, 0, 0) != 0) return 1;
    long sock = call(__NR_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0, 0, 0);
    long up = sock < 0 ? sock : call(__NR_ioctl, sock, SIOCSIFFLAGS, (long)&shared.lo, 0, 0);
    if (sock >= 0) call(__NR_close, sock, 0, 0, 0, 0);
    if (up != 0) return 1;
    shared.fd = (int)call(__NR_openat, AT_FDCWD, (long)"/proc/self/ns/net", O_RDONLY | O_CLOEXEC, 0, 0);
    return 0;
}

void sandbox_netns_begin(struct sandbox_netns *n)
{
    // Without an exit signal, so that it disturbs nobody who waits for SIGCHLD.
    const int flags = CLONE_VM | CLONE_FILES | CLONE_PIDFD;
    shared.fd = -1;
    shared.lo = (struct ifreq){.ifr_name = "lo"};
    shared.lo.ifr_flags = IFF_UP | IFF_RUNNING;
    if (clone(make, shared.stack + sizeof shared.stack, flags, NULL, &n->pidfd) < 0) n->pidfd = -1;
}

static void await(struct sandbox_netns *n)
{
    siginfo_t info;
    if (n->pidfd < 0) return;
    while (waitid(P_PIDFD, (id_t)n->pidfd, &info, WEXITED | __WALL) != 0 && errno == EINTR) continue;
    close(take_fd(n->pidfd));
}

int sandbox_netns_take(struct sandbox_netns *n)
{
    bool begun = n->pidfd >= 0;
    await(n);
    return begun ? take_fd(shared.fd) : -1;
}

void sandbox_netns_fini(struct sandbox_netns *n)
{
    int fd = sandbox_netns_take(n);
    if (fd >= 0) close(fd);
}
