// SPDX-License-Identifier: Apache-2.0
#include "build/cachedoc.h"

#include <stdio.h>

#include "base/own.h"
#include "base/str.h"
#include "harness.h"

#define H0 "0000000000000000000000000000000000000000000000000000000000000000"
#define H1 "1111111111111111111111111111111111111111111111111111111111111111"
#define H2 "2222222222222222222222222222222222222222222222222222222222222222"
#define STEPS "\"steps\":[{\"key\":\"" H1 "\",\"diff_id\":\"" H2 "\",\"copied\":[\"/a\\t" H0 "\"]}]"

static const char full[] = "{\"version\":1," STEPS ",\"sources\":[{\"key\":\"" H2 "\",\"hash\":\"" H0
                           "\"}],\"content\":[{\"diff_id\":\"" H2
                           "\",\"tar_size\":512},{\"mount\":\"/root/.cache\"}]}";

static void two_layers(struct oci_manifest *m)
{
    struct err e = {0};
    static const char text[] =
        "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"" BUILD_CACHEDOC_TYPE "\",\"digest\":\"sha256:" H0
        "\",\"size\":1},\"layers\":[{\"mediaType\":\"" OCI_TYPE_LAYER_ZSTD "\",\"digest\":\"sha256:" H1
        "\",\"size\":7},{\"mediaType\":\"" BUILD_CACHEDOC_MOUNT_TYPE "\",\"digest\":\"sha256:" H2
        "\",\"size\":8}]}";
    ASSERT_OK(oci_manifest_parse(sv_of(text), "m", m, &e));
}

static int parse(const char *text, const struct oci_manifest *m, struct build_cachedoc *d, struct err *e)
{
    build_cachedoc_init(d);
    return build_cachedoc_parse(sv_of(text), m, "the records", d, e);
}

static void what_is_printed_is_read_back(void **state)
{
    (void)state;
    struct err e = {0};
    own(oci_manifest) struct oci_manifest m = {0};
    own(str) struct str text = {0}, manifest = {0};
    struct build_cachedoc d;
    struct oci_digest diff;
    two_layers(&m);
    ASSERT_OK(parse(full, &m, &d, &e));
    build_cachedoc_print(&d, true, &text);
    assert_string_equal(str_z(&text), full);
    assert_int_equal(build_cachedoc_layer(&d, &(struct oci_digest){H2})->blob.size, 7);
    assert_null(build_cachedoc_layer(&d, &(struct oci_digest){H1}));
    assert_int_equal(build_cachedoc_mount(&d, "/root/.cache")->blob.size, 8);
    assert_null(build_cachedoc_mount(&d, ""));
    assert_true(build_cachedoc_step(sv_of(map_get(&d.steps, H1)), &diff));
    assert_string_equal(diff.hex, H2);
    assert_string_equal(map_get(&d.sources, H2), H0);
    // The manifest over it names the same layers.
    own(oci_manifest) struct oci_manifest again = {0};
    build_cachedoc_manifest(&d, &(struct oci_digest){H0}, 1, &manifest);
    ASSERT_OK(oci_manifest_parse(str_sv(&manifest), "again", &again, &e));
    assert_int_equal(again.n, 2);
    assert_string_equal(again.config.media_type, BUILD_CACHEDOC_TYPE);
    build_cachedoc_fini(&d);
}

static void an_annotation_has_no_content(void **state)
{
    (void)state;
    struct err e = {0};
    struct build_cachedoc d;
    own(str) struct str text = {0};
    ASSERT_OK(parse(full, NULL, &d, &e));  // content is not looked at
    assert_int_equal(d.content.n, 0);
    build_cachedoc_print(&d, false, &text);
    assert_string_equal(str_z(&text),
                        "{\"version\":1," STEPS ",\"sources\":[{\"key\":\"" H2 "\",\"hash\":\"" H0 "\"}]}");
    build_cachedoc_fini(&d);
}

static void a_record_holds_nothing_but_what_we_know(void **state)
{
    (void)state;
    struct err e = {0};
    struct build_cachedoc d;
    ASSERT_OK(parse("{\"version\":1,\"steps\":[{\"key\":\"" H1 "\",\"diff_id\":\"\",\"more\":\"" H0 "\"}]}",
                    NULL, &d, &e));
    assert_string_equal(map_get(&d.steps, H1), "{\"diff_id\":\"\"}");
    build_cachedoc_fini(&d);
}

static void damage_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } table[] = {
        {"", "the records"},
        {"{}", "of another version"},
        {"{\"version\":2}", "of another version"},
        {"{\"version\":1,\"steps\":{}}", "'steps' is no list"},
        {"{\"version\":1,\"steps\":[1]}", "a step's record is damaged"},
        {"{\"version\":1,\"steps\":[{\"key\":\"../../x\",\"diff_id\":\"\"}]}", "a step's record is damaged"},
        {"{\"version\":1,\"steps\":[{\"key\":\"" H1 "\"}]}", "a step's record is damaged"},
        {"{\"version\":1,\"steps\":[{\"key\":\"" H1 "\",\"diff_id\":\"..\"}]}", "a step's record is damaged"},
        {"{\"version\":1,\"steps\":[{\"key\":\"" H1 "\",\"diff_id\":\"\",\"copied\":[\"no tab\"]}]}",
         "a step's record is damaged"},
        {"{\"version\":1,\"steps\":[{\"key\":\"" H1 "\",\"diff_id\":\"\",\"copied\":[\"a\\tb\\nc\"]}]}",
         "a step's record is damaged"},
        {"{\"version\":1,\"sources\":[{\"key\":\"" H1 "\",\"hash\":\"x\"}]}", "a source's record is damaged"},
        {"{\"version\":1,\"content\":[{\"diff_id\":\"" H1 "\"}]}", "has 2 layers, its records name 1"},
        {"{\"version\":1,\"content\":[{\"diff_id\":\"" H1 "\",\"tar_size\":-1}]}", "content 0 of the records"},
        {"{\"version\":1,\"content\":[{},{}]}", "content 0 of the records"},
        {"{\"version\":1,\"content\":[{\"mount\":\"a\"},{\"mount\":\"b\"},{\"mount\":\"c\"}]}",
         "content 2 of the records"},
    };
    own(oci_manifest) struct oci_manifest m = {0};
    two_layers(&m);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct err e = {0};
        struct build_cachedoc d;
        ASSERT_FAILS(parse(table[i].text, &m, &d, &e), table[i].says);
        build_cachedoc_fini(&d);
    }
    struct oci_digest diff;
    assert_false(build_cachedoc_step(SV("{}"), &diff));
    assert_false(build_cachedoc_step(SV("x"), &diff));
}

RUN_TESTS("build/cachedoc", TEST(what_is_printed_is_read_back), TEST(an_annotation_has_no_content),
          TEST(a_record_holds_nothing_but_what_we_know), TEST(damage_is_named))
