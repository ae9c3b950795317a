// SPDX-License-Identifier: Apache-2.0
#include "store/download.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"
#include "base/proc.h"
#include "harness.h"
#include "store/blob.h"
#include "store/gc.h"

static void open_store(struct engine *en)
{
    struct err e = {0};
    const struct engine_options opt = {.store = "store", .run = "run"};
    ASSERT_OK(engine_open(en, &opt, &e));
}

static void put(const struct store_download *d, const char *text)
{
    struct err e = {0};
    ASSERT_OK(fs_write_all(d->fd, text, strlen(text), &e));
}

static void what_has_come_is_there_for_the_next(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    struct oci_digest digest = oci_digest_of(SV("hello"));
    struct store_download d = STORE_DOWNLOAD_NONE;
    open_store(&en);
    assert_int_equal(store_download_open(&en, &digest, 5, &d, &e), 1);
    assert_int_equal(d.have, 0);
    put(&d, "hel");
    store_download_close(&d);
    assert_int_equal(store_download_open(&en, &digest, 5, &d, &e), 1);
    assert_int_equal(d.have, 3);
    store_download_close(&d);
    // More than there can be is not continued.
    assert_int_equal(store_download_open(&en, &digest, 2, &d, &e), 1);
    assert_int_equal(d.have, 0);
    store_download_discard(&en, &d);
    assert_int_equal(d.fd, -1);
    assert_false(fs_exists(en.store_fd,
                           "cache/downloads/"
                           "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"));
}

static void one_fetches_and_the_other_is_told(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    struct oci_digest digest = oci_digest_of(SV("hello"));
    struct store_download mine = STORE_DOWNLOAD_NONE, theirs = STORE_DOWNLOAD_NONE;
    open_store(&en);
    assert_int_equal(store_download_open(&en, &digest, 5, &mine, &e), 1);
    assert_int_equal(store_download_open(&en, &digest, 5, &theirs, &e), 0);
    assert_true(theirs.fd >= 0);
    ASSERT_OK(store_download_release(&mine, &e));
    ASSERT_OK(store_download_wait(&theirs, &e));
    store_download_close(&theirs);
    // Discarded by its owner while the other one waits: the other begins a file of its own.
    ASSERT_OK(store_download_wait(&mine, &e));
    put(&mine, "xx");
    ASSERT_OK(store_download_restart(&en, &mine, &e));
    assert_int_equal(mine.have, 0);
    assert_int_equal(store_download_open(&en, &digest, 5, &theirs, &e), 0);
    store_download_close(&theirs);
    store_download_close(&mine);
}

static void a_whole_one_becomes_the_blob_once(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    own(str) struct str text = {0};
    struct stat st;
    struct oci_digest digest = oci_digest_of(SV("hello"));
    struct store_download a = STORE_DOWNLOAD_NONE, b = STORE_DOWNLOAD_NONE;
    open_store(&en);
    assert_int_equal(store_download_open(&en, &digest, 5, &a, &e), 1);
    put(&a, "hello");
    ASSERT_OK(store_download_release(&a, &e));
    assert_int_equal(store_download_open(&en, &digest, 5, &b, &e), 1);
    ASSERT_OK(store_download_adopt(&en, &a, &e));
    ASSERT_OK(store_download_adopt(&en, &b, &e)); // it has its name already
    ASSERT_OK(store_blob_read(&en, &digest, 10, &text, &e));
    assert_string_equal(str_z(&text), "hello");
    assert_int_equal(fstat(a.fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0444);
    store_download_close(&a);
    store_download_discard(&en, &b); // takes nothing away: the file is not a download any more
    assert_true(store_blob_exists(&en, &digest, NULL));
}

static void old_ones_are_swept_and_busy_ones_are_not(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    struct oci_digest old = oci_digest_of(SV("old")), busy = oci_digest_of(SV("busy")),
                      young = oci_digest_of(SV("young"));
    struct oci_digest *all[] = {&old, &busy, &young};
    struct store_download d[3];
    open_store(&en);
    for (int i = 0; i < 3; i++) {
        const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
        assert_int_equal(store_download_open(&en, all[i], 9, &d[i], &e), 1);
        put(&d[i], "x");
        if (i != 2) assert_int_equal(futimens(d[i].fd, times), 0);
        if (i != 1) store_download_close(&d[i]);
    }
    store_download_sweep(&en);
    assert_int_equal(store_download_open(&en, &old, 9, &d[0], &e), 1);
    assert_int_equal(d[0].have, 0);
    assert_int_equal(store_download_open(&en, &young, 9, &d[2], &e), 1);
    assert_int_equal(d[2].have, 1);
    assert_int_equal(d[1].have, 0);
    own(free) char *path = str_fmt("cache/downloads/%s", busy.hex);
    assert_true(fs_exists(en.store_fd, path));
    for (int i = 0; i < 3; i++) store_download_close(&d[i]);
}

static void pruning_takes_them_when_asked(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    struct oci_digest digest = oci_digest_of(SV("hello"));
    struct store_download d = STORE_DOWNLOAD_NONE;
    struct store_pruned done = {0};
    if (geteuid() != 0) return; // the sweep wants the user namespace
    open_store(&en);
    assert_int_equal(store_download_open(&en, &digest, 5, &d, &e), 1);
    put(&d, "hel");
    store_download_close(&d);
    own(free) char *path = str_fmt("cache/downloads/%s", digest.hex);
    ASSERT_OK(store_prune(&en, &(struct store_prune_options){0}, &done, &e));
    struct stat st;
    assert_int_equal(fstatat(en.store_fd, path, &st, 0), 0);
    ASSERT_OK(store_prune(&en, &(struct store_prune_options){.downloads = true}, &done, &e));
    assert_false(fs_exists(en.store_fd, path));
    assert_int_equal(done.freed, st.st_blocks * 512);
}

RUN_TESTS("store/download", TEST(what_has_come_is_there_for_the_next),
          TEST(one_fetches_and_the_other_is_told), TEST(a_whole_one_becomes_the_blob_once),
          TEST(old_ones_are_swept_and_busy_ones_are_not), TEST(pruning_takes_them_when_asked))
