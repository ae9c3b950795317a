// SPDX-License-Identifier: Apache-2.0
#include "store/copytree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"
#include "harness.h"

static int make(const char *name)
{
    struct err e = {0};
    ASSERT_OK(fs_mkdirs(AT_FDCWD, name, 0755, &e));
    int fd = fs_open_dir(AT_FDCWD, name, &e);
    ASSERT_OK(fd);
    return fd;
}

static void put(int dir, const char *name, const char *text)
{
    struct err e = {0};
    own(fd) int fd = fs_openat(dir, name, O_WRONLY | O_CREAT, 0640, &e);
    ASSERT_OK(fs_write_all(fd, text, strlen(text), &e));
    ASSERT_OK(fchmod(fd, 04751));
    const struct timespec times[2] = {{1000, 0}, {2000, 5}};
    ASSERT_OK(futimens(fd, times));
}

static void a_copy_has_content_modes_times_links_and_attributes(void **state)
{
    (void)state;
    struct err e = {0};
    own(fd) int a = make("a");
    own(fd) int b = make("b");
    char text[16] = "";
    struct stat st, other;
    ASSERT_OK(mkdirat(a, "d", 0750));
    put(a, "d/f", "hello");
    ASSERT_OK(linkat(a, "d/f", a, "g", 0));
    ASSERT_OK(symlinkat("/nowhere", a, "l"));
    ASSERT_OK(mkfifoat(a, "p", 0600));
    bool attrs = setxattr("a/d/f", "user.x", "1", 1, 0) == 0;
    if (attrs) ASSERT_OK(setxattr("a/d", "user.overlay.opaque", "y", 1, 0));
    const struct store_copytree opt = {.layer = true};
    ASSERT_OK(store_copytree(a, b, &opt, &e));
    ASSERT_OK(fstatat(b, "d/f", &st, 0));
    ASSERT_OK(fstatat(b, "g", &other, 0));
    assert_int_equal(st.st_ino, other.st_ino);
    assert_int_equal(st.st_mode & 07777, 04751);
    assert_int_equal(st.st_mtim.tv_sec, 2000);
    assert_int_equal(st.st_mtim.tv_nsec, 5);
    assert_int_equal(readlinkat(b, "l", text, sizeof text), 8);
    ASSERT_OK(fstatat(b, "p", &st, 0));
    assert_true(S_ISFIFO(st.st_mode));
    if (!attrs) return;
    assert_int_equal(getxattr("b/d/f", "user.x", text, sizeof text), 1);
    assert_int_equal(getxattr("b/d", "user.overlay.opaque", text, sizeof text), 1);
}

static void what_is_no_layer_loses_marks_links_and_special_files(void **state)
{
    (void)state;
    struct err e = {0};
    own(fd) int a = make("a");
    own(fd) int b = make("b");
    char text[16];
    struct stat st;
    put(a, "f", "x");
    ASSERT_OK(linkat(a, "f", a, "g", 0));
    ASSERT_OK(mkfifoat(a, "p", 0600));
    bool attrs = setxattr("a/f", "user.overlay.origin", "y", 1, 0) == 0;
    const struct store_copytree opt = {0};
    ASSERT_OK(store_copytree(a, b, &opt, &e));
    ASSERT_OK(fstatat(b, "g", &st, 0));
    assert_int_equal(st.st_nlink, 1);
    assert_int_equal(fstatat(b, "p", &st, 0), -1);
    if (attrs) assert_int_equal(getxattr("b/f", "user.overlay.origin", text, sizeof text), -1);
}

static void an_owner_without_a_place_is_named(void **state)
{
    (void)state;
    struct err e = {0};
    own(fd) int a = make("a");
    own(fd) int b = make("b");
    struct idmap_side none = {0}, all = {0};
    idmap_add(&none, getuid() + 1, 0, 10);
    idmap_add(&all, 0, 0, UINT32_MAX);
    put(a, "f", "x");
    const struct store_copytree opt = {.uid = &none, .gid = &all};
    ASSERT_FAILS(store_copytree(a, b, &opt, &e), "which the container has not");
}

RUN_TESTS("store/copytree", TEST(a_copy_has_content_modes_times_links_and_attributes),
          TEST(what_is_no_layer_loses_marks_links_and_special_files),
          TEST(an_owner_without_a_place_is_named))
