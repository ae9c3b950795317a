// SPDX-License-Identifier: Apache-2.0
// One text read as an image config, as a manifest, as a reference, as a platform and as a `--change`. What
// was taken must print to something that is taken again and prints the same.
#include <assert.h>
#include <stdint.h>

#include "base/own.h"
#include "image/import.h"
#include "oci/image.h"
#include "oci/ref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void config(struct sv text)
{
    struct err e = {0};
    own(oci_image) struct oci_image a = {0};
    own(oci_image) struct oci_image b = {0};
    own(str) struct str one = {0};
    own(str) struct str two = {0};
    if (oci_image_parse(text, "config", &a, &e) < 0) {
        assert(e.frames > 0);
        return;
    }
    oci_image_print(&a, &one);
    assert(oci_image_parse(str_sv(&one), "config", &b, &e) == 0);
    oci_image_print(&b, &two);
    assert(sv_eq(str_sv(&one), str_sv(&two)));
}

static void manifest(struct sv text)
{
    struct err e = {0};
    own(oci_manifest) struct oci_manifest a = {0};
    own(oci_manifest) struct oci_manifest b = {0};
    own(str) struct str one = {0};
    own(str) struct str two = {0};
    if (oci_manifest_parse(text, "manifest", &a, &e) < 0) return;
    oci_manifest_print(&a, &one);
    assert(oci_manifest_parse(str_sv(&one), "manifest", &b, &e) == 0);
    oci_manifest_print(&b, &two);
    assert(sv_eq(str_sv(&one), str_sv(&two)));
}

static void ref(struct sv text)
{
    struct err e = {0};
    struct oci_ref a = {0};
    struct oci_ref b = {0};
    own(str) struct str one = {0};
    if (oci_ref_parse(text, &a, &e) < 0) return;
    // Safe as a path below refs/, whatever was typed.
    assert(!strstr(a.host, "/") && !strstr(a.name, "//") && !strstr(a.name, "..") && a.host[0] != '.');
    assert(a.name[0] != '/' && a.name[0] != '_' && !strstr(a.name, "/_") && !strstr(a.name, "/."));
    oci_ref_print(&a, &one);
    assert(oci_ref_parse(str_sv(&one), &b, &e) == 0);
    assert(memcmp(&a, &b, sizeof a) == 0);
}

static void change(struct sv text)
{
    struct err e = {0};
    own(oci_image) struct oci_image im = {0};
    own(free) char *line = sv_dup(text);
    own(str) struct str out = {0};
    oci_image_init(&im);
    if (image_change_apply(&im, line, &e) == 0) oci_image_print(&im, &out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct oci_platform p = {0};
    struct sv text = {(const char *)data, size};
    if (size > 65536) return 0;
    config(text);
    manifest(text);
    ref(text);
    change(text);
    (void)oci_platform_parse(text, &p, &e);
    return 0;
}
