// SPDX-License-Identifier: Apache-2.0
#include "store/tmp.h"

#include "base/fs.h"
#include "base/own.h"
#include "base/proc.h"
#include "base/vec.h"
#include "harness.h"

static void open_store(struct engine *en)
{
    struct err e = {0};
    const struct engine_options opt = {.store = "store", .run = "run"};
    ASSERT_OK(engine_open(en, &opt, &e));
}

static size_t count(const char *folder)
{
    struct err e = {0};
    own(strv) struct strv names = {0};
    ASSERT_OK(fs_list(AT_FDCWD, folder, &names, &e));
    return names.n;
}

static void put(int dir, const char *name, size_t n)
{
    struct err e = {0};
    own(free) char *bytes = mem_alloc(n + 1);
    own(fd) int fd = fs_openat(dir, name, O_WRONLY | O_CREAT, 0600, &e);
    memset(bytes, 'x', n);
    ASSERT_OK(fs_write_all(fd, bytes, n, &e));
}

static void closing_removes_what_is_left(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    struct store_tmp a = STORE_TMP_NONE, b = STORE_TMP_NONE;
    open_store(&en);
    ASSERT_OK(store_tmp_open(&en, &a, &e));
    ASSERT_OK(store_tmp_open(&en, &b, &e));
    assert_string_not_equal(a.name, b.name);
    ASSERT_OK(fs_mkdirs(a.fd, "x/y", 0700, &e));
    put(a.fd, "x/y/f", 10);
    assert_int_equal(count("store/tmp"), 2);
    store_tmp_close(&en, &a);
    store_tmp_close(&en, &b);
    store_tmp_close(&en, &b);
    assert_int_equal(count("store/tmp"), 0);
}

static int die_with_a_folder(void *arg, struct err *e)
{
    struct store_tmp t = STORE_TMP_NONE;
    if (store_tmp_open(arg, &t, e) < 0) return -1;
    put(t.fd, "f", 100000);
    return 0;  // ends without close
}

static void the_sweep_takes_the_dead_and_spares_the_living(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    struct store_tmp mine = STORE_TMP_NONE;
    struct proc_worker w;
    uint64_t freed = 0;
    open_store(&en);
    ASSERT_OK(store_tmp_open(&en, &mine, &e));
    ASSERT_OK(proc_worker_start(die_with_a_folder, &en, &w, &e));
    ASSERT_OK(proc_worker_wait(&w, &e));
    put(mine.parent_fd, "stray", 10);
    assert_int_equal(count("store/tmp"), 3);
    ASSERT_OK(store_sweep(&en, &freed, &e));
    assert_int_equal(count("store/tmp"), 1);
    assert_int_equal(count("store/trash"), 0);
    assert_true(freed >= 100000);
    assert_true(fs_exists(mine.parent_fd, mine.name));
    store_tmp_close(&en, &mine);
}

static void trash_is_out_of_the_way_at_once(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    open_store(&en);
    ASSERT_OK(fs_mkdirs(en.store_fd, "layers/x/deep/er", 0700, &e));
    ASSERT_OK(store_trash(&en, en.store_fd, "layers", &e));
    ASSERT_OK(store_trash(&en, en.store_fd, "layers", &e));  // what is absent is fine
    assert_false(fs_exists(en.store_fd, "layers"));
    assert_int_equal(count("store/trash"), 1);
    ASSERT_OK(store_sweep(&en, NULL, &e));
    assert_int_equal(count("store/trash"), 0);
}

RUN_TESTS("store/tmp", TEST(closing_removes_what_is_left),
          TEST(the_sweep_takes_the_dead_and_spares_the_living), TEST(trash_is_out_of_the_way_at_once))
