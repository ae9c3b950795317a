// SPDX-License-Identifier: Apache-2.0
// A network namespace that is made beside other work. The kernel takes most of a millisecond for
// one, as long as for all the mounts of a container together; where clone3(2) makes it, nothing else
// goes on in that time.
//
// It is made by a process that shares our memory and our descriptors, since a fork would cost a third
// of what is won. That process only makes system calls, on its own stack, and nothing of the C
// library. As long as it lives we cannot make or enter a user namespace.
#pragma once

struct sandbox_netns {
    int pidfd;  // of the process that makes it; -1: none
};
#define SANDBOX_NETNS_NONE ((struct sandbox_netns){.pidfd = -1})

// Begins to make one in our user namespace, with its loopback device up. One at a time. Never fails:
// whoever takes it finds out.
void sandbox_netns_begin(struct sandbox_netns *n);
// Waits for it. Returns a descriptor for setns(2). -1: there is none; clone3(2) may try, and say what
// is wrong.
int sandbox_netns_take(struct sandbox_netns *n);
void sandbox_netns_fini(struct sandbox_netns *n);
static inline void own_sandbox_netns(struct sandbox_netns *n)
{
    sandbox_netns_fini(n);
}
