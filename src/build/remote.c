// SPDX-License-Identifier: Apache-2.0
// Reading names of remote sources. See build/remote.h.
#include "build/remote.h"

#include <stdlib.h>

#include "base/num.h"
#include "base/own.h"
#include "build/path.h"

static const struct {
    const char *name, *prefix;
} ways[BUILD_REMOTE_WAY_COUNT] = {
    [BUILD_REMOTE_HTTPS] = {"https", "https://"}, [BUILD_REMOTE_HTTP] = {"http", "http://"},
    [BUILD_REMOTE_GITD] = {"git", "git://"},      [BUILD_REMOTE_SSH] = {"ssh", "ssh://"},
    [BUILD_REMOTE_FILE] = {"file", "file://"},
};

const char *build_remote_way_name(enum build_remote_way w)
{
    return ways[w].name;
}

void build_remote_fini(struct build_remote *r)
{
    free(r->url);
    free(r->shown);
    free(r->host);
    secret_fini(&r->login);
    free(r->ref);
    free(r->subdir);
    free(r->commit);
    free(r->name);
    memset(r, 0, sizeof *r);
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_hex(char c, bool upper)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (upper && c >= 'A' && c <= 'F');
}

bool build_remote_is_commit(const char *ref)
{
    size_t n = ref ? strlen(ref) : 0;
    for (size_t i = 0; i < n; i++)
        if (!is_hex(ref[i], false)) return false;
    return n == 40 || n == 64;
}

bool build_remote_ref_ok(struct sv ref)
{
    static const char *const bad[] = {"..", "@{", "//", "/.", ".lock/"};
    own(free) char *z = sv_dup(ref);
    if (ref.n == 0 || ref.n > 1024 || strlen(z) != ref.n || strchr("-./", z[0])) return false;
    if (strchr("./", z[ref.n - 1]) || sv_ends(ref, ".lock") || strcmp(z, "@") == 0) return false;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (strstr(z, bad[i])) return false;
    for (size_t i = 0; i < ref.n; i++)
        if ((unsigned char)z[i] <= 0x20 || z[i] == 0x7f || strchr("~^:?*[\\", z[i])) return false;
    return true;
}

// --- pieces -------------------------------------------------------------------------------------
static int digit(char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

// %41 to A. False for a broken escape and for a NUL.
static bool decode(struct sv in, struct str *out)
{
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (c == '%') {
            if (i + 2 >= in.n || !is_hex(in.p[i + 1], true) || !is_hex(in.p[i + 2], true))
                return false;
            c = (char)(digit(in.p[i + 1]) << 4 | digit(in.p[i + 2]));
            i += 2;
        }
        if (c == '\0') return false;
        str_addc(out, c);
    }
    return true;
}

static int refuse(struct err *e, struct sv shown, const char *why)
{
    return err_set(e, ERR_INPUT, "'%.*s' %s", (int)(shown.n > 300 ? 300 : shown.n), shown.p, why);
}

// "host", "host:port", "[::1]:port"; a name never begins like an option.
static bool host_ok(struct sv host)
{
    uint64_t port;
    struct sv name = host, rest = host;
    if (host.n && host.p[0] == '[') {
        long end = sv_find(host, ']');
        if (end < 2) return false;
        for (long i = 1; i < end; i++)
            if (!is_hex(host.p[i], true) && !strchr(":.", host.p[i])) return false;
        rest = sv_from(host, (size_t)end + 1);
        if (rest.n && rest.p[0] != ':') return false;
        return rest.n == 0 || num_u64_max(sv_from(rest, 1), 65535, &port);
    }
    name = sv_cut(&rest, ':');
    if (rest.p && !num_u64_max(rest, 65535, &port)) return false;
    if (name.n == 0 || name.n > 253 || !is_word(name.p[0])) return false;
    for (size_t i = 0; i < name.n; i++)
        if (!is_word(name.p[i]) && !strchr("-._", name.p[i])) return false;
    return true;
}

// Everything that goes on to a program or a server is plain ASCII without blanks.
static bool plain(struct sv text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] <= 0x20 || (unsigned char)text.p[i] >= 0x7f ||
            text.p[i] == '\\')
            return false;
    return true;
}

static int set_ref(struct build_remote *r, struct sv ref, struct sv shown, struct err *e)
{
    if (ref.n == 0) return 0;
    if (!build_remote_ref_ok(ref)) {
        err_set(e, ERR_INPUT, "'%.*s' is no branch, tag or commit of git", (int)ref.n, ref.p);
        return err_hint(e, "the form is URL#REF:FOLDER, in '%.*s'",
                        (int)(shown.n > 100 ? 100 : shown.n), shown.p);
    }
    r->ref = sv_dup(ref);
    return 0;
}

// Which folder is opened later, beneath the checked-out tree; here only the text is made clean.
static int set_subdir(struct build_remote *r, struct sv subdir, struct err *e)
{
    if (subdir.n == 0) return 0;
    own(free) char *z = sv_dup(subdir);
    if (strlen(z) != subdir.n || subdir.n > BUILD_REMOTE_MAX)
        return err_set(e, ERR_INPUT, "the folder behind '#' is no path");
    struct sv rest = subdir;
    while (rest.p)
        if (sv_eqz(sv_cut(&rest, '/'), ".."))
            return err_set(e, ERR_INPUT, "the folder '%s' leaves the repository with '..'", z);
    own(free) char *clean = build_path_clean(subdir);
    const char *p = clean;
    while (*p == '/') p++;
    if (*p && strcmp(p, ".") != 0) r->subdir = str_dup(p);
    return 0;
}

// ?branch=main&subdir=x: the newer way to say what is behind '#'.
static int set_query(struct build_remote *r, struct sv query, struct sv shown, struct err *e)
{
    while (query.p) {
        struct sv value = sv_cut(&query, '&'), key = sv_cut(&value, '=');
        own(str) struct str text = {.max = BUILD_REMOTE_MAX};
        if (key.n == 0 && !value.p) continue;
        if (!value.p || !decode(value, &text)) return refuse(e, shown, "has a broken '?' part");
        struct sv v = str_sv(&text);
        bool names_ref = sv_eqz(key, "ref") || sv_eqz(key, "branch") || sv_eqz(key, "tag");
        if (names_ref && r->ref) return refuse(e, shown, "names two refs");
        if (names_ref) {
            own(str) struct str full = {0};
            const char *folder = sv_eqz(key, "branch") ? "refs/heads/"
                                 : sv_eqz(key, "tag")  ? "refs/tags/"
                                                       : "";
            str_addf(&full, "%s%s", folder, str_z(&text));
            if (set_ref(r, str_sv(&full), shown, e) < 0) return -1;
        } else if (sv_eqz(key, "subdir")) {
            if (r->subdir) return refuse(e, shown, "names two folders");
            if (set_subdir(r, v, e) < 0) return -1;
        } else if (sv_eqz(key, "commit") || sv_eqz(key, "checksum")) {
            free(r->commit);
            r->commit = sv_dup(v);
        } else if (sv_eqz(key, "keep-git-dir")) {
            r->keep_git_dir = sv_eqz(v, "true") || sv_eqz(v, "1");
        } else {
            err_set(e, ERR_INPUT, "'%.*s' is no part of a git address", (int)key.n, key.p);
            return err_hint(e,
                            "known are ref, branch, tag, commit, checksum, subdir, keep-git-dir");
        }
    }
    for (const char *p = r->commit; p && *p; p++)
        if (!is_hex(*p, false)) return refuse(e, shown, "asks for a commit that is no commit id");
    return 0;
}

// --- the forms ----------------------------------------------------------------------------------
static int read_fragment(struct build_remote *r, struct sv fragment, struct sv shown, struct err *e)
{
    struct sv subdir = fragment, ref;
    if (!fragment.p) return 0;
    ref = sv_cut(&subdir, ':');
    if (r->ref && ref.n) return refuse(e, shown, "names two refs");
    if (r->subdir && subdir.n) return refuse(e, shown, "names two folders");
    if (set_ref(r, ref, shown, e) < 0) return -1;
    return subdir.p ? set_subdir(r, subdir, e) : 0;
}

// The last component of a URL's path, for a file that is put into a folder.
static void set_name(struct build_remote *r, struct sv path)
{
    own(str) struct str name = {.max = 256};
    struct sv last = sv_from(path, (size_t)(sv_rfind(path, '/') + 1));
    if (!decode(last, &name) || name.overflow || name.n == 0 || name.n > 255) return;
    if (strchr(str_z(&name), '/') || sv_eqz(str_sv(&name), ".") || sv_eqz(str_sv(&name), ".."))
        return;
    r->name = str_take(&name);
}

// scheme://[login@]host[:port]/path[?query][#fragment]
static int read_url(struct build_remote *r, struct sv text, struct sv rest, struct err *e)
{
    struct sv shown = text, fragment = rest, query, path, authority;
    rest = sv_cut(&fragment, '#');
    query = rest;
    path = sv_cut(&query, '?');
    authority = sv_cut(&path, '/');
    long at = sv_rfind(authority, '@');
    struct sv login = at < 0 ? (struct sv){NULL, 0} : sv_part(authority, 0, (size_t)at);
    struct sv host = sv_from(authority, (size_t)(at + 1));
    bool http = r->way == BUILD_REMOTE_HTTPS || r->way == BUILD_REMOTE_HTTP;
    own(str) struct str say = {0};
    str_addf(&say, "%s%.*s", ways[r->way].prefix, (int)host.n, host.p);
    str_add(&say, sv_from(text, strlen(ways[r->way].prefix) + authority.n));
    if (http) shown = str_sv(&say);
    if (!host_ok(host)) return refuse(e, shown, "has no host that can be asked");
    bool is_git = !http || (path.p && sv_ends(path, ".git"));
    r->kind = is_git ? BUILD_REMOTE_GIT : BUILD_REMOTE_URL;
    if (is_git && (!path.p || path.n == 0)) return refuse(e, shown, "names no repository");
    own(str) struct str url = {0};
    str_addz(&url, ways[r->way].prefix);
    if (r->way == BUILD_REMOTE_SSH) {
        // As with git@host: the user that hosts of repositories have.
        struct sv user = login.n ? login : SV("git");
        for (size_t i = 0; i < user.n; i++)
            if (!is_word(user.p[i]) && !(i > 0 && strchr("-._", user.p[i])))
                return refuse(e, shown, "has no user name that ssh takes");
        str_addf(&url, "%.*s@", (int)user.n, user.p);
    } else if (login.n && http) {
        own(str) struct str plain_login = {0};
        if (!decode(login, &plain_login)) return refuse(e, shown, "has a broken login");
        r->login.n = plain_login.n;
        r->login.p = str_take(&plain_login);
    }
    str_addf(&url, "%.*s/", (int)host.n, host.p);
    if (path.p) str_add(&url, path);
    if (!is_git && query.p) str_addf(&url, "?%.*s", (int)query.n, query.p);
    r->url = str_take(&url);
    r->host = sv_dup(host);
    r->shown = sv_dup(shown);
    if (!is_git) {
        if (path.p) set_name(r, path);
        return 0;
    }
    if (query.p && set_query(r, query, shown, e) < 0) return -1;
    return read_fragment(r, fragment, shown, e);
}

// user@host:path, as ssh and git have it. 0: not of this form.
static int read_scp(struct build_remote *r, struct sv text, struct err *e)
{
    struct sv fragment = text, rest = sv_cut(&fragment, '#'), host = rest, path;
    struct sv user = sv_cut(&host, '@');
    if (!host.p || user.n == 0) return 0;
    for (size_t i = 0; i < user.n; i++)
        if (!is_word(user.p[i]) && user.p[i] != '_' && !(i > 0 && strchr("-.", user.p[i])))
            return 0;
    path = host;
    host = sv_cut(&path, ':');
    if (!path.p || !host_ok(host)) return 0;
    if (path.n == 0 || path.p[0] == '-') return refuse(e, text, "names no repository");
    r->kind = BUILD_REMOTE_GIT;
    r->way = BUILD_REMOTE_SSH;
    r->url = sv_dup(rest);
    r->host = sv_dup(host);
    r->shown = sv_dup(text);
    return read_fragment(r, fragment, text, e) < 0 ? -1 : 1;
}

// A repository of this machine, named at the command line. Any byte may be in its path.
static int read_file(struct build_remote *r, struct sv text, struct err *e)
{
    struct sv fragment = text, rest = sv_cut(&fragment, '#');
    struct sv path = sv_from(rest, strlen("file://"));
    if (path.n < 2 || path.p[0] != '/') {
        refuse(e, text, "names no folder of this machine");
        return err_hint(e, "write file:///path/of/the/repository");
    }
    r->kind = BUILD_REMOTE_GIT;
    r->way = BUILD_REMOTE_FILE;
    r->url = sv_dup(rest);
    r->host = str_dup("");
    r->shown = sv_dup(text);
    return read_fragment(r, fragment, text, e);
}

static int parse(struct sv text, enum build_remote_origin origin, struct build_remote *r,
                 struct err *e)
{
    if (sv_starts(text, "file://")) {
        if (origin == BUILD_REMOTE_TYPED) return read_file(r, text, e) < 0 ? -1 : 1;
        refuse(e, text, "is a place of this machine, which a Dockerfile cannot name");
        return err_hint(e, "give the folder with --build-context NAME=PATH and COPY --from=NAME");
    }
    for (enum build_remote_way w = 0; w < BUILD_REMOTE_FILE; w++) {
        if (!sv_starts(text, ways[w].prefix)) continue;
        if (text.n > BUILD_REMOTE_MAX || !plain(text)) {
            err_set(e, ERR_INPUT,
                    "a URL that begins with '%s' is longer than %d bytes or has a "
                    "blank or another byte that a URL cannot have",
                    ways[w].prefix, BUILD_REMOTE_MAX);
            return err_hint(e, "write a blank as %%20");
        }
        r->way = w;
        return read_url(r, text, sv_from(text, strlen(ways[w].prefix)), e) < 0 ? -1 : 1;
    }
    if (text.n > BUILD_REMOTE_MAX || !plain(text)) return 0;
    if (origin == BUILD_REMOTE_TYPED && sv_starts(text, "github.com/")) {
        // Whatever is there is a repository, with ".git" or without.
        struct sv fragment = text, path = sv_cut(&fragment, '#');
        own(str) struct str full = {0};
        str_addf(&full, "https://%.*s%s", (int)path.n, path.p, sv_ends(path, ".git") ? "" : ".git");
        if (fragment.p) str_addf(&full, "#%.*s", (int)fragment.n, fragment.p);
        r->way = BUILD_REMOTE_HTTPS;
        return read_url(r, str_sv(&full), sv_from(str_sv(&full), strlen("https://")), e) < 0 ? -1 : 1;
    }
    return read_scp(r, text, e);
}

int build_remote_parse(const char *text, enum build_remote_origin origin, struct build_remote *out,
                       struct err *e)
{
    *out = (struct build_remote){0};
    int rc = parse(sv_of(text), origin, out, e);
    if (rc <= 0) build_remote_fini(out);
    return rc;
}

// "../x" against ".../a/b.git" is ".../a/x".
static char *relative(const char *parent, const char *url)
{
    own(str) struct str base = {0};
    str_addz(&base, parent);
    while (base.n && base.p[base.n - 1] == '/') str_cut(&base, base.n - 1);
    for (;;) {
        if (strncmp(url, "./", 2) == 0) {
            url += 2;
        } else if (strncmp(url, "../", 3) == 0) {
            long slash = sv_rfind(str_sv(&base), '/'), colon = sv_rfind(str_sv(&base), ':');
            long cut = slash > colon ? slash : colon + 1;
            str_cut(&base, cut < 0 ? 0 : (size_t)cut);
            url += 3;
        } else {
            break;
        }
    }
    bool joined = base.n && base.p[base.n - 1] == ':';
    str_addf(&base, "%s%s", joined ? "" : "/", url);
    return str_take(&base);
}

int build_remote_submodule(const struct build_remote *parent, const char *url,
                           struct build_remote *out, struct err *e)
{
    bool is_relative = strncmp(url, "./", 2) == 0 || strncmp(url, "../", 3) == 0;
    own(free) char *full = is_relative ? relative(parent->url, url) : str_dup(url);
    enum build_remote_origin origin =
        is_relative && parent->way == BUILD_REMOTE_FILE ? BUILD_REMOTE_TYPED : BUILD_REMOTE_IN_FILE;
    *out = (struct build_remote){0};
    if (strchr(full, '#') || strchr(full, '?'))
        return err_set(e, ERR_INPUT, "the submodule's address '%.200s' is no repository", full);
    int rc = build_remote_parse(full, origin, out, e);
    if (rc < 0) return -1;
    if (out->kind == BUILD_REMOTE_URL) { // git needs no ".git" at the end
        out->kind = BUILD_REMOTE_GIT;
        free(take_ptr(out->name));
    }
    if (rc == 1 && (out->way == BUILD_REMOTE_HTTPS || out->way == parent->way)) {
        if (out->way != BUILD_REMOTE_FILE || is_relative) return 1;
    }
    build_remote_fini(out);
    err_set(e, ERR_INPUT, "the submodule's address '%.200s' is not taken", full);
    return err_hint(e, "submodules come by https, or the way their repository comes");
}
