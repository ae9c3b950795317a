// SPDX-License-Identifier: Apache-2.0
// config.json of the OCI runtime specification.
#include "oci/runtime_spec.h"

#include <string.h>

#include "base/own.h"
#include "harness.h"

#define HEAD "{\"ociVersion\":\"1.1.0\",\"root\":{\"path\":\"r\"}"
#define PROCESS "\"process\":{\"user\":{\"uid\":1,\"gid\":2},\"cwd\":\"/\",\"args\":[\"a\"]"

static int parse(const char *text, struct oci_runtime *out, struct err *e)
{
    return oci_runtime_parse(sv_of(text), "config.json", out, e);
}

static void every_part_is_read(void **state)
{
    (void)state;
    struct err e;
    own(oci_runtime) struct oci_runtime r = {0};
    ASSERT_OK(parse(
        HEAD "," PROCESS ",\"terminal\":true,\"consoleSize\":{\"height\":3,\"width\":4},"
             "\"capabilities\":{\"ambient\":[\"CAP_KILL\"]},"
             "\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":1,\"hard\":18446744073709551615}],"
             "\"oomScoreAdj\":-5,\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\",\"priority\":4}},"
             "\"mounts\":[{\"destination\":\"/a\",\"options\":[\"ro\"],"
             "\"uidMappings\":[{\"containerID\":0,\"hostID\":9,\"size\":2}]}],"
             "\"hooks\":{\"poststop\":[{\"path\":\"/h\",\"timeout\":3,\"env\":[]}]},"
             "\"linux\":{\"namespaces\":[{\"type\":\"pid\",\"path\":\"/p\"}],"
             "\"devices\":[{\"path\":\"/dev/x\",\"type\":\"u\",\"major\":1,\"minor\":2}],"
             "\"sysctl\":{\"a.b\":\"c\"},\"personality\":{\"domain\":\"LINUX32\"}}}",
        &r, &e));
    assert_true(r.has_process && r.process.terminal && r.process.has_caps && r.process.has_io);
    assert_int_equal(r.process.rows, 3);
    assert_int_equal(r.process.uid, 1);
    assert_true(r.process.rlimits.p[0].hard == UINT64_MAX);
    assert_int_equal(r.process.oom_score_adj, -5);
    assert_string_equal(r.process.caps[OCI_CAP_AMBIENT].p[0], "CAP_KILL");
    assert_int_equal(r.mounts.p[0].uid.range[0].outside, 9);
    assert_int_equal(r.hooks[OCI_HOOK_POSTSTOP].p[0].timeout, 3);
    assert_true(r.hooks[OCI_HOOK_POSTSTOP].p[0].has_env);
    assert_string_equal(r.namespaces.p[0].path, "/p");
    assert_int_equal(r.devices.p[0].type, 'c');
    assert_string_equal(r.sysctls.p[0], "a.b=c");
    assert_string_equal(r.personality, "LINUX32");
}

static void a_mistake_names_its_place(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{}", "'ociVersion' is missing"},
        {"{\"ociVersion\":\"1.0\",\"root\":{\"path\":\"r\"}}", "not of the form X.Y.Z"},
        {"{\"ociVersion\":\"2.0.0\",\"root\":{\"path\":\"r\"}}", "only 1.x"},
        {"{\"ociVersion\":\"1.0.0\"}", "'root' is missing"},
        {HEAD ",\"process\":{\"cwd\":\"/\"}}", "'user' is missing"},
        {HEAD ",\"process\":{\"cwd\":\"x\",\"user\":{}}}", "process.cwd: 'x'"},
        {HEAD ",\"process\":{\"cwd\":\"/\",\"user\":{\"uid\":4294967296}}}", "out of range"},
        {HEAD "," PROCESS ",\"oomScoreAdj\":1001}}", "out of range"},
        {HEAD "," PROCESS ",\"ioPriority\":{\"class\":\"X\",\"priority\":1}}}",
         "unknown class 'X'"},
        {HEAD ",\"mounts\":[{}]}", "mounts[0]: 'destination' is missing"},
        {HEAD ",\"mounts\":{}}", "mounts: must be a JSON array"},
        {HEAD ",\"hooks\":{\"prestart\":[{\"path\":\"x\"}]}}", "hooks.prestart: 'x'"},
        {HEAD ",\"hooks\":{\"prestart\":[{\"path\":\"/x\",\"timeout\":0}]}}", "greater than zero"},
        {HEAD ",\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"pid\"}]}}", "twice"},
        {HEAD ",\"linux\":{\"namespaces\":[{\"type\":\"pid\",\"path\":\"x\"}]}}", "absolute path"},
        {HEAD ",\"linux\":{\"devices\":[{\"path\":\"/x\",\"type\":\"q\"}]}}", "unknown type 'q'"},
        {HEAD ",\"linux\":{\"uidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":0}]}}",
         "no ids"},
        {HEAD ",\"linux\":{\"sysctl\":{\"a\":1}}}", "must be a text"},
        {HEAD ",\"linux\":{\"intelRdt\":{}}}", "not supported"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e;
        own(oci_runtime) struct oci_runtime r = {0};
        ASSERT_FAILS(parse(cases[i][0], &r, &e), cases[i][1]);
    }
}

static void numbers_past_int64_keep_their_bits(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{\"a\":18446744073709551615}", "{\"a\":-1                  }"},
        {"{\"a\":9223372036854775807}", "{\"a\":9223372036854775807}"},
        {"{\"a\":9223372036854775808}", "{\"a\":-9223372036854775808}"},
        {"[\"18446744073709551615\"]", "[\"18446744073709551615\"]"},
        {"[\"\\\"18446744073709551615\"]", "[\"\\\"18446744073709551615\"]"},
        {"[18446744073709552000]", "[-1                  ]"},
        {"[1.5e3,-2]", "[1.5e3,-2]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        own(str) struct str out = {0};
        oci_runtime_fold_numbers(sv_of(cases[i][0]), &out);
        assert_string_equal(str_z(&out), cases[i][1]);
    }
}

static void versions_have_three_parts(void **state)
{
    (void)state;
    unsigned v[3];
    assert_int_equal(oci_runtime_version("1.0.2-dev", v), 0);
    assert_int_equal(v[2], 2);
    assert_int_equal(oci_runtime_version("1.2.0+git", v), 0);
    assert_int_equal(oci_runtime_version("1.0", v), -1);
    assert_int_equal(oci_runtime_version("", v), -1);
    assert_int_equal(oci_runtime_version("1.x.0", v), -1);
}

static void a_process_alone_is_read(void **state)
{
    (void)state;
    struct err e;
    own(oci_process) struct oci_process p = {0};
    const char *text = "{\"user\":{\"uid\":5,\"gid\":6,\"additionalGids\":[7],\"umask\":18},"
                       "\"args\":[\"x\",\"y\"],\"cwd\":\"/t\",\"env\":[\"A=b\"]}";
    ASSERT_OK(oci_process_parse(sv_of(text), "p.json", &p, &e));
    assert_int_equal(p.groups.p[0], 7);
    assert_true(p.has_umask && p.umask == 18 && p.args.n == 2);
    for (int i = 0; i < OCI_HOOKS; i++) assert_non_null(oci_hook_names[i]);
}

RUN_TESTS("oci/runtime_spec", TEST(every_part_is_read), TEST(a_mistake_names_its_place),
          TEST(numbers_past_int64_keep_their_bits), TEST(versions_have_three_parts),
          TEST(a_process_alone_is_read))
