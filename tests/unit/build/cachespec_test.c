// SPDX-License-Identifier: Apache-2.0
#include "build/cachespec.h"

#include "base/own.h"
#include "base/str.h"
#include "harness.h"

static void what_flags_say_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool to;
        enum build_cachespec_type type;
        const char *where;
        bool max, mounts, ignore, bare;
        enum codec_zip zip;
        int level;
    } table[] = {
        {"type=inline", true, BUILD_CACHESPEC_INLINE, NULL, 0, 0, 0, 0, CODEC_ZIP_ZSTD, 0},
        {"type=local,dest=a/b", true, BUILD_CACHESPEC_LOCAL, "a/b", 0, 0, 0, 0, CODEC_ZIP_ZSTD, 0},
        {"mode=max,dest=x,type=local,mounts=1", true, BUILD_CACHESPEC_LOCAL, "x", 1, 1, 0, 0, CODEC_ZIP_ZSTD, 0},
        {"type=local,dest=x,compression=gzip,compression-level=3", true, BUILD_CACHESPEC_LOCAL, "x", 0, 0,
         0, 0, CODEC_ZIP_GZIP, 3},
        {"type=registry,ref=r.example:5000/a/b:c,mode=min,compression=uncompressed", true,
         BUILD_CACHESPEC_REGISTRY, "r.example:5000/a/b:c", 0, 0, 0, 0, CODEC_ZIP_NONE, 0},
        {"type=registry,ref=a,ignore-error=true,image-manifest=true,oci-mediatypes=true", true,
         BUILD_CACHESPEC_REGISTRY, "a", 0, 0, 1, 0, CODEC_ZIP_ZSTD, 0},
        {"debian:bookworm", false, BUILD_CACHESPEC_REGISTRY, "debian:bookworm", 0, 0, 0, 1, CODEC_ZIP_ZSTD, 0},
        {"type=local,src=c", false, BUILD_CACHESPEC_LOCAL, "c", 0, 0, 0, 0, CODEC_ZIP_ZSTD, 0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct err e = {0};
        own(build_cachespec) struct build_cachespec s = {0};
        ASSERT_OK(build_cachespec_parse(table[i].text, table[i].to, &s, &e));
        const char *where = s.type == BUILD_CACHESPEC_LOCAL ? s.folder : s.ref;
        assert_int_equal(s.type, table[i].type);
        if (table[i].where) assert_string_equal(where, table[i].where);
        else assert_null(where);
        assert_int_equal(s.max, table[i].max);
        assert_int_equal(s.mounts, table[i].mounts);
        assert_int_equal(s.ignore_error, table[i].ignore);
        assert_int_equal(s.bare, table[i].bare);
        assert_int_equal(s.compression, table[i].zip);
        assert_int_equal(s.level, table[i].level);
    }
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool to;
        const char *says;
    } table[] = {
        {"type=", true, "the type is not known"},
        {"type=local,dest=", true, "dest cannot be ''"},
        {"type=local,dest", true, "dest cannot be ''"},
        {"type=local,,dest=x", true, "has no key ''"},
        {"type=local,dest=x,src=y", true, "has no key 'src'"},
        {"type=local,src=x,mode=max", false, "has no key 'mode'"},
        {"type=inline,compression=gzip", true, "has no key 'compression'"},
        {"type=registry,ref=a,mounts=1", true, "has no key 'mounts'"},
        {"type=local,dest=x,mounts=maybe", true, "mounts cannot be 'maybe'"},
        {"type=registry,ref=a,image-manifest=false", true, "image-manifest cannot be 'false'"},
        {"type=registry,ref=a//b", true, "--cache-to 'type=registry,ref=a//b'"},
        {"a//b", false, "--cache-from 'a//b'"},
        {"", true, ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct err e = {0};
        struct build_cachespec s = {0};
        own(str) struct str text = {0};
        assert_int_equal(build_cachespec_parse(table[i].text, table[i].to, &s, &e), -1);
        err_print(&e, &text);
        if (!strstr(str_z(&text), table[i].says)) fail_msg("'%s': %s", table[i].text, str_z(&text));
    }
}

static void types_and_labels_have_names(void **state)
{
    (void)state;
    for (int i = 0; i < BUILD_CACHESPEC_TYPE_COUNT; i++) {
        const char *name = build_cachespec_type_name((enum build_cachespec_type)i);
        assert_true(name[0] && name[0] != '?');
    }
    struct build_cachespec s = {.type = BUILD_CACHESPEC_LOCAL, .folder = (char[]){"x"}};
    own(free) char *label = build_cachespec_label(&s);
    assert_string_equal(label, "folder 'x'");
}

RUN_TESTS("build/cachespec", TEST(what_flags_say_is_read), TEST(what_is_wrong_is_named),
          TEST(types_and_labels_have_names))
