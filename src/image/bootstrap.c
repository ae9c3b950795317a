// SPDX-License-Identifier: Apache-2.0
// `image bootstrap`: a Debian base image straight from a package mirror, made by mmdebstrap (run as a
// program, outside our user namespace, always with --mode=unshare so that root and users get the
// same tree).
//
// The image is a function of the suite's Release file, the variant and the included packages:
// - its time is the Release file's Date, nothing in it is newer, and mmdebstrap runs with that
//   SOURCE_DATE_EPOCH;
// - only the main archive is used (the updates and security archives are signed anew many times a day);
// - what tells the build machine apart is left out: host name, resolver, machine ids, logs, caches,
//   device nodes, apt settings of the run;
// - sources.list says what was asked for: --mirror or --snapshot as given, else deb.debian.org with
//   updates and security, never the mirror that this machine happens to use.
#include "image/import.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/own.h"
#include "base/proc.h"
#include "image/internal.h"
#include "store/tmp.h"

#define DEFAULT_MIRROR "http://deb.debian.org/debian"
#define SECURITY_MIRROR "http://deb.debian.org/debian-security"
#define SNAPSHOT_MIRROR "http://snapshot.debian.org/archive/debian/"
#define IMAGE_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define RELEASE_MAX ((size_t)4 << 20)
#define LOG_MAX ((size_t)8 << 20)

struct job {
    struct engine *en;
    const struct image_bootstrap_options *opt;
    struct oci_ref name;     // what to make: repository and suite
    struct oci_ref as;       // what to call it
    const char *variant;
    struct str mirror;       // where packages are read from
    struct str sources;      // the image's sources.list
    struct str include;      // "a,b"
    int64_t date;
    struct store_tmp tmp;
    struct proc proc;        // mmdebstrap
    int out_fd;
    int log_fd;
};

// --- options ------------------------------------------------------------------------------------

static bool only(const char *z, const char *allowed)
{
    return z[0] && strspn(z, allowed) == strlen(z);
}

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

static int check_variant(const char *v, struct err *e)
{
    static const char *const known[] = {"minbase", "apt", "essential", "required", "buildd",
                                        "important", "debootstrap", "standard"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(v, known[i]) == 0) return 0;
    }
    err_set(e, ERR_USAGE, "unknown variant '%s'", v);
    return err_hint(e, "known are minbase (the default), apt, essential, required, buildd, "
                       "important, debootstrap and standard");
}

static int check_url(const char *what, const char *url, struct err *e)
{
    bool known = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0 ||
                 strncmp(url, "file:/", 6) == 0;
    if (!known || strpbrk(url, " \t\r\n'\"\\[]")) {
        return err_set(e, ERR_USAGE, "the %s '%s' is not a http, https or file address", what, url);
    }
    if (strchr(url, '@')) {
        return err_set(e, ERR_USAGE, "the %s must not hold a user name or password", what);
    }
    return 0;
}

static int parse_names(struct job *j, struct err *e)
{
    if (!j->opt->name || oci_ref_parse(sv_of(j->opt->name), &j->name, e) < 0) return -1;
    if (strcmp(j->name.name, "library/debian") != 0 || !j->name.tag[0] ||
        oci_digest_is_set(&j->name.digest)) {
        err_set(e, ERR_USAGE, "cannot make '%s' from a package mirror", j->opt->name);
        return err_hint(e, "name a Debian suite, as in debian:bookworm");
    }
    if (!only(j->name.tag, LOWER DIGITS ".-")) {
        return err_set(e, ERR_USAGE, "'%s' is not the name of a Debian suite", j->name.tag);
    }
    j->as = j->name;
    if (j->opt->as && oci_ref_parse(sv_of(j->opt->as), &j->as, e) < 0) return -1;
    oci_ref_default_tag(&j->as);
    return 0;
}

static int parse_options(struct job *j, struct err *e)
{
    if (parse_names(j, e) < 0) return -1;
    j->variant = j->opt->variant ? j->opt->variant : "minbase";
    if (check_variant(j->variant, e) < 0) return -1;
    if (j->opt->mirror && check_url("mirror", j->opt->mirror, e) < 0) return -1;
    if (j->opt->snapshot && !only(j->opt->snapshot, DIGITS "TZ")) {
        err_set(e, ERR_USAGE, "the snapshot '%s' is not a time", j->opt->snapshot);
        return err_hint(e, "write it as snapshot.debian.org does: 20240101T000000Z");
    }
    for (size_t i = 0; j->opt->include && i < j->opt->include->n; i++) {
        const char *p = j->opt->include->p[i];
        if (!only(p, LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS ".+:~,-")) {
            return err_set(e, ERR_USAGE, "'%s' is not the name of a package", p);
        }
        str_addf(&j->include, "%s%s", j->include.n ? "," : "", p);
    }
    return 0;
}

// --- mirror -------------------------------------------------------------------------------------

// The address in one line of a host's apt sources ("deb [options] URI suite main"), else empty.
static struct sv line_uri(struct sv line, const char *suite)
{
    line = sv_trim(line);
    if (!sv_starts(line, "deb ") && !sv_starts(line, "deb\t")) return (struct sv){0};
    struct sv rest = sv_trim(sv_from(line, 4));
    if (rest.n && rest.p[0] == '[') {
        long close = sv_find(rest, ']');
        if (close < 0) return (struct sv){0};
        rest = sv_trim(sv_from(rest, (size_t)close + 1));
    }
    struct sv uri = sv_cut(&rest, ' ');
    if (!rest.p) return (struct sv){0};
    rest = sv_trim(rest);
    return sv_eqz(sv_cut(&rest, ' '), suite) ? uri : (struct sv){0};
}

static bool has_word(struct sv text, const char *word)
{
    while (text.p) {
        if (sv_eqz(sv_trim(sv_cut(&text, ' ')), word)) return true;
    }
    return false;
}

// The first address of a "Types: deb" block (deb822 form) that has the suite.
static struct sv block_uri(struct sv block, const char *suite)
{
    struct sv uri = {0};
    bool types = false;
    bool suites = false;
    while (block.p) {
        struct sv line = sv_cut(&block, '\n');
        if (sv_starts(line, "Types:")) types = has_word(sv_from(line, 6), "deb");
        if (sv_starts(line, "Suites:")) suites = has_word(sv_from(line, 7), suite);
        if (sv_starts(line, "URIs:")) uri = sv_trim(sv_from(line, 5));
        if (sv_starts(line, "Enabled: no")) return (struct sv){0};
    }
    if (!types || !suites) return (struct sv){0};
    return sv_cut(&uri, ' ');
}

static bool find_in_file(const char *path, const char *suite, struct str *out)
{
    struct err e = {0};
    own(str) struct str text = {0};
    if (fs_read_at(AT_FDCWD, path, (size_t)1 << 20, &text, &e) < 0) return false;
    struct sv rest = str_sv(&text);
    struct sv uri = {0};
    if (sv_ends(sv_of(path), ".sources")) {
        while (uri.n == 0 && rest.p) {
            const char *gap = rest.n ? memmem(rest.p, rest.n, "\n\n", 2) : NULL;
            size_t n = gap ? (size_t)(gap - rest.p) : rest.n;
            uri = block_uri(sv_part(rest, 0, n), suite);
            rest = gap ? sv_from(rest, n + 2) : (struct sv){0};
        }
    } else {
        while (uri.n == 0 && rest.p) uri = line_uri(sv_cut(&rest, '\n'), suite);
    }
    if (uri.n == 0) return false;
    own(free) char *z = sv_dup(uri);
    if (check_url("mirror", z, &e) < 0) return false;
    str_add(out, uri);
    return true;
}

// Where this machine gets the same suite from: often a mirror nearby, or the only one it can reach.
static void host_mirror(const char *suite, struct str *out)
{
    struct err e = {0};
    own(strv) struct strv files = {0};
    if (find_in_file("/etc/apt/sources.list", suite, out)) return;
    if (fs_list(AT_FDCWD, "/etc/apt/sources.list.d", &files, &e) == 0) {
        for (size_t i = 0; i < files.n; i++) {
            own(free) char *path = str_fmt("/etc/apt/sources.list.d/%s", files.p[i]);
            if (find_in_file(path, suite, out)) return;
        }
    }
    str_addz(out, DEFAULT_MIRROR);
}

// Suites that have updates and security archives under today's names.
static bool has_security(const char *suite)
{
    static const char *const suites[] = {"bullseye", "bookworm", "trixie", "forky",
                                         "stable",   "oldstable", "oldoldstable"};
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        if (strcmp(suite, suites[i]) == 0) return true;
    }
    return false;
}

static void plan_sources(struct job *j)
{
    const char *suite = j->name.tag;
    if (j->opt->snapshot) {
        const char *base = j->opt->mirror ? j->opt->mirror : SNAPSHOT_MIRROR;
        const char *slash = base[strlen(base) - 1] == '/' ? "" : "/";
        str_addf(&j->mirror, "%s%s%s/", base, slash, j->opt->snapshot);
        str_addf(&j->sources, "deb [check-valid-until=no] %s %s main\n", str_z(&j->mirror), suite);
        return;
    }
    if (j->opt->mirror) {
        str_addz(&j->mirror, j->opt->mirror);
        str_addf(&j->sources, "deb %s %s main\n", j->opt->mirror, suite);
        return;
    }
    host_mirror(suite, &j->mirror);
    str_addf(&j->sources, "deb " DEFAULT_MIRROR " %s main\n", suite);
    if (!has_security(suite)) return;
    str_addf(&j->sources, "deb " DEFAULT_MIRROR " %s-updates main\n", suite);
    str_addf(&j->sources, "deb " SECURITY_MIRROR " %s-security main\n", suite);
}

// --- the Release file's date --------------------------------------------------------------------

// "Sat, 11 Jul 2026 10:16:37 UTC"
static bool parse_date(struct sv text, int64_t *out)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm = {0};
    char month[4] = "";
    char buf[64] = "";
    text = sv_trim(text);
    if (text.n >= sizeof buf) return false;
    memcpy(buf, text.p, text.n);
    if (sscanf(buf, "%*3s, %2d %3s %4d %2d:%2d:%2d", &tm.tm_mday, month, &tm.tm_year, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec) != 6) {
        return false;
    }
    const char *at = strlen(month) == 3 ? strstr(months, month) : NULL;
    if (!at || (at - months) % 3 != 0 || tm.tm_year < 1990) return false;
    tm.tm_mon = (int)(at - months) / 3;
    tm.tm_year -= 1900;
    *out = timegm(&tm);
    return true;
}

static int release_date(struct sv text, int64_t *out, struct err *e)
{
    while (text.p) {
        struct sv line = sv_cut(&text, '\n');
        if (sv_starts(line, "Date:") && parse_date(sv_from(line, 5), out)) return 0;
    }
    return err_set(e, ERR_INPUT, "the suite's Release file has no date");
}

// The programs of the run see the proxy settings of the caller, since they download; nothing of
// them gets into the image.
static void add_proxies(struct strv *env)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "no_proxy", "all_proxy",
                                        "TMPDIR"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *z = getenv(names[i]);
        if (z) strv_take(env, str_fmt("%s=%s", names[i], z));
    }
}

static void fixed_env(const struct job *j, struct strv *env)
{
    strv_add(env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin");
    strv_add(env, "LANG=C.UTF-8");
    strv_add(env, "LC_ALL=C.UTF-8");
    strv_add(env, "TZ=UTC");
    strv_add(env, "HOME=/root");
    strv_add(env, "DEBIAN_FRONTEND=noninteractive");
    if (j->date) strv_take(env, str_fmt("SOURCE_DATE_EPOCH=%jd", (intmax_t)j->date));
    add_proxies(env);
}

static const char *const *argv_of(struct strv *v)
{
    vec_push(v, NULL);
    v->n--;
    return (const char *const *)v->p;
}

// The last lines of the log, for the error.
static void last_lines(int fd, struct str *out)
{
    struct err e = {0};
    own(str) struct str text = {0};
    if (lseek(fd, 0, SEEK_SET) < 0 || fs_read_fd(fd, LOG_MAX, &text, &e) < 0) return;
    struct sv t = sv_trim(str_sv(&text));
    size_t start = t.n;
    for (int lines = 0; start > 0; start--) {
        if (t.p[start - 1] == '\n' && ++lines == 4) break;
    }
    struct sv tail = sv_from(t, start);
    if (tail.n > 500) tail = sv_from(tail, tail.n - 500);
    str_add(out, tail);
}

static int fetch_release(struct job *j, struct str *out, struct err *e)
{
    own(str) struct str folder = {0};
    own(strv) struct strv env = {0};
    own(strv) struct strv argv = {0};
    if (fs_fd_path(j->tmp.fd, &folder) < 0) return err_sys(e, "find the temporary folder");
    fixed_env(j, &env);
    strv_add(&argv, "/usr/lib/apt/apt-helper");
    strv_add(&argv, "-oAPT::Sandbox::User=");
    strv_add(&argv, "-oDir::Log=/nonexistent");
    strv_add(&argv, "download-file");
    const char *slash = sv_ends(str_sv(&j->mirror), "/") ? "" : "/";
    strv_take(&argv, str_fmt("%s%sdists/%s/InRelease", str_z(&j->mirror), slash, j->name.tag));
    strv_take(&argv, str_fmt("%s/InRelease", str_z(&folder)));
    const struct proc_spec spec = {.argv = argv_of(&argv), .env = argv_of(&env),
                                   .stdin_fd = PROC_NULL, .stdout_fd = j->log_fd,
                                   .stderr_fd = j->log_fd};
    if (proc_run(&spec, "apt-helper", e) < 0) {
        own(str) struct str tail = {0};
        last_lines(j->log_fd, &tail);
        err_set(e, ERR_INPUT, "cannot read the Release file of '%s' from '%s': %s", j->name.tag,
                str_z(&j->mirror), str_z(&tail));
        return err_hint(e, "check the suite's name and that the mirror answers (--mirror URL)");
    }
    if (fs_read_at(j->tmp.fd, "InRelease", RELEASE_MAX, out, e) < 0) return -1;
    unlinkat(j->tmp.fd, "InRelease", 0);
    return 0;
}

// --- mmdebstrap ---------------------------------------------------------------------------------

static int check_tools(const struct job *j, struct err *e)
{
    static const char *const tools[] = {"/usr/bin/mmdebstrap", "/usr/lib/apt/apt-helper"};
    static const char *const packages[] = {"mmdebstrap", "apt"};
    for (size_t i = 0; i < 2; i++) {
        if (access(tools[i], X_OK) == 0) continue;
        err_set(e, ERR_UNSUPPORTED, "making a Debian base image needs '%s'", tools[i]);
        return err_hint(e, "install it: apt-get install %s", packages[i]);
    }
    if (j->en->ids.mode != IDMAP_SINGLE) return 0;
    err_set(e, ERR_UNSUPPORTED, "making a Debian base image needs a range of user ids");
    return err_hint(e, "ask for one: usermod --add-subuids 100000-165535 --add-subgids "
                       "100000-165535 USER; or import a root file system made elsewhere");
}

static int start_mmdebstrap(struct job *j, struct err *e)
{
    int ends[2];
    own(strv) struct strv env = {0};
    own(strv) struct strv argv = {0};
    if (pipe2(ends, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    own(fd) int rd = ends[0];
    own(fd) int wr = ends[1];
    fixed_env(j, &env);
    strv_add(&argv, "/usr/bin/mmdebstrap");
    strv_add(&argv, "--mode=unshare");
    strv_add(&argv, "--format=tar");
    strv_take(&argv, str_fmt("--variant=%s", j->variant));
    if (j->include.n) strv_take(&argv, str_fmt("--include=%s", str_z(&j->include)));
    if (j->opt->snapshot) strv_add(&argv, "--aptopt=Acquire::Check-Valid-Until \"false\"");
    strv_add(&argv, j->name.tag);
    strv_add(&argv, "-");
    strv_take(&argv, str_fmt("deb %s %s main", str_z(&j->mirror), j->name.tag));
    const struct proc_spec spec = {.argv = argv_of(&argv), .env = argv_of(&env),
                                   .stdin_fd = PROC_NULL, .stdout_fd = wr, .stderr_fd = j->log_fd};
    if (proc_start(&spec, &j->proc, e) < 0) return err_wrap(e, "starting mmdebstrap");
    j->out_fd = take_fd(rd);
    return 0;
}

static int finished(void *arg, struct err *e)
{
    struct job *j = arg;
    int status = 0;
    // Were the archive refused early, mmdebstrap would wait for a reader.
    close(take_fd(j->out_fd));
    if (proc_wait(&j->proc, &status, e) < 0) return -1;
    if (proc_exit_code(status) == 128 + SIGPIPE) return 0;
    if (proc_exit_code(status) != 0) {
        own(str) struct str tail = {0};
        last_lines(j->log_fd, &tail);
        return err_set(e, ERR_INPUT, "mmdebstrap failed with status %d: %s", proc_exit_code(status),
                       str_z(&tail));
    }
    return 0;
}

// --- what gets into the image -------------------------------------------------------------------

static const char *const dropped[] = {
    "dev/*",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/apt/apt.conf.d/99mmdebstrap",
    "var/lib/dbus/machine-id",
    "var/cache/ldconfig/aux-cache",
    "var/cache/apt/pkgcache.bin",
    "var/cache/apt/srcpkgcache.bin",
    "var/log/alternatives.log",
    "var/log/bootstrap.log",
    "var/log/dpkg.log",
    "var/log/apt/*",
    "var/cache/man/*",
};

static bool in_list(const char *name, const char *pattern)
{
    size_t n = strlen(pattern);
    if (pattern[n - 1] != '*') return strcmp(name, pattern) == 0;
    return strncmp(name, pattern, n - 1) == 0 && name[n - 1] != '\0';
}

static enum image_rootfs_edit edit(void *arg, struct codec_tar_entry *t, struct str *content)
{
    struct job *j = arg;
    while (t->name[0] == '.' && t->name[1] == '/' && t->name[2]) t->name += 2;
    for (size_t i = 0; i < sizeof dropped / sizeof *dropped; i++) {
        if (in_list(t->name, dropped[i])) return IMAGE_ROOTFS_DROP;
    }
    if (t->link && t->type == CODEC_TAR_HARDLINK && strncmp(t->link, "./", 2) == 0) t->link += 2;
    if (t->mtime > j->date) t->mtime = j->date;
    t->mtime_ns = 0;
    if (t->type != CODEC_TAR_FILE) return IMAGE_ROOTFS_KEEP;
    if (strcmp(t->name, "etc/machine-id") == 0) return IMAGE_ROOTFS_REPLACE;
    if (strcmp(t->name, "etc/apt/sources.list") != 0) return IMAGE_ROOTFS_KEEP;
    str_add(content, str_sv(&j->sources));
    return IMAGE_ROOTFS_REPLACE;
}

static int make_image(struct job *j, struct store_ref *out, struct err *e)
{
    own(oci_image) struct oci_image im = {0};
    own(str) struct str by = {0};
    oci_image_init(&im);
    strv_add(&im.env, IMAGE_PATH);
    strv_add(&im.cmd, "bash");
    im.has_cmd = true;
    str_addf(&by, "image bootstrap debian:%s --variant %s", j->name.tag, j->variant);
    if (j->include.n) str_addf(&by, " --include %s", str_z(&j->include));
    struct image_rootfs rootfs = {.src = codec_source_fd(&j->out_fd), .edit = edit, .arg = j};
    struct image_single single = {.rootfs = &rootfs, .image = &im, .created = j->date,
                                  .ref = &j->as, .created_by = str_z(&by), .ready = finished,
                                  .ready_arg = j};
    return image_rootfs_put(j->en, &single, out, e);
}

static int run(struct job *j, struct store_ref *out, struct err *e)
{
    own(str) struct str release = {0};
    plan_sources(j);
    if (store_tmp_open(j->en, &j->tmp, e) < 0) return -1;
    j->log_fd = fs_openat(j->tmp.fd, "log", O_RDWR | O_CREAT | O_APPEND, 0600, e);
    if (j->log_fd < 0) return -1;
    if (fetch_release(j, &release, e) < 0) return -1;
    if (release_date(str_sv(&release), &j->date, e) < 0) return -1;
    own(str) struct str date = {0};
    clock_print(j->date, &date);
    event_info(&j->en->sink, "making debian:%s of %s with mmdebstrap (half a minute or so)",
               j->name.tag, str_z(&date));
    // Before the namespace is entered: it makes one of its own, with the caller's rights.
    if (start_mmdebstrap(j, e) < 0 || engine_enter(j->en, e) < 0) return -1;
    return make_image(j, out, e);
}

int image_bootstrap(struct engine *en, const struct image_bootstrap_options *opt,
                    struct store_ref *out, struct err *e)
{
    struct job j = {.en = en, .opt = opt, .tmp = STORE_TMP_NONE, .proc = PROC_NONE, .out_fd = -1,
                    .log_fd = -1};
    int rc = parse_options(&j, e);
    if (rc == 0) rc = check_tools(&j, e);
    if (rc == 0) rc = run(&j, out, e);
    if (j.out_fd >= 0) close(j.out_fd);
    if (j.proc.pid > 0 && j.proc.fd >= 0) {
        int status = 0;
        struct err late = {0};
        proc_kill(&j.proc, SIGTERM);  // it removes its own temporary folder
        (void)proc_wait(&j.proc, &status, &late);
    }
    if (j.log_fd >= 0) close(j.log_fd);
    if (j.tmp.fd >= 0) store_tmp_close(en, &j.tmp);
    str_fini(&j.mirror);
    str_fini(&j.sources);
    str_fini(&j.include);
    return rc < 0 ? err_wrap(e, "making '%s'", opt->name ? opt->name : "") : 0;
}
