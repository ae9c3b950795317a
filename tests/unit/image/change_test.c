// SPDX-License-Identifier: Apache-2.0
#include "base/own.h"
#include "harness.h"
#include "image/import.h"

static void apply(struct oci_image *im, const char *line)
{
    struct err e = {0};
    ASSERT_OK(image_change_apply(im, line, &e));
}

static void config_of(const struct oci_image *im, struct str *out)
{
    own(codec_json) struct codec_json *j = oci_image_config_json(im);
    codec_json_print(j, out);
}

static void every_change_lands_in_its_field(void **state)
{
    (void)state;
    static const struct {
        const char *line, *config;
    } rows[] = {
        {"CMD [\"a\",\"b c\"]", "{\"Cmd\":[\"a\",\"b c\"]}"},
        {"CMD a  'b'", "{\"Cmd\":[\"/bin/sh\",\"-c\",\"a  'b'\"]}"},
        {"cmd [a]", "{\"Cmd\":[\"/bin/sh\",\"-c\",\"[a]\"]}"},
        {"ENTRYPOINT []", "{\"Entrypoint\":[]}"},
        {"ENTRYPOINT [\"x\"]", "{\"Entrypoint\":[\"x\"]}"},
        {"ENV A=1 B=\"2 3\" C=4\\ 5", "{\"Env\":[\"A=1\",\"B=2 3\",\"C=4 5\"]}"},
        {"ENV A  rest of the line", "{\"Env\":[\"A=rest of the line\"]}"},
        {"LABEL a=b=c d=", "{\"Labels\":{\"a\":\"b=c\",\"d\":\"\"}}"},
        {"EXPOSE 80 53/udp 8000-8010/tcp",
         "{\"ExposedPorts\":{\"53/udp\":{},\"80/tcp\":{},\"8000-8010/tcp\":{}}}"},
        {"VOLUME [\"/a\",\"/b c\"]", "{\"Volumes\":{\"/a\":{},\"/b c\":{}}}"},
        {"VOLUME /a /b", "{\"Volumes\":{\"/a\":{},\"/b\":{}}}"},
        {"USER 1000:1000", "{\"User\":\"1000:1000\"}"},
        {"WORKDIR /a b", "{\"WorkingDir\":\"/a b\"}"},
        {"WORKDIR rel", "{\"WorkingDir\":\"/rel\"}"},
        {"STOPSIGNAL SIGINT", "{\"StopSignal\":\"SIGINT\"}"},
        {"ONBUILD RUN x", "{\"OnBuild\":[\"RUN x\"]}"},
        {"HEALTHCHECK NONE", "{\"Healthcheck\":{\"Test\":[\"NONE\"]}}"},
        {"HEALTHCHECK CMD a b", "{\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"a b\"]}}"},
        {"HEALTHCHECK CMD [\"a\"]", "{\"Healthcheck\":{\"Test\":[\"CMD\",\"a\"]}}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        own(oci_image) struct oci_image im = {0};
        own(str) struct str out = {0};
        oci_image_init(&im);
        apply(&im, rows[i].line);
        config_of(&im, &out);
        assert_string_equal(str_z(&out), rows[i].config);
    }
}

static void a_later_change_replaces_or_adds(void **state)
{
    (void)state;
    own(oci_image) struct oci_image im = {0};
    own(str) struct str out = {0};
    oci_image_init(&im);
    apply(&im, "CMD [\"a\"]");
    apply(&im, "CMD [\"b\"]");
    apply(&im, "ENV A=1");
    apply(&im, "ENV B=2 A=3");
    apply(&im, "WORKDIR /a");
    apply(&im, "WORKDIR b");
    config_of(&im, &out);
    assert_string_equal(str_z(&out),
                        "{\"Env\":[\"A=3\",\"B=2\"],\"Cmd\":[\"b\"],\"WorkingDir\":\"/a/b\"}");
}

static void bad_changes_are_named(void **state)
{
    (void)state;
    static const char *const bads[] = {
        "", "RUN x", "FROM x", "CMD", "ENV", "ENV A", "ENV A=1 B", "ENV =1", "ENV \"A=1", "EXPOSE 70000",
        "EXPOSE x", "EXPOSE 80/icmp", "EXPOSE 90-80", "HEALTHCHECK x", "LABEL x", "VOLUME \"\"",
    };
    for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
        struct err e = {0};
        own(oci_image) struct oci_image im = {0};
        oci_image_init(&im);
        ASSERT_FAILS(image_change_apply(&im, bads[i], &e), "invalid change");
    }
}

RUN_TESTS("image/change", TEST(every_change_lands_in_its_field),
          TEST(a_later_change_replaces_or_adds), TEST(bad_changes_are_named))
