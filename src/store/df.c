// SPDX-License-Identifier: Apache-2.0
// `system df`: exact sums of what lies on the disk, in the blocks that it takes there (as du counts).
// What several images have counts once in the total; an image's unique bytes are what goes with it.
// Names (a small file each) are not counted.
#include <errno.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/own.h"
#include "base/vec.h"
#include "oci/image.h"
#include "store/blob.h"
#include "store/gc.h"
#include "store/internal.h"
#include "store/layer.h"
#include "store/shift.h"
#include "store/user.h"

void store_df_fini(struct store_df *d)
{
    struct store_df_items *lists[] = {&d->containers, &d->volumes, &d->cache};
    vec_each(im, &d->images) strv_fini(&im->names);
    vec_fini(&d->images);
    for (size_t i = 0; i < 3; i++) {
        vec_each(item, lists[i]) {
            free(item->id);
            free(item->detail);
        }
        vec_fini(lists[i]);
    }
}

// --- images -------------------------------------------------------------------------------------

// What a hex stands for: a blob, a layer, or both (an archive that is not compressed has its layer's).
struct use {
    uint64_t bytes;
    size_t images;
};
struct counter {
    int blobs, layers;
    struct map uses; // struct use by hex
    struct {
        struct store_keep *p;
        size_t n, cap;
    } keeps; // of each image
};

static int open_counter(struct engine *en, struct counter *c, struct err *e)
{
    own(free) char *path = str_fmt("layers/%s", en->form);
    c->blobs = fs_open_dir(en->store_fd, "blobs/sha256", e);
    c->layers = openat(en->store_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c->layers < 0 && errno != ENOENT) return err_sys(e, "open '%s' of the store", path);
    return c->blobs < 0 ? -1 : 0;
}

static void close_counter(struct counter *c)
{
    vec_each(k, &c->keeps) store_keep_fini(k);
    vec_fini(&c->keeps);
    map_fini(&c->uses);
    if (c->blobs >= 0) close(c->blobs);
    if (c->layers >= 0) close(c->layers);
}

static void count_image(struct counter *c, const struct store_keep *k)
{
    for (size_t i = 0; i < k->hexes.n; i++) {
        const char *hex = k->hexes.p[i].key;
        struct use *u = map_get(&c->uses, hex);
        if (!u) {
            u = mem_alloc(sizeof *u);
            *u = (struct use){.bytes = store_du(c->blobs, hex)};
            if (c->layers >= 0) u->bytes += store_du(c->layers, hex);
            map_set(&c->uses, hex, u);
        }
        u->images++;
    }
}

static void sum_image(const struct counter *c, const struct store_keep *k, struct store_df_image *im)
{
    for (size_t i = 0; i < k->hexes.n; i++) {
        const struct use *u = map_get(&c->uses, k->hexes.p[i].key);
        im->size += u->bytes;
        *(u->images > 1 ? &im->shared : &im->unique) += u->bytes;
    }
}

static size_t get_image(struct store_df *d, struct counter *c, const struct oci_digest *id)
{
    for (size_t i = 0; i < d->images.n; i++) {
        if (oci_digest_eq(&d->images.p[i].id, id)) return i;
    }
    *vec_add(&d->images) = (struct store_df_image){.id = *id};
    *vec_add(&c->keeps) = (struct store_keep){0};
    return d->images.n - 1;
}

static void read_created(struct engine *en, struct store_df_image *im)
{
    struct err bad = {0};
    own(oci_image) struct oci_image config = {0};
    own(str) struct str text = {0};
    if (store_blob_read(en, &im->id, LIMIT_CONFIG, &text, &bad) == 0 &&
        oci_image_parse(str_sv(&text), "config", &config, &bad) == 0)
        im->created = config.created;
    else
        event_warn(&en->sink, "image sha256:%.12s is broken: %s", im->id.hex, err_cause(&bad));
}

static int read_refs(struct engine *en, struct store_df *d, struct counter *c, struct err *e)
{
    own(store_refs) struct store_refs refs = {0};
    if (store_ref_list(en, &refs, e) < 0) return -1;
    for (size_t i = 0; i < refs.n; i++) {
        own(str) struct str name = {0};
        size_t at = get_image(d, c, &refs.p[i].image);
        if (store_keep_ref(en, &refs.p[i], &c->keeps.p[at], e) < 0) return -1;
        if (!refs.p[i].ref.name[0]) continue;
        oci_ref_print(&refs.p[i].ref, &name);
        strv_add(&d->images.p[at].names, str_z(&name));
    }
    return 0;
}

// Bytes that only images without a container have.
static uint64_t reclaimable(const struct store_df *d, const struct counter *c)
{
    struct map needed = {0};
    uint64_t sum = 0;
    for (size_t i = 0; i < d->images.n; i++) {
        const struct map *hexes = &c->keeps.p[i].hexes;
        for (size_t k = 0; d->images.p[i].containers && k < hexes->n; k++)
            map_set(&needed, hexes->p[k].key, NULL);
    }
    for (size_t i = 0; i < c->uses.n; i++) {
        const struct use *u = c->uses.p[i].value;
        if (!map_has(&needed, c->uses.p[i].key)) sum += u->bytes;
    }
    map_fini(&needed);
    return sum;
}

static int df_images(struct engine *en, struct store_df *d, struct counter *c,
                     const struct store_users *users, struct err *e)
{
    if (read_refs(en, d, c, e) < 0) return -1;
    vec_each(k, &c->keeps) count_image(c, k);
    for (size_t i = 0; i < d->images.n; i++) {
        struct store_df_image *im = &d->images.p[i];
        read_created(en, im);
        sum_image(c, &c->keeps.p[i], im);
        for (size_t k = 0; k < users->n; k++) im->containers += store_user_has(&users->p[k], &im->id);
        d->images_sum.active += im->containers > 0;
    }
    d->images_sum.total = d->images.n;
    for (size_t i = 0; i < c->uses.n; i++) {
        d->images_sum.size += ((const struct use *)c->uses.p[i].value)->bytes;
    }
    d->images_sum.reclaimable = reclaimable(d, c);
    return 0;
}

// --- the others ---------------------------------------------------------------------------------

static struct store_df_item *add_item(struct store_df_items *list, struct store_df_sum *sum,
                                      const char *id, const char *detail, uint64_t size,
                                      bool in_use)
{
    struct store_df_item *item = vec_add(list);
    *item = (struct store_df_item){.id = str_dup(id), .detail = str_dup(detail), .size = size,
                                   .in_use = in_use};
    sum->total++;
    sum->active += in_use;
    sum->size += size;
    sum->reclaimable += in_use ? 0 : size;
    return item;
}

static int df_containers(struct engine *en, struct store_df *d, const struct store_users *users,
                         struct err *e)
{
    own(fd) int dir = openat(en->store_fd, "containers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) return errno == ENOENT ? 0 : err_sys(e, "open 'containers' of the store");
    for (size_t i = 0; i < users->n; i++) {
        const char *image = "";
        vec_each(im, &d->images) {
            if (store_user_has(&users->p[i], &im->id)) image = im->id.hex;
        }
        add_item(&d->containers, &d->containers_sum, users->p[i].id, image,
                 store_du(dir, users->p[i].id), users->p[i].running);
    }
    return 0;
}

// A container's folder holds a mark for each volume that it uses.
static bool uses_volume(struct engine *en, const struct store_user *u, const char *volume)
{
    own(free) char *named = str_fmt("containers/%s/n-%s", u->id, volume);
    own(free) char *anonymous = str_fmt("containers/%s/v-%s", u->id, volume);
    return fs_exists(en->store_fd, named) || fs_exists(en->store_fd, anonymous);
}

static int df_volumes(struct engine *en, struct store_df *d, const struct store_users *users,
                      struct err *e)
{
    own(strv) struct strv names = {0};
    own(fd) int dir = openat(en->store_fd, "volumes", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) return errno == ENOENT ? 0 : err_sys(e, "open 'volumes' of the store");
    if (fs_list(dir, ".", &names, e) < 0) return -1;
    for (size_t v = 0; v < names.n; v++) {
        bool used = false;
        for (size_t i = 0; i < users->n && !used; i++) used = uses_volume(en, &users->p[i], names.p[v]);
        add_item(&d->volumes, &d->volumes_sum, names.p[v], "", store_du(dir, names.p[v]), used);
    }
    return 0;
}

static int df_cache_item(void *arg, const struct store_cache_item *item, struct err *e)
{
    struct store_df *d = arg;
    (void)e;
    uint64_t size = item->folder ? store_du(item->dir, item->name) : item->size;
    struct store_df_item *row =
        add_item(&d->cache, &d->cache_sum, item->name, item->kind, size, false);
    row->last_used = item->last_used;
    return 0;
}

static int list_of(struct engine *en, const char *path, int *out_fd, struct strv *names,
                   struct err *e)
{
    *out_fd = openat(en->store_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*out_fd < 0) return errno == ENOENT ? 0 : err_sys(e, "open '%s' of the store", path);
    return fs_list(*out_fd, ".", names, e);
}

// Blobs and layers that no image has: what build records or containers (their image was removed) need
// is build cache, the rest nobody needs.
static int df_rest(struct store_df *d, int dir, const char *kind, const struct counter *c,
                   const struct store_keep *keep, const struct store_keep *used, struct err *e)
{
    own(strv) struct strv names = {0};
    if (dir < 0) return 0;
    if (fs_list(dir, ".", &names, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++) {
        if (map_has(&c->uses, names.p[i])) continue;
        uint64_t size = store_du(dir, names.p[i]);
        if (map_has(&keep->hexes, names.p[i]))
            add_item(&d->cache, &d->cache_sum, names.p[i], kind, size,
                     map_has(&used->hexes, names.p[i]));
        else
            d->rubbish += size;
    }
    return 0;
}

static int df_trash(struct engine *en, struct store_df *d, struct err *e)
{
    own(strv) struct strv names = {0};
    own(fd) int dir = -1;
    if (list_of(en, "trash", &dir, &names, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++) d->rubbish += store_du(dir, names.p[i]);
    d->rubbish += store_du(en->store_fd, "damaged");
    return 0;
}

// Temporary folders whose owner is dead: nobody holds their lock.
static int df_dead(struct engine *en, struct store_df *d, struct err *e)
{
    own(strv) struct strv names = {0};
    own(fd) int dir = -1;
    if (list_of(en, "tmp", &dir, &names, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++) {
        own(fd) int fd = openat(dir, names.p[i], O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0 && fs_lock(fd, LOCK_SH | LOCK_NB, e) == 0) d->rubbish += store_du(dir, names.p[i]);
    }
    return 0;
}

// Layers that were copied for containers with other ids can be made again: cache as well.
static int df_shifted(struct engine *en, struct store_df *d, const struct store_keep *keep,
                      struct err *e)
{
    own(strv) struct strv forms = {0};
    own(store_keep) struct store_keep used = {0};
    if (fs_list(en->store_fd, "layers", &forms, e) < 0 || store_keep_containers(en, &used, e) < 0)
        return -1;
    for (size_t f = 0; f < forms.n; f++) {
        own(strv) struct strv names = {0};
        own(fd) int dir = -1;
        own(free) char *path = str_fmt("layers/%s", forms.p[f]);
        if (!store_shift_is_form(en, forms.p[f])) continue;
        if (list_of(en, path, &dir, &names, e) < 0) return -1;
        for (size_t i = 0; i < names.n; i++) {
            uint64_t size = store_du(dir, names.p[i]);
            if (map_has(&keep->hexes, names.p[i]))
                add_item(&d->cache, &d->cache_sum, names.p[i], "mapped", size,
                         map_has(&used.hexes, names.p[i]));
            else
                d->rubbish += size;
        }
    }
    return 0;
}

static int df_all(struct engine *en, struct store_df *d, struct counter *c, struct err *e)
{
    own(store_users) struct store_users users = {0};
    own(store_keep) struct store_keep keep = {0};
    own(store_keep) struct store_keep used = {0};
    if (open_counter(en, c, e) < 0 || store_user_list(en, &users, e) < 0 ||
        store_keep_collect(en, &keep, e) < 0 || store_keep_containers(en, &used, e) < 0)
        return -1;
    if (df_images(en, d, c, &users, e) < 0 || df_containers(en, d, &users, e) < 0 ||
        df_volumes(en, d, &users, e) < 0 || store_cache_walk(en, df_cache_item, d, e) < 0)
        return -1;
    if (df_rest(d, c->layers, "layer", c, &keep, &used, e) < 0 ||
        df_rest(d, c->blobs, "blob", c, &keep, &used, e) < 0 || df_shifted(en, d, &keep, e) < 0)
        return -1;
    return df_trash(en, d, e) < 0 || df_dead(en, d, e) < 0 ? -1 : 0;
}

int store_df(struct engine *en, struct store_df *out, struct err *e)
{
    struct store_df d = {0};
    struct counter c = {.blobs = -1, .layers = -1, .uses = {.free_value = free}};
    if (engine_enter(en, e) < 0) return -1;
    int rc = df_all(en, &d, &c, e);
    close_counter(&c);
    if (rc < 0)
        store_df_fini(&d);
    else
        *out = d;
    return rc;
}
