// SPDX-License-Identifier: Apache-2.0
// Documents of a registry: what is believed and what is refused.
#include "base/own.h"
#include "harness.h"
#include "image/resolve.h"

#define HEX "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ITEM "{\"mediaType\":\"x/y\",\"size\":1,\"digest\":\"sha256:" HEX "\"}"
#define MANIFEST(head) "{\"schemaVersion\":2," head "\"config\":" ITEM ",\"layers\":[" ITEM "]}"
#define INDEX(head) "{\"schemaVersion\":2," head "\"manifests\":[" ITEM "]}"

static int parse(const char *text, const char *type, const struct oci_digest *want, struct err *e)
{
    own(image_doc) struct image_doc d = {0};
    err_clear(e);
    if (image_doc_parse(sv_of(text), type, want, "the manifest", &d, e) < 0) return -1;
    struct oci_digest digest = oci_digest_of(sv_of(text));
    assert_true(oci_digest_eq(&digest, &d.digest));
    assert_true(sv_eqz(str_sv(&d.raw), text));
    return 0;
}

static void the_type_that_it_came_with_must_be_its_own(void **state)
{
    (void)state;
    struct err e = {0};
    const char *oci = MANIFEST("\"mediaType\":\"" OCI_TYPE_MANIFEST "\",");
    ASSERT_OK(parse(oci, OCI_TYPE_MANIFEST, NULL, &e));
    ASSERT_OK(parse(oci, OCI_TYPE_MANIFEST "; charset=utf-8", NULL, &e));
    ASSERT_FAILS(parse(oci, DOCKER_TYPE_MANIFEST, NULL, &e), "but came as");
    ASSERT_FAILS(parse(oci, OCI_TYPE_INDEX, NULL, &e), "but came as");
    ASSERT_FAILS(parse(oci, "application/json", NULL, &e), "but came as");
    // It need not name one; then what it came with counts, and must fit.
    ASSERT_OK(parse(MANIFEST(""), OCI_TYPE_MANIFEST, NULL, &e));
    ASSERT_OK(parse(INDEX(""), OCI_TYPE_INDEX, NULL, &e));
    ASSERT_OK(parse(INDEX(""), DOCKER_TYPE_LIST, NULL, &e));
    ASSERT_FAILS(parse(INDEX(""), OCI_TYPE_MANIFEST, NULL, &e), "no type of an index");
    ASSERT_FAILS(parse(MANIFEST(""), DOCKER_TYPE_LIST, NULL, &e), "no type of a manifest");
    ASSERT_FAILS(parse(MANIFEST(""), "text/html", NULL, &e), "no type of a manifest");
}

static void documents_of_two_kinds_are_refused(void **state)
{
    (void)state;
    struct err e = {0};
    ASSERT_FAILS(parse(MANIFEST("\"manifests\":[],"), OCI_TYPE_MANIFEST, NULL, &e), "both");
    ASSERT_FAILS(parse(MANIFEST("\"manifests\":null,"), OCI_TYPE_INDEX, NULL, &e), "both");
}

static void the_digest_must_be_the_one_asked_for(void **state)
{
    (void)state;
    struct err e = {0};
    struct oci_digest right = oci_digest_of(SV(MANIFEST(""))), wrong = oci_digest_of(SV("x"));
    struct oci_digest unset = {0};
    ASSERT_OK(parse(MANIFEST(""), OCI_TYPE_MANIFEST, &right, &e));
    ASSERT_OK(parse(MANIFEST(""), OCI_TYPE_MANIFEST, &unset, &e));
    ASSERT_FAILS(parse(MANIFEST(""), OCI_TYPE_MANIFEST, &wrong, &e), wrong.hex);
}

static void schema_1_is_named(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(parse("{\"schemaVersion\":1,\"fsLayers\":[]}",
                           "application/vnd.docker.distribution.manifest.v1+prettyjws", NULL, &e),
                     -1);
    assert_non_null(strstr(err_cause(&e), "schema 1"));
    assert_non_null(strstr(e.hint, "push it again"));
}

RUN_TESTS("image/doc", TEST(the_type_that_it_came_with_must_be_its_own),
          TEST(documents_of_two_kinds_are_refused), TEST(the_digest_must_be_the_one_asked_for),
          TEST(schema_1_is_named))
