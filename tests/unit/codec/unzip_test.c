// SPDX-License-Identifier: Apache-2.0
#include "codec/unzip.h"

#include "base/fs.h"
#include "base/own.h"
#include "base/proc.h"
#include "codec/hash.h"
#include "codec/internal.h"
#include "harness.h"

#define BIG ((size_t)3 << 20)

// Not compressible much, the same everywhere.
static char *make_bytes(size_t n)
{
    char *p = mem_alloc(n);
    uint32_t x = 12345;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525 + 1013904223;
        p[i] = (char)(x >> (i % 3 ? 24 : 29));
    }
    return p;
}

static int collect(void *arg, const void *p, size_t n, struct err *e)
{
    (void)e;
    str_add(arg, (struct sv){p, n});
    return 0;
}

struct slow {
    struct sv rest;
    size_t step;  // bytes a read
};
static ssize_t from_slow(void *arg, void *buf, size_t n, struct err *e)
{
    struct slow *s = arg;
    (void)e;
    if (n > s->step) n = s->step;
    if (n > s->rest.n) n = s->rest.n;
    if (n) memcpy(buf, s->rest.p, n);
    s->rest = sv_from(s->rest, n);
    return (ssize_t)n;
}

static int expand(struct sv in, size_t step, uint64_t max, struct str *out, struct err *e)
{
    struct slow s = {in, step};
    own(codec_unzip) struct codec_unzip *u = NULL;
    char buf[70000];
    if (codec_unzip_open((struct codec_source){from_slow, &s}, max, &u, e) < 0) return -1;
    for (;;) {
        ssize_t n = codec_unzip_read(u, buf, sizeof buf, e);
        if (n < 0) return -1;
        if (n == 0) return (int)codec_unzip_kind(u);
        str_add(out, (struct sv){buf, (size_t)n});
    }
}

static void compress(enum codec_zip kind, struct sv in, size_t step, struct str *out)
{
    struct err e = {0};
    own(codec_zipper) struct codec_zipper *z = NULL;
    ASSERT_OK(codec_zipper_open(kind, 0, (struct codec_sink){collect, out}, &z, &e));
    for (; in.n > 0; in = sv_from(in, step))
        ASSERT_OK(codec_zipper_write(z, in.p, in.n < step ? in.n : step, &e));
    ASSERT_OK(codec_zipper_finish(z, &e));
}

static void what_is_written_is_read_and_does_not_depend_on_the_pieces(void **state)
{
    (void)state;
    struct err e = {0};
    own(free) char *bytes = make_bytes(BIG + 77);
    struct sv in = {bytes, BIG + 77};
    for (int k = CODEC_ZIP_NONE; k <= CODEC_ZIP_ZSTD; k++) {
        own(str) struct str a = {0}, b = {0}, back = {0};
        compress(k, in, 1 << 20, &a);
        compress(k, in, 777, &b);
        // zstd's blocks follow its own buffer, gzip's members ours: never the caller's pieces.
        assert_true(sv_eq(str_sv(&a), str_sv(&b)));
        assert_int_equal(expand(str_sv(&a), 5000, UINT64_MAX, &back, &e), k);
        assert_true(sv_eq(str_sv(&back), in));
    }
}

static void nothing_is_something_too(void **state)
{
    (void)state;
    struct err e = {0};
    for (int k = CODEC_ZIP_GZIP; k <= CODEC_ZIP_ZSTD; k++) {
        own(str) struct str a = {0}, back = {0};
        compress(k, SV(""), 1, &a);
        assert_true(a.n > 0);
        assert_int_equal(expand(str_sv(&a), 1, UINT64_MAX, &back, &e), k);
        assert_int_equal(back.n, 0);
    }
    own(str) struct str back = {0};
    assert_int_equal(expand(SV(""), 1, UINT64_MAX, &back, &e), CODEC_ZIP_NONE);
}

static void programs_of_the_field_are_understood(void **state)
{
    (void)state;
    static const struct {
        const char *const argv[4];
        enum codec_zip kind;
    } table[] = {{{"gzip", "-9c", "in", NULL}, CODEC_ZIP_GZIP},
                 {{"zstd", "-qc", "in", NULL}, CODEC_ZIP_ZSTD},
                 {{"xz", "-c", "in", NULL}, CODEC_ZIP_XZ},
                 {{"bzip2", "-c", "in", NULL}, CODEC_ZIP_BZIP2}};
    struct err e = {0};
    own(free) char *bytes = make_bytes(BIG);
    int fd = fs_open("in", O_WRONLY | O_CREAT, 0600, &e);
    ASSERT_OK(fs_write_all(fd, bytes, BIG, &e));
    close(fd);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct proc_spec spec = {.argv = table[i].argv, .search_path = true, .stdin_fd = PROC_NULL};
        own(str) struct str packed = {0}, back = {0};
        int status = 0;
        if (proc_read(&spec, 64 << 20, &packed, &status, &e) < 0 || status != 0) {
            print_message("# no program %s here\n", table[i].argv[0]);
            err_clear(&e);
            continue;
        }
        assert_int_equal(expand(str_sv(&packed), 4096, BIG, &back, &e), table[i].kind);
        assert_true(back.n == BIG && memcmp(back.p, bytes, BIG) == 0);
        // Twice in a row, with zero bytes behind: members, frames and padding.
        size_t one = packed.n;
        own(str) struct str twice = {0}, back2 = {0};
        str_add(&twice, str_sv(&packed));
        str_add(&twice, str_sv(&packed));
        for (int z = 0; z < 1000; z++) str_addc(&twice, '\0');
        assert_int_equal(expand(str_sv(&twice), 100000, 2 * BIG, &back2, &e), table[i].kind);
        assert_int_equal(back2.n, 2 * BIG);
        str_addc(&twice, 'x');
        str_clear(&back2);
        ASSERT_FAILS(expand(str_sv(&twice), 4096, 2 * BIG, &back2, &e), "something else behind");
        str_clear(&back2);
        ASSERT_FAILS(expand((struct sv){packed.p, one - 9}, 4096, BIG, &back2, &e), "ends in the middle");
        str_clear(&back2);
        ASSERT_FAILS(expand(str_sv(&packed), 4096, BIG - 1, &back2, &e), "holds more than");
    }
}

static void zlib_does_what_isal_does(void **state)
{
    (void)state;
    struct err e = {0};
    own(free) char *bytes = make_bytes(BIG / 3);
    own(str) struct str packed = {0};
    compress(CODEC_ZIP_GZIP, (struct sv){bytes, BIG / 3}, 4096, &packed);
    const struct codec_unzip_ops *both[] = {&codec_gzip_ops, &codec_zlib_ops};
    for (int i = 0; i < 2; i++) {
        void *s = NULL;
        own(free) char *out = mem_alloc(BIG);
        size_t n = 0;
        int rc = 0;
        struct codec_piece in = {(unsigned char *)packed.p, packed.n};
        ASSERT_OK(both[i]->open(&s, &e));
        ASSERT_OK(both[i]->begin(s, &e));
        while (rc == 0) {
            size_t k = 1000;
            rc = both[i]->step(s, &in, out + n, &k, &e);
            n += k;
        }
        assert_int_equal(rc, 1);
        assert_int_equal(in.n, 0);
        assert_true(n == BIG / 3 && memcmp(out, bytes, n) == 0);
        both[i]->close(s);
    }
}

static void a_bomb_is_cut_off(void **state)
{
    (void)state;
    struct err e = {0};
    own(free) char *zeros = mem_alloc(1 << 20);
    own(str) struct str packed = {0};
    own(codec_zipper) struct codec_zipper *z = NULL;
    ASSERT_OK(codec_zipper_open(CODEC_ZIP_ZSTD, 0, (struct codec_sink){collect, &packed}, &z, &e));
    for (int i = 0; i < 100; i++) ASSERT_OK(codec_zipper_write(z, zeros, 1 << 20, &e));
    ASSERT_OK(codec_zipper_finish(z, &e));
    own(str) struct str out = {.max = (size_t)200 << 20};
    ASSERT_FAILS(expand(str_sv(&packed), 4096, (uint64_t)1 << 40, &out, &e), "expands more than");
    assert_true(out.n < (size_t)70 << 20);
}

RUN_TESTS("codec/unzip", TEST(what_is_written_is_read_and_does_not_depend_on_the_pieces),
          TEST(nothing_is_something_too), TEST(programs_of_the_field_are_understood),
          TEST(zlib_does_what_isal_does), TEST(a_bomb_is_cut_off))
