// SPDX-License-Identifier: Apache-2.0
// A build record takes no space to speak of; the layers that it keeps do. So an item weighs what it
// would free: itself, and of its layers and blobs those that no image and no container has and no item
// before it in the list, which goes from the last used to the longest unused.
#include "store/reserve.h"

#include <stdlib.h>
#include <sys/statvfs.h>

#include "base/own.h"
#include "store/user.h"

struct item {
    char *name;
    int64_t last_used;
    uint64_t size;
    struct map hexes;
};
struct items {
    struct engine *en;
    struct item *p;
    size_t n, cap;
};

static void items_fini(struct items *v)
{
    vec_each(i, v)
    {
        free(i->name);
        map_fini(&i->hexes);
    }
    vec_fini(v);
}

char *store_reserve_name(const struct store_cache_item *item)
{
    return str_fmt("%s/%s", item->kind, item->name);
}

bool store_reserve_asked(const struct store_prune_options *opt)
{
    return opt->reserved || opt->max_used || opt->min_free;
}

static int collect(void *arg, const struct store_cache_item *item, struct err *e)
{
    struct items *v = arg;
    (void)e;
    struct item *i = vec_add(v);
    *i = (struct item){.name = store_reserve_name(item), .last_used = item->last_used};
    i->size = item->folder ? store_du(item->dir, item->name) : item->size;
    if (item->is_record) store_user_scan(item->value, &i->hexes);
    return 0;
}

static int newest_first(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->last_used != y->last_used) return x->last_used > y->last_used ? -1 : 1;
    return strcmp(x->name, y->name);
}

// Adds to an item's size what it alone keeps; `counted` is what somebody has already.
static void weigh(struct engine *en, struct item *i, struct map *counted)
{
    for (size_t k = 0; k < i->hexes.n; k++) {
        const char *hex = i->hexes.p[k].key;
        if (map_has(counted, hex)) continue;
        map_set(counted, hex, NULL);
        own(free) char *layer = str_fmt("layers/%s/%s", en->form, hex);
        own(free) char *blob = str_fmt("blobs/sha256/%s", hex);
        i->size += store_du(en->store_fd, layer) + store_du(en->store_fd, blob);
    }
}

static int free_space(struct engine *en, uint64_t *out, struct err *e)
{
    struct statvfs fs;
    if (fstatvfs(en->store_fd, &fs) != 0) return err_sys(e, "look at the store's file system");
    *out = (uint64_t)fs.f_bavail * fs.f_frsize;
    return 0;
}

// At most max_used; less where the disk has less free than min_free; never less than `reserved`.
static int how_much(struct engine *en, const struct store_prune_options *opt, uint64_t total,
                    uint64_t *out, struct err *e)
{
    uint64_t keep = opt->max_used ? opt->max_used : opt->min_free ? UINT64_MAX : 0, space = 0;
    if (opt->min_free && free_space(en, &space, e) < 0) return -1;
    if (space < opt->min_free) {
        uint64_t lacks = opt->min_free - space, rest = total > lacks ? total - lacks : 0;
        if (rest < keep) keep = rest;
    }
    *out = keep > opt->reserved ? keep : opt->reserved;
    return 0;
}

static int choose(struct items *v, const struct store_prune_options *opt, struct map *out_stays,
                  struct err *e)
{
    own(store_keep) struct store_keep needed = {0};
    uint64_t total = 0, keep, sum = 0;
    if (store_cache_walk(v->en, collect, v, e) < 0 || store_keep_named(v->en, &needed, e) < 0)
        return -1;
    if (v->n) qsort(v->p, v->n, sizeof *v->p, newest_first);
    vec_each(i, v)
    {
        weigh(v->en, i, &needed.hexes);
        total += i->size;
    }
    if (how_much(v->en, opt, total, &keep, e) < 0) return -1;
    for (size_t i = 0; i < v->n && v->p[i].size <= keep - sum; i++) {
        sum += v->p[i].size;
        map_set(out_stays, v->p[i].name, NULL);
    }
    return 0;
}

int store_reserve_choose(struct engine *en, const struct store_prune_options *opt,
                         struct map *out_stays, struct err *e)
{
    struct items v = {.en = en};
    int rc = choose(&v, opt, out_stays, e);
    items_fini(&v);
    return rc;
}
