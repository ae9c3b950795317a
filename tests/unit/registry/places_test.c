// SPDX-License-Identifier: Apache-2.0
// Where a reference is asked for: mirrors, moved prefixes, plain HTTP, certificate folders. The
// configuration is the test's own, in a home of its own.
#include "harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"
#include "registry/host.h"
#include "registry/places.h"

static struct err e;

#define CONF "config/containers/registries.conf"

static void put(const char *path, const char *text)
{
    ASSERT_OK(fs_replace(AT_FDCWD, path, sv_of(text), 0600, &e));
}

static void make_home(void)
{
    char here[4096];
    err_clear(&e);
    assert_non_null(getcwd(here, sizeof here));
    own(free) char *config = str_fmt("%s/config", here);
    setenv("HOME", here, 1);
    setenv("XDG_CONFIG_HOME", config, 1);
    unsetenv("CONTAINERS_REGISTRIES_CONF");
    ASSERT_OK(fs_mkdirs(AT_FDCWD, CONF ".d", 0700, &e));
    ASSERT_OK(fs_mkdirs(AT_FDCWD, "config/docker", 0700, &e));
    put(CONF, ""); // the person's file shuts the machine's out
}

static int find(const char *text, bool insecure, struct registry_places *out)
{
    struct oci_ref ref;
    err_clear(&e);
    ASSERT_OK(oci_ref_parse(sv_of(text), &ref, &e));
    return registry_places_find(&ref, insecure, out, &e);
}

// "host/name flags; ..." with p plain, u unverified, m mirror, d digest-only, t tag-only
static void expect(const char *text, bool insecure, const char *want)
{
    struct registry_places got;
    own(str) struct str said = {0};
    if (find(text, insecure, &got) < 0) fail_msg("'%s': %s", text, err_cause(&e));
    for (size_t i = 0; i < got.n; i++) {
        const struct registry_place *p = &got.p[i];
        str_addf(&said, "%s%s/%s%s%s%s%s%s%s", i ? "; " : "", p->host, p->name,
                 p->plain || p->unverified || p->mirror ? " " : "", p->plain ? "p" : "",
                 p->unverified ? "u" : "", p->mirror ? "m" : "", p->digest_only ? "d" : "",
                 p->tag_only ? "t" : "");
    }
    if (strcmp(str_z(&said), want) != 0) fail_msg("'%s': %s, not %s", text, str_z(&said), want);
}

static void hosts_are_told_from_other_text(void **state)
{
    (void)state;
    static const char *const good[] = {"docker.io", "localhost:5000", "r_1.example", "[::1]:5000",
                                       "[fd00::1]", "10.0.0.1:80",    "A.example"};
    static const char *const bad[] = {
        "",    ".",     "..",     "a..b",   "-a",  "a-",      "a b",   "a\nb",     "a\rb",
        "u@a", "u:p@a", "a/b",    "a:",     "a:b", "a:70000", "a:1:2", "http://a", "[::1",
        "::1", "[a]",   "[::1]x", "[::1]:", "a?b", "a#b",     "a%41"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!registry_host_valid(sv_of(good[i]))) fail_msg("'%s' was refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (registry_host_valid(sv_of(bad[i]))) fail_msg("'%s' was taken", bad[i]);
    static const char *const local[] = {"localhost", "LOCALHOST:1", "127.0.0.1", "127.9.9.9:5000",
                                        "[::1]:5000"};
    static const char *const away[] = {
        "localhost.example", "127.0.0.1.example", "127.1", "2130706433",
        "0x7f.0.0.1",        "128.0.0.1",         "[::2]", "[::ffff:127.0.0.1]",
        "localhosts"};
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if (!registry_host_is_loopback(sv_of(local[i]))) fail_msg("'%s' is local", local[i]);
    for (size_t i = 0; i < sizeof away / sizeof *away; i++)
        if (registry_host_is_loopback(sv_of(away[i]))) fail_msg("'%s' is not local", away[i]);
    assert_true(registry_host_in_range(SV("10.1.2.3:5000"), SV("10.0.0.0/8")));
    assert_true(registry_host_in_range(SV("10.0.63.1"), SV("10.0.0.0/18")));
    assert_false(registry_host_in_range(SV("10.0.64.1"), SV("10.0.0.0/18")));
    assert_true(registry_host_in_range(SV("[fd00:1::1]:1"), SV("fd00::/8")));
    assert_false(registry_host_in_range(SV("a.example"), SV("0.0.0.0/0")));
    assert_false(registry_host_in_range(SV("10.0.0.1"), SV("10.0.0.0")));
    assert_false(registry_host_in_range(SV("10.0.0.1"), SV("10.0.0.0/33")));
}

static void without_configuration_only_loopback_may_be_plain(void **state)
{
    (void)state;
    make_home();
    expect("debian", false, "registry-1.docker.io/library/debian");
    expect("r.example:5000/a/b:1", false, "r.example:5000/a/b");
    expect("localhost:5000/a", false, "localhost:5000/a p");
    expect("127.0.0.1:5000/a", false, "127.0.0.1:5000/a p");
    expect("127.0.0.1.example/a", false, "127.0.0.1.example/a");
    expect("r.example/a", true, "r.example/a pu");
}

static void the_longest_prefix_decides_and_moves(void **state)
{
    (void)state;
    make_home();
    put(CONF,
        "unqualified-search-registries = ['evil.example']\n"
        "[aliases]\n\"debian\" = \"evil.example/debian\"\n"
        "[[registry]]\nprefix = 'r.example/team'\nlocation = 'in.example:5000/t/'\n"
        "[[registry]]\nprefix = 'r.example'\nlocation = 'all.example'\n"
        "[[registry]]\nprefix = '*.wild.example'\ninsecure = true\n"
        "[[registry]]\nprefix = '*.deep.wild.example'\nlocation = 'deep.example/x'\n"
        "[[registry]]\nlocation = 'loose.example:5000'\ninsecure = true\n"
        "[[registry]]\nprefix = 'docker.io/library/busybox'\nlocation = 'docker.io/mine/busy'\n");
    expect("r.example/team/app", false, "in.example:5000/t/app");
    expect("r.example/team", false, "in.example:5000/t");
    expect("r.example/teams/app", false, "all.example/teams/app");
    expect("r.example:443/team/app", false, "r.example:443/team/app");
    expect("xr.example/team/app", false, "xr.example/team/app");
    expect("a.wild.example/x", false, "a.wild.example/x pu");
    expect("a.wild.example:5000/x", false, "a.wild.example:5000/x pu");
    expect("wild.example/x", false, "wild.example/x");
    expect("notwild.example/x", false, "notwild.example/x");
    expect("evil.example/a.wild.example/x", false, "evil.example/a.wild.example/x");
    expect("b.deep.wild.example/x", false, "deep.example/x/x");
    expect("loose.example:5000/x", false, "loose.example:5000/x pu");
    expect("debian", false, "registry-1.docker.io/library/debian"); // no alias, no search list
    expect("busybox", false, "registry-1.docker.io/mine/busy");
    struct registry_places got;
    ASSERT_OK(find("r.example/team/app", false, &got));
    assert_string_equal(got.push.host, "r.example");
    assert_string_equal(got.push.name, "team/app");
}

static void mirrors_come_first_with_their_own_rules(void **state)
{
    (void)state;
    make_home();
    put(CONF, "[[registry]]\nprefix = 'r.example'\n"
              "[[registry.mirror]]\nlocation = 'm1.example/r'\ninsecure = true\n"
              "[[registry.mirror]]\nlocation = 'm2.example'\npull-from-mirror = 'digest-only'\n"
              "[[registry.mirror]]\nlocation = 'm3.example'\npull-from-mirror = 'tag-only'\n"
              "[[registry]]\nprefix = 'd.example'\nmirror-by-digest-only = true\n"
              "[[registry.mirror]]\nlocation = '127.0.0.1:5000'\n");
    expect("r.example/a/b", true,
           "m1.example/r/a/b pum; m2.example/a/b md; m3.example/a/b mt; "
           "r.example/a/b pu");
    expect("d.example/a", false, "127.0.0.1:5000/a pmd; d.example/a");
}

static void dockers_daemon_file_serves_hub_and_names_loose_hosts(void **state)
{
    (void)state;
    make_home();
    put("config/docker/daemon.json",
        "{\"registry-mirrors\": [\"https://m.example:5000/\", \"http://plain.example\"],"
        "\"insecure-registries\": [\"loose.example\", \"10.0.0.0/8\"], \"data-root\": \"/x\"}");
    expect("debian", false,
           "m.example:5000/library/debian m; plain.example/library/debian pm; "
           "registry-1.docker.io/library/debian");
    expect("r.example/debian", false, "r.example/debian");
    expect("loose.example/a", false, "loose.example/a pu");
    expect("10.9.8.7:5000/a", false, "10.9.8.7:5000/a pu");
    expect("loose.example:5000/a", false, "loose.example:5000/a");
    put(CONF, "[[registry]]\nprefix='docker.io'\n[[registry.mirror]]\nlocation='loose.example'\n");
    expect("debian", false,
           "loose.example/library/debian pum; m.example:5000/library/debian m; "
           "plain.example/library/debian pm; registry-1.docker.io/library/debian");
}

static void files_and_folders_are_read_in_their_order(void **state)
{
    (void)state;
    make_home();
    put(CONF, "[[registry]]\nprefix = 'r.example'\nlocation = 'first.example'\n");
    expect("r.example/a", false, "first.example/a");
    put(CONF ".d/20.conf", "[[registry]]\nprefix = 'r.example'\nlocation = 'third.example'\n");
    put(CONF ".d/10.conf", "[[registry]]\nprefix = 'r.example'\nlocation = 'second.example'\n");
    put(CONF ".d/30.txt", "this is not read");
    expect("r.example/a", false, "third.example/a");
    put("named.conf", "[[registry]]\nprefix = 'n.example'\nlocation = 'named.example'\n");
    setenv("CONTAINERS_REGISTRIES_CONF", "named.conf", 1);
    expect("n.example/a", false, "named.example/a");
    expect("r.example/a", false, "third.example/a"); // the folder still counts
    setenv("CONTAINERS_REGISTRIES_CONF", "/dev/null", 1);
    expect("n.example/a", false, "n.example/a");
    struct registry_places got;
    setenv("CONTAINERS_REGISTRIES_CONF", "missing.conf", 1);
    ASSERT_FAILS(find("a.example/a", false, &got), "missing.conf");
}

static void what_is_blocked_or_broken_says_where(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"\n[[registry]]\nprefix = 'r.example/bad'\nblocked = true\n", ".conf:2"},
        {"[[registry]]\nprefix = '*.example'\nblocked = true\n", "blocked by"},
        {"[[registry]]\nblocked = true\n", ".conf:1: a [[registry]] needs a prefix"},
        {"# x\n[[registry]]\nprefix = 'a'\n[[registry]]\nprefix = 5\n",
         ".conf:4: 'prefix' must be a text"},
        {"[[registry]]\nprefix = 'a'\ninsecure = 'yes'\n", "'insecure' must be true or false"},
        {"[[registry]]\nprefix = 'https://a'\n", "'https://a' is not a usable prefix"},
        {"[[registry]]\nprefix = 'a/b:tag'\n", "is not a usable prefix"},
        {"[[registry]]\nprefix = '*.a/b'\n", "is not a usable prefix"},
        {"[[registry]]\nprefix = 'u@a'\n", "is not a usable prefix"},
        {"[[registry]]\nprefix = 'a'\nlocation = '*.b'\n", "is not a usable location"},
        {"[[registry]]\nprefix = 'a'\nlocation = 'b\\nc'\n", "is not a usable location"},
        {"[[registry]]\nprefix = 'a'\n[[registry]]\nprefix = 'a'\n",
         ".conf:3: 'a' has an entry already"},
        {"[[registry]]\nprefix = 'a'\n[[registry.mirror]]\ninsecure = true\n",
         "'location' is missing"},
        {"[[registry]]\nprefix = 'a'\nmirror = 'b'\n", "'mirror' must be an array"},
        {"[[registry]]\nprefix = 'a'\n[[registry.mirror]]\nlocation='b'\npull-from-mirror='x'\n",
         "pull-from-mirror is 'x'"},
        {"[[registry]]\nprefix = 'a'\nmirror-by-digest-only=true\n[[registry.mirror]]\n"
         "location='b'\npull-from-mirror='all'\n",
         "exclude each other"},
        {"[registry]\nprefix = 'a'\n", ".conf:1: 'registry' must be an array"},
        {"[registries.search]\nregistries = ['a']\n", "version 1"},
        {"[[registry]\n", ".conf:1:11: expected ']]'"},
        {"[[registry]]\nprefix = 'r.example/bad'\nlocation = 'x.example/UPPER'\n",
         "is not a repository"},
    };
    struct registry_places got;
    make_home();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put(CONF, rows[i].text);
        if (find("r.example/bad/x", false, &got) == 0) fail_msg("taken: %s", rows[i].text);
        own(str) struct str all = {0};
        err_print(&e, &all);
        if (!strstr(str_z(&all), rows[i].want))
            fail_msg("<<%s>>: %s does not say '%s'", rows[i].text, str_z(&all), rows[i].want);
    }
    put(CONF, "[[registry]]\nprefix = 'r.example/bad'\nblocked = true\n");
    expect("r.example/badly/x", false, "r.example/badly/x"); // the legal twin
    put(CONF, "");
    put("config/docker/daemon.json", "{\"registry-mirrors\": [\"ftp://x\"]}");
    ASSERT_FAILS(find("debian", false, &got), "'ftp://x' in 'registry-mirrors'");
    put("config/docker/daemon.json", "{\"registry-mirrors\": \"https://x\"}");
    ASSERT_FAILS(find("debian", false, &got), "daemon.json: 'registry-mirrors' must be");
    put("config/docker/daemon.json", "{");
    ASSERT_FAILS(find("debian", false, &got), "daemon.json:1:");
}

static void too_much_is_refused(void **state)
{
    (void)state;
    struct registry_places got;
    own(str) struct str s = {0};
    make_home();
    str_addz(&s, "[[registry]]\nprefix = 'r.example'\n");
    for (int i = 0; i < REGISTRY_PLACES_MAX; i++)
        str_addf(&s, "[[registry.mirror]]\nlocation = 'm%d.example'\n", i);
    put(CONF, str_z(&s));
    ASSERT_FAILS(find("r.example/a", false, &got), "more than 16 places");
    str_clear(&s);
    while (s.n <= 1 << 20) str_addz(&s, "# nothing but a comment that is long enough to count\n");
    put(CONF, str_z(&s));
    ASSERT_FAILS(find("r.example/a", false, &got), "larger than the limit");
    assert_int_equal(unlink(CONF), 0);
    assert_int_equal(mkfifo(CONF, 0600), 0);
    ASSERT_FAILS(find("r.example/a", false, &got), "is a fifo");
}

static void certificates_are_found_by_host_and_port(void **state)
{
    (void)state;
    struct registry_places got;
    make_home();
    ASSERT_OK(fs_mkdirs(AT_FDCWD, ".docker/certs.d/r.example:5000", 0700, &e));
    ASSERT_OK(find("r.example:5000/a", false, &got));
    assert_non_null(strstr(got.p[0].ca_dir, "/.docker/certs.d/r.example:5000"));
    ASSERT_OK(fs_mkdirs(AT_FDCWD, "config/containers/certs.d/r.example:5000", 0700, &e));
    ASSERT_OK(find("r.example:5000/a", false, &got));
    assert_non_null(strstr(got.p[0].ca_dir, "/config/containers/certs.d/r.example:5000"));
    ASSERT_OK(find("r.example/a", false, &got));
    assert_string_equal(got.p[0].ca_dir, "");
    ASSERT_OK(fs_mkdirs(AT_FDCWD, "config/containers/certs.d/docker.io", 0700, &e));
    ASSERT_OK(find("debian", false, &got));
    assert_non_null(strstr(got.p[0].ca_dir, "/certs.d/docker.io"));
}

RUN_TESTS("places", TEST(hosts_are_told_from_other_text),
          TEST(without_configuration_only_loopback_may_be_plain),
          TEST(the_longest_prefix_decides_and_moves), TEST(mirrors_come_first_with_their_own_rules),
          TEST(dockers_daemon_file_serves_hub_and_names_loose_hosts),
          TEST(files_and_folders_are_read_in_their_order),
          TEST(what_is_blocked_or_broken_says_where), TEST(too_much_is_refused),
          TEST(certificates_are_found_by_host_and_port))
