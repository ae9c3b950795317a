// SPDX-License-Identifier: Apache-2.0
// Which files a COPY means. Sources are clamped to their root, an explicit symlink is followed
// inside it, wildcards match names in the tree.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "build/copy.h"
#include "build/glob.h"
#include "build/suggest.h"

#define LINKS_MAX 40

void build_picks_fini(struct build_picks *p)
{
    vec_each(k, &p->v)
    {
        free(k->under);
        free(k->name);
    }
    vec_fini(&p->v);
}

static const char *last_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

const char *build_pick_name(const struct build_pick *p)
{
    return p->name ? p->name : last_of(p->node->path);
}

// "../x", "/x", "x/" and "./x" all mean x.
static void clamp(const char *source, struct str *out)
{
    own(str) struct str rooted = {0};
    own(str) struct str clean = {0};
    str_addf(&rooted, "/%s", source);
    fs_clean(str_sv(&rooted), &clean);
    str_add(out, sv_from(str_sv(&clean), 1));
}

// Takes the last component off.
static void drop_last(struct str *path)
{
    const char *slash = path->n ? strrchr(str_z(path), '/') : NULL;
    str_cut(path, slash ? (size_t)(slash - str_z(path)) : 0);
}

int build_copy_follow(const struct root *r, const char *path, struct str *out, struct err *e)
{
    own(str) struct str todo = {0};
    str_addz(&todo, path);
    str_clear(out);
    struct sv rest = str_sv(&todo);
    for (unsigned links = 0; rest.p;) {
        struct sv name = sv_cut(&rest, '/');
        if (name.n == 0 || sv_eqz(name, ".")) continue;
        if (sv_eqz(name, "..")) {
            drop_last(out);
            continue;
        }
        if (out->n) str_addc(out, '/');
        str_add(out, name);
        char link[4096];
        own(fd) int fd = fs_in_try_link(r, str_z(out));
        ssize_t n = fd < 0 ? -1 : readlinkat(fd, "", link, sizeof link);
        if (n <= 0) continue; // not a symlink, or not there: the caller finds out
        if (++links > LINKS_MAX)
            return err_set(e, ERR_INPUT, "'%s' inside %s: too many symbolic links", path, r->label);
        if (link[0] == '/')
            str_clear(out);
        else
            drop_last(out);
        own(str) struct str next = {0};
        str_add(&next, (struct sv){link, (size_t)n});
        if (rest.p) str_addf(&next, "/%.*s", (int)rest.n, rest.p);
        str_clear(&todo);
        str_add(&todo, str_sv(&next));
        rest = str_sv(&todo);
    }
    return 0;
}

// The name nearest to what was asked for: the same last component somewhere else.
static const char *elsewhere(const struct build_tree *t, const char *path)
{
    vec_each(n, &t->nodes) if (strcmp(last_of(n->path), last_of(path)) == 0) return n->path;
    return NULL;
}

// A name in the folder that was asked for, nearly spelt like it. `names` keeps it.
static const char *misspelt(const struct build_tree *t, const char *path, struct strv *names)
{
    size_t folder = (size_t)(last_of(path) - path);
    vec_each(n, &t->nodes)
    {
        bool beside = (size_t)(last_of(n->path) - n->path) == folder;
        if (beside && n->path[0] && strncmp(n->path, path, folder) == 0)
            strv_add(names, last_of(n->path));
    }
    return build_suggest_find(sv_of(last_of(path)), names);
}

static int missing(const struct build_tree *t, const char *path, const struct build_ignore *ignore,
                   const char *ignore_label, struct err *e)
{
    unsigned line = 0;
    err_set(e, ERR_INPUT, "'%s' is not in %s", path, t->root.label);
    if (build_tree_find(t, path)) {
        own(str) struct str real = {0};
        if (build_copy_follow(&t->root, path, &real, e) < 0) return -1;
        return err_hint(e, "it is a link, and '/%s', which it leads to, is not there",
                        str_z(&real));
    }
    if (ignore && build_ignore_match(ignore, path, &line) && fs_exists(t->root.fd, path)) {
        if (line == 0)
            return err_hint(e, "a lock is left out, unless .dockerignore has the line '!%s'", path);
        return err_hint(e, "the file is there, but %s, line %u, leaves it out", ignore_label, line);
    }
    const char *other = elsewhere(t, path);
    if (other) return err_hint(e, "did you mean './%s'?", other);
    own(strv) struct strv names = {0};
    const char *near = misspelt(t, path, &names);
    if (!near && strchr(path, ' '))
        return err_hint(e, "a value with blanks is one name: write each source as a word of its own");
    return near ? err_hint(e, "did you mean './%.*s%s'?", (int)(last_of(path) - path), path, near) : -1;
}

// --exclude is relative to the source: the name of what a wildcard found, or of a file.
static bool excluded(const struct build_copy *spec, const struct build_node *n, bool by_glob)
{
    if (!spec->has_excludes || (S_ISDIR(n->mode) && !by_glob)) return false;
    return build_ignore_match(&spec->excludes, last_of(n->path), NULL);
}

// --parents: what of the node's path is kept, from behind "/./" in the source or all of it.
static void keep_parents(struct build_pick *p, const char *source)
{
    const char *pivot = strstr(source, "/./");
    own(str) struct str head = {0};
    if (pivot) {
        own(free) char *before = sv_dup((struct sv){source, (size_t)(pivot - source)});
        clamp(before, &head);
    }
    p->above = head.n && build_tree_is_below(p->node, str_z(&head)) ? head.n + 1 : 0;
    const char *kept = p->node->path + p->above, *slash = strrchr(kept, '/');
    // A folder's contents go below its own name; a file stands below its folder's.
    struct sv folder = sv_of(kept);
    if (!S_ISDIR(p->node->mode)) folder.n = slash ? (size_t)(slash - kept) : 0;
    p->under = sv_dup(folder);
}

static void pick(struct build_picks *out, const struct build_node *n, const struct build_copy *spec,
                 const char *source, const char *name)
{
    struct build_pick p = {.node = n};
    if (spec->parents)
        keep_parents(&p, source);
    else if (name)
        p.name = str_dup(name);
    vec_push(&out->v, p);
}

int build_pick_parents(struct build_tree *t, const struct build_pick *p,
                       int (*fn)(void *arg, const char *under, const struct stat *st,
                                 struct err *e),
                       void *arg, struct err *e)
{
    if (!p->under) return 0;
    // A folder's own name is the last component of `under`, and no folder above it.
    const char *end = p->under + strlen(p->under);
    if (S_ISDIR(p->node->mode)) end -= strlen(last_of(p->under));
    for (const char *at = p->under; at < end; at++) {
        size_t len = strcspn(at, "/");
        at += len;
        if (len == 0) continue;
        own(free) char *under = sv_dup((struct sv){p->under, (size_t)(at - p->under)});
        own(free) char *source = sv_dup((struct sv){p->node->path, p->above + strlen(under)});
        own(fd) int fd = fs_in_try(&t->root, source, O_PATH | O_DIRECTORY, 0);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) != 0)
            return err_sys(e, "open '%s' inside %s", source, t->root.label);
        if (fn(arg, under, &st, e) < 0) return -1;
    }
    return 0;
}

static bool is_pattern(const struct build_copy *spec, const struct str *path)
{
    return !spec->literal && build_glob_magic(str_sv(path));
}

static bool hits(const struct build_copy *spec, const char *pattern, const struct build_node *n)
{
    return n->path[0] && (spec->parents ? build_glob_match_deep(sv_of(pattern), sv_of(n->path))
                                        : build_glob_match(sv_of(pattern), sv_of(n->path)));
}

// The folder above the first component with a wildcard.
static struct sv fixed_part(struct sv pattern)
{
    struct sv rest = pattern;
    size_t n = 0;
    while (rest.p) {
        struct sv name = sv_cut(&rest, '/');
        if (build_glob_magic(name)) break;
        n = (size_t)(name.p + name.n - pattern.p);
    }
    return sv_part(pattern, 0, n);
}

// The pattern as paths of the tree are written: with the links in its fixed part followed.
static int real_pattern(const struct root *r, const char *pattern, struct str *out, struct err *e)
{
    own(str) struct str real = {0};
    struct sv fixed = fixed_part(sv_of(pattern));
    own(free) char *folder = sv_dup(fixed);
    if (build_copy_follow(r, folder, &real, e) < 0) return -1;
    for (size_t i = 0; i < real.n; i++) {
        if (strchr("*?[\\", str_z(&real)[i])) str_addc(out, '\\');
        str_addc(out, str_z(&real)[i]);
    }
    const char *tail = pattern + fixed.n;
    str_addz(out, real.n == 0 && *tail == '/' ? tail + 1 : tail);
    return 0;
}

// What a source names is followed when it is a symlink, and keeps its name. A link to nothing that
// only a wildcard found is copied as it is.
static int select_glob(struct build_tree *t, const struct build_copy *spec, const char *source,
                       const char *pattern, struct build_picks *out, struct err *e)
{
    own(str) struct str real = {0};
    own(str) struct str whole = {0};
    if (build_glob_check(sv_of(pattern), e) < 0) return -1;
    if (spec->parents)
        str_addz(&whole, pattern);
    else if (real_pattern(&t->root, pattern, &whole, e) < 0)
        return -1;
    vec_each(n, &t->nodes)
    {
        if (!hits(spec, str_z(&whole), n) || excluded(spec, n, true)) continue;
        const struct build_node *to = NULL;
        if (S_ISLNK(n->mode) && !spec->parents) {
            if (build_copy_follow(&t->root, n->path, &real, e) < 0) return -1;
            to = build_tree_find(t, str_z(&real));
        }
        pick(out, to ? to : n, spec, source, last_of(n->path));
    }
    return 0;
}

int build_copy_select(struct build_tree *t, const struct build_copy *spec,
                      const struct build_ignore *ignore, const char *ignore_label,
                      struct build_picks *out, struct err *e)
{
    for (size_t i = 0; i < spec->sources.n; i++) {
        own(str) struct str path = {0};
        own(str) struct str real = {0};
        clamp(spec->sources.p[i], &path);
        if (is_pattern(spec, &path)) {
            if (select_glob(t, spec, spec->sources.p[i], str_z(&path), out, e) < 0) return -1;
            continue;
        }
        const struct build_node *n = build_tree_find(t, str_z(&path));
        if (!n || (S_ISLNK(n->mode) && !spec->parents)) {
            if (build_copy_follow(&t->root, str_z(&path), &real, e) < 0) return -1;
            n = build_tree_find(t, str_z(&real));
        }
        if (!n) return missing(t, str_z(&path), ignore, ignore_label, e);
        if (!excluded(spec, n, false))
            pick(out, n, spec, spec->sources.p[i], last_of(str_z(&path)));
    }
    return 0;
}

bool build_copy_keeps(const struct build_tree *t, const struct build_copy *spec,
                      const struct build_node *top, const struct build_node *n)
{
    size_t skip = top->path[0] ? strlen(top->path) + 1 : 0;
    const struct build_node *end = t->nodes.p + t->nodes.n;
    if (!spec->has_excludes || !build_ignore_match(&spec->excludes, n->path + skip, NULL))
        return true;
    if (!S_ISDIR(n->mode) || !build_ignore_may_keep(&spec->excludes, n->path + skip)) return false;
    for (const struct build_node *k = n + 1; k < end && build_tree_is_below(k, n->path); k++)
        if (!build_ignore_match(&spec->excludes, k->path + skip, NULL)) return true;
    return false;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// Walks each of the folders and files in `starts`, none twice.
static int scan_parts(struct build_tree *t, struct strv *starts, struct err *e)
{
    if (starts->n) qsort(starts->p, starts->n, sizeof *starts->p, by_path);
    const char *last = NULL;
    for (size_t i = 0; i < starts->n; i++) {
        // A start below the one before it was walked already.
        size_t n = last ? strlen(last) : 0;
        bool below = last && strncmp(starts->p[i], last, n) == 0 &&
                     (n == 0 || starts->p[i][n] == '/' || starts->p[i][n] == '\0');
        if (below) continue;
        if (build_tree_scan_part(t, starts->p[i], e) < 0) return -1;
        last = starts->p[i];
    }
    build_tree_sort(t);
    return 0;
}

// What links that a wildcard found lead to, where that was not walked yet.
static int scan_targets(struct build_tree *t, const struct build_copy *spec, struct err *e)
{
    own(strv) struct strv targets = {0};
    for (size_t i = 0; i < spec->sources.n && !spec->parents; i++) {
        own(str) struct str path = {0};
        own(str) struct str whole = {0};
        own(str) struct str real = {0};
        clamp(spec->sources.p[i], &path);
        if (!is_pattern(spec, &path)) continue;
        if (real_pattern(&t->root, str_z(&path), &whole, e) < 0) return -1;
        vec_each(n, &t->nodes)
        {
            if (!S_ISLNK(n->mode) || !hits(spec, str_z(&whole), n)) continue;
            if (build_copy_follow(&t->root, n->path, &real, e) < 0) return -1;
            own(fd) int fd = fs_in_try_link(&t->root, real.n ? str_z(&real) : "/");
            if (fd >= 0 && !build_tree_find(t, str_z(&real))) strv_add(&targets, str_z(&real));
        }
    }
    return targets.n ? scan_parts(t, &targets, e) : 0;
}

int build_copy_scan(struct build_tree *t, const struct build_copy *spec, struct err *e)
{
    own(strv) struct strv starts = {0};
    for (size_t i = 0; i < spec->sources.n; i++) {
        own(str) struct str path = {0};
        own(str) struct str real = {0};
        clamp(spec->sources.p[i], &path);
        bool pattern = is_pattern(spec, &path);
        own(free) char *fixed = sv_dup(pattern ? fixed_part(str_sv(&path)) : str_sv(&path));
        own(fd) int link = fs_in_try_link(&t->root, *fixed ? fixed : "/");
        struct stat st;
        // --parents takes a link as it is.
        if (spec->parents && link >= 0 && fstat(link, &st) == 0 && S_ISLNK(st.st_mode))
            strv_add(&starts, fixed);
        if (build_copy_follow(&t->root, fixed, &real, e) < 0) return -1;
        own(fd) int fd = fs_in_try_link(&t->root, real.n ? str_z(&real) : "/");
        if (fd < 0) {
            if (pattern || link >= 0) continue;
            return err_set(e, ERR_INPUT, "'%s' is not in %s", str_z(&path), t->root.label);
        }
        strv_add(&starts, str_z(&real));
    }
    return scan_parts(t, &starts, e) < 0 ? -1 : scan_targets(t, spec, e);
}

struct hash_arg {
    const struct build_tree *tree;
    struct codec_sha256 *h;
};

static int hash_parent(void *arg, const char *under, const struct stat *st, struct err *e)
{
    struct hash_arg *a = arg;
    (void)under, (void)e;
    codec_sha256_addu(a->h, st->st_mode);
    if (!a->tree->is_context) codec_sha256_addu(a->h, (uint64_t)st->st_uid << 32 | st->st_gid);
    return 0;
}

int build_copy_hash(struct build_tree *t, const struct build_copy *spec,
                    const struct build_picks *picks, struct codec_sha256 *h, struct err *e)
{
    vec_each(p, &picks->v)
    {
        const struct build_node *top = p->node;
        struct hash_arg arg = {t, h};
        size_t skip = top->path[0] ? strlen(top->path) + 1 : 0;
        codec_sha256_addz(h, p->under ? p->under : "");
        if (build_pick_parents(t, p, hash_parent, &arg, e) < 0) return -1;
        const char *name = S_ISDIR(top->mode) ? "" : build_pick_name(p);
        if (build_tree_hash(t, top, name, h, e) < 0) return -1;
        if (!S_ISDIR(top->mode)) continue;
        const struct build_node *end = t->nodes.p + t->nodes.n;
        for (const struct build_node *n = top + 1; n < end && build_tree_is_below(n, top->path);
             n++) {
            if (!build_copy_keeps(t, spec, top, n)) continue;
            if (build_tree_hash(t, n, n->path + skip, h, e) < 0) return -1;
        }
    }
    vec_each(in, &spec->inlines)
    {
        codec_sha256_addz(h, in->name);
        codec_sha256_addu(h, in->n);
        codec_sha256_add(h, in->data, in->n);
    }
    return 0;
}
