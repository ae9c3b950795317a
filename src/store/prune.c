// SPDX-License-Identifier: Apache-2.0
// Garbage collection. Alone in the store (store/lock.h), so nothing that somebody is about to use is
// freed; a rename to the trash a layer, an unlink a blob, then the trash is emptied. Killed at any
// point it leaves less rubbish than before, and nothing that is needed is gone.
#include <errno.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "base/vec.h"
#include "store/download.h"
#include "store/event.h"
#include "store/fresh.h"
#include "store/gc.h"
#include "store/internal.h"
#include "store/layer.h"
#include "store/lock.h"
#include "store/reserve.h"
#include "store/shift.h"
#include "store/tmp.h"
#include "store/user.h"

#define WAIT_DEFAULT 10

struct pruner {
    struct engine *en;
    const struct store_prune_options *opt;
    struct store_pruned *out;
    struct map stays;  // of the cache, where some of it is asked to stay
};

// The whole cache goes.
static bool takes_all(const struct pruner *p)
{
    return p->opt->cache && p->opt->until == 0 && !store_reserve_asked(p->opt);
}

// --- cache --------------------------------------------------------------------------------------

static int drop_folder(struct pruner *p, const struct store_cache_item *item, struct err *e)
{
    own(fd) int fd = openat(item->dir, item->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? 0 : err_sys(e, "open cache mount '%s'", item->name);
    int rc = fs_lock(fd, LOCK_EX | LOCK_NB, e);
    if (rc != 0) return rc < 0 ? -1 : 0;  // in use
    if (store_trash(p->en, item->dir, item->name, e) < 0) return -1;
    p->out->records++;
    return 0;
}

static int prune_item(void *arg, const struct store_cache_item *item, struct err *e)
{
    struct pruner *p = arg;
    bool old = p->opt->until == 0 || item->last_used < p->opt->until;
    own(free) char *name = store_reserve_name(item);
    bool drop = item->is_damaged || (p->opt->cache && old && !map_has(&p->stays, name));
    // Nobody else is in the store now: nobody fetches.
    if (strcmp(item->kind, "downloads") == 0)
        drop = p->opt->downloads || item->last_used < clock_real_ns() / 1000000000 -
                                                          STORE_DOWNLOAD_DAYS * INT64_C(86400);
    // A temporary of a writer that died.
    if (!item->folder && item->name[0] == '.') drop = true;
    if (!drop) return 0;
    if (item->folder) return drop_folder(p, item, e);
    if (unlinkat(item->dir, item->name, 0) != 0 && errno != ENOENT) {
        return err_sys(e, "remove '%s' of the cache", item->name);
    }
    p->out->records++;
    p->out->freed += item->size;
    return 0;
}

// A record that names a layer which is gone will never hit again.
static int drop_dangling(void *arg, const struct store_cache_item *item, struct err *e)
{
    struct pruner *p = arg;
    struct map hexes = {0};
    bool missing = false;
    if (!item->is_record || strcmp(item->kind, "steps") != 0) return 0;
    store_user_scan(item->value, &hexes);
    for (size_t i = 0; i < hexes.n; i++) {
        own(free) char *layer = str_fmt("layers/%s/%s", p->en->form, hexes.p[i].key);
        own(free) char *blob = str_fmt("blobs/sha256/%s", hexes.p[i].key);
        // Values may also name things that are no files of ours; only a record none of whose digits
        // lead anywhere is dropped.
        missing = !fs_exists(p->en->store_fd, layer) && !fs_exists(p->en->store_fd, blob);
        if (!missing) break;
    }
    map_fini(&hexes);
    if (!missing) return 0;
    if (unlinkat(item->dir, item->name, 0) != 0 && errno != ENOENT) {
        return err_sys(e, "remove build record '%s'", item->name);
    }
    p->out->records++;
    p->out->freed += item->size;
    return 0;
}

// --- blobs and layers ---------------------------------------------------------------------------

static int prune_blobs(struct pruner *p, const struct store_keep *keep, struct err *e)
{
    own(strv) struct strv names = {0};
    own(fd) int dir = fs_open_dir(p->en->store_fd, "blobs/sha256", e);
    if (dir < 0 || fs_list(dir, ".", &names, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++) {
        struct stat st;
        if (map_has(&keep->hexes, names.p[i])) continue;
        if (fstatat(dir, names.p[i], &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (unlinkat(dir, names.p[i], S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) != 0) {
            return err_sys(e, "remove blob '%s'", names.p[i]);
        }
        p->out->blobs++;
        p->out->freed += (uint64_t)st.st_blocks * 512;
    }
    return 0;
}

// `used`: what containers need; of layers for a container's ids the cache is more than that.
static int prune_form(struct pruner *p, const char *form, const struct store_keep *keep,
                      const struct store_keep *used, struct err *e)
{
    bool cached = store_shift_is_form(p->en, form) && takes_all(p);
    if (cached) keep = used;
    own(strv) struct strv names = {0};
    own(free) char *path = str_fmt("layers/%s", form);
    own(fd) int dir = openat(p->en->store_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0) return 0;
    if (fs_list(dir, ".", &names, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++) {
        if (map_has(&keep->hexes, names.p[i])) continue;
        if (store_trash(p->en, dir, names.p[i], e) < 0) return -1;
        p->out->layers++;
    }
    if (cached && unlinkat(p->en->store_fd, path, AT_REMOVEDIR) != 0 && errno != ENOTEMPTY)
        return err_sys(e, "remove the empty folder '%s'", path);
    return 0;
}

static int prune_layers(struct pruner *p, const struct store_keep *keep, struct err *e)
{
    own(strv) struct strv forms = {0};
    own(store_keep) struct store_keep used = {0};
    if (fs_list(p->en->store_fd, "layers", &forms, e) < 0 ||
        store_keep_containers(p->en, &used, e) < 0)
        return -1;
    for (size_t i = 0; i < forms.n; i++) {
        // Files of another form belong to ids that only its user namespace can touch.
        bool ours = strcmp(forms.p[i], p->en->form) == 0 || p->en->ids.mode == IDMAP_ROOT ||
                    store_shift_is_form(p->en, forms.p[i]);
        if (ours && prune_form(p, forms.p[i], keep, &used, e) < 0) return -1;
    }
    return 0;
}

static int prune(struct pruner *p, struct err *e)
{
    own(store_keep) struct store_keep keep = {0};
    uint64_t swept = 0;
    if (store_fresh_sweep(p->en, e) < 0) return -1;
    // What check put aside: whoever frees all has looked at it, or does not want to.
    if (takes_all(p) && store_trash(p->en, p->en->store_fd, "damaged", e) < 0) return -1;
    if (p->opt->cache && store_reserve_asked(p->opt) &&
        store_reserve_choose(p->en, p->opt, &p->stays, e) < 0)
        return -1;
    if (store_cache_walk(p->en, prune_item, p, e) < 0) return -1;
    if (store_keep_collect(p->en, &keep, e) < 0) return -1;
    if (keep.damaged > 0) {
        err_set(e, ERR_CORRUPT, "%zu names of images are damaged: what they need is not known",
                keep.damaged);
        return err_hint(e, "run 'dewar system check --repair' first");
    }
    if (prune_blobs(p, &keep, e) < 0 || prune_layers(p, &keep, e) < 0) return -1;
    if (store_cache_walk(p->en, drop_dangling, p, e) < 0) return -1;
    if (store_tmp_drop_parts(p->en, e) < 0 || store_sweep(p->en, &swept, e) < 0) return -1;
    p->out->freed += swept;
    return 0;
}

int store_prune(struct engine *en, const struct store_prune_options *opt, struct store_pruned *out,
                struct err *e)
{
    struct pruner p = {.en = en, .opt = opt, .out = out};
    if (engine_enter(en, e) < 0) return -1;
    own(fd) int lock = store_lock_alone(en, opt->wait ? opt->wait : WAIT_DEFAULT, e);
    if (lock < 0) return -1;
    int rc = prune(&p, e);
    map_fini(&p.stays);
    if (rc < 0) return err_wrap(e, "freeing what nobody needs");
    if (opt->told_as) store_event_pruned(en, opt->told_as, out->freed);
    return 0;
}
