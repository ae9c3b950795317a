// SPDX-License-Identifier: Apache-2.0
// Walks from the roots (refs, containers' records, build records) to everything they need. It errs
// on the side of keeping: an unknown text keeps whatever its hex digits name.
#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"
#include "oci/image.h"
#include "store/blob.h"
#include "store/cache.h"
#include "store/internal.h"
#include "store/user.h"

#define CACHE_FILE_MAX ((size_t)17 << 20)
#define DU_DEPTH 200

void store_keep_fini(struct store_keep *k)
{
    map_fini(&k->hexes);
}

uint64_t store_du(int dirfd, const char *name)
{
    struct stat st;
    static unsigned depth;  // of this walk; a deeper tree is only counted short
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return 0;
    uint64_t sum = (uint64_t)st.st_blocks * 512;
    // Each name of a file takes its share, so the names of one together make the whole.
    if (!S_ISDIR(st.st_mode)) return sum / (st.st_nlink ? st.st_nlink : 1);
    if (depth >= DU_DEPTH) return sum;
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return sum;
    own(dir) DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return sum;
    }
    depth++;
    struct dirent *de;
    while ((de = readdir(d)) != NULL) {
        if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0) continue;
        sum += store_du(fd, de->d_name);
    }
    depth--;
    return sum;
}

// --- images -------------------------------------------------------------------------------------

// What is damaged or missing leads nowhere and keeps nothing else. What could not be read for another
// reason (no memory, an error of the disk) is no answer: nothing may be freed then.
static int read_text(struct engine *en, const struct oci_digest *d, size_t max, struct str *out,
                     struct err *e)
{
    struct err bad = {0};
    if (store_blob_read(en, d, max, out, &bad) == 0) return 1;
    if (bad.kind != ERR_SYSTEM) return 0;
    *e = bad;
    return -1;
}

static int keep_config(struct engine *en, const struct oci_digest *d, struct store_keep *k,
                       struct err *e)
{
    struct err bad = {0};
    struct oci_digest chain = {0};
    own(str) struct str text = {0};
    own(oci_image) struct oci_image im = {0};
    map_set(&k->hexes, d->hex, NULL);
    int rc = read_text(en, d, LIMIT_CONFIG, &text, e);
    if (rc <= 0) return rc;
    if (oci_image_parse(str_sv(&text), "config", &im, &bad) < 0) return 0;
    for (size_t i = 0; i < im.layers; i++) {
        chain = oci_digest_chain(&chain, &im.diff_ids[i]);
        map_set(&k->hexes, im.diff_ids[i].hex, NULL);  // closed layers
        map_set(&k->hexes, chain.hex, NULL);           // open ones
    }
    return 0;
}

static int keep_manifest(struct engine *en, const struct oci_digest *d, unsigned depth,
                         struct store_keep *k, struct err *e)
{
    struct err bad = {0};
    own(str) struct str text = {0};
    own(oci_manifest) struct oci_manifest m = {0};
    map_set(&k->hexes, d->hex, NULL);
    int rc = depth > 4 ? 0 : read_text(en, d, LIMIT_MANIFEST, &text, e);
    if (rc <= 0) return rc;
    if (oci_manifest_parse(str_sv(&text), "manifest", &m, &bad) < 0) return 0;
    for (size_t i = 0; i < m.n; i++) {
        map_set(&k->hexes, m.items[i].digest.hex, NULL);
        if (m.is_index && keep_manifest(en, &m.items[i].digest, depth + 1, k, e) < 0) return -1;
    }
    return m.is_index ? 0 : keep_config(en, &m.config.digest, k, e);
}

struct collector {
    struct engine *en;
    struct store_keep *k;
};

int store_keep_ref(struct engine *en, const struct store_ref *r, struct store_keep *k, struct err *e)
{
    if (keep_manifest(en, &r->manifest, 0, k, e) < 0) return -1;
    // The index that it was chosen from, as received; not the images that were not.
    if (oci_digest_is_set(&r->remote)) map_set(&k->hexes, r->remote.hex, NULL);
    return keep_config(en, &r->image, k, e);
}

static int visit_ref(void *arg, const char *folder, const char *name, const struct store_ref *r,
                     struct err *e)
{
    struct collector *c = arg;
    (void)folder, (void)name;
    if (!r) {
        c->k->damaged++;
        return 0;
    }
    return store_keep_ref(c->en, r, c->k, e);
}

// A container's record names its image (or only a layer): whichever of its digits is a config leads
// on to layers.
int store_keep_containers(struct engine *en, struct store_keep *k, struct err *e)
{
    own(store_users) struct store_users users = {0};
    if (store_user_list(en, &users, e) < 0) return -1;
    for (size_t i = 0; i < users.n; i++) {
        const struct map *m = &users.p[i].hexes;
        for (size_t j = 0; j < m->n; j++) {
            struct oci_digest d = {0};
            if (!oci_digest_parse_hex(sv_of(m->p[j].key), &d)) continue;
            if (keep_config(en, &d, k, e) < 0) return -1;
        }
    }
    return 0;
}

// --- the cache ----------------------------------------------------------------------------------

static int visit_entry(int dir, const char *kind, const char *name, store_cache_visit *visit,
                       void *arg, struct err *e)
{
    struct stat st;
    struct err bad = {0};
    own(str) struct str text = {0};
    struct store_cache_item item = {.kind = kind, .name = name, .dir = dir};
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return 0;
    item.folder = S_ISDIR(st.st_mode);
    item.size = item.folder ? 0 : (uint64_t)st.st_blocks * 512;
    item.last_used = st.st_atim.tv_sec > st.st_mtim.tv_sec ? st.st_atim.tv_sec : st.st_mtim.tv_sec;
    if (S_ISREG(st.st_mode) && strcmp(kind, "downloads") != 0) {
        own(fd) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOATIME);
        if (fd >= 0 && fs_read_fd(fd, CACHE_FILE_MAX, &text, &bad) == 0) {
            item.is_record = store_cache_record_valid(str_sv(&text), &item.value);
            item.is_damaged = !item.is_record && sv_starts(str_sv(&text), "dewar-record");
        }
    }
    return visit(arg, &item, e);
}

static int walk_kind(int dir, const char *kind, store_cache_visit *visit, void *arg, struct err *e)
{
    own(strv) struct strv names = {0};
    if (fs_list(dir, ".", &names, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++) {
        if (visit_entry(dir, kind, names.p[i], visit, arg, e) < 0) return -1;
    }
    return 0;
}

// cache/mounts has one more level: the on-disk form.
static int walk_mounts(int dir, store_cache_visit *visit, void *arg, struct err *e)
{
    own(strv) struct strv forms = {0};
    if (fs_list(dir, ".", &forms, e) < 0) return -1;
    for (size_t i = 0; i < forms.n; i++) {
        own(fd) int sub = openat(dir, forms.p[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub >= 0 && walk_kind(sub, "mounts", visit, arg, e) < 0) return -1;
    }
    return 0;
}

int store_cache_walk(struct engine *en, store_cache_visit *visit, void *arg, struct err *e)
{
    own(strv) struct strv kinds = {0};
    own(fd) int cache = openat(en->store_fd, "cache", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cache < 0) return errno == ENOENT ? 0 : err_sys(e, "open 'cache' of the store");
    if (fs_list(cache, ".", &kinds, e) < 0) return -1;
    for (size_t i = 0; i < kinds.n; i++) {
        own(fd) int dir = openat(cache, kinds.p[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (dir < 0) continue;
        int rc = strcmp(kinds.p[i], "mounts") == 0 ? walk_mounts(dir, visit, arg, e)
                                                   : walk_kind(dir, kinds.p[i], visit, arg, e);
        if (rc < 0) return -1;
    }
    return 0;
}

static int keep_record(void *arg, const struct store_cache_item *item, struct err *e)
{
    struct collector *c = arg;
    (void)e;
    if (item->is_record) store_user_scan(item->value, &c->k->hexes);
    return 0;
}

int store_keep_named(struct engine *en, struct store_keep *out, struct err *e)
{
    struct collector c = {.en = en, .k = out};
    return store_ref_walk(en, visit_ref, &c, e) < 0 ? -1 : store_keep_containers(en, out, e);
}

int store_keep_collect(struct engine *en, struct store_keep *out, struct err *e)
{
    struct collector c = {.en = en, .k = out};
    return store_keep_named(en, out, e) < 0 ? -1 : store_cache_walk(en, keep_record, &c, e);
}
