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
#include "base/vec.h"
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
    int rc = registry_credential_find(NULL, host, repository, &c, &e);
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
    assert_int_equal(registry_credential_find(NULL, "b.example", "", &c, &e), 1);
    assert_string_equal(c.bearer.p, "bear");
    assert_null(c.password.p);
}

// --- helpers ----------------------------------------------------------------------------------

// A credential helper that keeps each server in a file of its own below $HOME/keys, as a keychain
// would, and writes down how it was called.
static void put_helper(void)
{
    put("bin/docker-credential-test",
        "#!/bin/sh\n"
        "keys=$HOME/keys; mkdir -p \"$keys\"; echo \"$0 $*\" >> \"$HOME/calls\"\n"
        "name() { printf %s \"$1\" | tr / _; }\n"
        "case $1 in\n"
        "get) read -r server; f=$keys/$(name \"$server\")\n"
        "  [ -f \"$f\" ] || { echo 'credentials not found in native keychain'; exit 1; }\n"
        "  cat \"$f\" ;;\n"
        "store) all=$(cat); server=${all#*ServerURL\\\":\\\"}; server=${server%%\\\"*}\n"
        "  printf %s \"$all\" > \"$keys/$(name \"$server\")\" ;;\n"
        "erase) read -r server; rm \"$keys/$(name \"$server\")\" ;;\n"
        "list) cat \"$HOME/list\" ;;\n"
        "esac\n");
    assert_int_equal(chmod("bin/docker-credential-test", 0700), 0);
}

static void put_script(const char *name, const char *body)
{
    own(free) char *path = str_fmt("bin/docker-credential-%s", name);
    own(free) char *text = str_fmt("#!/bin/sh\n%s\n", body);
    put(path, text);
    assert_int_equal(chmod(path, 0700), 0);
}

static struct registry_credential person(const char *user, const char *password)
{
    struct registry_credential c = {0};
    snprintf(c.user, sizeof c.user, "%s", user);
    c.password = (struct secret){str_dup(password), strlen(password)};
    return c;
}

static const char *contents(const char *path)
{
    static char text[65536];
    own(str) struct str s = {0};
    ASSERT_OK(fs_read_at(AT_FDCWD, path, sizeof text - 1, &s, &e));
    snprintf(text, sizeof text, "%s", str_z(&s));
    return text;
}

static char where[512];
static bool plain;

static int save(const char *host, const char *user, const char *password)
{
    own(registry_credential) struct registry_credential c = person(user, password);
    return registry_credential_save(NULL, host, &c, where, &plain, &e);
}

static void a_helper_keeps_what_the_file_would(void **state)
{
    (void)state;
    make_home();
    put_helper();
    put(CONFIG, "{\"credsStore\": \"test\", \"auths\": {\"old.example\": {\"auth\": \"dTpw\"}}}");
    assert_string_equal(look("r.example", ""), ""); // the helper has none, and that is no error
    assert_string_equal(look("old.example", ""), "u:p");
    ASSERT_OK(save("r.example", "me", "se\"cret\n\\"));
    assert_string_equal(where, "the credential helper 'docker-credential-test'");
    assert_false(plain);
    assert_string_equal(look("r.example", ""), "me:se\"cret\n\\");
    assert_non_null(strstr(contents(CONFIG), "\"r.example\": {}"));
    assert_null(strstr(contents(CONFIG), "auth\": \"bW"));
    assert_null(strstr(contents("home/calls"), "cret"));
    ASSERT_OK(save("docker.io", "hub", "word"));
    assert_string_equal(look("registry-1.docker.io", ""), "hub:word");
    assert_true(fs_exists(AT_FDCWD, "home/keys/https:__index.docker.io_v1_"));
    assert_int_equal(registry_credential_erase(NULL, "docker.io", &e), 1);
    assert_string_equal(look("docker.io", ""), "");
    assert_int_equal(registry_credential_erase(NULL, "r.example", &e), 1);
    assert_int_equal(registry_credential_erase(NULL, "r.example", &e), 0);
    assert_string_equal(look("r.example", ""), "");
    assert_null(strstr(contents(CONFIG), "r.example"));
    assert_string_equal(look("old.example", ""), "u:p");
}

static void a_helper_may_know_the_host_by_another_name(void **state)
{
    (void)state;
    make_home();
    put_helper();
    put(CONFIG, "{\"credsStore\": \"test\"}");
    put("home/list",
        "{\"https://r.example/v2/\": \"u\", \"r.example/team\": \"t\", \"x.example\": \"x\"}");
    ASSERT_OK(fs_mkdirs(AT_FDCWD, "home/keys", 0700, &e));
    put("home/keys/https:__r.example_v2_", "{\"Username\": \"u\", \"Secret\": \"1\"}");
    put("home/keys/r.example_team", "{\"Username\": \"t\", \"Secret\": \"2\"}");
    assert_string_equal(look("r.example", ""), "u:1");
    assert_string_equal(look("r.example", "team/x"), "t:2");
    assert_string_equal(look("y.example", ""), "");
    assert_int_equal(registry_credential_erase(NULL, "r.example", &e), 1);
    assert_string_equal(look("r.example", ""), "");
    assert_string_equal(look("r.example", "team/x"), "t:2");
    put("home/list", "[1]");
    assert_string_equal(look("r.example", "team/x"), ""); // a list is a help, not a need
    put_script("bad", "cat > /dev/null; echo '{\"Username\": \"u\", \"Secret\": \"p\"}'");
    put(CONFIG, "{\"credsStore\": \"bad\"}");
    ASSERT_FAILS(registry_credential_erase(NULL, "r.example", &e), "keeps what it is told to erase");
}

static void a_hosts_own_helper_comes_first(void **state)
{
    (void)state;
    make_home();
    put_script("one", "cat > /dev/null; echo '{\"Username\": \"one\", \"Secret\": \"1\"}'");
    put_script("all", "cat > /dev/null; echo '{\"Username\": \"all\", \"Secret\": \"2\"}'");
    put(CONFIG,
        "{\"credsStore\": \"all\", \"credHelpers\": {\"r.example\": \"one\", \"f.example\": \"\"},"
        "\"auths\": {\"r.example\": {\"auth\": \"dTpw\"}, \"f.example\": {\"auth\": \"Zjpw\"}}}");
    assert_string_equal(look("r.example", ""), "one:1");
    assert_string_equal(look("x.example", ""), "all:2");
    assert_string_equal(look("f.example", ""), "f:p"); // an empty name means the file
}

static void an_identity_token_comes_under_its_own_name(void **state)
{
    (void)state;
    make_home();
    put_helper();
    put(CONFIG, "{\"credHelpers\": {\"r.example\": \"test\"}}");
    own(registry_credential) struct registry_credential c = {0};
    c.identity = (struct secret){str_dup("tok"), 3};
    ASSERT_OK(registry_credential_save(NULL, "r.example", &c, where, &plain, &e));
    assert_non_null(strstr(contents("home/keys/r.example"), "\"Username\":\"<token>\""));
    assert_string_equal(look("r.example", ""), ":+tok");
    snprintf(c.user, sizeof c.user, "00");
    ASSERT_OK(registry_credential_save(NULL, "file.example", &c, where, &plain, &e));
    assert_true(plain);
    assert_string_equal(look("file.example", ""), "00:+tok");
}

static void a_helper_that_misbehaves_is_named_and_not_quoted(void **state)
{
    (void)state;
    static const struct {
        const char *body, *want;
    } rows[] = {
        {"echo 'keychain is locked'; exit 1",
         "'docker-credential-bad get' failed: keychain is locked"},
        {"exit 3", "it gave no message"},
        {"echo '{\"Secret\":\"s3cr3t\"}'; exit 1", "it gave no message"},
        {"echo '{\"Username\":\"u\",\"Secret\":\"s3cr3t'", "did not answer with JSON"},
        {"echo s3cr3t", "did not answer with JSON"},
        {"head -c 3000000 /dev/zero", "longer than"},
        {"kill -9 $$", "it gave no message"},
    };
    make_home();
    put(CONFIG, "{\"credsStore\": \"bad\"}");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        own(str) struct str said = {0};
        put_script("bad", rows[i].body);
        err_clear(&e);
        if (look("r.example", "")) fail_msg("'%s' was taken", rows[i].body);
        err_print(&e, &said);
        if (!strstr(str_z(&said), rows[i].want)) fail_msg("%s: %s", rows[i].body, str_z(&said));
        if (strstr(str_z(&said), "s3cr3t")) fail_msg("%s leaks: %s", rows[i].body, str_z(&said));
    }
    // More than a pipe holds, for one that never reads: it ends, and we with an answer.
    own(free) char *large = mem_alloc(60001);
    memset(large, '"', 60000);
    put_script("bad", "exec <&-; sleep 0.1; exit 0");
    ASSERT_OK(save("r.example", "u", large));
    // The legal twin: it answers without reading what it was asked, before and after.
    put_script("bad", "exec < /dev/null; echo '{\"Username\":\"u\",\"Secret\":\"p\"}'");
    assert_string_equal(look("r.example", ""), "u:p");
}

#define LONG_NAME "a23456789b23456789c23456789d23456789e23456789f23456789g23456789h2"

static void a_helpers_name_is_a_name(void **state)
{
    (void)state;
    static const char *const bad[] = {"../../x", "x/y", "/bin/sh", "..",          ".",      "-x",
                                      "x y",     "x;y", "\\n",     "test\\u0007", LONG_NAME};
    make_home();
    put_helper();
    put("x", "#!/bin/sh\ntouch ran\n");
    assert_int_equal(chmod("x", 0700), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        own(free) char *text = str_fmt("{\"credsStore\": \"%s\"}", bad[i]);
        put(CONFIG, text);
        err_clear(&e);
        if (look("r.example", "")) fail_msg("'%s' was taken", bad[i]);
        if (!strstr(err_cause(&e), "is not the name of a credential helper"))
            fail_msg("'%s': %s", bad[i], err_cause(&e));
        assert_false(fs_exists(AT_FDCWD, "ran"));
    }
    put(CONFIG, "{\"credsStore\": \"no-such\"}");
    ASSERT_FAILS(look("r.example", "") ? 0 : -1, "'docker-credential-no-such' is not in PATH");
}

// The working folder and folders that everybody may write are no places for programs.
static void a_helper_comes_from_a_trusted_folder_of_path(void **state)
{
    (void)state;
    make_home();
    put_script("test", "cat > /dev/null; echo '{\"Username\": \"good\", \"Secret\": \"1\"}'");
    ASSERT_OK(fs_mkdirs(AT_FDCWD, "open", 0700, &e));
    put("open/docker-credential-test", "#!/bin/sh\ntouch $HOME/ran\n");
    put("docker-credential-test", "#!/bin/sh\ntouch $HOME/ran\n");
    assert_int_equal(chmod("open/docker-credential-test", 0700), 0);
    assert_int_equal(chmod("docker-credential-test", 0700), 0);
    assert_int_equal(chmod("open", 01777), 0);
    own(free) char *path = str_fmt(":.:open:%s/open:%s/bin:/bin:/usr/bin", here, here);
    setenv("PATH", path, 1);
    put(CONFIG, "{\"credsStore\": \"test\"}");
    assert_string_equal(look("r.example", ""), "good:1");
    assert_false(fs_exists(AT_FDCWD, "home/ran"));
    assert_int_equal(chmod("bin/docker-credential-test", 0777), 0);
    ASSERT_FAILS(look("r.example", "") ? 0 : -1, "is not in PATH");
}

// --- saving -----------------------------------------------------------------------------------

static void saving_makes_the_file_and_keeps_what_is_not_ours(void **state)
{
    (void)state;
    struct stat st;
    make_home();
    assert_int_equal(rmdir("home/.docker"), 0);
    mode_t old = umask(0);
    ASSERT_OK(save("r.example:5000", "me", "pa:ss"));
    umask(old);
    assert_true(plain);
    assert_non_null(strstr(where, "/.docker/config.json'"));
    assert_int_equal(stat(CONFIG, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat("home/.docker", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_string_equal(look("r.example:5000", ""), "me:pa:ss");
    put(CONFIG, "{\"zeta\": [1, {\"x\": null}], \"auths\": {\"b.example\": {\"auth\": \"dTpw\"},"
                "\"a.example\": {\"auth\": \"dTpw\", \"x\": 1}}, \"alpha\": 1.5, \"HttpHeaders\": "
                "{\"U\": \"\\u00e9\"}}");
    assert_int_equal(chmod(CONFIG, 0644), 0);
    ASSERT_OK(save("b.example", "new", "word"));
    assert_int_equal(stat(CONFIG, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    const char *text = contents(CONFIG);
    const char *const order[] = {"\"zeta\"",        "null",          "\"auths\"", "\"b.example\"",
                                 "bmV3OndvcmQ=",    "\"a.example\"", "\"x\": 1",  "\"alpha\": 1.5",
                                 "\"HttpHeaders\"", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        text = strstr(text, order[i]);
        if (!text) fail_msg("'%s' is not in its place", order[i]);
    }
    assert_int_equal(registry_credential_erase(NULL, "b.example", &e), 1);
    assert_string_equal(look("a.example", ""), "u:p");
    assert_string_equal(look("b.example", ""), "");
    assert_int_equal(registry_credential_erase(NULL, "b.example", &e), 0);
}

static void a_new_login_wins_over_every_older_spelling(void **state)
{
    (void)state;
    make_home();
    put(CONFIG,
        "{\"auths\": {\"http://r.example/v2/\": {\"auth\": \"dTpw\"}, \"https://r.example\": "
        "{\"auth\": \"dTpw\"}, \"r.example/team\": {\"auth\": \"dDpw\"}}}");
    ASSERT_OK(save("r.example", "new", "1"));
    assert_string_equal(look("r.example", "x"), "new:1");
    assert_null(strstr(contents(CONFIG), "http://"));
    assert_string_equal(look("r.example", "team/x"), "t:p"); // a namespace's own stays
    put_auth(RUNTIME, "s.example", "old:1");
    ASSERT_OK(save("s.example", "new", "2"));
    assert_non_null(strstr(where, RUNTIME)); // where it will be looked for first
    assert_string_equal(look("s.example", ""), "new:2");
    ASSERT_OK(save("docker.io", "hub", "1"));
    assert_non_null(strstr(contents(CONFIG), "\"https://index.docker.io/v1/\""));
    put_auth(RUNTIME, "docker.io", "old:1");
    ASSERT_OK(save("docker.io", "hub", "2"));
    assert_string_equal(look("docker.io", ""), "hub:2");
    assert_int_equal(registry_credential_erase(NULL, "docker.io", &e), 1);
    assert_string_equal(look("docker.io", ""), ""); // out of both
}

static void logins_at_the_same_time_lose_nothing(void **state)
{
    (void)state;
    enum { MANY = 8 };
    pid_t pid[MANY];
    make_home();
    for (int i = 0; i < MANY; i++) {
        pid[i] = fork();
        if (pid[i] == 0) {
            bool fine = true;
            for (int k = 0; k < 4; k++) {
                own(free) char *host = str_fmt("r%d-%d.example", i, k);
                fine = fine && save(host, "u", "p") == 0;
            }
            _exit(fine ? 0 : 1);
        }
    }
    for (int i = 0; i < MANY; i++) {
        int status = 1;
        waitpid(pid[i], &status, 0);
        assert_int_equal(status, 0);
    }
    for (int i = 0; i < MANY * 4; i++) {
        own(free) char *host = str_fmt("r%d-%d.example", i / 4, i % 4);
        assert_string_equal(look(host, ""), "u:p");
    }
    own(strv) struct strv names = {0};
    ASSERT_OK(fs_list(AT_FDCWD, "home/.docker", &names, &e));
    assert_int_equal(names.n, 1); // no lock files, no temporaries
}

static void a_linked_file_stays_a_link(void **state)
{
    (void)state;
    struct stat st;
    make_home();
    ASSERT_OK(fs_mkdirs(AT_FDCWD, "dotfiles", 0700, &e));
    put("dotfiles/docker.json", "{\"x\": 1}");
    assert_int_equal(symlink("../../dotfiles/docker.json", CONFIG), 0);
    ASSERT_OK(save("r.example", "u", "p"));
    assert_int_equal(lstat(CONFIG, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_non_null(strstr(contents("dotfiles/docker.json"), "\"r.example\""));
    assert_string_equal(look("r.example", ""), "u:p");
    assert_int_equal(unlink("dotfiles/docker.json"), 0);
    assert_string_equal(look("r.example", ""), "");
    ASSERT_FAILS(save("r.example", "u", "p"), "is a symbolic link to nothing");
}

static void broken_files_are_named_and_left_alone(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"{\"auths\": {\"r.example\": {\"auth\": \"s3cr3t\" \"x\"}}}", "config.json:1:"},
        {"{\"auths\": {\"r.example\": {\"auth\": s3cr3t}}}", "config.json:1:"},
        {"{\"auths\": {\"r.example\": {\"auth\": \"s3cr3t", "config.json:1:"},
        {"[1]", "must be a JSON object"},
        {"{\"auths\": {}, \"auths\": {}}", "duplicate"},
        {"{\"auths\": {\"r.example\": {\"auth\": \"s3cr3t!\"}}}",
         "'r.example' in 'auths' is not base64"},
        {"{\"auths\": {\"r.example\": {\"auth\": \"czNjcjN0\"}}}", "has no colon"},
        {"{\"auths\": {\"r.example\": {\"auth\": \"dXNlcgo6cA==\"}}}", "no usable user name"},
    };
    make_home();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        own(str) struct str said = {0};
        put(CONFIG, rows[i].text);
        err_clear(&e);
        if (look("r.example", "")) fail_msg("'%s' was taken", rows[i].text);
        err_print(&e, &said);
        if (!strstr(str_z(&said), rows[i].want)) fail_msg("%s: %s", rows[i].text, str_z(&said));
        if (strstr(str_z(&said), "s3cr3t")) fail_msg("%s leaks: %s", rows[i].text, str_z(&said));
        if (i > 4) continue; // a bad entry can be replaced; a bad file cannot be understood
        assert_int_equal(save("r.example", "u", "p"), -1);
        assert_string_equal(contents(CONFIG), rows[i].text);
    }
    ASSERT_OK(save("r.example", "u", "p"));
    assert_string_equal(look("r.example", ""), "u:p");
    put(CONFIG, "{\"auths\": []}");
    assert_string_equal(look("r.example", ""), "");
    ASSERT_FAILS(save("r.example", "u", "p"), "'auths' must be a JSON object");
}

static void odd_files_do_not_hang_or_fill_memory(void **state)
{
    (void)state;
    make_home();
    assert_int_equal(mkfifo(CONFIG, 0600), 0);
    ASSERT_FAILS(look("r.example", "") ? 0 : -1, "is a fifo");
    ASSERT_FAILS(save("r.example", "u", "p"), "is a fifo");
    assert_int_equal(unlink(CONFIG), 0);
    ASSERT_OK(fs_mkdirs(AT_FDCWD, CONFIG, 0700, &e));
    ASSERT_FAILS(look("r.example", "") ? 0 : -1, "is a directory");
    assert_int_equal(rmdir(CONFIG), 0);
    put(CONFIG, "{}");
    assert_int_equal(truncate(CONFIG, (off_t)1 << 40), 0);
    ASSERT_FAILS(look("r.example", "") ? 0 : -1, "larger than the limit");
    setenv("REGISTRY_AUTH_FILE", "/dev/null", 1);
    assert_string_equal(look("r.example", ""), "");
    ASSERT_FAILS(save("r.example", "u", "p"), "is a character device");
    unsetenv("REGISTRY_AUTH_FILE");
    if (getuid() != 0) {
        put(CONFIG, "{}");
        assert_int_equal(chmod(CONFIG, 0), 0);
        err_clear(&e);
        assert_null(look("r.example", ""));
        assert_int_equal(e.sys, 13); // EACCES
        ASSERT_FAILS(-1, "config.json");
    }
}

static void hosts_and_users_that_are_no_names_are_refused(void **state)
{
    (void)state;
    static const char *const hosts[] = {"r.example\nx",
                                        "r.example\r\nAuthorization: x",
                                        "u:p@r.example",
                                        "u@r.example",
                                        "r.example/../x",
                                        "https://r.example",
                                        "",
                                        "r example"};
    make_home();
    put(CONFIG, "{\"auths\": {\"r.example\": {\"auth\": \"dTpw\"}}}");
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        ASSERT_FAILS(look(hosts[i], "") ? 0 : -1, "is not the name of a registry");
        ASSERT_FAILS(save(hosts[i], "u", "p"), "is not the name of a registry");
        ASSERT_FAILS(registry_credential_erase(NULL, hosts[i], &e), "is not the name of a registry");
    }
    ASSERT_FAILS(save("r.example", "a:b", "p"), "holds a colon");
    ASSERT_FAILS(save("r.example", "a\nb", "p"), "control character");
    ASSERT_FAILS(save("r.example", "", "p"), "user name is empty");
    ASSERT_FAILS(save("r.example", "u", "\xff"), "not UTF-8");
    assert_string_equal(look("r.example", ""), "u:p");
    unsetenv("HOME");
    ASSERT_FAILS(save("r.example", "u", "p"), "HOME is not set");
}

RUN_TESTS("credentials", TEST(base64_goes_both_ways_and_refuses_what_is_not_it),
          TEST(files_are_asked_in_their_order), TEST(every_spelling_of_a_key_is_known),
          TEST(the_most_specific_path_wins), TEST(tokens_come_apart_from_passwords),
          TEST(a_helper_keeps_what_the_file_would),
          TEST(a_helper_may_know_the_host_by_another_name), TEST(a_hosts_own_helper_comes_first),
          TEST(an_identity_token_comes_under_its_own_name),
          TEST(a_helper_that_misbehaves_is_named_and_not_quoted), TEST(a_helpers_name_is_a_name),
          TEST(a_helper_comes_from_a_trusted_folder_of_path),
          TEST(saving_makes_the_file_and_keeps_what_is_not_ours),
          TEST(a_new_login_wins_over_every_older_spelling),
          TEST(logins_at_the_same_time_lose_nothing), TEST(a_linked_file_stays_a_link),
          TEST(broken_files_are_named_and_left_alone), TEST(odd_files_do_not_hang_or_fill_memory),
          TEST(hosts_and_users_that_are_no_names_are_refused))
