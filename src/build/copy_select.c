// SPDX-License-Identifier: Apache-2.0
// Which files a COPY means. Sources are clamped to their root, an explicit symlink is followed inside
// it, wildcards match names in the tree.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "build/copy.h"
#include "build/glob.h"

#define LINKS_MAX 40

void build_picks_fini(struct build_picks *p)
{
    vec_each(k, &p->v) free(k->under);
    vec_fini(&p->v);
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

// Replaces every symlink on the way, the last one too, by what it points to inside the root.
static int follow(const struct root *r, const char *path, struct str *out, struct err *e)
{
    own(str) struct str todo = {0};
    str_addz(&todo, path);
    for (unsigned links = 0;;) {
        struct sv rest = str_sv(&todo);
        bool again = false;
        str_clear(out);
        while (rest.p && !again) {
            struct sv name = sv_cut(&rest, '/');
            if (name.n == 0) continue;
            size_t before = out->n;
            if (before) str_addc(out, '/');
            str_add(out, name);
            char link[4096];
            own(fd) int fd = fs_in_try_link(r, str_z(out));
            ssize_t n = fd < 0 ? -1 : readlinkat(fd, "", link, sizeof link);
            if (n <= 0) continue;  // not a symlink, or not there: the caller finds out
            if (++links > LINKS_MAX)
                return err_set(e, ERR_INPUT, "'%s' inside %s: too many symbolic links", path, r->label);
            own(str) struct str next = {0};
            if (link[0] != '/') {
                str_addc(&next, '/');
                str_add(&next, sv_part(str_sv(out), 0, before));
                str_addc(&next, '/');
            }
            str_add(&next, (struct sv){link, (size_t)n});
            str_addc(&next, '/');
            if (rest.p) str_add(&next, rest);
            str_clear(&todo);
            clamp(str_z(&next), &todo);
            again = true;
        }
        if (!again) return 0;
    }
}

// The name nearest to what was asked for: the same last component somewhere else.
static const char *elsewhere(const struct build_tree *t, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *want = slash ? slash + 1 : path;
    vec_each(n, &t->nodes)
    {
        const char *s = strrchr(n->path, '/');
        if (strcmp(s ? s + 1 : n->path, want) == 0) return n->path;
    }
    return NULL;
}

static int missing(const struct build_tree *t, const char *path, const struct build_ignore *ignore,
                   const char *ignore_label, struct err *e)
{
    unsigned line = 0;
    err_set(e, ERR_INPUT, "'%s' is not in %s", path, t->root.label);
    if (ignore && build_ignore_match(ignore, path, &line) && fs_exists(t->root.fd, path)) {
        if (line == 0)
            return err_hint(e, "a lock is left out, unless .dockerignore has the line '!%s'", path);
        return err_hint(e, "the file is there, but %s, line %u, leaves it out", ignore_label, line);
    }
    const char *other = elsewhere(t, path);
    if (other) return err_hint(e, "did you mean './%s'?", other);
    return -1;
}

// --exclude is relative to the source: the name of what a wildcard found, or of a file.
static bool excluded(const struct build_copy *spec, const struct build_node *n, bool by_glob)
{
    const char *slash = strrchr(n->path, '/');
    if (!spec->has_excludes || (S_ISDIR(n->mode) && !by_glob)) return false;
    return build_ignore_match(&spec->excludes, slash ? slash + 1 : n->path, NULL);
}

static void pick(struct build_picks *out, const struct build_node *n, const struct build_copy *spec,
                 const char *source, bool by_glob)
{
    char *under = NULL;
    if (excluded(spec, n, by_glob)) return;
    if (spec->parents) {
        // Below "/./" in the source, else the whole path: the folders that are kept.
        const char *pivot = strstr(source, "/./");
        own(str) struct str head = {0};
        if (pivot) {
            own(free) char *before = sv_dup((struct sv){source, (size_t)(pivot - source)});
            clamp(before, &head);
        }
        const char *kept = n->path + (head.n && build_tree_is_below(n, str_z(&head)) ? head.n + 1 : 0);
        const char *slash = strrchr(kept, '/');
        // A folder's contents go below its own name; a file stands below its folder's.
        struct sv folder = sv_of(kept);
        if (!S_ISDIR(n->mode)) folder.n = slash ? (size_t)(slash - kept) : 0;
        under = sv_dup(folder);
    }
    vec_push(&out->v, ((struct build_pick){n, under}));
}

static bool is_pattern(const struct build_copy *spec, const struct str *path)
{
    return !spec->literal && build_glob_magic(str_sv(path));
}

static int select_glob(struct build_tree *t, const struct build_copy *spec, const char *source,
                       const char *pattern, struct build_picks *out, struct err *e)
{
    if (build_glob_check(sv_of(pattern), e) < 0) return -1;
    vec_each(n, &t->nodes)
    {
        bool hit = spec->parents ? build_glob_match_deep(sv_of(pattern), sv_of(n->path))
                                 : build_glob_match(sv_of(pattern), sv_of(n->path));
        if (hit && n->path[0]) pick(out, n, spec, source, true);
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
        if (!n || S_ISLNK(n->mode)) {
            if (follow(&t->root, str_z(&path), &real, e) < 0) return -1;
            n = build_tree_find(t, str_z(&real));
        }
        if (!n) return missing(t, str_z(&path), ignore, ignore_label, e);
        pick(out, n, spec, spec->sources.p[i], false);
    }
    return 0;
}

// The folder above the first component with a wildcard.
static void fixed_part(struct sv pattern, struct str *out)
{
    struct sv rest = pattern;
    while (rest.p) {
        struct sv name = sv_cut(&rest, '/');
        if (build_glob_magic(name)) return;
        if (out->n) str_addc(out, '/');
        str_add(out, name);
    }
}

static int by_path(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int build_copy_scan(struct build_tree *t, const struct build_copy *spec, struct err *e)
{
    own(strv) struct strv starts = {0};
    for (size_t i = 0; i < spec->sources.n; i++) {
        own(str) struct str path = {0};
        own(str) struct str fixed = {0};
        own(str) struct str real = {0};
        clamp(spec->sources.p[i], &path);
        if (is_pattern(spec, &path))
            fixed_part(str_sv(&path), &fixed);
        else
            str_add(&fixed, str_sv(&path));
        if (follow(&t->root, str_z(&fixed), &real, e) < 0) return -1;
        own(fd) int fd = fs_in_try_link(&t->root, real.n ? str_z(&real) : "/");
        if (fd < 0) {
            if (is_pattern(spec, &path)) continue;
            return err_set(e, ERR_INPUT, "'%s' is not in %s", str_z(&path), t->root.label);
        }
        strv_add(&starts, str_z(&real));
    }
    if (starts.n) qsort(starts.p, starts.n, sizeof *starts.p, by_path);
    const char *last = NULL;
    for (size_t i = 0; i < starts.n; i++) {
        // A start below the one before it was walked already.
        size_t n = last ? strlen(last) : 0;
        bool below = last && strncmp(starts.p[i], last, n) == 0 &&
                     (n == 0 || starts.p[i][n] == '/' || starts.p[i][n] == '\0');
        if (below) continue;
        if (build_tree_scan_part(t, starts.p[i], e) < 0) return -1;
        last = starts.p[i];
    }
    build_tree_sort(t);
    return 0;
}

// Calls fn for a picked node and everything below it that is not excluded, with its path relative
// to the pick.
static const char *relative(const struct build_node *top, const struct build_node *n)
{
    size_t len = strlen(top->path);
    if (len == 0 || n == top) return n == top ? "" : n->path;
    return n->path + len + 1;
}

int build_copy_hash(struct build_tree *t, const struct build_copy *spec,
                    const struct build_picks *picks, struct codec_sha256 *h, struct err *e)
{
    vec_each(p, &picks->v)
    {
        const struct build_node *top = p->node;
        const char *slash = strrchr(top->path, '/');
        const char *base = slash ? slash + 1 : top->path;
        codec_sha256_addz(h, p->under ? p->under : "");
        if (build_tree_hash(t, top, S_ISDIR(top->mode) ? "" : base, h, e) < 0) return -1;
        if (!S_ISDIR(top->mode)) continue;
        const struct build_node *end = t->nodes.p + t->nodes.n;
        for (const struct build_node *n = top + 1; n < end && build_tree_is_below(n, top->path); n++) {
            const char *rel = relative(top, n);
            if (spec->has_excludes && build_ignore_match(&spec->excludes, rel, NULL)) continue;
            if (build_tree_hash(t, n, rel, h, e) < 0) return -1;
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
