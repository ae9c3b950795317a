// SPDX-License-Identifier: Apache-2.0
// Device rules on cgroup v2. A hybrid machine's v2 tree is enough: the rules need no controller.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"
#include "base/proc.h"
#include "harness.h"
#include "sandbox/device_rule.h"

static int group_open(char path[128])
{
    static const char *const tops[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    for (int i = 0; i < 2; i++) {
        struct statfs fs;
        if (getuid() != 0 || statfs(tops[i], &fs) != 0 || fs.f_type != 0x63677270) continue;
        snprintf(path, 128, "%s/dewar-unit-%d", tops[i], (int)getpid());
        if (mkdir(path, 0755) == 0) return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    return -1;
}

// What a process in the group gets from opening a device: 0 or errno.
static int try_open(const char *group, const char *device, int flags)
{
    int fd = -1, status = -1;
    struct err e;
    struct proc p = PROC_NONE;
    p.pid = proc_fork(0, &p.fd);
    if (p.pid == 0) {
        char procs[160];
        snprintf(procs, sizeof procs, "%s/cgroup.procs", group);
        int at = open(procs, O_WRONLY | O_CLOEXEC);
        if (at < 0 || write(at, "0", 1) != 1) _exit(255);
        fd = open(device, flags | O_CLOEXEC);
        _exit(fd >= 0 ? 0 : errno);
    }
    assert_int_equal(proc_wait(&p, &status, &e), 0);
    return proc_exit_code(status);
}

static void the_last_rule_that_matches_decides(void **state)
{
    (void)state;
    struct err e;
    char path[128];
    own(fd) int group = group_open(path);
    if (group < 0) skip();
    struct sandbox_device_rule none, kmsg;
    own(sandbox_device_rules) struct sandbox_device_rules list = {0};
    ASSERT_OK(sandbox_device_rule_parse("a *:* rwm", &none, &e));
    ASSERT_OK(sandbox_device_rule_parse("c 1:11 w", &kmsg, &e));
    none.allow = false;
    vec_push(&list, none);
    vec_push(&list, kmsg);
    assert_int_equal(try_open(path, "/dev/kmsg", O_RDONLY), 0);
    ASSERT_OK(sandbox_device_rule_attach(group, &list, &e));
    assert_int_equal(try_open(path, "/dev/null", O_RDWR), 0);  // always
    assert_int_equal(try_open(path, "/dev/kmsg", O_WRONLY), 0);
    assert_int_equal(try_open(path, "/dev/kmsg", O_RDONLY), EPERM);
    assert_int_equal(try_open(path, "/dev/kmsg", O_RDWR), EPERM);
    for (int i = 0; i < 100 && rmdir(path) != 0; i++) usleep(10000);
    assert_int_equal(access(path, F_OK), -1);
}

static void a_rule_is_the_same_as_text(void **state)
{
    (void)state;
    static const char *const texts[][2] = {{"c 195:* rwm", "c 195:* rwm"},
                                           {"b 8:0 mr", "b 8:0 rm"},
                                           {"a *:* w", "a *:* w"}};
    for (size_t i = 0; i < 3; i++) {
        struct err e;
        struct sandbox_device_rule r;
        own(str) struct str text = {0};
        ASSERT_OK(sandbox_device_rule_parse(texts[i][0], &r, &e));
        assert_true(r.allow);
        sandbox_device_rule_print(&r, &text);
        assert_string_equal(str_z(&text), texts[i][1]);
    }
}

static void what_is_no_rule_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",           "c",          "c 1:3",      "d 1:3 r",
                                      "c 1 r",      "c 1:3 x",    "c 1:3 rwmr", "c 1:3 ",
                                      "c -1:3 r",   "c 1:3 r w",  "cc 1:3 r",   "c 1:99999999999 r",
                                      "c 1:3:4 r",  " c 1:3 r",   "c **:1 r"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e;
        struct sandbox_device_rule r;
        ASSERT_FAILS(sandbox_device_rule_parse(bad[i], &r, &e), "invalid device cgroup rule");
    }
}

RUN_TESTS("sandbox/device_rule", TEST(the_last_rule_that_matches_decides),
          TEST(a_rule_is_the_same_as_text), TEST(what_is_no_rule_is_refused))
