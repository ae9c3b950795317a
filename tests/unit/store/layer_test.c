// SPDX-License-Identifier: Apache-2.0
#include "store/layer.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/own.h"
#include "codec/tar.h"
#include "harness.h"

// Opens a store with layer work possible, or skips: an ordinary user without id ranges.
static void open_store(struct engine *en)
{
    struct err e = {0};
    const struct engine_options opt = {.store = "store", .run = "run"};
    ASSERT_OK(engine_open(en, &opt, &e));
    if (engine_enter(en, &e) >= 0) return;
    engine_close(en);
    print_message("# skip: no user namespace with id ranges here\n");
    skip();
}

static void put(int at, const char *path, const char *text, mode_t mode, int64_t mtime)
{
    struct err e = {0};
    own(fd) int fd = fs_openat(at, path, O_WRONLY | O_CREAT | O_TRUNC, mode, &e);
    struct timespec t[2] = {{.tv_sec = mtime, .tv_nsec = 5}, {.tv_sec = mtime, .tv_nsec = 5}};
    ASSERT_OK(fd);
    ASSERT_OK(fs_write_all(fd, text, strlen(text), &e));
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(futimens(fd, t), 0);
}

static void make(int at, const char *path)
{
    struct err e = {0};
    ASSERT_OK(fs_mkdirs(at, path, 0755, &e));
}

static void check_commit(struct engine *en, struct store_tmp *tmp, const char *name,
                         const struct store_commit *opt, struct store_layer *out)
{
    struct err e = {0};
    ASSERT_OK(store_layer_commit(en, tmp->fd, name, opt, out, &e));
}

static int64_t mtime_at(int at, const char *path)
{
    struct stat st;
    assert_int_equal(fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_mtim.tv_nsec, 0);
    return st.st_mtim.tv_sec;
}

static void a_step_keeps_what_it_changed_and_no_more(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    struct store_tmp tmp = STORE_TMP_NONE;
    struct store_layer l[3];
    struct strv stubs = {0};
    open_store(&en);
    ASSERT_OK(store_tmp_open(&en, &tmp, &e));
    make(tmp.fd, "base/fs/etc");
    make(tmp.fd, "base/fs/var/log");
    put(tmp.fd, "base/fs/etc/same", "same", 0644, 100);
    put(tmp.fd, "base/fs/etc/other", "old", 0644, 100);
    put(tmp.fd, "base/fs/var/log/dpkg.log", "base", 0644, 100);
    struct store_commit opt = {.newest = 1000, .scrub = false};
    check_commit(&en, &tmp, "base", &opt, &l[0]);
    // The step: touched a folder, wrote a file, a log, and left a mount point behind.
    make(tmp.fd, "step/fs/etc");
    make(tmp.fd, "step/fs/var/log");
    make(tmp.fd, "step/fs/mnt/here");
    put(tmp.fd, "step/fs/etc/other", "new", 0644, 5000);
    put(tmp.fd, "step/fs/var/log/dpkg.log", "noise", 0644, 5000);
    strv_add(&stubs, "mnt");
    strv_add(&stubs, "mnt/here");
    opt = (struct store_commit){.newest = 1000, .scrub = true, .below = l, .below_n = 1, .stubs = &stubs};
    check_commit(&en, &tmp, "step", &opt, &l[1]);
    own(fd) int fs = store_layer_open_fs(&en, &l[1], &e);
    ASSERT_OK(fs);
    assert_int_equal(mtime_at(fs, "etc/other"), 1000);
    assert_int_equal(mtime_at(fs, "etc"), 1000);
    assert_false(fs_exists(fs, "var"));
    assert_false(fs_exists(fs, "mnt"));
    assert_int_equal(l[1].entries, 2);
    // A step that changed nothing gives no layer.
    make(tmp.fd, "none/fs/etc");
    check_commit(&en, &tmp, "none", &opt, &l[2]);
    assert_int_equal(l[2].entries, 0);
    strv_fini(&stubs);
    store_tmp_close(&en, &tmp);
}

static int hash(void *arg, const void *p, size_t n, struct err *e)
{
    (void)e;
    codec_sha256_add(arg, p, n);
    return 0;
}

static int to_fd(void *arg, const void *p, size_t n, struct err *e)
{
    return fs_write_all(*(int *)arg, p, n, e);
}

static void the_archive_of_a_step_has_its_diff_id_also_after_a_round(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    struct store_tmp tmp = STORE_TMP_NONE;
    struct store_layer a, b;
    struct codec_sha256 h;
    char hex[CODEC_SHA256_HEX];
    open_store(&en);
    ASSERT_OK(store_tmp_open(&en, &tmp, &e));
    make(tmp.fd, "x/fs/d");
    put(tmp.fd, "x/fs/d/two", "2", 0755, 7);
    assert_int_equal(linkat(tmp.fd, "x/fs/d/two", tmp.fd, "x/fs/d/one", 0), 0);
    assert_int_equal(symlinkat("one", tmp.fd, "x/fs/d/l"), 0);
    assert_int_equal(mkfifoat(tmp.fd, "x/fs/d/p", 0600), 0);
    assert_int_equal(mknodat(tmp.fd, "x/fs/gone", S_IFCHR, makedev(0, 0)), 0);
    assert_int_equal(fchownat(tmp.fd, "x/fs/d/two", 5, 6, 0), 0);
    struct store_commit opt = {.newest = 50};
    check_commit(&en, &tmp, "x", &opt, &a);
    codec_sha256_init(&h);
    ASSERT_OK(store_layer_write_tar(&en, &a, (struct codec_sink){hash, &h}, &e));
    codec_sha256_end(&h, hex);
    assert_string_equal(hex, a.diff_id.hex);
    // Written to a file, removed, unpacked: the same layer again.
    own(fd) int fd = fs_open("x.tar", O_RDWR | O_CREAT, 0600, &e);
    ASSERT_OK(fd);
    ASSERT_OK(store_layer_write_tar(&en, &a, (struct codec_sink){to_fd, &fd}, &e));
    ASSERT_OK(store_layer_remove(&en, a.id, &e));
    assert_int_equal(store_layer_find(&en, &a.diff_id, NULL, &b, &e), 0);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    struct store_layer_put in = {.src = codec_source_fd(&fd), .want_diff = &a.diff_id, .want_size = a.tar_size};
    ASSERT_OK(store_layer_unpack(&en, &tmp, "again", &in, &e));
    ASSERT_OK(store_layer_publish(&en, &tmp, "again", NULL, 0, &b, &e));
    assert_false(b.open);
    assert_string_equal(b.id, a.id);
    // What lies on the disk is what the step left: its canonical archive is the same too.
    own(fd) int fs = store_layer_open_fs(&en, &b, &e);
    struct store_tar_options tar = {.whiteouts = true, .newest = INT64_MAX,
                                    .user_xattrs = en.ids.mode != IDMAP_ROOT};
    codec_sha256_init(&h);
    ASSERT_OK(store_tar_tree(fs, &tar, (struct codec_sink){hash, &h}, &e));
    codec_sha256_end(&h, hex);
    assert_string_equal(hex, a.diff_id.hex);
    struct store_layer c;
    assert_int_equal(store_layer_find(&en, &a.diff_id, NULL, &c, &e), 1);
    assert_int_equal(c.entries, a.entries);
    store_tmp_close(&en, &tmp);
}

static void both_ways_of_mounting_show_the_same(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    struct store_tmp tmp = STORE_TMP_NONE;
    struct store_layer l[3];
    open_store(&en);
    ASSERT_OK(store_tmp_open(&en, &tmp, &e));
    for (int i = 0; i < 3; i++) {
        char path[40], text[2] = {(char)('0' + i), 0};
        snprintf(path, sizeof path, "l%d/fs/d", i);
        make(tmp.fd, path);
        snprintf(path, sizeof path, "l%d/fs/d/f%d", i, i);
        put(tmp.fd, path, text, 0644, 10);
        snprintf(path, sizeof path, "l%d/fs/top", i);
        put(tmp.fd, path, text, 0644, 10);
        struct store_commit opt = {.newest = 50};
        snprintf(path, sizeof path, "l%d", i);
        check_commit(&en, &tmp, path, &opt, &l[i]);
    }
    char hex[2][4][CODEC_SHA256_HEX];
    for (int old = 0; old < 2; old++) {
        for (size_t n = 0; n < 4; n++) {
            struct store_overlay o = {.layers = l, .n = n, .force_old = old};
            struct store_tar_options tar = {.newest = INT64_MAX};
            struct codec_sha256 h;
            own(fd) int mount = store_overlay_open(&en, &o, &e);
            if (n == 0 && mount < 0) {  // nothing over nothing is not asked for
                err_clear(&e);
                continue;
            }
            ASSERT_OK(mount);
            own(fd) int dir = fs_open_dir(mount, ".", &e);
            codec_sha256_init(&h);
            ASSERT_OK(store_tar_tree(dir, &tar, (struct codec_sink){hash, &h}, &e));
            codec_sha256_end(&h, hex[old][n]);
            if (old) assert_string_equal(hex[0][n], hex[1][n]);
            assert_int_equal(faccessat(dir, "d/f2", F_OK, 0), n == 3 ? 0 : -1);
            assert_int_equal(mkdirat(dir, "x", 0755), -1);  // read-only
        }
    }
    make(tmp.fd, "up");
    make(tmp.fd, "work");
    for (int old = 0; old < 2; old++) {
        own(fd) int up = fs_open_dir(tmp.fd, "up", &e);
        own(fd) int work = fs_open_dir(tmp.fd, "work", &e);
        struct store_overlay o = {.layers = l, .n = 3, .upper_fd = up, .work_fd = work,
                                  .force_old = old, .durable = true};
        own(fd) int mount = store_overlay_open(&en, &o, &e);
        ASSERT_OK(mount);
        own(fd) int dir = fs_open_dir(mount, ".", &e);
        assert_int_equal(unlinkat(dir, old ? "d/f1" : "d/f0", 0), 0);
        assert_int_equal(mkdirat(dir, old ? "made1" : "made0", 0755), 0);
    }
    struct stat st;
    assert_int_equal(fstatat(tmp.fd, "up/d/f0", &st, 0), 0);
    assert_true(S_ISCHR(st.st_mode) && st.st_rdev == 0);
    assert_true(fs_exists(tmp.fd, "up/made1"));
    store_tmp_close(&en, &tmp);
}

static void a_wrong_size_digest_or_diff_id_is_refused_and_leaves_nothing(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    struct oci_digest wrong = oci_digest_of(SV("wrong"));
    char zeros[1024] = "";
    open_store(&en);
    for (int i = 0; i < 4; i++) {
        struct store_tmp tmp = STORE_TMP_NONE;
        own(fd) int fd = fs_open("z.tar", O_RDWR | O_CREAT | O_TRUNC, 0600, &e);
        ASSERT_OK(fs_write_all(fd, zeros, sizeof zeros, &e));
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        struct store_layer_put in = {.src = codec_source_fd(&fd), .keep_blob = i == 3,
                                     .want_diff = i == 0 ? &wrong : NULL,
                                     .want_blob = i == 1 || i == 3 ? &wrong : NULL,
                                     .want_size = i == 2 ? 1023 : 0};
        ASSERT_OK(store_tmp_open(&en, &tmp, &e));
        static const char *const said[] = {"diff id", "digest of the layer", "more than the 1023", "sha256:"};
        ASSERT_FAILS(store_layer_unpack(&en, &tmp, "l", &in, &e), said[i]);
        store_tmp_close(&en, &tmp);
    }
    own(free) char *form = str_fmt("layers/%s", en.form);
    assert_false(fs_exists(en.store_fd, form));
    own(strv) struct strv blobs = {0};
    if (fs_exists(en.store_fd, "blobs/sha256"))
        ASSERT_OK(fs_list(en.store_fd, "blobs/sha256", &blobs, &e));
    assert_int_equal(blobs.n, 0);
}

static void a_changed_file_in_the_store_is_noticed(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    struct store_tmp tmp = STORE_TMP_NONE;
    struct store_layer a;
    struct codec_sha256 h;
    open_store(&en);
    ASSERT_OK(store_tmp_open(&en, &tmp, &e));
    make(tmp.fd, "x/fs");
    put(tmp.fd, "x/fs/f", "good", 0644, 7);
    struct store_commit opt = {.newest = 50};
    check_commit(&en, &tmp, "x", &opt, &a);
    own(fd) int fs = store_layer_open_fs(&en, &a, &e);
    put(fs, "f", "evil", 0644, 7);
    codec_sha256_init(&h);
    ASSERT_FAILS(store_layer_write_tar(&en, &a, (struct codec_sink){hash, &h}, &e), "have changed");
    store_tmp_close(&en, &tmp);
}

static void a_hundred_layers_fit_the_old_way_too(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    struct store_tmp tmp = STORE_TMP_NONE;
    static struct store_layer l[127];
    open_store(&en);
    ASSERT_OK(store_tmp_open(&en, &tmp, &e));
    for (int i = 0; i < 127; i++) {
        char path[40];
        snprintf(path, sizeof path, "l%d/fs", i);
        make(tmp.fd, path);
        snprintf(path, sizeof path, "l%d/fs/f%d", i, i);
        put(tmp.fd, path, "", 0644, 10);
        struct store_commit opt = {.newest = 50};
        snprintf(path, sizeof path, "l%d", i);
        check_commit(&en, &tmp, path, &opt, &l[i]);
    }
    for (int old = 0; old < 2; old++) {
        struct store_overlay o = {.layers = l, .n = 127, .force_old = old};
        own(fd) int mount = store_overlay_open(&en, &o, &e);
        ASSERT_OK(mount);
        own(fd) int dir = fs_open_dir(mount, ".", &e);
        assert_int_equal(faccessat(dir, "f0", F_OK, 0), 0);
        assert_int_equal(faccessat(dir, "f126", F_OK, 0), 0);
    }
    store_tmp_close(&en, &tmp);
}

// A layer that was put into place, but not synced before the machine went down, is made again.
static void a_layer_of_another_boot_that_was_never_synced_is_not_believed(void **state)
{
    (void)state;
    struct err e = {0};
    struct store_layer l = {0}, found = {0};
    struct store_tmp tmp;
    char mark[200];
    own(engine) struct engine en = {0};
    open_store(&en);
    for (int round = 0; round < 3; round++) {
        ASSERT_OK(store_tmp_open(&en, &tmp, &e));
        make(tmp.fd, "s/fs");
        put(tmp.fd, "s/fs/a", "text", 0644, 1000);
        check_commit(&en, &tmp, "s", &(struct store_commit){.newest = INT64_MAX}, &l);
        store_tmp_close(&en, &tmp);
        snprintf(mark, sizeof mark, "fresh/%s.%s", en.form, l.id);
        assert_int_equal(store_layer_find(&en, &l.diff_id, NULL, &found, &e), 1);
        struct stat st;
        bool marked = fstatat(en.store_fd, mark, &st, AT_SYMLINK_NOFOLLOW) == 0;
        assert_int_equal(marked, round < 2);  // the last round finds a synced one
        if (round == 0) {  // another boot of the same host
            char text[128] = "";
            assert_true(readlinkat(en.store_fd, mark, text, sizeof text - 1) > 0);
            text[0] = text[0] == 'a' ? 'b' : 'a';
            assert_int_equal(unlinkat(en.store_fd, mark, 0), 0);
            assert_int_equal(symlinkat(text, en.store_fd, mark), 0);
            assert_int_equal(store_layer_find(&en, &l.diff_id, NULL, &found, &e), 0);
            assert_int_equal(fstatat(en.store_fd, mark, &st, AT_SYMLINK_NOFOLLOW), -1);
        } else {
            ASSERT_OK(store_sync(&en, &e));
            assert_int_equal(fstatat(en.store_fd, mark, &st, AT_SYMLINK_NOFOLLOW), -1);
        }
    }
    // Another host's mark says nothing.
    assert_int_equal(symlinkat("00000000-0000-0000-0000-000000000000 elsewhere.invalid", en.store_fd,
                               mark), 0);
    assert_int_equal(store_layer_find(&en, &l.diff_id, NULL, &found, &e), 1);
}

RUN_TESTS("store/layer", TEST(a_step_keeps_what_it_changed_and_no_more),
          TEST(the_archive_of_a_step_has_its_diff_id_also_after_a_round),
          TEST(a_wrong_size_digest_or_diff_id_is_refused_and_leaves_nothing),
          TEST(a_changed_file_in_the_store_is_noticed), TEST(both_ways_of_mounting_show_the_same),
          TEST(a_hundred_layers_fit_the_old_way_too),
          TEST(a_layer_of_another_boot_that_was_never_synced_is_not_believed))
