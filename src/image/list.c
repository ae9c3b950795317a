// SPDX-License-Identifier: Apache-2.0
// `images`: one row a name. A damaged image is a row with a warning, never the end of the listing.
#include "base/own.h"
#include "image/internal.h"

void image_rows_fini(struct image_rows *v)
{
    vec_fini(v);
}

struct list_filters {
    struct strv references;
    struct strv labels;
    int64_t before, since, until;  // INT64_MAX / INT64_MIN / INT64_MAX when not asked
    bool has_dangling, dangling;
};

static void filters_fini(struct list_filters *f)
{
    strv_fini(&f->references);
    strv_fini(&f->labels);
}

static int created_of(struct engine *en, const char *name, int64_t *out, struct err *e)
{
    own(oci_image) struct oci_image im = {0};
    if (image_view_config(en, name, NULL, &im, e) < 0) return -1;
    *out = im.created;
    return 0;
}

static int add_filter(struct engine *en, const char *text, struct list_filters *f, struct err *e)
{
    static const char *const known[] = {"reference", "label",    "before", "since",
                                        "until",     "dangling", NULL};
    own(free) char *key = NULL;
    const char *value = NULL;
    if (image_filter_split(text, known, &key, &value, e) < 0) return -1;
    if (strcmp(key, "reference") == 0) {
        strv_add(&f->references, value);
    } else if (strcmp(key, "label") == 0) {
        strv_add(&f->labels, value);
    } else if (strcmp(key, "before") == 0) {
        return created_of(en, value, &f->before, e);
    } else if (strcmp(key, "since") == 0) {
        return created_of(en, value, &f->since, e);
    } else if (strcmp(key, "until") == 0) {
        return image_filter_time(key, value, &f->until, e);
    } else {
        f->has_dangling = true;
        return image_filter_bool(key, value, &f->dangling, e);
    }
    return 0;
}

// `until` is about when the name was set, as in a prune: an image built reproducibly is dated long ago.
static bool wanted(const struct list_filters *f, const struct image_row *row, int64_t set_ns,
                   const struct oci_image *im)
{
    if (f->has_dangling && f->dangling != (row->ref.name[0] == '\0')) return false;
    if (f->before != INT64_MAX && row->created >= f->before) return false;
    if (f->since != INT64_MIN && row->created <= f->since) return false;
    if (f->until != INT64_MAX && set_ns / 1000000000 >= f->until) return false;
    for (size_t i = 0; i < f->labels.n; i++) {
        if (!image_filter_label(im, f->labels.p[i])) return false;
    }
    bool any = f->references.n == 0;
    for (size_t i = 0; i < f->references.n; i++) {
        any = any || image_filter_reference(&row->ref, f->references.p[i]);
    }
    return any;
}

static int by_age(const void *a, const void *b)
{
    const struct image_row *x = a;
    const struct image_row *y = b;
    if (x->created != y->created) return x->created < y->created ? 1 : -1;
    int c = strcmp(x->ref.host, y->ref.host);
    if (c == 0) c = strcmp(x->ref.name, y->ref.name);
    if (c == 0) c = strcmp(x->ref.tag, y->ref.tag);
    return c != 0 ? c : strcmp(x->id.hex, y->id.hex);
}

static int collect(struct engine *en, const char *match, const struct list_filters *f,
                   struct image_rows *out, struct err *e)
{
    own(store_refs) struct store_refs refs = {0};
    own(store_users) struct store_users users = {0};
    if (store_ref_list(en, &refs, e) < 0 || store_user_list(en, &users, e) < 0) return -1;
    for (size_t i = 0; i < refs.n; i++) {
        const struct store_ref *r = &refs.p[i];
        struct image_row row = {.ref = r->ref, .id = r->image, .manifest = r->manifest,
                                .remote = r->remote};
        own(oci_image) struct oci_image im = {0};
        struct err bad = {0};
        if (match && !image_filter_reference(&r->ref, match)) continue;
        row.created = INT64_MIN;
        if (image_read_config(en, &r->image, &im, &bad) < 0) {
            event_warn(&en->sink, "image sha256:%.12s is broken: %s", r->image.hex,
                       err_cause(&bad));
            row.broken = true;
        } else {
            row.created = im.created;
            row.size = image_size(en, &im, &row.broken);
        }
        row.containers = image_users(&users, &r->image);
        if (wanted(f, &row, r->set_ns, &im)) vec_push(out, row);
    }
    if (out->n > 1) qsort(out->p, out->n, sizeof *out->p, by_age);
    return 0;
}

// Adds an image's layers to how many images have each, or (sum) returns the bytes of those that
// several have.
static uint64_t each_layer(struct engine *en, const struct oci_digest *id, struct map *uses, bool sum)
{
    own(oci_image) struct oci_image im = {0};
    own(free) struct store_layer *layers = NULL;
    struct err bad = {0};
    struct map mine = {0};
    uint64_t shared = 0;
    if (image_read_config(en, id, &im, &bad) < 0) return 0; // was told when it was listed
    (void)image_peek_layers(en, &im, &layers);
    for (size_t i = 0; i < im.layers; i++) {
        size_t *n = map_get(uses, layers[i].id);
        if (sum && n && *n > 1) shared += layers[i].bytes;
        if (sum || map_has(&mine, layers[i].id)) continue;
        map_set(&mine, layers[i].id, NULL);
        if (!n) {
            n = mem_alloc(sizeof *n);
            *n = 0;
            map_set(uses, layers[i].id, n);
        }
        ++*n;
    }
    map_fini(&mine);
    return shared;
}

static int find_shared(struct engine *en, struct image_rows *rows, struct err *e)
{
    own(store_refs) struct store_refs refs = {0};
    struct map uses = {.free_value = free}, seen = {0};
    if (store_ref_list(en, &refs, e) < 0) return -1;
    for (size_t i = 0; i < refs.n; i++) {
        if (map_has(&seen, refs.p[i].image.hex)) continue;
        map_set(&seen, refs.p[i].image.hex, NULL);
        (void)each_layer(en, &refs.p[i].image, &uses, false);
    }
    vec_each(row, rows) row->shared = each_layer(en, &row->id, &uses, true);
    map_fini(&seen);
    map_fini(&uses);
    return 0;
}

int image_list(struct engine *en, const struct image_list_options *opt, struct image_rows *out,
               struct err *e)
{
    struct list_filters f = {.before = INT64_MAX, .since = INT64_MIN, .until = INT64_MAX};
    int rc = 0;
    for (size_t i = 0; rc == 0 && opt->filters && i < opt->filters->n; i++) {
        rc = add_filter(en, opt->filters->p[i], &f, e);
    }
    if (rc == 0) rc = collect(en, opt->match, &f, out, e);
    if (rc == 0 && opt->shares) rc = find_shared(en, out, e);
    filters_fini(&f);
    return rc;
}
