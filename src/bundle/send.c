// SPDX-License-Identifier: Apache-2.0
// Descriptors for others, over Unix sockets that the caller names: the terminal's, and the listener
// of a seccomp filter. Nobody is waited for without end: who does not take what is theirs is named.
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "bundle/internal.h"

#define SECONDS 10  // that a receiver has

static int too_slow(const char *path, const char *what, struct err *e)
{
    err_set(e, ERR_SYSTEM, "'%s' %s within %d s", path, what, SECONDS);
    return err_hint(e, "whoever listens there must accept and read");
}

static int hung_up(const char *path, int code, struct err *e)
{
    return err_sys_code(e, code, "hand over to '%s': it hung up unread", path);
}

static int dial(const char *path, struct err *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = SECONDS};
    if (strlen(path) >= sizeof a.sun_path)
        return err_set(e, ERR_INPUT, "the socket path '%s' is too long", path);
    memcpy(a.sun_path, path, strlen(path));
    own(fd) int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    // It holds for connect(2) too, which waits where too many others do.
    if (s < 0 || setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0)
        return err_sys(e, "make a socket");
    if (connect(s, (struct sockaddr *)&a, sizeof a) == 0) return take_fd(s);
    if (errno == EAGAIN) return too_slow(path, "took no connection", e);
    return err_sys(e, "connect to '%s'", path);
}

// The descriptor goes with the first bytes; how many those are is the kernel's.
static int send_all(int s, const char *path, struct sv text, int fd, struct err *e)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec io = {(void *)(uintptr_t)text.p, text.n};
    struct msghdr m = {.msg_iov = &io,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(h), &fd, sizeof fd);
    while (io.iov_len) {
        ssize_t n = sendmsg(s, &m, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return too_slow(path, "did not read all that was sent", e);
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) return hung_up(path, errno, e);
        if (n < 0) return err_sys(e, "send to '%s'", path);
        io.iov_base = (char *)io.iov_base + n;
        io.iov_len -= (size_t)n;
        m.msg_control = NULL;
        m.msg_controllen = 0;
    }
    return 0;
}

int bundle_send_terminal(const char *socket_path, const struct oci_process *pr, int master,
                         struct err *e)
{
    const struct winsize ws = {.ws_row = pr->rows, .ws_col = pr->columns};
    if ((ws.ws_row || ws.ws_col) && ioctl(master, TIOCSWINSZ, &ws) != 0)
        return err_sys(e, "set the size of the terminal");
    if (!socket_path) return 0;
    own(fd) int s = dial(socket_path, e);
    return s < 0 ? -1 : send_all(s, socket_path, SV("/dev/pts/0"), master, e);
}

// --- the listener of a filter ------------------------------------------------------------------

// There is no answer in the protocol. But the kernel knows how much of what we sent nobody has read
// yet, and whether it was thrown away with the connection.
static int await_taken(int s, const char *path, struct err *e)
{
    int64_t end = clock_mono_ns() + (int64_t)SECONDS * 1000000000;
    for (;;) {
        int left = 0, code = 0;
        socklen_t n = sizeof code;
        if (ioctl(s, SIOCOUTQ, &left) != 0 ||
            getsockopt(s, SOL_SOCKET, SO_ERROR, &code, &n) != 0)
            return err_sys(e, "ask whether '%s' was read", path);
        if (code) return hung_up(path, code, e);
        if (left == 0) return 0;
        if (clock_mono_ns() > end) return too_slow(path, "did not take the listener", e);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

// The specification's containerProcessState.
static void state_text(const struct bundle_box *box, const struct oci_runtime *r, int64_t pid,
                       struct str *out)
{
    own(codec_json) struct codec_json *j = codec_json_new_object();
    struct codec_json *fds = codec_json_new_array();
    const struct codec_json *meta = codec_json_get(r->seccomp, "listenerMetadata");
    codec_json_add(fds, codec_json_new_text(SV("seccompFd")));
    codec_json_set_text(j, "ociVersion", r->version);
    codec_json_set(j, "fds", fds);
    codec_json_set(j, "pid", codec_json_new_int(pid));
    if (codec_json_text(meta).n) codec_json_set(j, "metadata", codec_json_copy(meta));
    struct codec_json *state = bundle_box_state(box, BUNDLE_RUNNING);
    if (r->annotations) codec_json_set(state, "annotations", codec_json_copy(r->annotations));
    codec_json_set(j, "state", state);
    codec_json_print(j, out);
}

// The program's next system call may be one that it must be let through: a receiver that has the
// listener and does not answer keeps it from beginning, which is theirs to decide.
static int await_program(const struct bundle_context *c, const char *path, int status_fd)
{
    struct pollfd said = {.fd = status_fd, .events = POLLIN};
    if (poll(&said, 1, SECONDS * 1000) != 0) return 0;
    event_warn(&c->sink, "the program has not begun: it waits for '%s' to answer for a system call",
               path);
    return 1;
}

int bundle_send_listener(const struct bundle_context *c, const struct bundle_box *box,
                         const struct oci_runtime *r, int64_t pid, int fd, int status_fd,
                         struct err *e)
{
    own(str) struct str text = {0};
    own(free) char *path = sv_dup(codec_json_text(codec_json_get(r->seccomp, "listenerPath")));
    state_text(box, r, pid, &text);
    own(fd) int s = dial(path, e);
    if (s < 0 || send_all(s, path, str_sv(&text), fd, e) < 0 || await_taken(s, path, e) < 0)
        return err_wrap(e, "handing over the listener of linux.seccomp");
    send(status_fd, "x", 1, MSG_NOSIGNAL);  // where it has ended, its report says why
    return await_program(c, path, status_fd);
}
