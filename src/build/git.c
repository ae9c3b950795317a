// SPDX-License-Identifier: Apache-2.0
// Trees of git repositories. See build/git.h. The life of a copy:
//   1. made with `git init --bare` in the job's temporary folder, renamed to its place;
//   2. fetching holds its lock (git and its children hold it too, so it outlives us when we are
//      killed); a commit that is complete has a ref refs/dewar/<commit>, written by git at the end;
//   3. reading needs no lock: objects never change. A copy that turns out to be damaged is thrown
//   away
//      and made again, once;
//   4. prune moves copies that nobody has locked to the trash.
#include "build/git.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/err.h"
#include "base/num.h"
#include "base/own.h"
#include "build/gitrun.h"
#include "build/mounts.h"
#include "build/outside.h"
#include "image/remote.h"

#define TREE_LISTING ((size_t)96 << 20) // bytes of `git ls-tree`, about a million files
#define TREE_BYTES ((uint64_t)128 << 30)
#define MOVED_MAX ((uint64_t)64 << 20) // a list of refs
#define ARGS_MAX 24
#define SUBMODULES 200
#define SUBMODULE_DEPTH 8

static void add_base64(struct sv in, struct str *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < in.n; i += 3) {
        unsigned have = in.n - i < 3 ? (unsigned)(in.n - i) : 3, v = 0;
        for (unsigned k = 0; k < 3; k++) v = v << 8 | (k < have ? (unsigned char)in.p[i + k] : 0);
        for (unsigned k = 0; k < 4; k++)
            str_addc(out, k <= have ? digits[v >> (18 - 6 * k) & 63] : '=');
    }
}

// --- who may be asked, and with what
// ---------------------------------------------------------------- A token is a secret of the
// build, for the repository's host: GIT_AUTH_TOKEN.<host>, else GIT_AUTH_TOKEN; GIT_AUTH_HEADER is
// a whole header. A login in a URL is used for that URL alone.
static int read_header(struct build_job *job, const struct build_remote *r, struct secret *out,
                       struct err *e)
{
    static const char *const names[] = {"GIT_AUTH_HEADER", "GIT_AUTH_TOKEN"};
    own(secret) struct secret login = {0};
    if (r->way != BUILD_REMOTE_HTTPS && r->way != BUILD_REMOTE_HTTP) return 0;
    for (size_t i = 0; i < 4 && r->login.n == 0; i++) {
        own(free) char *id =
            i % 2 == 0 ? str_fmt("%s.%s", names[i / 2], r->host) : str_dup(names[i / 2]);
        own(str) struct str text = {.max = 65536};
        int rc = build_mounts_secret(job->opt, id, &text, e);
        if (rc < 0) return -1;
        if (rc == 0) continue;
        struct sv value = sv_trim(str_sv(&text));
        char *made = i < 2 ? str_fmt("Authorization: %.*s", (int)value.n, value.p)
                           : str_fmt("x-access-token:%.*s", (int)value.n, value.p);
        explicit_bzero(text.p, text.n);
        struct secret *to = i < 2 ? out : &login;
        *to = (struct secret){made, strlen(made)};
        if (strpbrk(made, "\r\n"))
            return err_set(e, ERR_INPUT, "secret '%s' has more than a line", id);
        if (i < 2) return 0;
        break;
    }
    const struct secret *from = r->login.n ? &r->login : &login;
    if (from->n == 0) return 0;
    own(str) struct str header = {0};
    str_addz(&header, "Authorization: Basic ");
    add_base64((struct sv){from->p, from->n}, &header);
    out->n = header.n;
    out->p = str_take(&header);
    return 0;
}

static int ask_at(struct build_job *job, const struct build_remote *r, struct build_gitrun *g,
                  const char *const *args, struct str *out, struct err *e)
{
    own(secret) struct secret header = {0};
    if (read_header(job, r, &header, e) < 0) return -1;
    g->remote = r;
    g->header = &header;
    g->agent = build_mounts_agent(job->opt, "default");
    return build_gitrun(g, args, out, e);
}

static void own_remote(struct image_remote **r)
{
    image_remote_close(*r);
}

// Where a server sends those who ask for a repository: it was renamed, or wants ".git" at the end.
// git follows nothing; the registry client does, by its rules, and only the same host counts.
static bool find_moved(struct build_job *job, const struct build_remote *r,
                       struct build_remote *out)
{
    static const char question[] = "/info/refs?service=git-upload-pack";
    struct transfer_request q = {
        .op = TRANSFER_URL_GET, .size = MOVED_MAX, .flags = TRANSFER_ANONYMOUS};
    struct transfer_reply reply;
    struct err none;
    own(remote) struct image_remote *remote = NULL;
    own(free) char *name = str_fmt("moved-%d", (int)getpid());
    int n = snprintf(q.url, sizeof q.url, "%s%s", r->url, question);
    if (n < 0 || (size_t)n >= sizeof q.url) return false;
    own(fd) int fd = fs_openat(job->tmp.fd, name, O_RDWR | O_CREAT | O_TRUNC, 0600, &none);
    if (fd < 0 || image_remote_open(job->en, &remote, &none) < 0 ||
        image_remote_ask(remote, &q, fd, NULL, NULL, &reply, &none) < 0)
        return false;
    struct sv at = sv_of(reply.url);
    if (!sv_ends(at, question)) return false;
    own(free) char *url = sv_dup(sv_part(at, 0, at.n - strlen(question)));
    if (build_remote_parse(url, BUILD_REMOTE_IN_FILE, out, &none) != 1) return false;
    out->kind = BUILD_REMOTE_GIT;
    return strcmp(out->host, r->host) == 0 &&
           (out->way == r->way || out->way == BUILD_REMOTE_HTTPS);
}

// Calls git for a remote with what the caller of the build allows.
static int ask(struct build_job *job, const struct build_remote *r, struct build_gitrun *g,
               const char *const *args, struct str *out, struct err *e)
{
    own(build_remote) struct build_remote there = {0};
    const char *again[ARGS_MAX] = {NULL};
    bool moved = false;
    g->moved = &moved;
    if (ask_at(job, r, g, args, out, e) == 0) return 0;
    if (!moved || !find_moved(job, r, &there)) return err_wrap(e, "asking '%s'", r->shown);
    for (size_t i = 0; args[i] && i + 1 < ARGS_MAX; i++)
        again[i] = args[i] == r->url ? there.url : args[i];
    there.login = r->login; // of the same host; r frees it
    if (out) str_clear(out);
    int rc = ask_at(job, &there, g, again, out, e);
    there.login = (struct secret){0};
    return rc < 0 ? err_wrap(e, "asking '%s', which is now '%s'", r->shown, there.url) : 0;
}

// --- refs ---------------------------------------------------------------------------------------

// The id of a name in the lines of ls-remote: "<id>\t<name>".
static bool id_of(struct sv listing, const char *name, char commit[BUILD_GIT_ID])
{
    while (listing.p) {
        struct sv at = sv_cut(&listing, '\n'), id = sv_cut(&at, '\t');
        if (!at.p || !sv_eqz(at, name) || id.n >= BUILD_GIT_ID) continue;
        memcpy(commit, id.p, id.n);
        commit[id.n] = '\0';
        if (build_remote_is_commit(commit)) return true;
    }
    return false;
}

// The names that a ref may mean, the first that is there counts: of a branch and a tag with one
// name the branch, as with git checkout; of a tag the commit behind it.
static void candidates(const char *ref, struct strv *out)
{
    if (!ref) {
        strv_add(out, "HEAD");
        return;
    }
    if (strncmp(ref, "refs/", 5) != 0) {
        strv_take(out, str_fmt("refs/heads/%s", ref));
        strv_take(out, str_fmt("refs/tags/%s^{}", ref));
        strv_take(out, str_fmt("refs/tags/%s", ref));
        strv_take(out, str_fmt("refs/%s", ref));
    } else {
        strv_take(out, str_fmt("%s^{}", ref));
        strv_add(out, ref);
    }
}

static int list_refs(struct build_job *job, const struct build_remote *r, char commit[BUILD_GIT_ID],
                     struct err *e)
{
    own(strv) struct strv names = {0};
    own(str) struct str listing = {0};
    const char *args[16] = {"ls-remote", "--end-of-options", r->url};
    struct build_gitrun g = {0};
    candidates(r->ref, &names);
    for (size_t i = 0; i < names.n; i++) args[3 + i] = names.p[i];
    if (ask(job, r, &g, args, &listing, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++)
        if (id_of(str_sv(&listing), names.p[i], commit)) return 0;
    if (!r->ref) return err_set(e, ERR_NOT_FOUND, "the repository '%s' has no commits", r->shown);
    err_set(e, ERR_NOT_FOUND, "'%s' has no branch and no tag '%s'", r->url, r->ref);
    return err_hint(e, "a commit is named by all its 40 digits");
}

// Stages side by side that name the same branch get the same commit, and the other side is asked
// once: what was found is noted in the job's folder.
static int find_once(struct build_job *job, const struct build_remote *r, char commit[BUILD_GIT_ID],
                     struct err *e)
{
    struct codec_sha256 h;
    char hex[CODEC_SHA256_HEX];
    codec_sha256_init(&h);
    codec_sha256_addz(&h, r->url);
    codec_sha256_addz(&h, r->ref ? r->ref : "");
    codec_sha256_end(&h, hex);
    own(free) char *note = str_fmt("ref-%s", hex);
    own(free) char *lock_name = str_fmt("%s.lock", note);
    own(str) struct str known = {0};
    own(fd) int lock = fs_openat(job->tmp.fd, lock_name, O_RDWR | O_CREAT, 0600, e);
    if (lock < 0 || fs_lock(lock, LOCK_EX, e) < 0) return -1;
    if (fs_exists(job->tmp.fd, note)) {
        if (fs_read_at(job->tmp.fd, note, BUILD_GIT_ID - 1, &known, e) < 0) return -1;
        snprintf(commit, BUILD_GIT_ID, "%s", str_z(&known));
        return 0;
    }
    if (list_refs(job, r, commit, e) < 0) return -1;
    return fs_replace(job->tmp.fd, note, sv_of(commit), 0600, e);
}

static int check_commit(const struct build_remote *r, const char *want, const char *commit,
                        struct err *e)
{
    if (!want || strncmp(commit, want, strlen(want)) == 0) return 0;
    err_set(e, ERR_INPUT, "'%s' is commit %s, and %s was asked for", r->shown, commit, want);
    return err_hint(e, "the branch or tag has moved, or the checksum is another repository's");
}

static int find(struct build_job *job, const struct build_remote *r, char commit[BUILD_GIT_ID],
                struct err *e)
{
    int rc = build_pin_git(job, r, commit, e);
    if (rc != 0) return rc < 0 ? -1 : 0;
    return find_once(job, r, commit, e);
}

int build_git_resolve(struct build_job *job, const struct build_remote *r, const char *checksum,
                      char commit[BUILD_GIT_ID], struct err *e)
{
    if (build_remote_is_commit(r->ref))
        snprintf(commit, BUILD_GIT_ID, "%s", r->ref);
    else if (find(job, r, commit, e) < 0)
        return -1;
    if (check_commit(r, r->commit, commit, e) < 0 || check_commit(r, checksum, commit, e) < 0)
        return -1;
    build_pin_saw_git(job, r, commit);
    return 0;
}

// --- the copy -----------------------------------------------------------------------------------
struct copy {
    int fd;     // the bare repository; may hold the lock
    char *path; // absolute, for git
    char *name; // below cache/git
};

static void own_copy(struct copy *c)
{
    if (c->fd >= 0) close(c->fd);
    free(c->path);
    free(c->name);
}

static int path_of(int fd, char **out, struct err *e)
{
    own(str) struct str path = {0};
    if (fs_fd_path(fd, &path) < 0 || str_z(&path)[0] != '/')
        return err_sys(e, "find the path of a folder of the store");
    *out = str_take(&path);
    return 0;
}

static int make_copy(struct build_job *job, bool sha256, int cache, const char *name, struct err *e)
{
    own(free) char *made = str_fmt("git-%d-%s", (int)getpid(), name);
    own(free) char *tmp = NULL;
    // By its name: the job's descriptor may belong to another mount namespace, and renaming from
    // there to here is EXDEV.
    own(free) char *folder = str_fmt("tmp/%s", job->tmp.name);
    own(fd) int from = fs_open_dir(job->en->store_fd, folder, e);
    if (from < 0 || path_of(from, &tmp, e) < 0) return -1;
    own(free) char *path = str_fmt("%s/%s", tmp, made);
    const char *args[] = {"init", "--quiet", "--bare",
                          sha256 ? "--object-format=sha256" : "--object-format=sha1", NULL};
    struct build_gitrun g = {.git_dir = path};
    if (build_gitrun(&g, args, NULL, e) < 0) return -1;
    if (renameat2(from, made, cache, name, RENAME_NOREPLACE) == 0 || errno == EEXIST) return 0;
    return err_sys(e, "put a copy of a repository into the store");
}

static int open_copy(struct build_job *job, const struct build_remote *r, bool sha256,
                     struct copy *out, struct err *e)
{
    char hex[CODEC_SHA256_HEX];
    codec_sha256_of(sv_of(r->url), hex);
    out->name = str_fmt("%s%s", hex, sha256 ? "-sha256" : "");
    if (fs_mkdirs(job->en->store_fd, "cache/git", 0700, e) < 0) return -1;
    own(fd) int cache = fs_open_dir(job->en->store_fd, "cache/git", e);
    if (cache < 0) return -1;
    if (!fs_exists(cache, out->name) && make_copy(job, sha256, cache, out->name, e) < 0) return -1;
    out->fd = fs_open_dir(cache, out->name, e);
    if (out->fd < 0) return -1;
    futimens(out->fd, NULL); // last used now: prune --filter until looks at it
    return path_of(out->fd, &out->path, e);
}

// What a killed git left behind. The lock is held: nobody is at work.
static void drop_leftovers(int fd)
{
    struct err ignored;
    own(strv) struct strv packs = {0};
    unlinkat(fd, "shallow.lock", 0);
    own(fd) int dir = fs_open_dir(fd, "objects/pack", &ignored);
    if (dir < 0 || fs_list(dir, ".", &packs, &ignored) < 0) return;
    for (size_t i = 0; i < packs.n; i++)
        if (strncmp(packs.p[i], "tmp_", 4) == 0) unlinkat(dir, packs.p[i], 0);
}

static bool has_commit(const struct copy *c, const char *commit)
{
    own(free) char *ref = str_fmt("refs/dewar/%s", commit);
    return fs_exists(c->fd, ref);
}

struct fetching {
    struct build_job *job;
    const char *commit;
};

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
    const struct fetching *f = arg;
    build_outside_event(f->job, f->commit, EVENT_PROGRESS, "", done, total);
}

// Servers that only give what a branch or a tag names, and plain file servers: everything, then
// look.
static int fetch_all(struct build_job *job, const struct build_remote *r, const struct copy *c,
                     const char *commit, struct err *e)
{
    bool shallow = fs_exists(c->fd, "shallow");
    const char *args[] = {"fetch",
                          "--progress",
                          "--no-tags",
                          "--no-write-fetch-head",
                          "--force",
                          "--no-auto-maintenance",
                          shallow ? "--unshallow" : "--no-recurse-submodules",
                          "--end-of-options",
                          r->url,
                          "refs/heads/*:refs/all/heads/*",
                          "refs/tags/*:refs/all/tags/*",
                          NULL};
    struct fetching f = {job, commit};
    struct build_gitrun g = {
        .git_dir = c->path, .keep_fd = c->fd, .progress = on_progress, .arg = &f};
    if (ask(job, r, &g, args, NULL, e) < 0) return -1;
    own(free) char *peeled = str_fmt("%s^{commit}", commit);
    own(free) char *ref = str_fmt("refs/dewar/%s", commit);
    const char *there[] = {"rev-parse", "--quiet", "--verify", "--end-of-options", peeled, NULL};
    const char *keep[] = {"update-ref", ref, commit, NULL};
    struct err ignored;
    struct build_gitrun local = {.git_dir = c->path, .keep_fd = c->fd};
    if (build_gitrun(&local, there, NULL, &ignored) < 0)
        return err_set(e, ERR_NOT_FOUND, "'%s' has no commit %s", r->url, commit);
    return build_gitrun(&local, keep, NULL, e);
}

static int fetch_one(struct build_job *job, const struct build_remote *r, const struct copy *c,
                     const char *commit, struct err *e)
{
    static const char *const retry[] = {"not our ref", "unadvertised object",      "shallow",
                                        "dumb http",   "couldn't find remote ref", NULL};
    own(free) char *spec = str_fmt("%s:refs/dewar/%s", commit, commit);
    const char *args[] = {"fetch",
                          "--progress",
                          "--depth=1",
                          "--no-tags",
                          "--no-write-fetch-head",
                          "--force",
                          "--no-auto-maintenance",
                          "--no-recurse-submodules",
                          "--end-of-options",
                          r->url,
                          spec,
                          NULL};
    struct fetching f = {job, commit};
    struct build_gitrun g = {
        .git_dir = c->path, .keep_fd = c->fd, .progress = on_progress, .arg = &f};
    struct err first;
    if (ask(job, r, &g, args, NULL, &first) == 0) return 0;
    bool again = false;
    for (size_t i = 0; retry[i]; i++) again = again || strcasestr(err_cause(&first), retry[i]);
    if (again) return fetch_all(job, r, c, commit, e);
    *e = first;
    return -1;
}

static int fetch(struct build_job *job, const struct build_remote *r, const struct copy *c,
                 const char *commit, struct err *e)
{
    own(free) char *name = str_fmt("fetch %.12s of %s", commit, r->shown);
    build_outside_event(job, commit, EVENT_START, name, 0, 0);
    int rc = fetch_one(job, r, c, commit, e);
    build_outside_event(job, commit, rc < 0 ? EVENT_FAILED : EVENT_DONE,
                        rc < 0 ? err_cause(e) : "", 0, 0);
    return rc;
}

static int open_with_commit(struct build_job *job, const struct build_remote *r, const char *commit,
                            struct copy *out, struct err *e)
{
    if (open_copy(job, r, strlen(commit) == 64, out, e) < 0) return -1;
    if (has_commit(out, commit)) return 0;
    if (fs_lock(out->fd, LOCK_EX, e) < 0) return -1;
    drop_leftovers(out->fd);
    int rc = has_commit(out, commit) ? 0 : fetch(job, r, out, commit, e);
    flock(out->fd, LOCK_UN);
    return rc;
}

int build_git_fetch(struct build_job *job, const struct build_remote *r, const char *commit,
                    struct err *e)
{
    own(copy) struct copy c = {.fd = -1};
    return open_with_commit(job, r, commit, &c, e);
}

// --- the tree -----------------------------------------------------------------------------------
struct checkout {
    struct build_job *job;
    const struct build_remote *r;
    const char *commit;
    int tmp_fd;
    char *tmp_path;
    unsigned depth;
    unsigned *submodules; // so far, of all levels
};

struct module {
    char *path, *commit;
};

// A few hundred bytes of tree objects can name more files than a disk holds: count first. Lines are
// "<mode> <type> <id> <size>\t<path>\0".
static int read_listing(struct sv listing, struct strv *out_modules, struct err *e)
{
    uint64_t files = 0, bytes = 0, size;
    while (listing.p && listing.n) {
        struct sv path = sv_cut(&listing, '\0'), head = sv_cut(&path, '\t');
        struct sv mode = sv_cut(&head, ' ');
        sv_cut(&head, ' ');
        struct sv id = sv_cut(&head, ' ');
        if (!path.p) return err_set(e, ERR_CORRUPT, "git listed a tree in an unknown form");
        if (num_u64(sv_trim(head), &size)) bytes += size < TREE_BYTES ? size : TREE_BYTES;
        if (++files > LIMIT_TAR_ENTRIES || bytes > TREE_BYTES)
            return err_set(e, ERR_LIMIT, "the tree has more than %ju files or %ju bytes",
                           (uintmax_t)LIMIT_TAR_ENTRIES, (uintmax_t)TREE_BYTES);
        if (!sv_eqz(mode, "160000")) continue;
        strv_take(out_modules, sv_dup(path));
        strv_take(out_modules, sv_dup(id));
    }
    return 0;
}

// The address of the submodule at `path` as .gitmodules has it: keys and values of `git config -z`,
// "submodule.<name>.path\n<path>\0". NULL: not told, then the folder stays empty as with git.
static char *module_url(struct sv config, const char *path)
{
    own(free) char *name = NULL;
    for (int pass = 0; pass < 2; pass++) {
        struct sv rest = config;
        while (rest.p && rest.n) {
            struct sv value = sv_cut(&rest, '\0'), key = sv_cut(&value, '\n');
            if (!value.p || !sv_starts(key, "submodule.")) continue;
            struct sv middle = sv_from(key, strlen("submodule."));
            if (pass == 0 && sv_ends(middle, ".path") && sv_eqz(value, path)) {
                free(name);
                name = sv_dup(sv_part(middle, 0, middle.n - 5));
            }
            if (pass == 1 && name && sv_ends(middle, ".url") && middle.n == strlen(name) + 4 &&
                sv_starts(middle, name))
                return sv_dup(value);
        }
    }
    return NULL;
}

static int write_tree(struct checkout *c, const char *name, struct err *e);

static int write_module(struct checkout *c, struct sv config, const char *path, const char *commit,
                        const struct root *into, struct err *e)
{
    own(build_remote) struct build_remote r = {0};
    own(free) char *url = module_url(config, path);
    if (!url) return 0;
    if (c->depth >= SUBMODULE_DEPTH || ++*c->submodules > SUBMODULES)
        return err_set(e, ERR_LIMIT, "more than %d submodules, or more than %d inside each other",
                       SUBMODULES, SUBMODULE_DEPTH);
    if (build_remote_submodule(c->r, url, &r, e) < 0) return -1;
    struct checkout sub = *c;
    own(free) char *name = str_fmt("module-%d-%u", (int)getpid(), *c->submodules);
    sub.r = &r;
    sub.commit = commit;
    sub.depth++;
    if (write_tree(&sub, name, e) < 0) return -1;
    // git made an empty folder for it; what stands there instead is not ours to follow.
    own(free) char *folder = str_dup(path);
    char *slash = strrchr(folder, '/');
    const char *last = slash ? slash + 1 : folder;
    if (slash) *slash = '\0';
    own(fd) int parent = fs_in_beneath(into, slash ? folder : ".", O_RDONLY | O_DIRECTORY);
    if (parent < 0 || unlinkat(parent, last, AT_REMOVEDIR) != 0 ||
        renameat(c->tmp_fd, name, parent, last) != 0)
        return err_sys(e, "put the submodule in place");
    return 0;
}

static int write_modules(struct checkout *c, const struct copy *from, const struct strv *modules,
                         const struct root *into, struct err *e)
{
    own(str) struct str config = {0};
    own(free) char *blob = str_fmt("%s:.gitmodules", c->commit);
    const char *args[] = {"config", "--blob", blob, "--null", "--list", NULL};
    struct build_gitrun g = {.git_dir = from->path};
    struct err none;
    if (modules->n == 0 || build_gitrun(&g, args, &config, &none) < 0) return 0;
    for (size_t i = 0; i + 1 < modules->n; i += 2)
        if (write_module(c, str_sv(&config), modules->p[i], modules->p[i + 1], into, e) < 0)
            return err_wrap(e, "in the submodule '%s' of '%s'", modules->p[i], c->r->shown);
    return 0;
}

static int write_files(struct checkout *c, const struct copy *from, const char *name,
                       struct strv *modules, struct err *e)
{
    own(str) struct str listing = {.max = TREE_LISTING + 1};
    own(free) char *work = str_fmt("%s/%s", c->tmp_path, name);
    own(free) char *index_name = str_fmt("%s.index", name);
    own(free) char *index = str_fmt("%s/%s", c->tmp_path, index_name);
    const char *list[] = {"ls-tree",          "-r",      "-l", "-z", "--full-tree",
                          "--end-of-options", c->commit, NULL};
    const char *write[] = {"read-tree", "--reset", "-u", c->commit, NULL};
    struct build_gitrun look = {.git_dir = from->path, .max = TREE_LISTING};
    struct build_gitrun g = {.git_dir = from->path, .work_tree = work, .index = index};
    if (build_gitrun(&look, list, &listing, e) < 0) return -1;
    if (read_listing(str_sv(&listing), modules, e) < 0) return -1;
    if (mkdirat(c->tmp_fd, name, 0755) != 0) return err_sys(e, "make a folder for a checkout");
    if (build_gitrun(&g, write, NULL, e) < 0) return -1;
    unlinkat(c->tmp_fd, index_name, 0);
    return 0;
}

static int write_once(struct checkout *c, const char *name, struct copy *from, struct strv *modules,
                      struct err *e)
{
    if (open_with_commit(c->job, c->r, c->commit, from, e) < 0) return -1;
    return write_files(c, from, name, modules, e);
}

static int write_tree(struct checkout *c, const char *name, struct err *e)
{
    own(copy) struct copy from = {.fd = -1};
    own(strv) struct strv modules = {0};
    struct err first;
    int rc = write_once(c, name, &from, &modules, &first);
    if (rc < 0 && first.kind == ERR_SYSTEM && from.fd >= 0 && has_commit(&from, c->commit)) {
        // The copy says it is complete and is not: a power cut, or somebody's hand.
        own(fd) int cache = fs_open_dir(c->job->en->store_fd, "cache/git", e);
        if (cache < 0 || store_trash(c->job->en, cache, from.name, e) < 0 ||
            fs_remove_tree(c->tmp_fd, name, e) < 0)
            return -1;
        own_copy(&from);
        from = (struct copy){.fd = -1};
        strv_fini(&modules);
        rc = write_once(c, name, &from, &modules, &first);
    }
    if (rc < 0) {
        *e = first;
        return err_wrap(e, "checking out %.12s of '%s'", c->commit, c->r->shown);
    }
    own(fd) int dir = fs_open_dir(c->tmp_fd, name, e);
    if (dir < 0) return -1;
    struct root into = {dir, "the checkout"};
    return write_modules(c, &from, &modules, &into, e);
}

// A repository with one commit, without anything that differs between two makings of it: no reflog,
// no FETCH_HEAD, an index that knows no times.
static int write_git_dir(struct checkout *c, const char *name, struct err *e)
{
    own(copy) struct copy from = {.fd = -1};
    bool sha256 = strlen(c->commit) == 64;
    if (open_with_commit(c->job, c->r, c->commit, &from, e) < 0) return -1;
    own(free) char *work = str_fmt("%s/%s", c->tmp_path, name);
    own(free) char *git_dir = str_fmt("%s/.git", work);
    own(free) char *ref = str_fmt("refs/dewar/%s:refs/dewar/%s", c->commit, c->commit);
    own(free) char *drop = str_fmt("refs/dewar/%s", c->commit);
    struct build_gitrun g = {.git_dir = git_dir};
    struct build_gitrun fetching = {.git_dir = git_dir, .between_ours = true};
    const char *init[] = {"init", "--quiet",
                          sha256 ? "--object-format=sha256" : "--object-format=sha1", NULL};
    const char *origin[] = {"config", "remote.origin.url", c->r->url, NULL};
    const char *config[] = {"config", "core.bare", "false", NULL};
    const char *get[] = {"-c",
                         "fetch.unpackLimit=1000000",
                         "fetch",
                         "--quiet",
                         "--depth=1",
                         "--no-tags",
                         "--no-write-fetch-head",
                         "--no-auto-maintenance",
                         "--end-of-options",
                         from.path,
                         ref,
                         NULL};
    const char *head[] = {"update-ref", "--no-deref", "HEAD", c->commit, NULL};
    const char *unref[] = {"update-ref", "-d", drop, NULL};
    const char *index[] = {"read-tree", c->commit, NULL};
    if (build_gitrun(&g, init, NULL, e) < 0 || build_gitrun(&g, config, NULL, e) < 0 ||
        build_gitrun(&g, origin, NULL, e) < 0 || build_gitrun(&fetching, get, NULL, e) < 0 ||
        build_gitrun(&g, head, NULL, e) < 0 || build_gitrun(&g, unref, NULL, e) < 0 ||
        build_gitrun(&g, index, NULL, e) < 0)
        return err_wrap(e, "making the .git of '%s'", c->r->shown);
    own(fd) int dir = fs_open_dir(c->tmp_fd, name, e);
    if (dir < 0) return -1;
    return fs_remove_tree(dir, ".git/refs/dewar", e);
}

int build_git_checkout(struct build_job *job, const struct build_remote *r, const char *commit,
                       bool keep_git_dir, int tmp_fd, const char *name, int *out_fd, struct err *e)
{
    unsigned submodules = 0;
    struct checkout c = {job, r, commit, tmp_fd, NULL, 0, &submodules};
    own(free) char *path = NULL;
    if (path_of(tmp_fd, &path, e) < 0) return -1;
    c.tmp_path = path;
    if (write_tree(&c, name, e) < 0 || (keep_git_dir && write_git_dir(&c, name, e) < 0)) return -1;
    own(fd) int top = fs_open_dir(tmp_fd, name, e);
    if (top < 0) return -1;
    if (!r->subdir) {
        *out_fd = take_fd(top);
        return 0;
    }
    struct root root = {top, r->shown};
    *out_fd = fs_in_beneath(&root, r->subdir, O_RDONLY | O_DIRECTORY);
    if (*out_fd >= 0) return 0;
    if (errno == EXDEV)
        return err_set(e, ERR_INPUT, "the folder '%s' of '%s' leads out of the repository",
                       r->subdir, r->shown);
    return err_sys(e, "open the folder '%s' of '%s'", r->subdir, r->shown);
}

int build_git_time(struct build_job *job, const struct build_remote *r, const char *commit,
                   int64_t *out, struct err *e)
{
    own(copy) struct copy c = {.fd = -1};
    own(str) struct str text = {0};
    const char *args[] = {"log", "-1", "--format=%ct", "--end-of-options", commit, NULL};
    if (open_with_commit(job, r, commit, &c, e) < 0) return -1;
    struct build_gitrun g = {.git_dir = c.path};
    if (build_gitrun(&g, args, &text, e) < 0) return -1;
    if (num_i64(sv_trim(str_sv(&text)), out)) return 0;
    return err_set(e, ERR_INPUT, "commit %s has no time", commit);
}
