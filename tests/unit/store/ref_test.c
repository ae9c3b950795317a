// SPDX-License-Identifier: Apache-2.0
#include "store/ref.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"
#include "base/proc.h"
#include "harness.h"
#include "store/gc.h"
#include "store/lock.h"
#include "store/user.h"

static void open_store(struct engine *en)
{
    struct err e = {0};
    const struct engine_options opt = {.store = "store", .run = "run"};
    ASSERT_OK(engine_open(en, &opt, &e));
}

static struct oci_digest digest(char c)
{
    struct oci_digest d = {0};
    memset(d.hex, c, 64);
    return d;
}

static void set(struct engine *en, const char *name, char image)
{
    struct err e = {0};
    struct oci_ref r = {0};
    struct oci_digest i = digest(image);
    struct oci_digest m = digest((char)(image == 'f' ? '0' : image + 1));
    ASSERT_OK(oci_ref_parse(sv_of(name), &r, &e));
    oci_ref_default_tag(&r);
    ASSERT_OK(store_ref_set(en, &r, &m, &i, &e));
}

// All refs as "name=first hex digit of the image", joined by blanks.
static void listing(struct engine *en, struct str *out)
{
    struct err e = {0};
    own(store_refs) struct store_refs all = {0};
    str_clear(out);
    ASSERT_OK(store_ref_list(en, &all, &e));
    for (size_t i = 0; i < all.n; i++) {
        if (i) str_addc(out, ' ');
        if (all.p[i].ref.name[0]) {
            oci_ref_print(&all.p[i].ref, out);
        } else {
            str_addz(out, "-");
        }
        str_addf(out, "=%c", all.p[i].image.hex[0]);
    }
}

#define LISTS(want)                             \
    do {                                        \
        own(str) struct str l_ = {0};           \
        listing(&en, &l_);                      \
        assert_string_equal(str_z(&l_), want); \
    } while (0)

static void names_are_listed_in_order(void **state)
{
    (void)state;
    own(engine) struct engine en = {0};
    open_store(&en);
    LISTS("");
    set(&en, "b", 'a');
    set(&en, "a/b", 'b');
    set(&en, "a/b/c:1", 'b');
    set(&en, "b:1", 'a');
    set(&en, "h.x:5000/z", 'c');
    LISTS("a/b:latest=b a/b/c:1=b b:1=a b:latest=a h.x:5000/z:latest=c");
}

// What a file that is no file named is not known: pruning must not take it for absent.
static void a_ref_that_cannot_be_read_is_damage_not_absence(void **state)
{
    (void)state;
    struct err e = {0};
    struct store_pruned done = {0};
    const struct store_prune_options opt = {0};
    own(engine) struct engine en = {0};
    open_store(&en);
    set(&en, "b", 'a');
    assert_int_equal(unlinkat(en.store_fd, "refs/docker.io/library/b/_tags/latest", 0), 0);
    assert_int_equal(symlinkat("x", en.store_fd, "refs/docker.io/library/b/_tags/latest"), 0);
    ASSERT_FAILS(store_prune(&en, &opt, &done, &e), "damaged");
    assert_int_equal(unlinkat(en.store_fd, "refs/docker.io/library/b/_tags/latest", 0), 0);
    assert_int_equal(unlinkat(en.store_fd, "refs/docker.io/library/b/_tags", AT_REMOVEDIR), 0);
    int fd = openat(en.store_fd, "refs/docker.io/library/b/_tags", O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
    ASSERT_FAILS(store_prune(&en, &opt, &done, &e), "damaged");
}

static void a_name_that_moves_leaves_the_old_image_untagged(void **state)
{
    (void)state;
    own(engine) struct engine en = {0};
    open_store(&en);
    set(&en, "x", 'a');
    set(&en, "x", 'b');
    LISTS("-=a x:latest=b");
    set(&en, "y", 'a');
    LISTS("x:latest=b y:latest=a");
    assert_false(fs_exists(en.store_fd, "refs/_untagged"));
}

static void an_image_with_another_name_does_not_become_untagged(void **state)
{
    (void)state;
    own(engine) struct engine en = {0};
    open_store(&en);
    set(&en, "x", 'a');
    set(&en, "y", 'a');
    set(&en, "x", 'b');
    LISTS("x:latest=b y:latest=a");
    assert_false(fs_exists(en.store_fd, "refs/_untagged"));
}

static void removing_takes_empty_folders_along(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    struct store_ref r = {0};
    open_store(&en);
    set(&en, "h.x/a/b/c:1", 'a');
    ASSERT_OK(store_ref_resolve(&en, "h.x/a/b/c:1", &r, &e));
    ASSERT_OK(store_ref_remove(&en, &r, &e));
    ASSERT_OK(store_ref_remove(&en, &r, &e));
    assert_false(fs_exists(en.store_fd, "refs/h.x"));
    assert_true(fs_exists(en.store_fd, "refs"));
}

static void every_torn_ref_file_is_skipped_and_hides_no_other(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    own(str) struct str whole = {0};
    const char *path = "refs/docker.io/library/x/_tags/latest";
    open_store(&en);
    set(&en, "x", 'a');
    set(&en, "y", 'b');
    ASSERT_OK(fs_read_at(en.store_fd, path, 4096, &whole, &e));
    for (size_t n = 0; n < whole.n; n++) {
        struct oci_ref r = {0};
        struct store_ref got = {0};
        ASSERT_OK(fs_atomic_write(en.store_fd, path, (struct sv){whole.p, n}, 0600, &e));
        LISTS("y:latest=b");
        ASSERT_OK(oci_ref_parse(SV("x:latest"), &r, &e));
        ASSERT_FAILS(store_ref_find(&en, &r, &got, &e), "damaged");
    }
    // One flipped bit anywhere is damage too.
    for (size_t n = 0; n < whole.n; n++) {
        own(free) char *copy = sv_dup(str_sv(&whole));
        copy[n] = (char)(copy[n] ^ 1);
        ASSERT_OK(fs_atomic_write(en.store_fd, path, (struct sv){copy, whole.n}, 0600, &e));
        LISTS("y:latest=b");
    }
    set(&en, "x", 'c');
    LISTS("x:latest=c y:latest=b");
}

static void a_ref_file_under_another_name_is_damage(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    own(str) struct str whole = {0};
    open_store(&en);
    set(&en, "x", 'a');
    ASSERT_OK(fs_read_at(en.store_fd, "refs/docker.io/library/x/_tags/latest", 4096, &whole, &e));
    ASSERT_OK(fs_atomic_write(en.store_fd, "refs/docker.io/library/x/_tags/other", str_sv(&whole),
                              0600, &e));
    LISTS("x:latest=a");
}

static void left_over_temporaries_are_not_listed(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    open_store(&en);
    set(&en, "x", 'a');
    ASSERT_OK(fs_atomic_write(en.store_fd, "refs/docker.io/library/x/_tags/.tmp-1-1", SV("half"),
                              0600, &e));
    LISTS("x:latest=a");
}

static void what_a_person_types_is_resolved(void **state)
{
    (void)state;
    own(engine) struct engine en = {0};
    open_store(&en);
    set(&en, "x", 'a');
    set(&en, "ab", 'c');
    own(free) char *full = str_fmt("sha256:%s", digest('a').hex);
    own(free) char *by_digest = str_fmt("x@sha256:%s", digest('b').hex);
    own(free) char *by_id_digest = str_fmt("x:other@sha256:%s", digest('a').hex);
    const struct {
        const char *text;
        char image;
    } rows[] = {
        {"x", 'a'}, {"x:latest", 'a'}, {"docker.io/library/x", 'a'}, {"aaaa", 'a'},
        {"sha256:aa", 'a'}, {full, 'a'}, {full + 7, 'a'}, {by_digest, 'a'}, {by_id_digest, 'a'},
        {"ab", 'c'},  // a name wins over an ID
        {"bbbb", 'a'},  // by manifest digest
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err e = {0};
        struct store_ref r = {0};
        ASSERT_OK(store_ref_resolve(&en, rows[i].text, &r, &e));
        assert_int_equal(r.image.hex[0], rows[i].image);
    }
}

static void what_is_not_there_gets_a_hint(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    struct store_ref r = {0};
    open_store(&en);
    ASSERT_FAILS(store_ref_resolve(&en, "debian", &r, &e), "dewar images");
    set(&en, "debian:bookworm", 'a');
    ASSERT_FAILS(store_ref_resolve(&en, "debian", &r, &e), "did you mean 'debian:bookworm'");
    ASSERT_FAILS(store_ref_resolve(&en, "debain:bookworm", &r, &e), "did you mean 'debian:bookworm'");
    ASSERT_FAILS(store_ref_resolve(&en, "sha256:ee", &r, &e), "no image 'sha256:ee'");
    ASSERT_FAILS(store_ref_resolve(&en, "../x", &r, &e), "invalid reference");
    set(&en, "two", 'c');
    ASSERT_OK(store_ref_resolve(&en, "cc", &r, &e));
}

static void an_ambiguous_id_is_refused(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    struct store_ref r = {0};
    struct oci_ref a = {0};
    struct oci_digest one = digest('a');
    struct oci_digest two = digest('a');
    two.hex[20] = 'b';
    open_store(&en);
    ASSERT_OK(oci_ref_parse(SV("one:1"), &a, &e));
    ASSERT_OK(store_ref_set(&en, &a, &one, &one, &e));
    ASSERT_OK(oci_ref_parse(SV("two:1"), &a, &e));
    ASSERT_OK(store_ref_set(&en, &a, &two, &two, &e));
    ASSERT_FAILS(store_ref_resolve(&en, "aaaaaaaaaaaa", &r, &e), "ambiguous");
    ASSERT_OK(store_ref_resolve(&en, "aaaaaaaaaaaaaaaaaaaab", &r, &e));
    assert_string_equal(r.ref.name, "library/two");
}

static int hammer(void *arg, struct err *e)
{
    struct engine *en = arg;
    for (int i = 0; i < 30; i++) {
        struct oci_ref r = {0};
        struct oci_digest d = digest("abcdef"[(i + getpid()) % 6]);
        if (oci_ref_parse(SV("busy:1"), &r, e) < 0) return -1;
        if (store_ref_set(en, &r, &d, &d, e) < 0) return -1;
        struct store_ref back = {0};
        int rc = store_ref_find(en, &r, &back, e);
        if (rc < 0) return -1;
        if (rc == 1 && i % 5 == 0 && store_ref_remove(en, &back, e) < 0) return -1;
    }
    return 0;
}

static void many_writers_never_break_a_ref(void **state)
{
    (void)state;
    own(engine) struct engine en = {0};
    struct proc_worker w[4];
    struct err e = {0};
    open_store(&en);
    for (int i = 0; i < 4; i++) ASSERT_OK(proc_worker_start(hammer, &en, &w[i], &e));
    for (int i = 0; i < 4; i++) ASSERT_OK(proc_worker_wait(&w[i], &e));
    own(strv) struct strv left = {0};
    set(&en, "busy:1", 'a');
    ASSERT_OK(fs_list(en.store_fd, "refs/docker.io/library/busy/_tags", &left, &e));
    assert_int_equal(left.n, 1);
}

static void the_store_lock_is_shared_or_alone(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    open_store(&en);
    {
        own(fd) int a = store_lock_shared(&en, &e);
        own(fd) int b = store_lock_shared(&en, &e);
        assert_true(a >= 0 && b >= 0);
        ASSERT_FAILS(store_lock_alone(&en, 0, &e), "is in use by other commands");
    }
    own(fd) int c = store_lock_alone(&en, 0, &e);
    assert_true(c >= 0);
}

static void a_containers_record_names_what_it_uses(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    own(store_users) struct store_users users = {0};
    struct oci_digest a = digest('a');
    struct oci_digest b = digest('b');
    open_store(&en);
    ASSERT_OK(fs_mkdirs(en.store_fd, "containers/c1", 0700, &e));
    ASSERT_OK(fs_mkdirs(en.store_fd, "containers/names", 0700, &e));
    own(free) char *text = str_fmt("{\"image\":\"sha256:%s\",\"x\":\"%sf\"", a.hex, b.hex);
    ASSERT_OK(fs_atomic_write(en.store_fd, "containers/c1/config.json", sv_of(text), 0600, &e));
    ASSERT_OK(store_user_list(&en, &users, &e));
    assert_int_equal(users.n, 1);
    assert_true(store_user_has(&users.p[0], &a));
    assert_false(store_user_has(&users.p[0], &b));
    assert_false(users.p[0].running);
}

static void what_a_registry_calls_it_is_kept_and_found(void **state)
{
    (void)state;
    struct err e = {0};
    own(engine) struct engine en = {0};
    struct store_ref r = {.manifest = digest('b'), .image = digest('a'), .remote = digest('c')}, got;
    open_store(&en);
    ASSERT_OK(oci_ref_parse(SV("localhost:5000/x:1"), &r.ref, &e));
    ASSERT_OK(store_ref_set_remote(&en, &r, &e));
    assert_int_equal(store_ref_find(&en, &r.ref, &got, &e), 1);
    assert_true(oci_digest_eq(&got.remote, &r.remote));
    own(free) char *by_digest = str_fmt("localhost:5000/x@sha256:%s", r.remote.hex);
    ASSERT_OK(store_ref_resolve(&en, by_digest, &got, &e));
    assert_true(oci_digest_eq(&got.image, &r.image));
    ASSERT_OK(store_ref_resolve(&en, "cccc", &got, &e));
    assert_true(oci_digest_eq(&got.image, &r.image));
    // Set again by something that is no registry: nobody knows it by that digest any more.
    ASSERT_OK(store_ref_set(&en, &r.ref, &r.manifest, &r.image, &e));
    assert_int_equal(store_ref_find(&en, &r.ref, &got, &e), 1);
    assert_false(oci_digest_is_set(&got.remote));
}

RUN_TESTS("store/ref", TEST(what_a_registry_calls_it_is_kept_and_found), TEST(names_are_listed_in_order),
          TEST(a_ref_that_cannot_be_read_is_damage_not_absence),
          TEST(a_name_that_moves_leaves_the_old_image_untagged),
          TEST(an_image_with_another_name_does_not_become_untagged),
          TEST(removing_takes_empty_folders_along),
          TEST(every_torn_ref_file_is_skipped_and_hides_no_other),
          TEST(a_ref_file_under_another_name_is_damage), TEST(left_over_temporaries_are_not_listed),
          TEST(what_a_person_types_is_resolved), TEST(what_is_not_there_gets_a_hint),
          TEST(an_ambiguous_id_is_refused), TEST(many_writers_never_break_a_ref),
          TEST(the_store_lock_is_shared_or_alone), TEST(a_containers_record_names_what_it_uses))
