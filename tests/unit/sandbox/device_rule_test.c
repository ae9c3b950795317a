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

// "-a *:* rwm" is a deny.
static void add_rule(struct sandbox_device_rules *to, const char *text)
{
    struct err e;
    struct sandbox_device_rule r;
    ASSERT_OK(sandbox_device_rule_parse(text + (text[0] == '-'), &r, &e));
    r.allow = text[0] != '-';
    vec_push(to, r);
}

static void on_v1_a_later_rule_takes_back_what_it_covers(void **state)
{
    (void)state;
    static const struct {
        const char *in[4], *out; // NULL: a part of a rule would go
    } rows[] = {
        {{"-a *:* rwm", "c 10:229 rw"}, "-a *:* rwm|c 10:229 rw|"},
        {{"-a *:* rwm", "c 10:229 rw", "-c 10:* rwm"}, "-a *:* rwm|c 10:229 rw|-c 10:* rwm|-c 10:229 rwm|"},
        {{"-a *:* rwm", "c 10:229 rw", "-c 10:* m"}, "-a *:* rwm|c 10:229 rw|-c 10:* m|"},
        {{"-a *:* rwm", "c 10:* rw", "-c 10:229 w"}, NULL},
        {{"-a *:* rwm", "c *:* m", "-c 10:229 rw"}, "-a *:* rwm|c *:* m|-c 10:229 rw|"},
        {{"-a *:* rwm", "c *:5 rw", "-c 10:* rw"}, NULL},
        {{"-a *:* rwm", "b 10:229 rw", "-c 10:* rwm"}, "-a *:* rwm|b 10:229 rw|-c 10:* rwm|"},
        {{"-c 10:* rwm", "c 10:229 r"}, NULL},
        {{"-c 10:229 rwm", "c 10:* rwm"}, "-c 10:229 rwm|c 10:* rwm|c 10:229 rwm|"},
        {{"c 1:3 rwm", "-c 10:* rwm", "-a *:* rwm", "c 10:229 rwm"},
         "c 1:3 rwm|-c 10:* rwm|-a *:* rwm|c 10:229 rwm|"},
        {{"-a *:* rwm", "c 10:229 rw", "-c *:229 rwm"}, "-a *:* rwm|c 10:229 rw|-c *:229 rwm|-c 10:229 rwm|"},
        {{"-a *:* rwm", "c 10:229 rw", "-c 10:229 rwm", "-c 10:229 rwm"}, // taken back once
         "-a *:* rwm|c 10:229 rw|-c 10:229 rwm|-c 10:229 rwm|-c 10:229 rwm|"},
        {{"-a *:* rwm", "c 10:* rw", "-a *:* rwm", "-c 10:229 w"}, // nothing is left to take back
         "-a *:* rwm|c 10:* rw|-a *:* rwm|-c 10:229 w|"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err e;
        own(sandbox_device_rules) struct sandbox_device_rules in = {0}, out = {0};
        own(str) struct str got = {0};
        for (int k = 0; k < 4 && rows[i].in[k]; k++) add_rule(&in, rows[i].in[k]);
        if (!rows[i].out) {
            ASSERT_FAILS(sandbox_device_rule_v1(&in, &out, &e), "a part of an earlier rule");
            continue;
        }
        ASSERT_OK(sandbox_device_rule_v1(&in, &out, &e));
        vec_each(r, &out)
        {
            str_addz(&got, r->allow ? "" : "-");
            sandbox_device_rule_print(r, &got);
            str_addc(&got, '|');
        }
        assert_string_equal(str_z(&got), rows[i].out);
    }
}

RUN_TESTS("sandbox/device_rule", TEST(on_v1_a_later_rule_takes_back_what_it_covers),
          TEST(the_last_rule_that_matches_decides),
          TEST(a_rule_is_the_same_as_text), TEST(what_is_no_rule_is_refused))
