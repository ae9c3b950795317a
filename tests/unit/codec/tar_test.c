// SPDX-License-Identifier: Apache-2.0
#include "codec/tar.h"

#include "base/fs.h"
#include "base/own.h"
#include "base/proc.h"
#include "codec/hash.h"
#include "harness.h"

static int collect(void *arg, const void *p, size_t n, struct err *e)
{
    (void)e;
    str_add(arg, (struct sv){p, n});
    return 0;
}

static ssize_t from_sv(void *arg, void *buf, size_t n, struct err *e)
{
    struct sv *rest = arg;
    (void)e;
    if (n > rest->n) n = rest->n;
    if (n) memcpy(buf, rest->p, n);
    *rest = sv_from(*rest, n);
    return (ssize_t)n;
}

static char long_name[301], long_link[201], split_name[201];

// One of everything that the form has to hold.
static struct codec_tar_entry samples[] = {
    {.type = CODEC_TAR_DIR, .name = (char *)(uintptr_t)"d", .mode = 01777, .mtime = 1},
    {.type = CODEC_TAR_FILE, .name = (char *)(uintptr_t)"d/f", .mode = 04755, .uid = 7, .gid = 8, .mtime = 9, .size = 5},
    {.type = CODEC_TAR_FILE, .name = long_name, .mode = 0644, .size = 5},
    {.type = CODEC_TAR_FILE, .name = split_name, .mode = 0644, .size = 5},
    {.type = CODEC_TAR_SYMLINK, .name = (char *)(uintptr_t)"l", .link = long_link, .mode = 0777},
    {.type = CODEC_TAR_HARDLINK, .name = (char *)(uintptr_t)"h", .link = (char *)(uintptr_t)"d/f", .mode = 04755},
    {.type = CODEC_TAR_CHAR, .name = (char *)(uintptr_t)"c", .mode = 0600, .major = 1, .minor = 300},
    {.type = CODEC_TAR_BLOCK, .name = (char *)(uintptr_t)"b", .mode = 0600, .major = 8},
    {.type = CODEC_TAR_FIFO, .name = (char *)(uintptr_t)"p", .mode = 0600},
    {.type = CODEC_TAR_FILE, .name = (char *)(uintptr_t)"big ids \xc3\xa4\n\xff", .uid = 4000000000, .gid = 3000000, .mtime = -5},
    {.type = CODEC_TAR_FILE, .name = (char *)(uintptr_t)"attrs", .mode = 0644, .mtime = 8589934592},
};
#define SAMPLES (sizeof samples / sizeof *samples)

static void write_samples(struct str *out)
{
    struct err e = {0};
    struct codec_tar_writer w;
    memset(long_name, 'n', 300);
    memset(long_link, 'k', 200);
    memset(split_name, 's', 200);
    split_name[50] = split_name[120] = '/';
    struct codec_xattrs *x = &samples[SAMPLES - 1].xattrs;
    codec_xattrs_set(x, "user.z", "1", 1);
    codec_xattrs_set(x, "user.a", "\0=\n", 3);
    codec_xattrs_set(x, "user.empty", "", 0);
    codec_tar_writer_init(&w, (struct codec_sink){collect, out});
    for (size_t i = 0; i < SAMPLES; i++) {
        ASSERT_OK(codec_tar_write_entry(&w, &samples[i], &e));
        if (samples[i].size) ASSERT_OK(codec_tar_write_data(&w, "hello", 5, &e));
    }
    ASSERT_OK(codec_tar_write_end(&w, &e));
    assert_int_equal(w.bytes, out->n);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct err e = {0};
    own(str) struct str tar = {0};
    own(codec_tar_reader) struct codec_tar_reader *r = NULL;
    const struct codec_tar_entry *t;
    write_samples(&tar);
    struct sv rest = str_sv(&tar);
    ASSERT_OK(codec_tar_reader_open((struct codec_source){from_sv, &rest}, NULL, &r, &e));
    for (size_t i = 0; i < SAMPLES; i++) {
        const struct codec_tar_entry *s = &samples[i];
        char buf[10];
        int rc = codec_tar_next(r, &t, &e);
        ASSERT_OK(rc);
        assert_int_equal(rc, 1);
        assert_int_equal(t->type, s->type);
        assert_true(strncmp(t->name, s->name, strlen(s->name)) == 0);
        assert_string_equal(t->link ? t->link : "", s->link ? s->link : "");
        assert_true(t->mode == s->mode && t->uid == s->uid && t->gid == s->gid);
        assert_true(t->mtime == s->mtime && t->mtime_ns == 0 && t->size == s->size);
        assert_true(t->major == s->major && t->minor == s->minor);
        assert_true(codec_xattrs_eq(&t->xattrs, &s->xattrs));
        if (i % 2) assert_int_equal(codec_tar_read(r, buf, sizeof buf, &e), s->size);  // or skip it
    }
    assert_int_equal(codec_tar_next(r, &t, &e), 0);
    codec_xattrs_fini(&samples[SAMPLES - 1].xattrs);
}

// Diff ids are made of these bytes: a change gives every image a new name.
static void the_form_is_pinned(void **state)
{
    (void)state;
    char hex[CODEC_SHA256_HEX];
    own(str) struct str tar = {0};
    write_samples(&tar);
    codec_sha256_of(str_sv(&tar), hex);
    codec_xattrs_fini(&samples[SAMPLES - 1].xattrs);
    assert_string_equal(hex, "957a14a507996ba56739f7d1427214df2b67f18b5bffa82a8c6d950c1434c0bb");
}

static void gnu_tar_reads_what_is_written(void **state)
{
    (void)state;
    struct err e = {0};
    own(str) struct str tar = {0}, list = {0};
    int status = 0;
    write_samples(&tar);
    codec_xattrs_fini(&samples[SAMPLES - 1].xattrs);
    int fd = fs_open("x.tar", O_WRONLY | O_CREAT, 0600, &e);
    ASSERT_OK(fs_write_all(fd, tar.p, tar.n, &e));
    close(fd);
    const char *const argv[] = {"tar", "--numeric-owner", "-tvf", "x.tar", NULL};
    struct proc_spec spec = {.argv = argv, .search_path = true, .stdin_fd = PROC_NULL};
    ASSERT_OK(proc_read(&spec, 1 << 20, &list, &status, &e));
    assert_int_equal(status, 0);
    assert_non_null(strstr(str_z(&list), "drwxrwxrwt 0/0"));
    assert_non_null(strstr(str_z(&list), "-rwsr-xr-x 7/8"));
    assert_non_null(strstr(str_z(&list), "4000000000/3000000"));
    assert_non_null(strstr(str_z(&list), "1,300"));
    assert_non_null(strstr(str_z(&list), long_name));
    assert_non_null(strstr(str_z(&list), split_name));
    assert_non_null(strstr(str_z(&list), long_link));
}

struct sum {
    uint64_t content, other;
};
static int count(void *arg, const void *p, size_t n, bool content, struct err *e)
{
    struct sum *s = arg;
    (void)p, (void)e;
    *(content ? &s->content : &s->other) += n;
    return 0;
}

// Every dialect of GNU tar, sparse files too: the same names, sizes and bytes.
static void gnu_tar_is_understood_in_all_its_forms(void **state)
{
    (void)state;
    static const char *const forms[][2] = {
        {"--format=v7", "-b1"},   {"--format=oldgnu", "-S"}, {"--format=gnu", "-S"}, {"--format=gnu", "-b1"},
        {"--format=ustar", "-b1"}, {"--format=pax", "-b1"},   {"--sparse-version=0.0", "-S"},
        {"--sparse-version=0.1", "-S"}, {"--sparse-version=1.0", "-S"}};
    struct err e = {0};
    ASSERT_OK(fs_mkdirs(AT_FDCWD, "in/sub", 0755, &e));
    int fd = fs_open("in/sub/holes", O_WRONLY | O_CREAT, 0600, &e);
    assert_int_equal(pwrite(fd, "abc", 3, 1000000), 3);
    assert_int_equal(pwrite(fd, "def", 3, 3000000), 3);
    assert_int_equal(ftruncate(fd, 5000000), 0);
    close(fd);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        own(str) struct str tar = {0};
        own(codec_tar_reader) struct codec_tar_reader *r = NULL;
        int status = 0, rc;
        struct sum sum = {0};
        struct codec_tar_seen seen = {count, &sum};
        const struct codec_tar_entry *t;
        bool pax = strstr(forms[i][0], "sparse-version") != NULL;
        const char *const argv[] = {"tar", "-C", "in", "-c", forms[i][0], forms[i][1],
                                    pax ? "--format=pax" : forms[i][1], "sub", NULL};
        struct proc_spec spec = {.argv = argv, .search_path = true, .stdin_fd = PROC_NULL};
        ASSERT_OK(proc_read(&spec, 16 << 20, &tar, &status, &e));
        assert_int_equal(status, 0);
        struct sv rest = str_sv(&tar);
        ASSERT_OK(codec_tar_reader_open((struct codec_source){from_sv, &rest}, &seen, &r, &e));
        bool found = false;
        while ((rc = codec_tar_next(r, &t, &e)) > 0) {
            if (t->type != CODEC_TAR_FILE) continue;
            assert_string_equal(t->name, "sub/holes");
            assert_int_equal(t->size, 5000000);
            own(free) char *all = mem_alloc(5000001);
            size_t n = 0;
            for (ssize_t got; (got = codec_tar_read(r, all + n, 5000001 - n, &e)) != 0; n += (size_t)got)
                ASSERT_OK((int)got);
            assert_int_equal(n, 5000000);
            assert_memory_equal(all + 999999, "\0abc", 5);
            assert_memory_equal(all + 3000000, "def", 4);
            found = true;
        }
        ASSERT_OK(rc);
        assert_true(found);
        assert_int_equal(sum.content + sum.other, tar.n);
        assert_int_equal(sum.content, strcmp(forms[i][1], "-S") ? 5000000 : 0);
    }
}

static void holes_are_told(void **state)
{
    (void)state;
    struct err e = {0};
    own(str) struct str tar = {0};
    own(codec_tar_reader) struct codec_tar_reader *r = NULL;
    const struct codec_tar_entry *t;
    int status = 0;
    char buf[4096];
    ASSERT_OK(fs_mkdirs(AT_FDCWD, "in", 0755, &e));
    int fd = fs_open("in/holes", O_WRONLY | O_CREAT, 0600, &e);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    close(fd);
    const char *const argv[] = {"tar", "-C", "in", "-cS", "holes", NULL};
    struct proc_spec spec = {.argv = argv, .search_path = true, .stdin_fd = PROC_NULL};
    ASSERT_OK(proc_read(&spec, 16 << 20, &tar, &status, &e));
    struct sv rest = str_sv(&tar);
    ASSERT_OK(codec_tar_reader_open((struct codec_source){from_sv, &rest}, NULL, &r, &e));
    assert_int_equal(codec_tar_next(r, &t, &e), 1);
    assert_false(codec_tar_plain(r));
    assert_int_equal(codec_tar_hole(r), 1 << 20);
    assert_int_equal(codec_tar_read(r, buf, sizeof buf, &e), 0);
    assert_int_equal(codec_tar_next(r, &t, &e), 0);
}

static void the_writer_counts_what_it_is_owed(void **state)
{
    (void)state;
    struct err e = {0};
    own(str) struct str out = {0};
    struct codec_tar_writer w;
    codec_tar_writer_init(&w, (struct codec_sink){collect, &out});
    ASSERT_OK(codec_tar_write_entry(&w, &samples[1], &e));
    ASSERT_FAILS(codec_tar_write_data(&w, "too long", 8, &e), "more content");
    ASSERT_FAILS(codec_tar_write_entry(&w, &samples[0], &e), "missing");
    ASSERT_FAILS(codec_tar_write_end(&w, &e), "not complete");
}

RUN_TESTS("codec/tar", TEST(what_is_written_is_read), TEST(the_form_is_pinned),
          TEST(gnu_tar_reads_what_is_written), TEST(gnu_tar_is_understood_in_all_its_forms),
          TEST(holes_are_told), TEST(the_writer_counts_what_it_is_owed))
