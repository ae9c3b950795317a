// SPDX-License-Identifier: Apache-2.0
// Reading and changing credential files. Everything that is not ours in such a file stays as it is
// and where it is. A password is here in the clear for as long as a call lasts: buffers are wiped,
// and no error text ever quotes the file (a parser likes to say "near '...'").
#include "registry/authfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/own.h"
#include "codec/base64.h"
#include "registry/host.h"

#define LOCK_WAIT_NS (10LL * 1000 * 1000 * 1000)

static void wipe_str(struct str *s)
{
    if (s->p) explicit_bzero(s->p, s->cap);
    str_fini(s);
}
static inline void own_wipe_str(struct str *s)
{
    wipe_str(s);
}

void registry_authfile_fini(struct registry_authfile *f)
{
    codec_json_wipe(f->root);
    codec_json_free(f->root);
    f->root = NULL;
}

// --- where they are ---------------------------------------------------------------------------

static const char *env_get(const char *key)
{
    const char *z = getenv(key);
    return z && z[0] ? z : NULL;
}

int registry_authfile_list(struct strv *out, struct err *e)
{
    const char *named = env_get("REGISTRY_AUTH_FILE"), *runtime = env_get("XDG_RUNTIME_DIR");
    const char *home = env_get("HOME"), *docker = env_get("DOCKER_CONFIG");
    const char *config = env_get("XDG_CONFIG_HOME");
    if (named) {
        strv_add(out, named);
        return 0;
    }
    if (runtime)
        strv_take(out, str_fmt("%s/containers/auth.json", runtime));
    else
        strv_take(out, str_fmt("/run/containers/%u/auth.json", (unsigned)getuid()));
    if (config) strv_take(out, str_fmt("%s/containers/auth.json", config));
    if (home && !config) strv_take(out, str_fmt("%s/.config/containers/auth.json", home));
    if (docker)
        strv_take(out, str_fmt("%s/config.json", docker));
    else if (home)
        strv_take(out, str_fmt("%s/.docker/config.json", home));
    for (size_t i = 0; i < out->n; i++)
        if (strlen(out->p[i]) >= sizeof((struct registry_authfile *)0)->path)
            return err_set(e, ERR_LIMIT, "the path of a credential file is too long");
    return 0;
}

const char *registry_authfile_default(const struct strv *list)
{
    if (env_get("REGISTRY_AUTH_FILE") || env_get("DOCKER_CONFIG") || env_get("HOME"))
        return list->p[list->n - 1];
    return NULL;
}

// --- reading ----------------------------------------------------------------------------------

// Into one buffer of the right size: growing would leave copies of secrets behind.
static int slurp(int fd, const char *path, struct str *out, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return err_sys(e, "stat '%s'", path);
    if (S_ISCHR(st.st_mode)) return 0;
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_INPUT, "'%s' is a %s, not a regular file", path,
                       fs_type_name(st.st_mode));
    if ((uint64_t)st.st_size > REGISTRY_AUTHFILE_MAX)
        return err_set(e, ERR_LIMIT, "'%s' is larger than the limit of %zu bytes", path,
                       REGISTRY_AUTHFILE_MAX);
    out->cap = (size_t)st.st_size + 1;
    out->p = mem_alloc(out->cap);
    while (out->n + 1 < out->cap) {
        ssize_t n = read(fd, out->p + out->n, out->cap - 1 - out->n);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_sys(e, "read '%s'", path);
        if (n == 0) break;
        out->n += (size_t)n;
    }
    return 0;
}

// The parser's message without what it quotes from the file.
static int parse_quietly(struct sv text, const char *path, struct codec_json **out, struct err *e)
{
    struct err mine = {0};
    if (codec_json_parse(text, path, out, &mine) < 0) {
        struct sv said = sv_of(err_cause(&mine));
        const char *near = strstr(said.p, " near ");
        int n = (int)(near ? (size_t)(near - said.p) : said.n);
        err_set(e, mine.kind, "%.*s", n, said.p);
        err_clear(&mine);
        return err_hint(e, "repair or remove the file; `dewar login` writes it again");
    }
    if (codec_json_type(*out) == CODEC_JSON_OBJECT) return 0; // else its owner wipes it
    return err_set(e, ERR_INPUT, "%s: must be a JSON object", path);
}

static int load_at(int dirfd, const char *name, const char *path, struct registry_authfile *out,
                   struct err *e)
{
    own(wipe_str) struct str text = {0};
    struct err mine = {0};
    own(fd) int fd = fs_openat(dirfd, name, O_RDONLY | O_NONBLOCK, 0, &mine);
    if (fd < 0) {
        if (mine.sys == ENOENT || mine.sys == ENOTDIR) return 0;
        // Root's tools make /run/containers for themselves alone: nothing of ours can be there.
        if (mine.sys == EACCES && sv_starts(sv_of(path), "/run/containers/")) return 0;
        *e = mine;
        err_wrap(e, "reading credentials");
        return err_hint(e, "DOCKER_CONFIG or REGISTRY_AUTH_FILE can name another place");
    }
    snprintf(out->path, sizeof out->path, "%s", path);
    if (slurp(fd, path, &text, e) < 0) return -1;
    if (sv_trim(str_sv(&text)).n == 0) {
        out->root = codec_json_new_object();
        return 1;
    }
    return parse_quietly(str_sv(&text), path, &out->root, e) < 0 ? -1 : 1;
}

int registry_authfile_load(const char *path, struct registry_authfile *out, struct err *e)
{
    return load_at(AT_FDCWD, path, path, out, e);
}

// --- keys -------------------------------------------------------------------------------------

// How well a key fits: 0 not at all; a longer path wins, then the plainer spelling. Keys come as
// "host", "host/ns/name" (containers), "https://host", "https://host/v1/" (Docker). With a scheme
// the path is an API version and says nothing about repositories.
size_t registry_authfile_score(const char *text, const char *host, const char *repository)
{
    struct sv key = sv_of(text);
    size_t spelling = 3;
    if (sv_starts(key, "https://")) {
        key = sv_from(key, 8);
        spelling = 2;
    } else if (sv_starts(key, "http://")) {
        key = sv_from(key, 7);
        spelling = 1;
    }
    struct sv path = key;
    struct sv at = sv_cut(&path, '/');
    if (!registry_host_same(at, sv_of(host))) return 0;
    if (spelling < 3 || !path.p || sv_eqz(path, "v1/") || sv_eqz(path, "v2/")) return 4 + spelling;
    while (path.n && path.p[path.n - 1] == '/') path.n--;
    if (path.n == 0) return 4 + spelling;
    struct sv repo = sv_of(repository);
    if (repo.n < path.n || !sv_eq(sv_part(repo, 0, path.n), path)) return 0;
    if (repo.n > path.n && repo.p[path.n] != '/') return 0;
    return (path.n + 1) * 4 + spelling;
}

struct sv registry_authfile_helper(const struct registry_authfile *f, const char *host)
{
    const struct codec_json *helpers = codec_json_get(f->root, "credHelpers");
    struct codec_json *value;
    const char *key;
    void *it = NULL;
    struct sv best = SV("");
    size_t score = 0;
    if (codec_json_type(helpers) == CODEC_JSON_OBJECT)
        while (codec_json_next(helpers, &it, &key, &value)) {
            size_t s = registry_authfile_score(key, host, "");
            if (s <= score) continue;
            score = s;
            best = codec_json_text(value);
        }
    // A key with an empty name asks for the file, whatever credsStore says.
    return score ? best : codec_json_text(codec_json_get(f->root, "credsStore"));
}

static bool has_content(const struct codec_json *entry)
{
    static const char *const keys[] = {"auth", "identitytoken", "registrytoken", "username"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (codec_json_text(codec_json_get(entry, keys[i])).n) return true;
    return false;
}

static const struct codec_json *best_entry(const struct registry_authfile *f, const char *host,
                                           const char *repository, const char **out_key)
{
    const struct codec_json *auths = codec_json_get(f->root, "auths");
    const struct codec_json *best = NULL;
    struct codec_json *value;
    const char *key;
    void *it = NULL;
    size_t score = 0;
    if (codec_json_type(auths) != CODEC_JSON_OBJECT) return NULL;
    while (codec_json_next(auths, &it, &key, &value)) {
        size_t s = registry_authfile_score(key, host, repository);
        if (s <= score || !has_content(value)) continue;
        score = s;
        best = value;
        *out_key = key;
    }
    return best;
}

static int bad_entry(const struct registry_authfile *f, const char *key, const char *what,
                     struct err *e)
{
    err_set(e, ERR_INPUT, "%s: the entry '%s' in 'auths' %s", f->path, key, what);
    return err_hint(e, "`dewar logout` and `dewar login` make it anew");
}

static void set_secret(struct secret *out, struct sv v)
{
    secret_fini(out);
    if (v.n) *out = (struct secret){sv_dup(v), v.n};
}

static bool set_user(struct registry_credential *out, struct sv user)
{
    if (user.n >= sizeof out->user) return false;
    for (size_t i = 0; i < user.n; i++)
        if ((unsigned char)user.p[i] < 0x20 || user.p[i] == 0x7f) return false;
    if (user.n) memcpy(out->user, user.p, user.n);
    out->user[user.n] = '\0';
    return true;
}

// "user:password" in base64; a password may hold colons, a user may not.
static int take_auth(const struct registry_authfile *f, const char *key, struct sv auth,
                     struct registry_credential *out, struct err *e)
{
    own(wipe_str) struct str plain = {0};
    if (auth.n > REGISTRY_CREDENTIAL_MAX * 2) return bad_entry(f, key, "is too long", e);
    if (!codec_base64_decode(auth, &plain)) return bad_entry(f, key, "is not base64", e);
    struct sv password = str_sv(&plain);
    struct sv user = sv_cut(&password, ':');
    if (!password.p) return bad_entry(f, key, "has no colon between user and password", e);
    while (password.n && password.p[password.n - 1] == '\0') password.n--; // Docker pads so
    if (!set_user(out, user)) return bad_entry(f, key, "has no usable user name", e);
    set_secret(&out->password, password);
    return 0;
}

int registry_authfile_find(const struct registry_authfile *f, const char *host,
                           const char *repository, struct registry_credential *out, struct err *e)
{
    const char *key = NULL;
    const struct codec_json *entry = best_entry(f, host, repository, &key);
    if (!entry) return 0;
    struct sv auth = codec_json_text(codec_json_get(entry, "auth"));
    struct sv user = codec_json_text(codec_json_get(entry, "username"));
    struct sv password = codec_json_text(codec_json_get(entry, "password"));
    struct sv identity = codec_json_text(codec_json_get(entry, "identitytoken"));
    struct sv bearer = codec_json_text(codec_json_get(entry, "registrytoken"));
    if (password.n > REGISTRY_CREDENTIAL_MAX || identity.n > REGISTRY_CREDENTIAL_MAX ||
        bearer.n > REGISTRY_CREDENTIAL_MAX)
        return bad_entry(f, key, "is too long", e);
    if (auth.n) {
        if (take_auth(f, key, auth, out, e) < 0) return -1;
    } else {
        if (!set_user(out, user)) return bad_entry(f, key, "has no usable user name", e);
        set_secret(&out->password, password);
    }
    set_secret(&out->identity, identity);
    set_secret(&out->bearer, bearer);
    return 1;
}

bool registry_authfile_has(const struct registry_authfile *f, const char *host)
{
    const struct codec_json *auths = codec_json_get(f->root, "auths");
    struct codec_json *value;
    const char *key;
    void *it = NULL;
    if (codec_json_type(auths) != CODEC_JSON_OBJECT) return false;
    while (codec_json_next(auths, &it, &key, &value))
        if (registry_authfile_score(key, host, "")) return true;
    return false;
}

// --- changing ---------------------------------------------------------------------------------

static struct codec_json *new_entry(const struct registry_credential *c)
{
    struct codec_json *entry = codec_json_new_object();
    own(wipe_str) struct str plain = {0}, coded = {0};
    if (c->user[0] || c->password.n) {
        plain.cap = strlen(c->user) + c->password.n + 2;
        plain.p = mem_alloc(plain.cap);
        str_addz(&plain, c->user);
        str_addc(&plain, ':');
        str_add(&plain, (struct sv){c->password.p, c->password.n});
        codec_base64_encode(str_sv(&plain), &coded);
        codec_json_set(entry, "auth", codec_json_new_text(str_sv(&coded)));
    }
    if (c->identity.n)
        codec_json_set(entry, "identitytoken",
                       codec_json_new_text((struct sv){c->identity.p, c->identity.n}));
    return entry;
}

// The spelling that stays for this host: the best one that is there, else the file's own habit.
static char *key_for(const struct codec_json *auths, const char *host, const char *path)
{
    struct codec_json *value;
    const char *key, *best = NULL;
    void *it = NULL;
    size_t score = 0;
    while (codec_json_next(auths, &it, &key, &value)) {
        size_t s = registry_authfile_score(key, host, "");
        if (s <= score) continue;
        score = s;
        best = key;
    }
    if (best) return str_dup(best);
    if (!registry_host_is_hub(sv_of(host))) return str_dup(host);
    return str_dup(sv_ends(sv_of(path), "/auth.json") ? REGISTRY_HUB : REGISTRY_HUB_KEY);
}

// Puts (or with c NULL removes) and drops other spellings of the same host, which might win later.
static int change(struct registry_authfile *f, const char *host,
                  const struct registry_credential *c, bool empty, struct err *e)
{
    struct codec_json *auths = codec_json_get(f->root, "auths");
    if (!auths) {
        if (!c) return 0;
        auths = codec_json_new_object();
        codec_json_set(f->root, "auths", auths);
    }
    if (codec_json_type(auths) != CODEC_JSON_OBJECT)
        return err_set(e, ERR_INPUT, "%s: 'auths' must be a JSON object", f->path);
    own(strv) struct strv drop = {0};
    own(free) char *keep = c ? key_for(auths, host, f->path) : NULL;
    struct codec_json *value;
    const char *key;
    void *it = NULL;
    while (codec_json_next(auths, &it, &key, &value))
        if (registry_authfile_score(key, host, "") && (!keep || strcmp(key, keep) != 0))
            strv_add(&drop, key);
    for (size_t i = 0; i < drop.n; i++) {
        codec_json_wipe(codec_json_get(auths, drop.p[i]));
        codec_json_del(auths, drop.p[i]);
    }
    if (keep) {
        codec_json_wipe(codec_json_get(auths, keep));
        codec_json_set(auths, keep, empty ? codec_json_new_object() : new_entry(c));
    }
    return keep || drop.n ? 1 : 0;
}

// The folder that holds the file itself, behind any symbolic links, and its name there.
static int open_folder(const char *path, char name[256], struct err *e)
{
    own(str) struct str real = {0};
    struct err mine = {0};
    own(fd) int fd = fs_open(path, O_PATH, 0, &mine);
    if (fd >= 0) {
        if (fs_fd_path(fd, &real) < 0) return err_sys(e, "find the place of '%s'", path);
    } else if (fs_exists(AT_FDCWD, path)) {
        *e = mine;
        return err_wrap(e, "'%s' is a symbolic link to nothing", path);
    } else {
        str_addz(&real, path);
    }
    struct sv all = str_sv(&real);
    long slash = sv_rfind(all, '/');
    struct sv last = sv_from(all, (size_t)(slash + 1));
    if (last.n == 0 || last.n > 255)
        return err_set(e, ERR_INPUT, "'%s' does not end in a file name", path);
    memcpy(name, last.p, last.n);
    name[last.n] = '\0';
    own(free) char *folder = slash < 0 ? str_dup(".") : sv_dup(sv_part(all, 0, (size_t)slash + 1));
    if (fd < 0 && fs_mkdirs(AT_FDCWD, folder, 0700, e) < 0) return -1;
    return fs_open_dir(AT_FDCWD, folder, e);
}

// The folder is the lock: nothing is left lying about, and a rename does not take it away. Where
// the file system knows no such lock (some NFS) the rename alone still keeps the file whole.
static int lock_folder(int dir, const char *path, struct err *e)
{
    const struct timespec nap = {.tv_nsec = 5L * 1000 * 1000};
    int64_t end = clock_mono_ns() + LOCK_WAIT_NS;
    struct err mine = {0};
    while (fs_lock(dir, LOCK_EX | LOCK_NB, &mine) == 1) {
        if (clock_mono_ns() > end)
            return err_set(e, ERR_CONFLICT, "another program holds the lock of '%s'", path);
        nanosleep(&nap, NULL);
    }
    return 0;
}

static int write_back(int dir, const char *name, const struct registry_authfile *f, struct err *e)
{
    own(wipe_str) struct str text = {0};
    struct stat st;
    bool was = fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (was && !S_ISREG(st.st_mode))
        return err_set(e, ERR_INPUT, "'%s' is a %s, not a regular file", f->path,
                       fs_type_name(st.st_mode));
    text.cap = REGISTRY_AUTHFILE_MAX + 1; // never grows, so no copy stays behind
    text.max = REGISTRY_AUTHFILE_MAX;
    text.p = mem_alloc(text.cap);
    codec_json_print_pretty(f->root, 4, &text);
    str_addc(&text, '\n');
    if (str_check(&text, e) < 0) return -1;
    if (fs_atomic_write(dir, name, str_sv(&text), 0600, e) < 0) return -1;
    // Root writing into a person's home (sudo) leaves the file theirs.
    own(fd) int fd = fs_openat(dir, name, O_RDONLY | O_NOFOLLOW, 0, e);
    if (fd < 0) return -1;
    if (was && geteuid() == 0 && st.st_uid != 0 && fchown(fd, st.st_uid, st.st_gid) != 0)
        return err_sys(e, "give '%s' back to its owner", f->path);
    return 0;
}

int registry_authfile_edit(const char *path, const char *host, const struct registry_credential *c,
                           bool empty, struct err *e)
{
    char name[256];
    own(registry_authfile) struct registry_authfile f = {0};
    if (!c && !fs_exists(AT_FDCWD, path)) return 0;
    own(fd) int dir = open_folder(path, name, e);
    if (dir < 0 || lock_folder(dir, path, e) < 0) return -1;
    int rc = load_at(dir, name, path, &f, e);
    if (rc < 0) return -1;
    if (rc == 0) {
        snprintf(f.path, sizeof f.path, "%s", path);
        f.root = codec_json_new_object();
    }
    rc = change(&f, host, c, empty, e);
    if (rc <= 0) return rc;
    return write_back(dir, name, &f, e) < 0 ? -1 : 1;
}
