// SPDX-License-Identifier: Apache-2.0
#include "store/blob.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/own.h"
#include "base/vec.h"
#include "harness.h"
#include "store/cache.h"

static void open_store(struct engine *en)
{
    struct err e = {0};
    const struct engine_options opt = {.store = "store", .run = "run"};
    ASSERT_OK(engine_open(en, &opt, &e));
}

static size_t count(struct engine *en, const char *folder)
{
    struct err e = {0};
    own(strv) struct strv names = {0};
    ASSERT_OK(fs_list(en->store_fd, folder, &names, &e));
    return names.n;
}

static void damage(struct engine *en, const struct oci_digest *d, const char *bytes)
{
    char path[100];
    struct err e = {0};
    snprintf(path, sizeof path, "blobs/sha256/%s", d->hex);
    assert_int_equal(fchmodat(en->store_fd, path, 0644, 0), 0);
    own(fd) int fd = openat(en->store_fd, path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    ASSERT_OK(fs_write_all(fd, bytes, strlen(bytes), &e));
}

static void what_is_put_is_read_and_read_only(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    own(str) struct str out = {0};
    struct oci_digest d = {0};
    struct stat st;
    open_store(&en);
    ASSERT_OK(store_blob_put(&en, SV("hello"), &d, &e));
    assert_string_equal(d.hex, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    ASSERT_OK(store_blob_put(&en, SV("hello"), &d, &e));
    ASSERT_OK(store_blob_read(&en, &d, 100, &out, &e));
    assert_string_equal(str_z(&out), "hello");
    own(fd) int fd = store_blob_open(&en, &d, &e);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0444);
    assert_int_equal(count(&en, "blobs/sha256"), 1);
    assert_int_equal(count(&en, "tmp"), 0);
}

static void an_abandoned_writer_leaves_nothing(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    struct store_blob_writer *w = NULL;
    open_store(&en);
    ASSERT_OK(store_blob_create(&en, &w, &e));
    ASSERT_OK(store_blob_write(w, "abc", 3, &e));
    store_blob_abandon(w);
    assert_int_equal(count(&en, "blobs/sha256"), 0);
    assert_int_equal(count(&en, "tmp"), 0);
}

static void a_wrong_digest_or_size_is_not_stored(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    struct store_blob_writer *w = NULL;
    struct oci_digest want = oci_digest_of(SV("abd"));
    open_store(&en);
    ASSERT_OK(store_blob_create(&en, &w, &e));
    ASSERT_OK(store_blob_write(w, "abc", 3, &e));
    ASSERT_FAILS(store_blob_commit(w, &want, UINT64_MAX, NULL, NULL, &e), "digest is sha256:ba7816bf");
    ASSERT_OK(store_blob_create(&en, &w, &e));
    ASSERT_OK(store_blob_write(w, "abc", 3, &e));
    ASSERT_FAILS(store_blob_commit(w, NULL, 4, NULL, NULL, &e), "3 bytes instead of 4");
    assert_int_equal(count(&en, "blobs/sha256"), 0);
}

static void a_damaged_blob_is_named_and_heals_when_put_again(void **state)
{
    (void)state;
    static const char *const shapes[] = {"", "hel", "jello", "hello and more"};
    struct err e = {0};
    own(engine) struct engine en = {0};
    struct oci_digest d = {0};
    open_store(&en);
    for (size_t i = 0; i < 4; i++) {
        own(str) struct str out = {0};
        ASSERT_OK(store_blob_put(&en, SV("hello"), &d, &e));
        damage(&en, &d, shapes[i]);
        ASSERT_FAILS(store_blob_read(&en, &d, 100, &out, &e), "damaged");
        assert_int_equal(out.n, 0);
        ASSERT_OK(store_blob_put(&en, SV("hello"), &d, &e));
        ASSERT_OK(store_blob_read(&en, &d, 100, &out, &e));
        assert_string_equal(str_z(&out), "hello");
    }
}

static void a_blob_over_the_cap_is_not_read(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    own(str) struct str out = {0};
    struct oci_digest d = {0};
    open_store(&en);
    ASSERT_OK(store_blob_put(&en, SV("hello"), &d, &e));
    ASSERT_FAILS(store_blob_read(&en, &d, 4, &out, &e), "limit");
}

static void a_missing_blob_says_so(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    struct oci_digest d = oci_digest_of(SV("x"));
    open_store(&en);
    assert_false(store_blob_exists(&en, &d, NULL));
    ASSERT_FAILS(store_blob_open(&en, &d, &e), "is not in the store");
    ASSERT_OK(store_blob_remove(&en, &d, &e));
}

static void build_records_are_found_replaced_and_missed(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    own(str) struct str out = {0};
    open_store(&en);
    assert_int_equal(store_cache_find(&en, "steps", "abcd", &out, &e), 0);
    ASSERT_OK(store_cache_put(&en, "steps", "abcd", SV("one"), &e));
    ASSERT_OK(store_cache_put(&en, "steps", "abcd", SV("two\0x"), &e));
    assert_int_equal(store_cache_find(&en, "steps", "abcd", &out, &e), 1);
    assert_int_equal(out.n, 5);
    assert_memory_equal(out.p, "two\0x", 5);
    assert_int_equal(count(&en, "cache/steps"), 1);
}

static void a_torn_record_is_a_miss(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    own(str) struct str whole = {0};
    open_store(&en);
    ASSERT_OK(store_cache_put(&en, "steps", "abcd", SV("some value"), &e));
    ASSERT_OK(fs_read_at(en.store_fd, "cache/steps/abcd", 1000, &whole, &e));
    for (size_t n = 0; n < whole.n; n++) {
        own(str) struct str out = {0};
        ASSERT_OK(fs_atomic_write(en.store_fd, "cache/steps/abcd", (struct sv){whole.p, n}, 0600, &e));
        assert_int_equal(store_cache_find(&en, "steps", "abcd", &out, &e), 0);
    }
}

static void a_record_key_can_not_be_a_path(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    static const char *const bads[] = {"", "..", "a/b", "../../x", "XY", "g"};
    open_store(&en);
    for (size_t i = 0; i < sizeof bads / sizeof *bads; i++) {
        ASSERT_FAILS(store_cache_put(&en, "steps", bads[i], SV("x"), &e), "key");
        if (i < 4)
            ASSERT_FAILS(store_cache_put(&en, bads[i], "ab", SV("x"), &e), "key");
    }
}

RUN_TESTS("store/blob", TEST(what_is_put_is_read_and_read_only),
          TEST(an_abandoned_writer_leaves_nothing), TEST(a_wrong_digest_or_size_is_not_stored),
          TEST(a_damaged_blob_is_named_and_heals_when_put_again),
          TEST(a_blob_over_the_cap_is_not_read), TEST(a_missing_blob_says_so),
          TEST(build_records_are_found_replaced_and_missed), TEST(a_torn_record_is_a_miss),
          TEST(a_record_key_can_not_be_a_path))
