// SPDX-License-Identifier: Apache-2.0
// --check-repro: the same build twice with nothing taken from the cache, the second time with
// another time zone, locale, home, and one step at a time, then a comparison file by file.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"
#include "build/internal.h"
#include "image/view.h"
#include "store/lock.h"

#define ROWS_MAX 200

struct compare {
    struct build_tree a, b;
    struct str *out;
    unsigned rows;
};

static void row(struct compare *c, const char *path, const char *what)
{
    if (++c->rows == ROWS_MAX) str_addz(c->out, "  ... and more\n");
    if (c->rows >= ROWS_MAX) return;
    str_addz(c->out, "  /");
    str_add_escaped(c->out, sv_of(path));
    str_addf(c->out, ": %s\n", what);
}

static int compare_nodes(struct compare *c, const struct build_node *a, const struct build_node *b,
                         struct err *e)
{
    char x[CODEC_SHA256_HEX], y[CODEC_SHA256_HEX];
    if ((a->mode & S_IFMT) != (b->mode & S_IFMT)) {
        row(c, a->path, "kind of file differs");
        return 0;
    }
    if (a->mode != b->mode) row(c, a->path, "mode differs");
    if (a->uid != b->uid || a->gid != b->gid) row(c, a->path, "owner differs");
    if (a->mtime_ns != b->mtime_ns) row(c, a->path, "time differs");
    if (!S_ISREG(a->mode)) return 0;
    if (build_tree_file_hash(&c->a, a, x, e) < 0 || build_tree_file_hash(&c->b, b, y, e) < 0) return -1;
    if (strcmp(x, y) != 0) row(c, a->path, "content differs");
    return 0;
}

static int compare_trees(struct compare *c, struct err *e)
{
    if (build_tree_scan(&c->a, NULL, e) < 0 || build_tree_scan(&c->b, NULL, e) < 0) return -1;
    vec_each(a, &c->a.nodes)
    {
        const struct build_node *b = build_tree_find(&c->b, a->path);
        if (!b)
            row(c, a->path, "only in the first build");
        else if (compare_nodes(c, a, b, e) < 0)
            return -1;
    }
    vec_each(b, &c->b.nodes) if (!build_tree_find(&c->a, b->path))
        row(c, b->path, "only in the second build");
    return 0;
}

static int compare_layers(struct engine *en, const struct store_layer *a,
                          const struct store_layer *b, struct str *out, struct err *e)
{
    own(fd) int x = store_layer_open_fs(en, a, e);
    own(fd) int y = x < 0 ? -1 : store_layer_open_fs(en, b, e);
    if (y < 0) return -1;
    struct compare c = {.out = out};
    c.a.root = (struct root){x, "the first build"};
    c.b.root = (struct root){y, "the second build"};
    int rc = compare_trees(&c, e);
    if (rc == 0 && c.rows == 0) str_addz(out, "  (no file differs: an attribute does)\n");
    build_tree_fini(&c.a);
    build_tree_fini(&c.b);
    return rc;
}

// The i-th layer's command, from the history.
static const char *made_by(const struct oci_image *im, size_t layer)
{
    for (size_t i = 0; i < im->histories; i++)
        if (!im->history[i].empty_layer && layer-- == 0) return im->history[i].created_by;
    return "?";
}

static int compare_images(struct engine *en, const struct oci_digest *first,
                          const struct oci_digest *second, struct str *out, struct err *e)
{
    own(image_view) struct image_view a = {0};
    own(image_view) struct image_view b = {0};
    if (image_view_open_id(en, first, &a, e) < 0 || image_view_open_id(en, second, &b, e) < 0)
        return -1;
    if (a.n != b.n) str_addf(out, "the first build has %zu layers, the second %zu\n", a.n, b.n);
    for (size_t i = 0; i < a.n && i < b.n; i++) {
        if (oci_digest_eq(&a.layers[i].diff_id, &b.layers[i].diff_id)) continue;
        str_addf(out, "layer %zu differs: ", i + 1);
        str_add_escaped(out, sv_of(made_by(&a.config, i)));
        str_addc(out, '\n');
        if (compare_layers(en, &a.layers[i], &b.layers[i], out, e) < 0) return -1;
        return 0;  // later layers differ because of this one
    }
    if (out->n == 0) str_addz(out, "the layers are equal; the configs differ\n");
    return 0;
}

int build_check_repro(struct engine *en, const struct build_options *opt, struct build_result *out,
                      struct str *out_report, struct err *e)
{
    struct build_options again = *opt;
    struct build_result second;
    again.no_cache = true;
    again.cache_to = again.cache_from = NULL;
    own(build_outputs) struct build_outputs outs;
    if (build_outputs_read(opt, &outs, e) < 0) return -1;
    if (outs.push) {
        err_set(e, ERR_USAGE, "--check-repro does not push");
        return err_hint(e, "push when it is known to be the same: dewar push NAME");
    }
    // Held over both builds and the comparison: nobody may free the second image, which has no name.
    own(fd) int lock = store_lock_shared(en, e);
    if (lock < 0) return -1;
    if (build_image(en, &again, out, e) < 0) return -1;
    setenv("TZ", "Pacific/Chatham", 1);
    setenv("LC_ALL", "tr_TR.UTF-8", 1);
    setenv("HOME", "/nonexistent", 1);
    again.jobs = 1;
    again.tags = NULL;
    if (build_image(en, &again, &second, e) < 0) return err_wrap(e, "in the second build");
    if (oci_digest_eq(&out->image, &second.image)) return 0;
    return compare_images(en, &out->image, &second.image, out_report, e) < 0 ? -1 : 1;
}
