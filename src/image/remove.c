// SPDX-License-Identifier: Apache-2.0
// `rmi` and `image prune`. Names go first; content is freed only when nobody else works in the store,
// and what is left then waits for the next prune. Docker's rules of conflict:
// - an ID with several names needs force; a name only loses itself unless it is the last one;
// - an image that a container uses is kept: a running one cannot be forced, a stopped one can, and its
//   layers stay as long as the container does.
#include <stdio.h>

#include "base/clock.h"
#include "base/own.h"
#include "image/internal.h"
#include "store/gc.h"
#include "store/lock.h"

static const char *const change_names[IMAGE_CHANGE_COUNT] = {
    [IMAGE_UNTAGGED] = "Untagged",
    [IMAGE_DELETED] = "Deleted",
};

const char *image_change_name(enum image_change c)
{
    return change_names[c];
}

void image_removals_fini(struct image_removals *v)
{
    vec_each(r, v) free(r->text);
    vec_fini(v);
}

static void note(struct image_removals *out, enum image_change change, char *text)
{
    vec_push(out, (struct image_removed){.change = change, .text = text});
}

static void note_deleted(struct engine *en, const struct oci_digest *image,
                         struct image_removals *out)
{
    note(out, IMAGE_DELETED, str_fmt("sha256:%s", image->hex));
    image_event(en, "delete", image, NULL);
}

static size_t names_of(const struct store_refs *all, const struct oci_digest *image)
{
    size_t n = 0;
    for (size_t i = 0; i < all->n; i++) {
        n += all->p[i].ref.name[0] && oci_digest_eq(&all->p[i].image, image);
    }
    return n;
}

// Whether the person named this ref (and not the image's ID).
static bool named_by(const struct store_ref *r, const char *text)
{
    struct oci_ref want = {0};
    struct err bad = {0};
    if (!r->ref.name[0] || oci_ref_parse(sv_of(text), &want, &bad) < 0) return false;
    bool digest = oci_digest_is_set(&want.digest);
    oci_ref_default_tag(&want);
    return strcmp(want.host, r->ref.host) == 0 && strcmp(want.name, r->ref.name) == 0 &&
           (digest || strcmp(want.tag, r->ref.tag) == 0);
}

static int check_users(struct engine *en, const struct store_ref *r, const char *name, bool force,
                       struct err *e)
{
    own(store_users) struct store_users users = {0};
    if (store_user_list(en, &users, e) < 0) return -1;
    for (size_t i = 0; i < users.n; i++) {
        const struct store_user *u = &users.p[i];
        if (!store_user_has(u, &r->image) || (force && !u->running)) continue;
        err_set(e, ERR_CONFLICT, "unable to remove image '%s' (%s): the %s container %.12s uses it",
                name, u->running ? "cannot be forced" : "must be forced",
                u->running ? "running" : "stopped", u->id);
        return err_hint(e, "remove the container first: dewar rm %s%.12s", u->running ? "-f " : "",
                        u->id);
    }
    return 0;
}

static int drop_ref(struct engine *en, const struct store_ref *r, struct image_removals *out,
                    struct err *e)
{
    if (store_ref_remove(en, r, e) < 0) return -1;
    if (!r->ref.name[0]) return 0;
    struct str text = {0};
    oci_ref_print(&r->ref, &text);
    note(out, IMAGE_UNTAGGED, str_take(&text));
    image_event(en, "untag", &r->image, &r->ref);
    return 0;
}

static int drop_all(struct engine *en, const struct store_refs *all, const struct store_ref *r,
                    struct image_removals *out, struct err *e)
{
    struct store_ref untagged = *r;
    untagged.ref = (struct oci_ref){0};
    for (size_t i = 0; i < all->n; i++) {
        if (!oci_digest_eq(&all->p[i].image, &r->image)) continue;
        if (drop_ref(en, &all->p[i], out, e) < 0) return -1;
    }
    // A hidden untagged entry would bring the image back.
    return store_ref_remove(en, &untagged, e);
}

static int remove_refs(struct engine *en, const char *name, const struct image_remove_options *opt,
                       struct image_removals *out, bool *out_gone, struct err *e)
{
    struct store_ref r = {0};
    own(store_refs) struct store_refs all = {0};
    if (store_ref_resolve(en, name, &r, e) < 0 || store_ref_list(en, &all, e) < 0) return -1;
    size_t names = names_of(&all, &r.image);
    bool by_name = named_by(&r, name);
    *out_gone = false;
    if (by_name && names > 1) return drop_ref(en, &r, out, e);
    if (!by_name && names > 1 && !opt->force) {
        err_set(e, ERR_CONFLICT, "unable to delete '%s' (must be forced): the image has %zu names",
                name, names);
        return err_hint(e, "remove it by name, or use -f to remove all its names");
    }
    if (check_users(en, &r, name, opt->force, e) < 0) return -1;
    if (drop_all(en, &all, &r, out, e) < 0) return -1;
    note_deleted(en, &r.image, out);
    *out_gone = true;
    return 0;
}

// Frees what the removed image alone needed, if that can be done at once.
static void free_now(struct engine *en)
{
    struct err e = {0};
    struct store_pruned done = {0};
    const struct store_prune_options opt = {.wait = 1};
    if (store_prune(en, &opt, &done, &e) == 0) return;
    if (e.kind == ERR_CONFLICT) {
        event_info(&en->sink, "other commands are at work: space is freed by the next 'system prune'");
    } else {
        event_warn(&en->sink, "space was not freed: %s", err_cause(&e));
    }
}

int image_remove(struct engine *en, const char *name, const struct image_remove_options *opt,
                 struct image_removals *out, struct err *e)
{
    bool gone = false;
    if (remove_refs(en, name, opt, out, &gone, e) < 0) return -1;
    if (gone && !opt->no_prune) free_now(en);
    return 0;
}

// --- prune --------------------------------------------------------------------------------------

struct prune_filters {
    struct strv labels;
    struct strv not_labels;
    int64_t until;  // INT64_MAX when not asked
    bool all;
};

static int add_filter(const char *text, struct prune_filters *f, struct err *e)
{
    static const char *const known[] = {"until", "label", "label!", "dangling", NULL};
    own(free) char *key = NULL;
    const char *value = NULL;
    bool dangling = true;
    if (image_filter_split(text, known, &key, &value, e) < 0) return -1;
    if (strcmp(key, "until") == 0) return image_filter_time(key, value, &f->until, e);
    if (strcmp(key, "dangling") == 0) {
        if (image_filter_bool(key, value, &dangling, e) < 0) return -1;
        f->all = !dangling;
        return 0;
    }
    strv_add(strcmp(key, "label") == 0 ? &f->labels : &f->not_labels, value);
    return 0;
}

// Docker's image store counts `until` from when an image came under its name, or lost the last one, not
// from its `created`: one built reproducibly is dated long ago, and is not old for that.
static bool goes(const struct prune_filters *f, const struct store_ref *r,
                 const struct oci_image *im)
{
    if (r->ref.name[0] && !f->all) return false;
    if (f->until != INT64_MAX && r->set_ns / 1000000000 >= f->until) return false;
    for (size_t i = 0; i < f->labels.n; i++) {
        if (!image_filter_label(im, f->labels.p[i])) return false;
    }
    for (size_t i = 0; i < f->not_labels.n; i++) {
        if (image_filter_label(im, f->not_labels.p[i])) return false;
    }
    return true;
}

static int prune_refs(struct engine *en, const struct prune_filters *f, struct image_removals *out,
                      struct err *e)
{
    own(store_refs) struct store_refs all = {0};
    own(store_users) struct store_users users = {0};
    struct map gone = {0};
    if (store_ref_list(en, &all, e) < 0 || store_user_list(en, &users, e) < 0) return -1;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < all.n; i++) {
        own(oci_image) struct oci_image im = {0};
        struct err bad = {0};
        if (image_users(&users, &all.p[i].image) > 0) continue;
        (void)image_read_config(en, &all.p[i].image, &im, &bad);
        if (!goes(f, &all.p[i], &im)) continue;
        rc = drop_ref(en, &all.p[i], out, e);
        map_set(&gone, all.p[i].image.hex, NULL);
    }
    own(store_refs) struct store_refs left = {0};
    if (rc == 0) rc = store_ref_list(en, &left, e);
    for (size_t i = 0; rc == 0 && i < gone.n; i++) {
        struct oci_digest image;
        bool still = false;
        for (size_t k = 0; k < left.n; k++) still |= strcmp(left.p[k].image.hex, gone.p[i].key) == 0;
        snprintf(image.hex, sizeof image.hex, "%s", gone.p[i].key);
        if (!still) note_deleted(en, &image, out);
    }
    map_fini(&gone);
    return rc;
}

int image_prune(struct engine *en, const struct image_prune_options *opt,
                struct image_removals *out, uint64_t *out_freed, struct err *e)
{
    struct prune_filters f = {.until = INT64_MAX, .all = opt->all};
    struct store_pruned done = {0};
    struct store_prune_options gc = {.told_as = "image"};
    int rc = 0;
    for (size_t i = 0; rc == 0 && opt->filters && i < opt->filters->n; i++) {
        rc = add_filter(opt->filters->p[i], &f, e);
    }
    gc.cache = opt->cache && f.labels.n == 0 && f.not_labels.n == 0;
    gc.downloads = opt->downloads;
    gc.until = f.until == INT64_MAX ? 0 : f.until;
    if (rc == 0) rc = prune_refs(en, &f, out, e);
    if (rc == 0) rc = store_prune(en, &gc, &done, e);
    if (out_freed) *out_freed = done.freed;
    strv_fini(&f.labels);
    strv_fini(&f.not_labels);
    return rc < 0 ? -1 : 0;
}
