// SPDX-License-Identifier: Apache-2.0
// `system df`: exact sums. A layer counts once in the total however many images have it; an image's unique
// bytes are those of layers that only it has.
#include <errno.h>
#include <sys/file.h>

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

struct use {
    uint64_t bytes;
    size_t images;
};

// --- images -------------------------------------------------------------------------------------

static int layers_of(struct engine *en, const struct oci_digest *image, struct oci_image *im,
                     struct store_layer **out, struct err *e)
{
    struct oci_digest chain = {0};
    own(str) struct str text = {0};
    if (store_blob_read(en, image, LIMIT_CONFIG, &text, e) < 0) return -1;
    if (oci_image_parse(str_sv(&text), "config", im, e) < 0) return -1;
    struct store_layer *list = mem_alloc((im->layers + 1) * sizeof *list);
    for (size_t i = 0; i < im->layers; i++) {
        struct err lost = {0};
        if (store_layer_find(en, &im->diff_ids[i], &chain, &list[i], &lost) != 1) {
            memset(&list[i], 0, sizeof list[i]);
        }
        chain = oci_digest_chain(&chain, &im->diff_ids[i]);
    }
    *out = list;
    return 0;
}

// Adds one image's layers to the use counts, or (second pass) reads its sums from them.
static int image_pass(struct engine *en, struct store_df_image *d, struct map *uses, bool count,
                      struct err *e)
{
    own(oci_image) struct oci_image im = {0};
    own(free) struct store_layer *layers = NULL;
    struct map mine = {0};
    if (layers_of(en, &d->id, &im, &layers, e) < 0) return -1;
    d->created = im.created;
    for (size_t i = 0; i < im.layers; i++) {
        if (!layers[i].id[0] || map_has(&mine, layers[i].id)) continue;
        map_set(&mine, layers[i].id, NULL);
        struct use *u = map_get(uses, layers[i].id);
        if (!u) {
            u = mem_alloc(sizeof *u);
            u->bytes = layers[i].bytes;
            map_set(uses, layers[i].id, u);
        }
        if (count) {
            u->images++;
            continue;
        }
        d->size += u->bytes;
        *(u->images > 1 ? &d->shared : &d->unique) += u->bytes;
    }
    map_fini(&mine);
    return 0;
}

static struct store_df_image *get_image(struct store_df *d, const struct oci_digest *id)
{
    vec_each(im, &d->images) {
        if (oci_digest_eq(&im->id, id)) return im;
    }
    struct store_df_image *im = vec_add(&d->images);
    im->id = *id;
    return im;
}

// Bytes of layers that only images without a container have.
static uint64_t reclaimable(struct engine *en, struct store_df *d, const struct map *uses)
{
    struct map needed = {0};
    uint64_t sum = 0;
    vec_each(im, &d->images) {
        struct err lost = {0};
        own(oci_image) struct oci_image config = {0};
        own(free) struct store_layer *layers = NULL;
        if (im->containers == 0 || layers_of(en, &im->id, &config, &layers, &lost) < 0) continue;
        for (size_t i = 0; i < config.layers; i++) map_set(&needed, layers[i].id, NULL);
    }
    for (size_t i = 0; i < uses->n; i++) {
        const struct use *u = uses->p[i].value;
        if (!map_has(&needed, uses->p[i].key)) sum += u->bytes;
    }
    map_fini(&needed);
    return sum;
}

static int df_images(struct engine *en, struct store_df *d, const struct store_users *users,
                     struct err *e)
{
    own(store_refs) struct store_refs refs = {0};
    struct map uses = {.free_value = free};
    if (store_ref_list(en, &refs, e) < 0) return -1;
    for (size_t i = 0; i < refs.n; i++) {
        own(str) struct str name = {0};
        struct store_df_image *im = get_image(d, &refs.p[i].image);
        if (!refs.p[i].ref.name[0]) continue;
        oci_ref_print(&refs.p[i].ref, &name);
        strv_add(&im->names, str_z(&name));
    }
    for (int pass = 0; pass < 2; pass++) {
        vec_each(im, &d->images) {
            struct err bad = {0};
            if (image_pass(en, im, &uses, pass == 0, &bad) < 0 && pass == 0) {
                event_warn(&en->sink, "image sha256:%.12s is broken: %s", im->id.hex,
                           err_cause(&bad));
            }
        }
    }
    vec_each(im, &d->images) {
        for (size_t i = 0; i < users->n; i++) im->containers += store_user_has(&users->p[i], &im->id);
        d->images_sum.active += im->containers > 0;
    }
    d->images_sum.total = d->images.n;
    for (size_t i = 0; i < uses.n; i++) {
        d->images_sum.size += ((const struct use *)uses.p[i].value)->bytes;
    }
    d->images_sum.reclaimable = reclaimable(en, d, &uses);
    map_fini(&uses);
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

static int df_blobs(struct engine *en, struct store_df *d, const struct store_keep *keep,
                    struct err *e)
{
    own(strv) struct strv names = {0};
    own(fd) int dir = -1;
    if (list_of(en, "blobs/sha256", &dir, &names, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++) {
        uint64_t size = store_du(dir, names.p[i]);
        d->blobs += size;
        if (!map_has(&keep->hexes, names.p[i])) d->rubbish += size;
    }
    return 0;
}

static int df_layers(struct engine *en, struct store_df *d, const struct store_keep *keep,
                     struct err *e)
{
    own(strv) struct strv names = {0};
    own(fd) int dir = -1;
    own(free) char *path = str_fmt("layers/%s", en->form);
    if (list_of(en, path, &dir, &names, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++) {
        if (!map_has(&keep->hexes, names.p[i])) d->rubbish += store_du(dir, names.p[i]);
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

// Layers that no image has are build cache; in use when a container needs them (its image was removed).
static int df_cached_layers(struct engine *en, struct store_df *d, const struct store_keep *keep,
                            struct err *e)
{
    struct map images = {0};
    own(strv) struct strv names = {0};
    own(store_keep) struct store_keep used = {0};
    own(fd) int dir = -1;
    own(free) char *path = str_fmt("layers/%s", en->form);
    vec_each(im, &d->images) {
        struct err lost = {0};
        own(oci_image) struct oci_image config = {0};
        own(free) struct store_layer *layers = NULL;
        if (layers_of(en, &im->id, &config, &layers, &lost) < 0) continue;
        for (size_t i = 0; i < config.layers; i++) map_set(&images, layers[i].id, NULL);
    }
    int rc = store_keep_containers(en, &used, e);
    if (rc == 0) rc = list_of(en, path, &dir, &names, e);
    for (size_t i = 0; rc == 0 && i < names.n; i++) {
        if (map_has(&images, names.p[i]) || !map_has(&keep->hexes, names.p[i])) continue;
        add_item(&d->cache, &d->cache_sum, names.p[i], "layer", store_du(dir, names.p[i]),
                 map_has(&used.hexes, names.p[i]));
    }
    map_fini(&images);
    return rc;
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

int store_df(struct engine *en, struct store_df *out, struct err *e)
{
    struct store_df d = {0};
    own(store_users) struct store_users users = {0};
    own(store_keep) struct store_keep keep = {0};
    if (engine_enter(en, e) < 0) return -1;
    if (store_user_list(en, &users, e) < 0 || store_keep_collect(en, &keep, e) < 0 ||
        df_images(en, &d, &users, e) < 0 || df_containers(en, &d, &users, e) < 0 ||
        df_volumes(en, &d, &users, e) < 0 || store_cache_walk(en, df_cache_item, &d, e) < 0 ||
        df_cached_layers(en, &d, &keep, e) < 0 || df_shifted(en, &d, &keep, e) < 0 ||
        df_blobs(en, &d, &keep, e) < 0 ||
        df_layers(en, &d, &keep, e) < 0) {
        store_df_fini(&d);
        return -1;
    }
    if (df_trash(en, &d, e) < 0 || df_dead(en, &d, e) < 0) {
        store_df_fini(&d);
        return -1;
    }
    *out = d;
    return 0;
}
