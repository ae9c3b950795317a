// SPDX-License-Identifier: Apache-2.0
#include "oci/transfer.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const op_texts[] = {
#define TRANSFER_TEXT(name, text) [TRANSFER_##name] = text,
    TRANSFER_OPS(TRANSFER_TEXT)
#undef TRANSFER_TEXT
};

const char *transfer_op_text(enum transfer_op op)
{
    return (unsigned)op < TRANSFER_OP_COUNT ? op_texts[op] : "?";
}

static int send_packet(int sock, const void *p, size_t n, int pass_fd, struct err *e)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov;
    memcpy(&iov.iov_base, &p, sizeof p); // sendmsg(2) does not write through it
    iov.iov_len = n;
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (pass_fd >= 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof control.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &pass_fd, sizeof(int));
    }
    ssize_t w;
    do w = sendmsg(sock, &msg, MSG_NOSIGNAL);
    while (w < 0 && errno == EINTR);
    if (w == (ssize_t)n) return 0;
    if (w < 0 && (errno == EPIPE || errno == ECONNRESET))
        return err_set(e, ERR_INTERNAL, "the registry client has ended");
    return err_sys(e, "send to the registry client");
}

static int receive_packet(int sock, void *p, size_t n, int *out_fd, struct err *e)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = p, .iov_len = n};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof control.bytes};
    ssize_t r;
    do r = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    while (r < 0 && errno == EINTR);
    if (r < 0 && errno != ECONNRESET) return err_sys(e, "receive from the registry client");
    int fd = -1;
    for (struct cmsghdr *c = r > 0 ? CMSG_FIRSTHDR(&msg) : NULL; c; c = CMSG_NXTHDR(&msg, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            memcpy(&fd, CMSG_DATA(c), sizeof fd);
    if (r > 0 && ((size_t)r != n || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))) {
        if (fd >= 0) close(fd);
        return err_set(e, ERR_INTERNAL,
                       "a packet of an unexpected size came from the registry client");
    }
    if (out_fd)
        *out_fd = fd;
    else if (fd >= 0)
        close(fd);
    return r > 0;
}

int transfer_send_request(int sock, const struct transfer_request *r, int pass_fd, struct err *e)
{
    return send_packet(sock, r, sizeof *r, pass_fd, e);
}

int transfer_send_reply(int sock, const struct transfer_reply *r, struct err *e)
{
    return send_packet(sock, r, sizeof *r, -1, e);
}

int transfer_receive_request(int sock, struct transfer_request *out, int *out_fd, struct err *e)
{
    int got = receive_packet(sock, out, sizeof *out, out_fd, e);
    if (got == 1 && out->version != TRANSFER_VERSION) {
        if (*out_fd >= 0) close(*out_fd);
        return err_set(e, ERR_INTERNAL, "the registry client belongs to another version of dewar");
    }
    return got;
}

int transfer_receive_reply(int sock, struct transfer_reply *out, struct err *e)
{
    return receive_packet(sock, out, sizeof *out, NULL, e);
}
