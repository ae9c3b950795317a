// SPDX-License-Identifier: Apache-2.0
#include "oci/image.h"

#include "base/engine.h"
#include "base/own.h"
#include "harness.h"

#define D1 "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ROOTFS "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" D1 "\"]}"

static const char full[] =
    "{\"created\":\"2023-06-10T00:00:00Z\",\"author\":\"A\",\"architecture\":\"arm\",\"os\":\"linux\","
    "\"variant\":\"v7\",\"config\":{\"User\":\"u\",\"ExposedPorts\":{\"53/udp\":{},\"80/tcp\":{}},"
    "\"Env\":[\"PATH=/bin\",\"A=b=c\"],\"Entrypoint\":[\"e\"],\"Cmd\":[\"c\",\"\"],"
    "\"Volumes\":{\"/data\":{}},\"WorkingDir\":\"/w\",\"Labels\":{\"a\":\"1\",\"b\":\"\"},"
    "\"StopSignal\":\"SIGINT\",\"StopTimeout\":0,\"Healthcheck\":{\"Test\":[\"CMD\",\"x\"],"
    "\"Interval\":1000000000,\"Retries\":3},\"OnBuild\":[\"RUN x\"],\"Shell\":[\"/bin/bash\",\"-c\"],"
    "\"ArgsEscaped\":true}," ROOTFS
    ",\"history\":[{\"created\":\"2023-06-10T00:00:00Z\",\"created_by\":\"x\",\"author\":\"y\","
    "\"comment\":\"z\"},{\"created_by\":\"CMD\",\"empty_layer\":true}]}";

static void a_full_config_prints_as_it_was_read(void **state)
{
    (void)state;
    struct err e = {0};
    own(oci_image) struct oci_image im = {0};
    own(str) struct str out = {0};
    ASSERT_OK(oci_image_parse(SV(full), "config", &im, &e));
    oci_image_print(&im, &out);
    assert_string_equal(str_z(&out), full);
}

static void a_copy_prints_the_same(void **state)
{
    (void)state;
    struct err e = {0};
    own(oci_image) struct oci_image im = {0};
    own(oci_image) struct oci_image copy = {0};
    own(str) struct str out = {0};
    ASSERT_OK(oci_image_parse(SV(full), "config", &im, &e));
    oci_image_copy(&copy, &im);
    oci_image_print(&copy, &out);
    assert_string_equal(str_z(&out), full);
}

static void unknown_and_null_fields_are_ignored(void **state)
{
    (void)state;
    struct err e = {0};
    own(oci_image) struct oci_image im = {0};
    own(str) struct str out = {0};
    ASSERT_OK(oci_image_parse(
        SV("{\"os\":\"linux\",\"architecture\":\"amd64\",\"container_config\":{\"Cmd\":[1]},"
           "\"docker_version\":\"1\",\"config\":{\"Cmd\":null,\"Entrypoint\":null,\"Labels\":null,"
           "\"Env\":[\"NOPE\",\"K=V\"],\"Hostname\":\"x\",\"AttachStdin\":false}," ROOTFS
           ",\"history\":[{\"created_by\":\"x\",\"throwaway\":true}]}"),
        "config", &im, &e));
    assert_false(im.has_cmd);
    assert_false(im.has_entrypoint);
    assert_int_equal(im.env.n, 1);
    assert_true(im.created == INT64_MIN);
    oci_image_print(&im, &out);
    assert_string_equal(str_z(&out),
                        "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"Env\":[\"K=V\"]},"
                        ROOTFS ",\"history\":[{\"created_by\":\"x\"}]}");
}

static void an_empty_entrypoint_is_not_an_absent_one(void **state)
{
    (void)state;
    struct err e = {0};
    own(oci_image) struct oci_image im = {0};
    ASSERT_OK(oci_image_parse(SV("{\"config\":{\"Entrypoint\":[]}," ROOTFS "}"), "c", &im, &e));
    assert_true(im.has_entrypoint);
    assert_int_equal(im.entrypoint.n, 0);
}

static void bad_configs_are_refused(void **state)
{
    (void)state;
    static const char *const bads[] = {
        "", "[]", "1", "null", "{", "{}", "{\"rootfs\":[]}", "{\"rootfs\":{\"type\":\"x\"}}",
        "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":{}}}",
        "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[1]}}",
        "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:../../x\"]}}",
        "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"\"]}}",
        "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:E3B0C44298FC1C149AFBF4C8996FB924"
        "27AE41E4649B934CA495991B7852B855\"]}}",
        "{" ROOTFS "," ROOTFS "}", "{" ROOTFS ",\"config\":[]}", "{" ROOTFS ",\"config\":\"x\"}",
        "{" ROOTFS ",\"config\":{\"Env\":\"A=b\"}}", "{" ROOTFS ",\"config\":{\"Env\":[1]}}",
        "{" ROOTFS ",\"config\":{\"Cmd\":\"x\"}}", "{" ROOTFS ",\"config\":{\"Labels\":{\"a\":1}}}",
        "{" ROOTFS ",\"config\":{\"Labels\":[]}}", "{" ROOTFS ",\"config\":{\"Volumes\":[\"/x\"]}}",
        "{" ROOTFS ",\"config\":{\"StopTimeout\":\"1\"}}",
        "{" ROOTFS ",\"config\":{\"StopTimeout\":-5}}",
        "{" ROOTFS ",\"config\":{\"StopTimeout\":99999999999999999999}}",
        "{" ROOTFS ",\"config\":{\"Healthcheck\":[]}}", "{" ROOTFS ",\"created\":\"yesterday\"}",
        "{" ROOTFS ",\"created\":5}", "{" ROOTFS ",\"history\":{}}", "{" ROOTFS ",\"history\":[1]}",
        "{" ROOTFS ",\"history\":[{\"empty_layer\":\"yes\"}]}",
        "{" ROOTFS ",\"os\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}",
        "{" ROOTFS "} x", "\xef\xbb\xbf{" ROOTFS "}", "{" ROOTFS ",\"author\":\"\xff\"}",
        "{" ROOTFS ",\"config\":{\"User\":\"a\\u0000b\"}}",
    };
    for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
        struct err e = {0};
        struct oci_image im = {0};
        if (oci_image_parse(sv_of(bads[i]), "the config", &im, &e) == 0) {
            fail_msg("taken: %s", bads[i]);
        }
        assert_true(e.kind == ERR_INPUT || e.kind == ERR_LIMIT);
    }
}

static void too_many_layers_and_too_deep_are_refused(void **state)
{
    (void)state;
    struct err e = {0};
    struct oci_image im = {0};
    own(str) struct str text = {0};
    str_addz(&text, "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[");
    for (int i = 0; i < LIMIT_LAYERS + 1; i++) str_addf(&text, "%s\"" D1 "\"", i ? "," : "");
    str_addz(&text, "]}}");
    ASSERT_FAILS(oci_image_parse(str_sv(&text), "c", &im, &e), "layers, the limit is");
    str_clear(&text);
    for (int i = 0; i < 10000; i++) str_addz(&text, "[");
    for (int i = 0; i < 10000; i++) str_addz(&text, "]");
    ASSERT_FAILS(oci_image_parse(str_sv(&text), "c", &im, &e), "c");
}

static void env_lists_keep_their_order(void **state)
{
    (void)state;
    own(strv) struct strv env = {0};
    oci_env_set(&env, "A", "1");
    oci_env_set(&env, "AB", "2");
    oci_env_set(&env, "A", "3");
    assert_int_equal(env.n, 2);
    assert_string_equal(env.p[0], "A=3");
    assert_string_equal(oci_env_get(&env, "AB"), "2");
    assert_null(oci_env_get(&env, "B"));
    oci_env_del(&env, "A");
    assert_int_equal(env.n, 1);
    assert_string_equal(env.p[0], "AB=2");
}

RUN_TESTS("oci/image", TEST(a_full_config_prints_as_it_was_read), TEST(a_copy_prints_the_same),
          TEST(unknown_and_null_fields_are_ignored), TEST(an_empty_entrypoint_is_not_an_absent_one),
          TEST(bad_configs_are_refused), TEST(too_many_layers_and_too_deep_are_refused),
          TEST(env_lists_keep_their_order))
