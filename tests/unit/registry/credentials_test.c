// SPDX-License-Identifier: Apache-2.0
// Which file and which key answers for a host, and what saving leaves in the file. Each test has a
// home of its own.
#include "harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"
#include "base/str.h"
#include "codec/base64.h"
#include "registry/credentials.h"

static struct err e;
static char here[4096];

// A home in the test's own folder; nothing of the caller's is read.
static void make_home(void)
{
    err_clear(&e);
    assert_non_null(getcwd(here, sizeof here - 64));
    ASSERT_OK(fs_mkdirs(AT_FDCWD, "home/.docker", 0700, &e));
    ASSERT_OK(fs_mkdirs(AT_FDCWD, "home/.config/containers", 0700, &e));
    ASSERT_OK(fs_mkdirs(AT_FDCWD, "run/containers", 0700, &e));
    ASSERT_OK(fs_mkdirs(AT_FDCWD, "bin", 0700, &e));
    own(free) char *home = str_fmt("%s/home", here);
    own(free) char *run = str_fmt("%s/run", here);
    own(free) char *path = str_fmt("%s/bin:/usr/bin:/bin", here);
    setenv("HOME", home, 1);
    setenv("XDG_RUNTIME_DIR", run, 1);
    setenv("PATH", path, 1);
    unsetenv("DOCKER_CONFIG");
    unsetenv("REGISTRY_AUTH_FILE");
    unsetenv("XDG_CONFIG_HOME");
}

#define CONFIG "home/.docker/config.json"
#define RUNTIME "run/containers/auth.json"
#define PERSONAL "home/.config/containers/auth.json"

static void put(const char *path, const char *text)
{
    ASSERT_OK(fs_replace(AT_FDCWD, path, sv_of(text), 0600, &e));
}

// {"auths": {KEY: user:password}}
static void put_auth(const char *path, const char *key, const char *plain)
{
    own(str) struct str b = {0};
    codec_base64_encode(sv_of(plain), &b);
    own(free) char *text = str_fmt("{\"auths\": {\"%s\": {\"auth\": \"%s\"}}}", key, str_z(&b));
    put(path, text);
}

// "user:password" of what is found, "" when there is none
static const char *look(const char *host, const char *repository)
{
    static char said[1024];
    own(registry_credential) struct registry_credential c = {0};
    int rc = registry_credential_find(host, repository, &c, &e);
    if (rc < 0) return NULL;
    if (rc == 0) return "";
    snprintf(said, sizeof said, "%s:%s%s%s", c.user, c.password.p ? c.password.p : "",
             c.identity.p ? "+" : "", c.identity.p ? c.identity.p : "");
    return said;
}

static void base64_goes_both_ways_and_refuses_what_is_not_it(void **state)
{
    (void)state;
    static const char *const plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
    static const char *const coded[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                        "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    for (size_t i = 0; i < 7; i++) {
        own(str) struct str a = {0}, b = {0};
        codec_base64_encode(sv_of(plain[i]), &a);
        assert_string_equal(str_z(&a), coded[i]);
        assert_true(codec_base64_decode(sv_of(coded[i]), &b));
        assert_string_equal(str_z(&b), plain[i]);
    }
    static const char *const bad[] = {
        "Z", "Zg=", "Zh==", "Zm9v=", "Zg==Zg==", "Z m8=", "Zg===", "-_8="};
    for (size_t i = 0; i < 8; i++) {
        own(str) struct str b = {0};
        if (codec_base64_decode(sv_of(bad[i]), &b)) fail_msg("'%s' was taken", bad[i]);
    }
    own(str) struct str lines = {0};
    assert_true(codec_base64_decode(sv_of("Zm9v\r\nYmFy\n"), &lines));
    assert_string_equal(str_z(&lines), "foobar");
}

static void files_are_asked_in_their_order(void **state)
{
    (void)state;
    make_home();
    assert_string_equal(look("r.example:5000", ""), "");
    put_auth(CONFIG, "r.example:5000", "docker:1");
    assert_string_equal(look("r.example:5000", ""), "docker:1");
    put_auth(PERSONAL, "r.example:5000", "personal:2");
    assert_string_equal(look("r.example:5000", ""), "personal:2");
    put_auth(RUNTIME, "r.example:5000", "runtime:3");
    assert_string_equal(look("r.example:5000", ""), "runtime:3");
    put_auth("named.json", "r.example:5000", "named:4:5");
    setenv("REGISTRY_AUTH_FILE", "named.json", 1);
    assert_string_equal(look("r.example:5000", ""), "named:4:5");
    assert_string_equal(look("other.example", ""), ""); // a named file is the only one
    unsetenv("REGISTRY_AUTH_FILE");
    put(RUNTIME, "");
    put(PERSONAL, "{}");
    ASSERT_OK(fs_mkdirs(AT_FDCWD, "elsewhere", 0700, &e));
    put_auth("elsewhere/config.json", "r.example:5000", "else:6");
    setenv("DOCKER_CONFIG", "elsewhere", 1);
    assert_string_equal(look("r.example:5000", ""), "else:6");
}

static void every_spelling_of_a_key_is_known(void **state)
{
    (void)state;
    static const struct {
        const char *key, *host;
        bool found;
    } rows[] = {
        {"https://index.docker.io/v1/", "docker.io", true},
        {"docker.io", "docker.io", true},
        {"index.docker.io", "docker.io", true},
        {"https://registry-1.docker.io/v2/", "docker.io", true},
        {"registry-1.docker.io", "registry-1.docker.io", true},
        {"https://index.docker.io/v1/", "registry-1.docker.io", true},
        {"https://r.example:5000", "r.example:5000", true},
        {"http://r.example:5000/v2/", "r.example:5000", true},
        {"r.example:5000/v1/", "r.example:5000", true},
        {"R.Example:5000", "r.example:5000", true},
        {"r.example:5000/", "r.example:5000", true},
        {"r.example", "r.example:5000", false},
        {"r.example:5000", "r.example", false},
        {"xr.example:5000", "r.example:5000", false},
        {"https://r.example:5000@evil.example", "r.example:5000", false},
        {"r.example:5000/team", "r.example:5000", false},
        {"ftp://r.example:5000", "r.example:5000", false},
    };
    make_home();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put_auth(CONFIG, rows[i].key, "u:p");
        const char *got = look(rows[i].host, "library/debian");
        if (!got || strcmp(got, rows[i].found ? "u:p" : "") != 0)
            fail_msg("key '%s' for '%s': '%s'", rows[i].key, rows[i].host, got ? got : "error");
    }
}

static void the_most_specific_path_wins(void **state)
{
    (void)state;
    make_home();
    put(CONFIG, "{\"auths\": {"
                "\"r.example\": {\"auth\": \"aG9zdDpw\"},"
                "\"r.example/team/app\": {\"auth\": \"YXBwOnA=\"},"
                "\"https://r.example\": {\"auth\": \"dXJsOnA=\"},"
                "\"r.example/team\": {\"auth\": \"dGVhbTpw\"}}}");
    assert_string_equal(look("r.example", "team/app"), "app:p");
    assert_string_equal(look("r.example", "team/app/sub"), "app:p");
    assert_string_equal(look("r.example", "team/apple"), "team:p");
    assert_string_equal(look("r.example", "teams/app"), "host:p");
    assert_string_equal(look("r.example", ""), "host:p");
}

static void tokens_come_apart_from_passwords(void **state)
{
    (void)state;
    make_home();
    put(CONFIG, "{\"auths\": {"
                "\"a.example\": {\"auth\": \"MDAwOg==\", \"identitytoken\": \"idt\"},"
                "\"b.example\": {\"registrytoken\": \"bear\"},"
                "\"c.example\": {\"username\": \"u\", \"password\": \"p\"},"
                "\"d.example\": {}}}");
    assert_string_equal(look("a.example", ""), "000:+idt");
    assert_string_equal(look("c.example", ""), "u:p");
    assert_string_equal(look("d.example", ""), "");
    own(registry_credential) struct registry_credential c = {0};
    assert_int_equal(registry_credential_find("b.example", "", &c, &e), 1);
    assert_string_equal(c.bearer.p, "bear");
    assert_null(c.password.p);
}

RUN_TESTS("credentials", TEST(base64_goes_both_ways_and_refuses_what_is_not_it),
          TEST(files_are_asked_in_their_order), TEST(every_spelling_of_a_key_is_known),
          TEST(the_most_specific_path_wins), TEST(tokens_come_apart_from_passwords))
