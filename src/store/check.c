// SPDX-License-Identifier: Apache-2.0
// `system check`: is the store whole? Every ref must lead to a manifest and a config that are there
// and right, every layer of those must be there; unless quick, every blob is re-hashed and every
// layer's archive is written again (to nowhere) and compared with its diff id. Repair moves what is
// damaged to damaged/, where nothing looks for it, so that it can be loaded or built again.
#include <errno.h>
#include <unistd.h>

#include "base/own.h"
#include "base/vec.h"
#include "oci/image.h"
#include "store/blob.h"
#include "store/fresh.h"
#include "store/gc.h"
#include "store/internal.h"
#include "store/layer.h"
#include "store/lock.h"
#include "store/meta.h"

struct checker {
    struct engine *en;
    const struct store_check_options *opt;
    struct store_damages *out;
    struct store_checked *sum;
    struct map checked_layers;
};

void store_damages_fini(struct store_damages *v)
{
    vec_each(d, v) {
        free(d->what);
        free(d->why);
    }
    vec_fini(v);
}

static struct store_damage *found(struct checker *c, char *what, const char *why)
{
    struct store_damage *d = vec_add(c->out);
    d->what = what;
    d->why = str_dup(why);
    return d;
}

// Moves dirfd/name to damaged/<name>; a file of that name there is replaced by a numbered one.
static bool move_aside(struct checker *c, int dirfd, const char *name)
{
    struct err e = {0};
    if (!c->opt->repair) return false;
    if (fs_mkdirs(c->en->store_fd, "damaged", 0700, &e) < 0) return false;
    own(fd) int to = openat(c->en->store_fd, "damaged", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (to < 0) return false;
    for (int i = 0; i < 1000; i++) {
        own(free) char *target = i ? str_fmt("%s.%d", name, i) : str_dup(name);
        if (renameat2(dirfd, name, to, target, RENAME_NOREPLACE) == 0) return true;
        if (errno != EEXIST) return false;
    }
    return false;
}

// A lack of descriptors, memory or rights says nothing about what is checked: it ends the check.
static bool is_lack(const struct err *why, struct err *e)
{
    static const int lacks[] = {EMFILE, ENFILE, ENOMEM, EACCES, EPERM, ENOSPC, EAGAIN, EINTR};
    for (size_t i = 0; why->kind == ERR_SYSTEM && i < sizeof lacks / sizeof *lacks; i++) {
        if (why->sys != lacks[i]) continue;
        *e = *why;
        return true;
    }
    return false;
}

// --- blobs --------------------------------------------------------------------------------------

static int check_blob(struct checker *c, int dir, const char *name, struct err *e)
{
    struct oci_digest want = {0};
    char hex[CODEC_SHA256_HEX];
    uint64_t size = 0;
    struct stat st;
    c->sum->blobs++;
    own(free) char *what = str_fmt("blob sha256:%s", name);
    if (!oci_digest_parse_hex(sv_of(name), &want)) {
        found(c, take_ptr(what), "its name is not a digest")->moved = move_aside(c, dir, name);
        return 0;
    }
    struct err bad = {0};
    own(fd) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) err_sys(&bad, "open blob '%s'", name);
    if (fd < 0 && is_lack(&bad, e)) return -1;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        if (bad.sys == ENOENT) return 0;  // removed just now
        found(c, take_ptr(what), "it is not a file that can be read")->moved =
            move_aside(c, dir, name);
        return 0;
    }
    c->sum->bytes += (uint64_t)st.st_size;
    if (c->opt->quick) return 0;
    if (codec_sha256_fd(fd, &size, hex, &bad) < 0) {
        if (is_lack(&bad, e)) return -1;
        found(c, take_ptr(what), err_cause(&bad))->moved = move_aside(c, dir, name);
        return 0;
    }
    if (strcmp(hex, want.hex) == 0) return 0;
    own(free) char *why = str_fmt("its digest is sha256:%s", hex);
    found(c, take_ptr(what), why)->moved = move_aside(c, dir, name);
    return 0;
}

static int check_blobs(struct checker *c, struct err *e)
{
    own(strv) struct strv names = {0};
    own(fd) int dir = fs_open_dir(c->en->store_fd, "blobs/sha256", e);
    if (dir < 0 || fs_list(dir, ".", &names, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++) {
        if (check_blob(c, dir, names.p[i], e) < 0) return -1;
    }
    return 0;
}

// --- layers -------------------------------------------------------------------------------------

static int hash_write(void *arg, const void *p, size_t n, struct err *e)
{
    (void)e;
    codec_sha256_add(arg, p, n);
    return 0;
}

static int check_bytes(struct checker *c, const struct store_layer *l, const char *id, int dir,
                       struct err *e)
{
    struct err bad = {0};
    char hex[CODEC_SHA256_HEX];
    struct codec_sha256 h;
    codec_sha256_init(&h);
    const struct codec_sink dst = {.write = hash_write, .arg = &h};
    own(free) char *what = str_fmt("layer %s (%s)", id, c->en->form);
    if (store_layer_write_tar(c->en, l, dst, &bad) < 0) {
        if (is_lack(&bad, e)) return -1;
        found(c, take_ptr(what), err_cause(&bad))->moved = move_aside(c, dir, id);
        return 0;
    }
    codec_sha256_end(&h, hex);
    if (strcmp(hex, l->diff_id.hex) == 0) return 0;
    own(free) char *why = str_fmt("its files give the digest sha256:%s instead of sha256:%s", hex,
                                  l->diff_id.hex);
    found(c, take_ptr(what), why)->moved = move_aside(c, dir, id);
    return 0;
}

static int load_layer(int dir, const char *id, struct store_layer *out, struct err *e)
{
    own(store_meta) struct store_meta meta = {0};
    own(fd) int fd = openat(dir, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return err_sys(e, "open its folder");
    if (store_meta_load(fd, &meta, e) < 0) return -1;
    if (!fs_exists(fd, "fs")) return err_set(e, ERR_CORRUPT, "its files are gone");
    store_meta_to_layer(&meta, id, out);
    return 0;
}

// Layers in this mode's form; those of another form are checked by who uses it.
static int check_layers(struct checker *c, struct err *e)
{
    own(strv) struct strv names = {0};
    own(free) char *path = str_fmt("layers/%s", c->en->form);
    own(fd) int dir = openat(c->en->store_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) return errno == ENOENT ? 0 : err_sys(e, "open '%s' of the store", path);
    if (fs_list(dir, ".", &names, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++) {
        struct store_layer l = {0};
        struct err bad = {0};
        c->sum->layers++;
        if (load_layer(dir, names.p[i], &l, &bad) < 0) {
            if (is_lack(&bad, e)) return -1;
            char *what = str_fmt("layer %s (%s)", names.p[i], c->en->form);
            found(c, what, err_cause(&bad))->moved = move_aside(c, dir, names.p[i]);
            continue;
        }
        c->sum->bytes += l.bytes;
        if (!c->opt->quick && check_bytes(c, &l, names.p[i], dir, e) < 0) return -1;
    }
    return 0;
}

// --- refs ---------------------------------------------------------------------------------------

static void move_ref(struct checker *c, const char *folder, const char *name,
                     struct store_damage *d)
{
    own(fd) int dir = openat(c->en->store_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    d->moved = dir >= 0 && move_aside(c, dir, name);
}

// 1: everything that an image needs is there; 0: *why says what is not.
static int image_whole(struct checker *c, const struct store_ref *r, struct str *why, struct err *e)
{
    struct err bad = {0};
    struct oci_digest chain = {0};
    own(str) struct str text = {0};
    own(str) struct str config = {0};
    own(oci_manifest) struct oci_manifest m = {0};
    own(oci_image) struct oci_image im = {0};
    if (store_blob_read(c->en, &r->manifest, LIMIT_MANIFEST, &text, &bad) < 0 ||
        oci_manifest_parse(str_sv(&text), "manifest", &m, &bad) < 0 ||
        store_blob_read(c->en, &r->image, LIMIT_CONFIG, &config, &bad) < 0 ||
        oci_image_parse(str_sv(&config), "config", &im, &bad) < 0) {
        str_addz(why, err_cause(&bad));
        return is_lack(&bad, e) ? -1 : 0;
    }
    for (size_t i = 0; i < im.layers; i++) {
        struct store_layer l = {0};
        int rc = store_layer_find(c->en, &im.diff_ids[i], &chain, &l, &bad);
        if (rc < 0 && is_lack(&bad, e)) return -1;
        chain = oci_digest_chain(&chain, &im.diff_ids[i]);
        bool blob = i < m.n && store_blob_exists(c->en, &m.items[i].digest, NULL);
        if (rc == 1 || blob) continue;
        str_addf(why, "layer %zu of %zu (sha256:%s) is missing", i + 1, im.layers,
                 im.diff_ids[i].hex);
        return 0;
    }
    return 1;
}

static int check_ref(void *arg, const char *folder, const char *name, const struct store_ref *r,
                     struct err *e)
{
    struct checker *c = arg;
    own(str) struct str why = {0};
    c->sum->refs++;
    if (!r) {
        struct store_damage *d = found(c, str_fmt("ref %s/%s", folder, name), "its file is damaged");
        move_ref(c, folder, name, d);
        return 0;
    }
    int whole = image_whole(c, r, &why, e);
    if (whole != 0) return whole < 0 ? -1 : 0;
    own(str) struct str text = {0};
    if (r->ref.name[0]) oci_ref_print(&r->ref, &text);
    char *what = text.n ? str_fmt("image %s", str_z(&text))
                        : str_fmt("image sha256:%s", r->image.hex);
    struct store_damage *d = found(c, what, str_z(&why));
    move_ref(c, folder, name, d);
    return 0;
}

int store_check(struct engine *en, const struct store_check_options *opt,
                struct store_damages *out, struct store_checked *sum, struct err *e)
{
    struct checker c = {.en = en, .opt = opt, .out = out, .sum = sum};
    if (engine_enter(en, e) < 0) return -1;
    own(fd) int lock = opt->repair ? store_lock_alone(en, 10, e) : store_lock_shared(en, e);
    if (lock < 0) return -1;
    if (store_fresh_sweep(en, e) < 0) return -1;
    // Contents first: repair takes away what is damaged, and then the images that need it show.
    if (check_blobs(&c, e) < 0 || check_layers(&c, e) < 0) return -1;
    return store_ref_walk(en, check_ref, &c, e);
}
