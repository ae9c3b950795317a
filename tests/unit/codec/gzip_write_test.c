// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "base/fs.h"
#include "base/own.h"
#include "base/proc.h"
#include "codec/hash.h"
#include "codec/internal.h"
#include "codec/unzip.h"
#include "harness.h"

#define MIB ((size_t)1 << 20)

static char *make_bytes(size_t n)
{
    char *p = mem_alloc(n + 1);
    uint32_t x = 99;
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

static ssize_t give(void *arg, void *buf, size_t n, struct err *e)
{
    struct sv *rest = arg;
    (void)e;
    if (n > rest->n) n = rest->n;
    if (n) memcpy(buf, rest->p, n);
    *rest = sv_from(*rest, n);
    return (ssize_t)n;
}

static int expand(struct sv in, struct str *out, struct err *e)
{
    own(codec_unzip) struct codec_unzip *u = NULL;
    own(free) char *buf = mem_alloc(70000);
    if (codec_unzip_open((struct codec_source){give, &in}, UINT64_MAX, &u, e) < 0) return -1;
    for (;;) {
        ssize_t n = codec_unzip_read(u, buf, 70000, e);
        if (n <= 0) return (int)n;
        str_add(out, (struct sv){buf, (size_t)n});
    }
}

static void pack(int level, unsigned workers, struct sv in, size_t step, struct str *out)
{
    struct err e = {0};
    own(codec_zipper) struct codec_zipper *z = NULL;
    struct codec_sink dst = {collect, out};
    ASSERT_OK(codec_zipper_open_workers(CODEC_ZIP_GZIP, level, workers, dst, &z, &e));
    for (; in.n > 0; in = sv_from(in, step))
        ASSERT_OK(codec_zipper_write(z, in.p, in.n < step ? in.n : step, &e));
    ASSERT_OK(codec_zipper_finish(z, &e));
}

// Where each member begins, and the end: what a reader that splits a stream does.
static size_t split(struct sv all, size_t at[32])
{
    size_t n = 0;
    for (at[0] = 0; at[n] < all.n && n < 31; n++) {
        struct codec_piece in = {(const unsigned char *)all.p + at[n], all.n - at[n]};
        struct codec_gzip_mark mark;
        assert_true(codec_gzip_mark_find(&in, &mark));
        assert_int_equal(mark.number, n);
        at[n + 1] = at[n] + mark.size;
        assert_int_equal(mark.last, at[n + 1] == all.n);
    }
    assert_int_equal(at[n], all.n);
    return n;
}

static void any_number_of_workers_gives_the_same_bytes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, MIB - 1, MIB, MIB + 1, 5 * MIB, 9 * MIB + 12345};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        own(free) char *bytes = make_bytes(sizes[i]);
        struct sv in = {bytes, sizes[i]};
        own(str) struct str one = {0}, back = {0};
        struct err e = {0};
        size_t at[32];
        pack(0, 1, in, 4096, &one);
        size_t members = split(str_sv(&one), at);
        assert_int_equal(members, sizes[i] ? (sizes[i] + MIB - 1) / MIB : 1);
        ASSERT_OK(expand(str_sv(&one), &back, &e));
        assert_true(sv_eq(str_sv(&back), in));
        for (unsigned w = 2; w <= 8; w++) {
            own(str) struct str many = {0};
            pack(0, w, in, w % 2 ? 3 * MIB + 17 : 777, &many);
            assert_true(sv_eq(str_sv(&one), str_sv(&many)));
        }
        own(str) struct str all = {0};
        pack(0, 0, in, MIB, &all);
        assert_true(sv_eq(str_sv(&one), str_sv(&all)));
    }
}

// Noise, text, noise: a member each, of which two are stored and take what they have.
static void what_does_not_get_smaller_is_stored(void **state)
{
    (void)state;
    own(free) char *bytes = make_bytes(3 * MIB);
    uint64_t x = 1;
    for (size_t i = 0; i < 3 * MIB; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17; // xorshift64
        if (i / MIB != 1) bytes[i] = (char)(x >> 32);
    }
    memset(bytes + 2 * MIB + 16384, 0, 65536); // where nobody samples
    own(str) struct str one = {0}, many = {0}, back = {0};
    struct err e = {0};
    size_t at[32];
    pack(0, 1, (struct sv){bytes, 3 * MIB}, 4096, &one);
    pack(0, 4, (struct sv){bytes, 3 * MIB}, MIB, &many);
    assert_true(sv_eq(str_sv(&one), str_sv(&many)));
    assert_int_equal(split(str_sv(&one), at), 3);
    for (size_t i = 0; i < 3; i++) {
        bool stored = (one.p[at[i] + CODEC_GZIP_HEAD] & 6) == 0; // RFC 1951, 3.2.3: BTYPE 00
        assert_int_equal(stored, i != 1);
        assert_int_equal(at[i + 1] - at[i] > MIB, i != 1);
        assert_true(at[i + 1] - at[i] < MIB + 1024);
    }
    ASSERT_OK(expand(str_sv(&one), &back, &e));
    assert_true(back.n == 3 * MIB && memcmp(back.p, bytes, back.n) == 0);
}

static void slow_levels_too(void **state)
{
    (void)state;
    own(free) char *bytes = make_bytes(3 * MIB);
    own(str) struct str one = {0}, many = {0};
    pack(12, 1, (struct sv){bytes, 3 * MIB}, MIB, &one);
    pack(12, 8, (struct sv){bytes, 3 * MIB}, MIB, &many);
    assert_true(sv_eq(str_sv(&one), str_sv(&many)));
    struct err e = {0};
    own(codec_zipper) struct codec_zipper *z = NULL;
    struct codec_sink dst = {collect, &one};
    ASSERT_FAILS(codec_zipper_open_workers(CODEC_ZIP_GZIP, 13, 2, dst, &z, &e),
                 "gzip has no level 13");
}

// The bytes of a compressed layer are part of manifest digests: a change must be seen.
static void gzip_bytes_are_pinned(void **state)
{
    (void)state;
    char hex[CODEC_SHA256_HEX];
    own(free) char *bytes = make_bytes(3 * MIB);
    own(str) struct str a = {0};
    pack(0, 2, (struct sv){bytes, 3 * MIB}, 4096, &a);
    codec_sha256_of(str_sv(&a), hex);
    if (strcmp(codec_zipper_version(CODEC_ZIP_GZIP),
               "libdeflate 1.14 level 4, numbered members of 1 MiB, noise stored") != 0)
        skip();
    assert_string_equal(hex, "587ae8f5f75f3f8353674e5029bd1d686fd61e34ef9bf1075124d49fc9200e8b");
}

static void programs_of_the_field_read_it(void **state)
{
    (void)state;
    static const char *const readers[][4] = {
        {"gzip", "-dc", "x.gz", NULL},
        {"igzip", "-dc", "x.gz", NULL},
        {"python3", "-c", "import gzip,sys; sys.stdout.buffer.write(gzip.open('x.gz').read())",
         NULL},
        {"zstd", "-qdc", "x.gz", NULL},
    };
    struct err e = {0};
    size_t n = 4 * MIB + 99;
    own(free) char *bytes = make_bytes(n);
    own(str) struct str a = {0};
    pack(0, 3, (struct sv){bytes, n}, MIB, &a);
    ASSERT_OK(fs_atomic_write(AT_FDCWD, "x.gz", str_sv(&a), 0600, &e));
    unsigned seen = 0;
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
        struct proc_spec spec = {.argv = readers[i], .search_path = true, .stdin_fd = PROC_NULL};
        own(str) struct str back = {0};
        int status = 0;
        if (proc_read(&spec, 64 << 20, &back, &status, &e) < 0) {
            print_message("# no program %s here\n", readers[i][0]);
            err_clear(&e);
            continue;
        }
        assert_int_equal(status, 0);
        assert_true(back.n == n && memcmp(back.p, bytes, n) == 0);
        seen++;
    }
    assert_true(seen >= 1);
}

// Each of these is a whole gzip file for other readers, and not what was written.
static void lost_and_moved_members_are_refused(void **state)
{
    (void)state;
    struct err e = {0};
    size_t at[32];
    own(free) char *bytes = make_bytes(4 * MIB);
    own(str) struct str a = {0}, made = {0}, out = {0};
    pack(0, 2, (struct sv){bytes, 4 * MIB}, MIB, &a);
    assert_int_equal(split(str_sv(&a), at), 4);
    static const struct {
        const char *order;
        const char *says; // NULL: fine
    } table[] = {
        {"0123", NULL},
        {"01230123", NULL}, // two files in a row are one gzip file
        {"012", "ends before member 3"},
        {"0", "ends before member 1"},
        {"0213", "lacks member 1"},
        {"0023", "lacks member 1"},
        {"123", "lacks member 0"},
        {"013", "lacks member 2"},
        {"01233", "lacks member 0"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        str_clear(&made);
        str_clear(&out);
        for (const char *p = table[i].order; *p; p++) {
            size_t k = (size_t)(*p - '0');
            str_add(&made, (struct sv){a.p + at[k], at[k + 1] - at[k]});
        }
        if (table[i].says)
            ASSERT_FAILS(expand(str_sv(&made), &out, &e), table[i].says);
        else
            ASSERT_OK(expand(str_sv(&made), &out, &e));
        err_clear(&e);
    }
    for (size_t cut = 1; cut < 40; cut++) {
        str_clear(&out);
        ASSERT_FAILS(expand((struct sv){a.p, a.n - cut}, &out, &e), "ends in the middle");
    }
    a.p[at[2] + 16]++; // the size that a member says it has
    str_clear(&out);
    ASSERT_FAILS(expand(str_sv(&a), &out, &e), "member 2 of the gzip data has not the size");
}

static void members_of_others_may_stand_beside_ours(void **state)
{
    (void)state;
    static const unsigned char foreign[] = {0x1f, 0x8b, 8,    0,    0,    0,    0, 0, 0, 255, 0x4b,
                                            0x04, 0,    0x43, 0xbe, 0xb7, 0xe8, 1, 0, 0, 0}; // "a"
    struct err e = {0};
    own(str) struct str a = {0}, ours = {0}, out = {0};
    pack(0, 1, SV("bc"), 10, &ours);
    struct sv other = {(const char *)foreign, sizeof foreign};
    str_add(&a, other);
    str_add(&a, str_sv(&ours));
    str_add(&a, other);
    ASSERT_OK(expand(str_sv(&a), &out, &e));
    assert_string_equal(str_z(&out), "abca");
}

static int refuse(void *arg, const void *p, size_t n, struct err *e)
{
    (void)arg, (void)p, (void)n;
    return err_set(e, ERR_SYSTEM, "the disk is full");
}

static void an_error_of_the_writer_ends_the_team(void **state)
{
    (void)state;
    struct err e = {0};
    own(free) char *bytes = make_bytes(MIB);
    own(codec_zipper) struct codec_zipper *z = NULL;
    struct codec_sink dst = {refuse, NULL};
    ASSERT_OK(codec_zipper_open_workers(CODEC_ZIP_GZIP, 0, 3, dst, &z, &e));
    int rc = 0;
    for (int i = 0; rc == 0 && i < 20; i++) rc = codec_zipper_write(z, bytes, MIB, &e);
    ASSERT_FAILS(rc, "the disk is full");
} // closing leaves no child: the harness looks

// Children of this process, by /proc.
static unsigned children(pid_t out[16])
{
    own(file) FILE *f = fopen("/proc/thread-self/children", "re");
    unsigned n = 0;
    if (!f) return 0;
    while (n < 16 && fscanf(f, "%d", &out[n]) == 1) n++;
    return n;
}

static void a_killed_worker_is_an_error(void **state)
{
    (void)state;
    own(free) char *bytes = make_bytes(MIB);
    for (unsigned victim = 0; victim < 3; victim++) {
        struct err e = {0};
        pid_t pids[16];
        own(str) struct str out = {0};
        own(codec_zipper) struct codec_zipper *z = NULL;
        struct codec_sink dst = {collect, &out};
        ASSERT_OK(codec_zipper_open_workers(CODEC_ZIP_GZIP, 0, 3, dst, &z, &e));
        for (int i = 0; i < 3; i++) ASSERT_OK(codec_zipper_write(z, bytes, MIB, &e));
        unsigned n = children(pids);
        if (n == 0) skip();
        assert_int_equal(n, 3);
        assert_int_equal(kill(pids[victim], SIGKILL), 0);
        int rc = 0;
        for (int i = 0; rc == 0 && i < 20; i++) rc = codec_zipper_write(z, bytes, MIB, &e);
        if (rc == 0) rc = codec_zipper_finish(z, &e);
        ASSERT_FAILS(rc, "a worker process died (status 137)");
    }
}

RUN_TESTS("codec/gzip_write", TEST(any_number_of_workers_gives_the_same_bytes),
          TEST(what_does_not_get_smaller_is_stored), TEST(slow_levels_too),
          TEST(gzip_bytes_are_pinned), TEST(programs_of_the_field_read_it),
          TEST(lost_and_moved_members_are_refused), TEST(members_of_others_may_stand_beside_ours),
          TEST(an_error_of_the_writer_ends_the_team), TEST(a_killed_worker_is_an_error))
