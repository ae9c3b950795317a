// SPDX-License-Identifier: Apache-2.0
// COPY and ADD. Words are expanded one by one and never split again, so a value with blanks is one
// path. A source that is a heredoc brings its own bytes.
#include <stdlib.h>

#include "base/own.h"
#include "build/heredoc.h"
#include "build/instr.h"
#include "build/instr_internal.h"
#include "build/remote.h"

void build_copy_fini(struct build_copy *v)
{
    strv_fini(&v->sources);
    vec_each(i, &v->inlines)
    {
        free(i->name);
        free(i->data);
    }
    vec_fini(&v->inlines);
    free(v->dest);
    free(v->from);
    free(v->chown);
    free(v->chmod);
    free(v->checksum);
    build_ignore_fini(&v->excludes);
    memset(v, 0, sizeof *v);
}

static int refuse_remote(const char *source, struct err *e)
{
    err_set(e, ERR_INPUT, "COPY does not take the URL '%s'", source);
    return err_hint(e, "write ADD instead: it fetches URLs and git repositories");
}

// The body that belongs to a heredoc word. The last one wins when two have the same name.
static const struct build_heredoc *body_of(const struct build_instr *in, const char *name)
{
    const struct build_heredoc *found = NULL;
    vec_each(h, &in->heredocs)
    {
        if (strcmp(h->name, name) == 0) found = h;
    }
    return found;
}

static int add_inline(const struct build_instr *in, const struct build_heredoc *word,
                      const struct build_expand *x, struct build_copy *out, struct err *e)
{
    const struct build_heredoc *h = body_of(in, word->name);
    if (!h) return err_set(e, ERR_INPUT, "the heredoc '%s' has no body", word->name);
    if (strchr(h->name, '/') || strcmp(h->name, ".") == 0 || strcmp(h->name, "..") == 0) {
        err_set(e, ERR_INPUT, "the heredoc '%s' gives no file name", h->name);
        return err_hint(e, "the word behind << names the file: use letters and digits");
    }
    own(str) struct str raw = {0};
    struct str data = {0};
    build_heredoc_body(h, &raw);
    if (!word->expand) {
        str_add(&data, str_sv(&raw));
    } else if (build_expand_heredoc(x, str_sv(&raw), &data, e) < 0) {
        str_fini(&data);
        return -1;
    }
    size_t n = data.n;
    vec_push(&out->inlines, (struct build_inline){str_dup(h->name), str_take(&data), n});
    return 0;
}

static int add_source(const struct build_instr *in, const char *word, const struct build_expand *x,
                      struct build_copy *out, struct err *e)
{
    struct build_heredoc h = {0};
    struct err ignored = {0};
    if (!in->json && build_heredoc_word(sv_of(word), &h, &ignored) == 1) {
        int rc = add_inline(in, &h, x, out, e);
        build_heredoc_fini(&h);
        return rc;
    }
    own(free) char *path = NULL;
    if (build_instr_expand(x, word, &path, e) < 0) return -1;
    struct build_remote r;
    int rc = out->from ? 0 : build_remote_parse(path, BUILD_REMOTE_IN_FILE, &r, e);
    if (rc == 1) build_remote_fini(&r);
    if (rc < 0) return -1;
    if (rc == 1 && !out->is_add) return refuse_remote(path, e);
    strv_take(&out->sources, take_ptr(path));
    return 0;
}

static int add_paths(const struct build_instr *in, const struct build_expand *x,
                     struct build_copy *out, struct err *e)
{
    const char *dest = in->words.p[in->words.n - 1];
    struct build_heredoc h = {0};
    struct err ignored = {0};
    if (!in->json && build_heredoc_word(sv_of(dest), &h, &ignored) == 1) {
        build_heredoc_fini(&h);
        err_set(e, ERR_INPUT, "%s cannot take the heredoc '%s' as its destination",
                in->def->name, dest);
        return err_hint(e, "the destination stands last: %s %s /path", in->def->name, dest);
    }
    if (build_instr_expand(x, dest, &out->dest, e) < 0) return -1;
    for (size_t i = 0; i + 1 < in->words.n; i++)
        if (add_source(in, in->words.p[i], x, out, e) < 0) return -1;
    return 0;
}

int build_instr_check_from(const char *from, struct err *e)
{
    if (!strchr(from, '$')) return 0;
    err_set(e, ERR_INPUT, "from='%s' cannot use variables", from);
    return err_hint(e, "put 'FROM %s AS name' above, with a global ARG, and use from=name", from);
}

static int set_from(const struct build_instr *in, struct build_copy *out, struct err *e)
{
    const char *from = build_instr_flag(in, "from");
    if (!from) return 0;
    if (build_instr_check_from(from, e) < 0) return -1;
    if (!*from) return err_set(e, ERR_INPUT, "--from is empty");
    out->from = str_dup(from);
    return 0;
}

// Of a URL the digest of its bytes, of a git repository the commit or its first digits.
static int check_checksum(const char *text, struct err *e)
{
    struct sv v = sv_of(text);
    bool sum = sv_starts(v, "sha256:");
    struct sv hex = sum ? sv_from(v, 7) : v;
    size_t digits = strspn(hex.p, "0123456789abcdef");
    if (digits == hex.n && (sum ? hex.n == 64 : hex.n >= 7 && hex.n <= 64)) return 0;
    err_set(e, ERR_INPUT, "--checksum='%s' is no checksum", text);
    return err_hint(e, "write sha256: and 64 hex digits for a URL, a commit for git");
}

static int add_excludes(const struct build_instr *in, struct build_copy *out, struct err *e)
{
    vec_each(f, &in->flags)
    {
        if (strcmp(f->def->name, "exclude") != 0) continue;
        if (build_ignore_add(&out->excludes, sv_of(f->value), 0, e) < 0)
            return err_wrap(e, "in --exclude");
        out->has_excludes = true;
    }
    return 0;
}

static bool is_on(const struct build_instr *in, const char *flag)
{
    const char *v = build_instr_flag(in, flag);
    return v && strcmp(v, "true") == 0;
}

static int fill(const struct build_instr *in, const struct build_expand *x, struct build_copy *out,
                struct err *e)
{
    uint32_t mode;
    out->is_add = in->def->id == BUILD_ADD;
    out->link = is_on(in, "link");
    out->parents = is_on(in, "parents");
    out->keep_git_dir = is_on(in, "keep-git-dir");
    out->has_unpack = build_instr_flag(in, "unpack") != NULL;
    out->unpack = is_on(in, "unpack");
    if (set_from(in, out, e) < 0 || build_instr_expand_flag(in, "chown", x, &out->chown, e) < 0 ||
        build_instr_expand_flag(in, "chmod", x, &out->chmod, e) < 0 ||
        build_instr_expand_flag(in, "checksum", x, &out->checksum, e) < 0 ||
        add_excludes(in, out, e) < 0)
        return -1;
    // An empty value (a variable that is not set) is as good as no flag.
    if (out->chown && !*out->chown) free(take_ptr(out->chown));
    if (out->chmod && !*out->chmod) free(take_ptr(out->chmod));
    if (out->chmod && build_chmod_apply(out->chmod, 0, &mode, e) < 0)
        return err_wrap(e, "in --chmod");
    if (add_paths(in, x, out, e) < 0) return -1;
    if (!out->checksum) return 0;
    if (out->sources.n + out->inlines.n > 1)
        return err_set(e, ERR_INPUT, "--checksum is for a single source");
    if (!*out->checksum) free(take_ptr(out->checksum));
    return out->checksum ? check_checksum(out->checksum, e) : 0;
}

int build_instr_copy(const struct build_instr *in, const struct build_expand *x,
                     struct build_copy *out, struct err *e)
{
    struct build_copy v = {0};
    if (fill(in, x, &v, e) < 0) {
        build_copy_fini(&v);
        return -1;
    }
    *out = v;
    return 0;
}
