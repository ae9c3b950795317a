// SPDX-License-Identifier: Apache-2.0
#include "base/engine.h"
#include "base/own.h"
#include "harness.h"
#include "oci/image.h"

#define D1 "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define DESC(t) "{\"mediaType\":\"" t "\",\"digest\":\"" D1 "\",\"size\":7}"
#define V2 "\"schemaVersion\":2"
#define CONFIG "\"config\":" DESC(OCI_TYPE_CONFIG)
#define LAYERS "\"layers\":[" DESC(OCI_TYPE_LAYER_GZIP) "]"
#define INDEX "\"manifests\":[" DESC(OCI_TYPE_MANIFEST) "]"

static const char manifest[] =
    "{" V2 ",\"mediaType\":\"" OCI_TYPE_MANIFEST "\"," CONFIG "," LAYERS "}";
static const char index_doc[] =
    "{" V2 ",\"mediaType\":\"" OCI_TYPE_INDEX "\",\"manifests\":[{\"mediaType\":\"" OCI_TYPE_MANIFEST
    "\",\"digest\":\"" D1 "\",\"size\":7,\"platform\":{\"architecture\":\"arm\",\"os\":\"linux\","
    "\"variant\":\"v7\"},\"annotations\":{\"a\":\"b\"}}]}";

static void both_kinds_print_as_they_were_read(void **state)
{
    (void)state;
    const char *const docs[] = {manifest, index_doc};
    for (int i = 0; i < 2; i++) {
        struct err e = {0};
        own(oci_manifest) struct oci_manifest m = {0};
        own(str) struct str out = {0};
        ASSERT_OK(oci_manifest_parse(sv_of(docs[i]), "m", &m, &e));
        assert_int_equal(m.is_index, i == 1);
        oci_manifest_print(&m, &out);
        assert_string_equal(str_z(&out), docs[i]);
    }
}

static void real_world_twins_are_taken(void **state)
{
    (void)state;
    static const char *const goods[] = {
        "{" V2 "," CONFIG "," LAYERS "}",
        "{" V2 "," INDEX "}",
        "{" V2 ",\"mediaType\":\"" DOCKER_TYPE_MANIFEST "\"," CONFIG "," LAYERS "}",
        "{" V2 ",\"mediaType\":\"" DOCKER_TYPE_LIST "\"," INDEX "}",
        "{" V2 "," CONFIG ",\"layers\":[]}",
        "{" V2 ",\"manifests\":[]}",
        "{" V2 "," CONFIG "," LAYERS ",\"annotations\":{\"x\":\"y\"},\"subject\":null}",
        "{" V2 "," CONFIG ",\"layers\":[{\"digest\":\"" D1
        "\",\"size\":0,\"mediaType\":\"x\",\"urls\":[\"http://x\"],\"annotations\":null}]}",
    };
    for (size_t i = 0; i < sizeof goods / sizeof *goods; i++) {
        struct err e = {0};
        own(oci_manifest) struct oci_manifest m = {0};
        ASSERT_OK(oci_manifest_parse(sv_of(goods[i]), "m", &m, &e));
    }
}

static void attacks_are_refused(void **state)
{
    (void)state;
    static const char *const bads[] = {
        // the same bytes as manifest and as index
        "{" V2 "," CONFIG "," LAYERS "," INDEX "}",
        "{" V2 "," LAYERS "," INDEX "}",
        "{" V2 "," CONFIG "," INDEX "}",
        "{" V2 ",\"layers\":null," INDEX "}",
        "{" V2 ",\"mediaType\":\"" OCI_TYPE_INDEX "\"," CONFIG "," LAYERS "}",
        "{" V2 ",\"mediaType\":\"" OCI_TYPE_MANIFEST "\"," INDEX "}",
        "{" V2 ",\"mediaType\":\"" DOCKER_TYPE_LIST "\"," CONFIG "," LAYERS "}",
        "{" V2 ",\"mediaType\":\"text/html\"," INDEX "}", "{" V2 ",\"mediaType\":3," INDEX "}",
        // duplicate keys, byte order mark, trailing text
        "{" V2 "," CONFIG "," LAYERS "," LAYERS "}", "{" V2 "," V2 "," INDEX "}",
        "\xef\xbb\xbf{" V2 "," INDEX "}", "{" V2 "," INDEX "}{}",
        // numbers
        "{" V2 "," CONFIG ",\"layers\":[{\"digest\":\"" D1 "\",\"size\":-1}]}",
        "{" V2 "," CONFIG ",\"layers\":[{\"digest\":\"" D1 "\",\"size\":9223372036854775808}]}",
        "{" V2 "," CONFIG ",\"layers\":[{\"digest\":\"" D1 "\",\"size\":1.5}]}",
        "{" V2 "," CONFIG ",\"layers\":[{\"digest\":\"" D1 "\",\"size\":\"7\"}]}",
        "{" V2 "," CONFIG ",\"layers\":[{\"digest\":\"" D1 "\"}]}",
        // digests
        "{" V2 "," CONFIG ",\"layers\":[{\"digest\":\"sha256:../../../../etc/passwd\",\"size\":1}]}",
        "{" V2 "," CONFIG ",\"layers\":[{\"digest\":\"sha256+b64u:abc\",\"size\":1}]}",
        "{" V2 "," CONFIG ",\"layers\":[{\"digest\":\"\",\"size\":1}]}",
        "{" V2 "," CONFIG ",\"layers\":[{\"digest\":\"md5:d41d8cd98f00b204e9800998ecf8427e\",\"size\":1}]}",
        "{" V2 "," CONFIG ",\"layers\":[{\"digest\":\"sha256:e3b0\",\"size\":1}]}",
        "{" V2 "," CONFIG ",\"layers\":[{\"size\":1}]}", "{" V2 "," CONFIG ",\"layers\":[null]}",
        // shapes
        "", "[]", "{}", "{" V2 "}", "{" INDEX "}", "{\"schemaVersion\":1," INDEX "}",
        "{\"schemaVersion\":\"2\"," INDEX "}", "{" V2 "," LAYERS "}", "{" V2 "," CONFIG "}",
        "{" V2 ",\"manifests\":{}}", "{" V2 "," CONFIG ",\"layers\":\"x\"}",
        "{\"schemaVersion\":2,\"fsLayers\":[]}",
        "{" V2 ",\"manifests\":[{\"digest\":\"" D1 "\",\"size\":1,\"platform\":\"linux\"}]}",
        "{" V2 ",\"manifests\":[{\"digest\":\"" D1 "\",\"size\":1,\"annotations\":[]}]}",
        "{" V2 ",\"manifests\":[{\"digest\":\"" D1 "\",\"size\":1,\"platform\":{\"os\":"
        "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}}]}",
    };
    for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
        struct err e = {0};
        struct oci_manifest m = {0};
        if (oci_manifest_parse(sv_of(bads[i]), "m", &m, &e) == 0) fail_msg("taken: %s", bads[i]);
        assert_true(e.frames > 0);
    }
}

static void too_large_and_too_many_are_refused(void **state)
{
    (void)state;
    struct err e = {0};
    struct oci_manifest m = {0};
    own(str) struct str text = {0};
    str_addz(&text, "{" V2 ",\"manifests\":[");
    for (int i = 0; i <= LIMIT_LAYERS; i++) str_addf(&text, "%s" DESC("x"), i ? "," : "");
    str_addz(&text, "]}");
    ASSERT_FAILS(oci_manifest_parse(str_sv(&text), "m", &m, &e), "the limit is");
    str_clear(&text);
    while (text.n <= LIMIT_MANIFEST) str_addz(&text, "                                ");
    ASSERT_FAILS(oci_manifest_parse(str_sv(&text), "m", &m, &e), "larger than");
}

RUN_TESTS("oci/manifest", TEST(both_kinds_print_as_they_were_read), TEST(real_world_twins_are_taken),
          TEST(attacks_are_refused), TEST(too_large_and_too_many_are_refused))
