// SPDX-License-Identifier: Apache-2.0
#include "record/message.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"

const char *record_message_kind_name(enum record_message_kind kind)
{
    static const char *const names[MESSAGE_COUNT] = {
        "started", "ok",    "failed",  "ended",  "exited", "behind", "signal",
        "stop",    "pause", "unpause", "attach", "resize", "wait",   "reload",
        "down"};
    return (unsigned)kind < MESSAGE_COUNT ? names[kind] : "?";
}

int record_message_send(int sock, const struct record_message *m, const int *fds)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(MESSAGE_FDS * sizeof(int))];
    } control = {0};
    struct record_message copy = *m;
    struct iovec io = {&copy, sizeof copy};
    struct msghdr h = {.msg_iov = &io, .msg_iovlen = 1};
    size_t n = 0;
    while (fds && n < MESSAGE_FDS && fds[n] >= 0) n++;
    if (n) {
        h.msg_control = control.bytes;
        h.msg_controllen = (socklen_t)CMSG_SPACE(n * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = (socklen_t)CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n * sizeof(int));
    }
    ssize_t sent;
    do sent = sendmsg(sock, &h, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)sizeof copy ? 0 : -1;
}

static void take_fds(struct msghdr *h, int fds[MESSAGE_FDS])
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (fds && i < MESSAGE_FDS)
                fds[i] = fd;
            else
                close(fd);
        }
    }
}

int record_message_receive(int sock, struct record_message *m, int fds[MESSAGE_FDS])
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(MESSAGE_FDS * sizeof(int))];
    } control = {0};
    struct iovec io = {m, sizeof *m};
    struct msghdr h = {.msg_iov = &io,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    for (int i = 0; fds && i < MESSAGE_FDS; i++) fds[i] = -1;
    ssize_t n;
    do n = recvmsg(sock, &h, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) return -1;
    if (n < 0) return 0;
    take_fds(&h, fds);
    if (n == (ssize_t)sizeof *m && (unsigned)m->kind < MESSAGE_COUNT) return 1;
    for (int i = 0; fds && i < MESSAGE_FDS; i++) {
        own_fd(&fds[i]);
        fds[i] = -1;
    }
    return 0;
}

int record_message_ask(int sock, struct record_message *m, int fds[MESSAGE_FDS], struct err *e)
{
    if (record_message_send(sock, m, NULL) < 0 || record_message_receive(sock, m, fds) != 1)
        return err_set(e, ERR_CONFLICT, "the container has just ended");
    if (m->kind != MESSAGE_FAILED) return 0;
    *e = m->err;
    return -1;
}
