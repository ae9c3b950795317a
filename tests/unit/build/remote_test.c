// SPDX-License-Identifier: Apache-2.0
// Names of remote sources: what is remote, what is a path, and what is refused.
#include <stdlib.h>

#include "base/own.h"
#include "build/remote.h"
#include "harness.h"

// "git https host url ref=... sub=... login=...", "path", or "!" and the error.
static void show(const char *text, enum build_remote_origin origin, struct str *out)
{
    struct err e = {0};
    own(build_remote) struct build_remote r = {0};
    int rc = build_remote_parse(text, origin, &r, &e);
    if (rc < 0) str_addf(out, "!%s", err_cause(&e));
    if (rc == 0) str_addz(out, "path");
    if (rc <= 0) return;
    str_addf(out, "%s %s %s %s", r.kind == BUILD_REMOTE_GIT ? "git" : "url",
             build_remote_way_name(r.way), r.host, r.url);
    if (r.ref) str_addf(out, " ref=%s", r.ref);
    if (r.subdir) str_addf(out, " sub=%s", r.subdir);
    if (r.commit) str_addf(out, " commit=%s", r.commit);
    if (r.name) str_addf(out, " name=%s", r.name);
    if (r.login.n) str_addf(out, " login=%s", r.login.p);
    if (r.keep_git_dir) str_addz(out, " keep");
}

struct row {
    const char *text, *want;
};

static void check(const struct row *rows, size_t n, enum build_remote_origin origin)
{
    for (size_t i = 0; i < n; i++) {
        own(str) struct str got = {0};
        show(rows[i].text, origin, &got);
        if (rows[i].want[0] == '!') {
            if (str_z(&got)[0] != '!' || !strstr(str_z(&got), rows[i].want + 1))
                fail_msg("%s: %s", rows[i].text, str_z(&got));
        } else {
            assert_string_equal(str_z(&got), rows[i].want);
        }
    }
}
#define CHECK(rows, origin) check(rows, sizeof(rows) / sizeof *(rows), origin)

static void urls_and_repositories_are_told_apart(void **state)
{
    static const struct row rows[] = {
        {"a/b", "path"},
        {"", "path"},
        {"http:/x", "path"},
        {"HTTPS://x/y", "path"},
        {"ftp://x/y", "path"},
        {"ext::sh -c true", "path"},
        {"fd::3", "path"},
        {"github.com/a/b", "path"},
        {"user@host", "path"},
        {"https://h/x", "url https h https://h/x name=x"},
        {"https://h", "url https h https://h/"},
        {"https://h/", "url https h https://h/"},
        {"https://h?q=1", "url https h https://h/?q=1"},
        {"http://h:80/a/b.tar.gz?x=1#frag",
         "url http h:80 http://h:80/a/b.tar.gz?x=1 name=b.tar.gz"},
        {"https://h/a%20b", "url https h https://h/a%20b name=a b"},
        {"https://h/a%2fb", "url https h https://h/a%2fb"},
        {"https://h/%2e%2e", "url https h https://h/%2e%2e"},
        {"https://h/a%00b", "url https h https://h/a%00b"},
        {"https://h/a%0", "url https h https://h/a%0"},
        {"https://[::1]:8/x", "url https [::1]:8 https://[::1]:8/x name=x"},
        {"https://me:p%40ss@h/x", "url https h https://h/x name=x login=me:p@ss"},
        {"https://h/a.git", "git https h https://h/a.git"},
        {"https://h/a.git/", "url https h https://h/a.git/"},
        {"https://t@h/a.git#v1", "git https h https://h/a.git ref=v1 login=t"},
        {"git://h/a", "git git h git://h/a"},
        {"ssh://h/a", "git ssh h ssh://git@h/a"},
        {"ssh://me@h:22/a#:x", "git ssh h:22 ssh://me@h:22/a sub=x"},
        {"git@h:a/b.git#v1:docs", "git ssh h git@h:a/b.git ref=v1 sub=docs"},
        {"git@h:/a", "git ssh h git@h:/a"},
    };
    (void)state;
    CHECK(rows, BUILD_REMOTE_IN_FILE);
}

static void refs_and_folders_follow_the_hash(void **state)
{
    static const struct row rows[] = {
        {"git://h/a#", "git git h git://h/a"},
        {"git://h/a#:", "git git h git://h/a"},
        {"git://h/a#main", "git git h git://h/a ref=main"},
        {"git://h/a#refs/pull/1/head", "git git h git://h/a ref=refs/pull/1/head"},
        {"git://h/a#main:a//b/./c/", "git git h git://h/a ref=main sub=a/b/c"},
        {"git://h/a#:/x", "git git h git://h/a sub=x"},
        {"git://h/a#main:.", "git git h git://h/a ref=main"},
        {"git://h/a#main:x:y", "git git h git://h/a ref=main sub=x:y"},
        {"https://h/a.git?branch=b&subdir=d", "git https h https://h/a.git ref=refs/heads/b sub=d"},
        {"https://h/a.git?tag=v1&keep-git-dir=true",
         "git https h https://h/a.git ref=refs/tags/v1 keep"},
        {"https://h/a.git?ref=x&commit=abcdef0",
         "git https h https://h/a.git ref=x commit=abcdef0"},
    };
    (void)state;
    CHECK(rows, BUILD_REMOTE_IN_FILE);
}

static void what_could_be_an_option_or_an_escape_is_refused(void **state)
{
    static const struct row rows[] = {
        {"git://h/a#--upload-pack=touch x", "!a blank"},
        {"git://h/a#--upload-pack=x", "!no branch, tag or commit"},
        {"git://h/a#-x", "!no branch, tag or commit"},
        {"git://h/a#a..b", "!no branch, tag or commit"},
        {"git://h/a#a*", "!no branch, tag or commit"},
        {"git://h/a#@{1}", "!no branch, tag or commit"},
        {"git://h/a#a.lock", "!no branch, tag or commit"},
        {"git://h/a#HEAD~1", "!no branch, tag or commit"},
        {"git://h/a#main:../x", "!leaves the repository"},
        {"git://h/a#main:x/../../y", "!leaves the repository"},
        {"git://-oProxyCommand=x/a", "!no host"},
        {"ssh://-x/a", "!no host"},
        {"ssh://-l@h/a", "!no user name"},
        {"ssh://a b@h/a", "!a blank"},
        {"git@-h:x", "path"},
        {"-x@h:y", "path"},
        {"git@h:-x", "!names no repository"},
        {"https://h:99999/x", "!no host"},
        {"https://h:a/x", "!no host"},
        {"https://[::1/x", "!no host"},
        {"https:///x", "!no host"},
        {"https://h/a\nb", "!a blank"},
        {"https://h/\x7f", "!a blank"},
        {"https://h\\x/", "!a blank"},
        {"https://me%00@h/x", "!broken login"},
        {"git://h/", "!names no repository"},
        {"https://h/a.git?x=1", "!no part of a git address"},
        {"https://h/a.git?branch=b#c", "!names two refs"},
        {"https://h/a.git?commit=XYZ", "!no commit id"},
        {"https://h/a.git?subdir=..", "!leaves the repository"},
        {"file:///a", "!cannot name"},
    };
    (void)state;
    CHECK(rows, BUILD_REMOTE_IN_FILE);
}

static void the_command_line_may_name_more(void **state)
{
    static const struct row rows[] = {
        {"file:///a b/r#main:x", "git file  file:///a b/r ref=main sub=x"},
        {"file://x", "!names no folder"},
        {"file:///r#-x", "!no branch"},
        {"github.com/a/b", "git https github.com https://github.com/a/b.git"},
        {"github.com/a/b#v1:x", "git https github.com https://github.com/a/b.git ref=v1 sub=x"},
        {"github.com/a/b.git#v1", "git https github.com https://github.com/a/b.git ref=v1"},
        {"github.comx/a", "path"},
        {"./a#b", "path"},
    };
    (void)state;
    CHECK(rows, BUILD_REMOTE_TYPED);
}

static void logins_are_not_shown(void **state)
{
    own(build_remote) struct build_remote r = {0};
    struct err e = {0};
    (void)state;
    assert_int_equal(build_remote_parse("https://me:word@h/x?a=b", BUILD_REMOTE_IN_FILE, &r, &e),
                     1);
    assert_string_equal(r.shown, "https://h/x?a=b");
}

static void whole_commits_are_known(void **state)
{
    (void)state;
    assert_true(build_remote_is_commit("0123456789abcdef0123456789abcdef01234567"));
    assert_true(
        build_remote_is_commit("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"));
    assert_false(build_remote_is_commit("0123456789abcdef0123456789abcdef0123456"));
    assert_false(build_remote_is_commit("0123456789ABCDEF0123456789abcdef01234567"));
    assert_false(build_remote_is_commit(NULL));
}

static void submodules_keep_to_their_parents_way(void **state)
{
    static const struct {
        const char *parent, *url, *want;
    } rows[] = {
        {"https://h/a/b.git", "../c.git", "https://h/a/c.git"},
        {"https://h/a/b.git", "./c", "https://h/a/b.git/c"},
        {"https://h/a/b.git", "../../x/y", "https://h/x/y"},
        {"git@h:a/b.git", "../c", "git@h:a/c"},
        {"git@h:b.git", "../c", "git@h:c"},
        {"git@h:b.git", "https://o/c", "https://o/c"},
        {"git@h:b.git", "git@o:c", "git@o:c"},
        {"https://h/b.git", "git@o:c", NULL},
        {"https://h/b.git", "http://o/c", NULL},
        {"https://h/b.git", "file:///etc", NULL},
        {"https://h/b.git", "/etc", NULL},
        {"https://h/b.git", "ext::sh -c x", NULL},
        {"https://h/b.git", "-x", NULL},
        {"https://h/b.git", "https://o/c#-x", NULL},
        {"file:///a/b", "../c", "file:///a/c"},
        {"file:///a/b", "file:///c", NULL},
        {"file:///a/b", "/c", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err e = {0};
        own(build_remote) struct build_remote p = {0};
        own(build_remote) struct build_remote r = {0};
        assert_int_equal(build_remote_parse(rows[i].parent, BUILD_REMOTE_TYPED, &p, &e), 1);
        int rc = build_remote_submodule(&p, rows[i].url, &r, &e);
        if (rows[i].want && rc != 1) fail_msg("%s: %s", rows[i].url, err_cause(&e));
        if (rows[i].want)
            assert_string_equal(r.url, rows[i].want);
        else if (rc != -1)
            fail_msg("%s was taken as %s", rows[i].url, r.url);
    }
}

static void every_way_has_a_name(void **state)
{
    (void)state;
    for (enum build_remote_way w = 0; w < BUILD_REMOTE_WAY_COUNT; w++)
        assert_true(strlen(build_remote_way_name(w)) >= 3);
}

RUN_TESTS("build/remote", TEST(urls_and_repositories_are_told_apart),
          TEST(refs_and_folders_follow_the_hash),
          TEST(what_could_be_an_option_or_an_escape_is_refused),
          TEST(the_command_line_may_name_more), TEST(logins_are_not_shown),
          TEST(whole_commits_are_known), TEST(submodules_keep_to_their_parents_way),
          TEST(every_way_has_a_name))
