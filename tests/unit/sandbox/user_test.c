// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "harness.h"
#include "sandbox/caps.h"
#include "sandbox/sandbox.h"
#include "sandbox/user.h"

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int image(void)
{
    assert_int_equal(mkdir("r", 0755), 0);
    assert_int_equal(mkdir("r/etc", 0755), 0);
    put("r/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nbroken\n1:x:0:0::/evil:/bin/sh\n"
                        "user:x:1000:1000:u:/home/user:/bin/sh\n");
    put("r/etc/group", "root:x:0:\nwheel:x:10:user,other\nuser:x:1000:\nextra:x:11:other,user\n");
    int fd = open("r", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void users_are_found_by_name_and_number(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t uid, gid;
        size_t groups;
        const char *home;
    } rows[] = {
        {NULL, 0, 0, 1, "/root"},        {"", 0, 0, 1, "/root"},
        {"root", 0, 0, 1, "/root"},      {"user", 1000, 1000, 3, "/home/user"},
        {"1000", 1000, 1000, 3, "/home/user"}, {"user:wheel", 1000, 10, 1, "/home/user"},
        {"user:77", 1000, 77, 1, "/home/user"}, {"4242", 4242, 0, 1, NULL},
        {"4242:43", 4242, 43, 1, NULL},  {"4294967294", 4294967294u, 0, 1, NULL},
        {"00", 0, 0, 1, "/root"},        {"1", 1, 0, 1, NULL},
        {":10", 0, 10, 1, "/root"},      {"1:", 1, 0, 1, NULL},
    };
    own(fd) int fd = image();
    struct root root = {fd, "the image"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err e;
        own(sandbox_user) struct sandbox_user u = {0};
        ASSERT_OK(sandbox_user_find(&root, rows[i].text, NULL, &u, &e));
        assert_int_equal(u.uid, rows[i].uid);
        assert_int_equal(u.gid, rows[i].gid);
        assert_int_equal(u.n, rows[i].groups);
        if (rows[i].home)
            assert_string_equal(u.home, rows[i].home);
        else
            assert_null(u.home);
    }
}

static void digits_are_never_a_name_and_never_wrap(void **state)
{
    (void)state;
    own(fd) int fd = image();
    struct root root = {fd, "the image"};
    struct err e;
    struct sandbox_user u = {0};
    ASSERT_FAILS(sandbox_user_find(&root, "4294967295", NULL, &u, &e), "not between");
    ASSERT_FAILS(sandbox_user_find(&root, "4294967296", NULL, &u, &e), "not between");
    ASSERT_FAILS(sandbox_user_find(&root, "18446744073709551617", NULL, &u, &e), "not between");
    ASSERT_FAILS(sandbox_user_find(&root, "-1", NULL, &u, &e), "no such entry");
    ASSERT_FAILS(sandbox_user_find(&root, "0x0", NULL, &u, &e), "no such entry");
    ASSERT_FAILS(sandbox_user_find(&root, " 1", NULL, &u, &e), "no such entry");
    ASSERT_FAILS(sandbox_user_find(&root, "0:4294967295", NULL, &u, &e), "not between");
    ASSERT_FAILS(sandbox_user_find(&root, "0:nogroup", NULL, &u, &e), "no such entry");
}

static void added_groups_join_the_others(void **state)
{
    (void)state;
    own(fd) int fd = image();
    struct root root = {fd, "the image"};
    struct err e;
    own(sandbox_user) struct sandbox_user u = {0};
    own(strv) struct strv extra = {0};
    strv_add(&extra, "99");
    strv_add(&extra, "wheel");
    ASSERT_OK(sandbox_user_find(&root, "user", &extra, &u, &e));
    assert_int_equal(u.n, 4);
    assert_int_equal(u.groups[3], 99);
}

static void a_fifo_or_an_outside_link_as_passwd_does_no_harm(void **state)
{
    (void)state;
    own(fd) int fd = image();
    struct root root = {fd, "the image"};
    struct err e;
    own(sandbox_user) struct sandbox_user u = {0};
    assert_int_equal(unlink("r/etc/passwd"), 0);
    assert_int_equal(mkfifo("r/etc/passwd", 0644), 0);
    ASSERT_FAILS(sandbox_user_find(&root, "user", NULL, &u, &e), "fifo");
    assert_int_equal(unlink("r/etc/passwd"), 0);
    put("outside", "user:x:0:0::/:/bin/sh\n");
    assert_int_equal(symlink("../../outside", "r/etc/passwd"), 0);
    ASSERT_FAILS(sandbox_user_find(&root, "user", NULL, &u, &e), "no such entry");
    assert_int_equal(unlink("r/etc/passwd"), 0);
    put("r/passwd", "user:x:7:8::/h:/bin/sh\n");
    assert_int_equal(symlink("/passwd", "r/etc/passwd"), 0);  // an absolute link stays inside
    ASSERT_OK(sandbox_user_find(&root, "user", NULL, &u, &e));
    assert_int_equal(u.uid, 7);
}

static void unknown_users_get_an_entry(void **state)
{
    (void)state;
    own(fd) int fd = image();
    struct root root = {fd, "the image"};
    struct err e;
    own(sandbox_user) struct sandbox_user u = {.uid = 1234, .gid = 5};
    own(str) struct str out = {0};
    ASSERT_OK(sandbox_user_passwd_with(&root, &u, "/w", &out, &e));
    assert_non_null(strstr(out.p, "root:x:0:0:root:/root:/bin/sh\n"));
    assert_non_null(strstr(out.p, "\n1234:x:1234:5::/w:/bin/sh\n"));
    str_clear(&out);
    ASSERT_OK(sandbox_user_passwd_with(&root, &u, "/w\nroot2::0:0::/:", &out, &e));
    assert_null(strstr(out.p, "root2"));
}

static void capabilities_follow_add_and_drop(void **state)
{
    (void)state;
    struct err e;
    uint64_t have, bits;
    struct sandbox_spec all = {.privileged = true}, s = {0};
    ASSERT_OK(sandbox_caps_plan(&all, &have, &e));
    ASSERT_OK(sandbox_caps_plan(&s, &bits, &e));
    assert_int_equal(bits, UINT64_C(0x800405fb) & have);
    strv_add(&s.cap_drop, "ALL");
    ASSERT_OK(sandbox_caps_plan(&s, &bits, &e));
    assert_int_equal(bits, 0);
    strv_add(&s.cap_add, "cap_chown");
    ASSERT_OK(sandbox_caps_plan(&s, &bits, &e));
    assert_int_equal(bits, 1 & have);
    strv_add(&s.cap_drop, "CHOWN"); // ALL says it already: what is added stays
    ASSERT_OK(sandbox_caps_plan(&s, &bits, &e));
    assert_int_equal(bits, 1 & have);
    strv_add(&s.cap_add, "NO_SUCH");
    ASSERT_FAILS(sandbox_caps_plan(&s, &bits, &e), "unknown capability 'NO_SUCH'");
    strv_fini(&s.cap_add);
    strv_fini(&s.cap_drop);
}

static void every_capability_has_a_name_both_ways(void **state)
{
    (void)state;
    for (unsigned i = 0; i <= CAPS_LAST; i++)
        assert_int_equal(sandbox_caps_number(sv_of(sandbox_caps_name(i))), (int)i);
}

RUN_TESTS("sandbox/user", TEST(users_are_found_by_name_and_number),
          TEST(digits_are_never_a_name_and_never_wrap), TEST(added_groups_join_the_others),
          TEST(a_fifo_or_an_outside_link_as_passwd_does_no_harm), TEST(unknown_users_get_an_entry),
          TEST(capabilities_follow_add_and_drop), TEST(every_capability_has_a_name_both_ways))
