// SPDX-License-Identifier: Apache-2.0
// The conversation with a bus: with what is none, and with a real one where the program
// dbus-daemon is here. (systemd itself answers in tests/guest/systemd.bats.)
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "base/proc.h"
#include "base/str.h"
#include "codec/dbus.h"
#include "harness.h"
#include "sandbox/systemd.h"

static const struct idmap user = {.mode = IDMAP_RANGE};
static const struct sandbox_systemd_scope scope = {.unit = "dewar-x.scope", .text = "x", .pid = 1};

static void a_group_tells_its_scope(void **state)
{
    (void)state;
    char unit[256];
    const char *below;
    assert_true(sandbox_systemd_split("/user.slice/u/a.scope/dewar-1", unit, &below));
    assert_string_equal(unit, "a.scope");
    assert_string_equal(below, "/dewar-1");
    assert_true(sandbox_systemd_split("/a.scope", unit, &below));
    assert_string_equal(below, "/");
    assert_true(sandbox_systemd_split("/a.scope/b.scope/c/d", unit, &below));
    assert_string_equal(unit, "b.scope");
    assert_string_equal(below, "/c/d");
    assert_false(sandbox_systemd_split("/user.slice/dewar-1", unit, &below));
    assert_false(sandbox_systemd_split("", unit, &below));
}

static void without_a_bus_the_error_says_so(void **state)
{
    (void)state;
    struct err e;
    static const char *const none[] = {"unix:path=/no/such", "tcp:host=localhost,port=1", "nonsense",
                                       "unix:path=", "unix:path=a%2e", "unix:abstract=no-such-name"};
    // A socket whose name is what the address says as it stands: the address means another one.
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "a%2e"};
    own(fd) int there = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(bind(there, (struct sockaddr *)&a, sizeof a) == 0 && listen(there, 9) == 0);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        setenv("DBUS_SESSION_BUS_ADDRESS", none[i], 1);
        ASSERT_FAILS(sandbox_systemd_scope(&user, &scope, &e), "no user bus");
    }
    unlink("a%2e");
    unsetenv("DBUS_SESSION_BUS_ADDRESS");
}

// Somebody who answers with these bytes, whatever they are asked.
static void a_peer_that_is_no_bus_is_an_error(void **state)
{
    (void)state;
    struct err e;
    static char endless[2 * CODEC_DBUS_MAX];
    memset(endless, 'x', sizeof endless - 1);
    const struct {
        const char *says, *error;
    } rows[] = {{"", "closed the connection"},
                {"REJECTED EXTERNAL\r\n", "does not accept who we are"},
                {"DATA\r\nOK 0123\r\nnonsense and more than sixteen bytes", "no message"},
                {"OK 0\r\nl\2\0\1", "closed the connection"},
                {endless, "too long"}};
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "bus");
    setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=bus", 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unlink("bus");
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 1) == 0);
        struct proc p = PROC_NONE;
        p.pid = proc_fork(0, &p.fd);
        if (p.pid == 0) {
            char buf[4096];
            int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
            if (read(conn, buf, sizeof buf) < 0) _exit(1);
            signal(SIGPIPE, SIG_IGN); // who has had enough hangs up
            if (write(conn, rows[i].says, strlen(rows[i].says)) < 0 && errno != EPIPE) _exit(1);
            shutdown(conn, SHUT_WR);
            while (read(conn, buf, sizeof buf) > 0) continue;
            _exit(0);
        }
        close(fd);
        // The Hello that was answered so; a row that comes as far as that has its own bytes for it.
        ASSERT_FAILS(sandbox_systemd_scope(&user, &scope, &e), rows[i].error);
        int status;
        ASSERT_OK(proc_wait(&p, &status, &e));
    }
    unlink("bus");
    unsetenv("DBUS_SESSION_BUS_ADDRESS");
}

// The socket is there a little earlier than somebody who listens.
static bool is_listening(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
    close(fd);
    return yes;
}

static void a_real_bus_understands_us(void **state)
{
    (void)state;
    struct err e;
    if (access("/usr/bin/dbus-daemon", X_OK) != 0) skip();
    char here[512], address[600];
    assert_non_null(getcwd(here, sizeof here));
    snprintf(address, sizeof address, "unix:path=%s/bus", here);
    own(free) char *flag = str_fmt("--address=%s", address);
    const char *const argv[] = {"/usr/bin/dbus-daemon", "--session", "--nofork", "--nopidfile", flag,
                                NULL};
    struct proc p;
    struct proc_spec spec = {
        .argv = argv, .stdin_fd = PROC_NULL, .stdout_fd = PROC_NULL, .stderr_fd = PROC_NULL};
    ASSERT_OK(proc_start(&spec, &p, &e));
    setenv("DBUS_SESSION_BUS_ADDRESS", address, 1);
    for (int i = 0; i < 400 && !is_listening("bus"); i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    // Its own words: it read the whole call and looked for whom it was meant.
    ASSERT_FAILS(sandbox_systemd_scope(&user, &scope, &e), "org.freedesktop.systemd1");
    ASSERT_FAILS(sandbox_systemd_attach(&user, "a.scope", "/", 1, &e), "org.freedesktop.systemd1");
    static const struct sandbox_systemd_property list[] = {
        {.name = "MemoryMax", .number = 7}, {.name = "AllowedCPUs", .bits = {"\3\1", 2}}};
    ASSERT_FAILS(sandbox_systemd_set(&user, "a.scope", list, 2, &e), "org.freedesktop.systemd1");
    int status;
    proc_kill(&p, SIGTERM);
    ASSERT_OK(proc_wait(&p, &status, &e));
    unlink("bus");
    unsetenv("DBUS_SESSION_BUS_ADDRESS");
}

RUN_TESTS("sandbox/systemd", TEST(a_group_tells_its_scope), TEST(without_a_bus_the_error_says_so),
          TEST(a_peer_that_is_no_bus_is_an_error), TEST(a_real_bus_understands_us))
