// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/own.h"
#include "harness.h"
#include "sandbox/parse.h"
#include "sandbox/proc_sys.h"
#include "sandbox/sandbox.h"

static void volumes_have_source_target_and_mode(void **state)
{
    (void)state;
    struct err e;
    own(sandbox_parse_volume) struct sandbox_parse_volume v = {0};
    ASSERT_OK(sandbox_parse_volume("./a b:/data:ro,rslave", &v, &e));
    assert_string_equal(v.source, "./a b");
    assert_string_equal(v.target, "/data");
    assert_true(v.readonly);
    assert_string_equal(v.propagation, "rslave");
    sandbox_parse_volume_fini(&v);
    ASSERT_OK(sandbox_parse_volume("/only", &v, &e));
    assert_null(v.source);
    assert_string_equal(v.target, "/only");
    sandbox_parse_volume_fini(&v);
    ASSERT_OK(sandbox_parse_volume("/a:/b:z,cached", &v, &e));
    assert_false(v.readonly);
}

static void bad_volumes_are_refused(void **state)
{
    (void)state;
    struct err e;
    struct sandbox_parse_volume v = {0};
    ASSERT_FAILS(sandbox_parse_volume("/a:b", &v, &e), "absolute");
    ASSERT_FAILS(sandbox_parse_volume(":/b", &v, &e), "empty source");
    ASSERT_FAILS(sandbox_parse_volume("/a:/b:rx", &v, &e), "invalid mode 'rx'");
    ASSERT_FAILS(sandbox_parse_volume("/a:/b:ro:more", &v, &e), "invalid mode");
    ASSERT_FAILS(sandbox_parse_volume("", &v, &e), "absolute");
}

static void mounts_are_comma_separated_fields(void **state)
{
    (void)state;
    struct err e;
    struct sandbox_mount m;
    enum sandbox_parse_mount_type t;
    ASSERT_OK(sandbox_parse_mount("type=bind,src=/a,dst=/b,readonly", &t, &m, &e));
    assert_int_equal(t, PARSE_MOUNT_BIND);
    assert_string_equal(m.source, "/a");
    assert_true(m.readonly);
    sandbox_mount_fini(&m);
    ASSERT_OK(sandbox_parse_mount("type=bind,\"source=/a,b\",target=/b,ro=false", &t, &m, &e));
    assert_string_equal(m.source, "/a,b");
    assert_false(m.readonly);
    sandbox_mount_fini(&m);
    ASSERT_OK(
        sandbox_parse_mount("type=tmpfs,destination=/t,tmpfs-size=1m,tmpfs-mode=700", &t, &m, &e));
    assert_int_equal(m.kind, SANDBOX_MOUNT_TMPFS);
    assert_int_equal(m.tmpfs_size, 1 << 20);
    assert_int_equal(m.tmpfs_mode, 0700);
    assert_true(m.nosuid && m.nodev);
    sandbox_mount_fini(&m);
    ASSERT_OK(sandbox_parse_mount("dst=/v", &t, &m, &e));
    assert_int_equal(t, PARSE_MOUNT_VOLUME);
    assert_null(m.source);
    sandbox_mount_fini(&m);
    ASSERT_OK(sandbox_parse_mount(
        "src=name,dst=/v,volume-nocopy,volume-subpath=a/..b/c,volume-driver=local", &t, &m, &e));
    assert_int_equal(t, PARSE_MOUNT_VOLUME);
    assert_string_equal(m.source, "name");
    assert_string_equal(m.subpath, "a/..b/c");
    assert_true(m.nocopy);
    sandbox_mount_fini(&m);
}

static void bad_mounts_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"type=bind,source=/a", "has no target"},
        {"type=bind,target=/a", "has no source"},
        {"type=bind,source=/a,target=b", "absolute"},
        {"type=nfs,target=/a", "unknown type 'nfs'"},
        {"type=tmpfs,source=/a,target=/b", "cannot have a source"},
        {"type=bind,source=/a,target=/b,tmpfs-size=1m", "cannot mix 'tmpfs-size'"},
        {"type=tmpfs,target=/b,bind-propagation=rslave", "cannot mix"},
        {"type=bind,source=/a,target=/b,bind-propagation=rshared+suid", "invalid value"},
        {"type=bind,source=/a,target=/b,bogus=1", "unknown key 'bogus'"},
        {"type=bind,,target=/b", "empty field"},
        {"type=bind,source=/a,target=/b,volume-nocopy", "cannot mix"},
        {"src=name,target=/b,volume-subpath=/a", "invalid value for 'volume-subpath'"},
        {"src=name,target=/b,volume-subpath=a/../../b", "invalid value for 'volume-subpath'"},
        {"src=name,target=/b,volume-subpath=", "invalid value for 'volume-subpath'"},
        {"target=/b,volume-subpath=a", "names no volume"},
        {"src=name,target=/b,volume-driver=nfs", "invalid value for 'volume-driver'"},
        {"src=name,target=/b,volume-opt==x", "invalid value for 'volume-opt'"},
        {"type=bind,source=/a,target=/b,ro=maybe", "invalid value"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err e;
        struct sandbox_mount m;
        enum sandbox_parse_mount_type t;
        ASSERT_FAILS(sandbox_parse_mount(rows[i].text, &t, &m, &e), rows[i].why);
    }
}

static void tmpfs_options_are_known_words(void **state)
{
    (void)state;
    struct err e;
    struct sandbox_mount m;
    ASSERT_OK(sandbox_parse_tmpfs("/run:size=64m,mode=755,exec,uid=5", &m, &e));
    assert_int_equal(m.tmpfs_size, 64 << 20);
    assert_int_equal(m.tmpfs_mode, 0755);
    assert_int_equal(m.tmpfs_uid, 5);
    assert_false(m.noexec);
    assert_true(m.nosuid);
    sandbox_mount_fini(&m);
    ASSERT_FAILS(sandbox_parse_tmpfs("run", &m, &e), "absolute path");
    ASSERT_FAILS(sandbox_parse_tmpfs("/run:size=lots", &m, &e), "invalid option");
    ASSERT_FAILS(sandbox_parse_tmpfs("/run:noexec=1", &m, &e), "invalid option");
    ASSERT_FAILS(sandbox_parse_tmpfs("/run:uid=4294967295", &m, &e), "invalid option");
}

static void limits_have_a_soft_and_a_hard_value(void **state)
{
    (void)state;
    struct err e;
    struct sandbox_rlimit l;
    ASSERT_OK(sandbox_parse_ulimit("nofile=10:20", &l, &e));
    assert_int_equal(l.resource, RLIMIT_NOFILE);
    assert_int_equal(l.soft, 10);
    assert_int_equal(l.hard, 20);
    ASSERT_OK(sandbox_parse_ulimit("core=-1", &l, &e));
    assert_true(l.soft == RLIM_INFINITY && l.hard == RLIM_INFINITY);
    ASSERT_FAILS(sandbox_parse_ulimit("nofile=20:10", &l, &e), "above the hard");
    ASSERT_FAILS(sandbox_parse_ulimit("files=20", &l, &e), "unknown limit 'files'");
    ASSERT_FAILS(sandbox_parse_ulimit("nofile", &l, &e), "invalid value");
    ASSERT_FAILS(sandbox_parse_ulimit("nofile=1:2:3", &l, &e), "invalid value");
}

static void devices_have_a_target_and_an_access(void **state)
{
    (void)state;
    struct err e;
    struct sandbox_device d = {0};
    ASSERT_OK(sandbox_parse_device("/dev/fuse", &d, &e));
    assert_string_equal(d.target, "/dev/fuse");
    assert_string_equal(d.access, "rwm");
    free(d.host), free(d.target);
    ASSERT_OK(sandbox_parse_device("/dev/fuse:r", &d, &e));
    assert_string_equal(d.target, "/dev/fuse");
    assert_string_equal(d.access, "r");
    free(d.host), free(d.target);
    ASSERT_OK(sandbox_parse_device("/dev/a:/dev/b:rw", &d, &e));
    assert_string_equal(d.target, "/dev/b");
    assert_string_equal(d.access, "rw");
    free(d.host), free(d.target);
    ASSERT_FAILS(sandbox_parse_device("fuse", &d, &e), "not an absolute path");
    ASSERT_FAILS(sandbox_parse_device("/dev/a:/dev/b:x", &d, &e), "invalid access");
    ASSERT_FAILS(sandbox_parse_device("nvidia.com/gpu=all", &d, &e), "absolute");
}

static void env_files_are_not_shell(void **state)
{
    (void)state;
    struct err e;
    own(strv) struct strv v = {0};
    setenv("MINE", "from me", 1);
    unsetenv("NOT_MINE");
    struct sv text =
        SV("\xef\xbb\xbf# a comment\n\n  A=1 # no comment\nB=\"q\" \r\n\tC=\nMINE\nNOT_MINE\n"
           "D=$A=x");
    ASSERT_OK(sandbox_parse_env_text(text, "f", &v, &e));
    static const char *const want[] = {"A=1 # no comment", "B=\"q\" ", "C=", "MINE=from me",
                                       "D=$A=x"};
    assert_int_equal(v.n, sizeof want / sizeof *want);
    for (size_t i = 0; i < v.n; i++) assert_string_equal(v.p[i], want[i]);
}

static void bad_env_lines_name_file_and_line(void **state)
{
    (void)state;
    struct err e;
    own(strv) struct strv v = {0};
    ASSERT_FAILS(sandbox_parse_env_text(SV("A=1\nB C=2\n"), "f.env", &v, &e), "f.env:2");
    ASSERT_FAILS(sandbox_parse_env_text(SV("=x"), "f.env", &v, &e), "no variable name");
    ASSERT_FAILS(sandbox_parse_env_text(SV("A=\xff\n"), "f.env", &v, &e), "UTF-8");
    ASSERT_FAILS(sandbox_parse_env_text(((struct sv){"A=\0b", 4}), "f.env", &v, &e), "NUL");
}

static void names_cannot_be_paths(void **state)
{
    (void)state;
    static const char *const good[] = {"ab", "a_b.c-d", "0x"};
    static const char *const bad[] = {"", "a", "..", ".a", "a/b", "%2e%2e", "-a", "a b", "a\n"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(sandbox_parse_name_ok(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(sandbox_parse_name_ok(bad[i]));
    char big[5001];
    memset(big, 'a', sizeof big - 1);
    big[5000] = '\0';
    assert_false(sandbox_parse_name_ok(big));
}

static void sysctls_belong_to_a_namespace(void **state)
{
    (void)state;
    struct err e;
    struct sandbox_spec s = {0};
    char *path = NULL, *value = NULL;
    ASSERT_OK(sandbox_proc_sysctl(&s, "net.ipv4.ip_forward=1", &path, &value, &e));
    assert_string_equal(path, "sys/net/ipv4/ip_forward");
    assert_string_equal(value, "1");
    free(path), free(value);
    ASSERT_OK(sandbox_proc_sysctl(&s, "net/ipv4/conf/eth0.1/rp_filter=1", &path, &value, &e));
    assert_string_equal(path, "sys/net/ipv4/conf/eth0.1/rp_filter");
    free(path), free(value);
    ASSERT_OK(sandbox_proc_sysctl(&s, "kernel.shmmax=5", &path, &value, &e));
    free(path), free(value);
    ASSERT_FAILS(sandbox_proc_sysctl(&s, "kernel.core_pattern=|/x", &path, &value, &e),
                 "whole machine");
    ASSERT_FAILS(sandbox_proc_sysctl(&s, "kernel/core_pattern=|/x", &path, &value, &e),
                 "whole machine");
    ASSERT_FAILS(
        sandbox_proc_sysctl(&s, "net.ipv4.x=1\nkernel.core_pattern=|/x", &path, &value, &e),
        "line");
    ASSERT_FAILS(sandbox_proc_sysctl(&s, "net.ipv4.x+kernel.core_pattern=|/x", &path, &value, &e),
                 "not a name");
    ASSERT_FAILS(sandbox_proc_sysctl(&s, "net/../kernel/core_pattern=x", &path, &value, &e),
                 "not a name");
    ASSERT_FAILS(sandbox_proc_sysctl(&s, "netx=1", &path, &value, &e), "whole machine");
    s.net = SANDBOX_NET_HOST;
    ASSERT_FAILS(sandbox_proc_sysctl(&s, "net.ipv4.ip_forward=1", &path, &value, &e),
                 "host's network");
    s.host_ipc = true;
    ASSERT_FAILS(sandbox_proc_sysctl(&s, "kernel.shmmax=5", &path, &value, &e), "host's IPC");
}

RUN_TESTS("sandbox/parse", TEST(volumes_have_source_target_and_mode), TEST(bad_volumes_are_refused),
          TEST(mounts_are_comma_separated_fields), TEST(bad_mounts_are_refused),
          TEST(tmpfs_options_are_known_words), TEST(limits_have_a_soft_and_a_hard_value),
          TEST(devices_have_a_target_and_an_access), TEST(env_files_are_not_shell),
          TEST(bad_env_lines_name_file_and_line), TEST(names_cannot_be_paths),
          TEST(sysctls_belong_to_a_namespace))
