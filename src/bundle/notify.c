// SPDX-License-Identifier: Apache-2.0
#include "bundle/notify.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"
#include "oci/image.h"

#define VARIABLE "NOTIFY_SOCKET"
#define FOLDER "notify" // in the box; below /run for the program
#define SOCKET "notify.sock"
#define PATIENCE_MS 5000 // for the receiver to read what it was sent

static const char *receiver(void)
{
    const char *path = getenv(VARIABLE);
    return path && (path[0] == '/' || path[0] == '@') && path[1] ? path : NULL;
}

int bundle_notify_add(const struct bundle_box *box, struct oci_runtime *config, struct err *e)
{
    static const char *const options[] = {"bind", "nosuid", "noexec", "nodev", "ro"};
    own(str) struct str source = {0};
    if (!receiver()) return 0;
    if (mkdirat(box->dir_fd, FOLDER, 0755) != 0) return err_sys(e, "make the folder of " VARIABLE);
    if (fs_fd_path(box->dir_fd, &source) < 0)
        return err_set(e, ERR_SYSTEM, "the container's folder has no path");
    str_addz(&source, "/" FOLDER);
    struct oci_mount *m = vec_add(&config->mounts);
    m->destination = str_dup("/run/" FOLDER);
    m->type = str_dup("bind");
    m->source = str_take(&source);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) strv_add(&m->options, options[i]);
    oci_env_set(&config->process.env, VARIABLE, "/run/" FOLDER "/" SOCKET);
    return 0;
}

int bundle_notify_listen(const struct bundle_box *box, int *out_fd, struct err *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    *out_fd = -1;
    if (!receiver() || !fs_exists(box->dir_fd, FOLDER)) return 0;
    snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/" FOLDER "/" SOCKET, box->dir_fd);
    own(fd) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlinkat(box->dir_fd, FOLDER "/" SOCKET, 0); // of a start that failed
    // Whoever the program is inside, it may write there; outside the box's folder keeps others away.
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
        fchmodat(box->dir_fd, FOLDER "/" SOCKET, 0777, 0) != 0)
        return err_sys(e, "make the socket of " VARIABLE);
    *out_fd = take_fd(fd);
    return 0;
}

static bool has_line(struct sv text, struct sv want)
{
    while (text.p)
        if (sv_eq(sv_cut(&text, '\n'), want)) return true;
    return false;
}

// `fd` goes along unless it is -1.
static bool tell(int sock, const struct sockaddr_un *to, socklen_t to_n, struct sv text, int fd)
{
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec iov = {(char *)(uintptr_t)text.p, text.n};
    struct msghdr m = {.msg_name = (void *)(uintptr_t)to,
                       .msg_namelen = to_n,
                       .msg_iov = &iov,
                       .msg_iovlen = 1};
    if (fd >= 0) {
        m.msg_control = control.space;
        m.msg_controllen = sizeof control.space;
        *CMSG_FIRSTHDR(&m) = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd),
                                               .cmsg_level = SOL_SOCKET,
                                               .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &fd, sizeof fd);
    }
    return sendmsg(sock, &m, MSG_NOSIGNAL) >= 0;
}

// We may be gone the next moment, and systemd asks who sent what it reads: BARRIER=1 comes with the end of
// a pipe that it closes when it is that far.
static void pass_on(int64_t pid)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const char *path = receiver();
    size_t n = path ? strlen(path) : 0;
    int ends[2];
    if (n == 0 || n >= sizeof to.sun_path) return;
    memcpy(to.sun_path, path, n + (path[0] == '/'));
    if (path[0] == '@') to.sun_path[0] = '\0';
    socklen_t to_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (path[0] == '/'));
    own(str) struct str text = {0};
    str_addf(&text, "MAINPID=%lld\nREADY=1\n", (long long)pid);
    own(fd) int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    if (sock < 0 || setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
        !tell(sock, &to, to_n, str_sv(&text), -1) || pipe2(ends, O_CLOEXEC) != 0) return;
    own(fd) int rd = ends[0];
    bool sent = tell(sock, &to, to_n, SV("BARRIER=1"), ends[1]);
    close(ends[1]);
    struct pollfd wait = {.fd = rd};
    if (sent) poll(&wait, 1, PATIENCE_MS);
}

bool bundle_notify_take(int fd, int64_t pid)
{
    char buf[4096];
    ssize_t n;
    bool ready = false;
    while (!ready && (n = recv(fd, buf, sizeof buf, 0)) >= 0)
        ready = has_line((struct sv){buf, (size_t)n}, SV("READY=1"));
    if (ready) pass_on(pid);
    return ready;
}

void bundle_notify_await(int fd, struct bundle_box *box)
{
    struct err ended;
    if (fd < 0) return;
    own_fd(&box->lock_fd); // it may take for ever, and others end it meanwhile
    box->lock_fd = -1;
    own(fd) int program = bundle_box_pidfd(box, &ended);
    struct pollfd f[2] = {{.fd = fd, .events = POLLIN}, {.fd = program, .events = POLLIN}};
    while (program >= 0) {
        if (poll(f, 2, -1) < 0 && errno != EINTR) return;
        if (f[0].revents && bundle_notify_take(fd, box->pid)) return;
        if (f[1].revents) return;
    }
}
