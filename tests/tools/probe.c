// SPDX-License-Identifier: Apache-2.0
// Runs inside containers of the attack tests and tries what must not work. Static, so that it runs
// in any image. Prints one word for each thing tried: "ok", or the errno's name.
//   probe call NR [ARG...]     any system call of this machine
//   probe call32 NR [ARG...]   the same through the 32-bit entry
//   probe tiocsti [HIGH]       types a line into stdin's terminal, also with high bits set
//   probe fds                  open descriptors
//   probe rewrite FD           says which file that is, and writes into it as soon as it may
//   probe agent SOCKET WORD... one connection to an ssh agent; a WORD is the type of a request (its
//                              answer's type is printed), "keys" asks how many keys there are (printed),
//                              "huge" is a request that claims 300 KB, or
//                              "hold", which opens 40 more connections and leaves them open
//   probe notify TEXT          sends TEXT, with \n as typed for line ends, to $NOTIFY_SOCKET
//   probe exchange DIR A B N   swaps DIR/A and DIR/B for ever (N 0) or N times
#include <errno.h>
#include <stdbool.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static int say(long rc)
{
    puts(rc >= 0 ? "ok" : strerrorname_np(errno));
    return rc >= 0 ? 0 : 1;
}

static int any_call(int argc, char **argv)
{
    long a[7] = {0};
    for (int i = 0; i < 7 && i + 2 < argc; i++) a[i] = (long)strtoull(argv[i + 2], NULL, 0);
    return say(syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]));
}

#if defined(__x86_64__)
static int any_call32(int argc, char **argv)
{
    long a[4] = {0}, rc;
    for (int i = 0; i < 4 && i + 2 < argc; i++) a[i] = (long)strtoull(argv[i + 2], NULL, 0);
    __asm__ volatile("int $0x80"
                     : "=a"(rc)
                     : "a"(a[0]), "b"(a[1]), "c"(a[2]), "d"(a[3])
                     : "memory", "r8", "r9", "r10", "r11");
    if ((int)rc < 0) errno = -(int)rc;
    return say((int)rc);
}
#else
static int any_call32(int argc, char **argv)
{
    (void)argc, (void)argv;
    puts("EPERM");
    return 1;
}
#endif

static int tiocsti(bool high)
{
    unsigned long request = 0x5412 | (high ? 1ul << 32 : 0);
    long rc = 0;
    for (const char *p = "touch tiocsti-worked\n"; *p && rc == 0; p++)
        rc = syscall(SYS_ioctl, 0, request, p);
    return say(rc);
}

static int list_fds(void)
{
    for (int fd = 0; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0) printf("%d ", fd);
    puts("");
    return 0;
}

static int rewrite(const char *fd)
{
    char path[64];
    struct stat st;
    snprintf(path, sizeof path, "/proc/self/fd/%s", fd);
    if (stat(path, &st) != 0) return say(-1);
    printf("%lu:%lu\n", (unsigned long)st.st_dev, (unsigned long)st.st_ino);
    fflush(stdout);
    for (int i = 0; i < 3 && fork() != 0; i++) continue;
    for (;;) {
        int file = open(path, O_WRONLY | O_APPEND);
        if (file >= 0 && write(file, "rewritten", 9) == 9) return say(0);
        if (file >= 0) close(file);
    }
}

static int exchange(char **argv)
{
    if (chdir(argv[2]) != 0) return 1;
    long n = strtol(argv[5], NULL, 10);
    for (long i = 0; n == 0 || i < n; i++)
        if (renameat2(AT_FDCWD, argv[3], AT_FDCWD, argv[4], RENAME_EXCHANGE) != 0) return 1;
    return 0;
}

static int connect_agent(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    return fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0 ? fd : -1;
}

// Sends the request in two pieces, so that whoever reads it must put it together.
static int ask_agent(int fd, const char *word)
{
    bool huge = strcmp(word, "huge") == 0, keys = strcmp(word, "keys") == 0;
    unsigned char request[8] = {0, 0, 0, 4}, answer[4096], head[4];
    if (huge) request[1] = 4;
    else request[4] = keys ? 11 : (unsigned char)strtoul(word, NULL, 10);
    if (send(fd, request, 3, MSG_NOSIGNAL) != 3) return say(-1);
    usleep(20000);
    if (send(fd, request + 3, 5, MSG_NOSIGNAL) != 5) return say(-1);
    ssize_t n = recv(fd, head, 4, MSG_WAITALL);
    if (n != 4) return puts(n < 0 ? strerrorname_np(errno) : "closed"), 1;
    size_t size = (size_t)head[2] << 8 | head[3];
    if (size == 0 || size > sizeof answer || recv(fd, answer, size, MSG_WAITALL) != (ssize_t)size)
        return puts("short"), 1;
    printf("%d\n", keys && size > 4 ? answer[4] : answer[0]);
    return 0;
}

static int agent(int argc, char **argv)
{
    int fd = connect_agent(argv[2]), rc = 0;
    if (fd < 0) return say(-1);
    for (int i = 3; i < argc; i++) {
        bool hold = strcmp(argv[i], "hold") == 0;
        for (int k = 0; hold && k < 40; k++) connect_agent(argv[2]);
        if (!hold) rc |= ask_agent(fd, argv[i]);
    }
    return rc;
}

static int notify(char *text)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path ? path : "");
    size_t n = 0;
    for (const char *p = text; *p; p++) {
        bool end = p[0] == '\\' && p[1] == 'n';
        text[n++] = end ? '\n' : *p;
        p += end;
    }
    return say(sendto(fd, text, n, 0, (struct sockaddr *)&a, sizeof a));
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "call") == 0) return any_call(argc, argv);
    if (strcmp(what, "call32") == 0) return any_call32(argc, argv);
    if (strcmp(what, "tiocsti") == 0) return tiocsti(argc > 2);
    if (strcmp(what, "fds") == 0) return list_fds();
    if (strcmp(what, "rewrite") == 0 && argc == 3) return rewrite(argv[2]);
    if (strcmp(what, "agent") == 0 && argc > 3) return agent(argc, argv);
    if (strcmp(what, "notify") == 0 && argc == 3) return notify(argv[2]);
    if (strcmp(what, "exchange") == 0 && argc == 6) return exchange(argv);
    return 2;
}
