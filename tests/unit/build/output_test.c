// SPDX-License-Identifier: Apache-2.0
#include "build/output.h"

#include "base/own.h"
#include "base/str.h"
#include "harness.h"

static void what_a_flag_says_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum build_output_type type;
        const char *dest;
        size_t names;
        const char *last;
        int push;
        bool is_dir, insecure;
        const char *compression;
        int level;
    } table[] = {
        {"-", BUILD_OUTPUT_TAR, "-", 0, NULL, -1, 0, 0, NULL, 0},
        {"out", BUILD_OUTPUT_LOCAL, "out", 0, NULL, -1, 0, 0, NULL, 0},
        {"type=local,dest=a/b", BUILD_OUTPUT_LOCAL, "a/b", 0, NULL, -1, 0, 0, NULL, 0},
        {"type=tar", BUILD_OUTPUT_TAR, "-", 0, NULL, -1, 0, 0, NULL, 0},
        {"dest=x,type=oci,tar=false", BUILD_OUTPUT_OCI, "x", 0, NULL, -1, 1, 0, NULL, 0},
        {"type=docker,dest=x,name=a:1", BUILD_OUTPUT_DOCKER, "x", 1, "a:1", -1, 0, 0, NULL, 0},
        {"type=image", BUILD_OUTPUT_IMAGE, NULL, 0, NULL, -1, 0, 0, NULL, 0},
        {"type=image,name=r.example/a:1,push=true", BUILD_OUTPUT_IMAGE, NULL, 1, "r.example/a:1", 1,
         0, 0, NULL, 0},
        {"type=image,push=false,unpack=true", BUILD_OUTPUT_IMAGE, NULL, 0, NULL, 0, 0, 0, NULL, 0},
        {"type=image,\"name=a:1, b:2\",push=1", BUILD_OUTPUT_IMAGE, NULL, 2, "b:2", 1, 0, 0, NULL,
         0},
        {"\"type=image\",\"name=a\"", BUILD_OUTPUT_IMAGE, NULL, 1, "a", -1, 0, 0, NULL, 0},
        {"type=registry", BUILD_OUTPUT_IMAGE, NULL, 0, NULL, 1, 0, 0, NULL, 0},
        {"type=registry,push=false", BUILD_OUTPUT_IMAGE, NULL, 0, NULL, 0, 0, 0, NULL, 0},
        {"Type=registry,Name=a,registry.insecure=true,compression=zstd,compression-level=9",
         BUILD_OUTPUT_IMAGE, NULL, 1, "a", 1, 0, 1, "zstd", 9},
        {"type=local,\"dest=a,\"\"b\"\"\"", BUILD_OUTPUT_LOCAL, "a,\"b\"", 0, NULL, -1, 0, 0, NULL,
         0},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct err e = {0};
        own(build_output) struct build_output o = {0};
        ASSERT_OK(build_output_parse(table[i].text, &o, &e));
        assert_int_equal(o.type, table[i].type);
        assert_int_equal(o.push, table[i].push);
        assert_int_equal(o.is_dir, table[i].is_dir);
        assert_int_equal(o.insecure, table[i].insecure);
        assert_int_equal(o.level, table[i].level);
        assert_int_equal(o.names.n, table[i].names);
        if (table[i].dest)
            assert_string_equal(o.dest, table[i].dest);
        else
            assert_null(o.dest);
        if (table[i].last) assert_string_equal(o.names.p[o.names.n - 1], table[i].last);
        if (table[i].compression) assert_string_equal(o.compression, table[i].compression);
    }
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } table[] = {
        {"type=nope", "the type is not known"},
        {"type=", "the type is not known"},
        {"dest=x", "the type is not known"},
        {"type=local", "needs dest=FOLDER"},
        {"type=local,dest=", "dest cannot be ''"},
        {"type=local,dest=x,push=true", "type=local has no key 'push'"},
        {"type=tar,name=x", "type=tar has no key 'name'"},
        {"type=image,dest=x", "type=image has no key 'dest'"},
        {"type=image,push=maybe", "push cannot be 'maybe'"},
        {"type=image,push", "push cannot be ''"},
        {"type=image,name=", "name cannot be ''"},
        {"type=image,\"name=a,,b\"", "name cannot be 'a,,b'"},
        {"type=image,compression=lzma", "compression cannot be 'lzma'"},
        {"type=image,compression-level=23", "compression-level cannot be '23'"},
        {"type=image,store=false", "store cannot be 'false'"},
        {"type=registry,push-by-digest=true", "has no key 'push-by-digest'"},
        {"type=image,,push=true", "has no key ''"},
        {"type=image,\"name=a", "a quote is not closed"},
        {"\"type=image\"x", "a comma is missing behind a quote"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct err e = {0};
        struct build_output o = {0};
        own(str) struct str text = {0};
        assert_int_equal(build_output_parse(table[i].text, &o, &e), -1);
        assert_int_equal(e.kind, ERR_USAGE);
        err_print(&e, &text);
        if (!strstr(str_z(&text), table[i].says)) fail_msg("'%s': %s", table[i].text, str_z(&text));
    }
}

static void flags_are_put_together(void **state)
{
    (void)state;
    own(strv) struct strv tags = {0}, outputs = {0};
    struct err e = {0};
    own(build_outputs) struct build_outputs all = {0};
    struct build_options opt = {.tags = &tags, .outputs = &outputs};
    strv_add(&tags, "a:1");
    strv_add(&outputs, "type=image,\"name=a:1,b:2\",push=true");
    strv_add(&outputs, "type=local,dest=x");
    ASSERT_OK(build_outputs_read(&opt, &all, &e));
    assert_int_equal(all.names.n, 2);
    assert_string_equal(all.names.p[1], "b:2");
    assert_true(all.push);
    assert_false(all.files_only);
    assert_false(all.to_stdout);
    assert_int_equal(all.v.n, 2);
}

static void flags_that_contradict_each_other_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *tag, *output;
        bool push;
        const char *says;
    } table[] = {
        {NULL, "type=registry", false, "--output push=true: the image has no name"},
        {NULL, "type=image", true, "--push: the image has no name"},
        {"a", "type=tar,dest=x", true, "--push: the result is no image"},
        {"a//b", NULL, false, "--tag"},
        {NULL, "type=image,name=a//b", false, "--output name="},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        own(strv) struct strv tags = {0}, outputs = {0};
        own(str) struct str text = {0};
        struct err e = {0};
        struct build_outputs all;
        struct build_options opt = {.tags = &tags, .outputs = &outputs, .push = table[i].push};
        if (table[i].tag) strv_add(&tags, table[i].tag);
        if (table[i].output) strv_add(&outputs, table[i].output);
        assert_int_equal(build_outputs_read(&opt, &all, &e), -1);
        err_print(&e, &text);
        if (!strstr(str_z(&text), table[i].says)) fail_msg("%zu: %s", i, str_z(&text));
    }
}

static void types_have_names(void **state)
{
    (void)state;
    for (int i = 0; i < BUILD_OUTPUT_TYPE_COUNT; i++) {
        const char *name = build_output_type_name((enum build_output_type)i);
        assert_true(name[0] && name[0] != '?');
    }
}

RUN_TESTS("build/output", TEST(what_a_flag_says_is_read), TEST(what_is_wrong_is_named),
          TEST(flags_are_put_together), TEST(flags_that_contradict_each_other_are_refused),
          TEST(types_have_names))
